package producers

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
)

// Index is what a plain, non-unique copy of an index is made of (hazard C7).
type Index struct {
	Name   string
	Method string // btree, gin, …
	// Definition is everything behind USING: method, columns or expressions with
	// their operator classes and order, INCLUDE, WITH and WHERE.
	Definition string
	// Columns are all columns that the index reads, its expressions and predicate
	// included. A copy can exist only where they do.
	Columns []string
}

// CreateOn is the statement that makes the copy on a table.
func (i Index) CreateOn(t schemas.Table) string {
	return "CREATE INDEX ON " + t.SQL() + " USING " + i.Definition
}

// Indexes lists the valid indexes of these tables but the primary keys, by table
// and in the order of their names. conn is a connection to the source.
func Indexes(ctx context.Context, conn *pgx.Conn, tables []schemas.Table) (map[schemas.Table][]Index, error) {
	rows, err := conn.Query(ctx, `
		SELECT n.nspname, c.relname, ic.relname, am.amname, def.rest,
		       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
		             WHERE a.attrelid = c.oid AND a.attnum > 0 AND (a.attnum = ANY(i.indkey) OR EXISTS (
		                 SELECT 1 FROM pg_catalog.pg_depend d
		                 WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = i.indexrelid
		                   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = c.oid AND d.refobjsubid = a.attnum))
		             ORDER BY a.attnum)
		FROM unnest($1::text[], $2::text[]) AS want(s, t)
		JOIN pg_catalog.pg_namespace n ON n.nspname = want.s
		JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = want.t
		JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisvalid AND NOT i.indisprimary
		JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
		JOIN pg_catalog.pg_am am ON am.oid = ic.relam
		CROSS JOIN LATERAL (
			SELECT pg_catalog.pg_get_indexdef(i.indexrelid) AS whole,
			       format('%I.%I USING ', n.nspname, c.relname) AS head) whole
		CROSS JOIN LATERAL (
			SELECT pg_catalog.substr(whole.whole, pg_catalog.strpos(whole.whole, whole.head) + pg_catalog.length(whole.head)) AS rest) def
		ORDER BY 1, 2, 3`, tableNames(tables)...)
	if err != nil {
		return nil, fmt.Errorf("read the indexes from the catalogue: %w", redact.SQLError(err))
	}
	indexes := map[schemas.Table][]Index{}
	var table schemas.Table
	var index Index
	_, err = pgx.ForEachRow(rows, []any{&table.Schema, &table.Name, &index.Name, &index.Method, &index.Definition, &index.Columns}, func() error {
		indexes[table] = append(indexes[table], index)
		index.Columns = nil
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the indexes from the catalogue: %w", redact.SQLError(err))
	}
	return indexes, nil
}
