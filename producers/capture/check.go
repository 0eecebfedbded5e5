package capture

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/schemas"
)

// goOn continues from a checkpoint, after it has been checked that server, slot,
// publication and topics are those that it speaks of.
func (x *session) goOn(ctx context.Context, slot *slotRow, c *schemas.Checkpoint) error {
	if err := x.checkIdentity(ctx, c); err != nil {
		return err
	}
	if err := checkPosition(x.cfg.Slot, slot.ConfirmedLSN, c.Position.EndLSN, x.system.End); err != nil {
		return err
	}
	x.source, x.position, x.backfill = c.Source, c.Position, c.Backfill
	x.source.Timeline = x.system.Timeline
	x.resume = c.Position.Version
	if err := x.adoptTables(ctx); err != nil {
		return err
	}
	if err := x.pub.EnsureTopics(ctx, x.cfg.Tables, c.Topics, false); err != nil {
		return err
	}
	x.stream.Confirm(c.Position.EndLSN) // committed before, by whichever owner
	return nil
}

// checkIdentity holds unless the server is the one that the checkpoint speaks of,
// or a successor whose history contains all that was emitted (hazard S10).
func (x *session) checkIdentity(ctx context.Context, c *schemas.Checkpoint) error {
	switch s := c.Source; {
	case s.SystemID != x.system.ID:
		return stage.Hold("Point the configuration back at the former server, or: "+fixAll,
			"the source's system identifier is %s, the last checkpoint says %s: this is another server", x.system.ID, s.SystemID)
	case s.Database != x.system.Database:
		return stage.Hold("Point the configuration back at the former database, or: "+fixAll,
			"the source database is %s, the last checkpoint says %s", x.system.Database, s.Database)
	case s.Slot != x.cfg.Slot || s.Publication != x.cfg.Publication:
		return stage.Hold("Use the former names, or another prefix",
			"slot and publication are %s and %s, the last checkpoint says %s and %s", x.cfg.Slot, x.cfg.Publication, s.Slot, s.Publication)
	case s.Timeline == x.system.Timeline:
		return nil
	case s.Timeline > x.system.Timeline:
		return stage.Hold(fixAll, "the server is on timeline %d, the last checkpoint on %d: the server was restored to an earlier time", x.system.Timeline, s.Timeline)
	}
	conn, err := x.connect(ctx)
	if err != nil {
		return err
	}
	fork, ok, err := conn.ForkOf(ctx, x.system.Timeline, c.Source.Timeline)
	if err := errors.Join(err, conn.Close()); err != nil {
		return err
	}
	if emitted := max(c.Position.EndLSN, c.Position.Version.Commit); !ok || fork < emitted {
		return stage.Hold(fixAll, "the server's timeline %d left timeline %d at %s, before %s which is in the topics: after the fail-over, changes are in the topics that the server does not have",
			x.system.Timeline, c.Source.Timeline, fork, emitted)
	}
	return nil
}

// checkPosition holds unless confirmed ≤ recorded ≤ the server's end (hazard S11).
func checkPosition(slot string, confirmed, recorded, end schemas.LSN) error {
	if confirmed > recorded {
		return stage.Hold(fixAll, "slot %s is confirmed to %s, beyond the last checkpoint's %s: the slot was made again, or the topics were restored from a backup, and changes between the two are lost",
			slot, confirmed, recorded)
	}
	if recorded > end {
		return stage.Hold(fixAll, "the last checkpoint is at %s, but the server's log ends at %s: the server was restored to an earlier time", recorded, end)
	}
	return nil
}

// adoptTables brings publication and captured tables in line with the
// configuration: a new table is published and left to be read in slices, one that
// was made again under its name holds the transform (hazard S25).
func (x *session) adoptTables(ctx context.Context) error {
	if err := x.publish(ctx, false); err != nil {
		return err
	}
	if err := x.describe(ctx); err != nil {
		return err
	}
	tables := make(map[string]schemas.TableProgress, len(x.captured))
	for _, t := range x.captured {
		name := t.Relation.String()
		progress, known := x.backfill.Tables[name]
		if !known {
			estimate, err := x.estimate(ctx, t.Relation.OID)
			if err != nil {
				return err
			}
			progress = schemas.TableProgress{Estimate: estimate}
			x.backfill.Run++
		}
		tables[name] = progress
	}
	x.backfill.Tables = tables
	if !x.backfill.FirstComplete && x.complete() { // the last unfinished table left the configuration
		x.backfill.FirstComplete, x.dirty = true, true
	}
	return nil
}

// noteRecreated writes control records for tables that have another OID than when
// they were seen last, and has them read again.
func (x *session) noteRecreated(ctx context.Context) error {
	n := uint32(0)
	for _, t := range x.captured {
		name := t.Relation.String()
		known, ok := x.shapes[name]
		if !ok || known.OID == t.Relation.OID {
			continue
		}
		version := schemas.Version{Epoch: x.source.Epoch, Commit: x.position.Version.Commit, Change: math.MaxUint64, N: n}
		n++
		if err := x.addControl(ctx, schemas.Control{Kind: schemas.ControlRecreated, Table: t.Relation.Table, Version: version}); err != nil {
			return err
		}
		delete(x.shapes, name)
		if err := x.readAgain(ctx, t.Relation.Table); err != nil {
			return err
		}
	}
	return nil
}

// describe reads the captured tables from the catalogue.
func (x *session) describe(ctx context.Context) error {
	captured, err := x.capturedTables(ctx)
	if err != nil {
		return err
	}
	x.captured = captured
	return nil
}

func (x *session) estimate(ctx context.Context, oid uint32) (int64, error) {
	var n int64
	err := x.control.QueryRow(ctx, `
		SELECT greatest(sum(c.reltuples), 0)::bigint FROM pg_class c
		WHERE c.oid = $1 OR (c.relkind = 'r' AND c.oid IN (SELECT relid FROM pg_partition_tree($1::oid::regclass)))`, oid).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("estimate a table's rows: %w", redact.SQLError(err))
	}
	return n, nil
}
