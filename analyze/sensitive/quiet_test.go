package sensitive

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"plainsight/analyze/body"
)

// loud looks at a text whose signs are quiet and reports what the finders, which
// were to be spared, find all the same.
func loud(f *finder, text []byte) string {
	text = bytes.TrimFunc(text, func(r rune) bool { return r <= ' ' })
	if len(text) == 0 {
		return ""
	}
	sum := signsOf(text)
	if !quiet(sum, len(text)) {
		return ""
	}
	for _, flags := range []nameFlags{0, ident} {
		for _, blank := range []bool{false, true} {
			f.found = f.found[:0]
			f.noToken, f.noAddress = 0, 0
			f.look(text, 0, sum, &class{flags: flags, blank: blank})
			if len(f.found) > 0 {
				return Detectors[f.found[0].detector].ID
			}
		}
	}
	return ""
}

// A value that is passed over as quiet holds nothing that the finders find.
func TestQuietValues(t *testing.T) {
	f := &finder{year: 2026}
	check := func(text string) {
		t.Helper()
		if id := loud(f, []byte(text)); id != "" {
			t.Errorf("%q is quiet and holds a %s", text, id)
		}
	}
	pieces := []string{" ", ".", "/", "+", ",", "_", "'", "(", ")", "!", "*", "#", "%", "|", "ä", "ж", "ña", "is ", "password", "passwd", "pwd", "pw", "pass", "mot de passe", "contraseña", "ship to",
		"lives at", "eyJ", "ey", "ghp", "sk", "a", "be", "x", "secret", "street", "card", "id", "no", "ab", "cd", "AB", "Z", "SAML", "saml", "1", "12", "123", "4111", "0", "\"", "\\", "\n", "postgres", "uid", "server", ";", "-", "~", "{", "$"}
	r := rand.New(rand.NewPCG(5, 6))
	for range 300_000 {
		var b strings.Builder
		for range 1 + r.IntN(9) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		check(b.String())
	}
	for i := range Detectors {
		for _, example := range append(Detectors[i].Yes, Detectors[i].No...) {
			_, value, _ := strings.Cut(example, "=")
			check(value)
			check(strings.ToLower(value))
			for n := range len(value) {
				check(value[:n])
				check(value[n:])
			}
		}
	}
}

// In a text without digits, capitals and dashes the short way finds what the
// long one does.
func TestSayings(t *testing.T) {
	pieces := []string{" ", " ", " ", ".", ":", "=", ", ", "_", "'", "(", "!", "*", "ä", "ña", " is ", "password", "passwd", "pwd", "pw", "pass", "mot de passe", "contraseña", "ship to", "lives at", "a", "be", "secret", "street", "hunt_er", "é", "\"", ";"}
	r := rand.New(rand.NewPCG(9, 10))
	told := 0
	for range 200_000 {
		var b strings.Builder
		for range 3 + r.IntN(9) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		text := []byte(strings.TrimSpace(b.String()))
		sum := signsOf(text)
		if sum&(signDigit|signUpper|signDash) != 0 || sum&signBlank == 0 || len(text) < 12 {
			continue
		}
		var short, long finder
		short.sayings(text, 0, sum, &class{})
		long.words(text, 0, sum, &class{})
		if fmt.Sprint(short.found) != fmt.Sprint(long.found) {
			t.Fatalf("%q: %v, want %v", text, short.found, long.found)
		}
		told += len(long.found)
	}
	if told < 1000 {
		t.Errorf("only %d sayings", told)
	}
}

// UUIDs and times, which are passed over too, hold nothing.
func TestQuietForms(t *testing.T) {
	f := &finder{year: 2026}
	r := rand.New(rand.NewPCG(7, 8))
	for range 50_000 {
		uuid := fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<16), r.IntN(1<<16), r.Uint64()>>16)
		at := time.Unix(r.Int64N(1<<33), r.Int64N(1e9)).In(time.FixedZone("", (r.IntN(25)-12)*3600))
		for _, text := range []string{uuid, at.Format(time.RFC3339), at.Format(time.RFC3339Nano), at.UTC().Format("2006-01-02 15:04:05.000Z0700")} {
			if !body.UUID([]byte(text)) && !body.DateTime([]byte(text)) {
				t.Fatalf("%q is no UUID and no time", text)
			}
			f.found = f.found[:0]
			f.look([]byte(text), 0, signsOf([]byte(text)), &class{})
			if len(f.found) > 0 {
				t.Fatalf("%q holds a %s", text, Detectors[f.found[0].detector].ID)
			}
		}
	}
}

func FuzzQuiet(f *testing.F) {
	for i := range Detectors {
		for _, example := range Detectors[i].Yes {
			f.Add([]byte(example))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if id := loud(&finder{year: 2026}, text); id != "" {
			t.Errorf("%q is quiet and holds a %s", text, id)
		}
	})
}

// No row needs fewer letters and digits than the shortest piece has bytes.
func TestShortest(t *testing.T) {
	for n := range shortest {
		if len(alone[n]) > 0 {
			t.Errorf("%s is alone with %d", Detectors[alone[n][0]].ID, n)
		}
	}
}
