package pcap

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"plainsight/capture"
)

var (
	little = binary.LittleEndian
	big    = binary.BigEndian
)

// drain reads s to its end, copying what it yields.
func drain(s *Source) ([]capture.Frame, error) {
	var all []capture.Frame
	var f capture.Frame
	for {
		if err := s.Next(&f); err != nil {
			return all, err
		}
		kept := f
		kept.Data = bytes.Clone(f.Data)
		all = append(all, kept)
	}
}

func readAll(t testing.TB, b []byte, o Options) ([]capture.Frame, *Source, error) {
	t.Helper()
	s, err := NewReader(bytes.NewReader(b), "test", o)
	if err != nil {
		t.Fatal(err)
	}
	all, err := drain(s)
	t.Cleanup(func() { s.Close() })
	return all, s, err
}

// same checks that frames are the packets that were written.
func same(t testing.TB, frames []capture.Frame, want []built) {
	t.Helper()
	if len(frames) != len(want) {
		t.Fatalf("%d frames, want %d", len(frames), len(want))
	}
	for i, f := range frames {
		w := want[i]
		if f.Frame != uint64(i+1) || !f.Time.Equal(w.at) || f.Length != w.length || f.Link != capture.LinkEthernet || !bytes.Equal(f.Data, w.data) {
			t.Fatalf("frame %d: %v %v length %d link %d data %d bytes, want %v length %d data %d bytes",
				i+1, f.Frame, f.Time, f.Length, f.Link, len(f.Data), w.at, w.length, len(w.data))
		}
	}
}

func TestEveryFormGivesTheSameFrames(t *testing.T) {
	want := packets(200)
	for name, b := range map[string][]byte{
		"µs little":         classicFile(little, magicMicro, 1, want),
		"µs big":            classicFile(big, magicMicro, 1, want),
		"ns little":         classicFile(little, magicNano, 1, want),
		"ns big":            classicFile(big, magicNano, 1, want),
		"modified little":   classicFile(little, magicModified, 1, want),
		"modified big":      classicFile(big, magicModified, 1, want),
		"with check length": classicFile(little, magicMicro, 0x50000001, want),
		"ng little":         ngFile(little, want),
		"ng big":            ngFile(big, want),
	} {
		gz, zs := gzipped(b), zstded(t, b)
		for packing, b := range map[string][]byte{
			"": b, "gzip": gz, "zstd": zs,
			"gzip+gzip": gzipped(gz), "zstd+gzip": zstded(t, gz),
			"gzip in two members": append(gzipped(b[:len(b)/3]), gzipped(b[len(b)/3:])...),
		} {
			t.Run(name+" "+packing, func(t *testing.T) {
				frames, s, err := readAll(t, b, Options{Digest: true})
				if err != io.EOF {
					t.Fatal(err)
				}
				same(t, frames, want)
				f := s.Files()[0]
				sum := sha256.Sum256(b)
				if f.SHA256 != hex.EncodeToString(sum[:]) || f.Read != int64(len(b)) || f.Frames != 200 || f.First != 1 || f.Damaged != nil {
					t.Errorf("%+v", f)
				}
				if want := strings.TrimSuffix(packing, " in two members"); f.Packed != want {
					t.Errorf("packed %q, want %q", f.Packed, want)
				}
				if want := map[bool]string{true: "pcapng", false: "pcap"}[name[0] == 'n' && name[1] == 'g']; f.Format != want {
					t.Errorf("format %q, want %q", f.Format, want)
				}
			})
		}
	}
}

func TestReadersThatGiveLittle(t *testing.T) {
	want := packets(50)
	for _, b := range [][]byte{classicFile(little, magicMicro, 1, want), ngFile(big, want), gzipped(ngFile(little, want))} {
		for name, r := range map[string]io.Reader{
			"a byte at a time":     iotest.OneByteReader(bytes.NewReader(b)),
			"the end with data":    iotest.DataErrReader(bytes.NewReader(b)),
			"half of what's asked": iotest.HalfReader(bytes.NewReader(b)),
		} {
			t.Run(name, func(t *testing.T) {
				s, err := NewReader(r, "test", Options{})
				if err != nil {
					t.Fatal(err)
				}
				frames, err := drain(s)
				if err != io.EOF {
					t.Fatal(err)
				}
				same(t, frames, want)
			})
		}
	}
}

// A file cut anywhere gives the packets before the cut, then the damage.
func TestCutAtEveryByte(t *testing.T) {
	want := packets(6)
	for name, b := range map[string][]byte{
		"pcap":     classicFile(little, magicMicro, 1, want),
		"modified": classicFile(big, magicModified, 1, want),
		"pcapng":   ngFile(little, want),
	} {
		ends := map[int]int{} // offsets where a packet ends: how many came before
		whole := 0
		for cut := len(b); cut >= 12; cut-- {
			frames, s, err := readAll(t, b[:cut], Options{})
			var d *capture.DamagedError
			switch {
			case err == io.EOF:
				ends[cut] = len(frames)
			case !errors.As(err, &d) || d.Name != "test" || !strings.HasPrefix(d.Reason, "cut in the middle of"):
				t.Fatalf("%s cut at %d: %v", name, cut, err)
			case d.Offset > int64(cut) || d.Offset < int64(cut)-1600:
				t.Fatalf("%s cut at %d: damaged after %d", name, cut, d.Offset)
			case s.Files()[0].Damaged != d:
				t.Fatalf("%s cut at %d: not in Files", name, cut)
			default:
				if err := s.Next(&capture.Frame{}); err != io.EOF {
					t.Fatalf("%s cut at %d: %v after the damage", name, cut, err)
				}
			}
			same(t, frames, want[:len(frames)])
			whole = max(whole, len(frames))
		}
		clean := 7 // behind the header and each packet
		if name == "pcapng" {
			clean = 8 // behind the section as well
		}
		if whole != 6 || len(ends) != clean {
			t.Errorf("%s: %d frames at most, clean ends %v", name, whole, ends)
		}
	}
}

func TestDamage(t *testing.T) {
	good := packets(3)
	pcap := classicFile(little, magicMicro, 1, good)
	record := func(size, length uint32) []byte {
		b := little.AppendUint32(nil, 1)
		b = little.AppendUint32(b, 1)
		b = little.AppendUint32(b, size)
		return append(little.AppendUint32(b, length), make([]byte, 100)...)
	}
	ngWith := func(f func(n *ng)) []byte {
		n := ng{o: little, b: ngFile(little, good)}
		f(&n)
		return append(n.b, make([]byte, 64)...)
	}
	for reason, b := range map[string][]byte{
		"a packet that claims to be larger than any": append(pcap[:len(pcap):len(pcap)], record(0xffffffff, 60)...),
		"zeros in place of a packet":                 append(pcap[:len(pcap):len(pcap)], make([]byte, 4096)...),
		"a block that claims to be larger than any": ngWith(func(n *ng) {
			n.b = append(n.b, n.u32(blockPacket)...)
			n.b = append(n.b, n.u32(0xfffffff0)...)
		}),
		"cut in the middle of a block": ngWith(func(n *ng) {
			n.b = append(n.b, n.u32(0xbad)...)
			n.b = append(n.b, n.u32(0xfffffff0)...)
		}),
		"a block that claims to be shorter than its own head": ngWith(func(n *ng) {
			n.b = append(n.b, n.u32(blockPacket)...)
			n.b = append(n.b, n.u32(8)...)
		}),
		"a block whose two lengths differ": ngWith(func(n *ng) {
			n.packet(0, 0, make([]byte, 60), 60)
			n.b[len(n.b)-4]++ // within the padding that is forgiven
			n.b[len(n.b)-3]++
		}),
		"a packet of an interface that was not described": ngWith(func(n *ng) { n.packet(1, 0, make([]byte, 60), 60) }),
		"a packet that is larger than its block": ngWith(func(n *ng) {
			n.block(blockPacket, n.u32(0), n.u32(0), n.u32(0), n.u32(1000), n.u32(1000), make([]byte, 60))
		}),
		"a packet block that is too short":     ngWith(func(n *ng) { n.block(blockPacket, n.u32(0)) }),
		"an interface block that cannot be":    ngWith(func(n *ng) { n.block(blockInterface, n.u32(0)) }),
		"a section of no known byte order":     ngWith(func(n *ng) { n.block(blockSection, n.u32(0)) }),
		"its packed data ends early":           gzipped(pcap)[:len(gzipped(pcap))-9],
		"its packed data is broken":            append(gzipped(pcap), "and then something else"...),
		"cut in the middle of a packet":        append(pcap[:len(pcap):len(pcap)], "garbage"...),
		"cut in the middle of the file header": pcap[:23],
	} {
		t.Run(reason, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			frames, s, err := readAll(t, b, Options{Digest: true})
			runtime.ReadMemStats(&after)
			var d *capture.DamagedError
			if !errors.As(err, &d) || d.Reason != reason {
				t.Fatalf("got %v", err)
			}
			if len(frames) > 0 || len(b) > 1000 {
				same(t, frames, good)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
				t.Errorf("%d MiB allocated", used>>20)
			}
			// The digest is of all bytes, also of those behind the damage.
			sum := sha256.Sum256(b)
			if got := s.Files()[0].SHA256; got != hex.EncodeToString(sum[:]) {
				t.Errorf("digest %q", got)
			}
		})
	}
}

// What pcapng may hold beside packets of one Ethernet card.
func TestSectionsInterfacesAndBlocks(t *testing.T) {
	var n ng
	data := []byte("0123456789abcdef01") // needs padding
	unix := uint64(1_700_000_000)
	n.section(little)
	n.block(0x0000000a, n.u32(0x544c534b), n.u32(9), []byte("CLIENT_RA")) // secrets
	n.iface(1, 10)
	n.iface(101, 0, n.option(2, []byte("eth1")), n.option(9, []byte{9}))
	n.iface(113, 0, n.option(9, []byte{0x80 | 20}), n.option(14, n.u64(uint64(100))), n.u32(0))
	n.iface(276, 0, n.option(9, []byte{12}), n.option(14, n.u64(unix)))
	n.iface(12, 0, n.option(9, []byte{3}), n.option(14, n.u64(^uint64(0)))) // one second less
	n.packet(0, unix*1e6+5, data[:10], 18)
	n.packet(1, unix*1e9+7, data, 18)
	n.block(4, make([]byte, 40))          // names
	n.packet(2, unix<<20|1<<19, data, 18) // half a second
	n.block(5, n.u32(0), make([]byte, 8)) // statistics
	n.packet(3, 123456789999, data, 4)    // shorter on the wire than captured
	n.packet(4, unix*1e3+1, data, 18)
	n.block(blockOldPacket, n.u16(1), n.u16(3), n.u32(uint32(unix*1e9>>32)), n.u32(uint32(unix*1e9&0xffffffff)), n.u32(18), n.u32(20), data)
	n.block(blockSimple, n.u32(18), data[:10]) // cut by the first interface's snap length
	n.block(0x80000bad, make([]byte, 3<<20))   // someone's own, large
	n.section(big)
	n.iface(0, 0)
	n.packet(0, (unix+1)*1e6, data, 18)
	n.section(little)
	n.iface(1, 0)
	n.block(blockSimple, n.u32(18), data)

	frames, s, err := readAll(t, n.b, Options{})
	if err != io.EOF {
		t.Fatal(err)
	}
	type row struct {
		link   capture.LinkType
		nanos  int64
		size   int
		length int
	}
	base := int64(unix) * 1e9
	want := []row{
		{1, base + 5000, 10, 18},
		{101, base + 7, 18, 18},
		{113, base + 100e9 + 5e8, 18, 18},
		{276, base + 123456789, 18, 18},
		{12, base - 1e9 + 1e6, 18, 18},
		{101, base, 18, 20},
		{1, base, 10, 18},
		{0, base + 1e9, 18, 18},
		{1, base + 1e9, 18, 18},
	}
	var got []row
	for _, f := range frames {
		got = append(got, row{f.Link, f.Time.UnixNano(), len(f.Data), f.Length})
		if !bytes.HasPrefix(data, f.Data) {
			t.Errorf("frame %d: %q", f.Frame, f.Data)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
	if links := s.Files()[0].Links; !reflect.DeepEqual(links, []capture.LinkType{1, 101, 113, 276, 12, 0}) {
		t.Errorf("links %v", links)
	}
}

func TestTimesThatCannotBe(t *testing.T) {
	for _, c := range []struct{ resolution, offset, ticks uint64 }{
		{0, 0, ^uint64(0)}, {6, 0, ^uint64(0)}, {9, 1 << 63, 1}, {9, 1<<63 - 1, 1},
		{127, 0, ^uint64(0)}, {0x80, 0, ^uint64(0)}, {0xff, 5, ^uint64(0)}, {0xc0, 0, ^uint64(0)},
	} {
		var in iface
		in.units = 1e6
		in.resolution(byte(c.resolution))
		in.offset = int64(c.offset)
		at := in.time(c.ticks)
		if _, err := at.MarshalText(); err != nil || at.Unix() < 0 {
			t.Errorf("%+v: %v %v", c, at, err)
		}
	}
}

func write(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Several files are one capture; a damaged one does not end it.
func TestFilesInARow(t *testing.T) {
	want := packets(9)
	a := write(t, "a.pcap", classicFile(little, magicMicro, 1, want[:3]))
	cut := classicFile(big, magicNano, 1, want[3:6])
	b := write(t, "b.pcap", cut[:len(cut)-1])
	empty := write(t, "empty.pcap", classicFile(big, magicNano, 1, nil))
	c := write(t, "c.pcapng.gz", gzipped(ngFile(little, want[5:])))
	s, err := Files(Options{}, a, b, empty, c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	frames, err := drain(s)
	same(t, frames, want)
	var d *capture.DamagedError
	if !errors.As(err, &d) || d.Name != b {
		t.Errorf("ended with %v", err)
	}
	if err := s.Next(&capture.Frame{}); err != io.EOF {
		t.Errorf("then %v", err)
	}
	if done, total := s.Progress(); done != total || total == 0 {
		t.Errorf("read %d of %d", done, total)
	}
	var got []string
	for _, f := range s.Files() {
		got = append(got, fmt.Sprintln(filepath.Base(f.Name), f.Format, f.Packed, f.First, f.Frames, f.Damaged != nil, f.Size == f.Read))
	}
	if want := "a.pcap pcap  1 3 false true\nb.pcap pcap  4 2 true true\nempty.pcap pcap  0 0 false true\nc.pcapng.gz pcapng gzip 6 4 false true\n"; strings.Join(got, "") != want {
		t.Errorf("files\n%s", strings.Join(got, ""))
	}
}

func TestEachFrameIsOfAFile(t *testing.T) {
	a := write(t, "a.pcap", classicFile(big, magicNano, 1, packets(2)))
	empty := write(t, "empty.pcap", classicFile(big, magicNano, 1, nil))
	s, err := Files(Options{}, a, empty, a)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var at []int
	for f := (capture.Frame{}); s.Next(&f) == nil; {
		at = append(at, s.At())
	}
	if !slices.Equal(at, []int{0, 0, 2, 2}) {
		t.Errorf("the frames are of files %v", at)
	}
}

func TestFirstFrame(t *testing.T) {
	frames, _, _ := readAll(t, ngFile(little, packets(2)), Options{FirstFrame: 41})
	if frames[0].Frame != 41 || frames[1].Frame != 42 {
		t.Errorf("frames %d, %d", frames[0].Frame, frames[1].Frame)
	}
}

func TestStandardInput(t *testing.T) {
	want := packets(5)
	s, err := Open("-", Options{Stdin: bytes.NewReader(gzipped(ngFile(little, want)))})
	if err != nil {
		t.Fatal(err)
	}
	frames, err := drain(s)
	if err != io.EOF {
		t.Fatal(err)
	}
	same(t, frames, want)
	if done, total := s.Progress(); done == 0 || total != -1 {
		t.Errorf("read %d of %d", done, total)
	}
}

// A named pipe cannot be opened twice, so it stays open from the first look on.
func TestNamedPipe(t *testing.T) {
	want := packets(4)
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	written := make(chan error)
	go func() { written <- os.WriteFile(path, ngFile(little, want[2:]), 0o600) }()
	s, err := Files(Options{}, write(t, "a", ngFile(little, want[:2])), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	frames, err := drain(s)
	if err != io.EOF {
		t.Fatal(err)
	}
	same(t, frames, want)
	if err := <-written; err != nil {
		t.Error(err)
	}
}

// A file may go away between the first look and its turn.
func TestFileGoneMeanwhile(t *testing.T) {
	a, b := write(t, "a", ngFile(little, packets(2))), write(t, "b", ngFile(little, packets(2)))
	s, err := Files(Options{}, a, b)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	os.Remove(b)
	if frames, err := drain(s); len(frames) != 2 || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%d frames, then %v", len(frames), err)
	}
}

// Each refusal is one line that says what to do.
func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		path, line string
		is         error
	}{
		{filepath.Join(dir, "gone.pcap"), "no such file or directory; check the path", fs.ErrNotExist},
		{dir, "is a directory; name the capture files in it", ErrDirectory},
		{write(t, "empty", nil), "empty file; it holds no packets; capture again", ErrEmpty},
		{write(t, "empty.gz", gzipped(nil)), "empty file; it holds no packets; capture again", ErrEmpty},
		{write(t, "random", []byte("\x93\x02\x11 some bytes")), "not a capture: its first bytes are of no known format; expected pcap or pcapng, plain or packed with gzip or zstd", ErrNotCapture},
		{write(t, "short", []byte{0xd4, 0xc3}), "not a capture: its first bytes are of no known format; expected pcap or pcapng, plain or packed with gzip or zstd", ErrNotCapture},
		{write(t, "random.gz", gzipped([]byte("some bytes"))), "not a capture: its first bytes are of no known format; expected pcap or pcapng, plain or packed with gzip or zstd", ErrNotCapture},
		{write(t, "x.json", []byte(`{"log": {}}`)), "not a capture: it looks like JSON; expected pcap or pcapng, plain or packed with gzip or zstd", ErrNotCapture},
		{write(t, "x.xz", []byte("\xfd7zXZ\x00\x00")), "not a capture: it is packed with xz; unpack it first: xz -d", ErrNotCapture},
		{write(t, "thrice.gz", gzipped(gzipped(gzipped([]byte("x"))))), "not a capture: it is packed more than twice; unpack it first", ErrNotCapture},
		{write(t, "broken.gz", []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff")), "not a capture: its packing is broken; copy or capture it again", ErrNotCapture},
		{write(t, "broken.zst", []byte("\x28\xb5\x2f\xfd\xff\xff\xff\xff\xff\xff")), "not a capture: its packing is broken; copy or capture it again", ErrNotCapture},
		{write(t, "old", append([]byte{0xd4, 0xc3, 0xb2, 0xa1, 7, 0}, make([]byte, 30)...)), "not a capture: pcap of the unknown version 7; expected pcap or pcapng, plain or packed with gzip or zstd", ErrNotCapture},
	} {
		good := write(t, "good", ngFile(little, packets(1)))
		_, err := Files(Options{Digest: true}, good, c.path)
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, c.is) || e.Name != c.path || err.Error() != c.path+": "+c.line {
			t.Errorf("got  %v\nwant %s: %s", err, c.path, c.line)
		}
	}
}

// An error of the disk is neither the end nor damage.
func TestDiskError(t *testing.T) {
	broken := errors.New("input/output error")
	for _, b := range [][]byte{ngFile(little, packets(500)), gzipped(ngFile(little, packets(500)))} {
		s, err := NewReader(io.MultiReader(bytes.NewReader(b[:len(b)-400]), iotest.ErrReader(broken)), "disk", Options{Digest: true})
		if err != nil {
			t.Fatal(err)
		}
		frames, err := drain(s)
		var d *capture.DamagedError
		if !errors.Is(err, broken) || errors.As(err, &d) || err.Error() != "disk: input/output error; check the file" {
			t.Errorf("after %d frames: %v", len(frames), err)
		}
		s.Close()
	}
	if _, err := NewReader(iotest.ErrReader(broken), "disk", Options{}); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestProgressFromAnotherGoroutine(t *testing.T) {
	path := write(t, "x.pcap", classicFile(little, magicMicro, 1, packets(3000)))
	s, err := Files(Options{Digest: true}, path, path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stop, watched := make(chan bool), make(chan bool)
	go func() {
		defer close(watched)
		var last int64
		for {
			done, total := s.Progress()
			if done < last || done > total {
				t.Errorf("read %d of %d after %d", done, total, last)
			}
			last = done
			select {
			case <-stop:
				return
			default:
				runtime.Gosched()
			}
		}
	}()
	frames, err := drain(s)
	close(stop)
	<-watched
	if err != io.EOF || len(frames) != 6000 {
		t.Errorf("%d frames, then %v", len(frames), err)
	}
}

// A source that is closed early leaves no goroutine and says so when used.
func TestClose(t *testing.T) {
	s, _ := NewReader(bytes.NewReader(ngFile(little, packets(9))), "test", Options{Digest: true})
	var f capture.Frame
	if err := s.Next(&f); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := s.Next(&f); err != fs.ErrClosed {
		t.Error(err)
	}
}

func TestNextAllocatesNothing(t *testing.T) {
	for _, b := range [][]byte{classicFile(little, magicMicro, 1, packets(3000)), ngFile(big, packets(3000))} {
		s, err := NewReader(bytes.NewReader(b), "test", Options{})
		if err != nil {
			t.Fatal(err)
		}
		var f capture.Frame
		if err := s.Next(&f); err != nil { // opens
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(2500, func() {
			if err := s.Next(&f); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v allocations a frame", n)
		}
		s.Close()
	}
}

func BenchmarkNext(b *testing.B) {
	var all []built
	for i := range 20000 {
		all = append(all, built{t0.Add(time.Duration(i) * time.Microsecond), make([]byte, []int{66, 1514, 700, 1514}[i%4]), 1514})
	}
	for _, c := range []struct {
		name   string
		b      []byte
		digest bool
	}{
		{"pcap", classicFile(little, magicMicro, 1, all), false},
		{"pcapng", ngFile(little, all), false},
		{"pcap/digest", classicFile(little, magicMicro, 1, all), true},
		{"pcap/gzip", gzipped(classicFile(little, magicMicro, 1, all)), false},
	} {
		b.Run(c.name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "x")
			if err := os.WriteFile(path, c.b, 0o600); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(c.b)))
			b.ReportAllocs()
			for b.Loop() {
				s, err := Open(path, Options{Digest: c.digest})
				if err != nil {
					b.Fatal(err)
				}
				var f capture.Frame
				for err == nil {
					err = s.Next(&f)
				}
				if err != io.EOF {
					b.Fatal(err)
				}
				s.Close()
			}
		})
	}
}
