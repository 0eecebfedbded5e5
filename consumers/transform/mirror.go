package transform

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// nextSchema prefixes the schemas of a mirror that is built beside the old one.
const nextSchema = "backstitch_next_"

// mirrorTable is a captured table's copy in the ledger: live rows, the columns
// that mapping and routes read, and nothing else (hazard C8).
type mirrorTable struct {
	table   schemas.Table
	topic   string
	columns []string // the key first
	types   []string
	keys    int // so many of the columns are the primary key
	indexes []SourceIndex
	needs   []string // statements that make its types
	beside  bool     // it stands in a backstitch_next_… schema
}

// sql is the quoted name of the table in the ledger.
func (m *mirrorTable) sql() string {
	if m.beside {
		return schemas.Table{Schema: nextSchema + m.table.Schema, Name: m.table.Name}.SQL()
	}
	return m.table.SQL()
}

// among are those of columns that the mirror holds.
func (m *mirrorTable) among(columns []string) []string {
	return slices.DeleteFunc(slices.Clone(columns), func(c string) bool { return !slices.Contains(m.columns, c) })
}

// list quotes columns, each with a prefix, separated by commas.
func list(prefix string, columns []string) string {
	var b strings.Builder
	for i, c := range columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(prefix)
		b.WriteString(schemas.QuoteIdent(c))
	}
	return b.String()
}

// mirrorTables joins what the source has with what the plan reads.
func mirrorTables(prefix string, captured []Captured, plan *Plan) (map[schemas.Table]*mirrorTable, error) {
	tables := map[schemas.Table]*mirrorTable{}
	for _, c := range captured {
		columns, ok := plan.Columns[c.Relation.Table]
		if !ok {
			continue
		}
		m := &mirrorTable{
			table: c.Relation.Table, topic: schemas.DataTopic(prefix, c.Relation.Table), columns: columns,
			keys: len(c.Relation.Key), indexes: c.Indexes, needs: c.Types,
		}
		for i, name := range columns {
			at := slices.IndexFunc(c.Relation.Columns, func(c schemas.Column) bool { return c.Name == name })
			if at < 0 {
				return nil, stage.Hold("Change the mapping, or bring the column back", "the mapping reads column %s of %s, which the source does not have any more", name, m.table)
			}
			if i < m.keys && at != c.Relation.Key[i] {
				return nil, fmt.Errorf("mirror %s: the plan does not list its primary key first", m.table)
			}
			m.types = append(m.types, c.Relation.Columns[at].Type.Declared)
		}
		if m.keys == 0 {
			return nil, stage.Hold("Add a primary key to it, or take it out of source.tables", "table %s has no primary key, so its changes have no order", m.table)
		}
		tables[m.table] = m
	}
	for table := range plan.Columns {
		if tables[table] == nil {
			return nil, stage.Hold("Add it to source.tables", "the mapping reads table %s, which is not captured", table)
		}
	}
	return tables, nil
}

// mirror makes and changes the mirror's tables.
type mirror struct {
	conn *pgx.Conn
	term int64
	log  *slog.Logger
}

// ensure makes the ledger hold the tables with exactly their columns. A column that
// appears in a table of which something is already filled, or changes its type, is
// incomplete until a backfill run after run has read the table (hazard C9).
func (m *mirror) ensure(ctx context.Context, tables map[schemas.Table]*mirrorTable, extensions []string, filled func(topic string) bool, run int64) error {
	if err := m.ensureTypes(ctx, tables, extensions); err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, m.conn, func(tx pgx.Tx) error {
		if err := fence(ctx, tx, m.term); err != nil {
			return err
		}
		for _, table := range sortedTables(tables) {
			if err := ensureTable(ctx, tx, tables[table], filled(tables[table].topic), run); err != nil {
				return fmt.Errorf("mirror %s: %w", table, redact.SQLError(err))
			}
		}
		return dropOthers(ctx, tx, tables)
	})
}

type columnState struct {
	name, kind string
}

func mirrorColumns(ctx context.Context, q ledger.Querier, table schemas.Table) ([]columnState, error) {
	rows, err := q.Query(ctx, "SELECT column_name, type FROM backstitch.mirror_columns WHERE schema_name = $1 AND table_name = $2", table.Schema, table.Name)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (c columnState, err error) { return c, row.Scan(&c.name, &c.kind) })
}

func ensureTable(ctx context.Context, tx pgx.Tx, t *mirrorTable, filled bool, run int64) error {
	known, err := mirrorColumns(ctx, tx, t.table)
	if err != nil {
		return err
	}
	var exists bool
	if err := tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", t.sql()).Scan(&exists); err != nil {
		return err
	}
	switch {
	case exists && len(known) == 0:
		return stage.Hold("Give the ledger a database of its own",
			"the ledger database has a table %s that Backstitch did not make: it may be the legacy database itself, and would be overwritten", t.table)
	case !exists:
		if err := createTable(ctx, tx, t); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM backstitch.mirror_columns WHERE schema_name = $1 AND table_name = $2", t.table.Schema, t.table.Name); err != nil {
			return err
		}
		for i := range t.columns {
			if err := recordColumn(ctx, tx, t, i, true, run); err != nil {
				return err
			}
		}
		return nil
	}
	return alterTable(ctx, tx, t, known, filled, run)
}

func createTable(ctx context.Context, tx pgx.Tx, t *mirrorTable) error {
	schema := t.table.Schema
	if t.beside {
		schema = nextSchema + schema
	}
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE %s (", t.sql())
	for i, c := range t.columns {
		fmt.Fprintf(&b, "%s %s, ", schemas.QuoteIdent(c), t.types[i])
	}
	fmt.Fprintf(&b, "PRIMARY KEY (%s))", list("", t.columns[:t.keys])) // hazard C7: no other constraint
	if _, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+schemas.QuoteIdent(schema)); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, b.String())
	return err
}

func alterTable(ctx context.Context, tx pgx.Tx, t *mirrorTable, known []columnState, filled bool, run int64) error {
	for _, k := range known {
		if !slices.Contains(t.columns, k.name) {
			if _, err := tx.Exec(ctx, fmt.Sprintf("ALTER TABLE %s DROP COLUMN IF EXISTS %s", t.sql(), schemas.QuoteIdent(k.name))); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, "DELETE FROM backstitch.mirror_columns WHERE schema_name = $1 AND table_name = $2 AND column_name = $3",
				t.table.Schema, t.table.Name, k.name); err != nil {
				return err
			}
		}
	}
	for i, name := range t.columns {
		at := slices.IndexFunc(known, func(k columnState) bool { return k.name == name })
		column := schemas.QuoteIdent(name)
		switch {
		case at < 0:
			if _, err := tx.Exec(ctx, fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s", t.sql(), column, t.types[i])); err != nil {
				return err
			}
		case known[at].kind != t.types[i]:
			if _, err := tx.Exec(ctx, fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s TYPE %s USING %s::text::%s", t.sql(), column, t.types[i], column, t.types[i])); err != nil {
				return err
			}
		default:
			continue
		}
		if err := recordColumn(ctx, tx, t, i, !filled, run); err != nil {
			return err
		}
	}
	return nil
}

func recordColumn(ctx context.Context, tx pgx.Tx, t *mirrorTable, i int, complete bool, run int64) error {
	_, err := tx.Exec(ctx, `INSERT INTO backstitch.mirror_columns (schema_name, table_name, column_name, type, complete, since_run)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (schema_name, table_name, column_name)
		DO UPDATE SET type = excluded.type, complete = excluded.complete, since_run = excluded.since_run`,
		t.table.Schema, t.table.Name, t.columns[i], t.types[i], complete, run)
	return err
}

// dropOthers drops mirror tables that no mapping reads any more, with their
// offsets: a mapping that reads them again reads their topics from the beginning.
func dropOthers(ctx context.Context, tx pgx.Tx, tables map[schemas.Table]*mirrorTable) error {
	rows, err := tx.Query(ctx, "SELECT DISTINCT schema_name, table_name FROM backstitch.mirror_columns")
	if err != nil {
		return redact.SQLError(err)
	}
	had, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t schemas.Table, err error) { return t, row.Scan(&t.Schema, &t.Name) })
	if err != nil {
		return redact.SQLError(err)
	}
	for _, t := range had {
		if tables[t] != nil {
			continue
		}
		_, err := tx.Exec(ctx, "DROP TABLE IF EXISTS "+t.SQL())
		for _, forget := range []string{"mirror_columns", "incomplete_rows"} {
			if err == nil {
				_, err = tx.Exec(ctx, "DELETE FROM backstitch."+forget+" WHERE schema_name = $1 AND table_name = $2", t.Schema, t.Name)
			}
		}
		if err == nil {
			_, err = tx.Exec(ctx, "DELETE FROM backstitch.offsets WHERE topic LIKE '%.' || $1", t.String())
		}
		if err != nil {
			return fmt.Errorf("drop the mirror of %s: %w", t, redact.SQLError(err))
		}
	}
	return nil
}

// copyIndexes makes plain copies of the source's indexes whose columns the mirror
// holds (hazard C7). They come after loading: rows load faster without. An index
// that cannot be made only costs speed.
func (m *mirror) copyIndexes(ctx context.Context, tables map[schemas.Table]*mirrorTable) error {
	for _, table := range sortedTables(tables) {
		t := tables[table]
		for _, x := range t.indexes {
			if slices.ContainsFunc(x.Columns, func(c string) bool { return !slices.Contains(t.columns, c) }) {
				continue
			}
			sql := fmt.Sprintf("CREATE INDEX IF NOT EXISTS %s ON %s USING %s", schemas.QuoteIdent(x.Name), t.sql(), x.Definition)
			if _, err := m.conn.Exec(ctx, sql); err != nil {
				if redact.SQLState(err) == "" {
					return fmt.Errorf("copy index %s: %w", x.Name, err)
				}
				m.log.Warn("an index of the source cannot be copied to the mirror", "table", table.String(), "index", x.Name, "error", redact.SQLError(err))
			}
		}
		if _, err := m.conn.Exec(ctx, "ANALYZE "+t.sql()); err != nil {
			return fmt.Errorf("analyze the mirror of %s: %w", table, redact.SQLError(err))
		}
	}
	return nil
}
