package sensitive

import (
	"bytes"
)

// arguments judges the values that stand in a GraphQL document (spec §2.6,
// §2.9), each by its name: login(user: "ann", card: {cvv: "123"}). It reports
// whether text is such a document.
func (s *Scanner) arguments(w *where, text []byte) bool {
	if !document(text) {
		return false
	}
	s.nested.depth = 2 // what is inside is not opened again
	defer func() { s.nested.depth = 0 }()
	var name, parent span // of the last argument, of the object it is in
	depth := 0
	var parents [8]span
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			from, to, next := literalAt(text, i)
			if name.to > name.from && to > from {
				s.argument(w, text, parent, name, text[from:to], false)
			}
			i = next
		case c == '#':
			if n := bytes.IndexByte(text[i:], '\n'); n >= 0 {
				i += n
			} else {
				i = len(text)
			}
		case c == '{':
			if depth < len(parents) {
				parents[depth] = parent
			}
			parent, name = name, span{}
			depth++
			i++
		case c == '}':
			parent, name = span{}, span{}
			if depth--; 0 <= depth && depth < len(parents) {
				parent = parents[depth]
			}
			depth = max(depth, 0)
			i++
		case c == '(' || c == ')':
			name = span{}
			i++
		case kinds[c]&isDigit != 0 || c == '-':
			from := i
			for i++; i < len(text) && (kinds[text[i]]&isDigit != 0 || text[i] == '.'); i++ {
			}
			if name.to > name.from {
				s.argument(w, text, parent, name, text[from:i], true)
			}
		case kinds[c]&(isUpper|isLower) != 0 || c == '_':
			from := i
			for i < len(text) && (kinds[text[i]]&(isUpper|isLower|isDigit) != 0 || text[i] == '_') {
				i++
			}
			to := i
			for i < len(text) && text[i] == ' ' {
				i++
			}
			if i < len(text) && text[i] == ':' {
				name = span{from, to}
				i++
			}
		default:
			i++
		}
	}
	return true
}

type span struct{ from, to int }

func (s *Scanner) argument(w *where, text []byte, parent, name span, value []byte, number bool) {
	c := s.class(text[parent.from:parent.to], text[name.from:name.to])
	s.judge(w, &c, value, number)
}

// document reports whether text begins like a GraphQL document that has
// arguments.
func document(text []byte) bool {
	switch text[0] {
	case 'q', 'm', 's':
		if !hasPrefix(text, "query") && !hasPrefix(text, "mutation") && !hasPrefix(text, "subscription") {
			return false
		}
	case '{', ' ', '\n':
	default:
		return false
	}
	t := bytes.TrimLeft(text, " \t\r\n")
	switch {
	case len(t) == 0:
		return false
	case t[0] == '{':
		t = bytes.TrimLeft(t[1:], " \t\r\n")
		return len(t) > 0 && kinds[t[0]]&(isUpper|isLower) != 0 && bytes.IndexByte(t, '(') > 0 && bytes.IndexByte(t, '{') > 0
	case hasPrefix(t, "query"), hasPrefix(t, "mutation"), hasPrefix(t, "subscription"):
		open := bytes.IndexByte(t, '{')
		if open < 0 || bytes.IndexByte(t, '(') < 0 {
			return false
		}
		end := 0
		for end < len(t) && kinds[t[end]]&isLower != 0 {
			end++
		}
		switch string(t[:end]) {
		case "query", "mutation", "subscription":
			// A name, variables, directives, and then the selection.
			rest := bytes.TrimLeft(t[end:], " \t\r\n")
			for len(rest) > 0 && kinds[rest[0]]&isToken != 0 {
				rest = rest[1:]
			}
			rest = bytes.TrimLeft(rest, " \t\r\n")
			return len(rest) > 0 && (rest[0] == '{' || rest[0] == '(' || rest[0] == '@')
		}
	}
	return false
}

// literalAt gives the ends of a string, or a block string, that begins at i.
func literalAt(text []byte, i int) (from, to, next int) {
	if hasPrefix(text[i:], `"""`) {
		from = i + 3
		if n := bytes.Index(text[from:], []byte(`"""`)); n >= 0 {
			return from, from + n, from + n + 3
		}
		return from, len(text), len(text)
	}
	from = i + 1
	for to = from; to < len(text) && text[to] != '"' && text[to] != '\n'; to++ {
		if text[to] == '\\' {
			to++
		}
	}
	to = min(to, len(text))
	return from, to, min(to+1, len(text))
}
