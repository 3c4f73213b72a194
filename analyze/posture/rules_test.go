package posture

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/tally"
)

// talk is a conversation written as on the wire: request, a line of dashes,
// response. Between private addresses in the clear unless it says otherwise.
type talk struct {
	text    string
	from    string // client address; "" is 10.0.0.9
	to      string // server address:port; "" is 10.0.0.1:80
	tls     bool
	hits    []Hit
	times   int // how often it happens; 0 is once
	before  []talk
	soft    bool
	framing Smuggling
	takes   time.Duration
	every   time.Duration // after the one before; 0 is a second
	at      time.Duration // since noon
	expands Expansion     // of the request's body
	host    string        // "" is api.example.org
}

const (
	loop    = "127.0.0.1"
	foreign = "203.0.113.7"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// conclude plays the talks to one endpoint and returns its findings and the
// service's.
func conclude(t *testing.T, template string, talks ...talk) []analyze.Finding {
	t.Helper()
	r := NewReader(analyze.Key{1}, Options{})
	var endpoint, service State
	ledger := NewLedger(LedgerOptions{})
	method := "GET"
	latency := new(tally.Latency)
	frame, clock := uint64(0), time.Duration(0)
	for _, k := range talks {
		for range max(k.times, 1) {
			frame++
			clock += cmp.Or(k.every, time.Second)
			k.at = clock
			o := play(t, r, k, frame)
			method = o.Method
			latency.Add(o.Latency)
			Observe(o, &endpoint, &service)
			ledger.Observe(o, o.Host)
		}
	}
	c := Context{Service: "api.example.org", Method: method, Template: template, Around: service.Stats(), First: now, Last: now, Latency: latency, Home: &service, Ledger: ledger}
	list := endpoint.Findings(c, nil)
	c.Method, c.Template = "", ""
	list = service.Findings(c, list)
	list = ledger.Findings(list)
	Sort(list)
	return list
}

func play(t *testing.T, r *Reader, k talk, frame uint64) *Observation {
	t.Helper()
	request, response, _ := strings.Cut(k.text, "\n---\n")
	head, body, _ := strings.Cut(request, "\n\n")
	lines := strings.Split(head, "\n")
	o := r.Begin()
	o.Time = now.Add(cmp.Or(k.at, time.Duration(frame)*time.Second))
	o.At = tally.Moment{Nano: o.Time.UnixNano(), Frame: frame}
	client, server := k.from, k.to
	if client == "" {
		client = "10.0.0.9"
	}
	if server == "" {
		server = "10.0.0.1:80"
	}
	if client == loop {
		server = loop + ":80"
	}
	o.Client, o.Server = netip.AddrPortFrom(netip.MustParseAddr(client), 40000), netip.MustParseAddrPort(server)
	o.ServerName = server
	if o.Wire = analyze.Plaintext; k.tls {
		o.Wire = analyze.TLS
	}
	o.Host = cmp.Or(k.host, "api.example.org")
	o.SoftFailure = k.soft
	o.Smuggled = k.framing
	var target string
	o.Method, target, _ = strings.Cut(lines[0], " ")
	target = strings.TrimSuffix(target, " HTTP/1.1")
	path, query, _ := strings.Cut(target, "?")
	o.Path = []byte(path)
	o.Peer = PeerOf(o.Client.Addr(), o.Server.Addr())
	o.Latency = k.takes
	o.Expansion[0] = k.expands
	for pair := range strings.SplitSeq(query, "&") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			name, _ = url.QueryUnescape(name)
			value, _ = url.QueryUnescape(value)
			o.Parameter([]byte(name), []byte(value))
		}
	}
	for _, h := range lines[1:] {
		name, value, _ := strings.Cut(h, ": ")
		o.RequestHeader([]byte(name), []byte(value))
	}
	o.RequestBody = []byte(body)
	fields(o, body, func() {
		_, answer, _ := strings.Cut(response, "\n\n")
		o.ResponseBody, o.Items = []byte(answer), strings.Count(answer, "},{")+1
	})
	for pair := range strings.SplitSeq(body, "&") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			o.Field([]byte(name), []byte(value))
		}
	}
	if response != "" {
		head, body, _ = strings.Cut(response, "\n\n")
		lines = strings.Split(head, "\n")
		o.Status, _ = strconv.Atoi(lines[0])
		for _, h := range lines[1:] {
			name, value, _ := strings.Cut(h, ": ")
			o.ResponseHeader([]byte(name), []byte(value))
		}
		o.ResponseBody = []byte(body)
		var answer map[string]any
		if json.Unmarshal(o.ResponseBody, &answer) == nil {
			for name, v := range answer {
				if s, ok := v.(string); ok {
					o.Answer([]byte(name), []byte(s))
				} else if n, ok := v.(float64); ok {
					o.Answer([]byte(name), fmt.Appendf(nil, "%.0f", n))
				}
			}
		}
	}
	for _, h := range k.hits {
		o.Hit(h)
	}
	o.Done()
	return o
}

// fields tells of a JSON body what the inventory tells of it.
func fields(o *Observation, text string, answered func()) {
	answered()
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return
	}
	var walk func(above, key string, v any, depth int)
	walk = func(above, key string, v any, depth int) {
		switch v := v.(type) {
		case map[string]any:
			for name, w := range v {
				o.Key(analyze.InBody, []byte(key), []byte(name))
				walk(key, name, w, depth+1)
			}
		case []any:
			for _, w := range v {
				walk(above, key, w, depth+1)
			}
		case string:
			o.Text([]byte(key), []byte(v))
			if depth == 1 {
				o.Field([]byte(key), []byte(v))
			}
		case nil:
			if depth == 1 {
				o.Field([]byte(key), []byte("null"))
			}
		default:
			if depth == 1 {
				o.Field([]byte(key), fmt.Append(nil, v))
			}
		}
	}
	walk("", "", v, 0)
}

func hit(kind, category string, side analyze.Side, where analyze.Where, name string) []Hit {
	return []Hit{{Kind: kind, Category: category, Place: analyze.Place{Side: side, Where: where, Name: name}, Sample: analyze.Sample{Mask: "ab••••yz", Fingerprint: "00112233445566778899aabb", Length: 20}, Values: 1}}
}

func many(h []Hit, n int) []Hit {
	h[0].Values = n
	return h
}

func sign(secret, header, claims string) string {
	b := base64.RawURLEncoding
	s := b.EncodeToString([]byte(header)) + "." + b.EncodeToString([]byte(claims))
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(s))
	return s + "." + b.EncodeToString(m.Sum(nil))
}

const strongSecret = "ej3Qx0e6bq2N5ZlS8vK1yT4uW7oP9aDc"

func bearer(token string) string { return "Authorization: Bearer " + token }

var (
	hs256 = `{"alg":"HS256","typ":"JWT"}`
	good  = sign(strongSecret, hs256, fmt.Sprintf(`{"iss":"https://id.example.org","sub":"u1","iat":%d,"exp":%d}`, now.Unix()-60, now.Unix()+600))
	body  = func(kind, category, name string) []Hit {
		return hit(kind, category, analyze.Response, analyze.InBody, name)
	}
)

func claims(format string, args ...any) string {
	return sign(strongSecret, hs256, fmt.Sprintf(format, args...))
}

const (
	token32 = "Zk3v9Qw8xN2mB7cR5tY1uJ4hL6pS0dFg"
	ok      = "\n---\n200\nContent-Type: application/json\n\n{\"a\":1}"
)

// cases are conversations on which a rule fires, at least as bad as said, and
// near misses on which it stays silent or, where noted, below.
var cases = []struct {
	rule     string
	template string
	fires    []talk
	worst    analyze.Severity // of the first of fires
	silent   []talk
}{
	{"enc.clear-credential", "/me", []talk{
		{text: "GET /me HTTP/1.1\n" + bearer(token32) + ok},
		{text: "GET /me HTTP/1.1\nCookie: theme=dark; sessionid=k3j4h5g6f7d8s9a0" + ok},
		{text: "POST /login HTTP/1.1\n\nx" + ok, hits: hit("password", "credential", analyze.Request, analyze.InBody, "$.password")},
		{text: "POST /login HTTP/1.1" + "\n---\n200\nSet-Cookie: sid=Zk3v9Qw8xN2mB7cR5tY1; HttpOnly", from: foreign},
		{text: "GET /me HTTP/1.1\nAuthorization: Basic dXNlcjpodW50ZXIyMjIy" + ok},
	}, analyze.High, []talk{
		{text: "GET /me HTTP/1.1\n" + bearer(token32) + ok, tls: true},
		{text: "GET /me HTTP/1.1\nCookie: theme=dark; _ga=GA1.2.1234567890.1234567890" + ok},
		{text: "GET /me HTTP/1.1\nX-Csrf-Token: Zk3v9Qw8xN2mB7cR5tY1uJ4hL6pS0dFg" + ok},
		{text: "GET /me HTTP/1.1\nAuthorization: Bearer null" + ok},
		{text: "GET /me HTTP/1.1\nX-Request-Id: Zk3v9Qw8xN2mB7cR5tY1uJ4hL6pS0dFg" + ok},
		{text: "POST /login HTTP/1.1" + "\n---\n200\nSet-Cookie: sid=; Max-Age=0"},
	}},
	{"key.clear", "/v1/a", []talk{
		{text: "GET /v1/a HTTP/1.1\nX-Api-Key: Zk3v9Qw8xN2mB7cR5tY1" + ok},
		{text: "GET /v1/a?api_key=Zk3v9Qw8xN2mB7cR5tY1 HTTP/1.1" + ok, from: foreign},
		{text: "POST /v1/a HTTP/1.1\n\nx" + ok, hits: hit("aws_access_key_id", "secret", analyze.Request, analyze.InBody, "$.key")},
		{text: "GET /v1/a HTTP/1.1\nAuthorization: ApiKey Zk3v9Qw8xN2mB7cR5tY1" + ok},
		{text: "GET /v1/a HTTP/1.1\nOcp-Apim-Subscription-Key: 0123456789abcdef0123456789abcdef" + ok},
	}, analyze.High, []talk{
		{text: "GET /v1/a HTTP/1.1\nX-Api-Key: Zk3v9Qw8xN2mB7cR5tY1" + ok, tls: true},
		{text: "GET /v1/a HTTP/1.1\nX-Api-Key: pk_live_9Qw8xN2mB7cR5tY1" + ok},
		{text: "GET /v1/a HTTP/1.1\nIdempotency-Key: Zk3v9Qw8xN2mB7cR5tY1" + ok},
		{text: "GET /v1/a?page_token=Zk3v9Qw8xN2mB7cR5tY1 HTTP/1.1" + ok},
		{text: "GET /v1/a?key=name HTTP/1.1" + ok},
	}},
	{"enc.clear-sensitive", "/u", []talk{
		{text: "GET /u HTTP/1.1" + ok, hits: body("credit_card", "pci", "$.card")},
		{text: "GET /u HTTP/1.1" + ok, hits: body("us_ssn", "pii", "$.ssn"), from: foreign},
		{text: "POST /u HTTP/1.1\n\nx" + ok, hits: hit("iban", "financial", analyze.Request, analyze.InBody, "$.iban")},
		{text: "GET /u HTTP/1.1" + ok, hits: body("email", "pii", "$.email")},
		{text: "GET /u HTTP/1.1" + ok, hits: body("diagnosis_code", "phi", "$.dx")},
	}, analyze.Critical, []talk{
		{text: "GET /u HTTP/1.1" + ok, hits: body("credit_card", "pci", "$.card"), tls: true},
		{text: "GET /u HTTP/1.1" + ok, hits: body("ip_address", "pii", "$.ip")},
		{text: "GET /u HTTP/1.1" + ok, hits: body("postal_code", "pii", "$.zip")},
		{text: "GET /u HTTP/1.1" + ok, hits: body("geo_location", "location", "$.lat")},
		{text: "GET /u HTTP/1.1" + ok, hits: body("api_key", "secret", "$.k")},
	}},
	{"enc.clear-edge", "/", []talk{{text: "GET / HTTP/1.1" + ok}, {text: "GET / HTTP/1.1", from: foreign}}, analyze.Low,
		[]talk{{text: "GET / HTTP/1.1" + ok, tls: true}, {text: "GET / HTTP/1.1", tls: true, from: foreign}}},
	{"enc.redirect-leak", "/me", []talk{
		{text: "GET /me HTTP/1.1\n" + bearer(token32) + "\n---\n301\nLocation: https://api.example.org/me"},
		{text: "GET /me HTTP/1.1\nX-Api-Key: Zk3v9Qw8xN2mB7cR5tY1\n---\n308\nLocation: https://api.example.org/me", from: foreign},
	}, analyze.High, []talk{
		{text: "GET /me HTTP/1.1\n---\n301\nLocation: https://api.example.org/me"},
		{text: "GET /me HTTP/1.1\n" + bearer(token32) + "\n---\n301\nLocation: /me/"},
		{text: "GET /me HTTP/1.1\n" + bearer(token32) + "\n---\n301\nLocation: https://api.example.org/me", tls: true},
	}},
	{"enc.both-schemes", "/a", []talk{{text: "GET /a HTTP/1.1" + ok, before: []talk{{text: "GET /a HTTP/1.1" + ok, tls: true}}}}, analyze.Medium, []talk{
		{text: "GET /a HTTP/1.1\n---\n301\nLocation: https://x/", before: []talk{{text: "GET /a HTTP/1.1" + ok, tls: true}}},
		{text: "GET /a HTTP/1.1" + ok, times: 3},
	}},
	{"enc.no-hsts", "/", []talk{{text: "GET / HTTP/1.1\nUser-Agent: Mozilla/5.0" + ok, tls: true, times: 20}}, analyze.Low, []talk{
		{text: "GET / HTTP/1.1\nUser-Agent: Mozilla/5.0" + ok, tls: true, times: 19},
		{text: "GET / HTTP/1.1\nUser-Agent: curl/8" + ok, tls: true, times: 30},
		{text: "GET / HTTP/1.1\nUser-Agent: Mozilla/5.0\n---\n200\nStrict-Transport-Security: max-age=63072000", tls: true, times: 30},
	}},
	{"enc.cookie-flags", "/login", []talk{
		{text: "POST /login HTTP/1.1\n---\n200\nSet-Cookie: sessionid=k3j4h5g6f7d8s9a0; HttpOnly; SameSite=Lax", tls: true},
		{text: "POST /login HTTP/1.1\n---\n200\nSet-Cookie: JSESSIONID=0123456789ABCDEF; Secure; HttpOnly", tls: true},
		{text: "POST /login HTTP/1.1\n---\n200\nSet-Cookie: app=Zk3v9Qw8xN2mB7cR5tY1uJ4h; HttpOnly", tls: true},
		{text: "POST /login HTTP/1.1\n---\n200\nSet-Cookie: auth_token=" + good + "; Secure", tls: true},
		{text: "POST /login HTTP/1.1\n---\n302\nSet-Cookie: PHPSESSID=k3j4h5g6f7d8s9a0; path=/"},
	}, analyze.Medium, []talk{
		{text: "POST /login HTTP/1.1\n---\n200\nSet-Cookie: sessionid=k3j4h5g6f7d8s9a0; Secure; HttpOnly; SameSite=Lax", tls: true},
		{text: "GET / HTTP/1.1\n---\n200\nSet-Cookie: theme=dark-and-stormy", tls: true},
		{text: "GET / HTTP/1.1\n---\n200\nSet-Cookie: csrftoken=Zk3v9Qw8xN2mB7cR5tY1uJ4hL6pS0dFg", tls: true},
		{text: "GET / HTTP/1.1\n---\n200\nSet-Cookie: comment_author_5c016e8f=Zk3v9Qw8xN2mB7cR5tY1", tls: true},
		{text: "GET / HTTP/1.1\n---\n200\nSet-Cookie: _ga=GA1.2.1234567890.1234567890", tls: true},
		{text: "POST /logout HTTP/1.1\n---\n200\nSet-Cookie: sessionid=deleted00; Max-Age=0", tls: true},
	}},
	{"auth.none", "/users/{id}", []talk{
		{text: "GET /users/1 HTTP/1.1" + ok, hits: body("us_ssn", "pii", "$.ssn")},
		{text: "GET /users/1 HTTP/1.1" + ok, hits: body("email", "pii", "$.email")},
		{text: "GET /users/1 HTTP/1.1" + ok, times: 20},
		{text: "DELETE /users/1 HTTP/1.1\n---\n204", times: 25},
		{text: "GET /users HTTP/1.1" + ok, hits: many(body("email", "pii", "$[].email"), 7), from: foreign},
	}, analyze.High, []talk{
		{text: "GET /users/1 HTTP/1.1" + ok, times: 19},
		{text: "GET /users/1 HTTP/1.1\n" + bearer(token32) + ok, hits: body("us_ssn", "pii", "$.ssn")},
		{text: "POST /login HTTP/1.1" + ok, hits: body("email", "pii", "$.email")},
		{text: "GET /users/1 HTTP/1.1\nX-Consumer-Id: 7" + ok, hits: body("us_ssn", "pii", "$.ssn")},
		{text: "GET /users/1 HTTP/1.1\n---\n401\n\n{}", hits: body("us_ssn", "pii", "$.ssn"), times: 30},
		{text: "POST /pay HTTP/1.1\nStripe-Signature: t=1,v1=ab" + ok, times: 30},
		{text: "POST /chat.post HTTP/1.1\n\ntoken=x" + ok, hits: hit("slack_token", "secret", analyze.Request, analyze.InBody, "$.token"), times: 30},
		{text: "PUT /chat HTTP/1.1\nX-Plex-Token: abcd" + ok, times: 30},
		{text: "GET /users/1 HTTP/1.1\nCookie: app=Zk3v9Qw8xN2mB7cR5tY1uJ4h" + ok, hits: body("us_ssn", "pii", "$.ssn")},
		{text: "GET /f/1?X-Amz-Signature=abcdef0123456789abcdef HTTP/1.1" + ok, times: 30},
		{text: "GET /logo/1 HTTP/1.1\n---\n200\nContent-Type: image/png\n\nx", times: 30},
	}},
	{"auth.mixed", "/users/{id}", []talk{
		{text: "GET /users/1 HTTP/1.1" + ok, hits: body("us_ssn", "pii", "$.ssn"), times: 5, before: []talk{
			{text: "GET /users/1 HTTP/1.1\n" + bearer(token32) + ok, times: 5}, {text: "GET /admin HTTP/1.1\n---\n403"}}},
	}, analyze.High, []talk{
		{text: "GET /users/1 HTTP/1.1" + ok, times: 5, before: []talk{{text: "GET /users/1 HTTP/1.1\n" + bearer(token32) + ok, times: 5}, {text: "GET /admin HTTP/1.1\n---\n403"}}},
		{text: "GET /users/1 HTTP/1.1" + ok, hits: body("us_ssn", "pii", "$.ssn"), times: 4, before: []talk{{text: "GET /users/1 HTTP/1.1\n" + bearer(token32) + ok, times: 5}, {text: "GET /admin HTTP/1.1\n---\n403"}}},
		{text: "GET /users/1 HTTP/1.1" + ok, hits: body("us_ssn", "pii", "$.ssn"), times: 5, before: []talk{{text: "GET /users/1 HTTP/1.1\n" + bearer(token32) + ok, times: 5}}},
	}},
	{"auth.ignored", "/users/{id}", []talk{
		{text: "GET /users/1 HTTP/1.1\nAuthorization: Bearer undefined" + ok, before: []talk{{text: "GET /users/1 HTTP/1.1\n" + bearer(token32) + ok}, {text: "GET /x HTTP/1.1\n---\n401"}}},
		{text: "GET /users/1 HTTP/1.1\nAuthorization: Bearer " + ok, before: []talk{{text: "GET /users/1 HTTP/1.1\n" + bearer(token32) + ok}, {text: "GET /x HTTP/1.1\n---\n401"}}},
	}, analyze.Critical, []talk{
		{text: "GET /users/1 HTTP/1.1\nAuthorization: Bearer undefined" + ok},
		{text: "GET /users/1 HTTP/1.1\nAuthorization: Bearer undefined\n---\n401", before: []talk{{text: "GET /users/1 HTTP/1.1\n" + bearer(token32) + ok}}},
		{text: "POST /login HTTP/1.1\nAuthorization: Bearer null" + ok, before: []talk{{text: "GET /users/1 HTTP/1.1\n" + bearer(token32) + ok}, {text: "GET /x HTTP/1.1\n---\n401"}}},
	}},
	{"jwt.alg-none", "/me", []talk{
		{text: "GET /me HTTP/1.1\n" + bearer(sign("x", `{"alg":"none"}`, `{"sub":"admin"}`)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(sign("x", `{"alg":"nOnE"}`, `{"sub":"admin"}`)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(sign("x", `{"typ":"JWT"}`, `{"sub":"admin"}`)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(good[:strings.LastIndexByte(good, '.')+1]) + ok},
		{text: "GET /me HTTP/1.1\nCookie: token=" + sign("x", `{"alg":"NONE"}`, `{"sub":"admin"}`) + ok, tls: true},
	}, analyze.Critical, []talk{
		{text: "GET /me HTTP/1.1\n" + bearer(good) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(token32) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer("eyJhbGciOiJub25lIn0.bm90LWpzb24.x") + ok},
		{text: "GET /me HTTP/1.1\n" + bearer("eyJhbGciOiJub25lIn0.e30") + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(sign("x", `{"alg":"ES256"}`, `{"sub":"a"}`)) + ok},
	}},
	{"jwt.weak-secret", "/me", []talk{
		{text: "GET /me HTTP/1.1\n" + bearer(sign("secret", hs256, `{"sub":"u"}`)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(sign("your-256-bit-secret", hs256, `{"sub":"u"}`)) + ok, tls: true},
		{text: "GET /me HTTP/1.1\nX-Access-Token: " + sign("changeme", hs256, `{"sub":"u"}`) + ok, tls: true},
		{text: "GET /me HTTP/1.1\nCookie: jwt=" + sign("123456", hs256, `{"sub":"u"}`) + ok, tls: true},
		{text: "GET /me?jwt=" + sign("key", hs256, `{"sub":"u"}`) + " HTTP/1.1" + ok, tls: true},
	}, analyze.Critical, []talk{
		{text: "GET /me HTTP/1.1\n" + bearer(good) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(sign("secret", `{"alg":"RS256"}`, `{"sub":"u"}`)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(sign("secret", `{"alg":"HS512"}`, `{"sub":"u"}`)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(sign("secret ", hs256, `{"sub":"u"}`)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer("secret") + ok},
	}},
	{"jwt.expired-accepted", "/me", []talk{
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u","exp":%d}`, now.Unix()-3600)) + ok, times: 2, before: []talk{{text: "GET /x HTTP/1.1\n---\n401"}}},
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u","exp":%d}`, now.Unix()-150)) + ok, times: 3},
	}, analyze.High, []talk{
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u","exp":%d}`, now.Unix()-3600)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u","exp":%d}`, now.Unix()-60)) + ok, times: 9},
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u","exp":%d}`, now.Unix()-3600)) + "\n---\n401", times: 9},
		{text: "POST /token HTTP/1.1\n" + bearer(claims(`{"sub":"u","exp":%d}`, now.Unix()-3600)) + ok, times: 9},
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u","typ":"refresh","exp":%d}`, now.Unix()-3600)) + ok, times: 9},
	}},
	{"jwt.no-exp", "/me", []talk{
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u"}`)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u","exp":"soon"}`)) + ok},
		{text: "GET /me HTTP/1.1\nX-Auth-Token: " + claims(`{"uid":7,"iat":1}`) + ok, tls: true},
	}, analyze.Medium, []talk{
		{text: "GET /me HTTP/1.1\n" + bearer(good) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u"}`)) + "\n---\n401"},
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u","token_use":"refresh"}`)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(token32) + ok},
	}},
	{"jwt.long", "/me", []talk{
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u","iat":%d,"exp":%d}`, now.Unix(), now.Unix()+30*86400)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u","exp":%d}`, now.Unix()+2*86400)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"x@clients","iat":%d,"exp":%d}`, now.Unix(), now.Unix()+100*86400)) + ok},
	}, analyze.Medium, []talk{
		{text: "GET /me HTTP/1.1\n" + bearer(good) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"x@clients","iat":%d,"exp":%d}`, now.Unix(), now.Unix()+30*86400)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u","typ":"Refresh","iat":%d,"exp":%d}`, now.Unix(), now.Unix()+30*86400)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u","iat":%d,"exp":%d}`, now.Unix(), now.Unix()+86000)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u","iat":%d,"exp":%d}`, now.Unix(), now.Unix()+30*86400)) + "\n---\n401"},
	}},
	{"jwt.not-yet-valid", "/me", []talk{
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u","nbf":%d,"exp":%d}`, now.Unix()+3600, now.Unix()+7200)) + ok},
	}, analyze.Medium, []talk{
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u","nbf":%d,"exp":%d}`, now.Unix()+60, now.Unix()+7200)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u","nbf":%d,"exp":%d}`, now.Unix()+3600, now.Unix()+7200)) + "\n---\n401"},
		{text: "GET /me HTTP/1.1\n" + bearer(good) + ok},
	}},
	{"jwt.header-abuse", "/me", []talk{
		{text: "GET /me HTTP/1.1\n" + bearer(sign("x", `{"alg":"RS256","jku":"https://evil.example.net/k"}`, `{"iss":"https://id.example.org","sub":"u"}`)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(sign("x", `{"alg":"HS256","kid":"../../dev/null"}`, `{"sub":"u"}`)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(sign("x", `{"alg":"HS256","kid":"k' UNION SELECT 1 --"}`, `{"sub":"u"}`)) + "\n---\n401"},
		{text: "GET /me HTTP/1.1\n" + bearer(sign("x", `{"alg":"RS256","jwk":{"kty":"RSA"}}`, `{"sub":"u"}`)) + ok},
	}, analyze.High, []talk{
		{text: "GET /me HTTP/1.1\n" + bearer(sign("x", `{"alg":"RS256","jku":"https://id.example.org/keys"}`, `{"iss":"https://id.example.org","sub":"u"}`)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(sign("x", `{"alg":"RS256","kid":"2026-key_1"}`, `{"sub":"u"}`)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(good) + ok},
	}},
	{"jwt.confusion", "/me", []talk{
		{text: "GET /me HTTP/1.1\n" + bearer(sign("x", `{"alg":"RS256","kid":"k1"}`, `{"iss":"https://id","sub":"u"}`)) + ok, before: []talk{
			{text: "GET /me HTTP/1.1\n" + bearer(sign("x", `{"alg":"HS256","kid":"k1"}`, `{"iss":"https://id","sub":"u"}`)) + ok}}},
	}, analyze.Critical, []talk{
		{text: "GET /me HTTP/1.1\n" + bearer(sign("x", `{"alg":"RS256","kid":"k1"}`, `{"iss":"https://id","sub":"u"}`)) + ok, before: []talk{
			{text: "GET /me HTTP/1.1\n" + bearer(sign("x", `{"alg":"HS256","kid":"k2"}`, `{"iss":"https://id","sub":"u"}`)) + ok}}},
		{text: "GET /me HTTP/1.1\n" + bearer(sign("x", `{"alg":"RS256","kid":"k1"}`, `{"iss":"https://id","sub":"u"}`)) + ok, before: []talk{
			{text: "GET /me HTTP/1.1\n" + bearer(sign("x", `{"alg":"HS256","kid":"k1"}`, `{"iss":"https://id","sub":"u"}`)) + "\n---\n401"}}},
		{text: "GET /me HTTP/1.1\n" + bearer(good) + ok, times: 3},
	}},
	{"jwt.sensitive-claims", "/me", []talk{
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u","ssn":"078-05-1120"}`)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u","password":"hunter2"}`)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u","card":"4111111111111111"}`)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u","email":"jo@example.org"}`)) + ok},
	}, analyze.Medium, []talk{
		{text: "GET /me HTTP/1.1\n" + bearer(good) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u","ssn":true,"cardinality":12}`)) + ok},
		{text: "GET /me HTTP/1.1\n" + bearer(claims(`{"sub":"u","jti":"4111111111111111"}`)) + ok},
	}},
	{"tok.in-url", "/me", []talk{
		{text: "GET /me?access_token=" + token32 + " HTTP/1.1" + ok, tls: true},
		{text: "GET /me?token=" + token32 + " HTTP/1.1" + ok, tls: true},
		{text: "GET /me?t=1&jwt=" + good + " HTTP/1.1" + ok, tls: true},
		{text: "GET /me;jsessionid=0123456789ABCDEF HTTP/1.1" + ok, tls: true},
		{text: "GET /me HTTP/1.1" + ok, tls: true, hits: hit("jwt", "credential", analyze.Request, analyze.InPath, "2")},
	}, analyze.High, []talk{
		{text: "GET /me?token=abc HTTP/1.1" + ok, tls: true},
		{text: "GET /me?page_token=" + token32 + " HTTP/1.1" + ok, tls: true},
		{text: "GET /me?cursor=" + token32 + " HTTP/1.1" + ok, tls: true},
		{text: "GET /me?token=please-tell-me-the-token HTTP/1.1" + ok, tls: true},
		{text: "GET /me?q=session HTTP/1.1\n" + bearer(token32) + ok, tls: true},
		{text: "GET /me?csrf_token=" + token32 + " HTTP/1.1" + ok, tls: true},
	}},
	{"key.in-url", "/m", []talk{
		{text: "GET /m?api_key=0123456789abcdef HTTP/1.1" + ok, tls: true},
		{text: "GET /m?key=AIzaSyA1234567890abcdefghijklmnopqrstuv HTTP/1.1" + ok, tls: true},
		{text: "GET /m?appkey=0123456789abcdef HTTP/1.1" + ok, tls: true},
		{text: "GET /m HTTP/1.1" + ok, tls: true, hits: hit("github_token", "secret", analyze.Request, analyze.InQuery, "q")},
	}, analyze.High, []talk{
		{text: "GET /m?key=title HTTP/1.1" + ok, tls: true},
		{text: "GET /m?api_key= HTTP/1.1" + ok, tls: true},
		{text: "GET /m?api_key=pk_live_0123456789abcdef HTTP/1.1" + ok, tls: true},
		{text: "GET /m?idempotency_key=0123456789abcdef HTTP/1.1" + ok, tls: true},
		{text: "GET /m HTTP/1.1\nX-Api-Key: 0123456789abcdef" + ok, tls: true},
	}},
	{"basic.used", "/m", []talk{
		{text: "GET /m HTTP/1.1\nAuthorization: Basic dXNlcjpodW50ZXIyMjIy" + ok, tls: true},
		{text: "GET /m HTTP/1.1\nAuthorization: basic dXNlcjpodW50ZXIyMjIy" + ok},
	}, analyze.Medium, []talk{
		{text: "GET /m HTTP/1.1\nAuthorization: Basic dXNlcjpodW50ZXIyMjIy" + ok, from: loop},
		{text: "GET /m HTTP/1.1\n" + bearer(token32) + ok},
		{text: "GET /m HTTP/1.1\nAuthorization: Basic " + ok},
	}},
	{"basic.weak", "/m", []talk{
		{text: "GET /m HTTP/1.1\nAuthorization: Basic " + base64.StdEncoding.EncodeToString([]byte("admin:admin")) + ok, tls: true},
		{text: "GET /m HTTP/1.1\nAuthorization: Basic " + base64.StdEncoding.EncodeToString([]byte("jo:password123")) + ok, tls: true},
		{text: "GET /m HTTP/1.1\nAuthorization: Basic " + base64.StdEncoding.EncodeToString([]byte("jo:abc")) + ok, from: loop},
	}, analyze.High, []talk{
		{text: "GET /m HTTP/1.1\nAuthorization: Basic " + base64.StdEncoding.EncodeToString([]byte("jo:correct horse battery")) + ok},
		{text: "GET /m HTTP/1.1\nAuthorization: Basic " + base64.StdEncoding.EncodeToString([]byte("sk_live_0123456789abcdef:")) + ok},
		{text: "GET /m HTTP/1.1\nAuthorization: Basic " + base64.StdEncoding.EncodeToString([]byte("admin:admin")) + "\n---\n401"},
	}},
	{"key.weak", "/m", []talk{
		{text: "GET /m HTTP/1.1\nX-Api-Key: changeme" + ok, tls: true},
		{text: "GET /m?api_key=123456 HTTP/1.1" + ok, tls: true},
	}, analyze.High, []talk{
		{text: "GET /m HTTP/1.1\nX-Api-Key: changeme\n---\n401", tls: true},
		{text: "GET /m HTTP/1.1\nX-Api-Key: 0123456789abcdef" + ok, tls: true},
		{text: "GET /m?key=test HTTP/1.1" + ok, tls: true},
	}},
	{"key.test-in-prod", "/m", []talk{
		{text: "GET /m HTTP/1.1\n" + bearer("sk_test_4eC39HqLyjWDarjtT1zdp7dc") + ok, tls: true},
		{text: "GET /m HTTP/1.1\nX-Api-Key: sandbox_4eC39HqLyjWDarjtT1" + ok, tls: true},
	}, analyze.Medium, []talk{
		{text: "GET /m HTTP/1.1\n" + bearer("sk_test_4eC39HqLyjWDarjtT1zdp7dc") + "\n---\n401", tls: true},
		{text: "GET /m HTTP/1.1\n" + bearer("sk_test_4eC39HqLyjWDarjtT1zdp7dc") + ok, from: loop},
		{text: "GET /m HTTP/1.1\n" + bearer("sk_live_4eC39HqLyjWDarjtT1zdp7dc") + ok, tls: true},
	}},
	{"oauth.implicit", "/authorize", []talk{
		{text: "GET /authorize?response_type=token&client_id=app&state=x HTTP/1.1\n---\n302", tls: true},
		{text: "GET /authorize?response_type=id_token+token&client_id=app&nonce=x HTTP/1.1\n---\n302", tls: true},
	}, analyze.Medium, []talk{
		{text: "GET /authorize?response_type=code&client_id=app&state=x HTTP/1.1\n---\n302", tls: true},
		{text: "GET /list?response_type=token HTTP/1.1" + ok, tls: true},
	}},
	{"oauth.password-grant", "/token", []talk{{text: "POST /token HTTP/1.1\n\ngrant_type=password&username=jo&password=x" + ok, tls: true}}, analyze.Medium, []talk{
		{text: "POST /token HTTP/1.1\n\ngrant_type=client_credentials" + ok, tls: true},
		{text: "POST /token HTTP/1.1\n\nnote=grant_type is password" + ok, tls: true},
	}},
	{"oauth.no-state", "/authorize", []talk{{text: "GET /authorize?response_type=code&client_id=app HTTP/1.1\n---\n302", tls: true}}, analyze.Low, []talk{
		{text: "GET /authorize?response_type=code&client_id=app&state=x HTTP/1.1\n---\n302", tls: true},
		{text: "GET /authorize?response_type=code&client_id=app&nonce=x HTTP/1.1\n---\n302", tls: true},
		{text: "GET /authorize?response_type=code&client_id=app&code_challenge=x HTTP/1.1\n---\n302", tls: true},
	}},
	{"oauth.http-redirect", "/authorize", []talk{{text: "GET /authorize?response_type=code&client_id=app&state=x&redirect_uri=http%3A%2F%2Fapp.example.net%2Fcb HTTP/1.1\n---\n302", tls: true}}, analyze.High, []talk{
		{text: "GET /authorize?response_type=code&client_id=app&state=x&redirect_uri=https%3A%2F%2Fapp.example.net%2Fcb HTTP/1.1\n---\n302", tls: true},
		{text: "GET /authorize?response_type=code&client_id=app&state=x&redirect_uri=http%3A%2F%2F127.0.0.1:9%2Fcb HTTP/1.1\n---\n302", tls: true},
		{text: "GET /authorize?response_type=code&client_id=app&state=x&redirect_uri=http%3A%2F%2Flocalhost%2Fcb HTTP/1.1\n---\n302", tls: true},
	}},
	{"oauth.secret-in-url", "/token", []talk{{text: "POST /token?client_id=app&client_secret=s3cr3tvalue HTTP/1.1" + ok, tls: true}}, analyze.High, []talk{
		{text: "POST /token?client_id=app&client_secret= HTTP/1.1" + ok, tls: true},
		{text: "POST /token HTTP/1.1\n\nclient_secret=s3cr3tvalue" + ok, tls: true},
	}},
	{"reset.token-in-url", "/reset-password", []talk{{text: "GET /reset-password?token=" + token32 + " HTTP/1.1" + ok, tls: true}}, analyze.Medium, []talk{
		{text: "POST /reset-password?token=" + token32 + " HTTP/1.1" + ok, tls: true},
		{text: "GET /reset-password?step=2 HTTP/1.1" + ok, tls: true},
		{text: "GET /orders?token=" + token32 + " HTTP/1.1" + ok, tls: true},
	}},
	{"bfla.admin", "/admin/users", []talk{
		{text: "GET /admin/users HTTP/1.1" + ok},
		{text: "DELETE /api/internal/cache HTTP/1.1\n---\n204", tls: true},
		{text: "GET /api/v1/ADMIN/stats HTTP/1.1" + ok, from: foreign},
	}, analyze.High, []talk{
		{text: "GET /admin/users HTTP/1.1\n" + bearer(token32) + ok},
		{text: "GET /administer/users HTTP/1.1" + ok},
		{text: "GET /admin/users HTTP/1.1\n---\n403"},
		{text: "GET /admin HTTP/1.1\n---\n200\nContent-Type: text/html\n\n<html>login"},
		{text: "POST /admin/login HTTP/1.1" + ok},
		{text: "GET /admin/app.js HTTP/1.1\n---\n200\nContent-Type: application/javascript\n\nx"},
	}},
	{"doc.zombie", "/v1/a", []talk{
		{text: "GET /v1/a HTTP/1.1\n---\n200\nSunset: Sat, 31 Jan 2026 00:00:00 GMT"},
		{text: "GET /v1/a HTTP/1.1\n---\n200\nDeprecation: true"},
		{text: "GET /v1/a HTTP/1.1\n---\n200\nDeprecation: @1688169599"},
	}, analyze.Medium, []talk{
		{text: "GET /v1/a HTTP/1.1\n---\n200\nSunset: Sat, 31 Jan 2032 00:00:00 GMT"},
		{text: "GET /v1/a HTTP/1.1\n---\n410\nSunset: Sat, 31 Jan 2026 00:00:00 GMT"},
		{text: "GET /v1/a HTTP/1.1" + ok},
	}},
	{"doc.exposed", "/openapi.json", []talk{
		{text: "GET /openapi.json HTTP/1.1\n---\n200\nContent-Type: application/json\n\n{\"openapi\": \"3.1.0\", \"paths\":{}}"},
		{text: "GET /v2/api-docs HTTP/1.1\n---\n200\nContent-Type: application/json\n\n{\"swagger\":\"2.0\"}"},
		{text: "GET /x.yaml HTTP/1.1\n---\n200\n\nopenapi: 3.0.3\npaths: {}", from: foreign},
	}, analyze.Low, []talk{
		{text: "GET /openapi.json HTTP/1.1\n---\n200\nContent-Type: text/html\n\n<html>"},
		{text: "GET /openapi.json HTTP/1.1\n" + bearer(token32) + "\n---\n200\n\n{\"openapi\":\"3.1.0\"}"},
		{text: "GET /apps HTTP/1.1\n---\n200\n\n{\"openapi\":true}"},
		{text: "GET /openapi.json HTTP/1.1\n---\n404\n\n{\"openapi\":\"3.1.0\"}"},
	}},
	{"doc.secret-in-doc", "/openapi.json", []talk{
		{text: "GET /openapi.json HTTP/1.1\n---\n200\n\n{\"openapi\": \"3.1.0\"}", hits: body("stripe_key", "secret", "$.example")},
	}, analyze.High, []talk{
		{text: "GET /openapi.json HTTP/1.1\n---\n200\n\n{\"openapi\": \"3.1.0\"}", hits: body("email", "pii", "$.info.contact.email")},
		{text: "GET /conf HTTP/1.1\n---\n200\n\n{\"a\": 1}", hits: body("stripe_key", "secret", "$.example")},
	}},
	{"inv.debug-surface", "/x", []talk{
		{text: "GET /actuator/env HTTP/1.1\n---\n200\n\n{\"activeProfiles\":[],\"propertySources\":[]}"},
		{text: "GET /.env HTTP/1.1\n---\n200\n\nDB_HOST=db\nDB_PASSWORD=x\n", from: foreign},
		{text: "GET /debug/pprof/ HTTP/1.1\n---\n200\n\nTypes of profiles available"},
		{text: "GET /.git/HEAD HTTP/1.1\n---\n200\n\nref: refs/heads/main"},
		{text: "GET /api/metrics HTTP/1.1\n---\n200\n\n# HELP go_goroutines n\n# TYPE go_goroutines gauge"},
	}, analyze.Medium, []talk{
		{text: "GET /actuator/env HTTP/1.1\n---\n200\n\n<html>our shop</html>"},
		{text: "GET /.env HTTP/1.1\n---\n200\n\n<html><a href=x></a></html>"},
		{text: "GET /actuator/env HTTP/1.1\n---\n404\n\n{\"propertySources\":1}"},
		{text: "GET /metrics HTTP/1.1\n---\n200\n\n{\"orders\":7}"},
		{text: "GET /environment HTTP/1.1\n---\n200\n\n{\"propertySources\":[]}"},
	}},
	{"smuggle", "/a", []talk{
		{text: "POST /a HTTP/1.1" + ok, framing: BothLengths},
		{text: "POST /a HTTP/1.1" + ok, framing: TwoLengths},
		{text: "POST /a HTTP/1.1" + ok, framing: BadChunk},
		{text: "GET /a HTTP/1.1" + ok, framing: FoldedHeader},
		{text: "GET /a HTTP/1.1\n---\n400", framing: BothLengths | SpacedHeader},
	}, analyze.High, []talk{{text: "POST /a HTTP/1.1\nContent-Length: 3\n\nabc" + ok}, {text: "POST /a HTTP/1.1\nTransfer-Encoding: chunked\n\nabc" + ok}}},
	{"gql.introspection", "/graphql", []talk{{text: "POST /graphql HTTP/1.1\n\n{\"query\":\"{__schema{types{name}}}\"}\n---\n200\n\n{\"data\":{\"__schema\":{\"types\":[]}}}"}}, analyze.Low, []talk{
		{text: "POST /graphql HTTP/1.1\n\n{\"query\":\"{__schema{types{name}}}\"}\n---\n200\n\n{\"errors\":[]}"},
		{text: "POST /graphql HTTP/1.1\n" + bearer(token32) + "\n\n{}\n---\n200\n\n{\"data\":{\"__schema\":{\"types\":[]}}}"},
		{text: "POST /graphql HTTP/1.1\n\n{}\n---\n200\n\n{\"data\":{\"a\":\"__schema\"}}"},
	}},
	{"pii.card", "/u", []talk{
		{text: "GET /u HTTP/1.1\n" + bearer(token32) + ok, hits: body("credit_card", "pci", "$.card"), tls: true},
		{text: "GET /u HTTP/1.1" + ok, hits: body("credit_card", "pci", "$.card")},
		{text: "GET /u HTTP/1.1" + ok, hits: body("card_cvv", "pci", "$.cvv"), tls: true},
	}, analyze.High, []talk{
		{text: "POST /u HTTP/1.1" + ok, hits: hit("credit_card", "pci", analyze.Request, analyze.InBody, "$.card"), tls: true},
		{text: "GET /u HTTP/1.1\n---\n404\n\nx", hits: body("credit_card", "pci", "$.card"), tls: true},
		{text: "GET /u HTTP/1.1" + ok, hits: body("card_expiry", "pci", "$.exp"), tls: true},
	}},
	{"pii.ssn", "/u", []talk{{text: "GET /u HTTP/1.1" + ok, hits: body("us_ssn", "pii", "$.ssn"), tls: true}}, analyze.High, []talk{
		{text: "POST /u HTTP/1.1" + ok, hits: hit("us_ssn", "pii", analyze.Request, analyze.InBody, "$.ssn"), tls: true},
		{text: "GET /u HTTP/1.1" + ok, hits: body("uk_nino", "pii", "$.nino"), tls: true},
	}},
	{"pii.iban", "/u", []talk{{text: "GET /u HTTP/1.1" + ok, hits: body("iban", "financial", "$.iban"), tls: true}}, analyze.High, []talk{
		{text: "GET /u HTTP/1.1" + ok, hits: body("swift_bic", "financial", "$.bic"), tls: true}}},
	{"pii.contact", "/u", []talk{
		{text: "GET /u HTTP/1.1\n" + bearer(token32) + ok, hits: many(body("email", "pii", "$[].email"), 5), tls: true},
		{text: "GET /u HTTP/1.1" + ok, hits: many(body("email", "pii", "$[].email"), 5), tls: true},
		{text: "GET /u HTTP/1.1\n" + bearer(token32) + ok, hits: body("phone", "pii", "$.phone"), tls: true},
	}, analyze.Medium, []talk{
		{text: "POST /u HTTP/1.1" + ok, hits: hit("email", "pii", analyze.Request, analyze.InBody, "$.email"), tls: true},
		{text: "GET /u HTTP/1.1" + ok, hits: body("ip_address", "pii", "$.ip"), tls: true},
		{text: "GET /u HTTP/1.1\n---\n400\n\nx", hits: body("email", "pii", "$.email"), tls: true},
		{text: "GET /imprint HTTP/1.1\n---\n200\nContent-Type: text/html\n\n<html>", hits: many(body("email", "pii", "$"), 9), tls: true},
	}},
	{"sec.password-out", "/u", []talk{
		{text: "GET /u HTTP/1.1" + ok, hits: body("password", "credential", "$.password"), tls: true},
		{text: "GET /u HTTP/1.1" + ok, hits: body("password_hash", "credential", "$.password"), tls: true},
	}, analyze.Critical, []talk{
		{text: "POST /u HTTP/1.1" + ok, hits: hit("password", "credential", analyze.Request, analyze.InBody, "$.password"), tls: true},
		{text: "GET /u HTTP/1.1\n---\n200\n\n{\"openapi\":\"3.0.0\"}", hits: body("password", "credential", "$.example"), tls: true},
	}},
	{"sec.token-out", "/conf", []talk{
		{text: "GET /conf HTTP/1.1" + ok, hits: body("aws_secret_key", "secret", "$.key"), tls: true},
		{text: "GET /conf HTTP/1.1" + ok, hits: body("jwt", "credential", "$.token"), tls: true, from: foreign},
		{text: "GET /conf HTTP/1.1\n---\n500\n\nx", hits: body("private_key", "secret", "$.err"), tls: true},
	}, analyze.High, []talk{
		{text: "POST /login HTTP/1.1" + ok, hits: body("jwt", "credential", "$.token"), tls: true},
		{text: "POST /api-keys HTTP/1.1" + ok, hits: body("api_key", "secret", "$.key"), tls: true},
		{text: "POST /apps/7/generateApiKey HTTP/1.1" + ok, hits: body("api_key", "secret", "$.key"), tls: true},
		{text: "GET /conf HTTP/1.1" + ok, hits: body("email", "pii", "$.email"), tls: true},
		{text: "POST /conf HTTP/1.1" + ok, hits: hit("api_key", "secret", analyze.Request, analyze.InBody, "$.key"), tls: true},
	}},
	{"url.sensitive", "/u/{id}", []talk{
		{text: "GET /u HTTP/1.1" + ok, hits: hit("email", "pii", analyze.Request, analyze.InQuery, "email"), tls: true},
		{text: "GET /u HTTP/1.1" + ok, hits: hit("credit_card", "pci", analyze.Request, analyze.InPath, "1"), tls: true},
		{text: "GET /u HTTP/1.1" + ok, hits: hit("password", "credential", analyze.Request, analyze.InQuery, "pw"), tls: true},
		{text: "GET /u HTTP/1.1\nReferer: https://other.example.com/?e=x" + ok, hits: hit("email", "pii", analyze.Request, analyze.InHeader, "referer"), tls: true},
	}, analyze.Medium, []talk{
		{text: "POST /u HTTP/1.1" + ok, hits: hit("email", "pii", analyze.Request, analyze.InBody, "$.email"), tls: true},
		{text: "GET /u HTTP/1.1" + ok, hits: hit("postal_code", "pii", analyze.Request, analyze.InQuery, "zip"), tls: true},
		{text: "GET /u HTTP/1.1" + ok, hits: hit("geo_location", "location", analyze.Request, analyze.InQuery, "lat"), tls: true},
		{text: "GET /u HTTP/1.1\nReferer: https://api.example.org/?e=x" + ok, hits: hit("email", "pii", analyze.Request, analyze.InHeader, "referer"), tls: true},
	}},
	{"cache.sensitive", "/u", []talk{
		{text: "GET /u HTTP/1.1\nCookie: sid=0123456789abcdef\n---\n200\nCache-Control: public, max-age=60\n\nx", hits: body("us_ssn", "pii", "$.ssn"), tls: true},
		{text: "GET /u HTTP/1.1\nCookie: sid=0123456789abcdef\n---\n200\n\nx", hits: body("us_ssn", "pii", "$.ssn"), tls: true},
		{text: "GET /u HTTP/1.1\n" + bearer(token32) + "\n---\n200\nAge: 12\n\nx", hits: body("us_ssn", "pii", "$.ssn"), tls: true},
	}, analyze.Medium, []talk{
		{text: "GET /u HTTP/1.1\n---\n200\nCache-Control: no-store\n\nx", hits: body("us_ssn", "pii", "$.ssn"), tls: true},
		{text: "GET /u HTTP/1.1\n---\n200\nCache-Control: private, max-age=0\n\nx", hits: body("us_ssn", "pii", "$.ssn"), tls: true},
		{text: "GET /u HTTP/1.1\n" + bearer(token32) + "\n---\n200\n\nx", hits: body("us_ssn", "pii", "$.ssn"), tls: true},
		{text: "POST /u HTTP/1.1\n---\n200\nCache-Control: public\n\nx", hits: body("us_ssn", "pii", "$.ssn"), tls: true},
		{text: "GET /u HTTP/1.1\n---\n200\nCache-Control: public\n\nx", tls: true},
	}},
	{"cors.wild", "/u", []talk{
		{text: "GET /u HTTP/1.1\nOrigin: https://evil.example.com\n---\n200\nAccess-Control-Allow-Origin: https://evil.example.com\nAccess-Control-Allow-Credentials: true"},
		{text: "GET /u HTTP/1.1\nOrigin: null\n---\n200\nAccess-Control-Allow-Origin: null\nAccess-Control-Allow-Credentials: true"},
		{text: "GET /u HTTP/1.1\nOrigin: https://a.org\n---\n200\nAccess-Control-Allow-Origin: *\nAccess-Control-Allow-Credentials: true"},
	}, analyze.High, []talk{
		{text: "GET /u HTTP/1.1\nOrigin: https://app.example.org\n---\n200\nAccess-Control-Allow-Origin: https://app.example.org\nAccess-Control-Allow-Credentials: true"},
		{text: "GET /u HTTP/1.1\nOrigin: https://evil.example.com\n---\n200\nAccess-Control-Allow-Origin: *"},
		{text: "GET /u HTTP/1.1\nOrigin: https://evil.example.com\n---\n200\nAccess-Control-Allow-Origin: https://app.example.org\nAccess-Control-Allow-Credentials: true"},
		{text: "GET /u HTTP/1.1\nOrigin: https://evil.example.com\n---\n200\nAccess-Control-Allow-Origin: https://evil.example.com"},
	}},
	{"err.stack", "/u", []talk{
		{text: "GET /u HTTP/1.1\n---\n500\n\njava.lang.NullPointerException\n\tat com.shop.A.b(A.java:12)\n\tat com.shop.C.d(C.java:40)\n", from: foreign},
		{text: "GET /u HTTP/1.1\n---\n500\n\n{\"trace\":\"Traceback (most recent call last):\\n  File \\\"/app/a.py\\\", line 3, in f\\n  File \\\"/app/b.py\\\", line 9, in g\\n\"}"},
		{text: "GET /u HTTP/1.1\n---\n500\n\n{\"stack\":\"TypeError: x\\n    at f (/srv/app/index.js:10:5)\\n    at g (/srv/app/lib.js:20:7)\"}"},
		{text: "GET /u HTTP/1.1\n---\n500\n\ngoroutine 1 [running]:\nmain.main()\n\t/go/src/a/main.go:12 +0x1\nmain.x()\n\t/go/src/a/x.go:9 +0x2"},
		{text: "GET /u HTTP/1.1\n---\n200\n\n{\"error\":\"   at Shop.A.B() in C:\\\\a.cs:line 3\\n   at Shop.C.D() in C:\\\\b.cs:line 9\"}", soft: true},
	}, analyze.Medium, []talk{
		{text: "GET /u HTTP/1.1\n---\n500\n\nNullPointerException at com.shop.A"},
		{text: "GET /u HTTP/1.1\n---\n500\n\n\tat com.shop.A.b(A.java:12)\n"},
		{text: "GET /u HTTP/1.1\n---\n200\n\n\tat com.shop.A.b(A.java:12)\n\tat com.shop.C.d(C.java:40)\n"},
		{text: "GET /u HTTP/1.1\n---\n404\n\n{\"error\":\"no exception at main.js\"}"},
	}},
	{"err.sql", "/u", []talk{
		{text: "GET /u HTTP/1.1\n---\n500\n\n{\"error\":\"You have an error in your SQL syntax; check\"}"},
		{text: "GET /u HTTP/1.1\n---\n400\n\n{\"error\":\"SQLSTATE[42000]: Syntax error\"}"},
		{text: "GET /u HTTP/1.1\n---\n500\n\nsqlite3.OperationalError: near x"},
	}, analyze.Low, []talk{
		{text: "GET /u HTTP/1.1\n---\n500\n\n{\"error\":\"database error\"}"},
		{text: "GET /u HTTP/1.1\n---\n200\n\n{\"help\":\"SQLSTATE[42000] means\"}"},
	}},
	{"err.path", "/u", []talk{
		{text: "GET /u HTTP/1.1\n---\n500\n\n{\"error\":\"boom in /var/www/shop/cart.php\"}"},
		{text: "GET /u HTTP/1.1\n---\n500\n\n{\"error\":\"C:\\\\inetpub\\\\a.cs: boom\"}"},
	}, analyze.Low, []talk{
		{text: "GET /u HTTP/1.1\n---\n404\n\n{\"error\":\"no such path /app/orders\"}"},
		{text: "GET /u HTTP/1.1\n---\n500\n\n{\"error\":\"see https://x.org/a.php\"}"},
	}},
	{"hdr.banner", "/u", []talk{{text: "GET /u HTTP/1.1\n---\n200\nServer: nginx/1.18.0"}, {text: "GET /u HTTP/1.1\n---\n404\nX-Powered-By: PHP/7.4.3"}}, analyze.Info, []talk{
		{text: "GET /u HTTP/1.1\n---\n200\nServer: nginx"}, {text: "GET /u HTTP/1.1\n---\n200\nX-Powered-By: Express"}}},
	{"net.internal", "/u", []talk{
		{text: "GET /u HTTP/1.1\n---\n302\nLocation: http://10.2.3.4:8080/u", from: foreign},
		{text: "GET /u HTTP/1.1\n---\n302\nLocation: http://web.shop.svc.cluster.local/u", from: foreign},
	}, analyze.Low, []talk{
		{text: "GET /u HTTP/1.1\n---\n302\nLocation: http://10.2.3.4:8080/u"},
		{text: "GET /u HTTP/1.1\n---\n302\nLocation: https://api.example.org/u", from: foreign},
		{text: "GET /u HTTP/1.1\n---\n302\nLocation: /u", from: foreign},
	}},
	{"rate.header-missing", "/u", []talk{{text: "GET /u HTTP/1.1\n---\n429"}}, analyze.Info, []talk{{text: "GET /u HTTP/1.1\n---\n429\nRetry-After: 3"}, {text: "GET /u HTTP/1.1\n---\n503"}}},
	{"test.scanner", "/u", []talk{{text: "GET /u HTTP/1.1\nUser-Agent: sqlmap/1.7#stable", from: foreign}, {text: "GET /u HTTP/1.1\nUser-Agent: Mozilla/5.0 (Nikto/2.5)"}}, analyze.Medium, []talk{
		{text: "GET /u HTTP/1.1\nUser-Agent: Mozilla/5.0 Chrome/120"}, {text: "GET /u HTTP/1.1\nUser-Agent: curl/8.5"}}},
}

// more are further conversations of the same rows.
var more = []struct {
	rule          string
	fires, silent []string // in the clear between private addresses
}{
	{"enc.clear-credential",
		[]string{"GET /a HTTP/1.1\nProxy-Authorization: Basic dXNlcjpodW50ZXIyMjIy" + ok, "GET /a HTTP/1.1\nX-Auth-Token: abcdefghijkl" + ok, "GET /a HTTP/1.1\nAuthorization: Digest username=\"jo\", realm=\"x\"" + ok, "GET /a HTTP/1.1\nCookie: app_auth=" + token32 + ok},
		[]string{"GET /a HTTP/1.1\nCookie: lang=en; theme=dark; consent=yes-to-all" + ok, "GET /a HTTP/1.1\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==" + ok, "GET /a HTTP/1.1\nX-Page-Token: " + token32 + ok, "GET /a HTTP/1.1\nAuthorization: Bearer [object Object]" + ok}},
	{"enc.redirect-leak",
		[]string{"GET /a HTTP/1.1\nCookie: sid=0123456789abcdef\n---\n302\nLocation: https://x/", "GET /a?access_token=" + token32 + " HTTP/1.1\n---\n307\nLocation: https://x/", "GET /a HTTP/1.1\nAuthorization: Basic dXNlcjpodW50ZXIyMjIy\n---\n301\nLocation: https://x/"},
		[]string{"GET /a HTTP/1.1\n" + bearer(token32) + "\n---\n301\nLocation: http://x/", "GET /a HTTP/1.1\n" + bearer(token32) + "\n---\n200\nLocation: https://x/", "GET /a HTTP/1.1\nCookie: theme=dark-theme\n---\n301\nLocation: https://x/"}},
	{"tok.in-url",
		[]string{"GET /a?auth_token=" + token32 + " HTTP/1.1" + ok, "GET /a?session_id=" + token32 + " HTTP/1.1\n---\n401", "GET /a?id_token=" + good + " HTTP/1.1" + ok},
		[]string{"GET /a?state=" + token32 + " HTTP/1.1" + ok, "GET /a?nonce=" + token32 + " HTTP/1.1" + ok, "GET /a?token=undefined HTTP/1.1" + ok, "GET /a?id=" + token32 + " HTTP/1.1" + ok}},
	{"key.in-url",
		[]string{"GET /a?apikey=abcdef0123456789 HTTP/1.1" + ok, "GET /a?subscription-key=abcdef0123456789 HTTP/1.1\n---\n403"},
		[]string{"GET /a?key=primary HTTP/1.1" + ok, "GET /a?sort_key=abcdef0123456789 HTTP/1.1" + ok, "GET /a?api_key=undefined HTTP/1.1" + ok}},
	{"jwt.no-exp",
		[]string{"GET /a HTTP/1.1\nCookie: jwt=" + claims(`{"sub":"u"}`) + ok, "GET /a HTTP/1.1\nAuthorization: " + claims(`{"sub":"u"}`) + ok},
		[]string{"GET /a HTTP/1.1\n" + bearer(claims(`{"sub":"u","typ":"ID"}`)) + ok, "GET /a HTTP/1.1\n" + bearer(claims(`{"sub":"u","exp":4000000000}`)) + ok}},
	{"jwt.not-yet-valid",
		[]string{"GET /a HTTP/1.1\nX-Auth-Token: " + claims(`{"sub":"u","nbf":%d}`, now.Unix()+86400) + ok},
		[]string{"GET /a HTTP/1.1\n" + bearer(claims(`{"sub":"u","nbf":"later"}`)) + ok, "GET /a HTTP/1.1\n" + bearer(claims(`{"sub":"u","nbf":%d}`, now.Unix()-5)) + ok}},
	{"basic.weak",
		[]string{"GET /a HTTP/1.1\nAuthorization: Basic " + base64.StdEncoding.EncodeToString([]byte("root:letmein1")) + ok, "GET /a HTTP/1.1\nAuthorization: Basic " + base64.StdEncoding.EncodeToString([]byte("operator:operator")) + ok},
		[]string{"GET /a HTTP/1.1\nAuthorization: Basic " + base64.StdEncoding.EncodeToString([]byte("no colon here")) + ok, "GET /a HTTP/1.1\nAuthorization: Basic !!!!" + ok}},
	{"key.weak", []string{"GET /a HTTP/1.1\nX-Api-Key: test" + ok, "GET /a HTTP/1.1\nAuthorization: ApiKey secret" + ok, "GET /a HTTP/1.1\nX-Api-Key: DEMO" + ok},
		[]string{"GET /a HTTP/1.1\nX-Api-Key: tests" + ok, "GET /a HTTP/1.1\nX-Cache-Key: test" + ok}},
	{"key.test-in-prod", []string{"GET /a HTTP/1.1\nX-Api-Key: test_0123456789abcdef" + ok, "GET /a?api_key=sk_test_0123456789abcdef HTTP/1.1" + ok},
		[]string{"GET /a HTTP/1.1\nX-Api-Key: contest_0123456789" + ok, "GET /a HTTP/1.1\nCookie: sid=test_0123456789abcdef" + ok}},
	{"cors.wild",
		[]string{"GET /a HTTP/1.1\nOrigin: http://10.9.9.9\n---\n200\nAccess-Control-Allow-Origin: http://10.9.9.9\nAccess-Control-Allow-Credentials: true", "OPTIONS /a HTTP/1.1\nOrigin: https://evil.net\n---\n204\nAccess-Control-Allow-Origin: https://evil.net\nAccess-Control-Allow-Credentials: TRUE"},
		[]string{"GET /a HTTP/1.1\n---\n200\nAccess-Control-Allow-Origin: https://evil.net\nAccess-Control-Allow-Credentials: true", "GET /a HTTP/1.1\nOrigin: https://evil.net\n---\n200\nAccess-Control-Allow-Origin: https://evil.net\nAccess-Control-Allow-Credentials: false"}},
	{"hdr.banner", []string{"GET /a HTTP/1.1\n---\n200\nServer: Apache/2.4.41 (Ubuntu)", "GET /a HTTP/1.1\n---\n200\nX-AspNet-Version: 4.0.30319", "GET /a HTTP/1.1\n---\n500\nServer: Werkzeug/2.2.3 Python/3.11"},
		[]string{"GET /a HTTP/1.1\n---\n200\nServer: cloudflare", "GET /a HTTP/1.1\n---\n200\nServer: AmazonS3", "GET /a HTTP/1.1\n---\n200\nServer: gws"}},
	{"err.stack",
		[]string{"GET /a HTTP/1.1\n---\n500\n\n<b>Fatal error</b>: x in /var/www/a.php:12<br>#0 /var/www/a.php(12): f()<br>#1 /var/www/b.php(3): g()", "GET /a HTTP/1.1\n---\n500\n\napp/models/a.rb:12:in `x'\n/srv/app/b.rb:9:in `y'\n/srv/app/c.rb:4:in `z'"},
		[]string{"GET /a HTTP/1.1\n---\n500\n\n{\"error\":\"at least one item must be given at checkout\"}", "GET /a HTTP/1.1\n---\n404\n\nCannot GET /app.js:1\nCannot GET /lib.js:2"}},
	{"bfla.admin", []string{"POST /internal/reindex HTTP/1.1\n---\n202", "GET /v1/management/jobs HTTP/1.1" + ok},
		[]string{"GET /adminer/a HTTP/1.1" + ok, "GET /v1/rooted/a HTTP/1.1" + ok, "OPTIONS /admin/users HTTP/1.1" + ok}},
}

func TestFurtherConversations(t *testing.T) {
	for _, c := range more {
		for _, text := range c.fires {
			if find(conclude(t, "/a", talk{text: text}), c.rule) == nil {
				t.Errorf("%s: silent on %q", c.rule, text)
			}
		}
		for _, text := range c.silent {
			if f := find(conclude(t, "/a", talk{text: text}), c.rule); f != nil {
				t.Errorf("%s: fires (%s) on %q", c.rule, f.Summary, text)
			}
		}
	}
}

func TestEachRuleFiresOnItsConversationsOnly(t *testing.T) {
	for _, c := range cases {
		for i, k := range c.fires {
			f := find(conclude(t, c.template, append(k.before, k)...), c.rule)
			if f == nil {
				t.Errorf("%s: silent on %q", c.rule, k.text)
				continue
			}
			if i == 0 && f.Severity != c.worst {
				t.Errorf("%s: %v, want %v on %q", c.rule, f.Severity, c.worst, k.text)
			}
			if f.Summary == "" || f.Count == 0 || f.First.IsZero() {
				t.Errorf("%s: an incomplete finding: %+v", c.rule, f)
			}
		}
		for _, k := range c.silent {
			if f := find(conclude(t, c.template, append(k.before, k)...), c.rule); f != nil {
				t.Errorf("%s: fires (%s) on %q", c.rule, f.Summary, k.text)
			}
		}
	}
}

func find(list []analyze.Finding, rule string) *analyze.Finding {
	for i := range list {
		if list[i].Rule == rule {
			return &list[i]
		}
	}
	return nil
}

func TestTestNumbersAreNobodys(t *testing.T) {
	test := func(h []Hit) []Hit { h[0].Test = true; return h }
	for rule, h := range map[string][]Hit{
		"pii.card": body("credit_card", "pci", "$.card"), "pii.ssn": body("us_ssn", "pii", "$.ssn"), "enc.clear-sensitive": body("credit_card", "pci", "$.card"),
		"pii.contact": many(body("email", "pii", "$[].email"), 9), "auth.none": body("us_ssn", "pii", "$.ssn"),
	} {
		k := talk{text: "GET /u/7 HTTP/1.1" + ok, hits: test(h), from: foreign}
		if f := find(conclude(t, "/u/{id}", k), rule); f == nil || f.Severity > analyze.Medium {
			t.Errorf("%s: %+v", rule, f)
		}
	}
}

func TestTheCatalogueIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Rules {
		if seen[r.ID] {
			t.Errorf("%s twice", r.ID)
		}
		seen[r.ID] = true
		if r.Title == "" || r.Trigger == "" || r.Quiet == "" || r.Why == "" || r.Fix == "" || r.say == "" || len(r.OWASP) == 0 || len(r.CWE) == 0 || r.Practice == 0 || r.Level == "" {
			t.Errorf("%s lacks a text", r.ID)
		}
		n := 0
		for _, set := range []bool{r.exchange != nil, r.handshake != nil, r.absence != nil, r.conclude != nil, r.over != nil, r.survey != nil} {
			if set {
				n++
			}
		}
		if n == 0 {
			t.Errorf("%s has %d triggers", r.ID, n)
		}
	}
	if len(Rules) > 255 {
		t.Error("a rule's number no longer fits")
	}
}
