// Command bench measures plainsight on generated captures beside peers that read
// the same files in the same run: machines are noisy, ratios are not. Each
// program runs as a process of its own; CPU seconds and peak memory are what the
// kernel counted for it. make bench runs it; make bench-peers installs the peers.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"plainsight/cmd/internal/pcapgen"
)

func main() {
	var b bench
	var names, load string
	flag.StringVar(&b.binary, "plainsight", "build/plainsight", "the binary to measure")
	flag.StringVar(&b.dir, "dir", "build/bench", "where the captures are made and kept")
	flag.Int64Var(&b.megabytes, "mb", 500, "size of a capture in MB")
	flag.IntVar(&b.runs, "runs", 3, "runs of each program; the one with the least CPU time counts")
	flag.StringVar(&names, "sets", strings.Join(setNames(), ","), "the captures to read")
	flag.BoolVar(&b.peers, "peers", true, "run the other programs too")
	flag.BoolVar(&b.json, "json", false, "print the results as JSON")
	flag.StringVar(&load, "make", "", "make the capture of this load, in JSON, write it to standard output and what came of it to standard error")
	flag.Parse()
	if load != "" {
		if err := makeCapture(load); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if err := b.run(context.Background(), strings.Split(names, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	binary, dir string
	megabytes   int64
	runs        int
	peers, json bool
}

// set is a capture to measure on.
type set struct {
	name, title string
	load        pcapgen.Load
}

// sets are the captures; sizes are set by the flags.
var sets = []set{
	{"http1", "HTTP/1", pcapgen.Load{Open: 200, Uses: 100, MinBody: 200, MaxBody: 20000}},
	{"lossy", "HTTP/1, one frame of a thousand missed", pcapgen.Load{Open: 200, Uses: 100, MinBody: 200, MaxBody: 20000, Loss: 0.001}},
	{"short", "HTTP/1, 50,000 connections with one exchange", pcapgen.Load{Most: 50000, Open: 2000, Uses: 1, MinBody: 100, MaxBody: 4000}},
	{"h2c", "HTTP/2 in plaintext", pcapgen.Load{Protocol: pcapgen.H2C, Open: 200, Uses: 1000, MinBody: 200, MaxBody: 4000}},
	{"grpc", "gRPC in plaintext", pcapgen.Load{Protocol: pcapgen.GRPC, Open: 200, Uses: 1000, MinBody: 50, MaxBody: 2000}},
}

func setNames() []string {
	var all []string
	for _, s := range sets {
		all = append(all, s.name)
	}
	return all
}

func (b *bench) run(ctx context.Context, names []string) error {
	for _, n := range names {
		if !slices.Contains(setNames(), n) {
			return fmt.Errorf("no set %q; there are %s", n, strings.Join(setNames(), ", "))
		}
	}
	classic := filepath.Join(b.dir, "classic")
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", classic, "plainsight/cmd/internal/bench/classic").CombinedOutput(); err != nil {
		return fmt.Errorf("build the baseline: %v\n%s", err, out)
	}
	var results []Result
	for _, s := range sets {
		if !slices.Contains(names, s.name) {
			continue
		}
		file, made, err := b.generate(s, b.megabytes)
		if err != nil {
			return err
		}
		slow, slowMade := file, made
		if b.peers && b.megabytes > slowMegabytes && s.load.Most == 0 {
			if slow, slowMade, err = b.generate(s, slowMegabytes); err != nil {
				return err
			}
		}
		of, err := b.set(ctx, s, input{file, made}, input{slow, slowMade}, classic)
		if err != nil {
			return err
		}
		if !b.json {
			printSet(s, made, of)
		}
		results = append(results, of...)
	}
	if b.json {
		return json.NewEncoder(os.Stdout).Encode(results)
	}
	return nil
}

// slowMegabytes is what programs read that would take minutes for the whole.
const slowMegabytes = 20

// input is a capture with what is in it.
type input struct {
	file string
	pcapgen.Made
}

// generate makes a capture unless it is there already.
func (b *bench) generate(s set, megabytes int64) (string, pcapgen.Made, error) {
	s.load.Bytes, s.load.Seed = megabytes*1e6, 1
	if s.load.Most > 0 {
		s.load.Bytes = 1 << 40 // its connections end it
	}
	name := filepath.Join(b.dir, fmt.Sprintf("%s-%d.pcap", s.name, megabytes))
	var note struct {
		Load pcapgen.Load // that it was made of
		Made pcapgen.Made
	}
	if raw, err := os.ReadFile(name + ".json"); err == nil && json.Unmarshal(raw, &note) == nil && note.Load == s.load {
		if info, err := os.Stat(name); err == nil && info.Size() == note.Made.Bytes {
			return name, note.Made, nil
		}
	}
	fmt.Fprintf(os.Stderr, "bench: making %s …\n", name)
	f, err := os.Create(name)
	if err != nil {
		return "", note.Made, err
	}
	defer f.Close()
	// In a process of its own: what this one holds counts as its children's peak.
	load, err := json.Marshal(s.load)
	if err != nil {
		return "", note.Made, err
	}
	self, err := os.Executable()
	if err != nil {
		return "", note.Made, err
	}
	cmd := exec.Command(self, "-make", string(load))
	var made bytes.Buffer
	cmd.Stdout, cmd.Stderr = f, &made
	if err := cmd.Run(); err != nil {
		return "", note.Made, fmt.Errorf("make %s: %w: %s", name, err, made.Bytes())
	}
	note.Load = s.load
	if err := json.Unmarshal(made.Bytes(), &note.Made); err != nil {
		return "", note.Made, err
	}
	raw, err := json.Marshal(note)
	if err != nil {
		return "", note.Made, err
	}
	return name, note.Made, os.WriteFile(name+".json", raw, 0o644)
}

func makeCapture(load string) error {
	var l pcapgen.Load
	if err := json.Unmarshal([]byte(load), &l); err != nil {
		return err
	}
	made, err := l.Write(os.Stdout)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stderr).Encode(made)
}
