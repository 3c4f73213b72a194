package endpoint

import (
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

// Endpoints decides and returns the endpoints with their records, by template
// and method. A record may be the tree's own: it must not be changed and is
// true until the next call of [Tree.At].
func (t *Tree[R]) Endpoints() iter.Seq2[Endpoint, R] {
	root := t.decided()
	noise := t.settle(root)
	_ = noise
	return func(yield func(Endpoint, R) bool) {
		root.each(nil, yield)
	}
}

func (t *Tree[R]) decided() *group[R] {
	d := &decider[R]{tree: t}
	d.pages()
	root := d.load(t.root)
	for _, d.bar = range bars {
		d.decide(root, 0)
	}
	d.protect(root, 0)
	return root
}

// protect makes parameters of literals that could be private.
func (d *decider[R]) protect(g *group[R], depth int) {
	for _, name := range slices.Sorted(maps.Keys(g.kids)) {
		k := g.kids[name]
		if !k.param && private([]byte(name)) && !versioned([]byte(name), depth) {
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

// settle gives the records of failures to the endpoints that they are of and
// returns how many have none.
func (t *Tree[R]) settle(root *group[R]) (noise uint64) {
	for _, path := range slices.Sorted(maps.Keys(t.failed.kids)) {
		n := t.failed.kids[path]
		for i := range n.leaves {
			l := &n.leaves[i]
			to := t.route(root, l.method, []byte(path))
			if to == nil {
				noise += l.n
				continue
			}
			if !to.mine {
				rec := t.newRecord()
				rec.Merge(to.rec)
				*to = merged[R]{rec, to.n, true}
			}
			to.rec.Merge(l.rec)
		}
	}
	return noise
}

// route finds the endpoint of a path as OpenAPI does: a literal before a
// parameter within a segment before a parameter, with backtracking.
func (t *Tree[R]) route(g *group[R], method string, path []byte) *merged[R] {
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
		last := depth == t.opts.Segments-1
		if last {
			segment, rest = path, nil
		}
		segment = t.decode(segment)
		name := string(segment)
		if k := g.kids[name]; k != nil {
			if m := find(k, rest, depth+1); m != nil {
				return m
			}
		}
		pattern, _, _ := t.read([]byte(name), depth, last)
		part := string(pattern)
		if part != name && part != "{}" {
			if k := g.kids[part]; k != nil {
				if m := find(k, rest, depth+1); m != nil {
					return m
				}
			}
		}
		if _, tail := extension(pattern); tail != nil && part == name {
			if k := g.kids["{}"+string(tail)]; k != nil {
				if m := find(k, rest, depth+1); m != nil {
					return m
				}
			}
		}
		if k := g.kids["{}"]; k != nil {
			return find(k, rest, depth+1)
		}
		return nil
	}
	return find(g, path, 0)
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
func (g *group[R]) form() (kind, format string) {
	first := true
	for c, n := range g.classes {
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
