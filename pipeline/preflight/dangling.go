package preflight

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/schemas"
)

// Dangling counts the rows of a table whose column names a row of another table that is
// not there, and which therefore lead to no entity.
type Dangling struct {
	Table, Column, Target string
	Rows                  int64
	// Keys are primary keys of some of them, as Unfed.Keys.
	Keys []string
}

// column is a column of a captured table.
type column struct {
	table schemas.Table
	name  string
}

// dangling looks for references that the routes tell of: where a key of an entity is a
// column in one table and the primary key of another, the column names rows of the other.
// A row that leads to an entity all the same has not missed it.
func (c *check) dangling(ctx context.Context) (list []Dangling, err error) {
	from, to := c.references()
	for key, columns := range from {
		for _, col := range columns {
			with, where, swept := c.unfedQuery(col.table)
			if swept || with == "" {
				continue
			}
			for _, target := range to[key] {
				if target.table == col.table {
					continue
				}
				missing := fmt.Sprintf("%s AND t.%[2]s IS NOT NULL AND NOT EXISTS (SELECT 1 FROM %s x WHERE x.%s::text = t.%[2]s::text)",
					where, schemas.QuoteIdent(col.name), target.table.SQL(), schemas.QuoteIdent(target.name))
				d := Dangling{Table: col.table.String(), Column: col.name, Target: target.table.String()}
				err = errors.Join(err, c.read(ctx, func(tx pgx.Tx) error {
					err := tx.QueryRow(ctx, with+"SELECT count(*)"+missing).Scan(&d.Rows)
					if err == nil && d.Rows > 0 {
						d.Keys, err = c.sampleKeys(ctx, tx, col.table, with, missing)
					}
					return err
				}))
				if d.Rows > 0 {
					list = append(list, d)
				}
			}
		}
	}
	slices.SortFunc(list, func(a, b Dangling) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Target, b.Target))
	})
	return list, err
}

// references are, by key of an entity, the columns that hold it without being their
// table's primary key, and those that are.
func (c *check) references() (from, to map[string][]column) {
	from, to = map[string][]column{}, map[string][]column{}
	for i := range c.plan.Mappings {
		for table, route := range c.plan.Mappings[i].Routes {
			whole := c.keyColumns(table)
			for key, name := range route.Columns {
				side := from
				if len(whole) == 1 && whole[0] == "t."+schemas.QuoteIdent(name) {
					side = to
				}
				if at := (column{table, name}); !slices.Contains(side[key], at) {
					side[key] = append(side[key], at)
				}
			}
		}
	}
	return from, to
}
