package embedded

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
)

// native encodes a block of columns with clickhouse-go, which knows the format
// by itself.
func nativeBlock(t testing.TB, columns []string, values []any, rows int) []byte {
	t.Helper()
	b := proto.NewBlock()
	for i, typ := range columns {
		if err := b.AddColumn("c", column.Type(typ)); err != nil {
			t.Fatalf("%s: %v", typ, err)
		}
		for range rows {
			if err := b.Columns[i].AppendRow(values[i]); err != nil {
				t.Fatalf("%s: %v", typ, err)
			}
		}
	}
	var buf chproto.Buffer
	if err := b.Encode(&buf, 0); err != nil {
		t.Fatal(err)
	}
	return buf.Buf
}

var blockTypes = []struct {
	typ   string
	value any
}{
	{"UInt8", uint8(1)}, {"Int64", int64(-1)}, {"Float32", float32(1.5)}, {"Bool", true}, {"String", "some text"}, {"FixedString(5)", "abcde"},
	{"UUID", "00000000-0000-0000-0000-000000000001"}, {"IPv4", "1.2.3.4"}, {"IPv6", "::1"},
	{"Date", "2026-11-25"}, {"DateTime('UTC')", "2026-11-25 10:00:00"}, {"DateTime64(6, 'UTC')", "2026-11-25 10:00:00"},
	{"Enum8('a' = 1, 'b, (c' = 2)", "b, (c"}, {"Enum16('x' = -5)", "x"},
	{"Nullable(String)", "x"}, {"Nullable(UInt64)", nil}, {"Array(String)", []string{"a", "bb", ""}}, {"Array(Array(UInt16))", [][]uint16{{1}, {}, {2, 3}}},
	{"Array(Nullable(String))", []*string{nil}}, {"LowCardinality(String)", "few"}, {"LowCardinality(Nullable(String))", nil},
	{"Array(LowCardinality(String))", []string{"a", "a", "b"}}, {"Map(String, UInt64)", map[string]uint64{"k": 1, "l": 2}},
	{"Map(LowCardinality(String), Array(UInt8))", map[string][]uint8{"k": {1, 2}}},
	{"Tuple(String, UInt8)", []any{"x", uint8(1)}}, {"Tuple(a String, b LowCardinality(String))", []any{"x", "y"}},
	{"SimpleAggregateFunction(sum, UInt64)", uint64(1)}, {"Int128", nil}, {"UInt256", nil}, {"IntervalSecond", nil},
}

func TestBlocksAreWalkedToTheirEnd(t *testing.T) {
	var columns []string
	var values []any
	for _, c := range blockTypes {
		if c.value == nil && c.typ[0] != 'N' && c.typ[0] != 'L' {
			continue
		}
		columns, values = append(columns, c.typ), append(values, c.value)
		for _, rows := range []int{0, 1, 300, 70_000} {
			if rows == 0 && strings.Contains(c.typ, "LowCardinality") {
				continue // the client writes a prefix there that the engine does not; it never sends such a block
			}
			one := nativeBlock(t, []string{c.typ}, []any{c.value}, rows)
			w := walker{buf: append(one, "the next packet"...)}
			if err := w.block(); err != nil || w.pos != len(one) || w.rows != uint64(rows) || w.columns != 1 {
				t.Errorf("%s, %d rows: walked %d of %d bytes: %v", c.typ, rows, w.pos, len(one), err)
			}
		}
	}
	all := nativeBlock(t, columns, values, 20)
	for cut := range all {
		w := walker{buf: all[:cut]}
		if err := w.block(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut at %d of %d: %v", cut, len(all), err)
		}
	}
}

// A stream is passed on whole and in pieces, however large the block is.
func TestBlocksAreStreamed(t *testing.T) {
	block := nativeBlock(t, []string{"String", "LowCardinality(String)", "UInt64"}, []any{"0123456789012345678901234567890123456789", "x", uint64(1)}, 200_000)
	var got []byte
	largest := 0
	w := walker{src: io.MultiReader(bytes.NewReader(block), bytes.NewReader([]byte("rest"))), sink: func(b []byte) error {
		largest = max(largest, len(b))
		got = append(got, b...)
		return nil
	}}
	if err := w.block(); err != nil {
		t.Fatal(err)
	}
	if err := w.flush(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, block) {
		t.Error("what came out is not what went in")
	}
	if largest > 3*pieceSize {
		t.Errorf("a piece of %d bytes", largest)
	}
}

func TestTypesThatCannotBeWalked(t *testing.T) {
	k, err := parseType("Tuple(`a, (b` UInt8, c LowCardinality(Nullable(String)), Tuple(x UInt64))", 0)
	if err != nil || len(k.inner) != 3 || k.inner[0].size != 1 || k.inner[2].inner[0].size != 8 {
		t.Errorf("names in a tuple: %+v, %v", k, err)
	}
	for _, typ := range []string{"JSON", "Variant(String, UInt8)", "Dynamic", "AggregateFunction(sum, UInt64)", "", "Array()", "Array", "FixedString(x)", "Decimal(x, 1)",
		"Map(String)", "Nullable", "LowCardinality(JSON)", "Tuple(a", string(bytes.Repeat([]byte("Array("), 100))} {
		if k, err := parseType(typ, 0); err == nil {
			t.Errorf("%q is %+v", typ, k)
		}
	}
	deep := string(bytes.Repeat([]byte("Array("), 100)) + "UInt8" + string(bytes.Repeat([]byte(")"), 100))
	if _, err := parseType(deep, 0); err == nil {
		t.Error("a type nested 100 deep")
	}
}

func FuzzBlock(f *testing.F) {
	for _, c := range blockTypes {
		if c.value != nil {
			f.Add(nativeBlock(f, []string{c.typ}, []any{c.value}, 3))
		}
	}
	f.Add([]byte("\x01\xff\xff\xff\xff\x03\x01c\x05UInt8"))
	f.Fuzz(func(t *testing.T, b []byte) {
		whole := walker{buf: b}
		err := whole.block()
		var passed []byte
		w := walker{src: bytes.NewReader(b), sink: func(p []byte) error { passed = append(passed, p...); return nil }}
		streamed := errors.Join(w.block(), w.flush())
		if (err == nil) != (streamed == nil) {
			t.Fatalf("whole: %v, streamed: %v", err, streamed)
		}
		if err == nil && !bytes.Equal(passed, b[:whole.pos]) {
			t.Fatal("streamed other bytes")
		}
	})
}

func BenchmarkWalk(b *testing.B) {
	block := nativeBlock(b, []string{"String", "LowCardinality(String)", "UInt64", "DateTime64(6, 'UTC')", "Array(LowCardinality(String))"},
		[]any{"10.0.0.1", "shop", uint64(1), "2026-11-25 10:00:00", []string{"a"}}, 65_000)
	b.SetBytes(int64(len(block)))
	b.ReportAllocs()
	for b.Loop() {
		w := walker{buf: block}
		if err := w.block(); err != nil {
			b.Fatal(err)
		}
	}
}
