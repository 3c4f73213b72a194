package posture

import (
	"bytes"
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"plainsight/analyze"
)

// Thresholds of the rows over credentials.
const (
	grace        = int64(60e9)  // after a logout, in which requests under way may arrive
	skew         = int64(120e9) // of clocks
	day          = int64(24 * time.Hour)
	oldKey       = 90 * day
	staleKey     = 60 * day
	settledKey   = 7 * day
	manyNetworks = 5
	manyCallers  = 100 // a key of so many is one for everybody
)

// credentialRules are rows over the memory of credentials: [Ledger].
var credentialRules = []Rule{
	{
		Rule: analyze.Rule{ID: "tok.shared", Title: "One user's token at several places at once", Practice: analyze.Authentication, Severity: analyze.Medium, Level: analyze.Inferred,
			Trigger: "a user's token or session accepted by one service from three or more networks and two or more user agents within ten minutes; high where it got sensitive data",
			Quiet:   "networks are /24 and /48; public ones that share a /16 or /32 count once, since mobile clients and egress pools move within them; tokens of machines are left out",
			Why:     "The token is in more hands than its owner's: it was stolen, or people share an account.",
			Fix:     "Bind tokens to the client (DPoP, mTLS), keep them short, and end this one.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-294"}},
		say: "One user's token was used from several networks at once",
		over: func(_ *Ledger, all []*held, e *teller) {
			each(all, func(h *held, u *use) {
				if !h.user(u) {
					return
				}
				t := u.most.worse(together(tail(u.places, placesKept)))
				if !t.shared() {
					return
				}
				sev := analyze.Medium
				if u.sensitive {
					sev = analyze.High
				}
				f := e.see(h, u, u.place, sev, u.first)
				f.evidence.Add(u.last.at, u.last.evidence)
				f.say(uint64(t.networks), "up to %d networks and %d user agents within ten minutes (3 and 2 needed)", t.networks, t.agents)
			})
		},
	},
	{
		Rule: analyze.Rule{ID: "key.shared", Title: "One key in many hands", Practice: analyze.Keys, Severity: analyze.Medium, Level: analyze.Inferred,
			Trigger: "one API key accepted by a service from five or more networks",
			Quiet:   "networks are /24 and /48; publishable keys by prefix, and keys of a hundred callers or more, are meant for many",
			Why:     "Nobody can say who did what with it, and it cannot be withdrawn from one without breaking the others.",
			Fix:     "Issue a key to each caller, and let each call say who it is.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-522"}},
		say: "One key was used from many networks",
		over: func(_ *Ledger, all []*held, e *teller) {
			each(all, func(h *held, u *use) {
				if n := u.networks.Count(); h.key(u) && n >= manyNetworks && u.callers.Count() < manyCallers {
					f := e.see(h, u, u.place, analyze.Medium, u.first)
					f.evidence.Add(u.last.at, u.last.evidence)
					f.say(n, "up to %d networks (%d needed), at least", n, manyNetworks)
				}
			})
		},
	},
	{
		Rule: analyze.Rule{ID: "key.multi-service", Title: "One key opens several services", Practice: analyze.Keys, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "one API key accepted by two or more services that have nothing in common",
			Quiet:   "services of one site or namespace, or behind the same address (a gateway), are related; publishable keys are left out",
			Why:     "Whoever takes it from the weakest of them has them all.",
			Fix:     "Give each service keys of its own.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-1391"}},
		say: "One key was accepted by unrelated services",
		over: func(_ *Ledger, all []*held, e *teller) {
			each(all, func(h *held, u *use) {
				if !h.key(u) {
					return
				}
				if names := h.others(u, func(o *use) bool { return o.kind == APIKey && !related(u, o) }); names != "" {
					e.see(h, u, u.place, analyze.Medium, u.first).say(0, "also by %s", names)
				}
			})
		},
	},
	{
		Rule: analyze.Rule{ID: "basic.reused", Title: "One password for several services", Practice: analyze.Authentication, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "the same user and password (Basic) accepted by two or more services",
			Quiet:   "compared by keyed hash; only successes; names of one server address and port are one service",
			Why:     "The password that leaks at one of them opens the others.",
			Fix:     "Use a password for each, or better short-lived tokens of one issuer.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-522"}},
		say: "The same user name and password were accepted by several services",
		over: func(_ *Ledger, all []*held, e *teller) {
			each(all, func(h *held, u *use) {
				if u.kind != Basic {
					return
				}
				if names := h.others(u, func(o *use) bool { return o.kind == Basic && !slices.Equal(o.servers, u.servers) }); names != "" {
					e.see(h, u, u.place, analyze.Medium, u.first).say(0, "also by %s", names)
				}
			})
		},
	},
	{
		Rule: analyze.Rule{ID: "jwt.aud", Title: "JWT for another audience accepted", Practice: analyze.Authentication, Severity: analyze.Medium, Level: analyze.Inferred,
			Trigger: "a token whose aud is none of those that the service's tokens have, accepted",
			Quiet:   "the audiences of a service are learned from fifty or more successes of three or more callers: those of one in ten at least; the odd ones must be under one in twenty",
			Why:     "The verifier does not look at aud: a token made for any other service of the issuer opens this one.",
			Fix:     "Compare aud with the service's own name.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-345"}},
		say:  "Tokens made for another audience were accepted",
		over: foreignAudiences,
	},
	{
		Rule: analyze.Rule{ID: "jwt.revived", Title: "Token works after logout", Practice: analyze.Authentication, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "a token or session accepted over 60 seconds after a logout or revocation with it, or after a change of the password with another one of the same user",
			Quiet:   "the logout must have succeeded; a cookie must have been taken back by it; the token that changed the password may live on, and so may those that came later",
			Why:     "Logging out, or changing a stolen password, does not lock out whoever holds a copy.",
			Fix:     "Keep a list of ended tokens until they expire, or sessions at the server; end all others when the password changes.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-613"}},
		say: "A token was accepted after it was ended",
		over: func(l *Ledger, all []*held, e *teller) {
			each(all, func(h *held, u *use) {
				if u.kind == APIKey || u.kind == Basic {
					return
				}
				ended, how := h.ended, "logout or revocation"
				if c, ok := l.changes.Get(h.principal); ok && ended == 0 {
					from, _ := h.span.Ends()
					for _, c := range c.list {
						if c.by != h.Hash && from < c.at.Nano {
							ended, how = c.at.Nano, "the change of the password"
							break
						}
					}
				}
				if ended != 0 && u.last.at.Nano > ended+grace {
					after := u.last.at.Nano - ended
					e.see(h, u, u.place, analyze.High, u.last).say(uint64(after), "up to %s after %s (1m0s is granted)", age(after), how)
				}
			})
		},
	},
	{
		Rule: analyze.Rule{ID: "sess.fixed", Title: "Session stays the same across login", Practice: analyze.Authentication, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "a session cookie that came with a login that succeeded, was not replaced by it, and was accepted afterwards",
			Quiet:   "silent where the answer hands out another session or a token, or where requests carry another credential",
			Why:     "Whoever planted the session id before, by a link or another page of the site, is signed in as the user then.",
			Fix:     "Give a new session id at each login and each change of rights.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-384"}},
		say: "A session id was the same before and after the login",
		over: func(_ *Ledger, all []*held, e *teller) {
			each(all, func(h *held, u *use) {
				if u.kept != 0 && u.last.at.Nano > u.kept {
					e.see(h, u, u.place, analyze.Medium, u.last)
				}
			})
		},
	},
	{
		Rule: analyze.Rule{ID: "key.expired-works", Title: "Expired credential accepted", Practice: analyze.Keys, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "a signed URL answered over 120 seconds after its own date, or a token accepted so long after the lifetime that its issuer gave with it (expires_in, expires_at)",
			Quiet:   "JWTs have a row of their own; a lifetime that was given anew counts",
			Why:     "The date is decoration: what leaks works for ever.",
			Fix:     "Compare the expiry on each request, at the server.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-613"}},
		say: "A credential was accepted after its expiry", need: parameters | success,
		exchange: func(o *Observation, e *emitter) {
			if end := o.signedEnd(); !end.IsZero() && !o.Time.IsZero() && end.Before(o.Time.Add(-time.Duration(skew))) {
				e.see(analyze.Place{Side: analyze.Request, Where: analyze.InQuery}, analyze.High)
			}
		},
		over: func(_ *Ledger, all []*held, e *teller) {
			each(all, func(h *held, u *use) {
				if h.JWT == nil && h.expires != 0 && u.last.at.Nano > h.expires+skew {
					after := u.last.at.Nano - h.expires
					e.see(h, u, u.place, analyze.High, u.last).say(uint64(after), "up to %s after it", age(after))
				}
			})
		},
	},
	{
		Rule: analyze.Rule{ID: "key.in-body", Title: "Key in an answer", Practice: analyze.Keys, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "a provider key, API key or private key in the body of an answer: JSON, a script, a log, an error message",
			Quiet:   "endpoints that are there to issue keys are left out, and so are publishable and test keys; what only its field's name makes a key (sec.token-out) counts in scripts, pages, logs and errors",
			Why:     "Whoever gets the answer has the key; in scripts and error messages that is everybody.",
			Fix:     "Take the key out, keep it at the server, and rotate it.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-522", "CWE-798"}},
		say: "A key was in an answer", near: true, need: hits | answered,
		exchange: func(o *Observation, e *emitter) {
			if issues(o.Method, o.Path) && o.Success {
				return
			}
			data := o.Success && !isStatic(o.contentType) && !isPage(o.contentType) && !bytes.HasPrefix(o.contentType, []byte("text/plain"))
			for i := range o.Hits {
				if h := &o.Hits[i]; h.at(analyze.Response, analyze.InBody) && h.Category == "secret" && !h.Test && h.Kind != "presigned_url" && h.Kind != "oauth_client_secret" && !(data && h.Kind == "api_key") {
					e.see(h.Place, analyze.High).sample(o.At, h.Sample)
				}
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "key.old", Title: "Key in use for over 90 days", Practice: analyze.Keys, Severity: analyze.Medium, Level: analyze.Inferred,
			Trigger: "one key accepted over 90 days or more, while its callers have no newer one",
			Quiet:   "the first use that was seen is a lower bound, so the age is given as \"at least\"; publishable keys are left out",
			Why:     "The longer it lives, the more places hold a copy.",
			Fix:     "Rotate keys at least every 90 days, with two valid at a time.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-262", "CWE-324"}},
		say: "A key has been in use for long",
		over: func(_ *Ledger, all []*held, e *teller) {
			newer := map[callerAt][]*use{}
			each(all, func(h *held, u *use) {
				if h.key(u) {
					for i := range u.peers {
						k := callerAt{u.service, u.peers[i].id}
						newer[k] = append(newer[k], u)
					}
				}
			})
			each(all, func(h *held, u *use) {
				lived := u.last.at.Nano - u.first.at.Nano
				if !h.key(u) || lived < oldKey {
					return
				}
				for i := range u.peers {
					for _, o := range newer[callerAt{u.service, u.peers[i].id}] {
						if o.first.at.Nano > u.first.at.Nano && o.last.at.Nano >= u.last.at.Nano {
							return
						}
					}
				}
				e.see(h, u, u.place, analyze.Medium, u.last).say(uint64(lived), "in use for at least %d days (90 needed)", lived/day)
			})
		},
	},
	{
		Rule: analyze.Rule{ID: "key.no-rotation", Title: "Key that never changed while others did", Practice: analyze.Keys, Severity: analyze.Low, Level: analyze.Inferred,
			Trigger: "a caller that used one key from before the first to after the last change of the keys of three or more other callers of the service",
			Quiet:   "a change is a key that ended before the next began; callers are addresses; programs only",
			Why:     "It was left out when keys were rotated, and may be one that was meant to end.",
			Fix:     "Rotate it too, and find out why it was forgotten.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-262"}},
		say:  "A caller kept its key while others of the service changed theirs",
		over: neverRotated,
	},
	{
		Rule: analyze.Rule{ID: "key.stale", Title: "Key used again after long", Practice: analyze.Keys, Severity: analyze.Medium, Level: analyze.Inferred,
			Trigger: "a key that was not used for 60 days and then again; or one used for a week or more from one or two networks, thirty times at least, and then from another",
			Quiet:   "days without use are those of the capture, so \"not seen\" means at least not here; publishable keys, and keys of five networks and more (key.shared), are left out",
			Why:     "A key that comes back, or moves, may have been found by somebody else.",
			Fix:     "Ask its owner; end keys that are not used for 60 days.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-522"}},
		say:  "A key came back after long, or from elsewhere",
		over: staleKeys,
	},
	{
		Rule: analyze.Rule{ID: "key.provider-out", Title: "Provider key used by another workload", Practice: analyze.Keys, Severity: analyze.Medium, Level: analyze.Inferred,
			Trigger: "a key of a cloud or service provider sent to it by another caller than the one that sends nine of ten requests with it",
			Quiet:   "thirty requests at least, and all callers known; callers of the usual one's network are left out",
			Why:     "The key has been copied to where it does not belong.",
			Fix:     "Find out how it got there, rotate it, and give the workload one of its own.",
			OWASP:   []string{"API10:2023"}, CWE: []string{"CWE-522"}},
		say:  "A provider's key was sent from an unusual caller",
		over: providerKeys,
	},
	{
		Rule: analyze.Rule{ID: "key.lifetime", Title: "Lifetimes of tokens", Practice: analyze.Keys, Severity: analyze.Info, Level: analyze.Inferred,
			Trigger: "five or more tokens of one issuer that say when they were issued and when they end",
			Quiet:   "information: one line for each issuer and service",
			Why:     "Short tokens limit what a leak is worth.",
			Fix:     "Keep access tokens under an hour, and refresh them.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-613"}},
		say:  "How long tokens live",
		over: lifetimes,
	},
	{
		Rule: analyze.Rule{ID: "inv.nonprod-in-prod", Title: "Production credentials on a test surface", Practice: analyze.Discovery, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "a host whose name says test, staging, dev, beta or old accepts a credential that a production host of the same site accepts too; or so a path with such a segment and the other paths of its service",
			Quiet:   "the word must be a whole label or a part of one between dashes, or a segment before any parameter of the path; both must have succeeded; publishable keys are left out",
			Why:     "Such hosts are watched and patched less, and with production's users in reach.",
			Fix:     "Keep users, keys and networks of the two apart, or take the host out of service.",
			OWASP:   []string{"API9:2023"}, CWE: []string{"CWE-1059"}},
		say: "A surface that is not production accepted credentials of production", need: success | credentials,
		exchange: func(o *Observation, e *emitter) {
			if !o.Weak && o.marked {
				e.see(analyze.Place{}, byDistance(o.Peer, analyze.Medium, analyze.Medium, analyze.Medium, analyze.Info))
			}
		},
		judge: func(t *Tally, c *Context, v *verdict) bool {
			fixed, _, _ := strings.Cut(c.Template, "{")
			if c.Home == nil || c.Method == "" || !hasSegment([]byte(fixed), stageWords) {
				return false
			}
			n := t.principals.Shared(&c.Home.callers)
			v.detail = plural(uint64(n), "caller") + " of them with a credential that unmarked paths of the service accept"
			return n > 0
		},
		over: func(_ *Ledger, all []*held, e *teller) {
			each(all, func(h *held, u *use) {
				if h.Publishable || !markedHost(u.service) {
					return
				}
				if names := h.others(u, func(o *use) bool {
					return !markedHost(o.service) && site(hostOnly(o.service)) == site(hostOnly(u.service))
				}); names != "" {
					e.see(h, u, analyze.Place{}, analyze.Medium, u.first).say(0, "also accepted by %s", names)
				}
			})
		},
	},
}

func tail[T any](list []T, n int) []T { return list[max(0, len(list)-n):] }

// age writes a span of time for people.
func age(nano int64) string {
	d := time.Duration(nano).Round(time.Second)
	if d >= 48*time.Hour {
		return plural(uint64(d/(24*time.Hour)), "day")
	}
	return d.String()
}

// related reports whether two services belong together: one site, or one
// namespace of a cluster, or one address in front of both.
func related(a, b *use) bool {
	for _, s := range a.servers {
		if slices.Contains(b.servers, s) {
			return true
		}
	}
	return kin(a.service) == kin(b.service)
}

func kin(service string) string {
	host := hostOnly(service)
	for _, end := range [...]string{".svc.cluster.local", ".svc"} {
		if name, ok := strings.CutSuffix(host, end); ok {
			return name[strings.LastIndexByte(name, '.')+1:] + end
		}
	}
	return site(host)
}

// markedHost reports whether a host says that it is not production.
func markedHost(service string) bool {
	host := strings.ToLower(hostOnly(service))
	if testHost(host) {
		return strings.Contains(host, ".")
	}
	labels := strings.Split(host, ".")
	for _, label := range labels[:max(len(labels)-2, 0)] {
		for word := range strings.SplitSeq(label, "-") {
			switch word {
			case "beta", "old", "bak", "backup", "v0", "legacy", "alpha", "preview":
				return true
			}
		}
	}
	return false
}

// foreignAudiences learns the audiences of each service and finds the tokens of
// others.
func foreignAudiences(_ *Ledger, all []*held, e *teller) {
	type learned struct {
		n       uint64
		count   map[uint64]uint64
		callers map[uint64]bool
	}
	services := map[string]*learned{}
	tokens := func(f func(*held, *use)) {
		each(all, func(h *held, u *use) {
			if h.JWT != nil && len(h.JWT.audience) > 0 {
				f(h, u)
			}
		})
	}
	tokens(func(h *held, u *use) {
		s := services[u.service]
		if s == nil {
			s = &learned{count: map[uint64]uint64{}, callers: map[uint64]bool{}}
			services[u.service] = s
		}
		s.n += u.accepted
		s.callers[h.principal] = true
		for _, a := range h.JWT.audience {
			s.count[a] += u.accepted
		}
	})
	known := func(h *held, s *learned) bool {
		return slices.ContainsFunc(h.JWT.audience, func(a uint64) bool { return s.count[a]*10 >= s.n })
	}
	odd := map[string]uint64{}
	tokens(func(h *held, u *use) {
		if !known(h, services[u.service]) {
			odd[u.service] += u.accepted
		}
	})
	tokens(func(h *held, u *use) {
		s := services[u.service]
		if s.n < 50 || len(s.callers) < 3 || odd[u.service]*20 > s.n || known(h, s) {
			return
		}
		e.see(h, u, u.place, analyze.Medium, u.first).say(s.n, "%d of %d successes with tokens that name an audience (50 needed)", odd[u.service], s.n)
	})
}

type callerAt struct {
	service string
	caller  uint64
}

// neverRotated finds the callers that kept a key when others changed theirs.
func neverRotated(_ *Ledger, all []*held, e *teller) {
	type kept struct {
		h *held
		u *use
		p *peer
	}
	callers := map[callerAt][]kept{}
	each(all, func(h *held, u *use) {
		if !h.key(u) || u.person {
			return
		}
		for i := range u.peers {
			k := callerAt{u.service, u.peers[i].id}
			callers[k] = append(callers[k], kept{h, u, &u.peers[i]})
		}
	})
	// When the callers of a service changed their keys: the first use of the next.
	type rotation struct {
		n           int
		first, last int64
	}
	rotated := map[string]rotation{}
	for k, keys := range callers {
		changed := false
		r := rotated[k.service]
		for _, a := range keys {
			for _, b := range keys {
				_, end := a.p.span.Ends()
				if begin, _ := b.p.span.Ends(); end < begin {
					if r.first == 0 || begin < r.first {
						r.first = begin
					}
					r.last = max(r.last, begin)
					changed = true
				}
			}
		}
		if changed {
			r.n++
			rotated[k.service] = r
		}
	}
	for k, keys := range callers {
		r := rotated[k.service]
		if r.n < 3 || len(keys) != 1 {
			continue
		}
		from, to := keys[0].p.span.Ends()
		if from < r.first && to > r.last {
			e.see(keys[0].h, keys[0].u, keys[0].u.place, analyze.Low, keys[0].p.last).say(uint64(r.n), "%d other callers changed theirs (3 needed)", r.n)
		}
	}
}

func staleKeys(_ *Ledger, all []*held, e *teller) {
	each(all, func(h *held, u *use) {
		if !h.key(u) {
			return
		}
		gap := int64(0)
		days := tail(h.days, daysKept)
		for i := 1; i < len(days); i++ {
			gap = max(gap, int64(days[i])-int64(days[i-1]))
		}
		if gap*day > staleKey {
			e.see(h, u, u.place, analyze.Medium, u.last).say(1<<32+uint64(gap), "not seen for %d days, at least (60 needed)", gap-1)
			return
		}
		// A caller from elsewhere, after a settled week.
		if len(u.peers) == peersKept || u.networks.Count() > 3 || u.accepted < 30 {
			return
		}
		newcomer := &u.peers[0]
		for i := range u.peers {
			a, _ := u.peers[i].span.Ends()
			if b, _ := newcomer.span.Ends(); a > b {
				newcomer = &u.peers[i]
			}
		}
		begin, _ := newcomer.span.Ends()
		others := uint64(0)
		for i := range u.peers {
			if p := &u.peers[i]; p != newcomer {
				if network(p.last.client.Addr()) == network(newcomer.last.client.Addr()) {
					return
				}
				others += p.n
			}
		}
		if others >= 30 && begin-u.first.at.Nano >= settledKey {
			e.see(h, u, u.place, analyze.Medium, newcomer.last).say(others, "from another network after %d days and %d requests (7 and 30 needed)", (begin-u.first.at.Nano)/day, others)
		}
	})
}

// providers are the hosts of those whose keys are worth money.
var providers = []string{
	"amazonaws.com", "googleapis.com", "windows.net", "azure.com", "api.stripe.com", "api.github.com", "gitlab.com", "api.openai.com", "api.anthropic.com",
	"slack.com", "api.twilio.com", "api.sendgrid.com", "api.mailgun.net", "api.cloudflare.com", "api.digitalocean.com", "api.heroku.com", "api.datadoghq.com",
	"api.paypal.com", "api-m.paypal.com", "squareup.com", "api.telegram.org", "discord.com", "huggingface.co", "api.mapbox.com", "api.mistral.ai", "api.groq.com",
	"api.linode.com", "api.npmjs.org", "registry.npmjs.org", "upload.pypi.org", "api.pagerduty.com", "algolia.net", "atlassian.net", "okta.com", "auth0.com",
}

func providerHost(service string) bool {
	host := strings.ToLower(hostOnly(service))
	return slices.ContainsFunc(providers, func(p string) bool { return host == p || strings.HasSuffix(host, "."+p) })
}

func providerKeys(_ *Ledger, all []*held, e *teller) {
	each(all, func(h *held, u *use) {
		if h.Publishable || u.kind == Session || h.JWT != nil || u.accepted < 30 || len(u.peers) < 2 || len(u.peers) == peersKept || !providerHost(u.service) {
			return
		}
		usual := slices.MaxFunc(u.peers, func(a, b peer) int { return cmp.Compare(a.n, b.n) })
		if usual.n*10 < u.accepted*9 {
			return
		}
		for i := range u.peers {
			if p := &u.peers[i]; network(p.last.client.Addr()) != network(usual.last.client.Addr()) {
				e.see(h, u, u.place, analyze.Medium, p.last).say(p.n, "%d of %d requests (30 needed)", u.accepted-usual.n, u.accepted)
				return
			}
		}
	})
}

func lifetimes(_ *Ledger, all []*held, e *teller) {
	type key struct{ service, issuer string }
	type token struct {
		h    *held
		u    *use
		life time.Duration
	}
	issuers := map[key][]token{}
	each(all, func(h *held, u *use) {
		if t := h.JWT; t != nil && !t.Refresh && !t.Issued.IsZero() && t.Expires.After(t.Issued) {
			k := key{u.service, cmp.Or(t.Issuer, "issuer not named")}
			issuers[k] = append(issuers[k], token{h, u, t.Expires.Sub(t.Issued)})
		}
	})
	for _, k := range slices.SortedFunc(maps.Keys(issuers), func(a, b key) int {
		return cmp.Or(strings.Compare(a.service, b.service), strings.Compare(a.issuer, b.issuer))
	}) {
		list := issuers[k]
		if len(list) < 5 {
			continue
		}
		slices.SortFunc(list, func(a, b token) int { return cmp.Compare(a.life, b.life) })
		short := 0
		for _, t := range list {
			if t.life < time.Hour {
				short++
			}
			e.see(t.h, t.u, analyze.Place{Name: k.issuer}, analyze.Info, t.u.first).
				say(0, "median %s, longest %s; %d %% under an hour", age(int64(list[len(list)/2].life)), age(int64(list[len(list)-1].life)), int(math.Round(float64(short)*100/float64(len(list)))))
		}
	}
}

// forgedTwins finds tokens that have the header and claims of another one and
// another signature, both accepted, where the algorithm gives only one.
func forgedTwins(_ *Ledger, all []*held, e *teller) {
	type key struct {
		service string
		signed  uint64
	}
	first := map[key]*held{}
	twins := map[key]bool{}
	tokens := func(f func(h *held, u *use, k key)) {
		each(all, func(h *held, u *use) {
			if h.JWT != nil && h.JWT.fixed && !h.JWT.None {
				f(h, u, key{u.service, h.JWT.signed})
			}
		})
	}
	tokens(func(h *held, u *use, k key) {
		o := first[k]
		if o != nil {
			twins[k] = true
			a, _ := o.span.Ends()
			b, _ := h.span.Ends()
			if cmp.Or(cmp.Compare(a, b), cmp.Compare(o.Hash, h.Hash)) < 0 {
				return
			}
		}
		first[k] = h
	})
	tokens(func(h *held, u *use, k key) {
		if twins[k] && first[k] != h {
			e.see(h, u, u.place, analyze.Critical, u.first).say(0, "header and claims are those of an earlier token, the signature is another one")
		}
	})
}
