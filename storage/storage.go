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
package storage

import (
	"context"

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
	// Query runs one statement that reads.
	Query(ctx context.Context, sql string) (Rows, error)
}

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

// Stamp is what all rows of a batch have in common.
type Stamp struct {
	Run   uint64 // of this reading
	Batch uint64 // within the run, from 1
}
