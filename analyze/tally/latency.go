package tally

import (
	"math"
	"math/bits"
	"time"
)

// Histogram counts amounts in buckets, eight to each doubling: a quantile is right
// to about 6 %. It holds only the range of buckets it met.
type Histogram struct {
	low   int // number of the first bucket held
	count []uint32
	total uint64
}

const stepBits = 3 // 8 buckets to a doubling

// Add counts an amount.
func (h *Histogram) Add(n uint64) { h.add(bucket(n), 1) }

func bucket(n uint64) int {
	if n < 1<<stepBits {
		return int(n)
	}
	e := bits.Len64(n) - 1
	return (e-stepBits+1)<<stepBits + int(n>>(e-stepBits))&(1<<stepBits-1)
}

// middle is the middle of bucket b.
func middle(b int) float64 {
	if b < 1<<stepBits {
		return float64(b) + 0.5
	}
	e := b>>stepBits + stepBits - 1
	from := math.Ldexp(1+float64(b&(1<<stepBits-1))/(1<<stepBits), e)
	return from + math.Ldexp(0.5, e-stepBits)
}

func (h *Histogram) add(b int, n uint32) {
	switch {
	case len(h.count) == 0:
		h.low = b
		h.count = append(h.count, 0)
	case b < h.low:
		grown := make([]uint32, h.low-b+len(h.count))
		copy(grown[h.low-b:], h.count)
		h.low, h.count = b, grown
	default:
		for b >= h.low+len(h.count) {
			h.count = append(h.count, 0)
		}
	}
	if c := &h.count[b-h.low]; *c <= math.MaxUint32-n {
		*c += n
	}
	h.total += uint64(n)
}

// Merge adds the amounts of o.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.count {
		if n > 0 {
			h.add(o.low+i, n)
		}
	}
}

// Count is how many amounts were added.
func (h *Histogram) Count() uint64 { return h.total }

// Quantile returns the amount below which a part q of all lie, 0 where nothing was
// counted.
func (h *Histogram) Quantile(q float64) float64 {
	if h.total == 0 {
		return 0
	}
	want := uint64(math.Ceil(q * float64(h.total)))
	var sum uint64
	for i, n := range h.count {
		if sum += uint64(n); sum >= max(want, 1) {
			return middle(h.low + i)
		}
	}
	return 0
}

// Above is how many amounts are larger than n, as far as buckets tell: those that
// share its own are not counted.
func (h *Histogram) Above(n uint64) (sum uint64) {
	for i := max(bucket(n)+1-h.low, 0); i < len(h.count); i++ {
		sum += uint64(h.count[i])
	}
	return sum
}

// Latency is a [Histogram] of durations.
type Latency struct{ h Histogram }

// Add counts a duration; what is not positive is not known and not counted.
func (l *Latency) Add(d time.Duration) {
	if d > 0 {
		l.h.Add(uint64(d) / 1000) // microseconds
	}
}

// Merge adds the durations of o.
func (l *Latency) Merge(o *Latency) { l.h.Merge(&o.h) }

// Count is how many durations were added.
func (l *Latency) Count() uint64 { return l.h.Count() }

// Quantile returns the duration in milliseconds below which a part q of all lie,
// 0 where nothing was counted.
func (l *Latency) Quantile(q float64) float64 { return math.Round(l.h.Quantile(q)) / 1000 }
