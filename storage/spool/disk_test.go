package spool

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
)

// disk is a disk in memory that knows what is durable and what is not, loses
// the latter when the power goes, and fails when it is told to.
type disk struct {
	t     *testing.T
	mu    sync.Mutex
	names map[string]*inode // as programs see them
	kept  map[string]*inode // as they would be after a loss of power
	lock  bool
	life  int // files and locks of an earlier life do nothing

	ops   int
	fault func(op string, n int) error // n counts operations
}

type inode struct{ data, kept []byte }

func newDisk(t *testing.T) *disk {
	return &disk{t: t, names: map[string]*inode{}, kept: map[string]*inode{}}
}

// holding is a disk with these files.
func holding(t *testing.T, files map[string][]byte) *disk {
	d := newDisk(t)
	for name, data := range files {
		d.names[name] = &inode{data: slices.Clone(data)}
	}
	return d
}

// contents are the files as programs see them.
func (d *disk) contents() map[string][]byte {
	files := map[string][]byte{}
	for name, f := range d.names {
		files[name] = slices.Clone(f.data)
	}
	return files
}

func (d *disk) fails(op string) error {
	d.ops++
	if d.fault != nil {
		return d.fault(op, d.ops)
	}
	return nil
}

// crash ends the process: everything that was written is there.
func (d *disk) crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.life++
	d.lock = false
}

// powerLoss ends the machine: of what was not synced some bytes arrived, some
// as zeros, some not at all.
func (d *disk) powerLoss(r *rand.Rand) {
	d.crash()
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, f := range d.names { // a name that was not synced may be there or not
		if d.kept[name] == nil && r.IntN(2) == 0 {
			d.kept[name] = f
		}
	}
	for name := range d.kept {
		if d.names[name] == nil && r.IntN(2) == 0 {
			delete(d.kept, name)
		}
	}
	d.names = maps.Clone(d.kept)
	for _, f := range d.names {
		n := len(f.kept)
		if extra := len(f.data) - n; extra > 0 {
			n += r.IntN(extra + 1)
		}
		data := slices.Clone(f.data[:min(n, len(f.data))])
		for i := range data {
			if i >= len(f.kept) && r.IntN(3) == 0 {
				data[i] = 0
			}
		}
		f.data, f.kept = data, slices.Clone(data)
	}
}

func (d *disk) Lock() (Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.fails("lock"); err != nil {
		return nil, err
	}
	if d.lock {
		return nil, ErrBusy
	}
	d.lock = true
	return unlocker{d, d.life}, nil
}

type unlocker struct {
	d    *disk
	life int
}

func (u unlocker) Close() error {
	u.d.mu.Lock()
	defer u.d.mu.Unlock()
	if u.life == u.d.life {
		u.d.lock = false
	}
	return nil
}

func (d *disk) List() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.names)), d.fails("list")
}

func (d *disk) Create(name string) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.fails("create"); err != nil {
		return nil, err
	}
	if d.names[name] != nil {
		return nil, fs.ErrExist
	}
	f := &inode{}
	d.names[name] = f
	return &handle{d, f, d.life, false}, nil
}

func (d *disk) Open(name string, write bool) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.fails("open"); err != nil {
		return nil, err
	}
	f := d.names[name]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	return &handle{d, f, d.life, false}, nil
}

func (d *disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.fails("unlink"); err != nil {
		return err
	}
	if d.names[name] == nil {
		return fs.ErrNotExist
	}
	delete(d.names, name)
	return nil
}

func (d *disk) SyncDir() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.fails("syncdir"); err != nil {
		return err
	}
	d.kept = maps.Clone(d.names)
	return nil
}

type handle struct {
	d      *disk
	f      *inode
	life   int
	closed bool
}

var errDead = errors.New("of an earlier life")

// enter locks the disk and says whether this handle may do something.
func (h *handle) enter(op string) error {
	h.d.mu.Lock()
	if h.life != h.d.life {
		return errDead
	}
	if h.closed {
		return fs.ErrClosed
	}
	return h.d.fails(op)
}

func (h *handle) ReadAt(b []byte, at int64) (int, error) {
	err := h.enter("read")
	defer h.d.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if at >= int64(len(h.f.data)) {
		return 0, io.EOF
	}
	n := copy(b, h.f.data[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (h *handle) WriteAt(b []byte, at int64) (int, error) {
	err := h.enter("write")
	defer h.d.mu.Unlock()
	if errors.Is(err, errDead) || errors.Is(err, fs.ErrClosed) {
		return 0, err
	}
	n := len(b)
	if err != nil { // a disk that is full takes a part
		n /= 2
	}
	if missing := int(at) + n - len(h.f.data); missing > 0 {
		h.f.data = append(h.f.data, make([]byte, missing)...)
	}
	copy(h.f.data[at:], b[:n])
	return n, err
}

func (h *handle) Size() (int64, error) {
	err := h.enter("stat")
	defer h.d.mu.Unlock()
	return int64(len(h.f.data)), err
}

func (h *handle) Sync() error {
	err := h.enter("fsync")
	defer h.d.mu.Unlock()
	if err == nil {
		h.f.kept = slices.Clone(h.f.data)
	}
	return err
}

func (h *handle) Truncate(size int64) error {
	err := h.enter("truncate")
	defer h.d.mu.Unlock()
	if err == nil {
		h.f.data = h.f.data[:size]
	}
	return err
}

func (h *handle) Close() error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	h.closed = true
	return nil
}

// ills are what a disk says when it cannot.
var ills = []error{syscall.ENOSPC, syscall.EIO, syscall.EROFS, syscall.EDQUOT}
