package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"plainsight/storage"
)

// Version of the schema of this program. It grows with every change of a
// table. What is to be done in a store of an earlier version is found by
// comparing: columns that lack are added, a table whose rows lie otherwise is
// copied, views are made anew. Nothing of it does harm when it is done twice or
// broke off.
const Version = 5

// Layout is how the schema is rendered: the zero value is a single server, or
// the embedded engine, that keeps everything.
type Layout struct {
	// Cluster makes the tables of a cluster with that name: each table is a
	// local one on every host, replicated within the shard, with a distributed
	// one in front of it that has the plain name.
	Cluster string
	// Keep is how many days the rows of a table stay, by its name; 0: for
	// ever. Tables that are not in it keep the retention that they have.
	Keep map[string]int
}

// window is how many blocks a table remembers to know one that comes again.
// Every table has one, also those that views fill: without it a block that is
// sent again would be counted again there.
const window = 10_000

func (l Layout) on() string {
	if l.Cluster == "" {
		return ""
	}
	return " ON CLUSTER " + identifier(l.Cluster)
}

// local is the name of the table that holds the rows.
func (l Layout) local(table string) string {
	if l.Cluster == "" {
		return table
	}
	return table + "_local"
}

func (l Layout) engine(kind, argument string) string {
	if l.Cluster == "" {
		return kind + "MergeTree(" + argument + ")"
	}
	arguments := "'/clickhouse/tables/{uuid}/{shard}', '{replica}'"
	if argument != "" {
		arguments += ", " + argument
	}
	return "Replicated" + kind + "MergeTree(" + arguments + ")"
}

var engines = map[storage.Kind]string{storage.Appended: "", storage.Replaced: "Replacing", storage.Summed: "Aggregating"}

// definition is a column in DDL.
func definition(c storage.Column) string {
	out := column(c.Name) + " " + c.Type
	if c.Doc != "" {
		out += " COMMENT " + literal(c.Doc)
	}
	if c.Codec != "" {
		out += " CODEC(" + c.Codec + ")"
	}
	return out
}

// create renders the DDL of a table under the given name.
func (l Layout) create(t storage.Table, name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s%s\n(\n", name, l.on())
	for i, c := range t.Columns {
		if i > 0 {
			b.WriteString(",\n")
		}
		b.WriteString("    " + definition(c))
	}
	for _, index := range t.Indices {
		fmt.Fprintf(&b, ",\n    INDEX %s", index)
	}
	fmt.Fprintf(&b, "\n)\nENGINE = %s", l.engine(engines[t.Kind], t.Version))
	if t.Partition != "" {
		fmt.Fprintf(&b, "\nPARTITION BY %s", t.Partition)
	}
	fmt.Fprintf(&b, "\nORDER BY %s", t.Order)
	if days := l.Keep[t.Name]; days > 0 {
		fmt.Fprintf(&b, "\nTTL %s", retention(days))
	}
	fmt.Fprintf(&b, "\nSETTINGS %s", l.settings(t))
	fmt.Fprintf(&b, "\nCOMMENT %s", literal(t.Doc))
	return b.String()
}

func (l Layout) settings(t storage.Table) string {
	out := fmt.Sprintf("non_replicated_deduplication_window = %d", window)
	if l.Cluster != "" {
		out += fmt.Sprintf(", replicated_deduplication_window = %d", window)
	}
	if t.Partition != "" {
		out += ", ttl_only_drop_parts = 1" // whole days go, nothing is rewritten
	}
	return out
}

func retention(days int) string { return fmt.Sprintf("written + INTERVAL %d DAY", days) }

// distributed renders the table in front of the local ones.
func (l Layout) distributed(t storage.Table) string {
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s%s AS %s\nENGINE = Distributed(%s, currentDatabase(), %s, %s)\nCOMMENT %s",
		t.Name, l.on(), l.local(t.Name), literal(l.Cluster), literal(l.local(t.Name)), t.Shard, literal(t.Doc))
}

// versionTable remembers which versions were applied.
var versionTable = storage.Table{
	Name: "schema_version", Doc: "versions of the schema that were applied", Kind: storage.Replaced, Order: "version", Shard: "cityHash64(version)",
	Columns: []storage.Column{
		{Name: "version", Type: "UInt32", Doc: "of the schema"},
		{Name: "applied", Type: "DateTime('UTC') DEFAULT now()", Doc: "when"},
	},
}

// tables renders all tables.
func (l Layout) tables() []string {
	var all []string
	for _, t := range append([]storage.Table{versionTable}, storage.Tables...) {
		all = append(all, l.create(t, l.local(t.Name)))
		if l.Cluster != "" {
			all = append(all, l.distributed(t))
		}
	}
	return all
}

// Schema is all DDL of a new store, in order.
func (l Layout) Schema() []string {
	all := l.tables()
	for _, f := range feeds {
		all = append(all, f.create(l))
	}
	for _, v := range Views {
		all = append(all, v.create(l))
	}
	return append(all, recordVersion())
}

func recordVersion() string {
	return fmt.Sprintf("INSERT INTO schema_version (version) SELECT %d", Version)
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

// What a reader may find instead of a store it understands.
var (
	ErrEmpty = errors.New("the store is empty")
	ErrOlder = errors.New("the store's schema is older than this program")
	ErrNewer = errors.New("the store's schema is newer than this program")
	// ErrLayout says that the tables are those of another layout.
	ErrLayout = errors.New("the store has other tables")
)

func compatible(have uint32) error {
	switch {
	case have == 0:
		return ErrEmpty
	case have < Version:
		return fmt.Errorf("%w: %d, and %d is needed", ErrOlder, have, Version)
	case have > Version:
		return fmt.Errorf("%w: %d, and %d is understood", ErrNewer, have, Version)
	}
	return nil
}

// SchemaVersion is the last version that was applied; 0: none.
func (s *Store) SchemaVersion(ctx context.Context) (uint32, error) {
	var version uint32
	err := wrap(s.write.QueryRow(ctx, "SELECT max(version) FROM schema_version").Scan(&version))
	var e *Error
	if errors.As(err, &e) && (e.Code == codeUnknownTable || e.Code == codeUnknownDB) {
		return 0, nil
	}
	return version, err
}

// Migrate brings the schema up to date. Where it is, it changes nothing but
// the retention that is asked for.
func (s *Store) Migrate(ctx context.Context) error {
	have, err := s.SchemaVersion(ctx)
	if err != nil {
		return err
	}
	if have > Version {
		return compatible(have)
	}
	if err := s.adopt(ctx); err != nil {
		return err
	}
	if have < Version {
		if err := s.upgrade(ctx, have); err != nil {
			return err
		}
		s.options.Log.Debug("schema brought up to date", "from", have, "to", Version)
	}
	return s.retain(ctx)
}

func (s *Store) upgrade(ctx context.Context, have uint32) error {
	l := s.options.Layout
	if have > 0 {
		if err := s.relay(ctx); err != nil {
			return fmt.Errorf("schema: %w", err)
		}
	}
	statements := l.tables()
	if have > 0 {
		statements = append(statements, l.altered()...)
	}
	for _, f := range feeds {
		statements = append(statements, f.create(l))
		if have > 0 {
			statements = append(statements, f.alter(l))
		}
	}
	for _, v := range Views {
		statements = append(statements, v.create(l))
	}
	// The version last: what was begun and not ended is begun again.
	for _, sql := range append(statements, recordVersion()) {
		if err := s.exec(ctx, sql); err != nil {
			what, _, _ := strings.Cut(sql, "\n")
			return fmt.Errorf("schema: %s: %w", what, err)
		}
	}
	return nil
}

func (s *Store) exec(ctx context.Context, sql string) error { return wrap(s.write.Exec(ctx, sql)) }

// altered are statements that make columns, comments and settings of existing
// tables those of this program.
func (l Layout) altered() []string {
	var all []string
	for _, t := range storage.Tables {
		add, modify := make([]string, len(t.Columns)), make([]string, len(t.Columns))
		for i, c := range t.Columns {
			add[i] = "ADD COLUMN IF NOT EXISTS " + definition(c)
			if i > 0 {
				add[i] += " AFTER " + column(t.Columns[i-1].Name)
			}
			modify[i] = "MODIFY COLUMN " + definition(c)
		}
		alter := "ALTER TABLE " + l.local(t.Name) + l.on() + " "
		all = append(all, alter+strings.Join(add, ", "), alter+strings.Join(modify, ", "),
			alter+"MODIFY COMMENT "+literal(t.Doc), alter+"MODIFY SETTING "+l.settings(t))
		if l.Cluster == "" {
			continue
		}
		for i, c := range t.Columns { // a distributed table has no codecs
			add[i] = "ADD COLUMN IF NOT EXISTS " + column(c.Name) + " " + c.Type
			if i > 0 {
				add[i] += " AFTER " + column(t.Columns[i-1].Name)
			}
		}
		all = append(all, "ALTER TABLE "+t.Name+l.on()+" "+strings.Join(add, ", "))
	}
	return all
}

// adopt takes over the layout that the tables have. It refuses to put those of
// a cluster beside those of a single server.
func (s *Store) adopt(ctx context.Context) error {
	var engine string
	if err := s.write.QueryRow(ctx, "SELECT any(engine_full) FROM system.tables WHERE database = currentDatabase() AND name = 'calls'").Scan(&engine); err != nil {
		return wrap(err)
	}
	return s.options.Layout.adopt(engine)
}

var distributed = regexp.MustCompile(`^Distributed\('((?:[^'\\]|\\.)*)'`)

// adopt reads the cluster's name out of the engine of the table calls; "":
// there is none yet.
func (l *Layout) adopt(engine string) error {
	cluster := ""
	if m := distributed.FindStringSubmatch(engine); m != nil {
		cluster = strings.NewReplacer(`\\`, `\`, `\'`, `'`).Replace(m[1])
	}
	switch {
	case engine == "" || cluster == l.Cluster:
	case l.Cluster == "":
		l.Cluster = cluster
	case cluster == "":
		return fmt.Errorf("%w: those of a single server", ErrLayout)
	default:
		return fmt.Errorf("%w: those of the cluster %q", ErrLayout, cluster)
	}
	return nil
}

// retain sets the retention of the tables that [Layout.Keep] names.
func (s *Store) retain(ctx context.Context) error {
	l := s.options.Layout
	for _, name := range slices.Sorted(maps.Keys(l.Keep)) {
		var full string
		err := s.write.QueryRow(ctx, "SELECT any(create_table_query) FROM system.tables WHERE database = currentDatabase() AND name = "+literal(l.local(name))).Scan(&full)
		if err != nil {
			return wrap(err)
		}
		has := strings.Contains(full, " TTL ")
		switch days := l.Keep[name]; {
		case full == "":
			return fmt.Errorf("retention: there is no table %q", name)
		case days <= 0 && has:
			err = s.exec(ctx, "ALTER TABLE "+l.local(name)+l.on()+" REMOVE TTL")
		case days > 0 && !(has && strings.Contains(full, fmt.Sprintf("toIntervalDay(%d)", days))):
			err = s.exec(ctx, "ALTER TABLE "+l.local(name)+l.on()+" MODIFY TTL "+retention(days))
		}
		if err != nil {
			return fmt.Errorf("retention of %s: %w", name, err)
		}
	}
	return nil
}

// relay copies the tables whose rows lie otherwise than they should, which no
// ALTER changes: engine, partitions, order. A table is exchanged at once when
// its copy is whole.
func (s *Store) relay(ctx context.Context) error {
	l := s.options.Layout
	lie := "engine, partition_key, sorting_key"
	if l.Cluster == "" { // else it holds a path that is each table's own
		lie += `, extract(engine_full, '^[A-Za-z]+MergeTree(\\([^)]*\\))')`
	}
	for _, t := range storage.Tables {
		name := l.local(t.Name)
		copied := name + "_copy"
		drop := "DROP TABLE IF EXISTS " + copied + l.on() + " SYNC"
		if err := s.exec(ctx, drop); err != nil {
			return err
		}
		old, err := s.columns(ctx, name)
		if err != nil {
			return err
		}
		if len(old) == 0 {
			continue
		}
		if err := s.exec(ctx, l.create(t, copied)); err != nil {
			return err
		}
		var alike bool
		err = s.write.QueryRow(ctx, "SELECT uniqExact("+lie+") = 1 FROM system.tables WHERE database = currentDatabase() AND name IN ("+
			literal(name)+", "+literal(copied)+")").Scan(&alike)
		switch {
		case err != nil:
			return wrap(err)
		case alike:
		case l.Cluster != "":
			return fmt.Errorf("%w: the rows of %s lie otherwise; on a cluster, rename it on every host, apply the schema and copy it by INSERT … SELECT", ErrLayout, name)
		default:
			if err := s.copy(ctx, name, copied, old); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		if err := s.exec(ctx, drop); err != nil {
			return err
		}
	}
	return nil
}

// copy puts the rows of a table into its copy and exchanges the two. Views that
// feed hold on to a table, and are made anew after it.
func (s *Store) copy(ctx context.Context, name, copied string, old []string) error {
	for _, f := range feeds {
		if err := s.exec(ctx, "DROP VIEW IF EXISTS "+f.Name); err != nil {
			return err
		}
	}
	there, err := s.columns(ctx, copied)
	if err != nil {
		return err
	}
	var into, from []string
	for _, c := range there {
		if slices.Contains(old, c) {
			into, from = append(into, column(c)), append(from, column(c))
		}
	}
	if !slices.Contains(old, "written") { // before version 2
		into, from = append(into, "written"), append(from, "today()")
	}
	if err := s.exec(ctx, "INSERT INTO "+copied+" ("+strings.Join(into, ", ")+") SETTINGS insert_deduplicate = 0 SELECT "+strings.Join(from, ", ")+" FROM "+name); err != nil {
		return err
	}
	return s.exec(ctx, "EXCHANGE TABLES "+name+" AND "+copied)
}

// columns are those of a table as it is.
func (s *Store) columns(ctx context.Context, table string) ([]string, error) {
	var names []string
	err := s.write.QueryRow(ctx, "SELECT groupArray(name) FROM (SELECT name FROM system.columns WHERE database = currentDatabase() AND table = "+literal(table)+" ORDER BY position)").Scan(&names)
	return names, wrap(err)
}
