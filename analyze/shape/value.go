package shape

import (
	"bytes"
	"encoding/binary"
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
	start := head(text)
	for i := range n.values {
		if v := &n.values[i]; v.head == start && v.text == string(text) {
			v.n++
			return
		}
	}
	if len(n.values) >= limit || !label(text) {
		n.open, n.values = true, nil
		return
	}
	n.values = append(n.values, value{start, string(text), 1})
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
	if len(text) == 0 || len(text) > 48 || body.FreeKey(text) {
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
