package flow

import (
	"cmp"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"time"

	"plainsight/capture"
	"plainsight/capture/packet"
	"plainsight/capture/stream"
)

// Engine is one shard. It is not safe for concurrent use.
type Engine struct {
	o       Options
	handler capture.Handler
	counts  capture.Counts
	decoder *packet.Decoder
	segment packet.Segment
	pool    stream.Pool
	clock   clock
	now     int64

	conns   map[key]*conn
	callers map[key]*conn // half-open, by key without VLAN
	chunks  map[chunkKey]*conn
	near    [1 << nearBits]*conn // by hash, what was seen last: most segments need no key
	lists   [states]list
	due     int64 // before this time nobody was idle too long
	free    []*conn

	buffered int // bytes of buffers given out
	buffers  [][]byte
	current  *conn // whose work is being done
	summary  capture.Summary
	logged   bool
}

// nearBits is how much of a hash is the place in Engine.near.
const nearBits = 12

// New makes an engine that hands its conclusions to h.
func New(o Options, h capture.Handler) *Engine {
	o = o.withDefaults()
	e := &Engine{
		o: o, handler: h, decoder: packet.New(o.Packet),
		conns: map[key]*conn{}, callers: map[key]*conn{}, chunks: map[chunkKey]*conn{},
	}
	e.pool = stream.Pool{Half: o.Hold, Total: o.HoldAll, Counts: &e.counts}
	return e
}

// Counts are what was counted so far. They are the engine's: read only.
func (e *Engine) Counts() *capture.Counts { return &e.counts }

// Frame takes the next frame. f is borrowed.
func (e *Engine) Frame(f *capture.Frame) {
	now := e.clock.tick(f.Time, &e.counts)
	if e.decoder.Decode(f, &e.segment, &e.counts) {
		e.take(&e.segment, now, e.clock.claim)
	}
}

// Quiet says that nothing came until a moment: what was idle for too long ends.
func (e *Engine) Quiet(at capture.Stamp) { e.pause(e.clock.tick(at.Time, &e.counts)) }

func (e *Engine) pause(now int64) {
	e.now = now
	defer e.guard()
	e.current = nil
	e.expire()
}

// Close ends all connections in the order in which they began; those that were
// idle too long by then count as such. The engine is not used after it.
func (e *Engine) Close() {
	e.decoder.Close(&e.counts)
	if e.clock.set {
		e.pause(e.clock.now)
	}
	var all []*conn
	for i := range e.lists {
		for c := e.lists[i].first; c != nil; c = c.next {
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, func(a, b *conn) int { return cmp.Compare(a.ID, b.ID) })
	for _, c := range all {
		e.drop(c, atEnd)
	}
}

// key names a connection: its two ends in order of their bytes, and its VLAN.
type key struct {
	a, b         [16]byte
	aPort, bPort uint16
	vlan         uint32
}

// keyOf is the key of a segment, and which of the key's ends sent it.
func keyOf(s *packet.Segment) (k key, place int) {
	k = key{s.Src.Addr().As16(), s.Dst.Addr().As16(), s.Src.Port(), s.Dst.Port(), s.VLAN}
	if k.inOrder() {
		return k, 0
	}
	k.a, k.b, k.aPort, k.bPort = k.b, k.a, k.bPort, k.aPort
	return k, 1
}

func (k *key) inOrder() bool {
	for i := 0; i < 16; i += 8 {
		a, b := binary.BigEndian.Uint64(k.a[i:]), binary.BigEndian.Uint64(k.b[i:])
		if a != b {
			return a < b
		}
	}
	return k.aPort <= k.bPort
}

func (k key) withoutVLAN() key {
	k.vlan = 0
	return k
}

// take works on one segment, at a time of the clock and with its claim. The
// segment is borrowed.
func (e *Engine) take(s *packet.Segment, now, claim int64) {
	e.now = now
	e.expire()
	near := s.Flow >> (32 - nearBits)
	c, place := e.find(e.near[near], s)
	defer e.guard()
	e.current = c
	if c = e.admit(c, place, s); c == nil {
		return
	}
	if e.near[near] != c && c.Client != c.Server {
		e.farewell(c)
		e.near[near], c.near = c, near
	}
	e.current = c
	c.last = s.Stamp
	e.touch(c)
	c.claim = claim
	c.segment(place, s)
}

// farewell takes c out of its place in Engine.near.
func (e *Engine) farewell(c *conn) {
	if e.near[c.near] == c {
		e.near[c.near] = nil
	}
}

// find looks for the connection of a segment, and for the sender's place in it.
// c is a likely one, or nil.
func (e *Engine) find(c *conn, s *packet.Segment) (_ *conn, place int) {
	if c != nil && c.VLAN == s.VLAN {
		switch {
		case c.Client == s.Src && c.Server == s.Dst:
			return c, int(c.serverFirst)
		case c.Client == s.Dst && c.Server == s.Src:
			return c, int(1 - c.serverFirst)
		}
	}
	k, place := keyOf(s)
	return e.conns[k], place
}

// admit finds the connection that a segment belongs to: c, which has its key, a
// new one, or none if the segment is a straggler or a forgery.
func (e *Engine) admit(c *conn, place int, s *packet.Segment) *conn {
	payload := len(s.Payload)+s.Missing > 0
	if c == nil {
		if s.Flags&packet.RST != 0 || s.Flags&packet.SYN == 0 && !payload {
			return nil // the tail of a connection that we did not see
		}
		if c = e.calledFrom(place, s); c != nil {
			return c
		}
		return e.open(place, s)
	}
	switch c.judge(place, s, payload) {
	case ours:
		return c
	case another:
		if c.state != over {
			e.counts[capture.ConnectionsReused]++
		}
		e.drop(c, byReuse)
		return e.open(place, s)
	case repeated:
		if payload {
			e.counts[capture.SegmentsDuplicate]++
		}
	case forged:
		e.counts[capture.SegmentsBadChecksum]++
	case stray:
		e.counts[capture.SegmentsOutOfWindow]++
	}
	return nil
}

// calledFrom finds the connection that was called on another VLAN, if a segment
// answers it: some taps see each direction with a tag of its own.
func (e *Engine) calledFrom(place int, s *packet.Segment) *conn {
	const answer = packet.SYN | packet.ACK
	if s.Flags&answer != answer {
		return nil
	}
	k, _ := keyOf(s)
	c := e.callers[k.withoutVLAN()]
	if c == nil || c.asymmetric {
		return nil
	}
	caller := &c.sides[1-place]
	if !caller.syn || s.Ack-caller.isn != 1 && s.Ack != caller.half.Next() {
		return nil
	}
	c.asymmetric, c.answered = true, k
	e.conns[k] = c
	return c
}

// open begins a connection with its first segment.
func (e *Engine) open(place int, s *packet.Segment) *conn {
	k, _ := keyOf(s)
	if len(e.conns)+len(e.chunks) >= e.o.Connections {
		e.dropOne()
	}
	c := e.newConn()
	c.key = k
	c.Conn = capture.Conn{ID: s.Frame, VLAN: s.VLAN, Start: s.Stamp}
	client := true // the sender
	c.state = halfOpen
	switch {
	case s.Flags&packet.SYN == 0:
		client = guessClient(s.Src, s.Dst)
		c.Midstream, c.state, c.unsure = true, open, true
		c.sides[0].lost, c.sides[1].lost = true, true
		e.counts[capture.ConnectionsMidstream]++
	case s.Flags&packet.ACK != 0:
		client = false
	}
	c.Client, c.Server = s.Src, s.Dst
	if !client {
		c.Client, c.Server = s.Dst, s.Src
	}
	if client != (place == 0) {
		c.swap()
	}
	e.counts[capture.Connections]++
	e.conns[k] = c
	e.lists[c.state].push(c)
	if s.Flags&(packet.SYN|packet.ACK) == packet.SYN {
		e.callers[k.withoutVLAN()] = c
	}
	if c.state == halfOpen && e.lists[halfOpen].len > max(1, e.o.Connections/4) {
		e.drop(e.lists[halfOpen].first, byLimit)
	}
	return c
}

// guessClient says whether the sender of a segment in mid-stream is the client:
// the lower port is the server's, and of equal ones the receiver's.
func guessClient(src, dst netip.AddrPort) bool { return src.Port() >= dst.Port() }

// newConn takes a connection from the free ones.
func (e *Engine) newConn() *conn {
	if len(e.free) == 0 {
		for slab, i := new([16]conn), 0; i < len(slab); i++ {
			e.free = append(e.free, &slab[i])
		}
	}
	c := e.free[len(e.free)-1]
	e.free = e.free[:len(e.free)-1]
	*c = conn{e: e, since: e.now, seen: e.now}
	c.sides[1].half.Dir = capture.ToClient
	return c
}

// state is what a connection is to the table.
type state uint8

const (
	halfOpen state = iota // one side's SYN, and no more than an answer to it
	open
	over // ended; kept to know its stragglers
	states
)

// list is a list of connections, the longest idle first.
type list struct {
	first, last *conn
	len         int
}

func (l *list) push(c *conn) {
	c.prev, c.next = l.last, nil
	if l.last != nil {
		l.last.next = c
	} else {
		l.first = c
	}
	l.last = c
	l.len++
}

func (l *list) remove(c *conn) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		l.last = c.prev
	}
	l.len--
}

// touch says that c was just seen.
func (e *Engine) touch(c *conn) {
	c.seen = e.now
	if l := &e.lists[c.state]; l.last != c {
		l.remove(c)
		l.push(c)
	}
}

// enter moves c into a state.
func (e *Engine) enter(c *conn, s state) {
	e.forgetCaller(c)
	e.lists[c.state].remove(c)
	c.state = s
	e.lists[s].push(c)
	if s == over && e.lists[over].len > max(1, e.o.Connections/4) {
		e.drop(e.lists[over].first, byLimit)
	}
}

// forgetCaller says that c is half-open no longer.
func (e *Engine) forgetCaller(c *conn) {
	if c.state != halfOpen {
		return
	}
	if k := c.key.withoutVLAN(); e.callers[k] == c {
		delete(e.callers, k)
	}
}

// patience is how long a connection in a state may be idle, in ns.
func (e *Engine) patience(s state) int64 {
	return int64([...]time.Duration{halfOpen: e.o.HalfOpen, open: e.o.Idle, over: e.o.Linger}[s])
}

func (e *Engine) stale(c *conn) bool {
	seen := c.seen
	if c.claim > seen && c.claim-int64(jitter) <= e.now {
		seen = c.claim // its last segment told the truth
	}
	return e.now-seen > e.patience(c.state)
}

// expire drops what was idle too long.
func (e *Engine) expire() {
	if e.now <= e.due {
		return
	}
	e.due = math.MaxInt64
	for i := range e.lists {
		l := &e.lists[i]
		for c := l.first; c != nil && e.stale(c); c = l.first {
			e.drop(c, byIdle)
		}
		seen := e.now // or later, of those to come
		if l.first != nil {
			seen = l.first.seen
		}
		e.due = min(e.due, seen+e.patience(state(i)))
	}
}

// dropOne makes room for a connection.
func (e *Engine) dropOne() {
	for _, s := range [...]state{over, halfOpen, open} {
		if c := e.lists[s].first; c != nil {
			e.drop(c, byLimit)
			return
		}
	}
}

// cause is why a connection leaves the table.
type cause uint8

const (
	atEnd cause = iota
	byIdle
	byLimit
	byReuse
)

// drop ends a connection if it is not over yet and forgets it.
func (e *Engine) drop(c *conn, why cause) {
	if c.state != over {
		switch {
		case why == byIdle:
			e.counts[capture.ConnectionsEvictedIdle]++
		case why == byLimit && c.state == halfOpen:
			e.counts[capture.ConnectionsEvictedHalfOpen]++
		case why == byLimit:
			e.counts[capture.ConnectionsEvictedLimit]++
		}
		c.finish(why == byIdle || why == byLimit)
	}
	e.forgetCaller(c)
	e.lists[c.state].remove(c)
	if c.chunked {
		delete(e.chunks, chunkKeyOf(&c.Conn))
	} else {
		delete(e.conns, c.key)
		if c.asymmetric {
			delete(e.conns, c.answered)
		}
	}
	e.farewell(c)
	e.free = append(e.free, c)
}
