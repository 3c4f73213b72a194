package sensitive

import (
	"bytes"
	"encoding/base64"
	"time"
)

// A JWT is what a JSON Web Token (RFC 7519) says of itself. Nothing in it was
// verified. Strings are owned and are captured text: fingerprint or clean them
// before they are kept.
type JWT struct {
	Algorithm string // alg, as written; "" where it is missing
	Type      string // typ
	KeyID     string // kid
	KeyURL    string // jku, or x5u
	OwnKey    bool   // the header brings its own key (jwk, x5c)
	Encrypted bool   // five parts (RFC 7516); there are no claims then

	Issuer    string
	Subject   string
	Audience  string    // the first, where there are several
	Expires   time.Time // zero where there is no exp
	NotBefore time.Time
	IssuedAt  time.Time

	Claims    []string // names, in their order, at most 32
	Payload   []byte   // the claims as JSON; owned
	Signature int      // length in bytes; 0: unsigned
}

// maxJWT bounds the tokens that are read; longer ones are no JWT here.
const maxJWT = 16 << 10

// ParseJWT reads a token of three (JWS) or five (JWE) parts. It reports false
// where the header is no JSON object with an alg or typ. token is borrowed.
func ParseJWT(token []byte) (JWT, bool) {
	var j JWT
	if len(token) > maxJWT || len(token) < 4 {
		return j, false
	}
	header, rest, ok := bytes.Cut(token, []byte{'.'})
	if !ok {
		return j, false
	}
	payload, signature, ok := bytes.Cut(rest, []byte{'.'})
	if !ok {
		return j, false
	}
	switch bytes.Count(signature, []byte{'.'}) {
	case 0:
		j.Signature = base64.RawURLEncoding.DecodedLen(len(bytes.TrimRight(signature, "=")))
	case 3 - 1:
		j.Encrypted = true
	default:
		return j, false
	}
	head, ok := decode64(make([]byte, 0, 256), header)
	if !ok {
		return j, false
	}
	known := false
	object(head, func(name, value []byte, text bool) {
		switch string(name) {
		case "alg":
			known = true
			j.Algorithm = cutText(value)
		case "typ":
			known = true
			j.Type = cutText(value)
		case "kid":
			j.KeyID = cutText(value)
		case "jku", "x5u":
			j.KeyURL = cutText(value)
		case "jwk", "x5c":
			j.OwnKey = true
		}
	})
	if !known {
		return j, false
	}
	if j.Encrypted {
		return j, true
	}
	if j.Payload, ok = decode64(nil, payload); !ok {
		return j, false
	}
	if len(j.Payload) > 0 && !object(j.Payload, func(name, value []byte, text bool) {
		if len(j.Claims) < 32 {
			j.Claims = append(j.Claims, cutText(name))
		}
		switch string(name) {
		case "iss":
			j.Issuer = cutText(value)
		case "sub":
			j.Subject = cutText(value)
		case "aud":
			j.Audience = cutText(first(value))
		case "exp":
			j.Expires = numericDate(value)
		case "nbf":
			j.NotBefore = numericDate(value)
		case "iat":
			j.IssuedAt = numericDate(value)
		}
	}) {
		return j, false
	}
	return j, true
}

// cutText owns a text of at most 512 bytes.
func cutText(b []byte) string { return string(b[:min(len(b), 512)]) }

// first is the first text of an array, or the text itself.
func first(b []byte) []byte {
	if len(b) == 0 || b[0] != '[' {
		return b
	}
	b = bytes.TrimLeft(b[1:], " \t\r\n")
	if len(b) < 2 || b[0] != '"' {
		return nil
	}
	if i := bytes.IndexByte(b[1:], '"'); i >= 0 {
		return b[1 : i+1]
	}
	return nil
}

// numericDate reads seconds since 1970 (RFC 7519 §2), fractions dropped.
func numericDate(b []byte) time.Time {
	n, i := int64(0), 0
	for i < len(b) && i < 13 && kinds[b[i]]&isDigit != 0 {
		n = n*10 + int64(b[i]-'0')
		i++
	}
	if i == 0 || n > 1<<40 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

// decode64 decodes base64url, padded or not, into to.
func decode64(to, b []byte) ([]byte, bool) {
	b = bytes.TrimRight(b, "=")
	n := base64.RawURLEncoding.DecodedLen(len(b))
	if cap(to) < n {
		to = make([]byte, n)
	}
	to = to[:n]
	n, err := base64.RawURLEncoding.Decode(to, b)
	return to[:n], err == nil
}

// object tells of the members of a JSON object, one level deep: strings without
// their quotes (escapes stay), other values as written. It reports whether b is
// an object that ends.
func object(b []byte, member func(name, value []byte, text bool)) bool {
	i := blanks(b, 0)
	if i >= len(b) || b[i] != '{' {
		return false
	}
	i = blanks(b, i+1)
	for i < len(b) && b[i] == '"' {
		end := quoted(b, i)
		if end < 0 {
			return false
		}
		name := b[i+1 : end]
		i = blanks(b, end+1)
		if i >= len(b) || b[i] != ':' {
			return false
		}
		i = blanks(b, i+1)
		if i >= len(b) {
			return false
		}
		if b[i] == '"' {
			if end = quoted(b, i); end < 0 {
				return false
			}
			member(name, b[i+1:end], true)
			i = end + 1
		} else {
			start, depth := i, 0
		value:
			for ; i < len(b); i++ {
				switch b[i] {
				case '{', '[':
					depth++
				case '}', ']':
					if depth == 0 {
						break value
					}
					depth--
				case ',':
					if depth == 0 {
						break value
					}
				case '"':
					if i = quoted(b, i); i < 0 {
						return false
					}
				}
			}
			member(name, bytes.TrimRight(b[start:i], " \t\r\n"), false)
		}
		i = blanks(b, i)
		if i < len(b) && b[i] == ',' {
			i = blanks(b, i+1)
			continue
		}
		break
	}
	return i < len(b) && b[i] == '}'
}

func blanks(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// quoted is the index of the quote that closes the one at i, or -1.
func quoted(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// jwtLength measures a token at the start of b; n is 0 where there is none: the
// header must decode to JSON with an alg. read is how many bytes were looked at.
func jwtLength(b []byte) (n, read int) {
	i, dots := 0, 0
	var dot [5]int
	for i < len(b) && i < maxJWT {
		if b[i] == '.' {
			if dots < len(dot) {
				dot[dots] = i
			}
			dots++
			if dots == 5 {
				break
			}
		} else if kinds[b[i]]&isToken == 0 && b[i] != '=' {
			break
		}
		i++
	}
	read = i
	for i > 0 && b[i-1] == '.' && dots != 2 {
		i-- // the end of a sentence
		dots--
	}
	if dots != 2 && dots != 4 {
		return 0, read
	}
	var buf [512]byte
	header := b[:dot[0]]
	if len(header) > 680 {
		return 0, read
	}
	head, ok := decode64(buf[:0], header)
	if !ok || !bytes.Contains(head, []byte(`"alg"`)) || dots == 2 && dot[1]-dot[0] < 2 {
		return 0, read
	}
	return i, read
}

// expires reads exp of a token that jwtLength measured; zero where there is
// none.
func expires(token []byte) (at time.Time) {
	_, rest, _ := bytes.Cut(token, []byte{'.'})
	payload, _, _ := bytes.Cut(rest, []byte{'.'})
	var buf [2048]byte
	if len(payload) > 2700 {
		return at
	}
	claims, ok := decode64(buf[:0], payload)
	if !ok {
		return at
	}
	if i := bytes.Index(claims, []byte(`"exp":`)); i >= 0 {
		at = numericDate(bytes.TrimLeft(claims[i+6:], " "))
	}
	return at
}
