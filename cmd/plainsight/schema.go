package main

import (
	"context"
	"fmt"

	"plainsight/storage/clickhouse"
)

type schemaCmd struct {
	Print schemaPrintCmd `cmd:"" default:"withargs" help:"Print the schema as SQL, or its documentation (the default)."`
	Apply schemaApplyCmd `cmd:"" help:"Bring the schema of a store up to date."`
}

type schemaPrintCmd struct {
	Format string `enum:"sql,markdown" default:"sql" help:"One of ${enum}." placeholder:"FORMAT"`
}

// Run prints the schema; it needs no store.
func (c *schemaPrintCmd) Run(a *app) error {
	if c.Format == "markdown" {
		return clickhouse.Markdown(a.Stdout)
	}
	for _, sql := range (clickhouse.Layout{}).Schema() {
		if _, err := fmt.Fprintf(a.Stdout, "%s;\n\n", sql); err != nil {
			return err
		}
	}
	return nil
}

type schemaApplyCmd struct {
	Store string `help:"Directory, or clickhouse://[USER@]HOST[:PORT][/DATABASE]." placeholder:"STORE" env:"PLAINSIGHT_STORE"`
}

// Run makes the tables and views that are missing.
func (c *schemaApplyCmd) Run(ctx context.Context, a *app) error {
	s, err := clickhouse.Open(ctx, clickhouse.Options{Store: c.Store, Create: true, Log: a.Log})
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
