package delivery

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"
	chcolumn "github.com/ClickHouse/clickhouse-go/v2/lib/column"
	native "github.com/ClickHouse/clickhouse-go/v2/lib/proto"

	"plainsight/storage"
)

// reply is what a scripted server says to one INSERT.
type reply struct {
	early int32 // refuse the statement with this code, before any row
	code  int32 // or the rows, once it has them
	take  bool  // with them taken all the same
	lose  bool  // take the rows and hang up
}

// server speaks ClickHouse's native protocol, keeps every row that it takes,
// applies tokens, and answers each INSERT as it is scripted.
type server struct {
	l    net.Listener
	wait sync.WaitGroup

	mu      sync.Mutex
	script  func(n int) reply // of the nth INSERT
	inserts int
	tokens  map[string]int    // and how often each came
	bytes   map[string]string // a token's rows, as text
	changed []string          // tokens that came again with other rows
	frames  map[uint64]int    // calls taken
	batches map[[2]uint64]int // rows taken, by run and number
	conns   map[net.Conn]bool
}

const revision = 54453 // before columns carry flags of their own

func newServer(t testing.TB, script func(n int) reply) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{l: l, script: script, tokens: map[string]int{}, bytes: map[string]string{}, frames: map[uint64]int{}, batches: map[[2]uint64]int{}, conns: map[net.Conn]bool{}}
	s.wait.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[c] = true
			s.mu.Unlock()
			s.wait.Go(func() {
				defer c.Close()
				_ = (&session{server: s, net: c, r: proto.NewReader(c), lz4: compress.NewWriter(compress.LevelZero, compress.LZ4)}).serve()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		s.wait.Wait()
	})
	return s
}

type session struct {
	*server
	net        net.Conn
	r          *proto.Reader
	out        proto.Buffer
	lz4        *compress.Writer
	compressed bool
}

func (s *session) flush() error {
	_, err := s.net.Write(s.out.Buf)
	s.out.Reset()
	return err
}

func (s *session) serve() error {
	code, err := s.r.ReadByte()
	if err != nil || proto.ClientCode(code) != proto.ClientCodeHello {
		return errors.Join(err, errors.New("no hello"))
	}
	var hello proto.ClientHello
	if err := hello.Decode(s.r); err != nil {
		return err
	}
	answer := proto.ServerHello{Name: "scripted", Major: 26, Minor: 7, Revision: revision, Timezone: "UTC"}
	answer.EncodeAware(&s.out, revision)
	if err := s.flush(); err != nil {
		return err
	}
	for {
		code, err := s.r.ReadByte()
		if err != nil {
			return err
		}
		switch proto.ClientCode(code) {
		case proto.ClientCodePing:
			proto.ServerCodePong.Encode(&s.out)
			err = s.flush()
		case proto.ClientCodeQuery:
			err = s.query()
		}
		if err != nil {
			return err
		}
	}
}

var (
	insertText = regexp.MustCompile(`(?s)^INSERT INTO (\w+) \((.*?)\)`)
	countText  = regexp.MustCompile(`WHERE run = (\d+) AND batch BETWEEN (\d+) AND (\d+)`)
)

func (s *session) query() error {
	var q proto.Query
	if err := q.DecodeAware(s.r, revision); err != nil {
		return err
	}
	s.compressed = q.Compression == proto.CompressionEnabled
	if _, err := s.block(); err != nil { // external tables end here
		return err
	}
	if m := insertText.FindStringSubmatch(q.Body); m != nil {
		token := ""
		for _, set := range q.Settings {
			if set.Key == "insert_deduplication_token" {
				token = set.Value
			}
		}
		return s.insert(m[1], strings.Split(m[2], ", "), token)
	}
	b := native.NewBlock()
	if m := countText.FindStringSubmatch(q.Body); m != nil {
		var n [3]uint64
		for i := range n {
			n[i], _ = strconv.ParseUint(m[i+1], 10, 64)
		}
		count := uint64(0)
		s.mu.Lock()
		for at, rows := range s.batches {
			if at[0] == n[0] && at[1] >= n[1] && at[1] <= n[2] {
				count += uint64(rows)
			}
		}
		s.mu.Unlock()
		if err := errors.Join(b.AddColumn("count()", "UInt64"), b.Append(count)); err != nil {
			return err
		}
	} else if err := errors.Join(b.AddColumn("engine", "String"), b.Append("MergeTree")); err != nil {
		return err
	}
	if err := s.send(b); err != nil {
		return err
	}
	proto.ServerCodeEndOfStream.Encode(&s.out)
	return s.flush()
}

func (s *session) except(code int32) error {
	proto.ServerCodeException.Encode(&s.out)
	(&proto.Exception{Code: proto.Error(code), Name: "DB::Exception", Message: "as scripted"}).EncodeAware(&s.out, revision)
	return s.flush()
}

// insert answers an INSERT as it is scripted.
func (s *session) insert(table string, names []string, token string) error {
	s.mu.Lock()
	s.inserts++
	r := s.script(s.inserts)
	s.mu.Unlock()
	if r.early != 0 {
		return s.except(r.early)
	}
	header := native.NewBlock()
	for _, name := range names {
		for _, t := range storage.Tables {
			for _, c := range t.Columns {
				if t.Name == table && c.Name == strings.Trim(name, "`") {
					if err := header.AddColumn(c.Name, chcolumn.Type(c.Type)); err != nil {
						return err
					}
				}
			}
		}
	}
	if err := s.send(header); err != nil {
		return err
	}
	rows, err := s.block()
	if err != nil {
		return err
	}
	if _, err := s.block(); err != nil { // its end
		return err
	}
	s.mu.Lock()
	s.tokens[token]++
	text := fmt.Sprint(rows.Rows())
	for _, c := range rows.Columns {
		for i := range min(rows.Rows(), 50) {
			text += fmt.Sprint(c.Row(i, false), ",")
		}
	}
	if had, ok := s.bytes[token]; ok && had != text {
		s.changed = append(s.changed, token)
	}
	s.bytes[token] = text
	if r.code == 0 || r.take {
		s.take(rows, token)
	}
	s.mu.Unlock()
	if r.lose {
		return errors.New("hangs up")
	}
	if r.code != 0 {
		return s.except(r.code)
	}
	proto.ServerCodeEndOfStream.Encode(&s.out)
	return s.flush()
}

func (s *server) take(b *native.Block, token string) {
	if s.bytes["taken "+token] != "" {
		return
	}
	s.bytes["taken "+token] = "yes"
	at := map[string]int{}
	for i, name := range b.ColumnsNames() {
		at[name] = i
	}
	number := func(name string, row int) uint64 { return b.Columns[at[name]].Row(row, false).(uint64) }
	_, calls := at["frame"]
	for i := range b.Rows() {
		s.batches[[2]uint64{number("run", i), number("batch", i)}]++
		if calls {
			s.frames[number("frame", i)]++
		}
	}
}

// block reads a data packet.
func (s *session) block() (*native.Block, error) {
	code, err := s.r.ReadByte()
	if err != nil {
		return nil, err
	}
	if proto.ClientCode(code) != proto.ClientCodeData {
		return nil, fmt.Errorf("packet %d instead of data", code)
	}
	if _, err := s.r.Str(); err != nil {
		return nil, err
	}
	if s.compressed {
		s.r.EnableCompression()
		defer s.r.DisableCompression()
	}
	b := native.NewBlock()
	b.ServerContext.Timezone = time.UTC
	return b, b.Decode(s.r, revision)
}

// send writes a data packet.
func (s *session) send(b *native.Block) error {
	proto.ServerCodeData.Encode(&s.out)
	s.out.PutString("")
	from := len(s.out.Buf)
	if b.Rows() > 0 {
		if err := b.Encode(&s.out, revision); err != nil {
			return err
		}
	} else { // names and types alone
		proto.BlockInfo{BucketNum: -1}.Encode(&s.out)
		s.out.PutUVarInt(uint64(len(b.Columns)))
		s.out.PutUVarInt(0)
		for _, c := range b.Columns {
			s.out.PutString(c.Name())
			s.out.PutString(string(c.Type()))
		}
	}
	if s.compressed {
		if err := s.lz4.Compress(s.out.Buf[from:]); err != nil {
			return err
		}
		s.out.Buf = append(s.out.Buf[:from], s.lz4.Data...)
	}
	return s.flush()
}

// Every code of the table of classes, said by a server through the real client
// library: at the statement, after the rows, and after the rows were taken.
func TestWhatAServerSays(t *testing.T) {
	type saying struct {
		name string
		reply
	}
	var all []saying
	for code := range classes {
		all = append(all, saying{fmt.Sprintf("%d at the statement", code), reply{early: code}}, saying{fmt.Sprintf("%d after the rows", code), reply{code: code}})
		if classes[code] == Unknown {
			all = append(all, saying{fmt.Sprintf("%d, and taken", code), reply{code: code, take: true}})
		}
	}
	all = append(all, saying{"hangs up", reply{lose: true}}, saying{"hangs up, and taken", reply{lose: true, take: true}},
		saying{"a code nobody knows", reply{code: 4711}})
	var wait sync.WaitGroup
	for _, c := range all {
		k := newServer(t, func(n int) reply {
			if n == 1 {
				return c.reply
			}
			return reply{}
		})
		w := start(t, t.TempDir(), newClickHouse(t, k.l.Addr().String()), func(o *Options) { o.FlushEvery = 10 * time.Millisecond })
		wait.Go(func() {
			write(t, w, 1, 100)
			w.Flush()
			code := c.early + c.code
			begun := c.early == 0
			class := Unknown
			if code != 0 {
				class, _ = classify(begun, errOf(code))
			}
			if class == Config || code == codeParts { // they wait for long: see TestHowLongItWaits
				deadline := time.After(20 * time.Second)
				for w.Stats().Last != class {
					select {
					case <-deadline:
						t.Errorf("%s: %+v", c.name, w.Stats())
						return
					case <-time.After(10 * time.Millisecond):
					}
				}
				s := finish(t, w, time.Millisecond)
				if s.Code != code || s.Taken != 0 || s.Spool.Held != 100 || s.Ready != (class != Config) {
					t.Errorf("%s: %+v", c.name, s)
				}
				conserved(t, s, 0)
				return
			}
			s := finish(t, w, time.Minute)
			conserved(t, s, 0)
			k.mu.Lock()
			defer k.mu.Unlock()
			if s.Errors[class.String()] == 0 || s.Duplicates > 0 || s.Lost > 0 || len(k.changed) > 0 {
				t.Errorf("%s: %+v, tokens whose rows changed: %v", c.name, s, k.changed)
			}
			if class == Data {
				if s.Rejected[code] != 100 || len(k.frames) > 0 {
					t.Errorf("%s: %+v", c.name, s)
				}
				return
			}
			if s.Taken != 100 || len(k.frames) != 100 {
				t.Errorf("%s: %d different calls there: %+v", c.name, len(k.frames), s)
			}
			for id, n := range k.frames {
				if n != 1 {
					t.Errorf("%s: call %d is there %d times", c.name, id, n)
					break
				}
			}
			for token, n := range k.tokens {
				if n > 2 || len(k.tokens) > 1 {
					t.Errorf("%s: token %s of %d came %d times", c.name, token, len(k.tokens), n)
				}
			}
		})
	}
	wait.Wait()
}

func errOf(n int32) error { return fmt.Errorf("insert: %w", code(n)) }
