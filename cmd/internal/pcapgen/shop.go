package pcapgen

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Shop writes a capture of a small shop's API, in the clear and over TLS. The
// bytes are those of Go's own HTTP and TLS server and client, talking over
// loopback; addresses and times are made up. People, cards and keys in it are
// invented.
//
// What a reader should find in it: a login, cards and personal data in
// plaintext, a token that never expires and is signed with a word, a list of
// customers that anyone may read, a reset token in a URL, a stack trace, old TLS
// with an expired certificate; and behind TLS 1.3, nothing.
func Shop(w io.Writer) error {
	wire, err := NewWire(w)
	if err != nil {
		return err
	}
	s := &shop{wire: wire, now: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)}
	if err := s.run(); err != nil {
		return err
	}
	return wire.Close()
}

// shop is the world of the demo: a clock, a wire, and who lives there.
type shop struct {
	wire *Wire
	mu   sync.Mutex // guards now and the wire
	now  time.Time
	port uint16
}

// clock moves the time of the capture on and returns it.
func (s *shop) clock(d time.Duration) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
	return s.now
}

type customer struct {
	ID    int    `json:"id"`
	Name  string `json:"full_name"`
	Email string `json:"email"`
	Phone string `json:"phone"`
	Born  string `json:"date_of_birth"`
	IBAN  string `json:"iban,omitempty"`
}

var customers = []customer{
	{1041, "Maren Holt", "maren.holt@postbox.shop", "+4930901820147", "1987-04-12", "DE08700901001234567890"},
	{1042, "Tomás Iglesias", "tomas.iglesias@postbox.shop", "+34612345098", "1979-11-30", "ES7921000813610123456789"},
	{1043, "Priya Nair", "priya.nair@kitemail.net", "+442079460817", "1994-02-03", "GB33BUKB20201555555555"},
	{1044, "Jonas Lind", "jonas.lind@kitemail.net", "+46701740615", "1990-08-21", ""},
	{1045, "Aiko Tanabe", "aiko.tanabe@postbox.shop", "+81312345611", "1983-06-09", ""},
	{1046, "Luca Ferri", "luca.ferri@kitemail.net", "+390612345678", "1971-12-17", "IT60X0542811101000000123456"},
}

var products = []string{"kettle", "desk lamp", "wool blanket", "oak shelf", "tea set", "bread knife", "garden chair",
	"rain barrel", "bicycle bell", "door mat", "fruit bowl", "wall clock"}

func (s *shop) run() error {
	plain := http.HandlerFunc(s.serve)
	shopAPI := site{name: "shop.example", addr: netip.MustParseAddrPort("198.51.100.20:80"), handler: plain}
	internal := site{name: "stock.internal:8080", addr: netip.MustParseAddrPort("10.0.3.7:8080"), handler: plain}
	pay := site{name: "pay.shop.example", addr: netip.MustParseAddrPort("198.51.100.21:443"), handler: plain,
		tls: s.certificate("pay.shop.example", s.now.AddDate(0, 8, 0), tls.VersionTLS13, tls.VersionTLS13)}
	old := site{name: "old.shop.example", addr: netip.MustParseAddrPort("198.51.100.22:443"), handler: plain,
		tls: s.certificate("old.shop.example", s.now.AddDate(0, -1, 0), tls.VersionTLS10, tls.VersionTLS10)}

	for i, c := range customers {
		from := netip.AddrFrom4([4]byte{203, 0, 113, byte(10 + i)})
		if err := s.visit(shopAPI, from, func(b *browser) { s.buy(b, c) }); err != nil {
			return err
		}
		if err := s.visit(pay, from, func(b *browser) { b.do("POST", "/v1/charges", "", `{"amount":4200,"currency":"EUR"}`) }); err != nil {
			return err
		}
	}
	for _, v := range []struct {
		site site
		from string
		tell func(*browser)
	}{
		{old, "203.0.113.40", func(b *browser) { b.do("GET", "/api/v1/products", "", "") }},
		{internal, "10.0.2.5", s.restock},
		{shopAPI, "192.0.2.66", s.scan},
	} {
		if err := s.visit(v.site, netip.MustParseAddr(v.from), v.tell); err != nil {
			return err
		}
	}
	return nil
}

// buy is what a customer does: look around, log in, order, look again.
func (s *shop) buy(b *browser, c customer) {
	b.do("GET", "/api/v1/products?page=1", "", "")
	for i := range 8 {
		b.do("GET", fmt.Sprintf("/api/v1/products/%d", 1+(c.ID+i*5)%97), "", "")
	}
	b.do("GET", "/api/v1/search?q=lamp&sort=price", "", "")
	token := b.do("POST", "/api/v1/login", "", fmt.Sprintf(`{"email":%q,"password":"%s-s3cret!%d"}`,
		c.Email, strings.ToLower(c.Name[:4]), c.ID))["token"]
	auth := fmt.Sprint("Bearer ", token)
	b.do("GET", fmt.Sprintf("/api/v1/users/%d", c.ID), auth, "")
	for n := range 2 {
		order := b.do("POST", "/api/v1/orders", auth, fmt.Sprintf(
			`{"items":[{"product_id":%d,"quantity":%d}],"card_number":%q,"card_expiry":"0%d/29","cvv":"%d"}`,
			11+n*7, 1+n, card(c.ID), 1+n, 204+c.ID%700))
		b.do("GET", fmt.Sprint("/api/v1/orders/", order["id"]), auth, "")
	}
	b.do("GET", "/api/v1/customers?limit=50", "", "")
	b.do("GET", fmt.Sprintf("/reset?token=%x", sha256.Sum256([]byte(c.Email)))[:47], "", "")
	b.do("GET", fmt.Sprintf("/api/v1/orders/%d/invoice", c.ID), auth, "")
}

// restock is a machine that talks to another one with a key and a password.
func (s *shop) restock(b *browser) {
	for i := range 25 {
		b.header("X-Api-Key", "sk_live_"+hexOf("stock", 24))
		b.do("PUT", fmt.Sprintf("/v2/warehouses/berlin/items/SKU-%05d", 10000+i*37), "", fmt.Sprintf(`{"on_hand":%d,"bin":"A-%d"}`, 40+i, i%9))
	}
	b.do("GET", "/v2/health", "Basic "+base64.StdEncoding.EncodeToString([]byte("stock:warehouse1")), "")
}

// scan is a stranger who tries doors that are not there.
func (s *shop) scan(b *browser) {
	for _, p := range []string{"/.env", "/wp-login.php", "/phpmyadmin/", "/.git/config", "/actuator/env", "/server-status"} {
		b.do("GET", p, "", "")
	}
}

// card makes a number that passes the check digit (ISO/IEC 7812).
func card(seed int) string {
	digits := fmt.Sprintf("453988%09d", seed*7919)
	total := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		total += d
	}
	return fmt.Sprint(digits, (10-total%10)%10)
}

func hexOf(seed string, n int) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(seed)))[:n] }

// serve is the shop's server.
func (s *shop) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", s.clock(3*time.Millisecond).Format(http.TimeFormat))
	w.Header().Set("Server", "nginx/1.14.2")
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	var in map[string]any
	_ = json.NewDecoder(r.Body).Decode(&in)
	switch {
	case r.URL.Path == "/api/v1/products" || r.URL.Path == "/api/v1/search":
		var list []any
		for i, name := range products {
			list = append(list, product(i+1, name))
		}
		packed(w, map[string]any{"products": list, "total": len(list)})
	case strings.HasPrefix(r.URL.Path, "/api/v1/products/"):
		var id int
		fmt.Sscan(path[3], &id)
		answer(w, 200, product(id, products[id%len(products)]))
	case r.URL.Path == "/api/v1/login":
		for _, c := range customers {
			if c.Email == in["email"] {
				http.SetCookie(w, &http.Cookie{Name: "session_id", Value: hexOf(c.Email, 32), Path: "/"})
				answer(w, 200, map[string]any{"token": s.token(c), "user_id": c.ID})
			}
		}
	case strings.HasPrefix(r.URL.Path, "/api/v1/users/"):
		for _, c := range customers {
			if fmt.Sprint(c.ID) == path[3] {
				answer(w, 200, c)
			}
		}
	case r.URL.Path == "/api/v1/customers":
		w.Header().Set("Access-Control-Allow-Origin", "*")
		answer(w, 200, map[string]any{"customers": customers})
	case r.URL.Path == "/api/v1/orders":
		h := hexOf(fmt.Sprint(in), 32)
		id := fmt.Sprintf("%s-%s-4%s-9%s-%s", h[:8], h[8:12], h[13:16], h[17:20], h[20:])
		answer(w, 201, map[string]any{"id": id, "status": "paid", "total": 42.5})
	case len(path) == 5 && path[4] == "invoice":
		w.WriteHeader(500)
		io.WriteString(w, "Traceback (most recent call last):\n  File \"/srv/shop/orders/views.py\", line 88, in invoice\n"+
			"    return render(order)\n  File \"/srv/shop/orders/pdf.py\", line 31, in render\n    raise KeyError(order.id)\nKeyError: 'order'\n")
	case strings.HasPrefix(r.URL.Path, "/api/v1/orders/"):
		answer(w, 200, map[string]any{"id": path[3], "status": "paid", "shipped": nil, "total": 42.5,
			"created_at": s.clock(0).Format(time.RFC3339), "items": []any{map[string]any{"product_id": 11, "quantity": 1}}})
	case r.URL.Path == "/reset":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, "<!doctype html><title>New password</title><form method=post></form>")
	case strings.HasPrefix(r.URL.Path, "/v2/warehouses/"):
		answer(w, 200, map[string]any{"sku": path[4], "updated_at": s.clock(0).Format(time.RFC3339)})
	case r.URL.Path == "/v2/health":
		answer(w, 200, map[string]any{"ok": true})
	case r.URL.Path == "/v1/charges":
		answer(w, 200, map[string]any{"charged": true})
	default:
		http.NotFound(w, r)
	}
}

func product(id int, name string) map[string]any {
	return map[string]any{"id": id, "name": name, "price": 9.5 + float64(id%40), "in_stock": id%5 != 0,
		"tags": []string{"home", "new"}, "rating": nil}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// packed answers with gzip in chunks, as a proxy in front of a shop does.
func packed(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Encoding", "gzip")
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	json.NewEncoder(z).Encode(v)
	z.Close()
	for b.Len() > 0 {
		w.Write(b.Next(200))
		w.(http.Flusher).Flush()
	}
}

// token signs with a word and sets no expiry.
func (s *shop) token(c customer) string {
	enc := base64.RawURLEncoding
	head := enc.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`))
	claims, _ := json.Marshal(map[string]any{"sub": fmt.Sprint(c.ID), "email": c.Email, "role": "customer", "iat": s.clock(0).Unix()})
	signed := head + "." + enc.EncodeToString(claims)
	mac := hmac.New(sha256.New, []byte("secret"))
	mac.Write([]byte(signed))
	return signed + "." + enc.EncodeToString(mac.Sum(nil))
}

// site is a server of the shop: a name and an address on the wire, and really a
// listener on loopback.
type site struct {
	name    string
	addr    netip.AddrPort
	handler http.Handler
	tls     *tls.Config
}

// visit lets a client at an address talk to a site over one connection.
func (s *shop) visit(to site, from netip.Addr, tell func(*browser)) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: to.handler, TLSConfig: to.tls, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if to.tls != nil {
			srv.ServeTLS(l, "", "")
		} else {
			srv.Serve(l)
		}
	}()
	s.port++
	b := &browser{shop: s, site: to, headers: http.Header{}}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.now = s.now.Add(40 * time.Millisecond)
		b.tap = &tap{Conn: c, shop: s, wire: s.wire.Open(netip.AddrPortFrom(from, 40000+s.port), to.addr, s.now)}
		return b.tap, nil
	}
	b.client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DialContext: dial, MaxConnsPerHost: 1, DisableCompression: true,
		// Nothing leaves loopback, and the old site's certificate has expired: that is the point of it.
		TLSClientConfig: &tls.Config{ServerName: to.name, InsecureSkipVerify: true, MinVersion: tls.VersionTLS10},
	}}
	tell(b)
	b.client.CloseIdleConnections()
	srv.Close()
	<-served
	if b.tap != nil {
		s.mu.Lock()
		s.now = s.now.Add(5 * time.Millisecond)
		b.tap.wire.Close(s.now)
		s.mu.Unlock()
	}
	return b.err
}

// browser is a client of one site. Its first error ends it.
type browser struct {
	shop    *shop
	site    site
	client  *http.Client
	headers http.Header
	tap     *tap
	err     error
}

func (b *browser) header(name, value string) { b.headers.Set(name, value) }

// do sends a request and returns the answer's JSON object, if it is one.
func (b *browser) do(method, target, auth, body string) map[string]any {
	if b.err != nil {
		return nil
	}
	scheme := "http://"
	if b.site.tls != nil {
		scheme = "https://"
	}
	b.shop.clock(20 * time.Millisecond)
	r, err := http.NewRequest(method, scheme+b.site.name+target, strings.NewReader(body))
	if err != nil {
		b.err = err
		return nil
	}
	r.Header = b.headers.Clone()
	r.Header.Set("User-Agent", "shop-app/3.2 (demo)")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if auth != "" {
		r.Header.Set("Authorization", auth)
	}
	resp, err := b.client.Do(r)
	if err != nil {
		b.err = err
		return nil
	}
	defer resp.Body.Close()
	var out map[string]any
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		b.err = err
	}
	_ = json.Unmarshal(raw, &out) // many answers are no objects
	return out
}

// tap is a client's connection whose bytes are put on the wire as they pass.
type tap struct {
	net.Conn
	shop *shop
	wire *Conn
}

func (t *tap) Write(b []byte) (int, error) {
	t.record(client, b) // before it is sent: the answer must not be recorded first
	return t.Conn.Write(b)
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.record(server, b[:n])
	return n, err
}

func (t *tap) record(from int, b []byte) {
	t.shop.mu.Lock()
	defer t.shop.mu.Unlock()
	t.shop.now = t.shop.now.Add(400 * time.Microsecond)
	t.wire.Data(from, b, t.shop.now)
}

// certificate makes a self-signed certificate and a server that speaks the
// given versions of TLS.
func (s *shop) certificate(name string, until time.Time, from, to uint16) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // the random source never fails (Go 1.24)
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(until.Unix()), Subject: pkix.Name{CommonName: name},
		DNSNames: []string{name}, NotBefore: until.AddDate(-1, 0, 0), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		panic(err) // a template of ours: a bug
	}
	return &tls.Config{MinVersion: from, MaxVersion: to, // old on purpose: the demo has something to find
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}
