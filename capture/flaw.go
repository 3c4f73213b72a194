package capture

import "math/bits"

// Flaw marks what was odd or incomplete about a message. Traffic is not an
// error: flaws are facts about it, several at once.
type Flaw uint64

// Flaws. The table flawNames says what each means.
const (
	FlawGap              Flaw = 1 << iota // bytes were lost inside it
	FlawCut                               // the connection or capture ended inside it
	FlawMidstream                         // joined after its start
	FlawBodyLimit                         // the body's budget was reached
	FlawDecodeLimit                       // the decoding budget was reached
	FlawDecode                            // the content coding could not be undone
	FlawEncodingUnknown                   // a content coding we do not know
	FlawLengthTwice                       // Content-Length repeated with the same value
	FlawLengthConflict                    // Content-Length repeated with different values
	FlawLengthInvalid                     // Content-Length that is no number
	FlawLengthAndChunked                  // Content-Length and Transfer-Encoding
	FlawTransferEncoding                  // a Transfer-Encoding that is not chunked alone
	FlawChunk                             // a chunk header that is no chunk header
	FlawFold                              // obs-fold in a header
	FlawBareLF                            // a line ended by LF alone
	FlawBareCR                            // a CR that ends no line
	FlawNUL                               // a NUL byte in the head
	FlawHeader                            // a header line that is no header
	FlawHeaderSpace                       // white space before a header's colon
	FlawStartLine                         // an odd start line
	FlawVersion                           // an unknown HTTP version
	FlawTarget                            // a request target of no known form
	FlawHostMissing                       // HTTP/1.1 without Host
	FlawHostTwice                         // Host repeated or different from the target's
	FlawHostInvalid                       // a Host that is no host
	FlawHeadLimit                         // the head's budget was reached
	FlawUnanswered                        // pipelined or ended without a response
	FlawEarlyResponse                     // answered before the request was complete
	FlawHTTP09                            // HTTP/0.9
	FlawTLS                               // a handshake that breaks the format
	FlawSnapped                           // frames were cut by the snap length
	FlawFrame                             // an HTTP/2 frame that breaks the protocol
	FlawHPACK                             // header fields are missing: what they refer to was not seen
	FlawReset                             // the stream was reset inside it
	FlawLengthMismatch                    // a body that is not as long as Content-Length says
	FlawGRPC                              // gRPC messages that do not fit their body
)

var flawNames = [...]string{
	"gap", "cut", "midstream", "body_limit", "decode_limit", "decode", "encoding_unknown",
	"length_twice", "length_conflict", "length_invalid", "length_and_chunked", "transfer_encoding",
	"chunk_invalid", "fold", "bare_lf", "bare_cr", "nul", "header_invalid", "header_space",
	"start_line", "version", "target_invalid", "host_missing", "host_ambiguous", "host_invalid",
	"head_limit", "unanswered", "early_response", "http09", "tls_invalid", "snapped",
	"http2_frame", "hpack_state_lost", "reset", "length_mismatch", "grpc",
}

// Names lists the flaws in f by name.
func (f Flaw) Names() []string {
	var names []string
	for ; f != 0; f &= f - 1 {
		names = append(names, flawNames[bits.TrailingZeros64(uint64(f))])
	}
	return names
}
