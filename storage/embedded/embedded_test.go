//go:build linux && (amd64 || arm64) && !noembedded

package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"plainsight/storage/embedded"
	"plainsight/storage/embedded/embeddedtest"
)

// client reaches the engine in a child process over loopback; compressed says
// whether blocks are.
func client(t *testing.T, s *embeddedtest.Server, compressed bool) driver.Conn {
	t.Helper()
	o := &clickhouse.Options{Addr: []string{s.Addr}, Auth: clickhouse.Auth{Password: s.Password}}
	if compressed {
		o.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
		o.MaxCompressionBuffer = 1 << 16 // so that a block comes in many pieces
	}
	return connect(t, o)
}

// inside reaches an engine in this process.
func inside(t *testing.T, e *embedded.Engine) driver.Conn {
	t.Helper()
	return connect(t, &clickhouse.Options{Addr: []string{"pipe"},
		DialContext: func(ctx context.Context, _ string) (net.Conn, error) { return e.Dial(ctx) }})
}

func connect(t *testing.T, o *clickhouse.Options) driver.Conn {
	t.Helper()
	c, err := clickhouse.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func exec(t *testing.T, c driver.Conn, sql string) {
	t.Helper()
	if err := c.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func number(t *testing.T, c driver.Conn, sql string) (n uint64) {
	t.Helper()
	if err := c.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// code returns the code of the exception that a statement ends with.
func code(t *testing.T, c driver.Conn, sql string, settings clickhouse.Settings) int32 {
	t.Helper()
	rows, err := c.Query(clickhouse.Context(t.Context(), clickhouse.WithSettings(settings)), sql)
	if err == nil {
		for rows.Next() {
		}
		err = rows.Err()
		rows.Close()
	}
	var e *clickhouse.Exception
	if err != nil && !errors.As(err, &e) {
		t.Fatalf("%s: %v is no exception", sql, err)
	}
	if e == nil {
		return 0
	}
	return e.Code
}

type row struct {
	N    uint64            `ch:"n"`
	Few  string            `ch:"few"`
	List []string          `ch:"list"`
	Deep [][]string        `ch:"deep"`
	Map  map[string]uint64 `ch:"map"`
	Text string            `ch:"text"`
	Null *string           `ch:"may"`
	Lown *string           `ch:"lown"`
	At   time.Time         `ch:"at"`
	Kind string            `ch:"kind"`
	Yes  bool              `ch:"yes"`
	IP   net.IP            `ch:"ip"`
	Fix  string            `ch:"fix"`
}

const rowTable = `(n UInt64, few LowCardinality(String), list Array(LowCardinality(String)), deep Array(Array(String)),
	map Map(LowCardinality(String), UInt64), text String, may Nullable(String), lown LowCardinality(Nullable(String)), at DateTime64(6, 'UTC'),
	kind Enum8('a, b' = 1, 'c)\'' = 2), yes Bool, ip IPv6, fix FixedString(3)) ENGINE = MergeTree ORDER BY n`

func rowAt(i int) row {
	text := strings.Repeat("x\x00'", i%50)
	r := row{N: uint64(i), Few: fmt.Sprint(i % 1000), List: []string{"a", fmt.Sprint(i % 300)}, Deep: [][]string{{}, {text}},
		Map: map[string]uint64{fmt.Sprint(i % 7): uint64(i)}, Text: text, At: time.UnixMicro(int64(i) * 1e6).UTC(), Kind: "c)'",
		Yes: i%2 == 0, IP: net.ParseIP("2001:db8::1"), Fix: "abc"}
	if i%3 == 0 {
		r.Null, r.Lown = &text, &text
	}
	return r
}

// Rows of every shape go in and come out as they were, through the pipe and
// through a socket, compressed or not.
func TestRowsComeBack(t *testing.T) {
	server := embeddedtest.Start(t, filepath.Join(t.TempDir(), "store"))
	engine, err := embedded.Open(filepath.Join(t.TempDir(), "inside"), embedded.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	for name, c := range map[string]driver.Conn{
		"socket": client(t, server, false), "socket lz4": client(t, server, true), "pipe": inside(t, engine),
	} {
		t.Run(name, func(t *testing.T) {
			exec(t, c, "DROP TABLE IF EXISTS rows")
			exec(t, c, "CREATE TABLE rows "+rowTable)
			const n = 70_000 // more than an index of two bytes can count
			batch, err := c.PrepareBatch(t.Context(), "INSERT INTO rows (n, few, list, deep, map, text, may, lown, at, kind, yes, ip, fix)")
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				r := rowAt(i)
				if err := batch.AppendStruct(&r); err != nil {
					t.Fatal(err)
				}
			}
			if err := batch.Send(); err != nil {
				t.Fatal(err)
			}
			rows, err := c.Query(t.Context(), "SELECT * FROM rows ORDER BY n")
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			i := 0
			for ; rows.Next(); i++ {
				var got row
				if err := rows.ScanStruct(&got); err != nil {
					t.Fatal(err)
				}
				if want := rowAt(i); !reflect.DeepEqual(got, want) {
					t.Fatalf("row %d:\n got %+v\nwant %+v", i, got, want)
				}
			}
			if err := rows.Err(); err != nil || i != n {
				t.Fatalf("%d rows of %d: %v", i, n, err)
			}
		})
	}
}

func TestStatements(t *testing.T) {
	c := client(t, embeddedtest.Start(t, filepath.Join(t.TempDir(), "store")), false)
	exec(t, c, "CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a")
	exec(t, c, "INSERT INTO t (a) VALUES (1), (2)")
	exec(t, c, "INSERT INTO t SELECT number, 'x' FROM numbers(3)")
	if n := number(t, c, "SELECT count() FROM t"); n != 5 {
		t.Errorf("%d rows", n)
	}
	// An answer without rows has columns.
	rows, err := c.Query(t.Context(), "SELECT a, b AS c FROM t WHERE a > 100")
	if err != nil {
		t.Fatal(err)
	}
	if got := rows.Columns(); rows.Next() || !reflect.DeepEqual(got, []string{"a", "c"}) || rows.ColumnTypes()[0].DatabaseTypeName() != "UInt64" {
		t.Errorf("columns of an empty answer: %v", got)
	}
	rows.Close()

	for sql, want := range map[string]int32{
		"SELECT 1":                    0,
		"SELECT a FROM t FORMAT JSON": 0, // the format is the client's matter
		"SHOW TABLES":                 0,
		"SHOW TABLES LIKE 'none'":     0,
		"EXPLAIN SELECT 1":            0,
		"SELEC 1":                     62,
		"SELECT nope":                 47,
		"SELECT * FROM nope":          60,
		"SELECT 1; SELECT 2":          62,
		"SELECT throwIf(number = 100000) FROM numbers(200000)": 395, // after rows were sent
		"INSERT INTO nope (a) FORMAT Native":                   60,
		"SELECT 'it''s; -- fine'":                              0,
		"SELECT CAST('{\"a\":1}' AS JSON)":                     0, // a type that cannot be walked
	} {
		if strings.Contains(sql, "AS JSON") {
			continue // the client of this revision cannot read it; see TestTypesThatCannotBeWalked
		}
		if got := code(t, c, sql, nil); got != want {
			t.Errorf("%s: code %d, want %d", sql, got, want)
		}
		if err := c.Ping(t.Context()); err != nil {
			t.Fatalf("after %s: %v", sql, err)
		}
	}
}

func TestSettingsHoldForOneQuery(t *testing.T) {
	server := embeddedtest.Start(t, filepath.Join(t.TempDir(), "store"))
	c := connect(t, &clickhouse.Options{Addr: []string{server.Addr}, Auth: clickhouse.Auth{Password: server.Password}, MaxOpenConns: 1})
	exec(t, c, "CREATE TABLE t (a UInt64) ENGINE = Memory")
	ask := func(settings clickhouse.Settings) (n uint64) {
		t.Helper()
		ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(settings))
		if err := c.QueryRow(ctx, "SELECT toUInt64(getSetting('max_block_size'))").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	usual := ask(nil)
	if got := ask(clickhouse.Settings{"max_block_size": 77}); got != 77 {
		t.Errorf("the setting is %d", got)
	}
	if got := ask(nil); got != usual {
		t.Errorf("the setting stayed: %d", got)
	}
	readOnly := clickhouse.Settings{"readonly": 1, "max_block_size": 88}
	if got := ask(readOnly); got != 88 {
		t.Errorf("the setting of a read-only query is %d", got)
	}
	for sql, want := range map[string]int32{
		"SELECT 1": 0, "INSERT INTO t VALUES (1)": 164, "INSERT INTO t (a) FORMAT Native": 164, "DROP TABLE t": 164, "KILL QUERY WHERE 1": 164,
		"SELECT 1 INTO OUTFILE '/dev/null'": 164, "SET readonly = 0": 164, "SELECT 1 SETTINGS max_block_size = 1": 164, "USE system": 164,
	} {
		if got := code(t, c, sql, readOnly); got != want {
			t.Errorf("read-only: %s: code %d, want %d", sql, got, want)
		}
	}
	exec(t, c, "INSERT INTO t VALUES (1)") // the same connection, not read-only any more
	if got := ask(nil); got != usual {
		t.Errorf("the setting stayed: %d", got)
	}
	if got := code(t, c, "SELECT 1", clickhouse.Settings{"no_such_setting": 1}); got != 115 {
		t.Errorf("an unknown setting: code %d", got)
	}
	if got := code(t, c, "SELECT 1", clickhouse.Settings{"max_block_size = 1; DROP TABLE t; SET max_threads": 1}); got != 62 {
		t.Errorf("a setting that is SQL: code %d", got)
	}
	if got := code(t, c, "SELECT 1", clickhouse.Settings{"max_block_size": "'1; DROP TABLE t"}); got == 0 {
		t.Error("a setting's value that is SQL was taken")
	}
	if n := number(t, c, "SELECT count() FROM t"); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func TestInsertIsAllOrNothing(t *testing.T) {
	c := client(t, embeddedtest.Start(t, filepath.Join(t.TempDir(), "store")), false)
	exec(t, c, "CREATE TABLE t (a UInt64, CONSTRAINT small CHECK a < 100) ENGINE = MergeTree ORDER BY a")
	insert := func(values ...uint64) error {
		batch, err := c.PrepareBatch(t.Context(), "INSERT INTO t (a)")
		if err != nil {
			t.Fatal(err)
		}
		if err := batch.Column(0).Append(values); err != nil {
			t.Fatal(err)
		}
		return batch.Send()
	}
	var e *clickhouse.Exception
	if err := insert(1, 2, 300); !errors.As(err, &e) || e.Code != 469 {
		t.Errorf("a row that breaks a constraint: %v", err)
	}
	if err := insert(1, 2); err != nil {
		t.Error(err)
	}
	// A client that leaves in the middle leaves nothing.
	batch, err := c.PrepareBatch(t.Context(), "INSERT INTO t (a)")
	if err != nil {
		t.Fatal(err)
	}
	if err := batch.Column(0).Append([]uint64{7}); err != nil {
		t.Fatal(err)
	}
	if err := batch.Abort(); err != nil {
		t.Fatal(err)
	}
	if n := number(t, c, "SELECT count() FROM t"); n != 2 {
		t.Errorf("%d rows", n)
	}
}

func TestManyAtOnce(t *testing.T) {
	engine, err := embedded.Open(filepath.Join(t.TempDir(), "store"), embedded.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	c := connect(t, &clickhouse.Options{Addr: []string{"pipe"}, MaxOpenConns: 8, MaxIdleConns: 8,
		DialContext: func(ctx context.Context, _ string) (net.Conn, error) { return engine.Dial(ctx) }})
	exec(t, c, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 10 {
				batch, err := c.PrepareBatch(t.Context(), "INSERT INTO t (a)")
				if err != nil {
					t.Error(err)
					return
				}
				if err := errors.Join(batch.Column(0).Append([]uint64{uint64(worker*10 + i)}), batch.Send()); err != nil {
					t.Error(err)
				}
				var n uint64
				if err := c.QueryRow(t.Context(), "SELECT count() FROM t").Scan(&n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := number(t, c, "SELECT uniqExact(a) FROM t"); n != 80 {
		t.Errorf("%d rows of 80", n)
	}
}

// The engine takes the signals' handlers away when it starts; Go needs them.
func TestNilDereferenceIsStillAPanic(t *testing.T) {
	engine, err := embedded.Open(filepath.Join(t.TempDir(), "store"), embedded.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	var p *row
	p.N = 1
}

func TestOneStoreAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	server := embeddedtest.Start(t, path)
	if _, err := embedded.Open(path, embedded.Options{}); !errors.Is(err, embedded.ErrBusy) || !strings.Contains(err.Error(), "by process ") {
		t.Errorf("a store that another process has open: %v", err)
	}
	if noise := server.Stop(); noise != "" {
		t.Errorf("the engine wrote to standard error:\n%s", noise)
	}

	first, err := embedded.Open(path, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := embedded.Open(path, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := embedded.Open(filepath.Join(t.TempDir(), "other"), embedded.Options{Create: true}); !errors.Is(err, embedded.ErrBusy) {
		t.Errorf("a second store in this process: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if err := inside(t, first).Ping(t.Context()); err != nil {
		t.Errorf("after one of two users left: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if _, err := first.Dial(t.Context()); err == nil {
		t.Error("a closed engine was dialled")
	}
}

func TestPathsThatAreNoStore(t *testing.T) {
	embeddedtest.Require(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	foreign := filepath.Join(dir, "foreign")
	empty := filepath.Join(dir, "empty")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Mkdir(foreign, 0o700), os.WriteFile(filepath.Join(foreign, "letter"), nil, 0o600), os.Mkdir(empty, 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path   string
		create bool
		want   error
	}{
		{file, true, embedded.ErrPath},
		{filepath.Join(file, "below"), true, embedded.ErrPath},
		{"/proc/plainsight", true, embedded.ErrPath}, // nobody can make a directory there
		{foreign, true, embedded.ErrForeign},
		{foreign, false, embedded.ErrForeign},
		{empty, false, embedded.ErrAbsent},
		{filepath.Join(dir, "none"), false, embedded.ErrAbsent},
	} {
		if _, err := embedded.Open(c.path, embedded.Options{Create: c.create}); !errors.Is(err, c.want) || !strings.Contains(err.Error(), filepath.Base(c.path)) {
			t.Errorf("%s, create %v: %v, want %v", c.path, c.create, err, c.want)
		}
	}
	if entries, _ := os.ReadDir(foreign); len(entries) != 1 {
		t.Errorf("a foreign directory was written to: %v", entries)
	}
	path := filepath.Join(dir, "a", "new one")
	e, err := embedded.Open(path, embedded.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of a new store: %v %v", info.Mode(), err)
	}
}

func TestPlaces(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "/data")
	if got, err := embedded.DefaultPath(); got != "/data/plainsight/store" || err != nil {
		t.Error(got, err)
	}
	t.Setenv("XDG_DATA_HOME", "relative")
	t.Setenv("HOME", "/home/x")
	if got, err := embedded.DefaultPath(); got != "/home/x/.local/share/plainsight/store" || err != nil {
		t.Error(got, err)
	}
	t.Setenv("CHDB_LIB_PATH", t.TempDir())
	if _, err := embedded.Locate(); !errors.Is(err, embedded.ErrMissing) {
		t.Errorf("CHDB_LIB_PATH without a library: %v", err)
	}
}

// What strangers send to the listener ends their session and nothing else.
func TestStrangers(t *testing.T) {
	server := embeddedtest.Start(t, filepath.Join(t.TempDir(), "store"))
	wrong := connect(t, &clickhouse.Options{Addr: []string{server.Addr}, Auth: clickhouse.Auth{Password: "guess"}})
	var e *clickhouse.Exception
	if err := wrong.Ping(t.Context()); !errors.As(err, &e) || e.Code != 516 {
		t.Errorf("a wrong password: %v", err)
	}
	for _, bytes := range []string{
		"", "GET / HTTP/1.1\r\n\r\n", "\x00", "\x00\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "\x00\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
		strings.Repeat("\x00", 1000), strings.Repeat("\xff", 1000), "\x00\x01a\x01\x01\x01", "\x04", "\x01",
	} {
		conn, err := net.Dial("tcp", server.Addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(bytes)); err != nil {
			t.Fatal(err)
		}
		_ = conn.(*net.TCPConn).CloseWrite()
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		for answer := make([]byte, 512); ; {
			if _, err := conn.Read(answer); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%q: the session does not end", bytes)
				break
			} else if err != nil {
				break
			}
		}
		conn.Close()
	}
	if err := client(t, server, false).Ping(t.Context()); err != nil {
		t.Error(err)
	}
}
