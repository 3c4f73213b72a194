package main

import (
	"strings"
	"testing"
)

const archive = `{"log": {"version": "1.2", "entries": [
 {"startedDateTime": "2025-03-03T08:00:00Z", "time": 20, "serverIPAddress": "192.0.2.7", "request": {"method": "POST", "url": "https://shop.example/api/login", "headers": [],
  "postData": {"mimeType": "application/json", "text": "{\"user\": \"ann\", \"password\": \"correct horse\"}"}}, "response": {"status": 200, "headers": [], "content": {"mimeType": "application/json", "text": "{\"ok\": true}"}}},
 {"startedDateTime": "2025-03-03T08:00:01Z", "request": {"method": "GET", "url": "http://shop.example/api/orders/1001", "headers": [{"name": "Authorization", "value": "Bearer abcdefghijklmnop123456"}]},
  "response": {"status": 200, "headers": [], "content": {"mimeType": "application/json", "text": "eyJpZCI6IDEwMDF9", "encoding": "base64"}}},
 {"request": {"method": "GET", "url": "blob:x"}, "response": {"status": 200}}]}}`

func TestArchivesAreTraffic(t *testing.T) {
	for _, args := range [][]string{{write(t, "log.har", []byte(archive))}, {write(t, "log.json", []byte(archive))}, {"-"}} {
		code, stdout, stderr := plainsight(t, []byte(archive), append([]string{"read", "--format", "json"}, args...)...)
		if code != exitDone || !strings.Contains(stderr, "entries=1") {
			t.Errorf("exit code %d, %s", code, stderr)
		}
		for _, want := range []string{`"har"`, `/api/orders/{order_id}`, `/api/login`, `"tls"`, `"plaintext"`, "enc.clear-credential"} {
			if !strings.Contains(stdout, want) {
				t.Errorf("no %s in %s", want, stdout)
			}
		}
		if strings.Contains(stdout, "correct horse") {
			t.Error("a password is shown")
		}
	}
	if code, stdout, stderr := plainsight(t, nil, "openapi", "--format", "list", write(t, "a.har", []byte(archive))); code != exitDone || !strings.Contains(stdout, "GET shop.example/api/orders/{order_id}") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	for text, want := range map[string]string{"not json": "not an HTTP archive", `{"a": 1}`: "not an HTTP archive", `{"log": {"entries": []}}`: "none of its 0 entries", `{"log": {"entries": {}}}`: "log.entries"} {
		code, _, stderr := plainsight(t, nil, "read", write(t, "x.har", []byte(text)))
		if code != exitUsage || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: exit code %d, %s", text, code, stderr)
		}
	}
}
