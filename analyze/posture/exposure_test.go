package posture

import (
	"strings"

	"plainsight/analyze"
)

// texts makes a conversation of every text, inside TLS.
func texts(list ...string) (all [][]talk) {
	for _, text := range list {
		all = append(all, []talk{{text: text, tls: true}})
	}
	return all
}

// answers makes a conversation of every hit in a good answer.
func answers(hits ...[]Hit) (list [][]talk) {
	for _, h := range hits {
		list = append(list, []talk{{text: "GET /u HTTP/1.1" + ok, hits: h, tls: true}})
	}
	return list
}

// elsewhere is where a kind of data stands that is no finding of an answer's: in
// the request, in an answer that failed, in a header.
func elsewhere(kind, category string) [][]talk {
	return [][]talk{
		{{text: "POST /u HTTP/1.1\n\nx" + ok, hits: hit(kind, category, analyze.Request, analyze.InBody, "$.x"), tls: true}},
		{{text: "GET /u HTTP/1.1" + ok, hits: hit(kind, category, analyze.Request, analyze.InQuery, "x"), tls: true}},
		{{text: "GET /u HTTP/1.1\n---\n404\n\nx", hits: body(kind, category, "$.x"), tls: true}},
		{{text: "GET /u HTTP/1.1" + ok, hits: body(kind, category, "$.x"), soft: true, tls: true}},
		{{text: "GET /u HTTP/1.1\n---\n302\nLocation: /x", hits: hit(kind, category, analyze.Response, analyze.InHeader, "location"), tls: true}},
	}
}

// records makes the sequence of a row about kinds of data in answers.
func records(rule, other string, kinds ...string) sequence {
	s := sequence{rule: rule, template: "/u", worst: analyze.High}
	for i := range 5 {
		kind := kinds[i%len(kinds)]
		h := body(kind, "pii", []string{"$.id", "$.data.number", "$[].no", "$.items[].ref", "$.owner.x"}[i])
		h[0].Values = 1 + i*3
		s.fires = append(s.fires, []talk{{text: "GET /u HTTP/1.1" + ok, hits: h, tls: true}})
	}
	s.silent = append(elsewhere(kinds[0], "pii"), answers(body(other, "pii", "$.x"))...)
	return s
}

const introspected = "POST /graphql HTTP/1.1\n\n{\"query\":\"{__schema{types{name}}}\"}"

func xml(entities string) string {
	return "POST /x HTTP/1.1\n\n<!DOCTYPE a [" + entities + "]><a/>" + ok
}

func batch(n int) string {
	return "POST /graphql HTTP/1.1\n\n[" + strings.TrimSuffix(strings.Repeat(`{"query":"{a}"},`, n), ",") + "]" + ok
}

func suggests(status, message string) string {
	return "POST /graphql HTTP/1.1\n\n{\"query\":\"{usr}\"}\n---\n" + status + "\nContent-Type: application/json\n\n{\"errors\":[{\"message\":\"" + message + "\"}]}"
}

var exposureSequences = []sequence{
	records("pii.ssn", "uk_nino", "us_ssn", "us_itin"), records("pii.iban", "swift_bic", "iban", "bank_account"), records("pii.nino", "us_ssn", "uk_nino"), records("pii.aadhaar", "in_pan", "in_aadhaar"),
	records("pii.cpf", "us_ein", "br_cpf", "br_cnpj"), records("pii.nhs", "us_npi", "uk_nhs", "us_mbi", "au_medicare", "medical_record_number", "health_insurance_id"),
	records("pii.national-id", "us_ssn", "passport_number", "pl_pesel", "nl_bsn", "cn_resident_id", "tr_tckn"), records("pii.health", "us_npi", "diagnosis_code", "medical_info", "special_category"),
	{rule: "pii.card", template: "/u", worst: analyze.Critical, fires: answers(body("card_track", "pci", "$.t"), body("credit_card", "pci", "$[].card")), silent: elsewhere("credit_card", "pci")},
	{rule: "pii.contact", template: "/u", worst: analyze.Medium, fires: answers(body("street_address", "pii", "$.a"), many(body("phone", "pii", "$[].p"), 9)), silent: elsewhere("phone", "pii")},
	{rule: "sec.password-out", template: "/u", worst: analyze.Critical, fires: answers(body("password", "credential", "$.user.pw"), body("pin_code", "credential", "$.pin"), body("password", "credential", "$[].password")),
		silent: answers(body("email", "pii", "$.password_hint"), body("otp_code", "credential", "$.code"), body("jwt", "credential", "$.token"), hit("password", "credential", analyze.Request, analyze.InQuery, "pw"))},
	{rule: "sec.token-out", template: "/conf", worst: analyze.High, fires: answers(body("github_token", "secret", "$.ci"), body("private_key", "secret", "$.pem"))},
	{rule: "url.sensitive", template: "/u", worst: analyze.Medium, fires: answers(hit("us_ssn", "pii", analyze.Request, analyze.InQuery, "ssn")),
		silent: answers(hit("email", "pii", analyze.Request, analyze.InHeader, "x-user"), body("email", "pii", "$.email"))},
	{rule: "cache.sensitive", template: "/u", worst: analyze.Medium, fires: [][]talk{
		{{text: "GET /u HTTP/1.1\n" + bearer(token32) + "\n---\n200\nCache-Control: s-maxage=600\n\nx", hits: body("us_ssn", "pii", "$.ssn"), tls: true}},
		{{text: "GET /u HTTP/1.1\n---\n200\nCache-Control: max-age=60\nAge: 30\n\nx", hits: body("iban", "financial", "$.iban"), tls: true}},
	}},
	{rule: "err.sql", worst: analyze.Low, fires: texts("GET /u HTTP/1.1\n---\n500\n\nORA-00933: SQL command not properly ended", "GET /u HTTP/1.1\n---\n500\n\nERROR: syntax error at or near \"WHERE\""),
		silent: texts("GET /u HTTP/1.1\n---\n500\n\nthe query could not be run", "GET /u HTTP/1.1\n---\n400\n\n{\"error\":\"unknown column in filter\"}", "GET /u HTTP/1.1\n---\n404\n\nno SQL here", "POST /u HTTP/1.1\n\nYou have an error in your SQL syntax\n---\n500\n\nsorry")},
	{rule: "err.path", worst: analyze.Low, fires: texts("GET /u HTTP/1.1\n---\n500\n\n{\"file\":\"/app/src/orders.py\"}", "GET /u HTTP/1.1\n---\n500\n\nat /home/deploy/api/index.js:10", "GET /u HTTP/1.1\n---\n400\n\n/usr/src/app/routes/user.ts(12,4)"),
		silent: texts("GET /u HTTP/1.1\n---\n200\n\n{\"file\":\"/app/src/orders.py\"}", "GET /u HTTP/1.1\n---\n404\n\n{\"error\":\"/home/jo has no orders\"}", "GET /u HTTP/1.1\n---\n404\n\nCannot GET /assets/app.js", "GET /u HTTP/1.1\n---\n500\n\n{\"path\":\"/opt/reports/q1.pdf\"}")},
	{rule: "net.internal", worst: analyze.Low, fires: [][]talk{
		{{text: "GET /u HTTP/1.1\n---\n301\nLocation: https://192.168.4.5/u", from: foreign}}, {{text: "GET /u HTTP/1.1\n---\n201\nLocation: http://db.internal/u/1", from: foreign}}, {{text: "GET /u HTTP/1.1\n---\n307\nLocation: http://cart.shop.svc:8080/u", from: foreign}},
	}, silent: [][]talk{
		{{text: "GET /u HTTP/1.1\n---\n302\nLocation: https://203.0.113.80/u", from: foreign}}, {{text: "GET /u HTTP/1.1\n---\n302\nLocation: http://cart.shop.svc:8080/u"}}, {{text: "GET /u HTTP/1.1\n---\n302", from: foreign}},
	}},
	{rule: "rate.header-missing", worst: analyze.Info, fires: texts("GET /u HTTP/1.1\n---\n429", "POST /u HTTP/1.1\n---\n429\nX-RateLimit-Limit: 10", "GET /u HTTP/1.1\n---\n429\nRetry-After: ", "GET /u HTTP/1.1\n"+bearer(token32)+"\n---\n429\n\n{}"),
		silent: texts("GET /u HTTP/1.1\n---\n429\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT", "GET /u HTTP/1.1\n---\n403", "GET /u HTTP/1.1"+ok)},
	{rule: "xml.bomb", template: "/x", worst: analyze.Medium, fires: [][]talk{
		{{text: xml(`<!ENTITY a "x"><!ENTITY b "&a;&a;&a;"><!ENTITY c "&b;&b;"><!ENTITY d "&c;">`)}}, {{text: xml(`<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;"><!ENTITY lol3 "&lol2;"><!ENTITY lol4 "&lol3;"><!ENTITY lol5 "&lol4;">`)}}, {{text: xml(`<!ENTITY b "t&a;"><!ENTITY c "&a;&b;"><!ENTITY d "&c;&c;">`), from: foreign}},
	}},
	{rule: "gql.batch", template: "/graphql", worst: analyze.Medium, fires: texts(batch(11), batch(40), batch(500)), silent: texts(batch(10), batch(1))},
	{rule: "gql.suggest", template: "/graphql", worst: analyze.Low, fires: texts(suggests("400", `Cannot query field 'usr'. Did you mean 'user'?`), suggests("200", `Unknown argument. Did you mean \"first\"?`), suggests("422", `Did you mean "orders" or "order"?`)),
		silent: texts(suggests("400", `Unknown field`), suggests("400", "did you check the docs?"))},
	{rule: "smuggle", worst: analyze.High, fires: [][]talk{{{text: "POST /a HTTP/1.1" + ok, framing: OddCoding}}, {{text: "POST /a HTTP/1.1" + ok, framing: InvalidLength}}},
		silent: texts("GET /a HTTP/1.1"+ok, "POST /a HTTP/1.1\nTransfer-Encoding: gzip, chunked\n\nx"+ok, "PUT /a HTTP/1.1\nContent-Length: 1\nConnection: close\n\nx"+ok)},
	{rule: "gql.introspection", template: "/graphql", worst: analyze.Low, fires: texts(introspected+"\n---\n200\n\n{\"data\":{\"__schema\":{\"queryType\":{\"name\":\"Query\"}}}}", "GET /graphql?query={__schema{types{name}}} HTTP/1.1\n---\n200\n\n{\"data\":{\"__schema\":{\"types\":[{\"name\":\"User\"}]}}}",
		introspected+"\n---\n200\nContent-Type: application/graphql-response+json\n\n{\"data\":{\"__schema\":{\"types\":[]}}}", introspected+"\n---\n200\n\n{\"extensions\":{},\"data\":{\"__schema\":{\"types\":[]}}}"),
		silent: texts(introspected+"\n---\n400\n\n{\"errors\":[{\"message\":\"no __schema here\"}]}", introspected+"\n---\n403\n\n{\"data\":{\"__schema\":{}}}", "POST /graphql HTTP/1.1\n\n{\"query\":\"{a}\"}"+ok)},
	{rule: "doc.zombie", template: "/v1/a", worst: analyze.Medium, fires: texts("GET /v1/a HTTP/1.1\n---\n204\nSunset: Mon, 01 Jan 2024 00:00:00 GMT", "POST /v1/a HTTP/1.1\n---\n201\nDeprecation: Mon, 01 Jan 2024 00:00:00 GMT"),
		silent: texts("GET /v1/a HTTP/1.1\n---\n200\nDeprecation: @4102444800", "GET /v1/a HTTP/1.1\n---\n404\nDeprecation: true", "GET /v1/a HTTP/1.1\n---\n200\nSunset: soon")},
	{rule: "doc.exposed", template: "/openapi.json", worst: analyze.Low, fires: texts("GET /v3/api-docs HTTP/1.1\n---\n200\n\n{\"openapi\":\"3.0.1\",\"info\":{}}", "GET /swagger.yaml HTTP/1.1\n---\n200\n\nswagger: '2.0'\npaths: {}"), silent: texts("GET /help HTTP/1.1\n---\n200\n\nopen the openapi: page")},
	{rule: "doc.secret-in-doc", template: "/openapi.json", worst: analyze.High, fires: described(body("github_token", "secret", "$.a"), body("private_key", "secret", "$.b"), body("aws_secret_key", "secret", "$.c"), body("slack_token", "secret", "$.paths.x")),
		silent: append(described(body("us_ssn", "pii", "$.example"), body("jwt", "credential", "$.example")), [][]talk{{{text: "GET /openapi.json HTTP/1.1\n---\n404\n\n{}", hits: body("stripe_key", "secret", "$.x")}}}...)},
}

// described is what a document of the API holds.
func described(hits ...[]Hit) (list [][]talk) {
	for _, h := range hits {
		list = append(list, []talk{{text: "GET /openapi.json HTTP/1.1\n---\n200\n\n{\"openapi\": \"3.1.0\"}", hits: h, tls: true}})
	}
	return list
}
