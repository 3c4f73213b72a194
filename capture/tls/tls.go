// Package tls watches TLS connections from outside (RFC 8446, RFC 5246 and the
// versions before): it reads what is sent in the clear at their start, the
// hellos, certificates and alerts, and counts the rest by the headers of its
// records. The engine (package flow) calls it through [Protocol]; a
// [capture.Handler] gets one handshake a connection.
//
// It never decrypts, never checks a signature or a chain, and keeps nothing of a
// connection but its handshake, and that only until it is handed over.
package tls

import (
	"crypto/sha256"
	"sync"

	"plainsight/capture"
)

// Options are the bounds of the parser. Zero fields take the defaults.
type Options struct {
	Message int // bytes of a handshake message; default 128 KiB
	Names   int // alternative names kept of a certificate; default 64
	Leaves  int // certificates remembered, so that each is parsed once; default 1024
}

// Protocol makes the row of TLS. The parsers of one row may run in several
// goroutines.
func Protocol(o Options) capture.Protocol {
	o.Message = positive(o.Message, 128<<10)
	o.Names = positive(o.Names, 64)
	o.Leaves = positive(o.Leaves, 1024)
	s := &shared{Options: o}
	return capture.Protocol{Name: capture.TLSProtocol, Sniff: sniff, New: s.parser}
}

func positive(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

// shared is what the parsers of one row have in common.
type shared struct {
	Options
	messages sync.Pool // *[]byte
	mu       sync.Mutex
	leaves   map[[sha256.Size]byte]*capture.Certificate
}

func (s *shared) parser(c *capture.Conn, h capture.Handler, n *capture.Counts) capture.Parser {
	return &parser{shared: s, conn: c, handler: h, n: n, hs: &handshake{}}
}

// Record types (RFC 8446 §5.1).
const (
	changeCipherSpec = 20
	alert            = 21
	handshakeRecord  = 22
	applicationData  = 23
	heartbeat        = 24
)

const (
	headerSize = 5
	// recordMax is the longest record of any version (RFC 5246 §6.2.3).
	recordMax = 1<<14 + 2048
)

// header reads a record header. It is false for what is none.
func header(b []byte) (typ byte, length int, ok bool) {
	typ = b[0]
	length = int(b[3])<<8 | int(b[4])
	ok = typ >= changeCipherSpec && typ <= heartbeat && b[1] == 3 && b[2] <= 4 && length > 0 && length <= recordMax
	return typ, length, ok
}

// sniff is the Sniff of the row. It is strict: the bytes must begin with a record
// that can stand there, and agree with it as far as they go.
func sniff(d capture.Dir, b []byte, midstream bool) capture.Verdict {
	if len(b) == 0 {
		return capture.Maybe
	}
	if b[0]&0x80 != 0 && d == capture.ToServer {
		return sniffV2(b)
	}
	if b[0] < changeCipherSpec || b[0] > heartbeat ||
		len(b) > 1 && b[1] != 3 || len(b) > 2 && b[2] > 4 {
		return capture.No
	}
	if len(b) < headerSize {
		return capture.Maybe
	}
	typ, length, ok := header(b)
	if !ok {
		return capture.No
	}
	payload := b[headerSize:]
	if len(payload) == 0 {
		return capture.Maybe
	}
	switch {
	case typ == handshakeRecord && d == capture.ToServer && payload[0] == clientHello,
		typ == handshakeRecord && d == capture.ToClient && payload[0] == serverHello:
		// A hello is at least its version, random and session id.
		if length < 4+2+32+1 {
			return follows(b, length)
		}
		if len(payload) < 6 {
			return capture.Maybe
		}
		if payload[1] > 1 || payload[4] != 3 && payload[4] != 0x7f || payload[4] == 3 && payload[5] > 4 {
			return capture.No
		}
		return capture.Yes
	case typ == alert && length == 2 && (d == capture.ToClient || midstream):
		if len(payload) < 2 {
			return capture.Maybe
		}
		if payload[0] == 1 || payload[0] == 2 {
			return follows(b, length)
		}
	case !midstream:
	case typ == handshakeRecord && sentBy(payload[0]) == d.Other():
	case typ == handshakeRecord, typ == applicationData, typ == alert && length >= 16,
		typ == changeCipherSpec && length == 1 && payload[0] == 1:
		return follows(b, length)
	}
	return capture.No
}

// follows judges a record by what comes behind it: nothing, or another record.
// Of a long record the beginning has to do.
func follows(b []byte, length int) capture.Verdict {
	rest := b[headerSize:]
	switch {
	case len(rest) < length && len(b) >= 64 && length >= 32:
		return capture.Yes
	case len(rest) < length:
		return capture.Maybe
	case len(rest) == length:
		return capture.Yes
	}
	rest = rest[length:]
	if len(rest) < headerSize {
		if rest[0] < changeCipherSpec || rest[0] > heartbeat || len(rest) > 1 && rest[1] != 3 {
			return capture.No
		}
		return capture.Maybe
	}
	if _, _, ok := header(rest); ok {
		return capture.Yes
	}
	return capture.No
}

// sentBy is the direction of the handshake messages that only one side sends,
// and neither for the others.
func sentBy(typ byte) capture.Dir {
	switch typ {
	case clientHello, 16: // and client_key_exchange
		return capture.ToServer
	case serverHello, 12, 13, 14: // and server_key_exchange, certificate_request, server_hello_done
		return capture.ToClient
	}
	return neither
}

const neither = capture.Dir(0xff)

// sniffV2 recognises a ClientHello in the format of SSL 2.0 (RFC 5246 §E.2),
// which old clients sent to servers of any version. Its lengths must agree.
func sniffV2(b []byte) capture.Verdict {
	if len(b) < 11 {
		if len(b) > 2 && b[2] != clientHello || len(b) > 3 && b[3] != 3 && b[3] != 0 {
			return capture.No
		}
		return capture.Maybe
	}
	if _, ok := helloV2(b); !ok {
		return capture.No
	}
	return capture.Yes
}

// helloV2 checks the fixed part of a version 2 ClientHello and returns the
// length of all of it.
func helloV2(b []byte) (length int, ok bool) {
	length = int(b[0]&0x7f)<<8 | int(b[1])
	ciphers := int(b[5])<<8 | int(b[6])
	session := int(b[7])<<8 | int(b[8])
	challenge := int(b[9])<<8 | int(b[10])
	version := uint16(b[3])<<8 | uint16(b[4])
	ok = b[2] == clientHello && (version == 2 || version>>8 == 3 && version&0xff <= 4) &&
		ciphers > 0 && ciphers%3 == 0 && (session == 0 || session == 16) && challenge >= 16 && challenge <= 32 &&
		length == 9+ciphers+session+challenge
	return length + 2, ok
}
