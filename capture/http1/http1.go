// Package http1 understands HTTP/1.x from both directions of one connection
// (RFC 9112, RFC 9110): it finds the messages, takes off their framing, undoes
// their codings and pairs each response with its request. The engine (package
// flow) calls it through [Protocol]; a [capture.Handler] gets the exchanges.
//
// It watches, it does not take part: it accepts what some client or server would,
// marks what is odd as a [capture.Flaw], and never refuses a connection. It never
// reads bytes it was not given, never guesses a message from bytes that do not
// begin with a start line, and keeps no byte after the handler has returned.
package http1

import (
	"sync"

	"plainsight/capture"
	"plainsight/capture/coding"
	"plainsight/capture/transaction"
)

// Options are the bounds of the parser. Zero fields take the defaults.
type Options struct {
	Head     int // bytes of a head, and of a trailer; default 64 KiB
	Headers  int // header fields kept of a message; default 512
	Body     int // bytes of a body kept, as sent; default 1 MiB
	Pipeline int // requests that wait for an answer in one connection; default 256
	Hold     int // bytes kept while a request to change the protocol waits; default 64 KiB
	Memory   int // bytes of all bodies and heads being read, in all connections; default 256 MiB
	Decode   coding.Options
	// CountOnly: bodies are counted and neither kept nor decoded. [capture.Message].Body
	// is empty then, which is no flaw of the message.
	CountOnly bool
}

// Protocol makes the row of HTTP/1.x. The parsers of one row share their buffers
// and may run in several goroutines.
func Protocol(o Options) capture.Protocol {
	o.Head = positive(o.Head, 64<<10)
	o.Headers = positive(o.Headers, 512)
	o.Body = positive(o.Body, 1<<20)
	o.Pipeline = positive(o.Pipeline, 256)
	o.Hold = positive(o.Hold, 64<<10)
	o.Memory = positive(o.Memory, 256<<20)
	s := &shared{Options: o}
	s.Init(transaction.Options{Body: o.Body, Memory: o.Memory, Decode: o.Decode, CountOnly: o.CountOnly})
	return capture.Protocol{Name: capture.HTTP1Protocol, Sniff: sniff, New: s.parser}
}

func positive(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

// shared is what the parsers of one row have in common.
type shared struct {
	Options
	transaction.Pool
	exchanges sync.Pool // *exchange
	parsers   sync.Pool // *parser
}

func (s *shared) parser(c *capture.Conn, h capture.Handler, n *capture.Counts) capture.Parser {
	p, ok := s.parsers.Get().(*parser)
	if !ok {
		p = new(parser)
	}
	p.shared, p.conn, p.handler, p.n = s, c, h, n
	p.half[capture.ToClient].d = capture.ToClient
	p.queue = p.first[:0]
	return p
}
