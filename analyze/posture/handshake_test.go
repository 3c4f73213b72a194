package posture

import (
	"net/netip"
	"testing"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/tally"
)

func TestHandshakes(t *testing.T) {
	day := 24 * time.Hour
	leaf := func(names string, from, to time.Duration) *Leaf {
		return &Leaf{Names: []string{names}, NotBefore: now.Add(from), NotAfter: now.Add(to)}
	}
	fine := leaf("api.example.org", -30*day, 60*day)
	for _, c := range []struct {
		rule   string
		fires  []Handshake
		silent []Handshake
	}{
		{"enc.tls-old", []Handshake{{Version: 0x0301}, {Version: 0x0302}, {Version: 0x0300}}, []Handshake{{Version: 0x0303}, {Version: 0x0304}, {}}},
		{"enc.tls-cipher", []Handshake{{Version: 0x0303, Cipher: 0x0005}, {Version: 0x0303, Cipher: 0x000a}, {Version: 0x0303, Cipher: 0x009c}, {Version: 0x0301, Cipher: 0x0001}, {Version: 0x0303, Cipher: 0x0018}},
			[]Handshake{{Version: 0x0303, Cipher: 0xc02f}, {Version: 0x0304, Cipher: 0x1301}, {Version: 0x0303, Cipher: 0xcca8}, {}}},
		{"enc.cert-expired", []Handshake{{Leaf: leaf("api.example.org", -99*day, -time.Hour)}}, []Handshake{{Leaf: fine}, {}, {Leaf: leaf("x", -time.Hour, time.Hour)}}},
		{"enc.cert-soon", []Handshake{{Leaf: leaf("x", -99*day, 13*day)}}, []Handshake{{Leaf: fine}, {Leaf: leaf("x", -99*day, -day)}, {Leaf: leaf("x", -2*day, 5*day)}}},
		{"enc.cert-self-signed", []Handshake{{SNI: "api.example.org", Leaf: &Leaf{SelfSigned: true, NotAfter: now.Add(99 * day)}}},
			[]Handshake{{SNI: "db.internal", Leaf: &Leaf{SelfSigned: true, NotAfter: now.Add(99 * day)}}, {Leaf: &Leaf{SelfSigned: true, NotAfter: now.Add(99 * day)}}, {SNI: "api.example.org", Leaf: fine}}},
		{"enc.cert-name", []Handshake{{SNI: "other.example.net", Leaf: fine}, {SNI: "a.b.example.org", Leaf: leaf("*.example.org", -day, 60*day)}},
			[]Handshake{{SNI: "api.example.org", Leaf: fine}, {SNI: "API.example.org.", Leaf: fine}, {SNI: "api.example.org", Leaf: leaf("*.example.org", -day, 60*day)}, {Leaf: fine}}},
	} {
		judge := func(h Handshake) *analyze.Finding {
			r := NewReader(analyze.Key{1}, Options{})
			var service State
			h.At, h.Time = tally.Moment{Nano: now.UnixNano(), Frame: 1}, now
			h.Client, h.Server, h.ServerName = netip.MustParseAddrPort("10.0.0.9:4000"), netip.MustParseAddrPort("10.0.0.1:443"), "10.0.0.1:443"
			r.Handshake(&h, &service)
			return find(service.Findings(Context{Service: "s"}, nil), c.rule)
		}
		for i, h := range c.fires {
			if judge(h) == nil {
				t.Errorf("%s: silent on case %d", c.rule, i)
			}
		}
		for i, h := range c.silent {
			if f := judge(h); f != nil {
				t.Errorf("%s: fires on near miss %d: %s", c.rule, i, f.Summary)
			}
		}
	}
}
