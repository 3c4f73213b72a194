package spool

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
	"time"
)

// # Layout
//
// A segment is a file NAME-SEQ.seg: a header and records, all integers little
// endian. Version 1:
//
//	header    the same 40 bytes twice, so that one damaged byte does not
//	          cost the segment:
//	  0   8   "plspool1"
//	  8   8   epoch: of the opening of the spool that wrote it
//	 16   8   seq: number of the segment in its queue
//	 24   8   when it was begun, nanoseconds since 1970
//	 32   4   salt, random
//	 36   4   CRC-32C of the 36 bytes
//
//	record
//	  0   4   0x5c2ec05d
//	  4   4   length of the payload, from 1 to 4 MiB
//	  8   4   rows
//	 12   4   key
//	 16   8   number
//	 24   8   offset of this record in the segment
//	 32   8   when it was written, nanoseconds since 1970
//	 40   4   CRC-32C of the payload
//	 44   4   CRC-32C of the 44 bytes
//	 48       payload
//
// The checksums of records start from the salt, and a record knows its own
// offset: bytes of an older file, or a payload made to look like a record, are
// none.
const (
	segmentHeader = 80
	recordHeader  = 48
	recordMark    = 0x5c2ec05d
	segmentMark   = "plspool1"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func salt() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint32(b[:])
}

// segment is a run of records. Offsets count from the start of its file, also
// where there is none.
type segment struct {
	epoch, seq uint64
	salt       uint32
	created    time.Time
	born       time.Time // created, by the monotonic clock
	name       string

	file    File   // it is being written to; nil: sealed, or in memory
	onDisk  bool   // there is a file
	size    int64  // end of the last record
	synced  int64  // what of the file is durable
	tail    []byte // from synced to size: not durable yet, or only in memory
	rows    int    // that were not done yet
	waiting int    // rows in the tail that a sync would make durable
	sealed  bool
	removed bool
}

// readable is the end of what may be sent: what is synced, or what will not
// get better.
func (g *segment) readable() int64 {
	if g.file != nil {
		return g.synced
	}
	return g.size
}

// volatileRows are those that are nowhere but in memory.
func (g *segment) volatileRows() (rows int) {
	if g.file != nil {
		return g.waiting
	}
	for at := g.synced; at < g.size; {
		h, ok := decodeRecord(g.tail[at-g.synced:], g.salt, at)
		if !ok {
			break
		}
		rows += h.Rows
		at += recordHeader + int64(h.length)
	}
	return min(rows, g.rows)
}

func segmentName(queue string, seq uint64) string { return fmt.Sprintf("%s-%016x.seg", queue, seq) }

// parseName takes the name of a segment apart.
func parseName(name string) (queue string, seq uint64, ok bool) {
	base, ok := strings.CutSuffix(name, ".seg")
	i := strings.LastIndexByte(base, '-')
	if !ok || i < 0 || len(base)-i != 17 {
		return "", 0, false
	}
	seq, err := strconv.ParseUint(base[i+1:], 16, 64)
	return base[:i], seq, err == nil && seq > 0 && segmentName(base[:i], seq) == name
}

// header is that of a segment's file.
func (g *segment) header() []byte {
	b := make([]byte, 0, segmentHeader)
	b = append(b, segmentMark...)
	b = binary.LittleEndian.AppendUint64(b, g.epoch)
	b = binary.LittleEndian.AppendUint64(b, g.seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(g.created.UnixNano()))
	b = binary.LittleEndian.AppendUint32(b, g.salt)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return append(b, b...)
}

// decodeHeader reads a segment's header, from whichever copy is whole.
func (g *segment) decodeHeader(b []byte) bool {
	for ; len(b) >= segmentHeader/2; b = b[segmentHeader/2:] {
		h := b[:segmentHeader/2]
		if string(h[:8]) != segmentMark || binary.LittleEndian.Uint32(h[36:]) != crc32.Checksum(h[:36], castagnoli) {
			continue
		}
		if binary.LittleEndian.Uint64(h[16:]) != g.seq {
			return false // another file under this name
		}
		g.epoch = binary.LittleEndian.Uint64(h[8:])
		g.created = time.Unix(0, int64(binary.LittleEndian.Uint64(h[24:])))
		g.salt = binary.LittleEndian.Uint32(h[32:])
		return true
	}
	return false
}

// encode appends a record that will stand at an offset.
func (g *segment) encode(b []byte, r Record, at int64, now time.Time) []byte {
	from := len(b)
	b = binary.LittleEndian.AppendUint32(b, recordMark)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Payload)))
	b = binary.LittleEndian.AppendUint32(b, uint32(r.Rows))
	b = binary.LittleEndian.AppendUint32(b, r.Key)
	b = binary.LittleEndian.AppendUint64(b, r.Number)
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	b = binary.LittleEndian.AppendUint64(b, uint64(now.UnixNano()))
	b = binary.LittleEndian.AppendUint32(b, crc32.Update(g.salt, castagnoli, r.Payload))
	b = binary.LittleEndian.AppendUint32(b, crc32.Update(g.salt, castagnoli, b[from:]))
	return append(b, r.Payload...)
}

// head is what stands before a payload.
type head struct {
	Record // without payload
	length int
	at     time.Time
	sum    uint32
}

// decodeRecord reads a record's header that stands at an offset.
func decodeRecord(b []byte, salt uint32, at int64) (head, bool) {
	if len(b) < recordHeader || binary.LittleEndian.Uint32(b) != recordMark ||
		binary.LittleEndian.Uint32(b[44:]) != crc32.Update(salt, castagnoli, b[:44]) ||
		int64(binary.LittleEndian.Uint64(b[24:])) != at {
		return head{}, false
	}
	h := head{
		Record: Record{Number: binary.LittleEndian.Uint64(b[16:]), Rows: int(binary.LittleEndian.Uint32(b[8:])), Key: binary.LittleEndian.Uint32(b[12:])},
		length: int(binary.LittleEndian.Uint32(b[4:])),
		at:     time.Unix(0, int64(binary.LittleEndian.Uint64(b[32:]))),
		sum:    binary.LittleEndian.Uint32(b[40:]),
	}
	return h, h.length > 0 && h.length <= MaxRecord && h.Rows > 0
}

// whole says whether a payload is the one that was written.
func (h head) whole(payload []byte, salt uint32) bool {
	return crc32.Update(salt, castagnoli, payload) == h.sum
}

// next finds the first record at or after an offset and before end. skipped
// says that there was something else in between. It reads headers alone.
func next(r io.ReaderAt, salt uint32, at, end int64) (h head, pos int64, skipped bool, err error) {
	var b [recordHeader]byte
	if at+recordHeader <= end {
		if err := readFull(r, b[:], at); err != nil {
			return head{}, at, false, err
		}
		if h, ok := decodeRecord(b[:], salt, at); ok && at+recordHeader+int64(h.length) <= end {
			return h, at, false, nil
		}
	}
	// Something is broken: look for the next mark whose header is whole.
	mark := binary.LittleEndian.AppendUint32(nil, recordMark)
	buf := make([]byte, 64<<10)
	for at++; at+recordHeader <= end; {
		n := int(min(int64(len(buf)), end-at))
		if err := readFull(r, buf[:n], at); err != nil {
			return head{}, at, true, err
		}
		from := 0
		for {
			i := bytes.Index(buf[from:n], mark)
			if i < 0 {
				break
			}
			from += i
			if from+recordHeader > n {
				break
			}
			pos := at + int64(from)
			if h, ok := decodeRecord(buf[from:], salt, pos); ok && pos+recordHeader+int64(h.length) <= end {
				return h, pos, true, nil
			}
			from++
		}
		at += int64(max(n-recordHeader+1, 1))
	}
	return head{}, end, true, io.EOF
}

// readFull reads all of b at an offset.
func readFull(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		return io.ErrUnexpectedEOF // the file is shorter than it was
	}
	return err
}
