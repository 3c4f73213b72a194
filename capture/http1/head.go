package http1

import (
	"bytes"
	"encoding/binary"

	"plainsight/capture"
	"plainsight/capture/coding"
)

// headEnd finds the end of a head: the first empty line. from is where an earlier
// call stopped; the second result is where the next call may go on, so that a
// head in one-byte segments is read once.
func headEnd(b []byte, from int) (end, next int) {
	for {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return -1, len(b)
		}
		i += from
		switch {
		case i+1 < len(b) && b[i+1] == '\n':
			return i + 2, 0
		case i+2 < len(b) && b[i+1] == '\r' && b[i+2] == '\n':
			return i + 3, 0
		case i+1 >= len(b) || b[i+1] == '\r' && i+2 >= len(b):
			return -1, i
		}
		from = i + 1
	}
}

// fields is what the headers of one message say about it, beside their values.
type fields struct {
	length    int64 // Content-Length, -1 if none is valid
	lengths   int   // how many there were
	chunked   bool  // chunked is the last transfer coding
	transfer  bool  // a transfer coding that ends otherwise
	codings   coding.List
	host      capture.Text
	hosts     int
	upgrade   bool // Upgrade names a protocol
	connected bool // Connection lists upgrade
	flaws     capture.Flaw
}

// usual is how many fields most heads have room in.
const usual = 16

// headers reads the lines of a head after its start line, or of a trailer, which
// block holds whole. It joins folds in place, so block must be the parser's own.
// At most limit fields are appended to to; the others count for the framing only.
func (f *fields) headers(to []capture.Header, block []byte, limit int) []capture.Header {
	f.flaws |= oddBytes(block)
	if to == nil {
		to = make([]capture.Header, 0, usual)
	}
	// Every CR should end a line.
	crs, ends := bytes.Count(block, []byte{'\r'}), 0
	for i := 0; i < len(block); {
		line := block[i:]
		if n := bytes.IndexByte(line, '\n'); n >= 0 {
			line = line[:n+1]
		}
		i += len(line)
		text, flaw := trimEOL(line)
		f.flaws |= flaw
		ends += max(0, len(line)-len(text)-1)
		if len(text) == 0 {
			break
		}
		for i < len(block) && (block[i] == ' ' || block[i] == '\t') {
			var cr int
			text, i, cr = f.fold(block, text, i)
			ends += cr
		}
		name, value, ok := f.split(text)
		if !ok {
			f.flaws |= capture.FlawHeader
			continue
		}
		f.frame(name, value)
		if len(to) >= limit {
			f.flaws |= capture.FlawHeadLimit
			continue
		}
		to = append(to, capture.Header{Name: name, Value: value})
	}
	if crs != ends {
		f.flaws |= capture.FlawBareCR
	}
	return to
}

// fold joins the continuation line at block[i:] to text (RFC 9112 §5.2), moving
// it down, and returns the longer text, where the next line begins, and how many
// CRs ended the line.
func (f *fields) fold(block, text []byte, i int) ([]byte, int, int) {
	line := block[i:]
	if n := bytes.IndexByte(line, '\n'); n >= 0 {
		line = line[:n+1]
	}
	i += len(line)
	more, flaw := trimEOL(line)
	f.flaws |= flaw | capture.FlawFold
	cr := max(0, len(line)-len(more)-1)
	more = bytes.TrimLeft(more, " \t")
	// text[:cap] reaches to the end of block: the line's own bytes make the room.
	text = bytes.TrimRight(text, " \t")
	if len(more) == 0 {
		return text, i, cr
	}
	text = append(text, ' ')
	return append(text, more...), i, cr
}

// split takes a header line apart (RFC 9112 §5).
func (f *fields) split(line []byte) (name, value []byte, ok bool) {
	n := 0
	for n < len(line) && tchar[line[n]] {
		n++
	}
	if n == len(line) {
		return nil, nil, false
	}
	if line[n] != ':' {
		colon := bytes.IndexByte(line, ':')
		if colon < 0 {
			return nil, nil, false
		}
		name = bytes.Trim(line[:colon], " \t")
		if len(name) == n && n > 0 {
			f.flaws |= capture.FlawHeaderSpace // smuggles: some servers take the name, some do not
		} else {
			f.flaws |= capture.FlawHeader
		}
		n = colon
	} else {
		name = line[:n]
		if n == 0 {
			f.flaws |= capture.FlawHeader
		}
	}
	value = line[n+1:]
	for len(value) > 0 && (value[0] == ' ' || value[0] == '\t') {
		value = value[1:]
	}
	for len(value) > 0 && (value[len(value)-1] == ' ' || value[len(value)-1] == '\t') {
		value = value[:len(value)-1]
	}
	return name[:len(name):len(name)], value[:len(value):len(value)], true
}

// frame notes what the fields that frame and route a message say.
func (f *fields) frame(name, value capture.Text) {
	switch len(name) {
	case len("host"):
		if capture.EqualFold(name, "host") {
			if f.hosts++; f.hosts == 1 {
				f.host = value
			}
		}
	case len("upgrade"):
		if capture.EqualFold(name, "upgrade") && len(value) > 0 {
			f.upgrade = true
		}
	case len("connection"):
		if capture.EqualFold(name, "connection") && listed(value, "upgrade") {
			f.connected = true
		}
	case len("content-length"):
		if capture.EqualFold(name, "content-length") {
			f.contentLength(value)
		}
	case len("content-encoding"):
		if capture.EqualFold(name, "content-encoding") {
			f.codings.Add(value)
		}
	case len("transfer-encoding"):
		if capture.EqualFold(name, "transfer-encoding") {
			f.transferEncoding(value)
		}
	}
}

// listed says that a comma-separated list holds the lower-case word.
func listed(list capture.Text, word string) bool {
	for len(list) > 0 {
		item := list
		if i := bytes.IndexByte(list, ','); i >= 0 {
			item, list = list[:i], list[i+1:]
		} else {
			list = nil
		}
		if capture.EqualFold(bytes.Trim(item, " \t"), word) {
			return true
		}
	}
	return false
}

// contentLength reads one Content-Length, which may be a list (RFC 9110 §8.6).
// The first valid number counts: most servers take that one.
func (f *fields) contentLength(value capture.Text) {
	for more := true; more; {
		item := value
		if i := bytes.IndexByte(value, ','); i >= 0 {
			item, value = value[:i], value[i+1:]
		} else {
			more = false
		}
		n := number(bytes.Trim(item, " \t"))
		switch {
		case n < 0:
			f.flaws |= capture.FlawLengthInvalid
		case f.length < 0:
			f.length = n
		case f.length == n:
			f.flaws |= capture.FlawLengthTwice
		default:
			f.flaws |= capture.FlawLengthConflict
		}
		f.lengths++
	}
}

func number(digits []byte) int64 {
	if len(digits) == 0 {
		return -1
	}
	var n int64
	for _, c := range digits {
		if c < '0' || '9' < c || n > (1<<62)/10 {
			return -1
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

// transferEncoding reads one Transfer-Encoding (RFC 9112 §6.1). Only the last
// coding frames the body.
func (f *fields) transferEncoding(value capture.Text) {
	if len(bytes.Trim(value, " \t,")) == 0 {
		f.flaws |= capture.FlawTransferEncoding
		return
	}
	for len(value) > 0 {
		item := value
		if i := bytes.IndexByte(value, ','); i >= 0 {
			item, value = value[:i], value[i+1:]
		} else {
			value = nil
		}
		item = bytes.Trim(item, " \t")
		switch {
		case len(item) == 0:
			f.flaws |= capture.FlawTransferEncoding // allowed in lists (RFC 9110 §5.6.1), and a way to smuggle
		case capture.EqualFold(item, "chunked"):
			if f.chunked || f.transfer {
				f.flaws |= capture.FlawTransferEncoding
			}
			f.chunked, f.transfer = true, false
		case capture.EqualFold(item, "identity") && !f.chunked:
			f.flaws |= capture.FlawTransferEncoding // of RFC 2616: changes nothing
		default:
			f.flaws |= capture.FlawTransferEncoding
			f.chunked, f.transfer = false, true
		}
	}
}

// conclude adds the flaws that need all fields.
func (f *fields) conclude() {
	if f.lengths > 0 && (f.chunked || f.flaws&capture.FlawTransferEncoding != 0) {
		f.flaws |= capture.FlawLengthAndChunked
	}
}

// oddBytes looks through a block of lines at once for what no line may hold.
func oddBytes(block []byte) (flaws capture.Flaw) {
	if bytes.IndexByte(block, 0) >= 0 {
		flaws |= capture.FlawNUL
	}
	if controls(block) {
		flaws |= capture.FlawHeader
	}
	return flaws
}

// controls says that block holds a control character beside NUL, tab, CR and LF.
func controls(block []byte) bool {
	i := 0
	for ; i+8 <= len(block); i += 8 {
		w := binary.LittleEndian.Uint64(block[i:])
		// A byte below 0x20, but for line ends, or equal to 0x7f: the rare words are
		// looked at closely.
		low := (w - ones*0x20) &^ w & highs
		del := w ^ ones*0x7f
		del = (del - ones) &^ del & highs
		if low|del != 0 && (low|del)&^(equal(w, '\r')|equal(w, '\n')) != 0 && controlIn(block[i:i+8]) {
			return true
		}
	}
	return controlIn(block[i:])
}

const ones, highs = 0x0101010101010101, 0x8080808080808080

// equal has the highest bit of those bytes of w that are c, and no other.
func equal(w uint64, c byte) uint64 {
	w ^= ones * uint64(c)
	return ^((w&^highs + ^uint64(highs)) | w | ^uint64(highs))
}

func controlIn(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' && c != '\r' && c != '\n' && c != 0 || c == 0x7f {
			return true
		}
	}
	return false
}

// authority finds who a request is for: Host, or the authority of an absolute
// target, which wins where they name different hosts (RFC 9112 §3.2.2). User
// names and passwords in a target are left out.
func authority(method, target capture.Text, f *fields, proto capture.Proto) (authority, scheme capture.Text, flaws capture.Flaw) {
	var named capture.Text
	switch {
	case string(method) == "CONNECT":
		named = target
	case len(target) > 0 && target[0] != '/' && hasScheme(target):
		i := bytes.IndexByte(target, ':')
		scheme = target[:i:i]
		named = target[i+3:]
		if n := bytes.IndexAny(named, "/?#"); n >= 0 {
			named = named[:n:n]
		}
		if at := bytes.LastIndexByte(named, '@'); at >= 0 {
			named = named[at+1:]
		}
	}
	switch {
	case f.hosts == 0 && proto == capture.HTTP11:
		flaws |= capture.FlawHostMissing
	case f.hosts > 1:
		flaws |= capture.FlawHostTwice
	}
	if f.hosts > 0 && len(f.host) > 0 && !validHost(f.host) || len(named) > 0 && !validHost(named) {
		flaws |= capture.FlawHostInvalid
	}
	if len(named) == 0 {
		return f.host, scheme, flaws
	}
	if len(f.host) == 0 {
		return named, scheme, flaws
	}
	hostA, portA := splitPort(named)
	hostB, portB := splitPort(f.host)
	if !bytes.EqualFold(hostA, hostB) {
		return named, scheme, flaws | capture.FlawHostTwice
	}
	if len(portA) > 0 && len(portB) > 0 && !bytes.Equal(portA, portB) {
		flaws |= capture.FlawHostTwice
	}
	return f.host, scheme, flaws
}

func splitPort(authority []byte) (host, port []byte) {
	i := bytes.LastIndexByte(authority, ':')
	if i < 0 || bytes.IndexByte(authority[i:], ']') >= 0 {
		return authority, nil
	}
	return authority[:i], authority[i+1:]
}

// validHost checks the form of uri-host [":" port] (RFC 9110 §7.2), letting
// through what is used in spite of it: underscores.
func validHost(authority []byte) bool {
	host, port := splitPort(authority)
	if len(host) != len(authority) && len(port) == 0 || len(port) > 5 {
		return false
	}
	for _, c := range port {
		if c < '0' || '9' < c {
			return false
		}
	}
	if len(host) == 0 {
		return false
	}
	if host[0] == '[' {
		if host[len(host)-1] != ']' || len(host) < 4 {
			return false
		}
		for _, c := range host[1 : len(host)-1] {
			if hexDigit(c) < 0 && c != ':' && c != '.' && c != '%' {
				return false
			}
		}
		return true
	}
	last := byte('.')
	for _, c := range host {
		switch {
		case c == '.' && last == '.':
			return false
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c >= 0x80, c == '%':
		default:
			return false
		}
		last = c
	}
	return true
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
