//go:build linux && (amd64 || arm64) && !noembedded

package embedded

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
)

// Engine is the engine running on one store. It is safe for concurrent use.
type Engine struct {
	path    string
	lib     *library
	lock    *os.File
	version [3]int
	users   int // how many opened it

	root sync.Mutex // one statement at a time on the connection that keeps the engine up
	conn *connection

	tags     atomic.Uint64
	mu       sync.Mutex
	sessions map[net.Conn]struct{}
	closed   bool
	running  sync.WaitGroup
	pieces   sync.Pool // of []byte
}

// process is the one thing here that cannot be more than one: the library
// keeps its state in the process and has one path at a time.
var process struct {
	sync.Mutex
	lib    *library
	engine *Engine
}

// Open starts the engine on the store at path, or joins the one that this
// process already runs there. Each Open wants its [Engine.Close].
func Open(path string, o Options) (*Engine, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPath, err)
	}
	process.Lock()
	defer process.Unlock()
	if e := process.engine; e != nil {
		if e.path != path {
			return nil, fmt.Errorf("%s: %w: this process has %s open and can have one store", path, ErrBusy, e.path)
		}
		e.users++
		return e, nil
	}
	if o.Create { // no store is made where there is no engine for it
		if err := provide(o); err != nil {
			return nil, err
		}
	}
	lock, err := claim(path, o.Create)
	if err != nil {
		return nil, err
	}
	e, err := start(path, o)
	if err != nil {
		lock.Close()
		return nil, err
	}
	e.lock, e.users = lock, 1
	process.engine = e
	return e, nil
}

// provide loads the library, once.
func provide(o Options) (err error) {
	if process.lib != nil {
		return nil
	}
	library := o.Library
	if library == "" {
		if library, err = Locate(); err != nil {
			return err
		}
	}
	process.lib, err = load(library)
	return err
}

func start(path string, o Options) (*Engine, error) {
	if err := provide(o); err != nil {
		return nil, err
	}
	e := &Engine{path: path, lib: process.lib, sessions: map[net.Conn]struct{}{}}
	conn, err := e.connect()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	e.conn = conn
	_, _ = fmt.Sscanf(text(e.lib.version()), "%d.%d.%d", &e.version[0], &e.version[1], &e.version[2])
	return e, nil
}

// connect opens a connection of the engine. Options other than the path hold
// for this connection.
func (e *Engine) connect(options ...string) (*connection, error) {
	return e.lib.open(append([]string{"--path=" + e.path, "--async_insert=0"}, options...)...)
}

// Path is the directory of the store.
func (e *Engine) Path() string { return e.path }

// Version is the engine's.
func (e *Engine) Version() string { return text(e.lib.version()) }

// Dial opens a session inside this process and returns the client's end of
// it: what clickhouse-go's DialContext wants.
func (e *Engine) Dial(context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	if err := e.attend(server, ""); err != nil {
		client.Close()
		return nil, err
	}
	return client, nil
}

// Serve answers clients of the native protocol on l until ctx ends. Whoever
// reaches l and knows the password can read and write the store: l belongs on
// a loopback address, and the password must not be empty.
func (e *Engine) Serve(ctx context.Context, l net.Listener, password string) error {
	if password == "" {
		return errors.New("serve a store: without a password anyone on this machine could read it")
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("serve a store: %w", err)
		}
		if err := e.attend(conn, password); errors.Is(err, net.ErrClosed) {
			return nil
		}
	}
}

// maxSessions are open at once.
const maxSessions = 256

var errSessions = errors.New("too many sessions of the store are open")

// attend serves a client in the background.
func (e *Engine) attend(conn net.Conn, password string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		conn.Close()
		return net.ErrClosed
	case len(e.sessions) >= maxSessions:
		conn.Close()
		return errSessions
	}
	e.sessions[conn] = struct{}{}
	s := &session{engine: e, net: conn, password: password, tag: "plainsight-" + strconv.FormatUint(e.tags.Add(1), 10)}
	e.running.Go(func() {
		s.guard() // how a session ends concerns its client alone, who was told
		e.mu.Lock()
		delete(e.sessions, conn)
		e.mu.Unlock()
	})
	return nil
}

// Close ends this use of the engine; the last one hangs up all sessions,
// stops the engine and gives the store free.
func (e *Engine) Close() error {
	process.Lock()
	defer process.Unlock()
	if e.users--; e.users > 0 || process.engine != e {
		return nil
	}
	e.mu.Lock()
	e.closed = true
	for conn := range e.sessions {
		conn.Close()
	}
	e.mu.Unlock()
	e.running.Wait()
	e.conn.close()
	process.engine = nil
	return e.lock.Close()
}

// kill ends the statements of the session with that tag.
func (e *Engine) kill(tag string) {
	e.root.Lock()
	defer e.root.Unlock()
	_, _, _ = e.conn.exec("KILL QUERY WHERE Settings['log_comment'] = " + literal(tag) + " ASYNC")
}

// progress is what the running statement of the session with that tag has read,
// and how many rows it is thought to read in all.
func (e *Engine) progress(tag string) (so stats, total uint64, ok bool) {
	e.root.Lock()
	defer e.root.Unlock()
	b, _, err := e.conn.exec("SELECT read_rows, read_bytes, total_rows_approx FROM system.processes WHERE Settings['log_comment'] = " + literal(tag) + " LIMIT 1")
	if err != nil {
		return stats{}, 0, false
	}
	w := walker{buf: b}
	if columns, err := w.uvarint(); err != nil || columns != 3 {
		return stats{}, 0, false
	}
	if rows, err := w.uvarint(); err != nil || rows != 1 {
		return stats{}, 0, false
	}
	var values [3]uint64
	for i := range values {
		for range 2 { // the name of the column and its type, UInt64
			if _, err := w.text(); err != nil {
				return stats{}, 0, false
			}
		}
		if w.pos+8 > len(b) {
			return stats{}, 0, false
		}
		values[i] = binary.LittleEndian.Uint64(b[w.pos:])
		w.pos += 8
	}
	return stats{rows: values[0], bytes: values[1]}, values[2], true
}

func (e *Engine) piece() []byte {
	if b, ok := e.pieces.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, pieceSize*2)
}

func (e *Engine) recycle(b []byte) {
	if cap(b) <= pieceSize*4 {
		e.pieces.Put(&b)
	}
}

func equal(want, got string) bool {
	return want == "" || subtle.ConstantTimeCompare([]byte(want), []byte(got)) == 1
}
