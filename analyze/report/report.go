// Package report turns a snapshot into something to read: a terminal page, a
// JSON document, one self-contained HTML file, a SARIF log. The commands read,
// report and serve call it; a format is a row of one table.
//
// It concludes nothing, keeps nothing and opens nothing: what a report says is
// in the [analyze.Snapshot], and the same snapshot gives the same bytes. Text
// in a snapshot comes from strangers. It should be clean already, and is
// cleaned again here, since this is the last door before a terminal, a browser
// or another program's parser.
package report

import (
	"io"

	"plainsight/analyze"
)

// Options say how a report is laid out. The zero value is a report for a file
// or a pipe.
type Options struct {
	// Width is the number of columns of the terminal; 0 is 80, less than 60 is
	// taken as 60. Only text uses it.
	Width int
	// Colour lets text use colours. Whether NO_COLOR or a pipe forbids them is
	// the caller's to decide.
	Colour bool
	// Findings, Endpoints and Rows cap how many findings, endpoints a service
	// and rows of other tables text prints before "and N more"; 0 is 20, 25
	// and 15, and less than 0 is no cap. The other formats print all.
	Findings, Endpoints, Rows int
}

const (
	defaultWidth     = 80
	leastWidth       = 60
	defaultFindings  = 20
	defaultEndpoints = 25
	defaultRows      = 15
)

func (o Options) withDefaults() Options {
	limit := func(n *int, usual int) {
		switch {
		case *n == 0:
			*n = usual
		case *n < 0:
			*n = int(^uint(0) >> 1)
		}
	}
	if o.Width == 0 {
		o.Width = defaultWidth
	}
	o.Width = max(o.Width, leastWidth)
	limit(&o.Findings, defaultFindings)
	limit(&o.Endpoints, defaultEndpoints)
	limit(&o.Rows, defaultRows)
	return o
}

// Format is a way to write a report.
type Format struct {
	Name        string // as in --format
	Extension   string // of a file, with its dot
	ContentType string
	Help        string // half a line for the usage text
	Write       func(io.Writer, *analyze.Snapshot, Options) error
}

// Formats lists the formats, the usual one first.
func Formats() []Format {
	return []Format{
		{"text", ".txt", "text/plain; charset=utf-8", "for a terminal", Text},
		{"json", ".json", "application/json", "everything, for programs (schema plainsight.report/1)", JSON},
		{"html", ".html", "text/html; charset=utf-8", "one self-contained page", HTML},
		{"sarif", ".sarif", "application/sarif+json", "findings for code scanning (SARIF 2.1.0)", SARIF},
	}
}

// ByName finds a format.
func ByName(name string) (Format, bool) {
	for _, f := range Formats() {
		if f.Name == name {
			return f, true
		}
	}
	return Format{}, false
}
