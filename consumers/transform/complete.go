package transform

import (
	"context"
	"fmt"
	"strings"

	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// writePartial writes a row with its base's key and the places of what it lacks.
func writePartial(c *copyText, row *folded, t *mirrorTable) {
	c.values(row.row)
	base := make([]schemas.Value, t.keys) // NULLs: no base
	if row.base != "" {
		base = keyValues(row.base)
	}
	c.b = append(c.b, '\t')
	c.values(base)
	c.b = append(c.b, "\t{"...)
	sep := ""
	for i, v := range row.row {
		if v.State == schemas.Unchanged {
			c.b = fmt.Appendf(c.b, "%s%d", sep, i)
			sep = ","
		}
	}
	c.b = append(c.b, '}')
	c.endRow()
}

// complete takes what rows left unchanged from the mirror: their own row, or the
// one whose key they took over (hazard S6). A value that was never seen makes the
// row incomplete, and the entities that read it are parked (hazard C15).
func (f *filler) complete(ctx context.Context, tx pgx.Tx, u *unit, partial *copyText) error {
	columns := make([]string, 0, len(u.t.columns)+u.t.keys+1)
	for i := range u.t.columns {
		columns = append(columns, fmt.Sprintf("c%d", i))
	}
	for i := range u.t.keys {
		columns = append(columns, fmt.Sprintf("b%d", i))
	}
	if err := partial.send(ctx, f.conn, u.partial, strings.Join(append(columns, "unset"), ", ")); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, u.sql.missing, u.t.columns, u.t.table.Schema, u.t.table.Name)
	if err != nil {
		return err
	}
	type lacking struct {
		key   []byte
		unset []int
	}
	missing, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l lacking, err error) { return l, row.Scan(&l.key, &l.unset) })
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, u.sql.resolve); err != nil {
		return err
	}
	// a row that becomes complete is one that changed, whatever its value turns out
	// to be: NULL is what the mirror had in its place, and its entities wait parked
	if err := f.drop(ctx, tx, u, u.sql.dropWhole); err != nil {
		return err
	}
	if f.incomplete {
		if err := forget(ctx, tx, u); err != nil {
			return err
		}
	}
	for _, l := range missing {
		if len(l.unset) == 0 {
			continue
		}
		names := make([]string, len(l.unset))
		for i, at := range l.unset {
			names[i] = u.t.columns[at]
		}
		f.incomplete = true
		_, err := tx.Exec(ctx, `INSERT INTO backstitch.incomplete_rows (schema_name, table_name, key, columns) VALUES ($1, $2, $3, $4)
			ON CONFLICT (schema_name, table_name, key) DO UPDATE SET columns = excluded.columns`, u.t.table.Schema, u.t.table.Name, l.key, names)
		if err != nil {
			return err
		}
	}
	return nil
}

// forget drops the incomplete marks of rows that this unit rewrites or removes.
func forget(ctx context.Context, tx pgx.Tx, u *unit) error {
	key := make([]string, u.t.keys)
	for i, k := range u.t.columns[:u.t.keys] {
		key[i] = "n." + schemas.QuoteIdent(k) + "::text"
	}
	for _, from := range []string{u.images, u.gone} {
		_, err := tx.Exec(ctx, fmt.Sprintf("DELETE FROM backstitch.incomplete_rows i USING %s n WHERE i.schema_name = $1 AND i.table_name = $2 AND i.key = jsonb_build_array(%s)",
			from, strings.Join(key, ", ")), u.t.table.Schema, u.t.table.Name)
		if err != nil {
			return err
		}
	}
	return nil
}
