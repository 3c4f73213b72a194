//go:build conformance

package conformance

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"maps"
	"math/rand"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestDrift makes documents of what traffic was made from. Traffic that keeps to
// them must have no rows; what is then taken out of the documents, or put in,
// must have one each.
func TestDrift(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(shared(t, "inference", "truth"), "*.json.gz"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	exchanges, wrong := 0, map[string]int{}
	hits, all := map[string]int{}, map[string]int{}
	for _, f := range files {
		api := strings.TrimSuffix(filepath.Base(f), ".json.gz")
		truth, n := promised(t, api)
		exchanges += n
		traffic := shared(t, "inference", "traffic", api+".jsonl.gz")

		for _, row := range driftRows(t, truth, traffic) {
			if row.Rule == "doc.coverage" || row.Rule == "doc.quality" || strings.Contains(row.Summary, "of the same path") { // old versions are in the set
				continue
			}
			wrong[row.Rule]++
			t.Logf("%s: false: %s %s %s | %s | %s", api, row.Severity, row.Rule, row.Endpoint, row.Place, row.Summary)
		}

		for seed := range 3 {
			s := truth.seed(rand.New(rand.NewSource(int64(seed))))
			found := map[string]bool{}
			var shadows []driftRow
			for _, row := range driftRows(t, truth, traffic) {
				found[row.Rule+" "+row.Service+" "+unnamed(row.Endpoint)+" "+row.Place] = true
				if strings.HasPrefix(row.Rule, "doc.shadow-") {
					shadows = append(shadows, row)
				}
			}
			for kind, want := range s {
				for _, w := range want {
					all[kind]++
					if slices.ContainsFunc(w, func(key string) bool { return found[key] }) || kind == "shadow" && slices.ContainsFunc(shadows, func(r driftRow) bool { return r.shows(w[0]) }) {
						hits[kind]++
					} else {
						t.Logf("%s: seed %d: %s missed: %s", api, seed, kind, w[0])
					}
				}
			}
			truth.restore()
		}
	}
	sum := 0
	for _, n := range wrong {
		sum += n
	}
	t.Logf("conforming: %d false rows of %d exchanges: %v", sum, exchanges, wrong)
	if per := float64(sum) / float64(exchanges) * 10_000; per > 1 {
		t.Errorf("%.2f false rows for 10,000 exchanges, want at most 1", per)
	}
	for _, f := range driftFloors {
		if all[f.name] == 0 {
			t.Errorf("nothing was seeded for %s", f.name)
			continue
		}
		t.Logf("%s: %d of %d", f.name, hits[f.name], all[f.name])
		floor(t, "drift "+f.name, float64(hits[f.name])/float64(all[f.name]), f.least)
	}
}

var driftFloors = []struct {
	name  string
	least float64
}{{"shadow", 0.98}, {"query", 0.98}, {"response field", 0.95}, {"zombie", 1}, {"orphan", 1}}

type driftRow struct{ Rule, Severity, Service, Endpoint, Place, Summary string }

func driftRows(t *testing.T, p *promise, traffic string) []driftRow {
	t.Helper()
	dir := t.TempDir()
	for i, host := range p.Hosts {
		text, err := json.Marshal(p.document(host))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)+".json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := run(t, nil, binary, "drift", "--spec", dir, "--format", "json", "--fail-on", "never", traffic)
	if r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	var report struct{ Findings []driftRow }
	if err := json.Unmarshal(r.stdout, &report); err != nil {
		t.Fatal(err)
	}
	return report.Findings
}

// shows reports whether a row is of the operation in a key, though traffic alone
// suggested another template: a parameter for a name, or a name for a parameter.
func (r *driftRow) shows(key string) bool {
	a, b := strings.Fields(key), strings.Fields(r.Service+" "+unnamed(r.Endpoint))
	if len(b) != 3 || a[1] != b[0] || a[2] != b[1] {
		return false
	}
	mine, seen := strings.Split(a[3], "/"), strings.Split(b[2], "/")
	return slices.EqualFunc(mine, seen, func(x, y string) bool { return x == y || x == "{}" || y == "{}" })
}

// unnamed drops the names of parameters.
func unnamed(template string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(template, "{")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		b.WriteString("{}")
		_, template, _ = strings.Cut(rest, "}")
	}
}

// promise is the truth of an API, and what its traffic showed.
type promise struct {
	API       string
	Hosts     []string
	Auth      []string
	Endpoints []*promisedOperation
	phantoms  []*promisedOperation
}

type promisedOperation struct {
	ID                                    int
	Method, Host, Template                string
	PathParams, QueryParams, HeaderParams []promisedParameter
	ReqBody                               *promisedBody
	Responses                             map[string]*promisedBody

	statuses map[string]map[string]bool // in the traffic, with the types of bodies
	query    map[string]bool            // names
	used     map[string]bool            // of these, those of successful requests
	form     map[string]bool
	success  bool

	gone, deprecated bool
	without          map[string]bool   // query parameters
	lessen           map[string]string // response field taken out, by status
}

type promisedParameter struct {
	Name, Type, Format      string
	Enum                    []string
	Multi, Required, Always bool
}

type promisedBody struct {
	ContentType string
	Props       []struct {
		Path, Format               string
		Types, Enum                []string
		Required, Always, Nullable bool
		Present                    int
	}
}

// promised reads the truth and looks through the traffic for what it leaves out.
func promised(t *testing.T, api string) (*promise, int) {
	t.Helper()
	p := new(promise)
	if err := json.Unmarshal(unzipped(t, shared(t, "inference", "truth", api+".json.gz")), p); err != nil {
		t.Fatal(err)
	}
	byID := map[int]*promisedOperation{}
	for _, o := range p.Endpoints {
		byID[o.ID] = o
		o.statuses, o.query, o.used, o.form = map[string]map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	}
	labels := strings.Fields(string(unzipped(t, shared(t, "inference", "truth", api+".labels.gz"))))
	s := bufio.NewScanner(bytes.NewReader(unzipped(t, shared(t, "inference", "traffic", api+".jsonl.gz"))))
	s.Buffer(nil, 64<<20)
	n := 0
	for ; s.Scan(); n++ {
		id, err := strconv.Atoi(labels[n])
		o := byID[id]
		if err != nil || o == nil {
			continue
		}
		var x struct {
			Query, ReqBody, RespBody string
			ReqHeaders, RespHeaders  [][2]string
			Status                   int
		}
		if err := json.Unmarshal(s.Bytes(), &x); err != nil {
			t.Fatal(err)
		}
		status := strconv.Itoa(x.Status)
		if o.statuses[status] == nil {
			o.statuses[status] = map[string]bool{}
		}
		for _, h := range x.RespHeaders {
			if strings.EqualFold(h[0], "content-type") && x.RespBody != "" {
				o.statuses[status][strings.TrimSpace(strings.Split(h[1], ";")[0])] = true
			}
		}
		names(o.query, x.Query)
		if x.Status < 300 {
			names(o.used, x.Query)
		}
		for _, h := range x.ReqHeaders {
			if strings.EqualFold(h[0], "content-type") && strings.Contains(h[1], "x-www-form-urlencoded") {
				names(o.form, x.ReqBody)
			}
		}
		o.success = o.success || x.Status < 300
	}
	return p, n
}

func names(into map[string]bool, query string) {
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if u, err := url.QueryUnescape(name); err == nil && u != "" {
			name, _, _ = strings.Cut(u, "[")
			into[name] = true
		}
	}
}

func unzipped(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(z); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// document writes what is promised of a host as OpenAPI.
func (p *promise) document(host string) map[string]any {
	paths, schemes := map[string]map[string]any{}, map[string]any{}
	security := []any{}
	for _, a := range p.Auth {
		kind, name, _ := strings.Cut(a, ":")
		s := map[string]any{"type": "http", "scheme": kind}
		if kind == "cookie" || kind == "header" || kind == "query" {
			s = map[string]any{"type": "apiKey", "in": kind, "name": name}
		}
		schemes[kind] = s
		security = append(security, map[string]any{kind: []any{}})
	}
	for _, o := range slices.Concat(p.Endpoints, p.phantoms) {
		if o.gone || o.Host != host {
			continue
		}
		if paths[o.Template] == nil {
			paths[o.Template] = map[string]any{}
		}
		paths[o.Template][strings.ToLower(o.Method)] = o.document()
	}
	return map[string]any{"openapi": "3.1.0", "info": map[string]any{"title": p.API, "version": "1"}, "paths": paths, "servers": []any{map[string]any{"url": "https://" + host}},
		"components": map[string]any{"securitySchemes": schemes}, "security": security}
}

func (o *promisedOperation) document() map[string]any {
	var parameters []any
	form := map[string]any{}
	for _, list := range []struct {
		in   string
		list []promisedParameter
	}{{"path", o.PathParams}, {"query", o.QueryParams}, {"header", o.HeaderParams}} {
		for _, p := range list.list {
			if list.in == "query" && o.without[p.Name] {
				continue
			}
			schema := map[string]any{}
			if p.Type != "" {
				schema["type"] = p.Type
			}
			if p.Format != "" {
				schema["format"] = p.Format
			}
			if len(p.Enum) > 0 {
				schema["enum"] = p.Enum
			}
			if list.in == "query" && o.form[p.Name] && !o.query[p.Name] {
				form[p.Name] = map[string]any{} // names of forms stand with those of the query
				continue
			}
			parameters = append(parameters, map[string]any{"in": list.in, "name": p.Name, "required": list.in == "path" || p.Required && p.Always, "schema": schema})
		}
	}
	responses := map[string]any{}
	for s, types := range o.statuses {
		content := map[string]any{}
		for t := range types {
			content[t] = map[string]any{}
		}
		if b := o.Responses[s]; b != nil {
			content[b.ContentType] = map[string]any{"schema": b.schema(o.lessen[s])}
		}
		responses[s] = map[string]any{"description": "x", "content": content}
	}
	d := map[string]any{"description": "x", "parameters": parameters, "responses": responses}
	if o.deprecated {
		d["deprecated"] = true
	}
	content := map[string]any{}
	if o.ReqBody != nil {
		content[o.ReqBody.ContentType] = map[string]any{"schema": o.ReqBody.schema("")}
	}
	if len(form) > 0 {
		content["application/x-www-form-urlencoded"] = map[string]any{"schema": map[string]any{"type": "object", "properties": form}}
	}
	if len(content) > 0 {
		d["requestBody"] = map[string]any{"content": content}
	}
	return d
}

// schema builds the schema of a body, without one field and what is below it.
func (b *promisedBody) schema(without string) map[string]any {
	root := map[string]any{}
	for _, p := range b.Props {
		if rest, ok := strings.CutPrefix(p.Path, without); without != "" && ok && (rest == "" || strings.IndexByte(".[{", rest[0]) >= 0) {
			continue
		}
		at, parent, name := root, map[string]any(nil), ""
		under := func(m map[string]any, key string) map[string]any {
			if m[key] == nil {
				m[key] = map[string]any{}
			}
			return m[key].(map[string]any)
		}
		for path := p.Path[1:]; path != ""; {
			switch {
			case strings.HasPrefix(path, "[]"):
				at, parent, path = under(at, "items"), nil, path[2:]
			case strings.HasPrefix(path, "{*}"):
				at, parent, path = under(at, "additionalProperties"), nil, path[3:]
			default:
				path = path[1:]
				end := 0
				for end < len(path) && path[end] != '.' && !strings.HasPrefix(path[end:], "[]") && !strings.HasPrefix(path[end:], "{*}") {
					end++
				}
				name = strings.NewReplacer("%2E", ".", "%5B", "[", "%7B", "{", "%25", "%").Replace(path[:end])
				parent = at
				at, path = under(under(at, "properties"), name), path[end:]
			}
		}
		types := slices.Clone(p.Types)
		if p.Nullable {
			types = append(types, "null")
		}
		at["type"] = types
		if p.Format != "" {
			at["format"] = p.Format
		}
		if len(p.Enum) > 0 {
			enum := []any{}
			for _, e := range p.Enum {
				enum = append(enum, e)
			}
			if p.Nullable {
				enum = append(enum, nil)
			}
			at["enum"] = enum
		}
		if parent != nil && p.Required && p.Always {
			list, _ := parent["required"].([]string)
			parent["required"] = append(list, name)
		}
	}
	return root
}

// siblings reports whether the object of a field has others.
func (b *promisedBody) siblings(path string) bool {
	parent := path[:strings.LastIndexByte(path, '.')+1]
	for _, p := range b.Props {
		if rest, ok := strings.CutPrefix(p.Path, parent); ok && p.Path != path && !strings.ContainsAny(rest, ".[{") {
			return true
		}
	}
	return false
}

// seed makes the document drift. It returns the rows that should be found, each
// with the ways that it may be written.
func (p *promise) seed(r *rand.Rand) map[string][][]string {
	want := map[string][][]string{}
	add := func(kind string, keys ...string) { want[kind] = append(want[kind], keys) }
	for _, o := range p.Endpoints {
		at := " " + o.Host + " " + strings.TrimSuffix(unnamed(o.Method+" "+o.Template), "/") + " "
		switch x := r.Float64(); {
		case x < 0.06 && o.success && !p.covered(o):
			o.gone = true
			add("shadow", "doc.shadow-operation"+at, "doc.shadow-method"+at)
			continue
		case x < 0.12 && o.success:
			o.deprecated = true
			add("zombie", "doc.zombie"+at)
		case x < 0.18:
			ghost := &promisedOperation{Method: "GET", Host: o.Host, Template: o.Template + "/never-called", statuses: map[string]map[string]bool{"200": nil}, PathParams: o.PathParams}
			p.phantoms = append(p.phantoms, ghost)
			add("orphan", "doc.orphan "+o.Host+" "+unnamed("GET "+ghost.Template)+" ")
		}
		for _, q := range o.QueryParams {
			if r.Float64() < 0.06 && o.used[q.Name] {
				if o.without == nil {
					o.without = map[string]bool{}
				}
				o.without[q.Name] = true
				key := "doc.undoc-query" + at + "request query " + q.Name
				add("query", key, key+"[]", key+"[{*}]")
			}
		}
		for _, s := range slices.Sorted(maps.Keys(o.Responses)) {
			b := o.Responses[s]
			if s[0] != '2' || r.Float64() >= 0.1 || len(b.Props) < 2 {
				continue
			}
			f := b.Props[1+r.Intn(len(b.Props)-1)]
			if strings.HasSuffix(f.Path, "]") || strings.HasSuffix(f.Path, "}") || !b.siblings(f.Path) {
				continue // an object of which nothing is said may be anything
			}
			if o.lessen == nil {
				o.lessen = map[string]string{}
			}
			o.lessen[s] = f.Path
			add("response field", "doc.undoc-response-field"+at+"response body "+f.Path)
		}
	}
	return want
}

// covered reports whether another operation takes the requests of o.
func (p *promise) covered(o *promisedOperation) bool {
	mine := strings.Split(o.Template, "/")
	for _, q := range p.Endpoints {
		theirs := strings.Split(q.Template, "/")
		if q == o || q.Host != o.Host || q.Method != o.Method || len(theirs) != len(mine) {
			continue
		}
		fits := true
		for i := range mine {
			fits = fits && (unnamed(mine[i]) == unnamed(theirs[i]) || strings.HasPrefix(theirs[i], "{") && strings.HasSuffix(theirs[i], "}"))
		}
		if fits {
			return true
		}
	}
	return false
}

func (p *promise) restore() {
	p.phantoms = nil
	for _, o := range p.Endpoints {
		o.gone, o.deprecated, o.without, o.lessen = false, false, nil, nil
	}
}
