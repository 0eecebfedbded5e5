package transform

import (
	"context"
	"fmt"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// quietWithin is how long a comparison waits, in all, for moments at which nothing is
// touched: only then the mirror is what the entities were evaluated from.
const quietWithin = 5 * time.Second

// Compare evaluates what was found as it is now, stores nothing, and says what
// differs from the stored desired states. quiet is false where touched keys waited for
// the transform all the time: what differs for those is counted too.
func (r *Replay) Compare(ctx context.Context, partitions int) (d Difference, quiet bool, err error) {
	e := newEvaluator(evaluatorConfig{
		Pool: r.deps.Ledger, Plan: r.deps.Plan, Partitions: partitions, Log: r.deps.Logger, Metrics: newEvaluationMetrics(nil),
	})
	_, err = r.conn.Exec(ctx, `CREATE TEMP TABLE backstitch_compared (kind text, org_key text, key text, outcome text, desired jsonb, PRIMARY KEY (kind, org_key, key)); `+flippedTable)
	if err != nil {
		return d, false, fmt.Errorf("compare a replay's entities: %w", redact.SQLError(err))
	}
	quiet = true
	until := time.Now().Add(quietWithin)
	for i := range r.deps.Plan.Mappings {
		m := &r.deps.Plan.Mappings[i]
		for _, part := range []int{partFull, partEntity, partOrganization} {
			still, err := r.comparePart(ctx, e, m, part, until)
			if err != nil {
				return d, false, fmt.Errorf("compare a replay's %ss: %w", m.Kind, redact.SQLError(err))
			}
			quiet = quiet && still
		}
		if m.Kind == consumers.Organization && r.deps.Plan.Mapping(consumers.Member) != nil {
			if err := r.takeMembersAlong(ctx); err != nil {
				return d, false, err
			}
		}
	}
	err = d.count(r.conn.Query(ctx, "SELECT outcome, count(*) FROM pg_temp.backstitch_compared GROUP BY 1"))
	return d, quiet, redact.SQLError(err)
}

// takeMembersAlong finds the members of organizations that would appear or vanish, as
// the evaluation does (hazard A25).
func (r *Replay) takeMembersAlong(ctx context.Context) error {
	_, err := r.conn.Exec(ctx, `WITH flipped AS (
			INSERT INTO pg_temp.backstitch_flipped SELECT org_key, desired FROM pg_temp.backstitch_compared
			WHERE kind = 'organization' AND outcome IN ('appear', 'vanish') RETURNING org_key)
		INSERT INTO pg_temp.backstitch_replayed (kind, part, org_key, key, source_table)
		SELECT 'member', 1, org_key, '', '' FROM flipped ON CONFLICT DO NOTHING`)
	if err != nil {
		return fmt.Errorf("find the members of organizations that appear or vanish: %w", redact.SQLError(err))
	}
	return nil
}

// comparePart compares what was found by one part of the key, in chunks.
func (r *Replay) comparePart(ctx context.Context, e *evaluator, m *CompiledMapping, part int, until time.Time) (quiet bool, err error) {
	quiet = true
	after, size := keyPair{}, takeSize[part]
	for first := true; ; first = false {
		var taken, judged int64
		last := after
		still, err := settled(ctx, r.conn, until, func(tx pgx.Tx) (err error) {
			taken, last, err = r.takeFound(ctx, tx, m, part, after, first, size)
			if err != nil || taken == 0 {
				return err
			}
			if err := e.compute(ctx, tx, m, part, e.passTimeout); err != nil {
				return err
			}
			tag, err := tx.Exec(ctx, `INSERT INTO pg_temp.backstitch_compared (kind, org_key, key, outcome, desired)
				SELECT $1, o.org_key, o.key, o.outcome, o.desired FROM (`+e.outcomesSQL(m)+`) o
				ON CONFLICT DO NOTHING`, m.Kind)
			judged = tag.RowsAffected()
			return err
		})
		if err != nil {
			return false, err
		}
		if taken == 0 {
			return quiet, nil
		}
		quiet = quiet && still
		after, size = last, nextChunk(size, judged)
	}
}

// takeFound moves the next keys that were found into the workspace.
func (r *Replay) takeFound(ctx context.Context, tx pgx.Tx, m *CompiledMapping, part int, after keyPair, first bool, size int) (taken int64, last keyPair, err error) {
	tag, err := tx.Exec(ctx, `INSERT INTO pg_temp.backstitch_work SELECT org_key, key, true, false, '', '', 0, 0, 0, NULL
		FROM pg_temp.backstitch_replayed WHERE kind = $1 AND part = $2 AND ($3 OR (org_key, key) > ($4 COLLATE "C", $5 COLLATE "C"))
		ORDER BY org_key, key LIMIT $6`, m.Kind, part, first, after.org, after.key, size)
	if err != nil || tag.RowsAffected() == 0 {
		return 0, last, err
	}
	err = tx.QueryRow(ctx, `SELECT org_key, key FROM pg_temp.backstitch_work ORDER BY org_key COLLATE "C" DESC, key COLLATE "C" DESC LIMIT 1`).Scan(&last.org, &last.key)
	return tag.RowsAffected(), last, err
}

// settled runs do under one snapshot, at which nothing is touched if such a moment
// comes before until: what is touched differs because it is not evaluated yet.
func settled(ctx context.Context, conn *pgxpool.Conn, until time.Time, do func(pgx.Tx) error) (quiet bool, err error) {
	for {
		late := time.Now().After(until)
		err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, begin); err != nil {
				return err
			}
			if err := tx.QueryRow(ctx, "SELECT NOT EXISTS (SELECT FROM backstitch.touched)").Scan(&quiet); err != nil || !quiet && !late {
				return err
			}
			return do(tx)
		})
		if err != nil || quiet || late {
			return quiet, err
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-time.After(quietWithin / 50):
		}
	}
}

// Changed is an entity whose desired state would be another.
type Changed struct {
	Key consumers.Key
	// Desired is the new desired state, a JSON object.
	Desired []byte
}

// Changes lists at most limit of the entities that Compare found different and that
// would be written at once: not those that vanish, whose deletes wait for consent.
func (r *Replay) Changes(ctx context.Context, limit int) ([]Changed, error) {
	rows, err := r.conn.Query(ctx, `SELECT kind, org_key, key, desired::text FROM pg_temp.backstitch_compared
		WHERE outcome IN ('change', 'appear') AND desired IS NOT NULL LIMIT $1`, limit)
	list, err := collectChanged(rows, err)
	if err != nil {
		return nil, fmt.Errorf("list what a replay changes: %w", redact.SQLError(err))
	}
	return list, nil
}

// collectChanged reads rows of kind, org_key, key and desired.
func collectChanged(rows pgx.Rows, err error) ([]Changed, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (c Changed, err error) {
		return c, row.Scan(&c.Key.Kind, &c.Key.Organization, &c.Key.Entity, &c.Desired)
	})
}
