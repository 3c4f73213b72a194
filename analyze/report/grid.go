package report

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// A grid is a table of text that fits a width: columns are cut and then left
// out until it does. Widths are those of Unicode and do not depend on the
// locale, so that a report is the same everywhere.
type grid struct {
	columns []column
	rows    []row
	bare    bool // no titles
}

type column struct {
	title string
	right bool
	least int // may be cut to so many columns; 0: never
	drop  int // the highest leaves first; 0: never
}

type row struct {
	cells []cell
	note  cell   // a line of its own below
	free  func() // prints lines of its own instead
}

// cell is text in one style.
type cell struct {
	text  string
	style style
}

const gutter = 2

// fit finds the widths of the columns; -1 leaves one out.
func (g *grid) fit(room int) []int {
	widths := make([]int, len(g.columns))
	for i, c := range g.columns {
		for _, r := range g.rows {
			if r.free != nil {
				continue
			}
			widths[i] = max(widths[i], columns(r.cells[i].text))
		}
		if widths[i] == 0 {
			widths[i] = -1 // nothing in it
		} else if !g.bare {
			widths[i] = max(widths[i], columns(c.title))
		}
	}
	for {
		total := -gutter
		for _, w := range widths {
			if w >= 0 {
				total += w + gutter
			}
		}
		cut := make([]int, len(widths))
		copy(cut, widths)
		for total > room {
			widest := -1
			for i, w := range cut {
				if least := g.columns[i].least; least > 0 && w > least && (widest < 0 || w-least > cut[widest]-g.columns[widest].least) {
					widest = i
				}
			}
			if widest < 0 {
				break
			}
			cut[widest]--
			total--
		}
		if total <= room {
			return cut
		}
		out := -1
		for i, w := range widths {
			if drop := g.columns[i].drop; w >= 0 && drop > 0 && (out < 0 || drop > g.columns[out].drop) {
				out = i
			}
		}
		if out < 0 {
			return cut // as narrow as it gets
		}
		widths[out] = -1
	}
}

// write prints the grid.
func (g *grid) write(p *printer, indent int) {
	widths := g.fit(p.width - indent)
	if !g.bare {
		titles := make([]cell, len(g.columns))
		for i, c := range g.columns {
			titles[i] = cell{c.title, dim}
		}
		g.line(p, indent, widths, titles)
	}
	for _, r := range g.rows {
		if r.free != nil {
			r.free()
			continue
		}
		g.line(p, indent, widths, r.cells)
		if r.note.text != "" {
			p.put(strings.Repeat(" ", indent+gutter))
			p.styled(r.note.style, snip(r.note.text, p.width-indent-gutter))
			p.put("\n")
		}
	}
}

func (g *grid) line(p *printer, indent int, widths []int, cells []cell) {
	space := indent // owed before the next text, so that no line ends in spaces
	for i, c := range cells {
		if widths[i] < 0 {
			continue
		}
		text := snip(c.text, widths[i])
		pad := widths[i] - columns(text)
		if g.columns[i].right {
			space, pad = space+pad, 0
		}
		if text != "" {
			p.put(strings.Repeat(" ", space))
			p.styled(c.style, text)
			space = 0
		}
		space += pad + gutter
	}
	p.put("\n")
}

// columns says how many columns of a terminal text takes.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	switch {
	case r < 0x7f:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// snip cuts text to n columns, the last of them an ellipsis.
func snip(s string, n int) string {
	if columns(s) <= n {
		return s
	}
	if n < 1 {
		return ""
	}
	used := 0
	for i, r := range s {
		if used += runeColumns(r); used > n-1 {
			return s[:i] + "…"
		}
	}
	return s
}

// wrap breaks text into lines of at most n columns, between words where it can.
func wrap(s string, n int) []string {
	var lines []string
	line, used := "", 0
	for _, word := range strings.Fields(s) {
		w := columns(word)
		for w > n { // a word longer than a line
			if line != "" {
				lines, line, used = append(lines, line), "", 0
			}
			at, taken := len(word), 0
			for i, r := range word {
				if taken += runeColumns(r); taken > n {
					at = i
					break
				}
			}
			lines = append(lines, word[:at])
			word = word[at:]
			w = columns(word)
		}
		switch {
		case line == "":
			line, used = word, w
		case used+1+w <= n:
			line, used = line+" "+word, used+1+w
		default:
			lines = append(lines, line)
			line, used = word, w
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
