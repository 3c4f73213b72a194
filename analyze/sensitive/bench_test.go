package sensitive

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"plainsight/analyze"
	"plainsight/analyze/body"
)

// shop is an answer of a shop-like API with n orders: names, times, ids,
// prices, URLs, texts. personal puts a customer with address into each.
func shop(n int, personal bool) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("the quick brown fox jumps over a lazy dog while green tables wait for blue chairs and every order ships within two days from our store in town")
	text := func(n int) string {
		var b []string
		for range n {
			b = append(b, words[r.IntN(len(words))])
		}
		return strings.Join(b, " ")
	}
	var orders []map[string]any
	for i := range n {
		o := map[string]any{
			"id": fmt.Sprintf("ord_%x", r.Uint64()), "number": 100000 + i, "created_at": "2026-02-11T09:12:44.123Z", "status": "shipped",
			"currency": "EUR", "total": r.Float64() * 100, "uuid": fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Uint64()>>16),
			"notes": text(14), "tags": []string{"new", "gift", "fragile"}, "links": map[string]any{"self": fmt.Sprintf("https://api.shop.dev/v1/orders/%d", i), "next": nil},
			"etag": fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()), "paid": true,
			"items": []map[string]any{
				{"sku": fmt.Sprintf("SKU-%06d", r.IntN(1e6)), "title": text(5), "quantity": r.IntN(9), "unit_price": r.IntN(9999), "image": "https://cdn.shop.dev/i/" + fmt.Sprint(r.IntN(1e6)) + ".png?w=400", "description": text(25)},
				{"sku": fmt.Sprintf("SKU-%06d", r.IntN(1e6)), "title": text(4), "quantity": r.IntN(9), "unit_price": r.IntN(9999), "weight_kg": r.Float64(), "description": text(30)},
			},
		}
		if personal {
			o["customer"] = map[string]any{"first_name": "Ann", "last_name": "Lee", "email": fmt.Sprintf("ann%d@shop.dev", i), "phone": "+447527017223"}
		}
		orders = append(orders, o)
	}
	b, _ := json.Marshal(map[string]any{"data": orders, "page": 1, "next_cursor": "Mdaeg9oSh1gNm52flbufJId34q8kCaFo"})
	return b
}

func scanBody(s *Scanner, w *body.Walker, b []byte) int {
	s.Reset(Message{Side: analyze.Response, Time: traffic})
	w.Walk(jsonType, b, s)
	return len(s.Hits())
}

func bench(b *testing.B, text []byte) {
	s, w := NewScanner(Options{}), &body.Walker{}
	n := scanBody(s, w, text)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		scanBody(s, w, text)
	}
	b.ReportMetric(float64(len(text))*float64(b.N)/1e6/(cpu()-before), "MB/cpu-s")
	b.ReportMetric(float64(n), "hits")
}

// cpu is the processor time of the process in seconds: wall time says little on
// a machine that is shared.
func cpu() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func BenchmarkBody(b *testing.B) {
	b.Run("clean", func(b *testing.B) { bench(b, shop(20, false)) })
	b.Run("personal", func(b *testing.B) { bench(b, shop(20, true)) })
	b.Run("small", func(b *testing.B) {
		bench(b, []byte(`{"status":"ok","id":123456,"created":"2026-02-11T09:12:44Z","message":"accepted"}`))
	})
}

// hostile are bodies made to cost much.
func hostile() map[string][]byte {
	quote := func(s string) []byte { b, _ := json.Marshal(s); return b }
	r := rand.New(rand.NewPCG(3, 4))
	var digits, hexes, mixed strings.Builder
	for range 20000 {
		fmt.Fprintf(&digits, "%d ", 1000+r.IntN(9000))
		fmt.Fprintf(&hexes, "%02x:", r.IntN(256))
		fmt.Fprintf(&mixed, "a%d-", r.IntN(10))
	}
	keys := make([]string, 20000)
	for i := range keys {
		keys[i] = fmt.Sprintf(`"user_card_key_%d":"%d"`, r.IntN(1<<30), r.Int64())
	}
	return map[string][]byte{
		"digit soup":      quote(digits.String()),
		"one long number": quote(strings.Repeat("4111", 20000)),
		"hex and colons":  quote(hexes.String()),
		"dashes":          quote(mixed.String()),
		"at signs":        quote(strings.Repeat("a@b.", 20000)),
		"at only":         quote(strings.Repeat("@", 60000)),
		"urls":            quote(strings.Repeat("https://a:b@c/?sig=1 ", 4000)),
		"slashes":         quote(strings.Repeat("://", 20000)),
		"prefixes":        quote(strings.Repeat("sk_live_ghp_AKIAeyJ", 4000)),
		"jwt starts":      quote(strings.Repeat("eyJ.", 16000)),
		"jwt dashes":      quote(strings.Repeat("eyJ-", 16000)),
		"jwt headers":     quote(strings.Repeat("eyJhbGciOiJIUzI1NiJ9.", 3000)),
		"plus":            quote(strings.Repeat("+4", 30000)),
		"plus blanks":     quote(strings.Repeat("+1 ", 20000)),
		"begin":           quote(strings.Repeat("-----BEGIN ", 6000)),
		"password is":     quote(strings.Repeat("password is ", 5000)),
		"address is":      quote(strings.Repeat("address is 1 ", 5000)),
		"ssn words":       quote(strings.Repeat("social security number 1234 ", 3000)),
		"mrz":             quote(strings.Repeat("P<", 30000)),
		"pairs":           quote(strings.Repeat("a=b;", 15000)),
		"base64":          quote(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7, 131, 250}, 16000))),
		"many names":      []byte("{" + strings.Join(keys, ",") + "}"),
		"deep":            []byte(strings.Repeat(`{"card":[`, 5000) + strings.Repeat("]}", 5000)),
		"numbers":         []byte("[" + strings.Repeat("4111111111111111,", 4000) + "1]"),
		"nested":          quote(`[` + strings.Repeat(`"[1]",`, 10000) + `1]`),
		"dots":            quote(strings.Repeat("1.2.3.4.", 8000)),
		"queries":         quote("https://x/?" + strings.Repeat("sig=&", 12000)),
	}
}

func BenchmarkHostile(b *testing.B) {
	for name, text := range hostile() {
		b.Run(name, func(b *testing.B) { bench(b, text) })
	}
}

// A body full of personal data costs less than a byte in five.
func TestAllocationsOfHits(t *testing.T) {
	text := shop(20, true)
	r := testing.Benchmark(func(b *testing.B) { bench(b, text) })
	if per := float64(r.AllocedBytesPerOp()) / float64(len(text)); per > 0.2 {
		t.Errorf("%.2f bytes are allocated for a byte read", per)
	}
}

// Finding nothing costs no allocation.
func TestAllocations(t *testing.T) {
	s, w := NewScanner(Options{}), &body.Walker{}
	text := shop(20, false)
	if n := scanBody(s, w, text); n != 0 {
		t.Fatalf("%d hits in a body without any: %v", n, s.Hits())
	}
	if n := testing.AllocsPerRun(20, func() { scanBody(s, w, text) }); n != 0 {
		t.Errorf("a clean body allocates %v times", n)
	}
	target := []byte("/v1/orders/42/items?page=2&sort=asc&q=blue%20chairs")
	names := [][2][]byte{{[]byte("user-agent"), []byte("Mozilla/5.0 (X11; Linux x86_64)")}, {[]byte("accept"), []byte("application/json")}, {[]byte("x-request-id"), []byte("cb266e6f-d2b6-449d-ace0-4c500cd74164")}, {[]byte("cookie"), []byte("theme=dark; _ga=GA1.2.739074997.1610024268")}, {[]byte("x-tenant"), []byte("north-7")}}
	message := func() {
		s.Reset(Message{Time: traffic})
		s.Target(target)
		for _, h := range names {
			s.Header(h[0], h[1])
		}
	}
	message()
	if len(s.Hits()) != 0 {
		t.Fatalf("hits in a clean message: %v", s.Hits())
	}
	if n := testing.AllocsPerRun(20, message); n != 0 {
		t.Errorf("a clean message allocates %v times", n)
	}
}
