package capturetest

import (
	"bytes"
	"testing"

	"plainsight/capture"
)

// lines is a parser that uses whole lines only and leaves the rest.
type lines struct {
	got  []string
	gaps int
	cut  [2]bool
}

func (l *lines) Data(d capture.Dir, b []byte, _ capture.Stamp) (int, error) {
	n := bytes.LastIndexByte(b, '\n') + 1
	if n > 0 {
		l.got = append(l.got, string(b[:n]))
	}
	if bytes.Contains(b[:n], []byte("UP\n")) {
		return n, capture.ErrHandover
	}
	return n, nil
}
func (l *lines) Gap(capture.Dir, int64, capture.Stamp)        { l.gaps++ }
func (l *lines) End(d capture.Dir, cut bool, _ capture.Stamp) { l.cut[d] = cut }

func TestPlayOffersUnreadBytesAgain(t *testing.T) {
	for cut := range 8 {
		var l lines
		r := Play(&l, cut, Client("ab\ncd\n"), Server("x\n"), Lost(capture.ToServer, 3), Client("e"), End(capture.ToClient))
		var all string
		for _, s := range l.got {
			all += s
		}
		if all != "ab\ncd\nx\n" || string(r.Rest[0]) != "e" || l.gaps != 1 || !l.cut[0] || l.cut[1] {
			t.Errorf("cut %d: %q, rest %q, gaps %d, cut %v", cut, all, r.Rest, l.gaps, l.cut)
		}
	}
}

func TestPlayStopsAtHandover(t *testing.T) {
	var l lines
	r := Play(&l, 0, Client("UP\nrest"), Server("no\n"))
	if len(l.got) != 1 || r.Err != [2]error{capture.ErrHandover, capture.ErrHandover} || string(r.Rest[0]) != "rest" {
		t.Errorf("got %q, %+v", l.got, r)
	}
}

func TestRecorderOwnsItsBytes(t *testing.T) {
	b := []byte("GETbody")
	c := capture.Conn{ID: 7}
	x := capture.Exchange{Conn: &c, Method: b[:3], Request: capture.Message{
		Seen: true, Body: b[3:], Headers: []capture.Header{{Name: b[:1], Value: b[1:2]}},
	}}
	var r Recorder
	r.Exchange(&x)
	copy(b, "#######")
	c.ID = 0
	o := r.Exchanges[0]
	if o.Conn.ID != 7 || o.Method != "GET" || string(o.Request.Body) != "body" || o.Request.Get("g") != "E" {
		t.Errorf("the recorder kept borrowed bytes: %+v", o)
	}
}
