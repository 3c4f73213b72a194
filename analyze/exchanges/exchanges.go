// Package exchanges writes what capture found, one JSON object a line: HTTP
// exchanges, TLS handshakes and WebSocket streams, told apart by "type". The
// read command calls it for --exchanges. Bodies are never written; names and
// values are masked unless revealing was asked for.
package exchanges

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
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
	// Mask makes, for one goroutine, what appends to dst a text that is shown (host,
	// path, user agent) with the secrets and personal values in it replaced, and safe
	// to print. It is not called where Reveal is set.
	Mask func() func(dst, text []byte) []byte
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
	h := &handler{w: w, next: next}
	if w.opts.Mask != nil && !w.opts.Reveal {
		h.mask = w.opts.Mask()
	}
	if l, ok := next.(capture.Listener); ok {
		return listener{h, l}
	}
	return h
}

// listener is a handler before one that wants messages of WebSockets: they are
// handed on, and not written.
type listener struct {
	*handler
	capture.Listener
}

// handler builds lines for one shard, in a buffer of its own.
type handler struct {
	w     *Writer
	next  capture.Handler
	mask  func(dst, text []byte) []byte // nil: everything is shown
	line  []byte
	shown [256]shown // texts that come again and again, each in its place
	text  []byte     // being put together
	pcap  struct {
		name  string
		shown []byte
	}
}

// shown is a text and what is shown of it, as the inside of a JSON string.
type shown struct{ text, json []byte }

// maxShown bounds the two sides of what is kept in handler.shown.
const maxShown = 128

func (h *handler) Connection(s *capture.Summary) { h.next.Connection(s) }

// write ends the line and hands it to the writer in one piece.
func (h *handler) write() {
	h.line = append(h.line, '}', '\n')
	h.w.mu.Lock()
	if _, err := h.w.out.Write(h.line); h.w.err == nil {
		h.w.err = err
	}
	h.w.mu.Unlock()
}

func (h *handler) begin(kind string, c *capture.Conn) {
	h.line = append(h.line[:0], `{"type":"`...)
	h.line = append(h.line, kind...)
	h.line = append(h.line, '"')
	if h.w.opts.Name != nil {
		if name := h.w.opts.Name(c.ID); name != h.pcap.name || h.pcap.shown == nil {
			h.pcap.name, h.pcap.shown = name, appendEscaped([]byte{}, []byte(analyze.CleanLong(name)))
		}
		h.line = append(h.line, `,"pcap":"`...)
		h.line = append(h.line, h.pcap.shown...)
		h.line = append(h.line, '"')
	}
	h.addr(`,"src":"`, c.Client.Addr())
	h.num(`,"sport":`, int64(c.Client.Port()))
	h.addr(`,"dst":"`, c.Server.Addr())
	h.num(`,"dport":`, int64(c.Server.Port()))
}

func (h *handler) addr(key string, ip netip.Addr) {
	if !ip.IsValid() {
		return
	}
	h.line = append(h.line, key...)
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
	h.str(`,"proto":"`, string(proto))
	if x.Stream != 0 {
		h.num(`,"h2_stream":`, int64(x.Stream))
	}
	if q.Seen {
		h.time(`,"ts":`, q.End.Time)
		h.frame(`,"req_frame":`, q.End.Frame)
		h.seen(`,"method":"`, x.Method)
		h.seen(`,"host":"`, host(x))
		if x.Stream == 0 || len(x.Target) > 0 { // that of a stream may be unknown
			h.uri(x.Target)
		}
		h.seen(`,"scheme":"`, x.Scheme)
		h.seen(`,"user_agent":"`, q.Get("user-agent"))
		h.seen(`,"upgrade":"`, q.Get("upgrade"))
		h.flag(`,"authorization":`, q.Get("authorization") != nil)
		h.flag(`,"cookie":`, q.Get("cookie") != nil)
		h.message(&requestKeys, q)
	} else {
		h.flag(`,"response_only":`, true)
	}
	if p.Seen {
		h.time(`,"resp_ts":`, p.End.Time)
		h.frame(`,"resp_frame":`, p.End.Frame)
		h.num(`,"status":`, int64(x.Status))
		h.seen(`,"reason":"`, x.Reason)
		h.seen(`,"server":"`, p.Get("server"))
		h.message(&responseKeys, p)
	}
	if len(x.Interim) > 0 {
		h.line = append(h.line, `,"interim":`...)
		for i, status := range x.Interim {
			h.line = append(h.line, "[,"[min(i, 1)])
			h.line = strconv.AppendInt(h.line, int64(status), 10)
		}
		h.line = append(h.line, ']')
	}
	h.flag(`,"pushed":`, x.Pushed)
	if g := x.GRPC; g != nil {
		h.grpc(&requestKeys, g, capture.ToServer)
		h.grpc(&responseKeys, g, capture.ToClient)
		if g.Status >= 0 {
			h.num(`,"grpc_status":`, int64(g.Status))
		}
	}
	h.list(`,"flaws":["`, (q.Flaws | p.Flaws).Names())
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

// keys name what is written of either message, as they stand in a line.
type keys struct {
	contentType, bodySize, decodedSize, contentLength, chunked, encoding, truncated string
	messages, bytes, compressed                                                     string // of gRPC
}

func keysOf(side string) keys {
	key := func(name string) string { return `,"` + side + name + `":` }
	return keys{
		contentType: key("content_type") + `"`, bodySize: key("body_len"), decodedSize: key("body_decoded_len"),
		contentLength: key("content_length"), chunked: key("chunked"), encoding: key("encoding") + `"`, truncated: key("truncated"),
		messages: key("grpc_messages"), bytes: key("grpc_bytes"), compressed: key("grpc_compressed"),
	}
}

var requestKeys, responseKeys = keysOf("req_"), keysOf("resp_")

func (h *handler) message(k *keys, m *capture.Message) {
	h.seen(k.contentType, m.Get("content-type"))
	h.num(k.bodySize, m.BodySize)
	h.num(k.decodedSize, m.DecodedSize)
	if m.ContentLength >= 0 {
		h.num(k.contentLength, m.ContentLength)
	}
	h.flag(k.chunked, m.Chunked)
	h.seen(k.encoding, m.Get("content-encoding"))
	h.flag(k.truncated, m.Truncated)
}

// grpc writes what one side of a gRPC call sent.
func (h *handler) grpc(k *keys, g *capture.GRPC, d capture.Dir) {
	h.num(k.messages, int64(g.Messages[d]))
	h.num(k.bytes, g.Bytes[d])
	if g.Compressed[d] > 0 {
		h.num(k.compressed, int64(g.Compressed[d]))
	}
}

// Handshake writes a TLS handshake.
func (h *handler) Handshake(s *capture.Handshake) {
	h.begin("tls", s.Conn)
	h.time(`,"ts":`, s.At.Time)
	if s.ClientSeen {
		h.seen(`,"sni":"`, capture.Text(s.SNI))
		h.str(`,"client_version":"`, hex16(s.ClientVersion))
		var versions []string
		for _, v := range s.ClientVersions {
			versions = append(versions, hex16(v))
		}
		h.list(`,"client_supported_versions":["`, versions)
		h.list(`,"client_alpn":["`, s.ClientALPN)
		h.num(`,"client_ciphers":`, int64(len(s.ClientCiphers)))
		h.str(`,"ja3":"`, s.JA3)
		h.str(`,"ja4":"`, s.JA4)
	}
	if s.ServerSeen {
		h.str(`,"server_version":"`, hex16(s.Version))
		h.str(`,"cipher":"`, tls.CipherSuiteName(s.Cipher))
		h.str(`,"cipher_id":"`, hex16(s.Cipher))
		h.str(`,"ja3s":"`, s.JA3S)
		h.seen(`,"server_alpn":"`, capture.Text(s.ALPN))
	}
	if s.Certificates > 0 {
		h.num(`,"certs":`, int64(s.Certificates))
	}
	if l := s.Leaf; l != nil {
		h.str(`,"leaf_serial":"`, l.Serial)
		h.str(`,"leaf_not_before":"`, l.NotBefore.UTC().Format(time.RFC3339))
		h.str(`,"leaf_not_after":"`, l.NotAfter.UTC().Format(time.RFC3339))
	}
	var hidden []string
	if s.ServerSeen && s.Leaf == nil {
		hidden = append(hidden, "certificate") // TLS 1.3 encrypts it, resumption has none
	}
	if s.EncryptedHello {
		hidden = append(hidden, "inner_hello")
	}
	h.list(`,"not_visible":["`, hidden)
	if s.Alerts > 0 {
		h.num(`,"alerts":`, int64(s.Alerts))
	}
	h.list(`,"flaws":["`, s.Flaws.Names())
	h.write()
	h.next.Handshake(s)
}

// WebSocket writes a WebSocket stream: frames by opcode and payload bytes, each
// by whether the frame is masked: those of a client should be, of a server not.
func (h *handler) WebSocket(s *capture.WebSocket) {
	h.begin("websocket", s.Conn)
	h.time(`,"ts":`, s.Start.Time)
	h.seen(`,"host":"`, s.Authority)
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
	h.line = append(h.line, `,"frames":`...)
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
	h.line = append(h.line, `,"bytes":`...)
	h.line = fmt.Appendf(h.line, `{"unmasked":%d,"masked":%d}`, size[0], size[1])
	h.num(`,"req_messages":`, int64(s.Messages[capture.ToServer]))
	h.num(`,"resp_messages":`, int64(s.Messages[capture.ToClient]))
	h.flag(`,"deflate":`, s.Deflate)
	h.write()
	h.next.WebSocket(s)
}

// uri shows a request target: without Reveal, each value of the query is masked
// whole, whatever it looks like.
func (h *handler) uri(t capture.Text) {
	h.line = append(h.line, `,"uri":"`...)
	path, query, found := bytes.Cut(t, []byte("?"))
	if h.mask == nil {
		path, found = t, false
	}
	h.show(path)
	for sep := byte('?'); found; sep = '&' {
		var pair []byte
		pair, query, found = bytes.Cut(query, []byte("&"))
		h.line = append(h.line, sep)
		name, value, valued := bytes.Cut(pair, []byte("="))
		h.show(name)
		if valued {
			h.line = append(h.line, '=')
			h.text = analyze.AppendMask(h.text[:0], value)
			h.line = appendEscaped(h.line, h.text)
		}
	}
	h.line = append(h.line, '"')
}

// show appends what may be seen of a text that is likely to come again.
func (h *handler) show(t []byte) {
	if h.mask == nil {
		h.line = appendEscaped(h.line, t)
		return
	}
	s := &h.shown[place(t)]
	if len(t) > 0 && bytes.Equal(s.text, t) {
		h.line = append(h.line, s.json...)
		return
	}
	from := len(h.line)
	h.text = h.mask(h.text[:0], t)
	h.line = appendEscaped(h.line, h.text)
	if json := h.line[from:]; len(t) <= maxShown && len(json) <= maxShown {
		s.text, s.json = append(s.text[:0], t...), append(s.json[:0], json...)
	}
}

// place is where in handler.shown a text is kept: not far from evenly, and fast.
// Who makes texts meet there gains nothing but their being masked again.
func place(t []byte) uint8 {
	n := len(t)
	sum := uint64(n)
	if n >= 8 {
		sum += binary.LittleEndian.Uint64(t) + 3*binary.LittleEndian.Uint64(t[n-8:])
	} else {
		for _, c := range t {
			sum = sum<<8 | uint64(c)
		}
	}
	return uint8(sum * 0x9e3779b97f4a7c15 >> 56)
}

// seen writes captured text, unless it is absent.
func (h *handler) seen(key string, t capture.Text) {
	if len(t) > 0 {
		h.line = append(h.line, key...)
		h.show(t)
		h.line = append(h.line, '"')
	}
}

// str writes a text of ours.
func (h *handler) str(key, s string) {
	h.line = append(h.line, key...)
	h.line = append(appendEscaped(h.line, []byte(s)), '"')
}

func (h *handler) num(key string, n int64) {
	h.line = append(h.line, key...)
	h.line = strconv.AppendInt(h.line, n, 10)
}

func (h *handler) frame(key string, n uint64) {
	if n != 0 {
		h.num(key, int64(n))
	}
}

// flag writes a truth; what is false is absent.
func (h *handler) flag(key string, v bool) {
	if v {
		h.line = append(h.line, key...)
		h.line = append(h.line, "true"...)
	}
}

// time writes seconds of the epoch with microseconds.
func (h *handler) time(key string, t time.Time) {
	if t.IsZero() {
		return
	}
	h.line = append(h.line, key...)
	h.line = strconv.AppendInt(h.line, t.Unix(), 10)
	digits := [7]byte{0: '.'}
	us := uint32(t.Nanosecond() / 1e3)
	for i := 6; i > 0; i-- {
		digits[i] = '0' + byte(us%10)
		us /= 10
	}
	h.line = append(h.line, digits[:]...)
}

func (h *handler) list(key string, items []string) {
	for i, s := range items {
		if i > 0 {
			key = `,"`
		}
		h.line = append(h.line, key...)
		h.show([]byte(s))
		h.line = append(h.line, '"')
	}
	if len(items) > 0 {
		h.line = append(h.line, ']')
	}
}

func hex16(v uint16) string { return fmt.Sprintf("0x%04x", v) }

// plain are the bytes that stand for themselves in a JSON string, also inside a
// script.
var plain = func() (t [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\' && c != '<'
	}
	return
}()

// appendEscaped appends the inside of a JSON string that is valid UTF-8, also
// where s is not, and safe inside scripts (U+2028, U+2029 and < escaped).
func appendEscaped(b, s []byte) []byte {
	for len(s) > 0 {
		n := 0
		for n < len(s) && plain[s[n]] {
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
	return b
}
