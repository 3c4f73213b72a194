package http2

import (
	"fmt"
	"strings"
	"testing"

	"plainsight/capture"
	. "plainsight/capture/capturetest"
	"plainsight/capture/flow"
	"plainsight/capture/http1"
	"plainsight/capture/tls"
	"plainsight/capture/websocket"
)

// rows is the table of protocols as the program has it.
func rows() []capture.Protocol {
	return []capture.Protocol{Protocol(Options{}), http1.Protocol(http1.Options{}), tls.Protocol(tls.Options{}), websocket.Protocol(websocket.Options{})}
}

func read(frames []capture.Frame) (*Recorder, *capture.Counts) {
	var r Recorder
	e := flow.New(flow.Options{Protocols: rows()}, &r)
	for i := range frames {
		e.Frame(&frames[i])
	}
	e.Close()
	return &r, e.Counts()
}

// spoken is what a recorder heard, in short.
func spoken(r *Recorder) string {
	var all []string
	for i := range r.Exchanges {
		x := &r.Exchanges[i]
		proto := x.Request.Proto
		if !x.Request.Seen {
			proto = x.Response.Proto
		}
		all = append(all, fmt.Sprint(proto, " ", x.Stream, " ", x.Method, " ", x.Target, " ", x.Status, " ", x.Request.BodySize, " ", x.Response.BodySize))
	}
	for _, w := range r.WebSockets {
		all = append(all, fmt.Sprint("websocket ", string(w.Target), " ", w.Messages, " ", w.Bytes))
	}
	return strings.Join(all, "\n")
}

func TestOnTheWireInEveryVariant(t *testing.T) {
	for name, steps := range map[string][]Step{"prior knowledge": busy(5, 12), "upgraded": upgraded("h2c", busy(6, 3)...)} {
		var want string
		for _, v := range Variants() {
			r, n := read(v.Frames(steps...))
			got := spoken(r)
			if want == "" {
				want = got
				if lines := strings.Count(got, "\n") + 1; lines < 4 {
					t.Fatalf("%s: only\n%s", name, got)
				}
			}
			if v.Keeps && got != want {
				t.Errorf("%s, %s:\n%s\nwant\n%s", name, v.Name, got, want)
			}
			if n[capture.ParserPanics] > 0 {
				t.Errorf("%s, %s: a panic", name, v.Name)
			}
			said := map[string]bool{}
			for _, line := range strings.Split(want, "\n") {
				said[head2(line)] = true
			}
			for i := range r.Exchanges {
				// Without its beginning or with a part of the frames, nothing is invented.
				x := &r.Exchanges[i]
				if x.Method != "" && x.Target != "" && x.Status != 0 {
					if line := head2(fmt.Sprint(x.Request.Proto, " ", x.Stream, " ", x.Method, " ", x.Target, " ", x.Status, " ")); !said[line] && v.Name != "contradicted before" {
						t.Errorf("%s, %s: %s was not said", name, v.Name, line)
					}
				}
			}
		}
	}
}

// head2 leaves the sizes out.
func head2(line string) string {
	f := strings.Fields(line)
	return strings.Join(f[:min(len(f), 5)], " ")
}

// upgraded is a change from HTTP/1.1 and what follows.
func upgraded(to string, then ...Step) []Step {
	return append([]Step{
		Client("GET /first HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: " + to + "\r\n\r\n"),
		Server("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + to + "\r\n\r\n"),
	}, then...)
}

func TestChanges(t *testing.T) {
	c, s := newPeer().start(true), newPeer().start(false)
	hello, settings := c.take(), s.take()
	for name, tt := range map[string]struct {
		steps []Step
		want  string
	}{
		"h2c: stream 1 answers the request": {upgraded("h2c", Client(hello), Server(settings+s.answer(1, false, 200).data(1, true, "one").take()), Client(c.request(3, true, "GET", "/second").take()), Server(s.answer(3, true, 204).take())),
			"HTTP/1.1 0 GET /first 101 0 0\nHTTP/2 1 GET /first 200 0 3\nHTTP/2 3 GET /second 204 0 0"},
		"WebSocket": {upgraded("websocket", Client("\x81\x82\x00\x00\x00\x00hi"), Server("\x81\x05hello")),
			"HTTP/1.1 0 GET /first 101 0 0\nwebsocket /first [1 1] [2 5]"},
		"WebSocket that looks like HTTP": {upgraded("websocket", Client("GET /not-http HTTP/1.1\r\nHost: api.test\r\n\r\n"), Server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")),
			"HTTP/1.1 0 GET /first 101 0 0"},
		"what nobody knows": {upgraded("gopher", Client("GET /not-http HTTP/1.1\r\nHost: api.test\r\n\r\n"), Server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")),
			"HTTP/1.1 0 GET /first 101 0 0"},
		"a tunnel to HTTP/2": {[]Step{Client("CONNECT inner:80 HTTP/1.1\r\nHost: inner:80\r\n\r\n"), Server("HTTP/1.1 200 OK\r\n\r\n"),
			Client(hello + newPeer().request(1, true, "GET", "/inside").take()), Server(settings + newPeer().answer(1, true, 200).take())},
			"HTTP/1.1 0 CONNECT inner:80 200 0 0\nHTTP/2 1 GET /inside 200 0 0"},
	} {
		for _, size := range []int{1, 13, 1460} {
			r, n := read(Wire{Size: size}.Frames(tt.steps...))
			if got := spoken(r); got != tt.want {
				t.Errorf("%s, segments of %d:\n%s\nwant\n%s", name, size, got, tt.want)
			}
			if n[capture.ConnectionsUpgraded] != 1 {
				t.Errorf("%s: %d changes counted", name, n[capture.ConnectionsUpgraded])
			}
		}
	}
}

// Connections from the middle of whose bytes nothing is known but their frames.
func TestSniffedMidway(t *testing.T) {
	found := 0
	for seed := range uint64(20) {
		steps := busy(seed, 60)
		whole, _ := read(Wire{}.Frames(steps...))
		late, _ := read(Wire{Open: NoHandshake}.Frames(steps[len(steps)/3:]...))
		said := map[string]bool{}
		for i := range whole.Exchanges {
			x := &whole.Exchanges[i]
			said[fmt.Sprint(x.Stream, x.Method, x.Target, x.Status)] = true
		}
		for i := range late.Exchanges {
			x := &late.Exchanges[i]
			if !x.Request.Seen || x.Target == "" || x.Status == 0 {
				continue
			}
			if found++; !said[fmt.Sprint(x.Stream, x.Method, x.Target, x.Status)] {
				t.Errorf("seed %d: %s", seed, story(late.Exchanges[i:i+1]))
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d exchanges", found)
	}
}

// BenchmarkEngine is h2c from frames to exchanges.
func BenchmarkEngine(b *testing.B) {
	steps := busy(1, 400)
	frames := Wire{}.Frames(steps...)
	size := 0
	for i := range frames {
		size += len(frames[i].Data)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	var n uint64
	for b.Loop() {
		e := flow.New(flow.Options{Protocols: rows()}, silent{})
		for i := range frames {
			e.Frame(&frames[i])
		}
		e.Close()
		n += e.Counts()[capture.Exchanges]
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "exchanges/s")
}

type silent struct{}

func (silent) Exchange(*capture.Exchange)   {}
func (silent) Handshake(*capture.Handshake) {}
func (silent) WebSocket(*capture.WebSocket) {}
func (silent) Connection(*capture.Summary)  {}

// Plaintext from inside TLS comes as chunks, also from the middle of a connection.
func TestChunks(t *testing.T) {
	steps := busy(9, 30)
	whole, _ := read(Wire{}.Frames(steps...))
	for _, from := range []int{0, len(steps) / 2} {
		var r Recorder
		e := flow.New(flow.Options{Protocols: rows()}, &r)
		at := capture.Stamp{Time: Epoch}
		offset := [2]uint64{1000, 5000}
		for _, s := range steps[from:] {
			at.Time = at.Time.Add(Tick)
			e.Chunk(&capture.Chunk{Stamp: at, Conn: capture.Conn{ID: 7, Encrypted: true, Midstream: true}, Dir: s.Dir, Offset: offset[s.Dir], Data: []byte(s.Data)})
			offset[s.Dir] += uint64(len(s.Data))
		}
		e.Close()
		if from == 0 {
			if got, want := spoken(&r), spoken(whole); got != want {
				t.Errorf("from the start:\n%s\nwant\n%s", got, want)
			}
		} else if len(r.Exchanges) < 10 {
			t.Errorf("from the middle: only %d exchanges", len(r.Exchanges))
		}
		if len(r.Exchanges) > 0 && !r.Exchanges[0].Conn.Encrypted {
			t.Error("it was inside TLS")
		}
	}
}
