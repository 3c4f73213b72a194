package http1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"plainsight/capture"
	"plainsight/capture/capturetest"
)

// seeds are the two directions of the conversations in testdata.
func seeds(f *testing.F) (pairs [][2]string) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var pair [2]string
		for _, part := range archive.Files {
			switch part.Name {
			case "client":
				pair[0] += turn(f, string(part.Data))
			case "server":
				pair[1] += turn(f, string(part.Data))
			}
		}
		pairs = append(pairs, pair)
	}
	return pairs
}

// FuzzConversation plays any bytes as a conversation. However it is cut, the
// story is the same; nothing is kept behind its end; all is counted.
func FuzzConversation(f *testing.F) {
	for i, s := range seeds(f) {
		f.Add(s[0], s[1], 1+i%7, i, false)
		f.Add(s[0], s[1], 3, i*5, true)
	}
	f.Fuzz(func(t *testing.T, up, down string, cut, lost int, midstream bool) {
		lost = max(0, lost) % (len(down) + 1)
		steps := []capturetest.Step{
			capturetest.Client(up), capturetest.Server(down[:lost]), capturetest.Lost(capture.ToClient, lost%50),
			capturetest.Server(down[lost:]), capturetest.Client(up), capturetest.End(capture.ToServer),
		}
		o := Options{Head: 4 << 10, Body: 8 << 10, Pipeline: 8, Hold: 1 << 10, Memory: 1 << 20}
		var whole string
		for i, c := range []int{0, min(max(cut, 1), 100)} {
			var r capturetest.Recorder
			var n capture.Counts
			p := Protocol(o).New(&capture.Conn{Midstream: midstream}, &r, &n).(*parser)
			capturetest.Play(p, c, steps...)
			if out := p.Out(); out != 0 {
				t.Fatalf("%d bytes are out", out)
			}
			if n[capture.Exchanges] != uint64(len(r.Exchanges)) {
				t.Fatalf("%d exchanges counted, %d handed out", n[capture.Exchanges], len(r.Exchanges))
			}
			for _, x := range r.Exchanges {
				if !x.Request.Seen && !x.Response.Seen {
					t.Fatal("an exchange of nothing")
				}
				if len(x.Request.Body) > 4<<20 || x.Request.BodySize > 2*int64(len(up)) || x.Response.BodySize > int64(len(down)) {
					t.Fatal("a body larger than what was sent")
				}
			}
			got := story(r.Exchanges)
			if i == 0 {
				whole = got
			} else if got != whole {
				t.Fatalf("in pieces of %d:\n%s\nwhole:\n%s", c, got, whole)
			}
		}
		for _, b := range []string{up, down} {
			sniff(capture.ToServer, []byte(b), midstream)
			sniff(capture.ToClient, []byte(b), midstream)
		}
	})
}

// FuzzRequests compares with net/http: where nothing is odd, it reads the same
// requests.
func FuzzRequests(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s[0])
	}
	f.Fuzz(func(t *testing.T, up string) {
		xs, _, n := converse(Options{}, capture.Conn{}, 0, capturetest.Client(up))
		if n[capture.ExchangesDiscarded] > 0 {
			return
		}
		r := bufio.NewReader(strings.NewReader(up))
		for i := range xs {
			x := &xs[i]
			const tolerated = capture.FlawUnanswered | capture.FlawHostMissing
			if x.Request.Flaws&^tolerated != 0 || x.Method == "CONNECT" || len(x.Request.Trailer) > 0 {
				return
			}
			skipEmptyLines(r)
			q, err := http.ReadRequest(r)
			if err != nil {
				if x.Request.Flaws != capture.FlawUnanswered || stricter(x) {
					return
				}
				t.Fatalf("net/http refuses request %d: %v\n%s", i, err, story(xs))
			}
			body, err := io.ReadAll(q.Body)
			if err != nil {
				if strings.Contains(err.Error(), "chunk") || strings.Contains(err.Error(), "malformed") {
					return // it bounds what stands around chunks
				}
				t.Fatalf("net/http refuses the body of request %d: %v\n%s", i, err, story(xs))
			}
			headers := 0
			for _, f := range x.Request.Headers {
				if !strings.EqualFold(f.Name, "host") && !strings.EqualFold(f.Name, "transfer-encoding") {
					headers++
				}
			}
			for _, values := range q.Header {
				headers -= len(values)
			}
			if q.Method != x.Method || q.RequestURI != x.Target || q.Proto != string(x.Request.Proto) || headers != 0 ||
				!bytes.Equal(body, x.Request.Body) && !strings.Contains(strings.ToLower(fmt.Sprint(x.Request.Headers)), "encoding") {
				t.Fatalf("request %d: net/http reads %s %s %s, %d headers more, body %q;\n%s", i, q.Method, q.RequestURI, q.Proto, -headers, body, story(xs))
			}
		}
	})
}

// stricter says that net/http may refuse what we do not mark: it parses targets
// as URLs, hosts and header values more narrowly.
func stricter(x *capturetest.Exchange) bool {
	if strings.ContainsAny(x.Target, "%:[]#\\") || x.Target[0] != '/' || x.Request.Proto != capture.HTTP11 && x.Request.Proto != capture.HTTP10 {
		return true
	}
	for _, f := range x.Request.Headers {
		switch strings.ToLower(f.Name) {
		case "host", "content-length", "transfer-encoding", "trailer":
			return true
		}
	}
	return false
}

func skipEmptyLines(r *bufio.Reader) {
	for {
		b, err := r.Peek(1)
		if err != nil || b[0] != '\r' && b[0] != '\n' {
			return
		}
		r.Discard(1)
	}
}

// FuzzResponse compares with net/http: where nothing is odd, it reads the same
// response to a GET.
func FuzzResponse(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s[1])
	}
	f.Fuzz(func(t *testing.T, down string) {
		xs, _, n := converse(Options{}, capture.Conn{}, 0, capturetest.Client("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
			capturetest.Server(down), capturetest.End(capture.ToClient))
		if n[capture.ExchangesDiscarded] > 0 || len(xs) != 1 || !xs[0].Response.Seen || xs[0].Response.Flaws != 0 || len(xs[0].Interim) > 0 || xs[0].Status == 101 {
			return
		}
		x := &xs[0]
		r := bufio.NewReader(strings.NewReader(down))
		skipEmptyLines(r)
		q, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("net/http refuses: %v\n%s", err, story(xs))
		}
		body, err := io.ReadAll(q.Body)
		if err != nil || len(x.Response.Trailer) > 0 {
			return
		}
		if q.StatusCode != x.Status || q.Proto != string(x.Response.Proto) || int64(len(body)) != x.Response.BodySize {
			t.Fatalf("net/http reads %s %d, body %q;\n%s", q.Proto, q.StatusCode, body, story(xs))
		}
	})
}
