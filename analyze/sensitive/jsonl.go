package sensitive

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/body"
)

// sample is one line that ScanJSONL reads: an HTTP message.
type sample struct {
	ID      string      `json:"id"`
	Dir     string      `json:"dir"`
	URL     string      `json:"url"`
	Headers [][2]string `json:"headers"`
	Body    string      `json:"body"`
	Binary  []byte      `json:"body_b64"`
}

// prediction is one line that ScanJSONL writes.
type prediction struct {
	ID         string  `json:"id"`
	At         string  `json:"at"`
	Pointer    string  `json:"ptr"`
	Type       string  `json:"type"`
	Confidence float32 `json:"confidence"`
}

// maxLine bounds a line that ScanJSONL reads.
const maxLine = 64 << 20

// ScanJSONL reads messages, a JSON object a line (id, dir, url, headers as pairs,
// body or body_b64), and writes what it finds in them, a JSON object a line (id,
// at, ptr, type, confidence). An error names the line.
func ScanJSONL(r io.Reader, w io.Writer, o Options) error {
	o.Pointers = true
	s := NewScanner(o)
	var walker body.Walker
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<16), maxLine)
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for n := 1; lines.Scan(); n++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var m sample
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			// The error of the decoder may quote the line.
			return fmt.Errorf("line %d is not a message: want a JSON object with id, dir, url, headers as pairs, and body or body_b64", n)
		}
		message := Message{Time: time.Time{}}
		if m.Dir == "response" {
			message.Side = analyze.Response
		}
		s.Reset(message)
		if message.Side == analyze.Request || m.URL != "" {
			s.Target([]byte(m.URL))
		}
		var contentType []byte
		for _, h := range m.Headers {
			s.Header([]byte(h[0]), []byte(h[1]))
			if h[0] == "content-type" {
				contentType = []byte(h[1])
			}
		}
		b := []byte(m.Body)
		if len(m.Binary) > 0 {
			b = m.Binary
		}
		read := walker.Walk(contentType, b, s)
		numbered := read.Format == body.Protobuf || read.Format == body.GRPC
		for i := range s.Hits() {
			h := &s.Hits()[i]
			if numbered && h.Place.Where == analyze.InBody { // fields go by their numbers alone
				h.Pointer = strings.ReplaceAll(h.Pointer, "/#", "/")
			}
			if err := enc.Encode(prediction{m.ID, string(h.Place.Where), h.Pointer, h.Detector.ID, h.Confidence}); err != nil {
				return fmt.Errorf("write findings: %w", err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read messages: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write findings: %w", err)
	}
	return nil
}
