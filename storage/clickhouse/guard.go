package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// A read-only connection alone is not enough: the function file() reads any
// file of the machine, DESCRIBE reaches through table functions, and a server
// may be configured to allow more. So a statement of a person is parsed by the
// engine first, and its tree is held against two lists.

// tableFunctions may stand in FROM: they make rows out of nothing, or read
// tables that the user may read anyway. All others reach files, programs or
// the network, or are not known yet.
var tableFunctions = map[string]bool{
	"numbers": true, "numbers_mt": true, "zeros": true, "zeros_mt": true, "one": true, "null": true, "values": true,
	"generateseries": true, "generate_series": true, "generaterandom": true, "view": true, "merge": true,
}

// functions may stand nowhere: they read files or open connections.
var functions = map[string]bool{
	"file": true, "hascolumnintable": true, "catboostevaluate": true, "executable": true,
	"aiclassify": true, "aigenerate": true, "aiextract": true, "aiembed": true, "aitranslate": true,
}

// statements that a tree may begin with.
var statements = regexp.MustCompile(`^(SelectWithUnionQuery|SelectQuery|SelectIntersectExceptQuery|DescribeQuery|Explain.*|Show.*|Exists.*)\b`)

// ErrRefused says that a statement may do more than read the store.
var ErrRefused = errors.New("refused")

var (
	function = regexp.MustCompile(`^( *)Function (\S+)`)
	position = regexp.MustCompile(`position (\d+)`)
)

// explain is put in front of a statement to see its tree.
const explain = "EXPLAIN AST "

// guard refuses a statement that reads more than tables.
func (s *Store) guard(ctx context.Context, sql string) error {
	if strings.TrimSpace(sql) == "" {
		return fmt.Errorf("%w: there is no statement", ErrRefused)
	}
	rows, err := s.read.Query(ctx, explain+sql)
	if err != nil {
		return misplaced(wrap(err))
	}
	defer rows.Close()
	return tree(rows)
}

// tree checks a syntax tree: a line a node, indented by its depth.
func tree(rows driver.Rows) error {
	var line string
	from := "" // the line before, when it begins a table expression
	for first := true; rows.Next(); first = false {
		if err := rows.Scan(&line); err != nil {
			return wrap(err)
		}
		if first && !statements.MatchString(line) {
			return fmt.Errorf("%w: only statements that read are answered", ErrRefused)
		}
		if m := function.FindStringSubmatch(line); m != nil {
			name := strings.ToLower(m[2])
			isTable := strings.HasPrefix(strings.TrimLeft(from, " "), "TableExpression")
			switch {
			case isTable && !tableFunctions[name]:
				return fmt.Errorf("%w: the table function %.40s reaches beyond the store", ErrRefused, m[2])
			case functions[name]:
				return fmt.Errorf("%w: the function %.40s reaches beyond the store", ErrRefused, m[2])
			}
		}
		from = line
	}
	return wrap(rows.Err())
}

// misplaced corrects the position in a syntax error by what was put in front.
func misplaced(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	e.Message = position.ReplaceAllStringFunc(e.Message, func(m string) string {
		n, _ := strconv.Atoi(m[len("position "):])
		return "position " + strconv.Itoa(max(n-len(explain), 1))
	})
	return e
}
