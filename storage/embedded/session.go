//go:build linux && (amd64 || arm64) && !noembedded

package embedded

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"
)

// revision of the native protocol that is spoken: the last one before columns
// carry flags of their own serialization, so that a block of the engine needs
// only a block info in front to be a block of the protocol.
const revision = 54453

// Bounds on what a client may send outside of blocks.
const (
	maxSettings = 1000
	helloTime   = 10 * time.Second
)

// Codes of exceptions that are raised here and not by the engine.
const (
	codeSyntax    proto.Error = 62
	codeUnknownDB proto.Error = 81
	codeReadOnly  proto.Error = 164
	codeProtocol  proto.Error = 101
	codeAuth      proto.Error = 516
)

// session is one client's connection: a server of the native protocol on one
// side, a connection of the engine on the other.
type session struct {
	engine   *Engine
	net      net.Conn
	password string // "": none is asked for

	r       *proto.Reader
	out     proto.Buffer
	sending sync.Mutex // on net: progress is told while a statement runs
	lz4     *compress.Writer
	version int // of the protocol: the lesser of both sides

	conn     *connection
	tag      string // names this session's statements among all, to kill them
	database string
	settings map[string]string // as the engine has them now
	compress bool

	// One byte is read ahead while a statement runs, so that a cancel or a
	// hang-up is seen.
	ahead   chan packet
	pending bool
}

type packet struct {
	code proto.ClientCode
	err  error
}

// guard serves the client and keeps what a hostile one may break to its own
// session.
func (s *session) guard() {
	defer func() { _ = recover() }()
	_ = s.serve()
}

// serve speaks with one client until it leaves.
func (s *session) serve() error {
	defer s.net.Close()
	s.r = proto.NewReader(s.net)
	s.ahead = make(chan packet, 1)
	defer func() {
		s.net.Close()
		if s.pending {
			<-s.ahead
		}
		if s.conn != nil {
			s.conn.close()
		}
	}()
	if err := s.hello(); err != nil {
		return err
	}
	for {
		s.readAhead()
		p := <-s.ahead
		s.pending = false
		if p.err != nil {
			return p.err
		}
		var err error
		switch p.code {
		case proto.ClientCodePing:
			proto.ServerCodePong.Encode(&s.out)
			err = s.flush()
		case proto.ClientCodeQuery:
			err = s.statement()
		case proto.ClientCodeCancel: // of a statement that has ended by itself
		default:
			err = fmt.Errorf("unexpected packet %d", p.code)
		}
		if err != nil {
			return err
		}
	}
}

// readAhead starts to read the code of the next packet.
func (s *session) readAhead() {
	if s.pending {
		return
	}
	s.pending = true
	go func() {
		code, err := s.r.ReadByte()
		s.ahead <- packet{proto.ClientCode(code), err}
	}()
}

func (s *session) flush() error {
	s.sending.Lock()
	defer s.sending.Unlock()
	_, err := s.net.Write(s.out.Buf)
	s.out.Reset()
	return err
}

func (s *session) hello() error {
	s.net.SetDeadline(time.Now().Add(helloTime))
	defer s.net.SetDeadline(time.Time{})
	code, err := s.r.ReadByte()
	if err != nil {
		return err
	}
	if proto.ClientCode(code) != proto.ClientCodeHello {
		return errors.New("no client of the native protocol")
	}
	hello, err := readHello(s.r)
	if err != nil {
		return err
	}
	s.version = min(hello.ProtocolVersion, revision)
	if !proto.FeatureSettingsSerializedAsStrings.In(s.version) {
		return s.refuse(codeProtocol, "the client's protocol is too old")
	}
	if !equal(s.password, hello.Password) {
		return s.refuse(codeAuth, "wrong password")
	}
	if err := s.connect(); err != nil {
		return s.refuse(1000, err.Error())
	}
	if hello.Database != "" && hello.Database != "default" {
		s.database = hello.Database
		if err := s.use(); err != nil {
			return s.refuse(codeUnknownDB, err.Error())
		}
	}
	v := s.engine.version
	answer := proto.ServerHello{Name: "ClickHouse", Major: v[0], Minor: v[1], Patch: v[2],
		Revision: revision, Timezone: "UTC", DisplayName: "plainsight"}
	answer.EncodeAware(&s.out, s.version)
	return s.flush()
}

// readHello decodes a client's hello. Its texts are bounded: whoever sends
// them has shown no password yet.
func readHello(r io.Reader) (hello proto.ClientHello, err error) {
	w := walker{src: r, maxText: 4096}
	for _, field := range []any{&hello.Name, &hello.Major, &hello.Minor, &hello.ProtocolVersion,
		&hello.Database, &hello.User, &hello.Password} {
		switch field := field.(type) {
		case *string:
			b, err := w.text()
			if err != nil {
				return hello, err
			}
			*field = string(b)
		case *int:
			n, err := w.uvarint()
			if err != nil || n > math.MaxInt32 {
				return hello, errBlock
			}
			*field = int(n)
		}
	}
	return hello, nil
}

// refuse answers with an exception and ends the session.
func (s *session) refuse(code proto.Error, message string) error {
	if err := s.except(failure{&proto.Exception{Code: code, Name: "DB::Exception", Message: message}}); err != nil {
		return err
	}
	return errors.New(message)
}

// connect gives the session a fresh connection of the engine.
func (s *session) connect() error {
	if s.conn != nil {
		s.conn.close()
		s.conn = nil
	}
	conn, err := s.engine.connect("--log_comment=" + s.tag)
	if err != nil {
		return err
	}
	s.conn, s.settings = conn, map[string]string{}
	return nil
}

func (s *session) use() error {
	if s.database == "" {
		return nil
	}
	_, _, err := s.conn.exec("USE " + identifier(s.database))
	return err
}

func identifier(name string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(name) + "`"
}

func literal(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}

// statement reads a query, runs it and answers. Only errors of the transport
// are returned; the engine's go to the client.
func (s *session) statement() error {
	var q proto.Query
	if err := q.DecodeAware(s.r, s.version); err != nil {
		return err
	}
	s.compress = q.Compression == proto.CompressionEnabled
	for { // external tables, which are not supported, then an empty block
		rows, err := s.readBlock(true, nil)
		if err != nil {
			return err
		}
		if rows == 0 {
			break
		}
	}
	err := s.run(&q)
	if f := (failure{}); errors.As(err, &f) {
		return s.except(f)
	}
	return err
}

// except sends an exception.
func (s *session) except(f failure) error {
	s.out.Reset()
	proto.ServerCodeException.Encode(&s.out)
	f.EncodeAware(&s.out, s.version)
	return s.flush()
}

func fail(code proto.Error, format string, args ...any) error {
	return failure{&proto.Exception{Code: code, Name: "DB::Exception", Message: fmt.Sprintf(format, args...)}}
}

var (
	// What a client puts at the end of an INSERT whose rows follow as blocks.
	insertTail = regexp.MustCompile(`(?is)^(\s*INSERT\s+INTO\s.*?)\s+(?:FORMAT\s+\w+|VALUES)\s*;?\s*$`)
	insertInto = regexp.MustCompile("(?is)^\\s*INSERT\\s+INTO\\s+(?:TABLE\\s+)?((?:[\\w.]|`[^`]*`|\"[^\"]*\")+)\\s*(?:\\(([^()]*)\\))?")
	// Over the native protocol the format of a result is the client's matter.
	formatTail = regexp.MustCompile(`(?is)\s+FORMAT\s+\w+\s*;?\s*$`)
	settingKey = regexp.MustCompile(`^[A-Za-z0-9_.]{1,128}$`)
)

func (s *session) run(q *proto.Query) error {
	if err := s.apply(q.Settings); err != nil {
		return err
	}
	if m := insertTail.FindStringSubmatch(q.Body); m != nil {
		return s.insert(m[1])
	}
	sql := formatTail.ReplaceAllString(q.Body, "")
	what, count, err := s.conn.classify(sql)
	switch {
	case err != nil:
		return err
	case count > 1:
		return fail(codeSyntax, "one statement at a time, not %d", count)
	case s.readOnly() && count == 1 && what != readOnly:
		return fail(codeReadOnly, "the connection is read-only and the statement is not")
	}

	defer s.watch()()
	told, hush := s.tell()
	defer hush()
	var done stats
	sent := false
	pass := func(blocks []byte) error {
		sent = true
		return s.sendBlocks(blocks)
	}
	if what == readOnly && count == 1 {
		done, err = s.conn.stream(sql, pass)
	}
	if what != readOnly || count != 1 || !sent && unstreamable(err) {
		var result []byte
		if result, done, err = s.conn.exec(sql); err == nil && len(result) > 0 {
			err = pass(result)
		}
	}
	if err != nil {
		return err
	}
	hush() // nothing follows the end
	if !sent && what == readOnly {
		if err := s.sendHeader(sql); err != nil {
			return err
		}
	}
	done.rows, done.bytes = done.rows-min(done.rows, told.rows), done.bytes-min(done.bytes, told.bytes)
	return s.finish(done)
}

// progressEvery is how often a statement that runs long tells how it gets on.
const progressEvery = 200 * time.Millisecond

// tell sends what the running statement has read so far, until hush is called.
// told is what it sent, and the caller's after that.
func (s *session) tell() (told *stats, hush func()) {
	told = new(stats)
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		var out proto.Buffer
		total := uint64(0)
		for {
			select {
			case <-over:
				return
			case <-tick.C:
			}
			now, all, ok := s.engine.progress(s.tag)
			if !ok || now.rows < told.rows || now.bytes < told.bytes {
				continue
			}
			out.Reset()
			proto.ServerCodeProgress.Encode(&out)
			proto.Progress{Rows: now.rows - told.rows, Bytes: now.bytes - told.bytes, TotalRows: max(all, total) - total}.EncodeAware(&out, s.version)
			*told, total = now, max(all, total)
			s.sending.Lock()
			_, err := s.net.Write(out.Buf)
			s.sending.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return told, sync.OnceFunc(func() {
		close(over)
		<-ended
	})
}

// unstreamable tells the statements that read but are no SELECT: SHOW, EXPLAIN.
func unstreamable(err error) bool {
	var f failure
	return errors.As(err, &f) && strings.HasPrefix(f.Message, "Streaming query is not supported")
}

func (s *session) finish(done stats) error {
	proto.ServerCodeProgress.Encode(&s.out)
	proto.Progress{Rows: done.rows, Bytes: done.bytes, WroteRows: done.written}.EncodeAware(&s.out, s.version)
	proto.ServerCodeEndOfStream.Encode(&s.out)
	return s.flush()
}

// readOnly says whether the session may only read.
func (s *session) readOnly() bool {
	v := s.settings["readonly"]
	return v != "" && v != "0"
}

// apply makes the engine's settings those of the query. A read-only session
// cannot change back: it gets a new connection instead.
func (s *session) apply(list []proto.Setting) error {
	if len(list) > maxSettings {
		return fail(codeProtocol, "%d settings", len(list))
	}
	want := make(map[string]string, len(list))
	for _, set := range list {
		if !settingKey.MatchString(set.Key) {
			return fail(codeSyntax, "a setting's name is malformed")
		}
		if set.Key != "log_comment" { // ours: see tag
			want[set.Key] = set.Value
		}
	}
	if s.readOnly() && !same(want, s.settings) {
		if err := s.connect(); err != nil {
			return err
		}
		if err := s.use(); err != nil {
			return err
		}
	}
	for key := range s.settings {
		if _, ok := want[key]; !ok {
			if err := s.set(key, "DEFAULT"); err != nil {
				return err
			}
			delete(s.settings, key)
		}
	}
	keys := make([]string, 0, len(want))
	for key, value := range want {
		if had, ok := s.settings[key]; !ok || had != value {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b string) int { // readonly last: it locks the rest
		if (a == "readonly") != (b == "readonly") {
			if a == "readonly" {
				return 1
			}
			return -1
		}
		return strings.Compare(a, b)
	})
	for _, key := range keys {
		if err := s.set(key, literal(want[key])); err != nil {
			return err
		}
		s.settings[key] = want[key]
	}
	return nil
}

func (s *session) set(key, value string) error {
	_, _, err := s.conn.exec("SET " + key + " = " + value)
	return err
}

func same(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}

// watch kills the running statement when the client cancels or leaves. The
// function it returns ends the watch and is called when the statement is over.
func (s *session) watch() (stop func()) {
	s.readAhead()
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-over:
			return
		case p := <-s.ahead:
			s.ahead <- p // it is read again when the statement has ended
			if p.err == nil && p.code != proto.ClientCodeCancel {
				return
			}
		}
		tick := time.NewTicker(50 * time.Millisecond) // the statement may not have begun yet
		defer tick.Stop()
		for {
			s.engine.kill(s.tag)
			select {
			case <-over:
				return
			case <-tick.C:
			}
		}
	}()
	return func() {
		close(over)
		<-ended
	}
}

// sendBlocks passes on what the engine gave: whole Native blocks.
func (s *session) sendBlocks(b []byte) error {
	for len(b) > 0 {
		w := walker{buf: b}
		n := len(b)
		if err := w.block(); err == nil {
			n = w.pos
		} else if unknown := errType(""); !errors.As(err, &unknown) {
			return fail(codeProtocol, "the engine's result is no Native block")
		} // a type that cannot be walked: pieces of the engine are one block each
		if err := s.sendBlock(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (s *session) sendBlock(b []byte) error {
	proto.ServerCodeData.Encode(&s.out)
	s.out.PutString("") // the result itself, no external table
	start := len(s.out.Buf)
	proto.BlockInfo{BucketNum: -1}.Encode(&s.out)
	s.out.PutRaw(b)
	if s.compress {
		if s.lz4 == nil {
			s.lz4 = compress.NewWriter(compress.LevelZero, compress.LZ4)
		}
		if err := s.lz4.Compress(s.out.Buf[start:]); err != nil {
			return err
		}
		s.out.Buf = append(s.out.Buf[:start], s.lz4.Data...)
	}
	return s.flush()
}

// sendHeader tells the columns of a result without rows.
func (s *session) sendHeader(sql string) error {
	header, err := s.header(strings.TrimRight(sql, "; \t\r\n"))
	if err != nil {
		header = []byte{0, 0} // no columns: SHOW and its like cannot be described
	}
	return s.sendBlock(header)
}

// header makes a block without rows that has the columns of a SELECT.
func (s *session) header(sql string) ([]byte, error) {
	described, _, err := s.conn.exec("DESCRIBE (" + sql + "\n)")
	if err != nil {
		return nil, err
	}
	// DESCRIBE's first two columns are the names and the types.
	w := walker{buf: described}
	columns, err := w.uvarint()
	if err != nil {
		return nil, err
	}
	rows, err := w.uvarint()
	if err != nil || columns < 2 || rows > maxColumns {
		return nil, errBlock
	}
	var lists [2][][]byte
	for i := range lists {
		for range 2 { // the name of the column and its type, String
			if _, err := w.text(); err != nil {
				return nil, err
			}
		}
		for range rows {
			value, err := w.text()
			if err != nil {
				return nil, err
			}
			lists[i] = append(lists[i], value)
		}
	}
	var b proto.Buffer
	b.PutUVarInt(rows)
	b.PutUVarInt(0)
	for i := range lists[0] {
		b.PutUVarInt(uint64(len(lists[0][i])))
		b.PutRaw(lists[0][i])
		b.PutUVarInt(uint64(len(lists[1][i])))
		b.PutRaw(lists[1][i])
	}
	return b.Buf, nil
}

// insert runs an INSERT whose rows the client sends as blocks.
func (s *session) insert(sql string) error {
	if s.readOnly() {
		return fail(codeReadOnly, "the connection is read-only and the statement is not")
	}
	m := insertInto.FindStringSubmatch(sql)
	if m == nil {
		return fail(codeSyntax, "the target of the INSERT is not understood")
	}
	columns := "*"
	if strings.TrimSpace(m[2]) != "" {
		columns = m[2]
	}
	header, err := s.header("SELECT " + columns + " FROM " + m[1])
	if err != nil {
		return err
	}
	in, err := s.conn.insert(sql)
	if err != nil {
		return err
	}
	defer in.close()
	if err := s.sendBlock(header); err != nil {
		return err
	}

	// After a failure the client's blocks are read to their end all the same:
	// it looks for the answer only then.
	var failed error
	for {
		rows, err := s.readBlock(false, func(b []byte) error {
			if failed == nil {
				failed = in.append(b)
			}
			return nil
		})
		if err != nil {
			return err // the client left: nothing is committed
		}
		if rows == 0 {
			break
		}
	}
	if failed != nil {
		return failed
	}
	done, err := in.commit()
	if err != nil {
		return err
	}
	return s.finish(done)
}

// readBlock reads a data packet and passes its block, without the block info,
// to sink in pieces. It returns the number of its rows: 0 ends the data.
func (s *session) readBlock(external bool, sink func([]byte) error) (uint64, error) {
	code, err := s.r.ReadByte()
	if err != nil {
		return 0, err
	}
	if proto.ClientCode(code) != proto.ClientCodeData {
		return 0, fmt.Errorf("unexpected packet %d instead of data", code)
	}
	if _, err := s.r.Str(); err != nil { // of an external table
		return 0, err
	}
	if s.compress {
		s.r.EnableCompression()
		defer s.r.DisableCompression()
	}
	var info proto.BlockInfo
	if err := info.Decode(s.r); err != nil {
		return 0, err
	}
	if sink == nil {
		sink = func([]byte) error { return nil }
	}
	w := walker{src: s.r, sink: sink, buf: s.engine.piece()}
	defer func() { s.engine.recycle(w.buf) }()
	if err := w.block(); err != nil {
		return 0, err
	}
	if external && w.rows > 0 {
		return 0, errors.New("external tables are not supported")
	}
	if w.rows == 0 {
		return 0, nil // an end of data is no input of the engine's
	}
	return w.rows, w.flush()
}
