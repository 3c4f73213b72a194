package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"plainsight/analyze"
	"plainsight/storage"
	"plainsight/storage/clickhouse"
	"plainsight/storage/embedded"
)

type queryCmd struct {
	SQL     string            `arg:"" optional:"" name:"sql" help:"A statement, or the name of a query; without it the names are listed." placeholder:"SQL|NAME"`
	Format  string            `enum:"table,json,ndjson,csv,tsv,parquet" default:"table" help:"One of ${enum}." placeholder:"FORMAT"`
	Param   map[string]string `mapsep:"none" help:"Value of a parameter that stands in the statement as {NAME:Type}; may be given again." placeholder:"NAME=VALUE"`
	Timeout time.Duration     `default:"60s" help:"Longest time of a query." placeholder:"TIME"`
	Pager   bool              `negatable:"" default:"true" help:"Page tables on a terminal through $$PAGER."`
	storeFlags
}

// storeFlags say which store is meant and how a server is reached.
type storeFlags struct {
	Store             string `help:"Directory, or clickhouse://[USER@]HOST[:PORT][/DATABASE]." placeholder:"STORE" env:"PLAINSIGHT_STORE"`
	InsecurePlaintext bool   `help:"Reach a server on another host without TLS." env:"PLAINSIGHT_INSECURE_PLAINTEXT"`
	PasswordFile      string `help:"File with the password of the server; or set CLICKHOUSE_PASSWORD." placeholder:"FILE" env:"CLICKHOUSE_PASSWORD_FILE"`
	CAFile            string `name:"ca-file" help:"Authorities to trust for the server's certificate (PEM)." placeholder:"FILE" env:"CLICKHOUSE_CA_FILE"`
	CertFile          string `help:"Certificate to show to the server (PEM)." placeholder:"FILE" env:"CLICKHOUSE_CERT_FILE"`
	KeyFile           string `help:"Its key." placeholder:"FILE" env:"CLICKHOUSE_KEY_FILE"`
}

func (f *storeFlags) options(a *app) clickhouse.Options {
	return clickhouse.Options{Store: f.Store, Log: a.Log, Access: clickhouse.Access{
		Plaintext: f.InsecurePlaintext, PasswordFile: f.PasswordFile, CAFile: f.CAFile, CertFile: f.CertFile, KeyFile: f.KeyFile}}
}

// Help is shown below the flags.
func (*queryCmd) Help() string {
	return `  plainsight query findings
  plainsight query new-endpoints --param days=30
  plainsight query "SELECT service, count() FROM calls_current GROUP BY service"

Statements can only read. plainsight schema print --format markdown says what there is to read.`
}

// Run answers a question about the store, or lists the named ones.
func (c *queryCmd) Run(ctx context.Context, a *app) error {
	if strings.TrimSpace(c.SQL) == "" {
		return listQueries(a.Stdout)
	}
	sql, params, err := statement(c.SQL, c.Param)
	if err != nil {
		return err
	}
	width, onTerminal := terminal(a.Stdout)
	if !onTerminal {
		width = 0
	} else if c.Format == "parquet" {
		return usagef("a Parquet file is not for a terminal: send it to a file with >")
	}
	o := c.options(a)
	o.MaxTime = c.Timeout
	s, err := clickhouse.Open(ctx, o)
	if err != nil {
		return storeError(err)
	}
	defer s.Close()

	done := a.queryProgress(&ctx)
	defer done()
	rows, err := s.Query(ctx, sql, params...)
	if err != nil {
		return storeError(err)
	}
	defer rows.Close()
	first := func() { done() } // the bar goes before rows come
	var to io.WriteCloser = keepOpen{a.Stdout}
	if onTerminal && c.Pager && c.Format == "table" {
		to = a.pager(os.Getenv("PAGER"))
	}
	out := bufio.NewWriter(to)
	err = formats[c.Format](out, told{rows, &first}, width)
	if e := out.Flush(); err == nil {
		err = e
	}
	if e := to.Close(); err == nil {
		err = e
	}
	return storeError(err)
}

// told are rows that tell when the first of them is asked for and there.
type told struct {
	storage.Rows
	first *func()
}

func (t told) Next() bool {
	more := t.Rows.Next()
	if *t.first != nil {
		(*t.first)()
		*t.first = nil
	}
	return more
}

// queryProgress shows on a terminal what the server says of a query that takes
// longer than two seconds. The function returned may be called again.
func (a *app) queryProgress(ctx *context.Context) (stop func()) {
	var read, total atomic.Uint64
	*ctx = clickhouse.WithProgress(*ctx, func(p clickhouse.Progress) {
		read.Add(p.Rows)
		total.Add(p.Total)
	})
	return sync.OnceFunc(a.bar("rows read", false, func() (int64, int64) {
		done := int64(read.Load())
		return done, max(int64(total.Load()), done+1) // not done before it ends
	}))
}

// keepOpen is standard output, which is not ours to close.
type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }

// pager gives what pages on a terminal: the command of $PAGER, less where it
// is unset, or the terminal itself where that cannot be run.
func (a *app) pager(command string) io.WriteCloser {
	if command == "" {
		command = "less -FRSX" // quits where all fits, long lines are cut
	}
	if command == "cat" {
		return keepOpen{a.Stdout}
	}
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.Stdout, cmd.Stderr = a.Stdout, a.Stderr
	if name := strings.Fields(command); len(name) > 0 {
		if _, err := exec.LookPath(name[0]); err != nil {
			return keepOpen{a.Stdout}
		}
	}
	in, err := cmd.StdinPipe()
	if err != nil || cmd.Start() != nil {
		return keepOpen{a.Stdout}
	}
	return paging{in, cmd}
}

// paging is the input of a pager.
type paging struct {
	io.WriteCloser
	cmd *exec.Cmd
}

// Close waits until the person has read. Whoever leaves a pager early has seen
// enough.
func (p paging) Close() error {
	p.WriteCloser.Close()
	_ = p.cmd.Wait()
	return nil
}

func listQueries(w io.Writer) error {
	practice := analyze.Practice(0)
	for _, q := range clickhouse.Queries {
		if q.Practice != practice {
			practice = q.Practice
			if _, err := fmt.Fprintf(w, "\n%d %s\n", practice, practice); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(w, "  %-20s  %s\n", q.Name, q.Doc); err != nil {
			return err
		}
	}
	return nil
}

// statement returns the SQL of a named query with its parameters, or what is
// SQL already.
func statement(question string, given map[string]string) (string, []storage.Param, error) {
	var params []storage.Param
	for _, name := range slices.Sorted(maps.Keys(given)) {
		params = append(params, storage.Param{Name: name, Value: given[name]})
	}
	name := strings.TrimSpace(question)
	for _, q := range clickhouse.Queries {
		if !strings.EqualFold(q.Name, name) {
			continue
		}
		for p := range given {
			if !slices.ContainsFunc(q.Params, func(own storage.Param) bool { return own.Name == p }) {
				return "", nil, usagef("the query %s has no parameter %q", q.Name, p)
			}
		}
		return q.SQL, q.With(params), nil
	}
	if !strings.ContainsAny(name, " \t\r\n(") {
		return "", nil, usagef("no query is called %q (plainsight query lists them)", name)
	}
	return question, params, nil
}

// storeError says who is at fault and what helps.
func storeError(err error) error {
	var said *clickhouse.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, embedded.ErrAbsent), errors.Is(err, clickhouse.ErrEmpty):
		return hintError{err, "read a capture first: plainsight read --keep FILE"}
	case errors.Is(err, embedded.ErrMissing):
		return hintError{err, "run plainsight setup"}
	case errors.Is(err, embedded.ErrBusy), errors.Is(err, clickhouse.ErrRunning):
		return hintError{err, "wait for it, or name another store with --store"}
	case errors.Is(err, embedded.ErrForeign):
		return usageError{hintError{err, "name an empty or new directory with --store"}}
	case errors.Is(err, embedded.ErrPath):
		return hintError{err, "name another with --store"}
	case errors.Is(err, clickhouse.ErrOlder):
		return hintError{err, "run plainsight schema apply"}
	case errors.Is(err, clickhouse.ErrLayout):
		return hintError{err, "say --cluster as it was said before"}
	case errors.Is(err, clickhouse.ErrNewer):
		return hintError{err, "use the plainsight that wrote it, or a later one"}
	case errors.Is(err, clickhouse.ErrURL), errors.Is(err, clickhouse.ErrRefused), errors.Is(err, clickhouse.ErrParam):
		return usageError{err}
	case errors.Is(err, context.DeadlineExceeded):
		return hintError{err, "give it more time with --timeout"}
	case errors.As(err, &said) && said.Wrong():
		return usageError{err}
	}
	return err
}

// formats write an answer. width is that of the terminal, 0 where there is
// none.
var formats = map[string]func(w *bufio.Writer, rows storage.Rows, width int) error{
	"table":   writeTable,
	"json":    writeJSON,
	"ndjson":  writeLines,
	"csv":     writeCSV,
	"tsv":     writeTSV,
	"parquet": writeParquet,
}

// maxTableRows are shown in a table, which is held in memory; the other
// formats are endless.
const maxTableRows = 10_000

func writeTable(w *bufio.Writer, rows storage.Rows, width int) error {
	headers := rows.Columns()
	columns := make([]table.ColumnConfig, len(headers))
	widths := make([]int, len(headers))
	line := func(cell func(i int) string) table.Row {
		row := make(table.Row, len(headers))
		for i := range row {
			s := cell(i)
			row[i], widths[i] = s, max(widths[i], text.StringWidth(s))
		}
		return row
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(line(func(i int) string { return analyze.CleanLong(headers[i].Name) }))
	n := 0
	for ; n < maxTableRows && rows.Next(); n++ {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		t.AppendRow(line(func(i int) string { return shown(values[i]) }))
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if n == 0 {
		_, err := fmt.Fprintln(w, "no rows")
		return err
	}
	if width > 0 {
		fit(widths, width)
	}
	for i, h := range headers {
		columns[i] = table.ColumnConfig{Number: i + 1, WidthMax: widths[i], WidthMaxEnforcer: text.WrapSoft}
		if numeric(h.Type) {
			columns[i].Align = text.AlignRight
		}
	}
	t.SetColumnConfigs(columns)
	if _, err := fmt.Fprintln(w, t.Render()); err != nil {
		return err
	}
	if n == maxTableRows {
		_, err := fmt.Fprintf(w, "only the first %d rows are shown: add a LIMIT, or choose another --format\n", n)
		return err
	}
	return nil
}

// fit narrows the widest columns of a table until it has that width, as far as
// its cells stay readable.
func fit(widths []int, width int) {
	const frame, least = 3, 8 // a cell's border and margins; the narrowest cell that is made
	excess := 1 - width
	for _, w := range widths {
		excess += w + frame
	}
	for ; excess > 0; excess-- {
		widest := 0
		for i := range widths {
			if widths[i] > widths[widest] {
				widest = i
			}
		}
		if len(widths) == 0 || widths[widest] <= least {
			return
		}
		widths[widest]--
	}
}

func numeric(typ string) bool {
	for _, prefix := range []string{"UInt", "Int", "Float", "Decimal", "Nullable(UInt", "Nullable(Int", "Nullable(Float"} {
		if strings.HasPrefix(typ, prefix) {
			return true
		}
	}
	return false
}

// shown is a value as text that is safe on a terminal.
func shown(v any) string { return analyze.CleanLong(plain(v)) }

// plain is a value as text: lists and maps without quotes, for people.
func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case time.Time:
		return v.UTC().Format("2006-01-02 15:04:05.999")
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case fmt.Stringer:
		return v.String()
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Slice, reflect.Array:
		parts := make([]string, r.Len())
		for i := range parts {
			parts[i] = plain(r.Index(i).Interface())
		}
		return strings.Join(parts, ", ")
	case reflect.Map:
		parts := make([]string, 0, r.Len())
		for _, k := range r.MapKeys() {
			parts = append(parts, plain(k.Interface())+": "+plain(r.MapIndex(k).Interface()))
		}
		slices.Sort(parts)
		return strings.Join(parts, ", ")
	case reflect.Pointer:
		if r.IsNil() {
			return ""
		}
		return plain(r.Elem().Interface())
	}
	return fmt.Sprint(v)
}

// inert keeps a spreadsheet from taking text for a formula.
func inert(v any) string {
	s := shown(v)
	if v == nil || s == "" || !strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return s
	}
	switch reflect.TypeOf(v).Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Float32, reflect.Float64:
		return s // a negative number
	}
	return "'" + s
}

func writeCSV(w *bufio.Writer, rows storage.Rows, _ int) error {
	out := csv.NewWriter(w)
	err := lines(rows, func(cells []string) error { return out.Write(cells) })
	out.Flush()
	return errors.Join(err, out.Error())
}

func writeTSV(w *bufio.Writer, rows storage.Rows, _ int) error {
	return lines(rows, func(cells []string) error { // shown leaves no tab and no line end
		_, err := fmt.Fprintln(w, strings.Join(cells, "\t"))
		return err
	})
}

// lines gives the header and then each row as inert text.
func lines(rows storage.Rows, write func([]string) error) error {
	var cells []string
	for _, h := range rows.Columns() {
		cells = append(cells, inert(h.Name))
	}
	if err := write(cells); err != nil {
		return err
	}
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		for i, v := range values {
			cells[i] = inert(v)
		}
		if err := write(cells); err != nil {
			return err
		}
	}
	return rows.Err()
}

// writeJSON writes an array with an object a line, keys in the columns' order.
func writeJSON(w *bufio.Writer, rows storage.Rows, _ int) error {
	separator := "[\n"
	err := objects(rows, func(object []byte) error {
		w.WriteString(separator)
		separator = ",\n"
		_, err := w.Write(object)
		return err
	})
	if err != nil {
		return err
	}
	if separator == "[\n" {
		w.WriteString("[")
	}
	_, err = w.WriteString("\n]\n")
	return err
}

// writeLines writes an object a line and nothing else.
func writeLines(w *bufio.Writer, rows storage.Rows, _ int) error {
	return objects(rows, func(object []byte) error {
		w.Write(object)
		return w.WriteByte('\n')
	})
}

// objects gives each row as a JSON object, which is borrowed.
func objects(rows storage.Rows, write func([]byte) error) error {
	var keys [][]byte
	for _, h := range rows.Columns() {
		key, err := jsonValue(h.Name)
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	var line []byte
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		line = append(line[:0], '{')
		for i, v := range values {
			b, err := jsonValue(v)
			if err != nil {
				return err
			}
			if i > 0 {
				line = append(line, ',')
			}
			line = append(append(append(line, keys[i]...), ':'), b...)
		}
		if err := write(append(line, '}')); err != nil {
			return err
		}
	}
	return rows.Err()
}

// jsonValue encodes a value. What acts on a terminal or turns text around is
// escaped, so that it means the same and does nothing.
func jsonValue(v any) ([]byte, error) {
	b, err := json.Marshal(jsonable(v))
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			if r > 0xffff {
				r1, r2 := (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00
				out = fmt.Appendf(out, `\u%04x\u%04x`, r1, r2)
			} else {
				out = fmt.Appendf(out, `\u%04x`, r)
			}
		} else {
			out = append(out, b[:n]...)
		}
		b = b[n:]
	}
	return out, nil
}

// jsonable replaces what encoding/json cannot take, or takes for base64.
func jsonable(v any) any {
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Float32, reflect.Float64:
		if f := r.Float(); math.IsNaN(f) || math.IsInf(f, 0) { // not a number, infinite
			return nil
		}
	case reflect.Slice, reflect.Array:
		if _, ok := v.(fmt.Stringer); ok {
			return v
		}
		list := make([]any, r.Len())
		for i := range list {
			list[i] = jsonable(r.Index(i).Interface())
		}
		return list
	case reflect.Map:
		m := make(map[string]any, r.Len())
		for _, k := range r.MapKeys() {
			m[plain(k.Interface())] = jsonable(r.MapIndex(k).Interface())
		}
		return m
	}
	return v
}
