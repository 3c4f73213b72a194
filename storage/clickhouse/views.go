package clickhouse

import (
	"strings"

	"plainsight/storage"
)

// View hides how rows of several runs become one answer: it leaves out the
// runs that do not count and sums the others.
type View struct {
	Name, Doc string
	SQL       string // $RUNS stands for the condition that a row's run counts, $LIVE for that it is also still true
}

// create renders the DDL. What a run's calls need to count is that the run
// does; its conclusions must also be of the last time that they were written.
func (v View) create(l Layout) string {
	in := "run IN"
	if l.Cluster != "" {
		in = "run GLOBAL IN"
	}
	sql := strings.NewReplacer(
		"$RUNS", in+" (SELECT run FROM sources_current)",
		"$LIVE", "batch >= transform(run, (SELECT groupArray(run) FROM sources_current), (SELECT groupArray(from_batch) FROM sources_current), toUInt64(-1))",
	).Replace(v.SQL)
	return "CREATE OR REPLACE VIEW " + v.Name + l.on() + " AS\n" + sql + "\nCOMMENT " + literal(v.Doc)
}

// feed is a materialized view: what it makes of each block that goes into one
// table, it puts into another.
type feed struct{ Name, Doc, From, To, SQL string } // $FROM stands for the source

// feeds fill the statistics. They see blocks as they are inserted, retries
// included: the windows of their targets keep those from being counted twice.
var feeds = []feed{
	{"traffic_minute_feed", "counts calls by minute", "calls", "traffic_minute", `
SELECT toStartOfMinute(toDateTime(least(time, toDateTime64('2106-02-07 06:28:00', 6, 'UTC')), 'UTC')) AS minute, service, method, template, operation, status, wire, auth,
    count() AS calls, sum(request_bytes) AS request_bytes, sum(response_bytes) AS response_bytes, countIf(notEmpty(sensitive)) AS with_sensitive,
    countIf(incomplete) AS incomplete, sumMapIf(map(` + storage.LatencyBucketSQL + `, toUInt64(1)), latency_us > 0) AS latency,
    run, toUInt64(0) AS batch, written
FROM $FROM WHERE sampling = 1 GROUP BY minute, service, method, template, operation, status, wire, auth, run, written`},

	{"callers_feed", "counts calls by caller", "calls", "callers", `
SELECT toDate(toDateTime(least(time, toDateTime64('2106-02-07 06:28:00', 6, 'UTC')), 'UTC')) AS day, service, client, principal, auth,
    count() AS calls, countIf(method NOT IN ('GET', 'HEAD', 'OPTIONS')) AS writes, countIf(status IN (401, 403)) AS refused, countIf(status >= 500) AS failed,
    countIf(template = '') AS never_succeeded, sum(request_bytes) AS request_bytes, sum(response_bytes) AS response_bytes,
    countIf(notEmpty(sensitive)) AS with_sensitive, groupBitOr(if(template = '', 0, ` + storage.EndpointBitSQL + `)) AS endpoints,
    min(time) AS first_seen, max(time) AS last_seen, run, toUInt64(0) AS batch, written
FROM $FROM WHERE sampling = 1 GROUP BY day, service, client, principal, auth, run, written`},

	{"traffic_day_feed", "counts calls by day", "traffic_minute", "traffic_day", `
SELECT toDate(minute) AS day, service, method, template, operation, status, wire, auth, sum(calls) AS calls, sum(request_bytes) AS request_bytes,
    sum(response_bytes) AS response_bytes, sum(with_sensitive) AS with_sensitive, sum(incomplete) AS incomplete, sumMap(latency) AS latency,
    run, toUInt64(0) AS batch, written
FROM $FROM GROUP BY day, service, method, template, operation, status, wire, auth, run, written`},
}

func (f feed) query(l Layout) string { return strings.ReplaceAll(f.SQL, "$FROM", l.local(f.From)) }

func (f feed) create(l Layout) string {
	return "CREATE MATERIALIZED VIEW IF NOT EXISTS " + f.Name + l.on() + " TO " + l.local(f.To) + " AS" + f.query(l) + "\nCOMMENT " + literal(f.Doc)
}

// alter makes a view that is there the one of this program.
func (f feed) alter(l Layout) string {
	return "ALTER TABLE " + f.Name + l.on() + " MODIFY QUERY" + f.query(l)
}

// Views are what people and dashboards ask.
var Views = []View{
	{"sources_current", "sources that count: of each its last run, without those that are part of a larger one", `
SELECT * FROM sources FINAL
WHERE source IN (SELECT argMax(source, (length(captures), source)) FROM sources FINAL ARRAY JOIN captures AS capture GROUP BY capture)`},

	{"calls_current", "one row for each exchange", `
SELECT * FROM calls WHERE $RUNS`},

	{"traffic_minute_current", "calls by minute, endpoint, status, protection and credential; latency: calls by its lower bound in microseconds", `
SELECT minute, service, method, template, operation, status, wire, auth, t.calls AS calls, t.request_bytes AS request_bytes, t.response_bytes AS response_bytes,
    t.with_sensitive AS with_sensitive, t.incomplete AS incomplete, t.latency AS latency
FROM traffic_minute AS t WHERE $RUNS`},

	{"traffic_day_current", "calls by day, endpoint, status, protection and credential; latency: calls by its lower bound in microseconds", `
SELECT day, service, method, template, operation, status, wire, auth, t.calls AS calls, t.request_bytes AS request_bytes, t.response_bytes AS response_bytes,
    t.with_sensitive AS with_sensitive, t.incomplete AS incomplete, t.latency AS latency
FROM traffic_day AS t WHERE $RUNS`},

	{"callers_current", "callers by day, service, address and credential", `
SELECT day, service, client, principal, auth, sum(c.calls) AS calls, sum(c.writes) AS writes, sum(c.refused) AS refused, sum(c.failed) AS failed,
    sum(c.never_succeeded) AS never_succeeded, sum(c.request_bytes) AS request_bytes, sum(c.response_bytes) AS response_bytes,
    sum(c.with_sensitive) AS with_sensitive, groupBitOr(c.endpoints) AS endpoint_sketch, ` + strings.ReplaceAll(storage.EndpointsSQL, "$SKETCH", "endpoint_sketch") + ` AS endpoints,
    min(c.first_seen) AS first_seen, max(c.last_seen) AS last_seen
FROM callers AS c WHERE $RUNS GROUP BY day, service, client, principal, auth`},

	{"captures_current", "files that were read", `
SELECT sha256, any(c.name) AS name, any(c.format) AS format, max(c.bytes) AS bytes, max(c.frames) AS frames, max(c.damaged) AS damaged
FROM captures AS c FINAL WHERE $LIVE GROUP BY sha256`},

	{"services_current", "services with their traffic", `
SELECT name, arraySort(groupUniqArrayArray(s.addresses)) AS addresses, e.endpoints AS endpoints, sum(s.requests) AS requests,
    arraySort(groupUniqArrayArray(s.wires)) AS wires, min(s.first_seen) AS first_seen, max(s.last_seen) AS last_seen
FROM (SELECT * FROM services FINAL WHERE $LIVE) AS s
LEFT JOIN (SELECT service, uniqExact(id) AS endpoints FROM endpoints FINAL WHERE $LIVE GROUP BY service) AS e ON e.service = s.name
GROUP BY name, endpoints`},

	{"endpoints_current", "endpoints with their traffic", `
SELECT id, any(e.service) AS service, any(e.method) AS method, any(e.template) AS template, any(e.operation) AS operation, any(e.style) AS style,
    sum(e.requests) AS requests, sum(e.unanswered) AS unanswered, sumMap(e.statuses) AS statuses,
    sum(e.plaintext) AS plaintext, sum(e.encrypted) AS encrypted, sumMap(e.auth) AS auth, max(e.clients) AS clients, sum(e.outside) AS outside,
    sum(e.request_bytes) AS request_bytes, sum(e.response_bytes) AS response_bytes,
    max(e.latency_p50_ms) AS latency_p50_ms, max(e.latency_p95_ms) AS latency_p95_ms,
    min(e.first_seen) AS first_seen, max(e.last_seen) AS last_seen
FROM endpoints AS e FINAL WHERE $LIVE GROUP BY id`},

	{"fields_current", "parameters and body fields", `
SELECT service, method, template, operation, side, location, status, content_type, path,
    arraySort(groupUniqArrayArray(f.types)) AS types, any(f.format) AS format, max(f.nullable) AS nullable, min(f.required) AS required,
    max(f.free_keys) AS free_keys, arraySort(groupUniqArrayArray(f.enum)) AS enum, sum(f.present) AS present, sum(f.parents) AS parents
FROM fields AS f FINAL WHERE $LIVE
GROUP BY service, method, template, operation, side, location, status, content_type, path`},

	{"sensitive_current", "kinds of sensitive data by endpoint and place", `
SELECT any(v.endpoint) AS endpoint, service, method, template, operation, kind, any(v.category) AS category, side, location, name, sum(v.count) AS count,
    max(v.severity) AS severity, groupUniqArrayArray(3)(v.samples.mask) AS samples
FROM sensitive AS v FINAL WHERE $LIVE
GROUP BY service, method, template, operation, kind, side, location, name`},

	{"findings_open", "findings, one row for each", `
SELECT key, any(f.rule) AS rule, argMax(f.title, f.run) AS title, any(f.practice) AS practice, max(f.severity) AS severity,
    argMax(f.level, f.run) AS level, any(f.service) AS service, any(f.endpoint) AS endpoint, any(f.place) AS place,
    argMax(f.summary, f.run) AS summary, argMax(f.why, f.run) AS why, argMax(f.fix, f.run) AS fix,
    argMax(f.owasp, f.run) AS owasp, argMax(f.cwe, f.run) AS cwe, sum(f.count) AS count, max(f.principals) AS principals,
    min(f.first_seen) AS first_seen, max(f.last_seen) AS last_seen, groupUniqArrayArray(3)(f.samples.mask) AS samples
FROM findings AS f FINAL WHERE $LIVE GROUP BY key`},

	{"encryption_matrix", "who talks to whom, and how it is protected", `
SELECT client, service, server, wire, version, cipher, sum(e.connections) AS connections, sum(e.exchanges) AS exchanges,
    sum(e.bytes) AS bytes, min(e.first_seen) AS first_seen, max(e.last_seen) AS last_seen
FROM edges AS e FINAL WHERE $LIVE
GROUP BY client, service, server, wire, version, cipher`},

	{"tls_current", "TLS by server, name, version, cipher and certificate", `
SELECT server, sni, version, cipher, alpn, ja3s, arraySort(groupUniqArrayArray(t.ja3)) AS ja3, arraySort(groupUniqArrayArray(t.ja4)) AS ja4, any(t.subject) AS subject,
    any(t.issuer) AS issuer, any(t.not_after) AS not_after, certificate, sum(t.connections) AS connections,
    min(t.first_seen) AS first_seen, max(t.last_seen) AS last_seen
FROM sessions AS t FINAL WHERE $LIVE
GROUP BY server, sni, version, cipher, alpn, ja3s, certificate`},

	{"scorecard", "the eleven practices over all sources: broken where any source shows it", `
SELECT number, any(s.practice) AS practice,
    multiIf(countIf(s.state = 'broken') > 0, 'broken', countIf(s.state = 'kept') > 0, 'kept', 'not visible') AS state,
    sum(s.findings) AS findings, max(s.worst) AS worst, argMax(s.reason, (s.state = 'broken', s.state = 'kept', s.run)) AS reason
FROM scores AS s FINAL WHERE $LIVE GROUP BY number ORDER BY number`},

	{"shadow", "operations, parameters and fields that no document has, and documented ones that should be gone", `
SELECT severity, rule, service, endpoint, place, summary, count, first_seen, last_seen, key
FROM findings_open WHERE practice = 'shadow APIs' OR startsWith(rule, 'doc.')`},

	{"agents_current", "agents as they told last; dropped: what any stage lost", `
SELECT agent, argMax(a.node, a.time) AS node, argMax(a.version, a.time) AS version, argMax(a.kernel, a.time) AS kernel, argMax(a.source, a.time) AS source,
    argMax(a.started, a.time) AS started, max(a.time) AS last_seen, argMax(a.exchanges, a.time) AS exchanges,
    argMax(arraySum(mapValues(a.stage_dropped)), a.time) AS dropped, argMax(a.ring_drops, a.time) AS ring_drops, argMax(a.gaps, a.time) AS gaps,
    argMax(a.lag_ms, a.time) AS lag_ms, argMax(a.cpu_ms, a.time) AS cpu_ms, argMax(a.memory_bytes, a.time) AS memory_bytes,
    argMax(a.memory_limit, a.time) AS memory_limit, argMax(a.sink_up, a.time) AS sink_up, argMax(a.spool_bytes, a.time) AS spool_bytes,
    argMax(a.spool_oldest_ms, a.time) AS spool_oldest_ms, argMax(arraySum(mapValues(a.spool_dropped)), a.time) AS spool_dropped
FROM agents AS a GROUP BY agent`},

	{"coverage_current", "what was looked at and what could not be seen", `
SELECT kind, name, any(c.help) AS help, sum(c.value) AS value
FROM coverage AS c FINAL WHERE $LIVE GROUP BY kind, name`},
}
