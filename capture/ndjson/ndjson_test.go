package ndjson

import (
	"bytes"
	"compress/gzip"
	"context"
	"strings"
	"testing"

	"plainsight/capture"
)

type seen struct {
	lines []string
	tls   int
}

func (s *seen) Exchange(x *capture.Exchange) {
	s.lines = append(s.lines, string(x.Method)+" "+string(x.Authority)+string(x.Target)+" "+string(x.Response.Body))
	if x.Conn.Encrypted {
		s.tls++
	}
}
func (*seen) Handshake(*capture.Handshake) {}
func (*seen) WebSocket(*capture.WebSocket) {}
func (*seen) Connection(*capture.Summary)  {}

const log = `{"ts":"2025-03-03T08:00:00Z","client":"10.1.0.16","method":"GET","scheme":"https","host":"a.test","path":"/v1/x","query":"q=1","reqHeaders":[["Host","a.test"]],"respBody":"{}","status":200}

not json
{"ts":"2025-03-03T08:00:01Z","client":"nobody","method":"POST","scheme":"http","host":"a.test","path":"/v1/y","reqBody":"{}","status":0}
{"method":"GET"}`

func TestEveryLineIsAnExchangeOrCounted(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write([]byte(log))
	z.Close()
	for name, in := range map[string]string{"plain": log, "gzip": packed.String()} {
		t.Run(name, func(t *testing.T) {
			if !Sniff([]byte(in)) {
				t.Error("the log is not recognised")
			}
			var s seen
			res, err := Read(context.Background(), strings.NewReader(in), 0, &s)
			if err != nil {
				t.Fatal(err)
			}
			if res != (Result{Exchanges: 2, Invalid: 2}) {
				t.Errorf("counted %+v", res)
			}
			if got, want := strings.Join(s.lines, "\n"), "GET a.test/v1/x?q=1 {}\nPOST a.test/v1/y "; got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if s.tls != 1 {
				t.Errorf("%d exchanges inside TLS, want 1", s.tls)
			}
		})
	}
}

func TestALineTooLongIsSkipped(t *testing.T) {
	var s seen
	in := strings.Repeat("x", MaxLine+10) + "\n" + log
	res, err := Read(context.Background(), strings.NewReader(in), 0, &s)
	if err != nil || res.Exchanges != 2 || res.Invalid != 3 {
		t.Errorf("got %+v, %v", res, err)
	}
}

func TestOtherFilesAreNotLogs(t *testing.T) {
	for _, head := range []string{"", "\xd4\xc3\xb2\xa1\x02\x00", "\x0a\x0d\x0d\x0a", "[1]", "hello", "\x1f\x8b\x08"} {
		if Sniff([]byte(head)) {
			t.Errorf("%q is taken for a log", head)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(log))
	f.Add([]byte(`{"method":"A","path":"/","client":"[::1%25x]:1","ts":"9999-12-31T23:59:59.999999999-23:59","status":-1,"reqHeaders":[["",""],["a"]]}`))
	f.Add([]byte("\x1f\x8b\x08\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var s seen
		Sniff(text)
		res, err := Read(context.Background(), bytes.NewReader(text), 7, &s)
		if uint64(len(s.lines)) != res.Exchanges {
			t.Errorf("%d exchanges, counted %d: %v", len(s.lines), res.Exchanges, err)
		}
		if bytes.HasPrefix(text, []byte{0x1f, 0x8b}) {
			return
		}
		// No line has anything to do with another.
		lines := uint64(0)
		for _, l := range bytes.Split(text, []byte("\n")) {
			if len(bytes.TrimSpace(l)) > 0 {
				lines++
			}
		}
		if err != nil || res.Exchanges+res.Invalid != lines {
			t.Errorf("%d lines, counted %+v: %v", lines, res, err)
		}
	})
}
