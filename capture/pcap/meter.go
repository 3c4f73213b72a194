package pcap

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"sync/atomic"
)

// meter counts the bytes that are taken from a file and digests them.
type meter struct {
	src  io.Reader
	read int64
	all  *atomic.Int64 // counts along, for those who watch; nil until the file's turn
	err  error         // an error of the file system, not io.EOF
	sum  string        // SHA-256 in hex, once all was read
	d    *digester     // nil if no digest is wanted
}

func newMeter(r io.Reader, digest bool) *meter {
	m := &meter{src: r}
	if digest {
		m.d = newDigester()
	}
	return m
}

// left says that the file is not all written, and nobody wants to wait for it.
func (m *meter) left() bool {
	g, ok := m.src.(*growing)
	return ok && g.left
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.src.Read(p)
	m.read += int64(n)
	if m.all != nil {
		m.all.Add(int64(n))
	}
	if m.d != nil {
		m.d.write(p[:n])
	}
	if err != nil && err != io.EOF {
		m.err = err
	}
	return n, err
}

// finish takes what nobody read (behind damage, behind packed data), so that the
// digest is of the whole file.
func (m *meter) finish() error {
	if m.d == nil || m.err != nil {
		return m.err
	}
	buf := make([]byte, 64<<10)
	for empty := 0; empty < maxEmptyReads; {
		n, err := m.Read(buf)
		if err == io.EOF {
			m.sum = m.d.stop()
			break
		}
		if err != nil {
			return err
		}
		if empty++; n > 0 {
			empty = 0
		}
	}
	return nil
}

// stop ends the digester.
func (m *meter) stop() {
	if m.d != nil {
		m.d.stop()
	}
}

// digester hashes in a goroutine of its own, so that reading goes on.
type digester struct {
	free, full chan []byte
	sum        chan string
	block      []byte
	stopped    bool
}

func newDigester() *digester {
	d := &digester{free: make(chan []byte, 3), full: make(chan []byte, 3), sum: make(chan string, 1)}
	for range cap(d.free) {
		d.free <- make([]byte, 0, 256<<10)
	}
	d.block = <-d.free
	go d.run()
	return d
}

func (d *digester) run() {
	h := sha256.New()
	for b := range d.full {
		h.Write(b)
		d.free <- b[:0]
	}
	d.sum <- hex.EncodeToString(h.Sum(nil))
}

func (d *digester) write(p []byte) {
	for len(p) > 0 {
		n := min(len(p), cap(d.block)-len(d.block))
		d.block = append(d.block, p[:n]...)
		p = p[n:]
		if len(d.block) == cap(d.block) {
			d.full <- d.block
			d.block = <-d.free
		}
	}
}

// stop waits for the goroutine and returns the digest of all that was written;
// "" from the second call on.
func (d *digester) stop() string {
	if d.stopped {
		return ""
	}
	d.stopped = true
	d.full <- d.block
	close(d.full)
	return <-d.sum
}
