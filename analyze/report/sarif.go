package report

import (
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"plainsight/analyze"
)

// The part of SARIF 2.1.0 (OASIS) that findings need.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		ColumnKind  string            `json:"columnKind"`
		Invocations []sarifInvocation `json:"invocations"`
		Artifacts   []sarifArtifact   `json:"artifacts"`
		Results     []sarifResult     `json:"results"`
		Properties  *sarifRunExtras   `json:"properties,omitempty"`
	}
	sarifRunExtras struct {
		Scorecard []analyze.Score `json:"scorecard"` // of the eleven practices
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name             string      `json:"name"`
		FullName         string      `json:"fullName"`
		Version          string      `json:"version,omitempty"`
		ShortDescription sarifText   `json:"shortDescription"`
		Rules            []sarifRule `json:"rules"`
	}
	// An invocation says whether all of the capture was read.
	sarifInvocation struct {
		ExecutionSuccessful bool                `json:"executionSuccessful"`
		Notifications       []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotification struct {
		Level   string    `json:"level"`
		Message sarifText `json:"message"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifRule struct {
		ID                   string          `json:"id"`
		ShortDescription     sarifText       `json:"shortDescription"`
		FullDescription      sarifText       `json:"fullDescription"`
		Help                 sarifText       `json:"help"`
		DefaultConfiguration sarifConfig     `json:"defaultConfiguration"`
		Properties           sarifRuleExtras `json:"properties"`
	}
	sarifConfig struct {
		Level string `json:"level"`
	}
	sarifRuleExtras struct {
		Tags             []string `json:"tags"`
		Precision        string   `json:"precision"`
		SecuritySeverity string   `json:"security-severity"` // of 10, as code scanning sorts
	}
	sarifArtifact struct {
		Location sarifURI          `json:"location"`
		Length   int64             `json:"length"`
		Roles    []string          `json:"roles"`
		Hashes   map[string]string `json:"hashes,omitempty"`
	}
	sarifURI struct {
		URI   string `json:"uri"`
		Index *int   `json:"index,omitempty"`
	}
	sarifResult struct {
		RuleID              string            `json:"ruleId"`
		RuleIndex           int               `json:"ruleIndex"`
		Level               string            `json:"level"`
		Message             sarifText         `json:"message"`
		Locations           []sarifLocation   `json:"locations"`
		PartialFingerprints map[string]string `json:"partialFingerprints"`
		OccurrenceCount     uint64            `json:"occurrenceCount,omitempty"`
		Properties          sarifExtras       `json:"properties"`
	}
	sarifLocation struct {
		Physical *sarifPhysical `json:"physicalLocation,omitempty"`
		Logical  []sarifLogical `json:"logicalLocations"`
		Message  *sarifText     `json:"message,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifURI    `json:"artifactLocation"`
		Region   sarifRegion `json:"region"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifLogical struct {
		Name               string `json:"name"`
		FullyQualifiedName string `json:"fullyQualifiedName"`
		Kind               string `json:"kind"`
	}
	sarifExtras struct {
		Severity   analyze.Severity `json:"severity"`
		Evidence   analyze.Level    `json:"evidenceLevel"`
		Practice   analyze.Practice `json:"practice"`
		Service    string           `json:"service"`
		Endpoint   string           `json:"endpoint"`
		Place      string           `json:"place"`
		Principals uint64           `json:"principals"`
		First      time.Time        `json:"firstSeen"`
		Last       time.Time        `json:"lastSeen"`
		Samples    []analyze.Sample `json:"samples"`
	}
)

// fingerprintName names the identity of a finding; the number rises when
// [analyze.FindingKey] changes.
const fingerprintName = "plainsightFindingKey/v1"

// occurrencesMost is the largest occurrenceCount that readers take (a signed
// 32-bit number in the SARIF SDKs).
const occurrencesMost = 1<<31 - 1

var (
	sarifLevels = [...]string{analyze.Info: "note", analyze.Low: "note", analyze.Medium: "warning", analyze.High: "error", analyze.Critical: "error"}
	// Middles of the ranges that code scanning names alike.
	securitySeverity = [...]string{analyze.Info: "0.0", analyze.Low: "2.0", analyze.Medium: "5.5", analyze.High: "8.0", analyze.Critical: "9.5"}
)

// SARIF writes the findings as a SARIF 2.1.0 log: a rule for each that fired, a
// result for each finding, with its key as partial fingerprint, the service,
// endpoint and place as logical location, and the capture with the frame of the
// first evidence as physical one. A capture has no lines; line 1 stands for
// the file, since code scanning refuses a result without a line.
func SARIF(w io.Writer, s *analyze.Snapshot, _ Options) error {
	s = shown(s)
	run := sarifRun{
		Tool: sarifTool{sarifDriver{Name: "plainsight", FullName: strings.TrimSpace("plainsight " + s.Version), Version: s.Version,
			ShortDescription: sarifText{"Passive analyzer of API traffic."}, Rules: []sarifRule{}}},
		ColumnKind:  "utf16CodeUnits",
		Invocations: []sarifInvocation{{ExecutionSuccessful: true}},
		Artifacts:   []sarifArtifact{},
		Results:     []sarifResult{},
	}
	if len(s.Scorecard) > 0 {
		run.Properties = &sarifRunExtras{s.Scorecard}
	}
	file := map[string]int{}
	for i := range s.Coverage.Captures {
		c := &s.Coverage.Captures[i]
		a := sarifArtifact{Location: sarifURI{URI: fileURI(c.Name)}, Length: max(c.Bytes, -1), Roles: []string{"analysisTarget"}}
		if c.SHA256 != "" {
			a.Hashes = map[string]string{"sha-256": c.SHA256}
		}
		if _, known := file[c.Name]; !known {
			file[c.Name] = len(run.Artifacts)
		}
		run.Artifacts = append(run.Artifacts, a)
		if c.Damaged != "" {
			run.Invocations[0].notify("warning", c.Name+" is damaged: "+c.Damaged)
		}
	}
	for _, line := range s.Coverage.NotVisible {
		run.Invocations[0].notify("note", line)
	}
	rule := map[string]int{}
	for i := range s.Findings {
		f := &s.Findings[i]
		at, known := rule[f.Rule]
		if !known { // the worst finding of a rule comes first: it is the rule's severity
			at = len(run.Tool.Driver.Rules)
			rule[f.Rule] = at
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, newSARIFRule(f))
		}
		run.Results = append(run.Results, newSARIFResult(f, at, file))
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}

func (v *sarifInvocation) notify(level, text string) {
	v.Notifications = append(v.Notifications, sarifNotification{level, sarifText{inert(text)}})
}

func newSARIFRule(f *analyze.Finding) sarifRule {
	r := sarifRule{ID: f.Rule, ShortDescription: sarifText{inert(f.Title)}, FullDescription: sarifText{inert(orTitle(f.Why, f))},
		Help:                 sarifText{inert(orTitle(strings.TrimSpace(f.Why+" "+f.Fix), f))},
		DefaultConfiguration: sarifConfig{sarifLevels[f.Severity]},
		Properties:           sarifRuleExtras{Tags: []string{"security"}, Precision: "high", SecuritySeverity: securitySeverity[f.Severity]}}
	if f.Level != analyze.Proved {
		r.Properties.Precision = "medium"
	}
	tag := func(t string) {
		if t != "" && !slices.Contains(r.Properties.Tags, t) { // tags are a set
			r.Properties.Tags = append(r.Properties.Tags, t)
		}
	}
	tag(f.Practice.String())
	for _, c := range f.CWE {
		tag("external/cwe/" + strings.ToLower(c))
	}
	for _, o := range f.OWASP {
		tag("external/owasp/" + strings.ToLower(o))
	}
	return r
}

func orTitle(text string, f *analyze.Finding) string {
	if text == "" {
		return f.Title
	}
	return text
}

func newSARIFResult(f *analyze.Finding, rule int, file map[string]int) sarifResult {
	text := f.Summary
	if text == "" {
		text = strings.Join([]string{f.Title, where(f), f.Place}, ": ")
	}
	if f.Fix != "" {
		text += " " + f.Fix
	}
	name, kind := f.Service, "module"
	if f.Endpoint != "" {
		name, kind = f.Endpoint, "function"
	}
	location := sarifLocation{Logical: []sarifLogical{{name, strings.TrimSpace(f.Service + " " + f.Endpoint), kind}}}
	if f.Place != "" {
		location.Logical = append(location.Logical, sarifLogical{f.Place, strings.Join([]string{f.Service, f.Endpoint, f.Place}, " "), "parameter"})
	}
	if len(f.Evidence) > 0 {
		e := &f.Evidence[0]
		if at, ok := file[e.Capture]; ok {
			location.Physical = &sarifPhysical{sarifURI{fileURI(e.Capture), &at}, sarifRegion{1}}
			location.Message = &sarifText{"first seen in frame " + number(e.Frame)}
		}
	}
	return sarifResult{RuleID: f.Rule, RuleIndex: rule, Level: sarifLevels[f.Severity], Message: sarifText{inert(text)},
		Locations: []sarifLocation{location}, PartialFingerprints: map[string]string{fingerprintName: f.Key},
		OccurrenceCount: min(f.Count, occurrencesMost),
		Properties:      sarifExtras{f.Severity, f.Level, f.Practice, f.Service, f.Endpoint, f.Place, f.Principals, f.First, f.Last, f.Samples}}
}

// inert keeps viewers from making links and placeholders of a message: SARIF
// reads [text](target) as a link and {0} as an argument (§3.11), and many
// viewers link whatever looks like a URL.
func inert(text string) string {
	return strings.NewReplacer("](", "] (", "://", ":/ /", "{", "{{", "}", "}}").Replace(text)
}

// fileURI writes a base name as a relative reference (RFC 3986): never a
// scheme, a host or a way out of the folder.
func fileURI(name string) string {
	if name == "" || name == "." || name == ".." {
		return "capture"
	}
	return strings.ReplaceAll(url.PathEscape(name), ":", "%3A")
}
