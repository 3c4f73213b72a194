package sensitive

import (
	"bytes"
	"slices"

	"plainsight/analyze"
	"plainsight/analyze/body"
)

// A Masker makes captured text fit to be shown: see [Masker.Text]. It is for one
// goroutine; the zero value is ready.
type Masker struct {
	finder finder
	plain  []byte
	cuts   []cut
	out    []byte
}

type cut struct{ from, to int }

// maxMasked is how much of a text is read; what is beyond is left out.
const maxMasked = 4096

// MaskText is [Masker.Text] for those who call it seldom.
func MaskText(text []byte) string { return new(Masker).Text(text) }

// Text returns text, a path, a target or a line of a message, with everything
// that may be sensitive in it masked (see [analyze.Mask]): what the detectors
// find, the values of parameters and of name: value pairs whose name hints at
// anything sensitive, and every run that looks like a token or a number of a
// person. Percent-encoding is undone first, so that nothing hides behind it.
// The result is cleaned and bounded like all kept text. It masks rather too
// much: it is for people who want to know where, not what.
func (m *Masker) Text(text []byte) string { return string(m.Append(nil, text)) }

// Append is [Masker.Text] for those who put a line together: it appends to dst.
func (m *Masker) Append(dst, text []byte) []byte {
	if len(text) > maxMasked {
		text = text[:maxMasked]
	}
	m.plain = m.plain[:0]
	m.plain = append(m.plain, text...)
	for range 3 { // encoded twice is seen in the wild
		if bytes.IndexByte(m.plain, '%') < 0 {
			break
		}
		n := len(m.plain)
		m.plain = body.Unescape(m.plain[:0], m.plain)
		if len(m.plain) == n {
			break
		}
	}
	t := m.plain
	m.cuts = m.cuts[:0]
	var c class
	c.blank = true
	// The finders report a bounded number of places at once: go on behind them.
	for at := 0; at < len(t); {
		m.finder.find(t[at:], &c, false)
		if len(m.finder.found) == 0 {
			break
		}
		last := at
		for _, f := range m.finder.found {
			m.cuts = append(m.cuts, cut{at + f.from, at + f.to})
			last = max(last, at+f.to)
		}
		if len(m.finder.found) < maxFound {
			break
		}
		at = last
	}
	m.pairs(t)
	m.runs(t)
	m.marks(t)
	return m.render(dst, t)
}

// pairs cuts the values of pairs whose names hint at something.
func (m *Masker) pairs(t []byte) {
	for i := 0; i < len(t); i++ {
		if t[i] != '=' && t[i] != ':' {
			continue
		}
		start := i
		for start > 0 && (kinds[t[start-1]]&(isToken|isHigh) != 0 || t[start-1] == '.' || t[start-1] == '[' || t[start-1] == ']' || t[start-1] == '"') && i-start < maxName {
			start--
		}
		name := bytes.Trim(t[start:i], `"`)
		if len(name) == 0 {
			continue
		}
		k := classify(nil, name)
		if k.hints.empty() {
			continue
		}
		from := i + 1
		for from < len(t) && (t[from] == ' ' || t[from] == '"' || t[from] == '\'') {
			from++
		}
		to := from
		for to < len(t) && t[to] != '&' && t[to] != ';' && t[to] != '"' && t[to] != '\n' && t[to] != '#' {
			if t[to] == ',' && t[i] == ':' {
				break
			}
			to++
		}
		if t[i] == ':' && to < len(t) && hasPrefix(t[from:], "//") {
			continue // a scheme
		}
		if to > from {
			m.cuts = append(m.cuts, cut{from, to})
		}
	}
}

// runs cuts what looks random or like a number of something: letters and
// digits mixed, or eight digits and more.
func (m *Masker) runs(t []byte) {
	for i := 0; i < len(t); {
		if kinds[t[i]]&isToken == 0 {
			i++
			continue
		}
		start := i
		digits, upper, lower := 0, 0, 0
		for i < len(t) && (kinds[t[i]]&isToken != 0 || t[i] == '+' || t[i] == '=' && i+1 < len(t) && t[i+1] == '=' || t[i] == '~') {
			switch k := kinds[t[i]]; {
			case k&isDigit != 0:
				digits++
			case k&isUpper != 0:
				upper++
			case k&isLower != 0:
				lower++
			}
			i++
		}
		run := t[start:i]
		letters := upper + lower
		switch {
		case digits >= 7,
			len(run) >= 8 && digits >= 2 && upper >= 1 && lower >= 1,
			len(run) >= 8 && upper >= 1 && lower >= 1 && unspeakable(run),
			len(run) >= 12 && digits >= 2 && letters >= 2,
			len(run) >= 16 && upper >= 2 && lower >= 2 && alternating(run) >= 5,
			len(run) >= 24 && bytes.IndexByte(run, '-') < 0 && bytes.IndexByte(run, '_') < 0:
			m.cuts = append(m.cuts, cut{start, i})
		}
	}
}

// marks cuts what stands before an @, a user with or without a password, and words
// with an exclamation mark inside, as passwords have them and names have not.
func (m *Masker) marks(t []byte) {
	if bytes.IndexByte(t, '@') < 0 && bytes.IndexByte(t, '!') < 0 {
		return
	}
	for i := 0; i < len(t); {
		start, at, mark := i, -1, false
		for i < len(t) && (kinds[t[i]]&(isToken|isHigh) != 0 || t[i] == '@' || t[i] == '!' || t[i] == ':' || t[i] == '.' || t[i] == '+') {
			switch {
			case t[i] == '@' && i > start:
				at = i
			case t[i] == '!':
				mark = mark || i > start && i+1 < len(t) && kinds[t[i+1]]&(isDigit|isUpper|isLower) != 0
			}
			i++
		}
		switch {
		case mark && i-start >= 8:
			m.cuts = append(m.cuts, cut{start, i})
		case at >= 0:
			m.cuts = append(m.cuts, cut{start, at})
		}
		if i == start {
			i++
		}
	}
}

// unspeakable reports whether five consonants stand in a row.
func unspeakable(b []byte) bool {
	n := 0
	for _, c := range b {
		switch c | 0x20 {
		case 'a', 'e', 'i', 'o', 'u', 'y':
			n = 0
		default:
			if kinds[c]&(isUpper|isLower) == 0 {
				n = 0
			} else if n++; n >= 5 {
				return true
			}
		}
	}
	return false
}

// render appends what lies between the cuts, and their masks.
func (m *Masker) render(dst, t []byte) []byte {
	if len(m.cuts) == 0 {
		return analyze.AppendClean(dst, t)
	}
	slices.SortFunc(m.cuts, func(a, b cut) int { return a.from - b.from })
	m.out = m.out[:0]
	at := 0
	for i := 0; i < len(m.cuts); {
		from, to := max(m.cuts[i].from, at), m.cuts[i].to
		for i++; i < len(m.cuts) && m.cuts[i].from < to; i++ {
			to = max(to, m.cuts[i].to) // cuts that overlap are one
		}
		m.out = append(m.out, t[at:from]...)
		m.out = analyze.AppendMask(m.out, t[from:to])
		at = to
	}
	m.out = append(m.out, t[at:]...)
	return analyze.AppendClean(dst, m.out)
}
