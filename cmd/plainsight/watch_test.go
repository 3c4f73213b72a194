//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"plainsight/capture"
	"plainsight/capture/live"
	"plainsight/storage/embedded/embeddedtest"
)

// The ends of the traffic of these tests are this binary again: an agent does not
// look at itself.
func TestMain(m *testing.M) {
	switch role, address, _ := strings.Cut(os.Getenv("PLAINSIGHT_TEST_PARTY"), " "); role {
	case "server":
		serveUsers()
	case "client":
		askUsers(address)
	case "plainsight": // as a process of its own
		os.Args = append(os.Args[:1], strings.Fields(address)...)
		main()
	default:
		os.Exit(m.Run())
	}
}

// serveUsers is an API that gives away more than it should, until its standard
// input ends.
func serveUsers() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":%q,"name":"Ada","email":"ada%s@example.com","card":"4111 1111 1111 1111"}`, r.PathValue("id"), r.PathValue("id"))
	})
	mux.HandleFunc("POST /users", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"ok":true}`)
	})
	fmt.Println(l.Addr())
	go http.Serve(l, mux)
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func askUsers(address string) {
	transport := &http.Transport{}
	c := http.Client{Transport: transport, Timeout: 10 * time.Second}
	for i := range 40 {
		r, _ := http.NewRequest("GET", fmt.Sprintf("http://%s/users/%d", address, 1000+i), nil)
		if i%4 == 0 {
			r, _ = http.NewRequest("POST", "http://"+address+"/users", strings.NewReader(`{"name":"Ada","password":"correct horse battery"}`))
			r.Header.Set("Content-Type", "application/json")
		}
		r.Header.Set("Authorization", "Bearer 3f8a9c1b7d6e5f4a3b2c1d0e9f8a7b6c")
		answer, err := c.Do(r)
		if err != nil {
			panic(err)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
	transport.CloseIdleConnections()
	os.Exit(0)
}

// party starts the server and returns its address, and what runs the client once.
func party(t *testing.T) (address string, ask func()) {
	t.Helper()
	server := exec.Command(os.Args[0])
	server.Env = append(os.Environ(), "PLAINSIGHT_TEST_PARTY=server")
	server.Stderr = os.Stderr
	in, _ := server.StdinPipe()
	out, _ := server.StdoutPipe()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); server.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address = strings.TrimSpace(line)
	return address, func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 160*time.Second)
		defer cancel()
		client := exec.CommandContext(ctx, os.Args[0])
		client.Env = append(os.Environ(), "PLAINSIGHT_TEST_PARTY=client "+address)
		if out, err := client.CombinedOutput(); err != nil {
			t.Fatalf("client: %v\n%s", err, out)
		}
	}
}

// signalled is a writer that closes a channel once it was given some text.
type signalled struct {
	mu   sync.Mutex
	all  bytes.Buffer
	text string
	seen chan struct{}
}

func (s *signalled) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all.Write(b)
	if s.text != "" && bytes.Contains(s.all.Bytes(), []byte(s.text)) {
		s.text = ""
		close(s.seen)
	}
	return len(b), nil
}

// await does something and waits until a text is written after it.
func (s *signalled) await(t *testing.T, text string, do func()) {
	t.Helper()
	s.mu.Lock()
	s.all.Reset()
	s.text, s.seen = text, make(chan struct{})
	seen := s.seen
	s.mu.Unlock()
	do()
	select {
	case <-seen:
	case <-time.After(60 * time.Second):
		t.Fatalf("%q was not said: %s", text, s)
	}
}

func (s *signalled) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

// watching runs watch while do runs, until a condition on its metrics holds.
func watching(t *testing.T, do func(), until string, args ...string) (stdout string) {
	t.Helper()
	return watchingLog(t, func(*signalled) { do() }, until, args...)
}

// watchingLog is watching where do gets the log.
func watchingLog(t *testing.T, do func(log *signalled), until string, args ...string) (stdout string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out bytes.Buffer
	log := &signalled{text: "metrics and health are served", seen: make(chan struct{})}
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, append([]string{"watch", "--listen", "127.0.0.1:0"}, args...), strings.NewReader(""), &out, log)
	}()
	select {
	case <-log.seen:
	case c := <-code:
		t.Fatalf("exit code %d: %s", c, log)
	case <-time.After(30 * time.Second):
		t.Fatal("watch does not start")
	}
	_, rest, _ := strings.Cut(log.String(), "address=127")
	address := "127" + strings.Fields(rest)[0]
	do(log)
	tick, late := time.NewTicker(50*time.Millisecond), time.After(60*time.Second)
	defer tick.Stop()
	for metrics := ""; !strings.Contains(metrics, until); {
		select {
		case <-tick.C:
			answer, err := http.Get("http://" + address + "/metrics")
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			metrics = string(b)
		case <-late:
			t.Fatalf("%q did not come:\n%s", until, metrics)
		}
	}
	stop()
	if c := <-code; c != exitDone {
		t.Fatalf("exit code %d: %s", c, log)
	}
	return out.String()
}

// essence is what a report says of the traffic, without times and numbers of ports.
func essence(t *testing.T, report string) string {
	t.Helper()
	var r struct {
		Exchanges int `json:"exchanges"`
		Endpoints []struct {
			Service, Method, Template string
			Requests                  uint64          `json:"requests"`
			Statuses                  json.RawMessage `json:"statuses"`
			Fields                    json.RawMessage `json:"fields"`
			Sensitive                 []struct {
				Kind  string
				Place json.RawMessage `json:"place"`
				Count uint64
			} `json:"sensitive"`
		} `json:"endpoints"`
		Findings []struct {
			Rule, Service, Endpoint string
			Place                   json.RawMessage `json:"place"`
			Count                   uint64
		} `json:"findings"`
	}
	if err := json.Unmarshal([]byte(report), &r); err != nil {
		t.Fatalf("%v: %s", err, report)
	}
	b, _ := json.MarshalIndent(r, "", " ")
	return string(b)
}

// The same traffic gives the same conclusions, by sockets, by packets and by file.
func TestWatchSeesWhatReadSees(t *testing.T) {
	address, ask := party(t)
	_, port, _ := net.SplitHostPort(address)
	all := "plainsight_capture_exchanges_total 40\n"

	sockets := watching(t, ask, all, "--source", "ebpf", "--no-tls", "-p", port, "--format", "json")
	var file string
	packets := watching(t, func() { file = record(t, port, ask) }, all, "--source", "packets", "-i", "lo", "-p", port, "--format", "json")
	var read, log bytes.Buffer
	if code := run(t.Context(), []string{"read", "--format", "json", file}, strings.NewReader(""), &read, &log); code != exitDone {
		t.Fatalf("read: %d %s", code, &log)
	}
	want := essence(t, read.String())
	if !strings.Contains(want, "enc.clear-credential") || !strings.Contains(want, `"Template": "/users/{`) {
		t.Fatalf("too little in the file: %s", want)
	}
	for name, report := range map[string]string{"sockets": sockets, "packets": packets} {
		if got := essence(t, report); got != want {
			t.Errorf("%s:\n%s\nfile:\n%s", name, got, want)
		}
		if strings.Contains(report, "4111 1111 1111 1111") || strings.Contains(report, "3f8a9c1b7d6e5f4a") {
			t.Errorf("%s: a secret in the report", name)
		}
	}
}

// record writes what passes through a port of loopback while do runs.
func record(t *testing.T, port string, do func()) string {
	t.Helper()
	var n uint16
	fmt.Sscan(port, &n)
	src, err := live.Open(live.Options{Interface: "lo", Filter: capture.Filter{Ports: []uint16{n}}})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "lo.pcap")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := pcapgo.NewWriterNanos(f)
	if err := w.WriteFileHeader(1<<18, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ended := make(chan struct{})
	go func() {
		var frame capture.Frame
		for quiet := 0; ; {
			switch err := src.Next(&frame); {
			case err == capture.ErrQuiet:
				select {
				case <-ended:
					quiet++
				default:
				}
				if quiet > 2 {
					done <- nil
					return
				}
			case err != nil:
				done <- err
				return
			default:
				if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: frame.Time, CaptureLength: len(frame.Data), Length: frame.Length}, frame.Data); err != nil {
					done <- err
					return
				}
			}
		}
	}()
	do()
	close(ended)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	src.Close()
	return name
}

func TestWatchRefusals(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--host", "example"}, "want an address or a network"},
		{[]string{"--source", "packets", "--cgroup", "/"}, "needs --source ebpf"},
		{[]string{"--source", "ebpf", "--cgroup", "/no/such/group"}, "--cgroup /no/such/group"},
		{[]string{"--source", "packets", "-p", "1", "-i", "no-such-0"}, "interface no-such-0"},
		{[]string{"--source", "packets", "-p", "1", "--netns", "/no/such/ns"}, "/no/such/ns"},
		{[]string{"-p", "1", "--listen", "0.0.0.0:9464"}, "on loopback alone"},
		{[]string{"-p", "70000"}, "port"},
		{[]string{"-o", "report.doc"}, "no report has this ending"},
	} {
		var out, log bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		code := run(ctx, append([]string{"watch", "--no-tls"}, c.args...), strings.NewReader(""), &out, &log)
		cancel()
		if code == exitDone || !strings.Contains(log.String(), c.want) {
			t.Errorf("%v: %d %s", c.args, code, &log)
		}
	}
}

// What an agent sees is in the store while it watches, and once when it was told
// to stop and started again.
func TestWatchKeepsInTheStore(t *testing.T) {
	embeddedtest.Require(t)
	address, ask := party(t)
	_, port, _ := net.SplitHostPort(address)
	dir := t.TempDir()
	store := filepath.Join(dir, "store")
	for life := range 2 {
		watching(t, ask, "plainsight_sink_up 1\n", "--source", "ebpf", "--no-tls", "-p", port, "--format", "none", "--interval", "1s",
			"--store", store, "--spool", filepath.Join(dir, "spool"), "--agent", "one", "--fingerprint-key-file", filepath.Join(dir, "key"))
		questions := []struct{ what, sql, want string }{
			{"calls", "SELECT count() FROM calls_current", fmt.Sprint(40 * (life + 1))},
			{"calls by minute", "SELECT sum(calls) FROM traffic_minute_current", fmt.Sprint(40 * (life + 1))},
			{"requests of endpoints", "SELECT sum(requests) FROM endpoints_current", fmt.Sprint(40 * (life + 1))},
			{"lives of the agent", "SELECT uniq(run) FROM agents WHERE agent = 'one'", fmt.Sprint(life + 1)},
			{"exchanges that it tells of", "SELECT max(exchanges) FROM agents WHERE agent = 'one' AND source = 'ebpf'", "40"},
			{"findings", "SELECT count() FROM findings_open WHERE rule = 'enc.clear-credential'", "3"},
			{"cards", "SELECT count() FROM sensitive_current WHERE kind = 'credit_card'", "1"},
			{"calls of nobody", "SELECT count() FROM calls_current WHERE principal = '' OR service != '" + address + "'", "0"},
		}
		sql := "SELECT"
		for i, q := range questions {
			sql += fmt.Sprintf(" (%s) AS q%d,", q.sql, i)
		}
		var out, log bytes.Buffer
		if code := run(t.Context(), []string{"query", "--store", store, "--format", "csv", strings.TrimSuffix(sql, ",")}, strings.NewReader(""), &out, &log); code != exitDone {
			t.Fatal(log.String())
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		for i, got := range strings.Split(lines[len(lines)-1], ",") {
			if q := questions[i]; got != q.want {
				t.Errorf("life %d, %s: %s, want %s", life, q.what, got, q.want)
			}
		}
	}
}

// An agent needs the capabilities that the README names, and no more; of them,
// packets need one.
func TestWatchWithLeastPrivilege(t *testing.T) {
	address, ask := party(t)
	_, port, _ := net.SplitHostPort(address)
	for _, c := range []struct{ source, set string }{
		{"ebpf", "-all,+bpf,+perfmon,+sys_ptrace,+dac_read_search"},
		{"packets", "-all,+net_raw"},
	} {
		t.Run(c.source, func(t *testing.T) {
			p := exec.Command("setpriv", "--bounding-set", c.set, "--no-new-privs", os.Args[0])
			p.Env = append(os.Environ(), fmt.Sprintf("PLAINSIGHT_TEST_PARTY=plainsight watch --source %s -p %s --listen 127.0.0.1:0 --format json", c.source, port))
			var out bytes.Buffer
			log := &signalled{text: "metrics and health are served", seen: make(chan struct{})}
			p.Stdout, p.Stderr = &out, log
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- p.Wait() }()
			select {
			case <-log.seen:
			case err := <-ended:
				t.Fatalf("%v: %s", err, log)
			case <-time.After(60 * time.Second):
				p.Process.Kill()
				t.Fatalf("does not start: %s", log)
			}
			ask()
			if err := p.Process.Signal(os.Interrupt); err != nil { // what was said until then is drained
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Fatalf("%v: %s", err, log)
			}
			if !strings.Contains(out.String(), `"exchanges": 40`) {
				t.Errorf("%.300s\n%s", &out, log)
			}
		})
	}
}
