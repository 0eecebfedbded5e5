package capture

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/producers/publisher"
	"github.com/backstitch/backstitch/producers/replication"
	"github.com/backstitch/backstitch/schemas"
)

const (
	// arriveTimeout bounds the way to Postgres and Kafka, before anything is taken.
	arriveTimeout = 5 * time.Second
	// openTimeout bounds what of the recovery path waits for nobody's transactions.
	openTimeout = 15 * time.Second
)

const fixAll = wayOut + ": a new slot, the next epoch, every table read again"

// open is the recovery path. It holds the session lock on the source database for
// its whole length, so that nobody takes an idle slot from an instance that has
// just created it (hazard S27).
func (x *session) open(ctx context.Context) error {
	x.tables = make(map[uint32]*streamed)
	if err := x.arrive(ctx); err != nil {
		return err
	}
	if err := x.takeLock(ctx); err != nil {
		return err
	}
	if err := x.checkAsync(ctx); err != nil {
		return err
	}
	slot, err := x.lookUpSlot(ctx)
	if err != nil {
		return err
	}
	lost, err := x.startExisting(ctx, slot)
	if err != nil {
		return err
	}
	// Only now, with the slot in hand, the former owner is fenced (hazard S14).
	recovered, err := x.fence(ctx)
	if err != nil {
		return err
	}
	for _, key := range recovered.Asked {
		x.tried[key] = true
	}
	if err := x.decide(ctx, slot, lost, recovered); err != nil {
		return err
	}
	if err := x.startLine(ctx); err != nil {
		return err
	}
	x.lock.release()
	x.lock = nil
	if err := x.takeRequests(ctx, recovered.Requests); err != nil {
		return err
	}
	x.startWatching(ctx)
	return nil
}

// arrive opens the ways to Postgres and Kafka at once and takes nothing yet: an
// instance that does not reach both must not take the slot from one that does
// (hazard S15).
func (x *session) arrive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, arriveTimeout)
	defer cancel()
	ways, ctx := errgroup.WithContext(ctx)
	ways.Go(func() (err error) {
		x.pub, err = publisher.Reach(ctx, publisher.Config{
			Prefix: x.cfg.Prefix, Partitions: x.cfg.Partitions, ReplicationFactor: x.cfg.ReplicationFactor,
			CreateTopics: x.cfg.CreateTopics, TopicConfigs: x.cfg.TopicConfigs, MaxRecordBytes: x.cfg.MaxRecordBytes,
			MinGap: x.cfg.MinGap, GiveUp: x.cfg.GiveUp, Patience: x.patience, Now: x.deps.Clock,
			Answered: func() { x.answered.Store(time.Now().UnixNano()) },
			Kafka:    x.deps.Kafka, Registry: x.deps.Registry, Logger: x.log, Metrics: x.kafka,
		})
		return err
	})
	ways.Go(func() error {
		control, err := pgx.ConnectConfig(ctx, replication.Session(x.deps.Source, x.application()))
		if err != nil {
			return fmt.Errorf("connect to the source: %w", redact.SQLError(err))
		}
		x.control = control
		return nil
	})
	ways.Go(func() (err error) {
		if x.conn, err = x.connect(ctx); err != nil {
			return err
		}
		x.system, err = x.conn.Identify(ctx)
		return err
	})
	err := ways.Wait()
	if err == nil {
		x.pub.SetDatabase(x.system.Database)
	}
	return err
}

// connect opens a replication connection.
func (x *session) connect(ctx context.Context) (*replication.Conn, error) {
	return replication.ConnectWithin(ctx, x.deps.Source, x.application(), x.cfg.SenderTimeout)
}

func (x *session) takeLock(ctx context.Context) (err error) {
	x.lock, err = x.Source.takeLock(ctx, func(err error) {
		select {
		case x.failure <- err:
		default:
		}
		x.cancel() // what it was held for must not go on without it (hazard S27)
	})
	return err
}

// checkAsync holds before the slot is started when the server would take our walsender
// for a synchronous standby (hazard S19).
func (x *session) checkAsync(ctx context.Context) error {
	var names string
	if err := x.control.QueryRow(ctx, "SELECT current_setting('synchronous_standby_names')").Scan(&names); err != nil {
		return fmt.Errorf("read synchronous_standby_names: %w", redact.SQLError(err))
	}
	for _, name := range strings.FieldsFunc(names, func(r rune) bool { return strings.ContainsRune(" ,()", r) }) {
		if name = strings.Trim(name, `"`); name == "*" || strings.EqualFold(name, x.application()) {
			return holdSynchronous("synchronous")
		}
	}
	return nil
}

func holdSynchronous(state string) error {
	return stage.Hold("Name the real standbys in synchronous_standby_names, not '*'; the source then goes on by itself",
		"the source's walsender is a %s standby in synchronous_standby_names: the application's commits would wait for Kafka", state)
}

func (x *session) lookUpSlot(ctx context.Context) (*slotRow, error) {
	slot, err := lookAtSlot(ctx, x.control, x.cfg.Slot, 0)
	if err != nil || !slot.Exists {
		return slot, err
	}
	if x.cfg.Volatile {
		return nil, x.refuseSlot(slot)
	}
	if slot.Plugin != "pgoutput" || slot.Database != x.system.Database {
		return nil, stage.Hold("Choose another slot name, or drop the slot if nobody needs it",
			"slot %s is of plugin %q in database %q, not of pgoutput in %q", x.cfg.Slot, slot.Plugin, slot.Database, x.system.Database)
	}
	return slot, nil
}

// startExisting takes the slot when there is one. A slot that the server has
// invalidated is reported as lost, not as an error: a request for a new epoch is
// the way out.
func (x *session) startExisting(ctx context.Context, slot *slotRow) (lost error, err error) {
	if !slot.Exists {
		return nil, nil
	}
	startCtx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	stream, err := replication.Start(startCtx, x.conn, x.cfg.Slot, x.cfg.Publication)
	if redact.SQLState(err) == "55000" { // object_not_in_prerequisite_state
		_ = x.conn.Close() // of no use after a refused start
		x.conn = nil
		return stage.Hold(fixAll, "slot %s was invalidated by the server (it kept more log than max_slot_wal_keep_size allows): changes are lost", x.cfg.Slot), nil
	}
	if err != nil {
		return nil, err
	}
	x.stream = stream
	return nil, nil
}

// fence takes the transactional id and reads the last checkpoint. A process that was
// stopped after it took the slot, and wakes when another one has it, must not fence
// that one: what it took is looked at once more right before (hazard S14).
func (x *session) fence(ctx context.Context) (*publisher.Recovered, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	pid := int32(0)
	if x.stream != nil {
		pid = int32(x.stream.PID())
	}
	tag, err := x.lock.exec(ctx, `
		SELECT FROM (SELECT $2::int AS pid) us WHERE pid = 0
		    OR pid = (SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1)`, x.cfg.Slot, pid)
	if err != nil {
		return nil, fmt.Errorf("look at slot %s before the fence: %w", x.cfg.Slot, err)
	}
	if tag.RowsAffected() == 0 {
		return nil, fmt.Errorf("slot %s went into other hands before the fence: %w", x.cfg.Slot, producers.ErrStandby)
	}
	return x.pub.Recover(ctx)
}

// decide compares the slot with the record of it.
func (x *session) decide(ctx context.Context, slot *slotRow, lost error, r *publisher.Recovered) error {
	x.shapes = r.Shapes
	all := false
	for _, request := range r.Requests {
		all = all || request.All
	}
	c := r.Checkpoint
	if x.cfg.Volatile {
		return x.startAnew(ctx, slot, r)
	}
	switch {
	case x.cfg.SnapshotOnly:
		return x.create(ctx, slot, c, nextEpoch(c), r.Requests)
	case c == nil && !slot.Exists:
		return x.create(ctx, slot, nil, 1, r.Requests)
	case c != nil && c.Creating:
		return x.create(ctx, slot, c, c.Source.Epoch, r.Requests) // hazard S12
	case all:
		return x.create(ctx, slot, c, nextEpoch(c), r.Requests)
	case c == nil:
		return stage.Hold(fixAll, "slot %s exists, but topic %s has no checkpoint: what the slot was confirmed to may be in no topic",
			x.cfg.Slot, schemas.CheckpointsTopic(x.cfg.Prefix))
	case !slot.Exists:
		return stage.Hold(fixAll, "slot %s is gone: the changes since %s cannot be read", x.cfg.Slot, c.Position.EndLSN)
	case lost != nil:
		return lost
	}
	return x.goOn(ctx, slot, c)
}

func nextEpoch(c *schemas.Checkpoint) uint32 {
	if c == nil {
		return 1
	}
	return c.Source.Epoch + 1
}
