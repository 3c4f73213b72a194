//go:build conformance

package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// binary is the plainsight under test, built once by TestMain.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "plainsight-conformance-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "plainsight")
	if out, err := exec.Command("go", "build", "-o", binary, "plainsight/cmd/plainsight").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// shared gives the path of a file of the shared sets.
func shared(t *testing.T, parts ...string) string {
	t.Helper()
	root := os.Getenv("PLAINSIGHT_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "shared")
	}
	root, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(append([]string{root}, parts...)...)
	if _, err := os.Stat(p); err != nil {
		t.Fatalf("%v (put the shared sets beside the checkout or set PLAINSIGHT_SHARED)", err)
	}
	return p
}

// outcome is a finished run of a program.
type outcome struct {
	stdout, stderr []byte
	code           int
	cpu            time.Duration
	rssMiB         float64
}

// run runs a program to its end, within a minute or so.
func run(t *testing.T, stdin []byte, name string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", name, err)
	}
	state := cmd.ProcessState
	return outcome{
		stdout: stdout.Bytes(), stderr: stderr.Bytes(), code: state.ExitCode(),
		cpu:    state.UserTime() + state.SystemTime(),
		rssMiB: float64(state.SysUsage().(*syscall.Rusage).Maxrss) / 1024,
	}
}

// program builds a Go program of the shared sets (scorers, pcapforge).
func program(t *testing.T, parts ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), parts[len(parts)-1])
	cmd := exec.Command("go", "build", "-o", out, ".")
	cmd.Dir = shared(t, parts...)
	if _, err := os.Stat(filepath.Join(cmd.Dir, "go.mod")); err != nil {
		cmd = exec.Command("go", "build", "-o", out, filepath.Join(cmd.Dir, "main.go"))
	}
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", strings.Join(parts, "/"), err, b)
	}
	return out
}

// readLines decodes a file of JSON lines.
func readLines[T any](t *testing.T, name string) []T {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return decodeLines[T](t, raw)
}

func decodeLines[T any](t *testing.T, raw []byte) []T {
	t.Helper()
	var all []T
	s := bufio.NewScanner(bytes.NewReader(raw))
	s.Buffer(nil, 64<<20)
	for s.Scan() {
		if len(bytes.TrimSpace(s.Bytes())) == 0 {
			continue
		}
		var v T
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			t.Fatalf("%v in %.200s", err, s.Bytes())
		}
		all = append(all, v)
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// floor fails where a score is below what was reached before.
func floor(t *testing.T, what string, got, least float64) {
	t.Helper()
	verdict := "ok"
	if got < least {
		verdict = "BELOW"
		t.Errorf("%s is %.4f, the floor is %.4f", what, got, least)
	}
	t.Logf("%-46s %8.4f   floor %.4f  %s", what, got, least, verdict)
}

// share is a/b, 1 where there is nothing.
func share(a, b int) float64 {
	if b == 0 {
		return 1
	}
	return float64(a) / float64(b)
}
