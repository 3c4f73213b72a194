package packet

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"plainsight/capture"
)

// piece is a part of an IP packet.
type piece struct {
	lo, hi int
	more   bool
}

// cut divides n bytes into fragments of size bytes.
func cut(n, size int) []piece {
	var all []piece
	for lo := 0; lo < n; lo += size {
		all = append(all, piece{lo, min(lo+size, n), lo+size < n})
	}
	return all
}

// write makes frames of the pieces of the transport packet p.
func write(v6 bool, id int, p []byte, pieces []piece) []*capture.Frame {
	var all []*capture.Frame
	for _, c := range pieces {
		if v6 {
			all = append(all, frame(229, fragmentIPv6(client6, server6, 6, id, c.lo, c.more, p[c.lo:c.hi])))
		} else {
			all = append(all, frame(228, fragmentIPv4(client, server, 6, id, c.lo, c.more, p[c.lo:c.hi])))
		}
	}
	return all
}

// run decodes frames and returns the payloads that came out, in order.
func run(t testing.TB, d *Decoder, n *capture.Counts, frames []*capture.Frame) [][]byte {
	t.Helper()
	var all [][]byte
	var s Segment
	for _, f := range frames {
		if d.Decode(f, &s, n) {
			all = append(all, bytes.Clone(s.Payload))
		}
		balanced(t, n)
		if held := d.frags.bytes; held > d.frags.o.MaxFragmentBytes || len(d.frags.held) > d.frags.o.MaxFragmented {
			t.Fatalf("%d bytes in %d packets held", held, len(d.frags.held))
		}
	}
	return all
}

// body is text that differs at every place.
func body(n int) []byte {
	var b []byte
	for len(b) < n {
		b = fmt.Appendf(b, "%d,", len(b))
	}
	return b[:n]
}

func TestFragmentsInEveryOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 300 {
		want := body(r.IntN(5000))
		segment := inTCP(40000, 80, 1000, 2000, ACK, want)
		pieces := cut(len(segment), 8*(2+r.IntN(80)))
		if len(pieces) < 2 {
			continue
		}
		count := uint64(len(pieces))
		for range r.IntN(3) { // some come twice, before the packet is complete
			pieces = append([]piece{pieces[r.IntN(len(pieces)-1)]}, pieces...)
			count++
		}
		order := pieces[:len(pieces)-1]
		if i%2 == 0 {
			order = pieces
		}
		r.Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })
		d := New(Options{})
		var n capture.Counts
		got := run(t, d, &n, write(i%3 == 0, i, segment, pieces))
		if len(got) != 1 || !bytes.Equal(got[0], want) {
			t.Fatalf("%d packets of %d fragments", len(got), len(pieces))
		}
		d.Close(&n)
		balanced(t, &n)
		// What came twice after the end is a packet of its own that never ends.
		if n[capture.FramesAnalysed]+n[capture.FramesDroppedFragment] != count || n[capture.FramesDroppedFragment] > 2 {
			t.Fatalf("%v of %d", n[:capture.Connections], count)
		}
	}
}

// Where fragments say different things of the same byte, the first one counts.
func TestFirstFragmentWins(t *testing.T) {
	segment := inTCP(40000, 80, 1000, 2000, ACK, body(400))
	lie := bytes.Repeat([]byte{'!'}, len(segment))
	for name, c := range map[string][]struct {
		piece
		lie bool
	}{
		"the same twice":     {{piece{0, 104, true}, false}, {piece{0, 104, true}, true}, {piece{104, 432, false}, false}},
		"inside":             {{piece{0, 104, true}, false}, {piece{40, 80, true}, true}, {piece{104, 432, false}, false}},
		"around":             {{piece{40, 80, true}, false}, {piece{0, 40, true}, false}, {piece{80, 120, true}, false}, {piece{0, 120, true}, true}, {piece{120, 432, false}, false}},
		"over two and a gap": {{piece{0, 40, true}, false}, {piece{80, 120, true}, false}, {piece{40, 80, true}, false}, {piece{0, 120, true}, true}, {piece{80, 432, false}, false}},
		"the end first":      {{piece{104, 432, false}, false}, {piece{304, 432, false}, true}, {piece{0, 104, true}, false}},
		"over its front":     {{piece{104, 432, false}, false}, {piece{0, 104, true}, false}},
	} {
		for _, v6 := range []bool{false, true} {
			var frames []*capture.Frame
			for _, f := range c {
				p := segment
				if f.lie {
					p = lie
				}
				frames = append(frames, write(v6, 5, p, []piece{f.piece})...)
			}
			var n capture.Counts
			got := run(t, New(Options{}), &n, frames)
			if len(got) != 1 || !bytes.Equal(got[0], body(400)) {
				t.Errorf("%s: %q", name, got)
			}
		}
	}
}

// Fragments that no sender makes do not break the packet that they claim to be of.
func TestFragmentsThatCannotBe(t *testing.T) {
	segment := inTCP(40000, 80, 1000, 2000, ACK, body(400))
	long := append(bytes.Clone(segment), zero(70000)...)
	for name, bad := range map[string]piece{
		"odd length":     {8, 13, true},
		"empty":          {8, 8, true},
		"behind the end": {432, 440, true},
		"another end":    {400, 440, false},
		"an end before":  {8, 200, false},
		"over 64 KiB":    {65528, 65544, true},
	} {
		pieces := []piece{{104, 432, false}, bad, {0, 104, true}}
		if name == "an end before" {
			pieces[0] = piece{104, 304, true}
			pieces = append(pieces, piece{304, 432, false})
		}
		var n capture.Counts
		got := run(t, New(Options{}), &n, write(false, 5, long, pieces))
		if len(got) != 1 || !bytes.Equal(got[0], body(400)) || n[capture.FramesDroppedFragment] != 1 {
			t.Errorf("%s: %d packets, %v", name, len(got), n[:capture.Connections])
		}
	}
}

// A tunnel's outer packet in fragments, and the inner one as well.
func TestFragmentsInATunnel(t *testing.T) {
	segment := inTCP(40000, 80, 1000, 2000, ACK, body(3000))
	var frames []*capture.Frame
	for i, inner := range write(true, 9, segment, cut(len(segment), 1200)) {
		outer := inUDP(1, 4789, join([]byte{8, 0, 0, 0}, zero(4), inEthernet(0x86dd, inner.Data)))
		for _, c := range cut(len(outer), 400) {
			frames = append(frames, frame(1, inEthernet(0x800, fragmentIPv4("10.9.9.1", "10.9.9.2", 17, i, c.lo, c.more, outer[c.lo:c.hi]))))
		}
	}
	var n capture.Counts
	got := run(t, New(Options{}), &n, frames)
	if len(got) != 1 || !bytes.Equal(got[0], body(3000)) || n[capture.FramesAnalysed] != uint64(len(frames)) {
		t.Errorf("%d packets, %v", len(got), n[:capture.Connections])
	}
}

// The fragments of a packet that turns out to be of no use are not analysed.
func TestFragmentsOfUDP(t *testing.T) {
	datagram := inUDP(1, 53, body(3000))
	var n capture.Counts
	for _, c := range cut(len(datagram), 1200) {
		run(t, New(Options{}), &n, []*capture.Frame{frame(228, fragmentIPv4(client, server, 1, 1, c.lo, c.more, datagram[c.lo:c.hi]))})
	}
	d := New(Options{})
	for _, c := range cut(len(datagram), 1200) {
		run(t, d, &n, []*capture.Frame{frame(228, fragmentIPv4(client, server, 17, 1, c.lo, c.more, datagram[c.lo:c.hi]))})
	}
	if n[capture.FramesIgnoredNotTCP] != 6 || n[capture.FramesAnalysed] != 0 || n[capture.FragmentsHeld] != 2 {
		t.Errorf("%v", n[:capture.Connections])
	}
}

func TestFragmentsCutBySnapLength(t *testing.T) {
	segment := inTCP(40000, 80, 1000, 2000, ACK, body(400))
	f := write(false, 1, segment, cut(len(segment), 104))[0]
	f.Data = f.Data[:60]
	var s Segment
	if v, ok := verdictOf(t, New(Options{}), f, &s); ok || v != capture.FramesDroppedTruncated {
		t.Error(v.Info().Name)
	}
}

// Every bound on fragments is reached and counted.
func TestFragmentBounds(t *testing.T) {
	segment := inTCP(40000, 80, 1000, 2000, ACK, body(400))
	for name, c := range map[string]struct {
		o                Options
		frames           func() []*capture.Frame
		evicted, dropped uint64
		held             int
	}{
		"packets": {Options{MaxFragmented: 10}, func() (all []*capture.Frame) {
			for id := range 25 {
				all = append(all, write(false, id, segment, []piece{{0, 104, true}})...)
			}
			return all
		}, 15, 15, 10},
		"bytes": {Options{MaxFragmentBytes: 1 << 17}, func() (all []*capture.Frame) {
			for id := range 5 { // each claims all of 64 KiB
				all = append(all, write(false, id, zero(65528), []piece{{0, 8, true}, {65520, 65528, true}})...)
			}
			return all
		}, 3, 6, 2},
		"a bound under one packet": {Options{MaxFragmentBytes: 1}, func() (all []*capture.Frame) {
			for id := range 3 {
				all = append(all, write(false, id, zero(65528), []piece{{65520, 65528, true}})...)
			}
			return all
		}, 2, 2, 1},
		"fragments": {Options{MaxFragments: 20}, func() []*capture.Frame {
			return write(true, 1, zero(400), cut(400, 8))[:41]
		}, 1, 21, 1},
		"age": {Options{MaxFragmentAge: time.Second}, func() []*capture.Frame {
			all := write(true, 1, segment, cut(len(segment), 104))
			for i, f := range all {
				f.Time = t0.Add(time.Duration(i) * 400 * time.Millisecond)
			}
			return append(all[:2], all[3:]...) // the last one comes too late
		}, 1, 2, 1},
		"clock going back": {Options{MaxFragmentAge: time.Second}, func() []*capture.Frame {
			all := write(true, 1, segment, cut(len(segment), 104)[:3])
			all[1].Time = t0.Add(-time.Hour)
			return all
		}, 0, 0, 1},
	} {
		d := New(c.o)
		var n capture.Counts
		if got := run(t, d, &n, c.frames()); len(got) != 0 {
			t.Errorf("%s: %d packets", name, len(got))
		}
		if n[capture.FragmentsEvicted] != c.evicted || n[capture.FramesDroppedFragment] != c.dropped || len(d.frags.held) != c.held {
			t.Errorf("%s: %d packets evicted, %d frames dropped, %d packets held", name, n[capture.FragmentsEvicted], n[capture.FramesDroppedFragment], len(d.frags.held))
		}
		d.Close(&n)
		balanced(t, &n)
		if n[capture.FramesAnalysed] != 0 || d.frags.bytes != 0 || d.frags.first != nil || d.frags.last != nil {
			t.Errorf("%s: %d frames, %d bytes left", name, n[capture.FramesAnalysed], d.frags.bytes)
		}
	}
}
