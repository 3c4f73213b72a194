package body

import (
	"strings"
	"testing"
)

// Any byte at any place of a UUID is judged as it stands.
func TestUUIDBytes(t *testing.T) {
	const good = "550e8400-e29b-41d4-a716-44665544ABcd"
	for i := range good {
		for c := range 256 {
			b := []byte(good)
			b[i] = byte(c)
			want := strings.IndexByte("0123456789abcdefABCDEF", byte(c)) >= 0
			if good[i] == '-' {
				want = c == '-'
			}
			if UUID(b) != want {
				t.Fatalf("%q: %v", b, !want)
			}
		}
	}
}

// Any byte at any place of a time is judged as it stands.
func TestClockBytes(t *testing.T) {
	const good = "2026-01-18T06:15:06"
	for i := range good {
		for c := range 256 {
			b := []byte(good)
			b[i] = byte(c)
			want := good[i] == byte(c)
			switch {
			case '0' <= good[i] && good[i] <= '9':
				want = '0' <= c && c <= '9'
			case good[i] == 'T':
				want = c == 'T' || c == 't' || c == ' '
			}
			if Clock(b) != want || Clock(append(b, "Z and more"...)) != want {
				t.Fatalf("%q: %v", b, !want)
			}
		}
	}
	if Clock([]byte(good[:18])) {
		t.Error("a time without its end")
	}
}
