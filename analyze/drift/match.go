package drift

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"plainsight/analyze"
	"plainsight/analyze/endpoint"
)

// segment is a part of a path: a literal, a parameter, or both.
type segment struct {
	text   []string // before, between and after the parameters, decoded
	names  []string // of the parameters
	anyMay bool     // a parameter that is known to hold slashes
}

const maxSegments = 64

// parsePath cuts a path template.
func parsePath(path string) (list []segment, err error) {
	for _, s := range strings.Split(strings.Trim(path, "/"), "/") {
		if s == "" {
			continue
		}
		g, err := parseSegment(s)
		if err != nil {
			return nil, err
		}
		if list = append(list, g); len(list) > maxSegments {
			return nil, errors.New("a path of too many segments")
		}
	}
	if n := len(list); n > 0 && list[n-1].whole() {
		name := strings.ToLower(list[n-1].names[0])
		bare := strings.TrimLeft(strings.TrimRight(name, "*+"), "*+")
		switch {
		case bare != name, bare == "path", bare == "filepath", bare == "file_path", bare == "ref", bare == "proxy", bare == "rest":
			list[n-1].anyMay = true
		}
	}
	return list, nil
}

func parseSegment(s string) (g segment, err error) {
	if len(s) > 1 && s[0] == ':' && !strings.ContainsAny(s[1:], ":{}") {
		return segment{text: []string{"", ""}, names: []string{s[1:]}}, nil
	}
	for {
		before, rest, ok := strings.Cut(s, "{")
		g.text = append(g.text, unescape(before))
		if !ok {
			return g, nil
		}
		name, after, ok := strings.Cut(rest, "}")
		if !ok {
			return g, errors.New("{ without }")
		}
		g.names = append(g.names, name)
		s = after
	}
}

// whole reports whether the segment is one parameter and nothing else.
func (g *segment) whole() bool { return len(g.names) == 1 && g.text[0] == "" && g.text[1] == "" }

func (g *segment) literal() bool { return len(g.names) == 0 }

// takes reports whether a literal fits the segment.
func (g *segment) takes(s string) bool {
	last := len(g.text) - 1
	if last == 0 {
		return s == g.text[0]
	}
	if len(s) <= len(g.text[0])+len(g.text[last]) || !strings.HasPrefix(s, g.text[0]) || !strings.HasSuffix(s, g.text[last]) {
		return false
	}
	s = s[len(g.text[0]) : len(s)-len(g.text[last])]
	for _, t := range g.text[1:last] {
		i := strings.Index(s[min(1, len(s)):], t)
		if i < 0 {
			return false
		}
		s = s[1+i+len(t):]
	}
	return len(s) > 0
}

// fit says how well an observed segment fits a documented one.
type fit uint8

const (
	misfit fit = iota
	covers     // the observed parameter may stand for the documented literal
	within     // the observed literal may be a value of the documented parameter
	same
)

func (g *segment) fit(seen *segment) fit {
	switch {
	case g.literal() && seen.literal():
		if g.text[0] == seen.text[0] {
			return same
		}
	case g.whole() && seen.whole():
		return same
	case seen.literal():
		if g.takes(seen.text[0]) {
			return within
		}
	case slices.Equal(g.text, seen.text):
		return same
	case g.whole():
		return within
	case seen.whole(), g.literal() && seen.takes(g.text[0]), !g.literal() && strings.HasPrefix(g.text[0], seen.text[0]) && strings.HasSuffix(g.text[len(g.text)-1], seen.text[len(seen.text)-1]):
		return covers
	}
	return misfit
}

// spot is a service and where the paths of a document hang in it.
type spot struct {
	doc     *document
	paths   []*docPath
	service string
	base    []string
	learned bool // not what the document says
	index   map[int][]*docPath
	long    []*docPath // whose last parameter holds slashes
}

func newSpot(doc *document, paths []*docPath, service string, base []string, learned bool) *spot {
	s := &spot{doc: doc, paths: paths, service: service, base: base, learned: learned, index: map[int][]*docPath{}}
	for _, p := range paths {
		s.index[len(p.segments)] = append(s.index[len(p.segments)], p)
		if n := len(p.segments); n > 0 && p.segments[n-1].anyMay {
			s.long = append(s.long, p)
		}
	}
	return s
}

// hit is a documented path that an endpoint may be.
type hit struct {
	path  *docPath
	fits  []fit // of each segment
	shift int   // segments of the base
	loose bool  // a parameter stands for a documented literal somewhere
}

// strip takes the base off an observed path.
func strip(base []string, seen []segment) ([]segment, bool) {
	if len(seen) < len(base) {
		return nil, false
	}
	for i, b := range base {
		if !seen[i].takes(b) && !(seen[i].literal() && isVariable(b)) {
			return nil, false
		}
	}
	return seen[len(base):], true
}

func isVariable(s string) bool { return strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") }

// hits lists the documented paths that an observed one may be: those of the best
// fit, or all that it may cover.
func (s *spot) hits(seen []segment) (best []hit) {
	rest, ok := strip(s.base, seen)
	if !ok {
		return nil
	}
	for _, p := range s.index[len(rest)] {
		if h, ok := p.try(rest); ok {
			h.shift = len(s.base)
			best = append(best, h)
		}
	}
	if len(best) == 0 {
		for _, p := range s.long {
			n := len(p.segments)
			if len(rest) <= n {
				continue
			}
			if h, ok := p.try(rest[:n]); ok {
				h.shift = len(s.base)
				best = append(best, h)
			}
		}
	}
	if !slices.ContainsFunc(best, func(h hit) bool { return !h.loose }) {
		for _, p := range s.paths {
			if h, ok := p.stretch(rest); ok {
				h.shift = len(s.base)
				best = append(best, h)
			}
		}
	}
	return pick(best)
}

// stretch fits a path of which one parameter took several segments: the names of
// images and objects hold slashes that nobody encodes.
func (p *docPath) stretch(rest []segment) (h hit, ok bool) {
	more := len(rest) - len(p.segments)
	if more < 1 || more > 6 || p.literals() == 0 {
		return h, false
	}
	for at := range p.segments {
		if !p.segments[at].whole() || at+1 < len(p.segments) && !p.segments[at+1].literal() {
			continue
		}
		if slices.ContainsFunc(rest[at:at+more+1], func(g segment) bool { return !g.whole() }) {
			continue // a literal among them is a path of its own
		}
		if h, ok := p.try(slices.Concat(rest[:at+1], rest[at+more+1:])); ok && !h.loose {
			h.loose = true
			return h, true
		}
	}
	return h, false
}

// pick keeps the best of hits: as OpenAPI says, a literal goes before a
// parameter from left to right. Where all are loose, all of them count.
func pick(list []hit) []hit {
	exact := slices.DeleteFunc(slices.Clone(list), func(h hit) bool { return h.loose })
	if len(exact) == 0 {
		return list
	}
	order := func(a, b hit) int {
		return cmp.Or(slices.CompareFunc(b.fits, a.fits, func(x, y fit) int { return cmp.Compare(x, y) }), cmp.Compare(b.path.literals(), a.path.literals()))
	}
	slices.SortStableFunc(exact, order)
	n := 1
	for n < len(exact) && order(exact[0], exact[n]) == 0 {
		n++
	}
	return exact[:n]
}

func (p *docPath) literals() (n int) {
	for i := range p.segments {
		if p.segments[i].literal() {
			n++
		}
	}
	return n
}

// try fits an observed path of the same length.
func (p *docPath) try(rest []segment) (h hit, ok bool) {
	h.path = p
	for i := range p.segments {
		f := p.segments[i].fit(&rest[i])
		switch f {
		case misfit:
			return h, false
		case covers:
			h.loose = true
		case within:
			if rest[i].literal() && p.segments[i].whole() && !p.admits(p.segments[i].names[0], rest[i].text[0]) {
				return h, false
			}
		}
		h.fits = append(h.fits, f)
	}
	return h, true
}

// admits reports whether a word may be a value of a path parameter, as far as
// its type says.
func (p *docPath) admits(name, word string) bool {
	for _, o := range p.operations {
		for i := range o.parameters {
			if q := &o.parameters[i]; q.where == analyze.InPath && q.name == name && !q.schema.admits(word) {
				return false
			}
		}
	}
	return true
}

// Plan says which document describes which service, and where.
type Plan struct {
	spots []*spot
	// unused are documents that no traffic was for.
	unused []*document
}

const (
	wellKnown = 0.8 // part of paths that must match where a document does not say where it hangs
	depthMax  = 4   // segments of a learned prefix
)

// Plan finds out which service each document describes: by the hosts it names,
// else by its paths, of which a gateway may have taken away or added the front.
func (d *Documents) Plan(snap *analyze.Snapshot) *Plan {
	p := new(Plan)
	services := map[string][][]segment{}
	for i := range snap.Endpoints {
		e := &snap.Endpoints[i]
		if seen, err := parsePath(e.Template); err == nil && counts(e) {
			services[e.Service] = append(services[e.Service], seen)
		}
	}
	names := sortedKeys(services)
	for _, doc := range d.list {
		before := len(p.spots)
		for _, service := range names {
			p.named(doc, service)
		}
		if len(p.spots) == before || !p.matches(p.spots[before:], services) {
			p.spots = p.spots[:before:before]
			for _, service := range names {
				p.learn(doc, service, services[service])
			}
		}
		if len(p.spots) == before {
			p.unused = append(p.unused, doc)
		}
	}
	return p
}

// named adds the service where the document names it.
func (p *Plan) named(doc *document, service string) {
	type group struct {
		base  []string
		paths []*docPath
	}
	var groups []group
	for _, path := range doc.paths {
		for i := range path.servers {
			s := &path.servers[i]
			if !s.fits(service) {
				continue
			}
			at := slices.IndexFunc(groups, func(g group) bool { return slices.Equal(g.base, s.base) })
			if at < 0 {
				at = len(groups)
				groups = append(groups, group{base: s.base})
			}
			if g := &groups[at]; len(g.paths) == 0 || g.paths[len(g.paths)-1] != path {
				g.paths = append(g.paths, path)
			}
		}
	}
	for _, g := range groups {
		p.spots = append(p.spots, newSpot(doc, g.paths, service, g.base, false))
	}
}

// matches reports whether any path was seen where the documents says.
func (p *Plan) matches(spots []*spot, services map[string][][]segment) bool {
	for _, s := range spots {
		for _, seen := range services[s.service] {
			if h := s.hits(seen); len(h) > 0 {
				return true
			}
		}
	}
	return false
}

// learn finds where the paths of a document hang in a service that it does not
// name: under its base path, without it, or below another prefix.
func (p *Plan) learn(doc *document, service string, seen [][]segment) {
	bases := [][]string{}
	add := func(b []string) {
		if !slices.ContainsFunc(bases, func(x []string) bool { return slices.Equal(x, b) }) {
			bases = append(bases, b)
		}
	}
	hostless := len(doc.servers) == 0
	for i := range doc.servers {
		add(doc.servers[i].base)
		hostless = hostless || doc.servers[i].host == ""
	}
	add(nil)
	said := len(bases)
	for _, path := range seen {
		for n := 1; n <= min(depthMax, len(path)) && path[n-1].literal(); n++ {
			if len(bases) > 1000 {
				break
			}
			front := make([]string, n)
			for i := range front {
				front[i] = path[i].text[0]
			}
			add(front)
			for i := range doc.servers {
				add(slices.Concat(front, doc.servers[i].base))
			}
		}
	}
	var best *spot
	bestHits := 0
	for i, b := range bases {
		s := newSpot(doc, doc.paths, service, b, i >= said || !hostless)
		below, hit := 0, 0
		known := map[*docPath]bool{}
		for _, path := range seen {
			rest, ok := strip(b, path)
			if !ok || len(rest) == 0 && len(b) > 0 || !s.begins(rest) {
				continue // of something beside
			}
			below++
			for _, h := range s.hits(path) {
				// A path of parameters alone fits anything.
				if !h.loose && h.path.literals() > 0 {
					hit++
					for _, h := range s.hits(path) {
						known[h.path] = true
					}
					break
				}
			}
		}
		good := float64(hit) >= wellKnown*float64(below) || float64(len(known)) >= wellKnown*float64(len(doc.paths))
		if i < said && hostless {
			good = good || 2*hit >= below || 3*len(known) >= len(doc.paths)
		}
		// One path in common proves little, unless the document has no other. That a
		// host is another than the document says needs more.
		least := min(2, len(doc.paths))
		if !hostless && 2*len(known) < len(doc.paths) {
			least = 3
		}
		if len(known) < least || !good {
			continue
		}
		if hit > bestHits {
			best, bestHits = s, hit
		}
	}
	if best != nil {
		p.spots = append(p.spots, best)
	}
}

// begins reports whether a path below the base begins as one of the document.
func (s *spot) begins(rest []segment) bool {
	return slices.ContainsFunc(s.paths, func(p *docPath) bool {
		if len(rest) == 0 || len(p.segments) == 0 {
			return len(rest) == len(p.segments)
		}
		return p.segments[0].fit(&rest[0]) != misfit
	})
}

// Learned reports whether a document hangs where it does not say: what was read
// without knowing is better read again, with [Plan.Routes].
func (p *Plan) Learned() bool {
	return slices.ContainsFunc(p.spots, func(s *spot) bool { return s.learned })
}

// Routes are the paths of the documents at their places, which go before what
// traffic suggests.
func (p *Plan) Routes() (list []endpoint.Route) {
	seen := map[endpoint.Route]bool{}
	for _, s := range p.spots {
		for _, path := range s.paths {
			list = path.routes(list, seen, s.service, s.base)
		}
	}
	return list
}

// Routes are the paths of the documents where these say that they hang.
func (d *Documents) Routes() (list []endpoint.Route) {
	seen := map[endpoint.Route]bool{}
	for _, doc := range d.list {
		for _, path := range doc.paths {
			servers := path.servers
			if len(servers) == 0 {
				servers = []server{{}}
			}
			for i := range servers {
				s := &servers[i]
				host := s.host
				if strings.Contains(host, "{") {
					host = ""
				}
				if host == "" && path.literals() == 0 {
					continue // any host would have it
				}
				list = path.routes(list, seen, host, s.base)
			}
		}
	}
	return list
}

func (p *docPath) routes(list []endpoint.Route, seen map[endpoint.Route]bool, host string, base []string) []endpoint.Route {
	var b strings.Builder
	for _, s := range base {
		b.WriteString("/" + escape(s))
	}
	for i := range p.segments {
		g := &p.segments[i]
		b.WriteByte('/')
		for k, t := range g.text {
			b.WriteString(escape(t))
			if k < len(g.names) {
				name := strings.Trim(g.names[k], "*+")
				if g.anyMay {
					name += "*"
				}
				b.WriteString("{" + name + "}")
			}
		}
	}
	if b.Len() == 0 {
		b.WriteByte('/')
	}
	for _, m := range sortedKeys(p.operations) {
		r := endpoint.Route{Method: m, Host: host, Template: b.String()}
		if !seen[r] {
			seen[r] = true
			list = append(list, r)
		}
	}
	return list
}

// escape encodes what has a meaning in templates.
func escape(s string) string {
	if isVariable(s) {
		return s
	}
	return escapes.Replace(s)
}

var escapes = strings.NewReplacer("%", "%25", "/", "%2F", "{", "%7B", "}", "%7D", " ", "%20")

// counts reports whether an endpoint is one to compare: it was answered with
// success, and its method is one that people document.
func counts(e *analyze.Endpoint) bool {
	switch e.Method {
	case "HEAD", "OPTIONS", "TRACE", "CONNECT":
		return false
	}
	for status := range e.Statuses {
		if succeeded(status) {
			return true
		}
	}
	return false
}

// succeeded: redirects to where a path lives now, or to a login, are none.
func succeeded(status int) bool {
	return status >= 200 && status < 300 || status == 304 || status == 303
}
