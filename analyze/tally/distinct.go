// Package tally holds bounded summaries of what passed by: distinct counts,
// latencies, first samples, tables. Their state depends on what was added and
// never on the order or on who added it, so that shards and hosts merge exactly
// (commutative, associative). It knows nothing of traffic and keeps no captured
// value. Packages posture and inventory count with it.
package tally

import "slices"

// Distinct counts distinct things by a 64-bit hash of each. Up to its limit the
// count is exact; above, it is an estimate from the smallest hashes (bottom-k
// sketch, standard error about 1/√k). Its state depends only on the set of
// hashes, not on their order, so that merging is exact.
type Distinct struct {
	limit  int
	hashes []uint64 // the smallest, ascending
	more   bool     // some were left out
}

// DistinctLimit is how many things a zero [Distinct] counts exactly.
const DistinctLimit = 64

// Add counts the thing with hash h, which must be uniformly distributed.
func (d *Distinct) Add(h uint64) {
	k := d.limit
	if k == 0 {
		k = DistinctLimit
	}
	n := len(d.hashes)
	if n == k && h > d.hashes[n-1] {
		d.more = true
		return
	}
	i, found := slices.BinarySearch(d.hashes, h)
	if found {
		return
	}
	if n == k {
		d.more = true
		copy(d.hashes[i+1:], d.hashes[i:n-1])
		d.hashes[i] = h
		return
	}
	d.hashes = slices.Insert(d.hashes, i, h)
}

// Has reports whether the thing with hash h was counted, as far as it is kept.
func (d *Distinct) Has(h uint64) bool {
	_, found := slices.BinarySearch(d.hashes, h)
	return found
}

// Merge adds the things of o.
func (d *Distinct) Merge(o *Distinct) {
	for _, h := range o.hashes {
		d.Add(h)
	}
	d.more = d.more || o.more
}

// Count is the number of distinct things, exact up to the limit.
func (d *Distinct) Count() uint64 {
	n := len(d.hashes)
	if !d.more || n < 2 {
		return uint64(n)
	}
	part := float64(d.hashes[n-1]) / (1 << 64) // of the hash space that holds n-1 of them
	return uint64(float64(n-1)/part + 0.5)
}

// Exact reports whether Count is no estimate.
func (d *Distinct) Exact() bool { return !d.more }

// Shared is how many things both are known to have: all where both are exact, a
// part of them where not.
func (d *Distinct) Shared(o *Distinct) (n int) {
	for _, h := range d.hashes {
		if _, ok := slices.BinarySearch(o.hashes, h); ok {
			n++
		}
	}
	return n
}

// Hash spreads the bytes of s over 64 bits, the same in every run: FNV-1a with a
// finalizer. It is for counting things that are no secrets.
func Hash[T ~string | ~[]byte](s T) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return Mix(h)
}

// Mix spreads h over all 64 bits (the finalizer of MurmurHash3).
func Mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
