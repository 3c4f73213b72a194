package inventory

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"plainsight/analyze"
	"plainsight/capture"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// talk writes an exchange as on the wire: request, a line of dashes, response.
func talk(n uint64, client, server string, text string) *capture.Exchange {
	c := &capture.Conn{ID: n/4*4 + 1, Client: netip.AddrPortFrom(netip.MustParseAddr(client), 40000), Server: netip.MustParseAddrPort(server)}
	at := capture.Stamp{Time: start.Add(time.Duration(n) * time.Millisecond), Frame: n + 1}
	x := &capture.Exchange{Conn: c}
	request, response, answered := strings.Cut(text, "\n---\n")
	lines, body := message(request)
	method, rest, _ := strings.Cut(lines[0], " ")
	target, _, _ := strings.Cut(rest, " ")
	x.Method, x.Target = capture.Text(method), capture.Text(target)
	x.Request = capture.Message{Seen: true, Start: at, End: at, Proto: capture.HTTP11, Headers: headers(lines[1:]), Body: body, BodySize: int64(len(body)), DecodedSize: int64(len(body)), ContentLength: -1}
	x.Authority = x.Request.Get("host")
	if answered {
		lines, body = message(response)
		x.Status, _ = strconv.Atoi(lines[0])
		at.Time = at.Time.Add(time.Duration(1+n%9) * time.Millisecond)
		x.Response = capture.Message{Seen: true, Start: at, End: at, Proto: capture.HTTP11, Headers: headers(lines[1:]), Body: body, BodySize: int64(len(body)), DecodedSize: int64(len(body)), ContentLength: -1}
	}
	return x
}

func message(text string) (lines []string, body []byte) {
	head, b, _ := strings.Cut(text, "\n\n")
	return strings.Split(head, "\n"), []byte(b)
}

func headers(lines []string) (list []capture.Header) {
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		list = append(list, capture.Header{Name: capture.Text(name), Value: capture.Text(value)})
	}
	return list
}

const token = "Zk3v9Qw8xN2mB7cR5tY1uJ4hL6pS0dFg"

// shop is a day of a small shop, for tests: n exchanges of several clients.
func shop(n int) []*capture.Exchange {
	var list []*capture.Exchange
	for i := range uint64(n) {
		client := fmt.Sprintf("10.0.%d.%d", i%3, i%50+1)
		r := rand.New(rand.NewPCG(i, 3))
		id := r.IntN(100000)
		var text string
		switch i % 9 {
		case 0:
			text = fmt.Sprintf("GET /api/v1/orders/%d?expand=items HTTP/1.1\nHost: shop.example.org\nAuthorization: Bearer %s\nX-Tenant: t%d\n---\n200\nContent-Type: application/json\n\n{\"id\":%d,\"total\":12.5,\"state\":\"paid\",\"items\":[{\"sku\":\"A%d\",\"n\":2}]}", id, token, i%3, id, i%7)
		case 1:
			text = fmt.Sprintf("GET /api/v1/users/%d HTTP/1.1\nHost: shop.example.org\nAuthorization: Bearer %s%d\n---\n200\nContent-Type: application/json\n\n{\"id\":%d,\"email\":\"jo%d@mail.example.org\",\"phone\":\"+1 202-555-01%02d\",\"ssn\":\"%03d-%02d-%04d\"}", id, token, i%5, id, id, i%90, 100+i%500, 10+i%80, 1000+i%8000)
		case 2:
			text = fmt.Sprintf("POST /api/v1/login HTTP/1.1\nHost: shop.example.org\nContent-Type: application/json\n\n{\"user\":\"jo%d\",\"password\":\"hunter2-%d!\"}\n---\n200\nContent-Type: application/json\nSet-Cookie: sessionid=%016x%016x; Path=/\n\n{\"ok\":true}", id, id, r.Uint64(), r.Uint64())
		case 3:
			text = fmt.Sprintf("GET /search?q=shoe+%d&api_key=%016x HTTP/1.1\nHost: SHOP.example.org:80\n---\n200\nContent-Type: application/json\n\n[{\"id\":1},{\"id\":2}]", i%11, uint64(7))
		case 4:
			text = fmt.Sprintf("GET /wp-admin/%d.php HTTP/1.1\nHost: shop.example.org\nUser-Agent: nikto\n---\n404\nContent-Type: text/html\n\n<html>no</html>", id)
		case 5:
			text = fmt.Sprintf("PUT /items/%08x-1111-4222-8333-%012x HTTP/1.1\nHost: stock.example.org:8080\nX-Api-Key: %s\nContent-Type: application/json\n\n{\"n\":%d}\n---\n204\n", r.Uint32(), r.Uint64()&0xffffffffffff, token, i)
		case 6:
			text = "GET /api/v1/orders/1 HTTP/1.1\nHost: shop.example.org\n---\n401\nContent-Type: application/json\n\n{\"error\":\"no token\"}"
		case 7:
			text = fmt.Sprintf("GET /api/v1/cards HTTP/1.1\nHost: shop.example.org\n---\n200\nContent-Type: application/json\n\n{\"cards\":[{\"number\":\"4111 1111 1111 1111\",\"holder\":\"J%d\"},{\"number\":\"5500005555555559\"}]}", i)
		case 8:
			text = "GET /static/app.js HTTP/1.1\nHost: shop.example.org\n---\n200\nContent-Type: application/javascript\n\nx"
		}
		server := "10.1.0.1:80"
		if i%9 == 5 {
			server = "10.1.0.2:8080"
		}
		list = append(list, talk(i, client, server, text))
	}
	return list
}

// play gives the traffic to shards as the engine would: by connection.
func play(in *Inventory, shards int, list []*capture.Exchange) {
	for _, x := range list {
		in.Worker(int(x.Conn.ID % uint64(shards))).Exchange(x)
	}
	for i, x := range list {
		if i%4 == 0 {
			h := &capture.Handshake{Conn: &capture.Conn{ID: 1 << 40 * uint64(i+1), Client: x.Conn.Client, Server: netip.MustParseAddrPort("10.1.0.9:443")}, At: x.Request.Start, ClientSeen: true, ServerSeen: true,
				SNI: "pay.example.org", Version: 0x0301 + uint16(i%3), Cipher: 0xc02f, JA3: fmt.Sprintf("%032x", i%20), JA3S: "b"}
			w := in.Worker(int(h.Conn.ID % uint64(shards)))
			w.Handshake(h)
			w.Connection(&capture.Summary{Conn: *h.Conn, End: x.Response.End, Bytes: [2]int64{100, 2000}})
		}
		in.Worker(int(x.Conn.ID % uint64(shards))).Connection(&capture.Summary{Conn: *x.Conn, End: x.Response.End})
	}
}

func marshal(t *testing.T, s *analyze.Snapshot) string {
	t.Helper()
	b, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAnyNumberOfShardsSaysTheSame(t *testing.T) {
	list := shop(3000)
	var want string
	for _, shards := range []int{1, 2, 3, 8} {
		in := New(Options{Key: analyze.Key{1}})
		play(in, shards, list)
		got := marshal(t, in.Snapshot(nil, nil))
		if want == "" {
			want = got
			continue
		}
		if got != want {
			g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
			for i := range min(len(g), len(w)) {
				if g[i] != w[i] {
					t.Fatalf("%d shards, line %d:\n%s\nwant\n%s", shards, i, strings.Join(g[max(0, i-8):i+2], "\n"), strings.Join(w[max(0, i-8):i+2], "\n"))
				}
			}
			t.Fatalf("%d shards: %d lines, want %d", shards, len(g), len(w))
		}
	}
}

func TestTheShopIsUnderstood(t *testing.T) {
	in := New(Options{Key: analyze.Key{1}, Version: "test", Capture: func(uint64) string { return "shop.pcap" }})
	play(in, 2, shop(900))
	s := in.Snapshot([]analyze.Capture{{Name: "shop.pcap"}}, &capture.Counts{capture.TLSBytes: 5000})
	var names []string
	for _, e := range s.Endpoints {
		names = append(names, e.Service+" "+e.Method+" "+e.Template)
	}
	want := []string{
		"shop.example.org GET /api/v1/cards", "shop.example.org POST /api/v1/login", "shop.example.org GET /api/v1/orders/{order_id}",
		"shop.example.org GET /api/v1/users/{user_id}", "shop.example.org GET /search", "stock.example.org:8080 PUT /items/{item_id}",
	}
	if strings.Join(names, "\n") != strings.Join(want, "\n") {
		t.Errorf("endpoints:\n%s", strings.Join(names, "\n"))
	}
	rules := map[string]int{}
	for _, f := range s.Findings {
		rules[f.Rule]++
		if f.Level == analyze.Proved && f.Rule != "enc.both-schemes" && (len(f.Evidence) == 0 || f.Evidence[0].Capture != "shop.pcap") {
			t.Errorf("%s has no evidence", f.Rule)
		}
	}
	for _, r := range []string{"enc.clear-credential", "enc.clear-sensitive", "key.in-url", "auth.none", "pii.card", "pii.ssn", "enc.cookie-flags", "enc.tls-old", "test.scanner"} {
		if rules[r] == 0 {
			t.Errorf("%s was not found", r)
		}
	}
	if len(s.Scorecard) != 11 || s.Coverage.Noise == 0 || len(s.Coverage.NotVisible) == 0 || len(s.Sessions) == 0 || len(s.Edges) == 0 {
		t.Errorf("something is missing: %d rows, noise %d, %q", len(s.Scorecard), s.Coverage.Noise, s.Coverage.NotVisible)
	}
	for _, e := range s.Endpoints {
		if e.Template == "/api/v1/orders/{order_id}" {
			if e.Statuses[200] != 100 || e.Statuses[401] != 100 || e.Auth["bearer"] != 100 || e.Auth["none"] != 100 || e.LatencyP50 == 0 || e.Clients < 20 {
				t.Errorf("orders: %+v", e)
			}
			if len(e.Parameters) < 3 {
				t.Errorf("orders has parameters %+v", e.Parameters)
			}
		}
	}
}

func TestRowsGetTheNamesOfTheSnapshot(t *testing.T) {
	var rows []analyze.Call
	in := New(Options{Key: analyze.Key{1}, Calls: func(c []analyze.Call) { rows = append(rows, c...) }})
	play(in, 3, shop(900))
	s := in.Snapshot(nil, nil)
	if len(rows) != 900 {
		t.Fatalf("%d rows", len(rows))
	}
	known := map[string]bool{"": true}
	for _, e := range s.Endpoints {
		known[e.Template] = true
	}
	named := 0
	for _, r := range rows {
		if !known[r.Template] {
			t.Fatalf("a row says %q", r.Template)
		}
		if r.Template != "" {
			named++
		}
	}
	if uint64(named) != s.Exchanges-s.Coverage.Noise {
		t.Errorf("%d of %d rows have a template", named, s.Exchanges-s.Coverage.Noise)
	}
	// In small batches the same rows come, named by what was known then.
	var early int
	in = New(Options{Key: analyze.Key{1}, CallBuffer: 100, Calls: func(c []analyze.Call) {
		if len(c) > 100 {
			t.Errorf("a batch of %d", len(c))
		}
		early += len(c)
	}})
	play(in, 3, shop(900))
	in.Snapshot(nil, nil)
	if early != 900 {
		t.Errorf("%d rows in small batches", early)
	}
}

func TestASecondSnapshotSaysTheSame(t *testing.T) {
	in := New(Options{Key: analyze.Key{1}})
	list := shop(900)
	play(in, 3, list[:450])
	in.Snapshot(nil, nil)
	play(in, 3, list[450:])
	got := marshal(t, in.Snapshot(nil, nil))
	if again := marshal(t, in.Snapshot(nil, nil)); got != again {
		t.Error("asking changes the answer")
	}
	one := New(Options{Key: analyze.Key{1}})
	play(one, 1, list[:450])
	play(one, 1, list[450:])
	if want := marshal(t, one.Snapshot(nil, nil)); got != want {
		t.Error("a snapshot on the way changes the end")
	}
}

func TestKeysOfMapsAreOnePlace(t *testing.T) {
	in := New(Options{Key: analyze.Key{1}})
	for i := range uint64(60) {
		in.Worker(0).Exchange(talk(i, "10.0.0.1", "10.0.0.2:80", fmt.Sprintf("GET /team HTTP/1.1\nHost: h.example.org\n---\n200\nContent-Type: application/json\n\n{\"members\":{\"%s\":{\"email\":\"%s@mail.example.net\",\"role\":\"dev\"}}}", letters(i*7+1), letters(i))))
	}
	s := in.Snapshot(nil, nil)
	if n := len(s.Endpoints[0].Sensitive); n != 1 || s.Endpoints[0].Sensitive[0].Place.Name != "$.members{*}.email" || s.Endpoints[0].Sensitive[0].Count != 60 {
		t.Errorf("%d places: %+v", n, s.Endpoints[0].Sensitive)
	}
	for _, f := range s.Findings {
		if f.Rule == "pii.contact" && (f.Count != 60 || f.Place != "response body $.members{*}.email") {
			t.Errorf("%+v", f)
		}
	}
}

func TestAFieldOfIdentifiersHoldsNoCards(t *testing.T) {
	for _, c := range []struct {
		name  string
		cards int // of ten values
		want  bool
	}{{"identifiers", 1, false}, {"cards", 10, true}} {
		in := New(Options{Key: analyze.Key{1}})
		for i := range uint64(40) {
			number := "4111111111111111"
			if int(i%10) >= c.cards {
				number = fmt.Sprintf("41111111%08d", 11111112+i) // hardly any passes the check
			}
			in.Worker(0).Exchange(talk(i, "10.0.0.1", "10.0.0.2:80", fmt.Sprintf("GET /refs/%d HTTP/1.1\nHost: h.example.org\n---\n200\nContent-Type: application/json\n\n{\"value\":\"%s\"}", i, number)))
		}
		s := in.Snapshot(nil, nil)
		got := false
		for _, f := range s.Findings {
			got = got || f.Rule == "pii.card"
		}
		if got != c.want || (len(s.Endpoints[0].Sensitive) > 0) != c.want {
			t.Errorf("%s: card found %v, sensitive %+v", c.name, got, s.Endpoints[0].Sensitive)
		}
	}
}

func TestIdentifiersInURLsAreNoCards(t *testing.T) {
	for _, c := range []struct {
		name, target string
		cards        int // of ten values
		want         bool
	}{{"parameters that are identifiers", "/refs?card=%s", 1, false}, {"parameters that are cards", "/refs?card=%s", 10, true}} {
		in := New(Options{Key: analyze.Key{1}})
		for i := range uint64(40) {
			number := "4111111111111111"
			if int(i%10) >= c.cards {
				number = fmt.Sprintf("41111111%08d", 11111112+i)
			}
			in.Worker(0).Exchange(talk(i, "10.0.0.1", "10.0.0.2:80", "GET "+fmt.Sprintf(c.target, number)+" HTTP/1.1\nHost: h.example.org\n---\n200\nContent-Type: application/json\n\n{}"))
		}
		s := in.Snapshot(nil, nil)
		got := false
		for _, f := range s.Findings {
			got = got || f.Rule == "url.sensitive"
		}
		if got != c.want || (len(s.Endpoints[0].Sensitive) > 0) != c.want {
			t.Errorf("%s: found %v, sensitive %+v", c.name, got, s.Endpoints[0].Sensitive)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	in := New(Options{Key: analyze.Key{1}, Memory: 2000})
	w := in.Worker(0).(*worker)
	for i := range uint64(3000) {
		var b strings.Builder
		for k := range uint64(20) {
			fmt.Fprintf(&b, `,"%s%s":"a@mail.example.net"`, letters(i*20+k), letters(k))
		}
		w.Exchange(talk(i, "10.0.0.1", "10.0.0.2:80", fmt.Sprintf("POST /%s HTTP/1.1\nHost: h.example.org\nContent-Type: application/json\n\n{\"z\":1%s}\n---\n200\n\n", letters(i), b.String())))
	}
	if w.state.weight > 2500 {
		t.Errorf("weight %d", w.state.weight)
	}
	s := in.Snapshot(nil, nil)
	if s.Exchanges != 3000 || s.Coverage.Noise == 0 {
		t.Errorf("%d exchanges, %d noise", s.Exchanges, s.Coverage.Noise)
	}
}

func TestSoftFailures(t *testing.T) {
	for body, want := range map[string]bool{
		`{"error":"no such user"}`:                        true,
		`{"errors":[{"message":"x"}],"data":null}`:        true,
		`{"success":false,"message":"denied"}`:            true,
		`{"status":"error","code":17}`:                    true,
		`{"error":{"code":3}}`:                            true,
		`{"error":null,"user":{"id":1}}`:                  false,
		`{"errors":[],"data":{"a":1}}`:                    false,
		`{"errors":[{"message":"part"}],"data":{"a":1}}`:  false,
		`{"message":"hello"}`:                             false,
		`{"id":1,"error":"last error of this job","n":3}`: false,
		`{"items":[{"error":"x"}]}`:                       false,
		`[{"error":"x"}]`:                                 false,
		`{"error":"","status":"ok"}`:                      false,
		`{"error":false,"message":"stored"}`:              false,
	} {
		in := New(Options{})
		w := in.Worker(0).(*worker)
		w.Exchange(talk(0, "10.0.0.1", "10.0.0.2:80", "GET /a HTTP/1.1\nHost: h.example.org\n---\n200\nContent-Type: application/json\n\n"+body))
		if got := w.visitor.soft.failed(); got != want {
			t.Errorf("%s: %v", body, got)
		}
	}
}

func TestHostNames(t *testing.T) {
	for in, want := range map[string]string{
		"API.Example.ORG":      "api.example.org",
		"api.example.org.":     "api.example.org",
		"api.example.org:80":   "api.example.org",
		"api.example.org:443":  "api.example.org",
		"api.example.org:8443": "api.example.org:8443",
		"10.0.0.1:18080":       "10.0.0.1:18080",
		"192.168.100.200":      "192.168.100.200",
		"[2001:DB8::1]:8080":   "[2001:db8::1]:8080",
		"localhost:18080":      "localhost:18080",
		"u:secret@example.org": "example.org",
		"a b":                  "",
		"<script>":             "",
		"":                     "",
		"example.org:x":        "",
		"12345":                "",
		"6f1c0a52-9b1e-4f7e-8a39-0c9b1c2d3e4f.example.org": "{uuid}.example.org",
		"\x1b[31m": "",
	} {
		if got := hostName([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestLimitsHoldAndAreTold(t *testing.T) {
	in := New(Options{Services: 8, Endpoints: 50, Sensitive: 4, Edges: 8, Sessions: 4, Connections: 8, Hits: 4})
	w := in.Worker(0)
	for i := range uint64(2000) {
		text := fmt.Sprintf("GET /p%s/q HTTP/1.1\nHost: %s.example.org\n---\n200\nContent-Type: application/json\n\n{\"a\":[\"a@b.example.org\",\"c@d.example.org\",\"e@f.example.org\",\"g@h.example.org\",\"i@j.example.org\",\"k@l.example.org\"],\"%s\":\"x@y.example.org\"}", letters(i), letters(i/3), letters(i))
		w.Exchange(talk(i, "10.0.0.1", fmt.Sprintf("10.1.%d.%d:80", i%5, i%200), text))
		w.Handshake(&capture.Handshake{Conn: &capture.Conn{ID: 1<<40 + i, Client: netip.MustParseAddrPort("10.0.0.1:1"), Server: netip.MustParseAddrPort("10.1.0.9:443")}, At: capture.Stamp{Time: start}, ServerSeen: true, SNI: letters(i) + ".example.net", Version: 0x304})
	}
	s := in.Snapshot(nil, nil)
	if len(s.Services) > 9 || len(s.Endpoints) > 60 || len(s.Edges) > 8 || len(s.Sessions) > 4 {
		t.Errorf("%d services, %d endpoints, %d edges, %d sessions", len(s.Services), len(s.Endpoints), len(s.Edges), len(s.Sessions))
	}
	told := map[string]bool{}
	for _, c := range s.Coverage.Counts {
		told[c.Name] = true
	}
	for _, name := range []string{"inventory_endpoint_limit", "inventory_service_limit", "inventory_edge_limit", "inventory_session_limit", "inventory_hit_limit", "inventory_connections_forgotten"} {
		if !told[name] {
			t.Errorf("%s is not told", name)
		}
	}
	var requests uint64
	for _, v := range s.Services {
		requests += v.Requests
	}
	if requests != 2000 {
		t.Errorf("services have %d requests", requests)
	}
}

func TestServicesBeyondTheLimitAreOneOnAnyNumberOfShards(t *testing.T) {
	var list []*capture.Exchange
	for i := range uint64(900) {
		list = append(list, talk(i, "10.0.0.1", "10.0.0.2:80", fmt.Sprintf("GET /a HTTP/1.1\nHost: %s.example.org\nAuthorization: Bearer %s\n---\n200\n\nx", letters(i%90), token)))
	}
	var want string
	for _, shards := range []int{1, 2, 8} {
		in := New(Options{Key: analyze.Key{1}, Services: 10})
		for _, x := range list {
			in.Worker(int(x.Conn.ID % uint64(shards))).Exchange(x)
		}
		s := in.Snapshot(nil, nil)
		var text strings.Builder
		var requests uint64
		for _, v := range s.Services {
			requests += v.Requests
			fmt.Fprintln(&text, v.Name, v.Requests, v.Endpoints)
		}
		for _, f := range s.Findings {
			fmt.Fprintln(&text, f.Rule, f.Service, f.Count)
		}
		if len(s.Services) != 11 || requests != 900 {
			t.Errorf("%d shards: %d services, %d requests", shards, len(s.Services), requests)
		}
		if want == "" {
			want = text.String()
		} else if got := text.String(); got != want {
			t.Errorf("%d shards:\n%s\nwant\n%s", shards, got, want)
		}
	}
}

func letters(i uint64) string {
	b := []byte("aaaa")
	for k := range b {
		b[k] += byte(i % 26)
		i /= 26
	}
	return string(b)
}

func TestOddExchanges(t *testing.T) {
	in := New(Options{Calls: func([]analyze.Call) {}})
	w := in.Worker(0)
	for i, text := range []string{"", "GET", "\x00\x01 \xff", "OPTIONS * HTTP/1.1", "CONNECT a:443 HTTP/1.1\n---\n200", "GET http://x.example.org HTTP/1.1\n---\n200", "GET ?a=b&&=&%zz=%1 HTTP/1.1\n---\n200\n\nx",
		"POST //a///b/%2e%2e/?#x HTTP/1.1\nCookie: ;;=;a;=b\nAuthorization: \nAuthorization: Basic\n\n{\n---\n200\nSet-Cookie: =\nContent-Type: multipart/form-data\n\n--"} {
		w.Exchange(talk(uint64(i), "::1", "[::1]:80", text))
	}
	w.Exchange(&capture.Exchange{Conn: &capture.Conn{}, Status: 200, Response: capture.Message{Seen: true}})
	w.Handshake(&capture.Handshake{Conn: &capture.Conn{}, ServerSeen: true})
	w.Handshake(&capture.Handshake{Conn: &capture.Conn{}})
	w.WebSocket(&capture.WebSocket{Conn: &capture.Conn{}})
	w.Connection(&capture.Summary{})
	s := in.Snapshot(nil, nil)
	if s.Exchanges != 9 {
		t.Errorf("%d exchanges", s.Exchanges)
	}
	if b := marshal(t, s); bytes.ContainsAny([]byte(b), "\x00\x1b") {
		t.Error("control characters")
	}
	if marshal(t, New(Options{}).Snapshot(nil, nil)) == "" {
		t.Error("an empty inventory has a snapshot")
	}
}

func warm(b testing.TB) (*worker, []*capture.Exchange) {
	in := New(Options{Key: analyze.Key{1}})
	w := in.Worker(0).(*worker)
	var list []*capture.Exchange
	var items []string
	for i := range 20 {
		items = append(items, fmt.Sprintf(`{"sku":"A-%d","name":"shoe","n":%d,"price":%d.5,"tags":["a","b"],"stock":true}`, i, i, i))
	}
	body := `{"id":77,"state":"paid","items":[` + strings.Join(items, ",") + `]}`
	for i := range uint64(64) {
		list = append(list, talk(i, "10.0.0.5", "10.1.0.1:80", fmt.Sprintf("GET /api/v1/orders/%d?expand=items HTTP/1.1\nHost: shop.example.org\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\nAccept: application/json\nAuthorization: Bearer %s\nX-Tenant: t1\n---\n200\nContent-Type: application/json\nDate: Sun, 01 Mar 2026 12:00:00 GMT\nServer: nginx\n\n%s", i, token, body)))
	}
	for range 3 {
		for _, x := range list {
			w.Exchange(x)
		}
	}
	return w, list
}

func TestAnExchangeAllocatesNothing(t *testing.T) {
	w, list := warm(t)
	i := 0
	if n := testing.AllocsPerRun(500, func() { w.Exchange(list[i%len(list)]); i++ }); n > 0 {
		t.Errorf("%v allocations an exchange", n)
	}
}

func BenchmarkExchange(b *testing.B) {
	w, list := warm(b)
	b.SetBytes(list[0].Response.BodySize)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		w.Exchange(list[i%len(list)])
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "exchanges/s")
}

func BenchmarkShop(b *testing.B) {
	in := New(Options{Key: analyze.Key{1}})
	w := in.Worker(0)
	list := shop(900)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		w.Exchange(list[i%len(list)])
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "exchanges/s")
}

// Distinct URLs without end do not use the limits up: those that look like
// values become one, and what is of known templates is never noise.
func TestManyURLsOfFewTemplates(t *testing.T) {
	in := New(Options{Key: analyze.Key{1}, Endpoints: 10_000, Memory: 60_000})
	w := in.Worker(0).(*worker)
	const n = 40_000
	for i := range uint64(n) {
		w.Exchange(talk(i, "10.0.0.1", "10.0.0.2:80", fmt.Sprintf("GET /shops/%s/items HTTP/1.1\nHost: h.example.org\n---\n200\nContent-Type: application/json\n\n{\"id\":%d,\"name\":\"x\"}", letters(i), i)))
	}
	s := in.Snapshot(nil, nil)
	if len(s.Endpoints) != 1 || s.Endpoints[0].Requests != n || s.Coverage.Noise != 0 {
		t.Errorf("%d endpoints, %d noise", len(s.Endpoints), s.Coverage.Noise)
	}
}

// A token in the URL that no header stands beside is how callers authenticate
// where it opens something, not where it is refused.
func TestRefusedTokensInURLsAreNoScheme(t *testing.T) {
	in := New(Options{Key: analyze.Key{1}})
	play(in, 1, []*capture.Exchange{
		talk(1, "10.0.0.1", "10.1.0.1:80", "GET /files/7?access_token=n5mZScYOJXgODEN2lFVsBFBG HTTP/1.1\nHost: f.example\nAuthorization: Bearer kOnVgFmnnAVt7laV8tWIdjWxFJt1L5jG\n---\n200\n"),
		talk(1, "10.0.0.1", "10.1.0.1:80", "GET /files/8?access_token=n5mZScYOJXgODEN2lFVsBFBG HTTP/1.1\nHost: f.example\n---\n401\n"),
		talk(1, "10.0.0.1", "10.1.0.1:80", "GET /tiles/7?access_token=n5mZScYOJXgODEN2lFVsBFBG HTTP/1.1\nHost: f.example\n---\n200\n"),
	})
	for _, e := range in.Snapshot(nil, nil).Endpoints {
		_, inURL := e.Auth["apikey:query:access_token"]
		if want := e.Template == "/tiles/{tile_id}"; inURL != want {
			t.Errorf("%s: credentials %v", e.Template, e.Auth)
		}
	}
}
