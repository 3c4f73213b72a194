package tally

import (
	"cmp"
	"time"

	"plainsight/analyze"
)

// Moment orders what was seen: by the clock of the traffic, then by frame and
// connection. It is the same on any number of shards.
type Moment struct {
	Nano  int64 // since 1970, of the traffic's clock
	Frame uint64
	Conn  uint64
}

// Compare orders moments.
func (m Moment) Compare(o Moment) int {
	return cmp.Or(cmp.Compare(m.Nano, o.Nano), cmp.Compare(m.Frame, o.Frame), cmp.Compare(m.Conn, o.Conn))
}

// Time is the moment on the clock, zero where it is not known.
func (m Moment) Time() time.Time {
	if m.Nano == 0 {
		return time.Time{}
	}
	return time.Unix(0, m.Nano).UTC()
}

// Kept is how many samples and pieces of evidence are kept (rule 5 of the
// catalogue).
const Kept = 3

// Samples keeps the first [Kept] samples with different fingerprints.
type Samples struct {
	n    int
	when [Kept]Moment
	list [Kept]analyze.Sample
}

// Add offers a sample.
func (s *Samples) Add(at Moment, v analyze.Sample) {
	for i := range s.n {
		if s.list[i].Fingerprint == v.Fingerprint {
			if !before(at, v, s.when[i], s.list[i]) {
				return
			}
			copy(s.when[i:s.n], s.when[i+1:s.n])
			copy(s.list[i:s.n], s.list[i+1:s.n])
			s.n--
			break
		}
	}
	i := s.n
	for i > 0 && before(at, v, s.when[i-1], s.list[i-1]) {
		i--
	}
	if i == Kept {
		return
	}
	s.n = min(s.n+1, Kept)
	copy(s.when[i+1:s.n], s.when[i:s.n-1])
	copy(s.list[i+1:s.n], s.list[i:s.n-1])
	s.when[i], s.list[i] = at, v
}

func before(at Moment, v analyze.Sample, than Moment, w analyze.Sample) bool {
	return cmp.Or(at.Compare(than), cmp.Compare(v.Fingerprint, w.Fingerprint), cmp.Compare(v.Mask, w.Mask)) < 0
}

// Settled reports whether a sample at that moment cannot change anything: the
// usual case, so that callers can spare the work of making one.
func (s *Samples) Settled(at Moment) bool {
	return s.n == Kept && s.when[Kept-1].Compare(at) < 0
}

// Merge offers the samples of o.
func (s *Samples) Merge(o *Samples) {
	for i := range o.n {
		s.Add(o.when[i], o.list[i])
	}
}

// List returns the samples in the order of the traffic, never nil.
func (s *Samples) List() []analyze.Sample { return append([]analyze.Sample{}, s.list[:s.n]...) }

// Firsts keeps the first [Kept] of something, one for each moment.
type Firsts[T any] struct {
	n    int
	when [Kept]Moment
	list [Kept]T
}

// Add offers v.
func (f *Firsts[T]) Add(at Moment, v T) {
	i := f.n
	for i > 0 {
		c := at.Compare(f.when[i-1])
		if c == 0 {
			return
		}
		if c > 0 {
			break
		}
		i--
	}
	if i == Kept {
		return
	}
	f.n = min(f.n+1, Kept)
	copy(f.when[i+1:f.n], f.when[i:f.n-1])
	copy(f.list[i+1:f.n], f.list[i:f.n-1])
	f.when[i], f.list[i] = at, v
}

// Settled reports whether something at that moment cannot change anything.
func (f *Firsts[T]) Settled(at Moment) bool {
	return f.n == Kept && f.when[Kept-1].Compare(at) <= 0
}

// Merge offers what o keeps.
func (f *Firsts[T]) Merge(o *Firsts[T]) {
	for i := range o.n {
		f.Add(o.when[i], o.list[i])
	}
}

// List returns what is kept in the order of the traffic.
func (f *Firsts[T]) List() []T { return f.list[:f.n:f.n] }

// Span is from the first to the last moment; the zero value is no time at all.
type Span struct {
	first, last int64
	some        bool
}

// Add widens the span to a moment in nanoseconds since 1970; 0 is no moment.
func (s *Span) Add(nano int64) {
	if nano == 0 {
		return
	}
	if !s.some {
		s.first, s.last, s.some = nano, nano, true
		return
	}
	s.first, s.last = min(s.first, nano), max(s.last, nano)
}

// Merge widens the span to o.
func (s *Span) Merge(o Span) {
	if o.some {
		s.Add(o.first)
		s.Add(o.last)
	}
}

// Ends returns both ends in nanoseconds since 1970, zero where there was no moment.
func (s *Span) Ends() (first, last int64) { return s.first, s.last }

// Times returns both ends in UTC, zero where there was no moment.
func (s *Span) Times() (first, last time.Time) {
	if !s.some {
		return
	}
	return time.Unix(0, s.first).UTC(), time.Unix(0, s.last).UTC()
}

// Moment returns when the i-th of List was.
func (f *Firsts[T]) Moment(i int) Moment { return f.when[i] }
