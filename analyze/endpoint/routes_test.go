package endpoint

import (
	"strings"
	"testing"
)

func routes(t *testing.T, text string) *Routes {
	t.Helper()
	list, err := ParseRoutes([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRoutes(list)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const given = `
# what the gateway has
GET /files/{path*}
GET /api/v1/users/{user}/orders/{order}.json
GET shop.example/api/v1/{kind}/{name}
POST https://other.example/api/v1/{never}
GET /at/{lat},{lon}
/things/:thing
GET /a%20b/{x}
GET /
`

// What a person gives goes before what traffic suggests.
func TestRoutesGoBeforeInference(t *testing.T) {
	r := routes(t, given)
	tree := NewTree(Options{Routes: r.For("shop.example:443")}, newNote)
	for _, line := range []string{
		"GET /files/a.txt", "GET /files/a/b/c.txt", "GET /api/v1/users/ann/orders/7.json", "GET /api/v1/users/ann", "GET /api/v1/colours/red", "POST /api/v1/login",
		"GET /at/52.5,13.4", "GET /things/one", "PATCH /things/two", "GET /a%20b/c", "GET /", "DELETE /api/v1/users/ann", "GET /inferred/123", "GET /files/",
	} {
		exchange{line: line}.into(tree)
	}
	exchange{line: "GET /things/three", failed: true}.into(tree)
	exchange{line: "PUT /api/v1/users/ben", failed: true}.into(tree) // nobody named the method
	exchange{line: "GET /nowhere", failed: true}.into(tree)
	want := []string{
		"DELETE /api/v1/{kind}/{name} 1", "GET / 1", "GET /a%20b/{x} 1", "GET /api/v1/users/{user}/orders/{order}.json 1", "GET /api/v1/{kind}/{name} 2",
		"GET /at/{lat},{lon} 1", "GET /files 1", "GET /files/{path} 2", "GET /inferred/{inferred_id} 1", "GET /things/{thing} 2", "PATCH /things/{thing} 1", "POST /api/v1/login 1",
	}
	wants(t, found(tree), want...)
	if n := tree.Decide().Noise(); n != 2 {
		t.Errorf("%d are noise, want 2", n)
	}
	e, _, ok := tree.Decide().Route([]byte("GET"), []byte("/api/v1/users/zoe/orders/8.json"))
	if !ok || len(e.Params) != 2 || e.Params[1].Name != "order" || e.Params[1].Type != "integer" || e.Params[0].Type != "string" {
		t.Errorf("%+v", e)
	}
	if _, _, ok := tree.Decide().Route([]byte("PUT"), []byte("/things/1")); ok {
		t.Error("a method that was not seen has an endpoint")
	}

	other := NewTree(Options{Routes: r.For("shop.example")}, newNote)
	exchange{line: "GET /things/four"}.into(other)
	exchange{line: "PUT /things/four"}.into(other)
	other.Merge(tree)
	wants(t, found(other), append(strings.Split(strings.Replace(strings.Join(want, "\n"), "GET /things/{thing} 2", "GET /things/{thing} 3", 1), "\n"), "PUT /things/{thing} 1")...)

	if elsewhere := r.For("www.example"); elsewhere.any.names["api"].names["v1"].whole != nil {
		t.Error("a route of one host is for all")
	}
	if only := routes(t, "GET shop.example/x"); only.For("www.example") != nil {
		t.Error("a service without routes has some")
	}
}

func TestRoutesThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		"GET":                             "line 1",
		"\n# x\nGET users":                "line 3",
		"GET /a b c":                      "line 1",
		"G3T /a":                          "line 1",
		"GET /a/{b":                       "{ without }",
		"GET /a/b}":                       "} without {",
		"GET /a/{b*}/c":                   "last segment",
		"GET " + strings.Repeat("/a", 99): "64 segments",
	} {
		if _, err := ParseRoutes([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestRoutesAllocateNothing(t *testing.T) {
	tree := NewTree(Options{Routes: routes(t, given).For("shop.example")}, newNote)
	for _, path := range []string{"/api/v1/users/an%6ea/orders/7.json", "/things/one", "/files/a/b/c", "/at/1,2"} {
		p := []byte(path)
		tree.At([]byte("GET"), p, true)
		if n := testing.AllocsPerRun(100, func() { tree.At([]byte("GET"), p, true) }); n > 0 {
			t.Errorf("%s: %v allocations", path, n)
		}
	}
}

func TestRefusedRequestsSayNothingOfParameters(t *testing.T) {
	tree := NewTree(Options{Routes: routes(t, "GET /users/{id}").For("h")}, newNote)
	tree.At([]byte("GET"), []byte("/users/7"), true)
	tree.At([]byte("GET"), []byte("/users/7'--"), false)
	for e := range tree.Endpoints() {
		if p := e.Params[0]; p.Type != "integer" || p.Count != 1 {
			t.Errorf("id is %s of %d requests, want integer of 1", p.Type, p.Count)
		}
	}
}

func FuzzRoutes(f *testing.F) {
	f.Add(given, "/files/x/y\n/at/1,2")
	f.Fuzz(func(t *testing.T, text, paths string) {
		list, err := ParseRoutes([]byte(text))
		if err != nil {
			return
		}
		r, err := NewRoutes(list)
		if err != nil {
			t.Fatal(err)
		}
		tree, n := NewTree(Options{Routes: r.For("h")}, newNote), 0
		for path := range strings.SplitSeq(paths, "\n") {
			if rec, ok := tree.At([]byte("GET"), []byte(path), true); ok {
				rec.n++
				n++
			}
		}
		for _, rec := range tree.Decide().Endpoints() {
			n -= rec.n
		}
		if n != 0 {
			t.Errorf("%d exchanges are lost", n)
		}
	})
}
