package transform

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/schemas"
	"github.com/backstitch/backstitch/schemas/registry"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// State is what an instance of the transform is doing.
type State string

// The states. A hold for a person's consent is Running with Status.Held set: it
// ends by itself when the consent is given. Any other hold ends the stage.
const (
	Standby State = "STANDBY" // another instance owns the transform
	Running State = "RUNNING"
	Failed  State = "FAILED"
)

// Status is what the status page shows of a transform.
type Status struct {
	State State `json:"state"`
	// Phase is loading, following or rebuilding.
	Phase string `json:"phase"`
	// Doing says it in words: waiting for the first checkpoint, filling, evaluating.
	Doing string `json:"doing"`
	// Held says what a person must do, while something waits for one.
	Held *stage.Held `json:"held,omitempty"`
	// Evaluated is the last position at which the mapping was evaluated.
	Evaluated Position `json:"evaluated"`
	// Newest is the newest checkpoint's position that was read.
	Newest Position `json:"newest"`
	// Backlog is how many records the newest checkpoint lies ahead of the mirror;
	// markers and compacted ones count, so it is an upper bound.
	Backlog int64 `json:"backlog"`
	// Read and Written count the records read and the mirror rows written since this
	// instance took over.
	Read    int64 `json:"read"`
	Written int64 `json:"written"`
	// RowsPerSecond is the rate of records read over the last fills.
	RowsPerSecond float64 `json:"rows_per_second"`
	// Catalogue says which catalogue of the source is used while the source cannot be
	// reached; nil while it can.
	Catalogue *CatalogueStatus `json:"catalogue,omitempty"`
	// Passes are the newest passes over the whole mapping of each cause, the newest
	// first: what audits found different, which routes may miss changes, and how many
	// rows have no whole key.
	Passes []PassStatus `json:"passes,omitempty"`
}

// Transform is the transform connector of one pipeline: a stage of which one
// instance owns the work, and others stand by.
type Transform struct {
	*stage.Stage
	cfg     Config
	deps    Deps
	log     *slog.Logger
	metrics *fillMetrics
	more    *evaluationMetrics
	wake    chan struct{}
	// reading is the owner's reader, nil before it has one: tests look at what it holds.
	reading atomic.Pointer[reader]
	// evaluating is nil until an owner is ready to evaluate.
	evaluating atomic.Pointer[evaluator]

	mu struct {
		sync.Mutex
		status Status
	}
}

// New makes a transform that is not started yet.
func New(cfg Config, deps Deps) *Transform {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Metrics == nil {
		deps.Metrics = prometheus.NewRegistry()
	}
	if cfg.Owner == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		cfg.Owner = fmt.Sprintf("%s/%d", host, os.Getpid())
	}
	t := &Transform{
		cfg: cfg.withDefaults(), deps: deps, log: deps.Logger, metrics: newFillMetrics(deps.Metrics), more: newEvaluationMetrics(deps.Metrics),
		wake: make(chan struct{}, 1),
	}
	t.Stage = stage.New(t.Connector(), t.run)
	t.mu.status.State = Standby
	return t
}

// Connector is the connector's name, and its consumer group's.
func (t *Transform) Connector() string { return t.cfg.Name + "-transform" }

// Wake makes the transform look at once at what changed outside: a consent was given.
func (t *Transform) Wake() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// Status is what the transform is doing now.
func (t *Transform) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.status
}

func (t *Transform) set(change func(s *Status)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.mu.status)
}

// run stands by until it owns the transform, and works until it must stop. Losing
// the ledger, the lock or Kafka for a while makes it a stand-by again.
func (t *Transform) run(ctx context.Context, stopping <-chan struct{}) error {
	for {
		err := t.turn(ctx, stopping)
		doing := "waiting to try again"
		pause := t.cfg.Standby
		var digest *ledger.DigestError
		var away *sourceAwayError
		switch {
		case err == nil || isClosed(stopping):
			return ignoreCancelled(err)
		case errors.Is(err, errFenced):
			t.log.Warn("another instance took the transform over; standing by", "connector", t.Connector())
		case errors.As(err, &digest): // hazard C23
			doing = "standing by: another mapping was accepted"
		case errors.As(err, &away):
			doing, pause = waitingForSource+away.waits, max(pause, look)
			t.log.Warn("the transform waits for its source; another instance may know more", "connector", t.Connector(), "error", redact.SQLError(err))
		case transient(err):
			t.log.Warn("the transform lost a server and starts again", "connector", t.Connector(), "error", redact.SQLError(err))
		default:
			t.set(func(s *Status) {
				s.State, s.Doing = Failed, "stopped"
				s.Held, _ = stage.AsHeld(err)
			})
			return redact.SQLError(err)
		}
		t.set(func(s *Status) { s.State, s.Doing, s.Catalogue = Standby, doing, nil })
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-stopping:
			return nil
		case <-time.After(pause):
		}
	}
}

// turn is one turn as stand-by and then owner. It returns nil when stopping.
func (t *Transform) turn(ctx context.Context, stopping <-chan struct{}) error {
	lock, err := t.elect(ctx, stopping)
	if err != nil || lock == nil {
		return err
	}
	defer lock.close()
	o, err := t.newOwner(ctx, lock)
	if err != nil {
		return err
	}
	defer t.reading.Store(nil)
	defer func() {
		if e := t.evaluating.Swap(nil); e != nil {
			close(e.waiters.ended)
		}
	}()
	return o.run(ctx, stopping)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func ignoreCancelled(err error) error {
	if errors.Is(err, context.Canceled) || transient(err) || errors.Is(err, errFenced) {
		return nil
	}
	return err
}

// Unreachable tells a server that does not answer, or not now, from one that refuses:
// a wrong password is no outage.
func Unreachable(err error) bool {
	state := redact.SQLState(err)
	return err != nil && transient(err) && (state == "" || slices.Contains([]string{"08", "53", "57"}, state[:2]))
}

// transient tells a server that went away from an error that would come again.
func transient(err error) bool {
	if _, held := stage.AsHeld(err); held {
		return false
	}
	var unreachable *registry.UnreachableError
	return errors.Is(err, errLostLock) || errors.Is(err, errCutOff) || errors.As(err, &unreachable) ||
		kerr.IsRetriable(err) || kgo.IsRetryableBrokerErr(err) || pgsession.Lost(err)
}

// positionOf is a checkpoint's position in the mapping's terms.
func positionOf(c *schemas.Checkpoint) Position {
	return Position{Epoch: c.Position.Version.Epoch, CommitLSN: c.Position.Version.Commit, EndLSN: c.Position.EndLSN, CommitTime: c.Position.CommitTime}
}
