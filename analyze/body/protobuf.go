package body

import (
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"
)

// maxMessages is how deep messages of protobuf are followed: each level reads
// the bytes of the one above again, to guess what they are.
const maxMessages = 32

// protobuf tells the fields of a message (the wire format of Protocol Buffers)
// into the object that is open. It reports whether all of b was understood.
//
// The wire does not tell texts from messages and bytes. What is a text is told
// as one, what parses to its last byte as an object, and other bytes are not
// told. A message can look like a text; only one that begins with a line break,
// which is how a first field begins, is then taken for a message.
func (w *Walker) protobuf(b []byte, v Visitor) bool {
	base := len(w.stack)
	w.ends = append(w.ends[:0], len(b))
	for i := 0; ; {
		for n := len(w.ends); i >= w.ends[n-1]; n = len(w.ends) {
			if n == 1 {
				return true
			}
			w.ends = w.ends[:n-1]
			w.close(v, base+n-2)
		}
		f, size := readField(b[i:w.ends[len(w.ends)-1]])
		if size == 0 {
			return false
		}
		if w.left--; w.left < 0 {
			return false
		}
		i += size
		name := w.numbered(f.number)
		switch f.wire {
		case wireVarint:
			v.Key(name)
			w.scratch = strconv.AppendInt(w.scratch[:0], int64(f.bits), 10)
			v.Value(Number, w.scratch)
		case wireFixed32:
			v.Key(name)
			w.number(float64(math.Float32frombits(uint32(f.bits))), 32, f.bits, v)
		case wireFixed64:
			v.Key(name)
			w.number(math.Float64frombits(f.bits), 64, f.bits, v)
		case wireBytes:
			text := plainText(f.bytes)
			switch {
			case text && (len(f.bytes) < 2 || f.bytes[0] != '\n') || text && !message(f.bytes):
				v.Key(name)
				v.Value(String, f.bytes)
			case !message(f.bytes):
			case len(w.stack) >= w.Limits.Depth || len(w.ends) >= maxMessages:
				v.Key(name)
				v.Begin(Object)
				v.End(Object)
			default:
				v.Key(name)
				w.open(v, Object)
				w.ends = append(w.ends, i)
				i -= len(f.bytes)
			}
		}
	}
}

// numbered is the name of a field.
func (w *Walker) numbered(n uint64) []byte {
	if n < uint64(len(numbers)) {
		return numbers[n]
	}
	w.scratch = strconv.AppendUint(append(w.scratch[:0], '#'), n, 10)
	return w.name(w.scratch)
}

// numbers are the names of the usual fields.
var numbers = func() (t [64][]byte) {
	for i := range t {
		t[i] = strconv.AppendInt([]byte{'#'}, int64(i), 10)
	}
	return t
}()

// number tells a number of fixed size: as a float where it looks like one.
func (w *Walker) number(f float64, size int, bits uint64, v Visitor) {
	if a := math.Abs(f); a >= 1e-9 && a < 1e15 {
		w.scratch = strconv.AppendFloat(w.scratch[:0], f, 'f', -1, size)
	} else {
		w.scratch = strconv.AppendUint(w.scratch[:0], bits, 10)
	}
	v.Value(Number, w.scratch)
}

// Wire types. Groups (3 and 4) left the language and are not read.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// field is one field as it stands on the wire.
type field struct {
	number uint64
	wire   uint64
	bits   uint64 // of a number
	bytes  []byte
}

// readField reads the field at the start of b; size is 0 where there is none or
// not all of it.
func readField(b []byte) (f field, size int) {
	tag, n := binary.Uvarint(b)
	if n <= 0 || tag>>3 == 0 || tag>>3 >= 1<<29 {
		return f, 0
	}
	f.number, f.wire = tag>>3, tag&7
	rest := b[n:]
	switch f.wire {
	case wireVarint:
		bits, m := binary.Uvarint(rest)
		if m <= 0 {
			return f, 0
		}
		f.bits = bits
		return f, n + m
	case wireFixed64:
		if len(rest) < 8 {
			return f, 0
		}
		f.bits = binary.LittleEndian.Uint64(rest)
		return f, n + 8
	case wireFixed32:
		if len(rest) < 4 {
			return f, 0
		}
		f.bits = uint64(binary.LittleEndian.Uint32(rest))
		return f, n + 4
	case wireBytes:
		length, m := binary.Uvarint(rest)
		if m <= 0 || length > uint64(len(rest)-m) {
			return f, 0
		}
		f.bytes = rest[m : m+int(length)]
		return f, n + m + int(length)
	}
	return f, 0
}

// maxGuessed is the greatest field number of bytes that nobody said to be a
// message.
const maxGuessed = 1 << 12

// message reports whether b parses as a message to its last byte.
func message(b []byte) bool {
	if len(b) < 2 {
		return false
	}
	for len(b) > 0 {
		f, size := readField(b)
		if size == 0 || f.number > maxGuessed {
			return false
		}
		b = b[size:]
	}
	return true
}

// likely reports whether b, which says nothing of itself, is a message beyond
// doubt: it parses, and most of it is text or messages.
func likely(b []byte) bool {
	if len(b) < 8 || !message(b) {
		return false
	}
	good := 0
	for rest := b; len(rest) > 0; {
		f, size := readField(rest)
		if f.wire == wireBytes && len(f.bytes) >= 3 && (plainText(f.bytes) || likelyInside(f.bytes)) {
			good += size
		}
		rest = rest[size:]
	}
	return good*2 > len(b)
}

// likelyInside reports whether a message has a text somewhere near.
func likelyInside(b []byte) bool {
	if !message(b) {
		return false
	}
	for len(b) > 0 {
		f, size := readField(b)
		if f.wire == wireBytes && len(f.bytes) >= 3 && (plainText(f.bytes) || message(f.bytes)) {
			return true
		}
		b = b[size:]
	}
	return false
}

// plainText reports whether b is a text of people or programs.
func plainText(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' && c != '\r' && c != '\n' || c == 0x7f {
			return false
		}
	}
	return utf8.Valid(b)
}

// frames tells the messages of a gRPC body, each behind five bytes: flags and a
// length. Fields of several messages stand in one object, as repeated fields
// do. Compressed messages are passed over, and the trailer of gRPC-Web is none.
func (w *Walker) frames(b []byte, v Visitor) bool {
	ok := true
	for len(b) > 0 {
		if len(b) < 5 {
			return false
		}
		flags, size := b[0], binary.BigEndian.Uint32(b[1:])
		b = b[5:]
		part := b[:min(uint64(size), uint64(len(b)))]
		b = b[len(part):]
		switch {
		case flags&0x80 != 0 || flags&2 != 0: // trailer of gRPC-Web, end of stream of Connect
		case flags&1 != 0:
			ok = false
		default:
			ok = w.protobuf(part, v) && ok
			w.close(v, 1)
		}
		if uint32(len(part)) < size {
			return false
		}
	}
	return ok
}

// framesOfJSON tells the messages of a gRPC body that are JSON, as an array.
func (w *Walker) framesOfJSON(b []byte, v Visitor) bool {
	ok := true
	for len(b) >= 5 {
		flags, size := b[0], binary.BigEndian.Uint32(b[1:])
		b = b[5:]
		part := b[:min(uint64(size), uint64(len(b)))]
		b = b[len(part):]
		if flags == 0 {
			ok = w.json(part, v) && ok
			w.close(v, 1)
		}
		ok = ok && flags&1 == 0 && uint32(len(part)) == size
	}
	return ok && len(b) == 0
}

// framed reports whether b begins with the head of a gRPC message.
func framed(b []byte) bool {
	return len(b) >= 5 && (b[0] <= 3 || b[0] == 0x80 || b[0] == 0x81)
}
