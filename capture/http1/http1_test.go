package http1

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"plainsight/capture"
	"plainsight/capture/capturetest"
)

var update = flag.Bool("update", false, "write the goldens")

// TestStories plays the conversations of testdata: each whole, and cut into
// pieces of one byte and of a few. The story is the same every time.
//
// A part of an archive is a turn: "client", "server", "lose client 100", "end
// server", with "\n" for a line end written as it is and CRLF as \r\n at each
// line's end. "midstream" as the first part says that the start was not seen.
func TestStories(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txtar")
	if len(files) == 0 {
		t.Fatal("no stories")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			conn := capture.Conn{ID: 1}
			var steps []capturetest.Step
			want := -1
			for i, part := range archive.Files {
				words := strings.Fields(part.Name)
				d := capture.ToServer
				if len(words) > 1 && words[1] == "server" || words[0] == "server" {
					d = capture.ToClient
				}
				switch words[0] {
				case "midstream":
					conn.Midstream = true
				case "client", "server":
					steps = append(steps, capturetest.Step{Dir: d, Data: turn(t, string(part.Data))})
				case "lose":
					n, err := strconv.Atoi(words[2])
					if err != nil {
						t.Fatal(err)
					}
					steps = append(steps, capturetest.Lost(d, n))
				case "end":
					steps = append(steps, capturetest.End(d))
				case "want":
					want = i
				default:
					t.Fatalf("no such turn: %s", part.Name)
				}
			}
			if want < 0 {
				archive.Files = append(archive.Files, txtar.File{Name: "want"})
				want = len(archive.Files) - 1
			}
			for _, cut := range []int{0, 1, 2, 3, 5, 17, 64} {
				xs, _, _ := converse(Options{}, conn, cut, steps...)
				got := story(xs)
				if *update && cut == 0 {
					archive.Files[want].Data = []byte(got)
					if err := os.WriteFile(file, txtar.Format(archive), 0o666); err != nil {
						t.Fatal(err)
					}
				}
				if got != string(archive.Files[want].Data) {
					t.Fatalf("in pieces of %d:\n%s\nwant:\n%s", cut, got, archive.Files[want].Data)
				}
			}
		})
	}
}

// turn turns the text of a part into bytes: lines are joined, escapes as in Go.
func turn(t testing.TB, text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		bytes, err := strconv.Unquote(`"` + strings.ReplaceAll(line, `"`, `\"`) + `"`)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		b.WriteString(bytes)
	}
	return b.String()
}

// TestNothingIsInvented feeds what is not HTTP.
func TestNothingIsInvented(t *testing.T) {
	for _, text := range []string{
		"", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "SSH-2.0-OpenSSH_9.6\r\n", "220 mail ESMTP\r\n",
		"EHLO host\r\n", "USER anonymous\r\n", "OPTIONS sip:a@b SIP/2.0\r\n\r\n", "DESCRIBE rtsp://h/s RTSP/1.0\r\n\r\n",
		"GET /s ICE/1.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "*1\r\n$4\r\nPING\r\n", "GET key\r\n", "get a b c d\r\n",
		"{\"method\":\"GET / HTTP/1.1\"}\r\n", "HTTP\x00/1.1", "HTTPS/1.1 200 OK\r\n", "the line GET / HTTP/1.1\r\n",
		strings.Repeat("\r\n", 300), strings.Repeat("A", 100000),
	} {
		for _, midstream := range []bool{false, true} {
			for d := capture.ToServer; d <= capture.ToClient; d++ {
				for n := range min(len(text), 300) + 1 {
					if sniff(d, []byte(text[:n]), midstream) == capture.Yes {
						t.Errorf("%.40q, first %d bytes, dir %d, midstream %t: taken for HTTP", text, n, d, midstream)
					}
				}
				conn := capture.Conn{Midstream: midstream}
				xs, _, _ := converse(Options{}, conn, 3, capturetest.Step{Dir: d, Data: text})
				if len(xs) > 0 {
					t.Errorf("%.40q: invented %q", text, story(xs))
				}
			}
		}
	}
}

func TestSniff(t *testing.T) {
	for _, c := range []struct {
		d         capture.Dir
		text      string
		midstream bool
		want      capture.Verdict
	}{
		{capture.ToServer, "G", false, capture.Maybe},
		{capture.ToServer, "GET / HTTP/1.1\r\n", false, capture.Yes},
		{capture.ToServer, "\r\nGET / HTTP/1.1\r\n", false, capture.Yes},
		{capture.ToServer, "BREW /pot HTTP/1.1\r\n", false, capture.Yes},
		{capture.ToServer, "GET /" + strings.Repeat("a", 300), false, capture.Yes},
		{capture.ToServer, "BREW /" + strings.Repeat("a", 300), false, capture.Maybe},
		{capture.ToServer, "GET /\r\n", false, capture.Maybe},
		{capture.ToServer, "GET /\r\n\r\n", false, capture.Yes},
		{capture.ToServer, "GET /\r\n", true, capture.Maybe},
		{capture.ToServer, "\x00\x01", false, capture.No},
		{capture.ToServer, "tail of a body}\r\nGET / HTTP/1.1\r\n", true, capture.Yes},
		{capture.ToServer, "tail of a body}\r\nGET / HTTP/1.1\r\n", false, capture.No},
		{capture.ToServer, `{"a":1}POST /x HTTP/1.1` + "\r\n", true, capture.Yes},
		{capture.ToClient, "HTTP/1.1 200 OK\r\n", false, capture.Yes},
		{capture.ToClient, "HTTP/1.", false, capture.Maybe},
		{capture.ToClient, "HTTP/2 200\r\n", false, capture.Yes},
		{capture.ToClient, "GET / HTTP/1.1\r\n", false, capture.No},
		{capture.ToServer, "HTTP/1.1 200 OK\r\n", false, capture.No},
	} {
		if got := sniff(c.d, []byte(c.text), c.midstream); got != c.want {
			t.Errorf("dir %d, midstream %t, %.40q: %d, want %d", c.d, c.midstream, c.text, got, c.want)
		}
	}
}

// controls agrees with a look at each byte, wherever it stands.
func TestControls(t *testing.T) {
	for _, filler := range []byte{'a', ' ', 0x80, 0xff, '\n', '\r', '\t', 0} {
		for c := range 256 {
			for at := range 20 {
				b := bytes.Repeat([]byte{filler}, 20)
				b[at] = byte(c)
				if got := controls(b); got != controlIn(b) {
					t.Fatalf("%#x at %d among %#x: %v", c, at, filler, got)
				}
			}
		}
	}
}
