package capture

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/producers/backfill"
	"github.com/backstitch/backstitch/producers/publisher"
	"github.com/backstitch/backstitch/producers/replication"
	"github.com/backstitch/backstitch/schemas"
)

const (
	// slotPatience is how long one try to create the source's slot waits for running
	// transactions before the blockers are named.
	slotPatience = 15 * time.Second
	slotRelease  = 10 * time.Second // how long a dropped stream may hold its slot
)

// create makes slot and epoch anew: publication, then the record that says so
// (hazard S12), then the slot, with the keeper's locks from before it (hazard S7).
// The stream is started and left paused; the loop reads every table under the
// slot's snapshot first.
func (x *session) create(ctx context.Context, old *slotRow, c *schemas.Checkpoint, epoch uint32, requests []producers.BackfillRequest) error {
	if !x.cfg.SnapshotOnly {
		if err := x.publish(ctx, true); err != nil {
			return err
		}
	}
	var topics map[string]schemas.TopicEnds
	if c != nil {
		topics = c.Topics
		x.backfill.Run = c.Backfill.Run
	}
	if err := x.pub.EnsureTopics(ctx, x.cfg.Tables, topics, true); err != nil {
		return err
	}
	x.source = schemas.Source{
		SystemID: x.system.ID, Timeline: x.system.Timeline, Database: x.system.Database,
		Slot: x.cfg.Slot, Publication: x.cfg.Publication, Epoch: epoch,
	}
	x.position = schemas.Position{Version: schemas.Version{Epoch: epoch}}
	creating := &publisher.Batch{Creating: true}
	if err := x.commitNow(ctx, creating); err != nil {
		return err
	}
	if err := x.dropSlot(ctx, old); err != nil {
		return err
	}
	if err := x.createSlot(ctx); err != nil {
		return err
	}
	b := &publisher.Batch{}
	for _, r := range requests {
		b.Control(r.Key(), nil) // everything is read: every request is answered
	}
	x.shapes = producers.Shapes{}
	if err := x.planAll(ctx); err != nil {
		return err
	}
	return x.commitNow(ctx, b)
}

func (x *session) dropSlot(ctx context.Context, old *slotRow) error {
	if !old.Exists {
		return nil
	}
	if x.stream != nil {
		if err := x.stream.Close(); err != nil {
			return err
		}
		x.stream, x.conn = nil, nil
	}
	deadline := time.Now().Add(slotRelease)
	for {
		_, err := x.lock.exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", x.cfg.Slot)
		if err == nil {
			return nil
		}
		if state := redact.SQLState(err); state != "55006" || time.Now().After(deadline) {
			return fmt.Errorf("drop slot %s: %w", x.cfg.Slot, err)
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

func (x *session) createSlot(ctx context.Context) error {
	try := x.tryCreateSlot
	if x.cfg.SnapshotOnly {
		try = x.trySnapshot
	}
	for {
		err := try(ctx)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, replication.ErrBusy):
			blockers, err := backfill.Blockers(ctx, x.control)
			if err != nil {
				return err
			}
			x.wait(ctx, "the slot's creation waits for running transactions", blockers)
		case redact.SQLState(err) == "55P03": // lock_not_available
			x.wait(ctx, "the slot's creation waits for locks on the captured tables", nil)
		default:
			return err
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
		if stopped(x.stopping) {
			return errAgain
		}
	}
}

func (x *session) tryCreateSlot(ctx context.Context) error {
	keeper, err := backfill.OpenKeeper(ctx, replication.Session(x.deps.Source, x.application()), x.cfg.Tables)
	if err != nil {
		return err
	}
	x.run.keeper = keeper
	if err := x.describe(ctx); err != nil { // under the keeper's locks
		return err
	}
	if x.conn == nil {
		if x.conn, err = x.connect(ctx); err != nil {
			return err
		}
	}
	point, err := x.newSlot(ctx)
	if err != nil {
		return errors.Join(err, x.closeKeeper())
	}
	if x.run.snapshot, err = keeper.Adopt(ctx, point.Snapshot); err != nil {
		return err
	}
	started, err := replication.Start(ctx, x.conn, x.cfg.Slot, x.cfg.Publication)
	if err != nil {
		return err
	}
	x.stream = started
	x.standAt(point.LSN)
	return nil
}

// standAt puts the session at the point of a slot that was just made, before the first
// change that its snapshot does not contain.
func (x *session) standAt(point schemas.LSN) {
	x.run.point, x.run.first = point, true
	x.position = schemas.Position{
		Version: schemas.Version{Epoch: x.source.Epoch, Commit: point}, EndLSN: point, EndsTransaction: true,
		CommitTime: x.deps.Clock().UTC(),
	}
	x.resume = x.position.Version
}

// planAll starts a run over every captured table.
func (x *session) planAll(ctx context.Context) error {
	x.backfill = schemas.Backfill{Run: x.backfill.Run + 1, Tables: make(map[string]schemas.TableProgress)}
	for _, t := range x.captured {
		estimate, err := x.estimate(ctx, t.Relation.OID)
		if err != nil {
			return err
		}
		x.backfill.Tables[t.Relation.String()] = schemas.TableProgress{Estimate: estimate}
	}
	return nil
}

func (x *session) closeKeeper() error {
	k := x.run.keeper
	x.run.keeper, x.run.snapshot, x.run.point, x.run.first = nil, "", 0, false
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return k.Close(ctx)
}

// wait tells once what a step waits for.
func (x *session) wait(ctx context.Context, what string, blockers []string) {
	told := what
	for _, b := range blockers {
		told += "; " + b
	}
	x.status.set(func(st *Status) { st.Waiting = told })
	if x.run.told != what {
		x.run.told = what
		x.log.WarnContext(ctx, what, "blockers", blockers)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
