package http1

import (
	"bytes"

	"plainsight/capture"
)

// methods are the registered methods of HTTP (RFC 9110 §16.1 and its registry)
// and those that caches and media servers added. Any token may be a method, but
// only these begin a message where the version is missing or its place is lost.
var methods = []string{
	"GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE",
	"ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "COPY", "LABEL", "LINK", "LOCK", "MERGE",
	"MKACTIVITY", "MKCALENDAR", "MKCOL", "MKREDIRECTREF", "MKWORKSPACE", "MOVE", "ORDERPATCH", "PRI",
	"PROPFIND", "PROPPATCH", "QUERY", "REBIND", "REPORT", "SEARCH", "UNBIND", "UNCHECKOUT", "UNLINK",
	"UNLOCK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL",
	"BAN", "M-SEARCH", "NOTIFY", "PURGE", "SOURCE", "SUBSCRIBE", "UNSUBSCRIBE",
	"BCOPY", "BDELETE", "BMOVE", "BPROPFIND", "BPROPPATCH", "POLL", "RPC_IN_DATA", "RPC_OUT_DATA",
}

const maxMethod = 32

func registered(method []byte) bool {
	for _, m := range methods {
		if string(method) == m {
			return true
		}
	}
	return false
}

// tchar is the set of token characters (RFC 9110 §5.6.2).
var tchar = func() (t [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
		t[c] = true
	}
	return
}()

// span is a piece of a line by its offsets, so that it survives a copy.
type span struct{ from, to int }

func (s span) of(b []byte) []byte { return b[s.from:s.to:s.to] }

// start is a start line: of a request or of a response.
type start struct {
	method, target span
	status         int
	reason         span
	proto          capture.Proto
	flaws          capture.Flaw
	versionless    bool // HTTP/0.9: perhaps the whole of the request
}

// trimEOL takes the line end off a line and says what was odd about it.
func trimEOL(line []byte) ([]byte, capture.Flaw) {
	n := len(line)
	if n > 0 && line[n-1] == '\n' {
		if n--; n > 0 && line[n-1] == '\r' {
			return line[:n-1], 0
		}
		return line[:n], capture.FlawBareLF
	}
	return line, 0
}

// requestLine reads a whole line, its end included. It says No to what no HTTP
// server would take for a request.
func requestLine(line []byte) (s start, ok bool) {
	line, s.flaws = trimEOL(line)
	for len(line) > 0 && line[len(line)-1] == ' ' {
		line = line[:len(line)-1]
		s.flaws |= capture.FlawStartLine
	}
	n := 0
	for n < len(line) && tchar[line[n]] {
		n++
	}
	if n == 0 || n > maxMethod || n == len(line) || line[n] != ' ' {
		return s, false
	}
	s.method = span{0, n}
	known := registered(line[:n])
	if !known {
		s.flaws |= capture.FlawStartLine
	}
	from := n + 1
	for from < len(line) && line[from] == ' ' {
		from++
		s.flaws |= capture.FlawStartLine
	}
	if from == len(line) {
		return s, false
	}
	rest := line[from:]
	space := bytes.LastIndexByte(rest, ' ')
	version := rest[space+1:]
	target := rest
	switch {
	case space > 0 && bytes.HasPrefix(version, []byte("HTTP/")):
		target = rest[:space]
		for len(target) > 0 && target[len(target)-1] == ' ' {
			target = target[:len(target)-1]
			s.flaws |= capture.FlawStartLine
		}
		s.proto = proto(version)
		switch s.proto {
		case capture.HTTP2: // a connection preface is package http2's
			return s, false
		case capture.HTTPX:
			s.flaws |= capture.FlawVersion
		case capture.HTTP09:
			s.flaws |= capture.FlawVersion | capture.FlawHTTP09
		}
	case known && space < 0 && bytes.HasPrefix(rest, []byte("HTTP/")):
		s.proto = capture.HTTPX
		s.flaws |= capture.FlawStartLine | capture.FlawTarget
	case known && space < 0 && (rest[0] == '/' || hasScheme(rest)):
		s.proto = capture.HTTPX
		s.flaws |= capture.FlawHTTP09
		s.versionless = true
	default:
		return s, false
	}
	// Words behind the target: most servers take the first, so do we.
	if i := bytes.IndexByte(target, ' '); i >= 0 {
		target = target[:i]
		s.flaws |= capture.FlawTarget | capture.FlawStartLine
	}
	s.target = span{from, from + len(target)}
	for _, c := range target {
		if c < ' ' || c >= 0x7f {
			s.flaws |= capture.FlawTarget
		}
	}
	switch {
	case target[0] == '/', hasScheme(target), len(target) == 1 && target[0] == '*':
	case string(line[:n]) == "CONNECT":
	default:
		s.flaws |= capture.FlawTarget
	}
	// An unknown word before something that is no target: prose.
	return s, known || s.flaws&capture.FlawTarget == 0
}

// hasScheme says that target is in absolute form.
func hasScheme(target []byte) bool {
	i := bytes.IndexByte(target, ':')
	if i < 1 || len(target) < i+3 || target[i+1] != '/' || target[i+2] != '/' {
		return false
	}
	for _, c := range target[:i] {
		if !tchar[c] {
			return false
		}
	}
	return true
}

func proto(version []byte) capture.Proto {
	switch string(version) {
	case "HTTP/1.1":
		return capture.HTTP11
	case "HTTP/1.0":
		return capture.HTTP10
	case "HTTP/0.9":
		return capture.HTTP09
	case "HTTP/2.0":
		return capture.HTTP2
	}
	return capture.HTTPX
}

// statusLine reads a whole line, its end included.
func statusLine(line []byte) (s start, ok bool) {
	line, s.flaws = trimEOL(line)
	i := 4
	switch {
	case len(line) >= 5 && capture.EqualFold(line[:5], "http/"):
		i = 5
		for i < len(line) && ('0' <= line[i] && line[i] <= '9' || line[i] == '.') {
			i++
		}
		s.proto = proto(line[:i])
		switch s.proto {
		case capture.HTTPX, capture.HTTP2:
			s.proto = capture.HTTPX
			s.flaws |= capture.FlawVersion
		case capture.HTTP09:
			s.flaws |= capture.FlawVersion | capture.FlawHTTP09
		}
	case bytes.HasPrefix(line, []byte("ICY ")): // what SHOUTcast servers say
		i = 3
		s.proto = capture.HTTPX
		s.flaws |= capture.FlawVersion
	default:
		return s, false
	}
	from := i
	for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
		i++
	}
	if i-from != 1 || line[from] != ' ' {
		s.flaws |= capture.FlawStartLine
	}
	if i == from || i+3 > len(line) {
		return s, false
	}
	for _, c := range line[i : i+3] {
		if c < '0' || '9' < c {
			return s, false
		}
		s.status = s.status*10 + int(c-'0')
	}
	i += 3
	if s.status < 100 {
		return s, false
	}
	switch {
	case i == len(line):
		s.reason = span{i, i}
	case line[i] == ' ':
		s.reason = span{i + 1, len(line)}
	case '0' <= line[i] && line[i] <= '9':
		return s, false
	default:
		s.reason = span{i, len(line)}
		s.flaws |= capture.FlawStartLine
	}
	if bytes.IndexByte(line, '\r') >= 0 {
		s.flaws |= capture.FlawBareCR
	}
	return s, true
}

// plausible judges the beginning of a line that is not complete yet, so that
// bytes which can never be a start line are not collected.
func plausible(d capture.Dir, b []byte) bool {
	if d == capture.ToClient {
		return capture.EqualFold(b[:min(len(b), 5)], "http/"[:min(len(b), 5)]) || prefixes(b, "ICY ")
	}
	for i, c := range b {
		if c == ' ' {
			return i > 0 && i <= maxMethod
		}
		if !tchar[c] {
			return false
		}
	}
	return len(b) <= maxMethod
}

// prefixes says that b and s agree as far as both go.
func prefixes(b []byte, s string) bool {
	n := min(len(b), len(s))
	return string(b[:n]) == s[:n]
}

// resync looks for a start line at the end of a line whose beginning is
// something else: the end of a body of which we lost count. It returns the
// offset, or -1. It is stricter than the readers above: a start line must be of
// HTTP/1.0 or 1.1 and complete. midline says that line begins inside a line, so
// that nothing begins at its first byte.
func resync(d capture.Dir, line []byte, midline bool) int {
	text, _ := trimEOL(line)
	if d == capture.ToClient {
		i := bytes.LastIndex(text, []byte("HTTP/1."))
		if i < 0 || len(text) < i+12 || !opens(text, i, midline) {
			return -1
		}
		if s, ok := statusLine(line[i:]); !ok || s.flaws&^capture.FlawBareLF != 0 || s.status > 599 {
			return -1
		}
		for _, c := range text[i:] {
			if c < ' ' {
				return -1
			}
		}
		return i
	}
	n := len(text) - len(" HTTP/1.1")
	if n < len("GET /") || string(text[n:n+8]) != " HTTP/1." || text[n+8]&^1 != '0' {
		return -1
	}
	space := bytes.LastIndexByte(text[:n], ' ')
	if space < 1 || space+1 == n {
		return -1
	}
	for _, c := range text[space+1 : n] {
		if c <= ' ' || c == 0x7f {
			return -1
		}
	}
	best := -1
	for _, m := range methods {
		i := space - len(m)
		if i >= 0 && string(text[i:space]) == m && opens(text, i, midline) && (best < 0 || i < best) {
			best = i
		}
	}
	if best < 0 {
		return -1
	}
	if s, ok := requestLine(line[best:]); !ok || s.flaws&capture.FlawTarget != 0 {
		return -1
	}
	return best
}

// opens says that a message may begin at offset i of text: prose that quotes a
// start line has a space, a quote or a bracket before it.
func opens(text []byte, i int, midline bool) bool {
	if i == 0 {
		return !midline
	}
	switch c := text[i-1]; c {
	case ' ', '\t', '"', '\'', '`', '(', ':', '=', '/':
		return false
	}
	return true
}

// sniffed is how much of a line is enough to believe a registered method.
const sniffed = 256

// sniff is the Sniff of the row. It is strict: it says Yes to a start line only.
func sniff(d capture.Dir, b []byte, midstream bool) capture.Verdict {
	first := true
	for len(b) > 0 {
		if first && (b[0] == '\r' || b[0] == '\n') {
			b = b[1:]
			continue
		}
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			if first {
				return sniffPart(d, b, midstream)
			}
			return capture.Maybe
		}
		line := b[:i+1]
		if first {
			var s start
			var ok bool
			if d == capture.ToServer {
				s, ok = requestLine(line)
			} else {
				s, ok = statusLine(line)
			}
			switch {
			case ok && s.versionless && !midstream:
				// Believed like any other head: once it ends with an empty line.
				if end, _ := headEnd(b, i); end < 0 {
					return capture.Maybe
				}
				return capture.Yes
			case ok && !s.versionless:
				return capture.Yes
			}
			if !midstream {
				return capture.No
			}
		}
		if resync(d, line, false) >= 0 {
			return capture.Yes
		}
		first = false
		b = b[i+1:]
	}
	return capture.Maybe
}

// sniffPart judges a first line that has no end yet.
func sniffPart(d capture.Dir, b []byte, midstream bool) capture.Verdict {
	if !plausible(d, b) {
		if midstream {
			return capture.Maybe
		}
		return capture.No
	}
	if d == capture.ToClient {
		if _, ok := statusLine(b); ok && len(b) > len("HTTP/1.1 200") {
			return capture.Yes
		}
		return capture.Maybe
	}
	i := bytes.IndexByte(b, ' ')
	if i < 0 {
		return capture.Maybe
	}
	for _, c := range b[i:] {
		if c < ' ' && c != '\r' && c != '\t' || c == 0x7f {
			return capture.No
		}
	}
	if len(b) >= sniffed && registered(b[:i]) && (b[i+1] == '/' || hasScheme(b[i+1:])) {
		return capture.Yes
	}
	return capture.Maybe
}
