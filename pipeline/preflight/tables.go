package preflight

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
)

// names are the configured tables as two arrays, for unnest.
func (c *check) names() ([]string, []string) {
	var schema, name []string
	for _, t := range c.cfg.Source.Tables {
		schema, name = append(schema, t.Schema), append(name, t.Name)
	}
	return schema, name
}

// right is what the role may do with a table.
type right struct {
	table    schemas.Table
	usage    bool // of the schema
	selects  bool
	filtered bool // row-level security hides rows from the role
	owner    bool
}

func (c *check) rights(ctx context.Context) ([]right, error) {
	schema, name := c.names()
	rows, err := c.source.Query(ctx, `
		SELECT n.nspname, r.relname, has_schema_privilege(n.oid, 'USAGE'), has_table_privilege(r.oid, 'SELECT'),
		       row_security_active(r.oid), pg_has_role(r.relowner, 'USAGE')
		FROM unnest($1::text[], $2::text[]) WITH ORDINALITY w (s, t, i)
		JOIN pg_namespace n ON n.nspname = w.s JOIN pg_class r ON r.relnamespace = n.oid AND r.relname = w.t
		ORDER BY w.i`, schema, name)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r right, err error) {
		return r, row.Scan(&r.table.Schema, &r.table.Name, &r.usage, &r.selects, &r.filtered, &r.owner)
	})
}

// privileges checks that the role may read every row of every table (hazard S9).
func (c *check) privileges(ctx context.Context) {
	rights, err := c.rights(ctx)
	if err != nil {
		c.failed("source.privileges", "source.tables", redact.SQLError(err))
		return
	}
	const key = "source.tables"
	for _, r := range rights {
		switch {
		case !r.usage:
			c.find(Error, "source.usage", key, "GRANT USAGE ON SCHEMA "+schemas.QuoteIdent(r.table.Schema)+" to the role of source.postgres",
				"the role may not use the schema of %s", r.table)
		case !r.selects:
			c.find(Error, "source.select", key, "GRANT SELECT ON "+r.table.SQL()+" to the role of source.postgres", "the role may not read %s", r.table)
		case r.filtered:
			c.find(Error, "source.row_security", key, "ALTER ROLE … BYPASSRLS, or connect as the table's owner",
				"row-level security is active for the role on %s: rows that it hides would be missing in Stytch", r.table)
		}
	}
}

// tables checks that every table's changes can be keyed (hazard S21).
func (c *check) tables(ctx context.Context) {
	captured, err := producers.DescribeTables(ctx, c.source, c.cfg.Source.Tables)
	var refused *producers.Refused
	switch {
	case errors.As(err, &refused):
		for _, r := range refused.Refusals {
			c.find(Error, "source.table", "source.tables", r.Fix, "%s cannot be captured: %s", r.Table, r.Reason)
		}
	case err != nil:
		c.failed("source.table", "source.tables", redact.SQLError(err))
	default:
		c.captured = captured
	}
}

// toast recommends REPLICA IDENTITY FULL where the stream may leave out a value
// that the mapping reads (hazard S6).
func (c *check) toast(ctx context.Context) {
	if c.plan == nil {
		return
	}
	for _, t := range c.cfg.Source.Tables {
		var columns []string
		err := c.source.QueryRow(ctx, `
			SELECT coalesce(array_agg(a.attname::text ORDER BY a.attnum), '{}')
			FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace JOIN pg_attribute a ON a.attrelid = r.oid
			WHERE n.nspname = $1 AND r.relname = $2 AND r.relreplident <> 'f' AND a.attstorage <> 'p' AND a.attname = ANY($3)
			  AND r.reltoastrelid <> 0 AND pg_relation_size(r.reltoastrelid) > 0
			  AND NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = r.oid AND i.indisprimary AND a.attnum = ANY(i.indkey))`,
			t.Schema, t.Name, c.plan.Columns[t]).Scan(&columns)
		if err != nil {
			c.failed("source.toast", "source.tables", redact.SQLError(err))
			return
		}
		if len(columns) > 0 {
			c.find(Warning, "source.toast", "source.tables", "ALTER TABLE "+t.SQL()+" REPLICA IDENTITY FULL",
				"%s stores large values out of line, and the mapping reads %s: an update that changes the primary key does not carry them", t, strings.Join(columns, ", "))
		}
	}
}

// slot checks the slot if there is one.
func (c *check) slot(ctx context.Context) {
	var plugin, database, status string
	var active, here, temporary bool
	err := c.source.QueryRow(ctx, `SELECT coalesce(plugin, 'physical'), coalesce(database, ''), active, coalesce(wal_status, ''),
		       coalesce(database = current_database(), false), temporary
		FROM pg_replication_slots WHERE slot_name = $1`, c.cfg.Source.Slot).Scan(&plugin, &database, &active, &status, &here, &temporary)
	if errors.Is(err, pgx.ErrNoRows) {
		return
	}
	if err != nil {
		c.failed("source.slot", "source.slot", redact.SQLError(err))
		return
	}
	const key = "source.slot"
	switch {
	case plugin != "pgoutput" || !here:
		c.find(Error, "source.slot", key, "Name another slot", "slot %s exists and is not ours: plugin %s, database %s", c.cfg.Source.Slot, plugin, database)
	case c.cfg.Kafka.Embedded && !temporary:
		c.find(Error, "source.slot", key, "If no pipeline with a Kafka of its own uses it, drop it with `backstitch teardown`; else name another slot",
			"slot %s exists and outlives processes, so it is not of a pipeline with the embedded broker", c.cfg.Source.Slot)
	case status == "lost":
		c.find(Error, "source.slot", key, "Run `backstitch backfill --all`: a new slot and epoch, every table read again",
			"slot %s is lost: the server has removed log that it needed", c.cfg.Source.Slot)
	case active:
		c.find(Note, "source.slot", key, "None, if that one is yours; stop it else", "slot %s is in use: a pipeline runs, another instance would stand by", c.cfg.Source.Slot)
	}
}
