package http2

import (
	"plainsight/capture"
	"plainsight/capture/hpack"
)

// sniff is the Sniff of the row. At the start of a connection the preface tells a
// client, and settings a server. In its middle only frames that follow one another
// exactly are believed, or a header block that can be nothing else.
func sniff(d capture.Dir, b []byte, midstream bool) capture.Verdict {
	if d == capture.ToServer {
		// The first line is enough: no other protocol begins with it.
		const enough = "PRI * HTTP/2.0\r\n"
		n := min(len(b), len(enough))
		switch {
		case n == len(enough) && string(b[:n]) == enough:
			return capture.Yes
		case string(b[:n]) == enough[:n]:
			return capture.Maybe
		}
	}
	if midstream {
		return sniffFrames(d, b)
	}
	if d == capture.ToServer {
		return capture.No
	}
	if len(b) < frameHead {
		if strictPart(b) && (len(b) < 4 || kind(b[3]) == settingsFrame) {
			return capture.Maybe
		}
		return capture.No
	}
	f := readHead(b)
	if !strict(b, nil) || f.kind != settingsFrame || f.flags != 0 || f.size > 32*6 {
		return capture.No
	}
	for s := b[frameHead:min(len(b), frameHead+f.size)]; len(s) >= 2; s = s[min(len(s), 6):] {
		// RFC 9113 §6.5.2, RFC 8441, RFC 9218, and the values that are reserved
		// so that nobody trips over new ones (0x?a?a).
		if id := uint16(s[0])<<8 | uint16(s[1]); id == 0 || id > 0x10 && id&0x0f0f != 0x0a0a && id < 0xf000 {
			return capture.No
		}
	}
	if len(b) < frameHead+f.size {
		return capture.Maybe
	}
	return capture.Yes
}

// sniffFrames judges bytes from the middle of a connection, which may begin with
// a frame.
func sniffFrames(d capture.Dir, b []byte) capture.Verdict {
	for frames := 0; ; frames++ {
		if len(b) < frameHead {
			switch {
			case !strictPart(b):
				return capture.No
			case frames >= 2:
				return capture.Yes
			}
			return capture.Maybe
		}
		if !strict(b, nil) {
			return capture.No
		}
		f := readHead(b)
		end := frameHead + f.size
		if end > len(b) {
			if frames >= 2 {
				return capture.Yes
			}
			return capture.Maybe
		}
		if f.kind == headersFrame && f.flags&flagEndHeaders != 0 {
			switch sniffBlock(d, &f, b[frameHead:end]) {
			case capture.Yes:
				return capture.Yes
			case capture.No:
				return capture.No
			}
		}
		b = b[end:]
	}
}

// sniffBlock judges a header block: Yes needs a pseudo-header that this direction
// sends, whole and in a known value; one of the other direction says No.
func sniffBlock(d capture.Dir, f *head, payload []byte) capture.Verdict {
	pad := 0
	if f.flags&flagPadded != 0 {
		pad = int(payload[0])
	}
	prefix := f.prefix()
	if prefix+pad > len(payload) {
		return capture.No
	}
	table := hpack.New(hpack.Options{Fields: 64})
	table.Forget()
	var b hpack.Block
	if table.Decode(&b, payload[prefix:len(payload)-pad]) != nil {
		return capture.No
	}
	for i := range b.Len() {
		name, value := b.Field(i)
		switch string(name) {
		case ":method", ":scheme", ":path", ":authority":
			if d == capture.ToClient {
				return capture.No
			}
			if len(value) > 0 {
				return capture.Yes
			}
		case ":status":
			if d == capture.ToServer || statusOf(value) == 0 {
				return capture.No
			}
			return capture.Yes
		}
	}
	return capture.Maybe
}

// farthest is how far ahead of the last one the id of a stream is believed.
const farthest = 1 << 14

// strict says that b, which has a frame's header, begins with a frame as one must
// be: it is used where nothing else says that there is one. p may be nil.
func strict(b []byte, p *parser) bool {
	f := readHead(b)
	limit := minFrameLimit
	if p != nil {
		limit = max(p.half[0].frameLimit, p.half[1].frameLimit)
	}
	if !strictPart(b[:frameHead]) || !f.fits(limit) {
		return false
	}
	switch f.kind {
	case headersFrame, pushFrame:
		if f.size == f.prefix() {
			return false
		}
	case dataFrame:
		if f.size == 0 && f.flags&flagEndStream == 0 {
			return false // allowed, but too little to believe
		}
	}
	if p == nil || f.id == 0 || p.last[p.side(f.id)] == 0 {
		return f.id < 1<<24
	}
	return f.id <= p.last[p.side(f.id)]+farthest
}

// strictPart says that b may be the beginning of a frame's header.
func strictPart(b []byte) bool {
	return (len(b) < 1 || b[0] == 0) && (len(b) < 2 || b[1] <= minFrameLimit>>8) &&
		(len(b) < 4 || kind(b[3]) < kinds) && (len(b) < 5 || b[4]&^rules[b[3]].flags == 0) &&
		(len(b) < 6 || b[5] == 0) // ids of that size are years away
}

// statusOf reads a status, 0 if it is none.
func statusOf(value []byte) int {
	if len(value) != 3 {
		return 0
	}
	n := 0
	for _, c := range value {
		if c < '0' || '9' < c {
			return 0
		}
		n = n*10 + int(c-'0')
	}
	if n < 100 {
		return 0
	}
	return n
}
