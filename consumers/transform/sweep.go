package transform

import (
	"context"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// sweepState is how often a table that a mapping reads has changed, and how much
// of that was swept and audited.
type sweepState struct {
	kind                    consumers.Kind
	table                   string
	routed                  bool
	changes, swept, audited int64
	sweptAt                 time.Time
}

// due: changes that no route followed, and no pass has looked at since.
func (s sweepState) due() bool { return !s.routed && s.changes > s.swept }

func readSweeps(ctx context.Context, tx pgx.Tx) ([]sweepState, error) {
	rows, err := tx.Query(ctx, "SELECT kind, source_table, routed, changes, swept, audited, swept_at FROM backstitch.sweeps")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s sweepState, err error) {
		return s, row.Scan(&s.kind, &s.table, &s.routed, &s.changes, &s.swept, &s.audited, &s.sweptAt)
	})
}

// lookEvery bounds how often the ledger is asked for due audits.
const lookEvery = time.Second

// schedule begins an audit or a sweep when one is due: an audit after every load
// and each AuditEvery, a sweep when a table without a route has changed, at most
// each Sweep. It is called at an evaluated position (invariant 11).
func (e *evaluator) schedule(ctx context.Context, at Position) error {
	now := e.now()
	if !e.running.Load() || e.busy.Load() || now.Sub(e.looked) < lookEvery && !e.requested.Load() {
		return nil
	}
	if now.UnixNano() < e.notBefore.Load() {
		return nil
	}
	e.looked = now
	cause, kinds, err := e.dueNow(ctx, now)
	if err != nil || cause == "" {
		return err
	}
	a, err := e.beginAudit(ctx, at, cause, kinds)
	if err != nil {
		return err
	}
	if cause == causeAudit {
		e.requested.Store(false)
		a.asked = e.waiters.take()
	}
	e.busy.Store(true)
	e.jobs <- a // empty: nothing was busy
	if !e.running.Load() {
		e.abandon(ctx) // run ended meanwhile, and may have looked before
	}
	return nil
}

// auditNow asks for an audit at the next evaluated position.
func (e *evaluator) auditNow() { e.requested.Store(true) }

func (e *evaluator) dueNow(ctx context.Context, now time.Time) (cause string, kinds []consumers.Kind, err error) {
	var audited *time.Time
	var asked bool
	err = e.pool.QueryRow(ctx, `SELECT max(started_at), EXISTS (SELECT FROM backstitch.audit_requests WHERE done_at IS NULL)
		FROM backstitch.passes p WHERE cause = 'audit' AND ended_at IS NOT NULL
		AND id > coalesce((SELECT max(id) FROM backstitch.passes WHERE cause IN ('load', 'mapping', 'rebuild')), 0)`).Scan(&audited, &asked)
	if err != nil {
		return "", nil, err
	}
	if audited == nil || now.Sub(*audited) >= e.auditEvery || asked || e.requested.Load() {
		return causeAudit, []consumers.Kind{consumers.Organization, consumers.Member}, nil
	}
	rows, err := e.pool.Query(ctx, `SELECT DISTINCT kind FROM backstitch.sweeps
		WHERE NOT routed AND changes > swept AND swept_at <= $1 ORDER BY kind DESC`, now.Add(-e.sweep))
	if err != nil {
		return "", nil, err
	}
	kinds, err = pgx.CollectRows(rows, pgx.RowTo[consumers.Kind])
	if err != nil || len(kinds) == 0 {
		return "", nil, err
	}
	return causeSweep, kinds, nil
}

// markSwept records what a pass saw: the changes counted in its snapshot. A route
// that had failed is trusted again.
func (e *evaluator) markSwept(ctx context.Context, tx pgx.Tx, a *audit) error {
	for _, s := range a.tables {
		m := e.plan.Mapping(s.kind)
		if m == nil || a.cause == causeSweep && !contains(a.kinds, s.kind) {
			continue
		}
		routed := false
		for t := range m.Routes {
			routed = routed || t.String() == s.table
		}
		_, err := tx.Exec(ctx, `UPDATE backstitch.sweeps SET swept = greatest(swept, $3), swept_at = $4, routed = $5 AND changes = $3 OR routed,
				audited = CASE WHEN $6 THEN greatest(audited, $3) ELSE audited END
			WHERE kind = $1 AND source_table = $2`, s.kind, s.table, s.changes, e.now(), routed, a.cause == causeAudit)
		if err != nil {
			return fmt.Errorf("record what was swept: %w", err)
		}
	}
	return nil
}

func contains(kinds []consumers.Kind, kind consumers.Kind) bool {
	for _, k := range kinds {
		if k == kind {
			return true
		}
	}
	return false
}

// PassStatus is what a pass over a whole mapping did, for status pages.
type PassStatus struct {
	Cause     string      `json:"cause"` // load | mapping | rebuild | audit | sweep
	CommitLSN schemas.LSN `json:"commit_lsn"`
	Entities  int64       `json:"entities"` // looked at
	Changed   int64       `json:"changed"`  // written, or found different
	// Missed entities were different although no route had touched them; the route
	// of one of Suspects misses changes (hazard C16).
	Missed   int64    `json:"missed"`
	Suspects []string `json:"suspects,omitempty"`
	// NullKeys are rows of the mapping without a whole key.
	NullKeys  int64      `json:"null_keys"`
	StartedAt time.Time  `json:"started_at"`
	EndedAt   *time.Time `json:"ended_at,omitempty"`
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Passes lists the newest pass of every cause, the newest first.
func Passes(ctx context.Context, q querier) ([]PassStatus, error) {
	return listPasses(ctx, q, "id IN (SELECT max(id) FROM backstitch.passes GROUP BY cause)")
}

func listPasses(ctx context.Context, q querier, which string, args ...any) ([]PassStatus, error) {
	rows, err := q.Query(ctx, `SELECT cause, commit_lsn, entities, changed, missed, suspects, null_keys, started_at, ended_at
		FROM backstitch.passes WHERE `+which+` ORDER BY id DESC`, args...)
	if err == nil {
		var list []PassStatus
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (p PassStatus, err error) {
			var lsn int64
			err = row.Scan(&p.Cause, &lsn, &p.Entities, &p.Changed, &p.Missed, &p.Suspects, &p.NullKeys, &p.StartedAt, &p.EndedAt)
			p.CommitLSN = schemas.LSN(lsn)
			return p, err
		})
		if err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("list the passes: %w", redact.SQLError(err))
}
