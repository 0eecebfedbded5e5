package rehearse

import (
	"context"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/pipeline/rehearsal"
	"github.com/backstitch/backstitch/pipeline/rehearsal/report"
)

// askFor bounds the one call to the real project.
const askFor = 15 * time.Second

// roles asks the project for its policy: the only request that it sees, and it changes
// nothing. A project that does not answer leaves the roles unknown, which the report
// says.
func (o *Options) roles(ctx context.Context) (*rehearsal.Roles, []string, error) {
	switch o.Policy {
	case NoPolicy:
		return rehearsal.UnknownRoles(), nil, nil
	case "":
	default:
		roles, err := rehearsal.ReadRoles(o.Policy)
		if err != nil {
			return nil, nil, &UsageError{fmt.Errorf("--policy: %w", err)}
		}
		return roles, nil, nil
	}
	clients, err := pipeline.NewClients(o.Config)
	if err != nil {
		return nil, nil, &UsageError{err}
	}
	defer clients.Stytch.Close()
	ask, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	policy, err := clients.Stytch.RBACPolicy(ask)
	if err != nil {
		notice := fmt.Sprintf("The project's RBAC policy could not be read (%v): every role was taken. Give the policy with --policy FILE.", err)
		o.say("%s", notice)
		return rehearsal.UnknownRoles(), []string{notice}, nil
	}
	return rehearsal.RolesOf(policy, report.RolesOfProject), nil, nil
}
