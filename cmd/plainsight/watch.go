package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"plainsight/analyze/inventory"
	"plainsight/analyze/report"
	"plainsight/capture"
	"plainsight/capture/flow"
	"plainsight/cmd/internal/agent"
	"plainsight/cmd/internal/telemetry"
)

type watchCmd struct {
	Source    string `enum:"auto,ebpf,packets" default:"auto" help:"ebpf (sockets, and inside of TLS), packets (interfaces), or the better one that works here: ${enum}." placeholder:"SOURCE"`
	Interface string `short:"i" help:"For packets: the interface; without it all." placeholder:"NAME"`
	TLS       bool   `name:"tls" default:"true" negatable:"" help:"For ebpf: read what is inside of TLS where its library is known."`

	Port        []uint16 `short:"p" help:"Only these TCP ports, of either end." placeholder:"PORT"`
	Host        []string `help:"Only these addresses or networks." placeholder:"ADDRESS"`
	ExcludePort []uint16 `help:"Not these ports." placeholder:"PORT"`
	ExcludeHost []string `help:"Not these addresses or networks." placeholder:"ADDRESS"`
	Cgroup      []string `help:"Only processes of these cgroups (version 2, paths) and of those below." placeholder:"PATH"`
	Netns       string   `help:"Only this network namespace: a file such as /proc/PID/ns/net." placeholder:"FILE"`

	For      time.Duration `help:"Stop after so long." placeholder:"DURATION"`
	Format   string        `enum:"text,json,html,sarif,none" default:"text" help:"Of the report at the end: ${enum}." placeholder:"FORMAT"`
	Output   []string      `short:"o" help:"Also to FILE, by its ending: .txt .json .html .sarif" placeholder:"FILE"`
	Interval time.Duration `default:"30s" help:"Between two writings of what is known." placeholder:"DURATION"`
	Listen   string        `default:"127.0.0.1:9464" help:"Where /metrics, /healthz and /readyz are; empty: nowhere." placeholder:"ADDRESS" env:"PLAINSIGHT_LISTEN"`
	KeyFile  string        `help:"Key of fingerprints; made if missing" placeholder:"FILE" env:"PLAINSIGHT_KEY_FILE"`
	Rules    string        `help:"Kinds of sensitive data of your own (YAML)." placeholder:"FILE"`
	Routes   string        `help:"Templates of your own: a list or OpenAPI document." placeholder:"FILE"`
	Config   string        `help:"Mutes; ./plainsight.yaml if it is there." placeholder:"FILE"`
}

// Help is shown below the flags.
func (*watchCmd) Help() string {
	return `  plainsight watch --port 8080 --for 1m    what passes through a port
  plainsight watch --source packets -i eth0
  plainsight watch -o report.html          until interrupted, then a report`
}

// drainTime is how long sources are drained once the agent is told to stop.
const drainTime = 3 * time.Second

// Run watches this host until it is told to stop, and reports.
func (c *watchCmd) Run(ctx context.Context, a *app) error {
	judgement, err := a.judge(ctx, "", c.Config)
	if err != nil {
		return err
	}
	key, err := readKey(c.KeyFile, false)
	if err != nil {
		return err
	}
	routes, err := readRoutes(c.Routes)
	if err != nil {
		return err
	}
	rules, err := readRules(c.Rules)
	if err != nil {
		return err
	}
	outputs, err := outputsOf(c.Output)
	if err != nil {
		return err
	}
	if limit, err := memlimit.Set(memlimit.WithRatio(0.9)); err == nil { // of the cgroup; without one there is none
		a.Log.Debug("memory is limited", "bytes", limit)
	}
	eyes, err := c.open(a)
	if err != nil {
		return err
	}
	defer eyes.close()
	watcher := agent.New(agent.Options{
		Inventory:  inventory.Options{Key: key, Version: version, Routes: routes, Rules: rules},
		Flow:       flow.Options{Protocols: protocols(true), Logger: a.Log},
		Interval:   c.Interval,
		Sources:    eyes.sources(c.Interface),
		NotVisible: eyes.notVisible,
	})
	eyes.join(watcher)

	if c.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.For)
		defer cancel()
	}
	stopServing, err := c.serve(ctx, a, watcher, eyes)
	if err != nil {
		return err
	}
	defer stopServing()
	stopStatus := a.status(watcher, eyes)
	found := make(chan struct{})
	finding, stopFinding := context.WithCancel(ctx)
	go func() { defer close(found); eyes.find(finding) }()
	err = watcher.Run(ctx, drainTime)
	stopFinding()
	<-found
	stopStatus()
	if err != nil {
		return err
	}

	snap := judgement.apply(watcher.Snapshot())
	for _, o := range outputs {
		if err := o.write(snap); err != nil {
			return err
		}
	}
	if f, ok := report.ByName(c.Format); ok {
		width, onTerminal := terminal(a.Stdout)
		return f.Write(a.Stdout, snap, report.Options{Width: width, Colour: onTerminal && os.Getenv("NO_COLOR") == ""})
	}
	return nil
}

// serve serves metrics and health.
func (c *watchCmd) serve(ctx context.Context, a *app, w *agent.Agent, e *eyes) (stop func(), err error) {
	if c.Listen == "" {
		return func() {}, nil
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return nil, usagef("--listen %s: want an address and a port, as 127.0.0.1:9464", c.Listen)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, usagef("--listen %s: metrics are served on loopback alone (127.0.0.1:9464)", c.Listen)
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, hintError{fmt.Errorf("listen for metrics: %w", err), "another address: --listen 127.0.0.1:9465; none: --listen ''"}
	}
	a.Log.Info("metrics and health are served", "address", l.Addr().String())
	started := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := telemetry.Serve(ctx, l, telemetry.Handler(version, func() telemetry.State {
			h := w.Health()
			s := telemetry.State{Capture: h.Counts, Kernel: e.kernel(), Started: started}
			if !h.Last.IsZero() {
				s.Lag = max(0, time.Since(h.Last))
			}
			return s
		})); err != nil {
			a.Log.Error("metrics are not served any more", "error", err)
		}
	}()
	return func() { cancel(); <-done }, nil
}

// status shows on a terminal what passes, until the function returned is called.
func (a *app) status(w *agent.Agent, e *eyes) (stop func()) {
	if _, ok := terminal(a.Stderr); !ok {
		return func() {}
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		began, before := time.Now(), uint64(0)
		for {
			select {
			case <-quit:
				fmt.Fprint(a.Stderr, "\r\x1b[K")
				return
			case <-tick.C:
				n := w.Health().Counts
				now := n[capture.Exchanges]
				fmt.Fprintf(a.Stderr, "\r\x1b[K%s  %d exchanges (%d/s)  %d connections  %d handshakes  %d gaps  %d lost in the kernel",
					time.Since(began).Truncate(time.Second), now, now-before, n[capture.Connections], n[capture.Handshakes], n[capture.StreamGaps], e.lost())
				before = now
			}
		}
	}()
	return func() { close(quit); <-ended }
}
