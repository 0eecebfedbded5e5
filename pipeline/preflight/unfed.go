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

// unfed counts, for every captured table that is not swept, the rows that lead to no
// entity, and shows keys of some.
func (c *check) unfed(ctx context.Context) {
	for _, t := range c.cfg.Source.Tables {
		with, where, swept := c.unfedQuery(t)
		switch {
		case swept:
			c.find(Note, "mapping.uncounted", "source.tables", "Write a route for it, if they are to be counted (docs/routes.md)",
				"the check did not count rows of %s that feed nothing: it is swept, so nothing says which entities a row of it leads to", t)
			continue
		case with == "":
			c.find(Note, "mapping.unread", "source.tables", "Leave it out, unless a mapping is to read it later",
				"no mapping reads %s: its rows are read, published and kept for nothing", t)
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
// stands before and behind a SELECT list over t. A table that is swept has no such way;
// before one that no mapping reads stands nothing.
func (c *check) unfedQuery(t schemas.Table) (with, where string, swept bool) {
	var relations, without []string
	for i, m := range c.plan.Mappings {
		route, routed := m.Routes[t]
		if !routed {
			if slices.Contains(m.Reads, t) {
				return "", "", true
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
		return "", " FROM " + t.SQL() + " t", false
	}
	return "WITH " + strings.Join(relations, ", ") + " ", " FROM " + t.SQL() + " t WHERE " + strings.Join(without, " AND "), false
}

// keysOfRoute are the key columns that a route yields, in one order.
func keysOfRoute(route transform.CompiledRoute) []string {
	if route.Columns != nil {
		return slices.Sorted(maps.Keys(route.Columns))
	}
	return slices.Sorted(slices.Values(route.Keys))
}
