package capture

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/producers/publisher"
	"github.com/backstitch/backstitch/producers/replication"
	"github.com/backstitch/backstitch/schemas"
)

// openTimeout bounds what of the recovery path waits for nobody's transactions.
const openTimeout = 60 * time.Second

const fixAll = "Run `backstitch backfill --all`: a new slot, the next epoch, every table read again"

// open is the recovery path. It holds the session lock on the source database for
// its whole length, so that nobody takes an idle slot from an instance that has
// just created it (hazard S27).
func (x *session) open(ctx context.Context) error {
	x.failure = make(chan error, 1)
	x.tables = make(map[uint32]*streamed)
	if err := x.connect(ctx); err != nil {
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
	recovered, err := x.openPublisher(ctx)
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
	x.startGuard(ctx)
	if err := x.unlock(ctx); err != nil {
		return err
	}
	return x.takeRequests(ctx, recovered.Requests)
}

func (x *session) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	control, err := pgx.ConnectConfig(ctx, replication.Session(x.deps.Source, x.application()))
	if err != nil {
		return fmt.Errorf("connect to the source: %w", redact.SQLError(err))
	}
	x.control = control
	if err := x.lock(ctx); err != nil {
		return err
	}
	if x.conn, err = replication.Connect(ctx, x.deps.Source, x.application()); err != nil {
		return err
	}
	x.system, err = x.conn.Identify(ctx)
	return err
}

// lock takes the session lock under which slots are created and dropped.
func (x *session) lock(ctx context.Context) error {
	var ok bool
	err := x.control.QueryRow(ctx, "SELECT pg_try_advisory_lock(hashtextextended($1, 0))", lockName(x.cfg.Slot)).Scan(&ok)
	if err != nil {
		return fmt.Errorf("take the lock for slot %s: %w", x.cfg.Slot, redact.SQLError(err))
	}
	if !ok {
		return fmt.Errorf("take the lock for slot %s: %w", x.cfg.Slot, producers.ErrStandby)
	}
	return nil
}

func (x *session) unlock(ctx context.Context) error {
	if _, err := x.control.Exec(ctx, "SELECT pg_advisory_unlock(hashtextextended($1, 0))", lockName(x.cfg.Slot)); err != nil {
		return fmt.Errorf("release the lock for slot %s: %w", x.cfg.Slot, redact.SQLError(err))
	}
	return nil
}

func lockName(slot string) string { return "backstitch slot " + slot }

// slotRow is what the server says about the slot.
type slotRow struct {
	exists    bool
	confirmed schemas.LSN
}

func (x *session) lookUpSlot(ctx context.Context) (slotRow, error) {
	var plugin, database, confirmed string
	err := x.control.QueryRow(ctx, `
		SELECT coalesce(plugin, ''), coalesce(database, ''), coalesce(confirmed_flush_lsn, '0/0')::text
		FROM pg_replication_slots WHERE slot_name = $1`, x.cfg.Slot).Scan(&plugin, &database, &confirmed)
	if errors.Is(err, pgx.ErrNoRows) {
		return slotRow{}, nil
	}
	if err != nil {
		return slotRow{}, fmt.Errorf("look up slot %s: %w", x.cfg.Slot, redact.SQLError(err))
	}
	if plugin != "pgoutput" || database != x.system.Database {
		return slotRow{}, stage.Hold("Choose another slot name, or drop the slot if nobody needs it",
			"slot %s is of plugin %q in database %q, not of pgoutput in %q", x.cfg.Slot, plugin, database, x.system.Database)
	}
	lsn, err := schemas.ParseLSN(confirmed)
	if err != nil {
		return slotRow{}, fmt.Errorf("look up slot %s: %w", x.cfg.Slot, err)
	}
	return slotRow{exists: true, confirmed: lsn}, nil
}

// startExisting takes the slot when there is one. A slot that the server has
// invalidated is reported as lost, not as an error: a request for a new epoch is
// the way out.
func (x *session) startExisting(ctx context.Context, slot slotRow) (lost error, err error) {
	if !slot.exists {
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

func (x *session) openPublisher(ctx context.Context) (*publisher.Recovered, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	pub, recovered, err := publisher.Open(ctx, publisher.Config{
		Prefix: x.cfg.Prefix, Database: x.system.Database,
		Partitions: x.cfg.Partitions, ReplicationFactor: x.cfg.ReplicationFactor,
		CreateTopics: x.cfg.CreateTopics, TopicConfigs: x.cfg.TopicConfigs, MaxRecordBytes: x.cfg.MaxRecordBytes,
		MinGap: x.cfg.MinGap, GiveUp: x.cfg.GiveUp, Now: x.deps.Clock,
		Kafka: x.deps.Kafka, Registry: x.deps.Registry, Logger: x.log, Metrics: x.kafka,
	})
	if err != nil {
		return nil, err
	}
	x.pub = pub
	return recovered, nil
}

// decide compares the slot with the record of it.
func (x *session) decide(ctx context.Context, slot slotRow, lost error, r *publisher.Recovered) error {
	x.shapes = r.Shapes
	all := false
	for _, request := range r.Requests {
		all = all || request.All
	}
	c := r.Checkpoint
	switch {
	case c == nil && !slot.exists:
		return x.create(ctx, slot, nil, 1, r.Requests)
	case c != nil && c.Creating:
		return x.create(ctx, slot, c, c.Source.Epoch, r.Requests) // hazard S12
	case all:
		epoch := uint32(1)
		if c != nil {
			epoch = c.Source.Epoch + 1
		}
		return x.create(ctx, slot, c, epoch, r.Requests)
	case c == nil:
		return stage.Hold(fixAll, "slot %s exists, but topic %s has no checkpoint: what the slot was confirmed to may be in no topic",
			x.cfg.Slot, schemas.CheckpointsTopic(x.cfg.Prefix))
	case !slot.exists:
		return stage.Hold(fixAll, "slot %s is gone: the changes since %s cannot be read", x.cfg.Slot, c.Position.EndLSN)
	case lost != nil:
		return lost
	}
	return x.goOn(ctx, slot, c)
}
