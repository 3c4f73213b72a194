package packet

import (
	"encoding/binary"

	"plainsight/capture"
)

// other takes the layers that are rarer than Ethernet, IP and TCP.
func (w *walk) other() capture.Counter {
	switch w.next {
	case rawIP:
		return w.rawIP()
	case null:
		return w.null()
	case sll:
		return w.take(14, etherType)
	case sll2:
		return w.sll2()
	case ppp:
		return w.ppp()
	case pppoe:
		return w.pppoe()
	case nflog:
		return w.nflog()
	case wifi:
		if len(w.p) < 2 {
			return w.short()
		}
		return w.wifi(w.p[0], w.p[1])
	case radiotap:
		return w.radiotap()
	case mpls:
		return w.mpls()
	case udp:
		return w.udp()
	case gre:
		return w.gre()
	case etherIP:
		return w.take(2, bridged)
	case erspan3:
		return w.erspan3()
	case bridged:
		w.vlan = 0
		w.next = ethernet
		return goOn
	case vxlan:
		return w.vxlan()
	case geneve:
		return w.geneve()
	case gtp:
		return w.gtp()
	case teredo:
		return w.teredo()
	case l2tp:
		return w.l2tp()
	case capwap:
		return w.capwap()
	case ayiya:
		return w.ayiya()
	}
	return capture.FramesIgnoredLink
}

// rawIP takes nothing: the version of IP is in its first byte.
func (w *walk) rawIP() capture.Counter {
	if len(w.p) == 0 {
		return w.short()
	}
	switch w.p[0] >> 4 {
	case 4:
		w.next = ipv4
	case 6:
		w.next = ipv6
	default:
		return capture.FramesIgnoredNotIP
	}
	return goOn
}

// null takes an address family in the byte order of the machine that captured
// (network order in OpenBSD's loopback); the families of IPv6 differ by system.
func (w *walk) null() capture.Counter {
	if len(w.p) < 4 {
		return w.short()
	}
	family := binary.LittleEndian.Uint32(w.p)
	if family > 0xffff {
		family = binary.BigEndian.Uint32(w.p)
	}
	w.p = w.p[4:]
	switch family {
	case 2:
		w.next = ipv4
	case 10, 24, 28, 30:
		w.next = ipv6
	default:
		return capture.FramesIgnoredNotIP
	}
	return goOn
}

func (w *walk) sll2() capture.Counter {
	if len(w.p) < 20 {
		return w.short()
	}
	t := binary.BigEndian.Uint16(w.p)
	w.p = w.p[20:]
	return w.ofType(t)
}

// ppp takes a PPP protocol, with or without HDLC's address and control, which
// may be compressed to one byte (RFC 1661).
func (w *walk) ppp() capture.Counter {
	if len(w.p) >= 2 && w.p[0] == 0xff && w.p[1] == 3 {
		w.p = w.p[2:]
	}
	if len(w.p) < 2 {
		return w.short()
	}
	proto, size := uint16(w.p[0]), 1
	if proto&1 == 0 {
		proto, size = binary.BigEndian.Uint16(w.p), 2
	}
	w.p = w.p[size:]
	switch proto {
	case 0x21:
		w.next = ipv4
	case 0x57:
		w.next = ipv6
	case 0x281, 0x283:
		w.next = mpls
	default:
		return capture.FramesIgnoredNotIP
	}
	return goOn
}

// pppoe takes the head of a PPPoE session frame (RFC 2516).
func (w *walk) pppoe() capture.Counter {
	if len(w.p) < 6 {
		return w.short()
	}
	if w.p[0] != 0x11 || w.p[1] != 0 {
		return capture.FramesIgnoredNotIP
	}
	return w.take(6, ppp)
}

// nflog takes fields of a type and a length up to the one with the packet.
func (w *walk) nflog() capture.Counter {
	if len(w.p) < 4 {
		return w.short()
	}
	for w.p = w.p[4:]; len(w.p) >= 4; {
		size, field := int(binary.LittleEndian.Uint16(w.p)), binary.LittleEndian.Uint16(w.p[2:])
		if size < 4 {
			return capture.FramesDroppedMalformed
		}
		if field&0x7fff == 9 {
			return w.take(4, rawIP)
		}
		w.p = w.p[min(len(w.p), (size+3)&^3):]
	}
	if w.cut > 0 {
		return w.short()
	}
	return capture.FramesIgnoredNotIP
}

// radiotap takes the head that a receiver puts in front of an 802.11 frame.
func (w *walk) radiotap() capture.Counter {
	if len(w.p) < 8 {
		return w.short()
	}
	return w.take(int(binary.LittleEndian.Uint16(w.p[2:])), wifi)
}

// wifi takes the head of an 802.11 data frame that is not encrypted; control and
// flags are its first two bytes.
func (w *walk) wifi(control, flags byte) capture.Counter {
	const qos, toFromDS, order, protected = 0x80, 0x03, 0x80, 0x40
	// Data and QoS data only: the other subtypes carry none.
	if control&0x0f != 0x08 || control&0x70 != 0 || flags&protected != 0 {
		return capture.FramesIgnoredNotIP
	}
	size := 24
	if flags&toFromDS == toFromDS {
		size += 6
	}
	if control&qos != 0 {
		if len(w.p) < size+2 {
			return w.short()
		}
		if w.p[size]&0x80 != 0 { // an aggregate of several packets
			return capture.FramesIgnoredNotIP
		}
		if size += 2; flags&order != 0 {
			size += 4
		}
	}
	if v := w.take(size, none); v != goOn {
		return v
	}
	return w.llc()
}

// llc takes the head of an IEEE 802.2 frame that holds an EtherType (SNAP).
func (w *walk) llc() capture.Counter {
	if len(w.p) < 8 && w.cut > 0 {
		return w.short()
	}
	if len(w.p) < 8 || [6]byte(w.p) != [6]byte{0xaa, 0xaa, 3} {
		return capture.FramesIgnoredNotIP
	}
	return w.take(6, etherType)
}

// mpls takes labels up to the last one (RFC 3032). What follows is told by its
// first byte: IP, or the control word of a pseudowire with Ethernet (RFC 4448).
func (w *walk) mpls() capture.Counter {
	for {
		if len(w.p) < 4 {
			return w.short()
		}
		last := w.p[2]&1 != 0
		if w.p = w.p[4:]; last {
			break
		}
	}
	if len(w.p) < 4 {
		return w.short()
	}
	switch w.p[0] >> 4 {
	case 0:
		return w.take(4, bridged)
	case 4, 6:
		w.next = rawIP
		return goOn
	}
	return capture.FramesIgnoredNotIP
}

func (w *walk) udp() capture.Counter {
	if len(w.p) < 8 {
		return w.short()
	}
	src, dst := binary.BigEndian.Uint16(w.p), binary.BigEndian.Uint16(w.p[2:])
	if size := int(binary.BigEndian.Uint16(w.p[4:])); size >= 8 && size < len(w.p) {
		w.p, w.cut = w.p[:size], 0
	}
	w.p = w.p[8:]
	if w.next = portKind(dst); w.next != none {
		return goOn
	}
	// These answer from the port, the others go to it in both directions.
	if k := portKind(src); k == teredo || k == capwap || k == ayiya {
		w.next = k
		return goOn
	}
	if teredoByAddress(w.p) {
		w.next = ipv6
		return goOn
	}
	if isQUIC(w.p, src == 443 || dst == 443) {
		w.n[capture.QUICFrames]++
	}
	return capture.FramesIgnoredNotTCP
}

// isQUIC tells QUIC (RFC 9000, section 17) from other UDP: by the version in a
// long header, or on the port of HTTPS by the bit that is fixed.
func isQUIC(p []byte, https bool) bool {
	if len(p) < 7 || p[0]&0x40 == 0 {
		return false
	}
	if p[0]&0x80 == 0 {
		return https
	}
	v := binary.BigEndian.Uint32(p[1:]) // 1, 2, the drafts, Google's
	return https || v == 1 || v == 0x6b3343cf || v>>8 == 0xff0000 || v>>24 == 'Q'
}

// gre takes a GRE head (RFC 2784, RFC 2890; version 1: RFC 2637).
func (w *walk) gre() capture.Counter {
	if len(w.p) < 4 {
		return w.short()
	}
	flags, t := binary.BigEndian.Uint16(w.p), binary.BigEndian.Uint16(w.p[2:])
	const checksum, routing, key, sequence, ack = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080
	size := 4
	for _, bit := range [...]uint16{checksum, key, sequence} {
		if flags&bit != 0 {
			size += 4
		}
	}
	switch {
	case flags&routing != 0 || flags&7 > 1:
		return capture.FramesIgnoredNotTCP
	case flags&7 == 1 && flags&ack != 0:
		size += 4
	case flags&7 == 0 && t == 0x88be && flags&sequence != 0: // ERSPAN II has a head of its own
		size += 8
	}
	if v := w.take(size, none); v != goOn {
		return v
	}
	if len(w.p) == 0 && w.cut == 0 { // keep-alives and acknowledgements carry nothing
		return capture.FramesIgnoredNotTCP
	}
	return w.ofType(t)
}

// erspan3 takes the head of ERSPAN III.
func (w *walk) erspan3() capture.Counter {
	if len(w.p) < 12 {
		return w.short()
	}
	size := 12
	if w.p[11]&1 != 0 {
		size += 8
	}
	return w.take(size, bridged)
}

// vxlan takes the head of VXLAN (RFC 7348), or of its extension that names what
// it carries (draft-ietf-nvo3-vxlan-gpe).
func (w *walk) vxlan() capture.Counter {
	if len(w.p) < 8 || w.p[0]&0x08 == 0 {
		return w.noTunnel()
	}
	next := bridged
	const named = 0x04
	if w.p[0]&named != 0 {
		switch w.p[3] {
		case 1:
			next = ipv4
		case 2:
			next = ipv6
		case 5:
			next = mpls
		}
	}
	return w.take(8, next)
}

// l2tp takes the head of an L2TP data message (RFC 2661).
func (w *walk) l2tp() capture.Counter {
	if len(w.p) < 6 || w.p[1]&0xf != 2 {
		return w.noTunnel()
	}
	const control, length, sequence, offset = 0x80, 0x40, 0x08, 0x02
	flags, size := w.p[0], 6
	if flags&control != 0 {
		return capture.FramesIgnoredNotTCP
	}
	if flags&length != 0 {
		size += 2
	}
	if flags&sequence != 0 {
		size += 4
	}
	if flags&offset != 0 {
		if len(w.p) < size+2 {
			return w.short()
		}
		size += 2 + int(binary.BigEndian.Uint16(w.p[size:]))
	}
	return w.take(size, ppp)
}

// capwap takes the head of CAPWAP data, which a wireless controller and its
// access points exchange (RFC 5415, section 4.3).
func (w *walk) capwap() capture.Counter {
	if len(w.p) < 8 {
		return w.noTunnel()
	}
	head := binary.BigEndian.Uint32(w.p)
	const kind, native, fragment, keepAlive = 0xff << 24, 1 << 8, 1 << 7, 1 << 3
	if head&(kind|fragment|keepAlive) != 0 {
		return capture.FramesIgnoredNotTCP
	}
	if v := w.take(int(head>>19&0x1f)*4, bridged); v != goOn || head&native == 0 {
		return v
	}
	if len(w.p) < 2 {
		return w.short()
	}
	if head>>9&0x1f != 1 { // 802.11 is the only binding there is
		return capture.FramesIgnoredNotTCP
	}
	// Cisco's controllers swap the first two bytes.
	if w.p[0]&0x0f != 0x08 && w.p[1]&0x0f == 0x08 {
		return w.wifi(w.p[1], w.p[0])
	}
	return w.wifi(w.p[0], w.p[1])
}

// geneve takes the head of Geneve (RFC 8926).
func (w *walk) geneve() capture.Counter {
	if len(w.p) < 8 || w.p[0]>>6 != 0 {
		return w.noTunnel()
	}
	t := binary.BigEndian.Uint16(w.p[2:])
	if v := w.take(8+int(w.p[0]&0x3f)*4, none); v != goOn {
		return v
	}
	return w.ofType(t)
}

// gtp takes the head of GTP-U (3GPP TS 29.281).
func (w *walk) gtp() capture.Counter {
	if len(w.p) < 8 || w.p[0]>>4 != 3 || w.p[1] != 255 {
		return w.noTunnel()
	}
	const optional, extension = 0x07, 0x04
	flags := w.p[0]
	w.p = w.p[8:]
	if flags&optional != 0 {
		if len(w.p) < 4 {
			return w.short()
		}
		next := w.p[3]
		w.p = w.p[4:]
		for flags&extension != 0 && next != 0 {
			if len(w.p) == 0 {
				return w.short()
			}
			size := int(w.p[0]) * 4
			if size == 0 {
				return capture.FramesDroppedMalformed
			}
			if len(w.p) < size {
				return w.short()
			}
			next = w.p[size-1]
			w.p = w.p[size:]
		}
	}
	w.next = rawIP
	return goOn
}

// teredo takes the indications in front of the IPv6 packet (RFC 4380).
func (w *walk) teredo() capture.Counter {
	if len(w.p) >= 4 && w.p[0] == 0 && w.p[1] == 1 { // authentication
		w.p = w.p[min(len(w.p), 4+int(w.p[2])+int(w.p[3])+9):]
	}
	if len(w.p) >= 8 && w.p[0] == 0 && w.p[1] == 0 { // origin
		w.p = w.p[8:]
	}
	if len(w.p) < 40 || w.p[0]>>4 != 6 {
		return w.noTunnel()
	}
	w.next = ipv6
	return goOn
}

// teredoByAddress tells the datagrams of Teredo between a client and a relay, which
// have no port of their own: an IPv6 packet, whole, from or to an address of
// Teredo (RFC 4380, section 2.6).
func teredoByAddress(p []byte) bool {
	const prefix = 0x2001_0000
	return len(p) > 40 && p[0]>>4 == 6 && 40+int(binary.BigEndian.Uint16(p[4:])) == len(p) &&
		(binary.BigEndian.Uint32(p[8:]) == prefix || binary.BigEndian.Uint32(p[24:]) == prefix)
}

// ayiya takes the head of AYIYA (draft-massar-v6ops-ayiya).
func (w *walk) ayiya() capture.Counter {
	const forward, next6 = 1, 41
	if len(w.p) < 8 || w.p[2]&0xf != forward || w.p[3] != next6 {
		return w.noTunnel()
	}
	identity, signature := 1<<(w.p[0]>>4), int(w.p[1]>>4)*4
	return w.take(8+identity+signature, ipv6)
}

// noTunnel is the verdict on a datagram that only has the port of a tunnel.
func (w *walk) noTunnel() capture.Counter { return capture.FramesIgnoredNotTCP }
