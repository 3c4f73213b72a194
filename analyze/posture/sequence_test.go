package posture

import (
	"cmp"
	"slices"
	"testing"

	"plainsight/analyze"
)

// sequence is a row that takes several exchanges of an endpoint to fire: whole
// conversations, in which it fires or stays silent.
type sequence struct {
	rule     string
	template string // "" is /a
	fires    [][]talk
	worst    analyze.Severity // of the first of fires
	silent   [][]talk
}

var sequences = slices.Concat(
	windowSequences,
	volumeSequences,
	inputSequences,
	credentialSequences,
	loginSequences,
	stageSequences,
	exposureSequences,
	accessSequences,
)

func TestRowsThatTakeManyExchanges(t *testing.T) {
	for _, c := range sequences {
		template := cmp.Or(c.template, "/a")
		for i, k := range c.fires {
			f := find(conclude(t, template, k...), c.rule)
			if f == nil || i == 0 && f.Severity != c.worst {
				t.Errorf("%s: %d: %+v", c.rule, i, f)
			} else if f.Summary == "" || f.Count == 0 || f.First.IsZero() {
				t.Errorf("%s: an incomplete finding: %+v", c.rule, f)
			}
		}
		for i, k := range c.silent {
			if f := find(conclude(t, template, k...), c.rule); f != nil {
				t.Errorf("%s: %d: %s", c.rule, i, f.Summary)
			}
		}
	}
}

// Every row has five conversations on which it fires and five near misses.
func TestEachRowHasTenConversations(t *testing.T) {
	fires, silent := map[string]int{}, map[string]int{}
	for _, c := range cases {
		fires[c.rule] += len(c.fires)
		silent[c.rule] += len(c.silent)
	}
	for _, c := range handshakeCases {
		fires[c.rule] += len(c.fires)
		silent[c.rule] += len(c.silent)
	}
	for _, c := range more {
		fires[c.rule] += len(c.fires)
		silent[c.rule] += len(c.silent)
	}
	for _, c := range attackCases {
		fires[c.rule] += len(c.fires)
		silent[c.rule] += len(c.silent)
	}
	for _, c := range sequences {
		fires[c.rule] += len(c.fires)
		silent[c.rule] += len(c.silent)
	}
	for _, c := range surveys {
		fires[c.rule] += len(c.fires)
		silent[c.rule] += len(c.silent)
	}
	for _, r := range Rules {
		if fires[r.ID] < 5 || silent[r.ID] < 5 {
			t.Errorf("%s: %d conversations on which it fires, %d near misses", r.ID, fires[r.ID], silent[r.ID])
		}
	}
}
