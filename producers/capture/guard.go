package capture

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/producers/replication"
	"github.com/backstitch/backstitch/schemas"
)

// startWatching has the guardian look after the session, and starts the watch over
// Kafka. Both are never in the stream's way.
func (x *session) startWatching(ctx context.Context) {
	x.oids = make(map[string]uint32, len(x.captured))
	for _, t := range x.captured {
		x.oids[t.Relation.String()] = t.Relation.OID
	}
	x.live.Store(x)
	select {
	case x.wake <- struct{}{}:
	default:
	}
	x.watch.Go(func() {
		if err := x.pub.Watch(ctx, min(time.Second, x.cfg.GiveUp/3)); err != nil {
			x.fail(err) // hazard S15
		}
	})
}

// guardian watches the slot for as long as the source is started, whoever owns it and
// whether or not Kafka answers. For the session that runs it also writes heartbeats,
// and ends it when it must not go on.
type guardian struct {
	*Source
	conn *pgx.Conn
	warn bool
	good time.Time // the last step that worked
	seen *session  // whom it has written a heartbeat for
	beat time.Time // when the next one is due

	growth growth
	limit  limit
	silent time.Time // when it said last that Kafka is silent
}

func (s *Source) guard(ctx context.Context) {
	g := &guardian{Source: s, good: time.Now(), limit: limit{most: s.cfg.SlotMaxRetained}}
	defer func() {
		if g.conn != nil {
			pgsession.Close(g.conn)
		}
	}()
	look := time.Now()
	for {
		next := look
		x := g.live.Load()
		if x != nil && g.seen != x {
			g.seen, g.beat = x, time.Now() // a successor shows at once that it works
		}
		if x != nil && g.beat.Before(next) {
			next = g.beat
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-g.wake:
			timer.Stop()
			continue
		case <-timer.C:
		}
		now := time.Now()
		if x != nil && !g.beat.After(now) {
			g.beat = now.Add(g.cfg.Heartbeat)
			g.step(ctx, x, func(ctx context.Context) error {
				_, err := replication.Heartbeat(ctx, g.conn)
				return err
			})
		}
		if !look.After(now) {
			look = now.Add(g.cfg.GuardEvery)
			g.step(ctx, x, func(ctx context.Context) error { return g.look(ctx, x) })
		}
	}
}

// step does one thing on a live connection, which is made anew after a failure. What
// it finds ends the session; what keeps it from looking does not, unless the stream
// has not been heard either: then the source is out of reach.
func (g *guardian) step(ctx context.Context, x *session, do func(context.Context) error) {
	bound := 2 * g.cfg.SenderTimeout
	stepCtx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	err := func() (err error) {
		if g.conn == nil || g.conn.IsClosed() {
			if g.conn, err = pgx.ConnectConfig(stepCtx, replication.Session(g.deps.Source, g.cfg.Name+" guardian")); err != nil {
				return fmt.Errorf("connect the guardian to the source: %w", redact.SQLError(err))
			}
		}
		return do(stepCtx)
	}()
	if err == nil {
		g.good, g.warn = time.Now(), false
		return
	}
	if ctx.Err() != nil {
		return
	}
	if _, held := stage.AsHeld(err); held || errors.Is(err, errAgain) || errors.Is(err, errExceeded) {
		g.good = time.Now()
		if x != nil {
			x.fail(err)
		}
		return
	}
	if !g.warn {
		g.log.WarnContext(ctx, "the guardian cannot watch the slot", "error", err)
	}
	g.warn = true
	silence := time.Since(g.good)
	if x != nil && silence >= bound && time.Since(x.stream.Heard()) >= bound && g.Status().Phase != phaseReading {
		x.fail(fmt.Errorf("the source has not been heard for %s: %w", silence.Round(time.Millisecond), err))
	}
}

// look looks at the slot, tells what it sees, and what must end the session x, if any.
func (g *guardian) look(ctx context.Context, x *session) error {
	pid := uint32(0)
	if x != nil {
		pid = x.stream.PID()
	}
	row, err := lookAtSlot(ctx, g.conn, g.cfg.Slot, pid)
	if err != nil {
		return err
	}
	g.tell(ctx, x, row)
	exceeded := g.limit.look(row.RetainedBytes)
	if exceeded && g.cfg.SlotOnExceed == OnExceedDrop && (x != nil || !row.Active) {
		select {
		case g.over <- struct{}{}:
		default:
		}
		return errExceeded
	}
	if x == nil {
		return nil
	}
	switch {
	case row.SyncState != "" && row.SyncState != "async": // hazard S19
		return holdSynchronous(row.SyncState)
	case row.WALStatus == "lost" && g.cfg.Volatile:
		return errAgain // with a slot and an epoch of its own
	case row.WALStatus == "lost":
		return stage.Hold(fixAll, "slot %s was invalidated by the server: it kept more log than max_slot_wal_keep_size allows, and changes are lost", g.cfg.Slot)
	case row.WALStatus == "unreserved":
		g.log.WarnContext(ctx, "the slot is about to be invalidated: raise max_slot_wal_keep_size", "slot", g.cfg.Slot, "retained_bytes", row.RetainedBytes)
	}
	return g.tables(ctx, maps.Clone(x.oids))
}

// tables notices a table that was dropped, or made again under its name: the
// publication has lost it (hazard S25).
func (g *guardian) tables(ctx context.Context, oids map[string]uint32) error {
	for name, oid := range oids {
		var there, published bool
		var now uint32
		table, err := g.named(name)
		if err != nil {
			return err
		}
		err = g.conn.QueryRow(ctx, `
			SELECT to_regclass($1) IS NOT NULL, coalesce(to_regclass($1)::oid, 0),
			       EXISTS (SELECT 1 FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
			               WHERE p.pubname = $2 AND r.prrelid = $3::oid)`, table.SQL(), g.cfg.Publication, oid).Scan(&there, &now, &published)
		if err != nil {
			return fmt.Errorf("look at table %s: %w", name, redact.SQLError(err))
		}
		switch {
		case !there:
			return stage.Hold("Take it out of the configuration, or make it again and run `backstitch backfill --table`; nothing is deleted in Stytch because of it",
				"table %s does not exist any more at the source", name)
		case now != oid || !published:
			g.log.WarnContext(ctx, "a table was made again, or left the publication", "table", name)
			return errAgain
		}
	}
	return nil
}

func (g *guardian) named(name string) (schemas.Table, error) {
	for _, t := range g.cfg.Tables {
		if t.String() == name {
			return t, nil
		}
	}
	return schemas.Table{}, fmt.Errorf("look at table %s: it is not configured", name)
}
