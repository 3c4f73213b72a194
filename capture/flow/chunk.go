package flow

import (
	"net/netip"

	"plainsight/capture"
)

// chunkKey names a connection of chunks: its source gave it a number.
type chunkKey struct {
	id             uint64
	client, server netip.AddrPort
	encrypted      bool
}

func chunkKeyOf(c *capture.Conn) chunkKey { return chunkKey{c.ID, c.Client, c.Server, c.Encrypted} }

// Chunk takes the next piece of a direction that is in order already. A jump
// ahead in its offsets is a gap; a jump back is bytes that were seen. The first
// chunk of a connection joined in mid-stream may have any offset.
func (e *Engine) Chunk(ch *capture.Chunk) {
	e.now = e.clock.tick(ch.Time, &e.counts)
	e.expire()
	defer e.guard()
	c := e.chunks[chunkKeyOf(&ch.Conn)]
	e.current = c
	if c == nil {
		c = e.openChunked(ch)
		e.current = c
	}
	if c.state == over {
		return // it said so itself
	}
	c.Parties = ch.Conn.Parties
	c.last = ch.Stamp
	e.touch(c)
	c.claim = e.clock.claim
	c.chunk(ch)
}

func (e *Engine) openChunked(ch *capture.Chunk) *conn {
	if len(e.conns)+len(e.chunks) >= e.o.Connections {
		e.dropOne()
	}
	c := e.newConn()
	c.Conn, c.chunked, c.state = ch.Conn, true, open
	if c.Start.Time.IsZero() {
		c.Start = ch.Stamp
	}
	if c.Midstream {
		e.counts[capture.ConnectionsMidstream]++
		c.sides[0].lost, c.sides[1].lost = true, true
	}
	if c.Encrypted { // on the wire it is another of the same number, which counts
		e.counts[capture.ConnectionsInside]++
	} else {
		e.counts[capture.Connections]++
	}
	e.chunks[chunkKeyOf(&ch.Conn)] = c
	e.lists[open].push(c)
	return c
}

func (c *conn) chunk(ch *capture.Chunk) {
	n := &c.e.counts
	s := c.side(ch.Dir)
	if c.Midstream && !s.spoke {
		s.place = ch.Offset
	}
	s.spoke = true
	if s.ended {
		return
	}
	b := ch.Data
	if ch.Passed && ch.Offset > s.place && int64(ch.Offset-s.place) > 0 {
		s.bytes += int64(ch.Offset - s.place)
		s.place = ch.Offset
	}
	if ch.Offset > s.place {
		lost := int64(ch.Offset - s.place)
		if lost < 0 {
			lost = -1
		}
		s.place = ch.Offset
		n[capture.StreamGaps]++
		n[capture.StreamGapBytes] += uint64(max(0, lost))
		c.Gap(ch.Dir, lost, ch.Stamp)
	}
	if seen := s.place - ch.Offset; seen > 0 {
		b = b[min(seen, uint64(len(b))):]
	}
	s.place += uint64(len(b))
	n[capture.StreamBytes] += uint64(len(b))
	c.Data(ch.Dir, b, ch.Stamp)
	if ch.End {
		c.end(s, false, ch.Stamp)
	}
	c.endDone(ch.Stamp)
}
