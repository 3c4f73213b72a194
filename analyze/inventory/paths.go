package inventory

import (
	"strings"

	"plainsight/analyze"
)

// paths are the paths of the fields that an endpoint's shapes have, by side.
// They tell which names are keys of a map, which a single value's path cannot
// know: $.users.jo.email becomes $.users{*}.email.
type paths [2]map[string]bool

func knownPaths(fields []analyze.Field) paths {
	p := paths{{}, {}}
	for i := range fields {
		p[fields[i].Side][fields[i].Path] = true
	}
	return p
}

// place generalises the place of a value in a body.
func (p paths) place(at analyze.Place) analyze.Place {
	known := p[at.Side]
	if at.Where != analyze.InBody && at.Where != analyze.InMessage || known[at.Name] || !strings.HasPrefix(at.Name, "$") {
		return at
	}
	path := "$"
	for rest := at.Name[1:]; rest != ""; {
		n := 1 + strings.IndexAny(rest[1:], ".[{")
		if n == 0 {
			n = len(rest)
		}
		step := rest[:n]
		rest = rest[n:]
		if step[0] == '.' && !known[path+step] && known[path+"{*}"] {
			step = "{*}"
		}
		path += step
	}
	at.Name = path
	return at
}
