package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plainsight/cmd/internal/pcapgen"
)

// secretKinds draw a secret of a kind; each call gives another.
var secretKinds = []struct {
	name string
	draw func(r *rand.Rand) string
}{
	{"password", func(r *rand.Rand) string { return "Canary-" + letters(r, 9) + "!" + fmt.Sprint(r.IntN(90)+10) }},
	{"token", func(r *rand.Rand) string { return letters(r, 40) }},
	{"hex", func(r *rand.Rand) string { return fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()) }},
	{"card", func(r *rand.Rand) string { return luhn(fmt.Sprintf("453201%09d", r.IntN(1e9))) }},
	{"email", func(r *rand.Rand) string { return strings.ToLower(letters(r, 10)) + "@canarymail.shop" }},
	{"jwt", func(r *rand.Rand) string {
		b64 := base64.RawURLEncoding.EncodeToString
		return b64([]byte(`{"alg":"HS256"}`)) + "." + b64([]byte(`{"sub":"`+letters(r, 12)+`"}`)) + "." + b64([]byte(letters(r, 32)))
	}},
	{"aws", func(r *rand.Rand) string { return "AKIA" + strings.ToUpper(letters(r, 16)) }},
	{"ssn", func(r *rand.Rand) string {
		return fmt.Sprintf("%03d-%02d-%04d", 101+r.IntN(500), 1+r.IntN(98), 1+r.IntN(9998))
	}},
}

func letters(r *rand.Rand, n int) string {
	const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

func luhn(digits string) string {
	total := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		total += d
	}
	return fmt.Sprint(digits, (10-total%10)%10)
}

// message is an HTTP conversation: a request and its answer.
type message struct{ request, response string }

func get(target string, headers ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: canary.test\r\n" + head(headers) + "\r\n"
}

func post(contentType, body string) string {
	return fmt.Sprintf("POST /submit HTTP/1.1\r\nHost: canary.test\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", contentType, len(body), body)
}

func answer(contentType, body string, headers ...string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%sContent-Length: %d\r\n\r\n%s", contentType, head(headers), len(body), body)
}

func head(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l + "\r\n")
	}
	return b.String()
}

func packedJSON(body string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(body))
	z.Close()
	return answer("application/json", b.String(), "Content-Encoding: gzip")
}

const ok = "HTTP/1.1 204 No Content\r\n\r\n"

// places are where a message can hold a secret.
var places = []func(s string) message{
	func(s string) message { return message{get("/files/" + url.PathEscape(s)), ok} },
	func(s string) message { return message{get("/u/" + url.PathEscape(s) + "/profile"), ok} },
	func(s string) message { return message{get("/reset?token=" + url.QueryEscape(s)), ok} },
	func(s string) message { return message{get("/search?q=" + url.QueryEscape(s) + "&page=2"), ok} },
	func(s string) message { return message{get("/a", "Authorization: Bearer "+s), ok} },
	func(s string) message {
		return message{get("/a", "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("bob:"+s))), ok}
	},
	func(s string) message { return message{get("/a", "X-Api-Key: "+s), ok} },
	func(s string) message { return message{get("/a", "X-Trace-Note: "+s), ok} },
	func(s string) message { return message{get("/a", "Cookie: theme=dark; sid="+url.QueryEscape(s)), ok} },
	func(s string) message {
		return message{get("/a", "Referer: https://canary.test/x?key="+url.QueryEscape(s)), ok}
	},
	func(s string) message { return message{get("/a", "User-Agent: agent/1.0 ("+s+")"), ok} },
	func(s string) message { return message{post("application/json", `{"password":"`+s+`"}`), ok} },
	func(s string) message {
		return message{post("application/json", `{"note":"`+s+`","items":[{"v":"`+s+`"}]}`), ok}
	},
	func(s string) message { return message{post("application/json", `{"by_user":{"`+s+`":{"n":1}}}`), ok} },
	func(s string) message {
		return message{post("application/json", `{"inner":"{\"secret\":\"`+s+`\"}"}`), ok}
	},
	func(s string) message {
		return message{post("application/json", `{"blob":"`+base64.StdEncoding.EncodeToString([]byte(`{"secret":"`+s+`"}`))+`"}`), ok}
	},
	func(s string) message {
		return message{post("application/x-www-form-urlencoded", "user=bob&password="+url.QueryEscape(s)), ok}
	},
	func(s string) message {
		return message{post("multipart/form-data; boundary=cut", "--cut\r\nContent-Disposition: form-data; name=\"pin\"\r\n\r\n"+s+"\r\n--cut--\r\n"), ok}
	},
	func(s string) message {
		return message{post("application/xml", "<order><secret>"+s+"</secret></order>"), ok}
	},
	func(s string) message { return message{post("text/plain", "the password is "+s), ok} },
	func(s string) message {
		return message{get("/b"), answer("application/json", `{"token":"`+s+`","email":"`+s+`"}`)}
	},
	func(s string) message { return message{get("/b"), packedJSON(`{"users":[{"ssn":"` + s + `"}]}`)} },
	func(s string) message {
		return message{get("/b"), answer("text/html", "<p>Welcome, your code is "+s+"</p>")}
	},
	func(s string) message {
		return message{get("/b"), answer("application/json", "{}", "Set-Cookie: session="+url.QueryEscape(s)+"; Path=/")}
	},
	func(s string) message {
		return message{get("/b"), "HTTP/1.1 302 Found\r\nLocation: /next?code=" + url.QueryEscape(s) + "\r\nContent-Length: 0\r\n\r\n"}
	},
	func(s string) message {
		return message{get("/b"), "HTTP/1.1 500 Oh\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\nTrailer: X-Debug\r\n\r\n5\r\nTrace\r\n0\r\nX-Debug: " + s + "\r\n\r\n"}
	},
	func(s string) message {
		return message{"GET /c HTTP/1.1\r\nHost: canary.test\r\nX Broken " + s + "\r\n\r\n", ok}
	},
	func(s string) message {
		return message{"GET /d HTTP/1.1\r\nHost: " + url.QueryEscape(s) + ".canary.test\r\n\r\n", ok}
	},
	func(s string) message {
		return message{"GET /d HTTP/1.1\r\nHost: u:" + s + "@canary.test\r\n\r\n", ok}
	},
	func(s string) message {
		return message{"GET http://canary.test/v3/" + url.PathEscape(s) + "?x=1 HTTP/1.1\r\nHost: canary.test\r\n\r\n", ok}
	},
	func(s string) message { return message{get("/v1/a;jsessionid=" + url.PathEscape(s)), ok} },
	func(s string) message { return message{get("/v1/q?" + url.QueryEscape(s) + "=1"), ok} },
	func(s string) message {
		return message{get("/files/signed?X-Amz-Date=20261102T080000Z&X-Amz-Expires=60&X-Amz-Signature=" + url.QueryEscape(s)), ok}
	},
	func(s string) message {
		return message{get("/authorize?response_type=code&client_id=" + url.QueryEscape(s) + "&state=" + url.QueryEscape(s)), ok}
	},
	func(s string) message {
		return message{get("/e", `Authorization: Digest username="`+s+`", response="x"`), ok}
	},
	func(s string) message {
		return message{get("/e", "Authorization: AWS4-HMAC-SHA256 Credential="+s+"/20261102/eu/s3/aws4_request"), ok}
	},
	func(s string) message { return message{get("/e", "Authorization: "+s), ok} },
	func(s string) message { return message{get("/e", "Proxy-Authorization: Bearer "+s), ok} },
	func(s string) message { return message{get("/e", "X-Forwarded-Client-Cert: Subject="+s), ok} },
	func(s string) message {
		return message{get("/e", "X-"+url.QueryEscape(s)+"-Token: abcdefghijklmnop0123"), ok}
	},
	func(s string) message { return message{get("/e", "Cookie: pref="+url.QueryEscape(s)), ok} },
	func(s string) message {
		return message{get("/e", "Cookie: session_"+url.QueryEscape(s)+"=abcdefghijklmnop0123"), ok}
	},
	func(s string) message {
		b64 := base64.RawURLEncoding.EncodeToString
		return message{get("/e", "Authorization: Bearer "+b64([]byte(`{"alg":"`+s+`","kid":"`+s+`"}`))+"."+b64([]byte(`{"iss":"`+s+`","sub":"`+s+`","aud":"`+s+`","email":"`+s+`"}`))+".c2ln"), ok}
	},
	func(s string) message {
		return message{strings.Replace(post("application/json", `{"email":"`+s+`","password":"`+s+`","otp":"123456"}`), "/submit", "/login", 1), "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"}
	},
	func(s string) message {
		return message{strings.Replace(post("application/x-www-form-urlencoded", "grant_type=authorization_code&code="+url.QueryEscape(s)+"&client_id="+url.QueryEscape(s)+"&client_secret="+url.QueryEscape(s)), "/submit", "/token", 1),
			answer("application/json", `{"access_token":"`+s+`","refresh_token":"`+s+`","expires_in":60}`)}
	},
	func(s string) message {
		return message{strings.Replace(post("application/x-www-form-urlencoded", "token="+url.QueryEscape(s)), "/submit", "/oauth/revoke", 1), ok}
	},
	func(s string) message {
		return message{strings.Replace(post("application/json", `{"query":"query Q($t: String) { a(t: $t) }","operationName":"Q","variables":{"t":"`+s+`"}}`), "/submit", "/graphql", 1), answer("application/json", `{"data":{"a":"`+s+`"}}`)}
	},
	func(s string) message {
		return message{strings.Replace(post("application/json", `{"jsonrpc":"2.0","method":"`+s+`","params":["`+s+`"],"id":"`+s+`"}`), "/submit", "/rpc", 1), answer("application/json", `{"jsonrpc":"2.0","error":{"code":-32601,"message":"no `+s+`"}}`)}
	},
	func(s string) message {
		return message{post("application/x-www-form-urlencoded", url.QueryEscape(s)+"=1"), ok}
	},
	func(s string) message {
		return message{post("application/"+url.QueryEscape(s), "{}"), answer("text/"+url.QueryEscape(s), "x")}
	},
	func(s string) message {
		return message{post("application/xml", `<a><b c="`+s+`"/><d xmlns="urn:`+url.QueryEscape(s)+`">1</d></a>`), ok}
	},
	func(s string) message {
		return message{get("/b"), answer("application/json", `{"`+s+`":{"secret":"hunter2hunter2"}}`)}
	},
	func(s string) message {
		return message{get("/b"), answer("application/json", "{}", "X-Auth-Token: "+s, "Server: "+s+"/1.0", "X-"+url.QueryEscape(s)+": sk_live_0123456789abcdefghijklmn", "Set-Cookie: "+url.QueryEscape(s)+"=abcdefghijklmnop0123; HttpOnly")}
	},
	func(s string) message {
		return message{get("/b", "Origin: https://"+url.QueryEscape(s)+".test"), answer("application/json", "{}", "Access-Control-Allow-Origin: https://"+url.QueryEscape(s)+".test", "Access-Control-Allow-Credentials: true")}
	},
	func(s string) message {
		return message{get("/b"), "HTTP/1.1 500 Oh\r\nContent-Type: text/plain\r\nContent-Length: " + fmt.Sprint(66+2*len(s)) + "\r\n\r\nFile \"/app/" + s + ".py\", line 1, in f\nFile \"/app/" + s + ".py\", line 2, in g\n"}
	},
	func(s string) message {
		return message{get("/b"), answer("text/event-stream", "event: "+s+"\ndata: {\"secret\":\""+s+"\"}\n\n")}
	},
}

// TestNoSecretLeavesMemory plants ten thousand secrets in every place of a message
// and looks for each, plain and encoded, in all that comes out.
func TestNoSecretLeavesMemory(t *testing.T) {
	r := rand.New(rand.NewPCG(42, 42))
	dir := t.TempDir()
	capture := filepath.Join(dir, "canary.pcap")
	f, err := os.Create(capture)
	if err != nil {
		t.Fatal(err)
	}
	wire, err := pcapgen.NewWire(f)
	if err != nil {
		t.Fatal(err)
	}
	type canary struct{ kind, value string }
	var planted []canary
	now := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	for i := 0; len(planted) < 10_000; i++ {
		kind := secretKinds[i/len(places)%len(secretKinds)]
		s := kind.draw(r)
		planted = append(planted, canary{kind.name, s})
		m := places[i%len(places)](s)
		c := wire.Open(netip.AddrPortFrom(netip.MustParseAddr("203.0.113.9"), uint16(20000+i)), netip.MustParseAddrPort("198.51.100.9:80"), now)
		c.Data(0, []byte(m.request), now.Add(time.Millisecond))
		c.Data(1, []byte(m.response), now.Add(2*time.Millisecond))
		now = now.Add(10 * time.Millisecond)
		c.Close(now)
	}
	if err := wire.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}

	out, store := filepath.Join(dir, "out"), filepath.Join(dir, "store")
	if err := os.Mkdir(out, 0o700); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(out, name) }
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), []string{"read", "--log-level", "debug", "--store", store, "--key-file", filepath.Join(dir, "key"),
		"--exchanges", in("x.ndjson"), "-o", in("r.html"), "-o", in("r.json"), "-o", in("r.sarif"), "-o", in("r.txt"), capture},
		nil, &stdout, &stderr)
	if code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	seen := map[string][]byte{"stdout": stdout.Bytes(), "stderr": stderr.Bytes()}
	for _, d := range []string{out, store} { // the store's own files too: some are not compressed
		err := filepath.WalkDir(d, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			seen[path], err = os.ReadFile(path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, table := range strings.Fields(query(t, store, "SELECT name FROM system.tables WHERE database = currentDatabase()")) {
		seen["table "+table] = []byte(query(t, store, "SELECT * FROM "+table))
	}
	if len(seen["table calls"]) < 10_000 {
		t.Errorf("the store holds next to nothing: %d bytes of calls", len(seen["table calls"]))
	}
	f8 := newFinder()
	for _, c := range planted {
		for form, s := range encodings(c.value) {
			f8.add(s, c.kind, form)
		}
	}
	leaks := 0
	for where, all := range seen {
		f8.find(all, func(i int, n *needle) {
			if leaks++; leaks < 20 {
				t.Errorf("a %s stands in %s as %s: …%q…", n.kind, where, n.form, all[max(0, i-60):min(len(all), i+len(n.text)+20)])
			}
		})
	}
	// The finder itself: it finds what is there, at both ends too.
	probe, hits := encodings(planted[9999].value)["hex"], 0
	f8.find([]byte(probe+" x "+probe), func(int, *needle) { hits++ })
	if hits < 2 {
		t.Errorf("a secret that is there twice is found %d times", hits)
	}
}

// finder looks for many texts of eight bytes or more at once: by their first
// eight.
type finder struct {
	heads map[uint64][]needle
	maybe [1 << 16]bool // by the last two of the eight
}

type needle struct{ text, kind, form string }

func newFinder() *finder { return &finder{heads: map[uint64][]needle{}} }

func (f *finder) add(text, kind, form string) {
	if len(text) < 8 {
		panic("too short to look for: " + text)
	}
	head := binary.BigEndian.Uint64([]byte(text))
	f.heads[head] = append(f.heads[head], needle{text, kind, form})
	f.maybe[head&0xffff] = true
}

func (f *finder) find(all []byte, found func(i int, n *needle)) {
	var head uint64
	for i, c := range all {
		head = head<<8 | uint64(c)
		if i < 7 || !f.maybe[head&0xffff] {
			continue
		}
		for j, n := range f.heads[head] {
			if bytes.HasPrefix(all[i-7:], []byte(n.text)) {
				found(i-7, &f.heads[head][j])
			}
		}
	}
}

// encodings are the forms in which a secret could slip through.
func encodings(s string) map[string]string {
	e := map[string]string{"text": s, "hex": hex.EncodeToString([]byte(s))}
	if u := url.QueryEscape(s); u != s {
		e["URL"] = u
	}
	for cut := range 3 { // base64 looks different by where it begins
		enc := base64.RawStdEncoding.EncodeToString([]byte(s)[cut : cut+(len(s)-cut)/3*3])
		if len(enc) >= 8 {
			e[fmt.Sprint("base64 ", cut)] = enc
		}
	}
	return e
}

// query asks a store and returns the answer as tab-separated text.
func query(t *testing.T, store, sql string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(context.Background(), []string{"query", "--store", store, "--format", "tsv", sql}, nil, &stdout, &stderr); code != exitDone {
		t.Fatalf("%s: exit code %d: %s", sql, code, stderr.String())
	}
	_, rows, _ := strings.Cut(stdout.String(), "\n")
	return rows
}
