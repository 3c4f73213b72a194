package storage

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"plainsight/analyze"
)

func TestTablesAreWhole(t *testing.T) {
	names := map[string]bool{}
	for _, table := range Tables {
		if names[table.Name] || table.Doc == "" || table.Order == "" {
			t.Errorf("table %s: twice, or without doc or order", table.Name)
		}
		names[table.Name] = true
		columns := map[string]bool{}
		for _, c := range table.Columns {
			if columns[c.Name] || c.Type == "" {
				t.Errorf("%s.%s: twice, or without a type", table.Name, c.Name)
			}
			columns[c.Name] = true
		}
		if !columns["run"] || !columns["batch"] {
			t.Errorf("%s does not say which run its rows are of", table.Name)
		}
		// What is replaced is replaced within a run: another run's row stays
		// until the run that takes its place is whole.
		if table.Kind != Appended && table.Name != SourceTable.Name && !strings.Contains(table.Order, ", run") {
			t.Errorf("%s: rows of two runs would be one", table.Name)
		}
		if table.Shard == "" || table.Kind == Replaced && (table.Version == "" || table.Partition != "") {
			t.Errorf("%s: rows with one key do not find one another", table.Name)
		}
	}
}

func TestColumnsHaveAValueForEachRow(t *testing.T) {
	s := &analyze.Snapshot{
		Services: make([]analyze.Service, 2), Findings: make([]analyze.Finding, 3), Edges: make([]analyze.Edge, 1), Sessions: make([]analyze.Session, 2),
		Scorecard: make([]analyze.Score, 2),
		Endpoints: []analyze.Endpoint{{Parameters: make([]analyze.Field, 2), Fields: make([]analyze.Field, 3), Sensitive: make([]analyze.Sensitive, 4)}, {}},
		Coverage:  analyze.Coverage{Counts: make([]analyze.Count, 2), NotVisible: make([]string, 1), Noise: 1, Captures: make([]analyze.Capture, 2)},
	}
	want := map[string]int{"services": 2, "endpoints": 2, "fields": 5, "sensitive": 4, "findings": 3, "edges": 1, "sessions": 2, "scores": 2, "coverage": 4, "captures": 2, "sources": 1}
	var traffic Traffic
	traffic.Add(&analyze.Call{})
	traffic.Add(&analyze.Call{Status: 200})
	minutes := traffic.Take()
	var callers Callers
	callers.Add(&analyze.Call{Client: "a"})
	callers.Add(&analyze.Call{Client: "b"})
	batches := append(Batches(s, time.Now()), Calls(make([]analyze.Call, 7)), Agents(make([]AgentRow, 2)), minutes, batch(DayTable, minutes.Rows.([]TrafficRow)), callers.Take())
	want["calls"], want["agents"], want["traffic_minute"], want["traffic_day"], want["callers"] = 7, 2, 2, 2, 2
	if len(batches) != len(Tables) {
		t.Errorf("%d tables are filled of %d", len(batches), len(Tables))
	}
	for _, b := range batches {
		if b.Len != want[b.Table.Name] {
			t.Errorf("%s: %d rows", b.Table.Name, b.Len)
		}
		for _, c := range b.Table.Columns {
			values := reflect.ValueOf(c.Values(b.Rows, Stamp{Run: 5, Batch: 6}))
			if values.Kind() != reflect.Slice || values.Len() != b.Len {
				t.Errorf("%s.%s: %v for %d rows", b.Table.Name, c.Name, values.Type(), b.Len)
			}
			if b.Len > 0 && c.Name == "run" && values.Index(0).Uint() != 5 || b.Len > 0 && c.Name == "batch" && values.Index(0).Uint() != 6 {
				t.Errorf("%s: stamp %v", b.Table.Name, values)
			}
		}
	}
}

func TestBatchesSayWhenTheyWereWritten(t *testing.T) {
	at := time.Date(2026, 11, 25, 23, 59, 59, 0, time.UTC)
	for want, s := range map[string]Stamp{
		"2026-11-25": {Run: 7, Day: at},
		"2026-11-26": {Run: uint64(at.Add(time.Second).UnixNano())},
		"2262-04-11": {Run: math.MaxUint64},
	} {
		for _, c := range CallTable.Columns {
			if c.Name != "written" {
				continue
			}
			if got := c.Values(make([]analyze.Call, 2), s).([]time.Time); len(got) != 2 || got[1].Format(time.DateOnly) != want {
				t.Errorf("%v: %v, want %s", s, got, want)
			}
		}
	}
}

func TestAgentsLivesAreSources(t *testing.T) {
	w := Watch{Agent: "a", Node: "n", Version: "v", Run: 7, Started: time.Unix(1, 0)}
	row := func(b []Batch) SourceRow { return b[len(b)-1].Rows.([]SourceRow)[0] }
	first := row(w.Batches(nil, 1, time.Unix(2, 0)))
	later := row(w.Batches(&analyze.Snapshot{Exchanges: 9, Coverage: analyze.Coverage{Captures: []analyze.Capture{{SHA256: "x"}}}}, 8, time.Unix(3, 0)))
	if first.Source != later.Source || first.Source == "" || later.FromBatch != 8 || later.Exchanges != 9 || first.Captures[0] != first.Source {
		t.Errorf("%+v, then %+v", first, later)
	}
	w.Run++
	if again := row(w.Batches(nil, 1, time.Unix(2, 0))); again.Source == first.Source || len(w.Batches(nil, 1, time.Unix(2, 0))) != 1 {
		t.Error("two lives are one source")
	}
}

func TestLatencyRanges(t *testing.T) {
	last := uint32(0)
	for us := time.Duration(0); us < 5000; us++ {
		b := LatencyBucket(us * time.Microsecond)
		if b < last || time.Duration(b) > us || time.Duration(b)*5/4 < us-1 {
			t.Fatalf("%d is in the range from %d, the one before in that from %d", us, b, last)
		}
		last = b
	}
	for latency, want := range map[time.Duration]uint32{-1: 0, math.MinInt64: 0, math.MaxInt64: LatencyBucket(time.Hour), 1023 * time.Microsecond: 896} {
		if got := LatencyBucket(latency); got != want {
			t.Errorf("%v: %d, want %d", latency, got, want)
		}
	}
}

func TestHostileTimesFit(t *testing.T) {
	for _, at := range []time.Time{{}, time.Unix(math.MaxInt64, 0), time.Unix(math.MinInt64, 0), time.Unix(1<<40, 0), time.Unix(-1, 0)} {
		if got := instant(at); got.Unix() < 0 || got.Year() > 2262 {
			t.Errorf("%v is %v", at, got)
		}
	}
	at := time.Date(2026, 11, 25, 10, 0, 0, 123456000, time.FixedZone("", 3600))
	if got := instant(at); !got.Equal(at) || got.Location() != time.UTC {
		t.Errorf("%v is %v", at, got)
	}
}

func TestSourcesAreTheirCaptures(t *testing.T) {
	id := func(captures ...analyze.Capture) string {
		return source(&analyze.Snapshot{Coverage: analyze.Coverage{Captures: captures}}, time.Now()).Source
	}
	a, b := analyze.Capture{Name: "a", SHA256: "1"}, analyze.Capture{Name: "b", SHA256: "2"}
	renamed := analyze.Capture{Name: "c", SHA256: "1"}
	if id(a, b) != id(b, a) || id(a) != id(renamed) || id(a, a) != id(a) {
		t.Error("the same captures are two sources")
	}
	if id(a) == id(b) || id(a) == id(a, b) || id() == id(a) {
		t.Error("other captures are one source")
	}
	unnamed := analyze.Capture{Name: "x"}
	if id(unnamed) == id(analyze.Capture{Name: "y"}) || len(source(&analyze.Snapshot{}, time.Now()).Captures) != 1 {
		t.Error("captures without a checksum")
	}
}
