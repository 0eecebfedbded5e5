package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// Progress is how far everything that the source committed up to a position is
// (hazard A19). Counts are of entities whose last change is not above it.
type Progress struct {
	// Evaluated: the mapping was evaluated at or past the position.
	Evaluated bool `json:"evaluated"`
	// Waiting entities are neither applied nor waiting for a person.
	Waiting int64 `json:"waiting"`
	// Parked, Awaiting, Blocked and Released entities end a run all the same; the
	// first three make its exit code 3.
	Parked   int64 `json:"parked"`
	Awaiting int64 `json:"awaiting_consent"`
	Blocked  int64 `json:"blocked"`
	Released int64 `json:"released"`
}

// Done reports whether everything that was committed before is applied, or waits
// for a person only.
func (p Progress) Done() bool { return p.Evaluated && p.Waiting == 0 }

// Clean reports whether nothing waits for a person.
func (p Progress) Clean() bool { return p.Parked == 0 && p.Awaiting == 0 && p.Blocked == 0 }

// CaughtUp says how far everything committed in the source at or below lsn is.
// Caught up to L means: evaluated commit LSN >= L or end LSN >= L. An entity
// that waits carries the place of its oldest change that is not applied.
// What an evaluation of the whole mapping found carries that evaluation's position,
// though its rows may be older: with such a one above lsn, its entities count too.
func CaughtUp(ctx context.Context, q Querier, lsn schemas.LSN) (Progress, error) {
	var p Progress
	var upTo int64
	err := q.QueryRow(ctx, `SELECT evaluated_commit_lsn >= $1 OR evaluated_end_lsn >= $1,
			greatest($1, (SELECT max(commit_lsn) FROM backstitch.passes WHERE cause IN ('load', 'mapping', 'rebuild')))
		FROM backstitch.transform`, int64(lsn)).Scan(&p.Evaluated, &upTo)
	if errors.Is(err, pgx.ErrNoRows) { // nothing was ever evaluated
		upTo, err = int64(lsn), nil
	}
	if err != nil {
		return Progress{}, fmt.Errorf("read how far the transform is: %w", redact.SQLError(err))
	}
	err = q.QueryRow(ctx, `SELECT
			count(*) FILTER (WHERE status IN ('pending', 'deferred')),
			count(*) FILTER (WHERE status = 'parked'),
			count(*) FILTER (WHERE status = 'awaiting_consent'),
			count(*) FILTER (WHERE status = 'blocked'),
			count(*) FILTER (WHERE status = 'released')
		FROM backstitch.entities WHERE status <> 'current' AND commit_lsn <= $1`, upTo).
		Scan(&p.Waiting, &p.Parked, &p.Awaiting, &p.Blocked, &p.Released)
	if err != nil {
		return Progress{}, fmt.Errorf("count what waits: %w", redact.SQLError(err))
	}
	return p, nil
}
