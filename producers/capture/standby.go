package capture

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/producers/replication"
)

// pollTimeout bounds a look at the slot, a new connection included.
const pollTimeout = 3 * time.Second

// errPoll says that the look at the slot failed: nothing was touched.
var errPoll = errors.New("the slot cannot be looked at")

// vacant fails with producers.ErrStandby while somebody reads the slot. It reads one
// row of shared memory in a session that is kept: neither the slot, nor the lock, nor
// Kafka is touched by who only stands by (hazard S14).
func (s *Source) vacant(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	if s.poll == nil {
		conn, err := pgx.ConnectConfig(ctx, replication.Session(s.deps.Source, "backstitch "+s.cfg.Name+" stand-by"))
		if err != nil {
			return fmt.Errorf("%w: connect to the source: %w", errPoll, redact.SQLError(err))
		}
		s.poll = conn
	}
	var holder string
	err := s.poll.QueryRow(ctx, `
		SELECT coalesce((SELECT a.application_name FROM pg_stat_get_activity(s.active_pid) a LIMIT 1), '')
		FROM pg_replication_slots s WHERE s.slot_name = $1 AND s.active AND s.active_pid IS NOT NULL`, s.cfg.Slot).Scan(&holder)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		s.stopPolling()
		return fmt.Errorf("%w: slot %s: %w", errPoll, s.cfg.Slot, redact.SQLError(err))
	}
	owner, _ := strings.CutPrefix(holder, "backstitch "+s.cfg.Name)
	s.status.set(func(st *Status) { st.Owner = strings.TrimSpace(owner) })
	return fmt.Errorf("read slot %s: %w", s.cfg.Slot, producers.ErrStandby)
}

// stopPolling ends the session of the look: an owner needs it no more.
func (s *Source) stopPolling() {
	if s.poll != nil {
		pgsession.Close(s.poll)
		s.poll = nil
	}
}
