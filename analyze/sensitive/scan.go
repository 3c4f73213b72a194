package sensitive

import (
	"bytes"
	"net/netip"

	"plainsight/analyze/body"
)

// kinds of bytes.
const (
	isDigit uint8 = 1 << iota
	isUpper
	isLower
	isHex
	isToken // letters, digits, _ and -
	isHigh  // beyond ASCII
)

var kinds = func() (t [256]uint8) {
	for c := range t {
		switch {
		case '0' <= c && c <= '9':
			t[c] = isDigit | isHex | isToken
		case 'A' <= c && c <= 'Z':
			t[c] = isUpper | isToken
		case 'a' <= c && c <= 'z':
			t[c] = isLower | isToken
		case c == '_' || c == '-':
			t[c] = isToken
		case c >= 0x80:
			t[c] = isHigh
		}
		if 'A' <= c && c <= 'F' || 'a' <= c && c <= 'f' {
			t[c] |= isHex
		}
	}
	return t
}()

// signs are bytes that make a finder look closer; sums of them over a value
// say which finders run at all.
const (
	signDigit uint32 = 1 << iota
	signLetter
	signBlank
	signAt
	signColon
	signSlash
	signLess
	signEqual
	signPlus
	signDollar
	signDash
	signDot
	signSemi
	signBrace
	signHigh
	signUpper
	signTilde
	signOther // what has no sign of its own
)

var signs = func() (t [256]uint32) {
	for c := range t {
		t[c] = signOther
		switch k := kinds[c]; {
		case k&isDigit != 0:
			t[c] = signDigit
		case k&isUpper != 0:
			t[c] = signLetter | signUpper
		case k&isLower != 0:
			t[c] = signLetter
		case k&isHigh != 0:
			t[c] = signHigh
		}
	}
	for c, s := range map[byte]uint32{' ': signBlank, '\n': signBlank, '\t': signBlank, '@': signAt, ':': signColon, '/': signSlash, '<': signLess,
		'=': signEqual, '+': signPlus, '$': signDollar, '-': signDash, '.': signDot, ';': signSemi, '~': signTilde, '{': signBrace, '[': signBrace} {
		t[c] = s
	}
	return t
}()

// A found is a place in a text and what is there.
type found struct {
	detector   int
	from, to   int
	confidence float32
}

// maxFound is how many pieces one value may report.
const maxFound = 32

// index of a detector by its id; the rows that finders serve.
func index(id string) int {
	for i := range Detectors {
		if Detectors[i].ID == id {
			return i
		}
	}
	panic("no detector " + id)
}

var rows = struct {
	email, phone, jwt, url, db, presigned, slackHook, discordHook, telegram, key, azure, hash, saml, totp, mrz, track, ip, mac, card, password, street, bearer, basic, cookie, apiKey, access, iban, ssn, bic, eth, azureSecret, person, otp int
}{
	index("email"), index("phone"), index("jwt"), index("url_credentials"), index("db_connection_string"), index("presigned_url"), index("slack_webhook"), index("discord_webhook"),
	index("telegram_bot_token"), index("private_key"), index("azure_storage_key"), index("password_hash"), index("saml_assertion"), index("totp_seed"), index("mrz"), index("card_track"),
	index("ip_address"), index("mac_address"), index("credit_card"), index("password"), index("street_address"), index("bearer_token"), index("basic_auth"), index("session_cookie"), index("api_key"), index("access_token"), index("iban"), index("us_ssn"), index("swift_bic"), index("crypto_eth"), index("azure_client_secret"), index("person_name"), index("otp_code"),
}

// prefixes holds the beginnings of makers' tokens by their first byte, in the
// order of the table.
type prefix struct {
	text     string
	detector int
	least    int // bytes of a token
}

var prefixes = func() (t [128][]prefix) {
	for i := range Detectors {
		for _, p := range Detectors[i].Begins {
			t[p[0]] = append(t[p[0]], prefix{p, i, max(Detectors[i].Shape.Min, len(p)+1)})
		}
	}
	return t
}()

// alone holds the rows whose shape is enough, by the number of letters and
// digits of a piece.
var alone = func() (t [64][]int) {
	for i := range Detectors {
		d := &Detectors[i]
		if !d.Alone || d.Check == nil || d.Shape.Whole || len(d.Begins) > 0 {
			continue
		}
		for n := d.Shape.Min; n <= d.Shape.Max && n < len(t); n++ {
			t[n] = append(t[n], i)
		}
	}
	return t
}()

// wide are the rows that judge whole values, and pieces that judge pieces.
var wide, pieces, secrets = func() (w, p, s set) {
	for i := range Detectors {
		d := &Detectors[i]
		if d.Check != nil && (d.Shape.Whole || len(d.Begins) == 0 || d.ID == "api_key" || d.ID == "oauth_client_secret") {
			w.add(i)
		}
		if d.Check != nil && !d.Shape.Whole && len(d.Begins) == 0 {
			p.add(i)
		}
		if d.Category == Secret || d.Category == Credential {
			s.add(i)
		}
	}
	return w, p, s
}()

// unspoken are the rows that judge whole values by little but their names.
var unspoken = func() (s set) {
	for i := range Detectors {
		if Detectors[i].Shape.Whole && !Detectors[i].Alone {
			s.add(i)
		}
	}
	return s
}()

// weakAlone are rows that a blind value passes now and then (a tenth of
// 16-digit numbers passes Luhn): without a telling name they need a neutral
// one, or a text.
var weakAlone = func() (s set) {
	s.add(index("credit_card"))
	s.add(index("vin"))
	return s
}()

// finder finds in one text; it is reused from text to text.
type finder struct {
	found []found
	c     candidate
	w     words
	sent  bool // in a request
	year  int
	// Work is not done twice over the same bytes, whatever they are: before
	// these offsets no token and no address begins.
	noToken, noAddress int
}

func (f *finder) add(detector, from, to int, confidence float32) {
	if len(f.found) < maxFound {
		f.found = append(f.found, found{detector, from, to, confidence})
	}
}

// covered reports whether a byte is inside a finding.
func (f *finder) covered(i int) bool {
	for k := range f.found {
		if f.found[k].from <= i && i < f.found[k].to {
			return true
		}
	}
	return false
}

// find finds what text holds, named as cl says. number: it is a JSON number.
func (f *finder) find(text []byte, cl *class, number bool) {
	f.found = f.found[:0]
	f.noToken, f.noAddress = 0, 0
	from := 0
	for len(text) > from && text[from] <= ' ' {
		from++
	}
	for len(text) > from && text[len(text)-1] <= ' ' {
		text = text[:len(text)-1]
	}
	if len(text) == from {
		return
	}
	value := text[from:]
	if number {
		f.number(value, from, cl)
		return
	}
	plain := cl.hints.empty()
	if plain && len(value) >= 20 && len(value) <= 36 && (body.UUID(value) || body.DateTime(value)) {
		return // the most frequent values of APIs that are full of digits, and never anything by themselves
	}
	sum := signsOf(value)
	if plain && quiet(sum, len(value)) {
		return
	}
	f.look(text, from, sum, cl)
}

// signsOf is the sum of the signs of b.
func signsOf(b []byte) (sum uint32) {
	for len(b) >= 4 {
		sum |= signs[b[0]] | signs[b[1]] | signs[b[2]] | signs[b[3]]
		b = b[4:]
	}
	for _, c := range b {
		sum |= signs[c]
	}
	return sum
}

// quiet reports whether nothing can be found in n bytes with these signs under
// a name that hints at nothing: too short for anything but what certain marks
// give away, or words in small letters, of which nothing is made but sayings
// with marks in them. It spares [finder.look], and never knows better.
func quiet(sum uint32, n int) bool {
	const marks = signLess | signEqual | signColon | signAt
	switch {
	case sum&signDigit != 0:
		return n < 7 && sum&(marks|signBlank) == 0
	case n < 12:
		return sum&marks == 0
	}
	return sum&^(signLetter|signBlank|signDot|signSlash|signPlus|signHigh) == 0
}

// look finds what text holds from an offset on.
func (f *finder) look(text []byte, from int, sum uint32, cl *class) {
	value := text[from:]
	// What speaks for itself.
	f.strong(text, from, sum, cl)
	for i := range f.found {
		if r := f.found[i]; r.from <= from && r.to >= len(text) && (!cl.hints.has(rows.password) || secrets.has(r.detector)) {
			f.found[0] = r
			f.found = f.found[:1]
			return
		}
	}
	if !cl.hints.empty() {
		if f.whole(value, from, cl, false) {
			return
		}
	}
	if cl.hints.empty() && sum&signDigit != 0 && common(value) {
		return
	}
	switch {
	case sum&(signDigit|signUpper|signDash) == 0:
		if sum&signBlank != 0 && len(value) >= 12 {
			f.sayings(text, from, sum, cl)
		}
	case sum&signDigit != 0 || sum&signLetter != 0 && len(value) >= 12:
		f.words(text, from, sum, cl)
	}
}

// common tells the two most frequent values of APIs that are full of digits
// and never anything by themselves: times (RFC 3339) and UUIDs.
func common(b []byte) bool {
	switch n := len(b); {
	case n < 19 || n > 36 || kinds[b[0]]&isHex == 0:
		return false
	case b[4] == '-' && b[7] == '-' && (b[10] == 'T' || b[10] == ' ') && b[13] == ':' && b[16] == ':':
		return n <= 35 && kinds[b[18]]&isDigit != 0
	case n == 36 && b[8] == '-' && b[13] == '-' && b[18] == '-' && b[23] == '-':
		return true
	}
	return false
}

// number judges a JSON number: only under a telling name.
func (f *finder) number(body []byte, from int, cl *class) {
	if !cl.hints.empty() && len(body) >= 3 {
		f.whole(body, from, cl, true)
	}
}

// whole judges a value as a whole by the hints of its name.
func (f *finder) whole(body []byte, from int, cl *class, number bool) bool {
	c := &f.c
	if len(body) > 1<<14 && !cl.hints.has(rows.key) && !cl.hints.has(rows.saml) {
		return false
	}
	if !number && masked(body) && !cl.hints.has(rows.bic) { // XXX is a head office
		return false
	}
	c.cut(body)
	c.whole, c.named, c.number, c.sent, c.year = true, true, number, f.sent, f.year
	h := set{cl.hints[0] & wide[0], cl.hints[1] & wide[1]}
	for w := range h {
		for bits := h[w]; bits != 0; bits &= bits - 1 {
			i := w<<6 + trailing(bits)
			d := &Detectors[i]
			if d.Shape.fits(c) && d.Check(c) {
				if i != rows.password && len(f.found) > 0 { // a piece of it is known already
					return true
				}
				f.found = f.found[:0]
				f.add(i, from, from+len(body), confidence(d))
				return true
			}
		}
	}
	return false
}

// confidence of a finding under a telling name.
func confidence(d *Detector) float32 {
	if d.Shape.Whole {
		return 0.85
	}
	return 0.95
}

// strong runs the finders of shapes that need no name.
func (f *finder) strong(text []byte, from int, sum uint32, cl *class) {
	body := text[from:]
	if sum&signDash != 0 && len(body) > 40 && (sum&signBlank != 0 || body[0] == 'P') && (pem(body) || bytes.HasPrefix(body, []byte("PuTTY-User-Key-File-"))) {
		f.add(rows.key, from, len(text), 0.99)
		return
	}
	if len(body) >= 20 {
		f.noToken = 0
		if ps := prefixes[body[0]&127]; ps != nil {
			f.maker(text, from, ps, cl)
		}
		if body[0] == 'e' && body[1] == 'y' {
			if n, _ := jwtLength(body); n > 0 {
				f.add(rows.jwt, from, from+n, 0.99)
			}
		}
		if len(f.found) > 0 && f.found[0].to == len(text) {
			return
		}
		f.noToken = 0
	}
	switch body[0] {
	case '$', '{', 'p', 's', 'b', 'a':
		if len(body) >= 20 && sum&signBlank == 0 && (sum&signDollar != 0 || sum&signBrace != 0 || sum&signColon != 0) {
			f.c.cut(body)
			f.c.named, f.c.whole, f.c.number, f.c.year = false, true, false, f.year
			if passwordHash(&f.c) {
				f.add(rows.hash, from, len(text), 0.98)
				return
			}
		}
	case 'P', '<':
		if bytes.HasPrefix(body, []byte("PHNhbW")) && len(body) > 40 || bytes.HasPrefix(body, []byte("<saml")) {
			f.add(rows.saml, from, len(text), 0.98)
			return
		}
	case ';', '%':
		if n := track(body); n > 0 {
			f.add(rows.track, from, from+n, 0.99)
		}
	}
	if sum&signTilde != 0 {
		f.azure(text, from)
	}
	if sum&signLess != 0 && len(body) >= 60 && mrz(body) {
		f.add(rows.mrz, from, len(text), 0.99)
		return
	}
	if sum&(signEqual|signSemi) == signEqual|signSemi {
		f.pairs(body, from)
	}
	if sum&signColon != 0 {
		if sum&signSlash != 0 {
			f.urls(text, from)
		}
		if sum&(signDigit|signLetter) != 0 {
			f.hardware(text, from, cl)
		}
	}
	if sum&signAt != 0 && sum&signDot != 0 {
		f.emails(text, from)
	}
}

// azure finds client secrets of Azure AD, which have Q~ after four characters.
func (f *finder) azure(text []byte, from int) {
	for i := from; ; {
		k := bytes.Index(text[i:], []byte("Q~"))
		if k < 0 {
			return
		}
		start, end := i+k-4, i+k+2
		i = end
		for end < len(text) && (kinds[text[end]]&isToken != 0 || text[end] == '~' || text[end] == '.') && end-start < 64 {
			end++
		}
		if end > start+6 && text[end-1] == '.' {
			end--
		}
		if start < from || start > from && kinds[text[start-1]]&isToken != 0 {
			continue
		}
		f.c.cut(text[start:end])
		if azureSecret(&f.c) {
			f.add(rows.azureSecret, start, end, 0.98)
			i = end
		}
	}
}

// pairs finds connection strings of key=value pairs (ADO, ODBC, Azure).
func (f *finder) pairs(body []byte, from int) {
	if i := bytes.Index(body, []byte("AccountKey=")); i >= 0 {
		rest := body[i+11:]
		if j := bytes.IndexByte(rest, ';'); j >= 0 {
			rest = rest[:j]
		}
		if len(rest) >= 40 {
			f.add(rows.azure, from, from+len(body), 0.98)
			return
		}
	}
	if i := bytes.Index(body, []byte("SharedAccessKey=")); i >= 0 && len(body)-i > 36 {
		f.add(rows.azure, from, from+len(body), 0.9)
		return
	}
	var server, secret bool
	for part := range bytes.SplitSeq(body, []byte{';'}) {
		k, v, ok := bytes.Cut(part, []byte{'='})
		if !ok || len(k) > 24 {
			continue
		}
		k = bytes.TrimSpace(k)
		switch {
		case equalFold(k, "password") || equalFold(k, "pwd"):
			secret = secret || len(v) >= 3 && !placeholder(bytes.TrimSpace(v))
		case equalFold(k, "server") || equalFold(k, "data source") || equalFold(k, "host") || equalFold(k, "database") || equalFold(k, "initial catalog") || equalFold(k, "user id") || equalFold(k, "uid"):
			server = true
		}
	}
	if server && secret {
		f.add(rows.db, from, from+len(body), 0.97)
	}
}

func equalFold(b []byte, lower string) bool {
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

// urls looks into each URL: credentials, signatures, webhooks.
func (f *finder) urls(text []byte, from int) {
	for i := from; ; {
		k := bytes.Index(text[i:], []byte("://"))
		if k < 0 {
			return
		}
		at := i + k
		start := at
		for start > from && (kinds[text[start-1]]&(isUpper|isLower|isDigit) != 0 || text[start-1] == '+') && at-start < 20 {
			start--
		}
		end := at + 3
		for end < len(text) && text[end] > ' ' && text[end] != '"' && text[end] != '<' && text[end] != '>' && text[end] != '`' && text[end] != '\'' {
			end++
		}
		if start < at {
			f.url(text, start, at, end)
		}
		i = end
	}
}

func (f *finder) url(text []byte, start, at, end int) {
	rest := text[at+3 : end]
	stop := end
	for stop > at+3 && (text[stop-1] == '.' || text[stop-1] == ',' || text[stop-1] == ')' || text[stop-1] == ';') {
		stop--
	}
	n := 0
	for n < len(rest) && rest[n] != '/' && rest[n] != '?' && rest[n] != '#' {
		n++
	}
	authority := rest[:n]
	scheme := text[start:at]
	if equalFold(scheme, "otpauth") {
		if bytes.Contains(rest, []byte("secret=")) {
			f.add(rows.totp, start, stop, 0.99)
		}
		return
	}
	if i := bytes.LastIndexByte(authority, '@'); i > 0 {
		user := authority[:i]
		if j := bytes.IndexByte(user, ':'); j >= 0 {
			if pass := user[j+1:]; len(pass) > 0 && !placeholder(pass) && !masked(pass) && !templated(pass) {
				row := rows.url
				if database(scheme) {
					row = rows.db
				}
				f.add(row, start, stop, 0.98)
				return
			}
		}
	}
	tail := rest[len(authority):]
	host := authority
	switch {
	case bytes.Equal(host, []byte("hooks.slack.com")) && bytes.HasPrefix(tail, []byte("/services/T")) && bytes.Count(tail, []byte{'/'}) >= 4 && len(tail) >= 30:
		f.add(rows.slackHook, start, stop, 0.99)
		return
	case bytes.HasPrefix(tail, []byte("/api/webhooks/")) && (bytes.HasSuffix(host, []byte("discord.com")) || bytes.HasSuffix(host, []byte("discordapp.com"))) && len(tail) > 60:
		f.add(rows.discordHook, start, stop, 0.99)
		return
	}
	q := bytes.IndexByte(tail, '?')
	if q >= 0 {
		if signed(tail[q:]) {
			f.add(rows.presigned, start, stop, 0.98)
			return
		}
		if database(scheme) && bytes.Contains(tail[q:], []byte("password=")) {
			f.add(rows.db, start, stop, 0.95)
		}
	}
}

// signed reports whether a query carries a signature that opens the resource.
func signed(q []byte) bool {
	has := func(s string) bool { return bytes.Contains(q, []byte(s)) }
	switch {
	case has("X-Amz-Signature=") && has("X-Amz-Credential="), has("X-Goog-Signature="):
		return true
	case has("sig=") && (has("sv=") || has("se=")) && (has("sp=") || has("sr=") || has("ss=")):
		return true
	case has("Signature=") && has("Key-Pair-Id="), has("Signature=") && has("AWSAccessKeyId="), has("Signature=") && has("OSSAccessKeyId="), has("Signature=") && has("GoogleAccessId="):
		return true
	}
	return false
}

func database(scheme []byte) bool {
	if i := bytes.IndexByte(scheme, '+'); i >= 0 {
		scheme = scheme[:i]
	}
	for _, s := range [...]string{"postgres", "postgresql", "mysql", "mariadb", "mongodb", "redis", "rediss", "amqp", "amqps", "mssql", "sqlserver", "oracle", "cockroachdb", "clickhouse", "cassandra", "db2", "snowflake", "nats", "couchbase", "jdbc", "mqtt", "mqtts", "kafka", "memcached", "neo4j", "bolt", "influxdb", "elasticsearch"} {
		if equalFold(scheme, s) {
			return true
		}
	}
	return false
}

// templated: ${PASSWORD}, {{ .Pass }}, %s, <password>.
func templated(b []byte) bool {
	return b[0] == '$' || b[0] == '{' || b[0] == '<' || b[0] == '%' && len(b) == 2
}

// emails finds addresses around each @ (RFC 5321 as it is used).
func (f *finder) emails(text []byte, from int) {
	for i := from; ; {
		k := bytes.IndexByte(text[i:], '@')
		if k < 0 {
			return
		}
		at := i + k
		i = at + 1
		start := at
		for start > from && emailLocal(text[start-1]) && at-start < 65 {
			start--
		}
		for start < at && (text[start] == '.' || text[start] == '-' || text[start] == '\'' || text[start] == '/' || text[start] == '=') {
			start++
		}
		if start == at || at-start > 64 || text[at-1] == '.' || start > 0 && (text[start-1] == '*' || text[start-1] == '@' || text[start-1] >= 0x80) {
			continue
		}
		end, dot := at+1, -1
		for end < len(text) && end-at < 256 && (kinds[text[end]]&(isDigit|isUpper|isLower|isHigh) != 0 || text[end] == '.' || text[end] == '-') {
			if text[end] == '.' {
				if text[end-1] == '.' || text[end-1] == '@' {
					break
				}
				dot = end
			}
			end++
		}
		for end > at+1 && (text[end-1] == '.' || text[end-1] == '-') {
			end--
			if dot == end {
				dot = bytes.LastIndexByte(text[at+1:end], '.')
				if dot >= 0 {
					dot += at + 1
				}
			}
		}
		if dot <= at+1 || !tld(text[dot+1:end]) {
			continue
		}
		if end < len(text) && (text[end] == '*' || text[end] == '@' || text[end] == ':' && end+1 < len(text) && text[end+1] > ' ' && text[end+1] != '"') {
			continue // masked, or a place: git@host:path
		}
		if f.covered(at) || start > from+2 && text[start-1] == '/' && text[start-2] == '/' { // inside a URL
			continue
		}
		if start > from && text[start-1] == ':' && start > from+3 && bytes.LastIndex(text[max(from, start-40):start], []byte("://")) >= 0 {
			continue
		}
		if equalFold(text[start:at], "git") {
			continue
		}
		f.add(rows.email, start, end, 0.97)
		i = end
	}
}

func emailLocal(c byte) bool {
	if kinds[c]&(isDigit|isUpper|isLower) != 0 {
		return true
	}
	switch c {
	case '.', '_', '%', '+', '-', '\'', '!', '#', '&', '~', '^', '=', '/':
		return c != '/' && c != '='
	}
	return false
}

// tld takes the last label of a host name: two or more letters, and not the
// ending of a file that is put at @2x.
func tld(b []byte) bool {
	if len(b) < 2 || len(b) > 24 {
		return false
	}
	for _, c := range b {
		if kinds[c]&(isUpper|isLower|isHigh) == 0 && !(c == '-' || kinds[c]&isDigit != 0 && bytes.HasPrefix(b, []byte("xn--"))) {
			return false
		}
	}
	switch string(b) {
	case "png", "jpg", "jpeg", "gif", "svg", "webp", "js", "ts", "css", "json", "html", "tgz", "local", "internal", "localdomain", "ico", "pdf", "bmp", "avif", "mp4", "tiff", "woff", "webm", "plist":
		return false
	}
	return true
}

// hardware finds MAC and IPv6 addresses: hex between colons.
func (f *finder) hardware(text []byte, from int, cl *class) {
	for i := from; ; {
		k := bytes.IndexByte(text[i:], ':')
		if k < 0 {
			return
		}
		at := i + k
		start, end := at, at
		for start > i && (kinds[text[start-1]]&isHex != 0 || text[start-1] == ':') {
			start--
		}
		for end < len(text) && (kinds[text[end]]&isHex != 0 || text[end] == ':' || text[end] == '.') {
			end++
		}
		i = max(end, at+1)
		for end > start && (text[end-1] == '.' || text[end-1] == ':' && (end < start+2 || text[end-2] != ':')) {
			end--
		}
		if start > from && kinds[text[start-1]]&(isToken|isHigh) != 0 || end < len(text) && kinds[text[end]]&isToken != 0 || end-start < 3 || end-start > 45 {
			continue
		}
		b := text[start:end]
		colons := bytes.Count(b, []byte{':'})
		switch {
		case colons == 5 && len(b) == 17:
			if mac(b) && cl.flags&public == 0 {
				f.add(rows.mac, start, end, 0.95)
			}
		case colons >= 2 && colons <= 7 && (cl.flags&version == 0 || cl.hints.has(rows.ip)):
			if (colons == 7 || bytes.Contains(b, []byte("::"))) && hexLetterOrLong(b) && address(b) {
				f.add(rows.ip, start, end, 0.9)
			}
		}
	}
}

// hexLetterOrLong keeps times and ratios out: 12::30.
func hexLetterOrLong(b []byte) bool { return len(b) >= 8 }

// address takes what could be somebody's: not loopback, not unspecified.
func address(b []byte) bool {
	var buf [48]byte
	if len(b) > len(buf) {
		return false
	}
	a, ok := parseAddr(b)
	return ok && !a.IsLoopback() && !a.IsUnspecified() && !a.IsMulticast()
}

func mac(b []byte) bool {
	sep := b[2]
	same := true
	for i, c := range b {
		if i%3 == 2 {
			if c != sep {
				return false
			}
		} else if kinds[c]&isHex == 0 {
			return false
		} else if c != b[0] {
			same = false
		}
	}
	return !same
}

// mrz verifies the zone of travel documents (ICAO 9303): two lines of 44 or 36,
// three of 30.
func mrz(b []byte) bool {
	var line [3][]byte
	n := 0
	for len(b) > 0 && n < 3 {
		i := 0
		for i < len(b) && (kinds[b[i]]&(isDigit|isUpper) != 0 || b[i] == '<') {
			i++
		}
		if i == 0 {
			return false
		}
		line[n] = b[:i]
		n++
		b = bytes.TrimLeft(b[i:], "\r\n \\n")
		if i < 30 {
			return false
		}
	}
	if n == 1 {
		l := line[0]
		switch len(l) {
		case 88, 72:
			line[0], line[1], n = l[:len(l)/2], l[len(l)/2:], 2
		case 90:
			line[0], line[1], line[2], n = l[:30], l[30:60], l[60:], 3
		}
	}
	switch {
	case n == 2 && len(line[0]) == len(line[1]) && (len(line[0]) == 44 || len(line[0]) == 36):
		l := line[1]
		return mrzDigit(l[0:9], l[9]) && mrzDigit(l[13:19], l[19]) && mrzDigit(l[21:27], l[27])
	case n == 3 && len(line[0]) == 30 && len(line[1]) == 30:
		return mrzDigit(line[0][5:14], line[0][14]) && mrzDigit(line[1][0:6], line[1][6]) && mrzDigit(line[1][8:14], line[1][14])
	}
	return false
}

func mrzDigit(field []byte, check byte) bool {
	sum := 0
	for i, c := range field {
		v := 0
		switch {
		case '0' <= c && c <= '9':
			v = int(c - '0')
		case 'A' <= c && c <= 'Z':
			v = int(c-'A') + 10
		}
		sum += v * [...]int{7, 3, 1}[i%3]
	}
	return int(check-'0') == sum%10
}

// track measures the data of a magnetic stripe (ISO/IEC 7813) at the start of b.
func track(b []byte) int {
	i := 1
	end := byte('=')
	if b[0] == '%' {
		if len(b) < 2 || b[1]|0x20 != 'b' {
			return 0
		}
		i, end = 2, '^'
	}
	start := i
	for i < len(b) && i-start < 20 && (kinds[b[i]]&isDigit != 0) {
		i++
	}
	d := b[start:i]
	if len(d) < 12 || len(d) > 19 || i >= len(b) || b[i] != end && b[i] != 'D' || !luhn(d) || !cardRange(d) {
		return 0
	}
	stop := min(len(b), i+80)
	q := bytes.IndexByte(b[i:stop], '?')
	if q < 4 {
		return 0
	}
	return i + q + 1
}

// parseAddr reads an address without a string.
func parseAddr(b []byte) (netip.Addr, bool) {
	a, err := netip.ParseAddr(string(b))
	return a, err == nil
}
