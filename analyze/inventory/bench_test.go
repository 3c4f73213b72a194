package inventory

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"plainsight/analyze"
	"plainsight/capture"
)

// cpu is the processor time of this thread: on a shared machine wall time says
// little.
func cpu() time.Duration {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return time.Duration(t.Nano())
}

// listing is an answer with n things, as APIs list them.
func listing(r *rand.Rand, n int) string {
	words := strings.Fields("amber barrel basalt bell blanket bowl cedar chair clock dune ember fjord grove harbor kettle knife lamp mat shelf teapot")
	word := func() string { return words[r.IntN(len(words))] }
	var items []string
	for range n {
		note := "null"
		if r.IntN(2) == 0 {
			note = `"left at the door, as agreed with the neighbour"`
		}
		items = append(items, fmt.Sprintf(`{"id":%d,"uuid":"%08x-%04x-4%03x-a%03x-%012x","name":"%s %s","sku":"SK-%06d","price":%d.%02d,"in_stock":%v,"created_at":"2026-0%d-1%dT0%d:15:0%dZ","tags":["%s","%s"],"owner":{"id":%d,"display_name":"%s"},"url":"https://shop.example.org/things/%d","note":%s}`,
			r.IntN(1e6), r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Uint64()>>16, word(), word(), r.IntN(1e6), r.IntN(900), r.IntN(100), r.IntN(2) == 0,
			1+r.IntN(9), r.IntN(10), r.IntN(10), r.IntN(10), word(), word(), r.IntN(1e5), word(), r.IntN(1e6), note))
	}
	return `{"items":[` + strings.Join(items, ",") + `]}`
}

// BenchmarkListing is all of the analysis of answers of some 11 KB, so many that
// the processor cannot learn them by heart. It reports the best of many stretches,
// by processor time.
func BenchmarkListing(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w := New(Options{Key: analyze.Key{1}}).Worker(0).(*worker)
	r := rand.New(rand.NewPCG(1, 2))
	var list []*capture.Exchange
	var size int64
	for i := range uint64(1024) {
		x := talk(i, "10.0.0.5", "10.1.0.1:80", fmt.Sprintf("GET /api/v1/things?page=%d HTTP/1.1\nHost: shop.example.org\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\nAccept: application/json\nAuthorization: Bearer %s\n---\n200\nContent-Type: application/json\nServer: nginx\n\n%s", i, token, listing(r, 35)))
		size += x.Response.BodySize
		list = append(list, x)
	}
	all := func() {
		for _, x := range list {
			w.Exchange(x)
		}
	}
	all()
	all()
	b.SetBytes(size / int64(len(list)))
	b.ReportAllocs()
	least := time.Hour
	const stretch = 128 // exchanges
	i := 0
	start := cpu()
	for b.Loop() {
		w.Exchange(list[i%len(list)])
		if i++; i%stretch == 0 {
			at := cpu()
			least = min(least, at-start)
			start = at
		}
	}
	if least < time.Hour {
		b.ReportMetric(float64(size)/float64(len(list))*stretch/1e6/least.Seconds(), "MB/cpu-s")
	}
}
