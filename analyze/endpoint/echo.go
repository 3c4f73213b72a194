package endpoint

// digest hashes a segment or value. It is the same in each process, so that the
// same traffic gives the same endpoints.
func digest(b []byte) uint64 {
	h := uint64(14695981039346656037) // FNV-1a
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>29
}

// Echo tells of a string or number in the body that answered the last exchange
// given to [Tree.At], with the key it stands under. A path segment that comes
// back as an id is a value, and so is one that other answers call an id. It
// never keeps the value. Keys that are no ids' cost little.
func (t *Tree[R]) Echo(key, value []byte) {
	if len(value) == 0 || len(value) > 64 {
		return
	}
	last := len(t.path) - 1
	if !idKey(key) {
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

// idKey reports whether a key names what identifies a thing.
func idKey(key []byte) bool {
	n := len(key)
	if n < 2 || n > 40 {
		return false
	}
	for _, suffix := range idSuffixes {
		m := len(suffix)
		if n < m || key[n-1]|0x20 != suffix[m-1] {
			continue
		}
		same := true
		for i := range m {
			if key[n-m+i]|0x20 != suffix[i] {
				same = false
				break
			}
		}
		if same {
			return true
		}
	}
	return false
}

// idSuffixes are ends of keys of ids, in small letters.
var idSuffixes = []string{"id", "sid", "key", "slug", "name", "code", "login", "number", "handle", "ref", "sha", "path", "tag",
	"email", "iso", "lang", "locale", "version", "namespace", "host", "domain", "owner", "user", "title", "label"}

// filter is a Bloom filter of values, made at the first one.
type filter struct {
	bits []uint64
}

const filterBits = 1 << 18

func (f *filter) add(h uint64) {
	if f.bits == nil {
		f.bits = make([]uint64, filterBits/64)
	}
	a, b := h%filterBits, h>>32%filterBits
	f.bits[a/64] |= 1 << (a % 64)
	f.bits[b/64] |= 1 << (b % 64)
}

func (f *filter) has(h uint64) bool {
	if f.bits == nil {
		return false
	}
	a, b := h%filterBits, h>>32%filterBits
	return f.bits[a/64]&(1<<(a%64)) != 0 && f.bits[b/64]&(1<<(b%64)) != 0
}

func (f *filter) merge(o *filter) {
	if o.bits == nil {
		return
	}
	if f.bits == nil {
		f.bits = make([]uint64, filterBits/64)
	}
	for i := range o.bits {
		f.bits[i] |= o.bits[i]
	}
}
