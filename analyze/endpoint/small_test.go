package endpoint

import (
	"slices"
	"strings"
	"testing"
)

// What a capture of a few requests shows must look sensible, too.
func TestSmallCaptures(t *testing.T) {
	for name, c := range map[string]struct{ requests, want string }{
		"pages of one directory":      {"/a/index /a/login", "/a/index /a/login"},
		"one page":                    {"/hello", "/hello"},
		"three pages at the root":     {"/about /contact /prices", "/about /contact /prices"},
		"pages that are programs":     {"/dvwa/index.php /dvwa/login.php /dvwa/setup.php", "/dvwa/index.php /dvwa/login.php /dvwa/setup.php"},
		"one file":                    {"/backup/site.zip", "/backup/site.zip"},
		"a file at the root":          {"/xtra2.bin", "/xtra2.bin"},
		"one number":                  {"/users/7", "/users/{}"},
		"two numbers":                 {"/users/1 /users/2/orders", "/users/{} /users/{}/orders"},
		"a version":                   {"/api/1/users /api/v2/users /2010-04-01/calls", "/2010-04-01/calls /api/1/users /api/v2/users"},
		"one UUID":                    {"/things/550e8400-e29b-41d4-a716-446655440000", "/things/{}"},
		"actions":                     {"/tracking/adClick /tracking/adClose /tracking/adImpression", "/tracking/adClick /tracking/adClose /tracking/adImpression"},
		"calls of a service":          {"/shop.CartService/GetCart /shop.CartService/AddItem", "/shop.CartService/AddItem /shop.CartService/GetCart"},
		"health checks":               {"/healthz /readyz /metrics", "/healthz /metrics /readyz"},
		"collections side by side":    {"/v1/users /v1/orders /v1/products", "/v1/orders /v1/products /v1/users"},
		"an item and its collection":  {"/v1/orders /v1/orders/1001 /v1/orders/export", "/v1/orders /v1/orders/export /v1/orders/{}"},
		"settings":                    {"/settings/general /settings/billing /settings/security", "/settings/billing /settings/general /settings/security"},
		"a JSON file beside numbers":  {"/items/12.json /items/13.json", "/items/{}.json"},
		"assets are of pages":         {"/index.html /app.css /app.js /favicon.ico /images/logo.png /static/x.png", "/index.html"},
		"an image that an API serves": {"/avatars/7.png", "/avatars/{}.png"},
		"an address of e-mail":        {"/accounts/ann@example.org", "/accounts/{}"},
	} {
		tree := NewTree(Options{}, newNote)
		for _, path := range strings.Fields(c.requests) {
			if !Noise([]byte("GET"), []byte(path)) {
				exchange{line: "GET " + path, fields: "id " + strings.ReplaceAll(path, "/", " ")}.into(tree)
			}
		}
		var got []string
		for e := range tree.Endpoints() {
			for _, p := range e.Params {
				e.Template = strings.ReplaceAll(e.Template, "{"+p.Name+"}", "{}")
			}
			got = append(got, e.Template)
		}
		slices.Sort(got)
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: got %s, want %s", name, s, c.want)
		}
	}
}

// Operations after a colon are told from the values that they follow, spelled
// like words though these are.
func TestOperationsAfterAColon(t *testing.T) {
	tree := NewTree(Options{}, newNote)
	for _, name := range []string{"nightly", "early-bird", "blue_moon", "long-haul", "backfill-eu", "quarter"} {
		for range 3 {
			for _, x := range []struct{ method, path, fields string }{
				{"GET", "/v1/jobs/" + name, "id state steps"}, {"POST", "/v1/jobs/" + name + ":cancel", "cancelled when"}, {"POST", "/v1/jobs/" + name + ":retry", "attempt queue"},
			} {
				exchange{line: x.method + " " + x.path, fields: x.fields}.into(tree)
			}
		}
	}
	var got []string
	for e := range tree.Endpoints() {
		got = append(got, e.Method+" "+e.Template)
	}
	want := []string{"GET /v1/jobs/{job_id}", "POST /v1/jobs/{job_id}:cancel", "POST /v1/jobs/{job_id}:retry"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
