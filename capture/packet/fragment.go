package packet

import (
	"net/netip"
	"slices"
	"sort"
	"time"

	"plainsight/capture"
)

// maxPacket is the largest IP packet.
const maxPacket = 1<<16 - 1

// fragments holds the IP packets that are not complete, oldest first.
type fragments struct {
	o           Options
	held        map[fragmentKey]*fragmented
	first, last *fragmented
	bytes       int // of all buffers
}

// fragmentKey is what the fragments of a packet have in common (RFC 791,
// RFC 8200).
type fragmentKey struct {
	src, dst netip.Addr
	vlan     uint32
	id       uint32
	proto    uint8
}

// fragmented is a packet that is not complete.
type fragmented struct {
	key        fragmentKey
	since      time.Time
	buf        []byte
	spans      []span // of buf that are filled, in order, none touching the next
	have       int    // bytes filled
	total      int    // length of the packet, -1 until its last fragment was seen
	frames     uint64 // fragments taken
	prev, next *fragmented
}

type span struct{ lo, hi int }

func (f *fragments) init(o Options) {
	if o.MaxFragmented <= 0 {
		o.MaxFragmented = 1024
	}
	if o.MaxFragmentBytes <= 0 {
		o.MaxFragmentBytes = 16 << 20
	}
	o.MaxFragmentBytes = max(o.MaxFragmentBytes, maxPacket+1)
	if o.MaxFragments <= 0 {
		o.MaxFragments = 512
	}
	if o.MaxFragmentAge <= 0 {
		o.MaxFragmentAge = 30 * time.Second
	}
	f.o = o
	f.held = map[fragmentKey]*fragmented{}
}

// add takes a fragment; p is borrowed. If it completes its packet, the packet is
// returned, good until it is dropped, with the number of fragments that were
// held for it. It returns false for a fragment that cannot be right. Where
// fragments overlap, the first that came wins.
func (f *fragments) add(k fragmentKey, offset int, more bool, p []byte, now time.Time, n *capture.Counts) (packet []byte, held uint64, ok bool) {
	for f.first != nil && now.Sub(f.first.since) > f.o.MaxFragmentAge {
		f.evict(f.first, n)
	}
	end := offset + len(p)
	if len(p) == 0 || end > maxPacket || more && len(p)%8 != 0 {
		return nil, 0, false
	}
	d := f.held[k]
	if d == nil {
		if len(f.held) >= f.o.MaxFragmented {
			f.evict(f.first, n)
		}
		d = &fragmented{key: k, since: now, total: -1}
		f.push(d)
	}
	switch {
	case d.total >= 0 && (end > d.total || !more && end != d.total), // behind the end
		!more && len(d.spans) > 0 && d.spans[len(d.spans)-1].hi > end: // the end before what was seen
		return nil, 0, false
	case d.frames >= uint64(f.o.MaxFragments), !f.grow(d, end, n):
		f.evict(d, n)
		return nil, 0, false
	}
	if !more {
		d.total = end
	}
	d.put(offset, p)
	if d.have == d.total {
		f.remove(d)
		return d.buf[:d.total:d.total], d.frames, true
	}
	d.frames++
	n[capture.FragmentsHeld]++
	return nil, 0, true
}

// put fills what is not filled yet between lo and the end of p.
func (d *fragmented) put(lo int, p []byte) {
	hi := lo + len(p)
	i := sort.Search(len(d.spans), func(i int) bool { return d.spans[i].hi >= lo })
	j, at, merged := i, lo, span{lo, hi}
	for ; j < len(d.spans) && d.spans[j].lo <= hi; j++ {
		s := d.spans[j]
		if at < s.lo {
			d.have += copy(d.buf[at:s.lo], p[at-lo:])
		}
		at = max(at, s.hi)
		merged = span{min(merged.lo, s.lo), max(merged.hi, s.hi)}
	}
	if at < hi {
		d.have += copy(d.buf[at:hi], p[at-lo:])
	}
	d.spans = slices.Replace(d.spans, i, j, merged)
}

// grow makes room in d for size bytes, at the cost of older packets.
func (f *fragments) grow(d *fragmented, size int, n *capture.Counts) bool {
	if size <= len(d.buf) {
		return true
	}
	size = min(max(size, 2*len(d.buf), 2048), maxPacket+1)
	more := size - len(d.buf)
	for f.bytes+more > f.o.MaxFragmentBytes {
		oldest := f.first
		if oldest == d {
			oldest = d.next
		}
		if oldest == nil {
			return false
		}
		f.evict(oldest, n)
	}
	grown := make([]byte, size)
	copy(grown, d.buf)
	d.buf = grown
	f.bytes += more
	return true
}

func (f *fragments) push(d *fragmented) {
	f.held[d.key] = d
	if d.prev = f.last; d.prev != nil {
		d.prev.next = d
	} else {
		f.first = d
	}
	f.last = d
}

func (f *fragments) remove(d *fragmented) {
	delete(f.held, d.key)
	f.bytes -= len(d.buf)
	if d.prev != nil {
		d.prev.next = d.next
	} else {
		f.first = d.next
	}
	if d.next != nil {
		d.next.prev = d.prev
	} else {
		f.last = d.prev
	}
}

// evict gives up a packet.
func (f *fragments) evict(d *fragmented, n *capture.Counts) {
	f.remove(d)
	n[capture.FragmentsEvicted]++
	n[capture.FramesAnalysed] -= d.frames
	n[capture.FramesDroppedFragment] += d.frames
}

func (f *fragments) evictAll(n *capture.Counts) {
	for f.first != nil {
		f.evict(f.first, n)
	}
}
