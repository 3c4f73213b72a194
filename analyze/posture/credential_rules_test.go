package posture

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"plainsight/analyze"
)

// Users, keys and places of conversations about credentials.
const (
	chrome  = "User-Agent: Mozilla/5.0 Chrome/120\n"
	android = "User-Agent: okhttp/4.9\n"
	script  = "User-Agent: python-requests/2.31\n"
	apiKey  = "X-Api-Key: Zk3v9Qw8xN2mB7cR5tY1\n"
	otherK  = "X-Api-Key: b7cR5tY1uJ4hL6pS0dFg\n"
	cookie  = "Cookie: sessionid=k3j4h5g6f7d8s9a0\n"
	userA   = "Authorization: Bearer " + token32 + "\n"

	hour = time.Hour
	days = 24 * time.Hour
)

// get is a request with headers that succeeds.
func get(headers string) string {
	return "GET /a HTTP/1.1\n" + strings.TrimSuffix(headers, "\n") + ok
}

// denied is one that does not.
func denied(headers string, status int) string {
	return fmt.Sprintf("GET /a HTTP/1.1\n%s\n---\n%d", strings.TrimSuffix(headers, "\n"), status)
}

// at lets the same request come from each of the addresses.
func from(text string, addresses ...string) (list []talk) {
	for _, a := range addresses {
		list = append(list, talk{text: text, from: a})
	}
	return list
}

// on lets the same request go to each of the hosts, each at an address of its
// own.
func on(text string, hosts ...string) (list []talk) {
	for i, h := range hosts {
		list = append(list, talk{text: text, host: h, to: fmt.Sprintf("10.0.%d.1:443", i)})
	}
	return list
}

func after(d time.Duration, k talk) talk {
	k.every = d
	return k
}

func basic(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)) + "\n"
}

// user is a token of a user, for an audience.
func userToken(n int, extra string) string {
	return bearer(claims(`{"iss":"https://id.example.org","sub":"u%d","iat":%d,"exp":%d%s}`, n, now.Unix()-60, now.Unix()+900, extra)) + "\n"
}

// audience makes n requests of users whose tokens name an audience.
func audience(n int, aud string) (list []talk) {
	for i := range n {
		list = append(list, talk{text: get(userToken(i%7, `,"aud":`+aud))})
	}
	return list
}

// lives makes n tokens that live for some minutes.
func lives(n, minutes int, extra string) (list []talk) {
	for i := range n {
		list = append(list, talk{text: get(bearer(claims(`{"sub":"u%d","iat":%d,"exp":%d%s}`, i, now.Unix(), now.Unix()+int64(60*minutes), extra)))})
	}
	return list
}

func cat(lists ...any) (all []talk) {
	for _, l := range lists {
		switch l := l.(type) {
		case talk:
			all = append(all, l)
		case []talk:
			all = append(all, l...)
		case string:
			all = append(all, talk{text: l})
		}
	}
	return all
}

// fleet lets callers use a first key each, and, where they rotate, another one
// later.
func fleet(rotate ...bool) (list []talk) {
	key := func(i, n int) string { return get(fmt.Sprintf("X-Api-Key: key%d-%d-b7cR5tY1uJ4h\n", i, n)) }
	addr := func(i int) string { return fmt.Sprintf("10.0.0.%d", i+20) }
	for i := range rotate {
		list = append(list, talk{text: key(i, 1), from: addr(i)})
	}
	for i, r := range rotate {
		if r {
			list = append(list, talk{text: key(i, 2), from: addr(i), every: hour})
		}
	}
	for i, r := range rotate {
		n := 1
		if r {
			n = 2
		}
		list = append(list, talk{text: key(i, n), from: addr(i), every: hour})
	}
	return list
}

const (
	logout       = "POST /logout HTTP/1.1\n"
	done         = "\n---\n204"
	clearing     = "\n---\n200\nSet-Cookie: sessionid=; Max-Age=0"
	loginRequest = "POST /login HTTP/1.1\n" + "Cookie: sessionid=k3j4h5g6f7d8s9a0\n" + "\nusername=jo&password=Kx8rT2mWq9\n---\n"
	signed       = "GET /f/1?X-Amz-Date=20260301T%s&X-Amz-Expires=%d&X-Amz-Signature=0123456789abcdef0123456789abcdef HTTP/1.1\n---\n%d"
)

var credentialSequences = []sequence{
	{rule: "tok.shared", worst: analyze.Medium, fires: [][]talk{
		cat(from(get(userA+chrome), "203.0.113.7", "198.51.100.9"), from(get(userA+android), "192.0.2.3")),
		cat(from(get(cookie+chrome), "203.0.113.7", "198.51.100.9"), from(get(cookie+script), "192.0.2.3")),
		cat(from(get(userToken(1, "")+chrome), "10.1.1.1", "10.1.2.1"), from(get(userToken(1, "")+script), "10.1.3.1")),
		cat(from(get(userA+chrome), "203.0.113.7"), after(4*time.Minute, from(get(userA+android), "198.51.100.9")[0]), after(4*time.Minute, from(get(userA+android), "2001:db8:1::1")[0])),
		cat(from(get(userToken(2, "")+script), "203.0.113.7", "198.51.100.9", "192.0.2.3", "8.8.8.8"), from(get(userToken(2, "")+chrome), "192.0.2.4")),
	}, silent: [][]talk{
		from(get(userA+chrome), "203.0.113.7", "198.51.100.9", "192.0.2.3"),
		cat(from(get(userA+chrome), "203.0.113.7", "203.0.113.99"), from(get(userA+android), "203.0.200.3")),
		cat(from(get(userA+chrome), "203.0.113.7"), after(20*time.Minute, from(get(userA+android), "198.51.100.9")[0]), after(20*time.Minute, from(get(userA+android), "192.0.2.3")[0])),
		cat(from(get(bearer(claims(`{"sub":"x@clients","exp":%d}`, now.Unix()+900))+"\n"+chrome), "203.0.113.7", "198.51.100.9"), from(get(bearer(claims(`{"sub":"x@clients","exp":%d}`, now.Unix()+900))+"\n"+script), "192.0.2.3")),
		cat(from(denied(userA+chrome, 401), "203.0.113.7", "198.51.100.9"), from(denied(userA+android, 401), "192.0.2.3")),
		cat(from(get(apiKey+chrome), "203.0.113.7", "198.51.100.9"), from(get(apiKey+android), "192.0.2.3")),
	}},
	{rule: "key.shared", worst: analyze.Medium, fires: [][]talk{
		from(get(apiKey), "203.0.113.7", "198.51.100.9", "192.0.2.3", "8.8.8.8", "10.1.1.1"),
		from(get(apiKey), "10.1.1.1", "10.1.2.1", "10.1.3.1", "10.1.4.1", "10.1.5.1"),
		from("GET /a?api_key=0123456789abcdef HTTP/1.1"+ok, "10.1.1.1", "10.1.2.1", "10.1.3.1", "10.1.4.1", "10.1.5.1", "10.1.6.1"),
		from(get("Authorization: ApiKey Zk3v9Qw8xN2mB7cR5tY1"), "2001:db8:1::1", "2001:db8:2::1", "2001:db8:3::1", "2001:db8:4::1", "2001:db8:5::1"),
		cat(from(get(apiKey), "10.1.1.1", "10.1.2.1", "10.1.3.1"), after(9*hour, from(get(apiKey), "10.1.4.1")[0]), from(get(apiKey), "10.1.5.1")),
	}, silent: [][]talk{
		from(get(apiKey), "10.1.1.1", "10.1.2.1", "10.1.3.1", "10.1.4.1"),
		from(get(apiKey), "10.1.1.1", "10.1.1.2", "10.1.1.3", "10.1.1.4", "10.1.1.5", "10.1.1.6"),
		from(get("X-Api-Key: pk_live_9Qw8xN2mB7cR5tY1"), "10.1.1.1", "10.1.2.1", "10.1.3.1", "10.1.4.1", "10.1.5.1"),
		from(denied(apiKey, 401), "10.1.1.1", "10.1.2.1", "10.1.3.1", "10.1.4.1", "10.1.5.1"),
		from(get(userA), "10.1.1.1", "10.1.2.1", "10.1.3.1", "10.1.4.1", "10.1.5.1"),
		many100(get(apiKey)),
	}},
	{rule: "key.multi-service", worst: analyze.Medium, fires: [][]talk{
		on(get(apiKey), "api.shop.example", "api.bank.example"),
		on(get(apiKey), "orders", "billing", "stock"),
		on(get("Authorization: ApiKey Zk3v9Qw8xN2mB7cR5tY1"), "a.one.svc.cluster.local", "b.two.svc.cluster.local"),
		on("GET /a?api_key=0123456789abcdef HTTP/1.1"+ok, "api.shop.example", "10.0.0.7"),
		cat(on(denied(apiKey, 401), "api.bank.example"), after(hour, on(get(apiKey), "api.bank.example")[0]), on(get(apiKey), "api.shop.example", "api.news.example")),
	}, silent: [][]talk{
		on(get(apiKey), "api.shop.example", "www.shop.example"),
		on(get(apiKey), "a.one.svc.cluster.local", "b.one.svc.cluster.local"),
		{{text: get(apiKey), host: "api.shop.example"}, {text: get(apiKey), host: "api.bank.example"}},
		cat(on(get(apiKey), "api.shop.example"), talk{text: denied(apiKey, 401), host: "api.bank.example", to: "10.0.9.1:443"}),
		on(get("X-Api-Key: pk_live_9Qw8xN2mB7cR5tY1"), "api.shop.example", "api.bank.example"),
		on(get(userA), "api.shop.example", "api.bank.example"),
	}},
	{rule: "basic.reused", worst: analyze.Medium, fires: [][]talk{
		on(get(basic("jo", "correct horse battery")), "a.example.org", "b.example.org"),
		on(get(basic("jo", "correct horse battery")), "orders", "billing"),
		on(get(basic("root", "x")), "a.example.org", "10.0.0.7", "b.example.org"),
		{{text: get(basic("jo", "pw-123456")), to: "10.0.0.1:80"}, {text: get(basic("jo", "pw-123456")), to: "10.0.0.1:81", host: "api.example.org:81"}},
		cat(on(denied(basic("jo", "pw-123456"), 401), "a.example.org"), on(get(basic("jo", "pw-123456")), "b.example.org", "c.example.org")),
	}, silent: [][]talk{
		cat(on(get(basic("jo", "one password")), "a.example.org"), talk{text: get(basic("jo", "another one")), host: "b.example.org", to: "10.9.0.1:80"}),
		cat(on(get(basic("jo", "pw-123456")), "a.example.org"), talk{text: denied(basic("jo", "pw-123456"), 401), host: "b.example.org", to: "10.9.0.1:80"}),
		{{text: get(basic("jo", "pw-123456")), host: "a.example.org"}, {text: get(basic("jo", "pw-123456")), host: "www.a.example.org"}},
		cat(on(get(basic("jo", "same")), "a.example.org"), talk{text: get(basic("al", "same")), host: "b.example.org", to: "10.9.0.1:80"}),
		on(get(userA), "a.example.org", "b.example.org"),
	}},
	{rule: "jwt.aud", worst: analyze.Medium, fires: [][]talk{
		cat(audience(60, `"orders"`), audience(1, `"billing"`)),
		cat(audience(1, `"billing"`), audience(60, `["orders","web"]`)),
		cat(audience(40, `"orders"`), audience(40, `"orders-v2"`), audience(3, `["mail","x"]`)),
		cat(audience(200, `"https://api.example.org"`), audience(9, `"https://other.example.org"`)),
		cat(audience(30, `"orders"`), talk{text: get(userToken(99, `,"aud":"id"`))}, audience(30, `"orders"`)),
	}, silent: [][]talk{
		cat(audience(40, `"orders"`), audience(1, `"billing"`)),
		cat(audience(60, `"orders"`), audience(60, `"billing"`)),
		cat(audience(60, `"orders"`), audience(1, `["billing","orders"]`)),
		cat(audience(60, `"orders"`), talk{text: denied(userToken(1, `,"aud":"billing"`), 401)}),
		cat(audience(60, `"orders"`), talk{text: get(userToken(1, ""))}),
		cat(talk{text: get(userToken(1, `,"aud":"orders"`)), times: 60}, audience(1, `"billing"`)),
	}},
	{rule: "jwt.revived", worst: analyze.High, fires: [][]talk{
		cat(get(userToken(1, "")), logout+strings.TrimSuffix(userToken(1, ""), "\n")+done, after(2*time.Minute, talk{text: get(userToken(1, ""))})),
		cat(get(userA), "DELETE /auth/sessions/current HTTP/1.1\n"+bearer(token32)+done, after(hour, talk{text: get(userA)})),
		cat(get(cookie), "GET /signout HTTP/1.1\n"+strings.TrimSuffix(cookie, "\n")+clearing, after(2*time.Minute, talk{text: get(cookie)})),
		cat(get(userA), "POST /oauth/revoke HTTP/1.1\n"+strings.TrimSuffix(basic("app", "Kx8rT2mWq9x"), "\n")+"\n\ntoken="+token32+"&token_type_hint=access_token"+ok, after(2*time.Minute, talk{text: get(userA)})),
		cat(get(userToken(1, "")), get(userToken(1, `,"jti":"2"`)), "POST /me/password HTTP/1.1\n"+userToken(1, `,"jti":"2"`)+"\npassword=Kx8rT2mWq9"+ok, after(3*time.Minute, talk{text: get(userToken(1, ""))})),
	}, silent: [][]talk{
		cat(get(userToken(1, "")), logout+strings.TrimSuffix(userToken(1, ""), "\n")+done, after(30*time.Second, talk{text: get(userToken(1, ""))})),
		cat(get(userToken(1, "")), logout+strings.TrimSuffix(userToken(1, ""), "\n")+done, after(2*time.Minute, talk{text: denied(userToken(1, ""), 401)})),
		cat(get(userToken(1, "")), logout+strings.TrimSuffix(userToken(1, ""), "\n")+"\n---\n500", after(2*time.Minute, talk{text: get(userToken(1, ""))})),
		cat(get(cookie), "GET /logout HTTP/1.1\n"+strings.TrimSuffix(cookie, "\n")+"\n---\n200", after(2*time.Minute, talk{text: get(cookie)})),
		cat(get(userToken(1, "")), "POST /me/password HTTP/1.1\n"+userToken(1, "")+"\npassword=Kx8rT2mWq9"+ok, after(3*time.Minute, talk{text: get(userToken(1, ""))})),
		cat(get(userToken(1, "")), "POST /me/password HTTP/1.1\n"+userToken(1, "")+"\npassword=Kx8rT2mWq9"+ok, after(3*time.Minute, talk{text: get(userToken(1, `,"jti":"2"`))}), after(hour, talk{text: get(userToken(1, `,"jti":"2"`))})),
		cat(get(userA), "DELETE /sessions/17 HTTP/1.1\n"+bearer(token32)+done, after(hour, talk{text: get(userA)})),
	}},
	{rule: "sess.fixed", worst: analyze.Medium, fires: [][]talk{
		cat(get(cookie), loginRequest+"200\n\n{}", get(cookie)),
		cat(get(cookie), loginRequest+"302\nLocation: /home", get(cookie)),
		cat(get(cookie), loginRequest+"200\nSet-Cookie: sessionid=k3j4h5g6f7d8s9a0; HttpOnly", after(hour, talk{text: get(cookie)})),
		cat(loginRequest+"200\nSet-Cookie: theme=dark-and-stormy", get(cookie)),
		cat(get("Cookie: PHPSESSID=0123456789abcdefghijk\n"), "POST /auth HTTP/1.1\nCookie: PHPSESSID=0123456789abcdefghijk\n\n{\"email\":\"a@b.org\",\"password\":\"Kx8rT2mWq9\"}\n---\n200\n\n{}", get("Cookie: PHPSESSID=0123456789abcdefghijk\n")),
	}, silent: [][]talk{
		cat(get(cookie), loginRequest+"200\nSet-Cookie: sessionid=z9x8c7v6b5n4m3a2; HttpOnly", get("Cookie: sessionid=z9x8c7v6b5n4m3a2\n")),
		cat(get(cookie), loginRequest+"401\n\n{}", get(cookie)),
		cat(get(cookie), loginRequest+"302\nLocation: /login?again", get(cookie)),
		cat(get(cookie), loginRequest+"200\n\n{\"access_token\":\""+token32+"\"}", get(cookie)),
		cat(get(cookie), loginRequest+"200\n\n{}"),
		cat(get(cookie), loginRequest+"200\n\n{}", get(cookie+userA)),
		cat(get("Cookie: theme=dark-theme-17\n"), "POST /login HTTP/1.1\nCookie: theme=dark-theme-17\n\nusername=jo&password=Kx8rT2mWq9\n---\n200\n\n{}", get("Cookie: theme=dark-theme-17\n")),
	}},
	{rule: "key.expired-works", worst: analyze.High, fires: [][]talk{
		cat(fmt.Sprintf(signed, "100000Z", 3600, 200)),
		cat("POST /token HTTP/1.1\n\ngrant_type=client_credentials\n---\n200\n\n{\"access_token\":\""+token32+"\",\"expires_in\":600}", after(20*time.Minute, talk{text: get(userA)})),
		cat("GET /c/blob?sv=2022&se=2026-02-28T10:00:00Z&sig=0123456789abcdef0123456789abcdef HTTP/1.1" + ok),
		cat("GET /d/f.zip?Expires=1700000000&Signature=0123456789abcdef0123&Key-Pair-Id=K1 HTTP/1.1" + ok),
		cat("POST /api-keys HTTP/1.1\n\n{}\n---\n201\n\n{\"api_key\":\"Zk3v9Qw8xN2mB7cR5tY1\",\"expires_at\":\"2026-03-01T12:30:00Z\"}", after(hour, talk{text: get(apiKey)})),
	}, silent: [][]talk{
		cat(fmt.Sprintf(signed, "115900Z", 3600, 200)),
		cat(fmt.Sprintf(signed, "100000Z", 3600, 403)),
		cat("POST /token HTTP/1.1\n\ngrant_type=client_credentials\n---\n200\n\n{\"access_token\":\""+token32+"\",\"expires_in\":600}", after(11*time.Minute, talk{text: get(userA)})),
		cat("POST /token HTTP/1.1\n\ngrant_type=client_credentials\n---\n200\n\n{\"access_token\":\""+token32+"\",\"expires_in\":600}", after(20*time.Minute, talk{text: denied(userA, 401)})),
		cat("GET /offers?expires=1700000000 HTTP/1.1" + ok),
		cat("POST /token HTTP/1.1\n\ngrant_type=client_credentials\n---\n200\n\n{\"access_token\":\""+token32+"\"}", after(20*time.Minute, talk{text: get(userA)})),
	}},
	{rule: "key.old", worst: analyze.Medium, fires: [][]talk{
		cat(get(apiKey), after(91*days, talk{text: get(apiKey)})),
		cat(get(apiKey), after(40*days, talk{text: get(apiKey)}), after(60*days, talk{text: get(apiKey)})),
		cat(get(otherK), get(apiKey), after(100*days, talk{text: get(apiKey)})),
		cat(get(apiKey), after(50*days, talk{text: get(otherK), from: "10.0.0.50"}), after(50*days, talk{text: get(apiKey)}), after(time.Minute, talk{text: get(otherK), from: "10.0.0.50"})),
		cat("GET /a?api_key=0123456789abcdef HTTP/1.1"+ok, after(400*days, talk{text: "GET /a?api_key=0123456789abcdef HTTP/1.1" + ok})),
	}, silent: [][]talk{
		cat(get(apiKey), after(89*days, talk{text: get(apiKey)})),
		cat(get(apiKey), after(91*days, talk{text: denied(apiKey, 401)})),
		cat(get(apiKey), after(91*days, talk{text: get(apiKey)}), get(otherK)),
		cat(get("X-Api-Key: pk_live_9Qw8xN2mB7cR5tY1"), after(91*days, talk{text: get("X-Api-Key: pk_live_9Qw8xN2mB7cR5tY1")})),
		cat(get(userA), after(91*days, talk{text: get(userA)})),
	}},
	{rule: "key.no-rotation", worst: analyze.Low, fires: [][]talk{
		fleet(true, true, true, false), fleet(true, true, true, true, true, false), fleet(false, true, true, true, false),
		fleet(true, false, true, true), cat(fleet(true, true, true, false), get(userA)),
	}, silent: [][]talk{
		fleet(true, true, false), fleet(false, false, false, false), fleet(true, true, true, true),
		fleet(true, true, true, false)[:7], cat(fleet(true, true, true), talk{text: get("X-Api-Key: key9-1-b7cR5tY1uJ4h"), from: "10.0.0.99"}),
	}},
	{rule: "key.stale", worst: analyze.Medium, fires: [][]talk{
		cat(get(apiKey), after(62*days, talk{text: get(apiKey)})),
		cat(talk{text: get(apiKey), times: 9}, after(200*days, talk{text: get(apiKey)})),
		cat(get(apiKey), after(20*days, talk{text: get(apiKey)}), after(65*days, talk{text: get(apiKey), from: "10.7.0.1"})),
		cat(talk{text: get(apiKey), times: 40, every: 6 * hour}, talk{text: get(apiKey), from: foreign}),
		cat(talk{text: get(apiKey), times: 40, every: 6 * hour}, talk{text: get(apiKey), from: "10.7.0.1", times: 3}),
	}, silent: [][]talk{
		cat(get(apiKey), after(59*days, talk{text: get(apiKey)}), after(59*days, talk{text: get(apiKey)})),
		cat(get(apiKey), after(62*days, talk{text: get(otherK)})),
		cat(talk{text: get(apiKey), times: 40, every: hour}, talk{text: get(apiKey), from: foreign}),
		cat(talk{text: get(apiKey), times: 40, every: 6 * hour}, talk{text: get(apiKey), from: "10.0.0.77"}),
		cat(talk{text: get(apiKey), times: 20, every: 12 * hour}, talk{text: get(apiKey), from: foreign}),
		cat(get(userA), after(62*days, talk{text: get(userA)})),
	}},
	{rule: "key.provider-out", worst: analyze.Medium, fires: [][]talk{
		toProvider("api.stripe.com", bearer("sk_live_4eC39HqLyjWDarjtT1zdp7dc"), 40, 1),
		toProvider("s3.eu-west-1.amazonaws.com", "X-Api-Key: Zk3v9Qw8xN2mB7cR5tY1", 60, 2),
		toProvider("api.openai.com", bearer("sk-proj-4eC39HqLyjWDarjtT1zdp7dc"), 30, 1),
		toProvider("api.github.com", "Authorization: token ghp_4eC39HqLyjWDarjtT1zdp7dcAAAABBBBCCCC", 100, 9),
		toProvider("hooks.slack.com", "X-Auth-Key: Zk3v9Qw8xN2mB7cR5tY1", 50, 1),
	}, silent: [][]talk{
		toProvider("api.stripe.com", bearer("sk_live_4eC39HqLyjWDarjtT1zdp7dc"), 20, 1),
		toProvider("api.stripe.com", bearer("sk_live_4eC39HqLyjWDarjtT1zdp7dc"), 40, 0),
		toProvider("api.stripe.com", bearer("sk_live_4eC39HqLyjWDarjtT1zdp7dc"), 40, 20),
		toProvider("api.example.org", bearer("sk_live_4eC39HqLyjWDarjtT1zdp7dc"), 40, 1),
		toProvider("api.stripe.com.example.org", bearer("sk_live_4eC39HqLyjWDarjtT1zdp7dc"), 40, 1),
		cat(toProvider("api.stripe.com", bearer("sk_live_4eC39HqLyjWDarjtT1zdp7dc"), 40, 0), talk{text: get(bearer("sk_live_4eC39HqLyjWDarjtT1zdp7dc")), host: "api.stripe.com", from: "10.0.0.200"}),
	}},
	{rule: "key.lifetime", worst: analyze.Info, fires: [][]talk{
		lives(5, 15, ""), lives(20, 600, ""), lives(5, 15, `,"iss":"https://id.example.org"`), cat(lives(3, 15, ""), lives(3, 30, "")), cat(lives(6, 15, ""), get(userA)),
	}, silent: [][]talk{
		lives(4, 15, ""), lives(20, 15, `,"typ":"refresh"`), cat(lives(3, 15, `,"iss":"https://a"`), lives(3, 30, `,"iss":"https://b"`)),
		lives(20, 0, ""), cat(talk{text: get(userToken(1, "")), times: 20}), cat(talk{text: get(userA), times: 20}),
	}},
	{rule: "auth.ignored", worst: analyze.Critical, fires: [][]talk{
		cat(get(userToken(1, "")), get(forge(userToken(1, "")))),
		cat(get(bearer(sign("x", `{"alg":"RS256"}`, `{"sub":"u"}`))), get(bearer(sign("y", `{"alg":"RS256"}`, `{"sub":"u"}`)))),
		cat(get(userToken(1, "")), talk{text: get(forge(userToken(1, ""))), from: foreign}, get(userToken(1, ""))),
		cat(get(userToken(1, "")), get(bearer(good[:strings.LastIndexByte(good, '.')])), denied("", 401)),
	}, silent: [][]talk{
		cat(get(userToken(1, "")), denied(forge(userToken(1, "")), 401)),
		cat(get(bearer(sign("x", `{"alg":"ES256"}`, `{"sub":"u"}`))), get(bearer(sign("y", `{"alg":"ES256"}`, `{"sub":"u"}`)))),
		cat(get(userToken(1, "")), get(userToken(2, ""))),
		cat(get(userToken(1, "")), get(bearer("eyJ1c2VyIjoxN30.Zk3v9Qw8xN2mB7cR5tY1")), denied("", 401)),
		cat(get(userToken(1, "")), "POST /login HTTP/1.1\n"+forge(userToken(1, ""))+"\n---\n200"),
	}},
	{rule: "inv.nonprod-in-prod", worst: analyze.Medium, fires: [][]talk{
		on(get(apiKey), "api.example.org", "staging.example.org"),
		on(get(userToken(1, "")), "api.example.org", "api-beta.example.org"),
		on(get(cookie), "www.shop.example.org", "old.shop.example.org"),
		on(get(basic("jo", "pw-123456")), "api.example.org", "dev.api.example.org"),
		on(get(userA), "test.example.org", "api.example.org", "www.example.org"),
	}, silent: [][]talk{
		on(get(apiKey), "api.example.org", "www.example.org"),
		on(get(apiKey), "staging.example.org", "dev.example.org"),
		cat(on(get(apiKey), "api.example.org"), talk{text: denied(apiKey, 401), host: "staging.example.org"}),
		on(get("X-Api-Key: pk_live_9Qw8xN2mB7cR5tY1"), "api.example.org", "staging.example.org"),
		on(get(apiKey), "api.example.org", "oldtimer.example.org"),
		on(get(apiKey), "api.example.org", "staging.example.net"),
	}},
}

func many100(text string) (list []talk) {
	for i := range 120 {
		list = append(list, talk{text: text, from: fmt.Sprintf("10.1.%d.1", i)})
	}
	return list
}

// toProvider sends a key to a provider, some of the times from elsewhere.
func toProvider(host, header string, usual, odd int) []talk {
	list := []talk{{text: get(header), host: host, times: usual}}
	if odd > 0 {
		list = append(list, talk{text: get(header), host: host, from: "10.77.0.5", times: odd})
	}
	return list
}

// forge alters the signature of a token in a header.
func forge(header string) string {
	i := strings.LastIndexByte(header, '.')
	return header[:i+1] + strings.Map(func(r rune) rune {
		if r == 'A' {
			return 'B'
		}
		return 'A'
	}, strings.TrimSuffix(header[i+1:], "\n"))
}
