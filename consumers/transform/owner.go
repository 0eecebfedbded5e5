package transform

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"golang.org/x/sync/errgroup"
)

// look is how often the loop looks up without being woken.
const look = time.Second

// owner is the transform while this instance owns it.
type owner struct {
	*Transform
	log    *slog.Logger
	lock   *election
	conn   *pgx.Conn // the fill's session
	state  *state
	reader *reader
	admin  *kadm.Client
	tables map[schemas.Table]*mirrorTable
	plan   *Plan // what the mapping reads, as of survey.known
	survey survey
	mirror *mirror
	filler *filler
	mapper *evaluator
	teller *announcer
	// ids are the topics' ids as Kafka has them now.
	ids map[string]string
	// reached is the offset of the last checkpoint that was reached by this owner.
	reached int64
	// asked remembers, for one look, which control records wait for a person.
	asked map[int64]bool
	// blocked says why the mapping is not evaluated, while it is not.
	blocked *stage.Held
	// shown says what a person can do who wants to see a new mirror before it is
	// swapped in.
	shown *stage.Held
	// unread is a table whose first backfill the mapping waits for.
	unread string
	// backfill is the number of the backfill run that the target checkpoint knows.
	backfill int64
	// aside runs what ends with the owner, beside its loop.
	aside func(do func(context.Context))
	// remap: another mapping was accepted since the last pass.
	remap bool
}

// newOwner takes the transform over: from here on a former owner's transactions
// fail (invariant 10).
func (t *Transform) newOwner(ctx context.Context, lock *election) (*owner, error) {
	conn, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	s, err := lock.assume(ctx, conn, t)
	if err != nil {
		pgsession.Close(conn)
		return nil, err
	}
	o := &owner{
		Transform: t, plan: t.deps.Plan, log: t.log.With("term", s.term), lock: lock, conn: conn, state: s, reached: -1, asked: map[int64]bool{},
		ids: map[string]string{}, mirror: &mirror{conn: conn, term: s.term, log: t.log}, admin: kadm.NewClient(lock.kafka),
	}
	t.set(func(st *Status) {
		*st = Status{State: Running, Phase: s.phase, Doing: "waiting for the first checkpoint", Evaluated: s.evaluated}
	})
	o.log.Info("this instance owns the transform", "connector", t.Connector(), "phase", s.phase)
	return o, nil
}

// open makes the reader. Checkpoints that stand where they stood are read from
// there; else from the beginning: the newest of them decides what to do.
func (o *owner) open(ctx context.Context) (err error) {
	topic := schemas.CheckpointsTopic(o.cfg.Prefix)
	from := o.state.next[topicPartition{topic, 0}]
	if from > 0 {
		details, err := o.admin.ListTopics(ctx, topic)
		starts, err2 := o.admin.ListStartOffsets(ctx, topic)
		if err = errors.Join(err, err2); err != nil {
			return fmt.Errorf("look the checkpoints up: %w", err)
		}
		if start, ok := starts.Lookup(topic, 0); ok && start.Offset > from || details[topic].ID.String() != o.state.topicIDs[topic] {
			from = 0
		}
	}
	o.reader, err = newReader(o.deps.Kafka, o.cfg.Prefix, from, o.cfg.ReadBytes, o.deps.Registry.Schema, o.log)
	if err == nil {
		o.reading.Store(o.reader)
	}
	return err
}

// run works until stopping, or until something fails. What it started has ended
// when it returns.
func (o *owner) run(ctx context.Context, stopping <-chan struct{}) error {
	defer pgsession.Close(o.conn)
	group, ctx := errgroup.WithContext(ctx)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group.Go(func() error { return o.hold(ctx) })
	group.Go(func() error {
		defer cancel() // the loop leads
		return o.work(ctx, group, stopping)
	})
	err := group.Wait()
	if o.reader != nil {
		o.reader.close()
	}
	return err
}

// work makes everything ready and follows. ctx is the group's.
func (o *owner) work(ctx context.Context, group *errgroup.Group, stopping <-chan struct{}) error {
	if err := o.open(ctx); err != nil {
		return err
	}
	o.aside = func(do func(context.Context)) { group.Go(func() error { do(ctx); return nil }) }
	o.aside(o.reader.run)
	if err := o.prepare(ctx, stopping); err != nil || isClosed(stopping) {
		return err
	}
	beside, besideCtx := errgroup.WithContext(ctx)
	besideCtx, cancel := context.WithCancel(besideCtx)
	defer cancel()
	halt := make(chan struct{})
	beside.Go(func() error { return o.teller.run(besideCtx, halt) })
	beside.Go(func() error { return o.mapper.run(besideCtx, halt) })
	beside.Go(func() error { (&groupOffsets{owner: o}).run(besideCtx, halt); return nil })
	err := o.follow(besideCtx, stopping)
	close(halt)
	if err != nil {
		cancel()
	}
	if beside := beside.Wait(); err == nil || errors.Is(err, context.Canceled) && beside != nil {
		err = beside
	}
	return err
}

// prepare waits for the first checkpoint and makes the mirror ready for it.
func (o *owner) prepare(ctx context.Context, stopping <-chan struct{}) error {
	newest, err := o.newestCheckpoint(ctx, stopping)
	if err != nil || newest == nil {
		return err
	}
	if err := o.checkTopics(ctx, newest); err != nil {
		return err
	}
	if err := o.consult(ctx, max(newest.Source.Epoch, o.state.epoch)); err != nil {
		return err
	}
	if err := o.shape(ctx, newest.Backfill.Run); err != nil {
		return err
	}
	if err := o.equip(ctx); err != nil {
		return err
	}
	loaded, same, err := o.mapper.loadedBefore(ctx)
	o.remap = loaded && !same
	return err
}

// equip makes what works on the mirror as it is now described.
func (o *owner) equip(ctx context.Context) (err error) {
	if o.teller == nil {
		if o.mapper, o.teller, err = o.assemble(o.plan, o.state.term); err != nil {
			return err
		}
		o.evaluating.Store(o.mapper)
		if err := o.mapper.show(ctx); err != nil {
			return err
		}
	}
	// temporary tables follow the mirror's columns
	if _, err := o.conn.Exec(ctx, "DISCARD TEMP"); err != nil {
		return fmt.Errorf("drop the staging tables: %w", redact.SQLError(err))
	}
	o.filler, err = newFiller(ctx, o.conn, o.state.term, o.cfg.Prefix, o.ids, newRouter(o.plan, o.cfg.KeyTimeout, o.log))
	if err == nil {
		o.filler.touching = o.state.phase == phaseFollowing
	}
	return err
}

// newestCheckpoint waits until the checkpoints topic was read to the end that it
// had when reading began: going to the newest of them, nothing older is evaluated
// from topics that may have been compacted beyond it (hazard C11).
func (o *owner) newestCheckpoint(ctx context.Context, stopping <-chan struct{}) (*schemas.Checkpoint, error) {
	end := int64(-1)
	for {
		if end < 0 {
			listed, err := o.admin.ListCommittedOffsets(ctx, o.reader.checkpoints)
			if l, ok := listed.Lookup(o.reader.checkpoints, 0); err == nil && ok && l.Err == nil {
				end = l.Offset
			}
		}
		var newest *schemas.Checkpoint
		err := o.reader.peek(func(feed []feedItem, head int64) {
			for _, item := range feed {
				if item.checkpoint != nil && end >= 0 && head >= end {
					newest = item.checkpoint
				}
			}
		})
		if err != nil || newest != nil {
			return newest, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-stopping:
			return nil, nil
		case <-o.reader.wake:
		case <-time.After(look):
		}
	}
}

// shape makes the mirror follow the source's catalogue.
func (o *owner) shape(ctx context.Context, run int64) error {
	tables, err := mirrorTables(o.cfg.Prefix, o.survey.known.Captured, o.plan)
	if err != nil {
		return err
	}
	if o.tables == nil {
		o.tables = tables
		o.beside(o.state.phase == phaseRebuilding)
	}
	for name, t := range tables { // the reader knows them by their address
		o.tables[name].types, o.tables[name].indexes, o.tables[name].needs = t.types, t.indexes, t.needs
	}
	return o.mirror.ensure(ctx, o.tables, o.plan.Extensions, o.filledBefore, run)
}

// filledBefore reports whether something of a topic is in the mirror.
func (o *owner) filledBefore(topic string) bool {
	for tp, next := range o.state.next {
		if tp.topic == topic && next > 0 {
			return true
		}
	}
	for tp, next := range o.reader.filled() {
		if tp.topic == topic && next > 0 {
			return true
		}
	}
	return false
}
