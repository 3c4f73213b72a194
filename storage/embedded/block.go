package embedded

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A block of the Native format says nothing of its length: to know where it
// ends one has to walk it. walker does that without decoding a value, so that
// blocks pass from the client to the engine, and back, as they are.
type walker struct {
	src  io.Reader          // nil: buf is all there is
	sink func([]byte) error // takes what was walked, in pieces; nil: buf keeps it
	buf  []byte
	pos  int // what of buf was walked

	maxText int // bytes of a name; 0: 1 MiB

	columns, rows uint64 // of the block walked last
}

const (
	pieceSize  = 1 << 20
	maxColumns = 10_000
	maxRows    = 1 << 30
	maxDepth   = 32 // of nested types
)

var errBlock = errors.New("malformed Native block")

// errType is a type whose length cannot be walked.
type errType string

func (t errType) Error() string { return "type " + string(t) + " is not supported here" }

// take walks over n bytes and returns them, borrowed until the next take.
func (w *walker) take(n int) ([]byte, error) {
	if len(w.buf)-w.pos < n {
		if w.src == nil {
			return nil, io.ErrUnexpectedEOF
		}
		if w.sink != nil && w.pos >= pieceSize {
			if err := w.flush(); err != nil {
				return nil, err
			}
		}
		need := w.pos + n - len(w.buf)
		start := len(w.buf)
		w.buf = grow(w.buf, need)
		if _, err := io.ReadFull(w.src, w.buf[start:]); err != nil {
			w.buf = w.buf[:start]
			return nil, err
		}
	}
	b := w.buf[w.pos : w.pos+n : w.pos+n]
	w.pos += n
	return b, nil
}

func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b[:len(b)+n]
	}
	return append(b, make([]byte, n)...)
}

// flush gives what was walked to the sink.
func (w *walker) flush() error {
	if w.sink == nil || w.pos == 0 {
		return nil
	}
	err := w.sink(w.buf[:w.pos])
	w.buf = append(w.buf[:0], w.buf[w.pos:]...)
	w.pos = 0
	return err
}

// skip walks over n values of size bytes each, in pieces that fit the buffer.
func (w *walker) skip(n, size uint64) error {
	if size != 0 && n > (1<<40)/size {
		return errBlock
	}
	for left := n * size; left > 0; {
		step := min(left, pieceSize)
		if _, err := w.take(int(step)); err != nil {
			return err
		}
		left -= step
	}
	return nil
}

func (w *walker) uvarint() (uint64, error) {
	var x uint64
	for shift := 0; shift < 64; shift += 7 {
		b, err := w.take(1)
		if err != nil {
			return 0, err
		}
		x |= uint64(b[0]&0x7f) << shift
		if b[0] < 0x80 {
			return x, nil
		}
	}
	return 0, errBlock
}

func (w *walker) uint64() (uint64, error) {
	b, err := w.take(8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// text walks over a string and returns it, borrowed: a name, or the name of a
// type.
func (w *walker) text() ([]byte, error) {
	n, err := w.uvarint()
	if err != nil {
		return nil, err
	}
	if n > uint64(cmp.Or(w.maxText, pieceSize)) {
		return nil, errBlock
	}
	return w.take(int(n))
}

// block walks over one block.
func (w *walker) block() error {
	var err error
	if w.columns, err = w.uvarint(); err != nil {
		return err
	}
	if w.rows, err = w.uvarint(); err != nil {
		return err
	}
	if w.columns > maxColumns || w.rows > maxRows {
		return errBlock
	}
	for range w.columns {
		if _, err := w.text(); err != nil { // name
			return err
		}
		name, err := w.text()
		if err != nil {
			return err
		}
		if w.rows == 0 {
			continue
		}
		t, err := parseType(string(name), 0)
		if err != nil {
			return err
		}
		if err := w.prefix(t); err != nil {
			return err
		}
		if err := w.values(t, w.rows); err != nil {
			return err
		}
	}
	return nil
}

// kind is a type as far as its length matters.
type kind struct {
	size  uint64 // of a value of fixed size
	wrap  wrap
	inner []kind
}

type wrap uint8

const (
	fixed wrap = iota
	stringly
	nullable
	array
	mapped
	tuple
	lowCardinality
)

// prefix walks over what stands before all values of a column.
func (w *walker) prefix(t kind) error {
	if t.wrap == lowCardinality {
		_, err := w.take(8) // version of the keys' serialization
		return err
	}
	for _, in := range t.inner {
		if err := w.prefix(in); err != nil {
			return err
		}
	}
	return nil
}

// values walks over n values.
func (w *walker) values(t kind, n uint64) error {
	if n > maxRows {
		return errBlock
	}
	switch t.wrap {
	case fixed:
		return w.skip(n, t.size)
	case stringly:
		for range n {
			size, err := w.uvarint()
			if err != nil {
				return err
			}
			if err := w.skip(size, 1); err != nil {
				return err
			}
		}
		return nil
	case nullable:
		if err := w.skip(n, 1); err != nil {
			return err
		}
		return w.values(t.inner[0], n)
	case array, mapped:
		var last uint64
		var err error
		for range n {
			if last, err = w.uint64(); err != nil {
				return err
			}
		}
		return w.all(t.inner, last)
	case tuple:
		return w.all(t.inner, n)
	default:
		return w.dictionary(t.inner[0], n)
	}
}

func (w *walker) all(kinds []kind, n uint64) error {
	for _, in := range kinds {
		if err := w.values(in, n); err != nil {
			return err
		}
	}
	return nil
}

// dictionary walks over the values of a LowCardinality column: runs of a
// dictionary and indices into it.
func (w *walker) dictionary(keys kind, n uint64) error {
	const (
		widthMask  = 0xff
		globalFlag = 1 << 8
		keysFlag   = 1 << 9
	)
	for n > 0 {
		flags, err := w.uint64()
		if err != nil {
			return err
		}
		if flags&globalFlag != 0 || flags&widthMask > 3 {
			return errBlock
		}
		if flags&keysFlag != 0 {
			count, err := w.uint64()
			if err != nil {
				return err
			}
			if err := w.values(keys, count); err != nil {
				return err
			}
		}
		rows, err := w.uint64()
		if err != nil {
			return err
		}
		if rows == 0 || rows > n {
			return errBlock
		}
		if err := w.skip(rows, 1<<(flags&widthMask)); err != nil {
			return err
		}
		n -= rows
	}
	return nil
}

// sizes of the types whose name says it all.
var sizes = map[string]uint64{
	"UInt8": 1, "Int8": 1, "Bool": 1, "Enum8": 1, "Nothing": 1,
	"UInt16": 2, "Int16": 2, "Date": 2, "Enum16": 2, "BFloat16": 2,
	"UInt32": 4, "Int32": 4, "Float32": 4, "DateTime": 4, "Date32": 4, "IPv4": 4, "Decimal32": 4, "Time": 4,
	"UInt64": 8, "Int64": 8, "Float64": 8, "DateTime64": 8, "Decimal64": 8, "Time64": 8,
	"UInt128": 16, "Int128": 16, "UUID": 16, "IPv6": 16, "Decimal128": 16,
	"UInt256": 32, "Int256": 32, "Decimal256": 32,
}

// parseType reads a type's name.
func parseType(name string, depth int) (kind, error) {
	if depth > maxDepth {
		return kind{}, errType("nested too deep")
	}
	base, args := name, ""
	if i := strings.IndexByte(name, '('); i >= 0 && strings.HasSuffix(name, ")") {
		base, args = name[:i], name[i+1:len(name)-1]
	}
	if size, ok := sizes[base]; ok {
		return kind{size: size}, nil
	}
	inner := func(w wrap, names []string) (kind, error) {
		k := kind{wrap: w}
		for _, n := range names {
			in, err := parseType(n, depth+1)
			if err != nil {
				return kind{}, err
			}
			k.inner = append(k.inner, in)
		}
		return k, nil
	}
	list := split(args)
	switch {
	case base == "String":
		return kind{wrap: stringly}, nil
	case base == "FixedString":
		n, err := strconv.ParseUint(args, 10, 32)
		if err != nil {
			return kind{}, errType(base)
		}
		return kind{size: n}, nil
	case base == "Decimal" && len(list) == 2:
		n, err := strconv.Atoi(list[0])
		switch {
		case err != nil:
			return kind{}, errType(base)
		case n <= 9:
			return kind{size: 4}, nil
		case n <= 18:
			return kind{size: 8}, nil
		case n <= 38:
			return kind{size: 16}, nil
		default:
			return kind{size: 32}, nil
		}
	case strings.HasPrefix(base, "Interval"):
		return kind{size: 8}, nil
	case base == "Nullable" && len(list) == 1:
		return inner(nullable, list)
	case base == "Array" && len(list) == 1:
		return inner(array, list)
	case base == "Map" && len(list) == 2:
		return inner(mapped, list)
	case base == "Tuple":
		for i, n := range list {
			list[i] = unnamed(n)
		}
		return inner(tuple, list)
	case base == "SimpleAggregateFunction" && len(list) == 2:
		return parseType(list[1], depth+1)
	case base == "LowCardinality" && len(list) == 1:
		// The dictionary holds the bare type; its first key stands for NULL.
		key := list[0]
		if bare, ok := strings.CutPrefix(key, "Nullable("); ok {
			key = strings.TrimSuffix(bare, ")")
		}
		return inner(lowCardinality, []string{key})
	}
	return kind{}, errType(fmt.Sprintf("%.40s", base))
}

// split cuts the arguments of a type at its own commas.
func split(args string) []string {
	var list []string
	depth, quoted, start := 0, byte(0), 0
	for i := 0; i < len(args); i++ {
		switch c := args[i]; {
		case quoted != 0:
			if c == '\\' {
				i++
			} else if c == quoted {
				quoted = 0
			}
		case c == '\'' || c == '`' || c == '"':
			quoted = c
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			list = append(list, strings.TrimSpace(args[start:i]))
			start = i + 1
		}
	}
	if rest := strings.TrimSpace(args[start:]); rest != "" {
		list = append(list, rest)
	}
	return list
}

// unnamed drops the name of a tuple's element: "a UInt8", "`a b` UInt8".
func unnamed(element string) string {
	if strings.HasPrefix(element, "`") {
		for i := 1; i < len(element); i++ {
			switch element[i] {
			case '\\':
				i++
			case '`':
				return strings.TrimSpace(element[i+1:])
			}
		}
		return element
	}
	space := strings.IndexByte(element, ' ')
	if paren := strings.IndexByte(element, '('); space > 0 && (paren < 0 || space < paren) {
		return element[space+1:]
	}
	return element
}
