package pcapgen

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// packets decodes a capture with gopacket, an implementation that is not ours.
func packets(t *testing.T, capture []byte) (payloads map[string]*strings.Builder, frames int) {
	t.Helper()
	r, err := pcapgo.NewReader(bytes.NewReader(capture))
	if err != nil {
		t.Fatal(err)
	}
	payloads = map[string]*strings.Builder{}
	last := int64(0)
	for {
		data, info, err := r.ReadPacketData()
		if err == io.EOF {
			return payloads, frames
		}
		if err != nil {
			t.Fatal(err)
		}
		if at := info.Timestamp.UnixNano(); frames > 0 && at < last {
			t.Errorf("frame %d is %d ns before the one ahead of it", frames+1, last-at)
		} else {
			last = at
		}
		frames++
		p := gopacket.NewPacket(data, layers.LinkTypeEthernet, gopacket.Default)
		tcp, ok := p.TransportLayer().(*layers.TCP)
		if !ok || p.ErrorLayer() != nil {
			t.Fatalf("frame %d is no TCP: %v", frames, p)
		}
		tcp.SetNetworkLayerForChecksum(p.NetworkLayer())
		if sum, err := tcp.ComputeChecksum(); err != nil || sum != 0 {
			t.Fatalf("frame %d: TCP checksum is off by %x, %v", frames, sum, err)
		}
		key := p.NetworkLayer().NetworkFlow().String() + tcp.TransportFlow().String()
		if payloads[key] == nil {
			payloads[key] = &strings.Builder{}
		}
		payloads[key].Write(tcp.Payload)
	}
}

func TestTheShopTalksHTTPAndTLS(t *testing.T) {
	var out bytes.Buffer
	if err := Shop(&out); err != nil {
		t.Fatal(err)
	}
	streams, _ := packets(t, out.Bytes())
	var all strings.Builder
	hellos := 0
	for _, s := range streams {
		all.WriteString(s.String())
		if strings.HasPrefix(s.String(), "\x16\x03") {
			hellos++
		}
	}
	for _, want := range []string{
		"POST /api/v1/login HTTP/1.1\r\n", `"card_number":"453988`, "Set-Cookie: session_id=", "Traceback (most recent call last)",
		"Content-Encoding: gzip", "GET /.env HTTP/1.1\r\n", "X-Api-Key: sk_live_", "PUT /v2/warehouses/berlin/items/SKU-10000 ",
	} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("the shop never says %q", want)
		}
	}
	if hellos != 14 {
		t.Errorf("%d directions speak TLS, want 14: six payments and the old site, both ways", hellos)
	}
	if strings.Contains(all.String(), `"amount":4200`) {
		t.Error("a payment is readable")
	}
}

// small is a load of 1 MiB.
var small = Load{Bytes: 1 << 20, Open: 40, Uses: 100, MinBody: 200, MaxBody: 20000, Seed: 1}

func TestALoadHasTheSizeItWasAskedFor(t *testing.T) {
	var out bytes.Buffer
	made, err := small.Write(&out)
	if err != nil {
		t.Fatal(err)
	}
	if n := int64(out.Len()); n != made.Bytes || n < 1<<20 || n > 1<<20+200<<10 {
		t.Errorf("%d bytes written, %d reported, 1 MiB asked", n, made.Bytes)
	}
	streams, frames := packets(t, out.Bytes())
	answers := 0
	for _, s := range streams {
		answers += strings.Count(s.String(), "HTTP/1.1 200 OK\r\n")
	}
	if answers != made.Exchanges || answers == 0 || uint64(frames) != made.Frames {
		t.Errorf("%d answers in %d frames of the capture, %d in %d reported", answers, frames, made.Exchanges, made.Frames)
	}
}

// The loads of HTTP/2 are read with x/net's own framer.
func TestALoadOfHTTP2(t *testing.T) {
	for _, p := range []Protocol{H2C, GRPC} {
		l := small
		l.Protocol = p
		var out bytes.Buffer
		made, err := l.Write(&out)
		if err != nil {
			t.Fatal(err)
		}
		streams, _ := packets(t, out.Bytes())
		requests, answers := 0, 0
		for _, s := range streams {
			text, fromClient := strings.CutPrefix(s.String(), http2.ClientPreface)
			framer := http2.NewFramer(nil, strings.NewReader(text))
			framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
			for {
				f, err := framer.ReadFrame()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				m, ok := f.(*http2.MetaHeadersFrame)
				switch {
				case !ok:
				case fromClient && m.PseudoValue("method") != "":
					requests++
				case m.PseudoValue("status") == "200":
					answers++
				}
			}
		}
		if requests != made.Exchanges || answers != made.Exchanges || answers == 0 {
			t.Errorf("protocol %d: %d requests, %d answers, %d exchanges reported", p, requests, answers, made.Exchanges)
		}
	}
}

func TestAMissedFrameIsKnown(t *testing.T) {
	l := small
	var whole, lossy bytes.Buffer
	all, err := l.Write(&whole)
	if err != nil {
		t.Fatal(err)
	}
	l.Loss = 0.05
	made, err := l.Write(&lossy)
	if err != nil {
		t.Fatal(err)
	}
	if made.Exchanges != all.Exchanges || made.Frames >= all.Frames*97/100 || made.Frames < all.Frames*93/100 {
		t.Errorf("%d exchanges in %d frames, without loss %d in %d", made.Exchanges, made.Frames, all.Exchanges, all.Frames)
	}
	if n := len(made.Heads); n < made.Exchanges*80/100 || n > made.Exchanges*97/100 || all.Heads != nil {
		t.Errorf("the heads of %d of %d exchanges survive", n, made.Exchanges)
	}
	r, err := pcapgo.NewReader(&lossy)
	if err != nil {
		t.Fatal(err)
	}
	isHead := map[uint64]bool{}
	for _, n := range made.Heads {
		isHead[n] = true
	}
	for n := uint64(1); ; n++ {
		data, _, err := r.ReadPacketData()
		if err != nil {
			break
		}
		if isHead[n] && !bytes.Contains(data, []byte(" HTTP/1.1\r\nHost: ")) {
			t.Fatalf("frame %d is said to hold the head of a request", n)
		}
	}
}

func TestManyShortConnections(t *testing.T) {
	var out bytes.Buffer
	made, err := Load{Bytes: 1 << 40, Most: 500, Open: 50, Uses: 1, MinBody: 100, MaxBody: 400, Seed: 1}.Write(&out)
	if err != nil {
		t.Fatal(err)
	}
	streams, _ := packets(t, out.Bytes())
	if len(streams) != 2*500 || made.Exchanges != 500 {
		t.Errorf("%d directions and %d exchanges, want 500 connections with one each", len(streams), made.Exchanges)
	}
}
