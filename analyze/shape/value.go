package shape

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"

	"plainsight/analyze/body"
)

// Formats of strings, as bits, with their names in JSON Schema.
const (
	uuid = 1 << iota
	dateTime
	date
	email
	uri
	ipv4
	ipv6
	anyFormat = 1<<iota - 1
)

var formatNames = []struct {
	bit  uint8
	name string
	is   func([]byte) bool
}{
	{uuid, "uuid", body.UUID},
	{dateTime, "date-time", isDateTime},
	{date, "date", isDate},
	{email, "email", isEmail},
	{uri, "uri", isURI},
	{ipv4, "ipv4", func(b []byte) bool { return isIP(b, '.') }},
	{ipv6, "ipv6", func(b []byte) bool { return isIP(b, ':') }},
}

// Format names the format of a string (of JSON Schema), or is empty.
func Format(text []byte) string {
	for _, f := range formatNames {
		if f.is(text) {
			return f.name
		}
	}
	return ""
}

// learn takes a string into account. limit is the most values of an enum.
func (n *node) learn(text []byte, limit int) {
	if !n.strings {
		n.strings, n.formats = true, anyFormat
	}
	if n.formats != 0 && len(text) > 0 {
		var f uint8
		for left := n.formats; left != 0; left &= left - 1 {
			if row := &formatNames[bits.TrailingZeros8(left)]; row.is(text) {
				f |= row.bit
			}
		}
		n.formats = f
	}
	if n.open {
		return
	}
	if v := n.values.find(text); v != nil {
		v.add(1)
		return
	}
	if n.values.len() >= limit || !label(text) {
		n.shut()
		return
	}
	n.propose(text, 1)
}

// shut gives up looking for an enum.
func (n *node) shut() { n.open, n.values = true, nil }

// labels are the candidates of an enum. Nodes hold many of them, most of which
// come to nothing: texts stand in a row, and a field that is no string has none
// (nil).
type labels struct {
	list  []value
	texts []byte // one after the other
}

// value is one candidate.
type value struct {
	head     uint64 // of its text
	n        uint32 // how often it was seen, at most
	from, to uint16 // in texts
}

const (
	longest   = 48                       // bytes of a label
	maxLabels = math.MaxUint16 / longest // of a field
)

func (v *value) add(n uint32) { v.n += min(n, math.MaxUint32-v.n) }

func (l *labels) len() int { return len(l.all()) }

// all are the values; text gives each its text, which is borrowed.
func (l *labels) all() []value {
	if l == nil {
		return nil
	}
	return l.list
}

func (l *labels) text(v value) []byte { return l.texts[v.from:v.to] }

func (l *labels) find(text []byte) *value {
	start := head(text)
	for i, v := range l.all() {
		if v.head == start && string(l.text(v)) == string(text) {
			return &l.list[i]
		}
	}
	return nil
}

// propose adds a candidate.
func (n *node) propose(text []byte, times uint32) {
	if n.values == nil {
		n.values = new(labels)
	}
	l := n.values
	from := len(l.texts)
	l.texts = append(l.texts, text...)
	l.list = append(l.list, value{head(text), times, uint16(from), uint16(len(l.texts))})
}

// head is the first bytes of a text and something of its length: enough to tell
// most values of a set apart.
func head(text []byte) uint64 {
	n := len(text)
	switch {
	case n >= 8:
		return binary.LittleEndian.Uint64(text) ^ uint64(n)<<56
	case n >= 4:
		return uint64(binary.LittleEndian.Uint32(text)) | uint64(binary.LittleEndian.Uint32(text[n-4:]))<<32
	case n > 0:
		return uint64(text[0]) | uint64(text[n/2])<<8 | uint64(text[n-1])<<16
	}
	return 0
}

// text takes the value of a parameter into account: its type is how it looks.
func (n *node) text(b []byte, limit int) {
	switch {
	case isInteger(b):
		n.types |= integer
	case isNumber(b):
		n.types |= number
	case string(b) == "true" || string(b) == "false":
		n.types |= boolean
	default:
		n.types |= str
	}
	n.learn(b, limit)
}

// label reports whether text may be a member of an enum: a word or code, no
// sentence, nothing that is a value by its looks.
func label(text []byte) bool {
	if len(text) == 0 || len(text) > longest || body.FreeKey(text) {
		return false
	}
	for _, c := range text {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '_', c == '-', c == '.', c == ':', c == '/', c == '+', c == '*', c == ' ', c == '(', c == ')', c == ',', c == '#', c == '=', c == '!', c == '\'':
		default:
			return false
		}
	}
	return true
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func digits(b []byte) bool {
	for _, c := range b {
		if !digit(c) {
			return false
		}
	}
	return len(b) > 0
}

// isInteger: written as a number is, so that 007 and +49 are strings.
func isInteger(b []byte) bool {
	if len(b) > 0 && b[0] == '-' {
		b = b[1:]
	}
	return len(b) <= 20 && digits(b) && (b[0] != '0' || len(b) == 1)
}

func isNumber(b []byte) bool {
	if isInteger(b) {
		return true
	}
	whole, part, dot := bytes.Cut(b, []byte{'.'})
	return dot && isInteger(whole) && len(part) <= 20 && digits(part)
}

func isDate(b []byte) bool {
	return len(b) == 10 && b[4] == '-' && b[7] == '-' && digits(b[:4]) && digits(b[5:7]) && digits(b[8:]) &&
		b[5] <= '1' && b[8] <= '3'
}

func isDateTime(b []byte) bool { return body.DateTime(b) && b[5] <= '1' && b[8] <= '3' }

func isEmail(b []byte) bool {
	at := bytes.IndexByte(b, '@')
	if at < 1 || at > 64 || len(b) > 254 || bytes.IndexByte(b[at+1:], '@') >= 0 {
		return false
	}
	dot := bytes.LastIndexByte(b, '.')
	if dot < at+2 || dot >= len(b)-2 {
		return false
	}
	for _, c := range b {
		if c <= ' ' || c == '/' || c == ':' || c == ',' || c == '<' || c == '>' || c == '"' {
			return false
		}
	}
	return true
}

func isURI(b []byte) bool {
	i := bytes.Index(b[:min(len(b), 20)], []byte("://"))
	if i < 2 || len(b) < i+4 {
		return false
	}
	for _, c := range b[:i] {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			return c == '+' || c == '.' || c == '-'
		}
	}
	return bytes.IndexByte(b, ' ') < 0
}

// isIP: a textual address with the given separator.
func isIP(b []byte, separator byte) bool {
	if len(b) < 2 || len(b) > 45 || bytes.IndexByte(b, separator) < 0 {
		return false
	}
	for _, c := range b {
		if !digit(c) && c != '.' && c != ':' && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	var buf [45]byte
	a, err := netip.ParseAddr(string(buf[:copy(buf[:], b)]))
	return err == nil && a.Is4() == (separator == '.')
}
