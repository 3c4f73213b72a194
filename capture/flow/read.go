package flow

import (
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"

	"plainsight/capture"
)

const bufferSize = 4 << 10

// maxHandovers bounds how often one connection changes its protocol.
const maxHandovers = 16

// reading is how far a direction is understood.
//
// Before there is a parser, buf holds a candidate: bytes that may be a start but
// are too few to tell, at buf[candidate:]. Before it stands the beginning of the
// direction, if nothing of it was lost and nobody knew it: the other direction
// may tell what it is. With a parser, buf holds what it left unread.
type reading struct {
	buf       []byte
	bufAt     capture.Stamp // of the candidate's first byte
	candidate int
	searched  int   // bytes in which a start was looked for
	passed    int64 // bytes before buf that no parser will be given …
	unknown   bool  // … and some that nobody can count
	lost      bool  // buf does not begin where the direction does
	failed    bool  // its beginning was not understood
	opaque    bool  // bytes are only counted
}

// Data takes the next bytes of a direction from its half.
func (c *conn) Data(d capture.Dir, b []byte, at capture.Stamp) {
	s := c.side(d)
	s.bytes += int64(len(b))
	c.read(s, b, at)
}

func (c *conn) read(s *side, b []byte, at capture.Stamp) {
	switch {
	case len(b) == 0 || c.broken:
	case c.parser == nil:
		c.sniff(s, b, at)
	case !s.opaque:
		c.feed(s, b, at)
	}
}

// Gap takes a gap of a direction from its half.
func (c *conn) Gap(d capture.Dir, n int64, at capture.Stamp) {
	s := c.side(d)
	s.gaps++
	s.missing += max(0, n)
	switch {
	case c.broken:
	case c.parser == nil:
		c.pass(s)
		s.passed += max(0, n)
		s.unknown = s.unknown || n < 0
	case !s.opaque:
		c.e.freeBuffer(s)
		c.parser.Gap(d, n, at)
	}
}

// end says that a direction is over.
func (c *conn) end(s *side, cut bool, at capture.Stamp) {
	s.ended, s.cut = true, cut
	if c.parser != nil {
		c.parser.End(s.half.Dir, cut, at)
	}
}

// feed gives bytes to the parser, behind those that it left unread.
func (c *conn) feed(s *side, b []byte, at capture.Stamp) {
	if len(s.buf) > 0 {
		if !c.e.buffer(s, b, c.e.o.Unread) {
			c.overflow(s, int64(len(s.buf)), at)
			c.feed(s, b, at)
			return
		}
		b = s.buf
	}
	n, err := c.parser.Data(s.half.Dir, b[:len(b):len(b)], at)
	rest := b[min(max(n, 0), len(b)):]
	kept := true
	switch {
	case len(s.buf) > 0:
		if s.buf = s.buf[:copy(s.buf, rest)]; len(rest) == 0 {
			c.e.freeBuffer(s)
		}
	case len(rest) > 0 && (err == nil || err == capture.ErrHandover):
		kept = c.e.buffer(s, rest, c.e.o.Unread)
	}
	switch {
	case err == nil && !kept:
		c.overflow(s, int64(len(rest)), at)
	case err == nil:
	case err == capture.ErrHandover:
		if !kept {
			s.passed += int64(len(rest))
		}
		c.handover(s, at)
	default:
		s.opaque = true
		c.e.freeBuffer(s)
	}
}

// overflow tells the parser that bytes it left unread are lost.
func (c *conn) overflow(s *side, n int64, at capture.Stamp) {
	c.e.counts[capture.UnreadLimitReached]++
	c.e.freeBuffer(s)
	c.parser.Gap(s.half.Dir, n, at)
}

// foresighted is a parser that may have used bytes of a direction which turn
// out to be of the next protocol. It returns them, owned, after ErrHandover.
type foresighted interface {
	Leftover(d capture.Dir) []byte
}

// successor is a parser that knows which protocol follows it, since both ends
// agreed on it. Without a row of that name the rest is opaque; the empty name
// says that it may be any.
type successor interface {
	Successor() capture.ProtocolName
}

// testator is a parser that knows how the change came to be.
type testator interface {
	Upgraded() *capture.Upgrade
}

// releasable is a parser that may be used again.
type releasable interface {
	Release()
}

// handover ends the parser and looks at what follows in both directions, first
// where it was found.
func (c *conn) handover(found *side, at capture.Stamp) {
	p := c.parser
	c.parser, c.unsure = nil, false
	if f, ok := p.(foresighted); ok {
		for i := range c.sides {
			s := &c.sides[i]
			if b := f.Leftover(s.half.Dir); len(b) > 0 && !c.e.buffer(s, b, c.e.o.Unread) {
				c.e.counts[capture.UnreadLimitReached]++
				s.passed += int64(len(b))
			}
		}
	}
	for d := capture.ToServer; d <= capture.ToClient; d++ {
		if !c.side(d).ended {
			p.End(d, false, at)
		}
	}
	c.handovers++
	c.e.counts[capture.ConnectionsUpgraded]++
	for i := range c.sides {
		s := &c.sides[i]
		s.candidate, s.searched, s.unknown, s.failed = 0, 0, false, false
		s.lost = s.passed > 0
		s.opaque = c.handovers >= maxHandovers
	}
	if n, ok := p.(successor); ok {
		c.agree(n.Successor())
	}
	c.upgrade = nil
	if t, ok := p.(testator); ok {
		c.upgrade = t.Upgraded()
	}
	other := c.side(found.half.Dir.Other())
	for _, s := range [...]*side{found, other} {
		if c.parser == nil {
			b := c.e.detach(s)
			c.read(s, b, at)
			c.e.recycle(b)
		}
	}
}

// agree prepares for the protocol that both ends agreed on.
func (c *conn) agree(name capture.ProtocolName) {
	if name == "" {
		return
	}
	rows := c.e.o.Protocols
	if i := slices.IndexFunc(rows, func(p capture.Protocol) bool { return p.Name == name }); i >= 0 {
		c.agreed = &rows[i]
		return
	}
	for i := range c.sides {
		c.sides[i].opaque = true
	}
}

// sniff looks for a start in the bytes of a direction while there is no parser.
func (c *conn) sniff(s *side, b []byte, at capture.Stamp) {
	c.foreign = true
	if s.opaque {
		s.passed += int64(len(b))
		s.lost = true
		return
	}
	if c.agreed != nil {
		c.begin(c.agreed, s, b, at)
		return
	}
	if waiting := len(s.buf) - s.candidate; waiting > 0 {
		if c.e.buffer(s, b, c.e.o.Sniff) {
			before := len(s.buf) - len(b)
			p, v := c.ask(s, s.buf[s.candidate:])
			if v == capture.Maybe && (s.lost || s.failed) {
				// It may be so for long: some protocols search. Meanwhile each
				// segment may be where another one begins.
				if q, w := c.ask(s, b); w == capture.Yes {
					p, v, s.candidate = q, w, before
				}
			}
			if v == capture.Maybe {
				return
			}
			s.buf = s.buf[:before]
			if v == capture.Yes {
				c.begin(p, s, b, at)
				return
			}
		}
		c.reject(s, waiting)
	}
	switch p, v := c.ask(s, b); {
	case v == capture.Yes:
		s.candidate = len(s.buf)
		c.begin(p, s, b, at)
	case v == capture.Maybe && c.e.buffer(s, b, c.e.o.Sniff):
		s.candidate, s.bufAt = len(s.buf)-len(b), at
	case s.lost || !c.e.buffer(s, b, c.e.o.Sniff):
		c.pass(s)
		s.passed += int64(len(b))
		c.reject(s, len(b))
	default:
		c.reject(s, len(b))
	}
}

// reject says that the last n bytes are no start.
func (c *conn) reject(s *side, n int) {
	s.failed = true
	s.searched += n
	if s.lost || s.searched > c.e.o.Search {
		c.pass(s)
	}
	s.candidate = len(s.buf)
	s.opaque = s.searched > c.e.o.Search
}

// pass lets go what is kept of a direction that has no parser.
func (c *conn) pass(s *side) {
	s.passed += int64(len(s.buf))
	s.lost, s.candidate = true, 0
	c.e.freeBuffer(s)
}

// ask asks the protocols what b is. If it is what the other end should say, the
// answer turns the connection around: who is the client was a guess, or the
// handshake was that of a tunnel that is used backwards. Against a handshake only
// a start at the first byte counts.
func (c *conn) ask(s *side, b []byte) (*capture.Protocol, capture.Verdict) {
	d, midstream := s.half.Dir, s.lost || s.failed
	p, best := c.askFor(d, b, midstream)
	if best == capture.Yes || c.handovers > 0 {
		return p, best
	}
	p, v := c.askFor(d.Other(), b, midstream && c.unsure)
	if v == capture.Yes {
		c.swap()
		c.Client, c.Server = c.Server, c.Client
		return p, v
	}
	if c.unsure {
		best = max(best, v)
	}
	return nil, best
}

func (c *conn) askFor(d capture.Dir, b []byte, midstream bool) (*capture.Protocol, capture.Verdict) {
	best := capture.No
	for i := range c.e.o.Protocols {
		p := &c.e.o.Protocols[i]
		v := p.Sniff(d, b[:len(b):len(b)], midstream)
		if v == capture.Yes {
			return p, v
		}
		best = max(best, v)
	}
	return nil, best
}

// begin makes the parser for the start that was found at the candidate of a side
// with b behind it. What is kept of the other side goes with it; what clients
// say goes first.
func (c *conn) begin(p *capture.Protocol, found *side, b []byte, at capture.Stamp) {
	c.protocol, c.agreed, c.foreign, c.unsure = p, nil, false, false
	parser := p.New(&c.Conn, c.e.handler, &c.e.counts)
	c.parser = parser
	if heir, ok := parser.(capture.Heir); ok && c.upgrade != nil {
		heir.Inherit(c.upgrade)
	}
	c.upgrade = nil
	for i := range c.sides {
		c.sides[i].opaque = false
	}
	for d := capture.ToServer; d <= capture.ToClient && c.parser == parser; d++ {
		s := c.side(d)
		start := s.candidate
		switch {
		case s == found:
		case !s.lost && !found.failed:
			start = 0 // odd as it is, it belongs to what the other side speaks
		case start < len(s.buf) && p.Sniff(d, s.buf[start:], true) == capture.No:
			start = len(s.buf) // it was a candidate for another protocol
		}
		n := s.passed + int64(start)
		if s.unknown {
			n = -1
		}
		buf := c.e.detach(s)
		s.passed, s.candidate, s.unknown = 0, 0, false
		if n != 0 {
			c.parser.Gap(d, n, at)
		}
		c.read(s, buf[start:], s.bufAt)
		c.e.recycle(buf)
		if s == found {
			c.read(s, b, at)
			b = nil
		}
		if s.ended && c.parser == parser {
			c.parser.End(d, s.cut, at)
		}
	}
	c.read(found, b, at) // nil unless the other side changed the protocol
}

// buffer appends b to what a side keeps, within a limit and that of all.
func (e *Engine) buffer(s *side, b []byte, limit int) bool {
	need := len(s.buf) + len(b)
	if need > limit {
		return false
	}
	if need > cap(s.buf) {
		size := bufferSize
		for size < need {
			size *= 2
		}
		if e.buffered+size-cap(s.buf) > e.o.UnreadAll {
			return false
		}
		grown := e.newBuffer(size)
		grown = append(grown, s.buf...)
		e.freeBuffer(s)
		s.buf = grown
	}
	s.buf = append(s.buf, b...)
	return true
}

func (e *Engine) newBuffer(size int) []byte {
	e.buffered += size
	if n := len(e.buffers); n > 0 && size == bufferSize {
		b := e.buffers[n-1]
		e.buffers = e.buffers[:n-1]
		return b[:0]
	}
	return make([]byte, 0, size)
}

// detach takes the buffer of a side off it and out of the bound. The buffer is
// given to recycle once its bytes were read; a panic leaves it to the collector.
func (e *Engine) detach(s *side) []byte {
	b := s.buf
	e.buffered -= cap(b)
	s.buf = nil
	return b
}

func (e *Engine) recycle(b []byte) {
	if cap(b) == bufferSize {
		e.buffers = append(e.buffers, b)
	}
}

func (e *Engine) giveBack(b []byte) {
	e.buffered -= cap(b)
	e.recycle(b)
}

func (e *Engine) freeBuffer(s *side) { e.recycle(e.detach(s)) }

// guard, deferred around the work on one connection, ends its parsing when that
// panics. The connection goes on being counted.
func (e *Engine) guard() {
	v := recover()
	if v == nil {
		return
	}
	c := e.current
	if c == nil {
		panic(v)
	}
	name := c.name()
	c.broken, c.parser = true, nil
	for i := range c.sides {
		e.freeBuffer(&c.sides[i])
	}
	e.counts[capture.ParserPanics]++
	if e.logged || e.o.Logger == nil {
		return
	}
	e.logged = true
	e.o.Logger.Error("a parser broke; its connection is only counted from here",
		"protocol", name, "connection", c.ID, "kind", kindOf(v), "at", culprit())
}

// kindOf describes a panic. Only the runtime's own words are free of payload.
func kindOf(v any) slog.Value {
	if err, ok := v.(runtime.Error); ok {
		return slog.StringValue(err.Error())
	}
	return slog.StringValue(fmt.Sprintf("%T", v))
}

// culprit is the line that panicked.
func culprit() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	panicked := false
	for {
		f, more := frames.Next()
		inRuntime := strings.HasPrefix(f.Function, "runtime.")
		if panicked && !inRuntime {
			return fmt.Sprintf("%s:%d", f.Function, f.Line)
		}
		panicked = panicked || inRuntime
		if !more {
			return "unknown"
		}
	}
}
