package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/producers/publisher"
	"github.com/backstitch/backstitch/producers/replication"
	"github.com/backstitch/backstitch/schemas"
)

const (
	standbyEvery = 500 * time.Millisecond
	firstBackoff = 250 * time.Millisecond
	lastBackoff  = 10 * time.Second
)

// Source is the source connector of one prefix: it owns the slot and the topics
// while it is the active instance, and stands by while another one is.
type Source struct {
	*stage.Stage

	cfg     Config
	deps    Deps
	log     *slog.Logger
	metrics *metrics
	kafka   *publisher.Metrics
	status  statusBox
	tried   map[string]bool // backfill requests that a session has seen, by key
}

// New makes a source that is not started yet.
func New(cfg Config, deps Deps) *Source {
	cfg = cfg.withDefaults()
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Source{
		cfg: cfg, deps: deps, log: deps.Logger.With("connector", cfg.Name),
		metrics: newMetrics(deps.Metrics), kafka: publisher.NewMetrics(deps.Metrics),
		tried: make(map[string]bool),
	}
	s.status.set(func(st *Status) { st.State = StateUnassigned })
	s.Stage = stage.New(cfg.Name, s.run)
	return s
}

// run is the one recovery path, again and again: whatever goes wrong, the next
// session starts from the last committed checkpoint.
func (s *Source) run(ctx context.Context, stopping <-chan struct{}) error {
	defer s.status.set(func(st *Status) {
		if st.State == StateRunning || st.State == StateStandby {
			st.State = StateUnassigned
		}
	})
	backoff := firstBackoff
	for {
		began := time.Now()
		err := s.once(ctx, stopping)
		if stopped(stopping) || ctx.Err() != nil {
			if err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "the source did not drain; the next start goes on from the last checkpoint", "error", err)
			}
			return ctx.Err()
		}
		wait := standbyEvery
		switch held, ok := stage.AsHeld(err); {
		case ok:
			if err := s.hold(ctx, stopping, held); err != nil {
				return err
			}
			if stopped(stopping) {
				return nil
			}
			wait, backoff = 0, firstBackoff
		case errors.Is(err, producers.ErrStandby):
			if s.status.set(func(st *Status) { st.State, st.Reason, st.Fix = StateStandby, "", "" }) != StateStandby {
				s.log.InfoContext(ctx, "standing by: another instance owns the source")
			}
			backoff = firstBackoff
		case errors.Is(err, errAgain):
			wait = 0
		default:
			if time.Since(began) > lastBackoff {
				backoff = firstBackoff
			}
			wait = backoff/2 + rand.N(backoff)
			backoff = min(2*backoff, lastBackoff)
			s.status.set(func(st *Status) { st.State, st.Reason = StateRestarting, err.Error() })
			s.metrics.restarts.Inc()
			s.log.WarnContext(ctx, "the source starts again from the last checkpoint", "error", err, "wait", wait)
		}
		select {
		case <-ctx.Done():
		case <-stopping:
		case <-time.After(wait):
		}
	}
}

// errAgain ends a session that has to be opened anew at once, without a fault.
var errAgain = errors.New("open the session again")

func stopped(stopping <-chan struct{}) bool {
	select {
	case <-stopping:
		return true
	default:
		return false
	}
}

func (s *Source) once(ctx context.Context, stopping <-chan struct{}) (err error) {
	x := &session{Source: s, stopping: stopping}
	ctx, x.cancel = context.WithCancel(ctx)
	defer func() { err = errors.Join(err, x.close()) }()
	if err := x.open(ctx); err != nil {
		return err
	}
	s.status.set(func(st *Status) { st.State, st.Reason, st.Fix = StateRunning, "", "" })
	s.log.InfoContext(ctx, "the source runs", "epoch", x.source.Epoch, "position", x.position.Version.String(), "end_lsn", x.position.EndLSN.String())
	return x.loop(ctx)
}

// Backfill asks for tables to be read again; without tables, for everything: a new
// slot, the next epoch. The request is durable and served by whichever instance
// owns the source.
func (s *Source) Backfill(ctx context.Context, tables []schemas.Table) error {
	return RequestBackfill(ctx, s.deps.Kafka, s.cfg.Prefix, tables)
}

// RequestBackfill is Source.Backfill for another process. Without tables it asks
// for everything, which is also the way out of a hold that says so.
func RequestBackfill(ctx context.Context, kafka []kgo.Opt, prefix string, tables []schemas.Table) error {
	return publisher.Request(ctx, kafka, prefix, producers.BackfillRequest{
		ID: uuid.NewString(), Tables: tables, All: len(tables) == 0, Time: time.Now().UTC(),
	})
}

// Heartbeat writes a transactional logical message and returns its LSN: when a
// checkpoint has passed it, everything that was committed before it is in the
// topics (hazard A19).
func Heartbeat(ctx context.Context, conn *pgx.Conn) (schemas.LSN, error) {
	return replication.Heartbeat(ctx, conn)
}

// LastCheckpoint reads the last committed checkpoint; nil when there is none.
func LastCheckpoint(ctx context.Context, kafka []kgo.Opt, prefix string) (*schemas.Checkpoint, error) {
	c, err := publisher.LastCheckpoint(ctx, kafka, prefix)
	if err != nil {
		return nil, fmt.Errorf("read the last checkpoint of %s: %w", prefix, err)
	}
	return c, nil
}
