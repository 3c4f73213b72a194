package posture

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/tally"
)

const aDay = 24 * time.Hour

func leaf(name string, from, to time.Duration) *Leaf {
	return &Leaf{Names: []string{name}, NotBefore: now.Add(from), NotAfter: now.Add(to)}
}

func selfSigned(name string) *Leaf {
	l := leaf(name, -aDay, 99*aDay)
	l.SelfSigned = true
	return l
}

var fineLeaf = leaf("api.example.org", -30*aDay, 60*aDay)

// shaken is a handshake for each version and suite.
func shaken(version uint16, suites ...uint16) (list [][]Handshake) {
	for _, s := range suites {
		list = append(list, []Handshake{{Version: version, Cipher: s}})
	}
	return list
}

func shown(sni string, leaves ...*Leaf) (list [][]Handshake) {
	for _, l := range leaves {
		list = append(list, []Handshake{{Version: 0x0303, Cipher: 0xc02f, SNI: sni, Leaf: l}})
	}
	return list
}

// mutual lets callers show certificates, and one of them none.
func mutual(with, without int, refused bool) (list []Handshake) {
	for i := range with {
		list = append(list, Handshake{Version: 0x0303, ClientCertificate: true, Client: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), 4000)})
	}
	for range without {
		list = append(list, Handshake{Version: 0x0303, NoClientCertificate: true, Refused: refused, Client: netip.MustParseAddrPort("10.0.2.1:4000")})
	}
	return list
}

var handshakeCases = []struct {
	rule          string
	fires, silent [][]Handshake
}{
	{"enc.tls-old", append(shaken(0x0301, 0x002f, 0xc013), append(shaken(0x0302, 0xc013), append(shaken(0x0300, 0x0005), []Handshake{{Version: 0x0303}, {Version: 0x0301}})...)...),
		append(shaken(0x0303, 0xc02f, 0x002f), append(shaken(0x0304, 0x1301), append(shaken(0x7f1c, 0x1301), []Handshake{{}})...)...)},
	{"enc.tls-cipher", append(shaken(0x0303, 0x0005, 0x000a, 0x009c, 0x0018, 0xc011), shaken(0x0301, 0x0001, 0x0008)...),
		append(shaken(0x0303, 0xc02f, 0xcca8, 0xc02b, 0x009e), append(shaken(0x0304, 0x1301), []Handshake{{}})...)},
	{"enc.cert-expired", shown("api.example.org", leaf("api.example.org", -99*aDay, -time.Hour), leaf("api.example.org", -99*aDay, -time.Second), leaf("other.example.net", -999*aDay, -600*aDay), leaf("*.example.org", -99*aDay, -aDay), selfSignedOld()),
		shown("api.example.org", fineLeaf, nil, leaf("x", -time.Hour, time.Hour), leaf("x", -99*aDay, time.Second), &Leaf{Names: []string{"x"}})},
	{"enc.cert-soon", shown("api.example.org", leaf("x", -99*aDay, 13*aDay), leaf("x", -99*aDay, time.Hour), leaf("x", -10*aDay, 13*aDay), leaf("x", -365*aDay, 14*aDay-time.Hour), &Leaf{NotAfter: now.Add(aDay)}),
		shown("api.example.org", fineLeaf, leaf("x", -99*aDay, -aDay), leaf("x", -2*aDay, 5*aDay), leaf("x", -99*aDay, 15*aDay), nil)},
	{"enc.cert-self-signed", append(shown("api.example.org", selfSigned("api.example.org"), selfSigned("x"), selfSignedOld()), append(shown("shop.example.com", selfSigned("x")), shown("a.b.example.net", selfSigned("x"))...)...),
		append(shown("db.internal", selfSigned("x")), append(shown("", selfSigned("x")), append(shown("10.0.0.1", selfSigned("x")), append(shown("localhost", selfSigned("x")), shown("api.example.org", fineLeaf, nil)...)...)...)...)},
	{"enc.cert-name", append(shown("other.example.net", fineLeaf, leaf("*.example.org", -aDay, 60*aDay)), append(shown("a.b.example.org", leaf("*.example.org", -aDay, 60*aDay)), append(shown("example.org", leaf("*.example.org", -aDay, 60*aDay)), shown("api.example.org.evil.net", fineLeaf)...)...)...),
		append(shown("api.example.org", fineLeaf, leaf("*.example.org", -aDay, 60*aDay), &Leaf{NotAfter: now.Add(aDay)}, nil), append(shown("API.example.org.", fineLeaf), shown("", fineLeaf)...)...)},
	{"enc.mtls-missing", [][]Handshake{mutual(60, 1, false), mutual(49, 1, false), mutual(200, 10, false), append(mutual(30, 1, false), mutual(30, 1, false)...), append(mutual(60, 1, true), mutual(0, 1, false)...)},
		[][]Handshake{mutual(40, 1, false), mutual(60, 10, false), mutual(60, 1, true), mutual(60, 0, false), mutual(0, 90, false), append(mutual(60, 0, false), Handshake{Version: 0x0304}, Handshake{Version: 0x0303})}},
}

func selfSignedOld() *Leaf {
	l := leaf("api.example.org", -99*aDay, -aDay)
	l.SelfSigned = true
	return l
}

func TestHandshakes(t *testing.T) {
	judge := func(rule string, list []Handshake) *analyze.Finding {
		r := NewReader(analyze.Key{1}, Options{})
		var service State
		for i, h := range list {
			at := now.Add(time.Duration(i) * time.Second)
			h.At, h.Time = tally.Moment{Nano: at.UnixNano(), Frame: uint64(i + 1)}, now
			if !h.Client.IsValid() {
				h.Client = netip.MustParseAddrPort("10.0.0.9:4000")
			}
			h.Server, h.ServerName = netip.MustParseAddrPort("10.0.0.1:443"), "10.0.0.1:443"
			r.Handshake(&h, &service)
		}
		return find(service.Findings(Context{Service: "s", Stats: service.Stats()}, nil), rule)
	}
	for _, c := range handshakeCases {
		for i, list := range c.fires {
			if f := judge(c.rule, list); f == nil || !strings.Contains(f.Summary, "handshake") || len(f.Evidence) == 0 {
				t.Errorf("%s: case %d: %+v", c.rule, i, f)
			}
		}
		for i, list := range c.silent {
			if f := judge(c.rule, list); f != nil {
				t.Errorf("%s: fires on near miss %d: %s", c.rule, i, f.Summary)
			}
		}
	}
	if f := judge("enc.mtls-missing", mutual(60, 2, false)); f == nil || f.Place != "10.0.2.1 at 10.0.0.1:443" || f.Count != 2 || f.Severity != analyze.Medium {
		t.Errorf("%s", fmt.Sprint(f))
	}
}
