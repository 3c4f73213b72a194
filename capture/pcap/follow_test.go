package pcap

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"plainsight/capture"
)

// A file that grows in pieces of any size gives the frames of the whole.
func TestFollowingAFileThatGrows(t *testing.T) {
	want := packets(20)
	for name, b := range map[string][]byte{
		"pcap": classicFile(little, magicMicro, 1, want), "pcapng": ngFile(big, want),
		"gzip": gzipped(ngFile(little, want)), "zstd": zstded(t, classicFile(big, magicNano, 1, want)),
	} {
		for _, piece := range []int{1, 7, 1000, len(b)} {
			path := filepath.Join(t.TempDir(), "growing")
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			rest := b
			s, err := Open(path, Options{Digest: true, Wait: func() bool {
				n := min(piece, len(rest))
				if _, err := f.Write(rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
				return n > 0
			}})
			if err != nil {
				t.Fatal(err)
			}
			frames, err := drain(s)
			if err != io.EOF {
				t.Fatalf("%s in pieces of %d: %v", name, piece, err)
			}
			same(t, frames, want)
			if got := s.Files()[0]; got.Read != int64(len(b)) || got.SHA256 == "" || got.Damaged != nil {
				t.Errorf("%s in pieces of %d: %+v", name, piece, got)
			}
			s.Close()
			f.Close()
		}
	}
}

// Frames are given as soon as they are written: the source waits for what is not
// there, never for more than a frame.
func TestFollowingGivesEachFrameAtOnce(t *testing.T) {
	want := packets(9)
	path := filepath.Join(t.TempDir(), "growing")
	write := func(n int) bool {
		if err := os.WriteFile(path, classicFile(little, magicMicro, 1, want[:n]), 0o600); err != nil {
			t.Fatal(err)
		}
		return true
	}
	written, given := 1, 0
	write(1)
	s, err := Open(path, Options{Wait: func() bool {
		if given != written {
			t.Fatalf("waits with %d frames of %d given", given, written)
		}
		written++
		return written <= len(want) && write(written)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var f capture.Frame
	for ; ; given++ {
		if err := s.Next(&f); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if given != len(want) {
		t.Errorf("%d frames, want %d", given, len(want))
	}
}

// Where nobody waits any longer, a record that is written in part is no damage.
func TestFollowingEndsAnywhere(t *testing.T) {
	want := packets(4)
	for name, b := range map[string][]byte{"pcap": classicFile(little, magicMicro, 1, want), "pcapng": ngFile(big, want), "gzip": gzipped(ngFile(little, want))} {
		for cut := 40; cut < len(b); cut += 13 {
			path := filepath.Join(t.TempDir(), "growing")
			if err := os.WriteFile(path, b[:cut], 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(path, Options{Wait: func() bool { return false }})
			if err != nil {
				t.Fatal(err)
			}
			if frames, err := drain(s); err != io.EOF || len(frames) > len(want) {
				t.Errorf("%s, %d bytes of %d: %d frames, %v", name, cut, len(b), len(frames), err)
			}
			s.Close()
		}
	}
}

// A file that is rotated away was read to its end, and then it is over; half a
// record in it will never be a whole one.
func TestFollowingAFileThatIsRotated(t *testing.T) {
	want := packets(4)
	b := classicFile(little, magicMicro, 1, want)
	for name, rotate := range map[string]func(path string) error{
		"removed":  os.Remove,
		"renamed":  func(path string) error { return os.Rename(path, path+".1") },
		"replaced": func(path string) error { os.WriteFile(path+".new", b, 0o600); return os.Rename(path+".new", path) },
		"emptied":  func(path string) error { return os.Truncate(path, 0) },
	} {
		for _, half := range []int{0, 9} {
			path := filepath.Join(t.TempDir(), "growing")
			if err := os.WriteFile(path, b[:len(b)-half], 0o600); err != nil {
				t.Fatal(err)
			}
			waits := 0
			s, err := Open(path, Options{Wait: func() bool {
				waits++
				if waits == 1 {
					if err := rotate(path); err != nil {
						t.Fatal(err)
					}
				}
				return waits < 9
			}})
			if err != nil {
				t.Fatal(err)
			}
			frames, err := drain(s)
			var damaged *capture.DamagedError
			if half == 0 && (err != io.EOF || len(frames) != 4) || half > 0 && (!errors.As(err, &damaged) || len(frames) != 3) {
				t.Errorf("%s with %d bytes missing: %d frames, %v", name, half, len(frames), err)
			}
			if waits != 1 {
				t.Errorf("%s: waited %d times", name, waits)
			}
			s.Close()
		}
	}
}

func TestTheCapturesOfADirectory(t *testing.T) {
	dir := t.TempDir()
	all := packets(9)
	at := func(from, to int) []byte { return classicFile(little, magicMicro, 1, all[from:to]) }
	late := bytes.Clone(at(0, 1))
	for name, b := range map[string][]byte{
		"c.pcap": at(0, 3), "a.pcap2": gzipped(at(3, 6)), "b": ngFile(big, all[6:9]), "b.same": at(6, 7),
		"none.pcap": at(0, 0), "cut.pcap": late[:30], "notes.txt": []byte("not a capture, but notes"), "empty": nil,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "sub", "deeper"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	captures, skipped, err := Dir(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range captures {
		captures[i] = filepath.Base(captures[i])
	}
	if want := []string{"c.pcap", "a.pcap2", "b", "b.same", "cut.pcap", "none.pcap"}; !slices.Equal(captures, want) {
		t.Errorf("captures %q, want %q", captures, want)
	}
	if skipped != 3 {
		t.Errorf("%d files skipped, want the notes, the empty file and the broken link", skipped)
	}
	if _, _, err := Dir(t.TempDir(), Options{}); !errors.Is(err, ErrNotCapture) {
		t.Errorf("an empty directory: %v", err)
	}
	if _, _, err := Dir(filepath.Join(dir, "missing"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
}

// Files in the order given are one capture: time and frame numbers go on.
func TestRotatedFilesAreOneCapture(t *testing.T) {
	dir := t.TempDir()
	want := packets(30)
	var names []string
	for i := range 3 {
		name := filepath.Join(dir, string(rune('c'-i)))
		if err := os.WriteFile(name, classicFile(little, magicMicro, 1, want[i*10:i*10+10]), 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	found, _, err := Dir(dir, Options{})
	if err != nil || !slices.Equal(found, names) {
		t.Fatalf("%q, %v", found, err)
	}
	s, err := Files(Options{}, found...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	frames, err := drain(s)
	if err != io.EOF {
		t.Fatal(err)
	}
	same(t, frames, want)
	if last := frames[len(frames)-1].Time; last.Sub(frames[0].Time) < time.Millisecond {
		t.Errorf("the last frame is at %v", last)
	}
}
