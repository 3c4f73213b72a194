//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/sys/unix"

	"plainsight/analyze"
	"plainsight/capture"
	"plainsight/capture/live"
	"plainsight/capture/probe"
	"plainsight/storage/clickhouse"
	"plainsight/storage/embedded"
)

type doctorCmd struct {
	JSON bool `name:"json" help:"As JSON."`
	storeFlags
}

// Help is shown below the flags.
func (*doctorCmd) Help() string {
	return `  plainsight doctor
  plainsight doctor --store clickhouse://store.example/plainsight

Nothing is attached, captured or written.`
}

// check is one thing that was looked at.
type check struct {
	What   string `json:"what"`
	Answer string `json:"answer"` // yes, no, could not tell
	Why    string `json:"why"`    // what it is good for; or why not, and what would help
}

// Run looks, and says what it saw.
func (c *doctorCmd) Run(ctx context.Context, a *app) error {
	checks := []check{kernelCheck(), capabilityCheck(), socketsCheck(), packetsCheck(), engineCheck()}
	if c.Store != "" {
		checks = append(checks, c.storeCheck(ctx, a))
	}
	libraries := probe.Survey(ctx)
	if c.JSON {
		type library struct {
			Path    string `json:"path"`
			Library string `json:"library"`
			PID     uint32 `json:"pid,omitempty"` // a process that runs it; 0: none does yet
			Error   string `json:"error,omitempty"`
		}
		out := struct {
			Checks    []check   `json:"checks"`
			Libraries []library `json:"tls_libraries"`
		}{checks, []library{}}
		for _, l := range libraries {
			row := library{Path: analyze.Clean([]byte(l.Path)), Library: l.Library, PID: l.PID}
			if l.Err != nil {
				row.Error = l.Err.Error()
			}
			out.Libraries = append(out.Libraries, row)
		}
		e := json.NewEncoder(a.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(out)
	}
	width, _ := terminal(a.Stdout)
	t := a.table(width)
	t.AppendHeader(table.Row{"what", "answer", "why"})
	for _, k := range checks {
		t.AppendRow(table.Row{k.What, k.Answer, k.Why})
	}
	t.Render()
	fmt.Fprintln(a.Stdout, "\nTLS libraries whose plaintext can be read, of processes that run and of this host:")
	t = a.table(width)
	t.AppendHeader(table.Row{"library", "file", "process"})
	for _, l := range libraries {
		process := "none yet"
		if l.PID != 0 {
			process = fmt.Sprint(l.PID)
		}
		t.AppendRow(table.Row{l.Library, analyze.Clean([]byte(l.Path)), process})
	}
	t.Render()
	fmt.Fprintln(a.Stdout, "\nNot readable, wherever they run: Java, rustls, BoringSSL without symbols, and TLS in the kernel.")
	return nil
}

// table is a table that fits a width.
func (a *app) table(width int) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(a.Stdout)
	t.SetStyle(table.StyleLight)
	wide := max(width, 80)
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 2, WidthMax: wide - 38}, {Number: 3, WidthMax: wide - 44, WidthMaxEnforcer: text.WrapSoft}})
	return t
}

func kernelCheck() check {
	return check{"kernel", kernelRelease(), "6.3 and later tell of calls on sockets; 6.6 and later attach to TLS libraries without CAP_SYS_ADMIN"}
}

// capabilities are those that an agent can use (capabilities(7)).
var capabilities = []struct {
	name string
	bit  uint
	what string
}{
	{"CAP_BPF", unix.CAP_BPF, "load programs"},
	{"CAP_PERFMON", unix.CAP_PERFMON, "attach them"},
	{"CAP_NET_RAW", unix.CAP_NET_RAW, "packets"},
	{"CAP_SYS_PTRACE", unix.CAP_SYS_PTRACE, "find the TLS libraries of others"},
	{"CAP_DAC_READ_SEARCH", unix.CAP_DAC_READ_SEARCH, "open them"},
}

func capabilityCheck() check {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return check{"capabilities", "could not tell", err.Error()}
	}
	effective := uint64(data[0].Effective) | uint64(data[1].Effective)<<32
	var missing []string
	for _, c := range capabilities {
		if effective&(1<<c.bit) == 0 {
			missing = append(missing, fmt.Sprintf("%s (%s)", c.name, c.what))
		}
	}
	if len(missing) > 0 {
		return check{"capabilities", "no", "missing: " + strings.Join(missing, ", ")}
	}
	return check{"capabilities", "yes", "all that are used are there"}
}

func socketsCheck() check {
	switch got, reason := probe.Probe(); {
	case reason != nil:
		return check{"sockets by eBPF", got.String(), reason.Error() + "; packets are what is left"}
	default:
		return check{"sockets by eBPF", got.String(), "plaintext of all processes, and what is inside of TLS"}
	}
}

// packetsCheck opens a packet socket whose filter lets nothing through.
func packetsCheck() check {
	s, err := live.Open(live.Options{Interface: "lo", Ring: 2 << 20, Filter: capture.Filter{Ports: []uint16{0}}})
	if err != nil {
		return check{"packets", "no", err.Error() + " (needs CAP_NET_RAW)"}
	}
	s.Close()
	return check{"packets", "yes", "plaintext and TLS handshakes on the interfaces"}
}

func engineCheck() check {
	if _, err := embedded.Locate(); err != nil {
		return check{"local store", "no", err.Error()}
	}
	return check{"local store", "yes", "--keep, and query without a server"}
}

func (c *doctorCmd) storeCheck(ctx context.Context, a *app) check {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s, err := clickhouse.Open(ctx, c.storeFlags.options(a))
	switch {
	case errors.Is(err, clickhouse.ErrEmpty), errors.Is(err, os.ErrNotExist):
		return check{"store", "yes", "reached, and nothing is in it yet"}
	case err != nil:
		return check{"store", "no", storeError(err).Error()}
	}
	s.Close()
	return check{"store", "yes", "reached, with the schema of this program"}
}
