package capturetest

import (
	"cmp"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"plainsight/capture"
	"plainsight/capture/packet"
)

// Segment is one TCP segment of a conversation, before it is put into a frame.
type Segment struct {
	Dir      capture.Dir
	Seq, Ack uint32
	Flags    uint8
	Payload  []byte
	Time     time.Time
	BadSum   bool // its checksum is wrong
}

// Opening is how a connection begins.
type Opening uint8

// Openings.
const (
	Handshake    Opening = iota // SYN, SYN-ACK, ACK
	NoHandshake                 // the capture joins later
	Simultaneous                // both sides send a SYN
	Split                       // the SYN is answered by a SYN
	FastOpen                    // the first data also rides on the SYN (RFC 7413)
)

// Closing is how a connection ends.
type Closing uint8

// Closings.
const (
	FIN     Closing = iota // both sides, the client first
	Reset                  // by the server
	NoClose                // the capture ends, or the connection just stops
)

// Wire says how a conversation is put on the wire. The zero value is a plain
// connection over IPv4.
type Wire struct {
	Client, Server netip.AddrPort // default 10.0.0.1:40000 and 10.0.0.2:80
	VLAN           []uint16       // tags, outermost first
	ISN            [2]uint32      // by capture.Dir
	Open           Opening
	Close          Closing
	Size           int  // payload bytes of a segment; default 1460
	NoACK          bool // data is not acknowledged
	Start          time.Time
	Pace           time.Duration // between two segments; default Tick
	Snap           int           // frames are cut to it; 0: whole
	Offload        bool          // all checksums are wrong: the network card would set them

	// Edit changes the segments of one step before they are sent: their order,
	// their number, their bytes.
	Edit func(r *rand.Rand, burst []Segment) []Segment
	// Keep says whether the capture sees a segment; nil: all.
	Keep func(s *Segment) bool
}

// Only is a Keep that sees one direction.
func Only(d capture.Dir) func(*Segment) bool { return func(s *Segment) bool { return s.Dir == d } }

// Frames puts steps on the wire. Frames are numbered from 1.
func (w Wire) Frames(steps ...Step) []capture.Frame {
	w.setDefaults()
	var frames []capture.Frame
	for i, s := range w.Segments(steps...) {
		s.BadSum = s.BadSum || w.Offload
		if w.Keep == nil || w.Keep(&s) {
			f := w.frame(&s, uint16(i))
			f.Frame = uint64(len(frames) + 1)
			frames = append(frames, f)
		}
	}
	return frames
}

func (w *Wire) setDefaults() {
	if !w.Client.IsValid() {
		w.Client = netip.MustParseAddrPort("10.0.0.1:40000")
	}
	if !w.Server.IsValid() {
		w.Server = netip.MustParseAddrPort("10.0.0.2:80")
	}
	w.Size = cmp.Or(w.Size, 1460)
	w.Pace = cmp.Or(w.Pace, Tick)
	if w.Start.IsZero() {
		w.Start = Epoch
	}
}

// talk is a conversation being put on the wire.
type talk struct {
	Wire
	seq, ack [2]uint32 // next of each direction, and what it acknowledges
	fin      [2]bool
	out      []Segment
}

// Segments are the segments of steps, also those that Keep does not see.
func (w Wire) Segments(steps ...Step) []Segment {
	w.setDefaults()
	t := &talk{Wire: w, seq: w.ISN}
	t.open(steps)
	rng := rand.New(rand.NewPCG(1, uint64(len(steps))))
	for _, s := range steps {
		t.step(rng, s)
	}
	switch w.Close {
	case FIN:
		for d := capture.ToServer; d <= capture.ToClient; d++ {
			t.finish(d)
		}
		t.send(capture.ToServer, packet.ACK, nil)
	case Reset:
		t.send(capture.ToClient, packet.RST|packet.ACK, nil)
	}
	for i := range t.out {
		t.out[i].Time = w.Start.Add(time.Duration(i) * w.Pace)
	}
	return t.out
}

// send sends a segment and counts its sequence numbers.
func (t *talk) send(d capture.Dir, flags uint8, payload []byte) {
	s := Segment{Dir: d, Seq: t.seq[d], Flags: flags, Payload: payload}
	if flags&packet.ACK != 0 {
		t.ack[d] = t.seq[d.Other()]
		s.Ack = t.ack[d]
	}
	t.out = append(t.out, s)
	t.seq[d] += uint32(len(payload))
	if flags&(packet.SYN|packet.FIN) != 0 {
		t.seq[d]++
	}
}

func (t *talk) open(steps []Step) {
	const c, s = capture.ToServer, capture.ToClient
	switch t.Open {
	case Handshake:
		t.send(c, packet.SYN, nil)
		t.send(s, packet.SYN|packet.ACK, nil)
		t.send(c, packet.ACK, nil)
	case FastOpen:
		var early []byte
		if len(steps) > 0 && steps[0].Dir == c {
			early = []byte(steps[0].Data)[:min(len(steps[0].Data), 1200)]
		}
		t.send(c, packet.SYN, early)
		t.send(s, packet.SYN|packet.ACK, nil)
		t.seq[c] = t.ISN[c] + 1 // the first step comes again in full
		t.send(c, packet.ACK, nil)
	case Simultaneous:
		t.send(c, packet.SYN, nil)
		t.send(s, packet.SYN, nil)
		for d := c; d <= s; d++ {
			t.seq[d]--
			t.send(d, packet.SYN|packet.ACK, nil)
		}
	case Split:
		t.send(c, packet.SYN, nil)
		t.send(s, packet.ACK, nil)
		t.send(s, packet.SYN, nil)
		t.seq[c]--
		t.send(c, packet.SYN|packet.ACK, nil)
		t.send(s, packet.ACK, nil)
	case NoHandshake:
		t.seq[c]++
		t.seq[s]++
	}
}

func (t *talk) step(rng *rand.Rand, s Step) {
	from := len(t.out)
	for b := []byte(s.Data); len(b) > 0; {
		n := min(t.Size, len(b))
		t.send(s.Dir, packet.ACK, b[:n])
		b = b[n:]
	}
	if burst := t.out[from:]; t.Edit != nil && len(burst) > 0 {
		t.out = append(t.out[:from], t.Edit(rng, slices.Clone(burst))...)
	}
	t.seq[s.Dir] += uint32(s.Lost)
	if len(s.Data)+s.Lost > 0 && !t.NoACK {
		t.send(s.Dir.Other(), packet.ACK, nil)
	}
	if s.End {
		t.finish(s.Dir)
	}
}

func (t *talk) finish(d capture.Dir) {
	if !t.fin[d] {
		t.fin[d] = true
		t.send(d, packet.FIN|packet.ACK, nil)
	}
}

// frame puts a segment into an Ethernet frame. It is made by gopacket's layers,
// so that our decoder does not read its own writing.
func (w *Wire) frame(s *Segment, id uint16) capture.Frame {
	src, dst := w.Client, w.Server
	if s.Dir == capture.ToClient {
		src, dst = dst, src
	}
	typ := layers.EthernetTypeIPv4
	if src.Addr().Is6() {
		typ = layers.EthernetTypeIPv6
	}
	eth := &layers.Ethernet{SrcMAC: []byte{2, 0, 0, 0, 0, byte(s.Dir)}, DstMAC: []byte{2, 0, 0, 0, 0, byte(s.Dir ^ 1)}, EthernetType: typ}
	stack := []gopacket.SerializableLayer{eth}
	for i, tag := range w.VLAN {
		stack = append(stack, &layers.Dot1Q{VLANIdentifier: tag, Type: typ})
		if i == 0 {
			eth.EthernetType = layers.EthernetTypeDot1Q
		} else {
			stack[i].(*layers.Dot1Q).Type = layers.EthernetTypeDot1Q
		}
	}
	tcp := &layers.TCP{
		SrcPort: layers.TCPPort(src.Port()), DstPort: layers.TCPPort(dst.Port()), Seq: s.Seq, Ack: s.Ack, Window: 65535,
		FIN: s.Flags&packet.FIN != 0, SYN: s.Flags&packet.SYN != 0, RST: s.Flags&packet.RST != 0, PSH: s.Flags&packet.PSH != 0,
		ACK: s.Flags&packet.ACK != 0, URG: s.Flags&packet.URG != 0, ECE: s.Flags&packet.ECE != 0, CWR: s.Flags&packet.CWR != 0,
	}
	if src.Addr().Is4() {
		ip := &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Id: id, Protocol: layers.IPProtocolTCP, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		must(tcp.SetNetworkLayerForChecksum(ip))
		stack = append(stack, ip)
	} else {
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		must(tcp.SetNetworkLayerForChecksum(ip))
		stack = append(stack, ip)
	}
	buf := gopacket.NewSerializeBuffer()
	must(gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		append(stack, tcp, gopacket.Payload(s.Payload))...))
	if s.BadSum {
		at := 14 + 4*len(w.VLAN) + 20 + 16
		if src.Addr().Is6() {
			at += 20
		}
		buf.Bytes()[at] ^= 0x55
	}
	f := capture.Frame{Data: buf.Bytes(), Length: len(buf.Bytes()), Link: capture.LinkEthernet}
	f.Time = s.Time
	if w.Snap > 0 && w.Snap < len(f.Data) {
		f.Data = f.Data[:w.Snap]
	}
	return f
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// Merge puts several conversations into one capture, by time, and numbers the
// frames anew.
func Merge(captures ...[]capture.Frame) []capture.Frame {
	all := slices.Concat(captures...)
	slices.SortStableFunc(all, func(a, b capture.Frame) int { return a.Time.Compare(b.Time) })
	return Number(all)
}

// Number numbers frames from 1 in the order they have.
func Number(frames []capture.Frame) []capture.Frame {
	for i := range frames {
		frames[i].Frame = uint64(i + 1)
	}
	return frames
}

// Source is a capture of frames in memory. It overwrites what it lent at its
// next call, so that who keeps borrowed bytes shows it.
type Source struct {
	Frames []capture.Frame
	Err    error // at the end, instead of io.EOF
	lent   []byte
}

// Next fills f with the next frame.
func (s *Source) Next(f *capture.Frame) error {
	for i := range s.lent {
		s.lent[i] = '#'
	}
	if len(s.Frames) == 0 {
		return cmp.Or(s.Err, io.EOF)
	}
	*f = s.Frames[0]
	s.Frames = s.Frames[1:]
	s.lent = append(s.lent[:0], f.Data...)
	f.Data = s.lent
	return nil
}

// Close does nothing.
func (s *Source) Close() error { return nil }
