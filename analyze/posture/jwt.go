package posture

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"hash"
	"net/url"
	"slices"
	"strings"
	"time"

	"plainsight/analyze"
)

// JWT is what matters of a JSON Web Token (RFC 7519, RFC 7515). It holds no
// claim's value.
type JWT struct {
	Alg           string // upper case, "" where missing, "other" where not registered
	None          bool   // unsigned: alg none or missing, or an empty signature
	HMAC          bool   // signed by a shared secret
	Weak          bool   // the shared secret is a word of the built-in list
	Expires       time.Time
	Issued        time.Time
	NotBefore     time.Time
	Refresh, ID   bool // says that it is no access token
	Service       bool // of a machine, as far as its claims say
	Abuse         []string
	Claims        []string // sensitive claims, by kind
	Issuer        string   // "issuer " and a fingerprint of iss and kid; "" where there is neither
	Subject       bool     // it names whom it is for
	subject       string   // keyed fingerprint
	audience      []uint64 // keyed, of aud
	signed        uint64   // keyed, of header and claims
	fixed         bool     // the algorithm gives one signature for one key and text
	BroadScope    bool
	ContactClaims bool // e-mail address, name or phone number
}

const maxJWT = 16 << 10

// parseJWT reads a token of exactly three parts whose first two are base64url
// of JSON objects. It returns nil for anything else.
func (r *Reader) parseJWT(v []byte) *JWT {
	key := &r.key
	if len(v) < 20 || len(v) > maxJWT || !bytes.HasPrefix(v, []byte("ey")) || bytes.Count(v, []byte(".")) != 2 {
		return nil
	}
	i := bytes.IndexByte(v, '.')
	j := bytes.LastIndexByte(v, '.')
	head, ok := jsonPart(v[:i])
	if !ok {
		return nil
	}
	claims, ok := jsonPart(v[i+1 : j])
	if !ok {
		return nil
	}
	var h struct {
		Alg, Typ, Jku, X5u any
		Kid                any
		Jwk                json.RawMessage
	}
	if json.Unmarshal(head, &h) != nil {
		return nil
	}
	var c map[string]any
	if json.Unmarshal(claims, &c) != nil {
		return nil
	}

	alg, _ := h.Alg.(string)
	alg = strings.ToUpper(strings.TrimSpace(alg))
	t := &JWT{Alg: alg}
	switch {
	case alg == "" || alg == "NONE" || len(v) == j+1:
		t.None = true
	case len(alg) == 5 && strings.HasPrefix(alg, "HS"):
		t.HMAC = true
		t.Weak = r.weakSecret(alg, v[:j], v[j+1:])
	}
	if len(alg) > 10 || alg != "" && analyze.ValueLike([]byte(alg)) {
		t.Alg = "other"
	} else {
		t.Alg = analyze.Clean([]byte(alg))
	}

	t.Expires, t.Issued, t.NotBefore = date(c["exp"]), date(c["iat"]), date(c["nbf"])
	text := func(name string) string { s, _ := c[name].(string); return s }
	typ, _ := h.Typ.(string)
	for _, s := range []string{typ, text("typ"), text("token_use"), text("token_type"), text("type")} {
		s = strings.ToLower(s)
		t.Refresh = t.Refresh || strings.Contains(s, "refresh") || s == "offline"
		t.ID = t.ID || s == "id" || s == "id_token"
	}
	sub, iss := text("sub"), text("iss")
	client := cmp.Or(text("client_id"), text("azp"), text("uid"), text("user_id"), scalar(c["uid"]), scalar(c["user_id"]), text("username"))
	if sub == "" {
		sub = scalar(c["sub"])
	}
	gty := strings.ToLower(text("gty") + text("grant_type"))
	t.Service = strings.HasPrefix(sub, "system:serviceaccount:") || strings.HasSuffix(sub, "@clients") || strings.Contains(gty, "client") ||
		strings.Contains(sub, "gserviceaccount.com") || sub != "" && sub == text("client_id") || strings.HasPrefix(sub, "service-account-")
	if who := cmp.Or(sub, client); who != "" {
		t.Subject = true
		t.subject = key.Fingerprint("subject", []byte(iss+"\x00"+who))
	}
	kid := scalar(h.Kid)
	if iss != "" || kid != "" {
		t.Issuer = "issuer " + key.Fingerprint("issuer", []byte(iss+"\x00"+kid))
	}

	if strings.ContainsAny(kid, `'";|$<>\`) || strings.Contains(kid, "../") || strings.HasPrefix(kid, "/") || strings.Contains(kid, "--") {
		t.Abuse = append(t.Abuse, "kid")
	}
	for name, v := range map[string]any{"jku": h.Jku, "x5u": h.X5u} {
		if s, _ := v.(string); s != "" && !sameHost(s, iss) {
			t.Abuse = append(t.Abuse, name)
		}
	}
	if len(h.Jwk) > 0 && h.Jwk[0] == '{' {
		t.Abuse = append(t.Abuse, "jwk")
	}
	if len(t.Abuse) > 1 {
		slices.Sort(t.Abuse)
	}
	t.signed = fingerprintHash(key.Fingerprint("signed", v[:j]))
	t.fixed = strings.HasPrefix(alg, "HS") || strings.HasPrefix(alg, "RS") || alg == "EDDSA"
	t.audiences(c["aud"], key)
	t.claims(c)
	t.scopes(c)
	return t
}

// brokenJWT tells what begins like a JWT and is none: without its signature, or
// without its claims.
func brokenJWT(v []byte) bool {
	if !bytes.HasPrefix(v, []byte("eyJ")) || len(v) > maxJWT {
		return false
	}
	head, rest, _ := bytes.Cut(v, []byte("."))
	if h, ok := jsonPart(head); !ok || !bytes.Contains(h, []byte(`"alg"`)) {
		return false
	}
	_, whole := jsonPart(rest)
	return len(rest) == 0 || whole || rest[0] == '.'
}

// maxAudiences is how many recipients of a token are looked at.
const maxAudiences = 16

func (t *JWT) audiences(aud any, key *analyze.Key) {
	list, _ := aud.([]any)
	if s, ok := aud.(string); ok {
		list = []any{s}
	}
	for _, v := range list[:min(len(list), maxAudiences)] {
		if s, _ := v.(string); s != "" {
			t.audience = append(t.audience, fingerprintHash(key.Fingerprint("audience", []byte(s))))
		}
	}
}

func jsonPart(part []byte) ([]byte, bool) {
	part = bytes.TrimRight(part, "=")
	if len(part) == 0 {
		return nil, false
	}
	out := make([]byte, base64.RawURLEncoding.DecodedLen(len(part)))
	n, err := base64.RawURLEncoding.Decode(out, part)
	if err != nil {
		return nil, false
	}
	out = bytes.TrimSpace(out[:n])
	return out, len(out) > 1 && out[0] == '{'
}

// date reads a NumericDate; what is no plausible one is the zero time.
func date(v any) time.Time {
	f, ok := v.(float64)
	if !ok || f <= 0 || f > 1<<38 {
		return time.Time{}
	}
	return time.Unix(int64(f), 0).UTC()
}

// scalar is a string or a number as text.
func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		b, _ := json.Marshal(v)
		return string(b)
	}
	return ""
}

func sameHost(raw, issuer string) bool {
	a, err := url.Parse(raw)
	if err != nil {
		return false
	}
	b, err := url.Parse(issuer)
	return err == nil && a.Hostname() != "" && strings.EqualFold(a.Hostname(), b.Hostname())
}

// claims looks for personal data in the claims at the top: the name of a claim
// alone is not enough, its value must have the form.
func (t *JWT) claims(c map[string]any) {
	for name, v := range c {
		s := scalar(v)
		if s == "" {
			continue
		}
		switch n := strings.ToLower(name); {
		case n == "email" && strings.Contains(s, "@"), n == "phone_number", n == "name", n == "given_name", n == "family_name":
			t.ContactClaims = true
		case strings.Contains(n, "password") || n == "pwd" || n == "passwd":
			t.Claims = append(t.Claims, "password")
		case (n == "ssn" || strings.Contains(n, "social_security")) && digits(s) == 9:
			t.Claims = append(t.Claims, "ssn")
		case digits(s) >= 13 && digits(s) <= 19 && len(s) <= 23 && luhn(s) && n != "iat" && n != "exp" && n != "nbf" && strings.Contains(n, "card"):
			t.Claims = append(t.Claims, "card")
		case (n == "address" || n == "street_address") && len(s) > 8:
			t.Claims = append(t.Claims, "address")
		}
	}
	if len(t.Claims) > 1 {
		slices.Sort(t.Claims)
	}
}

func (t *JWT) scopes(c map[string]any) {
	n := 0
	for _, name := range []string{"scope", "scp", "scopes", "permissions"} {
		switch v := c[name].(type) {
		case string:
			for _, s := range strings.Fields(v) {
				n++
				t.BroadScope = t.BroadScope || s == "*" || s == "root"
			}
		case []any:
			for _, s := range v {
				n++
				t.BroadScope = t.BroadScope || s == "*" || s == "root"
			}
		}
	}
	t.BroadScope = t.BroadScope || n >= 20
}

func digits(s string) int {
	n := 0
	for i := range len(s) {
		if '0' <= s[i] && s[i] <= '9' {
			n++
		}
	}
	return n
}

func luhn(s string) bool {
	sum, double := 0, false
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] < '0' || s[i] > '9' {
			continue
		}
		d := int(s[i] - '0')
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		double = !double
	}
	return sum%10 == 0
}

// weakWords are shared secrets that stand in tutorials and defaults. The list is
// short on purpose: each distinct token is tried against all of it once.
var weakWords = []string{
	"secret", "Secret", "SECRET", "secretkey", "secret_key", "secret-key", "SECRET_KEY", "mysecret", "my-secret", "my_secret", "mysecretkey",
	"supersecret", "super-secret", "super_secret", "supersecretkey", "topsecret", "jwt", "jwtsecret", "jwt-secret", "jwt_secret", "jwt_secret_key",
	"JWT_SECRET", "jwtkey", "your-256-bit-secret", "your-384-bit-secret", "your-512-bit-secret", "your_jwt_secret", "your-secret", "your-secret-key",
	"your_secret_key", "a-string-secret-at-least-256-bits-long", "password", "Password", "password1", "passw0rd", "pass", "changeme", "change-me",
	"changeit", "default", "admin", "root", "test", "testing", "test123", "test-secret", "dev", "development", "example", "example_key", "demo",
	"key", "private", "privatekey", "private_key", "token", "auth", "hello", "random", "qwerty", "letmein", "abc123", "1234", "12345", "123456",
	"12345678", "123456789", "1234567890", "0", "1", "null", "undefined", "node", "express", "django-insecure", "shhhhh", "keyboard cat", "s3cr3t",
	"secret123", "secret1234", "secret12", "secretsecret", "hmac-secret", "signing-key", "app_secret", "api_secret", "access_token_secret", "",
}

// weakSecret reports whether a signature is that of a word of the list. The MACs
// of the words are made once for each algorithm.
func (r *Reader) weakSecret(alg string, signed, signature []byte) bool {
	var newHash func() hash.Hash
	switch alg {
	case "HS256":
		newHash = sha256.New
	case "HS384":
		newHash = sha512.New384
	case "HS512":
		newHash = sha512.New
	default:
		return false
	}
	var buf [sha512.Size + 8]byte
	signature = bytes.TrimRight(signature, "=")
	if base64.RawURLEncoding.DecodedLen(len(signature)) > len(buf) {
		return false
	}
	n, err := base64.RawURLEncoding.Decode(buf[:], signature)
	if err != nil || n != newHash().Size() {
		return false
	}
	macs := r.macs[alg]
	if macs == nil {
		for _, w := range weakWords {
			macs = append(macs, hmac.New(newHash, []byte(w)))
		}
		r.macs[alg] = macs
	}
	var sum [sha512.Size]byte
	for _, m := range macs {
		m.Reset()
		m.Write(signed)
		if hmac.Equal(m.Sum(sum[:0]), buf[:n]) {
			return true
		}
	}
	return false
}
