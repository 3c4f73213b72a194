package http2

import (
	"bytes"

	"plainsight/capture"
	"plainsight/capture/coding"
	"plainsight/capture/hpack"
)

// fields is what the fields of one header block say about its message. Values are
// kept as numbers of fields, -1 where there is none.
type fields struct {
	method, path, authority, scheme, host int

	methodSeen, pathSeen bool
	connect              bool // the method is CONNECT
	pseudo               bool // there are pseudo-headers
	status               int  // 0 if none is known
	length               int64
	codings              coding.List
	grpc                 bool
	flaws                capture.Flaw
}

// read looks through the fields of b (RFC 9113 §8.2, §8.3).
func (f *fields) read(b *hpack.Block) {
	*f = fields{method: -1, path: -1, authority: -1, scheme: -1, host: -1, length: -1}
	regular := false
	for i := range b.Len() {
		name, value := b.Field(i)
		if len(name) > 0 && name[0] == ':' {
			if f.pseudo = true; regular {
				f.flaws |= capture.FlawHeader // it must stand in front
			}
			f.pseudoField(i, name, value)
			continue
		}
		regular = true
		f.field(i, name, value)
	}
}

func (f *fields) pseudoField(i int, name, value capture.Text) {
	to := (*int)(nil)
	switch string(name) {
	case ":method":
		to, f.methodSeen, f.connect = &f.method, len(value) > 0, string(value) == "CONNECT"
	case ":path":
		to, f.pathSeen = &f.path, len(value) > 0
	case ":authority":
		to = &f.authority
	case ":scheme":
		to = &f.scheme
	case ":status":
		f.status = statusOf(value)
		return
	case ":protocol": // RFC 8441
		return
	default:
		f.flaws |= capture.FlawHeader
		return
	}
	if *to >= 0 {
		f.flaws |= capture.FlawHeader
	}
	*to = i
	f.check(value)
}

func (f *fields) field(i int, name, value capture.Text) {
	for _, c := range name {
		if 'A' <= c && c <= 'Z' || c <= ' ' || c >= 0x7f || c == ':' {
			f.flaws |= capture.FlawHeader
			break
		}
	}
	f.check(value)
	switch len(name) {
	case len("host"):
		if string(name) == "host" {
			f.host = i
		}
	case len("upgrade"):
		if string(name) == "upgrade" {
			f.flaws |= capture.FlawHeader
		}
	case len("connection"):
		if string(name) == "connection" || string(name) == "keep-alive" {
			f.flaws |= capture.FlawHeader // of one hop of HTTP/1 (RFC 9113 §8.2.2)
		}
	case len("content-type"):
		if string(name) == "content-type" {
			f.grpc = isGRPC(value)
		}
	case len("content-length"):
		if string(name) == "content-length" {
			f.contentLength(value)
		}
	case len("content-encoding"):
		if string(name) == "content-encoding" {
			f.codings.Add(value)
		}
	case len("transfer-encoding"):
		if string(name) == "transfer-encoding" {
			f.flaws |= capture.FlawTransferEncoding // smuggles, once it is HTTP/1 again
		}
	}
}

// check looks for what no value may hold: it would be a line of its own in HTTP/1.
func (f *fields) check(value capture.Text) {
	for _, c := range value {
		if c >= ' ' && c != 0x7f || c == '\t' {
			continue
		}
		f.flaws |= capture.FlawHeader
		switch c {
		case 0:
			f.flaws |= capture.FlawNUL
		case '\n':
			f.flaws |= capture.FlawBareLF
		case '\r':
			f.flaws |= capture.FlawBareCR
		}
	}
}

func (f *fields) contentLength(value capture.Text) {
	n := int64(0)
	for _, c := range value {
		if c < '0' || '9' < c || n > (1<<62)/10 {
			f.flaws |= capture.FlawLengthInvalid
			return
		}
		n = n*10 + int64(c-'0')
	}
	switch {
	case len(value) == 0:
		f.flaws |= capture.FlawLengthInvalid
	case f.length < 0:
		f.length = n
	case f.length == n:
		f.flaws |= capture.FlawLengthTwice
	default:
		f.flaws |= capture.FlawLengthConflict
	}
}

// append appends the headers to to; text is a copy of the block's text.
func (f *fields) append(to []capture.Header, b *hpack.Block, text []byte) []capture.Header {
	for i := range b.Len() {
		if name, value := b.FieldIn(text, i); len(name) == 0 || name[0] != ':' {
			to = append(to, capture.Header{Name: name, Value: value})
		}
	}
	return to
}

// of is the value of field i in a copy of the block's text.
func (f *fields) of(b *hpack.Block, text []byte, i int) capture.Text {
	if i < 0 {
		return nil
	}
	_, value := b.FieldIn(text, i)
	return value
}

// isGRPC says that a content type is one of gRPC.
func isGRPC(value capture.Text) bool {
	const prefix = "application/grpc"
	if len(value) < len(prefix) || !bytes.EqualFold(value[:len(prefix)], []byte(prefix)) {
		return false
	}
	rest := value[len(prefix):]
	return len(rest) == 0 || rest[0] == '+' || rest[0] == ';' || rest[0] == ' '
}
