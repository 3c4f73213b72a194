package report

import (
	_ "embed"
	"encoding/json"
	"io"

	"plainsight/analyze"
)

// SchemaName names the layout of the JSON report. The number rises when a
// reader of the old layout would be wrong; new fields do not raise it.
const SchemaName = "plainsight.report/1"

// JSONSchema is the JSON Schema (2020-12) of the JSON report.
//
//go:embed report.schema.json
var JSONSchema string

// JSON writes all of a snapshot as one JSON document: the fields of
// [analyze.Snapshot] in their order, after the name of the layout. Lists are
// never null; a time that is not known is 0001-01-01T00:00:00Z. <, >, &,
// U+2028 and U+2029 are escaped, so that the text may stand in a page.
func JSON(w io.Writer, s *analyze.Snapshot, _ Options) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Schema string `json:"schema"`
		*analyze.Snapshot
	}{SchemaName, shown(s)})
}
