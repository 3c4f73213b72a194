// Package body walks the bodies of messages: one tolerant pass that tells its
// visitor of every name and value, whatever the format (JSON, NDJSON, form,
// multipart, XML, protobuf, …). It never recurses over input, never allocates per value,
// and never fails: what is broken or cut is reported as such. Package
// inventory calls it once for each body, with the consumers of values (shapes,
// sensitive data) behind one visitor.
package body

// Kind is the kind of a value.
type Kind uint8

// Kinds of values. Forms, multipart and XML have only strings as leaves.
const (
	Null Kind = iota
	Bool
	Number
	String
	Object
	Array
)

// Visitor is told of names and values in document order. All bytes are
// borrowed: values are valid until the call returns, names until the walk ends.
type Visitor interface {
	// Begin opens an Object or an Array.
	Begin(k Kind)
	// Key names the value that follows, inside an object. name is unescaped.
	Key(name []byte)
	// Value is a leaf. text is unescaped for a String and as written otherwise.
	Value(k Kind, text []byte)
	// End closes what the matching Begin opened. Walk balances Begin and End even
	// where the body is cut.
	End(k Kind)
}

// Format is the format in which a body was read.
type Format uint8

// Formats.
const (
	None      Format = iota // empty, or none that is walked
	JSON                    // RFC 8259
	NDJSON                  // a JSON value a line; walked as an array
	Form                    // application/x-www-form-urlencoded
	Multipart               // RFC 7578
	XML
	Protobuf    // Protocol Buffers, fields by number
	GRPC        // messages of Protobuf behind frame heads
	FramedJSON  // messages of JSON behind frame heads
	EventStream // text/event-stream
	Text        // the whole body is one string
)

// Result says how a walk went.
type Result struct {
	Format   Format
	Complete bool // false: cut, malformed or over a limit; absence proves nothing
}
