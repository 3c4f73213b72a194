package inventory

import (
	"bytes"

	"plainsight/analyze"
	"plainsight/analyze/body"
	"plainsight/analyze/endpoint"
	"plainsight/analyze/sensitive"
)

// visitor tells the shapes, the scanner, the tree and the rules of what a walk
// over a body finds.
type visitor struct {
	w     *worker
	side  analyze.Side
	set   bool // the recorder is open
	echo  bool // the tree wants to hear of values
	depth int
	key   []byte // the last name, cut; it lives as long as the walk
	above []byte // the name of the object at hand
	list  int    // how deep the members of the list at hand stand, 0: none
	items int    // of it
	whole []bool // of the scanner's hits so far: the value was nothing else beside
	soft  softness
}

// Begin implements body.Visitor.
func (v *visitor) Begin(k body.Kind) {
	if v.set {
		v.w.recorder.Begin(k)
	}
	v.w.scanner.Begin(k)
	v.item()
	switch k {
	case body.Object:
		v.above = v.key
	case body.Array:
		if v.depth <= 2 && (v.list == 0 || v.depth < v.list) {
			v.list, v.items = v.depth+1, 0
		}
	}
	if v.depth == 1 && v.side == analyze.Response {
		v.soft.top(v.key, k, nil)
	}
	v.depth++
}

// Key implements body.Visitor.
func (v *visitor) Key(name []byte) {
	if v.set {
		v.w.recorder.Key(name)
	}
	v.w.scanner.Key(name)
	if v.side == analyze.Request {
		v.w.o.Key(analyze.InBody, v.above, name)
	}
	v.key = name[:min(len(name), 64)]
}

// Value implements body.Visitor.
func (v *visitor) Value(k body.Kind, text []byte) {
	w := v.w
	if v.set {
		w.recorder.Value(k, text)
	}
	if k == body.String || k == body.Number {
		v.leaf(k, text)
	} else {
		w.scanner.Value(k, text)
	}
	v.item()
	if v.side == analyze.Request && k == body.String {
		w.o.Text(v.key, text)
	}
	if v.depth == 1 {
		if v.side == analyze.Response {
			v.soft.top(v.key, k, text)
			v.w.o.Answer(v.key, text)
		} else {
			w.o.Field(v.key, text)
		}
	}
}

// leaf tells the scanner and the tree of a value that may be data.
func (v *visitor) leaf(k body.Kind, text []byte) {
	w := v.w
	if f := v.field(); f != nil {
		w.scanner.Named(f.means, k, text)
		if v.echo {
			w.svc.tree.Echo(f.name, text, f.id)
		}
	} else {
		_, name := w.scanner.Names()
		w.scanner.Value(k, text)
		if v.echo {
			w.svc.tree.Echo(name, text, endpoint.IDKey(name))
		}
	}
	if hits := w.scanner.Hits(); len(hits) > len(v.whole) {
		v.judge(hits, text)
	}
}

// judge tells of new hits whether they are the whole value.
func (v *visitor) judge(hits []sensitive.Hit, text []byte) {
	for len(v.whole) < len(hits) {
		h := &hits[len(v.whole)]
		v.whole = append(v.whole, (h.Place.Where == analyze.InBody || h.Place.Where == analyze.InQuery || h.Place.Where == analyze.InPath) && h.Length*5 >= len(text)*4)
	}
}

// field is what is known of the place of the value at hand, nil where its names
// are not always the same.
func (v *visitor) field() *field {
	if !v.set {
		return nil
	}
	note := v.w.recorder.Note()
	if note == nil {
		return nil
	}
	if *note == nil {
		*note = v.w.field(v.w.scanner.Names())
	}
	return (*note).(*field)
}

// field is what is known of places in bodies by their names.
type field struct {
	name  []byte
	means *sensitive.Name
	id    bool // its values are ids
}

// field reads the two nearest names above a value. Endpoints share most of them.
func (w *worker) field(parent, name []byte) *field {
	w.scratch = append(append(append(w.scratch[:0], parent...), 0), name...)
	if f := w.fields[string(w.scratch)]; f != nil {
		return f
	}
	f := &field{name: bytes.Clone(name), means: w.scanner.Name(parent, name), id: endpoint.IDKey(name)}
	if len(w.fields) >= maxNames {
		clear(w.fields)
	}
	if len(w.scratch) <= 2*analyze.MaxText {
		w.fields[string(w.scratch)] = f
	}
	return f
}

// item counts the members of lists near the top of an answer.
func (v *visitor) item() {
	if v.side == analyze.Response && v.depth == v.list && v.list > 0 {
		v.items++
		v.w.o.Items = max(v.w.o.Items, v.items)
	}
}

// End implements body.Visitor.
func (v *visitor) End(k body.Kind) {
	if v.set {
		v.w.recorder.End(k)
	}
	v.w.scanner.End(k)
	v.depth--
}

// softness judges whether an answer with a good status says that it failed
// (rule 1 of the catalogue): a JSON object with an error in it and nothing but
// what comes with errors, errors beside null data (GraphQL), or an explicit no.
type softness struct {
	failure bool // error, errors
	no      bool // success: false, ok: false, status: "error"
	data    bool // something that only a success has
}

func (s *softness) top(key []byte, k body.Kind, text []byte) {
	switch string(key) {
	case "error", "errors", "err", "exception", "fault", "Error", "Errors", "Fault":
		switch k {
		case body.Null:
		case body.Bool:
			s.failure = s.failure || string(text) == "true"
		case body.String:
			s.failure = s.failure || len(text) > 0
		case body.Number:
			s.failure = s.failure || string(text) != "0"
		default:
			s.failure = true
		}
	case "success", "ok", "Success":
		s.no = s.no || k == body.Bool && string(text) == "false"
	case "status", "result", "Status":
		s.no = s.no || k == body.String && (string(text) == "error" || string(text) == "fail" || string(text) == "failed" || string(text) == "failure")
	case "message", "msg", "code", "statusCode", "status_code", "error_description", "error_code", "errorCode", "error_message", "errorMessage", "reason", "detail", "details", "description",
		"type", "title", "instance", "request_id", "requestId", "trace_id", "traceId", "timestamp", "time", "path", "help", "documentation_url", "extensions", "id", "jsonrpc", "name", "stack", "trace":
	case "data":
		s.data = s.data || k != body.Null
	default:
		s.data = s.data || k != body.Null
	}
}

func (s *softness) failed() bool { return (s.failure || s.no) && !s.data }
