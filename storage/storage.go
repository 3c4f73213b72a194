// Package storage holds the words of the last stage: what a store takes, what
// it gives, and the tables it is made of.
//
// It keeps what analyze concluded and one row a call, and imports analyze
// alone: a raw body has no road to a database. The work is below it:
// storage/clickhouse knows SQL and speaks to a server or to the engine in this
// process, storage/embedded is that engine. cmd opens a [Store] and passes it
// on; nothing else knows which one it is.
//
// # Reading twice
//
// Each reading of captures is a run with a number of its own, which all its
// rows carry. A run counts from the moment its row in the table sources is
// written, at the very end: what a run that broke off left behind is never
// seen. A source is the set of captures that were read together, by the
// SHA-256 of their bytes; of each source only the last run counts, and a
// source whose every capture is part of a larger one does not count at all. So
// reading a file again, alone or with others, doubles nothing. (Two sources
// that overlap in part, a+b and b+c, do count b twice.)
//
// # Watching
//
// An agent that watches is a run for as long as it lives, and a source of its
// own (see [Watch]). Its row in sources is written at the start, so that its
// calls count at once. Its conclusions are what it knows by now, written again
// and again under the same run with growing batch numbers: a row takes the
// place of the one with the same key. After all of them its row in sources is
// written anew with the number of the first batch of these conclusions; rows
// of earlier batches, which the agent no longer holds true, count no more.
//
// # Writing once
//
// A batch is one block of one partition: all rows carry the day of [Stamp] on
// which they were written, and partitions and retention go by that day, not by
// the traffic's clock, which captures may set to anything. So a batch is taken
// whole or not at all, and a batch that is sent again under the same
// deduplication token is taken once, in the table and in the tables that views
// fill from it. Whoever is in doubt whether a batch was taken sends it again
// and then counts the rows with its run and batch.
package storage

import (
	"context"
	"math"
	"time"

	"plainsight/analyze"
)

// Store keeps conclusions and answers questions about them. It is safe for
// concurrent use.
type Store interface {
	Reader
	// Begin starts a run. A store in this process takes one at a time.
	Begin(ctx context.Context) (Writer, error)
	Close() error
}

// Writer takes one run. It is used by one goroutine at a time.
type Writer interface {
	// Calls adds calls, which are borrowed. It may block while the store is
	// behind.
	Calls(ctx context.Context, calls []analyze.Call) error
	// Commit adds the conclusions, ends the run and makes it count. Without
	// it nothing of the run will ever be seen.
	Commit(ctx context.Context, s *analyze.Snapshot) error
	// Close gives up a run that was not committed. It is needed either way.
	Close() error
}

// Reader answers questions. What it is asked cannot change the store, and is
// bounded in time and memory.
type Reader interface {
	// Query runs one statement that reads. Parameters stand in it as
	// {name:Type}; the engine puts the values there, never as SQL.
	Query(ctx context.Context, sql string, params ...Param) (Rows, error)
}

// Param is the value of a parameter of a statement, as text: what the type in
// the statement makes of it.
type Param struct{ Name, Value string }

// Rows are an answer. They must be closed.
type Rows interface {
	Columns() []Header
	Next() bool
	// Values are those of the current row, in Go's types; owned.
	Values() ([]any, error)
	Err() error
	Close() error
}

// Header names a column of an answer and its ClickHouse type.
type Header struct{ Name, Type string }

// Stamp is what all rows of a batch have in common. A batch that is sent again
// carries the stamp that it had.
type Stamp struct {
	Run   uint64    // of this reading, or of this life of an agent: nanoseconds of its start, as a rule
	Batch uint64    // within the run, from 1
	Day   time.Time // on which it was written first, by the clock of the machine; zero: the day of Run
}

// writtenOn is the day by which partitions and retention go.
func (s Stamp) writtenOn() time.Time {
	if s.Day.IsZero() {
		return instant(time.Unix(0, int64(min(s.Run, math.MaxInt64))))
	}
	return instant(s.Day)
}
