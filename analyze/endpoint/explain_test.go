package endpoint

import (
	"strings"
	"testing"
)

// Each decision can be explained, and the evidence adds up to it.
func TestExplain(t *testing.T) {
	tree := learn(shop())
	list := tree.Explain([]byte("/api/v1/users/anna/orders/1000"))
	if len(list) != 1 || list[0].Template != "/api/v1/users/{user_id}/orders/{order_id}" || len(list[0].Steps) != 6 || len(list[0].Methods) != 1 {
		t.Fatalf("%+v", list)
	}
	for i, want := range []string{"a name: the evidence", "a name: it looks like the version", "a name", "passed the bar", "a name", "spelled like a number"} {
		if s := list[0].Steps[i]; !strings.Contains(s.Because, want) {
			t.Errorf("%s is %s: %s; want %s", s.Segment, s.Part, s.Because, want)
		}
	}
	anna := list[0].Steps[3]
	sum := 0.0
	for _, r := range anna.For {
		sum += r.Weight
		if r.Text == "" {
			t.Error("a reason says nothing")
		}
	}
	if anna.Odds < anna.Bar || sum < anna.Odds-0.001 || sum > anna.Odds+0.001 || len(anna.For) < 5 {
		t.Errorf("%.2f of a bar of %.2f, and %d reasons that add up to %.2f", anna.Odds, anna.Bar, len(anna.For), sum)
	}
	if users := list[0].Steps[2]; users.Odds >= users.Bar {
		t.Errorf("users is a name, and %.2f passes %.2f", users.Odds, users.Bar)
	}
	if list := tree.Explain([]byte("/api/v1/users/me")); len(list) != 1 || !strings.Contains(list[0].Steps[3].Because, "such words") {
		t.Errorf("%+v", list)
	}
	if list := tree.Explain([]byte("/wp-admin/anna.php")); list != nil {
		t.Errorf("what only failed is explained: %+v", list)
	}
	for _, e := range tree.Explain([]byte("/api/v1/users/ann@example.org")) {
		for _, s := range e.Steps {
			if strings.Contains(s.Segment, "@") {
				t.Errorf("a person is shown: %s", s.Segment)
			}
		}
	}
	given := NewTree(Options{Routes: routes(t, "GET /x/{y}").For("")}, newNote)
	if list := given.Explain([]byte("/x/1")); len(list) != 1 || !list[0].Given || list[0].Template != "/x/{y}" {
		t.Errorf("%+v", list)
	}
}
