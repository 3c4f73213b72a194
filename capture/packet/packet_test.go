package packet

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"plainsight/capture"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func frame(link capture.LinkType, data []byte) *capture.Frame {
	return &capture.Frame{Stamp: capture.Stamp{Time: t0, Frame: 7}, Data: data, Length: len(data), Link: link}
}

// verdictOf decodes one frame and returns the counter that it was put on.
func verdictOf(t testing.TB, d *Decoder, f *capture.Frame, s *Segment) (capture.Counter, bool) {
	t.Helper()
	var n capture.Counts
	ok := d.Decode(f, s, &n)
	if n[capture.FramesSeen] != 1 || n[capture.BytesSeen] != uint64(len(f.Data)) {
		t.Fatalf("seen %d frames, %d bytes", n[capture.FramesSeen], n[capture.BytesSeen])
	}
	verdict := capture.FramesSeen
	for c := capture.FramesAnalysed; c < capture.BytesSeen; c++ {
		if n[c] > 1 || n[c] == 1 && verdict != capture.FramesSeen {
			t.Fatalf("counted twice: %v", n[:capture.BytesSeen])
		}
		if n[c] == 1 {
			verdict = c
		}
	}
	if verdict == capture.FramesSeen {
		t.Fatal("not counted")
	}
	return verdict, ok
}

// wrapped is the same segment in every layer that is decoded.
var wrapped = func() map[string]*capture.Frame {
	all := map[string]*capture.Frame{}
	add := func(name string, link capture.LinkType, data []byte) { all[name] = frame(link, data) }
	eth := func(name string, etherType int, p []byte) { add(name, 1, inEthernet(etherType, p)) }
	ip := func(name string, proto byte, p []byte) { eth(name, 0x800, inIPv4("10.9.9.1", "10.9.9.2", proto, p)) }
	inner := inEthernet(0x800, tcp4())

	for _, l := range []capture.LinkType{12, 14, 101} {
		add("raw", l, tcp4())
		add("raw IPv6", l, tcp6())
	}
	add("raw IPv4 only", 228, tcp4())
	add("raw IPv6 only", 229, tcp6())
	eth("Ethernet", 0x800, tcp4())
	eth("Ethernet IPv6", 0x86dd, tcp6())
	eth("Ethernet with padding", 0x800, join(tcp4(), []byte("padding, not payload")))
	eth("802.3 with SNAP", 8+len(tcp4()), join([]byte{0xaa, 0xaa, 3, 0, 0, 0}, u16(0x800), tcp4()))
	eth("VN-Tag", 0x8926, join(zero(4), u16(0x800), tcp4()))
	eth("E-Tag", 0x893f, join(zero(6), u16(0x800), tcp4()))
	eth("backbone bridge", 0x88e7, join(zero(4), inner))
	add("null little", 0, join([]byte{2, 0, 0, 0}, tcp4()))
	add("null big", 0, join(u32(2), tcp4()))
	add("null IPv6 BSD", 0, join([]byte{24, 0, 0, 0}, tcp6()))
	add("null IPv6 Darwin", 0, join([]byte{30, 0, 0, 0}, tcp6()))
	add("loop IPv6", 108, join(u32(28), tcp6()))
	add("cooked", 113, join(zero(14), u16(0x800), tcp4()))
	add("cooked VLAN", 113, join(zero(14), u16(0x8100), inVLAN(0, 0x86dd, tcp6())))
	add("cooked v2", 276, join(u16(0x800), zero(18), tcp4()))
	add("PPP", 9, join(u16(0x21), tcp4()))
	add("PPP short", 9, join([]byte{0xff, 3, 0x57}, tcp6()))
	add("PPPoE as a link", 51, join([]byte{0x11, 0}, zero(4), u16(0x21), tcp4()))
	eth("PPPoE", 0x8864, join([]byte{0x11, 0}, zero(4), u16(0x57), tcp6()))
	add("netfilter log", 239, join([]byte{2, 0, 0, 0}, []byte{5, 0, 10, 0, 9, 0, 0, 0}, []byte{byte(4 + len(tcp4())), 0, 9, 0}, tcp4()))
	wifi := join([]byte{8, 1}, zero(22), []byte{0xaa, 0xaa, 3, 0, 0, 0}, u16(0x800), tcp4())
	add("802.11", 105, wifi)
	add("802.11 QoS of a bridge", 105, join([]byte{0x88, 3}, zero(28), zero(2), wifi[24:]))
	add("802.11 QoS with HT", 105, join([]byte{0x88, 0x82}, zero(22), zero(6), wifi[24:]))
	add("radiotap", 127, join([]byte{0, 0, 12, 0}, zero(8), wifi))

	eth("MPLS", 0x8847, join([]byte{0, 1, 0, 64, 0, 2, 1, 64}, tcp4()))
	eth("MPLS IPv6", 0x8848, join([]byte{0, 2, 1, 64}, tcp6()))
	eth("MPLS Ethernet", 0x8847, join([]byte{0, 2, 1, 64}, zero(4), inner))
	ip("IP in IP", 4, tcp4())
	ip("6in4", 41, tcp6())
	eth("4in6", 0x86dd, inIPv6("2001:db8:9::1", "2001:db8:9::2", 4, tcp4()))
	ip("MPLS in IP", 137, join([]byte{0, 1, 1, 64}, tcp4()))
	ip("Ethernet in IP", 97, join([]byte{0x30, 0}, inner))
	ip("GRE", 47, join(zero(2), u16(0x800), tcp4()))
	ip("GRE with all fields", 47, join(u16(0xb000), u16(0x86dd), zero(12), tcp6()))
	ip("GRE of Ethernet", 47, join(zero(2), u16(0x6558), inner))
	ip("PPTP", 47, join(u16(0x3081), u16(0x880b), zero(12), []byte{0xff, 3, 0x21}, tcp4()))
	ip("ERSPAN I", 47, join(zero(2), u16(0x88be), inner))
	ip("ERSPAN II", 47, join(u16(0x1000), u16(0x88be), zero(12), inner))
	ip("ERSPAN III", 47, join(u16(0x1000), u16(0x22eb), zero(4), zero(12), inner))
	ip("ERSPAN III with more", 47, join(u16(0x1000), u16(0x22eb), zero(4), zero(11), []byte{1}, zero(8), inner))
	udp := func(name string, port int, p []byte) { ip(name, 17, inUDP(5555, port, p)) }
	udp("VXLAN", 4789, join([]byte{8, 0, 0, 0}, zero(4), inner))
	udp("VXLAN of Linux", 8472, join([]byte{8, 0, 0, 0}, zero(4), inner))
	udp("VXLAN GPE", 4790, join([]byte{12, 0, 0, 2}, zero(4), tcp6()))
	udp("Geneve", 6081, join([]byte{2, 0}, u16(0x6558), zero(4), zero(8), inner))
	udp("Geneve of IP", 6081, join([]byte{0, 0}, u16(0x800), zero(4), tcp4()))
	udp("GTP", 2152, join([]byte{0x30, 255}, zero(6), tcp4()))
	udp("GTP with extensions", 2152, join([]byte{0x34, 255}, zero(6), []byte{0, 0, 0, 0x85}, []byte{1, 0, 0, 0x20}, []byte{2, 0, 0, 0, 0, 0, 0, 0}, tcp6()))
	udp("GTP with a number", 2152, join([]byte{0x32, 255}, zero(6), []byte{0, 1, 0, 0x85}, tcp4()))
	udp("Teredo", 3544, tcp6())
	udp("Teredo with indications", 3544, join([]byte{0, 1, 2, 3}, zero(5), zero(9), zero(8), tcp6()))
	ip("Teredo back", 17, inUDP(3544, 5555, tcp6()))
	udp("GRE in UDP", 4754, join(zero(2), u16(0x800), tcp4()))
	udp("L2TP", 1701, join([]byte{0x4a, 2}, zero(8), u16(2), zero(2), []byte{0xff, 3}, u16(0x21), tcp4()))
	udp("AYIYA", 5072, join([]byte{0x41, 0x52, 0x11, 41}, zero(4), zero(16), zero(20), tcp6()))
	ip("AYIYA back", 17, inUDP(5072, 5555, join([]byte{0x41, 0x52, 0x11, 41}, zero(4), zero(16), zero(20), tcp6())))
	cisco := join([]byte{1, 8}, wifi[2:])
	udp("CAPWAP of Ethernet", 5247, join([]byte{0, 0x10, 0x02, 0}, zero(4), inner))
	udp("CAPWAP of 802.11", 5247, join([]byte{0, 0x20, 0x03, 0x20}, zero(12), wifi))
	ip("CAPWAP back", 17, inUDP(5247, 5555, join([]byte{0, 0x20, 0x03, 0x20}, zero(12), cisco)))
	udp("L2TP short", 1701, join([]byte{0, 2}, zero(4), u16(0x57), tcp6()))
	eth("everything at once", 0x86dd, inIPv6("2001:db8:9::1", "2001:db8:9::2", 17, inUDP(1, 4789, join([]byte{8, 0, 0, 0}, zero(4),
		inEthernet(0x8847, join([]byte{0, 1, 1, 64}, inIPv4("10.1.1.1", "10.1.1.2", 47, join(zero(2), u16(0x86dd),
			inIPv6("2001:db8:8::1", "2001:db8:8::2", 4, tcp4())))))))))

	for name, headers := range map[string][]byte{
		"hop-by-hop":     join([]byte{6, 1}, zero(14)),
		"routing":        join([]byte{6, 0}, zero(6)),
		"destination":    join([]byte{6, 2}, zero(22)),
		"authentication": join([]byte{6, 4}, zero(22)),
		"an atomic fragment after the others": join([]byte{43, 0}, zero(6), []byte{60, 0}, zero(6), []byte{51, 0}, zero(6), []byte{44, 1}, zero(10),
			[]byte{6, 0, 0, 0, 1, 2, 3, 4}),
	} {
		next := map[string]byte{"hop-by-hop": 0, "routing": 43, "destination": 60, "authentication": 51}[name]
		eth("IPv6 with "+name, 0x86dd, inIPv6(client6, server6, next, join(headers, inTCP(40000, 80, 1000, 2000, ACK|PSH, payload))))
	}
	options := tcp4()
	options[0], options[3] = 0x47, options[3]+8
	eth("IPv4 with options", 0x800, join(options[:20], zero(8), options[20:]))
	offloaded := tcp4()
	offloaded[2], offloaded[3] = 0, 0
	eth("IPv4 without a length", 0x800, offloaded)
	offloaded6 := tcp6()
	offloaded6[4], offloaded6[5] = 0, 0
	eth("IPv6 without a length", 0x86dd, offloaded6)
	return all
}()

// Between clients and relays of Teredo any ports do: the addresses tell.
func TestTeredoOfRelays(t *testing.T) {
	segment := inTCP(40000, 80, 1000, 2000, ACK|PSH, payload)
	inner := inIPv6("2001:0:4137:9e50::1", server6, 6, segment)
	for name, c := range map[string]struct {
		p  []byte
		ok bool
	}{
		"from a client": {inner, true}, "to a client": {inIPv6(server6, "2001:0:4137:9e50::1", 6, segment), true},
		"other addresses": {tcp6(), false}, "a byte more": {join(inner, zero(1)), false}, "a byte less": {inner[:len(inner)-1], false}, "a head alone": {inner[:40], false},
	} {
		var s Segment
		_, ok := verdictOf(t, New(Options{}), frame(1, inEthernet(0x800, inIPv4("10.9.9.1", "10.9.9.2", 17, inUDP(3797, 32900, c.p)))), &s)
		if ok != c.ok || ok && !bytes.Equal(s.Payload, payload) {
			t.Errorf("%s: %v, %d bytes", name, ok, len(s.Payload))
		}
	}
}

// check says what is wrong with s as the segment that all frames hold.
func check(s *Segment, p []byte) string {
	want := []netip.AddrPort{
		netip.AddrPortFrom(netip.MustParseAddr(client), 40000), netip.AddrPortFrom(netip.MustParseAddr(server), 80),
		netip.AddrPortFrom(netip.MustParseAddr(client6), 40000), netip.AddrPortFrom(netip.MustParseAddr(server6), 80),
	}
	if s.Dst.Addr().Is6() {
		want = want[2:]
	}
	switch {
	case s.Src != want[0] || s.Dst != want[1]:
		return "addresses " + s.Src.String() + " " + s.Dst.String()
	case s.Seq != 1000 || s.Ack != 2000 || s.Flags != ACK|PSH || s.Window != 501:
		return "header"
	case s.Stamp != capture.Stamp{Time: t0, Frame: 7}:
		return "stamp"
	case !bytes.Equal(s.Payload, p):
		return "payload " + string(s.Payload)
	case s.Missing != len(payload)-len(p):
		return "missing"
	}
	return ""
}

func TestSameSegmentInEveryLayer(t *testing.T) {
	for name, f := range wrapped {
		t.Run(name, func(t *testing.T) {
			var s Segment
			v, ok := verdictOf(t, New(Options{}), f, &s)
			if !ok || v != capture.FramesAnalysed {
				t.Fatalf("%v %v", ok, v.Info().Name)
			}
			if wrong := check(&s, payload); wrong != "" {
				t.Errorf("%s: %+v", wrong, s)
			}
		})
	}
}

// A snap length cuts off the end of the payload, or it cuts off headers; it
// never makes a frame malformed.
func TestEverySnapLength(t *testing.T) {
	for name, whole := range wrapped {
		d := New(Options{})
		segments := 0
		for n := range len(whole.Data) {
			f := *whole
			f.Data = whole.Data[:n:n]
			var s Segment
			switch v, ok := verdictOf(t, d, &f, &s); {
			case ok:
				segments++
				if wrong := check(&s, payload[:min(len(payload), len(s.Payload))]); wrong != "" {
					t.Fatalf("%s cut to %d: %s: %+v", name, n, wrong, s)
				}
			case v == capture.FramesDroppedTruncated:
			case v == capture.FramesIgnoredNotTCP && segments == 0: // the head of a tunnel cannot be told
			default:
				t.Fatalf("%s cut to %d: %v", name, n, v.Info().Name)
			}
		}
		// Cut in the options of TCP or in the payload.
		if segments < 12+len(payload) {
			t.Errorf("%s: %d of the cuts give a segment", name, segments)
		}
	}
}

// Frames that were shortened while their length was rewritten.
func TestShorterThanIPSays(t *testing.T) {
	f := frame(1, inEthernet(0x800, tcp4()))
	f.Data = f.Data[:len(f.Data)-10]
	f.Length = len(f.Data)
	var s Segment
	if v, ok := verdictOf(t, New(Options{}), f, &s); !ok || check(&s, payload[:len(payload)-10]) != "" {
		t.Errorf("%v %+v", v.Info().Name, s)
	}
}

func TestVLAN(t *testing.T) {
	for name, c := range map[string]struct {
		want uint32
		data []byte
	}{
		"none":         {0, inEthernet(0x800, tcp4())},
		"one":          {100, inEthernet(0x8100, inVLAN(100, 0x800, tcp4()))},
		"priority":     {0, inEthernet(0x8100, inVLAN(0, 0x800, tcp4()))},
		"802.1ad":      {7<<12 | 100, inEthernet(0x88a8, inVLAN(7, 0x8100, inVLAN(100, 0x86dd, tcp6())))},
		"old QinQ":     {7<<12 | 100, inEthernet(0x9100, inVLAN(7, 0x8100, inVLAN(100, 0x800, tcp4())))},
		"three":        {100<<12 | 4095, inEthernet(0x9100, inVLAN(7, 0x8100, inVLAN(100, 0x8100, inVLAN(4095, 0x800, tcp4()))))},
		"of a tunnel":  {5, inEthernet(0x8100, inVLAN(100, 0x800, inIPv4(client, server, 47, join(zero(2), u16(0x6558), inEthernet(0x8100, inVLAN(5, 0x800, tcp4()))))))},
		"not in it":    {0, inEthernet(0x8100, inVLAN(100, 0x800, inIPv4(client, server, 47, join(zero(2), u16(0x6558), inEthernet(0x800, tcp4())))))},
		"of its frame": {100, inEthernet(0x8100, inVLAN(100, 0x800, inIPv4(client, server, 4, tcp4())))},
	} {
		var s Segment
		if v, ok := verdictOf(t, New(Options{}), frame(1, c.data), &s); !ok || s.VLAN != c.want || check(&s, payload) != "" {
			t.Errorf("%s: %v %x, want %x", name, v.Info().Name, s.VLAN, c.want)
		}
	}
}

func TestVerdicts(t *testing.T) {
	ip := func(change func(p []byte)) []byte {
		p := tcp4()
		change(p)
		return inEthernet(0x800, p)
	}
	deep := tcp4()
	for range 40 {
		deep = inIPv4("10.9.9.1", "10.9.9.2", 4, deep)
	}
	for name, c := range map[string]struct {
		want capture.Counter
		link capture.LinkType
		data []byte
	}{
		"unknown link":          {capture.FramesIgnoredLink, 147, zero(100)},
		"empty":                 {capture.FramesDroppedMalformed, 1, nil},
		"short Ethernet":        {capture.FramesDroppedMalformed, 1, zero(13)},
		"ARP":                   {capture.FramesIgnoredNotIP, 1, inEthernet(0x806, zero(46))},
		"spanning tree":         {capture.FramesIgnoredNotIP, 1, inEthernet(38, join([]byte{0x42, 0x42, 3}, zero(43)))},
		"short LLC":             {capture.FramesIgnoredNotIP, 1, inEthernet(3, []byte{0x42, 0x42, 3})},
		"other family":          {capture.FramesIgnoredNotIP, 0, join([]byte{7, 0, 0, 0}, tcp4())},
		"raw, not IP":           {capture.FramesIgnoredNotIP, 101, []byte("plain")},
		"encrypted 802.11":      {capture.FramesIgnoredNotIP, 105, join([]byte{8, 0x41}, zero(60))},
		"802.11 beacon":         {capture.FramesIgnoredNotIP, 105, join([]byte{0x80, 0}, zero(60))},
		"PPP control":           {capture.FramesIgnoredNotIP, 9, join([]byte{0xff, 3}, u16(0xc021), zero(20))},
		"ICMP":                  {capture.FramesIgnoredNotTCP, 1, inEthernet(0x800, inIPv4(client, server, 1, zero(40)))},
		"UDP":                   {capture.FramesIgnoredNotTCP, 1, inEthernet(0x800, inIPv4(client, server, 17, inUDP(1, 53, zero(40))))},
		"no next header":        {capture.FramesIgnoredNotTCP, 1, inEthernet(0x86dd, inIPv6(client6, server6, 59, nil))},
		"not VXLAN":             {capture.FramesIgnoredNotTCP, 1, inEthernet(0x800, inIPv4(client, server, 17, inUDP(1, 4789, zero(60))))},
		"GTP echo":              {capture.FramesIgnoredNotTCP, 1, inEthernet(0x800, inIPv4(client, server, 17, inUDP(1, 2152, join([]byte{0x32, 1}, zero(10)))))},
		"CAPWAP fragment":       {capture.FramesIgnoredNotTCP, 1, inEthernet(0x800, inIPv4(client, server, 17, inUDP(1, 5247, join([]byte{0, 0x10, 0x02, 0x80}, zero(60)))))},
		"CAPWAP over DTLS":      {capture.FramesIgnoredNotTCP, 1, inEthernet(0x800, inIPv4(client, server, 17, inUDP(1, 5247, join([]byte{1, 0, 0, 0}, zero(60)))))},
		"L2TP control":          {capture.FramesIgnoredNotTCP, 1, inEthernet(0x800, inIPv4(client, server, 17, inUDP(1, 1701, join([]byte{0xc8, 2}, zero(20)))))},
		"GRE keep-alive":        {capture.FramesIgnoredNotTCP, 1, inEthernet(0x800, inIPv4(client, server, 47, zero(4)))},
		"GRE with routes":       {capture.FramesIgnoredNotTCP, 1, inEthernet(0x800, inIPv4(client, server, 47, join(u16(0x4000), u16(0x800), zero(40))))},
		"version 5":             {capture.FramesDroppedMalformed, 1, ip(func(p []byte) { p[0] = 0x55 })},
		"short header length":   {capture.FramesDroppedMalformed, 1, ip(func(p []byte) { p[0] = 0x44 })},
		"length under header":   {capture.FramesDroppedMalformed, 1, ip(func(p []byte) { p[2], p[3] = 0, 19 })},
		"TCP offset too small":  {capture.FramesDroppedMalformed, 1, ip(func(p []byte) { p[20+12] = 0x40 })},
		"TCP offset too large":  {capture.FramesDroppedMalformed, 1, ip(func(p []byte) { p[3] = 20 + 24; p[20+12] = 0x70 })},
		"TCP header cut by IP":  {capture.FramesDroppedMalformed, 1, ip(func(p []byte) { p[3] = 20 + 19 })},
		"UDP header cut by IP":  {capture.FramesDroppedMalformed, 1, inEthernet(0x800, inIPv4(client, server, 17, zero(7)))},
		"IPv6 header past end":  {capture.FramesDroppedMalformed, 1, inEthernet(0x86dd, inIPv6(client6, server6, 0, join([]byte{6, 9}, zero(20))))},
		"endless GTP extension": {capture.FramesDroppedMalformed, 1, inEthernet(0x800, inIPv4(client, server, 17, inUDP(1, 2152, join([]byte{0x34, 255}, zero(6), []byte{0, 0, 0, 1, 0, 0, 0, 1}))))},
		"too deep":              {capture.FramesDroppedMalformed, 1, inEthernet(0x800, deep)},
		"VLANs without end":     {capture.FramesDroppedMalformed, 1, inEthernet(0x8100, bytes.Repeat([]byte{0, 1, 0x81, 0}, 300))},
		"headers without end":   {capture.FramesDroppedMalformed, 1, inEthernet(0x86dd, inIPv6(client6, server6, 60, bytes.Repeat([]byte{60, 0, 0, 0, 0, 0, 0, 0}, 100)))},
		"labels without end":    {capture.FramesDroppedMalformed, 1, inEthernet(0x8847, zero(4000))},
	} {
		var s Segment
		if v, ok := verdictOf(t, New(Options{}), frame(c.link, c.data), &s); ok || v != c.want {
			t.Errorf("%s: %v, want %v", name, v.Info().Name, c.want.Info().Name)
		}
	}
}

func TestQUIC(t *testing.T) {
	long := func(version int) []byte { return join([]byte{0xc3}, u32(version), zero(40)) }
	for name, c := range map[string]struct {
		port int
		data []byte
		want uint64
	}{
		"version 1":         {443, long(1), 1},
		"elsewhere":         {8443, long(1), 1},
		"version 2":         {8443, long(0x6b3343cf), 1},
		"a draft":           {8443, long(0xff00001d), 1},
		"Google's":          {8443, long(0x51303433), 1},
		"no known version":  {8443, long(0x01020304), 0},
		"short header":      {443, join([]byte{0x41}, zero(40)), 1},
		"short elsewhere":   {8443, join([]byte{0x41}, zero(40)), 0},
		"DTLS":              {443, join([]byte{0x16, 0xfe, 0xfd}, zero(40)), 0},
		"DNS":               {53, join([]byte{0x12, 0x34, 1, 0}, zero(40)), 0},
		"nothing":           {443, nil, 0},
		"on the other side": {5555, long(1), 1},
	} {
		var n capture.Counts
		var s Segment
		New(Options{}).Decode(frame(1, inEthernet(0x800, inIPv4(client, server, 17, inUDP(40000, c.port, c.data)))), &s, &n)
		if n[capture.QUICFrames] != c.want || n[capture.FramesIgnoredNotTCP] != 1 {
			t.Errorf("%s: %d", name, n[capture.QUICFrames])
		}
	}
}

func TestKeep(t *testing.T) {
	d := New(Options{Keep: func(src, dst netip.AddrPort) bool { return src.Port() == 80 || dst.Port() == 80 }})
	var s Segment
	if v, ok := verdictOf(t, d, frame(101, tcp4()), &s); !ok {
		t.Error(v.Info().Name)
	}
	other := inIPv4(client, server, 6, inTCP(40000, 81, 1, 1, ACK, nil))
	if v, ok := verdictOf(t, d, frame(101, other), &s); ok || v != capture.FramesIgnoredFiltered {
		t.Error(v.Info().Name)
	}
}

func TestRefusal(t *testing.T) {
	if got := Refusal([]capture.LinkType{147, 1}); got != "" {
		t.Error(got)
	}
	if got := Refusal(nil); got != "" {
		t.Error(got)
	}
	if got := Refusal([]capture.LinkType{147, 195}); !strings.HasPrefix(got, "every frame is of link type 147, 195, which is not decoded; capture on an interface of type BSD loopback, ") {
		t.Error(got)
	}
}

// Bytes changed at random, in frames of every kind: nothing breaks, and what is
// seen is analysed, ignored or dropped at every moment.
func TestChangedBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	d := New(Options{MaxFragmented: 5})
	var n capture.Counts
	var s Segment
	names := make([]*capture.Frame, 0, len(wrapped))
	for _, f := range wrapped {
		names = append(names, f)
	}
	for i := range 200_000 {
		f := *names[r.IntN(len(names))]
		f.Data = bytes.Clone(f.Data)
		for range 1 + r.IntN(4) {
			f.Data[r.IntN(len(f.Data))] = byte(r.Uint32())
		}
		f.Data = f.Data[:len(f.Data)-r.IntN(2)*r.IntN(len(f.Data))]
		f.Time = t0.Add(time.Duration(i) * time.Millisecond)
		if d.Decode(&f, &s, &n) && (len(s.Payload)+s.Missing > 1<<16 || s.Missing < 0) {
			t.Fatalf("%+v", s)
		}
		balanced(t, &n)
	}
	d.Close(&n)
	balanced(t, &n)
}

func balanced(t testing.TB, n *capture.Counts) {
	t.Helper()
	var sum uint64
	for c := capture.FramesAnalysed; c < capture.BytesSeen; c++ {
		if n[c] > n[capture.FramesSeen] {
			t.Fatalf("%s is %d of %d", c.Info().Name, n[c], n[capture.FramesSeen])
		}
		sum += n[c]
	}
	if sum != n[capture.FramesSeen] {
		t.Fatalf("%d seen, %d counted: %v", n[capture.FramesSeen], sum, n[:capture.BytesSeen])
	}
}

func TestDecodeAllocatesNothing(t *testing.T) {
	for name, f := range wrapped {
		d := New(Options{})
		var n capture.Counts
		var s Segment
		if got := testing.AllocsPerRun(100, func() { d.Decode(f, &s, &n) }); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"Ethernet", "Ethernet IPv6", "cooked v2", "VXLAN", "everything at once"} {
		b.Run(name, func(b *testing.B) {
			f := wrapped[name]
			d := New(Options{})
			var n capture.Counts
			var s Segment
			b.SetBytes(int64(len(f.Data)))
			b.ReportAllocs()
			for b.Loop() {
				d.Decode(f, &s, &n)
			}
		})
	}
}
