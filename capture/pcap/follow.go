package pcap

import (
	"io"
	"os"
)

// growing reads a file that somebody still writes: at its end it waits, and goes
// on with what came. It ends where wait says so, and once the file is written no
// more: when its path is gone, names another file, or the file became shorter
// than what was read of it. Those are what rotation does.
type growing struct {
	*os.File
	path string
	wait func() bool
	read int64
	// Why it ended, if it did.
	left  bool // wait said so: a record may stand there in part
	final bool // there will be no more
}

func (g *growing) Read(p []byte) (int, error) {
	for {
		n, err := g.File.Read(p)
		g.read += int64(n)
		if n > 0 || err != io.EOF || g.left || g.final {
			return n, err
		}
		if g.rotated() {
			g.final = true // what was written until then is read yet
		} else if !g.wait() {
			g.left = true
		}
	}
}

// rotated says that the path is no longer this file, or the file no longer what
// it was.
func (g *growing) rotated() bool {
	own, err := g.Stat()
	if err != nil || own.Size() < g.read {
		return true
	}
	named, err := os.Stat(g.path)
	return err != nil || !os.SameFile(own, named)
}
