package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
)

// SeenObject is an object that a search has shown.
type SeenObject struct {
	Kind           consumers.Kind
	StytchID       string
	OrganizationID string // Stytch's; an organization's own
	ExternalID     string
	Object         any // goes into the ledger as JSON, until the object is compared
}

// See keeps a page of a search together with the place where the search goes on.
func (v *Verification) See(ctx context.Context, page []SeenObject, cursor string) error {
	n := len(page)
	kinds, ids, orgs, externals, objects := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i, s := range page {
		raw, err := json.Marshal(s.Object)
		if err != nil {
			return errors.New("keep a page of a search: an object cannot be written as JSON") // invariant 8: err may quote it
		}
		kinds[i], ids[i], orgs[i], externals[i], objects[i] = string(s.Kind), s.StytchID, s.OrganizationID, s.ExternalID, string(raw)
	}
	v.Cursor = cursor
	v.Tally.Searches++
	return v.inTx(ctx, "keep a page of a search", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO backstitch.verification_seen (run, kind, stytch_id, organization_id, external_id, object)
			SELECT DISTINCT ON (2, 3) $1::bigint, k, i, o, x, j::jsonb FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) AS p(k, i, o, x, j)
			ON CONFLICT (run, kind, stytch_id) DO UPDATE SET organization_id = excluded.organization_id, external_id = excluded.external_id, object = excluded.object`,
			v.ID, kinds, ids, orgs, externals, objects)
		return err
	})
}

// inTx runs act and saves the progress in one transaction.
func (v *Verification) inTx(ctx context.Context, what string, act func(pgx.Tx) error) error {
	err := pgx.BeginFunc(ctx, v.pool, func(tx pgx.Tx) error {
		if err := act(tx); err != nil {
			return err
		}
		return v.save(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, redact.SQLError(err))
	}
	return nil
}

// Forget drops the members of the batch: they are read again from the first page.
func (v *Verification) Forget(ctx context.Context, kind consumers.Kind) error {
	v.Cursor = ""
	return v.inTx(ctx, "read again", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM backstitch.verification_seen WHERE run = $1 AND kind = $2`, v.ID, string(kind))
		return err
	})
}

// Unsee drops an organization that is gone by now.
func (v *Verification) Unsee(ctx context.Context, organizationID string) error {
	return v.inTx(ctx, "drop what is gone", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM backstitch.verification_seen WHERE run = $1 AND organization_id = $2`, v.ID, organizationID)
		return err
	})
}

// Partition is organizations whose members are read together.
type Partition struct {
	Keys []string // of the ledger's organizations, in order
	IDs  []string // Stytch's ids of those that were seen there
}

// The bounds of a partition: an organization that has more members is one alone.
const (
	partitionOrganizations = 100
	partitionMembers       = 1000
)

// NextPartition chooses the organizations after the last that was compared, or those
// whose reading was interrupted. It is empty at the end.
func (v *Verification) NextPartition(ctx context.Context) (Partition, error) {
	where, args := "o.org_key > $2 ORDER BY o.org_key LIMIT $3", []any{v.ID, v.After, partitionOrganizations}
	if len(v.Batch) > 0 {
		where, args = "o.org_key = ANY($2) ORDER BY o.org_key", []any{v.ID, v.Batch}
	}
	rows, err := v.pool.Query(ctx, `SELECT o.org_key, coalesce(s.stytch_id, ''),
			(SELECT count(*) FROM backstitch.entities m WHERE m.kind = 'member' AND m.org_key = o.org_key AND m.stytch_id IS NOT NULL)
		FROM backstitch.entities o LEFT JOIN backstitch.verification_seen s ON s.run = $1 AND s.kind = 'organization' AND s.stytch_id = o.stytch_id
		WHERE o.kind = 'organization' AND `+where, args...)
	var p Partition
	if err == nil {
		var key, id string
		var members, sum int64
		full := false
		_, err = pgx.ForEachRow(rows, []any{&key, &id, &members}, func() error {
			if full = full || len(v.Batch) == 0 && len(p.Keys) > 0 && sum+members > partitionMembers; full {
				return nil
			}
			sum += members
			p.Keys = append(p.Keys, key)
			if id != "" {
				p.IDs = append(p.IDs, id)
			}
			return nil
		})
	}
	if err != nil {
		return Partition{}, fmt.Errorf("choose organizations to verify: %w", redact.SQLError(err))
	}
	if len(v.Batch) == 0 && len(p.Keys) > 0 {
		v.Batch, v.Cursor = p.Keys, ""
		return p, v.Save(ctx)
	}
	return p, nil
}
