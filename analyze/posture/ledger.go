package posture

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/tally"
)

// LedgerOptions bound a [Ledger].
type LedgerOptions struct {
	Credentials int           // remembered; 0: 16384
	Idle        time.Duration // of the traffic's clock, after which a credential goes first when there is no room; 0: 90 days
}

// Ledger remembers of each credential, by its keyed hash and over all services,
// where it was used, by whom, when, and with what success. Rows of the catalogue
// that need more than one exchange of a credential are functions over it (see
// Rule.over). It merges in any order as long as no limit is reached. Where there
// is no room, those that were idle for long go first, then those with the
// largest rank; both are counted.
//
// It holds no value: what it knows of one is a [Secret].
type Ledger struct {
	held    tally.Table[uint64, *held]
	changes tally.Table[uint64, *changes] // of passwords, by principal
	newest  int64
	gone    uint64
}

// held is a credential.
type held struct {
	*Secret
	principal uint64
	uses      []*use   // by name of the service
	days      []uint16 // since 1970, on which it was used
	expires   int64    // what its issuer said, 0: nothing
	ended     int64    // the first logout or revocation, 0: none
	span      tally.Span
}

// use is what became of a credential at a service.
type use struct {
	service           string
	kind              Kind
	place             analyze.Place
	span              tally.Span
	accepted, refused uint64
	first, last       sighting // accepted
	kept              int64    // the first login that left it as it was, 0: none
	sensitive         bool     // it was answered with data that weighs
	person            bool     // sent by a browser or an app
	networks          tally.Distinct
	callers           tally.Distinct
	peers             []peer // some of the callers, the same on any shard
	places            []uint64
	taken             []uint64     // of a key: tens of seconds, and servers that accepted it
	most              togetherness // of places that were given up
	servers           []netip.AddrPort
}

// sighting is an exchange.
type sighting struct {
	at tally.Moment
	evidence
}

// peer is a caller.
type peer struct {
	id   uint64
	n    uint64
	span tally.Span
	last sighting
}

// changes are when a principal changed its password, and with which credential.
type changes struct{ list []change }

type change struct {
	at tally.Moment
	by uint64
}

// Bounds of one credential.
const (
	usesKept    = 8
	peersKept   = 8
	placesKept  = 256
	takenKept   = 128
	daysKept    = 512
	serversKept = 8
	changesKept = 4
)

// NewLedger returns an empty ledger.
func NewLedger(o LedgerOptions) *Ledger {
	l := &Ledger{}
	n := cmp.Or(o.Credentials, 16384)
	idle := int64(cmp.Or(o.Idle, 90*24*time.Hour))
	l.held = tally.NewTable[uint64, *held](n, tally.Mix)
	l.held.Gone = func(uint64, *held) { l.gone++ }
	l.held.Old = func(_ uint64, h *held) bool {
		_, last := h.span.Ends()
		return last != 0 && last < l.newest-idle // 0: it is just being made
	}
	l.changes = tally.NewTable[uint64, *changes](max(n/16, 64), tally.Mix)
	return l
}

// Forgotten is how many credentials had to go, and how often one found no room.
func (l *Ledger) Forgotten() uint64 { return l.gone + l.held.Refused }

// Len is how many credentials it remembers.
func (l *Ledger) Len() int { return l.held.Len() }

// Observe adds the credentials of an exchange.
func (l *Ledger) Observe(o *Observation, service string) {
	if o.Status == 0 || o.At.Nano == 0 {
		return
	}
	for i := range o.Credentials {
		if c := &o.Credentials[i]; c.Kind != Mutual && c.Kind != Other && !c.Empty && !o.repeats(i) {
			l.use(o, c, service)
		}
	}
	if o.issued != nil && o.lifetime > 0 && o.Success && !o.Frozen {
		if h, ok := l.of(o.issued, fingerprintHash(o.issued.Principal)); ok {
			h.expires = max(h.expires, o.At.Nano+int64(o.lifetime))
			h.span.Add(o.At.Nano)
		}
	}
	if o.revoked != nil && o.Success && !o.Frozen {
		if h, ok := l.of(o.revoked, fingerprintHash(o.revoked.Principal)); ok {
			h.end(o.At.Nano)
		}
	}
	if o.Success && !o.Weak && !o.Frozen && o.changesPassword() {
		if c, ok := l.changes.At(o.principalHash, func() *changes { return new(changes) }); ok {
			c.add(change{o.At, o.strongest()})
		}
	}
}

// repeats reports whether an earlier credential is the same.
func (o *Observation) repeats(i int) bool {
	for j := range i {
		if o.Credentials[j].Hash == o.Credentials[i].Hash {
			return true
		}
	}
	return false
}

// strongest is the hash of the credential that says who the principal is.
func (o *Observation) strongest() uint64 {
	for i := range o.Credentials {
		if c := &o.Credentials[i]; c.Secret.Principal == o.Principal {
			return c.Hash
		}
	}
	return 0
}

func (l *Ledger) of(s *Secret, principal uint64) (*held, bool) {
	h, ok := l.held.Get(s.Hash)
	if !ok {
		h, ok = l.held.At(s.Hash, func() *held { return &held{Secret: s, principal: principal} })
	}
	return h, ok
}

func (l *Ledger) use(o *Observation, c *Credential, service string) {
	h, ok := l.held.Get(c.Hash)
	if !ok {
		if o.Frozen {
			return
		}
		if h, ok = l.of(c.Secret, fingerprintHash(c.Secret.Principal)); !ok {
			return
		}
	}
	nano := o.At.Nano
	l.newest = max(l.newest, nano)
	h.span.Add(nano)
	h.day(nano)
	u := h.at(service)
	if u == nil {
		return
	}
	if u.kind == "" || c.Place != u.place && comparePlace(c.Place, u.place) < 0 {
		u.kind, u.place = c.Kind, c.Place
	}
	u.span.Add(nano)
	client := o.Client.Addr()
	agent := o.r.agent(o.userAgent)
	u.person = u.person || agent.person
	if !o.Frozen {
		u.addServer(o.Server)
	}
	switch {
	case o.Status == 401:
		u.refused++
	case o.Success && !o.public && !isStatic(o.contentType):
		if c.Kind == Session && o.authHeader {
			break // it may not be what opened the door
		}
		at := sighting{o.At, evidence{o.Client, o.Server, o.Status}}
		if u.accepted++; u.accepted == 1 {
			u.first, u.last = at, at
		}
		u.first, u.last = earlier(u.first, at), later(u.last, at)
		u.sensitive = u.sensitive || o.sensitive
		caller := addrHash(client)
		u.callers.Add(caller)
		u.networks.Add(addrHash(network(client)))
		u.called(caller, at)
		if c.Kind == APIKey || c.Kind == Bearer {
			u.taken = newest(u.taken, bucket(nano, o.Server), takenKept, nil)
		}
		u.seen(uint64(nano/minute)<<36 | uint64(uint32(addrHash(provider(client)))>>14)<<18 | agent.hash>>46)
	}
	switch {
	case o.endsSession(c):
		h.end(nano)
	case c.Kind == Session && o.signsIn() && o.leaves(c):
		if u.kept == 0 || nano < u.kept {
			u.kept = nano
		}
	}
}

func (h *held) end(nano int64) {
	if h.ended == 0 || nano < h.ended {
		h.ended = nano
	}
	h.span.Add(nano)
}

// day notes that it was used on a day.
func (h *held) day(nano int64) {
	d := uint16(nano / (24 * 60 * minute))
	if n := len(h.days); n > 0 && h.days[n-1] == d {
		return
	}
	h.days = newest(h.days, d, daysKept, nil)
}

// newest adds v to an ascending list without doubles that keeps the largest;
// dropped is told what goes.
func newest[T cmp.Ordered](list []T, v T, limit int, dropped func([]T)) []T {
	if n := len(list); n > 0 && list[n-1] == v {
		return list
	}
	i, found := slices.BinarySearch(list, v)
	if found {
		return list
	}
	list = slices.Insert(list, i, v)
	if len(list) > limit+limit/8 { // not for each
		if dropped != nil {
			dropped(list)
		}
		list = append(list[:0], list[len(list)-limit:]...)
	}
	return list
}

// at returns the use at a service, nil where there is no room. The first names in
// order stay.
func (h *held) at(service string) *use {
	i, found := 0, false
	for ; i < len(h.uses); i++ {
		if s := h.uses[i].service; s >= service {
			found = s == service
			break
		}
	}
	if found {
		return h.uses[i]
	}
	if i == usesKept {
		return nil
	}
	u := &use{service: service}
	h.uses = slices.Insert(h.uses, i, u)
	h.uses = h.uses[:min(len(h.uses), usesKept)]
	return u
}

func (u *use) addServer(a netip.AddrPort) {
	if !a.IsValid() {
		return
	}
	if n := len(u.servers); n > 0 && (u.servers[0] == a || u.servers[n-1] == a) {
		return
	}
	i, found := slices.BinarySearchFunc(u.servers, a, netip.AddrPort.Compare)
	if found || i == serversKept {
		return
	}
	u.servers = slices.Insert(u.servers, i, a)
	u.servers = u.servers[:min(len(u.servers), serversKept)]
}

// called adds an exchange to its caller. Those with the smallest ids stay.
func (u *use) called(id uint64, at sighting) {
	p := u.peer(id)
	if p == nil {
		return
	}
	p.n++
	p.span.Add(at.at.Nano)
	p.last = later(p.last, at)
}

func (u *use) peer(id uint64) *peer {
	i := 0
	for ; i < len(u.peers); i++ {
		if u.peers[i].id >= id {
			break
		}
	}
	switch {
	case i < len(u.peers) && u.peers[i].id == id:
		return &u.peers[i]
	case i == peersKept:
		return nil
	}
	u.peers = slices.Insert(u.peers, i, peer{id: id})
	u.peers = u.peers[:min(len(u.peers), peersKept)]
	return &u.peers[i]
}

// seen notes a minute, a network and a user agent, in this order of weight.
func (u *use) seen(place uint64) {
	n := len(u.places)
	if n > 0 && u.places[n-1] == place || n > 1 && u.places[n-2] == place {
		return
	}
	u.places = newest(u.places, place, placesKept, func(all []uint64) { u.most = u.most.worse(together(all)) })
}

// togetherness is from how many networks and with how many user agents a
// credential was used within ten minutes.
type togetherness struct{ networks, agents int }

func (t togetherness) worse(o togetherness) togetherness {
	if t.shared() != o.shared() {
		if o.shared() {
			return o
		}
		return t
	}
	if cmp.Or(cmp.Compare(o.networks, t.networks), cmp.Compare(o.agents, t.agents)) > 0 {
		return o
	}
	return t
}

func (t togetherness) shared() bool { return t.networks >= 3 && t.agents >= 2 }

// together finds the worst ten minutes.
func together(places []uint64) (most togetherness) {
	const part = 1<<18 - 1
	var networks, agents []uint32
	count := func(list []uint32, v uint32) []uint32 {
		if len(list) < 64 && !slices.Contains(list, v) {
			return append(list, v)
		}
		return list
	}
	for i := range places {
		networks, agents = networks[:0], agents[:0]
		for _, p := range places[i:] {
			if p>>36-places[i]>>36 >= 10 {
				break
			}
			networks, agents = count(networks, uint32(p>>18&part)), count(agents, uint32(p&part))
		}
		most = most.worse(togetherness{len(networks), len(agents)})
	}
	return most
}

func earlier(a, b sighting) sighting {
	if b.at.Compare(a.at) < 0 {
		return b
	}
	return a
}

func later(a, b sighting) sighting {
	if b.at.Compare(a.at) > 0 {
		return b
	}
	return a
}

func comparePlace(a, b analyze.Place) int {
	return cmp.Or(cmp.Compare(a.Side, b.Side), cmp.Compare(a.Where, b.Where), cmp.Compare(a.Name, b.Name))
}

func addrHash(a netip.Addr) uint64 {
	b := a.As16()
	h := uint64(0)
	for i := range 16 {
		h = h<<8 | h>>56 ^ uint64(b[i])
	}
	return tally.Mix(tally.Mix(h) + uint64(b[15]))
}

// network is the /24 or /48 of an address.
func network(a netip.Addr) netip.Addr { return masked(a, 24, 48) }

// provider is a network that mobile clients and pools of egress addresses stay
// in: /16 or /32 of public addresses, the network of private ones. Without a map
// of autonomous systems this is as near as it gets.
func provider(a netip.Addr) netip.Addr {
	if within(a.Unmap()) {
		return network(a)
	}
	return masked(a, 16, 32)
}

func masked(a netip.Addr, v4, v6 int) netip.Addr {
	a = a.Unmap().WithZone("")
	bits := v6
	if a.Is4() {
		bits = v4
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return a
	}
	return p.Addr()
}

func (c *changes) add(n change) {
	i, found := slices.BinarySearchFunc(c.list, n, func(a, b change) int { return a.at.Compare(b.at) })
	if found || i == changesKept {
		return
	}
	c.list = slices.Insert(c.list, i, n)
	c.list = c.list[:min(len(c.list), changesKept)]
}

// Merge adds what o remembers, which is given up.
func (l *Ledger) Merge(o *Ledger) {
	l.newest = max(l.newest, o.newest)
	l.gone += o.gone
	l.held.Merge(&o.held, func() *held { return new(held) }, (*held).merge)
	l.changes.Merge(&o.changes, func() *changes { return new(changes) }, func(into, from *changes) {
		for _, c := range from.list {
			into.add(c)
		}
	})
}

func (h *held) merge(o *held) {
	if h.Secret == nil {
		h.Secret, h.principal = o.Secret, o.principal
	}
	h.span.Merge(o.span)
	h.expires = max(h.expires, o.expires)
	if o.ended != 0 {
		h.end(o.ended)
	}
	for _, d := range o.days {
		h.days = newest(h.days, d, daysKept, nil)
	}
	for _, from := range o.uses {
		if into := h.at(from.service); into != nil {
			into.merge(from)
		}
	}
}

func (u *use) merge(o *use) {
	if u.kind == "" || comparePlace(o.place, u.place) < 0 {
		u.kind, u.place = o.kind, o.place
	}
	u.span.Merge(o.span)
	u.refused += o.refused
	switch {
	case o.accepted == 0:
	case u.accepted == 0:
		u.first, u.last = o.first, o.last
	default:
		u.first, u.last = earlier(u.first, o.first), later(u.last, o.last)
	}
	u.accepted += o.accepted
	if u.kept == 0 || o.kept != 0 && o.kept < u.kept {
		u.kept = o.kept
	}
	u.sensitive, u.person = u.sensitive || o.sensitive, u.person || o.person
	u.networks.Merge(&o.networks)
	u.callers.Merge(&o.callers)
	for i := range o.peers {
		from := &o.peers[i]
		if into := u.peer(from.id); into != nil {
			into.n += from.n
			into.span.Merge(from.span)
			into.last = later(into.last, from.last)
		}
	}
	u.most = u.most.worse(o.most)
	for _, p := range o.places {
		u.seen(p)
	}
	for _, b := range o.taken {
		u.taken = newest(u.taken, b, takenKept, nil)
	}
	for _, a := range o.servers {
		u.addServer(a)
	}
}

// bucket is ten seconds of a server.
func bucket(nano int64, server netip.AddrPort) uint64 {
	return uint64(nano/10e9)<<16 | (addrHash(server.Addr())+uint64(server.Port())*0x9e3779b97f4a7c15)>>48
}

// rejected reports whether a service's server, as far as it is known, did not
// accept the credential for a minute after it refused it.
func (l *Ledger) rejected(credential uint64, service string, at sighting) bool {
	h, ok := l.held.Get(credential)
	if !ok {
		return false
	}
	for _, u := range h.uses {
		if u.service != service {
			continue
		}
		taken, b := tail(u.taken, takenKept), bucket(at.at.Nano, at.server)
		if len(taken) == takenKept && taken[0] > b {
			return false // too long ago
		}
		for i := uint64(1); i <= 6; i++ {
			if _, found := slices.BinarySearch(taken, b+i<<16); found {
				return false
			}
		}
		return true
	}
	return false
}

// told is a finding in the making.
type told struct {
	Tally
	rule    *Rule
	service string
	place   analyze.Place
	verdict verdict
	weight  uint64 // of the detail
}

type toldKey struct {
	rule    *Rule
	service string
	place   analyze.Place
}

// teller collects what rows find in a ledger: one finding for each row, service
// and place.
type teller struct {
	rule *Rule
	told map[toldKey]*told
}

// see adds a credential to the finding of its service. at is the exchange that
// shows it.
func (e *teller) see(h *held, u *use, place analyze.Place, severity analyze.Severity, at sighting) *told {
	k := toldKey{e.rule, u.service, place}
	t := e.told[k]
	if t == nil {
		t = &told{rule: e.rule, service: u.service, place: place, verdict: verdict{level: e.rule.Level, unit: "credential"}}
		e.told[k] = t
	}
	t.severity = max(t.severity, severity)
	t.count++
	t.span.Merge(u.span)
	t.principals.Add(h.principal)
	t.sample(u.first.at, h.Sample)
	t.evidence.Add(at.at, at.evidence)
	return t
}

// say gives the detail; that of the largest weight is told.
func (t *told) say(weight uint64, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if t.verdict.detail == "" || weight > t.weight || weight == t.weight && text < t.verdict.detail {
		t.weight, t.verdict.detail = weight, text
	}
}

// Findings concludes. It appends to list, in no order; see [Sort].
func (l *Ledger) Findings(list []analyze.Finding) []analyze.Finding {
	l.held.Trim()
	keys := l.held.Sorted(cmp.Compare[uint64])
	all := make([]*held, len(keys))
	for i, k := range keys {
		all[i], _ = l.held.Get(k)
	}
	e := teller{told: map[toldKey]*told{}}
	for i := range Rules {
		if r := &Rules[i]; r.over != nil {
			e.rule = r
			r.over(l, all, &e)
		}
	}
	for _, t := range e.told {
		t.verdict.severity = t.severity
		list = append(list, t.finding(t.rule, t.place, &Context{Service: t.service}, &t.verdict))
	}
	return list
}

// each calls f for each use with a success.
func each(all []*held, f func(h *held, u *use)) {
	for _, h := range all {
		for _, u := range h.uses {
			if u.accepted > 0 {
				f(h, u)
			}
		}
	}
}

// user reports whether the credential is a person's, as far as it shows.
func (h *held) user(u *use) bool {
	switch {
	case u.kind == Session:
		return true
	case h.JWT != nil:
		return h.JWT.Subject && !h.JWT.Service
	case u.kind == Bearer:
		return u.person
	}
	return false
}

// key reports whether the credential is a key: something that a program holds for
// long, and that does not say who it is for.
func (h *held) key(u *use) bool { return u.kind == APIKey && h.JWT == nil && !h.Publishable }

// others names up to three of the other services that took the credential.
func (h *held) others(of *use, which func(*use) bool) string {
	var names []string
	for _, u := range h.uses {
		if u != of && u.accepted > 0 && which(u) {
			names = append(names, u.service)
		}
	}
	if n := len(names); n > 3 {
		names = append(names[:3], fmt.Sprintf("%d more", n-3))
	}
	return strings.Join(names, ", ")
}
