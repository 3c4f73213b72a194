package http1

import (
	"fmt"
	"slices"
	"strings"

	"plainsight/capture"
	"plainsight/capture/capturetest"
)

// converse plays steps into a new parser and returns what came out.
func converse(o Options, conn capture.Conn, cut int, steps ...capturetest.Step) ([]capturetest.Exchange, capturetest.Played, capture.Counts) {
	var r capturetest.Recorder
	var n capture.Counts
	played := capturetest.Play(Protocol(o).New(&conn, &r, &n), cut, steps...)
	return r.Exchanges, played, n
}

// story writes exchanges down for people: what a golden compares.
func story(xs []capturetest.Exchange) string {
	var b strings.Builder
	for i, x := range xs {
		if i > 0 {
			b.WriteByte('\n')
		}
		if m := &x.Request; m.Seen {
			fmt.Fprintf(&b, "> %s %s %s", x.Method, x.Target, m.Proto)
			if x.Authority != "" {
				fmt.Fprintf(&b, " for %s", x.Authority)
			}
			b.WriteByte('\n')
			tell(&b, '>', m)
		}
		for _, status := range x.Interim {
			fmt.Fprintf(&b, "< (%d)\n", status)
		}
		if m := &x.Response; m.Seen {
			fmt.Fprintf(&b, "< %s %d %s\n", m.Proto, x.Status, x.Reason)
			tell(&b, '<', m)
		}
	}
	return b.String()
}

func tell(b *strings.Builder, side byte, m *capturetest.Message) {
	for _, f := range m.Headers {
		fmt.Fprintf(b, "%c   %s: %q\n", side, f.Name, f.Value)
	}
	for _, f := range m.Trailer {
		fmt.Fprintf(b, "%c   trailer %s: %q\n", side, f.Name, f.Value)
	}
	if m.BodySize > 0 || m.ContentLength > 0 || m.Chunked {
		fmt.Fprintf(b, "%c   body of %d", side, m.BodySize)
		if m.DecodedSize != m.BodySize {
			fmt.Fprintf(b, ", %d decoded", m.DecodedSize)
		}
		if m.ContentLength >= 0 {
			fmt.Fprintf(b, ", announced %d", m.ContentLength)
		}
		if m.Chunked {
			b.WriteString(", chunked")
		}
		if m.Truncated {
			b.WriteString(", truncated")
		}
		body := m.Body
		if len(body) > 60 {
			body = append(slices.Clone(body[:60]), "…"...)
		}
		fmt.Fprintf(b, ": %q\n", body)
	}
	if m.Flaws != 0 {
		fmt.Fprintf(b, "%c   flaws: %s\n", side, strings.Join(m.Flaws.Names(), " "))
	}
}
