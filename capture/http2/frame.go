package http2

import (
	"bytes"
	"encoding/binary"

	"plainsight/capture"
	"plainsight/capture/hpack"
	"plainsight/capture/transaction"
)

// kind is the type of a frame (RFC 9113 §6).
type kind uint8

const (
	dataFrame kind = iota
	headersFrame
	priorityFrame
	resetFrame
	settingsFrame
	pushFrame
	pingFrame
	goAwayFrame
	windowFrame
	continuationFrame
	kinds
)

const (
	flagEndStream  = 0x01
	flagAck        = 0x01
	flagEndHeaders = 0x04
	flagPadded     = 0x08
	flagPriority   = 0x20
)

// rules are what a frame of each kind must be like.
var rules = [kinds]struct {
	flags  uint8 // that are defined
	size   int   // of the payload, if that is fixed; else -1
	scope  int8  // 1: stream 0 only, -1: never, 0: either
	prefix int   // bytes that come before what the frame carries, flags aside
}{
	dataFrame:         {flagEndStream | flagPadded, -1, -1, 0},
	headersFrame:      {flagEndStream | flagEndHeaders | flagPadded | flagPriority, -1, -1, 0},
	priorityFrame:     {0, 5, -1, 0},
	resetFrame:        {0, 4, -1, 4},
	settingsFrame:     {flagAck, -1, 1, 0},
	pushFrame:         {flagEndHeaders | flagPadded, -1, -1, 4},
	pingFrame:         {flagAck, 8, 1, 0},
	goAwayFrame:       {0, -1, 1, 8},
	windowFrame:       {0, 4, 0, 4},
	continuationFrame: {flagEndHeaders, -1, -1, 0},
}

const (
	preface       = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	frameHead     = 9
	minFrameLimit = 16 << 10 // SETTINGS_MAX_FRAME_SIZE, until it is announced
)

// head is a frame's header.
type head struct {
	size  int
	kind  kind
	flags uint8
	id    uint32
}

func readHead(b []byte) head {
	return head{
		size: int(b[0])<<16 | int(b[1])<<8 | int(b[2]), kind: kind(b[3]), flags: b[4],
		id: binary.BigEndian.Uint32(b[5:]) & (1<<31 - 1),
	}
}

// fits says that a frame keeps the rules of its kind.
func (f *head) fits(limit int) bool {
	if f.kind >= kinds {
		return f.size <= limit // to be ignored (RFC 9113 §4.1)
	}
	r := &rules[f.kind]
	switch {
	case f.size > limit, r.size >= 0 && f.size != r.size:
		return false
	case r.scope > 0 && f.id != 0, r.scope < 0 && f.id == 0:
		return false
	case f.kind == settingsFrame && (f.size%6 != 0 || f.flags&flagAck != 0 && f.size > 0):
		return false
	}
	return f.size >= f.prefix()
}

// prefix is how many bytes of the payload stand before what the frame carries.
func (f *head) prefix() int {
	if f.kind >= kinds {
		return 0
	}
	r := &rules[f.kind]
	n := r.prefix
	if f.flags&r.flags&flagPadded != 0 {
		n++
	}
	if f.kind == headersFrame && f.flags&flagPriority != 0 {
		n += 5
	}
	return n
}

// place is where in the frames a direction is.
type place uint8

const (
	atFrame    place = iota // before a frame
	atPreface               // before the client's preface
	atFirst                 // before the server's first frame
	atData                  // in what a DATA frame carries
	atBlock                 // in a piece of a header block
	atSettings              // in a SETTINGS frame
	atRest                  // in what of a frame is passed over
	atSeek                  // lost: at the next frame we go on
	atNothing               // not understood any more
)

// half is the reading of one direction.
type half struct {
	d          capture.Dir
	state      place
	lossy      bool // bytes of this direction were not seen
	ended      bool
	start      capture.Stamp // of the frame
	frame      head          // the one being read
	rest       int           // bytes of its payload still to come, with padding
	pad        int
	frameLimit int // that the other side announced

	open     *opening            // the header block being read
	pieces   *transaction.Buffer // of it
	openings opening
	table    *hpack.Decoder
	memory   int // of table, as counted
	sought   int // bytes looked through for a frame
}

// opening is what began a header block.
type opening struct {
	head
	promised uint32
	start    capture.Stamp
	over     bool // the rest is passed over: it was too long, or is of no use
}

// run reads b and returns what it leaves.
func (p *parser) run(h *half, b []byte, at capture.Stamp) []byte {
	for {
		before, state := len(b), h.state
		switch h.state {
		case atPreface:
			b = p.preface(h, b)
		case atFirst:
			b = p.first(h, b)
		case atFrame:
			b = p.frameHead(h, b, at)
		case atData:
			b = p.data(h, b, at)
		case atBlock:
			b = p.block(h, b, at)
		case atSettings:
			b = p.settings(h, b)
		case atRest:
			n := min(len(b), h.rest)
			b = b[n:]
			if h.rest -= n; h.rest == 0 {
				h.state = atFrame
			}
		case atSeek:
			b = p.seek(h, b)
		case atNothing:
			return b
		}
		if len(b) == before && h.state == state {
			return b
		}
	}
}

func (p *parser) preface(h *half, b []byte) []byte {
	n := min(len(b), len(preface))
	switch {
	case string(b[:n]) != preface[:n]:
		h.state = atNothing
	case n == len(preface):
		h.state = atFrame
		return b[n:]
	}
	return b
}

// first judges what a server begins with: settings, or it speaks something else.
func (p *parser) first(h *half, b []byte) []byte {
	if len(b) < frameHead {
		return b
	}
	f := readHead(b)
	if f.kind == settingsFrame && f.flags == 0 && f.fits(minFrameLimit) {
		h.state = atFrame
	} else if strict(b, nil) {
		p.n[capture.HTTP2FramesInvalid]++
		h.state = atFrame
	} else {
		h.state = atNothing
	}
	return b
}

// frameHead begins a frame, once all that comes before its content is here.
func (p *parser) frameHead(h *half, b []byte, at capture.Stamp) []byte {
	if len(b) < frameHead {
		return b
	}
	f := readHead(b)
	valid := f.fits(max(h.frameLimit, minFrameLimit))
	// A frame that is too long for the rules is still one.
	usable := valid || f.kind < kinds && f.size > h.frameLimit && f.fits(1<<24)
	prefix := 0
	if usable {
		if prefix = f.prefix(); len(b) < frameHead+prefix {
			return b
		}
	}
	payload := b[frameHead : frameHead+prefix]
	b = b[frameHead+prefix:]
	h.frame, h.rest, h.pad, h.start = f, f.size-prefix, 0, at
	h.state = atRest
	p.n[capture.HTTP2Frames]++
	if f.flags&flagPadded != 0 && usable && f.kind < kinds && rules[f.kind].flags&flagPadded != 0 {
		h.pad = int(payload[0])
		payload = payload[1:]
		usable = h.pad <= h.rest
		valid = valid && usable
	}
	if h.open != nil && (f.kind != continuationFrame || f.id != h.open.id) {
		// Nothing may stand between the pieces of a block (RFC 9113 §6.10).
		valid = false
		p.abandon(h)
	}
	if !usable {
		p.invalid(h)
		if f.kind == headersFrame || f.kind == pushFrame || f.kind == continuationFrame {
			p.forget(h)
		}
	} else {
		valid = p.begin(h, payload, at) && valid
		if !valid {
			p.invalid(h)
		}
		p.spoke = p.spoke || valid
	}
	if h.rest == 0 && h.state == atRest {
		h.state = atFrame
	}
	return b
}

// begin begins a usable frame: what stands before its content is in payload. It
// is false where the frame should not be there.
func (p *parser) begin(h *half, payload []byte, at capture.Stamp) bool {
	f := &h.frame
	switch f.kind {
	case dataFrame:
		h.state = atData
		return p.beginData(h)
	case headersFrame:
		h.openings = opening{head: *f, start: at}
		h.open = &h.openings
		h.state = atBlock
		return h.d == capture.ToClient || p.side(f.id) == 0
	case pushFrame:
		promised := binary.BigEndian.Uint32(payload) & (1<<31 - 1)
		h.openings = opening{head: *f, promised: promised, start: at}
		h.open = &h.openings
		h.state = atBlock
		return h.d == capture.ToClient && promised != 0 && p.side(promised) == 1
	case continuationFrame:
		if h.open == nil {
			// Midway it is the rest of a block that was lost.
			p.forget(h)
			return h.lossy
		}
		h.state = atBlock
	case settingsFrame:
		h.state = atSettings
	case resetFrame:
		p.reset(h, at)
	case goAwayFrame:
		p.goAway(h, binary.BigEndian.Uint32(payload)&(1<<31-1))
	case windowFrame:
		return binary.BigEndian.Uint32(payload)&(1<<31-1) != 0
	}
	return true
}

// side tells who opens streams of an id: 0 the client, 1 the server.
func (p *parser) side(id uint32) int { return int(id&1) ^ 1 }

// invalid counts a frame that breaks the protocol and marks its stream.
func (p *parser) invalid(h *half) {
	p.n[capture.HTTP2FramesInvalid]++
	if s := p.find(h.frame.id); s != nil {
		if m := s.Message(h.d); m.Seen {
			m.Flaws |= capture.FlawFrame
		}
	}
}

// settings takes what a side is ready to accept.
func (p *parser) settings(h *half, b []byte) []byte {
	for h.rest >= 6 && len(b) >= 6 {
		const maxFrameSize = 5
		if v := binary.BigEndian.Uint32(b[2:]); binary.BigEndian.Uint16(b) == maxFrameSize && v >= minFrameLimit && v < 1<<24 {
			other := &p.half[h.d.Other()]
			other.frameLimit = max(other.frameLimit, int(v)) // what was sent before may still come
		}
		b = b[6:]
		h.rest -= 6
	}
	if h.rest < 6 {
		h.state = atRest
		if h.rest == 0 {
			h.state = atFrame
		}
	}
	return b
}

// data reads what a DATA frame carries.
func (p *parser) data(h *half, b []byte, at capture.Stamp) []byte {
	whole := h.rest == h.frame.size && len(b) >= h.rest
	n := min(len(b), h.rest-h.pad)
	s := p.find(h.frame.id)
	if s != nil && s.takes(h.d) {
		p.body(s, h, b[:n], whole)
	}
	b = b[n:]
	if h.rest -= n; h.rest > h.pad {
		return b
	}
	h.state = atRest
	if h.rest == 0 {
		h.state = atFrame
	}
	if s != nil && h.frame.flags&flagEndStream != 0 {
		p.endSide(s, h.d, at)
	}
	return b
}

// block reads a piece of a header block.
func (p *parser) block(h *half, b []byte, at capture.Stamp) []byte {
	n := min(len(b), h.rest-h.pad)
	piece, last := b[:n], n == h.rest-h.pad
	b = b[n:]
	h.rest -= n
	if last {
		h.state = atRest
		if h.rest == 0 {
			h.state = atFrame
		}
	}
	ends := last && h.frame.flags&flagEndHeaders != 0
	switch {
	case h.open.over:
	case ends && h.pieces == nil && n <= p.Head:
		p.headers(h, piece, at)
	case p.gather(h, piece):
		if ends {
			p.headers(h, h.pieces.B, at)
		}
	default:
		// What came so far is worth reading; the table is lost with the rest.
		p.n[capture.HTTP2HeaderLimit]++
		h.open.over = true
		if h.pieces == nil {
			piece = piece[:min(len(piece), p.Head)]
		} else {
			p.Add(&h.pieces, piece[:min(len(piece), p.Head-len(h.pieces.B))])
			piece = h.pieces.B
		}
		p.headers(h, piece, at)
		p.forget(h)
	}
	if ends {
		p.Put(h.pieces)
		h.pieces, h.open = nil, nil
	}
	return b
}

// gather keeps a piece of a block until its end. It is false at a limit.
func (p *parser) gather(h *half, piece []byte) bool {
	have := 0
	if h.pieces != nil {
		have = len(h.pieces.B)
	}
	return have+len(piece) <= p.Head && (len(piece) == 0 && h.pieces != nil || p.Add(&h.pieces, piece))
}

// abandon gives up the header block being read.
func (p *parser) abandon(h *half) {
	p.Put(h.pieces)
	h.pieces, h.open = nil, nil
	p.forget(h)
}

// forget says that a header block was not read: the table is not known any more.
func (p *parser) forget(h *half) { h.table.Forget() }

// lose says that it is not known where the next frame begins.
func (p *parser) lose(h *half) {
	if h.open != nil {
		p.abandon(h)
	}
	p.forget(h)
	h.lossy = true
	h.sought = 0
	h.state = atSeek
}

// seek looks for the next frame.
func (p *parser) seek(h *half, b []byte) []byte {
	if h.d == capture.ToServer && h.sought == 0 && len(b) > 0 {
		if n := min(len(b), len(preface)); string(b[:n]) == preface[:n] {
			if n < len(preface) {
				return b
			}
			h.state = atFrame
			h.table.Reset()
			return b[n:]
		}
	}
	from := 0
	for {
		i := bytes.IndexByte(b[from:], 0) // a frame that long is not believed
		if i < 0 {
			from = len(b)
			break
		}
		from += i
		if v := p.believable(h, b[from:], h.sought == 0 && from == 0); v == capture.Yes {
			p.n[capture.HTTP2Resyncs]++
			h.state = atFrame
			h.sought = 0
			return b[from:]
		} else if v == capture.Maybe {
			break
		}
		from++
	}
	if h.sought += from; h.sought > p.Seek {
		h.state = atNothing
	}
	return b[from:]
}

// believable says whether b begins with a frame. first: it is the beginning of
// what is seen, most likely of a segment, where frames like to begin.
func (p *parser) believable(h *half, b []byte, first bool) capture.Verdict {
	if len(b) < frameHead {
		if strictPart(b) {
			return capture.Maybe
		}
		return capture.No
	}
	if !strict(b, p) {
		return capture.No
	}
	f := readHead(b)
	end := frameHead + f.size
	known := p.find(f.id) != nil
	switch {
	case end == len(b):
		if first || known || rules[f.kind].size >= 0 {
			return capture.Yes
		}
		return capture.No
	case end+frameHead <= len(b):
		if strict(b[end:], p) {
			return capture.Yes
		}
		return capture.No
	case end < len(b):
		if strictPart(b[end:]) {
			return capture.Yes
		}
		return capture.No
	case first && (known || f.kind == headersFrame), known && f.kind == dataFrame:
		return capture.Yes
	}
	return capture.No
}
