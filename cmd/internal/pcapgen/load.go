package pcapgen

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"
)

// Load describes a load of exchanges with an API: many clients, one server, one
// protocol, in segments as a veth pair carries them.
type Load struct {
	Protocol Protocol // what the connections speak
	Bytes    int64    // of traffic at which it ends
	Most     int      // connections after which it ends; 0: any number
	Open     int      // connections open at a time
	Uses     int      // exchanges of a connection
	MinBody  int      // bytes of an answer's body
	MaxBody  int
	// Loss is the share of frames that the capture misses. The traffic is the same
	// with and without.
	Loss float64
	Seed uint64
}

// Protocol is what a [Load] speaks.
type Protocol uint8

// Protocols of loads.
const (
	HTTP1 Protocol = iota
	H2C            // HTTP/2 with prior knowledge, JSON answers
	GRPC           // unary calls over HTTP/2
)

// Made says what a load came to.
type Made struct {
	Bytes     int64 // of the file
	Frames    uint64
	Exchanges int
	// Heads holds, of each exchange of which the heads of both messages are in the
	// capture, the frame with that of the request. It is kept where there is loss.
	Heads []uint64 `json:",omitempty"`
}

// speaker is the two ends of a connection. What it returns is valid until the
// next call.
type speaker interface {
	// hello gives what each end says first, before any exchange.
	hello() (client, server []byte)
	// request gives the next request: its head, which fits a frame, stands first.
	request(r *rand.Rand) []byte
	// answer gives the answer to the oldest request, with a body of some kind.
	answer(body []byte) []byte
}

// Write writes the load as a capture.
func (l Load) Write(w io.Writer) (Made, error) {
	wire, err := NewWire(w)
	if err != nil {
		return Made{}, err
	}
	if l.Loss > 0 {
		luck := rand.New(rand.NewPCG(l.Seed, 11))
		wire.Miss = func() bool { return luck.Float64() < l.Loss }
	}
	r := rand.New(rand.NewPCG(l.Seed, 7))
	bodies := make([][]byte, 512)
	for i := range bodies {
		bodies[i] = l.body(r, l.MinBody+r.IntN(l.MaxBody-l.MinBody+1))
	}
	now := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	tick := func(d time.Duration) time.Time { now = now.Add(d); return now }
	to := netip.MustParseAddrPort("10.1.0.2:8080")
	type connection struct {
		*Conn
		speaker
		used int
		asks uint64 // frame of the request that waits, 0 if it was missed
	}
	idle := make([]connection, l.Open)
	var waiting []connection // those whose request is not answered yet, the oldest first
	var made Made
	opened := 0
	answer := func() {
		c := waiting[0]
		waiting = waiting[1:]
		b := c.answer(bodies[r.IntN(len(bodies))])
		heard := c.Data(server, b, tick(50*time.Microsecond))
		if l.Loss > 0 && c.asks > 0 && heard > 0 {
			made.Heads = append(made.Heads, c.asks)
		}
		tick(time.Duration(len(b)/MSS) * 5 * time.Microsecond)
		if c.used++; c.used == l.Uses {
			c.Close(tick(time.Microsecond))
			tick(200 * time.Microsecond)
			c = connection{}
		}
		idle = append(idle, c)
		made.Exchanges++
	}
	for wire.sent < l.Bytes {
		i := r.IntN(len(idle))
		c := idle[i]
		if c.Conn == nil {
			if l.Most > 0 && opened == l.Most {
				break
			}
			host, port := opened%200, 20000+opened/200%40000
			opened++
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 1, byte(1 + host)}), uint16(port))
			c.Conn = wire.Open(from, to, tick(20*time.Microsecond))
			tick(200 * time.Microsecond)
			c.speaker = l.speaker()
			ours, theirs := c.hello()
			c.Data(client, ours, tick(20*time.Microsecond))
			c.Data(server, theirs, tick(20*time.Microsecond))
		}
		idle[i] = idle[len(idle)-1]
		idle = idle[:len(idle)-1]
		c.asks = c.Data(client, c.request(r), tick(20*time.Microsecond))
		if waiting = append(waiting, c); len(waiting) > l.Open/4 {
			answer()
		}
	}
	for len(waiting) > 0 {
		answer()
	}
	for _, c := range idle {
		if c.Conn != nil {
			c.Close(tick(time.Millisecond))
		}
	}
	made.Bytes, made.Frames = wire.Bytes(), wire.frames
	return made, wire.Close()
}

func (l Load) speaker() speaker {
	switch l.Protocol {
	case H2C:
		return newH2(false)
	case GRPC:
		return newH2(true)
	}
	return new(h1)
}

func (l Load) body(r *rand.Rand, size int) []byte {
	if l.Protocol == GRPC {
		return record(r, size)
	}
	return listing(r, size)
}

// h1 speaks HTTP/1.1.
type h1 struct{ buf []byte }

func (*h1) hello() (client, server []byte) { return nil, nil }

func (h *h1) request(r *rand.Rand) []byte {
	c := draw(r)
	b := fmt.Appendf(h.buf[:0], "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: load/1.0\r\nAccept: application/json\r\n"+
		"Authorization: %s\r\n", c.method, c.target, host, c.authorization)
	if c.body != "" {
		b = fmt.Appendf(b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(c.body))
	}
	h.buf = append(append(b, "\r\n"...), c.body...)
	return h.buf
}

func (h *h1) answer(body []byte) []byte {
	b := fmt.Appendf(h.buf[:0], "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body))
	h.buf = append(b, body...)
	return h.buf
}

const host = "api.bench.test"

// call is a request of one of a dozen endpoints.
type call struct{ method, target, authorization, body string }

func draw(r *rand.Rand) call {
	c := call{method: "GET"}
	switch r.IntN(6) {
	case 0:
		c.target = "/api/v1/users/" + strconv.Itoa(r.IntN(50000))
	case 1:
		c.target = fmt.Sprintf("/api/v1/orders/%08x-%04x-4%03x-9%03x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Int64N(1<<48))
	case 2:
		c.target = "/api/v1/products?page=" + strconv.Itoa(r.IntN(40)) + "&sort=price"
	case 3:
		c.target = "/api/v1/products/" + strconv.Itoa(r.IntN(3000)) + "/reviews"
	case 4:
		c.target = "/api/v1/search?q=" + words[r.IntN(len(words))]
	default:
		c.method, c.target = "POST", "/api/v1/carts/"+strconv.Itoa(r.IntN(50000))+"/items"
		c.body = fmt.Sprintf(`{"product_id":%d,"quantity":%d,"note":%q}`, r.IntN(3000), 1+r.IntN(4), words[r.IntN(len(words))])
	}
	c.authorization = fmt.Sprintf("Bearer %016x%016x", uint64(r.IntN(500))*0x9e3779b97f4a7c15, uint64(0xfeedface))
	return c
}

var words = []string{"kettle", "lamp", "blanket", "shelf", "teapot", "knife", "chair", "barrel", "bell", "mat", "bowl", "clock",
	"amber", "basalt", "cedar", "dune", "ember", "fjord", "grove", "harbor"}

// listing makes a JSON body of about size bytes: a list of objects with the
// usual kinds of fields.
func listing(r *rand.Rand, size int) []byte {
	b := []byte(`{"items":[`)
	for i := 0; len(b) < size; i++ {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"id":%d,"uuid":"%08x-%04x-4%03x-9%03x-%012x","name":"%s %s","price":%d.%02d,"in_stock":%t,`+
			`"created_at":"2026-0%d-1%dT0%d:15:0%dZ","tags":["%s","%s"],"owner":{"id":%d,"display_name":"%s"},"note":%s}`,
			r.IntN(1e6), r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Int64N(1<<48),
			words[r.IntN(len(words))], words[r.IntN(len(words))], r.IntN(900), r.IntN(100), r.IntN(2) == 0,
			1+r.IntN(9), r.IntN(10), r.IntN(10), r.IntN(10), words[r.IntN(len(words))], words[r.IntN(len(words))],
			r.IntN(1e5), words[r.IntN(len(words))], [...]string{"null", `"left at the door, as agreed with the neighbour"`}[r.IntN(2)])
	}
	return append(b, "]}"...)
}
