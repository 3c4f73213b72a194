package http2

import (
	"plainsight/capture"
)

// grpc follows the messages in the bodies of a call: each is preceded by a byte
// that says whether it is compressed and four of its length
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
type grpc struct {
	capture.GRPC
	is     bool
	lost   [2]bool   // bytes are missing: nothing more is counted
	prefix [2]uint8  // bytes of a prefix that were read
	rest   [2]uint32 // bytes of the message still to come, or of its length so far
}

const grpcPrefix = 5

func (g *grpc) begin() {
	if !g.is {
		g.is, g.Status = true, -1
	}
}

// take follows bytes of a body.
func (g *grpc) take(d capture.Dir, b []byte) {
	if !g.is || g.lost[d] {
		return
	}
	for len(b) > 0 {
		if g.prefix[d] == grpcPrefix {
			n := min(uint64(len(b)), uint64(g.rest[d]))
			b = b[n:]
			g.Bytes[d] += int64(n)
			if g.rest[d] -= uint32(n); g.rest[d] == 0 {
				g.prefix[d] = 0
			}
			continue
		}
		if g.prefix[d] == 0 {
			g.Messages[d]++
			g.rest[d] = 0
			if b[0]&1 != 0 {
				g.Compressed[d]++
			}
		} else {
			g.rest[d] = g.rest[d]<<8 | uint32(b[0])
		}
		b = b[1:]
		if g.prefix[d]++; g.prefix[d] == grpcPrefix && g.rest[d] == 0 {
			g.prefix[d] = 0 // an empty message
		}
	}
}

// end marks a body that ends inside a message, if nothing else cut it.
func (g *grpc) end(m *capture.Message, d capture.Dir) {
	if g.is && g.prefix[d] != 0 && !g.lost[d] {
		m.Flaws |= capture.FlawGRPC
	}
}

// trailer looks for the status of a call.
func (g *grpc) trailer(fields []capture.Header) {
	if !g.is {
		return
	}
	for i := range fields {
		switch h := &fields[i]; string(h.Name) {
		case "grpc-status":
			if n, ok := grpcStatus(h.Value); ok {
				g.Status = n
			}
		case "grpc-message":
			g.Message = h.Value
		}
	}
}

// grpcStatus reads a status code, of which there are 17.
func grpcStatus(value capture.Text) (n int, ok bool) {
	if len(value) == 0 || len(value) > 4 {
		return 0, false
	}
	for _, c := range value {
		if c < '0' || '9' < c {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}
