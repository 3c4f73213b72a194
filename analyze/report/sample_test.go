package report

import (
	"fmt"
	"time"

	"plainsight/analyze"
)

var day = time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)

// shop is what an afternoon of a small shop looks like: users and orders in
// plaintext behind a proxy, payments over TLS that is partly old.
func shop() *analyze.Snapshot {
	const api, pay = "api.shop.example", "pay.shop.example"
	first, last := day, day.Add(14*time.Minute+22*time.Second)
	sample := func(mask, print string, n int) []analyze.Sample {
		return []analyze.Sample{{Mask: mask, Fingerprint: print, Length: n}}
	}
	place := func(side analyze.Side, where analyze.Where, name string) analyze.Place {
		return analyze.Place{Side: side, Where: where, Name: name}
	}
	field := func(side analyze.Side, where analyze.Where, path, kind, format string, of uint64) analyze.Field {
		f := analyze.Field{Side: side, Where: where, Path: path, Types: []string{kind}, Format: format, Required: true, Present: of, Of: of}
		if where == analyze.InBody {
			f.ContentType = "application/json"
			if side == analyze.Response {
				f.Status = "2xx"
			}
		}
		return f
	}
	email := func(side analyze.Side, path string, n uint64) analyze.Sensitive {
		return analyze.Sensitive{Kind: "email", Category: "pii", Place: place(side, analyze.InBody, path), Count: n, Severity: analyze.Medium,
			Samples: sample("an••••••••••••le", "5d1f0c2b9a7e4430c1a2b3d4", 20)}
	}
	endpoint := func(service, method, template string, requests uint64, statuses map[int]uint64, auth map[string]uint64, p50, p95 float64) analyze.Endpoint {
		e := analyze.Endpoint{ID: analyze.EndpointID(service, method, template, ""), Service: service, Method: method, Template: template,
			Requests: requests, Statuses: statuses, Auth: auth, Clients: 12, RequestBytes: int64(requests) * 180, ResponseBytes: int64(requests) * 2100,
			LatencyP50: p50, LatencyP95: p95, First: first, Last: last}
		if service == pay {
			e.Encrypted = requests
		} else {
			e.Plaintext = requests
		}
		return e
	}

	login := endpoint(api, "POST", "/v1/login", 412, map[int]uint64{200: 371, 401: 38, 429: 3}, map[string]uint64{"none": 412}, 84.2, 190.5)
	login.Fields = []analyze.Field{field(analyze.Request, analyze.InBody, "$.email", "string", "email", 412), field(analyze.Request, analyze.InBody, "$.password", "string", "", 412),
		field(analyze.Response, analyze.InBody, "$.token", "string", "jwt", 371)}
	login.Sensitive = []analyze.Sensitive{email(analyze.Request, "$.email", 412),
		{Kind: "password", Category: "credential", Place: place(analyze.Request, analyze.InBody, "$.password"), Count: 412, Severity: analyze.Critical, Samples: sample("•••••••", "0a11", 7)},
		{Kind: "jwt", Category: "credential", Place: place(analyze.Response, analyze.InBody, "$.token"), Count: 371, Severity: analyze.High, Samples: sample("ey••••••••••••4Q", "77aa", 214)}}
	users := endpoint(api, "GET", "/v1/users/{id}", 5210, map[int]uint64{200: 5102, 404: 96, 500: 12}, map[string]uint64{"jwt": 4588, "none": 622}, 4.1, 18.3)
	users.Parameters = []analyze.Field{field(analyze.Request, analyze.InPath, "2", "integer", "int64", 5210),
		{Side: analyze.Request, Where: analyze.InQuery, Path: "fields", Types: []string{"string"}, Enum: []string{"basic", "full"}, Present: 811, Of: 5210}}
	users.Fields = []analyze.Field{field(analyze.Response, analyze.InBody, "$.id", "integer", "", 5102), field(analyze.Response, analyze.InBody, "$.email", "string", "email", 5102),
		field(analyze.Response, analyze.InBody, "$.ssn", "string", "", 5102), field(analyze.Response, analyze.InBody, "$.tags[]", "string", "", 9120),
		{Side: analyze.Response, Where: analyze.InBody, Status: "2xx", ContentType: "application/json", Path: "$.phone", Types: []string{"string"}, Nullable: true, Present: 3400, Of: 5102},
		{Side: analyze.Response, Where: analyze.InBody, Status: "2xx", ContentType: "application/json", Path: "$.attributes", Types: []string{"object"}, Map: true, Present: 5102, Of: 5102, Required: true}}
	users.Sensitive = []analyze.Sensitive{email(analyze.Response, "$.email", 5102),
		{Kind: "us_ssn", Category: "pii", Place: place(analyze.Response, analyze.InBody, "$.ssn"), Count: 5102, Severity: analyze.High, Samples: sample("07•••••••20", "be01", 11)},
		{Kind: "phone", Category: "pii", Place: place(analyze.Response, analyze.InBody, "$.phone"), Count: 3400, Severity: analyze.Medium, Samples: sample("+4•••••••••••42", "be02", 15)}}
	orders := endpoint(api, "GET", "/v1/users/{id}/orders/{order_uuid}", 3977, map[int]uint64{200: 3977}, map[string]uint64{"jwt": 3977}, 7.8, 41)
	orders.Parameters = []analyze.Field{field(analyze.Request, analyze.InPath, "2", "integer", "", 3977), field(analyze.Request, analyze.InPath, "4", "string", "uuid", 3977)}
	create := endpoint(api, "POST", "/v1/orders", 902, map[int]uint64{201: 880, 400: 22}, map[string]uint64{"jwt": 902}, 22, 71)
	export := endpoint(api, "GET", "/v1/export", 14, map[int]uint64{200: 14}, map[string]uint64{"apikey:query:api_key": 14}, 1210, 4400)
	export.Unanswered = 1
	export.Sensitive = []analyze.Sensitive{{Kind: "api_key", Category: "credential", Place: place(analyze.Request, analyze.InQuery, "api_key"), Count: 14, Severity: analyze.High, Samples: sample("sk••••••••••••9f", "c0de", 32)}}
	payments := endpoint(pay, "POST", "/v2/payments", 790, map[int]uint64{201: 744, 402: 46}, map[string]uint64{"bearer": 790}, 140, 620)
	payments.Sensitive = []analyze.Sensitive{{Kind: "credit_card", Category: "pci", Place: place(analyze.Request, analyze.InBody, "$.card.number"), Count: 790, Severity: analyze.Critical, Samples: sample("41••••••••••••11", "cafe", 16)}}
	refund := endpoint(pay, "DELETE", "/v2/payments/{id}", 31, map[int]uint64{204: 31}, map[string]uint64{"bearer": 31}, 66, 102)

	fixes := map[string]string{
		"enc.clear-credential": "Serve the endpoint over TLS only, redirect nothing that carries a credential, and replace what was sent.",
		"enc.clear-sensitive":  "Serve the endpoint over TLS only.",
		"auth.mixed":           "Demand the credential on every request; check that no route around the gateway reaches the service.",
		"tok.in-url":           "Send the key in a header, and replace it: URLs are in logs, histories and Referer headers.",
		"jwt.long":             "Let access tokens expire within a day and renew them with a refresh token.",
		"login.brute":          "Slow down or lock after a few failures of one account."}
	whys := map[string]string{
		"enc.clear-credential": "Everyone on the way can read the credential and use it: a shared network, a proxy, a mirrored port.",
		"enc.clear-sensitive":  "Everyone on the way can read it. Data protection law and PCI DSS demand encryption in transit.",
		"auth.mixed":           "The credential is not what protects the data if the answer comes without it, too.",
		"tok.in-url":           "URLs are written to logs and passed on to third parties.",
		"jwt.long":             "A stolen token works until it expires.",
		"login.brute":          "Passwords can be guessed without end."}
	finding := func(rule, title string, practice analyze.Practice, severity analyze.Severity, e *analyze.Endpoint, where string, count uint64, mask string) analyze.Finding {
		name := e.Method + " " + e.Template
		return analyze.Finding{Key: analyze.FindingKey(rule, e.Service, name, where), Rule: rule, Title: title, Practice: practice, Severity: severity, Level: analyze.Proved,
			Service: e.Service, Endpoint: name, Place: where, Count: count, Principals: 9, First: first, Last: last,
			Summary:  fmt.Sprintf("%s: %d exchanges of %s %s.", title, count, e.Service, name),
			Why:      whys[rule],
			Fix:      fixes[rule],
			OWASP:    []string{"API2:2023", "API8:2023"},
			CWE:      []string{"CWE-319"},
			Samples:  sample(mask, "77aa", 20),
			Evidence: []analyze.Evidence{{Capture: "shop.pcapng", Frame: 118, Time: first.Add(2 * time.Second), Client: "10.0.0.17:50112", Server: "10.0.0.5:8080", Status: 200}}}
	}
	findings := []analyze.Finding{
		finding("enc.clear-credential", "Password sent in plaintext", analyze.Encryption, analyze.Critical, &login, "request body $.password", 412, "•••••••"),
		finding("auth.mixed", "Sensitive data answered without a credential", analyze.Authentication, analyze.Critical, &users, "response body $.ssn", 622, "07•••••••20"),
		finding("enc.clear-credential", "Bearer token sent in plaintext", analyze.Encryption, analyze.High, &users, "request header authorization", 4588, "ey••••••••••••4Q"),
		finding("enc.clear-credential", "Bearer token sent in plaintext", analyze.Encryption, analyze.High, &orders, "request header authorization", 3977, "ey••••••••••••4Q"),
		finding("enc.clear-credential", "Bearer token sent in plaintext", analyze.Encryption, analyze.High, &create, "request header authorization", 902, "ey••••••••••••4Q"),
		finding("tok.in-url", "Key in the URL", analyze.Keys, analyze.High, &export, "request query api_key", 14, "sk••••••••••••9f"),
		finding("enc.clear-sensitive", "Personal data in plaintext", analyze.Encryption, analyze.High, &users, "response body $.ssn", 5102, "07•••••••20"),
		finding("jwt.long", "Token that lives for 30 days", analyze.Authentication, analyze.Medium, &users, "request header authorization", 4588, "ey••••••••••••4Q"),
		finding("login.brute", "Many failed logins without a limit", analyze.Authentication, analyze.Low, &login, "", 38, ""),
	}
	findings[3].Samples, findings[8].Samples = nil, nil
	findings[7].Level = analyze.Inferred
	tls := analyze.Finding{Key: analyze.FindingKey("enc.tls-old", pay, "", "10.0.0.9:443"), Rule: "enc.tls-old", Title: "TLS 1.0 negotiated", Practice: analyze.Encryption, Severity: analyze.High, Level: analyze.Proved,
		Service: pay, Place: "10.0.0.9:443", Summary: "37 connections to 10.0.0.9:443 negotiated TLS 1.0.", Why: "TLS 1.0 has known weaknesses and was retired by RFC 8996.", Fix: "Refuse versions before TLS 1.2 on the server.",
		CWE: []string{"CWE-326"}, Count: 37, First: first, Last: last}
	findings = append(findings[:7:7], append([]analyze.Finding{tls}, findings[7:]...)...)

	score := func(p analyze.Practice, state analyze.State, n int, worst analyze.Severity, reason string) analyze.Score {
		return analyze.Score{Practice: p, Number: int(p), State: state, Findings: n, Worst: worst, Reason: reason}
	}
	return &analyze.Snapshot{
		Version: "0.1.0", First: first, Last: last, Exchanges: 11336,
		Services: []analyze.Service{
			{Name: api, Addresses: []string{"10.0.0.5:8080", "10.0.0.6:8080"}, Endpoints: 5, Requests: 10515, Wires: []analyze.Wire{analyze.Plaintext}, First: first, Last: last},
			{Name: pay, Addresses: []string{"10.0.0.9:443"}, Endpoints: 2, Requests: 821, Wires: []analyze.Wire{analyze.TLS}, First: first, Last: last}},
		Endpoints: []analyze.Endpoint{export, create, login, users, orders, payments, refund},
		Findings:  findings,
		Edges: []analyze.Edge{
			{Client: "10.0.0.0/24", Service: pay, Server: "10.0.0.9:443", Wire: analyze.TLS, Version: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256", Connections: 96, Exchanges: 784, Bytes: 1_910_224, First: first, Last: last},
			{Client: "10.0.0.31", Service: pay, Server: "10.0.0.9:443", Wire: analyze.TLS, Version: "TLS 1.0", Cipher: "TLS_RSA_WITH_3DES_EDE_CBC_SHA", Connections: 37, Exchanges: 37, Bytes: 88_012, First: first, Last: last},
			{Client: "10.0.0.0/24", Service: api, Server: "10.0.0.5:8080", Wire: analyze.Plaintext, Connections: 310, Exchanges: 10515, Bytes: 24_551_903, First: first, Last: last}},
		Sessions: []analyze.Session{
			{Server: "10.0.0.9:443", SNI: pay, Version: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256", ALPN: "h2", JA3: []string{"cd08e31494f9531f560d64c695473da9"}, JA3S: "eb1d94daa7e0344597e756a1fb6e7054", Connections: 96, First: first, Last: last},
			{Server: "10.0.0.9:443", SNI: pay, Version: "TLS 1.0", Cipher: "TLS_RSA_WITH_3DES_EDE_CBC_SHA", JA3S: "f1a2", Subject: "CN=pay.shop.example", Issuer: "CN=Shop Internal CA", NotAfter: day.Add(-72 * time.Hour),
				Certificate: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", Connections: 37, First: first, Last: last}},
		Scorecard: []analyze.Score{
			score(analyze.Discovery, analyze.Kept, 0, 0, "7 endpoints of 2 services inventoried."),
			score(analyze.Shadow, analyze.NotVisible, 0, 0, "No OpenAPI document was given to compare with."),
			score(analyze.Encryption, analyze.Broken, 6, analyze.Critical, "93 % of bytes travelled in plaintext."),
			score(analyze.Authentication, analyze.Broken, 3, analyze.Critical, "622 answers with sensitive data to requests without a credential."),
			score(analyze.LeastPrivilege, analyze.NotVisible, 0, 0, "Fewer than 3 principals a resource."),
			score(analyze.Documentation, analyze.NotVisible, 0, 0, "No OpenAPI document was given."),
			score(analyze.Validation, analyze.Kept, 0, 0, "Malformed requests were refused."),
			score(analyze.Exposure, analyze.Kept, 0, 0, "No answer had more than its peers."),
			score(analyze.Management, analyze.NotVisible, 0, 0, "No rate limit was reached."),
			score(analyze.Testing, analyze.NotVisible, 0, 0, "No test traffic was recognised."),
			score(analyze.Keys, analyze.Broken, 1, analyze.High, "1 key in a URL.")},
		Coverage: analyze.Coverage{
			Captures: []analyze.Capture{
				{Name: "shop.pcapng", Format: "pcapng", SHA256: "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", Bytes: 41_230_112, Frames: 61_204},
				{Name: "shop-2.pcap.gz", Format: "pcap", SHA256: "fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9", Bytes: 1_204, Frames: 9, Damaged: "cut inside frame 10"}},
			Counts: []analyze.Count{
				{Name: "frames_seen", Help: "frames read", Value: 61_213},
				{Name: "connections", Help: "TCP connections", Value: 443},
				{Name: "stream_gap_bytes", Help: "payload bytes lost", Value: 2_920},
				{Name: "tls_bytes", Help: "payload bytes inside TLS: not visible", Value: 1_998_236}},
			NotVisible: []string{"2.0 MB inside 133 TLS connections could not be read: the 821 payment requests were counted by the proxy's log.", "2 places of 2 connections lost 2,920 bytes; bodies there are marked as cut."},
			Noise:      61},
	}
}

// silent is a capture without HTTP.
func silent() *analyze.Snapshot {
	return &analyze.Snapshot{Version: "0.1.0", First: day, Last: day.Add(3 * time.Second),
		Sessions: []analyze.Session{{Server: "192.0.2.8:443", SNI: "example.com", Version: "TLS 1.3", Cipher: "TLS_AES_256_GCM_SHA384", ALPN: "h2", Connections: 4, First: day, Last: day}},
		Edges:    []analyze.Edge{{Client: "192.0.2.20", Service: "example.com", Server: "192.0.2.8:443", Wire: analyze.TLS, Version: "TLS 1.3", Connections: 4, Bytes: 52_000, First: day, Last: day}},
		Coverage: analyze.Coverage{
			Captures: []analyze.Capture{{Name: "tls.pcap", Format: "pcap", Bytes: 61_000, Frames: 88}},
			Counts: []analyze.Count{{Name: "frames_seen", Help: "frames read", Value: 88}, {Name: "connections", Help: "TCP connections", Value: 5},
				{Name: "stream_bytes", Help: "payload bytes delivered in order", Value: 52_000}, {Name: "connections_opaque", Help: "connections of no protocol known here", Value: 1}, {Name: "handshakes", Help: "TLS handshakes", Value: 4}}}}
}

// many is a snapshot of n endpoints with n findings and long names.
func many(n int) *analyze.Snapshot {
	s := shop()
	for i := range n {
		e := s.Endpoints[3]
		e.Service = fmt.Sprintf("svc-%d.shop.example", i%7)
		e.Template = fmt.Sprintf("/v1/区域/{id}/a-rather-long-name-of-a-collection-%d/{uuid}/items", i)
		e.ID = analyze.EndpointID(e.Service, e.Method, e.Template, "")
		e.Requests = uint64(i * 31 % 997)
		s.Endpoints = append(s.Endpoints, e)
		f := s.Findings[i%len(s.Findings)]
		f.Service, f.Endpoint = e.Service, e.Method+" "+e.Template
		f.Key = analyze.FindingKey(f.Rule, f.Service, f.Endpoint, f.Place)
		s.Findings = append(s.Findings, f)
		d := s.Edges[i%3]
		d.Service = e.Service
		s.Edges = append(s.Edges, d)
	}
	return s
}
