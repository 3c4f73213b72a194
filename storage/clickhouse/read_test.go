package clickhouse

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"plainsight/storage"
	"plainsight/storage/embedded/embeddedtest"
)

// askWith returns the rows of an answer to a statement with parameters.
func askWith(t *testing.T, s *Store, sql string, params ...storage.Param) ([][]any, error) {
	t.Helper()
	rows, err := s.Query(t.Context(), sql, params...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all [][]any
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return nil, err
		}
		all = append(all, values)
	}
	return all, rows.Err()
}

func TestParametersAreValues(t *testing.T) {
	s := remote(t, embeddedtest.Start(t, filepath.Join(t.TempDir(), "store")))
	keep(t, s, shop("a"), shopCalls())
	for _, text := range append([]string{"", "tab\there", "line\nbreak", `\N`, `'`, `\\`, "' OR 1 = 1 --", "{y:String}", "a;b"}, nasty...) {
		got, err := askWith(t, s, "SELECT {x:String}, {other:UInt8}", storage.Param{Name: "x", Value: text}, storage.Param{Name: "other", Value: "7"})
		if err != nil || !reflect.DeepEqual(got, [][]any{{text, uint8(7)}}) {
			t.Errorf("%q comes back as %q: %v", text, got, err)
		}
	}
	for i, text := range nasty {
		got, err := askWith(t, s, "SELECT count() FROM calls_current WHERE service = {service:String}", storage.Param{Name: "service", Value: text})
		if err != nil || got[0][0] != uint64(1) {
			t.Errorf("calls of service %d: %v %v", i, got, err)
		}
	}
	got, err := askWith(t, s, "SELECT sum(x) FROM (SELECT arrayJoin({list:Array(UInt32)}) AS x)", storage.Param{Name: "list", Value: "[1,2,3]"})
	if err != nil || got[0][0] != uint64(6) {
		t.Errorf("a list: %v %v", got, err)
	}

	// A parameter does not outlive its statement, and opens no way around the guard.
	if got, err := askWith(t, s, "SELECT {x:String}"); err == nil {
		t.Errorf("a statement without its parameter: %v", got)
	}
	for sql, p := range map[string]storage.Param{
		"SELECT {x:UInt8}":                        {Name: "x", Value: "many"},
		"SELECT * FROM {x:Identifier}":            {Name: "x", Value: "file('/etc/passwd')"},
		"SELECT {x:Identifier}('/etc/passwd')":    {Name: "x", Value: "file"},
		"SELECT * FROM {x:Identifier}('/etc/pw')": {Name: "x", Value: "file"},
		"SELECT 1": {Name: "readonly", Value: "0"}, // harmless: no setting
	} {
		got, err := askWith(t, s, sql, p)
		if (err == nil) != (sql == "SELECT 1") {
			t.Errorf("%s with %v: %v %v", sql, p, got, err)
		}
	}
	for _, name := range []string{"", "a b", "a'", "1", "ä", strings.Repeat("a", 100)} {
		if _, err := askWith(t, s, "SELECT 1", storage.Param{Name: name}); !errors.Is(err, ErrParam) {
			t.Errorf("a parameter called %q: %v", name, err)
		}
	}
	if _, err := askWith(t, s, "DROP TABLE calls SETTINGS readonly = {readonly:UInt8}", storage.Param{Name: "readonly", Value: "0"}); err == nil {
		t.Error("a table was dropped")
	}
}

func TestProgressIsTold(t *testing.T) {
	s := remote(t, embeddedtest.Start(t, filepath.Join(t.TempDir(), "store")))
	var rows, total, told atomic.Uint64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ctx = WithProgress(ctx, func(p Progress) {
		rows.Add(p.Rows)
		total.Add(p.Total)
		if told.Add(1) == 3 {
			cancel()
		}
	})
	const all = 1_000_000_000_000
	_, err := s.Query(ctx, "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) % 3 = 1")
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if rows.Load() == 0 || rows.Load() > all || total.Load() != all || told.Load() < 3 {
		t.Errorf("%d rows of %d in %d steps", rows.Load(), total.Load(), told.Load())
	}
}
