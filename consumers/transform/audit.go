package transform

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// audit is a pass that compares beside following. It holds the snapshot of the
// position at which it was begun: mirror and entities as they were when everything
// touched had been evaluated.
type audit struct {
	conn   *pgxpool.Conn
	tx     pgx.Tx
	at     Position
	cause  string
	kinds  []consumers.Kind
	tables []sweepState
	pass   int64
	asked  []chan audited
	// requests are those in the ledger up to this number, of an audit.
	requests int64
}

// run works on the audits and sweeps that evaluate begins, until it drains. One at
// a time; one that is interrupted is begun again at a later position.
func (e *evaluator) run(ctx context.Context, stopping <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.running.Store(true)
	defer func() {
		e.running.Store(false)
		e.abandon(ctx)
	}()
	for {
		select {
		case <-stopping:
			return nil
		case <-ctx.Done():
			return nil
		case a := <-e.jobs:
			done := make(chan error, 1)
			go func() { done <- e.work(ctx, a) }()
			select {
			case err := <-done:
				e.finished(ctx, a, err)
			case <-stopping:
				cancel()
				e.finished(ctx, a, <-done)
				return nil
			}
		}
	}
}

// auditRetry is how long a failed audit waits for its next turn.
const auditRetry = time.Minute

// abandon gives a waiting audit's connection back.
func (e *evaluator) abandon(ctx context.Context) {
	select {
	case a := <-e.jobs:
		a.close(ctx)
		e.busy.Store(false)
	default:
	}
}

// finished logs an audit that failed: it is due again, and following goes on. One
// that was interrupted says nothing. Who asked is answered last, and finds it in the
// status.
func (e *evaluator) finished(ctx context.Context, a *audit, err error) {
	e.busy.Store(false)
	defer e.answer(ctx, a, err)
	switch {
	case err == nil:
		e.metrics.audits.WithLabelValues(a.cause, "done").Inc()
		if err := e.show(ctx); err != nil && ctx.Err() == nil {
			e.log.WarnContext(ctx, "the status shows the passes before this one", "error", err)
		}
	case ctx.Err() == nil:
		e.metrics.audits.WithLabelValues(a.cause, "failed").Inc()
		e.notBefore.Store(e.now().Add(auditRetry).UnixNano())
		e.log.ErrorContext(ctx, "an audit failed and will be tried again", "cause", a.cause, "error", redact.SQLError(err))
	}
}

func (a *audit) close(ctx context.Context) {
	_ = a.tx.Rollback(context.WithoutCancel(ctx)) // it wrote temporary tables only
	a.conn.Release()
}

// beginAudit fixes the snapshot. The caller stands at an evaluated position and
// has nothing in flight.
func (e *evaluator) beginAudit(ctx context.Context, at Position, cause string, kinds []consumers.Kind) (*audit, error) {
	conn, err := e.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		conn.Release()
		return nil, err
	}
	a := &audit{conn: conn, tx: tx, at: at, cause: cause, kinds: kinds}
	// it idles while what it found is reported; a successor ends one that is frozen
	if _, err = tx.Exec(ctx, begin+"SET LOCAL idle_in_transaction_session_timeout = '5min'; SELECT pg_advisory_xact_lock_shared("+strconv.FormatInt(auditKey(), 10)+")"); err == nil {
		a.tables, err = readSweeps(ctx, tx) // the first query: from here on the snapshot stands
	}
	if err == nil && cause == causeAudit {
		err = tx.QueryRow(ctx, "SELECT coalesce(max(id), 0) FROM backstitch.audit_requests WHERE done_at IS NULL").Scan(&a.requests)
	}
	if err != nil {
		a.close(ctx)
		return nil, err
	}
	return a, nil
}

// work compares everything and has what differs evaluated again.
func (e *evaluator) work(ctx context.Context, a *audit) error {
	defer a.close(ctx)
	err := e.inTx(ctx, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `INSERT INTO backstitch.passes (cause, digest, epoch, commit_lsn) VALUES ($1, $2, $3, $4) RETURNING id`,
			a.cause, e.plan.Digest(), a.at.Epoch, int64(a.at.CommitLSN)).Scan(&a.pass)
		if err != nil || a.requests == 0 {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE backstitch.audit_requests SET pass = $1 WHERE done_at IS NULL AND id <= $2", a.pass, a.requests)
		return err
	})
	if err != nil {
		return fmt.Errorf("begin the %s: %w", a.cause, err)
	}
	for _, kind := range a.kinds {
		if m := e.plan.Mapping(kind); m != nil {
			if err := e.compareAll(ctx, a, m); err != nil {
				return fmt.Errorf("compare all %ss: %w", kind, err)
			}
		}
	}
	return e.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE backstitch.passes SET ended_at = now() WHERE id = $1", a.pass); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE backstitch.audit_requests SET done_at = now() WHERE done_at IS NULL AND id <= $1", a.requests); err != nil {
			return err
		}
		return e.markSwept(ctx, tx, a)
	})
}

func (e *evaluator) compareAll(ctx context.Context, a *audit, m *CompiledMapping) error {
	nulls, err := e.listOrganizations(ctx, a.tx, m)
	if err != nil {
		return err
	}
	size, suspects := firstChunk(m.Kind), suspects(a, m)
	for after := (*string)(nil); ; {
		c, err := e.compare(ctx, a, m, after, size)
		if err != nil {
			return err
		}
		if c.taken == 0 {
			break
		}
		if err := e.report(ctx, a, m, c, suspects); err != nil {
			return err
		}
		after, size = &c.last, nextChunk(size, c.judged)
	}
	return e.inTx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE backstitch.passes SET null_keys = null_keys + $2 WHERE id = $1", a.pass, nulls)
		return err
	})
}

// difference is an entity whose desired state, at the snapshot, was not what the
// mapping said.
type difference struct {
	keyPair
	revision int64
}

// compared is what came of a chunk.
type compared struct {
	taken, judged int64
	last          string // its last organization
	differ        []difference
}

// compare judges the organizations after one, at most size of them, under the
// snapshot. The workspace is filled in a savepoint that is rolled back, files and
// all: a long audit leaves nothing behind.
func (e *evaluator) compare(ctx context.Context, a *audit, m *CompiledMapping, after *string, size int) (c compared, err error) {
	tx, err := a.tx.Begin(ctx)
	if err != nil {
		return c, err
	}
	defer func() {
		if rerr := tx.Rollback(ctx); err == nil {
			err = rerr
		}
	}()
	if _, err := tx.Exec(ctx, emptyWorkspace); err != nil {
		return c, err
	}
	tag, err := tx.Exec(ctx, `INSERT INTO pg_temp.backstitch_work
		SELECT org_key, org_key, true, false, '', '', 0, 0, 0, NULL FROM pg_temp.backstitch_todo WHERE $1::text IS NULL OR org_key > $1 ORDER BY org_key LIMIT $2`, after, size)
	if err != nil || tag.RowsAffected() == 0 {
		return c, err
	}
	c.taken = tag.RowsAffected()
	if err := e.compute(ctx, tx, m, partOf(m.Kind, []string{m.Keys[0].Name}), e.passTimeout); err != nil {
		return c, err
	}
	err = tx.QueryRow(ctx, `SELECT (SELECT max(org_key COLLATE "C") FROM pg_temp.backstitch_work), (SELECT count(*) FROM pg_temp.backstitch_keys)`).Scan(&c.last, &c.judged)
	if err != nil {
		return c, err
	}
	rows, err := tx.Query(ctx, `SELECT org_key, key, coalesce(revision, 0) FROM (`+differences(m, e.storedOrganizations())+`) d
		UNION ALL SELECT org_key, key, coalesce(revision, 0) FROM (`+failures+`) f`, m.Kind)
	if err != nil {
		return c, err
	}
	c.differ, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (d difference, err error) {
		return d, row.Scan(&d.org, &d.key, &d.revision)
	})
	return c, err
}

// report touches what differs, so that the next evaluation repairs it. A
// difference counts only if the entity was not touched meanwhile (hazard C25): its
// revision is the snapshot's still, and it does not wait for its turn already. No
// row's change is known to have caused it, so a delete waits for consent
// (invariant 7).
func (e *evaluator) report(ctx context.Context, a *audit, m *CompiledMapping, c compared, suspects []string) error {
	differ := c.differ
	orgs, keys, revisions := make([]string, len(differ)), make([]string, len(differ)), make([]int64, len(differ))
	for i, d := range differ {
		orgs[i], keys[i], revisions[i] = d.org, d.key, d.revision
	}
	cause := a.cause
	if a.unswept(m.Kind) { // what no route was asked to find is no miss of a route
		cause = causeSweep
	}
	var found int64
	err := e.inTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO backstitch.touched AS t (kind, part, org_key, key, wide, earned, cause, epoch, commit_lsn, end_lsn, committed_at)
			SELECT $1, 3, d.org_key, d.key, $5, false, $6, $7, $8, $9, $10
			FROM unnest($2::text[], $3::text[], $4::bigint[]) d (org_key, key, revision)
			LEFT JOIN backstitch.entities e ON e.kind = $1 AND e.org_key = d.org_key AND e.key = d.key
			WHERE coalesce(e.revision, 0) = d.revision ON CONFLICT DO NOTHING`,
			m.Kind, orgs, keys, revisions, len(differ) > wideFanOut, cause, a.at.Epoch, int64(a.at.CommitLSN), int64(a.at.EndLSN), commitTime(a.at))
		if err != nil {
			return err
		}
		found = tag.RowsAffected()
		missed, tables := int64(0), []string{}
		if cause == causeAudit && found > 0 {
			missed, tables = found, suspects
		}
		_, err = tx.Exec(ctx, `UPDATE backstitch.passes SET entities = entities + $2, changed = changed + $3, missed = missed + $4,
			suspects = ARRAY(SELECT DISTINCT unnest(suspects || $5::text[]) ORDER BY 1) WHERE id = $1`, a.pass, c.judged, found, missed, tables)
		return err
	})
	if err != nil || found == 0 {
		return err
	}
	e.metrics.repaired.WithLabelValues(string(m.Kind), cause).Add(float64(found))
	if cause == causeAudit {
		e.metrics.missed.WithLabelValues(string(m.Kind)).Add(float64(found))
		e.log.WarnContext(ctx, "an audit found entities that no route had touched: a route of one of these tables misses changes",
			"kind", m.Kind, "entities", found, "tables", suspects)
	}
	return nil
}

// suspects are the tables whose route may have missed a change: those that the
// mapping reads and that changed since the last audit (hazard C16).
func suspects(a *audit, m *CompiledMapping) []string {
	var all, changed []string
	for _, t := range m.Reads {
		all = append(all, t.String())
		if s := a.state(m.Kind, t); s != nil && s.changes > s.audited {
			changed = append(changed, t.String())
		}
	}
	if len(changed) > 0 {
		return changed
	}
	return all
}

func (a *audit) state(kind consumers.Kind, t schemas.Table) *sweepState {
	for i := range a.tables {
		if a.tables[i].kind == kind && a.tables[i].table == t.String() {
			return &a.tables[i]
		}
	}
	return nil
}

func (a *audit) unswept(kind consumers.Kind) bool {
	for _, s := range a.tables {
		if s.kind == kind && s.due() {
			return true
		}
	}
	return false
}
