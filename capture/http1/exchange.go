package http1

import (
	"bytes"

	"plainsight/capture"
	"plainsight/capture/transaction"
)

// exchange is one exchange while it is read.
type exchange struct {
	transaction.T
	course
}

// course is what the parser knows of an exchange for itself.
type course struct {
	asksChange bool // CONNECT, or an upgrade: what follows waits for the answer
	connect    bool
	head       bool // the method is HEAD: an answer has no body
	unframed   bool // the answer's head is odd and its body ends with the direction
	lost       loss
}

// loss says whether the answer to a request went by unseen.
type loss uint8

const (
	kept loss = iota
	perhaps
	surely
)

func (s *shared) take() *exchange {
	if t, ok := s.exchanges.Get().(*exchange); ok {
		return t
	}
	t := new(exchange)
	t.Clear()
	return t
}

// give takes t back.
func (s *shared) give(t *exchange) {
	s.Release(&t.T)
	t.course = course{}
	s.exchanges.Put(t)
}

// emit hands t to the handler and releases it.
func (p *parser) emit(t *exchange) {
	t.X.Conn = p.conn
	for d := range t.Side {
		p.unhide(t, capture.Dir(d))
	}
	p.Emit(&t.T, p.handler, p.n)
	p.give(t)
}

// gzipped is how each member of a gzip stream begins (RFC 1952 §2.3.1).
var gzipped = []byte{0x1f, 0x8b, 8}

// unhide finds the codings of a body that an odd head hides from us, but not from
// browsers.
func (p *parser) unhide(t *exchange, d capture.Dir) {
	m, s := t.Message(d), &t.Side[d]
	if !m.Seen {
		return
	}
	if d == capture.ToClient && t.unframed && !t.Full(d) {
		if n, ok := dechunk(t.Raw(d)); ok {
			t.Cut(d, n)
			m.Flaws |= capture.FlawTransferEncoding
		}
	}
	if s.Codings.Empty() && m.Flaws&(capture.FlawHeader|capture.FlawNUL|capture.FlawBareCR) != 0 && bytes.HasPrefix(t.Raw(d), gzipped) {
		s.Codings.Add(capture.Text("gzip"))
		m.Flaws |= capture.FlawEncodingUnknown
	}
}

// dechunk takes the chunked coding off b in place, if b is that from the first
// byte to the last, and returns how much is left.
func dechunk(b []byte) (n int, ok bool) {
	// The first walk only looks, so that b stays as it is where it is something else.
	for _, move := range []bool{false, true} {
		n = 0
		for rest := b; ; {
			size, digits := 0, 0
			for digits < len(rest) && digits < 7 && hexDigit(rest[digits]) >= 0 {
				size = size<<4 | hexDigit(rest[digits])
				digits++
			}
			if digits == 0 || len(rest) < digits+2+size+2 || rest[digits] != '\r' || rest[digits+1] != '\n' {
				return 0, false
			}
			rest = rest[digits+2:]
			if rest[size] != '\r' || rest[size+1] != '\n' {
				return 0, false
			}
			if move {
				copy(b[n:], rest[:size])
			}
			n += size
			rest = rest[size+2:]
			if size == 0 {
				if len(rest) > 0 {
					return 0, false
				}
				break
			}
		}
	}
	return n, true
}
