// Package packet turns a link-layer frame into the TCP segment inside it: link
// types, VLAN tags, tunnels, IPv4 and IPv6 with their extension headers and
// fragments.
//
// It allocates nothing per frame (only IP fragments are copied), never panics
// and never recurses: layers are peeled in a loop with a bound. Checksums are not
// verified: captures of senders with checksum offload hold wrong ones. It knows
// nothing of connections; package flow calls it, one [Decoder] a goroutine.
package packet

import (
	"encoding/binary"
	"net/netip"
	"time"

	"plainsight/capture"
)

// Flags of a TCP segment (RFC 9293, section 3.1).
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// Segment is one TCP segment. Options of TCP are not read: reassembly here goes
// by sequence numbers and acknowledgements, not by windows.
type Segment struct {
	capture.Stamp
	Src, Dst netip.AddrPort // innermost
	VLAN     uint32         // outer<<12 | inner tag of the innermost Ethernet, 0 if untagged
	Flow     uint32         // hash of the ends, the same for both directions, best in its upper bits
	Seq, Ack uint32
	Flags    uint8
	Window   uint16 // as on the wire, not scaled
	// Payload is what was captured of the payload, cut to the length that IP
	// declares. Borrowed: valid until the next Decode, and no longer than the
	// frame's data.
	Payload []byte
	// Bytes is the segment from its header to the end of Payload, for who wants to
	// verify its checksum. Borrowed like Payload, which is its end.
	Bytes []byte
	// Missing counts the bytes that follow Payload in the segment but were cut off
	// by the snap length.
	Missing int
}

// Options bounds a [Decoder]. The zero value is sane.
type Options struct {
	// MaxLayers is how many headers a frame may have. Default 32.
	MaxLayers int
	// Bounds of incomplete IP packets. Defaults: 1024 packets, 16 MiB, 512
	// fragments a packet, 30 s of the traffic's time (what Linux waits).
	MaxFragmented    int
	MaxFragmentBytes int
	MaxFragments     int
	MaxFragmentAge   time.Duration
	// Keep says whether segments between two addresses are wanted; nil: all.
	// The others are counted as FramesIgnoredFiltered.
	Keep func(src, dst netip.AddrPort) bool
}

// Decoder decodes the frames of one source, in order.
type Decoder struct {
	o     Options
	link  capture.LinkType // of the last frame
	start kind             // where its decoding starts
	ip    int              // offset of the IP header that usually follows; 0: none does
	frags fragments
}

// New makes a decoder.
func New(o Options) *Decoder {
	if o.MaxLayers <= 0 {
		o.MaxLayers = 32
	}
	d := &Decoder{o: o, link: capture.LinkNull, start: null}
	d.frags.init(o)
	return d
}

// Decode reports whether f completes a TCP segment, and fills s if it does. It
// counts f: FramesSeen, BytesSeen and exactly one of FramesAnalysed,
// FramesIgnored… and FramesDropped…. A fragment that is held counts as analysed
// until its packet is complete, and then like the packet; if that never happens,
// as FramesDroppedFragment.
func (d *Decoder) Decode(f *capture.Frame, s *Segment, n *capture.Counts) bool {
	n[capture.FramesSeen]++
	n[capture.BytesSeen] += uint64(len(f.Data))
	if f.Link != d.link {
		d.link, d.start, d.ip = f.Link, startOf(f.Link), 0
		switch d.start {
		case ethernet:
			d.ip = 14
		case sll:
			d.ip = 16
		}
	}
	if d.usual(f, s) {
		n[capture.FramesAnalysed]++
		return true
	}
	w := walk{d: d, f: f, s: s, n: n, p: f.Data, cut: max(0, f.Length-len(f.Data)), next: d.start}
	if w.cut > 0 {
		n[capture.FramesSnapped]++
	}
	verdict := w.run()
	n[verdict]++
	if w.held > 0 && verdict != capture.FramesAnalysed {
		n[capture.FramesAnalysed] -= w.held
		n[verdict] += w.held
	}
	return w.done
}

// usual decodes what most frames are, IPv4 with TCP in it and nothing odd. It
// leaves the others to the walk, which would come to the same.
func (d *Decoder) usual(f *capture.Frame, s *Segment) bool {
	p := f.Data
	if d.ip == 0 || len(p) < d.ip+40 || len(p) < f.Length || d.o.Keep != nil {
		return false
	}
	p = p[d.ip-2:]
	const version4, head20, fragmented = 0x40, 5, 0x3fff
	if p[0] != 0x08 || p[1] != 0 || p[2] != version4|head20 || p[11] != 6 || binary.BigEndian.Uint16(p[8:])&fragmented != 0 {
		return false
	}
	p = p[2:]
	total := int(binary.BigEndian.Uint16(p[2:]))
	if total < 40 || total > len(p) {
		return false
	}
	ip := p
	p = p[20:total]
	head := int(p[12]>>4) * 4
	if head < 20 || head > len(p) {
		return false
	}
	src, dst := binary.BigEndian.Uint16(p), binary.BigEndian.Uint16(p[2:])
	s.Stamp = f.Stamp
	s.Src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[12:])), src)
	s.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[16:])), dst)
	s.VLAN = 0
	s.Flow = flow(hash4(ip[12:], src), hash4(ip[16:], dst))
	s.fill(p, head, 0)
	return true
}

// Close gives up the fragments that are held.
func (d *Decoder) Close(n *capture.Counts) { d.frags.evictAll(n) }

// walk is the decoding of one frame.
type walk struct {
	d    *Decoder
	f    *capture.Frame
	s    *Segment
	n    *capture.Counts
	p    []byte // what is left of the frame
	cut  int    // bytes that the snap length cut off behind p
	next kind   // what p is
	vlan uint32
	// Of the IP header last seen.
	src, dst netip.Addr

	held uint64 // fragments that this frame completed, itself not counted
	done bool   // s is filled
}

// A step takes a header off p and sets next, or ends the walk by returning the
// counter of the frame. goOn means that there is more to do.
const goOn = capture.FramesSeen

func (w *walk) run() capture.Counter {
	for range w.d.o.MaxLayers {
		var v capture.Counter
		switch w.next {
		case ethernet:
			v = w.ethernet()
		case etherType:
			v = w.etherType()
		case ipv4:
			v = w.ipv4()
		case ipv6:
			v = w.ipv6()
		case tcp:
			return w.tcp()
		default:
			v = w.other()
		}
		if v != goOn {
			return v
		}
	}
	return capture.FramesDroppedMalformed
}

// short is the verdict on a header that is not all there.
func (w *walk) short() capture.Counter {
	if w.cut > 0 {
		return capture.FramesDroppedTruncated
	}
	return capture.FramesDroppedMalformed
}

// take cuts n bytes off the front of p.
func (w *walk) take(n int, next kind) capture.Counter {
	if len(w.p) < n {
		return w.short()
	}
	w.p, w.next = w.p[n:], next
	return goOn
}

func (w *walk) ethernet() capture.Counter {
	if len(w.p) < 14 {
		return w.short()
	}
	w.p, w.next = w.p[12:], etherType
	return goOn
}

// etherType takes an EtherType.
func (w *walk) etherType() capture.Counter {
	if len(w.p) < 2 {
		return w.short()
	}
	t := binary.BigEndian.Uint16(w.p)
	w.p = w.p[2:]
	return w.ofType(t)
}

// ofType goes on with what an EtherType says that p is.
func (w *walk) ofType(t uint16) capture.Counter {
	switch t {
	case 0x0800:
		w.next = ipv4
	case 0x86dd:
		w.next = ipv6
	case 0x8100, 0x88a8, 0x9100, 0x9200: // 802.1Q, 802.1ad and what came before it
		if len(w.p) < 4 {
			return w.short()
		}
		w.vlan = (w.vlan<<12 | uint32(binary.BigEndian.Uint16(w.p)&0xfff)) & 0xffffff
		w.p, w.next = w.p[2:], etherType
	default:
		if t < 0x600 { // the length of an IEEE 802.3 frame
			return w.llc()
		}
		for i := range etherTypes {
			if e := &etherTypes[i]; e.value == t {
				return w.take(e.head, e.kind)
			}
		}
		return capture.FramesIgnoredNotIP
	}
	return goOn
}

func (w *walk) ipv4() capture.Counter {
	p := w.p
	if len(p) < 20 {
		return w.short()
	}
	head := int(p[0]&0xf) * 4
	if p[0]>>4 != 4 || head < 20 {
		return capture.FramesDroppedMalformed
	}
	total := int(binary.BigEndian.Uint16(p[2:]))
	if total == 0 { // segmentation offload: to the end of the frame
		total = len(p) + w.cut
	}
	if total < head {
		return capture.FramesDroppedMalformed
	}
	if w.end(total); len(w.p) < head {
		return w.short()
	}
	w.src = netip.AddrFrom4([4]byte(p[12:]))
	w.dst = netip.AddrFrom4([4]byte(p[16:]))
	w.p = w.p[head:]
	if frag := binary.BigEndian.Uint16(p[6:]); frag&0x3fff != 0 {
		return w.fragment(uint32(binary.BigEndian.Uint16(p[4:])), int(frag&0x1fff)*8, frag&0x2000 != 0, p[9])
	}
	return w.transport(p[9])
}

// end cuts p to the length that an IP header declares. More than the frame had
// counts as cut off: there are captures whose frames were shortened without a
// note of it.
func (w *walk) end(total int) {
	w.cut = max(0, total-len(w.p))
	w.p = w.p[:min(total, len(w.p))]
}

func (w *walk) ipv6() capture.Counter {
	p := w.p
	if len(p) < 40 {
		return w.short()
	}
	if p[0]>>4 != 6 {
		return capture.FramesDroppedMalformed
	}
	// No length: a jumbogram or segmentation offload, to the end of the frame.
	if length := int(binary.BigEndian.Uint16(p[4:])); length > 0 {
		w.end(40 + length)
	}
	w.src = netip.AddrFrom16([16]byte(p[8:]))
	w.dst = netip.AddrFrom16([16]byte(p[24:]))
	w.p = w.p[40:]
	return w.transport(p[6])
}

// transport goes on behind an IP header with an IP protocol, passing over the
// extension headers of IPv6 (RFC 8200; they are what they are in IPv4 too).
func (w *walk) transport(proto uint8) capture.Counter {
	for range w.d.o.MaxLayers {
		size := 0
		switch proto {
		case 6:
			w.next = tcp
			return goOn
		case 0, 43, 60, 135, 139, 140: // hop-by-hop, routing, destination, mobility, HIP, shim6
			if len(w.p) < 2 {
				return w.short()
			}
			size = (int(w.p[1]) + 1) * 8
		case 51: // authentication
			if len(w.p) < 2 {
				return w.short()
			}
			size = (int(w.p[1]) + 2) * 4
		case 44: // fragment
			if len(w.p) < 8 {
				return w.short()
			}
			frag := binary.BigEndian.Uint16(w.p[2:])
			if frag&0xfff9 != 0 {
				id, next := binary.BigEndian.Uint32(w.p[4:]), w.p[0]
				w.p = w.p[8:]
				return w.fragment(id, int(frag&0xfff8), frag&1 != 0, next)
			}
			size = 8 // atomic: all of the packet (RFC 6946)
		default:
			if w.next = protocols[proto]; w.next == none {
				return capture.FramesIgnoredNotTCP
			}
			return goOn
		}
		if len(w.p) < size {
			return w.short()
		}
		proto = w.p[0]
		w.p = w.p[size:]
	}
	return capture.FramesDroppedMalformed
}

// fragment holds a fragment of an IP packet, or goes on with the packet that it
// completes.
func (w *walk) fragment(id uint32, offset int, more bool, proto uint8) capture.Counter {
	if proto != 6 && proto != 44 && protocols[proto] == none && !extension(proto) {
		return capture.FramesIgnoredNotTCP
	}
	if w.cut > 0 {
		return capture.FramesDroppedTruncated
	}
	k := fragmentKey{src: w.src, dst: w.dst, vlan: w.vlan, id: id, proto: proto}
	packet, held, ok := w.d.frags.add(k, offset, more, w.p, w.f.Time, w.n)
	if !ok {
		return capture.FramesDroppedFragment
	}
	if packet == nil {
		return capture.FramesAnalysed
	}
	w.held += held
	w.p = packet
	return w.transport(proto)
}

func extension(proto uint8) bool {
	switch proto {
	case 0, 43, 51, 60, 135, 139, 140:
		return true
	}
	return false
}

func (w *walk) tcp() capture.Counter {
	p := w.p
	if len(p) < 20 {
		return w.short()
	}
	head := int(p[12]>>4) * 4
	if head < 20 || head > len(p)+w.cut {
		return capture.FramesDroppedMalformed
	}
	src := netip.AddrPortFrom(w.src, binary.BigEndian.Uint16(p))
	dst := netip.AddrPortFrom(w.dst, binary.BigEndian.Uint16(p[2:]))
	if keep := w.d.o.Keep; keep != nil && !keep(src, dst) {
		return capture.FramesIgnoredFiltered
	}
	s := w.s
	s.Stamp = w.f.Stamp
	s.Src, s.Dst, s.VLAN = src, dst, w.vlan
	s.Flow = flow(hash(src), hash(dst))
	s.fill(p, head, w.cut)
	w.done = true
	return capture.FramesAnalysed
}

// flow mixes the hashes of two ends.
func flow(a, b uint64) uint32 { return uint32((a + b) * 0x9e3779b97f4a7c15 >> 32) }

func hash(end netip.AddrPort) uint64 {
	addr := end.Addr().Unmap() // as package flow sees it
	if addr.Is4() {
		a := addr.As4()
		return hash4(a[:], end.Port())
	}
	a := addr.As16()
	return (binary.BigEndian.Uint64(a[:])^binary.BigEndian.Uint64(a[8:]))<<16 + uint64(end.Port())
}

// hash4 is hash for an address of IPv4.
func hash4(addr []byte, port uint16) uint64 {
	return uint64(binary.BigEndian.Uint32(addr))<<32 | uint64(port)
}

// fill reads a TCP segment, whose header ends at head, and behind which cut bytes
// are missing.
func (s *Segment) fill(p []byte, head, cut int) {
	s.Seq = binary.BigEndian.Uint32(p[4:])
	s.Ack = binary.BigEndian.Uint32(p[8:])
	s.Flags = p[13]
	s.Window = binary.BigEndian.Uint16(p[14:])
	s.Missing = cut
	if head > len(p) { // cut inside the options
		s.Missing -= head - len(p)
		head = len(p)
	}
	s.Payload = p[head:len(p):len(p)]
	s.Bytes = p[:len(p):len(p)]
}
