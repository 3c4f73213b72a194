package drift

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"plainsight/analyze"
)

// document is one document: its operations and where they hang.
type document struct {
	source     *source
	title      string
	old        bool // Swagger 2.0
	servers    []server
	operations []*operation
	paths      []*docPath
	schemes    bool // it declares how callers authenticate
}

// server is where the paths of a document hang.
type server struct {
	host string // empty: any; may hold {variables}
	base []string
	text string
}

// docPath is a path with the operations below it.
type docPath struct {
	doc        *document
	path       string // as documented
	segments   []segment
	operations map[string]*operation // by method
	servers    []server
}

// operation is a method of a path.
type operation struct {
	path       *docPath
	method     string
	deprecated bool
	described  bool
	parameters []parameter
	body       *content           // nil: none
	responses  map[string]content // by status, range (2XX) or default
	// Any of the alternatives authenticates; each is a list of schemes that go
	// together. An empty one lets anybody in.
	security [][]scheme
}

func (o *operation) name() string { return o.method + " " + o.path.path }

// parameter is one that is declared.
type parameter struct {
	where    analyze.Where
	name     string
	required bool
	schema   node // where it is not there, anything goes
}

// content is what a message may hold.
type content struct {
	types    map[string]node // schema by media type; a node that is not there is anything
	anything bool            // a reference that leads nowhere stands here
	required bool
}

// scheme is a way to authenticate.
type scheme struct {
	name  string
	kinds []string // as [analyze.Endpoint.Auth] has them; none: it cannot be seen
	where analyze.Where
	key   string // name of an API key's parameter
}

var httpMethods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

// read makes a document of a source.
func read(s *source) (*document, error) {
	fault := func(place string, format string, args ...any) error {
		return &Error{File: s.name, Place: place, Err: fmt.Errorf(format, args...)}
	}
	top := node{s.top, s}
	d := &document{source: s, title: analyze.Clean([]byte(top.get("info").get("title").text()))}
	if _, ok := s.top.(map[string]any); !ok {
		return nil, fault("", "is no OpenAPI or Swagger document")
	}
	switch v := fmt.Sprint(top.get("openapi").v); {
	case top.get("swagger").here():
		if v := fmt.Sprint(top.get("swagger").v); v != "2" && v != "2.0" {
			return nil, fault("/swagger", "Swagger %s is not read (2.0 and OpenAPI 3 are)", analyze.Clean([]byte(v)))
		}
		d.old = true
	case !top.get("openapi").here():
		return nil, fault("", "has neither openapi nor swagger at its top")
	case !strings.HasPrefix(v, "3"):
		return nil, fault("/openapi", "OpenAPI %s is not read (3.0, 3.1 and Swagger 2.0 are)", analyze.Clean([]byte(v)))
	}
	paths := top.get("paths")
	if paths.here() && paths.object() == nil && paths.resolve().v != nil {
		return nil, fault("/paths", "is no object")
	}
	r := &reader{doc: d, top: top, schemes: map[string]scheme{}}
	r.readSchemes()
	d.servers = r.servers(top)
	for _, m := range paths.members() {
		if !strings.HasPrefix(m.name, "/") {
			continue // x-…
		}
		if err := r.path(m.name, m.node); err != nil {
			return nil, fault("/paths/"+strings.ReplaceAll(analyze.Clean([]byte(m.name)), "/", "~1"), "%w", err)
		}
	}
	return d, nil
}

type reader struct {
	doc      *document
	top      node
	schemes  map[string]scheme
	security [][]scheme
}

// servers reads where paths hang, of the document, a path or an operation.
func (r *reader) servers(at node) (list []server) {
	if r.doc.old {
		return []server{newServer(at.get("host").text(), at.get("basePath").text())}
	}
	for _, s := range at.get("servers").elements() {
		address := s.get("url").text()
		for _, v := range s.get("variables").members() {
			// A host may be any; a base path is what its default says.
			if d := v.node.get("default"); d.here() && strings.Contains(pathOf(address), "{"+v.name+"}") {
				address = hostOf(address) + strings.ReplaceAll(pathOf(address), "{"+v.name+"}", fmt.Sprint(d.v))
			}
		}
		host := hostOf(address)
		if _, rest, ok := strings.Cut(host, "//"); ok {
			host = rest
		}
		list = append(list, newServer(host, pathOf(address)))
	}
	return list
}

// hostOf is scheme and host of an address, pathOf the rest.
func hostOf(address string) string { return address[:len(address)-len(pathOf(address))] }

func pathOf(address string) string {
	at := strings.Index(address, "//")
	if at < 0 {
		if strings.HasPrefix(address, "{") { // {server}/v1
			_, rest, _ := strings.Cut(address, "}")
			return rest
		}
		return address
	}
	_, path, ok := strings.Cut(address[at+2:], "/")
	if !ok {
		return ""
	}
	return address[len(address)-len(path)-1:]
}

func newServer(host, base string) server {
	s := server{host: strings.ToLower(host), text: host + "/" + strings.Trim(base, "/")}
	if _, after, ok := strings.Cut(s.host, "@"); ok {
		s.host = after
	}
	s.host = port(s.host)
	if strings.HasPrefix(s.host, "{") && strings.HasSuffix(s.host, "}") {
		s.host = "" // any
	}
	base, _, _ = strings.Cut(base, "?")
	for _, b := range strings.Split(strings.Trim(base, "/"), "/") {
		if b != "" && b != "." {
			s.base = append(s.base, unescape(b))
		}
	}
	return s
}

// port drops the usual ones, as services are named.
func port(host string) string {
	return strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":80")
}

func unescape(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

// fits reports whether a service may be the host of s.
func (s *server) fits(service string) bool {
	if s.host == "" {
		return false
	}
	service = port(strings.ToLower(service))
	if !strings.Contains(s.host, "{") {
		return s.host == service
	}
	g, err := parseSegment(s.host)
	return err == nil && g.takes(service)
}

func (r *reader) readSchemes() {
	all := r.top.get("components").get("securitySchemes")
	if r.doc.old {
		all = r.top.get("securityDefinitions")
	}
	for _, m := range all.members() {
		r.doc.schemes = true
		s := scheme{name: m.name}
		n := m.node.resolve()
		switch kind := strings.ToLower(n.get("type").text()); kind {
		case "http":
			switch k := strings.ToLower(n.get("scheme").text()); k {
			case "bearer":
				s.kinds = []string{"bearer", "jwt"}
			case "":
			default:
				s.kinds = []string{k}
			}
		case "basic":
			s.kinds = []string{"basic"}
		case "oauth2", "openidconnect":
			s.kinds = []string{"bearer", "jwt"}
		case "apikey":
			in, name := strings.ToLower(n.get("in").text()), n.get("name").text()
			s.where, s.key = analyze.Where(in), name
			switch {
			case in == "cookie":
				s.kinds = []string{"cookie:" + name}
			case in == "header" && strings.EqualFold(name, "authorization"):
				s.kinds = []string{"*"} // whatever is in that header
			case in == "header" && strings.EqualFold(name, "cookie"):
				s.kinds = []string{"cookie:*"}
			default:
				s.kinds = []string{"apikey:" + in + ":" + name}
			}
		}
		r.schemes[m.name] = s
	}
	r.security = r.requirements(r.top.get("security"))
}

func (r *reader) requirements(n node) [][]scheme {
	list := [][]scheme{}
	for _, e := range n.elements() {
		together := []scheme{}
		for _, m := range e.members() {
			s, ok := r.schemes[m.name]
			if !ok {
				s.name = m.name
			}
			together = append(together, s)
		}
		list = append(list, together)
	}
	return list
}

// path reads a path and its operations.
func (r *reader) path(path string, item node) error {
	var paths []*docPath // one for each set of servers
	under := func(servers []server) *docPath {
		for _, p := range paths {
			if slices.EqualFunc(p.servers, servers, func(a, b server) bool { return a.host == b.host && slices.Equal(a.base, b.base) }) {
				return p
			}
		}
		paths = append(paths, &docPath{doc: r.doc, path: path, operations: map[string]*operation{}, servers: servers})
		return paths[len(paths)-1]
	}
	bare, _, _ := strings.Cut(path, "?") // some tell operations apart by it
	bare, _, _ = strings.Cut(bare, "#")
	segments, err := parsePath(bare)
	if err != nil {
		return err
	}
	common := r.doc.servers
	if own := item.get("servers"); own.here() && !r.doc.old {
		common = r.servers(item)
	}
	for _, method := range httpMethods {
		n := item.get(method)
		if n.object() == nil {
			continue
		}
		servers := common
		if own := n.get("servers"); own.here() && !r.doc.old {
			servers = r.servers(n)
		}
		p := under(servers)
		p.segments = segments
		o := &operation{path: p, method: strings.ToUpper(method), deprecated: n.get("deprecated").yes(), responses: map[string]content{}, security: r.security}
		o.described = n.get("description").text() != "" || n.get("summary").text() != ""
		list := slices.Concat(item.get("parameters").elements(), n.get("parameters").elements())
		r.parameters(o, n, list)
		if s := n.get("security"); s.here() {
			o.security = r.requirements(s)
		}
		if !r.doc.old {
			if b := n.get("requestBody"); b.here() {
				c := r.content(b)
				o.body = &c
			}
		}
		for _, m := range n.get("responses").members() {
			status := strings.ToUpper(m.name)
			if strings.HasPrefix(status, "X-") {
				continue
			}
			if status == "DEFAULT" {
				status = "default"
			}
			o.responses[status] = r.response(n, m.node)
		}
		p.operations[o.method] = o
	}
	for _, p := range paths {
		for _, m := range sortedKeys(p.operations) {
			r.doc.operations = append(r.doc.operations, p.operations[m])
		}
	}
	r.doc.paths = append(r.doc.paths, paths...)
	return nil
}

// parameters reads what a path and an operation declare; the later of two of one
// name counts. Those of Swagger 2.0 that are a body make one.
func (r *reader) parameters(o *operation, n node, list []node) {
	var fields, required []any
	properties := map[string]any{}
	for _, p := range list {
		p = p.resolve()
		name := p.get("name").text()
		q := parameter{where: analyze.Where(strings.ToLower(p.get("in").text())), name: name, required: p.get("required").yes(), schema: p.get("schema")}
		switch q.where {
		case "body":
			o.body = &content{types: map[string]node{}, required: q.required}
			for _, t := range r.media(n, "consumes") {
				o.body.types[t] = q.schema
			}
			continue
		case "formdata":
			properties[name] = p.v
			if q.required {
				required = append(required, name)
			}
			fields = append(fields, name)
			continue
		case analyze.InPath, analyze.InQuery, analyze.InHeader, analyze.InCookie:
		default:
			continue
		}
		if r.doc.old {
			q.schema = p // type and format stand in the parameter itself
		} else if c := p.get("content").members(); !q.schema.here() && len(c) > 0 {
			q.schema = node{} // a document within a parameter
		}
		at := slices.IndexFunc(o.parameters, func(k parameter) bool { return k.where == q.where && sameName(q.where, k.name, name) })
		if at < 0 {
			o.parameters = append(o.parameters, q)
		} else {
			o.parameters[at] = q
		}
	}
	if len(fields) > 0 {
		schema := node{map[string]any{"type": "object", "properties": properties, "required": required}, r.doc.source}
		o.body = &content{types: map[string]node{}}
		for _, t := range r.media(n, "consumes") {
			o.body.types[t] = schema
		}
	}
}

// sameName compares names of parameters.
func sameName(where analyze.Where, a, b string) bool {
	if where == analyze.InHeader {
		return strings.EqualFold(a, b)
	}
	return a == b
}

// media lists the media types that a Swagger 2.0 operation takes or gives.
func (r *reader) media(op node, key string) []string {
	list := op.get(key).texts()
	if !op.get(key).here() {
		list = r.top.get(key).texts()
	}
	if len(list) == 0 {
		list = []string{"*/*"} // it does not say
	}
	return list
}

func (r *reader) content(n node) content {
	n = n.resolve()
	c := content{types: map[string]node{}, anything: !n.here(), required: n.get("required").yes()}
	for _, m := range n.get("content").members() {
		c.types[mediaType(m.name)] = m.node.get("schema")
	}
	return c
}

func (r *reader) response(op, n node) content {
	if !r.doc.old {
		return r.content(n)
	}
	n = n.resolve()
	c := content{types: map[string]node{}, anything: !n.here()}
	if schema := n.get("schema"); schema.here() {
		for _, t := range r.media(op, "produces") {
			c.types[mediaType(t)] = schema
		}
	}
	return c
}

// mediaType drops what follows the type.
func mediaType(s string) string {
	s, _, _ = strings.Cut(s, ";")
	return strings.ToLower(strings.TrimSpace(s))
}
