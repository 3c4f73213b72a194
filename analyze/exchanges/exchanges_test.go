package exchanges

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"plainsight/capture"
)

type nobody struct{ exchanges, handshakes, sockets, connections int }

func (n *nobody) Exchange(*capture.Exchange)   { n.exchanges++ }
func (n *nobody) Handshake(*capture.Handshake) { n.handshakes++ }
func (n *nobody) WebSocket(*capture.WebSocket) { n.sockets++ }
func (n *nobody) Connection(*capture.Summary)  { n.connections++ }

var conn = &capture.Conn{
	ID: 7, Client: netip.MustParseAddrPort("10.0.0.1:40000"), Server: netip.MustParseAddrPort("[2001:db8::2]:80"),
}

func exchange() *capture.Exchange {
	at := capture.Stamp{Time: time.Unix(1700000000, 123456789), Frame: 9}
	return &capture.Exchange{
		Conn: conn, Method: capture.Text("GET"), Target: capture.Text("/u/7?token=abcdefghijkl&flag"),
		Authority: capture.Text("api.test:80"), Status: 200, Reason: capture.Text("OK"), Interim: []int{100, 103},
		Request: capture.Message{Seen: true, Proto: capture.HTTP11, Start: at, End: at, ContentLength: -1,
			Headers: []capture.Header{
				{Name: capture.Text("Host"), Value: capture.Text("api.test:80")},
				{Name: capture.Text("Authorization"), Value: capture.Text("Bearer x")},
			}},
		Response: capture.Message{Seen: true, Proto: capture.HTTP11, Start: at, End: at, BodySize: 2, DecodedSize: 2,
			ContentLength: 2, Flaws: capture.FlawFold},
	}
}

func lines(t *testing.T, opts Options, feed func(capture.Handler)) []map[string]any {
	t.Helper()
	var out bytes.Buffer
	w := New(&out, opts)
	feed(w.Handler(&nobody{}))
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for _, l := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
		var m map[string]any
		if err := json.Unmarshal([]byte(l), &m); err != nil {
			t.Fatalf("%v in %s", err, l)
		}
		all = append(all, m)
	}
	return all
}

func TestAnExchangeIsALine(t *testing.T) {
	name := func(frame uint64) string { return fmt.Sprint(frame, ".pcap") }
	got := lines(t, Options{Reveal: true, Name: name}, func(h capture.Handler) { h.Exchange(exchange()) })
	want := []map[string]any{{
		"type": "http", "pcap": "7.pcap", "src": "10.0.0.1", "sport": 40000., "dst": "2001:db8::2", "dport": 80.,
		"proto": "HTTP/1.1", "ts": 1700000000.123456, "req_frame": 9., "method": "GET", "host": "api.test:80",
		"uri": "/u/7?token=abcdefghijkl&flag", "authorization": true, "req_body_len": 0., "req_body_decoded_len": 0.,
		"resp_ts": 1700000000.123456, "resp_frame": 9., "status": 200., "reason": "OK", "resp_body_len": 2.,
		"resp_body_decoded_len": 2., "resp_content_length": 2., "interim": []any{100., 103.}, "flaws": []any{"fold"},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestValuesAreMaskedUnlessRevealed(t *testing.T) {
	made := 0
	mask := func() func(dst, text []byte) []byte {
		made++
		return func(dst, b []byte) []byte { return append(dst, bytes.ReplaceAll(b, []byte("/7"), []byte("/#?"))...) }
	}
	for range 2 { // the second time from memory
		got := lines(t, Options{Mask: mask}, func(h capture.Handler) { h.Exchange(exchange()); h.Exchange(exchange()) })
		for _, x := range got {
			if x["uri"] != "/u/#??token=ab••••••••kl&flag" {
				t.Errorf("uri is %q", x["uri"])
			}
		}
	}
	if made != 2 {
		t.Errorf("%d masks made for two handlers", made)
	}
}

// However many different texts pass, little is kept; and they are told apart.
func TestWhatIsShownIsBounded(t *testing.T) {
	mask := func() func(dst, text []byte) []byte {
		return func(dst, b []byte) []byte { return append(append(append(dst, '"'), b...), '>') }
	}
	w := New(&bytes.Buffer{}, Options{Mask: mask})
	h := w.Handler(&nobody{}).(*handler)
	for i := range 5000 {
		text := fmt.Sprint(i)
		if i%7 == 0 {
			text += strings.Repeat("x", 500)
		}
		for range 2 {
			h.line = h.line[:0]
			if h.show([]byte(text)); string(h.line) != `\"`+text+">" {
				t.Fatalf("%q is shown as %q", text, h.line)
			}
		}
	}
	kept := 0
	for _, s := range h.shown {
		kept += len(s.text) + len(s.json)
	}
	if kept == 0 || kept > 2*maxShown*len(h.shown) {
		t.Errorf("%d bytes are kept", kept)
	}
}

// A line costs nothing, also where nothing of it comes again.
func TestALineDoesNotAllocate(t *testing.T) {
	for _, o := range []Options{{Reveal: true}, {Mask: masked}} {
		w := New(discard{}, o)
		h, x, i := w.Handler(&nobody{}), exchange(), 0
		x.Response.Flaws = 0
		x.Target = capture.Text("/users/00000/items?page=1&secret=ein+Geheimnis")
		show := func() {
			i++
			strconv.AppendInt(x.Target[:len("/users/")], int64(10000+i), 10)
			h.Exchange(x)
		}
		for range 5000 {
			show()
		}
		if n := testing.AllocsPerRun(1000, show); n > 0 {
			t.Errorf("%.1f allocations with %v", n, o.Reveal)
		}
	}
}

func masked() func(dst, text []byte) []byte {
	return func(dst, text []byte) []byte { return append(append(dst, "masked "...), text...) }
}

func TestHostileTextStaysInsideItsString(t *testing.T) {
	x := exchange()
	x.Target = capture.Text("/\"},{\x00\x1b[2J\xff</script>\u2028\u009b")
	var out bytes.Buffer
	w := New(&out, Options{Reveal: true})
	w.Handler(&nobody{}).Exchange(x)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	line := out.String()
	var m map[string]any
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		t.Fatal(err)
	}
	if m["uri"] != "/\"},{\x00\x1b[2J\ufffd</script>\u2028\u009b" {
		t.Errorf("uri is %q", m["uri"])
	}
	if !utf8.ValidString(line) || strings.ContainsAny(line, "\x00\x1b<\u2028\u009b") || strings.Count(line, "\n") != 1 {
		t.Errorf("unsafe bytes in %q", line)
	}
}

func TestHandshakesAndStreamsAreLinesToo(t *testing.T) {
	n := &nobody{}
	var out bytes.Buffer
	w := New(&out, Options{Reveal: true})
	h := w.Handler(n)
	h.Handshake(&capture.Handshake{Conn: conn, ClientSeen: true, ServerSeen: true, SNI: "a.test",
		ClientVersion: 0x303, Version: 0x304, Cipher: 0x1302, ClientALPN: []string{"h2"},
		Certificates: 1, Leaf: &capture.Certificate{Serial: "0a"}})
	ws := &capture.WebSocket{Conn: conn, Bytes: [2]int64{27, 126}}
	ws.Frames[capture.ToClient][1], ws.Frames[capture.ToServer][1], ws.Frames[capture.ToServer][8] = 3, 2, 1
	h.WebSocket(ws)
	h.Connection(&capture.Summary{})
	h.Exchange(exchange())
	if *n != (nobody{1, 1, 1, 1}) {
		t.Errorf("handed on: %+v", *n)
	}
	w.Flush()
	for _, want := range []string{
		`"sni":"a.test","client_version":"0x0303"`, `"cipher":"TLS_AES_256_GCM_SHA384","cipher_id":"0x1302"`,
		`"frames":{"unmasked":{"1":3},"masked":{"1":2,"8":1}},"bytes":{"unmasked":126,"masked":27}`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in %s", want, out.String())
		}
	}
}

func BenchmarkExchange(b *testing.B) {
	for _, o := range []Options{{Reveal: true}, {Mask: masked}} {
		b.Run(fmt.Sprintf("reveal=%v", o.Reveal), func(b *testing.B) {
			w := New(discard{}, o)
			h, x := w.Handler(&nobody{}), exchange()
			b.ReportAllocs()
			for b.Loop() {
				h.Exchange(x)
			}
		})
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
