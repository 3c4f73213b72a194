package posture

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/tally"
)

// volume is how much was asked of an endpoint: by whom, when, how large the
// answers were, how slow, and from which replica. It merges.
type volume struct {
	bursts   map[turn]burst // of ten seconds
	loads    map[turn]load  // of ten minutes
	small    uint64         // loads given up for want of room, smaller than those kept
	sizes    tally.Histogram
	largest  extremes
	slowest  extremes
	labours  tally.Histogram // milliseconds of answers to requests that ask for work
	toilsome extremes
	replicas []replica
}

// turn is a span of the traffic's clock in which somebody called.
type turn struct {
	who  uint64
	slot int64
}

const (
	burstSpan  = 10 // seconds
	loadSpan   = 10 * minute
	turnsKept  = 512 // of each kind, of one endpoint
	extremeMax = 16
	replicaMax = 16
)

// burst counts the calls of each second.
type burst struct {
	seconds [burstSpan]uint16
	refused uint16
	public  bool
}

func (b *burst) sum() (n uint64) {
	for _, s := range b.seconds {
		n += uint64(s)
	}
	return n
}

// load counts calls and failures of the server.
type load struct{ calls, broken uint32 }

// extreme is an exchange that stands out.
type extreme struct {
	amount    uint64
	principal uint64
	at        tally.Moment
	people    bool // it lists people
	evidence  evidence
}

// extremes keep those with the largest amounts, the largest first.
type extremes []extreme

func (l *extremes) add(x extreme) {
	if len(*l) == extremeMax && x.amount < (*l)[extremeMax-1].amount {
		return
	}
	i, _ := slices.BinarySearchFunc(*l, x, func(a, b extreme) int {
		return cmp.Or(cmp.Compare(b.amount, a.amount), a.at.Compare(b.at), cmp.Compare(a.principal, b.principal))
	})
	if len(*l) == extremeMax {
		if i == extremeMax {
			return
		}
		*l = (*l)[:extremeMax-1]
	}
	*l = slices.Insert(*l, i, x)
}

// tally makes a finding of extremes.
func (l extremes) tally() *Tally {
	t := &Tally{count: uint64(len(l))}
	for _, x := range l {
		t.span.Add(x.at.Nano)
		t.principals.Add(x.principal)
		t.evidence.Add(x.at, x.evidence)
	}
	return t
}

// replica is one of the servers behind an endpoint.
type replica struct {
	at            netip.AddrPort
	wire          analyze.Wire
	good          uint32 // successes
	open, refused uint32 // of requests without any sign of a credential
	guards        [4]uint32
}

// guards are headers that protect browsers; a server sends each always or never.
var guards = [4]string{"strict-transport-security", "x-content-type-options", "content-security-policy", "x-frame-options"}

func (v *volume) replica(at netip.AddrPort, wire analyze.Wire) *replica {
	for i := range v.replicas {
		if r := &v.replicas[i]; r.at == at && r.wire == wire {
			return r
		}
	}
	if len(v.replicas) == replicaMax {
		return nil
	}
	v.replicas = append(v.replicas, replica{at: at, wire: wire})
	return &v.replicas[len(v.replicas)-1]
}

func (v *volume) merge(o *volume) {
	for k, b := range o.bursts {
		v.burst(k, b)
	}
	for k, l := range o.loads {
		v.load(k, l)
	}
	v.small += o.small
	v.sizes.Merge(&o.sizes)
	v.labours.Merge(&o.labours)
	for _, x := range o.largest {
		v.largest.add(x)
	}
	for _, x := range o.slowest {
		v.slowest.add(x)
	}
	for _, x := range o.toilsome {
		v.toilsome.add(x)
	}
	for _, r := range o.replicas {
		into := v.replica(r.at, r.wire)
		if into == nil {
			continue
		}
		into.good += r.good
		into.open += r.open
		into.refused += r.refused
		for i := range r.guards {
			into.guards[i] += r.guards[i]
		}
	}
}

// weight is the memory it takes, in the pieces of [State.Len].
func (v *volume) weight() int { return 1 + (len(v.bursts)+len(v.loads))/8 }

func (v *volume) burst(k turn, b burst) {
	old, known := v.bursts[k]
	for i := range b.seconds {
		b.seconds[i] = uint16(min(uint32(b.seconds[i])+uint32(old.seconds[i]), math.MaxUint16))
	}
	b.refused = uint16(min(uint32(b.refused)+uint32(old.refused), math.MaxUint16))
	b.public = b.public || old.public
	if !known && len(v.bursts) >= turnsKept {
		thin(v.bursts, func(b burst) uint64 { return b.sum() })
	}
	if v.bursts == nil {
		v.bursts = map[turn]burst{}
	}
	v.bursts[k] = b
}

func (v *volume) load(k turn, l load) {
	old, known := v.loads[k]
	l.calls, l.broken = l.calls+old.calls, l.broken+old.broken
	if !known && len(v.loads) >= turnsKept {
		v.small += uint64(thin(v.loads, func(l load) uint64 { return uint64(l.calls) }))
	}
	if v.loads == nil {
		v.loads = map[turn]load{}
	}
	v.loads[k] = l
}

// thin gives up the smaller half, of equals the older.
func thin[V any](m map[turn]V, amount func(V) uint64) int {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b turn) int {
		return cmp.Or(cmp.Compare(amount(m[a]), amount(m[b])), cmp.Compare(a.slot, b.slot), cmp.Compare(a.who, b.who))
	})
	keys = keys[:len(keys)/2]
	for _, k := range keys {
		delete(m, k)
	}
	return len(keys)
}

// measure adds the exchange to the volume of its endpoint.
func (o *Observation) measure(s *State) {
	if s.volume == nil {
		s.volume = new(volume)
	}
	v := s.volume
	x := extreme{principal: o.principalHash, at: o.At, evidence: evidence{o.Client, o.Server, o.Status}}
	if o.Success && !streams(o.contentType) && o.Status != 206 {
		x.amount = uint64(max(o.ResponseSize, int64(len(o.ResponseBody))))
		v.sizes.Add(x.amount)
		if len(v.largest) < extremeMax || x.amount > v.largest[extremeMax-1].amount {
			x.people = o.people()
			v.largest.add(x)
		}
	}
	if x.people = false; o.Latency > 0 {
		x.amount = uint64(o.Latency / time.Millisecond)
		v.slowest.add(x)
		if o.work {
			v.labours.Add(x.amount)
			v.toilsome.add(x)
		}
	}
	if r := v.replica(o.Server, o.Wire); r != nil {
		open := o.facts&unauthenticated != 0 && !o.public
		switch {
		case o.Success:
			r.good++
			if open {
				r.open++
			}
			for i := range guards {
				if o.guards>>i&1 != 0 {
					r.guards[i]++
				}
			}
		case (o.Status == 401 || o.Status == 403) && open:
			r.refused++
		}
	}
	// Behind a balancer callers that say nothing of themselves are all one, and
	// machines inside may call as often as they like.
	if o.Peer != Public && o.Peer != Loopback && (o.Weak || o.machine()) {
		return
	}
	second := o.At.Nano / int64(time.Second)
	b := burst{public: o.Peer != Loopback}
	if o.Status == 429 || o.Status == 503 {
		b.refused = 1
	} else {
		b.seconds[second%burstSpan] = 1
	}
	v.burst(turn{o.principalHash, second / burstSpan}, b)
	l := load{calls: 1}
	if o.Status >= 500 {
		l.broken = 1
	}
	v.load(turn{o.principalHash, o.At.Nano / loadSpan}, l)
}

// machine reports whether the caller is a program by its credential.
func (o *Observation) machine() bool {
	for i := range o.Credentials {
		if c := &o.Credentials[i]; c.Kind == Mutual || c.Kind == APIKey || c.JWT != nil && c.JWT.Service {
			return true
		}
	}
	return false
}

// people reports whether the answer lists people.
func (o *Observation) people() bool {
	for i := range o.Hits {
		if h := &o.Hits[i]; h.at(analyze.Response, analyze.InBody) && isPersonal(h) && weighs(h) && h.Values >= 5 {
			return true
		}
	}
	return false
}

// streams tells answers that are as long as they are.
func streams(contentType []byte) bool {
	return isStatic(contentType) || bytes.HasPrefix(contentType, []byte("application/octet-stream")) || bytes.HasPrefix(contentType, []byte("application/zip")) ||
		bytes.HasPrefix(contentType, []byte("application/pdf")) || bytes.Contains(contentType, []byte("stream")) || bytes.HasPrefix(contentType, []byte("application/gzip"))
}

// laborious tells values that make a search expensive: wildcards on both sides or
// in a row, a quantifier on a quantified group, or a very long pattern.
func laborious(text []byte) bool {
	if len(text) < 3 {
		return false
	}
	if n := bytes.Count(text, []byte("*")); n > 0 {
		if n >= 2 && bytes.IndexByte(text, ' ') < 0 || bytes.Contains(text, []byte("+)*")) || bytes.Contains(text, []byte("*)*")) || bytes.Contains(text, []byte("*)+")) {
			return true
		}
	}
	return text[0] == '%' && text[len(text)-1] == '%' || bytes.Contains(text, []byte("+)+")) || len(text) >= 1000
}

// rush is a run of one caller that nothing slowed down.
type rush struct {
	who    uint64
	calls  uint64
	first  int64 // second
	public bool
}

// rushes finds, of each caller, the span of that many seconds in which it called
// most, nearly each second and never refused.
func (v *volume) rushes(seconds int) (list []rush) {
	slots := map[uint64][]int64{}
	for k := range v.bursts {
		slots[k.who] = append(slots[k.who], k.slot)
	}
	for who, of := range slots {
		slices.Sort(of)
		best := rush{who: who}
		var at []int64 // seconds of the run at hand, and calls in them
		var calls []uint64
		run := func() {
			sum, active := uint64(0), 0
			for i, j := 0, 0; j < len(at); j++ {
				sum += calls[j]
				active++
				for at[j]-at[i] >= int64(seconds) {
					sum -= calls[i]
					active--
					i++
				}
				if sum > best.calls && active*10 >= seconds*9 {
					best.calls, best.first = sum, at[i]
				}
			}
			at, calls = at[:0], calls[:0]
		}
		for _, s := range of {
			b := v.bursts[turn{who, s}]
			best.public = best.public || b.public
			if b.refused > 0 {
				run()
				continue
			}
			for i, n := range b.seconds {
				if n > 0 {
					at, calls = append(at, s*burstSpan+int64(i)), append(calls, uint64(n))
				}
			}
		}
		run()
		if best.calls > 0 {
			list = append(list, best)
		}
	}
	slices.SortFunc(list, func(a, b rush) int { return cmp.Or(cmp.Compare(b.calls, a.calls), cmp.Compare(a.who, b.who)) })
	return list
}

// quantile of a descending list without its first: what the others do.
func others(list []rush, q float64) uint64 {
	if len(list) < 4 {
		return 0
	}
	rest := list[1:]
	return rest[int(float64(len(rest))*(1-q))].calls
}

const signInSpan = 30 // seconds

var volumeRules = []Rule{
	{
		Rule: analyze.Rule{ID: "rate.no-limit", Title: "No limit of rate was seen", Practice: analyze.Management, Severity: analyze.Medium, Level: analyze.NotSeen,
			Trigger: "one caller keeps up, for ten seconds, twenty calls a second and ten times what 99 of 100 other callers do, and none is refused; at login and reset endpoints one a second for half a minute (high)",
			Quiet:   "services inside and callers inside that say nothing of themselves are left out; info on loopback; a 429 or 503 in between is a limit",
			Why:     "Whoever wants to can guess, copy or exhaust as fast as the network allows.",
			Fix:     "Limit calls by principal and by address, and answer 429 with Retry-After.",
			OWASP:   []string{"API4:2023"}, CWE: []string{"CWE-770", "CWE-799"}},
		say: "A caller went on at a high rate and was never refused",
		conclude: func(s *State, c *Context, report func(analyze.Place, *Tally, verdict)) {
			if s.volume == nil || len(s.volume.bursts) == 0 {
				return
			}
			v := verdict{severity: analyze.Medium, level: analyze.NotSeen}
			path := []byte(c.Template)
			seconds, need := burstSpan, uint64(20*burstSpan)
			list := s.volume.rushes(burstSpan)
			if hasSegment(path, signInWords) {
				seconds, need = signInSpan, signInSpan
				list = s.volume.rushes(signInSpan)
				v.severity, v.level = analyze.High, analyze.Inferred // it is proved that so many attempts passed
			} else {
				need = max(need, 10*others(list, 0.99))
			}
			t := &Tally{}
			for _, r := range list {
				if r.calls < need {
					break
				}
				if t.count == 0 {
					v.detail = fmt.Sprintf("%.0f a second over %d seconds (%.0f needed), no 429 or 503 among them", float64(r.calls)/float64(seconds), seconds, float64(need)/float64(seconds))
					if !r.public {
						v.severity = analyze.Info
					}
				}
				t.count += r.calls
				t.principals.Add(r.who)
				t.span.Add(r.first * int64(time.Second))
				t.span.Add((r.first + int64(seconds)) * int64(time.Second))
			}
			if t.count > 0 {
				report(analyze.Place{}, t, v)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "rate.anomaly", Title: "A caller far outside the others' band", Practice: analyze.Management, Severity: analyze.Low, Level: analyze.Inferred,
			Trigger: "a hundred calls or more within ten minutes, five times the band that 99.9 % of all callers' ten minutes keep, and five times the caller's own other ones; medium where a third of them failed",
			Quiet:   "needs fifty spans of ten callers to compare with",
			Why:     "Scrapers, broken clients and stolen accounts look like this.",
			Fix:     "Look who it is; limit by principal.",
			OWASP:   []string{"API4:2023", "API6:2023"}, CWE: []string{"CWE-770"}},
		say: "A caller asked far more often than all others",
		conclude: func(s *State, c *Context, report func(analyze.Place, *Tally, verdict)) {
			if s.volume == nil {
				return
			}
			odd, ok := s.volume.anomaly()
			if !ok {
				return
			}
			v := verdict{severity: analyze.Low, level: analyze.Inferred}
			if uint64(odd.broken)*3 >= odd.calls {
				v.severity = analyze.Medium
			}
			v.detail = fmt.Sprintf("%d within ten minutes; the band of %d spans ends at %d (five times that needed)", odd.calls, odd.spans, odd.band)
			t := &Tally{count: odd.calls}
			t.principals.Add(odd.who)
			t.span.Add(odd.slot * loadSpan)
			t.span.Add((odd.slot + 1) * loadSpan)
			report(analyze.Place{}, t, v)
		},
	},
	{
		Rule: analyze.Rule{ID: "avail.errors", Title: "One caller makes the server fail", Practice: analyze.Management, Severity: analyze.Low, Level: analyze.Inferred,
			Trigger: "ten or more 5xx within ten minutes, five times the endpoint's share at other times, four fifths of them to one caller",
			Quiet:   "needs a hundred answers at other times or to others; outages hit everybody",
			Why:     "One client's kind of input breaks the endpoint: others may do it on purpose.",
			Fix:     "Find the input in the server's log and refuse it before it does harm.",
			OWASP:   []string{"API4:2023"}, CWE: []string{"CWE-400"}},
		say: "Failures of the server came with one caller",
		conclude: func(s *State, c *Context, report func(analyze.Place, *Tally, verdict)) {
			if s.volume == nil || c.Stats.Broken < 10 {
				return
			}
			type sums struct{ calls, broken, most, who uint64 }
			slots := map[int64]sums{}
			for k, l := range s.volume.loads {
				n := slots[k.slot]
				n.calls += uint64(l.calls)
				n.broken += uint64(l.broken)
				if b := uint64(l.broken); b > n.most || b == n.most && b > 0 && k.who < n.who {
					n.most, n.who = b, k.who
				}
				slots[k.slot] = n
			}
			all := c.Stats.Answered
			for _, at := range slices.Sorted(maps.Keys(slots)) {
				n := slots[at]
				if n.broken < 10 || n.most*5 < n.broken*4 {
					continue
				}
				// The caller's own calls against everything else.
				own := uint64(s.volume.loads[turn{n.who, at}].calls)
				rest, restBroken := all-min(own, all), c.Stats.Broken-min(n.most, c.Stats.Broken)
				if rest < 100 || n.most*rest < 5*max(restBroken, 1)*own {
					continue
				}
				t := &Tally{count: n.most}
				t.principals.Add(n.who)
				t.span.Add(at * loadSpan)
				t.span.Add((at + 1) * loadSpan)
				report(analyze.Place{}, t, verdict{severity: analyze.Low, level: analyze.Inferred,
					detail: fmt.Sprintf("%d of its %d calls within ten minutes; %d of %d other ones (five times that share needed)", n.most, own, restBroken, rest)})
				return
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "exp.size", Title: "An answer far larger than usual", Practice: analyze.Exposure, Severity: analyze.Low, Level: analyze.Inferred,
			Trigger: "an answer of 64 KiB or more that is ten times as large as 99 of 100 answers of the endpoint; medium where it lists people",
			Quiet:   "needs 200 answers; files, streams and ranges are left out",
			Why:     "Somebody found the parameter that returns everything.",
			Fix:     "Bound what one answer may hold.",
			OWASP:   []string{"API4:2023", "API3:2023"}, CWE: []string{"CWE-770"}},
		say: "An answer was far larger than the endpoint's usual ones",
		conclude: func(s *State, c *Context, report func(analyze.Place, *Tally, verdict)) {
			if s.volume == nil || s.volume.sizes.Count() < 200 {
				return
			}
			usual := s.volume.sizes.Quantile(0.99)
			v := verdict{severity: analyze.Low, level: analyze.Inferred}
			n := 0
			for _, x := range s.volume.largest {
				if float64(x.amount) <= 10*usual || x.amount < 64<<10 {
					break
				}
				if n++; x.people {
					v.severity = analyze.Medium
				}
			}
			if n == 0 {
				return
			}
			v.detail = fmt.Sprintf("%d bytes; 99 of 100 of %d answers have up to about %.0f (ten times that needed)", s.volume.largest[0].amount, s.volume.sizes.Count(), usual)
			report(analyze.Place{Side: analyze.Response, Where: analyze.InBody}, s.volume.largest[:n].tally(), v)
		},
	},
	{
		Rule: analyze.Rule{ID: "res.slow", Title: "Costly input keeps the server busy", Practice: analyze.Management, Severity: analyze.Medium, Level: analyze.Inferred,
			Trigger: "requests with wildcards, nested quantifiers, very long values, very large pages or deep queries, of which most take ten times the endpoint's median, and half a second; three or more of one caller",
			Quiet:   "needs thirty answers of the endpoint; the time is from the end of the request to the start of its answer",
			Why:     "A handful of such requests at once takes the service down.",
			Fix:     "Bound patterns, pages and query cost, use expressions without backtracking, and set time limits.",
			OWASP:   []string{"API4:2023"}, CWE: []string{"CWE-1333", "CWE-400"}},
		say: "Requests that ask for much work were answered very late",
		conclude: func(s *State, c *Context, report func(analyze.Place, *Tally, verdict)) {
			if s.volume == nil || s.volume.labours.Count() < 3 || c.Latency == nil || c.Latency.Count() < 30 {
				return
			}
			median := c.Latency.Quantile(0.5)
			need := max(10*median, 500)
			if s.volume.labours.Quantile(0.5) < need { // not only its tail
				return
			}
			byCaller := map[uint64]int{}
			var slow extremes
			most := 0
			for _, x := range s.volume.toilsome {
				if float64(x.amount) < need {
					break
				}
				slow = append(slow, x)
				byCaller[x.principal]++
				most = max(most, byCaller[x.principal])
			}
			if most < 3 {
				return
			}
			report(analyze.Place{Side: analyze.Request}, slow.tally(), verdict{severity: analyze.Medium, level: analyze.Inferred,
				detail: fmt.Sprintf("up to %d ms; the median of %d answers is %.0f ms (ten times that needed)", slow[0].amount, c.Latency.Count(), median)})
		},
	},
	{
		Rule: analyze.Rule{ID: "gw.inconsistent", Title: "Replicas answer differently", Practice: analyze.Management, Severity: analyze.Medium, Level: analyze.Inferred,
			Trigger: "of two servers behind one endpoint, one refuses requests without credentials and the other answers them, or one always sends a protecting header and the other never",
			Quiet:   "needs fifty such answers of each, at the same port",
			Why:     "One of them runs another version or another configuration, and callers find the weaker one by trying.",
			Fix:     "Deploy replicas from one image and one configuration, and take out those that differ.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-1188"}},
		say: "Servers of one endpoint differ in how they protect it",
		conclude: func(s *State, c *Context, report func(analyze.Place, *Tally, verdict)) {
			if s.volume == nil || len(s.volume.replicas) < 2 {
				return
			}
			list := slices.Clone(s.volume.replicas)
			slices.SortFunc(list, func(a, b replica) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.wire, b.wire)) })
			for i := range list {
				for j := range list {
					a, b := &list[i], &list[j]
					if i == j || a.at.Port() != b.at.Port() || a.wire != b.wire {
						continue
					}
					tell := func(what string, n uint32) {
						report(analyze.Place{Name: what}, &Tally{count: uint64(n)}, verdict{severity: analyze.Medium, level: analyze.Inferred,
							detail: fmt.Sprintf("%s does, %s does not (fifty answers of each needed)", endText(a.at), endText(b.at))})
					}
					if a.refused >= 50 && a.refused >= 20*a.open && b.open >= 50 && b.open >= 20*b.refused {
						tell("refuses requests without credentials", b.open)
					}
					for g, name := range guards {
						if a.good >= 50 && b.good >= 50 && a.guards[g]*20 >= a.good*19 && b.guards[g]*20 <= b.good {
							tell("sends "+name, b.good)
						}
					}
				}
			}
		},
	},
}

var signInWords = words("login", "signin", "sign-in", "sign_in", "log-in", "otp", "2fa", "mfa", "verify-otp", "verify_otp", "reset", "reset-password", "reset_password", "password-reset", "forgot", "forgot-password", "forgot_password", "recover")

// anomaly is a span in which one caller did far more than others.
type anomaly struct {
	turn
	calls  uint64
	broken uint32
	band   uint64
	spans  uint64
}

// anomaly finds the largest span that lies far outside the band of the other
// callers' and of the caller's own.
func (v *volume) anomaly() (anomaly, bool) {
	callers := map[uint64][]turn{}
	for k := range v.loads {
		callers[k.who] = append(callers[k.who], k)
	}
	all := uint64(len(v.loads)) + v.small
	if len(callers) < 10 || all < 50 {
		return anomaly{}, false
	}
	keys := slices.SortedFunc(maps.Keys(v.loads), func(a, b turn) int {
		return cmp.Or(cmp.Compare(v.loads[b].calls, v.loads[a].calls), cmp.Compare(a.slot, b.slot), cmp.Compare(a.who, b.who))
	})
	for _, k := range keys {
		l := v.loads[k]
		if l.calls < 100 {
			break
		}
		// The band: 999 of 1,000 spans of other callers lie below.
		above := (all - uint64(len(callers[k.who]))) / 1000
		band, own := uint64(0), uint64(0)
		for _, o := range keys {
			switch n := uint64(v.loads[o].calls); {
			case o == k:
			case o.who == k.who:
				own = max(own, n)
			case above > 0:
				above--
			default:
				band = max(band, n)
			}
		}
		if uint64(l.calls) > 5*band && uint64(l.calls) > 5*own {
			return anomaly{k, uint64(l.calls), l.broken, band, all}, true
		}
	}
	return anomaly{}, false
}
