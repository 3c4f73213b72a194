package http1

import (
	"strings"
	"testing"

	"plainsight/capture"
	"plainsight/capture/capturetest"
)

// A parser that only counts gives the same exchanges with the same sizes, and no
// bodies.
func TestBodiesThatAreOnlyCounted(t *testing.T) {
	steps := []capturetest.Step{
		capturetest.Client("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
		capturetest.Server("HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + strings.Repeat("x", 2000)),
		capturetest.Client("GET /b HTTP/1.1\r\nHost: a\r\n\r\n"),
		capturetest.Server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
		capturetest.Client("GET /c HTTP/1.1\r\nHost: a\r\n\r\n"),
		capturetest.Server("HTTP/1.1 200 OK\r\n\r\nuntil the end"),
		capturetest.End(capture.ToServer), capturetest.End(capture.ToClient),
	}
	for cut := range 9 {
		var r capturetest.Recorder
		var n capture.Counts
		capturetest.Play(Protocol(Options{CountOnly: true, Body: 100}).New(&capture.Conn{}, &r, &n), cut, steps...)
		want := []struct{ sent, response, decoded int64 }{{5, 2000, 2000}, {0, 3, 0}, {0, 13, 13}}
		if len(r.Exchanges) != len(want) {
			t.Fatalf("cut at %d: %d exchanges, want %d", cut, len(r.Exchanges), len(want))
		}
		for i, x := range r.Exchanges {
			w, q, p := want[i], &x.Request, &x.Response
			if q.BodySize != w.sent || p.BodySize != w.response || p.DecodedSize != w.decoded {
				t.Errorf("cut at %d, %s: %d, %d (decoded %d) bytes, want %+v", cut, x.Target, q.BodySize, p.BodySize, p.DecodedSize, w)
			}
			if len(q.Body)+len(p.Body) > 0 || q.Flaws|p.Flaws != 0 || q.Truncated || p.Truncated {
				t.Errorf("cut at %d, %s: a body of %d bytes, flaws %v %v", cut, x.Target, len(p.Body), q.Flaws, p.Flaws)
			}
		}
		if n[capture.BodiesTruncated]+n[capture.BodiesUndecoded] != 0 {
			t.Errorf("cut at %d: bodies that nobody wanted count as truncated or undecoded", cut)
		}
	}
}
