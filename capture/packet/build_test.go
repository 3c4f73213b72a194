package packet

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// The functions here write the layers of a frame, the inner ones given.

var be = binary.BigEndian

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func u16(v int) []byte { return be.AppendUint16(nil, uint16(v)) }

func u32(v int) []byte { return be.AppendUint32(nil, uint32(v)) }

func zero(n int) []byte { return make([]byte, n) }

func inEthernet(etherType int, p []byte) []byte {
	return join([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, u16(etherType), p)
}

func inVLAN(tag, etherType int, p []byte) []byte { return join(u16(0xe000|tag), u16(etherType), p) }

func inIPv4(src, dst string, proto byte, p []byte) []byte {
	return fragmentIPv4(src, dst, proto, 0, 0, false, p)
}

// fragmentIPv4 writes the fragment p of an IPv4 packet; offset in bytes.
func fragmentIPv4(src, dst string, proto byte, id, offset int, more bool, p []byte) []byte {
	field := offset / 8
	if more {
		field |= 0x2000
	}
	a, b := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
	return join([]byte{0x45, 0}, u16(20+len(p)), u16(id), u16(field), []byte{64, proto, 0, 0}, a[:], b[:], p)
}

func inIPv6(src, dst string, next byte, p []byte) []byte {
	a, b := netip.MustParseAddr(src).As16(), netip.MustParseAddr(dst).As16()
	return join([]byte{0x60, 0, 0, 0}, u16(len(p)), []byte{next, 64}, a[:], b[:], p)
}

// fragmentIPv6 writes the fragment p of an IPv6 packet.
func fragmentIPv6(src, dst string, next byte, id, offset int, more bool, p []byte) []byte {
	if more {
		offset |= 1
	}
	return inIPv6(src, dst, 44, join([]byte{next, 0}, u16(offset), u32(id), p))
}

func inUDP(src, dst int, p []byte) []byte {
	return join(u16(src), u16(dst), u16(8+len(p)), zero(2), p)
}

// inTCP has twelve bytes of options.
func inTCP(src, dst int, seq, ack int, flags byte, p []byte) []byte {
	return join(u16(src), u16(dst), u32(seq), u32(ack), []byte{0x80, flags}, u16(501), zero(4),
		[]byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}, p)
}

const (
	client, server   = "192.0.2.1", "198.51.100.7"
	client6, server6 = "2001:db8::1", "2001:db8::2"
)

var payload = []byte("GET /items?page=2 HTTP/1.1\r\nHost: shop.example\r\n\r\n")

// tcp4 and tcp6 are the packet that the tests wrap in layers.
func tcp4() []byte {
	return inIPv4(client, server, 6, inTCP(40000, 80, 1000, 2000, ACK|PSH, payload))
}

func tcp6() []byte {
	return inIPv6(client6, server6, 6, inTCP(40000, 80, 1000, 2000, ACK|PSH, payload))
}
