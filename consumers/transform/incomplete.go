package transform

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// incompleteTable is a table with rows of which a value was never seen, and the
// columns that one or another of them lacks.
type incompleteTable struct {
	table   schemas.Table
	columns []string
	rows    int64
}

func incompleteTables(ctx context.Context, q ledger.Querier) ([]incompleteTable, error) {
	rows, err := q.Query(ctx, `SELECT schema_name, table_name, array_agg(DISTINCT c ORDER BY c), count(DISTINCT key)
		FROM backstitch.incomplete_rows, unnest(columns) c GROUP BY 1, 2 ORDER BY 1, 2`)
	if err != nil {
		return nil, fmt.Errorf("look for incomplete rows: %w", redact.SQLError(err))
	}
	tables, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t incompleteTable, err error) {
		return t, row.Scan(&t.table.Schema, &t.table.Name, &t.columns, &t.rows)
	})
	if err != nil {
		return nil, fmt.Errorf("look for incomplete rows: %w", redact.SQLError(err))
	}
	return tables, nil
}

// attributable reports whether a mapping's route tells which entities read an
// incomplete row: there is one, and it does not go by a value that the row lacks.
func attributable(m *CompiledMapping, t incompleteTable) bool {
	route, ok := m.Routes[t.table]
	if !ok {
		return !slices.Contains(m.Reads, t.table)
	}
	for _, column := range route.Columns {
		if slices.Contains(t.columns, column) {
			return false
		}
	}
	if strings.Contains(route.Select, "*") {
		return false // perhaps a whole row
	}
	return !slices.ContainsFunc(t.columns, func(c string) bool { return strings.Contains(strings.ToLower(route.Select), strings.ToLower(c)) })
}

// unattributable says why the mapping must wait for incomplete rows after all: no
// route tells which entities read them, so any of them might (hazard C15).
func (o *owner) unattributable(ctx context.Context) (*stage.Held, error) {
	tables, err := incompleteTables(ctx, o.conn)
	if err != nil {
		return nil, err
	}
	o.filler.incomplete = len(tables) > 0
	for _, t := range tables {
		for i := range o.plan.Mappings {
			m := &o.plan.Mappings[i]
			if attributable(m, t) {
				continue
			}
			return &stage.Held{
				Reason: fmt.Sprintf("%d rows of table %s have a large value that no record carries (columns %s), and no route of the %ss tells which entities read them",
					t.rows, t.table, strings.Join(t.columns, ", "), m.Kind),
				Fix: "Run `backstitch backfill --table " + t.table.String() + "`; following goes on by itself when that is done. With a route for the table only the entities that read these rows would wait",
			}, nil
		}
	}
	return nil, nil
}

// parkIncomplete parks those of the judged entities that read a row with a value
// that was never seen: what the mapping says of them is not true (hazard C15).
// Their desired state stays what it was, and they come back by themselves, because
// the change that completes the row touches them.
//
// Routes tell who reads a row, and they are no contract: while the mapping reads
// such rows, no delete is earned by what it does not return (invariant 7).
func (e *evaluator) parkIncomplete(ctx context.Context, tx pgx.Tx, m *CompiledMapping, within time.Duration) error {
	tables, err := incompleteTables(ctx, tx)
	if err != nil {
		return err
	}
	var readers []string
	for _, t := range tables {
		if !slices.Contains(m.Reads, t.table) {
			continue
		}
		if route, ok := m.Routes[t.table]; ok {
			marked, err := e.markedRows(ctx, tx, t.table)
			if err != nil {
				return err
			}
			readers = append(readers, e.readersSQL(m, t.table, route, marked))
		}
	}
	if len(readers) == 0 {
		return nil
	}
	state, err := tryReading(ctx, tx, within, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO pg_temp.backstitch_failed (org_key, key, reason, detail)
			SELECT k.org_key, k.key, $1, string_agg(DISTINCT r.lacks, '; ' ORDER BY r.lacks)
			FROM pg_temp.backstitch_keys k JOIN (`+strings.Join(readers, " UNION ALL ")+`) r
			  ON (r.org_key IS NULL OR r.org_key = k.org_key) AND (r.key IS NULL OR r.key = k.key)
			GROUP BY 1, 2 ON CONFLICT (org_key, key) DO UPDATE SET reason = excluded.reason, detail = excluded.detail`, consumers.ReasonIncomplete)
		return err
	})
	if err != nil {
		return fmt.Errorf("find the entities that read incomplete rows: %w", err)
	}
	if state != "" {
		return stage.Hold("Run `backstitch backfill --table` for the tables with incomplete rows, or mend the route",
			"a route of the %ss cannot be followed from rows with a large value that no record carries (SQLSTATE %s): any entity might read them", m.Kind, state)
	}
	_, err = tx.Exec(ctx, "UPDATE pg_temp.backstitch_keys SET earned = false WHERE earned")
	return err
}

// markedRows selects a table's incomplete rows from the mirror, by its key, with
// what they lack: the table and its columns, never a value (invariant 8).
func (e *evaluator) markedRows(ctx context.Context, tx pgx.Tx, t schemas.Table) (string, error) {
	rows, err := tx.Query(ctx, `SELECT a.attname, format_type(a.atttypid, a.atttypmod)
		FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k (attnum, n), pg_attribute a
		WHERE i.indrelid = to_regclass($1) AND i.indisprimary AND a.attrelid = i.indrelid AND a.attnum = k.attnum ORDER BY k.n`, t.SQL())
	if err != nil {
		return "", fmt.Errorf("read the key of %s: %w", t, err)
	}
	var on []string
	var name, kind string
	_, err = pgx.ForEachRow(rows, []any{&name, &kind}, func() error {
		on = append(on, fmt.Sprintf("m.%s = (i.key->>%d)::%s", schemas.QuoteIdent(name), len(on), kind))
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("read the key of %s: %w", t, err)
	}
	return fmt.Sprintf(`SELECT %s, i.schema_name || '.' || i.table_name || ': ' || array_to_string(i.columns, ', ') AS backstitch_lacks
		FROM backstitch.incomplete_rows i JOIN %s m ON %s WHERE i.schema_name = %s AND i.table_name = %s`,
		list("m.", e.plan.Columns[t]), t.SQL(), strings.Join(on, " AND "), quoteLiteral(t.Schema), quoteLiteral(t.Name)), nil
}

// readersSQL follows a route from incomplete rows: org_key, key and what they lack;
// a part of the key that the route does not name is NULL and means every one.
func (e *evaluator) readersSQL(m *CompiledMapping, t schemas.Table, route CompiledRoute, marked string) string {
	from := "(" + marked + ") c"
	column := func(name string) string { return "c." + schemas.QuoteIdent(route.Columns[name]) }
	if route.Select != "" {
		from += ", LATERAL (WITH changed AS (SELECT " + list("c.", e.plan.Columns[t]) + ") SELECT * FROM (\n" + route.Select + "\n) route) r"
		column = func(name string) string { return "r." + schemas.QuoteIdent(name) }
	}
	org, key := keyExpressions(m.Kind, func(name string) string {
		if !slices.Contains(route.Keys, name) {
			return "NULL::text"
		}
		return column(name) + "::text"
	})
	return "SELECT DISTINCT " + org + " AS org_key, " + key + " AS key, c.backstitch_lacks AS lacks FROM " + from
}
