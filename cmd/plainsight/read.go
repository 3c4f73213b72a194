package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"plainsight/analyze"
	"plainsight/analyze/exchanges"
	"plainsight/analyze/report"
	"plainsight/analyze/sensitive"
	"plainsight/capture"
	"plainsight/storage"
	"plainsight/storage/clickhouse"
)

type readCmd struct {
	Files []string `arg:"" name:"file" help:"Captures (pcap, pcapng, gzip or zstd of them), directories of them, logs of exchanges (NDJSON, HAR), or - for standard input."`

	Format string   `enum:"text,json,html,sarif,none" default:"text" help:"On standard output: ${enum}." placeholder:"FORMAT"`
	Output []string `short:"o" help:"Also to FILE, by its ending: .txt .json .html .sarif" placeholder:"FILE"`
	FailOn string   `enum:"info,low,medium,high,critical,never" default:"never" help:"Exit with 1 from this severity on (info, low, medium, high, critical); never." placeholder:"SEVERITY"`

	Keep              bool   `help:"Keep the result in the local store."`
	Store             string `help:"Keep it in a directory or clickhouse://[USER@]HOST[:PORT][/DATABASE]" placeholder:"STORE" env:"PLAINSIGHT_STORE"`
	InsecurePlaintext bool   `help:"Reach that host without TLS." env:"PLAINSIGHT_INSECURE_PLAINTEXT"`
	KeyFile           string `help:"Key of fingerprints; made if missing" placeholder:"FILE" env:"PLAINSIGHT_KEY_FILE"`
	Exchanges         string `help:"Write what was found as lines of JSON." placeholder:"FILE"`
	Reveal            bool   `help:"Write those lines unmasked: they hold secrets."`
	Routes            string `help:"Templates of your own: a list or OpenAPI document." placeholder:"FILE"`
	Explain           string `help:"Only say why PATH has its template." placeholder:"PATH"`
	Follow            bool   `help:"Wait for more until interrupted."`
	Rules             string `help:"Kinds of sensitive data of your own (YAML)." placeholder:"FILE"`
	Baseline          string `help:"Only what is new since a JSON report or store." placeholder:"FILE"`
	Config            string `help:"Mutes; ./plainsight.yaml if it is there." placeholder:"FILE"`
	NoAnalysis        bool   `help:"Count only: no endpoints, no findings."`
	Shards            int    `default:"0" help:"Shards to read with; 0: one for each core." placeholder:"N"`
}

// Help is shown below the flags.
func (*readCmd) Help() string {
	return `  plainsight read capture.pcapng
  plainsight read -o report.html --fail-on high capture.pcapng
  tcpdump -i any -w - | plainsight read -`
}

// Run reads the files and reports.
func (c *readCmd) Run(ctx context.Context, a *app) error {
	outputs, err := outputsOf(c.Output)
	if err != nil {
		return err
	}
	in, err := a.inputs(c.Files)
	if err != nil {
		return err
	}
	if c.NoAnalysis {
		if err := c.noConclusions(outputs); err != nil {
			return err
		}
	}
	keep := (c.Keep || c.Store != "") && !c.NoAnalysis // a store may be named by the environment
	in.digest = keep
	shards := c.Shards
	if c.Follow {
		if keep {
			return usagef("--follow cannot keep: a file that grows is another one each time (read it with --keep when it is whole)")
		}
		if err := in.follow(ctx); err != nil {
			return err
		}
		shards = 1 // shards work on batches, and a batch may wait long to be full
	}
	judgement, err := a.judge(ctx, c.Baseline, c.Config)
	if err != nil {
		return err
	}
	key, err := readKey(c.KeyFile, keep)
	if err != nil {
		return err
	}
	var run storage.Writer
	if keep {
		s, err := clickhouse.Open(ctx, clickhouse.Options{Store: c.Store, Create: true, Log: a.Log, Access: clickhouse.Access{Plaintext: c.InsecurePlaintext}})
		if err != nil {
			return storeError(err)
		}
		defer s.Close()
		if run, err = s.Begin(ctx); err != nil {
			return storeError(err)
		}
		defer run.Close()
	}
	routes, err := readRoutes(c.Routes)
	if err != nil {
		return err
	}
	rules, err := readRules(c.Rules)
	if err != nil {
		return err
	}
	lines, closeLines, err := c.lines(a, in)
	if err != nil {
		return err
	}
	snap, err := a.analyze(ctx, in, analysis{Key: key, Shards: shards, Lines: lines, Run: run, Routes: routes, Rules: rules, Before: judgement.before, Explain: c.Explain, CountOnly: c.NoAnalysis})
	if e := closeLines(); err == nil && e != nil {
		err = fmt.Errorf("write exchanges: %w", e)
	}
	interrupted := errors.Is(err, context.Canceled) && snap != nil
	if err != nil && !interrupted {
		return err
	}
	switch {
	case interrupted && keep:
		a.Log.Warn("interrupted: the report is of what was read until then, and nothing of it is kept")
	case interrupted:
		a.Log.Warn("interrupted: the report is of what was read until then")
	case keep:
		// Half a file would be another source than the whole of it, and count twice.
		// An interrupt that came while all was read loses nothing.
		if err := run.Commit(context.WithoutCancel(ctx), snap); err != nil {
			return storeError(err)
		}
	}
	snap = judgement.apply(snap)
	for _, o := range outputs {
		if err := o.write(snap); err != nil {
			return err
		}
	}
	if f, ok := report.ByName(c.Format); ok && c.Explain == "" {
		width, onTerminal := terminal(a.Stdout)
		colour := onTerminal && os.Getenv("NO_COLOR") == ""
		if err := f.Write(a.Stdout, snap, report.Options{Width: width, Colour: colour}); err != nil {
			return err
		}
	}
	if least, ok := analyze.ParseSeverity(c.FailOn); ok {
		for i := range snap.Findings {
			if snap.Findings[i].Severity >= least {
				return errFindings
			}
		}
	}
	return nil
}

// noConclusions refuses what a run without analysis cannot give, so that nobody
// takes the lack of findings for good news.
func (c *readCmd) noConclusions(outputs []output) error {
	wanted := slices.Clone(outputs)
	if f, ok := report.ByName(c.Format); ok {
		wanted = append(wanted, output{format: f})
	}
	for _, o := range wanted {
		if o.format.Name != "text" && o.format.Name != "json" {
			return usagef("--no-analysis has counts alone, in text or JSON: leave it out for a report as %s", o.format.Name)
		}
	}
	switch {
	case c.Baseline != "":
		return usagef("--no-analysis finds nothing that --baseline could know: leave one of them out")
	case c.Keep:
		return usagef("--no-analysis concludes nothing that could be kept: leave one of them out")
	case c.Explain != "" || c.Routes != "":
		return usagef("--no-analysis finds no endpoints: leave it out, or --explain and --routes")
	case c.FailOn != "never":
		return usagef("--no-analysis finds nothing that --fail-on could judge: leave one of them out")
	}
	return nil
}

// output is a file that a report is written to.
type output struct {
	name   string
	format report.Format
}

// outputsOf finds the format of each file by its ending.
func outputsOf(names []string) ([]output, error) {
	var all []output
	for _, name := range names {
		o := output{name: name}
		for _, f := range report.Formats() {
			if f.Extension == filepath.Ext(name) {
				o.format = f
			}
		}
		if o.format.Write == nil {
			return nil, usagef("%s: no report has this ending (use .txt, .json, .html or .sarif)", name)
		}
		all = append(all, o)
	}
	return all, nil
}

func (o output) write(s *analyze.Snapshot) error {
	f, err := os.OpenFile(o.name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := o.format.Write(f, s, report.Options{}); err != nil {
		f.Close()
		return fmt.Errorf("write the report: %w", err)
	}
	return f.Close()
}

// lines opens the file of exchanges. The first function wraps a handler so that
// it writes them; the second ends the file.
func (c *readCmd) lines(a *app, in *inputs) (wrap func(capture.Handler) capture.Handler, done func() error, err error) {
	if c.Exchanges == "" {
		if c.Reveal {
			return nil, nil, usagef("--reveal is for --exchanges: name the file to write")
		}
		return nil, func() error { return nil }, nil
	}
	if c.Reveal {
		a.Log.Warn("writing exchanges as seen: the file will hold secrets and personal data", "file", c.Exchanges)
	}
	out, closeOut := io.Writer(a.Stdout), func() error { return nil }
	if c.Exchanges != "-" {
		f, err := os.OpenFile(c.Exchanges, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return nil, nil, fmt.Errorf("write exchanges: %w", err)
		}
		out, closeOut = f, f.Close
	}
	w := exchanges.New(out, exchanges.Options{Reveal: c.Reveal, Mask: mask, Name: in.name})
	in.flush = w.Flush
	return w.Handler, func() error { return errors.Join(w.Flush(), closeOut()) }, nil
}

// mask makes the mask of one shard.
func mask() func(dst, text []byte) []byte { return new(sensitive.Masker).Append }

// readKey reads the key of the fingerprints. Results that are kept need the same
// key in each run, so that the same value has the same fingerprint; a report
// alone takes a new one.
func readKey(name string, keep bool) (analyze.Key, error) {
	if name == "" {
		if !keep {
			return analyze.NewKey(), nil
		}
		dir, err := os.UserConfigDir()
		if err != nil {
			return analyze.Key{}, hintError{err, "name a key with --key-file"}
		}
		name = filepath.Join(dir, "plainsight", "key")
	}
	return keyFile(name)
}

// keyFile reads a key of 64 hex digits, or makes the file if it is missing.
func keyFile(name string) (analyze.Key, error) {
	var key analyze.Key
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		key = analyze.NewKey()
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return key, fmt.Errorf("make a key: %w", err)
		}
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return key, fmt.Errorf("make a key: %w", err)
		}
		if _, err := fmt.Fprintf(f, "%x\n", key[:]); err != nil {
			f.Close()
			return key, fmt.Errorf("make a key: %w", err)
		}
		return key, f.Close()
	}
	if err != nil {
		return key, fmt.Errorf("read the key: %w", err)
	}
	digits := bytes.TrimSpace(text)
	if n, err := hex.Decode(key[:], digits[:min(len(digits), 2*len(key))]); err != nil || n != len(key) || len(digits) != 2*n {
		return key, usagef("%s: a key is %d hex digits and nothing else (remove the file to have one made)", name, 2*len(key))
	}
	return key, nil
}
