package pcapgen

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
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

func TestALoadHasTheSizeItWasAskedFor(t *testing.T) {
	var out bytes.Buffer
	made, err := Load{Bytes: 1 << 20, Connections: 40, MinBody: 200, MaxBody: 20000, Seed: 1}.HTTP1(&out)
	if err != nil {
		t.Fatal(err)
	}
	if n := int64(out.Len()); n != made.Bytes || n < 1<<20 || n > 1<<20+200<<10 {
		t.Errorf("%d bytes written, %d reported, 1 MiB asked", n, made.Bytes)
	}
	streams, _ := packets(t, out.Bytes())
	answers := 0
	for _, s := range streams {
		answers += strings.Count(s.String(), "HTTP/1.1 200 OK\r\n")
	}
	if answers != made.Exchanges || answers == 0 {
		t.Errorf("%d answers in the capture, %d exchanges reported", answers, made.Exchanges)
	}
}
