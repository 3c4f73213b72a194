package main

import (
	"context"
	"os"
	"slices"

	"plainsight/analyze"
	"plainsight/analyze/drift"
	"plainsight/analyze/endpoint"
	"plainsight/analyze/report"
)

type driftCmd struct {
	Files    []string `arg:"" name:"file" help:"Captures or logs of exchanges, as for read."`
	Spec     []string `required:"" help:"OpenAPI 3 or Swagger 2.0 document, JSON or YAML, or a directory of them; may be given again." placeholder:"FILE|DIR"`
	Format   string   `enum:"text,json,html,sarif" default:"text" help:"What goes to standard output: ${enum}." placeholder:"FORMAT"`
	FailOn   string   `enum:"info,low,medium,high,critical,never" default:"low" help:"Exit with 1 on a difference at least this severe: ${enum}." placeholder:"SEVERITY"`
	Statuses bool     `help:"Report undocumented 401, 403, 404, 429 and 5xx too."`
	Shards   int      `default:"0" help:"Shards that read connections side by side; 0: one for each core." placeholder:"N"`
}

// Help is shown below the flags.
func (*driftCmd) Help() string {
	return `  plainsight drift --spec openapi.yaml capture.pcapng
  plainsight drift --spec documents/ --format sarif capture.pcapng`
}

// Run compares the traffic with the documents.
func (c *driftCmd) Run(ctx context.Context, a *app) error {
	docs, err := drift.Load(c.Spec, drift.Limits{})
	if err != nil {
		return usageError{err}
	}
	if docs.Unresolved > 0 {
		a.Log.Warn("references of the documents lead nowhere or to other hosts, which are not asked: what they describe may be anything", "references", docs.Unresolved)
	}
	snap, err := c.read(ctx, a, docs.Routes())
	if err != nil {
		return err
	}
	plan := docs.Plan(snap)
	routed := !plan.Learned()
	if !routed && !slices.Contains(c.Files, "-") {
		// The documents hang elsewhere than they say: now that it is known where,
		// their paths can lead the reading too.
		if snap, err = c.read(ctx, a, plan.Routes()); err != nil {
			return err
		}
		routed = true
	}
	snap.Findings = docs.Compare(snap, plan, drift.Options{Routed: routed, Statuses: c.Statuses})
	snap.Scorecard = driftScorecard(snap.Findings)
	if err := c.write(a, snap); err != nil {
		return err
	}
	if least, ok := analyze.ParseSeverity(c.FailOn); ok {
		for i := range snap.Findings {
			if snap.Findings[i].Severity >= least {
				return errFindings
			}
		}
	}
	return nil
}

// read reads the traffic with the paths of documents going before what is
// inferred.
func (c *driftCmd) read(ctx context.Context, a *app, list []endpoint.Route) (*analyze.Snapshot, error) {
	routes, err := endpoint.NewRoutes(list)
	if err != nil { // too many: the traffic must speak for itself
		a.Log.Warn("the paths of the documents do not lead the reading", "reason", err.Error())
		routes = nil
	}
	in, err := a.inputs(c.Files)
	if err != nil {
		return nil, err
	}
	snap, err := a.analyze(ctx, in, analysis{Key: analyze.NewKey(), Shards: c.Shards, Routes: routes})
	if err != nil {
		return nil, err
	}
	if len(snap.Endpoints) == 0 {
		return nil, usagef("no endpoint was seen: there is nothing to compare (plainsight read says what is in the files)")
	}
	return snap, nil
}

// driftScorecard is the scorecard of the practices that documents can speak for.
func driftScorecard(findings []analyze.Finding) (list []analyze.Score) {
	for _, p := range []analyze.Practice{analyze.Shadow, analyze.Documentation} {
		s := analyze.Score{Practice: p, Number: int(p), State: analyze.Kept, Reason: "the traffic that was seen keeps to the documents"}
		for i := range findings {
			if f := &findings[i]; f.Practice == p && f.Severity > analyze.Info {
				s.Findings++
				s.Worst = max(s.Worst, f.Severity)
				s.State, s.Reason = analyze.Broken, "traffic and documents differ"
			}
		}
		list = append(list, s)
	}
	return list
}

func (c *driftCmd) write(a *app, snap *analyze.Snapshot) error {
	f, ok := report.ByName(c.Format)
	if !ok {
		return usagef("%s: no such format", c.Format)
	}
	width, onTerminal := terminal(a.Stdout)
	return f.Write(a.Stdout, snap, report.Options{Width: width, Colour: onTerminal && os.Getenv("NO_COLOR") == ""})
}
