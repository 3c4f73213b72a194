package packet

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"plainsight/capture"
)

// FuzzDecode decodes any bytes as a frame, and cut in two as fragments would be.
// Where gopacket finds TCP in IP in Ethernet, the segment is the same.
func FuzzDecode(f *testing.F) {
	for _, w := range wrapped {
		f.Add(uint16(w.Link), w.Data, uint16(0))
		f.Add(uint16(w.Link), w.Data, uint16(9))
	}
	for _, w := range write(false, 1, tcp4(), cut(len(tcp4()), 16)) {
		f.Add(uint16(w.Link), w.Data, uint16(0))
	}
	for _, w := range write(true, 1, tcp4(), cut(len(tcp4()), 64)) {
		f.Add(uint16(w.Link), w.Data, uint16(0))
	}
	f.Fuzz(func(t *testing.T, link uint16, data []byte, snapped uint16) {
		d := New(Options{MaxFragmented: 4})
		var n capture.Counts
		var s Segment
		fr := frame(capture.LinkType(link), data)
		fr.Length += int(snapped)
		decode := func() bool {
			ok := d.Decode(fr, &s, &n)
			balanced(t, &n)
			if ok && (s.Missing < 0 || len(s.Payload)+s.Missing > max(1<<16, fr.Length) || !s.Src.IsValid() || !s.Dst.IsValid()) {
				t.Fatalf("%+v", s)
			}
			return ok
		}
		if decode() && link == 1 && snapped == 0 {
			compare(t, data, &s)
		}
		fr.Time = fr.Time.Add(time.Hour)
		decode()
		d.Close(&n)
		balanced(t, &n)
	})
}

// compare decodes data with gopacket, which breaks on some packets; then there is
// nothing to compare. It reports whether there was.
func compare(t *testing.T, data []byte, s *Segment) (compared bool) {
	defer func() { recover() }()
	p := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.DecodeOptions{NoCopy: true, SkipDecodeRecovery: false})
	if p.ErrorLayer() != nil || p.Metadata().Truncated {
		return false
	}
	all := p.Layers()
	if len(all) < 3 || all[0].LayerType() != layers.LayerTypeEthernet || all[2].LayerType() != layers.LayerTypeTCP {
		return false
	}
	tcp := all[2].(*layers.TCP)
	var src []byte
	switch ip := all[1].(type) {
	case *layers.IPv4:
		src = ip.SrcIP
		if ip.Length == 0 {
			return false
		}
	case *layers.IPv6:
		src = ip.SrcIP
		if ip.Length == 0 {
			return false
		}
	default:
		return false
	}
	if bytes.Equal(src, s.Src.Addr().AsSlice()) && uint16(tcp.SrcPort) == s.Src.Port() && uint16(tcp.DstPort) == s.Dst.Port() &&
		tcp.Seq == s.Seq && tcp.Ack == s.Ack && tcp.SYN == (s.Flags&SYN != 0) && tcp.RST == (s.Flags&RST != 0) &&
		tcp.FIN == (s.Flags&FIN != 0) && tcp.ACK == (s.Flags&ACK != 0) && tcp.Window == s.Window && bytes.Equal(tcp.LayerPayload(), s.Payload) {
		return true
	}
	t.Errorf("%+v\ngopacket: %+v", s, tcp)
	return true
}

// The comparison itself works: it must see the plainest frame.
func TestGopacketAgrees(t *testing.T) {
	for _, name := range []string{"Ethernet", "Ethernet IPv6", "Ethernet with padding", "IPv4 with options"} {
		var s Segment
		var n capture.Counts
		if !New(Options{}).Decode(wrapped[name], &s, &n) {
			t.Fatal(name)
		}
		if !compare(t, wrapped[name].Data, &s) {
			t.Errorf("%s: not compared", name)
		}
	}
}
