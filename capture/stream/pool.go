package stream

import "plainsight/capture"

const (
	pageSize  = 4 << 10
	pageShift = 12
	pastSize  = 256
)

type page [pageSize]byte

// past holds the last bytes that a half delivered, by stream offset modulo its
// size: enough to tell a retransmission from a second opinion.
type past [pastSize]byte

// Pool is the memory that the halves of one engine share, and where they count.
// It is not safe for concurrent use.
type Pool struct {
	// Half bounds the bytes that one half holds behind a hole, Total those of
	// all halves together, in whole pages of 4 KiB.
	Half, Total int
	Counts      *capture.Counts

	used  int // bytes given out, in pages
	pages []*page
	pasts []*past
	held  []*held
}

func (p *Pool) page() *page {
	p.used += pageSize
	if n := len(p.pages); n > 0 {
		g := p.pages[n-1]
		p.pages = p.pages[:n-1]
		return g
	}
	return new(page)
}

func (p *Pool) freePage(g *page) {
	p.used -= pageSize
	p.pages = append(p.pages, g)
}

func (p *Pool) past() *past {
	if n := len(p.pasts); n > 0 {
		b := p.pasts[n-1]
		p.pasts = p.pasts[:n-1]
		return b
	}
	return new(past)
}

func (p *Pool) hold() *held {
	if n := len(p.held); n > 0 {
		h := p.held[n-1]
		p.held = p.held[:n-1]
		return h
	}
	return new(held)
}

func (p *Pool) freeHold(h *held) {
	if cap(h.extents) <= extentsPage { // else a rare giant: leave it to the collector
		p.held = append(p.held, h)
	}
}

// Used is how many bytes are held behind holes at the moment.
func (p *Pool) Used() int { return p.used }
