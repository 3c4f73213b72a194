package inventory

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/endpoint"
	"plainsight/analyze/posture"
	"plainsight/analyze/sensitive"
	"plainsight/analyze/tally"
	"plainsight/capture"
)

// conclusion makes a snapshot of a state.
type conclusion struct {
	in       *Inventory
	state    *state
	captures []analyze.Capture
	counts   *capture.Counts
	names    map[uint64]called // by leaf, for rows
	snap     *analyze.Snapshot
	inside   uint64 // exchanges that belong to an endpoint
	stats    posture.Stats
}

func (c *conclusion) snapshot() *analyze.Snapshot {
	c.names = map[uint64]called{}
	c.snap = &analyze.Snapshot{
		Version: c.in.opts.Version, Exchanges: c.state.counts[exchanges],
		Services: []analyze.Service{}, Endpoints: []analyze.Endpoint{}, Findings: []analyze.Finding{}, Edges: []analyze.Edge{}, Sessions: []analyze.Session{},
	}
	c.snap.First, c.snap.Last = c.state.span.Times()
	c.state.deciding = true
	for _, s := range c.state.sortedServices() {
		c.service(s)
	}
	c.state.deciding = false
	c.edges()
	c.sessions()
	c.snap.Findings = c.state.ledger.Findings(c.snap.Findings)
	c.snap.Findings = posture.SortFindings(append(c.snap.Findings, posture.Survey(c.snap, c.in.opts.Before)...))
	c.name(c.snap.Findings)
	c.coverage()
	c.scorecard()
	return c.snap
}

func (c *conclusion) service(s *service) {
	v := analyze.Service{Name: s.name, Addresses: []string{}, Requests: s.requests, Wires: []analyze.Wire{}}
	v.First, v.Last = s.span.Times()
	s.addresses.Trim()
	for _, a := range s.addresses.Sorted(netip.AddrPort.Compare) {
		v.Addresses = append(v.Addresses, addressName(a))
	}
	if s.plaintext {
		v.Wires = append(v.Wires, analyze.Plaintext)
	}
	if s.encrypted {
		v.Wires = append(v.Wires, analyze.TLS)
	}
	around := s.state.Stats()
	c.stats.Add(around)
	ctx := posture.Context{Service: s.name, Around: around, Ledger: c.state.ledger, Home: &s.state, First: v.First, Last: v.Last}
	var found []analyze.Finding
	for e, path := range s.tree.Endpoints() {
		for op, r := range path.each() {
			found = c.endpoint(&v, ctx, e, op, r, found)
		}
		if ops := path.operations; ops != nil && (ops.done.Full() || ops.failed.Full()) {
			c.state.counts[operationLimit]++
		}
	}
	found = s.state.Findings(ctx, found)
	found = s.stray.Strays(ctx, found, found)
	c.state.counts[pathsFolded] += s.tree.Folds()
	c.snap.Findings = append(c.snap.Findings, found...)
	c.snap.Services = append(c.snap.Services, v)
}

// endpoint adds an endpoint of a service, and what was found of it to found.
func (c *conclusion) endpoint(v *analyze.Service, around posture.Context, e endpoint.Endpoint, op operationKey, r *record, found []analyze.Finding) []analyze.Finding {
	name := op.called(e.Template)
	for _, id := range r.ids {
		c.names[id] = name
	}
	parameters, fields := r.shapes.Fields(nil)
	if r.messages != nil {
		_, list := r.messages.Fields(nil)
		for i := range list {
			list[i].Where = analyze.InMessage
		}
		fields = append(fields, list...)
	}
	known := knownPaths(fields)
	hide := r.private(known)
	hide(parameters)
	hide(fields)
	point, identifiers := r.endpoint(known, slices.Concat(parameters, fields))
	point.Service, point.Method, point.Template, point.Style, point.Operation = v.Name, e.Method, name.template, string(op.style), name.operation
	point.ID = analyze.EndpointID(v.Name, e.Method, name.template, name.operation)
	for _, p := range e.Params {
		if strings.Contains(name.template, "{"+p.Name+"}") {
			point.Parameters = append(point.Parameters, p.Field())
		}
	}
	point.Parameters = append(point.Parameters, safe(parameters)...)
	point.Fields = safe(fields)
	c.snap.Endpoints = append(c.snap.Endpoints, point)
	c.inside += r.requests - r.batched
	v.Endpoints++
	around.Method, around.Template, around.Operation, around.First, around.Last = e.Method, name.template, name.operation, point.First, point.Last
	around.Latency = &r.latency
	for _, f := range r.state.Renamed(known.place).Findings(around, nil) {
		if !outvotedFinding(&f, identifiers) {
			found = append(found, f)
		}
	}
	if r.state.Full() {
		c.state.counts[findingLimit]++
	}
	if r.sensitive.Full() {
		c.state.counts[sensitiveLimit]++
	}
	if r.shapes.Folds() > 0 || r.messages != nil && r.messages.Folds() > 0 {
		c.state.counts[shapeFolded]++
	}
	if r.shapes.Over() > 0 || r.messages != nil && r.messages.Over() > 0 {
		c.state.counts[shapeLimit]++
	}
	return found
}

// endpoint writes the record down.
func (r *record) endpoint(known paths, fields []analyze.Field) (e analyze.Endpoint, identifiers map[analyze.Place]bool) {
	e = analyze.Endpoint{
		Requests: r.requests, Unanswered: r.unanswered, Plaintext: r.plaintext, Encrypted: r.encrypted,
		Clients: r.clients.Count(), Outside: r.outside, Overdue: r.overdue, RequestBytes: r.in, ResponseBytes: r.out,
		LatencyP50: r.latency.Quantile(0.5), LatencyP95: r.latency.Quantile(0.95),
		Parameters: []analyze.Field{}, Sensitive: []analyze.Sensitive{},
	}
	if r.retired != 0 {
		e.Retired = time.Unix(r.retired, 0).UTC()
	}
	r.statuses.Trim()
	r.auth.Trim()
	e.Statuses, e.Auth = r.statuses.Map(), r.auth.Map()
	e.First, e.Last = r.span.Times()
	// Places below free keys became one.
	found := tally.NewTable[sensitiveKey, *sensitiveTally](r.opts.Sensitive, rankSensitive)
	r.sensitive.All(func(k sensitiveKey, from *sensitiveTally) {
		k.place = known.place(k.place)
		if into, ok := found.At(k, newSensitive); ok {
			into.merge(from)
		}
	})
	found.Trim()
	identifiers = vote(&found, fields, r.requests)
	for _, k := range found.Sorted(func(a, b sensitiveKey) int {
		return cmp.Or(cmp.Compare(a.place.Side, b.place.Side), cmp.Compare(a.place.Where, b.place.Where), cmp.Compare(a.place.Name, b.place.Name), cmp.Compare(a.kind, b.kind))
	}) {
		t, _ := found.Get(k)
		if identifiers[k.place] && outvoted[k.kind] {
			continue
		}
		e.Sensitive = append(e.Sensitive, analyze.Sensitive{Kind: k.kind, Category: t.category, Place: k.place, Count: t.count, Severity: t.severity, Samples: t.samples.List()})
	}
	return e, identifiers
}

// outvoted are kinds whose check digit one in ten numbers passes by chance.
var outvoted = func() map[string]bool {
	m := map[string]bool{}
	for i := range sensitive.Detectors {
		if d := &sensitive.Detectors[i]; d.Shape.AllDigits || d.ID == "credit_card" {
			m[d.ID] = true
		}
	}
	return m
}()

const (
	voters = 10  // values that a field must have had before they decide
	agreed = 0.5 // part of them that must be of the kind
)

// vote finds the fields that hold identifiers: ten values or more, of which only
// some pass for what a detector takes them for.
func vote(found *tally.Table[sensitiveKey, *sensitiveTally], fields []analyze.Field, requests uint64) (identifiers map[analyze.Place]bool) {
	values := map[analyze.Place]uint64{}
	for i := range fields {
		f := &fields[i]
		values[analyze.Place{Side: f.Side, Where: f.Where, Name: f.Path}] += f.Present
	}
	found.All(func(k sensitiveKey, t *sensitiveTally) {
		n := values[k.place]
		if k.place.Where == analyze.InPath { // a segment is in all of them
			n = requests
		}
		if outvoted[k.kind] && n >= voters && t.whole == t.count && float64(t.count) < agreed*float64(n) {
			if identifiers == nil {
				identifiers = map[analyze.Place]bool{}
			}
			identifiers[k.place] = true
		}
	})
	// Another kind at the same place, one that does not go by check digits, speaks
	// for itself.
	found.All(func(k sensitiveKey, _ *sensitiveTally) {
		if !outvoted[k.kind] {
			delete(identifiers, k.place)
		}
	})
	return identifiers
}

// private drops the enums of fields where something sensitive was seen.
func (r *record) private(known paths) func([]analyze.Field) {
	at := make(map[analyze.Place]bool, r.sensitive.Len())
	r.sensitive.All(func(k sensitiveKey, _ *sensitiveTally) { at[known.place(k.place)] = true })
	return func(list []analyze.Field) {
		for i := range list {
			if f := &list[i]; at[analyze.Place{Side: f.Side, Where: f.Where, Name: f.Path}] {
				f.Enum = nil
			}
		}
	}
}

// safe generalises names that look like values, and drops such members of enums.
func safe(list []analyze.Field) []analyze.Field {
	for i := range list {
		f := &list[i]
		f.Path = analyze.Name([]byte(f.Path))
		f.ContentType = analyze.Name([]byte(f.ContentType))
		f.Enum = slices.DeleteFunc(f.Enum, func(s string) bool { return analyze.ValueLike([]byte(s)) })
	}
	if list == nil {
		return []analyze.Field{}
	}
	return unite(list)
}

// outvotedFinding reports whether a finding rests on values that turned out to be
// identifiers.
func outvotedFinding(f *analyze.Finding, identifiers map[analyze.Place]bool) bool {
	if len(identifiers) == 0 || !strings.HasPrefix(f.Rule, "pii.") && f.Rule != "enc.clear-sensitive" && f.Rule != "url.sensitive" {
		return false
	}
	for p := range identifiers {
		if p.String() == f.Place {
			return true
		}
	}
	return false
}

// unite joins fields whose generalised names became the same.
func unite(list []analyze.Field) []analyze.Field {
	type key struct {
		side                analyze.Side
		where               analyze.Where
		status, ctype, path string
	}
	at := make(map[key]int, len(list))
	out := list[:0]
	for _, f := range list {
		k := key{f.Side, f.Where, f.Status, f.ContentType, f.Path}
		i, ok := at[k]
		if !ok {
			at[k] = len(out)
			out = append(out, f)
			continue
		}
		g := &out[i]
		for _, t := range f.Types {
			if !slices.Contains(g.Types, t) {
				g.Types = append(g.Types, t)
			}
		}
		if g.Format != f.Format {
			g.Format = ""
		}
		g.Nullable, g.Map, g.Enum, g.Required = g.Nullable || f.Nullable, g.Map || f.Map, nil, false
		g.Present, g.Of = max(g.Present, f.Present), max(g.Of, f.Of)
	}
	return out
}

// name adds the capture to each piece of evidence.
func (c *conclusion) name(list []analyze.Finding) {
	if c.in.opts.Capture == nil {
		return
	}
	for i := range list {
		for j := range list[i].Evidence {
			e := &list[i].Evidence[j]
			e.Capture = c.in.opts.Capture(e.Frame)
		}
	}
}

// crowd is how many clients of a server stay apart in the matrix; more are
// shown by network.
const crowd = 32

// edges writes the encryption matrix.
func (c *conclusion) edges() {
	t := &c.state.edges
	t.Trim()
	if t.Full() {
		c.state.counts[edgeLimit]++
	}
	type pair struct {
		service string
		server  netip.AddrPort
	}
	clients := map[pair]map[netip.Addr]bool{}
	t.All(func(k edgeKey, _ *edge) {
		p := pair{k.service, k.server}
		if clients[p] == nil {
			clients[p] = map[netip.Addr]bool{}
		}
		clients[p][k.client] = true
	})
	rows := map[edgeKey]*edge{}
	networks := map[edgeKey]bool{}
	t.All(func(k edgeKey, e *edge) {
		if *e == (edge{span: e.span}) {
			return // its connection is in another row, since what is inside of it was read
		}
		if len(clients[pair{k.service, k.server}]) > crowd {
			k.client = network(k.client)
			networks[k] = true
		}
		if rows[k] == nil {
			rows[k] = newEdge()
		}
		rows[k].merge(e)
	})
	keys := make([]edgeKey, 0, len(rows))
	for k := range rows {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compareEdge)
	for _, k := range keys {
		e := rows[k]
		row := analyze.Edge{Service: k.service, Wire: k.wire, Version: posture.VersionName(k.version), Connections: e.connections, Exchanges: e.exchanges, Bytes: e.bytes}
		if k.client.IsValid() {
			row.Client = k.client.String()
			if networks[k] {
				row.Client += map[bool]string{true: "/24", false: "/48"}[k.client.Is4()]
			}
		}
		if k.server.IsValid() {
			row.Server = addressName(k.server)
		}
		if k.version != 0 {
			row.Cipher = posture.CipherName(k.cipher)
		}
		row.First, row.Last = e.span.Times()
		c.snap.Edges = append(c.snap.Edges, row)
	}
}

func network(a netip.Addr) netip.Addr {
	if !a.IsValid() {
		return a
	}
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return a
	}
	return p.Addr()
}

// sessions writes what was learned of TLS.
func (c *conclusion) sessions() {
	t := &c.state.sessions
	t.Trim()
	if t.Full() {
		c.state.counts[sessionLimit]++
	}
	for _, k := range t.Sorted(compareSession) {
		s, _ := t.Get(k)
		s.ja3.Trim()
		s.ja4.Trim()
		row := analyze.Session{
			Server: addressName(k.server), SNI: k.sni, Version: posture.VersionName(k.version), Cipher: posture.CipherName(k.cipher), ALPN: k.alpn,
			JA3: s.ja3.Sorted(strings.Compare), JA3S: s.ja3s, JA4: s.ja4.Sorted(strings.Compare), Subject: s.subject, Issuer: s.issuer, Certificate: k.certificate, Connections: s.connections,
		}
		if s.notAfter != 0 {
			row.NotAfter = time.Unix(s.notAfter, 0).UTC()
		}
		row.First, row.Last = s.span.Times()
		c.snap.Sessions = append(c.snap.Sessions, row)
	}
}
