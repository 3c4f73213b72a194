package capturetest

import (
	"math/rand/v2"
	"net/netip"
	"slices"

	"plainsight/capture/packet"
)

// Variant is a way to put a conversation on the wire. Where Keeps is set, every
// byte is in the capture and the same must come out as for the zero Wire.
type Variant struct {
	Name  string
	Keeps bool
	Wire
}

// Variants are the ways in which a capture may show a conversation.
func Variants() []Variant {
	return []Variant{
		{"plain", true, Wire{}},
		{"1-byte segments", true, Wire{Size: 1}},
		{"7-byte segments", true, Wire{Size: 7}},
		{"giant segments", true, Wire{Size: 60000}},
		{"not acknowledged", true, Wire{Size: 50, NoACK: true}},
		{"reversed", true, Wire{Size: 50, Edit: Reversed}},
		{"shuffled", true, Wire{Size: 50, Edit: Shuffled}},
		{"shuffled single bytes", true, Wire{Size: 1, Edit: Shuffled}},
		{"doubled", true, Wire{Size: 100, Edit: Doubled}},
		{"overlapping", true, Wire{Size: 40, Edit: Overlapping}},
		{"overlapping and shuffled", true, Wire{Size: 40, Edit: func(r *rand.Rand, b []Segment) []Segment {
			return Shuffled(r, Overlapping(r, b))
		}}},
		{"contradicted later", true, Wire{Size: 50, Edit: Contradicted}},
		{"keep-alive probes", true, Wire{Edit: KeepAlive}},
		{"forged with wrong checksums", true, Wire{Size: 50, Edit: Misleading}},
		{"wrong checksums", true, Wire{Offload: true}},
		{"wrong checksums of data", true, Wire{Size: 50, Edit: Merged}},
		{"wrong checksums of data, not acknowledged", true, Wire{Size: 50, NoACK: true, Edit: Merged}},
		{"forged far away", true, Wire{Size: 50, Edit: Forged}},
		{"sequence numbers wrap", true, Wire{ISN: [2]uint32{0xfffffff8, 0xfffffff0}}},
		{"sequence numbers wrap, shuffled", true, Wire{Size: 3, ISN: [2]uint32{0xfffffff8, 0xfffffff0}, Edit: Shuffled}},
		{"fast open", true, Wire{Open: FastOpen}},
		{"simultaneous open", true, Wire{Open: Simultaneous}},
		{"split handshake", true, Wire{Open: Split}},
		{"IPv6", true, Wire{Client: netip.MustParseAddrPort("[fd00::1]:40000"), Server: netip.MustParseAddrPort("[fd00::2]:80")}},
		{"the server has the higher port and address", true, Wire{Client: netip.MustParseAddrPort("10.0.0.1:1024"), Server: netip.MustParseAddrPort("10.0.0.2:8080")}},
		{"the client has the higher address", true, Wire{Client: netip.MustParseAddrPort("10.0.0.3:40000")}},
		{"VLAN", true, Wire{VLAN: []uint16{100}}},
		{"two VLANs", true, Wire{VLAN: []uint16{200, 100}}},
		{"no end", false, Wire{Close: NoClose}},
		{"reset", false, Wire{Close: Reset}},
		{"no handshake", false, Wire{Open: NoHandshake}},
		{"the client alone", false, Wire{Keep: Only(0)}},
		{"the server alone", false, Wire{Keep: Only(1)}},
		{"contradicted before", false, Wire{Size: 50, Edit: func(r *rand.Rand, b []Segment) []Segment {
			b = Contradicted(r, b)
			slices.Reverse(b)
			return b
		}}},
		{"losing a tenth", false, Wire{Size: 50, Edit: Lossy}},
		{"cut by the snap length", false, Wire{Snap: 96}},
	}
}

// Reversed sends the segments of a step last first.
func Reversed(_ *rand.Rand, b []Segment) []Segment {
	slices.Reverse(b)
	return b
}

// Shuffled sends them in any order.
func Shuffled(r *rand.Rand, b []Segment) []Segment {
	r.Shuffle(len(b), func(i, j int) { b[i], b[j] = b[j], b[i] })
	return b
}

// Doubled sends each segment twice.
func Doubled(_ *rand.Rand, b []Segment) []Segment {
	var out []Segment
	for _, s := range b {
		out = append(out, s, s)
	}
	return out
}

// Overlapping sends the bytes of each segment again, with other cuts.
func Overlapping(r *rand.Rand, b []Segment) []Segment {
	var whole []byte
	for _, s := range b {
		whole = append(whole, s.Payload...)
	}
	var out []Segment
	for _, s := range b {
		out = append(out, s)
		from := r.IntN(len(whole))
		s.Seq = b[0].Seq + uint32(from)
		s.Payload = whole[from : from+1+r.IntN(min(90, len(whole)-from))]
		out = append(out, s)
	}
	return out
}

// Contradicted sends other bytes for the same place after each segment.
func Contradicted(_ *rand.Rand, b []Segment) []Segment {
	var out []Segment
	for _, s := range b {
		out = append(out, s)
		if len(s.Payload) > 1 { // else it would be a keep-alive
			s.Payload = slices.Repeat([]byte("Z"), len(s.Payload))
			out = append(out, s)
		}
	}
	return out
}

// Misleading sends other bytes for the same place before each segment, and an
// end and a reset, all with wrong checksums.
func Misleading(_ *rand.Rand, b []Segment) []Segment {
	var out []Segment
	for i, s := range b {
		f := s
		f.BadSum = true
		switch i % 3 {
		case 0:
			f.Payload = slices.Repeat([]byte("Z"), len(s.Payload))
		case 1:
			f.Flags, f.Payload = packet.FIN|packet.ACK, nil
		case 2:
			f.Flags, f.Payload = packet.RST, nil
		}
		out = append(out, f, s)
	}
	return out
}

// Merged sends data with wrong checksums, as captures show what the receiver's
// network card put together.
func Merged(_ *rand.Rand, b []Segment) []Segment {
	for i := range b {
		b[i].BadSum = true
	}
	return b
}

// KeepAlive sends probes before and after: of nothing, and of a byte of garbage.
func KeepAlive(_ *rand.Rand, b []Segment) []Segment {
	before := b[0]
	before.Seq--
	before.Payload = nil
	last := b[len(b)-1]
	last.Seq += uint32(len(last.Payload)) - 1
	last.Payload = []byte{0}
	return append(append([]Segment{before}, b...), last)
}

// Forged puts resets, ends, calls and data of somebody else around the segments,
// far from where the stream is.
func Forged(_ *rand.Rand, b []Segment) []Segment {
	var out []Segment
	for i, s := range b {
		out = append(out, s)
		s.Seq += 500_000_000 + uint32(i%40)*90_000_000
		s.Flags = [...]uint8{packet.RST, packet.RST | packet.ACK, packet.ACK, packet.FIN | packet.ACK, packet.SYN | packet.ACK}[i%5]
		if s.Flags != packet.ACK {
			s.Payload = nil
		} else {
			s.Payload = slices.Repeat([]byte("Z"), len(s.Payload))
		}
		out = append(out, s)
	}
	return out
}

// Lossy loses a tenth of the segments, never the first.
func Lossy(r *rand.Rand, b []Segment) []Segment {
	out := b[:1]
	for _, s := range b[1:] {
		if r.IntN(10) > 0 {
			out = append(out, s)
		}
	}
	return out
}
