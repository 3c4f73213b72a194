package posture

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/tally"
)

// Handshake is one TLS handshake as the rules see it.
type Handshake struct {
	At              tally.Moment
	Time            time.Time
	Client, Server  netip.AddrPort
	ServerName      string // address:port as text
	SNI             string // normalised, "" where there was none
	Version, Cipher uint16 // negotiated, 0 where no ServerHello was seen
	Leaf            *Leaf  // nil where the certificate is not visible
	// ClientCertificate: the client showed one; NoClientCertificate: it was asked
	// for one and had none. Both false: not asked, or not visible.
	ClientCertificate, NoClientCertificate bool
	Refused                                bool // an alert ended it
}

// Leaf is a server's certificate.
type Leaf struct {
	Names               []string // subject alternative names
	NotBefore, NotAfter time.Time
	SelfSigned          bool
}

// Handshake asks the rules about a handshake. service is what is remembered of
// the server.
func (r *Reader) Handshake(h *Handshake, service *State) {
	r.o.seq++
	switch {
	case h.ClientCertificate:
		service.stats.Mutual++
	case h.NoClientCertificate && !h.Refused:
		service.stats.NotMutual++
	}
	e := emitter{at: h.At, client: h.Client, server: h.Server, peer: PeerOf(h.Client.Addr(), h.Server.Addr()),
		principal: fingerprintHash(r.anonymous(h.Client.Addr(), nil)), seq: r.o.seq, state: service}
	for _, i := range handshakeRules {
		e.rule = uint8(i)
		Rules[i].handshake(h, &e)
	}
}

func certPlace(h *Handshake) analyze.Place {
	if h.SNI != "" {
		return analyze.Place{Name: h.SNI + " at " + h.ServerName}
	}
	return analyze.Place{Name: h.ServerName}
}

// VersionName names a version of TLS as people write it, "" for 0.
func VersionName(v uint16) string {
	switch v {
	case 0:
		return ""
	case 0x0200, 0x0002:
		return "SSL 2.0"
	case 0x0300:
		return "SSL 3.0"
	case 0x0301:
		return "TLS 1.0"
	case 0x0302:
		return "TLS 1.1"
	case 0x0303:
		return "TLS 1.2"
	case 0x0304:
		return "TLS 1.3"
	}
	if v>>8 == 0x7f {
		return fmt.Sprintf("TLS 1.3 draft %d", v&0xff)
	}
	return fmt.Sprintf("0x%04x", v)
}

// suites names suites that crypto/tls does not know (registry of IANA).
var suites = map[uint16]string{
	0x0000: "TLS_NULL_WITH_NULL_NULL", 0x0001: "TLS_RSA_WITH_NULL_MD5", 0x0002: "TLS_RSA_WITH_NULL_SHA", 0x003b: "TLS_RSA_WITH_NULL_SHA256",
	0x0003: "TLS_RSA_EXPORT_WITH_RC4_40_MD5", 0x0008: "TLS_RSA_EXPORT_WITH_DES40_CBC_SHA", 0x0004: "TLS_RSA_WITH_RC4_128_MD5", 0x0009: "TLS_RSA_WITH_DES_CBC_SHA",
	0x0016: "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA", 0x0018: "TLS_DH_anon_WITH_RC4_128_MD5", 0x0034: "TLS_DH_anon_WITH_AES_128_CBC_SHA", 0x003a: "TLS_DH_anon_WITH_AES_256_CBC_SHA",
	0x0033: "TLS_DHE_RSA_WITH_AES_128_CBC_SHA", 0x0039: "TLS_DHE_RSA_WITH_AES_256_CBC_SHA", 0x0067: "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256", 0x006b: "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256",
	0x009e: "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", 0x009f: "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", 0xccaa: "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 0x003d: "TLS_RSA_WITH_AES_256_CBC_SHA256",
	0xc024: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", 0xc028: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", 0x0041: "TLS_RSA_WITH_CAMELLIA_128_CBC_SHA", 0x0084: "TLS_RSA_WITH_CAMELLIA_256_CBC_SHA",
	0x1304: "TLS_AES_128_CCM_SHA256", 0x1305: "TLS_AES_128_CCM_8_SHA256",
}

// CipherName names a cipher suite, its number where it has no name here.
func CipherName(c uint16) string {
	if s, ok := suites[c]; ok {
		return s
	}
	return tls.CipherSuiteName(c)
}

var weakSuites = []struct {
	what string
	ids  []uint16
}{
	{"NULL", []uint16{0x0000, 0x0001, 0x0002, 0x002c, 0x002d, 0x002e, 0x003b, 0x00b0, 0x00b1, 0x00b4, 0x00b5, 0x00b8, 0x00b9, 0xc001, 0xc006, 0xc00b, 0xc010, 0xc015, 0xc039, 0xc03a, 0xc03b}},
	{"EXPORT", []uint16{0x0003, 0x0006, 0x0008, 0x000b, 0x000e, 0x0011, 0x0014, 0x0017, 0x0019, 0x0026, 0x0027, 0x0028, 0x0029, 0x002a, 0x002b, 0x0062, 0x0063, 0x0064, 0x0065}},
	{"anonymous", []uint16{0x0018, 0x001a, 0x001b, 0x0034, 0x003a, 0x0046, 0x006c, 0x006d, 0x0089, 0x009b, 0x00a6, 0x00a7, 0x00bf, 0x00c5, 0xc016, 0xc017, 0xc018, 0xc019}},
	{"RC4", []uint16{0x0004, 0x0005, 0x0020, 0x0024, 0x0066, 0x008a, 0x008e, 0x0092, 0xc002, 0xc007, 0xc00c, 0xc011, 0xc033}},
	{"DES", []uint16{0x0009, 0x000c, 0x000f, 0x0012, 0x0015, 0x001e, 0x0022}},
	{"3DES", []uint16{0x000a, 0x000d, 0x0010, 0x0013, 0x0016, 0x001f, 0x0023, 0x008b, 0x008f, 0x0093, 0xc003, 0xc008, 0xc00d, 0xc012, 0xc01a, 0xc01b, 0xc01c, 0xc034}},
	{"static RSA", []uint16{0x0007, 0x002f, 0x0035, 0x003c, 0x003d, 0x0041, 0x0084, 0x0096, 0x009c, 0x009d, 0x00ba, 0x00c0, 0xc03c, 0xc03d, 0xc050, 0xc051, 0xc07a, 0xc07b, 0xc09c, 0xc09d, 0xc0a0, 0xc0a1}},
}

// weakCipher says what is weak about a suite, "" where nothing is.
func weakCipher(c uint16) string {
	for _, w := range weakSuites {
		if slices.Contains(w.ids, c) {
			return w.what
		}
	}
	return ""
}

// publicName reports whether a host name could be one of the public DNS.
func publicName(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	i := strings.LastIndexByte(host, '.')
	if i <= 0 {
		return false
	}
	switch host[i+1:] {
	case "local", "internal", "localhost", "lan", "home", "corp", "intranet", "private", "test", "example", "invalid", "svc", "consul", "arpa", "docker":
		return false
	}
	return true
}

// anyNameMatches compares as RFC 6125 section 6.4: a star stands for one whole
// label at the left.
func anyNameMatches(names []string, host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	for _, n := range names {
		n = strings.TrimSuffix(strings.ToLower(n), ".")
		if n == host {
			return true
		}
		if tail, ok := strings.CutPrefix(n, "*."); ok {
			if _, rest, found := strings.Cut(host, "."); found && rest == tail {
				return true
			}
		}
	}
	return false
}
