package http2

import (
	"sync/atomic"

	"plainsight/capture"
)

// parser reads one connection. Streams stand in a map by their id and in a list
// in the order in which they were opened.
type parser struct {
	*shared
	conn    *capture.Conn
	handler capture.Handler
	n       *capture.Counts
	half    [2]half

	streams       map[uint32]*stream
	oldest, newer *stream   // the ends of the list
	recent        *stream   // found last
	last          [2]uint32 // highest id opened, by side
	waiting       int       // streams whose answer came before their request
	unanswered    int       // streams reset before an answer
	inherited     bool      // stream 1 came by an upgrade …
	spoke         bool      // … and HTTP/2 was spoken after it
}

// tables counts the bytes of all dynamic tables.
type tables struct {
	out   atomic.Int64
	limit int64
}

// Data takes the next bytes of one direction. It leaves what is too little of a
// frame's beginning.
func (p *parser) Data(d capture.Dir, b []byte, at capture.Stamp) (int, error) {
	h := &p.half[d]
	rest := p.run(h, b, at)
	if h.state == atNothing {
		return len(b) - len(rest), capture.ErrOpaque
	}
	return len(b) - len(rest), nil
}

// Inherit takes the request with which a connection of HTTP/1 became this one: it
// is stream 1 (RFC 7540 §3.2).
func (p *parser) Inherit(u *capture.Upgrade) {
	p.inherited = true
	p.reach(1, u.Start)
	s := p.openStream(1, u.Start)
	side, x := &s.Side[capture.ToServer], &s.X
	side.Done, s.begun[capture.ToServer] = true, true
	texts := [...]struct {
		to   *capture.Text
		text string
	}{{&x.Method, u.Method}, {&x.Target, u.Target}, {&x.Authority, u.Authority}, {&x.Scheme, u.Scheme}}
	var all []byte
	for _, t := range texts {
		all = append(all, t.text...)
	}
	if !p.Add(&side.Head, all) {
		return
	}
	rest := side.Head.B
	for _, t := range texts {
		n := len(t.text)
		*t.to, rest = rest[:n:n], rest[n:]
	}
	s.head = u.Method == "HEAD"
	m := &x.Request
	m.Seen, m.Start, m.End, m.Proto = true, u.Start, u.End, capture.HTTP2
}

// Gap notes lost bytes: inside a frame they are counted over, elsewhere the next
// frame is looked for.
func (p *parser) Gap(d capture.Dir, n int64, at capture.Stamp) {
	h := &p.half[d]
	if n == 0 || h.state == atNothing {
		return
	}
	inside := n > 0 && n <= int64(h.rest)
	switch h.state {
	case atData, atBlock, atSettings, atRest:
		if inside {
			p.gapInside(h, int(n), at)
			return
		}
	}
	p.lose(h)
	for s := p.oldest; s != nil; s = s.next {
		if m := s.Message(d); m.Seen && !s.Side[d].Done {
			s.lost(d, capture.FlawGap)
		}
	}
}

// gapInside passes over lost bytes of the frame being read.
func (p *parser) gapInside(h *half, n int, at capture.Stamp) {
	state := h.state
	h.rest -= n
	h.lossy = true
	switch state {
	case atData:
		s := p.find(h.frame.id)
		if s != nil && s.takes(h.d) {
			s.lost(h.d, capture.FlawGap)
		}
		if h.rest > h.pad {
			return
		}
		if s != nil && h.frame.flags&flagEndStream != 0 {
			p.endSide(s, h.d, at)
		}
	case atBlock:
		// Where the frame ends is known, what the block says is not.
		if h.frame.flags&flagEndHeaders == 0 {
			h.open.over = true
			p.Put(h.pieces)
			h.pieces = nil
			p.forget(h)
		} else {
			p.abandon(h)
		}
	}
	h.state = atRest
	if h.rest == 0 {
		h.state = atFrame
	}
}

// End notes that a direction is over. After both nothing is kept.
func (p *parser) End(d capture.Dir, cut bool, at capture.Stamp) {
	h := &p.half[d]
	if h.ended {
		return
	}
	h.ended = true
	if p.half[d.Other()].ended {
		p.finish(at)
	}
}

// finish hands out all that is left and gives back the memory.
func (p *parser) finish(at capture.Stamp) {
	for p.oldest != nil {
		p.giveUp(p.oldest, capture.FlawCut, at)
	}
	for d := range p.half {
		h := &p.half[d]
		p.Put(h.pieces)
		h.pieces, h.open = nil, nil
		h.table.Free()
		p.measure(h)
		h.state = atNothing
	}
	p.streams, p.recent = nil, nil
}

// measure counts what the table of a direction holds, and takes it away where all
// tables together hold too much.
func (p *parser) measure(h *half) {
	now := h.table.Memory()
	if now == h.memory {
		return
	}
	if out := p.tables.out.Add(int64(now - h.memory)); now > h.memory && out > p.tables.limit {
		h.table.Free()
		p.tables.out.Add(-int64(now))
		now = 0
	}
	h.memory = now
}
