package posture

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/tally"
)

func everyTalk() []talk {
	var all []talk
	for _, c := range cases {
		for _, k := range append(c.fires, c.silent...) {
			all = append(all, k.before...)
			all = append(all, k)
		}
	}
	for _, c := range sequences {
		for _, k := range c.fires[0] {
			for range min(max(k.times, 1), 60) {
				all = append(all, k)
			}
		}
	}
	return all
}

func snapshot(t *testing.T, endpoint, service *State) string {
	c := Context{Service: "s", Method: "GET", Template: "/a/{id}", Around: service.Stats()}
	list := endpoint.Findings(c, nil)
	c.Method, c.Template = "", ""
	list = service.Findings(c, list)
	Sort(list)
	b, err := json.MarshalIndent(list, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestStatesMergeInAnyOrder(t *testing.T) {
	all := everyTalk()
	key := analyze.Key{1}
	one := NewReader(key, Options{})
	var endpoint, service State
	for i, k := range all {
		Observe(play(t, one, k, uint64(i)), &endpoint, &service)
	}
	want := snapshot(t, &endpoint, &service)
	for seed := range uint64(4) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		n := 2 + rnd.IntN(5)
		readers, ends, svcs := make([]*Reader, n), make([]State, n), make([]State, n)
		for i := range readers {
			readers[i] = NewReader(key, Options{Secrets: 8, Names: 8}) // a cache that forgets changes nothing
		}
		for _, i := range rnd.Perm(len(all)) {
			s := rnd.IntN(n)
			Observe(play(t, readers[s], all[i], uint64(i)), &ends[s], &svcs[s])
		}
		for n--; n > 0; n-- {
			to := rnd.IntN(n)
			ends[to].Merge(&ends[n])
			svcs[to].Merge(&svcs[n])
		}
		if got := snapshot(t, &ends[0], &svcs[0]); got != want {
			g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
			for i := range min(len(g), len(w)) {
				if g[i] != w[i] {
					t.Fatalf("seed %d, line %d:\n%s\nwant\n%s", seed, i, strings.Join(g[max(0, i-6):i+8], "\n"), strings.Join(w[max(0, i-6):i+8], "\n"))
				}
			}
			t.Fatalf("seed %d: another length", seed)
		}
	}
}

func TestOneExchangeCountsOnceAtAPlace(t *testing.T) {
	hits := body("email", "pii", "$[].email")
	hits = append(hits, hits[0], hits[0])
	f := find(conclude(t, "/u", talk{text: "GET /u HTTP/1.1" + ok, hits: hits, times: 2}), "enc.clear-sensitive")
	if f == nil || f.Count != 2 || len(f.Samples) != 1 || len(f.Evidence) != 2 {
		t.Errorf("%+v", f)
	}
}

func TestLoopbackIsNoDisclosure(t *testing.T) {
	list := conclude(t, "/u", talk{text: "GET /u HTTP/1.1\n" + bearer(token32) + ok, from: loop, hits: body("email", "pii", "$.email")})
	for _, f := range list {
		if strings.HasPrefix(f.Rule, "enc.") && f.Severity > analyze.Info {
			t.Errorf("%s: %v", f.Rule, f.Severity)
		}
	}
	if f := find(list, "enc.clear-credential"); f == nil || !strings.Contains(f.Summary, "loopback") {
		t.Errorf("the text says why it is only information: %+v", f)
	}
}

func TestCredentialsOfOneExchangeAreBounded(t *testing.T) {
	var cookies, sets strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&cookies, "sess%d=%s; ", i, token32)
		fmt.Fprintf(&sets, "\nSet-Cookie: sess%d=%s", i, token32)
	}
	o := play(t, NewReader(analyze.Key{1}, Options{}), talk{text: "GET /u HTTP/1.1\nCookie: " + cookies.String() + "\n---\n200" + sets.String()}, 1)
	if len(o.Credentials) != maxCredentials || len(o.SetCookies) != maxSetCookies {
		t.Errorf("%d credentials, %d cookies set", len(o.Credentials), len(o.SetCookies))
	}
}

func TestFindingsAreBounded(t *testing.T) {
	r := NewReader(analyze.Key{1}, Options{})
	var endpoint, service State
	for i := range 5000 {
		k := talk{text: "GET /u HTTP/1.1" + ok, hits: body("us_ssn", "pii", "$.f"+strings.Repeat("x", i%1000))}
		Observe(play(t, r, k, uint64(i)), &endpoint, &service)
	}
	if n := len(endpoint.Findings(Context{Method: "GET"}, nil)); n > Limit || !endpoint.Full() {
		t.Errorf("%d findings, full %v", n, endpoint.Full())
	}
}

// quietWords are made once, so that the tests count only our own allocations.
var quietWords = [][]byte{[]byte("Host"), []byte("api.example.org"), []byte("User-Agent"), []byte("Authorization"), []byte("Accept"), []byte("X-Request-Id"), []byte("page"), []byte("1"), []byte("Content-Type"), []byte("application/json"), []byte("Content-Length"), []byte("1000"), []byte("Date"), []byte("Sun, 01 Mar 2026 12:00:00 GMT")}

func moment(n int) tally.Moment {
	return tally.Moment{Nano: now.UnixNano() + int64(n)*int64(time.Millisecond), Frame: uint64(n)}
}

// quiet is an everyday exchange: a token, JSON, nothing wrong but the wire.
func quiet(o *Observation, token, agent, path []byte) {
	o.At, o.Latency = moment(int(o.seq)), time.Millisecond
	o.Method, o.Host, o.Path, o.Status, o.Wire = "GET", "api.example.org", path, 200, analyze.Plaintext
	o.ServerName = "10.0.0.1:80"
	o.RequestHeader(quietWords[0], quietWords[1])
	o.RequestHeader(quietWords[2], agent)
	o.RequestHeader(quietWords[3], token)
	o.RequestHeader(quietWords[4], agent)
	o.RequestHeader(quietWords[5], agent)
	o.Parameter(quietWords[6], quietWords[7])
	o.ResponseHeader(quietWords[8], quietWords[9])
	o.ResponseHeader(quietWords[10], quietWords[11])
	o.ResponseHeader(quietWords[12], quietWords[13])
	o.ResponseBody = path
	o.Done()
}

func TestObservingAllocatesNothing(t *testing.T) {
	r := NewReader(analyze.Key{1}, Options{})
	var endpoint, service State
	token, agent, path := []byte("Bearer "+good), []byte("Mozilla/5.0 (X11; Linux x86_64)"), []byte("/api/v1/orders/17")
	if n := testing.AllocsPerRun(200, func() {
		o := r.Begin()
		quiet(o, token, agent, path)
		Observe(o, &endpoint, &service)
	}); n > 0 {
		t.Errorf("%v allocations an exchange", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	r := NewReader(analyze.Key{1}, Options{})
	var endpoint, service State
	token, agent, path := []byte("Bearer "+good), []byte("Mozilla/5.0 (X11; Linux x86_64)"), []byte("/api/v1/orders/17")
	b.ReportAllocs()
	for b.Loop() {
		o := r.Begin()
		quiet(o, token, agent, path)
		Observe(o, &endpoint, &service)
	}
}

func BenchmarkNewToken(b *testing.B) {
	r := NewReader(analyze.Key{1}, Options{})
	b.ReportAllocs()
	for b.Loop() {
		r.study(Bearer, []byte(good))
	}
}

func FuzzObservation(f *testing.F) {
	f.Add("Bearer "+good, "a=b; sid=0123456789abcdef", "sid=0123456789abcdef; Secure", "/a;jsessionid=0123456789", "x")
	f.Add("Basic dXNlcjpw", "", "", "/.env", "A=b\nC=d")
	f.Fuzz(func(t *testing.T, auth, cookie, set, path, body string) {
		r := NewReader(analyze.Key{1}, Options{})
		var endpoint, service State
		ledger := NewLedger(LedgerOptions{Credentials: 8})
		for status := 200; status <= 500; status += 100 {
			o := r.Begin()
			o.Method, o.Status, o.Path, o.Time, o.At = "GET", status, []byte(path), now, moment(status)
			o.Latency = time.Duration(len(body)) * time.Second
			o.RequestHeader([]byte("authorization"), []byte(auth))
			o.RequestHeader([]byte("cookie"), []byte(cookie))
			o.RequestHeader([]byte("origin"), []byte(auth))
			o.ResponseHeader([]byte("access-control-allow-origin"), []byte(auth))
			o.ResponseHeader([]byte("access-control-allow-credentials"), []byte("true"))
			o.ResponseHeader([]byte("set-cookie"), []byte(set))
			o.ResponseHeader([]byte("location"), []byte(path))
			o.ResponseHeader([]byte("sunset"), []byte(path))
			o.ResponseHeader([]byte("content-type"), []byte("text/html"))
			o.Parameter([]byte("redirect_uri"), []byte(body))
			o.Parameter([]byte("redirect_uri"), []byte(path))
			o.Field([]byte(path), []byte(body))
			o.ResponseBody, o.RequestBody = []byte(body), []byte(body)
			o.Done()
			o.At = tally.Moment{Nano: now.UnixNano() + int64(status)*1e9}
			o.Answer([]byte("access_token"), []byte(auth))
			o.Answer([]byte("expires_at"), []byte(body))
			o.Field([]byte("email"), []byte(cookie))
			o.Field([]byte("client_id"), []byte(set))
			Observe(o, &endpoint, &service)
			ledger.Observe(o, "s")
		}
		ledger.Findings(nil)
		endpoint.Findings(Context{Method: "GET", Home: &service, Ledger: ledger}, nil)
		service.Findings(Context{}, nil)
	})
}
