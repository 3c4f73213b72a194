package house

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// edges is the table of allowed imports inside the module: a new edge is a
// decision, argued in the commit that adds it. Data runs one way: capture →
// analyze → storage, and cmd wires it. Where a package meets another stage
// (inventory, exchanges), that is what it is for. "std" alone marks the roots
// that may import only the standard library.
var edges = map[string][]string{
	"bpf": {"capture"}, // one word for what a live source looks at: the filter

	"capture":             {"std"},
	"capture/capturetest": {"capture", "capture/packet"},
	"capture/coding":      {"capture"},
	"capture/flow":        {"capture", "capture/packet", "capture/stream"},
	"capture/har":         {"capture"},
	"capture/hpack":       {"capture"},
	"capture/http1":       {"capture", "capture/coding", "capture/transaction"},
	"capture/http2":       {"capture", "capture/coding", "capture/hpack", "capture/transaction"},
	"capture/ndjson":      {"capture"},
	"capture/packet":      {"capture"},
	"capture/live":        {"capture"},
	"capture/pcap":        {"capture"},
	"capture/probe":       {"bpf", "capture"},
	"capture/stream":      {"capture"},
	"capture/tls":         {"capture"},
	"capture/transaction": {"capture", "capture/coding"},
	"capture/websocket":   {"capture"},

	"analyze":                       {"std"},
	"analyze/body":                  {},
	"analyze/drift":                 {"analyze", "analyze/body", "analyze/endpoint", "analyze/posture"}, // how paths and names are written, routes, the order of findings
	"analyze/endpoint":              {"analyze", "analyze/body", "analyze/shape"},                       // like bodies, and values in them, are evidence for one template
	"analyze/endpoint/endpointtest": {"analyze", "analyze/body", "analyze/endpoint", "analyze/shape"},   // what package endpoint is judged by
	"analyze/exchanges":             {"analyze", "capture"},
	"analyze/inventory":             {"analyze", "analyze/body", "analyze/endpoint", "analyze/operation", "analyze/posture", "analyze/sensitive", "analyze/shape", "analyze/tally", "capture"},
	"analyze/openapi":               {"analyze", "analyze/endpoint"}, // the routes of documents
	"analyze/openapi/openapitest":   {},
	"analyze/operation":             {"analyze"},
	"analyze/posture":               {"analyze", "analyze/body", "analyze/sensitive", "analyze/tally"},
	"analyze/report":                {"analyze"},
	"analyze/sensitive":             {"analyze", "analyze/body"},
	"analyze/shape":                 {"analyze", "analyze/body"},
	"analyze/tally":                 {"analyze"},

	"storage":                       {"analyze"},
	"storage/clickhouse":            {"analyze", "storage", "storage/embedded"},         // one dialect, two engines
	"storage/delivery":              {"storage", "storage/clickhouse", "storage/spool"}, // what a code of ClickHouse means for rows on their way
	"storage/embedded":              {},
	"storage/embedded/embeddedtest": {"storage/embedded"},
	"storage/spool":                 {},
}

type listed struct {
	ImportPath, Name, Dir, Doc         string
	Imports, TestImports, XTestImports []string
	GoFiles, TestGoFiles, XTestGoFiles []string
}

// list asks the go command for the packages of the module.
func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json", "plainsight/...")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, "plainsight/")
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list found only %d packages", len(all))
	}
	return all
}

// own gives the imports that are ours, without the module's name.
func own(imports []string) []string {
	var o []string
	for _, i := range imports {
		if p, ok := strings.CutPrefix(i, "plainsight/"); ok {
			o = append(o, p)
		}
	}
	return o
}

func TestImportsRunOneWay(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range list(t) {
		seen[p.ImportPath] = true
		if strings.HasPrefix(p.ImportPath, "cmd/") {
			continue // cmd wires everything
		}
		allowed, ok := edges[p.ImportPath]
		if !ok {
			t.Errorf("%s is not in the table of edges", p.ImportPath)
			continue
		}
		for _, i := range own(p.Imports) {
			if !slices.Contains(allowed, i) {
				t.Errorf("%s imports %s, which the table of edges does not allow", p.ImportPath, i)
			}
		}
		if slices.Contains(allowed, "std") {
			for _, i := range p.Imports {
				if strings.Contains(strings.Split(i, "/")[0], ".") || strings.HasPrefix(i, "plainsight/") {
					t.Errorf("%s imports %s: the roots import only the standard library", p.ImportPath, i)
				}
			}
		}
		// Tests of storage keep the promise too: a raw body has no road to a database.
		if strings.HasPrefix(p.ImportPath, "storage") {
			for _, i := range own(slices.Concat(p.Imports, p.TestImports, p.XTestImports)) {
				if strings.HasPrefix(i, "capture") {
					t.Errorf("%s imports %s: storage never imports capture", p.ImportPath, i)
				}
			}
		}
	}
	for p := range edges {
		if !seen[p] {
			t.Errorf("the table of edges has %s, which does not exist", p)
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range list(t) {
		if len(p.GoFiles) == 0 {
			continue // tests alone
		}
		if want := map[bool]string{true: "Command ", false: "Package "}[p.Name == "main"]; !strings.HasPrefix(p.Doc, want) {
			t.Errorf("%s: its doc begins with %q, want %q…", p.ImportPath, p.Doc, want)
		}
	}
}

// emptyNames are package names that say nothing.
var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "manager", "base", "types", "misc", "shared", "lib"}

func TestNamesAndState(t *testing.T) {
	for _, p := range list(t) {
		if slices.Contains(emptyNames, p.Name) {
			t.Errorf("%s: the name says nothing", p.ImportPath)
		}
		for _, f := range p.GoFiles {
			tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range tree.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s/%s has an init function: tables, not registries", p.ImportPath, f)
				}
			}
		}
	}
}

func TestNoTestSleeps(t *testing.T) {
	for _, p := range list(t) {
		for _, f := range slices.Concat(p.TestGoFiles, p.XTestGoFiles) {
			tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Sleep" {
					if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" {
						t.Errorf("%s/%s sleeps", p.ImportPath, f)
					}
				}
				return true
			})
		}
	}
}
