package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// MappingPlan is what a changed mapping or policy would do, foreseen at a position.
type MappingPlan struct {
	ID string
	// Digest is that of the mapping and policies it is for, Accepted the one that the
	// ledger followed when it was made.
	Digest, Accepted string
	Epoch            uint32
	CommitLSN        schemas.LSN
	Summary          json.RawMessage
	PlannedAt        time.Time
	PlannedBy        string
}

// KeepPlan keeps a plan for its consent. The same one twice is one.
func KeepPlan(ctx context.Context, q Querier, p MappingPlan) error {
	_, err := q.Exec(ctx, `INSERT INTO backstitch.plans (id, digest, accepted, epoch, commit_lsn, summary, planned_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET planned_at = now(), planned_by = excluded.planned_by`,
		p.ID, p.Digest, p.Accepted, p.Epoch, int64(p.CommitLSN), p.Summary, p.PlannedBy)
	if err != nil {
		return fmt.Errorf("keep the plan: %w", redact.SQLError(err))
	}
	return nil
}

// planAgain is the fix of every refused plan.
const planAgain = "Run `backstitch plan` with this file, and give the id that it prints"

// FindPlan reads the plan that a person consents to. It must be one for digest; else
// the error is a stage.Held that says why it is none.
func FindPlan(ctx context.Context, q Querier, id, digest string) (MappingPlan, error) {
	p := MappingPlan{ID: id}
	var lsn int64
	err := q.QueryRow(ctx, "SELECT digest, accepted, epoch, commit_lsn, summary, planned_at, planned_by FROM backstitch.plans WHERE id = $1", id).
		Scan(&p.Digest, &p.Accepted, &p.Epoch, &lsn, &p.Summary, &p.PlannedAt, &p.PlannedBy)
	p.CommitLSN = schemas.LSN(lsn)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return p, stage.Hold(planAgain, "this ledger has no plan %q", id)
	case err != nil:
		return p, fmt.Errorf("read plan %s: %w", id, redact.SQLError(err))
	case p.Digest != digest:
		return p, stage.Hold(planAgain, "plan %s is for a mapping and policies with digest %.12s, this file has %.12s: what it would do was not planned", id, p.Digest, digest)
	}
	return p, nil
}

// AcceptPlan is Accept with a person's consent to one plan for digest. A plan that was
// made while the ledger followed another mapping than now is refused. changed counts
// the entities that changed since it was made: what becomes of those it does not tell.
func AcceptPlan(ctx context.Context, pool *pgxpool.Pool, id, digest, by string) (plan MappingPlan, changed int64, err error) {
	if plan, err = FindPlan(ctx, pool, id, digest); err != nil {
		return plan, 0, err
	}
	// before the identity's lock, which everybody waits for
	err = pool.QueryRow(ctx, "SELECT count(*) FROM backstitch.entities WHERE (epoch, greatest(revision, commit_lsn)) > ($1, $2)", plan.Epoch, int64(plan.CommitLSN)).Scan(&changed)
	if err != nil {
		return plan, 0, fmt.Errorf("count what changed since plan %s: %w", id, redact.SQLError(err))
	}
	return plan, changed, acceptAfter(ctx, pool, digest, func(tx pgx.Tx) error {
		var now string
		err := tx.QueryRow(ctx, "SELECT coalesce(digest, '') FROM backstitch.identity ORDER BY created_at LIMIT 1 FOR UPDATE").Scan(&now)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if now != plan.Accepted && now != digest {
			return stage.Hold(planAgain, "plan %s compares with the mapping that the ledger followed then, digest %.12s; since then another one was accepted, %.12s", id, plan.Accepted, now)
		}
		_, err = tx.Exec(ctx, "UPDATE backstitch.plans SET accepted_at = now(), accepted_by = $2 WHERE id = $1", id, by)
		return err
	})
}
