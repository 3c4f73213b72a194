package http1

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"

	"plainsight/capture"
	"plainsight/capture/capturetest"
	"plainsight/capture/coding"
)

// play is converse with the parser's memory checked: nothing is left out of the
// pool, and nothing in it.
func play(t *testing.T, o Options, steps ...capturetest.Step) ([]capturetest.Exchange, capture.Counts) {
	t.Helper()
	var r capturetest.Recorder
	var n capture.Counts
	p := Protocol(o).New(&capture.Conn{}, &r, &n).(*parser)
	capturetest.Play(p, 0, steps...)
	if out := p.Out(); out != 0 {
		t.Errorf("%d bytes are still out", out)
	}
	if !p.Clean() {
		t.Fatal("a pooled buffer holds what it held")
	}
	return r.Exchanges, n
}

func TestTheLimitOfAHead(t *testing.T) {
	o := Options{Head: 1000}
	long := strings.Repeat("a", 5000)
	xs, n := play(t, o, capturetest.Client("GET /"+long+" HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n"))
	if len(xs) != 1 || xs[0].Target != "/next" || n[capture.HeadLimitReached] != 1 {
		t.Errorf("request line: %s", story(xs))
	}
	xs, n = play(t, o, capturetest.Client("POST /x HTTP/1.1\r\nContent-Length: 3\r\nHost: a\r\nX: "+long+"\r\nY: 1\r\n\r\nabcGET /next HTTP/1.1\r\nHost: a\r\n\r\n"))
	if len(xs) != 2 || string(xs[0].Request.Body) != "abc" || xs[0].Request.Flaws&capture.FlawHeadLimit == 0 || !xs[0].Request.Truncated ||
		xs[0].Authority != "a" || xs[1].Target != "/next" || n[capture.HeadLimitReached] != 1 {
		t.Errorf("header: %s", story(xs))
	}
	xs, n = play(t, o, capturetest.Client("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "+long+"\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n"))
	if len(xs) != 2 || xs[0].Request.Flaws&capture.FlawHeadLimit == 0 || xs[1].Target != "/next" || n[capture.HeadLimitReached] != 1 {
		t.Errorf("trailer: %s", story(xs))
	}
	// An endless head ends with the capture.
	xs, n = play(t, o, capturetest.Client("GET / HTTP/1.1\r\nX: "+long), capturetest.Client(long), capturetest.Client(long))
	if len(xs) != 1 || xs[0].Request.Flaws&capture.FlawCut == 0 || n[capture.HeadLimitReached] != 1 {
		t.Errorf("endless: %s", story(xs))
	}
}

func TestTheLimitOfHeaders(t *testing.T) {
	xs, _ := play(t, Options{Headers: 3}, capturetest.Client("POST / HTTP/1.1\r\nHost: a\r\n"+strings.Repeat("X: 1\r\n", 10)+"Content-Length: 2\r\n\r\nok"))
	if len(xs) != 1 || len(xs[0].Request.Headers) != 3 || xs[0].Request.Flaws&capture.FlawHeadLimit == 0 || string(xs[0].Request.Body) != "ok" {
		t.Error(story(xs))
	}
}

func TestTheLimitOfABody(t *testing.T) {
	body := strings.Repeat("b", 5000)
	for _, response := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + body,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9c4\r\n" + body[:2500] + "\r\n9C4\r\n" + body[2500:] + "\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n" + body,
	} {
		xs, n := play(t, Options{Body: 1000}, capturetest.Client("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), capturetest.Server(response), capturetest.End(capture.ToClient))
		if len(xs) != 1 || n[capture.BodiesTruncated] != 1 {
			t.Fatal(story(xs))
		}
		m := &xs[0].Response
		if len(m.Body) != 1000 || m.BodySize != 5000 || m.DecodedSize != 5000 || !m.Truncated || m.Flaws&capture.FlawBodyLimit == 0 {
			t.Error(story(xs))
		}
	}
}

func TestTheLimitOfMemory(t *testing.T) {
	body := strings.Repeat("b", 200_000)
	xs, _ := play(t, Options{Memory: 20_000}, capturetest.Client("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n"+body))
	if len(xs) != 1 || len(xs[0].Request.Body) > 20_000 || xs[0].Request.BodySize != 200_000 || xs[0].Request.Flaws&capture.FlawBodyLimit == 0 {
		t.Errorf("%d exchanges", len(xs))
	}
	// A head for which there is no room is given up like one over the limit.
	xs, n := play(t, Options{Memory: 1000}, capturetest.Client("GET / HTTP/1.1\r\nX: "+body[:30_000]), capturetest.Client(body+"\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n"))
	if len(xs) != 2 || xs[1].Target != "/next" || n[capture.HeadLimitReached] != 1 {
		t.Error(story(xs))
	}
}

func TestTheLimitOfThePipeline(t *testing.T) {
	var requests, answers strings.Builder
	for i := range 20 {
		fmt.Fprintf(&requests, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
		fmt.Fprintf(&answers, "HTTP/1.1 200 %d\r\nContent-Length: 0\r\n\r\n", i)
	}
	xs, n := play(t, Options{Pipeline: 8}, capturetest.Client(requests.String()), capturetest.Server(answers.String()))
	if n[capture.PipelineLimitReached] != 12 || n[capture.ExchangesUnanswered] != 12 || n[capture.ExchangesResponseOnly] != 12 {
		t.Errorf("%d given up, %d exchanges", n[capture.PipelineLimitReached], len(xs))
	}
	for _, x := range xs {
		if x.Request.Seen && x.Response.Seen && x.Target != "/"+x.Reason {
			t.Errorf("%s is answered by the answer to /%s", x.Target, x.Reason)
		}
	}
}

func TestTheLimitOfHolding(t *testing.T) {
	long := strings.Repeat("GET /x HTTP/1.1\r\nHost: a\r\n\r\n", 1000)
	xs, _ := play(t, Options{Hold: 1000}, capturetest.Client("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), capturetest.Client(long), capturetest.Client(long),
		capturetest.Server("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"), capturetest.Client("GET /y HTTP/1.1\r\nHost: a\r\n\r\n"))
	if len(xs) != 2 || xs[0].Status != 403 || xs[1].Target != "/y" {
		t.Errorf("%.300s", story(xs))
	}
}

func TestInterimResponsesAreBounded(t *testing.T) {
	xs, _ := play(t, Options{}, capturetest.Client("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
		capturetest.Server(strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 1000)+"HTTP/1.1 204 No Content\r\n\r\n"))
	if len(xs) != 1 || len(xs[0].Interim) != 16 || xs[0].Status != 204 {
		t.Errorf("%.300s", story(xs))
	}
}

func TestABodyIsDecodedWithinItsBudget(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write(bytes.Repeat([]byte("{}"), 100_000))
	w.Close()
	response := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", packed.Len(), packed.String())
	get := capturetest.Client("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	for _, c := range []struct {
		o       Options
		data    string
		decoded int64
		flaws   capture.Flaw
		counter capture.Counter
	}{
		{Options{}, response, 200_000, 0, capture.Exchanges},
		{Options{Decode: coding.Options{Bytes: 5000}}, response, 5000, capture.FlawDecodeLimit, capture.DecodeLimitReached},
		{Options{}, strings.Replace(response, "gzip", "deflate", 1), int64(packed.Len()), capture.FlawDecode, capture.BodiesUndecoded},
		{Options{}, strings.Replace(response, "gzip", "lzma", 1), int64(packed.Len()), capture.FlawEncodingUnknown, capture.BodiesUndecoded},
	} {
		xs, n := play(t, c.o, get, capturetest.Server(c.data))
		if len(xs) != 1 {
			t.Fatal(story(xs))
		}
		m := &xs[0].Response
		if m.DecodedSize != c.decoded || int64(len(m.Body)) != c.decoded || m.Flaws != c.flaws || m.Truncated != (c.flaws != 0) ||
			m.BodySize != int64(packed.Len()) || n[c.counter] != 1 {
			t.Errorf("%d decoded, want %d; flaws %v, want %v; truncated %t", m.DecodedSize, c.decoded, m.Flaws.Names(), c.flaws.Names(), m.Truncated)
		}
	}
	// Cut in the middle: what is there is decoded.
	xs, _ := play(t, Options{}, get, capturetest.Server(response[:len(response)-packed.Len()/2]))
	if m := &xs[0].Response; m.Flaws != capture.FlawCut || m.DecodedSize < 1000 || !bytes.HasPrefix(m.Body, []byte("{}{}")) {
		t.Error(story(xs))
	}
}

// TestHandover: the byte at which another protocol begins, and what the client
// had said in it before the server agreed.
func TestHandover(t *testing.T) {
	ask := "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
	agree := "HTTP/1.1 101 Switching Protocols\r\n\r\n"
	for _, cut := range []int{0, 1, 7} {
		var r capturetest.Recorder
		var n capture.Counts
		p := Protocol(Options{}).New(&capture.Conn{}, &r, &n)
		played := capturetest.Play(p, cut, capturetest.Client(ask+"\x81\x80mask"), capturetest.Server(agree+"\x81\x00"))
		if played.Err[0] != capture.ErrHandover || played.Err[1] != capture.ErrHandover || len(r.Exchanges) != 1 || r.Exchanges[0].Status != 101 {
			t.Fatalf("in pieces of %d: %v, %s", cut, played.Err, story(r.Exchanges))
		}
		if used := played.Used[capture.ToClient]; used != int64(len(agree)) {
			t.Errorf("in pieces of %d: %d bytes of the server used, want %d", cut, used, len(agree))
		}
		early := p.(interface{ Leftover(capture.Dir) []byte }).Leftover(capture.ToServer)
		if string(early) != "\x81\x80mask" {
			t.Errorf("in pieces of %d: %q was early", cut, early)
		}
	}
}
