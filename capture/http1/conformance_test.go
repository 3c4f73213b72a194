//go:build conformance

package http1

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"plainsight/capture"
	"plainsight/capture/capturetest"
)

// adversarial is a case of the shared sets llhttp.jsonl and libhtp.jsonl.
type adversarial struct {
	ID    string
	Steps []struct {
		Dir  string
		Text *string
		B64  []byte
		Gap  int
	}
	Close  string
	Expect struct {
		Level        string
		Least        *int
		Most         *int
		Transactions []map[string]json.RawMessage
		Anomalies    []string
	}
}

// TestAdversarial plays the shared cases, whole and in pieces, and asks for 99 %
// of the exact ones and 95 % of the others.
func TestAdversarial(t *testing.T) {
	shared := os.Getenv("PLAINSIGHT_SHARED")
	if shared == "" {
		t.Fatal("PLAINSIGHT_SHARED does not name the folder of the shared sets")
	}
	good, all := map[string]int{}, map[string]int{}
	for _, name := range []string{"llhttp.jsonl", "libhtp.jsonl"} {
		f, err := os.Open(filepath.Join(shared, "adversarial", name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			var c adversarial
			if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
				t.Fatal(err)
			}
			level := c.Expect.Level
			all[level]++
			if wrong := c.play(); wrong == "" {
				good[level]++
			} else {
				t.Logf("%s (%s): %s", c.ID, level, wrong)
			}
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
	}
	for level, n := range all {
		t.Logf("%s: %d of %d", level, good[level], n)
		floor := 0.95
		if level == "exact" {
			floor = 0.99
		}
		if float64(good[level]) < floor*float64(n) {
			t.Errorf("%s: %d of %d", level, good[level], n)
		}
	}
}

func (c *adversarial) play() (wrong string) {
	var steps []capturetest.Step
	for _, s := range c.Steps {
		d := capture.ToServer
		if s.Dir == "s2c" {
			d = capture.ToClient
		}
		data := string(s.B64)
		if s.Text != nil {
			data = *s.Text
		}
		steps = append(steps, capturetest.Step{Dir: d, Data: data, Lost: s.Gap})
	}
	if c.Close == "fin" {
		steps = append(steps, capturetest.End(capture.ToServer), capturetest.End(capture.ToClient))
	}
	var whole string
	for _, cut := range []int{0, 1, 7, 100} {
		var r capturetest.Recorder
		var n capture.Counts
		conn := capture.Conn{ID: 1}
		p := Protocol(Options{}).New(&conn, &r, &n)
		capturetest.Play(p, cut, steps...)
		if wrong := c.judge(r.Exchanges, &n); wrong != "" {
			return fmt.Sprintf("cut %d: %s", cut, wrong)
		}
		if got := story(r.Exchanges); whole == "" {
			whole = got
		} else if got != whole {
			return fmt.Sprintf("cut %d differs:\n%s\nfrom\n%s", cut, got, whole)
		}
	}
	return ""
}

func (c *adversarial) judge(got []capturetest.Exchange, n *capture.Counts) string {
	e := &c.Expect
	least, most := len(e.Transactions), 1<<30
	if e.Level == "exact" {
		most = least
	}
	if e.Least != nil {
		least = *e.Least
	}
	if e.Most != nil {
		most = *e.Most
	}
	if e.Level == "survive" || e.Level == "either" {
		return "" // both readings are right
	}
	if len(got) < least && len(e.Transactions) == 0 || len(got) > most {
		return fmt.Sprintf("%d exchanges, want %d to %d", len(got), least, most)
	}
	if least > 0 || e.Level == "exact" {
		if len(got) < least {
			return fmt.Sprintf("%d exchanges, want %d to %d", len(got), least, most)
		}
		for i, want := range e.Transactions {
			if i >= len(got) {
				return fmt.Sprintf("%d exchanges, want at least %d", len(got), i+1)
			}
			if wrong := differs(&got[i], want); wrong != "" {
				return fmt.Sprintf("exchange %d: %s", i, wrong)
			}
		}
	}
	if e.Level == "flag" {
		odd := n[capture.ExchangesDiscarded] > 0
		for i := range got {
			odd = odd || got[i].Request.Flaws&^(capture.FlawUnanswered|capture.FlawHostMissing) != 0 || got[i].Response.Flaws != 0
		}
		for _, a := range e.Anomalies {
			odd = odd || a == "host_missing"
		}
		if !odd {
			return "nothing is marked"
		}
	}
	return ""
}

func differs(x *capturetest.Exchange, want map[string]json.RawMessage) string {
	host, _, _ := strings.Cut(strings.ToLower(x.Authority), ":")
	if strings.HasPrefix(x.Authority, "[") {
		host, _, _ = strings.Cut(x.Authority, "]")
		host += "]"
	}
	// A message is complete where its end is certain.
	const uncertain = capture.FlawCut | capture.FlawGap | capture.FlawChunk
	values := map[string]any{
		"method": x.Method, "target": x.Target, "host": host, "status": x.Status,
		"version":              strings.TrimPrefix(string(x.Request.Proto), "HTTP/"),
		"request_body_len":     x.Request.BodySize,
		"response_body_len":    x.Response.BodySize,
		"request_decoded_len":  x.Request.DecodedSize,
		"response_decoded_len": x.Response.DecodedSize,
		"request_complete":     x.Request.Seen && x.Request.Flaws&uncertain == 0,
		"response_complete":    x.Response.Seen && x.Response.Flaws&uncertain == 0,
	}
	for name, raw := range want {
		switch name {
		case "request_headers", "response_headers":
			var pairs [][2]string
			if err := json.Unmarshal(raw, &pairs); err != nil {
				return err.Error()
			}
			m := &x.Request
			if name[2] == 's' {
				m = &x.Response
			}
			var have []string
			for _, f := range append(m.Headers, m.Trailer...) {
				have = append(have, strings.ToLower(f.Name)+": "+strings.TrimSpace(f.Value))
			}
			for i, p := range pairs {
				// llhttp's own log writes white space as escapes.
				value := strings.NewReplacer(`\t`, "\t", `\f`, "\f").Replace(p[1])
				line := strings.ToLower(p[0]) + ": " + strings.TrimSpace(value)
				if i >= len(have) || have[i] != line {
					return fmt.Sprintf("header %d: want %q of %q", i, line, have)
				}
			}
		default:
			value, ok := values[name]
			if !ok {
				return "no such field: " + name
			}
			got, _ := json.Marshal(value)
			var a, b any
			json.Unmarshal(got, &a)
			json.Unmarshal(raw, &b)
			if a != b && !(name == "version" && a == "?" && b == "") {
				return fmt.Sprintf("%s is %v, want %v", name, a, b)
			}
		}
	}
	return ""
}
