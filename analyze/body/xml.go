package body

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// span is a piece of the walked bytes.
type span struct{ from, to int }

var textKey = []byte("#text")

// xml walks the elements of b inside the object that is open. It reports
// whether b was whole.
func (w *Walker) xml(b []byte, v Visitor) bool {
	var (
		base  = len(w.stack)
		ok    = true
		roots = 0
		// held: the innermost element has no attribute and no child yet. It is a
		// String if it stays so.
		held = false
		text = w.scratch[:0] // of the innermost element
	)
	w.spans = w.spans[:0]
	defer func() { w.scratch = text }()

	// object turns the innermost element into an object.
	object := func() {
		if !held {
			return
		}
		held = false
		w.open(v, Object)
	}
	flush := func() {
		if t := bytes.TrimSpace(text); len(t) > 0 && !held && len(w.stack) > base {
			if w.left--; w.left >= 0 {
				v.Key(textKey)
				v.Value(String, t)
			}
		}
		text = text[:0]
	}
	// leave ends the innermost element.
	leave := func() {
		if held {
			v.Value(String, bytes.TrimSpace(text))
			held = false
			text = text[:0]
		} else {
			flush()
			w.close(v, len(w.stack)-1)
		}
		w.spans = w.spans[:len(w.spans)-1]
	}

	for i := 0; i < len(b); {
		if b[i] != '<' {
			end := bytes.IndexByte(b[i:], '<')
			if end < 0 {
				end = len(b) - i
			}
			if len(w.spans) > 0 {
				text = entities(text, b[i:i+end])
			}
			i += end
			continue
		}
		rest := b[i:]
		switch {
		case bytes.HasPrefix(rest, []byte("<!--")):
			n := bytes.Index(rest, []byte("-->"))
			if n < 0 {
				ok = false
				n = len(rest) - 3
			}
			i += n + 3
		case bytes.HasPrefix(rest, []byte("<![CDATA[")):
			n := bytes.Index(rest, []byte("]]>"))
			if n < 0 {
				ok = false
				n = len(rest) - 3
			}
			if n > 9 && len(w.spans) > 0 {
				text = append(text, rest[9:n]...)
			}
			i += n + 3
		case bytes.HasPrefix(rest, []byte("<?")):
			n := bytes.Index(rest, []byte("?>"))
			if n < 0 {
				return false
			}
			i += n + 2
		case bytes.HasPrefix(rest, []byte("<!")):
			n := doctype(rest)
			if n < 0 {
				return false
			}
			i += n
		case bytes.HasPrefix(rest, []byte("</")):
			n := bytes.IndexByte(rest, '>')
			if n < 0 {
				return false
			}
			name := bytes.TrimSpace(rest[2:n])
			i += n + 1
			// An end tag closes the innermost element of its name; without one it is
			// ignored.
			at := len(w.spans) - 1
			for at >= 0 && !bytes.Equal(b[w.spans[at].from:w.spans[at].to], name) {
				at--
				ok = false
			}
			for at >= 0 && len(w.spans) > at {
				leave()
			}
		default:
			from := i + 1
			to := from
			for to < len(b) && b[to] > ' ' && b[to] != '>' && b[to] != '/' {
				to++
			}
			n := tagEnd(b, to)
			if n < 0 {
				return false
			}
			if to == from {
				ok = false
				i = n
				continue
			}
			if w.left--; w.left < 0 {
				return false
			}
			if len(w.spans) == 0 {
				if roots++; roots > 1 {
					ok = false
				}
			}
			object()
			flush()
			empty := b[n-2] == '/'
			if len(w.stack) >= w.Limits.Depth {
				// Too deep: the element is passed over.
				ok = false
				if !empty {
					n = pastElement(b, n)
				}
				i = n
				continue
			}
			w.spans = append(w.spans, span{from, to})
			v.Key(b[from:to])
			held = true
			attributes(b[to:n-1], func(name, value []byte) {
				if w.left--; w.left < 0 {
					return
				}
				object()
				w.second = append(append(w.second[:0], '@'), name...)
				v.Key(w.name(w.second))
				w.second = entities(w.second[:0], value)
				v.Value(String, w.second)
			})
			if empty {
				leave()
			}
			i = n
		}
		if w.left < 0 {
			return false
		}
	}
	return ok && len(w.spans) == 0 && roots > 0
}

// tagEnd returns the index after the > that ends the tag; quotes may hide one.
func tagEnd(b []byte, i int) int {
	var quote byte
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return i + 1
		}
	}
	return -1
}

// pastElement returns the index after the end of the element whose start tag
// ends before b[i].
func pastElement(b []byte, i int) int {
	for depth := 1; i < len(b); {
		n := bytes.IndexByte(b[i:], '<')
		if n < 0 {
			break
		}
		i += n
		end := tagEnd(b, i)
		if end < 0 {
			break
		}
		switch {
		case b[i+1] == '/':
			depth--
		case b[i+1] != '!' && b[i+1] != '?' && b[end-2] != '/':
			depth++
		}
		i = end
		if depth == 0 {
			return i
		}
	}
	return len(b)
}

// doctype returns the length of the declaration, its internal subset included,
// of which nothing is read.
func doctype(b []byte) int {
	end := bytes.IndexByte(b, '>')
	if open := bytes.IndexByte(b, '['); open >= 0 && open < end {
		end = bytes.Index(b, []byte("]>"))
		if end >= 0 {
			end++
		}
	}
	if end < 0 {
		return -1
	}
	return end + 1
}

// attributes tells of name="value" pairs, values still escaped.
func attributes(b []byte, pair func(name, value []byte)) {
	for {
		b = bytes.TrimLeft(b, " \t\r\n/")
		eq := bytes.IndexByte(b, '=')
		if eq < 0 {
			return
		}
		name := bytes.TrimSpace(b[:eq])
		b = bytes.TrimLeft(b[eq+1:], " \t\r\n")
		if len(b) == 0 || b[0] != '"' && b[0] != '\'' {
			return
		}
		end := bytes.IndexByte(b[1:], b[0])
		if end < 0 {
			return
		}
		pair(name, b[1:1+end])
		b = b[end+2:]
	}
}

// entities appends text with the predefined entities and character references
// resolved; others stay as they are written.
func entities(to, text []byte) []byte {
	for len(text) > 0 {
		i := bytes.IndexByte(text, '&')
		if i < 0 {
			return append(to, text...)
		}
		to = append(to, text[:i]...)
		text = text[i:]
		end := bytes.IndexByte(text[:min(len(text), 12)], ';')
		if end < 0 {
			to = append(to, '&')
			text = text[1:]
			continue
		}
		name := string(text[1:end])
		switch {
		case name == "lt":
			to = append(to, '<')
		case name == "gt":
			to = append(to, '>')
		case name == "amp":
			to = append(to, '&')
		case name == "quot":
			to = append(to, '"')
		case name == "apos":
			to = append(to, '\'')
		case len(name) > 1 && name[0] == '#':
			digits, radix := name[1:], 10
			if digits[0] == 'x' {
				digits, radix = digits[1:], 16
			}
			r, err := strconv.ParseUint(digits, radix, 21)
			if err != nil {
				r = utf8.RuneError
			}
			to = utf8.AppendRune(to, rune(r))
		default:
			to = append(to, text[:end+1]...)
		}
		text = text[end+1:]
	}
	return to
}
