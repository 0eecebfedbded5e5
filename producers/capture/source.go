package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
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
	retryEvery   = 500 * time.Millisecond // after what touched nothing
	firstBackoff = 250 * time.Millisecond
	lastBackoff  = 5 * time.Second
	remindEvery  = 30 * time.Second // between two log lines of one fault
)

// Source is the source connector of one prefix: it owns the slot and the topics
// while it is the active instance, and stands by while another one is.
type Source struct {
	*stage.Stage

	cfg      Config
	deps     Deps
	log      *slog.Logger
	metrics  *metrics
	kafka    *publisher.Metrics
	status   statusBox
	patience *publisher.Patience
	tried    map[string]bool // backfill requests that a session has seen, by key

	poll *pgx.Conn               // the stand-by's look at the slot; the run's goroutine's
	live atomic.Pointer[session] // the session that runs, for the guardian
	wake chan struct{}           // has the guardian look at once
	over chan struct{}           // from the guardian: the slot retains too much
	// answered is when Kafka answered last, in Unix nanoseconds.
	answered atomic.Int64

	// Of the run's goroutine.
	held    *stage.Held // why it is held, until a session runs again
	ran     bool        // the last session reached its loop
	backoff time.Duration
	told    time.Time
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
		patience: publisher.NewPatience(cfg.GiveUp), tried: make(map[string]bool), backoff: firstBackoff,
		wake: make(chan struct{}, 1), over: make(chan struct{}, 1),
	}
	s.setState(StateUnassigned, "", "")
	s.Stage = stage.New(cfg.Name, s.run)
	return s
}

// application is the name of this instance's sessions on the source.
func (s *Source) application() string {
	name := "backstitch " + s.cfg.Name
	if s.cfg.Owner != "" {
		name += " " + s.cfg.Owner
	}
	return name
}

// run is the one recovery path, again and again: whatever goes wrong, the next
// session starts from the last committed checkpoint. The guardian lives as long: it
// watches the slot also while nobody can read it.
func (s *Source) run(ctx context.Context, stopping <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	var guard sync.WaitGroup
	defer func() {
		cancel()
		guard.Wait()
		s.stopPolling()
		if st := s.Status().State; st == StateRunning || st == StateStandby {
			s.setState(StateUnassigned, "", "")
		}
	}()
	s.answered.Store(time.Now().UnixNano())
	if !s.cfg.SnapshotOnly { // there is no slot to watch, and no heartbeat to write
		guard.Go(func() { s.guard(ctx) })
	}
	for {
		began := time.Now()
		s.ran = false
		err := s.once(ctx, stopping)
		if stopped(stopping) || ctx.Err() != nil {
			if err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "the source did not drain; the next start goes on from the last checkpoint", "error", err)
			}
			return ctx.Err()
		}
		wait := s.after(ctx, err, time.Since(began))
		if s.held != nil {
			if err := s.hold(ctx, stopping); err != nil || stopped(stopping) {
				return err
			}
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-stopping:
		case <-s.over:
			s.dropExceeded(ctx)
		case <-timer.C:
		}
		timer.Stop()
	}
}

// after says what the end of a session means, and how long to wait for the next one.
func (s *Source) after(ctx context.Context, err error, lasted time.Duration) time.Duration {
	if s.ran {
		s.held = nil
	}
	if held, ok := stage.AsHeld(err); ok {
		s.held, s.backoff = held, firstBackoff
		return 0
	}
	switch {
	case errors.Is(err, errExceeded):
		s.dropExceeded(ctx)
		return 0
	case errors.Is(err, producers.ErrStandby):
		s.held, s.backoff = nil, firstBackoff
		if s.setState(StateStandby, "", "") != StateStandby {
			s.log.InfoContext(ctx, "standing by: another instance owns the source")
		}
		return s.cfg.StandbyPoll
	case s.held != nil: // looked at again, and no wiser: still held
		return 0
	case errors.Is(err, errAgain):
		return 0
	}
	wait := retryEvery
	if !errors.Is(err, publisher.ErrUnreachable) && !errors.Is(err, errPoll) {
		if lasted > lastBackoff {
			s.backoff = firstBackoff
		}
		wait = s.backoff/2 + rand.N(s.backoff)
		s.backoff = min(2*s.backoff, lastBackoff)
	}
	if s.setState(StateRestarting, err.Error(), "") != StateRestarting || s.ran || time.Since(s.told) > remindEvery {
		s.told = time.Now()
		s.metrics.restarts.Inc()
		s.log.WarnContext(ctx, "the source starts again from the last checkpoint", "error", err, "wait", wait)
	}
	return wait
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
	if err := s.vacant(ctx); err != nil {
		return err
	}
	x := &session{Source: s, stopping: stopping, failure: make(chan error, 1)}
	ctx, x.cancel = context.WithCancel(ctx)
	defer func() {
		err = errors.Join(err, x.close())
		select {
		case cause := <-x.failure: // others ended it
			if err == nil || errors.Is(err, context.Canceled) {
				err = cause
			}
		default:
		}
	}()
	if err := x.open(ctx); err != nil {
		return err
	}
	s.ran = true
	s.stopPolling()
	s.setState(StateRunning, "", "")
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
