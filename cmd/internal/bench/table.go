package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"plainsight/cmd/internal/pcapgen"
)

// printSet prints the results of a set as a table.
func printSet(s set, made pcapgen.Made, results []Result) {
	t := table.NewWriter()
	t.SetOutputMirror(os.Stdout)
	t.SetStyle(table.StyleLight)
	t.SetTitle("%s: %.0f MB, %d frames, %d exchanges", s.title, float64(made.Bytes)/1e6, made.Frames, made.Exchanges)
	head := table.Row{"program", "MB/CPU s", "× A", "exchanges/CPU s", "found", "CPU s", "wall s", "MB/s", "RSS MiB", "mallocs/frame"}
	t.AppendHeader(head)
	t.SetColumnConfigs(numeric(len(head)))
	base := 0.0
	for _, r := range results {
		if strings.HasPrefix(r.Program, "A:") {
			base = r.MBPerCPU
		}
	}
	number := func(format string, v float64) string {
		if v == 0 {
			return "–"
		}
		return fmt.Sprintf(format, v)
	}
	for _, r := range results {
		if r.Note != "" {
			t.AppendRow(table.Row{r.Program, r.Note})
			continue
		}
		name, relative := r.Program, 0.0
		if r.MB < float64(made.Bytes)/2e6 {
			name = fmt.Sprintf("%s, on %.0f MB", name, r.MB)
		}
		if base > 0 {
			relative = r.MBPerCPU / base
		}
		t.AppendRow(table.Row{name, number("%.0f", r.MBPerCPU), number("%.2f", relative), number("%.0f", r.Exchanges), number("%.4f", r.Found),
			number("%.2f", r.CPU), number("%.2f", r.Wall), number("%.0f", r.MBPerSec), number("%.0f", r.RSS), number("%.3f", r.Mallocs)})
	}
	t.Render()
}

// numeric aligns all columns but the first to the right.
func numeric(n int) []table.ColumnConfig {
	var all []table.ColumnConfig
	for i := 2; i <= n; i++ {
		all = append(all, table.ColumnConfig{Number: i, Align: text.AlignRight})
	}
	return all
}
