//go:build conformance

package http1_test

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
	"plainsight/capture/http1"
	"plainsight/capture/pcap"
	"plainsight/capture/tls"
)

// transaction is one as the shared corpus expects it.
type transaction struct {
	Proto         string       `json:"proto"`
	Src           string       `json:"src"`
	Sport         int          `json:"sport"`
	Dst           string       `json:"dst"`
	Dport         int          `json:"dport"`
	Method        string       `json:"method"`
	Host          string       `json:"host"`
	URI           string       `json:"uri"`
	Status        int          `json:"status"`
	RequestBody   *int64       `json:"req_body_len"`
	ResponseBody  *int64       `json:"resp_body_len"`
	Decoded       *int64       `json:"resp_body_decoded_len"`
	RequestLength *json.Number `json:"req_content_length"`
	Length        *json.Number `json:"resp_content_length"`
	Chunked       *bool        `json:"resp_chunked"`
	Interim       []int        `json:"interim"`
	Reason        string       `json:"reason"`
}

func (x *transaction) key() string {
	return fmt.Sprintf("%s:%d>%s:%d %s %s %s %d", x.Src, x.Sport, x.Dst, x.Dport, x.Method, x.Host, x.URI, x.Status)
}

// TestCorpus reads the shared captures: of the transactions in the agreed ones
// 99.5 % are found and 99.5 % of what is found is there, and nothing comes out
// of those without HTTP.
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
	type score struct{ want, found, extra int }
	scores := map[string]*score{}
	right, of := map[string]int{}, map[string]int{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var file struct {
			Pcap, Trust string
			HTTP        []transaction
		}
		if err := json.Unmarshal(lines.Bytes(), &file); err != nil {
			t.Fatal(err)
		}
		s := scores[file.Trust]
		if s == nil {
			s = new(score)
			scores[file.Trust] = s
		}
		got := map[string][]capturetest.Exchange{}
		for _, x := range exchanges(t, filepath.Join(shared, "corpus", "pcap", file.Pcap)) {
			k := (&transaction{
				Src: x.Conn.Client.Addr().String(), Sport: int(x.Conn.Client.Port()), Dst: x.Conn.Server.Addr().String(), Dport: int(x.Conn.Server.Port()),
				Method: x.Method, Host: x.Authority, URI: x.Target, Status: x.Status,
			}).key()
			got[k] = append(got[k], x)
		}
		// Those with a status first: the others take what is left.
		slices.SortStableFunc(file.HTTP, func(a, b transaction) int { return b.Status - a.Status })
		for _, want := range file.HTTP {
			if want.Proto == "HTTP/2" {
				continue
			}
			s.want++
			k := want.key()
			if len(got[k]) == 0 { // what is absent is unknown
				for have, list := range got {
					if len(list) > 0 {
						x, guess := list[0], want
						if want.Host == "" {
							guess.Host = x.Authority
						}
						if want.Status == 0 {
							guess.Status = x.Status
						}
						if guess.key() == have {
							k = have
						}
					}
				}
			}
			if len(got[k]) == 0 {
				t.Logf("%s (%s): not found: %s", file.Pcap, file.Trust, k)
				continue
			}
			s.found++
			x := got[k][0]
			got[k] = got[k][1:]
			compare(&want, &x, func(field string, want, got any) {
				of[field]++
				if want == got {
					right[field]++
				} else {
					t.Logf("%s (%s): %s: %s is %v, want %v; flaws %v %v", file.Pcap, file.Trust, k, field, got, want,
						x.Request.Flaws.Names(), x.Response.Flaws.Names())
				}
			})
		}
		for k, list := range got {
			for _, x := range list {
				s.extra++
				t.Logf("%s (%s): not expected: %s; flaws %v %v", file.Pcap, file.Trust, k, x.Request.Flaws.Names(), x.Response.Flaws.Names())
			}
		}
	}
	for trust, s := range scores {
		t.Logf("%s: %d transactions, %d found, %d more", trust, s.want, s.found, s.extra)
	}
	if s := scores["agreed"]; float64(s.found) < 0.995*float64(s.want) || float64(s.extra) > 0.005*float64(s.found) {
		t.Errorf("agreed: %+v", *s)
	}
	if s := scores["negative"]; s.extra > 0 {
		t.Errorf("%d invented", s.extra)
	}
	for field, n := range of {
		t.Logf("%-16s %d of %d", field, right[field], n)
		if float64(right[field]) < 0.99*float64(n) {
			t.Errorf("%s: right in %d of %d", field, right[field], n)
		}
	}
}

func compare(want *transaction, got *capturetest.Exchange, field func(name string, want, got any)) {
	size := func(name string, want *int64, got int64) {
		if want != nil {
			field(name, *want, got)
		}
	}
	length := func(name string, want *json.Number, got int64) {
		if want == nil {
			return
		}
		if n, err := want.Int64(); err == nil {
			field(name, n, got)
		} else {
			field(name, int64(-1), got)
		}
	}
	if got.Request.Seen {
		size("request body", want.RequestBody, got.Request.BodySize)
		length("request length", want.RequestLength, got.Request.ContentLength)
	}
	if got.Response.Seen {
		size("response body", want.ResponseBody, got.Response.BodySize)
		size("response decoded", want.Decoded, got.Response.DecodedSize)
		length("response length", want.Length, got.Response.ContentLength)
		if want.Reason != "" {
			field("reason", strings.TrimSpace(want.Reason), strings.TrimSpace(got.Reason))
		}
	}
	if want.Chunked != nil {
		field("chunked", *want.Chunked, got.Response.Chunked)
	}
	if want.Proto != "" && got.Request.Seen {
		field("proto", want.Proto, string(got.Request.Proto))
	}
	field("interim", fmt.Sprint(want.Interim), fmt.Sprint(got.Interim))
}

func exchanges(t *testing.T, path string) []capturetest.Exchange {
	src, err := pcap.Open(path, pcap.Options{})
	if err != nil {
		t.Logf("%s: %v", filepath.Base(path), err)
		return nil
	}
	defer src.Close()
	var r capturetest.Recorder
	o := flow.Options{Protocols: []capture.Protocol{tls.Protocol(tls.Options{}), http1.Protocol(http1.Options{})}}
	if _, err := flow.Run(context.Background(), src, 1, o, func(int) capture.Handler { return &r }); err != nil {
		t.Logf("%s: %v", filepath.Base(path), err)
	}
	return r.Exchanges
}
