package stream

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"plainsight/capture"
)

// tape is a sink that keeps what it is told; lost bytes are written as '_'.
type tape struct {
	b    []byte
	gaps int
}

func (t *tape) Data(_ capture.Dir, b []byte, _ capture.Stamp) { t.b = append(t.b, b...) }
func (t *tape) Gap(_ capture.Dir, n int64, _ capture.Stamp) {
	t.gaps++
	if n < 0 {
		t.b = append(t.b, '?')
		return
	}
	for range min(n, 1000) {
		t.b = append(t.b, '_')
	}
}

// rig is a half with its pool and its tape.
type rig struct {
	Half
	tape
	pool   Pool
	counts capture.Counts
	isn    uint32
}

func newRig(isn uint32) *rig {
	r := &rig{isn: isn}
	r.pool = Pool{Half: 1 << 20, Total: 4 << 20, Counts: &r.counts}
	r.Start(isn)
	return r
}

func (r *rig) push(off int, s string) {
	r.Push(&r.pool, r.isn+uint32(off), []byte(s), 0, &r.tape, capture.Stamp{})
}

func (r *rig) want(t *testing.T, s string, counts map[capture.Counter]uint64) {
	t.Helper()
	if string(r.b) != s {
		t.Errorf("stream is %q, want %q", r.b, s)
	}
	for c, n := range counts {
		if r.counts[c] != n {
			t.Errorf("%s is %d, want %d", c.Info().Name, r.counts[c], n)
		}
	}
}

type counts = map[capture.Counter]uint64

func TestOrder(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(r *rig)
		want string
		counts
	}{
		"in order": {func(r *rig) { r.push(0, "ab"); r.push(2, "cd") }, "abcd",
			counts{capture.SegmentsInOrder: 2}},
		"an early segment waits": {func(r *rig) { r.push(2, "cd"); r.push(0, "ab") }, "abcd",
			counts{capture.SegmentsOutOfOrder: 1, capture.SegmentsInOrder: 1}},
		"reversed": {func(r *rig) { r.push(4, "ef"); r.push(2, "cd"); r.push(0, "ab") }, "abcdef",
			counts{capture.SegmentsOutOfOrder: 2}},
		"a retransmission is dropped": {func(r *rig) { r.push(0, "ab"); r.push(0, "ab") }, "ab",
			counts{capture.SegmentsDuplicate: 1, capture.SegmentsConflict: 0}},
		"a retransmission with more": {func(r *rig) { r.push(0, "ab"); r.push(1, "bcd") }, "abcd",
			counts{capture.SegmentsOverlap: 1, capture.SegmentsConflict: 0}},
		"the first wins over what was delivered": {func(r *rig) { r.push(0, "good"); r.push(0, "evilmore") }, "goodmore",
			counts{capture.SegmentsConflict: 1}},
		"the first wins over a later copy": {func(r *rig) { r.push(0, "good"); r.push(0, "evil") }, "good",
			counts{capture.SegmentsConflict: 1, capture.SegmentsDuplicate: 1}},
		"held bytes win over later ones in order": {func(r *rig) { r.push(2, "cd"); r.push(0, "xyzz!") }, "xycd!",
			counts{capture.SegmentsConflict: 1, capture.SegmentsOverlap: 1}},
		"held bytes win over later held ones": {func(r *rig) { r.push(3, "de"); r.push(2, "XYZW"); r.push(0, "ab") }, "abXdeW",
			counts{capture.SegmentsConflict: 1}},
		"a segment that spans several held ones": {func(r *rig) { r.push(2, "c"); r.push(4, "e"); r.push(6, "g"); r.push(0, "abcdefgh") }, "abcdefgh",
			counts{capture.SegmentsConflict: 0}},
		"a keep-alive with a byte of garbage": {func(r *rig) { r.push(0, "ab"); r.push(1, "\x00"); r.push(2, "c") }, "abc",
			counts{capture.SegmentsKeepAlive: 1, capture.SegmentsConflict: 0}},
		"far outside the window": {func(r *rig) {
			r.push(0, "ab")
			r.push(500_000_000, "evil")
			r.push(-500_000_000, "evil")
			r.push(2, "cd")
		}, "abcd",
			counts{capture.SegmentsOutOfWindow: 2}},
		"a hole that the receiver acknowledged": {func(r *rig) {
			r.push(0, "ab")
			r.push(4, "ef")
			r.Ack(&r.pool, r.isn+3, false, &r.tape, capture.Stamp{})
			r.b = append(r.b, '|')
			r.Ack(&r.pool, r.isn+6, false, &r.tape, capture.Stamp{})
		}, "ab|__ef", counts{capture.StreamGaps: 1, capture.StreamGapBytes: 2}},
		"a hole acknowledged before anything came behind it": {func(r *rig) {
			r.Ack(&r.pool, r.isn+4, false, &r.tape, capture.Stamp{})
			r.push(4, "ef")
		}, "____ef", nil},
		"an answer to lost bytes": {func(r *rig) {
			r.push(0, "ab")
			r.Ack(&r.pool, r.isn+4, true, &r.tape, capture.Stamp{})
		}, "ab__", nil},
		"data after its acknowledgement makes it wait the next time": {func(r *rig) {
			r.push(2, "cd")
			r.Ack(&r.pool, r.isn+4, false, &r.tape, capture.Stamp{})
			r.push(0, "ab")
			r.push(6, "gh")
			r.Ack(&r.pool, r.isn+8, true, &r.tape, capture.Stamp{})
			r.push(4, "ef")
		}, "__cdefgh", nil},
		"cut by the snap length": {func(r *rig) {
			r.Push(&r.pool, r.isn, []byte("ab"), 2, &r.tape, capture.Stamp{})
			r.Push(&r.pool, r.isn+8, []byte("ij"), 2, &r.tape, capture.Stamp{})
			r.Push(&r.pool, r.isn+4, []byte("ef"), 2, &r.tape, capture.Stamp{})
		}, "ab__ef__ij", nil},
		"the end of the stream": {func(r *rig) {
			r.Fin(r.isn + 4)
			r.push(4, "no")
			r.push(0, "ab")
			if r.Done() {
				r.b = append(r.b, '!')
			}
			r.push(2, "cd")
			if r.Done() {
				r.b = append(r.b, '.')
			}
			r.push(4, "no")
		}, "abcd.", counts{capture.SegmentsOutOfWindow: 2}},
		"flushed up to the end": {func(r *rig) {
			r.push(2, "cd")
			r.Fin(r.isn + 6)
			r.Flush(&r.pool, &r.tape, capture.Stamp{})
		}, "__cd__", nil},
		"a stream that went on elsewhere": {func(r *rig) {
			r.push(0, "ab")
			for i := range 5 {
				r.push(1<<30+i, string('0'+rune(i)))
			}
		}, "ab" + string(bytes.Repeat([]byte("_"), 1000)) + "34", counts{capture.SegmentsOutOfWindow: 3}},
		"a place far away that the receiver acknowledges": {func(r *rig) {
			r.push(0, "ab")
			r.push(-1<<30, "xx")
			r.Ack(&r.pool, r.isn-1<<30+2, false, &r.tape, capture.Stamp{})
			r.push(-1<<30+2, "yz")
		}, "ab?yz", nil},
	} {
		for _, isn := range []uint32{1000, 0xfffffffe, 0xffffffff, 0} {
			t.Run(fmt.Sprintf("%s/%x", name, isn), func(t *testing.T) {
				r := newRig(isn)
				test.do(r)
				r.want(t, test.want, test.counts)
				r.Release(&r.pool)
				if r.pool.Used() != 0 {
					t.Errorf("%d bytes still held", r.pool.Used())
				}
			})
		}
	}
}

// The same bytes, cut, doubled, overlapped and shuffled at will, are the same
// stream.
func TestAnyOrderIsTheSameStream(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		data := make([]byte, 1+rng.IntN(20000))
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		type seg struct{ from, to int }
		var segs []seg
		most := 1 + rng.IntN(300)
		for at := 0; at < len(data); {
			n := min(1+rng.IntN(most), len(data)-at)
			segs = append(segs, seg{at, at + n})
			at += n
		}
		for range rng.IntN(len(segs)) {
			from := rng.IntN(len(data))
			segs = append(segs, seg{from, from + 1 + rng.IntN(min(most, len(data)-from))})
		}
		reach := 1 + rng.IntN(len(segs)) // how far a segment may move
		for i := range segs {
			j := i + rng.IntN(min(reach, len(segs)-i))
			segs[i], segs[j] = segs[j], segs[i]
		}
		r := newRig(rng.Uint32() | 0xffff0000)
		for _, s := range segs {
			r.push(s.from, string(data[s.from:s.to]))
		}
		if !bytes.Equal(r.b, data) || r.counts[capture.SegmentsConflict] != 0 || r.pool.Used() != 0 {
			t.Fatalf("round %d: %d of %d bytes, %d conflicts, %d held", round, len(r.b), len(data),
				r.counts[capture.SegmentsConflict], r.pool.Used())
		}
		n := r.counts[capture.SegmentsInOrder] + r.counts[capture.SegmentsOutOfOrder] + r.counts[capture.SegmentsDuplicate] +
			r.counts[capture.SegmentsOverlap] + r.counts[capture.SegmentsKeepAlive]
		if n != uint64(len(segs)) {
			t.Fatalf("round %d: %d segments counted of %d", round, n, len(segs))
		}
	}
}

// With segments that contradict each other at will, every byte is that of the
// segment which came first, held or not.
func TestFirstWins(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 300 {
		size := 1 + rng.IntN(10000)
		first := make([]byte, size)
		known := make([]bool, size)
		r := newRig(rng.Uint32())
		for left := size; left > 0; {
			at := rng.IntN(size)
			n := min(1+rng.IntN(200), size-at)
			if rng.IntN(8) == 0 { // fill the first hole, so that it ends
				for at = 0; known[at]; at++ {
				}
				n = min(n, size-at)
			}
			if n == 1 && int64(at) == r.Offset()-1 {
				continue // would be a keep-alive
			}
			b := make([]byte, n)
			for i := range b {
				b[i] = byte(rng.Uint32())
				if !known[at+i] {
					known[at+i], first[at+i] = true, b[i]
					left--
				}
			}
			r.push(at, string(b))
		}
		if !bytes.Equal(r.b, first) {
			t.Fatalf("round %d: a later byte won", round)
		}
	}
}

func TestBounds(t *testing.T) {
	for name, test := range map[string]struct {
		half, total int
		counter     capture.Counter
	}{
		"of a half": {64 << 10, 1 << 20, capture.StreamPendingLimit},
		"in all":    {1 << 20, 64 << 10, capture.StreamBudgetReached},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(9)
			r.pool.Half, r.pool.Total = test.half, test.total
			b := bytes.Repeat([]byte("x"), 1400)
			for i := range 1000 {
				r.push(1400*(i+1), string(b))
				if r.pool.Used() > 64<<10 {
					t.Fatalf("%d bytes held", r.pool.Used())
				}
			}
			r.Flush(&r.pool, &r.tape, capture.Stamp{})
			if len(r.b) != 1000+1000*1400 || r.gaps != 1 || r.counts[test.counter] != 1 || r.counts[capture.StreamGapBytes] != 1400 {
				t.Errorf("%d bytes, %d gaps, counter %d", len(r.b), r.gaps, r.counts[test.counter])
			}
		})
	}
}

func TestManyPiecesAreBounded(t *testing.T) {
	r := newRig(9)
	rng := rand.New(rand.NewPCG(5, 6))
	for range 100_000 {
		r.push(1+2*rng.IntN(100_000), "x")
		if r.held != nil && (len(r.held.extents) > maxExtents || r.held.size() > r.pool.Half) {
			t.Fatalf("%d pieces, %d bytes", len(r.held.extents), r.held.size())
		}
	}
	if r.counts[capture.StreamPendingLimit] == 0 {
		t.Error("the bound was not reached")
	}
	r.Release(&r.pool)
	if r.pool.Used() != 0 {
		t.Errorf("%d bytes still held", r.pool.Used())
	}
}

func TestSegmentsDoNotAllocate(t *testing.T) {
	r := newRig(9)
	var s null
	b := make([]byte, 1400)
	seq := r.isn
	if n := testing.AllocsPerRun(1000, func() {
		r.Push(&r.pool, seq, b, 0, s, capture.Stamp{})
		r.Ack(&r.pool, seq, true, s, capture.Stamp{})
		seq += 1400
	}); n != 0 {
		t.Errorf("%v allocations a segment in order", n)
	}
	if n := testing.AllocsPerRun(1000, func() {
		r.Push(&r.pool, seq+1400, b, 0, s, capture.Stamp{})
		r.Push(&r.pool, seq, b, 0, s, capture.Stamp{})
		seq += 2800
	}); n != 0 {
		t.Errorf("%v allocations a pair out of order", n)
	}
}

type null struct{}

func (null) Data(capture.Dir, []byte, capture.Stamp) {}
func (null) Gap(capture.Dir, int64, capture.Stamp)   {}

// The cost of a segment does not depend on the order nor on how many wait.
func BenchmarkHalf(b *testing.B) {
	for _, bench := range []struct {
		name  string
		size  int
		order func(i, n int) int
	}{
		{"in-order", 1400, func(i, n int) int { return i }},
		{"swapped", 1400, func(i, n int) int { return i ^ 1 }},
		{"reversed", 1400, func(i, n int) int { return n - 1 - i }},
		{"reversed-1-byte", 1, func(i, n int) int { return n - 1 - i }},
		{"scattered-1-byte", 1, func(i, n int) int { return i * 4093 % n }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			const n = 512
			r := newRig(9)
			p := make([]byte, bench.size)
			b.SetBytes(int64(n * bench.size))
			b.ReportAllocs()
			var s null
			for b.Loop() {
				base := r.Next()
				for i := range n {
					r.Push(&r.pool, base+uint32(bench.order(i, n)*bench.size), p, 0, s, capture.Stamp{})
				}
			}
		})
	}
}

func FuzzHalf(f *testing.F) {
	f.Add([]byte{0, 0, 4, 0, 8, 4, 1, 4, 4, 2, 9, 0})
	f.Fuzz(func(t *testing.T, ops []byte) {
		r := newRig(0xfffffff0)
		r.pool.Half, r.pool.Total = 16<<10, 32<<10
		var s sum
		b := make([]byte, 300)
		for ; len(ops) >= 3; ops = ops[3:] {
			off := int(ops[1]) * 50
			seq := r.isn + uint32(off)
			switch ops[0] % 8 {
			case 0, 1, 2, 3:
				r.Push(&r.pool, seq, b[:int(ops[2])], 0, &s, capture.Stamp{})
			case 4:
				r.Push(&r.pool, seq, b[:int(ops[2])/2], int(ops[2]), &s, capture.Stamp{})
			case 5:
				r.Ack(&r.pool, seq+uint32(ops[2]), ops[0]&8 != 0, &s, capture.Stamp{})
			case 6:
				r.Fin(seq + uint32(ops[2]))
			case 7:
				r.Push(&r.pool, seq<<uint(ops[2]&31), b[:int(ops[2])], 0, &s, capture.Stamp{})
			}
			if r.pool.Used() > r.pool.Total {
				t.Fatal("the bound is broken")
			}
		}
		r.Flush(&r.pool, &s, capture.Stamp{})
		if r.Holding() || int64(s) != r.Offset() || r.counts[capture.StreamBytes]+r.counts[capture.StreamGapBytes] != uint64(s) {
			t.Fatalf("told %d bytes, offset %d, counted %d and %d", s, r.Offset(), r.counts[capture.StreamBytes], r.counts[capture.StreamGapBytes])
		}
		r.Release(&r.pool)
		if r.pool.Used() != 0 {
			t.Fatalf("%d bytes still held", r.pool.Used())
		}
	})
}

// sum is a sink that adds up bytes and gaps.
type sum int64

func (s *sum) Data(_ capture.Dir, b []byte, _ capture.Stamp) { *s += sum(len(b)) }
func (s *sum) Gap(_ capture.Dir, n int64, _ capture.Stamp)   { *s += sum(max(n, 0)) }
