package tally

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"plainsight/analyze"
)

// summary is one of everything, so that one test can say that all of them merge.
type summary struct {
	d Distinct
	l Latency
	s Samples
	f Firsts[int]
	c Counts[string]
	t Span
}

func newSummary() *summary {
	return &summary{c: NewCounts(10, RankText[string])}
}

func (s *summary) add(i int) {
	at := Moment{Nano: int64(i % 997), Frame: uint64(i)}
	s.d.Add(Mix(uint64(i % 300)))
	s.l.Add(time.Duration(i%5000) * time.Microsecond)
	s.s.Add(at, analyze.Sample{Fingerprint: fmt.Sprint(i % 7)})
	s.f.Add(at, i)
	s.c.Add(fmt.Sprint("name", i%40), 1)
	s.t.Add(at.Nano)
}

func (s *summary) merge(o *summary) {
	s.d.Merge(&o.d)
	s.l.Merge(&o.l)
	s.s.Merge(&o.s)
	s.f.Merge(&o.f)
	s.c.Merge(&o.c)
	s.t.Merge(o.t)
}

func (s *summary) String() string {
	s.c.Trim()
	first, last := s.t.Times()
	return fmt.Sprint(s.d.Count(), s.d.Exact(), s.l.Count(), s.l.Quantile(.5), s.l.Quantile(.95), s.s.List(), s.f.List(), s.c.Map(), first, last)
}

func TestAnyOrderAndAnySplitGiveTheSame(t *testing.T) {
	one := newSummary()
	for i := range 20000 {
		one.add(i)
	}
	want := one.String()
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 1))
		shards := make([]*summary, 1+r.IntN(8))
		for i := range shards {
			shards[i] = newSummary()
		}
		for _, i := range r.Perm(20000) {
			shards[r.IntN(len(shards))].add(i)
		}
		r.Shuffle(len(shards), reflect.Swapper(shards))
		for len(shards) > 1 {
			k := len(shards) - 1
			shards[r.IntN(k)].merge(shards[k])
			shards = shards[:k]
		}
		if got := shards[0].String(); got != want {
			t.Fatalf("seed %d:\n got %s\nwant %s", seed, got, want)
		}
	}
}

func TestDistinctIsExactThenNear(t *testing.T) {
	for _, n := range []int{0, 1, 2, 63, 64, 65, 1000, 100000} {
		var d Distinct
		for range 2 {
			for i := range n {
				d.Add(Hash(fmt.Sprint("client", i)))
			}
		}
		got := float64(d.Count())
		if exact := n <= DistinctLimit; d.Exact() != exact || exact && got != float64(n) {
			t.Errorf("%d things: counted %v, exact %v", n, got, d.Exact())
		}
		if got < 0.6*float64(n) || got > 1.4*float64(n) {
			t.Errorf("%d things: counted %v", n, got)
		}
	}
}

func TestLatencyQuantiles(t *testing.T) {
	var l Latency
	for us := 1; us <= 100000; us++ {
		l.Add(time.Duration(us) * time.Microsecond)
	}
	for _, q := range []float64{0.01, 0.5, 0.95, 0.99, 1} {
		got, want := l.Quantile(q), q*100
		if got < want*0.93 || got > want*1.07 {
			t.Errorf("quantile %v = %v ms, want about %v", q, got, want)
		}
	}
	var huge Latency
	huge.Add(1<<63 - 1)
	if huge.Quantile(.5) <= 0 || len(huge.h.count) != 1 {
		t.Error("the longest duration has one bucket and a value")
	}
}

func TestTableHoldsNoMoreThanTwiceItsLimit(t *testing.T) {
	gone := 0
	table := NewTable[int, *int](100, func(k int) uint64 { return Mix(uint64(k)) })
	table.Gone = func(int, *int) { gone++ }
	for i := range 10000 {
		table.At(i, func() *int { return new(int) })
		if table.Len() > 200 {
			t.Fatalf("%d entries", table.Len())
		}
	}
	table.Trim()
	if table.Len() != 100 || !table.Full() || table.Refused+uint64(gone)+100 < 10000 {
		t.Errorf("kept %d, full %v, gone %d, refused %d", table.Len(), table.Full(), gone, table.Refused)
	}
	if keys := table.Sorted(cmp.Compare[int]); len(keys) != 100 || keys[0] > keys[99] {
		t.Error("keys come sorted")
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	s := newSummary()
	for i := range 1000 {
		s.add(i)
	}
	sample := analyze.Sample{Fingerprint: "3"}
	if n := testing.AllocsPerRun(100, func() {
		s.d.Add(77)
		s.l.Add(time.Millisecond)
		s.s.Add(Moment{Nano: 50}, sample)
		s.f.Add(Moment{Nano: 50}, 1)
		s.c.Add("name1", 1)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
