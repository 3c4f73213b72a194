package endpoint

import (
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// million makes n requests for distinct URLs of 1,000 templates: 200 collections
// of which each has five, with ids of several kinds, a third of them words.
func million(n int, each func(method, path []byte, id string, template int)) {
	r := rand.New(rand.NewSource(1))
	syllables := strings.Fields("ba be bi bo bu da de di do du fa fe fi ga go ka ke ki ko la le li lo ma me mi mo na ne ni no pa pe pi po ra re ri ro sa se si so ta te ti to va ve vi vo")
	word := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(syllables[r.Intn(len(syllables))])
		}
		return b.String()
	}
	var collections []string
	for i := range 200 {
		collections = append(collections, word(3)+strconv.Itoa(i / 26)[:0]+string(rune('a'+i%26))+word(1)+"s")
	}
	id := func(kind, k int) string {
		switch kind % 6 {
		case 0:
			return strconv.Itoa(100 + k)
		case 1:
			return fmt.Sprintf("%08x-%04x-4000-8000-%012x", r.Uint32(), k&0xffff, r.Int63()&0xffffffffffff)
		case 2:
			return word(3) + "-" + word(3)
		case 3:
			return fmt.Sprintf("%016x", r.Uint64()|1)
		case 4:
			return word(5)
		default:
			return "obj_" + strconv.FormatUint(r.Uint64(), 36) + "A1b"
		}
	}
	for k := range n {
		c := r.Intn(200)
		name := collections[c]
		a, b := id(c, k), id(c+1, k)
		switch t := r.Intn(5); t {
		case 0:
			each([]byte("GET"), []byte("/v1/"+name+"/"+a), a, c*5+t)
		case 1:
			each([]byte("PUT"), []byte("/v1/"+name+"/"+a), a, c*5+t)
		case 2:
			each([]byte("GET"), []byte("/v1/"+name+"/"+a+"/lines"), "", c*5+t)
		case 3:
			each([]byte("GET"), []byte("/v1/"+name+"/"+a+"/lines/"+b), b, c*5+t)
		case 4:
			each([]byte("POST"), []byte("/v1/"+name+"/"+a+"/cancel"), "", c*5+t)
		}
	}
}

// Distinct URLs without end cost memory by their templates, and their values
// make few endpoints of their own. MILLIONS says how many there are.
func TestMillionsOfURLs(t *testing.T) {
	n := 300_000
	if m, err := strconv.Atoi(os.Getenv("MILLIONS")); err == nil {
		n = m * 1_000_000
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	tree := NewTree(Options{}, newNote)
	million(n, func(method, path []byte, id string, template int) {
		rec, ok := tree.At(method, path, true)
		if !ok {
			t.Fatalf("%s has no record", path)
		}
		rec.n++
		rec.fields["f"+strconv.Itoa(template%97)]++
		if id != "" {
			tree.Echo([]byte("id"), []byte(id), true)
		}
	})
	runtime.GC()
	runtime.ReadMemStats(&after)
	endpoints, strays := 0, 0
	for e, rec := range tree.Endpoints() {
		endpoints++
		if !strings.Contains(e.Template, "{") {
			if strays += rec.n; strays < 20 {
				t.Logf("stray: %s %s, %d times", e.Method, e.Template, rec.n)
			}
		}
	}
	memory := float64(after.HeapAlloc-before.HeapAlloc) / (1 << 20)
	t.Logf("%d URLs: %d endpoints, %.1f MiB, %d records, %d folds, %d exchanges at strays", n, endpoints, memory, tree.records, tree.Folds(), strays)
	if endpoints < 1000 || endpoints > 1100 {
		t.Errorf("%d endpoints, want 1,000", endpoints)
	}
	if memory > 100 {
		t.Errorf("%.1f MiB are in use, want 100 at most", memory)
	}
	runtime.KeepAlive(tree)
}
