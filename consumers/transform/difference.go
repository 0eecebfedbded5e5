package transform

import (
	"context"
	"fmt"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
)

// Difference is what evaluating entities now would change, against what is stored.
type Difference struct {
	// Entities were looked at: those that the mapping returns, or the ledger has.
	Entities int64 `json:"entities"`
	// Differ of them have another desired state than the stored one. Among them are
	// those that Appear, that Vanish, and Failed: rows that cannot be evaluated.
	Differ int64 `json:"differ"`
	Appear int64 `json:"appear"`
	Vanish int64 `json:"vanish"`
	Failed int64 `json:"cannot_be_evaluated"`
}

// Outcomes of a comparison; anything but the first differs.
const (
	outcomeSame   = "same"
	outcomeAppear = "appear"
	outcomeVanish = "vanish"
	outcomeFailed = "failed"
	outcomeChange = "change"
)

func (d *Difference) add(outcome string, n int64) {
	d.Entities += n
	if outcome != outcomeSame {
		d.Differ += n
	}
	switch outcome {
	case outcomeAppear:
		d.Appear += n
	case outcomeVanish:
		d.Vanish += n
	case outcomeFailed:
		d.Failed += n
	}
}

// flippedTable holds, during a comparison, the organizations that would appear or
// vanish: their members would with them (hazard A25).
const flippedTable = `CREATE TEMP TABLE backstitch_flipped (org_key text PRIMARY KEY, desired jsonb)`

// outcomesTable holds what outcomesSQL says of the chunk that was compared last.
const outcomesTable = `CREATE TEMP TABLE backstitch_outcomes (org_key text, key text, outcome text, desired jsonb)`

// organizationsThen are the organizations as they would be.
func (e *evaluator) organizationsThen() string {
	if e.plan.Mapping(consumers.Organization) == nil {
		return ""
	}
	return `(SELECT org_key, desired FROM pg_temp.backstitch_flipped UNION ALL
		SELECT org_key, desired FROM backstitch.entities e WHERE kind = 'organization' AND key = org_key
			AND NOT EXISTS (SELECT FROM pg_temp.backstitch_flipped f WHERE f.org_key = e.org_key))`
}

// outcomesSQL selects org_key, key, outcome and, of what would be stored, desired, of
// the judged keys that exist. $1 is the kind.
func (e *evaluator) outcomesSQL(m *CompiledMapping) string {
	return `SELECT k.org_key, k.key, CASE
			WHEN f.key IS NOT NULL THEN '` + outcomeFailed + `'
			WHEN d.key IS NULL THEN '` + outcomeSame + `'
			WHEN d.was_gone AND d.desired IS NOT NULL THEN '` + outcomeAppear + `'
			WHEN d.desired IS NULL AND NOT d.was_gone THEN '` + outcomeVanish + `'
			ELSE '` + outcomeChange + `' END AS outcome, d.desired
		FROM pg_temp.backstitch_keys k
		LEFT JOIN (` + differences(m, e.organizationsThen()) + `) d ON d.org_key = k.org_key AND d.key = k.key
		LEFT JOIN (` + failures + `) f ON f.org_key = k.org_key AND f.key = k.key
		WHERE f.key IS NOT NULL OR d.key IS NOT NULL
		   OR EXISTS (SELECT FROM pg_temp.backstitch_result r WHERE r.org_key = k.org_key AND r.key = k.key)
		   OR EXISTS (SELECT FROM backstitch.entities s WHERE s.kind = $1 AND s.org_key = k.org_key AND s.key = k.key AND (s.desired IS NOT NULL OR s.status = 'parked'))`
}

// whole compares everything that the mapping says in tx with what is stored,
// organization by organization, and stores nothing. see is asked after each chunk that
// was compared, which stands in backstitch_outcomes then. tx must be rolled back, with
// the workspace that it leaves.
func (e *evaluator) whole(ctx context.Context, tx pgx.Tx, see seeChunk) (all Difference, err error) {
	if _, err := tx.Exec(ctx, flippedTable+"; "+outcomesTable); err != nil {
		return all, err
	}
	for i := range e.plan.Mappings {
		m := &e.plan.Mappings[i]
		if err := e.wholeKind(ctx, tx, m, &all, see); err != nil {
			return all, fmt.Errorf("compare all %ss: %w", m.Kind, redact.SQLError(err))
		}
	}
	return all, nil
}

// seeChunk looks at a chunk of n entities that was compared.
type seeChunk func(ctx context.Context, tx pgx.Tx, m *CompiledMapping, n int64) error

// onlyCount looks at nothing: the numbers of outcomes are enough.
func onlyCount(context.Context, pgx.Tx, *CompiledMapping, int64) error { return nil }

func (e *evaluator) wholeKind(ctx context.Context, tx pgx.Tx, m *CompiledMapping, all *Difference, see seeChunk) error {
	if _, err := e.listOrganizations(ctx, tx, m); err != nil {
		return err
	}
	if m.Kind == consumers.Member { // listed from what is stored: those that appear are not yet
		if _, err := tx.Exec(ctx, "INSERT INTO pg_temp.backstitch_todo SELECT org_key FROM pg_temp.backstitch_flipped ON CONFLICT DO NOTHING"); err != nil {
			return err
		}
	}
	part, size := partOf(m.Kind, []string{m.Keys[0].Name}), firstChunk(m.Kind)
	for {
		taken, err := e.takeTodo(ctx, tx, size)
		if err != nil || taken == 0 {
			return err
		}
		before := all.Entities
		if err := e.compareTaken(ctx, tx, m, part, all); err != nil {
			return err
		}
		compared := all.Entities - before
		if err := see(ctx, tx, m, compared); err != nil {
			return err
		}
		size = nextChunk(size, compared)
	}
}

// takeTodo moves the next organizations into an empty workspace.
func (e *evaluator) takeTodo(ctx context.Context, tx pgx.Tx, size int) (int64, error) {
	if _, err := tx.Exec(ctx, emptyWorkspace+", pg_temp.backstitch_outcomes"); err != nil {
		return 0, err
	}
	tag, err := tx.Exec(ctx, `WITH taken AS (DELETE FROM pg_temp.backstitch_todo WHERE org_key IN
			(SELECT org_key FROM pg_temp.backstitch_todo ORDER BY org_key LIMIT $1) RETURNING org_key)
		INSERT INTO pg_temp.backstitch_work SELECT org_key, org_key, true, false, '', '', 0, 0, 0, NULL FROM taken`, size)
	return tag.RowsAffected(), err
}

func (e *evaluator) compareTaken(ctx context.Context, tx pgx.Tx, m *CompiledMapping, part int, all *Difference) error {
	if err := e.compute(ctx, tx, m, part, e.passTimeout); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "INSERT INTO pg_temp.backstitch_outcomes "+e.outcomesSQL(m), m.Kind); err != nil {
		return err
	}
	if m.Kind == consumers.Organization {
		_, err := tx.Exec(ctx, `INSERT INTO pg_temp.backstitch_flipped SELECT org_key, desired FROM pg_temp.backstitch_outcomes
			WHERE outcome IN ('`+outcomeAppear+`', '`+outcomeVanish+`') ON CONFLICT DO NOTHING`)
		if err != nil {
			return err
		}
	}
	return all.count(tx.Query(ctx, "SELECT outcome, count(*) FROM pg_temp.backstitch_outcomes GROUP BY 1"))
}

// count adds rows of outcomes and their numbers.
func (d *Difference) count(rows pgx.Rows, err error) error {
	if err != nil {
		return err
	}
	var outcome string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&outcome, &n}, func() error {
		d.add(outcome, n)
		return nil
	})
	return err
}
