package pipeline

import (
	"context"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/stage"
)

// How the supervisor keeps this instance as the cluster wants it.
const (
	orderEvery   = 500 * time.Millisecond // looks at what is wanted
	reportEvery  = time.Second            // says what is (ledger.AliveFor is three of them)
	orderTimeout = 2 * time.Second
	// orphaned is how long an instance with another mapping stands by for a cluster of
	// which nobody lives: longer than a rolling restart takes.
	orphaned = 30 * time.Second
)

// States of an instance as a whole.
const (
	instanceRunning = "RUNNING"
	instanceStandby = "STANDBY_DIGEST" // its mapping is not the accepted one (hazard C23)
)

// supervisor passes what the cluster wants on to the connectors, and tells the
// cluster what they do. While the ledger does not answer, what was wanted last
// stands: the source goes on draining into Kafka.
type supervisor struct {
	*Pipeline
	deaf     bool      // the ledger did not answer the last time
	reported time.Time // the last report
	alone    time.Time // since when no instance with the accepted digest lives
}

func (p *Pipeline) supervise(ctx context.Context) {
	s := &supervisor{Pipeline: p}
	tick := time.NewTicker(orderEvery)
	defer tick.Stop()
	for {
		p.moved.Store(time.Now().UnixNano())
		s.step(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *supervisor) step(ctx context.Context) {
	err := within(ctx, orderTimeout, s.orders)
	if now := time.Now(); err == nil && now.Sub(s.reported) >= reportEvery-orderEvery/2 {
		if err = within(ctx, orderTimeout, s.report); err == nil {
			s.reported = now
		}
	}
	if err != nil && ctx.Err() == nil && !s.deaf {
		s.log.WarnContext(ctx, "the ledger does not answer; the connectors go on as they were told last", "error", err)
	}
	s.deaf = err != nil
}

func within(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return do(ctx)
}

// orders reads what is wanted and passes it on.
func (s *supervisor) orders(ctx context.Context) error {
	digest, targets, err := ledger.Orders(ctx, s.pool)
	if err != nil {
		return err
	}
	accepted := digest == "" || digest == s.instance.Digest
	if err := s.standBy(ctx, accepted, digest); err != nil {
		return err
	}
	for _, c := range s.connectors {
		w := wanted{target: ledger.TargetRunning}
		if t, ok := targets[c.name]; ok {
			w = wanted{target: t.State, restarts: t.Restarts, failedOnly: t.FailedOnly}
		}
		if !accepted {
			w.target = ""
		}
		c.want(w)
	}
	return nil
}

// standBy notices that another mapping was accepted: this instance works no more,
// and ends when nobody is left that it stands by for (hazard C23).
func (s *supervisor) standBy(ctx context.Context, accepted bool, digest string) error {
	state := instanceRunning
	if !accepted {
		state = instanceStandby
	}
	if s.setState(state) != state {
		if accepted {
			s.log.InfoContext(ctx, "this instance's mapping is the accepted one: it works")
		} else {
			s.log.WarnContext(ctx, "another mapping was accepted: this instance stands by; start it with the accepted file, or with --accept-mapping",
				"accepted_digest", short(digest), "own_digest", short(s.instance.Digest))
		}
	}
	if accepted {
		s.alone = time.Time{}
		return nil
	}
	alive, err := ledger.AcceptedAlive(ctx, s.pool)
	if err != nil {
		return err
	}
	switch {
	case alive:
		s.alone = time.Time{}
	case s.alone.IsZero():
		s.alone = time.Now()
	case time.Since(s.alone) > orphaned:
		s.fail(digestHold(digest, s.instance.Digest))
	}
	return nil
}

func (s *supervisor) report(ctx context.Context) error {
	var tasks []ledger.Task
	for _, c := range s.connectors {
		tasks = append(tasks, c.tasks()...)
	}
	i := s.instance
	i.State = s.state()
	return ledger.Report(ctx, s.pool, i, tasks)
}

// digestHold asks a person for consent to another mapping.
func digestHold(accepted, offered string) error {
	return stage.Hold("See what that changes with `backstitch plan`, and run with --accept-mapping and the plan's id to evaluate everything again with the new one; deletes among the differences will wait for `backstitch approve`",
		"the mapping or the policies changed: the ledger accepted digest %s, this file has %s", short(accepted), short(offered))
}

func short(digest string) string { return digest[:min(12, len(digest))] }
