package storage

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"
	"time"

	"plainsight/analyze"
)

// TrafficKey is what calls of a minute have in common.
type TrafficKey struct {
	Minute    time.Time // its start, UTC
	Service   string
	Method    string
	Template  string
	Operation string
	Status    int
	Wire      analyze.Wire
	Auth      string
}

// TrafficRow counts the calls of a minute.
type TrafficRow struct {
	TrafficKey
	Calls      uint64
	Request    uint64 // bytes of bodies
	Response   uint64
	Sensitive  uint64            // calls with sensitive data
	Incomplete uint64            // calls of which a part was not seen
	Latency    map[uint32]uint64 // calls by [LatencyBucket]; those of unknown latency are left out
}

// LatencyBucket is the lower bound, in microseconds, of the range of latencies
// that are counted together: four to an octave, so that a quantile is at most
// a quarter too low. Latencies above an hour are an hour.
func LatencyBucket(latency time.Duration) uint32 {
	us := uint64(min(max(latency.Microseconds(), 0), longest))
	octave := uint64(1) << max(bits.Len64(us)-1, 0)
	return uint32(us - us%max(octave/4, 1))
}

// longest is an hour in microseconds; lastMinute the last that a DateTime holds.
const (
	longest    = 3_600_000_000
	lastMinute = 4_294_967_280
)

// LatencyBucketSQL is [LatencyBucket] of the column latency_us.
const LatencyBucketSQL = "toUInt32(least(latency_us, 3600000000) - least(latency_us, 3600000000) % greatest(intDiv(roundToExp2(least(latency_us, 3600000000)), 4), 1))"

// day is the start of a day, as far as a DateTime goes.
func day(at time.Time) time.Time {
	s := min(at.Unix(), lastMinute)
	return time.Unix(s-s%86_400, 0).UTC()
}

// trafficColumns are those of the statistics, after the time.
func trafficColumns() []Column {
	return []Column{
		column("service", few, zstd, "", func(r *TrafficRow) string { return r.Service }),
		column("method", few, zstd, "", func(r *TrafficRow) string { return r.Method }),
		column("template", few, zstd, "path template as far as it was known then", func(r *TrafficRow) string { return r.Template }),
		column("operation", few, zstd, "of GraphQL, JSON-RPC or SOAP", func(r *TrafficRow) string { return r.Operation }),
		column("status", "UInt16", small, "of the response; 0: none seen", func(r *TrafficRow) uint16 { return uint16(r.Status) }),
		column("wire", few, zstd, "plaintext or tls", func(r *TrafficRow) string { return string(r.Wire) }),
		column("auth", few, zstd, "kind of credential, or none", func(r *TrafficRow) string { return r.Auth }),
		added("calls", "", func(r *TrafficRow) uint64 { return r.Calls }),
		added("request_bytes", "of bodies", func(r *TrafficRow) uint64 { return r.Request }),
		added("response_bytes", "of bodies", func(r *TrafficRow) uint64 { return r.Response }),
		added("with_sensitive", "calls with sensitive data", func(r *TrafficRow) uint64 { return r.Sensitive }),
		added("incomplete", "calls of which a part was not seen", func(r *TrafficRow) uint64 { return r.Incomplete }),
		column("latency", "SimpleAggregateFunction(sumMap, Map(UInt32, UInt64))", zstd, "calls by the lower bound of their latency in microseconds, four ranges to an octave",
			func(r *TrafficRow) map[uint32]uint64 { return r.Latency }),
	}
}

// MinuteTable has the statistics of each minute. A view fills it from calls
// that were kept unsampled; an agent that samples, or keeps no calls, counts
// all of them itself (see [Traffic]) and writes them here. Its rows keep the
// number of their batch, those of the view have 0.
var MinuteTable = Table{
	Name: "traffic_minute", Doc: "calls by minute, endpoint, status, protection and credential: for charts; sum it, rows may stand in several parts",
	Kind: Summed, Order: "(toStartOfHour(minute), service, method, template, operation, minute, status, wire, auth, run, batch)", Partition: daily, Shard: byRun,
	Columns: stamped[TrafficRow](slices.Concat([]Column{
		column("minute", "DateTime('UTC')", delta, "its start, by the traffic's clock", func(r *TrafficRow) time.Time { return r.Minute })}, trafficColumns())...),
}

// DayTable has the statistics of each day; a view fills it from those of the
// minutes.
var DayTable = Table{
	Name: "traffic_day", Doc: "calls by day, endpoint, status, protection and credential: for charts; sum it, rows may stand in several parts",
	Kind: Summed, Order: "(day, service, method, template, operation, status, wire, auth, run, written, batch)", Partition: "toYYYYMM(written)", Shard: byRun,
	Columns: stamped[TrafficRow](slices.Concat([]Column{
		column("day", "Date", delta, "by the traffic's clock", func(r *TrafficRow) time.Time { return day(r.Minute) })}, trafficColumns())...),
}

// Traffic counts calls by minute at the agent, for agents that keep only a
// part of the calls: what the view makes of all calls, exactly. The zero value
// is ready. It is used by one goroutine at a time.
type Traffic struct {
	rows map[TrafficKey]*TrafficRow
}

// Add counts a call, which is borrowed.
func (t *Traffic) Add(c *analyze.Call) {
	at := min(instant(c.Time).Unix(), lastMinute)
	key := TrafficKey{time.Unix(at-at%60, 0).UTC(), c.Service, c.Method, c.Template, c.Operation, c.Status, c.Wire, c.Auth}
	r := t.rows[key]
	if r == nil {
		if t.rows == nil {
			t.rows = map[TrafficKey]*TrafficRow{}
		}
		r = &TrafficRow{TrafficKey: key, Latency: map[uint32]uint64{}}
		t.rows[key] = r
	}
	r.Calls++
	r.Request += count(c.Request)
	r.Response += count(c.Response)
	if len(c.Sensitive) > 0 {
		r.Sensitive++
	}
	if c.Incomplete {
		r.Incomplete++
	}
	if bucket := LatencyBucket(c.Latency); bucket > 0 {
		r.Latency[bucket]++
	}
}

// Len is the number of rows that Take would give: a bound for the caller to
// keep.
func (t *Traffic) Len() int { return len(t.rows) }

// Take gives what was counted since the last time, in order, as a batch.
func (t *Traffic) Take() Batch {
	rows := make([]TrafficRow, 0, len(t.rows))
	for _, r := range slices.SortedFunc(maps.Values(t.rows), func(a, b *TrafficRow) int {
		return cmp.Or(a.Minute.Compare(b.Minute), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Method, b.Method), cmp.Compare(a.Template, b.Template), cmp.Compare(a.Operation, b.Operation),
			cmp.Compare(a.Status, b.Status), cmp.Compare(a.Wire, b.Wire), cmp.Compare(a.Auth, b.Auth))
	}) {
		rows = append(rows, *r)
	}
	clear(t.rows)
	return batch(MinuteTable, rows)
}
