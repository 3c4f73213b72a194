// Command benchstore measures the store on the real engine: what a row costs
// the writer, what it takes up on disk beside a table as OpenTelemetry has it,
// how long the named queries take over many calls, and how an engine stands a
// hundred agents at once. make bench-store runs it.
//
// The engine is a child process, so that the processor time of the writer is
// the writer's alone.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	store "plainsight/storage/clickhouse"
	"plainsight/storage/embedded"
)

// engineAt is the variable that makes this program the engine.
const engineAt = "PLAINSIGHT_BENCH_ENGINE"

const password = "of this run"

func main() {
	log.SetFlags(0)
	if path := os.Getenv(engineAt); path != "" {
		if err := serve(path); err != nil {
			log.Fatal(err)
		}
		return
	}
	rows := flag.Int("rows", 2_000_000, "calls to write, for what a row costs")
	many := flag.Int("many", 5_000_000, "calls to ask, made in the engine")
	agents := flag.Int("agents", 100, "agents at once")
	lasting := flag.Duration("lasting", 30*time.Second, "how long they write")
	dir := flag.String("dir", "build/_bench", "where the store lies while this runs; a name that go build ./... leaves alone")
	flag.Parse()
	if err := measure(*dir, *rows, *many, *agents, *lasting); err != nil {
		log.Fatal(err)
	}
}

func measure(dir string, rows, many, agents int, lasting time.Duration) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	path, err := os.MkdirTemp(dir, "store-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(path)
	b, err := start(filepath.Join(path, "store"))
	if err != nil {
		return err
	}
	defer b.stop()
	for _, part := range []func(context.Context) error{
		func(ctx context.Context) error { return b.writer(ctx, rows) },
		func(ctx context.Context) error { return b.agents(ctx, agents, lasting) },
		func(ctx context.Context) error { return b.queries(ctx, many) },
	} {
		if err := part(context.Background()); err != nil {
			return err
		}
	}
	return nil
}

// bench is an engine and a connection to it.
type bench struct {
	addr   string
	engine *exec.Cmd
	stdin  io.Closer
	db     driver.Conn
}

// serve runs the engine until standard input ends.
func serve(path string) error {
	engine, err := embedded.Open(path, embedded.Options{Create: true})
	if err != nil {
		return err
	}
	defer engine.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	fmt.Println(l.Addr())
	return engine.Serve(ctx, l, password)
}

func start(path string) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	b := &bench{engine: exec.Command(self)}
	b.engine.Env = append(os.Environ(), engineAt+"="+path)
	b.engine.Stderr = os.Stderr
	if b.stdin, err = b.engine.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := b.engine.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := b.engine.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.stop()
		return nil, fmt.Errorf("the engine did not start: %w", err)
	}
	b.addr = strings.TrimSpace(line)
	b.db, err = clickhouse.Open(&clickhouse.Options{Addr: []string{b.addr}, Auth: clickhouse.Auth{Password: password, Database: ""},
		ReadTimeout: 2 * time.Hour, Settings: clickhouse.Settings{"max_memory_usage": 8 << 30, "max_execution_time": 7200}})
	return b, err
}

func (b *bench) stop() {
	if b.db != nil {
		b.db.Close()
	}
	b.stdin.Close()
	_ = b.engine.Wait()
}

// open opens the database of that name as a store.
func (b *bench) open(ctx context.Context, database string) (*store.Store, error) {
	if err := os.Setenv("CLICKHOUSE_PASSWORD", password); err != nil {
		return nil, err
	}
	return store.Open(ctx, store.Options{Store: "clickhouse://" + b.addr + "/" + database, Create: true, MaxTime: 10 * time.Minute, MaxMemory: 8 << 30})
}

// one asks for numbers.
func (b *bench) one(ctx context.Context, sql string, into ...any) error {
	return b.db.QueryRow(ctx, sql).Scan(into...)
}

// used is the processor time of this process so far.
func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// engineUsed is that of the engine, and its resident memory in MiB.
func (b *bench) engineUsed() (cpu time.Duration, resident int64) {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.engine.Process.Pid))
	if _, rest, ok := strings.Cut(string(stat), ") "); ok {
		f := strings.Fields(rest)
		var user, system, pages int64
		_, _ = fmt.Sscan(f[11], &user)
		_, _ = fmt.Sscan(f[12], &system)
		_, _ = fmt.Sscan(f[21], &pages)
		return time.Duration(user+system) * 10 * time.Millisecond, pages >> 8
	}
	return 0, 0
}
