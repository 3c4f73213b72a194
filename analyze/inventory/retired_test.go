package inventory

import (
	"net/netip"
	"testing"
	"time"

	"plainsight/capture"
)

func TestEndOfAnAnswer(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        int64
	}{
		{"Sunset", "Sat, 31 Dec 2022 23:59:59 GMT", 1672531199},
		{"sunset", "Saturday, 31-Dec-22 23:59:59 GMT", 1672531199},
		{"Sunset", "soon", 0},
		{"Sunset", "", 0},
		{"Deprecation", "@1688169599", 1688169599},
		{"Deprecation", "@", 0},
		{"Deprecation", "@-5", 0},
		{"Deprecation", "@99999999999999999999", 0},
		{"Deprecation", "@99999999999", 0},
		{"Deprecation", "true", 1},
		{"Deprecation", "false", 0},
		{"Deprecation", "Sun, 11 Nov 2018 23:59:59 GMT", 1541980799},
		{"Date", "Sat, 31 Dec 2022 23:59:59 GMT", 0},
	} {
		m := capture.Message{Headers: []capture.Header{{Name: capture.Text("X"), Value: capture.Text("1")}, {Name: capture.Text(c.name), Value: capture.Text(c.value)}}}
		if got := endOf(&m); got != c.want {
			t.Errorf("%s: %s: %d, want %d", c.name, c.value, got, c.want)
		}
	}
	m := capture.Message{Headers: []capture.Header{
		{Name: capture.Text("Sunset"), Value: capture.Text("Sat, 31 Dec 2022 23:59:59 GMT")}, {Name: capture.Text("Deprecation"), Value: capture.Text("@1688169599")}}}
	if got := endOf(&m); got != 1672531199 {
		t.Errorf("the earlier of two: %d", got)
	}
	if n := testing.AllocsPerRun(100, func() { endOf(&capture.Message{Headers: m.Headers[:0]}) }); n > 0 {
		t.Errorf("%v allocations where nothing is said", n)
	}
}

// Successes after the day are counted, on any number of workers.
func TestSuccessAfterTheEnd(t *testing.T) {
	in := New(Options{})
	for i, day := range []string{"Wed, 31 Dec 2025 00:00:00 GMT", "Fri, 31 Dec 2027 00:00:00 GMT"} {
		for k := range 3 {
			x := exchange(i, k)
			x.Response.Headers = append(x.Response.Headers, capture.Header{Name: capture.Text("Sunset"), Value: capture.Text(day)})
			in.Worker(k % 2).Exchange(x)
		}
	}
	s := in.Snapshot(nil, nil)
	if len(s.Endpoints) != 2 {
		t.Fatalf("%d endpoints", len(s.Endpoints))
	}
	for _, e := range s.Endpoints {
		want, day := uint64(3), time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC)
		if e.Template == "/v1/b" {
			want, day = 0, time.Date(2027, 12, 31, 0, 0, 0, 0, time.UTC)
		}
		if e.Overdue != want || !e.Retired.Equal(day) {
			t.Errorf("%s: %d after %v", e.Template, e.Overdue, e.Retired)
		}
	}
}

func exchange(path, n int) *capture.Exchange {
	at := capture.Stamp{Time: time.Date(2026, 6, 1, 0, 0, n, 0, time.UTC)}
	return &capture.Exchange{Conn: &capture.Conn{ID: uint64(path*10 + n), Client: netip.MustParseAddrPort("10.0.0.1:1"), Server: netip.MustParseAddrPort("10.0.0.2:80")},
		Method: capture.Text("GET"), Target: capture.Text("/v1/" + string(rune('a'+path))), Authority: capture.Text("api.example"), Status: 200,
		Request: capture.Message{Seen: true, Start: at, End: at}, Response: capture.Message{Seen: true, Start: at, End: at}}
}
