package main

import (
	"bytes"
	"encoding/json"
	"regexp"
	"testing"

	"plainsight/analyze"
	"plainsight/cmd/internal/twin"
)

// twinFindings reads the API's capture as a user would.
func twinFindings(t *testing.T, flawed bool) ([]analyze.Finding, map[int]string) {
	t.Helper()
	var capture bytes.Buffer
	if err := twin.Capture(&capture, flawed); err != nil {
		t.Fatal(err)
	}
	code, out, errs := plainsight(t, nil, "read", "--format", "json", write(t, "twin.pcap", capture.Bytes()))
	var snap struct {
		Findings []struct {
			Rule, Severity, Endpoint, Summary string
		}
		Scorecard []struct {
			Number int
			State  string
		}
	}
	if err := json.Unmarshal([]byte(out), &snap); err != nil || code != 0 {
		t.Fatalf("exit %d, %v: %s", code, err, errs)
	}
	var list []analyze.Finding
	for _, f := range snap.Findings {
		severity, _ := analyze.ParseSeverity(f.Severity)
		list = append(list, analyze.Finding{Rule: f.Rule, Severity: severity, Endpoint: f.Endpoint, Summary: f.Summary})
	}
	states := map[int]string{}
	for _, p := range snap.Scorecard {
		states[p.Number] = p.State
	}
	return list, states
}

var placeholder = regexp.MustCompile(`\{[^}]*\}`)

func TestPlantedFlawsAreFoundWhereTheyAre(t *testing.T) {
	list, states := twinFindings(t, true)
	found := 0
	for _, flaw := range twin.Flaws {
		ok := false
		for _, f := range list {
			ok = ok || f.Rule == flaw.Rule && placeholder.ReplaceAllString(f.Endpoint, "{}") == flaw.Endpoint
		}
		if ok {
			found++
			continue
		}
		t.Logf("%s at %q: not found", flaw.Rule, flaw.Endpoint)
		for _, f := range list {
			if f.Rule == flaw.Rule {
				t.Logf("  but at %q: %s", f.Endpoint, f.Summary)
			}
		}
	}
	if found < len(twin.Flaws)-2 {
		t.Errorf("%d of %d planted flaws found", found, len(twin.Flaws))
	}
	for _, n := range []int{4, 5, 7, 8, 10} {
		if states[n] != "broken" {
			t.Errorf("practice %d is %s", n, states[n])
		}
	}
}

func TestTheSameAPIDoneRightIsQuiet(t *testing.T) {
	list, states := twinFindings(t, false)
	for n, want := range map[int]string{7: "not visible", 8: "kept", 9: "kept", 10: "kept"} {
		if states[n] != want {
			t.Errorf("practice %d is %s, want %s", n, states[n], want)
		}
	}
	for _, f := range list {
		if f.Severity > analyze.Info {
			t.Errorf("%v %s at %q: %s", f.Severity, f.Rule, f.Endpoint, f.Summary)
		}
	}
}
