// Package operation tells what a request asks for where its path does not say:
// one path of GraphQL, JSON-RPC or SOAP stands for a whole API. It reads as much
// of a request as names the operation, never fails, never recurses over input,
// and keeps no captured value but the names, cleaned and bounded. Package
// inventory calls it once for each request.
package operation

import (
	"bytes"

	"plainsight/analyze"
)

// Style is a way of naming operations.
type Style string

// Styles.
const (
	GraphQL Style = "graphql"  // https://spec.graphql.org, and GraphQL over HTTP
	JSONRPC Style = "json-rpc" // https://www.jsonrpc.org/specification
	SOAP    Style = "soap"     // SOAP 1.1 and 1.2
	GRPC    Style = "grpc"     // the path names it
)

// Operation is what a request asks for. Its strings are owned.
type Operation struct {
	Style Style
	// Name is an operation's own name (GraphQL), the fields it begins with where it
	// has none (query {users, orders}), or the hash of a document that the server knows
	// (persisted 5fd2ab6c2e1f); a method (JSON-RPC); the end of the action, or the
	// first element of the body (SOAP); the path (gRPC). [Batch] is a request for
	// several that are not the same.
	Name string
	// Members are the different operations of a batch, at most sixteen. Borrowed:
	// valid until the next call of Read.
	Members []string
}

// Batch is the name of several operations in one request.
const Batch = "(batch)"

// Request is what is read of a request. All of it is borrowed.
type Request struct {
	Method, Path, Query []byte // as on the wire
	ContentType         []byte
	Action              []byte // SOAPAction, where Soap is set
	Soap                bool   // the header SOAPAction is there
	Body                []byte
}

// Bounds of one request.
const (
	maxName     = 128     // bytes of a name; longer ones are cut
	maxDocument = 1 << 16 // bytes of a GraphQL document that are read
	maxElements = 1000    // of a batch
	maxMembers  = 16
	maxKept     = 8192 // names remembered
)

// Reader reads requests one after the other. It keeps its scratch space, so that
// it allocates only for names that are new. The zero value is ready.
type Reader struct {
	names   map[string]string // as they came → as they may be kept
	raw     []byte            // a name in the making
	text    []byte            // an unescaped document
	value   []byte            // another unescaped text
	members []string
}

// Read tells the operation of a request. It is false where there is none: the
// path says it all.
func (r *Reader) Read(q *Request) (op Operation, ok bool) {
	r.members = r.members[:0]
	switch {
	case hasPrefix(q.ContentType, "application/grpc"):
		return r.grpc(q.Path)
	case q.Soap || contains(q.ContentType, "soap+xml"):
		return r.soap(q)
	}
	if bytes.IndexByte(q.Query, '=') >= 0 {
		if op, ok = r.pairs(q.Path, q.Query); ok {
			return op, true
		}
	}
	b := bytes.TrimLeft(bytes.TrimPrefix(q.Body, byteOrder), " \t\r\n")
	if len(b) == 0 {
		return op, false
	}
	switch {
	case b[0] == '{':
		// Most bodies are neither: one look tells.
		if !hinted(b) {
			return op, false
		}
		return r.object(b)
	case b[0] == '[':
		if !hinted(b) {
			return op, false
		}
		return r.batch(b)
	case b[0] == '<':
		if i := bytes.Index(b[:min(len(b), 1024)], []byte("Envelope")); i >= 0 {
			return r.soap(q)
		}
	case contains(q.ContentType, "application/graphql"):
		return r.document(b, nil)
	case hasPrefix(q.ContentType, "application/x-www-form-urlencoded"):
		return r.pairs(q.Path, b)
	case hasPrefix(q.ContentType, "multipart/form-data"):
		// https://github.com/jaydenseric/graphql-multipart-request-spec
		if i := bytes.Index(b, []byte(`name="operations"`)); i >= 0 {
			if j := bytes.Index(b[i:], []byte("\r\n\r\n")); j >= 0 {
				b = bytes.TrimLeft(b[i+j:], " \t\r\n")
				if hasPrefix(b, "[") {
					return r.batch(b)
				}
				return r.object(b)
			}
		}
	}
	return op, false
}

var (
	byteOrder = []byte("\ufeff")
	hints     = [][]byte{[]byte(`"query"`), []byte(`"method"`), []byte(`"persistedQuery"`), []byte(`"operationName"`), []byte(`"documentId"`), []byte(`"doc_id"`)}
)

func hinted(b []byte) bool {
	for _, h := range hints {
		if bytes.Contains(b, h) {
			return true
		}
	}
	return false
}

func hasPrefix(b []byte, s string) bool { return len(b) >= len(s) && string(b[:len(s)]) == s }

func contains(b []byte, s string) bool { return bytes.Contains(b, []byte(s)) }

// keep returns a name as it may be kept: without what looks like a value, and
// bounded.
func (r *Reader) keep(raw []byte) string {
	raw = raw[:min(len(raw), maxName)]
	if name, ok := r.names[string(raw)]; ok {
		return name
	}
	if len(r.names) >= maxKept || r.names == nil {
		r.names = make(map[string]string)
	}
	name := analyze.Name(raw)
	r.names[string(raw)] = name
	return name
}

// own is [Reader.keep] of a name that this package made.
func (r *Reader) own(raw []byte) string {
	if name, ok := r.names[string(raw)]; ok {
		return name
	}
	if len(r.names) >= maxKept || r.names == nil {
		r.names = make(map[string]string)
	}
	name := analyze.Clean(raw)
	r.names[string(raw)] = name
	return name
}

// grpc takes the path of a call: /package.Service/Method.
func (r *Reader) grpc(path []byte) (op Operation, ok bool) {
	slashes := 0
	for _, c := range path {
		switch {
		case c == '/':
			slashes++
		case c != '.' && c != '_' && !letter(c) && (c < '0' || c > '9'):
			return op, false
		}
	}
	if slashes != 2 || path[0] != '/' || path[1] == '/' || path[len(path)-1] == '/' || len(path) > maxName {
		return op, false
	}
	return Operation{Style: GRPC, Name: r.own(path)}, true
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// batch reads an array of requests.
func (r *Reader) batch(b []byte) (op Operation, ok bool) {
	s := scan{b: b[1:]}
	for n := 0; n < maxElements; n++ {
		v, more := s.element()
		if !more {
			break
		}
		one, is := r.object(v)
		if !is || op.Style != "" && one.Style != op.Style {
			continue
		}
		if op.Style == "" {
			op = one
		} else if one.Name != op.Name {
			op.Name = Batch
		}
		if len(r.members) < maxMembers && !has(r.members, one.Name) {
			r.members = append(r.members, one.Name)
		}
	}
	if op.Name == Batch {
		op.Members = r.members
	}
	return op, op.Style != ""
}

func has(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// object reads a request in JSON.
func (r *Reader) object(b []byte) (op Operation, ok bool) {
	if !hasPrefix(b, "{") {
		return op, false
	}
	var f struct{ query, name, method, version, document, extensions []byte }
	variables, id, params, other := false, false, false, false
	s := scan{b: b[1:]}
	for {
		key, v, more := s.member()
		if !more {
			break
		}
		switch string(key) {
		case "query":
			f.query = v
		case "operationName":
			f.name = v
		case "variables":
			variables = true
		case "extensions":
			f.extensions = v
		case "documentId", "doc_id":
			f.document = v
		case "jsonrpc":
			f.version = v
			continue
		case "method":
			f.method = v
			continue
		case "id":
			id = true
			continue
		case "params":
			params = hasPrefix(v, "[") || hasPrefix(v, "{")
			continue
		}
		other = true
	}
	// Version 1.0 has no mark: it is the members and nothing else that tell.
	if m, is := quoted(f.method); is && (f.version != nil || id && params && !other) {
		r.value = unescape(r.value[:0], m[:min(len(m), 2*maxName)])
		if len(r.value) > 0 {
			return Operation{Style: JSONRPC, Name: r.keep(r.value)}, true
		}
	}
	r.value = r.value[:0]
	if n, is := quoted(f.name); is {
		r.value = unescape(r.value, n[:min(len(n), 2*maxName)])
	}
	if doc, is := quoted(f.query); is && len(doc) > 0 {
		r.text = unescape(r.text[:0], doc[:min(len(doc), maxDocument)])
		if op, ok = r.document(r.text, r.value); ok || !variables {
			return op, ok
		}
	}
	hash := f.document
	if hasPrefix(f.extensions, "{") {
		hash = persisted(f.extensions)
	}
	return r.known(r.value, hash, variables)
}

// persisted finds the hash in the extensions of a request without its document
// (https://www.apollographql.com/docs/apollo-server/performance/apq).
func persisted(extensions []byte) []byte {
	s := scan{b: extensions[1:]}
	for {
		key, v, more := s.member()
		if !more {
			return nil
		}
		if string(key) == "persistedQuery" && hasPrefix(v, "{") {
			s = scan{b: v[1:]}
		} else if string(key) == "sha256Hash" {
			return v
		}
	}
}

// known reads a request whose document the server has: it has a name, or its
// hash is all that there is.
func (r *Reader) known(name, hash []byte, variables bool) (op Operation, ok bool) {
	if q, is := quoted(hash); is {
		hash = q
	}
	hash = bytes.TrimPrefix(hash, []byte("sha256:"))
	digits := 0
	for digits < len(hash) && ('0' <= hash[digits] && hash[digits] <= '9' || 'a' <= hash[digits]|0x20 && hash[digits]|0x20 <= 'f') {
		digits++
	}
	digest := digits >= 6 && digits == len(hash)
	switch {
	case plainName(name) && (digest || variables):
		return Operation{Style: GraphQL, Name: r.keep(name)}, true
	case digest:
		r.raw = append(append(r.raw[:0], "persisted "...), hash[:min(len(hash), 12)]...)
		return Operation{Style: GraphQL, Name: r.own(r.raw)}, true
	}
	return op, false
}

// pairs reads GraphQL in a query or a form.
func (r *Reader) pairs(path, b []byte) (op Operation, ok bool) {
	if !contains(b, "query=") && !contains(b, "operationName=") && !contains(b, "extensions=") {
		return op, false
	}
	var query, name, extensions []byte
	variables := false
	for n := 0; len(b) > 0 && n < maxElements; n++ {
		var pair []byte
		pair, b, _ = bytes.Cut(b, []byte("&"))
		key, v, _ := bytes.Cut(pair, []byte("="))
		switch string(key) {
		case "query":
			query = v
		case "operationName":
			name = v
		case "extensions":
			extensions = v
		case "variables":
			variables = true
		}
	}
	r.value = percent(r.value[:0], name[:min(len(name), 3*maxName)])
	if len(query) > 0 {
		r.text = percent(r.text[:0], query[:min(len(query), maxDocument)])
		if hasPrefix(r.text, "{") && bytes.Count(r.text, []byte("{")) == 1 && !contains(path, "gql") && !contains(path, "graph") {
			return op, false // {placeholder}
		}
		return r.document(r.text, r.value)
	}
	var hash []byte
	if len(extensions) > 0 {
		r.text = percent(r.text[:0], extensions[:min(len(extensions), maxDocument)])
		if e := bytes.TrimLeft(r.text, " \t\r\n"); hasPrefix(e, "{") {
			hash = persisted(e)
		}
	}
	if hash == nil && (len(name) == 0 || !variables) {
		return op, false
	}
	return r.known(r.value, hash, variables)
}

// soap tells the action of a message, or else the first element of its body.
func (r *Reader) soap(q *Request) (op Operation, ok bool) {
	action := bytes.Trim(q.Action, " \t\"")
	if _, rest, found := bytes.Cut(q.ContentType, []byte("action=")); found && len(action) == 0 {
		action, _, _ = bytes.Cut(rest, []byte(";"))
		action = bytes.Trim(action, " \t\"")
	}
	// http://example.org/Orders/GetOrder, urn:orders#GetOrder: the end names it.
	if i := bytes.LastIndexAny(bytes.TrimRight(action, "/#:"), "/#:"); i >= 0 {
		action = action[i+1:]
	}
	if action = bytes.Trim(action, "/#:"); len(action) == 0 {
		action = first(q.Body)
	}
	if len(action) == 0 {
		return op, false
	}
	return Operation{Style: SOAP, Name: r.keep(action)}, true
}

// first is the local name of the first element in the Body of an Envelope.
func first(b []byte) []byte {
	body := false
	for n := 0; n < maxElements; n++ {
		i := bytes.IndexByte(b, '<')
		if i < 0 || i+1 == len(b) {
			return nil
		}
		b = b[i+1:]
		switch b[0] {
		case '?', '/':
			continue
		case '!':
			if hasPrefix(b, "!--") {
				if i = bytes.Index(b, []byte("-->")); i < 0 {
					return nil
				}
				b = b[i:]
			}
			continue
		}
		end := bytes.IndexAny(b, " \t\r\n/>")
		if end < 0 {
			return nil
		}
		name := b[:end]
		if i := bytes.IndexByte(name, ':'); i >= 0 {
			name = name[i+1:]
		}
		if body {
			return name
		}
		body = string(name) == "Body"
	}
	return nil
}

// Failed reports whether an answer says that the operation did not succeed,
// though the status of HTTP may be good: errors of GraphQL without data, an
// error of JSON-RPC, one of either in a batch, a fault. body is borrowed.
func Failed(style Style, body []byte) bool {
	b := bytes.TrimLeft(bytes.TrimPrefix(body, byteOrder), " \t\r\n")
	switch {
	case style == SOAP:
		name := first(b)
		return string(name) == "Fault"
	case style != GraphQL && style != JSONRPC:
		return false
	case hasPrefix(b, "{"):
		return refused(b)
	case hasPrefix(b, "["):
		s := scan{b: b[1:]}
		for n := 0; n < maxElements; n++ {
			v, more := s.element()
			if !more {
				return false
			}
			if refused(v) {
				return true
			}
		}
	}
	return false
}

func refused(b []byte) bool {
	if !hasPrefix(b, "{") || !contains(b, `"error`) {
		return false
	}
	fault, data := false, false
	s := scan{b: b[1:]}
	for {
		key, v, more := s.member()
		if !more {
			return fault && !data
		}
		switch string(key) {
		case "error", "errors":
			fault = fault || !hasPrefix(v, "null") && !hasPrefix(v, "[]")
		case "data", "result":
			data = data || !hasPrefix(v, "null")
		}
	}
}
