package report

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"plainsight/analyze"
)

// compile makes a validator of a JSON Schema.
func compile(t *testing.T, schema any) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("schema.json", schema); err != nil {
		t.Fatal(err)
	}
	v, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func parse(t *testing.T, doc string) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// closed forbids what a schema does not name, so that an undocumented field
// fails the test, although readers must accept it.
func closed(schema any) {
	switch v := schema.(type) {
	case map[string]any:
		if _, ok := v["properties"].(map[string]any); ok && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
		for _, sub := range v {
			closed(sub)
		}
	case []any:
		for _, sub := range v {
			closed(sub)
		}
	}
}

func TestJSONKeepsToItsSchema(t *testing.T) {
	schema := parse(t, JSONSchema)
	closed(schema)
	v := compile(t, schema)
	for name, s := range map[string]*analyze.Snapshot{"shop": shop(), "silent": silent(), "empty": {}, "hostile": hostile(), "many": many(50)} {
		doc := string(write(t, "json", s, Options{}))
		if err := v.Validate(parse(t, doc)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(doc, ": null") {
			t.Errorf("%s: null in the document", name)
		}
	}
	wrong := strings.Replace(string(write(t, "json", shop(), Options{})), `"severity": "critical"`, `"severity": "awful"`, 1)
	if v.Validate(parse(t, wrong)) == nil {
		t.Error("a severity of another name is accepted")
	}
}

// A reader of the JSON report has the same snapshot as its writer.
func TestJSONLosesNothing(t *testing.T) {
	doc := write(t, "json", shop(), Options{})
	var back struct {
		Schema string
		analyze.Coverage
		Endpoints []struct {
			Template string
			Statuses map[string]int
		}
		Findings []struct{ Key, Severity, Practice string }
	}
	if err := json.Unmarshal(doc, &back); err != nil {
		t.Fatal(err)
	}
	s := shop()
	if back.Schema != SchemaName || len(back.Endpoints) != len(s.Endpoints) || len(back.Findings) != len(s.Findings) {
		t.Fatalf("read back %+v", back)
	}
	if back.Findings[0].Key != s.Findings[0].Key || back.Findings[0].Severity != "critical" || back.Findings[0].Practice != "encryption" {
		t.Errorf("first finding is %+v", back.Findings[0])
	}
	if n := back.Endpoints[3].Statuses["404"]; n != 96 {
		t.Errorf("%s answered 404 %d times, want 96", back.Endpoints[3].Template, n)
	}
}

// Numbers and times that JSON cannot write must not cost the report.
func TestNumbersBeyondJSONAreWritten(t *testing.T) {
	s := shop()
	s.Endpoints[0].LatencyP50, s.Endpoints[0].LatencyP95 = math.NaN(), math.Inf(1)
	s.First = time.Date(29999, 1, 1, 0, 0, 0, 0, time.UTC)
	s.Findings[0].Severity, s.Findings[0].Practice = 99, 99
	for _, f := range Formats() {
		if len(write(t, f.Name, s, Options{})) == 0 {
			t.Errorf("%s is empty", f.Name)
		}
	}
}

func TestSameSnapshotSameBytes(t *testing.T) {
	for _, f := range Formats() {
		for _, o := range []Options{{}, {Width: 140, Colour: true}} {
			first := write(t, f.Name, hostile(), o)
			for range 5 {
				if !bytes.Equal(first, write(t, f.Name, hostile(), o)) {
					t.Fatalf("%s differs from run to run", f.Name)
				}
			}
		}
	}
}
