package transform

import (
	"context"
	"fmt"
	"slices"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
)

// Lack is what of a table the mirror does not hold, or not completely: it needs a
// backfill of that table first (hazard C9).
type Lack struct {
	Table string `json:"table"`
	// Whole: the mirror has no such table.
	Whole bool `json:"whole_table"`
	// Columns that it has not; Incomplete are those whose former rows were not read yet.
	Columns    []string `json:"columns"`
	Incomplete []string `json:"incomplete"`
}

// Lacking compares what a plan reads with what the mirror holds, table by table.
func Lacking(ctx context.Context, q ledger.Querier, p *Plan) ([]Lack, error) {
	lacks := []Lack{}
	for _, table := range sortedTables(p.Columns) {
		complete := map[string]bool{}
		rows, err := q.Query(ctx, "SELECT column_name, complete FROM backstitch.mirror_columns WHERE schema_name = $1 AND table_name = $2", table.Schema, table.Name)
		if err == nil {
			var name string
			var whole bool
			for rows.Next() {
				if err = rows.Scan(&name, &whole); err != nil {
					break
				}
				complete[name] = whole
			}
			rows.Close()
			if err == nil {
				err = rows.Err()
			}
		}
		if err != nil {
			return nil, fmt.Errorf("read the mirror's columns: %w", redact.SQLError(err))
		}
		l := Lack{Table: table.String(), Whole: len(complete) == 0, Columns: []string{}, Incomplete: []string{}}
		for _, column := range p.Columns[table] {
			switch whole, known := complete[column]; {
			case !known:
				l.Columns = append(l.Columns, column)
			case !whole:
				l.Incomplete = append(l.Incomplete, column)
			}
		}
		if len(l.Columns)+len(l.Incomplete) > 0 {
			lacks = append(lacks, l)
		}
	}
	return lacks, nil
}

// Unread are the mirror's tables that a plan does not read: they are dropped from it
// when the plan's mapping is accepted.
func Unread(ctx context.Context, q ledger.Querier, p *Plan) ([]string, error) {
	rows, err := q.Query(ctx, "SELECT DISTINCT schema_name, table_name FROM backstitch.mirror_columns")
	if err != nil {
		return nil, fmt.Errorf("read the mirror's tables: %w", redact.SQLError(err))
	}
	defer rows.Close()
	unread := []string{}
	for rows.Next() {
		var t schemas.Table
		if err := rows.Scan(&t.Schema, &t.Name); err != nil {
			return nil, fmt.Errorf("read the mirror's tables: %w", redact.SQLError(err))
		}
		if _, read := p.Columns[t]; !read {
			unread = append(unread, t.String())
		}
	}
	slices.Sort(unread)
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the mirror's tables: %w", redact.SQLError(err))
	}
	return unread, nil
}
