// Package clickhouse keeps a store in ClickHouse: on a server, or in the
// engine inside this process (storage/embedded). It is the only code that
// knows SQL, and it always goes through clickhouse-go, so both speak one
// dialect: the same DDL, inserts, views and named queries.
//
// Inserts are columnar. What a person asks ([storage.Reader]) runs on
// connections of its own that are read-only and bounded, after a look at the
// statement's syntax tree: see guard.go. The package never sees a captured
// value: see package storage.
package clickhouse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"plainsight/storage/embedded"
)

// Options say which store is meant and what its readers may use. The zero
// value is the embedded store at its default place.
type Options struct {
	// Store is the directory of an embedded store ("": the default one), or a
	// server as clickhouse://[USER@]HOST[:PORT][/DATABASE][?secure=true].
	// TLS is on unless HOST is a loopback address, or Access says otherwise.
	Store  string
	Access Access
	// Create makes an embedded store, or a server's database, where there is
	// none, and brings the schema up to date. Without it the store is only
	// read, and its schema must be the one of this program.
	Create bool

	MaxTime   time.Duration // of a reader's query; 0: 60 s
	MaxMemory uint64        // bytes of a reader's query; 0: 2 GiB
	BatchRows int           // calls in one insert; 0: 32,768
	DialTime  time.Duration // to reach a server; 0: 10 s
	Layout    Layout        // of the schema, where it is made

	// Log hears of changes of state; nil: nobody does.
	Log *slog.Logger
}

// filled puts the defaults in.
func (o Options) filled() Options {
	o.MaxTime = cmp.Or(o.MaxTime, time.Minute)
	o.MaxMemory = cmp.Or(o.MaxMemory, 2<<30)
	o.BatchRows = cmp.Or(o.BatchRows, 32_768)
	o.DialTime = cmp.Or(o.DialTime, 10*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// DefaultDatabase is the one that plainsight's tables are in.
const DefaultDatabase = "plainsight"

// ErrURL says that a store's address is wrong: the caller's fault.
var ErrURL = errors.New("malformed address of a store")

// Store is a store in ClickHouse; see [storage.Store].
type Store struct {
	options  Options
	database string
	engine   *embedded.Engine // nil: a server
	write    driver.Conn
	read     driver.Conn
	running  atomic.Bool // whether a run is under way; embedded stores only
}

// Open opens a store.
func Open(ctx context.Context, o Options) (*Store, error) {
	s := &Store{options: o.filled()}
	base, err := s.dial()
	if err != nil {
		return nil, err
	}
	if err := s.prepare(ctx, base); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// dial finds the engine or server and says how to reach it.
func (s *Store) dial() (*clickhouse.Options, error) {
	s.database = DefaultDatabase
	if Server(s.options.Store) {
		return s.server()
	}
	path := s.options.Store
	if path == "" {
		var err error
		if path, err = embedded.DefaultPath(); err != nil {
			return nil, err
		}
	}
	engine, err := embedded.Open(path, embedded.Options{Create: s.options.Create})
	if err != nil {
		return nil, err
	}
	s.engine = engine
	return &clickhouse.Options{
		Addr:        []string{"embedded"},
		DialContext: func(ctx context.Context, _ string) (net.Conn, error) { return engine.Dial(ctx) },
	}, nil
}

// prepare opens the connections and makes the schema where that is wanted.
func (s *Store) prepare(ctx context.Context, base *clickhouse.Options) error {
	if err := s.connect(ctx, base); err != nil {
		return err
	}
	if s.options.Create {
		return s.Migrate(ctx)
	}
	have, err := s.SchemaVersion(ctx)
	if err != nil {
		return err
	}
	if err := compatible(have); err != nil {
		return err
	}
	return s.adopt(ctx)
}

// connect makes the database where that is wanted, and opens the connections
// for writing and for reading.
func (s *Store) connect(ctx context.Context, base *clickhouse.Options) error {
	base.MaxOpenConns, base.MaxIdleConns = 4, 4
	base.ConnMaxLifetime = 24 * time.Hour
	if s.options.Create {
		root, err := clickhouse.Open(base)
		if err != nil {
			return wrap(err)
		}
		err = root.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+identifier(s.database)+s.options.Layout.on())
		root.Close()
		if err != nil {
			return wrap(err)
		}
	}

	restricted, err := s.restricted(ctx, base)
	if err != nil {
		return err
	}
	writer := *base
	writer.Auth.Database = s.database
	reader := writer
	if restricted == 0 {
		writer.Settings = clickhouse.Settings{"async_insert": 0}
	}
	if limits := s.options.limits(restricted); limits != nil {
		reader.Settings = limits
	}
	writer.ReadTimeout = time.Hour // a deletion rewrites parts
	reader.ReadTimeout = s.options.MaxTime + 30*time.Second

	if s.write, err = clickhouse.Open(&writer); err != nil {
		return wrap(err)
	}
	if s.read, err = clickhouse.Open(&reader); err != nil {
		return wrap(err)
	}
	return nil
}

// restricted asks how far the server lets its user go: 0, all it is granted;
// 1, reading; 2, reading and setting limits.
func (s *Store) restricted(ctx context.Context, base *clickhouse.Options) (uint8, error) {
	if s.engine != nil {
		return 0, nil
	}
	conn, err := clickhouse.Open(base)
	if err != nil {
		return 0, wrap(err)
	}
	defer conn.Close()
	var value string
	if err := conn.QueryRow(ctx, "SELECT any(value) FROM system.settings WHERE name = 'readonly'").Scan(&value); err != nil {
		return 0, wrap(err)
	}
	switch value {
	case "1":
		return 1, nil
	case "2":
		return 2, nil
	}
	return 0, nil
}

// limits are the settings of readers. A user that only reads may not say so
// again, and one without the right to set limits has those of its profile.
func (o Options) limits(restricted uint8) clickhouse.Settings {
	if restricted == 1 {
		return nil
	}
	limits := clickhouse.Settings{"max_execution_time": int(max(o.MaxTime/time.Second, 1)), "max_memory_usage": o.MaxMemory}
	if restricted == 0 {
		limits["readonly"] = 1
	}
	return limits
}

// Close ends all connections and gives an embedded store free.
func (s *Store) Close() error {
	var errs []error
	for _, conn := range []driver.Conn{s.write, s.read} {
		if conn != nil {
			errs = append(errs, conn.Close())
		}
	}
	if s.engine != nil {
		errs = append(errs, s.engine.Close())
	}
	return errors.Join(errs...)
}

// Error is what the engine or the server said.
type Error struct {
	Code    int32 // of ClickHouse
	Message string
}

func (e *Error) Error() string { return e.Message }

// Is makes a time limit of the engine's what it is elsewhere in Go.
func (e *Error) Is(target error) bool {
	return e.Code == codeTimeout && target == context.DeadlineExceeded
}

// Codes of ClickHouse that are told apart.
const (
	codeUnknownTable = 60
	codeUnknownDB    = 81
	codeTimeout      = 159
	codeMemory       = 241
	codeAccess       = 497
	codeAuth         = 516
)

// wrap turns an exception into an [Error] of one line, and says of other
// errors where they come from.
func wrap(err error) error {
	var e *clickhouse.Exception
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("reach the store: %w", context.DeadlineExceeded)
	case !errors.As(err, &e):
		return fmt.Errorf("reach the store: %w", err)
	}
	message := strings.Join(strings.Fields(strings.TrimPrefix(e.Message, "DB::Exception: ")), " ")
	return &Error{Code: e.Code, Message: message}
}

func identifier(name string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(name) + "`"
}

// Doubt says that the store may have taken the rows all the same: it gave up
// waiting, or lost sight of a part of itself.
func (e *Error) Doubt() bool {
	switch e.Code {
	case codeTimeout, 209, 210, 319: // of sockets, of the network, unknown status of an insert
		return true
	}
	return false
}

// Wrong says whether the statement is at fault and not the store.
func (e *Error) Wrong() bool {
	switch e.Code {
	case codeTimeout, codeMemory, codeAccess, codeAuth, codeUnknownDB:
		return false
	}
	return true
}
