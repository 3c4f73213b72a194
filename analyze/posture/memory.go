package posture

import (
	"bytes"
	"strconv"
	"time"

	"plainsight/analyze"
)

// memory is what an exchange says about credentials beyond carrying them: that
// one was issued, ended, left as it was, or outlived its date.
type memory struct {
	issued       *Secret // by the answer of an endpoint that issues credentials
	lifetime     time.Duration
	revoked      *Secret // named by a request to revoke it (RFC 7009)
	cleared      [4]string
	clears       int
	password     bool // the request has a password
	newPassword  bool
	code         bool      // a short one, to sign in
	order        uint64    // hash of the order of the request's headers
	signedAt     time.Time // of a signed URL
	signedFor    time.Duration
	signedUntil  time.Time
	signedBefore bool // the URL says until when, in one of the ways above
}

// clear notes that a cookie was cleared.
func (o *Observation) clear(name string) {
	if o.clears < len(o.cleared) {
		o.cleared[o.clears] = name
		o.clears++
	}
}

// clears reports whether a Set-Cookie header (RFC 6265) takes the cookie back.
func clears(value, attributes []byte) bool {
	if len(value) == 0 || string(value) == "deleted" || string(value) == `""` {
		return true
	}
	for len(attributes) > 0 {
		var a []byte
		a, attributes, _ = bytes.Cut(attributes, []byte(";"))
		name, v, _ := bytes.Cut(bytes.Trim(a, " \t"), []byte("="))
		switch {
		case len(name) == 7 && bytes.EqualFold(name, []byte("max-age")):
			return string(v) == "0" || bytes.HasPrefix(v, []byte("-"))
		case len(name) == 7 && bytes.EqualFold(name, []byte("expires")) && bytes.Contains(v, []byte("1970")):
			return true
		}
	}
	return false
}

var (
	logoutWords   = words("logout", "signout", "sign-out", "sign_out", "log-out", "log_out", "logoff", "endsession", "end_session", "end-session")
	revokeWords   = words("revoke", "revocation", "token_revocation")
	codeWords     = words("otp", "2fa", "mfa", "totp", "verify", "verify-otp", "verify_otp", "verify-code", "verify_code", "two-factor", "two_factor", "challenge", "login", "signin", "reset-password", "reset_password", "confirm", "validate")
	passwordWords = words("password", "change-password", "change_password", "changepassword", "password-change", "update-password", "update_password", "passwd", "set-password")
	entryWords    = words("login", "signin", "sign-in", "sign_in", "log-in", "session", "sessions", "authenticate", "auth", "login.php", "login.do", "j_security_check", "wp-login.php")
)

// remember takes a field at the top of the request's body, or a parameter.
func (o *Observation) remember(key, value []byte) {
	switch string(o.r.lowered(key)) {
	case "token":
		if len(value) >= 8 && hasSegment(o.Path, revokeWords) {
			o.revoked = o.r.secret(Bearer, value)
		}
	case "password", "passwd", "pwd", "pass", "passcode":
		o.password = o.password || len(value) > 0
	case "grant_type":
		o.oauth.exchange = o.oauth.exchange || string(value) == "authorization_code"
	case "client_id":
		if len(value) > 0 {
			o.oauth.id = o.r.secret(Other, value).Hash
		}
	case "client_secret", "client_assertion":
		o.oauth.secret = o.oauth.secret || len(value) > 0
	case "otp", "code", "pin", "totp", "passcode_otp", "otp_code", "verification_code", "verificationcode", "mfa_code", "two_factor_code", "sms_code", "one_time_password", "one_time_code":
		o.code = o.code || len(value) >= 4 && len(value) <= 6 && len(bytes.Trim(value, "0123456789")) == 0 && hasSegment(o.Path, codeWords)
	case "new_password", "newpassword", "new-password", "password_new":
		o.newPassword = o.newPassword || len(value) > 0
	}
}

// Answer takes a field at the top of the response's body.
func (o *Observation) Answer(key, value []byte) {
	switch string(o.r.lowered(key)) {
	case "access_token", "accesstoken", "token", "api_key", "apikey", "session_token", "sessiontoken":
		if len(value) >= 16 && issues(o.Method, o.Path) {
			if s := o.r.secret(Bearer, value); s.JWT == nil && !s.Empty {
				o.issued = s
			}
		}
	case "expires_in", "expiresin":
		if n, err := strconv.ParseUint(string(value[:min(len(value), 12)]), 10, 32); err == nil {
			o.lifetime = time.Duration(n) * time.Second
		}
	case "expires_at", "expiresat", "expiry":
		if t := instant(value); t.After(o.Time) && !o.Time.IsZero() && t.Sub(o.Time) < 100*365*24*time.Hour {
			o.lifetime = t.Sub(o.Time)
		}
	}
}

// instant reads a date as APIs write it: RFC 3339, or seconds or milliseconds
// since 1970.
func instant(v []byte) time.Time {
	if len(v) == 0 || len(v) > 40 {
		return time.Time{}
	}
	if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
		switch {
		case n > 1e9 && n < 1e11:
			return time.Unix(n, 0).UTC()
		case n > 1e12 && n < 1e14:
			return time.UnixMilli(n).UTC()
		}
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, string(v))
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// signedParameter reads the dates of a signed URL: those of Amazon S3 and Google
// Cloud Storage (issue and seconds), Azure SAS (se) and CloudFront (Expires).
func (o *Observation) signedParameter(lower, value []byte) {
	switch string(lower) {
	case "x-amz-date", "x-goog-date":
		o.signedAt, _ = time.Parse("20060102T150405Z", string(value[:min(len(value), 20)]))
	case "x-amz-expires", "x-goog-expires":
		if n, err := strconv.ParseUint(string(value[:min(len(value), 10)]), 10, 32); err == nil {
			o.signedFor = time.Duration(n) * time.Second
		}
	case "se", "expires":
		o.signedUntil = instant(value)
	case "x-amz-signature", "x-goog-signature", "sig", "signature":
		o.signedBefore = len(value) >= 16
	}
}

// signedEnd is until when the URL says it is good, zero where it does not.
func (o *Observation) signedEnd() time.Time {
	switch {
	case !o.signedBefore:
	case !o.signedAt.IsZero() && o.signedFor > 0:
		return o.signedAt.Add(o.signedFor)
	case !o.signedUntil.IsZero():
		return o.signedUntil
	}
	return time.Time{}
}

// endsSession reports whether the exchange ends the session of a credential: a
// logout that succeeded and, for a cookie, took it back.
func (o *Observation) endsSession(c *Credential) bool {
	if o.Status < 200 || o.Status >= 400 || o.SoftFailure || o.Method == "OPTIONS" || o.Method == "HEAD" || c.Kind == Basic || c.Kind == APIKey {
		return false
	}
	if c.Kind == Session || c.Place.Where == analyze.InCookie {
		cleared := false
		for _, name := range o.cleared[:o.clears] {
			cleared = cleared || name == c.Place.Name
		}
		if !cleared {
			return false
		}
	}
	return hasSegment(o.Path, logoutWords) || o.Method == "DELETE" && ownSession(o.Path)
}

// ownSession reports whether the path names the caller's own session.
func ownSession(path []byte) bool {
	path = bytes.TrimRight(path, "/")
	for _, tail := range [...]string{"/session", "/sessions/current", "/sessions/me", "/sessions/self", "/auth/token", "/tokens/current"} {
		if bytes.HasSuffix(path, []byte(tail)) {
			return true
		}
	}
	return false
}

// signsIn reports whether a login succeeded.
func (o *Observation) signsIn() bool {
	if o.Method != "POST" && o.Method != "PUT" || !hasSegment(o.Path, entryWords) || !o.password && o.account == 0 {
		return false
	}
	return o.entered()
}

// entered reports whether the answer lets somebody in: a success, or a redirect to
// anything but a login again.
func (o *Observation) entered() bool {
	if o.Success {
		return true
	}
	return (o.Status == 302 || o.Status == 303) && len(o.location) > 0 && !bytes.Contains(o.location, []byte("login")) && !bytes.Contains(o.location, []byte("signin")) && !bytes.Contains(o.location, []byte("error"))
}

// leaves reports whether the answer leaves a session as it was: it hands out no
// other one, and no token.
func (o *Observation) leaves(c *Credential) bool {
	for i := range o.SetCookies {
		if s := &o.SetCookies[i]; s.Session && s.Hash != c.Hash {
			return false
		}
	}
	for i := range o.Credentials {
		if d := &o.Credentials[i]; d.Place.Where != analyze.InCookie && d.Kind != APIKey {
			return false
		}
	}
	for i := range o.Hits {
		if h := &o.Hits[i]; h.Place.Side == analyze.Response && h.Place.Where != analyze.InSetCookie && isToken(h.Kind) {
			return false
		}
	}
	return o.issued == nil
}

// changesPassword reports whether somebody who is signed in changed the password.
func (o *Observation) changesPassword() bool {
	if !writes(o.Method) {
		return false
	}
	return o.newPassword || o.password && hasSegment(o.Path, passwordWords)
}

// personal reports whether a user agent is a browser's or an app's.
func personal(text []byte) bool {
	for _, s := range [...]string{"Mozilla/", "okhttp/", "CFNetwork/", "Dart/", "Dalvik/", "iOS", "Android"} {
		if bytes.Contains(text, []byte(s)) {
			return true
		}
	}
	return false
}
