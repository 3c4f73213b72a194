package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"plainsight/analyze"
	"plainsight/storage"
	"plainsight/storage/clickhouse"
	"plainsight/storage/spool"
)

// unsynced is a directory whose syncs cost nothing: what these tests are about
// is not the disk.
type unsynced struct{ spool.FS }

func (unsynced) SyncDir() error { return nil }

func (u unsynced) Create(name string) (spool.File, error) {
	f, err := u.FS.Create(name)
	return unsyncedFile{f}, err
}

func (u unsynced) Open(name string, write bool) (spool.File, error) {
	f, err := u.FS.Open(name, write)
	return unsyncedFile{f}, err
}

type unsyncedFile struct{ spool.File }

func (unsyncedFile) Sync() error { return nil }

// fault is what happens to one call of the sink.
type fault uint8

const (
	none    fault = iota
	refused       // no connection
	before        // reset before the rows were taken
	after         // taken, and the answer is lost
	stalled       // no answer within the time limit, not taken
	delayed       // no answer within the time limit, taken
	logged        // killed between the token and the rows: acknowledged ever after
	parts         // 252
	memory        // 241
	keeper        // 999
	gone          // 60
	unknown       // 319, taken
	socket        // 209, not taken
	auth          // 516
	last
)

var names = [...]string{"none", "refused", "before", "after", "stalled", "delayed", "logged", "parts", "memory", "keeper", "gone", "unknown", "socket", "auth"}

func (f fault) String() string { return names[f] }

func code(n int32) error { return &clickhouse.Error{Code: n, Message: "as scripted"} }

// sink is a store in memory that keeps every row that it took, applies tokens,
// and fails as it is told.
type sink struct {
	mu     sync.Mutex
	script func(n int) fault // of the nth insert
	window int               // tokens that are remembered; 0: all

	inserts int
	times   []time.Time
	rows    map[string]map[[2]uint64]int // rows that were taken, by run and batch number
	seen    map[uint64]int               // ids of calls, and how often each was taken
	tokens  []string
	log     []string // tables in the order in which rows were taken
	sizes   []int
	renewed int
	taken   int
}

func newSink() *sink {
	return &sink{seen: map[uint64]int{}, rows: map[string]map[[2]uint64]int{}}
}

func (k *sink) Insert(ctx context.Context, table string, names []string, columns []any, token string) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.inserts++
	k.times = append(k.times, time.Now())
	f := none
	if k.script != nil {
		f = k.script(k.inserts)
	}
	switch f {
	case refused:
		return false, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	case before:
		return true, io.EOF
	case after:
		k.take(table, names, columns, token)
		return true, syscall.ECONNRESET
	case stalled, delayed:
		if f == delayed {
			k.take(table, names, columns, token)
		}
		k.mu.Unlock()
		<-ctx.Done()
		k.mu.Lock()
		return true, ctx.Err()
	case logged:
		k.tokens = append(k.tokens, token)
		return true, io.ErrUnexpectedEOF
	case parts:
		return true, code(252)
	case memory:
		return true, code(241)
	case keeper:
		return true, code(999)
	case gone:
		return false, code(60)
	case unknown:
		k.take(table, names, columns, token)
		return true, code(319)
	case socket:
		return true, code(209)
	case auth:
		return false, code(516)
	}
	k.take(table, names, columns, token)
	return true, nil
}

func (k *sink) take(table string, names []string, columns []any, token string) {
	known := k.tokens
	if k.window > 0 {
		known = known[max(len(known)-k.window, 0):]
	}
	for _, t := range known {
		if t == token {
			return
		}
	}
	k.tokens = append(k.tokens, token)
	var frames, runs, batches []uint64
	for i, name := range names {
		switch name {
		case "frame":
			frames = columns[i].([]uint64)
		case "run":
			runs = columns[i].([]uint64)
		case "batch":
			batches = columns[i].([]uint64)
		}
	}
	if table == "calls" {
		for _, id := range frames {
			k.seen[id]++
		}
	}
	if k.rows[table] == nil {
		k.rows[table] = map[[2]uint64]int{}
	}
	for i, n := range batches {
		k.rows[table][[2]uint64{runs[i], n}]++
	}
	k.taken += len(batches)
	k.log = append(k.log, table)
	k.sizes = append(k.sizes, len(batches))
}

func (k *sink) Count(_ context.Context, table string, run, from, to uint64, day time.Time) (n uint64, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for batch, rows := range k.rows[table] {
		if batch[0] == run && batch[1] >= from && batch[1] <= to {
			n += uint64(rows)
		}
	}
	return n, nil
}

// total is how many rows were taken.
func (k *sink) total() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.taken
}

func (k *sink) Atomic(context.Context, string) (bool, error) { return false, nil }
func (k *sink) Renew()                                       { k.mu.Lock(); k.renewed++; k.mu.Unlock() }
func (k *sink) Close() error                                 { return nil }

// traffic makes calls whose frames are the numbers from first.
func traffic(first uint64, n int) []analyze.Call {
	calls := make([]analyze.Call, n)
	for i := range calls {
		id := first + uint64(i)
		calls[i] = analyze.Call{Time: at.Add(time.Duration(id) * time.Millisecond), Conn: id / 20, Frame: id,
			Client: fmt.Sprintf("10.0.%d.%d", id%8, id%250), Server: fmt.Sprintf("10.1.0.%d:8080", id%12),
			Service: fmt.Sprintf("service-%d.shop.example", id%12), Method: "GET",
			Template: fmt.Sprintf("/api/v1/things-%d/{id}/parts/{part}", id%200), Status: 200,
			Wire: analyze.Plaintext, Auth: "bearer", Principal: fmt.Sprintf("%024x", id%3000),
			Request: int64(id % 500), Response: int64(id * 7919 % 20_000), Latency: time.Duration(id * 104729 % 200_000_000), Sampling: 1}
	}
	return calls
}

type clock struct{ jump time.Duration }

func (c *clock) now() time.Time { return time.Now().Add(c.jump) }

func start(t testing.TB, dir string, k Sink, change ...func(*Options)) *Writer {
	t.Helper()
	o := Options{Sink: k, Agent: "agent", Spool: spool.Options{Dir: dir, FS: unsynced{spool.OS(dir)}}}
	for _, f := range change {
		f(&o)
	}
	w, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func write(t testing.TB, w *Writer, first uint64, n int) {
	t.Helper()
	if err := w.Write(t.Context(), storage.Calls(traffic(first, n))); err != nil {
		t.Fatal(err)
	}
}

// finish drains the writer and fails when that takes longer than it should.
func finish(t testing.TB, w *Writer, within time.Duration) Stats {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), within)
	defer cancel()
	if err := w.Close(ctx); err != nil {
		t.Fatal(err)
	}
	return w.Stats()
}

// conserved fails where rows came from nowhere or went nowhere.
func conserved(t testing.TB, s Stats, had int) {
	t.Helper()
	out := s.Taken + s.TooLarge + uint64(s.Spool.Held)
	for _, n := range s.Rejected {
		out += n
	}
	for _, reasons := range s.Spool.Dropped {
		for _, n := range reasons {
			out += n
		}
	}
	if s.Written+uint64(had) != out {
		t.Errorf("%d rows written, %d there before, %d accounted for: %+v", s.Written, had, out, s)
	}
}

func sleep(d time.Duration) { <-time.After(d) } // of a bubble's clock

// once fails where a call was not taken exactly once.
func (k *sink) once(t testing.TB, n uint64) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	for id := uint64(1); id <= n; id++ {
		if k.seen[id] != 1 {
			t.Errorf("call %d was taken %d times", id, k.seen[id])
			return
		}
	}
	if uint64(len(k.seen)) != n {
		t.Errorf("%d different calls were taken, %d were written", len(k.seen), n)
	}
}

func TestRowsGoBySizeAndByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newSink()
		w := start(t, t.TempDir(), k, func(o *Options) { o.BatchRows = 1000 })
		began := time.Now()
		write(t, w, 1, 1500)
		w.Flush()
		synctest.Wait()
		if k.total() < 1000 || k.total() > 1500 || time.Since(began) > time.Second {
			t.Errorf("%d rows at once", k.total())
		}
		write(t, w, 1501, 10)
		sleep(4 * time.Second)
		early := k.total()
		sleep(3 * time.Second)
		if early == 1510 || k.total() != 1510 {
			t.Errorf("%d rows after 4 s, %d after 7 s: few rows wait for others, and not for long", early, k.total())
		}
		s := finish(t, w, time.Minute)
		k.once(t, 1510)
		conserved(t, s, 0)
		if !s.Up || !s.Ready || s.Taken != 1510 || s.Replays != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Every fault alone, and every pair of them, as often as it takes to matter;
// then the sink is well again. Each row must be there once.
func TestEachFaultAloneAndInPairs(t *testing.T) {
	for a := refused; a < last; a++ {
		for b := a; b < last; b++ {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(uint64(a), uint64(b)))
				k := newSink()
				k.script = func(n int) fault {
					switch {
					case n > 12:
						return none
					case r.IntN(3) == 0:
						return none
					case r.IntN(2) == 0:
						return a
					}
					return b
				}
				dir := t.TempDir()
				small := func(o *Options) { o.BatchRows, o.RecordRows = 100, 20 }
				w := start(t, dir, k, small)
				id := uint64(1)
				for range 6 {
					write(t, w, id, 130)
					id += 130
					w.Write(t.Context(), storage.Agents(make([]storage.AgentRow, 3)))
					sleep(7 * time.Second)
				}
				// The agent stops in the midst of it, and starts again.
				mid := finish(t, w, time.Second)
				conserved(t, mid, 0)
				w = start(t, dir, k, small)
				write(t, w, id, 50)
				id += 50
				s := finish(t, w, time.Hour)
				if s.Spool.Held != 0 {
					t.Errorf("%v and %v: %d rows were left", a, b, s.Spool.Held)
				}
				conserved(t, s, mid.Spool.Held)
				k.once(t, id-1)
				if n := len(k.rows["agents"]); n != 6 {
					t.Errorf("%v and %v: %d batches of agents", a, b, n)
				}
				if s.Duplicates+mid.Duplicates > 0 {
					t.Errorf("%v and %v: %+v", a, b, s)
				}
			})
			if t.Failed() {
				t.Fatalf("%v and %v", a, b)
			}
		}
	}
}

// A token that is forgotten before the batch comes again makes no duplicate:
// the rows are counted first.
func TestABatchThatComesAfterTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newSink()
		k.window = 1
		k.script = func(n int) fault {
			if n == 1 {
				return after
			}
			return none
		}
		dir := t.TempDir()
		w := start(t, dir, k)
		write(t, w, 1, 100)
		sleep(5500 * time.Millisecond)
		s := finish(t, w, 10*time.Millisecond)
		if s.Spool.Held != 100 {
			t.Fatalf("%+v", s)
		}
		k.tokens = []string{"of other agents"}
		w = start(t, dir, k)
		s = finish(t, w, time.Minute)
		k.once(t, 100)
		if s.Counted != 1 || s.Taken != 100 {
			t.Errorf("%+v", s)
		}
	})
}

func TestHowLongItWaits(t *testing.T) {
	for _, c := range []struct {
		fault    fault
		min, max []time.Duration // between one attempt and the next
		class    Class
		ready    bool
	}{
		{refused, waits(250, 500, 1000, 2000, 4000, 8000, 15000, 15000), waits(500, 1000, 2000, 4000, 8000, 16000, 30000, 30000), Connect, true},
		{before, waits(250, 500, 1000, 2000), waits(500, 1000, 2000, 4000), Unknown, true},
		{keeper, waits(250, 500, 1000, 2000), waits(500, 1000, 2000, 4000), Overload, true},
		{parts, waits(5000, 5000, 5000), waits(5000, 5000, 5000), Overload, true},
		{gone, waits(15000, 15000), waits(30000, 30000), Config, false},
		{auth, waits(15000, 15000), waits(30000, 30000), Config, false},
		{stalled, waits(60250, 60500), waits(60500, 61000), Unknown, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			k := newSink()
			k.script = func(n int) fault {
				if n <= len(c.min) {
					return c.fault
				}
				return none
			}
			w := start(t, t.TempDir(), k)
			write(t, w, 1, 10)
			w.Flush()
			sleep(5500 * time.Millisecond)
			if s := w.Stats(); c.fault != stalled && (s.Last != c.class || s.Ready != c.ready || s.Up) {
				t.Errorf("%v: %+v", c.fault, s)
			}
			s := finish(t, w, time.Hour)
			for i := range c.min {
				const slack = 260 * time.Millisecond // it looks four times a second
				if d := k.times[i+1].Sub(k.times[i]); d < c.min[i] || d > c.max[i]+slack {
					t.Errorf("%v: %v after attempt %d, want %v to %v", c.fault, d, i+1, c.min[i], c.max[i])
				}
			}
			if s.Errors[c.class.String()] != uint64(len(c.min)) {
				t.Errorf("%v: %v", c.fault, s.Errors)
			}
			if c.class == Config && k.renewed < len(c.min) {
				t.Errorf("%v: secrets were read anew %d times", c.fault, k.renewed)
			}
			k.once(t, 10)
		})
	}
}

func waits(ms ...int) (d []time.Duration) {
	for _, n := range ms {
		d = append(d, time.Duration(n)*time.Millisecond)
	}
	return d
}

func TestShortOfMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newSink()
		w := start(t, t.TempDir(), k, func(o *Options) { o.BatchRows, o.RecordRows = 4000, 100 })
		k.script = func(n int) fault {
			if n <= 5 {
				return memory
			}
			return none
		}
		write(t, w, 1, 12_000)
		s := finish(t, w, time.Hour)
		k.once(t, 12_000)
		if s.Replays != 0 || s.Errors["overload"] != 5 {
			t.Errorf("%+v", s)
		}
		if k.sizes[0] != 2000 { // three times as it was, then in halves; the second time for half of it
			t.Errorf("batches of %v", k.sizes)
		}
		if k.sizes[2] > 3000 {
			t.Errorf("the next batches are as large as before: %v", k.sizes)
		}
		seen := map[string]bool{}
		for _, token := range k.tokens {
			if seen[token] {
				t.Errorf("token %s twice", token)
			}
			seen[token] = true
		}
	})
}

func TestTooManyPartsMeansFewerAndLarger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newSink()
		k.script = func(n int) fault {
			if n <= 3 {
				return parts
			}
			return none
		}
		w := start(t, t.TempDir(), k)
		id := uint64(1)
		for range 600 {
			write(t, w, id, 5)
			id += 5
			sleep(time.Second)
		}
		finish(t, w, time.Hour)
		k.once(t, id-1)
		if k.sizes[1] <= 50 { // five seconds would be 25
			t.Errorf("after 252 batches of %v", k.sizes)
		}
		if n := k.sizes[len(k.sizes)-3]; n > 50 {
			t.Errorf("long after it still batches of %v", k.sizes)
		}
	})
}

func TestRejectedRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		k := &rejecting{sink: newSink(), codes: []int32{16, 26, 27, 53, 117}}
		w := start(t, dir, k, func(o *Options) { o.RejectBytes = 60_000; o.BatchRows = 100 })
		for i := range uint64(10) {
			write(t, w, i*100+1, 100)
			w.Flush()
			synctest.Wait()
		}
		s := finish(t, w, time.Minute)
		conserved(t, s, 0)
		for _, code := range k.codes {
			if s.Rejected[code] != 100 {
				t.Errorf("code %d: %d rows rejected", code, s.Rejected[code])
			}
		}
		if s.Taken != 500 || !s.Up {
			t.Errorf("what is behind rejected rows: %+v", s)
		}
		b, err := os.ReadFile(filepath.Join(dir, rejectName))
		if err != nil || len(b) > 60_000 {
			t.Fatalf("%v, %d bytes", err, len(b))
		}
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		var r rejected
		if err := json.Unmarshal([]byte(lines[0]), &r); err != nil || r.Code != 16 || r.Table != "calls" || r.Rows != 100 {
			t.Errorf("%v: %+v", err, r)
		}
		if columns, rows, err := decode([][]byte{r.Payload}); err != nil || rows != 100 || len(columns) < 15 {
			t.Errorf("rejected rows cannot be read: %v", err)
		}
		if info, _ := os.Stat(filepath.Join(dir, rejectName)); info.Mode().Perm() != 0o600 {
			t.Error(info.Mode())
		}
		// The file is full: rows are counted, and the sender goes on.
		k.codes = slicesRepeat(int32(53), 40)
		k.n = 0
		w = start(t, dir, k, func(o *Options) { o.RejectBytes = 60_000; o.BatchRows = 100 })
		for i := range uint64(40) {
			write(t, w, 2000+i*100, 100)
		}
		s = finish(t, w, time.Minute)
		if s.Unsaved == 0 || s.Rejected[53] != 4000 {
			t.Errorf("%+v", s)
		}
		if info, _ := os.Stat(filepath.Join(dir, rejectName)); info.Size() > 60_000 {
			t.Errorf("%d bytes of rejects", info.Size())
		}
		if s.Spool.Foreign != 0 {
			t.Error("the file of rejects is foreign to the spool")
		}
	})
}

func slicesRepeat[T any](x T, n int) (out []T) {
	for range n {
		out = append(out, x)
	}
	return out
}

// rejecting refuses the first batches for what is in them.
type rejecting struct {
	*sink
	codes []int32
	n     int
}

func (k *rejecting) Insert(ctx context.Context, table string, names []string, columns []any, token string) (bool, error) {
	if k.n < len(k.codes) {
		k.n++
		return true, code(k.codes[k.n-1])
	}
	return k.sink.Insert(ctx, table, names, columns, token)
}

func TestACodeThatIsNotKnownDoesNotBlockForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &rejecting{sink: newSink(), codes: slicesRepeat(int32(4711), 20)}
		w := start(t, t.TempDir(), k, func(o *Options) { o.MaxRefusals = 20 })
		write(t, w, 1, 10)
		sleep(20 * time.Minute)
		write(t, w, 11, 10)
		s := finish(t, w, time.Hour)
		if s.Rejected[4711] != 10 || s.Taken != 10 {
			t.Errorf("%+v", s)
		}
		conserved(t, s, 0)
	})
}

func TestAColumnThatTheTableLacksIsNoBadRow(t *testing.T) {
	for _, c := range []struct {
		begun bool
		code  int32
		want  Class
	}{{false, 16, Config}, {false, 47, Config}, {true, 16, Data}, {true, 47, Unknown}, {false, 252, Overload}} {
		if got, _ := classify(c.begun, fmt.Errorf("insert: %w", code(c.code))); got != c.want {
			t.Errorf("code %d, begun %v: %v", c.code, c.begun, got)
		}
	}
	_, err := os.Open("/does/not/exist")
	if got, _ := classify(false, fmt.Errorf("password: %w", err)); got != Config {
		t.Errorf("no file with a password: %v", got)
	}
	if got, _ := classify(false, clickhouse.ErrRows); got != Data {
		t.Errorf("rows that do not fit: %v", got)
	}
}

// The sink is away for five minutes at full rate. Memory is flat, what comes
// in is kept, and it is back soon after: within 30 s the first rows arrive,
// and they drain at no more than twice the rate at which others come in.
func TestAwayForFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 2000 // rows a second; the budget has 1,000 for an idle agent
		k := newSink()
		var away atomic.Bool
		k.script = func(int) fault {
			if away.Load() {
				return refused
			}
			return none
		}
		w := start(t, t.TempDir(), k, func(o *Options) { o.DrainRows, o.BatchRows = 1000, 5000 })
		id := uint64(1)
		second := func() {
			write(t, w, id, rate)
			id += rate
			sleep(time.Second)
		}
		for range 60 {
			second()
		}
		away.Store(true)
		for range 30 {
			second()
		}
		before := heap()
		for range 270 {
			second()
		}
		if grown := heap() - before; grown > 4<<20 {
			t.Errorf("the heap grew by %d KiB while the sink was away", grown>>10)
		}
		s := w.Stats()
		if s.Up || s.Spool.Held < 295*rate || s.Spool.Oldest < 290*time.Second {
			t.Errorf("%+v", s)
		}
		away.Store(false)
		back, had := time.Now(), k.total()
		var first, drained time.Duration
		for range 600 {
			was := k.total()
			second()
			if k.total() > had && first == 0 {
				first = time.Since(back)
			}
			if n := k.total() - was; n > 2*rate+2*5000 {
				t.Errorf("%d rows in a second, %d come in", n, rate)
			}
			if drained == 0 && w.Stats().Spool.Held < 8*rate {
				drained = time.Since(back)
				if n := float64(k.total()-had) / drained.Seconds(); n > 2.2*rate {
					t.Errorf("drained at %.0f rows a second, %d come in", n, rate)
				}
			}
		}
		if first > 31*time.Second || drained == 0 || drained > 420*time.Second {
			t.Errorf("back after %v, drained after %v", first, drained)
		}
		s = finish(t, w, time.Minute)
		k.once(t, id-1)
		conserved(t, s, 0)
	})
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestTheClockJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clock{}
		k := newSink()
		k.script = func(n int) fault {
			if n <= 4 {
				return refused
			}
			return none
		}
		w := start(t, t.TempDir(), k, func(o *Options) { o.Spool.Wall = c.now })
		write(t, w, 1, 10)
		sleep(5500 * time.Millisecond)
		c.jump = -time.Hour
		write(t, w, 11, 10)
		sleep(3 * time.Second)
		c.jump = 25 * time.Hour // and another day: another partition, another insert
		write(t, w, 21, 10)
		sleep(20 * time.Second)
		if k.total() != 30 || len(k.sizes) != 3 && len(k.sizes) != 2 {
			t.Errorf("%d rows in batches of %v", k.total(), k.sizes)
		}
		finish(t, w, time.Minute)
		k.once(t, 30)
	})
}

func TestAStopLeavesTheRestOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newSink()
		k.script = func(int) fault { return refused }
		dir := t.TempDir()
		w := start(t, dir, k)
		write(t, w, 1, 500)
		began := time.Now()
		s := finish(t, w, 3*time.Second)
		if d := time.Since(began); d > 4*time.Second || s.Spool.Held != 500 {
			t.Errorf("stopped after %v: %+v", d, s)
		}
		if err := w.Write(t.Context(), storage.Calls(traffic(1, 1))); !errors.Is(err, spool.ErrClosed) {
			t.Errorf("a write after the end: %v", err)
		}
		k.script = nil
		w = start(t, dir, k)
		first := w.Run()
		began = time.Now()
		s = finish(t, w, time.Hour)
		if d := time.Since(began); d > time.Second || s.Taken != 500 {
			t.Errorf("drained in %v: %+v", d, s)
		}
		k.once(t, 500)
		w = start(t, dir, k)
		if w.Run() <= first {
			t.Error("runs do not grow")
		}
		finish(t, w, time.Minute)
	})
}

// What a source stands for is there before it.
func TestConclusionsComeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newSink()
		w := start(t, t.TempDir(), k)
		s, _ := samples(7)
		watch := storage.Watch{Agent: "agent", Run: w.Run(), Started: at}
		for range 3 {
			from := w.Next()
			for _, b := range watch.Batches(&s, from, at) {
				if err := w.Write(t.Context(), b); err != nil {
					t.Fatal(err)
				}
			}
			write(t, w, 1, 10)
			w.Flush()
			sleep(20 * time.Second)
		}
		finish(t, w, time.Minute)
		since := map[string]bool{}
		sources := 0
		for _, table := range k.log {
			if table == "sources" {
				if sources++; !since["services"] || !since["findings"] {
					t.Errorf("a source came before its conclusions: %v", k.log)
				}
				since = map[string]bool{}
			}
			since[table] = true
		}
		if sources != 3 {
			t.Errorf("%v", k.log)
		}
	})
}

// The disk fails beside the sink: no exit, no lie.
func TestTheDiskFailsBesideTheSink(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			r, s := rand.New(rand.NewPCG(seed, 9)), rand.New(rand.NewPCG(seed, 10))
			dir := t.TempDir()
			disk := &failing{FS: unsynced{spool.OS(dir)}}
			k := newSink()
			k.script = func(int) fault {
				if s.IntN(2) == 0 {
					return fault(s.IntN(int(last)))
				}
				return none
			}
			w := start(t, dir, k, func(o *Options) {
				o.Spool.FS, o.Spool.MemoryBytes, o.BatchRows, o.RecordRows = disk, 20_000, 200, 20
			})
			id := uint64(1)
			for i := range 20 {
				disk.ill.Store(i%7 > 3)
				write(t, w, id, 100)
				id += 100
				sleep(time.Duration(r.IntN(4000)) * time.Millisecond)
			}
			disk.ill.Store(false)
			k.mu.Lock()
			k.script = nil
			k.mu.Unlock()
			sleep(time.Minute)
			st := finish(t, w, time.Hour)
			conserved(t, st, 0)
			if st.Spool.Held != 0 {
				t.Errorf("seed %d: %d rows were left", seed, st.Spool.Held)
			}
			for n, times := range k.seen {
				if times != 1 {
					t.Errorf("seed %d: call %d was taken %d times", seed, n, times)
					break
				}
			}
			if uint64(k.total()) != st.Taken || len(st.Spool.Errors) == 0 {
				t.Errorf("seed %d: %d taken: %+v", seed, k.total(), st)
			}
		})
	}
}

// Rows that no record can hold are counted; others of their batch go on. A
// batch ends at its bytes as well as at its rows.
func TestLargeRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newSink()
		w := start(t, t.TempDir(), k, func(o *Options) { o.BatchBytes = 1 << 20 })
		calls := traffic(1, 9)
		for i := range calls {
			calls[i].Template = strings.Repeat(string(rune('a'+i)), 600<<10)
		}
		calls[4].Template = strings.Repeat("x", spool.MaxRecord+1)
		if err := w.Write(t.Context(), storage.Calls(calls)); err != nil {
			t.Fatal(err)
		}
		s := finish(t, w, time.Minute)
		conserved(t, s, 0)
		if s.TooLarge != 1 || s.Taken != 8 || s.Spool.Held != 0 {
			t.Errorf("%+v", s)
		}
		for _, n := range k.sizes {
			if n > 4 {
				t.Errorf("batches of %v rows of 600 KiB", k.sizes)
			}
		}
		if err := w.Write(t.Context(), storage.Batch{Table: storage.Table{Name: "no such"}, Len: 1}); !errors.Is(err, ErrTable) {
			t.Errorf("rows of no table: %v", err)
		}
	})
}
