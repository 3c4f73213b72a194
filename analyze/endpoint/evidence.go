package endpoint

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"plainsight/analyze/body"
)

// Features of a literal among its siblings; weights says what they mean.
const (
	fOne = iota
	fRoot
	fBase
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
	fParamTree
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

// weights are the evidence for a literal being a value, in log-odds: what a
// feature adds to them, fitted by logistic regression over the literals of the
// APIs of the inference set and, with a fifth of their weight, of traffic drawn
// from the documents of 20 other vendors: TestGeneral fits them.
var weights = [nFeatures]struct {
	weight  float64
	meaning string
}{
	fOne:         {-0.45, "always: the odds of a segment of which nothing else is known"},
	fRoot:        {-1.10, "it is the first segment of the path"},
	fBase:        {-3.36, "it is the first one behind a version"},
	fBelowParam:  {-1.53, "it follows a parameter: mostly names do"},
	fBelowPlural: {0.73, "it follows a plural: mostly values do"},
	fOwn:         {-0.15, "share of its exchanges whose answer held it as an id, below it too"},
	fSelf:        {4.40, "share of the answers with ids, for itself, that held it; less with few"},
	fNotSelf:     {-0.64, "share of those that did not"},
	fEchoed:      {2.12, "some answer of the service held it as an id"},
	fParam:       {1.67, "there is a parameter beside it"},
	fTyped:       {-0.34, "log of how many values of it are all of one class: a word hardly joins numbers"},
	fWordParam:   {-0.04, "log of how many words it took"},
	fParamLike:   {0.41, "how like it the messages are"},
	fParamBelow:  {-0.19, "how like it what is below is"},
	fParamShared: {0.10, "log of the literal children they share"},
	fParamMany:   {0.52, "those beyond chance"},
	fParamTree:   {2.00, "what is below is mostly the same, and much: in logs beyond four names; set, not fitted"},
	fMany:        {0.49, "children shared with the most like siblings, beyond chance"},
	fTop:         {0.13, "how like the messages of the five most like siblings are"},
	fTopBelow:    {0.59, "how like what is below those with the most like children is"},
	fShared:      {0.53, "log of the children shared with them"},
	fGoodBelow:   {-0.10, "log of the siblings with like children"},
	fCountBelow:  {0.18, "commonness times likeness of children: a common value is like its siblings"},
	fGood:        {0.17, "log of the like siblings"},
	fGoodShare:   {0.77, "their share, in logs"},
	fSiblings:    {0.03, "log of the siblings"},
	fParamKid:    {0.17, "a parameter follows it"},
	fLiteralKid:  {0.35, "a name follows it"},
	fWord:        {-2.53, "it is one of words"},
	fPlural:      {-1.99, "it is a plural"},
	fCollection:  {-0.71, "it is a plural that a parameter follows"},
	fDigits:      {0.84, "it has digits"},
	fHyphen:      {0.68, "hyphens"},
	fUnder:       {0.51, "underscores"},
	fFile:        {1.50, "the extension of a file; set, not fitted"},
	fDot:         {-1.00, "other dots: rather an operation, as in chat.post; set, not fitted"},
	fMixed:       {-2.36, "capitals and small letters"},
	fUpper:       {1.50, "capitals alone; set, not fitted"},
	fCount:       {-0.38, "log of its exchanges: a common segment is rather a name"},
	fLeaf:        {-0.53, "exchanges end at it"},
	fSpread:      {-2.36, "it is met below many of the values above, as names are"},
	fRare:        {-1.30, "it is met below one, though there are many"},
	fShortWords:  {2.41, "how much shorter than usual its camelCase words are: ids have mixed case, too"},
}

// features measures the literal k below g.
func (d *decider[R]) features(g *group[R], literals []*group[R], k *group[R], depth int) (f [nFeatures]float64) {
	yes := func(i int, b bool) {
		if b {
			f[i] = 1
		}
	}
	f[fOne] = 1
	yes(fRoot, depth == 0)
	yes(fBase, g.base(depth))
	yes(fBelowParam, g.param)
	yes(fBelowPlural, !g.param && plural(g.name))
	f[fOwn] = float64(k.own) / float64(max(k.n, 1))
	if k.able > 0 {
		self := float64(k.self) / float64(k.able)
		sure := 1 - math.Pow(0.5, math.Log2(float64(k.able)+1))
		f[fSelf], f[fNotSelf] = self*sure, (1-self)*sure
	}
	yes(fEchoed, k.echoed)
	beside := g.beside(k)
	if p := beside; p != nil {
		f[fParam] = 1
		f[fTyped] = p.typed()
		f[fWordParam] = math.Log2(float64(len(p.members)) + 1)
		like := d.alike(p, k)
		f[fParamLike], f[fParamBelow] = like.own, like.below
		f[fParamShared] = math.Log2(float64(like.shared) + 1)
		f[fParamMany] = many(like.shared)
		if all := min(p.shared(p), k.shared(k)); like.shared > 4 && like.shared*10 >= all*6 {
			f[fParamTree] = math.Log2(float64(like.shared)) - 2
		}
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
	if p := beside; p != nil && len(p.members) > 0 {
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
	name := k.name
	if !isFile(name) {
		stem, _ := tail([]byte(name)) // .json and the like say how, not what
		name = string(stem)
	}
	yes(fWord, words[strings.ToLower(name)])
	yes(fPlural, plural(name))
	yes(fCollection, plural(name) && f[fParamKid] > 0)
	digits, upper, lower := count([]byte(name))
	yes(fDigits, digits > 0)
	yes(fHyphen, strings.Contains(name, "-"))
	yes(fUnder, strings.Contains(name, "_"))
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

// base reports whether a group is where an API begins, below a host.
func (g *group[R]) base(depth int) bool {
	return !g.param && depth > 0 && depth <= 3 && (g.name == "api" || g.name == "rest" || version(g.name) || versioned([]byte(g.name), "", depth-1))
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
