package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"plainsight/cmd/internal/pcapgen"
)

// BenchmarkRead reads captures of each kind, with and without analysis. The
// compiler optimises by its profile: see make profile.
func BenchmarkRead(b *testing.B) {
	for _, c := range []struct {
		name string
		load pcapgen.Load
	}{
		{"http1", pcapgen.Load{Open: 200, Uses: 100, MinBody: 200, MaxBody: 20000}},
		{"lossy", pcapgen.Load{Open: 200, Uses: 100, MinBody: 200, MaxBody: 20000, Loss: 0.001}},
		{"short", pcapgen.Load{Open: 500, Uses: 1, MinBody: 100, MaxBody: 4000}},
		{"h2c", pcapgen.Load{Protocol: pcapgen.H2C, Open: 50, Uses: 200, MinBody: 200, MaxBody: 4000}},
		{"grpc", pcapgen.Load{Protocol: pcapgen.GRPC, Open: 50, Uses: 200, MinBody: 50, MaxBody: 2000}},
	} {
		b.Run(c.name, func(b *testing.B) {
			c.load.Bytes, c.load.Seed = 20e6, 1
			name := filepath.Join(b.TempDir(), c.name+".pcap")
			f, err := os.Create(name)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			made, err := c.load.Write(f)
			if err != nil {
				b.Fatal(err)
			}
			for _, analysis := range []string{"--no-analysis=false", "--no-analysis"} {
				b.Run(analysis, func(b *testing.B) {
					b.SetBytes(made.Bytes)
					for b.Loop() {
						args := []string{"read", name, "--format", "none", "--exchanges", os.DevNull, "--shards", "1", analysis}
						if code := run(context.Background(), args, nil, io.Discard, os.Stderr); code != exitDone {
							b.Fatalf("exit code %d", code)
						}
					}
				})
			}
		})
	}
}
