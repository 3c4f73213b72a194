package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plainsight/storage"
	"plainsight/storage/clickhouse"
	"plainsight/storage/embedded"
	"plainsight/storage/embedded/embeddedtest"
)

// fakeRows are rows as a store gives them.
type fakeRows struct {
	columns []storage.Header
	rows    [][]any
	at      int
	err     error
}

func (a *fakeRows) Columns() []storage.Header { return a.columns }
func (a *fakeRows) Next() bool                { a.at++; return a.at <= len(a.rows) }
func (a *fakeRows) Values() ([]any, error)    { return a.rows[a.at-1], nil }
func (a *fakeRows) Err() error                { return a.err }
func (a *fakeRows) Close() error              { return nil }

func written(t *testing.T, format string, a *fakeRows) string {
	t.Helper()
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	if err := errors.Join(formats[format](w, a, 0), w.Flush()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// hostile is text that acts on terminals, spreadsheets and readers.
var hostile = []string{"\x1b]52;c;ZXZpbA==\a", "\u009b31m", "a\rb", "a\tb", "a\nb", "\u202eevil", "zero\u200bwidth", "\ufeff", "\u2028", "\x7f", "\U000e0041",
	"=cmd|' /C calc'!A0", "+1", "-1+2", "@SUM(1)", "\t=1", "\r=1"}

func TestAnswersAreHarmless(t *testing.T) {
	for format := range formats {
		if format == "parquet" {
			continue // bytes for programs
		}
		for _, text := range hostile {
			out := written(t, format, &fakeRows{
				columns: []storage.Header{{Name: text, Type: "String"}, {Name: "list", Type: "Array(String)"}, {Name: "map", Type: "Map(String, String)"}},
				rows:    [][]any{{text, []string{text}, map[string]string{text: text}}},
			})
			for _, r := range out {
				if r != '\n' && !(r == '\t' && format == "tsv") && (r < ' ' || 0x7f <= r && r <= 0x9f || 0x200b <= r && r <= 0x200f ||
					0x2028 <= r && r <= 0x202e || r == 0xfeff || 0xe0000 <= r && r <= 0xe007f) {
					t.Errorf("%s of %q: %q", format, text, out)
					break
				}
			}
			if format == "ndjson" {
				out = "[" + out + "]"
			}
			if strings.HasSuffix(format, "json") {
				var back []map[string]any
				if err := json.Unmarshal([]byte(out), &back); err != nil || back[0][text] != text {
					t.Errorf("json of %q does not read back: %v %v", text, back, err)
				}
				continue
			}
			if format == "table" || !strings.ContainsAny(text[:1], "=+-@\t\r") {
				continue
			}
			separator := map[string]rune{"csv": ',', "tsv": '\t'}[format]
			lines := csv.NewReader(strings.NewReader(out))
			lines.Comma, lines.LazyQuotes = separator, true
			cells, err := lines.ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range cells {
				for _, cell := range line {
					if strings.ContainsAny(cell[:1], "=+-@\t\r") {
						t.Errorf("%s: a spreadsheet takes %q for a formula", format, cell)
					}
				}
			}
		}
	}
}

func TestAnswersSayWhatTheyMean(t *testing.T) {
	a := func() *fakeRows {
		return &fakeRows{
			columns: []storage.Header{{Name: "n", Type: "Int64"}, {Name: "x", Type: "Float64"}, {Name: "at", Type: "DateTime"}, {Name: "list", Type: "Array(UInt8)"},
				{Name: "map", Type: "Map(UInt16, UInt64)"}, {Name: "none", Type: "Nullable(String)"}, {Name: "text", Type: "String"}},
			rows: [][]any{{int64(-5), 0.25, time.Date(2026, 11, 25, 10, 0, 0, 5e8, time.UTC), []uint8{1, 2}, map[uint16]uint64{404: 1, 200: 7}, nil, "grüße, \"x\""},
				{int64(1), math.NaN(), time.Unix(0, 0), []uint8{}, map[uint16]uint64{}, nil, ""}},
		}
	}
	for format, want := range map[string]string{
		"json": "[\n" + `{"n":-5,"x":0.25,"at":"2026-11-25T10:00:00.5Z","list":[1,2],"map":{"200":7,"404":1},"none":null,"text":"grüße, \"x\""},` + "\n" +
			`{"n":1,"x":null,"at":"1970-01-01T00:00:00Z","list":[],"map":{},"none":null,"text":""}` + "\n]\n",
		"csv": "n,x,at,list,map,none,text\n-5,0.25,2026-11-25 10:00:00.5,\"1, 2\",\"200: 7, 404: 1\",,\"grüße, \"\"x\"\"\"\n1,NaN,1970-01-01 00:00:00,,,,\n",
		"tsv": "n\tx\tat\tlist\tmap\tnone\ttext\n-5\t0.25\t2026-11-25 10:00:00.5\t1, 2\t200: 7, 404: 1\t\tgrüße, \"x\"\n1\tNaN\t1970-01-01 00:00:00\t\t\t\t\n",
	} {
		if got := written(t, format, a()); got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", format, got, want)
		}
	}
	if got := written(t, "table", a()); !strings.Contains(got, "200: 7, 404: 1") || strings.Count(got, "\n") != 6 {
		t.Errorf("table:\n%s", got)
	}
	none := &fakeRows{columns: a().columns}
	if got := written(t, "table", none); got != "no rows\n" {
		t.Errorf("table without rows: %q", got)
	}
	if got := written(t, "json", &fakeRows{columns: a().columns}); strings.TrimSpace(strings.ReplaceAll(got, "\n", "")) != "[]" {
		t.Errorf("json without rows: %q", got)
	}
}

func TestTablesEnd(t *testing.T) {
	a := &fakeRows{columns: []storage.Header{{Name: "n", Type: "UInt64"}}}
	for i := range maxTableRows + 5 {
		a.rows = append(a.rows, []any{uint64(i)})
	}
	if got := written(t, "table", a); !strings.Contains(got, "only the first 10000 rows") {
		t.Error("a table does not say that it ends early")
	}
}

func TestTablesFitTheTerminal(t *testing.T) {
	words := strings.Repeat("several words ", 20)
	for _, width := range []int{40, 80, 200} {
		a := &fakeRows{columns: []storage.Header{{Name: "severity", Type: "String"}, {Name: "summary", Type: "String"}, {Name: "why", Type: "String"}},
			rows: [][]any{{"high", words, "grüße " + words}, {"low", "short", strings.Repeat("x", 300)}}}
		var b bytes.Buffer
		w := bufio.NewWriter(&b)
		if err := errors.Join(writeTable(w, a, width), w.Flush()); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > width {
				t.Errorf("%d columns on a terminal of %d: %s", n, width, line)
			}
		}
		if strings.Count(b.String(), "words") != 40 {
			t.Errorf("words were lost on a terminal of %d:\n%s", width, b.String())
		}
	}
}

func TestQueriesAreAnswered(t *testing.T) {
	embeddedtest.Require(t)
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	t.Setenv("PLAINSIGHT_STORE", "")

	code, out, errs := plainsight(t, nil, "query")
	if code != exitDone || !strings.Contains(out, "\n  sensitive-data ") || !strings.Contains(out, "\n3 encryption\n") || errs != "" {
		t.Errorf("the list: %d %s %s", code, out, errs)
	}
	code, _, errs = plainsight(t, nil, "query", "findings")
	if code != exitFailed || !strings.Contains(errs, "plainsight read --keep FILE") || strings.Count(errs, "\n") != 1 {
		t.Errorf("no store: %d %s", code, errs)
	}
	if code, out, errs = plainsight(t, nil, "schema", "apply"); code != exitDone || !strings.Contains(out, "version") {
		t.Fatalf("schema apply: %d %s", code, errs)
	}
	if info, err := os.Stat(filepath.Join(dir, "plainsight", "store")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the default store: %v %v", info, err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string // in stdout where code is 0, else in stderr
	}{
		{[]string{"findings"}, exitDone, "no rows"},
		{[]string{"--format", "json", "SELECT 1 AS one, 'x' AS x"}, exitDone, "{\"one\":1,\"x\":\"x\"}"},
		{[]string{"--format", "csv", "SELECT number FROM numbers(3)"}, exitDone, "number\n0\n1\n2\n"},
		{[]string{"--format", "ndjson", "SELECT number FROM numbers(2)"}, exitDone, "{\"number\":0}\n{\"number\":1}\n"},
		{[]string{"--format", "parquet", "SELECT number FROM numbers(2)"}, exitDone, "PAR1"},
		{[]string{"--format", "csv", "--param", "x=a,b' OR 1", "--param", "n=3", "SELECT {x:String} AS x, {n:UInt8} AS n"}, exitDone, "x,n\n\"a,b' OR 1\",3\n"},
		{[]string{"--param", "days=1", "traffic"}, exitDone, "no rows"},
		{[]string{"--param", "hours=1", "traffic"}, exitUsage, "no parameter"},
		{[]string{"--param", "days=x", "traffic"}, exitUsage, "UInt16"},
		{[]string{"--param", "a b=1", "SELECT 1"}, exitUsage, "name of a parameter"},
		{[]string{"--password", "hunter2", "SELECT 1"}, exitUsage, "unknown flag"},
		{[]string{"nothing"}, exitUsage, "no query is called"},
		{[]string{"SELEC 1"}, exitUsage, "position 7"},
		{[]string{"SELECT nope FROM calls"}, exitUsage, "nope"},
		{[]string{"SELECT 1; SELECT 2"}, exitUsage, "one statement"},
		{[]string{"DROP TABLE calls"}, exitUsage, "refused"},
		{[]string{"SELECT file('/etc/passwd')"}, exitUsage, "refused"},
		{[]string{"--format", "xml", "SELECT 1"}, exitUsage, "tsv"},
		{[]string{"--timeout", "1s", "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"}, exitFailed, "--timeout"},
		{[]string{"--store", "clickhouse://u:hunter2@db", "SELECT 1"}, exitUsage, "CLICKHOUSE_PASSWORD"},
		{[]string{"--store", "clickhouse://127.0.0.1:1", "SELECT 1"}, exitFailed, "refused"},
	} {
		code, out, errs := plainsight(t, nil, append([]string{"query"}, c.args...)...)
		said := out
		if c.code != exitDone {
			said = errs
		}
		if code != c.code || !strings.Contains(said, c.want) || strings.Contains(errs, "hunter2") || c.code != exitDone && strings.Count(errs, "\n") != 1 {
			t.Errorf("query %q: %d, want %d with %q\n%s%s", c.args, code, c.code, c.want, out, errs)
		}
	}
}

func TestEveryStoreErrorNamesTheFix(t *testing.T) {
	for err, want := range map[error]string{
		embedded.ErrAbsent: "read --keep", embedded.ErrMissing: "plainsight setup", embedded.ErrBusy: "--store", embedded.ErrForeign: "--store",
		embedded.ErrPath: "--store", clickhouse.ErrEmpty: "read --keep", clickhouse.ErrOlder: "schema apply", clickhouse.ErrNewer: "later",
	} {
		if got := storeError(fmt.Errorf("x: %w", err)); !errors.Is(got, err) || !strings.Contains(got.Error(), want) {
			t.Errorf("%v: %v", err, got)
		}
	}
}

func TestSchemaIsPrinted(t *testing.T) {
	code, out, _ := plainsight(t, nil, "schema")
	if code != exitDone || !strings.Contains(out, "CREATE TABLE IF NOT EXISTS calls") || !strings.Contains(out, "CREATE OR REPLACE VIEW findings_open") {
		t.Errorf("schema: %d\n%.500s", code, out)
	}
	code, out, _ = plainsight(t, nil, "schema", "print", "--format", "markdown")
	if code != exitDone || !strings.Contains(out, "### calls") {
		t.Errorf("schema print: %d\n%.500s", code, out)
	}
}

func TestSchemaOfAClusterIsPrinted(t *testing.T) {
	code, out, _ := plainsight(t, nil, "schema", "print", "--cluster", "main", "--keep", "calls=30", "--keep", "findings=400d")
	if code != exitDone || !strings.Contains(out, "ON CLUSTER `main`") || !strings.Contains(out, "TTL written + INTERVAL 30 DAY") || !strings.Contains(out, "INTERVAL 400 DAY") {
		t.Errorf("schema print: %d\n%.500s", code, out)
	}
	for _, keep := range []string{"nope=3", "calls=x", "calls=-1", "calls"} {
		if code, _, errs := plainsight(t, nil, "schema", "print", "--keep", keep); code != exitUsage || strings.Count(errs, "\n") != 1 {
			t.Errorf("--keep %s: %d %s", keep, code, errs)
		}
	}
}

func TestSetup(t *testing.T) {
	embeddedtest.Require(t)
	code, out, errs := plainsight(t, nil, "setup") // what is there is left alone
	if code != exitDone || !strings.Contains(out, "is there") {
		t.Errorf("setup: %d %s %s", code, out, errs)
	}
	t.Setenv("CHDB_LIB_PATH", "")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	code, _, errs = plainsight(t, nil, "setup", "--force", "--from", write(t, "other.tgz", []byte("another package")))
	if code != exitFailed || !strings.Contains(errs, "checksum") || !strings.Contains(errs, "nothing was installed") {
		t.Errorf("another package: %d %s", code, errs)
	}
	code, _, errs = plainsight(t, nil, "setup", "--force", "--from", "/none.tgz")
	if code != exitUsage || !strings.Contains(errs, "none.tgz") {
		t.Errorf("no package: %d %s", code, errs)
	}
	t.Setenv("PATH", "")
	code, _, errs = plainsight(t, nil, "setup", "--force")
	if code != exitFailed || !strings.Contains(errs, "install npm") || !strings.Contains(errs, "--from") {
		t.Errorf("no npm: %d %s", code, errs)
	}

	for said, want := range map[string]string{
		"": "exit status 1",
		"npm error code E404\nnpm error 404 Not Found - GET x\n":                                  "404 Not Found - GET x",
		"npm error code X\nnpm error syscall connect\nnpm error errno X\nnpm error FetchError: y": "FetchError: y",
	} {
		if got := complaint(said, errors.New("exit status 1")); got != want {
			t.Errorf("npm said %q: %q", said, got)
		}
	}
}
