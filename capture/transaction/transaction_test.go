package transaction

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"plainsight/capture"
)

// hears keeps what it is handed, owned.
type hears struct {
	capture.Handler
	body   string
	flaws  capture.Flaw
	size   int64
	status int
}

func (h *hears) Exchange(x *capture.Exchange) {
	h.body, h.flaws, h.size, h.status = string(x.Response.Body), x.Response.Flaws, x.Response.DecodedSize, x.Status
}

func answer(o Options, coding string, pieces ...string) (*hears, *Pool, *capture.Counts) {
	var p Pool
	p.Init(o)
	var x T
	x.Clear()
	x.X.Response.Seen, x.X.Status = true, 200
	x.Side[capture.ToClient].Codings.Add(capture.Text(coding))
	for _, b := range pieces {
		p.Keep(&x, capture.ToClient, []byte(b))
	}
	var h hears
	var n capture.Counts
	p.Emit(&x, &h, &n)
	p.Release(&x)
	return &h, &p, &n
}

func TestBodies(t *testing.T) {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write([]byte(strings.Repeat("text ", 1000)))
	w.Close()
	for name, c := range map[string]struct {
		o      Options
		coding string
		pieces []string
		body   int
		size   int64
		flaws  capture.Flaw
	}{
		"in pieces":         {Options{Body: 100, Memory: 1 << 20}, "", []string{"ab", "cd"}, 4, 4, 0},
		"over the budget":   {Options{Body: 3, Memory: 1 << 20}, "", []string{"ab", "cd", "ef"}, 3, 6, capture.FlawBodyLimit},
		"out of memory":     {Options{Body: 1 << 20, Memory: 1}, "", []string{strings.Repeat("x", 5000)}, 0, 5000, capture.FlawBodyLimit},
		"zipped":            {Options{Body: 1 << 20, Memory: 1 << 20}, "gzip", []string{z.String()[:20], z.String()[20:]}, 5000, 5000, 0},
		"not zipped":        {Options{Body: 1 << 20, Memory: 1 << 20}, "gzip", []string{"no"}, 2, 2, capture.FlawDecode},
		"counted only":      {Options{Body: 1 << 20, Memory: 1 << 20, CountOnly: true}, "", []string{"ab"}, 0, 2, 0},
		"of unknown coding": {Options{Body: 1 << 20, Memory: 1 << 20}, "zork", []string{"ab"}, 2, 2, capture.FlawEncodingUnknown},
	} {
		h, p, n := answer(c.o, c.coding, c.pieces...)
		if len(h.body) != c.body || h.size != c.size || h.flaws != c.flaws || h.status != 200 {
			t.Errorf("%s: %d bytes of %d, flaws %v", name, len(h.body), h.size, h.flaws.Names())
		}
		if n[capture.Exchanges] != 1 || n[capture.ExchangesResponseOnly] != 1 {
			t.Errorf("%s: not counted", name)
		}
		if p.Out() != 0 || !p.Clean() {
			t.Errorf("%s: %d bytes are out, clean %v", name, p.Out(), p.Clean())
		}
	}
}

func TestLentAndCut(t *testing.T) {
	var p Pool
	p.Init(Options{Body: 10, Memory: 1 << 20})
	var x T
	x.Clear()
	if !p.Lend(&x, capture.ToClient, []byte("0123456789")) || string(x.Raw(capture.ToClient)) != "0123456789" {
		t.Error("not lent")
	}
	x.Cut(capture.ToClient, 4)
	if string(x.Raw(capture.ToClient)) != "0123" || x.X.Response.BodySize != 4 {
		t.Error("not cut")
	}
	if p.Lend(&x, capture.ToClient, []byte("more")) || p.Lend(&x, capture.ToServer, []byte("0123456789a")) {
		t.Error("lent what must be kept")
	}
	x.Mark(capture.ToServer, capture.FlawGap)
	if p.Keep(&x, capture.ToServer, []byte("behind a hole")); len(x.Raw(capture.ToServer)) != 0 || x.X.Request.BodySize != 13 {
		t.Error("kept what stands behind a hole")
	}
}
