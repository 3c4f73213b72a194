package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/report"
	"plainsight/storage/clickhouse"
)

// Bounds of what is read back, and of what a report says of it.
const (
	maxBaseline = 1 << 30 // bytes of a report
	maxConfig   = 1 << 20 // bytes of plainsight.yaml
	maxListed   = 50      // findings that are muted, by name
)

// defaultConfig is read where no other is named, if it is there.
const defaultConfig = "plainsight.yaml"

// judgement is what a run leaves out of its report: what is known, and what
// somebody answers for.
type judgement struct {
	known  map[string]bool   // keys of findings
	before *analyze.Snapshot // what was there; nil without a baseline
	mutes  []mute
	now    time.Time
}

// mute is an entry of plainsight.yaml: findings that are not to be reported,
// and why.
type mute struct {
	Key      string `yaml:"key"` // of one finding; or
	Rule     string `yaml:"rule"`
	Service  string `yaml:"service"` // these narrow it down; empty: any
	Endpoint string `yaml:"endpoint"`
	Place    string `yaml:"place"`
	Reason   string `yaml:"reason"`
	Until    string `yaml:"until"` // the last day, 2026-12-31

	until time.Time // when it is over
}

// judge reads the baseline and the configuration of a run.
func (a *app) judge(ctx context.Context, baseline, config string) (*judgement, error) {
	j := &judgement{now: time.Now()}
	var err error
	if j.mutes, err = readMutes(config); err != nil {
		return nil, err
	}
	if baseline != "" {
		if j.before, err = a.baseline(ctx, baseline); err == nil {
			j.known = map[string]bool{}
			for i := range j.before.Findings {
				j.known[j.before.Findings[i].Key] = true
			}
		}
	}
	return j, err
}

// baseline reads a JSON report, or what a store has of the same: the keys of its
// findings, its services, endpoints, shapes and kinds of sensitive data.
func (a *app) baseline(ctx context.Context, name string) (*analyze.Snapshot, error) {
	info, err := os.Stat(name)
	switch {
	case err == nil && info.Mode().IsRegular():
		text, err := readSmall(name, maxBaseline)
		if err != nil {
			return nil, err
		}
		var r struct {
			Schema string `json:"schema"`
			analyze.Snapshot
		}
		if err := json.Unmarshal(text, &r); err != nil || r.Schema != report.SchemaName {
			return nil, usagef("%s: want a report in JSON (%s), as plainsight read -o FILE.json writes it", name, report.SchemaName)
		}
		return &r.Snapshot, nil
	case err != nil && strings.HasSuffix(name, ".json"):
		return nil, usageError{err}
	}
	s, err := clickhouse.Open(ctx, clickhouse.Options{Store: name, Log: a.Log})
	if err != nil {
		return nil, storeError(err)
	}
	defer s.Close()
	snap, err := baselineOf(ctx, s)
	if err != nil {
		return nil, storeError(err)
	}
	return snap, nil
}

// baselineOf reads what a store has.
func baselineOf(ctx context.Context, s *clickhouse.Store) (*analyze.Snapshot, error) {
	snap := new(analyze.Snapshot)
	each := func(query string, row func(v []any)) error {
		rows, err := s.Query(ctx, query)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			v, err := rows.Values()
			if err != nil {
				return err
			}
			row(v)
		}
		return rows.Err()
	}
	text := func(v any) string { s, _ := v.(string); return s }
	number := func(v any) uint64 { n, _ := v.(uint64); return n }
	if err := each("SELECT key FROM findings_open", func(v []any) {
		snap.Findings = append(snap.Findings, analyze.Finding{Key: text(v[0])})
	}); err != nil {
		return nil, err
	}
	if err := each("SELECT name FROM services_current", func(v []any) {
		snap.Services = append(snap.Services, analyze.Service{Name: text(v[0])})
	}); err != nil {
		return nil, err
	}
	at := map[string]int{}
	of := func(v []any) *analyze.Endpoint { // of columns service, method, template, operation
		if i, ok := at[analyze.EndpointID(text(v[0]), text(v[1]), text(v[2]), text(v[3]))]; ok {
			return &snap.Endpoints[i]
		}
		return nil
	}
	if err := each("SELECT id, service, method, template, operation, requests, statuses, outside, first_seen, last_seen FROM endpoints_current", func(v []any) {
		e := analyze.Endpoint{ID: text(v[0]), Service: text(v[1]), Method: text(v[2]), Template: text(v[3]), Operation: text(v[4]), Requests: number(v[5]), Outside: number(v[7]), Statuses: map[int]uint64{}}
		statuses, _ := v[6].(map[uint16]uint64)
		for status, n := range statuses {
			e.Statuses[int(status)] = n
		}
		e.First, _ = v[8].(time.Time)
		e.Last, _ = v[9].(time.Time)
		at[e.ID] = len(snap.Endpoints)
		snap.Endpoints = append(snap.Endpoints, e)
	}); err != nil {
		return nil, err
	}
	if err := each("SELECT service, method, template, operation, status, path, types, present, parents FROM fields_current WHERE side = 'response' AND location = 'body' AND startsWith(status, '2')", func(v []any) {
		if e := of(v); e != nil {
			types, _ := v[6].([]string)
			e.Fields = append(e.Fields, analyze.Field{Side: analyze.Response, Where: analyze.InBody, Status: text(v[4]), Path: text(v[5]), Types: types, Present: number(v[7]), Of: number(v[8])})
		}
	}); err != nil {
		return nil, err
	}
	return snap, each("SELECT service, method, template, operation, kind, category, location, name FROM sensitive_current WHERE side = 'request'", func(v []any) {
		if e := of(v); e != nil {
			e.Sensitive = append(e.Sensitive, analyze.Sensitive{Kind: text(v[4]), Category: text(v[5]), Place: analyze.Place{Side: analyze.Request, Where: analyze.Where(text(v[6])), Name: text(v[7])}})
		}
	})
}

// readMutes reads the mutes of the configuration.
func readMutes(name string) ([]mute, error) {
	file, text, err := configText(name)
	if err != nil || text == nil {
		return nil, err
	}
	mutes, line, err := parseMutes(text)
	if err != nil {
		return nil, usagef("%s:%d: %w", file, line, err)
	}
	return mutes, nil
}

// parseMutes reads the list of mutes; an error is said of a line.
func parseMutes(text []byte) ([]mute, int, error) {
	config, line, err := parseConfig(text)
	if err != nil {
		return nil, line, err
	}
	for i := range config.Mutes {
		m := &config.Mutes[i]
		line := lineOf(text, fmt.Sprintf("$.mutes[%d]", i))
		switch {
		case m.Key == "" && m.Rule == "":
			return nil, line, errors.New("a mute needs the key of a finding, or a rule")
		case strings.TrimSpace(m.Reason) == "":
			return nil, line, errors.New("a mute needs a reason")
		case m.Until == "":
			return nil, line, errors.New("a mute needs a day until which it holds (until: 2026-12-31)")
		}
		day, err := time.Parse(time.DateOnly, m.Until)
		if err != nil {
			return nil, line, fmt.Errorf("until: want a day as 2026-12-31")
		}
		m.until = day.AddDate(0, 0, 1)
	}
	return config.Mutes, 0, nil
}

// covers reports whether a mute is for a finding.
func (m *mute) covers(f *analyze.Finding) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	return is(m.Key, f.Key) && is(m.Rule, f.Rule) && is(m.Service, f.Service) && is(m.Endpoint, f.Endpoint) && is(m.Place, f.Place)
}

// apply gives the snapshot to report: without what is known or muted, which its
// coverage tells. s stays as it is; a store keeps all of it.
func (j *judgement) apply(s *analyze.Snapshot) *analyze.Snapshot {
	if j.known == nil && len(j.mutes) == 0 {
		return s
	}
	out := *s
	out.Findings = make([]analyze.Finding, 0, len(s.Findings))
	known, muted, expired := 0, []string(nil), make([]int, len(j.mutes))
	for i := range s.Findings {
		f := &s.Findings[i]
		if at := slices.IndexFunc(j.mutes, func(m mute) bool { return m.covers(f) && j.now.Before(m.until) }); at >= 0 {
			m := &j.mutes[at]
			muted = append(muted, fmt.Sprintf("Muted until %s: %s (%s) at %s. Reason: %s", m.Until, f.Rule, f.Severity, where(f), analyze.Clean([]byte(m.Reason))))
			continue
		}
		if j.known[f.Key] {
			known++
			continue
		}
		for k := range j.mutes {
			if j.mutes[k].covers(f) {
				expired[k]++
			}
		}
		out.Findings = append(out.Findings, *f)
	}
	var lines []string
	if j.known != nil {
		lines = append(lines, fmt.Sprintf("%s known from the baseline and not shown again.", findings(known)))
	}
	for k, n := range expired {
		if n > 0 {
			lines = append(lines, fmt.Sprintf("A mute of %s is over since %s: %s shown again.", j.mutes[k].name(), j.mutes[k].Until, findings(n)))
		}
	}
	if n := len(muted) - maxListed; n > 0 {
		muted = append(muted[:maxListed], fmt.Sprintf("%s muted beside these.", findings(n)))
	}
	out.Coverage.NotVisible = slices.Concat(lines, muted, s.Coverage.NotVisible)
	return &out
}

func findings(n int) string {
	if n == 1 {
		return "1 finding is"
	}
	return fmt.Sprintf("%d findings are", n)
}

func (m *mute) name() string {
	if m.Rule == "" {
		return "finding " + analyze.Clean([]byte(m.Key))
	}
	return analyze.Clean([]byte(m.Rule))
}

// where says what a finding is about.
func where(f *analyze.Finding) string {
	parts := []string{f.Service, f.Endpoint, f.Place}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}
