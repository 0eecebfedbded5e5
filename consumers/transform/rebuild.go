package transform

import (
	"context"
	"fmt"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// renew begins a mirror beside the old one when a checkpoint is of a later epoch:
// the source was read again because changes may have been lost, so rows that the
// old mirror has and the new one will not are deletes that nobody saw (hazard C10,
// invariant 7). The old mirror stays as it is until the new one is complete.
func (o *owner) renew(ctx context.Context, c *schemas.Checkpoint) error {
	epoch := c.Source.Epoch
	if o.state.epoch == 0 || epoch <= o.state.epoch {
		return nil
	}
	err := pgx.BeginFunc(ctx, o.conn, func(tx pgx.Tx) error {
		if err := fence(ctx, tx, o.state.term); err != nil {
			return err
		}
		if err := dropNext(ctx, tx, o.tables); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM backstitch.incomplete_rows"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "UPDATE backstitch.transform SET phase = $2, epoch = $3 WHERE prefix = $1", o.cfg.Prefix, phaseRebuilding, epoch)
		return err
	})
	if err != nil {
		return fmt.Errorf("begin a mirror of epoch %d: %w", epoch, redact.SQLError(err))
	}
	o.log.Warn("the source was read again under a new epoch; a new mirror is filled beside the old one", "connector", o.Connector(), "epoch", epoch)
	o.state.phase, o.state.epoch, o.blocked = phaseRebuilding, epoch, nil
	o.beside(true)
	if err := o.describe(ctx, c.Backfill.Run); err != nil {
		return err
	}
	return o.equip(ctx)
}

// beside says where the tables stand.
func (o *owner) beside(next bool) {
	for _, t := range o.tables {
		t.beside = next
	}
}

// swap puts a complete new mirror in the old one's place. The whole mapping is
// evaluated on it next, as after loading.
func (o *owner) swap(ctx context.Context) error {
	if err := o.mirror.copyIndexes(ctx, o.tables); err != nil {
		return err
	}
	err := pgx.BeginFunc(ctx, o.conn, func(tx pgx.Tx) error {
		if err := fence(ctx, tx, o.state.term); err != nil {
			return err
		}
		for _, table := range sortedTables(o.tables) {
			if _, err := tx.Exec(ctx, "DROP TABLE IF EXISTS "+table.SQL()); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, fmt.Sprintf("ALTER TABLE %s SET SCHEMA %s", o.tables[table].sql(), schemas.QuoteIdent(table.Schema))); err != nil {
				return err
			}
		}
		if err := dropNext(ctx, tx, o.tables); err != nil {
			return err
		}
		// what was touched in the old mirror must not earn a delete in the new one
		if _, err := tx.Exec(ctx, "DELETE FROM backstitch.touched"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "UPDATE backstitch.transform SET phase = $2 WHERE prefix = $1", o.cfg.Prefix, phaseLoading)
		return err
	})
	if err != nil {
		return fmt.Errorf("swap the mirrors: %w", redact.SQLError(err))
	}
	o.state.phase = phaseLoading
	o.beside(false)
	return o.equip(ctx)
}

func dropNext(ctx context.Context, tx pgx.Tx, tables map[schemas.Table]*mirrorTable) error {
	for _, table := range sortedTables(tables) {
		if _, err := tx.Exec(ctx, "DROP SCHEMA IF EXISTS "+schemas.QuoteIdent(nextSchema+table.Schema)+" CASCADE"); err != nil {
			return err
		}
	}
	return nil
}

// pass evaluates the whole mapping: the first time, after another mapping was
// accepted, or over a mirror that was filled again.
func (o *owner) pass(ctx context.Context, at Position) error {
	loaded, same, err := o.mapper.loadedBefore(ctx)
	if err != nil {
		return err
	}
	if loaded && same {
		return o.mapper.rebuild(ctx, at)
	}
	return o.mapper.load(ctx, at)
}
