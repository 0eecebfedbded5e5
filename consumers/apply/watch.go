package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/internal/stage"
)

const (
	// watchEvery is how often the ledger is asked for incidents and lost leases.
	watchEvery = 500 * time.Millisecond
	// watchTimeout is how long the ledger may not answer until the instance leaves the
	// group, so that one that is cut off from it does not keep its partitions.
	watchTimeout = 5 * time.Second
	// cutAfter is how long turns may go on once their instance has failed.
	cutAfter = 2 * time.Second
)

// errTaken ends a session of the connector: another instance has taken the leases
// of partitions that the group has not revoked.
var errTaken = errors.New("the leases of this instance's partitions were taken by another one")

// errIncident ends a turn before its next call: an incident is open.
var errIncident = errors.New("an incident waits for a person")

// watch follows what concerns the whole cluster: an incident that any instance met
// (hazard A13), and leases that were taken (invariant 10).
func (a *Apply) watch(ctx context.Context) error {
	for {
		limited, cancel := context.WithTimeout(ctx, watchTimeout)
		w, err := a.ledger.Watch(limited, a.sched.owned())
		if err == nil {
			err = a.follow(limited, w)
		}
		cancel()
		if err != nil {
			return unlessDone(ctx, err)
		}
		if !sleep(ctx, watchEvery) {
			return nil
		}
	}
}

func (a *Apply) follow(ctx context.Context, w ledger.Watched) error {
	owned := a.sched.owned()
	for _, p := range w.Lost {
		if _, still := owned[p]; still && a.suspect(p) {
			return fmt.Errorf("apply partition %d: %w", p, errTaken)
		}
	}
	if len(w.Lost) == 0 {
		a.doubted = nil
	}
	if w.Incident != 0 {
		a.holdFor(w.Incident, w.Question)
		return nil
	}
	if a.held.Load() == nil {
		return nil
	}
	if err := a.ledger.EndIncidents(ctx); err != nil {
		return err
	}
	a.incidents.reset()
	a.held.Store(nil)
	a.nudge()
	a.log.Info("the incident was approved: apply goes on")
	return nil
}

// suspect says whether a partition was lost at the last look too: between two looks
// it may be given up, or taken anew, by this instance itself.
func (a *Apply) suspect(p int32) bool {
	before := a.doubted[p]
	if a.doubted == nil {
		a.doubted = map[int32]bool{}
	}
	a.doubted[p] = true
	return before
}

// holdFor stops the calls until the question is answered.
func (a *Apply) holdFor(id int64, question string) {
	if a.held.Load() != nil {
		return
	}
	held := &stage.Held{Reason: question, Fix: fmt.Sprintf("Find out what Stytch refuses and why (its status page, the project's settings, the mapping); then `backstitch approve %d` lets apply go on", id)}
	a.held.Store(held)
	a.log.Error("apply is held in all instances", "consent", id, "reason", held.Reason, "fix", held.Fix)
}

// Held is why no calls are made until a person answers, nil while they are. It is
// the cluster's: the question stands in the ledger and outlives restarts. Apply goes
// on by itself once `backstitch approve` has answered.
func (a *Apply) Held() *stage.Held { return a.current.Load().held.Load() }

// ready waits until this instance may take part: its digest is the accepted one
// (hazard C23), and the ledger answers. False when it must stop.
func (a *Apply) ready(ctx context.Context, stopping <-chan struct{}) (bool, error) {
	for told := false; ; {
		limited, cancel := context.WithTimeout(ctx, watchTimeout)
		err := ledger.SameDigest(limited, a.pool, a.cfg.Digest)
		cancel()
		if err == nil {
			return true, nil
		}
		if _, another := errors.AsType[*ledger.DigestError](err); !another {
			return false, unlessDone(ctx, err)
		}
		if !told {
			told = true
			a.log.Warn("apply stands by: the ledger follows another mapping", "error", err)
		}
		timer := time.NewTimer(watchEvery)
		select {
		case <-ctx.Done():
		case <-stopping:
		case <-timer.C:
			continue
		}
		timer.Stop()
		return false, nil
	}
}
