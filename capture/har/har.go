// Package har reads HTTP archives (HAR 1.2), as browsers and proxies save them,
// as a source of traffic beside capture files: there is nothing to reassemble,
// each entry is an exchange. It reads an archive as a stream and keeps one entry
// at a time. Entries that are no HTTP exchange are counted and passed over. The
// read and openapi commands call it.
//
// What browsers leave out is not made up: a body that is missing though its
// size is told is marked as truncated.
package har

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"plainsight/capture"
)

// MaxEntry is the longest entry that is read, in bytes of the archive; at a
// longer one reading ends.
const MaxEntry = 64 << 20

// maxConns is how many connections are told apart at a time.
const maxConns = 1 << 16

// ErrNone says that what was read is no archive.
var ErrNone = errors.New("not an HTTP archive (HAR): want a JSON object with log.entries")

var errLong = fmt.Errorf("an entry of more than %d MiB", MaxEntry>>20)

// Sniff reports whether a file that begins with head is an archive, gzip'ed or
// not: a JSON object whose first key is log.
func Sniff(head []byte) bool {
	if z, err := gzip.NewReader(bytes.NewReader(head)); err == nil {
		unpacked := make([]byte, 512)
		n, _ := io.ReadFull(z, unpacked) // the head is cut: what came is enough
		head = unpacked[:n]
	}
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return false
	}
	key, err := d.Token()
	return err == nil && key == "log"
}

// Result counts the entries of an archive.
type Result struct {
	Exchanges uint64
	Invalid   uint64 // entries that are no exchange: of other schemes, without a method or URL
}

// archive is the reader at work.
type archive struct {
	*json.Decoder
	limit *limited
	base  uint64
	res   Result
	conns map[connKey]*capture.Conn
}

type connKey struct {
	server    netip.AddrPort
	id        string
	encrypted bool
}

// limited ends reading when one entry takes too much.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, errLong
	}
	n, err := l.r.Read(b[:min(int64(len(b)), l.left)])
	l.left -= int64(n)
	return n, err
}

// Read hands every exchange of r to h, in order, until the end, an error of r or
// of its JSON, or the end of ctx. base is the number of the frame before the
// first entry: entries are numbered as frames are.
func Read(ctx context.Context, r io.Reader, base uint64, h capture.Handler) (Result, error) {
	in := bufio.NewReaderSize(r, 1<<16)
	if magic, _ := in.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(in)
		if err != nil {
			return Result{}, err
		}
		in = bufio.NewReaderSize(z, 1<<16)
	}
	if mark, _ := in.Peek(3); string(mark) == "\xef\xbb\xbf" {
		_, _ = in.Discard(3)
	}
	limit := &limited{in, MaxEntry}
	a := &archive{Decoder: json.NewDecoder(limit), limit: limit, base: base, conns: map[connKey]*capture.Conn{}}
	found := false
	err := a.object(func(key string) error {
		if key != "log" {
			return a.skip()
		}
		found = true
		return a.object(func(key string) error {
			if key != "entries" {
				return a.skip()
			}
			return a.entries(ctx, h)
		})
	})
	if err == nil && !found {
		return a.res, ErrNone
	}
	if err != nil {
		var syntax *json.SyntaxError
		switch {
		case a.res == (Result{}) && (errors.As(err, &syntax) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
			return a.res, ErrNone
		case errors.As(err, &syntax):
			return a.res, fmt.Errorf("entry %d: no JSON", a.res.Exchanges+a.res.Invalid+1) // what it says may quote
		case errors.Is(err, io.EOF):
			return a.res, io.ErrUnexpectedEOF
		}
		return a.res, err
	}
	_, err = io.Copy(io.Discard, in) // white space, for those who want to know its length
	return a.res, err
}

// object calls f for the value of each key of the object that comes next.
func (a *archive) object(f func(key string) error) error {
	open, err := a.Token()
	if err != nil {
		return err
	}
	if open != json.Delim('{') {
		return ErrNone
	}
	for a.More() {
		key, err := a.Token()
		if err != nil {
			return err
		}
		if err := f(fmt.Sprint(key)); err != nil {
			return err
		}
	}
	_, err = a.Token()
	return err
}

func (a *archive) skip() error {
	a.limit.left = MaxEntry
	var v json.RawMessage
	return a.Decode(&v)
}

func (a *archive) entries(ctx context.Context, h capture.Handler) error {
	open, err := a.Token()
	if err != nil {
		return err
	}
	if open != json.Delim('[') {
		return ErrNone
	}
	for a.More() {
		if err := ctx.Err(); err != nil {
			return err
		}
		a.limit.left = MaxEntry
		var e entry
		err := a.Decode(&e)
		var wrong *json.UnmarshalTypeError
		if err != nil && !errors.As(err, &wrong) {
			return err
		}
		if err != nil || !a.hand(&e, h) {
			a.res.Invalid++
			continue
		}
		a.res.Exchanges++
	}
	_, err = a.Token()
	return err
}

// entry is an exchange as HAR 1.2 writes it, as far as it matters here.
type entry struct {
	Started    string  `json:"startedDateTime"`
	Time       float64 `json:"time"` // ms
	Server     string  `json:"serverIPAddress"`
	Connection any     `json:"connection"`
	Timings    struct {
		Send, Wait float64 // ms, -1 where unknown
		Blocked    float64
		DNS        float64
		Connect    float64
	} `json:"timings"`
	Request struct {
		Method   string `json:"method"`
		URL      string `json:"url"`
		Version  string `json:"httpVersion"`
		Headers  []pair `json:"headers"`
		BodySize int64  `json:"bodySize"`
		Post     *struct {
			Type     string `json:"mimeType"`
			Text     string `json:"text"`
			Encoding string `json:"encoding"`
			Params   []pair `json:"params"`
		} `json:"postData"`
	} `json:"request"`
	Response struct {
		Status   int    `json:"status"`
		Text     string `json:"statusText"`
		Version  string `json:"httpVersion"`
		Headers  []pair `json:"headers"`
		BodySize int64  `json:"bodySize"`
		Content  struct {
			Size     int64  `json:"size"`
			Type     string `json:"mimeType"`
			Text     string `json:"text"`
			Encoding string `json:"encoding"`
		} `json:"content"`
	} `json:"response"`
}

type pair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// hand gives an entry to h; false: it is no exchange.
func (a *archive) hand(e *entry, h capture.Handler) bool {
	scheme, rest, ok := strings.Cut(e.Request.URL, "://")
	scheme = strings.ToLower(scheme)
	encrypted := scheme == "https" || scheme == "wss"
	if !ok || e.Request.Method == "" || !encrypted && scheme != "http" && scheme != "ws" {
		return false
	}
	rest, _, _ = strings.Cut(rest, "#")
	authority, target := rest, "/"
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, target = rest[:i], rest[i:]
		if target[0] == '?' {
			target = "/" + target
		}
	}
	authority = authority[strings.LastIndexByte(authority, '@')+1:]
	if authority == "" {
		return false
	}

	start, _ := time.Parse(time.RFC3339Nano, e.Started)
	after := func(ms ...float64) time.Time {
		t := start
		for _, d := range ms {
			if d > 0 && d < 1e9 && !start.IsZero() {
				t = t.Add(time.Duration(d * float64(time.Millisecond)))
			}
		}
		return t
	}
	number := a.base + a.res.Exchanges + a.res.Invalid + 1
	at := capture.Stamp{Time: start, Frame: number}
	x := &capture.Exchange{
		Conn:   a.conn(e, authority, encrypted, at),
		Method: capture.Text(e.Request.Method), Target: capture.Text(target), Authority: capture.Text(authority), Scheme: capture.Text(scheme),
		Status: max(0, e.Response.Status), Reason: capture.Text(e.Response.Text),
	}
	sent := after(e.Timings.Blocked, e.Timings.DNS, e.Timings.Connect, e.Timings.Send)
	x.Request = message(e.Request.Version, e.Request.Headers, e.Request.BodySize)
	x.Request.Start, x.Request.End = at, capture.Stamp{Time: sent, Frame: number}
	if p := e.Request.Post; p != nil {
		text, encoding := p.Text, p.Encoding
		if text == "" && len(p.Params) > 0 && !strings.HasPrefix(p.Type, "multipart/") {
			form := make([]string, len(p.Params))
			for i, f := range p.Params {
				form[i] = url.QueryEscape(f.Name) + "=" + url.QueryEscape(f.Value)
			}
			text, encoding = strings.Join(form, "&"), ""
		}
		body(&x.Request, text, encoding, p.Type)
		x.Request.Truncated = len(x.Request.Body) == 0 && (len(p.Params) > 0 || e.Request.BodySize > 0)
	}
	if x.Status == 0 {
		h.Exchange(x) // blocked, or broken off
		return true
	}
	x.Response = message(e.Response.Version, e.Response.Headers, e.Response.BodySize)
	x.Response.Start = capture.Stamp{Time: sent.Add(after(e.Timings.Wait).Sub(start)), Frame: number}
	x.Response.End = capture.Stamp{Time: after(e.Time), Frame: number}
	c := &e.Response.Content
	body(&x.Response, c.Text, c.Encoding, c.Type)
	x.Response.Truncated = len(x.Response.Body) == 0 && c.Size > 0 && e.Request.Method != "HEAD" && x.Status != 304
	h.Exchange(x)
	return true
}

// conn finds or makes the connection of an entry. Archives name it, or not.
func (a *archive) conn(e *entry, authority string, encrypted bool, at capture.Stamp) *capture.Conn {
	k := connKey{encrypted: encrypted}
	if e.Connection != nil {
		k.id = fmt.Sprint(e.Connection)
	}
	if ip, err := netip.ParseAddr(strings.Trim(e.Server, "[]")); err == nil {
		port := uint16(80)
		if encrypted {
			port = 443
		}
		if i := strings.LastIndexByte(authority, ':'); i >= 0 {
			if n, err := strconv.ParseUint(authority[i+1:], 10, 16); err == nil && n > 0 {
				port = uint16(n)
			}
		}
		k.server = netip.AddrPortFrom(ip.WithZone(""), port)
	}
	named := k.id != "" && k.server.IsValid()
	if c := a.conns[k]; named && c != nil {
		return c
	}
	c := &capture.Conn{ID: at.Frame, Start: at, Server: k.server, Encrypted: encrypted}
	if named {
		if len(a.conns) >= maxConns {
			clear(a.conns)
		}
		a.conns[k] = c
	}
	return c
}

func message(version string, headers []pair, size int64) capture.Message {
	m := capture.Message{Seen: true, Proto: protoOf(version), ContentLength: -1, BodySize: max(0, size)}
	for _, f := range headers {
		if f.Name == "" || f.Name[0] == ':' {
			continue // HTTP/2 says so what the URL and status say
		}
		m.Headers = append(m.Headers, capture.Header{Name: capture.Text(f.Name), Value: capture.Text(f.Value)})
		if strings.EqualFold(f.Name, "content-length") {
			if n, err := strconv.ParseInt(f.Value, 10, 64); err == nil && n >= 0 {
				m.ContentLength = n
			}
		}
	}
	return m
}

// body adds a body, and its type where no header has it.
func body(m *capture.Message, text, encoding, contentType string) {
	m.Body = []byte(text)
	if strings.EqualFold(encoding, "base64") {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			b, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
		}
		if m.Body = b; err != nil {
			m.Body, m.Truncated = nil, true
		}
	}
	m.DecodedSize = int64(len(m.Body))
	if m.BodySize == 0 {
		m.BodySize = m.DecodedSize
	}
	if contentType != "" && len(m.Body) > 0 && m.Get("content-type") == nil {
		m.Headers = append(m.Headers, capture.Header{Name: capture.Text("Content-Type"), Value: capture.Text(contentType)})
	}
}

func protoOf(version string) capture.Proto {
	switch strings.ToLower(version) {
	case "http/1.1", "":
		return capture.HTTP11
	case "http/1.0":
		return capture.HTTP10
	case "h2", "http/2", "http/2.0", "h2c":
		return capture.HTTP2
	}
	return capture.HTTPX
}
