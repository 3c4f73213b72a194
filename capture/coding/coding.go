// Package coding undoes the content codings of HTTP bodies: gzip, deflate, br,
// zstd, and stacks of them (RFC 9110 §8.4). Package http1 calls it once a body is
// complete, and later http2 does.
//
// It decodes what is there: a body that was cut yields what its beginning holds,
// a body that is not what its header says stays as it is, a bomb stops at the
// budget. None of that is a Go error: it comes back as [capture.Flaw].
//
// It never reads more than it was given, never keeps what it decoded, and never
// names a decoded byte in an error. The windows inside the pooled decoders belong
// to their libraries: the next stream overwrites them, a collection frees them.
package coding

import (
	"bytes"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"plainsight/capture"
)

// Coding is one content coding.
type Coding uint8

// Content codings. Identity changes nothing and never stands in a [List].
const (
	Identity Coding = iota
	Gzip
	Deflate
	Brotli
	Zstd
	Unknown
)

var names = []struct {
	name   string
	coding Coding
}{
	{"gzip", Gzip}, {"x-gzip", Gzip},
	{"deflate", Deflate},
	{"br", Brotli},
	{"zstd", Zstd},
	{"identity", Identity}, {"none", Identity}, {"", Identity},
}

// maxStack is how many codings may lie over one another. Nobody sends three; a
// bomb may.
const maxStack = 4

// List is the codings of one body in the order in which they were applied. The
// zero List is the identity.
type List struct {
	codings [maxStack]Coding
	n       uint8
	over    bool // more of them than maxStack
	odd     bool // a name was guessed
}

// Add appends the codings of one Content-Encoding value, which may be a list.
func (l *List) Add(value capture.Text) {
	for len(value) > 0 {
		item := value
		if i := bytes.IndexByte(value, ','); i >= 0 {
			item, value = value[:i], value[i+1:]
		} else {
			value = nil
		}
		c, odd := lookup(bytes.Trim(item, " \t"))
		l.odd = l.odd || odd
		l.push(c)
	}
}

func (l *List) push(c Coding) {
	switch {
	case c == Identity:
	case int(l.n) == maxStack:
		l.over = true
	default:
		l.codings[l.n] = c
		l.n++
	}
}

// Empty says that there is nothing to undo.
func (l *List) Empty() bool { return l.n == 0 }

// lookup finds the coding of a name. Some clients look past what stands around
// it, and servers that hide a body count on that: so does odd.
func lookup(name capture.Text) (c Coding, odd bool) {
	for _, row := range names {
		if capture.EqualFold(name, row.name) {
			return row.coding, false
		}
	}
	for _, row := range names {
		for i := 0; len(row.name) > 2 && i+len(row.name) <= len(name); i++ {
			if capture.EqualFold(name[i:i+len(row.name)], row.name) {
				return row.coding, true
			}
		}
	}
	return Unknown, false
}

// Options are the bounds of decoding. Zero fields take the defaults.
type Options struct {
	Bytes  int // decoded bytes of one body, each layer for itself; default 4 MiB
	Ratio  int // decoded bytes per coded byte; default 256
	Floor  int // decoded bytes that no ratio forbids; default 256 KiB
	Window int // bytes of history a zstd frame may ask for; default 8 MiB
}

// Decoder undoes codings. It is safe for concurrent use and reuses the decoders
// of the libraries.
type Decoder struct {
	o       Options
	gzip    sync.Pool // *reader, one pool a coding
	zlib    sync.Pool
	flate   sync.Pool
	brotli  sync.Pool
	zstd    sync.Pool
	scratch sync.Pool // *[]byte, the layers between
}

// New makes a Decoder.
func New(o Options) *Decoder {
	o.Bytes = positive(o.Bytes, 4<<20)
	o.Ratio = positive(o.Ratio, 256)
	o.Floor = positive(o.Floor, 256<<10)
	o.Window = positive(o.Window, 8<<20)
	return &Decoder{o: o}
}

func positive(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

// Decode undoes the codings of body and appends the result to dst[:0]. cut says
// that body is only the beginning of what was sent: then its sudden end is not
// held against it.
//
// ok is false where nothing could be undone: then the body stands as it was sent
// and out is empty. A flaw with ok set means that out is the beginning of the
// body, that one layer of a stack was not there, or that a name was guessed.
func (d *Decoder) Decode(dst, body []byte, list *List, cut bool) (out []byte, flaws capture.Flaw, ok bool) {
	out = dst[:0]
	if list.odd {
		flaws |= capture.FlawEncodingUnknown
	}
	if list.over {
		return out, flaws | capture.FlawDecodeLimit, false
	}
	var from *[]byte // holds in, where in is not the body itself
	in := body
	for i := int(list.n) - 1; i >= 0; i-- {
		if list.codings[i] == Unknown {
			flaws |= capture.FlawEncodingUnknown
			break
		}
		var flaw capture.Flaw
		out, flaw = d.layer(out[:0], in, list.codings[i], cut)
		flaws |= flaw
		if len(out) == 0 && flaw&capture.FlawDecode != 0 {
			continue // this layer was never applied; perhaps the one below was
		}
		ok = true
		if flaw != 0 {
			cut = true
		}
		if i == 0 {
			break
		}
		// out becomes the input of the next layer, and needs room of its own.
		if from == nil {
			from = d.takeScratch()
		}
		*from = append((*from)[:0], out...)
		in = *from
	}
	if from != nil {
		if ok && len(out) == 0 {
			out = append(out, in...) // the last layer was never applied
		}
		d.putScratch(from)
	}
	return out, flaws, ok
}

// layer undoes one coding.
func (d *Decoder) layer(out, in []byte, c Coding, cut bool) ([]byte, capture.Flaw) {
	if len(in) == 0 {
		return out, 0
	}
	if c != Deflate {
		return d.run(out, in, c, cut)
	}
	// "deflate" means zlib (RFC 9110 §8.4.1.2), but raw deflate is about as common.
	if len(in) >= 2 && in[0]&0x0f == 8 && (int(in[0])<<8|int(in[1]))%31 == 0 {
		full, flaw := d.run(out, in, Deflate, cut)
		if len(full) > 0 || flaw&capture.FlawDecode == 0 {
			return full, flaw
		}
	}
	return d.run(out, in, rawDeflate, cut)
}

const rawDeflate = Unknown + 1

func (d *Decoder) pool(c Coding) *sync.Pool {
	switch c {
	case Gzip:
		return &d.gzip
	case Deflate:
		return &d.zlib
	case rawDeflate:
		return &d.flate
	case Brotli:
		return &d.brotli
	default:
		return &d.zstd
	}
}

func (d *Decoder) run(out, in []byte, c Coding, cut bool) ([]byte, capture.Flaw) {
	limit := min(d.o.Bytes, max(d.o.Floor, d.o.Ratio*len(in)))
	pool := d.pool(c)
	r, _ := pool.Get().(*reader)
	if r == nil {
		r = &reader{coding: c}
	}
	defer pool.Put(r)
	defer r.release()
	if err := r.open(in, d.o.Window); err != nil {
		return out, failed(err, cut)
	}
	for {
		if len(out) >= limit {
			// One byte more tells a full budget from a body that just fits it.
			var one [1]byte
			if n, _ := r.Read(one[:]); n == 0 {
				return out, 0
			}
			return out, capture.FlawDecodeLimit
		}
		if len(out) == cap(out) {
			out = append(out, 0)[:len(out)]
		}
		room := out[len(out):min(cap(out), limit)]
		n, err := r.Read(room)
		out = out[:len(out)+n]
		if err != nil {
			return out, failed(err, cut)
		}
	}
}

// failed tells the ends of a stream apart.
func failed(err error, cut bool) capture.Flaw {
	switch {
	case err == io.EOF:
		return 0
	case cut && err == io.ErrUnexpectedEOF:
		return 0
	case err == zstd.ErrWindowSizeExceeded || err == zstd.ErrDecoderSizeExceeded:
		return capture.FlawDecodeLimit
	}
	return capture.FlawDecode
}

// reader is a pooled decoder of one coding with its source.
type reader struct {
	coding Coding
	src    bytes.Reader
	gzip   *gzip.Reader
	zlib   io.ReadCloser
	flate  io.ReadCloser
	brotli *brotli.Reader
	zstd   *zstd.Decoder
	active io.Reader
}

// Read goes on with the next member where a gzip stream has several. What
// follows the last one and is no member is padding.
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.active.Read(p)
	for err == io.EOF && n == 0 && r.coding == Gzip && r.src.Len() > 0 {
		if r.gzip.Reset(&r.src) != nil {
			return 0, io.EOF
		}
		r.gzip.Multistream(false)
		n, err = r.gzip.Read(p)
	}
	if n > 0 {
		err = nil // it comes again with the next call
	}
	return n, err
}

// open begins a stream. The reader is good for another open even where this one
// says that the stream is none.
func (r *reader) open(in []byte, window int) (err error) {
	r.src.Reset(in)
	switch r.coding {
	case Gzip:
		if r.gzip == nil {
			r.gzip = new(gzip.Reader)
		}
		r.active = r.gzip
		err = r.gzip.Reset(&r.src)
		r.gzip.Multistream(false)
		return err
	case Deflate:
		if r.zlib == nil {
			if r.zlib, err = zlib.NewReader(&r.src); err != nil {
				r.zlib = nil
				return err
			}
		} else if err = r.zlib.(zlib.Resetter).Reset(&r.src, nil); err != nil {
			return err
		}
		r.active = r.zlib
	case rawDeflate:
		if r.flate == nil {
			r.flate = flate.NewReader(&r.src)
		} else if err = r.flate.(flate.Resetter).Reset(&r.src, nil); err != nil {
			return err
		}
		r.active = r.flate
	case Brotli:
		if r.brotli == nil {
			r.brotli = brotli.NewReader(&r.src)
		} else if err = r.brotli.Reset(&r.src); err != nil {
			return err
		}
		r.active = r.brotli
	default:
		if r.zstd == nil {
			// Concurrency 1 decodes in the caller's goroutine: nothing is left running.
			r.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
				zstd.WithDecoderMaxWindow(uint64(window)))
			if err != nil {
				return err
			}
		}
		r.active = r.zstd
		return r.zstd.Reset(&r.src)
	}
	return nil
}

// release lets go of the caller's bytes.
func (r *reader) release() { r.src.Reset(nil) }

func (d *Decoder) takeScratch() *[]byte {
	if b, ok := d.scratch.Get().(*[]byte); ok {
		return b
	}
	return new([]byte)
}

func (d *Decoder) putScratch(b *[]byte) {
	clear((*b)[:cap(*b)])
	*b = (*b)[:0]
	if cap(*b) <= 1<<20 {
		d.scratch.Put(b)
	}
}
