package drift

import (
	"fmt"
	"slices"
	"strings"

	"plainsight/analyze"
)

// parameters compares path, query, header and cookie parameters.
func (c *comparison) parameters(e *analyze.Endpoint, ops []*operation, best []hit, seen []segment) {
	for i := range e.Parameters {
		f := &e.Parameters[i]
		if f.Side != analyze.Request || f.Map || f.Present == 0 {
			continue
		}
		name := f.Path
		if f.Where == analyze.InPath {
			if name = pathName(best[0], seen, f.Path); name == "" {
				continue
			}
		}
		if ignored(e, f) {
			continue
		}
		var declared []*parameter
		credential := false
		for _, o := range ops {
			if p := o.parameter(f.Where, name); p != nil {
				declared = append(declared, p)
			}
			credential = credential || o.credential(f.Where, name)
		}
		if f.Where != analyze.InPath {
			c.share.parameters.add(len(declared) > 0 || credential)
		}
		switch {
		case len(declared) > 0:
			c.value(f, declared)
		case credential || f.Where == analyze.InPath:
		default:
			severity, detail := analyze.Low, ""
			switch {
			case f.Present <= failures(e): // it may have failed each time
				severity = analyze.Info
			case privilege(name):
				severity, detail = analyze.High, "; its name looks like a right"
			case e.Clients < 2 && f.Present < 3:
				severity = analyze.Info
			}
			c.add("doc.undoc-"+string(f.Where), placeOf(f), severity, f.Present, fmt.Sprintf("The %s %s was in %s, and is not documented%s.", f.Where, name, often(f), detail))
		}
	}
	c.missing(e, ops)
}

// missing reports required parameters that requests left out.
func (c *comparison) missing(e *analyze.Endpoint, ops []*operation) {
	for i := range ops[0].parameters {
		p := &ops[0].parameters[i]
		if !p.required || p.where == analyze.InPath {
			continue
		}
		everywhere := true
		for _, o := range ops[1:] {
			q := o.parameter(p.where, p.name)
			everywhere = everywhere && q != nil && q.required
		}
		if !everywhere || p.where == analyze.InHeader && ignoredHeader(p.name) || ops[0].credential(p.where, p.name) || len(analyze.Name([]byte(p.name))) != len(p.name) {
			continue
		}
		if _, ok := e.Auth["cookie:"+p.name]; ok && p.where == analyze.InCookie {
			continue
		}
		if _, ok := e.Auth["apikey:"+string(p.where)+":"+p.name]; ok {
			continue
		}
		var present, of uint64
		for k := range e.Parameters {
			f := &e.Parameters[k]
			if f.Where == p.where && (nameFits(p.where, p.name, f.Path) || f.Map) {
				present, of = max(present, f.Present), f.Of
				if f.Map {
					of = present
				}
			}
		}
		if of == 0 {
			of = successes(e)
		}
		// Requests that failed for another reason show their parameters too.
		if of-min(of, present) <= failures(e) {
			continue
		}
		c.add("doc.missing-required", "request "+string(p.where)+" "+clip(p.name), analyze.Medium, of-present, fmt.Sprintf("The %s %s is required, and %d of %d requests came without.", p.where, clip(p.name), of-present, of))
	}
}

// failures counts the requests that were not answered with success: what they
// sent is in the parameters and fields too, where it was not refused for that.
func failures(e *analyze.Endpoint) (n uint64) {
	for status, k := range e.Statuses {
		if status >= 400 {
			n += k
		}
	}
	return n
}

// parameter finds one that is declared.
func (o *operation) parameter(where analyze.Where, name string) *parameter {
	for i := range o.parameters {
		if p := &o.parameters[i]; p.where == where && nameFits(where, p.name, name) {
			return p
		}
	}
	return nil
}

// nameFits reports whether a name that was seen is the declared one: maps and
// arrays put an index or a key behind it, and a hidden part may be anything.
func nameFits(where analyze.Where, declared, seen string) bool {
	if sameName(where, declared, seen) {
		return true
	}
	if where == analyze.InQuery {
		a, _, _ := strings.Cut(declared, "[")
		b, _, indexed := strings.Cut(seen, "[")
		if a != "" && a == b && (indexed || strings.HasSuffix(declared, "[]")) && (!strings.Contains(declared, "[") || strings.HasSuffix(declared, "[]")) {
			return true
		}
	}
	return strings.Contains(seen, "{") && sameName(where, analyze.Name([]byte(declared)), seen)
}

// credential reports whether a parameter is the key of a declared scheme.
func (o *operation) credential(where analyze.Where, name string) bool {
	for _, a := range o.security {
		for _, s := range a {
			if s.key != "" && s.where == where && strings.EqualFold(s.key, name) {
				return true
			}
		}
	}
	return false
}

// pathName finds the documented name of an observed path parameter, by its place.
func pathName(h hit, seen []segment, name string) string {
	for i := range h.path.segments {
		k := h.shift + i
		if k < len(seen) && seen[k].whole() && seen[k].names[0] == name && h.path.segments[i].whole() && !h.path.segments[i].anyMay {
			return h.path.segments[i].names[0]
		}
	}
	return ""
}

// value compares what was seen of a parameter with its declarations.
func (c *comparison) value(f *analyze.Field, declared []*parameter) {
	v := new(view)
	visited := map[uintptr]bool{}
	for _, p := range declared {
		if !p.schema.here() {
			return
		}
		v.add(p.schema, visited)
	}
	c.typed(f, v, true, false)
}

// bodies compares request and response bodies.
func (c *comparison) bodies(e *analyze.Endpoint, ops []*operation) {
	for from := 0; from < len(e.Fields); {
		to := from + 1
		first := &e.Fields[from]
		for to < len(e.Fields) && e.Fields[to].Side == first.Side && e.Fields[to].Status == first.Status && e.Fields[to].ContentType == first.ContentType {
			to++
		}
		if first.Side == analyze.Request || strings.HasPrefix(first.Status, "2") && len(first.Status) == 3 {
			c.body(e, ops, e.Fields[from:to])
		}
		from = to
	}
}

// body compares the bodies of one side, status and type.
func (c *comparison) body(e *analyze.Endpoint, ops []*operation, fields []analyze.Field) {
	first := &fields[0]
	root := new(view)
	visited := map[uintptr]bool{}
	says, fits := false, false
	if first.ContentType == "" && !slices.Contains(first.Types, "object") && !slices.Contains(first.Types, "array") || asset(first.ContentType) {
		return // bytes of no type, or a file of a page that hangs below a path of parameters
	}
	for _, o := range ops {
		var declared content
		switch {
		case first.Side == analyze.Response:
			status := int(first.Status[0]-'0')*100 + int(first.Status[1]-'0')*10 + int(first.Status[2]-'0')
			var ok bool
			if declared, ok = o.response(status); !ok {
				continue // the status itself is a row
			}
		case o.body != nil:
			declared = *o.body
		}
		if declared.anything {
			return
		}
		says = true
		for _, t := range sortedKeys(declared.types) {
			if typeFits(t, first.ContentType) {
				fits = true
				root.add(declared.types[t], visited)
			}
		}
	}
	if !says {
		return
	}
	if !fits {
		kind := first.ContentType
		if kind == "" {
			kind = "of no type"
		}
		c.add("doc.undoc-content-type", fmt.Sprintf("%s body %s", sideStatus(first), kind), analyze.Low, max(first.Present, 1), fmt.Sprintf("A %s body %s was seen %s, and is not documented.", sideStatus(first), kind, times(first.Present)))
		return
	}
	text := strings.HasPrefix(first.ContentType, "multipart/") || first.ContentType == "application/x-www-form-urlencoded"
	if strings.HasSuffix(first.ContentType, "xml") {
		return // names and nesting of XML follow rules of their own
	}
	w := &walk{c: c, e: e, root: root, text: text, at: map[string]*analyze.Field{}}
	for i := range fields {
		w.at[fields[i].Path] = &fields[i]
	}
	for i := range fields {
		w.field(&fields[i])
	}
}

// sideStatus names the side of a field, with the status of a response.
func sideStatus(f *analyze.Field) string {
	if f.Status == "" {
		return f.Side.String()
	}
	return f.Side.String() + " " + f.Status
}

// asset reports whether a type is of what pages are made of.
func asset(t string) bool {
	switch t {
	case "text/css", "text/javascript", "application/javascript", "application/x-javascript":
		return true
	}
	return strings.HasPrefix(t, "font/") || strings.HasPrefix(t, "image/")
}

// typeFits reports whether a declared media type or range has a type.
func typeFits(declared, seen string) bool {
	declared, seen = mediaType(declared), mediaType(seen)
	if declared == "*/*" || declared == seen || strings.Contains(seen, "{") && analyze.Name([]byte(declared)) == seen {
		return true
	}
	if front, ok := strings.CutSuffix(declared, "/*"); ok {
		return strings.HasPrefix(seen, front+"/")
	}
	front, back, ok := strings.Cut(declared, "*")
	if ok && strings.HasPrefix(seen, front) && strings.HasSuffix(seen, back) {
		return true
	}
	// Both names of one thing, and a body without a type, which JSON alone has.
	return seen == "" && isJSON(declared) || declared == "application/json" && seen == "text/json" || declared == "text/json" && seen == "application/json"
}

func isJSON(t string) bool { return t == "application/json" || strings.HasSuffix(t, "+json") }

// walk compares the fields of one body.
type walk struct {
	c    *comparison
	e    *analyze.Endpoint
	root *view
	text bool // values are text: a form
	at   map[string]*analyze.Field
}

func (w *walk) field(f *analyze.Field) {
	list, ok := steps(f.Path)
	if !ok || len(list) > maxDepth {
		return
	}
	if w.text {
		list = brackets(list)
	}
	v, loose := w.root, false
	for i, s := range list {
		var to *view
		switch s.kind {
		case '.':
			if to, ok = v.member(s.name); !ok && w.text {
				if of, is := v.items(); is { // people[0][name], people[name][]
					to, ok = of.member(s.name)
				}
			}
		case '[':
			if to, ok = v.items(); !ok && w.text {
				to, ok = v, true // a repeated key is an array, or one value often
			}
		default:
			var free bool
			to, ok, free = v.values()
			loose = loose || free
		}
		if !ok {
			if i == len(list)-1 && s.kind != '[' && !loose {
				w.undocumented(f, s.name)
			}
			return
		}
		v = to
	}
	if loose {
		return // whose value it is, is not known
	}
	if len(list) > 0 {
		w.c.share.fields.add(true)
	}
	w.c.typed(f, v, w.text, !w.text)
	w.missing(f, v)
}

// brackets unfolds the names of forms: card[number] is a member of card, and
// lines[0] an element of lines.
func brackets(list []step) (out []step) {
	for _, s := range list {
		name, rest, ok := strings.Cut(s.name, "[")
		out = append(out, step{s.kind, name})
		for ok {
			var key string
			key, rest, _ = strings.Cut(rest, "]")
			switch {
			case key == "" || strings.Trim(key, "0123456789") == "":
				out = append(out, step{kind: '['})
			case strings.HasPrefix(key, "{"):
				out = append(out, step{kind: '{'})
			default:
				out = append(out, step{'.', key})
			}
			_, rest, ok = strings.Cut(rest, "[")
		}
	}
	return out
}

func (w *walk) undocumented(f *analyze.Field, name string) {
	w.c.share.fields.add(false)
	severity, detail := analyze.Low, ""
	rule := "doc.undoc-response-field"
	switch {
	case f.Side == analyze.Request:
		rule = "doc.undoc-request-field"
		switch {
		case f.Present <= failures(w.e):
			severity = analyze.Info
		case privilege(name):
			severity, detail = analyze.High, "; its name looks like a right"
		case w.e.Clients < 2 && f.Present < 3:
			severity = analyze.Info
		}
	case sensitiveAt(w.e, f.Side, f.Path):
		severity, detail = analyze.High, "; sensitive data was seen in it"
	case f.Present < 3:
		severity = analyze.Info
	}
	w.c.add(rule, placeOf(f), severity, f.Present, fmt.Sprintf("The field %s was in %s, and is not documented%s.", f.Path, often(f), detail))
}

// missing reports required members that objects at f came without.
func (w *walk) missing(f *analyze.Field, v *view) {
	if f.Map || !slices.Contains(f.Types, "object") || !f.Required && f.Present >= f.Of {
		return // cut bodies alone prove no absence
	}
	if t, any := v.types(); any || !slices.Contains(t, "object") || slices.ContainsFunc(t, func(t string) bool { return t == "array" }) {
		return
	}
	for _, name := range v.required(f.Side) {
		if analyze.Name([]byte(name)) != name || len(name) > 64 {
			continue // its name was hidden where it was seen
		}
		path := childPath(f.Path, name)
		kid := w.at[path]
		if w.text && w.begins(path+"%5B") {
			continue
		}
		count, of := f.Present, f.Present
		if kid != nil {
			if kid.Present >= kid.Of {
				continue
			}
			count, of = kid.Of-kid.Present, kid.Of
		} else if w.at[f.Path+"{*}"] != nil {
			continue
		}
		place := analyze.Place{Side: f.Side, Where: f.Where, Name: path}
		severity := analyze.Low
		if f.Side == analyze.Request {
			if severity = analyze.Medium; count <= failures(w.e) {
				continue
			}
		}
		w.c.add("doc.missing-required", place.String(), severity, count, fmt.Sprintf("The field %s is required, and %d of %d objects came without.", path, count, of))
	}
}

// begins reports whether a field's path begins so.
func (w *walk) begins(front string) bool {
	for p := range w.at {
		if strings.HasPrefix(p, front) {
			return true
		}
	}
	return false
}

// typed compares types, null, format and enum. In text, numbers and words look
// alike.
func (c *comparison) typed(f *analyze.Field, v *view, text, nulls bool) {
	types, any := v.types()
	fault := ""
	if !any && !(text && f.Where == analyze.InBody) { // values of forms are text, and no more is known
		for _, t := range f.Types {
			if !allowed(t, types, text) {
				fault = fmt.Sprintf("is %s, and documented as %s", t, strings.Join(types, " or "))
			}
		}
		if fault == "" && nulls && f.Nullable && !slices.Contains(types, "null") && !v.old() {
			fault = fmt.Sprintf("is null at times, and documented as %s alone", strings.Join(types, " or "))
		}
	}
	if declared, ok := v.formats(); fault == "" && ok && f.Format != "" && !slices.ContainsFunc(declared, func(d string) bool { return formatFits(d, f.Format) }) {
		fault = fmt.Sprintf("has the format %s, and documented is %s", f.Format, clip(strings.Join(declared, " or ")))
	}
	if values, ok := v.enum(); fault == "" && ok && len(f.Enum) > 0 {
		n := 0
		for _, s := range f.Enum {
			if !slices.Contains(values, s) {
				n++
			}
		}
		if n > 0 {
			fault = fmt.Sprintf("takes %s that the documented enum does not have", plural(n, "value"))
		}
	}
	if fault == "" {
		return
	}
	severity := analyze.Low
	if f.Side == analyze.Request {
		severity = analyze.Medium
	}
	c.add("doc.type-mismatch", placeOf(f), severity, f.Present, fmt.Sprintf("The %s %s %s.", map[bool]string{true: "field", false: string(f.Where)}[f.Where == analyze.InBody], f.Path, fault))
}

// old reports whether the schema is of Swagger 2.0, which has no word for null.
func (v *view) old() bool {
	for _, n := range v.nodes {
		if m, _ := n.in.top.(map[string]any); m["swagger"] != nil {
			return true
		}
	}
	return false
}

// allowed reports whether a type that was seen is one of those declared.
func allowed(seen string, declared []string, text bool) bool {
	for _, d := range declared {
		switch {
		case d == seen, d == "number" && seen == "integer":
			return true
		case text && (d == "string" || d == "array" || d == "object"):
			return true
		case text && d == "boolean" && seen == "integer": // 0 and 1
			return true
		}
	}
	return text && (seen == "array" || seen == "object")
}

// formatFits reports whether a proven format may be of a declared one. What is
// not among the formats that are told apart may be anything.
func formatFits(declared, seen string) bool {
	families := map[string]string{"date": "date", "date-time": "date-time", "uuid": "uuid", "guid": "uuid", "email": "email", "idn-email": "email",
		"uri": "uri", "url": "uri", "uri-reference": "uri", "iri": "uri", "ipv4": "ipv4", "ipv6": "ipv6"}
	d, s := families[declared], families[seen]
	return d == "" || s == "" || d == s
}

// placeOf is the place of a field.
func placeOf(f *analyze.Field) string {
	return analyze.Place{Side: f.Side, Where: f.Where, Name: f.Path}.String()
}

// often says how often a field was seen.
func often(f *analyze.Field) string { return fmt.Sprintf("%d of %d", f.Present, max(f.Of, f.Present)) }

// ignored parameters come from browsers, gateways, tracing, or are credentials,
// which are compared as such.
func ignored(e *analyze.Endpoint, f *analyze.Field) bool {
	switch f.Where {
	case analyze.InHeader:
		if _, ok := e.Auth["apikey:header:"+f.Path]; ok {
			return true
		}
		return ignoredHeader(f.Path)
	case analyze.InQuery:
		_, ok := e.Auth["apikey:query:"+f.Path]
		return ok
	case analyze.InCookie:
		if _, ok := e.Auth["cookie:"+f.Path]; ok {
			return true
		}
		name := strings.ToLower(f.Path)
		return slices.ContainsFunc(cookies, func(s string) bool { return strings.HasPrefix(name, s) })
	}
	return false
}

// cookies of analytics, consent and load balancers, by the front of their names.
var cookies = []string{"_ga", "_gid", "_gat", "_gcl", "_fbp", "_fbc", "_hj", "__utm", "__cf", "cf_", "_cf", "awsalb", "awselb", "bigipserver", "incap_", "visid_", "nlbi_", "ak_bmsc", "bm_sz", "_abck",
	"optimizely", "amplitude", "mp_", "ajs_", "_pk_", "intercom-", "cookieconsent", "optanon", "arraffinity", "__stripe", "datadome"}

func ignoredHeader(name string) bool {
	name = strings.ToLower(name)
	return headers[name] || slices.ContainsFunc(headerFronts, func(s string) bool { return strings.HasPrefix(name, s) })
}

var headers = func() map[string]bool {
	m := map[string]bool{}
	for _, h := range []string{
		"accept", "accept-charset", "accept-encoding", "accept-language", "age", "authorization", "proxy-authorization", "cache-control", "connection", "content-disposition", "content-encoding",
		"content-language", "content-length", "content-md5", "content-range", "content-type", "cookie", "date", "dnt", "expect", "forwarded", "from", "host", "if-match", "if-modified-since", "if-none-match",
		"if-range", "if-unmodified-since", "keep-alive", "max-forwards", "origin", "pragma", "prefer", "priority", "proxy-connection", "range", "referer", "save-data", "te", "trailer", "transfer-encoding",
		"upgrade", "upgrade-insecure-requests", "user-agent", "via", "warning", "x-requested-with", "x-csrf-token", "x-xsrf-token", "x-request-id", "x-correlation-id", "x-request-start", "x-real-ip",
		"x-client-ip", "true-client-ip", "x-original-forwarded-for", "x-original-uri", "x-original-host", "x-original-url", "x-scheme", "x-trace-id", "x-transaction-id", "traceparent", "tracestate", "baggage", "b3",
		"sentry-trace", "cdn-loop", "dpr", "downlink", "ect", "rtt", "viewport-width", "width", "device-memory", "purpose", "fly-client-ip", "x-do-not-track", "x-wap-profile", "x-att-deviceid", "http2-settings",
	} {
		m[h] = true
	}
	return m
}()

// headerFronts are how headers of tracing, browsers and gateways begin.
var headerFronts = []string{"sec-", "x-forwarded-", "x-b3-", "x-envoy-", "x-datadog-", "x-amzn-", "x-amz-cf-", "x-cloud-trace", "x-google-", "x-appengine-", "x-goog-iap", "cf-", "x-azure-", "x-arr-", "x-ms-client-",
	"x-akamai-", "fastly-", "x-vercel-", "x-kong-", "x-consumer-", "x-istio-", "l5d-", "x-newrelic-", "newrelic", "uber-trace-", "x-ot-", "ot-tracer-", "x-stainless-", "proxy-"}
