package coding

import (
	"bytes"
	"compress/zlib"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"plainsight/capture"
)

// encode applies one coding.
func encode(t testing.TB, c Coding, b []byte) []byte {
	var out bytes.Buffer
	var w io.WriteCloser
	switch c {
	case Gzip:
		w = gzip.NewWriter(&out)
	case Deflate:
		w = zlib.NewWriter(&out)
	case rawDeflate:
		w, _ = flate.NewWriter(&out, 6)
	case Brotli:
		w = brotli.NewWriter(&out)
	case Zstd:
		w, _ = zstd.NewWriter(&out)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func list(values ...string) *List {
	var l List
	for _, v := range values {
		l.Add(capture.Text(v))
	}
	return &l
}

// text is a body like those of APIs; it compresses about tenfold.
func text(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(`{"id":`)
		b.WriteString(strings.Repeat("7", 1+r.IntN(6)))
		b.WriteString(`,"name":"a shop","open":true},`)
	}
	return []byte(b.String()[:n])
}

var all = []struct {
	name   string
	coding Coding
}{{"gzip", Gzip}, {"x-gzip", Gzip}, {"deflate", Deflate}, {"deflate", rawDeflate}, {"br", Brotli}, {"zstd", Zstd}}

func TestEachCodingIsUndone(t *testing.T) {
	d := New(Options{})
	for _, row := range all {
		for _, n := range []int{1, 100, 5000, 300_000} {
			want := text(n)
			got, flaws, ok := d.Decode(nil, encode(t, row.coding, want), list(row.name), false)
			if !ok || flaws != 0 || !bytes.Equal(got, want) {
				t.Errorf("%s of %d: %d bytes, ok %t, flaws %v", row.name, n, len(got), ok, flaws.Names())
			}
		}
	}
}

func TestLists(t *testing.T) {
	for _, c := range []struct {
		values []string
		n      uint8
		over   bool
	}{
		{nil, 0, false}, {[]string{"identity"}, 0, false}, {[]string{"GZip"}, 1, false},
		{[]string{" gzip ,\tbr"}, 2, false}, {[]string{"gzip", "br"}, 2, false}, {[]string{"lzma"}, 1, false},
		{[]string{"gzip,gzip,gzip,gzip,gzip"}, 4, true}, {[]string{","}, 0, false},
	} {
		if l := list(c.values...); l.n != c.n || l.over != c.over {
			t.Errorf("%q: %+v", c.values, *l)
		}
	}
}

func TestAStackIsUndoneFromTheTop(t *testing.T) {
	want := text(2000)
	body := encode(t, Brotli, encode(t, Zstd, encode(t, Gzip, want)))
	got, flaws, ok := New(Options{}).Decode(nil, body, list("gzip, zstd", "br"), false)
	if !ok || flaws != 0 || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, ok %t, flaws %v", len(got), ok, flaws.Names())
	}
}

func TestMembersAreJoined(t *testing.T) {
	want := text(3000)
	body := append(encode(t, Gzip, want[:1000]), encode(t, Gzip, want[1000:])...)
	body = append(body, 0, 0, 0) // padding
	got, flaws, ok := New(Options{}).Decode(nil, body, list("gzip"), false)
	if !ok || flaws != 0 || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, ok %t, flaws %v", len(got), ok, flaws.Names())
	}
}

func TestWhatIsThereIsDecoded(t *testing.T) {
	d := New(Options{})
	want := text(200_000)
	for _, row := range all {
		body := encode(t, row.coding, want)
		cut := body[:len(body)*2/3]
		got, flaws, ok := d.Decode(nil, cut, list(row.name), true)
		if !ok || flaws != 0 || !bytes.HasPrefix(want, got) || len(got) == 0 {
			t.Errorf("%s, cut: %d bytes, ok %t, flaws %v", row.name, len(got), ok, flaws.Names())
		}
		got, flaws, ok = d.Decode(nil, cut, list(row.name), false)
		if !ok || flaws != capture.FlawDecode || !bytes.HasPrefix(want, got) || len(got) == 0 {
			t.Errorf("%s, said to be whole: %d bytes, ok %t, flaws %v", row.name, len(got), ok, flaws.Names())
		}
	}
}

func TestWhatIsNotCodedStaysAsItIs(t *testing.T) {
	d := New(Options{})
	for _, row := range all {
		got, flaws, ok := d.Decode(nil, []byte("plain text, not coded at all"), list(row.name), false)
		if ok && len(got) > 0 || flaws&capture.FlawDecode == 0 {
			t.Errorf("%s: %q, ok %t, flaws %v", row.name, got, ok, flaws.Names())
		}
	}
	if _, flaws, ok := d.Decode(nil, []byte("?"), list("lzma"), false); ok || flaws != capture.FlawEncodingUnknown {
		t.Errorf("lzma: ok %t, flaws %v", ok, flaws.Names())
	}
	for _, name := range []string{"x_gzip", "gzip;", "\x0bgzip", ": GZIP"} {
		want := text(100)
		got, flaws, ok := d.Decode(nil, encode(t, Gzip, want), list(name), false)
		if !ok || flaws != capture.FlawEncodingUnknown || !bytes.Equal(got, want) {
			t.Errorf("%q: %q, ok %t, flaws %v", name, got, ok, flaws.Names())
		}
	}
	// Two codings are announced, one was applied.
	want := text(100)
	got, flaws, ok := d.Decode(nil, encode(t, Gzip, want), list("gzip", "deflate"), false)
	if !ok || flaws != capture.FlawDecode || !bytes.Equal(got, want) {
		t.Errorf("half a stack: %q, ok %t, flaws %v", got, ok, flaws.Names())
	}
}

func TestBombsStopAtTheBudget(t *testing.T) {
	zeros := make([]byte, 64<<20)
	for _, row := range all {
		body := encode(t, row.coding, zeros)
		for _, o := range []Options{{Bytes: 100_000}, {Ratio: 10, Floor: 1000}} {
			limit := o.Bytes
			if limit == 0 {
				limit = max(1000, 10*len(body))
			}
			d := New(o)
			got, flaws, ok := d.Decode(nil, body, list(row.name), false)
			if !ok || flaws != capture.FlawDecodeLimit || len(got) != min(limit, 4<<20) {
				t.Errorf("%s, %+v: %d bytes of %d, ok %t, flaws %v", row.name, o, len(got), limit, ok, flaws.Names())
			}
		}
	}
	body := encode(t, Gzip, encode(t, Gzip, zeros))
	got, flaws, ok := New(Options{Bytes: 50_000}).Decode(nil, body, list("gzip, gzip"), false)
	if !ok || flaws != capture.FlawDecodeLimit || len(got) > 50_000 {
		t.Errorf("gzip in gzip: %d bytes, ok %t, flaws %v", len(got), ok, flaws.Names())
	}
	if _, flaws, ok := New(Options{}).Decode(nil, body, list("br,br,br,br,br"), false); ok || flaws != capture.FlawDecodeLimit {
		t.Errorf("five codings: ok %t, flaws %v", ok, flaws.Names())
	}
	// A frame that asks for 128 MiB of history.
	wide := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 0x01, 0x00, 0x00}
	if _, flaws, _ := New(Options{}).Decode(nil, wide, list("zstd"), false); flaws != capture.FlawDecodeLimit {
		t.Errorf("wide window: flaws %v", flaws.Names())
	}
}

func TestABodyThatFitsExactly(t *testing.T) {
	want := text(5000)
	for _, row := range all {
		got, flaws, ok := New(Options{Bytes: 5000}).Decode(nil, encode(t, row.coding, want), list(row.name), false)
		if !ok || flaws != 0 || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, ok %t, flaws %v", row.name, len(got), ok, flaws.Names())
		}
	}
}

func TestDecodingDoesNotAllocate(t *testing.T) {
	if raced {
		t.Skip("pools forget under the race detector")
	}
	d := New(Options{})
	want := text(2000)
	for _, row := range all {
		if row.coding == Brotli {
			continue // its trees are made anew for each stream
		}
		body := encode(t, row.coding, want)
		l := list(row.name)
		dst := make([]byte, 0, 4<<10)
		if n := testing.AllocsPerRun(100, func() { dst, _, _ = d.Decode(dst, body, l, false) }); n >= 1 {
			t.Errorf("%s: %.1f allocations", row.name, n)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, row := range all {
		body := encode(f, row.coding, text(500))
		f.Add(body, row.name, true)
		f.Add(body[:len(body)/2], row.name+", "+row.name, false)
	}
	d := New(Options{Bytes: 1 << 20, Window: 1 << 20})
	f.Fuzz(func(t *testing.T, body []byte, value string, cut bool) {
		var l List
		l.Add(capture.Text(value))
		out, flaws, ok := d.Decode(nil, body, &l, cut)
		if len(out) > 1<<20 {
			t.Fatalf("%d bytes are over the budget", len(out))
		}
		if !ok && len(out) > 0 {
			t.Fatal("bytes of nothing undone")
		}
		again, flawsAgain, okAgain := d.Decode(nil, body, &l, cut)
		if !bytes.Equal(out, again) || flaws != flawsAgain || ok != okAgain {
			t.Fatal("a pooled decoder remembers")
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	d := New(Options{})
	for _, row := range all[1:] {
		b.Run(row.name, func(b *testing.B) {
			body := encode(b, row.coding, text(8000))
			l := list(row.name)
			dst := make([]byte, 0, 16<<10)
			b.SetBytes(8000)
			b.ReportAllocs()
			for b.Loop() {
				dst, _, _ = d.Decode(dst, body, l, false)
			}
		})
	}
}
