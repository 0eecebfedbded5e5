package ledger

import (
	"context"
	"fmt"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
)

// keep writes findings. One that is about the same object, or about the same entity
// without an object, is replaced.
func (v *Verification) keep(ctx context.Context, q Querier, found []Finding) error {
	for _, f := range found {
		_, err := q.Exec(ctx, `INSERT INTO backstitch.verification_findings (run, kind, org_key, key, stytch_id, class, fields, why, confirmed)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (run, kind, org_key, key, stytch_id) DO UPDATE SET class = excluded.class, fields = excluded.fields, why = excluded.why, confirmed = excluded.confirmed`,
			v.ID, string(f.Key.Kind), f.Key.Organization, f.Key.Entity, f.StytchID, f.Class, append([]string{}, f.Fields...), f.Why, f.Confirmed)
		if err != nil {
			return err
		}
	}
	return nil
}

// Replace puts another finding, or none, in the place of one, together with what the
// run's tally has counted since.
func (v *Verification) Replace(ctx context.Context, old Finding, now *Finding) error {
	return v.inTx(ctx, "keep what was found", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM backstitch.verification_findings WHERE (run, kind, org_key, key, stytch_id) = ($1, $2, $3, $4, $5)`,
			v.ID, string(old.Key.Kind), old.Key.Organization, old.Key.Entity, old.StytchID)
		if err != nil || now == nil {
			return err
		}
		return v.keep(ctx, tx, []Finding{*now})
	})
}

// Has says whether there is a finding about an entity and an object.
func (v *Verification) Has(ctx context.Context, f Finding) (there bool, err error) {
	err = v.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM backstitch.verification_findings WHERE (run, kind, org_key, key, stytch_id) = ($1, $2, $3, $4, $5))`,
		v.ID, string(f.Key.Kind), f.Key.Organization, f.Key.Entity, f.StytchID).Scan(&there)
	if err != nil {
		return false, fmt.Errorf("look for a finding: %w", redact.SQLError(err))
	}
	return there, nil
}

// Open lists findings that are to be looked at again, drift first, at most limit
// after the one given.
func (v *Verification) Open(ctx context.Context, after *Finding, limit int) ([]Finding, error) {
	if after == nil {
		after = &Finding{}
	}
	return v.findings(ctx, `NOT confirmed AND (class = 'pending', kind, org_key, key, stytch_id) > ($3, $4, $5, $6, $7)
		ORDER BY class = 'pending', kind, org_key, key, stytch_id LIMIT $2`,
		limit, after.Class == "pending", string(after.Key.Kind), after.Key.Organization, after.Key.Entity, after.StytchID)
}

// Confirmed lists findings that are certain, at most limit after the one given.
func (v *Verification) Confirmed(ctx context.Context, after *Finding, limit int) ([]Finding, error) {
	if after == nil {
		after = &Finding{}
	}
	return v.findings(ctx, `confirmed AND (kind, org_key, key, stytch_id) > ($3, $4, $5, $6) ORDER BY kind, org_key, key, stytch_id LIMIT $2`,
		limit, string(after.Key.Kind), after.Key.Organization, after.Key.Entity, after.StytchID)
}

// Findings lists at most limit findings in the order of their keys.
func (v *Verification) Findings(ctx context.Context, limit int) ([]Finding, error) {
	return v.findings(ctx, "true ORDER BY class, kind, org_key, key, stytch_id LIMIT $2", limit)
}

func (v *Verification) findings(ctx context.Context, where string, args ...any) ([]Finding, error) {
	rows, err := v.pool.Query(ctx, `SELECT kind, org_key, key, stytch_id, class, fields, why, confirmed
		FROM backstitch.verification_findings WHERE run = $1 AND `+where, append([]any{v.ID}, args...)...)
	if err == nil {
		var list []Finding
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (f Finding, err error) {
			return f, row.Scan(&f.Key.Kind, &f.Key.Organization, &f.Key.Entity, &f.StytchID, &f.Class, &f.Fields, &f.Why, &f.Confirmed)
		})
		if err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("list findings: %w", redact.SQLError(err))
}

// Unconfirmed makes findings that nobody looked at again in time what they are: not
// known.
func (v *Verification) Unconfirmed(ctx context.Context) error {
	_, err := v.pool.Exec(ctx, `UPDATE backstitch.verification_findings SET class = 'pending', why = 'a search says ' || class || ', and it was not read again in time'
		WHERE run = $1 AND NOT confirmed AND class <> 'pending'`, v.ID)
	if err != nil {
		return fmt.Errorf("keep what was found: %w", redact.SQLError(err))
	}
	return nil
}

// FindingCounts counts findings by class, and the fields that they name by kind.
func (v *Verification) FindingCounts(ctx context.Context) (classes, fields map[string]int64, err error) {
	classes, fields = map[string]int64{}, map[string]int64{}
	for _, c := range []struct {
		into map[string]int64
		sql  string
	}{
		{classes, `SELECT class, count(*) FROM backstitch.verification_findings WHERE run = $1 GROUP BY 1`},
		{fields, `SELECT kind || '.' || field, count(*) FROM backstitch.verification_findings, unnest(fields) field WHERE run = $1 GROUP BY 1`},
	} {
		rows, err := v.pool.Query(ctx, c.sql, v.ID)
		if err == nil {
			var name string
			var n int64
			_, err = pgx.ForEachRow(rows, []any{&name, &n}, func() error {
				c.into[name] = n
				return nil
			})
		}
		if err != nil {
			return nil, nil, fmt.Errorf("count findings: %w", redact.SQLError(err))
		}
	}
	return classes, fields, nil
}
