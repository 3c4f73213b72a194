package tls

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// ja4 collects what JA4, the fingerprint of TLS clients, is made of
// (https://github.com/FoxIO-LLC/ja4, technical_details/JA4.md; this one
// fingerprint is under BSD-3-Clause, the others of its family are not free).
type ja4 struct {
	extensions, signatures []uint16 // as offered, GREASE removed
	named                  bool     // the hello has a server name
}

// sum writes the fingerprint of a hello over TCP:
//
//	t13d1516h2_8daaf6152771_e5627efa2ab1
func (f *ja4) sum(hs *handshake) string {
	version := hs.ClientVersion
	for i, v := range hs.ClientVersions {
		if i == 0 || v > version {
			version = v
		}
	}
	ciphers := make([]uint16, 0, len(hs.ClientCiphers))
	for _, c := range hs.ClientCiphers {
		if !grease(c) {
			ciphers = append(ciphers, c)
		}
	}
	name := byte('i')
	if f.named {
		name = 'd'
	}
	first := ""
	if len(hs.ClientALPN) > 0 {
		first = hs.ClientALPN[0]
	}
	head := fmt.Sprintf("t%s%c%02d%02d%s_", ja4Version(version), name, min(len(ciphers), 99), min(len(f.extensions), 99), ends(first))
	slices.Sort(ciphers)
	// The name and the protocols differ from site to site, not from client to client.
	rest := slices.DeleteFunc(f.extensions, func(e uint16) bool { return e == extServerName || e == extALPN })
	slices.Sort(rest)
	text := hexes(nil, rest)
	if len(f.signatures) > 0 && len(rest) > 0 {
		text = hexes(append(text, '_'), f.signatures)
	}
	return head + digest(hexes(nil, ciphers)) + "_" + digest(text)
}

func ja4Version(v uint16) string {
	switch v {
	case 0x0304:
		return "13"
	case 0x0303:
		return "12"
	case 0x0302:
		return "11"
	case 0x0301:
		return "10"
	case 0x0300:
		return "s3"
	case 0x0002:
		return "s2"
	}
	return "00"
}

// ends gives the first and the last character of a protocol's name, or of its
// bytes in hex where one of these is no letter or digit.
func ends(protocol string) string {
	if protocol == "" {
		return "00"
	}
	first, last := protocol[0], protocol[len(protocol)-1]
	if !alphanumeric(first) || !alphanumeric(last) {
		return fmt.Sprintf("%x%x", first>>4, last&15)
	}
	return string([]byte{first, last})
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// hexes appends numbers of four digits with commas between them.
func hexes(to []byte, list []uint16) []byte {
	for i, v := range list {
		if i > 0 {
			to = append(to, ',')
		}
		to = hex.AppendEncode(to, []byte{byte(v >> 8), byte(v)})
	}
	return to
}

// digest is the first twelve digits of SHA-256, zeros for nothing.
func digest(text []byte) string {
	if len(text) == 0 {
		return "000000000000"
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}
