package http2

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"plainsight/capture"
	. "plainsight/capture/capturetest"
)

func zipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

func TestConversations(t *testing.T) {
	t.Run("two streams at once, answered out of order", func(t *testing.T) {
		c, s := newPeer().start(true), newPeer().start(false)
		c.request(1, false, "POST", "/a", "content-type", "text/plain", "content-length", "8").request(3, true, "GET", "/b?x=1")
		first := c.data(1, false, "some").take()
		check(t, capture.Conn{}, `
		3
		> GET /b?x=1 for shop.test http
		< 200
		<   content-type: "text/plain"
		<   body of 2: "ok"
		1
		> POST /a for shop.test http
		>   content-type: "text/plain"
		>   content-length: "8"
		>   body of 8: "some lie"
		< 204
		`, Client(first), Server(s.answer(3, false, 200, "content-type", "text/plain").data(3, true, "ok").take()),
			Client(c.data(1, true, " lie").take()), Server(s.answer(1, true, 204).take()))
	})

	t.Run("padding, priorities, continuations, trailers, interim answers, unknown frames", func(t *testing.T) {
		c, s := newPeer().start(true), newPeer().start(false)
		block := c.block(":method", "PUT", ":scheme", "http", ":authority", "shop.test", ":path", "/p", "cookie", "a=b")
		must(c.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:3], PadLength: 9, Priority: http2.PriorityParam{StreamDep: 0, Weight: 7}}))
		must(c.fr.WriteContinuation(1, false, block[3:5]))
		must(c.fr.WriteContinuation(1, true, block[5:]))
		must(c.fr.WriteRawFrame(0x77, 0xff, 1, []byte("whatever")))
		must(c.fr.WriteDataPadded(1, false, []byte("body"), make([]byte, 200)))
		must(c.fr.WritePing(false, [8]byte{1}))
		must(c.fr.WriteWindowUpdate(0, 77))
		c.headers(1, true, "x-sum", "9")
		s.answer(1, false, 100).answer(1, false, 103, "link", "x").answer(1, false, 200).data(1, false, "o").data(1, false, "").data(1, false, "k").headers(1, true, "x-end", "yes")
		must(s.fr.WriteSettingsAck())
		n := check(t, capture.Conn{}, `
		1
		> PUT /p for shop.test http
		>   cookie: "a=b"
		>   trailer x-sum: "9"
		>   body of 4: "body"
		< (100)
		< (103)
		< 200
		<   trailer x-end: "yes"
		<   body of 2: "ok"
		`, Client(c.take()), Server(s.take()))
		if n[capture.HTTP2FramesInvalid] != 0 {
			t.Errorf("%d invalid frames", n[capture.HTTP2FramesInvalid])
		}
	})

	t.Run("codings", func(t *testing.T) {
		c, s := newPeer().start(true), newPeer().start(false)
		body := zipped(strings.Repeat("json ", 40))
		n := len(body)
		check(t, capture.Conn{}, fmt.Sprintf(`
		1
		> GET / for shop.test http
		< 200
		<   content-encoding: "gzip"
		<   body of %d: "json json json json json json …"
		<   decoded: 200
		`, n), Client(c.request(1, true, "GET", "/").take()),
			Server(s.answer(1, false, 200, "content-encoding", "gzip").data(1, false, body[:20]).data(1, true, body[20:]).take()))
	})

	t.Run("resets, going away, the end", func(t *testing.T) {
		c, s := newPeer().start(true), newPeer().start(false)
		c.request(1, true, "GET", "/1").request(3, true, "GET", "/3").request(5, false, "POST", "/5").request(7, true, "GET", "/7").request(9, true, "GET", "/9")
		c.data(5, false, "so far")
		must(c.fr.WriteRSTStream(1, http2.ErrCodeCancel))
		s.answer(3, false, 200).data(3, false, "half")
		must(s.fr.WriteRSTStream(3, http2.ErrCodeInternal))
		must(s.fr.WriteGoAway(7, http2.ErrCodeNo, []byte("bye")))
		s.answer(7, false, 200).data(7, false, "never")
		n := check(t, capture.Conn{}, `
		1
		> GET /1 for shop.test http
		>   flaws: unanswered reset
		3
		> GET /3 for shop.test http
		< 200
		<   body of 4: "half"
		<   flaws: cut reset
		9
		> GET /9 for shop.test http
		>   flaws: unanswered
		5
		> POST /5 for shop.test http
		>   body of 6: "so far"
		>   flaws: cut unanswered
		7
		> GET /7 for shop.test http
		< 200
		<   body of 5: "never"
		<   flaws: cut
		`, Client(c.take()), Server(s.take()))
		if n[capture.HTTP2Resets] != 2 {
			t.Errorf("%d resets", n[capture.HTTP2Resets])
		}
	})

	t.Run("a push", func(t *testing.T) {
		c, s := newPeer().start(true), newPeer().start(false)
		must(s.fr.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true,
			BlockFragment: s.block(":method", "GET", ":scheme", "http", ":authority", "shop.test", ":path", "/style.css")}))
		s.answer(1, true, 200).answer(2, false, 200).data(2, true, "css")
		check(t, capture.Conn{}, `
		1
		> GET / for shop.test http
		< 200
		2 pushed
		> GET /style.css for shop.test http
		< 200
		<   body of 3: "css"
		`, Client(c.request(1, true, "GET", "/").take()), Server(s.take()))
	})

	t.Run("the answer is captured before the request", func(t *testing.T) {
		c, s := newPeer().start(true), newPeer().start(false)
		check(t, capture.Conn{}, `
		1
		> GET /late for shop.test http
		< 200
		<   body of 2: "ok"
		`, Server(s.answer(1, false, 200).data(1, true, "ok").take()), Client(c.request(1, true, "GET", "/late").take()))
	})

	t.Run("one side only", func(t *testing.T) {
		c, s := newPeer().start(true), newPeer().start(false)
		check(t, capture.Conn{}, `
		1
		> GET / for shop.test http
		>   flaws: unanswered
		`, Client(c.request(1, true, "GET", "/").take()))
		check(t, capture.Conn{}, `
		1
		< 200
		3
		< 404
		`, Server(s.answer(1, true, 200).answer(3, true, 404).take()))
	})

	t.Run("what smuggles", func(t *testing.T) {
		c, s := newPeer().start(true), newPeer().start(false)
		c.request(1, false, "POST", "/cl", "content-length", "9").data(1, true, "0")
		c.request(3, true, "GET", "/te", "transfer-encoding", "chunked", "host", "other.test", "x", "a\r\nb")
		check(t, capture.Conn{}, `
		1
		> POST /cl for shop.test http
		>   content-length: "9"
		>   body of 1: "0"
		>   flaws: length_mismatch
		< 200
		3
		> GET /te for shop.test http
		>   transfer-encoding: "chunked"
		>   host: "other.test"
		>   x: "a\r\nb"
		>   flaws: transfer_encoding bare_lf bare_cr header_invalid host_ambiguous
		< 200
		`, Client(c.take()), Server(s.answer(1, true, 200).answer(3, true, 200).take()))
	})
}

func TestGRPC(t *testing.T) {
	message := func(flag byte, s string) string { return string([]byte{flag, 0, 0, 0, byte(len(s))}) + s }
	c, s := newPeer().start(true), newPeer().start(false)
	c.request(1, false, "POST", "/shop.Cart/Add", "content-type", "application/grpc+proto", "te", "trailers")
	c.data(1, false, message(0, "one")+message(1, "two!")[:3]).data(1, true, message(1, "two!")[3:]+message(0, ""))
	s.answer(1, false, 200, "content-type", "application/grpc").data(1, false, message(0, "answer")).headers(1, true, "grpc-status", "5", "grpc-message", "not%20here")
	c.request(3, true, "POST", "/shop.Cart/Get", "content-type", "application/grpc")
	s.answer(3, true, 200, "content-type", "application/grpc", "grpc-status", "12") // trailers only
	c.request(5, false, "POST", "/shop.Cart/Lie", "content-type", "application/grpc").data(5, true, "\x00\xff\xff\xff\xffabc")
	s.answer(5, true, 200)
	n := check(t, capture.Conn{}, `
	1
	> POST /shop.Cart/Add for shop.test http
	>   content-type: "application/grpc+proto"
	>   te: "trailers"
	>   body of 22: "\x00\x00\x00\x00\x03one\x01\x00\x00\x00\x04two!\x00\x00\x00\x00\x00"
	< 200
	<   content-type: "application/grpc"
	<   trailer grpc-status: "5"
	<   trailer grpc-message: "not%20here"
	<   body of 11: "\x00\x00\x00\x00\x06answer"
	  gRPC > 3 of 7 < 1 of 6, 1 and 0 compressed, status 5 not%20here
	3
	> POST /shop.Cart/Get for shop.test http
	>   content-type: "application/grpc"
	< 200
	<   content-type: "application/grpc"
	<   grpc-status: "12"
	  gRPC > 0 of 0 < 0 of 0, 0 and 0 compressed, status 12 
	5
	> POST /shop.Cart/Lie for shop.test http
	>   content-type: "application/grpc"
	>   body of 8: "\x00\xff\xff\xff\xffabc"
	>   flaws: grpc
	< 200
	  gRPC > 1 of 3 < 0 of 0, 0 and 0 compressed, status -1 
	`, Client(c.take()), Server(s.take()))
	if n[capture.GRPCCalls] != 3 || n[capture.GRPCMessages] != 5 {
		t.Errorf("%d calls, %d messages", n[capture.GRPCCalls], n[capture.GRPCMessages])
	}
}

func TestUpgradedFromHTTP1(t *testing.T) {
	var r Recorder
	var n capture.Counts
	p := Protocol(Options{}).New(&capture.Conn{}, &r, &n)
	p.(capture.Heir).Inherit(&capture.Upgrade{Method: "GET", Target: "/up", Authority: "shop.test"})
	c, s := newPeer().start(true), newPeer().start(false)
	Play(p, 5, Server(s.answer(1, false, 200).data(1, true, "up").take()), Client(c.request(3, true, "GET", "/next").take()), Server(s.answer(3, true, 204).take()))
	if got, want := story(r.Exchanges), "1\n> GET /up for shop.test \n< 200\n<   body of 2: \"up\"\n3\n> GET /next for shop.test http\n< 204\n"; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestAnUpgradeThatLeadsNowhereIsNoStream(t *testing.T) {
	var r Recorder
	var n capture.Counts
	p := Protocol(Options{}).New(&capture.Conn{}, &r, &n)
	p.(capture.Heir).Inherit(&capture.Upgrade{Method: "GET", Target: "/up", Authority: "shop.test"})
	Play(p, 3, Server("bodyproto, which is no frame of HTTP/2 at all"))
	if got := story(r.Exchanges); got != "" {
		t.Errorf("made up: %s", got)
	}
}

// busy is a connection of n requests with their answers, in turns of some streams,
// and what it says when all is seen.
func busy(seed uint64, n int) []Step {
	r := rand.New(rand.NewPCG(seed, 2))
	c, s := newPeer().start(true), newPeer().start(false)
	steps := []Step{Client(c.take()), Server(s.take())}
	for i := 0; i < n; {
		turn := 1 + r.IntN(4)
		for j := range turn {
			id := uint32(2*(i+j) + 1)
			body := r.IntN(2) == 0
			c.request(id, !body, []string{"GET", "POST", "PATCH"}[r.IntN(3)], fmt.Sprintf("/thing/%d", r.IntN(20)), "authorization", fmt.Sprint("Bearer ", r.IntN(5)), "x-request", fmt.Sprint(r.IntN(1e6)))
			if body {
				c.data(id, true, strings.Repeat("b", r.IntN(3000)))
			}
		}
		steps = append(steps, Client(c.take()))
		for j := range turn {
			id := uint32(2*(i+j) + 1)
			s.answer(id, false, []int{200, 201, 404, 503}[r.IntN(4)], "server", "x", "etag", fmt.Sprint(r.IntN(1e6)))
			s.data(id, false, strings.Repeat("a", r.IntN(2000))).data(id, true, "end")
		}
		steps = append(steps, Server(s.take()))
		i += turn
	}
	return steps
}

// short is what identifies an exchange.
func short(x *Exchange) string {
	return fmt.Sprint(x.Stream, x.Method, x.Target, x.Authority, x.Status)
}

// Whatever is lost, nothing is invented: what is reported was said, or a part of
// it; and after the loss it goes on.
func TestGapsInventNothing(t *testing.T) {
	for seed := range uint64(60) {
		steps := busy(seed, 40)
		whole, _, _ := converse(Options{}, capture.Conn{}, 0, steps...)
		said := map[uint32]*Exchange{}
		for i := range whole {
			said[whole[i].Stream] = &whole[i]
		}
		r := rand.New(rand.NewPCG(seed, 3))
		var lossy []Step
		for _, s := range steps {
			// As packets get lost: in segments.
			for b := s.Data; len(b) > 0; {
				n := min(len(b), 1+r.IntN(1400))
				if r.IntN(12) == 0 {
					lossy = append(lossy, Lost(s.Dir, n))
				} else {
					lossy = append(lossy, Step{Dir: s.Dir, Data: b[:n]})
				}
				b = b[n:]
			}
		}
		got, _, n := converse(Options{}, capture.Conn{}, 0, lossy...)
		seen := map[uint32]bool{}
		for i := range got {
			x := &got[i]
			w := said[x.Stream]
			if w == nil || seen[x.Stream] {
				t.Fatalf("seed %d: stream %d was not there, or twice: %s", seed, x.Stream, story(got[i:i+1]))
			}
			seen[x.Stream] = true
			if x.Request.Seen && (x.Method != w.Method || x.Target != "" && x.Target != w.Target || x.Authority != "" && x.Authority != w.Authority) ||
				x.Status != 0 && x.Status != w.Status {
				t.Errorf("seed %d: %s, want %s", seed, short(x), short(w))
			}
			for _, m := range [...]struct{ got, want *Message }{{&x.Request, &w.Request}, {&x.Response, &w.Response}} {
				for _, f := range m.got.Headers {
					if !slices.Contains(m.want.Headers, f) {
						t.Errorf("seed %d, stream %d: %q was not sent", seed, x.Stream, f)
					}
				}
				if m.got.BodySize > m.want.BodySize || !m.got.Truncated && m.got.Seen && m.got.BodySize != m.want.BodySize {
					t.Errorf("seed %d, stream %d: body of %d, want %d; truncated %v", seed, x.Stream, m.got.BodySize, m.want.BodySize, m.got.Truncated)
				}
			}
		}
		if len(got) < len(whole)/3 {
			t.Errorf("seed %d: only %d of %d found; %d resyncs", seed, len(got), len(whole), n[capture.HTTP2Resyncs])
		}
	}
}

// A capture that begins anywhere finds its way in, and says only what was said.
func TestJoinedMidway(t *testing.T) {
	for seed := range uint64(40) {
		steps := busy(seed, 240)
		whole, _, _ := converse(Options{}, capture.Conn{}, 0, steps...)
		said := map[uint32]*Exchange{}
		for i := range whole {
			said[whole[i].Stream] = &whole[i]
		}
		r := rand.New(rand.NewPCG(seed, 4))
		late := slices.Clone(steps[len(steps)/4:])
		for i := range 2 { // in the middle of what both say
			late[i].Data = late[i].Data[r.IntN(len(late[i].Data)):]
		}
		got, _, _ := converse(Options{}, capture.Conn{Midstream: true}, 0, late...)
		good := 0
		for i := range got {
			x := &got[i]
			w := said[x.Stream]
			if w == nil || x.Request.Seen && (x.Method != w.Method || x.Target != "" && x.Target != w.Target) || x.Status != 0 && x.Status != w.Status {
				t.Fatalf("seed %d: %s", seed, story(got[i:i+1]))
			}
			if short(x) == short(w) {
				good++
			}
		}
		if len(got) < 150 || good < 20 {
			t.Errorf("seed %d: %d found, %d whole", seed, len(got), good)
		}
	}
}

func TestBounds(t *testing.T) {
	t.Run("streams without end", func(t *testing.T) {
		c := newPeer().start(true)
		for i := range uint32(3000) {
			c.request(2*i+1, false, "POST", "/")
		}
		var r Recorder
		var n capture.Counts
		p := Protocol(Options{Streams: 50}).New(&capture.Conn{}, &r, &n)
		b := []byte(c.take())
		if used, err := p.Data(capture.ToServer, b, capture.Stamp{}); used != len(b) || err != nil {
			t.Fatal(used, err)
		}
		if open := len(p.(*parser).streams); open != 50 || len(r.Exchanges) != 2950 || n[capture.HTTP2StreamLimit] != 2950 {
			t.Errorf("%d open, %d given up, %d counted", open, len(r.Exchanges), n[capture.HTTP2StreamLimit])
		}
	})
	t.Run("answers whose requests never come", func(t *testing.T) {
		s := newPeer().start(false)
		for i := range uint32(3000) {
			s.answer(2*i+1, true, 200)
		}
		var r Recorder
		var n capture.Counts
		p := Protocol(Options{Streams: 50}).New(&capture.Conn{}, &r, &n)
		p.Data(capture.ToClient, []byte(s.take()), capture.Stamp{})
		if open := len(p.(*parser).streams); open != 50 || len(r.Exchanges) != 2950 {
			t.Errorf("%d open, %d given up", open, len(r.Exchanges))
		}
	})
	t.Run("resets", func(t *testing.T) {
		c := newPeer().start(true)
		for i := range uint32(3000) {
			c.request(2*i+1, true, "GET", "/")
			must(c.fr.WriteRSTStream(2*i+1, http2.ErrCodeCancel))
		}
		xs, _, n := converse(Options{}, capture.Conn{}, 0, Client(c.take()))
		if len(xs) != 3000 || n[capture.HTTP2StreamLimit] != 3000-1024 {
			t.Errorf("%d exchanges, %d over the limit", len(xs), n[capture.HTTP2StreamLimit])
		}
	})
	t.Run("a header block without end", func(t *testing.T) {
		c, s := newPeer().start(true), newPeer().start(false)
		block := c.block(":method", "GET", ":scheme", "http", ":path", "/long", ":authority", "a")
		must(c.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndStream: true}))
		for range 500 {
			must(c.fr.WriteContinuation(1, false, c.block("x", strings.Repeat("x", 1000))))
		}
		must(c.fr.WriteContinuation(1, true, nil))
		c.request(3, true, "GET", "/")
		xs, _, n := converse(Options{Head: 4000}, capture.Conn{}, 0, Client(c.take()), Server(s.answer(1, true, 431).take()))
		if n[capture.HTTP2HeaderLimit] != 1 || len(xs) != 2 || xs[0].Target != "/long" || xs[0].Status != 431 || xs[0].Request.Flaws&capture.FlawHeadLimit == 0 {
			t.Errorf("%d limits:\n%s", n[capture.HTTP2HeaderLimit], story(xs))
		}
	})
	t.Run("a body over the budget", func(t *testing.T) {
		c := newPeer().start(true)
		c.request(1, false, "PUT", "/")
		for range 100 {
			c.data(1, false, strings.Repeat("x", 1000))
		}
		xs, _, _ := converse(Options{Body: 5000}, capture.Conn{}, 0, Client(c.data(1, true, "").take()))
		if m := &xs[0].Request; m.BodySize != 100000 || len(m.Body) != 5000 || !m.Truncated || m.Flaws&capture.FlawBodyLimit == 0 {
			t.Errorf("%d of %d bytes, %v", len(m.Body), m.BodySize, m.Flaws.Names())
		}
	})
	t.Run("memory of all tables", func(t *testing.T) {
		c := newPeer().start(true)
		proto := Protocol(Options{Tables: 4096})
		var r Recorder
		var n capture.Counts
		b := []byte(c.request(1, true, "GET", "/", "x", strings.Repeat("y", 1500)).request(3, true, "GET", "/", "x", strings.Repeat("y", 1500)).take())
		var all []capture.Parser
		for range 10 {
			p := proto.New(&capture.Conn{}, &r, &n)
			p.Data(capture.ToServer, b, capture.Stamp{})
			all = append(all, p)
		}
		tables := &all[0].(*parser).tables
		if out := tables.out.Load(); out > 4096 || n[capture.HPACKStateLost] == 0 {
			t.Errorf("%d bytes of tables, state lost %d times", out, n[capture.HPACKStateLost])
		}
		for _, p := range all {
			p.End(capture.ToServer, false, capture.Stamp{})
			p.End(capture.ToClient, false, capture.Stamp{})
		}
		if out := tables.out.Load(); out != 0 {
			t.Errorf("%d bytes of tables are left", out)
		}
	})
}

func TestWhoeverSpeaksSomethingElse(t *testing.T) {
	c := newPeer().start(true).request(1, true, "GET", "/").take()
	xs, played, _ := converse(Options{}, capture.Conn{}, 0, Client(c), Server("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"))
	if played.Err[capture.ToClient] != capture.ErrOpaque || len(xs) != 1 || xs[0].Status != 0 {
		t.Errorf("%v\n%s", played.Err, story(xs))
	}
}

func TestSniff(t *testing.T) {
	c, s := newPeer().start(true), newPeer().start(false)
	hello, settings := c.take(), s.take()
	request := c.request(5, true, "GET", "/x", "x-y", "z").take()
	answer := s.answer(5, false, 200, "etag", "q").data(5, true, "body").take()
	binary := string([]byte{0, 0, 4, 8, 0, 0, 0, 1, 0}) + strings.Repeat("\x00\x01", 600) // a length of 1032 and so on
	for name, c := range map[string]struct {
		d         capture.Dir
		b         string
		midstream bool
		want      capture.Verdict
	}{
		"a preface":                     {capture.ToServer, hello, false, capture.Yes},
		"half of it":                    {capture.ToServer, hello[:8], false, capture.Maybe},
		"a server's settings":           {capture.ToClient, settings, false, capture.Yes},
		"half of them":                  {capture.ToClient, settings[:11], false, capture.Maybe},
		"a request in the middle":       {capture.ToServer, request, true, capture.Yes},
		"the same from a server":        {capture.ToClient, request, true, capture.No},
		"an answer in the middle":       {capture.ToClient, answer, true, capture.Yes},
		"a request at the start":        {capture.ToServer, request, false, capture.No},
		"a line of HTTP/1":              {capture.ToServer, "GET / HTTP/1.1\r\n\r\n", true, capture.No},
		"POST":                          {capture.ToServer, "P", false, capture.Maybe},
		"POST /":                        {capture.ToServer, "POST / HTTP/1.1\r\n", false, capture.No},
		"a TLS hello":                   {capture.ToServer, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", true, capture.No},
		"a length of four bytes, later": {capture.ToServer, binary, true, capture.No},
		"nothing but zeros":             {capture.ToServer, strings.Repeat("\x00", 100), true, capture.No},
	} {
		if got := sniff(c.d, []byte(c.b), c.midstream); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

type nobody struct{ capture.Handler }

func (nobody) Exchange(*capture.Exchange) {}

// exchange is the bytes of requests and answers that can be repeated: their
// header blocks do not change the tables, their streams are numbered by renumber.
func exchange(n int) (client, server []byte) {
	c, s := newPeer(), newPeer()
	c.enc.SetMaxDynamicTableSize(0)
	s.enc.SetMaxDynamicTableSize(0)
	c.block(":method", "GET")
	s.block(":method", "GET")
	for i := range n {
		id := uint32(2*i + 1)
		c.request(id, false, "POST", "/thing/17", "content-type", "application/json", "authorization", "Bearer abc").data(id, true, `{"a":1}`)
		s.answer(id, false, 200, "content-type", "application/json", "server", "x").data(id, true, strings.Repeat(`{"k":"v"},`, 30))
	}
	return []byte(c.take()), []byte(s.take())
}

// renumber moves all streams on.
func renumber(b []byte, by uint32) {
	for len(b) > 0 {
		f := readHead(b)
		id := f.id + by
		b[5], b[6], b[7], b[8] = byte(id>>24), byte(id>>16), byte(id>>8), byte(id)
		b = b[frameHead+f.size:]
	}
}

func TestNoAllocations(t *testing.T) {
	if raced {
		t.Skip("pools forget under the race detector")
	}
	var n capture.Counts
	p := Protocol(Options{}).New(&capture.Conn{}, nobody{}, &n)
	c, s := newPeer().start(true), newPeer().start(false)
	p.Data(capture.ToServer, []byte(c.take()), capture.Stamp{})
	p.Data(capture.ToClient, []byte(s.take()), capture.Stamp{})
	client, server := exchange(20)
	turn := func() {
		p.Data(capture.ToServer, client, capture.Stamp{})
		p.Data(capture.ToClient, server, capture.Stamp{})
		renumber(client, 40)
		renumber(server, 40)
	}
	turn()
	if a := testing.AllocsPerRun(200, turn); a > 1 { // a pool may be emptied
		t.Errorf("%v allocations for 20 exchanges", a)
	}
	if n[capture.Exchanges] < 20*200 || n[capture.HTTP2FramesInvalid] > 0 {
		t.Errorf("%d exchanges, %d invalid frames", n[capture.Exchanges], n[capture.HTTP2FramesInvalid])
	}
}

func BenchmarkExchanges(b *testing.B) {
	var n capture.Counts
	p := Protocol(Options{}).New(&capture.Conn{}, nobody{}, &n)
	c, s := newPeer().start(true), newPeer().start(false)
	p.Data(capture.ToServer, []byte(c.take()), capture.Stamp{})
	p.Data(capture.ToClient, []byte(s.take()), capture.Stamp{})
	client, server := exchange(20)
	b.SetBytes(int64(len(client) + len(server)))
	b.ReportAllocs()
	for b.Loop() {
		p.Data(capture.ToServer, client, capture.Stamp{})
		p.Data(capture.ToClient, server, capture.Stamp{})
		renumber(client, 40)
		renumber(server, 40)
		if q := p.(*parser); q.last[0] > 1<<30 {
			renumber(client, ^q.last[0]&^1+2)
			renumber(server, ^q.last[0]&^1+2)
			q.last[0] = 0
		}
	}
	b.ReportMetric(float64(n[capture.Exchanges])/b.Elapsed().Seconds(), "exchanges/s")
}

func FuzzFrames(f *testing.F) {
	for seed := range uint64(3) {
		var c, s strings.Builder
		for _, st := range busy(seed, 5) {
			if st.Dir == capture.ToServer {
				c.WriteString(st.Data)
			} else {
				s.WriteString(st.Data)
			}
		}
		f.Add([]byte(c.String()), []byte(s.String()), uint16(seed*100), uint8(0), false)
		f.Add([]byte(c.String()), []byte(s.String()), uint16(13), uint8(40), true)
	}
	f.Fuzz(func(t *testing.T, c, s []byte, cut uint16, gap uint8, midstream bool) {
		steps := []Step{Client(string(c[:len(c)/2])), Server(string(s[:len(s)/2])), Lost(capture.ToServer, int(gap)),
			Client(string(c[len(c)/2:])), Lost(capture.ToClient, int(gap)/3), Server(string(s[len(s)/2:]))}
		o := Options{Head: 2000, Headers: 20, Table: 1000, Body: 3000, Streams: 8, Seek: 4000}
		whole, _, n := converse(o, capture.Conn{Midstream: midstream}, 0, steps...)
		if n[capture.Exchanges] != uint64(len(whole)) {
			t.Fatal("exchanges are not counted")
		}
		pieces, _, _ := converse(o, capture.Conn{Midstream: midstream}, 1+int(cut), steps...)
		if gap == 0 && !midstream { // where a frame is looked for depends on what is seen at once
			if a, b := story(whole), story(pieces); a != b {
				t.Fatalf("whole\n%s\npieces\n%s", a, b)
			}
		}
		for i := range whole {
			x := &whole[i]
			if x.Request.Seen && x.Method == "" || x.Response.Seen && x.Status == 0 || !x.Request.Seen && !x.Response.Seen {
				t.Fatalf("half of nothing:\n%s", story(whole[i:i+1]))
			}
			if len(x.Request.Body) > 3000 || len(x.Request.Headers) > 20 {
				t.Fatal("over a limit")
			}
		}
	})
}
