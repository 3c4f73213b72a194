//go:build linux

package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"plainsight/analyze"
	"plainsight/capture"
	"plainsight/capture/live"
	"plainsight/capture/probe"
	"plainsight/cmd/internal/agent"
)

// eyes are what an agent captures with.
type eyes struct {
	sockets *probe.Source  // nil: not by eBPF
	packets []*live.Source // sharing the frames
}

// open opens what the flags ask for, and says what it chose and why.
func (c *watchCmd) open(a *app) (*eyes, error) {
	filter, err := c.filter()
	if err != nil {
		return nil, err
	}
	source, why := c.Source, "asked for"
	if source == "auto" {
		source, why = "ebpf", "the kernel tells of each call on a socket"
		if answer, reason := probe.Probe(); reason != nil {
			source, why = "packets", fmt.Sprintf("eBPF: %s, %v", answer, reason)
		} else if c.Interface != "" {
			source, why = "packets", "an interface is named"
		}
	}
	e := &eyes{}
	switch source {
	case "ebpf":
		err = c.openSockets(e, filter)
		if err != nil && c.Source == "auto" && len(c.Cgroup) == 0 {
			source, why = "packets", "eBPF does not work here: "+err.Error()
			err = c.openPackets(e, filter)
		}
	case "packets":
		err = c.openPackets(e, filter)
	}
	if err != nil {
		e.close()
		return nil, err
	}
	a.Log.Info("capturing", "source", source, "because", why)
	return e, nil
}

// socketFilter adds to a filter what sockets alone are told apart by.
func (c *watchCmd) socketFilter(filter capture.Filter) (f probe.Filter, err error) {
	f.Filter = filter
	for _, path := range c.Cgroup {
		g, err := cgroup(path)
		if err != nil {
			return f, err
		}
		f.Cgroups = append(f.Cgroups, g)
	}
	if c.Netns != "" {
		inode, err := namespace(c.Netns)
		if err != nil {
			return f, err
		}
		f.Namespaces = append(f.Namespaces, inode)
	}
	return f, nil
}

func (c *watchCmd) openSockets(e *eyes, filter capture.Filter) error {
	f, err := c.socketFilter(filter)
	if err != nil {
		return err
	}
	s, err := probe.Open(probe.Options{Filter: f, HostWide: true, TLS: c.TLS})
	if err != nil {
		return needs(err, "CAP_BPF and CAP_PERFMON")
	}
	e.sockets = s
	return nil
}

func (c *watchCmd) openPackets(e *eyes, filter capture.Filter) error {
	if len(c.Cgroup) > 0 {
		return usagef("--cgroup: packets do not say whose they are; that needs --source ebpf")
	}
	group, shards := live.NewGroup, min(runtime.GOMAXPROCS(0), maxShards)
	if shards == 1 {
		group = live.NoGroup
	}
	for range shards {
		s, err := live.Open(live.Options{Interface: c.Interface, Filter: filter, Group: group, Namespace: c.Netns})
		if err != nil {
			return needs(err, "CAP_NET_RAW")
		}
		group = s.Group()
		e.packets = append(e.packets, s)
	}
	return nil
}

// refilter changes what is captured to what the flags of c say.
func (e *eyes) refilter(c *watchCmd) error {
	filter, err := c.filter()
	if err != nil {
		return err
	}
	if e.sockets != nil {
		f, err := c.socketFilter(filter)
		if err != nil {
			return err
		}
		if err := e.sockets.SetFilter(&f); err != nil {
			return err
		}
	}
	for _, s := range e.packets {
		if err := s.SetFilter(&filter); err != nil {
			return err
		}
	}
	return nil
}

// needs adds to a refusal of the kernel what would help.
func needs(err error, capabilities string) error {
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, fs.ErrPermission) {
		return hintError{err, "needs " + capabilities + "; try plainsight doctor"}
	}
	return err
}

// filter is what the flags leave of the traffic.
func (c *watchCmd) filter() (f capture.Filter, err error) {
	f.Ports, f.ExcludedPorts = c.Port, c.ExcludePort
	if f.Networks, err = networks("--host", c.Host); err != nil {
		return f, err
	}
	f.ExcludedNetworks, err = networks("--exclude-host", c.ExcludeHost)
	return f, err
}

func networks(flag string, names []string) (all []netip.Prefix, err error) {
	for _, name := range names {
		if p, err := netip.ParsePrefix(name); err == nil {
			all = append(all, p.Masked())
		} else if a, err := netip.ParseAddr(name); err == nil && a.Zone() == "" {
			all = append(all, netip.PrefixFrom(a, a.BitLen()))
		} else {
			return nil, usagef("%s %s: want an address or a network, as 10.1.0.0/16", flag, name)
		}
	}
	return all, nil
}

// cgroup finds a control group of version 2 by its path, from the root of the
// hierarchy or from that of the file system.
func cgroup(path string) (g probe.Cgroup, err error) {
	root, err := cgroupRoot()
	if err != nil {
		return g, err
	}
	below, ok := strings.CutPrefix(filepath.Clean(path), root)
	if !ok {
		below = filepath.Clean("/" + path)
	}
	info, err := os.Stat(filepath.Join(root, below))
	if err != nil {
		return g, usagef("--cgroup %s: %w", path, err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() {
		return g, usagef("--cgroup %s: want the directory of a cgroup", path)
	}
	return probe.Cgroup{ID: stat.Ino, Level: uint32(strings.Count(strings.TrimSuffix(below, "/"), "/"))}, nil
}

// cgroupRoot is where the hierarchy of version 2 is mounted (proc(5), mountinfo).
func cgroupRoot() (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		if fields := strings.Fields(before); len(fields) > 4 && strings.HasPrefix(after, "cgroup2 ") {
			return fields[4], nil
		}
	}
	return "", errors.New("no cgroups of version 2 are mounted here")
}

// namespace is the inode of a network namespace.
func namespace(file string) (uint32, error) {
	info, err := os.Stat(file)
	if err != nil {
		return 0, usagef("--netns %s: %w", file, err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, usagef("--netns %s: want a file such as /proc/PID/ns/net", file)
	}
	return uint32(stat.Ino), nil
}

// join gives an agent its sources.
func (e *eyes) join(w *agent.Agent) {
	if e.sockets != nil {
		w.Chunks("sockets", e.sockets)
	}
	for _, s := range e.packets {
		w.Frames("packets", s)
	}
}

// sources names what is captured with, for people.
func (e *eyes) sources(device string) (all []analyze.Capture) {
	if e.sockets != nil {
		all = append(all, analyze.Capture{Name: "sockets of this host", Format: "ebpf"})
	}
	if len(e.packets) > 0 {
		all = append(all, analyze.Capture{Name: cmp.Or(device, "all interfaces"), Format: "packets"})
	}
	return all
}

// name is what is captured with, in one word.
func (e *eyes) name() string {
	if e.sockets != nil {
		return "ebpf"
	}
	return "packets"
}

// find finds TLS libraries until ctx is done.
func (e *eyes) find(ctx context.Context) {
	if e.sockets != nil {
		e.sockets.Run(ctx)
	}
}

func (e *eyes) close() {
	if e.sockets != nil {
		e.sockets.Close()
	}
	for _, s := range e.packets {
		s.Close()
	}
}

// kernel is what the kernel counted, by the names of metrics.
func (e *eyes) kernel() map[string]uint64 {
	all := map[string]uint64{}
	if e.sockets != nil {
		for _, c := range e.sockets.Counters() {
			all[c.Name] = c.Count
		}
	}
	for _, s := range e.packets {
		c := s.Counts()
		all["packets_frames"] += c.Frames
		all["packets_dropped"] += c.Dropped
		all["packets_freezes"] += c.Freezes
	}
	return all
}

// lost is how many frames or events the kernel had no room for.
func (e *eyes) lost() uint64 {
	k := e.kernel()
	return k["sockets_dropped"] + k["packets_dropped"]
}

// notVisible says what is known to be there and not seen.
func (e *eyes) notVisible() (all []string) {
	if n := e.lost(); n > 0 {
		all = append(all, fmt.Sprintf("%d events or frames were lost: the kernel had no room for them.", n))
	}
	if e.sockets == nil {
		return all
	}
	found, unreadable := e.sockets.Libraries()
	for _, f := range found {
		if f.Err != nil {
			all = append(all, fmt.Sprintf("TLS of %s (%s) is not read: %v.", f.Path, f.Library, f.Err))
		}
	}
	for _, name := range unreadable {
		all = append(all, fmt.Sprintf("TLS of %s is not read: it holds no library that is known.", name))
	}
	return all
}
