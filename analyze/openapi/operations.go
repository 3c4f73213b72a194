package openapi

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"plainsight/analyze"
)

// join describes the endpoints of one method and template as OpenAPI can: as one
// operation whose messages are those of any of them. Of GraphQL, JSON-RPC and
// SOAP one path stands for many.
func join(list []*analyze.Endpoint, schemes map[string]scheme) *operation {
	op := describe(list[0], schemes)
	if len(list) == 1 && list[0].Operation == "" {
		return op
	}
	auth := maps.Clone(list[0].Auth)
	op.Seen.Operations = map[string]uint64{}
	op.name(list[0].Operation)
	for i, e := range list {
		op.Seen.Operations[e.Operation] += e.Requests
		if i == 0 {
			continue
		}
		o := describe(e, schemes)
		o.name(e.Operation)
		for kind, n := range e.Auth {
			if auth == nil {
				auth = map[string]uint64{}
			}
			auth[kind] += n
		}
		op.Seen.add(&o.Seen)
		op.Parameters = unite(op.Parameters, o.Parameters)
		switch {
		case op.RequestBody == nil:
			op.RequestBody = o.RequestBody
		case o.RequestBody != nil:
			op.RequestBody.join(o.RequestBody)
		}
		for status, m := range o.Responses {
			if op.Responses[status] == nil {
				op.Responses[status] = m
			} else {
				op.Responses[status].join(m)
			}
		}
	}
	if len(op.Responses) > 1 {
		delete(op.Responses, "default")
	}
	if len(op.Seen.Operations) == 1 {
		op.Summary = list[0].Name()
	}
	op.Security = security(auth, schemes)
	return op
}

// name says which operation the messages are of.
func (op *operation) name(name string) {
	if op.RequestBody != nil {
		op.RequestBody.name(name)
	}
	for _, m := range op.Responses {
		m.name(name)
	}
}

func (m *message) name(name string) {
	for _, c := range m.Content {
		c.of = name
	}
}

// add adds what was seen of another operation.
func (s *seen) add(o *seen) {
	s.Requests += o.Requests
	s.Plaintext += o.Plaintext
	s.Encrypted += o.Encrypted
	for status, n := range o.Statuses {
		if s.Statuses == nil {
			s.Statuses = map[string]uint64{}
		}
		s.Statuses[status] += n
	}
	if s.First.IsZero() || !o.First.IsZero() && o.First.Before(s.First) {
		s.First = o.First
	}
	if o.Last.After(s.Last) {
		s.Last = o.Last
	}
}

// unite joins parameters: one that not all have is not required.
func unite(a, b []parameter) []parameter {
	for i := range a {
		p := &a[i]
		p.Required = p.In == "path" || p.Required && slices.ContainsFunc(b, func(q parameter) bool { return q.In == p.In && q.Name == p.Name && q.Required })
	}
	for _, q := range b {
		at := slices.IndexFunc(a, func(p parameter) bool { return q.In == p.In && q.Name == p.Name })
		if at < 0 {
			q.Required = q.In == "path"
			a = append(a, q)
			continue
		}
		a[at].Empty = a[at].Empty || q.Empty
		a[at].Schema = either(a[at].Schema, q.Schema)
	}
	return a
}

// either is a schema for what fits one of two.
func either(a, b *schema) *schema {
	if text, err := json.Marshal(a); err == nil {
		if other, err := json.Marshal(b); err == nil && bytes.Equal(text, other) {
			return a
		}
	}
	return &schema{Any: []*schema{a, b}}
}

// join adds the content of o to m.
func (m *message) join(o *message) {
	for contentType, c := range o.Content {
		if m.Content == nil {
			m.Content = map[string]*media{}
		}
		into := m.Content[contentType]
		if into == nil {
			m.Content[contentType] = c
			continue
		}
		if into.Schema.Any == nil {
			into.Schema = &schema{Any: []*schema{into.Schema}}
			into.names = []string{into.of}
		}
		into.Schema.Any = append(into.Schema.Any, c.Schema)
		into.names = append(into.names, c.of)
	}
}
