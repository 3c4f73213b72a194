package capture

import "time"

// Text is borrowed text as it stood on the wire: any bytes, never trusted.
type Text []byte

// Header is one header field as on the wire; folds are joined by a space and
// white space around the value is removed.
type Header struct {
	Name, Value Text
}

// Proto is the version of HTTP a message spoke, written as in the corpus.
type Proto string

// Versions of HTTP.
const (
	HTTP09 Proto = "HTTP/0.9"
	HTTP10 Proto = "HTTP/1.0"
	HTTP11 Proto = "HTTP/1.1"
	HTTP2  Proto = "HTTP/2"
	HTTPX  Proto = "HTTP/?" // the start line named none that is known
)

// Message is what a request and a response have in common. All bytes are
// borrowed.
type Message struct {
	Seen    bool  // false: this side of the exchange is not in the capture
	Start   Stamp // its first byte
	End     Stamp // the segment that completed it
	Proto   Proto
	Headers []Header
	Trailer []Header

	// Body holds the content-decoded body up to the budget of the parser.
	Body []byte
	// BodySize counts the body's bytes after removal of the chunked coding and
	// before content decoding, including those not kept. Lost bytes do not count.
	BodySize int64
	// DecodedSize counts the bytes after content decoding, as far as decoded.
	DecodedSize int64
	// ContentLength is the header's number, -1 where there is none that is valid.
	ContentLength int64
	Chunked       bool
	// Truncated: Body is not all of the body (a budget, a gap, a cut connection,
	// a coding that could not be undone). Absence in it proves nothing.
	Truncated bool
	Flaws     Flaw
}

// Get returns the value of the first header with the given lower-case name.
func (m *Message) Get(lower string) Text {
	for i := range m.Headers {
		if EqualFold(m.Headers[i].Name, lower) {
			return m.Headers[i].Value
		}
	}
	return nil
}

// EqualFold reports whether t equals the lower-case ASCII text lower, case
// aside. It does not allocate.
func EqualFold(t Text, lower string) bool {
	if len(t) != len(lower) {
		return false
	}
	for i, c := range t {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// Exchange is one HTTP transaction: a request with the response that answers
// it, or one of them alone.
type Exchange struct {
	Conn   *Conn
	Stream uint32 // HTTP/2 stream id, 0 for HTTP/1

	Method    Text
	Target    Text // request target as on the wire (:path for HTTP/2)
	Authority Text // Host header or :authority, with its port
	Scheme    Text // where the protocol or source says it; else nil

	Status  int // 0: no response seen
	Reason  Text
	Interim []int // 1xx statuses before the final one
	Pushed  bool  // the request is a promise of the server (RFC 9113 §8.4)

	Request, Response Message

	GRPC *GRPC // what the bodies are, if that is gRPC; else nil. Borrowed
}

// GRPC is what the bodies and trailers of a gRPC call hold. The method called is
// the target of the exchange. The bodies keep the prefixes of their messages: a
// byte that says whether it is compressed, and four of length.
type GRPC struct {
	Messages   [2]uint64 // by Dir
	Bytes      [2]int64  // of the messages without their prefixes
	Compressed [2]uint64 // messages said to be compressed
	Status     int       // grpc-status, -1 where none was seen
	Message    Text      // grpc-message, percent-encoded as on the wire
}

// Latency is the time from the end of the request to the start of the
// response, or 0 where one of them was not seen.
func (x *Exchange) Latency() time.Duration {
	if !x.Request.Seen || !x.Response.Seen {
		return 0
	}
	return max(0, x.Response.Start.Time.Sub(x.Request.End.Time))
}

// Handshake is what the plaintext part of a TLS handshake showed (RFC 8446,
// RFC 5246). Strings are owned.
type Handshake struct {
	Conn *Conn
	At   Stamp

	ClientSeen, ServerSeen bool

	SNI            string
	ClientVersion  uint16   // legacy_version of the ClientHello
	ClientVersions []uint16 // supported_versions, GREASE removed
	ClientCiphers  []uint16 // as offered, GREASE included
	ClientALPN     []string
	JA3            string // MD5 in hex
	JA3S           string
	JA4            string
	// EncryptedHello: the client offered an encrypted ClientHello, or a dummy of
	// one. Where the server takes it up, the name it meant is not visible.
	EncryptedHello bool

	Version uint16 // negotiated: supported_versions of the ServerHello, else its legacy_version
	Cipher  uint16
	ALPN    string // chosen, where visible
	Resumed bool

	// Certificates is the chain's length; 0 in TLS 1.3, where it is encrypted.
	Certificates int
	Leaf         *Certificate
	// ClientCertificate: the client sent one (visible up to TLS 1.2).
	ClientCertificate bool
	// NoClientCertificate: the server asked for one and the client had none (up to
	// TLS 1.2).
	NoClientCertificate bool
	Alerts              int
	Flaws               Flaw
}

// Certificate is the leaf of a chain seen in the clear.
type Certificate struct {
	Subject, Issuer     string
	Names               []string // subject alternative names
	Serial              string   // hex, lower case
	NotBefore, NotAfter time.Time
	Key                 string // "RSA 2048", "ECDSA P-256", …
	SelfSigned          bool
	SHA256              string // hex
}

// WebSocket is a WebSocket stream (RFC 6455) when it is over.
type WebSocket struct {
	Conn      *Conn
	Start     Stamp
	End       Stamp
	Authority Text          // of the handshake, where it was seen …
	Target    Text          // … and its target
	Frames    [2][16]uint64 // by Dir and opcode
	Messages  [2]uint64
	Bytes     [2]int64 // payload
	Deflate   bool     // permessage-deflate was agreed
	// Mismasked are those of Frames that are masked though a server sent them, or
	// not though a client did; MismaskedBytes is their payload.
	Mismasked      [2][16]uint64
	MismaskedBytes [2]int64
}

// WebSocketMessage is a message of text of a WebSocket. All of it is borrowed.
type WebSocketMessage struct {
	Conn      *Conn
	Dir       Dir
	At        Stamp // of its last byte
	Authority Text  // of the handshake, where it was seen …
	Target    Text  // … and its target
	Text      []byte
	Truncated bool // Text is not all of it: absence in it proves nothing
}
