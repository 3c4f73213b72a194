package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Result is a row: one program on one capture.
type Result struct {
	Set       string  `json:"set"`
	Program   string  `json:"program"`
	MB        float64 `json:"mb"`           // of the capture that it read
	MBPerSec  float64 `json:"mb_per_s"`     // by the wall clock
	MBPerCPU  float64 `json:"mb_per_cpu_s"` // by CPU seconds of one core
	Exchanges float64 `json:"exchanges_per_cpu_s,omitempty"`
	CPU       float64 `json:"cpu_s"`
	Wall      float64 `json:"wall_s"`
	RSS       float64 `json:"peak_rss_mib"`
	Mallocs   float64 `json:"mallocs_per_frame,omitempty"`
	// Found is the share of the exchanges that it found, of those whose two heads are
	// in the capture; 0 where the program does not say.
	Found float64 `json:"found,omitempty"`
	Note  string  `json:"note,omitempty"` // why there is nothing else
}

// program is something to measure.
type program struct {
	name string
	args []string // its binary and what it is given; "FILE" stands for the capture, "DIR" for an empty directory
	only []string // sets that it understands; nil: all
	slow bool     // reads a smaller capture, once
	ours bool
	// found tells how many of the exchanges were found, from what it printed or
	// wrote into DIR.
	found func(in input, stdout []byte, dir string) (int, error)
}

func (b *bench) programs(classic string) []program {
	h1 := []string{"http1", "lossy", "short"}
	h2 := []string{"h2c", "grpc"}
	ours := func(name string, args ...string) program {
		return program{name: name, ours: true, found: foundByUs,
			args: append([]string{b.binary, "--log-level", "debug", "--log-format", "json", "read", "FILE"}, args...)}
	}
	all := []program{
		ours("plainsight read", "--format", "json"),
		ours("plainsight read, one shard", "--format", "json", "--shards", "1"),
		ours("plainsight read --no-analysis", "--format", "json", "--no-analysis", "--exchanges", os.DevNull),
		ours("plainsight read --no-analysis, one shard", "--format", "json", "--no-analysis", "--exchanges", os.DevNull, "--shards", "1"),
	}
	if !b.peers {
		return all
	}
	return append(all,
		program{name: "A: gopacket tcpassembly + net/http", args: []string{classic, "FILE"}, only: h1, found: foundByClassic},
		program{name: "A, lean (lazy, no copies)", args: []string{classic, "-lean", "FILE"}, only: h1, found: foundByClassic},
		program{name: "httpry (no reassembly)", args: []string{"httpry", "-q", "-r", "FILE", "-o", "DIR/lines"}, only: h1, found: foundByHttpry},
		program{name: "tcpflow -e http (writes streams and bodies)", args: []string{"tcpflow", "-q", "-e", "http", "-r", "FILE", "-o", "DIR"}, only: h1, slow: true},
		program{name: "ndpiReader (no messages)", args: []string{"ndpiReader", "-q", "-i", "FILE"}},
		program{name: "tcpdump (frames only)", args: []string{"tcpdump", "-nn", "-r", "FILE"}},
		program{name: "tshark, HTTP fields", args: []string{"tshark", "-n", "-r", "FILE", "-Y", "http", "-T", "fields",
			"-e", "http.request.method", "-e", "http.request.uri", "-e", "http.response.code"}, only: h1, slow: true},
		program{name: "tshark, HTTP/2 fields", args: []string{"tshark", "-n", "-r", "FILE", "-d", "tcp.port==8080,http2", "-Y", "http2.headers", "-T", "fields",
			"-e", "http2.headers.method", "-e", "http2.headers.path", "-e", "http2.headers.status"}, only: h2, slow: true},
	)
}

// set measures the programs on a capture, in turns, so that a busy minute of the
// machine meets all of them.
func (b *bench) set(ctx context.Context, s set, whole, small input, classic string) ([]Result, error) {
	var programs []program
	for _, p := range b.programs(classic) {
		if p.speaks(s.name) {
			programs = append(programs, p)
		}
	}
	results := make([]Result, len(programs))
	for i := range b.runs {
		for j, p := range programs {
			in := whole
			if p.slow {
				in = small
			}
			if p.slow && i > 0 || results[j].Note != "" {
				continue
			}
			path, err := exec.LookPath(p.args[0])
			if err != nil {
				results[j] = Result{Set: s.name, Program: p.name, Note: "not installed"}
				continue
			}
			fmt.Fprintf(os.Stderr, "bench: %s: %s …\n", s.name, p.name)
			r, err := b.measure(ctx, path, p, in)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			r.Set = s.name
			if i == 0 || r.CPU < results[j].CPU {
				results[j] = r
			}
		}
	}
	if len(whole.Heads) == 0 {
		return results, nil
	}
	found, err := b.survivors(ctx, whole)
	for j, p := range programs {
		if p.ours {
			results[j].Found = found // by frame, not by number
		}
	}
	return results, err
}

func (p *program) speaks(set string) bool {
	for _, s := range p.only {
		if s == set {
			return true
		}
	}
	return p.only == nil
}

// measure runs a program once.
func (b *bench) measure(ctx context.Context, path string, p program, in input) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return Result{}, err
	}
	defer os.RemoveAll(dir)
	var args []string
	for _, a := range p.args[1:] {
		if a == "FILE" {
			a = in.file
		}
		args = append(args, strings.Replace(a, "DIR", dir, 1))
	}
	cmd := exec.CommandContext(ctx, path, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.Discard, &stderr
	if p.found != nil {
		cmd.Stdout = &stdout
	}
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return Result{}, fmt.Errorf("%w: %.300s", err, stderr.Bytes())
	}
	r := Result{Program: p.name, Wall: time.Since(start).Seconds(), MB: float64(in.Bytes) / 1e6,
		CPU: cmd.ProcessState.UserTime().Seconds() + cmd.ProcessState.SystemTime().Seconds(),
		RSS: float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1024,
	}
	r.MBPerSec, r.MBPerCPU = r.MB/r.Wall, r.MB/r.CPU
	if p.ours {
		r.Mallocs = mallocs(stderr.Bytes())
	}
	if p.found == nil {
		return r, nil
	}
	n, err := p.found(in, stdout.Bytes(), dir)
	if err != nil {
		return r, err
	}
	r.Exchanges = float64(n) / r.CPU
	all := in.Exchanges
	if len(in.Heads) > 0 {
		all = len(in.Heads)
	}
	r.Found = float64(n) / float64(all)
	return r, nil
}

// mallocs reads the debug line of plainsight: allocations by frame.
func mallocs(log []byte) float64 {
	lines := bufio.NewScanner(bytes.NewReader(log))
	for lines.Scan() {
		var line struct {
			Msg             string
			Frames, Mallocs float64
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "inputs read" && line.Frames > 0 {
			return line.Mallocs / line.Frames
		}
	}
	return 0
}

func foundByUs(_ input, stdout []byte, _ string) (int, error) {
	var report struct{ Exchanges int }
	err := json.Unmarshal(stdout, &report)
	return report.Exchanges, err
}

func foundByClassic(_ input, stdout []byte, _ string) (int, error) {
	var counts struct{ Exchanges int }
	err := json.Unmarshal(stdout, &counts)
	return counts.Exchanges, err
}

// foundByHttpry counts lines: one for each message.
func foundByHttpry(_ input, _ []byte, dir string) (int, error) {
	f, err := os.Open(filepath.Join(dir, "lines"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, lines := 0, bufio.NewScanner(f)
	for lines.Scan() {
		if len(lines.Bytes()) > 0 && lines.Bytes()[0] != '#' {
			n++
		}
	}
	return n / 2, lines.Err()
}

// survivors tells how many of the exchanges whose heads are in a lossy capture
// plainsight finds, each with its request's frame and an answer. This run is not
// measured.
func (b *bench) survivors(ctx context.Context, in input) (float64, error) {
	name := filepath.Join(b.dir, "exchanges.ndjson")
	defer os.Remove(name)
	if out, err := exec.CommandContext(ctx, b.binary, "read", in.file, "--no-analysis", "--format", "none", "--exchanges", name).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	answered := map[uint64]bool{}
	d := json.NewDecoder(bufio.NewReaderSize(f, 1<<20))
	for {
		var x struct {
			Request uint64 `json:"req_frame"`
			Status  int
		}
		if err := d.Decode(&x); err == io.EOF {
			break
		} else if err != nil {
			return 0, err
		}
		if x.Status > 0 {
			answered[x.Request] = true
		}
	}
	found := 0
	for _, frame := range in.Heads {
		if answered[frame] {
			found++
		}
	}
	return float64(found) / float64(len(in.Heads)), nil
}
