package hpack

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

type pair struct{ name, value string }

func read(b *Block) []pair {
	var all []pair
	for i := range b.Len() {
		n, v := b.Field(i)
		all = append(all, pair{string(n), string(v)})
	}
	return all
}

// second is what golang.org/x/net reads in a block.
func second(d *hpack.Decoder, block []byte) (all []pair, err error) {
	d.SetEmitFunc(func(f hpack.HeaderField) { all = append(all, pair{f.Name, f.Value}) })
	if _, err = d.Write(block); err == nil {
		err = d.Close()
	}
	return all, err
}

func newSecond() *hpack.Decoder {
	d := hpack.NewDecoder(firstSize, nil)
	d.SetAllowedMaxDynamicTableSize(1<<32 - 1)
	return d
}

var wide = Options{Table: 1 << 26, Entries: 1 << 20, List: 1 << 30, Fields: 1 << 20}

// traffic is blocks as an encoder of a busy connection writes them.
func traffic(seed uint64, blocks int) ([][]byte, [][]pair) {
	r := rand.New(rand.NewPCG(seed, 1))
	var buf bytes.Buffer
	e := hpack.NewEncoder(&buf)
	var out [][]byte
	var say [][]pair
	for range blocks {
		buf.Reset()
		if r.IntN(20) == 0 {
			e.SetMaxDynamicTableSize(uint32(r.IntN(5)) * 300)
		}
		var ps []pair
		for range 1 + r.IntN(12) {
			p := pair{[]string{":method", ":path", "cookie", "x-a", "x-b", "accept", fmt.Sprint("x-", r.IntN(30))}[r.IntN(7)], ""}
			p.value = strings.Repeat(string(rune(' '+r.IntN(95))), r.IntN(40)) + fmt.Sprint(r.IntN(9))
			if r.IntN(50) == 0 {
				p.value += string([]byte{0, 1, 0xff, 0x80})
			}
			ps = append(ps, p)
			if err := e.WriteField(hpack.HeaderField{Name: p.name, Value: p.value, Sensitive: r.IntN(9) == 0}); err != nil {
				panic(err)
			}
		}
		out = append(out, bytes.Clone(buf.Bytes()))
		say = append(say, ps)
	}
	return out, say
}

func TestBlocksOfAConnection(t *testing.T) {
	for seed := range uint64(20) {
		blocks, want := traffic(seed, 300)
		d, b := New(Options{}), &Block{}
		for i := range blocks {
			if err := d.Decode(b, blocks[i]); err != nil {
				t.Fatalf("seed %d, block %d: %v", seed, i, err)
			}
			if got := read(b); fmt.Sprint(got) != fmt.Sprint(want[i]) || b.Unknown != 0 || b.Dropped != 0 {
				t.Fatalf("seed %d, block %d: %q, want %q", seed, i, got, want[i])
			}
		}
	}
}

// Whoever joins late, or forgets, leaves fields out; those that are read are
// those that were sent, and after some time it is all of them again.
func TestJoinedMidway(t *testing.T) {
	for seed := range uint64(40) {
		blocks, want := traffic(seed, 400)
		from := int(seed) * 5
		d, b := New(Options{}), &Block{}
		d.Forget()
		unknown, last := 0, 0
		for i := from; i < len(blocks); i++ {
			if i == 250 {
				d.Forget()
			}
			if err := d.Decode(b, blocks[i]); err != nil {
				t.Fatalf("seed %d, block %d: %v", seed, i, err)
			}
			got := read(b)
			if len(got)+b.Unknown != len(want[i]) {
				t.Fatalf("seed %d, block %d: %d read and %d unknown of %d", seed, i, len(got), b.Unknown, len(want[i]))
			}
			rest := want[i]
			for _, p := range got { // in order, among those sent
				for len(rest) > 0 && rest[0] != p {
					rest = rest[1:]
				}
				if len(rest) == 0 {
					t.Fatalf("seed %d, block %d: %q was not sent: %q", seed, i, p, want[i])
				}
				rest = rest[1:]
			}
			if unknown += b.Unknown; b.Unknown > 0 {
				last = i
			}
		}
		if unknown > 0 && last > 380 || !d.Complete() {
			t.Errorf("seed %d: did not heal: unknown at block %d, complete %v", seed, last, d.Complete())
		}
	}
}

// What is too much for us is unknown to us, and nothing else.
func TestSmallTable(t *testing.T) {
	blocks, want := traffic(7, 500)
	d, b := New(Options{Table: 200, Entries: 8, List: 400, Fields: 6}), &Block{}
	for i := range blocks {
		if err := d.Decode(b, blocks[i]); err != nil {
			t.Fatal(err)
		}
		if b.Len()+b.Unknown+b.Dropped != len(want[i]) || b.Len() > 6 || len(b.Text()) > 400 {
			t.Fatalf("block %d: %d fields of %d bytes, %d unknown, %d dropped of %d", i, b.Len(), len(b.Text()), b.Unknown, b.Dropped, len(want[i]))
		}
		for _, p := range read(b) {
			if !strings.Contains(fmt.Sprint(want[i]), fmt.Sprint(p)) {
				t.Fatalf("block %d: %q was not sent", i, p)
			}
		}
	}
	if d.Memory() > 2048 {
		t.Errorf("%d bytes for a table of 200", d.Memory())
	}
}

// One entry of 4,000 bytes, 16,000 references to it (a bomb).
func TestBomb(t *testing.T) {
	d, b := New(Options{}), &Block{}
	entry := append([]byte{0x40, 1, 'b', 0x7f, 0xa1, 0x1e}, bytes.Repeat([]byte{'y'}, 4000)...)
	if err := d.Decode(b, entry); err != nil || b.Len() != 1 {
		t.Fatalf("%d fields, %v", b.Len(), err)
	}
	if err := d.Decode(b, bytes.Repeat([]byte{0xbe}, 16000)); err != nil {
		t.Fatal(err)
	}
	if b.Len() > 17 || b.Len()+b.Dropped != 16000 {
		t.Errorf("%d fields, %d dropped", b.Len(), b.Dropped)
	}
}

func TestWhatIsNoBlock(t *testing.T) {
	for _, c := range []struct {
		block string
		want  error
	}{
		{"\x80", ErrIndex},
		{"\xbe", ErrIndex},
		{"\x7f\x00", ErrIndex},
		{"\x40\x01", ErrTruncated},
		{"\x40", ErrTruncated},
		{"\xff", ErrTruncated},
		{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", ErrInteger},
		{"\x40\x01a\x84\xff\xff\xff\xff", ErrHuffman}, // EOS
		{"\x40\x01a\x81\x1e", ErrHuffman},             // padding that is none
		{"\x40\x01a\x82\x1f\xff", ErrHuffman},         // eleven bits of it
	} {
		d, b := New(Options{}), &Block{}
		if err := d.Decode(b, []byte(c.block)); err != c.want {
			t.Errorf("%q: %v, want %v", c.block, err, c.want)
		}
		if d.Complete() {
			t.Errorf("%q: the table is still trusted", c.block)
		}
		if _, err := second(newSecond(), []byte(c.block)); err == nil {
			t.Errorf("%q: the second opinion finds nothing wrong", c.block)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	blocks, _ := traffic(3, 200)
	d, b := New(Options{}), &Block{}
	all := func() {
		d.Reset()
		for _, x := range blocks {
			if err := d.Decode(b, x); err != nil {
				t.Fatal(err)
			}
		}
	}
	all()
	if n := testing.AllocsPerRun(10, all); n != 0 {
		t.Errorf("%v allocations for %d blocks", n, len(blocks))
	}
}

func BenchmarkDecode(b *testing.B) {
	blocks, want := traffic(3, 200)
	size, fields := 0, 0
	for i := range blocks {
		size += len(blocks[i])
		fields += len(want[i])
	}
	d, to := New(Options{}), &Block{}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		d.Reset()
		for _, x := range blocks {
			if d.Decode(to, x) != nil {
				b.Fatal("not decoded")
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*fields), "ns/field")
}

// FuzzDecode reads a connection of blocks, cut off data by a length each, beside
// golang.org/x/net: what that one reads, this one reads, and nothing else.
func FuzzDecode(f *testing.F) {
	pack := func(blocks ...[]byte) (data []byte) {
		for _, b := range blocks {
			data = append(append(data, byte(len(b)>>8), byte(len(b))), b...)
		}
		return data
	}
	for seed := range uint64(4) {
		blocks, _ := traffic(seed, 12)
		f.Add(pack(blocks...))
	}
	f.Add(pack([]byte("\x3f\xe1\x1f\x40\x01a\x81\x1f"), []byte("\xbe\x20"), []byte("\x20\xbe")))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, b, other := New(wide), &Block{}, newSecond()
		late, small := New(Options{Table: 100, Entries: 4}), New(Options{Table: 100, Entries: 4, List: 200, Fields: 5})
		late.Forget()
		var lb Block
		for len(data) > 2 {
			n := min(int(data[0])<<8|int(data[1]), len(data)-2)
			block := data[2 : 2+n]
			data = data[2+n:]
			want, wrong := second(other, block)
			if wrong != nil && strings.Contains(wrong.Error(), "MUST occur at the beginning") {
				return // we take it wherever it stands
			}
			err := d.Decode(b, block)
			got := read(b)
			if wrong == nil {
				if err != nil || b.Unknown+b.Dropped != 0 || fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("%q\n%q, %v\n%q", block, got, err, want)
				}
			} else if err == nil {
				t.Fatalf("%q\n%q, want %v", block, got, wrong)
			}
			for _, x := range []*Decoder{late, small} {
				e := x.Decode(&lb, block)
				if wrong == nil && (e != nil || lb.Len()+lb.Unknown+lb.Dropped != len(want)) {
					t.Fatalf("%q\n%d fields, %d unknown, %d dropped, %v, want %d", block, lb.Len(), lb.Unknown, lb.Dropped, e, len(want))
				}
				rest := want
				for _, p := range read(&lb) {
					for wrong == nil && len(rest) > 0 && rest[0] != p {
						rest = rest[1:]
					}
					if wrong == nil && len(rest) == 0 {
						t.Fatalf("%q\n%q was not sent", block, p)
					}
				}
				if x.stored > 100 || x.n > 4 || x.Memory() > 4096 {
					t.Fatalf("bounds: %d bytes, %d entries, %d of memory", x.stored, x.n, x.Memory())
				}
			}
			if wrong != nil {
				return // that one is not usable any more
			}
		}
	})
}
