package analyze

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// Name makes the name of a header, parameter, cookie, host label or key safe to
// keep: [Clean]ed, and with each part that looks like a value rather than a
// word replaced by what it is. People put identifiers and secrets into names:
//
//	wordpress_logged_in_5c016e8f0f95f039  →  wordpress_logged_in_{hex}
//	perm[jo@example.org]                  →  perm[{email}]
//
// A name that looks like words, percent-escapes undone, is returned as it is,
// without any guess about its meaning.
func Name(text []byte) string {
	if len(text) > MaxText {
		text = text[:MaxText]
	}
	plain := unescaped(text)
	if !valueLike(plain) {
		return Clean(text)
	}
	text = plain
	var b []byte
	for i := 0; i < len(text); {
		if what, n := value(text[i:]); n > 0 {
			b = append(b, what...)
			i += n
			continue
		}
		// A word, or what stands between words: as it is.
		n := 1
		if alnum(text[i]) {
			for i+n < len(text) && alnum(text[i+n]) {
				n++
			}
		} else if text[i] >= utf8.RuneSelf {
			_, n = utf8.DecodeRune(text[i:])
		}
		b = append(b, text[i:i+n]...)
		i += n
	}
	return Clean(b)
}

// ValueLike reports whether a text that stands in the place of a name looks
// like a value: an identifier, a number, an address, a secret.
func ValueLike(text []byte) bool { return valueLike(unescaped(text)) }

// unescaped undoes percent-escapes (RFC 3986 section 2.1). Without any, it is the
// text itself.
func unescaped(text []byte) []byte {
	i := bytes.IndexByte(text, '%')
	if i < 0 {
		return text
	}
	out := append(make([]byte, 0, len(text)), text[:i]...)
	for ; i < len(text); i++ {
		c := text[i]
		if c == '%' && i+2 < len(text) {
			if high, low := hexDigit(text[i+1]), hexDigit(text[i+2]); high|low < 16 {
				c = high<<4 | low
				i += 2
			}
		}
		out = append(out, c)
	}
	return out
}

// hexDigit is the value of a hex digit, 255 of anything else.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}

func valueLike(text []byte) bool {
	for i := 0; i < len(text); {
		if _, n := value(text[i:]); n > 0 {
			return true
		}
		if !alnum(text[i]) {
			i++
			continue
		}
		for i < len(text) && alnum(text[i]) {
			i++
		}
	}
	return false
}

// value tells whether text, which begins at the start of a word, begins with a
// value, how long it is and what to write for it.
func value(text []byte) (string, int) {
	if !alnum(text[0]) {
		return "", 0
	}
	if n := uuid(text); n > 0 {
		return "{uuid}", n
	}
	if n := email(text); n > 0 {
		return "{email}", n
	}
	n := digitGroups(text)
	if n > 0 {
		return "{n}", n
	}
	for n < len(text) && alnum(text[n]) {
		n++
	}
	if n := password(text); n > 0 {
		return "{token}", n
	}
	run := text[:n]
	digits, hex, turns, humps, last := 0, true, 0, 0, byte(0)
	for i, c := range run {
		if i > 0 && 'a' <= run[i-1] && run[i-1] <= 'z' && 'A' <= c && c <= 'Z' {
			humps++
		}
		class := byte('a')
		switch {
		case '0' <= c && c <= '9':
			digits++
			class = '0'
		case c >= utf8.RuneSelf:
			return "", 0 // a word of another script
		}
		if lower := c | 0x20; class == 'a' && (lower < 'a' || lower > 'f') {
			hex = false
		}
		if last != 0 && class != last {
			turns++
		}
		last = class
	}
	switch {
	case digits == n && n >= 5:
		return "{n}", n
	case hex && n >= 8 && digits >= 2 && turns > 0:
		return "{hex}", n
	case n >= 10 && digits >= 2 && turns >= 3, n >= 16 && digits >= 2 && turns >= 1, n >= 16 && unspeakable(run), n >= 16 && digits > 0 && humps >= 3,
		n >= 6 && digits >= 2 && turns >= 4, n >= 6 && n <= 12 && digits > 0 && humps >= 3, n > 40:
		return "{token}", n
	case n == 20 && (bytes.EqualFold(run[:4], []byte("akia")) || bytes.EqualFold(run[:4], []byte("asia"))):
		return "{token}", n // AWS access key ids may lack digits
	}
	return "", 0
}

// unspeakable reports whether no language would spell a word like this: few
// vowels, or many consonants in a row.
func unspeakable(run []byte) bool {
	vowels, row := 0, 0
	for _, c := range run {
		switch c | 0x20 {
		case 'a', 'e', 'i', 'o', 'u', 'y':
			vowels++
			row = 0
		default:
			if row++; row > 7 {
				return true
			}
		}
	}
	return vowels*5 < len(run)
}

// password measures a run of eight or more with a mark in it that names do not
// have.
func password(text []byte) int {
	n, odd := 0, false
	for n < len(text) && (alnum(text[n]) || strings.IndexByte(oddMarks, text[n]) >= 0) {
		odd = odd || !alnum(text[n])
		n++
	}
	if !odd || n < 8 {
		return 0
	}
	return n
}

const oddMarks = "!#^&=?<>;\\\"'`|"

// digitGroups measures groups of digits as people write cards and national
// numbers: at least two groups and eight digits, joined by one space, dot or dash.
func digitGroups(text []byte) int {
	n, digits, groups := 0, 0, 0
	for n < len(text) {
		start := n
		for n < len(text) && '0' <= text[n] && text[n] <= '9' {
			n++
		}
		if n == start || n < len(text) && alnum(text[n]) {
			if n == start && n > 0 {
				n-- // the joint belongs to what follows
			} else {
				n = max(start-1, 0)
			}
			break
		}
		digits += n - start
		groups++
		if n < len(text) && (text[n] == ' ' || text[n] == '-' || text[n] == '.') {
			n++
			if n == len(text) {
				n--
				break
			}
			continue
		}
		break
	}
	if groups < 2 || digits < 8 {
		return 0
	}
	return n
}

func uuid(text []byte) int {
	const n = 36
	if len(text) < n || len(text) > n && alnum(text[n]) {
		return 0
	}
	for i, c := range text[:n] {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return 0
			}
		default:
			if lower := c | 0x20; (c < '0' || c > '9') && (lower < 'a' || lower > 'f') {
				return 0
			}
		}
	}
	return n
}

// email measures a mail address at the start of text.
func email(text []byte) int {
	at := bytes.IndexByte(text[:min(len(text), 65)], '@')
	if at < 1 {
		return 0
	}
	for _, c := range text[:at] {
		if !alnum(c) && c != '.' && c != '_' && c != '-' && c != '+' && c != '%' {
			return 0
		}
	}
	n, dots := at+1, 0
	for n < len(text) && (alnum(text[n]) || text[n] == '-' || text[n] == '.') {
		if text[n] == '.' {
			dots++
		}
		n++
	}
	if dots == 0 {
		return 0
	}
	return n
}

func alnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || c >= utf8.RuneSelf
}
