// Package shape learns what messages look like: the fields of bodies by
// generalised path, and parameters, with their types, presence, formats and
// closed sets of values. A [Set] belongs to one endpoint and grows with the
// variety of its messages, never with their number; sets merge, in any order.
// Package inventory keeps one in each endpoint's record and writes it out as
// fields; the endpoint tree compares them. What a captured body held is kept
// only as candidates of enums, and leaves only as a proven enum.
package shape

import (
	"plainsight/analyze"
	"plainsight/analyze/body"
)

// Options bound a Set. The zero value has the defaults.
type Options struct {
	Nodes    int // fields and parameters of a set; further ones are not learned. 0: 4096
	Children int // names in one object; with more it is taken for a map. 0: 200
	Depth    int // of fields; deeper ones are not learned. 0: 24
	Variants int // pairs of status and content type. 0: 32
	Values   int // of an enum. 0: 24
}

func (o Options) withDefaults() Options {
	def := func(n *int, d int) {
		if *n <= 0 {
			*n = d
		}
	}
	def(&o.Nodes, 4096)
	def(&o.Children, 200)
	def(&o.Depth, 24)
	def(&o.Variants, 32)
	def(&o.Values, 24)
	o.Values = min(o.Values, maxLabels)
	return o
}

// Types a field was seen with, as bits.
const (
	null = 1 << iota
	boolean
	integer
	number
	str
	object
	array
)

// node is one position: a field, the items of an array, the values of a map, a
// parameter. A parameter's node is textual: it has types by how values look.
type node struct {
	name  string // as captured
	kids  []*node
	index map[string]*node // of kids, once they are many
	item  *node
	wild  *node // values under free keys

	types    uint8
	formats  uint8 // those that all strings had
	strings  bool  // a string was seen
	textual  bool
	repeated bool  // a parameter that came twice in one message
	folded   bool  // too many names: all go to wild
	open     bool  // no enum: too many values, or unfit ones
	fixed    uint8 // how many of the names above a value here are always the same: 0, 1, 2 or more
	values   *labels
	note     any // of the caller

	present uint64 // parents that had it, whole or cut
	sure    uint64 // parents in whole bodies that had it
	objects uint64 // objects in whole bodies

	// Of the body that is being walked.
	epoch    uint64
	instance uint64 // of the parent object that last had it
	hits     uint32
	opened   uint32
	next     int // the kid that came after the last one, last time
}

// variant is one kind of body of an endpoint.
type variant struct {
	side   analyze.Side
	status int
	ctype  string
	root   node
}

// Set is the shape of an endpoint's messages. It is not safe for concurrent
// use.
type Set struct {
	opts     Options
	variants []*variant
	params   [4]*node // query, header, cookie, path: objects with one instance a message
	messages uint64
	instance uint64
	nodes    int
	over     uint64 // fields and variants not learned because of a limit
	folds    uint64 // objects that became maps because of a limit
}

// NewSet makes an empty set.
func NewSet(o Options) *Set { return &Set{opts: o.withDefaults()} }

// Over is how often something new was not learned because a limit was reached.
func (s *Set) Over() uint64 { return s.over }

// Folds is how often an object was made a map because it had too many names.
func (s *Set) Folds() uint64 { return s.folds }

// Nodes is the number of fields and parameters that are known: the measure of
// its memory.
func (s *Set) Nodes() int { return s.nodes }

var places = [4]analyze.Where{analyze.InQuery, analyze.InHeader, analyze.InCookie, analyze.InPath}

// Message begins the parameters of another request. Presence of parameters is
// counted against these calls.
func (s *Set) Message() {
	s.messages++
	s.instance++
}

// Parameter learns a parameter of the message that [Set.Message] began. name
// and value are borrowed; value is decoded.
func (s *Set) Parameter(where analyze.Where, name, value []byte) {
	for i, w := range places {
		if w != where {
			continue
		}
		n := s.kid(s.param(i), name)
		if n == nil {
			return
		}
		n.textual = true
		if n.instance == s.instance {
			n.repeated = true
		} else {
			n.instance = s.instance
			n.present++
			n.sure++
		}
		n.text(value, s.opts.Values)
		return
	}
}

// param is the object that parameters of one place are in.
func (s *Set) param(i int) *node {
	if s.params[i] == nil {
		s.params[i] = &node{}
	}
	return s.params[i]
}

// root finds or makes the variant of a body.
func (s *Set) root(side analyze.Side, status int, ctype []byte) *node {
	var buf [64]byte
	ctype = mediaType(buf[:0], ctype)
	if side == analyze.Request {
		status = 0
	}
	for _, v := range s.variants {
		if v.side == side && v.status == status && v.ctype == string(ctype) {
			return &v.root
		}
	}
	if len(s.variants) >= s.opts.Variants {
		s.over++
		return nil
	}
	v := &variant{side: side, status: status, ctype: string(ctype), root: node{fixed: 2}}
	s.variants = append(s.variants, v)
	return &v.root
}

// mediaType appends the media type of a Content-Type in lower case, without
// parameters.
func mediaType(to, header []byte) []byte {
	for _, c := range header {
		switch {
		case c == ';' || len(to) == cap(to):
			return to
		case c <= ' ' || c > '~':
			continue
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		}
		to = append(to, c)
	}
	return to
}

// few is how many kids are searched one by one.
const few = 8

// kid finds or makes the field that a name of the object n leads to. It is nil
// where a limit forbids a new one.
func (s *Set) kid(n *node, name []byte) *node {
	if n.next < len(n.kids) && n.kids[n.next].name == string(name) {
		k := n.kids[n.next]
		n.next++
		return k
	}
	if n.index != nil {
		if k := n.index[string(name)]; k != nil {
			n.next = k.place(n) + 1
			return k
		}
	} else {
		for i, k := range n.kids {
			if k.name == string(name) {
				n.next = i + 1
				return k
			}
		}
	}
	if n.folded || body.FreeKey(name) {
		if n.wild == nil {
			n.wild = s.node("")
		}
		return n.wild
	}
	if len(n.kids) >= s.opts.Children {
		s.fold(n)
		return n.wild
	}
	k := s.node(string(name))
	if k != nil {
		k.fixed = min(n.fixed+1, 2)
		n.add(k)
	}
	return k
}

// place is the index of the kid k of n; it is near the one expected.
func (k *node) place(n *node) int {
	for i := n.next; i < len(n.kids); i++ {
		if n.kids[i] == k {
			return i
		}
	}
	for i := range n.kids {
		if n.kids[i] == k {
			return i
		}
	}
	return 0
}

func (n *node) add(k *node) {
	n.kids = append(n.kids, k)
	n.next = len(n.kids)
	switch {
	case n.index != nil:
		n.index[k.name] = k
	case len(n.kids) > few:
		n.index = make(map[string]*node, 2*few)
		for _, k := range n.kids {
			n.index[k.name] = k
		}
	}
}

func (s *Set) node(name string) *node {
	if s.nodes >= s.opts.Nodes {
		s.over++
		return nil
	}
	s.nodes++
	return &node{name: name}
}

// fold makes a map of an object.
func (s *Set) fold(n *node) {
	n.folded = true
	s.folds++
	if n.wild == nil {
		if n.wild = s.node(""); n.wild == nil {
			return
		}
	}
	for _, k := range n.kids {
		s.settle(k)
		s.merge(n.wild, k, 0)
		s.nodes -= k.count()
	}
	n.kids, n.index, n.next = nil, nil, 0
}

// settle forgets what the current body said of n, which is about to go.
func (s *Set) settle(n *node) { n.epoch = 0 }

// count is the number of nodes from n on.
func (n *node) count() int {
	c := 1
	for _, k := range n.kids {
		c += k.count()
	}
	if n.item != nil {
		c += n.item.count()
	}
	if n.wild != nil {
		c += n.wild.count()
	}
	return c
}

// Recorder writes bodies into sets: a [body.Visitor] that goes down a set's
// tree in step with the walk. A worker has one for all its sets. It allocates
// only for what is new.
type Recorder struct {
	set     *Set
	root    *node
	last    *node // of the last value
	stack   []level
	epoch   uint64
	touched []*node
	started bool
}

type level struct {
	n        *node // nil below a limit
	instance uint64
	kid      *node // where the last key leads
	array    bool
}

// Open begins a body of a set's endpoint. status is 0 for requests.
func (r *Recorder) Open(s *Set, side analyze.Side, status int, contentType []byte) {
	r.set = s
	r.root = s.root(side, status, contentType)
	r.stack = r.stack[:0]
	r.touched = r.touched[:0]
	s.instance++
	r.epoch = s.instance // never used before in this set
	r.started = false
}

// Close ends the body. Of one that is not complete nothing counts as absent.
func (r *Recorder) Close(complete bool) {
	for i, n := range r.touched {
		r.touched[i] = nil
		if n.epoch != r.epoch {
			continue // it was folded away
		}
		n.present += uint64(n.hits)
		if complete {
			n.sure += uint64(n.hits)
			n.objects += uint64(n.opened)
		}
		n.hits, n.opened = 0, 0
	}
	r.touched = r.touched[:0]
	r.set, r.root, r.last = nil, nil, nil
}

// at returns the node of the value that comes next and counts it.
func (r *Recorder) at() *node {
	if len(r.stack) == 0 {
		if r.started || r.root == nil {
			return nil
		}
		r.started = true
		r.touch(r.root).hits++
		return r.root
	}
	top := &r.stack[len(r.stack)-1]
	if top.n == nil {
		return nil
	}
	if top.array {
		if top.n.item == nil {
			if top.n.item = r.set.node(""); top.n.item == nil {
				return nil
			}
			top.n.item.fixed = top.n.fixed
		}
		r.touch(top.n.item).hits++
		return top.n.item
	}
	n := top.kid
	if n == nil {
		return nil
	}
	r.touch(n)
	if n.instance != top.instance || n == top.n.wild {
		n.instance = top.instance
		n.hits++
	}
	return n
}

func (r *Recorder) touch(n *node) *node {
	if n.epoch != r.epoch {
		n.epoch, n.hits, n.opened = r.epoch, 0, 0
		r.touched = append(r.touched, n)
	}
	return n
}

// Begin implements [body.Visitor].
func (r *Recorder) Begin(k body.Kind) {
	n := r.at()
	l := level{n: n, array: k == body.Array}
	if n != nil {
		if l.array {
			n.types |= array
		} else {
			n.types |= object
			n.opened++
			n.next = 0
			r.set.instance++
			l.instance = r.set.instance
		}
		if len(r.stack) >= r.set.opts.Depth {
			l.n = nil
			r.set.over++
		}
	}
	r.stack = append(r.stack, l)
}

// Key implements [body.Visitor].
func (r *Recorder) Key(name []byte) {
	if len(r.stack) == 0 {
		return
	}
	top := &r.stack[len(r.stack)-1]
	if top.n != nil {
		top.kid = r.set.kid(top.n, name)
	}
}

// Note is room for what the caller knows of the place of the last value by its
// names, the nearest one and the one above that: they are the same each time.
// It is nil where there is no such place.
func (r *Recorder) Note() *any {
	if n := r.last; n != nil && n.fixed >= 2 {
		return &n.note
	}
	return nil
}

// Value implements [body.Visitor].
func (r *Recorder) Value(k body.Kind, text []byte) {
	n := r.at()
	r.last = n
	if n == nil {
		return
	}
	switch k {
	case body.Null:
		n.types |= null
	case body.Bool:
		n.types |= boolean
	case body.Number:
		if whole(text) {
			n.types |= integer
		} else {
			n.types |= number
		}
	case body.String:
		n.types |= str
		n.learn(text, r.set.opts.Values)
	}
}

// End implements [body.Visitor].
func (r *Recorder) End(body.Kind) {
	if len(r.stack) > 0 {
		r.stack = r.stack[:len(r.stack)-1]
	}
}

// whole reports whether a JSON number is written as an integer.
func whole(text []byte) bool {
	for _, c := range text {
		if c == '.' || c == 'e' || c == 'E' || c == 'N' || c == 'I' {
			return false
		}
	}
	return true
}
