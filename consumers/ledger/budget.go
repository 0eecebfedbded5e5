package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
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
// (hazard A18). A live slice that must wait slows backfill down to its floor.
func (a *Applier) Slice(ctx context.Context, p Pace, lane schemas.Lane, n int) (time.Duration, error) {
	var wait float64
	err := a.pool.QueryRow(ctx, `
		INSERT INTO backstitch.budget AS b (project_id, next_at, backfill_next_at)
		VALUES ($1, clock_timestamp() + $2 * interval '1 second', clock_timestamp() + $2 * interval '1 second')
		ON CONFLICT (project_id) DO UPDATE SET
		  next_at = greatest(b.next_at, clock_timestamp() - $5 * interval '1 second') + $2 * interval '1 second',
		  backfill_next_at = CASE WHEN $3 THEN b.backfill_next_at ELSE
		    greatest(b.backfill_next_at, b.next_at, clock_timestamp() - $5 * interval '1 second')
		    + $2 * interval '1 second' / (CASE WHEN b.pressed_until > clock_timestamp() THEN $4::float8 ELSE 1 END)
		    * (CASE WHEN b.halved_until > clock_timestamp() THEN 2 ELSE 1 END) END,
		  pressed_until = CASE WHEN $3 AND b.next_at > clock_timestamp() + interval '30 ms' THEN clock_timestamp() + interval '500 ms' ELSE b.pressed_until END
		RETURNING extract(epoch FROM (CASE WHEN $3 THEN b.next_at ELSE b.backfill_next_at END) - clock_timestamp())::float8 - $2`,
		p.Project, float64(n)/p.Rate, lane == schemas.LaneLive, max(p.Floor, 0.01), credit.Seconds()).Scan(&wait)
	if err != nil {
		return 0, fmt.Errorf("take a slice of the rate budget: %w", redact.SQLError(err))
	}
	return time.Duration(max(wait, 0) * float64(time.Second)), nil
}

// Halve halves backfill's pace for a while: somebody else spends the same limit
// of Stytch's (design, Rate).
func (a *Applier) Halve(ctx context.Context, project string, d time.Duration) error {
	_, err := a.pool.Exec(ctx, `UPDATE backstitch.budget SET halved_until = now() + $2 * interval '1 second' WHERE project_id = $1`, project, d.Seconds())
	if err != nil {
		return fmt.Errorf("halve backfill: %w", redact.SQLError(err))
	}
	return nil
}
