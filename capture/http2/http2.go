// Package http2 understands HTTP/2 in the clear (RFC 9113) from both directions
// of one connection: it follows the frames, reads the header blocks (package
// hpack), gathers the messages of each stream and hands every request out with
// its response. gRPC is recognised on the way. The engine (package flow) calls it
// through [Protocol].
//
// It watches, it does not take part: it is neither strict nor does it ask for
// anything again. It may join midway or lose bytes: then it looks for the next
// frame and goes on; header fields that refer to what was not seen are left out,
// and a request whose method is not known is not reported as one. It
// never guesses, and keeps no byte after the handler has returned.
package http2

import (
	"sync"

	"plainsight/capture"
	"plainsight/capture/coding"
	"plainsight/capture/hpack"
	"plainsight/capture/transaction"
)

// Options are the bounds of the parser. Zero fields take the defaults.
type Options struct {
	Head    int // bytes of a header block, and of its fields; default 64 KiB
	Headers int // header fields kept of a message; default 512
	Table   int // bytes kept of the dynamic table of one direction; default 64 KiB
	Tables  int // bytes kept of all dynamic tables; default 64 MiB
	Body    int // bytes of a body kept, as sent; default 1 MiB
	Streams int // open streams of one connection; default 1024
	Seek    int // bytes in which a frame is looked for after a gap; default 256 KiB
	Memory  int // bytes of all bodies and heads being read, in all connections; default 256 MiB
	Decode  coding.Options
	// CountOnly: bodies are counted and neither kept nor decoded. [capture.Message].Body
	// is empty then, which is no flaw of the message.
	CountOnly bool
}

// Protocol makes the row of HTTP/2. The parsers of one row share their buffers
// and may run in several goroutines. It stands before the row of HTTP/1 in the
// table: a preface is a request line, too.
func Protocol(o Options) capture.Protocol {
	for _, i := range [...]struct {
		p *int
		n int
	}{
		{&o.Head, 64 << 10}, {&o.Headers, 512}, {&o.Table, 64 << 10}, {&o.Tables, 64 << 20}, {&o.Body, 1 << 20},
		{&o.Streams, 1024}, {&o.Seek, 256 << 10}, {&o.Memory, 256 << 20},
	} {
		if *i.p <= 0 {
			*i.p = i.n
		}
	}
	s := &shared{Options: o, tables: tables{limit: int64(o.Tables)}}
	s.Init(transaction.Options{Body: o.Body, Memory: o.Memory, Decode: o.Decode, CountOnly: o.CountOnly})
	return capture.Protocol{Name: capture.HTTP2Protocol, Sniff: sniff, New: s.parser}
}

// shared is what the parsers of one row have in common.
type shared struct {
	Options
	transaction.Pool
	tables  tables
	streams sync.Pool // *stream
	blocks  sync.Pool // *hpack.Block
}

func (s *shared) parser(c *capture.Conn, h capture.Handler, n *capture.Counts) capture.Parser {
	p := &parser{shared: s, conn: c, handler: h, n: n}
	o := hpack.Options{Table: s.Table, List: s.Head, Fields: s.Headers}
	for d := range p.half {
		x := &p.half[d]
		x.d, x.frameLimit = capture.Dir(d), minFrameLimit
		x.table = hpack.New(o)
		if c.Midstream {
			p.lose(x)
		}
	}
	if c.Midstream {
		return p
	}
	p.half[capture.ToServer].state = atPreface
	p.half[capture.ToClient].state = atFirst
	return p
}

func (s *shared) takeBlock() *hpack.Block {
	if b, ok := s.blocks.Get().(*hpack.Block); ok {
		return b
	}
	return new(hpack.Block)
}

func (s *shared) putBlock(b *hpack.Block) {
	b.Reset()
	s.blocks.Put(b)
}

func (s *shared) takeStream() *stream {
	if x, ok := s.streams.Get().(*stream); ok {
		return x
	}
	x := new(stream)
	x.Clear()
	return x
}

func (s *shared) putStream(x *stream) {
	s.Release(&x.T)
	x.state = state{}
	s.streams.Put(x)
}
