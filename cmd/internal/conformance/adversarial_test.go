//go:build conformance

package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// expectation is what a case or a scenario must come out as; only what is set
// is expected.
type expectation struct {
	Level        string
	Transactions []struct {
		Method, Target, Host string
		Status               int
	}
	Least, Most *int
	Never       []string
	Limits      struct {
		RSSMiB  float64 `json:"rss_mib"`
		Seconds float64
	}
	Anomalies     []string
	Counters      []string
	TerminalInert bool     `json:"terminal_inert"`
	HTMLInert     []string `json:"html_inert"`
}

// judge compares found HTTP transactions with an expectation and says what is
// wrong, or nothing.
func (e expectation) judge(found []transaction) string {
	switch e.Level {
	case "survive":
		return ""
	case "either": // read strictly, there are none of them, or fewer
		if len(found) < len(e.Transactions) {
			return ""
		}
	case "flag":
		if e.Least != nil && *e.Least == 0 && len(found) == 0 {
			return "" // the set says itself that nothing may come out
		}
	case "exact":
		// A scenario may give only a count.
		if n := len(e.Transactions); n > 0 && len(found) != n {
			return fmt.Sprintf("%d transactions, expected %d", len(found), n)
		}
	}
	if e.Least != nil && len(found) < *e.Least || e.Most != nil && len(found) > *e.Most {
		return fmt.Sprintf("%d transactions, expected %d to %d", len(found), deref(e.Least), deref(e.Most))
	}
	// They come in this order on each connection.
	type ends struct {
		src, dst     string
		sport, dport int
	}
	next := map[ends]int{}
	for i, w := range e.Transactions {
		j := 0
		for ; j < len(found); j++ {
			x := found[j]
			at := ends{x.Src, x.Dst, x.Sport, x.Dport}
			if j >= next[at] && (w.Method == "" || w.Method == x.Method) && (w.Target == "" || w.Target == x.URI || unescaped(x.URI) == w.Target) && (w.Status == 0 || w.Status == x.Status) && (e.Level != "exact" || sameHost(w.Host, x.Host)) {
				next[at] = j + 1
				break
			}
		}
		if j == len(found) {
			return fmt.Sprintf("transaction %d (%s %.60s) is missing or out of order", i+1, w.Method, w.Target)
		}
	}
	return ""
}

// unescaped is a target as Zeek writes it.
func unescaped(target string) string {
	if plain, err := url.PathUnescape(target); err == nil {
		return plain
	}
	return target
}

// sameHost compares hosts as far as both are known: without port and case.
func sameHost(want, got string) bool {
	plain := func(h string) string {
		if i := strings.LastIndexByte(h, ':'); i > 0 && !strings.HasSuffix(h, "]") {
			h = h[:i]
		}
		return strings.ToLower(strings.TrimSpace(h))
	}
	return want == "" || got == "" || plain(want) == plain(got)
}

// disputed are the cases whose expectation is not what the bytes say, with the
// evidence.
var disputed = map[string]string{
	"zeek/scripts/base/protocols/http/http-connect":       `frame 4 asks for "CONNECT mailin03.sul.t-online.de:25 / HTTP/1.0": a target has no space (RFC 9112 §3.2), and tshark ends it there, too`,
	"zeek/scripts/base/protocols/http/no-version":         "one request without a version is in the capture, and no status; the second transaction is the page that answers it",
	"zeek/scripts/base/protocols/websocket/wstunnel-http": "the second transaction is inside of a tunnel in binary WebSocket messages, and its status 301 stands on the first, which was answered 101",
}

func deref(n *int) int {
	if n == nil {
		return -1
	}
	return *n
}

// ours are our names for the anomalies and counters of the sets, where we have a
// word of our own: a flaw of an exchange or a counter. Any of them says the same.
var ours = map[string][]string{
	"bad_checksum":           {"segments_bad_checksum"},
	"body_invalid":           {"inventory_bodies_partial"}, // walked as far as it is one
	"body_limit":             {"body_limit", "inventory_bodies_partial"},
	"content_encoding":       {"decode", "encoding_unknown"},
	"content_length_invalid": {"length_invalid", "length_conflict"},
	"decode_error":           {"frames_dropped_malformed", "frames_dropped_truncated"},
	"duplicate":              {"segments_duplicate"},
	"flow_evicted":           {"connections_evicted_half_open", "connections_evicted_idle", "connections_evicted_limit"},
	"fragment_limit":         {"fragments_evicted"},
	"fragment_timeout":       {"frames_dropped_fragment"},
	"gap":                    {"stream_gaps"}, // also where no message is left that could have the mark
	"gap_bytes":              {"stream_gap_bytes"},
	"header_limit":           {"head_limit", "head_limit_reached"},
	"one_sided":              {"connections_one_sided"},
	"out_of_window":          {"segments_out_of_window"},
	"overlap_conflict":       {"segments_conflict"},
	"pipeline_limit":         {"pipeline_limit_reached"},
	"port_reuse":             {"connections_reused"},
	"reassembly_limit":       {"stream_pending_limit", "stream_budget_reached"},
	"schema_limit":           {"inventory_shape_folded", "inventory_shape_limit"},
	"smuggling":              {"length_and_chunked", "length_conflict", "transfer_encoding"},
	"syn_only":               {"connections_half_open"},
	"truncated_frame":        {"frames_snapped"},
	"truncated_frames":       {"frames_snapped"},
	"urgent":                 {"segments_urgent"},
}

// roomy are the scenarios in which a bound that the sets expect to be reached is
// not: what is counted instead, and how much of it.
var roomy = map[string]struct {
	counter string
	least   uint64
	why     string
}{
	"flows-idle": {"connections", 20_100, "the table has room for all the idle connections: none has to go"},
}

// unmarked says which of the anomalies and counters of an expectation are neither
// a flaw of an exchange nor a counter above zero, under their name or ours: of the
// anomalies one is enough.
func (e expectation) unmarked(t *testing.T, name string, found []transaction, r outcome) []string {
	t.Helper()
	var report struct {
		Coverage struct {
			Counts []struct {
				Name  string
				Value uint64
			}
		}
	}
	if err := json.Unmarshal(r.stdout, &report); err != nil {
		t.Fatal(err)
	}
	marks := map[string]bool{}
	room := roomy[name]
	for _, c := range report.Coverage.Counts {
		marks[c.Name] = c.Value > 0
		if c.Name == room.counter && c.Value >= room.least {
			return nil
		}
	}
	for _, x := range found {
		for _, f := range x.Flaws {
			marks[f] = true
		}
	}
	marked := func(a string) bool {
		return marks[a] || slices.ContainsFunc(ours[a], func(own string) bool { return marks[own] })
	}
	var missing []string
	for _, c := range e.Counters {
		if !marked(c) {
			missing = append(missing, c)
		}
	}
	if len(e.Anomalies) > 0 && !slices.ContainsFunc(e.Anomalies, marked) {
		missing = append(missing, "one of "+strings.Join(e.Anomalies, ", "))
	}
	return missing
}

// exchanges reads a capture and returns its HTTP transactions as seen.
func exchanges(t *testing.T, capture string) ([]transaction, outcome) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "exchanges.ndjson")
	r := run(t, nil, binary, "read", "--exchanges", out, "--reveal", "--format", "json", capture)
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatalf("%s: %v; exit code %d: %s", capture, err, r.code, r.stderr)
	}
	var found []transaction
	for _, x := range decodeLines[transaction](t, raw) {
		if x.Type == "http" {
			found = append(found, x)
		}
	}
	return found, r
}

// survived fails where a run crashed, hung or used more than it may.
func survived(t *testing.T, what string, r outcome, idle float64, e expectation) {
	t.Helper()
	if r.code != 0 || bytes.Contains(r.stderr, []byte("goroutine ")) {
		t.Errorf("%s: exit code %d: %.500s", what, r.code, r.stderr)
	}
	seconds, rss := 10.0, 256.0
	if e.Limits.Seconds > 0 {
		seconds, rss = e.Limits.Seconds, e.Limits.RSSMiB
	}
	if r.cpu.Seconds() > seconds {
		t.Errorf("%s: %.1f s of CPU, the limit is %.0f", what, r.cpu.Seconds(), seconds)
	}
	if r.rssMiB-idle > rss {
		t.Errorf("%s: %.0f MiB over idle, the limit is %.0f", what, r.rssMiB-idle, rss)
	}
}

// TestScenarios plays the hostile scenarios: each within its bounds, and
// nothing secret in any output.
func TestScenarios(t *testing.T) {
	forge := program(t, "tools", "pcapforge")
	files, err := filepath.Glob(filepath.Join(shared(t, "adversarial", "scenarios"), "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	idle := run(t, nil, binary, "--version").rssMiB
	good, marked := 0, 0
	for _, f := range files {
		var scenario struct{ Expect expectation }
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &scenario); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		e, name := scenario.Expect, strings.TrimSuffix(filepath.Base(f), ".json")
		capture := filepath.Join(t.TempDir(), name+".pcap")
		if r := run(t, nil, forge, "render", "-o", capture, f); r.code != 0 {
			t.Fatalf("%s: %s", name, r.stderr)
		}
		found, r := exchanges(t, capture)
		survived(t, name, r, idle, e)
		addsUp(t, name, r)
		if wrong := e.judge(found); wrong != "" {
			t.Logf("%-32s %s", name, wrong)
		} else {
			good++
		}
		if missing := e.unmarked(t, name, found, r); len(missing) > 0 {
			t.Errorf("%-32s not marked: %v", name, missing)
		} else if len(e.Counters)+len(e.Anomalies) > 0 {
			marked++
		}
		if len(e.Never) > 0 || e.TerminalInert || len(e.HTMLInert) > 0 {
			quietly(t, name, capture, e)
		}
	}
	floor(t, "scenarios with the expected transactions", share(good, len(files)), 1)
	t.Logf("%d of %d scenarios, all that name one, have the mark or counter that is named", marked, len(files))
}

// quietly reads a capture as a user does, without --reveal, and looks at all
// that comes out.
func quietly(t *testing.T, name, capture string, e expectation) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "exchanges.ndjson")
	for _, format := range []string{"text", "json", "html", "sarif"} {
		r := run(t, nil, binary, "read", "--exchanges", out, "--format", format, "--log-level", "debug", capture)
		lines, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		all := bytes.Join([][]byte{r.stdout, r.stderr, lines}, nil)
		for i, never := range e.Never {
			if bytes.Contains(all, []byte(never)) {
				t.Errorf("%s: secret %d stands in the %s output", name, i+1, format)
			}
		}
		if e.TerminalInert && bytes.ContainsFunc(all, func(r rune) bool {
			return r < ' ' && r != '\n' && r != '\t' || 0x7f <= r && r <= 0x9f
		}) {
			t.Errorf("%s: a control character stands in the %s output", name, format)
		}
		for _, inert := range e.HTMLInert {
			if format == "html" && strings.HasPrefix(inert, "<") && bytes.Contains(r.stdout, []byte(inert)) {
				t.Errorf("%s: %q stands in the HTML", name, inert)
			}
		}
	}
}

// TestConversations plays the HTTP cases of other parsers' test suites, one
// connection each in one capture.
func TestConversations(t *testing.T) {
	forge := program(t, "tools", "pcapforge")
	for _, set := range []struct {
		file  string
		least float64
	}{{"llhttp.jsonl", 0.99}, {"libhtp.jsonl", 0.99}, {"http2-hpack.jsonl", 1}, {"http2-frames.jsonl", 1}} {
		source := shared(t, "adversarial", set.file)
		want := map[string]expectation{}
		for _, c := range readLines[struct {
			ID     string
			Expect expectation
		}](t, source) {
			want[c.ID] = c.Expect
		}
		dir := t.TempDir()
		if r := run(t, nil, forge, "cases", "-one", "-variant", "base", "-o", dir, source); r.code != 0 {
			t.Fatalf("%s: %s", set.file, r.stderr)
		}
		index := readLines[struct{ File, Case, Client string }](t, filepath.Join(dir, "index.jsonl"))
		if len(index) == 0 {
			t.Fatalf("%s: no cases", set.file)
		}
		found, r := exchanges(t, filepath.Join(dir, index[0].File))
		survived(t, set.file, r, 0, expectation{})
		byClient := map[string][]transaction{}
		for _, x := range found {
			byClient[x.Src] = append(byClient[x.Src], x)
		}
		exact, all, good := 0, 0, 0
		for _, c := range index {
			e := want[c.Case]
			ip, _, _ := strings.Cut(c.Client, ":")
			wrong := e.judge(byClient[ip])
			if e.Level == "exact" {
				exact++
				if wrong == "" {
					good++
				}
			}
			if wrong == "" {
				all++
			} else {
				t.Logf("%-6s %s: %s", e.Level, c.Case, wrong)
			}
		}
		floor(t, set.file+" exact cases", share(good, exact), set.least)
		floor(t, set.file+" all cases", share(all, len(index)), set.least-0.06)
	}
}

// TestOtherEnginesCaptures reads the captures of Suricata's and Zeek's tests.
func TestOtherEnginesCaptures(t *testing.T) {
	for _, file := range []string{"suricata-pcaps.jsonl", "zeek-pcaps.jsonl"} {
		good, all := 0, 0
		for _, c := range readLines[struct {
			ID, File string
			Expect   expectation
		}](t, shared(t, "adversarial", file)) {
			found, r := exchanges(t, shared(t, "adversarial", c.File))
			survived(t, c.ID, r, 0, c.Expect)
			addsUp(t, c.ID, r)
			wrong := c.Expect.judge(found)
			if why, ok := disputed[c.ID]; ok {
				t.Logf("disputed %s: %s; %s", c.ID, wrong, why)
				continue
			}
			if all++; wrong == "" {
				good++
			} else {
				t.Logf("%-6s %s: %s", c.Expect.Level, c.ID, wrong)
			}
		}
		floor(t, file+" cases", share(good, all), 0.99)
	}
}
