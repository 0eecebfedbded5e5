package preflight

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
)

// unfedSamples is how many primary keys are shown of a table's rows that feed nothing.
const unfedSamples = 5

// unfed counts, for every table whose routes lead to entities, the rows that no mapping
// uses, and shows keys of some.
func (c *check) unfed(ctx context.Context) {
	for _, t := range c.cfg.Source.Tables {
		with, where, why := c.unfedQuery(t)
		if why != "" {
			c.find(Note, "mapping.uncounted", "source.tables", "", "rows of %s that feed nothing are not counted: %s", t, why)
			continue
		}
		u := Unfed{Table: t.String(), Keys: []string{}}
		err := c.read(ctx, func(tx pgx.Tx) error {
			err := tx.QueryRow(ctx, with+"SELECT count(*)"+where).Scan(&u.Rows)
			if err != nil || u.Rows == 0 {
				return err
			}
			u.Keys, err = c.sampleKeys(ctx, tx, t, with, where)
			return err
		})
		switch {
		case err != nil && errors.Is(err, context.Canceled):
			return
		case err != nil:
			c.uncounted("source.tables", "rows of "+t.String()+" that feed nothing", err)
		case u.Rows > 0:
			c.report.Unfed = append(c.report.Unfed, u)
		}
	}
}

// sampleKeys lists the smallest keys: of what may be personal, its digest (invariant 8).
func (c *check) sampleKeys(ctx context.Context, tx pgx.Tx, t schemas.Table, with, where string) ([]string, error) {
	columns := c.keyColumns(t)
	if columns == nil {
		return []string{}, nil
	}
	texts := make([]string, len(columns))
	for i, column := range columns {
		texts[i] = column + "::text"
	}
	rows, err := tx.Query(ctx, fmt.Sprintf("%sSELECT ARRAY[%s]%s ORDER BY %s LIMIT %d", with, strings.Join(texts, ", "), where, strings.Join(columns, ", "), unfedSamples))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var key []string
		err := row.Scan(&key)
		for i := range key {
			key[i] = redact.ShownKey(key[i])
		}
		return strings.Join(key, "/"), err
	})
}

// unfedQuery says how to find a table's rows that lead to no entity by its routes: what
// stands before and behind a SELECT list over t. Or it says why that cannot be known.
func (c *check) unfedQuery(t schemas.Table) (with, where, why string) {
	var relations, without []string
	for i, m := range c.plan.Mappings {
		route, routed := m.Routes[t]
		if !routed {
			if slices.Contains(m.Reads, t) {
				return "", "", "it has no route"
			}
			continue
		}
		keys, name := keysOfRoute(route), fmt.Sprintf("m%d", i)
		selected, equal := make([]string, len(keys)), make([]string, len(keys))
		for j, k := range keys {
			selected[j] = fmt.Sprintf("q.%s::text AS k%d", schemas.QuoteIdent(k), j)
			column := "t." + schemas.QuoteIdent(route.Columns[k])
			if route.Columns == nil {
				column = "r." + schemas.QuoteIdent(k)
			}
			equal[j] = fmt.Sprintf("%s.k%d = %s::text", name, j, column)
		}
		source := name
		if route.Columns == nil {
			source = "(WITH changed AS (SELECT t.*) SELECT * FROM (" + route.Select + "\n) route) r JOIN " + name + " ON true"
		}
		relations = append(relations, fmt.Sprintf("%s AS MATERIALIZED (SELECT DISTINCT %s FROM %s)", name, strings.Join(selected, ", "), c.desired(&m)))
		without = append(without, "NOT EXISTS (SELECT 1 FROM "+source+" WHERE "+strings.Join(equal, " AND ")+")")
	}
	if len(relations) == 0 {
		return "", "", "no mapping reads it"
	}
	return "WITH " + strings.Join(relations, ", ") + " ", " FROM " + t.SQL() + " t WHERE " + strings.Join(without, " AND "), ""
}

// keysOfRoute are the key columns that a route yields, in one order.
func keysOfRoute(route transform.CompiledRoute) []string {
	if route.Columns != nil {
		return slices.Sorted(maps.Keys(route.Columns))
	}
	return slices.Sorted(slices.Values(route.Keys))
}
