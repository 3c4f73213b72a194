// Package exchanges writes what capture found, one JSON object a line: HTTP
// exchanges, TLS handshakes and WebSocket streams, told apart by "type". The
// read command calls it for --exchanges. Bodies are never written; names and
// values are masked unless revealing was asked for.
package exchanges

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"plainsight/analyze"
	"plainsight/capture"
)

// Options say how much is shown.
type Options struct {
	// Reveal writes paths, query values and header values as seen.
	Reveal bool
	// Mask makes, for one goroutine, what replaces the secrets and personal values in
	// a text that is shown (host, path, user agent) and makes it safe to print. It is
	// not called where Reveal is set.
	Mask func() func(text []byte) string
	// Name gives the base name of the capture that frame n came from.
	Name func(frame uint64) string
}

// Writer writes lines. Its handlers may be used from several goroutines.
type Writer struct {
	opts Options
	mu   sync.Mutex
	out  *bufio.Writer
	err  error
}

// New returns a writer of lines to w.
func New(w io.Writer, opts Options) *Writer {
	return &Writer{opts: opts, out: bufio.NewWriterSize(w, 1<<16)}
}

// Flush writes what is buffered and returns the first error of the writer.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.out.Flush(); w.err == nil {
		w.err = err
	}
	return w.err
}

// Handler returns a handler that writes lines and then hands on to next.
func (w *Writer) Handler(next capture.Handler) capture.Handler {
	h := &handler{w: w, next: next, shown: map[string]string{}}
	if w.opts.Mask != nil && !w.opts.Reveal {
		h.mask = w.opts.Mask()
	}
	return h
}

// handler builds lines for one shard, in a buffer of its own.
type handler struct {
	w      *Writer
	next   capture.Handler
	mask   func([]byte) string // nil: everything is shown
	line   []byte
	prefix string            // of the names being written
	shown  map[string]string // texts that come again and again, and what is shown of them
	target []byte            // being put together
	pcap   struct{ name, shown string }
}

// Bounds of handler.shown: a text is kept if it is short, and all are forgotten
// when there are too many.
const (
	maxShown     = 512
	maxShownText = 128
)

func (h *handler) Connection(s *capture.Summary) { h.next.Connection(s) }

// write ends the line and hands it to the writer in one piece.
func (h *handler) write() {
	h.line = append(h.line, '}', '\n')
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	if _, err := h.w.out.Write(h.line); h.w.err == nil {
		h.w.err = err
	}
}

func (h *handler) begin(kind string, c *capture.Conn) {
	h.line = append(h.line[:0], `{"type":"`...)
	h.line = append(h.line, kind...)
	h.line = append(h.line, '"')
	if h.w.opts.Name != nil {
		if name := h.w.opts.Name(c.ID); name != h.pcap.name || h.pcap.shown == "" {
			h.pcap.name, h.pcap.shown = name, analyze.CleanLong(name)
		}
		h.str("pcap", h.pcap.shown)
	}
	h.addr("src", c.Client.Addr())
	h.num("sport", int64(c.Client.Port()))
	h.addr("dst", c.Server.Addr())
	h.num("dport", int64(c.Server.Port()))
}

func (h *handler) addr(name string, ip netip.Addr) {
	if !ip.IsValid() {
		return
	}
	h.key(name)
	h.line = append(h.line, '"')
	h.line = append(ip.AppendTo(h.line), '"')
}

// Exchange writes an HTTP transaction.
func (h *handler) Exchange(x *capture.Exchange) {
	q, p := &x.Request, &x.Response
	h.begin("http", x.Conn)
	proto := q.Proto
	if !q.Seen {
		proto = p.Proto
	}
	h.str("proto", string(proto))
	if x.Stream != 0 {
		h.num("h2_stream", int64(x.Stream))
	}
	if q.Seen {
		h.time("ts", q.End.Time)
		h.frame("req_frame", q.End.Frame)
		h.text("method", x.Method)
		h.text("host", host(x))
		if x.Stream == 0 || len(x.Target) > 0 { // that of a stream may be unknown
			h.uri(x.Target)
		}
		h.text("scheme", x.Scheme)
		h.text("user_agent", q.Get("user-agent"))
		h.text("upgrade", q.Get("upgrade"))
		h.flag("authorization", q.Get("authorization") != nil)
		h.flag("cookie", q.Get("cookie") != nil)
		h.message("req_", q)
	} else {
		h.flag("response_only", true)
	}
	if p.Seen {
		h.time("resp_ts", p.End.Time)
		h.frame("resp_frame", p.End.Frame)
		h.num("status", int64(x.Status))
		h.text("reason", x.Reason)
		h.text("server", p.Get("server"))
		h.message("resp_", p)
	}
	if len(x.Interim) > 0 {
		h.key("interim")
		for i, status := range x.Interim {
			h.line = append(h.line, "[,"[min(i, 1)])
			h.line = strconv.AppendInt(h.line, int64(status), 10)
		}
		h.line = append(h.line, ']')
	}
	h.flag("pushed", x.Pushed)
	if g := x.GRPC; g != nil {
		h.grpc("req_", g, capture.ToServer)
		h.grpc("resp_", g, capture.ToClient)
		if g.Status >= 0 {
			h.num("grpc_status", int64(g.Status))
		}
	}
	h.list("flaws", (q.Flaws | p.Flaws).Names())
	h.write()
	h.next.Exchange(x)
}

// host is the Host header, or the authority where the protocol has no such
// header. What stands in a request target is part of "uri".
func host(x *capture.Exchange) capture.Text {
	if h := x.Request.Get("host"); h != nil || x.Stream == 0 {
		return h
	}
	return x.Authority
}

func (h *handler) message(side string, m *capture.Message) {
	h.prefix = side
	h.text("content_type", m.Get("content-type"))
	h.num("body_len", m.BodySize)
	h.num("body_decoded_len", m.DecodedSize)
	if m.ContentLength >= 0 {
		h.num("content_length", m.ContentLength)
	}
	h.flag("chunked", m.Chunked)
	h.text("encoding", m.Get("content-encoding"))
	h.flag("truncated", m.Truncated)
	h.prefix = ""
}

// grpc writes what one side of a gRPC call sent.
func (h *handler) grpc(side string, g *capture.GRPC, d capture.Dir) {
	h.prefix = side
	h.num("grpc_messages", int64(g.Messages[d]))
	h.num("grpc_bytes", g.Bytes[d])
	if g.Compressed[d] > 0 {
		h.num("grpc_compressed", int64(g.Compressed[d]))
	}
	h.prefix = ""
}

// Handshake writes a TLS handshake.
func (h *handler) Handshake(s *capture.Handshake) {
	h.begin("tls", s.Conn)
	h.time("ts", s.At.Time)
	if s.ClientSeen {
		h.text("sni", capture.Text(s.SNI))
		h.str("client_version", hex16(s.ClientVersion))
		var versions []string
		for _, v := range s.ClientVersions {
			versions = append(versions, hex16(v))
		}
		h.list("client_supported_versions", versions)
		h.list("client_alpn", s.ClientALPN)
		h.num("client_ciphers", int64(len(s.ClientCiphers)))
		h.str("ja3", s.JA3)
	}
	if s.ServerSeen {
		h.str("server_version", hex16(s.Version))
		h.str("cipher", tls.CipherSuiteName(s.Cipher))
		h.str("cipher_id", hex16(s.Cipher))
		h.str("ja3s", s.JA3S)
		h.text("server_alpn", capture.Text(s.ALPN))
	}
	if s.Certificates > 0 {
		h.num("certs", int64(s.Certificates))
	}
	if l := s.Leaf; l != nil {
		h.str("leaf_serial", l.Serial)
		h.str("leaf_not_before", l.NotBefore.UTC().Format(time.RFC3339))
		h.str("leaf_not_after", l.NotAfter.UTC().Format(time.RFC3339))
	}
	if s.Alerts > 0 {
		h.num("alerts", int64(s.Alerts))
	}
	h.list("flaws", s.Flaws.Names())
	h.write()
	h.next.Handshake(s)
}

// WebSocket writes a WebSocket stream: frames by opcode and payload bytes, each
// by whether the frame is masked: those of a client should be, of a server not.
func (h *handler) WebSocket(s *capture.WebSocket) {
	h.begin("websocket", s.Conn)
	h.time("ts", s.Start.Time)
	h.text("host", s.Authority)
	if len(s.Target) > 0 {
		h.uri(s.Target)
	}
	var frames [2][16]uint64 // unmasked, masked
	var size [2]int64
	for i, d := range [...]capture.Dir{capture.ToClient, capture.ToServer} {
		for opcode, n := range s.Frames[d] {
			odd := s.Mismasked[d][opcode]
			frames[i][opcode] += n - odd
			frames[1-i][opcode] += odd
		}
		size[i] += s.Bytes[d] - s.MismaskedBytes[d]
		size[1-i] += s.MismaskedBytes[d]
	}
	h.key("frames")
	for i, name := range [...]string{`{"unmasked":{`, `,"masked":{`} {
		h.line = append(h.line, name...)
		comma := ""
		for opcode, n := range frames[i] {
			if n > 0 {
				h.line = fmt.Appendf(h.line, "%s\"%d\":%d", comma, opcode, n)
				comma = ","
			}
		}
		h.line = append(h.line, '}')
	}
	h.line = append(h.line, '}')
	h.key("bytes")
	h.line = fmt.Appendf(h.line, `{"unmasked":%d,"masked":%d}`, size[0], size[1])
	h.num("req_messages", int64(s.Messages[capture.ToServer]))
	h.num("resp_messages", int64(s.Messages[capture.ToClient]))
	h.flag("deflate", s.Deflate)
	h.write()
	h.next.WebSocket(s)
}

// uri shows a request target: without Reveal, each value of the query is masked
// whole, whatever it looks like.
func (h *handler) uri(t capture.Text) {
	h.key("uri")
	path, query, found := bytes.Cut(t, []byte("?"))
	if h.mask == nil || !found {
		h.line = h.appendShown(h.line, t)
		return
	}
	b := append(h.target[:0], h.mask(path)...)
	for sep, more := byte('?'), true; more; sep = '&' {
		var pair []byte
		pair, query, more = bytes.Cut(query, []byte("&"))
		b = append(b, sep)
		name, value, valued := bytes.Cut(pair, []byte("="))
		b = append(b, h.show(name)...)
		if valued {
			b = append(append(b, '='), analyze.Mask(value)...)
		}
	}
	h.target = b
	h.line = appendString(h.line, b)
}

// show gives what may be seen of a text that is likely to come again.
func (h *handler) show(t []byte) string {
	if shown, ok := h.shown[string(t)]; ok {
		return shown
	}
	shown := string(t)
	if h.mask != nil {
		shown = h.mask(t)
	}
	if len(t) <= maxShownText && len(shown) <= maxShownText {
		if len(h.shown) == maxShown {
			clear(h.shown)
		}
		h.shown[string(t)] = shown
	}
	return shown
}

// appendShown appends what may be seen of a text as a JSON string.
func (h *handler) appendShown(b, t []byte) []byte {
	if h.mask == nil {
		return appendString(b, t)
	}
	return appendString(b, []byte(h.mask(t)))
}

func (h *handler) key(name string) {
	h.line = append(h.line, ',', '"')
	h.line = append(h.line, h.prefix...)
	h.line = append(h.line, name...)
	h.line = append(h.line, '"', ':')
}

// text writes captured text, unless it is absent.
func (h *handler) text(name string, t capture.Text) {
	if len(t) > 0 {
		h.str(name, h.show(t))
	}
}

func (h *handler) str(name, s string) {
	h.key(name)
	h.line = appendString(h.line, []byte(s))
}

func (h *handler) num(name string, n int64) {
	h.key(name)
	h.line = strconv.AppendInt(h.line, n, 10)
}

func (h *handler) frame(name string, n uint64) {
	if n != 0 {
		h.num(name, int64(n))
	}
}

// flag writes a truth; what is false is absent.
func (h *handler) flag(name string, v bool) {
	if v {
		h.key(name)
		h.line = append(h.line, "true"...)
	}
}

// time writes seconds of the epoch with microseconds.
func (h *handler) time(name string, t time.Time) {
	if t.IsZero() {
		return
	}
	h.key(name)
	us := t.UnixMicro()
	h.line = strconv.AppendInt(h.line, us/1e6, 10)
	h.line = append(h.line, '.')
	for rest, digit := us%1e6, int64(1e5); digit > 0; digit /= 10 {
		h.line = append(h.line, '0'+byte(rest/digit%10))
	}
}

func (h *handler) list(name string, items []string) {
	if len(items) == 0 {
		return
	}
	h.key(name)
	for i, s := range items {
		h.line = append(h.line, "[,"[min(i, 1)])
		h.line = appendString(h.line, []byte(h.show([]byte(s))))
	}
	h.line = append(h.line, ']')
}

func hex16(v uint16) string { return fmt.Sprintf("0x%04x", v) }

// appendString appends s as a JSON string that is valid UTF-8, also where s is
// not, and safe inside scripts (U+2028, U+2029 and < escaped).
func appendString(b, s []byte) []byte {
	b = append(b, '"')
	for len(s) > 0 {
		n := 0
		for n < len(s) && s[n] >= ' ' && s[n] < 0x7f && s[n] != '"' && s[n] != '\\' && s[n] != '<' {
			n++
		}
		b = append(b, s[:n]...)
		if s = s[n:]; len(s) == 0 {
			break
		}
		r, n := utf8.DecodeRune(s)
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ' || r == '<' || 0x7f <= r && r < 0xa0 || r == 0x2028 || r == 0x2029:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = utf8.AppendRune(b, r)
		}
		s = s[n:]
	}
	return append(b, '"')
}
