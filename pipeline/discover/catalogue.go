package discover

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
)

// ours are relations that may matter: no system schema, none of an extension, no
// partition (its root stands for it), no schema of Backstitch's own, no name with
// control characters, which no comment or terminal should have to show.
const ours = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname !~ '^backstitch(_|$)'
	AND NOT c.relispartition AND c.relname !~ '[[:cntrl:]]' AND n.nspname !~ '[[:cntrl:]]'
	AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`

// catalogue is what a database says of itself.
type catalogue struct {
	database string
	tables   []*Table
	views    []string // as SQL writes them

	byOID map[uint32]*Table
	// byLast holds the tables by the last word of their names.
	byLast map[string][]*Table
}

// read reads the catalogue, all of one moment.
func (s *session) read(ctx context.Context) (*catalogue, error) {
	c := &catalogue{byOID: map[uint32]*Table{}, byLast: map[string][]*Table{}}
	err := s.within(ctx, catalogueTimeout, func(tx pgx.Tx) error {
		for _, step := range []func(context.Context, pgx.Tx) error{c.readTables, c.readColumns, c.readIndexes, c.readKeys} {
			if err := step(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the catalogue: %w", redact.SQLError(err))
	}
	c.guessRefs()
	c.countReferrers()
	return c, nil
}

func (c *catalogue) readTables(ctx context.Context, tx pgx.Tx) error {
	if err := tx.QueryRow(ctx, "SELECT current_database()").Scan(&c.database); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `
		SELECT c.oid, n.nspname, c.relname, c.relkind::text,
		       CASE WHEN n.nspname <> 'public' THEN quote_ident(n.nspname) || '.' ELSE '' END || quote_ident(c.relname),
		       CASE WHEN c.relkind = 'p' THEN coalesce((SELECT sum(l.reltuples) FILTER (WHERE l.reltuples >= 0)
		              FROM pg_partition_tree(c.oid) p JOIN pg_class l ON l.oid = p.relid WHERE p.isleaf), -1)
		            ELSE c.reltuples END::bigint,
		       CASE WHEN c.reltoastrelid = 0 THEN 0 ELSE pg_relation_size(c.reltoastrelid) END, c.relrowsecurity
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p', 'v', 'm') AND `+ours+`
		ORDER BY n.nspname <> 'public', n.nspname, c.relname`)
	if err != nil {
		return err
	}
	t, kind := Table{}, ""
	_, err = pgx.ForEachRow(rows, []any{&t.oid, &t.Schema, &t.Name, &kind, &t.SQLName, &t.Rows, &t.Toast, &t.RowSecurity}, func() error {
		if kind == "v" || kind == "m" {
			c.views = append(c.views, t.SQLName)
			return nil
		}
		table := t
		table.Partitioned, table.words = kind == "p", words(t.Name)
		c.tables, c.byOID[table.oid] = append(c.tables, &table), &table
		c.byLast[last(table.words)] = append(c.byLast[last(table.words)], &table)
		return nil
	})
	return err
}

func (c *catalogue) oids() []uint32 {
	oids := make([]uint32, len(c.tables))
	for i, t := range c.tables {
		oids[i] = t.oid
	}
	return oids
}

func (c *catalogue) readColumns(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		SELECT a.attrelid, a.attname, quote_ident(a.attname), format_type(b.oid, NULL),
		       CASE WHEN b.typcategory = 'A' THEN format_type(b.typelem, NULL) ELSE '' END,
		       ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid IN (b.oid, b.typelem) ORDER BY e.enumsortorder),
		       a.attnotnull, a.attgenerated <> '', coalesce(l.collisdeterministic, true)
		FROM pg_attribute a
		CROSS JOIN LATERAL (
			WITH RECURSIVE d AS (
				SELECT t.oid, t.typtype, t.typbasetype, t.typcategory, t.typelem FROM pg_type t WHERE t.oid = a.atttypid
				UNION ALL
				SELECT t.oid, t.typtype, t.typbasetype, t.typcategory, t.typelem FROM d JOIN pg_type t ON t.oid = d.typbasetype WHERE d.typtype = 'd')
			SELECT d.oid, d.typcategory, d.typelem FROM d WHERE d.typtype <> 'd') b
		LEFT JOIN pg_collation l ON l.oid = a.attcollation
		WHERE a.attrelid = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped AND a.attname !~ '[[:cntrl:]]'
		ORDER BY a.attrelid, a.attnum`, c.oids())
	if err != nil {
		return err
	}
	var oid uint32
	var col Column
	_, err = pgx.ForEachRow(rows, []any{&oid, &col.Name, &col.SQLName, &col.Type, &col.Elem, &col.Labels, &col.NotNull, &col.Generated, &col.Plain}, func() error {
		column := col
		column.words, column.Labels = words(col.Name), slices.Clone(col.Labels)
		t := c.byOID[oid]
		t.Columns = append(t.Columns, &column)
		return nil
	})
	return err
}

func (c *catalogue) readIndexes(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		SELECT i.indrelid, i.indisprimary, i.indexprs IS NOT NULL OR i.indpred IS NOT NULL, pg_get_indexdef(i.indexrelid),
		       ARRAY(SELECT a.attname::text FROM unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY k (attnum, n)
		             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum ORDER BY k.n)
		FROM pg_index i WHERE i.indrelid = ANY($1) AND i.indisunique AND i.indisvalid
		ORDER BY i.indrelid, i.indexrelid`, c.oids())
	if err != nil {
		return err
	}
	var oid uint32
	var primary, special bool
	var definition string
	var columns []string
	_, err = pgx.ForEachRow(rows, []any{&oid, &primary, &special, &definition, &columns}, func() error {
		t := c.byOID[oid]
		switch {
		case special:
			t.Expressions = append(t.Expressions, definition)
			return nil
		case primary:
			t.Key = slices.Clone(columns)
		}
		t.Uniques = append(t.Uniques, slices.Clone(columns))
		return nil
	})
	return err
}

// readKeys reads the foreign keys. Of one over several columns, the pairs count whose
// target is not itself a reference: (tenant_id, user_id) to users (tenant_id, id) is
// a reference of user_id to id.
func (c *catalogue) readKeys(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		SELECT f.conrelid, f.confrelid, a.attname, b.attname, cardinality(f.conkey) > 1
		FROM pg_constraint f CROSS JOIN LATERAL unnest(f.conkey, f.confkey) WITH ORDINALITY k (own, target, n)
		JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.own
		JOIN pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = k.target
		WHERE f.contype = 'f' AND f.conparentid = 0 AND f.conrelid = ANY($1)
		ORDER BY cardinality(f.conkey), f.conrelid, f.oid, k.n`, c.oids())
	if err != nil {
		return err
	}
	var own, target uint32
	var from, to string
	var several bool
	_, err = pgx.ForEachRow(rows, []any{&own, &target, &from, &to, &several}, func() error {
		t, referred := c.byOID[own], c.byOID[target]
		if referred == nil {
			return nil
		}
		r := &Ref{Column: t.column(from), To: referred, Target: referred.column(to), Declared: true}
		if r.Column == nil || r.Target == nil || t.ref(r.Column) != nil || several && referred.ref(r.Target) != nil {
			return nil
		}
		t.Refs = append(t.Refs, r)
		return nil
	})
	return err
}

// guessRefs finds references that nobody declared: a column whose name is a table's
// name with id behind it, of a type that the table's key has.
func (c *catalogue) guessRefs() {
	for _, t := range c.tables {
		for _, col := range t.Columns {
			n := len(col.words)
			if t.ref(col) != nil || n < 2 || !slices.Contains([]string{"id", "uuid", "key", "ref"}, col.words[n-1]) {
				continue
			}
			if to := c.named(t, col.words[:n-1], col); to != nil {
				t.Refs = append(t.Refs, &Ref{Column: col, To: to, Target: to.identity()})
			}
		}
	}
}

// named is the table that a column means: the one with the shortest name that ends
// with the words, of the same schema before others.
func (c *catalogue) named(from *Table, stem []string, col *Column) *Table {
	var best *Table
	rank := func(t *Table) int {
		r := 2 * len(t.words)
		if t.Schema != from.Schema {
			r++
		}
		return r
	}
	for _, t := range c.byLast[last(stem)] {
		if t == from || !endsWith(t.words, stem) {
			continue
		}
		if key := t.identity(); key == nil || key.family() != col.family() {
			continue
		}
		if best == nil || rank(t) < rank(best) {
			best = t
		}
	}
	return best
}

// countReferrers counts for each table the others that refer to it.
func (c *catalogue) countReferrers() {
	for _, t := range c.tables {
		seen := map[*Table]bool{t: true}
		for _, r := range t.Refs {
			if !seen[r.To] {
				seen[r.To] = true
				r.To.referrers++
			}
		}
	}
}
