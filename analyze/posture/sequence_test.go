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

// unfinished are rows that have fewer than five conversations of a kind.
var unfinished = map[string]bool{
	"doc.zombie":          true,
	"doc.exposed":         true,
	"doc.secret-in-doc":   true,
	"smuggle":             true,
	"gql.introspection":   true,
	"pii.card":            true,
	"pii.ssn":             true,
	"pii.iban":            true,
	"pii.nino":            true,
	"pii.aadhaar":         true,
	"pii.cpf":             true,
	"pii.nhs":             true,
	"pii.national-id":     true,
	"pii.health":          true,
	"pii.contact":         true,
	"sec.password-out":    true,
	"sec.token-out":       true,
	"url.sensitive":       true,
	"cache.sensitive":     true,
	"err.sql":             true,
	"err.path":            true,
	"net.internal":        true,
	"rate.header-missing": true,
	"xml.bomb":            true,
	"gql.batch":           true,
	"gql.suggest":         true,
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
		if few := fires[r.ID] < 5 || silent[r.ID] < 5; few && !unfinished[r.ID] || !few && unfinished[r.ID] {
			t.Errorf("%s: %d conversations on which it fires, %d near misses", r.ID, fires[r.ID], silent[r.ID])
		}
	}
}
