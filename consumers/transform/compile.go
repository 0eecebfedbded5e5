package transform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// searchPath is where unqualified names of mappings and routes are looked up, in
// the source as in the ledger (hazard C19).
const searchPath = "public"

// Compile learns from a database that holds the captured tables what the mappings
// read and return. It makes temporary views and tables in a transaction that it
// rolls back, so the session needs the TEMPORARY privilege, no other.
//
// What stands against the mappings is returned all at once: as Findings in the
// error when one of them is an error, else as the plan's Warnings.
func Compile(ctx context.Context, conn *pgx.Conn, tables []schemas.Table, mappings []consumers.Mapping) (*Plan, error) {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadWrite})
	if err != nil {
		return nil, fmt.Errorf("compile the mappings: %w", redact.SQLError(err))
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, "SET LOCAL search_path = "+searchPath); err != nil {
		return nil, fmt.Errorf("compile the mappings: %w", redact.SQLError(err))
	}
	c := &compiler{tx: tx, tables: map[schemas.Table]*table{}, oids: map[uint32]*table{}}
	for _, t := range tables {
		if err := c.describe(ctx, t); err != nil {
			return nil, fmt.Errorf("describe %s: %w", t, redact.SQLError(err))
		}
	}
	plan := &Plan{Columns: map[schemas.Table][]string{}}
	for _, kind := range []consumers.Kind{consumers.Organization, consumers.Member} {
		for _, m := range mappings {
			if m.Kind != kind {
				continue
			}
			compiled, err := c.mapping(ctx, m)
			if err != nil {
				return nil, fmt.Errorf("compile %ss: %w", kind, redact.SQLError(err))
			}
			plan.Mappings = append(plan.Mappings, compiled)
		}
	}
	if c.findings.refused() {
		return nil, c.findings
	}
	plan.Warnings, plan.Extensions = c.findings, c.extensions
	for name, t := range c.tables {
		plan.Columns[name] = t.needed()
	}
	return plan, nil
}

type compiler struct {
	tx         pgx.Tx
	tables     map[schemas.Table]*table
	oids       map[uint32]*table
	findings   Findings
	extensions []string
	views      int
}

// table is a captured table as the catalogue has it.
type table struct {
	name    schemas.Table
	oid     uint32
	columns []tableColumn // in the table's order
	key     []string      // primary key columns in the key's order
	reads   map[string]bool
}

type tableColumn struct {
	name      string
	number    int16
	typeOID   uint32
	generated bool
	loose     string // its collation, where that takes different texts for equal
}

func (t *table) column(name string) *tableColumn {
	for i := range t.columns {
		if t.columns[i].name == name {
			return &t.columns[i]
		}
	}
	return nil
}

// needed lists the mirror's columns: the key, then what is read.
func (t *table) needed() []string {
	columns := slices.Clone(t.key)
	for _, c := range t.columns {
		if t.reads[c.name] && !slices.Contains(columns, c.name) {
			columns = append(columns, c.name)
		}
	}
	return columns
}

func (c *compiler) refuse(where, fix, what string, args ...any) {
	c.findings = append(c.findings, Finding{SeverityError, where, fmt.Sprintf(what, args...), fix})
}

func (c *compiler) warn(where, fix, what string, args ...any) {
	c.findings = append(c.findings, Finding{SeverityWarning, where, fmt.Sprintf(what, args...), fix})
}

func (c *compiler) describe(ctx context.Context, name schemas.Table) error {
	t := &table{name: name, reads: map[string]bool{}}
	err := c.tx.QueryRow(ctx, `SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')`, name.Schema, name.Name).Scan(&t.oid)
	if errors.Is(err, pgx.ErrNoRows) {
		c.refuse("source.tables", "Write it as in SQL, with quotes around names that need them: public.\"Team\"",
			"lists %s, which this database does not have as a table", fullName(name))
		return nil
	}
	if err != nil {
		return err
	}
	rows, err := c.tx.Query(ctx, `SELECT attname, attnum, atttypid, attgenerated <> '', coalesce(l.collname, '')
		FROM pg_attribute LEFT JOIN pg_collation l ON l.oid = attcollation AND NOT l.collisdeterministic
		WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, t.oid)
	if err != nil {
		return err
	}
	t.columns, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (col tableColumn, err error) {
		return col, row.Scan(&col.name, &col.number, &col.typeOID, &col.generated, &col.loose)
	})
	if err != nil {
		return err
	}
	rows, err = c.tx.Query(ctx, `SELECT a.attname FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k (attnum, n), pg_attribute a
		WHERE i.indrelid = $1 AND i.indisprimary AND a.attrelid = $1 AND a.attnum = k.attnum ORDER BY k.n`, t.oid)
	if err != nil {
		return err
	}
	if t.key, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return err
	}
	if len(t.key) == 0 {
		c.refuse("source.tables", "Give it a primary key, or leave it out",
			"lists %s, which has no primary key: its rows cannot be told apart in the topics", fullName(name))
	}
	c.tables[name], c.oids[t.oid] = t, t
	return nil
}

// mapping compiles one mapping with its routes.
func (c *compiler) mapping(ctx context.Context, m consumers.Mapping) (CompiledMapping, error) {
	where := string(m.Kind) + "s.select"
	compiled := CompiledMapping{
		Kind: m.Kind, Select: trimSelect(m.Select), Routes: map[schemas.Table]CompiledRoute{},
		AssumeEmailsVerified: m.AssumeEmailsVerified,
	}
	v, err := c.view(ctx, where, compiled.Select)
	if err != nil {
		return compiled, err
	}
	if v != nil {
		compiled.Reads = c.read(where, v, nil)
		if err := c.columns(ctx, where, m, v, &compiled); err != nil {
			return compiled, err
		}
	}
	for _, t := range sortedTables(m.Routes) {
		if err := c.route(ctx, m.Kind, t, m.Routes[t], &compiled); err != nil {
			return compiled, err
		}
	}
	if v == nil {
		return compiled, nil
	}
	return compiled, c.derive(ctx, m, v, &compiled)
}

// trimSelect removes what is harmless in psql and breaks a subquery.
func trimSelect(s string) string { return strings.TrimRight(strings.TrimSpace(s), "; \t\r\n") }

// read records what a view reads, and complains about what the mirror lacks.
// changed is the captured table that stands behind a route's relation "changed".
func (c *compiler) read(where string, v *view, changed *table) []schemas.Table {
	var tables []schemas.Table
	for _, ref := range v.relations {
		t := c.oids[ref.oid]
		if changed != nil && ref.oid == v.changed {
			t = changed
		}
		if t == nil {
			c.uncaptured(where, ref)
			continue
		}
		if t != changed {
			tables = append(tables, t.name)
		}
		for i, col := range t.columns {
			number := col.number
			if ref.oid == v.changed { // a copy, numbered without the dropped columns
				number = int16(i + 1)
			}
			named := slices.Contains(ref.columns, number)
			if !v.wholeRow && !named { // hazard C24: a whole-row reference stands in no list of columns
				continue
			}
			if col.generated {
				if named {
					c.refuse(where, "Write the expression that generates it instead",
						"reads %s.%s, a generated column, which logical replication does not send", shortName(t.name), sqlIdent(col.name))
				} else {
					c.refuse(where, "List the columns that are needed instead of the whole row",
						"refers to a whole row and so to %s.%s, a generated column, which logical replication does not send", shortName(t.name), sqlIdent(col.name))
				}
				continue
			}
			if col.loose != "" && !t.reads[col.name] { // hazard C43
				c.warn(where, "Where the select compares it, write what is to be equal, such as lower("+sqlIdent(col.name)+")",
					"reads %s.%s, in whose collation %s different texts are equal: in the ledger, where the select runs, they are not", shortName(t.name), sqlIdent(col.name), sqlIdent(col.loose))
			}
			t.reads[col.name] = true
		}
		if slices.ContainsFunc(ref.columns, func(n int16) bool { return n < 0 }) {
			c.refuse(where, "Use columns of the table instead", "reads a system column of %s, which the mirror does not have", shortName(t.name))
		}
	}
	slices.SortFunc(tables, compareTables)
	return tables
}

func (c *compiler) uncaptured(where string, ref relationRef) {
	name := schemas.Table{Schema: ref.schema, Name: ref.name}
	switch ref.kind {
	case "r", "p":
		if ref.schema == "pg_catalog" {
			c.refuse(where, "Leave it out", "reads %s, a system catalogue, whose changes no stream carries", fullName(name))
			return
		}
		c.refuse(where, "Add "+fullName(name), "reads %s, which source.tables lacks: changes to it would never reach Stytch", shortName(name))
	default:
		c.refuse(where, "Write the view's query into the select, and capture its tables",
			"reads %s, which is not a table: no stream carries its changes", shortName(name))
	}
}
