package http1

import (
	"slices"

	"plainsight/capture"
)

// parser pairs the messages of the two directions of one connection. Requests
// wait in a queue for their answers, which come in the same order.
type parser struct {
	*shared
	conn    *capture.Conn
	handler capture.Handler
	n       *capture.Counts
	half    [2]half

	queue     []*exchange          // in the order of the connection
	first     [4]*exchange         // the queue's first array: most never need another
	next      int                  // index of the first in queue without an answer
	awaiting  *exchange            // a response that overtook its request in the capture
	owed      int                  // answers to come for requests that were given up
	interim   []int                // 1xx statuses before a response without request
	over      bool                 // the connection speaks something else now
	left      []byte               // what the client had said by then in the new protocol
	successor capture.ProtocolName // that was agreed on; "" if it may be any
	upgrade   *capture.Upgrade     // the request for it
}

// Data takes the next bytes of one direction. It uses all of them unless the
// connection changes its protocol behind a response.
func (p *parser) Data(d capture.Dir, b []byte, at capture.Stamp) (int, error) {
	if p.over {
		return 0, capture.ErrHandover
	}
	n := p.run(&p.half[d], b, at)
	if p.over {
		return n, capture.ErrHandover
	}
	return n, nil
}

// Leftover returns bytes of a direction that had been taken before the other
// direction decided that another protocol speaks: they are the first of it. It
// makes sense after ErrHandover. The bytes are the caller's.
func (p *parser) Leftover(d capture.Dir) []byte {
	if d == capture.ToClient {
		return nil
	}
	left := p.left
	p.left = nil
	return left
}

// Successor is the protocol that follows, as agreed by both ends; "" where that is
// none of HTTP's business, as in a tunnel. It makes sense after ErrHandover.
func (p *parser) Successor() capture.ProtocolName { return p.successor }

// Upgraded is the request that asked for the new protocol, nil for a tunnel. It
// makes sense after ErrHandover.
func (p *parser) Upgraded() *capture.Upgrade { return p.upgrade }

// agree notes what the answer to a request for another protocol says.
func (p *parser) agree(t *exchange) {
	if t.connect {
		return
	}
	x := &t.X
	named := x.Response.Get("upgrade")
	if len(named) == 0 {
		named = x.Request.Get("upgrade")
	}
	switch {
	case len(named) == 0:
	case listed(named, "websocket"):
		p.successor = capture.WebSocketProtocol
	case listed(named, "h2c"):
		p.successor = capture.HTTP2Protocol
	case listed(named, "tls/1.0"), listed(named, "tls/1.2"): // RFC 2817
		p.successor = capture.TLSProtocol
	default:
		p.successor = capture.OpaqueProtocol
	}
	p.upgrade = &capture.Upgrade{
		Method: string(x.Method), Target: string(x.Target), Authority: string(x.Authority), Scheme: string(x.Scheme),
		Start: x.Request.Start, End: x.Request.End, Extensions: string(x.Response.Get("sec-websocket-extensions")),
	}
}

// Gap notes lost bytes: inside a body they are counted over, elsewhere the
// message is given up and the next start line is looked for.
func (p *parser) Gap(d capture.Dir, n int64, at capture.Stamp) {
	if p.over || n == 0 {
		return
	}
	h := &p.half[d]
	h.lossy = true
	if d == capture.ToServer && p.awaiting != nil {
		p.giveUpRequest()
	}
	switch h.state {
	case atBody, atChunk:
		h.mark(capture.FlawGap)
		if n > 0 && n <= h.rest {
			if h.rest -= n; h.rest == 0 {
				p.bodyRead(h, at)
			}
			return
		}
		p.complete(h, at)
		p.responseLost(d, n)
	case atClose:
		h.mark(capture.FlawGap)
	case atChunkSize, atChunkEnd, atTrailer, atRest:
		h.mark(capture.FlawGap)
		p.complete(h, at)
		p.responseLost(d, n)
	case atLine, atHead:
		p.n[capture.ExchangesDiscarded]++
		p.drop(h)
		h.state = atStart
		p.responseLost(d, n)
	case atStart:
		// Too little for a final response with any header: an interim one.
		if n < 0 || n >= 40 {
			p.responseLost(d, n)
		}
	case atSkip:
		p.drop(h)
		h.midline = false // a message may begin behind the hole
		h.state = atStart
		p.responseLost(d, n)
	case atHold:
		p.drop(h)
	}
}

// End notes that a direction is over. After both nothing is kept.
func (p *parser) End(d capture.Dir, cut bool, at capture.Stamp) {
	h := &p.half[d]
	if p.over || h.ended {
		return
	}
	h.ended = true
	p.endHalf(h, cut, at)
	if !p.half[d.Other()].ended {
		return
	}
	if c := &p.half[capture.ToServer]; c.state == atHold || c.state == atHoldLost {
		p.releaseHold(at)
		p.endHalf(c, cut, at)
	}
	p.finish()
}

// endHalf ends the message that a direction is in.
func (p *parser) endHalf(h *half, cut bool, at capture.Stamp) {
	switch h.state {
	case atClose:
		if cut || h.d == capture.ToServer {
			h.mark(capture.FlawCut)
		}
		p.complete(h, at)
	case atBody, atChunk, atChunkSize, atChunkEnd, atTrailer, atRest:
		h.mark(capture.FlawCut)
		p.complete(h, at)
	case atLine, atHead:
		p.n[capture.ExchangesDiscarded]++
		p.drop(h)
		h.state = atStart
	case atSkip:
		p.drop(h)
		h.state = atStart
	}
}

// finish hands out all that is left.
func (p *parser) finish() {
	p.awaiting = nil
	for _, t := range p.queue {
		for d := range t.Side {
			t.Side[d].Done = true
		}
		if !t.X.Response.Seen {
			t.X.Request.Flaws |= capture.FlawUnanswered
		}
	}
	p.flush()
	for i := range p.half {
		p.drop(&p.half[i])
		p.half[i].t = nil
	}
}

// Release gives the parser back, which was told the end of both directions. It
// is not used after it.
func (p *parser) Release() {
	s, interim := p.shared, p.interim[:0]
	*p = parser{interim: interim}
	s.parsers.Put(p)
}

// request opens a transaction, or finds the one whose response came first. It is
// nil where memory is out.
func (p *parser) request() *exchange {
	if t := p.awaiting; t != nil {
		p.awaiting = nil
		return t
	}
	if len(p.queue)-p.next >= p.Pipeline {
		p.n[capture.PipelineLimitReached]++
		t := p.queue[p.next]
		p.queue = slices.Delete(p.queue, p.next, p.next+1)
		p.owed++
		t.X.Request.Flaws |= capture.FlawUnanswered
		p.emit(t)
	}
	t := p.take()
	p.queue = append(p.queue, t)
	return t
}

// response finds the transaction that the next response answers.
func (p *parser) response() *exchange {
	if p.awaiting != nil {
		p.giveUpRequest()
	}
	if p.owed > 0 {
		p.owed--
		return p.orphan(false)
	}
	for p.next < len(p.queue) && p.queue[p.next].lost == surely {
		p.unanswered()
	}
	if p.next < len(p.queue) && p.queue[len(p.queue)-1].lost == kept {
		for p.queue[p.next].lost != kept {
			p.unanswered()
		}
	}
	if p.next < len(p.queue) {
		p.next++
		return p.queue[p.next-1]
	}
	// The first response of a connection may have been captured before its request.
	c := &p.half[capture.ToServer]
	return p.orphan(!p.conn.Midstream && !c.lossy && !c.ended && c.messages == 0 &&
		p.half[capture.ToClient].messages == 0)
}

// unanswered gives up the answer to the request at p.next.
func (p *parser) unanswered() {
	t := p.queue[p.next]
	t.X.Request.Flaws |= capture.FlawUnanswered
	t.Side[capture.ToClient].Done = true
	p.next++
}

// orphan opens a transaction for a response without request.
func (p *parser) orphan(wait bool) *exchange {
	t := p.take()
	t.Side[capture.ToServer].Done = !wait
	if wait {
		p.awaiting = t
	}
	t.X.Interim = append(t.X.Interim, p.interim...)
	p.interim = p.interim[:0]
	p.queue = slices.Insert(p.queue, p.next, t)
	p.next++
	return t
}

func (p *parser) giveUpRequest() {
	p.awaiting.Side[capture.ToServer].Done = true
	p.awaiting = nil
	p.flush()
}

// responseLost notes that bytes between responses are missing: the first request
// that waits will not see its answer, others may not.
func (p *parser) responseLost(d capture.Dir, n int64) {
	if d != capture.ToClient {
		return
	}
	for i, t := range p.queue[p.next:] {
		if i == 0 && n >= 0 {
			t.lost = surely
		} else if t.lost == kept {
			t.lost = perhaps
		}
		if t.asksChange && p.half[capture.ToServer].state == atHold {
			p.half[capture.ToServer].state = atHoldLost
		}
	}
}

// flush hands out the transactions at the front that are over.
func (p *parser) flush() {
	i := 0
	for i < len(p.queue) && p.queue[i].Side[0].Done && p.queue[i].Side[1].Done {
		t := p.queue[i]
		p.queue[i] = nil
		i++
		p.emit(t)
	}
	if i > 0 {
		p.queue = p.queue[:copy(p.queue, p.queue[i:])]
		p.next = max(0, p.next-i)
	}
}

// handover ends HTTP on this connection: behind the message just read another
// protocol speaks in both directions.
func (p *parser) handover() {
	c := &p.half[capture.ToServer]
	if c.t != nil {
		c.mark(capture.FlawCut)
		c.t = nil
	}
	if c.state == atHold && c.buf != nil {
		p.left = slices.Clone(c.buf.B)
	}
	p.finish()
	p.over = true
}

// releaseHold reads what was held as HTTP: the protocol did not change.
func (p *parser) releaseHold(at capture.Stamp) {
	c := &p.half[capture.ToServer]
	held := c.buf
	c.buf = nil
	c.state = atStart
	if held != nil {
		p.run(c, held.B, at)
		p.Put(held)
	}
}
