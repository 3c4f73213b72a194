package sensitive

import (
	"encoding/json"
	"strings"
	"testing"

	"plainsight/analyze"
	"plainsight/analyze/body"
)

func TestGraphQLArguments(t *testing.T) {
	for _, c := range []struct{ document, want string }{
		{`mutation { login(email: "ann@shop.dev", password: "hunter2!x") { token } }`, "email password"},
		{`mutation Pay($id: ID!) { pay(id: $id, card: {number: "4957977385623040", cvv: "123", holder: "Ann Lee"}) { ok } }`, "credit_card card_cvv person_name"},
		{`query { user(firstName: "Anna", age: 31) { id } }`, "person_name"},
		{`{ patient(ssn: "536-90-4399") { id } }`, "us_ssn"},
		{"query Q {\n  # password: \"hunter2!x\"\n  user(id: 5) { password email }\n}", ""},
		{`{ users(first: 10, orderBy: "email") { id email password } }`, ""},
		{`mutation { note(text: """my password: tr0ub4dor&3""") { id } }`, "password"},
		{`mutation { broken(password: "hunter2!x`, "password"},
		{`mutation of the gene (a change) {see above}`, ""},
	} {
		b, _ := json.Marshal(map[string]string{"query": c.document})
		for _, form := range []struct{ contentType, text string }{{"application/json", string(b)}, {"application/graphql", c.document}} {
			s, w := NewScanner(Options{}), new(body.Walker)
			s.Reset(Message{Side: analyze.Request, Time: traffic})
			w.Walk([]byte(form.contentType), []byte(form.text), s)
			var got []string
			for _, h := range s.Hits() {
				got = append(got, h.Detector.ID)
			}
			if g := strings.Join(got, " "); g != c.want {
				t.Errorf("%s: got %q, want %q", form.text, g, c.want)
			}
		}
	}
}
