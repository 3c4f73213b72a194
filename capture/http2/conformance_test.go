//go:build conformance

package http2

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"plainsight/capture"
	. "plainsight/capture/capturetest"
)

// TestAdversarial plays the shared cases of single frames and of whole connections,
// in pieces of several sizes.
func TestAdversarial(t *testing.T) {
	shared := os.Getenv("PLAINSIGHT_SHARED")
	if shared == "" {
		t.Fatal("PLAINSIGHT_SHARED does not name the folder of the shared sets")
	}
	for _, file := range []string{"http2-frames.jsonl", "http2-hpack.jsonl"} {
		f, err := os.Open(filepath.Join(shared, "adversarial", file))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		all, exact := 0, 0
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 64<<20)
		for lines.Scan() {
			var c struct {
				ID    string
				Steps []struct {
					Dir string
					B64 []byte
				}
				Expect struct {
					Level        string
					Most         *int
					Transactions []struct {
						Method, Target, Host string
						Status               int
						RequestHeaders       [][2]string `json:"request_headers"`
						ResponseHeaders      [][2]string `json:"response_headers"`
					}
				}
			}
			if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
				t.Fatal(err)
			}
			var steps []Step
			for _, s := range c.Steps {
				d := capture.ToServer
				if s.Dir == "s2c" {
					d = capture.ToClient
				}
				steps = append(steps, Step{Dir: d, Data: string(s.B64)})
			}
			all++
			for _, cut := range cuts {
				xs, _, n := converse(Options{}, capture.Conn{}, cut, steps...)
				e := &c.Expect
				if e.Most != nil && len(xs) > *e.Most {
					t.Errorf("%s, cut %d: %d exchanges", c.ID, cut, len(xs))
				}
				switch e.Level {
				case "flag":
					if n[capture.HTTP2FramesInvalid] == 0 {
						t.Errorf("%s, cut %d: nothing is counted", c.ID, cut)
					}
				case "exact":
					exact++
					if len(xs) != len(e.Transactions) || n[capture.HTTP2FramesInvalid] > 0 {
						t.Errorf("%s, cut %d: %d exchanges, want %d; %d invalid frames", c.ID, cut, len(xs), len(e.Transactions), n[capture.HTTP2FramesInvalid])
						break
					}
					for i, w := range e.Transactions {
						if x := &xs[i]; w.Method != "" && w.Method != x.Method || w.Target != "" && w.Target != x.Target || w.Status != 0 && w.Status != x.Status {
							t.Errorf("%s, cut %d, exchange %d: %s %s %d, want %s %s %d", c.ID, cut, i, x.Method, x.Target, x.Status, w.Method, w.Target, w.Status)
						} else if !same(w.RequestHeaders, x.Request.Headers) || !same(w.ResponseHeaders, x.Response.Headers) {
							t.Errorf("%s, cut %d, exchange %d: %q %q, want %q %q", c.ID, cut, i, x.Request.Headers, x.Response.Headers, w.RequestHeaders, w.ResponseHeaders)
						}
					}
				}
			}
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d cases, %d runs of exact ones", file, all, exact)
	}
}

// same compares fields, pseudo-headers aside, where any are expected.
func same(want [][2]string, got []Field) bool {
	for _, w := range want {
		if strings.HasPrefix(w[0], ":") {
			continue
		}
		if len(got) == 0 || got[0] != (Field{Name: w[0], Value: w[1]}) {
			return false
		}
		got = got[1:]
	}
	return len(want) == 0 || len(got) == 0
}
