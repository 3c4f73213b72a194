// Package pcapgen makes captures: the shop of the demo, whose bytes come from a
// real HTTP server and client, and the loads of the benchmarks. It sends
// nothing but to loopback. The programs demo and bench call it, and tests.
package pcapgen

import (
	"bufio"
	"encoding/binary"
	"io"
	"net/netip"
	"time"

	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// MSS is the largest TCP payload of a frame unless a Wire says otherwise.
const MSS = 1448

// Wire writes frames into a pcap file: Ethernet, IPv4 and TCP, written by hand
// so that large loads are made quickly.
type Wire struct {
	// MSS is the largest payload of a frame, in bytes.
	MSS int
	// Miss says which frames the capture misses; nil: none.
	Miss   func() bool
	out    *bufio.Writer
	bytes  int64 // of the file
	sent   int64 // the same with what was missed
	frames uint64
	frame  []byte
	id     uint16
}

// NewWire begins a capture (pcap, microseconds).
func NewWire(w io.Writer) (*Wire, error) {
	out := bufio.NewWriterSize(w, 1<<20)
	if err := pcapgo.NewWriter(out).WriteFileHeader(262144, layers.LinkTypeEthernet); err != nil {
		return nil, err
	}
	return &Wire{MSS: MSS, out: out, bytes: 24}, nil
}

// Bytes is the size of the capture so far.
func (w *Wire) Bytes() int64 { return w.bytes }

// Close writes what is buffered. It does not close the underlying writer.
func (w *Wire) Close() error { return w.out.Flush() }

// Conn is a TCP connection on a Wire; its ends are IPv4 addresses.
type Conn struct {
	wire *Wire
	addr [2]netip.AddrPort
	seq  [2]uint32
}

// Ends of a connection, as indices.
const (
	client = 0
	server = 1
)

// TCP flags.
const (
	fin = 0x01
	syn = 0x02
	psh = 0x08
	ack = 0x10
)

// Open writes the handshake of a connection.
func (w *Wire) Open(from, to netip.AddrPort, at time.Time) *Conn {
	c := &Conn{wire: w, addr: [2]netip.AddrPort{from, to}}
	isn := uint32(from.Port())*2654435761 + binary.BigEndian.Uint32(from.Addr().AsSlice())
	c.seq = [2]uint32{isn, isn ^ 0x5bd1e995}
	c.send(client, syn, nil, at)
	c.send(server, syn|ack, nil, at.Add(150*time.Microsecond))
	c.send(client, ack, nil, at.Add(180*time.Microsecond))
	return c
}

// Data writes the bytes that one end sends, in frames of at most the MSS, and
// an acknowledgement of the other end after every second of them. It returns the
// number of the first frame, 0 if the capture missed it.
func (c *Conn) Data(from int, b []byte, at time.Time) (first uint64) {
	for n := 1; len(b) > 0; n++ {
		part := b[:min(len(b), c.wire.MSS)]
		b = b[len(part):]
		flags := byte(ack)
		if len(b) == 0 {
			flags |= psh
		}
		number := c.send(from, flags, part, at)
		if n == 1 {
			first = number
		}
		if n%2 == 0 || len(b) == 0 {
			c.send(1-from, ack, nil, at)
		}
		at = at.Add(5 * time.Microsecond)
	}
	return first
}

// Close writes the end of the connection by both sides.
func (c *Conn) Close(at time.Time) {
	c.send(client, fin|ack, nil, at)
	c.send(server, fin|ack, nil, at.Add(80*time.Microsecond))
	c.send(client, ack, nil, at.Add(120*time.Microsecond))
}

// send writes a frame and returns its number in the capture, 0 if that missed it.
func (c *Conn) send(from int, flags byte, payload []byte, at time.Time) uint64 {
	w := c.wire
	const head = 14 + 20 + 20
	size := head + len(payload)
	f := append(w.frame[:0], make([]byte, 16+head)...)
	le, be := binary.LittleEndian, binary.BigEndian
	le.PutUint32(f[0:], uint32(at.Unix()))
	le.PutUint32(f[4:], uint32(at.Nanosecond()/1000))
	le.PutUint32(f[8:], uint32(size))
	le.PutUint32(f[12:], uint32(size))

	eth := f[16:]
	copy(eth, []byte{2, 0, 0, 0, 0, byte(2 - from), 2, 0, 0, 0, 0, byte(1 + from), 0x08, 0x00})

	ip := eth[14:]
	w.id++
	ip[0], ip[8], ip[9] = 0x45, 64, 6
	be.PutUint16(ip[2:], uint16(size-14))
	be.PutUint16(ip[4:], w.id)
	be.PutUint16(ip[6:], 0x4000)
	copy(ip[12:], c.addr[from].Addr().AsSlice())
	copy(ip[16:], c.addr[1-from].Addr().AsSlice())
	be.PutUint16(ip[10:], ^fold(sum(ip[:20])))

	tcp := ip[20:]
	be.PutUint16(tcp[0:], c.addr[from].Port())
	be.PutUint16(tcp[2:], c.addr[1-from].Port())
	be.PutUint32(tcp[4:], c.seq[from])
	if flags&ack != 0 {
		be.PutUint32(tcp[8:], c.seq[1-from])
	}
	tcp[12], tcp[13] = 5<<4, flags
	be.PutUint16(tcp[14:], 64240)
	pseudo := sum(ip[12:20]) + 6 + uint32(20+len(payload))
	be.PutUint16(tcp[16:], ^fold(pseudo+sum(tcp[:20])+sum(payload)))

	w.frame = append(f, payload...)
	c.seq[from] += uint32(len(payload))
	if flags&(syn|fin) != 0 {
		c.seq[from]++
	}
	w.sent += int64(len(w.frame))
	if w.Miss != nil && w.Miss() {
		return 0
	}
	w.out.Write(w.frame) // the error stays in the bufio.Writer until Close
	w.bytes += int64(len(w.frame))
	w.frames++
	return w.frames
}

// sum and fold make the Internet checksum (RFC 1071).
func sum(b []byte) uint32 {
	var s uint64
	for ; len(b) >= 2; b = b[2:] {
		s += uint64(b[0])<<8 | uint64(b[1])
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	return uint32(fold(uint32(s % 0xffff)))
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
