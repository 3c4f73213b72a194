package pcap

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/pcapgo"

	"plainsight/capture"
)

// FuzzNext reads any bytes. A file without damage must give the same packets to
// gopacket's readers.
func FuzzNext(f *testing.F) {
	some := packets(5)
	cut := ngFile(little, some)
	for _, b := range [][]byte{
		classicFile(little, magicMicro, 1, some),
		classicFile(big, magicNano, 101, some),
		classicFile(big, magicModified, 1, some),
		ngFile(little, some), ngFile(big, some), cut[:len(cut)-5],
		append(ngFile(little, some), ngFile(big, some)...),
		gzipped(ngFile(little, some)), zstded(f, classicFile(little, magicMicro, 1, some)),
		{},
	} {
		f.Add(b)
	}
	var n ng
	n.section(big)
	n.iface(1, 96, n.option(9, []byte{9}), n.option(14, n.u64(77)), n.u32(0))
	n.block(blockSimple, n.u32(200), make([]byte, 96))
	n.block(blockOldPacket, n.u16(0), n.u16(0), n.u64(12345678), n.u32(4), n.u32(4), []byte("abcd"))
	n.block(0xbad, make([]byte, 20))
	f.Add(n.b)

	f.Fuzz(func(t *testing.T, b []byte) {
		const most = 1 << 16
		s, err := NewReader(bytes.NewReader(b), "fuzz", Options{MaxPacket: most, MaxWindow: 1 << 20})
		if err != nil {
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		defer s.Close()
		var all []capture.Frame
		var frame capture.Frame
		for err == nil && len(all) < 10000 { // a few packed bytes may be very many
			if err = s.Next(&frame); err == nil {
				if frame.Frame != uint64(len(all)+1) || len(frame.Data) > most || frame.Length < len(frame.Data) {
					t.Fatalf("frame %d of %d bytes, %d on the wire", frame.Frame, len(frame.Data), frame.Length)
				}
				kept := frame
				kept.Data = bytes.Clone(frame.Data)
				all = append(all, kept)
			}
		}
		if len(all) == 10000 {
			return
		}
		var d *capture.DamagedError
		if err != io.EOF && !errors.As(err, &d) {
			t.Fatal(err)
		}
		info := s.Files()[0]
		if err == io.EOF && info.Packed == "" {
			compare(t, b, info.Format, all)
		}
	})
}

// compare reads b with gopacket, as far as that goes: it knows neither the
// modified pcap nor every mix of lengths.
func compare(t *testing.T, b []byte, format string, all []capture.Frame) {
	var next func() ([]byte, gopacket.CaptureInfo, error)
	if format == "pcap" {
		r, err := pcapgo.NewReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		next = r.ReadPacketData
	} else {
		r, err := pcapgo.NewNgReader(bytes.NewReader(b), pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true})
		if err != nil {
			return
		}
		next = r.ReadPacketData
	}
	for i := range all {
		if all[i].Length > 1<<20 {
			return // it takes as much memory as a packet claims, and the process with it
		}
		data, info, err := calmly(next)
		if err != nil {
			return
		}
		f := &all[i]
		if format == "pcapng" && len(data) > len(f.Data) && bytes.HasPrefix(data, f.Data) {
			return // it reads a simple packet up to the snap length, and over the end of its block
		}
		if !bytes.Equal(data, f.Data) {
			t.Fatalf("frame %d: %d bytes, gopacket has %d", i+1, len(f.Data), len(data))
		}
		if info.Length >= info.CaptureLength && info.Length != f.Length {
			t.Fatalf("frame %d: %d on the wire, gopacket has %d", i+1, f.Length, info.Length)
		}
	}
}

// calmly calls next, which panics on some damaged files: it has no opinion then.
func calmly(next func() ([]byte, gopacket.CaptureInfo, error)) (data []byte, info gopacket.CaptureInfo, err error) {
	defer func() {
		if recover() != nil {
			err = io.ErrUnexpectedEOF
		}
	}()
	return next()
}

// The packets of files that gopacket wrote, with their times.
func TestWrittenByGopacket(t *testing.T) {
	want := packets(300)
	var micro, nano, section bytes.Buffer
	w := pcapgo.NewWriter(&micro)
	w.WriteFileHeader(65535, 1)
	wn := pcapgo.NewWriterNanos(&nano)
	wn.WriteFileHeader(65535, 1)
	wg, err := pcapgo.NewNgWriter(&section, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range want {
		info := gopacket.CaptureInfo{Timestamp: p.at, CaptureLength: len(p.data), Length: p.length}
		for _, w := range []interface {
			WritePacket(gopacket.CaptureInfo, []byte) error
		}{w, wn, wg} {
			if err := w.WritePacket(info, p.data); err != nil {
				t.Fatal(err)
			}
		}
	}
	wg.Flush()
	for _, b := range [][]byte{micro.Bytes(), nano.Bytes(), section.Bytes()} {
		frames, _, err := readAll(t, b, Options{})
		if err != io.EOF {
			t.Fatal(err)
		}
		same(t, frames, want)
	}
}
