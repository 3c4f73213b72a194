// Package ndjson reads HTTP exchanges that some other program has logged, one
// JSON object a line, as a source of traffic beside capture files: there is
// nothing to reassemble, each line is an exchange. Lines that are no exchange
// are counted and passed over. The read and openapi commands call it.
//
// A line has ts (RFC 3339), client (address), method, scheme, host, path (as on
// the wire), query (raw), reqHeaders and respHeaders ([[name, value], …]),
// reqBody, respBody and status.
package ndjson

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/klauspost/compress/gzip"

	"plainsight/capture"
)

// MaxLine is the longest line that is read, in bytes; longer ones are skipped.
const MaxLine = 16 << 20

// Sniff reports whether a file that begins with head holds lines of JSON,
// gzip'ed or not.
func Sniff(head []byte) bool {
	if z, err := gzip.NewReader(bytes.NewReader(head)); err == nil {
		unpacked := make([]byte, 512)
		n, _ := io.ReadFull(z, unpacked) // the head is cut: what came is enough
		head = unpacked[:n]
	}
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	return len(head) > 0 && head[0] == '{'
}

// Result counts the lines of a log.
type Result struct {
	Exchanges uint64
	Invalid   uint64 // lines that are no exchange, or too long
}

type line struct {
	TS          time.Time   `json:"ts"`
	Client      string      `json:"client"`
	Method      string      `json:"method"`
	Scheme      string      `json:"scheme"`
	Host        string      `json:"host"`
	Path        string      `json:"path"`
	Query       string      `json:"query"`
	ReqHeaders  [][2]string `json:"reqHeaders"`
	RespHeaders [][2]string `json:"respHeaders"`
	ReqBody     string      `json:"reqBody"`
	RespBody    string      `json:"respBody"`
	Status      int         `json:"status"`
}

// Read hands every exchange of r to h, in order, until the end, an error of r,
// or the end of ctx. base is the number of the frame before the first line:
// lines are numbered as frames are.
func Read(ctx context.Context, r io.Reader, base uint64, h capture.Handler) (Result, error) {
	var res Result
	in := bufio.NewReaderSize(r, 1<<20)
	if magic, _ := in.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(in)
		if err != nil {
			return res, err
		}
		in = bufio.NewReaderSize(z, 1<<20)
	}
	var buf []byte
	for n := base + 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return res, err
		}
		text, err := readLine(in, &buf)
		if len(text) > 0 || errors.Is(err, bufio.ErrTooLong) {
			var l line
			if err != nil && err != io.EOF || json.Unmarshal(text, &l) != nil || l.Method == "" || l.Path == "" {
				res.Invalid++
			} else {
				res.Exchanges++
				hand(&l, n, h)
			}
		}
		switch {
		case err == nil, errors.Is(err, bufio.ErrTooLong):
		case errors.Is(err, io.EOF):
			return res, nil
		default:
			return res, fmt.Errorf("line %d: %w", n-base, err)
		}
	}
}

// readLine returns the next line, valid until the next call. A line over
// MaxLine is skipped and reported as bufio.ErrTooLong.
func readLine(in *bufio.Reader, buf *[]byte) ([]byte, error) {
	*buf = (*buf)[:0]
	long := false
	for {
		part, err := in.ReadSlice('\n')
		if !long && len(*buf)+len(part) > MaxLine {
			long = true
		}
		if !long {
			*buf = append(*buf, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if long && (err == nil || err == io.EOF) {
			return nil, bufio.ErrTooLong
		}
		return bytes.TrimSpace(*buf), err
	}
}

func hand(l *line, n uint64, h capture.Handler) {
	at := capture.Stamp{Time: l.TS, Frame: n}
	conn := &capture.Conn{ID: n, Start: at, Encrypted: l.Scheme == "https"}
	if ip, err := netip.ParseAddr(l.Client); err == nil {
		conn.Client = netip.AddrPortFrom(ip, 0)
	} else if ap, err := netip.ParseAddrPort(l.Client); err == nil {
		conn.Client = ap
	}
	target := l.Path
	if l.Query != "" {
		target += "?" + l.Query
	}
	x := &capture.Exchange{
		Conn: conn, Method: capture.Text(l.Method), Target: capture.Text(target),
		Authority: capture.Text(l.Host), Scheme: capture.Text(l.Scheme), Status: l.Status,
		Request:  message(l.ReqHeaders, l.ReqBody, at),
		Response: message(l.RespHeaders, l.RespBody, at),
	}
	x.Response.Seen = l.Status != 0
	h.Exchange(x)
}

func message(headers [][2]string, body string, at capture.Stamp) capture.Message {
	m := capture.Message{
		Seen: true, Start: at, End: at, Proto: capture.HTTP11, Body: []byte(body), ContentLength: -1,
		BodySize: int64(len(body)), DecodedSize: int64(len(body)),
		Headers: slices.Grow([]capture.Header(nil), len(headers)),
	}
	for _, f := range headers {
		m.Headers = append(m.Headers, capture.Header{Name: capture.Text(f[0]), Value: capture.Text(f[1])})
	}
	return m
}
