//go:build linux

package bpf

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"
)

// The committed objects are what the sources beside them give.
func TestObjectsAreFresh(t *testing.T) {
	if _, err := exec.LookPath("clang-14"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("clang-14 is needed: make deps")
		}
		t.Skip("needs clang-14: make deps")
	}
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(source)) {
		command, ok := strings.CutPrefix(strings.TrimSpace(line), "//go:generate ")
		if !ok {
			continue
		}
		dir := t.TempDir()
		c := exec.Command("sh", "-c", strings.Replace(command, "bpf2go", "bpf2go -output-dir "+dir, 1))
		c.Env = append(os.Environ(), "GOPACKAGE=bpf")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		made, err := filepath.Glob(dir + "/*")
		if err != nil || len(made) == 0 {
			t.Fatalf("%s made nothing (%v)", command, err)
		}
		for _, name := range made {
			fresh, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			committed, err := os.ReadFile(filepath.Base(name))
			if err != nil || !bytes.Equal(fresh, committed) {
				t.Errorf("%s is not what its source gives: go generate ./bpf (%v)", filepath.Base(name), err)
			}
		}
	}
}

// Go reads events as C lays them out.
func TestEventLayout(t *testing.T) {
	var e socketsEvent
	if n := unsafe.Sizeof(e); n != headerSize {
		t.Fatalf("struct event has %d bytes, decode reads %d", n, headerSize)
	}
	e = socketsEvent{Time: 1, Socket: 2, Offset: 3, Cgroup: 4, Size: 5, Length: 3, Pid: 7, Netns: 8, Kind: uint8(Data),
		Direction: 1, Role: 2, Family: 2, Joined: 1, LocalPort: 80, RemotePort: 4000, Local: [16]uint8{127, 0, 0, 1}, Remote: [16]uint8{10, 1, 2, 3}, Command: [16]int8{'n', 'g'}}
	raw := append(bytes.Clone((*[headerSize]byte)(unsafe.Pointer(&e))[:]), "abcdef"...)
	var got Event
	if !got.decode(raw) {
		t.Fatal("a whole event was refused")
	}
	if got.Time != 1 || got.Socket != 2 || got.Offset != 3 || got.Cgroup != 4 || got.Size != 5 || got.PID != 7 || got.NetNS != 8 ||
		got.Kind != Data || got.Direction != Received || got.Role != Server || !got.Joined ||
		got.Local.String() != "127.0.0.1:80" || got.Remote.String() != "10.1.2.3:4000" || string(got.Name()) != "ng" || string(got.Data) != "abc" {
		t.Errorf("read %+v", got)
	}
	for n := range headerSize + 3 {
		if got.decode(raw[:n]) {
			t.Fatalf("an event cut after %d bytes was taken", n)
		}
	}
}
