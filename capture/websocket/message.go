package websocket

import (
	"encoding/binary"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/flate"

	"plainsight/capture"
)

// Options are the bounds of the parser. Zero fields take the defaults.
type Options struct {
	// Message is how many bytes of a message are kept, on the wire and inflated; of
	// a longer one the beginning is handed on. 0: 256 KiB.
	Message int
	// Inflated is how many bytes a message may inflate to: until there the window of
	// those that follow is kept up, beyond they cannot be inflated. 0: 1 MiB. A
	// direction whose messages inflate to more than that and 64 times what they are
	// is not inflated further: nobody writes like that.
	Inflated int
	// Memory is how many bytes all connections together hold of messages that are
	// not complete and of windows. 0: 32 MiB.
	Memory int64
}

// Protocol makes the row of WebSocket. The parsers of one row may run in several
// goroutines.
func Protocol(o Options) capture.Protocol {
	if o.Message <= 0 {
		o.Message = 256 << 10
	}
	if o.Inflated <= 0 {
		o.Inflated = 1 << 20
	}
	if o.Memory <= 0 {
		o.Memory = 32 << 20
	}
	s := &shared{Options: o}
	return capture.Protocol{Name: capture.WebSocketProtocol, Sniff: sniff, New: s.parser}
}

// shared is what the parsers of one row have in common.
type shared struct {
	Options
	held    atomic.Int64 // bytes, see Options.Memory
	workers sync.Pool    // *inflater
}

func (s *shared) parser(c *capture.Conn, h capture.Handler, n *capture.Counts) capture.Parser {
	p := &parser{shared: s, handler: h, n: n, stream: capture.WebSocket{Conn: c}}
	p.listener, _ = h.(capture.Listener)
	return p
}

// maxRatio is how many bytes are inflated for one on the wire; text reaches ten.
const maxRatio = 64

// windowSize is how far DEFLATE looks back (RFC 1951 §2).
const windowSize = 32 << 10

// message is the one of a direction that is being read.
type message struct {
	buf      []byte // unmasked, as much as is kept
	window   []byte // of what was inflated before; nil: none, or none is kept
	key      [4]byte
	at       int  // bytes of the frame's payload so far, for the key
	op       byte // of its first frame; 0: none is open
	deflated bool
	cut      bool // something of it is not in buf
	budget   int  // bytes that the direction may still inflate to, beyond maxRatio
	fresh    bool // each message is inflated by itself: no_context_takeover
	lost     bool // the window is not known: what follows cannot be inflated
}

// begin notes a frame with data. key is that of its mask, or zeros.
func (p *parser) begin(d capture.Dir, opcode byte, deflated bool, key [4]byte) {
	m := &p.messages[d]
	m.key, m.at = key, 0
	if opcode != opContinuation {
		// One that never ended is given up.
		m.buf, m.op, m.cut, m.deflated = m.buf[:0], opcode, false, deflated
	}
}

// wanted reports whether the bytes of a message are looked at: those of text, and
// of all that is needed to inflate the text that follows.
func (p *parser) wanted(m *message) bool {
	return p.listener != nil && !(m.deflated && m.lost) && (m.op == opText || m.op == opBinary && m.deflated && !m.fresh)
}

// take adds payload to the message. b is borrowed.
func (p *parser) take(d capture.Dir, b []byte) {
	m := &p.messages[d]
	if !p.wanted(m) {
		return
	}
	from := len(m.buf)
	keep := min(len(b), p.Message-from)
	if m.cut {
		keep = 0
	}
	if keep < len(b) {
		m.cut = true
	}
	if keep == 0 {
		m.at += len(b)
		return
	}
	if need := from + keep; need > cap(m.buf) {
		grown := min(max(512, 2*cap(m.buf), need), max(p.Message, need))
		if !p.hold(int64(grown - cap(m.buf))) {
			p.n[capture.WebSocketMemoryLimit]++
			m.cut = true
			m.at += len(b)
			return
		}
		m.buf = append(make([]byte, 0, grown), m.buf...)
	}
	m.buf = append(m.buf, b[:keep]...)
	if m.key != [4]byte{} {
		unmask(m.buf[from:], m.key, m.at)
	}
	m.at += len(b)
}

// unmask undoes the masking of b, which begins at a place of its frame's payload
// (RFC 6455 §5.3).
func unmask(b []byte, key [4]byte, at int) {
	var turned [8]byte
	for i := range turned {
		turned[i] = key[(at+i)&3]
	}
	word := binary.LittleEndian.Uint64(turned[:])
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^word)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= turned[i]
	}
}

// hold reports whether n more bytes may be held, and notes them.
func (s *shared) hold(n int64) bool {
	if s.held.Add(n) > s.Memory {
		s.held.Add(-n)
		return false
	}
	return true
}

// finish hands the message on that is complete, or cut by the end of its
// connection.
func (p *parser) finish(d capture.Dir, at capture.Stamp) {
	m := &p.messages[d]
	if m.op == 0 {
		return
	}
	switch {
	case !p.wanted(m):
		if p.listener != nil && m.op == opText {
			p.n[capture.WebSocketUndecoded]++
		}
	case m.deflated:
		p.inflate(d, m, at)
	default:
		p.hand(d, m.buf, m.cut, at)
	}
	// What was needed once is needed again; much of it is not.
	if cap(m.buf) > 4<<10 {
		p.drop(m)
	}
	m.buf, m.op, m.cut = m.buf[:0], 0, false
}

// hand hands text on. b is borrowed.
func (p *parser) hand(d capture.Dir, b []byte, cut bool, at capture.Stamp) {
	if cut {
		p.n[capture.WebSocketMessageLimit]++
	}
	p.n[capture.WebSocketTexts]++
	p.out = capture.WebSocketMessage{Conn: p.stream.Conn, Dir: d, At: at, Authority: p.stream.Authority, Target: p.stream.Target, Text: b, Truncated: cut}
	p.listener.WebSocketMessage(&p.out)
}

// drop lets go of what is held of a message.
func (p *parser) drop(m *message) {
	p.held.Add(-int64(cap(m.buf)))
	m.buf, m.op, m.cut = nil, 0, false
}

// forget lets go of the window.
func (p *parser) forget(m *message) {
	p.held.Add(-int64(cap(m.window)))
	m.window = nil
}

// inflater undoes permessage-deflate (RFC 7692 §7.2.2).
type inflater struct {
	flate io.ReadCloser
	src   source
	out   []byte
}

// source is a message with the end that its sender took off it, and an empty last
// block.
type source struct{ parts [2][]byte }

var end = []byte("\x00\x00\xff\xff\x01\x00\x00\xff\xff")

func (s *source) Read(to []byte) (int, error) {
	if len(s.parts[0]) == 0 {
		s.parts[0], s.parts[1] = s.parts[1], nil
	}
	if len(s.parts[0]) == 0 {
		return 0, io.EOF
	}
	n := copy(to, s.parts[0])
	s.parts[0] = s.parts[0][n:]
	return n, nil
}

// ReadByte has the decoder not read ahead.
func (s *source) ReadByte() (byte, error) {
	var b [1]byte
	_, err := s.Read(b[:])
	return b[0], err
}

// inflate inflates the message, hands it on if it is text, and keeps the window.
func (p *parser) inflate(d capture.Dir, m *message, at capture.Stamp) {
	w, _ := p.workers.Get().(*inflater)
	if w == nil {
		w = &inflater{out: make([]byte, 0, 4<<10)}
	}
	defer p.workers.Put(w)
	w.src = source{[2][]byte{m.buf, end}}
	if m.cut {
		w.src.parts[1] = nil
	}
	if w.flate == nil {
		w.flate = flate.NewReaderDict(&w.src, m.window)
	} else if err := w.flate.(flate.Resetter).Reset(&w.src, m.window); err != nil {
		p.n[capture.WebSocketUndecoded]++
		return
	}
	var err error
	w.out = w.out[:0]
	for err == nil && len(w.out) < p.Inflated {
		if len(w.out) == cap(w.out) {
			w.out = append(w.out, 0)[:len(w.out)]
		}
		var n int
		n, err = w.flate.Read(w.out[len(w.out):min(cap(w.out), p.Inflated)])
		w.out = w.out[:len(w.out)+n]
	}
	whole := err == io.EOF && !m.cut
	if m.budget += maxRatio*len(m.buf) - len(w.out); m.budget < -p.Inflated {
		m.fresh, whole = false, false // what follows is lost
		p.n[capture.WebSocketUndecoded]++
	}
	m.budget = min(m.budget, p.Inflated)
	if !whole && err != nil && !m.cut {
		p.n[capture.WebSocketUndecoded]++ // no DEFLATE from here on
	}
	if !m.fresh {
		if m.lost = !whole; m.lost {
			p.forget(m)
		} else {
			p.remember(m, w.out)
		}
	}
	if m.op == opText && (whole || len(w.out) > 0) {
		p.hand(d, w.out[:min(len(w.out), p.Message)], !whole || len(w.out) > p.Message, at)
	}
	if cap(w.out) > 1<<20 {
		w.out = nil
	}
}

// remember adds what was inflated to the window.
func (p *parser) remember(m *message, out []byte) {
	if len(out) >= windowSize {
		m.window, out = m.window[:0], out[len(out)-windowSize:]
	} else if over := len(m.window) + len(out) - windowSize; over > 0 {
		m.window = m.window[:copy(m.window, m.window[over:])]
	}
	if need := len(m.window) + len(out); need > cap(m.window) {
		grown := min(max(1<<10, 2*cap(m.window), need), windowSize)
		if !p.hold(int64(grown - cap(m.window))) {
			p.n[capture.WebSocketMemoryLimit]++
			p.forget(m)
			m.lost = true
			return
		}
		m.window = append(make([]byte, 0, grown), m.window...)
	}
	m.window = append(m.window, out...)
}

// takeover reads from the answer of the handshake which directions inflate each
// message by itself (RFC 7692 §7.1.1).
func (p *parser) takeover(extensions string) {
	for e := range strings.SplitSeq(strings.ToLower(extensions), ",") {
		if !strings.Contains(e, "permessage-deflate") {
			continue
		}
		p.stream.Deflate = true
		p.messages[capture.ToServer].fresh = strings.Contains(e, "client_no_context_takeover")
		p.messages[capture.ToClient].fresh = strings.Contains(e, "server_no_context_takeover")
		return
	}
}
