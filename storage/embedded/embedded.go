// Package embedded runs ClickHouse's engine inside this process and lets
// clickhouse-go talk to it as to any server.
//
// The engine is chDB, a shared library (see [Release]) that is looked up and
// loaded when the first store is opened, never before: a program that needs no
// store needs no library. An [Engine] hands out connections ([Engine.Dial])
// whose other end speaks ClickHouse's native protocol, so that the same DDL,
// inserts and queries run on a laptop and on a cluster.
//
// The package knows no table of plainsight's. It is called by
// storage/clickhouse and by plainsight setup. Builds with the tag noembedded,
// and platforms without the library, answer [ErrPlatform]; a binary that can
// load the library is bound to glibc's dynamic loader, with and without cgo.
//
// Measured on 2 cores of Linux 6.18, engine 26.7.3: loading 0.1–0.25 s from
// the page cache, starting on an empty directory 0.1 s, a connection 0.3 ms,
// closing 4 ms; 198 MB resident after the start, 13 threads.
package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// What a caller may want to tell apart. They arrive wrapped with the path.
var (
	ErrMissing  = errors.New("the embedded engine is not installed")
	ErrPlatform = errors.New("this build has no embedded engine")
	ErrAbsent   = errors.New("there is no store")
	ErrBusy     = errors.New("the store is in use")
	ErrForeign  = errors.New("the directory holds other files and is no store")
	ErrPath     = errors.New("the store's path cannot be used")
)

// Options say how an engine is opened. The zero value opens what is there.
type Options struct {
	// Create makes the directory (mode 0700) where there is none.
	Create bool
	// Library is the path of libchdb.so; "" looks at the usual places.
	Library string
}

// lockName is the file that marks a directory as a store and is locked while
// a process has it open.
const lockName = "plainsight.lock"

// claim prepares the directory of a store and takes its lock.
func claim(path string, create bool) (*os.File, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist) && !create:
		return nil, fmt.Errorf("%w at %s", ErrAbsent, path)
	case errors.Is(err, os.ErrNotExist):
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPath, err)
		}
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrPath, err)
	case !info.IsDir():
		return nil, fmt.Errorf("%w: %s is a file, a store is a directory", ErrPath, path)
	}

	name := filepath.Join(path, lockName)
	if _, err := os.Stat(name); errors.Is(err, os.ErrNotExist) {
		entries, err := os.ReadDir(path)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: %w", ErrPath, err)
		case len(entries) > 0:
			return nil, fmt.Errorf("%s: %w", path, ErrForeign)
		case !create:
			return nil, fmt.Errorf("%w at %s", ErrAbsent, path)
		}
	}
	lock, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPath, err)
	}
	if err := flock(lock); err != nil {
		defer lock.Close()
		owner := make([]byte, 32)
		n, _ := lock.ReadAt(owner, 0)
		return nil, fmt.Errorf("%s: %w by process %s", path, ErrBusy, digits(owner[:n]))
	}
	lock.Truncate(0)
	fmt.Fprintf(lock, "%d\n", os.Getpid())
	return lock, nil
}

// digits returns the decimal number at the start of b, for a message.
func digits(b []byte) string {
	n := 0
	for n < len(b) && '0' <= b[n] && b[n] <= '9' {
		n++
	}
	if n == 0 {
		return "unknown"
	}
	return string(b[:n])
}

// DefaultPath is where the store of this user lies:
// $XDG_DATA_HOME/plainsight/store, else ~/.local/share/plainsight/store.
func DefaultPath() (string, error) {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "plainsight", "store"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no place for a store: %w", err)
	}
	return filepath.Join(home, ".local", "share", "plainsight", "store"), nil
}
