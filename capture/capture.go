// Package capture holds the words of the capture stage: what goes in (frames
// and chunks), what comes out (exchanges, handshakes, connections) and who
// hands what to whom. It imports only the standard library and does no work.
//
// Data runs one way:
//
//	Source → Frame → packet → stream → flow.Engine → Parser → Handler
//	         Chunk ────────────────────↗
//
// Byte ownership is part of every signature. Borrowed bytes are valid until the
// call that handed them over returns; owned bytes are the receiver's to keep.
// [Text] is always borrowed.
package capture

import (
	"fmt"
	"net/netip"
	"time"
)

// LinkType is the link-layer type of a frame, numbered as in the LINKTYPE
// registry of pcap and pcapng (https://www.tcpdump.org/linktypes.html).
type LinkType uint32

// Link types that package packet decodes.
const (
	LinkNull     LinkType = 0
	LinkEthernet LinkType = 1
	LinkRaw      LinkType = 101
	LinkLoop     LinkType = 108
	LinkSLL      LinkType = 113
	LinkRawIPv4  LinkType = 228
	LinkRawIPv6  LinkType = 229
	LinkSLL2     LinkType = 276
)

// Stamp is a moment of the traffic: the clock of the capture and the number of
// the frame (1 is the first of the run; 0 where there are no frames).
type Stamp struct {
	Time  time.Time
	Frame uint64
}

// Frame is one link-layer frame as a source saw it.
type Frame struct {
	Stamp
	Data   []byte // borrowed: valid until the source's next call
	Length int    // bytes on the wire; more than len(Data) if cut by the snap length
	Link   LinkType
}

// Source yields frames in the order of the capture.
type Source interface {
	// Next fills f. It returns io.EOF at the end, [ErrQuiet] if it is live, and a
	// *DamagedError where the rest of the capture cannot be read; what came before
	// stays good.
	Next(f *Frame) error
	Close() error
}

// ErrQuiet is what a live source returns where nothing came for a while. It has
// filled the stamp: time goes on, and whoever waits in a batch should not.
const ErrQuiet = sourceError("nothing came for a while")

type sourceError string

func (e sourceError) Error() string { return string(e) }

// ChunkSource yields chunks, those of one connection in the order in which the
// bytes passed.
type ChunkSource interface {
	// Next fills c. It returns io.EOF at the end, and [ErrQuiet].
	Next(c *Chunk) error
	Close() error
}

// Filter says what a live source looks at. An empty list wants everything; what
// is excluded goes before what is wanted, and of networks the longest prefix
// decides.
type Filter struct {
	Ports, ExcludedPorts       []uint16       // TCP, of either end
	Networks, ExcludedNetworks []netip.Prefix // with either end
}

// Empty reports whether nothing in particular is wanted.
func (f *Filter) Empty() bool { return len(f.Ports)+len(f.Networks) == 0 }

// DamagedError says that a capture file is broken from an offset on: cut in
// the middle of a record or holding bytes that are no record.
type DamagedError struct {
	Name   string // file
	Offset int64  // bytes of the (unpacked) file that were read well
	Reason string // "cut in the middle of a packet", …
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s: damaged after %d bytes: %s", e.Name, e.Offset, e.Reason)
}

// Dir is the direction of bytes in a connection.
type Dir uint8

// Directions, seen from the client (who sends requests).
const (
	ToServer Dir = iota
	ToClient
)

// Other is the opposite direction.
func (d Dir) Other() Dir { return d ^ 1 }

// Conn is a connection between a client and a server.
type Conn struct {
	// ID is the number of the frame that opened it, so that it is the same
	// however many shards read the capture. Unique in a run for frames.
	ID             uint64
	Client, Server netip.AddrPort // innermost addresses
	VLAN           uint32         // outer<<12 | inner tag, 0 if untagged
	Start          Stamp
	Midstream      bool // its handshake was not seen
	// Encrypted is set by sources that see plaintext inside TLS (probes, HAR,
	// exchange logs); on the wire it is false and a Handshake tells.
	Encrypted bool
	// Parties are the processes at the ends, by the direction of what they send
	// (the client's first), where the source knows them; else nil.
	Parties [2]*Party
}

// Party is the process at an end of a connection, and what it belongs to. Fields
// that are not known are empty. Once handed over it is not changed.
type Party struct {
	PID                            uint32
	Command                        string // name of the thread
	Executable                     string // path, as the process sees it
	Container                      string // id
	Node, Namespace, Pod, Workload string // of Kubernetes
}

// Chunk is a piece of one direction that is already in order (sockets, TLS
// probes). Offset is its place in the stream: a jump is a gap.
type Chunk struct {
	Stamp
	Conn   Conn
	Dir    Dir
	Offset uint64
	Data   []byte // borrowed
	End    bool   // the direction closes after Data
	// Passed: what lies between the last chunk and Offset was seen to pass, and left
	// out by intent (records of TLS). It is no gap.
	Passed bool
}

// Parser takes the two directions of one connection and hands what it
// understands to its [Handler]. Calls come from one goroutine.
type Parser interface {
	// Data takes the next bytes of one direction, in order, and returns how many
	// it used; the engine offers the rest again in front of the bytes that
	// follow. b is borrowed. [ErrHandover] says that from the returned count on
	// another protocol speaks in both directions; [ErrOpaque] that this
	// direction cannot be understood further: it is only counted from here.
	// After ErrHandover both directions get End and nothing else, and the engine
	// asks for Leftover(Dir) []byte (bytes, owned, that were used but are of the
	// next protocol) and Successor() ProtocolName (what both ends agreed on; ""
	// if that may be anything) where the parser has these methods, and hands what
	// Upgraded() *Upgrade returns to the next parser if that is an [Heir]. Bytes that are
	// unread when a gap or the end comes are not offered again.
	Data(d Dir, b []byte, at Stamp) (int, error)
	// Gap says that n bytes of a direction were never seen (n < 0: unknown many).
	Gap(d Dir, n int64, at Stamp)
	// End says that a direction ended: by FIN, or cut (reset, eviction, end of
	// the capture). After End of both the parser holds nothing.
	End(d Dir, cut bool, at Stamp)
}

// Upgrade is the request with which a connection changed its protocol (RFC 9110
// §7.8), and what the answer says about that. All of it is owned.
type Upgrade struct {
	Method, Target, Authority, Scheme string
	Start, End                        Stamp  // of the request
	Extensions                        string // Sec-WebSocket-Extensions of the answer
}

// Heir is a [Parser] that wants to know how its connection came to speak its
// protocol. Inherit is called before anything else.
type Heir interface{ Inherit(u *Upgrade) }

type parserError string

func (e parserError) Error() string { return string(e) }

// What a [Parser] may return; neither is a fault of ours.
const (
	ErrHandover = parserError("the connection changes protocol")
	ErrOpaque   = parserError("the rest of this direction is not understood")
)

// Handler receives what the parsers of a shard conclude. Everything handed over
// is borrowed. Calls of one shard come from one goroutine.
type Handler interface {
	// Exchange is called once an exchange is over: answered, or never to be.
	Exchange(x *Exchange)
	// Handshake is called once per TLS connection, when its hellos were seen or
	// the connection ended after the first of them.
	Handshake(h *Handshake)
	// WebSocket is called when a WebSocket stream ends.
	WebSocket(w *WebSocket)
	// Connection is called last, once per connection, with its totals.
	Connection(s *Summary)
}

// Listener is a [Handler] that wants the messages of text of WebSockets. They come
// before the [Handler] hears that their stream ended.
type Listener interface{ WebSocketMessage(m *WebSocketMessage) }

// Verdict is what a protocol says of the first bytes of a connection.
type Verdict uint8

// Verdicts.
const (
	No    Verdict = iota // these bytes are not mine
	Maybe                // too few bytes to tell
	Yes
)

// Protocol is a row of the table of protocols that an engine speaks. The rows
// are tried in order on the bytes of either direction.
type Protocol struct {
	Name ProtocolName
	// Sniff judges the first bytes of one direction. b is borrowed; more of it
	// is offered as long as it says Maybe, up to the engine's sniffing bound.
	// midstream: b may begin in the middle of a message.
	Sniff func(d Dir, b []byte, midstream bool) Verdict
	// New makes the parser of one connection; it counts into n.
	New func(c *Conn, h Handler, n *Counts) Parser
}

// ProtocolName names what a connection spoke.
type ProtocolName string

// Names of protocols.
const (
	HTTP1Protocol     ProtocolName = "http/1"
	HTTP2Protocol     ProtocolName = "http/2"
	TLSProtocol       ProtocolName = "tls"
	WebSocketProtocol ProtocolName = "websocket"
	OpaqueProtocol    ProtocolName = "opaque" // bytes, but none of ours
	NoProtocol        ProtocolName = "none"   // no payload at all
)

// Summary is a connection when it is over.
type Summary struct {
	Conn     Conn
	End      Stamp
	Protocol ProtocolName // the last one spoken
	Bytes    [2]int64     // payload delivered, by Dir
	Missing  [2]int64     // payload known to be lost, by Dir
	Gaps     [2]int64     // places where payload was lost, by Dir
	Evicted  bool         // ended by a bound, not by the traffic
}
