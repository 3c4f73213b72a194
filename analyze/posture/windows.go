package posture

import (
	"cmp"
	"fmt"

	"plainsight/analyze"
	"plainsight/analyze/tally"
)

// windowKey is what somebody did within a span of the traffic's clock.
type windowKey struct {
	kind    windowKind
	subject uint64 // keyed hash of an account, or of a client
	slot    int64
}

type windowKind uint8

const (
	attemptsOnAccount windowKind = iota // a minute
	accountsOfClient                    // ten minutes
	pathsOfClient                       // a minute
	accountsOfOrder                     // ten minutes, of requests with one order of headers
	codesOfSubject                      // ten minutes
)

func rankWindow(k windowKey) uint64 {
	return tally.Mix(k.subject ^ uint64(k.kind)<<60 ^ tally.Mix(uint64(k.slot)))
}

// window counts what fell into it.
type window struct {
	failed, good, limited uint64
	things, peers         tally.Distinct
}

func newWindow() *window { return new(window) }

func (w *window) merge(o *window) {
	w.failed += o.failed
	w.good += o.good
	w.limited += o.limited
	w.things.Merge(&o.things)
	w.peers.Merge(&o.peers)
}

// windowLimit is how many windows a [State] keeps; beyond, a part of the
// subjects stays, the same on each shard.
const windowLimit = 1024

func (s *State) window(k windowKey) *window {
	if s.windows.Len() == 0 && !s.windows.Full() {
		s.windows = tally.NewTable[windowKey, *window](windowLimit, rankWindow)
	}
	w, ok := s.windows.At(k, newWindow)
	if !ok {
		return nil
	}
	return w
}

const minute = int64(60e9)

// watch adds the exchange to the windows of its endpoint and service.
func (o *Observation) watch(endpoint, service *State) {
	if o.Frozen || o.At.Nano == 0 || o.Status == 0 {
		return
	}
	if endpoint != nil {
		o.measure(endpoint)
		if o.Success {
			o.learn(endpoint)
		}
	}
	if service != nil {
		if o.Success && !o.Weak && !o.marked {
			service.callers.Add(o.principalHash)
		}
		o.store(endpoint, service)
	}
	if endpoint != nil && o.account != 0 && hasSegment(o.Path, loginWords) {
		failure := o.Status == 401 || o.Status == 403 || o.SoftFailure
		for _, k := range [...]windowKey{{attemptsOnAccount, o.account, o.At.Nano / minute}, {accountsOfClient, o.principalHash, o.At.Nano / (10 * minute)}, {accountsOfOrder, o.order, o.At.Nano / (10 * minute)}} {
			w := endpoint.window(k)
			if w == nil {
				continue
			}
			switch {
			case o.Status == 429 || o.Status == 423:
				w.limited++
			case failure:
				w.failed++
				if k.kind != attemptsOnAccount {
					w.things.Add(o.account)
				}
				if k.kind == accountsOfOrder {
					w.peers.Add(addrHash(o.Client.Addr()))
				}
			case o.Success:
				w.good++
			}
		}
	}
	if endpoint != nil && o.code {
		who := cmp.Or(o.account, o.principalHash)
		if w := endpoint.window(windowKey{codesOfSubject, who, o.At.Nano / (10 * minute)}); w != nil {
			switch {
			case o.Status == 429 || o.Status == 423:
				w.limited++
			case o.Status == 400 || o.Status == 401 || o.Status == 403 || o.Status == 422 || o.SoftFailure:
				w.failed++
			}
		}
	}
	if service != nil && (o.Status == 404 || o.Status == 405 || o.Status == 501) {
		if w := service.window(windowKey{pathsOfClient, o.principalHash, o.At.Nano / minute}); w != nil {
			w.failed++
			w.things.Add(tally.Hash(o.Path))
			if o.Peer == Public {
				w.limited++
			}
		}
	}
}

var loginWords = words("login", "signin", "sign-in", "sign_in", "log-in", "session", "sessions", "authenticate", "auth", "token", "otp", "2fa", "mfa", "verify-otp", "verify_otp")

// accountName tells fields that say who wants to sign in.
func accountName(lower []byte) bool {
	switch string(lower) {
	case "username", "user", "email", "login", "account", "user_name", "phone", "mobile", "userid", "user_id", "identifier":
		return true
	}
	return false
}

var windowRules = []Rule{
	{
		Rule: analyze.Rule{ID: "login.brute", Title: "Many failed logins on one account", Practice: analyze.Authentication, Severity: analyze.Medium, Level: analyze.Inferred,
			Trigger: "ten or more failures within five minutes on one account, never slowed down (429, 423); high where the account then gets in",
			Quiet:   "failures of the same endpoint and the same account, which is kept as a keyed hash",
			Why:     "Nothing stops somebody from guessing on.",
			Fix:     "Slow down by account and by caller, lock or ask for a second factor after some failures.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-307"}},
		say: "Logins on one account failed again and again without being slowed down",
		absence: func(c *Context, v *verdict) (most uint64) {
			v.severity = analyze.Medium
			c.windows.All(func(k windowKey, _ *window) {
				if k.kind != attemptsOnAccount {
					return
				}
				var sum window
				for i := range int64(5) {
					if w, ok := c.windows.Get(windowKey{k.kind, k.subject, k.slot + i}); ok {
						sum.merge(w)
					}
				}
				if sum.failed < 10 || sum.limited > 0 {
					return
				}
				most = max(most, sum.failed)
				if sum.good > 0 {
					v.severity = analyze.High
				}
			})
			v.detail = fmt.Sprintf("up to %d failures within five minutes (ten needed)", most)
			return most
		},
	},
	{
		Rule: analyze.Rule{ID: "login.stuffing", Title: "One client tries many accounts", Practice: analyze.Authentication, Severity: analyze.High, Level: analyze.Inferred,
			Trigger: "one caller fails on twenty or more accounts within ten minutes; or five or more callers whose requests have their headers in one order fail on fifty",
			Quiet:   "four fifths of the logins must fail: many people behind one address, or with one app, mostly get in",
			Why:     "Lists of stolen passwords are tried out this way, and a few of them fit.",
			Fix:     "Slow down by caller, refuse known leaked passwords, and ask for a second factor.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-307"}},
		say: "Somebody failed to sign in to many accounts",
		absence: func(c *Context, v *verdict) (most uint64) {
			c.windows.All(func(k windowKey, w *window) {
				if w.failed*5 < (w.failed+w.good)*4 {
					return
				}
				switch n := w.things.Count(); {
				case k.kind == accountsOfClient && n >= 20, k.kind == accountsOfOrder && n >= 50 && w.peers.Count() >= 5:
					most = max(most, n)
				}
			})
			v.detail = fmt.Sprintf("up to %d accounts within ten minutes (20 needed of one caller, 50 of several that are alike)", most)
			return most
		},
	},
}

// probed counts the paths that one caller looked for in vain.
func probed(c *Context, v *verdict) (most uint64) {
	v.severity, v.level = analyze.Info, analyze.Inferred
	c.windows.All(func(k windowKey, w *window) {
		if k.kind != pathsOfClient || w.things.Count() < 30 {
			return
		}
		most = max(most, w.things.Count())
		if w.limited > 0 {
			v.severity = analyze.Medium
		}
	})
	v.detail = fmt.Sprintf("up to %d paths that do not exist within a minute, by one caller (30 needed)", most)
	return most
}
