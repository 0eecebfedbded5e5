package capture

import (
	"context"
	"fmt"

	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/producers/publisher"
	"github.com/backstitch/backstitch/producers/replication"
)

// A volatile source writes into topics that end with its process. There is nothing to
// go on from: every process, and within one every session, begins with a slot of its
// own, under an epoch above all before, and reads every table. The slot is temporary:
// the server drops it with the session that made it, however that ends, so nothing
// keeps the server's log for somebody who will not come back.

// startAnew makes slot and epoch.
func (x *session) startAnew(ctx context.Context, slot *slotRow, r *publisher.Recovered) error {
	epoch := max(x.cfg.FirstEpoch, 1)
	switch c := r.Checkpoint; {
	case c == nil:
	case c.Creating:
		epoch = c.Source.Epoch // nothing was written under it
	default:
		epoch = c.Source.Epoch + 1
		x.log.WarnContext(ctx, "the session with the source ended, and its temporary slot with it: every table is read again", "epoch", epoch)
	}
	return x.create(ctx, slot, r.Checkpoint, epoch, r.Requests)
}

// refuseSlot says why a slot of this name cannot be made.
func (x *session) refuseSlot(slot *slotRow) error {
	if slot.Temporary {
		return fmt.Errorf("slot %s is temporary and another session's: %w", x.cfg.Slot, producers.ErrStandby)
	}
	return stage.Hold("If no pipeline with a Kafka of its own uses it, drop it with `backstitch teardown`; else choose another source.slot.name",
		"slot %s exists and outlives processes, so it is not of a pipeline with the embedded broker", x.cfg.Slot)
}

// newSlot creates the source's slot.
func (x *session) newSlot(ctx context.Context) (replication.Point, error) {
	if x.cfg.Volatile {
		return x.conn.CreateTemporarySlot(ctx, x.cfg.Slot, slotPatience)
	}
	return x.conn.CreateSlot(ctx, x.cfg.Slot, slotPatience)
}
