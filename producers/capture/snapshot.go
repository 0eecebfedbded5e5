package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/producers/backfill"
	"github.com/backstitch/backstitch/producers/replication"
	"github.com/backstitch/backstitch/schemas"
)

// A source that reads a snapshot only (Config.SnapshotOnly) shows the pipeline one
// state of the legacy database, and then nothing more. It leaves nothing at the source,
// whatever ends the process: its slot is temporary and lives until the keeper has taken
// over the snapshot that it exports; there is no publication to be made, no heartbeat,
// and every session is read-only. What interrupts the reading makes it begin anew, as
// the next epoch: without a slot nothing leads from one snapshot to the next.

// errGaveWay says why a snapshot was not read to its end.
var errGaveWay = errors.New("somebody waited behind the locks of the snapshot's reader, which gave way: it begins anew with another snapshot")

// orphanSlot is how long the server keeps the session of the temporary slot for a
// client that says nothing more, such as one that was stopped.
const orphanSlot = 15 * time.Second

// trySnapshot takes a snapshot by means of a temporary slot that is gone when it
// returns. The keeper's locks are older than the slot (hazard S7).
func (x *session) trySnapshot(ctx context.Context) (err error) {
	source := replication.Session(x.deps.Source, x.application())
	if x.run.keeper, err = backfill.OpenKeeper(ctx, source, x.cfg.Tables); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, x.closeKeeper())
		}
	}()
	if err := x.describe(ctx); err != nil { // under the keeper's locks
		return err
	}
	conn, err := x.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.EndWhenIdle(ctx, orphanSlot); err != nil {
		return err
	}
	point, err := conn.CreateTemporarySlot(ctx, x.cfg.Slot, slotPatience)
	if err != nil {
		return err
	}
	if x.run.snapshot, err = x.run.keeper.Adopt(ctx, point.Snapshot); err != nil {
		return err
	}
	x.stream = &silent{woken: make(chan struct{}, 1)}
	x.standAt(point.LSN)
	return nil
}

// capturedTables are the captured tables as the publication has them: its columns and
// row filters count where it exists already, whole tables where it does not.
func (x *session) capturedTables(ctx context.Context) ([]producers.CapturedTable, error) {
	published, err := producers.Describe(ctx, x.control, x.cfg.Publication)
	if !x.cfg.SnapshotOnly {
		return published, err
	}
	if err != nil && !errors.Is(err, producers.ErrNoPublication) {
		return nil, err
	}
	tables, err := producers.DescribeTables(ctx, x.control, x.cfg.Tables)
	if err != nil {
		return nil, err
	}
	for i, t := range tables {
		same := func(p producers.CapturedTable) bool { return p.Relation.Table == t.Relation.Table }
		if j := slices.IndexFunc(published, same); j >= 0 {
			tables[i] = published[j]
		}
	}
	return tables, nil
}

// TemporarySlotName is a name for a snapshot's slot that nobody else has.
func TemporarySlotName(prefix string) string {
	name, id := DefaultSlot(prefix), uuid.New()
	return fmt.Sprintf("%s_once_%x", name[:min(len(name), 40)], id[:6])
}

// silent is the stream behind a snapshot: nothing comes.
type silent struct {
	woken       chan struct{}
	interrupted bool
}

// Next waits for as long as it may, or until it is interrupted.
func (s *silent) Next(wait time.Duration) (*replication.Event, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-s.woken:
		s.interrupted = true
	case <-timer.C:
		s.interrupted = false
	}
	return nil, nil
}

// Drained reports that Next waited in vain.
func (s *silent) Drained() bool { return !s.interrupted }

// Interrupt ends a wait, or the next one.
func (s *silent) Interrupt() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// Confirm has nobody to tell.
func (*silent) Confirm(schemas.LSN) {}

// PID is of no walsender.
func (*silent) PID() uint32 { return 0 }

// Heard is now: nothing is awaited.
func (*silent) Heard() time.Time { return time.Now() }

// Close has nothing to give up.
func (*silent) Close() error { return nil }
