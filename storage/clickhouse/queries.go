package clickhouse

import (
	"strings"

	"plainsight/analyze"
	"plainsight/storage"
)

// Named is a question with a name. It is documentation and test at once: each
// is run on a filled store.
type Named struct {
	Name, Doc string
	Practice  analyze.Practice // which it serves; 0: all
	SQL       string
	Params    []storage.Param // with the values that they have unless others are given
}

// With returns the parameters of the query, those given in place of its own.
func (q Named) With(given []storage.Param) []storage.Param {
	out := append([]storage.Param(nil), given...)
	for _, p := range q.Params {
		taken := false
		for _, g := range given {
			taken = taken || g.Name == p.Name
		}
		if !taken {
			out = append(out, p)
		}
	}
	return out
}

// latencies is a quantile in milliseconds of summed histograms: the lower bound
// of the range that it falls into.
func latencies(level, histogram string) string {
	return strings.NewReplacer("$LEVEL", level, "$H", histogram).Replace(
		`round(arrayFirst((b, c) -> c >= $LEVEL * arraySum(mapValues($H)), mapKeys($H), arrayCumSum(mapValues($H))) / 1000, 1)`)
}

// days is the parameter of questions about the last days of the traffic.
var days = []storage.Param{{Name: "days", Value: "7"}}

// Queries are the named questions: the commonest first, then by practice.
var Queries = []Named{
	{Name: "findings", Doc: "open findings, worst first", SQL: `
SELECT severity, rule, service, endpoint, place, samples, count, last_seen
FROM findings_open ORDER BY severity DESC, count DESC, key`},

	{Name: "endpoints", Doc: "endpoints with traffic, answers and credentials", SQL: `
SELECT service, method, template, operation, requests, statuses, auth, plaintext, encrypted, round(latency_p95_ms, 1) AS p95_ms, last_seen
FROM endpoints_current ORDER BY service, template, method`},

	{Name: "services", Doc: "services with addresses, endpoints and protection", SQL: `
SELECT name, addresses, endpoints, requests, wires, first_seen, last_seen FROM services_current ORDER BY requests DESC, name`},

	{Name: "scorecard", Doc: "the eleven practices: kept, broken or not visible", SQL: `
SELECT number, practice, state, findings, if(findings = 0, '', toString(worst)) AS worst, reason FROM scorecard ORDER BY number`},

	{Name: "coverage", Doc: "what was looked at and what could not be seen", SQL: `
SELECT kind, name, value, help FROM coverage_current ORDER BY kind DESC, name`},

	{Name: "captures", Doc: "files that are in the store", SQL: `
SELECT name, format, bytes, frames, sha256, damaged FROM captures_current ORDER BY name, sha256`},

	{Name: "agents", Doc: "agents: what they lose, how far they lag, what waits on their disks", SQL: `
SELECT agent, node, version, source, last_seen, exchanges, dropped, ring_drops, gaps, lag_ms, formatReadableSize(memory_bytes) AS memory, sink_up, spool_bytes, spool_dropped
FROM agents_current ORDER BY sink_up, dropped DESC, agent`},

	{Name: "finding", Doc: "all about the findings of a rule: why it matters, what to do, where to look (--param rule=…)", Params: []storage.Param{{Name: "rule", Value: ""}}, SQL: `
SELECT severity, level, rule, title, service, endpoint, place, summary, why, fix, owasp, cwe, count, principals, first_seen, last_seen
FROM findings_open WHERE {rule:String} = '' OR rule = {rule:String} ORDER BY severity DESC, count DESC, key LIMIT 100`},

	{Name: "finding-counts", Doc: "findings by practice and rule", SQL: `
SELECT practice, rule, max(f.severity) AS worst, count() AS findings, uniqExact(service) AS services, sum(f.count) AS times, max(f.last_seen) AS last_seen
FROM findings_open AS f GROUP BY practice, rule ORDER BY worst DESC, findings DESC, rule`},

	{Name: "traffic", Doc: "calls, errors and bytes by hour, over the last days (--param days=7)", Params: days, SQL: `
SELECT toStartOfHour(minute) AS hour, sum(t.calls) AS calls, round(sum(t.calls) / 3600, 2) AS per_second, sumIf(t.calls, status >= 500) AS server_errors,
    sumIf(t.calls, status >= 400 AND status < 500) AS client_errors, sum(t.request_bytes) AS sent, sum(t.response_bytes) AS received
FROM traffic_minute_current AS t
WHERE minute >= (SELECT max(minute) FROM traffic_minute) - toIntervalDay({days:UInt16}) GROUP BY hour ORDER BY hour`},

	// 1 discovery
	{Name: "new-endpoints", Practice: analyze.Discovery, Doc: "endpoints first seen in the last days of the traffic (--param days=7), those without credential first", Params: days, SQL: `
SELECT service, method, template, operation, first_seen, requests, auth, s.kinds AS sensitive
FROM endpoints_current AS e
LEFT JOIN (SELECT endpoint, arraySort(groupUniqArray(kind)) AS kinds FROM sensitive_current GROUP BY endpoint) AS s ON s.endpoint = e.id
WHERE first_seen >= (SELECT max(last_seen) FROM endpoints_current) - toIntervalDay({days:UInt16})
ORDER BY auth['none'] > 0 DESC, empty(sensitive), first_seen DESC, service, template, method`},

	{Name: "stale-endpoints", Practice: analyze.Discovery, Doc: "endpoints that had no call in the last days of the traffic (--param days=7)", Params: days, SQL: `
SELECT service, method, template, operation, last_seen, requests
FROM endpoints_current
WHERE last_seen < (SELECT max(last_seen) FROM endpoints_current) - toIntervalDay({days:UInt16}) ORDER BY last_seen, service, template, method`},

	{Name: "growth", Practice: analyze.Discovery, Doc: "endpoints and services that were new on each day", SQL: `
SELECT toDate(first_seen) AS day, count() AS new_endpoints, uniqExact(service) AS services, countIf(auth['none'] > 0) AS without_credential
FROM endpoints_current GROUP BY day ORDER BY day`},

	// 2 shadow APIs
	{Name: "shadow", Practice: analyze.Shadow, Doc: "what no document has, and what a document says should be gone", SQL: `
SELECT severity, rule, service, endpoint, place, summary, count, last_seen FROM shadow ORDER BY severity DESC, count DESC, service, endpoint, place`},

	{Name: "old-versions", Practice: analyze.Shadow, Doc: "endpoints of a version that answer while a later version has the same path", SQL: `
SELECT service, method, template, requests, newer.newest AS newest_version, newer.requests AS newest_requests, last_seen
FROM (SELECT *, toUInt16OrZero(extract(template, '/v([0-9]{1,4})(?:/|$)')) AS version, replaceRegexpOne(template, '/v[0-9]{1,4}(/|$)', '/v*\\1') AS tail FROM endpoints_current) AS e
INNER JOIN (
    SELECT service, method, replaceRegexpOne(template, '/v[0-9]{1,4}(/|$)', '/v*\\1') AS tail,
        max(toUInt16OrZero(extract(template, '/v([0-9]{1,4})(?:/|$)'))) AS newest,
        argMax(v.requests, toUInt16OrZero(extract(template, '/v([0-9]{1,4})(?:/|$)'))) AS requests
    FROM endpoints_current AS v GROUP BY service, method, tail
) AS newer USING (service, method, tail)
WHERE version > 0 AND version < newest ORDER BY service, template, method`},

	// 3 encryption
	{Name: "encryption-matrix", Practice: analyze.Encryption, Doc: "services by protection: plaintext first", SQL: `
SELECT service, wire, version, uniq(client) AS clients, sum(m.connections) AS connections, sum(m.exchanges) AS exchanges, sum(m.bytes) AS bytes
FROM encryption_matrix AS m GROUP BY service, wire, version ORDER BY wire, exchanges DESC, service`},

	{Name: "plaintext-sensitive", Practice: analyze.Encryption, Doc: "sensitive data and credentials that travel in the clear", SQL: `
SELECT s.severity AS severity, kind, category, service, method, template, operation, side, location, name, s.count AS values, e.plaintext AS plaintext_requests
FROM sensitive_current AS s INNER JOIN endpoints_current AS e ON e.id = s.endpoint
WHERE e.plaintext > 0 ORDER BY severity DESC, values DESC, kind, service, template`},

	{Name: "plaintext-edges", Practice: analyze.Encryption, Doc: "who talks to whom in the clear", SQL: `
SELECT client, service, server, connections, exchanges, bytes, first_seen, last_seen
FROM encryption_matrix WHERE wire = 'plaintext' ORDER BY exchanges DESC, client, service LIMIT 200`},

	{Name: "tls", Practice: analyze.Encryption, Doc: "TLS spoken by servers: versions, ciphers, certificates, the oldest first", SQL: `
SELECT server, sni, version, cipher, alpn, subject, issuer, if(not_after = toDateTime64(0, 6, 'UTC'), NULL, not_after) AS expires, connections
FROM tls_current ORDER BY version, server, sni`},

	{Name: "certificates", Practice: analyze.Encryption, Doc: "certificates by the end of their validity, as far as visible, with the days that were left at the last handshake", SQL: `
SELECT any(t.subject) AS subject, any(t.issuer) AS issuer, max(t.not_after) AS expires, dateDiff('day', max(t.last_seen), max(t.not_after)) AS days_left,
    arraySort(groupUniqArray(20)(server)) AS servers, arraySort(groupUniqArray(20)(sni)) AS names, sum(t.connections) AS connections, certificate
FROM tls_current AS t WHERE certificate != '' GROUP BY certificate ORDER BY expires, certificate`},

	// 4 authentication
	{Name: "unauthenticated", Practice: analyze.Authentication, Doc: "endpoints that answered without a credential, and the sensitive data in their responses", SQL: `
SELECT service, method, template, operation, auth['none'] AS without_credential, e.requests AS requests,
    arraySum((n, status) -> if(status >= 200 AND status < 300, n, 0), mapValues(statuses), mapKeys(statuses)) AS succeeded, s.kinds AS sensitive
FROM endpoints_current AS e
LEFT JOIN (
    SELECT service, method, template, operation, arraySort(groupUniqArray(kind)) AS kinds
    FROM sensitive_current WHERE side = 'response' GROUP BY service, method, template, operation
) AS s USING (service, method, template, operation)
WHERE auth['none'] > 0 AND succeeded > 0 ORDER BY empty(sensitive), without_credential DESC, service, template`},

	{Name: "mixed-authentication", Practice: analyze.Authentication, Doc: "endpoints that are called both with and without a credential", SQL: `
SELECT service, method, template, operation, auth['none'] AS without_credential, arraySum(mapValues(mapFilter((k, v) -> k != 'none', auth))) AS with_credential, auth
FROM endpoints_current WHERE without_credential > 0 AND with_credential > 0 ORDER BY without_credential DESC, service, template`},

	{Name: "credentials", Practice: analyze.Authentication, Doc: "kinds of credentials by service", SQL: `
SELECT service, auth, sum(t.calls) AS calls, sumIf(t.calls, status IN (401, 403)) AS refused, sumIf(t.calls, wire = 'plaintext') AS in_the_clear
FROM traffic_day_current AS t GROUP BY service, auth ORDER BY service, calls DESC, auth`},

	{Name: "refused", Practice: analyze.Authentication, Doc: "callers that were refused most: wrong passwords, stuffing, tokens that ended", SQL: `
SELECT client, service, sum(c.refused) AS refused, sum(c.calls) AS calls, round(100 * refused / calls, 1) AS percent, uniq(principal) AS credentials, max(c.last_seen) AS last
FROM callers_current AS c GROUP BY client, service HAVING refused > 0 ORDER BY refused DESC, client, service LIMIT 100`},

	// 5 least privilege
	{Name: "principals", Practice: analyze.LeastPrivilege, Doc: "credentials by fingerprint: what each one calls, from how many addresses", SQL: `
SELECT principal, any(auth) AS kind, sum(c.calls) AS calls, uniq(client) AS clients, uniq(service) AS services,
    ` + strings.ReplaceAll(storage.EndpointsSQL, "$SKETCH", "groupBitOr(c.endpoint_sketch)") + ` AS endpoints, sum(c.writes) AS writes, min(c.first_seen) AS first, max(c.last_seen) AS last
FROM callers_current AS c WHERE principal != '' AND auth != 'none' GROUP BY principal ORDER BY calls DESC, principal LIMIT 50`},

	{Name: "broad-principals", Practice: analyze.LeastPrivilege, Doc: "credentials that change things in more than one service", SQL: `
SELECT principal, any(auth) AS kind, uniqExactIf(service, c.writes > 0) AS services_written, uniqExact(service) AS services, sum(c.writes) AS writes, sum(c.calls) AS calls
FROM callers_current AS c WHERE principal != '' AND auth != 'none' GROUP BY principal HAVING services_written > 1 ORDER BY services_written DESC, writes DESC, principal LIMIT 100`},

	{Name: "privileged", Practice: analyze.LeastPrivilege, Doc: "administrative endpoints that succeeded, by kind of credential", SQL: `
SELECT service, method, template, operation, auth, sum(t.calls) AS calls, max(t.day) AS last_day
FROM traffic_day_current AS t
WHERE match(template, '(?i)/(admin|administration|internal|manage|management|actuator|debug|_debug|system|root|superuser)(/|$)') AND status >= 200 AND status < 300
GROUP BY service, method, template, operation, auth ORDER BY auth != 'none', calls DESC, service, template`},

	{Name: "new-callers", Practice: analyze.LeastPrivilege, Doc: "callers of a service that were new in the last days of the traffic (--param days=7)", Params: days, SQL: `
SELECT service, client, any(auth) AS kind, min(c.first_seen) AS first, sum(c.calls) AS calls, sum(c.with_sensitive) AS with_sensitive
FROM callers_current AS c GROUP BY service, client
HAVING first >= (SELECT max(day) FROM callers) - toIntervalDay({days:UInt16}) ORDER BY with_sensitive DESC, calls DESC, service, client LIMIT 200`},

	// 6 documentation
	{Name: "fields", Practice: analyze.Documentation, Doc: "shapes: parameters and body fields of each endpoint", SQL: `
SELECT service, method, template, operation, side, location, status, path, types, format, required, nullable
FROM fields_current ORDER BY service, template, method, side, location, status, path`},

	{Name: "undocumented", Practice: analyze.Documentation, Doc: "findings about documents by service: what they lack and what they get wrong", SQL: `
SELECT service, rule, any(f.title) AS title, count() AS places, max(f.severity) AS worst, max(f.last_seen) AS last_seen
FROM findings_open AS f WHERE startsWith(rule, 'doc.') OR practice = 'documentation' GROUP BY service, rule ORDER BY worst DESC, places DESC, service, rule`},

	// 7 validation
	{Name: "attacks", Practice: analyze.Validation, Doc: "injection and other attempts, and what came of them", SQL: `
SELECT severity, rule, level, service, endpoint, place, summary, count, last_seen
FROM findings_open WHERE practice = 'validation' ORDER BY severity DESC, count DESC, key`},

	{Name: "flaws", Practice: analyze.Validation, Doc: "oddities of the protocol by caller: smuggling begins with them", SQL: `
SELECT flaw, service, client, count() AS calls, min(time) AS first, max(time) AS last
FROM (SELECT time, service, client, flaws FROM calls_current WHERE notEmpty(flaws)) ARRAY JOIN flaws AS flaw GROUP BY flaw, service, client ORDER BY calls DESC, flaw, service, client LIMIT 200`},

	{Name: "errors", Practice: analyze.Validation, Doc: "endpoints by the share of calls that failed", SQL: `
SELECT service, method, multiIf(template = '', '(never succeeded)', operation = '', template, concat(template, ' ', operation)) AS path, sum(t.calls) AS calls, sumIf(t.calls, status >= 500) AS server_errors,
    sumIf(t.calls, status >= 400 AND status < 500) AS client_errors, sumIf(t.calls, status = 0) AS unanswered,
    round(100 * (server_errors + client_errors + unanswered) / calls, 1) AS percent
FROM traffic_day_current AS t GROUP BY service, method, path HAVING percent > 0 ORDER BY percent DESC, calls DESC, service, path LIMIT 50`},

	// 8 exposure
	{Name: "sensitive-data", Practice: analyze.Exposure, Doc: "where sensitive data flows, worst first, with masked samples", SQL: `
SELECT severity, kind, service, method, template, operation, side, location, name, count, samples
FROM sensitive_current ORDER BY severity DESC, count DESC, kind, service, template`},

	{Name: "data-map", Practice: analyze.Exposure, Doc: "kinds of sensitive data by service and direction", SQL: `
SELECT category, kind, service, countIf(side = 'request') AS places_in_requests, countIf(side = 'response') AS places_in_responses, sum(s.count) AS values,
    uniqExact(endpoint) AS endpoints, max(s.severity) AS worst
FROM sensitive_current AS s GROUP BY category, kind, service ORDER BY worst DESC, values DESC, kind, service`},

	{Name: "heavy-readers", Practice: analyze.Exposure, Doc: "who took most bytes and most sensitive answers in a day", SQL: `
SELECT day, service, client, principal, auth, calls, response_bytes, with_sensitive
FROM callers_current ORDER BY with_sensitive DESC, response_bytes DESC, client LIMIT 100`},

	{Name: "large-answers", Practice: analyze.Exposure, Doc: "endpoints by the size of their answers", SQL: `
SELECT service, method, template, operation, requests, round(response_bytes / greatest(requests, 1)) AS average_bytes, response_bytes
FROM endpoints_current WHERE response_bytes > 0 ORDER BY average_bytes DESC, service, template LIMIT 50`},

	// 9 management
	{Name: "top-talkers", Practice: analyze.Management, Doc: "clients with the most calls", SQL: `
SELECT client, sum(c.calls) AS calls, uniq(service) AS services, ` + strings.ReplaceAll(storage.EndpointsSQL, "$SKETCH", "groupBitOr(c.endpoint_sketch)") + ` AS endpoints,
    sum(c.refused) + sum(c.failed) AS failed, sum(c.request_bytes) AS sent, sum(c.response_bytes) AS received, min(c.first_seen) AS first, max(c.last_seen) AS last
FROM callers_current AS c GROUP BY client ORDER BY calls DESC, client LIMIT 50`},

	{Name: "slow", Practice: analyze.Management, Doc: "endpoints by the time they take, in ranges of a quarter", SQL: `
SELECT service, method, path, calls, ` + latencies("0.5", "h") + ` AS p50_ms, ` + latencies("0.95", "h") + ` AS p95_ms, ` + latencies("0.99", "h") + ` AS p99_ms
FROM (
    SELECT service, method, multiIf(template = '', '(never succeeded)', operation = '', template, concat(template, ' ', operation)) AS path, sum(t.calls) AS calls, sumMap(t.latency) AS h
    FROM traffic_day_current AS t GROUP BY service, method, path
) WHERE notEmpty(h) ORDER BY p95_ms DESC, service, path LIMIT 50`},

	{Name: "peaks", Practice: analyze.Management, Doc: "busiest minute of each endpoint and how many calls of it were refused for their rate, over the last days (--param days=1)", Params: []storage.Param{{Name: "days", Value: "1"}}, SQL: `
SELECT service, method, template, operation, max(n) AS calls_in_a_minute, argMax(minute, n) AS at, sum(limited) AS refused_for_rate
FROM (
    SELECT service, method, template, operation, minute, sum(t.calls) AS n, sumIf(t.calls, status = 429) AS limited
    FROM traffic_minute_current AS t WHERE minute >= (SELECT max(minute) FROM traffic_minute) - toIntervalDay({days:UInt16})
    GROUP BY service, method, template, operation, minute
) WHERE template != '' GROUP BY service, method, template, operation ORDER BY calls_in_a_minute DESC, service, template LIMIT 100`},

	{Name: "unlimited", Practice: analyze.Management, Doc: "endpoints that never refused a call for its rate, busiest minute first, over the last days (--param days=1)", Params: []storage.Param{{Name: "days", Value: "1"}}, SQL: `
SELECT service, method, template, operation, max(n) AS calls_in_a_minute, argMax(minute, n) AS at
FROM (
    SELECT service, method, template, operation, minute, sum(t.calls) AS n, sumIf(t.calls, status = 429) AS limited
    FROM traffic_minute_current AS t WHERE minute >= (SELECT max(minute) FROM traffic_minute) - toIntervalDay({days:UInt16})
    GROUP BY service, method, template, operation, minute
) WHERE template != '' GROUP BY service, method, template, operation HAVING sum(limited) = 0 ORDER BY calls_in_a_minute DESC, service, template LIMIT 100`},

	// 10 testing
	{Name: "scanners", Practice: analyze.Testing, Doc: "callers that try paths that never succeed", SQL: `
SELECT client, sum(c.never_succeeded) AS tries, sum(c.calls) AS calls, arraySort(groupUniqArray(20)(service)) AS services, min(c.first_seen) AS first, max(c.last_seen) AS last
FROM callers_current AS c GROUP BY client HAVING tries > 0 ORDER BY tries DESC, client LIMIT 50`},

	{Name: "test-coverage", Practice: analyze.Testing, Doc: "which classes of calls each endpoint has seen: without credential, refused, invalid, over rate, failed", SQL: `
SELECT service, method, template, operation, sum(t.calls) AS calls, sumIf(t.calls, auth = 'none') AS without_credential, sumIf(t.calls, status IN (401, 403)) AS refused,
    sumIf(t.calls, status IN (400, 409, 415, 422)) AS invalid, sumIf(t.calls, status = 429) AS over_rate, sumIf(t.calls, status >= 500) AS failed,
    (without_credential > 0) + (refused > 0) + (invalid > 0) + (over_rate > 0) AS classes
FROM traffic_day_current AS t WHERE template != '' GROUP BY service, method, template, operation ORDER BY classes, calls DESC, service, template`},

	// 11 keys
	{Name: "keys", Practice: analyze.Keys, Doc: "keys and tokens by the days that they have been in use, at least", SQL: `
SELECT principal, any(auth) AS kind, dateDiff('day', min(c.first_seen), max(c.last_seen)) AS days_in_use, min(c.first_seen) AS first, max(c.last_seen) AS last,
    sum(c.calls) AS calls, arraySort(groupUniqArray(20)(service)) AS services
FROM callers_current AS c WHERE principal != '' AND auth != 'none' GROUP BY principal ORDER BY days_in_use DESC, calls DESC, principal LIMIT 200`},

	{Name: "shared-keys", Practice: analyze.Keys, Doc: "keys and tokens used from several addresses or in several services", SQL: `
SELECT principal, any(auth) AS kind, uniqExact(client) AS clients, uniqExact(service) AS services, sum(c.calls) AS calls, max(c.last_seen) AS last
FROM callers_current AS c WHERE principal != '' AND auth != 'none' GROUP BY principal HAVING clients > 1 OR services > 1 ORDER BY clients DESC, services DESC, principal LIMIT 200`},

	{Name: "keys-exposed", Practice: analyze.Keys, Doc: "keys, tokens and passwords outside of headers: in addresses, bodies and answers", SQL: `
SELECT severity, kind, service, method, template, operation, side, location, name, count, samples
FROM sensitive_current WHERE category IN ('credential', 'secret') AND NOT (side = 'request' AND location IN ('header', 'cookie'))
ORDER BY severity DESC, count DESC, kind, service, template`},
}
