//go:build linux

package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What stands in the section of watch is what its flags say, unless the command
// line or the environment says otherwise.
func TestConfigOfWatch(t *testing.T) {
	name := filepath.Join(t.TempDir(), "plainsight.yaml")
	if err := os.WriteFile(name, []byte("watch:\n  port: [8080, 8081]\n  exclude-host: 10.0.0.0/8\n  interval: 5s\n  tls: false\n  listen: 127.0.0.1:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PLAINSIGHT_LISTEN", "127.0.0.1:2")
	args := []string{"watch", "--config", name, "--interval", "7s"}
	parser, cmds, err := newParser(args)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Fatal(err)
	}
	w := cmds.Watch
	if len(w.Port) != 2 || w.Port[1] != 8081 || len(w.ExcludeHost) != 1 || w.ExcludeHost[0] != "10.0.0.0/8" || w.TLS {
		t.Errorf("%+v", w)
	}
	if w.Interval != 7*time.Second || w.Listen != "127.0.0.1:2" {
		t.Errorf("the command line and the environment go first: %v %s", w.Interval, w.Listen)
	}
}

func TestConfigRefusals(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"watch:\n  prot: 80\n", `watch has no "prot" (did you mean port?)`},
		{"watch:\n  zzzzzzzzzzzz: 80\n", "see plainsight watch --help"},
		{"watch:\n  port: {a: 1}\n", "want a value or a list"},
		{"watch:\n  port: many\n", "--port"},
		{"watch:\n  source: magic\n", "magic"},
		{"wacht:\n  port: 1\n", ":1:"},
		{"watch: [\n", ":1:"},
	} {
		name := filepath.Join(t.TempDir(), "plainsight.yaml")
		if err := os.WriteFile(name, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, log bytes.Buffer
		code := run(t.Context(), []string{"watch", "--config", name, "-p", "1", "--for", "1ms"}, strings.NewReader(""), &out, &log)
		if strings.Contains(c.text, "port: ") {
			log.Reset()
			code = run(t.Context(), []string{"watch", "--config=" + name, "--for", "1ms", "--host", "192.0.2.1"}, strings.NewReader(""), &out, &log)
		}
		if code != exitUsage || !strings.Contains(log.String(), c.want) {
			t.Errorf("%q: %d %s", c.text, code, &log)
		}
	}
}

// A filter that is changed in the file counts from the hangup on; a wrong one does not.
func TestWatchReadsFiltersAgain(t *testing.T) {
	address, ask := party(t)
	_, port, _ := net.SplitHostPort(address)
	name := filepath.Join(t.TempDir(), "plainsight.yaml")
	set := func(text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, source := range []string{"ebpf", "packets"} {
		t.Run(source, func(t *testing.T) {
			set("watch:\n  port: 1\n")
			var log *signalled
			hangup := func(wait string) {
				log.await(t, wait, func() {
					if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
						t.Fatal(err)
					}
				})
			}
			out := watchingLog(t, func(l *signalled) {
				log = l
				ask() // not wanted
				set("watch:\n  prot: 1\n")
				hangup("not reloaded")
				ask() // not wanted still
				set("watch:\n  port: " + port + "\n")
				hangup("are reloaded")
				ask()
			}, "plainsight_capture_exchanges_total 40\n", "--config", name, "--source", source, "--no-tls", "--format", "json")
			if !strings.Contains(out, `"exchanges": 40`) {
				t.Errorf("%.200s", out)
			}
		})
	}
}
