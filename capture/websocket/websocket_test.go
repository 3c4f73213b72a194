package websocket

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"plainsight/capture"
	. "plainsight/capture/capturetest"
)

// wire writes a frame. first is its first byte.
func wire(first byte, masked bool, payload string) string {
	b := []byte{first, 0}
	switch n := len(payload); {
	case n < 126:
		b[1] = byte(n)
	case n < 1<<16:
		b[1] = 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] = 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	if masked {
		b[1] |= 0x80
		b = append(b, 1, 2, 3, 4)
	}
	return string(b) + payload
}

func play(cut int, extensions string, steps ...Step) ([]capture.WebSocket, Played, capture.Counts) {
	var r Recorder
	var n capture.Counts
	p := Protocol(Options{}).New(&capture.Conn{ID: 1}, &r, &n)
	p.(capture.Heir).Inherit(&capture.Upgrade{Target: "/ws", Authority: "a", Extensions: extensions})
	played := Play(p, cut, steps...)
	return r.WebSockets, played, n
}

// tell writes a stream down for people.
func tell(s capture.WebSocket) string {
	var b strings.Builder
	for d, name := range [...]string{">", "<"} {
		fmt.Fprintf(&b, "%s %d messages of %d bytes:", name, s.Messages[d], s.Bytes[d])
		for op, n := range s.Frames[d] {
			if n > 0 {
				fmt.Fprintf(&b, " %d of %d", n, op)
			}
			if n := s.Mismasked[d][op]; n > 0 {
				fmt.Fprintf(&b, " (%d mismasked)", n)
			}
		}
		b.WriteString("; ")
	}
	return b.String()
}

func TestStreams(t *testing.T) {
	long := strings.Repeat("x", 70000)
	for name, c := range map[string]struct {
		extensions string
		steps      []Step
		want       string
		invalid    uint64
	}{
		"two texts and an answer": {"", []Step{
			Client(wire(0x81, true, "hello") + wire(0x81, true, "again")), Server(wire(0x82, false, strings.Repeat("y", 300))),
		}, "> 2 messages of 10 bytes: 2 of 1; < 1 messages of 300 bytes: 1 of 2; ", 0},
		"a message in pieces, a ping between them": {"", []Step{
			Client(wire(0x01, true, "one ") + wire(0x89, true, "ping") + wire(0x00, true, "two ") + wire(0x80, true, "three")), Server(wire(0x8a, false, "ping")),
		}, "> 1 messages of 17 bytes: 2 of 0 1 of 1 1 of 9; < 0 messages of 4 bytes: 1 of 10; ", 0},
		"a long one": {"", []Step{Server(wire(0x82, false, long)), Server(wire(0x88, false, "\x03\xe8"))},
			"> 0 messages of 0 bytes:; < 1 messages of 70002 bytes: 1 of 2 1 of 8; ", 0},
		"deflated": {"permessage-deflate; server_no_context_takeover", []Step{Client(wire(0xc1, true, "zzz"))},
			"> 1 messages of 3 bytes: 1 of 1; < 0 messages of 0 bytes:; ", 0},
		"masks on the wrong side": {"", []Step{Client(wire(0x81, false, "a")), Server(wire(0x81, true, "b"))},
			"> 1 messages of 1 bytes: 1 of 1 (1 mismasked); < 1 messages of 1 bytes: 1 of 1 (1 mismasked); ", 2},
		"a gap inside a frame": {"", []Step{Client(wire(0x82, true, long)[:100]), Lost(capture.ToServer, 70014-100), Client(wire(0x81, true, "ok"))},
			"> 2 messages of 88 bytes: 1 of 1 1 of 2; < 0 messages of 0 bytes:; ", 0},
		"a gap that may hold frames": {"", []Step{Client(wire(0x81, true, "a")), Lost(capture.ToServer, 7), Client(wire(0x81, true, "ok")), Server(wire(0x81, false, "b"))},
			"> 1 messages of 1 bytes: 1 of 1; < 1 messages of 1 bytes: 1 of 1; ", 0},
		"no frames behind one": {"", []Step{Client(wire(0x81, true, "a") + "GET / HTTP/1.1\r\n"), Server("HTTP/1.1 200 OK\r\n\r\n")},
			"> 1 messages of 1 bytes: 1 of 1; < 0 messages of 0 bytes:; ", 2},
		"lengths beyond all": {"", []Step{Client("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff1234"), Server(wire(0x81, false, "b"))},
			"> 0 messages of 0 bytes:; < 1 messages of 1 bytes: 1 of 1; ", 1},
	} {
		for _, cut := range []int{0, 1, 3, 50} {
			got, _, n := play(cut, c.extensions, c.steps...)
			if len(got) != 1 {
				t.Errorf("%s, cut %d: %d streams", name, cut, len(got))
				continue
			}
			s := got[0]
			if tell(s) != c.want || n[capture.WebSocketFramesInvalid] != c.invalid {
				t.Errorf("%s, cut %d: %s %d invalid, want %s %d", name, cut, tell(s), n[capture.WebSocketFramesInvalid], c.want, c.invalid)
			}
			if s.Deflate != (c.extensions != "") || string(s.Target) != "/ws" {
				t.Errorf("%s: deflate %v, target %q", name, s.Deflate, s.Target)
			}
		}
	}
}

// Whatever looks like another protocol is none: both ends agreed on this one.
func TestNothingButAnAgreement(t *testing.T) {
	if v := Protocol(Options{}).Sniff(capture.ToServer, []byte(wire(0x81, true, "a")), false); v != capture.No {
		t.Errorf("sniffed: %v", v)
	}
	got, played, _ := play(0, "", Client("GET / HTTP/1.1\r\n\r\n"))
	if len(got) != 0 || played.Err[capture.ToServer] != capture.ErrOpaque {
		t.Errorf("%d streams, %v", len(got), played.Err)
	}
}

func TestNoAllocations(t *testing.T) {
	var n capture.Counts
	p := Protocol(Options{}).New(&capture.Conn{ID: 1}, struct{ capture.Handler }{}, &n)
	b := []byte(strings.Repeat(wire(0x81, true, "some text"), 20))
	if a := testing.AllocsPerRun(100, func() { p.Data(capture.ToServer, b, capture.Stamp{}) }); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte(wire(0x01, true, "one ")+wire(0x89, true, "ping")+wire(0x80, true, "two")), []byte(wire(0x82, false, strings.Repeat("y", 300))), uint8(3), uint8(0))
	f.Add([]byte(wire(0xc1, true, "z")), []byte("\x88\x02\x03\xe8"), uint8(1), uint8(2))
	f.Add([]byte(sealed(0xc1, alone("some text"))+sealed(0x41, alone("more"))+sealed(0x80, "")), []byte(wire(0xc1, false, alone("text"))), uint8(1), uint8(2))
	f.Fuzz(func(t *testing.T, c, s []byte, cut, gap uint8) {
		steps := []Step{Client(string(c)), Server(string(s)), Lost(capture.ToServer, int(gap)), Client(string(c))}
		whole, _, _ := play(0, "permessage-deflate", steps...)
		pieces, _, _ := play(1+int(cut), "permessage-deflate", steps...)
		if len(whole) != len(pieces) || len(whole) > 1 {
			t.Fatalf("%d streams whole, %d in pieces", len(whole), len(pieces))
		}
		if len(whole) == 1 && tell(whole[0]) != tell(pieces[0]) {
			t.Fatalf("whole  %s\npieces %s", tell(whole[0]), tell(pieces[0]))
		}
		if len(whole) == 1 && whole[0].Bytes[0]+whole[0].Bytes[1] > int64(2*len(c)+len(s)) {
			t.Fatal("more bytes than there were")
		}
		for _, extensions := range []string{"", "permessage-deflate", "permessage-deflate; client_no_context_takeover; server_no_context_takeover"} {
			a, _, held := listen(Options{Message: 64, Inflated: 1 << 12}, 0, extensions, steps...)
			b, _, also := listen(Options{Message: 64, Inflated: 1 << 12}, 1+int(cut), extensions, steps...)
			if _, _, s := listen(Options{Memory: 1 << 8}, 1+int(cut), extensions, steps...); s.held.Load() != 0 {
				t.Fatalf("%d bytes are held at the end", s.held.Load())
			}
			if a != b || held.held.Load() != 0 || also.held.Load() != 0 {
				t.Fatalf("whole %q, %d held\npieces %q, %d held", a, held.held.Load(), b, also.held.Load())
			}
		}
	})
}
