package endpoint

import (
	"bytes"
	"net/netip"

	"plainsight/analyze/body"
	"plainsight/analyze/shape"
)

// class is the kind of value a path segment is by its spelling alone.
type class uint8

const (
	word    class = iota // may be a name or a value: evidence decides
	integer              // digits alone
	uuid
	date
	dateTime
	email
	address // IP, MAC
	hex
	token // ids of mixed letters and digits, keys, codes
	text  // with spaces, commas, slashes and the like
	nClasses
)

// form names the type and format of JSON Schema for a class.
var forms = [nClasses]struct{ kind, format string }{
	integer:  {"integer", ""},
	uuid:     {"string", "uuid"},
	date:     {"string", "date"},
	dateTime: {"string", "date-time"},
	email:    {"string", "email"},
	word:     {"string", ""},
	address:  {"string", ""},
	hex:      {"string", ""},
	token:    {"string", ""},
	text:     {"string", ""},
}

// spell appends the pattern of a decoded segment and tells its class: the
// segment itself for a word, {} for a value, or {} with the text around it, as
// in {}.json.
func spell(to, s []byte) ([]byte, class) {
	if len(s) == 0 || s[0] == '_' || s[0] == '@' && bytes.IndexByte(s[1:], '@') < 0 && bytes.IndexByte(s, '.') < 0 {
		return append(to, s...), word
	}
	if stem, tail := extension(s); tail != nil && bytes.IndexByte(stem, '@') < 0 {
		if c := classify(stem); c != word && c != text && c != address {
			return append(append(to, "{}"...), tail...), c
		}
		if stem[0] != '.' && classify(stem) == word {
			return append(to, s...), word
		}
	}
	if c := classify(s); c != word {
		return append(to, "{}"...), c
	}
	// Name(5), Name('abc')
	if open := bytes.IndexByte(s, '('); open > 0 && s[len(s)-1] == ')' && letters(s[:open]) {
		inner := s[open+1 : len(s)-1]
		if len(inner) > 0 && (classify(inner) != word || inner[0] == '\'') {
			c := classify(inner)
			if c == word {
				c = text
			}
			return append(append(to, s[:open]...), "({})"...), c
		}
	}
	// id:verb
	if i := bytes.LastIndexByte(s, ':'); i > 0 && letters(s[i+1:]) {
		if k := classify(s[:i]); k != word {
			return append(append(to, "{}"...), s[i:]...), k
		}
	}
	return append(to, s...), word
}

// extension splits the extension of a file, with its dot, from a segment.
func extension(s []byte) (stem, tail []byte) {
	i := bytes.LastIndexByte(s, '.')
	if i < 1 || len(s)-i < 3 || len(s)-i > 6 || !extensions[string(s[i+1:])] {
		return s, nil
	}
	return s[:i], s[i:]
}

// tail splits from a segment what may stand after a value in it: an extension, or
// an operation after a colon, as in jobs/nightly:cancel.
func tail(s []byte) (stem, tail []byte) {
	if i := bytes.LastIndexByte(s, ':'); i > 0 && i < len(s)-2 && letters(s[i+1:]) && bytes.IndexByte(s[:i], ':') < 0 {
		return s[:i], s[i:]
	}
	return extension(s)
}

// extensions are those of the files and representations that APIs serve.
var extensions = set("json", "xml", "csv", "tsv", "yaml", "yml", "txt", "html", "htm", "pdf", "png", "jpg", "jpeg", "gif", "svg", "webp", "ico",
	"js", "ts", "css", "md", "go", "py", "rb", "sh", "sql", "java", "php", "zip", "gz", "tar", "xlsx", "xls", "docx", "doc", "pptx",
	"mp3", "mp4", "wav", "webm", "avi", "mov", "log", "bin", "ics", "rss", "atom", "jsonl", "proto", "toml", "conf", "bak")

func letters(s []byte) bool {
	for _, c := range s {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			return false
		}
	}
	return len(s) > 0
}

// classify tells what a whole segment, or the stem of one, is by its spelling.
func classify(s []byte) class {
	var digits, lower, upper, hexes, marks, odd, changes, dots, dashes int
	prev := byte(0) // kind of the byte before
	for _, c := range s {
		kind := byte('m')
		switch {
		case '0' <= c && c <= '9':
			digits++
			hexes++
			kind = 'd'
		case 'a' <= c && c <= 'z':
			lower++
			kind = 'l'
			if c <= 'f' {
				hexes++
			}
		case 'A' <= c && c <= 'Z':
			upper++
			kind = 'u'
			if c <= 'F' {
				hexes++
			}
		case c == '.':
			dots++
			marks++
		case c == '-':
			dashes++
			marks++
		case c == '_' || c == '~' || c == ':' || c == '@' || c == '(' || c == ')' || c == '\'' || c == '*' || c == '$' || c == '!':
			marks++
		case c == '+' || c == '=':
			marks++
		default:
			odd++
		}
		// A capital after a small letter begins a word; the other changes are rare
		// in words.
		if prev != 0 && kind != 'm' && prev != 'm' && kind != prev && !(prev == 'u' && kind == 'l') {
			changes++
		}
		prev = kind
	}
	n := len(s)
	switch {
	case digits == n:
		return integer
	case n == 36 && dashes == 4 && hexes == 32:
		if shape.Format(s) == "uuid" {
			return uuid
		}
		return token
	case hexes == n && n >= 10 && digits > 0:
		if n == 32 {
			return hex
		}
		return hex
	case digits >= 6 && dashes >= 2:
		switch shape.Format(s) {
		case "date":
			return date
		case "date-time":
			return dateTime
		}
	}
	if n > 3 && bytes.IndexByte(s, '@') > 0 && dots > 0 && shape.Format(s) == "email" {
		return email
	}
	switch {
	case odd > 0:
		return text // spaces, slashes, commas, percent signs, letters beyond ASCII
	case digits > 0 && digits+dots == n && dots == 3, hexes > 0 && bytes.Count(s, []byte{':'}) >= 2 && hexes+bytes.Count(s, []byte{':'})+dots == n:
		return addressOr(s)
	case digits == 0 && upper == 0 || n < 4:
		if n >= 24 && lower == n {
			return wordOrToken(s)
		}
		return word
	case digits > 0 && digits+dots+dashes == n && n > 6 && (dashes > 0 || dots > 1): // telephone numbers, codes, versions of three numbers
		return token
	case dots >= 2 && digits > 0 && semver(s):
		return token
	case digits == n-1 && s[0] == '+':
		return token
	}
	if i := bytes.IndexByte(s, ':'); i > 0 && digits > 0 { // sha256:…, redis:7-alpine
		if d, _, _ := count(s[i:]); d > 0 {
			return token
		}
	}
	// As people write passwords, and nobody names but Struts: Dashboard!default.jspa.
	if i := bytes.IndexByte(s, '!'); i > 0 && upper > 0 && (digits > 0 || bytes.IndexByte(s[i:], '.') < 0) {
		return token
	}
	if dashes > 0 && digits >= 2 && scrambled(s) {
		return token
	}
	rest := s
	if i := bytes.IndexByte(s, '_'); i >= 1 && i <= 12 && n-i > 6 && letters(s[:i]) {
		rest = s[i+1:] // cus_Nff…
		if d, u, l := count(rest); d > 0 && u+l > 0 && (u > 0 && l > 0 || d >= 2) && bytes.IndexByte(rest, '_') < 0 && bytes.IndexByte(rest, '-') < 0 {
			return token
		}
	}
	switch {
	case upper > 0 && lower == 0 && digits > 0 && n >= 6 && digits*5 >= n: // SN-3429-J6WZ, ULID
		return token
	case marks == 0 && digits > 0 && lower+upper > 0 && n >= 8 && (changes >= 4 || digits*3 >= n && n >= 8 && changes >= 2):
		return token
	case n >= 16 && digits > 0 && upper > 0 && lower > 0 && changes >= 4:
		return token
	case marks <= 2 && n >= 20 && upper > 2 && lower > 2 && changes*4 >= n:
		return token
	case n >= 32 && digits*4 >= n:
		return token
	case marks == 0 && n >= 14 && digits >= 3 && changes >= 3:
		return token
	case n >= 8 && upper >= 3 && lower >= 2 && marks == 0 && (unspeakable(s) || jumbled(s)):
		return token
	}
	return word
}

// scrambled reports whether a part between dashes mixes letters and digits at
// random, as generated suffixes do: web-7d9gnvszh8-4bl6s.
func scrambled(s []byte) bool {
	for len(s) > 0 {
		part := s
		if i := bytes.IndexByte(s, '-'); i >= 0 {
			part, s = s[:i], s[i+1:]
		} else {
			s = nil
		}
		if len(part) < 8 {
			continue
		}
		changes := 0
		for i := 1; i < len(part); i++ {
			if (part[i] <= '9') != (part[i-1] <= '9') {
				changes++
			}
		}
		if d, u, l := count(part); d >= 2 && u+l >= 2 && changes >= 2 {
			return true
		}
	}
	return false
}

// jumbled reports whether capitals are strewn over a segment as they are in no
// run of camelCase words: four words or more, of three letters or less each.
func jumbled(s []byte) bool {
	words, letters := body.CamelWords(s)
	return words >= 4 && letters*10 <= words*32
}

// unspeakable reports whether six consonants or more stand in a row.
func unspeakable(s []byte) bool {
	run := 0
	for _, c := range s {
		switch c | 0x20 {
		case 'a', 'e', 'i', 'o', 'u':
			run = 0
		default:
			if c|0x20 < 'a' || c|0x20 > 'z' {
				run = 0
			} else if run++; run >= 6 {
				return true
			}
		}
	}
	return false
}

func addressOr(s []byte) class {
	if len(s) == 17 && s[2] == ':' && s[5] == ':' {
		return address
	}
	var buf [45]byte
	if len(s) <= len(buf) {
		if _, err := netip.ParseAddr(string(buf[:copy(buf[:], s)])); err == nil {
			return address
		}
	}
	return token
}

// wordOrToken tells a long run of small letters that spells no word, by its
// lack of vowels.
func wordOrToken(s []byte) class {
	vowels := 0
	for _, c := range s {
		switch c {
		case 'a', 'e', 'i', 'o', 'u', 'y':
			vowels++
		}
	}
	if vowels*100 < len(s)*28 || len(s) > 40 {
		return token
	}
	return word
}

func semver(s []byte) bool {
	if s[0]|0x20 == 'v' {
		s = s[1:]
	}
	numbers := 0
	for numbers < 3 {
		i := 0
		for i < len(s) && '0' <= s[i] && s[i] <= '9' {
			i++
		}
		if i == 0 || i > 5 {
			return false
		}
		s = s[i:]
		numbers++
		if numbers < 3 {
			if len(s) == 0 || s[0] != '.' {
				return false
			}
			s = s[1:]
		}
	}
	return len(s) == 0 || s[0] == '-' || s[0] == '+'
}

func count(s []byte) (digits, upper, lower int) {
	for _, c := range s {
		switch {
		case '0' <= c && c <= '9':
			digits++
		case 'a' <= c && c <= 'z':
			lower++
		case 'A' <= c && c <= 'Z':
			upper++
		}
	}
	return digits, upper, lower
}

// versioned reports whether a value may be a version of the API: a small
// number, a decimal or a date, near the root, but not the number of one of several
// things. Many of them are no versions.
func versioned(s []byte, parent string, depth int) bool {
	if depth > 1 || len(s) == 0 || len(s) > 10 {
		return false
	}
	d, u, l := count(s)
	if u+l > 0 || s[0] < '0' || s[0] > '9' {
		return false
	}
	switch {
	case d == len(s):
		return len(s) <= 2 && !plural(parent)
	case bytes.IndexByte(s, '.') > 0:
		return bytes.Count(s, []byte{'.'}) == 1 && len(s) <= 5
	case bytes.IndexByte(s, '-') == 4:
		return len(s) == 7 || len(s) == 10
	}
	return false
}

// private reports whether a segment must never be shown as a literal, whatever
// the evidence: addresses of people, tokens, long numbers.
func private(s []byte) bool {
	_, c := spell(nil, s)
	return c != word
}
