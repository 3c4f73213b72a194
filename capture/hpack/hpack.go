// Package hpack reads the header blocks of HTTP/2 (RFC 7541) from outside: it
// sees what one side sends and need not have seen it from the start. Package
// http2 has a [Decoder] for each direction of a connection.
//
// What was put into the dynamic table before we joined, or in a gap, stays
// unknown until the encoder has replaced it: a field that refers to it is left
// out and counted, the places of the others are kept right, and the table heals
// by itself. The decoder never guesses a name or a value, never holds more than
// its [Options] say, and allocates nothing once its buffers have grown.
package hpack

import (
	"math"

	"plainsight/capture"
)

// Options are the bounds of a [Decoder]. Zero fields take the defaults.
type Options struct {
	Table   int // bytes of the dynamic table kept; default 64 KiB
	Entries int // entries of it; default 2048
	List    int // size of the fields of one block (RFC 9113 §6.5.2); default 64 KiB
	Fields  int // fields of one block; default 512
}

func (o Options) withDefaults() Options {
	for _, i := range [...]struct {
		p *int
		n int
	}{{&o.Table, 64 << 10}, {&o.Entries, 2048}, {&o.List, 64 << 10}, {&o.Fields, 512}} {
		if *i.p <= 0 {
			*i.p = i.n
		}
	}
	return o
}

type blockError string

func (e blockError) Error() string { return string(e) }

// What is wrong with a block; its rest and the table are not to be trusted.
const (
	ErrTruncated = blockError("a header block ends inside a field")
	ErrIndex     = blockError("an index without an entry")
	ErrInteger   = blockError("an integer that is too large")
	ErrHuffman   = blockError("a string that is no Huffman code")
)

const (
	entryOverhead = 32   // RFC 7541 §4.1
	firstSize     = 4096 // of the table, until an update (RFC 9113 §6.5.2)
)

// Decoder reads the blocks of one direction. It is not safe for concurrent use.
// The zero value is not usable: see [New].
type Decoder struct {
	o Options

	// The entries that are known to be there, the newest last.
	ring     []entry // a ring, its length a power of two
	first, n int
	text     []byte // what they say
	base     uint64 // the place of text[0]
	size     uint64 // of the entries (RFC 7541 §4.1), at least
	max      uint64 // that the encoder keeps to
	maxSeen  bool   // max is what the encoder said, not what it may be
	partial  bool   // behind the entries there may be others, unknown
	stored   int    // bytes of text that entries point to
}

// entry is a row of the dynamic table.
type entry struct {
	at          uint64 // place of its name; its value follows
	name, value uint32 // lengths
	size        uint32
	unknown     bool // its name was not known when it was put in
}

// New makes the decoder of a direction that is seen from its start.
func New(o Options) *Decoder {
	return &Decoder{o: o.withDefaults(), max: firstSize, maxSeen: true}
}

// Reset makes d as new, keeping its buffers.
func (d *Decoder) Reset() {
	d.clear()
	d.max, d.maxSeen, d.partial = firstSize, true, false
}

// Forget says that blocks went by unseen: all entries are unknown from here.
func (d *Decoder) Forget() {
	d.clear()
	d.max, d.maxSeen, d.partial = max(firstSize, uint64(d.o.Table)), false, true
}

// Free is Forget, and gives back the memory of the table.
func (d *Decoder) Free() {
	d.Forget()
	d.ring, d.text = nil, nil
}

// clear removes the entries, and their bytes from memory.
func (d *Decoder) clear() {
	clear(d.text)
	d.text = d.text[:0]
	d.first, d.n, d.base, d.size, d.stored = 0, 0, 0, 0, 0
}

// Complete reports whether nothing in the table is unknown.
func (d *Decoder) Complete() bool { return !d.partial }

// Memory is how many bytes d holds.
func (d *Decoder) Memory() int { return cap(d.text) + 24*cap(d.ring) }

// Block is what a header block says. Its memory is used again by the next block
// read into it. The zero value is ready.
type Block struct {
	text   []byte
	fields []field
	scratch
	list int // size of the fields

	// Unknown counts fields left out because their names stood in a part of the
	// table that was not seen; Dropped those left out at a limit.
	Unknown, Dropped int
}

// scratch holds what a field says while it is read.
type scratch struct{ name, value []byte }

type field struct{ at, name, value uint32 }

// Len is the number of fields.
func (b *Block) Len() int { return len(b.fields) }

// Field is field i of the block, in its order. The bytes belong to b.
func (b *Block) Field(i int) (name, value capture.Text) { return b.fields[i].of(b.text) }

func (f field) of(text []byte) (name, value capture.Text) {
	v := f.at + f.name
	end := v + f.value
	return text[f.at:v:v], text[v:end:end]
}

// Text is what all fields say, one behind the other. It belongs to b.
func (b *Block) Text() []byte { return b.text }

// FieldIn is [Block.Field] for a copy of [Block.Text].
func (b *Block) FieldIn(text []byte, i int) (name, value capture.Text) { return b.fields[i].of(text) }

// Reset empties b, and its memory of what it held.
func (b *Block) Reset() {
	for _, p := range [...]*[]byte{&b.text, &b.name, &b.value} {
		if cap(*p) > 4<<10 {
			*p = nil // rare: not worth keeping
			continue
		}
		clear((*p)[:cap(*p)])
		*p = (*p)[:0]
	}
	b.begin()
}

func (b *Block) begin() {
	b.text, b.fields = b.text[:0], b.fields[:0]
	b.list, b.Unknown, b.Dropped = 0, 0, 0
}

// add appends a field, within the bounds.
func (b *Block) add(name, value []byte, o *Options) {
	b.list += len(name) + len(value) + entryOverhead
	if b.full(o) {
		b.Dropped++
		return
	}
	b.fields = append(b.fields, field{uint32(len(b.text)), uint32(len(name)), uint32(len(value))})
	b.text = append(append(b.text, name...), value...)
}

// full says that no field has room any more.
func (b *Block) full(o *Options) bool { return b.list > o.List || len(b.fields) >= o.Fields }

// Decode reads a whole header block into b. block is borrowed. After an error
// the table is unknown; the fields before it are in b.
func (d *Decoder) Decode(b *Block, block []byte) error {
	b.begin()
	err := d.decode(b, block)
	if err != nil {
		d.Forget()
	}
	return err
}

func (d *Decoder) decode(b *Block, block []byte) error {
	for len(block) > 0 {
		c := block[0]
		if c&0xe0 == 0x20 {
			size, rest, err := integer(block, 5)
			switch {
			case err != nil:
				return err
			case size > math.MaxUint32: // more than a setting can allow
				return ErrInteger
			}
			block = rest
			d.resize(size)
			continue
		}
		if c&0x80 != 0 {
			i, rest := uint64(c&0x7f), block[1:]
			if i == 0x7f {
				var err error
				if i, rest, err = integer(block, 7); err != nil {
					return err
				}
			}
			block = rest
			if b.full(&d.o) && 0 < i && i <= uint64(len(static)+d.n) {
				b.Dropped++ // a byte that costs a header: bombs are made of these
				continue
			}
			name, value, known, ok := d.at(i)
			switch {
			case !ok:
				return ErrIndex
			case !known:
				b.Unknown++
			default:
				b.add(name, value, &d.o)
			}
			continue
		}
		prefix, keep := uint(4), false
		if c&0x40 != 0 {
			prefix, keep = 6, true
		}
		rest, err := d.literal(b, block, prefix, keep)
		if err != nil {
			return err
		}
		block = rest
	}
	return nil
}

// literal reads a field with a value of its own (RFC 7541 §6.2).
func (d *Decoder) literal(b *Block, block []byte, prefix uint, keep bool) ([]byte, error) {
	i, block, err := integer(block, prefix)
	if err != nil {
		return nil, err
	}
	var name []byte
	known, ok := true, true
	if i == 0 {
		name, block, err = text(block, &b.name)
	} else if name, _, known, ok = d.at(i); !ok {
		err = ErrIndex
	}
	if err != nil {
		return nil, err
	}
	value, block, err := text(block, &b.value)
	if err != nil {
		return nil, err
	}
	if known {
		b.add(name, value, &d.o)
	} else {
		b.Unknown++
	}
	if keep {
		if i > uint64(len(static)) {
			b.name = append(b.name[:0], name...) // the table may move it
			name = b.name
		}
		d.insert(name, value, known)
	}
	return block, nil
}

// at is the entry with an index. ok is false where there can be none.
func (d *Decoder) at(i uint64) (name, value []byte, known, ok bool) {
	if i == 0 {
		return nil, nil, false, false
	}
	if i <= uint64(len(static)) {
		f := &staticFields[i-1]
		return f.name, f.value, true, true
	}
	i -= uint64(len(static)) + 1
	if i >= uint64(d.n) {
		return nil, nil, false, d.partial
	}
	e := &d.ring[(d.first+d.n-1-int(i))&(len(d.ring)-1)]
	if e.unknown {
		return nil, nil, false, true
	}
	t := d.text[e.at-d.base:]
	return t[:e.name], t[e.name : e.name+e.value], true, true
}

// insert puts an entry in front of the table (RFC 7541 §4.4).
func (d *Decoder) insert(name, value []byte, known bool) {
	size := uint64(len(name)) + uint64(len(value)) + entryOverhead
	for d.n > 0 && d.size+size > d.max {
		d.evict()
	}
	if size > d.max {
		d.heal(size)
		return
	}
	if !known || len(name)+len(value) > d.o.Table {
		name, value, known = nil, nil, false
	}
	need := len(name) + len(value)
	for d.n > 0 && (d.stored+need > d.o.Table || d.n >= d.o.Entries) {
		d.evict()
		d.partial = true // it is there, but not with us
	}
	if d.n == len(d.ring) {
		d.grow()
	}
	d.room(need)
	d.ring[(d.first+d.n)&(len(d.ring)-1)] = entry{
		at: d.base + uint64(len(d.text)), name: uint32(len(name)), value: uint32(len(value)), size: uint32(size), unknown: !known,
	}
	d.text = append(append(d.text, name...), value...)
	d.n++
	d.size += size
	d.stored += need
	d.heal(d.size)
}

// heal notes that nothing unknown has room any more in a table that holds size.
func (d *Decoder) heal(size uint64) {
	if d.maxSeen && size+entryOverhead > d.max {
		d.partial = false
	}
}

// resize takes an update of the table's size (RFC 7541 §6.3).
func (d *Decoder) resize(size uint64) {
	d.max, d.maxSeen = size, true
	for d.n > 0 && d.size > d.max {
		d.evict()
	}
	d.heal(d.size)
}

// evict removes the oldest entry.
func (d *Decoder) evict() {
	e := &d.ring[d.first]
	d.size -= uint64(e.size)
	d.stored -= int(e.name + e.value)
	d.first = (d.first + 1) & (len(d.ring) - 1)
	if d.n--; d.n == 0 {
		d.base += uint64(len(d.text))
		d.text = d.text[:0]
	}
}

func (d *Decoder) grow() {
	bigger := make([]entry, max(16, 2*len(d.ring)))
	for i := range d.n {
		bigger[i] = d.ring[(d.first+i)&(len(d.ring)-1)]
	}
	d.ring, d.first = bigger, 0
}

// room makes sure that n bytes can be appended to the text: if it must be moved,
// it is half empty afterwards.
func (d *Decoder) room(n int) {
	if len(d.text)+n <= cap(d.text) {
		return
	}
	live := d.text
	if d.n > 0 {
		live = d.text[d.ring[d.first].at-d.base:]
	}
	to := d.text[:0]
	if 2*(len(live)+n) > cap(d.text) {
		to = make([]byte, 0, max(512, 2*(len(live)+n)))
	}
	d.base += uint64(len(d.text) - len(live))
	d.text = append(to, live...)
}

// integer reads an integer whose first bits are the last prefix of b[0] (RFC 7541
// §5.1).
func integer(b []byte, prefix uint) (uint64, []byte, error) {
	if len(b) == 0 {
		return 0, nil, ErrTruncated
	}
	limit := uint64(1)<<prefix - 1
	n := uint64(b[0]) & limit
	b = b[1:]
	if n < limit {
		return n, b, nil
	}
	for shift := uint(0); shift < 63; shift += 7 {
		if len(b) == 0 {
			return 0, nil, ErrTruncated
		}
		c := b[0]
		b = b[1:]
		n += uint64(c&0x7f) << shift
		if c&0x80 == 0 {
			return n, b, nil
		}
	}
	return 0, nil, ErrInteger
}

// text reads a string (RFC 7541 §5.2). It is in b, or decoded in *to.
func text(b []byte, to *[]byte) (s, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, ErrTruncated
	}
	huffman := b[0]&0x80 != 0
	n, b, err := integer(b, 7)
	if err != nil {
		return nil, nil, err
	}
	if n > uint64(len(b)) {
		return nil, nil, ErrTruncated
	}
	s, b = b[:n], b[n:]
	if huffman {
		var ok bool
		if *to, ok = appendHuffman((*to)[:0], s); !ok {
			return nil, nil, ErrHuffman
		}
		s = *to
	}
	return s, b, nil
}
