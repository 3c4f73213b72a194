// Package stream puts the segments of one direction of a TCP connection in
// order: sequence numbers become bytes, and gaps where bytes were never seen.
//
// What comes in order is passed on without a copy. What comes early waits in
// pages, within a bound for each half and one for all; a hole is given up when
// the receiver acknowledges it (then it has the bytes and will not get them
// again), when a bound is reached, or when the caller says so. Where two
// segments contradict each other the first wins. Package flow is its caller; it
// knows nothing of packets, time or protocols, and never starts a goroutine.
package stream

import (
	"bytes"
	"math"

	"plainsight/capture"
)

// Window is how far from the next byte a segment may lie to be believed. It is
// wider than the windows that hosts use, and narrow enough to tell a forged
// segment; the stream jumps further only on better evidence (see [Half.Push]).
const Window = 32 << 20

// farRun is how many segments in a row, each beginning where the last one
// ended, make the stream jump to a place outside the window.
const farRun = 4

// lateHold is how much a half holds before it believes an acknowledgement,
// once data was seen to come after its acknowledgement.
const lateHold = 64 << 10

// Sink takes what a half puts in order. b is borrowed.
type Sink interface {
	Data(d capture.Dir, b []byte, at capture.Stamp)
	// Gap says that n bytes were never seen; n < 0: unknown many.
	Gap(d capture.Dir, n int64, at capture.Stamp)
}

// Half is one direction of a TCP connection (RFC 9293). The zero value is a
// half of which nothing is known: it begins where its first segment does.
type Half struct {
	// Dir is handed to the sink.
	Dir capture.Dir

	started bool
	fin     bool // the place of FIN is known: finAt
	late    bool // data comes after its acknowledgement
	snapped bool // segments came with bytes missing
	farLen  uint8

	next  uint32 // sequence number of the next byte to deliver …
	far   uint32 // end of the last segment outside the window
	off   int64  // … and its place in the stream
	acked int64  // the receiver has all bytes before this place
	finAt int64

	pastFrom int64    // past is good from here
	skipped  [2]int64 // the last hole that an acknowledgement passed
	held     *held    // nil unless bytes wait behind a hole
	past     *past
}

// Start sets the sequence number of the first byte: that of the SYN and one.
// It has no effect once bytes were delivered or are held.
func (h *Half) Start(seq uint32) {
	if h.started && (h.off != 0 || h.held != nil) {
		return
	}
	h.started, h.next, h.acked = true, seq, 0
}

// Started reports whether the place of the stream is known.
func (h *Half) Started() bool { return h.started }

// Offset is how many bytes were delivered or given up.
func (h *Half) Offset() int64 { return h.off }

// Next is the sequence number of the next byte to deliver.
func (h *Half) Next() uint32 { return h.next }

// Holding reports whether bytes wait behind a hole.
func (h *Half) Holding() bool { return h.held != nil }

// Passed reports whether the receiver acknowledged the first hole.
func (h *Half) Passed() bool { return h.held != nil && h.acked >= h.held.extents[0].start }

// Done reports whether all bytes up to FIN were delivered or given up.
func (h *Half) Done() bool { return h.fin && h.off >= h.finAt }

// Late says that the capture shows acknowledgements before what they
// acknowledge: they give up a hole only when much is held behind it.
func (h *Half) Late() { h.late = true }

// Near reports whether a sequence number is at the stream's next byte or not far
// ahead of it, as that of a reset must be (RFC 5961 wants the very next; the
// capture may have lost some). One before it is allowed: some hosts reset from
// the byte they sent last.
func (h *Half) Near(seq uint32) bool {
	d := int32(seq - h.next)
	return !h.started || d >= -1 && d <= Window/16
}

// Far reports whether a sequence number is outside the window on both sides.
func (h *Half) Far(seq uint32) bool {
	d := int32(seq - h.next)
	return h.started && (d < -Window || d > Window)
}

// Push takes the payload of one segment; missing counts the bytes that followed
// on the wire and were not captured. b is borrowed.
//
// A segment outside the window is ignored, unless the receiver acknowledges it
// or it is the fourth in an unbroken row there: then it is the capture that
// lost its place, and the stream goes on behind a gap.
func (h *Half) Push(p *Pool, seq uint32, b []byte, missing int, s Sink, at capture.Stamp) {
	if seq == h.next && h.started && h.held == nil && !h.fin {
		p.Counts[capture.SegmentsInOrder]++
		h.farLen = 0
		h.deliver(p, b, s, at)
		if missing > 0 {
			h.snapped = true
			h.skip(p, h.off+int64(missing), s, at)
		}
		return
	}
	h.push(p, seq, b, missing, s, at)
}

func (h *Half) push(p *Pool, seq uint32, b []byte, missing int, s Sink, at capture.Stamp) {
	if !h.started {
		h.Start(seq)
	}
	if h.Far(seq) && !h.jump(p, seq, len(b)+missing, s, at) {
		p.Counts[capture.SegmentsOutOfWindow]++
		return
	}
	off := h.off + int64(int32(seq-h.next))
	if off == h.off-1 && len(b)+missing <= 1 {
		p.Counts[capture.SegmentsKeepAlive]++
		return
	}
	if h.fin && off+int64(len(b)+missing) > h.finAt {
		// Nothing can follow a FIN: whoever sent this is not the peer we know.
		p.Counts[capture.SegmentsOutOfWindow]++
		return
	}
	h.snapped = h.snapped || missing > 0
	end := off + int64(len(b)) // of what was captured
	lost := end + int64(missing)

	if lost <= h.off {
		p.Counts[capture.SegmentsDuplicate]++
		h.compare(p, off, b)
		if off < h.skipped[1] && lost > h.skipped[0] {
			h.late = true
		}
		return
	}
	for off > h.off {
		if h.acked < off || h.late {
			if h.hold(p, off, b) {
				return
			}
			p.Counts[h.full(p)]++
		}
		h.skipFirst(p, off, s, at)
	}
	switch {
	case off == h.off && (h.held == nil || end <= h.held.extents[0].start):
		p.Counts[capture.SegmentsInOrder]++
	default:
		p.Counts[capture.SegmentsOverlap]++
		h.compare(p, off, b[:min(int64(len(b)), h.off-off)])
	}
	if end > h.off {
		h.inOrder(p, b[h.off-off:], s, at)
	}
	for h.off < lost {
		h.skipFirst(p, lost, s, at)
	}
}

// inOrder delivers b, which begins at the next byte, around what is held.
func (h *Half) inOrder(p *Pool, b []byte, s Sink, at capture.Stamp) {
	conflict := false
	for len(b) > 0 && h.held != nil {
		x := h.held.extents[0]
		n := x.start - h.off
		if n > int64(len(b)) {
			break
		}
		h.deliver(p, b[:n], s, at)
		b = b[n:]
		n = min(int64(len(b)), x.end-x.start)
		conflict = conflict || !h.held.equal(x.start, b[:n])
		b = b[n:]
		h.drain(p, s, at)
	}
	if conflict {
		p.Counts[capture.SegmentsConflict]++
	}
	if len(b) > 0 {
		h.deliver(p, b, s, at)
	}
}

// hold keeps a segment behind a hole. It reports false if there is no room.
func (h *Half) hold(p *Pool, off int64, b []byte) bool {
	if len(b) == 0 {
		p.Counts[capture.SegmentsOutOfOrder]++
		return true
	}
	if h.held == nil {
		h.held = p.hold()
	}
	if !h.held.room(p, off, off+int64(len(b))) {
		if len(h.held.extents) == 0 {
			h.freeHeld(p)
		}
		return false
	}
	fresh, same := h.held.insert(p, off, b)
	switch fresh {
	case len(b):
		p.Counts[capture.SegmentsOutOfOrder]++
	case 0:
		p.Counts[capture.SegmentsDuplicate]++
	default:
		p.Counts[capture.SegmentsOverlap]++
	}
	if !same {
		p.Counts[capture.SegmentsConflict]++
	}
	return true
}

// full names the bound that left no room.
func (h *Half) full(p *Pool) capture.Counter {
	if p.used+2*pageSize > p.Total {
		return capture.StreamBudgetReached
	}
	return capture.StreamPendingLimit
}

// compare counts a conflict if b, at off, contradicts bytes that were delivered.
func (h *Half) compare(p *Pool, off int64, b []byte) {
	from := max(off, h.off-pastSize, h.pastFrom)
	if h.past == nil || from >= off+int64(len(b)) {
		return
	}
	b = b[from-off:]
	b = b[:min(int64(len(b)), h.off-from)]
	i := from & (pastSize - 1)
	n := min(int64(len(b)), pastSize-i)
	if !bytes.Equal(h.past[i:i+n], b[:n]) || !bytes.Equal(h.past[:int64(len(b))-n], b[n:]) {
		p.Counts[capture.SegmentsConflict]++
	}
}

// deliver passes b on, which begins at the next byte.
func (h *Half) deliver(p *Pool, b []byte, s Sink, at capture.Stamp) {
	if len(b) == 0 {
		return
	}
	if h.past == nil {
		h.past, h.pastFrom = p.past(), h.off
	}
	last := b[max(0, len(b)-pastSize):]
	h.off += int64(len(b))
	h.next += uint32(len(b))
	i := (h.off - int64(len(last))) & (pastSize - 1)
	n := copy(h.past[i:], last)
	copy(h.past[:], last[n:])
	p.Counts[capture.StreamBytes] += uint64(len(b))
	s.Data(h.Dir, b, at)
}

// skip gives up all bytes before the place to.
func (h *Half) skip(p *Pool, to int64, s Sink, at capture.Stamp) {
	n := to - h.off
	if n <= 0 {
		return
	}
	h.off = to
	h.next += uint32(n)
	h.pastFrom = to
	p.Counts[capture.StreamGaps]++
	p.Counts[capture.StreamGapBytes] += uint64(n)
	s.Gap(h.Dir, n, at)
}

// skipFirst gives up the first hole, which ends at most at the place to, and
// delivers what was held right behind it.
func (h *Half) skipFirst(p *Pool, to int64, s Sink, at capture.Stamp) {
	if h.held != nil {
		to = min(to, h.held.extents[0].start)
	}
	h.skip(p, to, s, at)
	h.drain(p, s, at)
}

// drain delivers what is held at the next byte.
func (h *Half) drain(p *Pool, s Sink, at capture.Stamp) {
	if h.held == nil || h.held.extents[0].start > h.off {
		return
	}
	for end := h.held.extents[0].end; h.off < end; {
		i, _ := h.held.find(h.off >> pageShift)
		from := h.off & (pageSize - 1)
		to := min(pageSize, from+end-h.off)
		h.deliver(p, h.held.pages[i].page[from:to:to], s, at)
	}
	h.held.forget(p, h.off)
	if len(h.held.extents) == 0 {
		h.freeHeld(p)
	}
}

func (h *Half) freeHeld(p *Pool) {
	p.freeHold(h.held)
	h.held = nil
}

// jump moves the stream to a place outside the window if there is reason to
// believe that it went on there.
func (h *Half) jump(p *Pool, seq uint32, n int, s Sink, at capture.Stamp) bool {
	end := seq + uint32(n)
	if h.farLen > 0 && h.far == end { // the last one again
		return false
	}
	if h.far != seq {
		h.farLen = 0
	}
	h.farLen++
	h.far = end
	if h.farLen < farRun {
		return false
	}
	h.moveTo(p, seq, s, at)
	return true
}

func (h *Half) moveTo(p *Pool, seq uint32, s Sink, at capture.Stamp) {
	h.flush(p, s, at)
	h.farLen, h.fin = 0, false
	n := int64(int32(seq - h.next))
	if n > 0 {
		h.skip(p, h.off+n, s, at)
	} else {
		h.pastFrom, h.next = h.off, seq
		p.Counts[capture.StreamGaps]++
		s.Gap(h.Dir, -1, at)
	}
	h.acked = h.off
}

// Fin says that the stream ends before the sequence number. The first word
// wins; false says that it contradicts what was seen and was ignored.
func (h *Half) Fin(seq uint32) bool {
	if !h.started {
		h.Start(seq)
	}
	at := h.off + int64(int32(seq-h.next))
	if h.fin {
		return at == h.finAt
	}
	if at < h.off || h.Far(seq) || h.held != nil && at < h.held.extents[len(h.held.extents)-1].end {
		return false
	}
	h.fin, h.finAt = true, at
	return true
}

// Ack takes an acknowledgement number that the receiver sent. Holes that it
// passes are given up at once. With eager also bytes are that nothing was seen
// behind: the receiver answered them, so that they come before its answer.
func (h *Half) Ack(p *Pool, ack uint32, eager bool, s Sink, at capture.Stamp) {
	d := int32(ack - h.next)
	if d <= 0 && d >= -Window || !h.started {
		return
	}
	if d > Window || d < -Window {
		if h.farLen > 0 && ack == h.far {
			h.moveTo(p, ack, s, at)
		}
		return
	}
	a := h.off + int64(d)
	if h.fin {
		a = min(a, h.finAt)
	}
	h.acked = max(h.acked, a)
	if h.late && (h.held == nil || h.held.size() < lateHold) {
		return
	}
	from := h.off
	for h.held != nil && h.held.extents[0].start <= h.acked {
		h.skipped = [2]int64{from, h.held.extents[0].start}
		h.skipFirst(p, h.held.extents[0].start, s, at)
	}
	if h.held == nil && h.off < h.acked && (h.fin && h.acked == h.finAt || eager && !h.late && h.acked-h.off <= int64(p.Half)) {
		h.skipped = [2]int64{from, h.acked}
		h.skip(p, h.acked, s, at)
	}
}

// Skip gives up the first hole, and all of them where frames were cut by the
// snap length: each segment leaves one.
func (h *Half) Skip(p *Pool, s Sink, at capture.Stamp) {
	for h.held != nil {
		h.skipFirst(p, h.held.extents[0].start, s, at)
		if !h.snapped {
			return
		}
	}
}

// Flush gives up all holes and delivers what is held, at the end of the
// connection. Bytes that were only seen to be acknowledged are a gap, and so are
// those before FIN; a single one of the former is a FIN that was lost.
func (h *Half) Flush(p *Pool, s Sink, at capture.Stamp) {
	h.flush(p, s, at)
	switch {
	case h.fin:
		h.skip(p, h.finAt, s, at)
	case h.acked == h.off+1:
		h.fin, h.finAt = true, h.off
	default:
		h.skip(p, h.acked, s, at)
	}
}

func (h *Half) flush(p *Pool, s Sink, at capture.Stamp) {
	for h.held != nil {
		h.skipFirst(p, h.held.extents[0].start, s, at)
	}
}

// Release gives the memory back. What is held is lost; the half may be asked
// where it ended.
func (h *Half) Release(p *Pool) {
	if h.held != nil {
		h.held.forget(p, math.MaxInt64)
		h.freeHeld(p)
	}
	if h.past != nil {
		p.pasts = append(p.pasts, h.past)
		h.past = nil
	}
}
