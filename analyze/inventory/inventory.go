// Package inventory is where capture meets analyze: its workers, one for each
// shard, turn borrowed exchanges and handshakes into services, endpoints, shapes,
// sensitive data, findings and the encryption matrix, and let go of every
// captured byte before they return. A worker's state merges with those of the
// others in any order, so that the same traffic gives the same [analyze.Snapshot]
// on any number of shards, as long as no limit is reached.
//
// It never keeps a captured value: names are generalised, values masked. The
// read, watch and openapi commands call it.
package inventory

import (
	"sync"

	"plainsight/analyze"
	"plainsight/analyze/endpoint"
	"plainsight/analyze/sensitive"
	"plainsight/capture"
)

// Options bound an inventory. The zero value has the defaults.
type Options struct {
	Key     analyze.Key // of fingerprints
	Version string      // of plainsight, for the snapshot

	Rules *sensitive.Rules // of the user, beside the kinds of package sensitive; nil: none

	// Capture gives the base name of the capture that a frame came from; nil where
	// there is none.
	Capture func(frame uint64) string
	// Calls takes batches of exchanges as rows, one batch at a time; nil: no rows
	// are made. The slice and its rows are borrowed.
	Calls func([]analyze.Call)
	// CallBuffer is how many rows a worker holds back until it names their
	// endpoints and hands them over. Up to so many, the names are those of the
	// snapshot. 0: 50,000.
	CallBuffer int

	// Before is what was known earlier, to tell what is new; nil: nothing is.
	Before *analyze.Snapshot

	Routes *endpoint.Routes // templates that go before what is inferred; nil: none

	Services    int // services of their own; those beyond share one named "(other hosts)". 0: 2048
	Endpoints   int // records of paths of one worker, all services together; beyond, unknown paths are noise. 0: 20,000
	Operations  int // operations of one path that are known by name (GraphQL, JSON-RPC, SOAP); beyond, they are the path's. 0: 512
	Memory      int // pieces of 200 bytes or so that a worker learns of endpoints: fields, places, findings; beyond, only known ones are counted. 0: 500,000
	Sensitive   int // kinds and places of sensitive data of an endpoint. 0: 256
	Edges       int // cells of the encryption matrix. 0: 8192
	Sessions    int // rows of TLS sessions. 0: 4096
	Connections int // connections remembered at a time. 0: 262,144
	Credentials int // remembered over all services, by keyed hash. 0: 16384
	Hits        int // pieces of sensitive data looked at in one message. 0: 256
}

func (o Options) withDefaults() Options {
	def := func(n *int, d int) {
		if *n <= 0 {
			*n = d
		}
	}
	def(&o.CallBuffer, 50_000)
	def(&o.Services, 2048)
	def(&o.Endpoints, 20_000)
	def(&o.Operations, 512)
	def(&o.Memory, 500_000)
	def(&o.Sensitive, 256)
	def(&o.Edges, 8192)
	def(&o.Sessions, 4096)
	def(&o.Connections, 262_144)
	def(&o.Hits, 256)
	return o
}

// Inventory is the sum of its workers.
type Inventory struct {
	opts    Options
	mu      sync.Mutex // workers, and calls of Options.Calls
	workers []*worker
}

// New makes an empty inventory.
func New(o Options) *Inventory { return &Inventory{opts: o.withDefaults()} }

// Worker returns the handler of a shard. Each is used by one goroutine. Asking
// again for the same shard gives the same worker.
func (in *Inventory) Worker(shard int) capture.Handler {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.workers) <= shard {
		in.workers = append(in.workers, newWorker(in, len(in.workers)))
	}
	return in.workers[shard]
}

// Snapshot concludes. It is to be called while no worker runs; they may go on
// afterwards. captures says what was read; counts are those of the capture
// stage, nil where there was none. Rows that were held back are handed over.
func (in *Inventory) Snapshot(captures []analyze.Capture, counts *capture.Counts) *analyze.Snapshot {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.workers) == 0 {
		in.workers = append(in.workers, newWorker(in, 0))
	}
	first := in.workers[0]
	for _, w := range in.workers[1:] {
		first.state.merge(&w.state)
		w.state.reset(&in.opts)
		w.forget()
	}
	first.forget()
	c := conclusion{in: in, state: &first.state, captures: captures, counts: counts}
	snap := c.snapshot()
	for _, w := range in.workers {
		w.calls.name(c.names)
		in.hand(&w.calls)
	}
	return snap
}

// SetRules changes the user's rules. It is to be called while no worker runs.
func (in *Inventory) SetRules(r *sensitive.Rules) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.opts.Rules = r
	for _, w := range in.workers {
		w.scanner = w.newScanner()
	}
}

// Explain says why a path (as on the wire, without a query) has its template, in
// each service that has an endpoint for it. It is to be called after
// [Inventory.Snapshot].
func (in *Inventory) Explain(path []byte) (list []endpoint.Explanation) {
	in.mu.Lock()
	defer in.mu.Unlock()
	state := &in.workers[0].state
	state.deciding = true
	for _, s := range state.sortedServices() {
		for _, e := range s.tree.Explain(path) {
			e.Service = s.name
			list = append(list, e)
		}
	}
	state.deciding = false
	return list
}

// hand gives the rows to the caller. in.mu is held.
func (in *Inventory) hand(c *calls) {
	if len(c.rows) > 0 && in.opts.Calls != nil {
		in.opts.Calls(c.rows)
	}
	c.clear()
}
