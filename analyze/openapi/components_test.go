package openapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"plainsight/analyze"
	"plainsight/analyze/openapi"
)

// Equal shapes become one component, others stay where they are.
func TestEqualShapesAreComponents(t *testing.T) {
	point := func(template, status, below string, extra ...string) analyze.Endpoint {
		e := analyze.Endpoint{Service: "h", Method: "GET", Template: template, Requests: 1, Statuses: map[int]uint64{200: 1}}
		add := func(path, kind string) {
			e.Fields = append(e.Fields, analyze.Field{Side: analyze.Response, Where: analyze.InBody, Status: status, ContentType: "application/json", Path: path, Types: []string{kind}, Required: true})
		}
		if below != "$" {
			add("$", "array")
		}
		add(below, "object")
		for _, f := range append([]string{"id", "name"}, extra...) {
			add(below+"."+f, "string")
		}
		add(below+".owner", "object")
		add(below+".owner.id", "string")
		add(below+".owner.login", "string")
		return e
	}
	list := []analyze.Endpoint{
		point("/orders", "200", "$[]"), point("/orders/{id}", "200", "$"), point("/baskets", "200", "$[]", "total"), point("/x", "404", "$", "why"), point("/y", "404", "$", "why"),
	}
	doc, err := openapi.Document("h", list)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, doc); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	for _, want := range []string{
		`"schema":{"type":"array","items":{"$ref":"#/components/schemas/Order"}}`,
		`"schema":{"$ref":"#/components/schemas/Order"}`,
		`"schema":{"$ref":"#/components/schemas/Error"}`,
		`"Order":{"type":"object","properties":{"id":{"type":"string"},"name":{"type":"string"},"owner":{"$ref":"#/components/schemas/Owner"}},"required":["id","name","owner"]}`,
		`"Owner":{"type":"object","properties":{"id":{"type":"string"},"login":{"type":"string"}},"required":["id","login"]}`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, doc)
		}
	}
	if n := strings.Count(got, `"login":{`); n != 1 {
		t.Errorf("owners are described %d times", n)
	}
	if strings.Contains(got, `schemas/Basket`) {
		t.Error("what is at one place is a component")
	}
	for i := range list {
		list[i], list[len(list)-1-i] = list[len(list)-1-i], list[i]
	}
	if again, _ := openapi.Document("h", list); !bytes.Equal(again, doc) {
		t.Error("the order of endpoints matters")
	}
}

func BenchmarkDocument(b *testing.B) {
	var list []analyze.Endpoint
	for i := range 500 {
		e := analyze.Endpoint{Method: "GET", Template: fmt.Sprintf("/a%d/{id}", i), Requests: 1}
		for j := range 60 {
			e.Fields = append(e.Fields, analyze.Field{Side: analyze.Response, Where: analyze.InBody, Status: "200", ContentType: "application/json", Path: fmt.Sprintf("$.a%d.b%d.c%d", j/20, j/4, j), Types: []string{"string"}})
		}
		list = append(list, e)
	}
	for b.Loop() {
		if _, err := openapi.Document("h", list); err != nil {
			b.Fatal(err)
		}
	}
}
