package posture

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"plainsight/analyze"
)

// Rule is a row of the catalogue: its documentation and what makes it fire.
type Rule struct {
	analyze.Rule

	say   string // how the summary begins
	scope scope
	near  bool   // the summary says how far apart the ends were
	least uint64 // exchanges below which it stays silent
	need  fact

	// At least one of these looks at the traffic; exchange and handshake call see.
	exchange  func(o *Observation, e *emitter)
	handshake func(h *Handshake, e *emitter)
	// judge decides at the end whether and how to report what was seen.
	judge func(t *Tally, c *Context, v *verdict) bool
	// absence reports something that never happened; it returns out of how many.
	absence func(c *Context, v *verdict) uint64
	// conclude reports what the counts of an endpoint or service add up to, at as
	// many places as there are.
	conclude func(s *State, c *Context, report func(p analyze.Place, t *Tally, v verdict))
	// over reports what the credentials of a ledger add up to; all are sorted.
	over func(l *Ledger, all []*held, e *teller)
	// survey looks at the whole of a snapshot, and at the baseline where there is
	// one.
	survey func(s *survey)
}

// scope says what a rule's findings belong to.
type scope uint8

const (
	ofEndpoint scope = iota
	ofService
)

var exchangeRules, handshakeRules = split()

func split() (exchange, handshake []int) {
	for i := range Rules {
		if Rules[i].exchange != nil {
			exchange = append(exchange, i)
		}
		if Rules[i].handshake != nil {
			handshake = append(handshake, i)
		}
	}
	return exchange, handshake
}

// Catalogue lists the documentation of all rules.
func Catalogue() []analyze.Rule {
	list := make([]analyze.Rule, len(Rules))
	for i := range Rules {
		list[i] = Rules[i].Rule
	}
	return list
}

// byDistance is the severity of something readable on the way.
func byDistance(p Peer, public, private, node, loopback analyze.Severity) analyze.Severity {
	switch p {
	case Loopback:
		return loopback
	case SameNode:
		return node
	case Public:
		return public
	}
	return private
}

// Classes of sensitive data, as far as rules tell them apart.

func isContact(kind string) bool {
	switch kind {
	case "email", "phone", "street_address", "date_of_birth", "person_name":
		return true
	}
	return false
}

// isFaint tells kinds that identify nobody by themselves.
func isFaint(kind string) bool {
	switch kind {
	case "ip_address", "mac_address", "postal_code", "swift_bic", "card_expiry", "vin", "license_plate", "geo_location", "us_npi", "us_ein",
		"person_name", "us_aba_routing", "advertising_id", "crypto_btc", "crypto_eth", "presigned_url", "salary":
		return true
	}
	return false
}

func isSecret(h *Hit) bool { return h.Category == "secret" || h.Category == "credential" }

func isPersonal(h *Hit) bool {
	switch h.Category {
	case "pii", "pci", "phi", "financial":
		return true
	}
	return false
}

// weighs reports whether a hit matters to rules about exposure.
func weighs(h *Hit) bool { return !isFaint(h.Kind) && h.Category != "location" }

// published reports whether a hit is contact data where people publish it: in a
// web page, a script, or a header that says who runs the site.
func (o *Observation) published(h *Hit) bool {
	if !isContact(h.Kind) {
		return false
	}
	if h.Place.Where == analyze.InHeader {
		return true
	}
	return h.at(analyze.Response, analyze.InBody) && (isPage(o.contentType) || isStatic(o.contentType))
}

// capped is the severity for this value: a test number shows that the API moves
// such data, but nobody's.
func (h *Hit) capped(s analyze.Severity) analyze.Severity {
	switch {
	case !h.Test:
		return s
	case isContact(h.Kind):
		return min(s, analyze.Low)
	}
	return min(s, analyze.Medium)
}

// isToken tells credentials that a client is meant to get and to hold.
func isToken(kind string) bool {
	switch kind {
	case "jwt", "bearer_token", "access_token", "session_cookie", "otp_code":
		return true
	}
	return false
}

func isPassword(kind string) bool { return kind == "password" || kind == "pin_code" }

// bypasses reports whether a public client talks to an inner address.
func (o *Observation) bypasses() bool {
	client, server := o.Client.Addr().Unmap(), o.Server.Addr().Unmap()
	return client.IsValid() && server.IsValid() && !within(client) && within(server) && !o.public && o.Method != "OPTIONS"
}

// at reports whether the hit is in that part of a message.
func (h *Hit) at(side analyze.Side, where analyze.Where) bool {
	return h.Place.Side == side && h.Place.Where == where
}

// InURL reports whether the credential is in the path or the query.
func (c *Credential) InURL() bool {
	return c.Place.Where == analyze.InQuery || c.Place.Where == analyze.InPath
}

// Bits that rules leave on their tallies.
const (
	noteStrong   uint16 = 1 << iota // more than contact data
	noteContact                     // contact data
	noteWrites                      // a method that changes state
	noteOpen                        // without any sign of a credential
	noteList                        // several people in one answer
	noteExposed                     // answered to the public, or unauthenticated
	noteNoSecure                    // cookie flags that are missing
	noteNoHTTPOnly
	noteNoSameSite
	noteRS // families of signatures
	noteHS
	noteEncrypted
	noteProof // the answer itself shows the effect
)

// Rules is the catalogue.
var Rules = slices.Concat(
	plainRules,
	attackRules,
	windowRules,
	volumeRules,
	inputRules,
	storedRules,
	credentialRules,
	loginRules,
	surveyRules,
)

var plainRules = []Rule{
	{
		Rule: analyze.Rule{ID: "enc.clear-credential", Title: "Credential sent in the clear", Practice: analyze.Encryption, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "an Authorization header, session cookie, password or code in bytes that crossed the wire without TLS",
			Quiet:   "bytes must be seen on the wire; critical with a public peer, high between private addresses, medium on one node, info on loopback",
			Why:     "Whoever can read the network between the two ends, a neighbour, a router, a cloud tap, can take the credential and use it until it expires.",
			Fix:     "Serve this endpoint over TLS only, redirect nothing that carries credentials, and replace the credentials that were seen.",
			OWASP:   []string{"API2:2023", "API8:2023"}, CWE: []string{"CWE-319", "CWE-523"}},
		say: "A credential crossed the network unencrypted", near: true, need: plain,
		exchange: func(o *Observation, e *emitter) {
			sev := byDistance(o.Peer, analyze.Critical, analyze.High, analyze.Medium, analyze.Info)
			for i := range o.Credentials {
				if c := &o.Credentials[i]; !c.Publishable && c.Kind != Mutual && c.Kind != APIKey {
					e.see(c.Place, sev).sample(o.At, c.Sample)
				}
			}
			for i := range o.SetCookies {
				if c := &o.SetCookies[i]; c.Session {
					e.see(c.Place, sev).sample(o.At, c.Sample)
				}
			}
			for i := range o.Hits {
				if h := &o.Hits[i]; h.Category == "credential" && h.Kind != "password_hash" && h.Kind != "presigned_url" && !h.Test && !o.known(h) {
					e.see(h.Place, sev).sample(o.At, h.Sample)
				}
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "key.clear", Title: "API key sent in the clear", Practice: analyze.Keys, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "an API key or provider key in bytes that crossed the wire without TLS",
			Quiet:   "publishable and test keys by prefix; medium on one node, info on loopback",
			Why:     "Keys live long and are rarely bound to a caller: one look at the network is enough to use the API in the owner's name for months.",
			Fix:     "Serve the API over TLS only and rotate the keys that were seen.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-319"}},
		say: "A key crossed the network unencrypted", near: true, need: plain,
		exchange: func(o *Observation, e *emitter) {
			sev := byDistance(o.Peer, analyze.High, analyze.High, analyze.Medium, analyze.Info)
			for i := range o.Credentials {
				if c := &o.Credentials[i]; c.Kind == APIKey && !c.Publishable && !c.Test {
					e.see(c.Place, sev).sample(o.At, c.Sample)
				}
			}
			for i := range o.Hits {
				if h := &o.Hits[i]; h.Category == "secret" && !h.Test && !o.known(h) {
					e.see(h.Place, sev).sample(o.At, h.Sample)
				}
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "enc.clear-sensitive", Title: "Sensitive data sent in the clear", Practice: analyze.Encryption, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "verified personal, card or health data in bytes that crossed the wire without TLS",
			Quiet:   "the kind must be verified by a check digit or two signals; kinds that identify nobody alone are left out; contact data is one step less; info on loopback",
			Why:     "The data can be read, and changed, by anyone on the way. For card numbers PCI DSS 4.2.1 forbids it outright.",
			Fix:     "Serve this endpoint over TLS, also inside the network.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-319", "CWE-359"}},
		say: "Sensitive data crossed the network unencrypted", near: true, need: plain | hits,
		exchange: func(o *Observation, e *emitter) {
			for i := range o.Hits {
				h := &o.Hits[i]
				if !isPersonal(h) || !weighs(h) || o.published(h) {
					continue
				}
				sev := byDistance(o.Peer, analyze.High, analyze.High, analyze.Medium, analyze.Info)
				switch {
				case h.Category == "pci" && sev == analyze.High:
					sev = analyze.Critical
				case isContact(h.Kind) && sev > analyze.Low:
					sev--
				}
				e.see(h.Place, h.capped(sev)).sample(o.At, h.Sample)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "enc.clear-edge", Title: "Unencrypted HTTP", Practice: analyze.Encryption, Severity: analyze.Low, Level: analyze.Proved,
			Trigger: "any HTTP without TLS between two ends; one finding for each server",
			Quiet:   "info inside a node or on loopback, where a proxy beside the service may do the encrypting",
			Why:     "Everything on this connection can be read and changed on the way, whatever it carries today.",
			Fix:     "Turn on TLS at the server, or put the two ends into a mesh with mutual TLS.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-319"}},
		say: "HTTP was spoken without TLS", near: true, scope: ofService, need: plain,
		exchange: func(o *Observation, e *emitter) {
			e.see(analyze.Place{Name: o.ServerName}, byDistance(o.Peer, analyze.Low, analyze.Low, analyze.Info, analyze.Info))
		},
	},
	{
		Rule: analyze.Rule{ID: "enc.redirect-leak", Title: "Credential sent to HTTP before a redirect to HTTPS", Practice: analyze.Encryption, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "a request with a credential in the clear that is answered by a redirect to https",
			Quiet:   "info on loopback",
			Why:     "The redirect comes too late: the credential has already crossed the network unencrypted, and nobody notices because the client works.",
			Fix:     "Configure clients with https addresses, refuse plain HTTP for API hosts instead of redirecting, and send HSTS.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-319"}},
		say: "A credential was sent unencrypted and then redirected to https", near: true, need: plain | credentials,
		exchange: func(o *Observation, e *emitter) {
			if o.Status < 301 || o.Status > 308 || !bytes.HasPrefix(o.location, []byte("https://")) {
				return
			}
			c := &o.Credentials[0]
			e.see(c.Place, byDistance(o.Peer, analyze.High, analyze.High, analyze.Medium, analyze.Info)).sample(o.At, c.Sample)
		},
	},
	{
		Rule: analyze.Rule{ID: "enc.both-schemes", Title: "Endpoint answers on HTTP and on HTTPS", Practice: analyze.Encryption, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "successes of the same endpoint in the clear and inside TLS",
			Quiet:   "an http answer that only redirects is fine",
			Why:     "As long as plain HTTP works, somebody will use it, by an old link or by a downgrade.",
			Fix:     "Close the plaintext listener, or let it answer with redirects only.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-319"}},
		say: "The endpoint answered both with and without TLS",
		absence: func(c *Context, v *verdict) uint64 {
			if c.Stats.PlainSuccess == 0 || c.Stats.SecureSuccess == 0 {
				return 0
			}
			v.detail = fmt.Sprintf("%d in the clear, %d inside TLS", c.Stats.PlainSuccess, c.Stats.SecureSuccess)
			return c.Stats.PlainSuccess
		},
	},
	{
		Rule: analyze.Rule{ID: "enc.no-hsts", Title: "No Strict-Transport-Security", Practice: analyze.Encryption, Severity: analyze.Low, Level: analyze.NotSeen,
			Trigger: "20 or more answers to browsers inside TLS, none with the header for 180 days or more",
			Quiet:   "only where browsers come",
			Why:     "Without it a browser may be led to plain HTTP on its first visit.",
			Fix:     "Send Strict-Transport-Security with a max-age of at least 180 days.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-319"}},
		say: "No answer to a browser carried Strict-Transport-Security", scope: ofService,
		absence: func(c *Context, v *verdict) uint64 {
			if c.Stats.Browser < 20 || c.Stats.HSTS > 0 {
				return 0
			}
			return c.Stats.Browser
		},
	},
	{
		Rule: analyze.Rule{ID: "enc.cookie-flags", Title: "Session cookie without its protections", Practice: analyze.Encryption, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "a session-like cookie set without Secure, HttpOnly or SameSite",
			Quiet:   "only cookies that look like sessions, one finding for each name; low where only HttpOnly or SameSite is missing",
			Why:     "Without Secure the browser sends it over plain HTTP too; without HttpOnly any script on the page reads it; without SameSite other sites' requests carry it.",
			Fix:     "Set Secure, HttpOnly and SameSite=Lax or Strict on the cookie.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-614", "CWE-1004", "CWE-1275"}},
		say: "A session cookie was set without all its flags", scope: ofService, need: setCookies,
		exchange: func(o *Observation, e *emitter) {
			for i := range o.SetCookies {
				c := &o.SetCookies[i]
				if !c.Session || c.Secure && c.HTTPOnly && c.SameSite {
					continue
				}
				sev, note := analyze.Low, uint16(0)
				if !c.Secure {
					sev, note = analyze.Medium, noteNoSecure
					if o.Wire == analyze.Plaintext {
						sev = byDistance(o.Peer, analyze.High, analyze.High, analyze.Medium, analyze.Low)
					}
				}
				if !c.HTTPOnly {
					note |= noteNoHTTPOnly
				}
				if !c.SameSite {
					note |= noteNoSameSite
				}
				t := e.see(c.Place, sev)
				t.mark(note)
				t.sample(o.At, c.Sample)
			}
		},
		judge: func(t *Tally, c *Context, v *verdict) bool {
			var missing []string
			for i, name := range []string{"Secure", "HttpOnly", "SameSite"} {
				if t.note&(noteNoSecure<<i) != 0 {
					missing = append(missing, name)
				}
			}
			v.detail = "missing: " + strings.Join(missing, ", ")
			return true
		},
	},
	{
		Rule: analyze.Rule{ID: "enc.tls-old", Title: "TLS older than 1.2", Practice: analyze.Encryption, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "a ServerHello that picks SSL 3.0, TLS 1.0 or TLS 1.1",
			Quiet:   "judged by what was negotiated, not by what was offered",
			Why:     "These versions have known attacks and were withdrawn (RFC 8996).",
			Fix:     "Let the server accept TLS 1.2 and 1.3 only and update the clients that are left.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-326", "CWE-327"}},
		say: "The server agreed to an outdated TLS version", scope: ofService,
		handshake: func(h *Handshake, e *emitter) {
			if h.Version != 0 && h.Version < 0x0303 {
				e.see(analyze.Place{Name: VersionName(h.Version) + " at " + h.ServerName}, analyze.High)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "enc.tls-cipher", Title: "Weak TLS cipher suite", Practice: analyze.Encryption, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "a ServerHello that picks NULL, EXPORT, anonymous, RC4, DES, 3DES or static RSA key exchange",
			Quiet:   "judged by what was negotiated, not by what was offered",
			Why:     "The traffic can be read by an attacker with enough time, or at once (NULL, EXPORT, anonymous); with static RSA everything recorded opens when the server's key leaks.",
			Fix:     "Allow only ECDHE with AES-GCM or ChaCha20-Poly1305.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-326", "CWE-327"}},
		say: "The server agreed to a weak cipher suite", scope: ofService,
		handshake: func(h *Handshake, e *emitter) {
			if weak := weakCipher(h.Cipher); weak != "" && h.Version <= 0x0303 && h.Version != 0 {
				sev := analyze.Medium
				if weak == "NULL" || weak == "EXPORT" || weak == "anonymous" {
					sev = analyze.High
				}
				e.see(analyze.Place{Name: weak + " (" + CipherName(h.Cipher) + ") at " + h.ServerName}, sev)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "enc.cert-expired", Title: "Certificate expired", Practice: analyze.Encryption, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "a leaf whose notAfter lies before the capture's time",
			Quiet:   "TLS 1.3 hides certificates: not visible, which is never taken for fine",
			Why:     "Clients that still connect have stopped checking certificates, so anyone on the way can pose as the server.",
			Fix:     "Renew the certificate, automate it, and find out which clients skip the check.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-295", "CWE-298"}},
		say: "The server showed an expired certificate", scope: ofService,
		handshake: func(h *Handshake, e *emitter) {
			if l := h.Leaf; l != nil && !l.NotAfter.IsZero() && l.NotAfter.Before(h.Time) {
				e.see(certPlace(h), analyze.High)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "enc.cert-soon", Title: "Certificate expires within 14 days", Practice: analyze.Encryption, Severity: analyze.Low, Level: analyze.Proved,
			Trigger: "a leaf whose notAfter lies less than 14 days after the capture's time",
			Quiet:   "certificates made for less than 21 days in all are renewed that often",
			Why:     "When it expires, clients fail or learn to skip the check.",
			Fix:     "Renew it now and automate renewal.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-298"}},
		say: "The server's certificate is about to expire", scope: ofService,
		handshake: func(h *Handshake, e *emitter) {
			l := h.Leaf
			if l == nil || l.NotAfter.Before(h.Time) || l.NotAfter.Sub(h.Time) > 14*24*time.Hour {
				return
			}
			if !l.NotBefore.IsZero() && l.NotAfter.Sub(l.NotBefore) < 21*24*time.Hour {
				return
			}
			e.see(certPlace(h), analyze.Low)
		},
	},
	{
		Rule: analyze.Rule{ID: "enc.cert-self-signed", Title: "Self-signed certificate on a public name", Practice: analyze.Encryption, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "issuer and subject are the same and the name asked for is a public one",
			Quiet:   "internal names and bare addresses are left out",
			Why:     "Nothing vouches for it: clients either fail or do not check whom they talk to.",
			Fix:     "Use a certificate of an authority that the clients trust.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-295"}},
		say: "The server showed a self-signed certificate", scope: ofService,
		handshake: func(h *Handshake, e *emitter) {
			if h.Leaf != nil && h.Leaf.SelfSigned && publicName(h.SNI) {
				e.see(certPlace(h), analyze.Medium)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "enc.cert-name", Title: "Certificate for another name", Practice: analyze.Encryption, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "no name of the leaf matches the server name the client asked for, and the connection went on",
			Quiet:   "only where the client named a server and the certificate has names",
			Why:     "A client that goes on does not check whom it talks to.",
			Fix:     "Issue a certificate for this name and turn on verification in the clients.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-295"}},
		say: "The server showed a certificate for another name", scope: ofService,
		handshake: func(h *Handshake, e *emitter) {
			if h.Leaf != nil && h.SNI != "" && len(h.Leaf.Names) > 0 && !anyNameMatches(h.Leaf.Names, h.SNI) {
				e.see(certPlace(h), analyze.Medium)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "enc.mtls-missing", Title: "Caller without a client certificate", Practice: analyze.Encryption, Severity: analyze.Medium, Level: analyze.Inferred,
			Trigger: "a caller that was asked for a certificate, had none and was let in, where 95 % of fifty or more handshakes have one",
			Quiet:   "handshakes that ended in an alert are left out; TLS 1.3 hides client certificates: not visible, which is never taken for missing",
			Why:     "The service can be reached without the proof that all others give: mutual TLS is asked for, not required.",
			Fix:     "Require a client certificate at the server and give this caller one.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-306"}},
		say: "A caller was let in without the client certificate that others show", scope: ofService,
		handshake: func(h *Handshake, e *emitter) {
			if h.NoClientCertificate && !h.Refused {
				e.see(analyze.Place{Name: h.Client.Addr().Unmap().String() + " at " + h.ServerName}, analyze.Medium)
			}
		},
		judge: func(t *Tally, c *Context, v *verdict) bool {
			n := c.Stats.Mutual + c.Stats.NotMutual
			v.detail = fmt.Sprintf("%d of %d handshakes have one (95 %% of 50 needed)", c.Stats.Mutual, n)
			return n >= 50 && c.Stats.Mutual*20 >= n*19
		},
	},

	{
		Rule: analyze.Rule{ID: "auth.none", Title: "Answers without authentication", Practice: analyze.Authentication, Severity: analyze.High, Level: analyze.Inferred,
			Trigger: "all successes without any sign of a credential: 20 or more on an endpoint that changes state, names an object or returns sensitive data; or any number that return sensitive data",
			Quiet:   "login, registration, reset, health, static files, well-known documents, signed webhooks and pre-signed URLs are public; behind a gateway that strips credentials it is not visible; medium where objects without sensitive data are only read, or one person's contact data",
			Why:     "Whoever can reach the address gets the answer.",
			Fix:     "Require a credential on this endpoint, or list it as public on purpose.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-306"}},
		say: "Requests without any credential were answered", need: success | unauthenticated | answered,
		exchange: func(o *Observation, e *emitter) {
			if o.public || o.Method == "OPTIONS" || o.Method == "HEAD" || isStatic(o.contentType) {
				return
			}
			if len(o.contentType) > 0 && bytes.HasPrefix(o.contentType, []byte("text/html")) && !o.sensitive {
				return
			}
			t := e.see(analyze.Place{}, analyze.High)
			if t == nil {
				return
			}
			if writes(o.Method) {
				t.mark(noteWrites)
			}
			if o.Peer == Public {
				t.mark(noteExposed)
			}
			if o.Wire != analyze.Plaintext {
				t.mark(noteEncrypted)
			}
			for i := range o.Hits {
				h := &o.Hits[i]
				if !h.at(analyze.Response, analyze.InBody) || !weighs(h) || isToken(h.Kind) || o.published(h) {
					continue
				}
				if isContact(h.Kind) || h.Test {
					t.mark(noteContact)
				} else {
					t.mark(noteStrong)
				}
				if h.Values >= 5 && !h.Test {
					t.mark(noteList)
				}
				t.sample(o.At, h.Sample)
			}
		},
		judge: judgeNoAuth,
	},
	{
		Rule: analyze.Rule{ID: "auth.mixed", Title: "Answers with and without authentication", Practice: analyze.Authentication, Severity: analyze.High, Level: analyze.Inferred,
			Trigger: "five or more successes with a credential and five or more without, and the answers without one carry sensitive data",
			Quiet:   "the service must refuse requests elsewhere, so that credentials mean something there",
			Why:     "The check can be left out: a credential is sent, but nothing depends on it.",
			Fix:     "Enforce authentication before the handler of this endpoint and test it without a token.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-306", "CWE-288"}},
		say: "The endpoint answered with sensitive data whether or not a credential was sent", need: success | unauthenticated | hits, least: 5,
		exchange: func(o *Observation, e *emitter) {
			if o.public {
				return
			}
			for i := range o.Hits {
				if h := &o.Hits[i]; h.at(analyze.Response, analyze.InBody) && weighs(h) && !isToken(h.Kind) && !o.published(h) {
					t := e.see(analyze.Place{}, byDistance(o.Peer, analyze.Critical, analyze.High, analyze.High, analyze.High))
					t.sample(o.At, h.Sample)
				}
			}
		},
		judge: func(t *Tally, c *Context, v *verdict) bool {
			v.detail = fmt.Sprintf("%d with a credential, %d without (5 of each needed)", c.Stats.Authenticated, c.Stats.Unauthenticated)
			return c.Stats.Authenticated >= 5 && c.Around.Refused > 0
		},
	},
	{
		Rule: analyze.Rule{ID: "auth.ignored", Title: "An obviously bad token is accepted", Practice: analyze.Authentication, Severity: analyze.Critical, Level: analyze.Inferred,
			Trigger: "success with an Authorization header that holds nothing, null, undefined or a token that is cut off, on an endpoint where others send real ones; or with the header and claims of an earlier token under another signature",
			Quiet:   "the endpoint must also succeed with a real token, and the service must refuse something; signatures are compared where the algorithm gives one only",
			Why:     "If nothing is checked, any request passes as authenticated.",
			Fix:     "Verify the token on every request and refuse what does not parse.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-287", "CWE-347"}},
		say: "A request whose token is empty or a placeholder succeeded", need: success,
		exchange: func(o *Observation, e *emitter) {
			if o.badToken && len(o.Credentials) == 0 && !o.public {
				e.see(analyze.Place{Side: analyze.Request, Where: analyze.InHeader, Name: "authorization"}, analyze.Critical)
			}
		},
		judge: func(t *Tally, c *Context, v *verdict) bool {
			v.detail = fmt.Sprintf("%d successes with real credentials here, %d refusals at the service", c.Stats.Authenticated, c.Around.Refused)
			return c.Stats.Authenticated > 0 && c.Around.Refused > 0
		},
		over: forgedTwins,
	},
	{
		Rule: analyze.Rule{ID: "jwt.alg-none", Title: "Unsigned JWT", Practice: analyze.Authentication, Severity: analyze.Critical, Level: analyze.Proved,
			Trigger: "a token whose alg is missing or none in any case, or whose signature is empty; critical when the request succeeds, info when it is refused",
			Quiet:   "tokens are parsed strictly: three parts, two JSON objects",
			Why:     "Anyone can write such a token with any name and any role in it.",
			Fix:     "Accept only the algorithms that you issue, named in the verifier's configuration; never take alg from the token.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-347"}},
		say: "An unsigned token was sent", need: tokens | answered,
		exchange: func(o *Observation, e *emitter) {
			o.eachJWT(func(c *Credential, t *JWT) {
				if !t.None {
					return
				}
				sev := analyze.Info
				if o.Success {
					sev = analyze.Critical
				}
				e.see(c.Place, sev).sample(o.At, c.Sample)
			})
		},
		judge: func(t *Tally, c *Context, v *verdict) bool {
			v.detail = "refused each time"
			if v.severity == analyze.Critical {
				v.detail = "accepted"
			}
			return true
		},
	},
	{
		Rule: analyze.Rule{ID: "jwt.weak-secret", Title: "JWT signed with a guessable secret", Practice: analyze.Authentication, Severity: analyze.Critical, Level: analyze.Proved,
			Trigger: "an HS256, HS384 or HS512 signature that verifies with a word of the built-in list",
			Quiet:   "it is a computation: the secret is certain; the word is never written",
			Why:     "Whoever guesses the word, and it stands in tutorials, signs tokens for any user.",
			Fix:     "Change the secret to 32 random bytes or use an asymmetric algorithm, and end all tokens signed with the old one.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-521", "CWE-1391"}},
		say: "A token is signed with a secret from a short list of common words", scope: ofService, need: tokens,
		exchange: func(o *Observation, e *emitter) {
			o.eachJWT(func(c *Credential, t *JWT) {
				if t.Weak {
					e.see(c.Place, analyze.Critical).sample(o.At, c.Sample)
				}
			})
		},
	},
	{
		Rule: analyze.Rule{ID: "jwt.expired-accepted", Title: "Expired JWT accepted", Practice: analyze.Authentication, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "two or more successes with a token whose exp lies over 120 seconds before the capture's time",
			Quiet:   "refresh and id tokens are left out; medium where the service was never seen to refuse anything, since the endpoint may not look at the token at all",
			Why:     "A token that never ends is a password: once it leaks, it works for ever.",
			Fix:     "Check exp on every request; if the endpoint is public, do not send it tokens.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-613"}},
		say: "A token was accepted after its expiry", need: tokens | success, least: 2,
		exchange: func(o *Observation, e *emitter) {
			if o.public {
				return
			}
			o.eachJWT(func(c *Credential, t *JWT) {
				if !t.Refresh && !t.ID && !t.Expires.IsZero() && t.Expires.Before(o.Time.Add(-120*time.Second)) {
					e.see(c.Place, analyze.High).sample(o.At, c.Sample)
				}
			})
		},
		judge: func(t *Tally, c *Context, v *verdict) bool {
			if c.Around.Refused == 0 {
				v.severity = analyze.Medium
				v.detail = "the service was never seen to refuse a request, so it may not look at tokens at all"
			}
			return true
		},
	},
	{
		Rule: analyze.Rule{ID: "jwt.no-exp", Title: "JWT without expiry", Practice: analyze.Authentication, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "an accepted token without an exp claim",
			Quiet:   "refresh and id tokens are left out; only successes",
			Why:     "It works until the signing key changes, whatever happens to its owner.",
			Fix:     "Issue access tokens with an exp of minutes to hours and refresh them.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-613"}},
		say: "A token without expiry was accepted", scope: ofService, need: tokens | success,
		exchange: func(o *Observation, e *emitter) {
			o.eachJWT(func(c *Credential, t *JWT) {
				if t.Expires.IsZero() && !t.Refresh && !t.ID && !t.None {
					e.see(c.Place, analyze.Medium).sample(o.At, c.Sample)
				}
			})
		},
	},
	{
		Rule: analyze.Rule{ID: "jwt.long", Title: "Long-lived JWT", Practice: analyze.Authentication, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "an accepted token that lives over 24 hours from its issue (or from when it was seen), over 90 days for a machine's",
			Quiet:   "refresh and id tokens are left out; machines are told by their claims",
			Why:     "The longer it lives, the longer a leaked one works.",
			Fix:     "Issue access tokens for minutes to hours and refresh them.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-613"}},
		say: "A token with a long life was accepted", scope: ofService, need: tokens | success,
		exchange: func(o *Observation, e *emitter) {
			o.eachJWT(func(c *Credential, t *JWT) {
				if t.Expires.IsZero() || t.Refresh || t.ID {
					return
				}
				from, limit := t.Issued, 24*time.Hour
				if from.IsZero() {
					from = o.Time
				}
				if from.IsZero() {
					return // a log without times
				}
				if t.Service {
					limit = 90 * 24 * time.Hour
				}
				if t.Expires.Sub(from) > limit {
					e.see(c.Place, analyze.Medium).sample(o.At, c.Sample)
				}
			})
		},
	},
	{
		Rule: analyze.Rule{ID: "jwt.not-yet-valid", Title: "JWT accepted before its time", Practice: analyze.Authentication, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "success with a token whose nbf lies over 120 seconds after the capture's time",
			Quiet:   "two minutes of clock difference are granted",
			Why:     "The verifier does not look at the token's dates.",
			Fix:     "Check nbf and exp with a small tolerance.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-345"}},
		say: "A token was accepted before its nbf", need: tokens | success,
		exchange: func(o *Observation, e *emitter) {
			o.eachJWT(func(c *Credential, t *JWT) {
				if t.NotBefore.After(o.Time.Add(120 * time.Second)) {
					e.see(c.Place, analyze.Medium).sample(o.At, c.Sample)
				}
			})
		},
	},
	{
		Rule: analyze.Rule{ID: "jwt.header-abuse", Title: "JWT header that steers verification", Practice: analyze.Authentication, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "jku or x5u on a host that is not the issuer's, a kid with path or SQL characters, an embedded jwk; high when the request succeeds",
			Quiet:   "keys on the issuer's own host are fine",
			Why:     "The header is written by whoever made the token: a verifier that follows it checks the signature with the attacker's key, or runs the attacker's query.",
			Fix:     "Ignore jku, x5u and jwk, and look kid up in a fixed set of keys.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-347", "CWE-918"}},
		say: "A token's header points the verifier to a foreign key", need: tokens | answered,
		exchange: func(o *Observation, e *emitter) {
			o.eachJWT(func(c *Credential, t *JWT) {
				if len(t.Abuse) == 0 {
					return
				}
				sev := analyze.Medium
				if o.Success {
					sev = analyze.High
				}
				e.see(c.Place, sev).sample(o.At, c.Sample)
			})
		},
	},
	{
		Rule: analyze.Rule{ID: "jwt.confusion", Title: "JWT algorithm confusion", Practice: analyze.Authentication, Severity: analyze.Critical, Level: analyze.Inferred,
			Trigger: "tokens of one issuer and key id are accepted both with a public-key signature and with a shared-secret one",
			Quiet:   "issuer or key id must be named in the token and be the same",
			Why:     "A verifier that lets the token choose takes the public key, which everybody has, for the shared secret: anyone can sign.",
			Fix:     "Fix the algorithm for each key in the verifier's configuration.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-347"}},
		say: "Tokens of one issuer were accepted under two families of signatures", scope: ofService, need: tokens | success,
		exchange: func(o *Observation, e *emitter) {
			o.eachJWT(func(c *Credential, t *JWT) {
				if t.Issuer == "" || t.None {
					return
				}
				tally := e.see(analyze.Place{Name: t.Issuer}, analyze.Critical)
				if t.HMAC {
					tally.mark(noteHS)
				} else {
					tally.mark(noteRS)
				}
				tally.sample(o.At, c.Sample)
			})
		},
		judge: func(t *Tally, c *Context, v *verdict) bool { return t.note&noteHS != 0 && t.note&noteRS != 0 },
	},
	{
		Rule: analyze.Rule{ID: "jwt.sensitive-claims", Title: "Sensitive data inside a JWT", Practice: analyze.Authentication, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "a claim that holds a card number, social security number, password or postal address",
			Quiet:   "the value must have the form, the name alone is not enough; e-mail, name and phone alone are info",
			Why:     "A JWT is signed, not encrypted: everyone who holds or logs the token reads its claims.",
			Fix:     "Keep identifiers in tokens and look the rest up at the server.",
			OWASP:   []string{"API3:2023"}, CWE: []string{"CWE-359"}},
		say: "A token carries personal data in its claims", scope: ofService, need: tokens,
		exchange: func(o *Observation, e *emitter) {
			o.eachJWT(func(c *Credential, t *JWT) {
				switch {
				case len(t.Claims) > 0:
					e.see(c.Place, analyze.Medium).sample(o.At, c.Sample)
				case t.ContactClaims && !t.ID:
					e.see(c.Place, analyze.Info).sample(o.At, c.Sample)
				}
			})
		},
	},
	{
		Rule: analyze.Rule{ID: "tok.in-url", Title: "Token in the URL", Practice: analyze.Authentication, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "a JWT, bearer token, session id or password in the path or the query",
			Quiet:   "the value must look like a token; signed one-time URLs are info",
			Why:     "URLs end up in logs of servers and proxies, in browser histories and in Referer headers: the token is copied to places that nobody guards.",
			Fix:     "Send it in the Authorization header or a cookie, and end the tokens that were seen.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-598"}},
		say: "A token was sent in the URL",
		exchange: func(o *Observation, e *emitter) {
			sev := analyze.High
			if o.signedURL {
				sev = analyze.Info
			}
			for i := range o.Credentials {
				c := &o.Credentials[i]
				if c.InURL() && c.Kind != APIKey && (c.Random || c.JWT != nil || c.Place.Where == analyze.InPath) {
					e.see(c.Place, sev).sample(o.At, c.Sample)
				}
			}
			for i := range o.Hits {
				h := &o.Hits[i]
				if (h.at(analyze.Request, analyze.InQuery) || h.at(analyze.Request, analyze.InPath)) && h.Category == "credential" &&
					h.Kind != "presigned_url" && h.Kind != "password_hash" && !isPassword(h.Kind) && h.Kind != "otp_code" && !h.Test && h.Sample.Length >= 16 && !o.known(h) {
					e.see(h.Place, sev).sample(o.At, h.Sample)
				}
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "key.in-url", Title: "API key in the URL", Practice: analyze.Keys, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "an API key or provider key in the path or the query",
			Quiet:   "publishable keys by prefix; signed one-time URLs are left out",
			Why:     "URLs end up in logs of servers and proxies and in Referer headers, and keys live long.",
			Fix:     "Send the key in a header and rotate the keys that were seen.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-598"}},
		say: "A key was sent in the URL",
		exchange: func(o *Observation, e *emitter) {
			for i := range o.Credentials {
				c := &o.Credentials[i]
				if c.InURL() && c.Kind == APIKey && !c.Publishable && !o.signedURL {
					e.see(c.Place, analyze.High).sample(o.At, c.Sample)
				}
			}
			for i := range o.Hits {
				h := &o.Hits[i]
				if (h.at(analyze.Request, analyze.InQuery) || h.at(analyze.Request, analyze.InPath)) && h.Category == "secret" && !h.Test && !o.signedURL && !o.known(h) {
					e.see(h.Place, analyze.High).sample(o.At, h.Sample)
				}
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "basic.used", Title: "Basic authentication", Practice: analyze.Authentication, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "a Basic Authorization header between two machines",
			Quiet:   "silent on loopback",
			Why:     "The password itself goes with each request, is easily logged and decoded, and cannot expire.",
			Fix:     "Use short-lived tokens; where Basic must stay, keep it inside TLS and for machines only.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-522"}},
		say: "User name and password went with each request (Basic)", scope: ofService, near: true, need: credentials,
		exchange: func(o *Observation, e *emitter) {
			for i := range o.Credentials {
				if c := &o.Credentials[i]; c.Kind == Basic && o.Peer != Loopback {
					e.see(c.Place, analyze.Medium).sample(o.At, c.Sample)
				}
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "basic.weak", Title: "Weak password accepted", Practice: analyze.Authentication, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "success with a Basic password that is shorter than 8 characters, the user's name, or in the list of common ones",
			Quiet:   "only successes; a key sent as the user name with an empty password is no password",
			Why:     "It is guessed in seconds.",
			Fix:     "Change it to a long random one, or better to short-lived tokens.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-521"}},
		say: "A weak password was accepted", scope: ofService, need: credentials | success,
		exchange: func(o *Observation, e *emitter) {
			for i := range o.Credentials {
				if c := &o.Credentials[i]; c.Kind == Basic && c.Secret.Weak {
					e.see(c.Place, analyze.High)
				}
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "key.weak", Title: "Guessable API key accepted", Practice: analyze.Keys, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "success with a key that is in the list of placeholders and common words or the name of an account; or three or more keys of a service that are all under 16 characters, UUIDs of version 1, or vary in fewer than 48 bits (counted up, made of the time)",
			Quiet:   "only with success; the bits are an upper bound; publishable keys are left out",
			Why:     "Anyone who reads the documentation or guesses has the key.",
			Fix:     "Remove it and issue random keys of 128 bits or more.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-1391"}},
		say: "A guessable key was accepted", scope: ofService, conclude: weakAlphabets, need: credentials | success,
		exchange: func(o *Observation, e *emitter) {
			for i := range o.Credentials {
				if c := &o.Credentials[i]; c.Kind == APIKey && c.Secret.Weak && !o.public {
					e.see(c.Place, analyze.High)
				}
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "key.test-in-prod", Title: "Test key accepted", Practice: analyze.Keys, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "success with a key that names itself a test or sandbox key",
			Quiet:   "hosts that name themselves test, staging, sandbox, dev or local are left out, and loopback",
			Why:     "Test keys are shared freely; where they open production, so does everyone who has one.",
			Fix:     "Refuse test keys on production and keep the two environments apart.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-489"}},
		say: "A test key was accepted", need: credentials | success,
		exchange: func(o *Observation, e *emitter) {
			if o.Peer == Loopback || testHost(o.Host) {
				return
			}
			for i := range o.Credentials {
				if c := &o.Credentials[i]; c.Test && c.Kind != Session {
					e.see(c.Place, analyze.Medium).sample(o.At, c.Sample)
				}
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "oauth.implicit", Title: "OAuth implicit flow", Practice: analyze.Authentication, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "an authorization request with response_type=token or id_token token",
			Quiet:   "needs a client_id beside it",
			Why:     "The token comes back in the URL, where history, scripts and logs see it (RFC 9700 section 2.1.2).",
			Fix:     "Use the code flow with PKCE.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-598"}},
		say: "A client asked for a token by the implicit flow", need: parameters,
		exchange: func(o *Observation, e *emitter) {
			if o.oauth.token && o.oauth.client {
				e.see(analyze.Place{Side: analyze.Request, Where: analyze.InQuery, Name: "response_type"}, analyze.Medium)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "oauth.password-grant", Title: "OAuth password grant", Practice: analyze.Authentication, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "a token request with grant_type=password",
			Quiet:   "the field must be at the top of the body",
			Why:     "The client handles the user's password, and no second factor fits in (RFC 9700 section 2.4).",
			Fix:     "Use the code flow with PKCE, or the device flow.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-522"}},
		say: "A client asked for a token with a user's password",
		exchange: func(o *Observation, e *emitter) {
			if o.oauth.passwordGrant {
				e.see(analyze.Place{Side: analyze.Request, Where: analyze.InBody, Name: "$.grant_type"}, analyze.Medium)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "oauth.no-state", Title: "OAuth request without state", Practice: analyze.Authentication, Severity: analyze.Low, Level: analyze.Proved,
			Trigger: "an authorization request without state, nonce and code_challenge",
			Quiet:   "nonce or PKCE serve the same purpose",
			Why:     "Another site can finish the login with its own code and so sign the user in to a foreign account.",
			Fix:     "Send a random state, or PKCE, and check it on return.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-352"}},
		say: "An authorization request had nothing that binds it to its session", need: parameters,
		exchange: func(o *Observation, e *emitter) {
			if q := &o.oauth; q.client && (q.code || q.token) && !q.state && !q.challenge {
				e.see(analyze.Place{Side: analyze.Request, Where: analyze.InQuery, Name: "state"}, analyze.Low)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "oauth.http-redirect", Title: "OAuth redirect to plain HTTP", Practice: analyze.Authentication, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "redirect_uri with http:// to a host that is not loopback",
			Quiet:   "loopback is allowed for native apps (RFC 8252)",
			Why:     "The code or token comes back over an unencrypted connection.",
			Fix:     "Register https redirect addresses only.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-319"}},
		say: "An authorization request asked for a redirect to plain http", need: parameters,
		exchange: func(o *Observation, e *emitter) {
			if o.oauth.plainRedirect && o.oauth.client {
				e.see(analyze.Place{Side: analyze.Request, Where: analyze.InQuery, Name: "redirect_uri"}, analyze.High)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "oauth.secret-in-url", Title: "OAuth client secret in the URL", Practice: analyze.Authentication, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "client_secret in the query",
			Quiet:   "an empty one is ignored",
			Why:     "URLs are logged: the client's secret is where nobody guards it.",
			Fix:     "Send it in the body or by Basic authentication, and change it.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-598"}},
		say: "A client secret was sent in the URL", need: parameters,
		exchange: func(o *Observation, e *emitter) {
			if o.oauth.secretInURL {
				e.see(analyze.Place{Side: analyze.Request, Where: analyze.InQuery, Name: "client_secret"}, analyze.High)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "reset.token-in-url", Title: "Reset token in a GET URL", Practice: analyze.Authentication, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "a GET whose path has a reset or recovery word and whose query has a token",
			Quiet:   "the value must look like a token",
			Why:     "Link scanners, histories and Referer headers see it before or after the user does; whoever has it sets a new password.",
			Fix:     "Let the link open a page that posts the token, make it work once and for minutes.",
			OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-640"}},
		say: "A password reset token was sent in the URL", need: credentials,
		exchange: func(o *Observation, e *emitter) {
			if o.Method != "GET" || !hasSegment(o.Path, resetWords) {
				return
			}
			for i := range o.Credentials {
				if c := &o.Credentials[i]; c.InURL() && c.Random {
					e.see(c.Place, analyze.Medium).sample(o.At, c.Sample)
				}
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "bfla.admin", Title: "Administrative endpoint without authentication", Practice: analyze.LeastPrivilege, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "success of data (not a page) under a path with an administrative word, without any sign of a credential",
			Quiet:   "the word must be a whole segment; web pages, health probes and gateways that strip credentials are left out",
			Why:     "Functions for administrators are open to whoever can reach the address.",
			Fix:     "Require an authenticated principal with an administrative role here.",
			OWASP:   []string{"API5:2023"}, CWE: []string{"CWE-285"}},
		say: "An administrative path answered without any credential", near: true, need: success | unauthenticated | answered,
		exchange: func(o *Observation, e *emitter) {
			if o.public || o.Method == "OPTIONS" || o.Method == "HEAD" || o.Status == 304 || !hasSegment(o.Path, adminWords) || isStatic(o.contentType) || isPage(o.contentType) || len(o.contentType) == 0 && !writes(o.Method) {
				return
			}
			e.see(analyze.Place{}, byDistance(o.Peer, analyze.Critical, analyze.High, analyze.High, analyze.Medium))
		},
	},
	{
		Rule: analyze.Rule{ID: "doc.zombie", Title: "Retired endpoint still answers", Practice: analyze.Shadow, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "success with a Deprecation header, or with a Sunset date that has passed",
			Quiet:   "a Sunset or Deprecation date in the future is an announcement",
			Why:     "Old versions get fewer fixes and often weaker checks.",
			Fix:     "Move the callers named here and switch the endpoint off.",
			OWASP:   []string{"API9:2023"}, CWE: []string{"CWE-1059"}},
		say: "An endpoint that says it is retired still answers", need: success,
		exchange: func(o *Observation, e *emitter) {
			switch {
			case len(o.sunset) > 0 && datePassed(o.sunset, o.Time):
				e.see(analyze.Place{Side: analyze.Response, Where: analyze.InHeader, Name: "sunset"}, analyze.Medium)
			case len(o.deprecation) > 0 && (string(o.deprecation) == "true" || datePassed(o.deprecation, o.Time)):
				e.see(analyze.Place{Side: analyze.Response, Where: analyze.InHeader, Name: "deprecation"}, analyze.Medium)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "doc.exposed", Title: "API description open to everyone", Practice: analyze.Documentation, Severity: analyze.Low, Level: analyze.Proved,
			Trigger: "an OpenAPI or Swagger document served to a request without any credential",
			Quiet:   "told by the body, not by the path; info on loopback",
			Why:     "It is the map of the API, internal operations included.",
			Fix:     "Serve it to authenticated developers, or publish a trimmed one on purpose.",
			OWASP:   []string{"API9:2023"}, CWE: []string{"CWE-200"}},
		say: "An API description was served without any credential", near: true, need: success | unauthenticated | bodies,
		exchange: func(o *Observation, e *emitter) {
			if isAPIDocument(o.ResponseBody) {
				e.see(analyze.Place{}, byDistance(o.Peer, analyze.Low, analyze.Low, analyze.Low, analyze.Info))
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "doc.secret-in-doc", Title: "Secret in an API description", Practice: analyze.Documentation, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "an OpenAPI or Swagger document that holds a provider key or private key",
			Quiet:   "test and publishable keys are left out",
			Why:     "Examples are copied from real calls: whoever reads the documentation has the key.",
			Fix:     "Remove it from the document and rotate it.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-798"}},
		say: "An API description holds a secret", need: success | hits | bodies,
		exchange: func(o *Observation, e *emitter) {
			if !isAPIDocument(o.ResponseBody) {
				return
			}
			for i := range o.Hits {
				if h := &o.Hits[i]; h.at(analyze.Response, analyze.InBody) && h.Category == "secret" && !h.Test {
					e.see(h.Place, analyze.High).sample(o.At, h.Sample)
				}
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "inv.debug-surface", Title: "Debug or management surface", Practice: analyze.Discovery, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "success on a known debug path (actuator, pprof, server-status, phpinfo, .git, .env, heap dump, GraphiQL, H2 console) whose body is what that path serves",
			Quiet:   "the body must match the thing: a page that answers every path does not count; high with a public peer, critical with secrets in it",
			Why:     "Such pages show configuration, memory and keys, and some of them run commands.",
			Fix:     "Bind it to a management port that only operators reach, or switch it off.",
			OWASP:   []string{"API8:2023", "API9:2023"}, CWE: []string{"CWE-489", "CWE-215"}},
		say: "A debug surface answered", near: true, need: success | bodies,
		exchange: func(o *Observation, e *emitter) {
			if !debugSurface(o.Path, o.ResponseBody) {
				return
			}
			sev := byDistance(o.Peer, analyze.High, analyze.Medium, analyze.Medium, analyze.Low)
			for i := range o.Hits {
				if h := &o.Hits[i]; h.at(analyze.Response, analyze.InBody) && isSecret(h) && !h.Test && o.Peer != Loopback {
					sev = analyze.Critical
				}
			}
			e.see(analyze.Place{}, sev)
		},
	},
	{
		Rule: analyze.Rule{ID: "smuggle", Title: "Ambiguous message framing", Practice: analyze.Validation, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "a request with both lengths, two different lengths, a broken chunk, an odd transfer coding, a folded header or a bare line feed",
			Quiet:   "medium for forms that are only sloppy (folds, bare line feeds), low where the server refused; messages with lost bytes are not judged",
			Why:     "Two servers in a row can disagree where the request ends: the rest is then taken for another user's request.",
			Fix:     "Let the edge refuse such requests (RFC 9112 section 6.3) and speak HTTP/2 to the back end.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-444"}},
		say: "A request can be read in two ways", need: smuggled,
		exchange: func(o *Observation, e *emitter) {
			sev := analyze.High
			if o.Smuggled&(BothLengths|TwoLengths|BadChunk|OddCoding|InvalidLength) == 0 {
				sev = analyze.Medium
			}
			if o.Status >= 400 && o.Status < 500 {
				sev = analyze.Low
			}
			e.see(analyze.Place{Name: o.Smuggled.String()}, sev)
		},
	},
	{
		Rule: analyze.Rule{ID: "gql.introspection", Title: "GraphQL introspection answered", Practice: analyze.Validation, Severity: analyze.Low, Level: analyze.Proved,
			Trigger: "a query of __schema that is answered with the schema",
			Quiet:   "silent for authenticated callers; info on loopback",
			Why:     "It lists every type and operation, internal ones included.",
			Fix:     "Switch introspection off in production or require a developer's role.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-200"}},
		say: "The GraphQL schema was handed out", near: true, need: success | unauthenticated | bodies,
		exchange: func(o *Observation, e *emitter) {
			if bytes.Contains(prefix(o.ResponseBody, 256), []byte(`"__schema":`)) {
				e.see(analyze.Place{}, byDistance(o.Peer, analyze.Low, analyze.Low, analyze.Low, analyze.Info))
			}
		},
	},

	{
		Rule: analyze.Rule{ID: "pii.card", Title: "Card number in a response", Practice: analyze.Exposure, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "a full card number (Luhn, known range and length) in a successful answer",
			Quiet:   "identifiers and timestamps are told apart by field; critical in the clear or without authentication",
			Why:     "A full number in an answer can be read by the client, its logs and its extensions, and brings everything it touches into PCI DSS.",
			Fix:     "Return the last four digits or a token of the payment provider.",
			OWASP:   []string{"API3:2023"}, CWE: []string{"CWE-359"}},
		say: "A full card number was returned", near: true, need: success | hits,
		exchange: func(o *Observation, e *emitter) {
			o.eachInBody(func(h *Hit) {
				if h.Kind != "credit_card" && h.Kind != "card_track" && h.Kind != "card_cvv" {
					return
				}
				sev := analyze.High
				if o.Wire == analyze.Plaintext && o.Peer != Loopback || o.facts&unauthenticated != 0 && !o.public {
					sev = analyze.Critical
				}
				e.see(h.Place, h.capped(sev)).sample(o.At, h.Sample)
			})
		},
	},
	national("pii.ssn", "Social security number in a response", "us_ssn", "us_itin"),
	national("pii.iban", "Bank account number in a response", "iban", "bank_account"),
	national("pii.nino", "UK national insurance number in a response", "uk_nino"),
	national("pii.aadhaar", "Aadhaar number in a response", "in_aadhaar"),
	national("pii.cpf", "CPF number in a response", "br_cpf", "br_cnpj"),
	national("pii.nhs", "Health identifier in a response", "uk_nhs", "us_mbi", "au_medicare", "medical_record_number", "health_insurance_id"),
	national("pii.national-id", "National identity number in a response", "passport_number", "mrz", "drivers_license", "ca_sin", "in_pan", "es_dni_nie", "fr_nir",
		"it_codice_fiscale", "de_steuer_id", "nl_bsn", "pl_pesel", "se_personnummer", "fi_hetu", "cn_resident_id", "kr_rrn", "jp_my_number", "sg_nric", "au_tfn",
		"za_id", "mx_curp", "cl_rut", "tr_tckn", "be_nrn"),
	national("pii.health", "Health data in a response", "diagnosis_code", "medical_info", "us_dea", "special_category"),
	{
		Rule: analyze.Rule{ID: "pii.contact", Title: "Contact data in a response", Practice: analyze.Exposure, Severity: analyze.Info, Level: analyze.Proved,
			Trigger: "e-mail addresses, phone numbers, postal addresses or dates of birth in a successful answer: info for one record, medium for five or more in one answer, high for such a list without authentication",
			Quiet:   "phone numbers need a plus or a telling name; web pages and scripts are left out, people publish addresses there",
			Why:     "Lists of people are what scrapers and phishers look for, and rarely all of it is needed by the client.",
			Fix:     "Return only the fields the client shows, page the lists, and require authentication.",
			OWASP:   []string{"API3:2023"}, CWE: []string{"CWE-359"}},
		say: "Contact data was returned", need: success | hits,
		exchange: func(o *Observation, e *emitter) {
			open := o.facts&unauthenticated != 0 && !o.public
			o.eachInBody(func(h *Hit) {
				if !isContact(h.Kind) || isFaint(h.Kind) || o.published(h) {
					return
				}
				sev := analyze.Info
				switch {
				case open && h.Values >= 5:
					sev = analyze.High
				case open, h.Values >= 5:
					sev = analyze.Medium
				}
				e.see(h.Place, h.capped(sev)).sample(o.At, h.Sample)
			})
		},
	},
	{
		Rule: analyze.Rule{ID: "sec.password-out", Title: "Password in a response", Practice: analyze.Exposure, Severity: analyze.Critical, Level: analyze.Proved,
			Trigger: "a field named like a password with a real value in an answer; medium where the value is a hash",
			Quiet:   "masked, empty and boolean values, hints and API descriptions are left out",
			Why:     "The server keeps or echoes passwords readable; everyone who sees the answer can sign in as the user.",
			Fix:     "Never return the field; store only slow salted hashes.",
			OWASP:   []string{"API3:2023"}, CWE: []string{"CWE-256", "CWE-522"}},
		say: "A password was returned", need: hits | answered,
		exchange: func(o *Observation, e *emitter) {
			o.eachInBody(func(h *Hit) {
				switch {
				case isAPIDocument(o.ResponseBody), h.Test:
				case isPassword(h.Kind):
					e.see(h.Place, analyze.Critical).sample(o.At, h.Sample)
				case h.Kind == "password_hash":
					e.see(h.Place, analyze.Medium).sample(o.At, h.Sample)
				}
			})
		},
	},
	{
		Rule: analyze.Rule{ID: "sec.token-out", Title: "Secret in a response", Practice: analyze.Exposure, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "a provider key, private key or token in the answer of an endpoint that is not there to issue it",
			Quiet:   "login, token and key endpoints are left out; test and publishable keys are info",
			Why:     "Clients, logs and caches now hold a secret that opens another system.",
			Fix:     "Keep it at the server, return a reference, and rotate it.",
			OWASP:   []string{"API3:2023"}, CWE: []string{"CWE-200", "CWE-522"}},
		say: "A secret was returned", near: true, need: hits | answered,
		exchange: func(o *Observation, e *emitter) {
			issuer := issues(o.Method, o.Path)
			o.eachInBody(func(h *Hit) {
				switch {
				case !isSecret(h) || isPassword(h.Kind) || h.Kind == "password_hash" || h.Kind == "otp_code" || h.Kind == "presigned_url":
				case h.Test:
					e.see(h.Place, analyze.Info).sample(o.At, h.Sample)
				case issuer && (h.Category == "credential" || h.Kind == "api_key" || h.Kind == "oauth_client_secret" || h.Kind == "totp_seed"):
				default:
					e.see(h.Place, byDistance(o.Peer, analyze.Critical, analyze.High, analyze.High, analyze.High)).sample(o.At, h.Sample)
				}
			})
		},
	},
	{
		Rule: analyze.Rule{ID: "url.sensitive", Title: "Sensitive data in the URL", Practice: analyze.Exposure, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "personal data, a card number or a password in the path or the query; high where it reaches another host by Referer",
			Quiet:   "kinds that identify nobody alone are left out; tokens and keys have rules of their own",
			Why:     "URLs end up in logs of servers and proxies, in browser histories and in Referer headers.",
			Fix:     "Move it into the body of a POST, or use an opaque identifier.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-598"}},
		say: "Sensitive data was sent in the URL", need: hits,
		exchange: func(o *Observation, e *emitter) {
			for i := range o.Hits {
				h := &o.Hits[i]
				if !weighs(h) || !isPersonal(h) && !isPassword(h.Kind) {
					continue
				}
				switch {
				case h.at(analyze.Request, analyze.InQuery), h.at(analyze.Request, analyze.InPath):
					e.see(h.Place, h.capped(analyze.Medium)).sample(o.At, h.Sample)
				case h.at(analyze.Request, analyze.InHeader) && h.Place.Name == "referer" && !refererHost(o.referer, o.Host):
					e.see(h.Place, h.capped(analyze.High)).sample(o.At, h.Sample)
				}
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "cache.sensitive", Title: "Sensitive answer may be cached", Practice: analyze.Exposure, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "a successful GET with sensitive data that is marked public or came from a cache; low where nothing forbids storing it",
			Quiet:   "no-store and private are fine; with an Authorization header caches keep it private by themselves unless told otherwise",
			Why:     "A shared cache may hand one user's data to another.",
			Fix:     "Send Cache-Control: no-store (or private) on answers with personal data.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-525"}},
		say: "A sensitive answer may be kept by caches", need: success | hits | answered,
		exchange: func(o *Observation, e *emitter) {
			if o.Method != "GET" || !o.sensitive || o.Status != 200 {
				return
			}
			stored := o.age || hasToken(o.cacheControl, "public") || hasToken(o.cacheControl, "s-maxage")
			switch {
			case hasToken(o.cacheControl, "no-store"), hasToken(o.cacheControl, "private"):
			case stored:
				e.see(analyze.Place{Side: analyze.Response, Where: analyze.InHeader, Name: "cache-control"}, analyze.Medium)
			case !o.authHeader:
				e.see(analyze.Place{Side: analyze.Response, Where: analyze.InHeader, Name: "cache-control"}, analyze.Low)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "cors.wild", Title: "Other origins may read with the user's credentials", Practice: analyze.Exposure, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "Access-Control-Allow-Credentials with the request's foreign Origin reflected, or null",
			Quiet:   "origins of the same site are fine; * with credentials is refused by browsers and so low",
			Why:     "A page on any other site can call the API in the visitor's name and read the answer.",
			Fix:     "Compare Origin with a fixed list and never allow null.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-942"}},
		say: "A foreign origin was allowed to read answers with credentials", need: browserOrigin | answered,
		exchange: func(o *Observation, e *emitter) {
			place := analyze.Place{Side: analyze.Response, Where: analyze.InHeader, Name: "access-control-allow-origin"}
			switch {
			case !o.allowCredentials || len(o.allowOrigin) == 0:
			case string(o.allowOrigin) == "*":
				e.see(place, analyze.Low)
			case string(o.allowOrigin) == "null" || bytes.Equal(o.allowOrigin, o.origin) && !sameSite(o.origin, o.Host):
				e.see(place, analyze.High)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "err.stack", Title: "Stack trace in an answer", Practice: analyze.Exposure, Severity: analyze.Low, Level: analyze.Proved,
			Trigger: "two or more stack frames of one language in an error answer; medium with a public peer",
			Quiet:   "frames must have their form, the word exception is not enough",
			Why:     "It shows code paths, versions and libraries to whoever makes it fail.",
			Fix:     "Log the trace at the server and return an id for it.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-209"}},
		say: "A stack trace was returned", need: failed | bodies,
		exchange: func(o *Observation, e *emitter) {
			if lang := stackTrace(o.ResponseBody); lang != "" {
				e.see(analyze.Place{Side: analyze.Response, Where: analyze.InBody, Name: "(" + lang + ")"}, byDistance(o.Peer, analyze.Medium, analyze.Low, analyze.Low, analyze.Low))
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "err.sql", Title: "Database error in an answer", Practice: analyze.Exposure, Severity: analyze.Low, Level: analyze.Proved,
			Trigger: "the text of a database engine's error in an error answer; medium with a public peer",
			Quiet:   "needs the engine's own wording",
			Why:     "It shows the query's structure and that input reached it.",
			Fix:     "Catch database errors and return a general one; check how input gets into the query.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-209"}},
		say: "A database error was returned", need: failed | bodies,
		exchange: func(o *Observation, e *emitter) {
			if engine := sqlError(o.ResponseBody); engine != "" {
				e.see(analyze.Place{Side: analyze.Response, Where: analyze.InBody, Name: "(" + engine + ")"}, byDistance(o.Peer, analyze.Medium, analyze.Low, analyze.Low, analyze.Low))
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "err.path", Title: "Source path in an answer", Practice: analyze.Exposure, Severity: analyze.Low, Level: analyze.Proved,
			Trigger: "an absolute path of a source file in an error answer; medium with a public peer",
			Quiet:   "needs a known root and the ending of a source file",
			Why:     "It shows how the server is built and where.",
			Fix:     "Return general errors.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-209"}},
		say: "A path of source code was returned", need: failed | bodies,
		exchange: func(o *Observation, e *emitter) {
			if sourcePath(o.ResponseBody) {
				e.see(analyze.Place{Side: analyze.Response, Where: analyze.InBody}, byDistance(o.Peer, analyze.Medium, analyze.Low, analyze.Low, analyze.Low))
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "hdr.banner", Title: "Software version in a header", Practice: analyze.Exposure, Severity: analyze.Info, Level: analyze.Proved,
			Trigger: "Server or X-Powered-By with a version number",
			Quiet:   "a name alone is fine",
			Why:     "It tells which known holes to try.",
			Fix:     "Leave the version out.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-497"}},
		say: "A header names the software and its version", scope: ofService, need: answered,
		exchange: func(o *Observation, e *emitter) {
			if hasVersion(o.server) {
				e.see(analyze.Place{Side: analyze.Response, Where: analyze.InHeader, Name: "server"}, analyze.Info)
			}
			if hasVersion(o.poweredBy) {
				e.see(analyze.Place{Side: analyze.Response, Where: analyze.InHeader, Name: "x-powered-by"}, analyze.Info)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "net.internal", Title: "Internal address in an answer", Practice: analyze.Exposure, Severity: analyze.Low, Level: analyze.Proved,
			Trigger: "a Location header to a public peer that names a private address or a cluster name",
			Quiet:   "only towards public addresses",
			Why:     "It maps the inside of the network for outsiders.",
			Fix:     "Build absolute addresses from the public name, or use relative ones.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-497"}},
		say: "An internal address was returned to a public peer", need: answered,
		exchange: func(o *Observation, e *emitter) {
			if o.Peer == Public && !within(o.Client.Addr().Unmap()) && internalURL(o.location) {
				e.see(analyze.Place{Side: analyze.Response, Where: analyze.InHeader, Name: "location"}, analyze.Low)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "rate.header-missing", Title: "429 without Retry-After", Practice: analyze.Management, Severity: analyze.Info, Level: analyze.Proved,
			Trigger: "a 429 answer without Retry-After",
			Quiet:   "one finding for each endpoint",
			Why:     "Clients do not know when to come back and try at once.",
			Fix:     "Send Retry-After with each 429.",
			OWASP:   []string{"API4:2023"}, CWE: []string{"CWE-770"}},
		say: "A request was refused for its rate without saying until when", need: failed,
		exchange: func(o *Observation, e *emitter) {
			if o.Status == 429 && len(o.retryAfter) == 0 {
				e.see(analyze.Place{Side: analyze.Response, Where: analyze.InHeader, Name: "retry-after"}, analyze.Info)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "res.bomb", Title: "Body that unpacks to a hundred times its size", Practice: analyze.Management, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "a content coding undone to more than a hundred times the bytes and more than 10 MB, or to where the decoder's own limit stopped it",
			Quiet:   "small bodies of one repeated byte are left out: 256 KB at the least",
			Why:     "A few kilobytes fill the memory of whoever unpacks them: the service, a proxy, a scanner.",
			Fix:     "Limit the decoded size of bodies, not only the size on the wire.",
			OWASP:   []string{"API4:2023"}, CWE: []string{"CWE-409"}},
		say: "A body unpacked to far more than it seems",
		exchange: func(o *Observation, e *emitter) {
			for side, x := range o.Expansion {
				if x.Coded > 0 && x.Decoded > 100*x.Coded && (x.Decoded > 10<<20 || x.Stopped && x.Decoded >= 256<<10) {
					e.see(analyze.Place{Side: analyze.Side(side), Where: analyze.InBody}, analyze.Medium)
				}
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "gw.bypass", Title: "The gateway is passed by", Practice: analyze.Management, Severity: analyze.High, Level: analyze.Inferred,
			Trigger: "a service at an inner address that answers a public client without any mark of a gateway, where 95 of 100 and at least fifty other answers carry one",
			Quiet:   "callers from inside are their own kind; health probes and other public paths are left out",
			Why:     "Authentication, limits and filters of the gateway do not hold for whoever knows the address behind it.",
			Fix:     "Accept connections from the gateway only (network policy, mutual TLS) and check its header.",
			OWASP:   []string{"API8:2023", "API9:2023"}, CWE: []string{"CWE-288"}},
		say: "Public clients reached the service past its gateway", scope: ofService, need: success,
		exchange: func(o *Observation, e *emitter) {
			if !o.forwarded && o.bypasses() {
				e.see(analyze.Place{Name: o.ServerName}, analyze.High)
			}
		},
		judge: func(t *Tally, c *Context, v *verdict) bool {
			v.detail = fmt.Sprintf("%d other answers carried a gateway's mark (fifty and 19 times as many needed)", c.Stats.Forwarded)
			return c.Stats.Forwarded >= 50 && c.Stats.Forwarded >= 19*c.Stats.Direct
		},
	},
	{
		Rule: analyze.Rule{ID: "test.scan-success", Title: "A scanner's attack took effect", Practice: analyze.Testing, Severity: analyze.Critical, Level: analyze.Proved,
			Trigger: "a request of a known scanner with an injection whose answer shows the effect",
			Quiet:   "the effect must be in the answer, as for inj.effect",
			Why:     "A tool that anybody can download found a way in, and so will others.",
			Fix:     "If the test is yours, fix what it found first; if not, treat it as a break-in.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-74"}},
		say: "A scanner's payload took effect", need: attempts | answered,
		exchange: func(o *Observation, e *emitter) {
			if o.r.scanner(o.userAgent) == "" {
				return
			}
			for i := range o.attacks {
				if a := &o.attacks[i]; o.effect(a) {
					o.report(e, a, analyze.Critical)
				}
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "test.scanner", Title: "Security scanner at work", Practice: analyze.Testing, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "the user agent of a known scanner, or thirty or more different paths that do not exist, asked for by one caller within a minute",
			Quiet:   "info from private addresses: one's own test",
			Why:     "Either it is your own test, and then this is its record, or somebody looks for a way in.",
			Fix:     "Check that it is yours; if not, look at what it got answers for.",
			OWASP:   []string{"API9:2023"}, CWE: []string{"CWE-200"}},
		say: "Somebody tests the API, or looks for a way in", scope: ofService, near: true,
		exchange: func(o *Observation, e *emitter) {
			if name := o.r.scanner(o.userAgent); name != "" {
				e.see(analyze.Place{Name: name}, byDistance(o.Peer, analyze.Medium, analyze.Info, analyze.Info, analyze.Info))
			}
		},
		absence: probed,
	},
}

// national makes the rows for identity numbers, which differ only in kind.
func national(id, title string, kinds ...string) Rule {
	return Rule{
		Rule: analyze.Rule{ID: id, Title: title, Practice: analyze.Exposure, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "a verified value of kind " + strings.Join(kinds, ", ") + " in a successful answer",
			Quiet:   "format and check digit, or two signals where there is none",
			Why:     "Such numbers cannot be changed once they leak and are used to pose as their owner.",
			Fix:     "Return it only where the client must show it, masked but for the last digits.",
			OWASP:   []string{"API3:2023"}, CWE: []string{"CWE-359"}},
		say: "An identity number or record was returned", near: true, need: success | hits,
		exchange: func(o *Observation, e *emitter) {
			for i := range o.Hits {
				h := &o.Hits[i]
				if !h.at(analyze.Response, analyze.InBody) {
					continue
				}
				for _, k := range kinds {
					if h.Kind == k {
						e.see(h.Place, h.capped(analyze.High)).sample(o.At, h.Sample)
					}
				}
			}
		},
	}
}

// judgeNoAuth decides on auth.none. With sensitive data in the answer one
// exchange shows it; otherwise 20 successes are needed, and none with a
// credential.
func judgeNoAuth(t *Tally, c *Context, v *verdict) bool {
	if c.Stats.Authenticated > 0 {
		return false // auth.mixed
	}
	sensitive := t.note&(noteStrong|noteContact) != 0
	object := strings.Contains(c.Template, "{")
	exposed := t.note&noteExposed != 0
	switch {
	case sensitive && t.note&noteStrong == 0 && t.note&noteList == 0 && t.count < 20:
		v.severity = analyze.Medium // somebody's contact data
	case sensitive:
		v.severity = analyze.High
	case t.count >= 20 && (t.note&noteWrites != 0 || object):
		if t.note&noteWrites == 0 {
			v.severity = analyze.Medium // objects that may be meant for everybody
		}
		v.detail = fmt.Sprintf("all of %d successes (20 needed)", c.Stats.Unauthenticated)
		return true
	default:
		return false
	}
	if exposed && v.severity == analyze.High {
		v.severity = analyze.Critical
	}
	v.detail = "the answers carry sensitive data"
	if t.note&noteEncrypted == 0 {
		v.level = analyze.Proved // the whole request was seen, so nothing else identified the caller
	}
	return true
}
