package sensitive

import "plainsight/analyze"

// Profile says how bad a kind of data is, by the place where it is.
type Profile uint8

// Profiles, A to H of the type list.
const (
	LiveSecret         Profile = iota // A: keys and tokens of makers, connection strings
	SessionCredential                 // B: bearer tokens, JWTs, cookies
	PasswordLike                      // C: passwords, one-time codes, hashes
	CardNumber                        // D
	CardAuthentication                // D!: CVV, track, PIN: never stored after authorisation (PCI DSS 3.3)
	GovernmentID                      // E: and bank accounts, birth dates, devices of a person
	HealthData                        // F: and special categories (GDPR Art. 9)
	Contact                           // G
	WeakIdentifier                    // H
	Own                               // of a user's rule: Detector.Grade, wherever it is
)

var profileNames = [...]string{"A live secret", "B session credential", "C password", "D card number", "D! card authentication data", "E government id or account", "F health and special category", "G contact data", "H weak identifier", "of a rule"}

func (p Profile) String() string { return profileNames[p] }

// grades are the severities of a profile: in a URL (query or path), in the body
// of a request, in that of a response, in a header, and at least this where the
// wire was in the clear.
var grades = [...]struct{ url, request, response, header, plain analyze.Severity }{
	LiveSecret:         {analyze.Critical, analyze.High, analyze.Critical, analyze.High, analyze.Critical},
	SessionCredential:  {analyze.High, analyze.Low, analyze.Medium, analyze.Medium, analyze.High},
	PasswordLike:       {analyze.Critical, analyze.Medium, analyze.Critical, analyze.Medium, analyze.Critical},
	CardNumber:         {analyze.Critical, analyze.Low, analyze.High, analyze.High, analyze.Critical},
	CardAuthentication: {analyze.Critical, analyze.Medium, analyze.Critical, analyze.Critical, analyze.Critical},
	GovernmentID:       {analyze.High, analyze.Low, analyze.Medium, analyze.Medium, analyze.High},
	HealthData:         {analyze.High, analyze.Low, analyze.Medium, analyze.Medium, analyze.Critical},
	Contact:            {analyze.Medium, analyze.Info, analyze.Low, analyze.Low, analyze.Medium},
	WeakIdentifier:     {analyze.Low, analyze.Info, analyze.Info, analyze.Info, analyze.Low},
}

// Severity says how bad it is to see this kind of data at a place, on a wire.
// What only the exchange or the endpoint tells (a login, hundreds of distinct
// values, no authentication) is for the caller to add.
func Severity(d *Detector, p analyze.Place, wire analyze.Wire) analyze.Severity {
	if d.Profile == Own {
		return d.Grade
	}
	g := &grades[d.Profile]
	s := g.response
	switch p.Where {
	case analyze.InPath, analyze.InQuery:
		s = g.url
	case analyze.InHeader:
		s = g.header
		if authHeader(p.Name) {
			switch d.Profile {
			case LiveSecret:
				s = analyze.Medium
			case SessionCredential:
				s = analyze.Info
			}
		}
	case analyze.InCookie, analyze.InSetCookie:
		s = g.header
		if d.Profile == SessionCredential {
			s = analyze.Info
		}
	case analyze.InBody:
		if p.Side == analyze.Request {
			s = g.request
		} else if d.ID == "password_hash" {
			s = analyze.High
		}
	}
	if wire == analyze.Plaintext {
		s = max(s, g.plain)
	}
	return s
}

// Severity is that of the finding: lower where it is no real secret.
func (h *Hit) Severity(wire analyze.Wire) analyze.Severity {
	if h.Flags&(Test|Documentation|Masked) != 0 {
		return analyze.Info
	}
	s := Severity(h.Detector, h.Place, wire)
	if h.Flags&Expired != 0 {
		s = min(s, analyze.Medium)
	}
	return s
}

// authHeader tells the headers where a credential belongs.
func authHeader(name string) bool {
	switch {
	case equalFold([]byte(name), "authorization"), equalFold([]byte(name), "proxy-authorization"), equalFold([]byte(name), "x-api-key"), equalFold([]byte(name), "api-key"), equalFold([]byte(name), "apikey"),
		equalFold([]byte(name), "x-auth-token"), equalFold([]byte(name), "x-auth-key"), equalFold([]byte(name), "x-access-token"), equalFold([]byte(name), "x-vault-token"), equalFold([]byte(name), "private-token"),
		equalFold([]byte(name), "x-goog-api-key"), equalFold([]byte(name), "ocp-apim-subscription-key"), equalFold([]byte(name), "x-amz-security-token"):
		return true
	}
	return false
}
