package flow

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"plainsight/capture"
	"plainsight/capture/capturetest"
	"plainsight/capture/packet"
)

// gopacket's checksums are the second opinion.
func TestChecksum(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for size := range 200 {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		w := capturetest.Wire{Open: capturetest.NoHandshake, Close: capturetest.NoClose, Size: 1000}
		if size%2 == 1 {
			w.Client, w.Server = netip.MustParseAddrPort("[2001:db8::1]:40000"), netip.MustParseAddrPort("[2001:db8::2]:80")
		}
		var n capture.Counts
		d := packet.New(packet.Options{})
		var s packet.Segment
		for _, f := range w.Frames(capturetest.Client(string(data))) {
			if !d.Decode(&f, &s, &n) || !checksumRight(&s) {
				t.Fatalf("the checksum of %d bytes is right", size)
			}
			i := rng.IntN(len(s.Bytes))
			s.Bytes[i] ^= 1 << rng.IntN(8)
			if checksumRight(&s) {
				t.Fatalf("the checksum of %d bytes, one of them changed, is wrong", size)
			}
		}
	}
}

func TestForgeriesAreCounted(t *testing.T) {
	_, n := read(t, options(), capturetest.Wire{Size: 50, Edit: capturetest.Misleading}.Frames(story(23)...))
	if n[capture.SegmentsBadChecksum] == 0 || n[capture.SegmentsConflict] != 0 {
		t.Errorf("%d forged, %d in conflict", n[capture.SegmentsBadChecksum], n[capture.SegmentsConflict])
	}
	_, n = read(t, options(), capturetest.Wire{Offload: true}.Frames(story(23)...))
	if n[capture.SegmentsBadChecksum] != 0 {
		t.Errorf("%d of a capture whose checksums mean nothing", n[capture.SegmentsBadChecksum])
	}
}

// add is the plain sum of 16-bit words, carries and all.
func TestTheSumOfWords(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	fold := func(sum uint64) uint64 {
		for sum > 0xffff {
			sum = sum>>16 + sum&0xffff
		}
		return sum
	}
	for size := range 300 {
		b := make([]byte, size)
		for i := range b {
			b[i] = [...]byte{0xff, 0, 0xfe, byte(rng.Uint32())}[rng.IntN(1+size%4)]
		}
		var want uint64
		for i, c := range b {
			want += uint64(c) << (8 * (i % 2))
		}
		if got := fold(add(0, b)); got != fold(want) {
			t.Fatalf("%d bytes: %#x, want %#x", size, got, fold(want))
		}
		if got := fold(add(1<<33-1, b)); got != fold(want+fold(1<<33-1)) {
			t.Fatalf("%d bytes on a large sum: %#x, want %#x", size, got, fold(want+fold(1<<33-1)))
		}
	}
}

func BenchmarkChecksum(b *testing.B) {
	s := packet.Segment{Src: netip.MustParseAddrPort("10.0.0.1:1"), Dst: netip.MustParseAddrPort("10.0.0.2:2"), Bytes: make([]byte, 1480)}
	b.SetBytes(1480)
	for b.Loop() {
		checksumRight(&s)
	}
}
