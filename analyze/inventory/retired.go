package inventory

import (
	"net/http"
	"strconv"

	"plainsight/capture"
)

// endOf is the earliest moment, in Unix time, at which an answer says that its
// resource is deprecated (RFC 9745: a moment as @1688169599; its drafts: a date, or
// true) or ends (RFC 8594: a date); 0: it does not say.
func endOf(m *capture.Message) (end int64) {
	for i := range m.Headers {
		h := &m.Headers[i]
		var at int64
		switch {
		case capture.EqualFold(h.Name, "sunset"):
			at = date(h.Value)
		case capture.EqualFold(h.Name, "deprecation"):
			switch {
			case len(h.Value) > 1 && h.Value[0] == '@':
				at, _ = strconv.ParseInt(string(h.Value[1:]), 10, 64) // what is no number is no moment
			case string(h.Value) == "true" || string(h.Value) == "?1":
				at = 1 // long ago: it is already
			default:
				at = date(h.Value)
			}
		}
		if 0 < at && at < maxMoment && (end == 0 || at < end) {
			end = at
		}
	}
	return end
}

// maxMoment keeps nanoseconds within 64 bits.
const maxMoment = 1 << 33

func date(text capture.Text) int64 {
	if len(text) > 64 {
		return 0
	}
	at, err := http.ParseTime(string(text))
	if err != nil {
		return 0
	}
	return at.Unix()
}

// retire notes a moment, of which the earliest counts.
func (r *record) retire(end int64) {
	if end != 0 && (r.retired == 0 || end < r.retired) {
		r.retired = end
	}
}
