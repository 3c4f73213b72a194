package pcapgen

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"
)

// Load describes a load of HTTP/1 exchanges with JSON answers.
type Load struct {
	Bytes       int64 // size of the capture at which it ends
	Connections int   // open at a time; a connection is used for a hundred exchanges
	MinBody     int   // bytes of an answer's body
	MaxBody     int
	Seed        uint64
}

// Made says what a load came to.
type Made struct {
	Bytes     int64
	Exchanges int
}

// HTTP1 writes the load: requests and answers of a shop-like API on many
// connections at once, in segments as a veth pair carries them.
func (l Load) HTTP1(w io.Writer) (Made, error) {
	wire, err := NewWire(w)
	if err != nil {
		return Made{}, err
	}
	r := rand.New(rand.NewPCG(l.Seed, 7))
	bodies := make([][]byte, 512)
	for i := range bodies {
		bodies[i] = listing(r, l.MinBody+r.IntN(l.MaxBody-l.MinBody+1))
	}
	now := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	tick := func(d time.Duration) time.Time { now = now.Add(d); return now }
	to := netip.MustParseAddrPort("10.1.0.2:8080")
	type connection struct {
		*Conn
		used int
	}
	idle := make([]connection, l.Connections)
	var waiting []connection // those whose request is not answered yet, the oldest first
	var made Made
	var buf []byte
	answer := func() {
		c := waiting[0]
		waiting = waiting[1:]
		body := bodies[r.IntN(len(bodies))]
		buf = fmt.Appendf(buf[:0], "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body))
		buf = append(buf, body...)
		c.Data(server, buf, tick(50*time.Microsecond))
		tick(time.Duration(len(buf)/MSS) * 5 * time.Microsecond)
		if c.used++; c.used == 100 {
			c.Close(tick(time.Microsecond))
			tick(200 * time.Microsecond)
			c = connection{}
		}
		idle = append(idle, c)
		made.Exchanges++
	}
	for n := 0; wire.Bytes() < l.Bytes; n++ {
		i := r.IntN(len(idle))
		c := idle[i]
		idle[i] = idle[len(idle)-1]
		idle = idle[:len(idle)-1]
		if c.Conn == nil {
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 1, byte(1 + i%200)}), uint16(20000+n%40000))
			c.Conn = wire.Open(from, to, tick(20*time.Microsecond))
			tick(200 * time.Microsecond)
		}
		buf = request(buf[:0], r)
		c.Data(client, buf, tick(20*time.Microsecond))
		if waiting = append(waiting, c); len(waiting) > l.Connections/4 {
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
	made.Bytes = wire.Bytes()
	return made, wire.Close()
}

// request appends a request of one of a dozen endpoints.
func request(b []byte, r *rand.Rand) []byte {
	method, body := "GET", ""
	var target string
	switch r.IntN(6) {
	case 0:
		target = "/api/v1/users/" + strconv.Itoa(r.IntN(50000))
	case 1:
		target = fmt.Sprintf("/api/v1/orders/%08x-%04x-4%03x-9%03x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Int64N(1<<48))
	case 2:
		target = "/api/v1/products?page=" + strconv.Itoa(r.IntN(40)) + "&sort=price"
	case 3:
		target = "/api/v1/products/" + strconv.Itoa(r.IntN(3000)) + "/reviews"
	case 4:
		target = "/api/v1/search?q=" + words[r.IntN(len(words))]
	default:
		method, target = "POST", "/api/v1/carts/"+strconv.Itoa(r.IntN(50000))+"/items"
		body = fmt.Sprintf(`{"product_id":%d,"quantity":%d,"note":%q}`, r.IntN(3000), 1+r.IntN(4), words[r.IntN(len(words))])
	}
	b = fmt.Appendf(b, "%s %s HTTP/1.1\r\nHost: api.bench.test\r\nUser-Agent: load/1.0\r\nAccept: application/json\r\n"+
		"Authorization: Bearer %016x%016x\r\n", method, target, uint64(r.IntN(500))*0x9e3779b97f4a7c15, uint64(0xfeedface))
	if body != "" {
		b = fmt.Appendf(b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	return append(append(b, "\r\n"...), body...)
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
