package apply

import (
	"context"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/stytch"
	"github.com/backstitch/backstitch/schemas"
)

const (
	// retryAgain is how long an entity that was tried again in vain stays alone.
	retryAgain = time.Hour
	// retryAtOnce bounds the calls that trying again costs at each look.
	retryAtOnce = 20
)

// elsewhere are the reasons whose cause can go without a sign in the ledger:
// somebody deletes the object in Stytch that has the value, or releases the domain.
var elsewhere = []consumers.Reason{consumers.ReasonForeignObject, consumers.ReasonRetiredEmail, consumers.ReasonDomainClaimed, consumers.ReasonRefused}

// retryParked tries again, at a slow pace, what is parked for a cause outside of
// the ledger. What inside of it resolves wakes by itself: a value that its holder
// gives up, an organization whose settings change.
func (a *Apply) retryParked(ctx context.Context) error {
	for sleep(ctx, a.cfg.ParkedPoll) {
		if a.held.Load() != nil {
			continue
		}
		var partitions []int32
		for p := range a.sched.owned() {
			partitions = append(partitions, p)
		}
		n, err := a.ledger.RetryStale(ctx, partitions, elsewhere, retryAgain, retryAtOnce)
		if err == nil {
			var roles int64
			roles, err = a.retryRoles(ctx, partitions)
			n += roles
		}
		if err != nil {
			return unlessDone(ctx, err)
		}
		if n > 0 {
			a.nudge()
		}
	}
	return nil
}

// retryRoles asks for the project's roles while something is parked for one.
func (a *Apply) retryRoles(ctx context.Context, partitions []int32) (int64, error) {
	some, err := a.ledger.LackingRoles(ctx, partitions)
	if err != nil || !some {
		return 0, err
	}
	if a.pacer.take(ctx, schemas.LaneBackfill, 1) != nil {
		return 0, nil // it is stopping
	}
	a.pacer.count()
	asked, cancel := context.WithTimeout(ctx, a.cfg.CallTimeout)
	defer cancel()
	policy, err := a.client.RBACPolicy(asked)
	a.metrics.call("get_rbac_policy", classify(err).outcome)
	if err != nil {
		return 0, nil // asked again at the next look; the metric counts it
	}
	roles := []string{stytch.MemberRole}
	for _, r := range policy.Roles {
		roles = append(roles, r.RoleID)
	}
	return a.ledger.RetryRoles(ctx, partitions, roles, retryAgain)
}
