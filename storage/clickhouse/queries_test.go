package clickhouse

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"plainsight/analyze"
	"plainsight/storage"
	"plainsight/storage/embedded/embeddedtest"
)

// town is the shop with more around it: for each named question there is
// something to find.
func town(captures ...string) *analyze.Snapshot {
	s := shop(captures...)
	endpoint := func(service, method, template string, auth map[string]uint64, first, last time.Time) analyze.Endpoint {
		return analyze.Endpoint{ID: analyze.EndpointID(service, method, template, ""), Service: service, Method: method, Template: template, Requests: 100,
			Statuses: map[int]uint64{200: 100}, Encrypted: 100, Auth: auth, Clients: 2, ResponseBytes: 9000, LatencyP50: 1, LatencyP95: 2, First: first, Last: last}
	}
	long := morning.Add(-60 * 24 * time.Hour)
	reset := endpoint("shop", "GET", "/reset", map[string]uint64{"none": 100}, long, evening)
	reset.Sensitive = []analyze.Sensitive{{Kind: "jwt", Category: "credential", Place: analyze.Place{Side: analyze.Request, Where: analyze.InQuery, Name: "token"},
		Count: 50, Severity: analyze.High, Samples: []analyze.Sample{{Mask: "ey•••••k", Fingerprint: "ff", Length: 90}}}}
	s.Endpoints = append(s.Endpoints, reset,
		endpoint("shop", "GET", "/api/v1/orders/{id}", map[string]uint64{"bearer": 100}, long, evening),
		endpoint("shop", "GET", "/api/v2/orders/{id}", map[string]uint64{"bearer": 100}, long, evening),
		endpoint("shop", "GET", "/api/v9/only", map[string]uint64{"bearer": 100}, long, long))
	for _, f := range []analyze.Finding{
		{Rule: "doc.shadow-operation", Practice: analyze.Shadow, Severity: analyze.Medium, Service: "shop", Endpoint: "GET /reset"},
		{Rule: "inj.sqli", Practice: analyze.Validation, Severity: analyze.Critical, Service: "shop", Endpoint: "GET /api/v1/orders/{id}", Place: "request path id"},
	} {
		f.Key, f.Title, f.Level, f.Count, f.First, f.Last = analyze.FindingKey(f.Rule, f.Service, f.Endpoint, f.Place), f.Rule, analyze.Proved, 3, morning, evening
		s.Findings = append(s.Findings, f)
	}
	return s
}

// townCalls are calls of the town over three days.
func townCalls() []analyze.Call {
	var calls []analyze.Call
	add := func(n int, c analyze.Call) {
		for i := range n {
			c.Time = evening.Add(-time.Duration(i) * 10 * time.Minute)
			c.Server, c.Wire, c.Latency, c.Response = "10.0.0.1:80", analyze.Plaintext, time.Duration(i+1)*time.Millisecond, 1000
			calls = append(calls, c)
		}
	}
	const key, other = "aaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbb"
	add(300, analyze.Call{Client: "10.0.0.9", Service: "shop", Method: "GET", Template: "/users/{id}", Status: 200, Auth: "bearer", Principal: key, Sensitive: []string{"email"}})
	add(10, analyze.Call{Client: "10.0.0.8", Service: "shop", Method: "POST", Template: "/api/v2/orders/{id}", Status: 201, Auth: "bearer", Principal: key})
	add(10, analyze.Call{Client: "10.0.0.8", Service: "billing", Method: "PUT", Template: "/invoices/{id}", Status: 200, Auth: "bearer", Principal: key})
	add(5, analyze.Call{Client: "10.0.0.7", Service: "shop", Method: "GET", Template: "/admin/users", Status: 200, Auth: "none"})
	add(20, analyze.Call{Client: "10.0.0.7", Service: "shop", Method: "GET", Template: "/users/{id}", Status: 403, Auth: "apikey:header:X-Key", Principal: other})
	add(8, analyze.Call{Client: "10.0.0.6", Service: "shop", Method: "GET", Status: 404, Auth: "none"})
	add(3, analyze.Call{Client: "10.0.0.6", Service: "shop", Method: "GET", Template: "/users/{id}", Status: 500, Auth: "none", Flaws: []string{"both-lengths"}})
	return calls
}

// townAgents are two agents, one of which has trouble.
func townAgents() []storage.AgentRow {
	var rows []storage.AgentRow
	for i := range 20 {
		n := uint64(i)
		for _, node := range []string{"a", "b"} {
			r := storage.AgentRow{Time: evening.Add(time.Duration(i) * 30 * time.Second), Started: morning, Agent: "agent-" + node, Node: "node-" + node, Version: "1", Kernel: "6.12", Source: "ebpf",
				Stages:    []storage.Stage{{Name: "source", In: 1000 * n, Passed: 990 * n, Ignored: 10 * n}, {Name: "writer", In: 100 * n, Passed: 100 * n}},
				Exchanges: 100 * n, Lag: time.Second, CPU: time.Duration(n) * time.Second, Memory: 64 << 20, MemoryLimit: 256 << 20, Goroutines: 40, SinkUp: true}
			if node == "b" {
				r.Stages[1].Passed, r.Stages[1].Dropped = 90*n, 10*n
				r.RingDrops, r.Gaps, r.GapBytes, r.SinkUp, r.SpoolBytes, r.SpoolOldest = n, n, 100*n, false, n<<20, time.Duration(n)*time.Second
				r.SinkErrors, r.SpoolDropped = map[string]uint64{"connect": n}, map[string]uint64{"calls": n}
			}
			rows = append(rows, r)
		}
	}
	return rows
}

// fill puts the town into a store.
func fill(t *testing.T, s *Store) {
	t.Helper()
	keep(t, s, town("a"), append(townCalls(), shopCalls()...))
	send(t, s, storage.Agents(townAgents()), storage.Stamp{Run: 1, Batch: 1, Day: evening}, "agents")
}

// answer runs a named query.
func answer(t *testing.T, s *Store, name string, params ...storage.Param) [][]any {
	t.Helper()
	for _, q := range Queries {
		if q.Name == name {
			rows, err := askWith(t, s, q.SQL, q.With(params)...)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return rows
		}
	}
	t.Fatalf("no query is called %s", name)
	return nil
}

func TestNamedQueriesAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	server := embeddedtest.Start(t, path)
	s := remote(t, server)
	for _, filled := range []bool{false, true} {
		if filled {
			fill(t, s)
		}
		for _, q := range Queries {
			if rows := answer(t, s, q.Name); len(rows) > 0 != filled {
				t.Errorf("%s: %d rows, filled: %v", q.Name, len(rows), filled)
			}
		}
	}
	says := func(name string, row int, want ...any) {
		t.Helper()
		rows := answer(t, s, name)
		if len(rows) <= row {
			t.Errorf("%s: %d rows", name, len(rows))
			return
		}
		for _, w := range want {
			found := false
			for _, v := range rows[row] {
				found = found || reflect.DeepEqual(v, w)
			}
			if !found {
				t.Errorf("%s: %v is not in row %v", name, w, rows[row])
			}
		}
	}
	const key = "aaaaaaaaaaaaaaaaaaaaaaaa"
	says("unauthenticated", 0, "/users/{id}", []string{"email"})
	says("findings", 0, "critical", "inj.sqli")
	says("old-versions", 0, "/api/v1/orders/{id}", uint16(2))
	says("shadow", 0, "doc.shadow-operation")
	says("undocumented", 0, "doc.shadow-operation")
	says("attacks", 0, "inj.sqli")
	says("stale-endpoints", 0, "/api/v9/only")
	says("plaintext-sensitive", 0, "email", uint64(12))
	says("mixed-authentication", 0, uint64(5), uint64(7))
	says("refused", 0, "10.0.0.7", uint64(20), 80.0)
	says("principals", 0, key, uint64(320), uint64(2), uint64(3))
	says("broad-principals", 0, key, uint64(2), uint64(20))
	says("privileged", 0, "/admin/users", "none", uint64(5))
	says("shared-keys", 0, key, uint64(2))
	says("scanners", 0, "10.0.0.6", uint64(8))
	says("flaws", 0, "both-lengths", uint64(3))
	says("keys", 0, key, int64(2))
	says("keys-exposed", 0, "jwt", "query")
	says("heavy-readers", 0, "10.0.0.9", key)
	says("top-talkers", 0, "10.0.0.9", uint64(301), uint64(1))
	says("slow", 0, "/users/{id}", 262.1, 131.1)
	says("agents", 0, "agent-b", false, uint64(190))
	says("traffic", 0, uint64(5), uint64(5000))
	if got := answer(t, s, "finding", storage.Param{Name: "rule", Value: "inj.sqli"}); len(got) != 1 || got[0][2] != "inj.sqli" {
		t.Errorf("one rule's findings: %v", got)
	}
	if got := answer(t, s, "traffic", storage.Param{Name: "days", Value: "0"}); len(got) > 1 {
		t.Errorf("%d hours of no days", len(got))
	}

	// The same from the engine in this process.
	want := answers(t, s)
	s.Close()
	server.Stop()
	local := open(t, Options{Store: path})
	if got := answers(t, local); got != want {
		t.Errorf("in this process:\n%s\nover the network:\n%s", got, want)
	}
}

func answers(t *testing.T, s *Store) string {
	t.Helper()
	var b strings.Builder
	for _, q := range Queries {
		if rows := answer(t, s, q.Name); q.Name != "agents" {
			fmt.Fprintln(&b, q.Name, rows)
		}
	}
	return b.String()
}

func TestEachPracticeHasQuestions(t *testing.T) {
	served, names := map[analyze.Practice]int{}, map[string]bool{}
	for _, q := range Queries {
		if q.Doc == "" || strings.ToLower(q.Name) != q.Name || strings.ContainsAny(q.Name, " (") || names[q.Name] {
			t.Errorf("name %q, doc %q", q.Name, q.Doc)
		}
		names[q.Name] = true
		served[q.Practice]++
		for _, p := range q.Params {
			if !strings.Contains(q.SQL, "{"+p.Name+":") {
				t.Errorf("%s has no parameter %s", q.Name, p.Name)
			}
		}
		if strings.Count(q.SQL, "{") != strings.Count(q.SQL, "{days:")+strings.Count(q.SQL, "{rule:")+strings.Count(q.SQL, "{1,4}") {
			t.Errorf("%s has a parameter without a value", q.Name)
		}
	}
	for p := analyze.Discovery; p <= analyze.Keys; p++ {
		if served[p] < 2 {
			t.Errorf("%d questions about %s", served[p], p)
		}
	}
}
