package capture_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstitch/backstitch/producers/capture"
	"github.com/backstitch/backstitch/producers/publisher"
)

// slowRegistry takes its time once it is told to.
type slowRegistry struct {
	publisher.Registrar
	delay atomic.Int64
	slow  atomic.Int64 // answers that came late
}

func (r *slowRegistry) Register(ctx context.Context, subject, schema string) (int, error) {
	if delay := time.Duration(r.delay.Load()); delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-timer.C:
			r.slow.Add(1)
		}
	}
	return r.Registrar.Register(ctx, subject, schema)
}

// hazard S18: a registry that takes longer than any Kafka transaction may is asked
// while no transaction is open: none times out, and what the batch held already goes
// out with the rest.
func TestSlowRegistry(t *testing.T) {
	t.Parallel()
	r := newRig(t, one, "t")
	slow := &slowRegistry{Registrar: r.registry}
	s := r.start(func(c *capture.Config, d *capture.Deps) {
		c.GiveUp = 1500 * time.Millisecond
		d.Registry = slow
	})
	r.caughtUp(s)
	slow.delay.Store(int64(6500 * time.Millisecond)) // beyond four times GiveUp
	r.exec("BEGIN; INSERT INTO t VALUES (1, 'before'); ALTER TABLE t ADD COLUMN w text; INSERT INTO t VALUES (2, 'after', 'w'); COMMIT")
	r.caughtUp(s)
	if slow.slow.Load() == 0 {
		t.Error("the registry was not asked: the test tests nothing")
	}
	if strings.Contains(r.logged(), "starts again") {
		t.Error("the source started again")
	}
	slow.delay.Store(0)
	if n := len(r.records()); n != 2 {
		t.Errorf("%d records, want 2", n)
	}
}
