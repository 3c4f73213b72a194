package websocket

import (
	"bytes"
	"compress/flate"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"plainsight/capture"
	. "plainsight/capture/capturetest"
)

// sealed is a frame of a client, masked.
func sealed(first byte, payload string) string {
	w := wire(first, true, payload)
	b := []byte(w)
	for i := range len(payload) {
		b[len(b)-len(payload)+i] ^= []byte{1, 2, 3, 4}[i&3]
	}
	return string(b)
}

// deflater compresses messages one after the other, each with those before in
// its window.
type deflater struct {
	b bytes.Buffer
	w *flate.Writer
}

func (d *deflater) message(text string) string {
	if d.w == nil {
		d.w, _ = flate.NewWriter(&d.b, 6)
	}
	d.b.Reset()
	d.w.Write([]byte(text))
	d.w.Flush()
	return strings.TrimSuffix(d.b.String(), "\x00\x00\xff\xff")
}

func alone(text string) string { return new(deflater).message(text) }

// listen plays steps and tells the messages of text.
func listen(o Options, cut int, extensions string, steps ...Step) (string, capture.Counts, *shared) {
	var r Recorder
	var n capture.Counts
	row := Protocol(o)
	p := row.New(&capture.Conn{ID: 1}, &r, &n)
	p.(capture.Heir).Inherit(&capture.Upgrade{Target: "/ws", Authority: "a", Extensions: extensions})
	Play(p, cut, steps...)
	var b strings.Builder
	for _, m := range r.Messages {
		fmt.Fprintf(&b, "%c %s", "><"[m.Dir], m.Text)
		if m.Truncated {
			b.WriteString(" …")
		}
		b.WriteByte('\n')
		if string(m.Target) != "/ws" || string(m.Authority) != "a" || m.Conn == nil {
			b.WriteString("of nowhere\n")
		}
	}
	return b.String(), n, p.(*parser).shared
}

func TestMessagesOfText(t *testing.T) {
	var c, s deflater
	long := strings.Repeat("0123456789", 60000)
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 40000)
	for i := range noise {
		noise[i] = 'a' + byte(random.IntN(26))
	}
	for _, x := range []struct {
		about      string
		o          Options
		extensions string
		steps      []Step
		want       string
		counts     map[capture.Counter]uint64
	}{
		{"both ends", Options{}, "", []Step{Client(sealed(0x81, `{"a":1}`)), Server(wire(0x81, false, `{"b":2}`))}, "> {\"a\":1}\n< {\"b\":2}\n", map[capture.Counter]uint64{capture.WebSocketTexts: 2}},
		{"binary between", Options{}, "", []Step{Client(sealed(0x82, "no") + sealed(0x81, "yes") + sealed(0x82, "no"))}, "> yes\n", nil},
		{"in pieces, a ping between them", Options{}, "", []Step{Client(sealed(0x01, "one ") + sealed(0x89, "ping") + sealed(0x00, "") + sealed(0x00, "two ") + sealed(0x80, "three"))}, "> one two three\n", nil},
		{"an empty one", Options{}, "", []Step{Client(sealed(0x81, "")), Server(wire(0x81, false, ""))}, "> \n< \n", nil},
		{"a new one before the last piece", Options{}, "", []Step{Client(sealed(0x01, "lost") + sealed(0x81, "found"))}, "> found\n", nil},
		{"a long one", Options{Message: 20}, "", []Step{Client(sealed(0x01, long[:15]) + sealed(0x80, long))}, "> 01234567890123401234 …\n", map[capture.Counter]uint64{capture.WebSocketMessageLimit: 1}},
		{"cut by the end", Options{}, "", []Step{Client(sealed(0x81, "hello")[:9])}, "> hel …\n", nil},
		{"a gap inside", Options{}, "", []Step{Client(sealed(0x81, "hello you")[:9]), Lost(capture.ToServer, 2), Client(sealed(0x81, "hello you")[11:] + sealed(0x81, "next"))}, "> hel …\n> next\n", nil},
		{"deflated, each in the window of those before", Options{}, "permessage-deflate", []Step{
			Client(sealed(0xc1, c.message(`{"token":"the same again"}`)) + sealed(0xc1, c.message(`{"token":"the same again"}`)) + sealed(0x81, "plain") + sealed(0xc1, c.message(`{"token":"the same"}`))),
			Server(wire(0xc1, false, s.message("one"))), Server(wire(0xc2, false, s.message("binary text"))), Server(wire(0xc1, false, s.message("more binary text"))),
		}, "> {\"token\":\"the same again\"}\n> {\"token\":\"the same again\"}\n> plain\n> {\"token\":\"the same\"}\n< one\n< more binary text\n", map[capture.Counter]uint64{capture.WebSocketUndecoded: 0}},
		{"deflated, each alone", Options{}, "permessage-deflate; client_no_context_takeover", []Step{
			Client(sealed(0xc1, alone("first")) + sealed(0xc1, "\xff\xff") + sealed(0xc1, alone("second"))),
		}, "> first\n> second\n", map[capture.Counter]uint64{capture.WebSocketUndecoded: 1}},
		{"deflated, in pieces", Options{}, "permessage-deflate; client_no_context_takeover", []Step{
			Client(sealed(0x41, alone("first")[:3]) + sealed(0x80, alone("first")[3:])),
		}, "> first\n", nil},
	} {
		for _, cut := range []int{0, 1, 3, 1000} {
			got, n, s := listen(x.o, cut, x.extensions, x.steps...)
			if got != x.want {
				t.Errorf("%s, cut %d:\n%.300s\nwant\n%s", x.about, cut, got, x.want)
			}
			for k, v := range x.counts {
				if n[k] != v {
					t.Errorf("%s, cut %d: %s is %d, want %d", x.about, cut, k.Info().Name, n[k], v)
				}
			}
			if held := s.held.Load(); held != 0 {
				t.Errorf("%s, cut %d: %d bytes are held at the end", x.about, cut, held)
			}
		}
	}

	// What all together may hold is a bound: where it is reached, a message ends.
	if got, n, s := listen(Options{Memory: 1000}, 3, "", Client(sealed(0x81, long)+sealed(0x81, "short"))); len(got) > 1100 || !strings.HasSuffix(got, "…\n> short\n") || n[capture.WebSocketMemoryLimit] != 1 || s.held.Load() != 0 {
		t.Errorf("too much held: %d bytes, %d times", len(got), n[capture.WebSocketMemoryLimit])
	}
	// A message that inflates to more than is allowed ends its direction's inflating,
	// as what follows may refer to it.
	bomb := alone(strings.Repeat("x", 8<<20))
	got, n, _ := listen(Options{Message: 1 << 16, Inflated: 1 << 20}, 0, "permessage-deflate", Client(sealed(0xc1, bomb)+sealed(0xc1, alone("after"))+sealed(0x81, "plain")), Server(wire(0xc1, false, alone("other"))))
	if len(got) < 1<<16 || len(got) > 1<<17 || !strings.HasSuffix(got, "…\n> plain\n< other\n") || n[capture.WebSocketUndecoded] != 1 {
		t.Errorf("a bomb: %d bytes, %d undecoded: %.40s", len(got), n[capture.WebSocketUndecoded], got[max(0, len(got)-60):])
	}
	// So does one of which a piece is lost.
	var e deflater
	one, two := sealed(0xc1, e.message("the first")), sealed(0xc1, e.message("the second"))
	got, n, _ = listen(Options{}, 0, "permessage-deflate", Client(one[:9]), Lost(capture.ToServer, 2), Client(one[11:]+two+sealed(0x81, "plain")))
	if !strings.HasSuffix(got, "> plain\n") || strings.Contains(got, "second") || n[capture.WebSocketUndecoded] != 1 {
		t.Errorf("a lost piece: %q, %d undecoded", got, n[capture.WebSocketUndecoded])
	}
	// Bombs, one after the other, cost no more than the first few.
	one = sealed(0xc1, alone(strings.Repeat("x", 1<<20)))
	if _, n, _ = listen(Options{}, 0, "permessage-deflate; client_no_context_takeover", Client(strings.Repeat(one, 1000))); n[capture.WebSocketTexts] > 3 || n[capture.WebSocketUndecoded] < 990 {
		t.Errorf("a thousand bombs: %d inflated", n[capture.WebSocketTexts])
	}
	// The window slides over what is longer than it.
	var d deflater
	var frames, want string
	for i := range 8 {
		text := string(noise[i*5000:][:5000]) + string(noise[:500])
		frames += sealed(0xc1, d.message(text))
		want += "> " + text + "\n"
	}
	if got, n, _ := listen(Options{}, 700, "permessage-deflate", Client(frames)); got != want || n[capture.WebSocketUndecoded] != 0 {
		t.Errorf("a sliding window: %d bytes, want %d", len(got), len(want))
	}
}

// counting is a handler that listens, and keeps nothing.
type counting struct {
	Recorder
	n int
}

func (c *counting) WebSocketMessage(m *capture.WebSocketMessage) { c.n += len(m.Text) }

func TestMessagesAllocateNothing(t *testing.T) {
	var n capture.Counts
	var h counting
	p := Protocol(Options{}).New(&capture.Conn{ID: 1}, &h, &n)
	p.(capture.Heir).Inherit(&capture.Upgrade{Extensions: "permessage-deflate; client_no_context_takeover"})
	b := []byte(strings.Repeat(sealed(0x81, "some text")+sealed(0xc1, alone(strings.Repeat("some text", 50))), 20))
	if a := testing.AllocsPerRun(100, func() { p.Data(capture.ToServer, b, capture.Stamp{}) }); a > 0 {
		t.Errorf("%v allocations", a)
	}
	if h.n == 0 || n[capture.WebSocketUndecoded] > 0 {
		t.Errorf("%d bytes of text", h.n)
	}
}

func BenchmarkMessages(b *testing.B) {
	text := strings.Repeat(`{"id":123,"user":{"name":"ann"},"tags":["a","b"]},`, 20)
	for _, c := range []struct{ name, extensions, frame string }{
		{"counted", "", sealed(0x82, text)}, {"text", "", sealed(0x81, text)}, {"deflated", "permessage-deflate; client_no_context_takeover", sealed(0xc1, alone(text))},
	} {
		b.Run(c.name, func(b *testing.B) {
			var n capture.Counts
			var h counting
			p := Protocol(Options{}).New(&capture.Conn{ID: 1}, &h, &n)
			p.(capture.Heir).Inherit(&capture.Upgrade{Extensions: c.extensions})
			frame := []byte(c.frame)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				p.Data(capture.ToServer, frame, capture.Stamp{})
			}
		})
	}
}
