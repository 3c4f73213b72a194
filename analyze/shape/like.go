package shape

import (
	"math"

	"plainsight/analyze"
)

// Like compares the bodies of successful exchanges of two endpoints: alike is 1
// for the same shape and 0 for unrelated ones, weight how much there was to
// compare (0: nothing; 1: one telling field). It forgives what few messages
// may have left out.
func (s *Set) Like(o *Set) (alike, weight float64) {
	var m match
	answered, other := 0.0, 0.0 // bodies of successful answers on either side
	for _, a := range s.variants {
		if a.status >= 400 {
			continue
		}
		for _, b := range o.variants {
			if a.side == b.side && (a.status == b.status || a.status/100 == b.status/100) {
				m.compare(&a.root, &b.root, 1, 0)
			}
		}
		if a.side == analyze.Response {
			answered += float64(a.root.present)
		}
	}
	for _, b := range o.variants {
		if b.side == analyze.Response && b.status < 400 {
			other += float64(b.root.present)
		}
	}
	if (answered == 0) != (other == 0) {
		m.against += 1.5
	}
	m.parameters(s.param(0), o.param(0), s.messages, o.messages)
	weight = m.pro + m.against
	if weight == 0 {
		return 0, 0
	}
	return m.pro / weight, weight
}

type match struct{ pro, against float64 }

// compare weighs two nodes at the same position; weight falls with depth.
func (m *match) compare(a, b *node, weight float64, depth int) {
	ta, tb := a.types&^null, b.types&^null
	if ta == 0 || tb == 0 {
		return
	}
	if depth > 0 || ta != tb {
		if ta&tb != 0 || ta&(integer|number) != 0 && tb&(integer|number) != 0 {
			m.pro += weight
		} else {
			m.against += 2 * weight
			return
		}
	}
	if depth >= 3 {
		return
	}
	if a.item != nil && b.item != nil {
		m.compare(a.item, b.item, weight*0.8, depth+1)
	}
	if a.wild != nil && b.wild != nil {
		m.compare(a.wild, b.wild, weight*0.5, depth+1)
	}
	below := weight
	if depth > 0 {
		below = weight * 0.5
	}
	for _, k := range a.kids {
		if other := b.known(k.name); other != nil {
			m.compare(k, other, below, depth+1)
			continue
		}
		m.against += below * unlikely(k.present, a.objects, b.objects)
	}
	for _, k := range b.kids {
		if a.known(k.name) == nil {
			m.against += below * unlikely(k.present, b.objects, a.objects)
		}
	}
}

func (m *match) parameters(a, b *node, messages, others uint64) {
	for _, k := range a.kids {
		if b.known(k.name) != nil {
			m.pro += 0.5
		} else {
			m.against += 0.5 * unlikely(k.present, messages, others)
		}
	}
	for _, k := range b.kids {
		if a.known(k.name) == nil {
			m.against += 0.5 * unlikely(k.present, others, messages)
		}
	}
}

// unlikely is the chance that others of messages would have had a field by now
// which present of them had, were they of the same shape.
func unlikely(present, of, others uint64) float64 {
	p := (float64(present) + 0.5) / (float64(of) + 1.5)
	return 1 - math.Pow(1-min(p, 0.99), float64(others))
}

// known returns the field of a name, or nil.
func (n *node) known(name string) *node {
	if n.index != nil {
		return n.index[name]
	}
	for _, k := range n.kids {
		if k.name == name {
			return k
		}
	}
	return nil
}
