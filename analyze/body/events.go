package body

import "bytes"

// events tells the data of server-sent events (WHATWG HTML §9.2) into the array
// that is open: JSON where it is some, else a String.
func (w *Walker) events(b []byte, v Visitor) bool {
	ok := true
	base := len(w.stack)
	var data []byte // of the event at hand, in b or, from a second line on, in w.second from start
	w.second = w.second[:0]
	start := 0
	lines := 0
	for more := true; more; {
		var line []byte
		i := bytes.IndexAny(b, "\r\n")
		if i < 0 {
			line, b, more = b, nil, false
		} else {
			line = b[:i]
			if b[i] == '\r' && i+1 < len(b) && b[i+1] == '\n' {
				i++
			}
			b = b[i+1:]
		}
		if rest, found := bytes.CutPrefix(line, []byte("data:")); found {
			rest = bytes.TrimPrefix(rest, []byte{' '})
			if lines++; lines == 1 {
				data = rest
			} else {
				if lines == 2 {
					start = len(w.second) // names in the events before live on
					w.second = append(w.second, data...)
				}
				w.second = append(append(w.second, '\n'), rest...)
				data = w.second[start:]
			}
		}
		if len(line) > 0 && more || lines == 0 {
			continue
		}
		if len(data) > 0 && jsonStart(data, false) {
			ok = w.json(data, v) && ok
			w.close(v, base)
		} else if len(data) > 0 {
			if w.left--; w.left < 0 {
				return false
			}
			v.Value(String, data)
		}
		data, lines = nil, 0
	}
	return ok
}
