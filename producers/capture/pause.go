package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/producers/backfill"
	"github.com/backstitch/backstitch/producers/publisher"
	"github.com/backstitch/backstitch/producers/replication"
	"github.com/backstitch/backstitch/schemas"
)

// phaseReading is Status.Phase while the stream is paused.
const phaseReading = "reading"

const (
	slicePatience = 3 * time.Second // for the temporary slot (hazard S29)
	writerAge     = time.Second     // a transaction this old keeps a slice away
	retrySlice    = time.Second
	retryBusy     = 5 * time.Second
)

// unread are the tables that the run has not finished.
func (x *session) unread() []producers.CapturedTable {
	return slices.DeleteFunc(slices.Clone(x.captured), func(t producers.CapturedTable) bool {
		return x.backfill.Tables[t.Relation.String()].Done
	})
}

// maybeSlice prepares a slice when a run is unfinished and nothing stands in its
// way. The stream is paused while this runs: it is before anything that the
// snapshot will not contain (hazard S3).
func (x *session) maybeSlice(ctx context.Context) error {
	if x.run.keeper != nil || x.run.drain || stopped(x.stopping) {
		return nil
	}
	now := time.Now()
	if now.Before(x.run.next) || x.complete() {
		return nil
	}
	if x.cfg.SnapshotOnly {
		return errGaveWay
	}
	x.run.next = now.Add(retrySlice)
	writers, err := backfill.Writers(ctx, x.control, writerAge)
	if err != nil {
		return err
	}
	if len(writers) > 0 {
		x.wait(ctx, "the backfill waits for running transactions", writers)
		return nil
	}
	if x.pending() {
		if err := x.hand(ctx); err != nil {
			return err
		}
	}
	err = x.openSlice(ctx)
	switch {
	case err == nil:
		x.run.told = ""
		x.status.set(func(st *Status) { st.Waiting = "" })
		return nil
	case errors.Is(err, replication.ErrBusy): // hazard S20
		blockers, err := backfill.Blockers(ctx, x.control)
		if err != nil {
			return err
		}
		x.wait(ctx, "the backfill's slot waited for running transactions and will be tried again", blockers)
	case redact.SQLState(err) == "55P03": // lock_not_available
		x.wait(ctx, "the backfill waits for locks on its tables", nil)
	default:
		return err
	}
	x.run.next = time.Now().Add(retryBusy)
	return nil
}

func (x *session) complete() bool { return len(x.unread()) == 0 }

// openSlice takes the keeper's locks, then a snapshot at an exact point later than
// anything emitted, and makes an idle database pass that point (hazards S7, S8, S29).
func (x *session) openSlice(ctx context.Context) (err error) {
	unread := x.unread()
	tables := make([]schemas.Table, len(unread))
	for i, t := range unread {
		tables[i] = t.Relation.Table
	}
	x.run.keeper, err = backfill.OpenKeeper(ctx, replication.Session(x.deps.Source, x.application()), tables)
	if err != nil {
		x.run.keeper = nil
		return err
	}
	if err := x.snapshot(ctx); err != nil {
		return errors.Join(err, x.closeKeeper())
	}
	if err := x.describe(ctx); err != nil { // under the keeper's locks
		return err
	}
	if err := x.reshape(ctx); err != nil {
		return err
	}
	_, err = replication.Heartbeat(ctx, x.control)
	return err
}

func (x *session) snapshot(ctx context.Context) (err error) {
	conn, err := x.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	point, err := conn.CreateTemporarySlot(ctx, fmt.Sprintf("%s_%d", x.cfg.Slot, conn.PID()), slicePatience)
	if err != nil {
		return err
	}
	x.run.snapshot, err = x.run.keeper.Adopt(ctx, point.Snapshot)
	x.run.point = point.LSN
	return err
}

// reshape has a table whose columns have changed since its first range read from
// its start: those rows lack the column.
func (x *session) reshape(ctx context.Context) error {
	for _, t := range x.unread() {
		name := t.Relation.String()
		p := x.backfill.Tables[name]
		known, ok := x.shapes[name]
		if !ok || len(p.Ranges) == 0 {
			continue
		}
		declared, err := x.declaredTypes(ctx, t.Relation.OID)
		if err != nil {
			return err
		}
		for _, c := range t.Relation.Columns {
			if !slices.Contains(known.Columns, declared[c.Name]) {
				x.backfill.Tables[name] = schemas.TableProgress{Estimate: p.Estimate, Run: p.Run}
				break
			}
		}
	}
	return nil
}

// readPaused reads under the snapshot while the stream stands at the snapshot's
// place: to the end on the first start, else for a slice.
func (x *session) readPaused(ctx context.Context) error {
	began := time.Now()
	x.metrics.pauses.Inc()
	x.status.set(func(st *Status) { st.Phase = phaseReading })
	if x.pending() {
		if err := x.hand(ctx); err != nil {
			return err
		}
	}
	first := x.run.first
	readErr := x.read(ctx, first)
	reason := x.run.keeper.Reason()
	if err := errors.Join(readErr, x.closeKeeper()); err != nil {
		return err
	}
	if reason != "" {
		x.wait(ctx, "the backfill gave way and goes on later", []string{reason})
	}
	if x.pending() { // a table without rows is finished by a mark alone
		if err := x.hand(ctx); err != nil {
			return err
		}
	}
	paused := time.Since(began)
	x.metrics.paused.Add(paused.Seconds())
	x.status.set(func(st *Status) { st.Phase = "streaming" })
	x.run.next, x.run.drain = time.Now().Add(paused), true
	x.log.InfoContext(ctx, "the stream goes on after a pause for the backfill", "paused", paused, "first", first, "tables_left", len(x.unread()))
	return nil
}

// read runs the workers until they are done, the pause is over, or somebody has
// waited behind the keeper for too long.
func (x *session) read(ctx context.Context, first bool) error {
	readers, err := x.readers(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := make(chan struct{})
	var watch sync.WaitGroup
	var failed error
	watch.Go(func() {
		var over <-chan time.Time
		if !first {
			timer := time.NewTimer(x.cfg.BackfillMaxPause)
			defer timer.Stop()
			over = timer.C
		}
		defer close(stop)
		select {
		case <-over:
		case <-x.run.keeper.Blocking():
		case <-x.stopping:
		case failed = <-x.failure:
			cancel()
		case <-x.line.Failed():
			cancel()
		case <-ctx.Done():
		}
	})
	now := x.deps.Clock().UTC()
	err = backfill.Read(ctx, x.cfg.Backfill, replication.Session(x.deps.Source, x.application()), x.run.snapshot, x.unread(), x.backfill.Tables, stop,
		func(ctx context.Context, b backfill.Batch) error { return x.emit(ctx, readers, b, now) })
	cancel()
	watch.Wait()
	if failed != nil {
		return failed
	}
	select {
	case <-x.line.Failed():
		return x.line.Err()
	default:
		return err
	}
}

// readers are the encoders of the tables as the snapshot shows them: the stream may
// still be at an earlier shape.
func (x *session) readers(ctx context.Context) (map[uint32]*publisher.Table, error) {
	readers := make(map[uint32]*publisher.Table)
	for _, t := range x.unread() {
		table, err := x.pub.Table(ctx, t.Relation)
		if err != nil {
			return nil, err
		}
		readers[t.Relation.OID] = table
	}
	return readers, nil
}

// emit writes one range with its mark into one Kafka transaction (hazard S16).
func (x *session) emit(ctx context.Context, readers map[uint32]*publisher.Table, b backfill.Batch, now time.Time) error {
	rel := b.Table.Relation
	change := schemas.Change{
		Op: schemas.Read, Version: schemas.Version{Epoch: x.source.Epoch, Commit: x.run.point}, CommitTime: now,
	}
	for _, row := range b.Rows {
		c := change
		c.New = row
		if err := readers[rel.OID].Add(ctx, x.batch, &c); err != nil {
			return err
		}
	}
	name := rel.String()
	p := backfill.Merge(x.backfill.Tables[name], b.Range)
	p.Rows += int64(len(b.Rows))
	p.Point = x.run.point
	p.Done = p.Done || b.Last
	if p.Done {
		p.Run = x.backfill.Run
	}
	x.backfill.Tables[name] = p
	x.backfill.FirstComplete = x.backfill.FirstComplete || x.complete()
	x.metrics.reads.Add(float64(len(b.Rows)))
	x.dirty = true
	return x.hand(ctx)
}

// readAgain has a table read from its start, beside the stream.
func (x *session) readAgain(ctx context.Context, t schemas.Table) error {
	i := slices.IndexFunc(x.captured, func(c producers.CapturedTable) bool { return c.Relation.Table == t })
	if i < 0 {
		return nil
	}
	estimate, err := x.estimate(ctx, x.captured[i].Relation.OID)
	if err != nil {
		return err
	}
	x.backfill.Tables[t.String()] = schemas.TableProgress{Estimate: estimate, Run: x.backfill.Tables[t.String()].Run}
	x.dirty = true
	return nil
}

// takeRequests takes up what was asked for before the source was opened.
func (x *session) takeRequests(ctx context.Context, requests []producers.BackfillRequest) error {
	if x.run.first {
		return nil // answered by reading everything
	}
	for _, r := range requests {
		if err := x.request(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// request takes a backfill request up: it is answered by a tombstone that is
// committed together with the new run. A request for everything is served by the
// recovery path, which finds it unanswered.
func (x *session) request(ctx context.Context, r producers.BackfillRequest) error {
	if r.All {
		return errAgain
	}
	x.backfill.Run++
	unknown := []string{}
	for _, t := range r.Tables {
		if _, ok := x.backfill.Tables[t.String()]; !ok {
			unknown = append(unknown, t.String())
			continue
		}
		if err := x.readAgain(ctx, t); err != nil {
			return err
		}
	}
	x.log.InfoContext(ctx, "a backfill was asked for", "tables", tableList(r.Tables), "unknown", strings.Join(unknown, ", "))
	x.batch.Control(r.Key(), nil)
	x.run.next = time.Time{}
	return nil
}
