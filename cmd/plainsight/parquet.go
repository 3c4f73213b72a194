package main

import (
	"bufio"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"

	"plainsight/storage"
)

// writeParquet writes an answer as Apache Parquet, with the columns in their
// order. Numbers, texts, times, lists and maps keep their kind; what else
// there is becomes text.
func writeParquet(w *bufio.Writer, rows storage.Rows, _ int) error {
	headers := rows.Columns()
	root := parquetRoot{Node: parquet.Group{}}
	columns := make([]parquetColumn, len(headers))
	names := map[string]int{}
	leaf := 0
	for i, h := range headers {
		name := strings.ToValidUTF8(h.Name, "\ufffd")
		if names[name]++; names[name] > 1 { // a file's names are unique, an answer's need not be
			name = fmt.Sprintf("%s_%d", name, names[name])
		}
		columns[i] = newParquetColumn(h.Type)
		columns[i].leaf = leaf
		leaf += columns[i].leaves()
		root.fields = append(root.fields, parquetField{columns[i].node(), name})
	}
	if leaf == 0 {
		return usagef("an answer without columns is no Parquet file")
	}
	out := parquet.NewWriter(w, parquet.NewSchema("answer", root), parquet.Compression(&parquet.Zstd), parquet.MaxRowsPerRowGroup(100_000))
	row := make(parquet.Row, 0, leaf)
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		row = row[:0]
		for i := range columns {
			row = columns[i].append(row, values[i])
		}
		if _, err := out.WriteRows([]parquet.Row{row}); err != nil {
			return err
		}
	}
	return errors.Join(rows.Err(), out.Close())
}

// parquetRoot is a group that keeps the order of its columns.
type parquetRoot struct {
	parquet.Node
	fields []parquet.Field
}

func (r parquetRoot) Fields() []parquet.Field { return r.fields }
func (r parquetRoot) GoType() reflect.Type    { return reflect.TypeFor[map[string]any]() }

type parquetField struct {
	parquet.Node
	name string
}

func (f parquetField) Name() string { return f.name }
func (f parquetField) Value(v reflect.Value) reflect.Value {
	return v.MapIndex(reflect.ValueOf(f.name))
}

// parquetKind is a scalar: how it is declared and how a value becomes one.
type parquetKind struct {
	node  func() parquet.Node
	value func(any) parquet.Value
}

func signed(bits int) parquetKind {
	return parquetKind{func() parquet.Node { return parquet.Int(bits) }, func(v any) parquet.Value {
		n := reflect.ValueOf(v).Int()
		if bits == 64 {
			return parquet.Int64Value(n)
		}
		return parquet.Int32Value(int32(n))
	}}
}

func unsigned(bits int) parquetKind {
	return parquetKind{func() parquet.Node { return parquet.Uint(bits) }, func(v any) parquet.Value {
		n := reflect.ValueOf(v).Uint()
		if bits == 64 {
			return parquet.Int64Value(int64(n))
		}
		return parquet.Int32Value(int32(n))
	}}
}

var parquetText = parquetKind{parquet.String, func(v any) parquet.Value {
	return parquet.ByteArrayValue([]byte(strings.ToValidUTF8(plain(v), "\ufffd")))
}}

// parquetKinds are the scalars by ClickHouse's type.
var parquetKinds = map[string]parquetKind{
	"Int8": signed(8), "Int16": signed(16), "Int32": signed(32), "Int64": signed(64),
	"UInt8": unsigned(8), "UInt16": unsigned(16), "UInt32": unsigned(32), "UInt64": unsigned(64),
	"Float32": {func() parquet.Node { return parquet.Leaf(parquet.FloatType) }, func(v any) parquet.Value { return parquet.FloatValue(v.(float32)) }},
	"Float64": {func() parquet.Node { return parquet.Leaf(parquet.DoubleType) }, func(v any) parquet.Value { return parquet.DoubleValue(v.(float64)) }},
	"Bool":    {func() parquet.Node { return parquet.Leaf(parquet.BooleanType) }, func(v any) parquet.Value { return parquet.BooleanValue(v.(bool)) }},
	"Date": {parquet.Date, func(v any) parquet.Value {
		return parquet.Int32Value(int32(v.(time.Time).Unix() / 86_400))
	}},
	"DateTime": {func() parquet.Node { return parquet.Timestamp(parquet.Microsecond) }, func(v any) parquet.Value {
		return parquet.Int64Value(v.(time.Time).UnixMicro())
	}},
	"String": parquetText,
}

// parquetScalar finds the kind of a type without its wrappings, and whether it
// may be NULL.
func parquetScalar(typ string) (kind parquetKind, null bool) {
	for {
		inner, ok := unwrapped(typ, "Nullable")
		null = null || ok
		if !ok {
			if inner, ok = unwrapped(typ, "LowCardinality"); !ok {
				break
			}
		}
		typ = inner
	}
	name, _, _ := strings.Cut(typ, "(")
	switch name {
	case "DateTime64":
		name = "DateTime"
	case "Date32":
		name = "Date"
	}
	if kind, ok := parquetKinds[name]; ok {
		return kind, null
	}
	return parquetText, null
}

func unwrapped(typ, wrapper string) (string, bool) {
	inner, ok := strings.CutPrefix(typ, wrapper+"(")
	if !ok || !strings.HasSuffix(inner, ")") {
		return typ, false
	}
	return strings.TrimSuffix(inner, ")"), true
}

// parquetColumn is a scalar, a list of scalars or a map of scalars. Lists in
// lists and the like are text.
type parquetColumn struct {
	list, mapped bool
	null         bool // scalars only
	key, kind    parquetKind
	leaf         int // index of its first leaf
}

func newParquetColumn(typ string) parquetColumn {
	if inner, ok := unwrapped(typ, "SimpleAggregateFunction"); ok {
		if _, inner, ok = strings.Cut(inner, ", "); ok {
			typ = inner
		}
	}
	nested := func(t string) bool {
		return strings.Contains(t, "Array(") || strings.Contains(t, "Map(") || strings.Contains(t, "Tuple(")
	}
	if inner, ok := unwrapped(typ, "Array"); ok && !nested(inner) {
		if kind, null := parquetScalar(inner); !null {
			return parquetColumn{list: true, kind: kind}
		}
	}
	if inner, ok := unwrapped(typ, "Map"); ok && !nested(inner) {
		k, v, _ := strings.Cut(inner, ", ")
		key, noKey := parquetScalar(k)
		if value, null := parquetScalar(v); !null && !noKey {
			return parquetColumn{mapped: true, key: key, kind: value}
		}
	}
	kind, null := parquetScalar(typ)
	return parquetColumn{kind: kind, null: null}
}

func (c *parquetColumn) leaves() int {
	if c.mapped {
		return 2
	}
	return 1
}

func (c *parquetColumn) node() parquet.Node {
	switch {
	case c.list:
		return parquet.List(c.kind.node())
	case c.mapped:
		return parquet.Map(c.key.node(), c.kind.node())
	case c.null:
		return parquet.Optional(c.kind.node())
	}
	return c.kind.node()
}

// append adds the values of one cell, with their levels, to a row.
func (c *parquetColumn) append(row parquet.Row, v any) parquet.Row {
	switch {
	case c.list:
		r := reflect.ValueOf(v)
		return c.repeat(row, c.leaf, r.Len(), func(i int) parquet.Value { return c.kind.value(r.Index(i).Interface()) })
	case c.mapped:
		r := reflect.ValueOf(v)
		keys := r.MapKeys()
		row = c.repeat(row, c.leaf, len(keys), func(i int) parquet.Value { return c.key.value(keys[i].Interface()) })
		return c.repeat(row, c.leaf+1, len(keys), func(i int) parquet.Value { return c.kind.value(r.MapIndex(keys[i]).Interface()) })
	case c.null && v == nil:
		return append(row, parquet.NullValue().Level(0, 0, c.leaf))
	case c.null:
		return append(row, c.kind.value(v).Level(0, 1, c.leaf))
	}
	return append(row, c.kind.value(v).Level(0, 0, c.leaf))
}

// repeat adds n values of a leaf inside something repeated.
func (c *parquetColumn) repeat(row parquet.Row, leaf, n int, value func(int) parquet.Value) parquet.Row {
	if n == 0 {
		return append(row, parquet.NullValue().Level(0, 0, leaf))
	}
	for i := range n {
		row = append(row, value(i).Level(min(i, 1), 1, leaf))
	}
	return row
}
