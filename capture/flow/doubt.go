package flow

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"plainsight/capture"
	"plainsight/capture/packet"
)

// Checksums of TCP are wrong for two reasons. Captures show what a sender leaves
// for its network card to fill in, and what the receiver's card put together; and
// somebody may send segments that hosts drop, to mislead who only watches. So a
// checksum says something only where the sender's first one was right. There, a
// segment with a wrong one waits until its receiver acknowledges it (then it is a
// habit of this capture, and checksums are useless), or the true one comes.

// sums is what the checksums of a direction are worth.
type sums uint8

const (
	unknown sums = iota
	right
	useless
)

// maxSummed bounds the payload whose checksum is verified: what is larger was put
// together by a network card.
const maxSummed = 2 << 10

// doubting is what is doubted of a direction.
type doubting struct {
	sums    sums
	doubted *doubted // nil, or the one segment that waits
}

// doubted is a segment whose checksum is wrong.
type doubted struct {
	seq uint32
	buf []byte // its payload, owned
	fin bool
	at  capture.Stamp
}

// end is the sequence number after it.
func (d *doubted) end() uint32 {
	if d.fin {
		return d.seq + uint32(len(d.buf)) + 1
	}
	return d.seq + uint32(len(d.buf))
}

// doubt reports whether a segment, whose payload begins at seq, has to wait or is
// to be ignored. Sometimes the segment settles what another one waits for.
func (c *conn) doubt(own, other *side, s *packet.Segment, seq uint32) bool {
	if s.Missing > 0 {
		return false
	}
	if own.sums == unknown {
		if own.sums = useless; checksumRight(s) {
			own.sums = right
		}
		return false
	}
	size := uint32(len(s.Payload))
	fin := s.Flags&packet.FIN != 0
	if fin {
		size++
	}
	if size == 0 {
		return false
	}
	d := own.doubted
	wrong := len(s.Payload) <= maxSummed && !checksumRight(s)
	if !wrong && d == nil {
		return false
	}
	same := d != nil && int32(d.end()-seq) > 0 && int32(seq+size-d.seq) > 0
	switch {
	case !wrong && same:
		c.disbelieve(own)
		c.e.counts[capture.SegmentsBadChecksum]++
	case !wrong:
		if !other.spoke && int32(seq-d.end()) >= 0 {
			c.believe(own) // nobody will acknowledge it here
		}
	case own.half.Started() && int32(seq+size-own.half.Next()) <= 0,
		same && !(d.seq == seq && bytes.Equal(d.buf, s.Payload)):
		c.e.counts[capture.SegmentsBadChecksum]++
		return true
	case d != nil:
		c.believe(own) // twice: it is the capture
	case c.e.buffered+bufferSize <= c.e.o.UnreadAll:
		own.doubted = &doubted{seq, append(c.e.newBuffer(bufferSize), s.Payload...), fin, s.Stamp}
		return true
	}
	return false
}

// believe takes the segment that waits, if there is one.
func (c *conn) believe(s *side) {
	d := s.doubted
	if d == nil {
		return
	}
	s.doubted, s.sums = nil, useless
	c.e.buffered -= cap(d.buf)
	if len(d.buf) > 0 {
		s.half.Push(&c.e.pool, d.seq, d.buf, 0, c, d.at)
	}
	if d.fin {
		s.half.Fin(d.seq + uint32(len(d.buf)))
	}
	c.e.recycle(d.buf)
}

// disbelieve forgets the segment that waits.
func (c *conn) disbelieve(s *side) {
	if d := s.doubted; d != nil {
		s.doubted = nil
		c.e.giveBack(d.buf)
	}
}

// checksumRight verifies the checksum of TCP (RFC 9293, section 3.1).
func checksumRight(s *packet.Segment) bool {
	sum := uint64(bits.ReverseBytes32(uint32(len(s.Bytes)))) + 6<<8
	if src, dst := s.Src.Addr(), s.Dst.Addr(); src.Is4() {
		a, b := src.As4(), dst.As4()
		sum += uint64(binary.LittleEndian.Uint32(a[:])) + uint64(binary.LittleEndian.Uint32(b[:]))
	} else {
		a, b := src.As16(), dst.As16()
		sum = add(add(sum, a[:]), b[:])
	}
	sum = add(sum, s.Bytes)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return sum == 0xffff
}

// add adds the 16-bit words of b to a ones' complement sum of at most 35 bits. The
// order of bytes does not matter to such a sum, nor the size of the words: those
// of 64 bits are added, with the carry around the end, in two chains that a
// processor runs side by side.
func add(sum uint64, b []byte) uint64 {
	var even, odd, c uint64
	for len(b) >= 128 {
		x := (*[128]byte)(b)
		even, c = bits.Add64(even, binary.LittleEndian.Uint64(x[0:]), 0)
		even, c = bits.Add64(even, binary.LittleEndian.Uint64(x[8:]), c)
		even, c = bits.Add64(even, binary.LittleEndian.Uint64(x[16:]), c)
		even, c = bits.Add64(even, binary.LittleEndian.Uint64(x[24:]), c)
		even, c = bits.Add64(even, binary.LittleEndian.Uint64(x[32:]), c)
		even, c = bits.Add64(even, binary.LittleEndian.Uint64(x[40:]), c)
		even, c = bits.Add64(even, binary.LittleEndian.Uint64(x[48:]), c)
		even, c = bits.Add64(even, binary.LittleEndian.Uint64(x[56:]), c)
		even, _ = bits.Add64(even, 0, c) // a sum that carried is not all ones
		odd, c = bits.Add64(odd, binary.LittleEndian.Uint64(x[64:]), 0)
		odd, c = bits.Add64(odd, binary.LittleEndian.Uint64(x[72:]), c)
		odd, c = bits.Add64(odd, binary.LittleEndian.Uint64(x[80:]), c)
		odd, c = bits.Add64(odd, binary.LittleEndian.Uint64(x[88:]), c)
		odd, c = bits.Add64(odd, binary.LittleEndian.Uint64(x[96:]), c)
		odd, c = bits.Add64(odd, binary.LittleEndian.Uint64(x[104:]), c)
		odd, c = bits.Add64(odd, binary.LittleEndian.Uint64(x[112:]), c)
		odd, c = bits.Add64(odd, binary.LittleEndian.Uint64(x[120:]), c)
		odd, _ = bits.Add64(odd, 0, c)
		b = b[128:]
	}
	sum += even>>32 + even&0xffffffff + odd>>32 + odd&0xffffffff
	for ; len(b) >= 8; b = b[8:] {
		w := binary.LittleEndian.Uint64(b)
		sum += w>>32 + w&0xffffffff
	}
	if len(b) >= 4 {
		sum += uint64(binary.LittleEndian.Uint32(b))
		b = b[4:]
	}
	if len(b) >= 2 {
		sum += uint64(binary.LittleEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		sum += uint64(b[0])
	}
	return sum
}
