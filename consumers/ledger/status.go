package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// Count is how many entities share a kind, a lane, a status and a reason.
type Count struct {
	Kind   consumers.Kind   `json:"kind"`
	Lane   schemas.Lane     `json:"lane"`
	Status consumers.Status `json:"status"`
	Reason consumers.Reason `json:"reason,omitempty"`
	// Gone: there is no desired state any more.
	Gone  bool  `json:"gone,omitempty"`
	Count int64 `json:"count"`
}

// LossCount is how many entities of a kind were applied with a named loss.
type LossCount struct {
	Kind  consumers.Kind `json:"kind"`
	Loss  consumers.Loss `json:"loss"`
	Count int64          `json:"count"`
}

// Summary is what status pages show of the entities.
type Summary struct {
	Counts []Count     `json:"counts"`
	Losses []LossCount `json:"losses"`
	// Unannounced entities have a revision that was not published yet (hazard A22).
	Unannounced int64 `json:"unannounced"`
	// InFlight is the number of calls whose outcome is not recorded.
	InFlight int64 `json:"in_flight"`
	// Calls counts the same by kind, lane, status and reason of the entity: they are
	// part of its count in Counts too.
	Calls []Count `json:"-"`
	// AppliedPerSecond is how many entities became as desired, by the whole cluster,
	// over the last RateWindow.
	AppliedPerSecond float64 `json:"applied_per_second"`
	// OldestPending is the source's commit time of the oldest live change that is
	// not applied, nil when there is none.
	OldestPending *time.Time `json:"oldest_pending,omitempty"`
}

// RateWindow is how far back Summary.AppliedPerSecond looks. Where the first of what
// it sees is younger, as after a start, the rate is over that time, but of no less
// than rateAtLeast.
const (
	RateWindow  = 30 * time.Second
	rateAtLeast = 5 * time.Second
)

// Waiting is how many entities wait for their turn, a time or another entity.
func (s Summary) Waiting() int64 { return s.Total(consumers.Pending) + s.Total(consumers.Deferred) }

// ETASeconds is how long it takes until nothing waits, at the current rate; 0 when
// nothing waits, or nothing was applied lately.
func (s Summary) ETASeconds() float64 {
	if s.AppliedPerSecond <= 0 {
		return 0
	}
	return float64(s.Waiting()) / s.AppliedPerSecond
}

// Total sums the counts of a status.
func (s Summary) Total(status consumers.Status) (n int64) {
	for _, c := range s.Counts {
		if c.Status == status {
			n += c.Count
		}
	}
	return n
}

// Summarize counts the entities by kind, lane, status and reason. It scans the
// entities: seconds for ten million of them, so callers cache it.
func Summarize(ctx context.Context, q Querier) (Summary, error) {
	var s Summary
	rows, err := q.Query(ctx, `SELECT kind, lane, status, coalesce(reason, ''), desired IS NULL, count(*),
			count(*) FILTER (WHERE applied_at > now() - $1::interval),
			coalesce(extract(epoch FROM now() - min(applied_at) FILTER (WHERE applied_at > now() - $1::interval)), 0)::float8
		FROM backstitch.entities GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5`, RateWindow)
	var lately int64
	elapsed := rateAtLeast.Seconds()
	if err == nil {
		s.Counts, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c Count, err error) {
			var n int64
			var since float64
			err = row.Scan(&c.Kind, &c.Lane, &c.Status, &c.Reason, &c.Gone, &c.Count, &n, &since)
			lately, elapsed = lately+n, max(elapsed, since)
			return c, err
		})
	}
	if err != nil {
		return Summary{}, fmt.Errorf("count entities: %w", redact.SQLError(err))
	}
	s.AppliedPerSecond = float64(lately) / elapsed
	if s.Calls, err = calls(ctx, q); err != nil {
		return Summary{}, err
	}
	for _, c := range s.Calls {
		s.InFlight += c.Count
	}
	rows, err = q.Query(ctx, `SELECT kind, loss, count(*) FROM backstitch.entities, unnest(losses) loss
		WHERE losses <> '{}' GROUP BY 1, 2 ORDER BY 1, 2`)
	if err == nil {
		s.Losses, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (l LossCount, err error) {
			return l, row.Scan(&l.Kind, &l.Loss, &l.Count)
		})
	}
	if err != nil {
		return Summary{}, fmt.Errorf("count losses: %w", redact.SQLError(err))
	}
	err = q.QueryRow(ctx, `SELECT
		(SELECT count(*) FROM backstitch.entities WHERE announced < revision),
		(SELECT min(committed_at) FROM backstitch.entities WHERE status IN ('pending', 'deferred') AND lane = 'live')`).
		Scan(&s.Unannounced, &s.OldestPending)
	if err != nil {
		return Summary{}, fmt.Errorf("summarize the ledger: %w", redact.SQLError(err))
	}
	return s, nil
}

// calls counts the entities that have a call in flight.
func calls(ctx context.Context, q Querier) ([]Count, error) {
	rows, err := q.Query(ctx, `SELECT e.kind, e.lane, e.status, coalesce(e.reason, ''), e.desired IS NULL, count(*)
		FROM backstitch.marks m JOIN backstitch.entities e USING (kind, org_key, key) GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5`)
	if err != nil {
		return nil, fmt.Errorf("count calls in flight: %w", redact.SQLError(err))
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c Count, err error) {
		return c, row.Scan(&c.Kind, &c.Lane, &c.Status, &c.Reason, &c.Gone, &c.Count)
	})
	if err != nil {
		return nil, fmt.Errorf("count calls in flight: %w", redact.SQLError(err))
	}
	return list, nil
}
