package tls

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"time"

	"plainsight/capture"
)

// chain reads a Certificate message up to TLS 1.2 (RFC 5246 §7.4.2): how many
// there are, and the first.
func (hs *handshake) chain(s *shared, b []byte) {
	in := input{b: b}
	list := in.vector(3)
	for len(list.b) > 0 {
		der := list.vector(3)
		if list.short {
			hs.Flaws |= capture.FlawTLS
			break
		}
		if hs.Certificates == 0 {
			if hs.Leaf = s.leaf(der.b); hs.Leaf == nil {
				hs.Flaws |= capture.FlawTLS
			}
		}
		hs.Certificates++
	}
}

// leaf reads a certificate, or remembers it: most handshakes show one of few.
// What it returns is shared and must not be changed. It is nil for what is no
// certificate.
func (s *shared) leaf(der []byte) *capture.Certificate {
	sum := sha256.Sum256(der)
	s.mu.Lock()
	c, ok := s.leaves[sum]
	s.mu.Unlock()
	if ok {
		return c
	}
	c = s.parse(der)
	if c != nil {
		c.SHA256 = hex.EncodeToString(sum[:])
	}
	s.mu.Lock()
	if s.leaves == nil || len(s.leaves) >= s.Leaves {
		s.leaves = make(map[[sha256.Size]byte]*capture.Certificate)
	}
	s.leaves[sum] = c
	s.mu.Unlock()
	return c
}

// parse reads a certificate with crypto/x509, and where that is too strict
// (negative serials, odd names, old algorithms) with the little it takes here.
func (s *shared) parse(der []byte) *capture.Certificate {
	x, err := x509.ParseCertificate(der)
	if err != nil {
		return s.parseLoosely(der)
	}
	c := &capture.Certificate{
		Subject: x.Subject.String(), Issuer: x.Issuer.String(),
		Serial: serial(x.SerialNumber), NotBefore: x.NotBefore.UTC(), NotAfter: x.NotAfter.UTC(),
		Key: key(x), SelfSigned: string(x.RawSubject) == string(x.RawIssuer),
	}
	c.Names = append(c.Names, x.DNSNames...)
	for _, ip := range x.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	for _, uri := range x.URIs {
		c.Names = append(c.Names, uri.String())
	}
	if len(c.Names) > s.Names {
		c.Names = c.Names[:s.Names:s.Names]
	}
	return c
}

// serial writes a serial number as its bytes in the certificate, in hex: those
// of a number whose highest bit is set begin with a zero.
func serial(n *big.Int) string {
	b := n.Bytes()
	if len(b) == 0 || b[0]&0x80 != 0 {
		b = append([]byte{0}, b...)
	}
	return hex.EncodeToString(b)
}

func key(x *x509.Certificate) string {
	switch k := x.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return x.PublicKeyAlgorithm.String()
}

// tbs is the beginning of a certificate (RFC 5280 §4.1), as far as parseLoosely
// needs it.
type tbs struct {
	Version   int `asn1:"optional,explicit,default:0,tag:0"`
	Serial    asn1.RawValue
	Algorithm asn1.RawValue
	Issuer    asn1.RawValue
	Validity  struct{ NotBefore, NotAfter time.Time }
	Subject   asn1.RawValue
	Key       asn1.RawValue
}

func (s *shared) parseLoosely(der []byte) *capture.Certificate {
	var whole, inner asn1.RawValue
	if _, err := asn1.Unmarshal(der, &whole); err != nil || whole.Tag != asn1.TagSequence {
		return nil
	}
	if _, err := asn1.Unmarshal(whole.Bytes, &inner); err != nil || inner.Tag != asn1.TagSequence {
		return nil
	}
	var t tbs
	rest := inner.Bytes
	next := func(v any, params string) bool {
		var err error
		rest, err = asn1.UnmarshalWithParams(rest, v, params)
		return err == nil
	}
	if !next(&t.Version, "optional,explicit,default:0,tag:0") || !next(&t.Serial, "") || t.Serial.Tag != asn1.TagInteger ||
		!next(&t.Algorithm, "") || !next(&t.Issuer, "") {
		return nil
	}
	c := &capture.Certificate{Serial: hex.EncodeToString(t.Serial.Bytes), Issuer: name(t.Issuer.FullBytes)}
	if next(&t.Validity, "") {
		c.NotBefore, c.NotAfter = t.Validity.NotBefore.UTC(), t.Validity.NotAfter.UTC()
		if next(&t.Subject, "") {
			c.Subject = name(t.Subject.FullBytes)
			c.SelfSigned = string(t.Subject.FullBytes) == string(t.Issuer.FullBytes)
		}
	}
	return c
}

// name writes a distinguished name, or nothing where it is none.
func name(der []byte) string {
	var rdn pkix.RDNSequence
	if _, err := asn1.Unmarshal(der, &rdn); err != nil {
		return ""
	}
	return rdn.String()
}
