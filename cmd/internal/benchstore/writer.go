package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"plainsight/analyze"
	"plainsight/storage"
)

// shape of the traffic: services with endpoints of very different popularity,
// clients that keep to a few services and have a credential each.
const (
	services   = 40
	perService = 50
	clients    = 20_000
	principals = 8_000
)

// traffic makes n calls that look like those of a platform, always the same:
// connections of some 30 calls, latencies and sizes that scatter around those of
// their endpoint.
func traffic(n int) []analyze.Call {
	r := rand.New(rand.NewPCG(1, 2))
	at := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	names := make([]string, services)
	templates := make([]string, services*perService)
	for i := range names {
		names[i] = fmt.Sprintf("service-%d.shop.example", i)
	}
	for i := range templates {
		templates[i] = fmt.Sprintf("/api/v%d/%s/{id}/part-%d", 1+i%3, []string{"orders", "users", "carts", "payments", "stock"}[i%5], i%perService)
	}
	type connection struct {
		id              uint64
		client          int
		service, server int
		left            int
	}
	open := make([]connection, 256)
	calls := make([]analyze.Call, n)
	next := uint64(0)
	for i := range calls {
		at = at.Add(time.Duration(r.ExpFloat64() * float64(500*time.Microsecond)))
		c := &open[r.IntN(len(open))]
		if c.left == 0 {
			client := r.IntN(clients)
			next++
			*c = connection{next, client, (client*7 + r.IntN(3)) % services, r.IntN(4), 1 + r.IntN(60)}
		}
		c.left--
		endpoint := c.service*perService + int(float64(perService)*math.Pow(r.Float64(), 3))
		size := 200 * math.Exp(r.NormFloat64()*0.7+float64(endpoint%7)/2)
		status := 200
		switch x := r.IntN(100); {
		case x < 4:
			status = 404
		case x < 6:
			status = 401
		case x < 7:
			status = 500
		case x < 15:
			status = 201
		}
		calls[i] = analyze.Call{
			Time: at, Conn: c.id, Frame: uint64(i) * 9, Client: fmt.Sprintf("10.%d.%d.%d", c.client>>16, c.client>>8&255, c.client&255),
			Server: fmt.Sprintf("10.200.%d.%d:8443", c.service, c.server), Service: names[c.service], Method: []string{"GET", "GET", "GET", "POST", "PUT"}[endpoint%5],
			Template: templates[endpoint], Status: status, Wire: []analyze.Wire{analyze.TLS, analyze.Plaintext}[c.service%4/3], Auth: []string{"jwt", "cookie:session", "bearer", "none"}[c.service%4],
			Request: int64(size / 4), Response: int64(size), Latency: time.Duration(float64(time.Millisecond) * math.Exp(r.NormFloat64()*0.5+float64(endpoint%11)/4)),
		}
		if calls[i].Auth != "none" {
			key := uint64(c.client%principals+1) * 0x9e3779b97f4a7c15
			calls[i].Principal = fmt.Sprintf("%016x%08x", key, uint32(key*0xc2b2ae3d27d4eb4f>>32))
		}
		switch endpoint % 9 {
		case 0:
			calls[i].Sensitive = []string{"email", "person_name"}
		case 1:
			calls[i].Sensitive = []string{"jwt"}
		}
	}
	return calls
}

// perBatch are the calls of one insert.
const perBatch = 50_000

// writer measures what calls cost to write and to keep, beside a table of the
// OpenTelemetry kind.
func (b *bench) writer(ctx context.Context, n int) error {
	s, err := b.open(ctx, "costs")
	if err != nil {
		return err
	}
	defer s.Close()
	calls := traffic(n)
	// Each is written once before, so that both meet a warm engine.
	if err := s.Insert(ctx, storage.CallTable, storage.Calls(calls[:perBatch]).Values(storage.Stamp{Run: 1, Batch: 1}), "warm"); err != nil {
		return err
	}
	run := uint64(time.Now().UnixNano())
	ours := cost{rows: n}
	began, cpu := time.Now(), used()
	engine, _ := b.engineUsed()
	for i := 0; i < n; i += perBatch {
		batch := storage.Calls(calls[i:min(i+perBatch, n)])
		stamp := storage.Stamp{Run: run, Batch: uint64(i/perBatch + 1)}
		if err := s.Insert(ctx, storage.CallTable, batch.Values(stamp), "costs/"+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	ours.wall, ours.cpu = time.Since(began), used()-cpu
	ours.engine, _ = b.engineUsed()
	ours.engine -= engine

	other := cost{rows: n}
	if err := b.otel(ctx, calls, &other); err != nil {
		return err
	}
	for _, c := range []struct {
		cost     *cost
		database string
		table    string
	}{{&ours, "costs", "calls"}, {&other, "otel", "spans"}} {
		if err := b.db.Exec(ctx, "OPTIMIZE TABLE "+c.database+"."+c.table+" FINAL"); err != nil {
			return err
		}
		if err := b.one(ctx, "SELECT sum(bytes_on_disk) / sum(rows) FROM system.parts WHERE active AND database = '"+c.database+"' AND table = '"+c.table+"'", &c.cost.disk); err != nil {
			return err
		}
	}
	fmt.Printf("Writing %d calls in batches of %d, over TCP on loopback with LZ4\n\n", n, perBatch)
	fmt.Printf("%-36s %14s %14s %14s %12s\n", "", "rows/CPU s", "engine rows/", "rows/s", "bytes a row")
	fmt.Printf("%-36s %14s %14s %14s %12s\n", "", "of the writer", "CPU s", "(wall)", "on disk")
	ours.print("calls, and the views that count")
	other.print("wide rows with maps (OpenTelemetry)")
	for _, table := range []struct{ database, name string }{{"costs", "calls"}, {"otel", "spans"}} {
		fmt.Printf("\nBytes a row by column of %s\n", table.name)
		rows, err := b.db.Query(ctx, `SELECT name, data_compressed_bytes / (SELECT sum(rows) FROM system.parts WHERE active AND database = '`+table.database+`' AND table = '`+table.name+`') AS a_row,
			data_uncompressed_bytes / greatest(data_compressed_bytes, 1) AS times FROM system.columns
			WHERE database = '`+table.database+`' AND table = '`+table.name+`' ORDER BY a_row DESC LIMIT 14`)
		if err != nil {
			return err
		}
		for rows.Next() {
			var name string
			var bytes, times float64
			if err := rows.Scan(&name, &bytes, &times); err != nil {
				return err
			}
			fmt.Printf("  %-24s %8.2f   compressed %5.1f times\n", name, bytes, times)
		}
		if err := rows.Close(); err != nil {
			return err
		}
	}
	for _, table := range []string{"traffic_minute", "traffic_day", "callers"} {
		var kept uint64
		var bytes float64
		if err := b.db.Exec(ctx, "OPTIMIZE TABLE costs."+table+" FINAL"); err != nil {
			return err
		}
		if err := b.one(ctx, "SELECT sum(rows), toFloat64(sum(bytes_on_disk)) FROM system.parts WHERE active AND database = 'costs' AND table = '"+table+"'", &kept, &bytes); err != nil {
			return err
		}
		fmt.Printf("\n%s: %d rows, %.2f bytes for each call", table, kept, bytes/float64(n))
	}
	fmt.Println()
	for _, drop := range []string{"DROP DATABASE costs", "DROP DATABASE otel"} {
		if err := b.db.Exec(ctx, drop); err != nil {
			return err
		}
	}
	return nil
}

// cost is what rows took to write and take up.
type cost struct {
	rows              int
	wall, cpu, engine time.Duration
	disk              float64
}

func (c *cost) print(name string) {
	n := float64(c.rows)
	fmt.Printf("%-36s %14.0f %14.0f %14.0f %12.1f\n", name, n/c.cpu.Seconds(), n/c.engine.Seconds(), n/c.wall.Seconds(), c.disk)
}

// otel writes the same calls as spans, with attributes in maps and an identity
// each, into a table made as exporters of OpenTelemetry make theirs.
func (b *bench) otel(ctx context.Context, calls []analyze.Call, c *cost) error {
	for _, sql := range []string{
		"CREATE DATABASE IF NOT EXISTS otel",
		`CREATE TABLE IF NOT EXISTS otel.spans
(
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)), TraceId String CODEC(ZSTD(1)), SpanId String CODEC(ZSTD(1)),
    SpanName LowCardinality(String) CODEC(ZSTD(1)), SpanKind LowCardinality(String) CODEC(ZSTD(1)), ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)), SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Duration UInt64 CODEC(ZSTD(1)), StatusCode LowCardinality(String) CODEC(ZSTD(1)),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_attribute_key mapKeys(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_attribute_value mapValues(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = MergeTree PARTITION BY toDate(Timestamp) ORDER BY (ServiceName, SpanName, toDateTime(Timestamp))`} {
		if err := b.db.Exec(ctx, sql); err != nil {
			return err
		}
	}
	r := rand.New(rand.NewPCG(3, 4))
	began, cpu := time.Now(), used()
	engine, _ := b.engineUsed()
	for i := 0; i < len(calls); i += perBatch {
		part := calls[i:min(i+perBatch, len(calls))]
		batch, err := b.db.PrepareBatch(ctx, "INSERT INTO otel.spans")
		if err != nil {
			return err
		}
		at, duration := make([]time.Time, len(part)), make([]uint64, len(part))
		var text [6][]string
		for j := range text {
			text[j] = make([]string, len(part))
		}
		resource, attributes := make([]map[string]string, len(part)), make([]map[string]string, len(part))
		for j := range part {
			x := &part[j]
			at[j], duration[j] = x.Time, uint64(x.Latency)
			text[0][j], text[1][j] = fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()), fmt.Sprintf("%016x", r.Uint64())
			text[2][j], text[3][j], text[4][j], text[5][j] = x.Method+" "+x.Template, "SPAN_KIND_SERVER", x.Service, "STATUS_CODE_UNSET"
			resource[j] = map[string]string{"service.name": x.Service, "host.name": x.Server}
			attributes[j] = map[string]string{"http.request.method": x.Method, "http.route": x.Template, "http.response.status_code": strconv.Itoa(x.Status),
				"client.address": x.Client, "server.address": x.Server, "http.request.body.size": strconv.FormatInt(x.Request, 10),
				"http.response.body.size": strconv.FormatInt(x.Response, 10), "url.scheme": string(x.Wire), "enduser.id": x.Principal, "auth": x.Auth,
				"conn": strconv.FormatUint(x.Conn, 10), "frame": strconv.FormatUint(x.Frame, 10)}
		}
		for j, column := range []any{at, text[0], text[1], text[2], text[3], text[4], resource, attributes, duration, text[5]} {
			if err := batch.Column(j).Append(column); err != nil {
				return err
			}
		}
		if err := batch.Send(); err != nil {
			return err
		}
	}
	c.wall, c.cpu = time.Since(began), used()-cpu
	c.engine, _ = b.engineUsed()
	c.engine -= engine
	return nil
}
