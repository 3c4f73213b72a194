package body

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits bound a walk. The zero value has the defaults.
type Limits struct {
	// Depth is how many containers may be open; what is deeper is passed over as
	// empty containers. 0: 128.
	Depth int
	// Values is how many values and containers one body may tell of; the walk
	// ends there. 0: 1<<20.
	Values int
}

// Walker walks bodies, one at a time. It keeps its scratch space from body to
// body, so that it allocates nothing once warm. The zero value is ready. A
// visitor must not call the walker that calls it.
type Walker struct {
	Limits Limits

	stack   []Kind // open containers
	left    int    // values that may still be told
	scratch []byte // unescaped text
	names   []byte // names that do not stand in the body as they are
	second  []byte // a second text that must live beside scratch
	wide    []byte // a body transcoded from UTF-16
	spans   []span // XML: names of the open elements
	ends    []int  // protobuf: where the open messages end
}

// Walk walks b in the format that contentType (the value of the header, may be
// empty) and the first bytes of b say; where they disagree the bytes win. b and
// contentType are borrowed.
//
// JSON and NDJSON: values as they stand; duplicate keys and invalid UTF-8 are
// passed through; a value that is cut by the end of b is left out, which can
// leave the last Key without its value. Form: an object of strings,
// percent-decoded. Multipart: an object, name → what the part holds; a file is
// the String of its name, its content is not looked at; parts of JSON are
// walked. XML: an object with the root element; an element with attributes or
// children is an object, its attributes named @name and its text #text, other
// elements are a String; entities are not expanded, save the predefined ones
// and numbers. Protobuf and gRPC: an object with fields named #1, #2 by their
// numbers, see [Walker.protobuf]. Events: an array of their data. Text: one
// String.
func (w *Walker) Walk(contentType, b []byte, v Visitor) Result {
	if w.Limits.Depth <= 0 {
		w.Limits.Depth = 128
	}
	if w.Limits.Values <= 0 {
		w.Limits.Values = 1 << 20
	}
	w.left = w.Limits.Values
	w.stack, w.names = w.stack[:0], w.names[:0]
	b = w.utf8(b)
	r := Result{Format: detect(contentType, b)}
	switch r.Format {
	case None:
		r.Complete = len(b) == 0
	case JSON:
		r.Complete = w.json(b, v)
	case NDJSON:
		w.open(v, Array)
		r.Complete = w.json(b, v)
	case Form:
		w.open(v, Object)
		r.Complete = w.form(b, v)
	case Multipart:
		w.open(v, Object)
		r.Complete = w.multipart(parameter(contentType, "boundary"), b, v)
	case XML:
		w.open(v, Object)
		r.Complete = w.xml(b, v)
	case Protobuf:
		w.open(v, Object)
		r.Complete = w.protobuf(b, v)
	case GRPC:
		w.open(v, Object)
		r.Complete = w.frames(b, v)
	case FramedJSON:
		w.open(v, Array)
		r.Complete = w.framesOfJSON(b, v)
	case EventStream:
		w.open(v, Array)
		r.Complete = w.events(b, v)
	case Text:
		v.Value(String, b)
		r.Complete = true
	}
	w.close(v, 0)
	return r
}

func (w *Walker) open(v Visitor, k Kind) {
	w.stack = append(w.stack, k)
	v.Begin(k)
}

// close ends containers until only depth are open.
func (w *Walker) close(v Visitor, depth int) {
	for n := len(w.stack); n > depth; n-- {
		v.End(w.stack[n-1])
	}
	w.stack = w.stack[:min(depth, len(w.stack))]
}

// name returns a copy of a name that lives until the walk ends. Together they
// are no longer than the body. Where names grow, those that were given out stay
// where they are.
func (w *Walker) name(text []byte) []byte {
	from := len(w.names)
	w.names = append(w.names, text...)
	return w.names[from:len(w.names):len(w.names)]
}

// lasting is a name that may stand in the scratch space, made to live.
func (w *Walker) lasting(text []byte) []byte {
	if len(text) > 0 && len(w.scratch) > 0 && &text[0] == &w.scratch[0] {
		return w.name(text)
	}
	return text
}

// detect tells the format. The content type is believed unless the first bytes
// say otherwise: services label JSON as text and HTML as JSON.
func detect(contentType, b []byte) Format {
	f, known := declared(contentType)
	if known && f == None {
		return None
	}
	head := bytes.TrimLeft(b, " \t\r\n\x1e")
	if len(head) == 0 {
		return None
	}
	switch {
	case f == NDJSON || f == Multipart || f == EventStream && head[0] != '{':
		return f
	case (f == GRPC || f == FramedJSON) && framed(b):
		if f == GRPC && len(b) > 5 && b[0] == 0 && b[5] == '{' { // no field begins so
			return FramedJSON
		}
		return f
	case f == Protobuf && b[0] != '{' && b[0] != '[':
		return f
	case f == GRPC || f == FramedJSON || f == Protobuf:
		if jsonStart(head, false) {
			return JSON
		}
		return None
	case bytes.HasPrefix(head, xssi) || jsonStart(head, f == JSON):
		if concatenated(head) {
			return NDJSON
		}
		return JSON
	case head[0] == '<' && f != Text && f != Form:
		if f == XML || markup(head) {
			return XML
		}
		return Text
	case f == JSON || f == XML:
		return Text
	case known:
		return f
	case printable(head):
		return Text
	case likely(b):
		return Protobuf
	}
	return None
}

// declared reads the media type; known is false where it says nothing.
func declared(contentType []byte) (f Format, known bool) {
	t, _, _ := bytes.Cut(contentType, []byte{';'})
	t = bytes.TrimSpace(t)
	var buf [80]byte
	if len(t) == 0 || len(t) > len(buf) {
		return None, false
	}
	for i, c := range t {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		buf[i] = c
	}
	t = buf[:len(t)]
	has := func(s string) bool { return bytes.Contains(t, []byte(s)) }
	switch {
	case has("grpc"), has("connect+"):
		if has("text") { // base64 of frames, of browsers of old
			return None, true
		}
		if has("json") {
			return FramedJSON, true
		}
		return GRPC, true
	case has("event-stream"):
		return EventStream, true
	case has("protobuf"), bytes.Equal(t, []byte("application/proto")):
		return Protobuf, true
	case has("ndjson"), has("jsonl"), has("json-seq"), has("stream+json"), has("json-lines"):
		return NDJSON, true
	case has("json"):
		return JSON, true
	case has("www-form-urlencoded"):
		return Form, true
	case bytes.HasPrefix(t, []byte("multipart/")):
		return Multipart, true
	case has("image/"), has("audio/"), has("video/"), has("font/"), has("zip"), has("pdf"):
		return None, true
	case has("html"):
		return Text, true
	case has("xml"):
		return XML, true
	case bytes.HasPrefix(t, []byte("text/")), has("javascript"), has("graphql"), has("yaml"):
		return Text, true
	}
	return None, false
}

// parameter returns the value of a parameter of a header like Content-Type,
// without quotes, or nil.
func parameter(header []byte, name string) []byte {
	for {
		i := bytes.IndexByte(header, ';')
		if i < 0 {
			return nil
		}
		header = bytes.TrimLeft(header[i+1:], " \t")
		if len(header) <= len(name) || header[len(name)] != '=' || !fold(header[:len(name)], name) {
			continue
		}
		value := header[len(name)+1:]
		if len(value) > 0 && value[0] == '"' {
			value = value[1:]
			if end := bytes.IndexByte(value, '"'); end >= 0 {
				value = value[:end]
			}
			return value
		}
		if end := bytes.IndexByte(value, ';'); end >= 0 {
			value = value[:end]
		}
		return bytes.TrimSpace(value)
	}
}

// fold reports whether b equals the lower-case ASCII text lower, case aside.
func fold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// xssi is the guard that some services put before JSON against script tags.
var xssi = []byte(")]}'")

// jsonStart reports whether head can begin a JSON text: a container with
// something that may stand in it, or, where JSON was declared, any value.
func jsonStart(head []byte, declared bool) bool {
	c := head[0]
	if c != '{' && c != '[' {
		return declared && (c == '"' || c == '-' || '0' <= c && c <= '9' ||
			bytes.HasPrefix(head, []byte("true")) || bytes.HasPrefix(head, []byte("false")) || bytes.HasPrefix(head, []byte("null")))
	}
	rest := bytes.TrimLeft(head[1:], " \t\r\n")
	if len(rest) == 0 || declared {
		return declared || len(head) == 1
	}
	switch rest[0] {
	case '"', '}':
		return true
	case '{', '[', ']', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return c == '['
	}
	return c == '[' && (bytes.HasPrefix(rest, []byte("true")) || bytes.HasPrefix(rest, []byte("false")) || bytes.HasPrefix(rest, []byte("null")))
}

// concatenated reports whether an object ends at the end of the first line and
// another one begins the next: NDJSON that says it is JSON, as watches do.
func concatenated(head []byte) bool {
	if head[0] != '{' {
		return false
	}
	i := bytes.IndexByte(head, '\n')
	if i < 0 {
		return false
	}
	first := bytes.TrimRight(head[:i], "\r \t")
	next := bytes.TrimLeft(head[i:], "\r\n \t")
	return len(first) > 1 && first[len(first)-1] == '}' && len(next) > 0 && next[0] == '{'
}

// markup tells XML from HTML.
func markup(head []byte) bool {
	if bytes.HasPrefix(head, []byte("<?xml")) {
		return true
	}
	n := head[1:min(len(head), 10)]
	return len(n) > 0 && (n[0]|0x20 >= 'a' && n[0]|0x20 <= 'z') &&
		!(len(n) >= 4 && fold(n[:4], "html")) && !(len(n) >= 4 && fold(n[:4], "head")) && !(len(n) >= 4 && fold(n[:4], "body"))
}

// printable reports whether head begins like text.
func printable(head []byte) bool {
	head = head[:min(len(head), 256)]
	for _, c := range head {
		if c < ' ' && c != '\t' && c != '\r' && c != '\n' || c == 0x7f {
			return false
		}
	}
	for i := 0; i < utf8.UTFMax && len(head) > 0 && !utf8.Valid(head); i++ {
		head = head[:len(head)-1] // the cut may have split a character
	}
	return utf8.Valid(head)
}

// utf8 removes a byte-order mark, and turns UTF-16 into UTF-8.
func (w *Walker) utf8(b []byte) []byte {
	switch {
	case len(b) >= 3 && b[0] == 0xef && b[1] == 0xbb && b[2] == 0xbf:
		return b[3:]
	case len(b) >= 4 && b[0] == 0xff && b[1] == 0xfe:
		return w.transcode(b[2:], 0)
	case len(b) >= 4 && b[0] == 0xfe && b[1] == 0xff:
		return w.transcode(b[2:], 1)
	}
	return b
}

// transcode reads UTF-16 whose low byte stands at index low of a unit.
func (w *Walker) transcode(b []byte, low int) []byte {
	w.wide = w.wide[:0]
	var lead rune
	for ; len(b) >= 2; b = b[2:] {
		r := rune(b[low]) | rune(b[1-low])<<8
		switch {
		case lead != 0 && 0xdc00 <= r && r < 0xe000:
			w.wide = utf8.AppendRune(w.wide, utf16.DecodeRune(lead, r))
			lead = 0
			continue
		case lead != 0:
			w.wide = utf8.AppendRune(w.wide, utf8.RuneError)
			lead = 0
		}
		if 0xd800 <= r && r < 0xdc00 {
			lead = r
			continue
		}
		w.wide = utf8.AppendRune(w.wide, r)
	}
	return w.wide
}
