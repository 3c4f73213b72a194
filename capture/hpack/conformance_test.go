//go:build conformance

package hpack

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestStories reads the header blocks of other encoders: all of them.
func TestStories(t *testing.T) {
	root := os.Getenv("PLAINSIGHT_SHARED")
	if root == "" {
		t.Fatal("PLAINSIGHT_SHARED does not name the folder of the shared sets")
	}
	f, err := os.Open(filepath.Join(root, "adversarial", "hpack.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	blocks, fields := 0, 0
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var story struct {
			ID     string
			Blocks []struct {
				B64     []byte
				Headers [][2]string
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &story); err != nil {
			t.Fatal(err)
		}
		d, late := New(Options{}), New(Options{})
		var b, lb Block
		for i, block := range story.Blocks {
			if err := d.Decode(&b, block.B64); err != nil {
				t.Fatalf("%s, block %d: %v", story.ID, i, err)
			}
			var want []pair
			for _, h := range block.Headers {
				want = append(want, pair{h[0], h[1]})
			}
			if got := read(&b); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s, block %d: %q, want %q", story.ID, i, got, want)
			}
			blocks++
			fields += len(want)
			if i == len(story.Blocks)/3 {
				late.Forget()
			} else if i > len(story.Blocks)/3 {
				if err := late.Decode(&lb, block.B64); err != nil || lb.Len()+lb.Unknown != len(want) {
					t.Errorf("%s, block %d, joined late: %d and %d unknown of %d, %v", story.ID, i, lb.Len(), lb.Unknown, len(want), err)
				}
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d blocks, %d fields", blocks, fields)
	if blocks < 1000 {
		t.Errorf("only %d blocks", blocks)
	}
}
