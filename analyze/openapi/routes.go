package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"plainsight/analyze/endpoint"
)

// Routes reads the path templates of an OpenAPI (3.x) or Swagger (2.0) document,
// as JSON or YAML, with the hosts and base paths of its servers; or, of a text
// that is neither, those of a plain list ([endpoint.ParseRoutes]). What else a
// document says does not matter here, so that one with faults elsewhere will do.
func Routes(text []byte) ([]endpoint.Route, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	decode := func(v any) error { return yaml.Unmarshal(text, v) }
	switch {
	case bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")):
		decode = func(v any) error { return json.Unmarshal(text, v) }
	case !documentKey.Match(text):
		return endpoint.ParseRoutes(text)
	}
	var doc outline
	if err := decode(&doc); err != nil {
		// What a parser says quotes the text over several lines.
		first, _, _ := strings.Cut(strings.TrimSpace(err.Error()), "\n")
		return nil, fmt.Errorf("no document of OpenAPI: %s", first)
	}
	if doc.OpenAPI == nil && doc.Swagger == nil {
		return nil, errors.New("no document of OpenAPI: it has neither openapi nor swagger at its top")
	}
	if len(doc.Paths) == 0 {
		return nil, errors.New("the document has no paths")
	}
	return doc.routes()
}

var documentKey = regexp.MustCompile(`(?m)^["']?(openapi|swagger)["']?\s*:`)

// outline is what is read of a document.
type outline struct {
	OpenAPI  any            `json:"openapi" yaml:"openapi"`
	Swagger  any            `json:"swagger" yaml:"swagger"`
	Host     string         `json:"host" yaml:"host"`
	BasePath string         `json:"basePath" yaml:"basePath"`
	Servers  []placed       `json:"servers" yaml:"servers"`
	Paths    map[string]any `json:"paths" yaml:"paths"`
}

type placed struct {
	URL       string `json:"url" yaml:"url"`
	Variables map[string]struct {
		Default any `json:"default" yaml:"default"`
	} `json:"variables" yaml:"variables"`
}

// place is where a document's paths hang.
type place struct{ host, base string }

// place reads the address of a server. One whose host is a variable without a
// default is any host.
func (p placed) place() (place, error) {
	address := p.URL
	for name, v := range p.Variables {
		if v.Default != nil {
			address = strings.ReplaceAll(address, "{"+name+"}", fmt.Sprint(v.Default))
		}
	}
	scheme, rest, absolute := strings.Cut(address, "://")
	if !absolute {
		scheme, rest = "", address
	}
	if scheme == "" && !strings.HasPrefix(rest, "//") {
		return place{base: rest}, nil
	}
	host, base, _ := strings.Cut(strings.TrimPrefix(rest, "//"), "/")
	if strings.Contains(host, "{") {
		host = ""
	} else if u, err := url.Parse("//" + host); err != nil || u.Host == "" {
		return place{}, errors.New("the URL of a server has no host")
	}
	return place{host, "/" + base}, nil
}

func places(list []any) (all []place, err error) {
	for _, v := range list {
		var p placed
		m, _ := v.(map[string]any)
		p.URL, _ = m["url"].(string)
		at, err := p.place()
		if err != nil {
			return nil, err
		}
		all = append(all, at)
	}
	return all, nil
}

func (d *outline) routes() (list []endpoint.Route, err error) {
	var at []place
	for _, s := range d.Servers {
		p, err := s.place()
		if err != nil {
			return nil, err
		}
		at = append(at, p)
	}
	if len(at) == 0 {
		at = []place{{d.Host, d.BasePath}}
	}
	paths := make([]string, 0, len(d.Paths))
	for path := range d.Paths {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		item, _ := d.Paths[path].(map[string]any)
		if !strings.HasPrefix(path, "/") {
			continue // x-…
		}
		here := at
		if own, ok := item["servers"].([]any); ok {
			if here, err = places(own); err != nil {
				return nil, err
			}
		}
		path, _, _ = strings.Cut(path, "?") // some tell operations apart by it
		path, _, _ = strings.Cut(path, "#")
		for _, method := range methods {
			op, ok := item[method].(map[string]any)
			if !ok {
				continue
			}
			where := here
			if own, ok := op["servers"].([]any); ok {
				if where, err = places(own); err != nil {
					return nil, err
				}
			}
			for _, p := range where {
				r := endpoint.Route{Method: strings.ToUpper(method), Host: p.host, Template: strings.TrimRight("/"+strings.Trim(p.base, "/"), "/") + path}
				if !slices.Contains(list, r) || len(list) > 5000 {
					list = append(list, r)
				}
			}
		}
	}
	return list, nil
}
