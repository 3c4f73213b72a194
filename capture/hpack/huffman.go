package hpack

// staticFields is the static table as bytes. They are read only.
var staticFields = func() (f [len(static)]struct{ name, value []byte }) {
	for i, s := range static {
		f[i].name, f[i].value = []byte(s.name), []byte(s.value)
	}
	return f
}()

const longest = 30 // bits of a code

// codes is the canonical Huffman code, for reading.
type codes struct {
	// short gives, for the next eight bits, the byte of a code of at most eight and
	// the code's length; 0 where the code is longer.
	short [256]struct{ sym, length uint8 }
	// Of the codes of each length: where the codes of the next one begin, in 32
	// bits from the left; the first code; and the place of its byte in order.
	end   [longest + 1]uint32
	from  [longest + 1]uint32
	place [longest + 1]uint16
	order [256]uint8
}

var huffman = makeCodes()

func makeCodes() (t codes) {
	code, n := uint32(0), 0
	for length := 1; length <= longest; length++ {
		code <<= 1
		t.from[length], t.place[length] = code, uint16(n)
		for sym, l := range codeLengths {
			if int(l) != length {
				continue
			}
			t.order[n] = uint8(sym)
			n++
			if length <= 8 {
				for i := range uint32(1) << (8 - length) {
					s := &t.short[code<<(8-length)|i]
					s.sym, s.length = uint8(sym), uint8(length)
				}
			}
			code++
		}
		t.end[length] = code << (32 - length)
	}
	return t
}

// appendHuffman decodes src (RFC 7541 §5.2). It is false where src is no code,
// holds EOS, or ends in more than seven bits or other ones than EOS begins with.
func appendHuffman(dst, src []byte) ([]byte, bool) {
	var bits uint64 // the next ones, from the left
	n := uint(0)    // how many
	for {
		for n <= 56 && len(src) > 0 {
			bits |= uint64(src[0]) << (56 - n)
			src = src[1:]
			n += 8
		}
		s := huffman.short[bits>>56]
		length := uint(s.length)
		sym := s.sym
		if length == 0 {
			code := uint32(bits >> 32)
			for length = 9; length <= longest && code >= huffman.end[length]; length++ {
			}
			if length > longest {
				break // EOS, or its beginning
			}
			i := code>>(32-length) - huffman.from[length]
			sym = huffman.order[uint32(huffman.place[length])+i]
		}
		if length > n {
			break
		}
		dst = append(dst, sym)
		bits <<= length
		n -= length
	}
	return dst, n < 8 && bits>>(64-n) == 1<<n-1
}
