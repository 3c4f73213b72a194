package endpoint

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"plainsight/analyze/body"
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
	g := &group[R]{raws: 1, name: n.name, param: n.param, n: n.n, own: n.own, able: n.able, self: n.self, kids: map[string]*group[R]{}, leaves: map[string]*merged[R]{}}
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
		if v >= d.bar || words != nil && v >= strayBar && d.alike(words, literals[i]).all >= least {
			found = append(found, literals[i])
		}
	}
	pattern := g.pattern(found)
	for _, k := range found {
		d.absorb(g, k, pattern)
	}
	if len(found) == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(g.kids)) {
		if k := g.kids[name]; k.param {
			d.decide(k, depth+1) // what lies below now has the evidence of all
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
		if fixed(k.name, depth) {
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

// fixed reports whether a segment is a name whatever else speaks.
func fixed(name string, depth int) bool {
	if name == "" || name[0] == '@' || name[0] == '_' || names[strings.ToLower(name)] {
		return true
	}
	return len(name) > 1 && name[0]|0x20 == 'v' && depth <= 3 && '0' <= name[1] && name[1] <= '9' && strings.Trim(name[1:], "0123456789.alphbet") == ""
}

// Features of a literal among its siblings; see weights.
const (
	fOne = iota
	fRoot
	fBelowParam
	fBelowPlural
	fOwn
	fSelf
	fNotSelf
	fEchoed
	fParam
	fTyped
	fWordParam
	fParamLike
	fParamBelow
	fParamShared
	fParamMany
	fMany
	fTop
	fTopBelow
	fShared
	fGoodBelow
	fCountBelow
	fGood
	fGoodShare
	fSiblings
	fParamKid
	fLiteralKid
	fWord
	fPlural
	fCollection
	fDigits
	fHyphen
	fUnder
	fFile
	fDot
	fMixed
	fUpper
	fCount
	fLeaf
	fSpread
	fRare
	fShortWords
	nFeatures
)

func (d *decider[R]) features(g *group[R], literals []*group[R], k *group[R], depth int) (f [nFeatures]float64) {
	yes := func(i int, b bool) {
		if b {
			f[i] = 1
		}
	}
	f[fOne] = 1
	yes(fRoot, depth == 0)
	yes(fBelowParam, g.param)
	yes(fBelowPlural, !g.param && plural(g.name))
	f[fOwn] = float64(k.own) / float64(max(k.n, 1))
	if k.able > 0 {
		self := float64(k.self) / float64(k.able)
		sure := 1 - math.Pow(0.5, math.Log2(float64(k.able)+1))
		f[fSelf], f[fNotSelf] = self*sure, (1-self)*sure
	}
	yes(fEchoed, k.echoed)
	if p := g.kids["{}"]; p != nil {
		f[fParam] = 1
		f[fTyped] = p.typed()
		f[fWordParam] = math.Log2(float64(len(p.members)) + 1)
		like := d.alike(p, k)
		f[fParamLike], f[fParamBelow] = like.own, like.below
		f[fParamShared] = math.Log2(float64(like.shared) + 1)
		f[fParamMany] = many(like.shared)
	}
	var likes []likeness
	good := 0
	enough := max(12, min(60, 6000/len(literals))) // the commonest speak for all
	for _, o := range literals {
		if o == k || len(likes) >= enough {
			continue
		}
		like := d.alike(o, k)
		likes = append(likes, like)
		if like.all > 0.5 {
			good++
		}
	}
	if p := g.kids["{}"]; p != nil && len(p.members) > 0 {
		// Siblings that became a parameter still speak.
		like := d.alike(p, k)
		for range min(len(p.members), 6) {
			likes = append(likes, like)
			if like.all > 0.5 {
				good++
			}
		}
	}
	slices.SortFunc(likes, func(a, b likeness) int { return cmp.Compare(b.all, a.all) })
	top := min(5, len(likes))
	for _, l := range likes[:top] {
		f[fTop] += l.own / float64(top)
	}
	slices.SortFunc(likes, func(a, b likeness) int { return cmp.Compare(b.below, a.below) })
	below := 0
	for i, l := range likes {
		if i < top {
			f[fTopBelow] += l.below / float64(top)
			f[fShared] += math.Log2(float64(l.shared)+1) / float64(top)
			f[fMany] += many(l.shared) / float64(top)
		}
		if l.below > 1 {
			below++
		}
	}
	f[fGoodBelow] = math.Log2(float64(below) + 1)
	f[fCountBelow] = math.Log2(float64(k.n)+1) * max(0, f[fTopBelow]) / 4
	f[fGood] = math.Log2(float64(good) + 1)
	f[fSiblings] = math.Log2(float64(len(likes)) + 1)
	if len(likes) > 0 {
		f[fGoodShare] = f[fGood] / f[fSiblings]
	}
	for _, kk := range k.kids {
		if kk.param {
			f[fParamKid] = 1
		} else {
			f[fLiteralKid] = 1
		}
	}
	yes(fWord, words[strings.ToLower(k.name)])
	yes(fPlural, plural(k.name))
	yes(fCollection, plural(k.name) && f[fParamKid] > 0)
	digits, upper, lower := count([]byte(k.name))
	yes(fDigits, digits > 0)
	yes(fHyphen, strings.Contains(k.name, "-"))
	yes(fUnder, strings.Contains(k.name, "_"))
	yes(fFile, isFile(k.name))
	_, tail := extension([]byte(k.name))
	yes(fDot, tail == nil && strings.Contains(k.name, "."))
	yes(fMixed, upper > 0 && lower > 0)
	yes(fUpper, upper > 0 && lower == 0)
	f[fCount] = math.Log2(float64(k.n) + 1)
	yes(fLeaf, len(k.leaves) > 0)
	if upper > 0 && lower > 0 {
		words, letters := body.CamelWords([]byte(k.name))
		f[fShortWords] = max(0, 4.5-float64(letters)/float64(words))
	}
	// A name is met below several values of a parameter above, a value below one.
	if chances := min(uint64(g.raws), k.n); chances > 1 {
		spread := float64(k.raws-1) / float64(chances-1)
		sure := 1 - 1/float64(chances)
		f[fSpread] = spread * sure
		f[fRare] = (1 - spread) * sure
	}
	return f
}

// typed is how sure it is that all values of a parameter are of one class.
func (g *group[R]) typed() float64 {
	var all, most uint64
	for c, n := range g.classes {
		all += n
		if class(c) != word && class(c) != token && class(c) != text {
			most = max(most, n)
		}
	}
	if most < all || all == 0 {
		return 0
	}
	return math.Log2(float64(all) + 1)
}

// weights are log-odds of a literal being a value, fitted by logistic
// regression over the literals of a dozen APIs.
var weights = [nFeatures]struct {
	name   string
	weight float64
}{
	fOne:         {"one", -0.29},
	fRoot:        {"root", -0.81},
	fBelowParam:  {"belowParam", -1.51},
	fBelowPlural: {"belowPlural", 0.49},
	fOwn:         {"own", -0.37},
	fSelf:        {"self", 6.15},
	fNotSelf:     {"notSelf", -0.22},
	fEchoed:      {"echoed", 1.24},
	fParam:       {"param", 1.89},
	fParamLike:   {"paramLike", 0.44},
	fParamBelow:  {"paramBelow", -0.24},
	fParamShared: {"paramShared", 0.15},
	fParamMany:   {"paramMany", 0.26},
	fMany:        {"many", 0.52},
	fShared:      {"shared", 1.05},
	fGoodBelow:   {"goodBelow", 0.22},
	fCountBelow:  {"countBelow", -0.17},
	fTopBelow:    {"topBelow", 0.34},
	fTop:         {"top", 0.04},
	fGood:        {"good", 0.43},
	fGoodShare:   {"goodShare", 0.54},
	fSiblings:    {"siblings", -0.20},
	fParamKid:    {"paramKid", 0.58},
	fLiteralKid:  {"literalKid", -0.26},
	fPlural:      {"plural", -1.89},
	fDigits:      {"digits", 1.05},
	fHyphen:      {"hyphen", 0.73},
	fUnder:       {"under", 0.31},
	fWordParam:   {"wordParam", 0.12},
	fShortWords:  {"shortWords", 2.64},
	fCollection:  {"collection", -1.90},
	fTyped:       {"typed", -0.32},
	fWord:        {"word", -2.22},
	fFile:        {"file", 1.50},
	fDot:         {"dot", -0.07},
	fMixed:       {"mixed", -2.43},
	fUpper:       {"upper", 1.50},
	fCount:       {"count", -0.35},
	fLeaf:        {"leaf", -0.83},
	fSpread:      {"spread", -2.29},
	fRare:        {"rare", -1.35},
}

// plural reports whether a word looks like the name of a collection.
func plural(s string) bool {
	return len(s) > 3 && s[len(s)-1] == 's' && s[len(s)-2] != 's' && s[len(s)-2] != 'u' && !strings.HasSuffix(s, "is")
}

// names are segments that stand for what the caller is or wants, in the place of
// a value and answered like one.
var names = set("me", "self", "current", "latest", "login", "logout")

// words are segments that are mostly names.
var words = set("search", "health", "status", "count", "batch", "export", "import", "settings", "new", "all", "default", "public", "home", "list", "create", "update", "delete", "info", "stats", "config", "metadata", "test", "validate", "bulk", "history")

func set(words ...string) map[string]bool {
	m := make(map[string]bool, len(words))
	for _, w := range words {
		m[w] = true
	}
	return m
}

// alike is the evidence that two siblings are two values of one parameter, from
// -4 to 4.
func (d *decider[R]) alike(a, b *group[R]) likeness {
	var own, below balance
	d.leaves(&own, a, b, 1)
	d.kids(&below, a, b, 1, 0)
	all := balance{own.pro + below.pro, own.con + below.con}
	return likeness{all.value(), own.value(), below.value(), a.shared(b)}
}

// likeness is the evidence of the messages of two siblings, of what is below
// them, and of both.
type likeness struct {
	all, own, below float64
	shared          int // literal children
}

// shared is the number of literal children that two groups have in common, at
// once or below a parameter.
func (g *group[R]) shared(o *group[R]) (n int) {
	for name, k := range g.kids {
		switch other := o.kids[name]; {
		case other == nil || strings.HasPrefix(name, "index."): // each directory of a site has it
		case k.param:
			n += k.shared(other)
		default:
			n++
		}
	}
	return n + g.aligned(o) + o.aligned(g)
}

// aligned is shared between a parameter of g and the literals of o that have no
// namesake in g.
func (g *group[R]) aligned(o *group[R]) (n int) {
	param := g.kids["{}"]
	if param == nil || o.kids["{}"] != nil {
		return 0
	}
	for name, k := range o.kids {
		if g.kids[name] == nil {
			n = max(n, param.shared(k))
		}
	}
	return n
}

// many is how far shared children go beyond chance.
func many(shared int) float64 { return float64(max(0, min(shared, 12)-2)) / 2 }

// balance weighs what speaks for and against.
type balance struct{ pro, con float64 }

func (e balance) value() float64 { return 4 * (e.pro - e.con) / (e.pro + e.con + 1) }

// compare adds the evidence of two groups at the same place. weight falls with
// depth.
func (d *decider[R]) compare(e *balance, a, b *group[R], weight float64, depth int) {
	d.leaves(e, a, b, weight)
	d.kids(e, a, b, weight, depth)
}

func (d *decider[R]) leaves(e *balance, a, b *group[R], weight float64) {
	for _, method := range slices.Sorted(maps.Keys(a.leaves)) {
		x, y := a.leaves[method], b.leaves[method]
		if y == nil {
			e.con += weight * missing(x.n, a.n, b.n)
			continue
		}
		like, much := x.rec.Like(y.rec)
		much = weight * min(much, 6) / 2
		e.pro += like * much
		e.con += 2 * (1 - like) * much
		e.pro += weight * 0.2
	}
	for _, method := range slices.Sorted(maps.Keys(b.leaves)) {
		if a.leaves[method] == nil {
			e.con += weight * missing(b.leaves[method].n, b.n, a.n)
		}
	}
}

func (d *decider[R]) kids(e *balance, a, b *group[R], weight float64, depth int) {
	if depth > 6 {
		return
	}
	pa, pb := a.kids["{}"], b.kids["{}"]
	for _, name := range slices.Sorted(maps.Keys(a.kids)) {
		x, y := a.kids[name], b.kids[name]
		switch {
		case y == nil && !x.param && pb != nil && pa == nil && x.shared(pb) > 1:
			d.compare(e, x, pb, weight/2, depth+1)
		case y == nil && !x.param:
			e.con += weight / 2 * missing(x.n, a.n, b.n)
		case y == nil:
		case x.param:
			e.pro += weight / 2
			d.compare(e, x, y, weight/2, depth+1)
		case strings.HasPrefix(name, "index."):
		default:
			e.pro += weight
			d.compare(e, x, y, weight/2, depth+1)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.kids)) {
		if y := b.kids[name]; a.kids[name] == nil && !y.param {
			if pa != nil && pb == nil && y.shared(pa) > 1 {
				d.compare(e, pa, y, weight/2, depth+1)
				continue
			}
			e.con += weight / 2 * missing(y.n, b.n, a.n)
		}
	}
}

// missing is the chance that a sibling, seen other times, would by now have
// shown what the first, seen of times, had n times, were they alike. Traffic
// is uneven, so it counts for less than a fair draw.
func missing(n, of, other uint64) float64 {
	p := float64(n) / (float64(of) + 1)
	return 1 - math.Pow(1-p, math.Pow(float64(other), 0.7))
}
