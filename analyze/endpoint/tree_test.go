package endpoint

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
)

// note is a record for tests: names of fields, and how many exchanges.
type note struct {
	n      int
	fields map[string]int
}

func newNote() *note { return &note{fields: map[string]int{}} }

func (a *note) Merge(b *note) {
	a.n += b.n
	for f, n := range b.fields {
		a.fields[f] += n
	}
}

func (a *note) Like(b *note) (alike, weight float64) {
	for f := range a.fields {
		if b.fields[f] > 0 {
			alike++
		} else {
			weight++
		}
	}
	for f := range b.fields {
		if a.fields[f] == 0 {
			weight++
		}
	}
	if weight += alike; weight == 0 {
		return 0, 0
	}
	return alike / weight, weight
}

// exchange is "METHOD path", with the fields of the answer and the id in it.
type exchange struct {
	line   string
	fields string
	id     string
	failed bool
}

func (x exchange) into(t *Tree[*note]) {
	method, path, _ := strings.Cut(x.line, " ")
	r, ok := t.At([]byte(method), []byte(path), !x.failed)
	if !ok {
		return
	}
	r.n++
	for f := range strings.FieldsSeq(x.fields) {
		r.fields[f]++
	}
	if x.id != "" && !x.failed {
		t.Echo([]byte("id"), []byte(x.id), true)
	}
}

func learn(list []exchange) *Tree[*note] {
	t := NewTree(Options{}, newNote)
	for _, x := range list {
		x.into(t)
	}
	return t
}

func found(t *Tree[*note]) (list []string) {
	for e, r := range t.Endpoints() {
		list = append(list, fmt.Sprintf("%s %s %d", e.Method, e.Template, r.n))
	}
	slices.Sort(list)
	return list
}

func wants(t *testing.T, got []string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// shop is traffic of a small API, with names as values, a scanner, and pages
// that are values' siblings.
func shop() (list []exchange) {
	names := strings.Fields("anna ben carla dmitri elif farid grace hugo ines jonas kira liam mona nils olga pedro")
	for i, name := range names {
		list = append(list,
			exchange{line: "GET /api/v1/users/" + name, fields: "id name email", id: name},
			exchange{line: "GET /api/v1/users/" + name + "/orders", fields: "items total"},
			exchange{line: fmt.Sprintf("GET /api/v1/users/%s/orders/%d", name, 1000+i), fields: "id total lines", id: fmt.Sprint(1000 + i)},
			exchange{line: "GET /api/v1/users/me", fields: "id name email"},
			exchange{line: "POST /api/v1/orders", fields: "id total lines"},
			exchange{line: fmt.Sprintf("GET /api/v1/orders/%d", 1000+i), fields: "id total lines", id: fmt.Sprint(1000 + i)},
			exchange{line: "GET /api/v1/orders/export", fields: "rows day"},
			exchange{line: "GET /api/v1/users/nobody" + name, fields: "error", failed: true},
			exchange{line: "GET /wp-admin/" + name + ".php", fields: "error", failed: true},
			exchange{line: "GET /healthz", fields: "status"},
		)
	}
	return list
}

var shopEndpoints = []string{
	"GET /api/v1/orders/export 16", "GET /api/v1/orders/{order_id} 16", "GET /api/v1/users/me 16",
	"GET /api/v1/users/{user_id} 32", "GET /api/v1/users/{user_id}/orders 16", "GET /api/v1/users/{user_id}/orders/{order_id} 16",
	"GET /healthz 16", "POST /api/v1/orders 16",
}

func TestEndpointsOfAShop(t *testing.T) {
	tree := learn(shop())
	wants(t, found(tree), shopEndpoints...)
	v := tree.Decide()
	if v.Noise() != 16 {
		t.Errorf("%d failures are noise, want 16", v.Noise())
	}
	e, r, ok := v.Route([]byte("GET"), []byte("/api/v1/users/zoe/orders/77"))
	if !ok || e.Template != "/api/v1/users/{user_id}/orders/{order_id}" || r.n != 16 || len(e.Params) != 2 || e.Params[1].Type != "integer" || e.Params[0].Type != "string" {
		t.Errorf("routed to %v, %v", e, ok)
	}
	if _, _, ok = v.Route([]byte("GET"), []byte("/nothing/here")); ok {
		t.Error("a path that was never seen has an endpoint")
	}
}

// Any order, and any split over trees that merge, gives the same endpoints.
func TestOrderDoesNotMatter(t *testing.T) {
	list := shop()
	for seed := range int64(5) {
		r := rand.New(rand.NewSource(seed))
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		parts := [3][]exchange{}
		for _, x := range list {
			i := r.Intn(len(parts))
			parts[i] = append(parts[i], x)
		}
		a, b, c := learn(parts[0]), learn(parts[1]), learn(parts[2])
		c.Merge(a)
		b.Merge(c)
		wants(t, found(b), shopEndpoints...)
		wants(t, found(learn(list)), shopEndpoints...)
	}
}

func TestStrongShapes(t *testing.T) {
	for segment, want := range map[string]string{
		"42": "{}", "550e8400-e29b-41d4-a716-446655440000": "{}", "01ARZ3NDEKTSV4RRFFQ69G5FAV": "{}", "9f86d081884c7d65": "{}",
		"2024-05-01": "{}", "2024-05-01T10:00:00Z": "{}", "ann@example.org": "{}", "192.0.2.7": "{}", "2001:db8::1": "{}",
		"cus_NffrFeUfNV2Hib": "{}", "sk_live_4eC39HqLyjWDarjtT1zdp7dc": "{}", "dQw4w9WgXcQ": "{}", "SN-3429-J6WZ": "{}", "1.2.3": "{}",
		"a b": "{}", "feature/x": "{}", "52.5,13.4": "{}", "+4917012345": "{}", "web-7d9gnvszh8-4bl6s": "{}", "redis:7-alpine": "{}",
		"42.json": "{}.json", "AC0123456789abcdef.json": "{}.json", "Users(5)": "Users({})", "Users('bob')": "Users({})", "42:cancel": "{}:cancel",
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U": "{}",

		"users": "", "payment_intents": "", "createInvoice": "", "OutgoingCallerIds": "", "v1": "", "oauth2": "", "me": "", "_search": "",
		"@me": "", "bulk:delete": "", "Recordings.json": "", "conversations.list": "", "SMSMessages": "", "sha256": "", "en": "", "k8s.io": "",
		"wlwmanifest.xml": "", "securityClassifications": "", "Dashboard!default.jspa": "",
	} {
		got, class := spell(nil, []byte(segment))
		if want == "" && (class != word || string(got) != segment) || want != "" && (class == word || string(got) != want) {
			t.Errorf("%s is read as %s (%d), want %q", segment, got, class, want)
		}
	}
}

// Whatever the evidence, what may be a secret or a person is no literal.
func TestPrivateSegmentsAreNeverLiterals(t *testing.T) {
	secrets := []string{"ann@example.org", "4111111111111111", "sk_live_4eC39HqLyjWDarjtT1zdp7dc", "123-45-6789", "9f86d081884c7d659a2feaa0c55ad015"}
	for _, s := range secrets {
		tree := NewTree(Options{}, newNote)
		for range 50 {
			exchange{line: "GET /reset/" + s + "/done", fields: "ok"}.into(tree)
			exchange{line: "GET /" + s, fields: "page"}.into(tree)
		}
		for e := range tree.Endpoints() {
			if strings.Contains(e.Template, s) {
				t.Errorf("%s shows %s", e.Template, s)
			}
		}
	}
}

// A site of a few pages keeps them; a store of files has one endpoint.
func TestPagesAndFiles(t *testing.T) {
	var list []exchange
	for _, p := range []string{"/index.html", "/about.html", "/app/login.php", "/app/setup.php", "/app/vuln/sqli/index.php", "/app/vuln/xss/index.php", "/contact.html"} {
		list = append(list, exchange{line: "GET " + p})
	}
	want := found(learn(list))
	for _, l := range want {
		if strings.Contains(l, "{") {
			t.Errorf("a page became a value: %s", l)
		}
	}
	for _, p := range []string{"README.md", "src/main.go", "src/a/b.go", "docs/guide.pdf", "docs/pic/one.png", "Makefile", "src/a/c/d.go"} {
		list = append(list, exchange{line: "GET /raw/" + p})
	}
	for _, l := range found(learn(list)) {
		if strings.Contains(l, "/raw/") && strings.Trim(l[len("GET /raw"):], "/{}raw_id0123456789 ") != "" {
			t.Errorf("a file is an endpoint: %s", l)
		}
	}
}

// One page for whatever is asked is no endpoint; one page at one place is.
func TestSoftNotFound(t *testing.T) {
	tree := NewTree(Options{}, newNote)
	for _, path := range []string{"/admin", "/backup", "/old/site", "/phpinfo"} {
		tree.At([]byte("GET"), []byte(path), true)
		tree.Page(7)
	}
	tree.At([]byte("GET"), []byte("/docs"), true)
	tree.Page(8)
	tree.At([]byte("GET"), []byte("/api/items"), true)
	tree.Page(0)
	wants(t, found(tree), "GET /docs 0", "GET /api/items 0")
	if n := tree.Decide().Noise(); n != 4 {
		t.Errorf("%d exchanges are noise, want 4", n)
	}
}

func TestNoise(t *testing.T) {
	for line, want := range map[string]bool{
		"OPTIONS /a": true, "HEAD /a": true, "GET /favicon.ico": true, "GET /static/main.1a2b.png": true, "GET /app.js": true, "GET /robots.txt": true,
		"GET /avatars/ann.png": false, "GET /report.txt": false, "POST /app.js": false, "GET /a": false,
	} {
		method, path, _ := strings.Cut(line, " ")
		if got := Noise([]byte(method), []byte(path)); got != want {
			t.Errorf("%s: %v, want %v", line, got, want)
		}
	}
}

// Memory is bounded by the options, however many distinct paths there are.
func TestBounds(t *testing.T) {
	tree := NewTree(Options{Children: 64, Records: 500, Failed: 100}, newNote)
	r := rand.New(rand.NewSource(1))
	name := func() string {
		var b strings.Builder
		for range 3 {
			b.WriteString([]string{"ba", "ko", "mi", "ru", "se", "to", "na", "li", "po", "ve"}[r.Intn(10)])
		}
		return b.String()
	}
	const n = 60000
	for range n {
		exchange{line: "GET /shops/" + name() + "/" + name() + "/items/" + name(), fields: "id price"}.into(tree)
		exchange{line: "GET /" + name() + ".php", failed: true}.into(tree)
	}
	if tree.records > 500 || tree.failures > 100 {
		t.Errorf("%d records, %d failures", tree.records, tree.failures)
	}
	total := 0
	for e, rec := range tree.Endpoints() {
		total += rec.n
		_ = e
	}
	if total != n {
		t.Errorf("%d exchanges have an endpoint, want %d", total, n)
	}
	if tree.Folds() == 0 {
		t.Error("the bound was reached and not counted")
	}
	if noise := tree.Decide().Noise(); noise != n {
		t.Errorf("%d are noise, want %d", noise, n)
	}
	odd := NewTree(Options{Children: 64}, newNote)
	for i := range 1000 {
		exchange{line: fmt.Sprintf("X%d /a/%d:x%s", i, i, name())}.into(odd)
		exchange{line: fmt.Sprintf("X%d /b", i)}.into(odd)
	}
	if n := len(odd.root.kids["a"].kids); n > 64 {
		t.Errorf("%d patterns below one node", n)
	}
	if odd.Misfits() == 0 {
		t.Error("a thousand methods fit")
	}
	big := NewTree(Options{}, newNote)
	exchange{line: "GET /" + strings.Repeat("a/", 10000)}.into(big)
	exchange{line: "GET /" + strings.Repeat("a", 100000)}.into(big)
	exchange{line: "GET " + strings.Repeat("/", 1000)}.into(big)
	big.Endpoints()
}

func TestAllocations(t *testing.T) {
	tree := learn(shop())
	method, path, key, value := []byte("GET"), []byte("/api/v1/users/an%6ea/orders/1000"), []byte("id"), []byte("1000")
	if n := testing.AllocsPerRun(100, func() {
		tree.At(method, path, true)
		tree.Echo(key, value, true)
	}); n > 0 {
		t.Errorf("%v allocations for a known path", n)
	}
}

func TestWeightsSayWhatTheyMean(t *testing.T) {
	for i, w := range weights {
		if w.meaning == "" || w.weight == 0 {
			t.Errorf("feature %d has no meaning or weight", i)
		}
	}
}

// FuzzPaths looks for crashes, and for exchanges that get lost.
func FuzzPaths(f *testing.F) {
	f.Add("/a/b\n/a/c\n/a/1\n/%zz//x.json\n/A(1)/b:c")
	f.Fuzz(func(t *testing.T, text string) {
		tree := NewTree(Options{Segments: 5, Children: 3, Records: 10, Failed: 3, Length: 20}, newNote)
		n := 0
		for path := range strings.SplitSeq(text, "\n") {
			r, ok := tree.At([]byte("GET"), []byte(path), true)
			if !ok {
				t.Fatalf("no record for %q", path)
			}
			r.n++
			n++
			tree.At([]byte("GET"), []byte(path+"x"), false)
		}
		v := tree.Decide()
		for _, r := range v.Endpoints() {
			n -= r.n
		}
		if n != 0 {
			t.Errorf("%d exchanges lost in %q", n, text)
		}
	})
}

func BenchmarkAt(b *testing.B) {
	tree := learn(shop())
	method, path := []byte("GET"), []byte("/api/v1/users/anna/orders/1000")
	b.ReportAllocs()
	for b.Loop() {
		tree.At(method, path, true)
	}
}

func BenchmarkDecide(b *testing.B) {
	tree := learn(shop())
	b.ReportAllocs()
	for b.Loop() {
		tree.Decide()
	}
}
