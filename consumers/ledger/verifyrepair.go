package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
)

// Returned is an object that stands in Stytch under the external id of an entity that
// should not exist.
type Returned struct {
	Key                      consumers.Key
	StytchID, OrganizationID string
	Email                    string // of a member, as it was read
}

// TakeBack gives an object back to its entity, as an adoption does: it carries our
// external id, and what it holds is the last applied state. Its delete is due, and
// waits for a person's consent, because no row's change asked for it now (invariant 7).
// False: the entity has had a turn, or a life, since.
func TakeBack(ctx context.Context, q Querier, r Returned) (bool, error) {
	applied := Applied{}
	if r.Key.Kind == consumers.Member {
		applied["email_address"] = Value{V: r.Email}
	}
	raw, err := json.Marshal(applied)
	if err != nil {
		return false, errors.New("take an object back: its address cannot be written as JSON")
	}
	tag, err := q.Exec(ctx, `UPDATE backstitch.entities e SET stytch_id = $4, org_stytch_id = nullif($5, ''), adopted = true, earned = false,
			applied = e.applied || $6::jsonb, status = 'pending', reason = NULL, detail = NULL, consent_id = NULL, due_at = now()
		WHERE (e.kind, e.org_key, e.key) = ($1, $2, $3) AND e.desired IS NULL AND e.stytch_id IS NULL AND e.status = 'current' AND e.released_at IS NULL
		  AND NOT EXISTS (SELECT FROM backstitch.marks m WHERE (m.kind, m.org_key, m.key) = (e.kind, e.org_key, e.key))`,
		string(r.Key.Kind), r.Key.Organization, r.Key.Entity, r.StytchID, r.OrganizationID, string(raw))
	if err != nil {
		return false, fmt.Errorf("take an object back: %w", redact.SQLError(err))
	}
	return tag.RowsAffected() == 1, nil
}
