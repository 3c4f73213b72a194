// Package embeddedtest runs the real engine for tests: as a child process that
// can be killed, reached over loopback by the native protocol. A test binary
// is its own child: its TestMain calls [Main].
//
// Tests do not skip when the engine is missing: a store that was never tried
// does not work. They fail and say what to do.
package embeddedtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"plainsight/storage/embedded"
)

const (
	pathVariable     = "PLAINSIGHT_TEST_ENGINE_PATH"
	passwordVariable = "PLAINSIGHT_TEST_ENGINE_PASSWORD"
)

// Main runs the tests, or, in a child, the engine. It does not return.
func Main(m *testing.M) {
	path := os.Getenv(pathVariable)
	if path == "" {
		os.Exit(m.Run())
	}
	if err := serve(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve runs the engine until the parent closes its end of standard input.
func serve(path string) error {
	engine, err := embedded.Open(path, embedded.Options{Create: true})
	if err != nil {
		return err
	}
	defer engine.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	fmt.Println(l.Addr())
	return engine.Serve(ctx, l, os.Getenv(passwordVariable))
}

// Require fails the test where there is no engine.
func Require(t testing.TB) {
	t.Helper()
	if _, err := embedded.Locate(); err != nil {
		t.Fatalf("%v: run `make deps`, or `plainsight setup`", err)
	}
}

// Server is the engine in a child process.
type Server struct {
	Addr     string
	Password string

	cmd   *exec.Cmd
	stdin io.Closer
	noise strings.Builder // what it wrote to standard error
}

// Start runs the engine on the store at path. It ends with the test.
func Start(t testing.TB, path string) *Server {
	t.Helper()
	Require(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Password: "for this test", cmd: exec.Command(self)}
	s.cmd.Env = append(os.Environ(), pathVariable+"="+path, passwordVariable+"="+s.Password)
	s.cmd.Stderr = &s.noise
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.stdin = stdin
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		_ = s.Stop()
		t.Fatalf("the engine did not start: %s", s.noise.String())
	}
	s.Addr = strings.TrimSpace(line)
	return s
}

// Stop ends the engine in order and returns what it said on standard error.
func (s *Server) Stop() string {
	s.stdin.Close()
	_ = s.cmd.Wait()
	return s.noise.String()
}

// Kill ends the engine as a crash does.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}
