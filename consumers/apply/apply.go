package apply

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

// Apply is the apply connector of one instance. Any number of instances share the
// partitions.
type Apply struct {
	cfg     Config
	pool    *pgxpool.Pool
	ledger  *ledger.Applier
	budget  Budget
	client  API
	seeds   []kgo.Opt
	log     *slog.Logger
	clock   func() time.Time
	metrics *metrics
	digest  digester
	stage   *stage.Stage
	current atomic.Pointer[Apply] // the run that serves now: this one, or a fresh one after a restart

	sched     *scheduler
	pacer     *pacer
	loads     *batcher[consumers.Key, *ledger.State]
	marks     *batcher[ledger.MarkRequest, ledger.MarkResult]
	records   *batcher[ledger.Record, bool]
	incidents incidents
	nudged    chan struct{} // something is due now
	stopping  chan struct{} // closed when the drain begins
	stopOnce  sync.Once
	failed    chan error   // the first failure of a turn
	state     atomic.Value // string, for Status

	held     atomic.Pointer[stage.Held] // an incident is open: no calls
	foreseen atomic.Pointer[string]     // the error of the first incident that stopped nothing
	doubted  map[int32]bool             // partitions that seemed lost at the last look; of watch

	shared atomic.Bool // the project shares passwords between organizations: none can be deleted

	found struct { // hazard A17
		sync.Mutex
		org        string
		duplicates int
		members    map[string]*observed
	}
}

// New makes the connector. It starts nothing; an error is one of configuration.
func New(cfg Config, d Deps) (*Apply, error) {
	cfg, d = cfg.withDefaults(), d.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("apply: register metrics: %w", err)
	}
	led := ledger.NewApplier(d.Ledger)
	if d.Budget == nil {
		d.Budget = shared{led, d.Clock}
	}
	a := (&Apply{
		cfg: cfg, pool: d.Ledger, ledger: led, budget: d.Budget, client: d.Client, seeds: d.Kafka,
		log: d.Logger, clock: d.Clock, metrics: m, digest: digester(cfg.DigestKey),
	}).fresh()
	a.current.Store(a)
	if err := a.gauges(d.Metrics); err != nil {
		return nil, fmt.Errorf("apply: register metrics: %w", err)
	}
	a.stage = stage.New(cfg.Name+"-apply", a.run)
	return a, nil
}

// Start begins to apply; the context bounds the connector's whole life.
func (a *Apply) Start(ctx context.Context) { a.stage.Start(ctx) }

// Stop takes no new turns, ends those that run, and commits. When ctx ends first
// they are cut off; their marks stand.
func (a *Apply) Stop(ctx context.Context) error { return a.stage.Stop(ctx) }

// Done is closed when the connector has ended.
func (a *Apply) Done() <-chan struct{} { return a.stage.Done() }

// Err is how it ended: nil while it runs and after a clean stop. A stage.Held asks
// for a person.
func (a *Apply) Err() error { return a.stage.Err() }

// serve joins the parts: whatever fails first stops the rest.
func (a *Apply) serve(ctx context.Context, stopping <-chan struct{}) error {
	if ok, err := a.ready(ctx, stopping); err != nil || !ok {
		return err
	}
	if err := a.checkTopics(ctx); err != nil {
		return err
	}
	ctx, cut := context.WithCancel(ctx)
	defer cut()
	group, err := a.join()
	if err != nil {
		return err
	}
	a.state.Store("RUNNING")
	// The steps behind the turns live longer than the turns: they record what ends.
	serving, stopServing := context.WithCancel(ctx)
	var services errgroup.Group
	// One loop records: who frees a value and who begins to wait for it never pass
	// each other in concurrent transactions.
	for _, loop := range []func(context.Context){a.loads.loop, a.loads.loop, a.marks.loop, a.records.loop} {
		services.Go(func() error { loop(serving); return nil })
	}
	for _, lane := range lanes {
		services.Go(func() error { return a.soft(a.pacer.loop(serving, lane)) })
	}

	var turns, intake errgroup.Group
	for _, lane := range lanes {
		for range a.cfg.Workers {
			turns.Go(func() error { a.work(ctx, lane); return nil })
		}
	}
	taking, stopTaking := context.WithCancel(ctx)
	intake.Go(func() error { return a.soft(group.poll(taking)) })
	intake.Go(func() error { return a.soft(a.pollDue(taking)) })
	intake.Go(func() error { return a.soft(a.watch(taking)) })
	intake.Go(func() error { return a.soft(a.retryParked(taking)) })

	select {
	case <-stopping:
	case <-ctx.Done():
	case err = <-a.failed:
		if _, held := stage.AsHeld(err); !held { // who lost the ledger cannot end its turns
			defer time.AfterFunc(cutAfter, cut).Stop()
		}
	}
	a.halt()
	stopTaking()
	err = errors.Join(err, intake.Wait(), turns.Wait())
	stopServing()
	err = errors.Join(err, services.Wait())
	select {
	case late := <-a.failed:
		err = errors.Join(err, late)
	default:
	}
	group.leave(context.WithoutCancel(ctx))
	return err
}

// halt begins the drain: no new turns, no waiting for the budget.
func (a *Apply) halt() {
	a.stopOnce.Do(func() { close(a.stopping) })
	a.sched.close()
	a.state.Store("STOPPED")
}

// work takes turns of a lane until the drain.
func (a *Apply) work(ctx context.Context, lane schemas.Lane) {
	for {
		t := a.sched.next(lane)
		if t == nil {
			return
		}
		if a.held.Load() != nil && !a.waitHeld() {
			a.sched.finish(t)
			return
		}
		err := a.turn(ctx, t)
		a.sched.finish(t)
		switch {
		case err == nil:
			for _, k := range t.acks {
				k.done()
			}
			a.nudge()
		case errors.Is(err, errLost), errors.Is(err, errStopped), ctx.Err() != nil:
			// unacknowledged: whoever has the partition next takes the turn
		default:
			a.fail(err)
		}
	}
}

// nudge lets the due poller look now: a turn may have made others due.
func (a *Apply) nudge() {
	select {
	case a.nudged <- struct{}{}:
	default:
	}
}

// fail ends the connector with its first failure.
func (a *Apply) fail(err error) {
	if err == nil {
		return
	}
	select {
	case a.failed <- err:
	default:
	}
}

// soft turns a part's failure into the connector's, and passes it on only there.
func (a *Apply) soft(err error) error {
	a.fail(err)
	return nil
}

// incident notes a call's permanent error. When one error has become the rule, it
// asks a person, and no instance makes calls until the answer (hazard A13).
func (a *Apply) incident(ctx context.Context, errorType string) error {
	if !a.incidents.add(errorType) {
		return nil
	}
	if a.cfg.NoIncidents {
		a.foreseen.CompareAndSwap(nil, &errorType)
		a.incidents.reset()
		return nil
	}
	question := fmt.Sprintf("More than %d of the last %d calls to Stytch ended in %s. Nothing more is sent or parked for it. May apply go on, and try again what was?",
		incidentLimit, incidentWindow, errorType)
	c, err := ledger.Ask(ctx, a.pool, ledger.ConsentIncident, errorType, question)
	if err == nil && c.Approved() { // the last answer was for the last incident
		if err = a.ledger.EndIncidents(ctx); err == nil {
			c, err = ledger.Ask(ctx, a.pool, ledger.ConsentIncident, errorType, question)
		}
	}
	if err != nil {
		return err
	}
	a.holdFor(c.ID, c.Question)
	return nil
}

// Foreseen is the error type of the first incident that was let pass
// (Config.NoIncidents); "" without one.
func (a *Apply) Foreseen() string {
	if t := a.current.Load().foreseen.Load(); t != nil {
		return *t
	}
	return ""
}

// waitHeld waits until the incident is over; false when the drain began.
func (a *Apply) waitHeld() bool {
	for a.held.Load() != nil {
		timer := time.NewTimer(watchEvery / 5)
		select {
		case <-a.stopping:
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
	return true
}

func (a *Apply) jitter(n int64) int64 { return rand.Int64N(max(n, 1)) }

func owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}
