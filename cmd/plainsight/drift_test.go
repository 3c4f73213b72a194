package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestDriftEndsAsItFound: nothing, something, or a document at fault.
func TestDriftEndsAsItFound(t *testing.T) {
	traffic := write(t, "calls.ndjson", []byte(strings.Repeat(`{"ts":"2026-01-02T03:04:05Z","client":"10.0.0.9","method":"GET","scheme":"https","host":"shop.example","path":"/users/7","query":"debug=1","reqHeaders":[["Host","shop.example"]],"reqBody":"","status":200,"respHeaders":[["Content-Type","application/json"]],"respBody":"{\"id\":7}"}`+"\n", 5)))
	document := func(parameter string) string {
		return write(t, "openapi.yaml", []byte(`
openapi: 3.1.0
info: {title: shop, version: "1"}
servers: [{url: "https://shop.example"}]
paths:
  /users/{id}:
    get:
      description: a user
      parameters:
        - {name: id, in: path, required: true, schema: {type: integer}}
        - {name: `+parameter+`, in: query, schema: {type: integer}}
      responses:
        "200": {description: ok, content: {application/json: {schema: {type: object, properties: {id: {type: integer}}}}}}
`))
	}
	code, stdout, stderr := plainsight(t, nil, "drift", "--spec", document("debug"), "--format", "json", traffic)
	if code != exitDone {
		t.Errorf("traffic that keeps to the document: exit code %d: %s%s", code, stdout, stderr)
	}
	code, stdout, stderr = plainsight(t, nil, "drift", "--spec", document("other"), "--format", "json", traffic)
	var report struct {
		Findings []struct{ Rule, Place, Severity string }
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != exitFindings || len(report.Findings) == 0 {
		t.Fatalf("exit code %d, %v: %s%s", code, err, stdout, stderr)
	}
	if f := report.Findings[0]; f.Rule != "doc.undoc-query" || f.Place != "request query debug" || f.Severity != "high" {
		t.Errorf("the worst row is %+v", f)
	}
	if code, _, stderr = plainsight(t, nil, "drift", "--spec", document("other"), "--fail-on", "critical", traffic); code != exitDone {
		t.Errorf("--fail-on critical: exit code %d: %s", code, stderr)
	}
	if code, stdout, _ = plainsight(t, nil, "drift", "--spec", document("other"), "--fail-on", "never", traffic); code != exitDone || !strings.Contains(stdout, "undocumented query parameter") {
		t.Errorf("as text, exit code %d: %s", code, stdout)
	}
	bad := write(t, "bad.yaml", []byte("openapi: 3.0.0\npaths:\n  - [\n"))
	code, stdout, stderr = plainsight(t, nil, "drift", "--spec", bad, traffic)
	if code != exitUsage || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "bad.yaml: line") {
		t.Errorf("a broken document: exit code %d: %s%s", code, stdout, stderr)
	}
	if code, _, stderr = plainsight(t, nil, "drift", traffic); code != exitUsage || !strings.Contains(stderr, "--spec") {
		t.Errorf("no document: exit code %d: %s", code, stderr)
	}
}
