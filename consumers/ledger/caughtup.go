package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// CountLimit is how far Progress counts the entities of a status while something
// waits: who polls wants to know whether, and a backlog may hold millions.
const CountLimit = 10_000

// Progress is how far everything that the source committed up to a position is
// (hazard A19). Counts are of entities whose last change is not above it; while
// something waits none goes beyond CountLimit, else they are exact.
type Progress struct {
	// Evaluated: the mapping was evaluated at or past the position.
	Evaluated bool `json:"evaluated"`
	// Waiting entities are neither applied nor waiting for a person only: those, too,
	// that are set aside and whose turn has come again (a value became free, a consent
	// was given), which Parked, Awaiting or Blocked counts as well.
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
	e, err := ReadEvaluated(ctx, q)
	if err != nil {
		return Progress{}, err
	}
	return e.Progress(ctx, q, lsn, "")
}

// Evaluated is how far the transform has evaluated the mapping.
type Evaluated struct {
	CommitLSN, EndLSN schemas.LSN
	// Whole is the position of the newest evaluation of the whole mapping that sent
	// what it found, 0 without one.
	Whole schemas.LSN
}

// ReadEvaluated reads one row, however many entities there are. It is zero before
// the first evaluation.
func ReadEvaluated(ctx context.Context, q Querier) (Evaluated, error) {
	var commit, end, whole int64
	err := q.QueryRow(ctx, `SELECT evaluated_commit_lsn, evaluated_end_lsn,
			coalesce((SELECT max(commit_lsn) FROM backstitch.passes WHERE cause IN ('load', 'mapping', 'rebuild')), 0)
		FROM backstitch.transform LIMIT 1`).Scan(&commit, &end, &whole)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) { // no row: nothing was ever evaluated
		return Evaluated{}, fmt.Errorf("read how far the transform is: %w", redact.SQLError(err))
	}
	return Evaluated{schemas.LSN(commit), schemas.LSN(end), schemas.LSN(whole)}, nil
}

// Passed reports whether everything committed at or below lsn was evaluated. lsn is
// a commit's own LSN, its end, or any position of the log behind it.
func (e Evaluated) Passed(lsn schemas.LSN) bool { return e.CommitLSN >= lsn || e.EndLSN >= lsn }

// Progress counts what is not applied of everything committed at or below lsn, of
// one organization (its key in the mapping) or, with "", of all. It reads the
// ledger after e was read: what e says was evaluated is in the counts.
func (e Evaluated) Progress(ctx context.Context, q Querier, lsn schemas.LSN, organization string) (Progress, error) {
	p := Progress{Evaluated: e.Passed(lsn)}
	upTo := int64(max(lsn, e.Whole))
	err := p.count(ctx, q, upTo, organization, CountLimit)
	if err == nil && p.Waiting == 0 && max(p.Parked, p.Awaiting, p.Blocked, p.Released) == CountLimit {
		err = p.count(ctx, q, upTo, organization, 1<<62)
	}
	if err != nil {
		return Progress{}, fmt.Errorf("count what waits: %w", redact.SQLError(err))
	}
	return p, nil
}

// Both counts stop at $2 entities of a status. That of all goes through
// entities_not_current, a part of which is ordered by LSN for each status and
// reason, and through what is due of each partition; that of an organization reads
// no other's entities.
const (
	asideDueSQL = `e.status IN ('parked', 'awaiting_consent', 'blocked') AND e.due_at <= now() AND ` + parkedByEvaluation + ` IS NOT TRUE`
	countAllSQL = `SELECT s.status, c.n FROM unnest(ARRAY['pending', 'deferred', 'parked', 'awaiting_consent', 'blocked', 'released']) s (status),
		LATERAL (SELECT count(*) AS n FROM (SELECT FROM backstitch.entities e
			WHERE e.status = s.status AND e.status <> 'current' AND e.commit_lsn <= $1 LIMIT $2) e) c
		UNION ALL SELECT 'due', count(*) FROM (SELECT FROM backstitch.leases l, backstitch.entities e
			WHERE e.partition = l.partition AND e.commit_lsn <= $1 AND ` + asideDueSQL + ` LIMIT $2) e`
	organizationSQL = `WITH mine AS MATERIALIZED (SELECT e.status, e.reason, e.due_at FROM backstitch.entities e
			WHERE e.kind IN ('organization', 'member') AND e.org_key = $3 AND e.status <> 'current' AND e.commit_lsn <= $1)
		SELECT e.status, least(count(*), $2) FROM mine e GROUP BY e.status
		UNION ALL SELECT 'due', least(count(*), $2) FROM mine e WHERE ` + asideDueSQL
)

func (p *Progress) count(ctx context.Context, q Querier, upTo int64, organization string, limit int64) error {
	query, args := countAllSQL, []any{upTo, limit}
	if organization != "" {
		query, args = organizationSQL, append(args, organization)
	}
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	*p = Progress{Evaluated: p.Evaluated}
	var status string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&status, &n}, func() error {
		switch status {
		case "pending", "deferred", "due":
			p.Waiting += n
		case "parked":
			p.Parked = n
		case "awaiting_consent":
			p.Awaiting = n
		case "blocked":
			p.Blocked = n
		case "released":
			p.Released = n
		}
		return nil
	})
	return err
}
