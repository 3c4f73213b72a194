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
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"plainsight/capture"
)

// State is what is asked for at each scrape.
type State struct {
	Capture capture.Counts
	Kernel  map[string]uint64 // counters of the kernel, by name: letters and _
	Lag     time.Duration     // since the traffic that was read last
	Started time.Time
	Sink    map[string]uint64 // counters of the sink, by name
	Ready   error             // why the agent is not ready; nil: it is
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
	for name, n := range s.Sink {
		send("sink_"+name, "of the road to the store: "+strings.ReplaceAll(name, "_", " "), prometheus.UntypedValue, float64(n))
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
