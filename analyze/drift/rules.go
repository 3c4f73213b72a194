package drift

import "plainsight/analyze"

// Rules is the part of the catalogue that needs documents.
var Rules = []analyze.Rule{
	{
		ID: "doc.shadow-operation", Title: "operation that no document has", Practice: analyze.Shadow, Severity: analyze.Medium, Level: analyze.Proved,
		Trigger: "a method and path that answered with success on a documented service, and that no document has under any of its servers, base paths or learned prefixes",
		Quiet:   "HEAD and OPTIONS, static files, and paths that never succeeded are left out; redirects and health checks are info",
		Why:     "nobody reviews, tests or retires what is not on the list: shadow operations keep old access rules and old bugs",
		Fix:     "document the operation, or take it out of service",
		OWASP:   []string{"API9:2023"}, CWE: []string{"CWE-1059"},
	},
	{
		ID: "doc.shadow-method", Title: "method that the document's path does not have", Practice: analyze.Shadow, Severity: analyze.Medium, Level: analyze.Proved,
		Trigger: "success of a method on a path that is documented with other methods only",
		Quiet:   "HEAD and OPTIONS are left out",
		Why:     "a method that nobody planned may change or delete what others may only read",
		Fix:     "document the method, or refuse it with 405",
		OWASP:   []string{"API9:2023", "API5:2023"}, CWE: []string{"CWE-1059"},
	},
	{
		ID: "doc.zombie", Title: "deprecated or outdated operation in use", Practice: analyze.Shadow, Severity: analyze.Medium, Level: analyze.Proved,
		Trigger: "success of an operation that its document marks as deprecated, or after the day that its answers name in Deprecation or Sunset, or of /vN while /vN+1 has the same path and ten times the traffic",
		Quiet:   "only success counts; a newer version with less traffic is a migration that has just begun",
		Why:     "old versions miss the fixes and checks of new ones, and stay open for as long as somebody calls them",
		Fix:     "move the callers, announce an end with a Sunset header, then switch it off",
		OWASP:   []string{"API9:2023"}, CWE: []string{"CWE-1059"},
	},
	{
		ID: "doc.orphan", Title: "documented operation without traffic", Practice: analyze.Shadow, Severity: analyze.Info, Level: analyze.NotSeen,
		Trigger: "an operation of a document whose service was seen, that nobody called in the window",
		Quiet:   "an operation that an observed path may stand for counts as seen",
		Why:     "what nobody uses can often be removed; or the document describes something that is elsewhere",
		Fix:     "look at a longer window; then remove the operation, or say where it lives",
		OWASP:   []string{"API9:2023"},
	},
	{
		ID: "doc.undoc-query", Title: "undocumented query parameter", Practice: analyze.Shadow, Severity: analyze.Low, Level: analyze.Proved,
		Trigger: "a query parameter of successful requests that the operation does not declare; high where its name looks like a right (role, admin, debug, is_…)",
		Quiet:   "keys of API keys that are declared as such; info where one client alone sent it, or no more requests than failed",
		Why:     "parameters that nobody documented are not validated or reviewed either",
		Fix:     "document the parameter, or refuse unknown ones",
		OWASP:   []string{"API9:2023", "API3:2023"}, CWE: []string{"CWE-1059", "CWE-915"},
	},
	{
		ID: "doc.undoc-header", Title: "undocumented request header", Practice: analyze.Shadow, Severity: analyze.Low, Level: analyze.Proved,
		Trigger: "a request header of successful requests that the operation does not declare; high where its name looks like a right",
		Quiet:   "headers of HTTP itself, browsers, tracing and gateways, and credentials, are left out; info where one client alone sent it, or no more requests than failed",
		Why:     "a header that changes what happens is part of the interface",
		Fix:     "document the header, or drop it at the gateway",
		OWASP:   []string{"API9:2023", "API3:2023"}, CWE: []string{"CWE-1059", "CWE-915"},
	},
	{
		ID: "doc.undoc-cookie", Title: "undocumented cookie", Practice: analyze.Shadow, Severity: analyze.Low, Level: analyze.Proved,
		Trigger: "a cookie of successful requests that the operation does not declare; high where its name looks like a right",
		Quiet:   "cookies of analytics and load balancers, and sessions, are left out; info where one client alone sent it, or no more requests than failed",
		Why:     "a cookie that changes what happens is part of the interface",
		Fix:     "document the cookie, or do not send it to the API",
		OWASP:   []string{"API9:2023", "API3:2023"}, CWE: []string{"CWE-1059", "CWE-915"},
	},
	{
		ID: "doc.undoc-request-field", Title: "undocumented field in a request", Practice: analyze.Shadow, Severity: analyze.Low, Level: analyze.Proved,
		Trigger: "a body field of successful requests that no branch of the schema declares; high where its name looks like a right",
		Quiet:   "additionalProperties declared as true or a schema; objects of which the document says nothing; one row for the topmost field",
		Why:     "fields that are accepted unasked are how callers assign what they should not (mass assignment)",
		Fix:     "document the field, or refuse unknown ones with additionalProperties: false",
		OWASP:   []string{"API3:2023"}, CWE: []string{"CWE-915"},
	},
	{
		ID: "doc.undoc-response-field", Title: "undocumented field in an answer", Practice: analyze.Shadow, Severity: analyze.Low, Level: analyze.Proved,
		Trigger: "a field of successful answers that no branch of the schema declares; high where sensitive data was seen in it",
		Quiet:   "additionalProperties declared as true or a schema; objects of which the document says nothing; one row for the topmost field; info below three messages",
		Why:     "data that leaves without being documented leaves without being reviewed",
		Fix:     "document the field, or take it out of the answer",
		OWASP:   []string{"API3:2023"}, CWE: []string{"CWE-213"},
	},
	{
		ID: "doc.undoc-status", Title: "undocumented status", Practice: analyze.Shadow, Severity: analyze.Low, Level: analyze.Proved,
		Trigger: "an answer's status that is not declared, exactly, by range (2XX) or by default",
		Quiet:   "401, 403, 404, 429, 304 and 5xx, and failures below three, are left out, unless asked for",
		Why:     "clients cannot handle what they were not told",
		Fix:     "document the status",
		OWASP:   []string{"API9:2023"},
	},
	{
		ID: "doc.undoc-content-type", Title: "undocumented content type", Practice: analyze.Shadow, Severity: analyze.Low, Level: analyze.Proved,
		Trigger: "a body of a type that is not declared for the request or the status",
		Quiet:   "failed answers are left out; ranges (*/*, application/*, +json) are honoured",
		Why:     "another parser means other checks: XML accepted beside JSON brings XML's attacks",
		Fix:     "document the type, or refuse it with 415",
		OWASP:   []string{"API9:2023"},
	},
	{
		ID: "doc.type-mismatch", Title: "value that breaks the documented type", Practice: analyze.Shadow, Severity: analyze.Low, Level: analyze.Proved,
		Trigger: "successful exchanges with a type, null, format or proven enum at a place where the document declares another; medium in requests",
		Quiet:   "numbers as text in parameters and forms, integers for numbers, and schemas that do not say are fine",
		Why:     "what is accepted against the contract is not validated",
		Fix:     "validate against the document, or correct it",
		OWASP:   []string{"API9:2023"}, CWE: []string{"CWE-20"},
	},
	{
		ID: "doc.missing-required", Title: "required value that is missing", Practice: analyze.Shadow, Severity: analyze.Low, Level: analyze.Proved,
		Trigger: "successful exchanges without a parameter or field that the document requires; medium in requests",
		Quiet:   "messages that were cut are left out; readOnly fields in requests and writeOnly ones in answers are not missed",
		Why:     "what is accepted against the contract is not validated",
		Fix:     "validate against the document, or correct it",
		OWASP:   []string{"API9:2023"}, CWE: []string{"CWE-20"},
	},
	{
		ID: "doc.auth-mismatch", Title: "authentication unlike the document", Practice: analyze.Shadow, Severity: analyze.High, Level: analyze.Proved,
		Trigger: "success without credentials where the document demands some (high); credentials of another scheme, or on every call of an operation that demands none (low)",
		Quiet:   "alternatives and security: [] are honoured; failed requests are subtracted from those without credentials; mutual TLS cannot be seen",
		Why:     "a document that demands a credential is taken as proof that the service checks it",
		Fix:     "enforce the scheme, or document the one that is in use",
		OWASP:   []string{"API2:2023"}, CWE: []string{"CWE-306"},
	},
	{
		ID: "doc.host-mismatch", Title: "documented server without traffic", Practice: analyze.Shadow, Severity: analyze.Low, Level: analyze.NotSeen,
		Trigger: "a server of a document that nobody called, while its paths are called on another host",
		Quiet:   "relative servers and hosts that are variables are left out; another server of the document that is used explains it",
		Why:     "an API that answers where nobody said it would is outside of what gateways and reviews look at",
		Fix:     "correct the servers of the document, or find out who exposes the API under another name",
		OWASP:   []string{"API9:2023"},
	},
	{
		ID: "doc.exposed", Title: "document of the API served to anybody", Practice: analyze.Documentation, Severity: analyze.Low, Level: analyze.Proved,
		Trigger: "a description of the API (openapi.json, swagger.json, api-docs, Swagger UI) answered without credentials",
		Quiet:   "answers to requests with credentials are fine",
		Why:     "a list of all operations saves an attacker the search",
		Fix:     "ask for credentials, or serve only what is meant to be public",
		OWASP:   []string{"API9:2023"}, CWE: []string{"CWE-200"},
	},
	{
		ID: "doc.coverage", Title: "how much of the traffic is documented", Practice: analyze.Documentation, Severity: analyze.Info, Level: analyze.Proved,
		Trigger: "one row a service: the share of its operations, parameters, statuses and fields that documents have",
		Quiet:   "it is a measure, not a fault",
		Why:     "what is not documented is neither tested nor reviewed",
		Fix:     "begin with the shadow operations of the most used services",
		OWASP:   []string{"API9:2023"}, CWE: []string{"CWE-1059"},
	},
	{
		ID: "doc.quality", Title: "document that leaves out what readers need", Practice: analyze.Documentation, Severity: analyze.Info, Level: analyze.Proved,
		Trigger: "operations in use that have no description, no security scheme or no shape of errors in the document",
		Quiet:   "one row for a document and what it lacks",
		Why:     "what is not said is guessed",
		Fix:     "complete the document",
		OWASP:   []string{"API9:2023"},
	},
}

// ruleOf finds the row of a rule.
func ruleOf(id string) *analyze.Rule {
	for i := range Rules {
		if Rules[i].ID == id {
			return &Rules[i]
		}
	}
	panic("drift: no rule " + id) // a bug that any test finds
}
