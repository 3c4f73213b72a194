// Package capturetest writes conversations for the tests of the capture stage:
// a conversation is written once and then played straight into a parser
// ([Play]) or put on the wire as frames, cut, shuffled, doubled, lost and
// wrapped. A [Recorder] keeps what came out. It is imported by tests alone.
package capturetest

import (
	"time"

	"plainsight/capture"
)

// Step is one turn of a conversation: Data is sent, then Lost bytes are sent
// that the capture misses, then the direction ends if End is set.
type Step struct {
	Dir  capture.Dir
	Data string
	Lost int
	End  bool
}

// Client sends data to the server.
func Client(data string) Step { return Step{Dir: capture.ToServer, Data: data} }

// Server sends data to the client.
func Server(data string) Step { return Step{Dir: capture.ToClient, Data: data} }

// Lost says that a direction sent n bytes that the capture misses.
func Lost(d capture.Dir, n int) Step { return Step{Dir: d, Lost: n} }

// End says that a direction ends.
func End(d capture.Dir) Step { return Step{Dir: d, End: true} }

// Epoch is when conversations begin.
var Epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Tick is the time between two segments of a conversation.
const Tick = 100 * time.Microsecond

// Played is what a parser made of the bytes of a [Play].
type Played struct {
	Err  [2]error // first error by direction; Data is not called again after one
	Rest [2][]byte
	Used [2]int64 // bytes that Data took
}

// Play gives the steps to a parser as the engine would: each step in pieces of
// at most cut bytes (0: a step is a piece), unread bytes again in front of the
// next ones, End for both directions at last (not cut if a step says End).
// [capture.ErrHandover] stops both directions. The bytes lent to the parser are
// overwritten after each call, so one that keeps them shows it.
func Play(p capture.Parser, cut int, steps ...Step) Played {
	var r Played
	var ended [2]bool
	at := capture.Stamp{Time: Epoch}
	tick := func() {
		at.Time = at.Time.Add(Tick)
		at.Frame++
	}
	for _, s := range steps {
		for b := s.Data; len(b) > 0 && r.Err[s.Dir] == nil; {
			n := len(b)
			if cut > 0 {
				n = min(n, cut)
			}
			tick()
			lent := append(append([]byte(nil), r.Rest[s.Dir]...), b[:n]...)
			used, err := p.Data(s.Dir, lent[:len(lent):len(lent)], at)
			r.Used[s.Dir] += int64(used)
			r.Rest[s.Dir] = append([]byte(nil), lent[used:]...)
			for i := range lent {
				lent[i] = '#'
			}
			b = b[n:]
			if err == capture.ErrHandover {
				r.Err[s.Dir.Other()] = err
			}
			r.Err[s.Dir] = err
		}
		if s.Lost > 0 && r.Err[s.Dir] == nil {
			tick()
			r.Rest[s.Dir] = nil
			p.Gap(s.Dir, int64(s.Lost), at)
		}
		if s.End && !ended[s.Dir] {
			tick()
			ended[s.Dir] = true
			p.End(s.Dir, false, at)
		}
	}
	tick()
	for d := range ended {
		if !ended[d] {
			p.End(capture.Dir(d), true, at)
		}
	}
	return r
}
