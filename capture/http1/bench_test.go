package http1

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"plainsight/capture"
	"plainsight/capture/capturetest"
)

type ignore struct{}

func (ignore) Exchange(*capture.Exchange)   {}
func (ignore) Handshake(*capture.Handshake) {}
func (ignore) WebSocket(*capture.WebSocket) {}
func (ignore) Connection(*capture.Summary)  {}

// typical is a request of a browser or a service and an answer with size bytes
// of JSON.
func typical(size int) (request, response []byte) {
	request = []byte("GET /api/v1/orders/8812?expand=items HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/130.0\r\n" +
		"Accept: application/json\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\nAuthorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2ln\r\n" +
		"Cookie: session=0123456789abcdef0123456789abcdef\r\nConnection: keep-alive\r\n\r\n")
	body := strings.Repeat(`{"id":8812,"name":"a thing","price":12.5},`, size/42+1)[:size]
	response = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"+
		"Connection: keep-alive\r\nVary: Accept-Encoding\r\nX-Request-Id: 0123456789abcdef\r\n\r\n%s", size, body)
	return request, response
}

func cut(b []byte, size int) (pieces [][]byte) {
	for len(b) > size {
		pieces = append(pieces, b[:size:size])
		b = b[size:]
	}
	return append(pieces, b)
}

func BenchmarkExchange(b *testing.B) {
	for _, c := range []struct{ body, segment int }{{200, 1448}, {2048, 1448}, {2048, 64 << 10}, {20 << 10, 1448}, {20 << 10, 64 << 10}, {1 << 20, 64 << 10}, {2048, 1}} {
		b.Run(fmt.Sprintf("body=%d/segment=%d", c.body, c.segment), func(b *testing.B) {
			request, response := typical(c.body)
			up, down := cut(request, c.segment), cut(response, c.segment)
			var n capture.Counts
			p := Protocol(Options{}).New(&capture.Conn{}, ignore{}, &n)
			at := capture.Stamp{Time: capturetest.Epoch}
			b.SetBytes(int64(len(request) + len(response)))
			b.ReportAllocs()
			for b.Loop() {
				for _, s := range up {
					p.Data(capture.ToServer, s, at)
				}
				for _, s := range down {
					p.Data(capture.ToClient, s, at)
				}
			}
			if n[capture.Exchanges] < uint64(b.N) {
				b.Fatal(n)
			}
		})
	}
}

func BenchmarkChunked(b *testing.B) {
	request, _ := typical(0)
	response := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" +
		strings.Repeat("200\r\n"+strings.Repeat("x", 512)+"\r\n", 16) + "0\r\n\r\n")
	var n capture.Counts
	p := Protocol(Options{}).New(&capture.Conn{}, ignore{}, &n)
	b.SetBytes(int64(len(request) + len(response)))
	b.ReportAllocs()
	for b.Loop() {
		p.Data(capture.ToServer, request, capture.Stamp{})
		p.Data(capture.ToClient, response, capture.Stamp{})
	}
}

// BenchmarkEndless feeds what never ends, in small segments: the time a byte
// takes does not grow with what came before.
func BenchmarkEndless(b *testing.B) {
	for _, c := range []struct{ name, start, more string }{
		{"line", "GET /", "aaaaaaaaaa"}, {"header", "GET / HTTP/1.1\r\nX: ", "aaaaaaaaaa"}, {"headers", "GET / HTTP/1.1\r\n", "a: bbbbb\r\n"},
		{"extension", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;", "aaaaaaaaaa"},
		{"trailer", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "a: bbbbb\r\n"},
		{"chunks", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n1\r\na"}, {"nothing", "\r\n", "\r\n\r\n\r\n\r\n\r\n"},
		{"pipeline", "", "GET / HTTP/1.1\r\n\r\n"}, {"garbage", "\x00", "no line, ever"}, {"lines", "\x00\n", "GET / no\r\nHTTP/1.1 no\r\n"},
	} {
		b.Run(c.name, func(b *testing.B) {
			var n capture.Counts
			p := Protocol(Options{}).New(&capture.Conn{Midstream: true}, ignore{}, &n)
			p.Data(capture.ToServer, []byte(c.start), capture.Stamp{})
			more := []byte(c.more)
			b.SetBytes(int64(len(more)))
			b.ReportAllocs()
			for b.Loop() {
				p.Data(capture.ToServer, more, capture.Stamp{})
			}
		})
	}
}

func TestAnExchangeDoesNotAllocate(t *testing.T) {
	if raced {
		t.Skip("pools forget under the race detector")
	}
	for _, segment := range []int{1, 100, 1448, 1 << 20} {
		request, response := typical(5000)
		response = append(response, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"...)
		request = bytes.Repeat(request, 2)
		up, down := cut(request, segment), cut(response, segment)
		var n capture.Counts
		p := Protocol(Options{}).New(&capture.Conn{}, ignore{}, &n)
		run := func() {
			for _, s := range up {
				p.Data(capture.ToServer, s, capture.Stamp{})
			}
			for _, s := range down {
				p.Data(capture.ToClient, s, capture.Stamp{})
			}
		}
		if got := testing.AllocsPerRun(100, run); got >= 1 {
			t.Errorf("segments of %d: %.1f allocations", segment, got)
		}
		if n[capture.Exchanges] < 200 {
			t.Errorf("segments of %d: %d exchanges", segment, n[capture.Exchanges])
		}
	}
}
