package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
)

// RetryStale makes parked entities of partitions due, at most limit, those first
// that waited longest, none again within every: the cause may have gone where only
// Stytch knows. It returns how many.
func (a *Applier) RetryStale(ctx context.Context, partitions []int32, reasons []consumers.Reason, every time.Duration, limit int) (int64, error) {
	tag, err := a.pool.Exec(ctx, `UPDATE backstitch.entities SET due_at = now(), retried_at = now()
		WHERE (kind, org_key, key) IN (SELECT kind, org_key, key FROM backstitch.entities
			WHERE status = 'parked' AND reason = ANY($2) AND partition = ANY($1) AND (retried_at IS NULL OR retried_at < now() - $3 * interval '1 ms')
			ORDER BY retried_at NULLS FIRST LIMIT $4 FOR UPDATE SKIP LOCKED)`, partitions, reasons, every.Milliseconds(), limit)
	if err != nil {
		return 0, fmt.Errorf("retry parked entities: %w", redact.SQLError(err))
	}
	return tag.RowsAffected(), nil
}

// LackingRoles says whether entities of partitions are parked for a role.
func (a *Applier) LackingRoles(ctx context.Context, partitions []int32) (some bool, err error) {
	err = a.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM backstitch.entities
		WHERE status = 'parked' AND reason = $2 AND partition = ANY($1))`, partitions, string(consumers.ReasonInvalidRole)).Scan(&some)
	if err != nil {
		return false, fmt.Errorf("look for missing roles: %w", redact.SQLError(err))
	}
	return some, nil
}

// RetryRoles makes entities due that are parked for a role and whose roles can all
// be assigned now, none again within every.
func (a *Applier) RetryRoles(ctx context.Context, partitions []int32, roles []string, every time.Duration) (int64, error) {
	tag, err := a.pool.Exec(ctx, `UPDATE backstitch.entities SET due_at = now(), retried_at = now()
		WHERE status = 'parked' AND reason = $2 AND partition = ANY($1) AND (retried_at IS NULL OR retried_at < now() - $4 * interval '1 ms')
		  AND jsonb_typeof(desired -> 'roles') = 'array'
		  AND NOT EXISTS (SELECT FROM jsonb_array_elements_text(desired -> 'roles') r WHERE r <> ALL($3))`,
		partitions, string(consumers.ReasonInvalidRole), roles, every.Milliseconds())
	if err != nil {
		return 0, fmt.Errorf("retry parked entities: %w", redact.SQLError(err))
	}
	return tag.RowsAffected(), nil
}
