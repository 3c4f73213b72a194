//go:build conformance

package tls_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"plainsight/capture"
	"plainsight/capture/capturetest"
	"plainsight/capture/flow"
	"plainsight/capture/pcap"
	"plainsight/capture/tls"
)

// session is a TLS session as the shared corpus expects it.
type session struct {
	Src      string   `json:"src"`
	Sport    int      `json:"sport"`
	Dst      string   `json:"dst"`
	Dport    int      `json:"dport"`
	Hello    bool     `json:"client_hello"`
	Version  string   `json:"client_version"`
	Versions []string `json:"client_supported_versions"`
	ALPN     []string `json:"client_alpn"`
	Ciphers  int      `json:"client_ciphers"`
	SNI      string   `json:"sni"`
	JA3      string   `json:"ja3"`
	Chosen   string   `json:"server_version"`
	Cipher   string   `json:"cipher_id"`
	JA3S     string   `json:"ja3s"`
	Selected string   `json:"server_alpn"`
	Certs    int      `json:"certs"`
	Serial   string   `json:"leaf_serial"`
	Before   string   `json:"leaf_not_before"`
	After    string   `json:"leaf_not_after"`
	Alerts   []int    `json:"alerts"`
}

// TestCorpus reads the shared captures and compares their sessions: 99 % found,
// and each field right in 99 %.
func TestCorpus(t *testing.T) {
	shared := os.Getenv("PLAINSIGHT_SHARED")
	if shared == "" {
		t.Fatal("PLAINSIGHT_SHARED does not name the folder of the shared sets")
	}
	f, err := os.Open(filepath.Join(shared, "corpus", "expected.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var wanted, found, extra int
	right, of := map[string]int{}, map[string]int{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var file struct {
			Pcap, Trust string
			TLS         []session
		}
		if err := json.Unmarshal(lines.Bytes(), &file); err != nil {
			t.Fatal(err)
		}
		got := handshakes(t, filepath.Join(shared, "corpus", "pcap", file.Pcap))
		if file.Trust == "negative" && len(got) > 0 {
			t.Errorf("%s: invented %+v", file.Pcap, got[0])
		}
		for _, want := range file.TLS {
			wanted++
			key := fmt.Sprintf("%s:%d>%s:%d", want.Src, want.Sport, want.Dst, want.Dport)
			i := slices.IndexFunc(got, func(h capture.Handshake) bool { return name(&h) == key })
			if i < 0 {
				t.Logf("%s: %s not found: %+v", file.Pcap, key, want)
				continue
			}
			found++
			compare(&want, &got[i], func(field string, a, b any) {
				of[field]++
				if fmt.Sprint(a) == fmt.Sprint(b) {
					right[field]++
				} else {
					t.Logf("%s: %s: %s is %v, want %v", file.Pcap, key, field, b, a)
				}
			})
			got = slices.Delete(got, i, i+1)
		}
		extra += len(got)
		for i := range got {
			t.Logf("%s: not expected: %s %q %v", file.Pcap, name(&got[i]), got[i].SNI, got[i].Flaws.Names())
		}
	}
	t.Logf("%d sessions, %d found, %d more", wanted, found, extra)
	if float64(found) < 0.99*float64(wanted) {
		t.Errorf("%d of %d sessions found", found, wanted)
	}
	for field, n := range of {
		t.Logf("%-12s %d of %d", field, right[field], n)
		if float64(right[field]) < 0.99*float64(n) {
			t.Errorf("%s: right in %d of %d", field, right[field], n)
		}
	}
}

func name(h *capture.Handshake) string {
	return fmt.Sprintf("%s:%d>%s:%d", h.Conn.Client.Addr(), h.Conn.Client.Port(), h.Conn.Server.Addr(), h.Conn.Server.Port())
}

// compare shows the fields of which the expectation says something.
func compare(want *session, got *capture.Handshake, field func(name string, want, got any)) {
	hex := func(v uint16) string { return fmt.Sprintf("0x%04x", v) }
	if want.Version != "" {
		field("version", want.Version, hex(got.ClientVersion))
	}
	if want.Versions != nil {
		grease := func(s string) bool { return s[3] == 'a' && s[5] == 'a' && s[2] == s[4] }
		var have []string
		for _, v := range got.ClientVersions {
			have = append(have, hex(v))
		}
		field("versions", slices.DeleteFunc(want.Versions, grease), have)
	}
	if want.ALPN != nil {
		field("alpn", want.ALPN, got.ClientALPN)
	}
	if want.Hello {
		field("ciphers", want.Ciphers, len(got.ClientCiphers))
		field("sni", want.SNI, got.SNI)
	}
	if want.JA3 != "" {
		field("ja3", want.JA3, got.JA3)
	}
	if want.Chosen != "" {
		field("chosen", want.Chosen, hex(got.Version))
		field("cipher", want.Cipher, hex(got.Cipher))
		field("ja3s", want.JA3S, got.JA3S)
		field("selected", want.Selected, got.ALPN)
	}
	field("certs", want.Certs, got.Certificates)
	if want.Serial != "" && got.Leaf != nil {
		const layout = "2006-01-02 15:04:05 (UTC)"
		field("serial", want.Serial, got.Leaf.Serial)
		if strings.HasSuffix(want.Before, "(UTC)") { // tshark writes GeneralizedTime otherwise
			field("before", want.Before, got.Leaf.NotBefore.Format(layout))
			field("after", want.After, got.Leaf.NotAfter.Format(layout))
		}
	}
	field("alerts", len(want.Alerts), got.Alerts)
}

func handshakes(t *testing.T, path string) []capture.Handshake {
	src, err := pcap.Open(path, pcap.Options{})
	if err != nil {
		t.Logf("%s: %v", filepath.Base(path), err)
		return nil
	}
	defer src.Close()
	var r capturetest.Recorder
	o := flow.Options{Protocols: []capture.Protocol{tls.Protocol(tls.Options{})}}
	if _, err := flow.Run(context.Background(), src, 1, o, func(int) capture.Handler { return &r }); err != nil {
		t.Logf("%s: %v", filepath.Base(path), err)
	}
	return r.Handshakes
}
