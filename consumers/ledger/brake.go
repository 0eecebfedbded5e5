package ledger

import (
	"context"
	"fmt"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
)

// The kinds of consents that apply asks for, beside ConsentUnearned.
const (
	ConsentDeletes = "deletes"     // the brake has latched: more deletes in an hour than the policy allows
	ConsentHold    = "delete_hold" // the policy holds every delete of a kind
)

// brakeLock serialises the brake's decisions across instances.
const brakeLock = 0x6261636b6272616b // "backbrak"

// Brake asks whether a delete may be sent and counts it if so: one, for an
// organization one and each of its members in Stytch (hazard A25). Over limit in
// the last hour the brake latches: a question is open, and until a person answers
// it nothing passes, however little (hazard A12). It returns the question, or 0
// when the delete may be sent. A revision is counted once.
func (a *Applier) Brake(ctx context.Context, key consumers.Key, revision int64, limit int) (consent int64, err error) {
	err = pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) error {
		consent = 0
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(brakeLock)); err != nil {
			return err
		}
		var passed bool
		var latched, recent, weight int64
		err := tx.QueryRow(ctx, `SELECT
			(SELECT braked_revision >= $4 FROM backstitch.entities WHERE (kind, org_key, key) = ($1, $2, $3)),
			coalesce((SELECT max(id) FROM backstitch.consents WHERE kind = $5 AND approved_at IS NULL AND done_at IS NULL), 0),
			coalesce((SELECT sum(count) FROM backstitch.deletes WHERE hour > now() - interval '1 hour'), 0)::bigint,
			1 + CASE WHEN $1 = 'organization' THEN (SELECT count(*) FROM backstitch.entities WHERE kind = 'member' AND org_key = $2 AND stytch_id IS NOT NULL) ELSE 0 END`,
			string(key.Kind), key.Organization, key.Entity, revision, ConsentDeletes).Scan(&passed, &latched, &recent, &weight)
		switch {
		case err != nil:
			return err
		case latched != 0:
			consent = latched
			return nil
		case passed:
			return nil
		case recent+weight > int64(limit):
			c, err := Ask(ctx, tx, ConsentDeletes, "", fmt.Sprintf(
				"More than %d deletes within an hour are due (deletes.max_per_hour). No more are sent until you approve. May they all be sent?", limit))
			consent = c.ID
			if err == nil && c.Approved() {
				consent, err = reopen(ctx, tx, c.ID, limit)
			}
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO backstitch.deletes AS d (hour, count) VALUES (date_trunc('minute', now()), $1)
			ON CONFLICT (hour) DO UPDATE SET count = d.count + excluded.count`, weight); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE backstitch.entities SET braked_revision = $4 WHERE (kind, org_key, key) = ($1, $2, $3)`,
			string(key.Kind), key.Organization, key.Entity, revision)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("ask the delete brake: %w", redact.SQLError(err))
	}
	return consent, nil
}

// reopen asks anew when the last answer is still being carried out: it was given
// for the deletes that waited then, not for those that came since.
func reopen(ctx context.Context, tx pgx.Tx, answered int64, limit int) (int64, error) {
	if err := Done(ctx, tx, answered); err != nil {
		return 0, err
	}
	c, err := Ask(ctx, tx, ConsentDeletes, "", fmt.Sprintf(
		"More than %d deletes within an hour are due again (deletes.max_per_hour). No more are sent until you approve. May they all be sent?", limit))
	return c.ID, err
}
