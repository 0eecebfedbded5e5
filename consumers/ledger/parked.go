package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
)

// Filter chooses parked entities.
type Filter struct {
	Kind   consumers.Kind   // empty: both
	Reason consumers.Reason // empty: all
	Limit  int              // at most so many; 0: 1,000
	// Blocked lists, beside the parked ones, those that wait for one (hazard A23).
	Blocked bool
}

// ParkedEntity is an entity that waits for a person (invariant 6).
type ParkedEntity struct {
	Key       consumers.Key    `json:"key"`
	Status    consumers.Status `json:"status"`
	Reason    consumers.Reason `json:"reason"`
	Detail    string           `json:"detail,omitempty"` // error type or SQLSTATE, never a value
	Attempts  int              `json:"attempts"`
	Committed *time.Time       `json:"committed_at,omitempty"`
}

// Parked lists parked entities, oldest change first.
func Parked(ctx context.Context, q Querier, f Filter) ([]ParkedEntity, error) {
	if f.Limit <= 0 {
		f.Limit = 1000
	}
	rows, err := q.Query(ctx, `SELECT kind, org_key, key, status, coalesce(reason, ''), coalesce(detail, ''), attempts, committed_at
		FROM backstitch.entities
		WHERE (status = 'parked' OR $4 AND status = 'blocked') AND ($1 = '' OR kind = $1) AND ($2 = '' OR reason = $2)
		ORDER BY commit_lsn, kind, org_key, key LIMIT $3`, f.Kind, f.Reason, f.Limit, f.Blocked)
	if err == nil {
		var list []ParkedEntity
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (e ParkedEntity, err error) {
			return e, row.Scan(&e.Key.Kind, &e.Key.Organization, &e.Key.Entity, &e.Status, &e.Reason, &e.Detail, &e.Attempts, &e.Committed)
		})
		if err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("list parked entities: %w", redact.SQLError(err))
}

// RetryParked makes parked entities due again and returns how many; an empty
// reason means all that planning or Stytch refused. Those that evaluation parked
// are not among them: only a change of their rows, or of the mapping, helps.
func RetryParked(ctx context.Context, q Querier, reason consumers.Reason) (int64, error) {
	tag, err := q.Exec(ctx, `UPDATE backstitch.entities SET due_at = now()
		WHERE status = 'parked' AND ($1 = '' OR reason = $1) AND reason <> ALL($2)`, reason,
		[]string{string(consumers.ReasonEvaluation), string(consumers.ReasonDuplicateKey), string(consumers.ReasonIncomplete)})
	if err != nil {
		return 0, fmt.Errorf("retry parked entities: %w", redact.SQLError(err))
	}
	return tag.RowsAffected(), nil
}
