//go:build conformance

package conformance

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	leastRate   = 100_000 // packets in a second of CPU
	mostGrowth  = 2.3     // of CPU time, where what repeats is doubled
	segmentSize = 1448    // larger packets count as so many of this size
	runsOfSpeed = 2       // the one with the least CPU time counts
)

// aboutBodies are scenarios that are hostile to the analysis of bodies. What
// comes of a packet of theirs is not the business of TCP and HTTP: they are read
// without analysis.
var aboutBodies = []string{"json-", "multipart-", "regex-", "bomb-", "gzip-", "hostile-", "secrets-"}

// TestSpeedOfScenarios reads each hostile scenario, with so many of its
// connections that there is something to measure: none may be slow packet by
// packet, and twice of what repeats in it may not take much more than twice the
// time. It measures CPU time, because the machine has other work.
func TestSpeedOfScenarios(t *testing.T) {
	s := speed{t: t, forge: program(t, "tools", "pcapforge"), dir: t.TempDir()}
	files, err := filepath.Glob(filepath.Join(shared(t, "adversarial", "scenarios"), "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	s.idle = s.cost(s.render(files[0], identity), 5, true)
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".json")
		body := false
		for _, prefix := range aboutBodies {
			body = body || strings.HasPrefix(name, prefix)
		}
		rate, growth := s.rate(f, !body), s.growth(f)
		for again := 0; again < 2 && (rate < leastRate || growth > mostGrowth); again++ {
			// A neighbour on the machine disturbs some runs; slowness stays.
			rate, growth = max(rate, s.rate(f, !body)), min(growth, s.growth(f))
		}
		t.Logf("%-32s %10.0f packets/s; doubled: %.2f times the time", name, rate, growth)
		if rate < leastRate {
			t.Errorf("%s: %.0f packets/s, the floor is %d", name, rate, leastRate)
		}
		if growth > mostGrowth {
			t.Errorf("%s: twice of what repeats takes %.2f times the time, the limit is %.1f", name, growth, mostGrowth)
		}
	}
}

// speed measures CPU time of plainsight on scenarios.
type speed struct {
	t     *testing.T
	forge string
	dir   string
	idle  time.Duration // of a run that reads next to nothing
}

// enough packets to measure the time that they take.
const enough = 50_000

// rate is how many packets are read in a second of CPU.
func (s *speed) rate(scenario string, analysed bool) float64 {
	s.t.Helper()
	capture := s.render(scenario, identity)
	if n := s.packets(capture); n < enough {
		more := enough/n + 1
		capture = s.render(scenario, func(key string, v int, in map[string]any) int {
			if key == "count" && in["steps"] != nil {
				return v * more
			}
			return v
		})
	}
	cost := s.cost(capture, runsOfSpeed, analysed) - s.idle
	return float64(s.packets(capture)) / max(cost, time.Millisecond).Seconds()
}

// growth is by how much the CPU time grows when all that repeats is doubled, at a
// size where it can be measured; NaN where nothing repeats.
func (s *speed) growth(scenario string) float64 {
	s.t.Helper()
	repeats := false
	scaled := func(by int) string {
		return s.render(scenario, func(key string, v int, in map[string]any) int {
			if v < 1000 {
				return v
			}
			repeats = true
			return v * by
		})
	}
	capture := scaled(1)
	if !repeats {
		return math.NaN()
	}
	before := s.cost(capture, runsOfSpeed, true) - s.idle
	for by := 2; ; by *= 2 {
		capture = scaled(by)
		info, err := os.Stat(capture)
		if err != nil {
			s.t.Fatal(err)
		}
		after := s.cost(capture, runsOfSpeed, true) - s.idle
		// What takes no time takes no more for twice as much.
		if before > 100*time.Millisecond || info.Size() > 50<<20 || by == 32 {
			return float64(after) / float64(max(before, 30*time.Millisecond))
		}
		before = after
	}
}

// cost is the least CPU time of some runs.
func (s *speed) cost(capture string, runs int, analysed bool) time.Duration {
	s.t.Helper()
	args := []string{"read", "--shards", "1", "--format", "none", capture}
	if !analysed {
		args = append(args, "--no-analysis", "--exchanges", os.DevNull)
	}
	least := time.Duration(math.MaxInt64)
	for range runs {
		r := run(s.t, nil, binary, args...)
		if r.code != 0 {
			s.t.Fatalf("%s: exit code %d: %s", capture, r.code, r.stderr)
		}
		least = min(least, r.cpu)
	}
	return least
}

// packets counts the packets of a capture. One that is large, or holds many small
// messages, counts as several: it is that much work.
func (s *speed) packets(capture string) int {
	s.t.Helper()
	r := run(s.t, nil, binary, "read", "--no-analysis", "--format", "json", capture)
	var report struct {
		Exchanges int
		Coverage  struct {
			Counts []struct {
				Name  string
				Value int
			}
		}
	}
	if err := json.Unmarshal(r.stdout, &report); err != nil {
		s.t.Fatal(err)
	}
	n := report.Exchanges
	for _, c := range report.Coverage.Counts {
		switch c.Name {
		case "frames_seen":
			n = max(n, c.Value)
		case "bytes_seen":
			n = max(n, c.Value/segmentSize)
		}
	}
	if n == 0 {
		s.t.Fatalf("%s has no packets: %s", capture, r.stdout)
	}
	return n
}

// change gives the new value of a number of times in a scenario; in is the object
// that it stands in.
type change func(key string, v int, in map[string]any) int

func identity(_ string, v int, _ map[string]any) int { return v }

// render makes the capture of a scenario after a change to its counts and
// repeats. The last capture of the test is overwritten.
func (s *speed) render(scenario string, c change) string {
	s.t.Helper()
	raw, err := os.ReadFile(scenario)
	if err != nil {
		s.t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var all map[string]any
	if err := d.Decode(&all); err != nil {
		s.t.Fatalf("%s: %v", scenario, err)
	}
	flows, _ := all["flows"].([]any)
	for _, f := range flows {
		if f := f.(map[string]any); f["count"] == nil {
			f["count"] = json.Number("1")
		}
	}
	s.alter(flows, c)
	if raw, err = json.Marshal(all); err != nil {
		s.t.Fatal(err)
	}
	in, out := filepath.Join(s.dir, "scenario.json"), filepath.Join(s.dir, "capture.pcap")
	if err := os.WriteFile(in, raw, 0o600); err != nil {
		s.t.Fatal(err)
	}
	if r := run(s.t, nil, s.forge, "render", "-o", out, in); r.code != 0 {
		s.t.Fatalf("%s: %s", scenario, r.stderr)
	}
	return out
}

// alter applies a change to everything below v.
func (s *speed) alter(v any, c change) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			s.alter(x, c)
		}
	case map[string]any:
		for key, x := range v {
			n, ok := x.(json.Number)
			if !ok {
				s.alter(x, c)
				continue
			}
			if i, err := n.Int64(); err == nil && (key == "repeat" || key == "count") {
				v[key] = json.Number(strconv.Itoa(c(key, int(i), v)))
			}
		}
	}
}
