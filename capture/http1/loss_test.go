//go:build conformance

package http1_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"plainsight/capture"
	"plainsight/capture/capturetest"
	"plainsight/capture/flow"
	"plainsight/capture/http1"
	"plainsight/capture/pcap"
	"plainsight/capture/tls"
)

// lossy is a source that loses packets.
type lossy struct {
	capture.Source
	r    *rand.Rand
	rate float64
}

func (s *lossy) Next(f *capture.Frame) error {
	for {
		if err := s.Source.Next(f); err != nil || s.r.Float64() >= s.rate {
			return err
		}
	}
}

// TestLossInventsNothing loses packets of the shared captures: no exchange comes
// out that does not come out without loss.
func TestLossInventsNothing(t *testing.T) {
	shared := os.Getenv("PLAINSIGHT_SHARED")
	if shared == "" {
		t.Fatal("PLAINSIGHT_SHARED does not name the folder of the shared sets")
	}
	files, _ := filepath.Glob(filepath.Join(shared, "corpus", "pcap", "*"))
	read := func(file string, rate float64, seed uint64) []capturetest.Exchange {
		src, err := pcap.Open(file, pcap.Options{})
		if err != nil {
			return nil
		}
		defer src.Close()
		var r capturetest.Recorder
		o := flow.Options{Protocols: []capture.Protocol{tls.Protocol(tls.Options{}), http1.Protocol(http1.Options{})}}
		source := &lossy{src, rand.New(rand.NewPCG(seed, 1)), rate}
		if _, err := flow.Run(context.Background(), source, 1, o, func(int) capture.Handler { return &r }); err != nil && err != io.EOF {
			return nil
		}
		return r.Exchanges
	}
	key := func(x *capturetest.Exchange) string {
		return fmt.Sprintf("%v %v %s %s %s %d", x.Conn.Client, x.Conn.Server, x.Method, x.Authority, x.Target, x.Status)
	}
	seen, invented := 0, 0
	for _, file := range files {
		whole := read(file, 0, 0)
		if len(whole) == 0 {
			continue
		}
		known := map[string]bool{}
		for i := range whole {
			x := &whole[i]
			known[key(x)] = true
			alone := *x
			alone.Status = 0
			known[key(&alone)] = true
			alone = *x
			alone.Method, alone.Authority, alone.Target = "", "", ""
			known[key(&alone)] = true
		}
		for seed := range uint64(4) {
			got := read(file, []float64{0.01, 0.05, 0.2, 0.5}[seed], seed)
			for i := range got {
				seen++
				if k := key(&got[i]); !known[k] {
					invented++
					t.Logf("%s at loss %d: %s; flaws %v %v", filepath.Base(file), seed, k, got[i].Request.Flaws.Names(), got[i].Response.Flaws.Names())
				}
			}
		}
	}
	t.Logf("%d of %d invented", invented, seen)
	if float64(invented) > 0.002*float64(seen) {
		t.Errorf("%d of %d invented", invented, seen)
	}
}
