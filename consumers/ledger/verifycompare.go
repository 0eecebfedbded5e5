package ledger

import (
	"context"
	"fmt"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
)

// Expectation is what the ledger says of an entity: what it should be, what we last
// wrote, and whether anything is still to come.
type Expectation struct {
	Key     consumers.Key
	Desired map[string]any // nil: it should not exist; numbers are json.Number
	Applied Applied

	StytchID   string
	PasswordID string // the member_password_id that we caused
	Losses     []consumers.Loss

	Status consumers.Status
	Reason consumers.Reason
	// Settled: applied past its last change, nothing in flight and nothing due.
	Settled bool
	// Released: its organization is cut over, and the application's (invariant 12).
	Released bool
	// OrganizationID is Stytch's id of the entity's organization.
	OrganizationID string
	// Version tells two looks at the entity apart that differ in anything above.
	Version string
	// Seen is what the search has shown under StytchID, in that organization; nil: nothing.
	Seen []byte
}

const expectationSQL = `SELECT e.kind, e.org_key, e.key, CASE WHEN e.kind = 'organization' OR o.desired IS NOT NULL THEN e.desired END, e.applied,
		coalesce(e.stytch_id, ''), coalesce(e.password_id, ''), e.losses, e.status, coalesce(e.reason, ''),
		e.status = 'current' AND m.step IS NULL AND e.tried_revision >= e.revision AND NOT e.read_wanted AND e.due_at IS NULL,
		e.released_at IS NOT NULL OR o.released_at IS NOT NULL,
		coalesce(o.stytch_id, ''), concat_ws(' ', e.revision, e.tried_revision, e.turns, e.status, e.reason, e.stytch_id, e.applied_at, m.step IS NOT NULL, o.stytch_id), s.object
	FROM backstitch.entities e
	LEFT JOIN backstitch.marks m USING (kind, org_key, key)
	LEFT JOIN backstitch.entities o ON o.kind = 'organization' AND o.org_key = e.org_key AND o.key = e.org_key
	LEFT JOIN backstitch.verification_seen s ON s.run = $1 AND s.kind = e.kind AND s.stytch_id = e.stytch_id AND s.organization_id = o.stytch_id
	WHERE `

func scanExpectation(row pgx.CollectableRow) (*Expectation, error) {
	var e Expectation
	var desired, applied []byte
	err := row.Scan(&e.Key.Kind, &e.Key.Organization, &e.Key.Entity, &desired, &applied, &e.StytchID, &e.PasswordID, &e.Losses,
		&e.Status, &e.Reason, &e.Settled, &e.Released, &e.OrganizationID, &e.Version, &e.Seen)
	if err == nil {
		err = decode(desired, &e.Desired)
	}
	if err == nil {
		err = decode(applied, &e.Applied)
	}
	return &e, err
}

// Expect reads one entity; nil: the ledger does not know it.
func (v *Verification) Expect(ctx context.Context, k consumers.Key) (*Expectation, error) {
	return v.expectOne(ctx, "(e.kind, e.org_key, e.key) = ($2, $3, $4)", string(k.Kind), k.Organization, k.Entity)
}

// ExpectID finds the entity that an object in Stytch stands for, by its id, and for a
// member by the key of its organization.
func (v *Verification) ExpectID(ctx context.Context, kind consumers.Kind, organization, stytchID string) (*Expectation, error) {
	return v.expectOne(ctx, "e.kind = $2 AND (e.kind = 'organization' OR e.org_key = $3) AND e.stytch_id = $4", string(kind), organization, stytchID)
}

func (v *Verification) expectOne(ctx context.Context, where string, args ...any) (*Expectation, error) {
	rows, err := v.pool.Query(ctx, expectationSQL+where+" LIMIT 1", append([]any{v.ID}, args...)...)
	if err == nil {
		var list []*Expectation
		if list, err = pgx.CollectRows(rows, scanExpectation); err == nil {
			if len(list) == 0 {
				return nil, nil
			}
			return list[0], nil
		}
	}
	return nil, fmt.Errorf("read an entity: %w", redact.SQLError(err))
}

// Finding is an entity, or an object in Stytch, that is not as it should be or of
// which that is not known. No values (invariant 8).
type Finding struct {
	Key       consumers.Key // without an entity: the kind, and a member's organization
	StytchID  string
	Class     string
	Fields    []string
	Why       string
	Confirmed bool
}

// Extra is an object that a search has shown and that stands for no entity by its id.
type Extra struct {
	Kind                        consumers.Kind
	StytchID, OrganizationID    string
	OrganizationKey, ExternalID string // the key of the ledger's organization that it is in
}

// Comparison judges both sides of a partition, row by row. A nil finding was counted
// in the run's tally.
type Comparison struct {
	Entity func(*Expectation) *Finding
	// Extra may ask the ledger: it is called when all entities were judged.
	Extra func(context.Context, Extra) (*Finding, error)
}

// compareRows is how many rows are in memory at once (invariant 9).
const compareRows = 500

// Compare streams a kind of the partition through c, keeps the findings, and moves
// the run on, in one transaction: an interrupted comparison counts nothing.
// Organizations are one partition; keys are of those whose members were read.
func (v *Verification) Compare(ctx context.Context, kind consumers.Kind, keys []string, c Comparison) error {
	before := v.VerificationRow
	before.Tally = v.Tally.clone()
	err := v.inTx(ctx, "compare", func(tx pgx.Tx) error {
		// Every row is fetched: a plan for the first tenth of them would be a loop in a loop.
		if _, err := tx.Exec(ctx, "SET LOCAL cursor_tuple_fraction = 1"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "ANALYZE backstitch.verification_seen"); err != nil {
			return err
		}
		if err := v.compareEntities(ctx, tx, kind, keys, c.Entity); err != nil {
			return err
		}
		if err := v.compareExtras(ctx, tx, kind, keys, c.Extra); err != nil {
			return err
		}
		if kind == consumers.Organization {
			v.Phase, v.Cursor = VerifyMembers, ""
			return nil
		}
		v.After, v.Batch, v.Cursor = keys[len(keys)-1], nil, ""
		_, err := tx.Exec(ctx, `DELETE FROM backstitch.verification_seen WHERE run = $1 AND kind = 'member'`, v.ID)
		return err
	})
	if err != nil {
		v.VerificationRow = before
	}
	return err
}

func (v *Verification) compareEntities(ctx context.Context, tx pgx.Tx, kind consumers.Kind, keys []string, judge func(*Expectation) *Finding) error {
	_, err := tx.Exec(ctx, "DECLARE expected NO SCROLL CURSOR FOR "+expectationSQL+"e.kind = $2 AND ($2 = 'organization' OR e.org_key = ANY($3))",
		v.ID, string(kind), append([]string{}, keys...))
	if err != nil {
		return err
	}
	return fetch(ctx, tx, "expected", scanExpectation, func(list []*Expectation) error {
		var found []Finding
		for _, e := range list {
			if f := judge(e); f != nil {
				found = append(found, *f)
			}
		}
		return v.keep(ctx, tx, found)
	})
}

func (v *Verification) compareExtras(ctx context.Context, tx pgx.Tx, kind consumers.Kind, keys []string, judge func(context.Context, Extra) (*Finding, error)) error {
	sql, args := extraMembersSQL, []any{v.ID, keys}
	if kind == consumers.Organization {
		sql, args = extraOrganizationsSQL, []any{v.ID}
	}
	_, err := tx.Exec(ctx, sql, args...)
	if err != nil {
		return err
	}
	return fetch(ctx, tx, "extra", pgx.RowToStructByPos[Extra], func(list []Extra) error {
		var found []Finding
		for _, x := range list {
			f, err := judge(ctx, x)
			if err != nil {
				return err
			}
			if f != nil {
				found = append(found, *f)
			}
		}
		return v.keep(ctx, tx, found)
	})
}

const (
	extraOrganizationsSQL = `DECLARE extra NO SCROLL CURSOR FOR
		SELECT s.kind, s.stytch_id, s.organization_id, '', s.external_id FROM backstitch.verification_seen s
		WHERE s.run = $1 AND s.kind = 'organization' AND NOT EXISTS (SELECT FROM backstitch.entities e
			WHERE e.kind = 'organization' AND e.stytch_id = s.stytch_id)`
	extraMembersSQL = `DECLARE extra NO SCROLL CURSOR FOR
		WITH o AS MATERIALIZED (SELECT org_key, stytch_id FROM backstitch.entities WHERE kind = 'organization' AND org_key = ANY($2))
		SELECT s.kind, s.stytch_id, s.organization_id, coalesce(o.org_key, ''), s.external_id
		FROM backstitch.verification_seen s LEFT JOIN o ON o.stytch_id = s.organization_id
		WHERE s.run = $1 AND s.kind = 'member' AND NOT EXISTS (SELECT FROM backstitch.entities e
			WHERE e.kind = 'member' AND e.org_key = ANY($2) AND e.stytch_id = s.stytch_id AND e.org_key = o.org_key)`
)

func fetch[T any](ctx context.Context, tx pgx.Tx, cursor string, scan pgx.RowToFunc[T], use func([]T) error) error {
	for {
		rows, err := tx.Query(ctx, fmt.Sprintf("FETCH %d FROM %s", compareRows, cursor))
		if err != nil {
			return err
		}
		list, err := pgx.CollectRows(rows, scan)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			_, err = tx.Exec(ctx, "CLOSE "+cursor)
			return err
		}
		if err := use(list); err != nil {
			return err
		}
	}
}

func (t Tally) clone() Tally {
	copied := func(m map[string]int64) map[string]int64 {
		out := make(map[string]int64, len(m))
		for k, n := range m {
			out[k] = n
		}
		return out
	}
	t.Classes, t.Losses, t.Kinds = copied(t.Classes), copied(t.Losses), copied(t.Kinds)
	return t
}
