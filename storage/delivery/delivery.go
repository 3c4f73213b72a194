// Package delivery brings rows from an agent into a store: into a spool at
// once, and from there in batches to the sink.
//
// A [Writer] takes batches of storage's tables. Each becomes records of the
// spool (columns.go has their encoding), whose rows carry the run, a number
// that grows, and the day. One goroutine takes records from the spool, as many
// as make a good insert, and sends them as one block of one partition under a
// deduplication token made of agent, spool epoch, queue, segment and offsets,
// which is the same after a restart.
//
// # What is delivered once
//
// What the sink says decides (class.go): a batch that it may have taken is
// sent again with the same bytes under the same token, for as long as the
// spool keeps it, and is never split. That alone is not enough, because a
// plain MergeTree logs the token before it has the rows. So after a doubt the
// rows of the batch are counted, by run and number: before it is sent again,
// lest it be there twice when it comes too late to be known again, and after
// the acknowledgement, whereupon what is missing is sent under a fresh token.
// Tables whose rows replace one another by key need less and get the same.
//
// Capture is best effort and counted. What is spooled survives kill -9 and,
// but for the last second, power loss, and reaches the sink at least once. In
// plainsight's own tables it is there once: by count where a single server
// keeps them, and on a cluster as long as a batch comes again within the
// window of deduplication.
//
// # What it never does
//
// It gives up nothing but by the spool's size and age, or because the sink
// says that the rows are wrong; it holds no more than two batches in memory;
// it does not wait for the wall clock; it never logs a value of a row. It is
// called by plainsight watch.
package delivery

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"plainsight/storage"
	"plainsight/storage/spool"
)

// Sink is where rows go: clickhouse.Sink.
type Sink interface {
	// Insert sends columns as one block under a token. begun says whether the
	// sink may have taken them, where there is an error.
	Insert(ctx context.Context, table string, names []string, columns []any, token string) (begun bool, err error)
	// Count is how many rows with these batch numbers a table has.
	Count(ctx context.Context, table string, run, from, to uint64, day time.Time) (uint64, error)
	// Atomic says whether a table commits token and rows as one.
	Atomic(ctx context.Context, table string) (bool, error)
	// Renew makes the next call read address and secrets anew.
	Renew()
	Close() error
}

// Options say how rows are kept and sent.
type Options struct {
	Sink  Sink
	Spool spool.Options // its queues are the tables'
	Agent string        // stable over restarts; "": the name of the host

	Tables []storage.Table // nil: those of package storage

	RecordRows  int           // of one record, at most; 0: 4,096
	BatchRows   int           // of one insert, at most; 0: 50,000
	BatchBytes  int64         // of one insert as it is spooled, at most; 0: 8 MiB
	FlushEvery  time.Duration // after which rows are sent however few they are; 0: 5 s
	InsertTime  time.Duration // for one answer of the sink; 0: 60 s
	DrainRows   float64       // a second that may always be sent: a backlog is drained at no more than that, or twice what comes in; 0: 5,000
	RejectBytes int64         // of the file of rejected rows; 0: 10 MiB
	MaxRefusals int           // of a batch with a code that is not known, after which it is rejected; 0: 120, about an hour

	Log *slog.Logger // nil: nobody hears of changes of state
}

func (o Options) filled() Options {
	o.RecordRows = cmp.Or(o.RecordRows, 4096)
	o.BatchRows = cmp.Or(o.BatchRows, 50_000)
	o.BatchBytes = cmp.Or(o.BatchBytes, 8<<20)
	o.FlushEvery = cmp.Or(o.FlushEvery, 5*time.Second)
	o.InsertTime = cmp.Or(o.InsertTime, time.Minute)
	o.DrainRows = cmp.Or(o.DrainRows, 5_000)
	o.RejectBytes = cmp.Or(o.RejectBytes, 10<<20)
	o.MaxRefusals = cmp.Or(o.MaxRefusals, 120)
	if o.Tables == nil {
		o.Tables = storage.Tables
	}
	if o.Agent == "" {
		o.Agent, _ = os.Hostname()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Spool.Log == nil {
		o.Spool.Log = o.Log
	}
	if o.Spool.Wall == nil {
		o.Spool.Wall = time.Now
	}
	return o
}

// What rows are worth when the spool is full: calls go first, statistics next,
// findings last. A source makes the rows of a run count, so it goes with them.
const (
	worthCalls = iota
	worthStatistics
	worthFindings
)

func worth(table string) int {
	switch table {
	case storage.CallTable.Name:
		return worthCalls
	case storage.FindingTable.Name, storage.SourceTable.Name:
		return worthFindings
	}
	return worthStatistics
}

// Writer takes rows. Write may be called from several goroutines.
type Writer struct {
	o     Options
	spool *spool.Spool
	index map[string]int // of a table's queue
	sent  chan struct{}  // closed when the sender has ended
	stop  context.CancelFunc
	drain chan struct{} // closed: send all there is, and end when there is no more
	once  sync.Once

	writing sync.Mutex // of what follows: numbers in a queue grow
	number  uint64
	buffer  []byte

	mu    sync.Mutex
	stats Stats
	live  float64 // rows a second that come in
	came  uint64  // rows since live was last looked at
}

// Open opens the spool and begins to send what is in it. The sink need not be
// there.
func Open(ctx context.Context, o Options) (*Writer, error) {
	o = o.filled()
	o.Spool.Beside = append(slices.Clone(o.Spool.Beside), rejectName)
	w := &Writer{o: o, index: map[string]int{}, sent: make(chan struct{}), drain: make(chan struct{})}
	w.stats = Stats{Errors: map[string]uint64{}, Rejected: map[int32]uint64{}}
	for i, t := range o.Tables {
		w.index[t.Name] = i
		o.Spool.Queues = append(o.Spool.Queues, spool.Queue{Name: t.Name, Worth: worth(t.Name)})
	}
	var err error
	if w.spool, err = spool.Open(o.Spool); err != nil {
		return nil, err
	}
	ctx, w.stop = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(w.sent)
		newSender(w).run(ctx)
	}()
	return w, nil
}

// Run is the number of this run: all rows written here carry it. It grows from
// one opening of a spool to the next.
func (w *Writer) Run() uint64 { return w.spool.Epoch() }

// Next is the number that the first rows of the next Write will carry, if
// nobody else writes.
func (w *Writer) Next() uint64 {
	w.writing.Lock()
	defer w.writing.Unlock()
	return w.number + 1
}

// ErrTable says that rows are of no table of the writer's.
var ErrTable = errors.New("no such table")

// Write spools rows, which are borrowed. It returns when they are on disk, if
// not yet synced, and waits for the disk no longer than ctx. What there is no
// room for is dropped and counted; an error means that the rest of the rows
// was not taken.
func (w *Writer) Write(ctx context.Context, b storage.Batch) error {
	queue, ok := w.index[b.Table.Name]
	if !ok {
		return fmt.Errorf("%w: %q", ErrTable, b.Table.Name)
	}
	if b.Len == 0 {
		return nil
	}
	w.writing.Lock()
	defer w.writing.Unlock()
	rows := reflect.ValueOf(b.Rows)
	for from := 0; from < b.Len; from += w.o.RecordRows {
		if err := w.record(ctx, queue, b.Table, rows, from, min(from+w.o.RecordRows, b.Len)); err != nil {
			return err
		}
	}
	return nil
}

// record spools some of the rows as one record, or as several where they are
// too large for one.
func (w *Writer) record(ctx context.Context, queue int, t storage.Table, rows reflect.Value, from, to int) error {
	n := to - from
	day := w.o.Spool.Wall().UTC()
	part := storage.Batch{Table: t, Rows: rows.Slice(from, to).Interface(), Len: n}
	values := part.Values(storage.Stamp{Run: w.Run(), Batch: w.number + 1, Day: day})
	columns := make([]column, len(values))
	for i, v := range values {
		columns[i] = column{t.Columns[i].Name, v}
	}
	b, key, err := encode(w.buffer[:0], columns, n)
	if err != nil {
		return fmt.Errorf("spool rows of %s: %w", t.Name, err)
	}
	if w.buffer = b[:0]; cap(w.buffer) > spool.MaxRecord {
		w.buffer = nil
	}
	if len(b) > spool.MaxRecord {
		if n == 1 {
			w.arrived(n)
			w.mu.Lock()
			w.stats.TooLarge++
			w.mu.Unlock()
			return nil
		}
		if err := w.record(ctx, queue, t, rows, from, from+n/2); err != nil {
			return err
		}
		return w.record(ctx, queue, t, rows, from+n/2, to)
	}
	// Records of one insert are of one day: of one partition.
	key = crc32.Update(key, crc32.IEEETable, binary.LittleEndian.AppendUint64(nil, uint64(day.Unix()/86400)))
	if err := w.spool.Append(ctx, queue, spool.Record{Number: w.number + 1, Rows: n, Key: key, Payload: b}); err != nil {
		return fmt.Errorf("spool rows of %s: %w", t.Name, err)
	}
	w.number++
	w.arrived(n)
	return nil
}

func (w *Writer) arrived(rows int) {
	w.mu.Lock()
	w.stats.Written += uint64(rows)
	w.came += uint64(rows)
	w.mu.Unlock()
}

// Flush makes all that was written before durable, as far as the disk works.
func (w *Writer) Flush() { w.spool.Sync() }

// Close takes no more rows and sends what there is, until ctx is done: the
// rest stays on disk for the next time.
func (w *Writer) Close(ctx context.Context) error {
	w.spool.Sync() // what is not synced is not sent
	w.once.Do(func() { close(w.drain) })
	select {
	case <-w.sent:
	case <-ctx.Done():
		w.stop()
		<-w.sent
	}
	w.stop()
	return errors.Join(w.spool.Close(), w.o.Sink.Close())
}

// Stats are counters since the writer was opened. Rows are conserved: Written
// + what the spool had = Taken + rejected + TooLarge + held and dropped by the
// spool.
type Stats struct {
	Written  uint64 // rows given to Write
	TooLarge uint64 // rows that no record can hold
	Taken    uint64 // rows that the sink has
	Batches  uint64 // that the sink has

	Replays    uint64 // batches sent again because their fate was unknown
	Counted    uint64 // batches that a count showed to be there already
	Lost       uint64 // batches that the sink had acknowledged and did not have; sent under a fresh token
	Duplicates uint64 // rows that a count showed to be there twice

	Errors   map[string]uint64 // attempts that failed, by class
	Rejected map[int32]uint64  // rows that the sink will never take, by its code
	Unsaved  uint64            // of them, rows for which the file of rejects had no room

	Up    bool // whether the last attempt succeeded
	Ready bool // false: a person must do something; see Class Config
	Last  Class
	Code  int32

	Spool spool.Stats
}

// Stats returns the counters, owned.
func (w *Writer) Stats() Stats {
	w.mu.Lock()
	s := w.stats
	s.Errors, s.Rejected = maps.Clone(s.Errors), maps.Clone(s.Rejected)
	w.mu.Unlock()
	s.Ready = s.Last != Config
	s.Spool = w.spool.Stats()
	return s
}

// note changes the counters.
func (w *Writer) note(f func(*Stats)) {
	w.mu.Lock()
	f(&w.stats)
	w.mu.Unlock()
}

// rejectName is the file of rows that the sink will never take.
const rejectName = "rejected.ndjson"

func (w *Writer) rejectPath() string { return filepath.Join(w.o.Spool.Dir, rejectName) }
