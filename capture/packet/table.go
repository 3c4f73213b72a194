package packet

import (
	"fmt"
	"slices"
	"strings"

	"plainsight/capture"
)

// kind is what comes next in a frame.
type kind uint8

const (
	none kind = iota
	ethernet
	etherType // of a link type that ends with an EtherType, and behind a VLAN tag
	ipv4
	ipv6
	tcp

	rawIP
	null
	sll
	sll2
	ppp
	pppoe
	nflog
	wifi
	radiotap
	mpls
	udp
	gre
	etherIP
	erspan3
	bridged // Ethernet inside a tunnel
	vxlan
	geneve
	gtp
	teredo
	l2tp
	capwap
	ayiya
)

// links are the link types that are decoded.
var links = []struct {
	link capture.LinkType
	name string
	kind kind
}{
	{capture.LinkNull, "BSD loopback", null},
	{capture.LinkLoop, "OpenBSD loopback", null},
	{capture.LinkEthernet, "Ethernet", ethernet},
	{9, "PPP", ppp},
	{12, "raw IP", rawIP}, // DLT_RAW in files that were not renumbered
	{14, "raw IP", rawIP}, // the same of OpenBSD
	{50, "PPP in HDLC framing", ppp},
	{51, "PPPoE", pppoe},
	{capture.LinkRaw, "raw IP", rawIP},
	{105, "IEEE 802.11", wifi},
	{capture.LinkSLL, "Linux cooked", sll},
	{127, "IEEE 802.11 with radiotap", radiotap},
	{capture.LinkRawIPv4, "raw IPv4", ipv4},
	{capture.LinkRawIPv6, "raw IPv6", ipv6},
	{239, "Linux netfilter log", nflog},
	{capture.LinkSLL2, "Linux cooked v2", sll2},
}

// etherTypes are the EtherTypes that are decoded, beside those of IP and VLAN.
var etherTypes = []struct {
	value uint16
	head  int // bytes to pass over
	kind  kind
}{
	{0x6558, 0, bridged}, // transparent Ethernet bridging
	{0x8200, 0, wifi},    // Aruba's access points, in GRE
	{0x8847, 0, mpls},
	{0x8848, 0, mpls}, // multicast
	{0x8864, 0, pppoe},
	{0x880b, 0, ppp},
	{0x8926, 4, etherType}, // VN-Tag
	{0x893f, 6, etherType}, // E-Tag (802.1BR)
	{0x88be, 0, bridged},   // ERSPAN; with its head in GRE
	{0x88e7, 4, bridged},   // provider backbone bridge (802.1ah)
	{0x22eb, 0, erspan3},
}

// protocols are the IP protocols that are decoded, beside TCP and the extension
// headers of IPv6.
var protocols = [256]kind{
	4:   ipv4,
	17:  udp,
	41:  ipv6,
	47:  gre,
	97:  etherIP,
	137: mpls,
}

// ports are the UDP ports of tunnels.
var ports = []struct {
	port uint16
	kind kind
}{
	{1701, l2tp},
	{2152, gtp},
	{3544, teredo},
	{4754, gre}, // RFC 8086
	{4789, vxlan},
	{4790, vxlan},
	{5072, ayiya},
	{5247, capwap},
	{6081, geneve},
	{8472, vxlan}, // as Linux had it before there was a standard
}

func startOf(l capture.LinkType) kind {
	for i := range links {
		if links[i].link == l {
			return links[i].kind
		}
	}
	return none
}

func portKind(p uint16) kind {
	for i := range ports {
		if ports[i].port == p {
			return ports[i].kind
		}
	}
	return none
}

// Refusal is one sentence for a capture with frames of the given link types, if
// none of them is decoded here; else it is empty.
func Refusal(seen []capture.LinkType) string {
	if len(seen) == 0 || slices.ContainsFunc(seen, func(l capture.LinkType) bool { return startOf(l) != none }) {
		return ""
	}
	names := make([]string, len(links))
	for i, l := range links {
		names[i] = l.name
	}
	numbers := make([]string, len(seen))
	for i, l := range seen {
		numbers[i] = fmt.Sprint(uint32(l))
	}
	return fmt.Sprintf("every frame is of link type %s, which is not decoded; capture on an interface of type %s",
		strings.Join(numbers, ", "), strings.Join(slices.Compact(names), ", "))
}
