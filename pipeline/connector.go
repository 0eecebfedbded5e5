package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/stage"
)

// drainTime bounds how long a connector may drain when it is paused, stopped or
// started anew.
const drainTime = 30 * time.Second

// stager is what the pipeline needs of a stage.
type stager interface {
	Start(ctx context.Context)
	Stop(ctx context.Context) error
	Done() <-chan struct{}
	Err() error
}

// worker is a connector's stage while this instance runs it.
type worker struct {
	stager
	// tasks are what it works on now, in Kafka Connect's states.
	tasks func() []ledger.Task
	// held says why it does not go on, though its stage runs, until a person acts.
	held func() *stage.Held
}

// ended is how a worker has ended by itself; nil while it runs.
func (w *worker) ended(name string) error {
	select {
	case <-w.Done():
		if err := w.Err(); err != nil {
			return err
		}
		return fmt.Errorf("%s ended", name)
	default:
		return nil
	}
}

// wanted is what the cluster wants of a connector in this instance.
type wanted struct {
	target   ledger.Target
	restarts int64
	// failedOnly: the last restart concerns a failed connector only.
	failedOnly bool
}

// connector keeps one connector of this instance as the cluster wants it. Every
// start is a stage of its own, with metrics of its own.
type connector struct {
	name  string
	log   *slog.Logger
	build func(prometheus.Registerer) (*worker, error)
	// all is the number of its tasks in the cluster.
	all int

	changed chan struct{}
	quit    chan struct{}
	over    chan struct{}

	mu struct {
		sync.Mutex
		want    wanted
		worker  *worker // nil while it is not to run
		served  int64   // restarts
		metrics *prometheus.Registry
		failed  error // it could not be built
	}
}

func newConnector(name string, all int, log *slog.Logger, build func(prometheus.Registerer) (*worker, error)) *connector {
	c := &connector{
		name: name, all: all, log: log.With("connector", name), build: build,
		changed: make(chan struct{}, 1), quit: make(chan struct{}), over: make(chan struct{}),
	}
	return c // nothing is wanted until the supervisor knows
}

// want tells it what to be.
func (c *connector) want(w wanted) {
	c.mu.Lock()
	same := c.mu.want == w
	c.mu.want = w
	c.mu.Unlock()
	if same {
		return
	}
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// keep starts and stops the stage until quit; life bounds the stages.
func (c *connector) keep(life context.Context) {
	defer close(c.over)
	for {
		c.follow(life)
		select {
		case <-c.quit:
			return
		case <-life.Done():
			return
		case <-c.changed:
		}
	}
}

// follow does the one step that is due.
func (c *connector) follow(life context.Context) {
	c.mu.Lock()
	want, w, served := c.mu.want, c.mu.worker, c.mu.served
	c.mu.Unlock()
	running := want.target == ledger.TargetRunning
	if w != nil && want.restarts != served && want.failedOnly && c.failure() == nil {
		c.mu.Lock()
		c.mu.served = want.restarts
		c.mu.Unlock()
		served = want.restarts
	}
	if w != nil && (!running || want.restarts != served) {
		c.log.Info("the connector stops", "target", want.target)
		c.end(life, w)
		w = nil
	}
	if w == nil && running {
		c.begin(life, want.restarts)
	}
}

func (c *connector) begin(life context.Context, restarts int64) {
	registry := prometheus.NewRegistry()
	w, err := c.build(registry)
	c.mu.Lock()
	c.mu.served, c.mu.failed = restarts, err
	if err == nil {
		c.mu.worker, c.mu.metrics = w, registry
	}
	c.mu.Unlock()
	if err == nil {
		w.Start(life)
	}
}

// end drains a worker. How one that had ended by itself ended is told already.
func (c *connector) end(life context.Context, w *worker) {
	ended := w.ended(c.name) != nil
	drain, cancel := context.WithTimeout(life, drainTime)
	defer cancel()
	if err := w.Stop(drain); err != nil && !ended {
		c.log.Warn("the connector did not drain; its next start goes on from what is recorded", "error", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.worker, c.mu.metrics = nil, nil
}

// stop ends keep, then drains what runs.
func (c *connector) stop(ctx context.Context) error {
	close(c.quit)
	<-c.over
	if w := c.current(); w != nil {
		return w.Stop(ctx)
	}
	return nil
}

func (c *connector) current() *worker {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.worker
}

// ended is how the connector has ended by itself; nil while it runs, or is not to.
func (c *connector) ended() error {
	c.mu.Lock()
	w, failed := c.mu.worker, c.mu.failed
	c.mu.Unlock()
	if w != nil {
		return w.ended(c.name)
	}
	return failed
}

// failure is how it ended, or why it is held.
func (c *connector) failure() error {
	if err := c.ended(); err != nil {
		return err
	}
	if w := c.current(); w != nil {
		if held := w.held(); held != nil {
			return fmt.Errorf("%s: %w", c.name, held)
		}
	}
	return nil
}

// tasks are what this instance reports of the connector. A failed one fails all
// its tasks here: where another instance runs one, that one stands for it.
func (c *connector) tasks() []ledger.Task {
	c.mu.Lock()
	want, w := c.mu.want, c.mu.worker
	c.mu.Unlock()
	if err := c.failure(); err != nil {
		failed := ledger.Task{State: taskFailed, Trace: err.Error()}
		if held, ok := stage.AsHeld(err); ok { // in its own words
			failed.Trace, failed.Held = held.Error(), true
		}
		return c.every(failed)
	}
	switch {
	case w != nil:
		return w.tasks()
	case want.target == ledger.TargetPaused:
		return c.every(ledger.Task{State: taskPaused})
	default:
		return nil
	}
}

func (c *connector) every(t ledger.Task) []ledger.Task {
	list := make([]ledger.Task, c.all)
	for i := range list {
		list[i], list[i].ID, list[i].Connector = t, i, c.name
	}
	return list
}

// Gather reads the metrics of the stage that runs.
func (c *connector) Gather() ([]*dto.MetricFamily, error) {
	c.mu.Lock()
	registry := c.mu.metrics
	c.mu.Unlock()
	if registry == nil {
		return nil, nil
	}
	return registry.Gather()
}
