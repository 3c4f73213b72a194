package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestRoutesOfAFile(t *testing.T) {
	capture := shop(t)
	document := `{"openapi": "3.1.0", "servers": [{"url": "https://shop.example/api"}], "paths": {"/v1/products/{sku}": {"get": {}}}}`
	for name, text := range map[string]string{"list": "GET /api/v1/products/{sku}\n", "document.json": document} {
		code, stdout, stderr := plainsight(t, nil, "read", "--format", "json", "--routes", write(t, name, []byte(text)), capture)
		if code != exitDone || !strings.Contains(stdout, `/api/v1/products/{sku}"`) || strings.Contains(stdout, "{product_id}") || stderr != "" {
			t.Errorf("%s: exit code %d, %s", name, code, stderr)
		}
		code, stdout, stderr = plainsight(t, nil, "openapi", "--service", "shop.example", "--routes", write(t, name, []byte(text)), capture)
		if code != exitDone || !strings.Contains(stdout, "/api/v1/products/{sku}:") || stderr != "" {
			t.Errorf("%s: exit code %d, %s", name, code, stderr)
		}
	}
	if _, _, stderr := plainsight(t, nil, "read", "--format", "none", "--routes", write(t, "list", []byte("GET other.example/a")), capture); !strings.Contains(stderr, "no request fits") {
		t.Errorf("routes that fit nothing: %q", stderr)
	}
	for text, want := range map[string]string{
		"":                 "no route",
		"GET":              "line 1",
		"# a\nGET /a/{b":   "line 2",
		"openapi: 3.1.0\n": "no paths",
		"openapi: [":       "no document",
	} {
		code, _, stderr := plainsight(t, nil, "read", "--routes", write(t, "routes", []byte(text)), capture)
		if code != exitUsage || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: exit code %d, %s", text, code, stderr)
		}
	}
	if code, _, stderr := plainsight(t, nil, "openapi", "--routes", filepath.Join(t.TempDir(), "none"), capture); code != exitUsage || !strings.Contains(stderr, "none") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

func TestExplain(t *testing.T) {
	capture := shop(t)
	for path, want := range map[string]string{
		"/api/v1/products/1":                        "GET /api/v1/products/{product_id} of shop.example",
		"shop.example/api/v1/orders?x=y":            "POST /api/v1/orders of shop.example",
		"PUT /v2/warehouses/berlin/items/1001":      "in all; values have",
		"GET https://stock.internal:8080/v2/health": "it looks like the version of an API",
	} {
		code, stdout, stderr := plainsight(t, nil, "read", "--explain", path, capture)
		if code != exitDone || !strings.Contains(stdout, want) || stderr != "" {
			t.Errorf("%s: exit code %d, %s\n%s", path, code, stderr, stdout)
		}
	}
	for path, want := range map[string]string{"/nowhere/at/all": "no endpoint", "PATCH /api/v1/login": "no endpoint", "other.example/api/v1/orders": "no endpoint", "users": "wants a path"} {
		code, _, stderr := plainsight(t, nil, "read", "--explain", path, capture)
		if code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d, %s", path, code, stderr)
		}
	}
}
