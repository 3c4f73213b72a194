package inventory

import (
	"slices"

	"plainsight/analyze"
	"plainsight/capture"
)

// calls are rows that wait for the names of their endpoints.
type calls struct {
	rows    []analyze.Call
	records []*record // of each row, nil where it has no endpoint
	kinds   []string  // of all rows, one after the other
}

func (c *calls) clear() {
	clear(c.rows)
	clear(c.records)
	c.rows, c.records = c.rows[:0], c.records[:0]
	c.kinds = nil // rows that were handed over may have been kept
}

// called is how the endpoint of a row is called.
type called struct{ template, operation string }

// name fills in the names of endpoints. names tells that of a leaf.
func (c *calls) name(names map[uint64]called) {
	for i, r := range c.records {
		if r != nil && len(r.ids) > 0 {
			n := names[r.ids[0]]
			c.rows[i].Template, c.rows[i].Operation = n.template, n.operation
		}
	}
}

// call makes the row of the exchange at hand.
func (w *worker) call(x *capture.Exchange, k *conn) {
	o, c := w.o, &w.calls
	from := len(c.kinds)
	for i := range o.Credentials {
		c.kinds = addKind(c.kinds, from, o.Credentials[i].Kind.Sensitive())
	}
	for i := range o.Hits {
		c.kinds = addKind(c.kinds, from, o.Hits[i].Kind)
	}
	var flaws []string
	if f := x.Request.Flaws | x.Response.Flaws; f != 0 {
		flaws = f.Names()
	}
	kinds := c.kinds[from:len(c.kinds):len(c.kinds)]
	slices.Sort(kinds)
	c.rows = append(c.rows, analyze.Call{
		Time: o.Time.UTC(), Conn: x.Conn.ID, Frame: o.At.Frame, Stream: x.Stream, Client: k.client, Server: k.server, Service: w.svc.name, Method: o.Method, Status: x.Status,
		Wire: o.Wire, Auth: o.Auth, Principal: o.Principal, Request: x.Request.BodySize, Response: x.Response.BodySize, Latency: x.Latency(),
		Sensitive: kinds, Flaws: flaws, Incomplete: !x.Request.Seen || !x.Response.Seen || x.Request.Truncated || x.Response.Truncated,
	})
	c.records = append(c.records, w.rec)
	if len(c.rows) >= w.in.opts.CallBuffer {
		w.flush()
	}
}

func addKind(kinds []string, from int, kind string) []string {
	if kind == "" || slices.Contains(kinds[from:], kind) {
		return kinds
	}
	return append(kinds, kind)
}

// flush names the rows as well as this worker can and hands them over.
func (w *worker) flush() {
	names := map[uint64]called{}
	w.state.deciding = true
	seen := map[*service]bool{}
	name := func(s *service) {
		if s == nil || seen[s] {
			return
		}
		seen[s] = true
		for e, path := range s.tree.Endpoints() {
			for op, r := range path.each() {
				for _, id := range r.ids {
					names[id] = op.called(e.Template)
				}
			}
		}
	}
	w.state.services.All(func(_ string, s *service) { name(s) })
	name(w.state.other)
	w.state.deciding = false
	w.calls.name(names)
	w.in.mu.Lock()
	defer w.in.mu.Unlock()
	w.in.hand(&w.calls)
}
