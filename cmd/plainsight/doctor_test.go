//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestDoctorSaysWhatIsThere(t *testing.T) {
	var out, log bytes.Buffer
	if code := run(t.Context(), []string{"doctor", "--json", "--store", "clickhouse://127.0.0.1:1"}, strings.NewReader(""), &out, &log); code != exitDone {
		t.Fatalf("%d %s", code, &log)
	}
	var said struct {
		Checks    []check
		Libraries []struct{ Library, Path string } `json:"tls_libraries"`
	}
	if err := json.Unmarshal(out.Bytes(), &said); err != nil {
		t.Fatal(err)
	}
	answers := map[string]string{}
	for _, c := range said.Checks {
		answers[c.What] = c.Answer
		if c.Why == "" {
			t.Errorf("%s: no reason", c.What)
		}
	}
	for what, want := range map[string]string{"capabilities": "yes", "sockets by eBPF": "yes", "packets": "yes", "store": "no"} {
		if answers[what] != want {
			t.Errorf("%s: %q, want %s", what, answers[what], want)
		}
	}
	var libraries []string
	for _, l := range said.Libraries {
		libraries = append(libraries, l.Library)
	}
	if all := strings.Join(libraries, " "); !strings.Contains(all, "OpenSSL") {
		t.Errorf("libraries: %s", all)
	}
}

// Without capabilities it says what is missing, and watch refuses with the same words.
func TestDoctorWithoutCapabilities(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"doctor", "CAP_BPF (load programs)"},
		{"watch --source ebpf -p 1 --for 1s", "CAP_BPF"},
		{"watch --source packets -p 1 --for 1s", "CAP_NET_RAW"},
	} {
		p := exec.Command("setpriv", "--bounding-set=-all", "--inh-caps=-all", os.Args[0])
		p.Env = append(os.Environ(), "PLAINSIGHT_TEST_PARTY=plainsight "+c.args)
		out, _ := p.CombinedOutput()
		flat := strings.Join(strings.Fields(strings.NewReplacer("│", " ").Replace(string(out))), " ")
		if !strings.Contains(flat, c.want) {
			t.Errorf("%s: %q is missing:\n%s", c.args, c.want, out)
		}
	}
}
