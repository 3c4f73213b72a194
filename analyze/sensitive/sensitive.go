// Package sensitive finds sensitive data in HTTP messages: personal data,
// cards, health data, credentials and secrets of known makers.
//
// It sees values with their name and place, never bodies: a value is told of
// by package inventory from a walk over a body (a [Scanner] is a
// [body.Visitor]) or from a header, a cookie or a target. The name gives hints
// or speaks against; one pass over the bytes says which finders can apply; a
// check digit or a structure decides. A strong shape reports alone, a weak one
// only under a telling name, which in a text is the words before it.
//
// What it reports is a masked sample and a keyed fingerprint, never a value.
// It keeps nothing between messages but a bounded cache of names.
package sensitive

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strconv"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/body"
)

// Options bound a scanner. The zero value has the defaults.
type Options struct {
	Key      analyze.Key // of fingerprints
	Names    int         // names whose class is cached, and places; 0: 4096
	Hits     int         // of a message; more are counted in [Scanner.Dropped]; 0: 1000
	Nested   int         // bytes of JSON inside a string that are walked; 0: 64 KiB
	Value    int         // bytes of one value that are looked at; 0: 1 MiB
	Pointers bool        // fill in Hit.Pointer
	Rules    *Rules      // of the user; nil: none
}

// Message says what a scanner is about to see.
type Message struct {
	Side analyze.Side
	Time time.Time // of the traffic; judges expiry and birth dates
}

// Flags of a hit.
type Flags uint8

// What is known of the value beside its kind.
const (
	Expired       Flags = 1 << iota // a token whose time was over
	Test                            // a test number of a card network, a test key of a maker
	Documentation                   // a value of documentation: example.com, AKIAIOSFODNN7EXAMPLE, 555-01xx
	Masked                          // it was masked already
)

// Hit is one finding. Its strings are owned and carry no value.
type Hit struct {
	Detector    *Detector
	Place       analyze.Place
	Pointer     string // RFC 6901, in scan mode only: it may hold captured names
	Mask        string
	Fingerprint string // see analyze.Key.Fingerprint; secrets share one kind, so that they join across places
	Length      int    // bytes
	Confidence  float32
	Flags       Flags
}

// Sample is the hit as evidence.
func (h *Hit) Sample() analyze.Sample {
	return analyze.Sample{Mask: h.Mask, Fingerprint: h.Fingerprint, Length: h.Length}
}

// Scanner finds sensitive data in one message after another. It is for one
// goroutine and reuses its space: it allocates only for what it finds. Make it
// with [NewScanner].
//
// As a [body.Visitor] it takes the walk over a body, between Reset and Hits.
type Scanner struct {
	// Dropped counts hits beyond Options.Hits, over all messages.
	Dropped uint64

	options Options
	message Message
	hits    []Hit
	tracker body.Tracker
	names   map[string]class
	places  map[string]string // as captured, and cleaned
	recent  [64][2]recent     // names of late; the same few come all the time
	finder  finder
	nested  nested
	mac     hash.Hash
	walker  body.Walker // of queries
	decoded []byte      // a percent-decoded value
	sum     []byte
	scratch []byte
	path    []byte
	header  []byte // the name of one, in lower case
}

// NewScanner makes a scanner.
func NewScanner(o Options) *Scanner {
	if o.Names <= 0 {
		o.Names = 4096
	}
	if o.Hits <= 0 {
		o.Hits = 1000
	}
	if o.Nested <= 0 {
		o.Nested = 64 << 10
	}
	if o.Value <= 0 {
		o.Value = 1 << 20
	}
	s := &Scanner{options: o, names: make(map[string]class), places: make(map[string]string), mac: hmac.New(sha256.New, o.Key[:])}
	s.nested.s = s
	return s
}

// Reset begins a message and forgets the hits of the one before.
func (s *Scanner) Reset(m Message) {
	s.message = m
	s.hits = s.hits[:0]
	s.tracker.Reset()
	s.finder.sent, s.finder.year = m.Side == analyze.Request, 0
	if !m.Time.IsZero() {
		s.finder.year = m.Time.UTC().Year()
	}
}

// Hits are the findings since Reset, in the order in which they were seen. The
// slice is borrowed until Reset, its elements may be kept.
func (s *Scanner) Hits() []Hit { return s.hits }

// recent is a slot of a cache in front of the map of names: a name below a
// parent, and its class. It lies in place, so that a miss allocates nothing.
type recent struct {
	text  [56]byte // parent, 0, name
	size  uint8    // of text; 0: empty
	class class
}

// class is that of a name, completed by the name of its parent where it says
// little by itself ("number" of "card").
func (s *Scanner) class(parent, name []byte) class {
	n := len(parent) + 1 + len(name)
	if n > len(recent{}.text) || len(name) == 0 {
		return s.lookup(parent, name)
	}
	h := uint32(len(name)*31+len(parent)*7) ^ uint32(name[0]) ^ uint32(name[len(name)/2])<<8 ^ uint32(name[len(name)-1])<<16
	set := &s.recent[h*0x9e3779b1>>26] // Fibonacci hashing to six bits
	for i := range set {
		if set[i].is(parent, name) {
			return set[i].class
		}
	}
	set[1] = set[0]
	r := &set[0]
	r.class = s.lookup(parent, name)
	r.size = uint8(n)
	copy(r.text[:], parent)
	r.text[len(parent)] = 0
	copy(r.text[len(parent)+1:], name)
	return r.class
}

func (r *recent) is(parent, name []byte) bool {
	p := len(parent)
	return int(r.size) == p+1+len(name) && r.text[p] == 0 &&
		string(r.text[:p]) == string(parent) && string(r.text[p+1:r.size]) == string(name)
}

func (s *Scanner) lookup(parent, name []byte) class {
	c, ok := s.names[string(name)]
	if !ok {
		if body.FreeKey(name) {
			return class{} // a name that is a value says nothing, and does not come again
		}
		c = classify(nil, name)
		c.own = s.options.Rules.named(name)
		s.remember(name, c)
	}
	if len(parent) == 0 || !c.closes && c.hints.empty() {
		return c
	}
	p, ok := s.names[string(parent)]
	if !ok {
		p = classify(nil, parent)
		s.remember(parent, p)
	}
	if p.about && !c.hints.empty() {
		c.hints = set{c.hints[0] &^ unspoken[0], c.hints[1] &^ unspoken[1]}
	}
	if !p.opens || !c.closes || !c.hints.empty() {
		return c
	}
	s.scratch = append(append(append(s.scratch[:0], parent...), 0), name...)
	both, ok := s.names[string(s.scratch)]
	if !ok {
		both = classify(parent, name)
		both.own = c.own
		s.remember(s.scratch, both)
	}
	return both
}

func (s *Scanner) remember(name []byte, c class) {
	if len(name) > 2*maxName+1 {
		return
	}
	if len(s.names) >= s.options.Names {
		clear(s.names)
	}
	s.names[string(name)] = c
}

// Begin follows the walk of a body.
func (s *Scanner) Begin(k body.Kind) { s.tracker.Begin(k) }

// Key follows the walk of a body.
func (s *Scanner) Key(name []byte) { s.tracker.Key(name) }

// End follows the walk of a body.
func (s *Scanner) End(body.Kind) { s.tracker.End() }

// Value judges a leaf of a body.
func (s *Scanner) Value(k body.Kind, text []byte) {
	s.tracker.Value()
	if k != body.String && k != body.Number || len(text) == 0 {
		return
	}
	c := s.class(s.Names())
	s.judge(&bodyPlace, &c, text, k == body.Number)
}

// A Name is what the names above a value say of it. A caller that meets the same
// places again and again keeps it, and spares the scanner the search.
type Name struct{ class class }

// Name reads the nearest name above a value and the next one above that, as
// [body.Tracker] gives them. It is owned by the caller and never changes.
func (s *Scanner) Name(parent, name []byte) *Name { return &Name{s.class(parent, name)} }

// Named is [Scanner.Value] for a value whose names were read before.
func (s *Scanner) Named(n *Name, k body.Kind, text []byte) {
	s.tracker.Value()
	switch {
	case k == body.String && len(text) > 0:
		s.judge(&bodyPlace, &n.class, text, false)
	case k == body.Number && (!n.class.hints.empty() || s.options.Rules != nil):
		s.judge(&bodyPlace, &n.class, text, true)
	}
}

// Names are the nearest name above the value that comes next, and the one above
// that.
func (s *Scanner) Names() (parent, name []byte) {
	if s.tracker.Depth() > 0 {
		name = s.tracker.Name()
	}
	return s.tracker.Parent(), name
}

var bodyPlace = where{at: analyze.InBody, body: true}

// where is a place before it costs anything.
type where struct {
	at   analyze.Where
	body bool   // the tracker knows
	name []byte // captured, unless own is set
	free bool   // the name is itself a value
	own  string
}

// judge finds what a value holds and reports it. w is not kept.
func (s *Scanner) judge(w *where, c *class, text []byte, number bool) {
	if len(text) > s.options.Value {
		text = text[:s.options.Value]
	}
	if !number && wraps[text[0]] && len(text) >= 8 && s.unwrap(w, text) {
		return
	}
	s.finder.find(text, c, number)
	for i := range s.finder.found {
		f := &s.finder.found[i]
		s.report(w, &Detectors[f.detector], text[f.from:f.to], f.confidence)
	}
	if s.options.Rules != nil {
		s.own(w, c.own, text)
	}
}

// wraps are first bytes of texts that may hold values of their own: GraphQL, JSON
// as it stands or in base64, a header.
var wraps = func() (t [256]bool) {
	for _, c := range "qms{[ \neWbB" {
		t[c] = true
	}
	return t
}()

// unwrap judges the values inside a text, and reports whether it is made of
// them.
func (s *Scanner) unwrap(w *where, text []byte) bool {
	if s.nested.depth < 2 {
		if len(text) >= 16 && s.arguments(w, text) {
			return true
		}
		if inner := s.inside(text); inner != nil {
			s.nested.walk(*w, inner)
			return true
		}
	}
	if len(text) > 12 && text[0]|0x20 == 'b' && (text[5] == ' ' && equalFold(text[:6], "basic ") || text[6] == ' ' && equalFold(text[:7], "bearer ")) {
		before := len(s.hits)
		s.authorization(w, text)
		return len(s.hits) > before
	}
	return false
}

// inside returns the JSON that a string holds, as it stands or in base64.
func (s *Scanner) inside(text []byte) []byte {
	switch text[0] {
	case '{', '[':
		last := text[len(text)-1]
		if last == '\n' || last == ' ' {
			last = last2(text)
		}
		if (last == '}' || last == ']') && len(text) <= s.options.Nested && (text[0] == '[' || bytes.IndexByte(text, '"') >= 0) {
			return text
		}
	case 'e', 'W':
		if len(text) > s.options.Nested || !(hasPrefix(text, "eyJ") || hasPrefix(text, "eyA") || hasPrefix(text, "ewo") || hasPrefix(text, "W3s") || hasPrefix(text, "WyJ")) || bytes.IndexByte(text, '.') >= 0 {
			return nil
		}
		trimmed := bytes.TrimRight(text, "=")
		n := base64.RawStdEncoding.DecodedLen(len(trimmed))
		d := &s.nested.decoded
		if cap(*d) < n {
			*d = make([]byte, n, n+n/2)
		}
		out := (*d)[:n]
		n, err := base64.RawStdEncoding.Decode(out, trimmed)
		if err != nil {
			if n, err = base64.RawURLEncoding.Decode(out, trimmed); err != nil {
				return nil
			}
		}
		return out[:n]
	}
	return nil
}

func last2(b []byte) byte {
	b = bytes.TrimRight(b, " \r\n\t")
	if len(b) == 0 {
		return 0
	}
	return b[len(b)-1]
}

var jsonType = []byte("application/json")

// nested walks JSON that was inside a string; all it finds is at the string.
type nested struct {
	s       *Scanner
	walker  body.Walker
	tracker body.Tracker
	outer   where
	depth   int
	decoded []byte
}

func (n *nested) walk(w where, text []byte) {
	n.outer = w
	n.depth = 2
	n.tracker.Reset()
	n.walker.Limits.Depth = 32
	n.walker.Walk(jsonType, text, n)
	n.depth = 0
}

func (n *nested) Begin(k body.Kind) { n.tracker.Begin(k) }
func (n *nested) Key(name []byte)   { n.tracker.Key(name) }
func (n *nested) End(body.Kind)     { n.tracker.End() }
func (n *nested) Value(k body.Kind, text []byte) {
	n.tracker.Value()
	if k != body.String && k != body.Number || len(text) == 0 {
		return
	}
	c := n.s.class(n.tracker.Parent(), n.tracker.Name())
	n.s.judge(&n.outer, &c, text, k == body.Number)
}

// report makes a hit of a value.
func (s *Scanner) report(w *where, d *Detector, value []byte, confidence float32) {
	if len(s.hits) >= s.options.Hits {
		s.Dropped++
		return
	}
	h := Hit{Detector: d, Confidence: confidence, Length: len(value), Flags: s.flags(d, value)}
	h.Place = analyze.Place{Side: s.message.Side, Where: w.at, Name: w.own}
	switch {
	case w.body:
		s.path = s.tracker.AppendPath(s.path[:0])
		h.Place.Name = s.place(s.path)
		if s.options.Pointers {
			s.path = s.tracker.AppendPointer(s.path[:0])
			h.Pointer = string(s.path)
		}
	case w.own == "":
		if w.free || body.FreeKey(w.name) {
			h.Place.Name = "{*}"
		} else {
			h.Place.Name = s.place(w.name)
		}
		if s.options.Pointers {
			h.Pointer = string(w.name)
		}
	default:
		if s.options.Pointers {
			h.Pointer = w.own
		}
	}
	h.Mask = analyze.Mask(value)
	h.Fingerprint = s.fingerprint(d, value)
	s.hits = append(s.hits, h)
}

// place is [analyze.Clean] of the name of a place. The same few come all the
// time, and share a string.
func (s *Scanner) place(name []byte) string {
	if p, ok := s.places[string(name)]; ok {
		return p
	}
	p := analyze.Clean(name)
	if len(s.places) >= s.options.Names {
		clear(s.places)
	}
	if len(name) <= analyze.MaxText {
		s.places[string(name)] = p
	}
	return p
}

// fingerprint is analyze.Key.Fingerprint of the value without its separators,
// where these are a matter of style.
func (s *Scanner) fingerprint(d *Detector, value []byte) string {
	kind := d.ID
	if d.Category == Secret || d.Category == Credential {
		kind = "secret"
	} else if d.Shape.AllDigits || d.ID == "iban" || d.ID == "phone" {
		s.scratch = s.scratch[:0]
		for _, c := range value {
			if kinds[c]&(isDigit|isUpper|isLower) != 0 || c == '+' {
				s.scratch = append(s.scratch, c)
			}
		}
		value = s.scratch
	} else if d.ID == "email" {
		s.scratch = s.scratch[:0]
		for _, c := range value {
			if 'A' <= c && c <= 'Z' {
				c |= 0x20
			}
			s.scratch = append(s.scratch, c)
		}
		value = s.scratch
	}
	s.mac.Reset()
	s.sum = append(append(s.sum[:0], kind...), 0)
	s.mac.Write(s.sum)
	s.mac.Write(value)
	s.sum = s.mac.Sum(s.sum[:0])
	var text [24]byte
	hex.Encode(text[:], s.sum[:12])
	return string(text[:])
}

// flags tells values that are nobody's.
func (s *Scanner) flags(d *Detector, value []byte) (f Flags) {
	switch d.ID {
	case "jwt":
		if at := expires(value); !at.IsZero() && !s.message.Time.IsZero() && at.Before(s.message.Time) {
			f |= Expired
		}
	case "credit_card":
		s.finder.c.cut(value)
		if testCards[string(s.finder.c.compact)] {
			f |= Test
		}
	case "us_ssn":
		s.finder.c.cut(value)
		if testSSNs[string(s.finder.c.compact)] {
			f |= Documentation
		}
	case "stripe_key":
		if hasPrefix(value, "sk_test_") || hasPrefix(value, "rk_test_") {
			f |= Test
		}
	case "aws_access_key_id", "aws_secret_key":
		if bytes.HasSuffix(value, []byte("EXAMPLE")) || bytes.HasSuffix(value, []byte("EXAMPLEKEY")) {
			f |= Documentation
		}
	case "email":
		i := bytes.LastIndexByte(value, '@')
		host := value[i+1:]
		if n := len("example.com"); len(host) >= n {
			switch tail := string(host[len(host)-n:]); {
			case tail == "example.com" || tail == "example.org" || tail == "example.net":
				f |= Documentation
			}
		}
		if bytes.HasSuffix(host, []byte(".example")) || bytes.HasSuffix(host, []byte(".test")) || bytes.HasSuffix(host, []byte(".invalid")) {
			f |= Documentation
		}
	case "phone":
		s.finder.c.cut(value)
		if d := s.finder.c.compact; len(d) >= 10 && string(d[len(d)-7:len(d)-2]) == "55501" {
			f |= Documentation
		}
	case "ip_address":
		if hasPrefix(value, "192.0.2.") || hasPrefix(value, "198.51.100.") || hasPrefix(value, "203.0.113.") || hasPrefix(value, "2001:db8:") {
			f |= Documentation
		}
	}
	if masked(value) && d.ID != "mrz" {
		f |= Masked
	}
	return f
}

// Segment judges a segment of a path, percent-decoded; index counts from 0.
// previous, the segment before it, is its name ("/cards/4111…"), and may be nil.
func (s *Scanner) Segment(index int, previous, text []byte) {
	if len(text) < 4 {
		return
	}
	c := s.class(nil, previous)
	c.blank = false // numbers in paths are ids, mostly
	c.hints = set{c.hints[0] & pieces[0], c.hints[1] & pieces[1]}
	own := smallNumbers[min(index, len(smallNumbers)-1)]
	if index >= len(smallNumbers) {
		own = strconv.Itoa(index)
	}
	s.judge(&where{at: analyze.InPath, own: own}, &c, text, false)
}

var smallNumbers = [...]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"}

// Parameter judges a query parameter, percent-decoded.
func (s *Scanner) Parameter(name, value []byte) {
	if len(value) == 0 {
		return
	}
	c := s.class(nil, name)
	s.judge(&where{at: analyze.InQuery, name: name}, &c, value, false)
}

// Target judges the path and the query of a request target in origin form.
func (s *Scanner) Target(target []byte) {
	if i := bytes.Index(target[:min(len(target), 16)], []byte("://")); i > 0 { // absolute form
		target = target[i+3:]
		if j := bytes.IndexByte(target, '/'); j >= 0 {
			target = target[j:]
		}
	}
	if i := bytes.IndexByte(target, '#'); i >= 0 {
		target = target[:i]
	}
	path, query, _ := bytes.Cut(target, []byte{'?'})
	var previous []byte
	for i := 0; len(path) > 0; i++ {
		path = path[1:]
		segment := path
		if j := bytes.IndexByte(path, '/'); j >= 0 {
			segment, path = path[:j], path[j:]
		} else {
			path = nil
		}
		decoded := segment
		if bytes.IndexByte(segment, '%') >= 0 {
			s.decoded = body.Unescape(s.decoded[:0], segment)
			decoded = s.decoded
		}
		s.Segment(i, previous, decoded)
		previous = segment
	}
	if len(query) > 0 {
		s.walker.Query(query, s.Parameter)
	}
}

// Cookie judges one cookie of a Cookie (set is false) or Set-Cookie header.
func (s *Scanner) Cookie(set bool, name, value []byte) {
	if len(value) < 4 {
		return
	}
	w := &where{at: analyze.InCookie, name: name}
	if set {
		w.at = analyze.InSetCookie
	}
	if analytics(name) {
		return
	}
	c := s.class(nil, name)
	text := value
	if bytes.IndexByte(value, '%') >= 0 {
		s.decoded = body.Unescape(s.decoded[:0], value)
		text = s.decoded
	}
	before := len(s.hits)
	if sessionName(name) {
		s.finder.c.cut(text)
		s.finder.c.named = false
		if n, _ := jwtLength(text); n == len(text) {
			s.report(w, &Detectors[rows.jwt], text, 0.99)
		} else if sessionID(&s.finder.c) {
			s.report(w, &Detectors[rows.cookie], text, 0.95)
		}
	}
	if len(s.hits) == before {
		s.judge(w, &c, text, false)
	}
}

// analytics are cookies that count visitors; they open nothing.
func analytics(name []byte) bool {
	for _, p := range [...]string{"_ga", "_gid", "_gat", "_gcl", "_fb", "_hj", "_pk_", "_dc_", "__utm", "_uet", "ajs_", "amplitude", "mp_", "optimizely", "_clck", "_clsk", "__cf_bm", "cf_clearance", "csrf", "xsrf", "_csrf", "AWSALB", "AWSELB", "_ym", "__hs", "hubspot", "intercom-id", "_vwo", "ab_", "OptanonConsent", "cookieconsent", "_tt", "_scid", "_rdt", "_pin_unauth", "nmstat", "datadome", "__gads", "__gpi", "s_"} {
		if hasPrefix(name, p) {
			return true
		}
	}
	return false
}

// sessionName tells cookies that carry a login, by the words of their names.
func sessionName(name []byte) bool {
	var buf [64]byte
	if len(name) > len(buf) {
		return false
	}
	l := buf[:0]
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		l = append(l, c)
	}
	for _, p := range [...]string{"__host-", "__secure-"} {
		l = bytes.TrimPrefix(l, []byte(p))
	}
	switch string(l) {
	case "sid", "session", "sess", "auth", "token", "jwt", "id_token", "ssid", "hsid", "sapisid", "apisid", "psid", "usid", "uid_tt", "s", "connect.sid", "sails.sid", "koa.sid", "koa:sess", "express.sid", "beaker.session.id", "laravel_session", "ci_session", "rack.session", "_forum_session", "jsessionid", "phpsessid", "cfid", "cftoken", "asp.net_sessionid", ".aspxauth", ".aspnetcore.session", ".aspnetcore.cookies", ".aspnetcore.identity.application", "authsession", "d", "d-s", "user_session", "dotcom_user", "li_at", "sp_dc", "zm_ssid", "login", "remember_me", "remember_token", "rememberme", "keycloak_session", "keycloak_identity", "kc_session", "okta_sid", "idx", "auth0", "auth0_compat", "fedauth", "estsauth", "estsauthpersistent", "sso", "ssosession", "logintoken", "sb-access-token", "access", "refresh", "at", "rt":
		return len(l) > 2 || string(l) != "s" && string(l) != "d"
	}
	for _, p := range [...]string{"sess", "auth", "token", "jwt", "remember_", "sid", "login"} {
		if i := bytes.Index(l, []byte(p)); i >= 0 {
			if p == "sid" && i+3 != len(l) && !(i > 0 && (l[i-1] == '.' || l[i-1] == '_' || l[i-1] == '-')) {
				continue
			}
			if p == "sid" && i > 0 && kinds[l[i-1]]&isLower != 0 {
				continue // outside, aside, president
			}
			if bytes.Contains(l, []byte("csrf")) || bytes.Contains(l, []byte("xsrf")) || bytes.Contains(l, []byte("author")) || bytes.Contains(l, []byte("count")) || bytes.Contains(l, []byte("start")) || bytes.Contains(l, []byte("time")) {
				continue
			}
			return true
		}
	}
	return false
}

// Header judges a header field; places have its name in lower case: the schemes of Authorization, the pairs of
// Cookie and Set-Cookie, and others by their names.
func (s *Scanner) Header(name, value []byte) {
	if len(value) < 4 || len(name) == 0 {
		return
	}
	w := &where{at: analyze.InHeader, free: body.FreeKey(name)} // in lower case a token looks like words
	name = s.lower(name)
	w.name = name
	switch name[0] {
	case 'c':
		if equalFold(name, "cookie") {
			body.Cookies(value, func(name, value []byte) { s.Cookie(false, name, value) })
			return
		}
	case 's':
		if equalFold(name, "set-cookie") {
			pair, _, _ := bytes.Cut(value, []byte{';'})
			n, v, _ := bytes.Cut(pair, []byte{'='})
			s.Cookie(true, bytes.TrimSpace(n), bytes.Trim(v, " \""))
			return
		}
	case 'a', 'p', 'x':
		if equalFold(name, "authorization") || equalFold(name, "proxy-authorization") || equalFold(name, "x-authorization") || equalFold(name, "x-forwarded-authorization") {
			s.authorization(w, value)
			return
		}
	}
	if silentHeaders[string(name)] {
		return
	}
	c := s.class(nil, name)
	s.judge(w, &c, value, false)
}

// lower is the name of a header as places have it.
func (s *Scanner) lower(name []byte) []byte {
	s.header = s.header[:0]
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		s.header = append(s.header, c)
	}
	return s.header
}

// silentHeaders never carry a secret, and much that looks like one.
var silentHeaders = wordsOf(`user-agent host accept accept-encoding accept-language accept-charset content-type content-length content-encoding content-language date etag
	if-none-match if-match if-modified-since if-unmodified-since last-modified expires age cache-control pragma connection keep-alive transfer-encoding te
	trailer upgrade vary via server x-powered-by traceparent tracestate x-request-id x-correlation-id x-amz-cf-id x-amz-cf-pop x-amz-request-id x-amz-id-2
	x-amzn-trace-id x-amzn-requestid x-cache cf-ray x-served-by x-timer content-md5 digest content-security-policy strict-transport-security
	access-control-allow-origin access-control-allow-headers access-control-allow-methods access-control-expose-headers access-control-max-age
	x-b3-traceid x-b3-spanid x-b3-parentspanid idempotency-key sec-websocket-key sec-websocket-accept sec-ch-ua sec-ch-ua-platform sec-fetch-site
	sec-fetch-mode sec-fetch-dest dnt range content-range accept-ranges content-disposition alt-svc nel report-to server-timing x-runtime
	x-ratelimit-limit x-ratelimit-remaining x-ratelimit-reset retry-after stripe-signature x-hub-signature x-hub-signature-256 x-slack-signature
	x-github-delivery x-amz-date x-amz-content-sha256 b3 baggage expect upgrade-insecure-requests public-key-pins sentry-trace x-datadog-trace-id
	x-datadog-parent-id x-cloud-trace-context x-forwarded-proto x-forwarded-port x-envoy-upstream-service-time x-sdk-version x-app-version
	x-client-version`)

// authorization judges the value of an Authorization header (RFC 9110 §11.6).
func (s *Scanner) authorization(w *where, value []byte) {
	value = bytes.TrimSpace(value)
	scheme, rest, ok := bytes.Cut(value, []byte{' '})
	rest = bytes.TrimSpace(rest)
	if !ok {
		scheme, rest = nil, value
	}
	switch {
	case equalFold(scheme, "basic"):
		if basic(rest, &s.nested.decoded) {
			s.report(w, &Detectors[rows.basic], rest, 0.99)
		}
	case equalFold(scheme, "bearer") || equalFold(scheme, "token") || equalFold(scheme, "jwt") || equalFold(scheme, "dpop") || equalFold(scheme, "oauth") || equalFold(scheme, "bot") || scheme == nil || equalFold(scheme, "apikey") || equalFold(scheme, "api-key") || equalFold(scheme, "genie-key") || equalFold(scheme, "key") || equalFold(scheme, "ghost") || equalFold(scheme, "splunk") || equalFold(scheme, "sso-key"):
		if hasPrefix(rest, "token=") || hasPrefix(rest, "token=\"") {
			rest = bytes.Trim(rest[6:], "\"")
		}
		s.bearer(w, rest)
		if s.options.Rules != nil {
			c := s.class(nil, w.name)
			s.own(w, c.own, rest)
		}
	default: // Digest, AWS4-HMAC-SHA256, Negotiate: signatures, no reusable secret but known shapes
		var c class
		c.flags = ident | public
		s.judge(w, &c, rest, false)
	}
}

// bearer reports a token by what it is, or as a bearer token.
func (s *Scanner) bearer(w *where, token []byte) {
	if len(token) < 8 || placeholder(token) {
		return
	}
	if n, _ := jwtLength(token); n == len(token) {
		s.report(w, &Detectors[rows.jwt], token, 0.99)
		return
	}
	c := class{flags: ident | public}
	s.finder.find(token, &c, false)
	for i := range s.finder.found {
		if f := &s.finder.found[i]; f.from == 0 && f.to == len(token) && secrets.has(f.detector) {
			s.report(w, &Detectors[f.detector], token, f.confidence)
			return
		}
	}
	if len(token) >= 16 && bytes.IndexByte(token, ' ') < 0 && varied(token) {
		s.report(w, &Detectors[rows.bearer], token, 0.95)
	}
}

// basic reports whether b is base64 of user:password (RFC 7617).
func basic(b []byte, buf *[]byte) bool {
	b = bytes.TrimRight(b, "=")
	n := base64.RawStdEncoding.DecodedLen(len(b))
	if n < 3 || n > 1024 {
		return false
	}
	if cap(*buf) < n {
		*buf = make([]byte, n)
	}
	out := (*buf)[:n]
	n, err := base64.RawStdEncoding.Decode(out, b)
	if err != nil {
		if n, err = base64.RawURLEncoding.Decode(out, b); err != nil {
			return false
		}
	}
	i := bytes.IndexByte(out[:n], ':')
	if i < 0 || i == n-1 && i == 0 {
		return false
	}
	for _, c := range out[:n] {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}
