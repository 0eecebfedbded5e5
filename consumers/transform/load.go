package transform

import (
	"context"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/internal/redact"
)

// load evaluates the whole mapping once, when the mirror is complete: every entity
// of a new ledger goes to the backfill lane. Where a mapping was evaluated before,
// under another digest, it is the same pass with a comparison, and deletes among
// it wait for consent (invariant 7). A load that was interrupted is begun again.
func (e *evaluator) load(ctx context.Context, at Position) error {
	loaded, _, err := e.loadedBefore(ctx)
	if err != nil {
		return err
	}
	if loaded {
		return e.pass(ctx, at, causeMapping)
	}
	return e.pass(ctx, at, causeLoad)
}

// rebuild evaluates the whole mapping after the mirror was filled again: what only
// the old mirror had waits for consent (hazard C10, invariant 7).
func (e *evaluator) rebuild(ctx context.Context, at Position) error {
	return e.pass(ctx, at, causeRebuild)
}

// loadedBefore reports whether a load has ended, and whether the last pass that
// did was one of this very mapping.
func (e *evaluator) loadedBefore(ctx context.Context) (loaded, same bool, err error) {
	err = e.pool.QueryRow(ctx, `SELECT count(*) > 0, coalesce((array_agg(digest ORDER BY id DESC))[1] = $1, false)
		FROM backstitch.passes WHERE ended_at IS NOT NULL AND cause IN ('load', 'mapping', 'rebuild')`, e.plan.Digest()).Scan(&loaded, &same)
	if err != nil {
		return false, false, fmt.Errorf("read what was loaded: %w", redact.SQLError(err))
	}
	return loaded, same, nil
}

func commitTime(at Position) *time.Time {
	if at.CommitTime.IsZero() {
		return nil
	}
	return &at.CommitTime
}
