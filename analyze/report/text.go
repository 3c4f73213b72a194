package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"plainsight/analyze"
)

// style is what stands between ESC [ and m.
type style string

const (
	normal style = ""
	bold   style = "1"
	dim    style = "2"
	good   style = "32"
	warn   style = "33"
	bad    style = "31"
	worst  style = "1;31"
	calm   style = "36"
)

var severityStyles = [...]style{analyze.Info: dim, analyze.Low: calm, analyze.Medium: warn, analyze.High: bad, analyze.Critical: worst}

// printer writes styled text; bufio keeps the first error.
type printer struct {
	*bufio.Writer
	Options
	width int
}

func (p *printer) put(s string) { p.WriteString(s) }

func (p *printer) styled(s style, text string) {
	if p.Colour && s != normal {
		p.put("\x1b[" + string(s) + "m" + text + "\x1b[0m")
		return
	}
	p.put(text)
}

// heading starts a section.
func (p *printer) heading(title, remark string) {
	p.put("\n")
	p.styled(bold, strings.ToUpper(title))
	if remark != "" {
		p.put("  ")
		p.styled(dim, snip(remark, p.width-columns(title)-gutter))
	}
	p.put("\n")
}

// bullet writes a paragraph behind a mark.
func (p *printer) bullet(indent int, mark string, s style, text string) {
	inner := indent + columns(mark) + 1
	for i, line := range wrap(text, p.width-inner) {
		if i == 0 {
			p.put(strings.Repeat(" ", indent))
			p.styled(s, mark)
			p.put(" ")
		} else {
			p.put(strings.Repeat(" ", inner))
		}
		p.put(line + "\n")
	}
}

func (p *printer) more(indent, n int, one, many string) {
	if n > 0 {
		what := many
		if n == 1 {
			what = one
		}
		p.put(strings.Repeat(" ", indent))
		p.styled(dim, snip(fmt.Sprintf("… and %s more %s (see --format html or json)", number(n), what), p.width-indent))
		p.put("\n")
	}
}

// Text writes a report for a terminal: no line is wider than Options.Width.
func Text(w io.Writer, s *analyze.Snapshot, o Options) error {
	s, o = shown(s), o.withDefaults()
	p := &printer{bufio.NewWriter(w), o, o.Width}
	p.top(s)
	p.scorecard(s.Scorecard)
	p.findings(s)
	p.endpoints(s)
	p.sensitive(s.Endpoints)
	p.matrix(s.Edges)
	p.servers(s.Sessions)
	p.coverage(s)
	return p.Flush()
}

func (p *printer) top(s *analyze.Snapshot) {
	var bytes int64
	var frames uint64
	for _, c := range s.Coverage.Captures {
		bytes += c.Bytes
		frames += c.Frames
	}
	what, held := "no capture", ""
	switch captures := s.Coverage.Captures; {
	case len(captures) == 1:
		what = captures[0].Name
	case len(captures) > 1:
		what = plural(len(captures), "capture", "captures")
	}
	if len(s.Coverage.Captures) > 0 {
		held = "  " + size(bytes) + ", " + plural(frames, "frame", "frames")
	}
	name := snip(strings.TrimSpace("plainsight "+s.Version), 24)
	p.styled(bold, name)
	p.put("  " + snip(what, p.width-columns(name)-columns(held)-gutter))
	p.styled(dim, held)
	p.put("\n")
	p.put(snip(span(s.First, s.Last), p.width) + "\n")
	line := fmt.Sprintf("%s · %s · %s", plural(s.Exchanges, "exchange", "exchanges"),
		plural(len(s.Services), "service", "services"), plural(len(s.Endpoints), "endpoint", "endpoints"))
	counts := tally(s.Findings)
	switch {
	case counts != "":
	case s.Exchanges > 0 && len(s.Scorecard) == 0:
		counts = "not analysed"
	default:
		counts = "no findings"
	}
	p.put(snip(line, p.width))
	if columns(line)+columns(counts)+3 <= p.width {
		p.put(" · ")
	} else {
		p.put("\n")
	}
	p.styled(severityStyles[worstOf(s.Findings)], counts)
	p.put("\n")
	if why := hintsFor(s); why != nil {
		p.heading("no HTTP was seen", "")
		for _, h := range why {
			p.bullet(2, "→", warn, h)
		}
		if len(s.Coverage.Counts) > 0 {
			p.bullet(2, "→", warn, "What the capture held instead is counted under COVERAGE below.")
		}
	}
}

var stateMarks = map[analyze.State]cell{
	analyze.Kept:       {"✓", good},
	analyze.Broken:     {"✗", bad},
	analyze.NotVisible: {"?", dim},
}

func (p *printer) scorecard(scores []analyze.Score) {
	if len(scores) == 0 {
		return
	}
	n := map[analyze.State]int{}
	for i := range scores {
		n[scores[i].State]++
	}
	p.heading("practices", fmt.Sprintf("✓ %d kept  ✗ %d broken  ? %d not visible", n[analyze.Kept], n[analyze.Broken], n[analyze.NotVisible]))
	// As many side by side as fit, read downwards.
	const widest = 36 // of mark, name and findings with their gutters
	across := max(1, p.width/widest)
	down := (len(scores) + across - 1) / across
	g := grid{bare: true, rows: make([]row, down)}
	for x := range across {
		g.columns = append(g.columns, column{}, column{least: 12}, column{least: 8})
		for y := range down {
			cells := make([]cell, 3)
			if i := x*down + y; i < len(scores) {
				c := &scores[i]
				mark, ok := stateMarks[c.State]
				if !ok {
					mark = cell{"·", dim}
				}
				cells[0], cells[1].text = mark, fmt.Sprintf("%2d %s", c.Practice, c.Practice)
				if c.Findings > 0 {
					cells[2] = cell{number(c.Findings) + " " + c.Worst.String(), severityStyles[c.Worst]}
				}
			}
			g.rows[y].cells = append(g.rows[y].cells, cells...)
		}
	}
	g.write(p, 2)
}

// perGroup is how many places one rule's entry lists before the others get
// their turn.
const perGroup = 5

func (p *printer) findings(s *analyze.Snapshot) {
	if len(s.Findings) == 0 {
		if s.Exchanges > 0 && len(s.Scorecard) > 0 { // else nobody looked
			p.heading("findings", "none")
		}
		return
	}
	p.heading("findings", fmt.Sprintf("%s, worst first", number(len(s.Findings))))
	room, left := p.Findings, len(s.Findings)
	fixes := map[string]bool{}
	var severity analyze.Severity
	for i, g := range groups(s.Findings) {
		if room == 0 {
			break
		}
		if i == 0 || g.Severity != severity {
			severity = g.Severity
			p.put("\n  ")
			p.styled(severityStyles[severity], strings.ToUpper(severity.String()))
			p.put("\n")
		}
		title := snip(g.Title, p.width-4)
		p.put("  ")
		p.styled(severityStyles[severity], "●")
		p.put(" ")
		p.styled(bold, title)
		if about := "  " + g.Rule + ", " + string(g.Level); columns(title)+columns(about)+4 <= p.width {
			p.styled(dim, about)
		}
		p.put("\n")
		list := g.Findings[:min(len(g.Findings), room, max(perGroup, room/4))]
		p.places(list)
		room -= len(list)
		left -= len(list)
		if n := len(g.Findings) - len(list); n > 0 && room > 0 {
			p.more(4, n, "place", "places")
			left -= n
		}
		if said := g.Rule + g.Fix; g.Fix != "" && !fixes[said] { // a rule's advice once
			fixes[said] = true
			p.bullet(4, "→", good, g.Fix)
		}
	}
	if left > 0 {
		p.put("\n")
		p.more(2, left, "finding", "findings")
	}
}

// places writes a line for each finding of a group: how often, where, the place
// in the message and a masked value as far as there is room. A place that does
// not fit behind gets a line below: it is what one looks for.
func (p *printer) places(list []*analyze.Finding) {
	const indent = 4
	count, at := 0, 0
	for _, f := range list {
		count = max(count, columns(number(f.Count))+1)
	}
	room := p.width - indent - count - gutter
	for _, f := range list {
		if w := columns(where(f)); w+gutter+columns(f.Place) <= room {
			at = max(at, w)
		}
	}
	for _, f := range list {
		n, w := number(f.Count)+"×", snip(where(f), room)
		p.put(strings.Repeat(" ", indent+count-columns(n)))
		p.styled(dim, n)
		p.put(strings.Repeat(" ", gutter) + w)
		used := columns(w)
		if f.Place != "" {
			pad := max(gutter, at-used+gutter)
			if used+pad+columns(f.Place) > room {
				below := snip(f.Place, room-gutter)
				p.put("\n" + strings.Repeat(" ", indent+count+2*gutter) + below)
				used = columns(below) + gutter
			} else {
				p.put(strings.Repeat(" ", pad) + f.Place)
				used += pad + columns(f.Place)
			}
		}
		if len(f.Samples) > 0 && used+gutter+columns(f.Samples[0].Mask) <= room {
			p.put(strings.Repeat(" ", gutter))
			p.styled(dim, f.Samples[0].Mask)
		}
		p.put("\n")
	}
}

func (p *printer) endpoints(s *analyze.Snapshot) {
	if len(s.Endpoints) == 0 {
		return
	}
	p.heading("endpoints", "")
	of := map[string][]*analyze.Endpoint{}
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		of[e.Service] = append(of[e.Service], e)
	}
	g := p.endpointGrid()
	for _, v := range serviceList(s) {
		list := of[v.Name]
		if len(list) == 0 {
			continue
		}
		g.rows = append(g.rows, row{free: func() { p.service(v, len(list)) }})
		most := mostUsed(list, p.Endpoints)
		for _, e := range most {
			g.rows = append(g.rows, p.endpoint(e))
		}
		g.rows = append(g.rows, row{free: func() {
			p.more(4, len(list)-len(most), "endpoint with fewer requests", "endpoints with fewer requests")
		}})
	}
	g.write(p, 4)
}

// service writes the line above a service's endpoints.
func (p *printer) service(v *analyze.Service, endpoints int) {
	name := snip(v.Name, p.width-gutter)
	p.put("\n  ")
	p.styled(bold, name)
	if room := p.width - columns(name) - 2*gutter; room > 20 {
		p.put("  ")
		p.styled(dim, snip(about(v, endpoints), room))
	}
	p.put("\n")
}

// mostUsed keeps the n endpoints with the most requests, in their order.
func mostUsed(list []*analyze.Endpoint, n int) []*analyze.Endpoint {
	if len(list) <= n {
		return list
	}
	rank := slices.SortedStableFunc(slices.Values(list), func(a, b *analyze.Endpoint) int { return cmp.Compare(b.Requests, a.Requests) })
	keep := map[*analyze.Endpoint]bool{}
	for _, e := range rank[:n] {
		keep[e] = true
	}
	return slices.DeleteFunc(slices.Clone(list), func(e *analyze.Endpoint) bool { return !keep[e] })
}

// wide is from how many columns on what an endpoint carries has a column; a
// narrower terminal has it below the endpoint.
const wide = 110

func (p *printer) endpointGrid() grid {
	g := grid{columns: []column{{title: "METHOD", least: 4}, {title: "ENDPOINT", least: 20}, {title: "REQUESTS", right: true},
		{title: "STATUS", least: 8}, {title: "AUTH", least: 8, drop: 1}, {title: "P50/P95 MS", right: true, drop: 2}, {title: "WIRE", drop: 3}, {title: "CARRIES", least: 12}}}
	if p.width < wide {
		g.columns[7].title = ""
	}
	return g
}

func (p *printer) endpoint(e *analyze.Endpoint) row {
	carries, note, parts := strings.Join(kinds(e.Sensitive), ", "), cell{}, 2
	if p.width < wide {
		parts = 1
		if carries != "" {
			carries, note = "", cell{"carries " + carries, warn}
		}
	}
	travelled := cell{wire(e), normal}
	if e.Plaintext > 0 {
		travelled.style = bad
	}
	auth := cell{mixed(authMix(e), parts), normal}
	if len(e.Auth) == 1 && e.Auth["none"] > 0 {
		auth.style = dim
	}
	return row{note: note, cells: []cell{{e.Method, bold}, {strings.TrimSpace(e.Template + " " + e.Operation), normal}, {number(e.Requests), normal},
		{mixed(statusMix(e), parts), normal}, auth, {latency(e), normal}, travelled, {carries, warn}}}
}

func (p *printer) sensitive(endpoints []analyze.Endpoint) {
	kinds := byKind(endpoints)
	if len(kinds) == 0 {
		return
	}
	p.heading("sensitive data", "by kind, over all endpoints")
	g := grid{columns: []column{{title: "KIND", least: 10}, {title: "CATEGORY", least: 8, drop: 1}, {title: "SEVERITY"}, {title: "SEEN", right: true},
		{title: "ENDPOINTS", right: true}, {title: "IN PLAINTEXT", right: true}}}
	for _, k := range kinds[:min(len(kinds), p.Rows)] {
		clear := cell{"–", dim}
		if k.Plaintext > 0 {
			clear = cell{number(k.Plaintext), bad}
		}
		g.rows = append(g.rows, row{cells: []cell{{k.Kind, bold}, {k.Category, normal}, {k.Severity.String(), severityStyles[k.Severity]},
			{number(k.Values), normal}, {number(k.Endpoints), normal}, clear}})
	}
	g.write(p, 2)
	p.more(2, len(kinds)-len(g.rows), "kind", "kinds")
}

func (p *printer) matrix(edges []analyze.Edge) {
	if len(edges) == 0 {
		return
	}
	p.heading("encryption", "who talks to whom, and how; the unprotected first")
	plaintext, encrypted, plain, cipher := protected(edges)
	if all := plain + cipher; all > 0 {
		words := fmt.Sprintf("%s of bytes in plaintext, %s in TLS", share(uint64(plain), uint64(all)), share(uint64(cipher), uint64(all)))
		more := fmt.Sprintf(" (%s and %s)", plural(plaintext, "connection", "connections"), number(encrypted))
		bar := min(30, p.width-columns(words)-2*gutter)
		filled := int(float64(plain) / float64(all) * float64(bar))
		if plain > 0 {
			filled = max(filled, 1)
		}
		p.put("  ")
		p.styled(bad, strings.Repeat("█", filled))
		p.styled(good, strings.Repeat("░", bar-filled))
		p.put("  " + words)
		if columns(words)+columns(more)+bar+2*gutter <= p.width {
			p.styled(dim, more)
		}
		p.put("\n")
	}
	g := grid{columns: []column{{title: "CLIENT", least: 12}, {title: "SERVICE", least: 14}, {title: "SERVER", least: 14, drop: 3}, {title: "WIRE", least: 9},
		{title: "CIPHER", least: 12, drop: 4}, {title: "CONNECTIONS", right: true}, {title: "EXCHANGES", right: true, drop: 1}, {title: "BYTES", right: true, drop: 2}}}
	sorted := worstEdges(edges)
	for _, e := range sorted[:min(len(sorted), p.Rows)] {
		g.rows = append(g.rows, row{cells: []cell{{e.Client, normal}, {e.Service, normal}, {e.Server, normal}, edgeWire(e), {e.Cipher, normal},
			{number(e.Connections), normal}, {number(e.Exchanges), normal}, {size(e.Bytes), normal}}})
	}
	g.write(p, 2)
	p.more(2, len(edges)-len(g.rows), "edge", "edges")
}

// worstEdges sorts plaintext before old TLS before the rest.
func worstEdges(edges []analyze.Edge) []*analyze.Edge {
	sorted := make([]*analyze.Edge, len(edges))
	for i := range edges {
		sorted[i] = &edges[i]
	}
	slices.SortStableFunc(sorted, func(a, b *analyze.Edge) int { return cmp.Compare(edgeRank(a), edgeRank(b)) })
	return sorted
}

func edgeRank(e *analyze.Edge) int {
	switch {
	case e.Wire != analyze.TLS:
		return 0
	case old(e.Version):
		return 1
	}
	return 2
}

func edgeWire(e *analyze.Edge) cell {
	switch edgeRank(e) {
	case 0:
		return cell{cmp.Or(string(e.Wire), "not known"), bad}
	case 1:
		return cell{e.Version, warn}
	}
	return cell{cmp.Or(e.Version, "tls"), good}
}

func (p *printer) servers(sessions []analyze.Session) {
	if len(sessions) == 0 {
		return
	}
	p.heading("TLS servers", "")
	g := grid{columns: []column{{title: "SERVER", least: 14}, {title: "NAME ASKED FOR", least: 20}, {title: "VERSION", least: 7}, {title: "CIPHER", least: 20, drop: 2},
		{title: "ALPN", drop: 4}, {title: "CERTIFICATE", least: 14, drop: 3}, {title: "EXPIRES", drop: 3}, {title: "JA3S", drop: 5}, {title: "CONNECTIONS", right: true, drop: 1}}}
	for i := range sessions[:min(len(sessions), p.Rows)] {
		v := &sessions[i]
		version := cell{cmp.Or(v.Version, "–"), good}
		if old(v.Version) {
			version.style = bad
		}
		expires := cell{}
		if !v.NotAfter.IsZero() {
			expires.text = v.NotAfter.Format("2006-01-02")
			if expired(v) {
				expires.style = bad
			}
		}
		g.rows = append(g.rows, row{cells: []cell{{v.Server, normal}, {cmp.Or(v.SNI, "–"), normal}, version, {v.Cipher, normal}, {v.ALPN, normal},
			{v.Subject, normal}, expires, {v.JA3S, dim}, {number(v.Connections), normal}}})
	}
	g.write(p, 2)
	p.more(2, len(sessions)-len(g.rows), "row", "rows")
}

func (p *printer) coverage(s *analyze.Snapshot) {
	c := &s.Coverage
	p.heading("coverage", "what was looked at, and what could not be seen")
	for i := range c.Captures[:min(len(c.Captures), p.Rows)] {
		f := &c.Captures[i]
		about := fmt.Sprintf("%s (%s, %s, %s)", f.Name, f.Format, size(f.Bytes), plural(f.Frames, "frame", "frames"))
		if f.Damaged != "" {
			p.bullet(2, "!", bad, about+", damaged: "+f.Damaged)
			continue
		}
		p.bullet(2, "·", dim, about)
	}
	p.more(2, len(c.Captures)-p.Rows, "capture", "captures")
	for _, line := range c.NotVisible {
		p.bullet(2, "!", warn, line)
	}
	if c.Noise > 0 {
		p.bullet(2, "·", dim, plural(c.Noise, "exchange", "exchanges")+" of paths that never succeeded (scanners, wrong paths) left out of the endpoints")
	}
	if len(c.Counts) > 0 {
		p.put("\n")
		g := grid{bare: true, columns: []column{{right: true}, {least: 20}, {least: 20}}}
		for _, n := range c.Counts {
			g.rows = append(g.rows, row{cells: []cell{{number(n.Value), normal}, {n.Name, normal}, {n.Help, dim}}})
		}
		g.write(p, 2)
	}
}
