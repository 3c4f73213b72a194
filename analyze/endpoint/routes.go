package endpoint

import (
	"bytes"
	"fmt"
	"strings"

	"plainsight/analyze"
)

// Route is a path template that a person or a document names, so that nothing
// has to be inferred of it.
type Route struct {
	Method   string // empty: any
	Host     string // name of the service; empty: any
	Template string // /users/{id}; {name*} or {name+} at the end takes the rest
}

// Routes are templates that go before what a [Tree] infers: what fits one is of
// its endpoint. They are read only, and any number of trees may share them.
type Routes struct {
	list []Route
	all  map[string]bool      // templates as endpoints show them
	any  *junction            // of routes for any host
	host map[string]*junction // of these and those for the host
}

// junction is a segment of templates below its parent.
type junction struct {
	names map[string]*junction
	parts []part // a parameter within a segment, in the order given
	whole *junction
	rest  *way // {name*}
	end   *way
}

// part is a segment that holds parameters and text.
type part struct {
	text []string // before, between and after the parameters
	to   *junction
}

// way is a template with the methods that it is for.
type way struct {
	template string
	methods  []string // none: any
	segments []string
	params   []string // names, in order
}

const (
	maxRoutes = 100_000
	maxWay    = 64 // segments
)

// ParseRoutes reads a list of routes: METHOD and /path/{id} or host/path/{id} on
// each line, or these alone for any method. What follows a # says nothing.
func ParseRoutes(text []byte) (list []Route, err error) {
	number := 0
	for line := range bytes.Lines(text) {
		number++
		words := strings.Fields(string(line))
		for i, word := range words {
			if word[0] == '#' { // a comment
				words = words[:i]
				break
			}
		}
		if len(words) == 0 {
			continue
		}
		var r Route
		if len(words) == 2 {
			r.Method, words = strings.ToUpper(words[0]), words[1:]
		}
		target := words[0]
		if _, rest, ok := strings.Cut(target, "://"); ok {
			target = rest
		}
		host, path, ok := strings.Cut(target, "/")
		if len(words) != 1 || !ok || r.Method != "" && !letters([]byte(strings.ReplaceAll(r.Method, "-", ""))) {
			return nil, fmt.Errorf("line %d is no route (want METHOD /path/{id} or METHOD host/path/{id})", number)
		}
		r.Host, r.Template = host, "/"+path
		if _, _, err := r.segments(); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		list = append(list, r)
	}
	return list, nil
}

// NewRoutes prepares routes.
func NewRoutes(list []Route) (*Routes, error) {
	if len(list) > maxRoutes {
		return nil, fmt.Errorf("%d routes are too many (at most %d)", len(list), maxRoutes)
	}
	r := &Routes{all: map[string]bool{}, any: new(junction), host: map[string]*junction{}}
	for _, route := range list {
		route.Host = hostOf(route.Host)
		if _, _, err := route.segments(); err != nil {
			return nil, fmt.Errorf("%s: %w", analyze.Clean([]byte(route.Template)), err)
		}
		r.list = append(r.list, route)
		if route.Host != "" {
			r.host[route.Host] = new(junction)
		}
	}
	for _, route := range r.list {
		if route.Host == "" {
			r.all[r.any.add(route)] = true
		}
		for host, j := range r.host {
			if route.Host == "" || route.Host == host {
				r.all[j.add(route)] = true
			}
		}
	}
	return r, nil
}

// Has reports whether a template, as endpoints show it, is one of those given
// for some host.
func (r *Routes) Has(template string) bool { return r.all[template] }

// For returns the routes of a service, nil where it has none.
func (r *Routes) For(service string) *Routes {
	if r == nil {
		return nil
	}
	j := r.host[hostOf(service)]
	if j == nil {
		j = r.any
	}
	if j.names == nil && j.parts == nil && j.whole == nil && j.rest == nil && j.end == nil {
		return nil
	}
	return &Routes{any: j}
}

// hostOf is a host as services are named.
func hostOf(s string) string {
	s = strings.ToLower(s)
	return strings.TrimSuffix(strings.TrimSuffix(s, ":443"), ":80")
}

// segments cuts the template and names its parameters. In its segments, a
// parameter is {}, or {*} for the rest of a path.
func (r Route) segments() (segments, params []string, err error) {
	if !strings.HasPrefix(r.Template, "/") {
		return nil, nil, fmt.Errorf("a path begins with /")
	}
	path := strings.Trim(r.Template, "/")
	if path == "" {
		return nil, nil, nil
	}
	all := strings.Split(path, "/")
	if len(all) > maxWay {
		return nil, nil, fmt.Errorf("a path of more than %d segments", maxWay)
	}
	for i, s := range all {
		if len(s) > 1 && s[0] == ':' { // /users/:id
			s = "{" + s[1:] + "}"
		}
		var b strings.Builder
		for {
			before, rest, ok := strings.Cut(s, "{")
			if strings.Contains(before, "}") {
				return nil, nil, fmt.Errorf("} without {")
			}
			b.WriteString(before)
			if !ok {
				break
			}
			name, after, ok := strings.Cut(rest, "}")
			if !ok || strings.Contains(name, "{") {
				return nil, nil, fmt.Errorf("{ without }")
			}
			mark := "{}"
			if n := strings.TrimRight(name, "*+"); n != name {
				if name, mark = n, "{*}"; i != len(all)-1 || before != "" || after != "" {
					return nil, nil, fmt.Errorf("{%s*} must be the last segment", analyze.Clean([]byte(name)))
				}
			}
			if name == "" {
				name = "id"
			}
			b.WriteString(mark)
			params = append(params, name)
			s = after
		}
		segments = append(segments, b.String())
	}
	return segments, params, nil
}

// add adds a route that [Route.segments] accepts. The first of two templates
// that differ in the names of parameters alone gives the names; the template is
// returned with them.
func (j *junction) add(r Route) (template string) {
	segments, params, _ := r.segments()
	w := &way{segments: segments}
	used := map[string]int{}
	for _, p := range params {
		if used[p]++; used[p] > 1 {
			p = fmt.Sprintf("%s_%d", p, used[p])
		}
		w.params = append(w.params, p)
	}
	n := 0
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		for {
			before, after, ok := cutMark(s)
			b.WriteString(before)
			if !ok {
				break
			}
			b.WriteString("{" + w.params[n] + "}")
			n++
			s = after
		}
	}
	w.template = b.String()
	if w.template == "" {
		w.template = "/"
	}
	end := &j.end
	for _, s := range segments {
		switch before, _, ok := cutMark(s); {
		case !ok:
			if j.names == nil {
				j.names = map[string]*junction{}
			}
			name := string(unescape([]byte(before)))
			if j.names[name] == nil {
				j.names[name] = new(junction)
			}
			j = j.names[name]
		case s == "{*}":
			end = &j.rest
			continue
		case s == "{}":
			if j.whole == nil {
				j.whole = new(junction)
			}
			j = j.whole
		default:
			text := strings.Split(s, "{}")
			j = j.part(text)
		}
		end = &j.end
	}
	if *end == nil {
		*end = w
	} else if len((*end).methods) == 0 {
		return (*end).template
	}
	if r.Method == "" {
		(*end).methods = nil
	} else {
		(*end).methods = append((*end).methods, strings.ToUpper(r.Method))
	}
	return (*end).template
}

// cutMark cuts at the first {} or {*}.
func cutMark(s string) (before, after string, ok bool) {
	before, after, ok = strings.Cut(s, "{")
	if !ok {
		return s, "", false
	}
	_, after, _ = strings.Cut(after, "}")
	return before, after, true
}

func (j *junction) part(text []string) *junction {
	for i := range text {
		text[i] = string(unescape([]byte(text[i])))
	}
	for _, p := range j.parts {
		if strings.Join(p.text, "\x00") == strings.Join(text, "\x00") {
			return p.to
		}
	}
	j.parts = append(j.parts, part{text, new(junction)})
	return j.parts[len(j.parts)-1].to
}

// unescape undoes percent-encoding, in place.
func unescape(s []byte) []byte {
	to := s[:0]
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) {
			if h, l := nibble(s[i+1]), nibble(s[i+2]); h >= 0 && l >= 0 {
				c = byte(h<<4 | l)
				i += 2
			}
		}
		to = append(to, c)
	}
	return to
}

// fits reports whether a segment has the text of the part, and something in the
// place of each parameter.
func (p *part) fits(s []byte) bool {
	last := len(p.text) - 1
	if len(s) <= len(p.text[0])+len(p.text[last]) || string(s[:len(p.text[0])]) != p.text[0] || string(s[len(s)-len(p.text[last]):]) != p.text[last] {
		return false
	}
	s = s[len(p.text[0]) : len(s)-len(p.text[last])]
	for _, text := range p.text[1:last] {
		if len(s) == 0 {
			return false
		}
		i := bytes.Index(s[1:], []byte(text))
		if i < 0 {
			return false
		}
		s = s[1+i+len(text):]
	}
	return len(s) > 0
}

// routed finds the template that a path (as on the wire) fits: a name goes
// before a part, a part before a parameter. Steps are bounded.
func (t *Tree[R]) routed(path []byte) *way {
	if t.opts.Routes == nil {
		return nil
	}
	steps := 1000
	return t.lead(t.opts.Routes.any, path, &steps)
}

func (t *Tree[R]) lead(j *junction, path []byte, steps *int) *way {
	if *steps--; *steps < 0 {
		return nil
	}
	if len(path) == 0 || len(path) == 1 && path[0] == '/' {
		return j.end
	}
	segment, rest := cut(path)
	if k := j.names[string(t.decode(segment))]; k != nil {
		if w := t.lead(k, rest, steps); w != nil {
			return w
		}
	}
	for i := range j.parts {
		if p := &j.parts[i]; p.fits(t.decode(segment)) {
			if w := t.lead(p.to, rest, steps); w != nil {
				return w
			}
		}
	}
	if j.whole != nil && len(segment) > 0 {
		if w := t.lead(j.whole, rest, steps); w != nil {
			return w
		}
	}
	return j.rest
}

// takes reports whether a template is for a method.
func (w *way) takes(method []byte) bool {
	for _, m := range w.methods {
		if m == string(method) {
			return true
		}
	}
	return len(w.methods) == 0
}

// pin is what a tree has of a template that was given.
type pin[R any] struct {
	node[R]
	way    *way
	values [][nClasses]uint32 // of each parameter
}

// Routed reports whether a path has a template that was given, for the method.
func (t *Tree[R]) Routed(method, path []byte) bool {
	w := t.routed(path)
	return w != nil && w.takes(method)
}

// pinned returns the record of an exchange whose path fits w. A method that
// nobody named makes an endpoint only by success.
func (t *Tree[R]) pinned(w *way, method, path []byte, success bool) (rec R, ok bool) {
	t.path, t.leaf = t.path[:0], nil
	if !success && !w.takes(method) {
		t.noise++
		return rec, false
	}
	p := t.pins[w.template]
	if p == nil {
		if t.pins == nil {
			t.pins = map[string]*pin[R]{}
		}
		p = &pin[R]{way: w, values: make([][nClasses]uint32, len(w.params))}
		t.pins[w.template] = p
	}
	l := p.at(method)
	if l == nil {
		if len(p.leaves) >= methods || len(method) > 32 {
			t.misfits++
			return rec, false
		}
		t.given++
		p.leaves = append(p.leaves, leaf[R]{method: string(method), rec: t.newRecord()})
		l = &p.leaves[len(p.leaves)-1]
	}
	l.n++
	if !success {
		return l.rec, true // what was refused in a parameter's place is none of its values
	}
	p.n++
	n := 0
	for _, s := range w.segments {
		segment, rest := cut(path)
		before, after, ok := cutMark(s)
		if ok && n < len(p.values) {
			c := text
			if s != "{*}" && !strings.Contains(after, "{") {
				if v := t.decode(segment); len(v) > len(before)+len(after) {
					c = classify(v[len(before) : len(v)-len(after)])
				}
			}
			for range strings.Count(s, "{") {
				p.values[n][c]++
				n++
			}
		}
		path = rest
	}
	return l.rec, true
}

// mergePins adds what o has of templates that were given.
func (t *Tree[R]) mergePins(o *Tree[R]) {
	for template, from := range o.pins {
		to := t.pins[template]
		if to == nil {
			if t.pins == nil {
				t.pins = map[string]*pin[R]{}
			}
			to = &pin[R]{way: from.way, values: make([][nClasses]uint32, len(from.values))}
			t.pins[template] = to
		}
		to.n += from.n
		for i := range from.values {
			for c, n := range from.values[i] {
				to.values[i][c] += n
			}
		}
		for i := range from.leaves {
			l := &from.leaves[i]
			into := to.at([]byte(l.method))
			if into == nil {
				t.given++
				to.leaves = append(to.leaves, leaf[R]{method: l.method, rec: t.newRecord()})
				into = &to.leaves[len(to.leaves)-1]
			}
			into.rec.Merge(l.rec)
			into.n += l.n
		}
	}
}

// params describes the parameters of a template that was given.
func (p *pin[R]) params() (list []Param) {
	for i, name := range p.way.params {
		var classes [nClasses]uint64
		for c, n := range p.values[i] {
			classes[c] = uint64(n)
		}
		kind, format := formOf(&classes)
		list = append(list, Param{Name: name, Type: kind, Format: format, Count: p.n})
	}
	return list
}
