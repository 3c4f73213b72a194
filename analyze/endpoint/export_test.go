package endpoint

import (
	"maps"
	"slices"
	"strings"
)

// Weights are those in use, by feature; a test may try others.
func Weights() (w [nFeatures]float64) {
	for i := range weights {
		w[i] = weights[i].weight
	}
	return w
}

// SetWeights has all decisions made with other weights.
func SetWeights(w [nFeatures]float64) {
	for i := range weights {
		weights[i].weight = w[i]
	}
}

// CountFeature is the log of the exchanges of a literal.
const CountFeature = fCount

// Features is the number of features, and FixedFeature says which are not fitted.
const Features = nFeatures

// FixedFeature reports whether the weight of a feature is set by thought, not by
// traffic.
func FixedFeature(i int) bool { return strings.HasSuffix(weights[i].meaning, "set, not fitted") }

// Meaning of a feature.
func Meaning(i int) string { return weights[i].meaning }

// Lesson is a literal with the truth of it.
type Lesson struct {
	Path, Name string // of its parent, and its own
	Value      bool
	Features   [nFeatures]float64
}

// Marks counts how often a node of a tree was a name, and a value.
type Marks[R Record[R]] map[*node[R]]*[2]int

// Mark tells which segments of the last exchange were values.
func (m Marks[R]) Mark(t *Tree[R], value []bool) {
	for i, n := range t.path {
		if i < len(value) {
			c := m[n]
			if c == nil {
				c = new([2]int)
				m[n] = c
			}
			if value[i] {
				c[1]++
			} else {
				c[0]++
			}
		}
	}
}

// Lessons goes through a tree as decisions do, with the truth in their place:
// literals among literals, and among those of which most became a parameter.
func (t *Tree[R]) Lessons(marks Marks[R], yield func(*Lesson)) {
	l := &lessons[R]{decider[R]{tree: t}, marks, map[*group[R]]bool{}, yield}
	l.pages()
	root := l.load(t.root)
	l.label(root, t.root)
	l.teach(root, 0, "")
}

type lessons[R Record[R]] struct {
	decider[R]
	marks Marks[R]
	value map[*group[R]]bool
	yield func(*Lesson)
}

func (l *lessons[R]) label(g *group[R], n *node[R]) {
	if c := l.marks[n]; c != nil {
		l.value[g] = c[1] > c[0]
	}
	for name, k := range g.kids {
		l.label(k, n.kids[name])
	}
}

func (l *lessons[R]) teach(g *group[R], depth int, path string) {
	for _, name := range slices.Sorted(maps.Keys(g.kids)) {
		if k := g.kids[name]; !k.param {
			l.teach(k, depth+1, path+"/"+name)
		}
	}
	literals := g.literals()
	l.each(g, literals, depth, path)
	var rest []*group[R]
	some := false
	for _, k := range literals {
		if !l.value[k] || digest([]byte(k.name))>>7%3 == 0 {
			rest = append(rest, k)
			continue
		}
		some = true
		l.absorb(g, k, "{}")
	}
	if some {
		l.teach(g.kids["{}"], depth+1, path+"/{}")
		l.each(g, rest, depth, path)
	}
	for _, k := range rest {
		if l.value[k] {
			l.absorb(g, k, "{}")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(g.kids)) {
		if k := g.kids[name]; k.param {
			l.teach(k, depth+1, path+"/"+name)
		}
	}
}

func (l *lessons[R]) each(g *group[R], literals []*group[R], depth int, path string) {
	for _, k := range literals {
		if !fixed(k.name, depth) {
			l.yield(&Lesson{path, k.name, l.value[k], l.features(g, literals, k, depth)})
		}
	}
}
