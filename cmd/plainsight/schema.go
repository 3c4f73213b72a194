package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"plainsight/storage"
	"plainsight/storage/clickhouse"
)

type schemaCmd struct {
	Print schemaPrintCmd `cmd:"" default:"withargs" help:"Print the schema as SQL, or its documentation (the default)."`
	Apply schemaApplyCmd `cmd:"" help:"Bring the schema of a store up to date."`
}

// layoutFlags say how the schema is rendered.
type layoutFlags struct {
	Cluster string            `help:"For a cluster of that name: replicated and distributed tables." placeholder:"NAME"`
	Keep    map[string]string `help:"Days that the rows of a table stay, as calls=30; 0: for ever. May be given again." placeholder:"TABLE=DAYS"`
}

func (f *layoutFlags) layout() (clickhouse.Layout, error) {
	l := clickhouse.Layout{Cluster: f.Cluster, Keep: map[string]int{}}
	for table, text := range f.Keep {
		days, err := strconv.Atoi(strings.TrimSuffix(text, "d"))
		if err != nil || days < 0 || days > 36_500 {
			return l, usagef("--keep %s=%s: a number of days is meant", table, text)
		}
		if !slices.ContainsFunc(storage.Tables, func(t storage.Table) bool { return t.Name == table }) {
			return l, usagef("--keep %s: there is no such table (see plainsight schema print --format markdown)", table)
		}
		l.Keep[table] = days
	}
	return l, nil
}

type schemaPrintCmd struct {
	Format string `enum:"sql,markdown" default:"sql" help:"One of ${enum}." placeholder:"FORMAT"`
	layoutFlags
}

// Run prints the schema; it needs no store.
func (c *schemaPrintCmd) Run(a *app) error {
	if c.Format == "markdown" {
		return clickhouse.Markdown(a.Stdout)
	}
	l, err := c.layout()
	if err != nil {
		return err
	}
	for _, sql := range l.Schema() {
		if _, err := fmt.Fprintf(a.Stdout, "%s;\n\n", sql); err != nil {
			return err
		}
	}
	return nil
}

type schemaApplyCmd struct {
	layoutFlags
	storeFlags
}

// Help is shown below the flags.
func (*schemaApplyCmd) Help() string {
	return `  plainsight schema apply --store clickhouse://admin@db.example --keep calls=30 --keep traffic_minute=90
  plainsight schema apply --store clickhouse://admin@db.example --cluster main`
}

// Run makes the tables and views that are missing.
func (c *schemaApplyCmd) Run(ctx context.Context, a *app) error {
	l, err := c.layout()
	if err != nil {
		return err
	}
	o := c.options(a)
	o.Create, o.Layout = true, l
	s, err := clickhouse.Open(ctx, o)
	if err != nil {
		return storeError(err)
	}
	version, err := s.SchemaVersion(ctx)
	if closed := s.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return storeError(err)
	}
	_, err = fmt.Fprintf(a.Stdout, "the schema is at version %d\n", version)
	return err
}
