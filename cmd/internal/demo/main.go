// Command demo writes the capture of the demo: a small shop's API in the clear
// and over TLS. make demo runs it.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"plainsight/cmd/internal/pcapgen"
)

func main() {
	out := flag.String("o", "build/shop.pcap", "the capture to write")
	flag.Parse()
	if err := write(*out); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func write(name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := pcapgen.Shop(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
