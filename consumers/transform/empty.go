package transform

import (
	"context"
	"fmt"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
)

// empty removes every row of a table that was truncated or made again in the
// source, in bounded transactions: the routes see the rows go. The control record
// is closed with the last of them.
func (f *filler) empty(ctx context.Context, t *mirrorTable, c *control) error {
	s, err := f.staging(ctx, stageKey{t, true})
	if err != nil {
		return err
	}
	u := &unit{staging: s, at: touchInfo{Bulk: true, CommitLSN: c.Version.Commit, EndLSN: c.Version.Commit, Epoch: c.Version.Epoch, CommitTime: c.Time}}
	for more := true; more; {
		err := pgx.BeginFunc(ctx, f.conn, func(tx pgx.Tx) (err error) {
			if err := f.begin(ctx, tx); err != nil {
				return err
			}
			if more, err = f.emptySome(ctx, tx, u); err != nil || more {
				return err
			}
			return finish(ctx, tx, f.prefix, c)
		})
		if err != nil {
			return fmt.Errorf("empty the mirror of %s: %w", t.table, redact.SQLError(err))
		}
	}
	return nil
}

// emptyRows is how many rows one transaction of an emptied table removes.
const emptyRows = 20_000

func (f *filler) emptySome(ctx context.Context, tx pgx.Tx, u *unit) (more bool, err error) {
	if err := u.clean(ctx, tx); err != nil {
		return false, err
	}
	tag, err := tx.Exec(ctx, fmt.Sprintf("INSERT INTO %s SELECT %s FROM %s LIMIT %d", u.gone, u.keys, u.t.sql(), emptyRows))
	if err != nil {
		return false, err
	}
	u.gones, u.olds, u.ups = tag.RowsAffected(), 0, 0
	u.used += int(u.gones)
	if u.gones == 0 {
		return false, nil
	}
	for _, step := range []func(context.Context, pgx.Tx, *unit) error{f.touchOld, remove} {
		if err := step(ctx, tx, u); err != nil {
			return false, err
		}
	}
	if f.incomplete {
		if err := forget(ctx, tx, u); err != nil {
			return false, err
		}
	}
	return true, nil
}
