package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ConsentRebuild asks whether a mirror that was filled anew, at a person's request,
// may take the old one's place.
const ConsentRebuild = "rebuild"

// Rebuild is a request to read the source again into a mirror beside the old one,
// and to show what that changes before the two are swapped.
type Rebuild struct {
	ConsentID int64     `json:"consent_id"`
	AskedBy   string    `json:"asked_by"`
	AskedAt   time.Time `json:"asked_at"`
	// AfterEpoch: a mirror of a later epoch of the source is meant.
	AfterEpoch uint32 `json:"after_epoch"`
	// Requested: the source was asked to read again.
	Requested bool `json:"requested"`
	Approved  bool `json:"approved"`
	// Compared is nil until the new mirror is complete.
	Compared *Compared `json:"compared,omitempty"`
	Swapped  bool      `json:"swapped"`
}

// Compared is what a new mirror would change when it was complete.
type Compared struct {
	Epoch     uint32      `json:"epoch"`
	CommitLSN schemas.LSN `json:"-"`
	Entities  int64       `json:"entities"`
	// Differ from what is stored; those that Appear, Vanish and Failed (cannot be
	// evaluated) are among them.
	Differ int64 `json:"differ"`
	Appear int64 `json:"appear"`
	Vanish int64 `json:"vanish"`
	Failed int64 `json:"cannot_be_evaluated"`
}

// AskRebuild records a request, or returns the one that is open.
// Its consent is open from now on; approved before the difference is known, the new
// mirror is swapped in without a look.
func AskRebuild(ctx context.Context, pool *pgxpool.Pool, by string, epoch uint32) (r *Rebuild, err error) {
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "LOCK TABLE backstitch.rebuilds IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return redact.SQLError(err)
		}
		if r, err = OpenRebuild(ctx, tx); err != nil || r != nil {
			return err
		}
		consent, err := Ask(ctx, tx, ConsentRebuild, "",
			"The source is read again into a new mirror. What that changes is shown here when it is complete. Approve to swap the mirrors, before that without a look; deletes among the changes ask again.")
		if err != nil {
			return err
		}
		r = &Rebuild{ConsentID: consent.ID, AskedBy: by, AfterEpoch: epoch}
		err = tx.QueryRow(ctx, "INSERT INTO backstitch.rebuilds (consent_id, asked_by, after_epoch) VALUES ($1, $2, $3) RETURNING asked_at",
			consent.ID, by, epoch).Scan(&r.AskedAt)
		return redact.SQLError(err)
	})
	if err != nil {
		return nil, fmt.Errorf("ask for a rebuild: %w", err)
	}
	return r, nil
}

const selectRebuilds = `SELECT r.consent_id, r.asked_by, r.asked_at, r.after_epoch, r.requested, c.approved_at IS NOT NULL, r.swapped_at IS NOT NULL,
		r.compared_at IS NOT NULL, coalesce(r.epoch, 0), coalesce(r.commit_lsn, 0), coalesce(r.entities, 0),
		coalesce(r.differ, 0), coalesce(r.appear, 0), coalesce(r.vanish, 0), coalesce(r.failed, 0)
	FROM backstitch.rebuilds r JOIN backstitch.consents c ON c.id = r.consent_id`

func scanRebuild(row pgx.Row) (*Rebuild, error) {
	var r Rebuild
	var c Compared
	var compared bool
	var lsn int64
	err := row.Scan(&r.ConsentID, &r.AskedBy, &r.AskedAt, &r.AfterEpoch, &r.Requested, &r.Approved, &r.Swapped,
		&compared, &c.Epoch, &lsn, &c.Entities, &c.Differ, &c.Appear, &c.Vanish, &c.Failed)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a rebuild: %w", redact.SQLError(err))
	}
	if c.CommitLSN = schemas.LSN(lsn); compared {
		r.Compared = &c
	}
	return &r, nil
}

// OpenRebuild is the request that was not swapped in yet; nil when there is none.
func OpenRebuild(ctx context.Context, q Querier) (*Rebuild, error) {
	return scanRebuild(q.QueryRow(ctx, selectRebuilds+" WHERE r.swapped_at IS NULL ORDER BY 1 DESC LIMIT 1"))
}

// GetRebuild reads a request by its consent; nil when there is none.
func GetRebuild(ctx context.Context, q Querier, consent int64) (*Rebuild, error) {
	return scanRebuild(q.QueryRow(ctx, selectRebuilds+" WHERE r.consent_id = $1", consent))
}

// RequestedRebuild records that the source was asked to read again.
func RequestedRebuild(ctx context.Context, q Querier, r *Rebuild) error {
	if _, err := q.Exec(ctx, "UPDATE backstitch.rebuilds SET requested = true WHERE consent_id = $1", r.ConsentID); err != nil {
		return fmt.Errorf("record that a rebuild was requested: %w", redact.SQLError(err))
	}
	r.Requested = true
	return nil
}

// ShowRebuild records what the new mirror would change, and puts it into the question.
func ShowRebuild(ctx context.Context, q Querier, r *Rebuild, c Compared) error {
	question := fmt.Sprintf("The source was read again into a new mirror. Of %d entities %d differ from what is stored: %d appear, %d vanish, %d cannot be evaluated. "+
		"Approve to swap the mirrors; the deletes of those that vanish ask again. Until then no change is evaluated.", c.Entities, c.Differ, c.Appear, c.Vanish, c.Failed)
	_, err := q.Exec(ctx, `WITH shown AS (UPDATE backstitch.consents SET question = $2 WHERE id = $1)
		UPDATE backstitch.rebuilds SET epoch = $3, commit_lsn = $4, entities = $5, differ = $6, appear = $7, vanish = $8, failed = $9, compared_at = now()
		WHERE consent_id = $1`, r.ConsentID, question, c.Epoch, int64(c.CommitLSN), c.Entities, c.Differ, c.Appear, c.Vanish, c.Failed)
	if err != nil {
		return fmt.Errorf("record what a rebuild changes: %w", redact.SQLError(err))
	}
	r.Compared = &c
	return nil
}

// SwapRebuild closes a request in the transaction that swaps the mirrors.
func SwapRebuild(ctx context.Context, q Querier, r *Rebuild) error {
	if _, err := q.Exec(ctx, "UPDATE backstitch.rebuilds SET swapped_at = now() WHERE consent_id = $1", r.ConsentID); err != nil {
		return fmt.Errorf("close a rebuild: %w", redact.SQLError(err))
	}
	return Done(ctx, q, r.ConsentID)
}
