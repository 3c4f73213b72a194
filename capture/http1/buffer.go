package http1

import (
	"sync"
	"sync/atomic"
)

// buffer is a piece of pooled memory. It is zeroed before it goes back: what it
// held belongs to other people.
type buffer struct{ b []byte }

// sizes are the capacities of pooled buffers. A buffer grows from one to the
// next, so that a lying Content-Length reserves nothing.
var sizes = [...]int{1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20}

// small is the largest size that does not count against the limit: every
// transaction has one or two of them, and the number of those is bounded.
const small = 4 << 10

// buffers is a pool of buffers by size with a limit on all that are out.
type buffers struct {
	pools [len(sizes)]sync.Pool
	out   atomic.Int64
	limit int64
}

func class(n int) int {
	for i, size := range sizes {
		if n <= size {
			return i
		}
	}
	return -1
}

// take returns an empty buffer with room for n bytes, or nil at the limit.
func (p *buffers) take(n int) *buffer {
	i := class(n)
	if i < 0 {
		return nil
	}
	if sizes[i] > small && p.out.Add(int64(sizes[i])) > p.limit {
		p.out.Add(-int64(sizes[i]))
		return nil
	}
	if b, ok := p.pools[i].Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, 0, sizes[i])}
}

// put takes a buffer back, or nothing where b is nil.
func (p *buffers) put(b *buffer) {
	if b == nil {
		return
	}
	clear(b.b)
	b.b = b.b[:0]
	if cap(b.b) > small {
		p.out.Add(-int64(cap(b.b)))
	}
	if i := class(cap(b.b)); i >= 0 && sizes[i] == cap(b.b) {
		p.pools[i].Put(b)
	}
}

// add appends data to *b, which may be nil. It is false at the limit, and then
// nothing was added.
func (p *buffers) add(b **buffer, data []byte) bool {
	old := *b
	if old == nil {
		if *b = p.take(len(data)); *b == nil {
			return false
		}
	} else if len(old.b)+len(data) > cap(old.b) {
		bigger := p.take(len(old.b) + len(data))
		if bigger == nil {
			return false
		}
		bigger.b = append(bigger.b, old.b...)
		p.put(old)
		*b = bigger
	}
	(*b).b = append((*b).b, data...)
	return true
}
