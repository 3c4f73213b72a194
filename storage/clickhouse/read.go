package clickhouse

import (
	"context"
	"errors"
	"reflect"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"plainsight/storage"
)

// Query runs one statement of a person; see [storage.Reader] and guard.
func (s *Store) Query(ctx context.Context, sql string) (storage.Rows, error) {
	if err := s.guard(ctx, sql); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r, err := s.read.Query(ctx, sql)
	if err != nil {
		cancel()
		return nil, wrap(err)
	}
	return &rows{rows: r, cancel: cancel}, nil
}

// rows are an answer; see [storage.Rows].
type rows struct {
	rows   driver.Rows
	cancel context.CancelFunc
	dest   []any // pointers to scan into, made for the first row
}

func (r *rows) Columns() []storage.Header {
	types := r.rows.ColumnTypes()
	out := make([]storage.Header, len(types))
	for i, t := range types {
		out[i] = storage.Header{Name: t.Name(), Type: t.DatabaseTypeName()}
	}
	return out
}

func (r *rows) Next() bool { return r.rows.Next() }
func (r *rows) Err() error { return wrap(r.rows.Err()) }

// Close ends the query, also where it still has rows to give.
func (r *rows) Close() error {
	r.cancel()
	if err := r.rows.Close(); !errors.Is(err, context.Canceled) {
		return wrap(err)
	}
	return nil
}

func (r *rows) Values() ([]any, error) {
	if r.dest == nil {
		for _, t := range r.rows.ColumnTypes() {
			r.dest = append(r.dest, reflect.New(t.ScanType()).Interface())
		}
	}
	if err := r.rows.Scan(r.dest...); err != nil {
		return nil, wrap(err)
	}
	out := make([]any, len(r.dest))
	for i, d := range r.dest {
		v := reflect.ValueOf(d).Elem()
		for v.Kind() == reflect.Pointer && !v.IsNil() { // Nullable
			v = v.Elem()
		}
		if v.Kind() == reflect.Pointer {
			continue // NULL
		}
		out[i] = v.Interface()
	}
	return out, nil
}
