package inventory

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"

	"plainsight/analyze"
)

// canaries are secrets of the kinds that people have, none twice.
func canaries(n int) []string {
	r := rand.New(rand.NewPCG(7, 7))
	pick := func(alphabet string, n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		return string(b)
	}
	const digit, lower, hexes, any = "0123456789", "abcdefghijklmnopqrstuvwxyz", "0123456789abcdef", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	list := make([]string, n)
	for i := range list {
		switch i % 12 {
		case 0:
			list[i] = pick(any, 32)
		case 1:
			list[i] = pick(hexes, 40)
		case 2:
			list[i] = "sk_live_" + pick(any, 24)
		case 3:
			list[i] = "4" + pick(digit, 15)
		case 4:
			list[i] = pick(lower, 6) + "." + pick(lower, 7) + pick(digit, 3) + "@mail.example.org"
		case 5:
			list[i] = "AKIA" + pick("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)
		case 6:
			list[i] = "ghp_" + pick(any, 36)
		case 7:
			list[i] = fmt.Sprintf("%s-%s-%s", pick("12345678", 3), pick("123456789", 2), pick("123456789", 4))
		case 8:
			b := base64.RawURLEncoding
			list[i] = b.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + b.EncodeToString([]byte(`{"sub":"`+pick(lower, 12)+`"}`)) + "." + pick(any, 43)
		case 9:
			list[i] = "canary-" + pick(hexes, 20)
		case 10:
			list[i] = pick(any, 8) + "!" + pick(any, 6)
		case 11:
			list[i] = "DE" + pick(digit, 20)
		}
	}
	return list
}

// places puts a secret into each place of a message.
var places = []struct{ name, text string }{
	{"path segment", "GET /v1/things/%s HTTP/1.1\nHost: h.example.org\n---\n200\nContent-Type: application/json\n\n{\"a\":1}"},
	{"path in the middle", "GET /v1/%s/orders HTTP/1.1\nHost: h.example.org\n---\n200\nContent-Type: application/json\n\n{\"a\":1}"},
	{"path that failed", "GET /v2/%s HTTP/1.1\nHost: h.example.org\n---\n404\n"},
	{"only segment", "GET /%s HTTP/1.1\nHost: h.example.org\n---\n200\n\n"},
	{"absolute target", "GET http://h.example.org/v3/%s?x=1 HTTP/1.1\nHost: h.example.org\n---\n200\n\n"},
	{"matrix parameter", "GET /v1/a;jsessionid=%s HTTP/1.1\nHost: h.example.org\n---\n200\n\n"},
	{"query value", "GET /v1/q?x=%s HTTP/1.1\nHost: h.example.org\n---\n200\n\n"},
	{"query password", "GET /v1/q?password=%s HTTP/1.1\nHost: h.example.org\n---\n200\n\n"},
	{"query token", "GET /v1/q?access_token=%s HTTP/1.1\nHost: h.example.org\n---\n200\n\n"},
	{"query name", "GET /v1/q?%s=1 HTTP/1.1\nHost: h.example.org\n---\n200\n\n"},
	{"host", "GET /v1/h HTTP/1.1\nHost: %s.example.org\n---\n200\n\n"},
	{"user in host", "GET /v1/h HTTP/1.1\nHost: u:%s@h.example.org\n---\n200\n\n"},
	{"method", "%s /v1/m HTTP/1.1\nHost: h.example.org\n---\n200\n\n"},
	{"bearer", "GET /v1/b HTTP/1.1\nHost: h.example.org\nAuthorization: Bearer %s\n---\n200\n\n"},
	{"basic", "GET /v1/b HTTP/1.1\nHost: h.example.org\nAuthorization: Basic %s\n---\n200\n\n"},
	{"digest", "GET /v1/b HTTP/1.1\nHost: h.example.org\nAuthorization: Digest username=\"%s\", response=\"x\"\n---\n200\n\n"},
	{"signature", "GET /v1/b HTTP/1.1\nHost: h.example.org\nAuthorization: AWS4-HMAC-SHA256 Credential=%s/20260301/us-east-1/s3/aws4_request\n---\n200\n\n"},
	{"scheme", "GET /v1/b HTTP/1.1\nHost: h.example.org\nAuthorization: %s\n---\n200\n\n"},
	{"api key", "GET /v1/b HTTP/1.1\nHost: h.example.org\nX-Api-Key: %s\n---\n200\n\n"},
	{"custom header", "GET /v1/b HTTP/1.1\nHost: h.example.org\nX-Custom: %s\n---\n200\n\n"},
	{"header name", "GET /v1/b HTTP/1.1\nHost: h.example.org\nX-%s-Token: abcdefghijklmnop0123\n---\n200\n\n"},
	{"user agent", "GET /v1/b HTTP/1.1\nHost: h.example.org\nUser-Agent: %s\n---\n200\n\n"},
	{"referer", "GET /v1/b HTTP/1.1\nHost: h.example.org\nReferer: https://x.example.org/?t=%s\n---\n200\n\n"},
	{"cookie", "GET /v1/b HTTP/1.1\nHost: h.example.org\nCookie: a=1; sessionid=%s\n---\n200\n\n"},
	{"unknown cookie", "GET /v1/b HTTP/1.1\nHost: h.example.org\nCookie: pref=%s\n---\n200\n\n"},
	{"cookie name", "GET /v1/b HTTP/1.1\nHost: h.example.org\nCookie: %s=abcdefghijklmnop0123; session_%s=abcdefghijklmnop0123\n---\n200\n\n"},
	{"json value", "POST /v1/j HTTP/1.1\nHost: h.example.org\nContent-Type: application/json\n\n{\"a\":{\"b\":[\"%s\"]}}\n---\n200\n\n"},
	{"json password", "POST /v1/j HTTP/1.1\nHost: h.example.org\nContent-Type: application/json\n\n{\"password\":\"%s\"}\n---\n200\n\n"},
	{"json key", "POST /v1/k HTTP/1.1\nHost: h.example.org\nContent-Type: application/json\n\n{\"m\":{\"%s\":{\"email\":\"a@b.example.org\"}}}\n---\n200\n\n"},
	{"nested json", "POST /v1/n HTTP/1.1\nHost: h.example.org\nContent-Type: application/json\n\n{\"payload\":\"{\\\"token\\\":\\\"%s\\\"}\"}\n---\n200\n\n"},
	{"form value", "POST /v1/f HTTP/1.1\nHost: h.example.org\nContent-Type: application/x-www-form-urlencoded\n\nuser=a&password=%s\n---\n200\n\n"},
	{"form name", "POST /v1/f HTTP/1.1\nHost: h.example.org\nContent-Type: application/x-www-form-urlencoded\n\n%s=1\n---\n200\n\n"},
	{"multipart", "POST /v1/m HTTP/1.1\nHost: h.example.org\nContent-Type: multipart/form-data; boundary=b\n\n--b\nContent-Disposition: form-data; name=\"note\"; filename=\"%s\"\n\n%s\n--b--\n---\n200\n\n"},
	{"xml", "POST /v1/x HTTP/1.1\nHost: h.example.org\nContent-Type: application/xml\n\n<a><token>%s</token><b c=\"%s\"/></a>\n---\n200\n\n"},
	{"text", "POST /v1/t HTTP/1.1\nHost: h.example.org\nContent-Type: text/plain\n\nplease use %s today\n---\n200\n\n"},
	{"response value", "GET /v1/r HTTP/1.1\nHost: h.example.org\n---\n200\nContent-Type: application/json\n\n{\"secret\":\"%s\",\"kind\":\"%s\"}"},
	{"response key", "GET /v1/s HTTP/1.1\nHost: h.example.org\n---\n200\nContent-Type: application/json\n\n{\"%s\":{\"secret\":\"hunter2hunter2\"}}"},
	{"response header", "GET /v1/r HTTP/1.1\nHost: h.example.org\n---\n200\nX-Auth-Token: %s\nLocation: /x?%s\nServer: %s/1.0\n\n"},
	{"response header name", "GET /v1/r HTTP/1.1\nHost: h.example.org\n---\n200\nX-%s: sk_live_0123456789abcdefghijklmn\n\n"},
	{"set-cookie", "GET /v1/r HTTP/1.1\nHost: h.example.org\n---\n200\nSet-Cookie: sid=%s; Path=/\nSet-Cookie: %s=abcdefghijklmnop0123; HttpOnly\n\n"},
	{"content type", "POST /v1/c HTTP/1.1\nHost: h.example.org\nContent-Type: application/%s\n\n{\"a\":1}\n---\n200\nContent-Type: text/%s\n\nx"},
	{"error", "GET /v1/e HTTP/1.1\nHost: h.example.org\n---\n500\nContent-Type: text/plain\n\nFile \"/app/%s.py\", line 1\nFile \"/app/%s.py\", line 2\n"},
	{"html", "GET /v1/w HTTP/1.1\nHost: h.example.org\n---\n200\nContent-Type: text/html\n\n<html><input name=\"%s\" value=\"%s\"></html>"},
	{"origin", "GET /v1/o HTTP/1.1\nHost: h.example.org\nOrigin: https://%s.example.com\n---\n200\nAccess-Control-Allow-Origin: https://%s.example.com\nAccess-Control-Allow-Credentials: true\n\n"},
	{"claims", "GET /v1/jwt HTTP/1.1\nHost: h.example.org\nAuthorization: Bearer %s\n---\n200\n\n"},
}

// TestNoSecretLeaves plants distinct secrets in every place of messages and looks
// for them, plain and encoded, in everything that comes out.
func TestNoSecretLeaves(t *testing.T) {
	secrets := canaries(1080)
	var out strings.Builder
	in := New(Options{Key: analyze.Key{1}, Calls: func(rows []analyze.Call) {
		for i := range rows {
			b, err := json.Marshal(rows[i])
			if err != nil {
				t.Fatal(err)
			}
			out.Write(b)
		}
	}})
	where := map[string]string{}
	for i, s := range secrets {
		p := places[i%len(places)]
		where[s] = p.name
		put := s
		switch p.name {
		case "basic":
			put = base64.StdEncoding.EncodeToString([]byte("user:" + s))
		case "claims":
			b := base64.RawURLEncoding
			put = b.EncodeToString([]byte(`{"alg":"`+s+`","kid":"`+s+`"}`)) + "." + b.EncodeToString([]byte(`{"iss":"`+s+`","sub":"`+s+`","email":"`+s+`"}`)) + ".c2ln"
		}
		if i/len(places)%3 == 2 && strings.Contains(p.name, "quer") {
			put = url.QueryEscape(put)
		}
		for k := range uint64(2) { // seen again, so that enums might be proven
			in.Worker(i % 3).Exchange(talk(uint64(i)*2+k, "10.0.0.1", "10.0.0.2:80", strings.ReplaceAll(p.text, "%s", put)))
		}
	}
	snap := in.Snapshot(nil, nil)
	b, err := json.Marshal(snap)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	text := strings.ToLower(out.String())
	if len(snap.Endpoints) == 0 || len(snap.Findings) < 20 {
		t.Fatalf("too little came out: %d endpoints, %d findings", len(snap.Endpoints), len(snap.Findings))
	}
	leaks := map[string]int{}
	for _, s := range secrets {
		std, raw := base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s))
		for _, form := range []string{s, strings.Trim(std, "="), raw, hex.EncodeToString([]byte(s)), url.QueryEscape(s), url.PathEscape(s)} {
			if i := strings.Index(text, strings.ToLower(form)); i >= 0 {
				leaks[where[s]]++
				if leaks[where[s]] <= 2 {
					t.Errorf("%s: %s leaks: …%s…", where[s], s, text[max(0, i-60):min(len(text), i+len(form)+20)])
				}
				break
			}
		}
	}
	if len(leaks) > 0 {
		t.Errorf("leaks: %v", leaks)
	}
}
