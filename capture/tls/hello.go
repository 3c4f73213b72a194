package tls

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"slices"
	"strconv"

	"plainsight/capture"
)

// Types of handshake messages that are read (RFC 8446 §4, RFC 5246 §7.4).
const (
	clientHello = 1
	serverHello = 2
	certificate = 11
)

const messageHeader = 4

func messageLength(b []byte) int { return int(b[1])<<16 | int(b[2])<<8 | int(b[3]) }

// known says that typ is a type of handshake message: in the clear there is no
// other.
func known(typ byte) bool {
	switch {
	case typ <= 6, typ == 8, typ >= 11 && typ <= 16, typ >= 20 && typ <= 25, typ == 67, typ == 254:
		return true
	}
	return false
}

func read(typ byte) bool {
	return typ == clientHello || typ == serverHello || typ == certificate
}

// Extensions that are read (IANA TLS ExtensionType Values).
const (
	extServerName   = 0
	extGroups       = 10
	extPointFormats = 11
	extSignatures   = 13
	extALPN         = 16
	extPreSharedKey = 41
	extVersions     = 43
	extECH          = 0xfe0d // draft-ietf-tls-esni, RFC 9849
)

const tls13 = 0x0304

// handshake is a handshake while it is read.
type handshake struct {
	capture.Handshake
	session       []byte // offered by the client
	sessionTaken  bool   // and taken up by the server
	presharedKey  bool
	retry         bool // the ServerHello was a HelloRetryRequest: another follows
	serverChanged bool // the server changed its cipher
}

// modern says that TLS 1.3 or one of its drafts was chosen.
func (hs *handshake) modern() bool {
	return hs.ServerSeen && modernVersion(hs.Version)
}

func modernVersion(v uint16) bool {
	return v == tls13 || v>>8 == 0x7f || v>>8 == 0xfb
}

// changed notes that a direction changes to encryption.
func (hs *handshake) changed(d capture.Dir) {
	if d == capture.ToClient {
		hs.serverChanged = true
	}
}

// conclude decides what needs the whole handshake.
func (hs *handshake) conclude() {
	// A server that resumes sends no certificate (RFC 5246 §7.3, RFC 5077 §3.1).
	abbreviated := hs.ServerSeen && hs.serverChanged && hs.Certificates == 0 && hs.Flaws&capture.FlawGap == 0
	hs.Resumed = hs.presharedKey || hs.sessionTaken && !modernVersion(hs.Version) && hs.Certificates == 0 ||
		abbreviated && !anonymous(hs.Cipher)
}

// anonymous says that a cipher suite authenticates nobody, or by a shared key, so
// that no certificate is due (IANA TLS Cipher Suites).
func anonymous(cipher uint16) bool {
	switch {
	case cipher >= 0x0017 && cipher <= 0x001b, cipher == 0x0034, cipher == 0x003a, cipher == 0x006c, cipher == 0x006d,
		cipher >= 0x008a && cipher <= 0x0095, cipher >= 0x00a6 && cipher <= 0x00b9, cipher >= 0xc015 && cipher <= 0xc01d,
		cipher >= 0xc033 && cipher <= 0xc03b, cipher >= 0xd001 && cipher <= 0xd005, cipher >= 0xccab && cipher <= 0xccae:
		return true
	}
	return false
}

// grease says that v is one of the values that mean nothing and keep servers
// tolerant (RFC 8701).
func grease(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }

// input reads the structures of the handshake. Past the end it yields zeros and
// what is left, and remembers that it was past the end.
type input struct {
	b     []byte
	short bool
}

func (in *input) take(n int) []byte {
	if n > len(in.b) {
		in.short = true
		n = len(in.b)
	}
	b := in.b[:n]
	in.b = in.b[n:]
	return b
}

func (in *input) number(size int) (n int) {
	b := in.take(size)
	if len(b) < size {
		return 0
	}
	for _, c := range b {
		n = n<<8 | int(c)
	}
	return n
}

// vector reads a vector with a length of size bytes.
func (in *input) vector(size int) input {
	sub := input{b: in.take(in.number(size))}
	sub.short = in.short
	return sub
}

func (in *input) uint16s() []uint16 {
	list := make([]uint16, 0, len(in.b)/2)
	for len(in.b) >= 2 {
		list = append(list, uint16(in.number(2)))
	}
	return list
}

// fingerprint collects the text of a JA3 or JA3S: five or three fields of
// decimal numbers (https://github.com/salesforce/ja3).
type fingerprint struct {
	text  []byte
	array [1024]byte
}

func (f *fingerprint) begin(version uint16) {
	f.text = strconv.AppendUint(f.array[:0], uint64(version), 10)
}

func (f *fingerprint) field() { f.text = append(f.text, ',') }

func (f *fingerprint) add(v uint16) {
	if f.text[len(f.text)-1] != ',' {
		f.text = append(f.text, '-')
	}
	f.text = strconv.AppendUint(f.text, uint64(v), 10)
}

func (f *fingerprint) sum() string {
	sum := md5.Sum(f.text)
	return hex.EncodeToString(sum[:])
}

// client reads a ClientHello (RFC 8446 §4.1.2).
func (hs *handshake) client(b []byte, whole bool) {
	in := input{b: b}
	hs.ClientSeen = true
	hs.ClientVersion = uint16(in.number(2))
	in.take(32)
	session := in.vector(1)
	hs.session = bytes.Clone(session.b)
	ciphers := in.vector(2)
	hs.ClientCiphers = ciphers.uint16s()
	in.vector(1) // compression methods
	var ja3 fingerprint
	ja3.begin(hs.ClientVersion)
	ja3.field()
	for _, c := range hs.ClientCiphers {
		if !grease(c) {
			ja3.add(c)
		}
	}
	ja3.field()
	var groups, formats []byte
	var second ja4
	extensions := input{}
	if len(in.b) > 0 {
		extensions = in.vector(2)
	}
	for len(extensions.b) > 0 {
		typ := uint16(extensions.number(2))
		data := extensions.vector(2)
		if !grease(typ) {
			ja3.add(typ)
			second.extensions = append(second.extensions, typ)
		}
		switch typ {
		case extServerName:
			second.named = true
			hs.serverName(data)
		case extSignatures:
			v := data.vector(2)
			second.signatures = slices.DeleteFunc(v.uint16s(), grease)
		case extECH:
			hs.EncryptedHello = true
		case extGroups:
			v := data.vector(2)
			groups = v.b
		case extPointFormats:
			v := data.vector(1)
			formats = v.b
		case extALPN:
			hs.ClientALPN = protocols(data)
		case extVersions:
			v := data.vector(1)
			hs.ClientVersions = slices.DeleteFunc(v.uint16s(), grease)
		}
	}
	ja3.field()
	list := input{b: groups}
	for len(list.b) >= 2 {
		if g := uint16(list.number(2)); !grease(g) {
			ja3.add(g)
		}
	}
	ja3.field()
	for _, f := range formats {
		ja3.add(uint16(f))
	}
	if !whole || in.short || extensions.short || len(hs.ClientCiphers) == 0 {
		hs.Flaws |= capture.FlawTLS
	}
	if whole {
		hs.JA3 = ja3.sum()
		hs.JA4 = second.sum(hs)
	}
}

// serverName reads the first host name of the extension (RFC 6066 §3).
func (hs *handshake) serverName(data input) {
	names := data.vector(2)
	for len(names.b) > 0 {
		typ := names.number(1)
		name := names.vector(2)
		if typ == 0 && len(name.b) > 0 && len(name.b) <= 255 {
			hs.SNI = string(name.b)
			return
		}
	}
}

// protocols reads the list of ALPN (RFC 7301 §3.1).
func protocols(data input) (list []string) {
	names := data.vector(2)
	for len(names.b) > 0 && len(list) < 64 {
		name := names.vector(1)
		list = append(list, string(name.b))
	}
	return list
}

// clientV2 reads a ClientHello in the format of SSL 2.0. JA3 is not defined
// for it.
func (hs *handshake) clientV2(b []byte) {
	hs.ClientSeen = true
	hs.ClientVersion = uint16(b[3])<<8 | uint16(b[4])
	specs := b[11 : 11+(int(b[5])<<8|int(b[6]))]
	for ; len(specs) >= 3; specs = specs[3:] {
		if specs[0] == 0 { // the others are of SSL 2.0
			hs.ClientCiphers = append(hs.ClientCiphers, uint16(specs[1])<<8|uint16(specs[2]))
		}
	}
}

// retryRandom is the random of a ServerHello that is a HelloRetryRequest
// (RFC 8446 §4.1.3).
var retryRandom = []byte{
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
}

// server reads a ServerHello (RFC 8446 §4.1.3).
func (hs *handshake) server(b []byte, whole bool) {
	in := input{b: b}
	hs.ServerSeen = true
	legacy := uint16(in.number(2))
	hs.Version = legacy
	random := in.take(32)
	hs.retry = bytes.Equal(random, retryRandom)
	// The drafts of TLS 1.3 up to 21 said so in this version, and left out the
	// session and the compression.
	draft := legacy>>8 == 0x7f && legacy&0xff < 22
	if !draft {
		session := in.vector(1)
		hs.sessionTaken = len(session.b) > 0 && bytes.Equal(session.b, hs.session)
	}
	hs.Cipher = uint16(in.number(2))
	if !draft {
		in.take(1)
	}
	var ja3s fingerprint
	ja3s.begin(legacy)
	ja3s.field()
	ja3s.add(hs.Cipher)
	ja3s.field()
	extensions := input{}
	if len(in.b) > 0 {
		extensions = in.vector(2)
	}
	for len(extensions.b) > 0 {
		typ := uint16(extensions.number(2))
		data := extensions.vector(2)
		ja3s.add(typ)
		switch typ {
		case extVersions:
			if v := uint16(data.number(2)); v != 0 {
				hs.Version = v
			}
		case extALPN:
			if list := protocols(data); len(list) > 0 {
				hs.ALPN = list[0]
			}
		case extPreSharedKey:
			hs.presharedKey = true
		}
	}
	if !whole || in.short || extensions.short {
		hs.Flaws |= capture.FlawTLS
	}
	if whole {
		hs.JA3S = ja3s.sum()
	}
}
