package delivery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"plainsight/analyze"
	"plainsight/storage"
	"plainsight/storage/clickhouse"
	"plainsight/storage/embedded/embeddedtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(agentVariable) != "" {
		agentMain()
		return
	}
	embeddedtest.Main(m)
}

// engine starts the real engine with the schema in it.
func engine(t *testing.T) (*embeddedtest.Server, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store")
	e := embeddedtest.Start(t, path)
	t.Setenv("CLICKHOUSE_PASSWORD", e.Password)
	s, err := clickhouse.Open(t.Context(), clickhouse.Options{Store: "clickhouse://" + e.Addr, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	return e, path
}

func newClickHouse(t testing.TB, addr string) *clickhouse.Sink {
	t.Helper()
	k, err := clickhouse.NewSink(clickhouse.Options{Store: "clickhouse://" + addr, DialTime: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// ask returns the numbers of an answer of one row.
func ask(t testing.TB, addr, sql string) (numbers []uint64) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	s, err := clickhouse.Open(ctx, clickhouse.Options{Store: "clickhouse://" + addr})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows, err := s.Query(ctx, sql)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if !rows.Next() {
		t.Fatalf("%s: no answer: %v", sql, rows.Err())
	}
	values, err := rows.Values()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		numbers = append(numbers, v.(uint64))
	}
	return numbers
}

// Snapshots and calls, from an agent's hand to what a person asks.
func TestFromAnAgentToAnAnswer(t *testing.T) {
	e, _ := engine(t)
	w := start(t, t.TempDir(), newClickHouse(t, e.Addr))
	watch := storage.Watch{Agent: "agent", Node: "node", Version: "test", Run: w.Run(), Started: at}
	put := func(batches ...storage.Batch) {
		t.Helper()
		for _, b := range batches {
			if err := w.Write(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(watch.Batches(nil, w.Next(), at)...)
	put(storage.Calls(traffic(1, 9000)))
	finding := analyze.Finding{Key: "k1", Rule: "enc.plaintext", Service: "shop", Severity: analyze.High, Count: 3, First: at, Last: at}
	s := &analyze.Snapshot{Version: "test", Exchanges: 9000, First: at, Last: at, Findings: []analyze.Finding{finding},
		Endpoints: []analyze.Endpoint{{ID: "e", Service: "shop", Method: "GET", Template: "/", Requests: 9000, First: at, Last: at}}}
	put(watch.Batches(s, w.Next(), at)...)
	s.Findings[0].Count = 5 // what is known later takes the place of what was
	s.Findings = append(s.Findings, analyze.Finding{Key: "k2", Rule: "auth.none", Service: "shop", Count: 1, First: at, Last: at})
	put(watch.Batches(s, w.Next(), at)...)
	put(storage.Agents([]storage.AgentRow{{Time: at, Agent: "agent", Node: "node"}}))
	stats := finish(t, w, time.Minute)
	conserved(t, stats, 0)
	if stats.Spool.Held != 0 || !stats.Up {
		t.Fatalf("%+v", stats)
	}
	for sql, want := range map[string][]uint64{
		"SELECT count(), uniqExact(frame) FROM calls_current":                 {9000, 9000},
		"SELECT count(), sum(count) FROM findings_open":                       {2, 6},
		"SELECT count(), sum(requests) FROM endpoints_current":                {1, 9000},
		"SELECT count(), uniqExact(agent) FROM agents":                        {1, 1},
		"SELECT sum(calls), uniqExact(service) FROM traffic_minute FINAL":     {9000, 12},
		"SELECT sum(request_bytes), sum(response_bytes) FROM calls_current":   sums(9000),
		"SELECT uniqExact(run), uniqExact(written) FROM calls":                {1, 1},
		"SELECT toUInt64(count() > 0), count() FROM sources WHERE agent = ''": {0, 0},
	} {
		if got := ask(t, e.Addr, sql); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", sql, got, want)
		}
	}
}

func sums(n int) []uint64 {
	var a, b uint64
	for _, c := range traffic(1, n) {
		a, b = a+uint64(c.Request), b+uint64(c.Response)
	}
	return []uint64{a, b}
}

// Each harm to the road alone, and each pair of them, with the real engine at
// its end: all at the same time, each writer with a road of its own.
func TestHarmToTheRoadAloneAndInPairs(t *testing.T) {
	e, _ := engine(t)
	type journey struct {
		id   uint64
		a, b harm
		w    *Writer
	}
	var all []*journey
	for a := cutQuery; a < harms; a++ {
		for b := a; b < harms; b++ {
			j := &journey{id: uint64(len(all) + 1), a: a, b: b}
			p := newProxy(t, e.Addr)
			inserts := 0
			p.next = func() harm {
				switch inserts++; inserts {
				case 1, 4:
					return a
				case 2, 5:
					return b
				}
				return harmless
			}
			j.w = start(t, t.TempDir(), newClickHouse(t, p.addr()), func(o *Options) {
				o.BatchRows, o.RecordRows, o.FlushEvery, o.InsertTime = 400, 100, 100*time.Millisecond, time.Second
			})
			all = append(all, j)
		}
	}
	const rows = 1200
	var wait sync.WaitGroup
	for _, j := range all {
		wait.Go(func() {
			for from := 0; from < rows; from += 200 {
				calls := traffic(uint64(from), 200)
				for i := range calls {
					calls[i].Conn = j.id
				}
				if err := j.w.Write(t.Context(), storage.Calls(calls)); err != nil {
					t.Error(err)
				}
				// The same finding again and again, under one key.
				f := []analyze.Finding{{Key: strconv.FormatUint(j.id, 10), Rule: "r", Count: uint64(from), First: at, Last: at}}
				if err := j.w.Write(t.Context(), storage.Batch{Table: storage.FindingTable, Rows: f, Len: 1}); err != nil {
					t.Error(err)
				}
				j.w.Flush()
			}
			s := finish(t, j.w, 90*time.Second)
			conserved(t, s, 0)
			if s.Spool.Held != 0 || s.Errors["unknown"]+s.Errors["connect"] == 0 || s.Duplicates > 0 || s.Lost > 0 {
				t.Errorf("%v and %v: %+v", j.a, j.b, s)
			}
		})
	}
	wait.Wait()
	for _, j := range all {
		got := ask(t, e.Addr, fmt.Sprintf("SELECT count(), uniqExact(frame) FROM calls WHERE conn = %d", j.id))
		if got[0] != rows || got[1] != rows {
			t.Errorf("%v and %v: %d calls, %d different, of %d", j.a, j.b, got[0], got[1], rows)
		}
		got = ask(t, e.Addr, fmt.Sprintf("SELECT count(), sum(count) FROM findings FINAL WHERE key = '%d'", j.id))
		if got[0] != 1 || got[1] != rows-200 {
			t.Errorf("%v and %v: %d findings with a count of %d", j.a, j.b, got[0], got[1])
		}
	}
}

// What is met at the door, before any row leaves.
func TestHarmAtTheDoor(t *testing.T) {
	e, _ := engine(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	html := newProxy(t, e.Addr)
	html.front = []byte(badGateway)
	away := newProxy(t, e.Addr)
	away.away = true
	for _, c := range []struct {
		name, store string
		password    string
		class       Class
		ready       bool
	}{
		{"refused", "clickhouse://" + closed.Addr().String(), e.Password, Connect, true},
		{"reset", "clickhouse://" + away.addr(), e.Password, Connect, true},
		{"silent", "clickhouse://" + silent.Addr().String(), e.Password, Connect, true},
		{"a page of HTML", "clickhouse://" + html.addr(), e.Password, Connect, true},
		{"no such name", "clickhouse://no-such-host.invalid?secure=true", e.Password, Connect, true},
		{"TLS that is none", "clickhouse://" + e.Addr + "?secure=true", e.Password, Connect, true},
		{"wrong password", "clickhouse://" + e.Addr, "wrong", Config, false},
		{"no database", "clickhouse://" + e.Addr + "/nowhere", e.Password, Config, false},
		{"no tables", "clickhouse://" + e.Addr + "/system", e.Password, Config, false},
		{"another schema", "clickhouse://" + e.Addr, e.Password, Config, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("CLICKHOUSE_PASSWORD", c.password)
			k, err := clickhouse.NewSink(clickhouse.Options{Store: c.store, DialTime: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			w := start(t, t.TempDir(), k, func(o *Options) {
				o.FlushEvery, o.InsertTime = 50*time.Millisecond, 2*time.Second
				if c.name == "another schema" {
					table := storage.CallTable
					table.Columns = append(table.Columns[:len(table.Columns):len(table.Columns)], table.Columns[0])
					table.Columns[len(table.Columns)-1].Name = "of_a_later_version"
					o.Tables = []storage.Table{table}
				}
			})
			b := storage.Calls(traffic(1, 100))
			b.Table = w.o.Tables[0]
			if err := w.Write(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			w.Flush()
			deadline := time.After(10 * time.Second)
			for w.Stats().Last == 0 {
				select {
				case <-deadline:
					t.Fatalf("nothing happens: %+v", w.Stats())
				case <-time.After(20 * time.Millisecond):
				}
			}
			s := finish(t, w, 10*time.Millisecond)
			if s.Last != c.class || s.Ready != c.ready || s.Spool.Held != 100 || s.Taken != 0 || s.Up {
				t.Errorf("%+v", s)
			}
			conserved(t, s, 0)
		})
	}
}

// A password that is wrong today and right tomorrow needs no restart.
func TestSecretsAreReadAnew(t *testing.T) {
	e, _ := engine(t)
	file := filepath.Join(t.TempDir(), "password")
	t.Setenv("CLICKHOUSE_PASSWORD_FILE", file)
	k := newClickHouse(t, e.Addr)
	calls := storage.Calls(traffic(1, 10))
	insert := func() (bool, error) {
		v := calls.Values(storage.Stamp{Run: 1, Batch: 1})
		var names []string
		for _, c := range calls.Table.Columns {
			names = append(names, c.Name)
		}
		return k.Insert(t.Context(), "calls", names, v, "token")
	}
	defer k.Close()
	for _, c := range []struct {
		content string
		want    Class
	}{{"", Config}, {"wrong", Config}, {e.Password, 0}} {
		if c.content != "" {
			if err := os.WriteFile(file, []byte(c.content+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		k.Renew()
		begun, err := insert()
		var class Class
		if err != nil {
			class, _ = classify(begun, err)
		}
		if class != c.want {
			t.Errorf("password %q: %v (%v)", c.content, err, class)
		}
	}
}

// kills is how often something is killed: a few times, or many where the
// environment says so (make soak-store).
func kills(few int) int {
	if n, err := strconv.Atoi(os.Getenv("PLAINSIGHT_KILLS")); err == nil {
		return n
	}
	return few
}

// trusting believes an acknowledgement and counts nothing: what tokens alone
// can do.
type trusting struct{ Sink }

func (trusting) Count(context.Context, string, uint64, uint64, uint64, time.Time) (uint64, error) {
	return 0, nil
}

func (trusting) Atomic(context.Context, string) (bool, error) { return true, nil }

// The engine is killed again and again at the very moment that it logs a
// token. Tokens alone are seen to lose rows that were acknowledged; counting
// after a doubt never does.
func TestKillsOfTheEngine(t *testing.T) {
	few := kills(6)
	seen, n := killEngine(t, few, 3*few, func(k Sink) Sink { return trusting{k} })
	switch {
	case seen > 0:
		t.Logf("tokens alone: %d acknowledged rows lost over %d kills", seen, n)
	default:
		// Not every machine stops between the log and the part: that is no proof of anything.
		t.Logf("tokens alone: no loss was seen in %d kills on this machine", n)
	}
	seen, n = killEngine(t, 0, few, func(k Sink) Sink { return k })
	if seen != 0 {
		t.Errorf("with a count after each doubt: %d acknowledged rows lost or doubled over %d kills", seen, n)
	}
	t.Logf("with a count after each doubt: none lost in %d kills", n)
}

// killEngine writes while the engine is killed, until rows are lost after at
// least the given number of kills, or there were enough. It returns how many
// rows are not there exactly once.
func killEngine(t *testing.T, least, most int, wrap func(Sink) Sink) (wrong uint64, n int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store")
	e := embeddedtest.Start(t, path)
	t.Setenv("CLICKHOUSE_PASSWORD", e.Password)
	k, err := clickhouse.NewSink(clickhouse.Options{Store: "clickhouse://" + e.Addr, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Count(t.Context(), "calls", 1, 1, 1, time.Time{}); err != nil {
		t.Fatal(err)
	}
	k.Close()
	p := newProxy(t, e.Addr)
	w := start(t, t.TempDir(), wrap(newClickHouse(t, p.addr())), func(o *Options) {
		o.BatchRows, o.RecordRows, o.FlushEvery, o.InsertTime = 50, 50, time.Millisecond, 5*time.Second
	})
	r := rand.New(rand.NewPCG(1, 1))
	id := uint64(1)
	for n = 0; n < most; n++ {
		hit := watchLogs(t, path, 1+r.IntN(3), e.Kill)
		for done := false; !done; {
			if w.Stats().Spool.Held < 500 { // it is a matter of moments, not of mass
				write(t, w, id, 50)
				id += 50
				w.Flush()
			}
			select {
			case <-hit:
				done = true
			case <-time.After(5 * time.Millisecond):
			}
		}
		e = embeddedtest.Start(t, path)
		p.set(func() { p.target = e.Addr })
		// Until what was in doubt is settled.
		settled := time.After(30 * time.Second)
		for before := w.Stats().Taken; w.Stats().Taken == before; {
			select {
			case <-settled:
				t.Fatalf("nothing is taken after a kill: %+v", w.Stats())
			case <-time.After(20 * time.Millisecond):
			}
		}
		if n >= least && n%6 == 5 && least > 0 {
			s := w.Stats()
			got := ask(t, e.Addr, "SELECT count(), uniqExact(frame) FROM calls")
			if got[1] < s.Taken {
				n++
				break
			}
		}
	}
	s := finish(t, w, time.Minute)
	conserved(t, s, 0)
	got := ask(t, e.Addr, "SELECT count(), uniqExact(frame) FROM calls")
	t.Logf("%d rows taken, %d there, %d different; %d batches acknowledged and lost, found by counting", s.Taken, got[0], got[1], s.Lost)
	return (s.Taken - got[1]) + (got[0] - got[1]), n
}

// BenchmarkWriter takes calls from an agent's hand into the real engine, which
// runs in a process of its own. CPU is the writer's alone: encode, spool, read,
// decode, send.
func BenchmarkWriter(b *testing.B) {
	e := embeddedtest.Start(b, filepath.Join(b.TempDir(), "store"))
	b.Setenv("CLICKHOUSE_PASSWORD", e.Password)
	k, err := clickhouse.NewSink(clickhouse.Options{Store: "clickhouse://" + e.Addr, Create: true})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := k.Count(b.Context(), "calls", 1, 1, 1, time.Time{}); err != nil {
		b.Fatal(err)
	}
	w := start(b, b.TempDir(), k, func(o *Options) { o.Spool.FS, o.DrainRows = nil, 1e9 })
	const rows = 4096
	calls := storage.Calls(traffic(1, rows))
	began := cpu()
	for b.Loop() {
		if err := w.Write(b.Context(), calls); err != nil {
			b.Fatal(err)
		}
	}
	s := finish(b, w, 5*time.Minute)
	spent := cpu() - began
	if s.Taken != uint64(b.N)*rows {
		b.Fatalf("%+v", s)
	}
	b.ReportMetric(float64(s.Taken)/spent.Seconds(), "rows/cpu-s")
	b.ReportMetric(float64(rss())/(1<<20), "RSS-MiB")
}

// cpu is the time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
