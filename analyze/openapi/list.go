package openapi

import (
	"bytes"
	"fmt"

	"plainsight/analyze"
)

// List writes the endpoints of one service as lines of METHOD, host and
// template, and how many requests each had: the form that [Routes] reads, where
// counts are comments.
func List(service string, endpoints []analyze.Endpoint) []byte {
	host := service
	if !addressable(service) {
		host = ""
	}
	width := 0
	for i := range endpoints {
		width = max(width, len(endpoints[i].Method)+1+len(host)+len(endpoints[i].Template))
	}
	width = min(width, 100)
	var b bytes.Buffer
	for i := range endpoints {
		e := &endpoints[i]
		fmt.Fprintf(&b, "%-*s  # ", width, e.Method+" "+host+e.Template)
		if e.Operation != "" {
			fmt.Fprintf(&b, "%s, ", e.Operation)
		}
		fmt.Fprintf(&b, "%d request", e.Requests)
		if e.Requests != 1 {
			b.WriteByte('s')
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}
