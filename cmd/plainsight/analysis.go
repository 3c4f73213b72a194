package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"

	"plainsight/analyze"
	"plainsight/analyze/endpoint"
	"plainsight/analyze/inventory"
	"plainsight/analyze/sensitive"
	"plainsight/capture"
	"plainsight/storage"
)

// maxShards is where more shards stop paying: the source is one goroutine.
const maxShards = 8

// analysis is how a run turns traffic into a snapshot.
type analysis struct {
	Key    analyze.Key
	Shards int // 0: one for each core
	// Lines wraps the handler of each shard; nil: nothing to do.
	Lines func(capture.Handler) capture.Handler
	// Run takes the exchanges as rows while they pass; nil: nobody wants them.
	Run storage.Writer
	// Routes are templates that go before what is inferred; nil: none.
	Routes *endpoint.Routes
	// Rules are the user's own, beside the built-in kinds of sensitive data; nil: none.
	Rules *sensitive.Rules
	// Before is what a baseline has; nil: there is none.
	Before *analyze.Snapshot
	// Explain is a path whose templates are explained on standard output; empty: none.
	Explain string
	// CountOnly: nothing is concluded but what was read and how much of it.
	CountOnly bool
}

// concluder turns what the shards find into a snapshot.
type concluder interface {
	Worker(shard int) capture.Handler
	Snapshot(files []analyze.Capture, counts *capture.Counts) *analyze.Snapshot
}

// analyze reads the inputs and concludes. Where it is interrupted it returns
// the conclusions so far and the error of ctx.
func (a *app) analyze(ctx context.Context, in *inputs, how analysis) (*analyze.Snapshot, error) {
	var storeErr error
	ctx, stop := in.interruptible(ctx)
	defer stop()
	o := inventory.Options{Key: how.Key, Version: version, Capture: in.name, Routes: how.Routes, Rules: how.Rules, Before: how.Before}
	if how.Run != nil {
		// An interrupted run still keeps what it saw.
		write := context.WithoutCancel(ctx)
		o.Calls = func(calls []analyze.Call) {
			if storeErr == nil {
				if storeErr = how.Run.Calls(write, calls); storeErr != nil {
					stop() // no use reading on
				}
			}
		}
	}
	all := inventory.New(o)
	var c concluder = all
	if how.CountOnly {
		c, in.bodies = new(totals), false
	}
	handler := func(shard int) capture.Handler {
		if how.Lines == nil {
			return c.Worker(shard)
		}
		return how.Lines(c.Worker(shard))
	}
	shards := how.Shards
	if shards <= 0 {
		shards = min(runtime.GOMAXPROCS(0), maxShards)
		if how.CountOnly {
			shards = 1 // to hand a segment on costs as much as to read it
		}
	}
	before := a.memory(ctx)
	files, counts, err := in.read(ctx, a, shards, handler)
	a.logMemory(ctx, before, &counts)
	if err != nil && (!errors.Is(err, context.Canceled) || len(files) == 0) {
		return nil, err
	}
	snap := c.Snapshot(files, &counts)
	if storeErr != nil {
		return nil, storeError(storeErr)
	}
	if how.Routes != nil && !slices.ContainsFunc(snap.Endpoints, func(e analyze.Endpoint) bool { return how.Routes.Has(e.Template) }) {
		a.Log.Warn("no request fits any of the routes: do they name another host, or another base path?")
	}
	if how.Explain != "" {
		return snap, cmp.Or(explain(a.Stdout, all, how.Explain), err)
	}
	return snap, err
}

// memory is what was allocated until now, nil where nobody wants to know.
func (a *app) memory(ctx context.Context) *runtime.MemStats {
	if !a.Log.Enabled(ctx, slog.LevelDebug) {
		return nil
	}
	m := new(runtime.MemStats)
	runtime.ReadMemStats(m)
	return m
}

// logMemory says, for those who measure, what reading the inputs allocated.
func (a *app) logMemory(ctx context.Context, before *runtime.MemStats, counts *capture.Counts) {
	if before == nil {
		return
	}
	m := a.memory(ctx)
	a.Log.DebugContext(ctx, "inputs read", "frames", counts[capture.FramesSeen], "exchanges", counts[capture.Exchanges],
		"mallocs", m.Mallocs-before.Mallocs, "allocated_bytes", m.TotalAlloc-before.TotalAlloc, "heap_bytes", m.HeapAlloc, "collections", m.NumGC)
}
