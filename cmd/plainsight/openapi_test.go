package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"plainsight/analyze/endpoint"
	"plainsight/analyze/openapi"
	"plainsight/analyze/openapi/openapitest"
	"plainsight/capture"
)

// gather keeps the exchanges of a capture.
type gather struct {
	capture.Handler
	list []openapitest.Exchange
}

func (g *gather) Exchange(x *capture.Exchange) {
	g.list = append(g.list, openapitest.Exchange{
		Method: string(x.Method), URL: map[bool]string{true: "https://", false: "http://"}[x.Conn.Encrypted] + string(x.Authority) + string(x.Target), Status: x.Status,
		RequestHeader: openapitest.Header(pairs(x.Request.Headers)), ResponseHeader: openapitest.Header(pairs(x.Response.Headers)),
		RequestBody: append([]byte(nil), x.Request.Body...), ResponseBody: append([]byte(nil), x.Response.Body...),
	})
	g.list[len(g.list)-1].ResponseHeader.Del("Content-Encoding") // it was decoded
}

func (g *gather) Handshake(*capture.Handshake) {}
func (g *gather) WebSocket(*capture.WebSocket) {}
func (g *gather) Connection(*capture.Summary)  {}

func pairs(headers []capture.Header) (list [][2]string) {
	for _, h := range headers {
		list = append(list, [2]string{string(h.Name), string(h.Value)})
	}
	return list
}

// The traffic that documents are made of fits them, and a linter finds no error.
func TestDocumentsFitTheirTraffic(t *testing.T) {
	file := shop(t)
	dir := t.TempDir()
	if code, _, stderr := plainsight(t, nil, "openapi", "--json", "--out", dir, file); code != exitDone {
		t.Fatal(stderr)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	validators := map[string]*openapitest.Validator{}
	for _, name := range files {
		doc, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		v, err := openapitest.New(doc)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var head struct{ Info struct{ Title string } }
		if err := json.Unmarshal(doc, &head); err != nil {
			t.Fatal(err)
		}
		validators[head.Info.Title] = v
	}
	a := &app{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard, Log: slog.New(slog.DiscardHandler)}
	in, err := a.inputs([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	g := &gather{}
	if _, _, err := in.read(context.Background(), a, 1, func(int) capture.Handler { return g }); err != nil {
		t.Fatal(err)
	}
	list, routes := endpointsOf(t, file), 0
	for i := range g.list {
		x := &g.list[i]
		host, path, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(x.URL, "https://"), "http://"), "/")
		path, _, _ = strings.Cut("/"+path, "?")
		tree := list[host]
		if tree == nil || !tree.Routed([]byte(x.Method), []byte(path)) {
			continue // a scanner's
		}
		routes++
		if err := validators[host].Check(x); err != nil {
			t.Errorf("%s %s: %v", x.Method, x.URL, err)
		}
	}
	if routes < 100 {
		t.Errorf("%d exchanges were looked at", routes)
	}
	if problems, err := openapitest.Lint(files...); err != nil || problems != "" {
		t.Errorf("%v\n%s", err, problems)
	}
}

// nothing is a record of nothing.
type nothing struct{}

func (nothing) Merge(nothing)                   {}
func (nothing) Like(nothing) (float64, float64) { return 0, 0 }

// endpointsOf reads the plain list of a capture's endpoints, by host.
func endpointsOf(t *testing.T, file string) map[string]*endpoint.Tree[nothing] {
	t.Helper()
	code, stdout, stderr := plainsight(t, nil, "openapi", "--format", "list", file)
	if code != exitDone {
		t.Fatal(stderr)
	}
	list, err := openapi.Routes([]byte(stdout))
	if err != nil || len(list) < 10 {
		t.Fatalf("%v in %s", err, stdout)
	}
	routes, err := endpoint.NewRoutes(list)
	if err != nil {
		t.Fatal(err)
	}
	trees := map[string]*endpoint.Tree[nothing]{}
	for _, r := range list {
		trees[r.Host] = endpoint.NewTree(endpoint.Options{Routes: routes.For(r.Host)}, func() nothing { return nothing{} })
	}
	return trees
}

func TestFormatsOfDocuments(t *testing.T) {
	file := shop(t)
	code, stdout, stderr := plainsight(t, nil, "openapi", "--format", "postman", "--service", "shop.example", file)
	if code != exitDone || !json.Valid([]byte(stdout)) || !strings.Contains(stdout, "{{baseUrl}}/api/v1/orders/:order_id") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if code, _, stderr := plainsight(t, nil, "openapi", "--format", "postman", file); code != exitUsage || !strings.Contains(stderr, "--service") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	dir := t.TempDir()
	for format, ending := range map[string]string{"postman": ".json", "list": ".txt", "openapi": ".yaml"} {
		if code, _, stderr := plainsight(t, nil, "openapi", "--format", format, "--out", dir, file); code != exitDone {
			t.Errorf("exit code %d, %s", code, stderr)
		}
		if _, err := os.Stat(filepath.Join(dir, "shop.example"+ending)); err != nil {
			t.Error(err)
		}
	}
}
