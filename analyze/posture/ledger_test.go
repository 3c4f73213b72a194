package posture

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/tally"
)

// everyUse is all conversations about credentials, one after the other on one
// clock.
func everyUse() (all []talk) {
	clock := time.Duration(0)
	for _, c := range credentialSequences {
		for _, list := range append(c.fires, c.silent...) {
			for _, k := range list {
				for range max(k.times, 1) {
					clock += max(k.every, time.Second)
					k.at = clock
					all = append(all, k)
				}
			}
		}
	}
	return all
}

func tell(t *testing.T, l *Ledger) string {
	t.Helper()
	list := l.Findings(nil)
	Sort(list)
	b, err := json.MarshalIndent(list, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLedgersMergeInAnyOrder(t *testing.T) {
	all := everyUse()
	for _, limit := range []int{16384, 64} {
		one, r := NewLedger(LedgerOptions{Credentials: limit, Idle: 1 << 62}), NewReader(analyze.Key{1}, Options{})
		for i, k := range all {
			o := play(t, r, k, uint64(i))
			one.Observe(o, o.Host)
		}
		want := tell(t, one)
		if limit > 1000 && len(want) < 10000 {
			t.Fatalf("too little is told: %s", want)
		}
		for seed := range uint64(2) {
			rnd := rand.New(rand.NewPCG(seed, 3))
			n := 2 + rnd.IntN(7)
			ledgers, readers := make([]*Ledger, n), make([]*Reader, n)
			for i := range n {
				ledgers[i], readers[i] = NewLedger(LedgerOptions{Credentials: limit, Idle: 1 << 62}), NewReader(analyze.Key{1}, Options{})
			}
			for _, i := range rnd.Perm(len(all)) {
				s := rnd.IntN(n)
				o := play(t, readers[s], all[i], uint64(i))
				ledgers[s].Observe(o, o.Host)
			}
			for n--; n > 0; n-- {
				ledgers[rnd.IntN(n)].Merge(ledgers[n])
			}
			if got := tell(t, ledgers[0]); got != want {
				t.Errorf("limit %d, seed %d: %d bytes told, want %d", limit, seed, len(got), len(want))
			}
		}
	}
}

// What is idle goes first, and what goes is counted.
func TestALedgerIsBounded(t *testing.T) {
	l, r := NewLedger(LedgerOptions{Credentials: 1000, Idle: time.Hour}), NewReader(analyze.Key{1}, Options{})
	for i := range 20_000 {
		k := talk{text: get(fmt.Sprintf("X-Api-Key: key-%d-b7cR5tY1uJ4h", i)), at: time.Duration(i) * 10 * time.Second}
		o := play(t, r, k, uint64(i))
		l.Observe(o, o.Host)
		if l.Len() > 2000 {
			t.Fatalf("%d credentials", l.Len())
		}
	}
	last := 0
	l.held.Trim()
	l.held.All(func(_ uint64, h *held) {
		if _, end := h.span.Ends(); end > now.Add(199_000*time.Second).UnixNano()-int64(time.Hour) {
			last++
		}
	})
	if l.Forgotten()+uint64(l.Len()) != 20_000 || last < 200 {
		t.Errorf("%d forgotten, %d kept, %d of the last hour", l.Forgotten(), l.Len(), last)
	}
	// One credential, everywhere.
	for i := range 5000 {
		k := talk{text: get(apiKey + fmt.Sprintf("User-Agent: a/%d", i)), host: fmt.Sprintf("h%d.example.org", i), from: fmt.Sprintf("10.%d.%d.1", i>>8, i&255), at: time.Duration(i) * 90 * time.Minute}
		l.Observe(play(t, r, k, uint64(i)), k.host)
		k.host = "h.example.org"
		l.Observe(play(t, r, k, uint64(i)), k.host)
	}
	h, _ := l.held.Get(play(t, r, talk{text: get(apiKey)}, 1).Credentials[0].Hash)
	if len(h.uses) > usesKept || len(h.days) > daysKept*9/8 {
		t.Errorf("%d uses, %d days", len(h.uses), len(h.days))
	}
	for _, u := range h.uses {
		if len(u.places) > placesKept*9/8 || len(u.peers) > peersKept || len(u.servers) > serversKept {
			t.Errorf("%d places, %d peers, %d servers", len(u.places), len(u.peers), len(u.servers))
		}
	}
}

func TestALedgerAllocatesNothing(t *testing.T) {
	r, l := NewReader(analyze.Key{1}, Options{}), NewLedger(LedgerOptions{})
	token, agent, path := []byte("Bearer "+good), []byte("Mozilla/5.0 (X11; Linux x86_64)"), []byte("/api/v1/orders/17")
	nano := now.UnixNano()
	if n := testing.AllocsPerRun(200, func() {
		o := r.Begin()
		nano += 1e6
		o.At = tally.Moment{Nano: nano}
		quiet(o, token, agent, path)
		l.Observe(o, o.Host)
	}); n > 0 {
		t.Errorf("%v allocations an exchange", n)
	}
}

func BenchmarkLedger(b *testing.B) {
	r, l := NewReader(analyze.Key{1}, Options{}), NewLedger(LedgerOptions{})
	agent, path := []byte("Mozilla/5.0 (X11; Linux x86_64)"), []byte("/api/v1/orders/17")
	var list []Observation
	for i := range 1000 {
		o := r.Begin()
		o.At = tally.Moment{Nano: now.UnixNano()}
		quiet(o, []byte(fmt.Sprintf("Bearer token-%d-b7cR5tY1uJ4h", i)), agent, path)
		o.Credentials = append([]Credential{}, o.Credentials...)
		list = append(list, *o)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		o := &list[i%len(list)]
		o.At.Nano += 1e6
		l.Observe(o, "api.example.org")
	}
}
