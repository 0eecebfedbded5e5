package transform

import (
	"context"
	"errors"
	"fmt"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
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
	if err := o.reread(ctx, schemas.Version{Epoch: epoch}, fmt.Sprintf("its tables may have changed before epoch %d", epoch)); err != nil {
		return err
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
	o.state.phase, o.state.epoch, o.blocked, o.shown = phaseRebuilding, epoch, nil, nil
	o.beside(true)
	if err := o.shape(ctx, c.Backfill.Run); err != nil {
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
// evaluated on it next, as after loading. Where a person asked to see first what that
// changes, it says what that person can do, and swaps after the consent.
func (o *owner) swap(ctx context.Context, at Position) (waits *stage.Held, err error) {
	if err := o.mirror.copyIndexes(ctx, o.tables); err != nil {
		return nil, err
	}
	asked, err := ledger.OpenRebuild(ctx, o.conn)
	if err != nil {
		return nil, err
	}
	if asked != nil && at.Epoch > asked.AfterEpoch && !asked.Approved {
		return o.showFirst(ctx, asked, at)
	}
	err = pgx.BeginFunc(ctx, o.conn, func(tx pgx.Tx) error {
		if err := fence(ctx, tx, o.state.term); err != nil {
			return err
		}
		if err := o.swapTables(ctx, tx); err != nil {
			return err
		}
		if err := dropNext(ctx, tx, o.tables); err != nil {
			return err
		}
		// what was touched in the old mirror must not earn a delete in the new one
		if _, err := tx.Exec(ctx, "DELETE FROM backstitch.touched"); err != nil {
			return err
		}
		if asked != nil && at.Epoch > asked.AfterEpoch {
			if err := ledger.SwapRebuild(ctx, tx, asked); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "UPDATE backstitch.transform SET phase = $2 WHERE prefix = $1", o.cfg.Prefix, phaseLoading)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("swap the mirrors: %w", redact.SQLError(err))
	}
	o.state.phase = phaseLoading
	o.beside(false)
	return nil, o.equip(ctx)
}

// swapTables puts the new mirror's tables into the old ones' schemas.
func (o *owner) swapTables(ctx context.Context, tx pgx.Tx) error {
	for _, table := range sortedTables(o.tables) {
		if _, err := tx.Exec(ctx, "DROP TABLE IF EXISTS "+table.SQL()); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, fmt.Sprintf("ALTER TABLE %s SET SCHEMA %s", o.tables[table].sql(), schemas.QuoteIdent(table.Schema))); err != nil {
			return err
		}
	}
	return nil
}

// showFirst finds out, once for an epoch, what the new mirror would change, and says
// what a person can do. Filling goes on meanwhile.
func (o *owner) showFirst(ctx context.Context, asked *ledger.Rebuild, at Position) (*stage.Held, error) {
	if asked.Compared == nil || asked.Compared.Epoch != at.Epoch {
		d, err := o.compareNext(ctx)
		if err != nil {
			return nil, err
		}
		err = ledger.ShowRebuild(ctx, o.conn, asked, ledger.Compared{
			Epoch: at.Epoch, CommitLSN: at.CommitLSN, Entities: d.Entities, Differ: d.Differ, Appear: d.Appear, Vanish: d.Vanish, Failed: d.Failed,
		})
		if err != nil {
			return nil, err
		}
		o.log.Warn("the new mirror is complete; a person wants to see what it changes before it is swapped in", "connector", o.Connector(),
			"entities", d.Entities, "differ", d.Differ, "appear", d.Appear, "vanish", d.Vanish, "consent", asked.ConsentID)
	}
	c := asked.Compared
	return &stage.Held{
		Reason: fmt.Sprintf("the source was read again into a new mirror: of %d entities %d differ, %d of them appear and %d vanish; no change is evaluated until the mirrors are swapped",
			c.Entities, c.Differ, c.Appear, c.Vanish),
		Fix: fmt.Sprintf("`backstitch approve %d` swaps them; the deletes of those that vanish ask again", asked.ConsentID),
	}, nil
}

var errUndo = errors.New("a comparison leaves nothing behind")

// compareNext evaluates the whole mapping over the new mirror, in its place, and takes
// all of that back.
func (o *owner) compareNext(ctx context.Context) (d Difference, err error) {
	o.set(func(s *Status) { s.Doing = "comparing the new mirror with what is stored" })
	err = o.mapper.inTx(ctx, func(tx pgx.Tx) error {
		if err := o.swapTables(ctx, tx); err != nil {
			return err
		}
		if d, err = o.mapper.whole(ctx, tx, onlyCount); err != nil {
			return err
		}
		return errUndo
	})
	if !errors.Is(err, errUndo) {
		return d, fmt.Errorf("compare the new mirror: %w", redact.SQLError(err))
	}
	return d, nil
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
