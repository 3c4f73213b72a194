package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"plainsight/storage/embedded/embeddedtest"
)

// pseudoTerminal gives both ends of one.
func pseudoTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	return person, program
}

// onTerminal80 runs plainsight on a terminal and returns what a person sees.
func onTerminal80(t *testing.T, args ...string) (int, string) {
	t.Helper()
	person, program := pseudoTerminal(t)
	var seen bytes.Buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(&seen, person) // ends with an error when the other end is closed
	}()
	code := run(context.Background(), args, strings.NewReader(""), program, program)
	program.Close()
	<-done
	person.Close()
	return code, strings.ReplaceAll(seen.String(), "\r\n", "\n")
}

func TestTablesArePagedOnATerminal(t *testing.T) {
	embeddedtest.Require(t)
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("PLAINSIGHT_STORE", "")
	if code, _, errs := plainsight(t, nil, "schema", "apply"); code != exitDone {
		t.Fatal(errs)
	}
	const question = "SELECT 7 AS seven"
	for _, c := range []struct {
		pager string
		args  []string
		want  string
	}{
		{"sed 's/^/paged: /'", nil, "paged: │ seven │"},
		{"sed 's/^/paged: /'", []string{"--no-pager"}, "\n│ seven │"},
		{"sed 's/^/paged: /'", []string{"--format", "csv"}, "seven\n7\n"},
		{"no-such-pager", nil, "\n│ seven │"},
		{"cat", nil, "\n│ seven │"},
		{"true", nil, ""}, // a person leaves at once
	} {
		t.Setenv("PAGER", c.pager)
		code, seen := onTerminal80(t, append(append([]string{"query"}, c.args...), question)...)
		if code != exitDone || !strings.Contains(seen, c.want) {
			t.Errorf("PAGER=%s %q: %d\n%s", c.pager, c.args, code, seen)
		}
	}
	if code, seen := onTerminal80(t, "query", "--format", "parquet", question); code != exitUsage || strings.Contains(seen, "PAR1") {
		t.Errorf("Parquet on a terminal: %d %q", code, seen)
	}

	// What takes long shows how it gets on, and leaves nothing behind it.
	t.Setenv("PAGER", "cat")
	code, seen := onTerminal80(t, "query", "--timeout", "5s", "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) % 3 = 1")
	if code != exitFailed || !strings.Contains(seen, "rows read") {
		t.Errorf("progress of a long query: %d %q", code, seen)
	}
}
