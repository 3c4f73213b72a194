package operation

import (
	"bytes"
	"unicode/utf8"
)

// scan goes over the members of one JSON container (RFC 8259), whose first byte
// is already behind it. It is tolerant: what it cannot read ends it.
type scan struct{ b []byte }

// space passes over white space and commas.
func (s *scan) space() {
	for len(s.b) > 0 {
		switch s.b[0] {
		case ' ', '\t', '\r', '\n', ',':
			s.b = s.b[1:]
		default:
			return
		}
	}
}

// member returns the next name, as written, and its value, as far as it is
// there.
func (s *scan) member() (key, value []byte, ok bool) {
	s.space()
	if len(s.b) == 0 || s.b[0] != '"' {
		return nil, nil, false
	}
	n := text(s.b)
	if n == 0 {
		return nil, nil, false
	}
	key, s.b = s.b[1:n-1], s.b[n:]
	s.space()
	if len(s.b) == 0 || s.b[0] != ':' {
		return nil, nil, false
	}
	s.b = s.b[1:]
	value, ok = s.element()
	return key, value, ok
}

// element returns the next value, as far as it is there.
func (s *scan) element() (value []byte, ok bool) {
	s.space()
	if len(s.b) == 0 {
		return nil, false
	}
	n := 0
	switch s.b[0] {
	case '"':
		if n = text(s.b); n == 0 {
			n = len(s.b)
		}
	case '{', '[':
		n = container(s.b)
	case '}', ']':
		return nil, false
	default:
		if n = bytes.IndexAny(s.b, ",]} \t\r\n"); n < 0 {
			n = len(s.b)
		}
	}
	value, s.b = s.b[:n], s.b[n:]
	return value, n > 0
}

// text measures a string with its quotes; 0 where it does not end.
func text(b []byte) int {
	for i := 1; ; {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return 0
		}
		i += n + 1
		slashes := 0
		for j := i - 2; j > 0 && b[j] == '\\'; j-- {
			slashes++
		}
		if slashes%2 == 0 {
			return i
		}
	}
}

// container measures an object or array with its brackets, to the end of b where
// it does not end.
func container(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		case '"':
			n := text(b[i:])
			if n == 0 {
				return len(b)
			}
			i += n - 1
		}
	}
	return len(b)
}

// quoted gives what is between the quotes of a string, also of one that is cut.
func quoted(v []byte) ([]byte, bool) {
	if len(v) == 0 || v[0] != '"' {
		return nil, false
	}
	if n := text(v); n > 0 {
		return v[1 : n-1], true
	}
	return v[1:], true
}

// unescape appends the text of a JSON string to to.
func unescape(to, b []byte) []byte {
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 == len(b) {
			to = append(to, b[i])
			continue
		}
		i++
		switch c := b[i]; c {
		case 'n', 'r', 't', 'b', 'f':
			to = append(to, escapes[c])
		case 'u':
			r := rune(0)
			n := 0
			for ; n < 4 && i+1 < len(b); n++ {
				d := nibble(b[i+1])
				if d < 0 {
					break
				}
				r = r<<4 | rune(d)
				i++
			}
			to = utf8.AppendRune(to, r)
		default:
			to = append(to, c)
		}
	}
	return to
}

// escapes of JSON that are a control character.
var escapes = [256]byte{'n': '\n', 'r': '\r', 't': '\t', 'b': '\b', 'f': '\f'}

func nibble(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// percent appends the text of a value of a query or form to to.
func percent(to, b []byte) []byte {
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(b) && nibble(b[i+1]) >= 0 && nibble(b[i+2]) >= 0:
			c = byte(nibble(b[i+1])<<4 | nibble(b[i+2]))
			i += 2
		}
		to = append(to, c)
	}
	return to
}
