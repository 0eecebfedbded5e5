package capture

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/producers/backfill"
	"github.com/backstitch/backstitch/producers/publisher"
	"github.com/backstitch/backstitch/producers/replication"
	"github.com/backstitch/backstitch/schemas"
)

// session is one pass of the recovery path and what follows it, until the first
// error. Its fields belong to the loop's goroutine unless they say otherwise.
type session struct {
	*Source
	stopping <-chan struct{}
	cancel   context.CancelFunc

	control *pgx.Conn // catalogue, heartbeats of slices
	lock    *slotLock // while slots are created and dropped
	system  replication.System
	conn    *replication.Conn // until the stream owns it
	stream  stream
	pub     *publisher.Publisher
	line    *publisher.Line
	watch   sync.WaitGroup
	failure chan error        // from others: the guardian, the watch over Kafka, the lock
	oids    map[string]uint32 // of the captured tables, for the guardian
	idle    atomic.Bool       // nothing is left to read or to commit

	source   schemas.Source
	resume   schemas.Version // discard what is not above it
	position schemas.Position
	backfill schemas.Backfill
	shapes   producers.Shapes
	captured []producers.CapturedTable
	tables   map[uint32]*streamed

	batch      *publisher.Batch
	batchStart time.Time
	dirty      bool // the position is worth a commit of its own
	tx         transaction

	run run
}

// stream is what the loop reads: the slot's, or that of a snapshot, which is silent.
type stream interface {
	Next(wait time.Duration) (*replication.Event, error)
	Drained() bool
	Interrupt()
	Confirm(lsn schemas.LSN)
	PID() uint32
	Heard() time.Time
	Close() error
}

// transaction is the source transaction that the stream is in.
type transaction struct {
	open   bool
	commit schemas.LSN
	skip   bool // the last checkpoint has all of it
	beat   bool // it holds a heartbeat
	rows   int
	xid    uint32
	time   time.Time
}

// run is the state of a backfill beside the stream.
type run struct {
	keeper   *backfill.Keeper
	snapshot string
	point    schemas.LSN
	first    bool      // the first start: read to the end, whatever it takes
	next     time.Time // no slice before
	drain    bool      // nor before the stream was drained
	told     string    // what was logged last as keeping a slice away
}

// fail ends the session from another goroutine; the first reason counts.
func (x *session) fail(err error) {
	select {
	case x.failure <- err:
	default:
	}
	if x.stream != nil {
		x.stream.Interrupt()
	}
}

// close gives everything up, the slot first: nothing of what follows may keep a
// successor waiting. What was not committed is sent again.
func (x *session) close() error {
	x.live.CompareAndSwap(x, nil)
	x.cancel()
	var errs []error
	if x.stream != nil {
		_ = x.stream.Close() // the server notices by itself
	} else if x.conn != nil {
		_ = x.conn.Close() // likewise
	}
	x.watch.Wait()
	if x.run.keeper != nil {
		errs = append(errs, x.closeKeeper())
	}
	if x.line != nil {
		_ = x.line.Close() // its error ended the session and is reported already, or comes from the cancel above
	}
	if x.pub != nil {
		x.pub.Close()
	}
	if x.control != nil {
		pgsession.Close(x.control)
	}
	if x.lock != nil {
		x.lock.release()
	}
	return errors.Join(errs...)
}

// checkpoint fills in what the batch's checkpoint will say.
func (x *session) checkpoint(b *publisher.Batch) {
	b.Source, b.Position = x.source, x.position
	b.Backfill = x.backfill
	b.Backfill.Tables = maps.Clone(x.backfill.Tables)
}

// hand gives the batch to the line and takes an empty one.
func (x *session) hand(ctx context.Context) error {
	x.checkpoint(x.batch)
	if err := x.line.Hand(ctx, x.batch); err != nil {
		return err
	}
	x.dirty, x.batchStart = false, time.Time{}
	return x.take(ctx)
}

func (x *session) take(ctx context.Context) error {
	b, err := x.line.Batch(ctx)
	if err != nil {
		return err
	}
	x.batch = b
	return nil
}

// pending reports whether the batch is worth a commit.
func (x *session) pending() bool { return x.batch.Records() > 0 || x.batch.Controls() > 0 || x.dirty }

// committed runs in the line's goroutine.
func (x *session) committed(c *schemas.Checkpoint, records int) {
	x.stream.Confirm(c.Position.EndLSN) // invariant 1: after the commit, exactly the end
	x.status.committed(c, records, x.deps.Clock())
	x.status.set(func(st *Status) { st.Confirmed = c.Position.EndLSN })
	if !c.Position.CommitTime.IsZero() {
		x.metrics.committed.Set(float64(c.Position.CommitTime.UnixMicro()) / 1e6)
	}
}

func (x *session) startLine(ctx context.Context) error {
	x.line = publisher.NewLine(ctx, x.pub, x.committed, x.stream.Interrupt)
	return x.take(ctx)
}

// commitNow writes a checkpoint at once, before the line exists.
func (x *session) commitNow(ctx context.Context, b *publisher.Batch) error {
	creating := b.Creating
	x.checkpoint(b)
	b.Creating = creating
	c, err := x.pub.Commit(ctx, b)
	if err != nil {
		return fmt.Errorf("write the checkpoint: %w", err)
	}
	x.status.committed(c, 0, x.deps.Clock())
	return nil
}
