package pcap

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"plainsight/capture"
)

// Dir finds the captures in a directory, in the order in which a rotating writer
// made them: by the time of the first packet, then by name. Captures without a
// packet come last. Directories in it are not entered. skipped counts the files
// that are no captures or cannot be read.
func Dir(path string, o Options) (captures []string, skipped int, err error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, 0, pathError(path, err)
	}
	o = o.withDefaults()
	o.Digest, o.Wait = false, nil
	type candidate struct {
		name  string
		first time.Time
		empty bool
	}
	var all []candidate
	for _, e := range entries {
		name := filepath.Join(path, e.Name())
		info, err := os.Stat(name) // of what a link leads to
		if err == nil && info.IsDir() {
			continue
		}
		if err != nil || !info.Mode().IsRegular() {
			skipped++
			continue
		}
		first, err := firstTime(name, o)
		var bad *Error
		switch {
		case err == nil:
			all = append(all, candidate{name, first, false})
		case errors.As(err, &bad):
			skipped++
		default: // a header and nothing behind it, or damage: the reading will say
			all = append(all, candidate{name: name, empty: true})
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { // names are sorted already
		if a.empty != b.empty {
			return cmp.Compare(map[bool]int{true: 1}[a.empty], map[bool]int{true: 1}[b.empty])
		}
		return a.first.Compare(b.first)
	})
	for _, c := range all {
		captures = append(captures, c.name)
	}
	if len(captures) == 0 {
		return nil, skipped, &Error{path, ErrNotCapture, "there is none in this directory; " + expected}
	}
	return captures, skipped, nil
}

// firstTime reads the time of a file's first packet.
func firstTime(name string, o Options) (time.Time, error) {
	s, err := Open(name, o)
	if err != nil {
		return time.Time{}, err
	}
	defer s.Close()
	var f capture.Frame
	err = s.Next(&f)
	return f.Time, err
}
