package clickhouse

import (
	"fmt"
	"io"
	"strings"

	"plainsight/storage"
)

// Markdown writes the documentation of the schema: tables with their columns,
// views and named queries.
func Markdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# The store\n\nAsk the views; the tables hold the rows of all readings, and the views choose and sum those that count.\n\n## Views\n\n| view | what it answers |\n|---|---|\n")
	for _, v := range Views {
		fmt.Fprintf(&b, "| `%s` | %s |\n", v.Name, cell(v.Doc))
	}
	b.WriteString("\n## Named queries\n\n| `plainsight query …` | what it answers |\n|---|---|\n")
	for _, q := range Queries {
		fmt.Fprintf(&b, "| `%s` | %s |\n", q.Name, cell(q.Doc))
	}
	b.WriteString("\n## Tables\n")
	for _, t := range storage.Tables {
		fmt.Fprintf(&b, "\n### %s\n\n%s. Ordered by `%s`.\n\n| column | type | codec | meaning |\n|---|---|---|---|\n", t.Name, t.Doc, t.Order)
		for _, c := range t.Columns {
			fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", c.Name, cell(c.Type), c.Codec, cell(c.Doc))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
