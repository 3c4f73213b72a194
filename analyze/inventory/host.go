package inventory

import (
	"bytes"
	"net/netip"
	"strings"

	"plainsight/analyze"
)

// hostName makes the name of a service of what a client called it: lower case,
// without the default port and the dot of the root, labels that look like
// values generalised. It returns "" for what is no host.
func hostName(authority []byte) string {
	if i := bytes.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:] // user information is none of our business
	}
	if len(authority) == 0 || len(authority) > 255 {
		return ""
	}
	host, port := authority, []byte(nil)
	if authority[0] == '[' {
		end := bytes.IndexByte(authority, ']')
		if end < 0 {
			return ""
		}
		host, port = authority[1:end], authority[end+1:]
	} else if i := bytes.LastIndexByte(authority, ':'); i >= 0 {
		host, port = authority[:i], authority[i:]
	}
	suffix := ""
	if len(port) > 0 {
		if port[0] != ':' || len(port) > 6 || len(bytes.Trim(port[1:], "0123456789")) > 0 {
			return ""
		}
		if p := string(port[1:]); p != "" && p != "80" && p != "443" {
			suffix = ":" + p
		}
	}
	if a, err := netip.ParseAddr(string(host)); err == nil {
		if a = a.WithZone(""); a.Is6() && !a.Is4In6() {
			return "[" + a.String() + "]" + suffix
		}
		return a.Unmap().String() + suffix
	}
	host = bytes.TrimSuffix(host, []byte("."))
	if len(host) == 0 {
		return ""
	}
	letters := false
	for _, c := range host {
		switch {
		case 'a' <= c|0x20 && c|0x20 <= 'z', c >= 0x80:
			letters = true
		case '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return ""
		}
	}
	if !letters {
		return ""
	}
	return analyze.Name([]byte(strings.ToLower(string(host)))) + suffix
}

// addressName is the name of a service that nobody named.
func addressName(a netip.AddrPort) string {
	if !a.IsValid() {
		return "(unknown)"
	}
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port()).String()
}

// methodName is the method if it is one that can be kept: HTTP's own as they
// are, others only if they are a short word.
func methodName(m []byte) string {
	switch string(m) {
	case "GET":
		return "GET"
	case "POST":
		return "POST"
	case "PUT":
		return "PUT"
	case "PATCH":
		return "PATCH"
	case "DELETE":
		return "DELETE"
	case "HEAD":
		return "HEAD"
	case "OPTIONS":
		return "OPTIONS"
	case "CONNECT":
		return "CONNECT"
	case "TRACE":
		return "TRACE"
	}
	if len(m) == 0 || len(m) > 20 {
		return "(other)"
	}
	for _, c := range m {
		if (c < 'A' || c > 'Z') && c != '-' {
			return "(other)"
		}
	}
	return string(m)
}

// splitTarget returns path and query of a request target in any of its forms
// (RFC 9112 section 3.2).
func splitTarget(target []byte) (path, query []byte) {
	if i := bytes.Index(target[:min(len(target), 16)], []byte("://")); i > 0 {
		target = target[i+3:]
		j := bytes.IndexAny(target, "/?#")
		if j < 0 {
			return slash, nil
		}
		target = target[j:]
	}
	if i := bytes.IndexByte(target, '#'); i >= 0 {
		target = target[:i]
	}
	path, query, _ = bytes.Cut(target, question)
	if len(path) == 0 {
		path = slash
	}
	return path, query
}

var slash, question = []byte("/"), []byte("?")
