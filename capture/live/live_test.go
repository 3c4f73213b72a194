//go:build linux

package live

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"plainsight/capture"
	"plainsight/capture/capturetest"
	"plainsight/capture/flow"
	"plainsight/capture/http1"
)

const inside = "LIVE_TEST_NAMESPACE"

// namespaced runs a test as a process of its own in a new network namespace, so
// that nothing of the host is read and nothing is sent to it. It reports whether
// the caller is that process.
func namespaced(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		run(t, "ip link set lo up")
		return true
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	c.Env = append(os.Environ(), inside+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("in a namespace: %v\n%s", err, out)
	}
	t.Logf("%s", out)
	return false
}

func run(t *testing.T, commands ...string) {
	t.Helper()
	for _, line := range commands {
		args := strings.Fields(line)
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
}

// seen is what the engine concluded.
type seen struct {
	sync.Mutex
	lines []string
	over  chan struct{}
}

func (s *seen) Exchange(x *capture.Exchange) {
	s.Lock()
	s.lines = append(s.lines, fmt.Sprintf("%s %s %d %d vlan %d", x.Method, x.Target, x.Status, x.Response.BodySize, x.Conn.VLAN))
	s.Unlock()
}
func (s *seen) Handshake(*capture.Handshake) {}
func (s *seen) WebSocket(*capture.WebSocket) {}
func (s *seen) Connection(*capture.Summary)  { s.over <- struct{}{} }

// watch reads while do runs, and until connections of what it did are over.
func watch(t *testing.T, o Options, connections int, do func()) (*seen, capture.Counts, Counts) {
	t.Helper()
	src, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &seen{over: make(chan struct{}, 1000)}
	var counts capture.Counts
	done := make(chan error)
	go func() {
		var err error
		counts, err = flow.Run(context.Background(), src, 1, flow.Options{Protocols: []capture.Protocol{http1.Protocol(http1.Options{})}, Linger: time.Millisecond}, func(int) capture.Handler { return s })
		done <- err
	}()
	do()
	for range connections {
		select {
		case <-s.over:
		case <-time.After(30 * time.Second):
			t.Error("a connection did not end")
		}
	}
	if err := src.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	return s, counts, src.Counts()
}

// serve answers every request with 100,000 bytes.
func serve(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(bytes.Repeat([]byte("x"), 100_000)) }))
	t.Cleanup(func() { l.Close() })
}

func get(t *testing.T, address string, count int) {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c := http.Client{Transport: transport, Timeout: 60 * time.Second}
	for range count {
		answer, err := c.Get("http://" + address + "/things")
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
}

func TestLoopbackShowsEachFrameOnce(t *testing.T) {
	if !namespaced(t) {
		return
	}
	serve(t, "127.0.0.1:8080")
	s, counts, kernel := watch(t, Options{Interface: "lo"}, 1, func() { get(t, "127.0.0.1:8080", 20) })
	if len(s.lines) != 20 || s.lines[0] != "GET /things 200 100000 vlan 0" {
		t.Errorf("%d exchanges: %v", len(s.lines), s.lines)
	}
	if n, all := counts[capture.SegmentsDuplicate], counts[capture.FramesSeen]; n > all/10 { // a busy machine repeats one or two
		t.Errorf("%d segments of %d frames came twice", n, all)
	}
	if kernel.Frames == 0 || kernel.Dropped != 0 {
		t.Errorf("kernel: %+v", kernel)
	}
}

// What is sent at one end of a pair of interfaces is read at the other, with the
// tags that the kernel takes out of frames.
func TestVethPair(t *testing.T) {
	if !namespaced(t) {
		return
	}
	run(t, "ip link add near type veth peer name far", "ip link set near up", "ip link set far up")
	far, err := net.InterfaceByName("far")
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, c := range []struct {
		name string
		tags []uint16
		want string
	}{
		{"untagged", nil, "GET /things 200 5 vlan 0"},
		{"tagged", []uint16{7}, "GET /things 200 5 vlan 7"},
		{"tagged twice", []uint16{3, 7}, "GET /things 200 5 vlan 12295"},
	} {
		t.Run(c.name, func(t *testing.T) {
			frames := capturetest.Wire{VLAN: c.tags}.Frames(
				capturetest.Client("GET /things HTTP/1.1\r\nHost: a\r\n\r\n"),
				capturetest.Server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
			s, counts, _ := watch(t, Options{Interface: "near"}, 1, func() {
				for _, f := range frames {
					if err := unix.Sendto(fd, f.Data, 0, &unix.SockaddrLinklayer{Ifindex: far.Index, Halen: 6}); err != nil {
						t.Fatal(err)
					}
				}
			})
			if len(s.lines) != 1 || s.lines[0] != c.want {
				t.Errorf("%v, want %s (%v)", s.lines, c.want, counts)
			}
		})
	}
}

func TestFilterRunsInTheKernel(t *testing.T) {
	if !namespaced(t) {
		return
	}
	run(t, "ip addr add 127.0.7.1/8 dev lo")
	serve(t, "0.0.0.0:8080")
	serve(t, "0.0.0.0:8081")
	serve(t, "[::1]:8082")
	prefixes := func(list ...string) (all []netip.Prefix) {
		for _, p := range list {
			all = append(all, netip.MustParsePrefix(p))
		}
		return all
	}
	var many []uint16
	for p := range uint16(400) {
		many = append(many, 20000+p)
	}
	for _, c := range []struct {
		name    string
		filter  capture.Filter
		address string
		want    bool
	}{
		{"nothing is asked for", capture.Filter{}, "127.0.0.1:8080", true},
		{"its port", capture.Filter{Ports: []uint16{80, 8080}}, "127.0.0.1:8080", true},
		{"its port behind many", capture.Filter{Ports: append(many, 8080)}, "127.0.0.1:8080", true},
		{"another port", capture.Filter{Ports: []uint16{8080}}, "127.0.0.1:8081", false},
		{"an excluded port", capture.Filter{ExcludedPorts: []uint16{8081}}, "127.0.0.1:8081", false},
		{"another than the excluded port", capture.Filter{ExcludedPorts: []uint16{8081}}, "127.0.0.1:8080", true},
		{"its network", capture.Filter{Networks: prefixes("127.0.7.0/25")}, "127.0.7.1:8080", true},
		{"another network", capture.Filter{Networks: prefixes("10.0.0.0/8", "127.0.8.0/24")}, "127.0.7.1:8080", false},
		{"an excluded network", capture.Filter{ExcludedNetworks: prefixes("127.0.7.1/32")}, "127.0.7.1:8080", false},
		{"an excluded part of a wanted network", capture.Filter{Networks: prefixes("127.0.0.0/8"), ExcludedNetworks: prefixes("127.0.7.0/24")}, "127.0.7.1:8080", false},
		{"a wanted part of an excluded network", capture.Filter{Networks: prefixes("127.0.7.0/24", "127.0.0.1/32"), ExcludedNetworks: prefixes("127.0.0.0/8")}, "127.0.7.1:8080", true},
		{"version 6", capture.Filter{Ports: []uint16{8082}}, "[::1]:8082", true},
		{"a network of version 6", capture.Filter{Networks: prefixes("::1/128")}, "[::1]:8082", true},
		{"another network of version 6", capture.Filter{Networks: prefixes("fd00::/9")}, "[::1]:8082", false},
		{"a network of version 4 for version 6", capture.Filter{Networks: prefixes("127.0.0.0/8")}, "[::1]:8082", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			connections := 0
			if c.want {
				connections = 1
			}
			s, counts, kernel := watch(t, Options{Interface: "lo", Filter: c.filter}, connections, func() { get(t, c.address, 1) })
			if got := len(s.lines) == 1; got != c.want {
				t.Errorf("seen: %v", s.lines)
			}
			if !c.want && kernel.Frames != 0 {
				t.Errorf("%d frames passed the filter (%d were read)", kernel.Frames, counts[capture.FramesSeen])
			}
		})
	}
}

func TestDropsAreCounted(t *testing.T) {
	if !namespaced(t) {
		return
	}
	serve(t, "127.0.0.1:8080")
	src, err := Open(Options{Interface: "lo", Ring: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	get(t, "127.0.0.1:8080", 200) // 20 MB, and nobody reads
	var f capture.Frame
	read := uint64(0)
	for {
		err := src.Next(&f)
		if err == capture.ErrQuiet {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		read++
	}
	k := src.Counts()
	if k.Dropped == 0 || k.Frames <= k.Dropped || read == 0 {
		t.Errorf("read %d, kernel %+v", read, k)
	}
	src.Close()
	for range 2 {
		if err := src.Next(&f); err != io.EOF {
			t.Errorf("after Close: %v", err)
		}
	}
}

func TestFanoutSharesConnectionsOut(t *testing.T) {
	if !namespaced(t) {
		return
	}
	serve(t, "127.0.0.1:8080")
	var all [2]*seen
	var sources [2]*Source
	var wait sync.WaitGroup
	group := NewGroup
	for i := range all {
		src, err := Open(Options{Interface: "lo", Group: group})
		if err != nil {
			t.Fatal(err)
		}
		group = src.Group()
		sources[i], all[i] = src, &seen{over: make(chan struct{}, 1000)}
		wait.Add(1)
		go func() {
			defer wait.Done()
			if _, err := flow.Run(context.Background(), src, 1, flow.Options{Protocols: []capture.Protocol{http1.Protocol(http1.Options{})}, Linger: time.Millisecond}, func(int) capture.Handler { return all[i] }); err != nil {
				t.Error(err)
			}
		}()
	}
	for range 40 {
		get(t, "127.0.0.1:8080", 1)
	}
	for range 40 {
		select {
		case <-all[0].over:
		case <-all[1].over:
		case <-time.After(30 * time.Second):
			t.Fatal("a connection did not end")
		}
	}
	for _, s := range sources {
		s.Close()
	}
	wait.Wait()
	a, b := len(all[0].lines), len(all[1].lines)
	if a+b != 40 || a == 0 || b == 0 {
		t.Errorf("%d and %d exchanges of 40", a, b)
	}
}
