package transaction

import (
	"bytes"
	"sync"
	"sync/atomic"
)

// Buffer is a piece of pooled memory. It is zeroed before it goes back: what it
// held belongs to other people.
type Buffer struct{ B []byte }

// sizes are the capacities of pooled buffers. A buffer grows from one to the
// next, so that a lying Content-Length reserves nothing.
var sizes = [...]int{256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20}

// small is the largest size that does not count against the limit: every
// transaction has one or two of them, and the number of those is bounded.
const small = 4 << 10

// Buffers is a pool of buffers by size with a limit on all that are out.
type Buffers struct {
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

// Out is how many bytes are out of those that count against the limit.
func (p *Buffers) Out() int64 { return p.out.Load() }

// Clean reports whether memory of the pool is zero, as it should be. It takes that
// memory away: it is there for tests.
func (p *Buffers) Clean() bool {
	for i := range p.pools {
		for range 8 {
			b, _ := p.pools[i].Get().(*Buffer)
			if b == nil {
				break
			}
			if bytes.IndexFunc(b.B[:cap(b.B)], func(r rune) bool { return r != 0 }) >= 0 {
				return false
			}
		}
	}
	return true
}

// take returns an empty buffer with room for n bytes, or nil at the limit.
func (p *Buffers) take(n int) *Buffer {
	i := class(n)
	if i < 0 {
		return nil
	}
	if sizes[i] > small && p.out.Add(int64(sizes[i])) > p.limit {
		p.out.Add(-int64(sizes[i]))
		return nil
	}
	if b, ok := p.pools[i].Get().(*Buffer); ok {
		return b
	}
	return &Buffer{B: make([]byte, 0, sizes[i])}
}

// Put takes a buffer back, or nothing where b is nil.
func (p *Buffers) Put(b *Buffer) {
	if b == nil {
		return
	}
	clear(b.B)
	b.B = b.B[:0]
	if cap(b.B) > small {
		p.out.Add(-int64(cap(b.B)))
	}
	if i := class(cap(b.B)); i >= 0 && sizes[i] == cap(b.B) {
		p.pools[i].Put(b)
	}
}

// Add appends data to *b, which may be nil. It is false at the limit, and then
// nothing was added.
func (p *Buffers) Add(b **Buffer, data []byte) bool {
	old := *b
	if old == nil {
		if *b = p.take(len(data)); *b == nil {
			return false
		}
	} else if len(old.B)+len(data) > cap(old.B) {
		bigger := p.take(len(old.B) + len(data))
		if bigger == nil {
			return false
		}
		bigger.B = append(bigger.B, old.B...)
		p.Put(old)
		*b = bigger
	}
	(*b).B = append((*b).B, data...)
	return true
}
