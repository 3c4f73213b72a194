// Package twin is a small API with two lives: with its flaws switched on it has
// those that people plant to teach API security and that can be seen from
// outside, with the switch off it is the same API done right. A driver uses
// both in the same way: customers who sign in, page, order and make mistakes,
// an administrator, and a scanner. [Capture] writes what passed between them.
//
// It listens on loopback only, for as long as a test records it. Tests call it.
package twin

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Flaw is one that the switch turns on: the rule that should find it and where.
type Flaw struct {
	Rule     string
	Endpoint string // as [analyze.Endpoint.Name], with {} for what stands in braces; "" for the service
}

// Flaws are all that are planted.
var Flaws = []Flaw{
	{"jwt.weak-secret", ""}, {"jwt.no-exp", ""}, {"enc.cookie-flags", ""},
	{"jwt.alg-none", "GET /me"}, {"jwt.expired-accepted", "GET /me"}, {"cors.wild", "GET /me"}, {"cache.sensitive", "GET /me"},
	{"inj.effect", "GET /books/search"}, {"inj.effect", "GET /files"}, {"inj.effect", "POST /fetch"}, {"inj.effect", "POST /login"}, {"inj.effect", "GET /greeting"},
	{"xss.reflected", "GET /hello"}, {"xml.xxe", "POST /orders/import"}, {"upload.danger", "POST /files"},
	{"mass.assign", "POST /users"}, {"sec.password-out", "GET /users/debug"}, {"pii.contact", "GET /users"}, {"auth.none", "GET /orders/{}"}, {"pii.card", "GET /payments/{}"},
	{"bfla.admin", "GET /admin/users"}, {"tok.in-url", "GET /invoices"}, {"err.stack", "GET /books/{}"}, {"inv.debug-surface", "GET /actuator/env"},
	{"gql.introspection", "POST /graphql query {}"}, {"gql.depth", "POST /graphql query {}"}, {"gql.batch", "POST /graphql query {}"},
	{"res.unbounded", "GET /books"},
	{"rate.no-limit", "POST /login"}, {"login.brute", "POST /login"}, {"xss.stored", "GET /reviews"}, {"hpp", "GET /statements"},
	{"exp.list", "GET /users"}, {"inv.nonprod-in-prod", "GET /beta/books"}, {"test.scan-success", "GET /files"},
}

type user struct {
	ID    int    `json:"id"`
	Name  string `json:"username"`
	Email string `json:"email"`
	Role  string `json:"role"`

	password, ssn, card string
}

var users = func() (list []user) {
	for i, n := range []string{"maren", "tomas", "priya", "jonas", "aiko", "luca"} {
		list = append(list, user{ID: 11 + i, Name: n, Email: n + "@kitemail.net", Role: "customer", password: fmt.Sprintf("%s-w1nter-%d!", n, 31*i+7), ssn: fmt.Sprintf("%03d-%02d-%04d", 212+i*37, 41+i, 3817+i*113), card: luhn("453988" + fmt.Sprintf("%09d", 7919*(i+31)))})
	}
	return append(list, user{ID: 1, Name: "root-ops", Email: "ops@kitemail.net", Role: "admin", password: "0ps-Long-Enough-77", ssn: "401-55-2231", card: luhn("453988000771234")})
}()

// luhn adds the check digit (ISO/IEC 7812).
func luhn(digits string) string {
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return fmt.Sprint(digits, (10-sum%10)%10)
}

// server is the API.
type server struct {
	flawed  bool
	clock   func() time.Time
	failed  map[string]int // logins in a row, by account
	reviews []string
}

func (s *server) secret() string {
	if s.flawed {
		return "secret"
	}
	return "vQ7m0ZrX4tB8nK2wL6yJ1sD9fH3gC5aP"
}

// sign makes a token (RFC 7519, HS256).
func (s *server) sign(claims map[string]any) string {
	b := base64.RawURLEncoding
	body, _ := json.Marshal(claims) // of plain values
	text := b.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + b.EncodeToString(body)
	mac := hmac.New(sha256.New, []byte(s.secret()))
	mac.Write([]byte(text))
	return text + "." + b.EncodeToString(mac.Sum(nil))
}

func (s *server) token(u user) string {
	c := map[string]any{"sub": strconv.Itoa(u.ID), "role": u.Role, "iat": s.clock().Unix()}
	if !s.flawed {
		c["exp"] = s.clock().Add(time.Hour).Unix()
	}
	return s.sign(c)
}

// caller is whose token the request has, nil for nobody's.
func (s *server) caller(r *http.Request) *user {
	text := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if text == "" && s.flawed {
		text = r.URL.Query().Get("access_token")
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	if err != nil || json.Unmarshal(raw, &claims) != nil {
		return nil
	}
	head, _ := base64.RawURLEncoding.DecodeString(parts[0])
	unsigned := strings.Contains(string(head), `"none"`)
	if !(s.flawed && unsigned) && (unsigned || s.sign(claims) != text) {
		return nil
	}
	if exp, ok := claims["exp"].(float64); ok && !s.flawed && int64(exp) < s.clock().Unix() {
		return nil
	}
	id, _ := strconv.Atoi(fmt.Sprint(claims["sub"]))
	if i := slices.IndexFunc(users, func(u user) bool { return u.ID == id }); i >= 0 {
		return &users[i]
	}
	return nil
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // the client's going away is its own affair
}

func refuse(w http.ResponseWriter, status int, why string) {
	answer(w, status, map[string]string{"error": why})
}

func page(w http.ResponseWriter, status int, html string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	io.WriteString(w, html)
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	me := s.caller(r)
	raw, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	var in map[string]any
	_ = json.Unmarshal(raw, &in) // not all bodies are objects
	q := r.URL.Query()
	w.Header().Set("Cache-Control", "no-store")
	route := r.Method + " " + r.URL.Path
	open := []string{"POST /login", "POST /users", "GET /hello", "GET /greeting"}
	if s.flawed {
		open = append(open, "GET /users", "GET /users/debug", "GET /admin/users", "GET /actuator/env", "POST /graphql")
	}
	order := strings.HasPrefix(route, "GET /orders/")
	if me == nil && !slices.Contains(open, route) && !(order && s.flawed) {
		refuse(w, 401, "sign in first")
		return
	}
	switch {
	case route == "POST /login":
		s.login(w, in)
	case route == "POST /users":
		u := map[string]any{"id": 100 + len(raw), "username": in["username"], "role": "customer"}
		if role, ok := in["role"]; ok && s.flawed {
			u["role"] = role
		}
		answer(w, 201, u)
	case route == "GET /me":
		if s.flawed {
			w.Header().Set("Cache-Control", "public, max-age=600")
			if origin := r.Header.Get("Origin"); origin != "" {
				w.Header().Set("Access-Control-Allow-Origin", origin)
				w.Header().Set("Access-Control-Allow-Credentials", "true")
			}
		}
		answer(w, 200, me)
	case route == "GET /users":
		if me != nil && me.Role != "admin" {
			refuse(w, 403, "not yours")
			return
		}
		if s.flawed {
			answer(w, 200, map[string]any{"users": users})
			return
		}
		var names []map[string]any
		for _, u := range users {
			names = append(names, map[string]any{"id": u.ID, "username": u.Name})
		}
		answer(w, 200, map[string]any{"users": names})
	case route == "GET /users/debug" && s.flawed:
		var all []map[string]any
		for _, u := range users {
			all = append(all, map[string]any{"username": u.Name, "password": u.password})
		}
		answer(w, 200, map[string]any{"users": all})
	case route == "GET /admin/users":
		if !s.flawed && me.Role != "admin" {
			refuse(w, 403, "not yours")
			return
		}
		answer(w, 200, map[string]any{"count": len(users)})
	case strings.HasPrefix(route, "GET /users/"):
		answer(w, 200, map[string]any{"id": r.URL.Path[7:], "username": me.Name})
	case route == "GET /statements":
		if accounts := q["account"]; len(accounts) > 1 && !s.flawed {
			refuse(w, 400, "one account at a time")
			return
		}
		answer(w, 200, map[string]any{"entries": []int{12, 30}})
	case route == "POST /reviews":
		s.reviews = append(s.reviews, fmt.Sprint(in["text"]))
		answer(w, 201, map[string]any{"stored": true})
	case route == "GET /reviews":
		text := strings.Join(s.reviews, "<br>")
		if !s.flawed {
			text = strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(text)
		}
		page(w, 200, "<!doctype html><h1>Reviews</h1>"+text)
	case route == "GET /beta/books" && s.flawed, route == "GET /books":
		s.books(w, q)
	case route == "GET /books/search":
		title := q.Get("title")
		if s.flawed && strings.Count(title, "'")%2 == 1 {
			refuse(w, 500, `You have an error in your SQL syntax; check the manual for the right syntax near '`+title+`'`)
			return
		}
		answer(w, 200, map[string]any{"books": []any{}})
	case strings.HasPrefix(route, "GET /books/"):
		if _, err := strconv.Atoi(r.URL.Path[7:]); err != nil {
			if s.flawed {
				refuse(w, 500, "panic: not a number\n\tat books.Find (/srv/app/books.js:41:7)\n\tat router.handle (/srv/app/router.js:12:3)")
				return
			}
			refuse(w, 400, "not a number")
			return
		}
		answer(w, 200, book(11))
	case order:
		out := map[string]any{"id": r.URL.Path[8:], "total": 42.5, "state": "paid"}
		if s.flawed {
			out["customer"] = map[string]any{"ssn": users[0].ssn, "first_name": "Maren"}
		}
		answer(w, 200, out)
	case strings.HasPrefix(route, "GET /payments/"):
		card := me.card
		if !s.flawed {
			card = "************" + card[12:]
		}
		answer(w, 200, map[string]any{"card_number": card, "amount": 42})
	case route == "GET /invoices":
		answer(w, 200, map[string]any{"invoices": []int{1, 2}})
	case route == "POST /orders/import":
		if !s.flawed && strings.Contains(string(raw), "<!DOCTYPE") {
			refuse(w, 400, "no DTD here")
			return
		}
		note := "ok"
		if strings.Contains(string(raw), "file:///etc/passwd") {
			note = passwd
		}
		answer(w, 200, map[string]any{"imported": 1, "note": note})
	case route == "GET /files":
		if name := q.Get("name"); strings.Contains(name, "..") {
			if !s.flawed {
				refuse(w, 400, "no such file")
				return
			}
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, passwd)
			return
		}
		answer(w, 200, map[string]any{"lines": 3})
	case route == "POST /files":
		if !s.flawed && strings.Contains(string(raw), ".php") {
			refuse(w, 415, "pictures only")
			return
		}
		answer(w, 201, map[string]any{"stored": true})
	case route == "POST /fetch":
		target, _ := url.Parse(fmt.Sprint(in["url"]))
		switch {
		case target == nil || target.Hostname() != "169.254.169.254":
			answer(w, 200, map[string]any{"size": 1256})
		case s.flawed: // nothing is fetched: it answers what the address would
			answer(w, 200, map[string]any{"body": "ami-id\nhostname\ninstance-id\niam/info"})
		default:
			refuse(w, 400, "not an address we fetch from")
		}
	case route == "GET /greeting":
		name := q.Get("name")
		if s.flawed {
			name = strings.ReplaceAll(name, "{{191*7}}", "1337")
		}
		answer(w, 200, map[string]any{"text": "Hello " + name})
	case route == "GET /hello":
		name := q.Get("name")
		if !s.flawed {
			name = strings.NewReplacer("<", "&lt;", ">", "&gt;", `"`, "&#34;").Replace(name)
		}
		page(w, 200, "<!doctype html><p>Hello "+name)
	case route == "GET /actuator/env" && s.flawed:
		answer(w, 200, map[string]any{"propertySources": []any{map[string]any{"name": "systemEnvironment"}}})
	case route == "POST /graphql":
		s.graphQL(w, raw, in)
	default:
		refuse(w, 404, "nothing here")
	}
}

const passwd = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n"

func (s *server) login(w http.ResponseWriter, in map[string]any) {
	name := fmt.Sprint(in["username"])
	if s.failed[name] >= 5 && !s.flawed {
		w.Header().Set("Retry-After", "60")
		refuse(w, 429, "too many attempts")
		return
	}
	for _, u := range users {
		if u.Name != in["username"] {
			continue
		}
		_, operator := in["password"].(map[string]any)
		if in["password"] != u.password && !(operator && s.flawed) {
			break
		}
		c := &http.Cookie{Name: "session_id", Value: fmt.Sprintf("%x", sha256.Sum256([]byte(u.Name+s.clock().String())))[:32], Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode}
		if s.flawed {
			c.HttpOnly, c.Secure, c.SameSite = false, false, 0
		}
		http.SetCookie(w, c)
		delete(s.failed, name)
		answer(w, 200, map[string]any{"token": s.token(u)})
		return
	}
	if s.failed == nil {
		s.failed = map[string]int{}
	}
	s.failed[name]++
	refuse(w, 401, "name or password is wrong")
}

func book(n int) map[string]any {
	return map[string]any{"id": n, "title": fmt.Sprint("Book of ", n), "pages": 100 + n%300}
}

func (s *server) books(w http.ResponseWriter, q url.Values) {
	n, _ := strconv.Atoi(q.Get("limit"))
	if n = max(n, 10); !s.flawed {
		n = min(n, 50)
	}
	var list []any
	for i := range min(n, 800) {
		list = append(list, book(i+1))
	}
	answer(w, 200, map[string]any{"books": list})
}

func (s *server) graphQL(w http.ResponseWriter, raw []byte, in map[string]any) {
	query := fmt.Sprint(in["query"])
	switch {
	case !s.flawed && (raw[0] == '[' || strings.Count(query, "{") > 8 || strings.Contains(query, "__schema")):
		refuse(w, 400, "this query is not allowed")
	case strings.Contains(query, "__schema"):
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"data":{"__schema":{"types":[{"name":"User"},{"name":"Order"}]}}}`)
	default:
		answer(w, 200, map[string]any{"data": map[string]any{"books": []any{book(1)}}})
	}
}
