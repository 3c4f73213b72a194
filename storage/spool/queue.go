package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"sync"
	"time"
)

// queue is what the spool holds of one name.
type queue struct {
	Queue
	index    int
	segments []*segment // in the order in which they are read
	next     uint64     // number of the next segment with a file
	floor    uint64     // segments up to here may be missing: they were dropped

	// The reader's side. Only pinned is looked at by others.
	pinned  *segment // it is being read or sent and is not dropped
	at      *segment // segment that pos is in; nil: the first one's start
	pos     int64    // up to here all is done
	flight  int64    // end of the batch that was handed out; 0: none was
	doubted bool     // the batch was handed out by an earlier process
	reading File     // file of at
	tries   int      // to read what cannot be read
	last    time.Time

	saving     sync.Mutex // of what follows
	generation uint64
	saved      cursor // last
	cursorFile File
}

// active is the segment that is added to.
func (q *queue) active() *segment {
	if n := len(q.segments); n > 0 && !q.segments[n-1].sealed {
		return q.segments[n-1]
	}
	return nil
}

// dirty is a segment that has something to sync.
func (q *queue) dirty() *segment {
	for _, g := range q.segments {
		if g.file != nil && g.size > g.synced {
			return g
		}
	}
	return nil
}

// # Cursor
//
// NAME.cursor holds two slots, at 0 and at 4096, that are written in turn, so
// that one is whole at any time:
//
//	 0   8   "plscurs1"
//	 8   8   generation: the greater one counts
//	16   8   seq of the segment that is being read
//	24   8   offset in it up to which all is done
//	32   8   offset up to which a batch was handed out; 0: none
//	40   8   greatest seq of a segment that was dropped
//	48   8   epoch of the spool that wrote it
//	56   4   CRC-32C of the 56 bytes
const (
	cursorMark = "plscurs1"
	cursorSize = 60
	cursorStep = 4096
)

type cursor struct {
	generation  uint64
	seq         uint64
	pos, flight int64
	floor       uint64
	epoch       uint64
}

func (c cursor) encode() []byte {
	b := append(make([]byte, 0, cursorSize), cursorMark...)
	for _, v := range []uint64{c.generation, c.seq, uint64(c.pos), uint64(c.flight), c.floor, c.epoch} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeCursor(b []byte) (cursor, bool) {
	if len(b) < cursorSize || string(b[:8]) != cursorMark || binary.LittleEndian.Uint32(b[56:]) != crc32.Checksum(b[:56], castagnoli) {
		return cursor{}, false
	}
	v := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	return cursor{v(8), v(16), int64(v(24)), int64(v(32)), v(40), v(48)}, true
}

// readCursor reads the newer slot that is whole. none: there is no cursor yet.
func (s *Spool) readCursor(q *queue) (c cursor, none bool) {
	f, err := s.fs.Open(q.Name+".cursor", true)
	if err != nil {
		if !missing(err) {
			s.failed("open", err)
		}
		return cursor{}, missing(err)
	}
	q.cursorFile = f
	found := false
	for slot := range int64(2) {
		var b [cursorSize]byte
		if _, err := f.ReadAt(b[:], slot*cursorStep); err != nil && err != io.EOF {
			s.failed("read", err)
			continue
		}
		if d, ok := decodeCursor(b[:]); ok && (!found || d.generation > c.generation) {
			c, found = d, true
		}
	}
	if !found {
		s.stats.LostCursors++
	}
	return c, false
}

// save makes the reader's position durable. It is called without the lock.
func (s *Spool) save(q *queue, c cursor) {
	q.saving.Lock()
	defer q.saving.Unlock()
	s.saveLocked(q, c)
}

// saveFloor makes durable which segments were dropped, lest they be missed
// after a restart.
func (s *Spool) saveFloor(q *queue) {
	q.saving.Lock()
	defer q.saving.Unlock()
	s.mu.Lock()
	dirty := q.saved.seq > 0 && q.floor > q.saved.floor
	s.mu.Unlock()
	if dirty {
		s.saveLocked(q, q.saved)
	}
}

func (s *Spool) saveLocked(q *queue, c cursor) {
	q.generation++
	c.generation = q.generation
	s.mu.Lock()
	c.floor, c.epoch = q.floor, s.epoch
	s.mu.Unlock()
	q.saved = c
	if err := s.store(q, c); err != nil {
		s.mu.Lock()
		s.failed("cursor", err)
		s.mu.Unlock()
	}
}

func (s *Spool) store(q *queue, c cursor) error {
	if q.cursorFile == nil {
		f, err := s.fs.Create(q.Name + ".cursor")
		if exists(err) {
			f, err = s.fs.Open(q.Name+".cursor", true)
		}
		if err != nil {
			return err
		}
		if err := s.fs.SyncDir(); err != nil {
			f.Close()
			return err
		}
		q.cursorFile = f
	}
	_, err := q.cursorFile.WriteAt(c.encode(), int64(c.generation%2)*cursorStep)
	if err == nil {
		err = q.cursorFile.Sync()
	}
	if err != nil { // what the file holds now is unknown: begin anew
		q.cursorFile.Close()
		q.cursorFile = nil
	}
	return err
}

// recover takes the lock and finds what is on disk. Where the disk does not
// work it says so and can be called again.
func (s *Spool) recover() error {
	lock, err := s.fs.Lock()
	if err != nil {
		s.failed("lock", err)
		return err
	}
	names, err := s.fs.List()
	if err != nil {
		s.failed("list", err)
		lock.Close()
		return err
	}
	s.lock = lock
	found := map[string][]uint64{}
	for _, name := range names {
		queue, seq, ok := parseName(name)
		if !ok || !slices.ContainsFunc(s.o.Queues, func(q Queue) bool { return q.Name == queue }) {
			if !s.own(name) {
				s.stats.Foreign++
			}
			continue
		}
		found[queue] = append(found[queue], seq)
	}
	for _, q := range s.queues {
		s.recoverQueue(q, found[q.Name])
	}
	return nil
}

// own says whether a file that is no segment belongs here.
func (s *Spool) own(name string) bool {
	return name == lockName || slices.Contains(s.o.Beside, name) || slices.ContainsFunc(s.o.Queues, func(q Queue) bool { return name == q.Name+".cursor" })
}

func (s *Spool) recoverQueue(q *queue, seqs []uint64) {
	slices.Sort(seqs)
	c, none := s.readCursor(q)
	q.generation, q.floor, q.saved = c.generation, c.floor, c
	s.epoch = max(s.epoch, c.epoch+1)
	q.next = max(q.next, c.seq, c.floor+1)
	var segments []*segment
	expected := max(c.seq, c.floor+1)
	if none || c.seq == 0 {
		expected = 0 // nothing is known: what is there is all there was
	}
	for i, seq := range seqs {
		q.next = max(q.next, seq+1)
		if seq < c.seq { // done, but not unlinked any more
			if err := s.fs.Remove(segmentName(q.Name, seq)); err != nil {
				s.failed("unlink", err)
			}
			continue
		}
		if expected > 0 && seq > expected {
			s.stats.Missing += seq - expected
		}
		expected = max(seq, q.floor) + 1
		g := &segment{seq: seq, name: segmentName(q.Name, seq), sealed: true, onDisk: true}
		from := int64(segmentHeader)
		if seq == c.seq {
			from = max(from, c.pos)
		}
		f, err := s.fs.Open(g.name, false)
		if err != nil { // no file, or one that this disk will not give today: it stays
			s.stats.Errors["open"]++
			s.stats.CorruptSegments++
			continue
		}
		ok := s.recoverSegment(g, f, from, i == len(seqs)-1)
		f.Close()
		if !ok {
			q.floor = max(q.floor, seq)
			if err := s.fs.Remove(g.name); err != nil {
				s.failed("unlink", err)
			}
			continue
		}
		s.disk += g.size
		segments = append(segments, g)
		s.epoch = max(s.epoch, g.epoch+1)
		if seq == c.seq && len(segments) == 1 {
			q.at, q.pos = g, from
			if c.flight > from && c.flight <= g.size {
				q.flight, q.doubted = c.flight, true
			}
		}
	}
	q.segments = append(segments, q.segments...)
	if len(segments) > 0 && q.at != segments[0] { // what was read in memory is elsewhere
		q.at, q.pos, q.flight = nil, 0, 0
	}
}

// recoverSegment walks over the records of a segment from an offset. false:
// there is nothing in it that can be read.
func (s *Spool) recoverSegment(g *segment, f File, from int64, newest bool) bool {
	size, err := f.Size()
	if err != nil {
		s.failed("stat", err)
		s.stats.CorruptSegments++
		return false
	}
	if size < segmentHeader {
		s.stats.Torn += uint64(size)
		return false
	}
	var b [segmentHeader]byte
	if err := readFull(f, b[:], 0); err != nil || !g.decodeHeader(b[:]) {
		s.stats.CorruptSegments++
		return false
	}
	g.born = time.Now().Add(-max(s.o.Wall().Sub(g.created), 0))

	if newest { // the process before may have ended between a write and its sync
		if err := f.Sync(); err != nil {
			s.failed("fsync", err)
		}
	}

	// Payloads are checked when they are read, but for the end of the newest
	// segment: what was not synced when the power went may be zeros.
	good, broken := min(from, size), uint64(0)
	for at := from; at < size; {
		h, pos, skipped, err := next(f, g.salt, at, size)
		if skipped {
			broken++
		}
		if err != nil {
			if err != io.EOF {
				s.failed("read", err)
			}
			break
		}
		at = pos + recordHeader + int64(h.length)
		if newest && pos >= size-2*s.o.SyncBytes {
			payload := make([]byte, h.length)
			if readFull(f, payload, pos+recordHeader) != nil || !h.whole(payload, g.salt) {
				broken++
				continue
			}
		}
		good = at
		s.stats.Corrupt += broken
		broken = 0
		s.stats.Recovered++
		g.rows += h.Rows
	}
	if good < size && broken > 0 {
		s.stats.Torn += uint64(size - good)
		if w, err := s.fs.Open(g.name, true); err == nil {
			_ = w.Truncate(good)
			w.Close()
		}
	}
	g.size, g.synced = good, good
	return true
}

// view reads a segment wherever its bytes are.
type view struct {
	file File
	tail []byte
	from int64 // offset of the tail
}

// ReadAt reads from the file, then from the tail.
func (v view) ReadAt(b []byte, at int64) (int, error) {
	n := 0
	if at < v.from {
		if v.file == nil {
			return 0, errNoFile
		}
		want := b[:min(int64(len(b)), v.from-at)]
		if err := readFull(v.file, want, at); err != nil {
			return 0, err
		}
		n = len(want)
	}
	if n < len(b) {
		m := copy(b[n:], v.tail[min(at+int64(n)-v.from, int64(len(v.tail))):])
		if n += m; n < len(b) {
			return n, io.EOF
		}
	}
	return n, nil
}

var errNoFile = errors.New("the segment has no file")

// Next hands out the batch to send next: the one that was not said to be done,
// if there is one, else a new one whose bounds are durable. nil: there is
// nothing. It is for the queue's one reader, and a batch must be done before
// the next is asked for, or it comes again.
func (s *Spool) Next(queue int, l Limits) *Batch {
	q := s.queues[queue]
	for {
		g, end := s.head(q)
		if g == nil {
			return nil
		}
		if q.pos >= end {
			if !s.finish(q, g) {
				return nil
			}
			continue
		}
		if q.flight > 0 {
			end = min(end, q.flight)
		}
		b, to, err := s.gather(q, g, end, l)
		switch {
		case err != nil:
			if !s.unreadable(q, g, err) {
				return nil // try again later
			}
			continue
		case b == nil: // all of it was broken
			s.mu.Lock()
			q.pos, q.flight, q.doubted = to, 0, false
			s.mu.Unlock()
			continue
		}
		q.tries = 0
		b.Doubted, q.doubted = q.doubted, false
		if q.flight == 0 {
			q.flight = to
			if g.onDisk {
				s.save(q, cursor{seq: g.seq, pos: q.pos, flight: to})
			}
		}
		return b
	}
}

// Head is the number of the record that comes next, and its epoch. It is 0
// where that cannot be read. false: there is none. It is for the queue's one
// reader.
func (s *Spool) Head(queue int) (epoch, number uint64, ok bool) {
	q := s.queues[queue]
	for {
		g, end := s.head(q)
		if g == nil {
			return 0, 0, false
		}
		if q.pos >= end {
			if !s.finish(q, g) {
				return 0, 0, false
			}
			continue
		}
		v, err := s.view(q, g)
		if err != nil {
			return g.epoch, 0, true
		}
		h, _, _, err := next(v, g.salt, q.pos, end)
		if err != nil {
			return g.epoch, 0, true
		}
		if q.flight == 0 {
			s.mu.Lock()
			q.pinned = nil // it may still be dropped
			s.mu.Unlock()
		}
		return g.epoch, h.Number, true
	}
}

// head is the first segment and the end of what of it may be read. It is
// pinned: it will not be dropped.
func (s *Spool) head(q *queue) (*segment, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(q.segments) == 0 {
		q.pinned = nil
		return nil, 0
	}
	g := q.segments[0]
	q.pinned = g
	if q.at != g {
		q.at, q.pos, q.flight, q.doubted = g, segmentHeader, 0, false
		s.unread(q)
	}
	return g, g.readable()
}

func (s *Spool) unread(q *queue) {
	if q.reading != nil {
		q.reading.Close()
		q.reading = nil
	}
}

// finish goes past a segment that was read to its end. false: more may come.
func (s *Spool) finish(q *queue, g *segment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !g.sealed || g.file != nil || q.pos < g.size {
		q.pinned = nil
		return false
	}
	s.leave(q, g, "corrupt")
	return true
}

// leave removes the segment that was read, its end first made durable. It
// wants the lock and gives it up for a while.
func (s *Spool) leave(q *queue, g *segment, reason string) {
	if g.onDisk {
		s.mu.Unlock()
		s.save(q, cursor{seq: g.seq + 1})
		s.mu.Lock()
	}
	s.drop(q, reason, g.rows) // what should have been there and was not
	s.remove(q, g)
	s.unread(q)
	q.at, q.pos, q.flight, q.doubted, q.pinned, q.tries = nil, 0, 0, false, nil, 0
}

// unreadable deals with a segment that could not be read. true: go on.
func (s *Spool) unreadable(q *queue, g *segment, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unread(q)
	switch {
	case missing(err):
		s.stats.Missing++
		s.leave(q, g, "missing")
	case errors.Is(err, io.ErrUnexpectedEOF):
		s.stats.CorruptSegments++
		s.leave(q, g, "corrupt")
	default:
		s.stats.Errors["read"]++
		if q.tries++; q.tries < 3 {
			return false
		}
		s.stats.CorruptSegments++
		s.leave(q, g, "read")
	}
	return true
}

// view opens what is to be read of a segment.
func (s *Spool) view(q *queue, g *segment) (v view, err error) {
	s.mu.Lock()
	v = view{q.reading, g.tail, g.synced}
	if g.file != nil {
		v.tail = nil // not to be read yet, and compacted while we read
	}
	onDisk := g.onDisk
	s.mu.Unlock()
	if onDisk && v.file == nil {
		f, err := s.fs.Open(g.name, false)
		if err != nil {
			return view{}, err
		}
		q.reading, v.file = f, f
	}
	return v, nil
}

// gather reads records up to the limits. to is where the next batch begins.
func (s *Spool) gather(q *queue, g *segment, end int64, l Limits) (b *Batch, to int64, err error) {
	v, err := s.view(q, g)
	if err != nil {
		return nil, 0, err
	}
	b = &Batch{Queue: q.index, Epoch: g.epoch, Segment: g.seq, From: q.pos}
	fixed := q.flight > 0
	var bytes int64
	var corrupt uint64
	var lost int
	to = q.pos
	for to < end {
		h, pos, skipped, err := next(v, g.salt, to, end)
		if err != nil && err != io.EOF {
			return nil, 0, err
		}
		if skipped {
			corrupt++
		}
		if err == io.EOF {
			to = end
			break
		}
		to = pos
		if n := len(b.Records); n > 0 && !fixed &&
			(h.Key != b.Records[0].Key || b.Rows+h.Rows > l.Rows || bytes+int64(h.length) > l.Bytes) {
			break
		}
		payload := make([]byte, h.length)
		if err := readFull(v, payload, pos+recordHeader); err != nil {
			return nil, 0, err
		}
		to = pos + recordHeader + int64(h.length)
		if !h.whole(payload, g.salt) {
			corrupt++
			lost += h.Rows
			continue
		}
		h.Payload = payload
		b.Records = append(b.Records, h.Record)
		b.Rows += h.Rows
		b.written = h.at
		bytes += int64(h.length)
	}
	b.To = to
	if corrupt > 0 {
		s.mu.Lock()
		s.stats.Corrupt += corrupt
		s.drop(q, "corrupt", lost)
		g.rows -= lost
		s.mu.Unlock()
	}
	if len(b.Records) == 0 {
		b = nil
	}
	return b, to, nil
}

// Done says that a batch was taken, or will never be: it does not come again.
func (s *Spool) Done(b *Batch) {
	q := s.queues[b.Queue]
	s.mu.Lock()
	g := q.at
	if s.closed || g == nil || g.epoch != b.Epoch || g.seq != b.Segment || b.To <= q.pos {
		s.mu.Unlock()
		return
	}
	q.pos, q.flight = b.To, 0
	q.last = b.written
	g.rows -= b.Rows
	s.stats.Done += uint64(b.Rows)
	q.pinned = nil
	onDisk := g.onDisk
	s.mu.Unlock()
	if onDisk {
		s.save(q, cursor{seq: g.seq, pos: b.To})
	}
}

// Split halves a batch that no one may have taken, between its records, and
// returns the first half, which takes its place and has a token of its own.
// A batch of one record is returned as it is.
func (s *Spool) Split(b *Batch) *Batch {
	n := len(b.Records) / 2
	if n == 0 {
		return b
	}
	q := s.queues[b.Queue]
	rows := 0
	var length int64
	for _, r := range b.Records[:n] {
		rows += r.Rows
		length += recordHeader + int64(len(r.Payload))
	}
	half := *b
	half.Records, half.Rows, half.To = b.Records[:n:n], rows, b.From+length
	if half.To >= b.To || b.To-b.From != spanOf(b.Records) {
		return b // something broken lies in between: where the halves meet is not known
	}
	q.flight = half.To
	if q.at.onDisk {
		s.save(q, cursor{seq: b.Segment, pos: b.From, flight: half.To})
	}
	return &half
}

func spanOf(records []Record) (n int64) {
	for _, r := range records {
		n += recordHeader + int64(len(r.Payload))
	}
	return n
}

// Waiting is what of a queue may be sent and was not said to be done.
type Waiting struct {
	Rows  int
	Bytes int64
	Since time.Time // when the last record that was done had been written; zero: none was yet
}

// Waiting tells what of a queue may be sent.
func (s *Spool) Waiting(queue int) Waiting {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[queue]
	w := Waiting{Since: q.last}
	for _, g := range q.segments {
		from := int64(segmentHeader)
		if g == q.at {
			from = q.pos
		}
		if n := g.readable() - from; n > 0 {
			w.Bytes += n
			w.Rows += max(g.rows-g.waiting, 0)
		}
	}
	return w
}

// Progress returns a channel that is closed when something was synced, or when
// there is room again.
func (s *Spool) Progress() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.progress
}

// Stats are counters since the spool was opened, and what it holds now. Rows
// are conserved: Appended + what was recovered = Done + held + dropped.
type Stats struct {
	Appended uint64 // rows taken from the writer
	Spooled  uint64 // rows made durable
	Volatile uint64 // rows that went through memory because the disk failed
	Done     uint64 // rows the reader is done with

	Bytes  int64 // on disk
	Memory int64 // bytes in memory: not synced yet, or for want of a disk
	Held   int   // rows not done
	Up     bool  // whether the disk works
	Oldest time.Duration

	Dropped map[string]map[string]uint64 // rows by queue and reason: full, age, disk, corrupt, missing, read
	Errors  map[string]uint64            // of the disk, by operation

	Recovered       uint64 // records found at the start
	Torn            uint64 // bytes cut off at ends
	Corrupt         uint64 // records skipped
	CorruptSegments uint64 // segments of which nothing, or no more, could be read
	Missing         uint64 // segments that should have been there
	Foreign         uint64 // files that are none of ours
	LostCursors     uint64 // queues whose cursor could not be read: all of theirs comes again
}

// Stats returns the counters, owned.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.stats
	t.Bytes, t.Memory, t.Up = s.disk, s.memory, s.retry.IsZero()
	t.Errors = maps.Clone(t.Errors)
	t.Dropped = map[string]map[string]uint64{}
	for name, reasons := range s.stats.Dropped {
		t.Dropped[name] = maps.Clone(reasons)
	}
	now := s.o.Wall()
	for _, q := range s.queues {
		held := 0
		for _, g := range q.segments {
			held += g.rows
		}
		if held > 0 {
			since := q.last
			if since.IsZero() {
				since = q.segments[0].created
			}
			t.Oldest = max(t.Oldest, now.Sub(since))
		}
		t.Held += held
	}
	return t
}
