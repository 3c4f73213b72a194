package storage

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"plainsight/analyze"
)

// Column is a column once: its name, its type and codec in ClickHouse, what it
// means, and how it is read from rows.
type Column struct {
	Name, Type, Codec, Doc string
	values                 func(rows any, s Stamp) any
}

// Values returns the column of rows, a slice of the table's row type, as a
// slice of the column's Go type.
func (c Column) Values(rows any, s Stamp) any { return c.values(rows, s) }

// Kind is how a table grows.
type Kind uint8

// Kinds of tables.
const (
	Appended Kind = iota // rows are facts of their own, in a partition a day
	Replaced             // rows with the same key are one; of them that of the last batch stays
	Summed               // rows with the same key are one; what is not in the key is added up
)

// Table is a table once: DDL, insert columns and documentation are made of it.
type Table struct {
	Name      string
	Doc       string
	Kind      Kind
	Order     string   // ORDER BY; the identity where the kind is Replaced or Summed
	Partition string   // PARTITION BY; "": none, for rows that take the place of others wherever these are
	Version   string   // column that decides which row stays, where the kind is Replaced
	Indices   []string // data-skipping indices, in SQL
	Shard     string   // by what a cluster spreads its rows; rows with the same key stay together
	Columns   []Column
}

// Tables of a store, in the order in which they are made. All carry run, batch
// and written; see the package's comment.
var Tables = []Table{
	CallTable, MinuteTable, DayTable, CallerTable, ServiceTable, EndpointTable, FieldTable, SensitiveTable, FindingTable, EdgeTable, SessionTable,
	ScoreTable, CoverageTable, CaptureTable, AgentTable, SourceTable,
}

// daily is the partition of tables that only grow.
const daily = "written"

// byRun keeps the rows of a run on one shard of a cluster: a batch is one
// block there, too.
const byRun = "cityHash64(run)"

const (
	text   = "String"
	few    = "LowCardinality(String)" // below some ten thousand values
	list   = "Array(LowCardinality(String))"
	number = "UInt64"
	moment = "DateTime64(6, 'UTC')"
	worth  = "Enum8('info' = 0, 'low' = 1, 'medium' = 2, 'high' = 3, 'critical' = 4)"

	zstd  = "ZSTD(1)"
	small = "T64, ZSTD(1)"
	delta = "Delta, ZSTD(1)"
)

// column makes a column of a table whose rows are R.
func column[R, V any](name, typ, codec, doc string, get func(*R) V) Column {
	return Column{name, typ, codec, doc, func(rows any, _ Stamp) any {
		in := rows.([]R)
		out := make([]V, len(in))
		for i := range in {
			out[i] = get(&in[i])
		}
		return out
	}}
}

// stamped are the columns that every row of a batch has in common.
func stamped[R any](columns ...Column) []Column {
	constant := func(get func(Stamp) uint64) func(any, Stamp) any {
		return func(rows any, s Stamp) any { return slices.Repeat([]uint64{get(s)}, len(rows.([]R))) }
	}
	return append(columns,
		Column{"run", number, delta, "reading, or life of an agent, that wrote the row; see sources", constant(func(s Stamp) uint64 { return s.Run })},
		Column{"batch", number, delta, "insert within the run", constant(func(s Stamp) uint64 { return s.Batch })},
		Column{"written", "Date", zstd, "day of the insert, by the clock of the machine: partitions and retention go by it", func(rows any, s Stamp) any {
			return slices.Repeat([]time.Time{s.writtenOn()}, len(rows.([]R)))
		}})
}

// instant fits a time into DateTime64: hostile captures have any.
func instant(t time.Time) time.Time {
	const last = 9_223_372_036 // 2262, where nanoseconds end
	switch s := t.Unix(); {
	case s < 0:
		return time.Unix(0, 0).UTC()
	case s > last:
		return time.Unix(last, 0).UTC()
	}
	return t.UTC()
}

func count(n int64) uint64 { return uint64(max(n, 0)) }

// CallTable has a row for each exchange. It carries no captured value.
var CallTable = Table{
	Name: "calls", Doc: "one row for each exchange; paths as templates, principals as keyed fingerprints, no captured value",
	Order: "(toStartOfHour(time), service, method, template, time)", Partition: daily, Shard: byRun,
	Indices: []string{"by_client client TYPE bloom_filter GRANULARITY 4", "by_principal principal TYPE bloom_filter GRANULARITY 4"},
	Columns: stamped[analyze.Call](
		column("time", moment, delta, "of the request, by the traffic's clock", func(c *analyze.Call) time.Time { return instant(c.Time) }),
		column("conn", number, small, "number of the connection within the run", func(c *analyze.Call) uint64 { return c.Conn }),
		column("frame", number, small, "number of the frame with the request's first byte", func(c *analyze.Call) uint64 { return c.Frame }),
		column("stream", "UInt32", small, "HTTP/2 stream id; 0: HTTP/1", func(c *analyze.Call) uint32 { return c.Stream }),
		column("client", text, zstd, "address of the caller", func(c *analyze.Call) string { return c.Client }),
		column("server", few, zstd, "address:port of the server", func(c *analyze.Call) string { return c.Server }),
		column("service", few, zstd, "host, else address:port", func(c *analyze.Call) string { return c.Service }),
		column("method", few, zstd, "of the request", func(c *analyze.Call) string { return c.Method }),
		column("template", few, zstd, "path template as far as it was known then", func(c *analyze.Call) string { return c.Template }),
		column("operation", few, zstd, "what was asked for, where the path does not say it all (GraphQL, JSON-RPC, SOAP)", func(c *analyze.Call) string { return c.Operation }),
		column("status", "UInt16", small, "of the response; 0: none seen", func(c *analyze.Call) uint16 { return uint16(c.Status) }),
		column("wire", few, zstd, "plaintext or tls", func(c *analyze.Call) string { return string(c.Wire) }),
		column("auth", few, zstd, "kind of credential, or none", func(c *analyze.Call) string { return c.Auth }),
		column("principal", text, zstd, "keyed fingerprint of the credential", func(c *analyze.Call) string { return c.Principal }),
		column("request_bytes", number, small, "body of the request", func(c *analyze.Call) uint64 { return count(c.Request) }),
		column("response_bytes", number, small, "body of the response", func(c *analyze.Call) uint64 { return count(c.Response) }),
		column("latency_us", number, small, "microseconds from request to response; 0: unknown", func(c *analyze.Call) uint64 { return count(c.Latency.Microseconds()) }),
		column("sensitive", list, zstd, "kinds of sensitive data in it", func(c *analyze.Call) []string { return c.Sensitive }),
		column("flaws", list, zstd, "oddities of the protocol", func(c *analyze.Call) []string { return c.Flaws }),
		column("incomplete", "Bool", zstd, "whether a part was not seen", func(c *analyze.Call) bool { return c.Incomplete }),
		column("sampling", "UInt16", zstd, "one of so many calls was kept; above 1 the agent counts the others, see traffic_minute", func(c *analyze.Call) uint16 { return max(c.Sampling, 1) }),
	),
}

// ServiceTable has a row for each service.
var ServiceTable = Table{
	Name: "services", Doc: "what answers requests",
	Kind: Replaced, Order: "(name, run)", Version: "batch", Shard: byRun,
	Columns: stamped[analyze.Service](
		column("name", few, zstd, "host, else address:port", func(s *analyze.Service) string { return s.Name }),
		column("addresses", "Array(String)", zstd, "address:port of its servers", func(s *analyze.Service) []string { return s.Addresses }),
		column("endpoints", number, small, "how many", func(s *analyze.Service) uint64 { return count(int64(s.Endpoints)) }),
		column("requests", number, small, "how many", func(s *analyze.Service) uint64 { return s.Requests }),
		column("wires", list, zstd, "plaintext, tls or both", func(s *analyze.Service) []string { return wires(s.Wires) }),
		column("first_seen", moment, delta, "", func(s *analyze.Service) time.Time { return instant(s.First) }),
		column("last_seen", moment, delta, "", func(s *analyze.Service) time.Time { return instant(s.Last) }),
	),
}

func wires(in []analyze.Wire) []string {
	out := make([]string, len(in))
	for i, w := range in {
		out[i] = string(w)
	}
	return out
}

// EndpointTable has a row for each endpoint.
var EndpointTable = Table{
	Name: "endpoints", Doc: "service, method, path template and operation, with what was learned",
	Kind: Replaced, Order: "(service, method, template, operation, id, run)", Version: "batch", Shard: byRun,
	Columns: stamped[analyze.Endpoint](
		column("id", text, zstd, "the same wherever service, method, template and operation are", func(e *analyze.Endpoint) string { return e.ID }),
		column("service", few, zstd, "", func(e *analyze.Endpoint) string { return e.Service }),
		column("method", few, zstd, "", func(e *analyze.Endpoint) string { return e.Method }),
		column("template", text, zstd, "path with its variable parts named", func(e *analyze.Endpoint) string { return e.Template }),
		column("operation", text, zstd, "where the path does not say it all: of GraphQL, JSON-RPC, SOAP", func(e *analyze.Endpoint) string { return e.Operation }),
		column("style", few, zstd, "graphql, json-rpc, soap, grpc or nothing", func(e *analyze.Endpoint) string { return e.Style }),
		column("requests", number, small, "", func(e *analyze.Endpoint) uint64 { return e.Requests }),
		column("unanswered", number, small, "requests without a response", func(e *analyze.Endpoint) uint64 { return e.Unanswered }),
		column("statuses", "Map(UInt16, UInt64)", zstd, "responses by status", func(e *analyze.Endpoint) map[uint16]uint64 { return statuses(e.Statuses) }),
		column("plaintext", number, small, "requests in the clear", func(e *analyze.Endpoint) uint64 { return e.Plaintext }),
		column("encrypted", number, small, "requests inside TLS", func(e *analyze.Endpoint) uint64 { return e.Encrypted }),
		column("auth", "Map(LowCardinality(String), UInt64)", zstd, "requests by kind of credential", func(e *analyze.Endpoint) map[string]uint64 { return e.Auth }),
		column("clients", number, small, "distinct addresses, about", func(e *analyze.Endpoint) uint64 { return e.Clients }),
		column("outside", number, small, "successes for clients at public addresses", func(e *analyze.Endpoint) uint64 { return e.Outside }),
		column("request_bytes", number, small, "of bodies", func(e *analyze.Endpoint) uint64 { return count(e.RequestBytes) }),
		column("response_bytes", number, small, "of bodies", func(e *analyze.Endpoint) uint64 { return count(e.ResponseBytes) }),
		column("latency_p50_ms", "Float64", zstd, "median", func(e *analyze.Endpoint) float64 { return e.LatencyP50 }),
		column("latency_p95_ms", "Float64", zstd, "95th percentile", func(e *analyze.Endpoint) float64 { return e.LatencyP95 }),
		column("first_seen", moment, delta, "", func(e *analyze.Endpoint) time.Time { return instant(e.First) }),
		column("last_seen", moment, delta, "", func(e *analyze.Endpoint) time.Time { return instant(e.Last) }),
	),
}

func statuses(in map[int]uint64) map[uint16]uint64 {
	out := make(map[uint16]uint64, len(in))
	for status, n := range in {
		out[uint16(status)] += n
	}
	return out
}

// FieldRow is a parameter or body field of an endpoint.
type FieldRow struct {
	*analyze.Endpoint
	analyze.Field
}

// FieldTable has a row for each parameter and body field: the shapes.
var FieldTable = Table{
	Name: "fields", Doc: "parameters and body fields with their shapes",
	Kind: Replaced, Order: "(service, method, template, operation, side, location, status, content_type, path, run)", Version: "batch", Shard: byRun,
	Columns: stamped[FieldRow](
		column("endpoint", text, zstd, "id of the endpoint", func(f *FieldRow) string { return f.ID }),
		column("service", few, zstd, "", func(f *FieldRow) string { return f.Service }),
		column("method", few, zstd, "", func(f *FieldRow) string { return f.Method }),
		column("template", text, zstd, "", func(f *FieldRow) string { return f.Template }),
		column("operation", text, zstd, "", func(f *FieldRow) string { return f.Operation }),
		column("side", few, zstd, "request or response", func(f *FieldRow) string { return f.Side.String() }),
		column("location", few, zstd, "path, query, header, cookie, set-cookie or body", func(f *FieldRow) string { return string(f.Where) }),
		column("status", few, zstd, "class of the response, as 2xx", func(f *FieldRow) string { return f.Status }),
		column("content_type", few, zstd, "", func(f *FieldRow) string { return f.ContentType }),
		column("path", text, zstd, "name, or path in the body as $.items[].id", func(f *FieldRow) string { return f.Path }),
		column("types", list, zstd, "of JSON Schema", func(f *FieldRow) []string { return f.Types }),
		column("format", few, zstd, "as date-time, uuid", func(f *FieldRow) string { return f.Format }),
		column("nullable", "Bool", zstd, "", func(f *FieldRow) bool { return f.Nullable }),
		column("required", "Bool", zstd, "present wherever its parent was", func(f *FieldRow) bool { return f.Required }),
		column("free_keys", "Bool", zstd, "an object whose keys are data", func(f *FieldRow) bool { return f.Map }),
		column("enum", "Array(String)", zstd, "values, only where proven and not sensitive", func(f *FieldRow) []string { return f.Enum }),
		column("present", number, small, "messages that had it", func(f *FieldRow) uint64 { return f.Present }),
		column("parents", number, small, "messages that could have had it", func(f *FieldRow) uint64 { return f.Of }),
	),
}

// SensitiveRow is a kind of sensitive data at a place of an endpoint.
type SensitiveRow struct {
	*analyze.Endpoint
	analyze.Sensitive
}

// SensitiveTable has a row for each kind at each place.
var SensitiveTable = Table{
	Name: "sensitive", Doc: "kinds of sensitive data by endpoint and place; samples are masked",
	Kind: Replaced, Order: "(service, method, template, operation, kind, side, location, name, run)", Version: "batch", Shard: byRun,
	Columns: stamped[SensitiveRow](slices.Concat([]Column{
		column("endpoint", text, zstd, "id of the endpoint", func(r *SensitiveRow) string { return r.ID }),
		column("service", few, zstd, "", func(r *SensitiveRow) string { return r.Service }),
		column("method", few, zstd, "", func(r *SensitiveRow) string { return r.Method }),
		column("template", text, zstd, "", func(r *SensitiveRow) string { return r.Template }),
		column("operation", text, zstd, "", func(r *SensitiveRow) string { return r.Operation }),
		column("kind", few, zstd, "id of the detector", func(r *SensitiveRow) string { return r.Kind }),
		column("category", few, zstd, "", func(r *SensitiveRow) string { return r.Category }),
		column("side", few, zstd, "request or response", func(r *SensitiveRow) string { return r.Place.Side.String() }),
		column("location", few, zstd, "part of the message", func(r *SensitiveRow) string { return string(r.Place.Where) }),
		column("name", text, zstd, "header, parameter or field", func(r *SensitiveRow) string { return r.Place.Name }),
		column("count", number, small, "values seen", func(r *SensitiveRow) uint64 { return r.Count }),
		column("severity", worth, zstd, "", func(r *SensitiveRow) string { return r.Severity.String() })},
		samples(func(r *SensitiveRow) []analyze.Sample { return r.Samples }))...,
	),
}

// samples are the columns of masked samples.
func samples[R any](get func(*R) []analyze.Sample) []Column {
	return []Column{
		column("samples.mask", "Array(String)", zstd, "at most the first and last two characters", func(r *R) []string {
			return each(get(r), func(s *analyze.Sample) string { return s.Mask })
		}),
		column("samples.fingerprint", "Array(String)", zstd, "keyed; equal values have equal ones", func(r *R) []string {
			return each(get(r), func(s *analyze.Sample) string { return s.Fingerprint })
		}),
		column("samples.length", "Array(UInt32)", zstd, "bytes", func(r *R) []uint32 {
			return each(get(r), func(s *analyze.Sample) uint32 { return uint32(s.Length) })
		}),
	}
}

func each[S, V any](in []S, get func(*S) V) []V {
	out := make([]V, len(in))
	for i := range in {
		out[i] = get(&in[i])
	}
	return out
}

// FindingTable has a row for each finding.
var FindingTable = Table{
	Name: "findings", Doc: "one row for each rule, service, endpoint and place",
	Kind: Replaced, Order: "(rule, service, endpoint, place, key, run)", Version: "batch", Shard: byRun,
	Columns: stamped[analyze.Finding](slices.Concat([]Column{
		column("key", text, zstd, "stable between runs and hosts", func(f *analyze.Finding) string { return f.Key }),
		column("rule", few, zstd, "id; see plainsight rules", func(f *analyze.Finding) string { return f.Rule }),
		column("title", few, zstd, "", func(f *analyze.Finding) string { return f.Title }),
		column("practice", few, zstd, "of the eleven", func(f *analyze.Finding) string { return f.Practice.String() }),
		column("severity", worth, zstd, "", func(f *analyze.Finding) string { return f.Severity.String() }),
		column("level", few, zstd, "proved, inferred or not seen", func(f *analyze.Finding) string { return string(f.Level) }),
		column("service", few, zstd, "", func(f *analyze.Finding) string { return f.Service }),
		column("endpoint", text, zstd, "method, template and operation", func(f *analyze.Finding) string { return f.Endpoint }),
		column("place", text, zstd, "in the endpoint's messages", func(f *analyze.Finding) string { return f.Place }),
		column("summary", text, zstd, "what was seen, where, how often", func(f *analyze.Finding) string { return f.Summary }),
		column("why", text, zstd, "why it matters", func(f *analyze.Finding) string { return f.Why }),
		column("fix", text, zstd, "what to do", func(f *analyze.Finding) string { return f.Fix }),
		column("owasp", list, zstd, "", func(f *analyze.Finding) []string { return f.OWASP }),
		column("cwe", list, zstd, "", func(f *analyze.Finding) []string { return f.CWE }),
		column("count", number, small, "times seen", func(f *analyze.Finding) uint64 { return f.Count }),
		column("principals", number, small, "distinct credentials", func(f *analyze.Finding) uint64 { return f.Principals }),
		column("first_seen", moment, delta, "", func(f *analyze.Finding) time.Time { return instant(f.First) }),
		column("last_seen", moment, delta, "", func(f *analyze.Finding) time.Time { return instant(f.Last) })},
		samples(func(f *analyze.Finding) []analyze.Sample { return f.Samples }),
		[]Column{
			evidence("capture", text, "base name of the file", func(e *analyze.Evidence) string { return e.Capture }),
			evidence("frame", number, "in that file", func(e *analyze.Evidence) uint64 { return e.Frame }),
			evidence("time", moment, "", func(e *analyze.Evidence) time.Time { return instant(e.Time) }),
			evidence("client", text, "", func(e *analyze.Evidence) string { return e.Client }),
			evidence("server", text, "", func(e *analyze.Evidence) string { return e.Server }),
			evidence("status", "UInt16", "", func(e *analyze.Evidence) uint16 { return uint16(e.Status) }),
		})...,
	),
}

func evidence[V any](name, typ, doc string, get func(*analyze.Evidence) V) Column {
	return column("evidence."+name, "Array("+typ+")", zstd, doc, func(f *analyze.Finding) []V { return each(f.Evidence, get) })
}

// EdgeTable has the encryption matrix.
var EdgeTable = Table{
	Name: "edges", Doc: "who talks to whom, and how it is protected",
	Kind: Replaced, Order: "(service, server, client, wire, version, cipher, run)", Version: "batch", Shard: byRun,
	Columns: stamped[analyze.Edge](
		column("client", text, zstd, "address, or a network where there are many", func(e *analyze.Edge) string { return e.Client }),
		column("service", few, zstd, "", func(e *analyze.Edge) string { return e.Service }),
		column("server", few, zstd, "address:port", func(e *analyze.Edge) string { return e.Server }),
		column("wire", few, zstd, "plaintext or tls", func(e *analyze.Edge) string { return string(e.Wire) }),
		column("version", few, zstd, "of TLS", func(e *analyze.Edge) string { return e.Version }),
		column("cipher", few, zstd, "of TLS", func(e *analyze.Edge) string { return e.Cipher }),
		column("connections", number, small, "", func(e *analyze.Edge) uint64 { return e.Connections }),
		column("exchanges", number, small, "that could be read", func(e *analyze.Edge) uint64 { return e.Exchanges }),
		column("bytes", number, small, "of the connections' payload", func(e *analyze.Edge) uint64 { return count(e.Bytes) }),
		column("first_seen", moment, delta, "", func(e *analyze.Edge) time.Time { return instant(e.First) }),
		column("last_seen", moment, delta, "", func(e *analyze.Edge) time.Time { return instant(e.Last) }),
	),
}

// SessionTable has a row for each way a server spoke TLS.
var SessionTable = Table{
	Name: "sessions", Doc: "TLS by server, name, version, cipher and certificate",
	Kind: Replaced, Order: "(server, sni, version, cipher, alpn, ja3s, certificate, run)", Version: "batch", Shard: byRun,
	Columns: stamped[analyze.Session](
		column("server", few, zstd, "address:port", func(s *analyze.Session) string { return s.Server }),
		column("sni", text, zstd, "name that clients asked for", func(s *analyze.Session) string { return s.SNI }),
		column("version", few, zstd, "chosen", func(s *analyze.Session) string { return s.Version }),
		column("cipher", few, zstd, "chosen", func(s *analyze.Session) string { return s.Cipher }),
		column("alpn", few, zstd, "chosen", func(s *analyze.Session) string { return s.ALPN }),
		column("ja3", "Array(String)", zstd, "of clients, at most ten", func(s *analyze.Session) []string { return s.JA3 }),
		column("ja4", "Array(String)", zstd, "of clients, at most ten", func(s *analyze.Session) []string { return s.JA4 }),
		column("ja3s", text, zstd, "of the server", func(s *analyze.Session) string { return s.JA3S }),
		column("subject", text, zstd, "of the certificate, where visible", func(s *analyze.Session) string { return s.Subject }),
		column("issuer", text, zstd, "", func(s *analyze.Session) string { return s.Issuer }),
		column("not_after", moment, zstd, "end of its validity; 1970: not visible", func(s *analyze.Session) time.Time { return instant(s.NotAfter) }),
		column("certificate", text, zstd, "SHA-256", func(s *analyze.Session) string { return s.Certificate }),
		column("connections", number, small, "", func(s *analyze.Session) uint64 { return s.Connections }),
		column("first_seen", moment, delta, "", func(s *analyze.Session) time.Time { return instant(s.First) }),
		column("last_seen", moment, delta, "", func(s *analyze.Session) time.Time { return instant(s.Last) }),
	),
}

// ScoreTable has the scorecard of the eleven practices.
var ScoreTable = Table{
	Name: "scores", Doc: "the eleven practices: kept, broken or not visible",
	Kind: Replaced, Order: "(number, run)", Version: "batch", Shard: byRun,
	Columns: stamped[analyze.Score](
		column("number", "UInt8", zstd, "of the practice, from 1", func(s *analyze.Score) uint8 { return uint8(s.Number) }),
		column("practice", few, zstd, "", func(s *analyze.Score) string { return s.Practice.String() }),
		column("state", few, zstd, "kept, broken or not visible", func(s *analyze.Score) string { return string(s.State) }),
		column("findings", number, small, "that break it", func(s *analyze.Score) uint64 { return count(int64(s.Findings)) }),
		column("worst", worth, zstd, "severity among them", func(s *analyze.Score) string { return s.Worst.String() }),
		column("reason", text, zstd, "", func(s *analyze.Score) string { return s.Reason }),
	),
}

// CoverageRow is a counter, or a sentence about what stayed unseen.
type CoverageRow struct {
	Kind string
	analyze.Count
}

// CoverageTable says what was looked at and what could not be seen.
var CoverageTable = Table{
	Name: "coverage", Doc: "what was looked at and what could not be seen",
	Kind: Replaced, Order: "(kind, name, run)", Version: "batch", Shard: byRun,
	Columns: stamped[CoverageRow](
		column("kind", few, zstd, "counter, or not visible", func(c *CoverageRow) string { return c.Kind }),
		column("name", text, zstd, "of the counter; the sentence, where kind is not visible", func(c *CoverageRow) string { return c.Name }),
		column("help", text, zstd, "", func(c *CoverageRow) string { return c.Help }),
		column("value", number, small, "", func(c *CoverageRow) uint64 { return c.Value }),
	),
}

// CaptureTable has the files that were read.
var CaptureTable = Table{
	Name: "captures", Doc: "files that were read",
	Kind: Replaced, Order: "(sha256, name, run)", Version: "batch", Shard: byRun,
	Columns: stamped[analyze.Capture](
		column("name", text, zstd, "base name", func(c *analyze.Capture) string { return c.Name }),
		column("format", few, zstd, "", func(c *analyze.Capture) string { return c.Format }),
		column("sha256", text, zstd, "of its bytes", func(c *analyze.Capture) string { return c.SHA256 }),
		column("bytes", number, small, "", func(c *analyze.Capture) uint64 { return count(c.Bytes) }),
		column("frames", number, small, "", func(c *analyze.Capture) uint64 { return c.Frames }),
		column("damaged", text, zstd, "why its tail could not be read", func(c *analyze.Capture) string { return c.Damaged }),
	),
}

// SourceRow is a run that counts.
type SourceRow struct {
	Source    string
	Captures  []string
	Agent     string // "": files were read
	Node      string
	Version   string
	Exchanges uint64
	First     time.Time
	Last      time.Time
	Committed time.Time
	FromBatch uint64 // the conclusions of earlier batches do not count any more
}

// SourceTable has a row for each source: its last run, the one that counts.
var SourceTable = Table{
	Name: "sources", Doc: "sets of captures that were read together, and lives of agents; the run given here is the one that counts",
	Kind: Replaced, Order: "source", Version: "run", Shard: "cityHash64(source)",
	Columns: stamped[SourceRow](
		column("source", text, zstd, "identity of the captures, or of the agent's life", func(s *SourceRow) string { return s.Source }),
		column("captures", "Array(String)", zstd, "SHA-256 of each", func(s *SourceRow) []string { return s.Captures }),
		column("agent", few, zstd, "identity of the agent; empty: files were read", func(s *SourceRow) string { return s.Agent }),
		column("node", few, zstd, "host of the agent", func(s *SourceRow) string { return s.Node }),
		column("version", few, zstd, "of plainsight", func(s *SourceRow) string { return s.Version }),
		column("exchanges", number, small, "", func(s *SourceRow) uint64 { return s.Exchanges }),
		column("first_seen", moment, delta, "", func(s *SourceRow) time.Time { return instant(s.First) }),
		column("last_seen", moment, delta, "", func(s *SourceRow) time.Time { return instant(s.Last) }),
		column("committed", moment, delta, "when the run ended or was last written, by the clock of the machine", func(s *SourceRow) time.Time { return instant(s.Committed) }),
		column("from_batch", number, small, "conclusions of earlier batches are no longer true", func(s *SourceRow) uint64 { return s.FromBatch }),
	),
}

// Batch is rows of one table.
type Batch struct {
	Table Table
	Rows  any // a slice of the table's row type
	Len   int
}

func batch[R any](t Table, rows []R) Batch { return Batch{t, rows, len(rows)} }

// Values are the columns of the batch in the order of the table's, each a
// slice of the column's Go type: what a spool keeps and an insert takes.
func (b Batch) Values(s Stamp) []any {
	out := make([]any, len(b.Table.Columns))
	for i, c := range b.Table.Columns {
		out[i] = c.Values(b.Rows, s)
	}
	return out
}

// Calls is a batch of calls, which are borrowed.
func Calls(calls []analyze.Call) Batch { return batch(CallTable, calls) }

// Batches takes a snapshot apart into rows. The last batch is the source,
// whose row makes the others count.
func Batches(s *analyze.Snapshot, committed time.Time) []Batch {
	return append(conclusions(s), batch(SourceTable, []SourceRow{source(s, committed)}))
}

// Watch is the life of an agent, which is a run and a source of its own.
type Watch struct {
	Agent   string // stable over restarts
	Node    string
	Version string // of plainsight
	Run     uint64
	Started time.Time
}

// Batches takes apart what the agent knows by now. from is the number that the
// first of these batches will get, written the time now. The last batch makes
// the others count, in place of all that was written before. Without a snapshot there is only the
// last one: it is what an agent writes first, so that its calls count.
func (w Watch) Batches(s *analyze.Snapshot, from uint64, written time.Time) []Batch {
	id := analyze.ID("watch", w.Agent, strconv.FormatUint(w.Run, 10))
	row := SourceRow{Source: id, Captures: []string{id}, Agent: w.Agent, Node: w.Node, Version: w.Version,
		First: w.Started, Last: written, Committed: written, FromBatch: from}
	if s == nil {
		return []Batch{batch(SourceTable, []SourceRow{row})}
	}
	row.Exchanges, row.First, row.Last = s.Exchanges, s.First, s.Last
	return append(conclusions(s), batch(SourceTable, []SourceRow{row}))
}

// conclusions takes a snapshot apart, all but its source.
func conclusions(s *analyze.Snapshot) []Batch {
	var fields []FieldRow
	var sensitive []SensitiveRow
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		for _, f := range slices.Concat(e.Parameters, e.Fields) {
			fields = append(fields, FieldRow{e, f})
		}
		for _, v := range e.Sensitive {
			sensitive = append(sensitive, SensitiveRow{e, v})
		}
	}
	var coverage []CoverageRow
	for _, c := range s.Coverage.Counts {
		coverage = append(coverage, CoverageRow{"counter", c})
	}
	for _, sentence := range s.Coverage.NotVisible {
		coverage = append(coverage, CoverageRow{"not visible", analyze.Count{Name: sentence}})
	}
	if s.Coverage.Noise > 0 {
		coverage = append(coverage, CoverageRow{"counter", analyze.Count{Name: "noise", Value: s.Coverage.Noise,
			Help: "exchanges of paths that never succeeded, and of scanners"}})
	}
	return []Batch{
		batch(ServiceTable, s.Services),
		batch(EndpointTable, s.Endpoints),
		batch(FieldTable, fields),
		batch(SensitiveTable, sensitive),
		batch(FindingTable, s.Findings),
		batch(EdgeTable, s.Edges),
		batch(SessionTable, s.Sessions),
		batch(ScoreTable, s.Scorecard),
		batch(CoverageTable, coverage),
		batch(CaptureTable, s.Coverage.Captures),
	}
}

// source identifies what was read.
func source(s *analyze.Snapshot, committed time.Time) SourceRow {
	captures := make([]string, 0, len(s.Coverage.Captures))
	for _, c := range s.Coverage.Captures {
		captures = append(captures, cmp.Or(c.SHA256, analyze.ID("capture", c.Name, c.Format)))
	}
	slices.Sort(captures)
	captures = slices.Compact(captures)
	id := analyze.ID(append([]string{"source"}, captures...)...)
	if len(captures) == 0 {
		captures = []string{id}
	}
	return SourceRow{Source: id, Captures: captures, Version: s.Version, Exchanges: s.Exchanges, First: s.First, Last: s.Last, Committed: committed}
}
