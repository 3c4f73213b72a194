package report

import (
	"encoding/json"
	"os"
	"regexp"
	"testing"

	"plainsight/analyze"
)

// The schema is OASIS's, see testdata/README.md.
func TestSARIFKeepsToItsSchema(t *testing.T) {
	text, err := os.ReadFile("testdata/sarif-2.1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	v := compile(t, parse(t, string(text)))
	for name, s := range map[string]*analyze.Snapshot{"shop": shop(), "silent": silent(), "empty": {}, "hostile": hostile(), "many": many(50)} {
		if err := v.Validate(parse(t, string(write(t, "sarif", s, Options{})))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if v.Validate(parse(t, `{"version": "2.1.0", "runs": [{"results": []}]}`)) == nil {
		t.Error("a run without a tool is accepted")
	}
}

func readSARIF(t *testing.T, s *analyze.Snapshot) sarifRun {
	t.Helper()
	var log struct{ Runs []sarifRun }
	if err := json.Unmarshal(write(t, "sarif", s, Options{}), &log); err != nil {
		t.Fatal(err)
	}
	return log.Runs[0]
}

func TestSARIFSaysWhatWasFound(t *testing.T) {
	s := shop()
	run := readSARIF(t, s)
	if len(run.Results) != len(s.Findings) {
		t.Fatalf("%d results for %d findings", len(run.Results), len(s.Findings))
	}
	if run.Properties == nil || len(run.Properties.Scorecard) != len(s.Scorecard) {
		t.Error("the scorecard is missing")
	}
	for i, r := range run.Results {
		f := &s.Findings[i]
		if got := r.PartialFingerprints[fingerprintName]; got != f.Key {
			t.Errorf("%s: fingerprint %q, want the finding's key %q", f.Rule, got, f.Key)
		}
		if rule := run.Tool.Driver.Rules[r.RuleIndex]; rule.ID != f.Rule || r.RuleID != f.Rule {
			t.Errorf("%s: points at rule %s", f.Rule, rule.ID)
		}
	}
	clear := run.Tool.Driver.Rules[0]
	if clear.ID != "enc.clear-credential" || clear.Properties.SecuritySeverity != "9.5" || clear.DefaultConfiguration.Level != "error" {
		t.Errorf("a rule has the severity of its worst finding, but is %+v", clear)
	}
	if low := run.Results[len(run.Results)-1]; low.Level != "note" {
		t.Errorf("a low finding has level %s", low.Level)
	}
	at := run.Results[0].Locations[0]
	if at.Physical == nil || at.Physical.Artifact.URI != "shop.pcapng" || *at.Physical.Artifact.Index != 0 || at.Message.Text != "first seen in frame 118" {
		t.Errorf("located at %+v", at)
	}
	if at.Logical[0].FullyQualifiedName != "api.shop.example POST /v1/login" || at.Logical[1].Name != "request body $.password" {
		t.Errorf("located at %+v", at.Logical)
	}
	if n := len(run.Invocations[0].Notifications); n != 3 {
		t.Errorf("%d notifications, want a damaged file and 2 of what was not seen", n)
	}
}

// A viewer must find neither a link nor a placeholder in a message.
func TestSARIFMessagesAreInert(t *testing.T) {
	live := regexp.MustCompile(`\]\(|://|(^|[^{])(\{\{)*\{[^{]`)
	run := readSARIF(t, hostile())
	texts := map[string]bool{}
	for _, r := range run.Tool.Driver.Rules {
		texts[r.ShortDescription.Text], texts[r.FullDescription.Text], texts[r.Help.Text] = true, true, true
	}
	for _, r := range run.Results {
		texts[r.Message.Text] = true
	}
	for _, n := range run.Invocations[0].Notifications {
		texts[n.Message.Text] = true
	}
	for text := range texts {
		if live.MatchString(text) {
			t.Errorf("alive: %q", text)
		}
	}
	for _, name := range []string{"../../etc/passwd", "https://evil.example/x", "//evil.example", "..", "a b?c#d", "javascript:alert(1)"} {
		if uri := fileURI(name); uri == ".." || regexp.MustCompile(`/|\?|#|^[a-z]+:`).MatchString(uri) {
			t.Errorf("file name %q becomes %q", name, uri)
		}
	}
}
