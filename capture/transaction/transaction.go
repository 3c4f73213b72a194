// Package transaction holds an HTTP exchange while it is read: the memory behind
// it, pooled and bounded, the undoing of its content codings, and its end, when
// the handler sees it. Packages http1 and http2 fill transactions in; framing and
// pairing are their work. It never keeps a byte after the handler has returned.
package transaction

import (
	"sync"

	"plainsight/capture"
	"plainsight/capture/coding"
)

// Options are the bounds of all transactions of a [Pool].
type Options struct {
	Body   int // bytes of a body kept, as sent
	Memory int // bytes of all bodies and heads being read
	Decode coding.Options
	// CountOnly: bodies are counted and neither kept nor decoded.
	CountOnly bool
}

// Pool is the memory of transactions. It is safe for concurrent use.
type Pool struct {
	o       Options
	decoder *coding.Decoder
	Buffers
	decoded sync.Pool // *[]byte: bodies decoded for one call of the handler
}

// Init makes a pool ready.
func (p *Pool) Init(o Options) {
	p.o = o
	p.decoder = coding.New(o.Decode)
	p.limit = int64(o.Memory)
}

// T is one exchange while it is read. It owns the memory behind X.
type T struct {
	X    capture.Exchange
	Side [2]Side // by capture.Dir
}

// Side is what a transaction keeps of one of its messages.
type Side struct {
	Done          bool // complete, or never to be
	Head, Trailer *Buffer
	Codings       coding.List
	full          bool // no more of the body is kept
	body          *Buffer
	whole         []byte // the body, where the last segment holds all of it; borrowed
}

// Message is the message of a direction.
func (t *T) Message(d capture.Dir) *capture.Message {
	if d == capture.ToServer {
		return &t.X.Request
	}
	return &t.X.Response
}

// Clear makes t as new, but for the slices it may use again.
func (t *T) Clear() {
	x := &t.X
	interim, headers, trailers := x.Interim[:0], [2][]capture.Header{}, [2][]capture.Header{}
	for d := range t.Side {
		m := t.Message(capture.Dir(d))
		headers[d], trailers[d] = emptied(m.Headers), emptied(m.Trailer)
	}
	*t = T{}
	x.Interim = interim
	for d := range t.Side {
		m := t.Message(capture.Dir(d))
		m.Headers, m.Trailer, m.ContentLength = headers[d], trailers[d], -1
	}
}

// emptied keeps the room of a usual slice of headers without what it pointed to.
func emptied(h []capture.Header) []capture.Header {
	if cap(h) > 128 {
		return nil
	}
	clear(h)
	return h[:0]
}

// Release gives the memory of t back and clears it.
func (p *Pool) Release(t *T) {
	for i := range t.Side {
		p.Put(t.Side[i].Head)
		p.Put(t.Side[i].body)
		p.Put(t.Side[i].Trailer)
	}
	t.Clear()
}

// Mark notes that the message of a direction is not whole.
func (t *T) Mark(d capture.Dir, f capture.Flaw) {
	m := t.Message(d)
	m.Flaws |= f
	m.Truncated = true
	t.Side[d].full = true // what comes behind a hole does not join what came before
}

// Keep appends bytes of the body, up to the budget, and counts all of them.
func (p *Pool) Keep(t *T, d capture.Dir, b []byte) {
	m, side := t.Message(d), &t.Side[d]
	m.BodySize += int64(len(b))
	if side.full || p.o.CountOnly {
		return
	}
	room := p.o.Body
	if side.body != nil {
		room -= len(side.body.B)
	}
	if len(b) > room {
		b = b[:room]
		side.full = true
	}
	if len(b) > 0 && !p.Add(&side.body, b) {
		side.full = true
	}
	if side.full {
		m.Truncated = true
		m.Flaws |= capture.FlawBodyLimit
	}
}

// Lend is Keep for the whole of a body, which is borrowed until the end of the
// call that gave it: [Pool.Emit] must come before. It is false where the body
// must be kept instead.
func (p *Pool) Lend(t *T, d capture.Dir, b []byte) bool {
	m, side := t.Message(d), &t.Side[d]
	if m.BodySize > 0 || side.full || p.o.CountOnly || len(b) > p.o.Body {
		return false
	}
	m.BodySize = int64(len(b))
	side.whole = b[:len(b):len(b)]
	return true
}

// Raw is the body kept so far, as sent. It belongs to t.
func (t *T) Raw(d capture.Dir) []byte {
	s := &t.Side[d]
	if s.body != nil {
		return s.body.B
	}
	return s.whole
}

// Cut shortens the body to its first n bytes: the rest was framing.
func (t *T) Cut(d capture.Dir, n int) {
	s := &t.Side[d]
	if s.body != nil {
		clear(s.body.B[n:])
		s.body.B = s.body.B[:n]
	} else {
		s.whole = s.whole[:n:n]
	}
	t.Message(d).BodySize = int64(n)
}

// Full reports whether there is more of the body than is kept.
func (t *T) Full(d capture.Dir) bool { return t.Side[d].full }

// incomplete are the flaws that say nothing against who sent the message.
const incomplete = capture.FlawGap | capture.FlawCut | capture.FlawMidstream | capture.FlawBodyLimit |
	capture.FlawDecodeLimit | capture.FlawEncodingUnknown | capture.FlawHeadLimit | capture.FlawUnanswered |
	capture.FlawEarlyResponse | capture.FlawSnapped | capture.FlawHPACK | capture.FlawReset

// Emit hands t to the handler. It is to be released then.
func (p *Pool) Emit(t *T, h capture.Handler, n *capture.Counts) {
	var decoded [2]*[]byte
	for d := range t.Side {
		m := t.Message(capture.Dir(d))
		if !m.Seen {
			continue
		}
		decoded[d] = p.decode(t, capture.Dir(d))
		if m.Flaws&^incomplete != 0 {
			n[capture.MessagesFlawed]++
		}
		if m.Truncated {
			n[capture.BodiesTruncated]++
		}
		if m.Flaws&(capture.FlawDecode|capture.FlawEncodingUnknown) != 0 {
			n[capture.BodiesUndecoded]++
		}
		if m.Flaws&capture.FlawDecodeLimit != 0 {
			n[capture.DecodeLimitReached]++
		}
	}
	n[capture.Exchanges]++
	switch {
	case !t.X.Response.Seen:
		n[capture.ExchangesUnanswered]++
	case !t.X.Request.Seen:
		n[capture.ExchangesResponseOnly]++
	}
	h.Exchange(&t.X)
	for _, b := range decoded {
		p.putDecoded(b)
	}
}

// decode sets the body of a message, decoded. It returns the memory it used.
func (p *Pool) decode(t *T, d capture.Dir) *[]byte {
	m, s := t.Message(d), &t.Side[d]
	raw := t.Raw(d)
	m.Body = raw[:len(raw):len(raw)]
	m.DecodedSize = m.BodySize
	if s.Codings.Empty() {
		return nil
	}
	if p.o.CountOnly {
		m.DecodedSize = 0
	}
	if len(raw) == 0 {
		return nil
	}
	to, ok := p.decoded.Get().(*[]byte)
	if !ok {
		to = new([]byte)
	}
	out, flaws, ok := p.decoder.Decode(*to, raw, &s.Codings, m.Truncated)
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

func (p *Pool) putDecoded(b *[]byte) {
	if b == nil {
		return
	}
	clear(*b)
	*b = (*b)[:0]
	p.decoded.Put(b)
}
