package posture

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"plainsight/analyze"
	"plainsight/analyze/tally"
)

// subject is what an endpoint, or a service, remembers of an account, a key or a
// client of OAuth.
type subject struct {
	good, bad         uint64
	firstBad, lastBad sighting
	lastGood          sighting
	sample            analyze.Sample
	note              uint8
	answers           []reply
}

// reply is how failures on an account were answered.
type reply struct {
	form uint64 // status and text, without what changes each time
	n    uint64
}

type subjectKey struct {
	kind subjectKind
	hash uint64 // keyed
}

type subjectKind uint8

const (
	anAccount subjectKind = iota + 1
	aKey
	aClient
)

// What a client of OAuth showed of itself.
const (
	hasSecret   uint8 = 1 << iota // at the token endpoint
	hasNoSecret                   // there
	isNative                      // its redirect is an app's
)

const (
	maxSubjects = 1024 // of an endpoint, of a service
	maxAnswers  = 4    // forms of answers on one account
)

// The account alone decides which stay, so that an endpoint and its service
// remember the same ones.
func rankSubject(k subjectKey) uint64 { return tally.Mix(k.hash ^ uint64(k.kind)) }

func newSubject() *subject { return new(subject) }

func (s *subject) fail(at sighting) {
	if s.bad++; s.bad == 1 {
		s.firstBad, s.lastBad = at, at
	}
	s.firstBad, s.lastBad = earlier(s.firstBad, at), later(s.lastBad, at)
}

func (s *subject) pass(at sighting) {
	s.good++
	s.lastGood = later(s.lastGood, at)
}

func (s *subject) answer(form, n uint64) {
	i, found := slices.BinarySearchFunc(s.answers, form, func(a reply, f uint64) int { return cmp.Compare(a.form, f) })
	switch {
	case found:
		s.answers[i].n += n
	case i < maxAnswers:
		s.answers = slices.Insert(s.answers, i, reply{form, n})
		s.answers = s.answers[:min(len(s.answers), maxAnswers)]
	}
}

func (s *subject) merge(o *subject) {
	switch {
	case o.bad == 0:
	case s.bad == 0:
		s.firstBad, s.lastBad = o.firstBad, o.lastBad
	default:
		s.firstBad, s.lastBad = earlier(s.firstBad, o.firstBad), later(s.lastBad, o.lastBad)
	}
	s.good += o.good
	s.bad += o.bad
	s.lastGood = later(s.lastGood, o.lastGood)
	s.note |= o.note
	if s.sample.Fingerprint == "" {
		s.sample = o.sample
	}
	for _, a := range o.answers {
		s.answer(a.form, a.n)
	}
}

// acquaintance is what a [State] remembers of subjects, and of how credentials
// are made.
type acquaintance struct {
	subjects tally.Table[subjectKey, *subject]
	made     tally.Table[analyze.Place, *alphabet] // of a service: by the place that carries them
}

const maxMade = 16

func newAcquaintance() *acquaintance {
	return &acquaintance{
		subjects: tally.NewTable[subjectKey, *subject](maxSubjects, rankSubject),
		made: tally.NewTable[analyze.Place, *alphabet](maxMade, func(p analyze.Place) uint64 {
			return tally.Mix(tally.Hash(p.Name) ^ tally.Hash(string(p.Where)))
		}),
	}
}

func (a *acquaintance) merge(o *acquaintance) {
	a.subjects.Merge(&o.subjects, newSubject, (*subject).merge)
	a.made.Merge(&o.made, newAlphabet, (*alphabet).merge)
}

func (a *acquaintance) weight() int { return (a.subjects.Len()+1)/2 + 4*a.made.Len() }

func (s *State) knows() *acquaintance {
	if s.known == nil {
		s.known = newAcquaintance()
	}
	return s.known
}

func (s *State) subject(kind subjectKind, hash uint64) *subject {
	v, ok := s.knows().subjects.At(subjectKey{kind, hash}, newSubject)
	if !ok {
		return nil
	}
	return v
}

func (s *State) madeOf(p analyze.Place) *alphabet {
	v, ok := s.knows().made.At(p, newAlphabet)
	if !ok {
		return nil
	}
	return v
}

// meet adds the exchange to what is known of its subjects.
func (o *Observation) meet(endpoint, service *State) {
	if o.Frozen || o.At.Nano == 0 || o.Status == 0 {
		return
	}
	at := sighting{o.At, evidence{o.Client, o.Server, o.Status}}
	if o.account != 0 {
		o.meetAccount(endpoint, service, at)
	}
	for i := range o.Credentials {
		c := &o.Credentials[i]
		if c.Kind != APIKey && c.Kind != Bearer || c.JWT != nil || o.repeats(i) {
			continue
		}
		if c.Kind == APIKey && o.Success && !o.public && !c.Publishable {
			if a := service.madeOf(c.Place); a != nil {
				a.add(c.raw, c.Secret, at)
			}
		}
		if endpoint == nil || !o.Success && !o.deniesKey() {
			continue
		}
		if s := endpoint.subject(aKey, c.Hash); s != nil {
			s.sample = c.Sample
			if o.Success {
				s.pass(at)
			} else {
				s.fail(at)
			}
		}
	}
	for i := range o.SetCookies {
		if c := &o.SetCookies[i]; c.Session && c.JWT == nil {
			if a := service.madeOf(c.Place); a != nil {
				a.add(c.raw, c.Secret, at)
			}
		}
	}
	o.meetClient(service, at)
}

// deniesKey reports whether the answer refuses the key itself, not what was asked
// with it, nor how often.
func (o *Observation) deniesKey() bool {
	switch o.Status {
	case 401:
		return true
	case 403:
		b := bytes.ToLower(prefix(o.ResponseBody, 512))
		return len(o.retryAfter) == 0 && (bytes.Contains(b, []byte("revoked")) || bytes.Contains(b, []byte("invalid api key")) ||
			bytes.Contains(b, []byte("invalid key")) || bytes.Contains(b, []byte("invalid token")) || bytes.Contains(b, []byte("key is disabled")) || bytes.Contains(b, []byte("key disabled")))
	}
	return false
}

func (o *Observation) meetAccount(endpoint, service *State, at sighting) {
	signing := hasSegment(o.Path, loginWords)
	if signing && o.entered() {
		if s := service.subject(anAccount, o.account); s != nil {
			s.pass(at)
		}
		return
	}
	if endpoint == nil {
		return
	}
	switch o.Status { // a limit, a lock or a breakdown says nothing of the account
	case 200, 201, 202, 204, 400, 401, 403, 404, 409, 422:
		if s := endpoint.subject(anAccount, o.account); s != nil {
			s.fail(at)
			s.answer(o.form(), 1)
		}
	}
}

// form is a hash of the status and text of an answer, without the account and
// without words that have digits, which change each time.
func (o *Observation) form() uint64 {
	const maxText = 4096
	account, body := o.r.account, prefix(o.ResponseBody, maxText)
	h := uint64(14695981039346656037) ^ uint64(o.Status)
	for i := 0; i < len(body); {
		if len(account) > 0 && bytes.HasPrefix(body[i:], account) {
			i += len(account)
			continue
		}
		j, digit := i, false
		for j < len(body) && wordly(body[j]) {
			digit = digit || '0' <= body[j] && body[j] <= '9'
			j++
		}
		if j == i {
			j++
		}
		if !digit {
			for _, c := range body[i:j] {
				h = (h ^ uint64(c)) * 1099511628211
			}
		}
		i = j
	}
	return tally.Mix(h)
}

func wordly(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '-' || c == '_'
}

// meetClient looks at requests to the two endpoints of an authorization server
// (RFC 6749 section 3).
func (o *Observation) meetClient(service *State, at sighting) {
	q := &o.oauth
	switch {
	case q.code && q.id != 0:
		s := service.subject(aClient, q.id)
		if s == nil {
			return
		}
		if q.native {
			s.note |= isNative
		}
		if q.challenge {
			s.pass(at)
		} else {
			s.fail(at)
		}
	case q.exchange:
		id, secret := q.id, q.secret
		for i := range o.Credentials {
			if c := &o.Credentials[i]; c.Kind == Basic && c.user != 0 {
				id, secret = cmp.Or(id, c.user), true
			}
		}
		if id == 0 {
			return
		}
		if s := service.subject(aClient, id); s != nil {
			if secret {
				s.note |= hasSecret
			} else {
				s.note |= hasNoSecret
			}
		}
	}
}

// alphabet is how the values of one place are made: which characters they have
// where, never in which order they came.
type alphabet struct {
	seen              [64][2]uint64 // characters at each place, as bits
	shortest, longest int
	values            tally.Distinct
	timed             uint64 // of the values, UUIDs of version 1, which are made of time and machine
	samples           tally.Samples
	first             sighting
	span              tally.Span
}

func newAlphabet() *alphabet { return new(alphabet) }

func (a *alphabet) add(v []byte, s *Secret, at sighting) {
	if len(v) == 0 {
		return
	}
	if a.longest == 0 {
		a.shortest, a.first = len(v), at
	}
	a.shortest, a.longest, a.first = min(a.shortest, len(v)), max(a.longest, len(v)), earlier(a.first, at)
	for i, c := range v[:min(len(v), len(a.seen))] {
		a.seen[i][c>>6&1] |= 1 << (c & 63)
	}
	if timeUUID(v) {
		a.timed++
	}
	a.values.Add(s.Hash)
	a.span.Add(at.at.Nano)
	if !a.samples.Settled(at.at) {
		a.samples.Add(at.at, s.Sample)
	}
}

func (a *alphabet) merge(o *alphabet) {
	if o.longest == 0 {
		return
	}
	if a.longest == 0 {
		a.shortest, a.first = o.shortest, o.first
	}
	a.shortest, a.longest, a.first = min(a.shortest, o.shortest), max(a.longest, o.longest), earlier(a.first, o.first)
	for i := range a.seen {
		a.seen[i][0] |= o.seen[i][0]
		a.seen[i][1] |= o.seen[i][1]
	}
	a.timed += o.timed
	a.values.Merge(&o.values)
	a.span.Merge(o.span)
	a.samples.Merge(&o.samples)
}

// bits bounds the entropy of the values from above: each place counts as if its
// characters were drawn evenly from the smallest usual alphabet that has them. A
// place where all agree counts nothing.
func (a *alphabet) bits() float64 {
	n := a.values.Count()
	var all [2]uint64
	for i := range min(a.shortest, len(a.seen)) {
		if s := a.seen[i]; ones(s) > 1 {
			all[0], all[1] = all[0]|s[0], all[1]|s[1]
		}
	}
	sum := 0.0
	for i := range min(a.shortest, len(a.seen)) {
		k := ones(a.seen[i])
		switch {
		case k <= 1:
		case uint64(k)*6 <= n: // all there are have been seen
			sum += math.Log2(float64(k))
		default:
			sum += math.Log2(class(all))
		}
	}
	return sum + 4*float64(max(0, a.shortest-len(a.seen)))
}

func ones(s [2]uint64) int { return bits.OnesCount64(s[0]) + bits.OnesCount64(s[1]) }

// class is the size of the smallest usual alphabet that has the characters.
func class(s [2]uint64) float64 {
	has := func(from, to byte) bool {
		for c := from; c <= to; c++ {
			if s[c>>6&1]&(1<<(c&63)) != 0 {
				return true
			}
		}
		return false
	}
	digits, low, high := has('0', '9'), has('g', 'z'), has('G', 'Z')
	hexLow, hexHigh := has('a', 'f'), has('A', 'F')
	n := 0.0
	if digits {
		n += 10
	}
	switch {
	case low:
		n += 26
	case hexLow:
		n += 6
	}
	switch {
	case high:
		n += 26
	case hexHigh:
		n += 6
	}
	return max(n, 2)
}

// timeUUID tells a UUID of version 1 (RFC 9562 section 5.1).
func timeUUID(v []byte) bool {
	return len(v) == 36 && v[8] == '-' && v[13] == '-' && v[14] == '1' && v[18] == '-' && v[23] == '-'
}

// tally makes the tally of a finding about how values are made.
func (a *alphabet) tally() *Tally {
	t := &Tally{count: a.values.Count(), span: a.span, samples: a.samples}
	t.evidence.Add(a.first.at, a.first.evidence)
	return t
}

// accountWords are paths where a request names an account, and an answer may tell
// whether there is one.
var accountWords = words(slices.Concat(keysOf(loginWords), keysOf(resetWords), []string{"register", "registration", "signup", "sign-up", "sign_up", "check-email", "check-username", "exists", "lookup"})...)

func keysOf(m map[string]bool) (list []string) {
	for k := range m {
		list = append(list, k)
	}
	return list
}

// loginRules are rows over accounts, keys and clients, and over how sessions and
// keys are made.
var loginRules = []Rule{
	{
		Rule: analyze.Rule{ID: "key.revoked-works", Title: "Refused key accepted again", Practice: analyze.Keys, Severity: analyze.High, Level: analyze.Inferred,
			Trigger: "a key that an endpoint refused (401, or 403 that names the key), twice or at one server, and accepted 60 seconds later or more, by another server if it refused once",
			Quiet:   "a 403 must say that the key is revoked or invalid: permissions and rate limits are told apart; other endpoints' refusals do not count; the server that refused it must not take it anywhere within the minute after",
			Why:     "Not every replica heard that the key was withdrawn: whoever holds it tries again.",
			Fix:     "Check keys at one place, or spread revocations within seconds and test that.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-613"}},
		say: "A key was accepted after the endpoint had refused it",
		conclude: func(s *State, c *Context, report func(analyze.Place, *Tally, verdict)) {
			if s.known == nil {
				return
			}
			var t Tally
			longest := int64(0)
			s.known.subjects.All(func(k subjectKey, v *subject) {
				if k.kind != aKey || v.bad == 0 || v.good == 0 {
					return
				}
				bad, ok := c.withdrawn(k.hash, v)
				if !ok {
					return
				}
				gap := v.lastGood.at.Nano - bad.at.Nano
				if gap < grace {
					return
				}
				t.count++
				longest = max(longest, gap)
				t.principals.Add(k.hash)
				t.span.Add(bad.at.Nano)
				t.span.Add(v.lastGood.at.Nano)
				t.sample(bad.at, v.sample)
				t.evidence.Add(bad.at, bad.evidence)
				t.evidence.Add(v.lastGood.at, v.lastGood.evidence)
			})
			if t.count > 0 {
				report(analyze.Place{}, &t, verdict{severity: analyze.High, level: analyze.Inferred, unit: "credential", detail: "accepted up to " + age(longest) + " after a refusal (1m0s needed)"})
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "login.enumeration", Title: "Answers tell which accounts exist", Practice: analyze.Authentication, Severity: analyze.Medium, Level: analyze.Inferred,
			Trigger: "ten or more refusals of accounts that got in elsewhere, all answered alike, and ten or more of others in a way that those never got",
			Quiet:   "compared without the account's name and without what changes each time; limits, locks and breakdowns do not count",
			Why:     "Whoever tries out names learns which are worth guessing passwords for.",
			Fix:     "Give one answer, in status, text and time, whether there is such an account or not.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-204"}},
		say:      "Accounts that exist are answered in another way than those that do not",
		conclude: enumerated,
	},
	{
		Rule: analyze.Rule{ID: "login.plain-otp", Title: "Short codes may be tried without limit", Practice: analyze.Authentication, Severity: analyze.Medium, Level: analyze.NotSeen,
			Trigger: "ten or more failures within ten minutes of one account or caller with codes of at most six digits, and no limit (429, 423)",
			Quiet:   "the field must be named like a code and hold four to six digits; fewer tries show nothing of the limit",
			Why:     "Six digits are guessed in hours, four in seconds.",
			Fix:     "End the code after five tries, and slow down by account and by caller.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-640"}},
		say: "Codes were tried again and again without being slowed down",
		absence: func(c *Context, v *verdict) (most uint64) {
			c.windows.All(func(k windowKey, w *window) {
				if k.kind == codesOfSubject && w.failed >= 10 && w.limited == 0 {
					most = max(most, w.failed)
				}
			})
			v.detail = fmt.Sprintf("up to %d failures within ten minutes (ten needed)", most)
			return most
		},
	},
	{
		Rule: analyze.Rule{ID: "sess.low-entropy", Title: "Session ids that can be guessed", Practice: analyze.Authentication, Severity: analyze.High, Level: analyze.Inferred,
			Trigger: "fifty or more session ids of one cookie that vary in fewer than 64 bits: short, counted up, made of the time, or with a long common beginning",
			Quiet:   "an upper bound: each place that varies counts as evenly drawn from the smallest usual alphabet; JWTs are left out",
			Why:     "Other people's sessions can be found by trying.",
			Fix:     "Draw ids of 128 bits from the system's random source.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-331", "CWE-340"}},
		say: "Session ids vary too little", scope: ofService,
		conclude: func(s *State, c *Context, report func(analyze.Place, *Tally, verdict)) {
			s.eachMade(func(p analyze.Place, a *alphabet) {
				if n := a.bits(); p.Where == analyze.InSetCookie && a.values.Count() >= 50 && n < 64 {
					report(p, a.tally(), verdict{severity: analyze.High, level: analyze.Inferred, unit: "session", detail: fmt.Sprintf("at most %.0f bits vary (64 needed), in %d to %d characters", n, a.shortest, a.longest)})
				}
			})
		},
	},
	{
		Rule: analyze.Rule{ID: "oauth.no-pkce", Title: "OAuth code flow without PKCE", Practice: analyze.Authentication, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "authorization requests for a code without code_challenge by a client that has no secret: it fetches tokens without one, or its redirect is an app's; low where that was not seen",
			Quiet:   "silent for clients that showed a secret or an assertion at the token endpoint",
			Why:     "An app that catches the redirect, or a log that has it, turns the code into tokens (RFC 7636, RFC 9700 section 2.1.1).",
			Fix:     "Send a code_challenge with S256, and let the server insist on it.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-352"}},
		say: "A client asked for codes without PKCE", scope: ofService,
		conclude: func(s *State, c *Context, report func(analyze.Place, *Tally, verdict)) {
			if s.known == nil {
				return
			}
			s.known.subjects.All(func(k subjectKey, v *subject) {
				if k.kind != aClient || v.bad == 0 || v.note&hasSecret != 0 {
					return
				}
				say := verdict{severity: analyze.Medium, level: analyze.Proved, detail: "a client without a secret"}
				if v.note&(hasNoSecret|isNative) == 0 {
					say = verdict{severity: analyze.Low, level: analyze.NotSeen, detail: "whether the client has a secret was not seen"}
				}
				t := Tally{count: v.bad}
				t.span.Add(v.firstBad.at.Nano)
				t.span.Add(v.lastBad.at.Nano)
				t.evidence.Add(v.firstBad.at, v.firstBad.evidence)
				report(analyze.Place{Name: fmt.Sprintf("client %016x", k.hash)}, &t, say)
			})
		},
	},
}

// withdrawn returns the refusal since which a key should not work: by a server
// that did not take it for a minute after, while another server did, or that
// refused it again.
func (c *Context) withdrawn(key uint64, v *subject) (sighting, bool) {
	for i, bad := range [...]sighting{v.firstBad, v.lastBad} {
		again := v.bad > 1 && i == 0 || bad.server != v.lastGood.server
		if again && (c.Ledger == nil || c.Ledger.rejected(key, c.Service, bad)) {
			return bad, true
		}
	}
	return sighting{}, false
}

func (s *State) eachMade(f func(analyze.Place, *alphabet)) {
	if s.known == nil {
		return
	}
	s.known.made.Trim()
	s.known.made.All(f)
}

// weakAlphabets concludes on keys of a service that are weak all alike, and on
// those that are the name of an account.
func weakAlphabets(s *State, c *Context, report func(analyze.Place, *Tally, verdict)) {
	s.eachMade(func(p analyze.Place, a *alphabet) {
		if p.Where == analyze.InSetCookie {
			return
		}
		say := verdict{severity: analyze.High, level: analyze.Inferred, unit: "key"}
		names := false
		s.known.subjects.All(func(k subjectKey, _ *subject) { names = names || k.kind == anAccount && a.values.Has(k.hash) })
		n, vary := a.values.Count(), a.bits()
		switch {
		case names:
			say.detail = "a key is the name of an account"
		case n < 3:
			return
		case a.timed > 0 && a.timed >= n:
			say.detail = fmt.Sprintf("%d keys are UUIDs of version 1, made of time and machine (3 needed)", n)
		case a.longest < 16:
			say.detail = fmt.Sprintf("%d keys have at most %d characters (16 needed)", n, a.longest)
		case vary < 48:
			say.detail = fmt.Sprintf("%d keys vary in at most %.0f bits (48 needed)", n, vary)
		default:
			return
		}
		report(p, a.tally(), say)
	})
}

// enumerated compares how an endpoint answers on accounts that are known to exist
// with how it answers on others.
func enumerated(s *State, c *Context, report func(analyze.Place, *Tally, verdict)) {
	if s.known == nil || c.Home == nil || c.Home.known == nil {
		return
	}
	type group struct {
		n        uint64
		forms    map[uint64]uint64
		accounts uint64
	}
	known, unknown := group{forms: map[uint64]uint64{}}, group{forms: map[uint64]uint64{}}
	t := Tally{}
	s.known.subjects.All(func(k subjectKey, v *subject) {
		if k.kind != anAccount || v.bad == 0 {
			return
		}
		g := &unknown
		if at, ok := c.Home.known.subjects.Get(k); ok && at.good > 0 {
			g = &known
		}
		g.accounts++
		for _, a := range v.answers {
			g.n += a.n
			g.forms[a.form] += a.n
		}
		t.span.Add(v.firstBad.at.Nano)
		t.span.Add(v.lastBad.at.Nano)
		t.evidence.Add(v.firstBad.at, v.firstBad.evidence)
	})
	usual := uint64(0)
	for _, n := range known.forms {
		usual = max(usual, n)
	}
	if usual < 10 || usual*20 < known.n*19 {
		return
	}
	other := uint64(0)
	for form, n := range unknown.forms {
		if known.forms[form] == 0 {
			other = max(other, n)
		}
	}
	if other < 10 {
		return
	}
	t.count = other
	report(analyze.Place{}, &t, verdict{severity: analyze.Medium, level: analyze.Inferred,
		detail: fmt.Sprintf("%d refusals of %d accounts that exist alike, %d of others in a way that those never got (10 of each needed)", usual, known.accounts, other)})
}
