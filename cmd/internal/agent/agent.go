// Package agent is the loop of the live agent: each source has a goroutine with
// an engine of its own that runs to completion, and from time to time all of them
// stand still for a moment while what is known is written down. The watch command
// wires it; it captures nothing itself and stores nothing.
package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/inventory"
	"plainsight/analyze/sensitive"
	"plainsight/capture"
	"plainsight/capture/flow"
	"plainsight/storage"
)

// Sink takes what an agent concludes. Its methods do not wait for a store: what
// cannot be taken is dropped and counted by the sink.
type Sink interface {
	// Calls takes exchanges, which are borrowed. It is called by any shard.
	Calls(calls []analyze.Call)
	// Conclude takes what is known by now; it takes the place of what was.
	Conclude(s *analyze.Snapshot)
	// Tell takes how the agent does. The sink fills in who it is and how it does itself.
	Tell(row storage.AgentRow)
}

// Options say how an agent works. Zero fields have the defaults.
type Options struct {
	Inventory inventory.Options // Calls is the agent's to set
	Flow      flow.Options
	Interval  time.Duration     // between two conclusions. 0: 30 s
	Sink      Sink              // nil: conclusions are for who asks
	Sources   []analyze.Capture // what is captured with, for the snapshot
	Host      Host              // what the agent tells of itself beside its counters
	// NotVisible says what the sources know that they do not see, in sentences.
	NotVisible func() []string
}

// Host is where an agent runs, and with what.
type Host struct {
	Kernel, Source string
	Lost           func() uint64 // events and frames that the kernel had no room for
}

// Agent analyses what its sources yield. Add sources, then call Run.
type Agent struct {
	o         Options
	inventory *inventory.Inventory
	shards    []*shard
	started   time.Time
}

// shard is a source with its engine.
type shard struct {
	name string
	next func() (capture.Stamp, error)
	take func()

	mu     sync.Mutex // held while the engine works; between two items others may look
	engine *flow.Engine
	last   time.Time // of the traffic
	closed bool      // its engine is
}

// New makes an agent without sources.
func New(o Options) *Agent {
	if o.Interval <= 0 {
		o.Interval = 30 * time.Second
	}
	if o.Sink != nil {
		o.Inventory.Calls = o.Sink.Calls
	}
	return &Agent{o: o, inventory: inventory.New(o.Inventory), started: time.Now()}
}

func (a *Agent) add(name string) *shard {
	s := &shard{name: name, engine: flow.New(a.o.Flow, a.inventory.Worker(len(a.shards)))}
	a.shards = append(a.shards, s)
	return s
}

// Frames adds a source of frames. The agent does not close it.
func (a *Agent) Frames(name string, src capture.Source) {
	s := a.add(name)
	var f capture.Frame
	s.next = func() (capture.Stamp, error) { err := src.Next(&f); return f.Stamp, err }
	s.take = func() { s.engine.Frame(&f) }
}

// Chunks adds a source of chunks. The agent does not close it.
func (a *Agent) Chunks(name string, src capture.ChunkSource) {
	s := a.add(name)
	var c capture.Chunk
	s.next = func() (capture.Stamp, error) { err := src.Next(&c); return c.Stamp, err }
	s.take = func() { s.engine.Chunk(&c) }
}

// run works until the source ends or ctx does.
func (s *shard) run(ctx context.Context) error {
	for {
		at, err := s.next()
		switch {
		case err == nil:
			if !s.work(at) {
				return nil
			}
		case err == capture.ErrQuiet:
			if ctx.Err() != nil {
				return nil // what came before it was drained
			}
			s.mu.Lock()
			if !s.closed {
				s.engine.Quiet(at)
			}
			s.mu.Unlock()
		case errors.Is(err, io.EOF):
			return nil
		default:
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
}

// work takes the item at hand, unless the engine is closed.
func (s *shard) work(at capture.Stamp) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.take()
	s.last = at.Time
	return true
}

// Run works until ctx is done or a source fails. It drains the sources for at
// most grace then, ends all connections and concludes for the last time.
func (a *Agent) Run(ctx context.Context, grace time.Duration) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, len(a.shards))
	var running sync.WaitGroup
	for _, s := range a.shards {
		running.Go(func() {
			if err := s.run(ctx); err != nil {
				failed <- err
				stop()
			}
		})
	}
	tick := time.NewTicker(a.o.Interval)
	defer tick.Stop()
	for waiting := true; waiting; {
		select {
		case <-ctx.Done():
			waiting = false
		case <-tick.C:
			a.conclude()
		}
	}
	drained := make(chan struct{})
	go func() { running.Wait(); close(drained) }()
	select {
	case <-drained:
	case <-time.After(grace): // a source that never pauses: its shard is stopped between two items
	}
	for _, s := range a.shards {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.engine.Close()
		s.closed = true
	}
	if a.o.Sink != nil {
		a.o.Sink.Conclude(a.snapshot())
		a.o.Sink.Tell(a.row(a.health()))
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// SetRules changes the user's rules of sensitive data, for what comes from now on.
func (a *Agent) SetRules(r *sensitive.Rules) {
	for _, s := range a.shards {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	a.inventory.SetRules(r)
}

// conclude hands what is known to the sink.
func (a *Agent) conclude() {
	if a.o.Sink != nil {
		a.o.Sink.Conclude(a.Snapshot())
		a.o.Sink.Tell(a.row(a.Health()))
	}
}

// Snapshot is what is known by now. The shards stand still while it is made.
func (a *Agent) Snapshot() *analyze.Snapshot {
	for _, s := range a.shards {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	return a.snapshot()
}

// snapshot concludes; all shards stand still.
func (a *Agent) snapshot() *analyze.Snapshot {
	var counts capture.Counts
	for _, s := range a.shards {
		counts.Add(s.engine.Counts())
	}
	snap := a.inventory.Snapshot(a.o.Sources, &counts)
	if a.o.NotVisible != nil {
		snap.Coverage.NotVisible = append(snap.Coverage.NotVisible, a.o.NotVisible()...)
	}
	return snap
}

// Health is how an agent does.
type Health struct {
	Counts capture.Counts
	Last   time.Time // of the traffic that was read last
}

// Health tells how the agent does. It keeps no shard waiting for longer than a
// copy takes.
func (a *Agent) Health() (h Health) {
	for _, s := range a.shards {
		s.mu.Lock()
		h.add(s)
		s.mu.Unlock()
	}
	return h
}

// health is Health where all shards stand still.
func (a *Agent) health() (h Health) {
	for _, s := range a.shards {
		h.add(s)
	}
	return h
}

func (h *Health) add(s *shard) {
	h.Counts.Add(s.engine.Counts())
	if s.last.After(h.Last) {
		h.Last = s.last
	}
}

// row is what the store is told of the agent.
func (a *Agent) row(h Health) storage.AgentRow {
	n := &h.Counts
	row := storage.AgentRow{
		Time: time.Now(), Kernel: a.o.Host.Kernel, Source: a.o.Host.Source,
		Gaps: n[capture.StreamGaps], GapBytes: n[capture.StreamGapBytes], Exchanges: n[capture.Exchanges],
		Goroutines: uint64(runtime.NumGoroutine()),
	}
	ignored := n[capture.FramesIgnoredNotIP] + n[capture.FramesIgnoredNotTCP] + n[capture.FramesIgnoredLink] + n[capture.FramesIgnoredFiltered]
	dropped := n[capture.FramesDroppedMalformed] + n[capture.FramesDroppedTruncated] + n[capture.FramesDroppedFragment]
	row.Stages = []storage.Stage{
		{Name: "decoder", In: n[capture.FramesSeen], Passed: n[capture.FramesAnalysed], Ignored: ignored, Dropped: dropped},
		{Name: "parser", In: n[capture.Exchanges] + n[capture.ExchangesDiscarded], Passed: n[capture.Exchanges], Dropped: n[capture.ExchangesDiscarded]},
	}
	if a.o.Host.Lost != nil {
		row.RingDrops = a.o.Host.Lost()
	}
	if !h.Last.IsZero() {
		row.Lag = max(0, time.Since(h.Last))
	}
	if limit := debug.SetMemoryLimit(-1); limit < 1<<62 {
		row.MemoryLimit = uint64(limit)
	}
	var use syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &use) == nil {
		row.CPU = time.Duration(use.Utime.Nano() + use.Stime.Nano())
	}
	if b, err := os.ReadFile("/proc/self/statm"); err == nil { // proc(5): size and resident, in pages
		if f := bytes.Fields(b); len(f) > 1 {
			pages, _ := strconv.ParseUint(string(f[1]), 10, 64)
			row.Memory = pages * uint64(os.Getpagesize())
		}
	}
	return row
}
