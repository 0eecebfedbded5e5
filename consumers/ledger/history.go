package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// historyDays is for how long a row of history is kept.
const historyDays = 7

// The events of an entity's history.
const (
	EventCame    = "came"    // a revision's turn began
	EventPlanned = "planned" // the calls that it needs, in order
	EventCall    = "call"    // one call, and what Stytch said
	EventOutcome = "outcome" // how the turn ended
)

// HistoryEvent is one thing that happened to an entity. It names fields, steps and
// error types, and never holds a value (invariant 8).
type HistoryEvent struct {
	At       time.Time `json:"at"` // by the clock of the instance that had the turn
	Revision int64     `json:"revision"`
	Event    string    `json:"event"`

	// Of EventCame: why, from where, and which fields differ from what is applied.
	Lane      schemas.Lane `json:"lane,omitempty"`
	Cause     string       `json:"cause,omitempty"` // change, audit, sweep, mapping
	Table     string       `json:"table,omitempty"`
	CommitLSN string       `json:"commit_lsn,omitempty"` // as 16/B374D848
	Fields    []string     `json:"fields,omitempty"`
	Gone      bool         `json:"gone,omitempty"` // the mapping does not return it any more

	// Of EventPlanned.
	Steps []string `json:"steps,omitempty"`

	// Of EventCall. HTTPStatus, ErrorType and RequestID are of refusals and failures.
	Step       string `json:"step,omitempty"`
	Outcome    string `json:"outcome,omitempty"`
	HTTPStatus int    `json:"http_status,omitempty"`
	ErrorType  string `json:"error_type,omitempty"`
	RequestID  string `json:"request_id,omitempty"`
	DurationMS int64  `json:"duration_ms,omitempty"`

	// Of EventOutcome.
	Status consumers.Status `json:"status,omitempty"`
	Reason consumers.Reason `json:"reason,omitempty"`
	Losses []consumers.Loss `json:"losses,omitempty"`
}

// History is what happened to an entity, newest first, at most limit events (0:
// all). It reaches back 20 writes and 7 days.
func History(ctx context.Context, q Querier, key consumers.Key, limit int) ([]HistoryEvent, error) {
	rows, err := q.Query(ctx, `SELECT revision, events FROM backstitch.history
		WHERE (kind, org_key, key) = ($1, $2, $3) ORDER BY at`, string(key.Kind), key.Organization, key.Entity)
	if err != nil {
		return nil, fmt.Errorf("read an entity's history: %w", redact.SQLError(err))
	}
	defer rows.Close()
	list := []HistoryEvent{}
	for rows.Next() {
		var revision int64
		var raw []byte
		if err := rows.Scan(&revision, &raw); err != nil {
			return nil, fmt.Errorf("read an entity's history: %w", redact.SQLError(err))
		}
		var events []HistoryEvent
		if json.Unmarshal(raw, &events) != nil { // invariant 8: the error may quote
			return nil, errors.New("read an entity's history: a row is not the list of events that it must be")
		}
		for _, e := range events {
			e.Revision = revision
			list = append(list, e)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read an entity's history: %w", redact.SQLError(err))
	}
	slices.Reverse(list)
	if limit > 0 && len(list) > limit {
		list = list[:limit]
	}
	return list, nil
}

// ForgetHistory removes rows of history that are older than 7 days, at most limit.
func (a *Applier) ForgetHistory(ctx context.Context, limit int) error {
	_, err := a.pool.Exec(ctx, `DELETE FROM backstitch.history WHERE ctid = ANY(ARRAY(
		SELECT ctid FROM backstitch.history WHERE at < now() - $1 * interval '1 day' LIMIT $2))`, historyDays, limit)
	if err != nil {
		return fmt.Errorf("forget old history: %w", redact.SQLError(err))
	}
	return nil
}

// EntityState is where an entity stands, without any of its values.
type EntityState struct {
	Key       consumers.Key    `json:"key"`
	Status    consumers.Status `json:"status"`
	Reason    consumers.Reason `json:"reason,omitempty"`
	Detail    string           `json:"detail,omitempty"` // error type, SQLSTATE or key digest
	Lane      schemas.Lane     `json:"lane"`
	Partition int32            `json:"partition"`
	// Revision is the desired state's, AppliedRevision the newest that was applied.
	Revision        int64      `json:"revision"`
	AppliedRevision int64      `json:"applied_revision"`
	AppliedAt       *time.Time `json:"applied_at,omitempty"`
	Committed       *time.Time `json:"committed_at,omitempty"` // in the source
	CommitLSN       string     `json:"commit_lsn"`
	Table           string     `json:"table,omitempty"` // whose change it was
	Gone            bool       `json:"gone,omitempty"`  // the mapping does not return it any more
	// StytchID and OrganizationID are Stytch's; the latter of members.
	StytchID       string           `json:"stytch_id,omitempty"`
	OrganizationID string           `json:"stytch_organization_id,omitempty"`
	Adopted        bool             `json:"adopted,omitempty"`
	Due            *time.Time       `json:"due_at,omitempty"`
	Attempts       int              `json:"attempts,omitempty"`
	ConsentID      int64            `json:"consent_id,omitempty"`
	Losses         []consumers.Loss `json:"losses,omitempty"`
	InFlight       bool             `json:"in_flight,omitempty"` // a call's outcome is not known
	// Differs names the desired fields that are not applied as they are; of a current
	// entity none.
	Differs   []string   `json:"differs,omitempty"`
	DroppedAt *time.Time `json:"dropped_at,omitempty"`
	DroppedBy string     `json:"dropped_by,omitempty"`
}

// FindEntities finds the entities with a key, in every organization or in one, at
// most limit (0: 100). An empty key lists an organization's.
func FindEntities(ctx context.Context, q Querier, key, organization string, limit int) ([]EntityState, error) {
	if limit <= 0 {
		limit = 100
	}
	where := "e.key = $1 AND ($2 = '' OR e.org_key = $2) AND e.kind IN ('organization', 'member')"
	if key == "" {
		where = "$1 = '' AND e.org_key = $2 AND e.kind IN ('organization', 'member')"
	}
	rows, err := q.Query(ctx, `SELECT e.kind, e.org_key, e.key, e.status, coalesce(e.reason, ''), coalesce(e.detail, ''), e.lane, e.partition,
			e.revision, e.applied_revision, e.applied_at, e.committed_at, e.commit_lsn, coalesce(e.source_table, ''), e.desired IS NULL,
			coalesce(e.stytch_id, ''), coalesce(e.org_stytch_id, ''), e.adopted, e.due_at, e.attempts, coalesce(e.consent_id, 0), e.losses,
			m.kind IS NOT NULL, e.dropped_at, coalesce(e.dropped_by, ''),
			ARRAY(SELECT d.field FROM jsonb_each(coalesce(e.desired, '{}')) AS d(field, value)
			      WHERE e.status <> 'current' AND d.field <> ALL($4)
			        AND coalesce(nullif(d.value, 'null'), '""') IS DISTINCT FROM coalesce(nullif(e.applied -> d.field -> 'v', 'null'), '""') ORDER BY 1)
		FROM backstitch.entities e LEFT JOIN backstitch.marks m USING (kind, org_key, key)
		WHERE `+where+` ORDER BY e.kind DESC, e.org_key, e.key LIMIT $3`, key, organization, limit, controls())
	if err == nil {
		var list []EntityState
		if list, err = pgx.CollectRows(rows, scanEntity); err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("find entities: %w", redact.SQLError(err))
}

// controls are fields that steer Backstitch and are never applied as such, except
// the hash.
func controls() []string {
	var list []string
	for _, k := range []consumers.Kind{consumers.Organization, consumers.Member} {
		for _, f := range consumers.Fields(k) {
			if f.Control && f.Name != "password_hash" || f.Key {
				list = append(list, f.Name)
			}
		}
	}
	return list
}

func scanEntity(row pgx.CollectableRow) (e EntityState, err error) {
	var lsn int64
	var losses []string
	err = row.Scan(&e.Key.Kind, &e.Key.Organization, &e.Key.Entity, &e.Status, &e.Reason, &e.Detail, &e.Lane, &e.Partition,
		&e.Revision, &e.AppliedRevision, &e.AppliedAt, &e.Committed, &lsn, &e.Table, &e.Gone,
		&e.StytchID, &e.OrganizationID, &e.Adopted, &e.Due, &e.Attempts, &e.ConsentID, &losses,
		&e.InFlight, &e.DroppedAt, &e.DroppedBy, &e.Differs)
	e.CommitLSN = schemas.LSN(lsn).String()
	for _, l := range losses {
		e.Losses = append(e.Losses, consumers.Loss(l))
	}
	return e, err
}
