//go:build conformance

package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// expected is a line of the corpus; observed a line of --exchanges. They share
// their fields, those of TLS among them.
type expected struct {
	Pcap  string
	Trust string
	HTTP  []transaction
	TLS   []session
}

type transaction struct {
	Type    string // of observed lines
	Proto   string
	Src     string
	Sport   int
	Dst     string
	Dport   int
	Method  string
	Host    string
	URI     string `json:"uri"`
	Status  int
	ReqLen  *int64 `json:"req_body_len"`
	RespLen *int64 `json:"resp_body_len"`
	SNI     string `json:"sni"`
	// the rest of TLS lines
	tlsFields
}

// session is a TLS session of the corpus; lines of --exchanges have its fields
// beside those of HTTP.
type session struct {
	Src   string
	Sport int
	Dst   string
	Dport int
	SNI   string `json:"sni"`
	tlsFields
}

type tlsFields struct {
	ClientVersion string `json:"client_version"`
	JA3           string `json:"ja3"`
	ServerVersion string `json:"server_version"`
	CipherID      string `json:"cipher_id"`
	JA3S          string `json:"ja3s"`
	ServerALPN    string `json:"server_alpn"`
	LeafSerial    string `json:"leaf_serial"`
	Certs         int    `json:"certs"`
}

func (x transaction) http1() bool { return x.Proto != "HTTP/2" }

// same says whether an observed transaction is the expected one. What the
// corpus does not say is unknown, not empty: tshark gives no response whose body
// was cut, while an analyzer rightly reports one whose head it saw.
func (x transaction) same(got transaction, strict bool) bool {
	if x.Src != got.Src || x.Sport != got.Sport || x.Dst != got.Dst || x.Dport != got.Dport ||
		x.Method != got.Method || x.URI != got.URI {
		return false
	}
	unknown := !strict
	return (x.Host == got.Host || unknown && x.Host == "") && (x.Status == got.Status || unknown && x.Status == 0)
}

// pair finds an observed transaction for each expected one, each used once: the
// exact matches first. It returns indices into got, -1 for none.
func pair(want, got []transaction) []int {
	pairs := make([]int, len(want))
	used := make([]bool, len(got))
	for i := range pairs {
		pairs[i] = -1
	}
	for _, strict := range []bool{true, false} {
		for i, w := range want {
			for j, g := range got {
				if pairs[i] < 0 && !used[j] && w.same(g, strict) {
					pairs[i], used[j] = j, true
				}
			}
		}
	}
	return pairs
}

type tally struct{ right, expected, found int }

func (a tally) recall() float64    { return share(a.right, a.expected) }
func (a tally) precision() float64 { return share(a.right, a.found) }

func TestCorpus(t *testing.T) {
	out := filepath.Join(t.TempDir(), "exchanges.ndjson")
	http := map[string]*tally{"agreed": {}, "tshark-only": {}, "disputed": {}, "negative": {}}
	http09 := 0
	sizes, tls := &tally{}, &tally{}
	fields := map[string]*tally{}
	for _, e := range readLines[expected](t, shared(t, "corpus", "expected.jsonl")) {
		r := run(t, nil, binary, "read", "--exchanges", out, "--reveal", "--format", "json", shared(t, "corpus", "pcap", e.Pcap))
		if r.code != 0 {
			t.Errorf("%s: exit code %d: %s", e.Pcap, r.code, r.stderr)
			continue
		}
		var observed []transaction
		if raw, err := os.ReadFile(out); err != nil {
			t.Fatal(err)
		} else {
			observed = decodeLines[transaction](t, raw)
		}
		var want, got []transaction
		gotTLS := map[string]transaction{}
		for _, x := range e.HTTP {
			if x.http1() {
				want = append(want, x)
			}
		}
		for _, x := range observed {
			switch {
			case x.Type == "http" && x.http1():
				if e.Trust == "negative" && x.Proto == "HTTP/0.9" {
					http09++
				}
				got = append(got, x)
			case x.Type == "tls":
				gotTLS[fmt.Sprint(x.Src, x.Sport, x.Dst, x.Dport)] = x
			}
		}
		right := 0
		for i, j := range pair(want, got) {
			if j < 0 {
				continue
			}
			right++
			if e.Trust != "agreed" {
				continue
			}
			for _, n := range [][2]*int64{{want[i].ReqLen, got[j].ReqLen}, {want[i].RespLen, got[j].RespLen}} {
				if n[0] == nil {
					continue
				}
				sizes.expected++
				if n[1] != nil && *n[0] == *n[1] {
					sizes.right++
				}
			}
		}
		a := http[e.Trust]
		a.right += right
		a.expected += len(want)
		a.found += len(got)
		if right != len(want) || len(got) != len(want) {
			t.Logf("%-12s %s: %d expected, %d found, %d right", e.Trust, e.Pcap, len(want), len(got), right)
		}
		for _, s := range e.TLS {
			if e.Trust == "disputed" {
				continue
			}
			tls.expected++
			g, ok := gotTLS[fmt.Sprint(s.Src, s.Sport, s.Dst, s.Dport)]
			if !ok {
				t.Logf("%s: no TLS session %s:%d", e.Pcap, s.Src, s.Sport)
				continue
			}
			tls.right++
			for _, f := range []struct{ name, want, got string }{
				{"sni", s.SNI, g.SNI}, {"client_version", s.ClientVersion, g.ClientVersion}, {"ja3", s.JA3, g.JA3},
				{"server_version", s.ServerVersion, g.ServerVersion}, {"cipher_id", s.CipherID, g.CipherID},
				{"ja3s", s.JA3S, g.JA3S}, {"server_alpn", s.ServerALPN, g.ServerALPN},
				{"leaf_serial", s.LeafSerial, g.LeafSerial},
			} {
				if f.want == "" {
					continue // unknown, not empty
				}
				if fields[f.name] == nil {
					fields[f.name] = &tally{}
				}
				fields[f.name].expected++
				if f.want == f.got {
					fields[f.name].right++
				} else {
					t.Logf("%s: %s is %q, expected %q", e.Pcap, f.name, f.got, f.want)
				}
			}
		}
	}
	floor(t, "HTTP/1 recall, agreed", http["agreed"].recall(), 0.97)
	floor(t, "HTTP/1 precision, agreed", http["agreed"].precision(), 0.97)
	floor(t, "HTTP/1 recall, tshark-only", http["tshark-only"].recall(), 0.90)
	floor(t, "HTTP/1 precision, tshark-only", http["tshark-only"].precision(), 0.90)
	// zeek__ipv6-http-atomic-frag.pcap asks for "GET /bad.html" without a version
	// (frame 16 and its like) and is answered: HTTP/0.9, which is not HTTP/1.
	if n := http["negative"].found - http09; n != 0 {
		t.Errorf("%d transactions invented on captures without any", n)
	}
	floor(t, "HTTP/1 body sizes, agreed", sizes.recall(), 0.95)
	floor(t, "TLS sessions found", tls.recall(), 0.95)
	for name, f := range fields {
		floor(t, "TLS "+name, f.recall(), 0.95)
	}
}
