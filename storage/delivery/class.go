package delivery

import (
	"errors"
	"io/fs"

	"plainsight/storage/clickhouse"
)

// Class says what an error of the sink means for the batch that met it.
type Class uint8

// Classes of errors.
const (
	// Connect: there was no connection, and no row left us. Back off.
	Connect Class = iota + 1
	// Unknown: the sink may have the batch. The same bytes under the same
	// token again, for as long as it takes; then count.
	Unknown
	// Overload: the sink said no for now. Send less often, or less at once.
	Overload
	// Config: a person must do something; until then all is kept, tried every
	// half minute with secrets read anew, and said loudly.
	Config
	// Data: this batch will never be taken. It goes to the file of rejects,
	// and what is behind it goes on.
	Data
)

func (c Class) String() string {
	return [...]string{"", "connect", "unknown", "overload", "config", "data"}[c]
}

// Codes of ClickHouse that are answered in ways of their own.
const (
	codeNoColumn   = 16  // NO_SUCH_COLUMN_IN_TABLE
	codeIdentifier = 47  // UNKNOWN_IDENTIFIER
	codeNoTable    = 60  // UNKNOWN_TABLE
	codeMemory     = 241 // MEMORY_LIMIT_EXCEEDED
	codeParts      = 252 // TOO_MANY_PARTS
)

// classes of the codes that are known; see ErrorCodes.cpp of ClickHouse. A
// code that is not here is taken as Unknown, but not for ever: see
// [Options.MaxRefusals].
var classes = map[int32]Class{
	159: Unknown, // TIMEOUT_EXCEEDED
	209: Unknown, // SOCKET_TIMEOUT
	210: Unknown, // NETWORK_ERROR
	319: Unknown, // UNKNOWN_STATUS_OF_INSERT

	202:        Overload, // TOO_MANY_SIMULTANEOUS_QUERIES
	203:        Overload, // NO_FREE_CONNECTION
	225:        Overload, // NO_ZOOKEEPER
	codeMemory: Overload,
	242:        Overload, // TABLE_IS_READ_ONLY
	243:        Overload, // NOT_ENOUGH_SPACE
	codeParts:  Overload,
	285:        Overload, // TOO_FEW_LIVE_REPLICAS
	439:        Overload, // CANNOT_SCHEDULE_TASK
	745:        Overload, // SERVER_OVERLOADED
	999:        Overload, // KEEPER_EXCEPTION

	codeNoTable: Config,
	81:          Config, // UNKNOWN_DATABASE
	115:         Config, // UNKNOWN_SETTING
	164:         Config, // READONLY
	192:         Config, // UNKNOWN_USER
	193:         Config, // WRONG_PASSWORD
	194:         Config, // REQUIRED_PASSWORD
	497:         Config, // ACCESS_DENIED
	516:         Config, // AUTHENTICATION_FAILED

	6:            Data, // CANNOT_PARSE_TEXT
	codeNoColumn: Data,
	26:           Data, // CANNOT_PARSE_QUOTED_STRING
	27:           Data, // CANNOT_PARSE_INPUT_ASSERTION_FAILED
	41:           Data, // CANNOT_PARSE_DATETIME
	53:           Data, // TYPE_MISMATCH
	69:           Data, // ARGUMENT_OUT_OF_BOUND
	70:           Data, // CANNOT_CONVERT_TYPE
	72:           Data, // CANNOT_PARSE_NUMBER
	117:          Data, // INCORRECT_DATA
	131:          Data, // TOO_LARGE_STRING_SIZE
	349:          Data, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
	469:          Data, // VIOLATED_CONSTRAINT
}

// classify tells what an error means. begun says whether rows had left us. The
// code is 0 where the sink gave none.
func classify(begun bool, err error) (class Class, code int32) {
	var e *clickhouse.Error
	var path *fs.PathError
	switch {
	case errors.As(err, &e):
		class, known := classes[e.Code]
		switch {
		case !begun && (e.Code == codeNoColumn || e.Code == codeIdentifier):
			class = Config // the INSERT names a column that the table lacks: another schema, no bad rows
		case !known:
			class = Unknown
		}
		return class, e.Code
	case errors.Is(err, clickhouse.ErrRows):
		return Data, 0
	case errors.As(err, &path): // a file with a secret or an authority
		return Config, 0
	case begun:
		return Unknown, 0
	}
	return Connect, 0
}
