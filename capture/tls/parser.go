package tls

import "plainsight/capture"

// parser reads the records of both directions of one connection.
type parser struct {
	*shared
	conn    *capture.Conn
	handler capture.Handler
	n       *capture.Counts
	half    [2]half
	hs      *handshake // nil once it was handed over
}

// half is the reading of one direction: its records, and the handshake messages
// that lie in them across their borders.
type half struct {
	head   [headerSize]byte
	have   int  // bytes of head
	typ    byte // of the record being read
	rest   int  // bytes to come of it
	begun  bool
	ended  bool
	sealed bool // what comes is encrypted
	lost   bool // where records begin is not known
	broken bool // where handshake messages begin is not known

	msg   *[]byte // the handshake message being read, its header included
	skip  int     // bytes to come of one that is not read
	alert int     // bytes seen of a plaintext alert
}

// Data takes the next bytes of one direction: all of them, always.
func (p *parser) Data(d capture.Dir, b []byte, at capture.Stamp) (int, error) {
	used := len(b)
	h := &p.half[d]
	if !h.begun {
		h.begun = true
		if p.hs != nil && p.hs.At.Time.IsZero() {
			p.hs.At = at
		}
		if d == capture.ToServer && b[0]&0x80 != 0 {
			h.msg = p.takeMessage() // a version 2 hello has no record around it
			h.typ = 0
		}
	}
	for len(b) > 0 {
		switch {
		case h.lost:
			b = p.find(h, b)
		case h.msg != nil && h.typ == 0:
			b = p.helloV2(h, b)
		case h.rest > 0:
			n := min(h.rest, len(b))
			h.rest -= n
			p.payload(d, h, b[:n])
			b = b[n:]
		default:
			n := copy(h.head[h.have:], b)
			h.have += n
			b = b[n:]
			if h.have < headerSize {
				break
			}
			h.have = 0
			var ok bool
			if h.typ, h.rest, ok = header(h.head[:]); !ok {
				h.rest = 0
				p.lose(h, capture.FlawTLS)
				break
			}
			h.alert = 0
		}
	}
	return used, nil
}

// Gap notes lost bytes. Inside one record they are counted over.
func (p *parser) Gap(d capture.Dir, n int64, _ capture.Stamp) {
	h := &p.half[d]
	if h.lost || n == 0 {
		return
	}
	if n > 0 && n <= int64(h.rest) {
		h.rest -= int(n)
		if h.typ == handshakeRecord && !h.sealed {
			p.breakMessages(h, capture.FlawGap)
		}
		return
	}
	p.lose(h, capture.FlawGap)
}

// lose gives up the records of a direction until some are found again.
func (p *parser) lose(h *half, f capture.Flaw) {
	h.lost = true
	h.have, h.rest = 0, 0
	p.breakMessages(h, f)
}

// breakMessages gives up the handshake message being read.
func (p *parser) breakMessages(h *half, f capture.Flaw) {
	p.putMessage(h)
	h.skip = 0
	h.broken = true
	if p.hs != nil {
		p.hs.Flaws |= f
	}
}

// find looks whether records begin with b, which is where a segment begins.
func (p *parser) find(h *half, b []byte) []byte {
	if len(b) > headerSize {
		if _, length, ok := header(b); ok && follows(b, length) == capture.Yes {
			h.lost = false
			return b
		}
	}
	p.n[capture.TLSBytes] += uint64(len(b))
	return nil
}

// End notes that a direction is over. After both the handshake is handed over,
// if it was not yet.
func (p *parser) End(d capture.Dir, cut bool, _ capture.Stamp) {
	h := &p.half[d]
	if h.ended {
		return
	}
	h.ended = true
	if p.hs != nil && h.msg != nil && len(*h.msg) > messageHeader && h.typ != 0 {
		// What there is of a message tells something.
		p.hs.Flaws |= capture.FlawCut
		p.message(d, (*h.msg)[0], (*h.msg)[messageHeader:], false)
	}
	p.putMessage(h)
	if p.half[d.Other()].ended {
		p.handOver()
	}
}

// payload takes a piece of the record being read.
func (p *parser) payload(d capture.Dir, h *half, b []byte) {
	switch {
	case h.typ == applicationData:
		p.n[capture.TLSBytes] += uint64(len(b))
		// Data from a client may be early data, before the server's hello.
		if p.hs != nil && (d == capture.ToClient || p.hs.ServerSeen) {
			p.handOver()
		}
	case h.sealed || p.hs == nil:
		p.n[capture.TLSBytes] += uint64(len(b))
	case h.typ == handshakeRecord:
		p.messages(d, h, b)
	case h.typ == alert:
		if h.alert += len(b); h.rest == 0 && h.alert == 2 {
			p.hs.Alerts++
		}
	case h.typ == changeCipherSpec && !p.hs.modern():
		// In TLS 1.3 it means nothing; before, everything behind it is encrypted.
		p.putMessage(h)
		h.sealed = true
		p.hs.changed(d)
		if p.half[d.Other()].sealed {
			p.handOver()
		}
	}
}

// messages takes a piece of the handshake: some messages, or a part of one.
func (p *parser) messages(d capture.Dir, h *half, b []byte) {
	if h.broken {
		if len(b) < messageHeader || !known(b[0]) || b[1] > 1 {
			return
		}
		h.broken = false
	}
	for len(b) > 0 && p.hs != nil && !h.sealed {
		if h.skip > 0 {
			n := min(h.skip, len(b))
			h.skip -= n
			b = b[n:]
			continue
		}
		if h.msg == nil && len(b) >= messageHeader {
			if length := messageLength(b); len(b)-messageHeader >= length && known(b[0]) {
				p.message(d, b[0], b[messageHeader:messageHeader+length], true)
				b = b[messageHeader+length:]
				continue
			}
		}
		b = p.collect(d, h, b)
	}
}

// collect reads a message that is not whole in one piece.
func (p *parser) collect(d capture.Dir, h *half, b []byte) []byte {
	if h.msg == nil {
		h.msg = p.takeMessage()
	}
	msg := *h.msg
	if n := messageHeader - len(msg); n > 0 {
		n = min(n, len(b))
		msg = append(msg, b[:n]...)
		b = b[n:]
		*h.msg = msg
		if len(msg) < messageHeader {
			return b
		}
		if !known(msg[0]) {
			p.hs.Flaws |= capture.FlawTLS
			p.putMessage(h)
			h.sealed = true // it is encrypted, and its change of cipher was lost
			return b
		}
		if length := messageLength(msg); length > p.Message || !read(msg[0]) {
			if length > p.Message {
				p.hs.Flaws |= capture.FlawTLS
			}
			p.putMessage(h)
			h.skip = length
			return b
		}
	}
	need := messageHeader + messageLength(msg) - len(msg)
	n := min(need, len(b))
	msg = append(msg, b[:n]...)
	*h.msg = msg
	if n == need {
		p.message(d, msg[0], msg[messageHeader:], true)
		p.putMessage(h)
	}
	return b[n:]
}

// helloV2 collects a version 2 ClientHello.
func (p *parser) helloV2(h *half, b []byte) []byte {
	msg := *h.msg
	want := 11
	if len(msg) >= want {
		want, _ = helloV2(msg)
	}
	n := min(want-len(msg), len(b))
	msg = append(msg, b[:n]...)
	*h.msg = msg
	if len(msg) < 11 {
		return nil
	}
	length, ok := helloV2(msg)
	switch {
	case !ok:
		p.lose(h, capture.FlawTLS)
	case len(msg) == length:
		if p.hs != nil {
			p.hs.clientV2(msg)
		}
		p.putMessage(h)
	}
	return b[n:]
}

// message reads one handshake message. whole is false where its end is missing.
func (p *parser) message(d capture.Dir, typ byte, b []byte, whole bool) {
	hs := p.hs
	switch {
	case typ == clientHello && d == capture.ToServer && !hs.ClientSeen:
		hs.client(b, whole)
	case typ == serverHello && d == capture.ToClient && (!hs.ServerSeen || hs.retry):
		hs.server(b, whole)
	case typ == certificate && d == capture.ToClient && hs.Certificates == 0:
		hs.chain(p.shared, b)
	case typ == certificate && d == capture.ToServer:
		hs.ClientCertificate = hs.ClientCertificate || len(b) > 6
		hs.NoClientCertificate = whole && !hs.ClientCertificate
	}
	if hs.ClientSeen && hs.ServerSeen && !hs.retry && hs.modern() {
		p.handOver() // all that follows is encrypted
	}
}

// handOver gives the handshake to the handler, once, if there was one.
func (p *parser) handOver() {
	hs := p.hs
	if hs == nil {
		return
	}
	p.hs = nil
	for d := range p.half {
		p.putMessage(&p.half[d])
	}
	if !hs.ClientSeen && !hs.ServerSeen && hs.Certificates == 0 {
		return
	}
	hs.conclude()
	p.n[capture.Handshakes]++
	if hs.Flaws&capture.FlawTLS != 0 {
		p.n[capture.HandshakesInvalid]++
	}
	hs.Conn = p.conn
	p.handler.Handshake(&hs.Handshake)
}

func (s *shared) takeMessage() *[]byte {
	if b, ok := s.messages.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, 4<<10)
	return &b
}

func (p *parser) putMessage(h *half) {
	if h.msg == nil {
		return
	}
	clear(*h.msg)
	*h.msg = (*h.msg)[:0]
	p.messagesPut(h.msg)
	h.msg = nil
}

func (s *shared) messagesPut(b *[]byte) {
	if cap(*b) <= 64<<10 {
		s.messages.Put(b)
	}
}
