package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"

	"plainsight/analyze"
	"plainsight/capture"
	"plainsight/capture/flow"
	"plainsight/capture/har"
	"plainsight/capture/http1"
	"plainsight/capture/http2"
	"plainsight/capture/ndjson"
	"plainsight/capture/pcap"
	"plainsight/capture/tls"
	"plainsight/capture/websocket"
)

// protocols is the table of what connections are tried for, in order. Without
// bodies, those are counted and neither kept nor decoded.
func protocols(bodies bool) []capture.Protocol {
	return []capture.Protocol{
		http2.Protocol(http2.Options{CountOnly: !bodies}),
		http1.Protocol(http1.Options{CountOnly: !bodies}),
		tls.Protocol(tls.Options{}),
		websocket.Protocol(websocket.Options{}),
	}
}

// inputs are the files of one run, in the order given: capture files, which are
// read as one capture, and logs of exchanges (NDJSON, HAR).
type inputs struct {
	captures []string
	logs     []string
	archives map[string]bool // those of the logs that are HTTP archives
	stdin    io.Reader       // what "-" reads, from its first byte on
	digest   bool            // want the SHA-256 of every file
	bodies   bool            // want the bodies of messages
	wait     func() bool     // at the end of a capture that is followed; nil: it ends there
	flush    func() error    // writes out what was found so far, before waiting
	names    atomic.Pointer[[]begin]
}

// begin says that frames from number first on are of a file.
type begin struct {
	first uint64
	name  string
}

// sort tells captures from logs by the first bytes of each file.
func (a *app) inputs(files []string) (*inputs, error) {
	in := &inputs{archives: map[string]bool{}, stdin: a.Stdin, bodies: true, flush: func() error { return nil }}
	for _, name := range files {
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			captures, skipped, err := pcap.Dir(name, pcap.Options{})
			if err != nil {
				return nil, usageOf(err)
			}
			if skipped > 0 {
				a.Log.Warn("files that are no captures were passed over", "directory", base(name), "files", skipped, "captures", len(captures))
			}
			in.captures = append(in.captures, captures...)
			continue
		}
		head := make([]byte, 4096)
		var n int
		if name == "-" {
			n, _ = io.ReadFull(a.Stdin, head)
			in.stdin = io.MultiReader(bytes.NewReader(head[:n]), a.Stdin)
		} else if f, err := os.Open(name); err == nil {
			n, _ = io.ReadFull(f, head) // what is wrong with it, package pcap says better
			f.Close()
		}
		switch ending := strings.TrimSuffix(strings.ToLower(name), ".gz"); {
		case har.Sniff(head[:n]), strings.HasSuffix(ending, ".har") && n > 0:
			in.archives[name] = true
			in.logs = append(in.logs, name)
		case ndjson.Sniff(head[:n]):
			in.logs = append(in.logs, name)
		default:
			in.captures = append(in.captures, name)
		}
	}
	return in, nil
}

// look is how often a file that is followed is looked at.
const look = 200 * time.Millisecond

// follow has the capture read as it grows, until ctx is done.
func (in *inputs) follow(ctx context.Context) error {
	if len(in.captures) != 1 || len(in.logs) > 0 || in.captures[0] == "-" {
		return usagef("--follow is for one capture file that grows (a pipe is followed anyway: read -)")
	}
	in.wait = func() bool {
		if in.flush() != nil {
			return false // nobody takes what is found; who opened the lines reports it
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(look):
			return true
		}
	}
	return nil
}

// grace is how long what feeds a pipe may take to end after an interrupt, and
// how long is read what a followed file holds then.
const grace = 2 * time.Second

// interruptible gives the context to read with. An interrupt from a terminal
// goes to all programs of a pipe: the one before us ends it, and then the
// capture is whole and not broken off. So a pipe is given time to end. A file
// that is followed ends with the interrupt.
func (in *inputs) interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	if in.wait == nil && !slices.Contains(in.captures, "-") && !slices.Contains(in.logs, "-") {
		return context.WithCancel(ctx)
	}
	read, stop := context.WithCancel(context.WithoutCancel(ctx))
	forget := context.AfterFunc(ctx, func() { time.AfterFunc(grace, stop) })
	return read, func() { forget(); stop() }
}

// name gives the base name of the file that a frame is from.
func (in *inputs) name(frame uint64) string {
	all := in.names.Load()
	if all == nil {
		return ""
	}
	i := sort.Search(len(*all), func(i int) bool { return (*all)[i].first > frame })
	if i == 0 {
		return ""
	}
	return (*all)[i-1].name
}

func (in *inputs) begins(first uint64, name string) {
	var all []begin
	if old := in.names.Load(); old != nil {
		all = append(all, *old...)
	}
	all = append(all, begin{first, base(name)})
	in.names.Store(&all)
}

func base(name string) string {
	if name == "-" {
		return "standard input"
	}
	return analyze.Clean([]byte(filepath.Base(name)))
}

// tracked is a source that notes where each file begins.
type tracked struct {
	*pcap.Source
	in *inputs
	at int // file that began last, -1: none
}

func (s *tracked) Next(f *capture.Frame) error {
	err := s.Source.Next(f)
	if err == nil && s.At() != s.at {
		s.at = s.At()
		s.in.begins(f.Frame, s.Files()[s.at].Name)
	}
	return err
}

// read reads everything and hands what is found to the handlers, one for each
// shard. It returns what is known of the files and the counts of the capture
// stage, also where it fails or is interrupted.
func (in *inputs) read(ctx context.Context, a *app, shards int, handler func(shard int) capture.Handler) ([]analyze.Capture, capture.Counts, error) {
	var files []analyze.Capture
	var counts capture.Counts
	frames := uint64(0)
	if len(in.captures) > 0 {
		src, err := pcap.Files(pcap.Options{Digest: in.digest, Stdin: in.stdin, Wait: in.wait}, in.captures...)
		if err != nil {
			return nil, counts, usageOf(err)
		}
		defer src.Close()
		stop := func() {}
		if in.wait == nil { // what grows has no end to be near to
			stop = a.progress(src.Progress)
		}
		counts, err = flow.Run(ctx, &tracked{Source: src, in: in, at: -1}, shards, flow.Options{Protocols: protocols(in.bodies), Logger: a.Log}, handler)
		stop()
		for _, f := range src.Files() {
			c := analyze.Capture{Name: base(f.Name), Format: f.Format, SHA256: f.SHA256, Bytes: f.Read, Frames: f.Frames}
			if f.Damaged != nil {
				c.Damaged = fmt.Sprintf("damaged after %d bytes: %s", f.Damaged.Offset, f.Damaged.Reason)
				a.Log.Warn("the rest of the file cannot be read; what came before is in the report", "file", base(f.Name), "after_bytes", f.Damaged.Offset, "reason", f.Damaged.Reason)
			}
			frames += f.Frames
			files = append(files, c)
		}
		var damaged *capture.DamagedError
		if err != nil && !errors.As(err, &damaged) {
			return files, counts, err
		}
	}
	for _, name := range in.logs {
		c, err := in.readLog(ctx, a, name, frames, handler(0))
		frames += c.Frames
		files = append(files, c)
		if err != nil {
			return files, counts, err
		}
	}
	return files, counts, nil
}

// readLog reads a log of exchanges; its lines count on from frame base.
func (in *inputs) readLog(ctx context.Context, a *app, name string, base0 uint64, h capture.Handler) (analyze.Capture, error) {
	r := in.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return analyze.Capture{}, usageError{err}
		}
		defer f.Close()
		r = f
	}
	sum := sha256.New()
	m := &meter{r: r}
	if in.digest {
		m.r = io.TeeReader(r, sum)
	}
	in.begins(base0+1, name)
	var res ndjson.Result
	var err error
	format, what := "ndjson", "lines"
	if in.archives[name] {
		format, what = "har", "entries"
		var r har.Result
		r, err = har.Read(ctx, m, base0, h)
		res = ndjson.Result(r)
	} else {
		res, err = ndjson.Read(ctx, m, base0, h)
	}
	c := analyze.Capture{Name: base(name), Format: format, Bytes: m.n, Frames: res.Exchanges + res.Invalid}
	if in.digest {
		c.SHA256 = hex.EncodeToString(sum.Sum(nil))
	}
	switch {
	case errors.Is(err, context.Canceled):
		return c, err
	case errors.Is(err, har.ErrNone):
		return c, usagef("%s: %w", c.Name, err)
	case err != nil: // gzip that ends early and the like: what was read stays
		c.Damaged = err.Error()
		a.Log.Warn("the rest of the file cannot be read; what came before is in the report", "file", c.Name, "reason", err.Error())
	case res.Exchanges == 0 && format == "har":
		return c, usagef("%s: none of its %d entries is an HTTP exchange", c.Name, res.Invalid)
	case res.Exchanges == 0:
		return c, usagef("%s: none of its %d lines is an exchange (want JSON objects with method, path, status, …)", c.Name, res.Invalid)
	case res.Invalid > 0:
		a.Log.Warn(what+" that are no exchange were passed over", "file", c.Name, what, res.Invalid)
	}
	return c, nil
}

type meter struct {
	r io.Reader
	n int64
}

func (m *meter) Read(b []byte) (int, error) {
	n, err := m.r.Read(b)
	m.n += int64(n)
	return n, err
}

// usageOf makes an error of the input one of usage, unless the file system is
// what failed.
func usageOf(err error) error {
	var bad *pcap.Error
	if errors.As(err, &bad) {
		return usageError{err}
	}
	return err
}

// progress shows a bar with rate and remaining time on a terminal while the
// caller reads, if that takes longer than two seconds. The caller calls the
// function returned when it is done.
func (a *app) progress(state func() (done, total int64)) (stop func()) {
	return a.bar("reading", true, state)
}

// bar is progress of anything: of bytes, or of things with that name.
func (a *app) bar(what string, bytes bool, state func() (done, total int64)) (stop func()) {
	if _, ok := terminal(a.Stderr); !ok {
		return func() {}
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-quit:
			return
		case <-time.After(2 * time.Second):
		}
		_, total := state()
		bar := progressbar.NewOptions64(total, progressbar.OptionSetWriter(a.Stderr), progressbar.OptionSetDescription(what),
			progressbar.OptionShowBytes(bytes), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(),
			progressbar.OptionFullWidth(), progressbar.OptionThrottle(100*time.Millisecond))
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				_ = bar.Finish() // a bar that cannot be drawn is no fault of the run
				return
			case <-tick.C:
				done, now := state()
				if now != total { // what is to be done may be found out on the way
					total = now
					bar.ChangeMax64(total)
				}
				_ = bar.Set64(done)
			}
		}
	}()
	return func() { close(quit); <-ended }
}
