package delivery

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"plainsight/storage"
	"plainsight/storage/spool"
)

// How long to wait after an error, by the monotonic clock.
const (
	firstWait  = 500 * time.Millisecond
	lastWait   = 30 * time.Second
	partsWait  = 5 * time.Second // at least, after too many parts
	configWait = 30 * time.Second
	sayEvery   = time.Minute

	lookEvery   = 250 * time.Millisecond // for rows to send, where nothing tells
	longestPile = time.Minute            // that rows are gathered when there are too many parts
	fewestRows  = 1000                   // that a batch is halved to when memory is short
	tries       = 3                      // of a batch that memory is short for, before it is split
)

// sender takes batches from the spool to the sink, one at a time. All of it
// belongs to one goroutine.
type sender struct {
	*Writer
	lanes []lane

	wait   time.Duration // the last, after errors that concern all
	resume time.Time     // not before; of all tables
	rows   int           // of a batch, at most; less when memory is short
	pile   time.Duration // that rows are gathered; more when there are too many parts
	budget float64       // rows that may be sent now
	looked time.Time     // when the budget was last filled
	said   time.Time     // when a person was last told
	calls  bool          // whether the last batch was of calls: the others take turns with them
}

// lane is a table's way to the sink.
type lane struct {
	since  time.Time // rows wait since; zero: there are none
	resume time.Time // not before
	flight *flight

	head          bool // whether what follows is known
	epoch, number uint64
}

// flight is a batch on its way. Between attempts it holds no rows: they are
// read from the spool again.
type flight struct {
	batch  *spool.Batch
	names  []string
	values []any // nil: not read
	day    time.Time
	trial
}

// trial is what became of the attempts so far.
type trial struct {
	doubt   bool // the sink may have it
	fresh   int  // times that it was acknowledged and then not there
	unsure  bool // whether the sink may have it under the token that is fresh
	refused int  // times with a code that is not known
	short   int  // times that memory was short
}

func newSender(w *Writer) *sender {
	return &sender{Writer: w, lanes: make([]lane, len(w.o.Tables)), rows: w.o.BatchRows, pile: w.o.FlushEvery,
		budget: float64(w.o.BatchRows), looked: time.Now()}
}

// run sends until ctx is done or, when it is to drain, all is sent.
func (s *sender) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		progress := s.spool.Progress()
		s.fill()
		if queue, ok := s.pick(); ok {
			s.send(ctx, queue)
			continue
		}
		if s.draining() && s.empty() {
			return
		}
		timer.Reset(lookEvery)
		drain := s.drain
		if s.draining() {
			drain = nil
		}
		select {
		case <-ctx.Done():
		case <-drain:
		case <-progress:
		case <-timer.C:
		}
	}
}

func (s *sender) draining() bool {
	select {
	case <-s.drain:
		return true
	default:
		return false
	}
}

// empty says whether nothing is left that could be sent.
func (s *sender) empty() bool {
	for i := range s.lanes {
		if s.lanes[i].flight != nil || s.spool.Waiting(i).Bytes > 0 {
			return false
		}
	}
	return true
}

// fill gives the budget what time earned: twice the rate at which rows come
// in, so that a backlog is drained beside them and the sink is not overrun.
func (s *sender) fill() {
	now := time.Now()
	elapsed := now.Sub(s.looked).Seconds()
	if elapsed < 0.1 {
		return
	}
	s.looked = now
	s.mu.Lock()
	s.live += (float64(s.came)/elapsed - s.live) * min(elapsed/10, 1)
	s.came = 0
	live := s.live
	s.mu.Unlock()
	s.budget = min(s.budget+elapsed*max(2*live, s.o.DrainRows), float64(s.o.BatchRows))
}

// pick chooses the table whose turn it is. Conclusions go in the order in
// which they were written, so that a source comes after what it stands for;
// calls and they take turns.
func (s *sender) pick() (queue int, ok bool) {
	now := time.Now()
	if now.Before(s.resume) || s.budget <= 0 {
		return 0, false
	}
	draining := s.draining()
	calls := -1
	for i := range s.lanes {
		l := &s.lanes[i]
		if now.Before(l.resume) || !s.ready(i, now, draining) {
			continue
		}
		if !l.head {
			if l.epoch, l.number, l.head = s.spool.Head(i); !l.head {
				continue
			}
		}
		if worth(s.o.Tables[i].Name) == worthCalls {
			calls = i
			continue
		}
		if first := &s.lanes[queue]; !ok || cmp.Or(cmp.Compare(l.epoch, first.epoch), cmp.Compare(l.number, first.number)) < 0 {
			queue, ok = i, true
		}
	}
	if calls >= 0 && (!ok || !s.calls) {
		queue, ok = calls, true
	}
	s.calls = ok && queue == calls
	return queue, ok
}

// ready says whether a table has enough to send, or for long enough.
func (s *sender) ready(queue int, now time.Time, draining bool) bool {
	l := &s.lanes[queue]
	if l.flight != nil {
		return true
	}
	w := s.spool.Waiting(queue)
	if w.Bytes == 0 {
		l.since = time.Time{}
		return false
	}
	if l.since.IsZero() {
		l.since = now
	}
	return draining || w.Rows >= s.rows || w.Bytes >= s.o.BatchBytes || now.Sub(l.since) >= s.pile
}

// load reads the batch of a table that is to be sent: the one in flight, or
// the next.
func (s *sender) load(queue int) bool {
	l := &s.lanes[queue]
	for {
		b := s.spool.Next(queue, spool.Limits{Rows: s.rows, Bytes: s.o.BatchBytes})
		if b == nil { // all of it was broken, or the disk does not give it now
			*l = lane{}
			return false
		}
		f, err := unpack(b)
		if err != nil { // written by a later version of this program, say
			s.reject(queue, b, 0, err)
			*l = lane{}
			continue
		}
		if l.flight != nil && l.flight.batch.From == b.From && l.flight.batch.Segment == b.Segment {
			f.trial = l.flight.trial
		} else {
			f.doubt = b.Doubted
		}
		l.flight = f
		return true
	}
}

// unpack makes the columns of a batch.
func unpack(b *spool.Batch) (*flight, error) {
	records := make([][]byte, len(b.Records))
	f := &flight{batch: b}
	for i, r := range b.Records {
		records[i] = r.Payload
	}
	columns, rows, err := decode(records)
	if err != nil {
		return nil, err
	}
	if rows != b.Rows {
		return nil, errRecord
	}
	for _, c := range columns {
		f.names, f.values = append(f.names, c.name), append(f.values, c.values)
		if days, ok := c.values.([]time.Time); ok && c.name == "written" && len(days) > 0 {
			f.day = days[0]
		}
	}
	return f, nil
}

// send makes one attempt to deliver the batch of a table.
func (s *sender) send(ctx context.Context, queue int) {
	if !s.load(queue) {
		return
	}
	l := &s.lanes[queue]
	f := l.flight
	ctx, cancel := context.WithTimeout(ctx, s.o.InsertTime)
	defer cancel()
	begun, settled, err := s.attempt(ctx, s.o.Tables[queue], f)
	defer func() {
		if l.flight != nil {
			l.flight.values = nil
			for i := range l.flight.batch.Records {
				l.flight.batch.Records[i].Payload = nil
			}
		}
	}()
	switch {
	case err != nil:
		s.failed(ctx, queue, begun, err)
	case settled:
		s.taken(queue)
	}
}

// token names the batch for the sink. A fresh one is taken when the sink knows
// a token and has no rows for it.
func (s *sender) token(table string, f *flight) string {
	token := s.o.Agent + "/" + f.batch.Token(table)
	if f.fresh > 0 {
		token += fmt.Sprintf("/again-%d", f.fresh)
	}
	return token
}

// attempt sends a batch, and counts its rows where there is a doubt. settled:
// the sink has it. Neither that nor an error: try again at once.
func (s *sender) attempt(ctx context.Context, t storage.Table, f *flight) (begun, settled bool, err error) {
	table := t.Name
	if f.doubt {
		there, err := s.there(ctx, table, f)
		if err != nil || there {
			if there {
				s.note(func(t *Stats) { t.Counted++ })
			}
			return false, there, err
		}
		s.note(func(t *Stats) { t.Replays++ })
	}
	s.budget -= float64(f.batch.Rows)
	begun, err = s.o.Sink.Insert(ctx, table, f.names, f.values, s.token(table, f))
	if err != nil || !f.doubt || f.fresh > 0 && !f.unsure {
		return begun, err == nil, err
	}
	// It is acknowledged, and that may mean no more than that the token is
	// known.
	atomic, err := s.o.Sink.Atomic(ctx, table)
	if err != nil || atomic {
		return false, atomic, err
	}
	there, err := s.there(ctx, table, f)
	if err != nil || there {
		return false, there, err
	}
	f.fresh, f.unsure = f.fresh+1, false
	if t.Kind == storage.Appended { // else rows that took the place of others may be why
		s.note(func(t *Stats) { t.Lost++ })
		s.o.Log.Warn("the sink acknowledged a batch that it does not have; it is sent anew", "table", table, "rows", f.batch.Rows)
	}
	return false, false, nil
}

// there asks the sink whether it has all rows of a batch.
func (s *sender) there(ctx context.Context, table string, f *flight) (bool, error) {
	r := f.batch.Records
	n, err := s.o.Sink.Count(ctx, table, f.batch.Epoch, r[0].Number, r[len(r)-1].Number, f.day)
	if more := int64(n) - int64(f.batch.Rows); err == nil && more > 0 {
		s.note(func(t *Stats) { t.Duplicates += uint64(more) })
	}
	return err == nil && n >= uint64(f.batch.Rows), err
}

// taken goes on after a batch that the sink has.
func (s *sender) taken(queue int) {
	l := &s.lanes[queue]
	b := l.flight.batch
	s.spool.Done(b)
	*l = lane{}
	s.wait, s.resume = 0, time.Time{}
	s.rows = min(s.rows+s.o.BatchRows/8, s.o.BatchRows)
	s.pile = max(s.pile*3/4, s.o.FlushEvery)
	var up bool
	s.note(func(t *Stats) {
		up = t.Up
		t.Up, t.Last, t.Code = true, 0, 0
		t.Taken += uint64(b.Rows)
		t.Batches++
	})
	if !up {
		s.o.Log.Info("the sink takes rows")
	}
}

// failed decides what comes of a batch after an error.
func (s *sender) failed(ctx context.Context, queue int, begun bool, err error) {
	l := &s.lanes[queue]
	f := l.flight
	class, code := classify(begun, err)
	if class == Unknown && begun {
		f.doubt, f.unsure = true, true
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return // we stop; what became of it is asked next time
	}
	var before Class
	s.note(func(t *Stats) {
		before = t.Last
		t.Up, t.Last, t.Code = class == Data, class, code
		t.Errors[class.String()]++
	})
	now := time.Now()
	if class == Config && now.Sub(s.said) >= sayEvery {
		s.said = now
		s.o.Log.Error("the sink needs a hand; rows are kept meanwhile", "table", s.o.Tables[queue].Name, "code", code, "error", err)
	} else if class != before && class != Config {
		s.o.Log.Warn("the sink does not take rows", "class", class.String(), "code", code, "error", err)
	}

	switch class {
	case Data:
		s.reject(queue, f.batch, code, err)
		*l = lane{}
		return
	case Config:
		wait := now.Add(jitter(configWait))
		switch {
		case code == codeNoTable || !begun && (code == codeNoColumn || code == codeIdentifier):
			l.resume = wait // the other tables may be well
		default:
			s.resume = wait
		}
		s.o.Sink.Renew()
		return
	}

	s.wait = min(max(2*s.wait, firstWait), lastWait)
	wait := jitter(s.wait)
	switch {
	case code == codeParts:
		wait = max(wait, partsWait)
		s.pile = min(2*s.pile, max(longestPile, s.o.FlushEvery)) // fewer and larger
	case code == codeMemory:
		s.rows = max(s.rows/2, min(fewestRows, s.o.BatchRows)) // the next ones
		if f.short++; f.short >= tries && !f.doubt {
			s.split(ctx, queue)
		}
	case class == Unknown && code != 0:
		if _, known := classes[code]; !known {
			if f.refused++; f.refused >= s.o.MaxRefusals {
				s.reject(queue, f.batch, code, err)
				*l = lane{}
			}
		}
	}
	s.resume = now.Add(wait)
}

// jitter is between half and all of a time, so that agents do not come back in
// step.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// split halves a batch that the sink has no memory for. It is asked first
// whether the sink has it all the same: a view may have failed after the
// table.
func (s *sender) split(ctx context.Context, queue int) {
	l := &s.lanes[queue]
	there, err := s.there(ctx, s.o.Tables[queue].Name, l.flight)
	switch {
	case err != nil:
	case there:
		s.taken(queue)
	default:
		l.flight = &flight{batch: s.spool.Split(l.flight.batch)}
	}
}

// reject puts a batch aside that the sink will never take.
func (s *sender) reject(queue int, b *spool.Batch, code int32, err error) {
	saved := s.save(s.o.Tables[queue].Name, b, code)
	s.spool.Done(b)
	s.note(func(t *Stats) {
		t.Rejected[code] += uint64(b.Rows)
		if !saved {
			t.Unsaved += uint64(b.Rows)
		}
	})
	s.o.Log.Error("the sink will never take these rows", "table", s.o.Tables[queue].Name, "rows", b.Rows, "code", code, "error", err)
}

// rejected is a line of the file of rejects.
type rejected struct {
	Time    time.Time `json:"time"`
	Table   string    `json:"table"`
	Code    int32     `json:"code"` // of ClickHouse; 0: the record could not be read
	Rows    int       `json:"rows"`
	Run     uint64    `json:"run"`
	Number  uint64    `json:"batch"`
	Payload []byte    `json:"payload"` // as it was spooled: see columns.go
}

// save appends the records of a batch to the file of rejects, while there is
// room.
func (s *sender) save(table string, b *spool.Batch, code int32) bool {
	if s.o.Spool.Dir == "" {
		return false
	}
	var out bytes.Buffer
	for _, r := range b.Records {
		line, err := json.Marshal(rejected{s.o.Spool.Wall().UTC(), table, code, r.Rows, b.Epoch, r.Number, r.Payload})
		if err != nil {
			return false
		}
		out.Write(append(line, '\n'))
	}
	f, err := os.OpenFile(s.rejectPath(), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size()+int64(out.Len()) > s.o.RejectBytes {
		return false
	}
	_, err = f.Write(out.Bytes())
	return err == nil
}
