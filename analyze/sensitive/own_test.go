package sensitive

import (
	"errors"
	"strings"
	"testing"

	"plainsight/analyze"
	"plainsight/analyze/body"
)

const acme = `rules:
  - id: acme_customer
    title: ACME customer number
    pattern: 'AC-[0-9]{8}'
    severity: high
  - id: acme_badge
    pattern: '^[0-9]{6,10}$'
    keys: [badge number, ausweis]
    validator: luhn
    category: pii
  - id: acme_key
    pattern: 'acme_[a-z0-9]{12,}'
    validator: random
    category: secret
    severity: critical
`

func TestOwnRules(t *testing.T) {
	rules, err := ParseRules([]byte(acme))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, want string }{
		{`{"ref":"AC-12345678"}`, "acme_customer $.ref high"},
		{`{"note":"ask AC-12345678 and AC-87654321"}`, "acme_customer $.note high; acme_customer $.note high"},
		{`{"ref":"AC-1234567"}`, ""},
		{`{"badgeNumber":"79927398713"}`, ""}, // too long for the pattern
		{`{"badgeNumber":"7992739871"}`, ""},  // fails the check digit
		{`{"badge_nr":"4242426"}`, "acme_badge $.badge_nr medium"},
		{`{"badge_nr":4242426}`, "acme_badge $.badge_nr medium"},
		{`{"ausweis":{"value":"4242426"}}`, ""},
		{`{"other":"4242426"}`, ""},
		{`{"inner":"{\"ref\":\"AC-12345678\"}"}`, "acme_customer $.inner high"},
		{`{"k":"acme_x7k2m9q4w1zt"}`, "acme_key $.k critical"},
		{`{"k":"acme_xxxxxxxxxxxxxxx"}`, ""},
	} {
		s, w := NewScanner(Options{Rules: rules}), new(body.Walker)
		s.Reset(Message{Side: analyze.Response})
		w.Walk(jsonType, []byte(c.text), s)
		var got []string
		for _, h := range s.Hits() {
			if h.Detector.Profile == Own {
				got = append(got, h.Detector.ID+" "+h.Place.Name+" "+h.Severity(analyze.TLS).String())
				if strings.Contains(h.Mask, "345678") {
					t.Errorf("%s shows %s", c.text, h.Mask)
				}
			}
		}
		if g := strings.Join(got, "; "); g != c.want {
			t.Errorf("%s: got %q, want %q", c.text, g, c.want)
		}
	}
	s := NewScanner(Options{Rules: rules})
	s.Reset(Message{})
	s.Target([]byte("/customers/AC-12345678?ausweis=4242426"))
	s.Header([]byte("X-Customer"), []byte("AC-12345678"))
	s.Header([]byte("Authorization"), []byte("Custom acme_x7k2m9q4w1zt"))
	var got []string
	for _, h := range s.Hits() {
		got = append(got, string(h.Place.Where)+":"+h.Detector.ID)
	}
	if g := strings.Join(got, " "); g != "path:acme_customer query:acme_badge header:acme_customer header:acme_key" {
		t.Errorf("got %s", g)
	}
}

// What is wrong with rules is said with its line, and never by showing them.
func TestRulesThatAreWrong(t *testing.T) {
	rule := func(lines ...string) string {
		return "rules:\n  - id: acme\n    " + strings.Join(lines, "\n    ") + "\n"
	}
	for _, c := range []struct {
		name, text string
		line       int
		want       string
	}{
		{"nothing", "", 1, "no rules"},
		{"no YAML", "rules:\n  - id: a\n\t- x", 3, "no YAML"},
		{"a list alone", "- id: a", 1, "want rules:"},
		{"an unknown setting at the top", "rule:\n  - id: a", 1, `unknown setting "rule"`},
		{"an empty list", "rules: []", 1, "no rules"},
		{"a text in place of a rule", "rules:\n  - acme", 2, "a rule is"},
		{"no id", "rules:\n  - pattern: 'abc[0-9]'\n", 2, "without id"},
		{"a bad id", "rules:\n  - id: Acme Key\n    pattern: 'abc[0-9]'", 2, "lower-case"},
		{"an id that is taken", "rules:\n  - id: email\n    pattern: 'abc[0-9]'", 2, "plainsight has"},
		{"an id twice", rule("pattern: 'abc[0-9]'") + "  - id: acme\n    pattern: 'abc[0-9]'", 4, "twice"},
		{"no pattern", rule("severity: high"), 2, "without pattern"},
		{"a pattern that is none", rule("severity: low", "pattern: 'a(b'"), 4, "missing closing"},
		{"look-ahead", rule("pattern: 'abc(?=d)'"), 3, "invalid or unsupported Perl syntax"},
		{"a pattern for nothing", rule("pattern: '[0-9]*'"), 3, "empty text"},
		{"a pattern for everything", rule("pattern: '[0-9]+'"), 2, "fixed text"},
		{"an endless pattern", rule("pattern: '" + strings.Repeat("a", 2000) + "'"), 3, "longer than"},
		{"an unknown validator", rule("pattern: 'abc[0-9]'", "validator: crc"), 4, "crc is none"},
		{"an unknown severity", rule("pattern: 'abc[0-9]'", "severity: bad"), 4, "want info"},
		{"an unknown category", rule("pattern: 'abc[0-9]'", "category: spam"), 4, "want pii"},
		{"keys that are no list", rule("pattern: 'abc[0-9]'", "keys: {a: b}"), 4, "want a list"},
		{"an unknown setting", rule("pattern: 'abc[0-9]'", "regex: x"), 4, `unknown setting "regex"`},
		{"too many", "rules:\n" + strings.Repeat("  - id: a\n", 100), 66, "more than 64"},
	} {
		_, err := ParseRules([]byte(c.text))
		var wrong *RuleError
		if !errors.As(err, &wrong) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if wrong.Line != c.line || !strings.Contains(wrong.Reason, c.want) || strings.Contains(wrong.Reason, "\n") {
			t.Errorf("%s: got line %d: %s; want line %d: %s", c.name, wrong.Line, wrong.Reason, c.line, c.want)
		}
	}
}

func FuzzParseRules(f *testing.F) {
	f.Add([]byte(acme))
	f.Add([]byte("rules: [{id: a, pattern: 'abc.'}]"))
	f.Add([]byte("rules:\n  - id: a\n    pattern: '[0-1]{7,10}$'\n    keys: !00\n0000")) // a tag without a value
	f.Add([]byte("rules:\n - &a {id: b}\n - *a\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4096 {
			return
		}
		r, err := ParseRules(b)
		if err != nil {
			var wrong *RuleError
			if !errors.As(err, &wrong) || wrong.Line < 1 {
				t.Fatalf("%v", err)
			}
			return
		}
		s := NewScanner(Options{Rules: r})
		s.Reset(Message{})
		s.Header([]byte("x-a"), []byte("abc1 AC-12345678"))
	})
}
