package pcap

import (
	"encoding/binary"

	"plainsight/capture"
)

// Magic numbers of pcap (draft-ietf-opsawg-pcap), read in the file's order.
const (
	magicMicro    = 0xa1b2c3d4
	magicNano     = 0xa1b23c4d
	magicModified = 0xa1b2cd34 // Kuznetzov's patch: 8 bytes more a record
)

const classicHead = 24

// classic reads pcap.
type classic struct {
	window
	order  order
	nano   int64 // nanoseconds in a unit of the second field
	record int   // bytes of a record's head
	max    int   // captured bytes of a record that are believed
	link   capture.LinkType
	begun  bool
}

// classicOf tells pcap by its magic number.
func classicOf(head []byte) (*classic, bool) {
	if len(head) < 4 {
		return nil, false
	}
	for _, o := range []order{false, true} {
		switch o.u32(head) {
		case magicMicro:
			return &classic{order: o, nano: 1000, record: 16}, true
		case magicNano:
			return &classic{order: o, nano: 1, record: 16}, true
		case magicModified:
			return &classic{order: o, nano: 1000, record: 24}, true
		}
	}
	return nil, false
}

func (c *classic) next(f *capture.Frame) error {
	if !c.begun {
		if !c.need(classicHead) {
			return c.ended(c.offset(), "the file header")
		}
		// The upper bits hold the length of the frame check sequence, which the
		// lengths of IP cut off anyway.
		c.link = capture.LinkType(c.order.u32(c.buf[c.r+20:]) & 0xffff)
		c.r += classicHead
		c.begun = true
	}
	if !c.need(c.record) {
		return c.ended(c.offset(), "a packet")
	}
	h := c.buf[c.r : c.r+16]
	sec, sub := c.order.u32(h), c.order.u32(h[4:])
	size, length := c.order.u32(h[8:]), c.order.u32(h[12:])
	if size > uint32(c.max) {
		return damage(c.offset(), "a packet that claims to be larger than any")
	}
	if size == 0 && binary.LittleEndian.Uint64(h)|uint64(length) == 0 {
		return damage(c.offset(), "zeros in place of a packet")
	}
	whole := c.record + int(size)
	if !c.need(whole) {
		return c.ended(c.offset(), "a packet")
	}
	end := c.r + whole
	f.Time = stamp(int64(sec), int64(sub)*c.nano)
	f.Data = c.buf[c.r+c.record : end : end]
	f.Length = int(max(length, size))
	f.Link = c.link
	c.r = end
	return nil
}
