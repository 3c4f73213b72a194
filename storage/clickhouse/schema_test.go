package clickhouse

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"plainsight/analyze"
	"plainsight/storage"
	"plainsight/storage/embedded/embeddedtest"
)

// structure is what a store's tables and views are made of.
func structure(t *testing.T, s *Store) [][]any {
	t.Helper()
	return ask(t, s, `SELECT 'column', table, name, type, comment, compression_codec FROM system.columns WHERE database = currentDatabase() AND table != 'schema_version'
		UNION ALL SELECT 'table', name, engine, partition_key, sorting_key, replaceAll(replaceAll(create_table_query, 'SETTINGS index_granularity = 8192, ', 'SETTINGS '), ', index_granularity = 8192', '')
		FROM system.tables WHERE database = currentDatabase() AND name != 'schema_version' ORDER BY ALL`)
}

func TestSchema(t *testing.T) {
	s := remote(t, embeddedtest.Start(t, filepath.Join(t.TempDir(), "store")))
	for range 2 {
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	before := structure(t, s)
	for _, sql := range (Layout{}).Schema() { // each statement can be applied again
		if err := s.exec(t.Context(), sql); err != nil {
			t.Errorf("%v\n%s", err, sql)
		}
	}
	if after := structure(t, s); !reflect.DeepEqual(before, after) {
		t.Error("applied again, the schema is another")
	}
	// What the tables say is what the engine has, columns in the same order.
	for _, table := range storage.Tables {
		rows := ask(t, s, "SELECT name, type, comment FROM system.columns WHERE database = currentDatabase() AND table = "+literal(table.Name)+" ORDER BY position")
		if len(rows) != len(table.Columns) {
			t.Errorf("%s: %d columns of %d", table.Name, len(rows), len(table.Columns))
			continue
		}
		for i, c := range table.Columns {
			if want := []any{c.Name, c.Type, c.Doc}; !reflect.DeepEqual(rows[i], want) {
				t.Errorf("%s: %v, want %v", table.Name, rows[i], want)
			}
		}
	}

	// A newer and an older schema are told.
	if err := s.exec(t.Context(), fmt.Sprintf("INSERT INTO schema_version (version) SELECT %d", Version+1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Migrate(t.Context()); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer schema: %v", err)
	}
	if _, err := Open(t.Context(), Options{Store: s.options.Store}); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer schema, to read: %v", err)
	}
	if err := s.exec(t.Context(), fmt.Sprintf("DELETE FROM schema_version WHERE version >= %d", Version)); err != nil {
		t.Fatal(err)
	}
	if err := s.exec(t.Context(), "INSERT INTO schema_version (version) SELECT 1"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Store: s.options.Store}); !errors.Is(err, ErrOlder) {
		t.Errorf("an older schema, to read: %v", err)
	}
}

func TestOlderStoreIsBroughtUpToDate(t *testing.T) {
	server := embeddedtest.Start(t, filepath.Join(t.TempDir(), "store"))
	fresh := remote(t, server)
	want := structure(t, fresh)

	// A store of version 1 with rows in it, beside it.
	t.Setenv("CLICKHOUSE_PASSWORD", server.Password)
	old := &Store{options: Options{Store: fresh.options.Store + "/older", Create: true}.filled()}
	base, err := old.dial()
	if err != nil {
		t.Fatal(err)
	}
	if err := old.connect(t.Context(), base); err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	ddl, err := os.ReadFile("testdata/schema-1.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range append(strings.Split(strings.TrimSpace(string(ddl)), ";\n\n"),
		"INSERT INTO schema_version (version) SELECT 1",
		"INSERT INTO calls (time, service, run, batch) SELECT '2026-11-25 09:00:00', 'shop', 7, number FROM numbers(100)",
		"INSERT INTO findings (key, rule, service, run, batch) VALUES ('k', 'auth.none', 'shop', 7, 1)",
		"INSERT INTO sources (source, captures, run, batch) VALUES ('s', ['a'], 7, 9)") {
		if err := old.exec(t.Context(), strings.TrimSuffix(sql, ";")); err != nil {
			t.Fatalf("%v\n%s", err, sql)
		}
	}

	// Broken off at every table, it goes on.
	if err := old.exec(t.Context(), Layout{}.create(storage.EndpointTable, "endpoints_copy")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := old.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := old.exec(t.Context(), "TRUNCATE TABLE schema_version"); err != nil {
			t.Fatal(err)
		}
		if err := old.exec(t.Context(), "INSERT INTO schema_version (version) SELECT 1"); err != nil {
			t.Fatal(err)
		}
	}
	got := structure(t, old)
	for i := range got {
		if i < len(want) {
			if g, w := strings.ReplaceAll(fmt.Sprint(got[i]...), "older.", "plainsight."), fmt.Sprint(want[i]...); g != w {
				t.Errorf("brought up to date:\n%s\nfresh:\n%s", g, w)
			}
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d parts of %d", len(got), len(want))
	}
	expect(t, old, "SELECT count(), uniq(batch) FROM calls_current WHERE written = today()", uint64(100), uint64(100))
	expect(t, old, "SELECT rule FROM findings_open", "auth.none")
}

// versions are the fingerprints of the tables by version of the schema: a
// change of a table wants a new Version, and a line here.
var versions = map[int]string{2: "239fd2", 3: "2cc436", 4: "bdf05e", 5: "88c1a3"}

func TestChangedTablesAreANewVersion(t *testing.T) {
	sum := sha256.Sum256([]byte(strings.Join(Layout{}.tables(), "\n")))
	if got := hex.EncodeToString(sum[:3]); versions[Version] != got {
		t.Errorf("the tables are %s, those of version %d were %q: raise Version and add a line", got, Version, versions[Version])
	}
	if len(versions) != Version-1 { // version 1 is testdata
		t.Errorf("%d versions have a line", len(versions))
	}
}

func TestRetention(t *testing.T) {
	server := embeddedtest.Start(t, filepath.Join(t.TempDir(), "store"))
	t.Setenv("CLICKHOUSE_PASSWORD", server.Password)
	with := func(days int) *Store {
		return open(t, Options{Store: "clickhouse://" + server.Addr, Create: true, Layout: Layout{Keep: map[string]int{"calls": days, "findings": days}}})
	}
	ttl := func(s *Store) any {
		return one(t, s, "SELECT countIf(create_table_query LIKE '%TTL written + toIntervalDay(30)%') * 10 + countIf(create_table_query LIKE '% TTL %') FROM system.tables WHERE database = currentDatabase()")
	}
	s := with(30)
	if got := ttl(s); got != uint64(22) {
		t.Errorf("two tables keep 30 days: %v", got)
	}
	if got := ttl(with(7)); got != uint64(2) {
		t.Errorf("two tables keep 7 days: %v", got)
	}
	// What is older goes.
	day := time.Now().Add(-10 * 24 * time.Hour)
	for i, b := range []storage.Batch{storage.Calls(shopCalls()), storage.Batches(shop("a"), day)[4]} {
		if err := s.Insert(t.Context(), b.Table, b.Values(storage.Stamp{Run: 7, Batch: uint64(i + 1), Day: day}), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		if err := s.exec(t.Context(), "OPTIMIZE TABLE "+b.Table.Name+" FINAL"); err != nil {
			t.Fatal(err)
		}
		if n := one(t, s, "SELECT count() FROM "+b.Table.Name); n != uint64(0) {
			t.Errorf("%s: %d rows older than the retention", b.Table.Name, n)
		}
	}
	if got := ttl(with(0)); got != uint64(0) {
		t.Errorf("no retention: %v", got)
	}
	if _, err := Open(t.Context(), Options{Store: "clickhouse://" + server.Addr, Create: true, Layout: Layout{Keep: map[string]int{"nope": 1}}}); err == nil {
		t.Error("a retention for a table that is none")
	}
	// One layout does not become another by accident.
	s.options.Layout.Cluster = "c"
	if err := s.Migrate(t.Context()); !errors.Is(err, ErrLayout) {
		t.Errorf("a cluster's tables in the database of a single server: %v", err)
	}
}

func TestLayoutOfTheTablesIsTakenOver(t *testing.T) {
	for _, c := range []struct {
		asked, engine, want string
		refused             bool
	}{
		{"", "", "", false},
		{"c", "", "c", false},
		{"", "MergeTree PARTITION BY written", "", false},
		{"", "Distributed('main', 'plainsight', 'calls_local', cityHash64(run))", "main", false},
		{"", `Distributed('it\'s', 'plainsight', 'calls_local', cityHash64(run))`, "it's", false},
		{"main", "Distributed('main', 'plainsight', 'calls_local', cityHash64(run))", "main", false},
		{"other", "Distributed('main', 'plainsight', 'calls_local', cityHash64(run))", "other", true},
		{"c", "MergeTree PARTITION BY written", "c", true},
	} {
		l := Layout{Cluster: c.asked}
		if err := l.adopt(c.engine); l.Cluster != c.want || errors.Is(err, ErrLayout) != c.refused {
			t.Errorf("%q in a store of %s: %q, %v", c.asked, c.engine, l.Cluster, err)
		}
	}
}

func TestClusterSchemaParses(t *testing.T) {
	s := remote(t, embeddedtest.Start(t, filepath.Join(t.TempDir(), "store")))
	l := Layout{Cluster: "it's `big`", Keep: map[string]int{"calls": 30}}
	statements := append(l.Schema(), l.altered()...)
	for _, f := range feeds {
		statements = append(statements, f.alter(l))
	}
	text := strings.Join(statements, ";\n")
	for _, sql := range statements {
		rows, err := s.write.Query(t.Context(), "EXPLAIN AST "+sql)
		if err != nil {
			t.Errorf("%v\n%s", err, sql)
			continue
		}
		rows.Close()
		if !strings.HasPrefix(sql, "INSERT") && !strings.Contains(sql, "ON CLUSTER `it's \\`big\\``") {
			t.Errorf("on one host only: %s", sql)
		}
		for _, table := range storage.Tables { // a view feeds local tables from local ones
			if strings.Contains(sql, "MATERIALIZED") && (strings.Contains(sql, "FROM "+table.Name+" ") || strings.Contains(sql, "TO "+table.Name+" ")) {
				t.Errorf("a view over shards: %s", sql)
			}
		}
	}
	for _, engine := range []string{"ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')",
		"ReplicatedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}', batch)",
		"ReplicatedAggregatingMergeTree(", "Distributed('it\\'s `big`', currentDatabase(), 'calls_local', cityHash64(run))", "GLOBAL IN"} {
		if !strings.Contains(text, engine) {
			t.Errorf("nothing is %s", engine)
		}
	}
	if n, want := strings.Count(text, "= Distributed("), len(storage.Tables)+1; n != want {
		t.Errorf("%d distributed tables, %d tables", n, want)
	}
}

// send inserts a batch and fails the test where that fails.
func send(t *testing.T, s *Store, b storage.Batch, stamp storage.Stamp, token string) {
	t.Helper()
	if err := s.Insert(t.Context(), b.Table, b.Values(stamp), token); err != nil {
		t.Fatal(err)
	}
}

func TestBatchThatComesAgainCountsOnce(t *testing.T) {
	s := remote(t, embeddedtest.Start(t, filepath.Join(t.TempDir(), "store")))
	watch := storage.Watch{Agent: "a", Run: 7}
	send(t, s, watch.Batches(nil, 0, morning)[0], storage.Stamp{Run: 7, Batch: 1, Day: morning}, "first")
	calls := append(shopCalls(), traffic(1000)...)
	for i := range 3 {
		send(t, s, storage.Calls(calls), storage.Stamp{Run: 7, Batch: 2, Day: morning}, "second")
		if i == 1 { // whatever came between
			send(t, s, storage.Calls(calls), storage.Stamp{Run: 7, Batch: 3, Day: morning}, "third")
		}
	}
	n := uint64(len(calls))
	for _, table := range []string{"traffic_minute", "traffic_day"} {
		expect(t, s, "SELECT sum(calls), sum(arraySum(mapValues(latency))) FROM "+table, 2*n, 2*(n-uint64(len(nasty))))
	}
	for batch, want := range map[uint64]uint64{2: n, 3: n, 4: 0} {
		if got, err := s.Count(t.Context(), storage.CallTable, storage.Stamp{Run: 7, Batch: batch}); err != nil || got != want {
			t.Errorf("batch %d has %d rows, want %d: %v", batch, got, want, err)
		}
	}
	expect(t, s, "SELECT count() FROM calls_current", 2*n)
}

func TestAgentsCountAsTheViewDoes(t *testing.T) {
	s := remote(t, embeddedtest.Start(t, filepath.Join(t.TempDir(), "store")))
	calls := append(shopCalls(), traffic(5000)...)
	hour := time.Hour.Microseconds()
	for us := int64(1); us < 2*hour; us = us*5/4 + 1 {
		calls = append(calls, analyze.Call{Time: morning, Service: "slow", Latency: time.Duration(us) * time.Microsecond})
	}
	calls = append(calls, analyze.Call{Time: time.Unix(1<<40, 0)}, analyze.Call{})
	send(t, s, storage.Calls(calls), storage.Stamp{Run: 1, Batch: 1, Day: morning}, "calls")

	// The same, sampled: every tenth call is kept, the agent counts all.
	var kept []analyze.Call
	var count storage.Traffic
	var callers storage.Callers
	for i := range calls {
		calls[i].Sampling = 10
		count.Add(&calls[i])
		callers.Add(&calls[i])
		if i%10 == 0 {
			kept = append(kept, calls[i])
		}
	}
	send(t, s, storage.Calls(kept), storage.Stamp{Run: 2, Batch: 1, Day: morning}, "sampled")
	stats, who := count.Take(), callers.Take()
	for range 2 {
		send(t, s, stats, storage.Stamp{Run: 2, Batch: 2, Day: morning}, "statistics")
		send(t, s, who, storage.Stamp{Run: 2, Batch: 3, Day: morning}, "callers")
	}
	if got, err := s.Count(t.Context(), storage.MinuteTable, storage.Stamp{Run: 2, Batch: 2}); err != nil || got != uint64(stats.Len) || count.Len() != 0 {
		t.Errorf("%d rows of %d: %v", got, stats.Len, err)
	}
	traffic := `service, method, template, operation, status, wire, auth, sum(calls), sum(request_bytes), sum(response_bytes), sum(with_sensitive), sum(incomplete), sumMap(latency)`
	for _, c := range []struct{ table, columns string }{
		{"traffic_minute", "minute, " + traffic}, {"traffic_day", "day, " + traffic},
		{"callers", `day, service, client, principal, auth, sum(calls), sum(writes), sum(refused), sum(failed), sum(never_succeeded), sum(request_bytes),
			sum(response_bytes), sum(with_sensitive), groupBitOr(endpoints), min(first_seen), max(last_seen)`},
	} {
		of := func(run int) [][]any {
			return ask(t, s, fmt.Sprintf(`SELECT %s FROM %s WHERE run = %d GROUP BY ALL ORDER BY ALL`, c.columns, c.table, run))
		}
		view, agent := of(1), of(2)
		if len(view) < 10 || !reflect.DeepEqual(view, agent) {
			t.Errorf("%s: %d rows of the view, %d of the agent, and they differ", c.table, len(view), len(agent))
			for i := range min(len(view), len(agent)) {
				if !reflect.DeepEqual(view[i], agent[i]) {
					t.Fatalf("\n%v\n%v", view[i], agent[i])
				}
			}
		}
	}
}

func TestAgentsConclusionsAreTheirLast(t *testing.T) {
	s := remote(t, embeddedtest.Start(t, filepath.Join(t.TempDir(), "store")))
	watch := storage.Watch{Agent: "a", Node: "n", Version: "v", Run: 7, Started: morning}
	var batch uint64
	write := func(watch storage.Watch, snapshot *analyze.Snapshot) {
		t.Helper()
		for _, b := range watch.Batches(snapshot, batch+1, evening) {
			batch++
			if b.Len > 0 {
				send(t, s, b, storage.Stamp{Run: watch.Run, Batch: batch, Day: morning}, fmt.Sprint(watch.Run, "/", batch))
			}
		}
	}
	write(watch, nil)
	batch++
	send(t, s, storage.Calls(shopCalls()), storage.Stamp{Run: 7, Batch: batch, Day: morning}, "calls")
	expect(t, s, "SELECT count() FROM calls_current", uint64(len(shopCalls())))

	write(watch, shop())
	before := totals(t, s)
	write(watch, shop()) // what it knows, again
	if after := totals(t, s); after != before {
		t.Errorf("written twice:\n%s\nonce:\n%s", after, before)
	}
	expect(t, s, "SELECT count(), sum(count) FROM findings_open", uint64(1), uint64(9))

	later := shop() // an endpoint became part of another one; the finding is gone
	later.Endpoints, later.Findings = later.Endpoints[:1], nil
	later.Endpoints[0].Requests = 99
	write(watch, later)
	expect(t, s, "SELECT count(), sum(requests) FROM endpoints_current", uint64(1), uint64(99))
	expect(t, s, "SELECT count() FROM findings_open", uint64(0))

	// Its next life adds to it.
	watch.Run, batch = 8, 0
	write(watch, nil)
	write(watch, shop())
	expect(t, s, "SELECT count(), sum(requests) FROM endpoints_current", uint64(2), uint64(99+13))
	expect(t, s, "SELECT count(), sum(count) FROM findings_open", uint64(1), uint64(9))
}
