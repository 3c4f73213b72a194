package flow

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"plainsight/capture"
	"plainsight/capture/capturetest"
	"plainsight/capture/http1"
)

// shop is a conversation in HTTP/1.1 with most of its framings.
func shop() []capturetest.Step {
	body := strings.Repeat("0123456789abcdef", 300)
	return []capturetest.Step{
		capturetest.Client("GET /orders/17 HTTP/1.1\r\nHost: shop.example\r\n\r\n"),
		capturetest.Server(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(body), body)),
		capturetest.Client("POST /orders HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n"),
		capturetest.Server("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
		capturetest.Client("HEAD /a HTTP/1.1\r\nHost: shop.example\r\n\r\nGET /b HTTP/1.1\r\nHost: shop.example\r\n\r\nGET /c HTTP/1.1\r\nHost: shop.example\r\n\r\n"),
		capturetest.Server("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"),
		capturetest.Server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
		capturetest.Client("GET /rest HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n"),
		capturetest.Server("HTTP/1.1 200 OK\r\n\r\nuntil the end"),
	}
}

// exchanges are what a recorder heard without its times and its connection.
func exchanges(r *capturetest.Recorder) []capturetest.Exchange {
	var xs []capturetest.Exchange
	for _, x := range r.Exchanges {
		x.Conn = capture.Conn{}
		for _, m := range []*capturetest.Message{&x.Request, &x.Response} {
			m.Start, m.End = capture.Stamp{}, capture.Stamp{}
		}
		xs = append(xs, x)
	}
	return xs
}

func TestHTTPInEveryVariant(t *testing.T) {
	o := Options{Protocols: []capture.Protocol{http1.Protocol(http1.Options{})}}
	var want []capturetest.Exchange
	for _, v := range capturetest.Variants() {
		t.Run(v.Name, func(t *testing.T) {
			r, _ := read(t, o, v.Frames(shop()...))
			got := exchanges(r)
			if want == nil {
				want = got
				var said []string
				for _, x := range got {
					said = append(said, fmt.Sprint(x.Method, x.Target, x.Status, len(x.Request.Body), len(x.Response.Body)))
				}
				if s := strings.Join(said, " "); s != "GET/orders/17200 0 4800 POST/orders201 11 0 HEAD/a200 0 0 GET/b304 0 0 GET/c200 0 3 GET/rest200 0 13" {
					t.Fatal(s)
				}
			}
			if !v.Keeps {
				return
			}
			if len(got) != len(want) {
				t.Fatalf("%d exchanges, not %d", len(got), len(want))
			}
			for i := range want {
				if !reflect.DeepEqual(got[i], want[i]) {
					t.Errorf("exchange %d is not the same:\n%.900s\n%.900s", i, fmt.Sprintf("%+v", got[i]), fmt.Sprintf("%+v", want[i]))
				}
			}
		})
	}
}

// A tunnel that carries HTTP again shows what is inside.
func TestHTTPInsideATunnel(t *testing.T) {
	o := Options{Protocols: []capture.Protocol{http1.Protocol(http1.Options{})}}
	steps := []capturetest.Step{
		capturetest.Client("CONNECT inner.example:80 HTTP/1.1\r\nHost: inner.example:80\r\n\r\n"),
		capturetest.Server("HTTP/1.1 200 Connection established\r\n\r\n"),
		capturetest.Client("GET /inside HTTP/1.1\r\nHost: inner.example\r\n\r\n"),
		capturetest.Server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
	}
	early := []capturetest.Step{ // the client does not wait
		capturetest.Client(steps[0].Data + steps[2].Data), capturetest.Server(steps[1].Data + steps[3].Data),
	}
	for _, steps := range [][]capturetest.Step{steps, early} {
		for _, size := range []int{1, 10, 1460} {
			r, _ := read(t, o, capturetest.Wire{Size: size}.Frames(steps...))
			var said []string
			for _, x := range r.Exchanges {
				said = append(said, fmt.Sprint(x.Method, " ", x.Target, " ", x.Status))
			}
			if s := strings.Join(said, ", "); s != "CONNECT inner.example:80 200, GET /inside 200" {
				t.Errorf("size %d: %s", size, s)
			}
		}
	}
}
