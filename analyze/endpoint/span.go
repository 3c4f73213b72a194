package endpoint

import (
	"maps"
	"slices"
)

// spans finds the groups below which paths of files hang, in directories of
// any depth, and makes all that is below them parameters: /raw/src/main.go and
// /raw/README.md are two values of one parameter that spans segments.
func (d *decider[R]) spans(g *group[R]) {
	for _, name := range slices.Sorted(maps.Keys(g.kids)) {
		k := g.kids[name]
		var f files
		k.ends(&f, 0)
		if f.all >= 4 && f.named*10 >= f.all*7 && f.depths&(f.depths-1) != 0 {
			d.flatten(k)
			continue
		}
		d.spans(k)
	}
}

// files counts what ends below a group.
type files struct {
	all, named int    // names, and those with the extension of a file
	depths     uint64 // a bit for each depth at which something ends
}

// ends counts what ends below g.
func (g *group[R]) ends(f *files, depth int) {
	if depth > 0 && len(g.leaves) > 0 {
		f.depths |= 1 << min(depth, 63)
		for _, m := range g.members {
			f.all++
			if isFile(m.name) {
				f.named++
			}
		}
		if len(g.members) == 0 {
			f.all++
		}
	}
	for _, k := range g.kids {
		k.ends(f, depth+1)
	}
}

// isFile reports whether a segment is named like a file that is stored, rather
// than like a representation of something or a page that is a program.
func isFile(name string) bool {
	_, tail := extension([]byte(name))
	switch string(tail) {
	case "", ".json", ".xml", ".html", ".htm", ".php":
		return false
	}
	return true
}

// flatten makes everything below g parameters.
func (d *decider[R]) flatten(g *group[R]) {
	for _, name := range slices.Sorted(maps.Keys(g.kids)) {
		if name != "{}" {
			d.absorb(g, g.kids[name], "{}")
		}
	}
	if k := g.kids["{}"]; k != nil {
		d.flatten(k)
	}
}
