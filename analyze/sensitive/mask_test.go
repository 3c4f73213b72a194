package sensitive

import (
	"strings"
	"testing"
)

func TestMaskText(t *testing.T) {
	for _, x := range []struct {
		text  string
		never []string
		keeps []string
	}{
		{"/users/ann.lee@shop.dev/cards/4757632618400128", []string{"ann.lee", "47576326"}, []string{"/users/", "/cards/"}},
		{"/users/ann.lee%40shop.dev", []string{"ann.lee"}, []string{"/users/"}},
		{"/login?user=ann&password=hunter2!&page=2", []string{"hunter2"}, []string{"/login?user=ann", "page=2"}},
		{"/login?password=hunter%32%21", []string{"hunter2"}, nil},
		{"/v1/keys/sk_l" + "ive_tnsvwKQEjTcAdsqeFWuPfp4k/rotate", []string{"tnsvwKQ"}, []string{"/v1/keys/", "/rotate"}},
		{"/reset/8f14e45fceea167a5a36dedd4bea2543", []string{"e45fceea"}, []string{"/reset/"}},
		{"/s/Zq8vN2xK4mW7pT1bR5yC", []string{"N2xK4mW7"}, []string{"/s/"}},
		{"https://deploy:s3cr3tV4lue@git.shop.dev/api.git", []string{"s3cr3tV4lue"}, nil},
		{"Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI3MiIsImV4cCI6MTc4OTA1MjcyNX0.ItQd5AQZoy6IgvQ8xHzklOxDtsgyzgi8uli38uGwX-0", []string{"eyJzdWIi", "ItQd5AQZ"}, nil},
		{"/patients/335-86-6810/notes", []string{"335-86"}, []string{"/patients/", "/notes"}},
		{"/orders/42/items", nil, []string{"/orders/42/items"}},
		{"/api/v2/products/blue-suede-shoes", nil, []string{"/api/v2/products/blue-suede-shoes"}},
	} {
		got := MaskText([]byte(x.text))
		for _, n := range x.never {
			if strings.Contains(got, n) {
				t.Errorf("%q shows %q: %q", x.text, n, got)
			}
		}
		for _, k := range x.keeps {
			if !strings.Contains(got, k) {
				t.Errorf("%q hides %q: %q", x.text, k, got)
			}
		}
	}
}
