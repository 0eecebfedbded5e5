package transform

import (
	"context"
	"fmt"
	"strings"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// obey does what the control records before a checkpoint ask for: a table is
// emptied at its place among the table's rows; columns that appeared or changed
// their type are incomplete until their table was read again (hazard C9).
func (o *owner) obey(ctx context.Context, c *schemas.Checkpoint, before []*control) error {
	for _, ctl := range before {
		t := o.tables[ctl.Table]
		if ctl.done || t == nil {
			continue
		}
		ctl.done = true
		if ctl.Kind != schemas.ControlColumns {
			o.reader.empties(t.topic, ctl)
			continue
		}
		if err := o.changeColumns(ctx, t, ctl, c); err != nil {
			return err
		}
	}
	return nil
}

// changeColumns follows a change of a captured table's columns: types as they are
// now, and every named column that the mapping reads incomplete, unless a backfill
// run has read the table since: no run goes on over a change of its tables.
func (o *owner) changeColumns(ctx context.Context, t *mirrorTable, ctl *control, c *schemas.Checkpoint) error {
	progress := c.Backfill.Tables[t.table.String()]
	complete := progress.Run > 0 && progress.Point > ctl.Version.Commit
	if err := o.shape(ctx, progress.Run); err != nil { // waits has made sure of the catalogue
		return err
	}
	read := t.among(ctl.Columns)
	err := pgx.BeginFunc(ctx, o.conn, func(tx pgx.Tx) error {
		if err := fence(ctx, tx, o.state.term); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE backstitch.mirror_columns SET complete = $5, since_run = $4
			WHERE schema_name = $1 AND table_name = $2 AND column_name = ANY ($3)`, t.table.Schema, t.table.Name, read, progress.Run, complete)
		if err != nil {
			return err
		}
		return finish(ctx, tx, o.cfg.Prefix, ctl)
	})
	if err != nil {
		return fmt.Errorf("follow the new columns of %s: %w", t.table, redact.SQLError(err))
	}
	return o.equip(ctx)
}

// arrive records that the mirror stands exactly at a checkpoint, and which columns
// a backfill has completed since.
func (o *owner) arrive(ctx context.Context, target *feedItem) error {
	c := target.checkpoint
	at := topicPartition{o.reader.checkpoints, 0}
	err := pgx.BeginFunc(ctx, o.conn, func(tx pgx.Tx) error {
		if err := o.filler.begin(ctx, tx); err != nil {
			return err
		}
		// the checkpoint itself is read again after a crash: it may not be evaluated yet
		if err := storeOffsets(ctx, tx, o.cfg.Prefix, map[topicPartition]int64{at: target.offset}, o.ids); err != nil {
			return err
		}
		for table, progress := range c.Backfill.Tables {
			_, err := tx.Exec(ctx, `UPDATE backstitch.mirror_columns SET complete = true
				WHERE NOT complete AND schema_name || '.' || table_name = $1 AND since_run < $2`, table, progress.Run)
			if err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "UPDATE backstitch.transform SET epoch = $2, filled_commit_lsn = $3, filled_at = now() WHERE prefix = $1",
			o.cfg.Prefix, c.Source.Epoch, int64(c.Position.Version.Commit))
		return err
	})
	if err != nil {
		return fmt.Errorf("record a checkpoint that was reached: %w", redact.SQLError(err))
	}
	o.state.epoch = c.Source.Epoch
	o.reached = target.offset
	o.reader.reached(target.offset)
	return nil
}

// evaluateAt evaluates the mapping where the mirror stands, unless something that
// it reads is not complete.
func (o *owner) evaluateAt(ctx context.Context, c *schemas.Checkpoint) (err error) {
	if o.state.phase != phaseFollowing && !c.Backfill.FirstComplete {
		return nil // no half-loaded entity is ever sent
	}
	if o.unread = o.neverRead(c); o.unread != "" {
		return nil // hazard C4
	}
	if o.blocked, err = o.incomplete(ctx); err != nil || o.blocked != nil {
		return err
	}
	if o.state.phase == phaseRebuilding {
		if o.shown, err = o.swap(ctx, positionOf(c)); err != nil || o.shown != nil {
			return err
		}
	}
	position := positionOf(c)
	o.set(func(s *Status) { s.Doing = "evaluating" })
	switch {
	case o.state.phase == phaseLoading:
		if err := o.mirror.copyIndexes(ctx, o.tables); err != nil {
			return err
		}
		err = o.pass(ctx, position)
	case o.remap:
		err = o.mapper.load(ctx, position)
	default:
		err = o.mapper.evaluate(ctx, position)
	}
	if err != nil {
		return err
	}
	o.remap = false
	return o.evaluated(ctx, position)
}

// neverRead names a table that the mapping reads and that no backfill has read
// whole: one that was added later, perhaps with another mapping. Over the part of
// it that is there, entities would vanish (hazard C4, invariant 7). A table that is
// read again is whole meanwhile, because its rows are written at their place.
func (o *owner) neverRead(c *schemas.Checkpoint) string {
	for i := range o.plan.Mappings {
		for _, table := range o.plan.Mappings[i].Reads {
			progress, known := c.Backfill.Tables[table.String()]
			if _, written := c.Topics[schemas.DataTopic(o.cfg.Prefix, table)]; known && !progress.Done && progress.Run == 0 || !known && !written {
				return table.String()
			}
		}
	}
	return ""
}

// evaluated records the position at which the mapping was evaluated: after its
// effect is durable (invariant 10).
func (o *owner) evaluated(ctx context.Context, at Position) error {
	err := pgx.BeginFunc(ctx, o.conn, func(tx pgx.Tx) error {
		if err := fence(ctx, tx, o.state.term); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE backstitch.transform SET phase = $2, digest = $3, evaluated_epoch = $4, evaluated_commit_lsn = $5,
			evaluated_end_lsn = $6, evaluated_commit_at = $7, evaluated_at = now() WHERE prefix = $1`,
			o.cfg.Prefix, phaseFollowing, o.plan.Digest(), at.Epoch, int64(at.CommitLSN), int64(at.EndLSN), commitTime(at))
		return err
	})
	if err != nil {
		return fmt.Errorf("record an evaluated position: %w", redact.SQLError(err))
	}
	if o.state.phase != phaseFollowing {
		o.log.Info("loading has ended; following", "connector", o.Connector(), "commit_lsn", at.CommitLSN.String())
	}
	o.state.phase, o.state.evaluated = phaseFollowing, at
	o.filler.touching = true
	if !at.CommitTime.IsZero() {
		o.metrics.evaluated.Set(float64(at.CommitTime.UnixMilli()) / 1000)
	}
	o.set(func(s *Status) { s.Phase, s.Evaluated = phaseFollowing, at })
	return nil
}

// incomplete says why the mapping must wait: columns or rows whose values were not
// all seen (hazards C9, C15).
func (o *owner) incomplete(ctx context.Context) (*stage.Held, error) {
	var columns []string
	err := o.conn.QueryRow(ctx, `SELECT coalesce(array_agg(schema_name || '.' || table_name || '.' || column_name ORDER BY 1), '{}')
		FROM backstitch.mirror_columns WHERE NOT complete`).Scan(&columns)
	if err != nil {
		return nil, fmt.Errorf("look for incomplete columns: %w", redact.SQLError(err))
	}
	if len(columns) > 0 {
		return &stage.Held{
			Reason: "the mapping reads " + strings.Join(columns, ", ") + ", which appeared or changed its type after rows were read: those rows' values were never seen",
			Fix:    "Run `backstitch backfill --table` for its table; following goes on by itself when that is done",
		}, nil
	}
	if !o.filler.incomplete {
		return nil, nil
	}
	return o.unattributable(ctx)
}
