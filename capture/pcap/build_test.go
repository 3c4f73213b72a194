package pcap

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// t0 is the moment of the first packet that the tests write.
var t0 = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)

// built is a packet as the tests write it.
type built struct {
	at     time.Time
	data   []byte
	length int // on the wire
}

// packets are n packets of different sizes, every third cut by the snap length.
func packets(n int) []built {
	var all []built
	for i := range n {
		data := bytes.Repeat([]byte{byte(i)}, 14+i*37%1400)
		p := built{at: t0.Add(time.Duration(i) * 1234 * time.Microsecond), data: data, length: len(data)}
		if i%3 == 2 {
			p.length += 99
		}
		all = append(all, p)
	}
	return all
}

// classicFile writes pcap.
func classicFile(o binary.AppendByteOrder, magic uint32, link uint32, all []built) []byte {
	b := o.AppendUint32(nil, magic)
	b = o.AppendUint16(b, 2)
	b = o.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = o.AppendUint32(b, 65535)
	b = o.AppendUint32(b, link)
	for _, p := range all {
		sub := p.at.Nanosecond()
		if magic != magicNano {
			sub /= 1000
		}
		b = o.AppendUint32(b, uint32(p.at.Unix()))
		b = o.AppendUint32(b, uint32(sub))
		b = o.AppendUint32(b, uint32(len(p.data)))
		b = o.AppendUint32(b, uint32(p.length))
		if magic == magicModified {
			b = append(b, 0, 0, 0, 1, 8, 0, 0, 0)
		}
		b = append(b, p.data...)
	}
	return b
}

// ng writes blocks of pcapng.
type ng struct {
	o binary.AppendByteOrder
	b []byte
}

func (n *ng) block(kind uint32, body ...[]byte) {
	all := bytes.Join(body, nil)
	for len(all)%4 != 0 {
		all = append(all, 0)
	}
	n.b = n.o.AppendUint32(n.b, kind)
	n.b = n.o.AppendUint32(n.b, uint32(len(all)+12))
	n.b = append(n.b, all...)
	n.b = n.o.AppendUint32(n.b, uint32(len(all)+12))
}

func (n *ng) section(o binary.AppendByteOrder) {
	n.o = o
	n.block(blockSection, n.u32(0x1a2b3c4d), n.u16(1), n.u16(0), n.u64(^uint64(0)))
}

func (n *ng) iface(link uint16, snap uint32, options ...[]byte) {
	n.block(blockInterface, append([][]byte{n.u16(link), n.u16(0), n.u32(snap)}, options...)...)
}

func (n *ng) option(code uint16, value []byte) []byte {
	b := append(n.o.AppendUint16(n.o.AppendUint16(nil, code), uint16(len(value))), value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func (n *ng) packet(iface uint32, ticks uint64, data []byte, length int) {
	n.block(blockPacket, n.u32(iface), n.u32(uint32(ticks>>32)), n.u32(uint32(ticks)),
		n.u32(uint32(len(data))), n.u32(uint32(length)), data)
}

func (n *ng) u16(v uint16) []byte { return n.o.AppendUint16(nil, v) }
func (n *ng) u32(v uint32) []byte { return n.o.AppendUint32(nil, v) }
func (n *ng) u64(v uint64) []byte { return n.o.AppendUint64(nil, v) }

// ngFile writes pcapng with one interface.
func ngFile(o binary.AppendByteOrder, all []built) []byte {
	var n ng
	n.section(o)
	n.iface(1, 0)
	for _, p := range all {
		n.packet(0, uint64(p.at.UnixMicro()), p.data, p.length)
	}
	return n.b
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func zstded(t testing.TB, b []byte) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(b, nil)
}
