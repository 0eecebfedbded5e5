package capture

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/producers/replication"
	"github.com/backstitch/backstitch/schemas"
)

// startGuard starts the guardian, which also writes the heartbeats. It has a
// session of its own and is never in the stream's way.
func (x *session) startGuard(ctx context.Context) {
	pid := x.stream.PID()
	oids := make(map[string]uint32, len(x.captured))
	for _, t := range x.captured {
		oids[t.Relation.String()] = t.Relation.OID
	}
	x.guard.Go(func() {
		g := &guardian{Source: x.Source, pid: pid, oids: oids}
		if err := g.run(ctx); err != nil && ctx.Err() == nil {
			x.failure <- err
			x.stream.Interrupt()
		}
	})
}

type guardian struct {
	*Source
	pid  uint32
	oids map[string]uint32
	conn *pgx.Conn
	warn bool
}

func (g *guardian) run(ctx context.Context) (err error) {
	defer func() {
		if g.conn != nil {
			closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			_ = g.conn.Close(closeCtx) // the session ends either way
		}
	}()
	beat := time.NewTicker(g.cfg.Heartbeat)
	defer beat.Stop()
	look := time.NewTicker(g.cfg.GuardEvery)
	defer look.Stop()
	for {
		if err := g.step(ctx, g.look); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			err := g.step(ctx, func(ctx context.Context) error {
				_, err := replication.Heartbeat(ctx, g.conn)
				return err
			})
			if err != nil {
				return err
			}
		case <-look.C:
		}
	}
}

// step does one thing on a live session. A session that fails is made anew at the
// next step: only what the guardian found is an error.
func (g *guardian) step(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := func() (err error) {
		if g.conn == nil || g.conn.IsClosed() {
			if g.conn, err = pgx.ConnectConfig(ctx, replication.Session(g.deps.Source, g.cfg.Name+" guardian")); err != nil {
				return fmt.Errorf("connect the guardian to the source: %w", redact.SQLError(err))
			}
		}
		return do(ctx)
	}()
	if _, held := stage.AsHeld(err); held || errors.Is(err, errAgain) {
		return err
	}
	if err != nil && !g.warn {
		g.log.WarnContext(ctx, "the guardian cannot watch the slot", "error", err)
	}
	g.warn = err != nil
	return nil
}

func (g *guardian) look(ctx context.Context) error {
	var s SlotStatus
	err := g.conn.QueryRow(ctx, `
		SELECT coalesce(s.wal_status, ''), s.safe_wal_size, coalesce(r.sync_state, ''),
		       coalesce(pg_wal_lsn_diff(w.lsn, s.confirmed_flush_lsn), 0)::bigint, coalesce(pg_wal_lsn_diff(w.lsn, s.restart_lsn), 0)::bigint
		FROM pg_replication_slots s
		CROSS JOIN (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS lsn) w
		LEFT JOIN pg_stat_replication r ON r.pid = $2
		WHERE s.slot_name = $1`, g.cfg.Slot, int32(g.pid)).
		Scan(&s.WALStatus, &s.SafeBytes, &s.SyncState, &s.LagBytes, &s.RetainedBytes)
	if err != nil {
		return fmt.Errorf("look at slot %s: %w", g.cfg.Slot, redact.SQLError(err))
	}
	g.status.set(func(st *Status) { st.Slot = s })
	g.metrics.lag.Set(float64(s.LagBytes))
	g.metrics.retained.Set(float64(s.RetainedBytes))
	switch {
	case s.SyncState != "" && s.SyncState != "async": // hazard S19
		return stage.Hold("Name the real standbys in synchronous_standby_names, not '*', and restart the connector",
			"the source's walsender is a %s standby in synchronous_standby_names: the application's commits wait for Kafka", s.SyncState)
	case s.WALStatus == "lost":
		return stage.Hold(fixAll, "slot %s was invalidated by the server: it kept more log than max_slot_wal_keep_size allows, and changes are lost", g.cfg.Slot)
	case s.WALStatus == "unreserved":
		g.log.WarnContext(ctx, "the slot is about to be invalidated: raise max_slot_wal_keep_size", "slot", g.cfg.Slot, "retained_bytes", s.RetainedBytes)
	}
	return g.tables(ctx)
}

// tables notices a table that was dropped, or made again under its name: the
// publication has lost it (hazard S25).
func (g *guardian) tables(ctx context.Context) error {
	for name, oid := range g.oids {
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
