package tally

import (
	"cmp"
	"slices"
)

// Table is a map of at most Limit entries that merges exactly: when there are
// more keys than it may keep, those with the smallest rank stay. Rank must be a
// pure function of the key (see [Hash]), so whatever the order, the same keys
// stay, each with everything that was counted for it.
//
// Until [Table.Trim] it may hold up to twice its limit.
type Table[K comparable, V any] struct {
	m     map[K]V
	limit int
	rank  func(K) uint64
	full  bool
	cut   uint64 // where full: keys ranked above it are refused
	// Refused counts the calls of At that got no entry. It depends on the order;
	// whoever needs an exact figure subtracts what is kept from what was added.
	Refused uint64
	// Gone, if not nil, is called with each entry that has to go.
	Gone func(K, V)
	// Old, if not nil, tells the entries that go first when there are too many, by
	// what they hold. With it, which entries stay depends on when they were added.
	Old func(K, V) bool
}

// NewTable returns an empty table. It allocates its map on first use.
func NewTable[K comparable, V any](limit int, rank func(K) uint64) Table[K, V] {
	return Table[K, V]{limit: limit, rank: rank}
}

// Get returns the entry of k, if there is one.
func (t *Table[K, V]) Get(k K) (V, bool) {
	v, ok := t.m[k]
	return v, ok
}

// At returns the entry of k and makes it with fresh if it is new. It reports
// false where the table is full and k is not among those that stay, and where
// fresh is nil and k is new.
func (t *Table[K, V]) At(k K, fresh func() V) (V, bool) {
	if v, ok := t.m[k]; ok {
		return v, true
	}
	if fresh == nil || t.full && t.rank(k) > t.cut {
		t.Refused++
		var none V
		return none, false
	}
	if t.m == nil {
		t.m = map[K]V{}
	}
	v := fresh()
	t.m[k] = v
	if len(t.m) >= 2*t.limit {
		t.Trim()
		if _, ok := t.m[k]; !ok { // it went at once, empty
			t.Refused++
			return v, false
		}
	}
	return v, true
}

// Trim cuts the table to its limit.
func (t *Table[K, V]) Trim() {
	if len(t.m) > t.limit && t.Old != nil {
		t.drop(t.Old)
	}
	if len(t.m) <= t.limit {
		return
	}
	ranks := make([]uint64, 0, len(t.m))
	for k := range t.m {
		ranks = append(ranks, t.rank(k))
	}
	slices.Sort(ranks)
	t.lower(ranks[t.limit-1])
}

// lower lets go of the keys ranked above cut.
func (t *Table[K, V]) lower(cut uint64) {
	t.full, t.cut = true, cut
	t.drop(func(k K, _ V) bool { return t.rank(k) > cut })
}

func (t *Table[K, V]) drop(which func(K, V) bool) {
	for k, v := range t.m {
		if which(k, v) {
			delete(t.m, k)
			if t.Gone != nil {
				t.Gone(k, v)
			}
		}
	}
}

// Merge adds the entries of o: merge joins o's entry into the one of the same
// key, fresh makes that where it is new; o stays as it is.
func (t *Table[K, V]) Merge(o *Table[K, V], fresh func() V, merge func(into, from V)) {
	t.Refused += o.Refused
	if o.full && (!t.full || o.cut < t.cut) {
		t.lower(o.cut)
	}
	for k, from := range o.m {
		if into, ok := t.At(k, fresh); ok {
			merge(into, from)
		} else if t.Gone != nil {
			t.Gone(k, from)
		}
	}
}

// Len is the number of entries.
func (t *Table[K, V]) Len() int { return len(t.m) }

// Full reports whether some keys were not kept.
func (t *Table[K, V]) Full() bool { return t.full }

// All calls f with each entry, in no order.
func (t *Table[K, V]) All(f func(K, V)) {
	for k, v := range t.m {
		f(k, v)
	}
}

// Sorted returns the keys in the order of compare.
func (t *Table[K, V]) Sorted(compare func(a, b K) int) []K {
	keys := make([]K, 0, len(t.m))
	for k := range t.m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compare)
	return keys
}

// RankText is the rank of keys that are text.
func RankText[K ~string](k K) uint64 { return Hash(string(k)) }

// Counts is a bounded count by name.
type Counts[K cmp.Ordered] struct{ Table[K, *uint64] }

// NewCounts returns empty counts.
func NewCounts[K cmp.Ordered](limit int, rank func(K) uint64) Counts[K] {
	return Counts[K]{NewTable[K, *uint64](limit, rank)}
}

// Add adds n to the count of k.
func (c *Counts[K]) Add(k K, n uint64) {
	if p, ok := c.At(k, newCount); ok {
		*p += n
	}
}

// Merge adds the counts of o.
func (c *Counts[K]) Merge(o *Counts[K]) {
	c.Table.Merge(&o.Table, newCount, func(into, from *uint64) { *into += *from })
}

// Map returns the counts as a map, nil where there are none.
func (c *Counts[K]) Map() map[K]uint64 {
	m := make(map[K]uint64, c.Len())
	c.All(func(k K, n *uint64) { m[k] = *n })
	return m
}

func newCount() *uint64 { return new(uint64) }
