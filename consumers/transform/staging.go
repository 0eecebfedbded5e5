package transform

import (
	"context"
	"fmt"
	"strings"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// staging are the temporary tables, of the fill's session, through which a table's
// rows reach the mirror. Rows of bulk transactions have their own, because their
// images are told apart (hazard C18).
type staging struct {
	t *mirrorTable
	// images: upserts as they will be; old: the mirror's images before; partial:
	// upserts with values to be taken from the mirror; gone: keys of deleted rows.
	images, old, partial, gone string
	columns, keys              string // lists, quoted
	used                       int    // rows since they were last truncated
	detour                     int    // so many batches do not go straight to the mirror
	sql                        stagingSQL
}

type stagingSQL struct {
	resolve, missing, drop, dropWhole, oldGone, oldImages, remove, upsert string
}

func newStaging(ctx context.Context, conn *pgx.Conn, t *mirrorTable, n int, bulk bool) (*staging, error) {
	name := func(what string) string { return fmt.Sprintf(`"backstitch_%s_%d_%t"`, what, n, bulk) }
	s := &staging{
		t: t, images: name("images"), old: name("old"), partial: name("partial"), gone: name("gone"),
		columns: list("", t.columns), keys: list("", t.columns[:t.keys]),
	}
	s.sql = s.statements()
	c, b := make([]string, len(t.columns)), make([]string, t.keys)
	for i, column := range t.columns {
		c[i] = fmt.Sprintf("%s AS c%d", schemas.QuoteIdent(column), i)
	}
	for i := range b {
		b[i] = fmt.Sprintf("%s AS b%d", schemas.QuoteIdent(t.columns[i]), i)
	}
	for _, create := range []string{
		fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT * FROM %s WITH NO DATA", s.images, t.sql()),
		fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT * FROM %s WITH NO DATA", s.old, t.sql()),
		fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT %s, %s, NULL::int[] AS unset FROM %s WITH NO DATA", s.partial, strings.Join(c, ", "), strings.Join(b, ", "), t.sql()),
		fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT %s FROM %s WITH NO DATA", s.gone, s.keys, t.sql()),
	} {
		if _, err := conn.Exec(ctx, create); err != nil {
			return nil, fmt.Errorf("stage %s: %w", t.table, redact.SQLError(err))
		}
	}
	return s, nil
}

func (s *staging) statements() (sql stagingSQL) {
	t := s.t
	on := make([]string, t.keys)
	for i, k := range t.columns[:t.keys] {
		on[i] = fmt.Sprintf("n.%s = m.%s", schemas.QuoteIdent(k), schemas.QuoteIdent(k))
	}
	same := strings.Join(on, " AND ") // n and the mirror have one key
	based, values := make([]string, t.keys), make([]string, len(t.columns))
	for i, k := range t.columns[:t.keys] {
		based[i] = fmt.Sprintf("m.%s = p.b%d", schemas.QuoteIdent(k), i)
	}
	for i, c := range t.columns {
		values[i] = fmt.Sprintf("CASE WHEN %d = ANY (p.unset) THEN m.%s ELSE p.c%d END", i, schemas.QuoteIdent(c), i)
	}
	from := fmt.Sprintf("FROM %s p LEFT JOIN %s m ON %s", s.partial, t.sql(), strings.Join(based, " AND "))
	sql.resolve = fmt.Sprintf("INSERT INTO %s (%s) SELECT %s %s", s.images, s.columns, strings.Join(values, ", "), from)
	key := make([]string, t.keys)
	base := make([]string, t.keys)
	for i := range key {
		key[i], base[i] = fmt.Sprintf("p.c%d::text", i), fmt.Sprintf("p.b%d::text", i)
	}
	// what a row lacks: all of its unset columns when its base is not there, else those that the base lacks
	sql.missing = fmt.Sprintf(`SELECT jsonb_build_array(%s), CASE WHEN m.%s IS NULL THEN p.unset ELSE
			ARRAY(SELECT u FROM unnest(p.unset) u WHERE ($1::text[])[u + 1] = ANY (i.columns)) END
		%s LEFT JOIN backstitch.incomplete_rows i ON i.schema_name = $2 AND i.table_name = $3 AND i.key = jsonb_build_array(%s)
		WHERE m.%s IS NULL OR i.key IS NOT NULL`,
		strings.Join(key, ", "), schemas.QuoteIdent(t.columns[0]), from, strings.Join(base, ", "), schemas.QuoteIdent(t.columns[0]))
	// *= compares images, not values: 1.0 is not 1.00, and json can be compared
	sql.drop = fmt.Sprintf("DELETE FROM %s n USING %s m WHERE %s AND ROW(%s)::record *= ROW(%s)::record",
		s.images, t.sql(), same, list("n.", t.columns), list("m.", t.columns))
	marked := make([]string, t.keys)
	for i, k := range t.columns[:t.keys] {
		marked[i] = "n." + schemas.QuoteIdent(k) + "::text"
	}
	sql.dropWhole = sql.drop + fmt.Sprintf(" AND NOT EXISTS (SELECT FROM backstitch.incomplete_rows i WHERE i.schema_name = %s AND i.table_name = %s AND i.key = jsonb_build_array(%s))",
		quoteLiteral(t.table.Schema), quoteLiteral(t.table.Name), strings.Join(marked, ", "))
	sql.oldGone = fmt.Sprintf("INSERT INTO %s SELECT m.* FROM %s m JOIN %s n ON %s", s.old, t.sql(), s.gone, same)
	sql.oldImages = fmt.Sprintf("INSERT INTO %s SELECT m.* FROM %s m JOIN %s n ON %s", s.old, t.sql(), s.images, same)
	sql.remove = fmt.Sprintf("DELETE FROM %s m USING %s n WHERE %s", t.sql(), s.gone, same)
	do := "NOTHING"
	if set := t.columns[t.keys:]; len(set) > 0 {
		assign := make([]string, len(set))
		for i, c := range set {
			assign[i] = fmt.Sprintf("%s = excluded.%s", schemas.QuoteIdent(c), schemas.QuoteIdent(c))
		}
		do = "UPDATE SET " + strings.Join(assign, ", ")
	}
	sql.upsert = fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s ON CONFLICT (%s) DO %s", t.sql(), s.columns, s.columns, s.images, s.keys, do)
	return sql
}

// truncateAfter is how many dead rows the temporary tables may carry: truncating
// costs a millisecond, deleting leaves dead rows that nothing vacuums.
const truncateAfter = 5000

// clean empties the temporary tables for the next batch.
func (s *staging) clean(ctx context.Context, tx pgx.Tx) error {
	if s.used == 0 {
		return nil
	}
	all := []string{s.images, s.old, s.partial, s.gone}
	if s.used > truncateAfter {
		_, err := tx.Exec(ctx, "TRUNCATE "+strings.Join(all, ", "))
		s.used = 0
		return err
	}
	for _, table := range all {
		if _, err := tx.Exec(ctx, "DELETE FROM "+table); err != nil {
			return err
		}
	}
	return nil
}
