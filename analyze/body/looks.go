package body

import "encoding/binary"

// UUID reports whether text is a UUID (RFC 9562) as it is usually written.
func UUID(text []byte) bool {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return false
	}
	four := func(i int) uint64 { return uint64(binary.LittleEndian.Uint32(text[i:])) }
	return hexes(binary.LittleEndian.Uint64(text)) && hexes(four(9)|four(14)<<32) && hexes(four(19)|four(24)<<32) && hexes(binary.LittleEndian.Uint64(text[28:]))
}

// hexes reports whether the eight bytes of x are hex digits. Below 0x80, a sum
// with 0x80-c sets the top bit of a byte that is at least c, and carries nothing.
func hexes(x uint64) bool {
	if x&high != 0 {
		return false
	}
	letter := x | 0x20*low
	digits := (x + (0x80-'0')*low) &^ (x + (0x80-'9'-1)*low)
	letters := (letter + (0x80-'a')*low) &^ (letter + (0x80-'f'-1)*low)
	return (digits|letters)&high == high
}

// Clock reports whether text begins with a date and a time of day as RFC 3339
// writes them, 2026-01-18T06:15:06, with T, t or a blank between. It looks at
// the form alone.
func Clock(text []byte) bool {
	if len(text) < 19 || text[10]|0x20 != 't' && text[10] != ' ' || text[8]-'0' > 9 || text[9]-'0' > 9 {
		return false
	}
	return like(binary.LittleEndian.Uint64(text), dashes) && like(binary.LittleEndian.Uint64(text[11:]), colons)
}

// DateTime reports whether text is written as RFC 3339 writes a moment: a date, a
// time of day, a zone. The offset may lack its colon.
func DateTime(text []byte) bool {
	if len(text) < 20 || !Clock(text) {
		return false
	}
	rest := text[19:]
	if rest[0] == '.' {
		rest = rest[1:]
		for len(rest) > 0 && rest[0]-'0' <= 9 {
			rest = rest[1:]
		}
	}
	n := len(rest)
	if n == 1 {
		return rest[0]|0x20 == 'z'
	}
	if n < 5 || n > 6 || rest[0] != '+' && rest[0] != '-' || n == 6 && rest[3] != ':' {
		return false
	}
	return rest[1]-'0' <= 9 && rest[2]-'0' <= 9 && rest[n-2]-'0' <= 9 && rest[n-1]-'0' <= 9
}

// like reports whether x has digits where a pattern has 0, and is the pattern
// elsewhere. What is left of x without the pattern may be 9 there, and 0
// elsewhere.
func like(x uint64, p pattern) bool {
	rest := x ^ p.text
	return (rest|(rest+p.most))&high == 0
}

type pattern struct {
	text uint64
	most uint64 // 0x7f less what may be left
}

var dashes, colons = newPattern("0000-00-"), newPattern("00:00:00")

func newPattern(s string) (p pattern) {
	for i := range len(s) {
		most := uint64(0x7f)
		if s[i] == '0' {
			most -= 9
		}
		p.text |= uint64(s[i]) << (8 * i)
		p.most |= most << (8 * i)
	}
	return p
}
