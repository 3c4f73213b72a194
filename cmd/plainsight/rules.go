package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"plainsight/analyze"
	"plainsight/analyze/drift"
	"plainsight/analyze/posture"
	"plainsight/analyze/sensitive"
)

type rulesCmd struct {
	Rule      string `arg:"" optional:"" help:"A rule, to read all about it."`
	Sensitive bool   `help:"List the kinds of sensitive data instead."`
	JSON      bool   `name:"json" help:"Write JSON."`
}

// Help is shown below the flags.
func (*rulesCmd) Help() string {
	return `  plainsight rules
  plainsight rules enc.clear-credential`
}

// Run lists the rules, or shows one.
func (c *rulesCmd) Run(a *app) error {
	if c.Sensitive {
		return listKinds(a.Stdout, c.JSON)
	}
	var rules []analyze.Rule
	for i := range posture.Rules {
		if r := posture.Rules[i].Rule; c.Rule == "" || r.ID == c.Rule {
			rules = append(rules, r)
		}
	}
	for _, r := range drift.Rules {
		if c.Rule == "" || r.ID == c.Rule {
			rules = append(rules, r)
		}
	}
	switch {
	case len(rules) == 0:
		return usagef("no rule is called %q (plainsight rules lists them)", c.Rule)
	case c.JSON:
		enc := json.NewEncoder(a.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(rules)
	case c.Rule != "":
		return showRule(a.Stdout, rules[0])
	}
	for _, r := range rules {
		if _, err := fmt.Fprintf(a.Stdout, "%-22s %-9s %-15s %s\n", r.ID, r.Severity, r.Practice, r.Title); err != nil {
			return err
		}
	}
	return nil
}

func showRule(w io.Writer, r analyze.Rule) error {
	_, err := fmt.Fprintf(w, "%s: %s\n\n", r.ID, r.Title)
	for _, row := range []struct{ name, text string }{
		{"practice", r.Practice.String()}, {"severity", r.Severity.String()}, {"evidence", string(r.Level)},
		{"fires on", r.Trigger}, {"quiet", r.Quiet}, {"why", r.Why}, {"fix", r.Fix},
		{"see", strings.Join(append(r.OWASP, r.CWE...), ", ")},
	} {
		if err == nil && row.text != "" {
			_, err = fmt.Fprintf(w, "%-9s %s\n", row.name, row.text)
		}
	}
	return err
}

func listKinds(w io.Writer, asJSON bool) error {
	type kind struct {
		ID       string `json:"id"`
		Category string `json:"category"`
		Title    string `json:"title"`
	}
	var kinds []kind
	for i := range sensitive.Detectors {
		d := &sensitive.Detectors[i]
		kinds = append(kinds, kind{d.ID, string(d.Category), d.Title})
	}
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(kinds)
	}
	for _, k := range kinds {
		if _, err := fmt.Fprintf(w, "%-24s %-11s %s\n", k.ID, k.Category, k.Title); err != nil {
			return err
		}
	}
	return nil
}
