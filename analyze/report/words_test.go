package report

import (
	"slices"
	"strings"
	"testing"
	"time"

	"plainsight/analyze"
)

func TestWords(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{number(0), "0"}, {number(999), "999"}, {number(1000), "1,000"}, {number(-1234567), "-1,234,567"}, {number(^uint64(0)), "18,446,744,073,709,551,615"},
		{size(0), "0 B"}, {size(999), "999 B"}, {size(1000), "1.0 kB"}, {size(41_230_112), "41.2 MB"}, {size(999_960), "1.0 MB"}, {size(1<<63 - 1), "9.2 EB"},
		{share(0, 0), "0%"}, {share(0, 9), "0%"}, {share(1, 1000), "<1%"}, {share(999, 1000), ">99%"}, {share(1000, 1000), "100%"}, {share(1, 2), "50%"},
		{millis(0), "–"}, {millis(4.14), "4.1"}, {millis(18.3), "18"}, {millis(12345.6), "12,346"}, {millis(1e9), ">10⁶"},
		{duration(1500 * time.Microsecond), "2ms"}, {duration(3 * time.Second), "3.0s"}, {duration(14*time.Minute + 22*time.Second), "14m 22s"}, {duration(26*time.Hour + 5*time.Minute), "26h 05m"}, {duration(100 * time.Hour), "4d 04h"},
		{span(time.Time{}, time.Time{}), "time not known"}, {span(day, day), "2026-11-03 09:00:00 UTC"},
		{span(day, day.Add(24*time.Hour)), "2026-11-03 09:00:00 → 2026-11-04 09:00:00 UTC (24h 00m)"},
		{snip("abcdef", 6), "abcdef"}, {snip("abcdef", 5), "abcd…"}, {snip("日本語", 5), "日本…"}, {snip("日本語", 4), "日…"}, {snip("x", 0), ""},
		{strings.Join(wrap("one two three", 7), "|"), "one two|three"}, {strings.Join(wrap("abcdefghij k", 4), "|"), "abcd|efgh|ij k"}, {strings.Join(wrap("日本語", 4), "|"), "日本|語"},
		{mixed(nil, 2), "–"}, {mixed([]part{{"2xx", 9}}, 1), "2xx"}, {mixed([]part{{"2xx", 97}, {"4xx", 2}, {"5xx", 1}}, 2), "2xx 97% 4xx 2% +1"}, {mixed([]part{{"2xx", 97}, {"4xx", 3}}, 1), "2xx 97%"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	for _, v := range []string{"SSLv3", "TLS 1.0", "TLS1.1", "TLSv1", "tls 1.1", "1.0", "0x0301"} {
		if !old(v) {
			t.Errorf("%s is not old", v)
		}
	}
	for _, v := range []string{"TLS 1.2", "TLSv1.3", "TLS 1.3", "0x0303", "", "DTLS"} {
		if old(v) {
			t.Errorf("%s is old", v)
		}
	}
}

// A hint names what the capture was, and only where there was no HTTP.
func TestHints(t *testing.T) {
	has := func(s *analyze.Snapshot, word string) bool {
		return slices.ContainsFunc(hintsFor(s), func(h string) bool { return strings.Contains(h, word) })
	}
	capture := func(frames uint64, counts ...analyze.Count) *analyze.Snapshot {
		s := &analyze.Snapshot{Coverage: analyze.Coverage{Captures: []analyze.Capture{{Name: "x.pcap", Frames: frames}}}}
		s.Coverage.Counts = append(counts, analyze.Count{Name: "frames_seen", Value: frames})
		return s
	}
	for _, c := range []struct {
		s    *analyze.Snapshot
		word string
	}{
		{&analyze.Snapshot{}, "No capture was read"},
		{capture(0), "no frame"},
		{silent(), "TLS"},
		{capture(9, analyze.Count{Name: "tls_bytes", Value: 1}, analyze.Count{Name: "connections", Value: 1}), "TLS"},
		{capture(9, analyze.Count{Name: "quic_frames", Value: 3}), "QUIC"},
		{capture(9, analyze.Count{Name: "connections", Value: 3}), "no payload"},
		{capture(9, analyze.Count{Name: "frames_ignored_link", Value: 9}), "link type"},
		{capture(9), "no TCP connection"},
	} {
		if !has(c.s, c.word) {
			t.Errorf("no hint with %q: %q", c.word, hintsFor(c.s))
		}
	}
	if h := hintsFor(shop()); h != nil {
		t.Errorf("a capture with HTTP gets %q", h)
	}
}
