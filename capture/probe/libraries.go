//go:build linux

package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"plainsight/bpf"
)

// Readable is a file that holds a TLS library, and whether what passes through it
// can be read.
type Readable struct {
	Path    string // as a process sees it
	Library string // "" where none is known
	PID     uint32 // the process that it was found in; 0: on the disk
	Err     error  // why it cannot be read; nil: it is
}

// libraries keeps the files that were looked into, each once, however many
// processes run it.
type libraries struct {
	sockets *bpf.Sockets // nil: looked at, and not attached to
	allowed func(path string) bool
	most    float64 // calls a second of one file, on average since the last look; 0: no bound

	sync.Mutex
	files  map[fileID]*file
	number int
	pids   map[pid]int     // how often each process was looked at
	again  map[uint32]bool // processes that speak TLS: to be looked at at once
	mute   map[string]bool // executables that speak TLS which is not read
	wake   chan struct{}
}

type fileID struct{ device, inode uint64 }

type file struct {
	Readable
	number   int
	detach   io.Closer
	hits     uint64
	measured time.Time
}

type pid struct {
	number uint32
	start  string // time of its start: numbers come again
}

const (
	maxFiles  = bpf.Files
	maxMaps   = 8 << 20 // bytes of a process' list of mappings
	maxLooks  = 3       // at a process: libraries may be loaded late
	maxMute   = 256
	lookEvery = 2 * time.Second
)

func newLibraries(s *bpf.Sockets, most float64, allowed func(string) bool) *libraries {
	if allowed == nil {
		allowed = func(string) bool { return true }
	}
	return &libraries{sockets: s, most: most, allowed: allowed, files: map[fileID]*file{}, pids: map[pid]int{}, again: map[uint32]bool{}, mute: map[string]bool{}, wake: make(chan struct{}, 1)}
}

// usual is where distributions keep the libraries: they are attached to before
// anybody runs them, so that the first request of a short-lived process is seen.
var usual = []string{
	"/lib/*/libssl.so.*", "/usr/lib/*/libssl.so.*", "/usr/lib64/libssl.so.*", "/usr/lib/libssl.so.*", "/lib/libssl.so.*",
	"/lib/*/libgnutls.so.*", "/usr/lib/*/libgnutls.so.*", "/usr/lib64/libgnutls.so.*", "/usr/lib/libgnutls.so.*",
}

// run looks for libraries until ctx is done, and detaches from all then.
func (l *libraries) run(ctx context.Context) {
	defer l.close()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		l.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.guard(time.Now())
		case <-l.wake:
		}
	}
}

func (l *libraries) close() {
	l.Lock()
	defer l.Unlock()
	for _, f := range l.files {
		if f.detach != nil {
			f.detach.Close()
		}
	}
}

// speaks says that a process was seen to speak TLS.
func (l *libraries) speaks(pid uint32) {
	l.Lock()
	l.again[pid] = true
	l.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// standing attaches to the libraries of this host's own file system.
func (l *libraries) standing() {
	for _, pattern := range usual {
		names, err := filepath.Glob(pattern)
		if err != nil {
			continue
		}
		for _, name := range names {
			l.consider(name, Readable{Path: name})
		}
	}
}

// look looks at the processes that are new, or speak TLS.
func (l *libraries) look(ctx context.Context) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	alive := map[pid]bool{}
	for _, e := range entries {
		n, err := strconv.ParseUint(e.Name(), 10, 32)
		if err != nil || ctx.Err() != nil {
			continue
		}
		p := pid{uint32(n), started(uint32(n))}
		alive[p] = true
		l.Lock()
		asked := l.again[p.number]
		delete(l.again, p.number)
		due := l.pids[p] < maxLooks || asked
		if due {
			l.pids[p]++
		}
		l.Unlock()
		if due && p.number != uint32(os.Getpid()) {
			found := l.process(p.number)
			if asked && !found {
				l.unreadable(p.number)
			}
		}
	}
	l.Lock()
	maps.DeleteFunc(l.pids, func(p pid, _ int) bool { return !alive[p] })
	clear(l.again)
	l.Unlock()
}

// started is when a process began, in the kernel's ticks (proc(5), stat, 22).
func started(pid uint32) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	after := strings.LastIndex(string(b), ") ") + 1 // the name before it may hold anything
	if fields := strings.Fields(string(b)[after:]); len(fields) > 19 {
		return fields[19]
	}
	return ""
}

// process looks into the files that a process runs. It reports whether one of
// them holds a library that is read.
func (l *libraries) process(pid uint32) (found bool) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return false
	}
	defer f.Close()
	root := fmt.Sprintf("/proc/%d/root", pid)
	exe := fmt.Sprintf("/proc/%d/exe", pid)
	self, _ := os.Readlink(exe)
	if self == "" {
		return false // a thread of the kernel
	}
	found = l.consider(exe, Readable{Path: self, PID: pid})
	seen := map[string]bool{}
	lines := bufio.NewScanner(io.LimitReader(f, maxMaps))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || !strings.Contains(fields[1], "x") || !strings.HasPrefix(fields[5], "/") || seen[fields[5]] {
			continue
		}
		seen[fields[5]] = true
		if name := filepath.Base(fields[5]); strings.HasPrefix(name, "libssl") || strings.HasPrefix(name, "libgnutls") {
			if l.consider(root+fields[5], Readable{Path: fields[5], PID: pid}) {
				found = true
			}
		}
	}
	return found
}

// consider looks into a file, if that was not done yet, and attaches to it. It
// reports whether it is read.
func (l *libraries) consider(name string, r Readable) bool {
	if !l.allowed(r.Path) {
		return false
	}
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	id := fileID{uint64(stat.Dev), stat.Ino}
	l.Lock()
	defer l.Unlock()
	if known := l.files[id]; known != nil {
		return known.Err == nil
	}
	if len(l.files) >= maxFiles*4 {
		return false
	}
	k := &file{Readable: r, number: l.number, measured: time.Now()}
	l.files[id] = k
	lib, err := inspect(f)
	if err != nil {
		k.Err = err
		return false
	}
	k.Library = lib.name
	if l.number >= maxFiles {
		k.Err = fmt.Errorf("more than %d files", maxFiles)
		return false
	}
	l.number++
	if l.sockets != nil {
		k.detach, k.Err = l.sockets.AttachTLS(name, k.number, lib.points)
	}
	return k.Err == nil
}

// Survey looks for the TLS libraries that the processes of this host run, and
// attaches to none.
func Survey(ctx context.Context) []Readable {
	l := newLibraries(nil, 0, nil)
	l.standing()
	l.look(ctx)
	found, _ := l.list()
	return found
}

// unreadable notes that a process speaks TLS which is not read.
func (l *libraries) unreadable(pid uint32) {
	name, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return
	}
	l.Lock()
	defer l.Unlock()
	if len(l.mute) < maxMute {
		l.mute[name] = true
	}
}

// errTooOften is why a file is not read any more.
var errTooOften = errors.New("its functions were called too often: reading them would cost too much")

// guard detaches from files whose functions are called too often.
func (l *libraries) guard(now time.Time) {
	l.Lock()
	defer l.Unlock()
	for _, f := range l.files {
		if f.detach == nil || l.most <= 0 {
			continue
		}
		hits, err := l.sockets.Hits(f.number)
		if err != nil {
			continue
		}
		rate := float64(hits-f.hits) / max(1, now.Sub(f.measured).Seconds())
		f.hits, f.measured = hits, now
		if rate > l.most {
			f.detach.Close()
			f.detach, f.Err = nil, errTooOften
		}
	}
}

// list is what was found: files with a library, and executables that speak TLS
// without one that is known.
func (l *libraries) list() (files []Readable, unreadable []string) {
	l.Lock()
	defer l.Unlock()
	for _, f := range l.files {
		if f.Library != "" {
			files = append(files, f.Readable)
		}
	}
	slices.SortFunc(files, func(a, b Readable) int { return strings.Compare(a.Path, b.Path) })
	return files, slices.Sorted(maps.Keys(l.mute))
}
