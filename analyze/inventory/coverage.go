package inventory

import (
	"fmt"
	"slices"
	"strings"

	"plainsight/analyze"
	"plainsight/capture"
)

// counter is one thing that this stage counts.
type counter uint8

const (
	exchanges counter = iota
	responsesOnly
	noiseExchanges
	handshakes
	handshakesUnanswered
	certificatesHidden
	helloEncrypted
	webSockets
	webSocketMessages
	webSocketTexts
	webSocketUnread
	bodiesRead
	bodiesPartial
	bodiesOpaque
	connectionsForgotten
	endpointLimit
	operationLimit
	serviceLimit
	pathsFolded
	shapeLimit
	shapeFolded
	sensitiveLimit
	hitLimit
	findingLimit
	credentialLimit
	edgeLimit
	sessionLimit
	countEnd
)

var counters = [countEnd]struct{ name, help string }{
	exchanges:            {"inventory_exchanges", "exchanges analysed"},
	responsesOnly:        {"inventory_responses_only", "exchanges of which only the response was seen"},
	noiseExchanges:       {"inventory_no_endpoint", "exchanges that are no endpoint's: preflights, assets, paths without room"},
	handshakes:           {"inventory_handshakes", "TLS handshakes analysed"},
	handshakesUnanswered: {"inventory_handshakes_unanswered", "TLS handshakes without a ServerHello"},
	certificatesHidden:   {"inventory_certificates_hidden", "TLS handshakes whose certificate is not visible"},
	helloEncrypted:       {"inventory_hello_encrypted", "TLS handshakes that offered an encrypted hello (ECH): the name in the clear may be another one"},
	webSockets:           {"inventory_websockets", "WebSocket streams"},
	webSocketMessages:    {"inventory_websocket_messages", "WebSocket messages"},
	webSocketTexts:       {"inventory_websocket_texts", "WebSocket messages of text that were analysed"},
	webSocketUnread:      {"inventory_websocket_unread", "WebSocket messages that were counted, not looked into: binary ones, and what could not be inflated"},
	bodiesRead:           {"inventory_bodies_read", "bodies walked to their end"},
	bodiesPartial:        {"inventory_bodies_partial", "bodies walked in part: absence in them proves nothing"},
	bodiesOpaque:         {"inventory_bodies_opaque", "bodies in a format that is not looked into"},
	connectionsForgotten: {"inventory_connections_forgotten", "times that the connection table was emptied at its limit"},
	endpointLimit:        {"inventory_endpoint_limit", "exchanges whose path may be unknown because the limit of paths was reached"},
	operationLimit:       {"inventory_operation_limit", "requests whose operation is not told from others of its path because a limit was reached"},
	serviceLimit:         {"inventory_service_limit", "1 if hosts were put together because the limit of services was reached"},
	pathsFolded:          {"inventory_paths_folded", "times that literal path segments became a parameter at a limit"},
	shapeLimit:           {"inventory_shape_limit", "endpoints whose fields were not all learned"},
	shapeFolded:          {"inventory_shape_folded", "endpoints with an object of so many names that it was learned as a map"},
	sensitiveLimit:       {"inventory_sensitive_limit", "endpoints whose sensitive places were not all kept"},
	hitLimit:             {"inventory_hit_limit", "pieces of sensitive data beyond the limit of a message"},
	findingLimit:         {"inventory_finding_limit", "endpoints whose findings were not all kept"},
	credentialLimit:      {"inventory_credential_limit", "credentials that were forgotten, and uses of others that found no room, because the limit was reached: rows that join uses may be silent"},
	edgeLimit:            {"inventory_edge_limit", "1 if cells of the encryption matrix were not kept"},
	sessionLimit:         {"inventory_session_limit", "1 if rows of TLS sessions were not kept"},
}

// coverage says what was looked at and what was not.
func (c *conclusion) coverage() {
	n := &c.state.counts
	if c.state.other != nil {
		n[serviceLimit] = 1
	}
	for _, w := range c.in.workers {
		n[hitLimit] += w.scanner.Dropped
		w.scanner.Dropped = 0
	}
	n[credentialLimit] = c.state.ledger.Forgotten()
	n[webSocketUnread] = n[webSocketMessages] - min(n[webSocketTexts], n[webSocketMessages])
	v := &c.snap.Coverage
	v.Captures = append([]analyze.Capture{}, c.captures...)
	v.Counts, v.NotVisible = []analyze.Count{}, []string{}
	if c.counts != nil {
		for _, k := range capture.All() {
			if x := c.counts[k]; x > 0 {
				v.Counts = append(v.Counts, analyze.Count{Name: k.Info().Name, Help: k.Info().Help, Value: x})
			}
		}
	}
	for k, x := range n {
		if x > 0 {
			v.Counts = append(v.Counts, analyze.Count{Name: counters[k].name, Help: counters[k].help, Value: x})
		}
	}
	v.Noise = n[exchanges] - min(c.inside, n[exchanges])
	c.notVisible(func(k capture.Counter) uint64 {
		if c.counts == nil {
			return 0
		}
		return c.counts[k]
	})
	// Limits that are judged at each conclusion are not carried on.
	for _, k := range [...]counter{serviceLimit, pathsFolded, shapeLimit, shapeFolded, sensitiveLimit, findingLimit, credentialLimit, edgeLimit, sessionLimit} {
		n[k] = 0
	}
}

// notVisible writes the sentences for people.
func (c *conclusion) notVisible(k func(capture.Counter) uint64) {
	n := &c.state.counts
	say := func(x uint64, format string, args ...any) {
		if x > 0 {
			c.snap.Coverage.NotVisible = append(c.snap.Coverage.NotVisible, fmt.Sprintf(format, args...))
		}
	}
	tls := k(capture.TLSBytes)
	switch read := k(capture.ConnectionsInside); {
	case read == 0:
		say(tls, "%s inside TLS, in %s, were not read: what they carry is unknown. Capture behind the TLS end to see it.", size(tls), many(n[handshakes], "connection"))
	case n[handshakes] > read:
		say(n[handshakes]-read, "What is inside TLS was not read in %s of %s: what they carry is unknown.", many(n[handshakes]-read, "connection"), many(n[handshakes], "connection"))
	}
	say(k(capture.QUICFrames), "%s look like QUIC: HTTP/3 is not visible.", many(k(capture.QUICFrames), "UDP datagram"))
	say(n[certificatesHidden], "%s showed no certificate (TLS 1.3 encrypts it, resumption omits it): its name and dates are unknown.", many(n[certificatesHidden], "TLS handshake"))
	say(n[helloEncrypted], "%s offered an encrypted hello (ECH), or a dummy of one: the name in the clear may stand before another.", many(n[helloEncrypted], "TLS handshake"))
	say(n[webSocketUnread], "%s (binary, or not to be inflated) were counted, not looked into.", many(n[webSocketUnread], "WebSocket message"))
	say(k(capture.FramesSnapped), "%s cut by the snap length: capture whole ones (tcpdump -s 0) to see what is in them.", were(k(capture.FramesSnapped), "frame"))
	say(k(capture.StreamGapBytes), "%s were lost in %s of the streams; messages with holes are marked and prove no absence.", size(k(capture.StreamGapBytes)), many(k(capture.StreamGaps), "place"))
	say(k(capture.StreamGaps)*b(k(capture.StreamGapBytes) == 0), "%s of the streams lost an unknown number of bytes.", many(k(capture.StreamGaps), "place"))
	say(k(capture.ExchangesUnanswered), "%s had no answer in the capture.", many(k(capture.ExchangesUnanswered), "request"))
	say(k(capture.ExchangesResponseOnly), "%s came without its request.", many(k(capture.ExchangesResponseOnly), "response"))
	say(k(capture.BodiesTruncated), "%s kept only in part.", were(k(capture.BodiesTruncated), "body"))
	say(k(capture.BodiesUndecoded), "%s could not be decoded.", many(k(capture.BodiesUndecoded), "body"))
	say(n[bodiesOpaque], "%s are in formats that are not looked into (images, binaries, protobuf).", many(n[bodiesOpaque], "body"))
	say(k(capture.ConnectionsMidstream), "%s joined after their start: who is the client is a guess there, and their first messages may be missing.", were(k(capture.ConnectionsMidstream), "connection"))
	say(k(capture.ConnectionsOpaque), "%s spoke a protocol that is not known here.", many(k(capture.ConnectionsOpaque), "connection"))
	evicted := k(capture.ConnectionsEvictedHalfOpen) + k(capture.ConnectionsEvictedLimit)
	say(evicted, "%s given up at the limit of connections.", were(evicted, "connection"))
	dropped := k(capture.FramesDroppedMalformed) + k(capture.FramesDroppedTruncated) + k(capture.FramesDroppedFragment)
	say(dropped, "%s of %d could not be read (malformed, cut short or incomplete fragments).", many(dropped, "frame"), k(capture.FramesSeen))
	say(k(capture.FramesIgnoredLink), "%s are of a link type that is not decoded.", many(k(capture.FramesIgnoredLink), "frame"))
	say(k(capture.FramesIgnoredNotTCP), "%s carry other transports than TCP.", many(k(capture.FramesIgnoredNotTCP), "packet"))
	say(k(capture.HeadLimitReached)+k(capture.PipelineLimitReached), "%s given up at a limit of the HTTP parser.", were(k(capture.HeadLimitReached)+k(capture.PipelineLimitReached), "message"))
	say(k(capture.ParserPanics), "%s given up because of a bug of plainsight.", were(k(capture.ParserPanics), "connection"))
	limits := n[endpointLimit] + n[serviceLimit] + n[shapeLimit] + n[sensitiveLimit] + n[hitLimit] + n[findingLimit] + n[credentialLimit] + n[edgeLimit] + n[sessionLimit]
	say(limits, "Limits of the inventory were reached; see the counts whose names end in _limit.")
	for _, f := range c.captures {
		say(b(f.Damaged != ""), "%s is damaged: %s. What came before was read.", f.Name, f.Damaged)
	}
}

func b(yes bool) uint64 {
	if yes {
		return 1
	}
	return 0
}

// were is many with what agrees with it.
func were(n uint64, noun string) string {
	if n == 1 {
		return many(n, noun) + " was"
	}
	return many(n, noun) + " were"
}

func many(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if stem, ok := strings.CutSuffix(what, "y"); ok {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func size(n uint64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return many(n, "byte")
}

// scorecard judges the eleven practices. Kept needs evidence that a breach would
// have been seen; where there is none, it says so.
func (c *conclusion) scorecard() {
	seen := fmt.Sprintf("%s of %s on %s", many(c.snap.Exchanges, "exchange"), many(uint64(len(c.snap.Services)), "service"), many(uint64(len(c.snap.Endpoints)), "endpoint"))
	for p := analyze.Discovery; p <= analyze.Keys; p++ {
		s := analyze.Score{Practice: p, Number: int(p), State: analyze.NotVisible}
		breaks := map[string]bool{}
		for i := range c.snap.Findings {
			f := &c.snap.Findings[i]
			if f.Practice != p {
				continue
			}
			s.Findings++
			s.Worst = max(s.Worst, f.Severity)
			if f.Severity > analyze.Info {
				breaks[f.Rule] = true
			}
		}
		kept, reason := c.evidence(p)
		switch {
		case len(breaks) > 0:
			s.State = analyze.Broken
			rules := make([]string, 0, len(breaks))
			for r := range breaks {
				rules = append(rules, r)
			}
			slices.Sort(rules)
			s.Reason = "broken rules: " + strings.Join(rules, ", ")
		case kept:
			s.State, s.Reason = analyze.Kept, reason
		default:
			s.Reason = reason
		}
		if c.snap.Exchanges == 0 && len(c.snap.Sessions) == 0 {
			s.Reason = "no traffic was seen"
		} else if s.Number == 1 && s.State == analyze.NotVisible {
			s.Reason = seen + " were found; whether these are all, traffic alone cannot tell"
		}
		c.snap.Scorecard = append(c.snap.Scorecard, s)
	}
}

// enough is how many exchanges must have been free of a breach before a
// practice counts as kept (rule 7 of the catalogue).
const enough = 30

// evidence tells whether breaches of a practice would have been seen, and says
// why or why not.
func (c *conclusion) evidence(p analyze.Practice) (kept bool, reason string) {
	n, st := &c.state.counts, c.stats
	switch p {
	case analyze.Discovery:
		return false, "whether all endpoints were seen, traffic alone cannot tell"
	case analyze.Shadow:
		return false, "needs the documents of the APIs to compare with"
	case analyze.Encryption:
		secure := n[handshakes] - n[handshakesUnanswered] + st.SecureSuccess
		if secure == 0 {
			return false, "no encrypted traffic was seen"
		}
		for i := range c.snap.Edges {
			if c.snap.Edges[i].Wire == analyze.Plaintext && c.snap.Edges[i].Exchanges > 0 {
				return false, "plaintext was seen only where nobody else can read it, within one machine"
			}
		}
		if n[certificatesHidden] > 0 {
			return true, fmt.Sprintf("everything seen was encrypted with current versions and ciphers; %s hid the certificate", many(n[certificatesHidden], "handshake"))
		}
		return true, "everything seen was encrypted with current versions, ciphers and certificates"
	case analyze.Authentication:
		switch {
		case st.Authenticated == 0:
			return false, "no request with a credential was seen to succeed"
		case st.Unauthenticated > 0:
			return false, fmt.Sprintf("%d requests with and %d without a credential succeeded; none of the latter shows sensitive data", st.Authenticated, st.Unauthenticated)
		case st.Refused == 0 || st.Authenticated < enough:
			return false, fmt.Sprintf("%d requests with a credential succeeded and none without, but %d refusals are too little to see that it is enforced", st.Authenticated, st.Refused)
		}
		return true, fmt.Sprintf("all of %d successes carried a credential, and %s without a good one were refused", st.Authenticated, many(st.Refused, "request"))
	case analyze.LeastPrivilege:
		return false, "needs the roles of the callers over a longer time"
	case analyze.Documentation:
		return false, "needs the documents of the APIs to compare with"
	case analyze.Validation:
		return false, "input that breaks the rules was not seen, or not seen to be refused"
	case analyze.Exposure:
		if n[bodiesRead] < enough || n[bodiesRead] < 9*n[bodiesPartial] {
			return false, fmt.Sprintf("%s could be read whole, which is too little to judge by", many(n[bodiesRead], "body"))
		}
		return true, fmt.Sprintf("%s were read whole and none exposed more than it should, as far as the rules know", many(n[bodiesRead], "body"))
	case analyze.Management:
		if st.Limited > 0 {
			return true, fmt.Sprintf("limits were seen (%s with 429), and nothing that looks like a missing one", many(st.Limited, "answer"))
		}
		return false, "limits higher than the rates that were seen are not visible"
	case analyze.Testing:
		for i := range c.snap.Findings {
			if f := &c.snap.Findings[i]; f.Rule == "test.scanner" {
				return true, fmt.Sprintf("a security test was seen at work (%s), and nothing of it took effect", f.Service)
			}
		}
		return false, "no security test was recognised in this window"
	case analyze.Keys:
		return false, "age and rotation of keys need a longer time"
	}
	return false, ""
}
