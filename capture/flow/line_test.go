package flow

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"plainsight/capture"
	"plainsight/capture/capturetest"
)

// lineProtocol is a protocol small enough to be read in a test: clients say
// lines that begin with '>', servers lines that begin with '<'. Each line is an
// exchange, the client's with a request, the server's with a response; a gap
// shows as '_'. Some lines do something:
//
//	>up / <up   another protocol speaks from here
//	>to NAME    the same, and it is agreed which
//	>noise      the rest of the direction is not understood
//	>boom       the parser panics
//
// It leaves what is no whole line unread.
func lineProtocol() capture.Protocol {
	return capture.Protocol{
		Name: "line",
		Sniff: func(d capture.Dir, b []byte, _ bool) capture.Verdict {
			const mark = "><"
			switch {
			case b[0] != mark[d]:
				return capture.No
			case len(b) < 3:
				return capture.Maybe
			}
			return capture.Yes
		},
		New: func(c *capture.Conn, h capture.Handler, n *capture.Counts) capture.Parser {
			return &lineParser{conn: c, handler: h}
		},
	}
}

type lineParser struct {
	conn    *capture.Conn
	handler capture.Handler
	ended   [2]bool
	next    capture.ProtocolName
}

func (p *lineParser) Successor() capture.ProtocolName { return p.next }

func (p *lineParser) Data(d capture.Dir, b []byte, at capture.Stamp) (int, error) {
	if p.ended[d] {
		panic("data after the end")
	}
	n := 0
	for {
		line, _, ok := bytes.Cut(b[n:], []byte("\n"))
		if !ok {
			return n, nil
		}
		n += len(line) + 1
		p.emit(d, line, at)
		if name, ok := bytes.CutPrefix(line, []byte(">to ")); ok {
			p.next = capture.ProtocolName(name)
			return n, capture.ErrHandover
		}
		switch string(line) {
		case ">up", "<up":
			return n, capture.ErrHandover
		case ">noise":
			return n, capture.ErrOpaque
		case ">boom":
			panic(fmt.Sprintf("payload: %s", line))
		}
	}
}

func (p *lineParser) emit(d capture.Dir, line []byte, at capture.Stamp) {
	x := capture.Exchange{Conn: p.conn}
	m := &x.Request
	if d == capture.ToClient {
		m = &x.Response
	}
	*m = capture.Message{Seen: true, Start: at, Body: line}
	p.handler.Exchange(&x)
}

func (p *lineParser) Gap(d capture.Dir, n int64, at capture.Stamp) { p.emit(d, []byte("_"), at) }

func (p *lineParser) End(d capture.Dir, cut bool, at capture.Stamp) {
	if p.ended[d] {
		panic("ended twice")
	}
	p.ended[d] = true
	end := "."
	if cut {
		end = "!"
	}
	p.emit(d, []byte(end), at)
}

// said is what a recorder heard in one direction of connection id (0: of all).
func said(r *capturetest.Recorder, id uint64, d capture.Dir) string {
	var b strings.Builder
	for _, x := range r.Exchanges {
		m := x.Request
		if d == capture.ToClient {
			m = x.Response
		}
		if m.Seen && (id == 0 || x.Conn.ID == id) {
			b.Write(m.Body)
			b.WriteByte(' ')
		}
	}
	return strings.TrimSuffix(b.String(), " ")
}

func options() Options { return Options{Protocols: []capture.Protocol{lineProtocol()}} }

// read puts frames through one engine.
func read(t *testing.T, o Options, frames []capture.Frame) (*capturetest.Recorder, *capture.Counts) {
	t.Helper()
	var r capturetest.Recorder
	e := New(o, &r)
	src := capturetest.Source{Frames: frames}
	if err := pump(t.Context(), &src, e.Frame, e.Quiet); err != nil {
		t.Fatal(err)
	}
	e.Close()
	checkBooks(t, e, &r)
	return &r, e.Counts()
}

// checkBooks checks what must hold after any run: nothing is counted twice or
// not at all, and nothing is kept.
func checkBooks(t *testing.T, e *Engine, r *capturetest.Recorder) {
	t.Helper()
	n := e.Counts()
	checkFrames(t, n)
	if got := uint64(len(r.Summaries)); got != n[capture.Connections]+n[capture.ConnectionsInside] {
		t.Errorf("%d summaries of %d connections", got, n[capture.Connections])
	}
	var bytes, missing, gaps int64
	ids := map[uint64]bool{}
	for _, s := range r.Summaries {
		for d := range 2 {
			bytes, missing, gaps = bytes+s.Bytes[d], missing+s.Missing[d], gaps+s.Gaps[d]
		}
		if ids[s.Conn.ID] {
			t.Errorf("connection %d ended twice", s.Conn.ID)
		}
		ids[s.Conn.ID] = true
	}
	if uint64(bytes) != n[capture.StreamBytes] || uint64(missing) != n[capture.StreamGapBytes] || uint64(gaps) != n[capture.StreamGaps] {
		t.Errorf("summaries have %d bytes, %d missing, %d gaps; counted %d, %d, %d", bytes, missing, gaps,
			n[capture.StreamBytes], n[capture.StreamGapBytes], n[capture.StreamGaps])
	}
	if len(e.conns)+len(e.callers)+len(e.chunks) != 0 || e.pool.Used() != 0 || e.buffered != 0 {
		t.Errorf("kept: %d connections, %d bytes held, %d buffered", len(e.conns)+len(e.chunks), e.pool.Used(), e.buffered)
	}
}

func checkFrames(t *testing.T, n *capture.Counts) {
	t.Helper()
	sum := n[capture.FramesAnalysed]
	for c := capture.FramesIgnoredNotIP; c <= capture.FramesDroppedFragment; c++ {
		sum += n[c]
	}
	if sum != n[capture.FramesSeen] {
		t.Errorf("%d frames seen, %d accounted for", n[capture.FramesSeen], sum)
	}
}

// story is a conversation in the line protocol.
func story(lines int) []capturetest.Step {
	var steps []capturetest.Step
	for i := range lines {
		long := strings.Repeat("x", i*i%400)
		steps = append(steps, capturetest.Client(fmt.Sprintf(">ask %d %s\n", i, long)))
		if i%5 != 4 { // else the next question comes first
			steps = append(steps, capturetest.Server(fmt.Sprintf("<answer %d %s%s\n", i, long, long)))
		}
	}
	return steps
}

// heard are the lines of a story in one direction, with its end.
func heard(steps []capturetest.Step, d capture.Dir, end string) string {
	var all string
	for _, s := range steps {
		if s.Dir == d {
			all += s.Data
		}
	}
	return strings.ReplaceAll(all, "\n", " ") + end
}

func clone(frames []capture.Frame) []capture.Frame { return slices.Clone(frames) }
