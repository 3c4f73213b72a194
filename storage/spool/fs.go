package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// FS is the directory of a spool. Tests put faults into it.
type FS interface {
	// Lock makes the directory (mode 0700) where there is none and takes its
	// lock; [ErrBusy]: another process has it.
	Lock() (Closer, error)
	// List gives the names of the directory's entries.
	List() ([]string, error)
	// Create makes a file (mode 0600) that must not be there yet.
	Create(name string) (File, error)
	// Open opens a file for reading, or for reading and writing.
	Open(name string, write bool) (File, error)
	// Remove unlinks a file.
	Remove(name string) error
	// SyncDir makes the names durable.
	SyncDir() error
}

// File is a file of a spool.
type File interface {
	io.ReaderAt
	io.WriterAt
	Size() (int64, error)
	Sync() error
	Truncate(size int64) error
	Close() error
}

// Closer ends what was begun.
type Closer interface{ Close() error }

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func exists(err error) bool { return errors.Is(err, fs.ErrExist) }

// dir is a directory of the operating system. Names never lead out of it.
type dir struct {
	path string
	mu   sync.Mutex
	root *os.Root
}

// OS is a directory of the operating system. It is made when it is first used.
func OS(path string) FS { return &dir{path: path} }

// open finds the directory, making it where it can be made: a disk may be
// read-only when the agent starts and work later.
func (d *dir) open() (*os.Root, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root != nil {
		return d.root, nil
	}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return nil, err
	}
	info, err := os.Stat(d.path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(d.path, 0o700); err != nil {
			return nil, err
		}
	}
	d.root, err = os.OpenRoot(d.path)
	return d.root, err
}

// lockName is the file that is locked while a process has the spool.
const lockName = "lock"

func (d *dir) Lock() (Closer, error) {
	root, err := d.open()
	if err != nil {
		return nil, err
	}
	f, err := root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, err
		}
		b := make([]byte, 20)
		n, _ := f.ReadAt(b, 0)
		owner, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(d.path), ErrBusy)
		}
		return nil, fmt.Errorf("%s: %w (%d)", filepath.Base(d.path), ErrBusy, owner)
	}
	_ = f.Truncate(0)
	_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return f, nil
}

func (d *dir) List() ([]string, error) {
	root, err := d.open()
	if err != nil {
		return nil, err
	}
	f, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

func (d *dir) Create(name string) (File, error) {
	return d.file(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

func (d *dir) Open(name string, write bool) (File, error) {
	if write {
		return d.file(name, os.O_RDWR)
	}
	return d.file(name, os.O_RDONLY)
}

func (d *dir) file(name string, flag int) (File, error) {
	root, err := d.open()
	if err != nil {
		return nil, err
	}
	// A foreign pipe of that name must not make anyone wait.
	f, err := root.OpenFile(name, flag|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, errors.Join(err, fmt.Errorf("%s is no regular file", name))
	}
	return file{f}, nil
}

func (d *dir) Remove(name string) error {
	root, err := d.open()
	if err != nil {
		return err
	}
	return root.Remove(name)
}

func (d *dir) SyncDir() error {
	root, err := d.open()
	if err != nil {
		return err
	}
	f, err := root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

type file struct{ *os.File }

func (f file) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
