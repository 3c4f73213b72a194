package posture

import (
	"bytes"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"plainsight/analyze"
)

// known reports whether a hit is the value of a credential that was recognised
// at its place already.
func (o *Observation) known(h *Hit) bool {
	for i := range o.Credentials {
		if o.Credentials[i].Place == h.Place {
			return true
		}
	}
	for i := range o.SetCookies {
		if o.SetCookies[i].Place == h.Place {
			return true
		}
	}
	return false
}

func (o *Observation) eachJWT(f func(c *Credential, t *JWT)) {
	for i := range o.Credentials {
		if c := &o.Credentials[i]; c.JWT != nil {
			f(c, c.JWT)
		}
	}
}

// eachInBody calls f with the hits in the response's body that weigh.
func (o *Observation) eachInBody(f func(h *Hit)) {
	for i := range o.Hits {
		if h := &o.Hits[i]; h.at(analyze.Response, analyze.InBody) {
			f(h)
		}
	}
}

var smuggleNames = []string{"Content-Length and Transfer-Encoding", "two lengths", "broken chunk", "odd Transfer-Encoding", "folded header", "bare line feed", "space before colon", "NUL byte", "invalid length"}

func (s Smuggling) String() string {
	var names []string
	for i, n := range smuggleNames {
		if s>>i&1 != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, ", ")
}

func prefix(b []byte, n int) []byte { return b[:min(len(b), n)] }

func writes(method string) bool {
	switch method {
	case "POST", "PUT", "PATCH", "DELETE":
		return true
	}
	return false
}

// Words of paths. A word must be a whole segment, its case aside.
var (
	publicWords = words("login", "signin", "sign-in", "sign_in", "log-in", "logout", "signout", "register", "registration", "signup", "sign-up", "sign_up", "forgot", "forgot-password",
		"forgot_password", "reset", "reset-password", "reset_password", "password-reset", "recover", "recovery", "verify-email", "verify", "activate", "confirm",
		"health", "healthz", "healthcheck", "health-check", "ready", "readyz", "readiness", "live", "livez", "liveness", "ping", "status", "version", "alive", "up",
		"token", "tokens", "oauth", "oauth2", "oidc", "authorize", "callback", ".well-known", "jwks", "jwks.json", "certs", "favicon.ico", "robots.txt", "sitemap.xml", "manifest.json",
		"openapi.json", "openapi.yaml", "openapi", "swagger.json", "swagger.yaml", "swagger", "swagger-ui", "api-docs", "docs", "redoc", "static", "assets", "public", "captcha", "csrf", "csrf-token",
		"webhook", "webhooks", "hooks")
	resetWords  = words("reset", "reset-password", "reset_password", "password-reset", "password_reset", "recover", "recovery", "forgot", "forgot-password", "set-password", "newpassword")
	adminWords  = words("admin", "administrator", "administration", "admins", "internal", "_internal", "_debug", "debug", "backoffice", "back-office", "superuser", "root", "sudo", "management", "manage")
	issuerWords = words("login", "signin", "sign-in", "log-in", "register", "signup", "sign-up", "token", "tokens", "oauth", "oauth2", "oidc", "auth", "authenticate", "authentication", "session", "sessions", "refresh",
		"refresh-token", "refresh_token", "keys", "apikeys", "api-keys", "api_keys", "credentials", "access-tokens", "access_tokens", "otp", "2fa", "mfa", "totp", "callback", "secret", "secrets", "sts", "jwt", "impersonate")
)

func words(list ...string) map[string]bool {
	m := make(map[string]bool, len(list))
	for _, w := range list {
		m[w] = true
	}
	return m
}

// hasSegment reports whether a segment of the path is one of the words.
func hasSegment(path []byte, set map[string]bool) bool {
	var buf [32]byte
	for len(path) > 0 {
		var s []byte
		s, path, _ = bytes.Cut(path, []byte("/"))
		if i := bytes.IndexByte(s, ';'); i >= 0 {
			s = s[:i]
		}
		if len(s) == 0 || len(s) > len(buf) {
			continue
		}
		for i, c := range s {
			if 'A' <= c && c <= 'Z' {
				c |= 0x20
			}
			buf[i] = c
		}
		if set[string(buf[:len(s)])] {
			return true
		}
	}
	return false
}

func publicPath(path []byte) bool { return hasSegment(path, publicWords) }

// issues reports whether a request is there to get a credential: by a word of
// its path, or because it posts to something that is one (generateApiKey).
func issues(method string, path []byte) bool {
	if hasSegment(path, issuerWords) {
		return true
	}
	last := path[bytes.LastIndexByte(path, '/')+1:]
	if method != "POST" && method != "PUT" || len(last) > 64 {
		return false
	}
	last = bytes.ToLower(last)
	for _, w := range [...]string{"key", "token", "secret", "credential", "hmac"} {
		if bytes.Contains(last, []byte(w)) {
			return true
		}
	}
	return false
}

// isStatic tells types of files from types of answers.
func isStatic(contentType []byte) bool {
	for _, p := range []string{"image/", "font/", "video/", "audio/", "text/css", "text/javascript", "application/javascript", "application/font", "application/wasm", "application/x-javascript"} {
		if bytes.HasPrefix(contentType, []byte(p)) {
			return true
		}
	}
	return false
}

func isPage(contentType []byte) bool { return bytes.HasPrefix(contentType, []byte("text/html")) }

// hasToken reports whether a list like Cache-Control has a directive.
func hasToken(list []byte, lower string) bool {
	for len(list) > 0 {
		var part []byte
		part, list, _ = bytes.Cut(list, []byte(","))
		part, _, _ = bytes.Cut(bytes.TrimSpace(part), []byte("="))
		if len(part) == len(lower) && strings.EqualFold(string(part), lower) {
			return true
		}
	}
	return false
}

// lastingHSTS reports whether a Strict-Transport-Security header (RFC 6797) holds
// for 180 days or more.
func lastingHSTS(v []byte) bool {
	for len(v) > 0 {
		var part []byte
		part, v, _ = bytes.Cut(v, []byte(";"))
		name, age, _ := bytes.Cut(bytes.TrimSpace(part), []byte("="))
		if len(name) == 7 && bytes.EqualFold(name, []byte("max-age")) {
			n, err := strconv.ParseUint(string(bytes.Trim(prefix(age, 16), `" `)), 10, 64)
			return err == nil && n >= 180*86400
		}
	}
	return false
}

// datePassed reads an HTTP date (Sunset, RFC 8594) or @seconds (Deprecation, RFC
// 9745) and reports whether it lies before now.
func datePassed(v []byte, now time.Time) bool {
	v = prefix(v, 64)
	if len(v) > 1 && v[0] == '@' {
		n, err := strconv.ParseInt(string(v[1:]), 10, 64)
		return err == nil && n < now.Unix()
	}
	t, err := http.ParseTime(string(v))
	return err == nil && t.Before(now)
}

// testHost reports whether a label of the host says that it is not production.
func testHost(host string) bool {
	if host == "localhost" {
		return true
	}
	for label := range strings.SplitSeq(host, ".") {
		for word := range strings.SplitSeq(label, "-") {
			switch word {
			case "test", "testing", "stage", "staging", "sandbox", "dev", "develop", "development", "qa", "uat", "demo", "local", "preprod", "mock":
				return true
			}
		}
	}
	return false
}

// sameSite compares the origin's host with the request's by the last two labels:
// good enough to keep app.example.org and api.example.org together.
func sameSite(origin []byte, host string) bool {
	u, err := url.Parse(string(prefix(origin, 300)))
	if err != nil || u.Hostname() == "" {
		return false
	}
	return site(u.Hostname()) == site(hostOnly(host))
}

func hostOnly(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > 0 && strings.IndexByte(host[i:], ']') < 0 {
		return host[:i]
	}
	return host
}

func site(host string) string {
	host = strings.ToLower(host)
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return host
	}
	i := strings.LastIndexByte(host, '.')
	if i <= 0 {
		return host
	}
	tail := host[i+1:]
	j := strings.LastIndexByte(host[:i], '.')
	// Two-letter domains often have a second level of their own: co.uk, com.au.
	if len(tail) == 2 && j > 0 && i-j-1 <= 3 {
		j = strings.LastIndexByte(host[:j], '.')
	}
	return host[j+1:]
}

// refererHost reports whether a Referer names the host itself.
func refererHost(referer []byte, host string) bool {
	u, err := url.Parse(string(prefix(referer, 2048)))
	return err == nil && strings.EqualFold(u.Hostname(), hostOnly(host))
}

func internalURL(location []byte) bool {
	if len(location) == 0 || location[0] == '/' {
		return false
	}
	u, err := url.Parse(string(prefix(location, 2048)))
	if err != nil || u.Host == "" {
		return false
	}
	host := u.Hostname()
	if a, err := netip.ParseAddr(host); err == nil {
		return within(a)
	}
	return strings.HasSuffix(host, ".svc.cluster.local") || strings.HasSuffix(host, ".internal") || strings.HasSuffix(host, ".svc")
}

// hasVersion reports whether a banner names a version: a digit at its start, or
// after a slash or a space.
func hasVersion(banner []byte) bool {
	if len(banner) > 2 && '0' <= banner[0] && banner[0] <= '9' {
		return true
	}
	for i := 1; i+1 < len(banner); i++ {
		if (banner[i] == '/' || banner[i] == ' ') && '0' <= banner[i+1] && banner[i+1] <= '9' {
			return true
		}
	}
	return false
}

var scanners = []string{"sqlmap", "nuclei", "nikto", "zaproxy", "owasp zap", "ffuf", "gobuster", "dirbuster", "feroxbuster", "wfuzz", "wpscan", "masscan", "nmap scripting", "acunetix", "netsparker", "nessus", "openvas",
	"qualys", "burpcollaborator", "arachni", "w3af", "zgrab", "dirsearch", "jaeles", "httpx - open-source", "schemathesis", "commix", "xsstrike", "whatweb", "skipfish"}

func scanner(agent []byte) string {
	agent = prefix(agent, 256)
	if len(agent) == 0 {
		return ""
	}
	var buf [256]byte
	lower := buf[:len(agent)]
	for i, c := range agent {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		lower[i] = c
	}
	for _, s := range scanners {
		if bytes.Contains(lower, []byte(s)) {
			return s
		}
	}
	return ""
}

// isAPIDocument tells an OpenAPI or Swagger document by its beginning.
func isAPIDocument(body []byte) bool {
	b := bytes.TrimLeft(prefix(body, 4096), " \t\r\n")
	if len(b) == 0 {
		return false
	}
	if b[0] != '{' {
		return bytes.HasPrefix(b, []byte("openapi:")) || bytes.HasPrefix(b, []byte("swagger:"))
	}
	for _, key := range []string{`"openapi"`, `"swagger"`} {
		if i := bytes.Index(b, []byte(key)); i >= 0 {
			rest := bytes.TrimLeft(b[i+len(key):], " \t\r\n:")
			return len(rest) > 2 && rest[0] == '"' && (rest[1] == '2' || rest[1] == '3')
		}
	}
	return false
}

// debugSurfaces pair a path with something its body must hold.
var debugSurfaces = []struct{ path, body string }{
	{"/actuator/env", `"propertySources"`}, {"/actuator/heapdump", "JAVA PROFILE"}, {"/actuator/configprops", `"contexts"`}, {"/actuator/beans", `"beans"`}, {"/actuator/mappings", `"mappings"`},
	{"/actuator/httptrace", `"traces"`}, {"/actuator/loggers", `"levels"`}, {"/actuator", `"_links"`}, {"/env", `"propertySources"`}, {"/debug/pprof", "profile"}, {"/debug/vars", `"cmdline"`},
	{"/server-status", "Apache Server Status"}, {"/server-info", "Apache Server Information"}, {"/phpinfo.php", "PHP Version"}, {"/info.php", "PHP Version"}, {"/.git/config", "[core]"}, {"/.git/head", "ref: refs/"},
	{"/.env", "="}, {"/graphiql", "GraphiQL"}, {"/h2-console", "H2 Console"}, {"/_debug", "{"}, {"/debug", `"debug"`}, {"/metrics", "# HELP"}, {"/metrics", "# TYPE"}, {"/swagger-ui", "swagger"}, {"/__debug__", "debug"}, {"/console", "H2 Console"},
	{"/wp-config.php.bak", "DB_PASSWORD"}, {"/trace.axd", "Application Trace"}, {"/elmah.axd", "Error Log"}, {"/druid/index.html", "Druid"},
}

// debugSurface reports whether the path ends like one of the table's and the body
// is of that kind.
func debugSurface(path, body []byte) bool {
	if len(path) > 256 {
		return false
	}
	trimmed := bytes.TrimRight(path, "/")
	for i := range debugSurfaces {
		d := &debugSurfaces[i]
		at := len(trimmed) - len(d.path)
		if at < 0 || trimmed[len(trimmed)-1]|0x20 != d.path[len(d.path)-1] || !strings.EqualFold(string(trimmed[at:]), d.path) {
			continue
		}
		head := prefix(body, 8192)
		if d.path == "/.env" {
			return envFile(head)
		}
		return bytes.Contains(head, []byte(d.body))
	}
	return false
}

// envFile reports whether a text consists of NAME=value lines.
func envFile(b []byte) bool {
	n := 0
	for line := range bytes.SplitSeq(b, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		name, _, ok := bytes.Cut(line, []byte("="))
		if !ok || len(name) == 0 || len(bytes.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")) > 0 {
			return false
		}
		n++
	}
	return n >= 2
}
