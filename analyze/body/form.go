package body

import "bytes"

// Query tells of the names and values of a query string (without its ?) or of
// a form, percent-decoded, + as space. name and value are borrowed. A broken
// escape stays as it is.
func (w *Walker) Query(raw []byte, pair func(name, value []byte)) {
	for len(raw) > 0 {
		name, value, rest := cutPair(raw)
		raw = rest
		if len(name) == 0 && len(value) == 0 {
			continue
		}
		name, w.scratch = unpercent(name, w.scratch)
		value, w.second = unpercent(value, w.second)
		pair(name, value)
	}
}

// cutPair takes the first name=value off a query.
func cutPair(raw []byte) (name, value, rest []byte) {
	pair := raw
	if i := bytes.IndexByte(raw, '&'); i >= 0 {
		pair, rest = raw[:i], raw[i+1:]
	}
	if i := bytes.IndexByte(pair, '='); i >= 0 {
		return pair[:i], pair[i+1:], rest
	}
	return pair, nil, rest
}

// Cookies tells of the names and values of a Cookie header (RFC 6265 §4.2), as
// they are written, without quotes around a value. name and value are borrowed.
func Cookies(header []byte, pair func(name, value []byte)) {
	for len(header) > 0 {
		one := header
		if i := bytes.IndexByte(header, ';'); i >= 0 {
			one, header = header[:i], header[i+1:]
		} else {
			header = nil
		}
		one = bytes.TrimSpace(one)
		if len(one) == 0 {
			continue
		}
		name, value, _ := bytes.Cut(one, []byte{'='})
		if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
			value = value[1 : n-1]
		}
		pair(name, value)
	}
}

func (w *Walker) form(b []byte, v Visitor) bool {
	b = bytes.TrimRight(b, "\r\n")
	for len(b) > 0 {
		name, value, rest := cutPair(b)
		b = rest
		if len(name) == 0 && len(value) == 0 {
			continue
		}
		if w.left--; w.left < 0 {
			return false
		}
		name, w.scratch = unpercent(name, w.scratch)
		name = w.lasting(name)
		v.Key(name)
		value, w.scratch = unpercent(value, w.scratch)
		v.Value(String, value)
	}
	return true
}

// unpercent decodes b into scratch where there is anything to decode.
func unpercent(b, scratch []byte) (text, kept []byte) {
	i := 0
	for i < len(b) && b[i] != '%' && b[i] != '+' {
		i++
	}
	if i == len(b) {
		return b, scratch
	}
	scratch = append(scratch[:0], b[:i]...)
	for ; i < len(b); i++ {
		c := b[i]
		if c == '+' {
			c = ' '
		} else if c == '%' && i+2 < len(b) && unhex[b[i+1]] >= 0 && unhex[b[i+2]] >= 0 {
			c = byte(unhex[b[i+1]])<<4 | byte(unhex[b[i+2]])
			i += 2
		}
		scratch = append(scratch, c)
	}
	return scratch, scratch
}

// multipart walks the parts of a form (RFC 7578). Without a boundary in the
// header the first line is it.
func (w *Walker) multipart(boundary, b []byte, v Visitor) bool {
	if len(boundary) == 0 {
		line, _, _ := bytes.Cut(b, []byte{'\n'})
		line = bytes.TrimRight(line, "\r")
		if len(line) < 3 || line[0] != '-' || line[1] != '-' {
			return false
		}
		boundary = line[2:]
	}
	i := delimit(b, boundary)
	for i >= 0 {
		b = b[i+2+len(boundary):]
		if bytes.HasPrefix(b, []byte("--")) {
			return true
		}
		end := delimit(b, boundary)
		part := b
		if end >= 0 {
			part = b[:end]
		}
		w.part(part, end >= 0, v)
		if w.left < 0 {
			return false
		}
		i = end
	}
	return false
}

// delimit finds the next "--boundary" at the start of a line.
func delimit(b, boundary []byte) int {
	for at := 0; ; {
		i := bytes.Index(b[at:], boundary)
		if i < 0 {
			return -1
		}
		i += at
		if i >= 2 && b[i-1] == '-' && b[i-2] == '-' && (i == 2 || b[i-3] == '\n') {
			return i - 2
		}
		at = i + 1
	}
}

// part tells of one part; whole is false where its end is missing.
func (w *Walker) part(b []byte, whole bool, v Visitor) {
	var name, file, contentType []byte
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return
		}
		line := bytes.TrimSpace(b[:i])
		b = b[i+1:]
		if len(line) == 0 {
			if name != nil || contentType != nil {
				break
			}
			continue
		}
		field, value, _ := bytes.Cut(line, []byte{':'})
		switch {
		case fold(field, "content-disposition"):
			name, file = parameter(value, "name"), parameter(value, "filename")
			if name == nil {
				name = []byte{}
			}
			if file == nil {
				file = parameter(value, "filename*")
			}
		case fold(field, "content-type"):
			contentType = bytes.TrimSpace(value)
		}
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte{'\n'}), []byte{'\r'})
	v.Key(name)
	if w.left--; w.left < 0 {
		return
	}
	format, known := declared(contentType)
	switch {
	case file != nil:
		v.Value(String, file)
	case !whole:
	case format == JSON && len(bytes.TrimSpace(b)) > 0:
		w.json(b, v)
		w.close(v, 1)
	case known && format == None:
		v.Value(String, nil)
	default:
		v.Value(String, b)
	}
}
