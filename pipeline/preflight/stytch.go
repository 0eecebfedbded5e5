package preflight

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/stytch"
)

// migrationRate is the pace that Stytch asks migration scripts to stay at or below.
const migrationRate = 65

func (c *check) stytch(ctx context.Context) {
	policy, err := c.deps.Stytch.RBACPolicy(ctx)
	var answer *stytch.Error
	switch {
	case errors.As(err, &answer) && (answer.Status == http.StatusUnauthorized || strings.HasPrefix(answer.Type, "invalid_")):
		c.find(Error, "stytch.credentials", "stytch.secret", "Copy project id and secret of the same environment from Stytch's dashboard", "Stytch does not take the credentials: %v", err)
		return
	case err != nil:
		c.find(Error, "stytch.unreachable", "stytch", "Check stytch.base_url, and that this machine may reach it", "no usable answer: %v", err)
		return
	}
	if c.cfg.Stytch.BaseURL == "" && c.cfg.Stytch.RateLimit > migrationRate {
		c.find(Warning, "stytch.rate_limit", "stytch.rate_limit", "Stay at 60/s unless Stytch's support raised the project's limits",
			"the pace is %s, and Stytch asks migrations to stay at %d/s or below", c.cfg.Stytch.RateLimit, migrationRate)
	}
	if c.plan != nil && c.deps.CountFor > 0 {
		c.roles(ctx, policy)
	}
}

// roles checks that the roles which the mapping returns are in the policy: a
// member with another is parked.
func (c *check) roles(ctx context.Context, policy *stytch.Policy) {
	m := c.plan.Mapping(consumers.Member)
	if m == nil || !returns(m, "roles") {
		return
	}
	var roles []string
	err := c.count(ctx, `SELECT coalesce(array_agg(DISTINCT r), '{}') FROM `+c.desired(m)+`, unnest(q.roles::text[]) r WHERE r IS NOT NULL`, &roles)
	if err != nil {
		c.uncounted("members.select", "the roles that it returns", err)
		return
	}
	unknown := slices.DeleteFunc(slices.Clone(roles), policy.Has)
	if len(unknown) > 0 {
		c.find(Error, "stytch.roles", "members.select", "Add them to the project's RBAC policy, or map them to roles that it has",
			"returns roles that the project does not have: %s; their members would be parked", strings.Join(unknown, ", "))
	}
	if slices.Contains(roles, stytch.MemberRole) {
		c.find(Error, "stytch.roles", "members.select", "Leave it out", "returns the role %s, which every member has and none can be given", stytch.MemberRole)
	}
}
