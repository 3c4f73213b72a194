package http1

import (
	"bytes"

	"plainsight/capture"
	"plainsight/capture/transaction"
)

// state is where in a message a direction is.
type state uint8

const (
	atStart     state = iota // between messages
	atLine                   // in a start line
	atHead                   // behind a good start line
	atRest                   // in the part of a head that is over the limit
	atBody                   // in a body of known length
	atClose                  // in a body that ends with the direction
	atChunkSize              // in a chunk's first line
	atChunk                  // in a chunk's data
	atChunkEnd               // at the line end behind it
	atTrailer                // behind the last chunk
	atSkip                   // lost: at the next start line we go on
	atHold                   // client only: the server decides what protocol this is
	atHoldLost               // the same, but its decision was lost
)

// half is the reading of one direction.
type half struct {
	d        capture.Dir
	state    state
	lossy    bool // bytes of this direction were lost
	ended    bool
	resynced bool // the message was found by looking for it
	broken   bool // nothing was lost, but a message broke its framing
	trailing bool // atRest in a trailer
	messages int

	t       *exchange           // of the message being read, from its head on
	f       fields              // of that message
	start   capture.Stamp       // of its first byte
	buf     *transaction.Buffer // what is collected because it came in pieces
	seen    int                 // bytes of buf that need no second look
	midline bool                // atSkip: what is collected does not begin where its line does
	rest    int64               // bytes to come of the body or chunk
	line    byte                // atRest: where in a line, see rest

	// Of a chunk's first line.
	size   uint64
	digits int
	part   chunkPart
	ext    int  // bytes of extensions
	cr     bool // the last byte was a CR
	first  bool // it is the body's first
	opened buffered
}

// buffered is the beginning of a body that is said to be chunked.
type buffered struct {
	b [24]byte
	n int
}

func (o *buffered) add(b []byte) { o.n += copy(o.b[o.n:], b) }

type chunkPart uint8

const (
	inSize chunkPart = iota
	inSpace
	inExt
	inQuote
	inEscape
)

// mark notes that the message being read is not whole.
func (h *half) mark(f capture.Flaw) { h.t.Mark(h.d, f) }

// drop gives up what was collected.
func (p *parser) drop(h *half) {
	p.Put(h.buf)
	h.buf = nil
	h.seen = 0
}

// run reads b and returns how much of it was used: all, but for a handover.
func (p *parser) run(h *half, b []byte, at capture.Stamp) int {
	total := len(b)
	for len(b) > 0 && !p.over {
		switch h.state {
		case atStart:
			for len(b) > 0 && (b[0] == '\r' || b[0] == '\n') {
				b = b[1:]
			}
			if len(b) > 0 {
				h.start = at
				h.state = atLine
			}
		case atLine:
			b = p.startLine(h, b, at)
		case atHead:
			b = p.head(h, b, at)
		case atRest:
			b = p.restOfHead(h, b, at)
		case atBody:
			b = p.body(h, b, at)
		case atClose:
			p.Keep(&h.t.T, h.d, b)
			h.t.Message(h.d).End = at
			b = nil
		case atChunkSize:
			b = p.chunkSize(h, b, at)
		case atChunk:
			n := int(min(int64(len(b)), h.rest))
			p.Keep(&h.t.T, h.d, b[:n])
			b = b[n:]
			if h.rest -= int64(n); h.rest == 0 {
				p.bodyRead(h, at)
			}
		case atChunkEnd:
			b = p.chunkEnd(h, b, at)
		case atTrailer:
			b = p.trailer(h, b, at)
		case atSkip:
			b = p.skip(h, b, at)
		case atHold:
			if h.buf != nil && len(h.buf.B)+len(b) > p.Hold || !p.Add(&h.buf, b) {
				p.drop(h)
				h.lossy = true
			}
			b = nil
		case atHoldLost:
			if h.buf == nil {
				h.state = atStart
				break
			}
			p.releaseHold(at)
		}
	}
	return total - len(b)
}

// read parses a start line of the direction.
func (h *half) read(line []byte) (start, bool) {
	if h.d == capture.ToClient {
		return statusLine(line)
	}
	s, ok := requestLine(line)
	if ok && s.versionless && (h.lossy || h.messages > 0) {
		return s, false // HTTP/0.9 has one request a connection
	}
	return s, ok
}

// startLine reads a start line; with the whole head in b it reads that in place.
func (p *parser) startLine(h *half, b []byte, at capture.Stamp) []byte {
	i := bytes.IndexByte(b, '\n')
	if h.buf == nil && i >= 0 {
		s, ok := h.read(b[:i+1])
		if !ok {
			return p.noStart(h, b, i+1, at)
		}
		if end, _ := headEnd(b, i); end >= 0 && end <= p.Head {
			p.message(h, s, b[:end], at)
			return b[end:]
		}
	}
	piece := b
	if i >= 0 {
		piece = b[:i+1]
	}
	room := p.Head
	if h.buf != nil {
		room -= len(h.buf.B)
	}
	if len(piece) > room || !p.Add(&h.buf, piece) {
		p.n[capture.HeadLimitReached]++
		p.n[capture.ExchangesDiscarded]++
		p.drop(h)
		h.lossy = true
		h.state = atSkip
		h.midline = i < 0
		p.responseLost(h.d, int64(len(b)))
		return b[len(piece):] // never look at the same line again
	}
	if i < 0 {
		if !plausible(h.d, h.buf.B) {
			return p.noStart(h, nil, 0, at)
		}
		return nil
	}
	if _, ok := h.read(h.buf.B); !ok {
		return p.noStart(h, b[i+1:], 0, at)
	}
	h.state = atHead
	h.seen = len(h.buf.B) - 1
	return b[i+1:]
}

// noStart deals with bytes that are not a start line: those collected, and the
// first n of b. It returns what of b is still to be read.
func (p *parser) noStart(h *half, b []byte, n int, at capture.Stamp) []byte {
	if p.answersWithoutHead(h) {
		t := p.response()
		h.t = t
		m := &t.X.Response
		m.Seen, m.Start, m.Proto = true, h.start, capture.HTTPX
		m.Flaws |= capture.FlawStartLine | capture.FlawHTTP09
		h.state = atClose
		if h.buf != nil {
			p.Keep(&t.T, h.d, h.buf.B)
			m.End = at
			p.drop(h)
		}
		return b
	}
	p.n[capture.ExchangesDiscarded]++
	h.state = atSkip
	if h.buf == nil {
		return b // skip looks at the same line again, for a start line inside it
	}
	if line := h.buf.B; line[len(line)-1] == '\n' {
		p.found(h, resync(h.d, line, false), at)
	}
	return b
}

// answersWithoutHead says that bytes which are no status line are an answer all
// the same, as in HTTP/0.9: the first bytes from the server, and a request waits.
func (p *parser) answersWithoutHead(h *half) bool {
	return h.d == capture.ToClient && h.messages == 0 && !h.lossy && !p.conn.Midstream &&
		p.next < len(p.queue) && len(p.interim) == 0 && len(p.queue[p.next].X.Interim) == 0
}

// window is how much of a line is kept while looking for a start line.
const window = 8 << 10

// skip looks for the next start line, line by line.
func (p *parser) skip(h *half, b []byte, at capture.Stamp) []byte {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		p.tail(h, b)
		return nil
	}
	if h.buf == nil {
		n := resync(h.d, b[:i+1], h.midline)
		h.midline = false
		if n >= 0 && p.credible(h) {
			p.found(h, n, at)
			return b[n:]
		}
		return b[i+1:]
	}
	p.tail(h, b[:i+1])
	if h.buf != nil {
		p.found(h, resync(h.d, h.buf.B, h.midline), at)
	}
	h.midline = false
	return b[i+1:]
}

// tail appends to the line being looked through, forgetting its beginning.
func (p *parser) tail(h *half, b []byte) {
	if len(b) > window {
		b = b[len(b)-window:]
		p.drop(h)
		h.midline = true
	}
	if h.buf != nil && len(h.buf.B)+len(b) > 2*window {
		n := copy(h.buf.B, h.buf.B[len(h.buf.B)-window:])
		clear(h.buf.B[n:])
		h.buf.B = h.buf.B[:n]
		h.midline = true
	}
	if !p.Add(&h.buf, b) {
		p.drop(h)
		h.midline = true
	}
}

// found goes on with the start line at offset n of the collected line, or looks
// on where n is negative.
func (p *parser) found(h *half, n int, at capture.Stamp) {
	if n < 0 || !p.credible(h) {
		p.drop(h)
		return
	}
	h.start = at
	h.resynced = true
	if h.buf == nil {
		h.state = atLine
		return
	}
	line := h.buf.B
	m := copy(line, line[n:])
	clear(line[m:])
	h.buf.B = line[:m]
	h.state = atHead
	h.seen = m - 1
}

// credible says that a start line found by looking for one can be a message, and
// not the inside of one: who breaks a message would like us to believe that.
func (p *parser) credible(h *half) bool {
	c, s := &p.half[capture.ToServer], &p.half[capture.ToClient]
	waits := p.next < len(p.queue)
	if h.d == capture.ToServer {
		// Behind a broken request comes another only if that one was answered.
		return !h.broken || h.lossy || s.lossy || !waits
	}
	return waits || c.lossy || c.messages == 0 || p.conn.Midstream
}

// head collects a head until its end.
func (p *parser) head(h *half, b []byte, at capture.Stamp) []byte {
	for len(b) > 0 {
		piece := b[:min(len(b), 2<<10, p.Head-len(h.buf.B))]
		if len(piece) == 0 || !p.Add(&h.buf, piece) {
			p.headLimit(h, at)
			return b
		}
		end, next := headEnd(h.buf.B, h.seen)
		if end < 0 {
			h.seen = next
			b = b[len(piece):]
			continue
		}
		over := len(h.buf.B) - end
		clear(h.buf.B[end:])
		h.buf.B = h.buf.B[:end]
		line := h.buf.B[:bytes.IndexByte(h.buf.B, '\n')+1]
		s, _ := h.read(line)
		p.message(h, s, h.buf.B, at)
		return b[len(piece)-over:]
	}
	return nil
}

// headLimit takes what was collected of a head for all of it.
func (p *parser) headLimit(h *half, at capture.Stamp) {
	p.n[capture.HeadLimitReached]++
	head := h.buf.B
	s, _ := h.read(head[:bytes.IndexByte(head, '\n')+1])
	s.flaws |= capture.FlawHeadLimit
	h.line = inLine
	if head[len(head)-1] == '\n' {
		h.line = afterLF
	} else if bytes.HasSuffix(head, []byte("\n\r")) {
		h.line = afterCR
	}
	h.trailing = false
	p.message(h, s, head, at)
}

// Where restOfHead is in a line.
const (
	inLine byte = iota
	afterLF
	afterCR
)

// restOfHead passes over what is behind the limit, up to the empty line.
func (p *parser) restOfHead(h *half, b []byte, at capture.Stamp) []byte {
	for i, c := range b {
		switch {
		case c == '\n' && h.line != inLine:
			if h.trailing {
				p.complete(h, at)
			} else {
				p.frame(h, at)
			}
			return b[i+1:]
		case c == '\n':
			h.line = afterLF
		case c == '\r' && h.line == afterLF:
			h.line = afterCR
		default:
			h.line = inLine
		}
	}
	return nil
}

// message opens the message whose head was read. head is h.buf's or borrowed.
func (p *parser) message(h *half, s start, head []byte, at capture.Stamp) {
	if h.d == capture.ToClient && s.status < 200 && s.status != 101 {
		p.interimResponse(h, s.status)
		return
	}
	owned := h.buf
	h.buf = nil
	h.seen = 0
	if owned == nil && !p.Add(&owned, head) {
		p.n[capture.HeadLimitReached]++
		p.n[capture.ExchangesDiscarded]++
		h.lossy = true
		h.state = atSkip
		p.responseLost(h.d, int64(len(head)))
		return
	}
	var t *exchange
	if h.d == capture.ToServer {
		t = p.request()
	} else {
		t = p.response()
	}
	h.t = t
	block := owned.B
	t.Side[h.d].Head = owned
	m := t.Message(h.d)
	line := bytes.IndexByte(block, '\n') + 1
	h.f = fields{length: -1}
	m.Headers = h.f.headers(m.Headers, block[line:], p.Headers)
	h.f.conclude()
	m.Seen, m.Start, m.End, m.Proto = true, h.start, at, s.proto
	if s.proto == capture.HTTP10 && h.f.chunked {
		h.f.flaws |= capture.FlawTransferEncoding // faulty framing (RFC 9112 §6.1), whoever believes it
	}
	m.ContentLength = h.f.length
	m.Chunked = h.f.chunked
	m.Flaws |= s.flaws | h.f.flaws
	if p.conn.Midstream && h.messages == 0 && (h.resynced || h.lossy) {
		m.Flaws |= capture.FlawMidstream
	}
	h.resynced, h.broken = false, false
	t.Side[h.d].Codings = h.f.codings
	if h.d == capture.ToServer {
		p.describeRequest(t, &s, block, &h.f)
	} else {
		t.X.Status = s.status
		t.X.Reason = s.reason.of(block)
		if t.X.Request.Seen && !t.Side[capture.ToServer].Done {
			m.Flaws |= capture.FlawEarlyResponse
		}
	}
	if s.flaws&capture.FlawHeadLimit != 0 {
		m.Truncated = true
		h.state = atRest
		return
	}
	p.frame(h, at)
}

func (p *parser) describeRequest(t *exchange, s *start, block []byte, f *fields) {
	x := &t.X
	x.Method = s.method.of(block)
	x.Target = s.target.of(block)
	var flaws capture.Flaw
	x.Authority, x.Scheme, flaws = authority(x.Method, x.Target, f, s.proto)
	x.Request.Flaws |= flaws
	t.connect = string(x.Method) == "CONNECT"
	t.head = string(x.Method) == "HEAD"
	t.asksChange = t.connect || f.upgrade && f.connected
}

// interimResponse notes a 1xx response (RFC 9110 §15.2).
func (p *parser) interimResponse(h *half, status int) {
	p.drop(h)
	h.state = atStart
	to := &p.interim
	if p.next < len(p.queue) {
		to = &p.queue[p.next].X.Interim
	}
	if len(*to) < 16 {
		*to = append(*to, status)
	}
}

// frame decides how long the body is (RFC 9112 §6.3).
func (p *parser) frame(h *half, at capture.Stamp) {
	t, f := h.t, &h.f
	none := t.connect // a CONNECT has no content (RFC 9110 §9.3.6)
	if h.d == capture.ToClient {
		status := t.X.Status
		if status == 101 || t.connect && status/100 == 2 {
			p.agree(t)
			p.complete(h, at)
			p.handover()
			return
		}
		none = t.head || status == 204 || status == 304
	}
	switch {
	case none:
		p.complete(h, at)
	case f.chunked:
		p.chunkLine(h)
		h.first, h.opened = true, buffered{}
	case f.transfer:
		h.close()
	case f.length > 0:
		h.state = atBody
		h.rest = f.length
	case f.length == 0, h.d == capture.ToServer:
		p.complete(h, at)
	case !t.X.Request.Seen && !p.credible(h):
		// Nobody asked for it: it must not swallow the answers to come.
		p.complete(h, at)
	default:
		h.close()
	}
}

// close begins a body that ends with the direction.
func (h *half) close() {
	h.state = atClose
	const odd = capture.FlawTransferEncoding | capture.FlawHeader | capture.FlawBareCR | capture.FlawNUL | capture.FlawFold |
		capture.FlawStartLine
	h.t.unframed = h.d == capture.ToClient && h.t.X.Response.Flaws&odd != 0
}

// body reads a body of known length.
func (p *parser) body(h *half, b []byte, at capture.Stamp) []byte {
	t := h.t
	if h.d == capture.ToClient && h.rest <= int64(len(b)) && p.queue[0] == t && t.Side[capture.ToServer].Done &&
		p.Lend(&t.T, h.d, b[:h.rest]) {
		// All of it is here and the exchange goes out now: no need to copy.
		b = b[h.rest:]
		h.rest = 0
		p.complete(h, at)
		return b
	}
	n := int(min(int64(len(b)), h.rest))
	p.Keep(&t.T, h.d, b[:n])
	if h.rest -= int64(n); h.rest == 0 {
		p.bodyRead(h, at)
	}
	return b[n:]
}

// bodyRead goes on behind a body, or a chunk, that is complete.
func (p *parser) bodyRead(h *half, at capture.Stamp) {
	if h.state == atChunk {
		h.state, h.cr = atChunkEnd, false
		return
	}
	p.complete(h, at)
}

// complete ends the message being read.
func (p *parser) complete(h *half, at capture.Stamp) {
	p.drop(h)
	t := h.t
	h.t = nil
	h.messages++
	h.state = atStart
	t.Side[h.d].Done = true
	t.Message(h.d).End = at
	release := false
	if h.d == capture.ToServer {
		if t.asksChange && !t.X.Response.Seen && !p.half[capture.ToClient].ended {
			h.state = atHold
		}
	} else if t.asksChange && t.X.Status != 101 && !(t.connect && t.X.Status/100 == 2) {
		release = p.half[capture.ToServer].state == atHold
	}
	p.flush()
	if release {
		p.releaseHold(at)
	}
}

// chunkLine begins a chunk.
func (p *parser) chunkLine(h *half) {
	h.state = atChunkSize
	h.size, h.digits, h.part, h.ext, h.cr = 0, 0, inSize, 0, false
	h.first = false
}

// extension is how many bytes of chunk extensions in one line are not odd.
const extension = 4 << 10

// chunkSize reads the first line of a chunk (RFC 9112 §7.1). It keeps none of it
// but the beginning of the first, which may turn out to be none.
func (p *parser) chunkSize(h *half, b []byte, at capture.Stamp) []byte {
	m := h.t.Message(h.d)
	// Browsers look past much, and servers that hide a body count on that. With a
	// request it would help who smuggles another.
	lenient := h.d == capture.ToClient
	for i, c := range b {
		if h.cr && c != '\n' {
			m.Flaws |= capture.FlawBareCR | capture.FlawChunk
			if !lenient {
				return p.chunkBroken(h, b[:i], b[i:], at)
			}
			h.cr = false
		}
		switch {
		case c == '\n' && h.digits == 0:
			// An empty line before the size.
			m.Flaws |= capture.FlawChunk
			if h.ext++; h.ext > 4 || !lenient {
				return p.chunkBroken(h, b[:i], b[i:], at)
			}
			h.cr = false
		case c == '\n':
			if !h.cr {
				m.Flaws |= capture.FlawBareLF
			}
			if h.part == inSpace || h.part >= inQuote || h.part == inExt && h.ext == 0 || h.ext > extension {
				m.Flaws |= capture.FlawChunk
			}
			h.rest = int64(h.size)
			h.first = false
			h.state = atChunk
			if h.size == 0 {
				h.state = atTrailer
			}
			return b[i+1:]
		case c == '\r':
			h.cr = true
		case h.part == inExt || h.part >= inQuote:
			h.ext++
			h.part = extended(h.part, c)
		case h.digits == 0 && (c <= ' ' || c == 0x7f):
			m.Flaws |= capture.FlawChunk
			if h.ext++; h.ext > 4 || !lenient {
				return p.chunkBroken(h, b[:i], b[i:], at)
			}
		case c == ';' && h.digits > 0:
			h.part, h.ext = inExt, 0
		case c == ' ' || c == '\t':
			h.part, h.ext = inSpace, 0
		case h.part == inSpace:
			m.Flaws |= capture.FlawChunk
			h.part, h.ext = inExt, 1
		default:
			digit := hexDigit(c)
			if digit < 0 && h.digits > 0 && c < ' ' && lenient {
				m.Flaws |= capture.FlawChunk
				h.part, h.ext = inExt, 1
				break
			}
			if digit < 0 || h.size > 1<<58 {
				return p.chunkBroken(h, b[:i], b[i:], at)
			}
			h.size = h.size<<4 | uint64(digit)
			h.digits++
		}
	}
	if h.first {
		h.opened.add(b)
	}
	return nil
}

// extended follows the quotes of a chunk extension.
func extended(part chunkPart, c byte) chunkPart {
	switch {
	case part == inEscape:
		return inQuote
	case part == inQuote && c == '\\':
		return inEscape
	case c == '"' && part == inQuote:
		return inExt
	case c == '"':
		return inQuote
	}
	return part
}

// chunkBroken gives up a chunked body: where it ends cannot be known. read is
// what of the line was read in this segment, rest what was not. A response whose
// body does not even begin with a chunk is not chunked, whatever it says.
func (p *parser) chunkBroken(h *half, read, rest []byte, at capture.Stamp) []byte {
	m := h.t.Message(h.d)
	if h.first && h.d == capture.ToClient && h.opened.n+len(read) < len(h.opened.b) && h.size <= 1<<58 {
		m.Flaws |= capture.FlawChunk
		h.opened.add(read)
		start := h.opened.b[:h.opened.n]
		h.state, h.rest = atClose, h.f.length
		if h.rest > int64(len(start)) {
			h.rest -= int64(len(start))
			h.state = atBody
		}
		p.Keep(&h.t.T, h.d, start)
		return rest
	}
	h.mark(capture.FlawChunk)
	p.complete(h, at)
	if h.state == atStart {
		h.state = atSkip
		h.broken = true
	}
	return rest
}

func (p *parser) chunkEnd(h *half, b []byte, at capture.Stamp) []byte {
	switch {
	case b[0] == '\n':
		if !h.cr {
			h.t.Message(h.d).Flaws |= capture.FlawBareLF
		}
		p.chunkLine(h)
		return b[1:]
	case b[0] == '\r' && !h.cr:
		h.cr = true
		return b[1:]
	}
	return p.chunkBroken(h, nil, b, at)
}

// trailer reads the trailer section up to its empty line.
func (p *parser) trailer(h *half, b []byte, at capture.Stamp) []byte {
	if h.buf == nil {
		switch {
		case b[0] == '\n':
			h.t.Message(h.d).Flaws |= capture.FlawBareLF
			p.complete(h, at)
			return b[1:]
		case len(b) > 1 && b[0] == '\r' && b[1] == '\n':
			p.complete(h, at)
			return b[2:]
		}
	}
	for len(b) > 0 {
		room := p.Head
		if h.buf != nil {
			room -= len(h.buf.B)
		}
		piece := b[:min(len(b), 2<<10, room)]
		if len(piece) == 0 || !p.Add(&h.buf, piece) {
			p.n[capture.HeadLimitReached]++
			h.t.Message(h.d).Flaws |= capture.FlawHeadLimit
			p.drop(h)
			h.trailing, h.line, h.state = true, inLine, atRest
			return b
		}
		end := trailerEnd(h.buf.B, &h.seen)
		if end < 0 {
			b = b[len(piece):]
			continue
		}
		over := len(h.buf.B) - end
		clear(h.buf.B[end:])
		h.buf.B = h.buf.B[:end]
		p.trailerRead(h)
		p.complete(h, at)
		return b[len(piece)-over:]
	}
	return nil
}

// trailerEnd is headEnd for lines that may be empty at once.
func trailerEnd(b []byte, seen *int) int {
	switch {
	case b[0] == '\n':
		return 1
	case b[0] == '\r' && len(b) == 1:
		return -1
	case b[0] == '\r' && b[1] == '\n':
		return 2
	}
	end, next := headEnd(b, *seen)
	*seen = next
	return end
}

func (p *parser) trailerRead(h *half) {
	m := h.t.Message(h.d)
	f := fields{length: -1}
	m.Trailer = f.headers(m.Trailer, h.buf.B, p.Headers)
	m.Flaws |= f.flaws & (capture.FlawFold | capture.FlawBareLF | capture.FlawBareCR | capture.FlawNUL |
		capture.FlawHeader | capture.FlawHeaderSpace | capture.FlawHeadLimit)
	h.t.Side[h.d].Trailer = h.buf
	h.buf = nil
	h.seen = 0
}
