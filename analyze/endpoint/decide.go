package endpoint

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
)

// group is a decided node: one literal, or all that became one parameter.
type group[R any] struct {
	name    string // literal, or pattern of a parameter
	param   bool
	n       uint64
	own     uint64
	echoed  bool // an id of some answer is spelled so
	classes [nClasses]uint64
	kids    map[string]*group[R] // by name; parameters by pattern
	leaves  map[string]*merged[R]
	members []member // literals that became this parameter
	routes  map[string]*group[R]
}

type member struct {
	name string
	n    uint64
}

// merged is a record, a tree's own until something is merged into it.
type merged[R any] struct {
	rec  R
	n    uint64
	mine bool
}

// decider turns what a tree has accumulated into groups.
type decider[R Record[R]] struct {
	tree *Tree[R]
	soft map[uint64]bool // HTML pages that answer anything
	bar  float64
}

// load copies the tree, without records.
func (d *decider[R]) load(n *node[R]) *group[R] {
	g := &group[R]{name: n.name, param: n.param, n: n.n, own: n.own, kids: map[string]*group[R]{}, leaves: map[string]*merged[R]{}}
	for c, k := range n.classes {
		g.classes[c] = uint64(k)
	}
	if !n.param {
		g.echoed = d.tree.values.has(n.hash)
		g.members = []member{{n.name, n.n}}
	}
	for i := range n.leaves {
		l := &n.leaves[i]
		if l.page != 0 && !l.mixed && d.soft[l.page] {
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
	a.own += b.own
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

// decide decides the children of g, the deepest first. above is the literal
// that leads to g, "" below a parameter; depth counts segments.
func (d *decider[R]) decide(g *group[R], depth int) {
	for _, name := range slices.Sorted(maps.Keys(g.kids)) {
		d.decide(g.kids[name], depth+1)
	}
	var literals []*group[R]
	for _, k := range g.kids {
		if !k.param {
			literals = append(literals, k)
		}
	}
	slices.SortFunc(literals, func(a, b *group[R]) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.name, b.name))
	})
	changed := d.cluster(g, literals, depth)
	if changed {
		for _, name := range slices.Sorted(maps.Keys(g.kids)) {
			if k := g.kids[name]; k.param {
				d.decide(k, depth+1) // what lies below now has the evidence of all
			}
		}
	}
}

// cluster makes parameters of sibling literals that look like values.
func (d *decider[R]) cluster(g *group[R], literals []*group[R], depth int) (changed bool) {
	type cluster struct {
		all   []*group[R]
		prior float64
		like  float64 // sum over members of how well they joined
	}
	var clusters []*cluster
	for _, k := range literals {
		prior := d.prior(g, k, depth)
		if prior <= never {
			continue
		}
		var best *cluster
		bestLike := 0.0
		for _, c := range clusters {
			like := 0.0
			m := min(len(c.all), 6)
			for _, o := range c.all[:m] {
				like += d.alike(o, k, 0)
			}
			if like /= float64(m); like > joinBar && (best == nil || like > bestLike) {
				best, bestLike = c, like
			}
		}
		if best == nil {
			best = &cluster{}
			clusters = append(clusters, best)
		} else {
			best.like += bestLike
		}
		best.all = append(best.all, k)
		best.prior += prior
	}
	param := g.kids["{}"]
	for _, c := range clusters {
		size := float64(len(c.all))
		score := c.prior / size
		if size > 1 {
			score += c.like/(size-1)*likeWeight + math.Log2(size)*sizeWeight
		}
		if param != nil {
			score += siblingParam + d.alike(param, c.all[0], 0)*likeWeight
		}
		if score < d.bar {
			continue
		}
		changed = true
		for _, k := range c.all {
			delete(g.kids, k.name)
			if param == nil {
				param = &group[R]{name: "{}", param: true, kids: map[string]*group[R]{}, leaves: map[string]*merged[R]{}}
				g.kids["{}"] = param
			}
			d.join(param, k)
		}
	}
	return changed
}

// Weights of the evidence, in log-odds; chosen on traffic of a dozen APIs.
const (
	never        = -50.0
	joinBar      = 0.3
	likeWeight   = 1.0
	sizeWeight   = 0.8
	siblingParam = 0.5
	firstBar     = 3.0
	lastBar      = 1.0
)

// prior is the evidence of a literal's own that it is a value.
func (d *decider[R]) prior(g, k *group[R], depth int) float64 {
	name := k.name
	if name == "" || name[0] == '@' || name[0] == '_' || words[strings.ToLower(name)] {
		return never
	}
	if len(name) > 1 && (name[0] == 'v' || name[0] == 'V') && strings.Trim(name[1:], "0123456789.alphbet") == "" && depth <= 3 && name[1] <= '9' {
		return never
	}
	e := 0.0
	digits, upper, lower := count([]byte(name))
	switch {
	case digits > 0 && versioned([]byte(name), depth):
		e -= 1
	case digits > 0:
		e += 1.5
	}
	if strings.Contains(name, "-") {
		e += 0.3
	}
	if strings.Contains(name, ".") {
		e -= 0.5
	}
	if upper > 0 && lower > 0 && digits == 0 {
		e -= 0.5
	}
	if k.n > 0 {
		e += 4 * float64(k.own) / float64(k.n)
	}
	if k.echoed {
		e += 1.5
	}
	switch {
	case depth == 0:
		e -= 2
	case g.param:
		e -= 2
	case plural(g.name):
		e += 1.2
	default:
		e -= 0.5
	}
	if plural(name) && len(k.kids) > 0 {
		for _, kk := range k.kids {
			if kk.param {
				e -= 1.5 // a collection
				break
			}
		}
	}
	return e
}

// plural reports whether a word looks like the name of a collection.
func plural(s string) bool {
	s = strings.ToLower(s)
	return len(s) > 3 && s[len(s)-1] == 's' && s[len(s)-2] != 's' && s[len(s)-2] != 'u' && !strings.HasSuffix(s, "is")
}

// words are segments that are names whatever else speaks.
var words = set("me", "self", "search", "latest", "current", "login", "logout", "health", "status", "count", "batch", "export", "import", "settings", "new", "all")

func set(words ...string) map[string]bool {
	m := make(map[string]bool, len(words))
	for _, w := range words {
		m[w] = true
	}
	return m
}

// alike is the evidence that two siblings are two values of one parameter.
func (d *decider[R]) alike(a, b *group[R], depth int) float64 {
	e := 0.0
	for _, method := range slices.Sorted(maps.Keys(a.leaves)) {
		x := a.leaves[method]
		y := b.leaves[method]
		if y == nil {
			e -= missing(x.n, a.n, b.n)
			continue
		}
		like, weight := x.rec.Like(y.rec)
		if weight == 0 {
			e += 0.2
			continue
		}
		sure := 1 - math.Exp(-weight/2)
		e += (like - 0.65) * 6 * sure
	}
	for _, method := range slices.Sorted(maps.Keys(b.leaves)) {
		if a.leaves[method] == nil {
			e -= missing(b.leaves[method].n, b.n, a.n)
		}
	}
	if depth > 6 {
		return e
	}
	shared := 0.0
	for _, name := range slices.Sorted(maps.Keys(a.kids)) {
		x, y := a.kids[name], b.kids[name]
		if y == nil {
			if !x.param {
				e -= missing(x.n, a.n, b.n) / 2
			}
			continue
		}
		s := d.alike(x, y, depth+1)
		if x.param {
			shared += 0.5 + s/2
		} else {
			shared += 1 + s/2
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.kids)) {
		if a.kids[name] == nil && !b.kids[name].param {
			e -= missing(b.kids[name].n, b.n, a.n) / 2
		}
	}
	e += max(-4, min(4, shared))
	return max(-6, min(6, e))
}

// missing is the evidence against two siblings being alike when one, seen of
// times, had something n times and the other, seen other times, never.
func missing(n, of, other uint64) float64 {
	p := float64(n) / (float64(of) + 1)
	return min(2, -0.5*float64(other)*math.Log(1-p))
}
