package posture

import (
	"testing"
	"time"

	"plainsight/analyze"
)

// world is what a survey looks at, built up by its parts.
type world struct {
	now, before analyze.Snapshot
	old         bool // there is a baseline
}

type part func(*world)

func build(parts ...part) *world {
	w := new(world)
	w.now.First, w.now.Last = now, now.Add(time.Hour)
	for _, p := range parts {
		p(w)
	}
	return w
}

// is adds an endpoint to what is there now, and was to the baseline.
func is(service, method, template string, requests uint64, more ...func(*analyze.Endpoint)) part {
	return func(w *world) { add(&w.now, now, service, method, template, requests, more) }
}

func was(service, method, template string, requests uint64, more ...func(*analyze.Endpoint)) part {
	return func(w *world) {
		w.old = true
		add(&w.before, now.AddDate(0, 0, -90), service, method, template, requests, more)
	}
}

func add(s *analyze.Snapshot, at time.Time, service, method, template string, requests uint64, more []func(*analyze.Endpoint)) {
	e := analyze.Endpoint{Service: service, Method: method, Template: template, Requests: requests, Statuses: map[int]uint64{200: requests}, Auth: map[string]uint64{"jwt": requests}, Clients: 9, First: at, Last: at.Add(time.Hour)}
	for _, f := range more {
		f(&e)
	}
	s.Endpoints = append(s.Endpoints, e)
	for _, v := range s.Services {
		if v.Name == service {
			return
		}
	}
	s.Services = append(s.Services, analyze.Service{Name: service, Addresses: []string{"10.0.0.1:80"}})
}

func holds(side analyze.Side, kind, category, name string, count uint64) func(*analyze.Endpoint) {
	return func(e *analyze.Endpoint) {
		e.Sensitive = append(e.Sensitive, analyze.Sensitive{Kind: kind, Category: category, Place: analyze.Place{Side: side, Where: analyze.InBody, Name: name}, Count: count})
	}
}

func returns(kind, category, name string, count uint64) func(*analyze.Endpoint) {
	return holds(analyze.Response, kind, category, name, count)
}

func takes(kind, category, name string) func(*analyze.Endpoint) {
	return holds(analyze.Request, kind, category, name, 3)
}

func anonymous(e *analyze.Endpoint)      { e.Auth = map[string]uint64{"none": e.Requests} }
func failing(e *analyze.Endpoint)        { e.Statuses = map[int]uint64{404: e.Requests} }
func soloClient(e *analyze.Endpoint)     { e.Clients = 1 }
func fromOutside(e *analyze.Endpoint)    { e.Outside = 5 }
func lately(e *analyze.Endpoint)         { e.Last = now.AddDate(0, 0, -5) }
func unsettled(e *analyze.Endpoint)      { e.Last = e.First.Add(time.Minute) }
func oneFromOutside(e *analyze.Endpoint) { e.Outside = 1 }

// shows gives the good answers an object with fields; x? is in half of them, x:t
// has that type.
func shows(n uint64, fields ...string) func(*analyze.Endpoint) {
	return func(e *analyze.Endpoint) {
		root := analyze.Field{Side: analyze.Response, Where: analyze.InBody, Status: "200", Path: "$", Types: []string{"object"}, Present: n, Of: n}
		e.Fields = append(e.Fields, root)
		for _, f := range fields {
			typ, present := "string", n
			if f[len(f)-1] == '?' {
				f, present = f[:len(f)-1], n/2
			}
			if f[len(f)-1] == '#' {
				f, typ = f[:len(f)-1], "integer"
			}
			e.Fields = append(e.Fields, analyze.Field{Side: analyze.Response, Where: analyze.InBody, Status: "200", Path: "$." + f, Types: []string{typ}, Present: present, Of: n})
		}
	}
}

func asks(where analyze.Where, name string) func(*analyze.Endpoint) {
	return func(e *analyze.Endpoint) {
		e.Parameters = append(e.Parameters, analyze.Field{Side: analyze.Request, Where: where, Path: name})
	}
}

// calls adds an edge, and what answers at its server.
func callsTo(client, service, server string, requests uint64, more ...func(*analyze.Endpoint)) part {
	return func(w *world) {
		is(service, "POST", "/in", requests, more...)(w)
		for i := range w.now.Services {
			if w.now.Services[i].Name == service {
				w.now.Services[i].Addresses = []string{server}
			}
		}
		w.now.Edges = append(w.now.Edges, analyze.Edge{Client: client, Service: service, Server: server, Exchanges: requests})
	}
}

func shop(more ...part) []part {
	return append([]part{is("shop.example.com", "GET", "/orders", 100)}, more...)
}

// surveys are worlds in which a rule fires or stays silent.
var surveys = []struct {
	rule   string
	fires  [][]part
	worst  analyze.Severity // of the first of fires
	silent [][]part
}{
	{"exp.list", [][]part{
		{is("s", "GET", "/users", 10, returns("us_ssn", "pii", "$[].ssn", 80)), is("s", "GET", "/users/{id}", 9)},
		{is("s", "GET", "/users", 10, returns("email", "pii", "$.items[].email", 50), anonymous), is("s", "GET", "/users/{id}", 9)},
		{is("s", "POST", "/users/search", 10, returns("phone", "pii", "$[].phone", 90)), is("s", "GET", "/users/search/{id}", 9)},
		{is("s", "GET", "/v1/patients", 10, returns("diagnosis_code", "phi", "$.data[].dx", 60)), is("s", "GET", "/v1/patients/{id}", 9, returns("email", "pii", "$.email", 9))},
		{is("s", "GET", "/cards/", 5, returns("credit_card", "pci", "$[].number", 80)), is("s", "GET", "/cards/{cardId}", 9)},
	}, analyze.Medium, [][]part{
		{is("s", "GET", "/users", 10, returns("us_ssn", "pii", "$[].ssn", 80)), is("s", "GET", "/users/{id}", 9, returns("us_ssn", "pii", "$.ssn", 9))},
		{is("s", "GET", "/users", 10, returns("us_ssn", "pii", "$[].ssn", 80))},
		{is("s", "GET", "/users", 10, returns("us_ssn", "pii", "$[].ssn", 30)), is("s", "GET", "/users/{id}", 9)},
		{is("s", "GET", "/users", 10, returns("us_ssn", "pii", "$.ssn", 80)), is("s", "GET", "/users/{id}", 9)},
		{is("s", "GET", "/users", 10, returns("us_ssn", "pii", "$[].ssn", 80)), is("s", "GET", "/users/{id}", 4)},
		{is("s", "GET", "/users", 10, returns("postal_code", "pii", "$[].zip", 80)), is("s", "GET", "/users/{id}", 9)},
		{is("s", "GET", "/users", 10, returns("us_ssn", "pii", "$[].ssn", 80)), is("s", "GET", "/users/{id}/orders", 9)},
	}},
	{"exp.unused", [][]part{
		{is("s", "GET", "/me", 40, returns("us_ssn", "pii", "$.ssn", 40))}, {is("s", "GET", "/me", 40, returns("iban", "financial", "$.iban", 40)), is("s", "POST", "/pay", 9, takes("credit_card", "pci", "$.card"))},
		{is("s", "GET", "/me", 40, returns("diagnosis_code", "phi", "$.dx", 35))}, {is("s", "GET", "/me", 40, returns("uk_nino", "pii", "$.nino", 40)), is("t", "POST", "/x", 9, takes("uk_nino", "pii", "$.nino"))},
		{is("s", "GET", "/list", 40, returns("credit_card", "pci", "$[].pan", 400))},
	}, analyze.Low, [][]part{
		{is("s", "GET", "/me", 40, returns("us_ssn", "pii", "$.ssn", 40)), is("s", "POST", "/x", 9, takes("us_ssn", "pii", "$.ssn"))}, {is("s", "GET", "/me", 29, returns("us_ssn", "pii", "$.ssn", 29))},
		{is("s", "GET", "/me", 40, returns("us_ssn", "pii", "$.ssn", 40), soloClient)}, {is("s", "GET", "/me", 40, returns("email", "pii", "$.email", 40))},
		{is("s", "GET", "/me", 40, returns("us_ssn", "pii", "$.ssn", 40)), is("s", "GET", "/find", 9, asks(analyze.InQuery, "ssn"))}, {is("s", "GET", "/me", 40, returns("us_ssn", "pii", "$.ssn", 3))},
	}},
	{"inv.third-party", [][]part{
		shop(callsTo("10.0.0.1", "api.mailer.example.net", "203.0.113.9:443", 30, takes("us_ssn", "pii", "$.ssn"))), shop(callsTo("10.0.0.1", "api.maps.example.net", "203.0.113.9:443", 30)),
		shop(callsTo("10.0.0.1", "198.51.100.7:8080", "198.51.100.7:8080", 3)), shop(callsTo("10.0.0.1", "o1.ingest.sentry.io", "203.0.113.9:443", 30, takes("email", "pii", "$.user.email"))),
		shop(callsTo("10.0.0.1", "hooks.example.org", "203.0.113.9:443", 30, takes("aws_secret_key", "secret", "$.key"))),
	}, analyze.High, [][]part{
		shop(callsTo("10.0.0.7", "api.mailer.example.net", "203.0.113.9:443", 30)), shop(callsTo("10.0.0.1", "o1.ingest.sentry.io", "203.0.113.9:443", 30)),
		shop(callsTo("10.0.0.1", "pay.example.com", "203.0.113.9:443", 30)), shop(callsTo("10.0.0.1", "billing.internal", "10.0.0.8:80", 30)), shop(callsTo("192.0.2.4", "api.mailer.example.net", "203.0.113.9:443", 30)),
	}},
	{"egress.sensitive", [][]part{
		shop(was("api.mailer.example.net", "POST", "/in", 9), callsTo("10.0.0.1", "api.mailer.example.net", "203.0.113.9:443", 30, takes("us_ssn", "pii", "$.ssn"))),
		shop(was("shop.example.com", "GET", "/orders", 9), callsTo("10.0.0.1", "api.new.example.net", "203.0.113.9:443", 30, takes("email", "pii", "$.to"))),
		shop(was("api.mailer.example.net", "POST", "/in", 9, takes("email", "pii", "$.to")), callsTo("10.0.0.1", "api.mailer.example.net", "203.0.113.9:443", 30, takes("email", "pii", "$.to"), takes("phone", "pii", "$.sms"))),
		shop(was("api.mailer.example.net", "POST", "/in", 9), callsTo("10.0.0.1", "api.mailer.example.net", "203.0.113.9:443", 30, takes("github_token", "secret", "$.log"))),
		shop(was("o1.ingest.sentry.io", "POST", "/in", 9), callsTo("10.0.0.1", "o1.ingest.sentry.io", "203.0.113.9:443", 30, takes("credit_card", "pci", "$.extra.card"))),
	}, analyze.Medium, [][]part{
		shop(callsTo("10.0.0.1", "api.mailer.example.net", "203.0.113.9:443", 30, takes("us_ssn", "pii", "$.ssn"))),
		shop(was("api.mailer.example.net", "POST", "/in", 9, takes("us_ssn", "pii", "$.ssn")), callsTo("10.0.0.1", "api.mailer.example.net", "203.0.113.9:443", 30, takes("us_ssn", "pii", "$.ssn"))),
		shop(was("api.mailer.example.net", "POST", "/in", 9), callsTo("10.0.0.1", "api.mailer.example.net", "203.0.113.9:443", 30)),
		shop(was("api.mailer.example.net", "POST", "/in", 9), callsTo("10.0.0.7", "api.mailer.example.net", "203.0.113.9:443", 30, takes("us_ssn", "pii", "$.ssn"))),
		shop(was("api.mailer.example.net", "POST", "/in", 9), callsTo("10.0.0.1", "api.mailer.example.net", "203.0.113.9:443", 30, returns("us_ssn", "pii", "$.ssn", 9))),
	}},
	{"inv.new-service", [][]part{
		{was("a", "GET", "/", 9), is("b", "GET", "/", 9)}, {was("a", "GET", "/", 9), is("b", "GET", "/", 9, fromOutside)}, {was("a", "GET", "/", 9), is("a", "GET", "/", 9), is("c", "GET", "/", 3)},
		{was("a", "GET", "/", 9), is("10.0.0.9:8080", "GET", "/", 9)}, {was("a", "GET", "/", 9), is("b", "GET", "/x", 2), is("b", "GET", "/y", 2)},
	}, analyze.Low, [][]part{
		{is("b", "GET", "/", 9)}, {was("b", "GET", "/", 9), is("b", "GET", "/", 9)}, {was("a", "GET", "/", 9), is("b", "GET", "/", 2)}, {was("a", "GET", "/", 9), is("b", "GET", "/", 9, failing)}, {was("a", "GET", "/", 9), is("(other hosts)", "GET", "/", 9)},
	}},
	{"inv.new-endpoint", [][]part{
		{was("a", "GET", "/", 9), is("a", "GET", "/new", 30)}, {was("a", "GET", "/users", 9), is("a", "DELETE", "/users", 30)}, {was("a", "GET", "/users/{id}", 9), is("a", "GET", "/users/{id}/orders", 30)},
		{was("a", "GET", "/", 9), is("a", "GET", "/new", 3)}, {was("a", "GET", "/", 9), is("a", "GET", "/dump", 30, anonymous, returns("us_ssn", "pii", "$.ssn", 30))},
	}, analyze.Info, [][]part{
		{is("a", "GET", "/new", 30)}, {was("a", "GET", "/new", 9), is("a", "GET", "/new", 30)}, {was("a", "GET", "/users/17", 9), is("a", "GET", "/users/{id}", 30)}, {was("b", "GET", "/", 9), is("a", "GET", "/new", 30)},
		{was("a", "GET", "/", 9), is("a", "GET", "/new", 30, failing)}, {was("a", "GET", "/", 9), is("a", "GET", "/new", 9, unsettled)},
	}},
	{"inv.exposure-change", [][]part{
		{was("a", "GET", "/inner", 90), is("a", "GET", "/inner", 30, fromOutside)}, {was("a", "GET", "/inner/7", 20), was("a", "GET", "/inner/8", 20), is("a", "GET", "/inner/{id}", 30, fromOutside)},
		{was("a", "POST", "/jobs", 30), is("a", "POST", "/jobs", 6, fromOutside)}, {was("a", "GET", "/inner", 90), was("a", "GET", "/open", 90, fromOutside), is("a", "GET", "/inner", 30, fromOutside)},
		{was("a", "GET", "/inner", 90, anonymous), is("a", "GET", "/inner", 30, fromOutside)},
	}, analyze.High, [][]part{
		{was("a", "GET", "/inner", 90, fromOutside), is("a", "GET", "/inner", 30, fromOutside)}, {was("a", "GET", "/inner", 29), is("a", "GET", "/inner", 30, fromOutside)}, {was("a", "GET", "/inner", 90), is("a", "GET", "/inner", 30)},
		{is("a", "GET", "/inner", 30, fromOutside)}, {was("a", "GET", "/inner", 90), is("a", "GET", "/inner", 30, oneFromOutside)}, {was("a", "GET", "/other", 90), is("a", "GET", "/inner", 30, fromOutside)},
	}},
	{"inv.stale", [][]part{
		{was("a", "GET", "/old", 90), is("a", "GET", "/", 200)}, {was("a", "GET", "/old", 30), is("a", "POST", "/old", 200)}, {was("a", "GET", "/old/{id}", 90), is("a", "GET", "/old", 60), is("a", "GET", "/", 60)},
		{was("a", "GET", "/v1/x", 90), is("a", "GET", "/v2/x", 200)}, {was("a", "GET", "/old", 90), was("a", "GET", "/", 90), is("a", "GET", "/", 200)},
	}, analyze.Low, [][]part{
		{was("a", "GET", "/old", 90), is("a", "GET", "/old", 200)}, {was("a", "GET", "/old", 29), is("a", "GET", "/", 200)}, {was("a", "GET", "/old", 90), is("a", "GET", "/", 99)}, {was("a", "GET", "/old", 90), is("b", "GET", "/", 200)},
		{was("a", "GET", "/old", 90, lately), is("a", "GET", "/", 200)}, {was("a", "GET", "/old/7", 90), is("a", "GET", "/old/{id}", 200)},
	}},
	{"inv.shape-change", [][]part{
		{was("a", "GET", "/x", 60, shows(60, "id")), is("a", "GET", "/x", 60, shows(60, "id", "name"))}, {was("a", "GET", "/x", 60, shows(60, "id", "name")), is("a", "GET", "/x", 60, shows(60, "id"))},
		{was("a", "GET", "/x", 60, shows(60, "id")), is("a", "GET", "/x", 60, shows(60, "id#"))}, {was("a", "GET", "/x", 60, shows(60, "id", "old")), is("a", "GET", "/x", 60, shows(60, "id", "new"))},
		{was("a", "GET", "/x", 60, shows(60, "id")), is("a", "GET", "/x", 60, shows(60, "id", "ssn"), returns("us_ssn", "pii", "$.ssn", 60))},
	}, analyze.Info, [][]part{
		{was("a", "GET", "/x", 60, shows(60, "id")), is("a", "GET", "/x", 60, shows(60, "id"))}, {was("a", "GET", "/x", 60, shows(60, "id")), is("a", "GET", "/x", 60, shows(60, "id", "name?"))},
		{was("a", "GET", "/x", 40, shows(40, "id")), is("a", "GET", "/x", 60, shows(60, "id", "name"))}, {was("a", "GET", "/x", 60, shows(60, "id", "name?")), is("a", "GET", "/x", 60, shows(60, "id"))},
		{is("a", "GET", "/x", 60, shows(60, "id", "name"))}, {was("a", "GET", "/x", 60, shows(60, "id")), is("a", "GET", "/y", 60, shows(60, "id", "name"))},
	}},
	{"ver.none", [][]part{
		{was("a", "GET", "/x", 60, shows(60, "id", "name")), is("a", "GET", "/x", 60, shows(60, "id"))}, {was("a", "GET", "/x", 60, shows(60, "id")), is("a", "GET", "/x", 60, shows(60, "id#"))},
		{was("a", "GET", "/vans", 60, shows(60, "id", "name")), is("a", "GET", "/vans", 60, shows(60, "id"))}, {was("a", "GET", "/x", 60, shows(60, "id", "name")), is("a", "GET", "/x", 60, shows(60, "id"), asks(analyze.InQuery, "view"))},
		{was("a", "GET", "/x", 60, shows(60, "id", "name")), is("a", "GET", "/x", 60, shows(60, "id", "title")), is("a", "GET", "/y", 60)},
	}, analyze.Info, [][]part{
		{was("a", "GET", "/x", 60, shows(60, "id")), is("a", "GET", "/x", 60, shows(60, "id", "name"))}, {was("a", "GET", "/v1/x", 60, shows(60, "id", "name")), is("a", "GET", "/v1/x", 60, shows(60, "id"))},
		{was("a", "GET", "/x", 60, shows(60, "id", "name")), is("a", "GET", "/x", 60, shows(60, "id"), asks(analyze.InHeader, "x-api-version"))}, {was("v2.a.example", "GET", "/x", 60, shows(60, "id", "name")), is("v2.a.example", "GET", "/x", 60, shows(60, "id"))},
		{is("a", "GET", "/x", 60, shows(60, "id"))}, {was("a", "GET", "/x", 60, shows(60, "id", "name?")), is("a", "GET", "/x", 60, shows(60, "id"))},
	}},
}

func (w *world) survey() []analyze.Finding {
	before := &w.before
	if !w.old {
		before = nil
	}
	return SortFindings(Survey(&w.now, before))
}

func TestRowsThatLookAtTheWhole(t *testing.T) {
	for _, c := range surveys {
		for i, parts := range c.fires {
			f := find(build(parts...).survey(), c.rule)
			if f == nil || i == 0 && f.Severity != c.worst {
				t.Errorf("%s: %d: %+v", c.rule, i, f)
			} else if f.Summary == "" || f.Count == 0 || f.First.IsZero() || f.Key == "" {
				t.Errorf("%s: an incomplete finding: %+v", c.rule, f)
			}
		}
		for i, parts := range c.silent {
			if f := find(build(parts...).survey(), c.rule); f != nil {
				t.Errorf("%s: %d: %s", c.rule, i, f.Summary)
			}
		}
	}
}

func TestANewSensitiveFieldIsWorse(t *testing.T) {
	f := find(build(was("a", "GET", "/x", 60, shows(60, "id")), is("a", "GET", "/x", 60, shows(60, "id", "ssn"), returns("us_ssn", "pii", "$.ssn", 60))).survey(), "inv.shape-change")
	if f == nil || f.Severity != analyze.Medium || f.Place != "response body $.ssn" {
		t.Errorf("%+v", f)
	}
}

var stageSequences = []sequence{
	{rule: "inv.nonprod-in-prod", template: "/beta/a", fires: [][]talk{
		{{text: "GET /v1/a HTTP/1.1" + by(1) + ok}, {text: "GET /beta/a HTTP/1.1" + by(1) + ok}}, {{text: "GET /v1/a HTTP/1.1" + by(1) + ok}, {text: "POST /api/old/a HTTP/1.1" + by(1) + ok, from: foreign}},
	}, worst: analyze.Medium, silent: [][]talk{
		{{text: "GET /v1/a HTTP/1.1" + by(1) + ok}, {text: "GET /beta/a HTTP/1.1" + by(2) + ok}}, {{text: "GET /v1/a HTTP/1.1" + ok}, {text: "GET /beta/a HTTP/1.1" + ok}},
		{{text: "GET /v1/a HTTP/1.1" + by(1) + ok}, {text: "GET /betamax/a HTTP/1.1" + by(1) + ok}}, {{text: "GET /v1/a HTTP/1.1" + by(1) + ok}, {text: "GET /beta/a HTTP/1.1" + by(1) + "\n---\n403"}},
	}},
}
