package sensitive

import (
	"strings"
	"testing"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/body"
)

var traffic = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// look judges one named value as a field of a body does and returns the ids
// that were found.
func look(s *Scanner, name, value string) []string {
	s.Reset(Message{Side: analyze.Response, Time: traffic})
	s.Begin(body.Object)
	s.Key([]byte(name))
	s.Value(body.String, []byte(value))
	s.End(body.Object)
	var ids []string
	for _, h := range s.Hits() {
		ids = append(ids, h.Detector.ID)
	}
	return ids
}

// TestDetectors plays the examples of the table.
func TestDetectors(t *testing.T) {
	s := NewScanner(Options{})
	for i := range Detectors {
		d := &Detectors[i]
		t.Run(d.ID, func(t *testing.T) {
			for _, x := range d.Yes {
				name, value, _ := strings.Cut(x, "=")
				if ids := look(s, name, value); len(ids) != 1 || ids[0] != d.ID {
					t.Errorf("%q is %v", x, ids)
				}
			}
			for _, x := range d.No {
				name, value, _ := strings.Cut(x, "=")
				for _, id := range look(s, name, value) {
					if id == d.ID {
						t.Errorf("%q is none", x)
					}
				}
			}
			if len(d.Yes) == 0 || len(d.No) == 0 || d.Title == "" {
				t.Error("a row without examples or title")
			}
		})
	}
}

func TestAWordOfDocumentsIsAPasswordWhereAClientSendsIt(t *testing.T) {
	for side, want := range map[analyze.Side]int{analyze.Request: 1, analyze.Response: 0} {
		s := NewScanner(Options{})
		s.Reset(Message{Side: side})
		var w body.Walker
		w.Walk([]byte("application/x-www-form-urlencoded"), []byte("username=admin&password=password&Login=Login"), s)
		if got := len(s.Hits()); got != want {
			t.Errorf("%d hits in a %s, want %d", got, side, want)
		}
	}
}
