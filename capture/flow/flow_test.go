package flow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"plainsight/capture"
	"plainsight/capture/capturetest"
	"plainsight/capture/http1"
)

const c, s = capture.ToServer, capture.ToClient

// The same conversation, however the capture shows it, is the same conversation.
func TestVariantsThatKeepTheBytesSayTheSame(t *testing.T) {
	steps := story(23)
	want := [2]string{heard(steps, c, "."), heard(steps, s, ".")}
	for _, v := range capturetest.Variants() {
		t.Run(v.Name, func(t *testing.T) {
			r, n := read(t, options(), v.Frames(steps...))
			if !v.Keeps {
				return // no more than that the books are right
			}
			for d := range want {
				if got := said(r, 0, capture.Dir(d)); got != want[d] {
					t.Errorf("direction %d:\n got %s\nwant %s", d, got, want[d])
				}
			}
			if len(r.Summaries) != 1 || n[capture.StreamGaps] != 0 || n[capture.ConnectionsMidstream] != 0 {
				t.Errorf("%d connections, %d gaps, %d in mid-stream", len(r.Summaries), n[capture.StreamGaps], n[capture.ConnectionsMidstream])
			}
			w := v.Wire
			if !w.Client.IsValid() {
				w.Client = netip.MustParseAddrPort("10.0.0.1:40000")
			}
			sum := r.Summaries[0]
			if sum.Conn.Client != w.Client || sum.Protocol != "line" || sum.Evicted || sum.Conn.ID != 1 {
				t.Errorf("summary %+v", sum)
			}
		})
	}
}

func TestEveryCutSaysTheSame(t *testing.T) {
	steps := []capturetest.Step{capturetest.Client(">ab\n>cde\n"), capturetest.Server("<fghi\n<j\n"), capturetest.Client(">k\n")}
	for size := 1; size < 12; size++ {
		for _, edit := range []func(*rand.Rand, []capturetest.Segment) []capturetest.Segment{nil, capturetest.Reversed, capturetest.Shuffled, capturetest.Doubled} {
			r, _ := read(t, options(), capturetest.Wire{Size: size, Edit: edit}.Frames(steps...))
			if said(r, 0, c) != ">ab >cde >k ." || said(r, 0, s) != "<fghi <j ." {
				t.Errorf("size %d: %s / %s", size, said(r, 0, c), said(r, 0, s))
			}
		}
	}
}

// joined are captures that lack something, with what must be heard.
func TestIncompleteCaptures(t *testing.T) {
	ask, answer := capturetest.Client(">ask\n"), capturetest.Server("<answer\n")
	for name, test := range map[string]struct {
		frames   []capture.Frame
		toServer string
		toClient string
		counts   map[capture.Counter]uint64
	}{
		"joined between two lines": {capturetest.Wire{Open: capturetest.NoHandshake}.Frames(ask, answer),
			">ask .", "<answer .", map[capture.Counter]uint64{capture.ConnectionsMidstream: 1}},
		"joined between two lines, the server first": {capturetest.Wire{Open: capturetest.NoHandshake}.Frames(answer, ask),
			">ask .", "<answer .", nil},
		"joined with a server on a high port": {capturetest.Wire{Open: capturetest.NoHandshake,
			Client: netip.MustParseAddrPort("10.0.0.1:1025"), Server: netip.MustParseAddrPort("10.0.0.2:50000")}.Frames(ask, answer),
			">ask .", "<answer .", nil},
		"joined inside a line": {capturetest.Wire{Open: capturetest.NoHandshake, Size: 5}.Frames(capturetest.Client("...\n?>ask\n"), answer, ask),
			"_ >ask >ask .", "<answer .", nil},
		"the client alone": {capturetest.Wire{Keep: capturetest.Only(c)}.Frames(ask, answer, ask),
			">ask >ask .", "_ !", nil},
		"the server alone": {capturetest.Wire{Keep: capturetest.Only(s)}.Frames(ask, answer, ask),
			"_ !", "<answer .", nil},
		"stopped": {capturetest.Wire{Close: capturetest.NoClose}.Frames(ask, answer), ">ask !", "<answer !", nil},
		"reset":   {capturetest.Wire{Close: capturetest.Reset}.Frames(ask, answer), ">ask !", "<answer !", map[capture.Counter]uint64{capture.ConnectionsReset: 1}},
		"half closed": {capturetest.Wire{Close: capturetest.NoClose}.Frames(ask, capturetest.End(c), answer),
			">ask .", "<answer !", nil},
		"a lost answer comes before the next question": {capturetest.Wire{}.Frames(ask, capturetest.Lost(s, 8), ask, answer),
			">ask >ask .", "_ <answer .", map[capture.Counter]uint64{capture.StreamGaps: 1, capture.StreamGapBytes: 8}},
		"cut by the snap length": {capturetest.Wire{Snap: 54 + 6}.Frames(capturetest.Client(">ask\n>lost\n"), answer, ask),
			">ask _ >ask .", "_ .", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r, n := read(t, options(), test.frames)
			if got := said(r, 0, c); got != test.toServer {
				t.Errorf("to the server: %s, want %s", got, test.toServer)
			}
			if got := said(r, 0, s); got != test.toClient {
				t.Errorf("to the client: %s, want %s", got, test.toClient)
			}
			for c, want := range test.counts {
				if n[c] != want {
					t.Errorf("%s is %d, want %d", c.Info().Name, n[c], want)
				}
			}
		})
	}
}

func TestGapIsToldBeforeTheNextQuestion(t *testing.T) {
	r, _ := read(t, options(), capturetest.Wire{}.Frames(capturetest.Client(">1\n"), capturetest.Lost(s, 100), capturetest.Client(">2\n"), capturetest.Server("<2\n")))
	var order []string
	for _, x := range r.Exchanges {
		order = append(order, string(x.Request.Body)+string(x.Response.Body))
	}
	if got := strings.Join(order, " "); got != ">1 _ >2 <2 . ." {
		t.Error(got)
	}
}

// A tuple that is used again is another connection.
func TestPortReuse(t *testing.T) {
	first := []capturetest.Step{capturetest.Client(">first\n"), capturetest.Server("<first\n")}
	second := []capturetest.Step{capturetest.Client(">second\n"), capturetest.Server("<second\n")}
	for _, end := range []capturetest.Closing{capturetest.FIN, capturetest.Reset, capturetest.NoClose} {
		a := capturetest.Wire{Close: end, ISN: [2]uint32{100, 200}}.Frames(first...)
		b := capturetest.Wire{Start: capturetest.Epoch.Add(time.Second), ISN: [2]uint32{70_000, 5}}.Frames(second...)
		r, n := read(t, options(), capturetest.Merge(a, b))
		want := ">first . >second ."
		if end != capturetest.FIN {
			want = ">first ! >second ."
		}
		if got := said(r, 0, c); got != want || len(r.Summaries) != 2 {
			t.Errorf("closing %d: %s, %d connections", end, got, len(r.Summaries))
		}
		if reused := n[capture.ConnectionsReused] == 1; reused != (end == capturetest.NoClose) {
			t.Errorf("closing %d: reused %v", end, reused)
		}
	}
}

// Stragglers of a connection that is over are no new one.
func TestStragglers(t *testing.T) {
	frames := capturetest.Wire{}.Frames(story(3)...)
	again := clone(frames)
	for i := range again {
		again[i].Time = again[i].Time.Add(time.Second)
	}
	r, n := read(t, options(), capturetest.Merge(frames, again))
	if len(r.Summaries) != 1 || n[capture.SegmentsDuplicate] == 0 {
		t.Errorf("%d connections", len(r.Summaries))
	}
}

// The same capture seen twice, as on two interfaces, is counted once.
func TestTwoCopies(t *testing.T) {
	a := capturetest.Wire{}.Frames(story(20)...)
	b := capturetest.Wire{Start: capturetest.Epoch.Add(30 * time.Microsecond)}.Frames(story(20)...)
	r, _ := read(t, options(), capturetest.Merge(a, b))
	if got, want := said(r, 0, c), heard(story(20), c, "."); got != want || len(r.Summaries) != 1 {
		t.Errorf("got %s", got)
	}
}

func TestVLANsAreApart(t *testing.T) {
	red := capturetest.Wire{VLAN: []uint16{10}}.Frames(capturetest.Client(">red\n"), capturetest.Server("<red\n"))
	blue := capturetest.Wire{VLAN: []uint16{20}, Start: capturetest.Epoch.Add(30 * time.Microsecond)}.Frames(capturetest.Client(">blue\n"), capturetest.Server("<blue\n"))
	r, _ := read(t, options(), capturetest.Merge(red, blue))
	if len(r.Summaries) != 2 || said(r, 1, c) != ">red ." || said(r, 2, c) != ">blue ." {
		t.Errorf("%q / %q", said(r, 1, c), said(r, 2, c))
	}
}

// A tap may see each direction on a VLAN of its own.
func TestVLANOfEachDirection(t *testing.T) {
	up := capturetest.Wire{VLAN: []uint16{100}, Keep: capturetest.Only(c)}.Frames(story(5)...)
	for _, tag := range [][]uint16{{101}, nil} {
		down := capturetest.Wire{VLAN: tag, Keep: capturetest.Only(s)}.Frames(story(5)...)
		for i := range down {
			down[i].Time = down[i].Time.Add(time.Nanosecond)
		}
		twice := capturetest.Merge(up, down)
		for _, f := range capturetest.Merge(up, down) { // the same ports once more
			f.Time = f.Time.Add(time.Minute)
			twice = append(twice, f)
		}
		r, n := read(t, options(), capturetest.Number(twice))
		if len(r.Summaries) != 2 || said(r, 1, c) != heard(story(5), c, ".") || said(r, 1, s) != heard(story(5), s, ".") || n[capture.ConnectionsOneSided] != 0 {
			t.Errorf("tag %v: %d connections, %q / %q", tag, len(r.Summaries), said(r, 1, c), said(r, 1, s))
		}
	}
}

func TestProtocolsChange(t *testing.T) {
	for name, test := range map[string]struct {
		steps              []capturetest.Step
		toServer, toClient string
		last               capture.ProtocolName
	}{
		"to the same": {[]capturetest.Step{capturetest.Client(">up\n"), capturetest.Server("<x\n"), capturetest.Client(">y\n")},
			">up . >y .", ". <x .", "line"},
		"inside a segment": {[]capturetest.Step{capturetest.Client(">a\n>up\n>b\n>c\n"), capturetest.Server("<x\n")},
			">a >up . >b >c .", ". <x .", "line"},
		"by the server": {[]capturetest.Step{capturetest.Client(">a\n"), capturetest.Server("<up\n"), capturetest.Client(">y\n")},
			">a . >y .", "<up . .", "line"},
		"with bytes of the other side unread": {[]capturetest.Step{capturetest.Client(">a\n>un"), capturetest.Server("<up\n"), capturetest.Client("read\n")},
			">a . >unread .", "<up . .", "line"},
		"to one that is not known": {[]capturetest.Step{capturetest.Client(">up\n"), capturetest.Server("???"), capturetest.Client("???")},
			">up .", ".", capture.OpaqueProtocol},
		"to one that was agreed": {[]capturetest.Step{capturetest.Client(">to line\n"), capturetest.Server("no mark\n"), capturetest.Client("nor here\n")},
			">to line . nor here .", ". no mark .", "line"},
		"to one that was agreed and is not known": {[]capturetest.Step{capturetest.Client(">to what\n"), capturetest.Server("<looks like it\n"), capturetest.Client(">does\n")},
			">to what .", ".", capture.OpaqueProtocol},
		"to silence": {[]capturetest.Step{capturetest.Client(">up\n")}, ">up .", ".", "line"},
		"too often": {[]capturetest.Step{capturetest.Client(strings.Repeat(">up\n", 100))},
			strings.TrimSuffix(strings.Repeat(">up . ", maxHandovers), " "), strings.TrimSuffix(strings.Repeat(". ", maxHandovers), " "), capture.OpaqueProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1, 2, 3, 1460} {
				r, _ := read(t, options(), capturetest.Wire{Size: size}.Frames(test.steps...))
				if said(r, 0, c) != test.toServer || said(r, 0, s) != test.toClient || r.Summaries[0].Protocol != test.last {
					t.Errorf("size %d: %q / %q, then %s", size, said(r, 0, c), said(r, 0, s), r.Summaries[0].Protocol)
				}
			}
		})
	}
}

func TestStartsAreFound(t *testing.T) {
	for name, test := range map[string]struct {
		steps              []capturetest.Step
		toServer, toClient string
		last               capture.ProtocolName
	}{
		"after a preface of another protocol": {[]capturetest.Step{capturetest.Client("PROXY\r\n"), capturetest.Client(">a\n"), capturetest.Server("<b\n")},
			"_ >a .", "<b .", "line"},
		"after a preface of both sides": {[]capturetest.Step{capturetest.Client("\x05\x01"), capturetest.Server("\x05\x00"), capturetest.Client(">a\n"), capturetest.Server("<b\n")},
			"_ >a .", "_ <b .", "line"},
		"by the answer to something odd": {[]capturetest.Step{capturetest.Client("odd\n"), capturetest.Server("<b\n"), capturetest.Client(">a\n")},
			"odd >a .", "<b .", "line"},
		"after a gap": {[]capturetest.Step{capturetest.Lost(c, 10), capturetest.Client(">a\n"), capturetest.Server("<b\n")},
			"_ >a .", "<b .", "line"},
		"nowhere":    {[]capturetest.Step{capturetest.Client("a"), capturetest.Server("b")}, "", "", capture.OpaqueProtocol},
		"in silence": {nil, "", "", capture.NoProtocol},
		"in a tunnel that is used backwards": {[]capturetest.Step{capturetest.Client("\x05\x01"), capturetest.Server("\x05\x00"), capturetest.Server(">a\n"), capturetest.Client("<b\n")},
			"_ >a .", "_ <b .", "line"},
		"when the server greets": {[]capturetest.Step{capturetest.Server("<b\n"), capturetest.Client(">a\n")}, ">a .", "<b .", "line"},
	} {
		t.Run(name, func(t *testing.T) {
			r, n := read(t, options(), capturetest.Wire{}.Frames(test.steps...))
			if said(r, 0, c) != test.toServer || said(r, 0, s) != test.toClient || r.Summaries[0].Protocol != test.last {
				t.Errorf("%q / %q, %s", said(r, 0, c), said(r, 0, s), r.Summaries[0].Protocol)
			}
			if opaque := n[capture.ConnectionsOpaque] == 1; opaque != (test.last == capture.OpaqueProtocol) {
				t.Errorf("opaque %v", opaque)
			}
		})
	}
}

// A protocol that searches does not keep another one from its start.
func TestStartBesideASearch(t *testing.T) {
	o := options()
	o.Protocols = append([]capture.Protocol{{
		Name: "searcher",
		Sniff: func(_ capture.Dir, b []byte, midstream bool) capture.Verdict {
			if midstream {
				return capture.Maybe
			}
			return capture.No
		},
	}}, o.Protocols...)
	r, _ := read(t, o, capturetest.Wire{}.Frames(capturetest.Server("220 hello\r\n"), capturetest.Client("EHLO\r\n"), capturetest.Server("250\r\n"),
		capturetest.Client("STARTTLS\r\n"), capturetest.Server("220 go\r\n"), capturetest.Client(">a\n"), capturetest.Server("<b\n")))
	if said(r, 0, c) != "_ >a ." || said(r, 0, s) != "_ <b ." || r.Summaries[0].Protocol != "line" {
		t.Errorf("%q / %q, %s", said(r, 0, c), said(r, 0, s), r.Summaries[0].Protocol)
	}
}

func TestSearchForAStartEnds(t *testing.T) {
	asked := 0
	o := Options{Search: 10_000, Protocols: []capture.Protocol{{
		Name:  "never",
		Sniff: func(capture.Dir, []byte, bool) capture.Verdict { asked++; return capture.No },
	}}}
	read(t, o, capturetest.Wire{Size: 1000}.Frames(capturetest.Client(strings.Repeat("x", 100_000))))
	if asked == 0 || asked > 24 {
		t.Errorf("asked %d times", asked)
	}
}

func TestDirectionNotUnderstood(t *testing.T) {
	r, n := read(t, options(), capturetest.Wire{Size: 4}.Frames(capturetest.Client(">noise\nrandom bytes"), capturetest.Server("<x\n")))
	if said(r, 0, c) != ">noise ." || said(r, 0, s) != "<x ." || r.Summaries[0].Bytes[0] != 19 || n[capture.StreamBytes] != 22 {
		t.Errorf("%q / %q, %+v", said(r, 0, c), said(r, 0, s), r.Summaries[0])
	}
}

// A parser that breaks ends the parsing of its connection, and no more.
func TestParserBreaks(t *testing.T) {
	var log bytes.Buffer
	o := options()
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	steps := []capturetest.Step{capturetest.Client(">a\n"), capturetest.Client(">boom\n"), capturetest.Server("<b\n"), capturetest.Client(">c\n")}
	bad := capturetest.Wire{}.Frames(steps...)
	worse := capturetest.Wire{Client: netip.MustParseAddrPort("10.0.0.1:40001"), Start: capturetest.Epoch.Add(time.Minute)}.Frames(steps...)
	good := capturetest.Wire{Client: netip.MustParseAddrPort("10.0.0.1:40002")}.Frames(story(5)...)
	r, n := read(t, o, capturetest.Merge(bad, good, worse))
	if n[capture.ParserPanics] != 2 || len(r.Summaries) != 3 || r.Summaries[0].Bytes != [2]int64{12, 3} {
		t.Errorf("%d panics, %+v", n[capture.ParserPanics], r.Summaries)
	}
	if got, want := said(r, 2, c), heard(story(5), c, "."); got != want {
		t.Errorf("the other connection said %q", got)
	}
	line := log.String()
	if strings.Count(line, "\n") != 1 || strings.Contains(line, "payload") || !strings.Contains(line, "lineParser") {
		t.Errorf("logged %q", line)
	}
}

// A handler that breaks is treated alike, wherever it is called.
func TestHandlerBreaks(t *testing.T) {
	e := New(options(), breaking{})
	for _, f := range (capturetest.Wire{}).Frames(story(5)...) {
		e.Frame(&f)
	}
	e.Close()
	if e.counts[capture.ParserPanics] != 2 {
		t.Errorf("%d panics", e.counts[capture.ParserPanics])
	}
}

type breaking struct{ *capturetest.Recorder }

func (breaking) Exchange(*capture.Exchange)  { panic("exchange") }
func (breaking) Connection(*capture.Summary) { panic("connection") }

func TestUnreadIsBounded(t *testing.T) {
	o := options()
	o.Unread = 1000
	r, n := read(t, o, capturetest.Wire{Size: 300}.Frames(capturetest.Client(">a\n>"+strings.Repeat("x", 5000)+"\n>b\n")))
	if n[capture.UnreadLimitReached] == 0 || !strings.HasPrefix(said(r, 0, c), ">a _") {
		t.Errorf("%d times, %q", n[capture.UnreadLimitReached], said(r, 0, c)[:20])
	}
}

// at moves a capture to another time, client and sequence.
func at(after time.Duration, port int, w capturetest.Wire) capturetest.Wire {
	w.Start = capturetest.Epoch.Add(after)
	w.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(port >> 16), byte(port >> 8)}), uint16(1024+port))
	return w
}

func TestIdleConnectionsGo(t *testing.T) {
	idle := at(0, 1, capturetest.Wire{Close: capturetest.NoClose}).Frames(story(2)...)
	half := at(0, 2, capturetest.Wire{Close: capturetest.NoClose, Keep: func(s *capturetest.Segment) bool { return s.Flags == 2 }}).Frames()
	// Two late frames: a single one could be a mistake of the clock.
	late := at(10*time.Minute, 3, capturetest.Wire{}).Frames(story(1)...)
	r, n := read(t, options(), capturetest.Merge(idle, half, late))
	if n[capture.ConnectionsEvictedIdle] != 2 || n[capture.ConnectionsHalfOpen] != 1 || len(r.Summaries) != 3 {
		t.Errorf("%d idle, %d half-open, %d connections", n[capture.ConnectionsEvictedIdle], n[capture.ConnectionsHalfOpen], len(r.Summaries))
	}
	for _, sum := range r.Summaries[:2] {
		if !sum.Evicted || sum.End.Time.After(capturetest.Epoch.Add(time.Second)) {
			t.Errorf("%+v", sum)
		}
	}
}

func TestFullTable(t *testing.T) {
	o := options()
	o.Connections = 40
	var all [][]capture.Frame
	for i := range 30 { // open, and busy to the end
		all = append(all, at(time.Duration(i)*time.Millisecond, i, capturetest.Wire{Pace: 3 * time.Millisecond}).Frames(story(10)...))
	}
	for i := range 500 { // calls that are never answered
		all = append(all, at(20*time.Millisecond+time.Duration(i)*Tick/10, 100+i, capturetest.Wire{Close: capturetest.NoClose, Keep: func(s *capturetest.Segment) bool { return s.Flags == 2 }}).Frames())
	}
	r, n := read(t, o, capturetest.Merge(all...))
	if n[capture.ConnectionsEvictedHalfOpen] < 480 || n[capture.ConnectionsEvictedLimit] != 0 {
		t.Errorf("%d half-open evicted, %d open", n[capture.ConnectionsEvictedHalfOpen], n[capture.ConnectionsEvictedLimit])
	}
	want := heard(story(10), c, ".")
	whole := 0
	for _, sum := range r.Summaries {
		if said(r, sum.Conn.ID, c) == want {
			whole++
		}
	}
	if whole != 30 {
		t.Errorf("%d of 30 honest connections are whole", whole)
	}
}

const Tick = capturetest.Tick

func TestFullTableOfOpenConnectionsLosesTheIdlest(t *testing.T) {
	o := options()
	o.Connections = 8
	var all [][]capture.Frame
	for i := range 20 {
		all = append(all, at(time.Duration(i)*time.Second, i, capturetest.Wire{Close: capturetest.NoClose}).Frames(story(2)...))
	}
	r, n := read(t, o, capturetest.Merge(all...))
	if n[capture.ConnectionsEvictedLimit] != 12 || len(r.Summaries) != 20 {
		t.Errorf("%d evicted", n[capture.ConnectionsEvictedLimit])
	}
	for i, sum := range r.Summaries {
		if sum.Conn.Start.Time.Sub(capturetest.Epoch) != time.Duration(i)*time.Second || sum.Evicted != (i < 12) {
			t.Errorf("%d: %+v", i, sum)
		}
	}
}

// A hole of a direction whose other side is not seen is given up in time.
func TestHoleOfAOneSidedCapture(t *testing.T) {
	w := capturetest.Wire{Keep: capturetest.Only(s), Pace: time.Second, Close: capturetest.NoClose}
	r, _ := read(t, options(), w.Frames(capturetest.Server("<1\n"), capturetest.Lost(s, 3), capturetest.Server("<3\n"), capturetest.Server("<4\n"), capturetest.Server("<5\n"), capturetest.Server("<6\n")))
	sixth := r.Exchanges[len(r.Exchanges)-3]
	if got := said(r, 0, s); got != "<1 _ <3 <4 <5 <6 !" || sixth.Response.Start.Time.Sub(capturetest.Epoch) > 20*time.Second {
		t.Errorf("%q, %+v", got, sixth)
	}
}

// ACKs that come before what they acknowledge, as of two taps that are not in
// step, lose nothing.
func TestTapsOutOfStep(t *testing.T) {
	steps := story(12)
	for _, shift := range []time.Duration{-20 * Tick, -3 * Tick, -Tick, Tick, 3 * Tick, 20 * Tick} {
		up := capturetest.Wire{Keep: capturetest.Only(c), Size: 100}.Frames(steps...)
		down := capturetest.Wire{Keep: capturetest.Only(s), Size: 100}.Frames(steps...)
		for i := range down {
			down[i].Time = down[i].Time.Add(shift)
		}
		r, n := read(t, options(), capturetest.Merge(up, down))
		if said(r, 0, c) != heard(steps, c, ".") || said(r, 0, s) != heard(steps, s, ".") {
			t.Errorf("shift %v: %d gaps, %d bytes\n%s\n%s", shift, n[capture.StreamGaps], n[capture.StreamGapBytes], said(r, 0, c), said(r, 0, s))
		}
	}
}

// Taps out of step do not keep a hole open for ever.
func TestHoleOfTapsOutOfStep(t *testing.T) {
	var steps []capturetest.Step
	for i := range 30 {
		steps = append(steps, capturetest.Client(fmt.Sprintf(">%d\n", i)), capturetest.Server("<\n"))
	}
	w := capturetest.Wire{Pace: 50 * time.Millisecond, Close: capturetest.NoClose}
	up, down := w, w
	up.Keep, down.Keep = capturetest.Only(c), capturetest.Only(s)
	up.Edit = func(_ *rand.Rand, b []capturetest.Segment) []capturetest.Segment {
		return slices.DeleteFunc(b, func(s capturetest.Segment) bool { return string(s.Payload) == ">3\n" })
	}
	late := up.Frames(steps...)
	for i := range late {
		late[i].Time = late[i].Time.Add(200 * time.Millisecond)
	}
	r, n := read(t, options(), capturetest.Merge(late, down.Frames(steps...)))
	if n[capture.StreamGaps] != 1 {
		t.Errorf("%d gaps", n[capture.StreamGaps])
	}
	for _, x := range r.Exchanges {
		if d := x.Request.Start.Time.Sub(capturetest.Epoch); string(x.Request.Body) == ">20" && d > 6*time.Second {
			t.Errorf("line 20 came out after %v", d)
		}
	}
}

func TestClock(t *testing.T) {
	var n capture.Counts
	var k clock
	start := capturetest.Epoch
	tick := func(d time.Duration) time.Duration { return time.Duration(k.tick(start.Add(d), &n) - start.UnixNano()) }
	for _, step := range []struct{ stamp, want time.Duration }{
		{0, 0},
		{time.Second, time.Second},
		{time.Second - time.Millisecond, time.Second}, // a frame out of step
		{2 * time.Second, 2 * time.Second},
		{2*time.Second - time.Hour, 2 * time.Second}, // set back: time goes on
		{3*time.Second - time.Hour, 3 * time.Second},
		{3 * 365 * 24 * time.Hour, 3 * time.Second}, // nonsense
		{4*time.Second - time.Hour, 4 * time.Second},
		{4*time.Second + time.Hour, 4 * time.Second},             // a long silence …
		{5*time.Second + time.Hour, 5*time.Second + 2*time.Hour}, // … is believed the second time
	} {
		if got := tick(step.stamp); got != step.want {
			t.Errorf("at %v the time is %v, want %v", step.stamp, got, step.want)
		}
	}
	if n[capture.ClockBackwards] != 3 {
		t.Errorf("%d times backwards", n[capture.ClockBackwards])
	}
}

// A balancer that answers a SYN twice, by two servers: the one that the client
// acknowledges is the one.
func TestTwoAnswersToASYN(t *testing.T) {
	for _, second := range []bool{false, true} {
		frames := at(0, 1, capturetest.Wire{}).Frames(story(5)...)
		other := at(0, 1, capturetest.Wire{ISN: [2]uint32{0, 16_081_090}}).Frames(story(5)...)[1]
		place := 2
		if second {
			place = 1
		}
		frames = slices.Insert(frames, place, other)
		for i := range frames {
			frames[i].Frame = uint64(i + 1)
		}
		r, _ := read(t, options(), frames)
		if said(r, 0, c) != heard(story(5), c, ".") || said(r, 0, s) != heard(story(5), s, ".") || len(r.Summaries) != 1 {
			t.Errorf("the other answer %d: %q, %q", place, said(r, 0, c), said(r, 0, s))
		}
	}
}

func TestClockBackInMidFlow(t *testing.T) {
	frames := capturetest.Wire{}.Frames(story(5)...)
	for i := range frames[4:] {
		frames[4+i].Time = frames[4+i].Time.Add(-time.Hour)
	}
	r, n := read(t, options(), frames)
	if said(r, 0, c) != heard(story(5), c, ".") || len(r.Summaries) != 1 || n[capture.ClockBackwards] != 1 {
		t.Errorf("%q", said(r, 0, c))
	}
}

// crowd is a capture of many connections at the same time.
func crowd(n int) []capture.Frame {
	rng := rand.New(rand.NewPCG(7, 8))
	variants := capturetest.Variants()
	var all [][]capture.Frame
	for i := range n {
		v := variants[i%len(variants)]
		w := at(time.Duration(rng.IntN(1_000_000))*time.Microsecond, i, v.Wire)
		if !w.Client.Addr().Is4() || w.Server.IsValid() && !w.Server.Addr().Is4() {
			w.Server = netip.AddrPort{}
		}
		all = append(all, w.Frames(story(1+i%17)...))
	}
	return capturetest.Merge(all...)
}

// The result for each connection does not depend on the number of shards.
func TestShards(t *testing.T) {
	frames := crowd(200)
	for i := range 20 {
		w := at(time.Duration(i)*time.Millisecond, 1000+i, capturetest.Wire{Size: 100 + 100*i})
		frames = capturetest.Merge(frames, w.Frames(shop()...))
	}
	// Long after the others one more: they are idle by then, also in shards that it
	// is not in.
	frames = capturetest.Merge(frames, at(2*time.Hour, 2000, capturetest.Wire{}).Frames(story(3)...))
	o := options()
	o.Protocols = append(o.Protocols, http1.Protocol(http1.Options{}))
	var want map[uint64]string
	var wantCounts capture.Counts
	for _, n := range []int{0, 1, 2, 3, 8} {
		recorders := map[int]*capturetest.Recorder{}
		counts, err := Run(t.Context(), &capturetest.Source{Frames: clone(frames)}, n, o, func(i int) capture.Handler {
			recorders[i] = new(capturetest.Recorder)
			return recorders[i]
		})
		if err != nil {
			t.Fatal(err)
		}
		checkFrames(t, &counts)
		got := map[uint64]string{}
		for _, r := range recorders {
			for _, x := range r.Exchanges {
				got[x.Conn.ID] += fmt.Sprintf("%+v\n", x)
			}
			for _, s := range r.Summaries {
				got[s.Conn.ID] += fmt.Sprintf("%+v\n", s)
			}
		}
		if want == nil {
			want, wantCounts = got, counts
			if len(want) < 200 || counts[capture.ConnectionsEvictedIdle] == 0 {
				t.Fatalf("%d connections, %d idle", len(want), counts[capture.ConnectionsEvictedIdle])
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%d shards conclude something else", n)
		}
		if counts != wantCounts {
			for _, c := range capture.All() {
				if counts[c] != wantCounts[c] {
					t.Errorf("%d shards: %s is %d, not %d", n, c.Info().Name, counts[c], wantCounts[c])
				}
			}
		}
	}
}

func TestRunEnds(t *testing.T) {
	frames := capturetest.Wire{}.Frames(story(5)...)
	damaged := &capture.DamagedError{Name: "x", Reason: "cut"}
	for _, n := range []int{1, 2} {
		var all []*capturetest.Recorder
		handlers := func(int) capture.Handler {
			all = append(all, new(capturetest.Recorder))
			return all[len(all)-1]
		}
		_, err := Run(t.Context(), &capturetest.Source{Frames: frames, Err: damaged}, n, options(), handlers)
		heard := 0
		for _, r := range all {
			heard += len(r.Summaries)
		}
		if !errors.Is(err, damaged) || heard != 1 {
			t.Errorf("%d shards: %v, %d connections", n, err, heard)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Run(ctx, &capturetest.Source{Frames: frames}, n, options(), handlers); !errors.Is(err, context.Canceled) {
			t.Errorf("%d shards, cancelled: %v", n, err)
		}
	}
}

// A segment larger than a batch crosses to its shard whole.
func TestGiantSegmentsCross(t *testing.T) {
	var steps []capturetest.Step
	for i := range 12 {
		steps = append(steps, capturetest.Client(">"+strings.Repeat(string(rune('a'+i)), 50_000)+"\n"))
	}
	var r capturetest.Recorder
	var others capturetest.Recorder
	_, err := Run(t.Context(), &capturetest.Source{Frames: capturetest.Wire{Size: 60_000}.Frames(steps...)}, 2, options(), func(i int) capture.Handler {
		return []*capturetest.Recorder{&r, &others}[i]
	})
	r.Exchanges = append(r.Exchanges, others.Exchanges...)
	if err != nil || said(&r, 0, c) != heard(steps, c, ".") {
		t.Errorf("%v, %d bytes", err, len(said(&r, 0, c)))
	}
}

func TestChunks(t *testing.T) {
	conn := capture.Conn{ID: 9, Client: netip.MustParseAddrPort("10.0.0.1:4000"), Server: netip.MustParseAddrPort("10.0.0.2:443"), Encrypted: true}
	type piece struct {
		dir    capture.Dir
		offset uint64
		data   string
		end    bool
	}
	for name, test := range map[string]struct {
		pieces             []piece
		midstream          bool
		toServer, toClient string
		missing            int64
	}{
		"in order":        {[]piece{{c, 0, ">a\n", false}, {s, 0, "<b\n", true}, {c, 3, ">c\n", true}}, false, ">a >c .", "<b .", 0},
		"split":           {[]piece{{c, 0, ">", false}, {c, 1, "a", false}, {c, 2, "\n", false}}, false, ">a !", "!", 0},
		"a lost chunk":    {[]piece{{c, 0, ">a\n", false}, {c, 10, ">c\n", true}}, false, ">a _ >c .", "!", 7},
		"seen again":      {[]piece{{c, 0, ">a\n", false}, {c, 0, ">a\n>b\n", false}, {c, 2, "\n", true}}, false, ">a >b .", "!", 0},
		"joined later":    {[]piece{{c, 500, ">a\n", false}, {s, 900, "<b\n", true}}, true, ">a !", "<b .", 0},
		"after their end": {[]piece{{c, 0, ">a\n", true}, {c, 3, ">b\n", true}, {s, 0, "", true}, {s, 0, "<x\n", false}}, false, ">a .", ".", 0},
	} {
		t.Run(name, func(t *testing.T) {
			var r capturetest.Recorder
			e := New(options(), &r)
			conn.Midstream = test.midstream
			for i, p := range test.pieces {
				b := []byte(p.data)
				e.Chunk(&capture.Chunk{Stamp: capture.Stamp{Time: capturetest.Epoch.Add(time.Duration(i))}, Conn: conn, Dir: p.dir, Offset: p.offset, Data: b, End: p.end})
				for i := range b {
					b[i] = '#'
				}
			}
			e.Close()
			checkBooks(t, e, &r)
			if said(&r, 0, c) != test.toServer || said(&r, 0, s) != test.toClient || len(r.Summaries) != 1 || r.Summaries[0].Missing[0] != test.missing || !r.Summaries[0].Conn.Encrypted {
				t.Errorf("%q / %q, %+v", said(&r, 0, c), said(&r, 0, s), r.Summaries)
			}
		})
	}
}

// With loss at random, what is delivered and what is missing add up to what was
// sent, and every line that survived whole behind a known start is heard.
func TestLossAddsUp(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		steps := story(40)
		w := capturetest.Wire{Size: 60, Edit: func(_ *rand.Rand, b []capturetest.Segment) []capturetest.Segment {
			return slices.DeleteFunc(b, func(capturetest.Segment) bool { return rng.IntN(20) == 0 })
		}}
		r, _ := read(t, options(), w.Frames(steps...))
		var sent [2]int64
		for _, s := range steps {
			sent[s.Dir] += int64(len(s.Data))
		}
		for d := range sent {
			if sum := r.Summaries[0]; sum.Bytes[d]+sum.Missing[d] != sent[d] {
				t.Errorf("seed %d: %d bytes and %d missing of %d", seed, sum.Bytes[d], sum.Missing[d], sent[d])
			}
		}
	}
}

// What a source left out by intent is no gap, and is counted with the bytes.
func TestChunksLeftOut(t *testing.T) {
	var r capturetest.Recorder
	e := New(options(), &r)
	conn := capture.Conn{ID: 1, Client: netip.MustParseAddrPort("10.0.0.1:1"), Server: netip.MustParseAddrPort("10.0.0.2:2")}
	for i, ch := range []capture.Chunk{
		{Offset: 0, Data: []byte("LINE\n")},
		{Offset: 1000, End: true},
		{Dir: s, Offset: 0, Data: []byte("LINE\n")},
		{Dir: s, Offset: 70, End: true, Passed: true},
	} {
		ch.Conn, ch.Time = conn, capturetest.Epoch.Add(time.Duration(i))
		e.Chunk(&ch)
	}
	e.Close()
	sum := r.Summaries[0]
	if sum.Bytes != [2]int64{5, 70} || sum.Missing != [2]int64{995, 0} || e.Counts()[capture.StreamGaps] != 1 {
		t.Errorf("%+v, %d gaps", sum, e.Counts()[capture.StreamGaps])
	}
}
