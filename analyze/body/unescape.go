package body

// Unescape appends b to to, percent-decoded (RFC 3986 §2.1); a % that begins no
// triplet stays. to may be b[:0].
func Unescape(to, b []byte) []byte {
	for i := 0; i < len(b); i++ {
		if b[i] == '%' && i+2 < len(b) {
			hi, lo := nibble(b[i+1]), nibble(b[i+2])
			if hi < 16 && lo < 16 {
				to = append(to, hi<<4|lo)
				i += 2
				continue
			}
		}
		to = append(to, b[i])
	}
	return to
}

func nibble(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}
