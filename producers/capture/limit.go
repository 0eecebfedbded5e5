package capture

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/producers"
)

// errExceeded ends a session whose slot retains more than it may.
var errExceeded = errors.New("the slot retains more than it may")

// limit compares what the slot retains with what it may.
type limit struct {
	most   int64 // bytes; 0: no limit
	looked bool
	over   bool
	bar    int64 // what a slot that was found over the limit may retain
}

// look reports whether the slot must go where it is dropped. A slot that was over the
// limit when nobody was there to watch gets a tenth of the limit more: who comes back
// first drains it, and drops it only when it goes on growing.
func (l *limit) look(retained int64) (exceeded bool) {
	l.over = l.most > 0 && retained > l.most
	switch {
	case !l.over:
		l.bar = 0
	case !l.looked:
		l.bar = retained + l.most/10
	}
	l.looked = true
	return l.over && retained > l.bar
}

// tell puts a look into status and metrics, and warns once at each crossing of the
// limit, and again and again while Kafka does not answer.
func (g *guardian) tell(ctx context.Context, x *session, r *slotRow) {
	s := SlotStatus{SlotReport: r.SlotReport, SyncState: r.SyncState, MaxRetained: g.cfg.SlotMaxRetained, LookedAt: g.deps.Clock().UTC()}
	s.OverLimit = s.MaxRetained > 0 && s.RetainedBytes > s.MaxRetained
	s.LagSeconds = g.lag(x, r)
	s.GrowthBytesPerSecond = g.growth.add(r.End, r.Now)
	s.SecondsLeft = s.secondsLeft()
	silent := g.silentSince(x)
	crossed := s.OverLimit && !g.Status().Slot.OverLimit
	g.status.set(func(st *Status) { st.Slot, st.KafkaSilentSince = s, silent })
	g.measure(&s, silent)
	if crossed && (x != nil || !s.Active) {
		g.log.WarnContext(ctx, "the slot makes the source's server keep more log than slot.max_retained",
			"slot", s.Name, "retained_bytes", s.RetainedBytes, "max_retained_bytes", s.MaxRetained, "on_exceed", g.cfg.SlotOnExceed)
	}
	if silent == nil || !s.Exists {
		g.silent = time.Time{}
	} else if time.Since(g.silent) > remindEvery {
		g.silent = time.Now()
		g.warnSilent(ctx, &s, *silent)
	}
}

// warnSilent says how long the disk lasts while Kafka takes no commits.
func (g *guardian) warnSilent(ctx context.Context, s *SlotStatus, since time.Time) {
	args := []any{
		"slot", s.Name, "silent_for", time.Since(since).Round(time.Second).String(),
		"retained_bytes", s.RetainedBytes, "growth_bytes_per_hour", int64(s.GrowthBytesPerSecond * 3600),
	}
	if s.SecondsLeft != nil {
		args = append(args, "lasts_for", (time.Duration(*s.SecondsLeft) * time.Second).String())
	}
	g.log.WarnContext(ctx, "Kafka takes no commits, and the source's server keeps its log meanwhile", args...)
}

// silentSince is since when Kafka has not answered an instance that would own the
// source; nil while it does, or while nobody asks it.
func (g *guardian) silentSince(x *session) *time.Time {
	at := time.Unix(0, g.answered.Load()).UTC()
	if asked := x != nil || g.Status().State == StateRestarting; !asked || time.Since(at) < max(2*time.Second, g.cfg.GiveUp/2) {
		return nil
	}
	return &at
}

// lag is SlotStatus.LagSeconds.
func (g *guardian) lag(x *session, r *slotRow) *float64 {
	zero := 0.0
	reached, position := r.ConfirmedLSN, g.Status().Position
	if x != nil {
		reached = max(reached, position.EndLSN)
		if x.idle.Load() {
			reached = max(reached, r.Sent)
		}
	}
	before := g.growth.before()
	switch {
	case !r.Exists || before == 0:
		return nil
	case reached >= before:
		return &zero
	case position.CommitTime.IsZero() || x == nil && position.EndLSN != r.ConfirmedLSN:
		return nil
	}
	age := max(0, r.Now.Sub(position.CommitTime).Seconds())
	return &age
}

func (g *guardian) measure(s *SlotStatus, silent *time.Time) {
	m := g.metrics
	m.lost.Set(float64(boolInt(s.WALStatus == "lost")))
	m.silent.Set(0)
	if silent != nil {
		m.silent.Set(time.Since(*silent).Seconds())
	}
	m.lag.Set(float64(s.LagBytes))
	m.retained.Set(float64(s.RetainedBytes))
	m.growth.Set(s.GrowthBytesPerSecond)
	m.overLimit.Set(float64(boolInt(s.OverLimit)))
	m.left.Set(math.Inf(1))
	if s.SecondsLeft != nil {
		m.left.Set(*s.SecondsLeft)
	}
	m.safe.Set(math.Inf(1))
	if s.SafeBytes != nil {
		m.safe.Set(float64(*s.SafeBytes))
	}
	m.lagSeconds.Set(math.NaN())
	if s.LagSeconds != nil {
		m.lagSeconds.Set(*s.LagSeconds)
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// dropExceeded drops a slot that retains more than it may, whoever read it last, and
// holds the source: the primary's disk matters more than a backfill. It is done under
// the lock of every path that drops slots, and only if it is still so (hazard S27).
func (s *Source) dropExceeded(ctx context.Context) {
	err := s.tryDropExceeded(ctx)
	switch held, ok := stage.AsHeld(err); {
	case ok:
		s.held = held
		s.log.ErrorContext(ctx, "the slot was dropped to protect the disk of the source's server", "slot", s.cfg.Slot)
	case err != nil && !errors.Is(err, producers.ErrStandby):
		s.log.WarnContext(ctx, "the slot retains more than it may, and cannot be dropped yet", "slot", s.cfg.Slot, "error", err)
	}
}

func (s *Source) tryDropExceeded(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, slotRelease)
	defer cancel()
	lock, err := s.takeLock(ctx, func(error) {}) // without it the statement below fails
	if err != nil {
		return err
	}
	defer lock.release()
	for {
		tag, err := lock.exec(ctx, `
			SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
			WHERE slot_name = $1 AND NOT active AND NOT pg_is_in_recovery() AND pg_current_wal_lsn() - restart_lsn > $2`,
			s.cfg.Slot, s.cfg.SlotMaxRetained)
		if err == nil && tag.RowsAffected() > 0 {
			return s.holdExceeded()
		}
		if err != nil && redact.SQLState(err) != "55006" { // object_in_use: its reader ends in a moment
			return fmt.Errorf("drop slot %s: %w", s.cfg.Slot, err)
		}
		row, err := lookAtSlot(ctx, lock.conn, s.cfg.Slot, 0)
		if err != nil || !row.Exists || row.RetainedBytes <= s.cfg.SlotMaxRetained {
			return err
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("drop slot %s: it is still read: %w", s.cfg.Slot, err)
		}
	}
}

func (s *Source) holdExceeded() error {
	slot := s.Status().Slot
	return stage.Hold(fixAll+", once the log can be read as fast as it is written, or with a larger source.slot.max_retained",
		"slot %s made the source's server keep %d bytes of log, more than source.slot.max_retained (%d), and was dropped to protect its disk (source.slot.on_exceed: drop): the changes since %s are in no topic",
		s.cfg.Slot, slot.RetainedBytes, s.cfg.SlotMaxRetained, slot.ConfirmedLSN)
}
