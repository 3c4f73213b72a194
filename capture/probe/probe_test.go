//go:build linux

package probe

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	cryptotls "crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
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
	mux.HandleFunc("/who/{n}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%s %s", r.PathValue("n"), r.RemoteAddr) })
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
	clientIn(t, nil, args...)
}

// clientIn runs the client in a cgroup, if one is given.
func clientIn(t *testing.T, group *os.File, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 120*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, os.Args[0])
	c.Env = append(os.Environ(), "PROBE_TEST=client "+strings.Join(args, " "))
	if group != nil {
		c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd())}
	}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("client: %v\n%s", err, out)
	}
}

// seen is what the engine concluded.
type seen struct {
	sync.Mutex
	lines   []string
	parties [][2]string
	bodies  []string
	clients []string
	wire    map[uint64]bool // connections with a handshake
	inside  map[uint64]bool // connections with an exchange inside of TLS
	over    chan struct{}   // a connection ended
}

func (s *seen) Exchange(x *capture.Exchange) {
	s.Lock()
	defer s.Unlock()
	layer := "plain"
	if x.Conn.Encrypted {
		layer = "tls"
		s.inside[x.Conn.ID] = true
	}
	s.lines = append(s.lines, fmt.Sprintf("%s %s %s %d %d/%d", layer, x.Method, x.Target, x.Status, x.Request.BodySize, x.Response.BodySize))
	s.bodies, s.clients = append(s.bodies, string(x.Response.Body)), append(s.clients, x.Conn.Client.String())
	var p [2]string
	for i, party := range x.Conn.Parties {
		if party != nil {
			p[i] = party.Command
		}
	}
	s.parties = append(s.parties, p)
}
func (s *seen) Handshake(h *capture.Handshake) {
	s.Lock()
	defer s.Unlock()
	s.wire[h.Conn.ID] = true
}
func (s *seen) WebSocket(*capture.WebSocket) {}
func (s *seen) Connection(c *capture.Summary) {
	s.over <- struct{}{}
}

// watch captures what the sockets of a port say while do runs, and until
// connections of them are over.
func watch(t *testing.T, o Options, connections int, do func()) (*seen, capture.Counts) {
	t.Helper()
	return watchFor(t, o, connections, 0, nil, do)
}

// watchFor also waits for exchanges, for a while. node is what runs already of a
// program that holds its library itself, and so is found only once it runs.
func watchFor(t *testing.T, o Options, connections, exchanges int, node *exec.Cmd, do func()) (*seen, capture.Counts) {
	t.Helper()
	if node != nil {
		in, _ := node.StdinPipe()
		if err := node.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { in.Close(); node.Wait() }()
	}
	src, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &seen{over: make(chan struct{}, 10000), wire: map[uint64]bool{}, inside: map[uint64]bool{}}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var counts capture.Counts
	done, ran := make(chan struct{}), make(chan struct{})
	go func() { defer close(ran); src.Run(ctx) }()
	go func() {
		defer close(done)
		counts, _ = drive(ctx, src, flow.Options{Protocols: []capture.Protocol{
			http2.Protocol(http2.Options{}), http1.Protocol(http1.Options{}), tls.Protocol(tls.Options{})}}, s)
	}()
	if o.TLS {
		await(t, "a library is found", func() bool {
			found, _ := src.Libraries()
			return slices.ContainsFunc(found, func(r Readable) bool { return r.Err == nil && (node == nil || strings.Contains(r.Path, "node")) })
		})
	}
	do()
	for late := time.After(20 * time.Second); exchanges > 0; {
		s.Lock()
		n := len(s.lines)
		s.Unlock()
		if n >= exchanges {
			break
		}
		select {
		case <-late:
			exchanges = 0
		case <-time.After(20 * time.Millisecond):
		}
	}
	for range connections {
		select {
		case <-s.over:
		case <-time.After(30 * time.Second):
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

// drive gives what a source tells to an engine, until it pauses after ctx is done.
func drive(ctx context.Context, src *Source, o flow.Options, h capture.Handler) (capture.Counts, error) {
	e := flow.New(o, h)
	defer e.Close()
	var c capture.Chunk
	for {
		switch err := src.Next(&c); {
		case err == capture.ErrQuiet:
			e.Quiet(c.Stamp)
			if ctx.Err() != nil {
				return *e.Counts(), ctx.Err()
			}
		case err != nil:
			return *e.Counts(), err
		default:
			e.Chunk(&c)
		}
	}
}

// await waits until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick, late := time.NewTicker(20*time.Millisecond), time.After(60*time.Second)
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

// Programs of the languages and libraries that are read, each as a client that
// asks for /who/1 to /who/N of an address: the answer says what the server saw.
var programs = []struct {
	name     string
	requests int
	library  string // base name of what holds its TLS library
	command  func(address string, n int) *exec.Cmd
}{
	{"curl (OpenSSL, one thread)", 1000, "libssl", func(address string, n int) *exec.Cmd {
		// A connection for every hundred.
		return exec.Command("sh", "-c", fmt.Sprintf(`for i in 0 1 2 3 4 5 6 7 8 9; do curl -sk -o /dev/null "https://%s/who/[$((i*%d+1))-$((i*%d+%d))]" || exit 1; done`, address, n/10, n/10, n/10))
	}},
	{"wget (GnuTLS)", 1000, "libgnutls", func(address string, n int) *exec.Cmd {
		c := exec.Command("wget", "-q", "--no-check-certificate", "-O", "/dev/null", "-i", "-")
		var urls strings.Builder
		for i := range n {
			fmt.Fprintf(&urls, "https://%s/who/%d\n", address, i+1)
		}
		c.Stdin = strings.NewReader(urls.String())
		return c
	}},
	{"Python, blocking (OpenSSL)", 300, "libssl", func(address string, n int) *exec.Cmd {
		return exec.Command("python3", "-c", `
import ssl, sys, http.client
c = ssl._create_unverified_context()
k = None
for i in range(int(sys.argv[2])):
    if i % 3 == 0: k = http.client.HTTPSConnection(sys.argv[1], context=c)
    k.request("GET", "/who/%d" % (i + 1)); k.getresponse().read()
`, address, strconv.Itoa(n))
	}},
	{"Python, asyncio (OpenSSL with buffers of its own, many connections on one thread)", 1000, "libssl", func(address string, n int) *exec.Cmd {
		return exec.Command("python3", "-c", `
import asyncio, ssl, sys
host, port = sys.argv[1].rsplit(":", 1)
n, done = int(sys.argv[2]), 0
c = ssl._create_unverified_context()
async def some(first, count):
    for part in range(2):
        r, w = await asyncio.open_connection(host, int(port), ssl=c)
        for i in range(count // 2):
            w.write(b"GET /who/%d HTTP/1.1\r\nHost: a\r\n\r\n" % (first + part * (count // 2) + i))
            head = await r.readuntil(b"\r\n\r\n")
            size = [int(l.split(b":")[1]) for l in head.split(b"\r\n") if l.lower().startswith(b"content-length")][0]
            await r.readexactly(size)
        w.close()
async def main(): await asyncio.gather(*(some(1 + k * (n // 20), n // 20) for k in range(20)))
asyncio.run(main())
`, address, strconv.Itoa(n))
	}},
	{"Node (OpenSSL of its own or the system's, one thread)", 1000, "node", func(address string, n int) *exec.Cmd {
		return exec.Command("node", "-e", `
const https = require("https"), [address, n] = process.argv.slice(1);
const agent = new https.Agent({keepAlive: true, maxSockets: 10, rejectUnauthorized: false});
let next = 1;
function one() {
  if (next > n) return;
  const id = next++;
  https.get("https://" + address + "/who/" + id, {agent, headers: id % 50 ? {} : {Connection: "close"}}, r => { r.resume(); r.on("end", one); }).on("error", e => { throw e; });
}
for (let i = 0; i < 10; i++) one();
`, address, strconv.Itoa(n))
	}},
}

// Requests of a thousand and connections of many: each is found, inside of TLS, and
// given to the connection that the server saw.
func TestLibrariesOfTLS(t *testing.T) {
	address := server(t, "tls server")
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			attach := func(path string) bool { return strings.HasPrefix(filepath.Base(path), p.library) }
			var node *exec.Cmd
			if p.library == "node" {
				node = exec.Command("node", "-e", "process.stdin.resume()")
				attach = func(path string) bool {
					base := filepath.Base(path)
					return base == "node" || base == "nodejs" || strings.HasPrefix(base, "libnode") || strings.HasPrefix(base, "libssl")
				}
			}
			o := Options{TLS: true, Attach: attach, Filter: Filter{Filter: capture.Filter{Ports: []uint16{port(t, address)}}}}
			s, _ := watchFor(t, o, 0, p.requests, node, func() {
				c := p.command(address, p.requests)
				if out, err := c.CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
			})
			seen, right, wrong := map[string]bool{}, 0, 0
			for i, line := range s.lines {
				if !strings.HasPrefix(line, "tls GET /who/") {
					t.Fatalf("exchange %d: %s", i, line)
				}
				id, client, _ := strings.Cut(s.bodies[i], " ")
				if !strings.HasPrefix(line, "tls GET /who/"+id+" 200 ") {
					t.Fatalf("exchange %d: %s answered with %s", i, line, s.bodies[i])
				}
				if client == s.clients[i] {
					right++
				} else {
					wrong++
				}
				seen[id] = true
			}
			t.Logf("%d of %d found, %d on their connection, %d on another", len(seen), p.requests, right, wrong)
			for id := range s.inside {
				if !s.wire[id] {
					t.Errorf("connection %d was read inside, and its handshake is another's", id)
				}
			}
			if wrong > 0 || len(seen) < p.requests*999/1000 || right != len(seen) {
				t.Errorf("%d of %d found, %d on their connection, %d on another", len(seen), p.requests, right, wrong)
			}
		})
	}
}

// A server whose library is read, and a client whose is not: nginx says what it saw.
func TestServerOfTLS(t *testing.T) {
	dir := t.TempDir()
	certificate(t, dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr crit;
events {}
http {
  access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  server {
    listen %[2]s ssl http2; keepalive_requests 100; ssl_certificate %[1]s/cert.pem; ssl_certificate_key %[1]s/key.pem;
    location ~ ^/who/(?<id>.*)$ { default_type text/plain; return 200 "$id $remote_addr:$remote_port"; }
  }
}`, dir, address)
	if err := os.WriteFile(dir+"/nginx.conf", []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	nginx := exec.Command("nginx", "-p", dir, "-c", dir+"/nginx.conf")
	nginx.Stderr = os.Stderr
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { nginx.Process.Signal(os.Interrupt); nginx.Wait() }()
	await(t, "nginx answers", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	for _, version := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(version, func(t *testing.T) {
			attach := func(path string) bool { return strings.HasPrefix(filepath.Base(path), "libssl") }
			s, _ := watchFor(t, Options{TLS: true, Attach: attach, Filter: Filter{Filter: capture.Filter{Ports: []uint16{port(t, address)}}}}, 0, 500, nil, func() {
				args := []string{"https://" + address, "GET", "/who/7", "0", "500"}
				if version == "HTTP/2" {
					args = append(args, "h2")
				}
				client(t, args...)
			})
			right := 0
			for i, line := range s.lines {
				if strings.HasPrefix(line, "tls GET /who/7 200 ") && s.bodies[i] == "7 "+s.clients[i] {
					right++
				}
			}
			for id := range s.inside {
				if !s.wire[id] {
					t.Errorf("connection %d was read inside, and its handshake is another's", id)
				}
			}
			if right != 500 || len(s.lines) != 500 {
				t.Errorf("%d right of %d found of 500", right, len(s.lines))
			}
		})
	}
}

// certificate writes cert.pem and key.pem.
func certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "EC PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// What nobody reads is lost, and counted; the processes are not kept waiting, and
// what comes later is read again.
func TestStalledReader(t *testing.T) {
	address := server(t, "server")
	src, err := Open(Options{Ring: 1 << 16, Filter: Filter{Filter: capture.Filter{Ports: []uint16{port(t, address)}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	client(t, "http://"+address, "GET", "/n/1000", "0", "300") // 300 kB and more, into 64 KiB
	counters := map[string]uint64{}
	for _, c := range src.Counters() {
		counters[c.Name] = c.Count
	}
	read := uint64(0)
	var c capture.Chunk
	for {
		if err := src.Next(&c); err == capture.ErrQuiet {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		read++
	}
	if counters["sockets_dropped"] == 0 || read == 0 || read > counters["sockets_events"] {
		t.Errorf("read %d, kernel %v", read, counters)
	}
	s := &seen{over: make(chan struct{}, 100), wire: map[uint64]bool{}, inside: map[uint64]bool{}}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		drive(ctx, src, flow.Options{Protocols: []capture.Protocol{http1.Protocol(http1.Options{})}}, s)
	}()
	client(t, "http://"+address, "GET", "/n/10", "0", "20") // fits, even if nobody reads in time
	await(t, "what comes later is read", func() bool {
		s.Lock()
		defer s.Unlock()
		return len(s.lines) == 20
	})
	stop()
	<-done
}

// The filter can change while sockets are open; one that lets everything through
// is refused unless it is meant.
func TestFilter(t *testing.T) {
	if _, err := Open(Options{}); err != ErrHostWide {
		t.Errorf("a filter that lets everything through: %v", err)
	}
	address := server(t, "server")
	p := port(t, address)
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	for _, c := range []struct {
		name   string
		filter Filter
		want   int
	}{
		{"another port", Filter{Filter: capture.Filter{Ports: []uint16{p + 1}}}, 0},
		{"a port that is excluded, too", Filter{Filter: capture.Filter{Ports: []uint16{p}, Networks: []netip.Prefix{loopback}, ExcludedPorts: []uint16{p}}}, 0},
		{"an excluded network", Filter{Filter: capture.Filter{Ports: []uint16{p}, ExcludedNetworks: []netip.Prefix{loopback}}}, 0},
		{"a wanted part of an excluded network", Filter{Filter: capture.Filter{Ports: []uint16{p}, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, ExcludedNetworks: []netip.Prefix{loopback}}}, 5},
		{"another namespace", Filter{Filter: capture.Filter{Ports: []uint16{p}}, Namespaces: []uint32{1}}, 0},
		{"another cgroup", Filter{Filter: capture.Filter{Ports: []uint16{p}}, Cgroups: []Cgroup{{ID: 1 << 40, Level: 1}}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := watch(t, Options{Filter: c.filter}, min(c.want, 1), func() { client(t, "http://"+address, "GET", "/n/5", "0", "5") })
			if len(s.lines) != c.want {
				t.Errorf("%d exchanges, want %d", len(s.lines), c.want)
			}
		})
	}
}

// Processes of a cgroup and of those below it are told of, others are not.
func TestCgroup(t *testing.T) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var root string
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); strings.Contains(line, " - cgroup2 ") {
			root = f[4]
		}
	}
	if root == "" {
		t.Fatal("no cgroups of version 2 are mounted")
	}
	name := filepath.Join(root, fmt.Sprintf("plainsight-test-%d", os.Getpid()))
	below := filepath.Join(name, "below")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	defer func() { os.Remove(below); os.Remove(name) }()
	group, err := os.Open(below)
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	address := server(t, "server")
	f := Filter{Cgroups: []Cgroup{{ID: info.Sys().(*syscall.Stat_t).Ino, Level: 1}}}
	s, _ := watch(t, Options{Filter: f}, 1, func() {
		client(t, "http://"+address, "GET", "/n/1", "0", "3")
		clientIn(t, group, "http://"+address, "GET", "/n/2", "0", "5")
	})
	if len(s.lines) != 5 || s.lines[0] != "plain GET /n/2 200 0/2" {
		t.Errorf("%v", s.lines)
	}
}
