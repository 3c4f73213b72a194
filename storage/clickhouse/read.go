package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"plainsight/storage"
)

// Query runs one statement of a person; see [storage.Reader] and guard.
func (s *Store) Query(ctx context.Context, sql string, params ...storage.Param) (storage.Rows, error) {
	with, err := s.parameters(params)
	if err != nil {
		return nil, err
	}
	guarded := clickhouse.Context(ctx, with...)
	if err := s.guard(guarded, sql); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	if tell, ok := ctx.Value(progressKey{}).(func(Progress)); ok {
		with = append(with, clickhouse.WithProgress(func(p *clickhouse.Progress) { tell(Progress{p.Rows, p.Bytes, p.TotalRows}) }))
	}
	r, err := s.read.Query(clickhouse.Context(ctx, with...), sql)
	if err != nil {
		cancel()
		return nil, wrap(err)
	}
	return &rows{rows: r, cancel: cancel}, nil
}

// Progress is what a query did since it was told of last: rows and bytes read,
// and the rows that were found to be there in all.
type Progress struct{ Rows, Bytes, Total uint64 }

type progressKey struct{}

// WithProgress lets tell hear how queries under the context get on. It is
// called by another goroutine until the rows are read.
func WithProgress(ctx context.Context, tell func(Progress)) context.Context {
	return context.WithValue(ctx, progressKey{}, tell)
}

// ErrParam says that a parameter's name cannot be one: the caller's fault.
var ErrParam = errors.New("malformed name of a parameter")

var parameterName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

// The engine reads values as it reads tab-separated ones.
var escaper = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`, "\x00", `\0`, "\b", `\b`, "\f", `\f`)

// withParameters is the first revision of the native protocol that has them.
const withParameters = 54459

// parameters passes values to the server. The embedded engine's adapter speaks
// an earlier protocol; there they are settings of the session.
func (s *Store) parameters(params []storage.Param) ([]clickhouse.QueryOption, error) {
	if len(params) == 0 {
		return nil, nil
	}
	values := make(clickhouse.Parameters, len(params))
	for _, p := range params {
		if !parameterName.MatchString(p.Name) {
			return nil, fmt.Errorf("%w: %.70q", ErrParam, p.Name)
		}
		values[p.Name] = escaper.Replace(p.Value)
	}
	v, err := s.read.ServerVersion()
	if err != nil {
		return nil, wrap(err)
	}
	if v.Revision >= withParameters {
		return []clickhouse.QueryOption{clickhouse.WithParameters(values)}, nil
	}
	settings := make(clickhouse.Settings, len(values))
	for name, value := range values {
		settings["param_"+name] = value
	}
	return []clickhouse.QueryOption{clickhouse.WithSettings(settings)}, nil
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
