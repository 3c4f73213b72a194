package report

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"plainsight/analyze"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// Bounds of the page, so that a browser still opens it; each says how many are
// left out. The JSON report has all.
const (
	pageFindings  = 5000
	pageEndpoints = 3000 // those with the most requests
	pageFields    = 200  // of an endpoint
	pageRows      = 1000 // of other tables
	mapKinds      = 24   // columns of the map of sensitive data
)

// policy lets the page use its own style and script, known by their hashes,
// and nothing else: no request, no form, no other script.
func policy() string {
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; img-src data:; style-src " + hash(pageCSS) + "; script-src " + hash(pageJS) + "; base-uri 'none'; form-action 'none'"
}

// page is what the template sees: the snapshot, and what is counted and joined
// from it. Anchors are made of indices, never of text.
type page struct {
	S          *analyze.Snapshot
	Policy     string
	Style      template.CSS
	Script     template.JS
	Title      string
	Bytes      int64
	Frames     uint64
	Hints      []string
	Severities []severityCount

	Clear, Safe, Wired    uint64 // bytes of edges
	ClearWidth, SafeWidth float64
	Edges                 []*analyze.Edge
	Sessions              []analyze.Session

	Findings   []analyze.Finding
	EndpointOf []int // by finding; -1: none
	Kinds      []kindRow
	MapKinds   []kindRow
	MoreKinds  int
	Map        []mapRow
	Services   []pageService

	anchors map[*analyze.Endpoint]int // of endpoints on the page

	MoreFindings, MoreEndpoints, MoreEdges, MoreSessions, MoreMap int
}

type severityCount struct {
	Severity analyze.Severity
	Count    int
}

type mapRow struct {
	Endpoint            int
	Service, Name, Wire string
	Cells               []mapCell
}

type mapCell struct {
	Count    uint64
	Severity analyze.Severity
}

type pageService struct {
	Name, About string
	Endpoints   []pageEndpoint
}

type pageEndpoint struct {
	*analyze.Endpoint
	Index                                              int
	Tags                                               []mapTag
	AuthText, StatusText, WireText, Codes, Credentials string
	Bars                                               []statusBar
	Found                                              []pageFinding
	Parameters                                         []analyze.Field
	Bodies                                             []pageBody
	MoreFields                                         int
}

type mapTag struct {
	Kind     string
	Severity analyze.Severity
}

type statusBar struct {
	Class    string
	X, Width float64
}

type pageFinding struct {
	Index int
	*analyze.Finding
}

type pageBody struct {
	Name   string
	Fields []analyze.Field
}

// pageTemplate is parsed for each page: a report is written once in a run.
func pageTemplate() (*template.Template, error) {
	return template.New("page").Funcs(template.FuncMap{
		"number":    number[uint64],
		"count":     number[int],
		"size":      size,
		"span":      span,
		"share":     share,
		"where":     func(f analyze.Finding) string { return where(&f) },
		"latency":   latency,
		"old":       old,
		"moment":    moment,
		"join":      func(list []string) string { return strings.Join(list, ", ") },
		"state":     stateClass,
		"mark":      stateMark,
		"edgeText":  func(e *analyze.Edge) string { return edgeWire(e).text },
		"edgeClass": func(e *analyze.Edge) string { return [...]string{"bad", "warn", "ok"}[edgeRank(e)] },
		"expired":   func(v analyze.Session) bool { return expired(&v) },
		"fieldType": fieldType,
		"fieldName": fieldName,
	}).Parse(pageHTML)
}

// HTML writes a report as one page that needs nothing else: no request, no
// link made of captured text, and it works without its script. Its policy
// (CSP) forbids everything but its own style and script.
func HTML(w io.Writer, s *analyze.Snapshot, _ Options) error {
	t, err := pageTemplate()
	if err != nil {
		return err
	}
	b := bufio.NewWriterSize(w, 64<<10)
	if err := t.Execute(b, newPage(shown(s))); err != nil {
		return err
	}
	return b.Flush()
}

func newPage(s *analyze.Snapshot) *page {
	p := &page{S: s, Policy: policy(), Style: template.CSS(pageCSS), Script: template.JS(pageJS),
		Title: title(s), Hints: hintsFor(s), Kinds: byKind(s.Endpoints)}
	p.Findings, p.MoreFindings = first(s.Findings, pageFindings)
	p.Edges, p.MoreEdges = first(worstEdges(s.Edges), pageRows)
	p.Sessions, p.MoreSessions = first(s.Sessions, pageRows)
	for i := range s.Coverage.Captures {
		p.Bytes += s.Coverage.Captures[i].Bytes
		p.Frames += s.Coverage.Captures[i].Frames
	}
	n := bySeverity(s.Findings)
	for _, v := range severities {
		p.Severities = append(p.Severities, severityCount{v, n[v]})
	}
	_, _, clear, safe := protected(s.Edges)
	p.Clear, p.Safe = uint64(max(clear, 0)), uint64(max(safe, 0))
	p.Wired = p.Clear + p.Safe
	if p.Wired > 0 {
		p.ClearWidth = percent(p.Clear, p.Wired)
		p.SafeWidth = 100 - p.ClearWidth
	}
	p.join()
	p.fillMap()
	return p
}

// first cuts a list and says how many are left out.
func first[T any](list []T, most int) ([]T, int) {
	n := min(len(list), most)
	return list[:n], len(list) - n
}

// join connects findings and endpoints and groups endpoints by service.
func (p *page) join() {
	s := p.S
	list := make([]*analyze.Endpoint, len(s.Endpoints))
	for i := range s.Endpoints {
		list[i] = &s.Endpoints[i]
	}
	list = mostUsed(list, pageEndpoints)
	p.MoreEndpoints = len(s.Endpoints) - len(list)
	p.anchors = make(map[*analyze.Endpoint]int, len(list))
	at := make(map[[2]string]int, len(list))
	for i, e := range list {
		p.anchors[e] = i
		at[[2]string{e.Service, e.Name()}] = i
	}
	found := make([][]pageFinding, len(list))
	for i := range p.Findings {
		f := &p.Findings[i]
		e, ok := at[[2]string{f.Service, f.Endpoint}]
		if !ok {
			e = -1
		} else {
			found[e] = append(found[e], pageFinding{i, f})
		}
		p.EndpointOf = append(p.EndpointOf, e)
	}
	of := map[string][]pageEndpoint{}
	for i, e := range list {
		v := newPageEndpoint(i, e)
		v.Found = found[i]
		of[e.Service] = append(of[e.Service], v)
	}
	for _, v := range serviceList(s) {
		if list := of[v.Name]; len(list) > 0 {
			p.Services = append(p.Services, pageService{v.Name, about(v, len(list)), list})
		}
	}
}

func newPageEndpoint(i int, e *analyze.Endpoint) pageEndpoint {
	p := pageEndpoint{Endpoint: e, Index: i, WireText: wire(e), AuthText: mixed(authMix(e), 1), StatusText: mixed(statusMix(e), 2), Credentials: counted(authMix(e))}
	worst := map[string]analyze.Severity{}
	for _, v := range e.Sensitive {
		worst[v.Kind] = max(worst[v.Kind], v.Severity)
	}
	for _, k := range kinds(e.Sensitive) {
		p.Tags = append(p.Tags, mapTag{k, worst[k]})
	}
	var codes []part
	whole := e.Unanswered
	for _, code := range slices.Sorted(maps.Keys(e.Statuses)) {
		codes = append(codes, part{strconv.Itoa(code), e.Statuses[code]})
		whole += e.Statuses[code]
	}
	p.Codes = counted(codes)
	x := 0.0
	for _, m := range statusMix(e) {
		class := "s0"
		if m.Name[0] >= '1' && m.Name[0] <= '5' {
			class = "s" + m.Name[:1]
		}
		w := percent(m.Count, whole)
		p.Bars = append(p.Bars, statusBar{class, x, w})
		x += w
	}
	fields := 0
	cut := func(list []analyze.Field) []analyze.Field {
		keep := list[:min(len(list), max(0, pageFields-fields))]
		fields += len(keep)
		p.MoreFields += len(list) - len(keep)
		return keep
	}
	p.Parameters = cut(e.Parameters)
	for _, f := range cut(e.Fields) { // a table for each side, status and type, in their order
		name := f.Side.String() + " body"
		if f.Status != "" {
			name += " " + f.Status
		}
		if f.ContentType != "" {
			name += " · " + f.ContentType
		}
		if n := len(p.Bodies); n == 0 || p.Bodies[n-1].Name != name {
			p.Bodies = append(p.Bodies, pageBody{Name: name})
		}
		b := &p.Bodies[len(p.Bodies)-1]
		b.Fields = append(b.Fields, f)
	}
	return p
}

// fillMap lays kinds of sensitive data over endpoints; those of the worst come
// first in both directions.
func (p *page) fillMap() {
	p.MapKinds = p.Kinds[:min(len(p.Kinds), mapKinds)]
	p.MoreKinds = len(p.Kinds) - len(p.MapKinds)
	row, left := map[int]int{}, map[int]bool{}
	for k := range p.MapKinds {
		for _, place := range p.MapKinds[k].Places {
			r, ok := row[place.Endpoint]
			if !ok {
				e := &p.S.Endpoints[place.Endpoint]
				anchor, onPage := p.anchors[e]
				if !onPage || len(p.Map) == pageRows {
					left[place.Endpoint] = true
					continue
				}
				r = len(p.Map)
				row[place.Endpoint] = r
				p.Map = append(p.Map, mapRow{anchor, e.Service, e.Name(), wire(e), make([]mapCell, len(p.MapKinds))})
			}
			c := &p.Map[r].Cells[k]
			c.Count += place.Count
			c.Severity = max(c.Severity, place.Severity)
		}
	}
	p.MoreMap = len(left)
}

// percent is a share in hundredths of a percent, as a drawing needs it.
func percent(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(int(float64(part)/float64(whole)*10000+0.5)) / 100
}

// counted writes parts with their counts.
func counted(mix []part) string {
	if len(mix) == 0 {
		return "–"
	}
	var words []string
	for _, m := range mix {
		words = append(words, m.Name+" ("+number(m.Count)+")")
	}
	return strings.Join(words, ", ")
}

func title(s *analyze.Snapshot) string {
	switch c := s.Coverage.Captures; len(c) {
	case 0:
		return "API traffic"
	case 1:
		return cmp.Or(c[0].Name, "API traffic")
	default:
		return c[0].Name + " and " + plural(len(c)-1, "other capture", "other captures")
	}
}

func stateClass(s analyze.State) string {
	switch s {
	case analyze.Kept, analyze.Broken:
		return string(s)
	}
	return "unseen"
}

func stateMark(s analyze.State) string { return cmp.Or(stateMarks[s].text, "·") }

func moment(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Format("2006-01-02 15:04:05")
}

// fieldName writes the name of a parameter or field; those in a path have an
// index for a name.
func fieldName(f analyze.Field) string {
	if f.Where == analyze.InPath {
		return "segment " + f.Path
	}
	return f.Path
}

// fieldType writes a shape: string (uuid), null.
func fieldType(f analyze.Field) string {
	b := strings.Join(f.Types, " | ")
	if f.Map {
		b += " (map)"
	}
	if f.Format != "" {
		b += " (" + f.Format + ")"
	}
	if f.Nullable {
		b += " | null"
	}
	if len(f.Enum) > 0 {
		b += ": " + strings.Join(f.Enum, ", ")
	}
	return b
}
