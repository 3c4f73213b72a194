package delivery

import (
	"sync/atomic"
	"syscall"

	"plainsight/storage/spool"
)

// failing is a directory on a disk that is full while it is ill.
type failing struct {
	spool.FS
	ill atomic.Bool
}

func (d *failing) Create(name string) (spool.File, error) {
	if d.ill.Load() {
		return nil, syscall.ENOSPC
	}
	f, err := d.FS.Create(name)
	return failingFile{f, d}, err
}

func (d *failing) Open(name string, write bool) (spool.File, error) {
	f, err := d.FS.Open(name, write)
	return failingFile{f, d}, err
}

type failingFile struct {
	spool.File
	d *failing
}

func (f failingFile) WriteAt(b []byte, at int64) (int, error) {
	if f.d.ill.Load() {
		return 0, syscall.ENOSPC
	}
	return f.File.WriteAt(b, at)
}

func (f failingFile) Sync() error {
	if f.d.ill.Load() {
		return syscall.EIO
	}
	return f.File.Sync()
}
