package http2

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"plainsight/capture"
	. "plainsight/capture/capturetest"
)

// peer writes the frames of one side, by golang.org/x/net.
type peer struct {
	out  bytes.Buffer
	text bytes.Buffer
	fr   *http2.Framer
	enc  *hpack.Encoder
}

func newPeer() *peer {
	p := new(peer)
	p.fr = http2.NewFramer(&p.out, nil)
	p.fr.AllowIllegalWrites = true
	p.enc = hpack.NewEncoder(&p.text)
	return p
}

// take is what was written since.
func (p *peer) take() string {
	s := p.out.String()
	p.out.Reset()
	return s
}

// block encodes name, value, name, value, …
func (p *peer) block(fields ...string) []byte {
	p.text.Reset()
	for i := 0; i < len(fields); i += 2 {
		if err := p.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			panic(err)
		}
	}
	return bytes.Clone(p.text.Bytes())
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (p *peer) headers(id uint32, end bool, fields ...string) *peer {
	must(p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block(fields...), EndStream: end, EndHeaders: true}))
	return p
}

func (p *peer) request(id uint32, end bool, method, path string, more ...string) *peer {
	return p.headers(id, end, append([]string{":method", method, ":scheme", "http", ":authority", "shop.test", ":path", path}, more...)...)
}

func (p *peer) answer(id uint32, end bool, status int, more ...string) *peer {
	return p.headers(id, end, append([]string{":status", fmt.Sprint(status)}, more...)...)
}

func (p *peer) data(id uint32, end bool, body string) *peer {
	must(p.fr.WriteData(id, end, []byte(body)))
	return p
}

func (p *peer) start(client bool) *peer {
	if client {
		p.out.WriteString(preface)
	}
	must(p.fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100}))
	return p
}

// converse plays steps into a new parser.
func converse(o Options, conn capture.Conn, cut int, steps ...Step) ([]Exchange, Played, capture.Counts) {
	var r Recorder
	var n capture.Counts
	p := Protocol(o).New(&conn, &r, &n).(*parser)
	played := Play(p, cut, steps...)
	if out := p.Out() + p.tables.out.Load(); out != 0 {
		panic(fmt.Sprint(out, " bytes are still out"))
	}
	if cut == 0 && !p.Clean() {
		panic("a pooled buffer holds what it held")
	}
	return r.Exchanges, played, n
}

// story writes exchanges down for people.
func story(xs []Exchange) string {
	var b strings.Builder
	for _, x := range xs {
		if fmt.Fprintf(&b, "%d", x.Stream); x.Pushed {
			b.WriteString(" pushed")
		}
		b.WriteByte('\n')
		if m := &x.Request; m.Seen {
			fmt.Fprintf(&b, "> %s %s for %s %s\n", x.Method, x.Target, x.Authority, x.Scheme)
			tell(&b, '>', m)
		}
		for _, s := range x.Interim {
			fmt.Fprintf(&b, "< (%d)\n", s)
		}
		if m := &x.Response; m.Seen {
			fmt.Fprintf(&b, "< %d\n", x.Status)
			tell(&b, '<', m)
		}
		if g := x.GRPC; g != nil {
			fmt.Fprintf(&b, "  gRPC > %d of %d < %d of %d, %d and %d compressed, status %d %s\n",
				g.Messages[0], g.Bytes[0], g.Messages[1], g.Bytes[1], g.Compressed[0], g.Compressed[1], g.Status, g.Message)
		}
	}
	return b.String()
}

func tell(b *strings.Builder, side byte, m *Message) {
	for _, f := range m.Headers {
		fmt.Fprintf(b, "%c   %s: %q\n", side, f.Name, f.Value)
	}
	for _, f := range m.Trailer {
		fmt.Fprintf(b, "%c   trailer %s: %q\n", side, f.Name, f.Value)
	}
	if m.BodySize > 0 || m.ContentLength > 0 {
		body := m.Body
		if len(body) > 30 {
			body = append(slices.Clone(body[:30]), "…"...)
		}
		fmt.Fprintf(b, "%c   body of %d: %q\n", side, m.BodySize, body)
		if m.DecodedSize != m.BodySize {
			fmt.Fprintf(b, "%c   decoded: %d\n", side, m.DecodedSize)
		}
	}
	if m.Flaws != 0 {
		fmt.Fprintf(b, "%c   flaws: %s\n", side, strings.Join(m.Flaws.Names(), " "))
	}
}

var cuts = []int{0, 1, 2, 7, 9, 100, 1000}

// check plays steps in pieces of several sizes: each tells the same story.
func check(t *testing.T, conn capture.Conn, want string, steps ...Step) capture.Counts {
	t.Helper()
	var counts capture.Counts
	want = strings.TrimLeft(strings.ReplaceAll(want, "\t", ""), "\n")
	for _, cut := range cuts {
		xs, played, n := converse(Options{}, conn, cut, steps...)
		if got := story(xs); got != want {
			t.Errorf("cut %d:\n%s\nwant\n%s", cut, got, want)
			return n
		}
		if played.Err[0] != nil || played.Err[1] != nil {
			t.Errorf("cut %d: %v", cut, played.Err)
		}
		if counts = n; n[capture.Exchanges] != uint64(len(xs)) {
			t.Errorf("cut %d: %d counted of %d", cut, n[capture.Exchanges], len(xs))
		}
	}
	return counts
}
