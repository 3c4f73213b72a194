package har

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"plainsight/capture"
)

type seen []*capture.Exchange

func (s *seen) Exchange(x *capture.Exchange) { *s = append(*s, x) }
func (*seen) Handshake(*capture.Handshake)   {}
func (*seen) WebSocket(*capture.WebSocket)   {}
func (*seen) Connection(*capture.Summary)    {}

const archiveText = "\xef\xbb\xbf" + `{
 "log": {
  "version": "1.2", "creator": {"name": "x", "version": "1"}, "pages": [{"id": "p"}],
  "entries": [
   {"startedDateTime": "2025-03-03T08:00:00.250+01:00", "time": 120.5, "serverIPAddress": "[2001:db8::5]", "connection": "77", "timings": {"blocked": 5, "dns": -1, "connect": 10, "send": 5, "wait": 80, "receive": 20.5},
    "request": {"method": "POST", "url": "https://user:pw@shop.example/api/orders?x=1#top", "httpVersion": "h2", "headers": [{"name": ":method", "value": "POST"}, {"name": "Accept", "value": "*/*"}],
     "cookies": [], "queryString": [], "bodySize": 9, "postData": {"mimeType": "application/json", "text": "{\"a\": \"é\"}"}},
    "response": {"status": 201, "statusText": "Created", "httpVersion": "h2", "headers": [{"name": "content-type", "value": "application/json"}, {"name": "Content-Length", "value": "8"}], "content": {"size": 8, "mimeType": "application/json", "text": "eyJpZCI6MX0=", "encoding": "base64"}, "bodySize": 8}},
   {"startedDateTime": "2025-03-03T08:00:01Z", "serverIPAddress": "2001:db8::5", "connection": 77,
    "request": {"method": "POST", "url": "https://shop.example", "postData": {"mimeType": "application/x-www-form-urlencoded", "params": [{"name": "q", "value": "a b"}]}},
    "response": {"status": 200, "content": {"size": 5000, "mimeType": "image/png"}}},
   {"request": {"method": "GET", "url": "http://stock.internal:8080/v1?y"}, "response": {"status": 0}},
   {"request": {"method": "GET", "url": "data:image/png;base64,xx"}, "response": {"status": 200}},
   {"request": {"method": "GET"}},
   "nothing", 7, null,
   {"request": {"method": "GET", "url": "http://h/a"}, "response": {"status": "odd"}}
  ],
  "comment": ["after"]
 }
}
`

func read(t *testing.T, text string) (seen, Result, error) {
	t.Helper()
	var s seen
	res, err := Read(context.Background(), strings.NewReader(text), 100, &s)
	return s, res, err
}

func TestEveryEntryIsAnExchangeOrCounted(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write([]byte(archiveText))
	z.Close()
	for name, text := range map[string]string{"plain": archiveText, "gzip": packed.String()} {
		t.Run(name, func(t *testing.T) {
			if !Sniff([]byte(text)) {
				t.Error("the archive is not recognised")
			}
			s, res, err := read(t, text)
			if err != nil || res != (Result{Exchanges: 3, Invalid: 6}) || len(s) != 3 {
				t.Fatalf("%+v, %v", res, err)
			}
			x := s[0]
			if string(x.Method) != "POST" || string(x.Authority) != "shop.example" || string(x.Target) != "/api/orders?x=1" || string(x.Scheme) != "https" || x.Status != 201 || !x.Conn.Encrypted || x.Conn.Server.String() != "[2001:db8::5]:443" {
				t.Errorf("%s %s %s %d, %+v", x.Method, x.Authority, x.Target, x.Status, x.Conn)
			}
			if string(x.Request.Body) != `{"a": "é"}` || string(x.Request.Get("content-type")) != "application/json" || len(x.Request.Headers) != 2 || x.Request.Proto != capture.HTTP2 {
				t.Errorf("%+v", x.Request)
			}
			if string(x.Response.Body) != `{"id":1}` || x.Response.Truncated || x.Response.ContentLength != 8 || len(x.Response.Headers) != 2 {
				t.Errorf("%+v", x.Response)
			}
			if x.Latency() != 80*time.Millisecond || !x.Request.Start.Time.Equal(time.Date(2025, 3, 3, 7, 0, 0, 25e7, time.UTC)) || x.Request.Start.Frame != 101 {
				t.Errorf("latency %v from %v", x.Latency(), x.Request.Start)
			}
			if y := s[1]; string(y.Target) != "/" || string(y.Request.Body) != "q=a+b" || !y.Response.Truncated || y.Conn != x.Conn {
				t.Errorf("%s, %+v", y.Target, y)
			}
			if y := s[2]; string(y.Target) != "/v1?y" || y.Conn.Encrypted || y.Response.Seen || y.Request.Start.Frame != 103 {
				t.Errorf("%s, %+v", y.Target, y)
			}
		})
	}
}

func TestWhatIsNoArchive(t *testing.T) {
	for _, text := range []string{"", "{", "[]", "7", `{"log": 5}`, `{"log": {"entries": {}}}`, `{"log": {"entries": 3}}`, `{"ts": "2025"}{`, "\x1f\x8b", `{"log": {"entries"`} {
		if s, _, err := read(t, text); len(s) > 0 || err == nil {
			t.Errorf("%q is an archive: %v", text, err)
		} else if text != "\x1f\x8b" && !errors.Is(err, ErrNone) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{`{"a": {"log": 1}}`, `[{"log"`, "log", "", `{"ts":"x","method":"GET"}`} {
		if Sniff([]byte(text)) {
			t.Errorf("%q looks like an archive", text)
		}
	}
	if s, res, err := read(t, `{"log": {}}`); len(s) > 0 || err != nil || res.Exchanges > 0 {
		t.Errorf("an empty log: %v", err)
	}
}

// A broken archive keeps what came before, and says so without quoting.
func TestABrokenArchive(t *testing.T) {
	for _, end := range []string{`{"request": {"method": "secret"`, `{"request": "secret" "secret"}]}}`, ``} {
		s, res, err := read(t, `{"log": {"entries": [{"request": {"method": "GET", "url": "http://h/a"}, "response": {"status": 200}},`+end)
		if len(s) != 1 || res.Exchanges != 1 || err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %d exchanges, %v", end, len(s), err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := Read(ctx, strings.NewReader(archiveText), 0, new(seen)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// endless is an entry without an end.
type endless struct{ n int64 }

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'a'
	}
	e.n += int64(len(b))
	return len(b), nil
}

func TestAnEntryIsBounded(t *testing.T) {
	e := &endless{}
	_, err := Read(context.Background(), io.MultiReader(strings.NewReader(`{"log": {"entries": [{"request": {"url": "`), e), 0, new(seen))
	if err == nil || e.n > MaxEntry+1<<20 {
		t.Errorf("%d bytes were read: %v", e.n, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(archiveText))
	f.Add([]byte(`{"log":{"entries":[{"request":{"method":"A","url":"http://@"},"response":{"content":{"encoding":"base64","text":"=="}}}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var s seen
		Sniff(text)
		res, err := Read(context.Background(), bytes.NewReader(text), 0, &s)
		if uint64(len(s)) != res.Exchanges {
			t.Errorf("%d exchanges, counted %d: %v", len(s), res.Exchanges, err)
		}
		for _, x := range s {
			if len(x.Method) == 0 || len(x.Authority) == 0 || len(x.Target) == 0 || x.Conn == nil {
				t.Errorf("%+v", x)
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	var text bytes.Buffer
	text.WriteString(`{"log": {"entries": [`)
	for i := range 200 {
		fmt.Fprintf(&text, `{"startedDateTime": "2025-03-03T08:00:00Z", "request": {"method": "GET", "url": "https://h.example/a/%d", "headers": [{"name": "accept", "value": "*/*"}]}, "response": {"status": 200, "headers": [], "content": {"size": 2000, "mimeType": "text/plain", "text": %q}}},`, i, strings.Repeat("x", 2000))
	}
	text.Truncate(text.Len() - 1)
	text.WriteString(`]}}`)
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(context.Background(), bytes.NewReader(text.Bytes()), 0, new(seen)); err != nil {
			b.Fatal(err)
		}
	}
}
