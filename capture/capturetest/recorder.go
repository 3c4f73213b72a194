package capturetest

import (
	"slices"

	"plainsight/capture"
)

// Field is a header field, owned.
type Field struct{ Name, Value string }

// Message is a [capture.Message] with owned bytes. Body is nil where there was
// none.
type Message struct {
	Seen             bool
	Start, End       capture.Stamp
	Proto            capture.Proto
	Headers, Trailer []Field
	Body             []byte
	BodySize         int64
	DecodedSize      int64
	ContentLength    int64
	Chunked          bool
	Truncated        bool
	Flaws            capture.Flaw
}

// Exchange is a [capture.Exchange] with owned bytes.
type Exchange struct {
	Conn   capture.Conn
	Stream uint32

	Method, Target, Authority, Scheme string

	Status  int
	Reason  string
	Interim []int
	Pushed  bool

	Request, Response Message
	GRPC              *capture.GRPC // Message is owned
}

// Recorder is a [capture.Handler] that keeps owned copies of all it is handed,
// in order. It is for one shard: it takes no lock.
type Recorder struct {
	Exchanges  []Exchange
	Handshakes []capture.Handshake // Conn points to a copy
	WebSockets []capture.WebSocket // Conn points to a copy
	Messages   []capture.WebSocketMessage
	Summaries  []capture.Summary
}

// Exchange keeps a copy of x.
func (r *Recorder) Exchange(x *capture.Exchange) {
	o := Exchange{
		Stream: x.Stream,
		Method: string(x.Method), Target: string(x.Target),
		Authority: string(x.Authority), Scheme: string(x.Scheme),
		Status: x.Status, Reason: string(x.Reason), Interim: append([]int(nil), x.Interim...),
		Request: message(&x.Request), Response: message(&x.Response),
	}
	if x.Conn != nil {
		o.Conn = *x.Conn
	}
	if o.Pushed = x.Pushed; x.GRPC != nil {
		g := *x.GRPC
		g.Message = slices.Clone(g.Message)
		o.GRPC = &g
	}
	r.Exchanges = append(r.Exchanges, o)
}

// Handshake keeps a copy of h.
func (r *Recorder) Handshake(h *capture.Handshake) {
	o := *h
	o.Conn = conn(h.Conn)
	o.ClientVersions = slices.Clone(h.ClientVersions)
	o.ClientCiphers = slices.Clone(h.ClientCiphers)
	o.ClientALPN = slices.Clone(h.ClientALPN)
	if h.Leaf != nil {
		leaf := *h.Leaf
		leaf.Names = slices.Clone(h.Leaf.Names)
		o.Leaf = &leaf
	}
	r.Handshakes = append(r.Handshakes, o)
}

// WebSocket keeps a copy of w.
func (r *Recorder) WebSocket(w *capture.WebSocket) {
	o := *w
	o.Conn = conn(w.Conn)
	o.Authority, o.Target = slices.Clone(w.Authority), slices.Clone(w.Target)
	r.WebSockets = append(r.WebSockets, o)
}

// WebSocketMessage keeps a copy of m.
func (r *Recorder) WebSocketMessage(m *capture.WebSocketMessage) {
	o := *m
	o.Conn = conn(m.Conn)
	o.Authority, o.Target, o.Text = slices.Clone(m.Authority), slices.Clone(m.Target), slices.Clone(m.Text)
	r.Messages = append(r.Messages, o)
}

// Connection keeps a copy of s.
func (r *Recorder) Connection(s *capture.Summary) { r.Summaries = append(r.Summaries, *s) }

func conn(c *capture.Conn) *capture.Conn {
	if c == nil {
		return nil
	}
	o := *c
	return &o
}

func message(m *capture.Message) Message {
	return Message{
		Seen: m.Seen, Start: m.Start, End: m.End, Proto: m.Proto,
		Headers: fields(m.Headers), Trailer: fields(m.Trailer),
		Body: append([]byte(nil), m.Body...), BodySize: m.BodySize, DecodedSize: m.DecodedSize,
		ContentLength: m.ContentLength, Chunked: m.Chunked, Truncated: m.Truncated, Flaws: m.Flaws,
	}
}

func fields(hs []capture.Header) []Field {
	var fs []Field
	for _, h := range hs {
		fs = append(fs, Field{string(h.Name), string(h.Value)})
	}
	return fs
}

// Get returns the value of the first header with the given lower-case name.
func (m *Message) Get(lower string) string {
	for _, f := range m.Headers {
		if capture.EqualFold(capture.Text(f.Name), lower) {
			return f.Value
		}
	}
	return ""
}
