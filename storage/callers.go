package storage

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"plainsight/analyze"
)

// CallerKey is what calls of one caller on one day have in common.
type CallerKey struct {
	Day       time.Time // its start, UTC
	Service   string
	Client    string
	Principal string
	Auth      string
}

// CallerRow counts the calls of a caller on a day.
type CallerRow struct {
	CallerKey
	Calls     uint64
	Writes    uint64 // with a method other than GET, HEAD and OPTIONS
	Refused   uint64 // 401, 403
	Failed    uint64 // 5xx
	Lost      uint64 // for paths that never succeeded, as far as was known then
	Request   uint64 // bytes of bodies
	Response  uint64
	Sensitive uint64 // calls with sensitive data
	Endpoints uint64 // sketch of which: see endpointBit
	First     time.Time
	Last      time.Time
}

// endpointBit is an endpoint's bit in a sketch of 64: with n bits unset, there
// are about 64·ln(64/n) endpoints (linear counting: Whang and others, 1990).
// The engine has the same hash.
func endpointBit(method, template, operation string) uint64 {
	return 1 << (xxhash.Sum64String(method+" "+template+" "+operation) % 64)
}

// EndpointBitSQL is endpointBit of the columns method, template and operation, and
// EndpointsSQL the number of endpoints that a sketch shows.
const (
	EndpointBitSQL = "bitShiftLeft(toUInt64(1), xxHash64(concat(method, ' ', template, ' ', operation)) % 64)"
	EndpointsSQL   = "toUInt64(round(64 * log(64 / greatest(64 - bitCount($SKETCH), 1))))"
)

// CallerTable says who called what on each day. A view fills it from calls
// that were kept unsampled; an agent that samples counts all of them itself:
// see [Callers].
var CallerTable = Table{
	Name: "callers", Doc: "callers by day, service, address and credential: for questions about months; sum it, rows may stand in several parts",
	Kind: Summed, Order: "(day, service, client, principal, auth, run, written, batch)", Partition: "toYYYYMM(written)", Shard: byRun,
	Indices: []string{"by_principal principal TYPE bloom_filter GRANULARITY 4", "by_client client TYPE bloom_filter GRANULARITY 4"},
	Columns: stamped[CallerRow](
		column("day", "Date", delta, "by the traffic's clock", func(r *CallerRow) time.Time { return r.Day }),
		column("service", few, zstd, "", func(r *CallerRow) string { return r.Service }),
		column("client", text, zstd, "address of the caller", func(r *CallerRow) string { return r.Client }),
		column("principal", text, zstd, "keyed fingerprint of the credential", func(r *CallerRow) string { return r.Principal }),
		column("auth", few, zstd, "kind of credential, or none", func(r *CallerRow) string { return r.Auth }),
		added("calls", "", func(r *CallerRow) uint64 { return r.Calls }),
		added("writes", "calls with a method other than GET, HEAD and OPTIONS", func(r *CallerRow) uint64 { return r.Writes }),
		added("refused", "answered by 401 or 403", func(r *CallerRow) uint64 { return r.Refused }),
		added("failed", "answered by 5xx", func(r *CallerRow) uint64 { return r.Failed }),
		added("never_succeeded", "for paths that never succeeded, as far as was known then", func(r *CallerRow) uint64 { return r.Lost }),
		added("request_bytes", "of bodies", func(r *CallerRow) uint64 { return r.Request }),
		added("response_bytes", "of bodies", func(r *CallerRow) uint64 { return r.Response }),
		added("with_sensitive", "calls with sensitive data", func(r *CallerRow) uint64 { return r.Sensitive }),
		column("endpoints", "SimpleAggregateFunction(groupBitOr, UInt64)", zstd, "sketch of which endpoints; callers_current counts them, about", func(r *CallerRow) uint64 { return r.Endpoints }),
		column("first_seen", "SimpleAggregateFunction(min, "+moment+")", delta, "", func(r *CallerRow) time.Time { return r.First }),
		column("last_seen", "SimpleAggregateFunction(max, "+moment+")", delta, "", func(r *CallerRow) time.Time { return r.Last }),
	),
}

// added is a column that is summed up.
func added[R any](name, doc string, get func(*R) uint64) Column {
	return column(name, "SimpleAggregateFunction(sum, UInt64)", small, doc, get)
}

// Callers counts calls by caller at the agent, for agents that keep only a
// part of the calls: what the view makes of all calls, exactly. The zero value
// is ready. It is used by one goroutine at a time.
type Callers struct {
	rows map[CallerKey]*CallerRow
}

// Add counts a call, which is borrowed.
func (t *Callers) Add(c *analyze.Call) {
	at := instant(c.Time).Truncate(time.Microsecond)
	key := CallerKey{day(at), c.Service, c.Client, c.Principal, c.Auth}
	r := t.rows[key]
	if r == nil {
		if t.rows == nil {
			t.rows = map[CallerKey]*CallerRow{}
		}
		r = &CallerRow{CallerKey: key, First: at, Last: at}
		t.rows[key] = r
	}
	if at.Before(r.First) {
		r.First = at
	}
	if at.After(r.Last) {
		r.Last = at
	}
	r.Calls++
	switch c.Method {
	case "GET", "HEAD", "OPTIONS":
	default:
		r.Writes++
	}
	switch {
	case c.Status == 401 || c.Status == 403:
		r.Refused++
	case c.Status >= 500:
		r.Failed++
	}
	if c.Template == "" {
		r.Lost++
	} else {
		r.Endpoints |= endpointBit(c.Method, c.Template, c.Operation)
	}
	if len(c.Sensitive) > 0 {
		r.Sensitive++
	}
	r.Request += count(c.Request)
	r.Response += count(c.Response)
}

// Len is the number of rows that Take would give: a bound for the caller to
// keep.
func (t *Callers) Len() int { return len(t.rows) }

// Take gives what was counted since the last time, in order, as a batch.
func (t *Callers) Take() Batch {
	rows := make([]CallerRow, 0, len(t.rows))
	for _, r := range slices.SortedFunc(maps.Values(t.rows), func(a, b *CallerRow) int {
		return cmp.Or(a.Day.Compare(b.Day), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Client, b.Client),
			cmp.Compare(a.Principal, b.Principal), cmp.Compare(a.Auth, b.Auth))
	}) {
		rows = append(rows, *r)
	}
	clear(t.rows)
	return batch(CallerTable, rows)
}
