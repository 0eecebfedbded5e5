package ledger

import (
	"context"
	"fmt"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// DueEntity is an entity whose turn has come without a new wake-up (hazard A5).
type DueEntity struct {
	Key       consumers.Key
	Partition int32
	Lane      schemas.Lane
}

// EvaluationReasons is the SQL list of the reasons of a transform that parks: a retry
// cannot help, only another state of the rows or another mapping.
const EvaluationReasons = "('" + string(consumers.ReasonEvaluation) + "', '" + string(consumers.ReasonDuplicateKey) + "', '" + string(consumers.ReasonIncomplete) + "')"

// parkedByEvaluation are entities that have no turn before their next revision, whatever
// made them due.
const parkedByEvaluation = `(e.status = 'parked' AND e.reason IN ` + EvaluationReasons + `)`

// Due lists what is due in partitions, longest due first.
func (a *Applier) Due(ctx context.Context, partitions []int32, limit int) ([]DueEntity, error) {
	rows, err := a.pool.Query(ctx, `SELECT kind, org_key, key, partition, lane FROM backstitch.entities e
		WHERE partition = ANY($1) AND due_at <= now() AND status <> 'dropped' AND `+parkedByEvaluation+` IS NOT TRUE ORDER BY due_at LIMIT $2`, partitions, limit)
	if err != nil {
		return nil, fmt.Errorf("look for what is due: %w", redact.SQLError(err))
	}
	due, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d DueEntity, err error) {
		return d, row.Scan(&d.Key.Kind, &d.Key.Organization, &d.Key.Entity, &d.Partition, &d.Lane)
	})
	if err != nil {
		return nil, fmt.Errorf("look for what is due: %w", redact.SQLError(err))
	}
	return due, nil
}

// Nudge makes an entity due that another one waits for, whoever owns it.
func (a *Applier) Nudge(ctx context.Context, k consumers.Key) error {
	_, err := a.pool.Exec(ctx, `UPDATE backstitch.entities SET due_at = now() WHERE (kind, org_key, key) = ($1, $2, $3)`,
		string(k.Kind), k.Organization, k.Entity)
	if err != nil {
		return fmt.Errorf("make an entity due: %w", redact.SQLError(err))
	}
	return nil
}

// NoteMissing parks an organization that a member's call found gone from Stytch
// under the id that we know, unless its own turn is about to find out.
func (a *Applier) NoteMissing(ctx context.Context, organization, stytchID string, l Lease) error {
	_, err := a.pool.Exec(ctx, `WITH `+leaseLock("ARRAY[$3::int]")+`
		UPDATE backstitch.entities e SET status = 'parked', reason = $5, detail = NULL FROM lease
		WHERE e.kind = 'organization' AND e.org_key = $1 AND e.key = $1 AND e.stytch_id = $2 AND e.status = 'current' AND NOT e.read_wanted
		  AND (lease.partition, lease.term) = ($3, $4)`, organization, stytchID, l.Partition, l.Term, string(consumers.ReasonMissing))
	if err != nil {
		return fmt.Errorf("note a missing organization: %w", redact.SQLError(err))
	}
	return nil
}

// CloseConsents closes approved questions for which nothing waits any more.
func (a *Applier) CloseConsents(ctx context.Context) error {
	_, err := a.pool.Exec(ctx, `UPDATE backstitch.consents c SET done_at = now()
		WHERE kind = ANY($1) AND approved_at < now() - interval '1 minute' AND done_at IS NULL
		  AND NOT EXISTS (SELECT FROM backstitch.entities e WHERE e.consent_id = c.id AND e.status = 'awaiting_consent')`,
		[]string{ConsentDeletes, ConsentHold, ConsentUnearned})
	if err != nil {
		return fmt.Errorf("close consents: %w", redact.SQLError(err))
	}
	return nil
}

// WantReads makes the next turn of every entity that exists in Stytch, or should,
// plan from a fresh read (replay --force), and returns how many.
func (a *Applier) WantReads(ctx context.Context) (int64, error) {
	tag, err := a.pool.Exec(ctx, `UPDATE backstitch.entities SET read_wanted = true
		WHERE (desired IS NOT NULL OR stytch_id IS NOT NULL) AND released_at IS NULL`)
	if err != nil {
		return 0, fmt.Errorf("ask for fresh reads: %w", redact.SQLError(err))
	}
	return tag.RowsAffected(), nil
}
