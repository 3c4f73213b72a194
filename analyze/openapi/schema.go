package openapi

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"plainsight/analyze"
)

// schema is a JSON Schema (2020-12) as far as inference goes.
type schema struct {
	Ref        string             `json:"$ref,omitempty"`
	Type       types              `json:"type,omitempty"`
	Format     string             `json:"format,omitempty"`
	Enum       []any              `json:"enum,omitempty"`
	Properties map[string]*schema `json:"properties,omitempty"`
	Required   []string           `json:"required,omitempty"`
	Free       *schema            `json:"additionalProperties,omitempty"`
	Items      *schema            `json:"items,omitempty"`
	Any        []*schema          `json:"anyOf,omitempty"` // at the root of a message alone, of several operations

	id int // the same for equal ones, while components are sought
}

// types is written as a string where there is one.
type types []string

func one(t string) types { return types{t} }

func (t types) MarshalJSON() ([]byte, error) {
	if len(t) == 1 {
		return json.Marshal(t[0])
	}
	return json.Marshal([]string(t))
}

// leaf is the schema of a field without what is below it.
func leaf(f *analyze.Field) *schema {
	s := &schema{Type: slices.Clone(f.Types), Format: f.Format}
	if f.Nullable {
		s.Type = append(s.Type, "null")
	}
	for _, v := range f.Enum {
		s.Enum = append(s.Enum, v)
	}
	if s.Enum != nil && f.Nullable {
		s.Enum = append(s.Enum, nil)
	}
	return s
}

// bodyOf is one kind of body of an endpoint.
type bodyOf struct {
	side        analyze.Side
	status      string
	contentType string
	root        *position
}

// position is a place in a body, with those below it.
type position struct {
	field       *analyze.Field
	names       map[string]*position
	items, free *position
}

// bodies sorts fields into the trees that they are of.
func bodies(fields []analyze.Field) (list []*bodyOf) {
	for i := range fields {
		f := &fields[i]
		if f.Where != analyze.InBody {
			continue
		}
		contentType := f.ContentType
		if contentType == "" {
			contentType = "application/octet-stream"
			if slices.Contains(f.Types, "object") || slices.Contains(f.Types, "array") {
				contentType = "application/json"
			}
		}
		at := slices.IndexFunc(list, func(b *bodyOf) bool {
			return b.side == f.Side && b.status == f.Status && (b.contentType == contentType || f.ContentType == "" && f.Path != "$")
		})
		if at < 0 {
			at = len(list)
			list = append(list, &bodyOf{f.Side, f.Status, contentType, &position{}})
		}
		list[at].root.reach(strings.TrimPrefix(f.Path, "$")).field = f
	}
	return list
}

// reach finds or makes the position of a generalised path below p.
func (p *position) reach(path string) *position {
	for path != "" {
		rest, ok := strings.CutPrefix(path, "[]")
		if ok {
			p.items = cmp.Or(p.items, &position{})
			p, path = p.items, rest
			continue
		}
		if rest, ok = strings.CutPrefix(path, "{*}"); ok {
			p.free = cmp.Or(p.free, &position{})
			p, path = p.free, rest
			continue
		}
		path = strings.TrimPrefix(path, ".")
		end := strings.IndexAny(path, ".[{")
		if end < 0 {
			end = len(path)
		}
		name := unescape.Replace(path[:end])
		if p.names == nil {
			p.names = map[string]*position{}
		}
		if p.names[name] == nil {
			p.names[name] = &position{}
		}
		p = p.names[name]
		if end == 0 && path != "" && path[0] != '.' && !strings.HasPrefix(path, "[]") && !strings.HasPrefix(path, "{*}") {
			return p // not a path: its rest says nothing
		}
		path = path[end:]
	}
	return p
}

// unescape undoes the encoding of names in generalised paths.
var unescape = strings.NewReplacer("%25", "%", "%2E", ".", "%5B", "[", "%7B", "{")

// schema describes p. Its depth is that of paths, which are bounded.
func (p *position) schema() *schema {
	s := &schema{}
	if p.field != nil {
		s = leaf(p.field)
	}
	if p.items != nil {
		s.Items = p.items.schema()
	}
	if p.free != nil {
		s.Free = p.free.schema()
	}
	for name, q := range p.names {
		if s.Properties == nil {
			s.Properties = map[string]*schema{}
		}
		s.Properties[name] = q.schema()
		if q.field != nil && q.field.Required {
			s.Required = append(s.Required, name)
		}
	}
	slices.Sort(s.Required)
	return s
}
