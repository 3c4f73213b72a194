package inventory

import (
	"cmp"
	"iter"

	"plainsight/analyze/operation"
	"plainsight/analyze/tally"
	"plainsight/capture"
)

// operations are the records of what is asked for by name at one path. Those
// that have only failed are apart: a name becomes an operation by an answer, so
// that names that somebody made up are none, and crowd out none.
type operations struct {
	done, failed tally.Table[operationKey, *record]
}

type operationKey struct {
	style operation.Style
	name  string
}

func rankOperation(k operationKey) uint64 {
	return tally.Mix(tally.Hash(k.name) + 3*tally.Hash(string(k.style)))
}

func compareOperation(a, b operationKey) int {
	return cmp.Or(cmp.Compare(a.style, b.style), cmp.Compare(a.name, b.name))
}

// called is how an operation of a path is called. The path of gRPC names it: what
// looks like a value in other paths is a method there.
func (k operationKey) called(template string) called {
	if k.style == operation.GRPC {
		return called{template: k.name}
	}
	return called{template, k.name}
}

// failedOperations is how many names of a path that never succeeded are kept.
const failedOperations = 64

// operationsOf returns the operations of a record, made if need be. Those that
// have to go become part of the record itself.
func (r *record) operationsOf() *operations {
	if r.operations == nil {
		r.operations = &operations{
			done:   tally.NewTable[operationKey, *record](r.opts.Operations, rankOperation),
			failed: tally.NewTable[operationKey, *record](failedOperations, rankOperation),
		}
		gone := func(_ operationKey, o *record) { r.join(o) }
		r.operations.done.Gone, r.operations.failed.Gone = gone, gone
	}
	return r.operations
}

// len is how many records there are.
func (o *operations) len() int {
	if o == nil {
		return 0
	}
	return o.done.Len() + o.failed.Len()
}

// child makes the record of an operation.
func (r *record) child() *record {
	if r.home != nil {
		return r.home.newRecord()
	}
	return newRecord(r.opts)
}

func (r *record) mergeOperations(o *record) {
	if o.operations == nil {
		return
	}
	s := r.home
	own := s != nil && s == o.home && !s.deciding
	before := r.operations.len() + o.operations.len()
	into := r.operationsOf()
	join := func(a, b *record) { a.join(b) }
	into.done.Merge(&o.operations.done, r.child, join)
	into.failed.Merge(&o.operations.failed, r.child, join)
	if own {
		s.records += into.len() - before
	}
}

// each tells the records that a path is concluded from: its own, where it was
// asked for without a name, and those of its operations, in order. What failed and
// never succeeded under its name is noise, as paths are that never did, but where
// it is all that there is. The records may be the path's: they must not be
// changed.
func (r *record) each() iter.Seq2[operationKey, *record] {
	return func(yield func(operationKey, *record) bool) {
		ops := r.operations
		if ops == nil {
			yield(operationKey{}, r)
			return
		}
		ops.done.Trim()
		ops.failed.Trim()
		base := r
		if ops.done.Len() == 0 && r.requests == 0 {
			base = newRecord(r.opts)
			for _, k := range ops.failed.Sorted(compareOperation) {
				if failed, _ := ops.failed.Get(k); k.style != operation.GRPC {
					base.join(failed)
				}
			}
		}
		if base.requests > 0 && !yield(operationKey{}, base) {
			return
		}
		for _, k := range ops.done.Sorted(compareOperation) {
			rec, _ := ops.done.Get(k)
			if failed, ok := ops.failed.Get(k); ok {
				both := newRecord(r.opts)
				both.join(rec)
				both.join(failed)
				rec = both
			}
			if !yield(k, rec) {
				return
			}
		}
	}
}

// operation finds the record of what the request at hand asks for by name, in
// that of its path, and those of the members of a batch.
func (w *worker) operation(x *capture.Exchange, path, query []byte) {
	w.members = w.members[:0]
	q := operation.Request{Method: x.Method, Path: path, Query: query, ContentType: x.Request.Get("content-type"), Body: x.Request.Body}
	for i := range x.Request.Headers {
		if h := &x.Request.Headers[i]; capture.EqualFold(h.Name, "soapaction") {
			q.Action, q.Soap = h.Value, true
		}
	}
	op, ok := w.operations.Read(&q)
	if !ok {
		return
	}
	rec := w.rec
	made := w.made && !operation.Failed(op.Style, x.Response.Body)
	if r := w.named(rec, operationKey{op.Style, op.Name}, made); r != nil {
		w.rec = r
	}
	for _, name := range op.Members {
		if r := w.named(rec, operationKey{op.Style, name}, made); r != nil {
			w.members = append(w.members, r)
		}
	}
}

// named returns the record of an operation, nil where there is no room for it.
func (w *worker) named(rec *record, key operationKey, made bool) *record {
	ops := rec.operationsOf()
	table := &ops.failed
	if made {
		table = &ops.done
	}
	fresh := w.child
	if w.o.Frozen || w.state.records >= w.in.opts.Endpoints {
		fresh = nil
	}
	before := ops.len()
	r, ok := table.At(key, fresh)
	w.state.records += ops.len() - before
	if !ok {
		w.state.counts[operationLimit]++
		return nil
	}
	return r
}
