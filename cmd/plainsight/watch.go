//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/alecthomas/kong"
	"golang.org/x/sys/unix"

	"plainsight/analyze/inventory"
	"plainsight/analyze/report"
	"plainsight/capture"
	"plainsight/capture/flow"
	"plainsight/cmd/internal/agent"
	"plainsight/cmd/internal/telemetry"
	"plainsight/storage"
	"plainsight/storage/clickhouse"
	"plainsight/storage/delivery"
	"plainsight/storage/spool"
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
	Key      string        `name:"fingerprint-key-file" help:"Key of fingerprints; made if missing" placeholder:"FILE" env:"PLAINSIGHT_KEY_FILE"`
	Rules    string        `help:"Kinds of sensitive data of your own (YAML)." placeholder:"FILE"`
	Routes   string        `help:"Templates of your own: a list or OpenAPI document." placeholder:"FILE"`
	Config   string        `help:"Flags and mutes; ./plainsight.yaml if it is there." placeholder:"FILE"`

	storeFlags
	Keep  bool   `help:"Keep what is found in the local store."`
	Spool string `help:"Directory where rows wait for the store." placeholder:"DIR" env:"PLAINSIGHT_SPOOL"`
	Agent string `help:"Name of this agent, stable over restarts; else that of the host." placeholder:"NAME" env:"PLAINSIGHT_AGENT"`
	Node  string `help:"Name of this node; else that of the host." placeholder:"NAME" env:"NODE_NAME"`
	Calls string `default:"all" help:"Rows of exchanges to keep: all, none, or one of N as 1/N; statistics count all." placeholder:"SHARE"`
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
	key, err := readKey(c.Key, c.keeps())
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
	store, closeStore, err := c.openStore(ctx, a)
	if err != nil {
		return err
	}
	defer closeStore()
	watcher := agent.New(agent.Options{
		Inventory:  inventory.Options{Key: key, Version: version, Routes: routes, Rules: rules},
		Flow:       flow.Options{Protocols: protocols(true), Logger: a.Log},
		Interval:   c.Interval,
		Sink:       sinkOf(store),
		Sources:    eyes.sources(c.Interface),
		Host:       agent.Host{Kernel: kernelRelease(), Source: eyes.name(), Lost: eyes.lost},
		NotVisible: eyes.notVisible,
	})
	eyes.join(watcher)

	if c.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.For)
		defer cancel()
	}
	stopServing, err := c.serve(ctx, a, watcher, eyes, store)
	if err != nil {
		return err
	}
	defer stopServing()
	stopStatus := a.status(watcher, eyes)
	found := make(chan struct{})
	finding, stopFinding := context.WithCancel(ctx)
	go func() { defer close(found); eyes.find(finding) }()
	stopReloading := a.reloads(watcher, eyes)
	err = watcher.Run(ctx, drainTime)
	stopReloading()
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
func (c *watchCmd) serve(ctx context.Context, a *app, w *agent.Agent, e *eyes, store *agent.Store) (stop func(), err error) {
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
			if store != nil {
				d := store.Stats()
				s.Sink, s.Lost = &d, store.Lost()
				if !d.Ready {
					s.Ready = errStore
				}
			}
			return s
		})); err != nil {
			a.Log.Error("metrics are not served any more", "error", err)
		}
	}()
	return func() { cancel(); <-done }, nil
}

// reloads reads filters and rules again at each SIGHUP, until the function returned
// is called. What is wrong with them is said, and what was goes on.
func (a *app) reloads(w *agent.Agent, e *eyes) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-quit:
				return
			case <-hangups:
				if err := a.reload(w, e); err != nil {
					a.Log.Error("not reloaded: what was goes on", "error", err)
				} else {
					a.Log.Info("filters and rules are reloaded")
				}
			}
		}
	}()
	return func() { signal.Stop(hangups); close(quit); <-ended }
}

func (a *app) reload(w *agent.Agent, e *eyes) error {
	parser, cmds, err := newParser(a.Args, kong.Writers(a.Stdout, a.Stderr))
	if err != nil {
		return err
	}
	if _, err := parser.Parse(a.Args); err != nil {
		return err
	}
	rules, err := readRules(cmds.Watch.Rules)
	if err != nil {
		return err
	}
	if err := e.refilter(&cmds.Watch); err != nil {
		return err
	}
	w.SetRules(rules)
	return nil
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

// errStore says that a person must do something about the store.
var errStore = errors.New("the store does not take rows")

// keeps reports whether what is found is to be kept.
func (c *watchCmd) keeps() bool { return c.Keep || c.Store != "" }

// openStore opens the road to the store, if one is asked for. The store need not
// be there.
func (c *watchCmd) openStore(ctx context.Context, a *app) (*agent.Store, func(), error) {
	sampling, err := sampling(c.Calls)
	if err != nil || !c.keeps() {
		return nil, func() {}, err
	}
	o := c.storeFlags.options(a)
	o.Create = true
	sink, err := clickhouse.NewSink(o)
	if err != nil {
		return nil, nil, storeError(err)
	}
	dir := c.Spool
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, nil, hintError{err, "name a directory with --spool"}
		}
		dir = filepath.Join(cache, "plainsight", "spool")
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, nil, err
	}
	name := cmp.Or(c.Agent, host)
	w, err := delivery.Open(ctx, delivery.Options{Sink: sink, Spool: spool.Options{Dir: dir}, Agent: name, Log: a.Log})
	if err != nil {
		sink.Close()
		return nil, nil, fmt.Errorf("open the spool: %w", err)
	}
	store := agent.NewStore(w, agent.StoreOptions{Watch: storage.Watch{Agent: name, Node: cmp.Or(c.Node, host), Version: version}, Sampling: sampling, Log: a.Log})
	return store, func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTime)
		defer cancel()
		if err := w.Close(end); err != nil {
			a.Log.Warn("not all rows reached the store; they are sent at the next start", "error", err)
		}
		if err := sink.Close(); err != nil {
			a.Log.Warn("the store was not closed", "error", err)
		}
	}, nil
}

// sendTime is how long what waits is sent once the agent is told to stop; the
// rest stays in the spool.
const sendTime = 10 * time.Second

// sinkOf keeps a store that is not there from looking like one.
func sinkOf(s *agent.Store) agent.Sink {
	if s == nil {
		return nil
	}
	return s
}

// sampling reads how many calls are kept: one of so many, 0 for none.
func sampling(text string) (uint16, error) {
	switch text {
	case "all":
		return 1, nil
	case "none":
		return 0, nil
	}
	if n, err := strconv.ParseUint(strings.TrimPrefix(text, "1/"), 10, 16); err == nil && strings.HasPrefix(text, "1/") && n > 0 {
		return uint16(n), nil
	}
	return 0, usagef("--calls %s: want all, none, or 1/N as 1/100", text)
}

// kernelRelease is the version of the kernel (uname(2)).
func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}
