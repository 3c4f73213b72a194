package report

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"plainsight/analyze"
)

// attacks are what strangers would like a report to do.
var attacks = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `'><svg onload=alert(1)>`, `</script><script>alert(1)</script>`,
	`</style><script>alert(1)</script>`, `</title></textarea><iframe src=javascript:alert(1)>`, `javascript:alert(1)`, `<a href="https://evil.example/">x</a>`,
	`<!--`, `-->`, `]]>`, `<base href=//evil.example/>`, `<meta http-equiv=refresh content=0;url=//evil.example>`, `<link rel=stylesheet href=//evil.example/x.css>`,
	"{{.}}", "{{constructor.constructor('alert(1)')()}}", "${alert(1)}", "`+alert(1)+`", `\u003cscript>`, `&lt;script&gt;`, `onmouseover=alert(1) x=`,
	"\x1b]0;owned\a", "\x1b]52;c;ZWNobyBvd25lZA==\a", "\x1b[2J\x1b[31mred", "\u009b31m\u009d0;x\u009c", "a\rb\bc\nd\te\vf\x00g\x7f",
	"\u202egnp.exe\u202c", "\u2066\u2069\u200b\u200d\ufeff", "\u2028\u2029", "\xff\xfe\x80\xc3\x28", "\xc2", strings.Repeat("é", 400) + "\xe2\x82",
	"=HYPERLINK(\"http://evil.example\")", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "[click](https://evil.example/)", "![x](https://evil.example/p.png)", "../../etc/passwd", "CON",
	"%s%n%d", "' OR 1=1 --", strings.Repeat("A", 10000), "العربية עברית", "日本語テキスト", "🏴\U000e0067\U000e0062\U000e007f", "e\u0301\u0301\u0301\u0301",
}

// hostile is a snapshot with an attack in every text, a different one in each,
// so that every attack meets every field over its rows.
func hostile() *analyze.Snapshot {
	return filled(func(attack string) string { return attack })
}

// harmless has words where hostile has attacks: equal where those are shown
// equal, and else of no meaning.
func harmless() *analyze.Snapshot {
	return filled(func(attack string) string { return "t" + analyze.ID(clean(attack)) })
}

func filled(text func(attack string) string) *analyze.Snapshot {
	s := new(analyze.Snapshot)
	n := 0
	fill(reflect.ValueOf(s).Elem(), &n, text)
	return s
}

func fill(v reflect.Value, n *int, text func(string) string) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(day.Add(time.Duration(*n) * time.Second)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n, text)
		}
	case reflect.Slice:
		size := 3
		switch v.Type().Elem() {
		case reflect.TypeFor[analyze.Finding](), reflect.TypeFor[analyze.Endpoint](), reflect.TypeFor[analyze.Service]():
			size = len(attacks) + 1 // one more, so that rows do not line up with attacks
		}
		v.Set(reflect.MakeSlice(v.Type(), size, size))
		for i := range size {
			fill(v.Index(i), n, text)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 3 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(key, n, text)
			fill(value, n, text)
			v.SetMapIndex(key, value)
		}
	case reflect.String:
		v.SetString(text(fmt.Sprintf("%s #%d", attacks[*n%len(attacks)], *n)))
		*n++
	case reflect.Uint8:
		v.SetUint(uint64(*n % 5))
		if v.Type() == reflect.TypeFor[analyze.Side]() {
			v.SetUint(uint64(*n % 2))
		}
	case reflect.Bool:
		v.SetBool(*n%2 == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(100 + *n%500))
	case reflect.Uint64:
		v.SetUint(uint64(*n))
	case reflect.Float64:
		v.SetFloat(float64(*n) / 7)
	default:
		panic("a kind that the test does not know: " + v.Kind().String())
	}
}

// No format lets out a character that acts on a terminal or reorders text, nor
// bytes that are not UTF-8. Line feeds are ours.
func TestNothingActs(t *testing.T) {
	for _, f := range Formats() {
		for _, o := range []Options{{Findings: -1, Endpoints: -1, Rows: -1}, {Width: 200, Findings: -1, Endpoints: -1, Rows: -1}} {
			out := write(t, f.Name, hostile(), o)
			if !utf8.Valid(out) {
				t.Errorf("%s is not UTF-8", f.Name)
			}
			for i, r := range string(out) {
				if r == '\n' {
					continue
				}
				if got := analyze.Clean([]byte(string(r))); got != string(r) {
					t.Fatalf("%s has %q after %q", f.Name, r, out[max(0, i-40):i])
				}
			}
		}
	}
}

// Colours are the only escapes of a coloured text: SGR and nothing else.
func TestColoursAreAllThatColourAdds(t *testing.T) {
	for _, s := range []*analyze.Snapshot{hostile(), shop(), silent()} {
		without := string(write(t, "text", s, Options{}))
		with := string(write(t, "text", s, Options{Colour: true}))
		var b strings.Builder
		for rest := with; rest != ""; {
			head, tail, found := strings.Cut(rest, "\x1b[")
			b.WriteString(head)
			if !found {
				break
			}
			code, after, ok := strings.Cut(tail, "m")
			if !ok || strings.Trim(code, "0123456789;") != "" {
				t.Fatalf("an escape that is no colour: %q", tail[:min(len(tail), 20)])
			}
			rest = after
		}
		if b.String() != without {
			t.Error("without its colours the text is another")
		}
		if with == without {
			t.Error("no colour in it")
		}
	}
}

func TestLongTextIsCut(t *testing.T) {
	for _, text := range []string{strings.Repeat("A", 10000), strings.Repeat("é", 10000), strings.Repeat("\x1b", 10000)} {
		got := clean(text)
		if len(got) > maxText+analyze.MaxText*len(`\u{1b}`) || !strings.HasSuffix(got, "…") || !utf8.ValidString(got) {
			t.Errorf("%.3q… becomes %d bytes, ends %q", text, len(got), got[len(got)-8:])
		}
	}
	for _, text := range []string{"", "plain", strings.Repeat("é", 2000), strings.Repeat("日", 1000)} {
		if got := clean(text); got != text {
			t.Errorf("%.10q changes to %.10q (%d bytes)", text, got, len(got))
		}
	}
}

// Whatever a name is, text stays within its width and every format stays valid
// and inert.
func FuzzNames(f *testing.F) {
	for i, a := range attacks {
		f.Add(a, uint8(60+i))
	}
	f.Fuzz(func(t *testing.T, name string, width uint8) {
		s := filled(func(string) string { return name })
		s.Services, s.Endpoints, s.Findings = s.Services[:3], s.Endpoints[:3], s.Findings[:7]
		for _, format := range Formats() {
			out := string(write(t, format.Name, s, Options{Width: int(width)}))
			if !utf8.ValidString(out) {
				t.Errorf("%s is not UTF-8", format.Name)
			}
			for _, r := range out {
				if r != '\n' && (r < ' ' || r > '~') && analyze.Clean([]byte(string(r))) != string(r) {
					t.Fatalf("%s has %q", format.Name, r)
				}
			}
			if format.Name != "text" {
				continue
			}
			for line := range strings.Lines(out) {
				if n := columns(strings.TrimSuffix(line, "\n")); n > max(int(width), leastWidth) && width > 0 {
					t.Errorf("a line of %d columns in %d: %q", n, width, line)
				}
			}
		}
	})
}
