package operation

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func post(ctype, body string) *Request {
	return &Request{Method: []byte("POST"), Path: []byte("/api"), ContentType: []byte(ctype), Body: []byte(body)}
}

func get(path, query string) *Request {
	return &Request{Method: []byte("GET"), Path: []byte(path), Query: []byte(query)}
}

func soap(action, body string) *Request {
	q := post("text/xml; charset=utf-8", body)
	q.Action, q.Soap = []byte(action), true
	return q
}

const envelope = `<?xml version="1.0"?><!-- <x> --><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header><a:To>x</a:To></s:Header><s:Body><m:GetPrice xmlns:m="urn:x"><m:item>tea</m:item></m:GetPrice></s:Body></s:Envelope>`

func TestOperationsAreNamed(t *testing.T) {
	const json = "application/json"
	for _, c := range []struct {
		about string
		q     *Request
		style Style
		name  string
	}{
		{"a named query", post(json, `{"query":"query GetUser($id: ID!) { user(id: $id) { name } }","variables":{"id":"7"}}`), GraphQL, "GetUser"},
		{"a named mutation", post(json, `{"variables":{"card":"}{\"query\":\"x"},"query":"mutation\nAddCard($c: C) {\n addCard(c: $c) { id }\n}"}`), GraphQL, "AddCard"},
		{"a subscription", post(json, `{"query":"subscription OnOrder { order { id } }"}`), GraphQL, "OnOrder"},
		{"a query without a name", post(json, `{"query":"{ me: user(id: \"7 } {\") { name } orders @include(if: true) { id } }"}`), GraphQL, "query {user, orders}"},
		{"a mutation without a name", post(json, `{"query":"mutation { login(name: \"ann\", password: \"x\") { token } }"}`), GraphQL, "mutation {login}"},
		{"many fields without a name", post(json, `{"query":"{a b c d e f g}"}`), GraphQL, "query {a, b, c, d, …}"},
		{"fragments first", post(json, `{"query":"fragment F on User { name } query Q { user { ...F } }"}`), GraphQL, "Q"},
		{"an inline fragment", post(json, `{"query":"{ ... on Query { user { id } } ...@include(if: $a) { x } }"}`), GraphQL, "query {}"},
		{"comments", post(json, `{"query":"# query No {\nquery Yes { a }"}`), GraphQL, "Yes"},
		{"one of several, chosen", post(json, `{"operationName":"B","query":"query A {a} query B {b} query C {c}"}`), GraphQL, "B"},
		{"one of several, not chosen", post(json, `{"query":"query A {a} query B {b}"}`), GraphQL, "A"},
		{"a document that is cut", post(json, `{"query":"query GetUser { user(id: 7) { na`), GraphQL, "GetUser"},
		{"a document by itself", post("application/graphql", `query Plain { a }`), GraphQL, "Plain"},
		{"in a form", post("application/x-www-form-urlencoded", `query=query+Form+%7B+a+%7B+b+%7D+%7D`), GraphQL, "Form"},
		{"in a query", get("/graphql", "query=%7Bproducts%7D"), GraphQL, "query {products}"},
		{"with files", post("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{\"query\":\"mutation Up($f: Upload!) { up(f: $f) }\",\"variables\":{}}\r\n--x--"), GraphQL, "Up"},
		{"a name that holds a value", post(json, `{"query":"query user_5c016e8f0f95f0395c016e8f0f95f039 { a }"}`), GraphQL, "user_{hex}"},
		{"a persisted query with its name", post(json, `{"operationName":"GetUser","variables":{},"extensions":{"persistedQuery":{"version":1,"sha256Hash":"5fd2ab6c2e1f99"}}}`), GraphQL, "GetUser"},
		{"a persisted query without", post(json, `{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"5fd2ab6c2e1f99aa00"}}}`), GraphQL, "persisted 5fd2ab6c2e1f"},
		{"a persisted query in a query", get("/g", `operationName=GetUser&variables=%7B%7D&extensions=%7B%22persistedQuery%22%3A%7B%22version%22%3A1%2C%22sha256Hash%22%3A%225fd2ab6c2e1f%22%7D%7D`), GraphQL, "GetUser"},
		{"a trusted document", post(json, `{"documentId":"sha256:5fd2ab6c2e1f99aa00","variables":{}}`), GraphQL, "persisted 5fd2ab6c2e1f"},
		{"a batch of one kind", post(json, `[{"query":"query A {a}"},{"query":"query A {a}"}]`), GraphQL, "A"},
		{"a batch of several", post(json, `[{"query":"query A {a}"},{"query":"query B {b}"}]`), GraphQL, Batch},

		{"a call", post(json, `{"jsonrpc":"2.0","method":"orders.get","params":{"id":7},"id":1}`), JSONRPC, "orders.get"},
		{"a call with its parameters first", post(json, `{"params":["\"method\":\"no\"",{"method":"no"}],"id":1,"method":"eth_getBlockByNumber","jsonrpc":"2.0"}`), JSONRPC, "eth_getBlockByNumber"},
		{"a notification", post(json, `{"jsonrpc":"2.0","method":"tools/call"}`), JSONRPC, "tools/call"},
		{"a call of version 1", post(json, `{"method":"getbalance","params":[],"id":"x"}`), JSONRPC, "getbalance"},
		{"a batch of calls", post(json, ` [ {"jsonrpc":"2.0","method":"a","id":1} , {"jsonrpc":"2.0","method":"b","id":2}]`), JSONRPC, Batch},
		{"escapes in a method", post(json, `{"jsonrpc":"2.0","method":"a\u002fb\u001b[31m"}`), JSONRPC, `a/b\u{1b}[31m`},

		{"an action", soap(`"http://example.org/Orders/GetOrder"`, envelope), SOAP, "GetOrder"},
		{"an action of a URN", soap(`urn:orders#AddOrder`, envelope), SOAP, "AddOrder"},
		{"an empty action", soap(`""`, envelope), SOAP, "GetPrice"},
		{"SOAP 1.2", post(`application/soap+xml; charset=utf-8; action="urn:x:Pay"`, envelope), SOAP, "Pay"},
		{"SOAP 1.2 without an action", post(`application/soap+xml`, envelope), SOAP, "GetPrice"},
		{"an envelope alone", post(`text/xml`, envelope), SOAP, "GetPrice"},

		{"a gRPC call", &Request{Path: []byte("/shop.v1.Orders/Get"), ContentType: []byte("application/grpc+proto")}, GRPC, "/shop.v1.Orders/Get"},
	} {
		var r Reader
		op, ok := r.Read(c.q)
		if !ok || op.Style != c.style || op.Name != c.name {
			t.Errorf("%s: %q %q, expected %q %q", c.about, op.Style, op.Name, c.style, c.name)
		}
	}
}

func TestOtherRequestsHaveNone(t *testing.T) {
	const json = "application/json"
	for _, q := range []*Request{
		post(json, `{"name":"ann"}`),
		post(json, `{"query":"tea","filter":"a"}`),
		post(json, `{"query":"query tea"}`),
		post(json, `{"query":{"match":{"a":"b"}}}`),
		post(json, `{"query":"{\"match\":{}}"}`),
		post(json, `{"query":"{app=\"shop\"} |= \"x\""}`),
		post(json, `{"query":"SELECT a FROM b"}`),
		post(json, `{"query":"type User { id: ID }"}`),
		post(json, `{"query":"query Q"}`),
		post(json, `{"query":"{}"}`),
		post(json, `{"method":"card","params":{"number":1}}`),
		post(json, `{"method":"card","params":[],"id":1,"amount":7}`),
		post(json, `{"method":"card","amount":7,"id":1}`),
		post(json, `{"operationName":"x"}`),
		post(json, `{"documentId":"invoice"}`),
		post(json, `[]`), post(json, `[1,"query",{"query":1}]`), post(json, `{"query"`), post(json, `{"query":`), post(json, ``),
		post("text/xml", `<order><Body><x/></Body></order>`),
		post("text/plain", `query Q { a }`),
		post("application/x-www-form-urlencoded", `query=tea`),
		get("/search", "query=tea"), get("/search", "query={term}"), get("/metrics", `query={job="x"}`), get("/api", "operationName=x"),
		{Path: []byte("/upload"), ContentType: []byte("application/grpc")},
		{Path: []byte("/a/b/c"), ContentType: []byte("application/grpc")},
		{Path: []byte("/"), ContentType: []byte("application/grpc")},
		{ContentType: []byte("application/grpc")},
		soap("", ""),
	} {
		var r Reader
		if op, ok := r.Read(q); ok {
			t.Errorf("%s?%s %s: %q %q", q.Path, q.Query, q.Body, op.Style, op.Name)
		}
	}
}

func TestABatchHasItsMembers(t *testing.T) {
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, `,{"jsonrpc":"2.0","method":"m%c","id":%d}`, 'a'+i%20, i)
	}
	var r Reader
	op, _ := r.Read(post("application/json", "["+b.String()[1:]+"]"))
	if op.Name != Batch || len(op.Members) != maxMembers || op.Members[0] != "ma" {
		t.Errorf("%+v", op)
	}
}

func TestFailuresAreTold(t *testing.T) {
	for body, failed := range map[string]bool{
		`{"errors":[{"message":"no"}]}`:                             true,
		`{"data":null,"errors":[{"message":"no"}]}`:                 true,
		`{"data":{"a":null},"errors":[{"message":"no"}]}`:           false,
		`{"data":{"errors":1}}`:                                     false,
		`{"jsonrpc":"2.0","error":{"code":-32601},"id":1}`:          true,
		`{"jsonrpc":"2.0","result":7,"error":null,"id":1}`:          false,
		`{"jsonrpc":"2.0","result":null,"error":{"code":1},"id":1}`: true,
		`[{"data":{"a":1}},{"errors":[{}]}]`:                        true,
		`[{"data":{"a":1}},{"data":{}}]`:                            false,
		``:                                                          false,
		`{"errors":[{"message":"` + strings.Repeat("[", 1<<16):      true,
		`<s:Envelope><s:Body><s:Fault/></s:Body></s:Envelope>`:      false,
		"\ufeff {\"errors\":[1]}":                                   true,
	} {
		if Failed(GraphQL, []byte(body)) != failed {
			t.Errorf("%.80s: failed is %v", body, !failed)
		}
	}
	if !Failed(SOAP, []byte(`<s:Envelope><s:Body><s:Fault/></s:Body></s:Envelope>`)) || Failed(SOAP, []byte(envelope)) {
		t.Error("a fault is not told from an answer")
	}
}

// A hostile client draws a new name for each request.
func TestNamesAreBounded(t *testing.T) {
	var r Reader
	for i := range 3 * maxKept {
		r.Read(post("application/json", fmt.Sprintf(`{"jsonrpc":"2.0","method":"%s%d"}`, strings.Repeat("x", i%300), i)))
	}
	if len(r.names) > maxKept {
		t.Errorf("%d names", len(r.names))
	}
	for _, name := range r.names {
		if len(name) > maxName+8 {
			t.Errorf("a name of %d bytes", len(name))
		}
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	var r Reader
	for _, q := range []*Request{
		post("application/json", `{"query":"query GetUser($id: ID!) { user(id: $id) { name } }","variables":{"id":"7"}}`),
		post("application/json", `{"jsonrpc":"2.0","method":"orders.get","params":{"id":7},"id":1}`),
		post("application/json", `[{"query":"{a}"},{"query":"{b}"}]`),
		post("application/json", `{"name":"ann"}`),
		soap("urn:a#B", envelope), post("text/xml", envelope),
		get("/graphql", "query=%7Bproducts%7D"), get("/items", "page=7"),
	} {
		if n := testing.AllocsPerRun(100, func() { r.Read(q) }); n > 0 {
			t.Errorf("%s: %.0f allocations", q.Body, n)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	big := `{"items":[` + strings.Repeat(`{"name":"ann","age":7,"note":"a \"quoted\" text"},`, 100) + `1]}`
	for _, c := range []struct {
		name string
		q    *Request
	}{
		{"graphql", post("application/json", `{"query":"query GetUser($id: ID!) { user(id: $id) { name orders { id total } } }","variables":{"id":"7"}}`)},
		{"jsonrpc", post("application/json", `{"jsonrpc":"2.0","method":"orders.get","params":{"id":7},"id":1}`)},
		{"plain", post("application/json", big)},
		{"braces", post("application/json", `{"query":"`+strings.Repeat("{a", 10000))},
	} {
		b.Run(c.name, func(b *testing.B) {
			var r Reader
			b.SetBytes(int64(len(c.q.Body)))
			b.ReportAllocs()
			for b.Loop() {
				r.Read(c.q)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{`{"query":"query A($a: B = \"x\") @c(d: \"\"\"e\"\"\") { b: c(d: {e: 1}) { ...f } }"}`, `[{"jsonrpc":"2.0","method":"a\u00e9"}]`, envelope, `query=%7Ba%7D`,
		`{"operationName":"a","extensions":{"persistedQuery":{"sha256Hash":"00ff00"}}}`} {
		f.Add("application/json", "a=b", []byte(s))
		f.Add("application/graphql", s, []byte(s))
	}
	f.Add("application/soap+xml;action=", "", []byte(envelope))
	f.Add("multipart/form-data", "", []byte("name=\"operations\"\r\n\r\n[{\"query\":\"{a}\"}]"))
	f.Fuzz(func(t *testing.T, ctype, query string, body []byte) {
		var r Reader
		for _, q := range []*Request{{Path: body, ContentType: []byte(ctype), Query: []byte(query), Body: body}, {Soap: true, Action: []byte(query), Body: body}} {
			op, ok := r.Read(q)
			if ok != (op.Style != "") || ok && op.Name == "" {
				t.Fatalf("%q %q is %v", op.Style, op.Name, ok)
			}
			for _, name := range append(slices.Clone(op.Members), op.Name) {
				if !utf8.ValidString(name) || len(name) > 8*maxName || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || 0x7f <= r && r <= 0x9f }) {
					t.Fatalf("unsafe name %q", name)
				}
			}
			var again Reader
			if b, _ := again.Read(q); b.Name != op.Name || b.Style != op.Style {
				t.Fatalf("%q, then %q", op.Name, b.Name)
			}
		}
		Failed(GraphQL, body)
		Failed(SOAP, body)
	})
}
