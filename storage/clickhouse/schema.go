package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"plainsight/storage"
)

// Migration is a step of the schema. It can be applied again without harm.
type Migration struct {
	Version    uint32
	Doc        string
	Statements []string
}

// Migrations are the steps from nothing to the schema of this program, in
// order. A step that was released is never changed: later ones are added.
// Views hold no data and are made anew whenever a step is applied.
func Migrations() []Migration {
	first := []string{versionTable}
	for _, t := range storage.Tables {
		first = append(first, create(t))
	}
	return []Migration{{1, "tables of the first release", first}}
}

const versionTable = `CREATE TABLE IF NOT EXISTS schema_version
(
    version UInt32 COMMENT 'step that was applied',
    applied DateTime('UTC') DEFAULT now() COMMENT 'when'
)
ENGINE = ReplacingMergeTree ORDER BY version`

// create renders a table's DDL.
func create(t storage.Table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s\n(\n", t.Name)
	for i, c := range t.Columns {
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, "    %s %s", column(c.Name), c.Type)
		if c.Doc != "" {
			fmt.Fprintf(&b, " COMMENT %s", literal(c.Doc))
		}
		if c.Codec != "" {
			fmt.Fprintf(&b, " CODEC(%s)", c.Codec)
		}
	}
	for _, index := range t.Indices {
		fmt.Fprintf(&b, ",\n    INDEX %s", index)
	}
	engine := "MergeTree"
	if t.Kind == storage.Replaced {
		engine = "ReplacingMergeTree(run)"
	}
	fmt.Fprintf(&b, "\n)\nENGINE = %s ORDER BY %s\nCOMMENT %s", engine, t.Order, literal(t.Doc))
	return b.String()
}

// column quotes a name where it has to be.
func column(name string) string {
	if strings.Contains(name, ".") {
		return identifier(name)
	}
	return name
}

func literal(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// Schema is all DDL of the schema, in order.
func Schema() []string {
	var all []string
	for _, m := range Migrations() {
		all = append(all, m.Statements...)
	}
	for _, v := range Views {
		all = append(all, v.create())
	}
	return all
}

func latest() uint32 {
	m := Migrations()
	return m[len(m)-1].Version
}

// What a reader may find instead of a store it understands.
var (
	ErrEmpty = errors.New("the store is empty")
	ErrOlder = errors.New("the store's schema is older than this program")
	ErrNewer = errors.New("the store's schema is newer than this program")
)

func compatible(have uint32) error {
	switch {
	case have == 0:
		return ErrEmpty
	case have < latest():
		return fmt.Errorf("%w: %d, and %d is needed", ErrOlder, have, latest())
	case have > latest():
		return fmt.Errorf("%w: %d, and %d is understood", ErrNewer, have, latest())
	}
	return nil
}

// SchemaVersion is the last step that was applied; 0: none.
func (s *Store) SchemaVersion(ctx context.Context) (uint32, error) {
	var version uint32
	err := wrap(s.write.QueryRow(ctx, "SELECT max(version) FROM schema_version").Scan(&version))
	var e *Error
	if errors.As(err, &e) && (e.Code == codeUnknownTable || e.Code == codeUnknownDB) {
		return 0, nil
	}
	return version, err
}

// Migrate brings the schema up to date. It changes nothing where it is.
func (s *Store) Migrate(ctx context.Context) error {
	have, err := s.SchemaVersion(ctx)
	if err != nil {
		return err
	}
	if have > latest() {
		return compatible(have)
	}
	if have == latest() {
		return nil
	}
	for _, m := range Migrations() {
		if m.Version <= have {
			continue
		}
		for _, sql := range m.Statements {
			if err := s.write.Exec(ctx, sql); err != nil {
				return fmt.Errorf("schema step %d: %w", m.Version, wrap(err))
			}
		}
	}
	for _, v := range Views {
		if err := s.write.Exec(ctx, v.create()); err != nil {
			return fmt.Errorf("schema view %s: %w", v.Name, wrap(err))
		}
	}
	// Last: what was begun and not ended is begun again.
	if err := s.write.Exec(ctx, fmt.Sprintf("INSERT INTO schema_version (version) SELECT %d", latest())); err != nil {
		return fmt.Errorf("schema: %w", wrap(err))
	}
	s.options.Log.Debug("schema brought up to date", "from", have, "to", latest())
	return nil
}
