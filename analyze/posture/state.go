package posture

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/tally"
)

// State is what the rules remember of one endpoint, or of one service. It
// merges; the zero value is empty.
type State struct {
	findings tally.Table[findingKey, *Tally]
	stats    Stats
	windows  tally.Table[windowKey, *window]
	known    *acquaintance                // nil: with nobody
	volume   *volume                      // of an endpoint; nil: nothing was asked of it
	inputs   tally.Table[uint64, *input]  // of an endpoint
	shown    tally.Table[uint64, *markup] // by an endpoint's pages
	written  tally.Table[uint64, *markup] // by a service's callers
	callers  tally.Distinct               // of a service, with credentials that succeeded on paths that are not marked as tests
}

// Limit is how many findings a [State] keeps.
const Limit = 128

type findingKey struct {
	rule  uint8
	place analyze.Place
}

func rankFinding(k findingKey) uint64 {
	return tally.Mix(tally.Hash(k.place.Name) ^ tally.Hash(string(k.place.Where))<<1 ^ uint64(k.rule)<<8 ^ uint64(k.place.Side))
}

// Stats are the counts that statistical rules judge by.
type Stats struct {
	Authenticated   uint64 // successes with a credential
	Unauthenticated uint64 // successes without any sign of one
	Refused         uint64 // 401 and 403
	PlainSuccess    uint64
	SecureSuccess   uint64
	Browser         uint64 // answers inside TLS to browsers
	HSTS            uint64 // of these, with Strict-Transport-Security
	Clean           uint64 // successes without anything like an attack
	CleanMost       uint64 // the largest answer of these, in bytes
	Forwarded       uint64 // successes that came through a gateway
	Direct          uint64 // successes of public clients at an inner address that did not
	Limited         uint64 // 429
	Broken          uint64 // 5xx
	Mutual          uint64 // handshakes in which the client showed a certificate
	NotMutual       uint64 // in which it was asked for one, had none, and was let in
	Answered        uint64 // exchanges with a status
}

// Add adds the counts of o.
func (s *Stats) Add(o Stats) {
	s.Authenticated += o.Authenticated
	s.Unauthenticated += o.Unauthenticated
	s.Refused += o.Refused
	s.PlainSuccess += o.PlainSuccess
	s.SecureSuccess += o.SecureSuccess
	s.Browser += o.Browser
	s.HSTS += o.HSTS
	s.Clean += o.Clean
	s.CleanMost = max(s.CleanMost, o.CleanMost)
	s.Forwarded += o.Forwarded
	s.Direct += o.Direct
	s.Limited += o.Limited
	s.Broken += o.Broken
	s.Mutual += o.Mutual
	s.NotMutual += o.NotMutual
	s.Answered += o.Answered
}

// Stats returns the counts.
func (s *State) Stats() Stats { return s.stats }

// Tally is what a rule saw at one place: a finding in the making.
type Tally struct {
	count      uint64
	span       tally.Span
	severity   analyze.Severity
	peers      uint8 // bits by Peer
	note       uint16
	most       uint64 // the largest amount the rule met
	principals tally.Distinct
	samples    tally.Samples
	evidence   tally.Firsts[evidence]
	seq        uint64 // of the last observation, so that one exchange counts once
}

type evidence struct {
	client, server netip.AddrPort
	status         int
}

func (t *Tally) merge(o *Tally) {
	t.count += o.count
	t.span.Merge(o.span)
	t.severity = max(t.severity, o.severity)
	t.peers |= o.peers
	t.note |= o.note
	t.most = max(t.most, o.most)
	t.principals.Merge(&o.principals)
	t.samples.Merge(&o.samples)
	t.evidence.Merge(&o.evidence)
	t.seq = 0
}

// mark sets bits that mean something to the rule.
func (t *Tally) mark(bits uint16) {
	if t != nil {
		t.note |= bits
	}
}

// sample offers a masked value.
func (t *Tally) sample(at tally.Moment, s analyze.Sample) {
	if t != nil && s.Fingerprint != "" {
		t.samples.Add(at, s)
	}
}

// Merge adds what o remembers.
func (s *State) Merge(o *State) {
	s.stats.Add(o.stats)
	s.callers.Merge(&o.callers)
	if o.inputs.Len() > 0 || o.inputs.Full() {
		if s.inputs.Len() == 0 && !s.inputs.Full() {
			s.inputs = tally.NewTable[uint64, *input](maxInputs, tally.Mix)
		}
		s.inputs.Merge(&o.inputs, newInput, (*input).merge)
	}
	for _, t := range [...]struct{ into, from *tally.Table[uint64, *markup] }{{&s.shown, &o.shown}, {&s.written, &o.written}} {
		if t.from.Len() > 0 || t.from.Full() {
			if t.into.Len() == 0 && !t.into.Full() {
				*t.into = tally.NewTable[uint64, *markup](maxMarkup, tally.Mix)
			}
			t.into.Merge(t.from, newMarkup, (*markup).merge)
		}
	}
	if o.known != nil {
		s.knows().merge(o.known)
	}
	if o.volume != nil {
		if s.volume == nil {
			s.volume = new(volume)
		}
		s.volume.merge(o.volume)
	}
	if o.windows.Len() > 0 || o.windows.Full() {
		if s.windows.Len() == 0 && !s.windows.Full() {
			s.windows = tally.NewTable[windowKey, *window](windowLimit, rankWindow)
		}
		s.windows.Merge(&o.windows, newWindow, (*window).merge)
	}
	if o.findings.Len() > 0 || o.findings.Full() {
		s.table().Merge(&o.findings, newTally, func(into, from *Tally) { into.merge(from) })
	}
}

func newTally() *Tally { return new(Tally) }

func (s *State) table() *tally.Table[findingKey, *Tally] {
	if s.findings.Len() == 0 && !s.findings.Full() {
		s.findings = tally.NewTable[findingKey, *Tally](Limit, rankFinding)
	}
	return &s.findings
}

// Renamed returns the state with other places: what became the same place is
// added up.
func (s *State) Renamed(to func(analyze.Place) analyze.Place) *State {
	n := &State{stats: s.stats, windows: s.windows, known: s.known, volume: s.volume, inputs: s.inputs, shown: s.shown, written: s.written}
	if s.findings.Len() > 0 || s.findings.Full() {
		t := n.table()
		s.findings.All(func(k findingKey, from *Tally) {
			k.place = to(k.place)
			if into, ok := t.At(k, newTally); ok {
				into.merge(from)
			}
		})
	}
	return n
}

// Len is the measure of its memory, in findings and what takes as much.
func (s *State) Len() int {
	n := s.findings.Len() + s.windows.Len()/4 + s.inputs.Len() + s.shown.Len() + s.written.Len()
	if s.known != nil {
		n += s.known.weight()
	}
	if s.volume != nil {
		n += s.volume.weight()
	}
	return n
}

// Full reports whether some findings were not kept.
func (s *State) Full() bool { return s.findings.Full() }

// emitter is what a rule tells what it saw.
type emitter struct {
	at             tally.Moment
	client, server netip.AddrPort
	status         int
	peer           Peer
	principal      uint64
	seq            uint64
	rule           uint8
	state          *State // of the rule's scope
	frozen         bool
	message        bool // what is in a body was in a message
}

// see adds the exchange to the finding at a place. It returns nil where there
// is no room for it.
func (e *emitter) see(place analyze.Place, severity analyze.Severity) *Tally {
	fresh := newTally
	if e.frozen {
		fresh = nil
	}
	if e.message && place.Where == analyze.InBody {
		place.Where = analyze.InMessage
	}
	t, ok := e.state.table().At(findingKey{e.rule, place}, fresh)
	if !ok {
		return nil
	}
	t.severity = max(t.severity, severity)
	if t.seq == e.seq {
		return t
	}
	t.seq = e.seq
	t.count++
	t.span.Add(e.at.Nano)
	t.peers |= 1 << e.peer
	t.principals.Add(e.principal)
	if !t.evidence.Settled(e.at) {
		t.evidence.Add(e.at, evidence{e.client, e.server, e.status})
	}
	return t
}

// Observe asks every rule about an exchange. endpoint and service are what is
// remembered of where it went; endpoint is nil where it has none.
func Observe(o *Observation, endpoint, service *State) {
	if endpoint != nil {
		count(o, &endpoint.stats)
	}
	count(o, &service.stats)
	o.watch(endpoint, service)
	o.meet(endpoint, service)
	o.ask(endpoint, service)
}

// ObserveAgain asks the rules of endpoints about an exchange that may have none,
// so that what it shows is not lost with it. See [State.Strays].
func ObserveAgain(o *Observation, stray *State) { o.ask(stray, nil) }

// ObserveMessage asks the rules about a message of a WebSocket, which is no
// exchange: it counts as none.
func ObserveMessage(o *Observation, endpoint, service *State) { o.ask(endpoint, service) }

// ask runs the rules whose scope has a state.
func (o *Observation) ask(endpoint, service *State) {
	e := &o.r.e
	*e = emitter{at: o.At, client: o.Client, server: o.Server, status: o.Status, peer: o.Peer, principal: o.principalHash, seq: o.seq, frozen: o.Frozen, message: o.Message}
	for _, i := range exchangeRules {
		r := &Rules[i]
		if o.facts&r.need != r.need {
			continue
		}
		if e.state = endpoint; r.scope == ofService {
			e.state = service
		}
		if e.state == nil {
			continue
		}
		e.rule = uint8(i)
		r.exchange(o, e)
	}
}

var mozilla = []byte("Mozilla/") // how browsers begin

func count(o *Observation, s *Stats) {
	if o.Status > 0 {
		s.Answered++
	}
	switch {
	case o.Status >= 500:
		s.Broken++
	case o.Success && len(o.attacks) == 0:
		s.Clean++
		s.CleanMost = max(s.CleanMost, uint64(len(o.ResponseBody)))
	}
	switch {
	case o.Status == 429:
		s.Limited++
		return
	case o.Status == 401 || o.Status == 403:
		s.Refused++
	case !o.Success:
		return
	case len(o.Credentials) > 0:
		s.Authenticated++
	case o.facts&unauthenticated != 0:
		s.Unauthenticated++
	}
	if o.Success {
		switch {
		case o.forwarded:
			s.Forwarded++
		case o.bypasses():
			s.Direct++
		}
		switch o.Wire {
		case analyze.Plaintext:
			s.PlainSuccess++
		case analyze.TLS:
			s.SecureSuccess++
		}
	}
	if o.Wire == analyze.TLS && o.Success && bytes.HasPrefix(o.userAgent, mozilla) && o.r.scanner(o.userAgent) == "" {
		s.Browser++
		if o.hsts {
			s.HSTS++
		}
	}
}

// Context is what a judgement at the end may know beyond its own state.
type Context struct {
	Service  string
	Method   string // "" for a service
	Template string
	// Operation is that of the endpoint, where its path does not say it all.
	Operation string
	Stats     Stats     // of the endpoint, or of the service
	Around    Stats     // of the service
	First     time.Time // of the endpoint, or of the service
	Last      time.Time
	Latency   *tally.Latency // of the endpoint; nil: not known
	Home      *State         // of the service; nil: not known
	Ledger    *Ledger        // of all credentials; nil: not known

	windows *tally.Table[windowKey, *window]
}

// Endpoint is how a finding names the endpoint.
func (c *Context) Endpoint() string {
	if c.Method == "" {
		return ""
	}
	return analyze.EndpointName(c.Method, c.Template, c.Operation)
}

// Findings concludes. It appends to list, in no order; see [Sort].
func (s *State) Findings(c Context, list []analyze.Finding) []analyze.Finding {
	c.Stats, c.windows = s.stats, &s.windows
	s.windows.Trim()
	s.findings.Trim()
	s.findings.All(func(k findingKey, t *Tally) {
		r := &Rules[k.rule]
		if t.count < r.least {
			return
		}
		v := verdict{severity: t.severity, level: r.Level}
		if r.judge != nil && !r.judge(t, &c, &v) {
			return
		}
		list = append(list, t.finding(r, k.place, &c, &v))
	})
	for i := range Rules {
		r := &Rules[i]
		if (r.scope == ofService) != (c.Method == "") {
			continue
		}
		if r.conclude != nil {
			r.conclude(s, &c, func(p analyze.Place, t *Tally, v verdict) {
				if _, shown := s.findings.Get(findingKey{uint8(i), p}); !shown { // an exchange shows it already
					list = append(list, t.finding(r, p, &c, &v))
				}
			})
		}
		if r.absence != nil {
			v := verdict{severity: r.Severity, level: r.Level}
			if n := r.absence(&c, &v); n > 0 {
				list = append(list, (&Tally{count: n}).finding(r, analyze.Place{}, &c, &v))
			}
		}
	}
	return list
}

// Strays concludes on exchanges that may belong to no endpoint. It leaves out
// what the endpoints of the service have shown at the same place: those are the
// findings in known.
func (s *State) Strays(c Context, known []analyze.Finding, list []analyze.Finding) []analyze.Finding {
	c.Method, c.Template, c.Operation = "", "", ""
	at := len(list)
	list = s.Findings(c, list)
	return slices.DeleteFunc(list, func(f analyze.Finding) bool {
		if at > 0 {
			at--
			return false
		}
		return slices.ContainsFunc(known, func(k analyze.Finding) bool { return k.Rule == f.Rule && k.Place == f.Place })
	})
}

// verdict is what a judgement decides.
type verdict struct {
	severity analyze.Severity
	level    analyze.Level
	detail   string // added to the summary
	unit     string // of what is counted; "": exchanges or handshakes
}

func (t *Tally) finding(r *Rule, p analyze.Place, c *Context, v *verdict) analyze.Finding {
	f := analyze.Finding{
		Rule: r.ID, Title: r.Title, Practice: r.Practice, Severity: v.severity, Level: v.level,
		Service: c.Service, Endpoint: c.Endpoint(), Place: placeText(p),
		Why: r.Why, Fix: r.Fix, OWASP: r.OWASP, CWE: r.CWE,
		Count: t.count, Principals: t.principals.Count(), Samples: t.samples.List(), Evidence: []analyze.Evidence{},
	}
	if f.First, f.Last = t.span.Times(); f.First.IsZero() {
		f.First, f.Last = c.First, c.Last
	}
	for i, e := range t.evidence.List() {
		m := t.evidence.Moment(i)
		f.Evidence = append(f.Evidence, analyze.Evidence{Frame: m.Frame, Time: m.Time(), Client: endText(e.client), Server: endText(e.server), Status: e.status})
	}
	f.Key = analyze.FindingKey(f.Rule, f.Service, f.Endpoint, f.Place)
	f.Summary = summary(r, t, p, &f, v)
	return f
}

func placeText(p analyze.Place) string {
	if p.Where == "" {
		return p.Name
	}
	return p.String()
}

func endText(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String()
}

func summary(r *Rule, t *Tally, p analyze.Place, f *analyze.Finding, v *verdict) string {
	var b strings.Builder
	b.WriteString(r.say)
	switch {
	case p.Where != "":
		fmt.Fprintf(&b, ", in %s", f.Place)
	case f.Place != "":
		fmt.Fprintf(&b, " (%s)", f.Place)
	}
	unit := "exchange"
	if r.handshake != nil {
		unit = "handshake"
	}
	unit = cmp.Or(v.unit, unit)
	fmt.Fprintf(&b, ": %s", plural(t.count, unit))
	if n := f.Principals; n > 0 {
		fmt.Fprintf(&b, " from %s", plural(n, "caller"))
	}
	if v.detail != "" {
		b.WriteString("; " + v.detail)
	}
	if r.near {
		switch {
		case t.peers == 1<<Loopback:
			b.WriteString("; only within one machine (loopback), where others on the network cannot read it")
		case t.peers&^(1<<Loopback|1<<SameNode) == 0 && t.peers != 0:
			b.WriteString("; only between addresses of one machine")
		case t.peers&(1<<Public) != 0:
			b.WriteString("; public addresses took part")
		}
	}
	b.WriteString(".")
	return b.String()
}

func plural(n uint64, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// Sort orders findings for people: the worst first, then by rule and place. The
// order is total.
func Sort(list []analyze.Finding) {
	slices.SortFunc(list, func(a, b analyze.Finding) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Service, b.Service),
			cmp.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.Place, b.Place))
	})
}
