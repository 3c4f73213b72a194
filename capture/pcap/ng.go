package pcap

import (
	"math/bits"
	"time"

	"plainsight/capture"
)

// Types of pcapng blocks (draft-ietf-opsawg-pcapng). All others are skipped.
const (
	blockSection   = 0x0a0d0d0a // the same in both byte orders
	blockInterface = 1
	blockOldPacket = 2
	blockSimple    = 3
	blockPacket    = 6
)

const (
	maxInterfaces = 1 << 16 // in a section
	maxOptions    = 1 << 20 // bytes of an interface or section block that are kept in memory
)

// pcapng reads pcapng.
type pcapng struct {
	window
	order order
	max   int // captured bytes of a packet that are believed
	ifs   []iface
	last  time.Time // of the last packet: simple packets have no time of their own
}

// iface is what a packet needs of its interface.
type iface struct {
	link   capture.LinkType
	snap   uint32
	offset int64 // seconds to add
	// A unit of its clock is 1/units of a second, or 1/2^shift if units is 0.
	units uint64
	shift uint8
}

// sectionOrder reads the byte order magic of a section.
func sectionOrder(b []byte) (order, bool) {
	for _, o := range []order{false, true} {
		if o.u32(b) == 0x1a2b3c4d {
			return o, true
		}
	}
	return false, false
}

func (p *pcapng) next(f *capture.Frame) error {
	for {
		if !p.need(12) {
			return p.ended(p.offset(), "a block")
		}
		kind := p.order.u32(p.buf[p.r:])
		if kind == blockSection {
			o, ok := sectionOrder(p.buf[p.r+8:])
			if !ok {
				return damage(p.offset(), "a section of no known byte order")
			}
			p.order, p.ifs = o, p.ifs[:0]
		}
		// Some writers leave the padding out of the length.
		size := (int64(p.order.u32(p.buf[p.r+4:])) + 3) &^ 3
		if size < 12 {
			return damage(p.offset(), "a block that claims to be shorter than its own head")
		}
		switch kind {
		case blockPacket, blockOldPacket, blockSimple:
			b, err := p.block(size, int64(p.max)+maxOptions)
			if err != nil {
				return err
			}
			if reason := p.packet(kind, b, f); reason != "" {
				return damage(p.offset(), reason)
			}
			p.r += int(size)
			return nil
		case blockInterface:
			b, err := p.block(size, maxOptions)
			if err != nil {
				return err
			}
			if len(b) < 8 || len(p.ifs) == maxInterfaces {
				return damage(p.offset(), "an interface block that cannot be")
			}
			p.ifs = append(p.ifs, p.iface(b))
			p.r += int(size)
		default:
			if at := p.offset(); !p.skip(size) {
				return p.ended(at, "a block")
			}
		}
	}
}

// block returns the body of the block at the window's start, which is size bytes
// long with its head and its end.
func (p *pcapng) block(size, most int64) ([]byte, error) {
	if size > most {
		return nil, damage(p.offset(), "a block that claims to be larger than any")
	}
	n := int(size)
	if !p.need(n) {
		return nil, p.ended(p.offset(), "a block")
	}
	b := p.buf[p.r : p.r+n : p.r+n]
	if end := (int64(p.order.u32(b[n-4:])) + 3) &^ 3; end != size {
		return nil, damage(p.offset(), "a block whose two lengths differ")
	}
	return b[8 : n-4], nil
}

// packet fills f from the body of a packet block, or says what is wrong.
func (p *pcapng) packet(kind uint32, b []byte, f *capture.Frame) string {
	if kind == blockSimple {
		return p.simple(b, f)
	}
	if len(b) < 20 {
		return "a packet block that is too short"
	}
	id := p.order.u32(b)
	if kind == blockOldPacket {
		id = uint32(p.order.u16(b))
	}
	if id >= uint32(len(p.ifs)) {
		return "a packet of an interface that was not described"
	}
	in := &p.ifs[id]
	ticks := uint64(p.order.u32(b[4:]))<<32 | uint64(p.order.u32(b[8:]))
	size, length := p.order.u32(b[12:]), p.order.u32(b[16:])
	if size > uint32(p.max) || int(size) > len(b)-20 {
		return "a packet that is larger than its block"
	}
	f.Time = in.time(ticks)
	f.Data = b[20 : 20+size : 20+size]
	f.Length = int(max(length, size))
	f.Link = in.link
	p.last = f.Time
	return ""
}

// simple is packet for a block that belongs to the first interface and has
// neither a time nor a captured length.
func (p *pcapng) simple(b []byte, f *capture.Frame) string {
	if len(b) < 4 {
		return "a packet block that is too short"
	}
	if len(p.ifs) == 0 {
		return "a packet of an interface that was not described"
	}
	length := p.order.u32(b)
	size := min(length, uint32(len(b)-4))
	if snap := p.ifs[0].snap; snap > 0 {
		size = min(size, snap)
	}
	if size > uint32(p.max) {
		return "a packet that claims to be larger than any"
	}
	f.Time = p.last
	f.Data = b[4 : 4+size : 4+size]
	f.Length = int(length)
	f.Link = p.ifs[0].link
	return ""
}

// Options of an interface block.
const (
	optEnd    = 0
	optTSRes  = 9
	optOffset = 14
)

// iface reads the body of an interface block.
func (p *pcapng) iface(b []byte) iface {
	in := iface{
		link:  capture.LinkType(p.order.u16(b)),
		snap:  p.order.u32(b[4:]),
		units: 1e6,
	}
	for b = b[8:]; len(b) >= 4; {
		code, n := p.order.u16(b), int(p.order.u16(b[2:]))
		b = b[4:]
		if code == optEnd || n > len(b) {
			break
		}
		switch {
		case code == optTSRes && n == 1:
			in.resolution(b[0])
		case code == optOffset && n == 8:
			lo, hi := p.order.u32(b), p.order.u32(b[4:])
			if p.order {
				lo, hi = hi, lo
			}
			in.offset = int64(uint64(hi)<<32 | uint64(lo))
		}
		b = b[min(len(b), (n+3)&^3):]
	}
	return in
}

// resolution reads if_tsresol: a negative power of 2 or of 10.
func (in *iface) resolution(v byte) {
	if v&0x80 != 0 {
		in.units, in.shift = 0, min(v&0x7f, 64)
		return
	}
	in.units = 1
	for range min(v, 19) { // 10^19 is the last that fits; clocks end at 10^12
		in.units *= 10
	}
}

func (in *iface) time(ticks uint64) time.Time {
	var sec, nsec uint64
	switch in.units {
	case 1e6:
		sec = ticks / 1e6
		nsec = ticks % 1e6 * 1e3
	case 1e9:
		sec = ticks / 1e9
		nsec = ticks % 1e9
	case 0:
		sec = ticks >> in.shift
		// The fraction as a part of 2^64, of which 1e9 times is the upper half.
		nsec, _ = bits.Mul64(ticks<<(64-in.shift), 1e9)
	default:
		sec = ticks / in.units
		hi, lo := bits.Mul64(ticks%in.units, 1e9)
		nsec, _ = bits.Div64(hi, lo, in.units)
	}
	if sec > maxSecond {
		sec = maxSecond
	}
	if in.offset < -maxSecond || in.offset > maxSecond {
		return stamp(int64(sec), int64(nsec))
	}
	return stamp(int64(sec)+in.offset, int64(nsec))
}
