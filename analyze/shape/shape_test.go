package shape

import (
	"bytes"
	"fmt"
	"math/rand"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"plainsight/analyze"
	"plainsight/analyze/body"
)

const asJSON = "application/json"

// learn gives a set the bodies of answers with status 200.
func learn(s *Set, bodies ...string) *Set {
	var r Recorder
	var w body.Walker
	for _, b := range bodies {
		r.Open(s, analyze.Response, 200, []byte(asJSON))
		r.Close(w.Walk([]byte(asJSON), []byte(b), &r).Complete)
	}
	return s
}

// lines writes fields one a line.
func lines(fields []analyze.Field) string {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, "%s %s", f.Path, strings.Join(f.Types, "|"))
		if f.Format != "" {
			b.WriteString(" " + f.Format)
		}
		if f.Nullable {
			b.WriteString(" null")
		}
		if f.Map {
			b.WriteString(" map")
		}
		if f.Required {
			b.WriteString(" required")
		}
		if f.Enum != nil {
			fmt.Fprintf(&b, " %v", f.Enum)
		}
		fmt.Fprintf(&b, " %d/%d\n", f.Present, f.Of)
	}
	return b.String()
}

func bodyFields(s *Set) string {
	_, fields := s.Fields(nil)
	return lines(fields)
}

func wants(t *testing.T, got, want string) {
	t.Helper()
	if want = strings.TrimLeft(want, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestFields(t *testing.T) {
	s := learn(NewSet(Options{}),
		`{"id":1,"price":2,"at":"2024-05-01T10:00:00Z","note":null,"tags":["a"],"to":{"city":"Rome","zip":"00100"}}`,
		`{"id":2,"price":2.5,"at":"2024-05-02T10:00:00.5+02:00","note":"x","tags":[],"to":{"city":"Oslo"},"gift":true}`,
		`{"id":3,"price":1,"at":"2024-05-03T10:00:00Z","tags":["b","c"],"to":{"city":"Bonn"}}`)
	wants(t, bodyFields(s), `
$ object required 3/3
$.at string date-time required 3/3
$.gift boolean 1/3
$.id integer required 3/3
$.note string null 2/3
$.price number required 3/3
$.tags array required 3/3
$.tags[] string required 3/3
$.to object required 3/3
$.to.city string required 3/3
$.to.zip string 1/3
`)
}

// What a cut body lacks may have been in the rest.
func TestCutBodiesProveNoAbsence(t *testing.T) {
	whole := `{"a":{"b":1,"c":2},"d":3}`
	s := learn(NewSet(Options{}), whole, whole)
	for i := 1; i < len(whole); i++ {
		learn(s, whole[:i])
	}
	_, fields := s.Fields(nil)
	for _, f := range fields {
		if !f.Required || f.Of != 2 {
			t.Errorf("%s: required %v, %d of %d", f.Path, f.Required, f.Present, f.Of)
		}
	}
	s = learn(NewSet(Options{}), `{"a":1,"b`)
	wants(t, bodyFields(s), "$ object 1/1\n$.a integer 1/1\n")
}

func TestDuplicateKeysCountOnce(t *testing.T) {
	s := learn(NewSet(Options{}), `{"a":1,"a":2}`, `{"b":1}`)
	wants(t, bodyFields(s), `
$ object required 2/2
$.a integer 1/2
$.b integer 1/2
`)
}

func TestVariants(t *testing.T) {
	s := NewSet(Options{})
	var r Recorder
	var w body.Walker
	give := func(side analyze.Side, status int, contentType, text string) {
		r.Open(s, side, status, []byte(contentType))
		r.Close(w.Walk([]byte(contentType), []byte(text), &r).Complete)
	}
	give(analyze.Response, 404, "application/problem+JSON; charset=utf-8", `{"title":"x"}`)
	give(analyze.Response, 200, asJSON, `[1]`)
	give(analyze.Request, 200, "application/x-www-form-urlencoded", `a=1`)
	_, fields := s.Fields(nil)
	var got []string
	for _, f := range fields {
		got = append(got, fmt.Sprint(f.Side, f.Status, " ", f.ContentType, f.Path))
	}
	want := "[request application/x-www-form-urlencoded$ request application/x-www-form-urlencoded$.a response200 application/json$ response200 application/json$[] " +
		"response404 application/problem+json$ response404 application/problem+json$.title]"
	if fmt.Sprint(got) != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
}

func TestMaps(t *testing.T) {
	s := learn(NewSet(Options{}),
		`{"by_id":{"4711":{"n":1},"4712":{"n":2}},"users":{"ann@example.org":1},"labels":{"a":"x"},"rates":{"EUR":1.5,"USD":1,"GBP":2}}`,
		`{"by_id":{"1":{"n":1}},"users":{"bob@example.org":1},"labels":{"b":"x","c":"y"},"rates":{"CHF":1,"JPY":3,"EUR":2}}`,
		`{"by_id":{},"users":{},"labels":{"d":"x","e":"y","f":"z"},"rates":{"NOK":1,"SEK":2,"DKK":3}}`)
	got := bodyFields(s)
	for _, want := range []string{"$.by_id object map required 3/3\n$.by_id{*} object required 3/3\n$.by_id{*}.n integer required 3/3\n", "$.users object map", "$.labels{*} string", "$.rates{*} number"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "4711") || strings.Contains(got, "ann@") {
		t.Errorf("a key that is a value is shown:\n%s", got)
	}
}

func TestEnums(t *testing.T) {
	s := NewSet(Options{})
	r := rand.New(rand.NewSource(1))
	for i := range 60 {
		learn(s, fmt.Sprintf(`{"state":%q,"kind":"order","first_name":%q,"code":"c%d","rare":%q,"text":%q}`,
			[]string{"open", "paid", "sent"}[r.Intn(3)], []string{"Ann", "Bob"}[i%2], i, []string{"once", "always", "always"}[min(i, 2)], []string{"a\nb", "c"}[i%2]))
	}
	got := bodyFields(s)
	for _, want := range []string{"$.state string required [open paid sent]", "$.kind string required [order]", "$.first_name string required 60/60", "$.code string required 60/60", "$.rare string required 60/60", "$.text string required 60/60"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	_, fields := s.Fields(func(p analyze.Place) bool { return p.Name == "$.state" })
	if strings.Contains(lines(fields), "paid") {
		t.Error("an enum is shown that the caller vetoed")
	}
}

// Few values of an open set are no enum, however often they are seen.
func TestOpenSets(t *testing.T) {
	s := NewSet(Options{})
	for i := range 60 {
		two := func(a, b string) string { return []string{a, b}[i%2] }
		learn(s, fmt.Sprintf(`{"currencyCode":%q,"country":%q,"unit":%q,"sent":%q}`, two("EUR", "USD"), two("DE", "FR"), two("KG", "LB"), two("true", "false")))
		var r Recorder
		r.Open(s, analyze.Response, 404, []byte("application/json"))
		var w body.Walker
		r.Close(w.Walk([]byte("application/json"), []byte(fmt.Sprintf(`{"type":%q}`, two("not_found", "gone"))), &r).Complete)
	}
	got := bodyFields(s)
	if !strings.Contains(got, "$.unit string required [KG LB]") {
		t.Errorf("a closed set is missing in\n%s", got)
	}
	for _, never := range []string{"EUR", "DE", "true", "gone"} {
		if strings.Contains(got, never) {
			t.Errorf("%s is of a closed set in\n%s", never, got)
		}
	}
}

func TestParameters(t *testing.T) {
	s := NewSet(Options{})
	for i := range 4 {
		s.Message()
		s.Parameter(analyze.InQuery, []byte("page"), []byte(fmt.Sprint(i)))
		s.Parameter(analyze.InQuery, []byte("q"), []byte([]string{"7", "x"}[i%2]))
		s.Parameter(analyze.InHeader, []byte("x-tenant"), []byte("550e8400-e29b-41d4-a716-446655440000"))
		if i == 0 {
			s.Parameter(analyze.InQuery, []byte("tag"), []byte("a"))
			s.Parameter(analyze.InQuery, []byte("tag"), []byte("b"))
		}
	}
	parameters, _ := s.Fields(nil)
	wants(t, lines(parameters), `
page integer required 4/4
q string required 4/4
tag string|array 1/4
x-tenant string uuid required 4/4
`)
}

func TestFormats(t *testing.T) {
	for text, want := range map[string]string{
		"550e8400-e29b-41d4-a716-446655440000": "uuid", "2024-05-01": "date", "2024-05-01T10:00:00Z": "date-time", "2024-05-01T10:00:00.123+0200": "date-time",
		"ann@example.org": "email", "https://example.org/a?b": "uri", "192.0.2.1": "ipv4", "2001:db8::1": "ipv6", "::1": "ipv6",
		"": "", "1.2.3": "", "10:00": "", "2024-13": "", "a@b": "", "x://": "", "550e8400-e29b-41d4-a716-44665544000g": "", "1.2.3.4.5": "", "hello": "",
	} {
		if got := Format([]byte(text)); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// The rows stand in the order of their bits.
func TestFormatBits(t *testing.T) {
	for i, f := range formatNames {
		if f.bit != 1<<i {
			t.Errorf("row %d has bit %b", i, f.bit)
		}
	}
}

// random writes an object of a small grammar.
func random(r *rand.Rand, depth int) string {
	switch k := r.Intn(7); {
	case k == 0 && depth > 0:
		var b []string
		for _, name := range []string{"a", "b", "c", "77"} {
			if r.Intn(3) > 0 {
				b = append(b, fmt.Sprintf("%q:%s", name, random(r, depth-1)))
			}
		}
		return "{" + strings.Join(b, ",") + "}"
	case k == 1 && depth > 0:
		return "[" + random(r, depth-1) + "," + random(r, depth-1) + "]"
	case k == 2:
		return "null"
	case k == 3:
		return fmt.Sprint(r.Intn(3))
	case k == 4:
		return "1.5"
	case k == 5:
		return "true"
	}
	return fmt.Sprintf("%q", []string{"x", "y", "2024-05-01"}[r.Intn(3)])
}

// Sets merge to the same, however the traffic was split and in whatever order.
func TestMerge(t *testing.T) {
	r := rand.New(rand.NewSource(2))
	for range 200 {
		var bodies []string
		for range 12 {
			b := `{"r":` + random(r, 4) + `}`
			if r.Intn(5) == 0 {
				b = b[:r.Intn(len(b))]
			}
			bodies = append(bodies, b)
		}
		all := learn(NewSet(Options{}), bodies...)
		r.Shuffle(len(bodies), func(i, j int) { bodies[i], bodies[j] = bodies[j], bodies[i] })
		a, b, c := learn(NewSet(Options{}), bodies[:3]...), learn(NewSet(Options{}), bodies[3:7]...), learn(NewSet(Options{}), bodies[7:]...)
		before := bodyFields(a)
		c.Merge(a)
		b.Merge(c)
		_, x := all.Fields(nil)
		_, y := b.Fields(nil)
		if !reflect.DeepEqual(x, y) {
			t.Fatalf("%q\nat once\n%s\nmerged\n%s", bodies, lines(x), lines(y))
		}
		if bodyFields(a) != before {
			t.Fatal("a set that was merged into another has changed")
		}
	}
}

func TestBounds(t *testing.T) {
	s := NewSet(Options{Nodes: 300, Children: 50, Depth: 5, Variants: 3, Values: 4})
	var r Recorder
	var w body.Walker
	for i := range 3000 {
		text := fmt.Sprintf(`{"k%c%c":{"deep":{"er":{"and":{"er":{"x":1}}}}},"m":{"%c%c%c":1},"v":"%c"}`, 'a'+i%26, 'a'+i/26%26, 'a'+i%26, 'a'+i/26%26, 'a'+i/676%26, 'a'+i%26)
		r.Open(s, analyze.Response, 200+i%10, []byte(fmt.Sprintf("application/x%d", i)))
		r.Close(w.Walk([]byte(asJSON), []byte(text), &r).Complete)
		s.Message()
		s.Parameter(analyze.InQuery, []byte(fmt.Sprintf("p%c%c%c", 'a'+i%26, 'a'+i/26%26, 'a'+i/676%26)), []byte("x"))
	}
	count := 0
	for _, v := range s.variants {
		count += v.root.count() - 1
	}
	for i := range s.params {
		count += s.param(i).count() - 1
	}
	if s.nodes > 300 || count != s.nodes || len(s.variants) > 3 {
		t.Errorf("%d nodes (%d counted), %d variants", count, s.nodes, len(s.variants))
	}
	if s.Over() == 0 {
		t.Error("a limit was reached and not counted")
	}
}

func TestLike(t *testing.T) {
	user := `{"id":1,"name":"a","email":"x","address":{"city":"c"}}`
	a := learn(NewSet(Options{}), user, user)
	b := learn(NewSet(Options{}), `{"id":2,"name":"b","address":{"city":"d"},"phone":"1"}`)
	c := learn(NewSet(Options{}), `{"rows":[{"day":"x"}],"metrics":{}}`, `{"rows":[],"metrics":{}}`)
	near, w := a.Like(b)
	far, _ := a.Like(c)
	if near < 0.6 || far > 0.2 || w < 2 {
		t.Errorf("near %.2f (%.1f), far %.2f", near, w, far)
	}
	if x, _ := b.Like(a); x != near {
		t.Errorf("alike is %.3f one way and %.3f the other", near, x)
	}
	if _, w := NewSet(Options{}).Like(NewSet(Options{})); w != 0 {
		t.Error("two empty sets weigh something")
	}
}

func sample(items int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"object":"list","has_more":true,"data":[`)
	for i := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"cus_%08x","created_at":"2024-05-01T10:%02d:00Z","email":"person%d@example.org","name":"Person \"%d\"","balance":%d.25,"active":true,"parent":null,"tags":["a","b"],"by":{"%d":1},"address":{"line1":"%d Long Street","city":"Springfield","country":"US"}}`, i*7919, i%60, i, i, i*31, i, i)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// The shapes of five thousand endpoints with two dozen fields each, of which some
// could still be enums, leave room in 64 MB for their paths.
func TestFiveThousandEndpointsFit(t *testing.T) {
	const endpoints, most = 5000, 60e6
	r := rand.New(rand.NewSource(3))
	words := strings.Fields("amber barrel basalt bell blanket bowl cedar chair clock dune ember fjord grove harbor kettle knife lamp mat shelf teapot")
	word := func() string { return words[r.Intn(len(words))] }
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	sets := make([]*Set, endpoints)
	var rec Recorder
	var w body.Walker
	for i := range sets {
		s := NewSet(Options{})
		for range 10 {
			var items []string
			for range 2 {
				items = append(items, fmt.Sprintf(`{"id":%d,"uuid":"%08x-1111-4222-8333-444444444444","name":"%s %s","sku":"SK-%06d","price":1.5,"in_stock":true,"created_at":"2026-01-18T06:15:06Z","tags":["%s","%s"],"owner":{"id":7,"display_name":"%s"},"url":"https://shop.example.org/%d","note":null,"weight":1,"colour":"%s","size":{"w":1,"h":2},"rating":4}`,
					i, r.Uint32(), word(), word(), r.Intn(1e6), word(), word(), word(), i, word()))
			}
			text := fmt.Sprintf(`{"total":%d,"page":1,"items":[%s]}`, i, strings.Join(items, ","))
			rec.Open(s, analyze.Response, 200, []byte(asJSON))
			rec.Close(w.Walk([]byte(asJSON), []byte(text), &rec).Complete)
			s.Message()
			s.Parameter(analyze.InQuery, []byte("page"), []byte(strconv.Itoa(r.Intn(10))))
			s.Parameter(analyze.InQuery, []byte("sort"), []byte(word()))
			s.Parameter(analyze.InHeader, []byte("x-tenant"), []byte(word()))
		}
		sets[i] = s
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	used := float64(after.HeapAlloc) - float64(before.HeapAlloc)
	t.Logf("%.1f MB for %d endpoints of %d fields: %.1f KB each", used/1e6, endpoints, sets[0].Nodes(), used/endpoints/1e3)
	if used > most {
		t.Errorf("%.1f MB are in use, want %.0f at most", used/1e6, most/1e6)
	}
	runtime.KeepAlive(sets)
}

func TestAllocations(t *testing.T) {
	s, text, contentType := NewSet(Options{}), sample(20), []byte(asJSON)
	page, one := []byte("page"), []byte("1")
	var r Recorder
	var w body.Walker
	learn := func() {
		r.Open(s, analyze.Response, 200, contentType)
		r.Close(w.Walk(contentType, text, &r).Complete)
		s.Message()
		s.Parameter(analyze.InQuery, page, one)
	}
	learn()
	learn()
	if n := testing.AllocsPerRun(100, learn); n > 0 {
		t.Errorf("%v allocations a body of a known shape", n)
	}
}

func FuzzRecorder(f *testing.F) {
	f.Add([]byte(`{"a":[{"b":1},{"b":null}],"77":{"x":"y"}}`), []byte(`{"a":`))
	f.Fuzz(func(t *testing.T, x, y []byte) {
		o := Options{Nodes: 50, Children: 5, Depth: 4, Values: 2}
		s := learn(NewSet(o), string(x), string(y))
		s.Merge(learn(NewSet(o), string(y)))
		if s.nodes > 50 {
			t.Fatalf("%d nodes", s.nodes)
		}
		_, fields := s.Fields(nil)
		for _, f := range fields {
			if f.Required && f.Present < f.Of {
				t.Errorf("%+v", f)
			}
		}
		s.Like(learn(NewSet(o), string(x)))
	})
}

func BenchmarkRecorder(b *testing.B) {
	s, text, contentType := NewSet(Options{}), sample(40), []byte(asJSON)
	var r Recorder
	var w body.Walker
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		r.Open(s, analyze.Response, 200, contentType)
		r.Close(w.Walk(contentType, text, &r).Complete)
	}
}
