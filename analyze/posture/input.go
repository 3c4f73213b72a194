package posture

import (
	"bytes"
	"fmt"

	"plainsight/analyze"
	"plainsight/analyze/tally"
)

// input is what an endpoint is usually given in one parameter or field, by what
// succeeded.
type input struct {
	place   analyze.Place
	forms   [formEnd]uint32
	lengths tally.Histogram
}

// form is what a value looks like.
type form uint8

const (
	formEmpty form = iota
	formInteger
	formNegative
	formDecimal
	formBoolean
	formUUID
	formDate
	formText
	formEnd
)

var formNames = [formEnd]string{"empty", "an integer", "a negative number", "a number with decimals", "a boolean", "a UUID", "a date", "text"}

// given is a value of the request at hand.
type given struct {
	key    uint64
	where  analyze.Where
	from   int // of its name in the observation's
	to     int
	form   form
	length int
}

const (
	maxGiven  = 48 // values of one request
	maxInputs = 48 // parameters and fields of one endpoint
)

// give notes a value of the request.
func (o *Observation) give(where analyze.Where, name, value []byte) {
	if len(o.given) >= maxGiven || len(name) == 0 || len(name) > 64 || string(value) == "null" {
		return
	}
	from := len(o.names)
	o.names = append(o.names, name...)
	o.given = append(o.given, given{tally.Hash(name) ^ uint64(len(where)), where, from, len(o.names), formOf(value), len(value)})
}

func formOf(v []byte) form {
	switch len(v) {
	case 0:
		return formEmpty
	case 4, 5:
		if string(v) == "true" || string(v) == "false" {
			return formBoolean
		}
	case 36:
		if v[8] == '-' && v[13] == '-' && v[18] == '-' && v[23] == '-' {
			return formUUID
		}
	}
	if len(v) >= 10 && v[4] == '-' && v[7] == '-' && digit(v[0]) && digit(v[9]) {
		return formDate
	}
	f, rest := formInteger, v
	if v[0] == '-' && len(v) > 1 {
		f, rest = formNegative, v[1:]
	}
	if len(rest) > 24 {
		return formText
	}
	if !digit(rest[len(rest)-1]) {
		return formText
	}
	points := 0
	for _, c := range rest {
		switch {
		case digit(c):
		case c == '.' && points == 0:
			points++
		default:
			return formText
		}
	}
	if points > 0 && f == formInteger && len(rest) > 1 {
		return formDecimal
	}
	return f
}

// learn adds the values of a request that succeeded to what the endpoint is used
// to.
func (o *Observation) learn(s *State) {
	for i := range o.given {
		g := &o.given[i]
		in, ok := s.inputs.Get(g.key)
		if !ok {
			if s.inputs.Len() == 0 && !s.inputs.Full() {
				s.inputs = tally.NewTable[uint64, *input](maxInputs, tally.Mix)
			}
			if in, ok = s.inputs.At(g.key, newInput); !ok {
				continue
			}
			in.place = analyze.Place{Side: analyze.Request, Where: g.where, Name: analyze.Name(o.names[g.from:g.to])}
			if g.where == analyze.InBody {
				in.place.Name = "$." + in.place.Name
			}
		}
		in.forms[g.form]++
		in.lengths.Add(uint64(g.length))
	}
}

func newInput() *input { return new(input) }

func (in *input) merge(o *input) {
	in.place = o.place
	for i, n := range o.forms {
		in.forms[i] += n
	}
	in.lengths.Merge(&o.lengths)
}

// breach tells what was accepted although it is unlike all else: three times or
// more, and at most once in a hundred.
func (in *input) breach() (what string, count, n uint64) {
	most := formEmpty
	for f, c := range in.forms {
		if f != int(formEmpty) {
			n += uint64(c)
		}
		if c > in.forms[most] {
			most = form(f)
		}
	}
	rare := func(count, n uint64) bool { return count >= 3 && count*100 <= n }
	if n < 1000 {
		return "", 0, n
	}
	if uint64(in.forms[most])*100 >= n*99 && most != formText && most != formEmpty {
		for f := formInteger; f < formEnd; f++ {
			c := uint64(in.forms[f])
			switch {
			case f == most, most == formDecimal && f == formInteger, most == formNegative && f == formInteger:
				continue
			case (f == formNegative || f == formDecimal) && n < 10_000: // bounds take longer to learn than types
				continue
			}
			if rare(c, n) {
				return fmt.Sprintf("%s, where it is %s otherwise", formNames[f], formNames[most]), c, n
			}
		}
	}
	if usual := in.lengths.Quantile(0.99); usual > 0 {
		limit := max(10*usual, 100)
		if c := in.lengths.Above(uint64(limit)); rare(c, n) {
			return fmt.Sprintf("more than %.0f bytes long, where 99 of 100 have up to about %.0f", limit, usual), c, n
		}
	}
	return "", 0, n
}

var inputRules = []Rule{
	{
		Rule: analyze.Rule{ID: "val.accepted", Title: "Input unlike all other was accepted", Practice: analyze.Validation, Severity: analyze.Low, Level: analyze.Inferred,
			Trigger: "a parameter or top-level field that 99 of 100 successful requests fill with one form (integer, number, boolean, UUID, date), and three or more with another; or three or more values ten times as long as 99 of 100",
			Quiet:   "needs 1,000 successes, 10,000 for signs and decimals; free text has no form; empty values are left out",
			Why:     "What is not checked at the door is checked by whatever comes next, if at all.",
			Fix:     "Validate type, range and length by a schema and answer 400.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-20", "CWE-1284"}},
		say: "A value unlike all others succeeded",
		conclude: func(s *State, c *Context, report func(analyze.Place, *Tally, verdict)) {
			s.inputs.Trim()
			s.inputs.All(func(_ uint64, in *input) {
				if what, count, n := in.breach(); count > 0 {
					report(in.place, &Tally{count: count}, verdict{severity: analyze.Low, level: analyze.Inferred, detail: fmt.Sprintf("%s (%d values)", what, n)})
				}
			})
		},
	},
	{
		Rule: analyze.Rule{ID: "hpp", Title: "One parameter with two values", Practice: analyze.Validation, Severity: analyze.Low, Level: analyze.Inferred,
			Trigger: "a query parameter that says who, what, how much or where to (id, user, role, amount, redirect …) twice with different values in a request that succeeds, in at most a tenth of ten or more successes and from at most two callers",
			Quiet:   "filters and other lists repeat their names by design: only names of one thing count, and none that others repeat too",
			Why:     "The gateway may check the first and the service use the last: filters and rights are passed by.",
			Fix:     "Refuse repeated parameters that are no lists.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-235"}},
		say: "A parameter was given twice, differently", need: success | parameters,
		exchange: func(o *Observation, e *emitter) {
			if o.twice != "" {
				e.see(analyze.Place{Side: analyze.Request, Where: analyze.InQuery, Name: o.twice}, analyze.Low)
			}
		},
		judge: func(t *Tally, c *Context, v *verdict) bool {
			n := c.Stats.PlainSuccess + c.Stats.SecureSuccess
			v.detail = fmt.Sprintf("in %d of %d successes (at most a tenth of ten or more)", t.count, n)
			return c.Method != "" && n >= 10 && t.count*10 <= n && t.principals.Count() <= 2
		},
	},
}

// repeated notes a query parameter that was there before with another value.
func (o *Observation) repeated(key, value []byte) {
	if o.twice != "" || !oneThing[string(o.r.lowered(key))] {
		return
	}
	h, v := tally.Hash(key), tally.Hash(prefix(value, 64))
	for _, p := range o.pairs {
		if p[0] == h && p[1] != v {
			o.twice = o.r.name(queryName, key).place.Name
			return
		}
	}
	if len(o.pairs) < maxGiven {
		o.pairs = append(o.pairs, [2]uint64{h, v})
	}
}

// oneThing are parameters that say one thing.
var oneThing = words("id", "uid", "user", "user_id", "userid", "username", "account", "account_id", "accountid", "customer_id", "owner", "owner_id", "tenant", "tenant_id", "org_id", "role", "admin", "is_admin", "amount", "price", "total", "currency", "email",
	"to", "recipient", "beneficiary", "action", "cmd", "command", "method", "redirect", "redirect_uri", "redirect_url", "return_url", "url", "callback", "token", "access_token", "key", "api_key", "apikey", "password", "path", "file", "filename")

// markup is an element that runs in a browser, by whom and when.
type markup struct {
	who  tally.Distinct
	span tally.Span
}

func newMarkup() *markup { return new(markup) }

func (m *markup) merge(o *markup) {
	m.who.Merge(&o.who)
	m.span.Merge(o.span)
}

const (
	maxMarkup   = 64       // elements remembered, of a service's requests and of an endpoint's pages
	pageRead    = 64 << 10 // bytes of a page that are looked at
	pageScripts = 16       // elements of one page
)

// running is the hash of an element that runs, with all that makes it its own.
func running(text []byte) uint64 {
	text = prefix(text, 512)
	end := bytes.IndexByte(text, '>')
	if end < 0 {
		return 0
	}
	if i := bytes.Index(text, []byte("</")); i > end && len(text) > 7 && text[1]|0x20 == 's' && text[2]|0x20 == 'c' { // a script and what is in it
		end = i
	}
	if end < 11 {
		return 0
	}
	return tally.Hash(text[:end])
}

func remember(t *tally.Table[uint64, *markup], h, who uint64, at int64) {
	if t.Len() == 0 && !t.Full() {
		*t = tally.NewTable[uint64, *markup](maxMarkup, tally.Mix)
	}
	if m, ok := t.At(h, newMarkup); ok {
		m.who.Add(who)
		m.span.Add(at)
	}
}

// store notes markup that a request brought, and that a page shows.
func (o *Observation) store(endpoint, service *State) {
	if o.Success {
		for i := range o.attacks {
			a := &o.attacks[i]
			if a.family == forBrowser && a.element != 0 {
				remember(&service.written, a.element, o.principalHash, o.At.Nano)
			}
		}
	}
	if endpoint == nil || !isPage(o.contentType) || o.Status >= 400 {
		return
	}
	page := prefix(o.ResponseBody, pageRead)
	for n := 0; n < pageScripts; {
		at := bytes.IndexByte(page, '<')
		if at < 0 {
			return
		}
		page = page[at:]
		tag := page[1:] // to the next one: all tags together are read once
		if next := bytes.IndexByte(tag, '<'); next >= 0 {
			tag = tag[:next]
		}
		if activeMarkup(page[:1+min(len(tag), 1024)]) == 0 {
			n++
			if h := running(page); h != 0 && !o.brings(h) {
				remember(&endpoint.shown, h, o.principalHash, o.At.Nano)
			}
		}
		page = page[1:]
	}
}

// brings reports whether the request at hand holds the element: then it is a
// reflection.
func (o *Observation) brings(h uint64) bool {
	for i := range o.attacks {
		if o.attacks[i].element == h {
			return true
		}
	}
	return false
}

var storedRules = []Rule{
	{
		Rule: analyze.Rule{ID: "xss.stored", Title: "One caller's markup is shown to another", Practice: analyze.Validation, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "an element that runs (a script, a handler) in a request that succeeded stands unescaped in an HTML page that another caller gets later",
			Quiet:   "the whole element must be the same; what the page shows to its writer only, or showed before, is left out",
			Why:     "The script runs in each reader's session: it acts and reads as they.",
			Fix:     "Escape by the context of the output; clean rich text by a list of what is allowed; send a Content-Security-Policy.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-79"}},
		say: "Markup that one caller sent is shown to others",
		conclude: func(s *State, c *Context, report func(analyze.Place, *Tally, verdict)) {
			if c.Home == nil || s.shown.Len() == 0 || c.Home.written.Len() == 0 {
				return
			}
			s.shown.Trim()
			t := new(Tally)
			s.shown.All(func(h uint64, shown *markup) {
				written, ok := c.Home.written.Get(h)
				if !ok {
					return
				}
				var both tally.Distinct
				both.Merge(&written.who)
				both.Merge(&shown.who)
				from, _ := written.span.Times()
				first, last := shown.span.Times()
				if both.Count() <= written.who.Count() || !last.After(from) || first.Before(from) {
					return
				}
				t.count++
				t.principals.Merge(&shown.who)
				t.span.Merge(shown.span)
			})
			if t.count > 0 {
				report(analyze.Place{Side: analyze.Response, Where: analyze.InBody}, t, verdict{severity: analyze.High, level: analyze.Proved})
			}
		},
	},
}
