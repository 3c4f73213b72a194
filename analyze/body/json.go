package body

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// What may come next inside the JSON text.
const (
	wantValue = iota // an element, the value of a key, or a value at the root
	wantKey          // a key or the end of the object
	wantColon
	wantComma // a comma or the end of the container
)

// json walks a JSON text below the containers that are open, which are none or,
// for NDJSON, an array of its texts. It reports whether all of b was understood.
func (w *Walker) json(b []byte, v Visitor) bool {
	base := len(w.stack)
	many := base > 0 && w.stack[base-1] == Array // texts follow one another
	if bytes.HasPrefix(b, xssi) {
		b = b[len(xssi):]
		if len(b) > 0 && b[0] == ',' {
			b = b[1:]
		}
	}
	ok, state, i := true, wantValue, 0
	done := false // one text is complete and no other may follow
	for {
		for i < len(b) && b[i] <= ' ' {
			i++
		}
		if i >= len(b) {
			return ok && len(w.stack) == base && (done || many)
		}
		c := b[i]
		if done {
			return false // something follows the text
		}
		broken := false
		switch c {
		case '"':
			text, next, whole := w.quoted(b, i+1)
			if !whole {
				return false
			}
			i = next
			switch state {
			case wantKey:
				v.Key(w.lasting(text))
				state = wantColon
				if i < len(b) && b[i] == ':' {
					i++
					state = wantValue
				}
			case wantValue:
				if w.left--; w.left < 0 {
					return false
				}
				v.Value(String, text)
				state = wantComma
			default:
				broken = true
			}
		case '{', '[':
			if state != wantValue {
				broken = true
				break
			}
			if w.left--; w.left < 0 {
				return false
			}
			kind := Object
			if c == '[' {
				kind = Array
			}
			v.Begin(kind)
			if len(w.stack) >= w.Limits.Depth {
				ok = false
				i = skip(b, i)
				v.End(kind)
				state = wantComma
				break
			}
			w.stack = append(w.stack, kind)
			i++
			state = wantValue
			if kind == Object {
				state = wantKey
			}
			continue // the container is open: it cannot be the end of a text
		case '}', ']':
			if len(w.stack) == base {
				broken = true
				break
			}
			kind := w.stack[len(w.stack)-1]
			if (c == '}') != (kind == Object) || state == wantColon || state == wantValue && kind == Object {
				ok = false
			}
			w.stack = w.stack[:len(w.stack)-1]
			v.End(kind)
			i++
			state = wantComma
		case ',':
			if state == wantColon || state == wantValue {
				ok = false // a value is missing
			}
			i++
			if len(w.stack) == base {
				ok = ok && many
				break
			}
			state = wantValue
			if w.stack[len(w.stack)-1] == Object {
				state = wantKey
			}
			continue
		case ':':
			if state != wantColon {
				ok = false
			} else {
				state = wantValue
			}
			i++
			continue
		default:
			end := i + 1
			for end < len(b) && !delimiter[b[end]] {
				end++
			}
			text := b[i:end]
			switch state {
			case wantValue:
				if end == len(b) && len(w.stack) > base {
					return false // cut, perhaps within a number
				}
				kind, known := bare(text)
				ok = ok && known
				if w.left--; w.left < 0 {
					return false
				}
				v.Value(kind, text)
				state = wantComma
			case wantKey: // JavaScript's way
				ok = false
				v.Key(text)
				state = wantColon
			default:
				broken = true
			}
			i = end
		}
		if broken {
			if !many {
				return false
			}
			// The next line is a new text.
			ok = false
			w.close(v, base)
			state = wantValue
			next := bytes.IndexByte(b[i:], '\n')
			if next < 0 {
				return false
			}
			i += next
			continue
		}
		if state == wantComma && len(w.stack) == base {
			state = wantValue
			done = !many
		}
	}
}

// delimiter ends a number or word.
var delimiter = [256]bool{' ': true, '\t': true, '\r': true, '\n': true, ',': true, ':': true, '"': true, '{': true, '}': true, '[': true, ']': true}

// bare tells what an unquoted value is; known is false where JSON, with NaN and
// infinities, does not have it.
func bare(text []byte) (k Kind, known bool) {
	switch c := text[0]; {
	case '0' <= c && c <= '9' || c == '-':
		for _, c := range text[1:] {
			if (c < '0' || c > '9') && c != '.' && c != 'e' && c != 'E' && c != '+' && c != '-' {
				return Number, string(text) == "-Infinity"
			}
		}
		return Number, true
	}
	switch string(text) {
	case "true", "false":
		return Bool, true
	case "null":
		return Null, true
	case "NaN", "Infinity":
		return Number, true
	case "True", "False":
		return Bool, false
	case "None", "undefined":
		return Null, false
	}
	return String, false
}

const (
	low    = 0x0101010101010101
	high   = 0x8080808080808080
	quotes = '"' * low
	slash  = '\\' * low
)

// quoted reads the string whose opening quote stands before b[i]. text lives
// until the next call. whole is false where the closing quote is missing.
func (w *Walker) quoted(b []byte, i int) (text []byte, next int, whole bool) {
	start := i
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i:])
		q, s := x^quotes, x^slash
		if m := ((q-low)&^q | (s-low)&^s) & high; m != 0 {
			i += bits.TrailingZeros64(m) >> 3
			if b[i] == '"' {
				return b[start:i:i], i + 1, true
			}
			return w.unescape(b, start, i)
		}
		i += 8
	}
	for ; i < len(b); i++ {
		if b[i] == '"' {
			return b[start:i:i], i + 1, true
		}
		if b[i] == '\\' {
			return w.unescape(b, start, i)
		}
	}
	return nil, i, false
}

// unescape reads on from the first backslash of a string, at b[i].
func (w *Walker) unescape(b []byte, start, i int) (text []byte, next int, whole bool) {
	w.scratch = append(w.scratch[:0], b[start:i]...)
	for i < len(b) {
		c := b[i]
		if c == '"' {
			return w.scratch, i + 1, true
		}
		if c != '\\' {
			run := i
			for i < len(b) && b[i] != '"' && b[i] != '\\' {
				i++
			}
			w.scratch = append(w.scratch, b[run:i]...)
			continue
		}
		if i+1 >= len(b) {
			break
		}
		c = b[i+1]
		i += 2
		switch c {
		case 'n':
			c = '\n'
		case 't':
			c = '\t'
		case 'r':
			c = '\r'
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'u':
			r, good := hex4(b, i)
			if !good {
				w.scratch = append(w.scratch, '\\', 'u')
				continue
			}
			i += 4
			if utf16.IsSurrogate(r) {
				pair := rune(utf8.RuneError)
				if i+1 < len(b) && b[i] == '\\' && b[i+1] == 'u' {
					if second, good := hex4(b, i+2); good {
						if pair = utf16.DecodeRune(r, second); pair != utf8.RuneError {
							i += 6
						}
					}
				}
				r = pair
			}
			w.scratch = utf8.AppendRune(w.scratch, r)
			continue
		}
		w.scratch = append(w.scratch, c)
	}
	return nil, i, false
}

func hex4(b []byte, i int) (rune, bool) {
	if i+4 > len(b) {
		return 0, false
	}
	var r rune
	for _, c := range b[i : i+4] {
		d := unhex[c]
		if d < 0 {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}

// unhex has the value of each hex digit, -1 for the rest.
var unhex = func() (t [256]int8) {
	for i := range t {
		t[i] = -1
	}
	for i := range 10 {
		t['0'+i] = int8(i)
	}
	for i := range 6 {
		t['a'+i], t['A'+i] = int8(10+i), int8(10+i)
	}
	return t
}()

// skip returns the index after the container that opens at b[i].
func skip(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		}
		i++
	}
	return len(b)
}
