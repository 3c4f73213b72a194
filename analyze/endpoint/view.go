package endpoint

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Endpoint is a method and a path template.
type Endpoint struct {
	Method   string
	Template string // with {name} for parameters; literals are as decoded, with / and % encoded
	Params   []Param
}

// Param is a parameter of a path.
type Param struct {
	Name   string
	Type   string   // of JSON Schema
	Format string   // of JSON Schema, or empty
	Enum   []string // words, each seen often, that are all there is
	Count  uint64   // requests that had it
}

// View is what a tree decided at one moment.
type View[R Record[R]] struct {
	tree  *Tree[R]
	root  *group[R]
	noise uint64
}

// Decide finds the endpoints that the traffic so far shows. It takes time in
// proportion to what the tree holds: some milliseconds for hundreds of
// endpoints. The view is true until the next call of [Tree.At] or
// [Tree.Merge].
func (t *Tree[R]) Decide() *View[R] {
	d := &decider[R]{tree: t}
	return d.view()
}

func (d *decider[R]) view() *View[R] {
	d.pages()
	root := d.load(d.tree.root)
	for _, d.bar = range bars {
		d.decide(root, 0)
		d.spans(root)
	}
	d.protect(root, 0)
	v := &View[R]{tree: d.tree, root: root, noise: d.tree.noise + d.noise}
	v.settle()
	return v
}

// Endpoints decides and returns the endpoints: [View.Endpoints] of
// [Tree.Decide].
func (t *Tree[R]) Endpoints() iter.Seq2[Endpoint, R] { return t.Decide().Endpoints() }

// Endpoints yields the endpoints by template and method. A record may be the
// tree's own: it must not be changed.
func (v *View[R]) Endpoints() iter.Seq2[Endpoint, R] {
	type row struct {
		e   Endpoint
		rec R
	}
	var rows []row
	v.root.each(nil, func(e Endpoint, rec R) bool {
		rows = append(rows, row{e, rec})
		return true
	})
	for _, p := range v.tree.pins {
		for i := range p.leaves {
			rows = append(rows, row{Endpoint{Method: p.leaves[i].method, Template: p.way.template, Params: p.params()}, p.leaves[i].rec})
		}
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.e.Template, b.e.Template), cmp.Compare(a.e.Method, b.e.Method))
	})
	return func(yield func(Endpoint, R) bool) {
		for _, r := range rows {
			if !yield(r.e, r.rec) {
				return
			}
		}
	}
}

// Noise is the number of exchanges that belong to no endpoint: failed ones, and
// those that were answered by a page for anything.
func (v *View[R]) Noise() uint64 { return v.noise }

// Route finds the endpoint of a path (as on the wire, without a query) as
// OpenAPI does: a literal goes before a parameter within a segment before a
// whole one.
func (v *View[R]) Route(method, path []byte) (e Endpoint, rec R, ok bool) {
	if w := v.tree.routed(path); w != nil {
		p := v.tree.pins[w.template]
		if p == nil || p.at(method) == nil {
			return e, rec, false
		}
		return Endpoint{Method: string(method), Template: w.template, Params: p.params()}, p.at(method).rec, true
	}
	m, way := v.route(string(method), path)
	if m == nil {
		return e, rec, false
	}
	e.Method = string(method)
	e.Template, e.Params = describe(way)
	return e, m.rec, true
}

// protect makes parameters of literals that could be private.
func (d *decider[R]) protect(g *group[R], depth int) {
	for _, name := range slices.Sorted(maps.Keys(g.kids)) {
		k := g.kids[name]
		if !k.param && private([]byte(name)) && !versioned([]byte(name), g.name, depth) {
			delete(g.kids, name)
			k.param, k.name = true, "{}"
			if to := g.kids["{}"]; to != nil {
				d.join(to, k)
			} else {
				g.kids["{}"] = k
			}
		}
	}
	for _, k := range g.kids {
		d.protect(k, depth+1)
	}
}

// settle gives the records of failures to the endpoints that they are of.
func (v *View[R]) settle() {
	failed := v.tree.failed.kids
	for _, path := range slices.Sorted(maps.Keys(failed)) {
		for i := range failed[path].leaves {
			l := &failed[path].leaves[i]
			to, _ := v.route(l.method, []byte(path))
			if to == nil {
				v.noise += l.n
				continue
			}
			if !to.mine {
				rec := v.tree.newRecord()
				rec.Merge(to.rec)
				*to = merged[R]{rec, to.n, true}
			}
			to.rec.Merge(l.rec)
		}
	}
}

// route finds what a path leads to, and the groups on the way, with
// backtracking: at most a thousand steps of it.
func (v *View[R]) route(method string, path []byte) (found *merged[R], way []*group[R]) {
	steps := 0
	var find func(g *group[R], path []byte, depth int) *merged[R]
	find = func(g *group[R], path []byte, depth int) *merged[R] {
		if steps++; steps > 1000 {
			return nil
		}
		if len(path) == 0 || string(path) == "/" {
			return g.leaves[method]
		}
		segment, rest := cut(path)
		last := depth == v.tree.opts.Segments-1
		if last {
			segment, rest = path, nil
		}
		name := string(v.tree.decode(segment))
		pattern, _, _ := v.tree.read([]byte(name), g.name, depth, last)
		part := string(pattern)
		file := ""
		if _, tail := tail([]byte(name)); tail != nil {
			file = "{}" + string(tail)
		}
		for i, key := range [...]string{name, part, file, "{}"} {
			k := g.kids[key]
			if k == nil || i > 0 && (key == name || !k.param) || i == 2 && key == part || i < 3 && key == "{}" {
				continue
			}
			way = append(way, k)
			if m := find(k, rest, depth+1); m != nil {
				return m
			}
			way = way[:len(way)-1]
		}
		return nil
	}
	return find(v.root, path, 0), way
}

// each yields what lies below g in order.
func (g *group[R]) each(above []*group[R], yield func(Endpoint, R) bool) bool {
	for _, method := range slices.Sorted(maps.Keys(g.leaves)) {
		template, params := describe(above)
		if !yield(Endpoint{Method: method, Template: template, Params: params}, g.leaves[method].rec) {
			return false
		}
	}
	for _, name := range slices.Sorted(maps.Keys(g.kids)) {
		if !g.kids[name].each(append(above, g.kids[name]), yield) {
			return false
		}
	}
	return true
}

// describe writes a template and its parameters.
func describe[R any](path []*group[R]) (template string, params []Param) {
	if len(path) == 0 {
		return "/", nil
	}
	var b strings.Builder
	used := map[string]int{}
	before := ""
	for _, g := range path {
		b.WriteByte('/')
		if !g.param {
			before = g.name
			escape(&b, g.name)
			continue
		}
		p := Param{Count: g.n}
		p.Type, p.Format = g.form()
		p.Name = label(before, p)
		if used[p.Name]++; used[p.Name] > 1 {
			p.Name += "_" + strconv.Itoa(used[p.Name])
		}
		before = ""
		head, tail, _ := strings.Cut(g.name, "{}")
		escape(&b, head)
		b.WriteString("{" + p.Name + "}")
		escape(&b, tail)
		params = append(params, p)
	}
	return b.String(), params
}

// form is the type and format of all values of a parameter.
func (g *group[R]) form() (kind, format string) { return formOf(&g.classes) }

func formOf(classes *[nClasses]uint64) (kind, format string) {
	first := true
	for c, n := range classes {
		if n == 0 {
			continue
		}
		f := forms[c]
		if first {
			kind, format = f.kind, f.format
			first = false
			continue
		}
		if kind != f.kind || format != f.format {
			return "string", ""
		}
	}
	if kind == "" {
		kind = "string"
	}
	return kind, format
}

// label names a parameter after the literal before it.
func label(before string, p Param) string {
	switch p.Format {
	case "email", "date":
		return p.Format
	}
	var b strings.Builder
	for i, c := range []byte(before) {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9' && b.Len() > 0:
			b.WriteByte(c)
		case 'A' <= c && c <= 'Z':
			if i > 0 && b.Len() > 0 && before[i-1] >= 'a' {
				b.WriteByte('_')
			}
			b.WriteByte(c | 0x20)
		case b.Len() > 0:
			b.WriteByte('_')
		}
	}
	name := strings.TrimRight(b.String(), "_")
	switch {
	case name == "" || len(name) > 40:
		return "id"
	case strings.HasSuffix(name, "ies") && len(name) > 4:
		name = name[:len(name)-3] + "y"
	case strings.HasSuffix(name, "sses") || strings.HasSuffix(name, "xes") || strings.HasSuffix(name, "ches"):
		name = name[:len(name)-2]
	case plural(name):
		name = name[:len(name)-1]
	}
	return name + "_id"
}

// escape writes a literal so that it can stand in a template.
func escape(b *strings.Builder, s string) {
	for _, c := range []byte(s) {
		switch {
		case c <= ' ' || c == 0x7f || c == '/' || c == '%' || c == '{' || c == '}' || c == '?' || c == '#' || c == '"' || c == '<' || c == '>' || c >= 0x80:
			const digits = "0123456789ABCDEF"
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		default:
			b.WriteByte(c)
		}
	}
}
