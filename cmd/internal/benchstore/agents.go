package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"plainsight/storage"
	store "plainsight/storage/clickhouse"
)

// Each agent writes every five seconds what it saw: a sample of its calls, and
// the statistics of all.
const (
	every   = 5 * time.Second
	callsOf = 500 // calls that an agent keeps of five seconds
)

// agents lets many agents write to one engine at once.
func (b *bench) agents(ctx context.Context, n int, lasting time.Duration) error {
	s, err := b.open(ctx, "agents")
	if err != nil {
		return err
	}
	defer s.Close()
	calls := traffic(n * callsOf)
	var mu sync.Mutex
	var took []time.Duration
	var failed []error
	var rows, inserts int
	var taken uint64 // calls that the engine said it has
	engine, _ := b.engineUsed()
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, lasting+time.Minute)
	defer cancel()
	end := began.Add(lasting)

	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			own, err := store.Open(ctx, store.Options{Store: "clickhouse://" + b.addr + "/agents"}) // connections of its own
			if err != nil {
				mu.Lock()
				failed = append(failed, err)
				mu.Unlock()
				return
			}
			defer own.Close()
			kept := slices.Clone(calls[i*callsOf : (i+1)*callsOf])
			for j := range kept {
				kept[j].Sampling = 20
			}
			watch := storage.Watch{Agent: fmt.Sprint("agent-", i), Run: uint64(i + 1), Started: began}
			batch := uint64(0)
			insert := func(x storage.Batch) {
				batch++
				at := time.Now()
				err := own.Insert(ctx, x.Table, x.Values(storage.Stamp{Run: watch.Run, Batch: batch, Day: began}), fmt.Sprint(watch.Agent, "/", batch))
				mu.Lock()
				defer mu.Unlock()
				took, rows, inserts = append(took, time.Since(at)), rows+x.Len, inserts+1
				if err != nil {
					failed = append(failed, err)
				} else if x.Table.Name == storage.CallTable.Name {
					taken += uint64(x.Len)
				}
			}
			insert(watch.Batches(nil, 1, began)[0])
			tick := time.NewTicker(every)
			defer tick.Stop()
			var traffic storage.Traffic
			var callers storage.Callers
			for time.Now().Before(end) {
				now := time.Now()
				for j := range kept {
					kept[j].Time = now
					for range 20 { // those it does not keep, too
						traffic.Add(&kept[j])
					}
					callers.Add(&kept[j])
				}
				insert(storage.Calls(kept))
				insert(traffic.Take())
				insert(callers.Take())
				insert(storage.Agents([]storage.AgentRow{{Time: now, Started: began, Agent: watch.Agent, SinkUp: true}}))
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
		})
	}
	most := uint64(0)
	watched := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(watched)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			var parts uint64
			if b.one(ctx, "SELECT max(n) FROM (SELECT count() AS n FROM system.parts WHERE active AND database = 'agents' GROUP BY table, partition)", &parts) == nil {
				most = max(most, parts)
			}
		}
	}()
	running.Wait()
	close(stop)
	<-watched
	wall := time.Since(began)
	after, resident := b.engineUsed()
	slices.Sort(took)
	at := func(q float64) time.Duration {
		return took[min(int(q*float64(len(took))), len(took)-1)].Round(time.Millisecond)
	}
	fmt.Printf("\n%d agents for %v, each every %v with 4 inserts: %d calls kept of %d, statistics, callers, health\n\n", n, wall.Round(time.Second), every, callsOf, callsOf*20)
	fmt.Printf("  %.0f inserts/s, %.0f rows/s, for %.0f exchanges/s seen; %.2f cores of the engine, %d MiB resident\n",
		float64(inserts)/wall.Seconds(), float64(rows)/wall.Seconds(), float64(n*callsOf*20)/every.Seconds(), (after-engine).Seconds()/wall.Seconds(), resident)
	fmt.Printf("  an insert takes %v at the median, %v at p95, %v at most; %d active parts in one partition at most (an insert is refused at 3,000)\n", at(0.5), at(0.95), at(1), most)
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("%d inserts failed: %w", len(failed), failed[0])
	}
	var there uint64
	if err := b.one(ctx, "SELECT count() FROM agents.calls", &there); err != nil {
		return err
	}
	if there != taken {
		return fmt.Errorf("%d calls are there of %d", there, taken)
	}
	fmt.Printf("  %d calls are there, none twice, none lost\n", there)
	return b.db.Exec(ctx, "DROP DATABASE agents")
}
