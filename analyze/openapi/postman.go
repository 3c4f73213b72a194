package openapi

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"

	"plainsight/analyze"
)

// Postman describes the endpoints of one service as a collection of Postman's
// format 2.1: a request for each, in a folder for each first name of their
// paths, with places for what differs from call to call and bodies of the
// right shape. The same endpoints give the same bytes; no captured value is in
// them but proven enums.
func Postman(service string, endpoints []analyze.Endpoint) ([]byte, error) {
	base := "/"
	if s := servers(service, false, true); len(s) > 0 {
		base = s[0].URL
	}
	for i := range endpoints {
		if endpoints[i].Encrypted > 0 {
			break
		}
		if i == len(endpoints)-1 {
			base = servers(service, true, false)[0].URL
		}
	}
	c := collection{
		Info:     collectionInfo{service, "Inferred from traffic: what was not seen is not here.", "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"},
		Variable: []keyValue{{Key: "baseUrl", Value: strings.TrimSuffix(base, "/")}},
		Item:     []item{},
	}
	folders := map[string][]item{}
	for i := range endpoints {
		name := folder(endpoints[i].Template)
		folders[name] = append(folders[name], request(&endpoints[i]))
	}
	for _, name := range slices.Sorted(maps.Keys(folders)) {
		list := folders[name]
		c.Item = append(c.Item, item{Name: name, Item: list})
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(c); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// collection and what is in it are named as Postman's format is.
type collection struct {
	Info     collectionInfo `json:"info"`
	Item     []item         `json:"item"`
	Variable []keyValue     `json:"variable,omitempty"`
}

type collectionInfo struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Schema      string `json:"schema"`
}

// item is a folder, with items, or a request.
type item struct {
	Name     string          `json:"name"`
	Item     []item          `json:"item,omitempty"`
	Request  *postmanRequest `json:"request,omitempty"`
	Response *[]struct{}     `json:"response,omitempty"`
}

type postmanRequest struct {
	Method string       `json:"method"`
	Header []keyValue   `json:"header"`
	URL    postmanURL   `json:"url"`
	Body   *postmanBody `json:"body,omitempty"`
	Auth   *postmanAuth `json:"auth,omitempty"`
}

type postmanURL struct {
	Raw      string     `json:"raw"`
	Host     []string   `json:"host"`
	Path     []string   `json:"path"`
	Query    []keyValue `json:"query,omitempty"`
	Variable []keyValue `json:"variable,omitempty"`
}

type keyValue struct {
	Key         string `json:"key"`
	Value       string `json:"value"`
	Description string `json:"description,omitempty"`
	Disabled    bool   `json:"disabled,omitempty"`
}

type postmanBody struct {
	Mode       string                  `json:"mode"`
	Raw        string                  `json:"raw,omitempty"`
	URLEncoded []keyValue              `json:"urlencoded,omitempty"`
	FormData   []formValue             `json:"formdata,omitempty"`
	Options    *map[string]rawLanguage `json:"options,omitempty"`
}

type formValue struct {
	keyValue
	Type string `json:"type"`
}

type rawLanguage struct {
	Language string `json:"language"`
}

type postmanAuth struct {
	Type   string      `json:"type"`
	Bearer []authValue `json:"bearer,omitempty"`
	Basic  []authValue `json:"basic,omitempty"`
	APIKey []authValue `json:"apikey,omitempty"`
}

type authValue struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	Type  string `json:"type"`
}

// folder is the first name of a path that is no version and no parameter.
func folder(template string) string {
	for s := range strings.SplitSeq(strings.Trim(template, "/"), "/") {
		if s != "" && s != "api" && !strings.Contains(s, "{") && !(len(s) < 6 && s[0] == 'v' && strings.Trim(s[1:], "0123456789.") == "") {
			return s
		}
	}
	return "/"
}

func request(e *analyze.Endpoint) item {
	r := &postmanRequest{Method: e.Method, Header: []keyValue{}}
	r.URL.Host, r.URL.Path = []string{"{{baseUrl}}"}, []string{}
	for s := range strings.SplitSeq(strings.Trim(e.Template, "/"), "/") {
		list := names(s)
		switch {
		case s == "":
		case len(list) == 1 && s == "{"+list[0]+"}":
			r.URL.Path = append(r.URL.Path, ":"+list[0])
			r.URL.Variable = append(r.URL.Variable, keyValue{Key: list[0]})
		default: // Postman has no parameters within segments, but variables
			r.URL.Path = append(r.URL.Path, strings.NewReplacer("{", "{{", "}", "}}").Replace(s))
		}
	}
	r.URL.Raw = "{{baseUrl}}/" + strings.Join(r.URL.Path, "/")
	var query []string
	for i := range e.Parameters {
		p, ok := parameterOf(&e.Parameters[i])
		v := keyValue{Key: p.Name, Description: strings.Join(p.Schema.Type, " or "), Disabled: !p.Required}
		if len(e.Parameters[i].Enum) > 0 {
			v.Value = e.Parameters[i].Enum[0]
		}
		switch {
		case !ok:
		case p.In == "query":
			r.URL.Query = append(r.URL.Query, v)
			if p.Required {
				query = append(query, url.QueryEscape(v.Key)+"="+url.QueryEscape(v.Value))
			}
		case p.In == "header":
			r.Header = append(r.Header, v)
		}
	}
	if len(query) > 0 {
		r.URL.Raw += "?" + strings.Join(query, "&")
	}
	for _, b := range bodies(e.Fields) {
		if b.side == analyze.Request {
			r.Header = append(r.Header, keyValue{Key: "Content-Type", Value: b.contentType})
			r.Body = postmanBodyOf(b)
			break
		}
	}
	r.Auth = authOf(e.Auth)
	return item{Name: e.Name(), Request: r, Response: &[]struct{}{}}
}

func postmanBodyOf(b *bodyOf) *postmanBody {
	s := b.root.schema()
	switch {
	case b.contentType == "application/x-www-form-urlencoded":
		body := &postmanBody{Mode: "urlencoded"}
		for _, name := range s.propertyNames() {
			body.URLEncoded = append(body.URLEncoded, keyValue{Key: name, Value: example(s.Properties[name])})
		}
		return body
	case b.contentType == "multipart/form-data":
		body := &postmanBody{Mode: "formdata"}
		for _, name := range s.propertyNames() {
			body.FormData = append(body.FormData, formValue{keyValue{Key: name, Value: example(s.Properties[name])}, "text"})
		}
		return body
	case strings.HasSuffix(b.contentType, "json"):
		raw, err := json.MarshalIndent(s.instance(), "", "  ")
		if err != nil {
			raw = []byte("{}") // cannot be: maps, lists and plain values
		}
		return &postmanBody{Mode: "raw", Raw: string(raw), Options: &map[string]rawLanguage{"raw": {"json"}}}
	}
	return &postmanBody{Mode: "raw"}
}

// example is a text that may stand for a value.
func example(s *schema) string {
	if v, ok := s.instance().(string); ok {
		return v
	}
	return ""
}

// instance makes a value of the shape. It is made up but for enums.
func (s *schema) instance() any {
	if len(s.Enum) > 0 {
		return s.Enum[0]
	}
	kind := ""
	if len(s.Type) > 0 {
		kind = s.Type[0]
	}
	switch kind {
	case "object":
		v := map[string]any{}
		for name, p := range s.Properties {
			v[name] = p.instance()
		}
		if s.Free != nil {
			v["key"] = s.Free.instance()
		}
		return v
	case "array":
		if s.Items == nil {
			return []any{}
		}
		return []any{s.Items.instance()}
	case "integer", "number":
		return 0
	case "boolean":
		return false
	case "null", "":
		return nil
	}
	return made[s.Format]
}

// made are values of formats that mean nothing.
var made = map[string]string{"": "", "uuid": "00000000-0000-0000-0000-000000000000", "date-time": "2000-01-01T00:00:00Z", "date": "2000-01-01",
	"email": "name@example.com", "uri": "https://example.com/", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1"}

// authOf is the commonest way to say who calls, with variables in the place of
// credentials; nil where there is none.
func authOf(auth map[string]uint64) *postmanAuth {
	kind := ""
	for _, k := range slices.Sorted(maps.Keys(auth)) {
		if k != "none" && auth[k] > auth[kind] {
			kind = k
		}
	}
	switch what, rest, _ := strings.Cut(kind, ":"); what {
	case "bearer", "jwt":
		return &postmanAuth{Type: "bearer", Bearer: []authValue{{"token", "{{token}}", "string"}}}
	case "basic":
		return &postmanAuth{Type: "basic", Basic: []authValue{{"username", "{{username}}", "string"}, {"password", "{{password}}", "string"}}}
	case "apikey":
		if in, key, ok := strings.Cut(rest, ":"); ok && (in == "header" || in == "query") {
			return &postmanAuth{Type: "apikey", APIKey: []authValue{{"key", key, "string"}, {"value", "{{apiKey}}", "string"}, {"in", in, "string"}}}
		}
	}
	return nil
}
