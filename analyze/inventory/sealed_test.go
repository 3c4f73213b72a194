package inventory

import (
	"net/netip"
	"testing"

	"plainsight/analyze"
	"plainsight/capture"
)

// A connection that is TLS on the wire and was read inside by a probe is one
// connection, and its exchanges are encrypted as the handshake said.
func TestOneConnectionOnTheWireAndInside(t *testing.T) {
	in := New(Options{})
	w := in.Worker(0)
	wire := capture.Conn{ID: 7, Client: netip.MustParseAddrPort("10.0.0.1:4000"), Server: netip.MustParseAddrPort("10.0.0.2:443"),
		Parties: [2]*capture.Party{{PID: 1, Command: "curl"}}}
	inside := wire
	inside.Encrypted = true
	w.Handshake(&capture.Handshake{Conn: &wire, At: capture.Stamp{Time: start}, ServerSeen: true, Version: 0x303, Cipher: 0xc02b, SNI: "api.example"})
	get := func() {
		w.Exchange(&capture.Exchange{Conn: &inside, Method: capture.Text("GET"), Target: capture.Text("/v1/things"), Authority: capture.Text("api.example"), Status: 200,
			Request: capture.Message{Seen: true, Start: capture.Stamp{Time: start}, End: capture.Stamp{Time: start}}, Response: capture.Message{Seen: true, Start: capture.Stamp{Time: start}, End: capture.Stamp{Time: start}}})
	}
	get()
	in.Snapshot(nil, nil) // what is known of connections is forgotten, but not how they are encrypted
	get()
	w.Connection(&capture.Summary{Conn: inside, Bytes: [2]int64{10, 20}})
	w.Connection(&capture.Summary{Conn: wire, Bytes: [2]int64{1000, 2000}})
	s := in.Snapshot(nil, nil)
	if len(s.Edges) != 1 {
		t.Fatalf("%d rows: %+v", len(s.Edges), s.Edges)
	}
	e := s.Edges[0]
	if e.Wire != analyze.TLS || e.Version != "TLS 1.2" || e.Exchanges != 2 || e.Bytes != 3000 {
		t.Errorf("%+v", e)
	}
	if len(w.(*worker).seals) != 0 {
		t.Error("a connection that ended is still known")
	}
}
