// Package endpointtest has what judges package endpoint: a learner that gives
// exchanges to trees with all of the evidence that the program gives, a score
// against the truth, and traffic drawn from the documents of APIs. Tests alone
// call it.
package endpointtest

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"hash/fnv"
	"io"
	"os"
	"strings"

	"plainsight/analyze"
	"plainsight/analyze/body"
	"plainsight/analyze/endpoint"
	"plainsight/analyze/shape"
)

// Exchange is a request with its answer, as in a line of the inference set.
type Exchange struct {
	Method, Scheme, Host, Path, Query string
	ReqHeaders, RespHeaders           [][2]string
	ReqBody, RespBody                 string
	Status                            int
	Operation                         int `json:"-"` // it is of; -1 for noise
}

// Read reads a file of exchanges.
func Read(name string) (list []Exchange, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bufio.NewReaderSize(z, 1<<20))
	for {
		var x Exchange
		if err := d.Decode(&x); errors.Is(err, io.EOF) {
			return list, nil
		} else if err != nil {
			return nil, err
		}
		list = append(list, x)
	}
}

// Header is the value of a header; empty where there is none.
func Header(headers [][2]string, name string) string {
	for _, h := range headers {
		if strings.EqualFold(h[0], name) {
			return h[1]
		}
	}
	return ""
}

// Record is what is kept for an endpoint.
type Record struct {
	Set *shape.Set
	N   uint64
}

// NewRecord makes an empty record.
func NewRecord() *Record { return &Record{Set: shape.NewSet(shape.Options{})} }

// Merge implements [endpoint.Record].
func (r *Record) Merge(o *Record) {
	r.Set.Merge(o.Set)
	r.N += o.N
}

// Like implements [endpoint.Record].
func (r *Record) Like(o *Record) (alike, weight float64) { return r.Set.Like(o.Set) }

// Learner gives exchanges to a tree for each host.
type Learner struct {
	Trees  map[string]*endpoint.Tree[*Record]
	walker body.Walker
	shapes shape.Recorder
}

// Learn learns an exchange. It returns nil where it makes no endpoint.
func (l *Learner) Learn(x *Exchange) *Record {
	if endpoint.Noise([]byte(x.Method), []byte(x.Path)) {
		return nil
	}
	t := l.Trees[x.Host]
	if t == nil {
		if l.Trees == nil {
			l.Trees = map[string]*endpoint.Tree[*Record]{}
		}
		t = endpoint.NewTree(endpoint.Options{}, NewRecord)
		l.Trees[x.Host] = t
	}
	ok := x.Status > 0 && x.Status < 400
	r, found := t.At([]byte(x.Method), []byte(x.Path), ok)
	if !found {
		return nil
	}
	r.N++
	if ok {
		r.Set.Message()
		l.walker.Query([]byte(x.Query), func(name, value []byte) { r.Set.Parameter(analyze.InQuery, name, value) })
	}
	if x.ReqBody != "" && ok {
		kind := []byte(Header(x.ReqHeaders, "content-type"))
		l.shapes.Open(r.Set, analyze.Request, 0, kind)
		res := l.walker.Walk(kind, []byte(x.ReqBody), &l.shapes)
		l.shapes.Close(res.Complete)
	}
	page := uint64(0)
	if x.RespBody != "" {
		kind := Header(x.RespHeaders, "content-type")
		l.shapes.Open(r.Set, analyze.Response, x.Status, []byte(kind))
		v := body.Visitor(&l.shapes)
		if ok {
			v = &echo{Recorder: &l.shapes, tree: t}
		}
		res := l.walker.Walk([]byte(kind), []byte(x.RespBody), v)
		l.shapes.Close(res.Complete)
		if strings.Contains(kind, "html") {
			h := fnv.New64a()
			io.WriteString(h, x.RespBody)
			page = h.Sum64()
		}
	}
	if ok {
		t.Page(page)
	}
	return r
}

// echo tells the tree of what the shapes hear.
type echo struct {
	*shape.Recorder
	tree *endpoint.Tree[*Record]
	key  []byte
}

func (e *echo) Key(name []byte) {
	e.key = append(e.key[:0], name...)
	e.Recorder.Key(name)
}

func (e *echo) Value(k body.Kind, text []byte) {
	if k == body.String || k == body.Number {
		e.tree.Echo(e.key, text, endpoint.IDKey(e.key))
	}
	e.Recorder.Value(k, text)
}

// Score is how well templates were found. F1 is 1 where there is nothing to find.
type Score struct{ Precision, Recall, F1, Grouping float64 }

// Judge compares what a learner found with the truth, as the inference set's
// scorer does.
func (l *Learner) Judge(s *Set) (score Score) {
	want, forgiven := map[string]bool{}, map[string]bool{}
	for _, o := range s.Operations {
		if key := o.Method + " " + o.Host + Unnamed(o.Template); o.Successes > 0 {
			want[key] = true
		} else {
			forgiven[key] = true
		}
	}
	right, all := 0, 0
	views := map[string]*endpoint.View[*Record]{}
	for host, t := range l.Trees {
		views[host] = t.Decide()
		for e := range views[host].Endpoints() {
			key := e.Method + " " + host + Unnamed(e.Template)
			switch {
			case want[key]:
				right++
				all++
			case !forgiven[key]:
				all++
			}
		}
	}
	score.Precision, score.Recall = share(right, all), share(right, len(want))
	if right > 0 {
		score.F1 = 2 * score.Precision * score.Recall / (score.Precision + score.Recall)
	}
	// A group counts where it holds all of an operation's requests and no others.
	groups := make([]string, len(s.Exchanges))
	members, sizes := map[string]map[int]int{}, map[int]int{}
	for i := range s.Exchanges {
		x := &s.Exchanges[i]
		if x.Operation < 0 {
			continue
		}
		sizes[x.Operation]++
		v := views[x.Host]
		if v == nil {
			continue
		}
		e, _, ok := v.Route([]byte(x.Method), []byte(x.Path))
		if !ok {
			continue
		}
		key := x.Method + " " + x.Host + e.Template
		groups[i] = key
		if members[key] == nil {
			members[key] = map[int]int{}
		}
		members[key][x.Operation]++
	}
	good, requests := 0, 0
	for i := range s.Exchanges {
		x := &s.Exchanges[i]
		if x.Operation < 0 {
			continue
		}
		requests++
		if g := members[groups[i]]; len(g) == 1 && g[x.Operation] == sizes[x.Operation] {
			good++
		}
	}
	score.Grouping = share(good, requests)
	return score
}

func share(a, b int) float64 {
	if b == 0 {
		return 1
	}
	return float64(a) / float64(b)
}
