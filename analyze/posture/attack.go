package posture

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"plainsight/analyze"
)

// family is the interpreter that a value of a request is written for.
type family uint8

const (
	forSQL family = iota
	forNoSQL
	forShell
	forTemplate
	forLDAP
	forXPath
	forExpression // EL, OGNL, SpEL
	forBrowser
	forFiles
	forFetcher
	forDeserializer
	forEntities // external entities of XML
	forExpansion
	forLogger // ${jndi:…}, Shellshock, Struts
	forPrototype
	forHeaders // line breaks that would end a header
)

// attack is a value of a request that parses as something an interpreter would
// act on. text is borrowed.
type attack struct {
	family  family
	place   analyze.Place
	text    []byte
	calls   bool          // it names something to run, or a target that matters
	delay   time.Duration // that it asks for
	product int           // what it asks to be computed, 0 if nothing
	element uint64        // of markup: hash of what would run, 0: of a part of an element
}

const maxAttacks = 16 // of one request; a scanner sends one at a time

// Classes of bytes. What has none of them cannot be an attack: the cheap test
// that all values pass through.
const (
	quoteByte = 1 << iota
	angleByte
	joinByte   // ; | & ` and line ends
	braceByte  // { and (
	dotByte    // . and \
	colonByte  // of URLs and serialised objects
	spaceByte  // between words
	percent    // still encoded
	marks      = quoteByte | angleByte | joinByte | braceByte
	longPrefix = 16
)

var byteClass = func() (t [256]uint8) {
	for c, bits := range map[byte]uint8{'\'': quoteByte, '"': quoteByte, '`': quoteByte | joinByte, '<': angleByte, ';': joinByte, '|': joinByte, '&': joinByte, '\n': joinByte, '\r': joinByte,
		'{': braceByte, '(': braceByte, ')': braceByte, '.': dotByte, '\\': dotByte, ':': colonByte, ' ': spaceByte, '\t': spaceByte, '+': spaceByte, '/': colonByte, '%': percent, '#': quoteByte, '*': spaceByte} {
		t[c] |= bits
	}
	return t
}()

// value judges a value of the request, decoded once. name is as captured.
func (o *Observation) value(where analyze.Where, name, text []byte) {
	if len(text) < 3 || len(o.attacks) >= maxAttacks {
		return
	}
	head := prefix(text, 4096)
	bits := uint8(0)
	for _, c := range head {
		bits |= byteClass[c]
	}
	if bits == 0 {
		if len(head) >= longPrefix && serialised(head) {
			o.attacked(attack{family: forDeserializer, text: head}, where, name)
		}
		return
	}
	before := len(o.attacks)
	o.judge(where, name, head, bits)
	// A value that was encoded twice means something only to whoever decodes twice.
	if bits&percent != 0 && len(o.attacks) == before {
		again := o.r.unescape(head)
		if len(again) < len(head) {
			bits = 0
			for _, c := range again {
				bits |= byteClass[c]
			}
			o.judge(where, name, again, bits)
		}
	}
}

// unescape undoes one layer of percent-encoding into the reader's buffer.
func (r *Reader) unescape(b []byte) []byte {
	out := r.plain[:0]
	for i := 0; i < len(b); i++ {
		if b[i] == '%' && i+2 < len(b) {
			if n, err := strconv.ParseUint(string(b[i+1:i+3]), 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, b[i])
	}
	r.plain = out
	return bytes.Clone(out) // it outlives the call, and is rare
}

// judge asks the grammars whose bytes are there.
func (o *Observation) judge(where analyze.Where, name, text []byte, bits uint8) {
	if bits&(quoteByte|joinByte|braceByte|spaceByte) != 0 {
		switch {
		case bits&quoteByte != 0 && xpathAttack(text):
			o.attacked(attack{family: forXPath, text: text}, where, name)
		case bits&quoteByte != 0 && scriptAttack(text):
			o.attacked(attack{family: forNoSQL, text: text}, where, name)
		default:
			if a := sqlAttack(text); a != nil {
				o.attacked(*a, where, name)
			}
		}
	}
	if bits&(joinByte|braceByte) != 0 {
		if ok, delay := shellAttack(text); ok {
			o.attacked(attack{family: forShell, text: text, delay: delay}, where, name)
		}
	}
	if bits&(braceByte|angleByte) != 0 {
		o.braces(where, name, text)
	}
	if bits&braceByte != 0 {
		if ldapAttack(text) {
			o.attacked(attack{family: forLDAP, text: text}, where, name)
		}
	}
	if bits&(angleByte|quoteByte) != 0 {
		if at := activeMarkup(text); at >= 0 {
			a := attack{family: forBrowser, text: text}
			if text[at] == '<' {
				a.element = running(text[at:])
			}
			o.attacked(a, where, name)
		}
	}
	if bits&(dotByte|colonByte) != 0 && pathAttack(text) {
		o.attacked(attack{family: forFiles, text: text}, where, name)
	}
	if bits&colonByte != 0 {
		if target := innerTarget(text, o.Peer); target > 0 && !returnName(name) {
			o.attacked(attack{family: forFetcher, text: text, calls: target > 1}, where, name)
		}
	}
	if serialised(text) {
		o.attacked(attack{family: forDeserializer, text: text, calls: runs(text)}, where, name)
	}
	if bits&joinByte != 0 && where != analyze.InBody && injectedHeader(text) != nil {
		o.attacked(attack{family: forHeaders, text: text}, where, name)
	}
}

// braces judges templates and lookups.
func (o *Observation) braces(where analyze.Where, name, text []byte) {
	if bytes.IndexByte(text, '{') < 0 && !bytes.Contains(text, []byte("<%")) {
		return
	}
	switch {
	case lookup(text), bytes.HasPrefix(text, []byte("() {")):
		o.attacked(attack{family: forLogger, text: text}, where, name)
	case expression(text):
		o.attacked(attack{family: forExpression, text: text}, where, name)
	default:
		if ok, product := template(text); ok {
			o.attacked(attack{family: forTemplate, text: text, product: product}, where, name)
		}
	}
}

func (o *Observation) attacked(a attack, where analyze.Where, name []byte) {
	if len(o.attacks) >= maxAttacks {
		return
	}
	a.place = analyze.Place{Side: analyze.Request, Where: where, Name: analyze.Name(name)}
	o.attacks = append(o.attacks, a)
}

// Segment takes a segment of the path, percent-decoded. i counts from 0.
func (o *Observation) Segment(i int, text []byte) {
	if len(text) > 8 {
		o.value(analyze.InPath, strconv.AppendInt(o.r.number[:0], int64(i), 10), text)
	}
}

// Text takes a string of the request's body. field is its last name.
func (o *Observation) Text(field, text []byte) {
	if len(text) < 3 {
		return
	}
	if string(field) == "query" && bytes.IndexByte(text, '{') >= 0 && o.gql.operations < 10000 {
		o.gql.read(text)
		return // GraphQL is its own language; its arguments are not parsed here
	}
	before := len(o.attacks)
	o.value(analyze.InBody, field, text)
	for i := before; i < len(o.attacks); i++ {
		o.attacks[i].text = bytes.Clone(o.attacks[i].text) // the walker's buffer moves on
		o.attacks[i].place.Name = "$.." + o.attacks[i].place.Name
	}
}

// Key takes a name of the request's body or query and the name above it.
func (o *Observation) Key(where analyze.Where, above, name []byte) {
	if len(name) < 3 || len(o.attacks) >= maxAttacks {
		return
	}
	shown := name
	switch {
	case string(name) == "__proto__", string(name) == "prototype" && string(above) == "constructor":
		o.attacked(attack{family: forPrototype, text: name}, where, name)
		return
	case name[0] == '$' && operator(name):
		shown = above
	case name[len(name)-1] == ']':
		i := bytes.IndexByte(name, '[')
		if i < 0 {
			return
		}
		inner := name[i+1 : len(name)-1]
		if string(name[:i]) == "__proto__" || string(name[:i]) == "constructor" && bytes.HasPrefix(inner, []byte("prototype")) {
			o.attacked(attack{family: forPrototype, text: name}, where, name[:i])
			return
		}
		if !operator(inner) {
			return
		}
		above, shown, name = name[:i], name[:i], inner
	default:
		return
	}
	if where == analyze.InBody && len(shown) > 0 {
		shown = append([]byte("$.."), shown...)
	}
	if string(name) == "$where" || credentialName(above) {
		o.attacked(attack{family: forNoSQL, text: bytes.Clone(name)}, where, shown)
	}
}

func operator(name []byte) bool {
	switch string(name) {
	case "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$regex", "$where", "$exists", "$not", "$expr":
		return true
	}
	return false
}

// credentialName tells fields that hold one plain value and never a query.
func credentialName(name []byte) bool {
	var low [24]byte
	switch string(lower(&low, name)) {
	case "user", "username", "login", "email", "password", "passwd", "pass", "pwd", "pin", "token", "otp", "code", "api_key", "apikey", "secret", "user_id", "userid":
		return true
	}
	return false
}

// returnName tells parameters that say where a browser goes back to: its own
// machine, while people develop.
func returnName(name []byte) bool {
	switch n := strings.ToLower(string(prefix(name, 32))); n {
	case "redirect_uri", "redirect_url", "redirect", "return", "returnto", "return_to", "returnurl", "return_url", "next", "origin", "referer", "referrer", "base_url", "issuer", "post_logout_redirect_uri":
		return true
	}
	return false
}

// Tokens of SQL, as far as structure needs them.
type sqlToken uint8

const (
	sqlWord sqlToken = iota
	sqlNumber
	sqlQuote
	sqlCompare
	sqlComment
	sqlSemicolon
	sqlOpen
	sqlClose
	sqlOr // ||, &&
	sqlOther
)

type sqlPart struct {
	kind sqlToken
	text []byte
}

const maxSQL = 96 // tokens looked at

// sqlAttack parses text as what stands in the middle of a statement: it must
// leave the place of a literal (a quote that opens none of its own, or a number)
// and go on as SQL. Words alone are never enough.
func sqlAttack(text []byte) *attack {
	first := text
	for len(first) > 0 && (first[0] == ' ' || first[0] == '-' || first[0] == '+' || first[0] == '(') {
		first = first[1:]
	}
	if len(first) == 0 || !digit(first[0]) && bytes.IndexByte(text, '\'') < 0 && bytes.IndexByte(text, '"') < 0 && bytes.IndexByte(text, ';') < 0 {
		return nil
	}
	var buf [maxSQL]sqlPart
	parts, quotes := sqlParts(buf[:0], text)
	broken := quotes%2 == 1
	for i, p := range parts {
		next := func(n int) sqlPart {
			if i+n < len(parts) {
				return parts[i+n]
			}
			return sqlPart{kind: sqlOther}
		}
		quoted := quoteBefore(parts[:i])
		left := i == 0 || quoted || numberOnly(parts[:i])
		switch p.kind {
		case sqlQuote:
			// admin'-- and ') #
			j := i + 1
			for j < len(parts) && (parts[j].kind == sqlClose || parts[j].kind == sqlSemicolon) {
				j++
			}
			if broken && j < len(parts) && parts[j].kind == sqlComment && j == len(parts)-1 && (len(parts[j].text) > 1 || j-i <= 2) {
				return &attack{family: forSQL, text: text}
			}
		case sqlSemicolon:
			if (left || endsInComment(parts)) && i > 0 && next(1).kind == sqlWord && statement(next(1).text, next(2)) {
				return &attack{family: forSQL, text: text, calls: true, delay: sqlDelay(text)}
			}
		case sqlOr:
			if i > 0 && left && tautology(parts[i+1:]) {
				return &attack{family: forSQL, text: text}
			}
		case sqlWord:
			var low [24]byte
			switch string(lower(&low, p.text)) {
			case "or", "and", "having", "where":
				if i == 0 || !left {
					break
				}
				rest := parts[i+1:]
				if quoted && tautology(rest) || numberOnly(parts[:i]) && sameBoth(rest) || broken && endsInComment(parts) && comparison(rest) {
					return &attack{family: forSQL, text: text, delay: sqlDelay(text)}
				}
				if (quoted || numberOnly(parts[:i])) && next(1).kind == sqlWord && timing(next(1).text) && next(2).kind == sqlOpen || next(1).kind == sqlOpen && next(2).kind == sqlWord && strings.EqualFold(string(next(2).text), "select") {
					return &attack{family: forSQL, text: text, delay: sqlDelay(text)}
				}
			case "union":
				n := 1
				if w := next(1); w.kind == sqlWord && (strings.EqualFold(string(w.text), "all") || strings.EqualFold(string(w.text), "distinct")) {
					n = 2
				}
				if w := next(n); i > 0 && w.kind == sqlWord && strings.EqualFold(string(w.text), "select") && (left || endsInComment(parts) || next(n+1).kind == sqlNumber) {
					return &attack{family: forSQL, text: text, calls: true}
				}
			case "order", "group":
				if broken && left && i > 0 && strings.EqualFold(string(next(1).text), "by") && next(2).kind == sqlNumber && endsInComment(parts) {
					return &attack{family: forSQL, text: text}
				}
			case "waitfor":
				if i > 0 && strings.EqualFold(string(next(1).text), "delay") {
					return &attack{family: forSQL, text: text, delay: sqlDelay(text)}
				}
			default:
				if i > 0 && left && broken && timing(p.text) && next(1).kind == sqlOpen {
					return &attack{family: forSQL, text: text, delay: sqlDelay(text)}
				}
			}
		}
	}
	return nil
}

// lower writes the beginning of a word in lower case.
func lower(buf *[24]byte, b []byte) []byte {
	b = prefix(b, len(buf))
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		buf[i] = c
	}
	return buf[:len(b)]
}

func sqlParts(parts []sqlPart, b []byte) (_ []sqlPart, quotes int) {
	for i := 0; i < len(b) && len(parts) < maxSQL; {
		c := b[i]
		n, kind := 1, sqlOther
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '+':
			i++
			continue
		case c == '\'' || c == '"':
			// An apostrophe inside a word is one (O'Brien, don't).
			if c == '\'' && i > 0 && i+1 < len(b) && letter(b[i-1]) && letter(b[i+1]) {
				i++
				continue
			}
			kind = sqlQuote
			quotes++
		case c == '-' && i+1 < len(b) && b[i+1] == '-', c == '#', c == '/' && i+1 < len(b) && b[i+1] == '*':
			kind = sqlComment
			if c == '/' {
				end := bytes.Index(b[i+2:], []byte("*/"))
				if end >= 0 && i+2+end+2 < len(b) { // a comment instead of a space
					i += 2 + end + 2
					continue
				}
			}
			n = len(b) - i
			if rest := bytes.TrimLeft(b[i:], "-# \t"); len(rest) > 12 { // prose goes on after a dash
				n = 1
				kind = sqlOther
			}
		case c == '=' || c == '<' || c == '>' || c == '!':
			kind = sqlCompare
			for i+n < len(b) && (b[i+n] == '=' || b[i+n] == '>') {
				n++
			}
		case c == ';':
			kind = sqlSemicolon
		case c == '(':
			kind = sqlOpen
		case c == ')':
			kind = sqlClose
		case (c == '|' || c == '&') && i+1 < len(b) && b[i+1] == c:
			kind, n = sqlOr, 2
		case '0' <= c && c <= '9':
			kind = sqlNumber
			for i+n < len(b) && (alnumByte(b[i+n]) || b[i+n] == '.') {
				n++
			}
		case letter(c) || c == '_' || c == '@':
			kind = sqlWord
			for i+n < len(b) && (alnumByte(b[i+n]) || b[i+n] == '_' || b[i+n] == '@') {
				n++
			}
		}
		parts = append(parts, sqlPart{kind, b[i : i+n]})
		i += n
	}
	return parts, quotes
}

func letter(c byte) bool    { return 'a' <= c|0x20 && c|0x20 <= 'z' || c >= 0x80 }
func alnumByte(c byte) bool { return letter(c) || '0' <= c && c <= '9' }

func quoteBefore(parts []sqlPart) bool {
	for i := len(parts) - 1; i >= 0; i-- {
		switch parts[i].kind {
		case sqlQuote:
			return true
		case sqlClose, sqlSemicolon, sqlNumber:
		default:
			return false
		}
	}
	return false
}

func numberOnly(parts []sqlPart) bool {
	return len(parts) > 0 && len(parts) <= 2 && parts[0].kind == sqlNumber && (len(parts) == 1 || parts[1].kind == sqlClose)
}

func endsInComment(parts []sqlPart) bool {
	return len(parts) > 0 && parts[len(parts)-1].kind == sqlComment
}

// operand measures a literal: 1, 'a, 'a', "", true.
func operand(parts []sqlPart) (text []byte, n int) {
	if len(parts) == 0 {
		return nil, 0
	}
	switch p := parts[0]; p.kind {
	case sqlOpen:
		t, n := operand(parts[1:])
		if n == 0 {
			return nil, 0
		}
		return t, n + 1
	case sqlNumber:
		return p.text, 1
	case sqlWord:
		if strings.EqualFold(string(p.text), "true") {
			return p.text, 1
		}
	case sqlQuote:
		n := 1
		if n < len(parts) && (parts[n].kind == sqlWord || parts[n].kind == sqlNumber) {
			text = parts[n].text
			n++
		}
		if n < len(parts) && parts[n].kind == sqlQuote {
			n++
		}
		return text, n
	}
	return nil, 0
}

// tautology reports whether parts begin with a comparison of two literals.
func tautology(parts []sqlPart) bool {
	_, n := operand(parts)
	if n == 0 || n >= len(parts) {
		return n > 0 && parts[0].kind == sqlWord // or true
	}
	if n < len(parts) && parts[n].kind == sqlComment {
		return true
	}
	if parts[n].kind != sqlCompare && !(parts[n].kind == sqlWord && strings.EqualFold(string(parts[n].text), "like")) {
		return false
	}
	_, m := operand(parts[n+1:])
	return m > 0
}

// sameBoth is a tautology of two equal numbers: what stands alone behind a
// number could otherwise be arithmetic in prose.
func sameBoth(parts []sqlPart) bool {
	a, n := operand(parts)
	if n == 0 || n+1 >= len(parts) || parts[n].kind != sqlCompare {
		return false
	}
	b, m := operand(parts[n+1:])
	return m > 0 && bytes.Equal(a, b) || m > 0 && endsInComment(parts)
}

func comparison(parts []sqlPart) bool {
	for i, p := range parts {
		if p.kind == sqlCompare || i < 4 && p.kind == sqlWord && (strings.EqualFold(string(p.text), "like") || strings.EqualFold(string(p.text), "is")) {
			return true
		}
	}
	return false
}

func statement(word []byte, next sqlPart) bool {
	var low, low2 [24]byte
	switch string(lower(&low, word)) {
	case "drop", "alter", "create", "truncate":
		switch string(lower(&low2, next.text)) {
		case "table", "database", "user", "schema", "view", "index", "function":
			return true
		}
	case "insert":
		return strings.EqualFold(string(next.text), "into")
	case "delete":
		return strings.EqualFold(string(next.text), "from")
	case "update", "select", "exec", "execute", "declare", "shutdown":
		return next.kind == sqlWord || next.kind == sqlOther || next.kind == sqlComment || next.kind == sqlNumber
	case "waitfor":
		return true
	}
	return false
}

func timing(word []byte) bool {
	var low [24]byte
	switch string(lower(&low, word)) {
	case "sleep", "pg_sleep", "benchmark", "randomblob", "extractvalue", "updatexml", "load_file":
		return true
	}
	return false
}

// sqlDelay is how long a payload asks the database to wait.
func sqlDelay(text []byte) time.Duration {
	lower := strings.ToLower(string(text))
	for _, w := range []string{"sleep(", "delay '0:0:", "delay '00:00:"} {
		if i := strings.Index(lower, w); i >= 0 {
			return seconds([]byte(lower[i+len(w):]))
		}
	}
	return 0
}

func seconds(b []byte) time.Duration {
	n := 0
	for i, c := range b {
		if c < '0' || c > '9' || i > 2 {
			break
		}
		n = n*10 + int(c-'0')
	}
	return time.Duration(n) * time.Second
}

func containsAny(text []byte, list ...string) bool {
	for _, s := range list {
		if bytes.Contains(text, []byte(s)) {
			return true
		}
	}
	return false
}

func xpathAttack(text []byte) bool {
	if bytes.IndexByte(text, '\'') < 0 && bytes.IndexByte(text, '"') < 0 || bytes.IndexByte(text, '=') < 0 && bytes.IndexByte(text, ']') < 0 && bytes.IndexByte(text, '*') < 0 {
		return false
	}
	return containsAny(text, "]|//", "] | //", "or count(/", "or name()=", "and count(/", "or string-length(name(", "and substring(name(", "or substring(name(", "or contains(name(", "and string-length(//", "']/*", "or position()=")
}

// scriptAttack is JavaScript that leaves a string inside a query of a document
// store.
func scriptAttack(text []byte) bool {
	if len(text) < 8 || bytes.IndexByte(text, ';') < 0 && bytes.IndexByte(text, '|') < 0 && bytes.IndexByte(text, '&') < 0 || text[0] != '\'' && text[0] != '"' && !containsAny(text, "';", "' ||", "'||", "\";") {
		return false
	}
	return containsAny(text, "return true", "return(true", "this.password", "this.constructor", "sleep(", "||'1'=='1", "|| '1'=='1", "|| 1==1", "||1==1", "process.", "'||'a'=='a") && containsAny(text, ";", "||", "&&")
}

// Commands of a shell. Those of the second list are also words and need
// something behind them that only a command has.
var (
	commands = words("whoami", "uname", "ifconfig", "ipconfig", "nslookup", "wget", "curl", "powershell", "netstat", "printenv", "tcpdump", "ncat", "netcat", "systeminfo")
	homonyms = words("cat", "ls", "id", "sleep", "ping", "nc", "bash", "sh", "cmd", "dir", "type", "rm", "touch", "echo", "python", "python3", "perl", "env", "hostname", "ps", "dig", "head", "tail", "timeout", "php", "ruby", "chmod", "cmd.exe", "/bin/sh", "/bin/bash", "/bin/cat", "/usr/bin/id", "/usr/bin/whoami")
)

// shellAttack finds a command behind what ends another: ; | && || a line end, or
// in $(…) and backquotes.
func shellAttack(text []byte) (bool, time.Duration) {
	for i := 0; i < len(text); i++ {
		rest := text[i+1:]
		inside := byte(0)
		switch text[i] {
		case ';', '\n':
		case '|', '&':
			for len(rest) > 0 && rest[0] == text[i] {
				rest = rest[1:]
			}
		case '`':
			if bytes.IndexByte(rest, '`') < 0 {
				continue
			}
			inside = '`'
		case '$':
			if len(rest) == 0 || rest[0] != '(' || bytes.IndexByte(rest, ')') < 0 {
				continue
			}
			rest, inside = rest[1:], ')'
		default:
			continue
		}
		rest = bytes.TrimLeft(rest, " \t")
		n := 0
		for n < len(rest) && n < 20 && (alnumByte(rest[n]) || rest[n] == '/' || rest[n] == '.') {
			n++
		}
		if n == 0 {
			continue
		}
		var low [24]byte
		word, args := lower(&low, rest[:n]), rest[n:]
		spaced := len(args) > 1 && (args[0] == ' ' || args[0] == '\t' || bytes.HasPrefix(args, []byte("${IFS}")) || args[0] == '+')
		args = bytes.TrimLeft(bytes.TrimPrefix(args, []byte("${IFS}")), " \t+")
		ends := len(args) == 0 || args[0] == inside && inside != 0 || strings.IndexByte(";|&#>\n", args[0]) >= 0
		switch {
		case commands[string(word)]:
			if ends && (inside != 0 || text[i] != '|' && text[i] != '&' || i > 0 && text[i-1] == ' ' || len(text) > i+1 && text[i+1] == ' ' || i > 0 && text[i-1] == text[i]) || ends && (string(word) == "whoami" || string(word) == "ifconfig" || string(word) == "systeminfo" || string(word) == "printenv") ||
				spaced && (args[0] == '-' || args[0] == '/' || args[0] == '$' || bytes.Contains(prefix(args, 64), []byte("."))) {
				return true, 0
			}
		case homonyms[string(word)]:
			if ends && inside != 0 && len(word) <= 20 {
				return true, 0
			}
			if spaced && len(args) > 0 && (args[0] == '-' || args[0] == '/' || args[0] == '$' || args[0] == '>' || string(word) == "sleep" && '0' <= args[0] && args[0] <= '9' || (string(word) == "ping" || string(word) == "nc") && '0' <= args[0] && args[0] <= '9') {
				var delay time.Duration
				if string(word) == "sleep" {
					delay = seconds(args)
				}
				return true, delay
			}
		}
	}
	return false, 0
}

// template finds what a template engine would compute: arithmetic, or a way to
// its own objects. {{user.name}} is what people write into templates.
func template(text []byte) (bool, int) {
	for _, p := range [...][2]string{{"{{", "}}"}, {"${", "}"}, {"#{", "}"}, {"<%=", "%>"}, {"{%", "%}"}, {"@(", ")"}} {
		rest := text
		for {
			i := bytes.Index(rest, []byte(p[0]))
			if i < 0 {
				break
			}
			rest = rest[i+len(p[0]):]
			j := bytes.Index(rest, []byte(p[1]))
			if j < 0 || j > 512 {
				break
			}
			inner := bytes.TrimSpace(rest[:j])
			if product, ok := multiplication(inner); ok {
				return true, product
			}
			if p[0] != "@(" && containsAny(inner, "__class__", "__globals__", "__init__", "__import__", "__subclasses__", "constructor.constructor", "request.application", "config.items", "self._TemplateReference", "lipsum.", "cycler.", "freemarker.template", "system(", "popen(", "File.open", "`id`") {
				return true, 0
			}
		}
	}
	return false, 0
}

// multiplication reads 7*7, 7*'7'.
func multiplication(b []byte) (int, bool) {
	a, c, ok := bytes.Cut(b, []byte("*"))
	if !ok {
		return 0, false
	}
	x, err := strconv.Atoi(string(bytes.Trim(a, " '\"")))
	y, err2 := strconv.Atoi(string(bytes.Trim(c, " '\"")))
	if err != nil || err2 != nil || len(a) > 8 || len(c) > 8 {
		return 0, false
	}
	return x * y, true
}

func expression(text []byte) bool {
	if !containsAny(text, "${", "%{", "#{", "*{") {
		return false
	}
	return containsAny(text, "T(java.", "getRuntime", "java.lang.", "@java.", "#_memberAccess", "#context", "getClass()", ".forName(", "ProcessBuilder", "ScriptEngine", "#application", "pageContext.", "#parameters")
}

// lookup unfolds ${lower:j}, ${::-j} and ${env:X:-j} and looks for ${jndi:.
func lookup(text []byte) bool {
	i := bytes.Index(text, []byte("${"))
	if i < 0 || len(text) < 8 {
		return false
	}
	s := strings.ToLower(string(text[i:]))
	for range 5 {
		if strings.Contains(s, "${jndi:") {
			return true
		}
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return false
		}
		changed := false
		for from := 0; ; {
			end := strings.IndexByte(s[from:], '}')
			if end < 0 {
				break
			}
			end += from
			begin := strings.LastIndex(s[:end], "${")
			if begin < 0 {
				from = end + 1
				continue
			}
			inner := s[begin+2 : end]
			plain, ok := "", false
			if k := strings.LastIndex(inner, ":-"); k >= 0 {
				plain, ok = inner[k+2:], true
			} else if rest, found := strings.CutPrefix(inner, "lower:"); found {
				plain, ok = rest, true
			} else if rest, found := strings.CutPrefix(inner, "upper:"); found {
				plain, ok = rest, true
			}
			if !ok {
				from = end + 1
				continue
			}
			s = s[:begin] + plain + s[end+1:]
			from = 0
			changed = true
		}
		if !changed {
			break
		}
	}
	return strings.Contains(s, "${jndi:")
}

// ldapAttack closes a filter that it did not open and begins another.
func ldapAttack(text []byte) bool {
	open := 0
	for i, c := range text {
		switch c {
		case '(':
			open++
		case ')':
			if open--; open < 0 && i+2 < len(text) && text[i+1] == '(' {
				rest := text[i+2:]
				switch rest[0] {
				case '|', '&', '!':
					return true
				}
				j := bytes.IndexByte(rest, '=')
				return j > 0 && j < 24 && bytes.IndexByte(rest[:j], ' ') < 0
			}
		}
	}
	return false
}

// activeMarkup finds markup that runs something: a script, a handler, a frame,
// and the end of an attribute with a handler behind it. It returns where, -1 for
// nowhere. Formatted text (<b>, <p>, <a href>) does not run.
func activeMarkup(text []byte) int {
	if len(text) < 8 {
		return -1
	}
	for at := 0; at < len(text); {
		i := bytes.IndexByte(text[at:], '<')
		if i < 0 {
			break
		}
		at += i
		rest := text[at+1:]
		end := bytes.IndexByte(rest, '>')
		if end < 0 {
			end = len(rest)
		}
		n := 0
		for n < end && (alnumByte(rest[n]) || rest[n] == '!') {
			n++
		}
		var low [24]byte
		switch name := lower(&low, rest[:n]); {
		case n == 0:
		case string(name) == "script", string(name) == "iframe" && bytes.Contains(rest[:end], []byte("=")), string(name) == "object" && bytes.Contains(rest[:end], []byte("data=")), string(name) == "embed" && bytes.Contains(rest[:end], []byte("src=")):
			return at
		case letter(rest[0]) && (handler(rest[n:end]) || scriptURL(rest[n:end])):
			return at
		}
		at++
	}
	if i := bytes.IndexAny(text, `"'`); i >= 0 && bytes.IndexByte(text[i:], '=') > 0 && bytes.IndexByte(text, '<') < 0 {
		rest := text[i+1:]
		if len(rest) > 4 && (rest[0] == ' ' || rest[0] == '/') && handlerFirst(rest) {
			return i
		}
	}
	return -1
}

// handler reports whether attributes hold one like onerror=.
func handler(b []byte) bool {
	for i := 0; i+4 < len(b); i++ {
		if b[i] != ' ' && b[i] != '/' && b[i] != '\t' && b[i] != '\n' && b[i] != '"' && b[i] != '\'' {
			continue
		}
		if handlerFirst(b[i:]) {
			return true
		}
	}
	return false
}

func handlerFirst(b []byte) bool {
	b = bytes.TrimLeft(b, " /\t\r\n\"'")
	if len(b) < 6 || b[0]|0x20 != 'o' || b[1]|0x20 != 'n' {
		return false
	}
	n := 2
	for n < len(b) && n < 24 && letter(b[n]) {
		n++
	}
	b = bytes.TrimLeft(b[n:], " \t")
	return n >= 5 && len(b) > 1 && b[0] == '='
}

func scriptURL(b []byte) bool {
	i := bytes.IndexByte(b, ':')
	return i > 10 && strings.EqualFold(string(b[i-10:i]), "javascript")
}

// pathAttack climbs out of a directory or names a file that no client has
// business with.
func pathAttack(text []byte) bool {
	if len(text) > 1024 {
		return false
	}
	climbs := 0
	if bytes.Contains(text, []byte("..")) {
		climbs = bytes.Count(text, []byte("../")) + bytes.Count(text, []byte(`..\`))
	}
	if climbs > 0 && (climbs >= 3 || bytes.HasPrefix(text, []byte("../../")) || bytes.HasPrefix(text, []byte(`..\..\`))) && bytes.IndexByte(text, ' ') < 0 {
		return true
	}
	if climbs == 0 && (text[0] != '/' || !containsAny(prefix(text, 24), "/etc/", "/proc/", "/.", "/w", "/W")) && (bytes.IndexByte(prefix(text, 16), ':') < 0 || !containsAny(prefix(text, 16), "file:", "FILE:", "php:", "PHP:", "expect:", "C:\\", "c:\\")) {
		return false
	}
	lower := strings.ToLower(string(prefix(text, 256)))
	for _, s := range []string{"/etc/passwd", "/etc/shadow", "/etc/hosts", "/proc/self/", "\\windows\\win.ini", "/windows/win.ini", "boot.ini", "/.ssh/id_rsa", "/web-inf/web.xml", "/.aws/credentials"} {
		if strings.HasSuffix(lower, s) && (climbs > 0 || len(s) == len(lower)) || strings.HasSuffix(lower, s+"\x00") || s == "/proc/self/" && strings.HasPrefix(lower, s) {
			return true
		}
	}
	return strings.HasPrefix(lower, "file:///") || strings.HasPrefix(lower, "php://filter") || strings.HasPrefix(lower, "php://input") || strings.HasPrefix(lower, "expect://")
}

// innerTarget tells URLs that point where only the server can go: 1 for a
// private or loopback address, 2 for metadata services, odd notations and
// schemes; 0 for others. Between private peers private addresses are everyday.
func innerTarget(text []byte, peer Peer) int {
	if len(text) > 2048 {
		return 0
	}
	scheme, rest, ok := bytes.Cut(text, []byte("://"))
	if !ok || len(scheme) > 8 || len(scheme) == 0 || len(rest) == 0 {
		return 0
	}
	var low [24]byte
	switch string(lower(&low, scheme)) {
	case "gopher", "dict", "tftp", "ldap", "jar":
		return 2
	case "http", "https", "ftp":
	default:
		return 0
	}
	if i := bytes.IndexAny(rest, "/?#\\"); i >= 0 {
		rest = rest[:i]
	}
	if i := bytes.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	named := lower(&low, rest) // all that matters here is shorter
	if i := bytes.IndexByte(named, ':'); i > 0 && named[0] != '[' {
		named = named[:i]
	}
	switch string(named) {
	case "localhost", "metadata.google.internal", "metadata", "instance-data":
	default:
		if len(named) == 0 || named[0] != '[' && !digit(named[0]) {
			return 0 // a name
		}
	}
	host := strings.ToLower(hostOnly(string(rest)))
	host = strings.Trim(host, "[]")
	switch host {
	case "169.254.169.254", "metadata.google.internal", "metadata", "100.100.100.200", "fd00:ec2::254", "169.254.170.2", "instance-data":
		return 2
	case "localhost":
		if peer == Loopback {
			return 0
		}
		return 1
	}
	if a, err := netip.ParseAddr(host); err == nil {
		a = a.Unmap()
		switch {
		case a.IsLinkLocalUnicast():
			return 2
		case a.IsLoopback(), a.IsUnspecified():
			if peer == Loopback {
				return 0
			}
			return 1
		case a.IsPrivate() && peer == Public:
			return 1
		}
		return 0
	}
	if oddAddress(host) {
		return 2
	}
	return 0
}

// oddAddress tells addresses in decimal, octal or hexadecimal.
func oddAddress(host string) bool {
	if host == "" || strings.Trim(host, "0123456789.xabcdef") != "" {
		return false
	}
	if strings.HasPrefix(host, "0x") {
		_, err := strconv.ParseUint(strings.ReplaceAll(host[2:], ".0x", ""), 16, 64)
		return err == nil
	}
	if strings.Trim(host, "0123456789") == "" {
		return len(host) >= 8 && len(host) <= 10 // 2130706433
	}
	return strings.HasPrefix(host, "0") && strings.Trim(host, "0123456789.") == "" && strings.Count(host, ".") == 3
}

var serialForms = []string{"rO0AB", "AAEAAAD/////", "_$$ND_FUNC$$_", "!!python/", "!!javax.", "!!java.", "!ruby/object", "\xac\xed\x00\x05", "\x80\x04\x95", "\x80\x03c"}

// serialised tells serialised objects by how they begin.
func serialised(b []byte) bool {
	if len(b) < longPrefix {
		return false
	}
	switch b[0] {
	case 'r', 'A', '_', '!', 0xac, 0x80:
		for _, s := range serialForms {
			if bytes.HasPrefix(b, []byte(s)) {
				return true
			}
		}
	case 'g': // pickle, protocol 2 to 4
		return (bytes.HasPrefix(b, []byte("gASV")) || bytes.HasPrefix(b, []byte("gAN")) && (b[3] == 'j' || b[3] == 'c' || b[3] == '9')) && base64Text(b)
	case 'B': // Marshal of Ruby: a hash or an object; a signed cookie has its MAC behind --
		return (bytes.HasPrefix(b, []byte("BAhv")) || bytes.HasPrefix(b, []byte("BAhJ")) || bytes.HasPrefix(b, []byte("BAh7"))) && base64Text(b) && !bytes.Contains(b, []byte("--"))
	case 'O': // of PHP
		return b[1] == ':' && digit(b[2]) && bytes.Contains(prefix(b, 8), []byte(`:"`))
	case 'T':
		return bytes.HasPrefix(b, []byte("Tzo")) && (b[3] >= 'x' && b[3] <= 'z' || b[3] >= '0' && b[3] <= '5') && base64Text(b)
	case '{', '[':
		return containsAny(b, `{"rce":"_$$ND_FUNC$$_`, "_$$ND_FUNC$$_")
	}
	return false
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func base64Text(b []byte) bool {
	for _, c := range b {
		if !(alnumByte(c) && c < 0x80) && c != '+' && c != '/' && c != '=' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func runs(b []byte) bool {
	return containsAny(b, "exec", "Runtime", "system", "popen", "subprocess", "ProcessBuilder", "cnVudGltZ", "UnVudGltZ", "ZXhlY", "c3lzdGVt")
}

// injectedHeader returns the name of a header that a value would start after a
// line break, nil where it does not.
func injectedHeader(text []byte) []byte {
	i := bytes.IndexByte(text, '\n')
	if i < 0 || i+1 >= len(text) {
		return nil
	}
	if i == 0 || text[i-1] != '\r' {
		return nil
	}
	rest := text[i+1:]
	n := 0
	for n < len(rest) && n < 40 && (alnumByte(rest[n]) || rest[n] == '-') {
		n++
	}
	if n < 3 || n >= len(rest) || rest[n] != ':' {
		return nil
	}
	return rest[:n]
}

// skeleton shows how a payload is built without what is in it: words that are
// not of the attack's own language become a, digits 0.
func skeleton(text []byte) string {
	var b strings.Builder
	text = prefix(text, 160)
	for i := 0; i < len(text) && b.Len() < 80; {
		c := text[i]
		n := 1
		switch {
		case digit(c):
			for i+n < len(text) && digit(text[i+n]) {
				n++
			}
			b.WriteByte('0')
		case letter(c) || c == '_':
			for i+n < len(text) && (alnumByte(text[i+n]) || text[i+n] == '_') {
				n++
			}
			if w := strings.ToLower(string(prefix(text[i:i+n], 16))); grammarWords[w] {
				b.WriteString(w)
			} else {
				b.WriteByte('a')
			}
		default:
			b.WriteByte(c)
		}
		i += n
	}
	return analyze.Clean([]byte(b.String()))
}

var grammarWords = words("select", "union", "all", "or", "and", "from", "where", "sleep", "pg_sleep", "order", "by", "drop", "table", "insert", "into", "delete", "update", "waitfor", "delay", "like", "having",
	"script", "img", "svg", "iframe", "onerror", "onload", "src", "alert", "javascript", "jndi", "ldap", "rmi", "etc", "passwd", "http", "https", "file", "gopher", "cat", "id", "whoami", "curl", "wget", "true", "null", "localhost", "metadata")
