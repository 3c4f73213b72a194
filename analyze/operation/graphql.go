package operation

import "bytes"

// document reads a GraphQL document (spec §2) and tells the operation that it
// asks for: the one called name where there are several. It is false where text
// is no such document: PromQL and JSON begin alike.
func (r *Reader) document(doc, name []byte) (op Operation, ok bool) {
	t := tokens{b: doc[:min(len(doc), maxDocument)]}
	found := false
	for {
		c := t.next()
		switch {
		case c == 0:
			return op, found
		case c == bad:
			return Operation{}, false
		case c == '{':
			if r.raw = append(r.raw[:0], "query {"...); !r.selection(&t) {
				return Operation{}, false
			}
			if !found {
				op, found = Operation{Style: GraphQL, Name: r.keep(r.raw)}, true
			}
		case c == word && (string(t.text) == "query" || string(t.text) == "mutation" || string(t.text) == "subscription"):
			kind := t.text
			r.raw = r.raw[:0]
			if c = t.next(); c == word {
				r.raw = append(r.raw, t.text...)
				c = t.next()
			}
			if c == '(' {
				c = t.arguments()
			}
			if c = t.directives(c); c != '{' {
				return Operation{}, false
			}
			named := len(r.raw) > 0
			wanted := named && bytes.Equal(r.raw, name)
			if named {
				own := len(r.raw)
				if !r.selection(&t) {
					return Operation{}, false
				}
				r.raw = r.raw[:own]
			} else {
				if r.raw = append(append(r.raw, kind...), " {"...); !r.selection(&t) {
					return Operation{}, false
				}
			}
			if !found || wanted {
				op, found = Operation{Style: GraphQL, Name: r.keep(r.raw)}, true
			}
		case c == word && string(t.text) == "fragment":
			for range 3 { // its name, on, a type
				if t.next() != word {
					return Operation{}, false
				}
			}
			if t.directives(t.next()) != '{' {
				return Operation{}, false
			}
			own := len(r.raw)
			if !r.selection(&t) {
				return Operation{}, false
			}
			r.raw = r.raw[:own]
		default:
			return Operation{}, false
		}
	}
}

// maxRoots is how many fields name an operation without a name.
const maxRoots = 4

// selection reads up to the end of a selection set whose brace was read, and
// writes the fields of its first level behind what stands in r.raw.
func (r *Reader) selection(t *tokens) bool {
	roots, fields := 0, 0
	depth := 1
	c := t.next()
	for {
		switch c {
		case 0: // the document is cut
			r.raw = append(r.raw, '}')
			return fields > 0
		case '}':
			if depth--; depth == 0 {
				r.raw = append(r.raw, '}')
				return fields > 0
			}
			c = t.next()
		case '{':
			depth++
			c = t.next()
		case '(':
			c = t.arguments()
		case '@':
			if t.next() != word {
				return false
			}
			c = t.next()
		case spread:
			fields++
			if c = t.next(); c == word { // of a fragment, or on a type
				if string(t.text) == "on" {
					if t.next() != word {
						return false
					}
				}
				c = t.next()
			}
		case word:
			field := t.text
			if c = t.next(); c == ':' { // it was another name for the field
				if t.next() != word {
					return false
				}
				field = t.text
				c = t.next()
			}
			fields++
			if depth == 1 {
				switch roots++; {
				case roots > maxRoots+1:
				case roots > maxRoots:
					r.raw = append(r.raw, ", …"...)
				case roots > 1:
					r.raw = append(append(r.raw, ", "...), field...)
				default:
					r.raw = append(r.raw, field...)
				}
			}
		default:
			return false
		}
	}
}

// Tokens of GraphQL that are no punctuation.
const (
	bad    = 0xff // no token
	word   = 'w'  // a Name, in text
	spread = '.'  // ...
)

// tokens takes a document apart. It knows what selections are made of; what
// stands between parentheses is passed over.
type tokens struct {
	b    []byte
	text []byte // of a word
}

// next returns the next token, 0 at the end.
func (t *tokens) next() byte {
	for len(t.b) > 0 {
		c := t.b[0]
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',':
			t.b = t.b[1:]
		case c == '#':
			i := bytes.IndexAny(t.b, "\r\n")
			if i < 0 {
				i = len(t.b)
			}
			t.b = t.b[i:]
		case letter(c) || c == '_':
			n := 1
			for n < len(t.b) && (letter(t.b[n]) || t.b[n] == '_' || '0' <= t.b[n] && t.b[n] <= '9') {
				n++
			}
			t.text, t.b = t.b[:n], t.b[n:]
			return word
		case c == '{' || c == '}' || c == '(' || c == ':' || c == '@':
			t.b = t.b[1:]
			return c
		case hasPrefix(t.b, "..."):
			t.b = t.b[3:]
			return spread
		case hasPrefix(t.b, "\ufeff"):
			t.b = t.b[3:]
		default:
			return bad
		}
	}
	return 0
}

// arguments passes over what is between parentheses, of which the first was
// read, and returns the token behind them.
func (t *tokens) arguments() byte {
	for depth := 1; len(t.b) > 0; {
		c := t.b[0]
		switch c {
		case '"':
			t.literal()
			continue
		case '#':
			i := bytes.IndexAny(t.b, "\r\n")
			if i < 0 {
				i = len(t.b)
			}
			t.b = t.b[i:]
			continue
		case '(':
			depth++
		case ')':
			depth--
		}
		t.b = t.b[1:]
		if depth == 0 {
			return t.next()
		}
	}
	return 0
}

// literal passes over a string or a block string.
func (t *tokens) literal() {
	if hasPrefix(t.b, `"""`) {
		i := bytes.Index(t.b[3:], []byte(`"""`))
		if i < 0 {
			t.b = nil
			return
		}
		t.b = t.b[i+6:]
		return
	}
	i := 1
	for i < len(t.b) && t.b[i] != '"' && t.b[i] != '\n' {
		if t.b[i] == '\\' {
			i++
		}
		i++
	}
	t.b = t.b[min(i+1, len(t.b)):]
}

// directives passes over directives, of which the first token was read, and
// returns the token behind them.
func (t *tokens) directives(c byte) byte {
	for c == '@' {
		if t.next() != word {
			return bad
		}
		if c = t.next(); c == '(' {
			c = t.arguments()
		}
	}
	return c
}

// plainName reports whether b is a Name (spec §2.1.9).
func plainName(b []byte) bool {
	for i, c := range b {
		if !letter(c) && c != '_' && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return len(b) > 0 && len(b) <= maxName
}
