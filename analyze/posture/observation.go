package posture

import (
	"bytes"
	"hash/maphash"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/tally"
)

// Peer says how far apart the two ends of an exchange are.
type Peer uint8

// Distances. SameNode is one address on both sides that is not loopback.
const (
	UnknownPeer Peer = iota
	Loopback
	SameNode
	Private
	Public
)

// PeerOf tells the distance of two ends.
func PeerOf(client, server netip.Addr) Peer {
	client, server = client.Unmap(), server.Unmap()
	switch {
	case !client.IsValid() || !server.IsValid():
		return UnknownPeer
	case client.IsLoopback() && server.IsLoopback():
		return Loopback
	case client == server:
		return SameNode
	case within(client) && within(server):
		return Private
	}
	return Public
}

var shared = netip.MustParsePrefix("100.64.0.0/10") // carrier-grade NAT and many clusters (RFC 6598)

func within(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || shared.Contains(a)
}

// Hit is a kind of sensitive data found at a place of an exchange.
type Hit struct {
	Kind     string // id of the detector
	Category string // pii, pci, phi, financial, credential, secret, location
	Place    analyze.Place
	Severity analyze.Severity
	Sample   analyze.Sample
	Values   int  // values of this kind at this place in the message, at least 1
	Whole    int  // of these, those that are nothing else beside
	Test     bool // a test or publishable value
}

// Smuggling says which rule of message framing a request breaks.
type Smuggling uint16

// Ways to make two parsers see different messages.
const (
	BothLengths   Smuggling = 1 << iota // Content-Length and Transfer-Encoding
	TwoLengths                          // Content-Length twice, different
	BadChunk                            // a chunk header that is none
	OddCoding                           // a Transfer-Encoding that is not chunked alone
	FoldedHeader                        // obs-fold
	BareLineFeed                        // a line ended by LF alone
	SpacedHeader                        // white space before a header's colon
	NulByte                             // NUL in the head
	InvalidLength                       // a Content-Length that is no number
)

// Expansion is what undoing a content coding made of a body.
type Expansion struct {
	Coded, Decoded int64 // bytes
	Stopped        bool  // at the decoder's limit: there is more
}

// SetCookie is a cookie handed out.
type SetCookie struct {
	Place                      analyze.Place
	Session                    bool // looks like the key of a session or a login
	Secure, HTTPOnly, SameSite bool
	*Secret
	raw []byte // borrowed
}

// Observation is one exchange as the rules see it. The caller fills the first
// part and feeds headers, parameters and hits through the methods; [Observation.Done]
// concludes. It belongs to its [Reader] and is valid until the next
// [Reader.Begin]; byte slices are borrowed.
type Observation struct {
	At             tally.Moment
	Time           time.Time
	Client, Server netip.AddrPort
	ServerName     string // address:port as text
	Wire           analyze.Wire
	Method         string
	Host           string // normalised, without default port
	Path           []byte // as on the wire, without query
	Status         int    // 0: no answer
	SoftFailure    bool   // a 2xx that says it failed (rule 1)
	Smuggled       Smuggling
	Latency        time.Duration // 0: unknown
	Items          int           // of the longest list near the top of the answer
	RequestBody    []byte        // decoded, as much as there is
	ResponseBody   []byte
	ResponseSize   int64 // of the whole body, decoded; 0: as much as there is
	// Expansion of the two bodies by their content coding.
	Expansion [2]Expansion
	// Partial: the head of the request was not seen whole, so that no credential
	// means nothing.
	Partial bool
	// Message: it is no exchange but a message of a WebSocket. Its body is of one
	// side; there is nothing else of it.
	Message bool
	// Frozen: there is no memory for findings that are new; known ones count on.
	Frozen bool

	// Concluded.
	Credentials []Credential // of the request, that could identify somebody
	SetCookies  []SetCookie
	Hits        []Hit
	Peer        Peer
	Success     bool   // rule 1
	Principal   string // rule 2: keyed fingerprint
	Weak        bool   // the principal is only an address and a user agent
	Auth        string // label of the strongest credential, "none", or "" where that is not known

	r     *Reader
	facts fact
	seq   uint64

	origin, userAgent, location, contentType, cacheControl []byte
	allowOrigin, server, poweredBy, retryAfter, sunset     []byte
	deprecation, referer                                   []byte
	allowCredentials, hsts, age, signed, gateway           bool
	maybe, badToken, signedURL, authHeader                 bool // maybe: something that could be a credential was sent
	oauth                                                  oauth
	attacks                                                []attack
	heads                                                  [][]byte // names of the answer's headers
	gql                                                    gqlShape
	page                                                   string // the parameter that asks for a very large page
	privileged                                             string
	account                                                uint64 // keyed hash of who wants to sign in, 0: nobody
	echoed                                                 bool
	marked                                                 bool        // the path says that it is no production
	forwarded                                              bool        // a gateway left its mark
	paged                                                  bool        // a parameter says which part is wanted
	twice                                                  string      // a parameter that came twice
	pairs                                                  [][2]uint64 // hashes of parameters and their values
	given                                                  []given
	names                                                  []byte // of given, one after the other
	work                                                   bool   // a value asks for much work
	guards                                                 uint8  // bits of guards in the answer
	principalHash                                          uint64
	public                                                 bool // an endpoint that is meant for everybody
	sensitive                                              bool // some hit in the response weighs
	memory
}

// oauth is what parameters of OAuth 2.0 (RFC 6749) a request has.
type oauth struct {
	client, token, code, state, challenge, plainRedirect, secretInURL, passwordGrant bool
	native, exchange, secret                                                         bool   // an app's redirect; a code is turned in; with a secret
	id                                                                               uint64 // keyed, of the client; 0: not named
}

// fact is something a rule needs to be true before it is asked.
type fact uint32

const (
	success fact = 1 << iota
	plain        // seen in the clear on the wire
	credentials
	tokens // a JWT among the credentials
	hits
	setCookies
	failed // status 400 and above, or a soft failure
	unauthenticated
	smuggled
	browserOrigin
	answered
	parameters
	bodies
	attempts
	xmlBody
	multipartBody
	graphQL
	privilegedField
)

// FromOutside reports whether the client is at a public address.
func (o *Observation) FromOutside() bool {
	c := o.Client.Addr().Unmap()
	return c.IsValid() && !within(c)
}

// Begin starts an observation; the one before is over.
func (r *Reader) Begin() *Observation {
	o := &r.o
	*o = Observation{r: r, seq: o.seq + 1, Credentials: o.Credentials[:0], SetCookies: o.SetCookies[:0], Hits: o.Hits[:0], attacks: o.attacks[:0], heads: o.heads[:0], pairs: o.pairs[:0], given: o.given[:0], names: o.names[:0]}
	return o
}

// lowered returns name in lower case in the reader's buffer; nil where it is
// longer than any name that matters.
func (r *Reader) lowered(name []byte) []byte {
	if len(name) > len(r.lower) {
		return nil
	}
	b := r.lower[:len(name)]
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		b[i] = c
	}
	return b
}

// RequestHeader takes a header of the request.
func (o *Observation) RequestHeader(name, value []byte) {
	if bytes.IndexByte(value, '{') >= 0 {
		o.braces(analyze.InHeader, name, value)
	}
	if len(name) > 0 {
		o.order = (o.order ^ uint64(len(name))<<16 ^ uint64(name[0]|0x20)<<8 ^ uint64(name[len(name)-1]|0x20)) * 0x9e3779b97f4a7c15
	}
	lower := o.r.lowered(name)
	if string(lower) == "content-type" && bytes.HasPrefix(value, []byte("multipart/form-data")) {
		o.facts |= multipartBody
	}
	switch string(lower) {
	case "":
		return
	case "host", "accept", "accept-encoding", "accept-language", "content-type", "content-length", "connection", "cache-control", "transfer-encoding", "date", "traceparent", "x-request-id":
	case "authorization", "proxy-authorization":
		o.authorization(name, value)
	case "cookie":
		o.cookies(value)
	case "origin":
		o.origin = value
	case "user-agent":
		o.userAgent = value
	case "referer":
		o.referer = value
	case "x-forwarded-for", "forwarded", "via", "x-real-ip", "x-envoy-external-address", "x-envoy-attempt-count", "x-kong-request-id", "x-amzn-trace-id", "cf-connecting-ip", "cf-ray", "x-azure-ref", "x-cloud-trace-context":
		o.forwarded = true
	case "x-forwarded-client-cert", "x-ssl-client-cert", "ssl-client-cert", "x-client-cert", "x-ssl-client-s-dn", "x-ssl-client-dn", "x-amzn-mtls-clientcert-subject":
		if len(value) > 0 {
			o.gateway = true
			o.add(Credential{Kind: Mutual, Place: o.r.name(headerName, name).place, Label: "mtls", Secret: o.r.secret(Mutual, value)})
		}
	case "x-hub-signature", "x-hub-signature-256", "stripe-signature", "x-signature", "x-slack-signature", "x-twilio-signature", "x-shopify-hmac-sha256", "webhook-signature", "x-webhook-signature", "svix-signature", "signature", "x-signature-ed25519", "paypal-transmission-sig", "x-amz-sns-message-type", "x-gitlab-event-uuid":
		o.signed = true
	default:
		switch {
		case bytes.HasPrefix(lower, []byte("x-consumer-")), bytes.HasPrefix(lower, []byte("x-auth-request-")), bytes.HasPrefix(lower, []byte("x-amzn-oidc-")),
			bytes.HasPrefix(lower, []byte("x-goog-authenticated-user-")), bytes.HasPrefix(lower, []byte("x-authenticated-")), string(lower) == "x-forwarded-user", string(lower) == "remote-user", string(lower) == "x-remote-user":
			o.gateway = true
			return
		}
		n := o.r.name(headerName, name)
		if n.hint > noise && len(value) > 0 {
			o.keyHeader(n, value)
		}
	}
}

// Bounds of one exchange: what comes beyond is no client's habit.
const (
	maxCredentials = 32
	maxSetCookies  = 32
)

func (o *Observation) add(c Credential) {
	if len(o.Credentials) < maxCredentials {
		o.Credentials = append(o.Credentials, c)
	}
}

func (o *Observation) keyHeader(n name, value []byte) {
	if i := bytes.IndexByte(value, ' '); i > 0 && i < 10 && strings.EqualFold(string(value[:i]), "bearer") {
		value = bytes.TrimLeft(value[i:], " ")
	}
	s := o.r.secret(APIKey, value)
	if n.hint == weakHint && !s.Random && s.JWT == nil {
		o.maybe = true
		return
	}
	k := APIKey
	switch {
	case s.Empty:
		return
	case s.JWT != nil:
		k = Token
	case n.hint == tokenHint:
		k = Bearer
	}
	o.add(Credential{Kind: k, Place: n.place, Label: n.label, Secret: s, raw: value})
}

// authorization reads RFC 9110 section 11.6.2 credentials.
func (o *Observation) authorization(header, value []byte) {
	o.authHeader = true
	n := o.r.name(headerName, header)
	scheme, rest, spaced := bytes.Cut(value, []byte(" "))
	rest = bytes.TrimLeft(rest, " ")
	c := Credential{Place: n.place}
	switch low := o.r.lowered(scheme); string(low) {
	case "bearer":
		c.Secret = o.r.secret(Bearer, rest)
		c.Kind, c.Label = Bearer, "bearer"
		switch {
		case c.JWT != nil:
			c.Kind, c.Label = Token, "jwt"
		case c.broken:
			o.badToken = true
			return
		}
	case "basic":
		c.Kind, c.Label, c.Secret = Basic, "basic", o.r.secret(Basic, rest)
	case "digest":
		c.Kind, c.Label, c.Secret = Other, "digest", o.r.secret(Other, between(rest, `username="`, `"`))
	case "aws4-hmac-sha256":
		c.Kind, c.Label, c.Secret = Other, "aws-sigv4", o.r.secret(Other, between(rest, "Credential=", "/"))
	case "negotiate", "ntlm", "hawk", "oauth", "signature", "hmac", "dpop", "gnap", "mutual", "scram-sha-256", "vapid", "privatetoken":
		c.Kind, c.Label, c.Secret = Other, string(low), o.r.secret(Other, low)
	case "token", "apikey", "api-key", "key", "bot", "api_key", "x-api-key":
		if spaced {
			value = rest
		}
		fallthrough
	default:
		c.Kind, c.Label, c.Secret, c.raw = APIKey, n.label, o.r.secret(APIKey, value), value
		if c.JWT != nil {
			c.Kind, c.Label = Token, "jwt"
		}
	}
	if c.Empty {
		o.badToken = o.badToken || c.Kind != Other
		return
	}
	o.add(c)
}

func between(b []byte, from, to string) []byte {
	i := bytes.Index(b, []byte(from))
	if i < 0 {
		return []byte("?")
	}
	b = b[i+len(from):]
	if i = bytes.Index(b, []byte(to)); i >= 0 {
		b = b[:i]
	}
	return b
}

func (o *Observation) cookies(header []byte) {
	for len(header) > 0 {
		var pair []byte
		pair, header, _ = bytes.Cut(header, []byte(";"))
		key, value, ok := bytes.Cut(bytes.Trim(pair, " \t"), []byte("="))
		if !ok || len(value) < 8 {
			continue
		}
		o.value(analyze.InCookie, key, value)
		n := o.r.name(cookieName, key)
		if n.hint == noise {
			continue
		}
		s := o.r.secret(Session, value)
		switch {
		case s.JWT != nil, n.hint == sessionHint && !s.Empty, n.hint == weakHint && s.Random:
			k := Session
			if s.JWT != nil {
				k = Token
			}
			o.add(Credential{Kind: k, Place: n.place, Label: n.label, Secret: s, raw: value})
		case s.Random && s.Sample.Length >= 20:
			o.maybe = true // may be a session under a name that does not tell
		}
	}
}

// Parameter takes a query parameter of the request, percent-decoded.
func (o *Observation) Parameter(key, value []byte) {
	o.Key(analyze.InQuery, nil, key)
	o.value(analyze.InQuery, key, value)
	o.work = o.work || laborious(value)
	o.repeated(key, value)
	o.give(analyze.InQuery, key, value)
	lower := o.r.lowered(key)
	switch string(lower) {
	case "limit", "size", "per_page", "perpage", "page_size", "pagesize", "count", "first", "top", "$top", "max", "rows":
		if len(value) >= 4 && len(value) <= 9 && len(bytes.Trim(value, "0123456789")) == 0 {
			o.page = o.r.name(queryName, key).place.Name
		}
		o.paged = true
	case "page", "offset", "cursor", "after", "before", "skip", "start", "page_token", "pagetoken", "since", "from", "until", "next", "last", "$skip", "page[size]", "page[number]", "continuation", "marker":
		o.paged = true
	case "query":
		if bytes.IndexByte(value, '{') >= 0 && bytes.HasSuffix(o.Path, []byte("graphql")) {
			o.gql.read(value)
		}
	case "response_type":
		for _, v := range bytes.Fields(value) {
			o.oauth.token = o.oauth.token || string(v) == "token" || string(v) == "id_token"
			o.oauth.code = o.oauth.code || string(v) == "code"
		}
	case "client_id":
		o.oauth.client = true
		o.oauth.id = o.r.secret(Other, value).Hash
	case "state", "nonce":
		o.oauth.state = true
	case "code_challenge":
		o.oauth.challenge = true
	case "redirect_uri":
		o.oauth.native = nativeURL(value)
		o.oauth.plainRedirect = bytes.HasPrefix(value, []byte("http://")) && !loopbackURL(value[len("http://"):])
	case "client_secret":
		o.oauth.secretInURL = len(value) > 0
	case "x-amz-signature", "x-goog-signature", "x-oss-signature", "se", "expires", "x-amz-expires":
		o.signedURL = true
	}
	o.signedParameter(lower, value)
	o.remember(key, value)
	o.facts |= parameters
	if len(value) < 6 {
		return
	}
	n := o.r.name(queryName, key)
	if n.hint <= noise {
		return
	}
	s := o.r.secret(APIKey, value)
	c := Credential{Kind: APIKey, Place: n.place, Label: n.label, Secret: s, raw: value}
	switch {
	case s.Empty:
		return
	case s.JWT != nil:
		c.Kind = Token
	case n.hint == weakHint && !s.Random:
		return
	case n.hint == sessionHint:
		c.Kind = Session
	case n.hint == tokenHint, n.hint == weakHint && string(o.r.lowered(key)) != "key":
		c.Kind = Bearer
	}
	o.add(c)
}

func loopbackURL(rest []byte) bool {
	if bytes.HasPrefix(rest, []byte("[::1]")) {
		return true
	}
	host := rest
	if i := bytes.IndexAny(rest, "/:?#"); i >= 0 {
		host = rest[:i]
	}
	return string(host) == "localhost" || bytes.HasPrefix(host, []byte("127.")) && len(bytes.Trim(host, "0123456789.")) == 0
}

// nativeURL tells the redirects of apps (RFC 8252): a scheme of their own, or
// loopback.
func nativeURL(v []byte) bool {
	scheme, rest, _ := bytes.Cut(v, []byte(":"))
	if bytes.EqualFold(scheme, []byte("http")) || bytes.EqualFold(scheme, []byte("https")) {
		return loopbackURL(bytes.TrimPrefix(rest, []byte("//")))
	}
	return len(scheme) > 0 && len(scheme) < len(v)
}

// Field takes a field at the top of the request's body.
func (o *Observation) Field(key, value []byte) {
	o.privilege(key, value)
	o.give(analyze.InBody, key, value)
	if o.account == 0 && len(value) > 0 && accountName(o.r.lowered(key)) && hasSegment(o.Path, accountWords) {
		o.account = o.r.secret(Other, value).Hash
		o.r.account = append(o.r.account[:0], value[:min(len(value), 128)]...)
	}
	if string(key) == "grant_type" && string(value) == "password" {
		o.oauth.passwordGrant = true
	}
	o.remember(key, value)
}

// ResponseHeader takes a header of the response.
func (o *Observation) ResponseHeader(name, value []byte) {
	if len(o.heads) < 64 {
		o.heads = append(o.heads, name)
	}
	switch string(o.r.lowered(name)) {
	case "x-content-type-options":
		o.guards |= 1 << 1
	case "content-security-policy":
		o.guards |= 1 << 2
	case "x-frame-options":
		o.guards |= 1 << 3
	case "set-cookie":
		o.setCookie(value)
	case "content-type":
		o.contentType = value
	case "cache-control":
		o.cacheControl = value
	case "location":
		o.location = value
	case "server":
		o.server = value
	case "x-powered-by", "x-aspnet-version", "x-generator":
		o.poweredBy = value
	case "access-control-allow-origin":
		o.allowOrigin = value
	case "access-control-allow-credentials":
		o.allowCredentials = strings.EqualFold(string(value), "true")
	case "strict-transport-security":
		o.hsts = lastingHSTS(value)
		o.guards |= 1
	case "age":
		n, err := strconv.Atoi(string(value[:min(len(value), 10)]))
		o.age = err == nil && n > 0
	case "retry-after":
		o.retryAfter = value
	case "sunset":
		o.sunset = value
	case "deprecation":
		o.deprecation = value
	}
}

// setCookie reads a Set-Cookie header (RFC 6265 section 4.1).
func (o *Observation) setCookie(header []byte) {
	pair, attributes, _ := bytes.Cut(header, []byte(";"))
	key, value, ok := bytes.Cut(bytes.Trim(pair, " \t"), []byte("="))
	if ok && clears(value, attributes) {
		o.clear(o.r.name(setCookieName, key).place.Name)
	}
	if !ok || len(value) < 8 {
		return // no name, or a cookie being cleared
	}
	n := o.r.name(setCookieName, key)
	c := SetCookie{Place: n.place, raw: value}
	for len(attributes) > 0 {
		var a []byte
		a, attributes, _ = bytes.Cut(attributes, []byte(";"))
		attr, v, _ := bytes.Cut(bytes.Trim(a, " \t"), []byte("="))
		switch string(o.r.lowered(attr)) {
		case "secure":
			c.Secure = true
		case "httponly":
			c.HTTPOnly = true
		case "samesite":
			c.SameSite = true
		case "max-age":
			if string(v) == "0" || bytes.HasPrefix(v, []byte("-")) {
				return
			}
		}
	}
	if n.hint == noise || len(o.SetCookies) >= maxSetCookies {
		return
	}
	c.Secret = o.r.secret(Session, value)
	c.Session = c.JWT != nil || !c.Empty && n.hint == sessionHint || c.Random && (n.hint == weakHint || n.hint == noHint && c.HTTPOnly)
	o.SetCookies = append(o.SetCookies, c)
}

// Hit takes a piece of sensitive data.
func (o *Observation) Hit(h Hit) { o.Hits = append(o.Hits, h) }

// Done concludes: success, peers, principal, and which rules have to be asked.
func (o *Observation) Done() {
	o.Peer = PeerOf(o.Client.Addr(), o.Server.Addr())
	o.Partial = o.Partial || o.Message
	o.Success = o.Message || !o.SoftFailure && (o.Status >= 200 && o.Status < 300 || o.Status == 304)
	if i := bytes.IndexByte(o.Path, ';'); i >= 0 {
		o.pathSession(o.Path[i:])
	}
	o.principal()
	o.work = o.work || o.page != "" || o.gql.depth > 10 || o.gql.aliases > 30
	o.public = publicPath(o.Path)
	o.marked = hasSegment(prefix(o.Path, 64), stageWords)
	for i := range o.Hits {
		h := &o.Hits[i]
		o.maybe = o.maybe || h.Place.Side == analyze.Request && isSecret(h) && !h.Test
		o.sensitive = o.sensitive || h.at(analyze.Response, analyze.InBody) && weighs(h) && !o.published(h)
	}
	set := func(f fact, on bool) {
		if on {
			o.facts |= f
		}
	}
	set(success, o.Success)
	set(plain, o.Wire == analyze.Plaintext)
	set(credentials, len(o.Credentials) > 0)
	for i := range o.Credentials {
		set(tokens, o.Credentials[i].JWT != nil)
	}
	set(hits, len(o.Hits) > 0)
	set(setCookies, len(o.SetCookies) > 0)
	set(failed, o.Status >= 400 || o.SoftFailure)
	set(unauthenticated, len(o.Credentials) == 0 && !o.maybe && !o.gateway && !o.signed && !o.signedURL && !o.Partial)
	set(smuggled, o.Smuggled != 0)
	set(browserOrigin, len(o.origin) > 0)
	set(answered, o.Status > 0)
	set(attempts, len(o.attacks) > 0)
	set(graphQL, o.gql.operations > 0)
	set(xmlBody, bytes.HasPrefix(bytes.TrimLeft(prefix(o.RequestBody, 64), " \t\r\n\ufeff"), []byte("<")))
	set(bodies, len(o.RequestBody) > 0 || len(o.ResponseBody) > 0)
}

// pathSession finds a session id that the path carries: /a;jsessionid=….
func (o *Observation) pathSession(rest []byte) {
	const key = ";jsessionid="
	for i := 0; i+len(key) < len(rest); i++ {
		if rest[i] != ';' || !strings.EqualFold(string(rest[i:i+len(key)]), key) {
			continue
		}
		v := rest[i+len(key):]
		if j := bytes.IndexAny(v, ";/"); j >= 0 {
			v = v[:j]
		}
		if len(v) >= 8 {
			o.add(Credential{Kind: Session, Place: analyze.Place{Side: analyze.Request, Where: analyze.InPath, Name: "jsessionid"}, Label: "cookie:jsessionid", Secret: o.r.secret(Session, v)})
		}
		return
	}
}

// principal chooses who made the request (rule 2).
func (o *Observation) principal() {
	if o.Auth = "none"; o.Partial {
		o.Auth = ""
	}
	best := 99
	for i := range o.Credentials {
		c := &o.Credentials[i]
		rank := 99
		switch {
		case c.Kind == Mutual:
			rank = 0
		case c.Kind == Token && c.JWT != nil && c.JWT.Subject:
			rank = 1
		case c.Kind == Token:
			rank = 2
		case c.Kind == Session, c.Kind == Bearer:
			rank = 3
		case c.Kind == APIKey:
			rank = 4
		case c.Kind == Basic:
			rank = 5
		case c.Kind == Other:
			rank = 6
		}
		if rank < best && c.Secret.Principal != "" {
			best = rank
			o.Auth, o.Principal = c.Label, c.Secret.Principal
		}
	}
	if o.Principal == "" {
		o.Weak = true
		o.Principal = o.r.anonymous(o.Client.Addr(), o.userAgent)
	}
	o.principalHash = fingerprintHash(o.Principal)
}

// anonymous is the principal of a request without credentials: its address and
// user agent.
func (r *Reader) anonymous(client netip.Addr, agent []byte) string {
	var h maphash.Hash
	h.SetSeed(r.seed)
	r.address = client.As16()
	h.Write(r.address[:])
	h.Write(agent)
	sum := h.Sum64()
	if s := r.secrets[sum]; s != nil {
		return s.Principal
	}
	s := &Secret{Principal: r.key.Fingerprint("client", append(r.address[:len(r.address):len(r.address)], agent...))}
	if len(r.secrets) >= r.opts.Secrets {
		clear(r.secrets)
	}
	r.secrets[sum] = s
	return s.Principal
}

// scanner names the security scanner a user agent belongs to, "" for others.
func (r *Reader) scanner(text []byte) string { return r.agent(text).scanner }

// agent is what a user agent says.
type agent struct {
	scanner string
	person  bool // a browser or an app, as far as one can tell
	hash    uint64
}

func (r *Reader) agent(text []byte) agent {
	if len(text) == 0 {
		return agent{}
	}
	sum := maphash.Bytes(r.seed, text)
	a, ok := r.agents[sum]
	if !ok {
		if len(r.agents) >= r.opts.Names {
			clear(r.agents)
		}
		a = agent{scanner(text), personal(text), tally.Hash(text)}
		r.agents[sum] = a
	}
	return a
}

// fingerprintHash takes 64 bits of a fingerprint without allocating.
func fingerprintHash(fp string) uint64 {
	if len(fp) < 16 {
		return tally.Hash(fp)
	}
	var n uint64
	for i := range 16 {
		c := fp[i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		default:
			c = c - 'a' + 10
		}
		n = n<<4 | uint64(c&15)
	}
	return n
}
