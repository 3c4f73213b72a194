package pcap

import (
	"encoding/binary"
	"io"
	"math/bits"
	"time"

	"plainsight/capture"
)

const (
	// blockSize is how much is read at once. Measured on 1.4 GB, 128 KiB to 4 MiB
	// cost the same; this stays in the cache of a core for those who look at it.
	blockSize     = 256 << 10
	maxEmptyReads = 100
)

// window is the part of a byte stream that is in memory: buf[r:w].
type window struct {
	src   io.Reader
	meter *meter
	buf   []byte
	r, w  int
	base  int64 // place of buf[0] in the stream
	err   error // why there is no more
}

// need makes n bytes available at buf[r:], or says that the stream ends before.
// It moves bytes: slices of buf are valid until the next call.
func (w *window) need(n int) bool { return w.w-w.r >= n || w.fill(n) }

func (w *window) fill(n int) bool {
	if w.r > 0 {
		copy(w.buf, w.buf[w.r:w.w])
		w.base += int64(w.r)
		w.w -= w.r
		w.r = 0
	}
	if size := max(n, blockSize); len(w.buf) < size {
		grown := make([]byte, size+64<<10)
		copy(grown, w.buf[:w.w])
		w.buf = grown
	}
	for empty := 0; w.w < n && w.err == nil; {
		m, err := w.src.Read(w.buf[w.w:])
		w.w += m
		w.err = err
		if empty++; m > 0 {
			empty = 0
		}
		if empty == maxEmptyReads && err == nil {
			w.err = io.ErrNoProgress
		}
	}
	return w.w >= n
}

// skip drops n bytes, as many as there are, and says whether all were there.
func (w *window) skip(n int64) bool {
	for {
		have := int64(w.w - w.r)
		if n <= have {
			w.r += int(n)
			return true
		}
		n -= have
		w.r = w.w
		if !w.need(1) {
			return false
		}
	}
}

// offset is the place of the next byte in the stream.
func (w *window) offset() int64 { return w.base + int64(w.r) }

// ended says how a stream ended that does not have the bytes of the record at
// place at; what is the part that it was cut in.
func (w *window) ended(at int64, what string) error {
	switch {
	case w.meter.err != nil:
		return w.meter.err
	case w.err == io.EOF && w.base+int64(w.w) == at || w.meter.left():
		return io.EOF
	case w.err == io.EOF:
		return damage(at, "cut in the middle of "+what)
	case w.err == io.ErrUnexpectedEOF:
		return damage(at, "its packed data ends early")
	}
	return damage(at, "its packed data is broken")
}

// damage says that a stream cannot be understood from a place on. The source
// adds the file's name.
func damage(at int64, reason string) error {
	return &capture.DamagedError{Offset: at, Reason: reason}
}

// order is the byte order of a file: true for big endian.
type order bool

func (o order) u16(b []byte) uint16 {
	v := binary.LittleEndian.Uint16(b)
	if o {
		v = bits.ReverseBytes16(v)
	}
	return v
}

func (o order) u32(b []byte) uint32 {
	v := binary.LittleEndian.Uint32(b)
	if o {
		v = bits.ReverseBytes32(v)
	}
	return v
}

// maxSecond is the last second of the year 9999, the last one that time.Time
// writes as text.
const maxSecond = 253402300799

// stamp makes a time; nanoseconds may be more than a second.
func stamp(sec int64, nsec int64) time.Time {
	if sec < 0 || sec > maxSecond-5 {
		return time.Unix(min(max(sec, 0), maxSecond), 0).UTC()
	}
	return time.Unix(sec, nsec).UTC()
}
