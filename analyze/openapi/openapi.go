// Package openapi writes what was learned of a service as an OpenAPI 3.1
// document: paths with their parameters, bodies and answers, how callers
// authenticate, and how often each was seen. It takes endpoints as the snapshot
// has them and adds no conclusion of its own; no captured value is in its
// output but the enums that its input has. The commands and reports call it.
package openapi

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"plainsight/analyze"
)

// Document describes the endpoints of one service, all of whose Service fields
// are alike, as OpenAPI 3.1 JSON. The same endpoints give the same bytes.
func Document(service string, endpoints []analyze.Endpoint) ([]byte, error) {
	d := document{
		OpenAPI: "3.1.0",
		Info: info{
			Title:       service,
			Version:     "0",
			Description: "Inferred from traffic: what was not seen is not here.",
		},
		Paths: map[string]map[string]*operation{},
	}
	schemes := map[string]scheme{}
	clear, sealed := false, false
	type place struct{ template, method string }
	at := map[place][]*analyze.Endpoint{} // several where a path stands for many operations
	for i := range endpoints {
		e := &endpoints[i]
		method := strings.ToLower(e.Method)
		if !slices.Contains(methods, method) {
			continue // OpenAPI 3.1 has no place for it
		}
		clear = clear || e.Plaintext > 0
		sealed = sealed || e.Encrypted > 0
		p := place{e.Template, method}
		at[p] = append(at[p], e)
	}
	for p, list := range at {
		if d.Paths[p.template] == nil {
			d.Paths[p.template] = map[string]*operation{}
		}
		d.Paths[p.template][p.method] = join(list, schemes)
	}
	d.Servers = servers(service, clear, sealed)
	schemas := share(d.schemas())
	if len(schemes) > 0 || len(schemas) > 0 {
		d.Components = &components{schemas, schemes}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(d); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// schemas lists the bodies of all operations, in order, with names for them.
func (d *document) schemas() (list []placedSchema) {
	for _, template := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, method := range methods {
			op := d.Paths[template][method]
			if op == nil {
				continue
			}
			name := noun(template)
			if op.RequestBody != nil {
				list = op.RequestBody.schemas(list, name+"Request")
			}
			for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
				if status >= "4" && status != "default" {
					list = op.Responses[status].schemas(list, "Error")
				} else {
					list = op.Responses[status].schemas(list, name)
				}
			}
		}
	}
	return list
}

func (m *message) schemas(list []placedSchema, name string) []placedSchema {
	for _, contentType := range slices.Sorted(maps.Keys(m.Content)) {
		c := m.Content[contentType]
		if c.of != "" {
			name = title(c.of) + name
		}
		list = append(list, placedSchema{&c.Schema, name})
		for i := range c.Schema.Any {
			list = append(list, placedSchema{&c.Schema.Any[i], title(c.names[i]) + strings.TrimPrefix(name, title(c.of))})
		}
	}
	return list
}

var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

type document struct {
	OpenAPI    string                           `json:"openapi"`
	Info       info                             `json:"info"`
	Servers    []server                         `json:"servers"`
	Paths      map[string]map[string]*operation `json:"paths"`
	Components *components                      `json:"components,omitempty"`
}

type info struct {
	Title       string `json:"title"`
	Version     string `json:"version"`
	Description string `json:"description"`
}

type server struct {
	URL string `json:"url"`
}

type components struct {
	Schemas         map[string]*schema `json:"schemas,omitempty"`
	SecuritySchemes map[string]scheme  `json:"securitySchemes,omitempty"`
}

type scheme struct {
	Type         string `json:"type"`
	Scheme       string `json:"scheme,omitempty"`
	BearerFormat string `json:"bearerFormat,omitempty"`
	In           string `json:"in,omitempty"`
	Name         string `json:"name,omitempty"`
}

type operation struct {
	OperationID string                `json:"operationId"`
	Summary     string                `json:"summary"`
	Parameters  []parameter           `json:"parameters,omitempty"`
	RequestBody *message              `json:"requestBody,omitempty"`
	Responses   map[string]*message   `json:"responses"`
	Security    []map[string][]string `json:"security"` // empty: no credentials were seen
	Seen        seen                  `json:"x-plainsight"`
}

type seen struct {
	Requests uint64            `json:"requests"`
	Statuses map[string]uint64 `json:"statuses,omitempty"`
	// Operations are those that the path stands for, with their requests; "" is
	// what names none.
	Operations map[string]uint64 `json:"operations,omitempty"`
	Plaintext  uint64            `json:"plaintext"`
	Encrypted  uint64            `json:"encrypted"`
	First      time.Time         `json:"firstSeen,omitzero"`
	Last       time.Time         `json:"lastSeen,omitzero"`
}

type parameter struct {
	Name     string  `json:"name"`
	In       string  `json:"in"`
	Required bool    `json:"required,omitempty"`
	Empty    bool    `json:"allowEmptyValue,omitempty"`
	Schema   *schema `json:"schema"`
}

type message struct {
	Description string            `json:"description,omitempty"`
	Required    bool              `json:"required,omitempty"`
	Content     map[string]*media `json:"content,omitempty"`
}

type media struct {
	Schema *schema `json:"schema"`

	of    string   // the operation whose message it is, where a path stands for many
	names []string // of those of Schema.Any
}

// servers makes addresses of a service's name, which is a host, with a port
// where it is not the usual one.
func servers(service string, clear, sealed bool) []server {
	if !addressable(service) {
		return []server{{URL: "/"}}
	}
	var s []server
	if sealed || !clear {
		s = append(s, server{(&url.URL{Scheme: "https", Host: service}).String()})
	}
	if clear {
		s = append(s, server{(&url.URL{Scheme: "http", Host: service}).String()})
	}
	return s
}

// addressable reports whether a service is called as its host is, rather than by
// a word of ours.
func addressable(service string) bool {
	return service != "" && !strings.ContainsAny(service, " /()")
}

func describe(e *analyze.Endpoint, schemes map[string]scheme) *operation {
	op := &operation{
		OperationID: identifier(e.Method, e.Template),
		Summary:     e.Method + " " + e.Template,
		Responses:   map[string]*message{},
		Seen:        seen{Requests: e.Requests, Plaintext: e.Plaintext, Encrypted: e.Encrypted, First: e.First.UTC(), Last: e.Last.UTC()},
	}
	if e.First.IsZero() {
		op.Seen.First, op.Seen.Last = time.Time{}, time.Time{}
	}
	for i := range e.Parameters {
		if p, ok := parameterOf(&e.Parameters[i]); ok {
			op.Parameters = append(op.Parameters, p)
		}
	}
	// Each path parameter must be declared.
	for _, name := range names(e.Template) {
		if !slices.ContainsFunc(op.Parameters, func(p parameter) bool { return p.In == "path" && p.Name == name }) {
			op.Parameters = append(op.Parameters, parameter{Name: name, In: "path", Required: true, Schema: &schema{Type: one("string")}})
		}
	}
	for status, n := range e.Statuses {
		if status < 100 || status > 599 {
			continue
		}
		code := strconv.Itoa(status)
		if op.Seen.Statuses == nil {
			op.Seen.Statuses = map[string]uint64{}
		}
		op.Seen.Statuses[code] = n
		op.Responses[code] = response(code)
	}
	for _, b := range bodies(e.Fields) {
		m := &media{Schema: b.root.schema()}
		if b.side == analyze.Request {
			if op.RequestBody == nil {
				op.RequestBody = &message{Content: map[string]*media{}}
			}
			op.RequestBody.Content[b.contentType] = m
			continue
		}
		if b.status == "" {
			continue
		}
		r := op.Responses[b.status]
		if r == nil {
			r = response(b.status)
			op.Responses[b.status] = r
		}
		if r.Content == nil {
			r.Content = map[string]*media{}
		}
		r.Content[b.contentType] = m
	}
	if len(op.Responses) == 0 {
		op.Responses["default"] = &message{Description: "no answer was seen"}
	}
	op.Security = security(e.Auth, schemes)
	return op
}

func response(code string) *message {
	status, err := strconv.Atoi(code)
	if text := http.StatusText(status); err == nil && text != "" {
		return &message{Description: text}
	}
	return &message{Description: "status " + code}
}

// identifier makes an operationId of characters that are safe in a URL, unique
// for a method and template.
func identifier(method, template string) string {
	var b strings.Builder
	b.WriteString(strings.ToLower(method))
	for _, c := range []byte(template) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
			b.WriteByte(c)
		case c == '/':
			b.WriteByte('.')
		case c == '{':
			b.WriteByte(':')
		case c == '}':
		default:
			b.WriteString("~" + strconv.FormatUint(uint64(c), 16))
		}
	}
	return b.String()
}

// names lists the parameters of a template.
func names(template string) (list []string) {
	for {
		_, rest, ok := strings.Cut(template, "{")
		if !ok {
			return list
		}
		name, rest, ok := strings.Cut(rest, "}")
		if !ok {
			return list
		}
		list = append(list, name)
		template = rest
	}
}

// parameterOf turns a field into a parameter. Headers that OpenAPI describes
// elsewhere are left out.
func parameterOf(f *analyze.Field) (parameter, bool) {
	p := parameter{Name: f.Path, Required: f.Required, Schema: leaf(f)}
	if i := slices.Index(p.Schema.Type, "array"); i >= 0 {
		// It was repeated: what else is known is of each value.
		items := p.Schema
		if items.Type = slices.Delete(items.Type, i, i+1); len(items.Type) == 0 {
			items.Type = one("string")
		}
		p.Schema = &schema{Type: one("array"), Items: items}
		p.Empty = f.Where == analyze.InQuery // how a list without members is sent
	}
	switch f.Where {
	case analyze.InPath:
		p.In, p.Required = "path", true
	case analyze.InQuery:
		p.In = "query"
	case analyze.InCookie:
		p.In = "cookie"
	case analyze.InHeader:
		p.In = "header"
		switch strings.ToLower(f.Path) {
		case "accept", "content-type", "authorization":
			return p, false
		}
	default:
		return p, false
	}
	return p, f.Side == analyze.Request && !f.Map
}

// security turns kinds of credentials into requirements, any of which may do,
// and notes their schemes.
func security(auth map[string]uint64, schemes map[string]scheme) (any []map[string][]string) {
	any = []map[string][]string{}
	kinds := make([]string, 0, len(auth))
	for k := range auth {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	open := false
	for _, kind := range kinds {
		name, s := kind, scheme{}
		what, rest, _ := strings.Cut(kind, ":")
		switch what {
		case "bearer":
			s = scheme{Type: "http", Scheme: "bearer"}
		case "jwt":
			s = scheme{Type: "http", Scheme: "bearer", BearerFormat: "JWT"}
		case "basic", "digest", "negotiate":
			s = scheme{Type: "http", Scheme: what}
		case "cookie":
			s = scheme{Type: "apiKey", In: "cookie", Name: rest}
		case "apikey":
			in, key, ok := strings.Cut(rest, ":")
			if !ok || in != "header" && in != "query" && in != "cookie" {
				continue
			}
			s = scheme{Type: "apiKey", In: in, Name: key}
		case "none":
			open = true
			continue
		default:
			continue
		}
		name = component(name)
		schemes[name] = s
		any = append(any, map[string][]string{name: {}})
	}
	if open && len(any) > 0 {
		any = append(any, map[string][]string{})
	}
	return any
}

// component makes a name fit for a key of components.
func component(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '.', r == '_':
			return r
		}
		return '_'
	}, name)
}
