package openapi_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/openapi"
)

func sample() []analyze.Endpoint {
	body := func(side analyze.Side, status, path string, required bool, types ...string) analyze.Field {
		return analyze.Field{Side: side, Where: analyze.InBody, Status: status, ContentType: "application/json", Path: path, Types: types, Required: required}
	}
	state := body(analyze.Response, "200", "$.state", true, "string")
	state.Enum, state.Nullable = []string{"open", "paid"}, true
	free := body(analyze.Response, "200", "$.by%2Eid", false, "object")
	free.Map = true
	return []analyze.Endpoint{
		{
			Service: "api.shop.example", Method: "GET", Template: "/orders/{order_id}", Requests: 9, Encrypted: 9,
			Statuses: map[int]uint64{200: 8, 404: 1}, Auth: map[string]uint64{"jwt": 5, "apikey:header:X-Key": 3, "none": 1, "strange": 1},
			First: time.Date(2025, 3, 3, 8, 0, 0, 0, time.UTC), Last: time.Date(2025, 3, 3, 9, 0, 0, 0, time.UTC),
			Parameters: []analyze.Field{
				{Where: analyze.InPath, Path: "order_id", Types: []string{"integer"}, Required: true},
				{Where: analyze.InQuery, Path: "expand", Types: []string{"string"}},
				{Where: analyze.InHeader, Path: "accept", Types: []string{"string"}},
			},
			Fields: []analyze.Field{
				body(analyze.Response, "200", "$", true, "object"), state, free,
				body(analyze.Response, "200", "$.by%2Eid{*}", true, "number"),
				body(analyze.Response, "200", "$.lines", true, "array"),
				body(analyze.Response, "200", "$.lines[]", true, "object"),
				body(analyze.Response, "200", "$.lines[].sku", true, "string"),
			},
		},
		{Service: "api.shop.example", Method: "PUT", Template: "/orders/{order_id}", Requests: 1, Plaintext: 1, Fields: []analyze.Field{body(analyze.Request, "", "$", true, "object")}},
		{Service: "api.shop.example", Method: "PROPFIND", Template: "/dav", Requests: 1},
	}
}

func TestDocument(t *testing.T) {
	b, err := openapi.Document("api.shop.example", sample())
	if err != nil {
		t.Fatal(err)
	}
	again, _ := openapi.Document("api.shop.example", sample())
	if !bytes.Equal(b, again) {
		t.Error("twice the same input, two documents")
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, b); err != nil {
		t.Fatal(err)
	}
	got := compact.String()
	for _, want := range []string{
		`"openapi":"3.1.0"`,
		`"servers":[{"url":"https://api.shop.example"},{"url":"http://api.shop.example"}]`,
		`{"name":"order_id","in":"path","required":true,"schema":{"type":"integer"}}`,
		`{"name":"expand","in":"query","schema":{"type":"string"}}`,
		`"200":{"description":"OK","content":{"application/json":{"schema":{"type":"object","properties":{` +
			`"by.id":{"type":"object","additionalProperties":{"type":"number"}},` +
			`"lines":{"type":"array","items":{"type":"object","properties":{"sku":{"type":"string"}},"required":["sku"]}},` +
			`"state":{"type":["string","null"],"enum":["open","paid",null]}},"required":["lines","state"]}}}}`,
		`"404":{"description":"Not Found"}`,
		`"security":[{"apikey_header_X-Key":[]},{"jwt":[]},{}]`,
		`"apikey_header_X-Key":{"type":"apiKey","in":"header","name":"X-Key"},"jwt":{"type":"http","scheme":"bearer","bearerFormat":"JWT"}`,
		`"x-plainsight":{"requests":9,"statuses":{"200":8,"404":1},"plaintext":0,"encrypted":9,"firstSeen":"2025-03-03T08:00:00Z","lastSeen":"2025-03-03T09:00:00Z"}`,
		`"requestBody":{"content":{"application/json":{"schema":{"type":"object"}}}}`,
		`"default":{"description":"no answer was seen"}`,
		// A parameter of the template that no field describes is declared all the same.
		`"put":{"operationId":"put.orders.:order_id","summary":"PUT /orders/{order_id}","parameters":[{"name":"order_id","in":"path","required":true,"schema":{"type":"string"}}]`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, b)
		}
	}
	for _, never := range []string{"PROPFIND", "propfind", `"accept"`, "strange"} {
		if strings.Contains(got, never) {
			t.Errorf("%s is in\n%s", never, b)
		}
	}
}

func TestAnEmptyServiceIsADocument(t *testing.T) {
	b, err := openapi.Document("10.0.0.1:8080", nil)
	if err != nil || !bytes.Contains(b, []byte(`"paths": {}`)) || !bytes.Contains(b, []byte(`"https://10.0.0.1:8080"`)) {
		t.Errorf("%v\n%s", err, b)
	}
}

// Any strings in fields give valid JSON, in time.
func FuzzDocument(f *testing.F) {
	f.Add("$.a[].b{*}", "/x/{y}/{", "application/json")
	f.Add("$[[{*.[]", "}{", "")
	f.Fuzz(func(t *testing.T, path, template, contentType string) {
		e := analyze.Endpoint{Method: "POST", Template: template, Fields: []analyze.Field{
			{Where: analyze.InBody, Path: path, ContentType: contentType, Types: []string{"object"}},
			{Where: analyze.InBody, Path: path + ".x", Side: analyze.Response, Status: "200", Required: true},
		}}
		b, err := openapi.Document("host", []analyze.Endpoint{e})
		if err != nil || !json.Valid(b) {
			t.Errorf("%v\n%s", err, b)
		}
	})
}
