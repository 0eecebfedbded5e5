package capture

import (
	"context"
	"time"

	"github.com/backstitch/backstitch/producers/replication"
	"github.com/backstitch/backstitch/schemas"
)

const (
	idleWait  = 100 * time.Millisecond // between looks at what does not interrupt the reader
	drainWait = time.Millisecond       // nothing came for so long: the stream is drained
	lookEvery = 64                     // events between looks at the clock
)

// loop carries the stream into batches until it is told to stop, or until the
// first error.
func (x *session) loop(ctx context.Context) error {
	if err := x.noteRecreated(ctx); err != nil {
		return err
	}
	if x.run.first {
		if err := x.readPaused(ctx); err != nil {
			return err
		}
	}
	events := 0
	for {
		wait := idleWait
		ready := x.pending() && x.line.Idle()
		if ready {
			wait = drainWait
		}
		e, err := x.stream.Next(wait)
		if err != nil {
			return err
		}
		if e == nil {
			if stopped(x.stopping) {
				return x.drain(ctx)
			}
			if err := x.quiet(ctx, ready); err != nil {
				return err
			}
			continue
		}
		if err := x.event(ctx, e); err != nil {
			return err
		}
		if events++; events >= lookEvery || e.Kind == replication.Commit {
			events = 0
			if err := x.look(ctx); err != nil {
				return err
			}
		}
		if stopped(x.stopping) {
			return x.drain(ctx)
		}
	}
}

// quiet is the moment when nothing is left to read: what is pending is committed,
// and a slice of a backfill may start.
func (x *session) quiet(ctx context.Context, ready bool) error {
	if err := x.check(ctx); err != nil {
		return err
	}
	if !x.stream.Drained() {
		return nil
	}
	if ready && x.line.Idle() {
		if err := x.hand(ctx); err != nil {
			return err
		}
	}
	x.idle.Store(!x.pending() && x.line.Idle())
	x.run.drain = false
	return x.maybeSlice(ctx)
}

// look hands a batch over by size or age while the stream is busy.
func (x *session) look(ctx context.Context) error {
	if !x.pending() {
		return nil
	}
	now := time.Now()
	if x.batchStart.IsZero() {
		x.batchStart = now
	}
	full := x.full()
	if full || now.Sub(x.batchStart) >= x.cfg.CommitInterval && x.line.Idle() {
		if err := x.check(ctx); err != nil {
			return err
		}
		if err := x.hand(ctx); err != nil {
			return err
		}
		return x.maybeSlice(ctx)
	}
	return nil
}

func (x *session) full() bool {
	return x.batch.Records() >= x.cfg.BatchRecords || x.batch.Bytes() >= x.cfg.BatchBytes
}

// check notices what others found out.
func (x *session) check(ctx context.Context) error {
	select {
	case err := <-x.failure:
		return err
	case <-x.line.Failed():
		return x.line.Err()
	case r := <-x.pub.Requests():
		return x.request(ctx, r)
	default:
		return nil
	}
}

// drain commits what was read and gives the slot up in order.
func (x *session) drain(ctx context.Context) error {
	if x.pending() {
		if err := x.hand(ctx); err != nil {
			return err
		}
	}
	line := x.line
	x.line = nil
	if err := line.Close(); err != nil {
		return err
	}
	x.log.InfoContext(ctx, "the source has drained", "position", x.position.Version.String())
	return nil
}

// event takes one event.
func (x *session) event(ctx context.Context, e *replication.Event) error {
	if x.idle.Load() {
		x.idle.Store(false)
	}
	switch e.Kind {
	case replication.Begin:
		return x.begin(ctx, e)
	case replication.Commit:
		x.commit(e)
	case replication.Message:
		x.tx.beat = x.tx.beat || x.tx.open && e.Prefix == replication.HeartbeatPrefix
	case replication.Shape:
		return x.shape(ctx, e.Relation)
	case replication.Truncate:
		return x.truncate(ctx, e)
	case replication.Change:
		return x.change(ctx, e)
	}
	return nil
}

func (x *session) begin(ctx context.Context, e *replication.Event) error {
	x.tx = transaction{
		open: true, commit: e.Commit, xid: e.XID, time: e.Time,
		skip: schemas.EndOf(x.source.Epoch, e.Commit).Compare(x.resume) <= 0,
	}
	// The stream stands before the first commit that the snapshot does not contain:
	// this is the place of the snapshot's rows (hazards S3, S4, S5).
	if x.run.keeper != nil && e.Commit >= x.run.point {
		return x.readPaused(ctx)
	}
	return nil
}

func (x *session) commit(e *replication.Event) {
	end := schemas.EndOf(x.source.Epoch, e.Commit)
	// A foreign message's transaction holds only a position: it waits for the
	// heartbeat (hazard S17).
	if !x.tx.skip {
		x.dirty = x.dirty || x.tx.rows > 0 || x.tx.beat || !x.position.EndsTransaction
		x.position = schemas.Position{Version: end, EndLSN: e.End, EndsTransaction: true, CommitTime: e.Time}
	}
	x.tx = transaction{}
}

func (x *session) version(e *replication.Event) schemas.Version {
	return schemas.Version{Epoch: x.source.Epoch, Commit: x.tx.commit, Change: e.WAL, N: e.N}
}

func (x *session) change(ctx context.Context, e *replication.Event) error {
	version := x.version(e)
	// Skipped by version, never by count: another number of rows may come when the
	// same transaction is decoded again (hazard S2).
	if version.Compare(x.resume) <= 0 {
		x.metrics.skipped.Inc()
		return nil
	}
	t := x.tables[e.OID]
	if t == nil || t.table == nil {
		return nil // not captured
	}
	// A batch is cut between rows only: the records of one row stay together.
	if x.full() {
		if err := x.hand(ctx); err != nil {
			return err
		}
	}
	if t.shape != nil {
		if err := x.announce(ctx, t, version); err != nil {
			return err
		}
	}
	err := t.table.Add(ctx, x.batch, &schemas.Change{
		Op: e.Op, Version: version, Old: e.Old, New: e.New, XID: x.tx.xid, CommitTime: x.tx.time,
	})
	if err != nil {
		return err
	}
	x.metrics.changes.Inc()
	x.inside(version)
	return nil
}

// inside moves the position to a row of the open transaction.
func (x *session) inside(v schemas.Version) {
	x.tx.rows++
	x.position.Version, x.position.EndsTransaction, x.position.CommitTime = v, false, x.tx.time
}

// truncate holds the transform through a control record in its place (hazard S25).
func (x *session) truncate(ctx context.Context, e *replication.Event) error {
	version := x.version(e)
	for _, oid := range e.Truncated {
		if t := x.tables[oid]; t != nil && t.table != nil && version.Compare(x.resume) > 0 {
			err := x.addControl(ctx, schemas.Control{Kind: schemas.ControlTruncate, Table: t.table.Relation.Table, Version: version})
			if err != nil {
				return err
			}
			x.inside(version)
		}
		version.N++
	}
	return nil
}
