// Package endpoint finds the endpoints of a service in the paths it was asked
// for. A [Tree] takes paths in, keeps what speaks for and against each segment
// being a name or a value, bounded, and decides only when asked: so the order
// of traffic does not matter, more traffic corrects what less suggested, and
// trees of several workers merge. What it learns of an endpoint besides its
// template (shapes, counts, findings) is the caller's record, which it carries,
// merges and compares without knowing it. Package inventory has a tree for
// each service. Literal path segments stay in memory; those that look like
// secrets or personal data never become part of a template.
package endpoint

import (
	"cmp"
	"slices"
)

// Record is what a caller keeps for an endpoint.
type Record[R any] interface {
	// Merge adds o, which stays as it is and shares nothing with the receiver
	// afterwards. It is commutative and associative.
	Merge(o R)
	// Like compares messages: alike from 0 (unrelated) to 1 (same shape), and how
	// much there was to compare (0: nothing; 1: one telling field; more is surer).
	Like(o R) (alike, weight float64)
}

// Options bound a Tree. The zero value has the defaults.
type Options struct {
	Segments int // of a path that are told apart; the rest is one parameter. 0: 24
	Children int // segments below one node; with more the rare ones become a parameter. 0: 2048
	Records  int // of exchanges that succeeded. 0: 16384
	Failed   int // records of paths that only ever failed; further ones are noise. 0: 2048
	Length   int // bytes of a literal segment; longer ones are values. 0: 128

	Routes *Routes // templates that go before what is inferred; nil: none
}

func (o Options) withDefaults() Options {
	def := func(n *int, d int) {
		if *n <= 0 {
			*n = d
		}
	}
	def(&o.Segments, 24)
	def(&o.Children, 2048)
	def(&o.Records, 16384)
	def(&o.Failed, 2048)
	def(&o.Length, 128)
	return o
}

// Tree is the prefix tree of the paths of one service. It is not safe for
// concurrent use.
type Tree[R Record[R]] struct {
	opts      Options
	newRecord func() R
	root      *node[R]
	failed    *node[R] // paths that were not known when they failed
	records   int
	failures  int
	given     int // records of templates that were given
	noise     uint64
	folds     uint64
	misfits   uint64
	values    filter
	pins      map[string]*pin[R] // by the template that was given
	path      []*node[R]         // of the last exchange that succeeded
	named     uint64             // the names in it, by mark
	leaf      *leaf[R]
	able      bool // an id was in the last answer
	scratch   []byte
	pattern   []byte
}

// node is a segment of a path below its parent.
type node[R any] struct {
	name    string // decoded, or the pattern of a parameter
	param   bool
	wide    bool // it had too many children: unknown ones are values
	n       uint64
	own     uint64 // exchanges whose answer held this segment under the key of an id
	able    uint64 // exchanges that ended here and whose answer held an id
	self    uint64 // those whose answer held this segment
	hash    uint64 // of name, for own
	now     uint64 // hash of the segment of the last exchange
	told    bool   // own was counted for the last exchange
	classes [nClasses]uint32
	kids    map[string]*node[R]
	leaves  []leaf[R]
}

type leaf[R any] struct {
	method string
	rec    R
	n      uint64
	page   uint64 // hash of the one HTML page that all answers were
	mixed  bool   // answers were not all one page
}

// NewTree makes an empty tree.
func NewTree[R Record[R]](o Options, newRecord func() R) *Tree[R] {
	return &Tree[R]{opts: o.withDefaults(), newRecord: newRecord, root: &node[R]{}, failed: &node[R]{}}
}

// methods is how many a path may have; HTTP has eight, WebDAV some twenty.
const methods = 32

// Misfits is how many exchanges that succeeded have no record, because their
// path had too many methods.
func (t *Tree[R]) Misfits() uint64 { return t.misfits }

// Folds is how often literals were made parameters because of a limit.
func (t *Tree[R]) Folds() uint64 { return t.folds }

// Records is how many records the tree holds. It falls when paths become one.
func (t *Tree[R]) Records() int { return t.records + t.failures + t.given }

// At returns the record for an exchange. path is as on the wire, without a
// query; success says that the answer's status was below 400. Only success
// makes endpoints: a failure gets the record of its path where it is known or
// may become known when [Tree.Decide] is called. It is false where there is no
// room. method and path are borrowed. It allocates only for what is new.
func (t *Tree[R]) At(method, path []byte, success bool) (rec R, ok bool) {
	if w := t.routed(path); w != nil {
		return t.pinned(w, method, path, success)
	}
	if !success {
		return t.failure(method, path)
	}
	t.path, t.named = t.path[:0], 0
	t.leaf, t.able = nil, false
	n := t.root
	n.n++
	for depth := 0; len(path) > 0; depth++ {
		segment, rest := cut(path)
		if len(segment) == 0 && len(rest) == 0 {
			break // a slash at the end says nothing
		}
		last := depth == t.opts.Segments-1
		if last {
			segment, rest = path, nil
		}
		path = rest
		segment = t.decode(segment)
		pattern, c, literal := t.read(segment, n.name, depth, last)
		kid := n.kids[string(pattern)]
		if kid == nil {
			kid = t.grow(n, pattern, literal)
		}
		kid.n++
		kid.classes[c]++
		kid.now, kid.told = digest(segment), false
		t.path = append(t.path, kid)
		t.named |= 1 << mark(kid.name)
		n = kid
	}
	l := n.at(method)
	if l == nil {
		if len(n.leaves) >= methods || len(method) > 32 {
			t.misfits++
			return rec, false
		}
		if t.records >= t.opts.Records {
			t.shrink()
			// The node may have gone into a parameter.
			n = t.walk(t.root, t.path)
		}
		if l = n.at(method); l == nil {
			t.records++
			n.leaves = append(n.leaves, leaf[R]{method: string(method), rec: t.newRecord()})
			l = &n.leaves[len(n.leaves)-1]
		}
	}
	l.n++
	t.leaf = l
	return l.rec, true
}

// Page says that the last exchange was answered by an HTML page with this
// hash (0: something else): one page for many paths is no endpoint.
func (t *Tree[R]) Page(hash uint64) {
	if l := t.leaf; l != nil {
		switch {
		case hash == 0:
			l.mixed = true
		case l.page == 0:
			l.page = hash
		case l.page != hash:
			l.mixed = true
		}
	}
}

// read returns the pattern of a decoded segment, its class, and whether the
// pattern is the segment itself.
func (t *Tree[R]) read(segment []byte, parent string, depth int, last bool) (pattern []byte, c class, literal bool) {
	if last || len(segment) > t.opts.Length {
		return append(t.pattern[:0], "{}"...), text, false
	}
	t.pattern, c = spell(t.pattern[:0], segment)
	if versioned(segment, parent, depth) {
		return segment, c, true
	}
	return t.pattern, c, c == word
}

func cut(path []byte) (segment, rest []byte) {
	if path[0] == '/' {
		path = path[1:]
	}
	for i, c := range path {
		if c == '/' {
			return path[:i], path[i:]
		}
	}
	return path, nil
}

// decode undoes percent-encoding.
func (t *Tree[R]) decode(s []byte) []byte {
	i := slices.Index(s, '%')
	if i < 0 {
		return s
	}
	t.scratch = append(t.scratch[:0], s[:i]...)
	for ; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) {
			if h, l := nibble(s[i+1]), nibble(s[i+2]); h >= 0 && l >= 0 {
				c = byte(h<<4 | l)
				i += 2
			}
		}
		t.scratch = append(t.scratch, c)
	}
	return t.scratch
}

func nibble(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

func (n *node[R]) at(method []byte) *leaf[R] {
	for i := range n.leaves {
		if n.leaves[i].method == string(method) {
			return &n.leaves[i]
		}
	}
	return nil
}

// grow makes a child.
func (t *Tree[R]) grow(n *node[R], pattern []byte, literal bool) *node[R] {
	if n.wide && n.kids["{}"] != nil {
		return n.kids["{}"]
	}
	if string(pattern) != "{}" && len(n.kids) >= t.opts.Children {
		t.fold(n)
		if kid := n.kids[string(pattern)]; kid != nil {
			return kid
		}
		return n.kids["{}"]
	}
	if n.kids == nil {
		n.kids = make(map[string]*node[R])
	}
	kid := &node[R]{name: string(pattern), param: !literal, hash: digest(pattern)}
	n.kids[kid.name] = kid
	return kid
}

// rare is how often a segment was seen at most to be one of those that a fold
// takes first. Values are rare each, names are not.
const rare = 3

// fold makes the rare literals below n one parameter, and at least half of all.
func (t *Tree[R]) fold(n *node[R]) {
	t.folds++
	n.wide = true
	var literals []*node[R]
	for _, k := range n.kids {
		if k.name != "{}" {
			literals = append(literals, k)
		}
	}
	slices.SortFunc(literals, func(a, b *node[R]) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.name, b.name))
	})
	kept := 0
	for kept < len(literals)/2 && literals[kept].n > rare {
		kept++
	}
	to := n.kids["{}"]
	if to == nil {
		to = &node[R]{name: "{}", param: true}
		n.kids["{}"] = to
	}
	for _, k := range literals[kept:] {
		delete(n.kids, k.name)
		t.merge(to, k, true)
	}
}

// shrink folds nodes until a quarter of the records is free: those with the
// most rare children, then those with the most children.
func (t *Tree[R]) shrink() {
	for t.records > t.opts.Records*3/4 {
		var most *node[R]
		size := 0
		stack := []*node[R]{t.root}
		for len(stack) > 0 {
			n := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			weight := 0
			for _, k := range n.kids {
				stack = append(stack, k)
				switch {
				case k.name == "{}":
				case k.n <= rare:
					weight += 1 << 16
				default:
					weight++
				}
			}
			if weight > size || weight == size && most != nil && n.name < most.name {
				most, size = n, weight
			}
		}
		if most == nil {
			return // one path of parameters has as many methods
		}
		t.fold(most)
	}
}

// walk goes down from n as path does, through parameters where nodes have gone
// into them.
func (t *Tree[R]) walk(n *node[R], path []*node[R]) *node[R] {
	for i, k := range path {
		next := n.kids[k.name]
		if next == nil {
			next = n.kids["{}"]
		}
		if next == nil {
			next = t.grow(n, []byte("{}"), false)
		}
		path[i] = next
		n = next
	}
	return n
}

// merge adds o to n. Where own is set, o is given up and may be shared. Its
// depth is that of paths.
func (t *Tree[R]) merge(n, o *node[R], own bool) {
	n.n += o.n
	n.own += o.own
	n.able += o.able
	n.self += o.self
	n.wide = n.wide || o.wide
	for c := range o.classes {
		n.classes[c] += o.classes[c]
	}
	for i := range o.leaves {
		l := &o.leaves[i]
		to := n.at([]byte(l.method))
		switch {
		case to == nil && own:
			n.leaves = append(n.leaves, *l)
			continue
		case to == nil:
			n.leaves = append(n.leaves, leaf[R]{method: l.method, rec: t.newRecord(), page: l.page})
			to = &n.leaves[len(n.leaves)-1]
			t.records++
		case own:
			t.records--
		}
		to.rec.Merge(l.rec)
		to.n += l.n
		to.mixed = to.mixed || l.mixed || to.page != l.page
	}
	for _, k := range o.kids {
		to := n.kids[k.name]
		if to == nil {
			if n.wide && len(n.kids) >= t.opts.Children {
				to = n.kids["{}"]
			}
			if to == nil {
				if n.kids == nil {
					n.kids = make(map[string]*node[R])
				}
				to = &node[R]{name: k.name, param: k.param, hash: k.hash}
				n.kids[k.name] = to
			}
		}
		t.merge(to, k, own)
	}
	if len(n.kids) > t.opts.Children && !n.wide {
		t.fold(n)
	}
}

// Merge adds what o knows to t; o stays as it is. An empty tree takes o's routes
// over.
func (t *Tree[R]) Merge(o *Tree[R]) {
	if t.root.n == 0 && t.failed.kids == nil && t.pins == nil {
		t.opts.Routes = o.opts.Routes
	}
	t.merge(t.root, o.root, false)
	records := t.records
	t.merge(t.failed, o.failed, false)
	t.failures += t.records - records
	t.records = records
	t.noise += o.noise
	t.folds += o.folds
	t.misfits += o.misfits
	t.mergePins(o)
	t.values.merge(&o.values)
	if t.records > t.opts.Records {
		t.shrink()
	}
}

// failure returns the record of an exchange that did not succeed.
func (t *Tree[R]) failure(method, path []byte) (rec R, ok bool) {
	t.path, t.leaf = t.path[:0], nil
	if l := t.find(method, path); l != nil {
		return l.rec, true
	}
	if len(path) > 1024 {
		t.noise++
		return rec, false
	}
	// One level is enough: the whole path, to be routed when there are endpoints.
	kid := t.failed.kids[string(path)]
	if kid == nil {
		if t.failures >= t.opts.Failed {
			t.noise++
			return rec, false
		}
		kid = &node[R]{name: string(path)}
		if t.failed.kids == nil {
			t.failed.kids = make(map[string]*node[R])
		}
		t.failed.kids[kid.name] = kid
	}
	l := kid.at(method)
	if l == nil {
		if t.failures >= t.opts.Failed || len(kid.leaves) >= methods || len(method) > 32 {
			t.noise++
			return rec, false
		}
		t.failures++
		kid.leaves = append(kid.leaves, leaf[R]{method: string(method), rec: t.newRecord()})
		l = &kid.leaves[len(kid.leaves)-1]
	}
	l.n++
	return l.rec, true
}

// Known returns the record of a path that is known, and counts nothing.
func (t *Tree[R]) Known(method, path []byte) (rec R, ok bool) {
	if w := t.routed(path); w != nil {
		if p := t.pins[w.template]; p != nil {
			if l := p.at(method); l != nil {
				return l.rec, true
			}
		}
		return rec, false
	}
	if l := t.find(method, path); l != nil {
		return l.rec, true
	}
	return rec, false
}

// find returns the leaf of a path that is known.
func (t *Tree[R]) find(method, path []byte) *leaf[R] {
	n := t.root
	for depth := 0; len(path) > 0; depth++ {
		segment, rest := cut(path)
		if len(segment) == 0 && len(rest) == 0 {
			break
		}
		last := depth == t.opts.Segments-1
		if last {
			segment, rest = path, nil
		}
		path = rest
		pattern, _, _ := t.read(t.decode(segment), n.name, depth, last)
		kid := n.kids[string(pattern)]
		if kid == nil && n.wide {
			kid = n.kids["{}"]
		}
		if kid == nil {
			return nil
		}
		n = kid
	}
	return n.at(method)
}
