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
	fmt.Fprintf(&b, "# The store\n\nWritten by `plainsight schema print --format markdown`; version %d of the schema.\n\n"+
		"Ask the views; the tables hold the rows of all readings, and the views choose and sum those that count.\n\n"+
		"## Views\n\n| view | what it answers |\n|---|---|\n", Version)
	for _, v := range Views {
		fmt.Fprintf(&b, "| `%s` | %s |\n", v.Name, cell(v.Doc))
	}
	b.WriteString("\n## Named queries\n\n| practice | `plainsight query …` | what it answers |\n|---|---|---|\n")
	for _, q := range Queries {
		practice := ""
		if q.Practice > 0 {
			practice = fmt.Sprintf("%d %s", q.Practice, q.Practice)
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s |\n", practice, q.Name, cell(q.Doc))
	}
	b.WriteString("\n## Views that count\n\nThey see each block as it is inserted. Their tables remember blocks as the others do, so that one that comes again is\n" +
		"counted once; still, take figures that must be exact from the calls or the endpoints.\n\n| view | from | to | what it does |\n|---|---|---|---|\n")
	for _, f := range feeds {
		fmt.Fprintf(&b, "| `%s` | `%s` | `%s` | %s |\n", f.Name, f.From, f.To, cell(f.Doc))
	}
	fmt.Fprintf(&b, "\n## Tables\n\nEach remembers its last %d blocks by their deduplication tokens. `--keep TABLE=DAYS` bounds how long rows stay, by the day on which they were written.\n", window)
	for _, t := range storage.Tables {
		fmt.Fprintf(&b, "\n### %s\n\n%s. %s, ordered by `%s`", t.Name, t.Doc, kinds[t.Kind], t.Order)
		if t.Partition != "" {
			fmt.Fprintf(&b, ", in partitions by `%s`", t.Partition)
		}
		b.WriteString(".\n\n| column | type | codec | meaning |\n|---|---|---|---|\n")
		for _, c := range t.Columns {
			fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", c.Name, cell(c.Type), c.Codec, cell(c.Doc))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

var kinds = map[storage.Kind]string{storage.Appended: "Rows are added", storage.Replaced: "Of rows with the same key the last one stays", storage.Summed: "Rows with the same key are summed"}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
