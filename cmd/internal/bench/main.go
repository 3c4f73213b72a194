// Command bench measures plainsight on a generated capture beside peers that
// read the same file in the same run: machines are noisy, ratios are not. Each
// program runs as a process of its own; CPU seconds and peak memory are what
// the kernel counted for it. make bench runs it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"plainsight/cmd/internal/pcapgen"
)

func main() {
	var b bench
	flag.StringVar(&b.binary, "plainsight", "build/plainsight", "the binary to measure")
	flag.StringVar(&b.dir, "dir", "build/bench", "where the capture is made and kept")
	flag.Int64Var(&b.megabytes, "mb", 500, "size of the capture in MB")
	flag.IntVar(&b.runs, "runs", 3, "runs of each program; the one with the least CPU time counts")
	flag.BoolVar(&b.json, "json", false, "print the results as JSON")
	flag.Parse()
	if err := b.run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	binary, dir string
	megabytes   int64
	runs        int
	json        bool
}

// Result is a row: one program on the capture.
type Result struct {
	Program   string  `json:"program"`
	MBPerSec  float64 `json:"mb_per_s"`     // of capture, by the wall clock
	MBPerCPU  float64 `json:"mb_per_cpu_s"` // of capture, by CPU seconds of one core
	Exchanges float64 `json:"exchanges_per_cpu_s,omitempty"`
	CPU       float64 `json:"cpu_s"`
	Wall      float64 `json:"wall_s"`
	RSS       float64 `json:"peak_rss_mib"`
	Note      string  `json:"note,omitempty"`
}

func (b *bench) run(ctx context.Context) error {
	capture := filepath.Join(b.dir, fmt.Sprintf("http1-%d.pcap", b.megabytes))
	made, err := b.generate(capture)
	if err != nil {
		return err
	}
	programs := []struct {
		name string
		args []string
	}{
		{"plainsight read, every analysis", []string{b.binary, "read", "--format", "json", capture}},
		{"tcpdump -r (decodes frames, no streams)", []string{"tcpdump", "-nn", "-r", capture}},
		{"tshark http fields", []string{"tshark", "-n", "-r", capture, "-Y", "http", "-T", "fields",
			"-e", "http.request.method", "-e", "http.request.uri", "-e", "http.response.code"}},
	}
	var results []Result
	for _, p := range programs {
		path, err := exec.LookPath(p.args[0])
		if err != nil {
			results = append(results, Result{Program: p.name, Note: "not installed"})
			continue
		}
		runs := b.runs
		if p.args[0] == "tshark" {
			runs = 1 // minutes a run
		}
		fmt.Fprintf(os.Stderr, "bench: %s …\n", p.name)
		best, err := b.measure(ctx, path, p.args[1:], runs)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		best.Program = p.name
		mb := float64(made.Bytes) / 1e6
		best.MBPerSec, best.MBPerCPU = mb/best.Wall, mb/best.CPU
		best.Exchanges = float64(made.Exchanges) / best.CPU
		if p.args[0] == "tcpdump" {
			best.Exchanges = 0 // it knows of none
		}
		results = append(results, best)
	}
	return b.print(made, results)
}

// generate makes the capture unless it is there already.
func (b *bench) generate(name string) (pcapgen.Made, error) {
	var made pcapgen.Made
	note := name + ".json"
	if raw, err := os.ReadFile(note); err == nil && json.Unmarshal(raw, &made) == nil {
		if info, err := os.Stat(name); err == nil && info.Size() == made.Bytes {
			return made, nil
		}
	}
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return made, err
	}
	fmt.Fprintf(os.Stderr, "bench: making %s (%d MB) …\n", name, b.megabytes)
	f, err := os.Create(name)
	if err != nil {
		return made, err
	}
	defer f.Close()
	made, err = pcapgen.Load{Bytes: b.megabytes * 1e6, Connections: 200, MinBody: 200, MaxBody: 20000, Seed: 1}.HTTP1(f)
	if err != nil {
		return made, err
	}
	raw, err := json.Marshal(made)
	if err != nil {
		return made, err
	}
	return made, os.WriteFile(note, raw, 0o644)
}

// measure runs a program and keeps the run with the least CPU time.
func (b *bench) measure(ctx context.Context, path string, args []string, runs int) (Result, error) {
	var best Result
	for i := range runs {
		ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.Stdout = io.Discard
		start := time.Now()
		err := cmd.Run()
		wall := time.Since(start).Seconds()
		cancel()
		if err != nil {
			return best, err
		}
		usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		r := Result{
			CPU:  cmd.ProcessState.UserTime().Seconds() + cmd.ProcessState.SystemTime().Seconds(),
			Wall: wall, RSS: float64(usage.Maxrss) / 1024,
		}
		if i == 0 || r.CPU < best.CPU {
			best = r
		}
	}
	return best, nil
}

func (b *bench) print(made pcapgen.Made, results []Result) error {
	if b.json {
		return json.NewEncoder(os.Stdout).Encode(results)
	}
	t := table.NewWriter()
	t.SetOutputMirror(os.Stdout)
	t.SetStyle(table.StyleLight)
	t.SetTitle("HTTP/1 capture of %.0f MB, %d exchanges", float64(made.Bytes)/1e6, made.Exchanges)
	t.AppendHeader(table.Row{"program", "MB/CPU s", "exchanges/CPU s", "CPU s", "wall s", "MB/s", "peak RSS MiB"})
	t.SetColumnConfigs(numeric)
	for _, r := range results {
		if r.Note != "" {
			t.AppendRow(table.Row{r.Program, r.Note})
			continue
		}
		exchanges := "–"
		if r.Exchanges > 0 {
			exchanges = fmt.Sprintf("%.0f", r.Exchanges)
		}
		t.AppendRow(table.Row{r.Program, fmt.Sprintf("%.0f", r.MBPerCPU), exchanges, fmt.Sprintf("%.2f", r.CPU),
			fmt.Sprintf("%.2f", r.Wall), fmt.Sprintf("%.0f", r.MBPerSec), fmt.Sprintf("%.0f", r.RSS)})
	}
	t.Render()
	return nil
}

var numeric = []table.ColumnConfig{
	{Number: 2, Align: text.AlignRight}, {Number: 3, Align: text.AlignRight}, {Number: 4, Align: text.AlignRight},
	{Number: 5, Align: text.AlignRight}, {Number: 6, Align: text.AlignRight}, {Number: 7, Align: text.AlignRight},
}
