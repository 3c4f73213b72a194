package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"plainsight/analyze"
	"plainsight/storage"
)

// writer is a run; see [storage.Writer].
type writer struct {
	store   *Store
	stamp   storage.Stamp
	pending []analyze.Call
	ended   bool // committed, or failed to
	closed  bool
}

// ErrRunning says that another run is under way.
var ErrRunning = errors.New("another reading is being kept in this store")

// Begin starts a run. An embedded store takes one at a time.
func (s *Store) Begin(ctx context.Context) (w storage.Writer, err error) {
	if s.engine != nil {
		if !s.running.CompareAndSwap(false, true) {
			return nil, ErrRunning
		}
		defer func() {
			if err != nil {
				s.running.Store(false)
			}
		}()
		if err := s.sweep(ctx); err != nil {
			return nil, err
		}
	}
	run, err := s.NewRun(ctx)
	if err != nil {
		return nil, err
	}
	return &writer{store: s, stamp: storage.Stamp{Run: run, Day: time.Now()}}, nil
}

// NewRun gives the number of a new run. Numbers grow, also where the clock
// went back: of two rows with the same key the later run's stays.
func (s *Store) NewRun(ctx context.Context) (uint64, error) {
	var last uint64
	if err := s.write.QueryRow(ctx, "SELECT max(run) FROM sources").Scan(&last); err != nil {
		return 0, fmt.Errorf("begin a run: %w", wrap(err))
	}
	return max(uint64(time.Now().UnixNano()), last+1), nil
}

// sweep deletes what runs left that did not end. Only an embedded store knows
// that none of them is still under way: its lock is ours.
func (s *Store) sweep(ctx context.Context) error {
	for _, t := range storage.Tables {
		if t.Name == storage.SourceTable.Name {
			continue
		}
		if err := s.remove(ctx, t.Name, "run NOT IN (SELECT run FROM sources FINAL)"); err != nil {
			return fmt.Errorf("clear a run that broke off: %w", err)
		}
	}
	return nil
}

// remove deletes rows, where there are any: the question costs far less than
// the deletion.
func (s *Store) remove(ctx context.Context, table, condition string) error {
	var any uint8
	if err := s.write.QueryRow(ctx, "SELECT count() > 0 FROM (SELECT 1 FROM "+table+" WHERE "+condition+" LIMIT 1)").Scan(&any); err != nil {
		return wrap(err)
	}
	if any == 0 {
		return nil
	}
	l := s.options.Layout
	return s.exec(ctx, "DELETE FROM "+l.local(table)+l.on()+" WHERE "+condition)
}

var errEnded = errors.New("the run has ended")

// Calls adds calls and inserts a batch when there is one.
func (w *writer) Calls(ctx context.Context, calls []analyze.Call) error {
	if w.ended || w.closed {
		return errEnded
	}
	for len(calls) > 0 {
		if w.pending == nil {
			w.pending = make([]analyze.Call, 0, w.store.options.BatchRows)
		}
		n := min(len(calls), cap(w.pending)-len(w.pending))
		w.pending = append(w.pending, calls[:n]...)
		calls = calls[n:]
		if len(w.pending) == cap(w.pending) {
			if err := w.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) flush(ctx context.Context) error {
	err := w.insert(ctx, storage.Calls(w.pending))
	clear(w.pending)
	w.pending = w.pending[:0]
	return err
}

// Commit adds the conclusions and makes the run count.
func (w *writer) Commit(ctx context.Context, s *analyze.Snapshot) error {
	if w.ended || w.closed {
		return errEnded
	}
	if err := w.flush(ctx); err != nil {
		return err
	}
	w.ended = true
	batches := storage.Batches(s, time.Now())
	for _, b := range batches {
		if err := w.insert(ctx, b); err != nil {
			return err
		}
	}
	return w.replace(ctx, batches[len(batches)-1].Rows.([]storage.SourceRow)[0].Source)
}

// Close ends the run. What was not committed is deleted when the next one
// begins.
func (w *writer) Close() error {
	if !w.closed {
		w.closed, w.pending = true, nil
		w.store.running.Store(false)
	}
	return nil
}

// replace deletes the earlier runs of a source. They do not count any more:
// this is about space.
func (w *writer) replace(ctx context.Context, source string) error {
	rows, err := w.store.write.Query(ctx, "SELECT run FROM sources WHERE source = "+literal(source)+" AND run < "+fmt.Sprint(w.stamp.Run))
	if err != nil {
		return wrap(err)
	}
	defer rows.Close()
	var runs []string
	for rows.Next() {
		var run uint64
		if err := rows.Scan(&run); err != nil {
			return wrap(err)
		}
		runs = append(runs, fmt.Sprint(run))
	}
	if err := rows.Err(); err != nil {
		return wrap(err)
	}
	if len(runs) == 0 {
		return nil
	}
	for _, t := range storage.Tables {
		if err := w.store.remove(ctx, t.Name, "run IN ("+strings.Join(runs, ", ")+")"); err != nil {
			return fmt.Errorf("replace an earlier reading: %w", err)
		}
	}
	return nil
}

// insert sends one batch of the run.
func (w *writer) insert(ctx context.Context, b storage.Batch) error {
	if b.Len == 0 {
		return nil
	}
	w.stamp.Batch++
	token := fmt.Sprintf("%s/%d/%d", b.Table.Name, w.stamp.Run, w.stamp.Batch)
	return w.store.Insert(ctx, b.Table, b.Values(w.stamp), token)
}

// Insert sends columns, in the order of the table's and each a slice of its Go
// type (see [storage.Batch.Values]), as one block under a deduplication token.
// It is all there when Insert returns nil. An [Error] is the store's word that
// nothing was taken, but for those of [Error.Doubt]; any other error leaves
// the outcome unknown: the same columns must be sent again under the same
// token, as often as it takes, and then be counted by [Store.Count].
func (s *Store) Insert(ctx context.Context, t storage.Table, columns []any, token string) error {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	_, err := insert(ctx, s.write, t.Name, names, columns, token)
	return err
}

// Count is how many rows of a batch a table has: the question after a doubt.
// Deduplication alone can lose a batch that was sent again, where the server
// died between the token and the part. Of tables whose rows replace others it
// says nothing once they did; those need no answer.
func (s *Store) Count(ctx context.Context, t storage.Table, stamp storage.Stamp) (rows uint64, err error) {
	return count(ctx, s.write, t.Name, stamp.Run, stamp.Batch, stamp.Batch, time.Time{})
}
