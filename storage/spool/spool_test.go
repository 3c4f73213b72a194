package spool

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var (
	kinds  = []Queue{{"calls", 0}, {"endpoints", 1}, {"findings", 2}}
	limits = Limits{Rows: 8, Bytes: 1 << 20}
)

func open(t testing.TB, o Options) *Spool {
	t.Helper()
	if o.Queues == nil {
		o.Queues = kinds
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// record carries its number, so that a test knows it again.
func record(number uint64, rows int) Record {
	b := binary.LittleEndian.AppendUint64(nil, number)
	return Record{Number: number, Rows: rows, Key: 1, Payload: append(b, bytes.Repeat([]byte{byte(number)}, int(number%37))...)}
}

func put(t testing.TB, s *Spool, queue int, numbers ...uint64) {
	t.Helper()
	for _, n := range numbers {
		if err := s.Append(t.Context(), queue, record(n, 2)); err != nil {
			t.Fatal(err)
		}
	}
}

// take reads all that can be read and returns the numbers.
func take(t testing.TB, s *Spool, queue int) (numbers []uint64) {
	t.Helper()
	for rounds := 0; ; rounds++ {
		if rounds > 100_000 {
			t.Fatal("reading does not end")
		}
		b := s.Next(queue, limits)
		if b == nil {
			return numbers
		}
		numbers = append(numbers, numbersOf(t, b)...)
		s.Done(b)
	}
}

func numbersOf(t testing.TB, b *Batch) (numbers []uint64) {
	t.Helper()
	rows := 0
	for _, r := range b.Records {
		if want := record(r.Number, r.Rows); !bytes.Equal(r.Payload, want.Payload) || r.Key != want.Key {
			t.Fatalf("record %d came back as %x", r.Number, r.Payload)
		}
		numbers = append(numbers, r.Number)
		rows += r.Rows
	}
	if rows != b.Rows {
		t.Fatalf("a batch says it has %d rows and has %d", b.Rows, rows)
	}
	return numbers
}

func series(from, to uint64) (n []uint64) {
	for ; from <= to; from++ {
		n = append(n, from)
	}
	return n
}

// conserved fails where rows came from nowhere or went nowhere.
func conserved(t testing.TB, s *Spool, recovered int) {
	t.Helper()
	st := s.Stats()
	dropped := uint64(0)
	for _, reasons := range st.Dropped {
		for _, n := range reasons {
			dropped += n
		}
	}
	if in, out := st.Appended+uint64(recovered), st.Done+uint64(st.Held)+dropped; in != out {
		t.Fatalf("%d rows in and %d recovered; %d done, %d held, %d dropped %v", st.Appended, recovered, st.Done, st.Held, dropped, st.Dropped)
	}
}

func TestWhatGoesInComesOutInOrderAfterARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s := open(t, Options{Dir: dir, SegmentBytes: 500})
	put(t, s, 0, series(1, 50)...)
	put(t, s, 2, 7)
	if b := s.Next(0, limits); b != nil {
		t.Error("what was not synced was handed out")
	}
	s.Sync()
	if st := s.Stats(); st.Spooled != 102 || st.Held != 102 {
		t.Errorf("after a sync: %+v", st)
	}
	b := s.Next(0, limits)
	if got := numbersOf(t, b); !slices.Equal(got, series(1, 4)) {
		t.Errorf("first batch %v", got)
	}
	s.Done(b)
	inFlight := s.Next(0, limits)
	token := inFlight.Token("calls")
	put(t, s, 0, 51)
	s.Close()

	s = open(t, Options{Dir: dir, SegmentBytes: 500})
	conserved(t, s, 102-8+2)
	b = s.Next(0, Limits{Rows: 1000, Bytes: 1 << 20})
	if !b.Doubted || b.Token("calls") != token || !slices.Equal(numbersOf(t, b), series(5, 7)) {
		t.Errorf("the batch in flight came again as %s (was %s), doubted %v, %v", b.Token("calls"), token, b.Doubted, numbersOf(t, b))
	}
	s.Done(b)
	if got := take(t, s, 0); !slices.Equal(got, series(8, 51)) {
		t.Errorf("after the restart: %v", got)
	}
	if got := take(t, s, 2); !slices.Equal(got, []uint64{7}) {
		t.Errorf("other queue: %v", got)
	}
	if s.Epoch() <= b.Epoch {
		t.Error("epochs do not grow")
	}
	put(t, s, 0, 52)
	s.Sync()
	if got := take(t, s, 0); !slices.Equal(got, []uint64{52}) {
		t.Errorf("new after the restart: %v", got)
	}
	conserved(t, s, 102-8+2)
	s.Close()

	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the spool's directory is %v (%v)", info.Mode(), err)
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, _ := e.Info(); info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %v", e.Name(), info.Mode())
		}
	}
	if len(entries) > 6 {
		t.Errorf("segments that are done stay: %v", entries)
	}
	s = open(t, Options{Dir: dir})
	if st := s.Stats(); st.Held != 0 || st.Missing != 0 || st.Foreign != 0 || st.Corrupt != 0 || st.Torn != 0 {
		t.Errorf("an empty spool: %+v", st)
	}
}

func TestBatchesKeepTheirBounds(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	for i, key := range []uint32{1, 1, 2, 2, 1} {
		r := record(uint64(i+1), 2)
		r.Key = key
		if err := s.Append(t.Context(), 0, r); err != nil {
			t.Fatal(err)
		}
	}
	s.Sync()
	var sizes []int
	tokens := map[string]bool{}
	for {
		b := s.Next(0, limits)
		if b == nil {
			break
		}
		again := s.Next(0, limits)
		if again.Token("calls") != b.Token("calls") || len(again.Records) != len(b.Records) {
			t.Error("a batch that was not done did not come again as it was")
		}
		if tokens[b.Token("calls")] {
			t.Error("two batches have one token")
		}
		tokens[b.Token("calls")] = true
		sizes = append(sizes, len(b.Records))
		s.Done(b)
	}
	if !slices.Equal(sizes, []int{2, 2, 1}) {
		t.Errorf("batches of %v records: records of different keys are apart", sizes)
	}

	put(t, s, 0, 10, 11, 12)
	s.Sync()
	b := s.Next(0, limits)
	half := s.Split(b)
	if got := numbersOf(t, half); !slices.Equal(got, []uint64{10}) || half.Token("calls") == b.Token("calls") {
		t.Errorf("half of the batch: %v, %s", got, half.Token("calls"))
	}
	if again := s.Split(half); len(again.Records) != 1 {
		t.Error("a batch of one record was split")
	}
	s.Done(half)
	if got := take(t, s, 0); !slices.Equal(got, []uint64{11, 12}) {
		t.Errorf("the other half: %v", got)
	}
	if err := s.Append(t.Context(), 0, Record{Rows: 1}); !errors.Is(err, ErrRecord) {
		t.Errorf("an empty record: %v", err)
	}
	if err := s.Append(t.Context(), 0, Record{Rows: 1, Payload: make([]byte, MaxRecord+1)}); !errors.Is(err, ErrRecord) {
		t.Errorf("a record that is too large: %v", err)
	}
}

func TestTwoAgentsCannotShareASpool(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	if _, err := Open(Options{Dir: dir, Queues: kinds}); !errors.Is(err, ErrBusy) {
		t.Errorf("a second agent: %v", err)
	}
	s.Close()
	open(t, Options{Dir: dir})
}

// written makes a disk with one segment of records 1 to n and returns what is
// in its files.
func written(t *testing.T, n uint64) map[string][]byte {
	t.Helper()
	d := newDisk(t)
	s := open(t, Options{FS: d})
	put(t, s, 0, series(1, n)...)
	s.Close()
	return d.contents()
}

// first is the name of the first segment of calls.
var first = segmentName("calls", 1)

func TestEveryByteFlipped(t *testing.T) {
	const n = 6
	files := written(t, n)
	for i := range files[first] {
		d := holding(t, files)
		d.names[first].data[i] ^= 0xff
		s := open(t, Options{FS: d})
		got := take(t, s, 0)
		st := s.Stats()
		if want := n - 1; len(got) < want || i < segmentHeader && len(got) != n {
			t.Fatalf("byte %d flipped: only %v came back", i, got)
		}
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Fatalf("byte %d flipped: %v", i, got)
		}
		if len(got) < n && st.Corrupt == 0 && st.Torn == 0 {
			t.Fatalf("byte %d flipped: what was lost is not counted: %+v", i, st)
		}
		if st.Held != 0 {
			t.Fatalf("byte %d flipped: %d rows are held for ever", i, st.Held)
		}
		put(t, s, 0, n+1) // and it goes on
		s.Sync()
		if got := take(t, s, 0); !slices.Equal(got, []uint64{n + 1}) {
			t.Fatalf("byte %d flipped: then %v", i, got)
		}
		s.Close()
	}
}

func TestEveryByteFlippedWhileItIsRead(t *testing.T) {
	const n = 4
	data := written(t, n)[first]
	for i := segmentHeader; i < len(data); i++ {
		d := newDisk(t)
		s := open(t, Options{FS: d})
		put(t, s, 0, series(1, n)...)
		s.Sync()
		d.names[segmentName("calls", 1)].data[i] ^= 0xff
		got := take(t, s, 0)
		if len(got) != n-1 {
			t.Fatalf("byte %d flipped: %v came back", i, got)
		}
		put(t, s, 0, 9)
		s.mu.Lock()
		s.seal(s.queues[0].active())
		s.mu.Unlock()
		s.Sync()
		if got := take(t, s, 0); !slices.Equal(got, []uint64{9}) {
			t.Fatalf("byte %d flipped: then %v", i, got)
		}
		conserved(t, s, 0)
		if st := s.Stats(); st.Corrupt != 1 || st.Dropped["calls"]["corrupt"] != 2 {
			t.Fatalf("byte %d flipped: %+v", i, st)
		}
		s.Close()
	}
}

func TestTornAtEveryByte(t *testing.T) {
	files := written(t, 4)
	for cut := range files[first] {
		d := holding(t, files)
		d.names[first].data = d.names[first].data[:cut]
		s := open(t, Options{FS: d})
		got := take(t, s, 0)
		if !slices.Equal(got, series(1, uint64(len(got)))) {
			t.Fatalf("cut at %d: %v", cut, got)
		}
		whole := segmentHeader
		for i := range got {
			whole += recordHeader + len(record(got[i], 2).Payload)
		}
		if cut < segmentHeader {
			whole = 0
		}
		if st := s.Stats(); st.Torn != uint64(cut-whole) {
			t.Fatalf("cut at %d: %d bytes torn, want %d", cut, st.Torn, cut-whole)
		}
		s.Close()
	}
}

func TestEveryByteOfACursorFlipped(t *testing.T) {
	d := newDisk(t)
	s := open(t, Options{FS: d})
	put(t, s, 0, series(1, 12)...)
	s.Sync()
	s.Done(s.Next(0, limits))
	s.Done(s.Next(0, limits))
	s.Close()
	files := d.contents()
	for i := range files["calls.cursor"] {
		d := holding(t, files)
		d.names["calls.cursor"].data[i] ^= 0xff
		s := open(t, Options{FS: d})
		got := take(t, s, 0)
		// The older slot says that the second batch was in flight: it comes
		// again, doubted, and nothing that came before it.
		if !slices.Equal(got, series(9, 12)) && !slices.Equal(got, series(5, 12)) {
			t.Fatalf("byte %d flipped: %v", i, got)
		}
		s.Close()
	}
	d = holding(t, files)
	clear(d.names["calls.cursor"].data)
	s = open(t, Options{FS: d})
	if got := take(t, s, 0); !slices.Equal(got, series(1, 12)) || s.Stats().LostCursors != 1 {
		t.Errorf("without a cursor: %v, %+v", got, s.Stats())
	}
}

func TestMissingAndForeignFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, SegmentBytes: 200})
	put(t, s, 0, series(1, 20)...)
	s.Sync()
	s.Done(s.Next(0, Limits{Rows: 1, Bytes: 1}))
	s.Close()
	entries, _ := filepath.Glob(filepath.Join(dir, "*.seg"))
	if len(entries) < 5 {
		t.Fatal(entries)
	}
	os.Remove(entries[1])
	for _, name := range []string{"README", "calls-1.seg", "other-0000000000000001.seg", "calls-0000000000000000.seg"} {
		os.WriteFile(filepath.Join(dir, name), []byte("not ours"), 0o600)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, segmentName("findings", 5)), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Mkdir(filepath.Join(dir, segmentName("endpoints", 5)), 0o700)
	s = open(t, Options{Dir: dir, SegmentBytes: 200})
	st := s.Stats()
	if st.Missing != 1 || st.Foreign != 4 || st.CorruptSegments != 2 {
		t.Errorf("%+v", st)
	}
	got := take(t, s, 0)
	if len(got) == 0 || len(got) >= 19 || got[len(got)-1] != 20 {
		t.Errorf("%v", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "README")); err != nil {
		t.Error("a foreign file was removed")
	}
	put(t, s, 1, 1)
	s.Sync()
	put(t, s, 0, series(30, 50)...)
	s.Sync()
	entries, _ = filepath.Glob(filepath.Join(dir, "calls-*.seg"))
	for _, e := range entries {
		os.Remove(e) // under our feet
	}
	os.Remove(filepath.Join(dir, segmentName("endpoints", 1)))
	take(t, s, 0)
	take(t, s, 1)
	put(t, s, 0, series(60, 65)...)
	s.Sync()
	s.mu.Lock()
	for _, q := range s.queues {
		if g := q.active(); g != nil {
			s.seal(g)
		}
	}
	s.mu.Unlock()
	take(t, s, 0)
	take(t, s, 1)
	if st := s.Stats(); st.Held != 0 || st.Missing < 2 {
		t.Errorf("segments removed while in use: %+v", st)
	}
}

func TestFullDropsTheLeastWorthFirst(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), MaxBytes: 4000, SegmentBytes: 500})
	put(t, s, 2, series(1, 5)...)
	put(t, s, 1, series(1, 5)...)
	put(t, s, 0, series(1, 100)...)
	s.Sync()
	held := s.Next(0, Limits{Rows: 4, Bytes: 1 << 20}) // what is being sent stays
	put(t, s, 0, series(101, 200)...)
	st := s.Stats()
	if st.Bytes > 4000 || st.Dropped["calls"]["full"] == 0 || st.Dropped["endpoints"] != nil || st.Dropped["findings"] != nil {
		t.Errorf("calls alone go: %+v", st)
	}
	s.Done(held)
	s.Sync()
	got := take(t, s, 0)
	if !slices.IsSorted(got) || got[len(got)-1] != 200 || slices.Contains(got, held.Records[0].Number) {
		t.Errorf("the oldest go first: %v", got)
	}

	put(t, s, 0, series(201, 300)...)
	put(t, s, 1, series(6, 200)...)
	st = s.Stats()
	if st.Held == 0 || st.Dropped["endpoints"]["full"] == 0 || st.Dropped["findings"] != nil {
		t.Errorf("statistics go when there are no more calls: %+v", st)
	}
	s.Sync()
	if got := take(t, s, 0); len(got) != 0 {
		t.Errorf("calls were kept and statistics dropped: %v", got)
	}
	put(t, s, 2, series(6, 300)...)
	before := s.Stats().Dropped["findings"]["full"]
	put(t, s, 1, series(201, 300)...) // worth less than all there is
	put(t, s, 0, series(301, 400)...)
	s.Sync()
	if n := s.Stats().Dropped["findings"]["full"]; before == 0 || n != before {
		t.Errorf("findings were dropped for statistics and calls: %d rows, then %d", before, n)
	}
	got = take(t, s, 2)
	if got[len(got)-1] != 300 {
		t.Errorf("findings: %v", got)
	}
	conserved(t, s, 0)
}

func TestDroppedSegmentsAreNotMissed(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir, MaxBytes: 3000, SegmentBytes: 300}
	s := open(t, o)
	put(t, s, 0, series(1, 10)...)
	s.Sync()
	s.Done(s.Next(0, limits))
	s.Next(0, limits)
	put(t, s, 0, series(11, 200)...)
	s.Close()
	s = open(t, o)
	if st := s.Stats(); st.Missing != 0 || st.Recovered == 0 {
		t.Errorf("%+v", st)
	}
}

func TestAgeByTheMonotonicClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		jump := time.Duration(0)
		d := newDisk(t)
		s := open(t, Options{FS: d, MaxAge: time.Hour, Wall: func() time.Time { return time.Now().Add(jump) }})
		put(t, s, 0, 1)
		jump = 2 * time.Hour // someone sets the clock
		<-time.After(time.Minute)
		if st := s.Stats(); st.Held != 2 {
			t.Errorf("the wall clock went ahead and rows are gone: %+v", st)
		}
		jump = -2 * time.Hour
		<-time.After(time.Minute)
		put(t, s, 0, 2)
		if st := s.Stats(); st.Held != 4 || st.Spooled != 2 {
			t.Errorf("the wall clock went back: %+v", st)
		}
		<-time.After(time.Hour)
		if st := s.Stats(); st.Held != 0 || st.Dropped["calls"]["age"] != 4 {
			t.Errorf("an hour later: %+v", st)
		}
		conserved(t, s, 0)
		s.Close()
	})
}

func TestSyncedOnceASecondOrAMiB(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, Options{FS: newDisk(t)})
		put(t, s, 0, 1)
		<-time.After(1100 * time.Millisecond)
		if st := s.Stats(); st.Spooled != 2 {
			t.Errorf("after a second: %+v", st)
		}
		big := record(2, 1)
		big.Payload = make([]byte, 1<<20)
		if err := s.Append(t.Context(), 0, big); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if st := s.Stats(); st.Spooled != 3 || st.Memory != 0 {
			t.Errorf("after a MiB: %+v", st)
		}
		s.Close()
	})
}

// A disk that fails from its nth operation on, for a while, in each way and at
// each place: nothing exits, loops or lies, and it works again afterwards.
func TestDiskFaultsEverywhere(t *testing.T) {
	run := func(t *testing.T, op string, from, to int, ill error) (ops int, failed bool) {
		synctest.Test(t, func(t *testing.T) {
			d := newDisk(t)
			d.fault = func(o string, n int) error {
				if n >= from && n < to && (op == "" || op == o) {
					failed = true
					return ill
				}
				return nil
			}
			o := Options{FS: d, SegmentBytes: 700, MemoryBytes: 2000}
			s := open(t, o)
			seen := map[uint64]int{}
			number := uint64(0)
			for range 8 {
				for q := range kinds {
					number++
					put(t, s, q, number)
				}
				<-time.After(1500 * time.Millisecond)
				for q := range kinds {
					if b := s.Next(q, limits); b != nil {
						for _, n := range numbersOf(t, b) {
							seen[n]++
						}
						s.Done(b)
					}
				}
				conserved(t, s, 0)
			}
			d.fault = nil
			<-time.After(10 * time.Second)
			number++
			put(t, s, 2, number)
			s.Sync()
			for range 4 { // what could not be read is tried again
				for q := range kinds {
					for _, n := range take(t, s, q) {
						seen[n]++
					}
				}
			}
			conserved(t, s, 0)
			st := s.Stats()
			lost := 0
			for _, reasons := range st.Dropped {
				for _, n := range reasons {
					lost += int(n)
				}
			}
			for n := uint64(1); n <= number; n++ {
				switch seen[n] {
				case 0:
					lost -= 2
				case 1:
				default:
					t.Errorf("%s fails with %v from %d: record %d came %d times", op, ill, from, n, seen[n])
				}
			}
			if lost != 0 {
				t.Errorf("%s fails with %v from %d: %d rows are not accounted for: %+v", op, ill, from, lost, st)
			}
			if op != "" && seen[number] != 1 {
				t.Errorf("%s fails with %v from %d: it did not recover: %+v", op, ill, from, st)
			}
			if failed && !st.Up {
				t.Errorf("%s fails with %v from %d: the disk works and the spool says it does not: %+v", op, ill, from, st)
			}
			if errors := len(st.Errors); failed && errors == 0 && op != "truncate" {
				t.Errorf("%s fails with %v from %d and no error is counted: %+v", op, ill, from, st)
			}
			s.Close()
			ops = d.ops
		})
		return ops, failed
	}
	total, _ := run(t, "", -1, -1, nil)
	for i, op := range []string{"lock", "list", "create", "open", "read", "write", "fsync", "syncdir", "unlink", "stat", ""} {
		for from := 1; from < total; from += 1 + total/60 {
			for _, length := range []int{1, 7, 60} {
				run(t, op, from, from+length, ills[(i+from)%len(ills)])
			}
		}
	}
}

func TestAFailedFsyncIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t)
		s := open(t, Options{FS: d})
		put(t, s, 0, 1)
		s.Sync()
		put(t, s, 0, 2)
		syncs := 0
		d.fault = func(op string, _ int) error {
			if op == "fsync" {
				syncs++
				return syscall.EIO
			}
			return nil
		}
		s.Sync()
		<-time.After(4 * time.Second)
		if syncs != 1 {
			t.Errorf("%d syncs of a segment whose sync failed", syncs)
		}
		st := s.Stats()
		if st.Spooled != 2 || st.Volatile != 2 || st.Up || st.Errors["fsync"] != 1 {
			t.Errorf("what was not synced is not spooled: %+v", st)
		}
		put(t, s, 0, 3)
		if got := take(t, s, 0); !slices.Equal(got, []uint64{1, 2, 3}) { // from memory
			t.Errorf("%v", got)
		}
		d.fault = nil
		<-time.After(10 * time.Second)
		put(t, s, 0, 4)
		s.Sync()
		if st := s.Stats(); !st.Up || st.Spooled != 4 {
			t.Errorf("the disk works again: %+v", st)
		}
		s.Close()
	})
}

func TestADiskThatStaysFullDegrades(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t)
		d.fault = func(op string, _ int) error {
			if op == "write" || op == "create" || op == "lock" {
				return syscall.ENOSPC
			}
			return nil
		}
		s := open(t, Options{FS: d, MemoryBytes: 20_000})
		for i := range uint64(500) {
			put(t, s, 0, i+1)
		}
		put(t, s, 2, series(1, 20)...)
		put(t, s, 0, 501)
		st := s.Stats()
		if st.Memory > 20_000 || st.Dropped["calls"]["disk"] == 0 || st.Dropped["findings"] != nil || st.Spooled != 0 || st.Up {
			t.Errorf("%+v", st)
		}
		if got := take(t, s, 2); !slices.Equal(got, series(1, 20)) {
			t.Errorf("findings: %v", got)
		}
		take(t, s, 0)
		conserved(t, s, 0)
		if st := s.Stats(); st.Memory > 2000 {
			t.Errorf("%d bytes stay in memory", st.Memory)
		}
		s.Close()
	})
}

// Appending, reading, crashes and losses of power at random: what was spooled
// comes exactly once as long as the reader tells what it did with it.
func TestCrashesAndLossesOfPower(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		d := newDisk(t)
		o := Options{FS: d, Queues: kinds, SegmentBytes: 400, SyncEvery: time.Hour}
		durable := map[uint64]bool{} // synced
		done := map[uint64]bool{}
		maybe := map[uint64]bool{} // done, but that may not be durable
		tokens := map[string]int{} // of batches, and the records they had
		number := uint64(0)
		for life := range 6 {
			s, err := Open(o)
			if err != nil {
				t.Fatal(err)
			}
			begin := number + 1 // of this life
			for range r.IntN(40) {
				switch r.IntN(6) {
				case 0, 1, 2:
					number++
					put(t, s, 0, number)
				case 3:
					s.Sync()
					for n := begin; n <= number; n++ {
						durable[n] = true
					}
				default:
					b := s.Next(0, limits)
					if b == nil {
						break
					}
					token := b.Token("calls")
					if n, ok := tokens[token]; ok && n != len(b.Records) {
						t.Fatalf("seed %d life %d: the batch %s had %d records, now %d", seed, life, token, n, len(b.Records))
					}
					tokens[token] = len(b.Records)
					if r.IntN(4) == 0 {
						break // the fate of it is not known
					}
					for _, n := range numbersOf(t, b) {
						if done[n] {
							t.Fatalf("seed %d life %d: record %d came twice", seed, life, n)
						}
						done[n] = true
					}
					s.Done(b)
				}
			}
			if life == 5 {
				s.Sync()
				for n := range number {
					if durable[n+1] && !done[n+1] {
						maybe[n+1] = true
					}
				}
				for _, n := range take(t, s, 0) {
					if done[n] {
						t.Fatalf("seed %d: record %d came twice", seed, n)
					}
					done[n] = true
				}
				for n := range maybe {
					if !done[n] {
						t.Fatalf("seed %d: record %d was spooled and is lost: %+v", seed, n, s.Stats())
					}
				}
				if st := s.Stats(); st.Missing != 0 || st.CorruptSegments != 0 {
					t.Fatalf("seed %d: %+v", seed, st)
				}
				s.Close()
				break
			}
			if r.IntN(2) == 0 {
				d.crash()
			} else {
				d.powerLoss(r)
			}
			s.Close() // the dead process' goroutine
		}
	}
}

func TestMemoryDoesNotDependOnTheBacklog(t *testing.T) {
	const size = 96 << 20
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	payload := make([]byte, 64<<10)
	before := heap()
	peak := before
	for i := range uint64(size / len(payload)) {
		if err := s.Append(t.Context(), 0, Record{Number: i + 1, Rows: 1000, Key: 1, Payload: payload}); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			peak = max(peak, heap())
		}
	}
	s.Close()
	s = open(t, Options{Dir: dir})
	peak = max(peak, heap())
	batches := 0
	for {
		b := s.Next(0, Limits{Rows: 50_000, Bytes: 4 << 20})
		if b == nil {
			break
		}
		if batches++; batches%5 == 0 {
			peak = max(peak, heap())
		}
		s.Done(b)
	}
	if batches < 20 || peak-before > 24<<20 {
		t.Errorf("%d batches; the heap grew by %d MiB for a backlog of %d MiB", batches, (peak-before)>>20, size>>20)
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestAppendWaitsNoLongerThanItsContext(t *testing.T) {
	d := newDisk(t)
	stuck, free := make(chan struct{}), make(chan struct{})
	slow := &slowSync{disk: d, stuck: stuck, free: free}
	s := open(t, Options{FS: slow, MemoryBytes: 3000, SyncBytes: 1000})
	put(t, s, 0, 4000)
	slow.hangs.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-stuck
		cancel()
	}()
	var err error
	for i := uint64(0); err == nil && i < 1000; i++ {
		err = s.Append(ctx, 0, record(i+1, 2))
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the disk hangs and Append says %v", err)
	}
	close(free)
	put(t, s, 0, 5000)
	s.Sync()
	if got := take(t, s, 0); got[len(got)-1] != 5000 {
		t.Error(got)
	}
}

// slowSync hangs in fsync until it is told to go on.
type slowSync struct {
	*disk
	hangs       atomic.Bool
	stuck, free chan struct{}
}

func (d *slowSync) Create(name string) (File, error) {
	f, err := d.disk.Create(name)
	return slowFile{f, d}, err
}

type slowFile struct {
	File
	d *slowSync
}

func (f slowFile) Sync() error {
	if !f.d.hangs.Load() {
		return f.File.Sync()
	}
	select {
	case <-f.d.stuck:
	default:
		close(f.d.stuck)
	}
	<-f.d.free
	return f.File.Sync()
}

// FuzzSegment opens a spool in which someone wrote anything.
func FuzzSegment(f *testing.F) {
	g := &segment{epoch: 1, seq: 1, salt: 7}
	data := g.header()
	for i := range uint64(3) {
		data = g.encode(data, record(i, 1), int64(len(data)), time.Unix(0, 0))
	}
	f.Add(data, cursor{generation: 1, seq: 1, pos: 80, flight: 200}.encode())
	f.Add(data[:100], []byte{})
	f.Fuzz(func(t *testing.T, data, c []byte) {
		d := newDisk(t)
		d.names[segmentName("calls", 1)] = &inode{data: data}
		d.names["calls.cursor"] = &inode{data: c}
		s := open(t, Options{FS: d})
		for range 1000 {
			b := s.Next(0, limits)
			if b == nil {
				break
			}
			s.Done(b)
		}
		if b := s.Next(0, limits); b != nil && len(data) < 1000*recordHeader {
			t.Error("reading does not end")
		}
		if err := s.Append(t.Context(), 0, record(1, 1)); err != nil {
			t.Error(err)
		}
		s.Sync()
		take(t, s, 0)
		s.Close()
	})
}

func BenchmarkAppend(b *testing.B) {
	s := open(b, Options{Dir: b.TempDir()})
	payload := make([]byte, 64<<10)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := s.Append(b.Context(), 0, Record{Number: uint64(i + 1), Rows: 1000, Key: 1, Payload: payload}); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleBatch_Token() {
	b := &Batch{Epoch: 0x18a1b2c3d4e5f607, Segment: 3, From: 80, To: 4176}
	fmt.Println(b.Token("calls"))
	// Output: 18a1b2c3d4e5f607/calls/3/50-1050
}
