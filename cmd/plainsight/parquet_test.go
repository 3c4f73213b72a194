package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/parquet-go/parquet-go"

	"plainsight/storage"
	"plainsight/storage/embedded"
	"plainsight/storage/embedded/embeddedtest"
)

// everyKind has a column of each kind, in an order that is not the alphabet's.
func everyKind() *fakeRows {
	at := time.Date(2026, 11, 25, 10, 0, 0, 123456000, time.UTC)
	return &fakeRows{
		columns: []storage.Header{{Name: "z", Type: "UInt64"}, {Name: "count()", Type: "Int8"}, {Name: "a", Type: "LowCardinality(String)"}, {Name: "a", Type: "Nullable(Float64)"},
			{Name: "at", Type: "DateTime64(6, 'UTC')"}, {Name: "day", Type: "Date"}, {Name: "yes", Type: "Bool"}, {Name: "list", Type: "Array(LowCardinality(String))"},
			{Name: "map", Type: "Map(UInt16, UInt64)"}, {Name: "deep", Type: "Array(Array(UInt8))"}, {Name: "worth", Type: "Enum8('info' = 0, 'high' = 3)"},
			{Name: "sum", Type: "SimpleAggregateFunction(sum, UInt32)"}, {Name: "none", Type: "Nullable(String)"}},
		rows: [][]any{
			{uint64(1 << 63), int8(-5), "grüße", 0.25, at, at.Truncate(24 * time.Hour), true, []string{"x", "y"}, map[uint16]uint64{404: 1}, [][]uint8{{1}, {2, 3}}, "high", uint32(7), nil},
			{uint64(0), int8(0), "", nil, time.Unix(0, 0), time.Unix(0, 0), false, []string{}, map[uint16]uint64{}, [][]uint8{}, "info", uint32(0), "text"},
		},
	}
}

func TestParquetReadsBack(t *testing.T) {
	embeddedtest.Require(t)
	file := filepath.Join(t.TempDir(), "answer.parquet")
	if err := os.WriteFile(file, []byte(written(t, "parquet", everyKind())), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, _ := f.Stat()
	p, err := parquet.OpenFile(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, field := range p.Root().Columns() {
		names = append(names, field.Name())
	}
	if got, want := strings.Join(names, " "), "z count() a a_2 at day yes list map deep worth sum none"; got != want || p.NumRows() != 2 {
		t.Errorf("%d rows of %s, want %s", p.NumRows(), got, want)
	}

	// A second opinion: the engine reads it as what it was.
	engine, err := embedded.Open(filepath.Join(t.TempDir(), "store"), embedded.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	db, err := chgo.Open(&chgo.Options{Addr: []string{"engine"}, DialContext: func(ctx context.Context, _ string) (net.Conn, error) { return engine.Dial(ctx) }})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(t.Context(), "SELECT z, `count()`, a, a_2, toString(at), toString(day), yes, list, map, deep, worth, sum, none FROM file('"+file+"', Parquet)")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		dest := make([]any, len(rows.ColumnTypes()))
		for i, c := range rows.ColumnTypes() {
			dest[i] = reflect.New(c.ScanType()).Interface()
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		var line []string
		for _, d := range dest {
			line = append(line, plain(reflect.ValueOf(d).Elem().Interface()))
		}
		got = append(got, strings.Join(line, "|"))
	}
	want := []string{
		"9223372036854775808|-5|grüße|0.25|2026-11-25 10:00:00.123456|2026-11-25|true|x, y|404: 1|1, 2, 3|high|7|",
		"0|0|||1970-01-01 00:00:00.000000|1970-01-01|false||||info|0|text",
	}
	if !reflect.DeepEqual(got, want) || rows.Err() != nil {
		t.Errorf("the engine reads\n%s\nwant\n%s\n%v", strings.Join(got, "\n"), strings.Join(want, "\n"), rows.Err())
	}
}

func TestParquetFilesOfManyRows(t *testing.T) {
	a := &fakeRows{columns: []storage.Header{{Name: "n", Type: "UInt32"}, {Name: "s", Type: "String"}}}
	for i := range 250_000 {
		a.rows = append(a.rows, []any{uint32(i), fmt.Sprint(i % 100)})
	}
	out := written(t, "parquet", a)
	p, err := parquet.OpenFile(strings.NewReader(out), int64(len(out)))
	if err != nil || p.NumRows() != 250_000 || len(p.RowGroups()) != 3 {
		t.Errorf("%d rows: %v", p.NumRows(), err)
	}
}
