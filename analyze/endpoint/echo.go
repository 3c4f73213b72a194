package endpoint

import (
	"encoding/binary"
	"math/bits"
)

// digest hashes a segment or value. It is the same in each process, so that the
// same traffic gives the same endpoints. Eight bytes are folded at a time by a
// multiplication to 128 bits, as wyhash does: values come by the million.
func digest(b []byte) uint64 {
	const k0, k1 = 0x9e3779b97f4a7c15, 0xd6e8feb86659fd93
	h := uint64(len(b))*k1 ^ k0
	for ; len(b) > 8; b = b[8:] {
		h = fold(h^binary.LittleEndian.Uint64(b), k1)
	}
	var last uint64
	switch n := len(b); {
	case n >= 4:
		last = uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint32(b[n-4:]))<<32
	case n > 0:
		last = uint64(b[0]) | uint64(b[n/2])<<8 | uint64(b[n-1])<<16
	}
	return fold(fold(h^last, k1), k0)
}

func fold(x, y uint64) uint64 {
	high, low := bits.Mul64(x, y)
	return high ^ low
}

// Echo tells of a string or number in the body that answered the last exchange
// given to [Tree.At], with the key it stands under, and whether that is an id's
// ([IDKey]). A path segment that comes back as an id is a value, and so is one
// that other answers call an id. It never keeps the value. Keys that are no ids'
// cost little.
func (t *Tree[R]) Echo(key, value []byte, id bool) {
	if len(value) == 0 || len(value) > 64 || !id && t.named>>mark(key)&1 == 0 {
		return
	}
	last := len(t.path) - 1
	if !id {
		// /orders/status/paid answers orders whose status is paid.
		for i := range last {
			if n := t.path[i]; n.name == string(key) && !t.path[i+1].told && t.path[i+1].now == digest(value) {
				t.path[i+1].told = true
				t.path[i+1].own++
			}
		}
		return
	}
	h := digest(value)
	t.values.add(h)
	if last < 0 {
		return
	}
	if !t.able {
		t.able = true
		t.path[last].able++
	}
	for i, n := range t.path {
		if n.now == h && !n.told {
			n.told = true
			n.own++
			if i == last {
				n.self++
			}
		}
	}
}

// mark is the bit of a name in a set of the few names of a path.
func mark[T string | []byte](name T) int {
	if len(name) == 0 {
		return 0
	}
	return (len(name)<<3 ^ int(name[0])) & 63
}

// IDKey reports whether a key names what identifies a thing.
func IDKey(key []byte) bool {
	n := len(key)
	if n < 2 || n > 40 {
		return false
	}
	for _, suffix := range idSuffixes[key[n-1]&31] {
		if m := len(suffix); m <= n && small(key[n-m:], suffix) {
			return true
		}
	}
	return false
}

// small reports whether b is text, which is in small letters, but for their case.
func small(b []byte, text string) bool {
	for i := range text {
		if b[i]|0x20 != text[i] {
			return false
		}
	}
	return true
}

// idSuffixes are ends of keys of ids, in small letters, by the lower bits of
// their last letter.
var idSuffixes = func() (t [32][]string) {
	for _, s := range []string{"id", "sid", "key", "slug", "name", "code", "login", "number", "handle", "ref", "sha", "path", "tag",
		"email", "iso", "lang", "locale", "version", "namespace", "host", "domain", "owner", "user", "title", "label"} {
		i := s[len(s)-1] & 31
		t[i] = append(t[i], s)
	}
	return t
}()

// filter is a set of values by their digests: exact while they are few, which
// they are in most services, and a Bloom filter from then on. What it is depends
// on the values alone, not on their order or on how they were split. With too few
// bits (a quarter of these, on the traffic of large APIs) false positives decide.
type filter struct {
	few  []uint64 // open addressing, at most half full; 0 is none
	n    int      // in few
	bits []uint64
}

const (
	filterBits = 1 << 20
	mostFew    = 2048
)

func (f *filter) add(h uint64) {
	if f.bits != nil {
		a, b := h%filterBits, h>>32%filterBits
		f.bits[a/64] |= 1 << (a % 64)
		f.bits[b/64] |= 1 << (b % 64)
		return
	}
	h = max(h, 1)
	i, known := f.slot(h)
	switch {
	case known:
	case f.n >= mostFew:
		f.spill()
		f.add(h)
	case 2*f.n >= len(f.few):
		old := f.few
		f.few, f.n = make([]uint64, max(64, 2*len(old))), 0
		for _, v := range old {
			if v != 0 {
				f.add(v)
			}
		}
		f.add(h)
	default:
		f.few[i] = h
		f.n++
	}
}

// slot is where h is in few, or would be.
func (f *filter) slot(h uint64) (i int, known bool) {
	mask := len(f.few) - 1
	if mask < 0 {
		return 0, false
	}
	for i = int(h) & mask; f.few[i] != 0; i = (i + 1) & mask {
		if f.few[i] == h {
			return i, true
		}
	}
	return i, false
}

// spill makes a Bloom filter of what are no longer few.
func (f *filter) spill() {
	if f.bits != nil {
		return
	}
	few := f.few
	*f = filter{bits: make([]uint64, filterBits/64)}
	for _, h := range few {
		if h != 0 {
			f.add(h)
		}
	}
}

func (f *filter) has(h uint64) bool {
	if f.bits == nil {
		_, known := f.slot(max(h, 1))
		return known
	}
	a, b := h%filterBits, h>>32%filterBits
	return f.bits[a/64]&(1<<(a%64)) != 0 && f.bits[b/64]&(1<<(b%64)) != 0
}

func (f *filter) merge(o *filter) {
	if o.bits == nil {
		for _, h := range o.few {
			if h != 0 {
				f.add(h)
			}
		}
		return
	}
	f.spill()
	for i := range o.bits {
		f.bits[i] |= o.bits[i]
	}
}
