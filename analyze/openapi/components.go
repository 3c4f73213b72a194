package openapi

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// shared finds schemas that stand at several places of a document and makes
// components of them.
type shared struct {
	ids   map[string]int // by canonical text, in which what is below stands as ids
	all   []*equal       // by id
	given map[string]bool
}

// equal is a schema with all that are equal to it.
type equal struct {
	schema *schema
	places int // of the document, or in other unequal schemas
	names  map[string]int
	name   string // of the component; empty: it is none
}

// leastProperties is how many an object has at least to be worth a component.
const leastProperties = 2

// share replaces the schemas of objects that are equal by references, in place,
// and returns the components by name. The order of operations does not matter
// but for the numbers of names that several shapes would like.
func share(roots []placedSchema) map[string]*schema {
	s := &shared{ids: map[string]int{}, given: map[string]bool{}}
	for _, r := range roots {
		s.learn(*r.at, r.name)
	}
	var list []*equal
	for _, e := range s.all {
		if e.places > 1 && len(e.schema.Properties) >= leastProperties {
			list = append(list, e)
		}
	}
	// Those at most places get the plain names.
	slices.SortStableFunc(list, func(a, b *equal) int { return cmp.Compare(b.places, a.places) })
	for _, e := range list {
		e.name = s.unique(e.wanted())
	}
	out := map[string]*schema{}
	for _, r := range roots {
		*r.at = s.refer(*r.at, out)
	}
	return out
}

// placedSchema is a schema in a document, with a name that would suit it.
type placedSchema struct {
	at   **schema
	name string
}

// learn counts a schema at a place. What is below one that may become a
// component counts once.
func (s *shared) learn(c *schema, name string) {
	e := s.all[s.identify(c)-1]
	if e.places == 0 || len(c.Properties) < leastProperties {
		e.schema.each(name, s.learn)
	}
	e.places++
	e.names[name]++
}

// identify gives a number to a schema, the same to equal ones, and counts
// nothing.
func (s *shared) identify(c *schema) int {
	if c.id == 0 {
		kids := []int{}
		c.each("", func(k *schema, _ string) { kids = append(kids, s.identify(k)) })
		key := c.key(kids)
		id, known := s.ids[key]
		if !known {
			s.all = append(s.all, &equal{schema: c, names: map[string]int{}})
			id = len(s.all)
			s.ids[key] = id
		}
		c.id = id
	}
	return c.id
}

// key is the canonical text of a schema without what is below, whose ids it has.
func (c *schema) key(kids []int) string {
	flat := *c
	flat.Properties, flat.Free, flat.Items = nil, nil, nil
	var b strings.Builder
	enc := json.NewEncoder(&b)
	_ = enc.Encode(flat) // strings alone
	for _, name := range c.propertyNames() {
		b.WriteString(strconv.Quote(name))
		b.WriteByte(' ')
	}
	for _, id := range kids {
		b.WriteString(strconv.Itoa(id))
		b.WriteByte(' ')
	}
	b.WriteString(strconv.FormatBool(c.Free != nil) + strconv.FormatBool(c.Items != nil))
	return b.String()
}

func (c *schema) propertyNames() []string {
	names := make([]string, 0, len(c.Properties))
	for name := range c.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// each calls f for all schemas right below c, in order, with names that would
// suit them.
func (c *schema) each(name string, f func(k *schema, name string)) {
	for _, p := range c.propertyNames() {
		f(c.Properties[p], title(p))
	}
	if c.Free != nil {
		f(c.Free, singular(name))
	}
	if c.Items != nil {
		f(c.Items, singular(name))
	}
}

// refer returns what stands for a schema in the document.
func (s *shared) refer(c *schema, out map[string]*schema) *schema {
	if c == nil || c.id == 0 {
		return c
	}
	e := s.all[c.id-1]
	if e.name == "" {
		s.below(c, out)
		return c
	}
	if out[e.name] == nil {
		out[e.name] = e.schema
		s.below(e.schema, out)
	}
	return &schema{Ref: "#/components/schemas/" + e.name}
}

func (s *shared) below(c *schema, out map[string]*schema) {
	for _, p := range c.propertyNames() {
		c.Properties[p] = s.refer(c.Properties[p], out)
	}
	c.Free = s.refer(c.Free, out)
	c.Items = s.refer(c.Items, out)
}

// wanted is the name that most places would give.
func (e *equal) wanted() string {
	best := ""
	for name, n := range e.names {
		if m := e.names[best]; best == "" || n > m || n == m && name < best {
			best = name
		}
	}
	if best == "" {
		return "Object"
	}
	return best
}

func (s *shared) unique(name string) string {
	for base, n := name, 2; s.given[name]; n++ {
		name = base + strconv.Itoa(n)
	}
	s.given[name] = true
	return name
}

// title writes a name as those of components are: line_items as LineItems.
func title(name string) string {
	var b strings.Builder
	up := true
	for _, c := range []byte(name) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		switch {
		case letter && up && c >= 'a':
			b.WriteByte(c &^ 0x20)
		case letter, '0' <= c && c <= '9' && b.Len() > 0:
			b.WriteByte(c)
		default:
			up = true
			continue
		}
		up = false
	}
	if b.Len() == 0 || b.Len() > 60 {
		return "Object"
	}
	return b.String()
}

// singular is the name of one of several.
func singular(name string) string {
	switch {
	case strings.HasSuffix(name, "ies") && len(name) > 4:
		return name[:len(name)-3] + "y"
	case strings.HasSuffix(name, "sses") || strings.HasSuffix(name, "xes") || strings.HasSuffix(name, "ches"):
		return name[:len(name)-2]
	case strings.HasSuffix(name, "s") && !strings.HasSuffix(name, "ss") && !strings.HasSuffix(name, "us") && !strings.HasSuffix(name, "is") && len(name) > 3:
		return name[:len(name)-1]
	case name == "":
		return "Item"
	}
	return name + "Item"
}

// noun is a name for what a template leads to.
func noun(template string) string {
	segments := strings.Split(strings.Trim(template, "/"), "/")
	for i := len(segments) - 1; i >= 0; i-- {
		if s := segments[i]; s != "" && !strings.Contains(s, "{") {
			if name := title(s); i < len(segments)-1 {
				return strings.TrimSuffix(singular(name), "Item")
			} else {
				return name
			}
		}
	}
	return "Root"
}
