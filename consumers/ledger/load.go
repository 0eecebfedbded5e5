package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// Value is what is known of one field in Stytch.
type Value struct {
	V any `json:"v"`
	// Maybe holds what the field may be instead while a call's outcome is unknown.
	Maybe []any `json:"maybe,omitempty"`
}

// Applied is the last known state of an entity in Stytch, by field name.
type Applied map[string]Value

// Mark is a call whose outcome is not recorded.
type Mark struct {
	Step   string
	Term   int64
	Maybe  map[string]any // what the call may set, by field
	Settle time.Duration  // until somebody may look, by the ledger's clock; <= 0: now
}

// Parent is what a member's turn knows of its organization.
type Parent struct {
	StytchID string
	Gone     bool // the mapping does not return it any more
	Adopted  bool // not created by this ledger (hazard A24)
	Released bool
	Status   consumers.Status
	Reason   consumers.Reason
	Waiting  bool // has a newer revision than its last turn, or is due
}

// State is all that a turn of an entity starts from.
type State struct {
	Key       consumers.Key
	Partition int32
	Lane      schemas.Lane
	Revision  int64
	Tried     int64          // newest revision whose turn has ended
	Desired   map[string]any // nil: gone; numbers are json.Number
	Earned    bool
	Committed *time.Time // the source's commit time
	CommitLSN schemas.LSN
	Cause     string // why the revision was made: change, audit, sweep, mapping
	Table     string // whose change it was, or ""

	Applied        Applied
	OrganizationID string // of a member: the Stytch organization that it was made in (hazard A10)
	StytchID       string
	PasswordID     string // the member_password_id that we caused
	HashDigest     []byte
	Adopted        bool
	Losses         []consumers.Loss

	Status     consumers.Status
	Reason     consumers.Reason
	Due        bool // its due time has come
	Later      bool // it has a due time, and that is still to come
	Attempts   int
	ConsentID  int64
	Consented  bool
	ReadWanted bool
	Released   bool

	Mark   *Mark
	Parent *Parent // of a member; nil: the ledger does not know the organization
}

const loadSQL = `
SELECT x.n, e.partition, e.lane, e.revision, e.tried_revision, e.desired, e.earned, e.committed_at,
       e.applied, coalesce(e.org_stytch_id, ''), coalesce(e.stytch_id, ''), coalesce(e.password_id, ''), e.hash_digest, e.adopted, e.losses,
       e.status, coalesce(e.reason, ''), coalesce(e.due_at <= now(), false), coalesce(e.due_at > now(), false), e.attempts,
       coalesce(e.consent_id, 0), c.approved_at IS NOT NULL, e.read_wanted, e.released_at IS NOT NULL,
       m.step, coalesce(m.term, 0), m.maybe, coalesce(extract(epoch FROM m.settle_until - now()), 0)::float8,
       o.key IS NOT NULL, coalesce(o.stytch_id, ''), o.desired IS NULL, coalesce(o.adopted, false), o.released_at IS NOT NULL,
       coalesce(o.status, ''), coalesce(o.reason, ''), coalesce(o.revision > o.tried_revision OR o.due_at <= now(), false),
       e.commit_lsn, e.wake_reason, coalesce(e.source_table, '')
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS x(kind, org_key, key, n)
JOIN backstitch.entities e USING (kind, org_key, key)
LEFT JOIN backstitch.marks m USING (kind, org_key, key)
LEFT JOIN backstitch.consents c ON c.id = e.consent_id
LEFT JOIN backstitch.entities o ON x.kind = 'member' AND o.kind = 'organization' AND o.org_key = x.org_key AND o.key = x.org_key`

// Load reads the newest state of entities in one statement. An entity that the
// ledger does not know is nil.
func (a *Applier) Load(ctx context.Context, keys []consumers.Key) ([]*State, error) {
	kinds, orgs, ids := keyColumns(keys)
	rows, err := a.pool.Query(ctx, loadSQL, kinds, orgs, ids)
	if err != nil {
		return nil, fmt.Errorf("load entities: %w", redact.SQLError(err))
	}
	defer rows.Close()
	states := make([]*State, len(keys))
	for rows.Next() {
		n, s, err := scanState(rows)
		if err != nil {
			return nil, err
		}
		s.Key = keys[n]
		states[n] = s
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("load entities: %w", redact.SQLError(err))
	}
	return states, nil
}

func scanState(rows pgx.Rows) (int64, *State, error) {
	var (
		n                       int64
		s                       State
		p                       Parent
		m                       Mark
		step                    *string
		settle                  float64
		known                   bool
		losses                  []string
		desired, applied, maybe []byte
		lsn                     int64
	)
	err := rows.Scan(&n, &s.Partition, &s.Lane, &s.Revision, &s.Tried, &desired, &s.Earned, &s.Committed,
		&applied, &s.OrganizationID, &s.StytchID, &s.PasswordID, &s.HashDigest, &s.Adopted, &losses,
		&s.Status, &s.Reason, &s.Due, &s.Later, &s.Attempts, &s.ConsentID, &s.Consented, &s.ReadWanted, &s.Released,
		&step, &m.Term, &maybe, &settle,
		&known, &p.StytchID, &p.Gone, &p.Adopted, &p.Released, &p.Status, &p.Reason, &p.Waiting,
		&lsn, &s.Cause, &s.Table)
	if err != nil {
		return 0, nil, fmt.Errorf("load an entity: %w", redact.SQLError(err))
	}
	s.CommitLSN = schemas.LSN(lsn)
	for _, d := range []struct {
		raw  []byte
		into any
	}{{desired, &s.Desired}, {applied, &s.Applied}, {maybe, &m.Maybe}} {
		if err := decode(d.raw, d.into); err != nil {
			return 0, nil, err
		}
	}
	for _, l := range losses {
		s.Losses = append(s.Losses, consumers.Loss(l))
	}
	if step != nil {
		m.Step, m.Settle = *step, time.Duration(settle*float64(time.Second))
		s.Mark = &m
	}
	if known {
		s.Parent = &p
	}
	return n - 1, &s, nil
}

// decode keeps numbers as they were written: metadata may hold more digits than a float.
func decode(raw []byte, into any) error {
	if raw == nil {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if dec.Decode(into) != nil { // invariant 8: the error may quote a value
		return fmt.Errorf("load an entity: a state in the ledger is not the JSON object that it must be")
	}
	return nil
}

func keyColumns(keys []consumers.Key) (kinds, orgs, ids []string) {
	for _, k := range keys {
		kinds, orgs, ids = append(kinds, string(k.Kind)), append(orgs, k.Organization), append(ids, k.Entity)
	}
	return kinds, orgs, ids
}
