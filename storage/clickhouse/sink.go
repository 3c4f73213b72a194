package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Sink is a store as the live writer sees it: it may be away when the agent
// starts, go and come back, and its secrets may change. Each call connects
// where there is no connection. It is called by storage/delivery, through an
// interface of that package's, and safe for concurrent use.
type Sink struct {
	options Options

	mu    sync.Mutex
	store *Store // nil: not connected
}

// NewSink prepares a sink. Only an address that is wrong is an error: nothing
// is connected yet. With [Options.Create] the schema is made, or brought up to
// date, at the first connection; without it nothing is asked of it, and an
// insert that it does not fit is refused.
func NewSink(o Options) (*Sink, error) {
	k := &Sink{options: o.filled()}
	if Server(o.Store) {
		if _, err := (&Store{options: k.options}).server(); errors.Is(err, ErrURL) {
			return nil, err
		}
	}
	return k, nil
}

// open connects, or gives the connection that there is.
func (k *Sink) open(ctx context.Context) (*Store, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.store != nil {
		return k.store, nil
	}
	s := &Store{options: k.options}
	base, err := s.dial()
	if err == nil {
		if k.options.Create {
			err = s.prepare(ctx, base)
		} else {
			err = s.connect(ctx, base)
		}
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	k.store = s
	return s, nil
}

// Renew hangs up: the next call reads address and secrets anew.
func (k *Sink) Renew() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.store != nil {
		k.store.Close()
		k.store = nil
	}
}

// Close hangs up.
func (k *Sink) Close() error {
	k.Renew()
	return nil
}

// ErrRows says that rows cannot be made into columns of the table: no server
// of this schema will ever take them.
var ErrRows = errors.New("the rows do not fit the table")

// Insert sends columns, each a slice of its Go type, as one block under a
// deduplication token. begun says whether the server may have taken it, where
// there is an error: before that it has seen no row.
func (k *Sink) Insert(ctx context.Context, table string, names []string, columns []any, token string) (begun bool, err error) {
	defer surprise(&err)
	s, err := k.open(ctx)
	if err != nil {
		return false, err
	}
	return insert(ctx, s.write, table, names, columns, token)
}

// Count is how many rows of the batches from…to of a run a table has. day is
// the day on which they were written, which saves looking elsewhere; zero: any.
func (k *Sink) Count(ctx context.Context, table string, run, from, to uint64, day time.Time) (rows uint64, err error) {
	defer surprise(&err)
	s, err := k.open(ctx)
	if err != nil {
		return 0, err
	}
	return count(ctx, s.write, table, run, from, to, day)
}

// Atomic says whether a table commits a deduplication token and its rows as
// one, as replicated tables do. A plain MergeTree logs the token first, and a
// server that dies in between knows a batch that it does not have.
func (k *Sink) Atomic(ctx context.Context, table string) (atomic bool, err error) {
	defer surprise(&err)
	s, err := k.open(ctx)
	if err != nil {
		return false, err
	}
	var engine string
	err = wrap(s.write.QueryRow(ctx, "SELECT any(engine) FROM system.tables WHERE database = currentDatabase() AND name = "+literal(table)).Scan(&engine))
	return strings.HasPrefix(engine, "Replicated") || strings.HasPrefix(engine, "Shared") || engine == "Distributed", err
}

// surprise turns a panic of the client library into an error: it meets answers
// of whoever listens at the address, and connections that are closed under it.
func surprise(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("reach the store: the client broke: %T", r)
	}
}

// insert inserts one block; see [Sink.Insert].
func insert(ctx context.Context, conn driver.Conn, table string, names []string, columns []any, token string) (begun bool, err error) {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = column(name)
	}
	batch, err := conn.PrepareBatch(clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"async_insert":               0,
		"insert_deduplicate":         1,
		"insert_deduplication_token": token,
		"deduplicate_blocks_in_dependent_materialized_views": 1, // else a view's part stays missing where only it failed
		"distributed_foreground_insert":                      1, // acknowledged means on the shard
	})), "INSERT INTO "+table+" ("+strings.Join(quoted, ", ")+")")
	if err != nil {
		return false, fmt.Errorf("insert into %s: %w", table, wrap(err))
	}
	defer batch.Abort() // does nothing once it is sent
	for i, name := range names {
		if err := batch.Column(i).Append(columns[i]); err != nil {
			return false, fmt.Errorf("insert into %s: %w: column %s", table, ErrRows, name) // err may quote a value
		}
	}
	if err := batch.Send(); err != nil {
		return true, fmt.Errorf("insert into %s: %w", table, wrap(err))
	}
	return true, nil
}

// count counts the rows of batches; see [Sink.Count].
func count(ctx context.Context, conn driver.Conn, table string, run, from, to uint64, day time.Time) (rows uint64, err error) {
	sql := fmt.Sprintf("SELECT count() FROM %s WHERE run = %d AND batch BETWEEN %d AND %d", table, run, from, to)
	if !day.IsZero() {
		sql += " AND written = " + literal(day.Format(time.DateOnly))
	}
	err = conn.QueryRow(ctx, sql).Scan(&rows)
	return rows, wrap(err)
}
