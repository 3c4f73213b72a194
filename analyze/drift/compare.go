package drift

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/posture"
)

// Options say how strict a comparison is. The zero value is the usual one.
type Options struct {
	// Routed: the traffic was read with the routes of the plan, so that an observed
	// parameter stands for no literal of a document.
	Routed bool
	// Statuses: report undocumented 401, 403, 404, 429 and 5xx too.
	Statuses bool
}

// Compare reports where the snapshot and the documents differ: at most one
// finding for each rule, operation and place, the worst first. Keys are stable.
func (d *Documents) Compare(snap *analyze.Snapshot, plan *Plan, opts Options) []analyze.Finding {
	c := &comparison{opts: opts, snap: snap, found: map[string]int{}, seen: map[*operation]bool{}, spots: map[string][]*spot{},
		lacks: map[*document]*lack{}, open: map[*document]map[string]int{}}
	for _, s := range plan.spots {
		c.spots[s.service] = append(c.spots[s.service], s)
	}
	for i := range snap.Services {
		c.service(&snap.Services[i])
	}
	c.orphans(plan)
	c.hosts(plan)
	c.quality(plan)
	posture.Sort(c.list)
	return c.list
}

type comparison struct {
	opts  Options
	snap  *analyze.Snapshot
	list  []analyze.Finding
	found map[string]int // place in list, by key
	spots map[string][]*spot
	seen  map[*operation]bool
	lacks map[*document]*lack
	open  map[*document]map[string]int // operations of documents without schemes, by service, that callers authenticate to

	endpoint *analyze.Endpoint
	share    *share
}

// lack is what the operations in use of a document do not say.
type lack struct{ operations, description, security, errors int }

// share counts what of a service is documented.
type share struct{ operations, parameters, statuses, fields part }

type part struct{ documented, all int }

func (p *part) add(documented bool) {
	p.all++
	if documented {
		p.documented++
	}
}

func (p part) String() string { return fmt.Sprintf("%d of %d", p.documented, p.all) }

// add reports a row of the endpoint at hand. A second one of the same rule and
// place joins the first.
func (c *comparison) add(rule string, place string, severity analyze.Severity, count uint64, summary string) {
	e := c.endpoint
	c.put(rule, e.Service, e.Method+" "+e.Template, place, severity, count, summary, func(f *analyze.Finding) {
		f.Principals, f.First, f.Last = e.Clients, e.First, e.Last
	})
}

func (c *comparison) put(rule, service, endpoint, place string, severity analyze.Severity, count uint64, summary string, more func(*analyze.Finding)) {
	key := analyze.FindingKey(rule, service, endpoint, place)
	if i, ok := c.found[key]; ok {
		f := &c.list[i]
		f.Severity = max(f.Severity, severity)
		f.Count += count
		return
	}
	r := ruleOf(rule)
	f := analyze.Finding{
		Key: key, Rule: rule, Title: r.Title, Practice: r.Practice, Severity: severity, Level: r.Level, Service: service, Endpoint: endpoint, Place: place,
		Summary: summary, Why: r.Why, Fix: r.Fix, OWASP: r.OWASP, CWE: r.CWE, Count: count,
		First: c.snap.First, Last: c.snap.Last, Samples: []analyze.Sample{}, Evidence: []analyze.Evidence{},
	}
	if f.CWE == nil {
		f.CWE = []string{}
	}
	if more != nil {
		more(&f)
	}
	c.found[key] = len(c.list)
	c.list = append(c.list, f)
}

// service compares the endpoints of a service.
func (c *comparison) service(s *analyze.Service) {
	spots := c.spots[s.Name]
	c.share = new(share)
	var own []*analyze.Endpoint
	authenticated := false
	for i := range c.snap.Endpoints {
		e := &c.snap.Endpoints[i]
		if e.Service == s.Name {
			own = append(own, e)
			authenticated = authenticated || e.Requests > e.Auth["none"]
		}
	}
	used := 0
	for _, e := range own {
		c.endpoint = e
		c.exposed(e)
		if counts(e) {
			used++
		}
		if len(spots) > 0 {
			c.compare(e, spots, authenticated)
		}
	}
	c.versions(own, len(spots) > 0)
	switch {
	case used == 0:
	case len(spots) == 0:
		c.put("doc.coverage", s.Name, "", "documents", analyze.Info, s.Requests, fmt.Sprintf("No document describes this service: %s answered with success.", plural(used, "operation")), nil)
	default:
		v := c.share
		c.put("doc.coverage", s.Name, "", "documents", analyze.Info, s.Requests, fmt.Sprintf("Documented: %s operations, %s parameters, %s statuses, %s fields.",
			v.operations, v.parameters, v.statuses, v.fields), nil)
	}
}

// compare compares one endpoint with the operations that it may be.
func (c *comparison) compare(e *analyze.Endpoint, spots []*spot, authenticated bool) {
	seen, err := parsePath(e.Template)
	if err != nil {
		return
	}
	var all []hit
	for _, s := range spots {
		all = append(all, s.hits(seen)...)
	}
	best := pick(all)
	if !c.opts.Routed { // what a parameter may stand for is not an orphan
		for _, s := range spots {
			for _, h := range s.near(seen) {
				if o := h.path.operations[e.Method]; o != nil {
					c.seen[o] = true
				}
			}
		}
	}
	var ops []*operation
	for _, h := range best {
		if o := h.path.operations[e.Method]; o != nil {
			ops = append(ops, o)
			// What was read with the routes has its own path where it was called: a
			// parameter that may stand for a word of it does not.
			if !h.loose || !c.opts.Routed {
				c.seen[o] = true
			}
		}
	}
	if !counts(e) {
		return
	}
	if kind := kindOf(e.Template); kind != plainPath && len(ops) == 0 {
		return
	}
	c.share.operations.add(len(ops) > 0)
	if len(ops) == 0 {
		c.shadow(e, best, spots, seen, authenticated)
		return
	}
	for _, o := range ops {
		l := c.lacks[o.path.doc]
		if l == nil {
			l = new(lack)
			c.lacks[o.path.doc] = l
		}
		l.note(o)
	}
	c.zombie(e, ops)
	if best[0].loose {
		return // which of them the values are of, is not known
	}
	c.auth(e, ops)
	c.parameters(e, ops, best, seen)
	c.statuses(e, ops)
	c.bodies(e, ops)
}

// near lists the documented paths that an observed one may stand for.
func (s *spot) near(seen []segment) (list []hit) {
	rest, ok := strip(s.base, seen)
	if !ok {
		return nil
	}
	for _, p := range s.index[len(rest)] {
		if h, ok := p.try(rest); ok {
			list = append(list, h)
		}
	}
	return list
}

func (c *comparison) shadow(e *analyze.Endpoint, best []hit, spots []*spot, seen []segment, authenticated bool) {
	severity := analyze.Medium
	detail := ""
	switch {
	case sensitiveAt(e, analyze.Response, ""):
		severity, detail = analyze.High, ", with sensitive data in its answers"
	case authenticated && e.Auth["none"] == e.Requests:
		severity, detail = analyze.High, ", without credentials"
	case probe(e.Template):
		severity = analyze.Info
	}
	n := successes(e)
	if len(best) > 0 {
		methods := map[string]bool{}
		for _, h := range best {
			for m := range h.path.operations {
				methods[m] = true
			}
		}
		c.add("doc.shadow-method", "", severity, n, fmt.Sprintf("%s is documented with %s only, and %s succeeded %s%s.",
			clip(best[0].path.path), strings.Join(sortedKeys(methods), ", "), e.Method, times(n), detail))
		return
	}
	near := ""
	if p := nearest(spots, seen); p != nil {
		near = " The nearest documented path is " + clip(p.path) + "."
	}
	c.add("doc.shadow-operation", "", severity, n, fmt.Sprintf("No document has this operation, which succeeded %s%s.%s", times(n), detail, near))
}

// nearest finds the documented path with the longest front in common.
func nearest(spots []*spot, seen []segment) (best *docPath) {
	most := 0
	for _, s := range spots {
		rest, ok := strip(s.base, seen)
		if !ok {
			continue
		}
		for _, p := range s.paths {
			n := 0
			for n < min(len(rest), len(p.segments)) && p.segments[n].fit(&rest[n]) == same {
				n++
			}
			if n > most {
				best, most = p, n
			}
		}
	}
	return best
}

func (c *comparison) zombie(e *analyze.Endpoint, ops []*operation) {
	if e.Overdue > 0 {
		when := "since " + e.Retired.Format(time.DateOnly)
		if e.Retired.Year() < 2000 {
			when = "already"
		}
		c.add("doc.zombie", "", analyze.Medium, e.Overdue, fmt.Sprintf("Its own answers say that it is deprecated or over (%s), and it succeeded %s after that, for %s.", when, times(e.Overdue), plural(int(e.Clients), "client")))
		return
	}
	for _, o := range ops {
		if !o.deprecated {
			return
		}
	}
	c.add("doc.zombie", "", analyze.Medium, successes(e), fmt.Sprintf("%s is marked as deprecated, and succeeded %s for %s.", clip(ops[0].name()), times(successes(e)), plural(int(e.Clients), "client")))
}

// versions finds old versions beside new ones.
func (c *comparison) versions(own []*analyze.Endpoint, documented bool) {
	if !documented {
		return
	}
	type tail struct{ method, front, back string }
	all := map[tail]map[int]*analyze.Endpoint{}
	each := func(e *analyze.Endpoint, f func(t tail, n int)) {
		parts := strings.Split(e.Template, "/")
		for i, p := range parts {
			if len(p) > 1 && len(p) < 5 && p[0] == 'v' {
				if n, err := strconv.Atoi(p[1:]); err == nil {
					f(tail{e.Method, strings.Join(parts[:i], "/"), unnamed(strings.Join(parts[i+1:], "/"))}, n)
				}
			}
		}
	}
	for _, e := range own {
		if counts(e) {
			each(e, func(t tail, n int) {
				if all[t] == nil {
					all[t] = map[int]*analyze.Endpoint{}
				}
				all[t][n] = e
			})
		}
	}
	for _, e := range own {
		if !counts(e) {
			continue
		}
		each(e, func(t tail, n int) {
			newer := all[t][n+1]
			if newer == nil || successes(newer) < 10*successes(e) {
				return
			}
			severity, detail := analyze.Medium, ""
			if e.Auth["none"] > 0 && newer.Auth["none"] == 0 {
				severity, detail = analyze.High, ", and it answers without credentials, which the newer one does not"
			}
			c.endpoint = e
			c.add("doc.zombie", "", severity, successes(e), fmt.Sprintf("v%d succeeded %s while v%d of the same path did %s%s.", n, times(successes(e)), n+1, times(successes(newer)), detail))
		})
	}
}

// unnamed drops the names of parameters.
func unnamed(template string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(template, "{")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		b.WriteString("{}")
		_, template, _ = strings.Cut(rest, "}")
	}
}

// auth compares the credentials.
func (c *comparison) auth(e *analyze.Endpoint, ops []*operation) {
	demanded := true
	var alternatives [][]scheme
	for _, o := range ops {
		free := len(o.security) == 0
		for _, a := range o.security {
			free = free || len(a) == 0
		}
		demanded = demanded && !free
		alternatives = append(alternatives, o.security...)
	}
	none := e.Auth["none"]
	if !demanded {
		alternatives = slices.DeleteFunc(alternatives, func(a []scheme) bool { return len(a) == 0 })
		real := 0
		for kind := range e.Auth {
			if kind != "none" && !strings.HasPrefix(kind, "cookie:") {
				real++
			}
		}
		if len(alternatives) == 0 && none == 0 && real > 0 && e.Requests >= 3 {
			doc := ops[0].path.doc
			if !doc.schemes {
				if c.open[doc] == nil {
					c.open[doc] = map[string]int{}
				}
				c.open[doc][e.Service]++
				return
			}
			c.add("doc.auth-mismatch", "credentials", analyze.Low, e.Requests, fmt.Sprintf("The document demands no credentials, and each of %s carries some.", plural(int(e.Requests), "request")))
		}
		return
	}
	visible, met := true, false
	for _, a := range alternatives {
		for _, s := range a {
			visible = visible && len(s.kinds) > 0
			for kind := range e.Auth {
				met = met || kind != "none" && s.is(kind)
			}
			for i := range e.Parameters {
				// A credential that was not recognised as one is one all the same.
				if p := &e.Parameters[i]; s.key != "" && p.Where == s.where && strings.EqualFold(p.Path, s.key) {
					none -= min(none, p.Present)
					met = true
				}
			}
		}
	}
	if !visible {
		return
	}
	refused := e.Unanswered
	for status, n := range e.Statuses {
		if !succeeded(status) {
			refused += n
		}
	}
	switch {
	case none > refused:
		c.add("doc.auth-mismatch", "credentials", analyze.High, none-refused, fmt.Sprintf("The document demands %s, and %s or more succeeded without any credential.", schemeNames(alternatives), plural(int(none-refused), "request")))
	case !met && none < e.Requests && len(e.Auth) > 0:
		c.add("doc.auth-mismatch", "credentials", analyze.Low, e.Requests-none, fmt.Sprintf("The document demands %s, and callers use %s.", schemeNames(alternatives), strings.Join(slices.DeleteFunc(sortedKeys(e.Auth), func(k string) bool { return k == "none" }), ", ")))
	}
}

// is reports whether a kind of credential, as endpoints have it, is of s.
func (s *scheme) is(kind string) bool {
	for _, k := range s.kinds {
		front, star := strings.CutSuffix(k, "*")
		if strings.EqualFold(k, kind) || star && strings.HasPrefix(kind, front) {
			return true
		}
	}
	return false
}

// schemeNames names the alternatives for people.
func schemeNames(alternatives [][]scheme) string {
	var list []string
	for _, a := range alternatives {
		var together []string
		for _, s := range a {
			together = append(together, analyze.Clean([]byte(s.name)))
		}
		if t := strings.Join(together, " with "); !slices.Contains(list, t) {
			list = append(list, t)
		}
	}
	return strings.Join(list, " or ")
}

// statuses compares the answers' statuses.
func (c *comparison) statuses(e *analyze.Endpoint, ops []*operation) {
	for _, status := range sortedStatuses(e) {
		documented, says := false, false
		for _, o := range ops {
			says = says || len(o.responses) > 0
			_, ok := o.response(status)
			documented = documented || ok
		}
		if !says || !c.opts.Statuses && (expected(status) || status >= 400 && e.Statuses[status] < rare) {
			continue
		}
		c.share.statuses.add(documented)
		if !documented {
			c.add("doc.undoc-status", "response status "+strconv.Itoa(status), analyze.Low, e.Statuses[status], fmt.Sprintf("Status %d was answered %s, and is not documented.", status, times(e.Statuses[status])))
		}
	}
}

// rare failures are what scanners and typing errors get anywhere.
const rare = 3

// expected statuses come from what stands before any service.
func expected(status int) bool {
	switch status {
	case 401, 403, 404, 429, 304:
		return true
	}
	return status >= 500 || status < 200
}

func sortedStatuses(e *analyze.Endpoint) (list []int) {
	for s := range e.Statuses {
		list = append(list, s)
	}
	slices.Sort(list)
	return list
}

// response finds what is declared for a status.
func (o *operation) response(status int) (content, bool) {
	code := strconv.Itoa(status)
	for _, k := range [...]string{code, code[:1] + "XX", "default"} {
		if r, ok := o.responses[k]; ok {
			return r, true
		}
	}
	return content{}, false
}

// orphans reports what nobody called.
func (c *comparison) orphans(plan *Plan) {
	for _, doc := range plan.unused {
		n := len(doc.operations)
		if n == 0 {
			continue
		}
		c.put("doc.orphan", "", "", "document "+doc.label(), analyze.Info, 0, fmt.Sprintf("No traffic was for %s (%s).%s", doc.label(), plural(n, "operation"), c.window()), nil)
	}
	done := map[*operation]bool{}
	for _, s := range plan.spots {
		for _, p := range s.paths {
			for _, m := range sortedKeys(p.operations) {
				o := p.operations[m]
				if c.seen[o] || done[o] || m == "HEAD" || m == "OPTIONS" || m == "TRACE" {
					continue
				}
				done[o] = true
				path := strings.Join(append([]string{""}, s.base...), "/") + p.path
				c.put("doc.orphan", s.service, clip(m+" "+path), "", analyze.Info, 0, "The operation is documented, and was not called."+c.window(), nil)
			}
		}
	}
}

// window says how much an absence is worth.
func (c *comparison) window() string {
	s := fmt.Sprintf(" Seen: %s", plural(int(c.snap.Exchanges), "exchange"))
	if !c.snap.First.IsZero() {
		s += " in " + c.snap.Last.Sub(c.snap.First).Round(1e9).String()
	}
	if n := len(c.snap.Coverage.NotVisible); n > 0 {
		s += "; part of the traffic was not visible"
	}
	return s + "."
}

// hosts reports servers that nobody called while their paths are elsewhere.
func (c *comparison) hosts(plan *Plan) {
	elsewhere := map[*document][]string{}
	for _, s := range plan.spots {
		if s.learned {
			elsewhere[s.doc] = append(elsewhere[s.doc], s.service)
		}
	}
	for _, s := range plan.spots {
		where := elsewhere[s.doc]
		if where == nil {
			continue
		}
		delete(elsewhere, s.doc)
		for i := range s.doc.servers {
			server := &s.doc.servers[i]
			if server.host == "" || slices.ContainsFunc(c.snap.Services, func(v analyze.Service) bool { return server.fits(v.Name) }) {
				continue
			}
			c.put("doc.host-mismatch", where[0], "", "server "+clip(server.text), analyze.Low, 0, fmt.Sprintf("%s says that its paths are at %s, which was not called; they are at %s%s.%s",
				s.doc.label(), clip(server.text), strings.Join(where, ", "), below(s.base), c.window()), nil)
		}
	}
}

func below(base []string) string {
	if len(base) == 0 {
		return ""
	}
	return " below /" + clip(strings.Join(base, "/"))
}

func (l *lack) note(o *operation) {
	l.operations++
	if !o.described {
		l.description++
	}
	if o.path.doc.schemes && len(o.security) == 0 {
		l.security++
	}
	for status, r := range o.responses {
		if (status == "default" || status[0] == '4' || status[0] == '5') && len(r.types) > 0 {
			return
		}
	}
	l.errors++
}

// quality reports what documents leave out, of the operations in use.
func (c *comparison) quality(plan *Plan) {
	done := map[*document]bool{}
	for _, s := range plan.spots {
		l := c.lacks[s.doc]
		if l == nil || done[s.doc] {
			continue
		}
		done[s.doc] = true
		for _, row := range []struct {
			place string
			n     int
			what  string
		}{{"descriptions", l.description, "no description or summary"}, {"security", l.security, "no security scheme"}, {"errors", l.errors, "no shape of errors"}} {
			if row.n > 0 {
				c.put("doc.quality", s.service, "", row.place+" in "+s.doc.label(), analyze.Info, uint64(row.n), fmt.Sprintf("%d of %s in use have %s in %s.", row.n, plural(l.operations, "operation"), row.what, s.doc.label()), nil)
			}
		}
		for _, service := range sortedKeys(c.open[s.doc]) {
			n := c.open[s.doc][service]
			c.put("doc.auth-mismatch", service, "", "document "+s.doc.label(), analyze.Low, uint64(n), fmt.Sprintf("%s demands no credentials anywhere, and each request to %s carries some.", s.doc.label(), plural(n, "operation")), nil)
		}
	}
}

// exposed reports descriptions of the API that anybody gets.
func (c *comparison) exposed(e *analyze.Endpoint) {
	if e.Method != "GET" || kindOf(e.Template) != describes || e.Auth["none"] == 0 {
		return
	}
	var n uint64
	for status, k := range e.Statuses {
		if status == 200 {
			n += k
		}
	}
	if n > e.Requests-min(e.Requests, e.Auth["none"]) {
		c.add("doc.exposed", "", analyze.Low, n, fmt.Sprintf("A description of the API was served %s without credentials.", times(n)))
	}
}

type pathKind uint8

const (
	plainPath pathKind = iota
	static
	describes
)

// kindOf tells paths that no document of an API lists.
func kindOf(template string) pathKind {
	t := strings.ToLower(template)
	last := t[strings.LastIndexByte(t, '/')+1:]
	switch last {
	case "openapi.json", "openapi.yaml", "openapi.yml", "swagger.json", "swagger.yaml", "swagger.yml", "api-docs", "swagger-ui.html", "swagger-ui", "redoc":
		return describes
	case "favicon.ico", "robots.txt", "sitemap.xml":
		return static
	}
	if strings.Contains(t, "/swagger-ui/") {
		return describes
	}
	for _, ext := range [...]string{".js", ".css", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".ico", ".woff", ".woff2", ".ttf", ".map", ".html", ".htm", ".webp"} {
		if strings.HasSuffix(last, ext) {
			return static
		}
	}
	return plainPath
}

// probe reports whether a path is one that schedulers ask.
func probe(template string) bool {
	switch strings.ToLower(template[strings.LastIndexByte(template, '/')+1:]) {
	case "health", "healthz", "ready", "readyz", "live", "livez", "livenessprobe", "readinessprobe", "ping", "metrics":
		return true
	}
	return false
}

func successes(e *analyze.Endpoint) (n uint64) {
	for status, k := range e.Statuses {
		if succeeded(status) {
			n += k
		}
	}
	return n
}

// sensitiveAt reports whether data worth protecting was seen at a place of the
// body or below it; an empty path is anywhere.
func sensitiveAt(e *analyze.Endpoint, side analyze.Side, path string) bool {
	return slices.ContainsFunc(e.Sensitive, func(s analyze.Sensitive) bool {
		rest, ok := strings.CutPrefix(s.Place.Name, path)
		return s.Severity >= analyze.Medium && s.Place.Side == side && s.Place.Where == analyze.InBody && ok && (path == "" || rest == "" || strings.IndexByte(".[{", rest[0]) >= 0)
	})
}

// clip makes text of a document fit to show.
func clip(s string) string { return analyze.Clean([]byte(s)) }

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
