package openapi_test

import (
	"fmt"
	"strings"
	"testing"

	"plainsight/analyze/openapi"
)

func TestRoutesOfDocuments(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"list": {"# ours\nGET /a/{b}\nshop.example/c", "GET  /a/{b}; shop.example /c"},
		"3.1 as YAML": {`
openapi: 3.1.0
servers:
  - url: https://{region}.shop.example:8443/v1
    variables: {region: {default: eu}}
  - url: /beta/
paths:
  /a/{b}: {get: {}, parameters: [], x-y: {}}
  /c: {servers: [{url: "https://c.example"}], post: {}, get: {servers: [{url: "https://d.example/z"}]}}
`, "GET eu.shop.example:8443 /v1/a/{b}; GET  /beta/a/{b}; GET d.example /z/c; POST c.example /c"},
		"2.0 as JSON": {`{"swagger": "2.0", "host": "h.example", "basePath": "/api", "paths": {"/x/{y}": {"delete": {}, "$ref": "z"}}}`, "DELETE h.example /api/x/{y}"},
		"no server":   {`{"openapi": "3.0.0", "paths": {"/x?action=y": {"get": {}}, "x-z": {"get": {}}}}`, "GET  /x"},
	} {
		list, err := openapi.Routes([]byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, r := range list {
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Method, r.Host, r.Template)))
		}
		if s := strings.Join(got, "; "); s != c.want {
			t.Errorf("%s: got %s\nwant %s", name, s, c.want)
		}
	}
	for text, want := range map[string]string{
		"{":                        "no document",
		`{"paths": {"/a": {}}}`:    "neither openapi nor swagger",
		"openapi: 3.1.0\npaths:":   "no paths",
		"openapi: 3.1.0\npaths: [": "no document",
		"GET users":                "line 1",
		`{"openapi": "3.1.0", "servers": [{"url": "https:///x"}], "paths": {"/a": {}}}`: "no host",
	} {
		if _, err := openapi.Routes([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
