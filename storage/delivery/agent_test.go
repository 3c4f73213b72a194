package delivery

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"plainsight/analyze"
	"plainsight/storage"
	"plainsight/storage/clickhouse"
	"plainsight/storage/spool"
)

// What a child process that writes is told.
const (
	agentVariable = "PLAINSIGHT_TEST_AGENT" // the address of the engine
	dirVariable   = "PLAINSIGHT_TEST_AGENT_DIR"
	lifeVariable  = "PLAINSIGHT_TEST_AGENT_LIFE" // a number; 0: send what is left and end
)

// perLife is more calls than an agent writes before it is killed, perAgent
// more lives than it has.
const (
	perLife  = 1_000_000
	perAgent = 10_000
)

// agentMain is an agent that writes until it is killed. It tells the last call
// that it holds for spooled.
func agentMain() {
	life, _ := strconv.ParseUint(os.Getenv(lifeVariable), 10, 64)
	k, err := clickhouse.NewSink(clickhouse.Options{Store: "clickhouse://" + os.Getenv(agentVariable)})
	if err == nil {
		err = agentLife(k, os.Getenv(dirVariable), life)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

func agentLife(k Sink, dir string, life uint64) error {
	ctx := context.Background()
	w, err := Open(ctx, Options{Sink: k, Agent: filepath.Base(dir), Spool: spool.Options{Dir: dir, SegmentBytes: 64 << 10},
		BatchRows: 2000, RecordRows: 100, FlushEvery: 8 * time.Millisecond})
	if err != nil {
		return err
	}
	if life == 0 {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
		defer cancel()
		if err := w.Close(ctx); err != nil {
			return err
		}
		s := w.Stats()
		fmt.Println("held", s.Spool.Held, "corrupt", s.Spool.Corrupt, "missing", s.Spool.Missing, "duplicates", s.Duplicates)
		return nil
	}
	for id := life * perLife; ; id += 40 {
		if err := w.Write(ctx, storage.Calls(traffic(id, 40))); err != nil {
			return err
		}
		f := []analyze.Finding{{Key: strconv.FormatUint(life, 10), Rule: "r", Count: id % perLife, First: at, Last: at}}
		if err := w.Write(ctx, storage.Batch{Table: storage.FindingTable, Rows: f, Len: 1}); err != nil {
			return err
		}
		w.Flush()
		fmt.Println("spooled", id%perLife+40)
	}
}

// agent starts a child. Its lines come over the channel.
func agent(t *testing.T, addr, dir string, life int) (*exec.Cmd, <-chan string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Error(err)
		return nil, nil
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), agentVariable+"="+addr, dirVariable+"="+dir, lifeVariable+"="+strconv.Itoa(life), "GOMAXPROCS=2")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Error(err)
		return nil, nil
	}
	lines := make(chan string, 1<<16)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return cmd, lines
}

// killAgent lets an agent live so many times and kills it each time. It
// returns how many calls each life held for spooled.
func killAgent(t *testing.T, addr, dir string, number, lives int) (spooled []uint64) {
	r := rand.New(rand.NewPCG(2, uint64(number)))
	for life := 1; life <= lives; life++ {
		cmd, lines := agent(t, addr, dir, number*perAgent+life)
		if cmd == nil {
			return spooled
		}
		kill := time.After(time.Minute)
		var last string
		for alive := true; alive; {
			select {
			case line, ok := <-lines:
				if !ok {
					_ = cmd.Wait()
					t.Errorf("an agent ended by itself: %s", last)
					return spooled
				}
				if last == "" { // it has begun
					kill = time.After(time.Duration(r.IntN(40_000)) * time.Microsecond)
				}
				last = line
			case <-kill:
				if err := syscall.Kill(cmd.Process.Pid, syscall.SIGKILL); err != nil {
					t.Error(err)
				}
				alive = false
			}
		}
		for line := range lines { // what it had said before it died
			last = line
		}
		_ = cmd.Wait()
		n, err := strconv.ParseUint(strings.TrimPrefix(last, "spooled "), 10, 64)
		if err != nil {
			t.Errorf("an agent says %q", last)
		}
		spooled = append(spooled, n)
	}
	cmd, lines := agent(t, addr, dir, 0)
	if cmd == nil {
		return spooled
	}
	var said string
	for line := range lines {
		said = line
	}
	if err := cmd.Wait(); err != nil || said != "held 0 corrupt 0 missing 0 duplicates 0" {
		t.Errorf("in the end the agent says %q (%v)", said, err)
	}
	return spooled
}

// Agents are killed at random times, two hundred times in all. What they held
// for spooled is there, once.
func TestKillsOfTheAgent(t *testing.T) {
	e, _ := engine(t)
	const agents = 4
	lives := max(kills(200)/agents, 1)
	dir := t.TempDir()
	var spooled [agents][]uint64
	var wait sync.WaitGroup
	for i := range spooled {
		wait.Go(func() { spooled[i] = killAgent(t, e.Addr, filepath.Join(dir, fmt.Sprintf("agent-%d", i)), i, lives) })
	}
	wait.Wait()
	var total uint64
	var conditions []string
	for i, lives := range spooled {
		for life, n := range lives {
			first := uint64(i*perAgent+life+1) * perLife
			total += n
			conditions = append(conditions, fmt.Sprintf("frame >= %d AND frame < %d", first, first+n))
		}
	}
	got := ask(t, e.Addr, "SELECT count(), uniqExact(frame) FROM calls")
	if got[0] != got[1] {
		t.Errorf("%d calls, %d different: some are there twice", got[0], got[1])
	}
	there := got[0]
	if got = ask(t, e.Addr, "SELECT count(), uniqExact(frame) FROM calls WHERE "+strings.Join(conditions, " OR ")); got[0] != total || total == 0 {
		t.Errorf("%d calls of %d that were spooled", got[0], total)
	}
	got = ask(t, e.Addr, "SELECT count(), uniqExact(key, run) FROM findings FINAL")
	if got[0] != got[1] || got[0] == 0 {
		t.Errorf("%d findings of %d keys and runs", got[0], got[1])
	}
	t.Logf("%d kills: %d calls spooled before them, %d there, none twice", agents*lives, total, there)
}

// watchLogs kills when tokens were logged so many times. The channel is closed
// when it has.
func watchLogs(t *testing.T, store string, times int, kill func()) <-chan struct{} {
	t.Helper()
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	err = filepath.WalkDir(store, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "deduplication_logs" {
			found++
			_, err = syscall.InotifyAddWatch(fd, path, syscall.IN_MODIFY)
			return err
		}
		return nil // parts come and go while we look
	})
	if err != nil || found == 0 {
		t.Fatalf("%d logs of tokens (%v)", found, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer syscall.Close(fd)
		buf := make([]byte, 64*(syscall.SizeofInotifyEvent+syscall.NAME_MAX+1))
		for range times {
			n, err := syscall.Read(fd, buf)
			if err != nil || n < int(unsafe.Sizeof(syscall.InotifyEvent{})) {
				return
			}
		}
		kill()
	}()
	return done
}
