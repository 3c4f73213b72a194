package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rotate cuts a capture (pcap) into n files, as tcpdump -C does, and returns
// their contents.
func rotate(t *testing.T, capture []byte, n int) [][]byte {
	t.Helper()
	const head = 24
	all := [][]byte{bytes.Clone(capture[:head])}
	for b := capture[head:]; len(b) > 0; {
		size := 16 + binary.LittleEndian.Uint32(b[8:])
		if len(all[len(all)-1]) > len(capture)/n {
			all = append(all, bytes.Clone(capture[:head]))
		}
		all[len(all)-1] = append(all[len(all)-1], b[:size]...)
		b = b[size:]
	}
	if len(all) != n {
		t.Fatalf("%d files, want %d", len(all), n)
	}
	return all
}

// unnamed are the lines that --exchanges wrote, without the names of the files.
func unnamed(t *testing.T, text []byte) []string {
	t.Helper()
	var all []string
	for l := range bytes.Lines(text) {
		var v map[string]any
		if err := json.Unmarshal(l, &v); err != nil {
			t.Fatal(err)
		}
		delete(v, "pcap")
		l, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(l))
	}
	return all
}

// Rotated captures are read as one, in the order of time, whatever their names:
// connections that span them are whole.
func TestADirectoryOfRotatedCaptures(t *testing.T) {
	whole := shop(t)
	capture, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var inOrder []string
	for i, b := range rotate(t, capture, 4) {
		inOrder = append(inOrder, filepath.Join(dir, string("dbca"[i])+".pcap"))
		if err := os.WriteFile(inOrder[i], b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "README"), []byte("captures of the shop"), 0o600); err != nil {
		t.Fatal(err)
	}
	read := func(args ...string) (report, stderr string, exchanges []string) {
		t.Helper()
		out := filepath.Join(t.TempDir(), "lines")
		code, stdout, stderr := plainsight(t, nil, append(args, "--shards", "1", "--exchanges", out)...)
		text, err := os.ReadFile(out)
		if code != exitDone || err != nil {
			t.Fatalf("exit code %d, %v: %s", code, err, stderr)
		}
		return stdout, stderr, unnamed(t, text)
	}
	_, _, want := read("read", whole)
	_, stderr, got := read("read", dir)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%d exchanges in the directory, %d in the capture that was cut", len(got), len(want))
	}
	if !strings.Contains(stderr, "no captures") || !strings.Contains(stderr, "files=1") {
		t.Errorf("nothing says that a file was passed over: %s", stderr)
	}
	report, _, got := read(append([]string{"read", "--format", "json"}, inOrder...)...)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%d exchanges in the files one after the other, %d in the capture that was cut", len(got), len(want))
	}
	for _, name := range inOrder {
		if !strings.Contains(report, filepath.Base(name)) {
			t.Errorf("the report does not name %s", name)
		}
	}
}

// A capture that grows is read while it grows: what was seen is written before
// the waiting, and an interrupt ends it with the report of all of it.
func TestFollowingACapture(t *testing.T) {
	capture, err := os.ReadFile(shop(t))
	if err != nil {
		t.Fatal(err)
	}
	const parts = 5
	path := filepath.Join(t.TempDir(), "growing.pcap")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	given := 0
	grow := func() { // up to anywhere in a record
		next := len(capture) * (given + 1) / parts
		if _, err := file.Write(capture[len(capture)*given/parts : next]); err != nil {
			t.Fatal(err)
		}
		given++
	}
	grow()
	report := filepath.Join(t.TempDir(), "report.json")
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	r, w := io.Pipe()
	ended := make(chan int)
	var stderr bytes.Buffer
	go func() {
		code := run(ctx, []string{"read", "--follow", "--format", "none", "-o", report, "--exchanges", "-", path}, nil, w, &stderr)
		w.Close()
		ended <- code
	}()
	_, plain, _ := plainsight(t, nil, "read", "--format", "none", "--exchanges", "-", "--shards", "1", shop(t))
	want := strings.Count(plain, "\n")
	seen, at := 0, 0 // lines, and when the capture was last made to grow
	for s := bufio.NewScanner(r); s.Scan(); {
		if seen++; seen > at && given < parts {
			at = seen
			grow()
		}
		if seen == want-8 { // the others come when their connections end
			interrupt()
		}
	}
	if code := <-ended; code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	if seen != want || given != parts {
		t.Errorf("%d lines of %d after %d of %d parts: %s", seen, want, given, parts, stderr.String())
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Exchanges uint64
		Coverage  struct{ Captures []struct{ Damaged string } }
	}
	if err := json.Unmarshal(text, &s); err != nil || s.Exchanges < 140 || s.Coverage.Captures[0].Damaged != "" {
		t.Errorf("the report has %d exchanges, %+v, %v", s.Exchanges, s.Coverage.Captures, err)
	}
	if strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("the usual end is called an interruption: %s", stderr.String())
	}
}
