package main

import (
	"time"

	"plainsight/analyze"
	"plainsight/capture"
)

// totals takes the place of the inventory in a run without analysis.
type totals struct{ shards []*total }

// total is what a shard adds: how many exchanges, from when to when.
type total struct {
	exchanges   uint64
	first, last time.Time
}

// Worker returns the handler of a shard.
func (t *totals) Worker(int) capture.Handler {
	n := new(total)
	t.shards = append(t.shards, n)
	return n
}

// Snapshot adds up. It is for when no worker runs.
func (t *totals) Snapshot(files []analyze.Capture, counts *capture.Counts) *analyze.Snapshot {
	s := &analyze.Snapshot{Version: version}
	var all total
	for _, n := range t.shards {
		all.exchanges += n.exchanges
		all.span(n.first)
		all.span(n.last)
	}
	s.Exchanges, s.First, s.Last = all.exchanges, all.first, all.last
	s.Coverage = analyze.Coverage{Captures: files,
		NotVisible: []string{"Nothing was analysed (--no-analysis): that no endpoint and no finding stands here says nothing."}}
	for _, k := range capture.All() {
		if v := counts[k]; v > 0 {
			s.Coverage.Counts = append(s.Coverage.Counts, analyze.Count{Name: k.Info().Name, Help: k.Info().Help, Value: v})
		}
	}
	return s
}

func (t *total) span(at time.Time) {
	switch {
	case at.IsZero():
	case t.first.IsZero():
		t.first, t.last = at, at
	case at.Before(t.first):
		t.first = at
	case at.After(t.last):
		t.last = at
	}
}

func (t *total) Exchange(x *capture.Exchange) {
	t.exchanges++
	for _, m := range [...]*capture.Message{&x.Request, &x.Response} {
		if m.Seen {
			t.span(m.Start.Time)
			t.span(m.End.Time)
		}
	}
}

func (t *total) Handshake(h *capture.Handshake) { t.span(h.At.Time) }
func (t *total) WebSocket(w *capture.WebSocket) { t.span(w.Start.Time); t.span(w.End.Time) }
func (t *total) Connection(*capture.Summary)    {}
