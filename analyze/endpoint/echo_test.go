package endpoint

import (
	"encoding/binary"
	"math/bits"
	"testing"
)

// Digests of alike short values are strewn over all bits.
func TestDigestSpreads(t *testing.T) {
	seen := map[uint64]bool{}
	var halves [2][256]int
	n := 0
	for length := range 40 {
		for i := range 500 {
			b := make([]byte, length)
			for j := range b {
				b[j] = '0'
			}
			if length > 0 {
				var digits [8]byte
				binary.BigEndian.PutUint64(digits[:], uint64(i))
				for j := range min(length, 2) {
					b[length-1-j] += digits[7-j]
				}
			} else if i > 0 {
				break
			}
			h := digest(b)
			if !seen[h] {
				n++
				halves[0][h&255]++
				halves[1][h>>56]++
			}
			seen[h] = true
		}
	}
	want := 1 + 256 + 38*500 // one byte tells 256 apart
	if n != want {
		t.Errorf("%d digests of %d values", n, want)
	}
	for i, half := range halves {
		for _, c := range half {
			if c < n/256/2 || c > n/256*2 {
				t.Errorf("half %d: a bucket of %d where %d are due", i, c, n/256)
			}
		}
	}
	if d := bits.OnesCount64(digest([]byte("order-1")) ^ digest([]byte("order-2"))); d < 16 {
		t.Errorf("two digests differ in %d bits", d)
	}
}

func TestIDKey(t *testing.T) {
	for key, want := range map[string]bool{"id": true, "ID": true, "userId": true, "order_key": true, "isbn": false, "created_at": false, "slug": true, "name": true, "NAME": true,
		"": false, "d": false, "paid": true, "price": false, "sha": true, "i\x04": false, "total": false, "label": true, "namespace": true} {
		if IDKey([]byte(key)) != want {
			t.Errorf("%q: %v", key, !want)
		}
	}
}

// A set of values is the same however they were split and ordered, exact while
// small, and nearly so when large.
func TestFilter(t *testing.T) {
	value := func(i int) uint64 { return digest(binary.AppendUvarint(nil, uint64(i))) }
	for _, n := range []int{0, 1, 40, mostFew, mostFew + 1, 20_000} {
		var whole, merged filter
		var parts [3]filter
		for i := range n {
			whole.add(value(i))
			parts[i%3].add(value(n - 1 - i))
			parts[2].add(value(i / 2))
		}
		for i := range parts {
			merged.merge(&parts[i])
		}
		wrong := 0
		for i := range 3*n + 100 {
			h := value(i)
			if i < n && !whole.has(h) {
				t.Fatalf("of %d values one is missing", n)
			}
			if whole.has(h) != merged.has(h) {
				t.Fatalf("of %d values: %v at once, %v merged", n, whole.has(h), merged.has(h))
			}
			if i >= n && whole.has(h) {
				wrong++
			}
		}
		if n <= mostFew && wrong > 0 || wrong > n/20 {
			t.Errorf("of %d values: %d that are not there", n, wrong)
		}
		if (whole.bits != nil) != (n > mostFew) {
			t.Errorf("%d values are few: %v", n, whole.bits == nil)
		}
	}
	var zero filter
	zero.add(0)
	if !zero.has(0) {
		t.Error("zero is missing")
	}
}

func BenchmarkEcho(b *testing.B) {
	tree := NewTree(Options{}, newNote)
	tree.At([]byte("GET"), []byte("/api/v1/orders/7d37df51-5b01-4390-946d-3914f33d5388/items"), true)
	pairs := [][2][]byte{{[]byte("id"), []byte("409328")}, {[]byte("uuid"), []byte("7d37df51-5b01-4390-946d-3914f33d5388")}, {[]byte("price"), []byte("607.69")},
		{[]byte("created_at"), []byte("2026-01-18T06:15:06Z")}, {[]byte("display_name"), []byte("grove")}, {[]byte("tags"), []byte("knife")}}
	b.ReportAllocs()
	for b.Loop() {
		for i := range pairs {
			tree.Echo(pairs[i][0], pairs[i][1], IDKey(pairs[i][0]))
		}
	}
}
