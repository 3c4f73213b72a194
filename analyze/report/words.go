package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"plainsight/analyze"
)

// How numbers, times and mixtures read; text and html share it.

// number writes n with separators: 12,840.
func number[N int | int64 | uint64](n N) string {
	digits := strconv.FormatInt(int64(n), 10)
	if n > 0 {
		digits = strconv.FormatUint(uint64(n), 10)
	}
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// plural writes n things.
func plural[N int | int64 | uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

var byteUnits = [...]string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}

// size writes a number of bytes: 41.2 MB.
func size(n int64) string {
	f, unit := float64(n), 0
	for f >= 999.5 && unit < len(byteUnits)-1 {
		f, unit = f/1000, unit+1
	}
	if unit == 0 || f >= 99.95 {
		return fmt.Sprintf("%.0f %s", f, byteUnits[unit])
	}
	return fmt.Sprintf("%.1f %s", f, byteUnits[unit])
}

// share writes a part of a whole: "<1%" is not none, ">99%" not all.
func share(part, whole uint64) string {
	if whole == 0 {
		return "0%"
	}
	p := float64(part) / float64(whole) * 100
	switch {
	case part > 0 && p < 1:
		return "<1%"
	case part < whole && p > 99:
		return ">99%"
	}
	return fmt.Sprintf("%.0f%%", p)
}

// millis writes a latency in ms with two figures.
func millis(f float64) string {
	switch {
	case f <= 0:
		return "–"
	case f < 10:
		return strconv.FormatFloat(f, 'f', 1, 64)
	case f < 1e6:
		return number(int64(f + 0.5))
	}
	return ">10⁶"
}

func latency(e *analyze.Endpoint) string {
	if e.LatencyP50 <= 0 && e.LatencyP95 <= 0 {
		return "–"
	}
	return millis(e.LatencyP50) + "/" + millis(e.LatencyP95)
}

// span writes from when to when, and how long.
func span(first, last time.Time) string {
	if first.IsZero() {
		return "time not known"
	}
	const day, clock = "2006-01-02", "15:04:05"
	if !last.After(first) {
		return first.Format(day+" "+clock) + " UTC"
	}
	end := last.Format(clock)
	if first.Format(day) != last.Format(day) {
		end = last.Format(day + " " + clock)
	}
	return first.Format(day+" "+clock) + " → " + end + " UTC (" + duration(last.Sub(first)) + ")"
}

// duration writes the two largest units.
func duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
	case d < time.Hour:
		return fmt.Sprintf("%dm %02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh %02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd %02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// part is a named share of something.
type part struct {
	Name  string
	Count uint64
}

// statusMix adds statuses up by class, in their order; a single status stays
// itself.
func statusMix(e *analyze.Endpoint) []part {
	if len(e.Statuses) == 1 && e.Unanswered == 0 {
		for code, n := range e.Statuses {
			return []part{{strconv.Itoa(code), n}}
		}
	}
	classes := map[int]uint64{}
	for code, n := range e.Statuses {
		classes[code/100] += n
	}
	var mix []part
	for _, c := range slices.Sorted(maps.Keys(classes)) {
		name := strconv.Itoa(c) + "xx"
		if c < 1 || c > 5 {
			name = "odd"
		}
		mix = append(mix, part{name, classes[c]})
	}
	if e.Unanswered > 0 {
		mix = append(mix, part{"no answer", e.Unanswered})
	}
	return mix
}

// authMix lists kinds of credentials, the most used first.
func authMix(e *analyze.Endpoint) []part {
	var mix []part
	for name, n := range e.Auth {
		mix = append(mix, part{name, n})
	}
	slices.SortFunc(mix, func(a, b part) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	return mix
}

// mixed writes parts: one by its name, several with their shares, the rest
// beyond most as a number.
func mixed(mix []part, most int) string {
	if len(mix) == 0 {
		return "–"
	}
	if len(mix) == 1 {
		return mix[0].Name
	}
	whole := uint64(0)
	for _, p := range mix {
		whole += p.Count
	}
	var b strings.Builder
	for i, p := range mix {
		if i == most && most > 1 {
			fmt.Fprintf(&b, " +%d", len(mix)-most)
			break
		}
		if i == most {
			break // its share says that there is more
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(p.Name + " " + share(p.Count, whole))
	}
	return b.String()
}

// wire says how an endpoint's requests travelled.
func wire(e *analyze.Endpoint) string {
	switch {
	case e.Plaintext > 0 && e.Encrypted > 0:
		return "both"
	case e.Plaintext > 0:
		return "plaintext"
	case e.Encrypted > 0:
		return "tls"
	}
	return "–"
}

// kinds lists the kinds of sensitive data of an endpoint, the worst first.
func kinds(sensitive []analyze.Sensitive) []string {
	sorted := slices.SortedStableFunc(slices.Values(sensitive), func(a, b analyze.Sensitive) int {
		return cmp.Compare(b.Severity, a.Severity)
	})
	var names []string
	for _, s := range sorted {
		if !slices.Contains(names, s.Kind) {
			names = append(names, s.Kind)
		}
	}
	return names
}

// group is findings that say the same of several places.
type group struct {
	*analyze.Finding // the first, for what they share
	Findings         []*analyze.Finding
}

// groups gathers findings of one severity and rule, in their order.
func groups(findings []analyze.Finding) []group {
	type key struct {
		severity    analyze.Severity
		rule, title string
	}
	var all []group
	at := map[key]int{}
	for i := range findings {
		f := &findings[i]
		k := key{f.Severity, f.Rule, f.Title}
		g, ok := at[k]
		if !ok {
			g = len(all)
			at[k] = g
			all = append(all, group{Finding: f})
		}
		all[g].Findings = append(all[g].Findings, f)
	}
	return all
}

// bySeverity counts findings, indexed by severity.
func bySeverity(findings []analyze.Finding) (n [analyze.Critical + 1]int) {
	for i := range findings {
		n[findings[i].Severity]++
	}
	return n
}

// worstOf is the worst severity among findings.
func worstOf(findings []analyze.Finding) (worst analyze.Severity) {
	for i := range findings {
		worst = max(worst, findings[i].Severity)
	}
	return worst
}

var severities = [...]analyze.Severity{analyze.Critical, analyze.High, analyze.Medium, analyze.Low, analyze.Info}

// tally writes "2 critical, 5 high".
func tally(findings []analyze.Finding) string {
	n := bySeverity(findings)
	var words []string
	for _, s := range severities {
		if n[s] > 0 {
			words = append(words, number(n[s])+" "+s.String())
		}
	}
	return strings.Join(words, ", ")
}

// where writes the place of a finding short of its service.
func where(f *analyze.Finding) string {
	if f.Endpoint == "" {
		return f.Service
	}
	method, template, ok := strings.Cut(f.Endpoint, " ")
	if !ok {
		return f.Service + " " + f.Endpoint
	}
	return method + " " + f.Service + template
}

// protected adds edges up.
func protected(edges []analyze.Edge) (plaintext, encrypted uint64, plain, cipher int64) {
	for i := range edges {
		if edges[i].Wire == analyze.TLS {
			encrypted += edges[i].Connections
			cipher += edges[i].Bytes
		} else {
			plaintext += edges[i].Connections
			plain += edges[i].Bytes
		}
	}
	return
}

// old tells versions of TLS (and SSL) that RFC 8996 and RFC 7568 retired.
func old(version string) bool {
	v := strings.ToLower(version)
	if strings.HasPrefix(v, "ssl") {
		return true
	}
	switch strings.Trim(strings.TrimPrefix(v, "tls"), " v") {
	case "1", "1.0", "1.1", "0x0002", "0x0300", "0x0301", "0x0302":
		return true
	}
	return false
}

// serviceList is the services once each, with those that only endpoints name.
func serviceList(s *analyze.Snapshot) []*analyze.Service {
	var list []*analyze.Service
	known := map[string]bool{}
	for i := range s.Services {
		if v := &s.Services[i]; !known[v.Name] {
			known[v.Name] = true
			list = append(list, v)
		}
	}
	for i := range s.Endpoints {
		if e := &s.Endpoints[i]; !known[e.Service] {
			known[e.Service] = true
			list = append(list, &analyze.Service{Name: e.Service})
		}
	}
	return list
}

// kindRow is a kind of sensitive data over all endpoints.
type kindRow struct {
	Kind, Category string
	Severity       analyze.Severity
	Values         uint64
	Endpoints      int
	Plaintext      int // endpoints that carry it in the clear
	Places         []kindPlace
}

type kindPlace struct {
	Endpoint int // index
	*analyze.Sensitive
}

// byKind turns the endpoints' sensitive data around: kind by kind, worst first.
func byKind(endpoints []analyze.Endpoint) []kindRow {
	var rows []kindRow
	at := map[string]int{}
	for i := range endpoints {
		e := &endpoints[i]
		for j := range e.Sensitive {
			s := &e.Sensitive[j]
			k, ok := at[s.Kind]
			if !ok {
				k = len(rows)
				at[s.Kind] = k
				rows = append(rows, kindRow{Kind: s.Kind, Category: s.Category})
			}
			r := &rows[k]
			if n := len(r.Places); n == 0 || r.Places[n-1].Endpoint != i {
				r.Endpoints++
				if e.Plaintext > 0 {
					r.Plaintext++
				}
			}
			r.Severity = max(r.Severity, s.Severity)
			r.Values += s.Count
			r.Places = append(r.Places, kindPlace{i, s})
		}
	}
	slices.SortStableFunc(rows, func(a, b kindRow) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.Values, a.Values), cmp.Compare(a.Kind, b.Kind))
	})
	return rows
}

// A hint says what a capture without HTTP was, and what to do about it.
type hint struct {
	when func(s *analyze.Snapshot, n func(counter string) uint64) bool
	say  string
}

var hints = [...]hint{
	{func(s *analyze.Snapshot, n func(string) uint64) bool { return len(s.Coverage.Captures) == 0 },
		"No capture was read."},
	{func(s *analyze.Snapshot, n func(string) uint64) bool {
		frames := uint64(0)
		for _, c := range s.Coverage.Captures {
			frames += c.Frames
		}
		return len(s.Coverage.Captures) > 0 && frames == 0 && n("frames_seen") == 0
	}, "The capture holds no frame: check the interface and the filter it was taken with."},
	{func(s *analyze.Snapshot, n func(string) uint64) bool {
		return len(s.Sessions) > 0 || n("handshakes") > 0 || n("tls_bytes") > 0
	}, "There is TLS, and what is inside it cannot be read from the wire: capture behind the proxy that ends TLS, or read the log of that proxy."},
	{func(s *analyze.Snapshot, n func(string) uint64) bool { return n("quic_frames") > 0 },
		"There is QUIC (HTTP/3), which cannot be read from the wire: capture behind the proxy that ends it."},
	{func(s *analyze.Snapshot, n func(string) uint64) bool {
		return n("connections") > 0 && n("stream_bytes") == 0
	}, "There are TCP connections but no payload: check that whole frames were captured (tcpdump -s 0) and that the services answered."},
	{func(s *analyze.Snapshot, n func(string) uint64) bool { return n("connections_opaque") > 0 },
		"There are connections of protocols not known here, such as databases and message queues."},
	{func(s *analyze.Snapshot, n func(string) uint64) bool { return n("frames_ignored_link") > 0 },
		"There are frames of a link type that is not decoded: capture on an Ethernet or IP interface."},
	{func(s *analyze.Snapshot, n func(string) uint64) bool {
		return n("frames_seen") > 0 && n("connections") == 0 && n("frames_ignored_link") == 0
	}, "There is no TCP connection: check the interface and the filter of the capture."},
}

// hintsFor says why a capture has no HTTP; nothing where it has.
func hintsFor(s *analyze.Snapshot) []string {
	if s.Exchanges > 0 || len(s.Endpoints) > 0 {
		return nil
	}
	n := func(name string) uint64 {
		for _, c := range s.Coverage.Counts {
			if c.Name == name {
				return c.Value
			}
		}
		return 0
	}
	var out []string
	for _, h := range hints {
		if h.when(s, n) {
			out = append(out, h.say)
		}
	}
	return out
}

// expired tells a certificate that was out of date when it was seen.
func expired(v *analyze.Session) bool {
	return !v.NotAfter.IsZero() && v.NotAfter.Before(v.Last)
}

// about writes what a service is.
func about(v *analyze.Service, endpoints int) string {
	about := plural(endpoints, "endpoint", "endpoints") + ", " + plural(v.Requests, "request", "requests")
	for _, w := range v.Wires {
		about += ", " + string(w)
	}
	if addresses := strings.Join(v.Addresses, " "); addresses != "" && addresses != v.Name {
		about += " · " + addresses
	}
	return about
}
