package endpointtest

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"math/rand"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Style says what traffic is like. The zero value is an empty capture.
type Style struct {
	Seed       int64
	Operations int     // of a document, at most
	Requests   int     // for each operation, in the mean: most have fewer
	Words      float64 // share of the parameters without a format whose values are words: slugs, names of people and files
	Echo       float64 // share of the answers that hold the id that was asked for
	Bare       bool    // no bodies
	Noise      float64 // share of exchanges that are of no endpoint
}

// Operation is what requests were made of.
type Operation struct {
	Method, Host, Template string // with the names of parameters
	Successes              int

	segments []segment
	writes   bool
	request  any
	response any
	status   int
}

type segment struct {
	text string // around {}, or all of it
	kind kind   // of the value; none for a literal
	enum []string
	pool int
}

// Set is traffic with its truth.
type Set struct {
	Operations []*Operation
	Exchanges  []Exchange // Operation is -1 for noise
}

// maker draws traffic of a document.
type maker struct {
	style  Style
	r      *rand.Rand
	doc    map[string]any
	kinds  map[string]kind // by the name of a parameter: an API has its habits
	house  kind            // what its ids are
	digits bool            // its words have digits
	set    Set
	budget int // properties of one body
}

// Make draws traffic of an OpenAPI or Swagger document (JSON). The same document
// and style give the same traffic. It has no operations where the document has
// fewer than eight.
func Make(document []byte, style Style) (*Set, error) {
	m := &maker{style: style, kinds: map[string]kind{}}
	if err := json.Unmarshal(document, &m.doc); err != nil {
		return nil, err
	}
	h := fnv.New64a()
	h.Write(document)
	m.r = rand.New(rand.NewSource(int64(h.Sum64()) ^ style.Seed))
	m.house = ids[m.r.Intn(len(ids))]
	m.digits = m.r.Intn(3) == 0
	m.operations()
	if len(m.set.Operations) < 8 {
		return &Set{}, nil
	}
	m.exchanges()
	return &m.set, nil
}

func at(v any, keys ...string) any {
	for _, k := range keys {
		o, _ := v.(map[string]any)
		v = o[k]
	}
	return v
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// resolve follows references within the document.
func (m *maker) resolve(v any) any {
	for range 8 {
		ref := text(at(v, "$ref"))
		if !strings.HasPrefix(ref, "#/") {
			return v
		}
		v = any(m.doc)
		for k := range strings.SplitSeq(ref[2:], "/") {
			v = at(v, strings.NewReplacer("~1", "/", "~0", "~").Replace(k))
		}
	}
	return nil
}

var methods = []string{"get", "put", "post", "delete", "patch"}

// operations takes families of paths until there are enough.
func (m *maker) operations() {
	host, base := "api.test", strings.TrimSuffix(text(m.doc["basePath"]), "/")
	if servers, _ := m.doc["servers"].([]any); len(servers) > 0 {
		if u, err := url.Parse(text(at(servers[0], "url"))); err == nil && !strings.Contains(u.Path, "{") {
			base = strings.TrimSuffix(u.Path, "/")
		}
	}
	paths, _ := m.doc["paths"].(map[string]any)
	families := map[string][]string{}
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		if !strings.HasPrefix(p, "/") || strings.ContainsAny(p, "#?+*") {
			continue
		}
		var names []string
		for s := range strings.SplitSeq(p[1:], "/") {
			if !strings.Contains(s, "{") && len(names) < 2 {
				names = append(names, s)
			}
		}
		f := strings.Join(names, "/")
		families[f] = append(families[f], p)
	}
	order := slices.Sorted(maps.Keys(families))
	m.r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	seen := map[string]bool{}
	for _, f := range order {
		for _, p := range families[f] {
			for _, method := range methods {
				op := m.resolve(at(paths[p], method))
				if op == nil || len(m.set.Operations) >= m.style.Operations {
					continue
				}
				o := m.operation(strings.ToUpper(method), host, base+p, paths[p], op)
				if o != nil && !seen[o.Method+Unnamed(o.Template)] {
					seen[o.Method+Unnamed(o.Template)] = true
					m.set.Operations = append(m.set.Operations, o)
				}
			}
		}
	}
}

// Unnamed drops the names of parameters and a slash at the end.
func Unnamed(template string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(template, "{")
		b.WriteString(before)
		if !ok {
			return strings.TrimSuffix(b.String(), "/")
		}
		b.WriteString("{}")
		_, template, _ = strings.Cut(rest, "}")
	}
}

func (m *maker) operation(method, host, template string, item, op any) *Operation {
	o := &Operation{Method: method, Host: host, Template: template, writes: method != "GET", status: 200}
	parameters := map[string]any{}
	for _, list := range []any{at(item, "parameters"), at(op, "parameters")} {
		all, _ := list.([]any)
		for _, p := range all {
			p = m.resolve(p)
			switch text(at(p, "in")) {
			case "path":
				parameters[text(at(p, "name"))] = p
			case "body":
				o.request = at(p, "schema")
			}
		}
	}
	before := ""
	for s := range strings.SplitSeq(strings.Trim(template, "/"), "/") {
		if strings.Count(s, "{") > 1 {
			return nil
		}
		head, rest, ok := strings.Cut(s, "{")
		if !ok {
			before = s
			o.segments = append(o.segments, segment{text: s})
			continue
		}
		name, tail, _ := strings.Cut(rest, "}")
		schema := m.resolve(at(parameters[name], "schema"))
		if schema == nil {
			schema = parameters[name]
		}
		g := segment{text: head + "{}" + tail}
		if e, _ := m.resolve(schema).(map[string]any)["enum"].([]any); len(e) > 0 && len(e) < 40 {
			for _, v := range e {
				if s := fmt.Sprint(v); s != "" {
					g.enum = append(g.enum, s)
				}
			}
		}
		g.kind = m.kind(name, before, schema)
		g.pool = 1 + int(math.Exp(m.r.Float64()*4.5))
		o.segments = append(o.segments, g)
		before = ""
	}
	if c, _ := at(m.resolve(at(op, "requestBody")), "content").(map[string]any); c != nil {
		o.request = at(c["application/json"], "schema")
	}
	responses, _ := at(op, "responses").(map[string]any)
	for _, status := range slices.Sorted(maps.Keys(responses)) {
		if n, err := strconv.Atoi(status); err != nil || n < 200 || n > 299 {
			continue
		}
		o.status, _ = strconv.Atoi(status)
		v := m.resolve(responses[status])
		o.response = at(v, "schema")
		if c, _ := at(v, "content").(map[string]any); c != nil {
			o.response = at(c["application/json"], "schema")
		}
		break
	}
	return o
}

// exchanges draws requests by a power law.
func (m *maker) exchanges() {
	ops := m.set.Operations
	exponent := 1.2 + m.r.Float64()*0.5
	order := m.r.Perm(len(ops))
	slices.SortStableFunc(order, func(a, b int) int { // reads mostly come first
		x, y := 0, 0
		if ops[a].writes && m.r.Intn(3) > 0 {
			x = 1
		}
		if ops[b].writes && m.r.Intn(3) > 0 {
			y = 1
		}
		return x - y
	})
	weights, sum := make([]float64, len(ops)), 0.0
	for rank, i := range order {
		weights[i] = math.Pow(float64(rank+3), -exponent)
		sum += weights[i]
	}
	total := float64(m.style.Requests * len(ops))
	for i := range ops {
		n := weights[i] / sum * total
		for k := range max(1, int(n+m.r.Float64())) {
			m.exchange(i, k == 0)
			if m.r.Float64() < m.style.Noise/(1-m.style.Noise) {
				m.noise()
			}
		}
	}
	m.r.Shuffle(len(m.set.Exchanges), func(i, j int) {
		m.set.Exchanges[i], m.set.Exchanges[j] = m.set.Exchanges[j], m.set.Exchanges[i]
	})
}

// path draws the path of a request; own is the last value.
func (m *maker) path(o *Operation) (path, own string) {
	var b strings.Builder
	above := "" // children belong to their parent
	for _, s := range o.segments {
		b.WriteByte('/')
		if s.kind == none && s.enum == nil {
			b.WriteString(s.text)
			above += "/" + s.text
			continue
		}
		v := ""
		switch {
		case s.enum != nil:
			v = s.enum[int(float64(len(s.enum))*math.Pow(m.r.Float64(), 1.5))]
		default:
			n := int(float64(s.pool) * math.Pow(m.r.Float64(), 2))
			v = m.value(s.kind, above+"#"+strconv.Itoa(n))
		}
		own = v
		above += "/" + v
		b.WriteString(strings.Replace(s.text, "{}", url.PathEscape(v), 1))
	}
	return b.String(), own
}

func (m *maker) exchange(i int, first bool) {
	o := m.set.Operations[i]
	path, own := m.path(o)
	x := Exchange{Method: o.Method, Scheme: "https", Host: o.Host, Path: path, Status: o.status, Operation: i}
	if len(o.segments) > 0 && o.segments[len(o.segments)-1].kind == none {
		own = ""
	}
	kind := [][2]string{{"content-type", "application/json"}}
	if o.writes && o.request != nil && !m.style.Bare {
		x.ReqBody, x.ReqHeaders = m.body(o.request, "", ""), kind
	}
	if !first && m.r.Intn(10) == 0 {
		x.Status = []int{400, 401, 404, 429, 500}[m.r.Intn(5)]
		if !m.style.Bare {
			x.RespBody, x.RespHeaders = `{"error":{"message":"no","code":"x"}}`, kind
		}
	} else {
		o.Successes++
		if o.response != nil && o.status != 204 && !m.style.Bare {
			if m.r.Float64() >= m.style.Echo {
				own = ""
			}
			x.RespBody, x.RespHeaders = m.body(o.response, own, path), kind
		}
	}
	m.set.Exchanges = append(m.set.Exchanges, x)
}

var scans = strings.Fields("/wp-login.php /.env /.git/config /admin/config.php /phpmyadmin/index.php /actuator/health /cgi-bin/test /server-status /favicon.ico /robots.txt /static/app.js /assets/main.css /vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php /api/../../etc/passwd")

// noise draws what no endpoint answers.
func (m *maker) noise() {
	x := Exchange{Method: "GET", Scheme: "https", Host: "api.test", Status: 404, Operation: -1}
	o := m.set.Operations[m.r.Intn(len(m.set.Operations))]
	path, _ := m.path(o)
	switch m.r.Intn(4) {
	case 0:
		x.Path = scans[m.r.Intn(len(scans))]
	case 1:
		x.Path = path + "/" + m.word(m.r)
	case 2:
		x.Path, x.Method, x.Status = path, "OPTIONS", 204
	case 3:
		x.Path = path[:strings.LastIndexByte(path, '/')+1] + url.PathEscape("1' OR '1'='1")
		x.Status = 400
	}
	m.set.Exchanges = append(m.set.Exchanges, x)
}
