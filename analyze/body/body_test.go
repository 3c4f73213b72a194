package body

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// script writes down what a visitor is told, checks that keys stand only in
// objects and that everything is closed, and follows with a Tracker.
type script struct {
	t       testing.TB
	out     strings.Builder
	open    []Kind
	keyed   bool
	tracker Tracker
	paths   []string
	names   [][]byte // as they were told
	copies  []string // of them
}

func (s *script) before() {
	if n := len(s.open); n > 0 && s.open[n-1] == Object && !s.keyed {
		s.t.Errorf("a value without a key after %s", s.out.String())
	}
	s.keyed = false
}

func (s *script) Begin(k Kind) {
	s.before()
	s.open = append(s.open, k)
	s.out.WriteString(map[Kind]string{Object: "{", Array: "["}[k])
	s.tracker.Begin(k)
}

func (s *script) Key(name []byte) {
	if n := len(s.open); n == 0 || s.open[n-1] != Object {
		s.t.Errorf("key %q outside an object", name)
	}
	s.keyed = true
	s.names, s.copies = append(s.names, name), append(s.copies, string(name))
	fmt.Fprintf(&s.out, "%s:", name)
	s.tracker.Key(name)
}

func (s *script) Value(k Kind, text []byte) {
	s.before()
	if k == String {
		fmt.Fprintf(&s.out, "%q ", text)
	} else {
		fmt.Fprintf(&s.out, "%s ", text)
	}
	s.tracker.Value()
	s.paths = append(s.paths, string(s.tracker.AppendPointer(nil))+" "+string(s.tracker.AppendPath(nil)))
}

func (s *script) End(k Kind) {
	n := len(s.open)
	if n == 0 || s.open[n-1] != k {
		s.t.Fatalf("unbalanced end after %s", s.out.String())
	}
	s.open = s.open[:n-1]
	s.keyed = false
	s.out.WriteString(map[Kind]string{Object: "}", Array: "]"}[k])
	s.tracker.End()
}

func walk(t testing.TB, w *Walker, contentType, text string) (*script, Result) {
	s := &script{t: t}
	r := w.Walk([]byte(contentType), []byte(text), s)
	for i, name := range s.names {
		if string(name) != s.copies[i] {
			t.Errorf("%q: the name %q became %q during the walk", text, s.copies[i], name)
		}
	}
	if len(s.open) > 0 || s.tracker.Depth() > 0 {
		t.Errorf("%q leaves %d containers open", text, len(s.open))
	}
	return s, r
}

func TestWalk(t *testing.T) {
	const (
		j = "application/json"
		f = "application/x-www-form-urlencoded"
		m = "multipart/form-data; boundary=XX"
		x = "application/xml"
	)
	for _, c := range []struct {
		name, contentType, text string
		format                  Format
		complete                bool
		want                    string
	}{
		{"an object", j, `{"a":1,"b":[true,null,"x"],"c":{}}`, JSON, true, `{a:1 b:[true null "x" ]c:{}}`},
		{"a value alone", j, ` 12.5 `, JSON, true, `12.5 `},
		{"escapes", j, `["a\"\\\/\n\u00e9\ud83d\ude00\ud800x"]`, JSON, true, `["a\"\\/\né😀�x" ]`},
		{"a trailing comma", j, `{"a":[1,],}`, JSON, true, `{a:[1 ]}`},
		{"NaN", j, `[NaN,-Infinity]`, JSON, true, `[NaN -Infinity ]`},
		{"duplicate keys", j, `{"a":1,"a":2}`, JSON, true, `{a:1 a:2 }`},
		{"invalid UTF-8", j, "[\"\xff\"]", JSON, true, `["\xff" ]`},
		{"cut in a string", j, `{"a":1,"b":"sec`, JSON, false, `{a:1 b:}`},
		{"cut in a number", j, `{"a":[1,23`, JSON, false, `{a:[1 ]}`},
		{"cut after a key", j, `{"a":{"b"`, JSON, false, `{a:{b:}}`},
		{"cut after a value", j, `[1,2,`, JSON, false, `[1 2 ]`},
		{"the wrong bracket", j, `{"a":[1}}`, JSON, false, `{a:[1 ]}`},
		{"a missing value", j, `{"a":,"b":1}`, JSON, false, `{a:b:1 }`},
		{"a missing comma", j, `[1 2]`, JSON, false, `[1 ]`},
		{"something behind", j, `{"a":1} x`, JSON, false, `{a:1 }`},
		{"JavaScript", j, `{a:1}`, JSON, false, `{a:1 }`},
		{"a guard against script tags", j, ")]}',\n{\"a\":1}", JSON, true, `{a:1 }`},
		{"a byte-order mark", j, "\xef\xbb\xbf{}", JSON, true, `{}`},
		{"UTF-16", j, "\xff\xfe{\x00}\x00", JSON, true, `{}`},
		{"no type", "", `{"a":1}`, JSON, true, `{a:1 }`},
		{"JSON that says it is text", "text/plain", `[{"a":1}]`, JSON, true, `[{a:1 }]`},
		{"JSON that says it is a form", f, `{"a":"b&c=d"}`, JSON, true, `{a:"b&c=d" }`},
		{"a log line is no JSON", "text/plain", `[info] no`, Text, true, `"[info] no" `},
		{"HTML that says it is JSON", j, `<!doctype html><p>`, Text, true, `"<!doctype html><p>" `},
		{"lines", "application/x-ndjson", "{\"a\":1}\n{\"a\":2}\n", NDJSON, true, `[{a:1 }{a:2 }]`},
		{"lines that say they are JSON", j, "{\"a\":1}\n{\"a\":2}\n", NDJSON, true, `[{a:1 }{a:2 }]`},
		{"a broken line", "application/x-ndjson", "{\"a\":1 1\n{\"a\":2}", NDJSON, false, `[{a:1 }{a:2 }]`},
		{"a JSON sequence", "application/json-seq", "\x1e1\n\x1e2\n", NDJSON, true, `[1 2 ]`},
		{"a form", f, "a=1+2&b%5Bc%5D=%C3%A9&d&=&e=50%", Form, true, `{a:"1 2" b[c]:"é" d:"" e:"50%" }`},
		{"parts", m, "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--XX\r\nContent-Disposition: form-data; name=b; filename=\"c.png\"\r\nContent-Type: image/png\r\n\r\n\x00--XXX\r\n--XX\r\n" +
			"Content-Disposition: form-data; name=j\r\nContent-Type: application/json\r\n\r\n{\"k\":[1]}\r\n--XX--\r\n", Multipart, true, `{a:"1" b:"c.png" j:{k:[1 ]}}`},
		{"cut parts", m, "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--XX\r\nContent-Disposition: form-data; name=b\r\n\r\nse", Multipart, false, `{a:"1" b:}`},
		{"parts without a boundary in the header", "multipart/form-data", "--Q\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--Q--", Multipart, true, `{a:"1" }`},
		{"elements", x, `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><r a="1 &lt; 2"><!-- no --><n>Bob &amp; &#233;&b;</n><e/><m>x<i>y</i>z</m><![CDATA[<>]]></r>`, XML, true,
			`{r:{@a:"1 < 2" n:"Bob & é&b;" e:"" m:{#text:"x" i:"y" #text:"z" }#text:"<>" }}`},
		{"cut elements", x, `<r><a>1</a><b>2`, XML, false, `{r:{a:"1" b:}}`},
		{"elements that cross", x, `<r><a><b>1</a></r>`, XML, false, `{r:{a:{b:"1" }}}`},
		{"XML by its looks", "", `<r><a>1</a></r>`, XML, true, `{r:{a:"1" }}`},
		{"a message", "application/x-protobuf", "\x0a\x03Ann\x10\x96\x01\x1a\x06\x0a\x04a@b.\x25\x00\x00\x20\x41", Protobuf, true, `{#1:"Ann" #2:150 #3:{#1:"a@b." }#4:10 }`},
		{"a cut message", "application/protobuf", "\x0a\x03Ann\x12\x09Smi", Protobuf, false, `{#1:"Ann" }`},
		{"a message that looks like text", "application/protobuf", "\x1a\x26\x0a\x24550e8400-e29b-41d4-a716-446655440000", Protobuf, true, `{#3:{#1:"550e8400-e29b-41d4-a716-446655440000" }}`},
		{"bytes in a message", "application/protobuf", "\x0a\x04\x89PNG\x12\x01x", Protobuf, true, `{#2:"x" }`},
		{"a negative number", "application/protobuf", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Protobuf, true, `{#1:-1 }`},
		{"a message that says nothing of itself", "application/octet-stream", "\x0a\x09Ann Smith\x10\x07", Protobuf, true, `{#1:"Ann Smith" #2:7 }`},
		{"JSON that says it is a message", "application/x-protobuf", `{"a":1}`, JSON, true, `{a:1 }`},
		{"calls", "application/grpc+proto", "\x00\x00\x00\x00\x05\x0a\x03Ann\x00\x00\x00\x00\x05\x0a\x03Bob", GRPC, true, `{#1:"Ann" #1:"Bob" }`},
		{"a compressed call", "application/grpc", "\x01\x00\x00\x00\x02\x1f\x8b\x00\x00\x00\x00\x03\x0a\x01B", GRPC, false, `{#1:"B" }`},
		{"a cut call", "application/grpc", "\x00\x00\x00\x00\x09\x0a\x03Ann", GRPC, false, `{#1:"Ann" }`},
		{"a trailer of gRPC-Web", "application/grpc-web+proto", "\x00\x00\x00\x00\x03\x0a\x01B\x80\x00\x00\x00\x0fgrpc-status:0\r\n", GRPC, true, `{#1:"B" }`},
		{"calls of JSON", "application/grpc+json", "\x00\x00\x00\x00\x07{\"a\":1}\x00\x00\x00\x00\x07{\"a\":2}", FramedJSON, true, `[{a:1 }{a:2 }]`},
		{"a gateway that answers in JSON", "application/grpc", `{"code":5}`, JSON, true, `{code:5 }`},
		{"events", "text/event-stream", "event: a\ndata: {\"a\":1}\n\n: ping\n\ndata:one\ndata: two\r\n\r\ndata: [DONE]\n\n", EventStream, true, `[{a:1 }"one\ntwo" "[DONE]" ]`},
		{"an event over two lines", "text/event-stream", "data: {\"a\":\ndata: 1}\n\n", EventStream, true, `[{a:1 }]`},
		{"a cut event", "text/event-stream", "data: {\"a\":1}\n\ndata: {\"b\":\"se", EventStream, false, `[{a:1 }{b:}]`},
		{"text", "text/plain", "hello", Text, true, `"hello" `},
		{"bytes", "application/octet-stream", "\x00\x01", None, false, ``},
		{"an image", "image/png", "{}", None, false, ``},
		{"nothing", j, "", None, true, ``},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, r := walk(t, new(Walker), c.contentType, c.text)
			if r.Format != c.format || r.Complete != c.complete || s.out.String() != c.want {
				t.Errorf("got  %v %s\nwant %v %s", r, s.out.String(), Result{c.format, c.complete}, c.want)
			}
		})
	}
}

// Bytes that are nothing of ours are not taken for messages.
func TestBinariesAreNoMessages(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	heads := []string{"", "\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR", "\xff\xd8\xff\xe0\x00\x10JFIF\x00", "GIF89a", "\x1f\x8b\x08\x00", "PK\x03\x04", "\x00\x01\x00\x00", "RIFF\x24\x00\x00\x00WAVE", "\x7fELF\x02\x01\x01\x00", "\x0a\x00", "SQLite format 3\x00", "\x08\x01\x12"}
	told := 0
	for range 20000 {
		b := []byte(heads[r.IntN(len(heads))])
		for range r.IntN(200) {
			b = append(b, byte(r.Uint32()))
		}
		if r := new(Walker).Walk([]byte("application/octet-stream"), b, nobody{}); r.Format == Protobuf {
			told++
		}
	}
	if told > 2 {
		t.Errorf("%d of 20000 random blobs are read as messages", told)
	}
}

// Messages in messages, of which each level looks like text until its end, cost
// no more than so many readings.
func TestDeepMessages(t *testing.T) {
	b := []byte("\x0a\x01x")
	for range 200 {
		b = append(binary.AppendUvarint([]byte{0x0a}, uint64(len(b))), b...)
	}
	s, r := walk(t, new(Walker), "application/protobuf", string(b))
	if got := strings.Count(s.out.String(), "{"); got != maxMessages+1 || !r.Complete {
		t.Errorf("%d levels, %v", got, r)
	}
}

func TestTracker(t *testing.T) {
	s, _ := walk(t, new(Walker), "", `{"customer":{"cards":[{"number":1},{"number":2,"a/b~.c":[[3]]}]},"by_id":{"4711":true},"last":"x"}`)
	want := []string{
		"/customer/cards/0/number $.customer.cards[].number",
		"/customer/cards/1/number $.customer.cards[].number",
		"/customer/cards/1/a~1b~0.c/0/0 $.customer.cards[].a/b~%2Ec[][]",
		"/by_id/4711 $.by_id{*}",
		"/last $.last",
	}
	if fmt.Sprint(s.paths) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", s.paths, want)
	}
	var tr Tracker
	tr.Begin(Object)
	tr.Key([]byte("cards"))
	tr.Begin(Array)
	tr.Begin(Object)
	tr.Key([]byte("number"))
	tr.Value()
	if string(tr.Name()) != "number" || string(tr.Parent()) != "cards" {
		t.Errorf("name %q, parent %q", tr.Name(), tr.Parent())
	}
	tr.End()
	if string(tr.Name()) != "cards" || tr.Parent() != nil {
		t.Errorf("after the end: name %q, parent %q", tr.Name(), tr.Parent())
	}
}

func TestFreeKey(t *testing.T) {
	for _, name := range []string{"123", "2024-05-01", "550e8400-e29b-41d4-a716-446655440000", "ann@example.org", "cus_NffrFeUfNV2Hib3", "+49 170 1234567", strings.Repeat("x", 65)} {
		if !FreeKey([]byte(name)) {
			t.Errorf("%q is a value", name)
		}
	}
	for _, name := range []string{"", "id", "address_line1", "x-rate-limit", "@type", "sha256", "oauth2_token", "createdAt", "1d", "utf8"} {
		if FreeKey([]byte(name)) {
			t.Errorf("%q is a name", name)
		}
	}
}

func TestLimits(t *testing.T) {
	w := &Walker{Limits: Limits{Depth: 3, Values: 5}}
	s, r := walk(t, w, "", `[[["a",["b\"]",["c"]]]],1]`)
	if r.Complete || s.out.String() != `[[["a" []]]]` {
		t.Errorf("depth: %v %s", r, s.out.String())
	}
	s, r = walk(t, w, "", `[1,2,3,4,5,6]`)
	if r.Complete || s.out.String() != `[1 2 3 4 ]` {
		t.Errorf("values: %v %s", r, s.out.String())
	}
	if s, r = walk(t, &Walker{Limits: Limits{Depth: 3}}, "application/xml", `<a><b><c><d>1</d></c></b><e/></a>`); r.Complete || s.out.String() != `{a:{b:{}e:"" }}` {
		t.Errorf("depth of XML: %v %s", r, s.out.String())
	}
	deep := strings.Repeat("[", 1<<20)
	if _, r = walk(t, new(Walker), "", deep); r.Complete {
		t.Error("a million brackets are complete")
	}
	walk(t, new(Walker), "application/xml", strings.Repeat("<a>", 1<<18))
	walk(t, new(Walker), "application/xml", strings.Repeat("<a>", 1000)+strings.Repeat("</b>", 1<<18))
}

func TestQueryAndCookies(t *testing.T) {
	var got []string
	note := func(name, value []byte) { got = append(got, string(name)+"="+string(value)) }
	new(Walker).Query([]byte("a=1&a=%32&b%20c=d+e&&f&g=%zz"), note)
	Cookies([]byte(`sid="abc"; theme=dark;;  x`), note)
	want := "[a=1 a=2 b c=d e f= g=%zz sid=abc theme=dark x=]"
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// Each prefix of a body closes what it opens and is not complete; nothing that
// is told of a prefix is retracted by the rest.
func TestCutAnywhere(t *testing.T) {
	text := `{"a":[1,{"b":"c\u00e9","d":null}],"e":{"f":[[],{}]},"g":-1.5e3}`
	w := new(Walker)
	whole, _ := walk(t, w, "application/json", text)
	for i := 1; i < len(text); i++ {
		s, r := walk(t, w, "application/json", text[:i])
		if r.Complete {
			t.Errorf("%s is complete", text[:i])
		}
		if told := strings.TrimRight(s.out.String(), "]}"); !strings.HasPrefix(whole.out.String(), told) {
			t.Errorf("%s tells %s", text[:i], told)
		}
	}
}

type nobody struct{}

func (nobody) Begin(Kind)         {}
func (nobody) Key([]byte)         {}
func (nobody) Value(Kind, []byte) {}
func (nobody) End(Kind)           {}

// sample is a JSON body such as APIs answer with.
func sample(items int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"object":"list","has_more":true,"data":[`)
	for i := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"cus_%08x","created_at":"2024-05-01T10:%02d:00Z","email":"person%d@example.org","name":"Person \"%d\"","balance":%d.25,"active":true,"parent":null,"tags":["a","b"],"address":{"line1":"%d Long Street","city":"Springfield","country":"US"}}`, i*7919, i%60, i, i, i*31, i)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

func TestAllocations(t *testing.T) {
	w := new(Walker)
	for _, c := range []struct{ contentType, text string }{
		{"application/json", string(sample(20))},
		{"application/x-www-form-urlencoded", "a=1+2&b%5Bc%5D=%C3%A9"},
		{"application/grpc", "\x00\x00\x00\x00\x13\x0a\x03Ann\x10\x96\x01\x1a\x06\x0a\x04a@b.\x22\x01x"},
		{"text/event-stream", "data: {\"a\":\ndata: 1}\n\n"},
		{"application/xml", `<r a="&lt;"><n>Bob &amp; &#233;</n><m>x<i>y</i></m></r>`},
		{"multipart/form-data; boundary=XX", "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--XX--\r\n"},
	} {
		contentType, text := []byte(c.contentType), []byte(c.text)
		w.Walk(contentType, text, nobody{})
		if n := testing.AllocsPerRun(100, func() { w.Walk(contentType, text, nobody{}) }); n > 0 {
			t.Errorf("%s: %v allocations a body", c.contentType, n)
		}
	}
}

// FuzzJSON compares with encoding/json: on valid JSON both tell the same.
func FuzzJSON(f *testing.F) {
	f.Add(sample(2))
	for _, s := range []string{`{"a":[1,2.5e-3,null,true,"\ud83d\ude00\u0000"]}`, `[]`, ` "x" `, `{"":{"":[[[]]]}}`, `{"a":1,"a":2}`, "1", "{\"a\":{}\n}", "\xef\xbb\xbf[]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		w := &Walker{Limits: Limits{Depth: 20000}}
		s := &script{t: t}
		r := w.Walk([]byte("application/json"), b, s)
		if len(s.open) > 0 {
			t.Fatal("left open")
		}
		if !json.Valid(b) || !utf8.Valid(b) {
			return
		}
		if r.Format != JSON || !r.Complete {
			t.Fatalf("valid JSON read as %v: %q", r, b)
		}
		if want := tokens(t, b); s.out.String() != want {
			t.Fatalf("%q\ngot  %s\nwant %s", b, s.out.String(), want)
		}
	})
}

// tokens is the script of a valid text by encoding/json.
func tokens(t testing.TB, b []byte) string {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	s := &script{t: t}
	type level struct{ object, key bool }
	stack := []level{{}}
	for {
		token, err := d.Token()
		if err == io.EOF {
			return s.out.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		top := &stack[len(stack)-1]
		if text, is := token.(string); is && top.object && !top.key {
			s.Key([]byte(text))
			top.key = true
			continue
		}
		top.key = false
		switch v := token.(type) {
		case json.Delim:
			switch v {
			case '{':
				s.Begin(Object)
				stack = append(stack, level{object: true})
			case '[':
				s.Begin(Array)
				stack = append(stack, level{})
			case '}':
				s.End(Object)
				stack = stack[:len(stack)-1]
			case ']':
				s.End(Array)
				stack = stack[:len(stack)-1]
			}
		case nil:
			s.Value(Null, []byte("null"))
		case bool:
			s.Value(Bool, fmt.Append(nil, v))
		case json.Number:
			s.Value(Number, []byte(v))
		case string:
			s.Value(String, []byte(v))
		}
	}
}

// FuzzWalk looks for crashes, unbalanced calls and hangs in every format.
func FuzzWalk(f *testing.F) {
	for _, c := range []string{"application/json", "application/x-ndjson", "application/x-www-form-urlencoded", "multipart/form-data; boundary=XX", "application/xml", "text/plain", "", "application/x-protobuf", "application/grpc", "application/grpc+json", "text/event-stream"} {
		f.Add(c, []byte("\x00\x00\x00\x00\x0f\x0a\x03Ann\x10\x96\x01\x1a\x06\x0a\x04a@b."))
		f.Add(c, []byte("data: {\"a\":\ndata: 1}\r\n\ndata:x"))
		f.Add(c, []byte("{\"a\":1}\n{\"a\":2}"))
		f.Add(c, []byte(`<?xml version="1.0"?><r a="1"><n>&amp;</n><e/><![CDATA[x]]></r>`))
		f.Add(c, []byte("--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--XX--\r\n"))
		f.Add(c, []byte("a=%31&b[c]=+"))
	}
	f.Fuzz(func(t *testing.T, contentType string, b []byte) {
		walk(t, &Walker{Limits: Limits{Depth: 10, Values: 1000}}, contentType, string(b))
	})
}

func BenchmarkJSON(b *testing.B) {
	text, w, contentType := sample(40), new(Walker), []byte("application/json")
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		w.Walk(contentType, text, nobody{})
	}
}

type follower struct{ Tracker }

func (f *follower) Value(Kind, []byte) { f.Tracker.Value() }
func (f *follower) End(Kind)           { f.Tracker.End() }

func BenchmarkTracked(b *testing.B) {
	text, w, contentType, f := sample(40), new(Walker), []byte("application/json"), new(follower)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		w.Walk(contentType, text, f)
	}
}
