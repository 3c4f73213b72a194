//go:build conformance

package conformance

import (
	"bytes"
	little "encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// conversations are the sets of HTTP cases.
var conversations = []string{"llhttp.jsonl", "libhtp.jsonl", "http2-hpack.jsonl", "http2-frames.jsonl"}

// placed is a case in a capture of pcapforge.
type placed struct {
	File, Case, Variant, Client string
	Keeps                       bool
}

// address is that of the client.
func (p *placed) address(t *testing.T) string {
	t.Helper()
	a, err := netip.ParseAddrPort(p.Client)
	if err != nil {
		t.Fatal(err)
	}
	return a.Addr().String()
}

// forged plays a set under variants, a capture for each, and returns the cases
// with the captures that they are in.
func forged(t *testing.T, set, variants string) (dir string, cases []placed) {
	t.Helper()
	dir = t.TempDir()
	if r := run(t, nil, program(t, "tools", "pcapforge"), "cases", "-one", "-variant", variants, "-o", dir, shared(t, "adversarial", set)); r.code != 0 {
		t.Fatalf("%s: %s", set, r.stderr)
	}
	cases = readLines[placed](t, filepath.Join(dir, "index.jsonl"))
	if len(cases) == 0 {
		t.Fatalf("%s: no cases", set)
	}
	return dir, cases
}

// signature is what two transactions have in common that are the same.
func (x transaction) signature() string {
	length := func(n *int64) int64 {
		if n == nil {
			return -1
		}
		return *n
	}
	return fmt.Sprintf("%s %s %q %s %d %d %d", x.Proto, x.Method, x.URI, x.Host, x.Status, length(x.ReqLen), length(x.RespLen))
}

// byClient sorts the transactions of a capture by who asked.
func byClient(t *testing.T, capture string) map[string][]transaction {
	t.Helper()
	found, r := exchanges(t, capture)
	survived(t, filepath.Base(capture), r, 0, expectation{})
	addsUp(t, filepath.Base(capture), r)
	sorted := map[string][]transaction{}
	for _, x := range found {
		sorted[x.Src] = append(sorted[x.Src], x)
	}
	return sorted
}

// addsUp fails where frames were seen and neither analysed nor ignored nor
// dropped.
func addsUp(t *testing.T, what string, r outcome) {
	t.Helper()
	var report struct {
		Coverage struct {
			Counts []struct {
				Name  string
				Value uint64
			}
		}
	}
	if err := json.Unmarshal(r.stdout, &report); err != nil {
		t.Fatal(err)
	}
	seen, rest := uint64(0), uint64(0)
	for _, c := range report.Coverage.Counts {
		switch {
		case c.Name == "frames_seen":
			seen = c.Value
		case c.Name == "frames_analysed", strings.HasPrefix(c.Name, "frames_ignored_"), strings.HasPrefix(c.Name, "frames_dropped_"):
			rest += c.Value
		}
	}
	if seen == 0 || seen != rest {
		t.Errorf("%s: %d frames seen, %d analysed, ignored or dropped", what, seen, rest)
	}
}

func signatures(list []transaction) string {
	var b strings.Builder
	for _, x := range list {
		b.WriteString(x.signature() + "\n")
	}
	return b.String()
}

// TestVariantsThatKeepTheBytes plays every case under every variant that changes
// how its bytes travel and not what they are: what comes out is the same.
func TestVariantsThatKeepTheBytes(t *testing.T) {
	for _, set := range conversations {
		dir, cases := forged(t, set, "keeps")
		base := map[string]string{}
		seen := map[string]map[string][]transaction{}
		right, all, talking := 0, 0, 0
		for _, c := range cases {
			if seen[c.File] == nil {
				seen[c.File] = byClient(t, filepath.Join(dir, c.File))
			}
			got := signatures(seen[c.File][c.address(t)])
			if c.Variant == "base" {
				if base[c.Case] = got; got != "" {
					talking++
				}
				continue
			}
			want, known := base[c.Case]
			if !known {
				t.Fatalf("%s comes before its base", c.Case)
			}
			if all++; got == want {
				right++
			} else {
				t.Logf("%s under %s:\n%s, alone\n%s", c.Case, c.Variant, got, want)
			}
		}
		if talking < 4 && set != "http2-frames.jsonl" { // those are single frames
			t.Errorf("%s: %d cases have transactions at all", set, talking)
		}
		floor(t, fmt.Sprintf("%s: %d runs that keep the bytes", set, all), share(right, all), 1)
	}
}

// TestLossInventsNothing takes packets and bytes away: what comes out is what
// there was, or less of it.
func TestLossInventsNothing(t *testing.T) {
	for _, set := range conversations {
		dir, cases := forged(t, set, "base,loss,headloss,snap96,c2s,s2c,ipfrag-lost,midstream,nofin,rst")
		base := map[string][]transaction{}
		seen := map[string]map[string][]transaction{}
		invented, runs := 0, 0
		for _, c := range cases {
			if seen[c.File] == nil {
				seen[c.File] = byClient(t, filepath.Join(dir, c.File))
			}
			got := seen[c.File][c.address(t)]
			if c.Variant == "base" {
				base[c.Case] = got
				continue
			}
			runs++
			left := slices.Clone(base[c.Case])
			for _, x := range got {
				i := slices.IndexFunc(left, func(b transaction) bool {
					return (x.Method == "" && x.URI == "" || x.Method == b.Method && x.URI == b.URI) && (x.Status == 0 || b.Status == 0 || x.Status == b.Status)
				})
				// A request and its answer may have come apart.
				if j := slices.IndexFunc(base[c.Case], func(b transaction) bool { return x.Method == "" && x.Status == b.Status }); i < 0 && j < 0 {
					invented++
					t.Logf("%s under %s: %s is not among\n%s", c.Case, c.Variant, x.signature(), signatures(base[c.Case]))
				} else if i >= 0 && x.Method != "" {
					left = slices.Delete(left, i, i+1)
				}
			}
		}
		t.Logf("%s: %d runs, %d transactions invented", set, runs, invented)
		if invented > 0 {
			t.Errorf("%s: %d transactions invented", set, invented)
		}
	}
}

// TestInterleaved plays cases two by two and all at once, packet by packet in
// turn: each gives what it gives alone.
func TestInterleaved(t *testing.T) {
	for _, set := range conversations {
		dir, cases := forged(t, set, "base")
		file := filepath.Join(dir, cases[0].File)
		alone := byClient(t, file)
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{2, len(cases)} {
			mixed := filepath.Join(dir, fmt.Sprintf("mixed-%d.pcap", n))
			if err := os.WriteFile(mixed, interleave(t, raw, n), 0o600); err != nil {
				t.Fatal(err)
			}
			got := byClient(t, mixed)
			right := 0
			for _, c := range cases {
				a := c.address(t)
				if signatures(got[a]) == signatures(alone[a]) {
					right++
				} else {
					t.Logf("%s among %d:\n%s, alone\n%s", c.Case, n, signatures(got[a]), signatures(alone[a]))
				}
			}
			floor(t, fmt.Sprintf("%s: %d at a time", set, n), share(right, len(cases)), 1)
		}
	}
}

// interleave takes the connections of a capture (pcap, little endian, microseconds,
// Ethernet, IPv4) n at a time and writes their packets in turn, a millisecond
// apart.
func interleave(t *testing.T, raw []byte, n int) []byte {
	t.Helper()
	const head, record, ethernet = 24, 16, 14
	if len(raw) < head || little.LittleEndian.Uint32(raw) != 0xa1b2c3d4 {
		t.Fatal("not a capture as pcapforge writes it")
	}
	packets := map[string][][]byte{} // records of a connection
	var order []string
	for b := raw[head:]; len(b) >= record; {
		size := record + int(little.LittleEndian.Uint32(b[8:]))
		p := b[record:size]
		ends := []string{string(p[ethernet+12 : ethernet+16]), string(p[ethernet+16 : ethernet+20])}
		slices.Sort(ends)
		key := strings.Join(ends, "")
		if packets[key] == nil {
			order = append(order, key)
		}
		packets[key] = append(packets[key], b[:size])
		b = b[size:]
	}
	out := bytes.Clone(raw[:head])
	at := little.LittleEndian.Uint32(raw[head:])
	micro := 0
	for group := range slices.Chunk(order, n) {
		for i, more := 0, true; more; i++ {
			more = false
			for _, key := range group {
				if i >= len(packets[key]) {
					continue
				}
				more = true
				from := len(out)
				out = append(out, packets[key][i]...)
				micro += 1000
				little.LittleEndian.PutUint32(out[from:], at+uint32(micro/1_000_000))
				little.LittleEndian.PutUint32(out[from+4:], uint32(micro%1_000_000))
			}
		}
	}
	return out
}
