package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"plainsight/analyze"
)

var update = flag.Bool("update", false, "write the goldens of testdata")

func write(t *testing.T, format string, s *analyze.Snapshot, o Options) []byte {
	t.Helper()
	f, ok := ByName(format)
	if !ok {
		t.Fatalf("no format %q", format)
	}
	var b bytes.Buffer
	if err := f.Write(&b, s, o); err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	return b.Bytes()
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; go test -update and look at the diff. Got:\n%s", path, got)
	}
}

func TestTextReadsLikeThis(t *testing.T) {
	golden(t, "shop-80.txt", write(t, "text", shop(), Options{Width: 80}))
	golden(t, "shop-140.txt", write(t, "text", shop(), Options{Width: 140}))
	golden(t, "shop-capped.txt", write(t, "text", shop(), Options{Width: 100, Findings: 4, Endpoints: 2, Rows: 1}))
	golden(t, "silent.txt", write(t, "text", silent(), Options{}))
	golden(t, "nothing.txt", write(t, "text", &analyze.Snapshot{}, Options{}))
}

func TestTextFitsItsWidth(t *testing.T) {
	for _, s := range []*analyze.Snapshot{shop(), silent(), many(300), hostile(), {}} {
		for _, width := range []int{60, 72, 80, 100, 132, 200} {
			for _, o := range []Options{{Width: width}, {Width: width, Findings: -1, Endpoints: -1, Rows: -1}} {
				for n, line := range strings.Split(string(write(t, "text", s, o)), "\n") {
					if columns(line) > width {
						t.Errorf("width %d: line %d has %d columns: %q", width, n+1, columns(line), line)
					}
					if strings.HasSuffix(line, " ") {
						t.Errorf("width %d: line %d ends in spaces: %q", width, n+1, line)
					}
				}
			}
		}
	}
}
