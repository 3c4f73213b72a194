package flow

import (
	"plainsight/capture"
	"plainsight/capture/packet"
	"plainsight/capture/stream"
)

// conn is one connection.
type conn struct {
	capture.Conn // what parsers and the handler are shown
	e            *Engine
	key          key
	answered     key // its key on the VLAN of the answers, if asymmetric
	near         uint32
	prev, next   *conn // in the list of its state
	since        int64 // the engine's time of its first segment …
	seen         int64 // … and of its last one …
	claim        int64 // … which said so, if that was a leap ahead
	last         capture.Stamp
	state        state
	serverFirst  uint8 // 1: the server is the key's first end
	unsure       bool  // who is the client is a guess
	chunked      bool
	asymmetric   bool
	reset        bool

	sides [2]side // by the place of the sender in the key

	protocol  *capture.Protocol // last one spoken
	agreed    *capture.Protocol // the one that comes next, whatever its bytes …
	upgrade   *capture.Upgrade  // … and how that came to be
	parser    capture.Parser    // nil: not known yet
	handovers uint8
	foreign   bool // bytes came since the last handover that nobody read
	broken    bool // a parser panicked: bytes are only counted
}

// side is one direction.
type side struct {
	half   stream.Half
	isn    uint32
	syn    bool   // isn is known
	called bool   // … from a SYN that answered nothing
	rivals bool   // two SYNs came, and the other end has said of neither that it is the one …
	rival  uint32 // … the isn of the first
	spoke  bool   // something was seen of it
	seen   int64  // the engine's time of its last segment
	place  uint64 // of the next byte, where there are chunks

	ended, cut bool
	stuck      int64 // where the first hole is …
	stuckSince int64 // … and since when

	bytes, missing, gaps int64

	reading
	doubting
}

// swap turns client and server around.
func (c *conn) swap() {
	c.serverFirst ^= 1
	for i := range c.sides {
		c.sides[i].half.Dir ^= 1
	}
}

// side is the sender's side of a direction.
func (c *conn) side(d capture.Dir) *side { return &c.sides[uint8(d)^c.serverFirst] }

// verdict is what a segment is to the connection that has its addresses.
type verdict uint8

const (
	ours     verdict = iota
	another          // it begins another connection
	repeated         // a straggler
	stray            // it fits nowhere
	forged           // its checksum is wrong
)

// judge says what a segment from one end is to c.
func (c *conn) judge(place int, s *packet.Segment, payload bool) verdict {
	own, other := &c.sides[place], &c.sides[1-place]
	syn := s.Flags&packet.SYN != 0
	if own.sums == right && s.Flags&(packet.SYN|packet.RST) != 0 && s.Missing == 0 && !checksumRight(s) {
		return forged
	}
	if c.state == over {
		switch {
		case s.Flags&packet.RST != 0:
			return repeated
		case syn && own.syn && own.isn == s.Seq:
			return repeated
		case syn && s.Flags&packet.ACK == 0:
			return another
		case syn && own.half.Far(s.Seq):
			return another
		case payload && own.half.Far(s.Seq):
			return another // its SYN was lost
		case payload && c.reset && own.half.Started() && s.Seq == own.half.Next():
			return another // it goes on: the reset was not believed
		}
		return repeated
	}
	switch {
	case !syn:
		return ours
	case own.syn && own.isn == s.Seq:
		return ours
	case !own.syn && (!own.half.Started() || own.half.Offset() == 0 && own.half.Next() == s.Seq+1):
		return ours // an answer, or the SYN of a simultaneous open
	case s.Flags&packet.ACK == 0:
		return another
	case c.state == halfOpen && own.half.Offset() == 0 && other.half.Started() && !other.half.Far(s.Ack):
		return ours // the answer to a SYN again, by a host that forgot the first
	case own.half.Far(s.Seq) && other.half.Far(s.Ack):
		return another // its SYN was lost
	}
	return stray
}

// segment takes a segment of the connection.
func (c *conn) segment(place int, s *packet.Segment) {
	e := c.e
	own, other := &c.sides[place], &c.sides[1-place]
	own.spoke, own.seen = true, e.now
	size := len(s.Payload) + s.Missing
	seq := s.Seq
	if s.Flags&packet.RST != 0 {
		c.takeReset(own, other, s)
		return
	}
	if s.Flags&packet.SYN != 0 {
		c.takeSYN(own, other, s)
		seq++
	} else if c.state == halfOpen && (size > 0 || s.Flags&packet.ACK != 0 && own.syn) {
		e.enter(c, open)
	}
	if own.sums != useless && c.doubt(own, other, s, seq) {
		return
	}
	if s.Flags&packet.ACK != 0 {
		c.takeACK(own, other, s, seq, size)
	}
	switch {
	case size > 0:
		if s.Flags&packet.URG != 0 {
			e.counts[capture.SegmentsUrgent]++
		}
		own.half.Push(&e.pool, seq, s.Payload, s.Missing, c, s.Stamp)
	case own.half.Started() && seq == own.half.Next()-1 && s.Flags&(packet.SYN|packet.FIN) == 0 && own.half.Offset() > 0:
		e.counts[capture.SegmentsKeepAlive]++
	}
	if s.Flags&packet.FIN != 0 && !own.half.Fin(seq+uint32(size)) && size == 0 {
		e.counts[capture.SegmentsOutOfWindow]++
	}
	if own.half.Holding() {
		c.watchHole(own, other, s.Stamp)
	}
	c.endDone(s.Stamp)
}

func (c *conn) takeSYN(own, other *side, s *packet.Segment) {
	if s.Flags&packet.ACK == 0 && !own.called {
		own.called = true
		c.unsure = c.unsure || other.called // whoever asks first is the client
	}
	if own.half.Started() && !own.syn {
		own.half.Late() // it was acknowledged before it came
	}
	if own.syn && own.isn != s.Seq {
		own.rivals, own.rival = true, own.isn
	}
	own.half.Start(s.Seq + 1)
	own.isn, own.syn = s.Seq, true
}

func (c *conn) takeACK(own, other *side, s *packet.Segment, seq uint32, size int) {
	if other.doubted != nil && int32(s.Ack-other.doubted.end()) >= 0 {
		c.believe(other)
	}
	if other.rivals {
		if s.Ack == other.rival+1 { // a balancer answered twice: this is the one
			other.isn = other.rival
			other.half.Start(s.Ack)
		}
		other.rivals = other.half.Offset() == 0 && s.Ack != other.isn+1
	}
	if !other.half.Started() {
		// The receiver names the place where the other direction goes on. A bare
		// acknowledgement in mid-stream does not: bytes may be on their way.
		if s.Flags&packet.SYN == 0 && own.syn || s.Flags&packet.SYN != 0 || size > 0 {
			other.half.Start(s.Ack)
		}
		return
	}
	// What is answered was received, so that unseen bytes before an answer are
	// lost, unless all of the other side comes later in this capture.
	inStep := other.spoke || c.e.now-c.since > int64(c.e.o.HoleWait)
	answers := size > 0 && inStep && own.half.Started() && seq == own.half.Next()
	other.half.Ack(&c.e.pool, s.Ack, answers, c, s.Stamp)
}

func (c *conn) takeReset(own, other *side, s *packet.Segment) {
	fits := own.half.Near(s.Seq)
	if !own.half.Started() {
		fits = s.Flags&packet.ACK != 0 && other.half.Started() && !other.half.Far(s.Ack)
	}
	if !fits {
		c.e.counts[capture.SegmentsOutOfWindow]++
		return
	}
	c.reset = true
	c.e.counts[capture.ConnectionsReset]++
	c.finish(false)
	c.e.enter(c, over)
}

// watchHole gives up a hole that stops a direction for long, if nobody will fill
// it: the other side does not speak, and will not ask for the bytes again, or it
// has them, and the capture will not show them any more.
func (c *conn) watchHole(own, other *side, at capture.Stamp) {
	e := c.e
	if at := own.half.Offset(); own.stuck != at || own.stuckSince == 0 {
		own.stuck, own.stuckSince = at, e.now
		return
	}
	if e.now-own.stuckSince > int64(e.o.HoleWait) && (other.seen < own.stuckSince || own.half.Passed()) {
		own.half.Skip(&e.pool, c, at)
	}
}

// endDone ends the directions whose FIN was reached, and with both the
// connection.
func (c *conn) endDone(at capture.Stamp) {
	for d := capture.ToServer; d <= capture.ToClient; d++ {
		if s := c.side(d); !s.ended && s.half.Done() {
			c.end(s, false, at)
		}
	}
	if c.sides[0].ended && c.sides[1].ended {
		c.finish(false)
		c.e.enter(c, over)
	}
}

// finish ends what has not ended, tells the handler, and gives the memory back.
func (c *conn) finish(evicted bool) {
	e := c.e
	before := e.current
	e.current = c
	defer func() { e.current = before }()
	c.finishParser()

	e.count(c)
	sum := &e.summary
	*sum = capture.Summary{Conn: c.Conn, End: c.last, Protocol: c.name(), Evicted: evicted}
	for d := range 2 {
		s := c.side(capture.Dir(d))
		sum.Bytes[d], sum.Missing[d], sum.Gaps[d] = s.bytes, s.missing, s.gaps
	}
	c.tell(sum)
	for i := range c.sides {
		c.disbelieve(&c.sides[i])
		c.sides[i].half.Release(&e.pool)
		e.freeBuffer(&c.sides[i])
	}
}

func (c *conn) finishParser() {
	defer c.e.guard()
	for d := capture.ToServer; d <= capture.ToClient; d++ {
		c.believe(c.side(d))
		c.side(d).half.Flush(&c.e.pool, c, c.last)
	}
	for d := capture.ToServer; d <= capture.ToClient; d++ {
		if s := c.side(d); !s.ended {
			c.end(s, !s.half.Done(), c.last)
		}
	}
	if r, ok := c.parser.(releasable); ok {
		r.Release()
	}
	c.parser = nil
}

func (c *conn) tell(sum *capture.Summary) {
	defer c.e.guard()
	c.e.handler.Connection(sum)
}

// count counts what a connection was, once it is over.
func (e *Engine) count(c *conn) {
	if c.name() == capture.OpaqueProtocol {
		e.counts[capture.ConnectionsOpaque]++
	}
	if c.sides[0].spoke && c.sides[1].spoke || c.chunked {
		return
	}
	if c.state == halfOpen && c.sides[0].bytes+c.sides[1].bytes == 0 {
		e.counts[capture.ConnectionsHalfOpen]++
	} else {
		e.counts[capture.ConnectionsOneSided]++
	}
}

func (c *conn) name() capture.ProtocolName {
	switch {
	case c.protocol != nil && !c.foreign:
		return c.protocol.Name
	case c.sides[0].bytes+c.sides[1].bytes > 0:
		return capture.OpaqueProtocol
	}
	return capture.NoProtocol
}
