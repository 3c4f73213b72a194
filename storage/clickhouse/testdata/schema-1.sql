CREATE TABLE IF NOT EXISTS schema_version
(
    version UInt32 COMMENT 'step that was applied',
    applied DateTime('UTC') DEFAULT now() COMMENT 'when'
)
ENGINE = ReplacingMergeTree ORDER BY version;

CREATE TABLE IF NOT EXISTS calls
(
    time DateTime64(6, 'UTC') COMMENT 'of the request, by the traffic\'s clock' CODEC(Delta, ZSTD(1)),
    conn UInt64 COMMENT 'number of the connection within the run' CODEC(T64, ZSTD(1)),
    frame UInt64 COMMENT 'number of the frame with the request\'s first byte' CODEC(T64, ZSTD(1)),
    client String COMMENT 'address of the caller' CODEC(ZSTD(1)),
    server LowCardinality(String) COMMENT 'address:port of the server' CODEC(ZSTD(1)),
    service LowCardinality(String) COMMENT 'host, else address:port' CODEC(ZSTD(1)),
    method LowCardinality(String) COMMENT 'of the request' CODEC(ZSTD(1)),
    template LowCardinality(String) COMMENT 'path template as far as it was known then' CODEC(ZSTD(1)),
    status UInt16 COMMENT 'of the response; 0: none seen' CODEC(T64, ZSTD(1)),
    wire LowCardinality(String) COMMENT 'plaintext or tls' CODEC(ZSTD(1)),
    auth LowCardinality(String) COMMENT 'kind of credential, or none' CODEC(ZSTD(1)),
    principal String COMMENT 'keyed fingerprint of the credential' CODEC(ZSTD(1)),
    request_bytes UInt64 COMMENT 'body of the request' CODEC(T64, ZSTD(1)),
    response_bytes UInt64 COMMENT 'body of the response' CODEC(T64, ZSTD(1)),
    latency_us UInt64 COMMENT 'microseconds from request to response; 0: unknown' CODEC(T64, ZSTD(1)),
    sensitive Array(LowCardinality(String)) COMMENT 'kinds of sensitive data in it' CODEC(ZSTD(1)),
    flaws Array(LowCardinality(String)) COMMENT 'oddities of the protocol' CODEC(ZSTD(1)),
    incomplete Bool COMMENT 'whether a part was not seen' CODEC(ZSTD(1)),
    run UInt64 COMMENT 'reading that wrote the row; see sources' CODEC(Delta, ZSTD(1)),
    batch UInt64 COMMENT 'insert within the run' CODEC(Delta, ZSTD(1)),
    INDEX by_client client TYPE bloom_filter GRANULARITY 4,
    INDEX by_principal principal TYPE bloom_filter GRANULARITY 4
)
ENGINE = MergeTree ORDER BY (toStartOfHour(time), service, method, template, time)
COMMENT 'one row for each exchange; paths as templates, principals as keyed fingerprints, no captured value';

CREATE TABLE IF NOT EXISTS services
(
    name LowCardinality(String) COMMENT 'host, else address:port' CODEC(ZSTD(1)),
    addresses Array(String) COMMENT 'address:port of its servers' CODEC(ZSTD(1)),
    endpoints UInt64 COMMENT 'how many' CODEC(T64, ZSTD(1)),
    requests UInt64 COMMENT 'how many' CODEC(T64, ZSTD(1)),
    wires Array(LowCardinality(String)) COMMENT 'plaintext, tls or both' CODEC(ZSTD(1)),
    first_seen DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    last_seen DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    run UInt64 COMMENT 'reading that wrote the row; see sources' CODEC(Delta, ZSTD(1)),
    batch UInt64 COMMENT 'insert within the run' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(run) ORDER BY (name, run)
COMMENT 'what answers requests';

CREATE TABLE IF NOT EXISTS endpoints
(
    id String COMMENT 'the same wherever service, method and template are' CODEC(ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    method LowCardinality(String) CODEC(ZSTD(1)),
    template String COMMENT 'path with its variable parts named' CODEC(ZSTD(1)),
    requests UInt64 CODEC(T64, ZSTD(1)),
    unanswered UInt64 COMMENT 'requests without a response' CODEC(T64, ZSTD(1)),
    statuses Map(UInt16, UInt64) COMMENT 'responses by status' CODEC(ZSTD(1)),
    plaintext UInt64 COMMENT 'requests in the clear' CODEC(T64, ZSTD(1)),
    encrypted UInt64 COMMENT 'requests inside TLS' CODEC(T64, ZSTD(1)),
    auth Map(LowCardinality(String), UInt64) COMMENT 'requests by kind of credential' CODEC(ZSTD(1)),
    clients UInt64 COMMENT 'distinct addresses, about' CODEC(T64, ZSTD(1)),
    request_bytes UInt64 COMMENT 'of bodies' CODEC(T64, ZSTD(1)),
    response_bytes UInt64 COMMENT 'of bodies' CODEC(T64, ZSTD(1)),
    latency_p50_ms Float64 COMMENT 'median' CODEC(ZSTD(1)),
    latency_p95_ms Float64 COMMENT '95th percentile' CODEC(ZSTD(1)),
    first_seen DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    last_seen DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    run UInt64 COMMENT 'reading that wrote the row; see sources' CODEC(Delta, ZSTD(1)),
    batch UInt64 COMMENT 'insert within the run' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(run) ORDER BY (service, method, template, id, run)
COMMENT 'service, method and path template, with what was learned';

CREATE TABLE IF NOT EXISTS fields
(
    endpoint String COMMENT 'id of the endpoint' CODEC(ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    method LowCardinality(String) CODEC(ZSTD(1)),
    template String CODEC(ZSTD(1)),
    side LowCardinality(String) COMMENT 'request or response' CODEC(ZSTD(1)),
    location LowCardinality(String) COMMENT 'path, query, header, cookie, set-cookie or body' CODEC(ZSTD(1)),
    status LowCardinality(String) COMMENT 'class of the response, as 2xx' CODEC(ZSTD(1)),
    content_type LowCardinality(String) CODEC(ZSTD(1)),
    path String COMMENT 'name, or path in the body as $.items[].id' CODEC(ZSTD(1)),
    types Array(LowCardinality(String)) COMMENT 'of JSON Schema' CODEC(ZSTD(1)),
    format LowCardinality(String) COMMENT 'as date-time, uuid' CODEC(ZSTD(1)),
    nullable Bool CODEC(ZSTD(1)),
    required Bool COMMENT 'present wherever its parent was' CODEC(ZSTD(1)),
    free_keys Bool COMMENT 'an object whose keys are data' CODEC(ZSTD(1)),
    enum Array(String) COMMENT 'values, only where proven and not sensitive' CODEC(ZSTD(1)),
    present UInt64 COMMENT 'messages that had it' CODEC(T64, ZSTD(1)),
    parents UInt64 COMMENT 'messages that could have had it' CODEC(T64, ZSTD(1)),
    run UInt64 COMMENT 'reading that wrote the row; see sources' CODEC(Delta, ZSTD(1)),
    batch UInt64 COMMENT 'insert within the run' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(run) ORDER BY (service, method, template, side, location, status, content_type, path, run)
COMMENT 'parameters and body fields with their shapes';

CREATE TABLE IF NOT EXISTS sensitive
(
    endpoint String COMMENT 'id of the endpoint' CODEC(ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    method LowCardinality(String) CODEC(ZSTD(1)),
    template String CODEC(ZSTD(1)),
    kind LowCardinality(String) COMMENT 'id of the detector' CODEC(ZSTD(1)),
    category LowCardinality(String) CODEC(ZSTD(1)),
    side LowCardinality(String) COMMENT 'request or response' CODEC(ZSTD(1)),
    location LowCardinality(String) COMMENT 'part of the message' CODEC(ZSTD(1)),
    name String COMMENT 'header, parameter or field' CODEC(ZSTD(1)),
    count UInt64 COMMENT 'values seen' CODEC(T64, ZSTD(1)),
    severity Enum8('info' = 0, 'low' = 1, 'medium' = 2, 'high' = 3, 'critical' = 4) CODEC(ZSTD(1)),
    `samples.mask` Array(String) COMMENT 'at most the first and last two characters' CODEC(ZSTD(1)),
    `samples.fingerprint` Array(String) COMMENT 'keyed; equal values have equal ones' CODEC(ZSTD(1)),
    `samples.length` Array(UInt32) COMMENT 'bytes' CODEC(ZSTD(1)),
    run UInt64 COMMENT 'reading that wrote the row; see sources' CODEC(Delta, ZSTD(1)),
    batch UInt64 COMMENT 'insert within the run' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(run) ORDER BY (service, method, template, kind, side, location, name, run)
COMMENT 'kinds of sensitive data by endpoint and place; samples are masked';

CREATE TABLE IF NOT EXISTS findings
(
    key String COMMENT 'stable between runs and hosts' CODEC(ZSTD(1)),
    rule LowCardinality(String) COMMENT 'id; see plainsight rules' CODEC(ZSTD(1)),
    title LowCardinality(String) CODEC(ZSTD(1)),
    practice LowCardinality(String) COMMENT 'of the eleven' CODEC(ZSTD(1)),
    severity Enum8('info' = 0, 'low' = 1, 'medium' = 2, 'high' = 3, 'critical' = 4) CODEC(ZSTD(1)),
    level LowCardinality(String) COMMENT 'proved, inferred or not seen' CODEC(ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    endpoint String COMMENT 'method and template' CODEC(ZSTD(1)),
    place String COMMENT 'in the endpoint\'s messages' CODEC(ZSTD(1)),
    summary String COMMENT 'what was seen, where, how often' CODEC(ZSTD(1)),
    why String COMMENT 'why it matters' CODEC(ZSTD(1)),
    fix String COMMENT 'what to do' CODEC(ZSTD(1)),
    owasp Array(LowCardinality(String)) CODEC(ZSTD(1)),
    cwe Array(LowCardinality(String)) CODEC(ZSTD(1)),
    count UInt64 COMMENT 'times seen' CODEC(T64, ZSTD(1)),
    principals UInt64 COMMENT 'distinct credentials' CODEC(T64, ZSTD(1)),
    first_seen DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    last_seen DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    `samples.mask` Array(String) COMMENT 'at most the first and last two characters' CODEC(ZSTD(1)),
    `samples.fingerprint` Array(String) COMMENT 'keyed; equal values have equal ones' CODEC(ZSTD(1)),
    `samples.length` Array(UInt32) COMMENT 'bytes' CODEC(ZSTD(1)),
    `evidence.capture` Array(String) COMMENT 'base name of the file' CODEC(ZSTD(1)),
    `evidence.frame` Array(UInt64) COMMENT 'in that file' CODEC(ZSTD(1)),
    `evidence.time` Array(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    `evidence.client` Array(String) CODEC(ZSTD(1)),
    `evidence.server` Array(String) CODEC(ZSTD(1)),
    `evidence.status` Array(UInt16) CODEC(ZSTD(1)),
    run UInt64 COMMENT 'reading that wrote the row; see sources' CODEC(Delta, ZSTD(1)),
    batch UInt64 COMMENT 'insert within the run' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(run) ORDER BY (rule, service, endpoint, place, key, run)
COMMENT 'one row for each rule, service, endpoint and place';

CREATE TABLE IF NOT EXISTS edges
(
    client String COMMENT 'address, or a network where there are many' CODEC(ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    server LowCardinality(String) COMMENT 'address:port' CODEC(ZSTD(1)),
    wire LowCardinality(String) COMMENT 'plaintext or tls' CODEC(ZSTD(1)),
    version LowCardinality(String) COMMENT 'of TLS' CODEC(ZSTD(1)),
    cipher LowCardinality(String) COMMENT 'of TLS' CODEC(ZSTD(1)),
    connections UInt64 CODEC(T64, ZSTD(1)),
    exchanges UInt64 COMMENT 'that could be read' CODEC(T64, ZSTD(1)),
    bytes UInt64 COMMENT 'of the connections\' payload' CODEC(T64, ZSTD(1)),
    first_seen DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    last_seen DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    run UInt64 COMMENT 'reading that wrote the row; see sources' CODEC(Delta, ZSTD(1)),
    batch UInt64 COMMENT 'insert within the run' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(run) ORDER BY (service, server, client, wire, version, cipher, run)
COMMENT 'who talks to whom, and how it is protected';

CREATE TABLE IF NOT EXISTS sessions
(
    server LowCardinality(String) COMMENT 'address:port' CODEC(ZSTD(1)),
    sni String COMMENT 'name that clients asked for' CODEC(ZSTD(1)),
    version LowCardinality(String) COMMENT 'chosen' CODEC(ZSTD(1)),
    cipher LowCardinality(String) COMMENT 'chosen' CODEC(ZSTD(1)),
    alpn LowCardinality(String) COMMENT 'chosen' CODEC(ZSTD(1)),
    ja3 Array(String) COMMENT 'of clients, at most ten' CODEC(ZSTD(1)),
    ja3s String COMMENT 'of the server' CODEC(ZSTD(1)),
    subject String COMMENT 'of the certificate, where visible' CODEC(ZSTD(1)),
    issuer String CODEC(ZSTD(1)),
    not_after DateTime64(6, 'UTC') COMMENT 'end of its validity; 1970: not visible' CODEC(ZSTD(1)),
    certificate String COMMENT 'SHA-256' CODEC(ZSTD(1)),
    connections UInt64 CODEC(T64, ZSTD(1)),
    first_seen DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    last_seen DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    run UInt64 COMMENT 'reading that wrote the row; see sources' CODEC(Delta, ZSTD(1)),
    batch UInt64 COMMENT 'insert within the run' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(run) ORDER BY (server, sni, version, cipher, alpn, ja3s, certificate, run)
COMMENT 'TLS by server, name, version, cipher and certificate';

CREATE TABLE IF NOT EXISTS scores
(
    number UInt8 COMMENT 'of the practice, from 1' CODEC(ZSTD(1)),
    practice LowCardinality(String) CODEC(ZSTD(1)),
    state LowCardinality(String) COMMENT 'kept, broken or not visible' CODEC(ZSTD(1)),
    findings UInt64 COMMENT 'that break it' CODEC(T64, ZSTD(1)),
    worst Enum8('info' = 0, 'low' = 1, 'medium' = 2, 'high' = 3, 'critical' = 4) COMMENT 'severity among them' CODEC(ZSTD(1)),
    reason String CODEC(ZSTD(1)),
    run UInt64 COMMENT 'reading that wrote the row; see sources' CODEC(Delta, ZSTD(1)),
    batch UInt64 COMMENT 'insert within the run' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(run) ORDER BY (number, run)
COMMENT 'the eleven practices: kept, broken or not visible';

CREATE TABLE IF NOT EXISTS coverage
(
    kind LowCardinality(String) COMMENT 'counter, or not visible' CODEC(ZSTD(1)),
    name String COMMENT 'of the counter; the sentence, where kind is not visible' CODEC(ZSTD(1)),
    help String CODEC(ZSTD(1)),
    value UInt64 CODEC(T64, ZSTD(1)),
    run UInt64 COMMENT 'reading that wrote the row; see sources' CODEC(Delta, ZSTD(1)),
    batch UInt64 COMMENT 'insert within the run' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(run) ORDER BY (kind, name, run)
COMMENT 'what was looked at and what could not be seen';

CREATE TABLE IF NOT EXISTS captures
(
    name String COMMENT 'base name' CODEC(ZSTD(1)),
    format LowCardinality(String) CODEC(ZSTD(1)),
    sha256 String COMMENT 'of its bytes' CODEC(ZSTD(1)),
    bytes UInt64 CODEC(T64, ZSTD(1)),
    frames UInt64 CODEC(T64, ZSTD(1)),
    damaged String COMMENT 'why its tail could not be read' CODEC(ZSTD(1)),
    run UInt64 COMMENT 'reading that wrote the row; see sources' CODEC(Delta, ZSTD(1)),
    batch UInt64 COMMENT 'insert within the run' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(run) ORDER BY (sha256, name, run)
COMMENT 'files that were read';

CREATE TABLE IF NOT EXISTS sources
(
    source String COMMENT 'identity of the captures' CODEC(ZSTD(1)),
    captures Array(String) COMMENT 'SHA-256 of each' CODEC(ZSTD(1)),
    version LowCardinality(String) COMMENT 'of plainsight' CODEC(ZSTD(1)),
    exchanges UInt64 CODEC(T64, ZSTD(1)),
    first_seen DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    last_seen DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    committed DateTime64(6, 'UTC') COMMENT 'when the run ended, by the clock of the machine' CODEC(Delta, ZSTD(1)),
    run UInt64 COMMENT 'reading that wrote the row; see sources' CODEC(Delta, ZSTD(1)),
    batch UInt64 COMMENT 'insert within the run' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(run) ORDER BY source
COMMENT 'sets of captures that were read together; the run given here is the one that counts';

