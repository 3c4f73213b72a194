package storage

import "time"

// Stage is a step of an agent's pipeline: source, shard, inventory, writer,
// spool, sink. What went in was passed on, ignored by intent, or dropped.
type Stage struct {
	Name                         string
	In, Passed, Ignored, Dropped uint64
}

// AgentRow is what an agent tells of itself, every half minute or so. Counters
// grow from its start.
type AgentRow struct {
	Time    time.Time
	Started time.Time
	Agent   string // stable over restarts
	Node    string
	Version string // of plainsight
	Kernel  string
	Source  string // what it captures with: ebpf, packets, both

	Stages    []Stage
	RingDrops uint64 // events or frames the kernel had no room for
	Gaps      uint64 // holes in streams
	GapBytes  uint64
	Exchanges uint64
	Lag       time.Duration // of the last row that was written, behind its traffic

	CPU         time.Duration // of the process so far
	Memory      uint64        // resident bytes
	MemoryLimit uint64        // 0: none
	Goroutines  uint64

	SinkUp       bool
	SinkErrors   map[string]uint64 // by class: connect, unknown, overload, config
	SinkRejected uint64            // rows that the store will never take
	SinkReplays  uint64            // batches that were sent again
	SpoolBytes   uint64
	SpoolOldest  time.Duration     // age of what waits longest
	SpoolDropped map[string]uint64 // rows by kind: calls, statistics, findings
	SpoolErrors  uint64
}

func stages(get func(*Stage) uint64) func(*AgentRow) map[string]uint64 {
	return func(r *AgentRow) map[string]uint64 {
		out := make(map[string]uint64, len(r.Stages))
		for i := range r.Stages {
			out[r.Stages[i].Name] += get(&r.Stages[i])
		}
		return out
	}
}

const counts = "Map(LowCardinality(String), UInt64)"

// AgentTable has the health of agents over time.
var AgentTable = Table{
	Name: "agents", Doc: "what agents tell of themselves over time; counters grow from an agent's start",
	Order: "(agent, time)", Partition: daily, Shard: byRun,
	Columns: stamped[AgentRow](
		column("time", moment, delta, "by the agent's clock", func(r *AgentRow) time.Time { return instant(r.Time) }),
		column("started", moment, delta, "start of the agent", func(r *AgentRow) time.Time { return instant(r.Started) }),
		column("agent", few, zstd, "identity, stable over restarts", func(r *AgentRow) string { return r.Agent }),
		column("node", few, zstd, "host", func(r *AgentRow) string { return r.Node }),
		column("version", few, zstd, "of plainsight", func(r *AgentRow) string { return r.Version }),
		column("kernel", few, zstd, "release", func(r *AgentRow) string { return r.Kernel }),
		column("source", few, zstd, "what it captures with: ebpf, packets, both", func(r *AgentRow) string { return r.Source }),
		column("stage_in", counts, zstd, "by stage: what went in", stages(func(s *Stage) uint64 { return s.In })),
		column("stage_passed", counts, zstd, "by stage: what was passed on", stages(func(s *Stage) uint64 { return s.Passed })),
		column("stage_ignored", counts, zstd, "by stage: what was left out by intent", stages(func(s *Stage) uint64 { return s.Ignored })),
		column("stage_dropped", counts, zstd, "by stage: what was lost", stages(func(s *Stage) uint64 { return s.Dropped })),
		column("ring_drops", number, small, "events or frames the kernel had no room for", func(r *AgentRow) uint64 { return r.RingDrops }),
		column("gaps", number, small, "holes in streams", func(r *AgentRow) uint64 { return r.Gaps }),
		column("gap_bytes", number, small, "bytes in these holes", func(r *AgentRow) uint64 { return r.GapBytes }),
		column("exchanges", number, small, "that were read", func(r *AgentRow) uint64 { return r.Exchanges }),
		column("lag_ms", number, small, "milliseconds that what was written last is behind its traffic", func(r *AgentRow) uint64 { return count(r.Lag.Milliseconds()) }),
		column("cpu_ms", number, small, "milliseconds of processor time so far", func(r *AgentRow) uint64 { return count(r.CPU.Milliseconds()) }),
		column("memory_bytes", number, small, "resident", func(r *AgentRow) uint64 { return r.Memory }),
		column("memory_limit", number, small, "bytes; 0: none", func(r *AgentRow) uint64 { return r.MemoryLimit }),
		column("goroutines", number, small, "", func(r *AgentRow) uint64 { return r.Goroutines }),
		column("sink_up", "Bool", zstd, "whether the store takes rows", func(r *AgentRow) bool { return r.SinkUp }),
		column("sink_errors", counts, zstd, "by class: connect, unknown, overload, config", func(r *AgentRow) map[string]uint64 { return full(r.SinkErrors) }),
		column("sink_rejected", number, small, "rows that the store will never take", func(r *AgentRow) uint64 { return r.SinkRejected }),
		column("sink_replays", number, small, "batches that were sent again", func(r *AgentRow) uint64 { return r.SinkReplays }),
		column("spool_bytes", number, small, "waiting on disk", func(r *AgentRow) uint64 { return r.SpoolBytes }),
		column("spool_oldest_ms", number, small, "age of what waits longest", func(r *AgentRow) uint64 { return count(r.SpoolOldest.Milliseconds()) }),
		column("spool_dropped", counts, zstd, "rows by kind: calls, statistics, findings", func(r *AgentRow) map[string]uint64 { return full(r.SpoolDropped) }),
		column("spool_errors", number, small, "", func(r *AgentRow) uint64 { return r.SpoolErrors }),
	),
}

// full is m, or an empty map where there is none.
func full(m map[string]uint64) map[string]uint64 {
	if m == nil {
		return map[string]uint64{}
	}
	return m
}

// Agents is a batch of what agents tell.
func Agents(rows []AgentRow) Batch { return batch(AgentTable, rows) }
