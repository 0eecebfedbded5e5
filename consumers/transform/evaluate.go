package transform

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// evaluatorConfig is what an evaluator needs.
type evaluatorConfig struct {
	Pool *pgxpool.Pool
	Plan *Plan
	// Term of the owner, checked in every transaction (invariant 10).
	Term int64
	// Partitions of the apply topics, as recorded.
	Partitions int
	// Sweep and AuditEvery as in Config.
	Sweep, AuditEvery time.Duration
	// KeyTimeout and PassTimeout as in Config.
	KeyTimeout, PassTimeout time.Duration
	Log                     *slog.Logger
	Metrics                 *evaluationMetrics
	Now                     func() time.Time
	// Passed is called with the newest passes after one has ended.
	Passed func([]PassStatus)
	// Changed is called after desired states were committed; it must not block.
	Changed func()
}

// evaluator turns touched keys into desired states. load and evaluate are called
// by one goroutine, at positions where the mirror is a state that the legacy
// database had after a commit (invariant 11, hazard C3); run works beside it.
type evaluator struct {
	pool        *pgxpool.Pool
	plan        *Plan
	term        int64
	partitions  int
	sweep       time.Duration
	auditEvery  time.Duration
	keyTimeout  time.Duration
	passTimeout time.Duration
	log         *slog.Logger
	metrics     *evaluationMetrics
	now         func() time.Time
	changed     func()
	passed      func([]PassStatus)
	waiters     waiters

	jobs      chan *audit
	running   atomic.Bool  // run takes jobs
	busy      atomic.Bool  // a job is on its way
	requested atomic.Bool  // an audit is wanted now
	notBefore atomic.Int64 // a failed audit's next turn, in Unix nanoseconds
	looked    time.Time    // when schedule last asked the ledger
}

func newEvaluator(c evaluatorConfig) *evaluator {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Changed == nil {
		c.Changed = func() {}
	}
	if c.Passed == nil {
		c.Passed = func([]PassStatus) {}
	}
	setDefault(&c.KeyTimeout, defaultKeyTimeout)
	setDefault(&c.PassTimeout, defaultPassTimeout)
	return &evaluator{
		passed: c.Passed, waiters: waiters{ended: make(chan struct{})}, keyTimeout: c.KeyTimeout, passTimeout: c.PassTimeout,
		pool: c.Pool, plan: c.Plan, term: c.Term, partitions: c.Partitions, sweep: c.Sweep, auditEvery: c.AuditEvery,
		log: c.Log, metrics: c.Metrics, now: c.Now, changed: c.Changed, jobs: make(chan *audit, 1),
	}
}

// takeSize is how many touched keys the first transaction over a queue takes, by the
// part they name: a partial key means many entities. Later ones take as many as
// the entities turn out to allow.
var takeSize = map[int]int{partFull: 5000, partEntity: 1000, partOrganization: 50}

// evaluate runs the mappings for everything touched: organizations first, because
// members depend on them, and small changes before wide ones, so that an entity
// that both touch is a live change. Then it starts an audit or a sweep when one is
// due.
func (e *evaluator) evaluate(ctx context.Context, at Position) error {
	for i := range e.plan.Mappings {
		m := &e.plan.Mappings[i]
		queues, err := e.queues(ctx, m)
		if err != nil {
			return fmt.Errorf("look for touched %ss: %w", m.Kind, redact.SQLError(err))
		}
		for _, q := range queues {
			if err := e.drain(ctx, m, q, at); err != nil {
				return fmt.Errorf("evaluate touched %ss: %w", m.Kind, err)
			}
		}
	}
	if err := e.schedule(ctx, at); err != nil {
		return fmt.Errorf("look for due audits: %w", redact.SQLError(err))
	}
	return nil
}

// queue is what of the touched keys is taken together.
type queue struct {
	wide bool
	part int
}

func (e *evaluator) queues(ctx context.Context, m *CompiledMapping) ([]queue, error) {
	rows, err := e.pool.Query(ctx, `SELECT wide, part FROM backstitch.touched WHERE kind = $1 GROUP BY 1, 2 ORDER BY wide, part DESC`, m.Kind)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (q queue, err error) {
		return q, row.Scan(&q.wide, &q.part)
	})
}

// drain evaluates one queue in transactions of bounded size. Each leaves every
// entity it looked at right; what is left after a crash is still touched.
func (e *evaluator) drain(ctx context.Context, m *CompiledMapping, q queue, at Position) error {
	for size := takeSize[q.part]; ; {
		started := e.now()
		var taken, judged, changed int64
		err := e.inTx(ctx, func(tx pgx.Tx) (err error) {
			if taken, err = take(ctx, tx, m.Kind, q, size); err != nil || taken == 0 {
				return err
			}
			if err = e.compute(ctx, tx, m, q.part, e.keyTimeout); err != nil {
				return err
			}
			if changed, err = e.write(ctx, tx, m, at, true); err != nil {
				return err
			}
			return tx.QueryRow(ctx, "SELECT count(*) FROM pg_temp.backstitch_keys").Scan(&judged)
		})
		if err != nil {
			return err
		}
		e.metrics.evaluated(m.Kind, taken, changed, e.now().Sub(started))
		if changed > 0 {
			e.changed()
		}
		if taken < int64(size) {
			return nil
		}
		size = nextChunk(size, judged)
	}
}

// take moves touched keys into the workspace, in the transaction that evaluates
// them. By their places: a join over a table that a fill has just filled, and nobody
// analyzed, compares every key with every other.
func take(ctx context.Context, tx pgx.Tx, kind consumers.Kind, q queue, size int) (int64, error) {
	tag, err := tx.Exec(ctx, `WITH taken AS (
			DELETE FROM backstitch.touched t WHERE t.ctid = ANY (ARRAY(
				SELECT ctid FROM backstitch.touched WHERE kind = $1 AND part = $2 AND wide = $3
				ORDER BY org_key, key LIMIT $4))
			RETURNING t.org_key, t.key, t.wide, t.earned, t.cause, t.source_table, t.epoch, t.commit_lsn, t.end_lsn, t.committed_at)
		INSERT INTO pg_temp.backstitch_work SELECT * FROM taken`, kind, q.part, q.wide, size)
	if err != nil {
		return 0, fmt.Errorf("take touched keys: %w", err)
	}
	return tag.RowsAffected(), nil
}
