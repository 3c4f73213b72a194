package posture

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"plainsight/analyze"
	"plainsight/analyze/tally"
)

// by says who sends a request: the n-th bearer of a token.
func by(n int) string {
	return fmt.Sprintf("\nAuthorization: Bearer Zk3v9Qw8xN2mB7cR5tY1uJ4hL6p%05d", n)
}

// crowd makes n callers who call so often, one after the other.
func crowd(n, times int, every time.Duration, text string) (list []talk) {
	for i := range n {
		list = append(list, talk{text: "GET /a HTTP/1.1" + by(i) + text, times: times, every: every})
	}
	return list
}

func answer(status, size int) string {
	return fmt.Sprintf("\n---\n%d\nContent-Type: application/json\n\n\"%s\"", status, strings.Repeat("x", size))
}

const tenth = 100 * time.Millisecond

var volumeSequences = []sequence{
	{rule: "rate.no-limit", fires: [][]talk{
		{{text: "GET /a HTTP/1.1" + by(1) + ok, times: 300, every: 40 * time.Millisecond}},
		{{text: "GET /a HTTP/1.1" + ok, from: foreign, times: 300, every: 40 * time.Millisecond}},
		join(crowd(20, 5, tenth, ok), []talk{{text: "GET /a HTTP/1.1" + by(99) + ok, times: 1200, every: 10 * time.Millisecond}}),
		{{text: "GET /a HTTP/1.1" + by(1) + "\n---\n404", times: 500, every: 20 * time.Millisecond}},
		{{text: "GET /a HTTP/1.1\nCookie: sessionid=k3j4h5g6f7d8s9a0" + ok, times: 300, every: 40 * time.Millisecond}},
	}, worst: analyze.Medium, silent: [][]talk{
		{{text: "GET /a HTTP/1.1" + by(1) + ok, times: 300, every: tenth}},
		{{text: "GET /a HTTP/1.1" + by(1) + ok, times: 150, every: 40 * time.Millisecond}},
		{{text: "GET /a HTTP/1.1" + ok, times: 300, every: 40 * time.Millisecond}},                        // inside, and nobody in particular
		{{text: "GET /a HTTP/1.1\nX-Api-Key: " + token32 + ok, times: 300, every: 40 * time.Millisecond}}, // a service
		join(crowd(30, 200, 50*time.Millisecond, ok), crowd(1, 300, 40*time.Millisecond, ok)),             // all do
		{{text: "GET /a HTTP/1.1" + by(1) + ok, times: 150, every: 40 * time.Millisecond}, {text: "GET /a HTTP/1.1" + by(1) + "\n---\n429"}, {text: "GET /a HTTP/1.1" + by(1) + ok, times: 150, every: 40 * time.Millisecond}},
		{{text: "GET /a HTTP/1.1" + by(1) + ok, times: 100, every: 10 * time.Millisecond}, {text: "GET /a HTTP/1.1" + by(1) + ok, times: 100, every: time.Second}},
	}},
	{rule: "rate.no-limit", template: "/login", fires: [][]talk{
		{{text: "POST /login HTTP/1.1\n---\n401", from: foreign, times: 40}},
		{{text: "POST /login HTTP/1.1" + by(1) + "\n---\n401", times: 80, every: time.Second / 2}},
	}, worst: analyze.High, silent: [][]talk{
		{{text: "POST /login HTTP/1.1\n---\n401", from: foreign, times: 29}},
		{{text: "POST /login HTTP/1.1\n---\n401", from: foreign, times: 40, every: 2 * time.Second}},
		{{text: "POST /login HTTP/1.1\n---\n401", from: foreign, times: 20}, {text: "POST /login HTTP/1.1\n---\n429", from: foreign, times: 30}},
	}},
	{rule: "rate.anomaly", fires: [][]talk{
		join(crowd(60, 2, tenth, ok), []talk{{text: "GET /a HTTP/1.1" + by(99) + ok, times: 200, every: time.Second / 2}}),
		join(crowd(60, 5, tenth, ok), []talk{{text: "GET /a HTTP/1.1" + by(99) + ok, times: 150}}),
		join(crowd(200, 1, tenth, ok), []talk{{text: "GET /a HTTP/1.1" + by(99) + "\n---\n404", times: 120}}),
		join(crowd(60, 2, tenth, ok), []talk{{text: "GET /a HTTP/1.1" + ok, from: foreign, times: 200}}),
		join(crowd(60, 2, tenth, ok), []talk{{text: "GET /a HTTP/1.1" + by(99) + ok, times: 200}, {text: "GET /a HTTP/1.1" + by(98) + ok, times: 30}}),
	}, worst: analyze.Low, silent: [][]talk{
		join(crowd(60, 2, tenth, ok), []talk{{text: "GET /a HTTP/1.1" + by(99) + ok, times: 90}}),
		join(crowd(60, 40, tenth, ok), []talk{{text: "GET /a HTTP/1.1" + by(99) + ok, times: 150}}),
		join(crowd(8, 2, tenth, ok), []talk{{text: "GET /a HTTP/1.1" + by(99) + ok, times: 200}}),
		join(crowd(60, 2, tenth, ok), []talk{{text: "GET /a HTTP/1.1\nX-Api-Key: " + token32 + ok, times: 200}}),
		join(crowd(60, 2, tenth, ok), []talk{{text: "GET /a HTTP/1.1" + ok, times: 400}}),
		join(crowd(60, 2, tenth, ok), []talk{{text: "GET /a HTTP/1.1" + by(99) + ok, times: 400, every: 6 * time.Second}}),
	}},
	{rule: "avail.errors", fires: [][]talk{
		join(crowd(40, 5, tenth, ok), []talk{{text: "GET /a?x=1 HTTP/1.1" + by(99) + "\n---\n500", times: 12}}),
		join(crowd(40, 5, tenth, ok), []talk{{text: "GET /a?x=1 HTTP/1.1" + by(99) + "\n---\n502", times: 40}, {text: "GET /a HTTP/1.1" + by(99) + ok, times: 40}}),
		join(crowd(40, 5, tenth, ok), []talk{{text: "GET /a HTTP/1.1\n---\n500", from: foreign, times: 12}}),
		join(crowd(40, 5, tenth, ok), crowd(2, 1, tenth, "\n---\n500"), []talk{{text: "GET /a?x=1 HTTP/1.1" + by(99) + "\n---\n500", times: 20}}),
		join(crowd(120, 1, tenth, "\n---\n404"), []talk{{text: "GET /a?x=1 HTTP/1.1" + by(99) + "\n---\n504", times: 15}}),
	}, worst: analyze.Low, silent: [][]talk{
		join(crowd(40, 5, tenth, ok), []talk{{text: "GET /a?x=1 HTTP/1.1" + by(99) + "\n---\n500", times: 9}}),
		join(crowd(40, 5, tenth, ok), crowd(20, 2, tenth, "\n---\n500")),
		join(crowd(10, 5, tenth, ok), []talk{{text: "GET /a?x=1 HTTP/1.1" + by(99) + "\n---\n500", times: 12}}),
		join(crowd(40, 5, tenth, ok), crowd(40, 2, tenth, "\n---\n500"), []talk{{text: "GET /a HTTP/1.1" + by(99) + "\n---\n500", times: 12}}),
		join(crowd(40, 5, tenth, ok), []talk{{text: "GET /a HTTP/1.1" + by(99) + "\n---\n400", times: 30}}),
		{{text: "GET /a HTTP/1.1" + by(99) + "\n---\n500", times: 12}, {text: "GET /a HTTP/1.1" + by(99) + ok, times: 300, every: tenth}},
	}},
	{rule: "exp.size", fires: [][]talk{
		{{text: "GET /a HTTP/1.1" + answer(200, 500), times: 300, every: tenth}, {text: "GET /a?all=1 HTTP/1.1" + answer(200, 90_000)}},
		{{text: "GET /a HTTP/1.1" + answer(200, 500), times: 300, every: tenth}, {text: "GET /a?all=1 HTTP/1.1" + answer(200, 70_000), times: 2}},
		{{text: "GET /a HTTP/1.1" + answer(200, 5000), times: 300, every: tenth}, {text: "POST /a HTTP/1.1" + answer(200, 70_000)}},
		{{text: "GET /a HTTP/1.1" + answer(200, 50), times: 200, every: tenth}, {text: "GET /a HTTP/1.1" + answer(200, 200_000)}},
		{{text: "GET /a HTTP/1.1" + answer(200, 500), times: 300, every: tenth}, {text: "GET /a?all=1 HTTP/1.1" + answer(200, 90_000), hits: many(body("email", "pii", "$[].email"), 400)}},
	}, worst: analyze.Low, silent: [][]talk{
		{{text: "GET /a HTTP/1.1" + answer(200, 500), times: 100, every: tenth}, {text: "GET /a?all=1 HTTP/1.1" + answer(200, 90_000)}},
		{{text: "GET /a HTTP/1.1" + answer(200, 9000), times: 300, every: tenth}, {text: "GET /a?all=1 HTTP/1.1" + answer(200, 70_000)}},
		{{text: "GET /a HTTP/1.1" + answer(200, 50), times: 300, every: tenth}, {text: "GET /a?all=1 HTTP/1.1" + answer(200, 5000)}},
		{{text: "GET /a HTTP/1.1" + answer(200, 500), times: 300, every: tenth}, {text: "GET /a HTTP/1.1" + answer(500, 90_000)}},
		{{text: "GET /a HTTP/1.1" + answer(200, 500), times: 300, every: tenth}, {text: "GET /a HTTP/1.1" + strings.Replace(answer(200, 90_000), "application/json", "application/octet-stream", 1)}},
		{{text: "GET /a HTTP/1.1" + answer(200, 500), times: 300, every: tenth}, {text: "GET /a HTTP/1.1" + answer(200, 90_000), times: 9}},
	}},
	{rule: "res.slow", fires: [][]talk{
		{{text: "GET /a?q=x HTTP/1.1" + by(1) + ok, times: 40, takes: 20 * time.Millisecond}, {text: "GET /a?q=%25a%25 HTTP/1.1" + by(2) + ok, times: 3, takes: 2 * time.Second}},
		{{text: "GET /a?q=x HTTP/1.1" + by(1) + ok, times: 40, takes: 20 * time.Millisecond}, {text: "GET /a?q=(a%2B)%2B$ HTTP/1.1" + by(2) + ok, times: 3, takes: 2 * time.Second}},
		{{text: "GET /a?q=x HTTP/1.1" + by(1) + ok, times: 40, takes: 20 * time.Millisecond}, {text: "GET /a?limit=50000 HTTP/1.1" + by(2) + ok, times: 4, takes: time.Second}},
		{{text: "GET /a?q=x HTTP/1.1" + by(1) + ok, times: 40, takes: 20 * time.Millisecond}, {text: "GET /a?q=" + strings.Repeat("a", 2000) + " HTTP/1.1" + by(2) + "\n---\n504", times: 4, takes: 30 * time.Second}},
		{{text: "GET /a?q=x HTTP/1.1" + by(1) + ok, times: 40, takes: 20 * time.Millisecond}, {text: "GET /a?q=*a*b* HTTP/1.1" + ok, from: foreign, times: 5, takes: time.Second}},
	}, worst: analyze.Medium, silent: [][]talk{
		{{text: "GET /a?q=x HTTP/1.1" + by(1) + ok, times: 40, takes: 20 * time.Millisecond}, {text: "GET /a?q=%25a%25 HTTP/1.1" + by(2) + ok, times: 2, takes: 2 * time.Second}},
		{{text: "GET /a?q=x HTTP/1.1" + by(1) + ok, times: 40, takes: 20 * time.Millisecond}, {text: "GET /a?q=y HTTP/1.1" + by(2) + ok, times: 5, takes: 2 * time.Second}},
		{{text: "GET /a?q=x HTTP/1.1" + by(1) + ok, times: 40, takes: 20 * time.Millisecond}, {text: "GET /a?q=%25a%25 HTTP/1.1" + by(2) + ok, times: 5, takes: 100 * time.Millisecond}},
		{{text: "GET /a?q=x HTTP/1.1" + by(1) + ok, times: 40, takes: time.Second}, {text: "GET /a?q=%25a%25 HTTP/1.1" + by(2) + ok, times: 5, takes: 2 * time.Second}},
		{{text: "GET /a?q=x HTTP/1.1" + by(1) + ok, times: 10, takes: 20 * time.Millisecond}, {text: "GET /a?q=%25a%25 HTTP/1.1" + by(2) + ok, times: 5, takes: 2 * time.Second}},
		{{text: "GET /a?q=%25a%25 HTTP/1.1" + by(1) + ok, times: 40, takes: 20 * time.Millisecond}, {text: "GET /a?q=%25b%25 HTTP/1.1" + by(2) + ok, times: 3, takes: 2 * time.Second}},
	}},
	{rule: "gw.inconsistent", fires: [][]talk{
		{{text: "GET /a HTTP/1.1\n---\n401", to: "10.0.0.1:80", times: 50}, {text: "GET /a HTTP/1.1" + ok, to: "10.0.0.2:80", times: 50}},
		{{text: "GET /a HTTP/1.1\n---\n403", to: "10.0.0.1:80", times: 90}, {text: "GET /a HTTP/1.1" + ok, to: "10.0.0.2:80", times: 90}, {text: "GET /a HTTP/1.1\n---\n401", to: "10.0.0.3:80", times: 90}},
		{{text: "GET /a HTTP/1.1\n---\n200\nX-Content-Type-Options: nosniff", to: "10.0.0.1:80", times: 50}, {text: "GET /a HTTP/1.1" + ok, to: "10.0.0.2:80", times: 50}},
		{{text: "GET /a HTTP/1.1\n---\n200\nStrict-Transport-Security: max-age=63072000", tls: true, to: "10.0.0.1:443", times: 60}, {text: "GET /a HTTP/1.1" + ok, tls: true, to: "10.0.0.2:443", times: 60}},
		{{text: "GET /a HTTP/1.1" + by(1) + "\n---\n200\nContent-Security-Policy: default-src 'self'", to: "10.0.0.1:80", times: 60}, {text: "GET /a HTTP/1.1" + by(1) + ok, to: "10.0.0.2:80", times: 60}},
	}, worst: analyze.Medium, silent: [][]talk{
		{{text: "GET /a HTTP/1.1\n---\n401", to: "10.0.0.1:80", times: 49}, {text: "GET /a HTTP/1.1" + ok, to: "10.0.0.2:80", times: 50}},
		{{text: "GET /a HTTP/1.1\n---\n401", to: "10.0.0.1:80", times: 50}, {text: "GET /a HTTP/1.1" + by(1) + ok, to: "10.0.0.2:80", times: 50}},
		{{text: "GET /a HTTP/1.1\n---\n401", to: "10.0.0.1:80", times: 50}, {text: "GET /a HTTP/1.1" + ok, to: "10.0.0.2:8080", times: 50}},
		{{text: "GET /a HTTP/1.1\n---\n200\nX-Frame-Options: DENY", to: "10.0.0.1:80", times: 50}, {text: "GET /a HTTP/1.1" + ok, to: "10.0.0.1:80", times: 50}},
		{{text: "GET /a HTTP/1.1\n---\n200\nX-Frame-Options: DENY", to: "10.0.0.1:80", times: 50}, {text: "GET /a HTTP/1.1\n---\n200\nX-Frame-Options: DENY", to: "10.0.0.2:80", times: 50}, {text: "GET /a HTTP/1.1" + ok, to: "10.0.0.2:80", times: 50}},
		{{text: "GET /a HTTP/1.1\n---\n200\nStrict-Transport-Security: max-age=63072000", tls: true, to: "10.0.0.1:80", times: 60}, {text: "GET /a HTTP/1.1" + ok, to: "10.0.0.2:80", times: 60}},
	}},
}

func TestAListOfPeopleMakesALargeAnswerWorse(t *testing.T) {
	f := find(conclude(t, "/a", talk{text: "GET /a HTTP/1.1" + answer(200, 500), times: 300}, talk{text: "GET /a?all=1 HTTP/1.1" + answer(200, 90_000), hits: many(body("email", "pii", "$[].email"), 400)}), "exp.size")
	if f == nil || f.Severity != analyze.Medium || len(f.Evidence) != 1 {
		t.Errorf("%+v", f)
	}
}

// However many callers there are, the memory is bounded and the busiest is found.
func TestTheBusiestIsFoundAmongAHundredThousandCallers(t *testing.T) {
	v := new(volume)
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range 100_000 {
		v.burst(turn{tally.Mix(uint64(i)), int64(i / 400)}, burst{seconds: [burstSpan]uint16{1}})
		v.load(turn{tally.Mix(uint64(i)), int64(i / 4000)}, load{calls: 1 + uint32(rnd.IntN(3))})
		if i%400 < 100 {
			v.burst(turn{7, int64(i / 400)}, burst{seconds: [burstSpan]uint16{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}})
			if i < 4000 {
				v.load(turn{7, 0}, load{calls: 10})
			}
		}
	}
	if len(v.bursts) > turnsKept || len(v.loads) > turnsKept {
		t.Errorf("%d bursts, %d loads", len(v.bursts), len(v.loads))
	}
	if r := v.rushes(burstSpan); len(r) == 0 || r[0].who != 7 || r[0].calls != 1000 {
		t.Errorf("%+v", r[:min(len(r), 2)])
	}
	if a, ok := v.anomaly(); !ok || a.who != 7 || a.calls != 10_000 {
		t.Errorf("%+v", a)
	}
}
