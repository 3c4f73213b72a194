package drift

import (
	"slices"
	"strconv"
	"strings"

	"plainsight/analyze"
	"plainsight/analyze/body"
)

// view is what a schema says of one place of a body: the plain schemas that may
// apply there, with allOf, oneOf and anyOf unfolded.
type view struct {
	nodes []node
	roots []node // what was unfolded
	open  bool   // something says, or may say, that anything goes
	limit bool   // unfolding was cut short
}

const (
	maxNodes = 512 // of a view
	maxFold  = 24  // compositions within each other
)

// expand unfolds a schema.
func expand(n node) *view {
	v := new(view)
	v.add(n, map[uintptr]bool{})
	if v.limit {
		v.open = true
	}
	return v
}

// add unfolds a schema that may apply.
func (v *view) add(n node, seen map[uintptr]bool) {
	v.roots = append(v.roots, n)
	if !v.fold(n, seen, 0) {
		v.open = true
	}
}

// fold adds a schema to v. It returns false for one that says nothing.
func (v *view) fold(n node, seen map[uintptr]bool, depth int) (says bool) {
	if depth > maxFold || len(v.nodes) > maxNodes {
		v.limit = true
		return true
	}
	// A reference with siblings (3.1) means both.
	if m, ok := n.v.(map[string]any); ok && m["$ref"] != nil && len(m) > 1 && (m["properties"] != nil || m["allOf"] != nil || m["oneOf"] != nil || m["anyOf"] != nil) {
		if id := n.identity(); seen[id] {
			return true
		} else {
			seen[id] = true
		}
		rest := make(map[string]any, len(m))
		for k, x := range m {
			if k != "$ref" {
				rest[k] = x
			}
		}
		says = v.fold(node{rest, n.in}, seen, depth+1)
	}
	n = n.resolve()
	m, ok := n.v.(map[string]any)
	if !ok {
		if b, is := n.v.(bool); is && !b {
			return true // false: nothing fits
		}
		return says
	}
	if id := n.identity(); seen[id] {
		return true
	} else {
		seen[id] = true
	}
	if m["$dynamicRef"] != nil || m["if"] != nil || m["not"] != nil && len(m) == 1 || m["discriminator"] != nil && m["oneOf"] == nil && m["anyOf"] == nil {
		v.open = true // subtypes may have more
	}
	composed := false
	for _, e := range n.get("allOf").elements() {
		composed = v.fold(e, seen, depth+1) || composed
	}
	for _, key := range [...]string{"oneOf", "anyOf"} {
		for _, e := range n.get(key).elements() {
			if v.fold(e, seen, depth+1) {
				composed = true
			} else {
				v.open = true
			}
		}
	}
	if bare(m) {
		if len(m) > 0 && m["type"] != nil && !composed {
			v.nodes = append(v.nodes, n) // its type counts
			if slices.Contains(typesOf(n), "object") || slices.Contains(typesOf(n), "array") {
				return says
			}
			return true
		}
		return says || composed
	}
	v.nodes = append(v.nodes, n)
	return true
}

// bare schemas say nothing of what is in a value.
func bare(m map[string]any) bool {
	for _, k := range [...]string{"properties", "additionalProperties", "patternProperties", "items", "prefixItems", "enum", "const", "format", "required"} {
		if m[k] != nil {
			return false
		}
	}
	return true
}

// typesOf lists the declared types of a plain schema, null among them.
func typesOf(n node) []string {
	list := n.get("type").texts()
	m := n.object()
	if len(list) == 0 {
		switch {
		case m["properties"] != nil || m["additionalProperties"] != nil || m["patternProperties"] != nil:
			list = []string{"object"}
		case m["items"] != nil || m["prefixItems"] != nil:
			list = []string{"array"}
		case m["enum"] != nil || m["const"] != nil:
			for _, e := range append(n.get("enum").elements(), n.get("const")) {
				switch e.v.(type) {
				case string:
					list = append(list, "string")
				case bool:
					list = append(list, "boolean")
				case float64:
					list = append(list, "number")
				case map[string]any:
					list = append(list, "object")
				case []any:
					list = append(list, "array")
				}
			}
		}
	}
	if n.get("nullable").yes() || n.get("x-nullable").yes() || slices.ContainsFunc(n.get("enum").elements(), func(e node) bool { return e.v == nil }) {
		list = append(slices.Clip(list), "null")
	}
	return list
}

// types lists the declared types; any is true where a value of any type may stand.
func (v *view) types() (list []string, any bool) {
	if v.limit || len(v.nodes) == 0 {
		return nil, true
	}
	for _, n := range v.nodes {
		t := typesOf(n)
		if len(t) == 0 || len(t) == 1 && t[0] == "null" {
			if m := n.object(); m["allOf"] == nil && m["oneOf"] == nil && m["anyOf"] == nil && (m["format"] != nil || m["required"] == nil) {
				any = true
			}
		}
		for _, t := range t {
			if t == "file" { // of Swagger 2.0
				any = true
			}
			if !slices.Contains(list, t) {
				list = append(list, t)
			}
		}
	}
	return list, any || len(list) == 0 || v.open && !slices.ContainsFunc(list, func(t string) bool { return t != "null" })
}

// member gives the view of a member of the object; ok is false where none of the
// schemas declares it.
func (v *view) member(name string) (to *view, ok bool) {
	to = new(view)
	seen := map[uintptr]bool{}
	add := func(n node) {
		ok = true
		to.add(n, seen)
	}
	guess := strings.Contains(name, "{") || strings.HasSuffix(name, "…") // a name of which a part was hidden
	for _, n := range v.nodes {
		m := n.object()
		properties := n.get("properties")
		if p := properties.get(name); p.here() {
			add(p)
			continue
		}
		if guess {
			for _, p := range properties.members() {
				if analyze.Name([]byte(p.name)) == name {
					add(p.node)
				}
			}
		}
		for _, p := range n.get("patternProperties").members() {
			add(p.node) // which pattern fits is not asked
			to.open = true
		}
		switch more := n.get("additionalProperties"); x := more.v.(type) {
		case bool:
			if x {
				to.open, ok = true, true
			}
		case map[string]any:
			add(more)
		}
		if m["patternProperties"] == nil && m["properties"] == nil && m["additionalProperties"] == nil && slices.Contains(typesOf(n), "object") && !composed(m) {
			to.open, ok = true, true
		}
		if u, is := n.get("unevaluatedProperties").v.(bool); is && u {
			to.open, ok = true, true
		}
	}
	if v.open || guess && !ok {
		to.open, ok = true, true
	}
	return to, ok
}

func composed(m map[string]any) bool {
	return m["allOf"] != nil || m["oneOf"] != nil || m["anyOf"] != nil
}

// values gives the view of what free keys lead to; loose is true where the
// document names the keys.
func (v *view) values() (to *view, ok, loose bool) {
	to = new(view)
	seen := map[uintptr]bool{}
	for _, n := range v.nodes {
		for _, p := range n.get("properties").members() {
			to.add(p.node, seen)
			ok, loose = true, true
		}
		for _, p := range n.get("patternProperties").members() {
			to.add(p.node, seen)
			ok = true
		}
		switch more := n.get("additionalProperties"); x := more.v.(type) {
		case bool:
			if x {
				to.open, ok = true, true
			}
		case map[string]any:
			ok = true
			to.add(more, seen)
		default:
			if bare(n.object()) && slices.Contains(typesOf(n), "object") {
				to.open, ok = true, true
			}
		}
	}
	if v.open {
		to.open, ok = true, true
	}
	return to, ok, loose
}

// items gives the view of the elements of the array.
func (v *view) items() (to *view, ok bool) {
	to = new(view)
	seen := map[uintptr]bool{}
	for _, n := range v.nodes {
		m := n.object()
		if m["items"] == nil && m["prefixItems"] == nil && slices.Contains(typesOf(n), "array") {
			to.open, ok = true, true
		}
		list := n.get("prefixItems").elements()
		if items := n.get("items"); items.here() {
			if more := items.elements(); len(more) > 0 {
				list = append(list, more...)
			} else {
				list = append(list, items)
			}
		}
		for _, e := range list {
			ok = true
			to.add(e, seen)
		}
	}
	if v.open {
		to.open, ok = true, true
	}
	return to, ok
}

// required lists the names that every object at the place must have, on a side.
func (v *view) required(side analyze.Side) (list []string) {
	for i, root := range v.roots {
		budget := 4 * maxNodes
		of := must(root, 0, &budget)
		if budget <= 0 {
			return nil
		}
		if i == 0 {
			list = of
		} else {
			list = common(list, of)
		}
	}
	return slices.DeleteFunc(list, func(name string) bool {
		for _, k := range v.nodes {
			p := k.get("properties").get(name).resolve()
			if side == analyze.Request && p.get("readOnly").yes() || side == analyze.Response && p.get("writeOnly").yes() {
				return true
			}
		}
		return false
	})
}

// must lists what a schema requires: what each part of allOf does, and what all
// alternatives of oneOf and anyOf have in common.
func must(n node, depth int, budget *int) (list []string) {
	n = n.resolve()
	if *budget--; *budget <= 0 || depth > maxFold || n.object() == nil {
		return nil
	}
	list = slices.Clone(n.get("required").texts())
	for _, e := range n.get("allOf").elements() {
		list = append(list, must(e, depth+1, budget)...)
	}
	for _, key := range [...]string{"oneOf", "anyOf"} {
		var all []string
		first := true
		for _, e := range n.get(key).elements() {
			if t := typesOf(e.resolve()); len(t) == 1 && t[0] == "null" {
				continue
			}
			of := must(e, depth+1, budget)
			if first {
				all, first = of, false
			} else {
				all = common(all, of)
			}
		}
		list = append(list, all...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func common(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return !slices.Contains(b, s) })
}

// enum lists the values that the place may have; ok is false where others may
// stand too.
func (v *view) enum() (values []string, ok bool) {
	if v.open || len(v.nodes) == 0 {
		return nil, false
	}
	for _, n := range v.nodes {
		list := n.get("enum").elements()
		if c := n.get("const"); c.here() {
			list = append(list, c)
		}
		if len(list) == 0 {
			return nil, false
		}
		for _, e := range list {
			switch x := e.v.(type) {
			case string:
				values = append(values, x)
			case float64:
				values = append(values, strconv.FormatFloat(x, 'f', -1, 64))
			case bool:
				values = append(values, strconv.FormatBool(x))
			}
		}
	}
	return values, true
}

// formats lists the declared formats; ok is false where one has none.
func (v *view) formats() (list []string, ok bool) {
	for _, n := range v.nodes {
		f := strings.ToLower(n.get("format").text())
		if f == "" {
			return nil, false
		}
		list = append(list, f)
	}
	return list, len(list) > 0 && !v.open
}

// admits reports whether a word of a path may be a value of the schema, as far as
// its type and enum say.
func (n node) admits(word string) bool {
	if !n.here() {
		return true
	}
	v := expand(n)
	if values, ok := v.enum(); ok && !slices.Contains(values, word) {
		return false
	}
	types, any := v.types()
	if any {
		return true
	}
	for _, t := range types {
		switch t {
		case "integer", "number":
			if _, err := strconv.ParseFloat(word, 64); err == nil {
				return true
			}
		case "boolean":
			if word == "true" || word == "false" {
				return true
			}
		case "null":
		default:
			if f, ok := v.formats(); ok && len(f) == 1 && f[0] == "uuid" && len(word) != 36 && len(word) != 32 {
				continue
			}
			return true
		}
	}
	return false
}

// step is a part of a generalised path.
type step struct {
	kind byte // '.', '[' or '{'
	name string
}

// steps cuts a generalised path as [body.AppendName] writes it.
func steps(path string) (list []step, ok bool) {
	path, ok = strings.CutPrefix(path, "$")
	if !ok {
		return nil, false
	}
	for path != "" {
		switch {
		case strings.HasPrefix(path, "[]"):
			list, path = append(list, step{kind: '['}), path[2:]
		case strings.HasPrefix(path, "{*}"):
			list, path = append(list, step{kind: '{'}), path[3:]
		case path[0] == '.':
			rest := path[1:]
			end := 0
			for end < len(rest) && rest[end] != '.' && !strings.HasPrefix(rest[end:], "[]") && !strings.HasPrefix(rest[end:], "{*}") {
				end++
			}
			list, path = append(list, step{'.', names.Replace(rest[:end])}), rest[end:]
		default:
			return nil, false
		}
	}
	return list, true
}

// names undoes the encoding of names in generalised paths.
var names = strings.NewReplacer("%25", "%", "%2E", ".", "%5B", "[", "%7B", "{")

// childPath is the path of a member.
func childPath(parent, name string) string {
	return string(body.AppendName([]byte(parent+"."), []byte(name)))
}
