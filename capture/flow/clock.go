package flow

import (
	"time"

	"plainsight/capture"
)

const (
	// jitter is how far back a frame may lie without the clock having been set.
	jitter = time.Second
	// leap is how far ahead a frame must lie to need a second one to confirm it.
	leap = time.Minute
)

// clock makes one steady time of the stamps of a capture, for timers alone. It
// never goes back. When the capture's clock is set back it goes on from where it
// is; a single frame from the future does not move it.
type clock struct {
	now   int64 // ns
	shift int64 // now - stamp
	last  int64 // stamp of the last frame
	set   bool
	claim int64 // what the last frame said, if it was a leap ahead; else 0
}

// tick takes the stamp of the next frame and returns the steady time.
func (c *clock) tick(t time.Time, n *capture.Counts) int64 {
	at := t.UnixNano()
	if !c.set {
		c.set, c.now, c.last = true, at, at
		return at
	}
	if at < c.last {
		n[capture.ClockBackwards]++
	}
	c.last = at
	at += c.shift
	switch d := at - c.now; {
	case d > int64(leap) && c.claim == 0:
		c.claim = at
		return c.now
	case d < -int64(jitter):
		c.shift -= d
	case d > 0:
		c.now = at
	}
	c.claim = 0
	return c.now
}
