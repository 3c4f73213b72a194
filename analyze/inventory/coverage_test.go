package inventory

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"plainsight/analyze"
	"plainsight/capture"
)

func score(s *analyze.Snapshot, p analyze.Practice) analyze.Score { return s.Scorecard[p-1] }

func TestNothingSeenIsNothingKept(t *testing.T) {
	for _, s := range New(Options{}).Snapshot(nil, nil).Scorecard {
		if s.State != analyze.NotVisible || s.Reason != "no traffic was seen" {
			t.Errorf("%v: %v, %s", s.Practice, s.State, s.Reason)
		}
	}
}

func TestAGoodServiceKeepsWhatCanBeSeen(t *testing.T) {
	in := New(Options{Key: analyze.Key{1}})
	w := in.Worker(0)
	for i := range uint64(200) {
		x := talk(i, "10.0.0.1", "10.0.0.2:443", fmt.Sprintf("GET /orders/%d HTTP/1.1\nHost: api.example.org\nAuthorization: Bearer %s\n---\n200\nContent-Type: application/json\n\n{\"id\":%d,\"total\":3}", i, token, i))
		if i%10 == 0 {
			x = talk(i, "10.0.0.1", "10.0.0.2:443", fmt.Sprintf("GET /orders/%d HTTP/1.1\nHost: api.example.org\n---\n401\nContent-Type: application/json\n\n{\"error\":\"no\"}", i))
		}
		x.Conn.Encrypted = true
		w.Exchange(x)
	}
	s := in.Snapshot(nil, nil)
	want := map[analyze.Practice]analyze.State{analyze.Encryption: analyze.Kept, analyze.Authentication: analyze.Kept, analyze.Exposure: analyze.Kept}
	for p := analyze.Discovery; p <= analyze.Keys; p++ {
		state := analyze.NotVisible
		if w, ok := want[p]; ok {
			state = w
		}
		if got := score(s, p); got.State != state || got.Reason == "" {
			t.Errorf("%v: %v (%s), want %v", p, got.State, got.Reason, state)
		}
	}
	for _, f := range s.Findings {
		if f.Severity > analyze.Info {
			t.Errorf("%s: %s", f.Rule, f.Summary)
		}
	}
	if e := s.Edges[0]; e.Wire != analyze.TLS || e.Exchanges != 200 {
		t.Errorf("%+v", e)
	}
}

func TestFewExchangesKeepNothing(t *testing.T) {
	in := New(Options{})
	for i := range uint64(5) {
		x := talk(i, "10.0.0.1", "10.0.0.2:443", "GET /orders/1 HTTP/1.1\nHost: api.example.org\nAuthorization: Bearer "+token+"\n---\n200\nContent-Type: application/json\n\n{\"id\":1}")
		x.Conn.Encrypted = true
		in.Worker(0).Exchange(x)
	}
	s := in.Snapshot(nil, nil)
	for _, p := range []analyze.Practice{analyze.Authentication, analyze.Exposure} {
		if got := score(s, p); got.State != analyze.NotVisible {
			t.Errorf("%v: %v (%s)", p, got.State, got.Reason)
		}
	}
}

func TestPlaintextBreaksEncryptionButNotOnLoopback(t *testing.T) {
	for client, want := range map[string]analyze.State{"10.0.0.1": analyze.Broken, "127.0.0.1": analyze.NotVisible} {
		in := New(Options{})
		server := "10.0.0.2:80"
		if client == "127.0.0.1" {
			server = "127.0.0.1:80"
		}
		in.Worker(0).Exchange(talk(0, client, server, "GET /a HTTP/1.1\nHost: a.example.org\n---\n200\n\nx"))
		in.Worker(0).Handshake(&capture.Handshake{Conn: &capture.Conn{ID: 9, Client: netip.MustParseAddrPort(client + ":1"), Server: netip.MustParseAddrPort(server)}, At: capture.Stamp{Time: start}, ServerSeen: true, Version: 0x304, Cipher: 0x1301})
		if got := score(in.Snapshot(nil, nil), analyze.Encryption); got.State != want {
			t.Errorf("%s: %v (%s)", client, got.State, got.Reason)
		}
	}
}

func TestWhatIsNotVisibleIsSaidWithNumbers(t *testing.T) {
	in := New(Options{})
	for i := range uint64(3) {
		in.Worker(0).Handshake(&capture.Handshake{Conn: &capture.Conn{ID: i, Client: netip.MustParseAddrPort("10.0.0.1:1"), Server: netip.MustParseAddrPort("10.0.0.2:443")}, At: capture.Stamp{Time: start}, ServerSeen: true, Version: 0x304})
	}
	counts := capture.Counts{}
	for i, c := range capture.All() {
		counts[c] = uint64(1000 + i)
	}
	counts[capture.ConnectionsInside] = 1
	s := in.Snapshot([]analyze.Capture{{Name: "a.pcap", Damaged: "cut in the middle of a packet"}}, &counts)
	text := strings.Join(s.Coverage.NotVisible, "\n")
	for _, c := range []capture.Counter{capture.QUICFrames, capture.StreamGaps, capture.ExchangesUnanswered, capture.ExchangesResponseOnly, capture.BodiesTruncated, capture.BodiesUndecoded,
		capture.ConnectionsMidstream, capture.ConnectionsOpaque, capture.FramesIgnoredLink, capture.FramesIgnoredNotTCP, capture.ParserPanics} {
		if !strings.Contains(text, fmt.Sprint(counts[c])) {
			t.Errorf("%s (%d) is not told:\n%s", c.Info().Name, counts[c], text)
		}
	}
	for _, part := range []string{"inside TLS was not read in 2 connections of 3", "3 TLS handshakes showed no certificate", "a.pcap is damaged"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing:\n%s", part, text)
		}
	}
	if len(s.Coverage.Counts) < len(capture.All()) {
		t.Errorf("%d counts", len(s.Coverage.Counts))
	}
}

func TestALostHeadIsNoMissingCredential(t *testing.T) {
	in := New(Options{Key: analyze.Key{1}})
	for i := range uint64(40) {
		x := talk(i, "10.0.0.1", "10.0.0.2:80", "GET /admin/users/7 HTTP/1.1\nHost: a.example.org\n---\n200\nContent-Type: application/json\n\n{\"ssn\":\"219-09-9999\",\"card\":\"4532015112830366\"}")
		x.Request.Flaws = capture.FlawGap
		if i%2 == 0 {
			x.Request = capture.Message{}
			x.Method, x.Target, x.Authority = nil, nil, nil
		}
		in.Worker(0).Exchange(x)
	}
	for _, f := range in.Snapshot(nil, nil).Findings {
		if f.Rule == "auth.none" || f.Rule == "bfla.admin" {
			t.Errorf("%s: %s", f.Rule, f.Summary)
		}
	}
}

func TestManyClientsBecomeNetworks(t *testing.T) {
	in := New(Options{})
	for i := range uint64(500) {
		x := talk(i, fmt.Sprintf("203.0.%d.%d", i%5, i%100), "10.0.0.2:80", "GET /a HTTP/1.1\nHost: a.example.org\n---\n200\n\nx")
		in.Worker(0).Exchange(x)
		in.Worker(0).Connection(&capture.Summary{Conn: *x.Conn, End: x.Response.End, Bytes: [2]int64{10, 20}})
	}
	in.Worker(0).Exchange(talk(600, "10.0.0.7", "10.0.0.3:80", "GET /a HTTP/1.1\nHost: b.example.org\n---\n200\n\nx"))
	s := in.Snapshot(nil, nil)
	if len(s.Edges) != 6 {
		t.Fatalf("%d edges", len(s.Edges))
	}
	var bytes int64
	for _, e := range s.Edges[:5] {
		bytes += e.Bytes
		if !strings.HasSuffix(e.Client, ".0/24") || e.Exchanges != 100 {
			t.Errorf("%+v", e)
		}
	}
	if s.Edges[5].Client != "10.0.0.7" || bytes != 500*30 {
		t.Errorf("%+v, %d bytes", s.Edges[5], bytes)
	}
}

func TestNoiseIsNoEndpointButItsFindingsStay(t *testing.T) {
	in := New(Options{})
	for i := range uint64(50) {
		in.Worker(0).Exchange(talk(i, "203.0.113.9", "10.0.0.2:80", fmt.Sprintf("GET /old/%s?api_key=0123456789abcdef HTTP/1.1\nHost: a.example.org\nUser-Agent: nuclei\n---\n404\n\n", letters(i))))
	}
	in.Worker(0).Exchange(talk(60, "10.0.0.7", "10.0.0.2:80", "GET /a HTTP/1.1\nHost: a.example.org\n---\n200\n\nx"))
	s := in.Snapshot(nil, nil)
	if len(s.Endpoints) != 1 || s.Coverage.Noise != 50 {
		t.Errorf("%d endpoints, noise %d", len(s.Endpoints), s.Coverage.Noise)
	}
	n := 0
	for _, f := range s.Findings {
		if f.Rule == "key.in-url" {
			n++
			if f.Count != 50 || f.Endpoint != "" {
				t.Errorf("%+v", f)
			}
		}
	}
	if n != 1 {
		t.Errorf("%d findings of a key in 50 URLs", n)
	}
}

func FuzzExchange(f *testing.F) {
	for _, p := range places {
		f.Add(strings.ReplaceAll(p.text, "%s", "x"))
	}
	f.Add("GET /\nAuthorization: Basic 00") // two digits of base64 are a byte
	f.Fuzz(func(t *testing.T, text string) {
		in := New(Options{Calls: func([]analyze.Call) {}})
		for i := range uint64(3) {
			x := talk(i, "10.0.0.1", "10.0.0.2:80", text)
			x.Request.Flaws = capture.FlawFold | capture.FlawLengthConflict
			in.Worker(0).Exchange(x)
		}
		s := in.Snapshot(nil, nil)
		if s.Exchanges != 3 {
			t.Fatal("an exchange is missing")
		}
		for _, e := range s.Endpoints {
			if strings.ContainsAny(e.Service+e.Method+e.Template, "\x00\x1b\x7f") {
				t.Fatalf("%q %q %q", e.Service, e.Method, e.Template)
			}
		}
	})
}
