package delivery

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"slices"
	"time"
)

// # What a record of the spool holds
//
// Rows as columns, in the Go types of storage's tables; integers are varints:
//
//	version, 1
//	number of columns, number of rows
//	for each column: its name (length, bytes), its kind (a byte), its values
//
// Kinds and their values:
//
//	1…8    bool, uint8, uint16, uint32, uint64 as varints; float64 as 8 bytes;
//	       time.Time as signed microseconds since 1970, each but the first as
//	       the difference to the one before; string
//	+0x20  slices of them: the lengths, then all elements as one column
//	+0x40  maps to uint64: the lengths, then all keys and all values, each as
//	       one column, keys in ascending order
//	+0x80  one value that all rows have
//
// Strings are a table of at most 255 distinct ones (its size, then each with
// its length) and a byte a row; or, where the size is 0, each with its length.
// The encoding of the same rows is the same bytes.
//
// Columns are known by their names: a record of an older or newer version of
// the program can be read, and its INSERT names the columns that it has.
const recordVersion = 1

const (
	kindBool = 1 + iota
	kindUint8
	kindUint16
	kindUint32
	kindUint64
	kindFloat
	kindTime
	kindString

	kindSlice = 0x20
	kindMap   = 0x40
	kindSame  = 0x80
)

// column is one column of an insert; values is a slice of its Go type.
type column struct {
	name   string
	values any
}

var (
	errKind   = errors.New("a column's type is not known to the spool")
	errRecord = errors.New("a record of the spool cannot be read")
)

// encode appends columns of a number of rows. The key is the same for records
// whose columns have the same names and types.
func encode(b []byte, columns []column, rows int) ([]byte, uint32, error) {
	b = append(b, recordVersion)
	b = binary.AppendUvarint(b, uint64(len(columns)))
	b = binary.AppendUvarint(b, uint64(rows))
	key := uint32(0)
	for _, c := range columns {
		b = appendText(b, c.name)
		var kind byte
		var err error
		if b, kind, err = appendValues(b, c.values); err != nil {
			return nil, 0, fmt.Errorf("column %s: %w", c.name, err)
		}
		key = crc32.Update(key, crc32.IEEETable, append([]byte(c.name), 0, kind))
	}
	return b, key, nil
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// appendValues appends a column's kind and values and returns the kind.
func appendValues(b []byte, values any) ([]byte, byte, error) {
	switch v := values.(type) {
	case []bool:
		return scalar(b, kindBool, v, func(b []byte, x bool) []byte {
			if x {
				return append(b, 1)
			}
			return append(b, 0)
		})
	case []uint8:
		return scalar(b, kindUint8, v, appendNumber)
	case []uint16:
		return scalar(b, kindUint16, v, appendNumber)
	case []uint32:
		return scalar(b, kindUint32, v, appendNumber)
	case []uint64:
		return scalar(b, kindUint64, v, appendNumber)
	case []float64:
		return scalar(b, kindFloat, v, func(b []byte, x float64) []byte { return binary.LittleEndian.AppendUint64(b, math.Float64bits(x)) })
	case []time.Time:
		last := int64(0)
		return scalar(b, kindTime, v, func(b []byte, x time.Time) []byte {
			at := x.UnixMicro()
			b = binary.AppendVarint(b, at-last)
			last = at
			return b
		})
	case []string:
		if len(v) > 0 && !slices.ContainsFunc(v[1:], func(s string) bool { return s != v[0] }) {
			return appendText(append(b, kindString|kindSame), v[0]), kindString, nil
		}
		return appendStrings(append(b, kindString), v), kindString, nil
	case [][]string:
		return nested(b, v)
	case [][]uint16:
		return nested(b, v)
	case [][]uint32:
		return nested(b, v)
	case [][]uint64:
		return nested(b, v)
	case [][]time.Time:
		return nested(b, v)
	case []map[string]uint64:
		return mapped(b, v)
	case []map[uint16]uint64:
		return mapped(b, v)
	case []map[uint32]uint64:
		return mapped(b, v)
	}
	return nil, 0, fmt.Errorf("%w: %T", errKind, values)
}

func appendNumber[T uint8 | uint16 | uint32 | uint64](b []byte, x T) []byte {
	return binary.AppendUvarint(b, uint64(x))
}

// scalar appends values one by one, or once where they are all the same.
func scalar[T comparable](b []byte, kind byte, values []T, one func([]byte, T) []byte) ([]byte, byte, error) {
	if len(values) > 0 && !slices.ContainsFunc(values[1:], func(x T) bool { return x != values[0] }) {
		return one(append(b, kind|kindSame), values[0]), kind, nil
	}
	b = append(b, kind)
	for _, x := range values {
		b = one(b, x)
	}
	return b, kind, nil
}

// appendStrings appends strings by way of a table where there are few of them.
func appendStrings(b []byte, values []string) []byte {
	table := make(map[string]byte, 16)
	var distinct []string
	for _, s := range values {
		if _, ok := table[s]; !ok {
			if len(distinct) == math.MaxUint8 || len(distinct) > 16+len(values)/2 {
				distinct = nil
				break
			}
			table[s] = byte(len(distinct))
			distinct = append(distinct, s)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(distinct)))
	if len(distinct) == 0 {
		for _, s := range values {
			b = appendText(b, s)
		}
		return b
	}
	for _, s := range distinct {
		b = appendText(b, s)
	}
	for _, s := range values {
		b = append(b, table[s])
	}
	return b
}

func nested[T any](b []byte, values [][]T) ([]byte, byte, error) {
	at := len(b)
	b = append(b, 0)
	n := 0
	for _, v := range values {
		b = binary.AppendUvarint(b, uint64(len(v)))
		n += len(v)
	}
	all := make([]T, 0, n)
	for _, v := range values {
		all = append(all, v...)
	}
	b, kind, err := appendValues(b, all)
	if err != nil {
		return nil, 0, err
	}
	b[at] = kindSlice | kind
	return b, kindSlice | kind, nil
}

func mapped[K string | uint16 | uint32](b []byte, values []map[K]uint64) ([]byte, byte, error) {
	at := len(b)
	b = append(b, 0)
	var keys []K
	var numbers []uint64
	for _, m := range values {
		b = binary.AppendUvarint(b, uint64(len(m)))
		for _, k := range slices.Sorted(maps.Keys(m)) {
			keys, numbers = append(keys, k), append(numbers, m[k])
		}
	}
	b, kind, err := appendValues(b, keys)
	if err != nil {
		return nil, 0, err
	}
	b[at] = kindMap | kind
	b, _, err = appendValues(b, numbers)
	return b, kindMap | kind, err
}

// decode reads records with equal columns into one set of columns.
func decode(records [][]byte) (columns []column, rows int, err error) {
	for i, b := range records {
		d := decoder{b: b}
		if d.byte() != recordVersion {
			return nil, 0, fmt.Errorf("%w: of another version", errRecord)
		}
		n, more := d.count(), d.count()
		if i == 0 {
			columns = make([]column, n)
		} else if n != len(columns) {
			return nil, 0, errRecord
		}
		for j := range columns {
			name := d.text()
			if i > 0 && columns[j].name != name {
				return nil, 0, errRecord
			}
			columns[j].name = name
			columns[j].values = d.values(columns[j].values, more)
		}
		if d.failed || len(d.b) > 0 {
			return nil, 0, errRecord
		}
		rows += more
	}
	return columns, rows, nil
}

// decoder reads a record. What it returns after it failed is nothing.
type decoder struct {
	b      []byte
	failed bool
}

// maxRows bounds what a record says of itself: it may be damaged in a way that
// its checksum does not see.
const maxRows = 4 << 20

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.failed = true
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) uvarint() uint64 {
	x, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.b, d.failed = nil, true
		return 0
	}
	d.b = d.b[n:]
	return x
}

func (d *decoder) count() int {
	n := d.uvarint()
	if n > maxRows {
		d.b, d.failed = nil, true
		return 0
	}
	return int(n)
}

func (d *decoder) text() string {
	n := d.count()
	if n > len(d.b) {
		d.b, d.failed = nil, true
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

// values appends n values of the column that comes next to what there is.
func (d *decoder) values(had any, n int) any {
	kind := d.byte()
	same := kind&kindSame != 0
	switch kind &^ kindSame {
	case kindBool:
		return extend(d, had, n, same, func() bool { return d.byte() != 0 })
	case kindUint8:
		return extend(d, had, n, same, func() uint8 { return uint8(d.uvarint()) })
	case kindUint16:
		return extend(d, had, n, same, func() uint16 { return uint16(d.uvarint()) })
	case kindUint32:
		return extend(d, had, n, same, func() uint32 { return uint32(d.uvarint()) })
	case kindUint64:
		return extend(d, had, n, same, d.uvarint)
	case kindFloat:
		return extend(d, had, n, same, func() float64 {
			if len(d.b) < 8 {
				d.b, d.failed = nil, true
				return 0
			}
			x := math.Float64frombits(binary.LittleEndian.Uint64(d.b))
			d.b = d.b[8:]
			return x
		})
	case kindTime:
		last := int64(0)
		return extend(d, had, n, same, func() time.Time {
			x, n := binary.Varint(d.b)
			if n <= 0 {
				d.b, d.failed = nil, true
				return time.Time{}
			}
			d.b = d.b[n:]
			last += x
			return time.UnixMicro(last).UTC()
		})
	case kindString:
		if same {
			return extend(d, had, n, same, d.text)
		}
		return d.strings(had, n)
	case kindSlice | kindString:
		return slicesOf[string](d, had, n)
	case kindSlice | kindUint16:
		return slicesOf[uint16](d, had, n)
	case kindSlice | kindUint32:
		return slicesOf[uint32](d, had, n)
	case kindSlice | kindUint64:
		return slicesOf[uint64](d, had, n)
	case kindSlice | kindTime:
		return slicesOf[time.Time](d, had, n)
	case kindMap | kindString:
		return mapsOf[string](d, had, n)
	case kindMap | kindUint16:
		return mapsOf[uint16](d, had, n)
	case kindMap | kindUint32:
		return mapsOf[uint32](d, had, n)
	}
	d.failed = true
	return had
}

// extend appends n values to a column that has that type or is not yet there.
func extend[T any](d *decoder, had any, n int, same bool, one func() T) any {
	out, ok := had.([]T)
	if had != nil && !ok || n > len(d.b) && !same {
		d.failed = true
		return had
	}
	out = slices.Grow(out, n)
	if same && n > 0 {
		x := one()
		for range n {
			out = append(out, x)
		}
		return out
	}
	for range n {
		out = append(out, one())
	}
	return out
}

func (d *decoder) strings(had any, n int) any {
	table := make([]string, min(d.count(), math.MaxUint8))
	if len(table) == 0 {
		return extend(d, had, n, false, d.text)
	}
	for i := range table {
		table[i] = d.text()
	}
	return extend(d, had, n, false, func() string {
		if i := int(d.byte()); i < len(table) {
			return table[i]
		}
		d.failed = true
		return ""
	})
}

// lengths reads n lengths and their sum.
func (d *decoder) lengths(n int) (lengths []int, sum int) {
	if n > len(d.b) {
		d.b, d.failed = nil, true
		return nil, 0
	}
	lengths = make([]int, n)
	for i := range lengths {
		lengths[i] = d.count()
		sum += lengths[i]
	}
	if sum > maxRows {
		d.b, d.failed = nil, true
		return nil, 0
	}
	return lengths, sum
}

func slicesOf[T any](d *decoder, had any, n int) any {
	out, ok := had.([][]T)
	lengths, sum := d.lengths(n)
	all, _ := d.values(nil, sum).([]T)
	if had != nil && !ok || len(all) != sum {
		d.failed = true
		return had
	}
	for _, n := range lengths {
		out = append(out, all[:n:n])
		all = all[n:]
	}
	return out
}

func mapsOf[K comparable](d *decoder, had any, n int) any {
	out, ok := had.([]map[K]uint64)
	lengths, sum := d.lengths(n)
	keys, _ := d.values(nil, sum).([]K)
	numbers, _ := d.values(nil, sum).([]uint64)
	if had != nil && !ok || len(keys) != sum || len(numbers) != sum {
		d.failed = true
		return had
	}
	for _, n := range lengths {
		m := make(map[K]uint64, n)
		for i, k := range keys[:n] {
			m[k] = numbers[i]
		}
		out = append(out, m)
		keys, numbers = keys[n:], numbers[n:]
	}
	return out
}
