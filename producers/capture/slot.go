package capture

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
)

// SlotReport is what the server says about a slot.
type SlotReport struct {
	Name   string `json:"name"`
	Exists bool   `json:"exists"`
	// Active: somebody reads it.
	Active bool `json:"active"`
	// ConfirmedLSN is where its reader has confirmed to, RestartLSN the oldest log that
	// the server keeps for it.
	ConfirmedLSN schemas.LSN `json:"confirmed_lsn"`
	RestartLSN   schemas.LSN `json:"restart_lsn"`
	// LagBytes is from ConfirmedLSN to the end of the server's log, RetainedBytes from
	// RestartLSN: how much log the server keeps for the slot.
	LagBytes      int64 `json:"lag_bytes"`
	RetainedBytes int64 `json:"retained_bytes"`
	// WALStatus is reserved, extended, unreserved or lost, as in pg_replication_slots.
	WALStatus string `json:"wal_status,omitempty"`
	// SafeBytes is how much more log may be written before the slot is lost; nil
	// without max_slot_wal_keep_size.
	SafeBytes *int64 `json:"safe_bytes,omitempty"`
}

// SlotLeft reports on a slot, for who leaves one behind: while nobody reads it, the
// server keeps RetainedBytes of log for it, and more with every change. A slot that is
// not there is no error.
func SlotLeft(ctx context.Context, conn *pgx.Conn, slot string) (*SlotReport, error) {
	look, err := LookAtSlot(ctx, conn, slot)
	if err != nil {
		return nil, err
	}
	return &look.SlotReport, nil
}

// SlotLook is one look at a slot from outside its reader.
type SlotLook struct {
	SlotReport
	// SentLSN is how far the slot's reader was sent the log, decoded; 0 without a
	// reader, and to a role that may not see its session.
	SentLSN schemas.LSN
	// EndLSN is the end of the server's log, Now the server's clock.
	EndLSN schemas.LSN
	Now    time.Time
}

// LookAtSlot looks at a slot, whoever reads it. A slot that is not there is no error.
func LookAtSlot(ctx context.Context, conn *pgx.Conn, slot string) (*SlotLook, error) {
	row, err := lookAtSlot(ctx, conn, slot, 0)
	if err != nil {
		return nil, err
	}
	return &SlotLook{SlotReport: row.SlotReport, SentLSN: row.Sent, EndLSN: row.End, Now: row.Now}, nil
}

// slotRow is one look at the slot.
type slotRow struct {
	SlotReport
	Plugin, Database string
	Temporary        bool        // it ends with the session that made it
	SyncState        string      // of the walsender asked for
	Sent             schemas.LSN // likewise: how far it has decoded
	End              schemas.LSN // of the server's log
	Now              time.Time   // by the server's clock
}

// lookAtSlot reads a slot's row, and that of the walsender with the given pid; 0: of
// the one that reads the slot.
func lookAtSlot(ctx context.Context, conn *pgx.Conn, slot string, pid uint32) (*slotRow, error) {
	r := &slotRow{SlotReport: SlotReport{Name: slot}}
	var confirmed, restart, sent, end int64
	err := conn.QueryRow(ctx, `
		SELECT s.active, coalesce(s.plugin, ''), coalesce(s.database, ''), s.temporary, coalesce(s.wal_status, ''), s.safe_wal_size,
		       coalesce(s.confirmed_flush_lsn - '0/0', 0)::bigint, coalesce(s.restart_lsn - '0/0', 0)::bigint,
		       coalesce(w.lsn - s.confirmed_flush_lsn, 0)::bigint, coalesce(w.lsn - s.restart_lsn, 0)::bigint,
		       (w.lsn - '0/0')::bigint, clock_timestamp(),
		       coalesce(r.sync_state, ''), coalesce(r.sent_lsn - '0/0', 0)::bigint
		FROM pg_replication_slots s
		CROSS JOIN (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS lsn) w
		LEFT JOIN pg_stat_replication r ON r.pid = coalesce(nullif($2, 0), s.active_pid)
		WHERE s.slot_name = $1`, slot, int32(pid)).
		Scan(&r.Active, &r.Plugin, &r.Database, &r.Temporary, &r.WALStatus, &r.SafeBytes, &confirmed, &restart,
			&r.LagBytes, &r.RetainedBytes, &end, &r.Now, &r.SyncState, &sent)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at slot %s: %w", slot, redact.SQLError(err))
	}
	r.Exists = true
	r.ConfirmedLSN, r.RestartLSN, r.Sent, r.End = schemas.LSN(confirmed), schemas.LSN(restart), schemas.LSN(sent), schemas.LSN(end)
	return r, nil
}

// SlotStatus is the guardian's look at the slot, and what it makes of it.
type SlotStatus struct {
	SlotReport
	SyncState string `json:"sync_state,omitempty"`
	// LagSeconds is the age of the slot's position: 0 while everything that the server
	// had logged at the look before is in Kafka, else how long ago, by the server's
	// clock, the last change of the last checkpoint was committed. Absent while this
	// instance does not know that time.
	LagSeconds *float64 `json:"lag_seconds,omitempty"`
	// GrowthBytesPerSecond is how fast the server's log grows, over the last minute.
	GrowthBytesPerSecond float64 `json:"growth_bytes_per_second"`
	// MaxRetained is Config.SlotMaxRetained, in bytes; OverLimit: more is retained.
	MaxRetained int64 `json:"max_retained_bytes,omitempty"`
	OverLimit   bool  `json:"over_limit,omitempty"`
	// SecondsLeft is how long it takes, at this growth and with a position that does
	// not move, until MaxRetained is exceeded or the server gives the slot up
	// (SafeBytes), whichever comes first. Absent without a limit or without growth.
	SecondsLeft *float64  `json:"seconds_left,omitempty"`
	LookedAt    time.Time `json:"looked_at"`
}

// growth measures how fast the log grows.
type growth struct {
	points []point // oldest first
}

type point struct {
	lsn schemas.LSN
	at  time.Time
}

const growthWindow = time.Minute

// before is the end of the log at the last look, 0 before the first.
func (g *growth) before() schemas.LSN {
	if len(g.points) == 0 {
		return 0
	}
	return g.points[len(g.points)-1].lsn
}

// add takes a look in and returns the growth in bytes per second; 0 at first.
func (g *growth) add(lsn schemas.LSN, at time.Time) float64 {
	for len(g.points) > 1 && at.Sub(g.points[0].at) > growthWindow {
		g.points = g.points[1:]
	}
	g.points = append(g.points, point{lsn: lsn, at: at})
	first := g.points[0]
	elapsed := at.Sub(first.at).Seconds()
	if elapsed <= 0 || lsn < first.lsn {
		return 0
	}
	return float64(lsn-first.lsn) / elapsed
}

// secondsLeft is SlotStatus.SecondsLeft.
func (s *SlotStatus) secondsLeft() *float64 {
	left := int64(-1)
	if s.SafeBytes != nil {
		left = max(*s.SafeBytes, 0)
	}
	if s.MaxRetained > 0 {
		if room := max(s.MaxRetained-s.RetainedBytes, 0); left < 0 || room < left {
			left = room
		}
	}
	if left < 0 || s.GrowthBytesPerSecond <= 0 {
		return nil
	}
	seconds := float64(left) / s.GrowthBytesPerSecond
	return &seconds
}
