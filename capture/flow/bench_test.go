package flow

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"plainsight/capture"
	"plainsight/capture/capturetest"
	"plainsight/capture/http1"
	"plainsight/capture/packet"
)

// mute is a handler that keeps nothing.
type mute struct{ exchanges int }

func (m *mute) Exchange(*capture.Exchange)   { m.exchanges++ }
func (m *mute) Handshake(*capture.Handshake) {}
func (m *mute) WebSocket(*capture.WebSocket) {}
func (m *mute) Connection(*capture.Summary)  {}

// swallow is a protocol whose one parser takes everything.
func swallow() capture.Protocol {
	return capture.Protocol{
		Name:  "swallow",
		Sniff: func(capture.Dir, []byte, bool) capture.Verdict { return capture.Yes },
		New:   func(*capture.Conn, capture.Handler, *capture.Counts) capture.Parser { return swallower{} },
	}
}

type swallower struct{}

func (swallower) Data(_ capture.Dir, b []byte, _ capture.Stamp) (int, error) { return len(b), nil }
func (swallower) Gap(capture.Dir, int64, capture.Stamp)                      {}
func (swallower) End(capture.Dir, bool, capture.Stamp)                       {}

func TestSegmentsInOrderDoNotAllocate(t *testing.T) {
	e := New(Options{Protocols: []capture.Protocol{swallow()}}, &mute{})
	s := packet.Segment{Src: netip.MustParseAddrPort("10.0.0.1:4000"), Dst: netip.MustParseAddrPort("10.0.0.2:80"),
		Flags: packet.ACK, Payload: make([]byte, 1400)}
	s.Time = capturetest.Epoch
	e.take(&s, 1, 0)
	if n := testing.AllocsPerRun(1000, func() {
		s.Seq += 1400
		e.take(&s, 2, 0)
	}); n != 0 {
		t.Errorf("%v allocations a segment", n)
	}
}

// In the long run a connection costs no memory but what its parser takes.
func TestConnectionsDoNotAllocate(t *testing.T) {
	frames := capturetest.Wire{}.Frames(story(4)...)
	e := New(Options{Protocols: []capture.Protocol{swallow()}, Connections: 64, Linger: time.Millisecond}, &mute{})
	day := time.Duration(0)
	var f capture.Frame
	play := func() {
		day += time.Second
		for i := range frames {
			f = frames[i]
			f.Time = f.Time.Add(day)
			e.Frame(&f)
		}
	}
	for range 100 {
		play()
	}
	if n := testing.AllocsPerRun(200, play); n > 0 {
		t.Errorf("%v allocations a connection", n)
	}
}

// load is many connections at once, each with some exchanges of HTTP/1.
func load(conns, exchanges, body int) ([]capture.Frame, int64) {
	var all [][]capture.Frame
	answer := capturetest.Server(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", body, strings.Repeat("x", body)))
	for i := range conns {
		var steps []capturetest.Step
		for j := range exchanges {
			steps = append(steps, capturetest.Client(fmt.Sprintf("GET /orders/%d HTTP/1.1\r\nHost: shop.example\r\nAccept: */*\r\n\r\n", j)), answer)
		}
		all = append(all, at(time.Duration(i)*time.Microsecond, i, capturetest.Wire{Pace: time.Millisecond}).Frames(steps...))
	}
	frames := capturetest.Merge(all...)
	var bytes int64
	for _, f := range frames {
		bytes += int64(len(f.Data))
	}
	return frames, bytes
}

func BenchmarkEngine(b *testing.B) {
	frames, bytes := load(100, 50, 5000)
	for _, bench := range []struct {
		name string
		p    capture.Protocol
	}{{"streams", swallow()}, {"http1", http1.Protocol(http1.Options{})}} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(bytes)
			b.ReportAllocs()
			for b.Loop() {
				e := New(Options{Protocols: []capture.Protocol{bench.p}}, &mute{})
				for i := range frames {
					e.Frame(&frames[i])
				}
				e.Close()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(frames)), "ns/frame")
		})
	}
}

func BenchmarkRun(b *testing.B) {
	frames, bytes := load(100, 50, 5000)
	for _, n := range []int{1, 2} {
		b.Run(fmt.Sprintf("shards=%d", n), func(b *testing.B) {
			b.SetBytes(bytes)
			b.ReportAllocs()
			for b.Loop() {
				_, err := Run(b.Context(), &steady{frames}, n, Options{Protocols: []capture.Protocol{http1.Protocol(http1.Options{})}},
					func(int) capture.Handler { return &mute{} })
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// steady is a source that copies nothing.
type steady struct{ frames []capture.Frame }

func (s *steady) Next(f *capture.Frame) error {
	if len(s.frames) == 0 {
		return (&capturetest.Source{}).Next(f)
	}
	*f = s.frames[0]
	s.frames = s.frames[1:]
	return nil
}
func (s *steady) Close() error { return nil }

// A flood of calls costs little and is bounded.
func BenchmarkFlood(b *testing.B) {
	e := New(Options{Connections: 4096}, &mute{})
	s := packet.Segment{Dst: netip.MustParseAddrPort("10.0.0.2:80"), Flags: packet.SYN}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Src = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 24), byte(i >> 16)}), uint16(i))
		s.Frame = uint64(i)
		e.take(&s, int64(i), 0)
	}
}
