package flow

import (
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"plainsight/capture"
	"plainsight/capture/capturetest"
	"plainsight/capture/packet"
)

// chaos makes of a capture one that a bad network, a bad tap and somebody
// malicious had a hand in.
func chaos(rng *rand.Rand, frames []capture.Frame) []capture.Frame {
	var out []capture.Frame
	for _, f := range frames {
		switch rng.IntN(12) {
		case 0: // lost
			continue
		case 1: // again
			out = append(out, f)
		case 2: // late
			if n := len(out); n > 0 {
				out = append(out[:n-1:n-1], f, out[n-1])
				continue
			}
		case 3: // changed
			b := append([]byte(nil), f.Data...)
			b[14+rng.IntN(len(b)-14)] = byte(rng.Uint32())
			f.Data = b
		case 4: // cut
			f.Data = f.Data[:rng.IntN(len(f.Data)+1)]
		case 5: // at another time
			f.Time = f.Time.Add(time.Duration(rng.IntN(7200)-3600) * time.Second)
		}
		out = append(out, f)
	}
	return capturetest.Number(out)
}

// Whatever comes, nothing breaks and the books are right.
func TestChaos(t *testing.T) {
	variants := capturetest.Variants()
	o := options()
	o.Hold, o.HoldAll, o.Connections, o.Unread, o.UnreadAll = 16<<10, 32<<10, 16, 600, 32<<10
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 5))
		var all [][]capture.Frame
		for i := range 1 + rng.IntN(20) {
			w := at(time.Duration(rng.IntN(10_000_000)), i, variants[rng.IntN(len(variants))].Wire)
			w.Server = netip.AddrPort{}
			all = append(all, w.Frames(story(1+rng.IntN(20))...))
		}
		_, n := read(t, o, chaos(rng, capturetest.Merge(all...)))
		if n[capture.ParserPanics] != 0 {
			t.Fatalf("seed %d: broke", seed)
		}
	}
}

// FuzzSegments gives an engine segments of a few connections that no peer would
// send. Each is six bytes: ends, flags, two of place, size and what to carry.
func FuzzSegments(f *testing.F) {
	f.Add([]byte{0, packet.SYN, 0, 0, 0, 0, 1, packet.SYN | packet.ACK, 0, 0, 0, 0, 0, packet.ACK, 0, 1, 5, 0, 1, packet.FIN | packet.ACK, 0, 1, 0, 0})
	f.Add([]byte{2, packet.ACK, 0, 9, 20, 1, 3, packet.ACK, 1, 0, 20, 2, 2, packet.RST, 0, 0, 0, 3, 3, packet.SYN, 0, 7, 0, 0})
	payload := [...]string{">ask\n>ask\n>ask\n>ask\n>ask\n>ask\n", "<answer\n<answer\n<answer\n<answer\n", "odd", ">up\n>", ">noise\n", "\n", ">", "<up\n<"}
	f.Fuzz(func(t *testing.T, ops []byte) {
		o := options()
		o.Connections, o.Hold, o.HoldAll, o.Unread, o.UnreadAll = 3, 8<<10, 16<<10, 64, 16<<10
		o.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
		var r capturetest.Recorder
		e := New(o, &r)
		now := int64(0)
		for frame := uint64(1); len(ops) >= 6; ops, frame = ops[6:], frame+1 {
			ends := [2]netip.AddrPort{
				netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, ops[0] >> 1 & 3}), 4000),
				netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 9}), uint16(ops[0]>>3)),
			}
			s := packet.Segment{Src: ends[ops[0]&1], Dst: ends[ops[0]&1^1], Flags: ops[1],
				Seq: 0xffffffc0 + uint32(ops[2])<<(ops[5]>>3&15) + uint32(ops[3]), Ack: 0xffffffc0 + uint32(ops[3])<<(ops[5]>>3&15) + uint32(ops[2])}
			s.VLAN = uint32(ops[5] >> 7)
			s.Time, s.Frame = capturetest.Epoch.Add(time.Duration(now)), frame
			p := payload[ops[5]&7]
			s.Payload = []byte(p)[:min(len(p), int(ops[4]&63))]
			if ops[4]&64 != 0 {
				s.Missing = int(ops[4])
			}
			s.Bytes = s.Payload
			if ops[4]&128 != 0 {
				now += int64(ops[3]) * int64(time.Second)
			}
			e.take(&s, now, 0)
			if len(e.conns) > 2*o.Connections || len(e.callers) > o.Connections || e.pool.Used() > o.HoldAll || e.buffered > o.UnreadAll {
				t.Fatal("a bound is broken")
			}
		}
		e.Close()
		checkBooks(t, e, &r)
		if e.counts[capture.ParserPanics] != 0 {
			t.Fatal("broke")
		}
	})
}
