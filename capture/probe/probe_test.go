package probe

import (
	"bufio"
	"bytes"
	"context"
	cryptotls "crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"plainsight/capture"
	"plainsight/capture/flow"
	"plainsight/capture/http1"
	"plainsight/capture/http2"
	"plainsight/capture/tls"
)

// The other processes of these tests are this binary again: our own is never told of.
func TestMain(m *testing.M) {
	switch role := os.Getenv("PROBE_TEST"); {
	case role == "server":
		serve(false)
	case role == "tls server":
		serve(true)
	case strings.HasPrefix(role, "client "):
		ask(strings.Fields(role)[1:])
	default:
		os.Exit(m.Run())
	}
}

// serve answers /echo with its body and /n/… with n bytes, until standard input ends.
func serve(secure bool) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Write(b)
	})
	mux.HandleFunc("/n/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.PathValue("n"))
		w.Header().Set("Content-Length", strconv.Itoa(n))
		w.Write(bytes.Repeat([]byte("x"), n))
	})
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "probe_test.go") }) // by sendfile
	fmt.Println(l.Addr())
	if secure {
		h := httptest.NewUnstartedServer(mux) // for its certificate
		h.Listener.Close()
		h.Listener, h.EnableHTTP2 = l, true
		h.StartTLS()
	} else {
		go http.Serve(l, mux)
	}
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// ask sends "METHOD PATH BYTES COUNT" to an address, over one connection.
func ask(args []string) {
	size, _ := strconv.Atoi(args[3])
	count, _ := strconv.Atoi(args[4])
	transport := &http.Transport{TLSClientConfig: &cryptotls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: len(args) > 5}
	client := http.Client{Transport: transport}
	for range count {
		r, _ := http.NewRequest(args[1], args[0]+args[2], bytes.NewReader(make([]byte, size)))
		answer, err := client.Do(r)
		if err != nil {
			panic(err)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
	transport.CloseIdleConnections()
	os.Exit(0)
}

// server starts the server of a role and returns its address.
func server(t *testing.T, role string) string {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "PROBE_TEST="+role)
	c.Stderr = os.Stderr
	in, _ := c.StdinPipe()
	out, _ := c.StdoutPipe()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); c.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func client(t *testing.T, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, os.Args[0])
	c.Env = append(os.Environ(), "PROBE_TEST=client "+strings.Join(args, " "))
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("client: %v\n%s", err, out)
	}
}

// seen is what the engine concluded.
type seen struct {
	sync.Mutex
	lines   []string
	parties [][2]string
	over    chan struct{} // a connection ended
}

func (s *seen) Exchange(x *capture.Exchange) {
	s.Lock()
	defer s.Unlock()
	layer := "plain"
	if x.Conn.Encrypted {
		layer = "tls"
	}
	s.lines = append(s.lines, fmt.Sprintf("%s %s %s %d %d/%d", layer, x.Method, x.Target, x.Status, x.Request.BodySize, x.Response.BodySize))
	var p [2]string
	for i, party := range x.Conn.Parties {
		if party != nil {
			p[i] = party.Command
		}
	}
	s.parties = append(s.parties, p)
}
func (s *seen) Handshake(*capture.Handshake) {}
func (s *seen) WebSocket(*capture.WebSocket) {}
func (s *seen) Connection(c *capture.Summary) {
	s.over <- struct{}{}
}

// watch captures what the sockets of a port say while do runs, and until
// connections of them are over.
func watch(t *testing.T, o Options, connections int, do func()) (*seen, capture.Counts) {
	t.Helper()
	src, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &seen{over: make(chan struct{}, 1000)}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var counts capture.Counts
	done, ran := make(chan struct{}), make(chan struct{})
	go func() { defer close(ran); src.Run(ctx) }()
	go func() {
		defer close(done)
		counts, _ = flow.RunChunks(ctx, src, flow.Options{Protocols: []capture.Protocol{
			http2.Protocol(http2.Options{}), http1.Protocol(http1.Options{}), tls.Protocol(tls.Options{})}}, s)
	}()
	if o.TLS {
		await(t, "our own library is found", func() bool {
			found, _ := src.Libraries()
			return slices.ContainsFunc(found, func(r Readable) bool { return ours(r.Path) })
		})
	}
	do()
	for range connections {
		select {
		case <-s.over:
		case <-time.After(5 * time.Second):
			t.Error("a connection did not end")
		}
	}
	stop()
	<-done
	<-ran
	if found, unreadable := src.Libraries(); o.TLS {
		for _, f := range found {
			t.Logf("%s in %s: %v", f.Library, f.Path, f.Err)
		}
		t.Log("unreadable:", unreadable)
	}
	t.Log("kernel:", src.Counters())
	if err := src.Close(); err != nil {
		t.Error(err)
	}
	return s, counts
}

// await waits until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick, late := time.NewTicker(20*time.Millisecond), time.After(30*time.Second)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

func port(t *testing.T, address string) uint16 {
	t.Helper()
	_, p, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return uint16(n)
}

func TestExchangesOfOtherProcesses(t *testing.T) {
	address := server(t, "server")
	for _, c := range []struct {
		name, method, path string
		body, count        int
		want               string
	}{
		{"small answers on one connection", "GET", "/n/10", 0, 100, "plain GET /n/10 200 0/10"},
		{"a body in each direction", "POST", "/echo", 3000, 10, "plain POST /echo 200 3000/3000"},
		{"an answer of many calls", "GET", "/n/200000", 0, 5, "plain GET /n/200000 200 0/200000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, counts := watch(t, Options{Filter: Filter{Filter: capture.Filter{Ports: []uint16{port(t, address)}}}}, 1, func() {
				client(t, "http://"+address, c.method, c.path, strconv.Itoa(c.body), strconv.Itoa(c.count))
			})
			if len(s.lines) != c.count {
				t.Errorf("%d exchanges, want %d", len(s.lines), c.count)
			}
			for i, line := range s.lines {
				if line != c.want {
					t.Fatalf("exchange %d: %s, want %s", i, line, c.want)
				}
			}
			if n := counts[capture.StreamGaps]; n != 0 {
				t.Errorf("%d gaps", n)
			}
			t.Log(s.parties[len(s.parties)-1])
		})
	}
}

// ours keeps tests from attaching to what others run.
func ours(path string) bool { return path == os.Args[0] }

func TestInsideOfTLS(t *testing.T) {
	address := server(t, "tls server")
	for _, c := range []struct {
		name string
		args []string
		want int
	}{
		{"HTTP/1.1", []string{"GET", "/n/10", "0", "50"}, 50},
		{"HTTP/2", []string{"GET", "/n/10", "0", "50", "h2"}, 50},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := watch(t, Options{TLS: true, Attach: ours, Filter: Filter{Filter: capture.Filter{Ports: []uint16{port(t, address)}}}}, 1, func() {
				client(t, append([]string{"https://" + address}, c.args...)...)
			})
			if len(s.lines) != c.want {
				t.Errorf("%d exchanges, want %d", len(s.lines), c.want)
			}
			for i, line := range s.lines {
				if line != "tls GET /n/10 200 0/10" {
					t.Fatalf("exchange %d: %s", i, line)
				}
			}
		})
	}
}
