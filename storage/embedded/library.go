//go:build linux && (amd64 || arm64) && !noembedded

package embedded

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ebitengine/purego"
)

// library is the part of chDB's C interface that is used here. Handles and
// what they point to belong to the library; each result is destroyed by the
// function that asked for it, and bytes are copied before that.
type library struct {
	setSignalHandlers func(enabled int32)
	connect           func(argc int32, argv unsafe.Pointer) unsafe.Pointer // *connection, nil on failure
	closeConn         func(conn unsafe.Pointer)

	query       func(conn unsafe.Pointer, sql *byte, n uintptr, format *byte, m uintptr) unsafe.Pointer
	streamQuery func(conn unsafe.Pointer, sql *byte, n uintptr, format *byte, m uintptr) unsafe.Pointer
	fetch       func(conn, stream unsafe.Pointer) unsafe.Pointer
	cancelQuery func(conn, stream unsafe.Pointer)
	classify    func(conn unsafe.Pointer, sql *byte, n uintptr, db *byte, m uintptr, out unsafe.Pointer) int32

	streamInsert  func(conn unsafe.Pointer, sql *byte, n uintptr, format *byte, m uintptr) unsafe.Pointer
	append        func(stream unsafe.Pointer, data *byte, n uintptr) int32
	done          func(stream unsafe.Pointer) unsafe.Pointer
	insertError   func(stream unsafe.Pointer) unsafe.Pointer
	destroyInsert func(stream unsafe.Pointer) // cancels what is not done

	buffer      func(result unsafe.Pointer) unsafe.Pointer
	length      func(result unsafe.Pointer) uintptr
	resultError func(result unsafe.Pointer) unsafe.Pointer
	rowsRead    func(result unsafe.Pointer) uint64
	bytesRead   func(result unsafe.Pointer) uint64
	rowsWritten func(result unsafe.Pointer) uint64
	destroy     func(result unsafe.Pointer)
	version     func() unsafe.Pointer
}

// Unbuilt is the error of builds that cannot load the engine; nil: this can.
func Unbuilt() error { return nil }

// load opens the shared library at path. It stays loaded for the life of the
// process: there is no safe way to unload it.
func load(path string) (*library, error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("load the engine: %w", err)
	}
	l := new(library)
	symbols := []struct {
		name string
		fn   any
	}{
		{"chdb_set_signal_handlers_enabled", &l.setSignalHandlers},
		{"chdb_connect", &l.connect},
		{"chdb_close_conn", &l.closeConn},
		{"chdb_query_n", &l.query},
		{"chdb_stream_query_n", &l.streamQuery},
		{"chdb_stream_fetch_result", &l.fetch},
		{"chdb_stream_cancel_query", &l.cancelQuery},
		{"chdb_classify_query_n", &l.classify},
		{"chdb_stream_insert_n", &l.streamInsert},
		{"chdb_stream_append", &l.append},
		{"chdb_stream_done", &l.done},
		{"chdb_stream_insert_error", &l.insertError},
		{"chdb_destroy_insert_stream", &l.destroyInsert},
		{"chdb_result_buffer", &l.buffer},
		{"chdb_result_length", &l.length},
		{"chdb_result_error", &l.resultError},
		{"chdb_result_rows_read", &l.rowsRead},
		{"chdb_result_bytes_read", &l.bytesRead},
		{"chdb_result_rows_written", &l.rowsWritten},
		{"chdb_destroy_query_result", &l.destroy},
		{"chdb_version", &l.version},
	}
	for _, s := range symbols {
		addr, err := purego.Dlsym(handle, s.name)
		if err != nil {
			return nil, fmt.Errorf("load the engine: %s is too old or no chDB: %w", path, err)
		}
		purego.RegisterFunc(s.fn, addr)
	}
	keepSignals(func() { l.setSignalHandlers(0) })
	return l, nil
}

// Probe loads the library at path and returns the version it states.
func Probe(path string) (string, error) {
	l, err := load(path)
	if err != nil {
		return "", err
	}
	return text(l.version()), nil
}

// keepSignals calls f and puts the handlers of the deadly signals back as they
// were. The engine sets them to their default both when its own are declined
// and at each connect; Go's runtime needs its own to turn a nil dereference
// into a panic.
func keepSignals(f func()) {
	deadly := [...]syscall.Signal{syscall.SIGABRT, syscall.SIGSEGV, syscall.SIGILL, syscall.SIGBUS,
		syscall.SIGSYS, syscall.SIGFPE, syscall.SIGTSTP, syscall.SIGTRAP}
	var saved [len(deadly)][64]byte // larger than the kernel's struct sigaction
	const setSize = 8               // of the kernel's sigset_t
	for i, sig := range deadly {
		syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig), 0, uintptr(unsafe.Pointer(&saved[i])), setSize, 0, 0)
	}
	f()
	for i, sig := range deadly {
		syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&saved[i])), 0, setSize, 0, 0)
	}
}

// text copies a C string.
func text(p unsafe.Pointer) string {
	if p == nil {
		return ""
	}
	n := 0
	for *(*byte)(unsafe.Add(p, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(p), n))
}

var native = []byte("Native")

// connection is one session of the engine. It runs one statement at a time;
// its settings and current database are its own.
type connection struct {
	lib  *library
	cell unsafe.Pointer // chdb_connection *
}

// connecting keeps two threads from saving each other's signal handlers.
var connecting sync.Mutex

// open makes a session. The first one in a process starts the engine on the
// path among args ("--path=…"); later ones must name the same.
func (l *library) open(args ...string) (*connection, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	argv := make([]*byte, 0, len(args)+2)
	for _, a := range append([]string{"plainsight"}, args...) {
		if strings.IndexByte(a, 0) >= 0 {
			return nil, errors.New("a NUL byte in an option of the engine")
		}
		b := append([]byte(a), 0)
		pin.Pin(&b[0])
		argv = append(argv, &b[0])
	}
	argv = append(argv, nil)
	pin.Pin(&argv[0])

	connecting.Lock()
	defer connecting.Unlock()
	var cell unsafe.Pointer
	keepSignals(func() { cell = l.connect(int32(len(argv)-1), unsafe.Pointer(&argv[0])) })
	if cell == nil {
		return nil, errors.New("the engine refused to start on this path")
	}
	return &connection{lib: l, cell: cell}, nil
}

func (c *connection) handle() unsafe.Pointer { return *(*unsafe.Pointer)(c.cell) }

func (c *connection) close() {
	if c.cell != nil {
		c.lib.closeConn(c.cell)
		c.cell = nil
	}
}

// stats count what a statement touched.
type stats struct{ rows, bytes, written uint64 }

func (c *connection) stats(result unsafe.Pointer) stats {
	return stats{c.lib.rowsRead(result), c.lib.bytesRead(result), c.lib.rowsWritten(result)}
}

// class is what a statement does to state that outlives it.
type class uint32

// readOnly statements leave no trace; everything above them may.
const readOnly class = 0

// classify parses a statement with the engine's own parser and says what it
// would do and how many statements it is. Text that does not parse is none.
func (c *connection) classify(sql string) (class, int, error) {
	var out struct{ size, statements, flags, class uint32 }
	out.size = uint32(unsafe.Sizeof(out))
	b := bytesOf(sql)
	if c.lib.classify(c.handle(), &b[0], uintptr(len(sql)), nil, 0, unsafe.Pointer(&out)) != 0 {
		return 0, 0, errors.New("the engine could not classify the statement")
	}
	return class(out.class), int(out.statements), nil
}

// exec runs a statement to its end and returns its whole result, Native blocks
// as a rule.
func (c *connection) exec(sql string) ([]byte, stats, error) {
	b := bytesOf(sql)
	result := c.lib.query(c.handle(), &b[0], uintptr(len(sql)), &native[0], uintptr(len(native)))
	if result == nil {
		return nil, stats{}, errors.New("the engine gave no result")
	}
	defer c.lib.destroy(result)
	if e := c.lib.resultError(result); e != nil {
		return nil, stats{}, exception(text(e))
	}
	return c.copy(result), c.stats(result), nil
}

func (c *connection) copy(result unsafe.Pointer) []byte {
	n, p := c.lib.length(result), c.lib.buffer(result)
	if n == 0 || p == nil {
		return nil
	}
	return append([]byte(nil), unsafe.Slice((*byte)(p), n)...)
}

// stream runs a SELECT and calls pass with each piece of its result: whole
// Native blocks, borrowed. An error of pass ends the query.
func (c *connection) stream(sql string, pass func([]byte) error) (stats, error) {
	b := bytesOf(sql)
	stream := c.lib.streamQuery(c.handle(), &b[0], uintptr(len(sql)), &native[0], uintptr(len(native)))
	if stream == nil {
		return stats{}, errors.New("the engine gave no result")
	}
	defer c.lib.destroy(stream)
	if e := c.lib.resultError(stream); e != nil {
		return stats{}, exception(text(e))
	}
	var sum stats
	for {
		more, err := c.next(stream, &sum, pass)
		if err != nil {
			c.lib.cancelQuery(c.handle(), stream)
		}
		if err != nil || !more {
			return sum, err
		}
	}
}

func (c *connection) next(stream unsafe.Pointer, sum *stats, pass func([]byte) error) (bool, error) {
	piece := c.lib.fetch(c.handle(), stream)
	if piece == nil {
		return false, errors.New("the engine gave no result")
	}
	defer c.lib.destroy(piece)
	if e := c.lib.resultError(piece); e != nil {
		return false, exception(text(e))
	}
	n, p := c.lib.length(piece), c.lib.buffer(piece)
	if n == 0 || p == nil {
		return false, nil
	}
	s := c.stats(piece)
	sum.rows, sum.bytes = sum.rows+s.rows, sum.bytes+s.bytes
	return true, pass(unsafe.Slice((*byte)(p), n))
}

// insert is an INSERT that takes its rows as Native blocks. Nothing is
// committed before commit says so.
type insert struct {
	conn   *connection
	stream unsafe.Pointer
}

func (c *connection) insert(sql string) (*insert, error) {
	b := bytesOf(sql)
	i := &insert{c, c.lib.streamInsert(c.handle(), &b[0], uintptr(len(sql)), &native[0], uintptr(len(native)))}
	if err := i.err(); err != nil {
		i.close()
		return nil, err
	}
	return i, nil
}

func (i *insert) err() error {
	if e := i.conn.lib.insertError(i.stream); e != nil {
		return exception(text(e))
	}
	return nil
}

// append passes a piece of the input, cut anywhere; it is copied. It blocks
// while the engine is behind.
func (i *insert) append(b []byte) error {
	if len(b) == 0 || i.conn.lib.append(i.stream, &b[0], uintptr(len(b))) == 0 {
		return nil
	}
	if err := i.err(); err != nil {
		return err
	}
	return errors.New("the engine refused the rows")
}

func (i *insert) commit() (stats, error) {
	result := i.conn.lib.done(i.stream)
	if result == nil {
		return stats{}, errors.New("the engine gave no result")
	}
	defer i.conn.lib.destroy(result)
	if e := i.conn.lib.resultError(result); e != nil {
		return stats{}, exception(text(e))
	}
	return i.conn.stats(result), nil
}

func (i *insert) close() { i.conn.lib.destroyInsert(i.stream) }

// bytesOf returns the bytes of s with room to take the address of the first.
func bytesOf(s string) []byte { return append([]byte(s), 0) }

// exception takes the engine's text apart: "Code: 60. DB::Exception: … (NAME)",
// sometimes doubly wrapped.
func exception(s string) error {
	e := &proto.Exception{Code: 1000, Name: "DB::Exception", Message: s} // 1000: POCO_EXCEPTION, for text without a code
	for strings.HasPrefix(s, "Code: ") {
		number, rest, ok := strings.Cut(s[len("Code: "):], ". ")
		code, err := strconv.Atoi(number)
		if !ok || err != nil {
			break
		}
		e.Code = proto.Error(code)
		s = strings.TrimPrefix(rest, "DB::Exception: ")
		e.Message = s
	}
	return failure{e}
}

// failure is an exception of the engine on its way to the client.
type failure struct{ *proto.Exception }

func (f failure) Error() string { return f.Message }

// flock takes the lock of a store, without waiting.
func flock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
