package transform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// Mirrored is a table of the mirror, for who compares it with the source.
type Mirrored struct {
	Table schemas.Table
	// Columns, the primary key's first and in its order, and their declared types in the
	// source. The first Keys are the primary key.
	Columns, Types []string
	Keys           int
	// Incomplete columns lack former rows' values until the table is backfilled (hazard
	// C9); they are not among Columns.
	Incomplete []string
}

// MirroredTables lists the mirror's tables, sorted.
func MirroredTables(ctx context.Context, q ledger.Querier) ([]Mirrored, error) {
	rows, err := q.Query(ctx, `SELECT c.schema_name, c.table_name, c.column_name, c.type, c.complete, k.n IS NOT NULL
		FROM backstitch.mirror_columns c
		LEFT JOIN LATERAL (
			SELECT n FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k (attnum, n), pg_attribute a
			WHERE i.indrelid = to_regclass(format('%I.%I', c.schema_name, c.table_name)) AND i.indisprimary
				AND a.attrelid = i.indrelid AND a.attnum = k.attnum AND a.attname = c.column_name) k ON true
		ORDER BY 1, 2, k.n NULLS LAST, 3`)
	var tables []Mirrored
	if err == nil {
		var t schemas.Table
		var column, kind string
		var complete, key bool
		_, err = pgx.ForEachRow(rows, []any{&t.Schema, &t.Name, &column, &kind, &complete, &key}, func() error {
			if len(tables) == 0 || tables[len(tables)-1].Table != t {
				tables = append(tables, Mirrored{Table: t})
			}
			m := &tables[len(tables)-1]
			if !complete {
				m.Incomplete = append(m.Incomplete, column)
				return nil
			}
			m.Columns, m.Types = append(m.Columns, column), append(m.Types, kind)
			if key {
				m.Keys++
			}
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("list the mirror's tables: %w", redact.SQLError(err))
	}
	return tables, nil
}

// LackedValues are, of rows of a table by their keys, the columns of which no record
// ever carried a value (hazard C15): the i-th is that of keys[i], nil for a whole row.
func LackedValues(ctx context.Context, q ledger.Querier, t schemas.Table, keys [][]string) ([][]string, error) {
	raw, err := json.Marshal(keys)
	lacked := make([][]string, len(keys))
	if err == nil {
		var rows pgx.Rows
		rows, err = q.Query(ctx, `SELECT k.n, i.columns FROM jsonb_array_elements($3::jsonb) WITH ORDINALITY k (key, n)
			JOIN backstitch.incomplete_rows i ON i.schema_name = $1 AND i.table_name = $2 AND i.key = k.key`, t.Schema, t.Name, string(raw))
		if err == nil {
			var n int
			var columns []string
			_, err = pgx.ForEachRow(rows, []any{&n, &columns}, func() error {
				lacked[n-1] = columns
				return nil
			})
		}
	}
	if err != nil {
		return nil, fmt.Errorf("look for incomplete rows of %s: %w", t, redact.SQLError(err))
	}
	return lacked, nil
}

// MirrorPosition is how far the mirror is.
type MirrorPosition struct {
	// Following: everything was loaded, and the mirror is the one that the mapping reads.
	Following bool
	// Epoch of the source that it follows; FilledLSN is the commit LSN of the last
	// checkpoint that it reached.
	Epoch     uint32
	FilledLSN schemas.LSN
	// EvaluatedLSN and EndLSN are the commit LSN and the end of the last transaction
	// after which the mapping was evaluated, 0 of a former epoch.
	EvaluatedLSN, EndLSN schemas.LSN
}

// Passed reports whether the mirror holds everything that was committed below lsn.
func (p MirrorPosition) Passed(lsn schemas.LSN) bool {
	return p.Following && (p.FilledLSN >= lsn || p.EndLSN >= lsn)
}

// ReadMirrorPosition reads it; the zero position before the first checkpoint.
func ReadMirrorPosition(ctx context.Context, q ledger.Querier, prefix string) (p MirrorPosition, err error) {
	var phase string
	var filled, evaluated, end int64
	err = q.QueryRow(ctx, `SELECT phase, epoch, filled_commit_lsn,
			CASE WHEN evaluated_epoch = epoch THEN evaluated_commit_lsn ELSE 0 END, CASE WHEN evaluated_epoch = epoch THEN evaluated_end_lsn ELSE 0 END
		FROM backstitch.transform WHERE prefix = $1`, prefix).Scan(&phase, &p.Epoch, &filled, &evaluated, &end)
	if errors.Is(err, pgx.ErrNoRows) {
		return MirrorPosition{}, nil
	}
	if err != nil {
		return p, fmt.Errorf("read how far the mirror is: %w", redact.SQLError(err))
	}
	p.Following, p.FilledLSN, p.EvaluatedLSN, p.EndLSN = phase == phaseFollowing, schemas.LSN(filled), schemas.LSN(evaluated), schemas.LSN(end)
	return p, nil
}

// PassOf is an audit by its number; nil where there is none any more.
func PassOf(ctx context.Context, q querier, id int64) (*PassStatus, error) {
	list, err := listPasses(ctx, q, "id = $1", id)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}
