//go:build linux

// Package probe makes chunks of what the kernel tells of sockets: the plaintext
// that the processes of this host exchange, in order, with who they are. It joins
// the two ends of a connection that are both on this host, finds out who is the
// client, and keeps account of what was not shown. It never looks at more of the
// bytes than their first word. The live agent gives its chunks to an engine of
// package flow; it is the only package that uses package bpf.
package probe

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"plainsight/bpf"
	"plainsight/capture"
)

// Filter says which sockets are told of.
type Filter = bpf.Filter

// Cgroup is a control group in a [Filter].
type Cgroup = bpf.Cgroup

// ErrHostWide is returned for a filter that lets every socket of the host
// through, where that was not asked for.
var ErrHostWide = errors.New("the filter lets every socket of this host through")

// Options say what is told of, and bound it. Zero fields have the defaults.
type Options struct {
	Filter   Filter
	HostWide bool // an empty filter is meant
	Ring     int  // bytes of the ring buffer, a power of two. 0: 8 MiB
	Turn     int  // bytes shown of one side until the other speaks. 0: 1 MiB
	// Sockets bounds what is remembered of sockets; beyond, the one told of
	// longest ago is forgotten and joined anew. 0: 65,536.
	Sockets int
	// TLS: what is inside of TLS is told of, too, for the libraries that are found.
	// Source.Run finds them.
	TLS bool
	// Attach says of a file, by its path as its process sees it, whether it may be
	// attached to; nil: all may.
	Attach func(path string) bool
	// TLSCalls is how many calls a second of one library are borne; beyond, it is
	// not read any more. 0: 100,000; below 0: any number.
	TLSCalls int
	// Party describes a process; nil: its number and name are all that is said.
	Party func(pid uint32, cgroup uint64, command string) *capture.Party
}

// Source is what one host's sockets say. Next is for one goroutine; the rest is
// safe beside it.
type Source struct {
	o         Options
	sockets   *bpf.Sockets
	libraries *libraries // nil: TLS is not read
	event     bpf.Event
	boot      time.Time // when the kernel's clock was 0
	known     map[name]*socket
	ends      map[ends]*socket
	oldest    *socket // of a ring in the order in which they were told of last
	last      uint64  // number of the last event
}

// name tells what a socket has on the wire from what is inside of its TLS.
type name struct {
	cookie uint64
	inside bool
}

// socket is what is remembered of one.
type socket struct {
	name       name
	conn       capture.Conn
	server     bool // it is the server's
	known      bool // whose it is
	ended      [2]bool
	tls        bool // its bytes on the wire are records, most of which are not shown
	party      *capture.Party
	next, prev *socket
}

type ends struct {
	local, remote netip.AddrPort
	inside        bool
}

// Open loads the programs into the kernel and attaches them.
func Open(o Options) (*Source, error) {
	if o.Filter.Empty() && !o.HostWide {
		return nil, ErrHostWide
	}
	if o.Sockets <= 0 {
		o.Sockets = 65536
	}
	if o.Party == nil {
		o.Party = func(pid uint32, _ uint64, command string) *capture.Party {
			return &capture.Party{PID: pid, Command: command}
		}
	}
	var boot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		return nil, os.NewSyscallError("clock_gettime", err)
	}
	began := time.Now().Add(-time.Duration(boot.Nano())).Round(0)
	sockets, err := bpf.OpenSockets(bpf.SocketOptions{Filter: o.Filter, Ring: o.Ring, Turn: o.Turn, TLS: o.TLS})
	if err != nil {
		return nil, err
	}
	s := &Source{o: o, sockets: sockets, boot: began, known: map[name]*socket{}, ends: map[ends]*socket{}}
	if o.TLS {
		if o.TLSCalls == 0 {
			o.TLSCalls = 100_000
		}
		s.libraries = newLibraries(sockets, float64(o.TLSCalls), o.Attach)
		s.libraries.standing()
	}
	return s, nil
}

// Run finds the TLS libraries of processes, those that start later included, until
// ctx is done. Without Options.TLS it returns at once.
func (s *Source) Run(ctx context.Context) {
	if s.libraries != nil {
		s.libraries.run(ctx)
	}
}

// Libraries are the TLS libraries that were found, and the executables that were
// seen to speak TLS through none that is known.
func (s *Source) Libraries() (found []Readable, unreadable []string) {
	if s.libraries == nil {
		return nil, nil
	}
	return s.libraries.list()
}

// Probe reports whether this kernel lets sockets be told of: "yes", "no" or
// "could not tell", with the reason.
func Probe() (answer bpf.Answer, reason error) { return bpf.ProbeSockets() }

// SetFilter changes which sockets are told of.
func (s *Source) SetFilter(f *Filter) error {
	if f.Empty() && !s.o.HostWide {
		return ErrHostWide
	}
	return s.sockets.SetFilter(f)
}

// Counter is one of the kernel's counters: its name in letters and _.
type Counter struct {
	Name  string
	Count uint64
}

// Counters are the kernel's counters; none where they cannot be read.
func (s *Source) Counters() []Counter {
	n, err := s.sockets.Counts()
	if err != nil {
		return nil
	}
	return []Counter{
		{"sockets_calls", n[bpf.Calls]}, {"sockets_unwanted", n[bpf.Unwanted]}, {"sockets_other", n[bpf.Other]}, {"sockets_far_end", n[bpf.FarEnd]},
		{"sockets_events", n[bpf.Events]}, {"sockets_bytes", n[bpf.Bytes]}, {"sockets_skipped_bytes", n[bpf.Skipped]}, {"sockets_dropped", n[bpf.Dropped]},
		{"sockets_unreadable", n[bpf.UnreadableCalls]}, {"sockets_faults", n[bpf.Faults]},
		{"tls_calls", n[bpf.TLSCalls]}, {"tls_untied", n[bpf.TLSUntied]}, {"tls_ambiguous", n[bpf.TLSAmbiguous]},
	}
}

// Close detaches the programs; Next returns io.EOF from then on.
func (s *Source) Close() error { return s.sockets.Close() }

// Next fills c with what was told next. c.Data is borrowed.
func (s *Source) Next(c *capture.Chunk) error {
	for {
		switch err := s.sockets.Next(&s.event); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.last++
			*c = capture.Chunk{Stamp: capture.Stamp{Time: time.Now().Round(0), Frame: s.last}}
			return capture.ErrQuiet
		case errors.Is(err, os.ErrClosed):
			return io.EOF
		case err != nil:
			return err
		}
		s.last++
		if s.take(&s.event, c) {
			return nil
		}
	}
}

// take makes a chunk of an event, if there is something to say.
func (s *Source) take(e *bpf.Event, c *capture.Chunk) bool {
	at := capture.Stamp{Time: s.boot.Add(time.Duration(e.Time)), Frame: s.last}
	if e.Kind == bpf.Peer {
		s.peer(e)
		return false
	}
	k := s.known[name{e.Socket, e.Inside}]
	if k == nil {
		if e.Kind == bpf.Close || e.Kind == bpf.End {
			return false
		}
		k = s.open(e, at)
	}
	s.touch(k)
	if !k.known {
		k.orient(e)
	}
	*c = capture.Chunk{Stamp: at, Conn: k.conn, Dir: k.dir(e.Direction), Offset: e.Offset, Passed: k.tls}
	switch e.Kind {
	case bpf.Data:
		c.Data = e.Data
	case bpf.Skip:
		c.Offset += uint64(e.Size) // a jump in the offsets is a gap
	case bpf.End:
		c.End = true
		k.ended[e.Direction] = true
	case bpf.Close:
		s.forget(k)
		if k.ended[bpf.Received] {
			return false
		}
		c.Dir, c.End = k.dir(bpf.Received), true // its offset is what was received
	}
	return true
}

// open begins to remember a socket.
func (s *Source) open(e *bpf.Event, at capture.Stamp) *socket {
	if len(s.known) >= s.o.Sockets {
		s.forget(s.oldest)
	}
	k := &socket{name: name{e.Socket, e.Inside}, party: s.o.Party(e.PID, e.Cgroup, string(e.Name()))}
	k.conn = capture.Conn{ID: e.Socket | fromKernel, Start: at, Midstream: e.Joined, Client: e.Local, Server: e.Remote, Encrypted: e.Inside}
	if e.Inside { // what is on the wire may be told of by the other end
		for _, wire := range [...]ends{{e.Local, e.Remote, false}, {e.Remote, e.Local, false}} {
			if w := s.ends[wire]; w != nil {
				k.conn.ID = w.conn.ID
			}
		}
	}
	s.known[k.name] = k
	s.ends[ends{e.Local, e.Remote, e.Inside}] = k
	if k.tls = !e.Inside && isRecord(e.Data); k.tls && s.libraries != nil {
		s.libraries.speaks(e.PID)
	}
	switch e.Role {
	case bpf.Client:
		k.settle(false)
	case bpf.Server:
		k.settle(true)
	}
	return k
}

// fromKernel keeps cookies of sockets apart from numbers of frames.
const fromKernel = 1 << 63

// settle says whose the socket is.
func (k *socket) settle(server bool) {
	k.known, k.server = true, server
	if server {
		k.conn.Client, k.conn.Server = k.conn.Server, k.conn.Client
		k.conn.Parties[capture.ToClient] = k.party
	} else {
		k.conn.Parties[capture.ToServer] = k.party
	}
}

// orient finds out whose a socket is that was open before we came: by what is
// said first, else by the ports.
func (k *socket) orient(e *bpf.Event) {
	sent := e.Direction == bpf.Sent
	switch answer, request := bytes.HasPrefix(e.Data, []byte("HTTP/")), isRequest(e.Data); {
	case answer:
		k.settle(sent)
	case request:
		k.settle(!sent)
	default:
		k.settle(e.Local.Port() < e.Remote.Port())
	}
}

// isRecord reports whether b begins as a record of TLS does.
func isRecord(b []byte) bool { return len(b) > 2 && b[0] >= 0x14 && b[0] <= 0x17 && b[1] == 3 }

// isRequest reports whether b begins as a request does: with a word in capitals.
func isRequest(b []byte) bool {
	word := bytes.IndexByte(b[:min(len(b), 20)], ' ')
	if word < 3 {
		return len(b) > 5 && b[0] == 0x16 && b[5] == 1 // or ClientHello
	}
	for _, c := range b[:word] {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return true
}

// dir is the direction of the connection in which a socket's bytes went.
func (k *socket) dir(d bpf.Direction) capture.Dir {
	if (d == bpf.Sent) == k.server {
		return capture.ToClient
	}
	return capture.ToServer
}

// peer notes who is at the other end of a connection that is told of.
func (s *Source) peer(e *bpf.Event) {
	party := s.o.Party(e.PID, e.Cgroup, string(e.Name()))
	for _, inside := range [...]bool{false, true} {
		if k := s.ends[ends{e.Remote, e.Local, inside}]; k != nil && k.known {
			at := capture.ToClient
			if k.server {
				at = capture.ToServer
			}
			k.conn.Parties[at] = party
		}
	}
}

// touch moves a socket to the end of the ring, or puts it there.
func (s *Source) touch(k *socket) {
	switch {
	case s.oldest == nil:
		k.next, k.prev, s.oldest = k, k, k
		return
	case s.oldest == k:
		s.oldest = k.next // a ring: what follows the oldest is older than what precedes it
		return
	case k.next != nil:
		k.next.prev, k.prev.next = k.prev, k.next
	}
	last := s.oldest.prev
	k.prev, k.next = last, s.oldest
	last.next, s.oldest.prev = k, k
}

// forget ends what is remembered of a socket.
func (s *Source) forget(k *socket) {
	delete(s.known, k.name)
	key := ends{k.conn.Client, k.conn.Server, k.name.inside}
	if k.server {
		key.local, key.remote = key.remote, key.local
	}
	if s.ends[key] == k {
		delete(s.ends, key)
	}
	if k.next == k {
		s.oldest = nil
		return
	}
	if s.oldest == k {
		s.oldest = k.next
	}
	k.next.prev, k.prev.next = k.prev, k.next
}
