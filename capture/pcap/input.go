package pcap

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"plainsight/capture"
)

// format is what a capture file is made of. next fills all of f but its number.
type format interface {
	next(f *capture.Frame) error
}

// input is one open file.
type input struct {
	meter  *meter
	name   string // of the format
	packed string
	format format
	closes []func()
}

// maxPacked is how often a file may be packed.
const maxPacked = 2

// foreign tells by their first bytes files that people give to a reader of
// captures by mistake, and what to do with them.
var foreign = []struct{ magic, is, fix string }{
	{"\xfd7zXZ\x00", "it is packed with xz", "unpack it first: xz -d"},
	{"BZh", "it is packed with bzip2", "unpack it first: bunzip2"},
	{"\x04\x22\x4d\x18", "it is packed with lz4", "unpack it first: lz4 -d"},
	{"PK\x03\x04", "it is a zip archive", "unpack it first: unzip"},
	{"7z\xbc\xaf\x27\x1c", "it is a 7z archive", "unpack it first: 7z x"},
	{"snoop\x00\x00\x00", "it is a snoop file", "convert it: editcap -F pcapng"},
	{"GMBU", "it is a Network Monitor file", "convert it: editcap -F pcapng"},
	{"RTSS", "it is a Network Monitor file", "convert it: editcap -F pcapng"},
	{"\x7fELF", "it is a program", expected},
	{"{", "it looks like JSON", expected},
	{"<", "it looks like XML or HTML", expected},
	{"%PDF", "it is a PDF", expected},
}

const expected = "expected pcap or pcapng, plain or packed with gzip or zstd"

// openPath opens and identifies a file; size is -1 if it is no regular file,
// which cannot be opened twice.
func openPath(path string, o Options) (in *input, size int64, err error) {
	if path == "-" {
		in, err = newInput(o.Stdin, path, o)
		return in, -1, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, pathError(path, err)
	}
	info, err := file.Stat()
	switch {
	case err != nil:
		err = pathError(path, err)
	case info.IsDir():
		err = &Error{path, ErrDirectory, "name the capture files in it"}
	case o.Wait != nil && info.Mode().IsRegular():
		in, err = newInput(&growing{File: file, path: path, wait: o.Wait}, path, o)
	default:
		in, err = newInput(file, path, o)
	}
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	in.closes = append(in.closes, func() { file.Close() })
	if size = info.Size(); !info.Mode().IsRegular() {
		size = -1
	}
	return in, size, nil
}

func pathError(path string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err // the path is in Error already
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Error{path, err, "check the path"}
	case errors.Is(err, fs.ErrPermission):
		return &Error{path, err, "make it readable for this user"}
	}
	return &Error{path, err, "check the file"}
}

// newInput finds out what r holds.
func newInput(r io.Reader, name string, o Options) (_ *input, err error) {
	in := &input{meter: newMeter(r, o.Digest)}
	defer func() {
		if err != nil {
			in.close()
		}
	}()
	b := bufio.NewReaderSize(in.meter, 64<<10)
	for {
		head, err := b.Peek(24)
		if e := in.meter.err; e != nil {
			return nil, pathError(name, e)
		}
		if len(head) == 0 && err == io.EOF {
			return nil, &Error{name, ErrEmpty, "it holds no packets; capture again"}
		}
		unpack := in.unpacker(head, b, o)
		if unpack == nil {
			return in, in.identify(head, b, name, o)
		}
		if strings.Count(in.packed, "+") >= maxPacked {
			return nil, notCapture(name, "it is packed more than twice", "unpack it first")
		}
		unpacked, err := unpack()
		if err != nil {
			return nil, notCapture(name, "its packing is broken", "copy or capture it again")
		}
		b = bufio.NewReaderSize(unpacked, 64<<10)
		if head, err := b.Peek(4); err != nil && err != io.EOF && len(head) < 4 {
			return nil, notCapture(name, "its packing is broken", "copy or capture it again")
		}
	}
}

// unpacker returns what undoes the packing that head shows, nil if none.
func (in *input) unpacker(head []byte, b *bufio.Reader, o Options) func() (io.Reader, error) {
	pack := func(name string) { in.packed = strings.TrimPrefix(in.packed+"+"+name, "+") }
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		pack("gzip")
		return func() (io.Reader, error) { return gzip.NewReader(b) }
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		pack("zstd")
		return func() (io.Reader, error) {
			z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1),
				zstd.WithDecoderMaxWindow(uint64(o.MaxWindow)), zstd.WithDecoderLowmem(true))
			if err == nil {
				in.closes = append(in.closes, z.Close)
			}
			return z, err
		}
	}
	return nil
}

// identify sets the format of the capture that begins with head.
func (in *input) identify(head []byte, b *bufio.Reader, name string, o Options) error {
	w := window{src: b, meter: in.meter}
	if f, ok := classicOf(head); ok {
		if len(head) >= 6 {
			if major := f.order.u16(head[4:]); major != 2 {
				return notCapture(name, fmt.Sprintf("pcap of the unknown version %d", major), expected)
			}
		}
		f.window, f.max = w, o.MaxPacket
		in.name, in.format = "pcap", f
		return nil
	}
	if len(head) >= 12 && binary.LittleEndian.Uint32(head) == blockSection {
		if _, ok := sectionOrder(head[8:]); ok {
			in.name, in.format = "pcapng", &pcapng{window: w, max: o.MaxPacket}
			return nil
		}
	}
	for _, f := range foreign {
		if bytes.HasPrefix(head, []byte(f.magic)) {
			return notCapture(name, f.is, f.fix)
		}
	}
	return notCapture(name, "its first bytes are of no known format", expected)
}

func notCapture(name, reason, fix string) error {
	return &Error{name, fmt.Errorf("%w: %s", ErrNotCapture, reason), fix}
}

func (in *input) describe(name string, size int64) File {
	return File{Name: name, Format: in.name, Packed: in.packed, Size: size}
}

func (in *input) close() {
	in.meter.stop()
	for i := len(in.closes) - 1; i >= 0; i-- {
		in.closes[i]()
	}
	in.closes = nil
}
