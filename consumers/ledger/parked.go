package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
)

// Filter chooses parked entities. An empty field chooses all.
type Filter struct {
	Kind   consumers.Kind
	Reason consumers.Reason
	// Organization is an organization's key: itself and its members.
	Organization string
	// Keys are entity keys; an organization's is its own.
	Keys   []string
	Limit  int // of a list, at most so many; 0: 1,000
	Offset int // of a list, the first to show; 0: the oldest
	// Blocked lists, beside the parked ones, those that wait for one (hazard A23).
	Blocked bool
	// Dropped lists those too that a person gave up.
	Dropped bool
}

// matches is the condition of a Filter over entities e, with parameters from $1 to $4.
const matches = ` ($1 = '' OR e.kind = $1) AND ($2 = '' OR e.reason = $2) AND ($3 = '' OR e.org_key = $3) AND (cardinality($4::text[]) = 0 OR e.key = ANY($4))`

func (f Filter) args(more ...any) []any {
	keys := f.Keys
	if keys == nil {
		keys = []string{}
	}
	return append([]any{string(f.Kind), string(f.Reason), f.Organization, keys}, more...)
}

// ParkedEntity is an entity that waits for a person (invariant 6).
type ParkedEntity struct {
	Key      consumers.Key    `json:"key"`
	Status   consumers.Status `json:"status"`
	Reason   consumers.Reason `json:"reason"`
	Detail   string           `json:"detail,omitempty"` // error type or SQLSTATE, never a value
	Attempts int              `json:"attempts"`
	// Committed is when the change was committed in the source, Since when its turn
	// ended so for the last time (absent before the first turn and after 7 days).
	Committed *time.Time `json:"committed_at,omitempty"`
	Since     *time.Time `json:"since,omitempty"`
	DroppedAt *time.Time `json:"dropped_at,omitempty"`
	DroppedBy string     `json:"dropped_by,omitempty"`
	// Fix says what a person can do.
	Fix string `json:"fix"`
}

// Parked lists parked entities, oldest change first.
func Parked(ctx context.Context, q Querier, f Filter) ([]ParkedEntity, error) {
	if f.Limit <= 0 {
		f.Limit = 1000
	}
	rows, err := q.Query(ctx, `SELECT e.kind, e.org_key, e.key, e.status, coalesce(e.reason, ''), coalesce(e.detail, ''), e.attempts, e.committed_at,
			(SELECT max(h.at) FROM backstitch.history h WHERE (h.kind, h.org_key, h.key) = (e.kind, e.org_key, e.key)),
			CASE WHEN e.status = 'dropped' THEN e.dropped_at END, CASE WHEN e.status = 'dropped' THEN coalesce(e.dropped_by, '') ELSE '' END
		FROM backstitch.entities e
		WHERE (e.status = 'parked' OR $6 AND e.status = 'blocked' OR $7 AND e.status = 'dropped') AND`+matches+`
		ORDER BY e.commit_lsn, e.kind, e.org_key, e.key LIMIT $5 OFFSET $8`, f.args(f.Limit, f.Blocked, f.Dropped, max(f.Offset, 0))...)
	if err == nil {
		var list []ParkedEntity
		if list, err = pgx.CollectRows(rows, scanParked); err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("list parked entities: %w", redact.SQLError(err))
}

func scanParked(row pgx.CollectableRow) (e ParkedEntity, err error) {
	err = row.Scan(&e.Key.Kind, &e.Key.Organization, &e.Key.Entity, &e.Status, &e.Reason, &e.Detail, &e.Attempts, &e.Committed,
		&e.Since, &e.DroppedAt, &e.DroppedBy)
	e.Fix = consumers.Fix(e.Reason)
	return e, err
}

// RetryParked makes parked entities due again and returns how many. Those that
// evaluation parked are not among them: only a change of their rows, or of the
// mapping, helps. With Keys it takes back what was dropped, too.
func RetryParked(ctx context.Context, q Querier, f Filter) (int64, error) {
	tag, err := q.Exec(ctx, `UPDATE backstitch.entities e SET due_at = now(), status = 'parked'
		WHERE (e.status = 'parked' OR e.status = 'dropped' AND cardinality($4::text[]) > 0) AND`+matches+` AND e.reason NOT IN `+EvaluationReasons,
		f.args()...)
	if err != nil {
		return 0, fmt.Errorf("retry parked entities: %w", redact.SQLError(err))
	}
	return tag.RowsAffected(), nil
}

// Drop gives parked entities up in a person's name and returns how many: Stytch
// keeps what it has, nothing is tried again, and the next change of the entity's
// rows makes it pending as any other (invariant 6). An entity with a call whose
// outcome is not known is left alone.
func Drop(ctx context.Context, q Querier, f Filter, by string) (int64, error) {
	tag, err := q.Exec(ctx, `UPDATE backstitch.entities e SET status = 'dropped', due_at = NULL, read_wanted = false, dropped_at = now(), dropped_by = $5
		WHERE e.status = 'parked' AND`+matches+`
		  AND NOT EXISTS (SELECT FROM backstitch.marks m WHERE (m.kind, m.org_key, m.key) = (e.kind, e.org_key, e.key))`, f.args(by)...)
	if err != nil {
		return 0, fmt.Errorf("drop parked entities: %w", redact.SQLError(err))
	}
	return tag.RowsAffected(), nil
}

// Shown is all that is known of an entity, without its values (invariant 8).
type Shown struct {
	EntityState
	// Means and Fix explain the reason; LossFixes the named losses, in their order.
	Means     string         `json:"means,omitempty"`
	Fix       string         `json:"fix,omitempty"`
	LossFixes []string       `json:"loss_fixes,omitempty"`
	History   []HistoryEvent `json:"history"`
}

// Show finds the entities with a key, in every organization or in one, parked or
// not, each with its history, newest first, at most events of them (0: all).
func Show(ctx context.Context, q Querier, key, organization string, events int) ([]Shown, error) {
	found, err := FindEntities(ctx, q, key, organization, 0)
	if err != nil {
		return nil, err
	}
	list := make([]Shown, 0, len(found))
	for _, e := range found {
		advice := consumers.Advise(e.Reason)
		s := Shown{EntityState: e, Means: advice.Means, Fix: advice.Fix}
		for _, l := range e.Losses {
			s.LossFixes = append(s.LossFixes, consumers.FixLoss(l))
		}
		if s.History, err = History(ctx, q, e.Key, events); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}
