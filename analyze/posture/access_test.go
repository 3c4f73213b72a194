package posture

import (
	"strings"
	"time"

	"plainsight/analyze"
)

// single makes conversations of one exchange each; tls says that they are inside
// it.
func single(tls bool, texts ...string) (list [][]talk) {
	for _, s := range texts {
		list = append(list, []talk{{text: s, tls: tls}})
	}
	return list
}

// both lets an endpoint answer in the clear and inside TLS.
func both(plain, secure string) []talk {
	return []talk{{text: plain}, {text: secure, tls: true}}
}

// browsed is what a browser gets, n times.
func browsed(n int, agent, hsts string) []talk {
	return []talk{{text: "GET / HTTP/1.1\nUser-Agent: " + agent + "\n---\n200" + hsts, tls: true, times: n}}
}

// mixed is n requests with a credential and m without, of a service that refuses
// somebody elsewhere.
func mixed(n, m int, credential string, h []Hit, refusal string) []talk {
	return []talk{{text: "GET /users/1 HTTP/1.1\n" + strings.TrimSuffix(credential, "\n") + ok, hits: h, times: n}, {text: "GET /users/1 HTTP/1.1" + ok, hits: h, times: m}, {text: "GET /admin HTTP/1.1\n---\n" + refusal}}
}

// token is a JWT with claims, by a header; x is the secret.
func token(header, claims string) string { return bearer(sign("x", header, claims)) + "\n" }

func expired(ago time.Duration, more string) string {
	return bearer(claims(`{"sub":"u","exp":%d%s}`, now.Add(-ago).Unix(), more)) + "\n"
}

func twice(text string) []talk { return []talk{{text: text, times: 2}} }

// tested marks a value as one of a test environment.
func tested(h []Hit) []Hit {
	h[0].Test = true
	return h
}

const (
	rs = `{"alg":"RS256","kid":"k1"}`
	hs = `{"alg":"HS256","kid":"k1"}`
	id = `{"iss":"https://id","sub":"u"}`
)

var (
	ssn  = body("us_ssn", "pii", "$.ssn")
	soon = now.Add(time.Hour).Unix()
	far  = now.Add(30 * 24 * time.Hour).Unix()
)

// accessSequences are conversations of rows about encryption, authentication and
// keys that single exchanges or the counts of an endpoint decide.
var accessSequences = []sequence{
	{rule: "enc.clear-edge", template: "/", worst: analyze.Low, fires: append(single(false, "GET / HTTP/1.1"+ok, "POST /a HTTP/1.1\n---\n500", "GET / HTTP/1.1"),
		[]talk{{text: "GET / HTTP/1.1" + ok, from: foreign}}, []talk{{text: "GET / HTTP/1.1" + ok, tls: true}, {text: "GET / HTTP/1.1" + ok}}),
		silent: append(single(true, "GET / HTTP/1.1"+ok, "POST /a HTTP/1.1\n---\n500", "GET / HTTP/1.1", "GET / HTTP/1.1\n"+bearer(token32)+ok), []talk{{text: "GET / HTTP/1.1" + ok, tls: true, from: foreign}})},
	{rule: "enc.both-schemes", worst: analyze.Medium, fires: [][]talk{
		both("GET /a HTTP/1.1"+ok, "GET /a HTTP/1.1"+ok), both("POST /a HTTP/1.1\n---\n201", "POST /a HTTP/1.1\n---\n204"), both("GET /a HTTP/1.1\n"+bearer(token32)+ok, "GET /a HTTP/1.1"+ok),
		both("GET /a HTTP/1.1\n---\n304", "GET /a HTTP/1.1"+ok), cat(both("GET /a HTTP/1.1\n---\n301\nLocation: https://x/a", "GET /a HTTP/1.1"+ok), talk{text: "GET /a HTTP/1.1" + ok}),
	}, silent: [][]talk{
		both("GET /a HTTP/1.1\n---\n301\nLocation: https://x/a", "GET /a HTTP/1.1"+ok), both("GET /a HTTP/1.1\n---\n308\nLocation: https://x/a", "GET /a HTTP/1.1"+ok),
		both("GET /a HTTP/1.1"+ok, "GET /a HTTP/1.1\n---\n404"), both("GET /a HTTP/1.1\n---\n403", "GET /a HTTP/1.1"+ok), twice("GET /a HTTP/1.1" + ok), both("GET /a HTTP/1.1", "GET /a HTTP/1.1"+ok),
	}},
	{rule: "enc.no-hsts", template: "/", worst: analyze.Low, fires: [][]talk{
		browsed(20, "Mozilla/5.0", ""), browsed(200, "Mozilla/5.0 (iPhone)", ""), browsed(25, "Mozilla/5.0", "\nStrict-Transport-Security: max-age=3600"),
		browsed(25, "Mozilla/5.0", "\nStrict-Transport-Security: max-age=0; includeSubDomains"), cat(browsed(25, "Mozilla/5.0", ""), browsed(30, "curl/8", "\nStrict-Transport-Security: max-age=63072000")),
	}, silent: [][]talk{
		browsed(19, "Mozilla/5.0", ""), browsed(30, "curl/8", ""), browsed(30, "Mozilla/5.0", "\nStrict-Transport-Security: max-age=63072000"),
		browsed(30, "Mozilla/5.0", "\nStrict-Transport-Security: includeSubDomains; max-age=\"15552000\""), {{text: "GET / HTTP/1.1\nUser-Agent: Mozilla/5.0" + ok, times: 30}},
	}},
	{rule: "auth.mixed", template: "/users/{id}", worst: analyze.High, fires: [][]talk{
		mixed(5, 5, bearer(token32), ssn, "403"), mixed(9, 30, apiKey, body("email", "pii", "$.email"), "401"), mixed(5, 5, cookie, body("iban", "financial", "$.iban"), "401"),
		mixed(50, 5, basic("jo", "Kx8rT2mWq9"), ssn, "401"), mixed(6, 6, bearer(good), body("credit_card", "pci", "$.card"), "403"),
	}, silent: [][]talk{
		mixed(5, 5, bearer(token32), nil, "403"), mixed(4, 5, bearer(token32), ssn, "403"), mixed(5, 4, bearer(token32), ssn, "403"), mixed(5, 5, bearer(token32), ssn, "404"),
		mixed(5, 5, bearer(token32), body("postal_code", "pii", "$.zip"), "403"), {{text: "GET /users/1 HTTP/1.1" + ok, hits: ssn, times: 9}, {text: "GET /x HTTP/1.1\n---\n401"}},
	}},
	{rule: "jwt.expired-accepted", worst: analyze.Medium, fires: [][]talk{
		twice(get(expired(time.Hour, ""))), twice(get("X-Access-Token: " + strings.TrimPrefix(expired(3*time.Minute, ""), "Authorization: Bearer "))), cat(twice(get(expired(time.Hour, ""))), denied("", 401)),
		cat(get(expired(time.Hour, "")), get(expired(2*time.Hour, ""))),
	}, silent: [][]talk{
		twice(get(expired(time.Hour, `,"token_use":"id"`))), cat(get(expired(time.Hour, ""))), twice(get(expired(-time.Hour, ""))),
	}},
	{rule: "jwt.long", worst: analyze.Medium, fires: [][]talk{
		{{text: get(bearer(claims(`{"sub":"u","iat":%d,"exp":%d}`, now.Unix(), far)))}}, {{text: get("Cookie: jwt=" + claims(`{"sub":"u","iat":%d,"exp":%d}`, now.Unix(), far))}},
		{{text: get(bearer(claims(`{"sub":"system:serviceaccount:a:b","exp":%d}`, now.Unix()+200*86400)))}},
	}, silent: [][]talk{
		{{text: get(bearer(claims(`{"sub":"u","token_use":"id","iat":%d,"exp":%d}`, now.Unix(), far)))}}, {{text: get(bearer(claims(`{"sub":"u"}`)))}},
	}},
	{rule: "jwt.not-yet-valid", worst: analyze.Medium, fires: [][]talk{
		{{text: get(bearer(claims(`{"sub":"u","nbf":%d}`, soon)))}}, {{text: get("Cookie: jwt=" + claims(`{"sub":"u","nbf":%d}`, soon))}}, {{text: get(bearer(claims(`{"sub":"u","nbf":%d}`, now.Unix()+200)))}},
	}, silent: [][]talk{
		{{text: denied(bearer(claims(`{"sub":"u","nbf":%d}`, soon)), 401)}}, {{text: get(bearer(claims(`{"sub":"u","iat":%d}`, soon)))}},
	}},
	{rule: "jwt.header-abuse", worst: analyze.High, fires: [][]talk{
		{{text: get(token(`{"alg":"RS256","x5u":"https://evil.example.net/c"}`, id))}}, {{text: get(token(`{"alg":"HS256","kid":"/etc/hostname"}`, id))}},
	}, silent: [][]talk{
		{{text: get(token(`{"alg":"RS256","x5u":"https://id/keys"}`, id))}}, {{text: get(token(`{"alg":"RS256","kid":"a1B2-c3.d4=="}`, id))}}, {{text: get(token(`{"alg":"RS256","jwk":null,"jku":""}`, id))}},
	}},
	{rule: "jwt.confusion", worst: analyze.Critical, fires: [][]talk{
		cat(get(token(rs, id)), get(token(hs, id))), cat(get(token(hs, id)), get(token(`{"alg":"ES384","kid":"k1"}`, id))), cat(get(token(rs, `{"sub":"a"}`)), get(token(`{"alg":"HS512","kid":"k1"}`, `{"sub":"b"}`))),
		cat(get(token(`{"alg":"PS256"}`, id)), get(token(`{"alg":"HS256"}`, `{"iss":"https://id","sub":"v"}`))),
	}, silent: [][]talk{
		cat(get(token(rs, id)), get(token(`{"alg":"ES256","kid":"k1"}`, id))), cat(get(token(rs, id)), denied(token(hs, id), 401)), cat(get(token(`{"alg":"RS256"}`, `{"sub":"u"}`)), get(token(`{"alg":"HS256"}`, `{"sub":"u"}`))),
	}},
	{rule: "jwt.sensitive-claims", worst: analyze.Medium, fires: [][]talk{
		{{text: get(bearer(claims(`{"sub":"u","address":"12 Long Street, Leeds"}`)))}},
	}, silent: [][]talk{
		{{text: get(bearer(claims(`{"sub":"u","address":"home"}`)))}}, {{text: get(bearer(claims(`{"sub":"u","token_use":"id","email":"jo@example.org"}`)))}},
	}},
	{rule: "basic.used", worst: analyze.Medium, fires: append(single(true, get(basic("jo", "Kx8rT2mWq9")), denied(basic("jo", "Kx8rT2mWq9"), 401), "GET /a HTTP/1.1\nProxy-Authorization: Basic am86S3g4clQybVdxOQ=="+ok), []talk{{text: get(basic("jo", "Kx8rT2mWq9")), from: foreign}}),
		silent: append(single(true, get("Authorization: Digest username=\"jo\""), get(apiKey)), []talk{{text: denied(basic("jo", "Kx8rT2mWq9"), 401), from: loop}})},
	{rule: "key.test-in-prod", worst: analyze.Medium, fires: single(true, get("X-Api-Key: rk_test_0123456789abcdef"), get("X-Api-Key: test-0123456789abcdef")), silent: [][]talk{
		{{text: get("X-Api-Key: sk_test_0123456789abcdef"), host: "api.staging.example.org"}}, {{text: get("X-Api-Key: sk_test_0123456789abcdef"), host: "sandbox.example.org"}},
	}},
	{rule: "key.in-body", worst: analyze.High, fires: [][]talk{
		{{text: "GET /conf HTTP/1.1" + ok, hits: body("aws_access_key_id", "secret", "$.key"), tls: true}}, {{text: "GET /app.js HTTP/1.1\n---\n200\nContent-Type: application/javascript\n\nx", hits: body("stripe_key", "secret", ""), tls: true}},
		{{text: "GET /a HTTP/1.1\n---\n500\nContent-Type: text/plain\n\nx", hits: body("github_token", "secret", "")}}, {{text: "GET /logs HTTP/1.1\n---\n200\nContent-Type: text/plain\n\nx", hits: body("api_key", "secret", "")}},
		{{text: "POST /token HTTP/1.1\n---\n500\n\nx", hits: body("private_key", "secret", "")}},
	}, silent: [][]talk{
		{{text: "POST /api-keys HTTP/1.1" + ok, hits: body("api_key", "secret", "$.key")}}, {{text: "GET /a HTTP/1.1" + ok, hits: hit("api_key", "secret", analyze.Request, analyze.InBody, "$.key")}},
		{{text: "GET /a HTTP/1.1" + ok, hits: body("api_key", "secret", "$.k")}}, {{text: "GET /a HTTP/1.1" + ok, hits: body("oauth_client_secret", "secret", "$.client_secret")}},
		{{text: "GET /a HTTP/1.1" + ok, hits: tested(body("stripe_key", "secret", "$.key"))}}, {{text: "GET /a HTTP/1.1" + ok, hits: body("email", "pii", "$.email")}},
		{{text: "GET /a HTTP/1.1" + ok, hits: body("jwt", "credential", "$.token")}}, {{text: "GET /a HTTP/1.1" + ok, hits: hit("api_key", "secret", analyze.Response, analyze.InHeader, "x-k")}},
	}},
	{rule: "oauth.implicit", worst: analyze.Medium, fires: single(true, "GET /authorize?client_id=app&response_type=token HTTP/1.1\n---\n302", "GET /oauth2/auth?client_id=a&response_type=code+token&state=x HTTP/1.1\n---\n200", "GET /authorize?response_type=id_token&client_id=app&nonce=n HTTP/1.1\n---\n302"),
		silent: single(true, "GET /authorize?client_id=app&response_type=none HTTP/1.1\n---\n302", "POST /token?client_id=app HTTP/1.1\n\nresponse_type=token"+ok, "GET /authorize?client_id=app&response_type=tokens HTTP/1.1\n---\n302")},
	{rule: "oauth.password-grant", worst: analyze.Medium, fires: single(true, "POST /oauth/token HTTP/1.1\n\ngrant_type=password&username=jo&password=x\n---\n401", "POST /token HTTP/1.1\n\n{\"grant_type\":\"password\",\"username\":\"jo\"}"+ok, "POST /connect/token HTTP/1.1\n\nusername=jo&grant_type=password"+ok, "POST /token HTTP/1.1\n\nclient_id=a&grant_type=password&scope=x"+ok),
		silent: single(true, "POST /token HTTP/1.1\n\ngrant_type=refresh_token"+ok, "POST /token HTTP/1.1\n\ngrant_type=authorization_code&code=password"+ok, "POST /token HTTP/1.1\n\n{\"options\":{\"grant_type\":\"password\"}}"+ok)},
	{rule: "oauth.no-state", worst: analyze.Low, fires: single(true, "GET /authorize?response_type=code&client_id=app&redirect_uri=https%3A%2F%2Fx HTTP/1.1\n---\n302", "GET /authorize?response_type=token&client_id=app HTTP/1.1\n---\n302", "GET /oauth2/auth?client_id=a&response_type=code&scope=openid HTTP/1.1\n---\n200", "GET /authorize?client_id=a&response_type=id_token HTTP/1.1\n---\n302"),
		silent: single(true, "GET /authorize?response_type=code HTTP/1.1\n---\n302", "GET /list?client_id=app HTTP/1.1"+ok)},
	{rule: "oauth.http-redirect", worst: analyze.High, fires: single(true, "GET /authorize?client_id=a&redirect_uri=http%3A%2F%2F203.0.113.9%2Fcb HTTP/1.1\n---\n302", "GET /authorize?redirect_uri=http://app.example.net/cb&client_id=a HTTP/1.1\n---\n302", "GET /authorize?client_id=a&response_type=token&redirect_uri=http%3A%2F%2Flocalhost.example.net%2Fcb HTTP/1.1\n---\n302", "GET /authorize?client_id=a&redirect_uri=http%3A%2F%2Fapp%3A8080%2Fcb HTTP/1.1\n---\n400"),
		silent: single(true, "GET /authorize?client_id=a&redirect_uri=http%3A%2F%2F%5B%3A%3A1%5D%3A9%2Fcb HTTP/1.1\n---\n302", "GET /authorize?client_id=a&redirect_uri=com.example.app%3A%2Fcb HTTP/1.1\n---\n302", "GET /share?redirect_uri=http%3A%2F%2Fapp.example.net HTTP/1.1"+ok)},
	{rule: "oauth.secret-in-url", worst: analyze.High, fires: single(true, "GET /token?client_secret=Kx8rT2mWq9 HTTP/1.1"+ok, "POST /token?grant_type=client_credentials&client_secret=abc HTTP/1.1\n---\n401", "GET /oauth/access_token?client_id=1&client_secret=0123456789abcdef HTTP/1.1"+ok, "POST /v2/token?client_secret=%2Bx%3D HTTP/1.1"+ok),
		silent: single(true, "POST /token?client_id=a HTTP/1.1"+ok, "GET /docs?q=client_secret HTTP/1.1"+ok, "POST /token?client_secret_hint=ab HTTP/1.1"+ok)},
	{rule: "reset.token-in-url", worst: analyze.Medium, fires: single(true, "GET /password-reset?token="+token32+" HTTP/1.1"+ok, "GET /auth/recover?reset_token="+token32+" HTTP/1.1"+ok, "GET /reset?token="+token32+" HTTP/1.1\n---\n302", "GET /Forgot-Password?auth_token="+token32+" HTTP/1.1"+ok),
		silent: single(true, "GET /reset?token=abc HTTP/1.1"+ok, "GET /reset HTTP/1.1\n"+bearer(token32)+ok)},
}
