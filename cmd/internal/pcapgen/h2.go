package pcapgen

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strconv"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2 speaks HTTP/2 with the framer and the header compression of x/net, each
// stream with one request and its answer; with gRPC in it or JSON.
type h2 struct {
	grpc    bool
	end     [2]h2end
	next    uint32   // stream of the next request
	waiting []uint32 // streams without an answer
}

// h2end is what one end writes.
type h2end struct {
	out    bytes.Buffer
	framer *http2.Framer
	block  bytes.Buffer
	encode *hpack.Encoder
}

func newH2(grpc bool) *h2 {
	h := &h2{grpc: grpc, next: 1}
	for i := range h.end {
		e := &h.end[i]
		e.framer = http2.NewFramer(&e.out, nil)
		e.encode = hpack.NewEncoder(&e.block)
	}
	return h
}

// frameSize is the largest frame that an end takes unless it says otherwise
// (RFC 9113 §6.5.2).
const frameSize = 16 << 10

// head writes a HEADERS frame. Writing to memory does not fail.
func (e *h2end) head(stream uint32, last bool, fields ...string) {
	e.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = e.encode.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	_ = e.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: e.block.Bytes(), EndStream: last, EndHeaders: true})
}

func (e *h2end) data(stream uint32, last bool, b []byte) {
	for len(b) > frameSize {
		_ = e.framer.WriteData(stream, false, b[:frameSize])
		b = b[frameSize:]
	}
	_ = e.framer.WriteData(stream, last, b)
}

func (h *h2) hello() (fromClient, fromServer []byte) {
	c, s := &h.end[client], &h.end[server]
	c.out.WriteString(http2.ClientPreface)
	_ = c.framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 4 << 20})
	_ = c.framer.WriteWindowUpdate(0, 1<<30)
	_ = s.framer.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 250})
	_ = s.framer.WriteSettingsAck()
	return c.out.Bytes(), s.out.Bytes()
}

func (h *h2) request(r *rand.Rand) []byte {
	e := &h.end[client]
	e.out.Reset()
	if h.next == 1 {
		_ = e.framer.WriteSettingsAck()
	}
	id := h.next
	h.next += 2
	h.waiting = append(h.waiting, id)
	c := draw(r)
	if h.grpc {
		e.head(id, false, ":method", "POST", ":scheme", "http", ":path", "/bench.v1.Shop/"+methods[r.IntN(len(methods))], ":authority", host,
			"content-type", "application/grpc", "user-agent", "load/1.0", "te", "trailers", "grpc-timeout", "1S", "authorization", c.authorization)
		e.data(id, true, message(appendField(nil, 1, uint64(r.IntN(50000)))))
		return e.out.Bytes()
	}
	fields := []string{":method", c.method, ":scheme", "http", ":path", c.target, ":authority", host,
		"user-agent", "load/1.0", "accept", "application/json", "authorization", c.authorization}
	if c.body == "" {
		e.head(id, true, fields...)
		return e.out.Bytes()
	}
	e.head(id, false, append(fields, "content-type", "application/json", "content-length", strconv.Itoa(len(c.body)))...)
	e.data(id, true, []byte(c.body))
	return e.out.Bytes()
}

func (h *h2) answer(body []byte) []byte {
	e := &h.end[server]
	e.out.Reset()
	id := h.waiting[0]
	h.waiting = append(h.waiting[:0], h.waiting[1:]...)
	if h.grpc {
		e.head(id, false, ":status", "200", "content-type", "application/grpc")
		e.data(id, false, message(body))
		e.head(id, true, "grpc-status", "0")
		return e.out.Bytes()
	}
	e.head(id, false, ":status", "200", "server", "bench", "content-type", "application/json", "content-length", strconv.Itoa(len(body)))
	e.data(id, true, body)
	return e.out.Bytes()
}

var methods = []string{"GetUser", "GetOrder", "ListProducts", "Search", "AddItem"}

// message makes a gRPC message of a body that is not compressed.
func message(body []byte) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 1, 5+len(body)), uint32(len(body)))
	return append(b, body...)
}

// record makes a protobuf message of about size bytes: repeated messages with
// numbers and text.
func record(r *rand.Rand, size int) []byte {
	var b []byte
	for len(b) < size {
		m := appendField(nil, 1, uint64(r.IntN(1e6)))
		m = appendBytes(m, 2, words[r.IntN(len(words))]+" "+words[r.IntN(len(words))])
		m = appendField(m, 3, math.Float64bits(float64(r.IntN(90000))/100)>>40)
		m = appendField(m, 4, uint64(r.IntN(2)))
		m = appendBytes(m, 5, strconv.FormatUint(r.Uint64(), 16))
		b = appendBytes(b, 1, string(m))
	}
	return b
}

// appendField and appendBytes write protobuf's varint and length-delimited
// fields.
func appendField(b []byte, n, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, n<<3), v)
}

func appendBytes(b []byte, n uint64, s string) []byte {
	b = binary.AppendUvarint(b, n<<3|2)
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
