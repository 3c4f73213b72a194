package analyze

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMaskShowsAtMostTwoCharactersAtEachEnd(t *testing.T) {
	for _, c := range []struct{ value, want string }{
		{"", ""},
		{"hunter2", "•••••••"},
		{"hunter22", "hu••••22"},
		{"4111111111111111", "41••••••••••••11"},
		{strings.Repeat("x", 500), "xx••••••••••••xx"},
		{"пароль-очень", "••••••••"},      // no part of a character beyond ASCII
		{"ab\x1b[31mcdef", "ab•••••••ef"}, // the escape is in the hidden part
		{"\x1b[31mabcdef", "••••••••"},
	} {
		if got := Mask([]byte(c.value)); got != c.want {
			t.Errorf("Mask(%q) = %q, want %q", c.value, got, c.want)
		}
	}
}

func TestFingerprintJoinsEqualValuesUnderOneKeyOnly(t *testing.T) {
	a, b := NewKey(), NewKey()
	first, again := a.Fingerprint("card", []byte("4111")), a.Fingerprint("card", []byte("4111"))
	if first != again {
		t.Error("the same value has two fingerprints")
	}
	if a.Fingerprint("card", []byte("4111")) == b.Fingerprint("card", []byte("4111")) {
		t.Error("another key gives the same fingerprint")
	}
	if a.Fingerprint("card", []byte("4111")) == a.Fingerprint("pin", []byte("4111")) {
		t.Error("another kind gives the same fingerprint")
	}
	if n := len(a.Fingerprint("card", nil)); n != 24 {
		t.Errorf("a fingerprint has %d hex digits, want 24 (96 bits)", n)
	}
}

func TestCleanTextCannotActOnATerminal(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"/api/users", "/api/users"},
		{"\x1b]52;c;aGk=\a", `\u{1b}]52;c;aGk=\u{7}`},
		{"a\u009b31mb", `a\u{9b}31mb`},
		{"a\x9b31mb", "a\ufffd31mb"},
		{"user\u202egnp.exe", `user\u{202e}gnp.exe`},
		{"zero\u200bwidth", `zero\u{200b}width`},
		{"line\u2028end", `line\u{2028}end`},
		{"größe 价格", "größe 价格"},
		{strings.Repeat("é", 200), strings.Repeat("é", 128) + "…"},
		{"x" + strings.Repeat("é", 200), "x" + strings.Repeat("é", 127) + "…"},
	} {
		if got := Clean([]byte(c.text)); got != c.want {
			t.Errorf("Clean(%q) = %q, want %q", c.text, got, c.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add([]byte("\x1b[0m\xff\u202e"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got := Clean(text)
		if !utf8.ValidString(got) {
			t.Fatalf("Clean(%q) is not valid UTF-8", text)
		}
		for _, r := range got {
			if unsafeRune(r) {
				t.Fatalf("Clean(%q) lets %U through", text, r)
			}
		}
	})
}

func TestIdentitiesDoNotRunTogether(t *testing.T) {
	if ID("a", "bc") == ID("ab", "c") {
		t.Error("parts of an identity run together")
	}
	if got := FindingKey("r", "s", "GET /", "p"); got != "89b3201be7cdb16b25640398" {
		t.Errorf("a finding's key was once another: %s", got)
	}
}

func TestSeveritiesByName(t *testing.T) {
	for s := Info; s <= Critical; s++ {
		if got, ok := ParseSeverity(strings.ToUpper(s.String())); !ok || got != s {
			t.Errorf("ParseSeverity(%q) = %v, %v", s, got, ok)
		}
	}
	if _, ok := ParseSeverity("worst"); ok {
		t.Error("an unknown severity is accepted")
	}
	if Critical.Raise() != Critical || Low.Raise() != Medium {
		t.Error("Raise goes wrong")
	}
}
