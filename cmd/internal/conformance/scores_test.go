//go:build conformance

package conformance

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// TestSensitive scores the detectors over labelled bodies.
func TestSensitive(t *testing.T) {
	labels := shared(t, "sensitive", "dev.jsonl")
	samples, err := os.ReadFile(labels)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, samples, binary, "scan", "--jsonl")
	if r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	pred := filepath.Join(t.TempDir(), "pred.jsonl")
	if err := os.WriteFile(pred, r.stdout, 0o600); err != nil {
		t.Fatal(err)
	}
	s := run(t, nil, program(t, "sensitive", "score"), "-labels", labels, "-pred", pred, "-types", shared(t, "sensitive", "types.tsv"), "-brief")
	if s.code != 0 {
		t.Fatalf("score: %s", s.stderr)
	}
	t.Logf("\n%s", s.stdout)
	floor(t, "sensitive precision", number(t, s.stdout, `typed +P +([0-9.]+)`), sensitivePrecision)
	floor(t, "sensitive recall", number(t, s.stdout, `typed +P +\S+ +R +([0-9.]+)`), sensitiveRecall)
}

func number(t *testing.T, text []byte, pattern string) float64 {
	t.Helper()
	m := regexp.MustCompile(pattern).FindSubmatch(text)
	if m == nil {
		t.Fatalf("the scorer prints nothing like %s", pattern)
	}
	v, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestInference scores endpoints and shapes over traffic made from documents.
func TestInference(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(shared(t, "inference", "traffic"), "*.jsonl.gz"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no traffic: %v", err)
	}
	pred := t.TempDir()
	for _, f := range files {
		api := filepath.Base(f[:len(f)-len(".jsonl.gz")])
		if r := run(t, nil, binary, "openapi", "--json", "--out", filepath.Join(pred, api), f); r.code != 0 {
			t.Fatalf("%s: exit code %d: %s", api, r.code, r.stderr)
		}
	}
	s := run(t, nil, program(t, "inference", "score"), "-data", shared(t, "inference"), "-pred", pred, "-json")
	if s.code != 0 {
		t.Fatalf("score: %s", s.stderr)
	}
	var scores struct{ Mean map[string]float64 }
	if err := json.Unmarshal(s.stdout, &scores); err != nil {
		t.Fatal(err)
	}
	for _, f := range inferenceFloors {
		v, ok := scores.Mean[f.name]
		if !ok {
			t.Errorf("the scorer gives no %s", f.name)
			continue
		}
		floor(t, "inference "+f.name, v, f.least)
	}
}

// Floors: what was reached, less what noise and small changes may take.
const (
	sensitivePrecision = 0.995
	sensitiveRecall    = 0.995
)

var inferenceFloors = []struct {
	name  string
	least float64
}{
	{"template_f1", 0.95},
	{"grouping_accuracy", 0.98},
	{"property_f1_end_to_end", 0.97},
	{"query_recall", 0.97},
}
