package analyze

import "testing"

func TestNamesThatAreWordsStay(t *testing.T) {
	for _, name := range []string{
		"", "id", "X-Request-Id", "created_at", "filter[status]", "utm_source", "JSESSIONID", "_ga", "sha256", "x509",
		"address2", "line1", "oauth2_token", "AWSALBCORS", "thisIsAVeryLongFieldNameIndeed", "v1beta1", "größe", "日本語",
		"api.example.com", "web-1.example.com", "ec2", "k8s-default", "2fa", "2024", "base64url", "utf8", "e2e_test", "i18n", "b2b",
		"application/vnd.api.v2+json", "encryptionstrengthscheck", "internationalization", "X-Schwarzschildradius", "strict-transport-security", "application/x-www-form-urlencoded", "eBayUserID", "getURLForID", "$.items[].sha256", "$.meta{*}.s3Key", "$.labels.app%2Ekubernetes%2Eio/name", "X-OAuth2-Scopes", "md5checksum", "http2-settings",
	} {
		if got := Name([]byte(name)); got != name {
			t.Errorf("Name(%q) = %q, want it untouched", name, got)
		}
	}
}

func TestNamesThatHoldValuesLoseThem(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"wordpress_logged_in_5c016e8f0f95f039102cbe8366c5c7f3", "wordpress_logged_in_{hex}"},
		{"perm[jo.doe@example.org]", "perm[{email}]"},
		{"6f1c0a52-9b1e-4f7e-8a39-0c9b1c2d3e4f.api.example.com", "{uuid}.api.example.com"},
		{"4111111111111111", "{n}"},
		{"session_jo.doe%40example.org", "{email}"},
		{"x-Canary-3cocrjUW2%2167-token", "x-Canary-{token}-token"},
		{"%34%31%31%31111111111111", "{n}"},
		{"card-4111 1111 1111 1111", "card-{n}"},
		{"x-078-05-1120-y", "x-{n}-y"},
		{"sk_live_4eC39HqLyjWDarjtT1zdp7dc", "sk_live_{token}"},
		{"ghp_16C7e42F292c6912E7710c838347Ae178B4a", "ghp_{hex}"},
		{"AKIAIOSFODNN7EXAMPL3", "{token}"},
		{"user12345", "user12345"},
		{"x-sk_live_18ogtdsfxwifznjlyluwzoqx", "x-sk_live_{token}"},
		{"x-kqzvbtnwrpslgfhdcm", "x-{token}"},
		{"session_J6t5MdYP!q70Q2J", "session_{token}"},
		{"$.m.ljmS9TMQ!eKOBJX.email", "$.m.{token}.email"},
		{"x-AKIAIBCHANERAARREGYN-token", "x-{token}-token"},
		{"a\x1b[31m", `a\u{1b}[31m`},
	} {
		if got := Name([]byte(c.in)); got != c.want {
			t.Errorf("Name(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func FuzzName(f *testing.F) {
	f.Add([]byte("a-1 1 1-"))
	f.Add([]byte("12-34-"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := Name(b)
		if len(n) > 20*MaxText {
			t.Fatalf("grew to %d bytes", len(n))
		}
	})
}
