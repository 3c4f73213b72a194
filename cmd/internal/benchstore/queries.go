package main

import (
	"context"
	"fmt"
	"time"

	"plainsight/analyze"
	"plainsight/storage"
	store "plainsight/storage/clickhouse"
)

// queries makes many calls in the engine, with the views that count them, and
// asks all that has a name.
func (b *bench) queries(ctx context.Context, n int) error {
	s, err := b.open(ctx, "many")
	if err != nil {
		return err
	}
	defer s.Close()
	watch := storage.Watch{Agent: "a", Node: "n", Run: 7, Started: time.Now()}
	batches := watch.Batches(conclusions(), 1, time.Now())
	for i, x := range append(batches, storage.Agents([]storage.AgentRow{{Time: time.Now(), Agent: "a", SinkUp: true}})) {
		if x.Len > 0 {
			if err := s.Insert(ctx, x.Table, x.Values(storage.Stamp{Run: 7, Batch: uint64(i + 1)}), fmt.Sprint("many/", i)); err != nil {
				return err
			}
		}
	}
	began := time.Now()
	const per = 2_500_000
	for from := 0; from < n; from += per {
		err := b.db.Exec(ctx, fmt.Sprintf(generate, from, min(per, n-from), n))
		if err != nil {
			return err
		}
	}
	made := time.Since(began)
	var parts uint64
	var disk float64
	if err := b.one(ctx, "SELECT count(), sum(bytes_on_disk) / sum(rows) FROM system.parts WHERE active AND database = 'many' AND table = 'calls'", &parts, &disk); err != nil {
		return err
	}
	fmt.Printf("\n%d calls of five days, made in the engine in %v (%.0f rows/s, with three views): %d parts, %.1f bytes a call\n\n", n, made.Round(time.Second), float64(n)/made.Seconds(), parts, disk)
	fmt.Printf("%-24s %10s %10s %8s\n", "named query", "first s", "again s", "rows")
	slow := 0
	for _, q := range store.Queries {
		var seconds [2]float64
		count := 0
		for i := range seconds {
			at := time.Now()
			rows, err := s.Query(ctx, q.SQL, q.With(nil)...)
			if err != nil {
				return fmt.Errorf("%s: %w", q.Name, err)
			}
			for count = 0; rows.Next(); count++ {
			}
			if err := rows.Close(); err != nil {
				return fmt.Errorf("%s: %w", q.Name, err)
			}
			seconds[i] = time.Since(at).Seconds()
		}
		mark := ""
		if seconds[1] > 1 {
			mark = "  above 1 s"
			slow++
		}
		fmt.Printf("%-24s %10.2f %10.2f %8d%s\n", q.Name, seconds[0], seconds[1], count, mark)
	}
	fmt.Printf("\n%d of %d named queries take longer than a second\n", slow, len(store.Queries))
	return nil
}

// generate makes calls like those of traffic: its numbers are where to begin,
// how many, and out of how many.
const generate = `
INSERT INTO many.calls (time, conn, frame, client, server, service, method, template, status, wire, auth, principal, request_bytes, response_bytes, latency_us,
    sensitive, flaws, incomplete, sampling, run, batch, written)
SELECT toDateTime64('2026-11-20 00:00:00', 6, 'UTC') + toIntervalMicrosecond(n * intDiv(432000000000, %[3]d)) AS time,
    intDiv(n, 30) AS conn, n * 9 AS frame, concat('10.', toString(bitShiftRight(who, 16)), '.', toString(bitAnd(bitShiftRight(who, 8), 255)), '.', toString(bitAnd(who, 255))) AS client,
    concat('10.200.', toString(which), '.', toString(who %% 4), ':8443') AS server, concat('service-', toString(which), '.shop.example') AS service,
    ['GET', 'GET', 'GET', 'POST', 'PUT'][endpoint %% 5 + 1] AS method,
    if(n %% 1000 = 0, '', concat('/api/v', toString(1 + endpoint %% 3), '/', ['orders', 'users', 'carts', 'payments', 'stock'][endpoint %% 5 + 1], '/{id}/part-', toString(endpoint %% 50))) AS template,
    multiIf(n %% 1000 = 0, 404, h %% 100 < 4, 404, h %% 100 < 6, 401, h %% 100 < 7, 500, h %% 100 < 15, 201, 200) AS status,
    if(which %% 4 = 3, 'plaintext', 'tls') AS wire, ['jwt', 'cookie:session', 'bearer', 'none'][which %% 4 + 1] AS auth,
    if(auth = 'none', '', substring(lower(hex(sipHash128(who %% 8000))), 1, 24)) AS principal,
    toUInt64(exp(randNormal(0, 0.7) + endpoint %% 7 / 2) * 50) AS request_bytes, request_bytes * 4 + h %% 4 AS response_bytes,
    toUInt64(exp(randNormal(1, 0.5) + endpoint %% 11 / 4) * 1000) AS latency_us,
    multiIf(endpoint %% 9 = 0, ['email', 'person_name'], endpoint %% 9 = 1, ['jwt'], []) AS sensitive, if(n %% 100000 = 0, ['bare-lf'], []) AS flaws, false AS incomplete,
    1 AS sampling, 7 AS run, 1000 + intDiv(n, 100000) AS batch, toDate(time) AS written
FROM (
    SELECT number + %[1]d AS n, sipHash64(n) AS h, intHash64(intDiv(n, 30)) %% 20000 AS who, (who * 7 + intHash32(intDiv(n, 30)) %% 3) %% 40 AS which,
        which * 50 + toUInt32(50 * pow((h %% 100003) / 100003, 3)) AS endpoint
    FROM numbers_mt(%[2]d)
) SETTINGS max_insert_threads = 2, insert_deduplicate = 0`

// conclusions are those of a platform: 2,000 endpoints with 20 fields each,
// 5,000 findings.
func conclusions() *analyze.Snapshot {
	first, last := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	s := &analyze.Snapshot{Version: "bench", First: first, Last: last, Exchanges: 1}
	for i := range services * perService {
		service := fmt.Sprintf("service-%d.shop.example", i/perService)
		e := analyze.Endpoint{Service: service, Method: "GET", Template: fmt.Sprintf("/api/v%d/things/{id}/part-%d", 1+i%3, i), Requests: 1000, Statuses: map[int]uint64{200: 900, 404: 100},
			Plaintext: uint64(i % 3), Auth: map[string]uint64{"jwt": 900, "none": uint64(i % 2)}, ResponseBytes: 1 << 20, First: first.Add(time.Duration(i) * time.Minute), Last: last}
		e.ID = analyze.EndpointID(e.Service, e.Method, e.Template, "")
		for j := range 20 {
			e.Fields = append(e.Fields, analyze.Field{Side: analyze.Response, Where: analyze.InBody, Status: "200", ContentType: "application/json", Path: fmt.Sprint("$.field_", j), Types: []string{"string"}, Present: 9, Of: 10})
		}
		if i%4 == 0 {
			e.Sensitive = []analyze.Sensitive{{Kind: "email", Category: "pii", Place: analyze.Place{Side: analyze.Response, Where: analyze.InBody, Name: "$.field_1"}, Count: 9, Severity: analyze.Medium}}
		}
		s.Endpoints = append(s.Endpoints, e)
	}
	for i := range 5000 {
		e := &s.Endpoints[i%len(s.Endpoints)]
		f := analyze.Finding{Rule: []string{"auth.none", "doc.shadow-operation", "inj.sqli", "enc.clear-sensitive", "exp.list"}[i%5], Practice: analyze.Practice(1 + i%11), Severity: analyze.Severity(i % 5),
			Level: analyze.Proved, Service: e.Service, Endpoint: e.Method + " " + e.Template, Place: fmt.Sprint("place ", i), Summary: "what was seen", Why: "why it matters", Fix: "what to do", Count: uint64(i), First: first, Last: last}
		f.Key = analyze.FindingKey(f.Rule, f.Service, f.Endpoint, f.Place)
		s.Findings = append(s.Findings, f)
	}
	for i := range services * 20 {
		s.Edges = append(s.Edges, analyze.Edge{Client: fmt.Sprintf("10.0.%d.0/24", i%20), Service: fmt.Sprintf("service-%d.shop.example", i/20), Server: fmt.Sprintf("10.200.%d.1:8443", i/20), Wire: []analyze.Wire{analyze.TLS, analyze.Plaintext}[i%2], Exchanges: 100, First: first, Last: last})
	}
	return s
}
