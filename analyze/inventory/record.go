package inventory

import (
	"cmp"
	"net/netip"
	"slices"

	"plainsight/analyze"
	"plainsight/analyze/endpoint"
	"plainsight/analyze/posture"
	"plainsight/analyze/shape"
	"plainsight/analyze/tally"
)

// record is what is kept of one endpoint, or of one path that may become part
// of one.
type record struct {
	opts *Options
	home *state   // whose weight it is part of; nil: of a conclusion
	ids  []uint64 // the leaves it is made of, for rows that wait for a name

	requests, unanswered, plaintext, encrypted uint64
	batched                                    uint64 // of the requests, those that are also another operation's

	statuses  tally.Counts[int]
	auth      tally.Counts[string]
	clients   tally.Distinct
	outside   uint64 // successes for clients at public addresses
	retired   int64  // the earliest moment that its answers name for their end, Unix time; 0: none
	overdue   uint64 // successes after such a moment
	in, out   int64  // bytes of bodies
	latency   tally.Latency
	span      tally.Span
	shapes    *shape.Set
	messages  *shape.Set // of WebSockets; nil: there were none
	sensitive tally.Table[sensitiveKey, *sensitiveTally]
	state     posture.State

	operations *operations // nil: the path says it all
}

const maxIDs = 1 << 16

// treeRecords is how many paths of a service are told apart until those that look
// like values become one: some 40 MB of records.
const treeRecords = 8192

type sensitiveKey struct {
	kind  string
	place analyze.Place
}

func rankSensitive(k sensitiveKey) uint64 {
	return tally.Mix(tally.Hash(k.kind) + 3*tally.Hash(k.place.Name) + 5*tally.Hash(string(k.place.Where)) + uint64(k.place.Side))
}

type sensitiveTally struct {
	category string
	count    uint64
	whole    uint64 // of these, values that were nothing else beside
	severity analyze.Severity
	samples  tally.Samples
}

func newRecord(o *Options) *record {
	return &record{
		opts:     o,
		statuses: tally.NewCounts(64, func(status int) uint64 { return tally.Mix(uint64(status)) }),
		auth:     tally.NewCounts(32, tally.RankText[string]),
		shapes:   shape.NewSet(shape.Options{}),
	}
}

func (r *record) sensitiveTable() *tally.Table[sensitiveKey, *sensitiveTally] {
	if r.sensitive.Len() == 0 && !r.sensitive.Full() {
		r.sensitive = tally.NewTable[sensitiveKey, *sensitiveTally](r.opts.Sensitive, rankSensitive)
	}
	return &r.sensitive
}

func newSensitive() *sensitiveTally { return new(sensitiveTally) }

func (t *sensitiveTally) merge(o *sensitiveTally) {
	t.category = o.category
	t.count += o.count
	t.whole += o.whole
	t.severity = max(t.severity, o.severity)
	t.samples.Merge(&o.samples)
}

// find adds a kind of sensitive data at a place.
func (r *record) find(h *posture.Hit, at tally.Moment, frozen bool) {
	fresh := newSensitive
	if frozen {
		fresh = nil
	}
	t, ok := r.sensitiveTable().At(sensitiveKey{h.Kind, h.Place}, fresh)
	if !ok {
		return
	}
	t.category = h.Category
	t.count += uint64(h.Values)
	t.whole += uint64(h.Whole)
	t.severity = max(t.severity, h.Severity)
	t.samples.Add(at, h.Sample)
}

// weight measures the memory of what the record itself holds, in pieces of some
// 200 bytes.
func (r *record) weight() int {
	n := 0
	if r.messages != nil {
		n = r.messages.Nodes()
	}
	return n + r.shapes.Nodes() + 2*r.sensitive.Len() + 4*r.state.Len()
}

// Merge implements endpoint.Record. Where the tree makes one of two records of
// its own, o is given up.
func (r *record) Merge(o *record) {
	r.join(o)
	r.mergeOperations(o)
}

// join adds what o itself holds.
func (r *record) join(o *record) {
	if s := r.home; s != nil && s == o.home && !s.deciding {
		before := r.weight() + o.weight()
		defer func() { s.weight += r.weight() - before }()
	}
	if r.ids = append(r.ids, o.ids...); len(r.ids) > maxIDs {
		r.ids = append(r.ids[:0], r.ids[len(r.ids)-maxIDs/2:]...) // rows of the others stay without a name
	}
	r.requests += o.requests
	r.unanswered += o.unanswered
	r.plaintext += o.plaintext
	r.encrypted += o.encrypted
	r.batched += o.batched
	r.statuses.Merge(&o.statuses)
	r.auth.Merge(&o.auth)
	r.clients.Merge(&o.clients)
	r.outside += o.outside
	r.retire(o.retired)
	r.overdue += o.overdue
	r.in += o.in
	r.out += o.out
	r.latency.Merge(&o.latency)
	r.span.Merge(o.span)
	r.shapes.Merge(o.shapes)
	if o.messages != nil {
		if r.messages == nil {
			r.messages = shape.NewSet(shape.Options{})
		}
		r.messages.Merge(o.messages)
	}
	if o.sensitive.Len() > 0 || o.sensitive.Full() {
		r.sensitiveTable().Merge(&o.sensitive, newSensitive, (*sensitiveTally).merge)
	}
	r.state.Merge(&o.state)
}

// Like implements endpoint.Record.
func (r *record) Like(o *record) (alike, weight float64) { return r.shapes.Like(o.shapes) }

// service is what is kept of one service.
type service struct {
	name      string
	tree      *endpoint.Tree[*record]
	state     posture.State
	stray     posture.State // of exchanges that may belong to no endpoint
	addresses tally.Table[netip.AddrPort, *struct{}]
	requests  uint64
	plaintext bool
	encrypted bool
	span      tally.Span
}

func rankAddress(a netip.AddrPort) uint64 {
	b := a.Addr().As16()
	return tally.Mix(tally.Hash(b[:]) + uint64(a.Port()))
}

func (s *service) merge(o *service) {
	s.tree.Merge(o.tree)
	s.state.Merge(&o.state)
	s.stray.Merge(&o.stray)
	s.addresses.Merge(&o.addresses, func() *struct{} { return nil }, func(_, _ *struct{}) {})
	s.requests += o.requests
	s.plaintext = s.plaintext || o.plaintext
	s.encrypted = s.encrypted || o.encrypted
	s.span.Merge(o.span)
}

// edgeKey is a cell of the encryption matrix.
type edgeKey struct {
	client          netip.Addr
	server          netip.AddrPort
	service         string
	wire            analyze.Wire
	version, cipher uint16
}

func rankEdge(k edgeKey) uint64 {
	b := k.client.As16()
	return tally.Mix(tally.Hash(b[:]) + 3*rankAddress(k.server) + 5*tally.Hash(k.service) + uint64(k.version)<<16 + uint64(k.cipher))
}

func compareEdge(a, b edgeKey) int {
	return cmp.Or(cmp.Compare(a.service, b.service), a.server.Compare(b.server), a.client.Compare(b.client), cmp.Compare(a.wire, b.wire), cmp.Compare(a.version, b.version), cmp.Compare(a.cipher, b.cipher))
}

type edge struct {
	connections, exchanges uint64
	bytes                  int64
	span                   tally.Span
}

func newEdge() *edge { return new(edge) }

func (e *edge) merge(o *edge) {
	e.connections += o.connections
	e.exchanges += o.exchanges
	e.bytes += o.bytes
	e.span.Merge(o.span)
}

// sessionKey is a row of TLS sessions.
type sessionKey struct {
	server          netip.AddrPort
	sni, alpn       string
	version, cipher uint16
	certificate     string // SHA-256
}

func rankSession(k sessionKey) uint64 {
	return tally.Mix(rankAddress(k.server) + 3*tally.Hash(k.sni) + 5*tally.Hash(k.alpn) + 7*tally.Hash(k.certificate) + uint64(k.version)<<16 + uint64(k.cipher))
}

func compareSession(a, b sessionKey) int {
	return cmp.Or(a.server.Compare(b.server), cmp.Compare(a.sni, b.sni), cmp.Compare(a.version, b.version), cmp.Compare(a.cipher, b.cipher), cmp.Compare(a.alpn, b.alpn), cmp.Compare(a.certificate, b.certificate))
}

type session struct {
	ja3, ja4    tally.Table[string, *struct{}]
	ja3s        string // the first in order
	subject     string
	issuer      string
	notAfter    int64 // seconds since 1970
	connections uint64
	span        tally.Span
}

const clientsShown = 10 // JA3 and JA4 of a session

func newSession() *session {
	return &session{ja3: tally.NewTable[string, *struct{}](clientsShown, tally.RankText[string]), ja4: tally.NewTable[string, *struct{}](clientsShown, tally.RankText[string])}
}

func (s *session) merge(o *session) {
	s.ja3.Merge(&o.ja3, func() *struct{} { return nil }, func(_, _ *struct{}) {})
	s.ja4.Merge(&o.ja4, func() *struct{} { return nil }, func(_, _ *struct{}) {})
	s.ja3s = least(s.ja3s, o.ja3s)
	s.subject, s.issuer, s.notAfter = max(s.subject, o.subject), max(s.issuer, o.issuer), max(s.notAfter, o.notAfter)
	s.connections += o.connections
	s.span.Merge(o.span)
}

// least is the smaller of two texts, one of which may be missing.
func least(a, b string) string {
	if a == "" || b != "" && b < a {
		return b
	}
	return a
}

// state is all that a worker learned. It merges.
type state struct {
	opts     *Options
	services tally.Table[string, *service]
	other    *service // those beyond the limit, folded; nil where there are none
	edges    tally.Table[edgeKey, *edge]
	sessions tally.Table[sessionKey, *session]
	ledger   *posture.Ledger
	span     tally.Span
	counts   [countEnd]uint64
	folded   func() // tells the worker that services were folded

	records  int  // of all trees
	weight   int  // of them
	deciding bool // records are made for a conclusion, not for traffic
	worker   int
	leaves   uint64
}

func (s *state) reset(o *Options) {
	*s = state{opts: o, folded: s.folded, worker: s.worker, leaves: s.leaves}
	s.services = tally.NewTable[string, *service](o.Services, tally.RankText[string])
	s.services.Gone = func(_ string, gone *service) {
		s.folded()
		deciding := s.deciding
		s.deciding = true
		s.others().merge(gone)
		s.deciding = deciding
	}
	s.edges = tally.NewTable[edgeKey, *edge](o.Edges, rankEdge)
	s.sessions = tally.NewTable[sessionKey, *session](o.Sessions, rankSession)
	s.ledger = posture.NewLedger(posture.LedgerOptions{Credentials: o.Credentials})
}

func (s *state) others() *service {
	if s.other == nil {
		s.other = s.newService("(other hosts)")
	}
	return s.other
}

func (s *state) newService(name string) *service {
	return &service{name: name, tree: endpoint.NewTree(endpoint.Options{Records: treeRecords, Routes: s.opts.Routes.For(name)}, s.newRecord),
		addresses: tally.NewTable[netip.AddrPort, *struct{}](32, rankAddress)}
}

// newRecord makes the record of a path. Its number tells rows that wait for the
// name of their endpoint where they belong.
func (s *state) newRecord() *record {
	r := newRecord(s.opts)
	if !s.deciding {
		r.home = s
		if s.opts.Calls != nil {
			s.leaves++
			r.ids = []uint64{uint64(s.worker)<<40 | s.leaves}
		}
	}
	return r
}

func (s *state) service(name string) *service {
	if v, ok := s.services.At(name, func() *service { return s.newService(name) }); ok {
		return v
	}
	return s.others()
}

func (s *state) merge(o *state) {
	s.deciding = true // the records that merging makes take their numbers from o's
	s.services.Merge(&o.services, func() *service { return s.newService("") }, func(into, from *service) {
		into.name = from.name
		into.merge(from)
	})
	if o.other != nil {
		s.others().merge(o.other)
	}
	s.edges.Merge(&o.edges, newEdge, (*edge).merge)
	s.sessions.Merge(&o.sessions, newSession, (*session).merge)
	s.ledger.Merge(o.ledger)
	s.span.Merge(o.span)
	for i, n := range o.counts {
		s.counts[i] += n
	}
	// Shards see the same endpoints: what both count is one.
	s.records, s.weight = max(s.records, o.records), max(s.weight, o.weight)
	s.deciding = false
}

// sortedServices lists the services by name.
func (s *state) sortedServices() []*service {
	s.services.Trim()
	var list []*service
	s.services.All(func(_ string, v *service) { list = append(list, v) })
	if s.other != nil {
		list = append(list, s.other)
	}
	slices.SortFunc(list, func(a, b *service) int { return cmp.Compare(a.name, b.name) })
	return list
}
