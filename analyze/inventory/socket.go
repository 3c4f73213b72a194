package inventory

import (
	"bytes"

	"plainsight/analyze"
	"plainsight/analyze/posture"
	"plainsight/analyze/sensitive"
	"plainsight/analyze/shape"
	"plainsight/capture"
)

// WebSocketMessage implements capture.Listener. A message belongs to the endpoint
// whose handshake opened its stream: what is in it is learned and judged as a
// body is, at a place of its own.
func (w *worker) WebSocketMessage(m *capture.WebSocketMessage) {
	k := w.conn(m.Conn)
	w.svc = w.service(m.Authority, k)
	w.state.counts[webSocketTexts]++
	at := moment(m.At, m.Conn)
	o := w.reader.Begin()
	w.o = o
	o.At, o.Time, o.Message = at, m.At.Time, true
	o.Client, o.Server, o.ServerName = m.Conn.Client, m.Conn.Server, k.server
	o.Method, o.Host, o.Wire = "GET", w.svc.name, analyze.Plaintext
	if m.Conn.Encrypted {
		o.Wire = analyze.TLS
	}
	o.Path, _ = splitTarget(m.Target)
	o.Frozen = w.state.weight >= w.in.opts.Memory
	w.rec, w.made, w.teach, w.members = nil, false, false, w.members[:0]
	if rec, ok := w.svc.tree.Known([]byte(o.Method), o.Path); ok {
		w.rec = rec
	}
	before := w.weight()
	side := analyze.Request
	if m.Dir == capture.ToClient {
		side = analyze.Response
	}
	text := capture.Message{Body: unframed(m.Text), Truncated: m.Truncated}
	if side == analyze.Request {
		o.RequestBody = text.Body
	} else {
		o.ResponseBody = text.Body
	}
	w.scanner.Reset(sensitive.Message{Side: side, Time: o.Time})
	w.visitor.whole, w.visitor.soft = w.visitor.whole[:0], softness{}
	if len(text.Body) > 0 {
		var set *shape.Set
		if w.rec != nil && !o.Frozen {
			if w.rec.messages == nil {
				w.rec.messages = shape.NewSet(shape.Options{})
			}
			set = w.rec.messages
		}
		w.walk(&text, side, 0, set)
	}
	w.take()
	o.Done()
	if w.rec != nil {
		posture.ObserveMessage(o, &w.rec.state, &w.svc.state)
		w.found()
	} else {
		posture.ObserveMessage(o, &w.svc.stray, &w.svc.state)
	}
	w.state.weight += w.weight() - before
	w.rec, w.svc, w.o = nil, nil, nil
}

// unframed takes off what the common libraries put before the JSON in a message:
// Engine.IO and Socket.IO the type of the packet, a namespace and a number,
// SockJS an a, STOMP a head of its own.
func unframed(b []byte) []byte {
	switch {
	case len(b) == 0:
	case '0' <= b[0] && b[0] <= '9':
		i := 0
		for i < len(b) && i < 24 && ('0' <= b[i] && b[i] <= '9' || b[i] == '-') {
			i++
		}
		if i < len(b) && b[i] == '/' { // /namespace,
			if j := bytes.IndexByte(b[i:min(len(b), i+256)], ','); j > 0 {
				i += j + 1
				for i < len(b) && '0' <= b[i] && b[i] <= '9' {
					i++
				}
			}
		}
		if i < len(b) && (b[i] == '[' || b[i] == '{') {
			return b[i:]
		}
	case b[0] == 'a' && len(b) > 1 && b[1] == '[':
		return b[1:]
	case 'A' <= b[0] && b[0] <= 'Z':
		if i := bytes.Index(b[:min(len(b), 4096)], []byte("\n\n")); i > 0 && i+2 < len(b) && (b[i+2] == '{' || b[i+2] == '[') {
			return bytes.TrimRight(b[i+2:], "\x00\r\n")
		}
	}
	return b
}

// inMessage is the place of what was found in a message as in a body.
func inMessage(p analyze.Place) analyze.Place {
	if p.Where == analyze.InBody {
		p.Where = analyze.InMessage
	}
	return p
}
