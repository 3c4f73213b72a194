package posture

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"plainsight/analyze"
)

// login is an attempt on an account and how it was answered.
func login(path string, account any, answer string) talk {
	return talk{text: fmt.Sprintf("POST %s HTTP/1.1\n\n{\"email\":\"user-%v@example.org\",\"password\":\"Kx8rT2mWq9\"}\n---\n%s", path, account, answer)}
}

// mistakes lets n accounts get in after a wrong password, and m that do not exist
// fail.
func mistakes(n, m int, known, unknown string) (list []talk) {
	for i := range n {
		list = append(list, login("/login", i, known), login("/login", i, "200\n\n{}"))
	}
	for i := range m {
		list = append(list, login("/login", 1000+i, unknown))
	}
	return list
}

// softly marks the answers that say they failed.
func softly(list []talk) []talk {
	for i := range list {
		list[i].soft = strings.Contains(list[i].text, "fail")
	}
	return list
}

// resets asks for a reset of n accounts that sign in, and of m others.
func resets(n, m int, known, unknown string) (list []talk) {
	for i := range n {
		list = append(list, login("/login", i, "200\n\n{}"), login("/forgot-password", i, known))
	}
	for i := range m {
		list = append(list, login("/forgot-password", 1000+i, unknown))
	}
	return list
}

// codes tries n codes.
func codes(n int, path, field, value, status string) []talk {
	return []talk{{text: fmt.Sprintf("POST %s HTTP/1.1\n\n{\"email\":\"jo@example.org\",%q:%q}\n---\n%s", path, field, value, status), times: n}}
}

// sessions hands out n session ids.
func sessions(n int, name string, id func(i int) string) (list []talk) {
	for i := range n {
		list = append(list, talk{text: "POST /login HTTP/1.1\n---\n200\nSet-Cookie: " + name + "=" + id(i) + "; HttpOnly; Secure; SameSite=Lax"})
	}
	return list
}

// keys uses n keys.
func keys(n int, id func(i int) string) (list []talk) {
	for i := range n {
		list = append(list, talk{text: get("X-Api-Key: " + id(i))})
	}
	return list
}

func digest(i int) []byte {
	h := sha256.Sum256([]byte(fmt.Sprint("seed", i)))
	return h[:]
}

func hexID(n int) func(int) string {
	return func(i int) string { return hex.EncodeToString(digest(i))[:n] }
}

func base64ID(n int) func(int) string {
	return func(i int) string { return base64.RawURLEncoding.EncodeToString(digest(i))[:n] }
}

func shaped(s string) func(int) string {
	return func(i int) string { return fmt.Sprintf(s, i) }
}

// spray lets callers with one program try accounts.
func spray(callers, accounts, status int) (list []talk) {
	for i := range accounts {
		list = append(list, talk{text: fmt.Sprintf("POST /login HTTP/1.1\nAccept: */*\nX-App: 1\n\n{\"username\":\"user-%d\"}\n---\n%d", i, status), from: fmt.Sprintf("198.51.100.%d", i%callers+1)})
	}
	return list
}

const (
	authorize = "GET /authorize?response_type=code&client_id=%s&state=x&redirect_uri=%s HTTP/1.1\n---\n302"
	turnIn    = "POST /token HTTP/1.1\n%s\n\ngrant_type=authorization_code&code=abcdef0123&client_id=%s%s\n---\n200\n\n{}"
	web       = "https%3A%2F%2Fapp.example.net%2Fcb"
	withPKCE  = "GET /authorize?response_type=code&client_id=app&state=x&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256 HTTP/1.1\n---\n302"
)

func ask(client, redirect string) string { return fmt.Sprintf(authorize, client, redirect) }

func take(header, client, more string) string {
	return strings.Replace(fmt.Sprintf(turnIn, header, client, more), "HTTP/1.1\n\n\n", "HTTP/1.1\n\n", 1)
}

const wrong, none = "401\n\n{\"error\":\"wrong password\"}", "401\n\n{\"error\":\"no such user\"}"

var loginSequences = []sequence{
	{rule: "key.revoked-works", worst: analyze.High, fires: [][]talk{
		cat(get(apiKey), denied(apiKey, 401), denied(apiKey, 401), after(2*time.Minute, talk{text: get(apiKey)})),
		cat(talk{text: denied(apiKey, 401), to: "10.0.0.1:80"}, after(90*time.Second, talk{text: get(apiKey), to: "10.0.0.2:80"})),
		cat(talk{text: get(apiKey), to: "10.0.0.2:80"}, denied(apiKey, 401), after(20*time.Second, talk{text: get(apiKey), to: "10.0.0.2:80"}), after(2*time.Minute, talk{text: get(apiKey), to: "10.0.0.2:80"})),
		cat(get(userA), denied(userA, 401), denied(userA, 401), after(hour, talk{text: get(userA)})),
		cat(get(apiKey), talk{text: denied(apiKey, 403) + "\n\n{\"error\":\"key revoked\"}", times: 3}, after(2*time.Minute, talk{text: get(apiKey)})),
		cat("GET /a?api_key=0123456789abcdef HTTP/1.1"+ok, "GET /a?api_key=0123456789abcdef HTTP/1.1\n---\n401", "GET /a?api_key=0123456789abcdef HTTP/1.1\n---\n401", after(5*time.Minute, talk{text: "GET /a?api_key=0123456789abcdef HTTP/1.1" + ok})),
	}, silent: [][]talk{
		cat(get(apiKey), denied(apiKey, 401), after(2*time.Minute, talk{text: get(apiKey)})),
		cat(get(apiKey), denied(apiKey, 401), denied(apiKey, 401), after(20*time.Second, talk{text: get(apiKey)}), after(2*time.Minute, talk{text: get(apiKey)})),
		cat(get(apiKey), denied(apiKey, 401), after(30*time.Second, talk{text: get(apiKey)})),
		cat(get(apiKey), denied(apiKey, 403)+"\n\n{\"error\":\"not yours\"}", after(2*time.Minute, talk{text: get(apiKey)})),
		cat(get(apiKey), denied(apiKey, 403)+"\nRetry-After: 30\n\n{\"error\":\"rate limit of this invalid key\"}", after(2*time.Minute, talk{text: get(apiKey)})),
		cat(get(apiKey), denied(apiKey, 401), after(2*time.Minute, talk{text: get(otherK)})),
		cat(get(apiKey), after(2*time.Minute, talk{text: denied(apiKey, 401)})),
		cat(denied("", 401), after(2*time.Minute, talk{text: get(apiKey)})),
		cat(get(apiKey), denied(apiKey, 429), after(2*time.Minute, talk{text: get(apiKey)})),
	}},
	{rule: "login.enumeration", template: "/login", worst: analyze.Medium, fires: [][]talk{
		mistakes(12, 12, wrong, none),
		mistakes(10, 30, wrong, "404\n\n{\"error\":\"wrong password\"}"),
		resets(12, 12, "200\n\n{\"sent\":true}", "404\n\n{}"),
		softly(mistakes(12, 12, "200\n\n{\"status\":\"fail\",\"message\":\"Password is not correct\"}", "200\n\n{\"status\":\"fail\",\"message\":\"Username does not exist\"}")),
		mistakes(12, 12, "401\n\n{\"error\":\"wrong password\",\"trace\":\"a1b2\"}", "401\n\n{\"error\":\"no such user\",\"trace\":\"a1b3\"}"),
	}, silent: [][]talk{
		mistakes(12, 12, wrong, wrong),
		mistakes(9, 12, wrong, none),
		mistakes(12, 9, wrong, none),
		mistakes(12, 30, wrong, "429\n\n{\"error\":\"slow down\"}"),
		mistakes(12, 12, "401\n\n{\"error\":\"wrong\",\"user\":\"user-1@example.org\",\"trace\":\"a1b2\"}", "401\n\n{\"error\":\"wrong\",\"user\":\"user-1@example.org\",\"trace\":\"a1b9\"}"),
		cat(mistakes(6, 12, wrong, none), mistakes(6, 12, none, wrong)),
		resets(12, 12, "200\n\n{\"sent\":true}", "200\n\n{\"sent\":true}"),
	}},
	{rule: "login.plain-otp", template: "/otp", worst: analyze.Medium, fires: [][]talk{
		codes(10, "/auth/otp", "otp", "123456", "401"), codes(30, "/login/verify", "code", "1234", "400"), codes(12, "/2fa", "totp", "000000", "403"),
		codes(12, "/mfa/challenge", "verification_code", "123456", "422"), cat(codes(11, "/otp", "pin", "1234", "401"), codes(1, "/otp", "pin", "1234", "200")),
	}, silent: [][]talk{
		codes(9, "/auth/otp", "otp", "123456", "401"), cat(codes(10, "/auth/otp", "otp", "123456", "401"), codes(2, "/auth/otp", "otp", "123456", "429")),
		codes(20, "/auth/otp", "otp", "123456789012", "401"), codes(20, "/orders", "code", "123456", "400"), codes(20, "/auth/otp", "otp", "123456", "200\n\n{}"),
		codes(20, "/auth/otp", "token", "Zk3v9Q", "401"),
	}},
	{rule: "login.stuffing", template: "/login", worst: analyze.High, fires: [][]talk{
		spray(30, 60, 401), spray(6, 90, 403), cat(spray(30, 60, 401), spray(30, 5, 200)), spray(50, 60, 401), cat(logins(40, 200, "/login", same, foreign), spray(12, 70, 401)),
	}, silent: [][]talk{
		spray(30, 49, 401), spray(30, 60, 200), cat(spray(30, 60, 401), spray(30, 60, 200)), spray(30, 60, 429), spray(30, 60, 500),
	}},
	{rule: "sess.low-entropy", template: "/login", worst: analyze.High, fires: [][]talk{
		sessions(60, "sessionid", hexID(12)), sessions(60, "sid", shaped("session-2026-0301-%08d")), sessions(80, "PHPSESSID", shaped("5f3a9c%010x7e2b4d8a")),
		sessions(50, "sessionid", base64ID(9)), sessions(200, "JSESSIONID", func(i int) string { return "NODE01234567890ABCDEFGHIJKL" + hexID(8)(i) }),
	}, silent: [][]talk{
		sessions(60, "sessionid", hexID(32)), sessions(60, "sid", base64ID(22)), sessions(49, "sessionid", hexID(12)), sessions(60, "theme", hexID(12)),
		sessions(60, "sessionid", hexID(16)), sessions(1, "sessionid", hexID(8)), sessions(60, "sid", func(i int) string { return "s%3A" + base64ID(32)(i) }),
	}},
	{rule: "key.weak", worst: analyze.High, fires: [][]talk{
		keys(3, shaped("key-%04d-a")), keys(5, hexID(14)), keys(4, func(i int) string { return hexID(8)(i) + "-7a3c-11ee-b962-0242ac120002" }), keys(6, shaped("2026030112%06dabcdefgh")),
		cat(login("/login", "17", "200\n\n{}"), keys(1, func(int) string { return "user-17@example.org" })),
	}, silent: [][]talk{
		keys(3, hexID(32)), keys(2, shaped("key-%04d-a")), keys(9, base64ID(24)), keys(5, hexID(16)), keys(4, func(i int) string { return "sk_live_" + base64ID(20)(i) }),
		{{text: denied("X-Api-Key: short-1", 401)}, {text: denied("X-Api-Key: short-2", 401)}, {text: denied("X-Api-Key: short-3", 401)}},
	}},
	{rule: "oauth.no-pkce", template: "/authorize", worst: analyze.Medium, fires: [][]talk{
		cat(ask("app", web), take("Accept: */*", "app", "")), cat(ask("app", "com.example.app%3A%2Fcb")), cat(ask("app", "http%3A%2F%2F127.0.0.1%3A9123%2Fcb")),
		cat(ask("app", web), ask("app", web)), cat(withPKCE, ask("app", web), take("Accept: */*", "app", "&redirect_uri="+web)),
	}, silent: [][]talk{
		cat(withPKCE), cat(ask("app", web), take("Accept: */*", "app", "&client_secret=Kx8rT2mWq9")), cat(ask("app", web), take(strings.TrimSuffix(basic("app", "Kx8rT2mWq9"), "\n"), "", "")),
		cat(ask("app", web), take("Accept: */*", "app", "&client_assertion=eyJ0")), cat("GET /authorize?response_type=token&client_id=app&state=x HTTP/1.1\n---\n302"), cat("GET /callback?code=abc&state=x HTTP/1.1\n---\n302"),
	}},
}
