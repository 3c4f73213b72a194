// Package websocket counts what a WebSocket carries (RFC 6455): frames by opcode,
// messages and bytes of each direction. The engine (package flow) hands it a
// connection once both ends agreed on the change from HTTP/1; a
// [capture.Handler] hears of the stream when it ends. One that is a
// [capture.Listener] gets each message of text, put together, unmasked and
// inflated (RFC 7692) within bounds.
//
// It keeps nothing of a message that was handed on but the window of DEFLATE, and
// is never asked what a connection speaks: the frames of a WebSocket can look
// like anything. Bytes that are no frames end the reading of their direction.
package websocket

import (
	"encoding/binary"

	"plainsight/capture"
)

// sniff is the Sniff of the row.
func sniff(capture.Dir, []byte, bool) capture.Verdict { return capture.No }

// Opcodes (RFC 6455 §5.2).
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

type parser struct {
	*shared
	handler  capture.Handler
	listener capture.Listener // nil: nobody wants the messages
	n        *capture.Counts
	stream   capture.WebSocket
	half     [2]half
	messages [2]message
	out      capture.WebSocketMessage
	seen     bool // of a frame
}

// half is the reading of one direction.
type half struct {
	rest   uint64 // bytes of the frame's payload still to come
	masked bool   // the frame is
	data   bool   // the frame is of a message, not of control
	final  bool   // the frame is the last of its message
	open   bool   // a message goes on in the next frame
	closed bool   // a close frame was seen
	lost   bool   // where the next frame begins is not known
	ended  bool
}

// Inherit takes what the handshake agreed on.
func (p *parser) Inherit(u *capture.Upgrade) {
	p.stream.Start, p.stream.End = u.End, u.End
	p.stream.Authority, p.stream.Target = capture.Text(u.Authority), capture.Text(u.Target)
	p.takeover(u.Extensions)
}

// Data takes the next bytes of one direction. It leaves what is too little of a
// frame's header.
func (p *parser) Data(d capture.Dir, b []byte, at capture.Stamp) (int, error) {
	h := &p.half[d]
	total := len(b)
	for len(b) > 0 && !h.lost {
		if h.rest > 0 {
			n := min(uint64(len(b)), h.rest)
			p.payload(h, d, int64(n))
			if h.data {
				p.take(d, b[:n])
			}
			b = b[n:]
			if h.rest -= n; h.rest == 0 {
				p.closeFrame(h, d, at)
			}
			continue
		}
		size, length, ok := head(b)
		if !ok {
			break
		}
		var key [4]byte
		if b[1]&0x80 != 0 {
			key = [4]byte(b[size-4 : size])
		}
		p.frame(h, d, b[0], b[1]&0x80 != 0, key, length, at)
		if !h.lost {
			b = b[size:]
			if length == 0 {
				p.closeFrame(h, d, at)
			}
		}
	}
	if p.stream.End = at; h.lost {
		return total - len(b), capture.ErrOpaque
	}
	return total - len(b), nil
}

// head reads the size of a frame's header and the length of its payload. It is
// false where b is too short for that.
func head(b []byte) (size int, length uint64, ok bool) {
	if len(b) < 2 {
		return 0, 0, false
	}
	size, length = 2, uint64(b[1]&0x7f)
	switch length {
	case 126:
		size = 4
	case 127:
		size = 10
	}
	if len(b) < size {
		return 0, 0, false
	}
	switch length {
	case 126:
		length = uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		length = binary.BigEndian.Uint64(b[2:])
	}
	if b[1]&0x80 != 0 {
		size += 4
	}
	return size, length, len(b) >= size
}

// closeFrame ends a frame whose payload was read.
func (p *parser) closeFrame(h *half, d capture.Dir, at capture.Stamp) {
	if h.data && h.final {
		p.finish(d, at)
	}
}

// frame counts a frame. first is its first byte, key that of its mask.
func (p *parser) frame(h *half, d capture.Dir, first byte, masked bool, key [4]byte, length uint64, at capture.Stamp) {
	opcode, final, reserved := first&0x0f, first&0x80 != 0, first&0x70
	control := opcode >= opClose
	known := opcode <= opBinary || opcode >= opClose && opcode <= opPong
	// Without an extension that gives them a meaning these are no frames.
	if length > 1<<62 || !known || reserved != 0 && (!p.stream.Deflate || reserved != 0x40 || control) {
		p.n[capture.WebSocketFramesInvalid]++
		h.lost = true
		return
	}
	if !p.seen {
		p.seen = true
		p.n[capture.WebSockets]++
		if p.stream.Start == (capture.Stamp{}) {
			p.stream.Start = at
		}
	}
	p.n[capture.WebSocketFrames]++
	odd := masked != (d == capture.ToServer)
	switch {
	case control:
		odd = odd || !final || length > 125
		h.closed = h.closed || opcode == opClose
	case opcode == opContinuation:
		odd = odd || !h.open
		h.open = !final
	default:
		odd = odd || h.open || h.closed
		p.stream.Messages[d]++
		h.open = !final
	}
	if odd {
		p.n[capture.WebSocketFramesInvalid]++
	}
	p.stream.Frames[d][opcode]++
	if h.masked = masked; masked != (d == capture.ToServer) {
		p.stream.Mismasked[d][opcode]++
	}
	h.rest = length
	if h.data, h.final = !control, final; h.data {
		p.begin(d, opcode, reserved != 0, key)
	}
}

// payload counts n bytes of the frame being read.
func (p *parser) payload(h *half, d capture.Dir, n int64) {
	p.stream.Bytes[d] += n
	if h.masked != (d == capture.ToServer) {
		p.stream.MismaskedBytes[d] += n
	}
}

// Gap notes lost bytes: inside a frame they are passed over, elsewhere nothing
// says where the next one begins.
func (p *parser) Gap(d capture.Dir, n int64, at capture.Stamp) {
	h := &p.half[d]
	if n > 0 && uint64(n) <= h.rest {
		h.rest -= uint64(n)
		m := &p.messages[d]
		if m.at += int(n); h.data {
			m.cut = true
		}
		if h.rest == 0 {
			p.closeFrame(h, d, at)
		}
		return
	}
	h.lost = h.lost || n != 0
}

// End notes that a direction is over.
func (p *parser) End(d capture.Dir, _ bool, at capture.Stamp) {
	p.half[d].ended = true
	if m := &p.messages[d]; p.stream.Conn != nil {
		m.cut = true
		p.finish(d, at)
		p.drop(m)
		p.forget(m)
	}
	if !p.half[d.Other()].ended || p.stream.Conn == nil {
		return
	}
	if p.seen {
		p.stream.End = at
		p.handler.WebSocket(&p.stream)
	}
	p.stream.Conn = nil
}
