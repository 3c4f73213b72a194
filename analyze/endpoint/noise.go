package endpoint

import (
	"bytes"

	"plainsight/analyze"
)

// Noise reports whether a request is of the kind that makes no endpoint,
// whatever the answer: a preflight or probe by its method, or one for a page's
// assets. path is as on the wire, without a query.
func Noise(method, path []byte) bool {
	switch string(method) {
	case "OPTIONS", "HEAD", "TRACE", "CONNECT":
		return true
	case "GET":
		return asset(path)
	}
	return false
}

// asset reports whether a path is that of a static file of a web page. An image
// is one only in a directory for such: others may be what an API serves.
func asset(path []byte) bool {
	name := path[bytes.LastIndexByte(path, '/')+1:]
	dot := bytes.LastIndexByte(name, '.')
	if dot < 0 {
		return false
	}
	switch string(name[dot+1:]) {
	case "css", "js", "mjs", "map", "woff", "woff2", "ttf", "eot", "otf", "ico":
		return true
	case "png", "jpg", "jpeg", "gif", "svg", "webp", "avif":
		if bytes.HasPrefix(name, []byte("apple-touch-icon")) || bytes.HasPrefix(name, []byte("favicon")) {
			return true
		}
		for _, dir := range [...]string{"/static/", "/assets/", "/_next/", "/dist/", "/public/"} {
			if bytes.Contains(path, []byte(dir)) {
				return true
			}
		}
		for _, dir := range [...]string{"/images/", "/img/", "/icons/", "/themes/", "/skins/"} {
			if bytes.Contains(path, []byte(dir)) && classify(name[:dot]) == word {
				return true // the pictures of a page have names
			}
		}
	case "txt":
		return string(name) == "robots.txt" || string(name) == "security.txt"
	}
	return false
}

// Field is the parameter as a snapshot has it. Its path is its name in the
// template.
func (p Param) Field() analyze.Field {
	f := analyze.Field{Side: analyze.Request, Where: analyze.InPath, Path: p.Name, Format: p.Format, Enum: p.Enum, Required: true, Present: p.Count, Of: p.Count}
	f.Types = []string{p.Type}
	return f
}
