package agent

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"plainsight/analyze"
	"plainsight/storage"
	"plainsight/storage/delivery"
)

// patience is how long a write to the spool may keep a shard waiting; beyond, the
// rows are lost, and counted by what they were.
const patience = 2 * time.Second

// Store is the [Sink] that brings rows into a store, through a spool.
type Store struct {
	w        *delivery.Writer
	watch    storage.Watch
	sampling uint16 // one of so many calls is kept as a row; 0: none
	log      *slog.Logger

	mu      sync.Mutex // of what is counted here because not all calls are kept
	traffic storage.Traffic
	callers storage.Callers
	nth     uint64

	lost atomic.Uint64 // rows that the spool did not take in time
}

// StoreOptions say who writes, and how much of it.
type StoreOptions struct {
	Watch    storage.Watch // Run and Started are set here
	Sampling uint16        // one of so many calls is kept as a row, statistics of all; 0: statistics alone
	Log      *slog.Logger
}

// NewStore makes a sink of a writer, which stays the caller's to close. It says to
// the store at once that the agent is there.
func NewStore(w *delivery.Writer, o StoreOptions) *Store {
	s := &Store{w: w, watch: o.Watch, sampling: o.Sampling, log: o.Log}
	s.watch.Run, s.watch.Started = w.Run(), time.Now()
	s.write(s.watch.Batches(nil, w.Next(), time.Now())...)
	return s
}

// write spools rows. What is not taken is counted: nobody waits for it.
func (s *Store) write(batches ...storage.Batch) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, b := range batches {
		if b.Len == 0 {
			continue
		}
		if err := s.w.Write(ctx, b); err != nil {
			if s.lost.Add(uint64(b.Len)) == uint64(b.Len) {
				s.log.Error("rows are lost: the spool does not take them", "table", b.Table.Name, "error", err)
			}
		}
	}
}

// Calls takes exchanges. Where not all of them are kept, statistics count all.
func (s *Store) Calls(calls []analyze.Call) {
	if s.sampling == 1 {
		s.write(storage.Calls(calls)) // the store's views count them
		return
	}
	s.mu.Lock()
	var kept []analyze.Call
	for i := range calls {
		c := &calls[i]
		s.traffic.Add(c)
		s.callers.Add(c)
		if s.nth++; s.sampling > 1 && s.nth%uint64(s.sampling) == 0 {
			kept = append(kept, *c)
			kept[len(kept)-1].Sampling = s.sampling
		}
	}
	s.mu.Unlock()
	s.write(storage.Calls(kept))
}

// Conclude takes what is known by now in place of what was.
func (s *Store) Conclude(snap *analyze.Snapshot) {
	s.mu.Lock()
	traffic, callers := s.traffic.Take(), s.callers.Take()
	s.mu.Unlock()
	s.write(traffic, callers)
	s.write(s.watch.Batches(snap, s.w.Next(), time.Now())...)
}

// Tell writes how the agent does.
func (s *Store) Tell(row storage.AgentRow) {
	row.Agent, row.Node, row.Version, row.Started = s.watch.Agent, s.watch.Node, s.watch.Version, s.watch.Started
	d := s.Stats()
	row.SinkUp, row.SinkErrors, row.SinkReplays = d.Up, d.Errors, d.Replays
	for _, n := range d.Rejected {
		row.SinkRejected += n
	}
	row.SpoolBytes, row.SpoolOldest = uint64(d.Spool.Bytes), d.Spool.Oldest
	row.SpoolDropped = map[string]uint64{}
	for kind, reasons := range d.Spool.Dropped {
		for _, n := range reasons {
			row.SpoolDropped[kind] += n
		}
	}
	for _, n := range d.Spool.Errors {
		row.SpoolErrors += n
	}
	row.Stages = append(row.Stages,
		storage.Stage{Name: "writer", In: d.Written + s.lost.Load(), Passed: d.Written - d.TooLarge, Dropped: d.TooLarge + s.lost.Load()},
		storage.Stage{Name: "sink", In: d.Spool.Done, Passed: d.Taken, Dropped: row.SinkRejected})
	s.write(storage.Agents([]storage.AgentRow{row}))
}

// Lost is how many rows the spool did not take in time.
func (s *Store) Lost() uint64 { return s.lost.Load() }

// Stats are those of the writer.
func (s *Store) Stats() delivery.Stats { return s.w.Stats() }
