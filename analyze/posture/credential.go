package posture

import (
	"bytes"
	"encoding/base64"
	"hash"
	"hash/maphash"
	"slices"
	"strings"

	"plainsight/analyze"
)

// Kind is the kind of a credential.
type Kind string

// Kinds of credentials. Fingerprints of all of them share one kind with those of
// the sensitive-data catalogue, so that the same secret joins across places.
const (
	Bearer  Kind = "bearer"
	Token   Kind = "jwt"
	Basic   Kind = "basic"
	APIKey  Kind = "apikey"
	Session Kind = "cookie"
	Mutual  Kind = "mtls"
	Other   Kind = "other" // digest, negotiate, aws-sigv4, …
)

// Sensitive is the id that package sensitive's catalogue has for the kind, ""
// where it has none.
func (k Kind) Sensitive() string {
	switch k {
	case Bearer:
		return "bearer_token"
	case Token:
		return "jwt"
	case Basic:
		return "basic_auth"
	case APIKey:
		return "api_key"
	case Session:
		return "session_cookie"
	}
	return ""
}

// Secret is what is known of one credential's value, computed once for each
// distinct value. Nothing of the value is left but its mask.
type Secret struct {
	Sample      analyze.Sample
	Hash        uint64 // keyed
	Principal   string // keyed fingerprint of whom it stands for, "" where it does not tell
	JWT         *JWT
	Random      bool   // looks like a token: long and of many characters
	Publishable bool   // meant for the public: pk_live_…
	Test        bool   // of a test or sandbox environment: sk_test_…
	Weak        bool   // in the list of guessable ones, or (Basic) a password under 8 characters
	Empty       bool   // nothing, or what programs write for nothing: null, undefined
	user        uint64 // Basic: keyed hash of the user name, as an account or a client has
	broken      bool   // a JWT that lacks a part
}

// Credential is a credential in a request, or handed out by a response.
type Credential struct {
	Kind  Kind
	Place analyze.Place
	Label string // as in analyze.Endpoint.Auth
	*Secret
	raw []byte // borrowed
}

// Options bound a [Reader].
type Options struct {
	Secrets int // distinct credential values remembered, to compute what is known of them only once; 0: 16384
	Names   int // distinct names of headers, cookies and parameters remembered; 0: 4096
}

// Reader reads the credentials of exchanges. It is a cache of pure functions of
// key and value: how it is used never changes what it answers. Not for
// concurrent use.
type Reader struct {
	key     analyze.Key
	seed    maphash.Seed
	opts    Options
	secrets map[uint64]*Secret
	names   map[nameKey]name
	agents  map[uint64]agent       // by hash of the user agent
	macs    map[string][]hash.Hash // of weakWords, by algorithm
	o       Observation
	e       emitter
	lower   [64]byte
	plain   []byte // a value decoded twice
	account []byte // the name of the one that wants to sign in
	number  [20]byte
	address [16]byte
}

type nameKey struct {
	class nameClass
	text  string
}

type nameClass uint8

const (
	headerName nameClass = iota
	responseHeaderName
	queryName
	cookieName
	setCookieName
	fieldName
)

// name is what a name says before any value is seen.
type name struct {
	place analyze.Place
	label string
	hint  hint
}

// NewReader returns a reader whose fingerprints are made with key.
func NewReader(key analyze.Key, opts Options) *Reader {
	if opts.Secrets == 0 {
		opts.Secrets = 16384
	}
	if opts.Names == 0 {
		opts.Names = 4096
	}
	return &Reader{key: key, seed: maphash.MakeSeed(), opts: opts, secrets: map[uint64]*Secret{}, names: map[nameKey]name{}, agents: map[uint64]agent{}, macs: map[string][]hash.Hash{}}
}

// secret returns what is known of the value of a credential of kind k.
func (r *Reader) secret(k Kind, value []byte) *Secret {
	var h maphash.Hash
	h.SetSeed(r.seed)
	h.WriteString(string(k))
	h.WriteByte(0)
	h.Write(value)
	sum := h.Sum64()
	if s := r.secrets[sum]; s != nil {
		return s
	}
	s := r.study(k, value)
	if len(r.secrets) >= r.opts.Secrets {
		clear(r.secrets)
	}
	r.secrets[sum] = s
	return s
}

func (r *Reader) study(k Kind, value []byte) *Secret {
	s := &Secret{Random: random(value), Empty: emptyToken(value)}
	if k == Bearer || k == Session || k == APIKey {
		s.JWT = r.parseJWT(value)
		s.broken = s.JWT == nil && brokenJWT(value)
	}
	switch {
	case k == Basic:
		r.studyBasic(s, value)
	case s.JWT != nil:
		k = Token
	case k == APIKey:
		s.Weak = weakKey(value)
	}
	s.Sample = analyze.Sample{Mask: analyze.Mask(value), Fingerprint: r.key.Fingerprint("secret", value), Length: len(value)}
	s.Hash = fingerprintHash(s.Sample.Fingerprint)
	switch {
	case s.JWT != nil && s.JWT.subject != "":
		s.Principal = s.JWT.subject
	case s.Principal == "" && !s.Empty:
		s.Principal = s.Sample.Fingerprint
	}
	for _, p := range publishable {
		s.Publishable = s.Publishable || bytes.HasPrefix(value, []byte(p))
	}
	for _, p := range testKeys {
		s.Test = s.Test || bytes.HasPrefix(value, []byte(p))
	}
	return s
}

// studyBasic reads user and password (RFC 7617). The principal is the user.
func (r *Reader) studyBasic(s *Secret, value []byte) {
	plain := make([]byte, base64.RawStdEncoding.DecodedLen(len(value)))
	n, err := base64.RawStdEncoding.Decode(plain, bytes.TrimRight(value, "="))
	if err != nil {
		return
	}
	user, password, ok := bytes.Cut(plain[:n], []byte(":"))
	if !ok {
		return
	}
	if len(user) > 0 {
		s.Principal = r.key.Fingerprint("user", user)
		s.user = fingerprintHash(r.key.Fingerprint("secret", user))
	}
	// Many APIs take a key as user name with an empty password: no weak password.
	s.Weak = len(password) > 0 && (len(password) < 8 || slices.Contains(weakPasswords, strings.ToLower(string(password))) ||
		bytes.EqualFold(user, password)) || len(password) == 0 && len(user) > 0 && len(user) < 8
	clear(plain)
}

var (
	publishable   = []string{"pk_live_", "pk_test_", "pk_", "pub_", "pk.eyJ", "sb_publishable_"}
	testKeys      = []string{"sk_test_", "rk_test_", "test_", "test-", "sandbox_", "sandbox-", "sk_sandbox_", "sq0atp-sandbox", "key_test_"}
	weakKeys      = []string{"test", "testkey", "test-key", "test_key", "demo", "changeme", "change-me", "secret", "password", "apikey", "api-key", "api_key", "key", "admin", "default", "example", "12345", "123456", "1234567", "12345678", "123456789", "1234567890", "abc123", "abcdef", "qwerty", "letmein", "guest", "dev", "root", "token", "none", "xxx", "demo_key"}
	weakPasswords = []string{"password", "password1", "passw0rd", "changeme", "12345678", "123456789", "1234567890", "qwertyuiop", "adminadmin", "administrator", "letmein1", "welcome1", "iloveyou", "sunshine", "princess", "football", "baseball", "superman", "trustno1", "password123", "admin123", "test1234", "secret123", "default1"}
)

func weakKey(v []byte) bool {
	return len(v) > 0 && len(v) <= 12 && slices.Contains(weakKeys, strings.ToLower(string(v)))
}

// emptyToken tells what programs send for a token that they have not got.
func emptyToken(v []byte) bool {
	switch strings.ToLower(string(v[:min(len(v), 16)])) {
	case "", "null", "undefined", "none", "nil", "false", "nan", "[object object]", "{}", "(null)":
		return true
	}
	return false
}

// random reports whether v looks like something drawn by a machine: 16 bytes or
// more, no spaces, letters and digits mixed, at least 3 bits a character.
func random(v []byte) bool {
	if len(v) < 16 || len(v) > maxJWT {
		return false
	}
	var count [256]uint16
	letters, digits := 0, 0
	head := v[:min(len(v), 256)]
	for _, c := range head {
		switch {
		case c <= ' ' || c > '~':
			return false
		case '0' <= c && c <= '9':
			digits++
		case 'a' <= c|0x20 && c|0x20 <= 'z':
			letters++
		}
		count[c]++
	}
	if digits < 2 || letters < 2 {
		return false
	}
	// Rényi entropy of order 2 needs no logarithm: 3 bits a character is a
	// collision probability under 1/8. Short samples are corrected for chance.
	pairs := 0
	for _, n := range count {
		pairs += int(n) * (int(n) - 1)
	}
	n := len(head)
	return pairs*8 < n*(n-1)
}

// hint says what the name of a header, cookie or parameter promises.
type hint uint8

const (
	noHint hint = iota
	noise       // known to be no credential: analytics, CSRF, pagination, tracing
	weakHint
	sessionHint
	tokenHint // a user's token
	keyHint   // an API key
)

// headerHints are names of headers known for what they carry.
var headerHints = map[string]hint{
	"x-api-key": keyHint, "api-key": keyHint, "apikey": keyHint, "x-apikey": keyHint, "x-api-token": keyHint, "x-app-key": keyHint, "x-functions-key": keyHint,
	"ocp-apim-subscription-key": keyHint, "x-goog-api-key": keyHint, "x-rapidapi-key": keyHint, "dd-api-key": keyHint, "dd-application-key": keyHint,
	"x-auth-key": keyHint, "x-access-key": keyHint, "x-master-key": keyHint, "x-client-secret": keyHint, "circle-token": keyHint, "x-algolia-api-key": keyHint,
	"private-token": tokenHint, "job-token": tokenHint, "x-auth-token": tokenHint, "x-access-token": tokenHint, "x-vault-token": tokenHint, "x-token": tokenHint,
	"x-user-token": tokenHint, "x-id-token": tokenHint, "x-shopify-access-token": tokenHint, "x-figma-token": tokenHint, "x-jwt-assertion": tokenHint, "x-gitlab-token": tokenHint,
	"x-session-token": tokenHint, "x-session-id": tokenHint, "x-session": tokenHint, "x-subject-token": tokenHint, "x-amz-security-token": tokenHint, "x-auth": tokenHint, "auth-token": tokenHint,
	"access-token": tokenHint, "token": tokenHint, "x-service-token": tokenHint,
	"x-csrf-token": noise, "x-xsrf-token": noise, "csrf-token": noise, "idempotency-key": noise, "x-idempotency-key": noise, "sec-websocket-key": noise,
	"surrogate-key": noise, "x-cache-key": noise, "x-page-token": noise, "x-next-page-token": noise, "x-continuation-token": noise, "x-requested-with": noise,
	"x-device-token": noise, "x-push-token": noise, "x-amz-content-sha256": noise, "x-csrftoken": noise,
}

func headerHint(lower string) hint {
	if h, ok := headerHints[lower]; ok {
		return h
	}
	switch {
	case strings.Contains(lower, "csrf") || strings.Contains(lower, "xsrf") || strings.Contains(lower, "idempot") || strings.Contains(lower, "page-") || strings.Contains(lower, "cache"):
		return noise
	case strings.HasSuffix(lower, "api-key") || strings.HasSuffix(lower, "apikey") || strings.HasSuffix(lower, "-access-key") || strings.HasSuffix(lower, "-secret") || strings.HasSuffix(lower, "-subscription-key"):
		return keyHint
	case strings.HasSuffix(lower, "-auth-token") || strings.HasSuffix(lower, "-access-token") || strings.HasSuffix(lower, "-session-token") || strings.HasSuffix(lower, "-authorization") && lower != "proxy-authorization":
		return tokenHint
	case strings.HasSuffix(lower, "-token") || strings.HasSuffix(lower, "-key") || strings.HasSuffix(lower, "-auth"):
		return weakHint
	}
	return noHint
}

var paramHints = map[string]hint{
	"api_key": keyHint, "apikey": keyHint, "api-key": keyHint, "app_key": keyHint, "appkey": keyHint, "x-api-key": keyHint, "subscription-key": keyHint, "client_secret": keyHint,
	"apitoken": keyHint, "api_token": keyHint, "access_key": keyHint, "accesskey": keyHint, "secret_key": keyHint, "auth_key": keyHint,
	"access_token": tokenHint, "auth_token": tokenHint, "authtoken": tokenHint, "id_token": tokenHint, "refresh_token": tokenHint, "bearer_token": tokenHint, "jwt": tokenHint,
	"session_token": tokenHint, "accesstoken": tokenHint, "private_token": tokenHint, "sessiontoken": tokenHint, "authorization": tokenHint,
	"sessionid": sessionHint, "session_id": sessionHint, "jsessionid": sessionHint, "phpsessid": sessionHint,
	"token": weakHint, "key": weakHint, "auth": weakHint, "sid": weakHint, "session": weakHint, "secret": weakHint, "bearer": weakHint, "reset_token": weakHint, "t": noHint,
	"page_token": noise, "pagetoken": noise, "next_token": noise, "nexttoken": noise, "continuation_token": noise, "continuationtoken": noise, "cursor": noise, "state": noise, "nonce": noise,
	"code_challenge": noise, "csrf_token": noise, "csrf": noise, "_csrf": noise, "authenticity_token": noise, "idempotency_key": noise, "sync_token": noise, "synctoken": noise,
}

func paramHint(lower string) hint { return paramHints[lower] }

var sessionCookies = map[string]bool{
	"sid": true, "session": true, "sessionid": true, "session_id": true, "jsessionid": true, "phpsessid": true, "connect.sid": true, "asp.net_sessionid": true,
	"laravel_session": true, "ci_session": true, "_session_id": true, "auth": true, "token": true, "jwt": true, "access_token": true, "auth_token": true, "remember_token": true,
	"remember_me": true, "rememberme": true, "id_token": true, "refresh_token": true, "sessiontoken": true, "session_token": true, ".aspnetcore.session": true, "sess": true, "user_session": true,
}

func cookieHint(lower string) hint {
	lower = strings.TrimPrefix(strings.TrimPrefix(lower, "__host-"), "__secure-")
	if sessionCookies[lower] {
		return sessionHint
	}
	for _, s := range []string{"csrf", "xsrf", "consent", "locale", "lang", "theme", "analytics", "visitor", "utm_", "author", "_url", "referr", "optimizely", "mixpanel", "amplitude", "hubspot", "intercom-id", "cart"} {
		if strings.Contains(lower, s) {
			return noise
		}
	}
	for _, s := range []string{"_ga", "_gid", "_gat", "_gcl", "_fbp", "_fbc", "__cf", "cf_", "_hj", "ajs_", "__utm", "awsalb", "_dd_", "__stripe", "nid", "datadome", "_pk_", "ak_bmsc", "bm_", "incap_", "visid_", "mp_", "gcl"} {
		if strings.HasPrefix(lower, s) {
			return noise
		}
	}
	for _, s := range []string{"sess", "auth", "token", "jwt", "login", "logged_in", "identity", "remember", "sso", "access", "credential"} {
		if strings.Contains(lower, s) {
			return weakHint
		}
	}
	return noHint
}

// name returns what the name says; text is borrowed.
func (r *Reader) name(class nameClass, text []byte) name {
	if n, ok := r.names[nameKey{class, string(text)}]; ok { // the compiler makes no string for this
		return n
	}
	if len(text) > 4*analyze.MaxText {
		text = text[:4*analyze.MaxText]
	}
	shown := analyze.Name(text)
	lower := strings.ToLower(string(text))
	var n name
	switch class {
	case headerName:
		n = name{analyze.Place{Side: analyze.Request, Where: analyze.InHeader, Name: strings.ToLower(shown)}, "apikey:header:" + strings.ToLower(shown), headerHint(lower)}
	case responseHeaderName:
		n = name{analyze.Place{Side: analyze.Response, Where: analyze.InHeader, Name: strings.ToLower(shown)}, "", headerHint(lower)}
	case queryName:
		n = name{analyze.Place{Side: analyze.Request, Where: analyze.InQuery, Name: shown}, "apikey:query:" + shown, paramHint(lower)}
	case cookieName:
		n = name{analyze.Place{Side: analyze.Request, Where: analyze.InCookie, Name: shown}, "cookie:" + shown, cookieHint(lower)}
	case setCookieName:
		n = name{analyze.Place{Side: analyze.Response, Where: analyze.InSetCookie, Name: shown}, "cookie:" + shown, cookieHint(lower)}
	}
	if len(text) > analyze.MaxText {
		return n // seen once
	}
	if len(r.names) >= r.opts.Names {
		clear(r.names)
	}
	r.names[nameKey{class, string(text)}] = n
	return n
}
