// Package spool keeps rows on disk between an agent and its store: what is
// spooled survives a crash of the agent, and, once synced, of the machine.
//
// A spool is a directory (mode 0700) with queues, one for each table. A queue
// is a sequence of append-only segments (see segment.go for their layout) and
// a cursor that says up to where a single reader has them done. Whoever writes
// calls [Spool.Append]; the reader takes a [Batch] with [Spool.Next], sends
// it, and says [Spool.Done]. The bounds of a batch are durable before it is
// handed out: after a crash the same batch comes again, marked as doubted,
// with the same [Batch.Token].
//
// Promises, each with a test:
//   - A row counts as spooled when it was synced, once a second or a MiB,
//     whichever comes first; a directory is synced whenever a name in it
//     changed. The cursor is durable before a segment is unlinked.
//   - The spool is bounded by size and age. What must go are whole segments,
//     the least worth first ([Queue.Worth]) and of these the oldest; never the
//     one that is being sent. All that goes is counted with its reason.
//   - Reading always advances: a torn tail is cut, a corrupt record is skipped
//     to the next good one, a missing segment is passed. Foreign files are left
//     alone. All of it is counted, nothing needs a person.
//   - A disk that is full, read-only or broken is no reason to stop: rows go
//     through memory of a fixed size, the rest is dropped and counted, and the
//     disk is tried again. A segment whose sync failed is never synced again.
//   - Memory does not depend on how much is spooled.
//
// The package knows neither tables nor rows: a record is bytes with a number.
// It is called by storage/delivery.
package spool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"sync"
	"time"
)

// Queue is one sequence of records.
type Queue struct {
	Name  string // lower-case letters, digits and underscores
	Worth int    // what is worth less goes first when there is no room
}

// Options say where a spool is and how much it holds.
type Options struct {
	Dir    string // made where there is none
	Queues []Queue
	Beside []string // names of files in Dir that are others' and no cause for wonder

	MaxBytes     int64         // on disk, of all queues; 0: 1 GiB
	MaxAge       time.Duration // of a segment; 0: 7 days
	SegmentBytes int64         // at which a segment is closed; 0: a 64th of MaxBytes, from 64 KiB to 16 MiB
	MemoryBytes  int64         // what waits to be synced, or for the disk to work again; 0: 16 MiB
	SyncBytes    int64         // that wait before they are synced; 0: 1 MiB
	SyncEvery    time.Duration // 0: 1 s
	RetryEvery   time.Duration // how soon a disk that failed is tried again; 0: 5 s

	Wall func() time.Time // what the records are dated by; nil: time.Now. Nothing waits for it.
	FS   FS               // nil: the files of Dir
	Log  *slog.Logger     // hears of changes of state; nil: nobody does
}

// Record is what a queue holds.
type Record struct {
	Number  uint64 // grows within a queue and an epoch
	Rows    int    // how many rows it stands for
	Key     uint32 // records in one batch have the same
	Payload []byte
}

// MaxRecord is the largest payload in bytes.
const MaxRecord = 4 << 20

// Limits say how large a batch may be. A single record may exceed them.
type Limits struct {
	Rows  int
	Bytes int64
}

// Batch is consecutive records of one queue and one segment: what is sent at
// once, and again with the same token until its fate is known.
type Batch struct {
	Queue    int // index into Options.Queues
	Epoch    uint64
	Segment  uint64
	From, To int64 // offsets in the segment
	Records  []Record
	Rows     int
	Doubted  bool // it was handed out before by a process that did not say what became of it

	written time.Time
}

// Token names the batch: the same after a restart, and never that of other bytes.
func (b *Batch) Token(queue string) string {
	return fmt.Sprintf("%016x/%s/%x/%x-%x", b.Epoch, queue, b.Segment, b.From, b.To)
}

// ErrBusy says that another process has the spool.
var ErrBusy = errors.New("the spool is in use by another process")

// ErrClosed says that the spool was closed.
var ErrClosed = errors.New("the spool is closed")

// ErrRecord says that a record is too large or empty.
var ErrRecord = errors.New("no record of the spool")

// Spool is an open spool. Append may be called from several goroutines, the
// reader's methods of one queue from one at a time.
type Spool struct {
	o     Options
	fs    FS
	epoch uint64
	lock  Closer

	syncing sync.Mutex // one sync at a time
	kick    chan struct{}
	stop    chan struct{}
	stopped sync.WaitGroup

	mu       sync.Mutex
	queues   []*queue
	disk     int64         // bytes of segments on disk
	memory   int64         // bytes of tails and segments in memory
	memories uint64        // segments without a file so far
	retry    time.Time     // when a disk that failed is tried again; zero: it works
	progress chan struct{} // closed when memory or disk became free
	closed   bool
	stats    Stats
}

// Open opens the spool and finds what an earlier process left in it. A disk
// that does not work is no error: the spool then begins in memory. ErrBusy and
// wrong options are.
func Open(o Options) (*Spool, error) {
	o.MaxBytes = cmp.Or(o.MaxBytes, 1<<30)
	o.MaxAge = cmp.Or(o.MaxAge, 7*24*time.Hour)
	o.SegmentBytes = cmp.Or(o.SegmentBytes, min(max(o.MaxBytes/64, 64<<10), 16<<20))
	o.MemoryBytes = cmp.Or(o.MemoryBytes, 16<<20)
	o.SyncBytes = cmp.Or(o.SyncBytes, 1<<20)
	o.SyncEvery = cmp.Or(o.SyncEvery, time.Second)
	o.RetryEvery = cmp.Or(o.RetryEvery, 5*time.Second)
	if o.Wall == nil {
		o.Wall = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	for i, q := range o.Queues {
		if !queueName.MatchString(q.Name) || slices.ContainsFunc(o.Queues[:i], func(p Queue) bool { return p.Name == q.Name }) {
			return nil, fmt.Errorf("spool: the name of queue %d, %q, is malformed or taken", i, q.Name)
		}
	}
	s := &Spool{o: o, fs: o.FS, kick: make(chan struct{}, 1), stop: make(chan struct{}), progress: make(chan struct{})}
	s.stats.Errors = map[string]uint64{}
	s.stats.Dropped = map[string]map[string]uint64{}
	if s.fs == nil {
		s.fs = OS(o.Dir)
	}
	for i, q := range o.Queues {
		s.queues = append(s.queues, &queue{Queue: q, index: i, next: 1})
	}
	s.epoch = uint64(max(o.Wall().UnixNano(), 1))
	if err := s.recover(); errors.Is(err, ErrBusy) {
		return nil, err
	}
	s.stopped.Go(s.keep)
	return s, nil
}

var queueName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// Epoch is the number of this opening of the spool: later ones have greater
// numbers. As a rule it is the time in nanoseconds.
func (s *Spool) Epoch() uint64 { return s.epoch }

// keep syncs what waits and drops what is too old.
func (s *Spool) keep() {
	tick := time.NewTicker(s.o.SyncEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.kick:
		case <-tick.C:
			s.expire()
		}
		s.Sync()
	}
}

// Append adds a record to a queue. The payload is borrowed. It waits while
// what was written is not synced yet and memory for it is used up. An error
// means that the record was not taken: ErrRecord, ErrClosed, or ctx is done.
// It returns nil also where there was no room and the record, or others of
// less worth, were dropped: they are counted.
func (s *Spool) Append(ctx context.Context, queue int, r Record) error {
	if len(r.Payload) == 0 || len(r.Payload) > MaxRecord || r.Rows <= 0 {
		return fmt.Errorf("%w: %d bytes, %d rows", ErrRecord, len(r.Payload), r.Rows)
	}
	size := int64(recordHeader + len(r.Payload))
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.memory+size > s.o.MemoryBytes && s.unsynced() && !s.closed {
		progress := s.progress
		s.mu.Unlock()
		s.wake()
		select {
		case <-ctx.Done():
			s.mu.Lock()
			return ctx.Err()
		case <-progress:
			s.mu.Lock()
		}
	}
	if s.closed {
		return ErrClosed
	}
	q := s.queues[queue]
	s.stats.Appended += uint64(r.Rows)
	if g := s.room(q, size); g != nil {
		s.write(q, g, r)
	} else {
		s.drop(q, "full", r.Rows)
	}
	return nil
}

// unsynced says whether a sync would free memory.
func (s *Spool) unsynced() bool {
	return slices.ContainsFunc(s.queues, func(q *queue) bool {
		g := q.active()
		return g != nil && g.file != nil && g.size > g.synced
	})
}

// write puts a record at the end of a segment: into its file at once, so that
// it survives this process, and into its tail in memory until it is synced.
func (s *Spool) write(q *queue, g *segment, r Record) {
	from := len(g.tail)
	g.tail = g.encode(g.tail, r, g.size, s.o.Wall())
	b := g.tail[from:]
	if g.file != nil {
		if _, err := g.file.WriteAt(b, g.size); err != nil {
			// What stands in the file up to size is whole and may still be synced.
			s.failed("write", err)
			g.tail = g.tail[:from]
			s.seal(g)
			g, from = s.inMemory(q), 0
			if s.memory+int64(len(b)) > s.o.MemoryBytes {
				s.drop(q, "disk", r.Rows)
				return
			}
			g.tail = g.encode(g.tail, r, g.size, s.o.Wall())
			b = g.tail
		}
	}
	n := int64(len(b))
	g.size += n
	g.rows += r.Rows
	s.memory += n
	if g.file == nil {
		s.stats.Volatile += uint64(r.Rows)
		return
	}
	s.disk += n
	g.waiting += r.Rows
	if g.size-g.synced >= s.o.SyncBytes {
		s.wake()
	}
}

func (s *Spool) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// advanced tells those who wait that there may be room.
func (s *Spool) advanced() {
	close(s.progress)
	s.progress = make(chan struct{})
}

// room finds the segment for a record of that size, making room for it by
// dropping what is worth no more. nil: there is none.
func (s *Spool) room(q *queue, size int64) *segment {
	if g := q.active(); g != nil && g.size+size > s.o.SegmentBytes && g.size > segmentHeader {
		s.seal(g)
	}
	if !s.retry.IsZero() && time.Now().Before(s.retry) {
		return s.memoryRoom(q, size)
	}
	for s.disk+size > s.o.MaxBytes {
		if !s.evict(q.Worth, "full", func(g *segment) bool { return g.onDisk }) {
			return nil
		}
	}
	if g := q.active(); g != nil && g.file != nil {
		return g
	}
	if g := s.create(q); g != nil {
		return g
	}
	return s.memoryRoom(q, size)
}

// memoryRoom is room without a disk.
func (s *Spool) memoryRoom(q *queue, size int64) *segment {
	for s.memory+size > s.o.MemoryBytes {
		if !s.evict(q.Worth, "disk", func(g *segment) bool { return !g.onDisk && len(g.tail) > 0 }) {
			return nil
		}
	}
	if g := q.active(); g != nil && g.file == nil && int64(len(g.tail)) < s.o.MemoryBytes/16 {
		return g
	}
	return s.inMemory(q)
}

// inMemory begins a segment without a file.
func (s *Spool) inMemory(q *queue) *segment {
	if g := q.active(); g != nil {
		s.seal(g)
	}
	s.memories++
	g := s.begin(q, inMemory|s.memories)
	q.segments = append(q.segments, g)
	return g
}

// inMemory marks the numbers of segments without a file: those with one have
// no gaps but where a segment was dropped.
const inMemory = 1 << 63

// begin makes a segment.
func (s *Spool) begin(q *queue, seq uint64) *segment {
	return &segment{epoch: s.epoch, seq: seq, salt: salt(), created: s.o.Wall(), born: time.Now(), name: segmentName(q.Name, seq),
		size: segmentHeader, synced: segmentHeader}
}

// create begins a segment with a file, or notes that the disk fails.
func (s *Spool) create(q *queue) *segment {
	if s.lock == nil { // the disk did not work when the spool was opened
		if s.recover() != nil {
			return nil
		}
	}
	g := s.begin(q, q.next)
	file, err := s.fs.Create(g.name)
	if err == nil {
		g.file = file
		if _, err = file.WriteAt(g.header(), 0); err == nil {
			if err = file.Sync(); err == nil {
				err = s.fs.SyncDir()
			}
		}
		if err != nil {
			file.Close()
			if s.fs.Remove(g.name) != nil {
				q.next++
			}
		}
	}
	if err != nil {
		if exists(err) {
			q.next++
		}
		s.failed("create", err)
		return nil
	}
	if h := q.active(); h != nil {
		s.seal(h)
	}
	q.next++
	q.segments = append(q.segments, g)
	g.onDisk = true
	s.disk += segmentHeader
	s.works()
	return g
}

// works notes that the disk does, if it did not.
func (s *Spool) works() {
	if !s.retry.IsZero() && !time.Now().Before(s.retry) {
		s.retry = time.Time{}
		s.o.Log.Info("the spool's disk works again")
	}
}

// failed counts an error of the disk and leaves it alone for a while.
func (s *Spool) failed(op string, err error) {
	s.stats.Errors[op]++
	if s.retry.IsZero() {
		s.o.Log.Error("the spool's disk fails; rows go through memory, what does not fit is dropped", "op", op, "error", err)
	}
	s.retry = time.Now().Add(s.o.RetryEvery)
}

// seal ends a segment: nothing is added any more.
func (s *Spool) seal(g *segment) {
	g.sealed = true
	if g.file != nil && g.synced == g.size {
		g.file.Close()
		g.file = nil
	}
}

// evict drops the oldest segment of the least worth, if it is worth no more
// than the one that wants room. Segments being read stay.
func (s *Spool) evict(worth int, reason string, wanted func(*segment) bool) bool {
	var victim *segment
	var of *queue
	for _, q := range s.queues {
		if q.Worth > worth {
			continue
		}
		for _, g := range q.segments {
			if q.pinned == g || !wanted(g) {
				continue
			}
			if victim == nil || q.Worth < of.Worth || q.Worth == of.Worth && older(g, victim) {
				victim, of = g, q
			}
			break
		}
	}
	if victim == nil {
		return false
	}
	s.discard(of, victim, reason)
	return true
}

func older(a, b *segment) bool {
	return cmp.Or(cmp.Compare(a.epoch, b.epoch), a.born.Compare(b.born)) < 0
}

// discard drops a segment with all that is in it.
func (s *Spool) discard(q *queue, g *segment, reason string) {
	s.drop(q, reason, g.rows)
	s.remove(q, g)
	if g.seq < inMemory {
		q.floor = max(q.floor, g.seq)
	}
}

// remove takes a segment out of its queue and off the disk.
func (s *Spool) remove(q *queue, g *segment) {
	q.segments = slices.DeleteFunc(q.segments, func(h *segment) bool { return h == g })
	g.removed = true
	s.memory -= int64(len(g.tail))
	if g.file != nil {
		g.file.Close()
	}
	if g.onDisk {
		s.disk -= g.size
		if err := s.fs.Remove(g.name); err != nil && !missing(err) {
			s.failed("unlink", err)
		} else if err := s.fs.SyncDir(); err != nil {
			s.failed("unlink", err)
		}
	}
	g.file, g.tail, g.onDisk = nil, nil, false
	s.advanced()
}

func (s *Spool) drop(q *queue, reason string, rows int) {
	if rows <= 0 {
		return
	}
	d := s.stats.Dropped[q.Name]
	if d == nil {
		d = map[string]uint64{}
		s.stats.Dropped[q.Name] = d
	}
	d[reason] += uint64(rows)
}

// expire drops segments that are too old. Their age is counted by the
// monotonic clock while this process lives.
func (s *Spool) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.queues {
		for len(q.segments) > 0 {
			g := q.segments[0]
			if g == q.pinned || time.Since(g.born) <= s.o.MaxAge {
				break
			}
			s.discard(q, g, "age")
		}
	}
}

// Sync makes all that was appended before durable, as far as the disk works.
// It need not be called: it happens by itself.
func (s *Spool) Sync() {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	for _, q := range s.queues {
		s.saveFloor(q)
		for {
			s.mu.Lock()
			g := q.dirty()
			if g == nil {
				s.mu.Unlock()
				break
			}
			file, to, waiting := g.file, g.size, g.waiting
			s.mu.Unlock()

			err := file.Sync()

			s.mu.Lock()
			s.synced(q, g, to, waiting, err)
			s.mu.Unlock()
		}
	}
}

// synced notes what a sync of a segment up to an offset came to.
func (s *Spool) synced(q *queue, g *segment, to int64, rows int, err error) {
	if g.removed {
		return
	}
	if err == nil {
		s.works()
		s.stats.Spooled += uint64(rows)
		g.waiting -= rows
		n := to - g.synced
		g.tail = append(g.tail[:0], g.tail[n:]...)
		if len(g.tail) == 0 && cap(g.tail) > int(2*s.o.SyncBytes) {
			g.tail = nil
		}
		g.synced = to
		s.memory -= n
		if g.sealed && g.synced == g.size {
			g.file.Close()
			g.file, g.tail = nil, nil
		}
		s.advanced()
		return
	}
	// The kernel may have thrown the pages away and will call the next sync a
	// success: what stands there is unknown. The segment ends at what was
	// synced; the rest goes on from memory and is not spooled.
	s.failed("fsync", err)
	s.stats.Volatile += uint64(g.waiting)
	g.waiting = 0
	g.sealed = true
	_ = g.file.Truncate(g.synced) // lest it be read again after a restart
	g.file.Close()
	g.file = nil
	s.disk -= g.size - g.synced
	s.advanced()
}

// Close syncs what is there and gives the spool free. What is only in memory
// is lost and counted.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.advanced()
	s.mu.Unlock()
	close(s.stop)
	s.stopped.Wait()
	s.Sync()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.queues {
		for _, g := range q.segments {
			if g.file != nil {
				g.file.Close()
			}
			if lost := g.volatileRows(); lost > 0 {
				s.drop(q, "disk", lost)
				g.rows -= lost
			}
		}
		if q.reading != nil {
			q.reading.Close()
		}
		if q.cursorFile != nil {
			q.cursorFile.Close()
		}
	}
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}
