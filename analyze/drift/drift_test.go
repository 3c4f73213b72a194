package drift_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/drift"
)

// shop is a small document that the tests change.
const shop = `
openapi: 3.0.3
info: {title: shop, version: "1"}
servers: [{url: https://shop.example/api}]
security: [{token: []}]
paths:
  /users/{userId}:
    get:
      description: a user
      parameters:
        - {name: userId, in: path, required: true, schema: {type: integer}}
        - {name: fields, in: query, schema: {type: array, items: {type: string}}}
      responses:
        "200": {description: ok, content: {application/json: {schema: {$ref: "#/components/schemas/User"}}}}
        4XX: {description: no}
    put:
      requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/User"}}}}
      responses: {"204": {description: ok}}
  /users/me:
    get:
      deprecated: true
      responses: {"200": {description: ok, content: {application/json: {schema: {$ref: "#/components/schemas/User"}}}}}
  /search:
    get:
      security: []
      parameters: [{name: q, in: query, required: true, schema: {type: string}}]
      responses: {default: {description: ok}}
components:
  securitySchemes:
    token: {type: http, scheme: bearer}
  schemas:
    User:
      allOf:
        - $ref: "#/components/schemas/Base"
        - type: object
          required: [name]
          properties:
            name: {type: string}
            born: {type: string, format: date}
            friends: {type: array, items: {$ref: "#/components/schemas/User"}}
            labels: {type: object, additionalProperties: {type: string}}
            password: {type: string, writeOnly: true}
    Base:
      type: object
      required: [id]
      properties:
        id: {type: integer, readOnly: true}
`

func load(t *testing.T, files map[string]string) *drift.Documents {
	t.Helper()
	d, err := drift.Load([]string{write(t, files)}, drift.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// seen makes an endpoint that ten requests with a bearer token asked for.
func seen(service, method, template string, fields ...analyze.Field) analyze.Endpoint {
	e := analyze.Endpoint{Service: service, Method: method, Template: template, Requests: 10, Clients: 3,
		Statuses: map[int]uint64{200: 10}, Auth: map[string]uint64{"bearer": 10}}
	for _, f := range fields {
		if f.Present == 0 {
			f.Present, f.Of, f.Required = 10, 10, true
		}
		if f.Where == analyze.InBody {
			if f.ContentType == "" {
				f.ContentType = "application/json"
			}
			if f.Side == analyze.Response && f.Status == "" {
				f.Status = "200"
			}
			e.Fields = append(e.Fields, f)
		} else {
			e.Parameters = append(e.Parameters, f)
		}
	}
	return e
}

// open makes nobody bring a credential.
func open(e analyze.Endpoint) analyze.Endpoint {
	e.Auth = map[string]uint64{"none": 10}
	return e
}

func answer(path string, types ...string) analyze.Field {
	return analyze.Field{Side: analyze.Response, Where: analyze.InBody, Path: path, Types: types}
}

func request(path string, types ...string) analyze.Field {
	return analyze.Field{Where: analyze.InBody, Path: path, Types: types}
}

func parameter(where analyze.Where, name string, types ...string) analyze.Field {
	return analyze.Field{Where: where, Path: name, Types: types}
}

// user is the answer that the document describes.
func user() []analyze.Field {
	return []analyze.Field{answer("$", "object"), answer("$.id", "integer"), answer("$.name", "string")}
}

// compare gives the rows but those that only measure, as rule endpoint place.
func compare(d *drift.Documents, endpoints ...analyze.Endpoint) []string {
	return rows(findings(d, endpoints...))
}

func findings(d *drift.Documents, endpoints ...analyze.Endpoint) []analyze.Finding {
	snap := &analyze.Snapshot{Exchanges: 100}
	for _, e := range endpoints {
		snap.Endpoints = append(snap.Endpoints, e)
		if !slices.ContainsFunc(snap.Services, func(s analyze.Service) bool { return s.Name == e.Service }) {
			snap.Services = append(snap.Services, analyze.Service{Name: e.Service})
		}
	}
	return d.Compare(snap, d.Plan(snap), drift.Options{Routed: true})
}

func rows(list []analyze.Finding) (rows []string) {
	for _, f := range list {
		switch f.Rule {
		case "doc.coverage", "doc.quality", "doc.orphan":
			continue
		}
		rows = append(rows, strings.Join(strings.Fields(strings.TrimPrefix(f.Rule, "doc.")+" "+f.Endpoint+" "+f.Place), " "))
	}
	return rows
}

func has(t *testing.T, got []string, want ...string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("rows:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestTrafficThatKeepsToTheDocumentHasNoRows(t *testing.T) {
	d := load(t, map[string]string{"shop.yaml": shop})
	has(t, compare(d,
		seen("shop.example", "GET", "/api/users/{id}", append(user(), parameter(analyze.InPath, "id", "integer"), parameter(analyze.InQuery, "fields", "string"),
			parameter(analyze.InHeader, "x-request-id", "string"), parameter(analyze.InCookie, "_ga", "string"),
			answer("$.friends", "array"), answer("$.friends[]", "object"), answer("$.friends[].id", "integer"), answer("$.friends[].name", "string"),
			answer("$.labels", "object"), answer("$.labels.colour", "string"))...),
		open(seen("shop.example", "GET", "/api/search", parameter(analyze.InQuery, "q", "integer"))),
		seen("shop.example", "OPTIONS", "/api/anything")))
}

func TestWhatTheDocumentDoesNotHave(t *testing.T) {
	d := load(t, map[string]string{"shop.yaml": shop})
	e := seen("shop.example", "GET", "/api/users/{id}", append(user(), parameter(analyze.InQuery, "is_admin", "boolean"), parameter(analyze.InHeader, "x-tenant", "string"),
		parameter(analyze.InCookie, "flavour", "string"), answer("$.ssn", "string"), answer("$.address", "object"), answer("$.address.street", "string"))...)
	e.Statuses = map[int]uint64{200: 8, 202: 1, 404: 1}
	e.Sensitive = []analyze.Sensitive{{Kind: "us_ssn", Place: analyze.Place{Side: analyze.Response, Where: analyze.InBody, Name: "$.ssn"}, Severity: analyze.High}}
	put := seen("shop.example", "PUT", "/api/users/{id}", request("$", "object"), request("$.name", "string"), request("$.role", "string"))
	put.Statuses = map[int]uint64{204: 10}
	list := findings(d, e, put, seen("shop.example", "GET", "/api/invoices"), seen("shop.example", "DELETE", "/api/users/{id}"))
	has(t, rows(list),
		"undoc-query GET /api/users/{id} request query is_admin",
		"undoc-header GET /api/users/{id} request header x-tenant",
		"undoc-cookie GET /api/users/{id} request cookie flavour",
		"undoc-response-field GET /api/users/{id} response body $.ssn",
		"undoc-response-field GET /api/users/{id} response body $.address",
		"undoc-status GET /api/users/{id} response status 202",
		"undoc-request-field PUT /api/users/{id} request body $.role",
		"shadow-operation GET /api/invoices",
		"shadow-method DELETE /api/users/{id}",
	)
	for _, f := range list {
		high := f.Place == "request query is_admin" || f.Place == "response body $.ssn" || f.Place == "request body $.role"
		if high != (f.Severity == analyze.High) {
			t.Errorf("%s %s is %s", f.Rule, f.Place, f.Severity)
		}
	}
}

func TestValuesThatBreakTheDocument(t *testing.T) {
	d := load(t, map[string]string{"shop.yaml": shop})
	born := answer("$.born", "string")
	born.Format = "date-time"
	name := answer("$.name", "string")
	name.Nullable = true
	id := answer("$.id", "integer")
	id.Present, id.Of = 7, 10
	list := compare(d,
		seen("shop.example", "GET", "/api/users/{id}", parameter(analyze.InPath, "id", "string"), answer("$", "object"), id, name, born, answer("$.friends", "object")),
		open(seen("shop.example", "GET", "/api/search")))
	has(t, list,
		"type-mismatch GET /api/users/{id} request path id",
		"type-mismatch GET /api/users/{id} response body $.born",
		"type-mismatch GET /api/users/{id} response body $.name",
		"type-mismatch GET /api/users/{id} response body $.friends",
		"missing-required GET /api/users/{id} response body $.id",
		"missing-required GET /api/search request query q",
	)
}

func TestCredentialsUnlikeTheDocument(t *testing.T) {
	d := load(t, map[string]string{"shop.yaml": shop})
	let := seen("shop.example", "GET", "/api/users/{id}", user()...)
	let.Auth = map[string]uint64{"bearer": 5, "none": 5}
	let.Statuses = map[int]uint64{200: 6, 401: 4} // one of the five came through
	refused := seen("shop.example", "PUT", "/api/users/{id}")
	refused.Auth, refused.Statuses = map[string]uint64{"bearer": 5, "none": 5}, map[int]uint64{204: 5, 401: 5}
	closed := seen("shop.example", "GET", "/api/search", parameter(analyze.InQuery, "q", "string"))
	list := findings(d, let, refused, closed)
	has(t, rows(list), "auth-mismatch GET /api/users/{id} credentials", "auth-mismatch GET /api/search credentials")
	if list[0].Severity != analyze.High || list[0].Count != 1 {
		t.Errorf("one success without credentials is %s, counted %d times", list[0].Severity, list[0].Count)
	}
}

func TestDeprecatedAndOldOperationsInUse(t *testing.T) {
	d := load(t, map[string]string{"shop.yaml": shop, "old.yaml": `
swagger: "2.0"
host: shop.example
paths:
  /v1/carts/{id}: {get: {responses: {default: {description: x}}}}
  /v2/carts/{cart}: {get: {responses: {default: {description: x}}}}
`})
	old := seen("shop.example", "GET", "/v1/carts/{id}")
	next := seen("shop.example", "GET", "/v2/carts/{cart}")
	next.Requests, next.Statuses = 200, map[int]uint64{200: 200}
	over := seen("shop.example", "GET", "/api/search") // its document knows nothing of an end, its answers do
	over.Retired, over.Overdue = time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC), 4
	list := findings(d, seen("shop.example", "GET", "/api/users/me", user()...), old, next, over)
	got := slices.DeleteFunc(rows(list), func(s string) bool { return strings.HasPrefix(s, "auth-mismatch") })
	got = slices.DeleteFunc(got, func(s string) bool { return strings.HasPrefix(s, "missing-required") })
	has(t, got, "zombie GET /api/search", "zombie GET /api/users/me", "zombie GET /v1/carts/{id}")
	if i := slices.IndexFunc(list, func(f analyze.Finding) bool { return f.Rule == "doc.zombie" && f.Endpoint == "GET /api/search" }); i < 0 || list[i].Count != 4 || !strings.Contains(list[i].Summary, "2025-12-31") {
		t.Errorf("%+v", list)
	}
}

func TestOperationsThatNobodyCalled(t *testing.T) {
	d := load(t, map[string]string{"shop.yaml": shop})
	var orphans []string
	for _, f := range findings(d, seen("shop.example", "GET", "/api/users/{id}", user()...)) {
		if f.Rule == "doc.orphan" {
			orphans = append(orphans, f.Endpoint)
			if f.Level != analyze.NotSeen || f.Severity != analyze.Info {
				t.Errorf("an absence is %s and %s", f.Level, f.Severity)
			}
		}
	}
	has(t, orphans, "GET /api/search", "GET /api/users/me", "PUT /api/users/{userId}")
}

func TestPrefixesOfGatewaysAreLearned(t *testing.T) {
	d := load(t, map[string]string{"shop.yaml": shop})
	for _, front := range []string{"", "/api", "/shop/v7", "/edge/shop/api"} {
		has(t, compare(d,
			seen("10.0.0.7:8080", "GET", front+"/users/{id}", user()...),
			open(seen("10.0.0.7:8080", "GET", front+"/search", parameter(analyze.InQuery, "q", "string"))),
			seen("10.0.0.7:8080", "GET", "/other/thing")),
			"host-mismatch server shop.example/api", "shadow-operation GET /other/thing")
	}
}

func TestDocumentsAtFaultAreNamedWithThePlace(t *testing.T) {
	for _, c := range []struct{ file, text, want string }{
		{"a.json", "{\"openapi\": \"3.0.0\",\n \"paths\": {,}}", "line 2"},
		{"a.yaml", "openapi: 3.0.0\npaths:\n  - [", "line"},
		{"a.yaml", "swagger: '1.2'\n", "/swagger"},
		{"a.yaml", "openapi: 4.0.0\n", "/openapi"},
		{"a.yaml", "openapi: 3.0.0\npaths: [1]\n", "/paths"},
		{"a.yaml", "openapi: 3.0.0\npaths: {/a/{b: {get: {}}}\n", ""},
		{"a.yaml", "openapi: 3.0.0\npaths: {'/a/{b': {get: {}}}\n", "/paths/~1a~1{b"},
		{"a.yaml", "hello: world\n", ""},
		{"a.yaml", "", ""},
		{"a.json", strings.Repeat("[", 100_000), ""},
		{"a.yaml", "openapi: 3.0.0\nx: " + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), ""},
		{"a.yaml", "openapi: 3.0.0\na: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: [*g,*g,*g,*g,*g,*g,*g,*g,*g]\n", ""},
	} {
		dir := write(t, map[string]string{c.file: c.text})
		_, err := drift.Load([]string{filepath.Join(dir, c.file)}, drift.Limits{})
		var fault *drift.Error
		if !errors.As(err, &fault) || !strings.Contains(fault.Place, c.want) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), c.file) {
			t.Errorf("%.60q: %v", c.text, err)
		}
	}
}

func TestReferencesStayBelowTheDocumentAndGoInNoCircle(t *testing.T) {
	outside := write(t, map[string]string{"secret.yaml": "type: integer"})
	d := load(t, map[string]string{"spec/a.yaml": `
openapi: 3.1.0
servers: [{url: "https://shop.example"}]
paths:
  /loop: {get: {responses: {"200": {content: {application/json: {schema: {$ref: "#/components/schemas/A"}}}}}}}
  /file: {get: {responses: {"200": {content: {application/json: {schema: {$ref: "parts/b.yaml#/B"}}}}}}}
  /away: {get: {responses: {"200": {content: {application/json: {schema: {$ref: "http://127.0.0.1:1/x.yaml"}}}}}}}
  /out: {get: {responses: {"200": {content: {application/json: {schema: {$ref: "` + outside + `/secret.yaml"}}}}}}}
  /up: {get: {responses: {"200": {content: {application/json: {schema: {$ref: "../../../../../etc/passwd"}}}}}}}
  /self: {$ref: "#/paths/~1self"}
components:
  schemas:
    A: {oneOf: [{$ref: "#/components/schemas/A"}, {$ref: "#/components/schemas/C"}], anyOf: [{$ref: "#/components/schemas/A"}]}
    C: {$ref: "#/components/schemas/D"}
    D: {$ref: "#/components/schemas/C"}
`, "spec/parts/b.yaml": "B: {type: object, properties: {back: {$ref: \"../a.yaml#/components/schemas/A\"}, n: {type: integer}}}\n"})
	if d.Unresolved != 3 {
		t.Errorf("%d references lead nowhere, want 3", d.Unresolved)
	}
	has(t, compare(d,
		seen("shop.example", "GET", "/loop", answer("$", "object"), answer("$.x", "string")),
		seen("shop.example", "GET", "/file", answer("$", "object"), answer("$.back", "object"), answer("$.back.x", "string"), answer("$.n", "string"), answer("$.m", "string")),
		seen("shop.example", "GET", "/away", answer("$", "string")),
		seen("shop.example", "GET", "/out", answer("$", "string")),
		seen("shop.example", "GET", "/up", answer("$", "string"))),
		"type-mismatch GET /file response body $.n", "undoc-response-field GET /file response body $.m",
		"auth-mismatch document spec/a.yaml")
}

func FuzzLoad(f *testing.F) {
	f.Add(shop)
	f.Add(`{"swagger":"2.0","host":"shop.example","paths":{"/a/{b}":{"get":{"parameters":[{"in":"body","name":"x","schema":{"$ref":"#/x"}},{"in":"formData","name":"y","type":"string"}],"responses":{"200":{"schema":{}}}}}}}`)
	f.Add("openapi: 3.1.0\npaths: {/a: {get: {responses: {'2': {content: {'*/*': {schema: {type: [object, 'null'], if: {}}}}}}}}}")
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := drift.Load([]string{filepath.Join(dir, "a.yaml")}, drift.Limits{})
		if err != nil {
			return
		}
		_ = d.Routes()
		compare(d, seen("shop.example", "GET", "/api/users/{id}", append(user(), parameter(analyze.InQuery, "q", "string"))...),
			seen("shop.example", "POST", "/a/{b}", request("$", "object"), request("$.a", "array"), request("$.a[]", "object"), request("$.a[]{*}", "string")))
	})
}
