package transform

import (
	"context"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// follow goes from checkpoint to checkpoint until stopping. What it interrupts is
// durable: the next owner goes on from there.
func (o *owner) follow(ctx context.Context, stopping <-chan struct{}) error {
	o.metrics.owner.Set(1)
	defer o.metrics.owner.Set(0)
	tick := time.NewTicker(look)
	defer tick.Stop()
	for !isClosed(stopping) {
		target, before, err := o.next(ctx)
		if err != nil {
			return err
		}
		if target != nil {
			if err := o.advance(ctx, stopping, target, before); err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-stopping:
		case <-o.reader.wake:
		case <-o.wake:
			clear(o.asked)
		case <-tick.C:
			clear(o.asked)
		}
	}
	return nil
}

// next is the checkpoint to go to and the control records on the way; nil when
// there is none yet, or one waits for a person.
func (o *owner) next(ctx context.Context) (target *feedItem, before []*control, err error) {
	if err := o.overhear(ctx); err != nil {
		return nil, nil, err
	}
	var feed []feedItem
	if err := o.reader.peek(func(f []feedItem, _ int64) { feed = append(feed, f...) }); err != nil {
		return nil, nil, err
	}
	var admitErr error
	at, held := pick(feed, o.usable, func(c *control) bool {
		waits, err := o.waits(ctx, c)
		if err != nil {
			admitErr = err
		}
		return waits
	})
	if admitErr != nil {
		return nil, nil, admitErr
	}
	o.note(feed, held)
	if at < 0 {
		return nil, nil, nil
	}
	return &feed[at], controlsBefore(feed, at), nil
}

// usable: the checkpoint lies ahead, and nothing beyond it is filled.
func (o *owner) usable(i feedItem) bool {
	if i.offset <= o.reached {
		return false
	}
	ends := o.ends(i.checkpoint)
	for tp, filled := range o.reader.filled() {
		if ends[tp] < filled {
			return false
		}
	}
	return true
}

// ends are the checkpoint's ends of the partitions that are read.
func (o *owner) ends(c *schemas.Checkpoint) map[topicPartition]int64 {
	ends := map[topicPartition]int64{}
	for _, t := range o.tables {
		for p, end := range c.Topics[t.topic].Ends {
			ends[topicPartition{t.topic, int32(p)}] = end
		}
	}
	return ends
}

// waits admits a control record, once a look.
func (o *owner) waits(ctx context.Context, c *control) (bool, error) {
	if answer, ok := o.asked[c.offset]; ok {
		return answer, nil
	}
	var waits bool
	err := pgx.BeginFunc(ctx, o.deps.Ledger, func(tx pgx.Tx) (err error) {
		if err := fence(ctx, tx, o.state.term); err != nil { // a question of a former owner would stay unanswered
			return err
		}
		c.done, waits, err = admit(ctx, tx, o.cfg.Prefix, c, o.state.phase != phaseFollowing || o.tables[c.Table] == nil)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("admit a control record: %w", redact.SQLError(err))
	}
	if !waits {
		if waits, err = o.awaitsSource(ctx, c); err != nil {
			return false, err
		}
	}
	o.asked[c.offset] = waits
	return waits, nil
}

// note keeps the status: what the loop waits for, and how far it is behind.
func (o *owner) note(feed []feedItem, held *control) {
	var newest *schemas.Checkpoint
	for _, item := range feed {
		if item.checkpoint != nil {
			newest = item.checkpoint
		}
	}
	var backlog int64
	if newest != nil {
		filled := o.reader.filled()
		for tp, end := range o.ends(newest) {
			backlog += max(0, end-filled[tp])
		}
	}
	o.metrics.backlog.Set(float64(backlog))
	o.set(func(s *Status) {
		s.Phase, s.Backlog = o.state.phase, backlog
		if newest != nil {
			s.Newest = positionOf(newest)
		}
		s.Catalogue = o.survey.status()
		switch {
		case held != nil && held.Kind == schemas.ControlColumns:
			s.Doing, s.Held = waitingForSource+o.survey.waits, nil
		case held != nil:
			s.Doing = "waiting for a person's consent"
			s.Held = &stage.Held{
				Reason: fmt.Sprintf("table %s: %s at %s in the source; what stands after it may delete entities", held.Table, held.Kind, held.Version.Commit),
				Fix:    fmt.Sprintf("`backstitch approve %d` empties its mirror and goes on", held.consentID),
			}
		case o.blocked != nil:
			s.Doing, s.Held = "filling; the mapping waits for complete rows", o.blocked
		case o.shown != nil:
			s.Doing, s.Held = "filling the new mirror; the swap waits for a person's consent", o.shown
		case o.unread != "":
			s.Doing, s.Held = "filling; the mapping waits until "+o.unread+" was read for the first time", nil
		default:
			s.Doing, s.Held = o.state.phase, nil
		}
	})
}

// advance brings the mirror exactly to a checkpoint and, where it ends a source
// transaction, evaluates the mapping there (invariant 11).
func (o *owner) advance(ctx context.Context, stopping <-chan struct{}, target *feedItem, before []*control) error {
	c := target.checkpoint
	o.backfill = c.Backfill.Run
	o.reader.settle(false)
	if err := o.renew(ctx, c); err != nil {
		return err
	}
	o.filler.epoch = c.Source.Epoch
	if err := o.assign(c); err != nil { // first: what a control record empties must be read
		return err
	}
	if err := o.obey(ctx, c, before); err != nil {
		return err
	}
	if done, err := o.fillTo(ctx, stopping, c); err != nil || !done {
		return err
	}
	if err := o.arrive(ctx, target); err != nil {
		return err
	}
	if c.Position.EndsTransaction {
		if err := o.evaluateAt(ctx, c); err != nil {
			return err
		}
	}
	o.reader.settle(true)
	return nil
}

// fillTo fills everything before the checkpoint's ends in bounded transactions
// (hazard C14); done is false when stopping came between. While the ledger works on
// one batch, the next one is gathered.
func (o *owner) fillTo(ctx context.Context, stopping <-chan struct{}, c *schemas.Checkpoint) (done bool, err error) {
	ends := o.ends(c)
	ctx, cancel := context.WithCancel(ctx)
	type taken struct {
		b       *batch
		arrived bool
		err     error
	}
	gather := func() <-chan taken {
		next := make(chan taken, 1)
		go func() {
			b, arrived, err := o.reader.take(ctx, ends, o.cfg.BatchRows, o.cfg.BatchBytes)
			next <- taken{b, arrived, err}
		}()
		return next
	}
	next := gather()
	for {
		var t taken
		select {
		case t = <-next:
		case <-stopping:
			cancel()
			<-next
			return false, nil
		}
		if t.err != nil {
			cancel()
			return false, t.err
		}
		if !t.arrived {
			next = gather()
		}
		err := o.fill(ctx, t.b, c.Position.EndLSN)
		if err != nil || t.arrived || isClosed(stopping) {
			cancel()
			if !t.arrived {
				<-next // what it took is read again by the next owner
			}
			return err == nil && t.arrived, err
		}
	}
}

// assign starts to read the topics that the checkpoint knows and nobody reads yet.
func (o *owner) assign(c *schemas.Checkpoint) error {
	for _, table := range sortedTables(o.tables) {
		t := o.tables[table]
		known, ok := c.Topics[t.topic]
		if !ok {
			continue
		}
		if o.ids[t.topic] == "" {
			o.ids[t.topic] = known.ID
		}
		if o.ids[t.topic] != known.ID {
			return holdRecreated(t.topic) // hazard S22
		}
		if n := o.reader.partitions(t.topic); n == 0 && len(known.Ends) > 0 {
			o.reader.assign(t, known.ID, len(known.Ends), o.state.next)
		} else if n != len(known.Ends) {
			return stage.Hold(fixRebuild, "topic %s had %d partitions and is now said to have %d: keys may lie in two of them", t.topic, n, len(known.Ends)) // hazard S22
		}
	}
	return nil
}

func (o *owner) fill(ctx context.Context, b *batch, endLSN schemas.LSN) error {
	if b.emptied != nil {
		return o.filler.empty(ctx, b.table, b.emptied)
	}
	if b.rows == 0 {
		return nil
	}
	started := time.Now()
	done, err := o.filler.fill(ctx, b, endLSN)
	if err != nil && redact.SQLState(err) == "22P02" && ctx.Err() == nil { // perhaps an enum's new label (hazard C19)
		if err := o.refresh(ctx, "a value does not fit its type in the ledger: an enum may have a new label"); err != nil {
			return err
		}
		if err := o.shape(ctx, o.backfill); err != nil {
			return err
		}
		done, err = o.filler.fill(ctx, b, endLSN)
	}
	if err != nil {
		return err
	}
	took := time.Since(started)
	o.metrics.filled(done, took)
	o.set(func(s *Status) {
		s.Read += done.read
		s.Written += done.written
		rate := float64(done.read) / took.Seconds()
		s.RowsPerSecond += (rate - s.RowsPerSecond) / 4
	})
	return nil
}
