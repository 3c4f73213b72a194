package clickhouse

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"plainsight/analyze"
	"plainsight/storage/embedded/embeddedtest"
)

// traffic makes n calls that look like an API's, always the same.
func traffic(n int) []analyze.Call {
	r := rand.New(rand.NewPCG(1, 2))
	at := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	calls := make([]analyze.Call, n)
	kinds := [][]string{nil, nil, nil, {"email"}, {"email", "phone"}}
	for i := range calls {
		at = at.Add(time.Duration(r.IntN(4_000_000)))
		endpoint := r.IntN(200)
		calls[i] = analyze.Call{
			Time: at, Conn: uint64(i / 20), Frame: uint64(i * 7),
			Client: fmt.Sprintf("10.0.%d.%d", r.IntN(8), r.IntN(250)), Server: fmt.Sprintf("10.1.0.%d:8080", endpoint%12),
			Service: fmt.Sprintf("service-%d.shop.example", endpoint%12), Method: [...]string{"GET", "GET", "POST", "PUT"}[endpoint%4],
			Template: fmt.Sprintf("/api/v1/things-%d/{id}/parts/{part}", endpoint), Status: [...]int{200, 200, 200, 201, 404, 500}[r.IntN(6)],
			Wire: analyze.Plaintext, Auth: "bearer", Principal: fmt.Sprintf("%024x", r.IntN(3000)),
			Request: int64(r.IntN(500)), Response: int64(r.IntN(20_000)), Latency: time.Duration(r.IntN(200_000_000)),
			Sensitive: kinds[r.IntN(len(kinds))],
		}
	}
	return calls
}

// BenchmarkCalls writes calls into the embedded engine. One operation is a
// batch; CPU counts both sides, the engine's threads too.
func BenchmarkCalls(b *testing.B) {
	embeddedtest.Require(b)
	ctx := context.Background()
	s, err := Open(ctx, Options{Store: b.TempDir() + "/store", Create: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	w, err := s.Begin(ctx)
	if err != nil {
		b.Fatal(err)
	}
	calls := traffic(s.options.BatchRows)
	before := cpu()
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Calls(ctx, calls); err != nil {
			b.Fatal(err)
		}
	}
	rows := float64(b.N) * float64(len(calls))
	b.ReportMetric(rows/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(rows/(cpu()-before).Seconds(), "rows/cpu-s")
	b.ReportMetric(float64(resident())/(1<<20), "peak-MiB")
	if err := w.Commit(ctx, &analyze.Snapshot{}); err != nil {
		b.Fatal(err)
	}
	var bytes, n uint64
	if err := s.write.QueryRow(ctx, "SELECT sum(data_compressed_bytes), sum(rows) FROM system.parts WHERE active AND table = 'calls'").Scan(&bytes, &n); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(bytes)/float64(n), "disk-B/row")
}

// BenchmarkQueries asks the named questions of a million calls.
func BenchmarkQueries(b *testing.B) {
	embeddedtest.Require(b)
	ctx := context.Background()
	s, err := Open(ctx, Options{Store: b.TempDir() + "/store", Create: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	w, err := s.Begin(ctx)
	if err != nil {
		b.Fatal(err)
	}
	if err := w.Calls(ctx, traffic(1_000_000)); err != nil {
		b.Fatal(err)
	}
	if err := w.Commit(ctx, shop("a")); err != nil {
		b.Fatal(err)
	}
	for _, q := range Queries {
		b.Run(q.Name, func(b *testing.B) {
			for b.Loop() {
				rows, err := s.Query(ctx, q.SQL)
				if err != nil {
					b.Fatal(err)
				}
				for rows.Next() {
				}
				if err := rows.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident is the peak of this process's resident memory in bytes.
func resident() (kib uint64) {
	status, _ := os.ReadFile("/proc/self/status")
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	_, _ = fmt.Sscan(after, &kib)
	return kib << 10
}
