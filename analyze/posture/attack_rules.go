package posture

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"plainsight/analyze"
)

// injection makes the row of one family of attempts: medium, low where the
// request was refused. What an attempt did is inj.effect's to say.
func injection(id, title, trigger, quiet, fix, cwe string, f family) Rule {
	return Rule{
		Rule: analyze.Rule{ID: id, Title: title, Practice: analyze.Validation, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: trigger,
			Quiet:   quiet + "; low where the request was refused (4xx), info on loopback; silent for fields in which half of what is accepted looks so, and three callers or more send it",
			Why:     "Somebody tries whether input reaches an interpreter. Where it does, data and machine are open.",
			Fix:     fix,
			OWASP:   []string{"API8:2023", "API10:2023"}, CWE: []string{cwe}},
		say: "A value is written for an interpreter behind the API", need: attempts,
		exchange: func(o *Observation, e *emitter) {
			for i := range o.attacks {
				a := &o.attacks[i]
				if a.family != f {
					continue
				}
				sev := analyze.Medium
				if (f == forDeserializer || f == forPrototype) && !o.Success && f == forPrototype {
					continue // only what was accepted counts
				}
				if a.calls && f == forDeserializer {
					sev = analyze.High
				}
				o.report(e, a, refused(o, sev))
			}
		},
		judge: func(t *Tally, c *Context, v *verdict) bool {
			n := c.Stats.PlainSuccess + c.Stats.SecureSuccess
			return c.Method == "" || t.count < 10 || t.count*2 <= n || t.principals.Count() < 3
		},
	}
}

// report adds an attack to the finding at its place, with its skeleton.
func (o *Observation) report(e *emitter, a *attack, sev analyze.Severity) *Tally {
	t := e.see(a.place, sev)
	if t != nil && !t.samples.Settled(o.At) {
		t.sample(o.At, analyze.Sample{Mask: skeleton(a.text), Fingerprint: o.r.key.Fingerprint("payload", a.text), Length: len(a.text)})
	}
	return t
}

var attackRules = []Rule{
	injection("inj.sqli", "SQL injection attempt", "a decoded value that leaves a literal (an unbalanced quote, a number) and goes on as SQL: a tautology, UNION SELECT, a second statement, a comment that cuts the rest, a timing function",
		"parsed as tokens: apostrophes in names and SQL words in prose are not enough", "Bind parameters; never build statements of text.", "CWE-89", forSQL),
	injection("inj.nosql", "NoSQL injection attempt", "an operator ($ne, $gt, $regex …) where a user name, password or token stands, $where, or JavaScript that leaves a string",
		"operators in filters of other fields are an API's own language", "Accept strings only where strings are meant, and build queries from typed values.", "CWE-943", forNoSQL),
	injection("inj.os", "Command injection attempt", "a separator of the shell (; | && $(…) backquotes) with a command behind it, used as only a command is",
		"words that are also commands need arguments of one", "Call programs with argument lists, without a shell, or not at all.", "CWE-78", forShell),
	injection("inj.ssti", "Template injection attempt", "a template expression that computes ({{7*7}}) or reaches for the engine's objects",
		"placeholders with names in them are what templates are for", "Never render input as a template; pass it as data.", "CWE-1336", forTemplate),
	injection("inj.ldap", "LDAP injection attempt", "a value that closes a filter it did not open and begins another", "balanced brackets in text are fine", "Escape values by RFC 4515 section 3.", "CWE-90", forLDAP),
	injection("inj.xpath", "XPath injection attempt", "a value that leaves a string and goes on with functions or axes of XPath", "a quote alone is not enough", "Use variables of the XPath engine.", "CWE-643", forXPath),
	injection("inj.el", "Expression language injection attempt", "an expression of EL, OGNL or SpEL that reaches for classes or contexts of Java", "placeholders without such names are fine", "Never evaluate input as an expression; update the framework.", "CWE-917", forExpression),
	injection("inj.log4j", "Published exploit attempted", "${jndi:…}, also folded with lower:, upper: and :- up to five deep; () { of Shellshock, in any header or value", "needs the exploit's own grammar", "Update what logs or runs such values.", "CWE-917", forLogger),
	injection("deser.object", "Serialised object in a request", "an object of Java, .NET, Python, PHP, Ruby or Node, raw or in base64, by how it begins; high where it names something to run",
		"signed session cookies of Ruby are left out", "Take data formats only (JSON with a schema), never objects.", "CWE-502", forDeserializer),
	injection("lfi.path", "Path traversal attempt", "a value that climbs directories, or names /etc/passwd, /proc/self, file:///, php://filter", "a single ../ in a relative link is fine", "Look files up by id, and resolve and compare the path before opening it.", "CWE-22", forFiles),
	injection("ssrf.attempt", "Request forgery attempt", "a URL to metadata services, loopback, private networks, odd notations of addresses, or schemes like gopher",
		"between private peers private addresses are everyday; parameters that say where a browser returns to are left out", "Fetch from a list of hosts, resolve once, and refuse private addresses.", "CWE-918", forFetcher),
	injection("proto.pollution", "Prototype pollution accepted", "the keys __proto__ or constructor.prototype in a request that succeeded", "only successes", "Refuse these keys, or copy known fields only.", "CWE-1321", forPrototype),
	{
		Rule: analyze.Rule{ID: "inj.effect", Title: "Injection with an effect", Practice: analyze.Validation, Severity: analyze.Critical, Level: analyze.Proved,
			Trigger: "an attempt, and in its answer the error of a database, the computed value, a file of the system, the output of the command, metadata of the cloud, the delay it asked for, a login, or more than three times what the endpoint answers otherwise",
			Quiet:   "the computed value must not be the payload echoed; amounts need ten clean answers of the endpoint to compare with",
			Why:     "The input does reach the interpreter: whoever sends it reads or changes what the server can.",
			Fix:     "Take the endpoint out of service until it is fixed, look for earlier calls of this kind, and replace what may have leaked.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-74", "CWE-89", "CWE-78", "CWE-22", "CWE-918"}},
		say: "A value written for an interpreter took effect", need: attempts | answered,
		exchange: func(o *Observation, e *emitter) {
			for i := range o.attacks {
				a := &o.attacks[i]
				if o.effect(a) {
					o.report(e, a, analyze.Critical).mark(noteProof)
					continue
				}
				switch a.family {
				case forSQL, forNoSQL, forLDAP, forXPath:
					if o.Success {
						if t := o.report(e, a, analyze.Critical); t != nil {
							t.most = max(t.most, uint64(len(o.ResponseBody)))
						}
					}
				}
			}
		},
		judge: func(t *Tally, c *Context, v *verdict) bool {
			if t.note&noteProof != 0 {
				return true
			}
			v.level = analyze.Inferred
			v.detail = fmt.Sprintf("an answer of %d bytes; the largest of %d clean ones has %d (three times that and ten answers needed)", t.most, c.Stats.Clean, c.Stats.CleanMost)
			return c.Method != "" && c.Stats.Clean >= 10 && t.most > 3*c.Stats.CleanMost && t.most > c.Stats.CleanMost+256
		},
	},
	{
		Rule: analyze.Rule{ID: "xss.reflected", Title: "Markup comes back as it was sent", Practice: analyze.Validation, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "a value with markup that runs (a script, a handler) stands unescaped in the answer, which is HTML; low where the answer is JSON and says so",
			Quiet:   "formatted text does not run; escaped markup is fine",
			Why:     "A link to this address runs a stranger's script in the visitor's session.",
			Fix:     "Escape by the context of the output, type JSON as JSON and send X-Content-Type-Options: nosniff.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-79"}},
		say: "Markup from a request came back unescaped", need: attempts | answered | bodies,
		exchange: func(o *Observation, e *emitter) {
			for i := range o.attacks {
				a := &o.attacks[i]
				if a.family != forBrowser || !bytes.Contains(o.ResponseBody, a.text) {
					continue
				}
				switch {
				case isPage(o.contentType), len(o.contentType) == 0:
					o.report(e, a, analyze.High)
				default:
					o.report(e, a, analyze.Low)
				}
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "xml.xxe", Title: "External entity in XML", Practice: analyze.Validation, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "a DOCTYPE with an ENTITY that is SYSTEM or PUBLIC in a request; critical where the answer holds a file of the system",
			Quiet:   "a DOCTYPE alone is fine; low where the request was refused",
			Why:     "A parser that resolves it reads files of the server and calls addresses inside.",
			Fix:     "Switch DTDs off in the parser.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-611"}},
		say: "A request declares an external entity", need: xmlBody,
		exchange: func(o *Observation, e *emitter) {
			if external, _ := entities(o.RequestBody); external {
				sev := refused(o, analyze.Medium)
				if systemFile(o.ResponseBody) && o.Success {
					sev = analyze.Critical
				}
				e.see(analyze.Place{Side: analyze.Request, Where: analyze.InBody}, sev)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "xml.bomb", Title: "Expanding entities in XML", Practice: analyze.Validation, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "three or more entities that are made of other entities",
			Quiet:   "low where the request was refused",
			Why:     "A kilobyte becomes gigabytes in the parser's memory.",
			Fix:     "Switch DTDs off in the parser.",
			OWASP:   []string{"API4:2023"}, CWE: []string{"CWE-776"}},
		say: "A request nests entities", need: xmlBody,
		exchange: func(o *Observation, e *emitter) {
			if _, nested := entities(o.RequestBody); nested >= 3 {
				e.see(analyze.Place{Side: analyze.Request, Where: analyze.InBody}, refused(o, analyze.Medium))
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "crlf", Title: "Line breaks in a value", Practice: analyze.Validation, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "a CR LF and the name of a header in a value of the URL, a header or a cookie; high where the answer has that header",
			Quiet:   "text in bodies may have lines; low where the request was refused",
			Why:     "The value ends a header and begins another: cookies, redirects and whole answers can be forged.",
			Fix:     "Refuse control characters in whatever goes into a header or a line of a log.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-113", "CWE-117"}},
		say: "A value would end a header and begin another", need: attempts,
		exchange: func(o *Observation, e *emitter) {
			for i := range o.attacks {
				a := &o.attacks[i]
				if a.family != forHeaders {
					continue
				}
				sev := refused(o, analyze.Medium)
				for _, name := range o.heads {
					if strings.EqualFold(string(name), string(injectedHeader(a.text))) {
						sev = analyze.High
					}
				}
				o.report(e, a, sev)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "upload.danger", Title: "Executable file uploaded", Practice: analyze.Validation, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "a part of a multipart request whose file name has an ending that servers run, or that calls itself an image and begins like a program; and success",
			Quiet:   "only successes",
			Why:     "Where the file is served or run from the same place, it is a door.",
			Fix:     "Accept by content, store under names of your own outside the web root, serve as download from another host.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-434"}},
		say: "A file that could be run was accepted", need: success | multipartBody,
		exchange: func(o *Observation, e *emitter) {
			if dangerousUpload(o.RequestBody) {
				e.see(analyze.Place{Side: analyze.Request, Where: analyze.InBody}, analyze.Medium)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "mass.assign", Title: "Privileged field accepted from a client", Practice: analyze.Validation, Severity: analyze.High, Level: analyze.Proved,
			Trigger: "a field like role, is_admin, balance or verified in a request that succeeds and whose answer shows the same value",
			Quiet:   "at most a tenth of the endpoint's requests have it, of ten or more: where clients send it as a rule it is the endpoint's purpose; administrative paths are left out",
			Why:     "The server copies whatever it is sent into the object: users give themselves rights or money.",
			Fix:     "Bind requests to a list of fields that clients may set.",
			OWASP:   []string{"API3:2023"}, CWE: []string{"CWE-915"}},
		say: "A privileged field from a client was taken over", need: success | privilegedField,
		exchange: func(o *Observation, e *emitter) {
			if !hasSegment(o.Path, adminWords) && writes(o.Method) && o.echoed {
				e.see(analyze.Place{Side: analyze.Request, Where: analyze.InBody, Name: "$." + o.privileged}, analyze.High)
			}
		},
		judge: func(t *Tally, c *Context, v *verdict) bool {
			n := c.Stats.PlainSuccess + c.Stats.SecureSuccess
			v.detail = fmt.Sprintf("in %d of %d successes (at most a tenth of ten or more)", t.count, n)
			return n >= 10 && t.count*10 <= n
		},
	},
	{
		Rule: analyze.Rule{ID: "val.5xx", Title: "Unusual input breaks the server", Practice: analyze.Validation, Severity: analyze.Low, Level: analyze.Inferred,
			Trigger: "a 5xx to a request with an injection attempt, on an endpoint of which nine tenths of ten or more other answers are good; medium for three or more",
			Quiet:   "endpoints that fail anyway are left out",
			Why:     "Input gets further than it should before it is looked at.",
			Fix:     "Validate before use and answer 400.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-248"}},
		say: "Unusual input made the server fail", need: attempts | failed,
		exchange: func(o *Observation, e *emitter) {
			if o.Status >= 500 {
				o.report(e, &o.attacks[0], analyze.Low)
			}
		},
		judge: func(t *Tally, c *Context, v *verdict) bool {
			if t.count >= 3 {
				v.severity = analyze.Medium
			}
			v.detail = fmt.Sprintf("%d good answers otherwise, %d other failures", c.Stats.Clean, c.Stats.Broken-min(t.count, c.Stats.Broken))
			return c.Method != "" && c.Stats.Clean >= 10 && (c.Stats.Broken-min(t.count, c.Stats.Broken))*10 <= c.Stats.Clean
		},
	},
	{
		Rule: analyze.Rule{ID: "gql.depth", Title: "Deep or wide GraphQL query answered", Practice: analyze.Validation, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "a query nested deeper than ten or with more than thirty aliases, answered with data",
			Quiet:   "introspection queries are left out",
			Why:     "The work grows with each level: one request can take the server's time, or guess a thousand passwords at once.",
			Fix:     "Limit depth, aliases and cost.",
			OWASP:   []string{"API4:2023"}, CWE: []string{"CWE-770"}},
		say: "A very deep or wide query was answered", need: success | graphQL,
		exchange: func(o *Observation, e *emitter) {
			if o.gql.schema || o.gql.depth <= 10 && o.gql.aliases <= 30 {
				return
			}
			e.see(analyze.Place{Side: analyze.Request, Where: analyze.InBody, Name: "$.query"}, analyze.Medium)
		},
	},
	{
		Rule: analyze.Rule{ID: "gql.batch", Title: "Large GraphQL batch answered", Practice: analyze.Validation, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "more than ten operations in one request, answered",
			Quiet:   "ten and fewer are what clients batch",
			Why:     "Limits by request do not see what is inside: a batch guesses codes and passwords a hundred at a time.",
			Fix:     "Limit the operations of a request.",
			OWASP:   []string{"API4:2023"}, CWE: []string{"CWE-770"}},
		say: "A large batch of operations was answered", need: success | graphQL,
		exchange: func(o *Observation, e *emitter) {
			if o.gql.operations > 10 {
				e.see(analyze.Place{Side: analyze.Request, Where: analyze.InBody, Name: "$[].query"}, analyze.Medium)
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "gql.suggest", Title: "GraphQL suggests field names", Practice: analyze.Validation, Severity: analyze.Low, Level: analyze.Proved,
			Trigger: "an error with Did you mean and a quoted name, to a GraphQL request",
			Quiet:   "info on loopback",
			Why:     "It gives the schema away name by name, also where introspection is off.",
			Fix:     "Switch suggestions off in production.",
			OWASP:   []string{"API8:2023"}, CWE: []string{"CWE-200"}},
		say: "An error suggested names of the schema", near: true, need: answered | graphQL | bodies,
		exchange: func(o *Observation, e *emitter) {
			if b := prefix(o.ResponseBody, 8192); bytes.Contains(b, []byte(`"errors"`)) && bytes.Contains(b, []byte("Did you mean")) {
				e.see(analyze.Place{Side: analyze.Response, Where: analyze.InBody}, byDistance(o.Peer, analyze.Low, analyze.Low, analyze.Low, analyze.Info))
			}
		},
	},
	{
		Rule: analyze.Rule{ID: "res.unbounded", Title: "Page size without a bound", Practice: analyze.Management, Severity: analyze.Medium, Level: analyze.Proved,
			Trigger: "limit, size, per_page, page_size, count or first of 1,000 or more, and an answer with 500 items or more; low: a list of more than 1 MB that no parameter asks a part of",
			Quiet:   "the answer must show that it was honoured; files and streams are left out",
			Why:     "One request takes the whole table, and the server's time with it.",
			Fix:     "Cap the page size at what a page shows.",
			OWASP:   []string{"API4:2023"}, CWE: []string{"CWE-770"}},
		say: "As much was given as was asked for", need: success | bodies,
		exchange: func(o *Observation, e *emitter) {
			switch {
			case o.Items < 100 || streams(o.contentType):
			case o.page != "" && o.Items >= 500:
				e.see(analyze.Place{Side: analyze.Request, Where: analyze.InQuery, Name: o.page}, analyze.Medium)
			case !o.paged && max(o.ResponseSize, int64(len(o.ResponseBody))) > 1<<20:
				e.see(analyze.Place{Side: analyze.Response, Where: analyze.InBody}, analyze.Low)
			}
		},
	},
}

// refused lowers the severity of an attempt that was refused, and of any within
// one machine: one's own test. Effects are not lowered.
func refused(o *Observation, s analyze.Severity) analyze.Severity {
	if o.Peer == Loopback {
		return analyze.Info
	}
	if o.Status >= 400 && o.Status < 500 {
		return analyze.Low
	}
	return s
}

// effect reports whether the answer shows that an attack was acted on.
func (o *Observation) effect(a *attack) bool {
	body := prefix(o.ResponseBody, maxErrorBody)
	if a.delay >= 2*time.Second && o.Latency >= a.delay && o.Latency < 4*a.delay {
		return true
	}
	switch a.family {
	case forSQL:
		return sqlError(body) != "" || o.Success && issues(o.Method, o.Path) && o.handsOut()
	case forNoSQL:
		return sqlError(body) == "MongoDB" || o.Success && issues(o.Method, o.Path) && o.handsOut()
	case forTemplate:
		if a.product < 10 || !o.Success || bytes.Contains(body, a.text) {
			return false
		}
		var buf [20]byte
		return wholeNumber(body, strconv.AppendInt(buf[:0], int64(a.product), 10))
	case forShell:
		return commandOutput(body) || systemFile(body)
	case forFiles:
		return o.Status < 400 && systemFile(body)
	case forFetcher:
		return o.Success && (systemFile(body) || containsAny(body, "ami-id", "instance-id", "security-credentials", "computeMetadata", "\"AccessKeyId\"", "iam/info"))
	case forDeserializer, forExpression:
		return commandOutput(body)
	}
	return false
}

// handsOut reports whether the answer gives a token or a session.
func (o *Observation) handsOut() bool {
	for i := range o.SetCookies {
		if o.SetCookies[i].Session {
			return true
		}
	}
	for i := range o.Hits {
		if h := &o.Hits[i]; h.at(analyze.Response, analyze.InBody) && isToken(h.Kind) {
			return true
		}
	}
	return false
}

func wholeNumber(b, n []byte) bool {
	for from := 0; ; {
		i := bytes.Index(b[from:], n)
		if i < 0 {
			return false
		}
		i += from
		end := i + len(n)
		if (i == 0 || !alnumByte(b[i-1]) && b[i-1] != '.') && (end == len(b) || !alnumByte(b[end]) && b[end] != '.') {
			return true
		}
		from = end
	}
}

// systemFile recognises files that prove a read: passwd, win.ini, boot.ini.
func systemFile(b []byte) bool {
	b = prefix(b, maxErrorBody)
	return containsAny(b, "root:x:0:0:", "root:*:0:0:", "daemon:x:1:1:", "; for 16-bit app support", "[boot loader]")
}

func commandOutput(b []byte) bool {
	i := bytes.Index(b, []byte("uid="))
	if i < 0 {
		return false
	}
	rest := prefix(b[i+4:], 64)
	n := 0
	for n < len(rest) && digit(rest[n]) {
		n++
	}
	return n > 0 && n < len(rest) && rest[n] == '(' && bytes.Contains(rest, []byte("gid="))
}

// entities reads the internal subset of a DOCTYPE.
func entities(b []byte) (external bool, nested int) {
	b = prefix(b, 64<<10)
	if !bytes.Contains(b, []byte("<!DOCTYPE")) {
		return false, 0
	}
	for {
		i := bytes.Index(b, []byte("<!ENTITY"))
		if i < 0 {
			return external, nested
		}
		b = b[i+8:]
		end := bytes.IndexByte(b, '>')
		if end < 0 {
			return external, nested
		}
		d := b[:end]
		if f := bytes.Fields(prefix(d, 256)); len(f) > 2 && (string(f[1]) == "SYSTEM" || string(f[1]) == "PUBLIC" || string(f[0]) == "%" && (string(f[2]) == "SYSTEM" || string(f[2]) == "PUBLIC")) {
			external = true
		}
		if i := bytes.IndexByte(d, '&'); i >= 0 && bytes.IndexByte(d[i:], ';') > 1 && d[i+1] != '#' {
			nested++
		}
	}
}

var executable = []string{".php", ".phtml", ".php5", ".phar", ".jsp", ".jspx", ".asp", ".aspx", ".exe", ".sh", ".cgi", ".war", ".bat", ".ps1", ".cmd", ".jar", ".htaccess"}

// dangerousUpload reads the heads of the parts of a multipart body.
func dangerousUpload(b []byte) bool {
	const key = `filename="`
	for range 32 {
		i := bytes.Index(b, []byte(key))
		if i < 0 {
			return false
		}
		b = b[i+len(key):]
		end := bytes.IndexByte(b, '"')
		if end < 0 {
			return false
		}
		name := strings.ToLower(string(prefix(b[:end], 256)))
		for _, e := range executable {
			if strings.HasSuffix(name, e) || strings.Contains(name, e+".") || strings.Contains(name, e+"\x00") {
				return true
			}
		}
		if head, content, ok := bytes.Cut(prefix(b[end:], 512), []byte("\r\n\r\n")); ok && bytes.Contains(head, []byte("image/")) {
			for _, magic := range []string{"<?php", "#!/", "MZ\x90", "\x7fELF", "<%@", "<script"} {
				if bytes.HasPrefix(content, []byte(magic)) {
					return true
				}
			}
		}
	}
	return false
}

// gqlShape is what a GraphQL request asks of the server.
type gqlShape struct {
	operations, depth, aliases int
	schema                     bool
}

// graphQL reads a query's structure: its depth by braces and its aliases by
// colons outside of arguments.
func (g *gqlShape) read(query []byte) {
	g.operations++
	g.schema = g.schema || bytes.Contains(query, []byte("__schema")) || bytes.Contains(query, []byte("__type"))
	depth, args, text := 0, 0, false
	for i, c := range query {
		if c == '"' && (i == 0 || query[i-1] != '\\') {
			text = !text
		}
		if text {
			continue
		}
		switch c {
		case '(':
			args++
		case ')':
			args--
		case '{':
			if args <= 0 {
				depth++
				g.depth = max(g.depth, depth)
			}
		case '}':
			if args <= 0 {
				depth--
			}
		case ':':
			if args <= 0 && depth > 0 {
				g.aliases++
			}
		}
	}
}

// privilegedNames are fields by which an object says what its owner may do or
// has.
var privilegedNames = words("role", "roles", "is_admin", "isadmin", "admin", "is_staff", "isstaff", "is_superuser", "superuser", "balance", "credit", "credits", "verified", "is_verified", "isverified", "email_verified", "permissions", "privileges", "account_type", "user_type", "owner_id", "ownerid", "approved", "is_active_admin", "discount", "plan_override")

// privilege notes a privileged field at the top of the request, and whether the
// answer shows it with the same value.
func (o *Observation) privilege(key, value []byte) {
	if len(key) > 24 || len(value) == 0 || len(value) > 64 || o.privileged != "" || string(value) == "false" || string(value) == "0" {
		return
	}
	lower := o.r.lowered(key)
	if !privilegedNames[string(lower)] {
		return
	}
	o.privileged = string(lower)
	o.facts |= privilegedField
	b := o.ResponseBody
	for {
		i := bytes.Index(b, key)
		if i < 0 {
			return
		}
		b = b[i+len(key):]
		rest := bytes.TrimLeft(prefix(b, 96), "\": \t")
		if len(prefix(b, 1)) == 1 && b[0] == '"' && bytes.HasPrefix(rest, value) {
			o.echoed = true
			return
		}
	}
}
