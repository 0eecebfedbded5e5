package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
)

// The kinds of consents that transform asks for; apply has its own.
const (
	ConsentTruncate  = "truncate"  // a captured table was truncated: may its entities be deleted?
	ConsentRecreated = "recreated" // a captured table was dropped and made again
	ConsentUnearned  = "unearned"  // deletes that no row's change caused
)

// Consent is a question to a person, and the answer (invariant 7).
type Consent struct {
	ID         int64      `json:"id"`
	Kind       string     `json:"kind"`
	Subject    string     `json:"subject,omitempty"` // a table, or ""
	Question   string     `json:"question"`
	AskedAt    time.Time  `json:"asked_at"`
	ApprovedAt *time.Time `json:"approved_at,omitempty"`
	ApprovedBy string     `json:"approved_by,omitempty"`
	DoneAt     *time.Time `json:"done_at,omitempty"`
	// Organizations and Members wait for the answer.
	Organizations int64 `json:"organizations"`
	Members       int64 `json:"members"`
}

// Approved reports whether a person said yes.
func (c Consent) Approved() bool { return c.ApprovedAt != nil }

// Ask asks once: an open question of the same kind and subject is returned as it
// stands, with its first wording.
func Ask(ctx context.Context, q Querier, kind, subject, question string) (Consent, error) {
	_, err := q.Exec(ctx, `INSERT INTO backstitch.consents (kind, subject, question)
		SELECT $1, $2, $3 WHERE NOT EXISTS
		  (SELECT FROM backstitch.consents WHERE kind = $1 AND subject = $2 AND done_at IS NULL)
		ON CONFLICT DO NOTHING`, kind, subject, question)
	if err != nil {
		return Consent{}, fmt.Errorf("ask for consent: %w", redact.SQLError(err))
	}
	rows, err := q.Query(ctx, selectConsents+" WHERE kind = $1 AND subject = $2 AND done_at IS NULL ORDER BY id DESC LIMIT 1", kind, subject)
	if err != nil {
		return Consent{}, fmt.Errorf("ask for consent: %w", redact.SQLError(err))
	}
	c, err := pgx.CollectExactlyOneRow(rows, scanConsent)
	if err != nil {
		return Consent{}, fmt.Errorf("ask for consent: %w", redact.SQLError(err))
	}
	return c, nil
}

// ErrNoConsent says that nobody asked that question.
var ErrNoConsent = errors.New("does not exist")

// Get reads one consent.
func Get(ctx context.Context, q Querier, id int64) (Consent, error) {
	rows, err := q.Query(ctx, selectConsents+" WHERE id = $1", id)
	if err != nil {
		return Consent{}, fmt.Errorf("read consent %d: %w", id, redact.SQLError(err))
	}
	c, err := pgx.CollectExactlyOneRow(rows, scanConsent)
	if errors.Is(err, pgx.ErrNoRows) {
		return Consent{}, fmt.Errorf("consent %d %w; `backstitch approve list` shows those that do", id, ErrNoConsent)
	}
	if err != nil {
		return Consent{}, fmt.Errorf("read consent %d: %w", id, redact.SQLError(err))
	}
	return c, nil
}

// List returns the questions that are not done yet, oldest first; with all, those
// that are done too.
func List(ctx context.Context, q Querier, all bool) ([]Consent, error) {
	rows, err := q.Query(ctx, selectConsents+" WHERE $1 OR done_at IS NULL ORDER BY id", all)
	if err != nil {
		return nil, fmt.Errorf("list consents: %w", redact.SQLError(err))
	}
	list, err := pgx.CollectRows(rows, scanConsent)
	if err != nil {
		return nil, fmt.Errorf("list consents: %w", redact.SQLError(err))
	}
	return list, nil
}

// Approve says yes to a question in a person's name, and makes what waits for it
// due. Approving twice keeps the first approval.
func Approve(ctx context.Context, q Querier, id int64, by string) (Consent, error) {
	_, err := q.Exec(ctx, `WITH yes AS (
			UPDATE backstitch.consents SET approved_at = now(), approved_by = $2 WHERE id = $1 AND approved_at IS NULL RETURNING id)
		UPDATE backstitch.entities e SET due_at = now() FROM yes
		WHERE e.consent_id = yes.id AND e.status = 'awaiting_consent'`, id, by)
	if err != nil {
		return Consent{}, fmt.Errorf("approve %d: %w", id, redact.SQLError(err))
	}
	return Get(ctx, q, id)
}

// Done closes a consent whose effect is in the ledger, in the effect's own transaction.
func Done(ctx context.Context, q Querier, id int64) error {
	if _, err := q.Exec(ctx, "UPDATE backstitch.consents SET done_at = now() WHERE id = $1 AND done_at IS NULL", id); err != nil {
		return fmt.Errorf("close consent %d: %w", id, redact.SQLError(err))
	}
	return nil
}

const selectConsents = `SELECT id, kind, subject, question, asked_at, approved_at, coalesce(approved_by, ''), done_at, organizations, members
	FROM backstitch.consents, LATERAL (
		SELECT count(*) FILTER (WHERE e.kind = 'organization') AS organizations, count(*) FILTER (WHERE e.kind = 'member') AS members
		FROM backstitch.entities e WHERE e.status = 'awaiting_consent' AND e.consent_id = consents.id) waiting`

func scanConsent(row pgx.CollectableRow) (c Consent, err error) {
	err = row.Scan(&c.ID, &c.Kind, &c.Subject, &c.Question, &c.AskedAt, &c.ApprovedAt, &c.ApprovedBy, &c.DoneAt, &c.Organizations, &c.Members)
	return c, err
}
