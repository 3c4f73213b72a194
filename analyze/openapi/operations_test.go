package openapi_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"plainsight/analyze"
	"plainsight/analyze/openapi"
	"plainsight/analyze/openapi/openapitest"
)

// One path of GraphQL is one operation of OpenAPI, whose messages are those of
// any that were asked for.
func TestOperationsOfOnePathAreJoined(t *testing.T) {
	point := func(operation string, auth string, fields ...string) analyze.Endpoint {
		e := analyze.Endpoint{Service: "h", Method: "POST", Template: "/graphql", Style: "graphql", Operation: operation, Requests: 3, Plaintext: 3, Statuses: map[int]uint64{200: 3}, Auth: map[string]uint64{auth: 3}}
		e.Parameters = []analyze.Field{{Where: analyze.InHeader, Path: "x-tenant", Types: []string{"string"}, Required: operation == "A"}}
		for _, side := range []analyze.Side{analyze.Request, analyze.Response} {
			status := map[analyze.Side]string{analyze.Response: "200"}[side]
			e.Fields = append(e.Fields, analyze.Field{Side: side, Where: analyze.InBody, Status: status, ContentType: "application/json", Path: "$", Types: []string{"object"}, Required: true})
			for _, f := range fields {
				e.Fields = append(e.Fields, analyze.Field{Side: side, Where: analyze.InBody, Status: status, ContentType: "application/json", Path: "$." + f, Types: []string{"string"}, Required: true})
			}
		}
		return e
	}
	list := []analyze.Endpoint{point("A", "jwt", "query", "user"), point("B", "none", "query", "card")}
	doc, err := openapi.Document("h", list)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, doc); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"operations":{"A":3,"B":3}`, `"requests":6`, `"security":[{"jwt":[]},{}]`, `{"name":"x-tenant","in":"header","schema":{"type":"string"}}`,
		`"requestBody":{"content":{"application/json":{"schema":{"anyOf":[{"$ref":"#/components/schemas/AGraphql"}`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in\n%s", want, doc)
		}
	}
	v, err := openapitest.New(doc)
	if err != nil {
		t.Fatal(err)
	}
	head := http.Header{"Content-Type": {"application/json"}}
	for body, good := range map[string]bool{`{"query":"x","card":"y"}`: true, `{"query":"x","user":"y"}`: true, `{"query":"x"}`: false} {
		x := openapitest.Exchange{Method: "POST", URL: "http://h/graphql", RequestHeader: head, ResponseHeader: head, RequestBody: []byte(body), ResponseBody: []byte(`{"query":"x","card":"y"}`), Status: 200}
		if err := v.Check(&x); (err == nil) != good {
			t.Errorf("%s: %v", body, err)
		}
	}
	if text := string(openapi.List("h", list)); !strings.Contains(text, "# A, 3 requests") {
		t.Errorf("list:\n%s", text)
	}
}
