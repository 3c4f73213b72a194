package shape

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"plainsight/analyze"
	"plainsight/analyze/body"
)

// Fields describes the fields of all bodies, and parameters, as far as they
// were learned, in order. private says of a place that its values must not be
// shown, though they look like an enum; it may be nil.
func (s *Set) Fields(private func(analyze.Place) bool) (parameters, fields []analyze.Field) {
	w := writer{private: private, depth: s.opts.Depth}
	for i, where := range places {
		if s.params[i] == nil {
			continue
		}
		for _, k := range sorted(s.params[i].kids) {
			w.base = analyze.Field{Side: analyze.Request, Where: where}
			w.field(k, analyze.Clean([]byte(k.name)), k.name, s.messages)
		}
		if s.params[i].wild != nil {
			w.base = analyze.Field{Side: analyze.Request, Where: where, Map: true}
			w.field(s.params[i].wild, "{*}", "", s.messages)
		}
	}
	parameters, w.out = w.out, nil
	for _, v := range s.sortedVariants() {
		w.base = analyze.Field{Side: v.side, Where: analyze.InBody, ContentType: v.ctype}
		if v.status > 0 {
			w.base.Status = strconv.Itoa(v.status)
		}
		w.failure = v.status >= 400
		w.tree(&v.root, "$", "", v.root.sure, 0)
	}
	return parameters, w.out
}

func (s *Set) sortedVariants() []*variant {
	v := slices.Clone(s.variants)
	slices.SortFunc(v, func(a, b *variant) int {
		return cmp.Or(cmp.Compare(a.side, b.side), cmp.Compare(a.status, b.status), cmp.Compare(a.ctype, b.ctype))
	})
	return v
}

func sorted(kids []*node) []*node {
	kids = slices.Clone(kids)
	slices.SortFunc(kids, func(a, b *node) int { return cmp.Compare(a.name, b.name) })
	return kids
}

// writer writes nodes as fields.
type writer struct {
	private func(analyze.Place) bool
	depth   int
	base    analyze.Field
	failure bool // of an answer that says what went wrong: nothing in it is a closed set
	out     []analyze.Field
}

// tree writes n and what is below it.
func (w *writer) tree(n *node, path, key string, of uint64, depth int) {
	if n.present == 0 && n.types == 0 {
		return // known only from a limit
	}
	wild := n.wild
	kids := n.kids
	if m := n.asMap(); m != nil {
		wild, kids = m, nil
	}
	at := len(w.out)
	w.field(n, path, key, of)
	w.out[at].Map = wild != nil
	if depth > w.depth {
		return
	}
	for _, k := range sorted(kids) {
		w.tree(k, string(body.AppendName([]byte(path+"."), []byte(analyze.Clean([]byte(k.name))))), k.name, n.objects, depth+1)
	}
	if n.item != nil {
		w.tree(n.item, path+"[]", key, n.item.sure, depth+1)
	}
	if wild != nil {
		w.tree(wild, path+"{*}", key, wild.sure, depth+1)
	}
}

// field writes n alone.
func (w *writer) field(n *node, path, key string, of uint64) {
	f := w.base
	f.Path = path
	f.Types = n.typeNames()
	f.Nullable = n.types&null != 0
	f.Present, f.Of = n.sure, of
	f.Required = of > 0 && n.sure >= of
	if n.sure == 0 || of == 0 { // cut bodies alone
		f.Present, f.Of, f.Required = n.present, n.present, false
	}
	if n.strings && n.types&str != 0 && (len(f.Types) == 1 || n.textual) {
		f.Format = n.format()
		if f.Format == "" && !secretive(key) && !w.failure {
			f.Enum = n.enum(key)
			if f.Enum != nil && w.private != nil && w.private(analyze.Place{Side: f.Side, Where: f.Where, Name: path}) {
				f.Enum = nil
			}
		}
	}
	w.out = append(w.out, f)
}

var typeNames = []struct {
	bit  uint8
	name string
}{{str, "string"}, {integer, "integer"}, {number, "number"}, {boolean, "boolean"}, {object, "object"}, {array, "array"}}

func (n *node) typeNames() []string {
	t := n.types
	if t&number != 0 {
		t &^= integer
	}
	if n.textual {
		// What looks like different things is text.
		if t&(t-1) != 0 {
			t = str
		}
		if n.repeated {
			t |= array // of such
		}
	}
	var names []string
	for _, k := range typeNames {
		if t&k.bit != 0 {
			names = append(names, k.name)
		}
	}
	return names
}

func (n *node) format() string {
	for _, f := range formatNames {
		if n.formats != anyFormat && n.formats&f.bit != 0 {
			return f.name
		}
	}
	return ""
}

// enum returns the values where they are proven to be all: few, none of them
// seen just once, and each seen often on average.
func (n *node) enum(key string) []string {
	if n.open || n.values.len() == 0 {
		return nil
	}
	var total, least uint64 = 0, math.MaxUint64
	for _, v := range n.values.all() {
		total += uint64(v.n)
		least = min(least, uint64(v.n))
	}
	d := uint64(n.values.len())
	if least < 2 || total < 2*d || n.coded(key) || n.truths() {
		return nil
	}
	if d == 1 && (total < 4 || !typeKey(key)) {
		return nil
	}
	values := make([]string, 0, d)
	for _, v := range n.values.all() {
		values = append(values, string(n.values.text(v)))
	}
	slices.Sort(values)
	return values
}

// coded reports whether the values are of a list that the world keeps, of
// which traffic shows a part: countries, currencies, languages, time zones.
func (n *node) coded(key string) bool {
	if n.values.len() < 4 && !codeKey(key) {
		return false
	}
	for _, v := range n.values.all() {
		text := string(n.values.text(v))
		capitals, small := 0, 0
		for _, c := range []byte(text) {
			switch {
			case 'A' <= c && c <= 'Z':
				capitals++
			case 'a' <= c && c <= 'z':
				small++
			}
		}
		letters := capitals + small
		plain := letters == len(text)
		switch {
		case plain && letters <= 3 && (capitals == letters && letters > 1 || small == 2 && letters == 2): // JP, EUR, de
		case !plain && len(text) <= 7 && small == 2 && (capitals == 2 || capitals == 0): // pt-BR
		case strings.Contains(text, "/") && capitals >= 2 || text == "UTC" || text == "GMT": // Asia/Tokyo
		default:
			return false
		}
	}
	return true
}

// codeKey reports whether a field's name says that it holds such codes, so that
// even two of them are no closed set.
func codeKey(key string) bool {
	k := strings.ToLower(key)
	for _, s := range [...]string{"currency", "currencies", "country", "countries", "language", "languages", "locale", "locales", "lang", "timezone", "time_zone", "nationality"} {
		if i := strings.LastIndex(k, s); i >= 0 && len(k)-i-len(s) <= 5 { // currencyCode, country_iso
			return true
		}
	}
	return false
}

// truths reports whether the values are those of a boolean that is written as
// text, as forms do.
func (n *node) truths() bool {
	for _, v := range n.values.all() {
		switch strings.ToLower(string(n.values.text(v))) {
		case "true", "false":
		default:
			return false
		}
	}
	return true
}

// typeKey reports whether a field is likely to name a kind of thing, so that
// one value may be an enum of one.
func typeKey(key string) bool {
	switch strings.ToLower(key) {
	case "type", "kind", "object", "status", "state", "format", "apiversion":
		return true
	}
	return false
}

// secretive reports whether a field's name says that its values identify or
// describe a person or thing, so that even few of them are no enum to show.
func secretive(key string) bool {
	k := strings.ToLower(key)
	for _, s := range [...]string{"id", "name", "email", "mail", "login", "user", "owner", "author", "phone", "address", "street", "city", "zip", "postal",
		"token", "secret", "password", "passwd", "key", "hash", "sha", "title", "slug", "url", "uri", "host", "ip"} {
		if strings.HasSuffix(k, s) {
			return true
		}
	}
	return false
}

// sparse reports whether the keys of an object of alike values are as rare as
// those of a map: most were seen once, or each is in few of many objects. Few
// objects prove little, unless the field is named like a map.
func (n *node) sparse(kids, once, entries, free int, types uint8) bool {
	objects := int(n.objects)
	switch {
	case free*2 >= entries && free > 0:
		return true
	case mapNames[strings.ToLower(n.name)] && types&(object|array) == 0:
		return objects == 0 || entries <= kids*objects*2/3 || objects <= 2
	case objects >= 8 && kids >= 6:
		return entries*5 <= kids*objects
	case objects >= 3 && kids >= 4:
		return once*2 >= kids && entries < 3*kids && entries*2 <= kids*objects
	}
	return false
}

// mapNames are usual names of maps from free keys to plain values.
var mapNames = map[string]bool{"labels": true, "annotations": true, "metadata": true, "matchlabels": true, "headers": true, "env": true, "environment": true,
	"attributes": true, "properties": true, "extra": true, "extras": true, "translations": true, "custom_fields": true, "customfields": true, "tags": true}

// broad is the types of a node without null and with integers as numbers.
func (n *node) broad() uint8 {
	t := n.types &^ null
	if t&integer != 0 {
		t = t&^integer | number
	}
	return t
}

// asMap returns what the values of an object with free keys have in common, or
// nil where it is no map. The keys of a map are many, each rare, and lead to
// alike values.
func (n *node) asMap() *node {
	if n.folded {
		return n.wild
	}
	if n.types&object == 0 || len(n.kids) == 0 && n.wild == nil {
		return nil
	}
	var entries, once, always int
	var types uint8
	mixed := false
	for _, k := range n.kids {
		entries += int(k.sure)
		if k.sure <= 1 {
			once++
		}
		if n.objects > 1 && k.sure >= n.objects {
			always++
		}
		if t := k.broad(); t != 0 {
			if types != 0 && t != types {
				mixed = true
			}
			types = t
		}
	}
	free, kids := 0, len(n.kids)
	if n.wild != nil {
		free = int(n.wild.sure)
		if t := n.wild.broad(); types != 0 && t != 0 && t != types {
			mixed = true
		}
	}
	if !(free > 0 && kids == 0 || !mixed && always == 0 && n.sparse(kids, once, entries, free, types)) {
		return nil
	}
	m := &Set{opts: Options{}.withDefaults()}
	out := &node{}
	if n.wild != nil {
		m.merge(out, n.wild, 0)
	}
	for _, k := range n.kids {
		m.merge(out, k, 0)
	}
	return out
}
