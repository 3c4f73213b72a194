// Package telemetry serves the health of an agent: metrics in the format of
// Prometheus, /healthz and /readyz. It is the only place with names of metrics.
// Labels come from closed sets: nothing that was captured becomes one.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"plainsight/capture"
	"plainsight/storage/delivery"
)

// State is what is asked for at each scrape.
type State struct {
	Capture capture.Counts
	Kernel  map[string]uint64 // counters of the kernel, by name: letters and _
	Lag     time.Duration     // since the traffic that was read last
	Started time.Time
	Sink    *delivery.Stats // nil: nothing is kept
	Lost    uint64          // rows that the spool did not take in time
	Ready   error           // why the agent is not ready; nil: it is
}

// collector asks for the state when it is scraped.
type collector struct {
	state   func() State
	version string
}

const prefix = "plainsight_"

// Describe sends nothing: which counters there are is known when they are read.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the state.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	s := c.state()
	send := func(name, help string, kind prometheus.ValueType, value float64) {
		to <- prometheus.MustNewConstMetric(prometheus.NewDesc(prefix+name, help, nil, nil), kind, value)
	}
	for i, n := range s.Capture {
		info := capture.Counter(i).Info()
		send("capture_"+info.Name+"_total", info.Help, prometheus.CounterValue, float64(n))
	}
	for name, n := range s.Kernel {
		send("kernel_"+name+"_total", "counted in the kernel: "+strings.ReplaceAll(name, "_", " "), prometheus.CounterValue, float64(n))
	}
	if s.Sink != nil {
		c.sink(to, s.Sink, s.Lost)
	}
	send("lag_seconds", "time since the traffic that was read last", prometheus.GaugeValue, s.Lag.Seconds())
	send("start_time_seconds", "when the agent began, since 1970", prometheus.GaugeValue, float64(s.Started.UnixNano())/1e9)
	ready := 1.0
	if s.Ready != nil {
		ready = 0
	}
	send("ready", "whether the agent captures and its store takes rows", prometheus.GaugeValue, ready)
	to <- prometheus.MustNewConstMetric(prometheus.NewDesc(prefix+"build_info", "version of plainsight", []string{"version"}, nil), prometheus.GaugeValue, 1, c.version)
}

// sink sends what is known of the road to the store.
func (c *collector) sink(to chan<- prometheus.Metric, d *delivery.Stats, lost uint64) {
	send := func(name, help string, kind prometheus.ValueType, value float64, labels ...string) {
		var names, values []string
		for i := 0; i < len(labels); i += 2 {
			names, values = append(names, labels[i]), append(values, labels[i+1])
		}
		to <- prometheus.MustNewConstMetric(prometheus.NewDesc(prefix+name, help, names, nil), kind, value, values...)
	}
	counter, gauge := prometheus.CounterValue, prometheus.GaugeValue
	yes := map[bool]float64{true: 1}
	send("sink_up", "whether the last attempt to write succeeded", gauge, yes[d.Up])
	send("sink_rows_written_total", "rows given to the road to the store", counter, float64(d.Written))
	send("sink_rows_lost_total", "rows that the spool did not take in time", counter, float64(lost))
	send("sink_rows_taken_total", "rows that the store has", counter, float64(d.Taken))
	send("sink_batches_total", "batches that the store has", counter, float64(d.Batches))
	send("sink_replays_total", "batches sent again because their fate was unknown", counter, float64(d.Replays))
	send("sink_resent_total", "batches acknowledged and then found missing", counter, float64(d.Lost))
	for class, n := range d.Errors {
		send("sink_errors_total", "attempts to write that failed", counter, float64(n), "class", class)
	}
	for code, n := range d.Rejected {
		send("sink_rejected_rows_total", "rows that the store will never take, by its code", counter, float64(n), "code", strconv.Itoa(int(code)))
	}
	p := &d.Spool
	send("spool_up", "whether the disk of the spool works", gauge, yes[p.Up])
	send("spool_bytes", "waiting on disk", gauge, float64(p.Bytes))
	send("spool_memory_bytes", "waiting in memory", gauge, float64(p.Memory))
	send("spool_oldest_seconds", "age of what waits longest", gauge, p.Oldest.Seconds())
	for kind, reasons := range p.Dropped {
		for reason, n := range reasons {
			send("spool_dropped_total", "rows given up, by what they were", counter, float64(n), "kind", kind, "reason", reason)
		}
	}
	for op, n := range p.Errors {
		send("spool_errors_total", "faults of the disk", counter, float64(n), "op", op)
	}
	send("spool_recovered_records_total", "records found at the start", counter, float64(p.Recovered))
	send("spool_torn_bytes_total", "bytes cut off at ends that a crash left", counter, float64(p.Torn))
	send("spool_corrupt_records_total", "records skipped because they are damaged", counter, float64(p.Corrupt))
}

// Handler serves /metrics, /healthz (alive) and /readyz (captures, and its store
// takes rows).
func Handler(version string, state func() State) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(&collector{state, version}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := state().Ready; err != nil {
			http.Error(w, "not ready", http.StatusServiceUnavailable) // why is in the log: the text may name hosts
			return
		}
		fmt.Fprintln(w, "ready")
	})
	return mux
}

// Serve serves on a listener until ctx is done.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10}
	forget := context.AfterFunc(ctx, func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = s.Shutdown(end) // what is left then is cut by Close
		_ = s.Close()
	})
	defer forget()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
