// Package analyze holds the words of the analysis stage: services, endpoints,
// fields, findings, the encryption matrix, coverage, and the snapshot that
// carries them to reports and stores. It imports only the standard library and
// does no work.
//
// Nothing in these types is a captured value: secrets and personal data appear
// only as [Mask]ed text and keyed [Fingerprint]s, paths as templates. All
// strings are owned, valid UTF-8 and bounded (see [Clean]).
package analyze

import (
	"errors"
	"strings"
	"time"
)

// Severity says how bad a finding is.
type Severity uint8

// Severities, from least to worst.
const (
	Info Severity = iota
	Low
	Medium
	High
	Critical
)

var severityNames = [...]string{"info", "low", "medium", "high", "critical"}

func (s Severity) String() string { return severityNames[s] }

// MarshalText writes the severity by name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a severity by name.
func (s *Severity) UnmarshalText(b []byte) error {
	v, ok := ParseSeverity(string(b))
	if !ok {
		return errors.New("no severity")
	}
	*s = v
	return nil
}

// ParseSeverity reads a severity by name.
func ParseSeverity(name string) (Severity, bool) {
	for i, n := range severityNames {
		if strings.EqualFold(n, name) {
			return Severity(i), true
		}
	}
	return 0, false
}

// Raise returns the severity one step worse.
func (s Severity) Raise() Severity { return min(s+1, Critical) }

// Level says how a finding is known.
type Level string

// Evidence levels (rule 4 of the catalogue).
const (
	Proved   Level = "proved"   // one exchange shows it
	Inferred Level = "inferred" // a statistic, with n and threshold in the evidence
	NotSeen  Level = "not seen" // an absence within the window
)

// Practice is one of the eleven practices of API security.
type Practice uint8

// The eleven practices, numbered from 1 as in the catalogue.
const (
	Discovery Practice = iota + 1
	Shadow
	Encryption
	Authentication
	LeastPrivilege
	Documentation
	Validation
	Exposure
	Management
	Testing
	Keys
)

var practiceNames = [...]string{"", "discovery", "shadow APIs", "encryption", "authentication", "least privilege",
	"documentation", "validation", "exposure", "management", "testing", "keys"}

func (p Practice) String() string { return practiceNames[p] }

// MarshalText writes the practice by name.
func (p Practice) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads a practice by name.
func (p *Practice) UnmarshalText(b []byte) error {
	for i, n := range practiceNames {
		if n == string(b) {
			*p = Practice(i)
			return nil
		}
	}
	return errors.New("no practice")
}

// Side is one side of an exchange.
type Side uint8

// Sides.
const (
	Request Side = iota
	Response
)

func (s Side) String() string {
	if s == Request {
		return "request"
	}
	return "response"
}

// MarshalText writes the side by name.
func (s Side) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a side by name.
func (s *Side) UnmarshalText(b []byte) error {
	switch string(b) {
	case "request":
		*s = Request
	case "response":
		*s = Response
	default:
		return errors.New("no side of an exchange")
	}
	return nil
}

// Where is a part of a message.
type Where string

// Parts of a message.
const (
	InPath      Where = "path"
	InQuery     Where = "query"
	InHeader    Where = "header"
	InCookie    Where = "cookie"
	InSetCookie Where = "set-cookie"
	InBody      Where = "body"
	InMessage   Where = "message" // of a WebSocket: of the client on the request's side, of the server on the response's
)

// Place is where in an endpoint's messages something is. Name is a header,
// parameter or cookie name, the index of a path segment, or the path of a body
// field with array indices and map keys generalised: $.items[].email.
type Place struct {
	Side  Side   `json:"side"`
	Where Where  `json:"where"`
	Name  string `json:"name"`
}

func (p Place) String() string {
	if p.Name == "" {
		return p.Side.String() + " " + string(p.Where)
	}
	return p.Side.String() + " " + string(p.Where) + " " + p.Name
}

// Wire says how traffic was protected.
type Wire string

// Protections. What is not on the list is not known.
const (
	Plaintext Wire = "plaintext"
	TLS       Wire = "tls"
)

// Service is something that answers requests.
type Service struct {
	Name      string    `json:"name"` // host, else address:port
	Addresses []string  `json:"addresses"`
	Endpoints int       `json:"endpoints"`
	Requests  uint64    `json:"requests"`
	Wires     []Wire    `json:"wires"`
	First     time.Time `json:"first_seen"`
	Last      time.Time `json:"last_seen"`
}

// Endpoint is a service, a method, a path template and, where one path stands
// for many operations, the name of one, with all that was learned about it.
type Endpoint struct {
	ID        string `json:"id"` // deterministic: of service, method, template and operation
	Service   string `json:"service"`
	Method    string `json:"method"`
	Template  string `json:"template"`
	Style     string `json:"style,omitempty"`     // graphql, json-rpc, soap, grpc; "": the path says it all
	Operation string `json:"operation,omitempty"` // as package operation names it; "" for gRPC, where the path does

	Requests   uint64            `json:"requests"`
	Unanswered uint64            `json:"unanswered"`
	Statuses   map[int]uint64    `json:"statuses"`
	Plaintext  uint64            `json:"plaintext"`         // requests seen in the clear on the wire
	Encrypted  uint64            `json:"encrypted"`         // requests seen inside TLS
	Auth       map[string]uint64 `json:"auth"`              // requests by kind of credential: bearer, jwt, basic, cookie:NAME, apikey:header:NAME, none
	Clients    uint64            `json:"clients"`           // distinct client addresses, approximate above some tens
	Outside    uint64            `json:"outside"`           // successes for clients at public addresses
	Retired    time.Time         `json:"retired,omitzero"`  // the earliest day on which its answers say that it is deprecated or ends; zero: none
	Overdue    uint64            `json:"overdue,omitempty"` // successes after that day

	RequestBytes  int64     `json:"request_bytes"`
	ResponseBytes int64     `json:"response_bytes"`
	LatencyP50    float64   `json:"latency_p50_ms"`
	LatencyP95    float64   `json:"latency_p95_ms"`
	First         time.Time `json:"first_seen"`
	Last          time.Time `json:"last_seen"`

	Parameters []Field     `json:"parameters"` // path, query, header and cookie parameters
	Fields     []Field     `json:"fields"`     // of request and response bodies
	Sensitive  []Sensitive `json:"sensitive"`
}

// Name is how people and findings name the endpoint: its method, its template
// and, where there is one, its operation.
func (e *Endpoint) Name() string { return EndpointName(e.Method, e.Template, e.Operation) }

// EndpointName joins the parts of an endpoint's name. A template has no spaces.
func EndpointName(method, template, operation string) string {
	if operation == "" {
		return method + " " + template
	}
	return method + " " + template + " " + operation
}

// Field is a parameter or a body field and its shape.
type Field struct {
	Side        Side     `json:"side"`
	Where       Where    `json:"where"`
	Status      string   `json:"status,omitempty"` // of the response, exact: "200"; "" for requests
	ContentType string   `json:"content_type,omitempty"`
	Path        string   `json:"path"`  // as Place.Name; the root of a body is $, a path parameter has its name in the template
	Types       []string `json:"types"` // of JSON Schema: string, integer, number, boolean, object, array
	Format      string   `json:"format,omitempty"`
	Nullable    bool     `json:"nullable,omitempty"`
	Required    bool     `json:"required"`       // present wherever its parent was
	Map         bool     `json:"map,omitempty"`  // an object with free keys
	Enum        []string `json:"enum,omitempty"` // only when proven and not sensitive
	Present     uint64   `json:"present"`        // messages (parents, for nested fields) that had it
	Of          uint64   `json:"of"`             // out of so many
}

// Sensitive is a kind of sensitive data at a place of an endpoint.
type Sensitive struct {
	Kind     string   `json:"kind"` // id of the detector: email, credit_card, jwt, …
	Category string   `json:"category"`
	Place    Place    `json:"place"`
	Count    uint64   `json:"count"`
	Severity Severity `json:"severity"`
	Samples  []Sample `json:"samples"` // at most three
}

// Sample is a masked value with what joins it to its twins elsewhere.
type Sample struct {
	Mask        string `json:"mask"`
	Fingerprint string `json:"fingerprint"` // see Key.Fingerprint
	Length      int    `json:"length"`
}

// Finding is one (rule, service, endpoint, place).
type Finding struct {
	Key      string   `json:"key"` // deterministic and stable between runs: see FindingKey
	Rule     string   `json:"rule"`
	Title    string   `json:"title"`
	Practice Practice `json:"practice"`
	Severity Severity `json:"severity"`
	Level    Level    `json:"level"`
	Service  string   `json:"service"`
	Endpoint string   `json:"endpoint"` // Endpoint.Name, "" for a service or connection
	Place    string   `json:"place"`

	Summary string   `json:"summary"` // what was seen, where, how often
	Why     string   `json:"why"`
	Fix     string   `json:"fix"`
	OWASP   []string `json:"owasp"` // "API2:2023"
	CWE     []string `json:"cwe"`   // "CWE-319"

	Count      uint64    `json:"count"`
	Principals uint64    `json:"principals"`
	First      time.Time `json:"first_seen"`
	Last       time.Time `json:"last_seen"`
	Samples    []Sample  `json:"samples"`
	// Evidence points back at the traffic: connection and frame numbers of the
	// first exchanges that show it, never their content.
	Evidence []Evidence `json:"evidence"`
}

// Evidence points at an exchange.
type Evidence struct {
	Capture string    `json:"capture,omitempty"` // base name of the file
	Frame   uint64    `json:"frame,omitempty"`
	Time    time.Time `json:"time"`
	Client  string    `json:"client"`
	Server  string    `json:"server"`
	Status  int       `json:"status,omitempty"`
}

// Edge is one cell of the encryption matrix: who talks to whom, and how.
type Edge struct {
	Client      string    `json:"client"` // address of the caller; a network where there are many
	Service     string    `json:"service"`
	Server      string    `json:"server"` // address:port
	Wire        Wire      `json:"wire"`
	Version     string    `json:"version,omitempty"` // of TLS
	Cipher      string    `json:"cipher,omitempty"`
	Connections uint64    `json:"connections"`
	Exchanges   uint64    `json:"exchanges"`
	Bytes       int64     `json:"bytes"`
	First       time.Time `json:"first_seen"`
	Last        time.Time `json:"last_seen"`
}

// Session is what was learned of the TLS spoken by a server: one row per
// (server, SNI, version, cipher, certificate).
type Session struct {
	Server      string    `json:"server"`
	SNI         string    `json:"sni"`
	Version     string    `json:"version"`
	Cipher      string    `json:"cipher"`
	ALPN        string    `json:"alpn"`
	JA3         []string  `json:"ja3"` // of clients, at most ten
	JA3S        string    `json:"ja3s"`
	JA4         []string  `json:"ja4"` // of clients, at most ten
	Subject     string    `json:"subject,omitempty"`
	Issuer      string    `json:"issuer,omitempty"`
	NotAfter    time.Time `json:"not_after,omitzero"`
	Certificate string    `json:"certificate,omitempty"` // SHA-256
	Connections uint64    `json:"connections"`
	First       time.Time `json:"first_seen"`
	Last        time.Time `json:"last_seen"`
}

// Call is one exchange as a row: what a store keeps of it. It carries no
// captured value; Template is the path as far as it was known when the call
// was flushed.
type Call struct {
	Time       time.Time
	Conn       uint64
	Frame      uint64
	Stream     uint32 // HTTP/2 stream id; 0: HTTP/1
	Client     string
	Server     string
	Service    string
	Method     string
	Template   string
	Operation  string // as in Endpoint
	Status     int
	Wire       Wire
	Auth       string
	Principal  string // keyed fingerprint
	Request    int64  // body bytes
	Response   int64
	Latency    time.Duration // 0: unknown
	Sensitive  []string      // kinds in it
	Flaws      []string
	Incomplete bool
	Sampling   uint16 // one of so many calls was kept; 0 and 1: all were
}

// Count is a named number with its meaning.
type Count struct {
	Name  string `json:"name"`
	Help  string `json:"help"`
	Value uint64 `json:"value"`
}

// Coverage says what was looked at and what could not be seen.
type Coverage struct {
	Captures   []Capture `json:"captures"`
	Counts     []Count   `json:"counts"`      // every counter that is not zero
	NotVisible []string  `json:"not_visible"` // sentences for people: what stayed unseen, with numbers
	Noise      uint64    `json:"noise"`       // exchanges of paths that never succeeded, and scanners
}

// Capture is a file (or interface) that was read.
type Capture struct {
	Name    string `json:"name"`   // base name
	Format  string `json:"format"` // "pcap", "pcapng", "ndjson", …
	SHA256  string `json:"sha256"` // of its bytes; identifies it, so that reading it again changes nothing
	Bytes   int64  `json:"bytes"`
	Frames  uint64 `json:"frames"`
	Damaged string `json:"damaged,omitempty"` // why its tail could not be read
}

// State says how a practice is kept.
type State string

// States of a practice on the scorecard.
const (
	Kept       State = "kept"
	Broken     State = "broken"
	NotVisible State = "not visible"
)

// Score is a row of the scorecard of the eleven practices.
type Score struct {
	Practice Practice `json:"practice"`
	Number   int      `json:"number"`
	State    State    `json:"state"`
	Findings int      `json:"findings"`
	Worst    Severity `json:"worst"`
	Reason   string   `json:"reason"`
}

// Snapshot is everything that was concluded, in a deterministic order: the
// same traffic gives the same snapshot on any number of shards.
type Snapshot struct {
	Version   string     `json:"version"` // of plainsight
	First     time.Time  `json:"first_seen"`
	Last      time.Time  `json:"last_seen"`
	Exchanges uint64     `json:"exchanges"`
	Services  []Service  `json:"services"`
	Endpoints []Endpoint `json:"endpoints"`
	Findings  []Finding  `json:"findings"` // worst first
	Edges     []Edge     `json:"edges"`
	Sessions  []Session  `json:"sessions"`
	Scorecard []Score    `json:"scorecard"`
	Coverage  Coverage   `json:"coverage"`
}

// Rule documents a rule of the catalogue: what it looks for and what it means.
type Rule struct {
	ID       string
	Title    string
	Practice Practice
	Severity Severity // the usual one
	Level    Level
	Trigger  string // what in the traffic makes it fire
	Quiet    string // what keeps it silent on innocent traffic
	Why      string
	Fix      string
	OWASP    []string
	CWE      []string
}
