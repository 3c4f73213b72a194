package tally

import (
	"math"
	"math/bits"
	"time"
)

// Latency is a histogram of durations with eight buckets to each doubling: a
// quantile is right to about 6 %. It holds only the range of buckets it met.
type Latency struct {
	low   int // number of the first bucket held
	count []uint32
	total uint64
}

const stepBits = 3 // 8 buckets to a doubling

// Add counts a duration; what is not positive is not known and not counted.
func (l *Latency) Add(d time.Duration) {
	if d <= 0 {
		return
	}
	l.add(bucket(uint64(d)/1000), 1) // from microseconds
}

func bucket(us uint64) int {
	if us < 1<<stepBits {
		return int(us)
	}
	e := bits.Len64(us) - 1
	return (e-stepBits+1)<<stepBits + int(us>>(e-stepBits))&(1<<stepBits-1)
}

// middle is the middle of bucket b in microseconds.
func middle(b int) float64 {
	if b < 1<<stepBits {
		return float64(b) + 0.5
	}
	e := b>>stepBits + stepBits - 1
	from := math.Ldexp(1+float64(b&(1<<stepBits-1))/(1<<stepBits), e)
	return from + math.Ldexp(0.5, e-stepBits)
}

func (l *Latency) add(b int, n uint32) {
	switch {
	case len(l.count) == 0:
		l.low = b
		l.count = append(l.count, 0)
	case b < l.low:
		grown := make([]uint32, l.low-b+len(l.count))
		copy(grown[l.low-b:], l.count)
		l.low, l.count = b, grown
	default:
		for b >= l.low+len(l.count) {
			l.count = append(l.count, 0)
		}
	}
	if c := &l.count[b-l.low]; *c <= math.MaxUint32-n {
		*c += n
	}
	l.total += uint64(n)
}

// Merge adds the durations of o.
func (l *Latency) Merge(o *Latency) {
	for i, n := range o.count {
		if n > 0 {
			l.add(o.low+i, n)
		}
	}
}

// Count is how many durations were added.
func (l *Latency) Count() uint64 { return l.total }

// Quantile returns the duration in milliseconds below which a part q of all lie,
// 0 where nothing was counted.
func (l *Latency) Quantile(q float64) float64 {
	if l.total == 0 {
		return 0
	}
	want := uint64(math.Ceil(q * float64(l.total)))
	var sum uint64
	for i, n := range l.count {
		if sum += uint64(n); sum >= max(want, 1) {
			return math.Round(middle(l.low+i)) / 1000
		}
	}
	return 0
}
