package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plainsight/analyze"
)

// judged is the part of a JSON report that these tests look at.
type judged struct {
	Findings []struct{ Key, Rule, Severity string }
	Coverage struct {
		NotVisible []string `json:"not_visible"`
	}
}

func readJudged(t *testing.T, want int, args ...string) judged {
	t.Helper()
	code, stdout, stderr := plainsight(t, nil, append([]string{"read", "--format", "json"}, args...)...)
	if code != want {
		t.Fatalf("%v: exit code %d, want %d: %s", args, code, want, stderr)
	}
	var r judged
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestABaselineHidesWhatItKnows(t *testing.T) {
	capture, dir := shop(t), t.TempDir()
	report := filepath.Join(dir, "before.json")
	all := readJudged(t, exitDone, "-o", report, capture)
	if len(all.Findings) < 5 {
		t.Fatalf("%d findings", len(all.Findings))
	}
	// The same traffic brings nothing new, and what is known fails no run.
	again := readJudged(t, exitDone, "--baseline", report, "--fail-on", "info", capture)
	if len(again.Findings) != 0 || !strings.Contains(strings.Join(again.Coverage.NotVisible, "\n"), "known from the baseline") {
		t.Errorf("%d findings, %q", len(again.Findings), again.Coverage.NotVisible)
	}
	// A baseline that lacks one finding shows that one.
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	lost := all.Findings[0].Key
	less := write(t, "less.json", []byte(strings.ReplaceAll(string(text), lost, "0000")))
	one := readJudged(t, exitFindings, "--baseline", less, "--fail-on", "info", capture)
	if len(one.Findings) != 1 || one.Findings[0].Key != lost {
		t.Errorf("got %v, want %s", one.Findings, lost)
	}
}

func TestAStoreIsABaseline(t *testing.T) {
	capture, dir := shop(t), t.TempDir()
	store, key := filepath.Join(dir, "store"), filepath.Join(dir, "key")
	if first := readJudged(t, exitDone, "--store", store, "--key-file", key, capture); len(first.Findings) == 0 {
		t.Fatal("no findings")
	}
	if again := readJudged(t, exitDone, "--store", store, "--key-file", key, "--baseline", store, "--fail-on", "info", capture); len(again.Findings) != 0 {
		t.Errorf("%d findings are new", len(again.Findings))
	}
}

// logOf is a log of exchanges: n calls of each path on a day.
func logOf(n int, day string, paths ...string) []byte {
	var b strings.Builder
	for _, p := range paths {
		path, body, _ := strings.Cut(p, " ")
		for i := range n {
			fmt.Fprintf(&b, `{"ts":"2026-%sT10:%02d:%02dZ","client":"10.0.0.9","method":"GET","scheme":"https","host":"api.kites.example","path":%q,"status":200,"respHeaders":[["content-type","application/json"]],"respBody":%q}`+"\n", day, i/60, i%60, path, body)
		}
	}
	return []byte(b.String())
}

// What changed since the baseline is a finding, be it a report or a store.
func TestWhatChangedSinceTheBaselineIsFound(t *testing.T) {
	dir := t.TempDir()
	before := write(t, "before.ndjson", logOf(120, "03-01", `/kites {"id":1,"name":"a"}`, `/strings {"id":1}`))
	after := write(t, "after.ndjson", logOf(120, "06-01", `/kites {"id":1,"title":"a"}`, `/reels {"id":1}`))
	report, store := filepath.Join(dir, "before.json"), filepath.Join(dir, "store")
	readJudged(t, exitDone, "-o", report, "--store", store, "--key-file", filepath.Join(dir, "key"), before)
	for _, baseline := range []string{report, store} {
		found := map[string]int{}
		for _, f := range readJudged(t, exitDone, "--baseline", baseline, after).Findings {
			found[f.Rule]++
		}
		for rule, n := range map[string]int{"inv.new-endpoint": 1, "inv.stale": 1, "inv.shape-change": 2, "ver.none": 1, "inv.new-service": 0} {
			if found[rule] != n {
				t.Errorf("%s: %s: %d findings, want %d", filepath.Base(baseline), rule, found[rule], n)
			}
		}
	}
}

func TestMutes(t *testing.T) {
	capture := shop(t)
	all := readJudged(t, exitDone, capture)
	rule, n := all.Findings[0].Rule, 0
	for _, f := range all.Findings {
		if f.Rule == rule {
			n++
		}
	}
	config := func(until string) string {
		return write(t, "plainsight.yaml", []byte("mutes:\n  - rule: "+rule+"\n    reason: the mesh encrypts it\n    until: "+until+"\n"))
	}
	muted := readJudged(t, exitDone, "--config", config("2999-12-31"), capture)
	said := strings.Join(muted.Coverage.NotVisible, "\n")
	if len(muted.Findings) != len(all.Findings)-n || strings.Count(said, "Muted until 2999-12-31: "+rule) != n || !strings.Contains(said, "Reason: the mesh encrypts it") {
		t.Errorf("%d of %d findings of %s are left: %s", len(muted.Findings), len(all.Findings), rule, said)
	}
	over := readJudged(t, exitDone, "--config", config("2020-01-31"), capture)
	said = strings.Join(over.Coverage.NotVisible, "\n")
	if len(over.Findings) != len(all.Findings) || !strings.Contains(said, "is over since 2020-01-31") {
		t.Errorf("%d of %d findings are shown: %s", len(over.Findings), len(all.Findings), said)
	}
}

// Muting everything leaves nothing that fails a run.
func TestMutedFindingsFailNothing(t *testing.T) {
	j := judgement{now: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), mutes: []mute{{Rule: "a", Endpoint: "GET /x", until: time.Date(2026, 6, 2, 0, 0, 0, 0, time.UTC)}, {Key: "k2", until: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}}}
	s := &analyze.Snapshot{Findings: []analyze.Finding{{Key: "k1", Rule: "a", Endpoint: "GET /x"}, {Key: "k2", Rule: "a", Endpoint: "GET /y"}}}
	out := j.apply(s)
	if len(out.Findings) != 1 || out.Findings[0].Key != "k2" || len(s.Findings) != 2 || len(s.Coverage.NotVisible) != 0 {
		t.Errorf("got %v, and the snapshot became %v", out.Findings, s)
	}
}

func TestWhatIsNoBaselineOrConfigIsRefused(t *testing.T) {
	capture := shop(t)
	for _, c := range []struct{ name, flag, text, want string }{
		{"other JSON", "--baseline", `{"findings":[]}`, "want a report in JSON"},
		{"no JSON", "--baseline", "x", "want a report in JSON"},
		{"no YAML", "--config", "mutes:\n  - [", ":2: "},
		{"unknown setting", "--config", "mutes:\n  - rule: a\n    why: b\n", ":3: unknown field"},
		{"no reason", "--config", "mutes:\n  - rule: a\n    reason: x\n    until: 2030-01-01\n  - rule: b\n    until: 2030-01-01\n", ":5: a mute needs a reason"},
		{"no day", "--config", "mutes:\n  - rule: a\n    reason: b\n", ":2: a mute needs a day"},
		{"no such day", "--config", "mutes:\n  - rule: a\n    reason: b\n    until: 2026-13-01\n", "want a day"},
		{"for everything", "--config", "mutes:\n  - reason: b\n    until: 2026-12-01\n", "needs the key of a finding, or a rule"},
	} {
		code, _, stderr := plainsight(t, nil, "read", c.flag, write(t, "f", []byte(c.text)), capture)
		if code != exitUsage || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d: %s", c.name, code, stderr)
		}
	}
	if code, _, stderr := plainsight(t, nil, "read", "--baseline", "nothing.json", capture); code != exitUsage {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	rules := write(t, "rules.yaml", []byte("rules:\n  - id: acme\n    pattern: 'AC('\n"))
	if code, _, stderr := plainsight(t, nil, "read", "--rules", rules, capture); code != exitUsage || !strings.Contains(stderr, "rules.yaml:3: pattern: missing closing ): AC(") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
