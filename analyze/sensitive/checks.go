package sensitive

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
)

// A candidate is a value, or a piece of a text, cut out to be judged.
type candidate struct {
	text    []byte // as written, without blanks around it; borrowed
	compact []byte // its letters and digits, in upper case; nil where there are more than 96
	n       int    // letters, digits and bytes beyond ASCII
	digits  int
	upper   int
	lower   int
	high    int  // bytes beyond ASCII
	seps    seps // what stands between
	groups  int  // runs of letters and digits
	lens    [8]int8
	number  bool // a JSON number
	whole   bool // the whole value
	named   bool // its name hints at the detector that judges
	sent    bool // by a client, in a request
	year    int  // of the traffic; 0: not known
	buf     [96]byte
}

type seps uint8

const (
	blankSep seps = 1 << iota
	dashSep
	dotSep
	slashSep
	colonSep
	plusSep
	parenSep
	otherSep
)

// cut fills the candidate from text.
func (c *candidate) cut(text []byte) {
	c.text, c.n, c.digits, c.upper, c.lower, c.high, c.seps, c.groups = text, 0, 0, 0, 0, 0, 0, 0
	c.lens = [8]int8{}
	run, k := 0, 0
	for _, b := range text {
		switch bits := kinds[b]; {
		case bits&isDigit != 0:
			c.digits++
		case bits&isUpper != 0:
			c.upper++
		case bits&isLower != 0:
			c.lower++
			b -= 'a' - 'A'
		case b >= 0x80:
			c.high++
		default:
			switch b {
			case ' ':
				c.seps |= blankSep
			case '-':
				c.seps |= dashSep
			case '.':
				c.seps |= dotSep
			case '/':
				c.seps |= slashSep
			case ':':
				c.seps |= colonSep
			case '+':
				c.seps |= plusSep
			case '(', ')':
				c.seps |= parenSep
			default:
				c.seps |= otherSep
			}
			run = 0
			continue
		}
		if run == 0 {
			c.groups++
		}
		run++
		if c.groups <= len(c.lens) && run < 100 {
			c.lens[c.groups-1] = int8(run)
		}
		if k < len(c.buf) {
			c.buf[k] = b
			k++
		}
	}
	c.n = c.digits + c.upper + c.lower + c.high
	c.compact = c.buf[:k]
	if c.n > len(c.buf) {
		c.compact = nil
	}
}

// fits is the cheap half of a judgement.
func (s *Shape) fits(c *candidate) bool {
	return s.Min <= c.n && c.n <= s.Max && s.Digits <= c.digits && (!s.AllDigits || c.digits == c.n)
}

func (c *candidate) only(s seps) bool { return c.seps&^s == 0 }

// grouped reports whether the runs have these lengths.
func (c *candidate) grouped(lens ...int8) bool {
	if c.groups != len(lens) {
		return false
	}
	for i, n := range lens {
		if c.lens[i] != n {
			return false
		}
	}
	return true
}

func always(*candidate) bool { return true }

// sasToken is the query of a presigned URL by itself.
func sasToken(c *candidate) bool { return signed(c.text) }

func exactly(n int) func(*candidate) bool {
	return func(c *candidate) bool { return len(c.text) == n }
}

func prefixHex(prefix string) func(*candidate) bool {
	return func(c *candidate) bool {
		return len(c.text) >= len(prefix)+32 && hexes(c.text[len(prefix):len(prefix)+32]) && varied(c.text[len(prefix):])
	}
}

func hexes(b []byte) bool {
	for _, c := range b {
		if kinds[c]&isHex == 0 {
			return false
		}
	}
	return true
}

// varied tells random text from a repetition: xxxxxxxx, 00000000, abababab.
func varied(b []byte) bool {
	var seen [4]uint64
	n := 0
	for _, c := range b {
		if seen[c>>6]>>(c&63)&1 == 0 {
			seen[c>>6] |= 1 << (c & 63)
			n++
		}
	}
	return n >= min(5, len(b))
}

// ---- secrets ----------------------------------------------------------------

func privateKey(c *candidate) bool {
	return pem(c.text) || bytes.HasPrefix(c.text, []byte("PuTTY-User-Key-File-")) ||
		c.n >= 80 && c.seps&(blankSep|colonSep) == 0 && (bytes.HasPrefix(c.text, []byte("MII")) || bytes.HasPrefix(c.text, []byte("LS0tLS1CRUdJTi"))) ||
		c.n >= 64 && c.seps == 0 && hexes(c.text) && varied(c.text)
}

// pem finds the frame of a private key; public keys and certificates have
// other words in theirs.
func pem(b []byte) bool {
	for {
		i := bytes.Index(b, []byte("-----BEGIN "))
		if i < 0 {
			return false
		}
		b = b[i+11:]
		label := b[:min(len(b), 48)]
		if end := bytes.Index(label, []byte("-----")); end >= 0 && bytes.Contains(label[:end], []byte("PRIVATE KEY")) && len(b) > end+16 {
			return true
		}
	}
}

func awsKeyID(c *candidate) bool {
	for _, b := range c.text[4:] {
		if !('A' <= b && b <= 'Z' || '2' <= b && b <= '7') && kinds[b]&isDigit == 0 {
			return false
		}
	}
	return len(c.text) == 20 && varied(c.text)
}

func awsSecret(c *candidate) bool {
	if len(c.text) != 40 || hexes(c.text) || c.seps&^(slashSep|plusSep) != 0 || c.upper == 0 || c.lower == 0 || c.digits == 0 {
		return false
	}
	return varied(c.text)
}

// azureSecret: three characters, a digit, Q~, 31 to 34 characters.
func azureSecret(c *candidate) bool {
	t := c.text
	return len(t) >= 37 && len(t) <= 40 && t[4] == 'Q' && t[5] == '~' && kinds[t[3]]&isDigit != 0 && c.lower > 3 && c.seps&(blankSep|colonSep|slashSep) == 0
}

func azureStorage(c *candidate) bool {
	t := c.text
	if i := bytes.Index(t, []byte("AccountKey=")); i >= 0 {
		t = t[i+11:]
		if j := bytes.IndexByte(t, ';'); j >= 0 {
			t = t[:j]
		}
		return len(t) >= 40
	}
	if len(t) != 88 || t[86] != '=' || t[87] != '=' {
		return false
	}
	var out [66]byte
	n, err := base64.StdEncoding.Decode(out[:], t)
	return err == nil && n == 64
}

func sendgrid(c *candidate) bool {
	return len(c.text) == 69 && c.text[25] == '.' || c.n > 50 && bytes.Count(c.text, []byte{'.'}) == 2
}

func openAI(c *candidate) bool {
	t := c.text[min(3, len(c.text)):]
	known := bytes.HasPrefix(t, []byte("proj-")) || bytes.HasPrefix(t, []byte("svcacct-")) || bytes.HasPrefix(t, []byte("admin-")) || bytes.HasPrefix(t, []byte("None-"))
	return bytes.Contains(t, []byte("T3BlbkFJ")) || known && c.digits >= 2 && c.upper >= 4 && c.lower >= 4
}

func huggingFace(c *candidate) bool { return len(c.text) >= 37 && c.upper > 3 && c.lower > 3 }

// mailchimp: 32 hex digits, -us, the number of a data centre.
func mailchimp(c *candidate) bool {
	t := c.text
	return len(t) >= 36 && len(t) <= 38 && string(t[32:35]) == "-us" && hexes(t[:32]) && digits(t[35:]) && varied(t[:32])
}

// token is an opaque secret under a telling name: long, of the token alphabet,
// not a word, a path, a sentence or a placeholder.
func token(c *candidate) bool {
	t := c.text
	if len(t) < 16 || len(t) > 4096 || c.high > 0 || c.seps&(blankSep|parenSep) != 0 || c.number {
		return false
	}
	marks, kind := 0, 0
	for _, b := range t {
		switch {
		case kinds[b]&(isDigit|isUpper|isLower) != 0:
		case b == '-' || b == '_':
			marks++
		case b == '.' || b == '+' || b == '/' || b == '=' || b == '~' || b == ':' || b == '%' || b == '$' || b == '!' || b == '*' || b == '#' || b == '@' || b == '&' || b == '^':
			kind++
		default:
			return false
		}
	}
	if placeholder(t) || !varied(t) || kind > len(t)/3 {
		return false
	}
	if bytes.Contains(t, []byte("://")) || bytes.HasPrefix(t, []byte("arn:")) || t[0] == '/' && alternating(t) < len(t)/4 || t[0] == '#' || t[0] == '$' && t[1] == '{' || masked(t) {
		return false
	}
	if c.digits == 0 {
		// Words joined by marks are names; random letters are mixed in case.
		return c.upper >= 4 && c.lower >= 4 && marks <= 1 && alternating(t) >= 6
	}
	if c.digits == c.n {
		return len(t) >= 20 && c.seps == 0
	}
	if c.upper == 0 || c.lower == 0 {
		// One case: hex, base32, or words with a number behind them.
		return hexes(t) || c.digits >= 4 && digitRuns(t) >= 3
	}
	return alternating(t) >= len(t)/6
}

func clientSecret(c *candidate) bool {
	return bytes.HasPrefix(c.text, []byte("GOCSPX-")) && len(c.text) > 24 || token(c)
}

// alternating counts changes between upper case, lower case and digits.
func alternating(t []byte) (n int) {
	last := uint8(0)
	for _, b := range t {
		k := kinds[b] & (isDigit | isUpper | isLower)
		if last != 0 && k != last && k != 0 {
			n++
		}
		last = k
	}
	return n
}

func digitRuns(t []byte) (n int) {
	in := false
	for _, b := range t {
		d := kinds[b]&isDigit != 0
		if d && !in {
			n++
		}
		in = d
	}
	return n
}

func accessToken(c *candidate) bool {
	if !token(c) || uuid(c) && !c.named {
		return false
	}
	return true
}

// sessionID: what a session cookie holds.
func sessionID(c *candidate) bool {
	if len(c.text) < 16 || c.high > 0 || placeholder(c.text) || !varied(c.text) || masked(c.text) {
		return false
	}
	if c.named && uuid(c) {
		return false // in a body or a query more often a visit than a login
	}
	return c.digits > 0 && c.upper+c.lower > 0 || c.digits >= 20 || c.upper > 2 && c.lower > 2 && alternating(c.text) >= 6
}

// passwordHash reads the formats of crypt(3) and of frameworks; under a telling
// name also bare digests.
func passwordHash(c *candidate) bool {
	t := c.text
	if len(t) < 12 {
		return false
	}
	if t[0] == '$' {
		parts := bytes.Count(t, []byte{'$'})
		id, _, _ := bytes.Cut(t[1:], []byte{'$'})
		switch string(id) {
		case "2a", "2b", "2y", "2x":
			return len(t) == 60 && parts == 3
		case "1", "5", "6", "y", "7", "gy", "apr1", "md5", "sha1", "argon2i", "argon2d", "argon2id", "scrypt", "bcrypt-sha256", "pbkdf2", "pbkdf2-sha1", "pbkdf2-sha256", "pbkdf2-sha512", "P", "H", "S":
			return parts >= 3 && len(t) >= 26 && c.seps&blankSep == 0
		}
		return (bytes.HasPrefix(t, []byte("$P$")) || bytes.HasPrefix(t, []byte("$H$")) || bytes.HasPrefix(t, []byte("$S$"))) && len(t) >= 34
	}
	for _, p := range [...]string{"pbkdf2_sha256$", "pbkdf2_sha1$", "pbkdf2_sha512$", "pbkdf2:sha256", "pbkdf2:sha512", "scrypt:", "scrypt$", "bcrypt_sha256$", "bcrypt$", "argon2$", "argon2i$", "argon2id$", "sha1$", "sha256$", "{SSHA}", "{SHA}", "{SSHA512}", "{SHA512}", "{PBKDF2", "{CRYPT}", "{BCRYPT}", "{MD5}", "{bcrypt}$"} {
		if bytes.HasPrefix(t, []byte(p)) {
			return len(t) >= len(p)+16 && c.seps&blankSep == 0
		}
	}
	if !c.named || c.seps&blankSep != 0 || !varied(t) {
		return false
	}
	n := len(t)
	return hexes(t) && (n == 32 || n == 40 || n == 48 || n == 56 || n == 64 || n == 96 || n == 128) ||
		n >= 24 && c.seps&^(slashSep|plusSep|otherSep) == 0 && token(c)
}

// totp: base32 of 10 or more bytes.
func totp(c *candidate) bool {
	if c.seps&^(blankSep|dashSep|otherSep) != 0 || c.n < 16 || c.n > 64 || c.upper > 0 && c.lower > 0 || c.number {
		return false
	}
	for _, b := range c.compact {
		if !('A' <= b && b <= 'Z' || '2' <= b && b <= '7') {
			return hexes(c.text) && c.digits > 4 && (c.n == 32 || c.n == 40 || c.n == 64)
		}
	}
	return varied(c.compact) && (c.digits > 0 || c.seps == 0 && c.lower == 0)
}

func walletKey(c *candidate) bool {
	t := c.text
	switch {
	case c.digits == 0 && c.upper == 0 && c.only(blankSep|dashSep|otherSep) && c.high == 0:
		// BIP-39: 12 to 24 short words.
		words := bytes.Count(t, []byte{' '}) + 1
		if words != 12 && words != 15 && words != 18 && words != 21 && words != 24 {
			return false
		}
		for w := range bytes.SplitSeq(t, []byte{' '}) {
			if len(w) < 3 || len(w) > 8 {
				return false
			}
		}
		return true
	case len(t) == 51 || len(t) == 52: // WIF
		return t[0] == '5' || t[0] == 'K' || t[0] == 'L' || t[0] == 'c' || t[0] == '9'
	case bytes.HasPrefix(t, []byte("xprv")) || bytes.HasPrefix(t, []byte("zprv")) || bytes.HasPrefix(t, []byte("yprv")):
		return len(t) > 100
	case bytes.HasPrefix(t, []byte("0x")):
		return len(t) == 66 && hexes(t[2:])
	}
	return len(t) == 64 && hexes(t) && varied(t)
}

// saml: base64 of an XML text that speaks of SAML.
func saml(c *candidate) bool {
	t := c.text
	if bytes.HasPrefix(t, []byte("PHNhbW")) {
		return len(t) > 40
	}
	if bytes.HasPrefix(t, []byte("<saml")) || bytes.HasPrefix(t, []byte("&lt;saml")) {
		return len(t) > 24
	}
	return c.named && len(t) > 100 && c.seps&blankSep == 0 && (bytes.HasPrefix(t, []byte("PD94bWw")) || bytes.HasPrefix(t, []byte("PH")) || bytes.HasPrefix(t, []byte("PE")) || token(c))
}

// placeholder tells text that stands for a secret from a secret.
func placeholder(t []byte) bool {
	var buf [40]byte
	if len(t) > len(buf) {
		return bytes.HasPrefix(t, []byte("<")) && bytes.HasSuffix(t, []byte(">")) || bytes.HasPrefix(t, []byte("{{")) || bytes.HasPrefix(t, []byte("${"))
	}
	for i, b := range t {
		if 'A' <= b && b <= 'Z' {
			b |= 0x20
		}
		buf[i] = b
	}
	l := buf[:len(t)]
	if placeholders[string(l)] || masked(t) {
		return true
	}
	for _, p := range [...]string{"redacted", "your-", "your_", "<your", "changeme", "change-me", "change_me", "replace_", "placeholder", "insert-", "insert_", "xxxx", "example", "not-a-real", "dummy", "${", "{{", "%(", "vault:", "secretref", "arn:", "ref+", "secret://", "env:", "process.env", "op://", "ssm:", "sops:", "todo", "[filtered", "[removed", "[hidden", "[masked", "(hidden", "(none", "omitted", "filtered", "encrypted:", "enc("} {
		if bytes.Contains(l, []byte(p)) {
			return true
		}
	}
	return len(l) > 1 && l[0] == '<' && l[len(l)-1] == '>'
}

var placeholders = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range bytes.Fields([]byte(`null nil none undefined n/a na nan true false yes no on off enabled disabled required optional string text password passwd secret token key value
	unknown empty hidden masked redacted removed private protected test todo tbd default - -- ... * required_field set unset present absent valid invalid
	expired active inactive strong weak medium ok bearer basic jwt oauth oauth2 mac digest saml oidc plain bcrypt argon2 sha256 md5 ja nein oui non si 0 1
	string[] string? input hash encrypted sensitive confidential passed failed skipped pass fail success error pending incorrect wrong mismatch changed
	unchanged manual auto automatic generated varchar boolean`)) {
		m[string(w)] = true
	}
	return m
}()

// masked reports whether most of a value was hidden already.
func masked(t []byte) bool {
	hidden, plain := 0, 0
	for i := 0; i < len(t); i++ {
		switch b := t[i]; {
		case b == '*' || b == '#':
			hidden++
		case b == 'x' || b == 'X':
			if i > 0 && (t[i-1] == b || t[i-1] == '-' || t[i-1] == ' ') || i+1 < len(t) && t[i+1] == b {
				hidden++
			} else {
				plain++
			}
		case b == 0xe2 && i+2 < len(t) && t[i+1] == 0x80 && (t[i+2] == 0xa2 || t[i+2] == 0xa6): // • and …
			hidden += 3
			i += 2
		case b == 0xe2 && i+2 < len(t) && t[i+1] == 0x97: // ● ○
			hidden += 3
			i += 2
		case kinds[b]&(isDigit|isUpper|isLower) != 0 || b >= 0x80:
			plain++
		}
	}
	return hidden >= 3 && hidden*2 >= plain || hidden >= 5 && hidden*3 >= plain
}

// password takes nearly everything under its name that is not plainly
// something else.
func password(c *candidate) bool {
	t := c.text
	if len(t) < 3 || len(t) > 128 || c.number && len(t) < 4 || placeholder(t) && !(c.sent && guessed(t)) || bytes.Contains(t, []byte("://")) {
		return false
	}
	if bytes.Count(t, []byte{' '}) > 6 || !varied(t) && c.digits == 0 && len(t) < 4 {
		return false
	}
	if blanks := bytes.Count(t, []byte{' '}); blanks > 0 {
		for _, w := range [...]string{"required", "must ", "incorrect", "invalid", "should ", "cannot ", "too short", "at least", "is not "} {
			if bytes.Contains(t, []byte(w)) {
				return false // said about a password
			}
		}
	}
	if t[0] == '{' || t[0] == '[' || t[0] == '/' && bytes.Count(t, []byte{'/'}) > 1 {
		return false
	}
	return true
}

// guessed reports whether t is a word that stands for a password in documents
// and examples, and is one where a client sends it: the weakest there are.
func guessed(t []byte) bool {
	switch string(t) {
	case "password", "Password", "passwd", "pass", "secret", "test", "default", "changeme", "change-me", "example", "dummy", "private", "key":
		return true
	}
	return false
}

func pin(c *candidate) bool {
	if !c.only(blankSep|dashSep) || c.groups > 4 {
		return false
	}
	if c.digits == c.n {
		return c.n >= 4 && c.n <= 8 && c.seps == 0
	}
	return c.n == 16 && hexes(c.compact) && c.seps == 0
}

func answer(c *candidate) bool {
	return len(c.text) >= 2 && !placeholder(c.text) && c.n > 0 && !bytes.Contains(c.text, []byte("://"))
}

// ---- dates --------------------------------------------------------------------

func leap(y int) bool { return y%4 == 0 && (y%100 != 0 || y%400 == 0) }

func validDate(y, m, d int) bool {
	if m < 1 || m > 12 || d < 1 {
		return false
	}
	days := [...]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[m-1]
	if m == 2 && leap(y) {
		days = 29
	}
	return d <= days
}

func num(b []byte) (n int) {
	for _, c := range b {
		n = n*10 + int(c-'0')
	}
	return n
}

// birthDate: a day between 120 years ago and today, in the orders that people
// use; with a month written out too.
func birthDate(c *candidate) bool {
	t := c.compact
	t8 := t
	if c.seps&colonSep != 0 && len(t) > 8 && (c.lens[0] == 4) { // a time of day follows
		t8 = t[:8]
		if !digits(t8) {
			return false
		}
		return c.born(num(t8[:4]), num(t8[4:6]), num(t8[6:8]))
	}
	if c.digits != c.n {
		return c.whole && (c.monthName() || c.high == 9 && c.digits >= 6 && c.digits <= 8 && bytes.Contains(c.text, []byte("年")))
	}
	switch {
	case c.groups == 1 && len(t) == 8 && c.seps == 0:
		return c.born(num(t[:4]), num(t[4:6]), num(t[6:])) || c.born(num(t[4:]), num(t[2:4]), num(t[:2])) || c.born(num(t[4:]), num(t[:2]), num(t[2:4]))
	case c.groups == 1 && len(t) == 6 && c.seps == 0 && c.whole:
		return validDate(2000, num(t[2:4]), num(t[4:])) || validDate(2000, num(t[2:4]), num(t[:2]))
	case c.groups != 3 || !c.only(dashSep|dotSep|slashSep|blankSep):
		return false
	}
	var p [3]int
	at := 0
	for i := range p {
		n := int(c.lens[i])
		if n > 4 || at+n > len(t) {
			return false
		}
		p[i] = num(t[at : at+n])
		at += n
	}
	switch {
	case c.lens[0] == 4:
		return c.born(p[0], p[1], p[2])
	case c.lens[2] == 4:
		return c.born(p[2], p[1], p[0]) || c.born(p[2], p[0], p[1])
	case c.lens[2] == 2 && c.lens[0] <= 2 && c.lens[1] <= 2:
		return validDate(2000, p[1], p[0]) || validDate(2000, p[0], p[1])
	}
	return false
}

// lived reports whether a living person can be born in a year.
func (c *candidate) lived(year int) bool {
	if c.year == 0 {
		return 1900 <= year && year <= 2100
	}
	return c.year-120 <= year && year <= c.year
}

func (c *candidate) born(y, m, d int) bool {
	return c.lived(y) && validDate(y, m, d)
}

// monthName: 3 April 1984, Apr 3, 1984, 03-APR-84.
func (c *candidate) monthName() bool {
	if c.groups != 3 || c.digits < 3 || c.digits > 6 || len(c.compact) == 0 || c.high > 0 {
		return false
	}
	i := 0
	for i < len(c.compact) && kinds[c.compact[i]]&isDigit != 0 {
		i++
	}
	if i+3 > len(c.compact) {
		return false
	}
	switch string(c.compact[i : i+3]) {
	case "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC", "MAI", "OKT", "DEZ", "ENE", "ABR", "AGO", "DIC", "AVR":
		return true
	}
	return false
}

// ---- cards ----------------------------------------------------------------------

func luhn(d []byte) bool {
	sum, double := 0, false
	for i := len(d) - 1; i >= 0; i-- {
		n := int(d[i] - '0')
		if double {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
		double = !double
	}
	return sum%10 == 0
}

// card: a range of an issuer with its lengths (ISO/IEC 7812), the check digit,
// and no or regular separators.
func card(c *candidate) bool {
	d := c.compact
	if !c.only(blankSep|dashSep) || c.seps == blankSep|dashSep || len(d) < 12 {
		return false
	}
	if c.groups > 1 && !c.grouped(4, 4, 4, 4) && !c.grouped(4, 6, 5) && !c.grouped(4, 6, 4) && !c.grouped(4, 4, 4, 4, 3) && !c.grouped(4, 4, 4, 1) {
		return false
	}
	return cardRange(d) && luhn(d) && !uniform(d)
}

func cardRange(d []byte) bool {
	n, p2, p3, p4 := len(d), num(d[:2]), num(d[:3]), num(d[:4])
	p6 := num(d[:6])
	switch {
	case d[0] == '4': // Visa
		return n == 16 || n == 13 || n == 19
	case 51 <= p2 && p2 <= 55 || 2221 <= p4 && p4 <= 2720: // Mastercard
		return n == 16
	case p2 == 34 || p2 == 37: // American Express
		return n == 15
	case p4 == 6011 || p2 == 65 || 644 <= p3 && p3 <= 649 || 622126 <= p6 && p6 <= 622925: // Discover, UnionPay
		return 16 <= n && n <= 19
	case p2 == 62 || p2 == 81: // UnionPay
		return 16 <= n && n <= 19
	case 300 <= p3 && p3 <= 305 || p4 == 3095 || p2 == 36 || p2 == 38 || p2 == 39: // Diners Club
		return n == 14 || n == 16 || n == 19
	case 3528 <= p4 && p4 <= 3589: // JCB
		return 16 <= n && n <= 19
	case p4 == 5018 || p4 == 5020 || p4 == 5038 || p4 == 5893 || p4 == 6304 || p4 == 6759 || 6761 <= p4 && p4 <= 6763 || p4 == 5612: // Maestro
		return 12 <= n && n <= 19
	case 2200 <= p4 && p4 <= 2204: // Mir
		return 16 <= n && n <= 19
	case p2 == 60 || p4 == 6521 || p4 == 6522 || p3 == 508: // RuPay
		return n == 16
	case p6 == 636368 || p6 == 438935 || p6 == 504175 || p6 == 451416 || p4 == 5067 || p4 == 5090 || p6 == 627780 || p6 == 606282: // Elo, Hipercard
		return n == 16
	case p4 == 9792: // Troy
		return n == 16
	}
	return false
}

// uniform: the same few digits again and again are filled in, not issued.
func uniform(d []byte) bool {
	var seen [10]bool
	n := 0
	for _, b := range d {
		if i := b - '0'; i < 10 && !seen[i] {
			seen[i] = true
			n++
		}
	}
	return n <= 1 || n == 2 && len(d) > 12 && !testCards[string(d)]
}

// testCards are the published test numbers of card networks and gateways.
var testCards = map[string]bool{
	"4242424242424242": true, "4111111111111111": true, "4000000000000002": true, "4000056655665556": true,
	"4012888888881881": true, "4222222222222": true, "5555555555554444": true, "5105105105105100": true,
	"2223003122003222": true, "5200828282828210": true, "378282246310005": true, "371449635398431": true,
	"378734493671000": true, "6011111111111117": true, "6011000990139424": true, "30569309025904": true,
	"38520000023237": true, "3530111333300000": true, "3566002020360505": true, "6200000000000005": true,
	"4000000000003220": true, "4000000000009995": true, "4000002500003155": true, "4000000000000077": true,
	"5454545454545454": true, "4917610000000000": true, "4007000000027": true, "6304000000000000": true,
}

func cvv(c *candidate) bool { return c.seps == 0 && len(c.text) == c.n }

func cardExpiry(c *candidate) bool {
	d := c.compact
	m, y := 0, 0
	switch {
	case !c.only(slashSep|dashSep|dotSep|blankSep) || c.groups > 2:
		return false
	case c.groups == 1 && c.n == 4 && c.seps == 0: // MMYY, YYMM, or a year
		m, y = num(d[:2]), 2000+num(d[2:])
		if m < 1 || m > 12 {
			m, y = num(d[2:]), 2000+num(d[:2])
		}
	case c.groups == 1 && c.n == 6 && c.seps == 0: // MMYYYY; a year in front is some other date
		m, y = num(d[:2]), num(d[2:])
	case c.groups == 2 && (c.lens[1] == 2 || c.lens[1] == 4) && c.lens[0] <= 2:
		m, y = num(d[:c.lens[0]]), num(d[c.lens[0]:])
	}
	if y < 100 {
		y += 2000
	}
	if c.year == 0 {
		return m >= 1 && m <= 12 && 2000 <= y && y <= 2100
	}
	return m >= 1 && m <= 12 && c.year-10 <= y && y <= c.year+20
}

// ---- money --------------------------------------------------------------------------

func iban(c *candidate) bool {
	b := c.compact
	if c.high > 0 || len(b) < 15 || !c.only(blankSep|dashSep) {
		return false
	}
	return ibanLength[string(b[:2])] == len(b) && kinds[b[2]]&kinds[b[3]]&isDigit != 0 && mod97(b) == 1
}

func mod97(b []byte) int {
	r := 0
	step := func(c byte) {
		if c <= '9' {
			r = (r*10 + int(c-'0')) % 97
		} else {
			r = (r*100 + int(c-'A'+10)) % 97
		}
	}
	for _, c := range b[4:] {
		step(c)
	}
	for _, c := range b[:4] {
		step(c)
	}
	return r
}

// ibanLength is the registry of ISO 13616, with the countries that use the
// format without being in it.
var ibanLength = map[string]int{
	"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28,
	"CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23,
	"GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32,
	"LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18,
	"NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19,
	"SK": 24, "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
	"AO": 25, "BF": 28, "BJ": 28, "CF": 27, "CG": 27, "CI": 28, "CM": 27, "CV": 25, "DZ": 26, "GA": 27, "GQ": 27, "GW": 25, "HN": 28, "IR": 26, "KM": 27,
	"MA": 28, "MG": 27, "ML": 28, "MZ": 25, "NE": 28, "SN": 28, "TD": 27, "TG": 28,
}

// bic: four letters, a country, two characters, and three for a branch.
func bic(c *candidate) bool {
	b := c.compact
	if len(b) != 8 && len(b) != 11 || c.seps != 0 || c.lower > 0 || c.high > 0 {
		return false
	}
	for _, x := range b[:6] {
		if kinds[x]&isUpper == 0 {
			return false
		}
	}
	return countries[string(b[4:6])]
}

// countries is ISO 3166-1 alpha-2.
var countries = func() map[string]bool {
	m := map[string]bool{"XK": true, "EU": true}
	const all = "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCRCUCVCWCXCYCZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUSUYUZVAVCVEVGVIVNVUWFWSYEYTZAZMZW"
	for i := 0; i+2 <= len(all); i += 2 {
		m[all[i:i+2]] = true
	}
	return m
}()

func aba(c *candidate) bool {
	d := c.compact
	p := num(d[:2])
	if c.seps&^(dashSep|blankSep) != 0 || !(p <= 12 || 21 <= p && p <= 32 || 61 <= p && p <= 72 || p == 80) || uniform(d) {
		return false
	}
	return weighted(d, 3, 7, 1, 3, 7, 1, 3, 7, 1)%10 == 0
}

func weighted(d []byte, w ...int) (sum int) {
	for i, x := range w {
		sum += x * int(d[i]-'0')
	}
	return sum
}

func bankAccount(c *candidate) bool {
	return c.only(blankSep|dashSep|dotSep|slashSep) && !uniform(c.compact) && !(c.number && c.seps != 0)
}

func money(c *candidate) bool {
	t := c.text
	if c.digits < 4 || c.high > 3 || c.upper+c.lower > 3 {
		return false
	}
	whole := 0
	for i, b := range t {
		if kinds[b]&isDigit != 0 {
			whole++
		} else if b == '.' && i+3 >= len(t) {
			break
		}
	}
	return whole >= 4 && whole <= 9 && t[0] != '-'
}

// bitcoin: base58check or bech32, both with their checksums.
func bitcoin(c *candidate) bool {
	t := c.text
	if c.seps != 0 || c.high > 0 {
		return false
	}
	if len(t) > 14 && (t[0]|0x20 == 'b' && t[1]|0x20 == 'c' && t[2] == '1') {
		return bech32(t)
	}
	return len(t) >= 26 && len(t) <= 35 && (t[0] == '1' || t[0] == '3') && base58check(t)
}

func base58check(t []byte) bool {
	const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	var out [25]byte
	for _, c := range t {
		carry := bytes.IndexByte([]byte(alphabet), c)
		if carry < 0 {
			return false
		}
		for i := len(out) - 1; i >= 0; i-- {
			carry += int(out[i]) * 58
			out[i] = byte(carry)
			carry >>= 8
		}
		if carry != 0 {
			return false
		}
	}
	one := sha256.Sum256(out[:21])
	two := sha256.Sum256(one[:])
	return bytes.Equal(two[:4], out[21:]) && (out[0] == 0 || out[0] == 5)
}

// bech32 verifies the checksum of BIP 173 and BIP 350 for Bitcoin addresses.
func bech32(t []byte) bool {
	const alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	if len(t) < 26 || len(t) > 62 {
		return false
	}
	chk := uint32(1)
	step := func(v uint32) {
		top := chk >> 25
		chk = chk&0x1ffffff<<5 ^ v
		for i, g := range [...]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 != 0 {
				chk ^= g
			}
		}
	}
	step('b' >> 5)
	step('c' >> 5)
	step(0)
	step('b' & 31)
	step('c' & 31)
	for _, c := range t[3:] {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		i := bytes.IndexByte([]byte(alphabet), c)
		if i < 0 {
			return false
		}
		step(uint32(i))
	}
	return chk == 1 || chk == 0x2bc830a3
}

// ethereum: with the mixed-case checksum of EIP-55, or under a telling name.
func ethereum(c *candidate) bool {
	t := c.text
	if len(t) != 42 || t[0] != '0' || t[1] != 'x' || !hexes(t[2:]) || !varied(t[2:]) {
		return false
	}
	t = t[2:]
	var low [40]byte
	up, down := false, false
	for i, b := range t {
		up = up || kinds[b]&isUpper != 0
		down = down || kinds[b]&isLower != 0
		if kinds[b]&isUpper != 0 {
			b |= 0x20
		}
		low[i] = b
	}
	if !up || !down {
		return c.named
	}
	sum := keccak256(low[:])
	for i, b := range t {
		if kinds[b]&isDigit != 0 {
			continue
		}
		if (sum[i/2]>>(4-4*(i&1))&8 != 0) != (kinds[b]&isUpper != 0) {
			return false
		}
	}
	return true
}

// keccak256 is the hash of Ethereum for messages of less than 136 bytes; it is
// SHA-3 with the padding of before the standard, which no library of the
// toolchain has.
func keccak256(msg []byte) (sum [32]byte) {
	var a [25]uint64
	var block [136]byte
	copy(block[:], msg)
	block[len(msg)] = 1
	block[135] |= 0x80
	for i := range 17 {
		for j := range 8 {
			a[i] |= uint64(block[8*i+j]) << (8 * j)
		}
	}
	lfsr := byte(1)
	rot := func(x uint64, n int) uint64 { return x<<(n&63) | x>>((64-n)&63) }
	for range 24 {
		var c [5]uint64
		for x := range 5 {
			c[x] = a[x] ^ a[x+5] ^ a[x+10] ^ a[x+15] ^ a[x+20]
		}
		for x := range 5 {
			d := c[(x+4)%5] ^ rot(c[(x+1)%5], 1)
			for y := 0; y < 25; y += 5 {
				a[y+x] ^= d
			}
		}
		x, y, cur := 1, 0, a[1]
		for t := range 24 {
			x, y = y, (2*x+3*y)%5
			a[x+5*y], cur = rot(cur, (t+1)*(t+2)/2), a[x+5*y]
		}
		for y := 0; y < 25; y += 5 {
			row := [5]uint64(a[y : y+5])
			for x := range 5 {
				a[y+x] = row[x] ^ ^row[(x+1)%5]&row[(x+2)%5]
			}
		}
		for j := range 7 {
			if lfsr&1 != 0 {
				a[0] ^= 1 << (1<<j - 1)
			}
			high := lfsr & 0x80
			lfsr <<= 1
			if high != 0 {
				lfsr ^= 0x71
			}
		}
	}
	for i := range sum {
		sum[i] = byte(a[i/8] >> (8 * (i % 8)))
	}
	return sum
}
