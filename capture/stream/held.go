package stream

import (
	"bytes"
	"sort"
)

const (
	// maxExtents bounds the pieces that one half holds apart from one another,
	// and with them what one segment may cost.
	maxExtents = 4096
	// extentsPage is how many extents weigh as much as a page.
	extentsPage = pageSize / 16
)

// extent is a run of held bytes, [start, end) in stream offsets. Extents are
// sorted and never touch.
type extent struct{ start, end int64 }

type pageRef struct {
	index int64 // stream offset >> pageShift
	*page
}

// held keeps bytes that came before their turn. They lie in pages aligned to
// the stream, so that a segment of one byte costs a byte, and a place is found
// by binary search however the segments are ordered.
type held struct {
	extents []extent
	pages   []pageRef
}

// room says whether bytes [start, end) fit into the bounds.
func (h *held) room(p *Pool, start, end int64) bool {
	need := 0
	for i := start >> pageShift; i <= (end-1)>>pageShift; i++ {
		if at, ok := h.find(i); !ok {
			need++
			if at == len(h.pages) { // and so are all that follow
				need += int((end-1)>>pageShift - i)
				break
			}
		}
	}
	if len(h.extents)%extentsPage == extentsPage-1 {
		need++
	}
	return h.size()+need*pageSize <= p.Half && p.used+need*pageSize <= p.Total &&
		len(h.extents) < maxExtents
}

// size is what h weighs in the bounds.
func (h *held) size() int { return (len(h.pages) + len(h.extents)/extentsPage) * pageSize }

func (h *held) find(index int64) (int, bool) {
	n := len(h.pages)
	if n == 0 || h.pages[n-1].index < index {
		return n, false
	}
	if h.pages[n-1].index == index {
		return n - 1, true
	}
	i := sort.Search(n, func(i int) bool { return h.pages[i].index >= index })
	return i, h.pages[i].index == index
}

// insert keeps those bytes of b, which stand at start, that are not held yet.
// fresh tells how many were new, same whether the others were equal.
func (h *held) insert(p *Pool, start int64, b []byte) (fresh int, same bool) {
	end := start + int64(len(b))
	first, last := h.span(start, end)
	at, same := start, true
	for _, x := range h.extents[first:last] {
		if at < x.start {
			n := min(end, x.start)
			h.write(p, at, b[at-start:n-start])
			fresh += int(n - at)
			at = n
		}
		if n := min(end, x.end); at < n {
			same = h.equal(at, b[at-start:n-start]) && same
			at = n
		}
	}
	if at < end {
		h.write(p, at, b[at-start:])
		fresh += int(end - at)
	}
	h.merge(p, first, last, extent{start, end})
	return fresh, same
}

// span finds the extents that overlap or touch [start, end).
func (h *held) span(start, end int64) (first, last int) {
	n := len(h.extents)
	switch {
	case n == 0 || h.extents[n-1].end < start:
		return n, n
	case h.extents[n-1].start <= start:
		return n - 1, n
	case h.extents[0].start > end:
		return 0, 0
	}
	first = sort.Search(n, func(i int) bool { return h.extents[i].end >= start })
	for last = first; last < n && h.extents[last].start <= end; last++ {
	}
	return first, last
}

func (h *held) merge(p *Pool, first, last int, x extent) {
	if first == last {
		h.extents = append(h.extents, extent{})
		copy(h.extents[first+1:], h.extents[first:])
		h.extents[first] = x
		if len(h.extents)%extentsPage == 0 {
			p.used += pageSize
		}
		return
	}
	p.used -= (len(h.extents)/extentsPage - (len(h.extents)-(last-first-1))/extentsPage) * pageSize
	x.start = min(x.start, h.extents[first].start)
	x.end = max(x.end, h.extents[last-1].end)
	h.extents[first] = x
	h.extents = append(h.extents[:first+1], h.extents[last:]...)
}

func (h *held) write(p *Pool, at int64, b []byte) {
	for len(b) > 0 {
		index := at >> pageShift
		i, ok := h.find(index)
		if !ok {
			h.pages = append(h.pages, pageRef{})
			copy(h.pages[i+1:], h.pages[i:])
			h.pages[i] = pageRef{index, p.page()}
		}
		n := copy(h.pages[i].page[at&(pageSize-1):], b)
		at, b = at+int64(n), b[n:]
	}
}

func (h *held) equal(at int64, b []byte) bool {
	for len(b) > 0 {
		i, _ := h.find(at >> pageShift)
		q := h.pages[i].page[at&(pageSize-1):]
		n := min(len(q), len(b))
		if !bytes.Equal(q[:n], b[:n]) {
			return false
		}
		at, b = at+int64(n), b[n:]
	}
	return true
}

// forget drops what ends at or before the offset.
func (h *held) forget(p *Pool, before int64) {
	n := 0
	for n < len(h.extents) && h.extents[n].end <= before {
		n++
	}
	p.used -= (len(h.extents)/extentsPage - (len(h.extents)-n)/extentsPage) * pageSize
	h.extents = append(h.extents[:0], h.extents[n:]...)
	n = 0
	for n < len(h.pages) && (len(h.extents) == 0 || h.pages[n].index < h.extents[0].start>>pageShift) {
		p.freePage(h.pages[n].page)
		n++
	}
	left := copy(h.pages, h.pages[n:])
	clear(h.pages[left:])
	h.pages = h.pages[:left]
}
