package endpoint

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// group is a decided node: one literal, or all that became one parameter.
type group[R any] struct {
	name    string // literal, or pattern of a parameter
	param   bool
	n       uint64
	raws    int // nodes of the tree that it is made of
	own     uint64
	able    uint64
	self    uint64
	echoed  bool // an id of some answer is spelled so
	classes [nClasses]uint64
	kids    map[string]*group[R] // by name; parameters by pattern
	leaves  map[string]*merged[R]
	members []member // literals that became this parameter
}

type member struct {
	name string
	n    uint64
	why  *weighed // where somebody wants to know
}

// merged is a record, a tree's own until something is merged into it.
type merged[R any] struct {
	rec  R
	n    uint64
	mine bool
}

// decider turns what a tree has accumulated into groups.
type decider[R Record[R]] struct {
	tree  *Tree[R]
	soft  map[uint64]bool // HTML pages that answer anything
	noise uint64          // exchanges that they answered
	bar   float64

	explain bool // keep what decisions rest on
}

// load copies the tree, without records.
func (d *decider[R]) load(n *node[R]) *group[R] {
	g := &group[R]{raws: 1, name: n.name, param: n.param, n: n.n, own: n.own, able: n.able, self: n.self, kids: map[string]*group[R]{}, leaves: map[string]*merged[R]{}}
	for c, k := range n.classes {
		g.classes[c] = uint64(k)
	}
	if !n.param {
		g.echoed = d.tree.values.has(n.hash)
		g.members = []member{{name: n.name, n: n.n}}
	}
	for i := range n.leaves {
		l := &n.leaves[i]
		if l.page != 0 && !l.mixed && d.soft[l.page] {
			d.noise += l.n
			continue
		}
		g.leaves[l.method] = &merged[R]{rec: l.rec, n: l.n}
	}
	for _, k := range n.kids {
		if kid := d.load(k); len(kid.kids) > 0 || len(kid.leaves) > 0 {
			g.kids[kid.name] = kid
		}
	}
	return g
}

// pages finds the HTML pages that answer three or more unrelated first
// segments: what a server says instead of 404.
func (d *decider[R]) pages() {
	under := map[uint64]int{}
	for _, k := range d.tree.root.kids {
		seen := map[uint64]bool{}
		stack := []*node[R]{k}
		for len(stack) > 0 {
			n := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			for i := range n.leaves {
				if l := &n.leaves[i]; l.page != 0 && !l.mixed {
					seen[l.page] = true
				}
			}
			for _, k := range n.kids {
				stack = append(stack, k)
			}
		}
		for p := range seen {
			under[p]++
		}
	}
	d.soft = map[uint64]bool{}
	for p, n := range under {
		if n >= 3 {
			d.soft[p] = true
		}
	}
}

// join merges b into a; b is given up.
func (d *decider[R]) join(a, b *group[R]) {
	a.n += b.n
	a.raws += b.raws
	a.own += b.own
	a.able += b.able
	a.self += b.self
	a.echoed = a.echoed || b.echoed
	for c := range b.classes {
		a.classes[c] += b.classes[c]
	}
	a.members = append(a.members, b.members...)
	for _, method := range slices.Sorted(maps.Keys(b.leaves)) {
		l, to := b.leaves[method], a.leaves[method]
		if to == nil {
			a.leaves[method] = l
			continue
		}
		if !to.mine {
			rec := d.tree.newRecord()
			rec.Merge(to.rec)
			*to = merged[R]{rec, to.n, true}
		}
		to.rec.Merge(l.rec)
		to.n += l.n
	}
	for _, name := range slices.Sorted(maps.Keys(b.kids)) {
		if to := a.kids[name]; to != nil {
			d.join(to, b.kids[name])
		} else {
			a.kids[name] = b.kids[name]
		}
	}
}

// decide decides the children of g, the deepest first; depth counts segments.
// Its own depth is that of paths.
func (d *decider[R]) decide(g *group[R], depth int) {
	for _, name := range slices.Sorted(maps.Keys(g.kids)) {
		d.decide(g.kids[name], depth+1)
	}
	literals := g.literals()
	words, least := g.kids["{}"], 0.0
	switch {
	case words == nil || d.bar > 0 || len(words.members) == 0:
		words = nil
	case len(words.members) < 4:
		least = 1
	}
	var found []*group[R]
	for i, v := range d.weigh(g, literals, depth) {
		bar := d.bar
		if k := literals[i]; len(literals) == 1 && len(g.kids) == 1 && k.own == 0 && !k.echoed && !plural(g.name) && depth < 3 {
			bar = max(bar, aloneBar)
		}
		if v >= bar || words != nil && v >= strayBar && d.alike(words, literals[i]).all >= least {
			found = append(found, literals[i])
			if d.explain {
				literals[i].remember(&weighed{d.features(g, literals, literals[i], depth), v, d.bar})
			}
		}
	}
	some := len(found) > 0
	found = d.verbs(g, found)
	pattern := g.pattern(found)
	for _, k := range found {
		if p := g.beside(k); p != nil && len(p.name) > 2 {
			d.absorb(g, k, p.name)
		} else {
			d.absorb(g, k, pattern)
		}
	}
	if !some {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(g.kids)) {
		if k := g.kids[name]; k.param {
			d.decide(k, depth+1) // what lies below now has the evidence of all
		}
	}
}

// verbs makes parameters of those values below g that an operation follows, as
// in jobs/nightly:cancel, and returns the others. It is an operation where it
// follows several values and is answered unlike the values alone.
func (d *decider[R]) verbs(g *group[R], found []*group[R]) (rest []*group[R]) {
	after := map[string]int{}
	var plain *group[R]
	for _, k := range found {
		_, tail := tail([]byte(k.name))
		switch {
		case len(tail) > 0 && tail[0] == ':':
			after[string(tail)]++
		case plain == nil:
			plain = k
		}
	}
	if p := g.kids["{}"]; p != nil {
		plain = p
	}
	for _, k := range found {
		_, tail := tail([]byte(k.name))
		if pattern := "{}" + string(tail); after[string(tail)] > 1 || len(tail) > 0 && tail[0] == ':' && g.kids[pattern] != nil {
			if plain == nil || d.alike(plain, k).all <= 0.5 {
				d.absorb(g, k, pattern)
				continue
			}
		}
		rest = append(rest, k)
	}
	return rest
}

// remember notes what the decision about a literal rests on.
func (g *group[R]) remember(w *weighed) {
	for i := range g.members {
		if g.members[i].why == nil {
			g.members[i].why = w
		}
	}
}

// literals are the literal children, the commonest first.
func (g *group[R]) literals() []*group[R] {
	var literals []*group[R]
	for _, k := range g.kids {
		if !k.param {
			literals = append(literals, k)
		}
	}
	slices.SortFunc(literals, func(a, b *group[R]) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.name, b.name))
	})
	return literals
}

// beside is the parameter beside the literal k that it would be a value of: the
// one with its extension, else a whole segment; nil where there is none.
func (g *group[R]) beside(k *group[R]) *group[R] {
	if _, tail := tail([]byte(k.name)); tail != nil {
		if p := g.kids["{}"+string(tail)]; p != nil {
			return p
		}
	}
	return g.kids["{}"]
}

// pattern is that of the parameter that some literals below g become: files of
// one kind keep their extension.
func (g *group[R]) pattern(literals []*group[R]) string {
	if g.kids["{}"] != nil || len(literals) == 0 {
		return "{}"
	}
	_, first := extension([]byte(literals[0].name))
	if first == nil {
		return "{}"
	}
	pattern := "{}" + string(first)
	for _, k := range literals {
		if !strings.HasSuffix(k.name, pattern[2:]) {
			return "{}"
		}
	}
	if len(literals) < 3 && g.kids[pattern] == nil {
		return "{}"
	}
	return pattern
}

// absorb makes the literal k below g a value of the parameter there.
func (d *decider[R]) absorb(g, k *group[R], pattern string) {
	delete(g.kids, k.name)
	param := g.kids[pattern]
	if param == nil {
		param = &group[R]{name: pattern, param: true, kids: map[string]*group[R]{}, leaves: map[string]*merged[R]{}}
		g.kids[pattern] = param
	}
	d.join(param, k)
}

// weigh returns for each literal below g the log-odds that it is a value.
func (d *decider[R]) weigh(g *group[R], literals []*group[R], depth int) []float64 {
	odds := make([]float64, len(literals))
	for i, k := range literals {
		if fixed(k.name, depth) || (g.name == "api" || g.name == "rest") && versioned([]byte(k.name), g.name, depth) {
			odds[i] = never
			continue
		}
		f := d.features(g, literals, k, depth)
		for j, w := range weights {
			odds[i] += w.weight * f[j]
		}
	}
	return odds
}

const never = -50.0

// bars are those that values pass in turn: the surest first, whose evidence
// then helps with the others.
var bars = []float64{4, 2, 1, 0, 0}

// strayBar is the last bar for those that are like the words that became a
// parameter before.
const strayBar = -1.5

// aloneBar is the least bar for a segment near the root that has nothing beside
// it, follows no plural, and that no answer speaks of: its spelling must be that
// of a value.
const aloneBar = 1.5

// fixed reports whether a segment is a name whatever else speaks.
func fixed(name string, depth int) bool {
	if name == "" || name[0] == '@' || name[0] == '_' || names[strings.ToLower(name)] {
		return true
	}
	return depth <= 3 && version(name)
}

// version reports whether a name is v and a number.
func version(name string) bool {
	return len(name) > 1 && name[0]|0x20 == 'v' && '0' <= name[1] && name[1] <= '9' && strings.Trim(name[1:], "0123456789.alphbet") == ""
}
