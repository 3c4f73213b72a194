package posture

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"plainsight/analyze"
)

// survey is all that was concluded, for rules that compare endpoints with each
// other, or this time with another.
type survey struct {
	now, before *analyze.Snapshot              // before is nil where there is no baseline
	at          map[string][]*analyze.Endpoint // of now, by service
	was         map[string][]*analyze.Endpoint
	found       *[]analyze.Finding
	rule        *Rule
}

// Survey asks the rules that look at the whole of a snapshot. before is what was
// known earlier, nil for nothing.
func Survey(now, before *analyze.Snapshot) []analyze.Finding {
	var found []analyze.Finding
	s := survey{now: now, before: before, at: byService(now), was: byService(before), found: &found}
	for i := range Rules {
		if s.rule = &Rules[i]; s.rule.survey != nil {
			s.rule.survey(&s)
		}
	}
	return found
}

func byService(s *analyze.Snapshot) map[string][]*analyze.Endpoint {
	m := map[string][]*analyze.Endpoint{}
	if s != nil {
		for i := range s.Endpoints {
			e := &s.Endpoints[i]
			m[e.Service] = append(m[e.Service], e)
		}
	}
	return m
}

// report adds a finding of an endpoint, or of a service.
func (s *survey) report(service string, e *analyze.Endpoint, p analyze.Place, count uint64, v verdict) {
	c := Context{Service: service, First: s.now.First, Last: s.now.Last}
	if e != nil {
		c.Method, c.Template, c.Operation, c.First, c.Last = e.Method, e.Template, e.Operation, e.First, e.Last
	}
	*s.found = append(*s.found, (&Tally{count: max(count, 1)}).finding(s.rule, p, &c, &v))
}

// successes counts the good answers of an endpoint.
func successes(e *analyze.Endpoint) (n uint64) {
	for status, k := range e.Statuses {
		if status >= 200 && status < 300 || status == 304 {
			n += k
		}
	}
	return n
}

// open reports whether nobody ever identified himself to an endpoint.
func open(e *analyze.Endpoint) bool { return len(e.Auth) == 1 && e.Auth["none"] > 0 }

func hitOf(s *analyze.Sensitive) Hit { return Hit{Kind: s.Kind, Category: s.Category, Place: s.Place} }

// somebodys reports whether a kind of data is somebody's, and more than an address
// to write to.
func somebodys(s *analyze.Sensitive) bool {
	h := hitOf(s)
	return isPersonal(&h) && weighs(&h)
}

func inAnswer(s *analyze.Sensitive) bool {
	return s.Place.Side == analyze.Response && s.Place.Where == analyze.InBody
}

// lastName is the name of a field without what it stands in.
func lastName(path string) string {
	path = strings.TrimRight(path, "[]{}*")
	return strings.ToLower(path[strings.LastIndexAny(path, ".$")+1:])
}

var surveyRules = []Rule{
	{
		Rule: analyze.Rule{ID: "exp.list", Title: "A list shows more of each than the thing itself", Practice: analyze.Exposure, Severity: analyze.Medium, Level: analyze.Inferred,
			Trigger: "personal data in the items of a list, five values an answer or more, that the endpoint for a single one of them does not return; high without authentication",
			Quiet:   "the single one must have answered five times or more; contact data of a directory without such an endpoint is pii.contact's",
			Why:     "Lists are built from whole rows of a table: what no client shows leaves the server a hundred times a page.",
			Fix:     "Give lists a view of their own with the fields that are shown.",
			OWASP:   []string{"API3:2023"}, CWE: []string{"CWE-213"}},
		say: "A list returns personal data that the single item does not",
		survey: func(s *survey) {
			for service, list := range s.at {
				for _, e := range list {
					var one *analyze.Endpoint
					for _, o := range list {
						if o.Method == "GET" && strings.HasPrefix(o.Template, strings.TrimSuffix(e.Template, "/")+"/{") && strings.Count(o.Template, "/") == strings.Count(strings.TrimSuffix(e.Template, "/"), "/")+1 && successes(o) >= 5 {
							one = o
						}
					}
					n := successes(e)
					if one == nil || n == 0 {
						continue
					}
					for i := range e.Sensitive {
						d := &e.Sensitive[i]
						if !inAnswer(d) || !somebodys(d) || !strings.Contains(d.Place.Name, "[]") || d.Count < 5*n {
							continue
						}
						if slices.ContainsFunc(one.Sensitive, func(o analyze.Sensitive) bool { return o.Kind == d.Kind && inAnswer(&o) }) {
							continue
						}
						v := verdict{severity: analyze.Medium, level: analyze.Inferred, detail: fmt.Sprintf("%s, about %d in an answer; none in %d answers of %s %s", d.Kind, d.Count/n, successes(one), one.Method, one.Template)}
						if open(e) {
							v.severity = analyze.High
						}
						s.report(service, e, d.Place, n, v)
					}
				}
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "exp.unused", Title: "Sensitive field that nobody seems to use", Practice: analyze.Exposure, Severity: analyze.Low, Level: analyze.NotSeen,
			Trigger: "an identity number, account, card or health datum in the answers of an endpoint to three or more clients, of which neither the kind nor the name ever comes back in a request to the service",
			Quiet:   "needs thirty answers; contact data, which people look at, is left out",
			Why:     "Data that is returned by habit leaks by habit.",
			Fix:     "Leave the field out, or mask it, unless a client can say what it needs it for.",
			OWASP:   []string{"API3:2023"}, CWE: []string{"CWE-213"}},
		say: "A sensitive field is returned and never sent back",
		survey: func(s *survey) {
			for service, list := range s.at {
				sent := map[string]bool{}
				for _, e := range list {
					for _, d := range e.Sensitive {
						if d.Place.Side == analyze.Request {
							sent[d.Kind] = true
						}
					}
					for _, fields := range [...][]analyze.Field{e.Parameters, e.Fields} {
						for _, f := range fields {
							if f.Side == analyze.Request {
								sent["."+lastName(f.Path)] = true
							}
						}
					}
				}
				for _, e := range list {
					if e.Clients < 3 || successes(e) < 30 {
						continue
					}
					for i := range e.Sensitive {
						d := &e.Sensitive[i]
						if inAnswer(d) && somebodys(d) && !isContact(d.Kind) && d.Count >= 30 && !sent[d.Kind] && !sent["."+lastName(d.Place.Name)] {
							s.report(service, e, d.Place, d.Count, verdict{severity: analyze.Low, level: analyze.NotSeen, detail: fmt.Sprintf("%s, to %d clients in %d answers; no request to the service had it", d.Kind, e.Clients, successes(e))})
						}
					}
				}
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "inv.third-party", Title: "Calls to somebody else's host", Practice: analyze.Discovery, Severity: analyze.Info, Level: analyze.Proved,
			Trigger: "a machine that serves something itself calls a public address under a foreign domain; high where the request carries personal data or a secret that is not the caller's own credential",
			Quiet:   "callers that serve nothing are people; hosts under a domain that is also served inside are one's own; content networks and telemetry are left out while they get nothing personal",
			Why:     "What leaves the organisation is out of its hands: each such edge needs a contract, an owner and a reason.",
			Fix:     "Enter it in the register of processors, send only what is needed, and let egress pass by a list.",
			OWASP:   []string{"API10:2023"}, CWE: []string{"CWE-200"}},
		say: "A service calls a host outside",
		survey: func(s *survey) {
			for service, n := range s.outside() {
				v := verdict{severity: analyze.Info, level: analyze.Proved}
				kinds := leaving(s.at[service])
				if len(kinds) == 0 && infrastructure(service) {
					continue
				}
				if len(kinds) > 0 {
					v.severity, v.detail = analyze.High, "the requests carry "+strings.Join(kinds, ", ")
				}
				s.report(service, nil, analyze.Place{}, n, v)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "egress.sensitive", Title: "A third party gets data that it never got before", Practice: analyze.Exposure, Severity: analyze.Medium, Level: analyze.Inferred,
			Trigger: "personal data or a secret in requests to a foreign host that the baseline has without it, or does not have",
			Quiet:   "only against a baseline; callers must serve something themselves",
			Why:     "New fields slip into integrations with a release, and nobody asks whether they may leave.",
			Fix:     "Check the contract; leave the field out or replace it by a reference.",
			OWASP:   []string{"API10:2023"}, CWE: []string{"CWE-359"}},
		say: "Data of a new kind leaves the organisation",
		survey: func(s *survey) {
			if s.before == nil {
				return
			}
			for service, n := range s.outside() {
				had := leaving(s.was[service])
				kinds := slices.DeleteFunc(leaving(s.at[service]), func(k string) bool { return slices.Contains(had, k) })
				if len(kinds) > 0 {
					s.report(service, nil, analyze.Place{}, n, verdict{severity: analyze.Medium, level: analyze.Inferred, detail: "new: " + strings.Join(kinds, ", ")})
				}
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "inv.new-service", Title: "New service", Practice: analyze.Discovery, Severity: analyze.Low, Level: analyze.Inferred,
			Trigger: "a host that the baseline does not have and that succeeded three times or more; medium where clients from outside reach it",
			Quiet:   "only against a baseline",
			Why:     "Nobody protects, patches or tests what nobody knows of.",
			Fix:     "Find its owner and enter it in the inventory, or switch it off.",
			OWASP:   []string{"API9:2023"}, CWE: []string{"CWE-1059"}},
		say: "A service was not there before",
		survey: func(s *survey) {
			for _, v := range s.newServices() {
				n, outside := uint64(0), uint64(0)
				for _, e := range s.at[v.Name] {
					n += successes(e)
					outside += e.Outside
				}
				if n < 3 {
					continue
				}
				sev := analyze.Low
				if outside > 0 {
					sev = analyze.Medium
				}
				s.report(v.Name, nil, analyze.Place{}, n, verdict{severity: sev, level: analyze.Inferred, detail: fmt.Sprintf("%d successes for clients outside", outside)})
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "inv.new-endpoint", Title: "New endpoint", Practice: analyze.Discovery, Severity: analyze.Info, Level: analyze.Inferred,
			Trigger: "a template and method that succeeds and that the baseline does not have, of a service that it has; medium where it answers personal data to anybody",
			Quiet:   "only against a baseline; twenty requests or ten minutes must have passed for the template to settle; the same path under another template is not new",
			Why:     "Each new endpoint is new surface: it should be known before it is found.",
			Fix:     "Compare with the release; document it.",
			OWASP:   []string{"API9:2023"}, CWE: []string{"CWE-1059"}},
		say: "An endpoint was not there before",
		survey: func(s *survey) {
			for service, was := range s.was {
				for _, e := range s.at[service] {
					n := successes(e)
					if n == 0 || e.Requests < 20 && e.Last.Sub(e.First) < 10*time.Minute || slices.ContainsFunc(was, func(o *analyze.Endpoint) bool { return sameEndpoint(e, o) }) {
						continue
					}
					v := verdict{severity: analyze.Info, level: analyze.Inferred}
					if open(e) && slices.ContainsFunc(e.Sensitive, func(d analyze.Sensitive) bool { return inAnswer(&d) && somebodys(&d) }) {
						v.severity, v.detail = analyze.Medium, "it answers personal data without authentication"
					}
					s.report(service, e, analyze.Place{}, n, v)
				}
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "inv.exposure-change", Title: "Inner endpoint is reached from outside", Practice: analyze.Discovery, Severity: analyze.High, Level: analyze.Inferred,
			Trigger: "an endpoint that the baseline has for clients inside only, in thirty requests or more, and that now succeeds three times for clients outside",
			Quiet:   "only against a baseline; by the addresses of connections, never by what a header claims",
			Why:     "Inner endpoints trust their callers. A rule of a firewall or an ingress has changed.",
			Fix:     "Close the way in, or give the endpoint the checks of a public one.",
			OWASP:   []string{"API9:2023", "API8:2023"}, CWE: []string{"CWE-668"}},
		say: "An endpoint that was internal answers clients outside",
		survey: func(s *survey) {
			for service, was := range s.was {
				for _, e := range s.at[service] {
					if e.Outside < 3 {
						continue
					}
					inside := uint64(0)
					for _, o := range was {
						if sameEndpoint(e, o) {
							if inside += o.Requests; o.Outside > 0 {
								inside = 0
								break
							}
						}
					}
					if inside >= 30 {
						s.report(service, e, analyze.Place{}, e.Outside, verdict{severity: analyze.High, level: analyze.Inferred, detail: fmt.Sprintf("none of %d requests before came from outside", inside)})
					}
				}
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "inv.stale", Title: "Endpoint that nobody calls any more", Practice: analyze.Discovery, Severity: analyze.Low, Level: analyze.NotSeen,
			Trigger: "an endpoint that the baseline has with thirty requests or more and that had none for thirty days, while its service went on",
			Quiet:   "only against a baseline; the service must have had a hundred requests since",
			Why:     "Code that nobody uses is patched by nobody, and still answers.",
			Fix:     "Switch it off; bring it back if somebody asks.",
			OWASP:   []string{"API9:2023"}, CWE: []string{"CWE-1059"}},
		say: "An endpoint was not called any more",
		survey: func(s *survey) {
			for service, was := range s.was {
				requests := uint64(0)
				for _, e := range s.at[service] {
					requests += e.Requests
				}
				if requests < 100 {
					continue
				}
				for _, o := range was {
					quiet := s.now.Last.Sub(o.Last)
					if o.Requests < 30 || quiet < 30*24*time.Hour || slices.ContainsFunc(s.at[service], func(e *analyze.Endpoint) bool { return sameEndpoint(e, o) }) {
						continue
					}
					s.report(service, o, analyze.Place{}, o.Requests, verdict{severity: analyze.Low, level: analyze.NotSeen, detail: fmt.Sprintf("last %d days before the end of the window, in which the service had %d requests", int(quiet.Hours()/24), requests)})
				}
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "inv.shape-change", Title: "Answers have another shape", Practice: analyze.Discovery, Severity: analyze.Info, Level: analyze.Inferred,
			Trigger: "a field of good answers that 95 of 100 have now and none before, or the other way round, or that has other types; medium where a new one is sensitive",
			Quiet:   "only against a baseline; fifty answers on both sides",
			Why:     "Clients break, and new fields may show what was not meant to be shown.",
			Fix:     "Compare with the release; document it; version what is incompatible.",
			OWASP:   []string{"API9:2023"}, CWE: []string{"CWE-1059"}},
		say: "A field of the answer came, went or changed",
		survey: func(s *survey) {
			s.changes(func(e *analyze.Endpoint, c shapeChange) {
				v := verdict{severity: analyze.Info, level: analyze.Inferred, detail: c.text}
				for i := range e.Sensitive {
					if d := &e.Sensitive[i]; c.kind == fieldCame && inAnswer(d) && d.Place.Name == c.path && (somebodys(d) || d.Category == "secret" || d.Category == "credential") {
						v.severity, v.detail = analyze.Medium, c.text+"; it holds "+d.Kind
					}
				}
				s.report(e.Service, e, analyze.Place{Side: analyze.Response, Where: analyze.InBody, Name: c.path}, c.n, v)
			})
		},
	},
	{
		Rule: analyze.Rule{ID: "ver.none", Title: "Incompatible change without a version", Practice: analyze.Management, Severity: analyze.Info, Level: analyze.Inferred,
			Trigger: "a field of good answers went away or changed its type since the baseline, in a service that has a version in no path, host, parameter or header",
			Quiet:   "only against a baseline; fifty answers on both sides; new fields are compatible",
			Why:     "Clients cannot say which shape they were written for.",
			Fix:     "Put a version into the path or a header and change shapes with it only.",
			OWASP:   []string{"API9:2023"}, CWE: []string{"CWE-1059"}},
		say: "Answers changed incompatibly, and no version says so",
		survey: func(s *survey) {
			broken := map[string]uint64{}
			s.changes(func(e *analyze.Endpoint, c shapeChange) {
				if c.kind != fieldCame {
					broken[e.Service]++
				}
			})
			for service, n := range broken {
				if !versioned(service, s.at[service]) {
					s.report(service, nil, analyze.Place{}, n, verdict{severity: analyze.Info, level: analyze.Inferred, detail: plural(n, "field") + " concerned"})
				}
			}
		},
	},
}

// newServices are those that the baseline does not have.
func (s *survey) newServices() (list []*analyze.Service) {
	if s.before == nil {
		return nil
	}
	known := map[string]bool{}
	for i := range s.before.Services {
		known[s.before.Services[i].Name] = true
	}
	for i := range s.now.Services {
		if v := &s.now.Services[i]; !known[v.Name] && !strings.HasPrefix(v.Name, "(") {
			list = append(list, v)
		}
	}
	return list
}

// outside finds services at public addresses under foreign domains that machines
// call which serve something themselves, and counts the calls.
func (s *survey) outside() map[string]uint64 {
	serving, own := map[netip.Addr]bool{}, map[string]bool{}
	for i := range s.now.Services {
		v := &s.now.Services[i]
		for _, text := range v.Addresses {
			if a, err := netip.ParseAddrPort(text); err == nil && within(a.Addr().Unmap()) {
				serving[a.Addr().Unmap()] = true
				own[site(hostOnly(v.Name))] = true
			}
		}
	}
	found := map[string]uint64{}
	for i := range s.now.Edges {
		e := &s.now.Edges[i]
		client, err := netip.ParseAddr(e.Client)
		server, err2 := netip.ParseAddrPort(e.Server)
		if err != nil || err2 != nil || !serving[client.Unmap()] || client.IsLoopback() || within(server.Addr().Unmap()) || own[site(hostOnly(e.Service))] {
			continue
		}
		found[e.Service] += max(e.Exchanges, e.Connections)
	}
	return found
}

// leaving are the kinds of sensitive data in requests, but for credentials at
// their own service.
func leaving(list []*analyze.Endpoint) (kinds []string) {
	for _, e := range list {
		for i := range e.Sensitive {
			d := &e.Sensitive[i]
			secret := d.Category == "secret" && d.Place.Where != analyze.InHeader && d.Kind != "api_key" && d.Kind != "oauth_client_secret"
			if d.Place.Side == analyze.Request && d.Place.Where != analyze.InHeader && (somebodys(d) || secret) && !slices.Contains(kinds, d.Kind) {
				kinds = append(kinds, d.Kind)
			}
		}
	}
	slices.Sort(kinds)
	return kinds
}

// infrastructure tells content networks, telemetry and package hosts, which all
// machines call.
func infrastructure(host string) bool {
	switch site(hostOnly(host)) {
	case "sentry.io", "datadoghq.com", "datadoghq.eu", "newrelic.com", "nr-data.net", "cloudfront.net", "fastly.net", "akamaized.net", "cloudflare.com", "jsdelivr.net", "unpkg.com", "launchdarkly.com",
		"debian.org", "ubuntu.com", "npmjs.org", "pypi.org", "docker.io", "docker.com", "golang.org", "letsencrypt.org", "lencr.org", "digicert.com":
		return true
	}
	return false
}

// sameEndpoint reports whether two rows are one endpoint: where templates differ,
// a placeholder of one stands for a segment of the other.
func sameEndpoint(a, b *analyze.Endpoint) bool {
	if a.Method != b.Method || a.Operation != b.Operation {
		return false
	}
	if a.Template == b.Template {
		return true
	}
	x, y := strings.Split(a.Template, "/"), strings.Split(b.Template, "/")
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i] != y[i] && !strings.Contains(x[i], "{") && !strings.Contains(y[i], "{") {
			return false
		}
	}
	return true
}

type shapeChangeKind uint8

const (
	fieldCame shapeChangeKind = iota
	fieldWent
	fieldTyped
)

// shapeChange is a field of an answer that is not as it was.
type shapeChange struct {
	kind shapeChangeKind
	path string
	text string
	n    uint64
}

// changes calls f with what changed in good answers since the baseline.
func (s *survey) changes(f func(*analyze.Endpoint, shapeChange)) {
	for service, was := range s.was {
		for _, e := range s.at[service] {
			at := slices.IndexFunc(was, func(o *analyze.Endpoint) bool {
				return o.Method == e.Method && o.Template == e.Template && o.Operation == e.Operation
			})
			if at < 0 || successes(e) < 50 || successes(was[at]) < 50 {
				continue
			}
			now, before := answerFields(e), answerFields(was[at])
			for path, n := range now {
				o, known := before[path]
				switch {
				case !known && n.of >= 50 && n.present*100 >= n.of*95 && parent(before, path) >= 50:
					f(e, shapeChange{fieldCame, path, fmt.Sprintf("new: in %d of %d, in none of %d before", n.present, n.of, parent(before, path)), n.present})
				case known && n.present >= 50 && o.present >= 50 && n.types != o.types && !akin(n.types, o.types):
					f(e, shapeChange{fieldTyped, path, fmt.Sprintf("%s now, %s before", n.types, o.types), n.present})
				}
			}
			for path, o := range before {
				if _, known := now[path]; !known && o.of >= 50 && o.present*100 >= o.of*95 && parent(now, path) >= 50 {
					f(e, shapeChange{fieldWent, path, fmt.Sprintf("gone: in none of %d, in %d of %d before", parent(now, path), o.present, o.of), parent(now, path)})
				}
			}
		}
	}
}

type seenField struct {
	present, of uint64
	types       string
}

// answerFields are the fields of good JSON answers.
func answerFields(e *analyze.Endpoint) map[string]seenField {
	m := map[string]seenField{}
	for i := range e.Fields {
		f := &e.Fields[i]
		if f.Side != analyze.Response || f.Where != analyze.InBody || !strings.HasPrefix(f.Status, "2") || strings.Contains(f.Path, "*") {
			continue
		}
		types := slices.Clone(f.Types)
		slices.Sort(types)
		n := m[f.Path]
		n.present += f.Present
		n.of += f.Of
		if n.types != "" && n.types != strings.Join(types, " or ") {
			types = nil // more than one answer: not to be compared
		}
		n.types = strings.Join(types, " or ")
		m[f.Path] = n
	}
	return m
}

// parent counts how often what a field stands in was there.
func parent(m map[string]seenField, path string) uint64 {
	i := strings.LastIndexAny(path, ".[")
	if i <= 0 {
		return 0
	}
	return m[path[:i]].present
}

// akin reports whether types have one in common, or none is known.
func akin(a, b string) bool {
	if a == "" || b == "" {
		return true
	}
	for t := range strings.SplitSeq(a, " or ") {
		if slices.Contains(strings.Split(b, " or "), t) || t == "integer" && strings.Contains(b, "number") || t == "number" && strings.Contains(b, "integer") || t == "null" || b == "null" {
			return true
		}
	}
	return false
}

// versioned reports whether something tells the version of a service.
func versioned(service string, list []*analyze.Endpoint) bool {
	version := func(s string) bool {
		s = strings.ToLower(s)
		return len(s) > 1 && len(s) <= 6 && s[0] == 'v' && digit(s[1])
	}
	if slices.ContainsFunc(strings.FieldsFunc(service, func(r rune) bool { return r == '.' || r == '-' }), version) {
		return true
	}
	for _, e := range list {
		if slices.ContainsFunc(strings.Split(e.Template, "/"), version) {
			return true
		}
		for i := range e.Parameters {
			if p := strings.ToLower(e.Parameters[i].Path); strings.Contains(p, "version") {
				return true
			}
		}
	}
	return false
}

var stageWords = words("dev", "develop", "development", "staging", "stage", "testing", "qa", "uat", "preprod", "sandbox", "beta", "alpha", "old", "bak", "legacy", "v0")

// SortFindings is [Sort] for lists that may hold one finding twice: of those with
// one key the worst stays.
func SortFindings(list []analyze.Finding) []analyze.Finding {
	slices.SortStableFunc(list, func(a, b analyze.Finding) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(b.Severity, a.Severity))
	})
	list = slices.CompactFunc(list, func(a, b analyze.Finding) bool { return a.Key == b.Key })
	Sort(list)
	return list
}
