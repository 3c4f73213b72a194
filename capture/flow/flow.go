// Package flow is the engine of the capture stage: it keeps the table of
// connections, gives each direction to package stream, finds out which protocol
// is spoken and hands the bytes, in order, to that protocol's parser.
//
// One [Engine] is one shard and runs in one goroutine; [Run] drives a source
// through as many as are wanted, with the same result for each connection. The
// engine waits for nothing and knows no clock but that of the traffic. Every
// table and buffer has a bound in [Options] and a counter for the day it is
// full. It never looks into payload itself: the rows of Options.Protocols do.
package flow

import (
	"log/slog"
	"time"

	"plainsight/capture"
	"plainsight/capture/packet"
)

// Options are the bounds of an engine, and what it speaks. Zero fields take the
// defaults. Bounds that say "in all" are shared out to the shards by [Run].
type Options struct {
	// Protocols are tried in order on the bytes of either direction.
	Protocols []capture.Protocol

	// Connections bounds the table, in all; default 65,536. At most a quarter of
	// it are half-open, and a quarter those that are over but may get stragglers.
	// A full table gives up what is over first, then what is half-open, then what
	// was idle longest.
	Connections int
	// Idle, HalfOpen and Linger are how long, by the traffic's clock, a connection
	// stays without a segment: open (5 min), half-open (30 s) and over (30 s).
	Idle, HalfOpen, Linger time.Duration

	// Hold bounds the bytes that wait behind a hole: in one direction (default
	// 1 MiB) and, with HoldAll, in all (default 32 MiB).
	Hold, HoldAll int
	// HoleWait is how long a hole may stop a direction whose other side is not
	// seen to acknowledge anything; default 3 s.
	HoleWait time.Duration

	// Sniff bounds the first bytes of a direction that are kept until it is known
	// what they are; default 4 KiB.
	Sniff int
	// Search bounds the bytes of a direction in which a start is looked for after
	// its beginning was not understood; default 256 KiB.
	Search int
	// Unread bounds what a parser may leave to be offered again, in one direction;
	// default 128 KiB. UnreadAll bounds that and what is sniffed, in all; default
	// 32 MiB. Beyond, the parser is told of a gap.
	Unread, UnreadAll int

	// Packet bounds the decoder of frames.
	Packet packet.Options
	// Logger gets a line when a parser breaks, once. Nil: none.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	ints := []struct {
		p *int
		n int
	}{
		{&o.Connections, 1 << 16}, {&o.Hold, 1 << 20}, {&o.HoldAll, 32 << 20},
		{&o.Sniff, 4 << 10}, {&o.Search, 256 << 10}, {&o.Unread, 128 << 10}, {&o.UnreadAll, 32 << 20},
	}
	for _, i := range ints {
		if *i.p <= 0 {
			*i.p = i.n
		}
	}
	times := []struct {
		p *time.Duration
		d time.Duration
	}{
		{&o.Idle, 5 * time.Minute}, {&o.HalfOpen, 30 * time.Second}, {&o.Linger, 30 * time.Second}, {&o.HoleWait, 3 * time.Second},
	}
	for _, t := range times {
		if *t.p <= 0 {
			*t.p = t.d
		}
	}
	return o
}

// shard is the part of the bounds that one of n engines gets.
func (o Options) shard(n int) Options {
	o.Connections = max(1, o.Connections/n)
	o.HoldAll = max(1, o.HoldAll/n)
	o.UnreadAll = max(1, o.UnreadAll/n)
	return o
}
