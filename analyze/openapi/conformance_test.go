//go:build conformance

package openapi_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/body"
	"plainsight/analyze/endpoint"
	"plainsight/analyze/openapi"
	"plainsight/analyze/openapi/openapitest"
	"plainsight/analyze/shape"
)

// line is an exchange of the inference set.
type line struct {
	Method, Scheme, Host, Path, Query string
	ReqHeaders, RespHeaders           [][2]string
	ReqBody, RespBody                 string
	Status                            int
}

func (l *line) get(headers [][2]string, name string) string {
	for _, h := range headers {
		if strings.EqualFold(h[0], name) {
			return h[1]
		}
	}
	return ""
}

// record is what the test keeps for an endpoint.
type record struct {
	set      *shape.Set
	n, clear uint64
	statuses map[int]uint64
	auth     map[string]uint64
}

func newRecord() *record {
	return &record{set: shape.NewSet(shape.Options{}), statuses: map[int]uint64{}, auth: map[string]uint64{}}
}

func (r *record) Merge(o *record) {
	r.set.Merge(o.set)
	r.n += o.n
	r.clear += o.clear
	for k, n := range o.statuses {
		r.statuses[k] += n
	}
	for k, n := range o.auth {
		r.auth[k] += n
	}
}

func (r *record) Like(o *record) (float64, float64) { return r.set.Like(o.set) }

type tree = endpoint.Tree[*record]

// worker learns exchanges.
type worker struct {
	services map[string]*tree
	walker   body.Walker
	shapes   shape.Recorder
	noise    int
}

func (w *worker) learn(l *line) {
	if endpoint.Noise([]byte(l.Method), []byte(l.Path)) {
		w.noise++
		return
	}
	t := w.services[l.Host]
	if t == nil {
		t = endpoint.NewTree(endpoint.Options{}, newRecord)
		w.services[l.Host] = t
	}
	ok := l.Status > 0 && l.Status < 400
	r, found := t.At([]byte(l.Method), []byte(l.Path), ok)
	if !found {
		return
	}
	r.n++
	if l.Scheme == "http" {
		r.clear++
	}
	r.statuses[l.Status]++
	if ok {
		r.set.Message()
		w.walker.Query([]byte(l.Query), func(name, value []byte) { r.set.Parameter(analyze.InQuery, name, value) })
		for _, h := range l.ReqHeaders {
			switch name := strings.ToLower(h[0]); name {
			case "accept", "accept-encoding", "accept-language", "authorization", "cookie", "user-agent", "host", "content-type", "content-length", "connection", "x-request-id", "origin", "referer", "cache-control":
			default:
				r.set.Parameter(analyze.InHeader, []byte(name), []byte(h[1]))
			}
		}
	}
	r.authenticate(l)
	if l.ReqBody != "" && ok {
		w.shapes.Open(r.set, analyze.Request, 0, []byte(l.get(l.ReqHeaders, "content-type")))
		res := w.walker.Walk([]byte(l.get(l.ReqHeaders, "content-type")), []byte(l.ReqBody), &w.shapes)
		w.shapes.Close(res.Complete)
	}
	if l.RespBody != "" {
		ct := l.get(l.RespHeaders, "content-type")
		w.shapes.Open(r.set, analyze.Response, l.Status, []byte(ct))
		v := body.Visitor(&w.shapes)
		if ok {
			v = &echo{Recorder: &w.shapes, tree: t}
		}
		res := w.walker.Walk([]byte(ct), []byte(l.RespBody), v)
		w.shapes.Close(res.Complete)
		if ok && strings.Contains(ct, "html") {
			h := fnv.New64a()
			io.WriteString(h, l.RespBody)
			t.Page(h.Sum64())
		} else if ok {
			t.Page(0)
		}
	} else if ok {
		t.Page(0)
	}
}

// echo tells the tree of what the shapes hear.
type echo struct {
	*shape.Recorder
	tree *tree
	key  []byte
}

func (e *echo) Key(name []byte) {
	e.key = append(e.key[:0], name...)
	e.Recorder.Key(name)
}

func (e *echo) Value(k body.Kind, text []byte) {
	if k == body.String || k == body.Number {
		e.tree.Echo(e.key, text, endpoint.IDKey(e.key))
	}
	e.Recorder.Value(k, text)
}

func (r *record) authenticate(l *line) {
	kind, _, _ := strings.Cut(l.get(l.ReqHeaders, "authorization"), " ")
	switch strings.ToLower(kind) {
	case "bearer":
		r.auth["bearer"]++
	case "basic":
		r.auth["basic"]++
	}
}

func (w *worker) endpoints() map[string][]analyze.Endpoint {
	out := map[string][]analyze.Endpoint{}
	for host, t := range w.services {
		for e, r := range t.Endpoints() {
			x := analyze.Endpoint{Service: host, Method: e.Method, Template: e.Template, Requests: r.n, Statuses: r.statuses, Auth: r.auth, Encrypted: r.n - r.clear, Plaintext: r.clear}
			for _, p := range e.Params {
				x.Parameters = append(x.Parameters, p.Field())
			}
			parameters, fields := r.set.Fields(nil)
			x.Parameters = append(x.Parameters, parameters...)
			x.Fields = fields
			out[host] = append(out[host], x)
		}
	}
	return out
}

func read(t testing.TB, name string) (lines []line) {
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bufio.NewReaderSize(z, 1<<20))
	for {
		var l line
		if err := d.Decode(&l); err == io.EOF {
			return lines
		} else if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
}

func shared(t testing.TB) string {
	dir := os.Getenv("PLAINSIGHT_SHARED")
	if dir == "" {
		t.Skip("PLAINSIGHT_SHARED does not name the shared data")
	}
	return filepath.Join(dir, "inference")
}

func traffic(t testing.TB) []string {
	files, _ := filepath.Glob(filepath.Join(shared(t), "traffic", "*.jsonl.gz"))
	if only := os.Getenv("APIS"); only != "" { // of some, for work on one
		files = slices.DeleteFunc(files, func(f string) bool {
			return !slices.Contains(strings.Split(only, ","), strings.TrimSuffix(filepath.Base(f), ".jsonl.gz"))
		})
	}
	return files
}

// floors are what the scorer's means must reach.
var floors = map[string]float64{
	"template_f1": 0.96, "template_precision": 0.94, "template_recall": 0.97, "grouping_accuracy": 0.98, "path_param_type": 0.99,
	"query_precision": 0.99, "query_recall": 0.97, "query_required": 0.97, "header_precision": 0.99, "header_recall": 0.99, "status_recall": 0.99,
	"property_precision": 0.985, "property_recall": 0.99, "property_f1_end_to_end": 0.975, "property_type": 0.995, "required_exhibited": 0.995,
	"nullable_f1": 0.995, "format_precision": 0.99, "format_recall": 0.99, "enum_precision": 0.95, "enum_recall": 0.90,
}

// What is inferred from the inference set's traffic scores above the floors,
// and none of its noise becomes an endpoint. PREDICTIONS keeps the documents.
func TestConformance(t *testing.T) {
	dir := t.TempDir()
	if keep := os.Getenv("PREDICTIONS"); keep != "" {
		dir = keep
	}
	var spent time.Duration
	exchanges := 0
	for _, file := range traffic(t) {
		lines := read(t, file)
		start := time.Now()
		w := &worker{services: map[string]*tree{}}
		for i := range lines {
			w.learn(&lines[i])
		}
		learned := time.Now()
		all := w.endpoints()
		spent += time.Since(start)
		exchanges += len(lines)
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl.gz")
		t.Logf("%-14s %6d exchanges, learn %v, decide %v", name, len(lines), learned.Sub(start).Round(time.Millisecond), time.Since(learned).Round(time.Millisecond))
		api := filepath.Join(dir, name)
		if err := os.MkdirAll(api, 0o755); err != nil {
			t.Fatal(err)
		}
		for host, list := range all {
			doc, err := openapi.Document(host, list)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(api, strings.ReplaceAll(host, ":", "_")+".json"), doc, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%v an exchange", spent/time.Duration(exchanges))
	scorer := filepath.Join(t.TempDir(), "score")
	build := exec.Command("go", "build", "-o", scorer, ".")
	build.Dir = filepath.Join(shared(t), "score")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	only := os.Getenv("APIS")
	args := []string{"-data", shared(t), "-pred", dir, "-brief"}
	if only != "" {
		args = append(args, "-api", only)
	}
	out, err := exec.Command(scorer, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("\n%s", out)
	if only != "" {
		return
	}
	got := map[string]float64{}
	for l := range strings.Lines(string(out)) {
		var name string
		var value float64
		if n, _ := fmt.Sscan(l, &name, &value); n == 2 {
			got[name] = value
		}
	}
	for name, floor := range floors {
		if v, ok := got[name]; !ok || v < floor {
			t.Errorf("%s is %.4f, below %.3f", name, v, floor)
		}
	}
	if n, ok := got["noise_endpoints"]; !ok || n > 0 {
		t.Errorf("%.0f endpoints are noise", n)
	}
}

// Documents pass the linter without errors, and the traffic that they are made
// of fits them.
func TestDocumentsFitTheirTraffic(t *testing.T) {
	var files []string
	dir := t.TempDir()
	for _, file := range traffic(t) {
		lines := read(t, file)
		w := &worker{services: map[string]*tree{}}
		for i := range lines {
			w.learn(&lines[i])
		}
		validators, routes := map[string]*openapitest.Validator{}, map[string]*endpoint.View[*record]{}
		for host, list := range w.endpoints() {
			doc, err := openapi.Document(host, list)
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(dir, strings.ReplaceAll(host, ":", "_")+".json")
			files = append(files, name)
			if err := os.WriteFile(name, doc, 0o600); err != nil {
				t.Fatal(err)
			}
			if validators[host], err = openapitest.New(doc); err != nil {
				t.Fatalf("%s: %v", host, err)
			}
			routes[host] = w.services[host].Decide()
		}
		checked, wrong := 0, 0
		why := map[string]int{}
		for i := range lines {
			l := &lines[i]
			if v := routes[l.Host]; v == nil || endpoint.Noise([]byte(l.Method), []byte(l.Path)) {
				continue
			} else if _, _, ok := v.Route([]byte(l.Method), []byte(l.Path)); !ok {
				continue
			}
			checked++
			x := openapitest.Exchange{Method: l.Method, URL: l.Scheme + "://" + l.Host + l.Path, Status: l.Status, RequestBody: []byte(l.ReqBody), ResponseBody: []byte(l.RespBody),
				RequestHeader: openapitest.Header(l.ReqHeaders), ResponseHeader: openapitest.Header(l.RespHeaders)}
			if l.Query != "" {
				x.URL += "?" + l.Query
			}
			if err := validators[l.Host].Check(&x); err != nil {
				wrong++
				text := err.Error()
				if why[text]++; len(why) <= 8 && why[text] == 1 {
					t.Logf("%s %s: %.600s", l.Method, l.Path, text)
				}
			}
		}
		share := 1 - float64(wrong)/float64(max(checked, 1))
		t.Logf("%-14s %6d exchanges, %.4f fit", strings.TrimSuffix(filepath.Base(file), ".jsonl.gz"), checked, share)
		if share < 0.999 {
			t.Errorf("%s: %d of %d exchanges do not fit their document", filepath.Base(file), wrong, checked)
		}
	}
	if problems, err := openapitest.Lint(files...); err != nil || problems != "" {
		t.Errorf("%v\n%s", err, problems)
	}
}

// Shuffled traffic, split over workers that are merged, gives the same
// documents.
func TestOrderDoesNotMatter(t *testing.T) {
	for _, file := range traffic(t) {
		lines := read(t, file)
		one := &worker{services: map[string]*tree{}}
		for i := range lines {
			one.learn(&lines[i])
		}
		rand.New(rand.NewSource(1)).Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		parts := make([]*worker, 3)
		for i := range parts {
			parts[i] = &worker{services: map[string]*tree{}}
		}
		for i := range lines {
			parts[i%len(parts)].learn(&lines[i])
		}
		merged := &worker{services: map[string]*tree{}}
		for _, p := range parts {
			for host, t := range p.services {
				if merged.services[host] == nil {
					merged.services[host] = endpoint.NewTree(endpoint.Options{}, newRecord)
				}
				merged.services[host].Merge(t)
			}
		}
		a, b := one.endpoints(), merged.endpoints()
		for host := range a {
			x, _ := openapi.Document(host, a[host])
			y, _ := openapi.Document(host, b[host])
			if !bytes.Equal(x, y) {
				t.Errorf("%s: %s differs: %s", filepath.Base(file), host, firstDifference(x, y))
			}
		}
	}
}

func firstDifference(a, b []byte) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("at byte %d of %d and %d:\n%s\n---\n%s", i, len(a), len(b), a[max(0, i-300):min(len(a), i+100)], b[max(0, i-300):min(len(b), i+100)])
		}
	}
	return fmt.Sprintf("%d bytes and %d bytes", len(a), len(b))
}
