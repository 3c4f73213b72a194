package http2

import (
	"bytes"

	"plainsight/capture"
	"plainsight/capture/hpack"
	"plainsight/capture/transaction"
)

// stream is one request with its answer, on its way.
type stream struct {
	transaction.T
	state
}

type state struct {
	id         uint32
	prev, next *stream
	waits      bool    // the answer came first: the request is still to come
	head       bool    // the method is HEAD: an answer has no body
	begun      [2]bool // a header block of this direction was read, or its loss noticed
	grpc       grpc
}

// takes says that bytes of a direction belong to a message of the stream.
func (s *stream) takes(d capture.Dir) bool { return s.Message(d).Seen && !s.Side[d].Done }

// lost notes that the message of a direction is not whole.
func (s *stream) lost(d capture.Dir, f capture.Flaw) {
	s.Mark(d, f)
	s.grpc.lost[d] = true
}

func (p *parser) find(id uint32) *stream {
	if p.recent != nil && p.recent.id == id {
		return p.recent
	}
	s := p.streams[id]
	if s != nil {
		p.recent = s
	}
	return s
}

// openStream begins a stream. At the limit the oldest one is given up.
func (p *parser) openStream(id uint32, at capture.Stamp) *stream {
	if len(p.streams) >= p.Streams {
		p.n[capture.HTTP2StreamLimit]++
		p.giveUp(p.oldest, 0, at)
	}
	if p.streams == nil {
		p.streams = map[uint32]*stream{}
	}
	s := p.takeStream()
	s.id = id
	s.X.Conn, s.X.Stream = p.conn, id
	p.streams[id] = s
	p.recent = s
	if s.prev = p.newer; s.prev != nil {
		s.prev.next = s
	} else {
		p.oldest = s
	}
	p.newer = s
	return s
}

// reach notes that a side opened a stream: it will open none before it. Whoever
// waits for that waits no longer.
func (p *parser) reach(id uint32, at capture.Stamp) {
	side := p.side(id)
	p.last[side] = max(p.last[side], id)
	if side != 0 || p.waiting == 0 {
		return
	}
	for s := p.oldest; s != nil; {
		next := s.next
		if s.waits && s.id < id {
			s.waits = false
			p.waiting--
			p.endSide(s, capture.ToServer, at)
		}
		s = next
	}
}

// endSide notes that a direction of a stream is complete, and hands the exchange
// out once both are.
func (p *parser) endSide(s *stream, d capture.Dir, at capture.Stamp) {
	if s.Side[d].Done {
		return
	}
	s.Side[d].Done = true
	if m := s.Message(d); m.Seen {
		m.End = at
		if m.ContentLength >= 0 && m.ContentLength != m.BodySize && m.Flaws&capture.FlawGap == 0 &&
			!(d == capture.ToClient && (s.head || s.X.Status == 304)) {
			m.Flaws |= capture.FlawLengthMismatch
		}
		s.grpc.end(m, d)
	}
	if s.Side[d.Other()].Done {
		p.emit(s)
	}
}

// giveUp hands out a stream that is not complete, and will not be.
func (p *parser) giveUp(s *stream, f capture.Flaw, at capture.Stamp) {
	if s.waits {
		s.waits = false
		p.waiting--
	}
	if s.id == 1 && p.inherited && !p.spoke {
		s.X.Request.Seen = false // the upgrade led nowhere: its exchange says all there is
	}
	for d := range s.Side {
		m := s.Message(capture.Dir(d))
		if m.Seen && !s.Side[d].Done {
			s.lost(capture.Dir(d), f|capture.FlawCut)
			m.End = at
		}
		s.Side[d].Done = true
	}
	if !s.X.Response.Seen && !s.begun[capture.ToClient] {
		s.X.Request.Flaws |= capture.FlawUnanswered | f&capture.FlawReset
	}
	p.emit(s)
}

// emit hands out the exchange of a stream, if there is one, and ends the stream.
func (p *parser) emit(s *stream) {
	delete(p.streams, s.id)
	if p.recent == s {
		p.recent = nil
	}
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		p.oldest = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	} else {
		p.newer = s.prev
	}
	if s.X.Request.Seen || s.X.Response.Seen {
		if s.grpc.is {
			s.X.GRPC = &s.grpc.GRPC
			p.n[capture.GRPCCalls]++
			p.n[capture.GRPCMessages] += s.grpc.Messages[0] + s.grpc.Messages[1]
		}
		p.Emit(&s.T, p.handler, p.n)
	} else {
		p.n[capture.ExchangesDiscarded]++
	}
	p.putStream(s)
}

// beginData judges that a DATA frame is here.
func (p *parser) beginData(h *half) bool {
	s := p.find(h.frame.id)
	if s == nil {
		return h.lossy || p.half[h.d.Other()].lossy || h.frame.id <= p.last[p.side(h.frame.id)]
	}
	return !s.Side[h.d].Done
}

// body takes bytes of a message. whole: all of a frame.
func (p *parser) body(s *stream, h *half, b []byte, whole bool) {
	s.grpc.take(h.d, b)
	if whole && h.frame.flags&flagEndStream != 0 && s.Side[h.d.Other()].Done && p.Lend(&s.T, h.d, b) {
		return // the exchange goes out now: no need to copy
	}
	p.Keep(&s.T, h.d, b)
}

// reset ends a stream before its time (RFC 9113 §6.4).
func (p *parser) reset(h *half, at capture.Stamp) {
	s := p.find(h.frame.id)
	if s == nil {
		return
	}
	p.n[capture.HTTP2Resets]++
	if !s.begun[capture.ToClient] {
		if p.unanswered++; p.unanswered > p.Streams {
			p.n[capture.HTTP2StreamLimit]++
		}
	}
	p.giveUp(s, capture.FlawReset, at)
}

// goAway ends the streams of the other side that will not be worked on (RFC 9113
// §6.8).
func (p *parser) goAway(h *half, last uint32) {
	opener := 1
	if h.d == capture.ToClient {
		opener = 0
	}
	for s := p.oldest; s != nil; {
		next := s.next
		if s.id > last && p.side(s.id) == opener && s.begun[opener] && !s.begun[1-opener] {
			p.giveUp(s, 0, h.start)
		}
		s = next
	}
}

// headers takes a whole header block. block is borrowed.
func (p *parser) headers(h *half, block []byte, at capture.Stamp) {
	b := p.takeBlock()
	defer p.putBlock(b)
	err := h.table.Decode(b, block)
	p.measure(h)
	o := h.open
	if err != nil && !o.over {
		p.n[capture.HTTP2FramesInvalid]++
	}
	if b.Dropped > 0 {
		p.n[capture.HTTP2HeaderLimit]++
	}
	if b.Unknown > 0 {
		p.n[capture.HPACKStateLost]++
	}
	var f fields
	f.read(b)
	if err != nil && !o.over {
		f.flaws |= capture.FlawFrame
	}
	if o.over || b.Dropped > 0 {
		f.flaws |= capture.FlawHeadLimit
	}
	if b.Unknown > 0 {
		f.flaws |= capture.FlawHPACK
	}
	ends := o.flags&flagEndStream != 0
	var s *stream
	switch {
	case o.kind == pushFrame:
		if s = p.promise(h, o); s != nil {
			ends = true // of the request
			p.request(s, h, b, &f, at)
			if s.X.Pushed = true; s.X.Request.Seen || s.X.Response.Seen {
				s.X.Request.Start = o.start
			}
			p.endSide(s, capture.ToServer, at)
		}
		return
	case h.d == capture.ToServer:
		s = p.requested(h, b, &f, at)
	default:
		s = p.answered(h, b, &f, at)
	}
	if s != nil && ends {
		p.endSide(s, h.d, at)
	}
}

// promise opens the stream of a request that the server makes for the client.
func (p *parser) promise(h *half, o *opening) *stream {
	if h.d != capture.ToClient || o.promised == 0 || p.side(o.promised) != 1 || o.promised <= p.last[1] {
		return nil
	}
	p.reach(o.promised, o.start)
	return p.openStream(o.promised, o.start)
}

// requested takes a header block of a client: a request, or its trailers.
func (p *parser) requested(h *half, b *hpack.Block, f *fields, at capture.Stamp) *stream {
	o := h.open
	s := p.find(o.id)
	switch {
	case s == nil && p.side(o.id) != 0:
		return nil
	case s == nil && o.id <= p.last[0]:
		// A stream that is over, unless the frames before were not seen.
		if !h.lossy && !p.half[capture.ToClient].lossy {
			p.n[capture.HTTP2FramesInvalid]++
		}
		return nil
	case s == nil && !f.pseudo && b.Unknown == 0:
		if !h.lossy {
			p.n[capture.HTTP2FramesInvalid]++
		}
		return nil // trailers of a request that was not seen
	case s == nil:
		p.reach(o.id, at)
		s = p.openStream(o.id, o.start)
		p.request(s, h, b, f, at)
		return s
	case s.waits:
		s.waits = false
		p.waiting--
		p.reach(o.id, at)
		p.request(s, h, b, f, at)
		return s
	case s.Side[h.d].Done:
		p.n[capture.HTTP2FramesInvalid]++
		return nil
	}
	p.trailer(s, h, b, f)
	return s
}

// answered takes a header block of a server: an answer, interim or final, or its
// trailers.
func (p *parser) answered(h *half, b *hpack.Block, f *fields, at capture.Stamp) *stream {
	o := h.open
	s := p.find(o.id)
	c := &p.half[capture.ToServer]
	if s == nil {
		switch {
		case f.status == 0:
			return nil // trailers, or an answer of which nothing is known
		case o.id <= p.last[p.side(o.id)] && !c.lossy:
			return nil // its request was given up
		}
		s = p.openOrphan(o, c)
	}
	switch {
	case s.Side[h.d].Done:
		p.n[capture.HTTP2FramesInvalid]++
		return nil
	case s.begun[h.d]:
		p.trailer(s, h, b, f)
		return s
	case f.status >= 100 && f.status < 200 && f.status != 101:
		if len(s.X.Interim) < 16 {
			s.X.Interim = append(s.X.Interim, f.status)
		}
		return s
	}
	s.begun[h.d] = true
	if f.status == 0 {
		// It is an answer, but which one was not seen: it is not reported as one.
		s.X.Request.Flaws |= f.flaws & (capture.FlawHPACK | capture.FlawFrame)
		return s
	}
	s.X.Status = f.status
	if s.X.Request.Seen && !s.Side[capture.ToServer].Done && o.flags&flagEndStream != 0 {
		f.flaws |= capture.FlawEarlyResponse
	}
	p.message(s, h.d, h, b, f, at)
	return s
}

// openOrphan opens the stream of an answer whose request was not seen, yet.
func (p *parser) openOrphan(o *opening, c *half) *stream {
	comes := o.id > p.last[0] && !c.ended && c.state != atNothing && p.side(o.id) == 0
	s := p.openStream(o.id, o.start)
	if comes {
		s.waits = true
		p.waiting++
	} else {
		s.Side[capture.ToServer].Done = true
	}
	return s
}

// request fills in a request, if its method is known.
func (p *parser) request(s *stream, h *half, b *hpack.Block, f *fields, at capture.Stamp) {
	s.begun[capture.ToServer] = true
	if !f.methodSeen || !f.pathSeen && !f.connect {
		if f.flaws&(capture.FlawHPACK|capture.FlawHeadLimit|capture.FlawFrame) == 0 {
			p.n[capture.HTTP2FramesInvalid]++
			f.flaws |= capture.FlawStartLine
		}
		if !f.methodSeen {
			// Nobody could say what it asks for: it is not reported as a request.
			s.X.Response.Flaws |= f.flaws & (capture.FlawHPACK | capture.FlawFrame)
			return
		}
	}
	p.message(s, capture.ToServer, h, b, f, at)
	x := &s.X
	text := s.Side[capture.ToServer].Head
	if text == nil {
		return
	}
	x.Method, x.Target = f.of(b, text.B, f.method), f.of(b, text.B, f.path)
	x.Authority, x.Scheme = f.of(b, text.B, f.authority), f.of(b, text.B, f.scheme)
	host := f.of(b, text.B, f.host)
	switch {
	case len(x.Authority) == 0:
		x.Authority = host
	case len(host) > 0 && !bytes.EqualFold(host, x.Authority):
		x.Request.Flaws |= capture.FlawHostTwice
	}
	if len(x.Authority) == 0 && f.flaws&capture.FlawHPACK == 0 {
		x.Request.Flaws |= capture.FlawHostMissing
	}
	if f.connect && len(x.Target) == 0 {
		x.Target = x.Authority
	}
	s.head = string(x.Method) == "HEAD"
}

// message fills in the message of a direction.
func (p *parser) message(s *stream, d capture.Dir, h *half, b *hpack.Block, f *fields, at capture.Stamp) {
	side, m := &s.Side[d], s.Message(d)
	if !p.Add(&side.Head, b.Text()) {
		p.n[capture.HeadLimitReached]++
		p.n[capture.ExchangesDiscarded]++
		return
	}
	m.Seen, m.Start, m.End, m.Proto = true, h.open.start, at, capture.HTTP2
	m.Headers = f.append(m.Headers, b, side.Head.B)
	m.ContentLength = f.length
	m.Flaws |= f.flaws
	if f.flaws&capture.FlawHeadLimit != 0 {
		m.Truncated = true
	}
	side.Codings = f.codings
	if f.grpc {
		s.grpc.begin()
		if d == capture.ToClient {
			s.grpc.trailer(m.Headers) // an answer of trailers only
		}
	}
}

// trailer takes the fields behind a body.
func (p *parser) trailer(s *stream, h *half, b *hpack.Block, f *fields) {
	side, m := &s.Side[h.d], s.Message(h.d)
	if !m.Seen {
		return
	}
	if h.open.flags&flagEndStream == 0 {
		p.n[capture.HTTP2FramesInvalid]++
		m.Flaws |= capture.FlawFrame
	}
	m.Flaws |= f.flaws
	if side.Trailer != nil || !p.Add(&side.Trailer, b.Text()) {
		return
	}
	m.Trailer = f.append(m.Trailer, b, side.Trailer.B)
	if h.d == capture.ToClient {
		s.grpc.trailer(m.Trailer)
	}
}
