package capture

// Counter names one thing that the capture stage counts. Every bound that can be
// reached has one; the table counters says what each means.
type Counter uint8

// Counts of the capture stage, indexed by [Counter]. Counts of shards add up.
type Counts [counterEnd]uint64

// Add adds o to c.
func (c *Counts) Add(o *Counts) {
	for i, n := range o {
		c[i] += n
	}
}

// Counters. FramesSeen = FramesAnalysed + the FramesIgnored… + the
// FramesDropped… holds after every run.
const (
	FramesSeen Counter = iota
	FramesAnalysed
	FramesIgnoredNotIP
	FramesIgnoredNotTCP
	FramesIgnoredLink
	FramesIgnoredFiltered
	FramesDroppedMalformed
	FramesDroppedTruncated
	FramesDroppedFragment

	BytesSeen
	FramesSnapped
	FragmentsHeld
	FragmentsEvicted
	QUICFrames

	Connections
	ConnectionsMidstream
	ConnectionsHalfOpen
	ConnectionsOneSided
	ConnectionsReset
	ConnectionsEvictedIdle
	ConnectionsEvictedHalfOpen
	ConnectionsEvictedLimit
	ConnectionsReused
	ConnectionsOpaque

	SegmentsInOrder
	SegmentsOutOfOrder
	SegmentsDuplicate
	SegmentsOverlap
	SegmentsConflict
	SegmentsOutOfWindow
	SegmentsBadChecksum
	SegmentsUrgent
	SegmentsKeepAlive
	StreamBytes
	StreamGaps
	StreamGapBytes
	StreamBudgetReached
	StreamPendingLimit
	UnreadLimitReached

	Exchanges
	ExchangesUnanswered
	ExchangesResponseOnly
	ExchangesDiscarded
	MessagesFlawed
	BodiesTruncated
	BodiesUndecoded
	DecodeLimitReached
	HeadLimitReached
	PipelineLimitReached
	ParserPanics

	Handshakes
	HandshakesInvalid
	TLSBytes
	ClockBackwards

	ConnectionsUpgraded
	HTTP2Frames
	HTTP2FramesInvalid
	HTTP2HeaderLimit
	HTTP2StreamLimit
	HTTP2Resets
	HTTP2Resyncs
	HPACKStateLost
	GRPCCalls
	GRPCMessages
	WebSockets
	WebSocketFrames
	WebSocketFramesInvalid
	WebSocketTexts
	WebSocketMessageLimit
	WebSocketUndecoded
	WebSocketMemoryLimit
	ConnectionsInside
	counterEnd
)

// CounterInfo documents a counter.
type CounterInfo struct{ Name, Help string }

var counters = [counterEnd]CounterInfo{
	FramesSeen:                 {"frames_seen", "frames read"},
	FramesAnalysed:             {"frames_analysed", "frames that carried TCP and went to reassembly, fragments included"},
	FramesIgnoredNotIP:         {"frames_ignored_not_ip", "frames that carry no IP packet"},
	FramesIgnoredNotTCP:        {"frames_ignored_not_tcp", "IP packets of another transport"},
	FramesIgnoredLink:          {"frames_ignored_link", "frames of a link type that is not decoded"},
	FramesIgnoredFiltered:      {"frames_ignored_filtered", "frames outside the filter"},
	FramesDroppedMalformed:     {"frames_dropped_malformed", "frames whose headers contradict themselves"},
	FramesDroppedTruncated:     {"frames_dropped_truncated", "frames cut inside their headers"},
	FramesDroppedFragment:      {"frames_dropped_fragment", "IP fragments that never became a packet or broke a bound"},
	BytesSeen:                  {"bytes_seen", "captured bytes read"},
	FramesSnapped:              {"frames_snapped", "frames of which the capture kept only the beginning (snap length)"},
	FragmentsHeld:              {"fragments_held", "IP fragments kept until their packet was complete"},
	FragmentsEvicted:           {"fragments_evicted", "incomplete IP packets given up"},
	QUICFrames:                 {"quic_frames", "UDP datagrams that look like QUIC: HTTP/3 is not visible"},
	Connections:                {"connections", "TCP connections"},
	ConnectionsMidstream:       {"connections_midstream", "connections joined after their start"},
	ConnectionsHalfOpen:        {"connections_half_open", "connections that never got an answer"},
	ConnectionsOneSided:        {"connections_one_sided", "connections of which only one side is in the capture"},
	ConnectionsReset:           {"connections_reset", "connections ended by RST"},
	ConnectionsEvictedIdle:     {"connections_evicted_idle", "connections closed because nothing came for long"},
	ConnectionsEvictedHalfOpen: {"connections_evicted_half_open", "half-open connections given up at the connection limit"},
	ConnectionsEvictedLimit:    {"connections_evicted_limit", "open connections given up at the connection limit"},
	ConnectionsReused:          {"connections_reused", "connections that began on the addresses and ports of one not closed"},
	ConnectionsOpaque:          {"connections_opaque", "connections of no protocol known here"},
	SegmentsInOrder:            {"segments_in_order", "TCP segments delivered at once"},
	SegmentsOutOfOrder:         {"segments_out_of_order", "TCP segments held until their turn"},
	SegmentsDuplicate:          {"segments_duplicate", "TCP segments with nothing new"},
	SegmentsOverlap:            {"segments_overlap", "TCP segments partly seen before"},
	SegmentsConflict:           {"segments_conflict", "TCP segments that contradict held bytes; the first copy wins"},
	SegmentsOutOfWindow:        {"segments_out_of_window", "TCP segments far from where the stream is"},
	SegmentsBadChecksum:        {"segments_bad_checksum", "TCP segments with a wrong checksum from a sender whose others are right; ignored"},
	SegmentsUrgent:             {"segments_urgent", "TCP segments with urgent data"},
	SegmentsKeepAlive:          {"segments_keep_alive", "TCP keep-alive probes"},
	StreamBytes:                {"stream_bytes", "payload bytes delivered in order"},
	StreamGaps:                 {"stream_gaps", "places where payload was lost"},
	StreamGapBytes:             {"stream_gap_bytes", "payload bytes lost"},
	StreamBudgetReached:        {"stream_budget_reached", "holes skipped because too much was held behind them, in all"},
	StreamPendingLimit:         {"stream_pending_limit", "holes skipped because too much was held behind them, in one connection"},
	UnreadLimitReached:         {"unread_limit_reached", "times that a parser left more unread than is kept for it"},
	Exchanges:                  {"exchanges", "HTTP exchanges"},
	ExchangesUnanswered:        {"exchanges_unanswered", "requests without a response in the capture"},
	ExchangesResponseOnly:      {"exchanges_response_only", "responses without a request in the capture"},
	ExchangesDiscarded:         {"exchanges_discarded", "starts of messages that turned out to be none"},
	MessagesFlawed:             {"messages_flawed", "HTTP messages that break a rule of the protocol"},
	BodiesTruncated:            {"bodies_truncated", "bodies kept only in part"},
	BodiesUndecoded:            {"bodies_undecoded", "bodies whose content coding could not be undone"},
	DecodeLimitReached:         {"decode_limit_reached", "bodies whose decoding stopped at the budget"},
	HeadLimitReached:           {"head_limit_reached", "message heads that were too long"},
	PipelineLimitReached:       {"pipeline_limit_reached", "requests given up because too many waited for an answer"},
	ParserPanics:               {"parser_panics", "connections given up because a parser broke: a bug of ours"},
	Handshakes:                 {"handshakes", "TLS handshakes"},
	HandshakesInvalid:          {"handshakes_invalid", "TLS handshakes that break the format"},
	TLSBytes:                   {"tls_bytes", "payload bytes inside TLS: not visible"},
	ClockBackwards:             {"clock_backwards", "frames older than the one before them"},
	ConnectionsUpgraded:        {"upgraded", "connections that went on in another protocol"},
	HTTP2Frames:                {"http2_frames", "HTTP/2 frames"},
	HTTP2FramesInvalid:         {"http2_frame", "HTTP/2 frames that break the protocol"},
	HTTP2HeaderLimit:           {"http2_header_limit", "HTTP/2 header blocks of which a part was given up at a limit"},
	HTTP2StreamLimit:           {"http2_stream_limit", "HTTP/2 streams given up because too many were open, or reset before an answer beyond that number"},
	HTTP2Resets:                {"http2_resets", "HTTP/2 streams that were reset"},
	HTTP2Resyncs:               {"http2_resyncs", "places where HTTP/2 frames were found again after a gap"},
	HPACKStateLost:             {"hpack_state_lost", "HTTP/2 header blocks with fields that refer to what was not seen"},
	GRPCCalls:                  {"grpc_calls", "gRPC calls"},
	GRPCMessages:               {"grpc_messages", "gRPC messages"},
	WebSockets:                 {"websockets", "WebSocket streams"},
	WebSocketFrames:            {"websocket_frames", "WebSocket frames"},
	WebSocketFramesInvalid:     {"websocket_frames_invalid", "WebSocket frames that break the protocol"},
	WebSocketTexts:             {"websocket_texts", "WebSocket messages of text that were looked into"},
	WebSocketMessageLimit:      {"websocket_message_limit", "WebSocket messages of which only a part was kept: too long, or cut"},
	WebSocketUndecoded:         {"websocket_undecoded", "WebSocket messages that could not be inflated"},
	ConnectionsInside:          {"connections_inside", "TLS connections of which a probe read what is inside"},
	WebSocketMemoryLimit:       {"websocket_memory_limit", "WebSocket messages given up because all together held too much"},
}

// Info documents counter c.
func (c Counter) Info() CounterInfo { return counters[c] }

// All lists every counter in order.
func All() []Counter {
	all := make([]Counter, counterEnd)
	for i := range all {
		all[i] = Counter(i)
	}
	return all
}
