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

// perLife is more calls than an agent writes before it is killed.
const perLife = 1_000_000

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
	w, err := Open(ctx, Options{Sink: k, Agent: "agent", Spool: spool.Options{Dir: dir, SegmentBytes: 16 << 10},
		BatchRows: 300, RecordRows: 100, FlushEvery: time.Millisecond})
	if err != nil {
		return err
	}
	if life == 0 {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
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
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), agentVariable+"="+addr, dirVariable+"="+dir, lifeVariable+"="+strconv.Itoa(life), "GOMAXPROCS=2")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
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

// An agent is killed at random times, two hundred times. What it held for
// spooled is there, once.
func TestKillsOfTheAgent(t *testing.T) {
	e, _ := engine(t)
	dir := filepath.Join(t.TempDir(), "spool")
	r := rand.New(rand.NewPCG(2, 2))
	n := kills(200)
	spooled := make([]uint64, n+1)
	for life := 1; life <= n; life++ {
		cmd, lines := agent(t, e.Addr, dir, life)
		kill := time.After(20*time.Second + time.Duration(r.IntN(30))*time.Millisecond)
		var last string
		for alive := true; alive; {
			select {
			case line, ok := <-lines:
				if !ok {
					_ = cmd.Wait()
					t.Fatalf("the agent ended by itself: %s", last)
				}
				if last == "" { // it has begun
					kill = time.After(time.Duration(r.IntN(40_000)) * time.Microsecond)
				}
				last = line
			case <-kill:
				if err := syscall.Kill(cmd.Process.Pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				alive = false
			}
		}
		for line := range lines { // what it had said before it died
			last = line
		}
		_ = cmd.Wait()
		if number, ok := strings.CutPrefix(last, "spooled "); ok {
			spooled[life], _ = strconv.ParseUint(number, 10, 64)
		}
	}
	cmd, lines := agent(t, e.Addr, dir, 0)
	var said string
	for line := range lines {
		said = line
	}
	if err := cmd.Wait(); err != nil || said != "held 0 corrupt 0 missing 0 duplicates 0" {
		t.Errorf("in the end the agent says %q (%v)", said, err)
	}

	var rows, total uint64
	for life := 1; life <= n; life++ {
		total += spooled[life]
	}
	got := ask(t, e.Addr, "SELECT count(), uniqExact(frame) FROM calls")
	if rows = got[0]; got[0] != got[1] {
		t.Errorf("%d calls, %d different: some are there twice", got[0], got[1])
	}
	for life := 1; life <= n; life++ {
		first := uint64(life) * perLife
		got := ask(t, e.Addr, fmt.Sprintf("SELECT count(), max(frame) FROM calls WHERE frame >= %d AND frame < %d", first, first+spooled[life]))
		if got[0] != spooled[life] {
			t.Errorf("life %d: %d calls of %d that were spooled", life, got[0], spooled[life])
		}
	}
	got = ask(t, e.Addr, "SELECT count(), uniqExact(key) FROM findings FINAL WHERE run IN (SELECT run FROM findings)")
	if got[0] != got[1] {
		t.Errorf("%d findings of %d keys", got[0], got[1])
	}
	if total == 0 {
		t.Error("no agent lived long enough to spool a row")
	}
	t.Logf("%d kills: %d rows spooled before them, %d there, none twice", n, total, rows)
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
		}
		return nil
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
