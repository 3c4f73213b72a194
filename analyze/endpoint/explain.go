package endpoint

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"plainsight/analyze"
)

// Explanation says why a path has its template.
type Explanation struct {
	Service  string // for the caller to fill in
	Methods  []string
	Template string
	Given    bool // by a person, so that there is nothing to explain
	Steps    []Step
}

// Step is what was decided of one segment of a path, in words for people.
type Step struct {
	Segment string // as asked for, cleaned; a value that may be private is masked
	Part    string // of the template
	Because string
	Odds    float64  // log-odds of being a value; 0 where there was nothing to weigh
	Bar     float64  // what they had to reach
	For     []Reason // the weightiest first; nil where there was nothing to weigh
}

// Reason is a piece of evidence.
type Reason struct {
	Text   string
	Weight float64 // what it adds to the log-odds
}

// weighed is what a decision about a literal rested on.
type weighed struct {
	features [nFeatures]float64
	odds     float64
	bar      float64
}

// Explain decides as [Tree.Decide] does and says why a path (as on the wire,
// without a query) has its template: one explanation for each, none where the
// path has no endpoint. It is slow, and for people.
func (t *Tree[R]) Explain(path []byte) (list []Explanation) {
	if w := t.routed(path); w != nil {
		e := Explanation{Template: w.template, Methods: w.methods, Given: true}
		return []Explanation{e}
	}
	d := &decider[R]{tree: t, explain: true}
	v := d.view()
	for _, method := range v.methods() {
		m, way := v.route(method, path)
		if m == nil {
			continue
		}
		template, _ := describe(way)
		if i := slices.IndexFunc(list, func(e Explanation) bool { return e.Template == template }); i >= 0 {
			list[i].Methods = append(list[i].Methods, method)
			continue
		}
		list = append(list, Explanation{Methods: []string{method}, Template: template, Steps: d.steps(v.root, way, path)})
	}
	return list
}

// methods are all that some endpoint has.
func (v *View[R]) methods() []string {
	all := map[string]bool{}
	stack := []*group[R]{v.root}
	for len(stack) > 0 {
		g := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for m := range g.leaves {
			all[m] = true
		}
		for _, k := range g.kids {
			stack = append(stack, k)
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func (d *decider[R]) steps(above *group[R], way []*group[R], path []byte) (steps []Step) {
	template, _ := describe(way)
	parts := strings.Split(template[1:], "/")
	for depth, g := range way {
		segment, rest := cut(path)
		if depth == d.tree.opts.Segments-1 {
			segment, rest = path, nil
		}
		path = rest
		s := d.step(above, g, string(d.tree.decode(segment)), depth)
		s.Part = parts[depth]
		steps = append(steps, s)
		above = g
	}
	return steps
}

func (d *decider[R]) step(above, g *group[R], segment string, depth int) Step {
	s := Step{Segment: analyze.Clean([]byte(segment))}
	_, c := spell(nil, []byte(segment))
	if c != word && !versioned([]byte(segment), above.name, depth) {
		s.Segment = "(" + classNames[c] + ")"
	}
	if !g.param {
		if s.Because = settled(segment, above.name, depth); s.Because == "" {
			literals := above.literals()
			s.Because = fmt.Sprintf("a name: the evidence for a value is below the bar (%d sibling%s)", len(literals)-1, map[bool]string{false: "s"}[len(literals) == 2])
			w := weighed{features: d.features(above, literals, g, depth), bar: bars[len(bars)-1]}
			w.into(&s)
		}
		return s
	}
	values := len(g.members)
	if c != word {
		s.Because = "a value: spelled like " + classNames[c]
		return s
	}
	for _, m := range g.members {
		if m.name != segment {
			continue
		}
		if m.why == nil {
			s.Because = fmt.Sprintf("a value: one of %d names of files in directories of any depth, or what could be private", values)
			return s
		}
		s.Because = fmt.Sprintf("a value: the evidence for it passed the bar, as for %d of its siblings", values-1)
		if m.why.odds < m.why.bar {
			s.Because = "a value: like those of its siblings that became values"
		}
		m.why.into(&s)
		return s
	}
	s.Because = "a value: not seen itself, or one of too many to tell apart; here are values"
	return s
}

// settled says why a segment is a name whatever else speaks; empty: it is not.
func settled(name, parent string, depth int) string {
	switch {
	case names[strings.ToLower(name)]:
		return "a name: such words stand for what the caller is or wants"
	case name != "" && (name[0] == '@' || name[0] == '_'):
		return "a name: it begins with " + name[:1]
	case fixed(name, depth) || versioned([]byte(name), parent, depth):
		return "a name: it looks like the version of an API"
	}
	return ""
}

// into writes the evidence down.
func (w *weighed) into(s *Step) {
	s.Bar = w.bar
	s.Odds = 0
	for i, f := range w.features {
		if x := weights[i].weight * f; x != 0 {
			s.Odds += x
			s.For = append(s.For, Reason{weights[i].meaning, x})
		}
	}
	slices.SortStableFunc(s.For, func(a, b Reason) int { return cmp.Compare(math.Abs(b.Weight), math.Abs(a.Weight)) })
}

// classNames say how a segment is spelled.
var classNames = [nClasses]string{word: "a word", integer: "a number", uuid: "a UUID", date: "a date", dateTime: "a time", email: "an address of e-mail",
	address: "an address", hex: "hex digits", token: "an id of letters and digits", text: "free text"}
