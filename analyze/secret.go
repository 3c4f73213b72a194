package analyze

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"unicode/utf8"
)

// Key is the installation's key for fingerprints. A bare hash of a card or
// national number can be searched through in seconds; a keyed one cannot.
type Key [32]byte

// NewKey draws a random key.
func NewKey() Key {
	var k Key
	rand.Read(k[:]) // never fails (Go 1.24)
	return k
}

// Fingerprint joins equal values without keeping them: HMAC-SHA-256 under k of
// the kind and the value, cut to 96 bits, in hex.
func (k *Key) Fingerprint(kind string, value []byte) string {
	h := hmac.New(sha256.New, k[:])
	h.Write([]byte(kind))
	h.Write([]byte{0})
	h.Write(value)
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// Mask hides a value: at most its first and last two characters remain, none
// where it has fewer than eight or where they would not be plain ASCII text.
func Mask(value []byte) string {
	var b [2 + len(dots) + 2]byte
	return string(AppendMask(b[:0], value))
}

// AppendMask is [Mask] for those who put a text together: it appends to dst.
func AppendMask(dst, value []byte) []byte {
	n := utf8.RuneCount(value)
	if n < 8 {
		return append(dst, dots[:n*len("•")]...)
	}
	head, tail := value[:2], value[len(value)-2:]
	if !plain(head) || !plain(tail) {
		return append(dst, dots[:8*len("•")]...)
	}
	dst = append(append(dst, head...), dots[:min(n-4, 12)*len("•")]...)
	return append(dst, tail...)
}

func plain(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

// MaxText is the longest captured name or host that is kept, in bytes.
const MaxText = 256

// Clean makes captured text safe to keep and to show: cut to [MaxText] bytes,
// valid UTF-8, with control characters (C0, DEL, C1), bidirectional and
// zero-width marks written as \u{…}.
func Clean(text []byte) string {
	return cleanTo(text, MaxText)
}

// CleanLong is [Clean] for our own sentences that may quote captured text or
// file names: the same, cut only at 4 KiB.
func CleanLong(text string) string { return cleanTo([]byte(text), 4096) }

func cleanTo(text []byte, limit int) string {
	if len(text) <= limit && printable(text) {
		return string(text)
	}
	return string(appendClean(nil, text, limit))
}

// AppendClean is [Clean] for those who put a text together: it appends to dst.
func AppendClean(dst, text []byte) []byte {
	if len(text) <= MaxText && printable(text) {
		return append(dst, text...)
	}
	return appendClean(dst, text, MaxText)
}

// printable says that a text is as [Clean] would leave it, whatever its length.
func printable(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

func appendClean(dst, text []byte, limit int) []byte {
	cut := len(text) > limit
	if cut {
		text = text[:limit]
	}
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n <= 1:
			if cut && len(text) < utf8.UTFMax && !utf8.FullRune(text) {
				text = nil // the cut split a character
				continue
			}
			dst = utf8.AppendRune(dst, utf8.RuneError)
		case unsafeRune(r):
			dst = fmt.Appendf(dst, `\u{%x}`, r)
		default:
			dst = append(dst, text[:n]...)
		}
		text = text[n:]
	}
	if cut {
		dst = append(dst, "…"...)
	}
	return dst
}

// unsafeRune tells characters that act on a terminal or reorder text (CWE-150,
// Unicode TR36) from those that merely print.
func unsafeRune(r rune) bool {
	switch {
	case r < ' ', 0x7f <= r && r <= 0x9f: // C0, DEL, C1
	case 0x200b <= r && r <= 0x200f, 0x2028 <= r && r <= 0x202e, 0x2060 <= r && r <= 0x206f: // zero width, separators, bidi
	case r == 0x061c, r == 0xfeff, r == 0x00ad, r == 0x180e:
	case 0xfff9 <= r && r <= 0xfffb, 0xe0000 <= r && r <= 0xe007f: // annotations, tags
	default:
		return false
	}
	return true
}

// ID makes a deterministic identity of parts: SHA-256 cut to 96 bits, in hex.
// It must never be made of captured values.
func ID(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// EndpointID is the identity of an endpoint. operation is "" where the path says
// it all.
func EndpointID(service, method, template, operation string) string {
	if operation == "" {
		return ID("endpoint", service, method, template)
	}
	return ID("endpoint", service, method, template, operation)
}

// FindingKey is the identity of a finding: the same in each run and on each
// host that sees it.
func FindingKey(rule, service, endpoint, place string) string {
	return ID("finding", rule, service, endpoint, place)
}

// dots stand for what a mask hides.
const dots = "••••••••••••"
