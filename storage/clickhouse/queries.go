package clickhouse

// Named is a question with a name. It is documentation and test at once: each
// is run on a filled store.
type Named struct{ Name, Doc, SQL string }

// Queries are the named questions, the commonest first.
var Queries = []Named{
	{"findings", "open findings, worst first", `
SELECT severity, rule, service, endpoint, place, samples, count, last_seen
FROM findings_open ORDER BY severity DESC, count DESC, key`},

	{"endpoints", "endpoints with traffic, answers and credentials", `
SELECT service, method, template, operation, requests, statuses, auth, plaintext, encrypted, round(latency_p95_ms, 1) AS p95_ms, last_seen
FROM endpoints_current ORDER BY service, template, method, operation`},

	{"sensitive-data", "where sensitive data flows, worst first, with masked samples", `
SELECT severity, kind, service, method, template, operation, side, location, name, count, samples
FROM sensitive_current ORDER BY severity DESC, count DESC, kind, service, template, operation`},

	{"encryption-matrix", "services by protection: plaintext first", `
SELECT service, wire, version, uniq(client) AS clients, sum(m.connections) AS connections, sum(m.exchanges) AS exchanges, sum(m.bytes) AS bytes
FROM encryption_matrix AS m GROUP BY service, wire, version ORDER BY wire, exchanges DESC, service`},

	{"tls", "TLS spoken by servers: versions, ciphers, certificates, the oldest first", `
SELECT server, sni, version, cipher, alpn, subject, issuer, if(not_after = toDateTime64(0, 6, 'UTC'), NULL, not_after) AS expires, connections
FROM tls_current ORDER BY version, server, sni`},

	{"unauthenticated", "endpoints that answered without a credential, and the sensitive data in their responses", `
SELECT service, method, template, operation, auth['none'] AS without_credential, e.requests AS requests,
    arraySum((n, status) -> if(status >= 200 AND status < 300, n, 0), mapValues(statuses), mapKeys(statuses)) AS succeeded, s.kinds AS sensitive
FROM endpoints_current AS e
LEFT JOIN (
    SELECT service, method, template, operation, arraySort(groupUniqArray(kind)) AS kinds
    FROM sensitive_current WHERE side = 'response' GROUP BY service, method, template, operation
) AS s USING (service, method, template, operation)
WHERE auth['none'] > 0 AND succeeded > 0 ORDER BY empty(sensitive), without_credential DESC, service, template`},

	{"services", "services with addresses, endpoints and protection", `
SELECT name, addresses, endpoints, requests, wires, first_seen, last_seen FROM services_current ORDER BY requests DESC, name`},

	{"scorecard", "the eleven practices: kept, broken or not visible", `
SELECT number, practice, state, findings, if(findings = 0, '', toString(worst)) AS worst, reason FROM scorecard ORDER BY number`},

	{"coverage", "what was looked at and what could not be seen", `
SELECT kind, name, value, help FROM coverage_current ORDER BY kind DESC, name`},

	{"fields", "shapes: parameters and body fields of each endpoint", `
SELECT service, method, template, operation, side, location, status, path, types, format, required, nullable
FROM fields_current ORDER BY service, template, method, operation, side, location, status, path`},

	{"top-talkers", "clients with the most calls", `
SELECT client, count() AS calls, uniq(service, method, template, operation) AS endpoints, countIf(status >= 400) AS refused,
    sum(request_bytes) AS sent, sum(response_bytes) AS received, min(time) AS first, max(time) AS last
FROM calls_current GROUP BY client ORDER BY calls DESC, client LIMIT 50`},

	{"slow", "endpoints by the time they take", `
SELECT service, method, multiIf(template = '', '(never succeeded)', operation = '', template, concat(template, ' ', operation)) AS path, count() AS calls, round(quantile(0.5)(latency_us) / 1000, 1) AS p50_ms,
    round(quantile(0.95)(latency_us) / 1000, 1) AS p95_ms, round(max(latency_us) / 1000, 1) AS max_ms
FROM calls_current WHERE latency_us > 0 GROUP BY service, method, path ORDER BY p95_ms DESC, service, path LIMIT 50`},

	{"errors", "endpoints by the share of calls that failed", `
SELECT service, method, multiIf(template = '', '(never succeeded)', operation = '', template, concat(template, ' ', operation)) AS path, count() AS calls, countIf(status >= 500) AS server_errors, countIf(status >= 400 AND status < 500) AS client_errors,
    countIf(status = 0) AS unanswered, round(100 * countIf(status >= 400 OR status = 0) / calls, 1) AS percent
FROM calls_current GROUP BY service, method, path HAVING percent > 0 ORDER BY percent DESC, calls DESC, service, path LIMIT 50`},

	{"principals", "credentials by fingerprint: what each one calls, from how many addresses", `
SELECT principal, any(auth) AS kind, count() AS calls, uniq(client) AS clients, uniq(service, method, template, operation) AS endpoints, max(time) AS last
FROM calls_current WHERE principal != '' AND auth != 'none' GROUP BY principal ORDER BY calls DESC, principal LIMIT 50`},

	{"captures", "files that are in the store", `
SELECT name, format, bytes, frames, sha256, damaged FROM captures_current ORDER BY name, sha256`},
}
