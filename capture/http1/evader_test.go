//go:build conformance

package http1_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// TestEvaders reads the captures of servers that try to hide a body from an
// analyser while browsers still read it, and of Zeek's tests.
func TestEvaders(t *testing.T) {
	shared := os.Getenv("PLAINSIGHT_SHARED")
	if shared == "" {
		t.Fatal("PLAINSIGHT_SHARED does not name the folder of the shared sets")
	}
	var all, found, read int
	for _, name := range []string{"suricata-pcaps.jsonl", "zeek-pcaps.jsonl"} {
		f, err := os.Open(filepath.Join(shared, "adversarial", name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			var c struct {
				ID, File string
				Expect   struct {
					Level        string
					Least, Most  *int
					Transactions []struct {
						Method, Target, Host string
						Status               int
						Contains             string `json:"response_body_contains"`
						RequestBody          *int64 `json:"request_body_len"`
						ResponseBody         *int64 `json:"response_body_len"`
					}
				}
			}
			if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
				t.Fatal(err)
			}
			got := exchanges(t, filepath.Join(shared, "adversarial", c.File))
			if c.Expect.Least != nil && len(got) < *c.Expect.Least || c.Expect.Most != nil && len(got) > *c.Expect.Most {
				t.Errorf("%s: %d exchanges", c.ID, len(got))
			}
			if c.Expect.Level == "exact" && len(got) != len(c.Expect.Transactions) {
				t.Logf("%s: %d exchanges, want %d", c.ID, len(got), len(c.Expect.Transactions))
			}
			for i, want := range c.Expect.Transactions {
				if i >= len(got) {
					break
				}
				x := &got[i]
				if want.Contains == "" {
					if x.Method != want.Method || want.Target != "" && x.Target != want.Target || want.Status != 0 && x.Status != want.Status ||
						want.RequestBody != nil && x.Request.BodySize != *want.RequestBody || want.ResponseBody != nil && x.Response.BodySize != *want.ResponseBody {
						t.Logf("%s (%s): %+v, got %s %s %d, bodies of %d and %d", c.ID, c.Expect.Level, want, x.Method, x.Target, x.Status, x.Request.BodySize, x.Response.BodySize)
					}
					continue
				}
				all++
				if x.Method == want.Method {
					found++
				}
				if bytes.Contains(x.Response.Body, []byte(want.Contains)) {
					read++
				} else {
					t.Logf("%s: %s: %d %q, body of %d, %d decoded, flaws %v", c.ID, x.Target, x.Status, x.Reason, x.Response.BodySize, x.Response.DecodedSize, x.Response.Flaws.Names())
				}
			}
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d hidden bodies, %d requests found, %d bodies read", all, found, read)
	if found < all {
		t.Errorf("%d of %d requests found", found, all)
	}
	if float64(read) < 0.85*float64(all) {
		t.Errorf("%d of %d hidden bodies read", read, all)
	}
}
