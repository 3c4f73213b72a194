package main

import (
	"encoding/json"
	"fmt"
	"io"

	"plainsight/analyze"
	"plainsight/analyze/body"
	"plainsight/analyze/sensitive"
)

type scanCmd struct {
	JSONL       bool   `name:"jsonl" help:"Read messages, a JSON object a line (id, dir, url, headers, body), and write what is in them a line each."`
	ContentType string `name:"type" help:"Content type of the body; found out where it is not given." placeholder:"TYPE"`
	Rules       string `help:"Rules of your own beside the built-in kinds (YAML)." placeholder:"FILE"`
	JSON        bool   `name:"json" help:"Write JSON lines instead of a table."`
}

// Help is shown below the flags.
func (*scanCmd) Help() string {
	return `  curl -s https://api.example.com/me | plainsight scan`
}

// maxBody is how much of a body on standard input is scanned.
const maxBody = 64 << 20

// Run scans standard input.
func (c *scanCmd) Run(a *app) error {
	rules, err := readRules(c.Rules)
	if err != nil {
		return err
	}
	o := sensitive.Options{Key: analyze.NewKey(), Rules: rules}
	if c.JSONL {
		if err := sensitive.ScanJSONL(a.Stdin, a.Stdout, o); err != nil {
			return usageError{err}
		}
		return nil
	}
	raw, err := io.ReadAll(io.LimitReader(a.Stdin, maxBody+1))
	if err != nil {
		return fmt.Errorf("read standard input: %w", err)
	}
	if len(raw) > maxBody {
		raw = raw[:maxBody]
		a.Log.Warn("only the first part of the body is scanned", "bytes", maxBody)
	}
	hits := scanBody(raw, c.ContentType, o)
	if c.JSON {
		return writeHits(a.Stdout, hits)
	}
	if len(hits) == 0 {
		_, err := fmt.Fprintln(a.Stdout, "nothing sensitive found")
		return err
	}
	for _, h := range hits {
		if _, err := fmt.Fprintf(a.Stdout, "%-22s %-40s %s\n", h.Kind, h.Place, h.Mask); err != nil {
			return err
		}
	}
	return nil
}

// hit is a row of the output.
type hit struct {
	Kind        string  `json:"kind"`
	Place       string  `json:"place"`
	Mask        string  `json:"mask"`
	Fingerprint string  `json:"fingerprint"`
	Confidence  float32 `json:"confidence"`
}

func scanBody(raw []byte, contentType string, o sensitive.Options) []hit {
	s := sensitive.NewScanner(o)
	s.Reset(sensitive.Message{Side: analyze.Response})
	var w body.Walker
	w.Walk([]byte(contentType), raw, s)
	var hits []hit
	for _, h := range s.Hits() {
		hits = append(hits, hit{h.Detector.ID, h.Place.Name, h.Mask, h.Fingerprint, h.Confidence})
	}
	return hits
}

func writeHits(w io.Writer, hits []hit) error {
	enc := json.NewEncoder(w)
	for _, h := range hits {
		if err := enc.Encode(h); err != nil {
			return err
		}
	}
	return nil
}
