package tls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"plainsight/capture"
	"plainsight/capture/capturetest"
)

// wire is a connection that writes down what is sent over it, in order.
type wire struct {
	net.Conn
	d     capture.Dir
	mu    *sync.Mutex
	steps *[]capturetest.Step
}

func (w wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	*w.steps = append(*w.steps, capturetest.Step{Dir: w.d, Data: string(b)})
	w.mu.Unlock()
	return w.Conn.Write(b)
}

var issued = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0xabcdef), Subject: pkix.Name{CommonName: "shop.example", Organization: []string{"Shop"}},
		DNSNames:  []string{"shop.example", "api.shop.example"},
		NotBefore: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), NotAfter: time.Date(2036, 1, 2, 3, 4, 5, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// conversation runs a handshake and an exchange of bytes between a real client
// and a real server, and returns what went over the wire.
func conversation(t testing.TB, p pair) []capturetest.Step {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	a, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{a, b} {
		c.SetDeadline(time.Now().Add(10 * time.Second))
	}
	var steps []capturetest.Step
	var mu sync.Mutex
	c := tls.Client(wire{a, capture.ToServer, &mu, &steps}, p.client)
	s := tls.Server(wire{b, capture.ToClient, &mu, &steps}, p.server)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer b.Close()
		buf := make([]byte, 4)
		if _, err := io.ReadFull(s, buf); err == nil {
			s.Write([]byte("pong"))
		}
	}()
	if _, err := c.Write([]byte("ping")); err == nil {
		io.ReadFull(c, make([]byte, 4))
	}
	a.Close()
	<-done
	return steps
}

// watch plays steps into a new parser in pieces of cut bytes.
func watch(o Options, cut int, steps ...capturetest.Step) ([]capture.Handshake, capture.Counts) {
	var r capturetest.Recorder
	var n capture.Counts
	conn := capture.Conn{ID: 1}
	capturetest.Play(Protocol(o).New(&conn, &r, &n), cut, steps...)
	return r.Handshakes, n
}

// one plays steps in several pieces; each way must show the same one handshake.
func one(t *testing.T, steps []capturetest.Step) *capture.Handshake {
	t.Helper()
	var first *capture.Handshake
	for _, cut := range []int{0, 1, 3, 100} {
		got, n := watch(Options{}, cut, steps...)
		if len(got) != 1 || n[capture.Handshakes] != 1 || n[capture.TLSBytes] == 0 && got[0].Alerts == 0 {
			t.Fatalf("in pieces of %d: %d handshakes, %d bytes inside", cut, len(got), n[capture.TLSBytes])
		}
		h := &got[0]
		if first == nil {
			first = h
		} else if h.JA3 != first.JA3 || h.JA3S != first.JA3S || h.Certificates != first.Certificates || h.Flaws != first.Flaws {
			t.Fatalf("in pieces of %d: %+v, whole: %+v", cut, h, first)
		}
	}
	return first
}

type pair struct{ client, server *tls.Config }

func configsOf(version uint16) pair {
	client, server := configs(version)
	return pair{client, server}
}

func configs(version uint16) (client, server *tls.Config) {
	client = &tls.Config{ServerName: "api.shop.example", InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}, MaxVersion: version}
	server = &tls.Config{Certificates: []tls.Certificate{issued()}, NextProtos: []string{"http/1.1"}}
	return client, server
}

func TestTLS12ShowsItsCertificate(t *testing.T) {
	h := one(t, conversation(t, configsOf(tls.VersionTLS12)))
	if h.SNI != "api.shop.example" || h.Version != tls.VersionTLS12 || h.ALPN != "http/1.1" || !slices.Equal(h.ClientALPN, []string{"h2", "http/1.1"}) {
		t.Errorf("hellos: %+v", h)
	}
	if h.Certificates != 1 || h.Leaf == nil || h.Resumed || h.ClientCertificate || h.Flaws != 0 {
		t.Fatalf("handshake: %+v, flaws %v", h, h.Flaws.Names())
	}
	l := h.Leaf
	if l.Serial != "00abcdef" || l.Key != "ECDSA P-256" || !l.SelfSigned || l.Subject != "CN=shop.example,O=Shop" || l.Issuer != l.Subject ||
		!slices.Equal(l.Names, []string{"shop.example", "api.shop.example"}) || l.NotBefore.Year() != 2026 || l.NotAfter.Year() != 2036 || len(l.SHA256) != 64 {
		t.Errorf("leaf: %+v", l)
	}
}

func TestTLS13HidesItsCertificate(t *testing.T) {
	h := one(t, conversation(t, configsOf(tls.VersionTLS13)))
	if h.Version != tls.VersionTLS13 || h.ClientVersion != tls.VersionTLS12 || !slices.Contains(h.ClientVersions, tls.VersionTLS13) ||
		h.Certificates != 0 || h.Leaf != nil || h.Resumed || h.ALPN != "" || h.Flaws != 0 {
		t.Errorf("%+v, flaws %v", h, h.Flaws.Names())
	}
}

func TestARetryIsNotTheAnswer(t *testing.T) {
	client, server := configs(tls.VersionTLS13)
	client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP384}
	server.CurvePreferences = []tls.CurveID{tls.CurveP384}
	h := one(t, conversation(t, pair{client, server}))
	if h.Version != tls.VersionTLS13 || !h.ClientSeen || !h.ServerSeen || h.Flaws != 0 {
		t.Errorf("%+v, flaws %v", h, h.Flaws.Names())
	}
}

func TestResumption(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client, server := configs(version)
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		if h := one(t, conversation(t, pair{client, server})); h.Resumed {
			t.Errorf("%x: the first is resumed", version)
		}
		if h := one(t, conversation(t, pair{client, server})); !h.Resumed || h.Certificates != 0 {
			t.Errorf("%x: the second is not resumed: %+v", version, h)
		}
	}
}

func TestClientCertificate(t *testing.T) {
	for _, has := range []bool{true, false} {
		client, server := configs(tls.VersionTLS12)
		server.ClientAuth = tls.RequestClientCert
		if has {
			client.Certificates = []tls.Certificate{issued()}
		}
		if h := one(t, conversation(t, pair{client, server})); h.ClientCertificate != has || h.NoClientCertificate == has || h.Certificates != 1 {
			t.Errorf("sends one: %t, seen: %t", has, h.ClientCertificate)
		}
	}
}

func TestARefusalIsAnAlert(t *testing.T) {
	client, server := configs(tls.VersionTLS12)
	server.MinVersion = tls.VersionTLS13
	h := one(t, conversation(t, pair{client, server}))
	if !h.ClientSeen || h.ServerSeen || h.Alerts != 1 {
		t.Errorf("%+v", h)
	}
}

func TestOneSidedCaptures(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		all := conversation(t, configsOf(version))
		for d := capture.ToServer; d <= capture.ToClient; d++ {
			var half []capturetest.Step
			for _, s := range all {
				if s.Dir == d {
					half = append(half, s)
				}
			}
			h := one(t, half)
			if h.ClientSeen != (d == capture.ToServer) || h.ServerSeen == h.ClientSeen || (h.Leaf != nil) != (d == capture.ToClient && version == tls.VersionTLS12) {
				t.Errorf("version %x, dir %d alone: %+v", version, d, h)
			}
		}
	}
}

// TestGREASEDoesNotChangeJA3 builds a hello by hand, with and without the values
// that mean nothing, and compares with the text that JA3 is the sum of.
func TestGREASEDoesNotChangeJA3(t *testing.T) {
	text := "771,4865-4866-49195,0-10-11-16-43,29-23,0"
	sum := md5.Sum([]byte(text))
	want := hex.EncodeToString(sum[:])
	for _, greased := range []bool{false, true} {
		h := one(t, []capturetest.Step{capturetest.Client(handmade(greased))})
		if h.JA3 != want || h.SNI != "a.example" || len(h.ClientVersions) != 2 || h.Flaws != 0 {
			t.Errorf("greased %t: %s, want %s: %+v", greased, h.JA3, want, h)
		}
		if n := len(h.ClientCiphers); greased != (n == 4) {
			t.Errorf("greased %t: %d ciphers", greased, n)
		}
	}
}

func vector(size int, parts ...string) string {
	body := strings.Join(parts, "")
	n := len(body)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n)})[3-size:] + body
}

func handmade(greased bool) string {
	g := func(s string) string {
		if greased {
			return s
		}
		return ""
	}
	hello := "\x03\x03" + strings.Repeat("r", 32) + vector(1) +
		vector(2, g("\x0a\x0a"), "\x13\x01\x13\x02\xc0\x2b") + vector(1, "\x00") +
		vector(2,
			g("\x1a\x1a"+vector(2)),
			"\x00\x00"+vector(2, vector(2, "\x00"+vector(2, "a.example"))),
			"\x00\x0a"+vector(2, vector(2, g("\x2a\x2a"), "\x00\x1d\x00\x17")),
			"\x00\x0b"+vector(2, vector(1, "\x00")),
			"\x00\x10"+vector(2, vector(2, vector(1, "h2"))),
			"\x00\x2b"+vector(2, vector(1, g("\x3a\x3a"), "\x03\x04\x03\x03")),
			g("\xfa\xfa"+vector(2, "\x00")),
		)
	body := "\x01" + vector(3, hello)
	return "\x16\x03\x01" + vector(2, body) + "\x17\x03\x03" + vector(2, "sealed")
}

// TestSSL2Hello: what old clients sent to servers of any version.
func TestSSL2Hello(t *testing.T) {
	hello := "\x01\x03\x01\x00\x06\x00\x00\x00\x10" + "\x00\x00\x04\x01\x00\x80" + strings.Repeat("c", 16)
	step := capturetest.Client("\x80" + string([]byte{byte(len(hello))}) + hello + "\x17\x03\x01" + vector(2, "sealed"))
	if v := sniff(capture.ToServer, []byte(step.Data), false); v != capture.Yes {
		t.Errorf("sniff: %d", v)
	}
	h := one(t, []capturetest.Step{step})
	if !h.ClientSeen || h.ClientVersion != tls.VersionTLS10 || !slices.Equal(h.ClientCiphers, []uint16{4}) || h.JA3 != "" {
		t.Errorf("%+v", h)
	}
}

func TestJoinedLater(t *testing.T) {
	record := "\x17\x03\x03\x00\x30" + strings.Repeat("\x99", 0x30)
	for n := range len(record) * 2 {
		b := []byte(record + record)[:n]
		for d := capture.ToServer; d <= capture.ToClient; d++ {
			if sniff(d, b, false) == capture.Yes {
				t.Fatalf("%d bytes are taken for a beginning", n)
			}
			if v := sniff(d, b, true); n > 0 && v == capture.No || n >= len(record) && n%len(record) == 0 && v != capture.Yes {
				t.Fatalf("%d bytes: %d", n, v)
			}
		}
	}
	got, n := watch(Options{}, 0, capturetest.Client(record), capturetest.Server(record))
	if len(got) != 0 || n[capture.TLSBytes] != 0x60 {
		t.Errorf("%d handshakes, %d bytes", len(got), n[capture.TLSBytes])
	}
}

func TestSniffIsStrict(t *testing.T) {
	for _, text := range []string{
		"GET / HTTP/1.1\r\n", "\x16\x02\x01\x00\x10\x01\x00\x00\x0c\x03\x03", "\x16\x03\x01\x00\x00", "\x16\x03\x01\xff\xff\x01\x00",
		"\x16\x03\x01\x00\x60\x01\x09\x00\x5c\x03\x03", "\x16\x03\x01\x00\x60\x01\x00\x00\x5c\x05\x03", "\x17\x03\x09\x00\x20",
		"\x80\x2e\x01\x03\x01\x00\x07\x00\x00\x00\x10cccccccccccccccccccc", "\x14\x03\x01\x00\x01\x02", "\x15\x03\x01\x00\x02\x05\x00",
	} {
		for d := capture.ToServer; d <= capture.ToClient; d++ {
			for _, midstream := range []bool{false, true} {
				if v := sniff(d, []byte(text), midstream); v == capture.Yes {
					t.Errorf("%q, dir %d, midstream %t: taken for TLS", text, d, midstream)
				}
			}
		}
	}
}

func TestLostBytes(t *testing.T) {
	all := conversation(t, configsOf(tls.VersionTLS12))
	// Part of the server's flight is lost: the rest is found again.
	var steps []capturetest.Step
	for _, s := range all {
		if s.Dir == capture.ToClient && len(steps) < 3 {
			s.Data, s.Lost = s.Data[:200], len(s.Data)-200
		}
		steps = append(steps, s)
	}
	got, n := watch(Options{}, 0, steps...)
	if len(got) != 1 || got[0].Flaws&capture.FlawGap == 0 || got[0].Certificates != 0 || got[0].Cipher == 0 || n[capture.TLSBytes] == 0 {
		t.Errorf("%+v, %d bytes inside", got, n[capture.TLSBytes])
	}
	// The capture ends inside the ClientHello.
	cut := capturetest.Client(all[0].Data[:len(all[0].Data)-3])
	got, _ = watch(Options{}, 0, cut)
	if len(got) != 1 || got[0].SNI != "api.shop.example" || got[0].Flaws&capture.FlawCut == 0 || got[0].JA3 != "" {
		t.Errorf("cut hello: %+v", got)
	}
}

func TestTheBoundOfAMessage(t *testing.T) {
	all := conversation(t, configsOf(tls.VersionTLS12))
	got, n := watch(Options{Message: 300}, 1, all...)
	if len(got) != 1 || got[0].Certificates != 0 || got[0].Flaws&capture.FlawTLS == 0 || n[capture.HandshakesInvalid] != 1 || got[0].Cipher == 0 {
		t.Errorf("%+v", got)
	}
}

func FuzzParser(f *testing.F) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		var up, down string
		for _, s := range conversation(f, configsOf(version)) {
			if s.Dir == capture.ToServer {
				up += s.Data
			} else {
				down += s.Data
			}
		}
		f.Add([]byte(up), []byte(down), 7)
	}
	f.Add([]byte(handmade(true)), []byte("\x15\x03\x01\x00\x02\x02\x28"), 1)
	f.Fuzz(func(t *testing.T, up, down []byte, cut int) {
		steps := []capturetest.Step{capturetest.Client(string(up)), capturetest.Server(string(down))}
		whole, n := watch(Options{}, 0, steps...)
		if len(whole) > 1 || int(n[capture.Handshakes]) != len(whole) {
			t.Fatalf("%d handshakes", len(whole))
		}
		if n[capture.TLSBytes] > uint64(len(up)+len(down)) {
			t.Fatalf("%d bytes inside of %d", n[capture.TLSBytes], len(up)+len(down))
		}
		watch(Options{Message: 64}, min(max(cut, 1), 50), steps...)
		for d := capture.ToServer; d <= capture.ToClient; d++ {
			sniff(d, up, true)
		}
	})
}

func BenchmarkHandshake(b *testing.B) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		b.Run(tls.VersionName(version), func(b *testing.B) {
			steps := conversation(b, configsOf(version))
			row := Protocol(Options{})
			conn := capture.Conn{ID: 1}
			var n capture.Counts
			at := capture.Stamp{Time: capturetest.Epoch}
			var data [][]byte
			size := 0
			for _, s := range steps {
				data = append(data, []byte(s.Data))
				size += len(s.Data)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				p := row.New(&conn, ignore{}, &n)
				for i, s := range steps {
					p.Data(s.Dir, data[i], at)
				}
				p.End(capture.ToServer, false, at)
				p.End(capture.ToClient, false, at)
			}
		})
	}
}

func BenchmarkApplicationData(b *testing.B) {
	record := []byte("\x17\x03\x03\x40\x00" + strings.Repeat("\x99", 0x4000))
	var n capture.Counts
	p := Protocol(Options{}).New(&capture.Conn{}, ignore{}, &n)
	b.SetBytes(int64(len(record)))
	b.ReportAllocs()
	for b.Loop() {
		p.Data(capture.ToClient, record, capture.Stamp{})
	}
}

type ignore struct{}

func (ignore) Exchange(*capture.Exchange)   {}
func (ignore) Handshake(*capture.Handshake) {}
func (ignore) WebSocket(*capture.WebSocket) {}
func (ignore) Connection(*capture.Summary)  {}
