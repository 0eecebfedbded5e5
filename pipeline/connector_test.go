package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/stage"
)

// kept is a connector whose stage a test can fail.
type kept struct {
	*connector
	starts, running atomic.Int32
	fail            chan error
}

func keep(t *testing.T) *kept {
	t.Helper()
	k := &kept{fail: make(chan error)}
	k.connector = newConnector("x-apply", 3, slog.New(slog.DiscardHandler), func(r prometheus.Registerer) (*worker, error) {
		k.starts.Add(1)
		prometheusCounter(r)
		s := stage.New("x-apply", func(ctx context.Context, stopping <-chan struct{}) error {
			k.running.Add(1)
			defer k.running.Add(-1)
			select {
			case <-stopping:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			case err := <-k.fail:
				return err
			}
		})
		return &worker{stager: s, held: func() *stage.Held { return nil }, tasks: func() []ledger.Task {
			return []ledger.Task{{Connector: "x-apply", ID: 1, State: taskRunning}}
		}}, nil
	})
	go k.keep(context.Background())
	t.Cleanup(func() {
		if err := k.stop(context.Background()); err != nil && k.failure() == nil {
			t.Error(err)
		}
	})
	return k
}

// prometheusCounter fails a second registration with one registry.
func prometheusCounter(r prometheus.Registerer) {
	r.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "x_total", Help: "x"}))
}

func (k *kept) eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit, tick := time.NewTimer(10*time.Second), time.NewTicker(time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for !holds() {
		select {
		case <-limit.C:
			t.Fatalf("not within 10 s: %s; tasks are %+v", what, k.tasks())
		case <-tick.C:
		}
	}
}

func (k *kept) states(state string, n int) func() bool {
	return func() bool {
		tasks := k.tasks()
		return len(tasks) == n && (n == 0 || tasks[0].State == state)
	}
}

// A connector follows what is wanted: it runs, shows its tasks while it is paused,
// has none when stopped, and each start is a stage of its own.
func TestConnectorFollowsItsTarget(t *testing.T) {
	t.Parallel()
	k := keep(t)
	k.eventually(t, "nothing runs before anything is wanted", k.states("", 0))
	k.want(wanted{target: ledger.TargetRunning})
	k.eventually(t, "it runs", k.states("RUNNING", 1))
	k.want(wanted{target: ledger.TargetPaused})
	k.eventually(t, "all tasks are paused", k.states("PAUSED", 3))
	k.eventually(t, "its stage has ended", func() bool { return k.running.Load() == 0 })
	if families, err := k.Gather(); err != nil || len(families) != 0 {
		t.Errorf("metrics of a paused connector: %v %v", families, err)
	}
	k.want(wanted{target: ledger.TargetStopped})
	k.eventually(t, "a stopped one has no tasks", k.states("", 0))
	k.want(wanted{target: ledger.TargetRunning})
	k.eventually(t, "it runs again", k.states("RUNNING", 1))
	if n := k.starts.Load(); n != 2 {
		t.Errorf("started %d times, want 2", n)
	}
}

// A restart starts what failed anew; one of failed tasks only leaves alone what runs.
// A hold shows its reason and fix.
func TestConnectorRestarts(t *testing.T) {
	t.Parallel()
	k := keep(t)
	k.want(wanted{target: ledger.TargetRunning})
	k.eventually(t, "it runs", k.states("RUNNING", 1))
	k.want(wanted{target: ledger.TargetRunning, restarts: 1, failedOnly: true})
	k.want(wanted{target: ledger.TargetRunning, restarts: 2})
	k.eventually(t, "it was started anew", func() bool { return k.starts.Load() == 2 && k.running.Load() == 1 })
	k.fail <- stage.Hold("Mend it", "something is wrong")
	k.eventually(t, "all its tasks have failed", k.states("FAILED", 3))
	if task := k.tasks()[2]; !task.Held || task.ID != 2 || task.Trace != "held: something is wrong. Mend it" {
		t.Errorf("got %+v", task)
	}
	k.want(wanted{target: ledger.TargetRunning, restarts: 3, failedOnly: true})
	k.eventually(t, "it runs again", k.states("RUNNING", 1))
	k.fail <- errors.New("worse")
	k.eventually(t, "it has failed", k.states("FAILED", 3))
	if n := k.starts.Load(); n != 3 {
		t.Errorf("started %d times, want 3", n)
	}
}
