package packet

import (
	"bytes"
	"net/netip"
	"reflect"
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
		ok := decode()
		walked(t, fr, ok, &s, &n)
		if ok && link == 1 && snapped == 0 {
			compare(t, data, &s)
		}
		fr.Time = fr.Time.Add(time.Hour)
		decode()
		d.Close(&n)
		balanced(t, &n)
	})
}

// walked decodes a frame again, without the short cut for what most frames are,
// and compares.
func walked(t *testing.T, f *capture.Frame, ok bool, s *Segment, n *capture.Counts) {
	t.Helper()
	d := New(Options{MaxFragmented: 4, Keep: func(netip.AddrPort, netip.AddrPort) bool { return true }})
	var again Segment
	var counts capture.Counts
	if d.Decode(f, &again, &counts) != ok || counts != *n || ok && !reflect.DeepEqual(&again, s) {
		t.Fatalf("%v %+v %v\nwalked: %+v %v", ok, s, n, again, counts)
	}
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

// However a frame is wrapped, and where its ends are swapped, it is of one flow.
func TestTheFlowIsOfBothEnds(t *testing.T) {
	flows := map[uint32]bool{}
	for name, f := range wrapped {
		var s Segment
		var n capture.Counts
		d := New(Options{})
		if !d.Decode(f, &s, &n) {
			continue
		}
		walked(t, f, true, &s, &n)
		if back := flow(hash(s.Dst), hash(s.Src)); s.Flow == 0 || back != s.Flow {
			t.Errorf("%s: flow %d, the other way %d", name, s.Flow, back)
		}
		flows[s.Flow] = true
	}
	if len(flows) != 2 {
		t.Errorf("%d flows of the same ends in IPv4 and in IPv6", len(flows))
	}
}
