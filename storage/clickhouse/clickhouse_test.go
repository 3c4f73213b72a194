package clickhouse

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"plainsight/analyze"
	"plainsight/storage"
	"plainsight/storage/embedded"
	"plainsight/storage/embedded/embeddedtest"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// remote opens a store in an engine of its own process, over loopback.
func remote(t *testing.T, server *embeddedtest.Server) *Store {
	t.Helper()
	t.Setenv("CLICKHOUSE_PASSWORD", server.Password)
	return open(t, Options{Store: "clickhouse://" + server.Addr, Create: true})
}

func open(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// keep reads a snapshot and its calls into the store.
func keep(t *testing.T, s *Store, snapshot *analyze.Snapshot, calls []analyze.Call) {
	t.Helper()
	w, err := s.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Calls(t.Context(), calls); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), snapshot); err != nil {
		t.Fatal(err)
	}
}

// ask returns the rows of an answer.
func ask(t *testing.T, s storage.Reader, sql string) [][]any {
	t.Helper()
	rows, err := s.Query(t.Context(), sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	defer rows.Close()
	var all [][]any
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		all = append(all, values)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return all
}

// one returns the only value of an answer.
func one(t *testing.T, s storage.Reader, sql string) any {
	t.Helper()
	all := ask(t, s, sql)
	if len(all) != 1 || len(all[0]) != 1 {
		t.Fatalf("%s: %v, want one value", sql, all)
	}
	return all[0][0]
}

func expect(t *testing.T, s storage.Reader, sql string, want ...any) {
	t.Helper()
	all := ask(t, s, sql)
	if len(all) != 1 || !reflect.DeepEqual(all[0], want) {
		t.Errorf("%s:\n got %#v\nwant %#v", sql, all, want)
	}
}

var (
	morning = time.Date(2026, 11, 25, 9, 0, 0, 123456000, time.UTC)
	evening = time.Date(2026, 11, 25, 18, 0, 0, 0, time.UTC)
)

// Texts that would do harm if they ever became SQL, and ones that are odd.
var nasty = []string{`'); DROP TABLE calls; --`, `a\'b`, "nul\x00byte", "`back`", `{x:String}`, "emoji 🦊", `/* */ "q"`, `\`, "$LIVE", "?"}

// shop is a snapshot with every field filled.
func shop(captures ...string) *analyze.Snapshot {
	sample := analyze.Sample{Mask: "al••••••om", Fingerprint: "0123456789ab", Length: 17}
	endpoint := analyze.Endpoint{
		ID: analyze.EndpointID("shop", "GET", "/users/{id}", ""), Service: "shop", Method: "GET", Template: "/users/{id}",
		Requests: 12, Unanswered: 1, Statuses: map[int]uint64{200: 10, 404: 1}, Plaintext: 12,
		Auth: map[string]uint64{"none": 5, "bearer": 7}, Clients: 3, RequestBytes: 100, ResponseBytes: 4000,
		LatencyP50: 1.5, LatencyP95: 20.25, First: morning, Last: evening,
		Parameters: []analyze.Field{{Side: analyze.Request, Where: analyze.InPath, Path: "1", Types: []string{"integer"}, Required: true, Present: 12, Of: 12}},
		Fields: []analyze.Field{{Side: analyze.Response, Where: analyze.InBody, Status: "2xx", ContentType: "application/json", Path: "$.email",
			Types: []string{"string", "null"}, Format: "email", Nullable: true, Enum: []string{"a", "b"}, Present: 9, Of: 10}},
		Sensitive: []analyze.Sensitive{{Kind: "email", Category: "personal", Place: analyze.Place{Side: analyze.Response, Where: analyze.InBody, Name: "$.email"},
			Count: 9, Severity: analyze.Medium, Samples: []analyze.Sample{sample}}},
	}
	odd := analyze.Endpoint{ID: analyze.EndpointID("odd", "POST", nasty[0], ""), Service: nasty[2], Method: "POST", Template: nasty[0], Requests: 1,
		Auth: map[string]uint64{nasty[1]: 1}, First: morning, Last: morning}
	s := &analyze.Snapshot{
		Version: "test", First: morning, Last: evening, Exchanges: 13,
		Services:  []analyze.Service{{Name: "shop", Addresses: []string{"10.0.0.1:80"}, Endpoints: 1, Requests: 12, Wires: []analyze.Wire{analyze.Plaintext}, First: morning, Last: evening}},
		Endpoints: []analyze.Endpoint{endpoint, odd},
		Findings: []analyze.Finding{{
			Key: analyze.FindingKey("enc.plaintext", "shop", "GET /users/{id}", ""), Rule: "enc.plaintext", Title: "plaintext", Practice: analyze.Encryption,
			Severity: analyze.High, Level: analyze.Proved, Service: "shop", Endpoint: "GET /users/{id}", Place: "response body $.email",
			Summary: "seen", Why: "because", Fix: "do", OWASP: []string{"API8:2023"}, CWE: []string{"CWE-319"}, Count: 9, Principals: 2, First: morning, Last: evening,
			Samples:  []analyze.Sample{sample},
			Evidence: []analyze.Evidence{{Capture: "a.pcap", Frame: 7, Time: morning, Client: "10.0.0.9", Server: "10.0.0.1:80", Status: 200}, {Frame: 9, Time: evening}},
		}},
		Edges:     []analyze.Edge{{Client: "10.0.0.9", Service: "shop", Server: "10.0.0.1:80", Wire: analyze.Plaintext, Connections: 2, Exchanges: 12, Bytes: 5000, First: morning, Last: evening}},
		Sessions:  []analyze.Session{{Server: "10.0.0.1:443", SNI: "shop", Version: "TLS 1.2", Cipher: "c", ALPN: "h2", JA3: []string{"x"}, JA3S: "y", Subject: "s", Issuer: "i", NotAfter: evening, Certificate: "f", Connections: 4, First: morning, Last: evening}},
		Scorecard: []analyze.Score{{Practice: analyze.Encryption, Number: 3, State: analyze.Broken, Findings: 1, Worst: analyze.High, Reason: "plaintext"}},
		Coverage:  analyze.Coverage{Counts: []analyze.Count{{Name: "frames", Help: "read", Value: 99}}, NotVisible: []string{"3 connections were TLS"}, Noise: 2},
	}
	for _, c := range captures {
		s.Coverage.Captures = append(s.Coverage.Captures, analyze.Capture{Name: c + ".pcap", Format: "pcap", SHA256: c, Bytes: 10, Frames: 99, Damaged: "cut"})
	}
	return s
}

func shopCalls() []analyze.Call {
	calls := []analyze.Call{{
		Time: morning, Conn: 1, Frame: 7, Client: "10.0.0.9", Server: "10.0.0.1:80", Service: "shop", Method: "GET", Template: "/users/{id}", Status: 200,
		Wire: analyze.Plaintext, Auth: "bearer", Principal: "fp", Request: 10, Response: 400, Latency: 1500 * time.Microsecond,
		Sensitive: []string{"email", "phone"}, Flaws: []string{"bare-lf"}, Incomplete: true,
	}}
	for i, text := range nasty {
		calls = append(calls, analyze.Call{Time: morning.Add(time.Duration(i) * time.Second), Service: text, Client: text, Template: text, Auth: text,
			Principal: text, Sensitive: []string{text}, Flaws: []string{text, text}})
	}
	return calls
}

func TestWhatIsKeptComesBack(t *testing.T) {
	s := remote(t, embeddedtest.Start(t, filepath.Join(t.TempDir(), "store")))
	keep(t, s, shop("a"), shopCalls())

	expect(t, s, `SELECT time, conn, frame, client, server, service, method, template, status, wire, auth, principal, request_bytes, response_bytes,
		latency_us, sensitive, flaws, incomplete FROM calls_current WHERE service = 'shop'`,
		morning, uint64(1), uint64(7), "10.0.0.9", "10.0.0.1:80", "shop", "GET", "/users/{id}", uint16(200), "plaintext", "bearer", "fp", uint64(10), uint64(400),
		uint64(1500), []string{"email", "phone"}, []string{"bare-lf"}, true)
	expect(t, s, `SELECT id, requests, unanswered, statuses, plaintext, encrypted, auth, clients, request_bytes, response_bytes, latency_p50_ms, latency_p95_ms,
		first_seen, last_seen FROM endpoints_current WHERE service = 'shop' AND method = 'GET' AND template = '/users/{id}'`,
		analyze.EndpointID("shop", "GET", "/users/{id}", ""), uint64(12), uint64(1), map[uint16]uint64{200: 10, 404: 1}, uint64(12), uint64(0),
		map[string]uint64{"none": 5, "bearer": 7}, uint64(3), uint64(100), uint64(4000), 1.5, 20.25, morning, evening)
	expect(t, s, "SELECT name, addresses, endpoints, requests, wires FROM services_current", "shop", []string{"10.0.0.1:80"}, uint64(1), uint64(12), []string{"plaintext"})
	expect(t, s, "SELECT path, types, format, nullable, required, enum, present, parents, status, content_type FROM fields_current WHERE side = 'response'",
		"$.email", []string{"null", "string"}, "email", true, false, []string{"a", "b"}, uint64(9), uint64(10), "2xx", "application/json")
	expect(t, s, "SELECT path, required, location FROM fields_current WHERE side = 'request'", "1", true, "path")
	expect(t, s, "SELECT kind, category, side, location, name, count, severity, samples FROM sensitive_current",
		"email", "personal", "response", "body", "$.email", uint64(9), "medium", []string{"al••••••om"})
	expect(t, s, "SELECT rule, practice, severity, level, service, endpoint, place, summary, why, fix, owasp, cwe, count, principals, samples, first_seen, last_seen FROM findings_open",
		"enc.plaintext", "encryption", "high", "proved", "shop", "GET /users/{id}", "response body $.email", "seen", "because", "do",
		[]string{"API8:2023"}, []string{"CWE-319"}, uint64(9), uint64(2), []string{"al••••••om"}, morning, evening)
	expect(t, s, "SELECT `evidence.capture`, `evidence.frame`, `evidence.time`, `evidence.client`, `evidence.server`, `evidence.status`, `samples.length` FROM findings",
		[]string{"a.pcap", ""}, []uint64{7, 9}, []time.Time{morning, evening}, []string{"10.0.0.9", ""}, []string{"10.0.0.1:80", ""}, []uint16{200, 0}, []uint32{17})
	expect(t, s, "SELECT client, wire, connections, exchanges, bytes FROM encryption_matrix", "10.0.0.9", "plaintext", uint64(2), uint64(12), uint64(5000))
	expect(t, s, "SELECT sni, version, alpn, ja3, subject, not_after, connections FROM tls_current", "shop", "TLS 1.2", "h2", []string{"x"}, "s", evening, uint64(4))
	expect(t, s, "SELECT practice, state, findings, worst, reason FROM scorecard", "encryption", "broken", uint64(1), "high", "plaintext")
	expect(t, s, "SELECT value FROM coverage_current WHERE name = 'frames'", uint64(99))
	expect(t, s, "SELECT name FROM coverage_current WHERE kind = 'not visible'", "3 connections were TLS")
	expect(t, s, "SELECT name, bytes, frames, damaged FROM captures_current", "a.pcap", uint64(10), uint64(99), "cut")
	expect(t, s, "SELECT version, exchanges, captures FROM sources_current", "test", uint64(13), []string{"a"})

	for _, text := range nasty { // values that look like SQL are values
		expect(t, s, "SELECT client, template, auth, principal, sensitive, flaws FROM calls_current WHERE service = "+literal(text),
			text, text, text, text, []string{text}, []string{text, text})
	}
}

// totals are figures that any doubling would change.
func totals(t *testing.T, s *Store) string {
	t.Helper()
	var b strings.Builder
	for _, sql := range []string{
		"SELECT count() FROM calls_current",
		"SELECT (count(), sum(requests)) FROM endpoints_current",
		"SELECT (count(), sum(requests)) FROM services_current",
		"SELECT (count(), sum(present)) FROM fields_current",
		"SELECT (count(), sum(count)) FROM sensitive_current",
		"SELECT (count(), sum(count)) FROM findings_open",
		"SELECT (count(), sum(exchanges)) FROM encryption_matrix",
		"SELECT (count(), sum(connections)) FROM tls_current",
		"SELECT (count(), sum(findings)) FROM scorecard",
		"SELECT (count(), sum(value)) FROM coverage_current",
	} {
		_, name, _ := strings.Cut(sql, " FROM ")
		fmt.Fprintln(&b, name, one(t, s, sql))
	}
	return b.String()
}

func TestReadingTwiceDoublesNothing(t *testing.T) {
	s := remote(t, embeddedtest.Start(t, filepath.Join(t.TempDir(), "store")))
	keep(t, s, shop("a"), shopCalls())
	once := totals(t, s)
	if !strings.Contains(once, fmt.Sprintf("calls_current %d\n", len(shopCalls()))) {
		t.Fatalf("the first reading is not all there:\n%s", once)
	}
	for range 3 {
		keep(t, s, shop("a"), shopCalls())
	}
	if again := totals(t, s); again != once {
		t.Errorf("four readings of a:\n%s\none:\n%s", again, once)
	}
	if n := one(t, s, "SELECT count() FROM calls"); n != uint64(len(shopCalls())) {
		t.Errorf("%d rows of earlier readings take up space", n)
	}

	// Read together with another file, a counts as part of both.
	keep(t, s, shop("a", "b"), shopCalls())
	if both := totals(t, s); both != once {
		t.Errorf("a, then a and b together:\n%s", both)
	}
	keep(t, s, shop("a"), shopCalls())
	if both := totals(t, s); both != once {
		t.Errorf("a and b together, then a again:\n%s", both)
	}
	expect(t, s, "SELECT captures FROM sources_current", []string{"a", "b"})

	// Another file is more.
	keep(t, s, shop("c"), shopCalls())
	if n := one(t, s, "SELECT count() FROM calls_current"); n != uint64(2*len(shopCalls())) {
		t.Errorf("%d calls of two files", n)
	}
	if n := one(t, s, "SELECT requests FROM endpoints_current WHERE method = 'GET'"); n != uint64(24) {
		t.Errorf("%d requests of two files with 12 each", n)
	}
	if n := one(t, s, "SELECT count() FROM findings_open"); n != uint64(1) {
		t.Errorf("%d findings: the same one in two files is one", n)
	}
}

func TestLaterReadingWithoutTheFindingHasNone(t *testing.T) {
	s := remote(t, embeddedtest.Start(t, filepath.Join(t.TempDir(), "store")))
	keep(t, s, shop("a"), nil)
	fixed := shop("a")
	fixed.Findings = nil
	keep(t, s, fixed, nil)
	if n := one(t, s, "SELECT count() FROM findings_open"); n != uint64(0) {
		t.Errorf("%d findings of a reading that was replaced", n)
	}
}

func TestBrokenOffReadingIsNeverSeen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	server := embeddedtest.Start(t, path)
	s := remote(t, server)
	s.options.BatchRows = 4
	keep(t, s, shop("a"), shopCalls())
	before := totals(t, s)
	w, err := s.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Calls(t.Context(), shopCalls()); err != nil {
		t.Fatal(err)
	}
	if n := one(t, s, "SELECT count() FROM calls"); n == uint64(len(shopCalls())) {
		t.Fatal("no batch was inserted: the test tests nothing")
	}
	if after := totals(t, s); after != before {
		t.Errorf("calls of a reading that has not ended count:\n%s", after)
	}
	server.Kill()
	s.Close()

	// In this process now: the lock of the killed one is gone, what it had
	// committed is there, and the next reading clears the rest.
	s = open(t, Options{Store: path, Create: true})
	if after := totals(t, s); after != before {
		t.Errorf("after the crash:\n%s\nbefore:\n%s", after, before)
	}
	w, err = s.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := one(t, s, "SELECT count() FROM calls"); n != uint64(len(shopCalls())) {
		t.Errorf("%d rows after clearing", n)
	}
	if _, err := s.Begin(t.Context()); !errors.Is(err, ErrRunning) {
		t.Errorf("a second run at the same time: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	keep(t, s, shop("a"), shopCalls())
	if after := totals(t, s); after != before {
		t.Errorf("after reading again:\n%s", after)
	}
}

func TestReadersCannotWriteOrReach(t *testing.T) {
	s := remote(t, embeddedtest.Start(t, filepath.Join(t.TempDir(), "store")))
	keep(t, s, shop("a"), shopCalls())
	before := totals(t, s)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("do not read me"), 0o600); err != nil {
		t.Fatal(err)
	}
	outfile := filepath.Join(t.TempDir(), "out")
	for _, sql := range []string{
		"INSERT INTO calls (service) VALUES ('x')",
		"INSERT INTO calls (service) SELECT 'x'",
		"INSERT INTO FUNCTION file('" + outfile + "', 'CSV') SELECT 1",
		"ALTER TABLE calls DELETE WHERE 1",
		"ALTER TABLE calls DROP COLUMN service",
		"DELETE FROM calls WHERE 1",
		"TRUNCATE TABLE calls",
		"DROP TABLE calls",
		"CREATE TABLE x (a UInt8) ENGINE = Memory",
		"CREATE TEMPORARY TABLE x (a UInt8)",
		"CREATE FUNCTION f AS x -> x",
		"OPTIMIZE TABLE calls FINAL",
		"KILL QUERY WHERE 1",
		"SYSTEM STOP MERGES",
		"SET readonly = 0",
		"USE system",
		"BACKUP TABLE calls TO File('" + outfile + "')",
		"ATTACH TABLE x",
		"SELECT 1 INTO OUTFILE '" + outfile + "'",
		"SELECT 1 SETTINGS readonly = 0",
		"SELECT 1 SETTINGS max_execution_time = 0",
		"SELECT 1; DROP TABLE calls",
		"DROP TABLE calls; SELECT 1",
		"SELECT file('" + secret + "')",
		"SELECT length(file('" + secret + "'))",
		"WITH file('" + secret + "') AS x SELECT x",
		"SELECT * FROM calls WHERE file('" + secret + "') = ''",
		"SELECT (SELECT file('" + secret + "'))",
		"SELECT * FROM file('" + secret + "', 'LineAsString')",
		"SELECT * FROM FILE('" + secret + "', 'LineAsString')",
		"SELECT * FROM (SELECT * FROM file('" + secret + "', 'LineAsString')) AS x",
		"SELECT * FROM calls JOIN file('" + secret + "', 'LineAsString') AS f ON 1",
		"SELECT 1 IN file('" + secret + "', 'LineAsString')",
		"SELECT * FROM '" + secret + "'",
		"SELECT * FROM `" + secret + "`",
		"DESCRIBE file('" + secret + "', 'LineAsString')",
		"DESCRIBE TABLE file('" + secret + "', 'LineAsString')",
		"EXPLAIN SELECT * FROM file('" + secret + "', 'LineAsString')",
		"SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
		"SELECT * FROM s3('http://127.0.0.1:1/b/k', 'LineAsString')",
		"SELECT * FROM remote('127.0.0.1:1', 'system.one')",
		"SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
		"SELECT * FROM postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
		"SELECT * FROM executable('id', 'TSV', 'a String')",
		"SELECT * FROM view(SELECT file('" + secret + "'))",
		"SELECT * FROM view(SELECT * FROM file('" + secret + "', 'LineAsString'))",
		"SELECT arrayMap(x -> file(x), ['" + secret + "'])",
		"SELECT `file`('" + secret + "')",
		"SELECT \"file\"('" + secret + "')",
		"SELECT * FROM `file`('" + secret + "', 'LineAsString')",
		"SELECT 1 FROM calls QUALIFY file('" + secret + "') = ''",
		"SELECT 1 FROM calls LIMIT length(file('" + secret + "'))",
		"SELECT 1 FROM calls ORDER BY file('" + secret + "') WITH FILL",
		"SELECT file('" + secret + "') AS x UNION ALL SELECT ''",
		"EXPLAIN AST SELECT 1; SELECT file('" + secret + "')",
		"SELECT 1 /* */ ; /* */ SELECT file('" + secret + "')",
		"SELECT 1 IN url('http://127.0.0.1:1/', 'LineAsString')",
		"SELECT * FROM eval('SELECT 1')",
		"SELECT * FROM fuzzQuery('SELECT 1')",
		"SELECT aiGenerate('x')",
		"SELECT hasColumnInTable('127.0.0.1', 'a', 'b', 'system', 'one', 'dummy')",
		"", "  ", "-- nothing", ";",
	} {
		rows, err := s.Query(t.Context(), sql)
		if err == nil {
			for rows.Next() {
			}
			err = rows.Err()
			rows.Close()
		}
		if err == nil {
			t.Errorf("answered: %s", sql)
		} else if strings.ContainsAny(err.Error(), "\n\r") || strings.Contains(err.Error(), "do not read me") {
			t.Errorf("%s: %q", sql, err)
		}
	}
	if _, err := os.Stat(outfile); !errors.Is(err, os.ErrNotExist) {
		t.Error("a file was written")
	}
	if after := totals(t, s); after != before {
		t.Errorf("the store changed:\n%s", after)
	}
	for _, sql := range []string{
		"SELECT 1", "select count() from calls_current;", "-- comment\nSELECT 1", "WITH 1 AS x SELECT x", "(SELECT 1) UNION ALL (SELECT 2)",
		"SHOW TABLES", "DESCRIBE calls", "EXPLAIN SELECT 1", "EXISTS TABLE calls", "SHOW CREATE TABLE calls", "SELECT * FROM numbers(3)",
		"SELECT format('{}', 'file(x)'), 'SELECT file(1)'", "SELECT * FROM calls FORMAT JSON", "SELECT 1 INTERSECT SELECT 1",
	} {
		if rows := ask(t, s, sql); len(rows) == 0 {
			t.Errorf("no answer: %s", sql)
		}
	}
}

func TestReadersAreBounded(t *testing.T) {
	server := embeddedtest.Start(t, filepath.Join(t.TempDir(), "store"))
	t.Setenv("CLICKHOUSE_PASSWORD", server.Password)
	s := open(t, Options{Store: "clickhouse://" + server.Addr, Create: true, MaxTime: time.Second, MaxMemory: 100 << 20})
	for sql, code := range map[string]int32{
		"SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1":                       codeTimeout,
		"SELECT length(groupArray(toString(number))) FROM numbers(100000000) SETTINGS max_threads = 1": 164,
		"SELECT length(groupArray(toString(number))) FROM numbers(100000000)":                          codeMemory,
	} {
		rows, err := s.Query(t.Context(), sql)
		if err == nil {
			for rows.Next() {
			}
			err = rows.Err()
			rows.Close()
		}
		var e *Error
		if !errors.As(err, &e) || e.Code != code {
			t.Errorf("%s: %v, want code %d", sql, err, code)
		}
	}

	// Whoever stops reading, or gives up, does not leave the query running.
	s = open(t, Options{Store: "clickhouse://" + server.Addr, MaxTime: time.Hour})
	rows, err := s.Query(t.Context(), "SELECT number FROM numbers(1000000000000)")
	if err != nil {
		t.Fatal(err)
	}
	rows.Next()
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := s.Query(ctx, "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a query given up: %v", err)
	}
	patience := time.Now().Add(30 * time.Second) // of an hour
	for running := one(t, s, "SELECT count() FROM system.processes"); running != uint64(1); {
		if time.Now().After(patience) {
			t.Fatalf("%v queries are running", running)
		}
		running = one(t, s, "SELECT count() FROM system.processes")
	}
}

var update = flag.Bool("update", false, "write storage/schema.md anew")

func TestMarkdownNamesEverything(t *testing.T) {
	var b strings.Builder
	if err := Markdown(&b); err != nil {
		t.Fatal(err)
	}
	const page = "../schema.md"
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(page); err != nil || string(got) != b.String() {
		t.Errorf("%s is not the documentation of this schema: go test ./storage/clickhouse -run Markdown -update (%v)", page, err)
	}
	for _, table := range storage.Tables {
		for _, c := range table.Columns {
			if !strings.Contains(b.String(), "| `"+c.Name+"` |") {
				t.Errorf("%s.%s is not documented", table.Name, c.Name)
			}
		}
	}
	for _, v := range Views {
		if v.Doc == "" || !strings.Contains(b.String(), "`"+v.Name+"`") {
			t.Errorf("view %s is not documented", v.Name)
		}
	}
}

func TestAddressesOfStores(t *testing.T) {
	t.Setenv("CLICKHOUSE_PASSWORD", "from the environment")
	for _, c := range []struct {
		url, addr, database string
		tls                 bool
	}{
		{"clickhouse://db.example", "db.example:9440", "plainsight", true},
		{"clickhouse://u@db.example:1234/x", "db.example:1234", "x", true},
		{"clickhouse://127.0.0.1", "127.0.0.1:9000", "plainsight", false},
		{"clickhouse://localhost/?secure=true", "localhost:9440", "plainsight", true},
		{"clickhouse://[::1]:9000", "[::1]:9000", "plainsight", false},
	} {
		s := &Store{options: Options{Store: c.url}, database: DefaultDatabase}
		o, err := s.server()
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		if o.Addr[0] != c.addr || s.database != c.database || (o.TLS != nil) != c.tls || o.Auth.Password != "from the environment" {
			t.Errorf("%s: %s %s tls %v", c.url, o.Addr, s.database, o.TLS != nil)
		}
	}
	plain := &Store{options: Options{Store: "clickhouse://db.example", Access: Access{Plaintext: true}}}
	if o, err := plain.server(); err != nil || o.TLS != nil || o.Addr[0] != "db.example:9000" {
		t.Errorf("plaintext on demand: %+v %v", o, err)
	}
	for _, url := range []string{"http://db", "clickhouse://", "clickhouse://u:hunter2@db", "clickhouse://db?insecure=1", "clickhouse://db?secure=false", "clickhouse://db?password=hunter2", "clickhouse://db:port:hunter2"} {
		if _, err := Open(t.Context(), Options{Store: url}); !errors.Is(err, ErrURL) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestStoresThatAreNone(t *testing.T) {
	embeddedtest.Require(t)
	dir := t.TempDir()
	if _, err := Open(t.Context(), Options{Store: filepath.Join(dir, "none")}); !errors.Is(err, embedded.ErrAbsent) {
		t.Errorf("no store: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
		t.Error("a question made a store")
	}
	if _, err := Open(t.Context(), Options{Store: "clickhouse://127.0.0.1:1"}); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("no server: %v", err)
	}
}

func TestEngineIsQuiet(t *testing.T) {
	server := embeddedtest.Start(t, filepath.Join(t.TempDir(), "store"))
	s := remote(t, server)
	keep(t, s, shop("a"), shopCalls())
	for _, sql := range []string{"SELECT nope", "SELEC", "SELECT throwIf(number = 3) FROM numbers(10)", "KILL QUERY WHERE 1"} {
		if rows, err := s.Query(t.Context(), sql); err == nil {
			for rows.Next() {
			}
			rows.Close()
		}
	}
	s.Close()
	if noise := server.Stop(); noise != "" {
		t.Errorf("the engine wrote to standard error:\n%s", noise)
	}
}
