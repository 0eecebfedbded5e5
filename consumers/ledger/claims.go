package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
)

// Claim is a value that Stytch keeps unique, by its digest (hazard A4).
type Claim struct {
	// Scope is an organization's key, or "" for the whole project.
	Scope  string
	Field  string
	Digest []byte
}

func (c Claim) id() string {
	return fmt.Sprintf("%d:%s|%s|%x", len(c.Scope), c.Scope, c.Field, c.Digest)
}

// Holder is the entity that holds a claimed value, nil when nobody does.
func (a *Applier) Holder(ctx context.Context, c Claim) (*State, error) {
	var k consumers.Key
	err := a.pool.QueryRow(ctx, `SELECT kind, org_key, key FROM backstitch.claims WHERE scope = $1 AND field = $2 AND value_digest = $3`,
		c.Scope, c.Field, c.Digest).Scan(&k.Kind, &k.Organization, &k.Entity)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the holder of a value: %w", redact.SQLError(err))
	}
	states, err := a.Load(ctx, []consumers.Key{k})
	if err != nil {
		return nil, err
	}
	return states[0], nil
}

const (
	waitSQL = `INSERT INTO backstitch.waiters (scope, field, value_digest, kind, org_key, key)
		SELECT w.* FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::text[], $6::text[]) AS w(scope, field, value_digest, kind, org_key, key)
		ORDER BY 1, 2, 3, 4, 5, 6 ON CONFLICT DO NOTHING`

	// An entity keeps exactly the claims that are named; the rest it gives up.
	releaseSQL = `DELETE FROM backstitch.claims c
		USING unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::bigint[]) AS o(kind, org_key, key, partition, term)
		WHERE (c.kind, c.org_key, c.key) = (o.kind, o.org_key, o.key)
		  AND NOT EXISTS (SELECT FROM unnest($6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::bytea[]) AS k(kind, org_key, key, scope, field, value_digest)
		                  WHERE (k.kind, k.org_key, k.key, k.scope, k.field, k.value_digest) = (c.kind, c.org_key, c.key, c.scope, c.field, c.value_digest)) AND` + heldSQL

	keepSQL = `INSERT INTO backstitch.claims (kind, org_key, key, scope, field, value_digest)
		SELECT kind, org_key, key, scope, field, value_digest
		FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::int[], $8::bigint[]) AS o(kind, org_key, key, scope, field, value_digest, partition, term)
		WHERE` + heldSQL + ` ORDER BY 4, 5, 6 ON CONFLICT DO NOTHING`

	// Waiters whose value nobody holds any more are due. Fields and scopes narrow
	// the look to what this batch may have freed or begun to wait for.
	wakeWaitersSQL = `WITH free AS (
			DELETE FROM backstitch.waiters w
			WHERE w.scope = ANY($1::text[]) AND NOT EXISTS (
				SELECT FROM backstitch.claims c WHERE (c.scope, c.field, c.value_digest) = (w.scope, w.field, w.value_digest))
			RETURNING w.kind, w.org_key, w.key)
		UPDATE backstitch.entities e SET due_at = now() FROM free f
		WHERE (e.kind, e.org_key, e.key) = (f.kind, f.org_key, f.key)`
)
