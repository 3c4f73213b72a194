package delivery

import (
	"fmt"
	"os"
	"testing"
	"time"

	"plainsight/analyze"
	"plainsight/storage"
	"plainsight/storage/embedded/embeddedtest"
)

// TestSoak has the real engine away for as long as the environment says, at
// full rate, by the real clock: make soak-store. TestAwayForFiveMinutes tells
// the same of a clock that does not wait.
func TestSoak(t *testing.T) {
	away, err := time.ParseDuration(os.Getenv("PLAINSIGHT_SOAK"))
	if err != nil {
		t.Skip("runs by make soak-store: it takes minutes")
	}
	const rate = 5000 // calls a second
	e, path := engine(t)
	p := newProxy(t, e.Addr)
	w := start(t, t.TempDir(), newClickHouse(t, p.addr()), func(o *Options) { o.Spool.FS = nil }) // a real disk, synced
	watch := storage.Watch{Agent: "agent", Run: w.Run(), Started: at}
	s := &analyze.Snapshot{Endpoints: make([]analyze.Endpoint, 500), Findings: make([]analyze.Finding, 50)}
	for i := range s.Endpoints {
		s.Endpoints[i] = analyze.Endpoint{ID: fmt.Sprint(i), Service: "s", Method: "GET", Template: fmt.Sprintf("/%d", i), First: at, Last: at}
	}
	for i := range s.Findings {
		s.Findings[i] = analyze.Finding{Key: fmt.Sprint(i), Rule: "r", First: at, Last: at}
	}
	id, seconds := uint64(1), 0
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	second := func() {
		for range 10 {
			write(t, w, id, rate/10)
			id += rate / 10
		}
		if seconds++; seconds%30 == 1 {
			for _, b := range watch.Batches(s, w.Next(), time.Now()) {
				if err := w.Write(t.Context(), b); err != nil {
					t.Fatal(err)
				}
			}
		}
		<-tick.C
	}
	say := func(what string) {
		st := w.Stats()
		t.Logf("%-22s %4d s  RSS %3d MiB  spool %4d MiB  held %8d rows  taken %8d  oldest %v", what, seconds, rss()>>20,
			st.Spool.Bytes>>20, st.Spool.Held, st.Taken, st.Spool.Oldest.Round(time.Second))
	}
	for range 30 {
		second()
	}
	say("well")
	e.Kill()
	settled := time.Now()
	var low, high int64
	for time.Since(settled) < away {
		second()
		if time.Since(settled) > away/10 {
			if low == 0 {
				low = rss()
			}
			high = max(high, rss())
		}
		if seconds%60 == 0 {
			say("away")
		}
	}
	say("away, at its end")
	if grown := high - low; grown > 24<<20 {
		t.Errorf("memory grew by %d MiB while the engine was away", grown>>20)
	}
	e = embeddedtest.Start(t, path)
	p.set(func() { p.target = e.Addr })
	back, had := time.Now(), w.Stats().Taken
	var first, drained time.Duration
	for drained == 0 && time.Since(back) < 3*away {
		second()
		st := w.Stats()
		if first == 0 && st.Taken > had {
			first = time.Since(back)
			say("back")
		}
		if st.Spool.Held < 15*rate {
			drained = time.Since(back)
		}
		if seconds%60 == 0 {
			say("draining")
		}
	}
	say("drained")
	sent := float64(w.Stats().Taken-had) / drained.Seconds()
	if first == 0 || first > 32*time.Second || drained == 0 {
		t.Errorf("first rows after %v, drained after %v", first, drained)
	}
	st := finish(t, w, time.Minute)
	conserved(t, st, 0)
	got := ask(t, e.Addr, "SELECT count(), uniqExact(frame) FROM calls")
	if got[0] != id-1 || got[1] != id-1 {
		t.Errorf("%d calls, %d different, of %d", got[0], got[1], id-1)
	}
	t.Logf("first rows %v after the return, drained after %v at %.0f rows/s with %d coming in; %d calls, each once", first.Round(time.Second), drained.Round(time.Second), sent, rate, got[0])
}

// rss is the resident memory of this process in bytes.
func rss() int64 {
	var pages, resident int64
	b, _ := os.ReadFile("/proc/self/statm")
	_, _ = fmt.Sscan(string(b), &pages, &resident)
	return resident * int64(os.Getpagesize())
}
