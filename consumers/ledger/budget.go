package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// Pace is how fast a project's requests may be sent.
type Pace struct {
	Project string
	// Rate is requests per second, all instances and lanes together.
	Rate float64
	// Floor is the share of Rate that backfill keeps while live requests wait, 0 to 1.
	Floor float64
}

// credit is how much of an unused past a slice may make up for: the time between
// two requests for slices, not a burst.
const credit = 20 * time.Millisecond

// Slice takes n requests out of the project's budget and returns how long to wait
// before sending them, by the ledger's clock (hazard A16). Slices are small: at
// most 100 ms of the rate, so that an instance that dies with one holds little
// (hazard A18).
//
// Both lanes spend from one cursor, so that together they keep to the rate. A live
// slice waits for what was leased before it, no more than a slice an instance;
// when live requests alone ask for 95 ms of the rate, backfill slows down to its
// floor for a moment.
func (a *Applier) Slice(ctx context.Context, p Pace, lane schemas.Lane, n int) (time.Duration, error) {
	for {
		var wait float64
		err := a.pool.QueryRow(ctx, takeSlice,
			p.Project, float64(n)/p.Rate, lane == schemas.LaneLive, max(p.Floor, 0.01), credit.Seconds()).Scan(&wait)
		if err == nil {
			return time.Duration(max(wait, 0) * float64(time.Second)), nil
		}
		if errors.Is(err, pgx.ErrNoRows) { // the project's first
			_, err = a.pool.Exec(ctx, `INSERT INTO backstitch.budget (project_id) VALUES ($1) ON CONFLICT DO NOTHING`, p.Project)
		}
		if err != nil {
			return 0, fmt.Errorf("take a slice of the rate budget: %w", redact.SQLError(err))
		}
	}
}

const takeSlice = `
	WITH now AS (
		SELECT clock_timestamp() AS at, clock_timestamp() - $5 * interval '1 second' AS earliest, $2 * interval '1 second' AS cost
	), slice AS (
		SELECT now.*, greatest(b.next_at, earliest) AS base,
		       CASE WHEN $3 THEN greatest(b.next_at, earliest) ELSE greatest(b.next_at, b.backfill_next_at, earliest) END AS start
		FROM now, (SELECT * FROM backstitch.budget WHERE project_id = $1 FOR UPDATE) b
	)
	UPDATE backstitch.budget b SET
		next_at = base + cost,
		live_next_at = CASE WHEN $3 THEN start + cost ELSE b.live_next_at END,
		pressed_until = CASE WHEN $3 AND greatest(b.live_next_at, at) + cost > at + interval '95 ms' THEN at + interval '300 ms' ELSE b.pressed_until END,
		backfill_next_at = CASE WHEN $3 THEN b.backfill_next_at ELSE start
			+ cost / (CASE WHEN b.pressed_until > at THEN $4::float8 ELSE 1 END) * (CASE WHEN b.halved_until > at THEN 2 ELSE 1 END) END
	FROM slice WHERE b.project_id = $1
	RETURNING extract(epoch FROM start - at)::float8`

// Halve halves backfill's pace for a while: somebody else spends the same limit
// of Stytch's (design, Rate).
func (a *Applier) Halve(ctx context.Context, project string, d time.Duration) error {
	_, err := a.pool.Exec(ctx, `UPDATE backstitch.budget SET halved_until = now() + $2 * interval '1 second' WHERE project_id = $1`, project, d.Seconds())
	if err != nil {
		return fmt.Errorf("halve backfill: %w", redact.SQLError(err))
	}
	return nil
}
