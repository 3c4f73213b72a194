package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"plainsight/analyze"
	"plainsight/cmd/internal/pcapgen"
)

// plainsight runs the program as a user would and returns what came out.
func plainsight(t *testing.T, stdin []byte, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), args, bytes.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

// shop makes the capture of the demo.
func shop(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "shop.pcap")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := pcapgen.Shop(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBadInputGetsOneLineThatNamesTheFix(t *testing.T) {
	capture, err := os.ReadFile(shop(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := write(t, "file", []byte("x"))
	capture0 := shop(t)
	unknownLink := bytes.Clone(capture)
	unknownLink[20] = 147 // LINKTYPE_USER0
	for _, c := range []struct {
		name string
		args []string
		code int
		want string // in stderr, or in stdout where code is 0
	}{
		{"missing file", []string{"read", filepath.Join(dir, "none.pcap")}, exitUsage, "none.pcap"},
		{"directory", []string{"read", dir}, exitUsage, "directory"},
		{"empty file", []string{"read", write(t, "empty.pcap", nil)}, exitUsage, "empty"},
		{"random bytes", []string{"read", write(t, "noise.pcap", bytes.Repeat([]byte{0xa7, 3, 0x91}, 999))}, exitUsage, "not a capture"},
		{"half of a header", []string{"read", write(t, "half.pcap", capture[:11])}, exitDone, "file header"},
		{"unknown link type", []string{"read", write(t, "link.pcap", unknownLink)}, exitDone, "link type"},
		{"no frames in it", []string{"read", write(t, "none.pcap", capture[:24])}, exitDone, "0 frames"},
		{"no file", []string{"read"}, exitUsage, "file"},
		{"unknown command", []string{"raed"}, exitUsage, "raed"},
		{"unknown flag", []string{"read", "--fast", "x"}, exitUsage, "--fast"},
		{"unknown format", []string{"read", "--format", "pdf", "x"}, exitUsage, "text"},
		{"unknown severity", []string{"read", "--fail-on", "awful", "x"}, exitUsage, "critical"},
		{"unknown ending", []string{"read", "-o", "report.doc", "x"}, exitUsage, ".html"},
		{"report into nowhere", []string{"read", "-o", filepath.Join(dir, "no/such/report.html"), shop(t)}, exitFailed, "report.html"},
		{"reveal without a file", []string{"read", "--reveal", "x"}, exitUsage, "--exchanges"},
		{"counts as a page", []string{"read", "--no-analysis", "--format", "html", "x"}, exitUsage, "--no-analysis"},
		{"counts kept", []string{"read", "--no-analysis", "--keep", "x"}, exitUsage, "--no-analysis"},
		{"counts judged", []string{"read", "--no-analysis", "--fail-on", "high", "x"}, exitUsage, "--no-analysis"},
		{"following several", []string{"read", "--follow", capture0, capture0}, exitUsage, "one capture file"},
		{"following and keeping", []string{"read", "--follow", "--keep", capture0}, exitUsage, "--follow"},
		{"store that is a file", []string{"read", "--key-file", filepath.Join(dir, "key"), "--store", file, shop(t)}, exitFailed, "--store"},
		{"store below a file", []string{"read", "--key-file", filepath.Join(dir, "key"), "--store", filepath.Join(file, "store"), shop(t)}, exitFailed, "--store"},
		{"key that is none", []string{"read", "--key-file", file, "--keep", shop(t)}, exitUsage, "64 hex digits"},
		{"no store yet", []string{"query", "--store", filepath.Join(dir, "nothing"), "findings"}, exitFailed, "read --keep"},
		{"no such query", []string{"query", "fndings"}, exitUsage, "plainsight query lists them"},
		{"no such rule", []string{"rules", "no.rule"}, exitUsage, "plainsight rules"},
		{"log without exchanges", []string{"read", write(t, "log.ndjson", []byte("{\"a\":1}\n"))}, exitUsage, "exchange"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := plainsight(t, nil, c.args...)
			if code != c.code {
				t.Errorf("exit code %d, want %d; stderr %q", code, c.code, stderr)
			}
			if said := map[bool]string{true: stdout, false: stderr}[c.code == exitDone]; !strings.Contains(said, c.want) {
				t.Errorf("nothing says %q: %s", c.want, said)
			}
			if n := strings.Count(stderr, "\n"); c.code != exitDone && n != 1 {
				t.Errorf("%d lines, want one: %s", n, stderr)
			}
		})
	}
}

func TestADamagedTailKeepsWhatWasRead(t *testing.T) {
	capture, err := os.ReadFile(shop(t))
	if err != nil {
		t.Fatal(err)
	}
	for cut := len(capture) - 7; cut > len(capture)/2; cut -= len(capture) / 5 {
		code, stdout, stderr := plainsight(t, capture[:cut], "read", "--format", "json", "-")
		var s analyze.Snapshot
		if err := json.Unmarshal([]byte(stdout), &struct{ Exchanges *uint64 }{&s.Exchanges}); err != nil {
			t.Fatal(err)
		}
		if code != exitDone || s.Exchanges < 50 {
			t.Errorf("cut at %d: exit code %d, %d exchanges", cut, code, s.Exchanges)
		}
		if !strings.Contains(stderr, "what came before is in the report") {
			t.Errorf("cut at %d: nothing says that the tail is lost: %s", cut, stderr)
		}
	}
}

// conclusions is the part of a JSON report that these tests look at.
type conclusions struct {
	Exchanges uint64
	Services  []struct{ Name string }
	Endpoints []struct {
		Service, Method, Template string
		Auth                      map[string]uint64
		Sensitive                 []struct{ Kind string }
	}
	Findings []struct{ Rule, Severity, Service, Endpoint, Place string }
	Sessions []struct{ SNI, Version string }
}

func TestTheShopIsUnderstood(t *testing.T) {
	code, stdout, stderr := plainsight(t, nil, "read", "--format", "json", shop(t))
	if code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var got conclusions
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if got.Exchanges != 146 {
		t.Errorf("%d exchanges, want 146", got.Exchanges)
	}
	endpoints := map[string]bool{}
	for _, e := range got.Endpoints {
		endpoints[e.Service+" "+e.Method+" "+placeholders(e.Template)] = true
	}
	for _, want := range []string{
		"shop.example GET /api/v1/products", "shop.example GET /api/v1/products/{}", "shop.example GET /api/v1/search",
		"shop.example POST /api/v1/login", "shop.example GET /api/v1/users/{}", "shop.example POST /api/v1/orders",
		"shop.example GET /api/v1/orders/{}", "shop.example GET /api/v1/customers", "shop.example GET /reset",
		"stock.internal:8080 PUT /v2/warehouses/berlin/items/{}", "stock.internal:8080 GET /v2/health",
	} {
		if !endpoints[want] {
			t.Errorf("no endpoint %s", want)
		}
	}
	for e := range endpoints {
		if strings.Contains(e, ".env") || strings.Contains(e, "wp-login") {
			t.Errorf("a scanner made the endpoint %s", e)
		}
	}
	rules := map[string]bool{}
	for _, f := range got.Findings {
		rules[f.Rule] = true
	}
	for _, want := range []string{"enc.clear-credential", "enc.clear-sensitive", "tok.in-url", "jwt.no-exp", "jwt.weak-secret",
		"enc.tls-old", "enc.cert-expired", "err.stack", "key.clear", "basic.used", "enc.cookie-flags"} {
		if !rules[want] {
			t.Errorf("no finding of %s; found %v", want, rules)
		}
	}
	versions := map[string]string{}
	for _, s := range got.Sessions {
		versions[s.SNI] = s.Version
	}
	if versions["pay.shop.example"] != "TLS 1.3" || versions["old.shop.example"] != "TLS 1.0" {
		t.Errorf("TLS versions are %v", versions)
	}
}

// placeholders removes the names of parameters from a template.
func placeholders(template string) string {
	var b strings.Builder
	inside := false
	for _, r := range template {
		switch {
		case r == '{':
			inside = true
			b.WriteString("{}")
		case r == '}':
			inside = false
		case !inside:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// A run without analysis finds the same exchanges and says that it judged none.
func TestCountsAlone(t *testing.T) {
	capture := shop(t)
	type outcome struct {
		Exchanges uint64
		First     time.Time `json:"first_seen"`
		Endpoints []any
		Findings  []any
	}
	type line struct {
		Type, Method, URI string
		Status            int
		Size              int64 `json:"resp_body_len"`
	}
	read := func(args ...string) (o outcome, lines []line) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "lines")
		code, stdout, stderr := plainsight(t, nil, append(args, "--shards", "1", "--exchanges", file, "--format", "json", capture)...)
		if err := json.Unmarshal([]byte(stdout), &o); code != exitDone || err != nil {
			t.Fatalf("exit code %d, %v: %s", code, err, stderr)
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range bytes.Split(bytes.TrimSpace(raw), []byte("\n")) {
			var v line
			if err := json.Unmarshal(l, &v); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, v)
		}
		return o, lines
	}
	want, wantLines := read("read")
	got, lines := read("read", "--no-analysis")
	if !slices.Equal(lines, wantLines) || got.Exchanges != want.Exchanges || !got.First.Equal(want.First) {
		t.Errorf("%d exchanges from %v in %d lines, the whole analysis has %d from %v in %d",
			got.Exchanges, got.First, len(lines), want.Exchanges, want.First, len(wantLines))
	}
	if len(got.Endpoints)+len(got.Findings) > 0 {
		t.Errorf("%d endpoints and %d findings of a run without analysis", len(got.Endpoints), len(got.Findings))
	}
	_, stdout, _ := plainsight(t, nil, "read", "--no-analysis", capture)
	if !strings.Contains(stdout, "not analysed") || strings.Contains(stdout, "no findings") {
		t.Errorf("the report does not say that nothing was judged:\n%s", stdout)
	}
}

func TestFailOnGivesTheExitCode(t *testing.T) {
	capture := shop(t)
	for severity, want := range map[string]int{"critical": exitFindings, "info": exitFindings, "never": exitDone} {
		if code, _, stderr := plainsight(t, nil, "read", "--format", "none", "--fail-on", severity, capture); code != want {
			t.Errorf("--fail-on %s: exit code %d, want %d: %s", severity, code, want, stderr)
		}
	}
}

func TestTheSameTrafficGivesTheSameReport(t *testing.T) {
	capture := shop(t)
	key := filepath.Join(t.TempDir(), "key")
	var first string
	for _, shards := range []string{"1", "1", "2", "8"} {
		code, stdout, stderr := plainsight(t, nil, "read", "--key-file", key, "--shards", shards, "--format", "json", capture)
		if code != exitDone {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		if first == "" {
			first = stdout
		} else if stdout != first {
			t.Errorf("%s shards give another report", shards)
		}
	}
}

func TestReadingTwiceDoublesNothing(t *testing.T) {
	capture, dir := shop(t), t.TempDir()
	store, key := filepath.Join(dir, "store"), filepath.Join(dir, "key")
	ask := func() string {
		return query(t, store, "SELECT (SELECT count() FROM calls_current), (SELECT sum(requests) FROM endpoints_current),"+
			" (SELECT count() FROM findings_open), (SELECT sum(count) FROM findings_open)")
	}
	var before string
	for range 2 {
		if code, _, stderr := plainsight(t, nil, "read", "--format", "none", "--store", store, "--key-file", key, capture); code != exitDone {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		if now := ask(); before == "" {
			before = now
		} else if now != before {
			t.Errorf("counts were %q and are %q after reading the file again", before, now)
		}
	}
	if !strings.HasPrefix(before, "146\t") {
		t.Errorf("the store counts %q, want 146 calls", before)
	}
}

func TestAnInterruptedRunReportsAndKeepsNothing(t *testing.T) {
	dir := t.TempDir()
	store := filepath.Join(dir, "store")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var stdout, stderr bytes.Buffer
	code := run(ctx, []string{"read", "--store", store, "--key-file", filepath.Join(dir, "key"), shop(t)}, nil, &stdout, &stderr)
	if code == exitDone && !strings.Contains(stderr.String(), "nothing of it is kept") {
		t.Errorf("nothing says that it is not kept: %s", stderr.String())
	}
	if code, _, stderr := plainsight(t, nil, "query", "--store", store, "captures"); code == exitDone {
		if kept := query(t, store, "SELECT count() FROM captures_current"); kept != "0\n" {
			t.Errorf("%q captures are kept: %s", kept, stderr)
		}
	}
}

// An interrupt from a terminal reaches every program of a pipe.
func TestAnInterruptedPipeIsReadToItsEnd(t *testing.T) {
	capture, err := os.ReadFile(shop(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	go func() {
		w.Write(capture[:len(capture)/2])
		cancel()
		w.Write(capture[len(capture)/2:])
		w.Close()
	}()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, []string{"read", "--format", "json", "-"}, r, &stdout, &stderr); code != exitDone || stderr.Len() > 0 {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
	var got conclusions
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil || got.Exchanges != 146 {
		t.Errorf("%d exchanges, want 146; %v", got.Exchanges, err)
	}
}

func TestAListOfWhatIsSensitiveInABody(t *testing.T) {
	code, stdout, _ := plainsight(t, []byte(`{"user":{"email":"maren.holt@postbox.shop"},"note":"hi"}`), "scan")
	if code != exitDone || !strings.Contains(stdout, "email") || !strings.Contains(stdout, "$.user.email") {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	if strings.Contains(stdout, "maren.holt") {
		t.Errorf("the value is shown: %s", stdout)
	}
}

func TestDocumentsOfTheShop(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "documents")
	if code, _, stderr := plainsight(t, nil, "openapi", "--json", "--out", dir, shop(t)); code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "shop.example.json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Openapi string
		Paths   map[string]map[string]any
	}
	if err := json.Unmarshal(raw, &doc); err != nil || !strings.HasPrefix(doc.Openapi, "3.1") || len(doc.Paths) < 8 {
		t.Errorf("openapi %q, %d paths, %v", doc.Openapi, len(doc.Paths), err)
	}
	if code, _, stderr := plainsight(t, nil, "openapi", shop(t)); code != exitUsage || !strings.Contains(stderr, "--service") {
		t.Errorf("several services to standard output: exit code %d: %s", code, stderr)
	}
	code, stdout, _ := plainsight(t, nil, "openapi", "--service", "shop.example", shop(t))
	if code != exitDone || !strings.HasPrefix(stdout, "openapi: ") {
		t.Errorf("exit code %d: %.80s", code, stdout)
	}
}

func TestHelpFitsAScreen(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"read", "--help"}, {"query", "--help"}, {"openapi", "--help"}, {"scan", "--help"},
		{"rules", "--help"}, {"schema", "--help"}, {"setup", "--help"}} {
		code, stdout, _ := plainsight(t, nil, args...)
		if n := strings.Count(stdout, "\n"); code != exitDone || n < 5 || n > 45 {
			t.Errorf("%v: exit code %d, %d lines", args, code, n)
		}
	}
}
