package http1

import (
	"bytes"

	"plainsight/capture"
	"plainsight/capture/coding"
)

// transaction is one exchange while it is read. It owns the memory behind the
// exchange it hands out, and goes back to the pool with all of it zeroed.
type transaction struct {
	x    capture.Exchange
	side [2]side

	asksChange bool // CONNECT, or an upgrade: what follows waits for the answer
	connect    bool
	head       bool // the method is HEAD: an answer has no body
	lost       loss
}

// side is what a transaction keeps of one of its messages.
type side struct {
	done                bool // complete, or never to be
	full                bool // no more of the body is kept
	head, body, trailer *buffer
	whole               []byte // the body, where the last segment holds all of it; borrowed
	unframed            bool   // the head is odd and the body ends with the direction
	codings             coding.List
}

// loss says whether the answer to a request went by unseen.
type loss uint8

const (
	kept loss = iota
	perhaps
	surely
)

func (t *transaction) message(d capture.Dir) *capture.Message {
	if d == capture.ToServer {
		return &t.x.Request
	}
	return &t.x.Response
}

func (s *shared) take() *transaction {
	if t, ok := s.transactions.Get().(*transaction); ok {
		return t
	}
	t := new(transaction)
	t.clear()
	return t
}

// release gives the memory of t back.
func (s *shared) release(t *transaction) {
	for i := range t.side {
		s.buffers.put(t.side[i].head)
		s.buffers.put(t.side[i].body)
		s.buffers.put(t.side[i].trailer)
	}
	t.clear()
	s.transactions.Put(t)
}

// clear makes t as new, but for the slices it may use again.
func (t *transaction) clear() {
	req, res := &t.x.Request, &t.x.Response
	*t = transaction{x: capture.Exchange{
		Interim: t.x.Interim[:0],
		Request: capture.Message{
			Headers: emptied(req.Headers), Trailer: emptied(req.Trailer), ContentLength: -1,
		},
		Response: capture.Message{
			Headers: emptied(res.Headers), Trailer: emptied(res.Trailer), ContentLength: -1,
		},
	}}
}

// emptied keeps the room of a usual slice of headers without what it pointed to.
func emptied(h []capture.Header) []capture.Header {
	if cap(h) > 128 {
		return nil
	}
	clear(h)
	return h[:0]
}

// keep appends bytes of the body, up to the budget, and counts all of them.
func (s *shared) keep(t *transaction, d capture.Dir, b []byte) {
	m, side := t.message(d), &t.side[d]
	m.BodySize += int64(len(b))
	if side.full || s.CountOnly {
		return
	}
	room := s.Body
	if side.body != nil {
		room -= len(side.body.b)
	}
	if len(b) > room {
		b = b[:room]
		side.full = true
	}
	if len(b) > 0 && !s.buffers.add(&side.body, b) {
		side.full = true
	}
	if side.full {
		m.Truncated = true
		m.Flaws |= capture.FlawBodyLimit
	}
}

// incomplete are the flaws that say nothing against who sent the message.
const incomplete = capture.FlawGap | capture.FlawCut | capture.FlawMidstream | capture.FlawBodyLimit |
	capture.FlawDecodeLimit | capture.FlawEncodingUnknown | capture.FlawHeadLimit | capture.FlawUnanswered |
	capture.FlawEarlyResponse | capture.FlawSnapped

// emit hands t to the handler and releases it.
func (p *parser) emit(t *transaction) {
	var decoded [2]*[]byte
	for d := range t.side {
		m := t.message(capture.Dir(d))
		if !m.Seen {
			continue
		}
		decoded[d] = p.decode(t, capture.Dir(d))
		if m.Flaws&^incomplete != 0 {
			p.n[capture.MessagesFlawed]++
		}
		if m.Truncated {
			p.n[capture.BodiesTruncated]++
		}
		if m.Flaws&(capture.FlawDecode|capture.FlawEncodingUnknown) != 0 {
			p.n[capture.BodiesUndecoded]++
		}
		if m.Flaws&capture.FlawDecodeLimit != 0 {
			p.n[capture.DecodeLimitReached]++
		}
	}
	p.n[capture.Exchanges]++
	switch {
	case !t.x.Response.Seen:
		p.n[capture.ExchangesUnanswered]++
	case !t.x.Request.Seen:
		p.n[capture.ExchangesResponseOnly]++
	}
	t.x.Conn = p.conn
	p.handler.Exchange(&t.x)
	for _, b := range decoded {
		p.putDecoded(b)
	}
	p.release(t)
}

// gzipped is how each member of a gzip stream begins (RFC 1952 §2.3.1).
var gzipped = []byte{0x1f, 0x8b, 8}

// decode sets the body of a message, decoded. It returns the memory it used.
func (p *parser) decode(t *transaction, d capture.Dir) *[]byte {
	m, s := t.message(d), &t.side[d]
	raw := s.whole
	if s.body != nil {
		raw = s.body.b
	}
	if s.unframed && !s.full {
		if n, ok := dechunk(raw); ok {
			// The head hides from us that the body is chunked, but it is.
			raw = raw[:n]
			m.BodySize = int64(n)
			m.Flaws |= capture.FlawTransferEncoding
		}
	}
	m.Body = raw[:len(raw):len(raw)]
	m.DecodedSize = m.BodySize
	if s.codings.Empty() && m.Flaws&(capture.FlawHeader|capture.FlawNUL|capture.FlawBareCR) != 0 && bytes.HasPrefix(raw, gzipped) {
		s.codings.Add(capture.Text("gzip")) // that, too, an odd head hides
		m.Flaws |= capture.FlawEncodingUnknown
	}
	if p.CountOnly && !s.codings.Empty() {
		m.DecodedSize = 0
	}
	if s.codings.Empty() || len(raw) == 0 {
		return nil
	}
	to := p.takeDecoded()
	out, flaws, ok := p.decoder.Decode(*to, raw, &s.codings, m.Truncated)
	*to = out
	m.Flaws |= flaws
	if flaws&^capture.FlawEncodingUnknown != 0 || !ok {
		m.Truncated = true
	}
	if ok {
		m.Body = out[:len(out):len(out)]
		m.DecodedSize = int64(len(out))
	}
	return to
}

// dechunk takes the chunked coding off b in place, if b is that from the first
// byte to the last, and returns how much is left.
func dechunk(b []byte) (n int, ok bool) {
	// The first walk only looks, so that b stays as it is where it is something else.
	for _, move := range []bool{false, true} {
		n = 0
		for rest := b; ; {
			size, digits := 0, 0
			for digits < len(rest) && digits < 7 && hexDigit(rest[digits]) >= 0 {
				size = size<<4 | hexDigit(rest[digits])
				digits++
			}
			if digits == 0 || len(rest) < digits+2+size+2 || rest[digits] != '\r' || rest[digits+1] != '\n' {
				return 0, false
			}
			rest = rest[digits+2:]
			if rest[size] != '\r' || rest[size+1] != '\n' {
				return 0, false
			}
			if move {
				copy(b[n:], rest[:size])
			}
			n += size
			rest = rest[size+2:]
			if size == 0 {
				if len(rest) > 0 {
					return 0, false
				}
				break
			}
		}
	}
	return n, true
}

func (s *shared) takeDecoded() *[]byte {
	if b, ok := s.decoded.Get().(*[]byte); ok {
		return b
	}
	return new([]byte)
}

func (s *shared) putDecoded(b *[]byte) {
	if b == nil {
		return
	}
	clear(*b)
	*b = (*b)[:0]
	s.decoded.Put(b)
}
