package pipeline

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/consumers/ledger"
)

// acceptPlan is a person's consent to one plan. That the plan is older than changes is
// told and refuses nothing: the source goes on changing while a person reads.
func acceptPlan(ctx context.Context, pool *pgxpool.Pool, digest string, o *Options) error {
	plan, changed, err := ledger.AcceptPlan(ctx, pool, o.AcceptPlan, digest, o.AcceptedBy)
	if err != nil {
		return err
	}
	if changed > 0 {
		o.Logger.WarnContext(ctx, "entities have changed since the plan was made; what the mapping makes of those was not in it",
			"plan", plan.ID, "entities", changed, "planned_at", plan.PlannedAt, "commit_lsn", plan.CommitLSN.String())
	}
	o.Logger.InfoContext(ctx, "the mapping is accepted as planned", "plan", plan.ID, "planned_at", plan.PlannedAt, "commit_lsn", plan.CommitLSN.String())
	return nil
}
