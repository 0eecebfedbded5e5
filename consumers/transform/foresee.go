package transform

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ForeseeDeps are what another mapping is tried with, in whatever process.
type ForeseeDeps struct {
	Ledger *pgxpool.Pool
	// Plan is the other mapping; the mirror lacks nothing that its SELECTs read (Lacking).
	Plan       *Plan
	Prefix     string
	Partitions int
	Logger     *slog.Logger
	// Samples bounds the keys that are listed of each kind of change; Changes bounds the
	// desired states that are kept for a forecast of their calls.
	Samples, Changes int
}

// Foreseen is what another mapping would make of the mirror as it is.
type Foreseen struct {
	// Epoch and CommitLSN are the position at which the mirror was looked at.
	Epoch     uint32
	CommitLSN schemas.LSN
	// Quiet is false where touched keys waited for the transform all the time: what
	// differs for those is counted too.
	Quiet bool
	// Kinds, organizations first.
	Kinds []ForeseenKind
	// Sum identifies everything that differs, and how: two looks with one sum foresee
	// the same.
	Sum string
	// Changes are entities that would be written at once, at most ForeseeDeps.Changes.
	Changes []Changed
}

// ForeseenKind is what would become of the organizations, or of the members.
type ForeseenKind struct {
	Kind consumers.Kind `json:"kind"`
	// Entities were looked at: the mapping returns them, or the ledger has them.
	Entities int64         `json:"entities"`
	Create   ForeseenGroup `json:"create"`
	Update   ForeseenGroup `json:"update"`
	Delete   ForeseenGroup `json:"delete"`
	// Rename counts entities that vanish under one key while one with the same address,
	// slug or name appears under another. To Stytch that is a delete and a creation; they
	// are in neither of those counts.
	Rename ForeseenGroup `json:"rename"`
	// Failed cannot be evaluated: they would be parked, as they are.
	Failed ForeseenGroup `json:"cannot_be_evaluated"`
	// Released differ and are written no more.
	Released ForeseenGroup `json:"released"`
	// Fields counts updates by the field that changes.
	Fields map[string]int64 `json:"fields"`
}

// ForeseenGroup counts entities that share an outcome, and lists some.
type ForeseenGroup struct {
	Count   int64           `json:"count"`
	Samples []ForeseenEntry `json:"samples"`
}

// ForeseenEntry is one entity by its keys; never a value (invariant 8).
type ForeseenEntry struct {
	Organization string `json:"organization"`
	Key          string `json:"key"`
	// NewOrganization and NewKey are set for a rename.
	NewOrganization string `json:"new_organization,omitempty"`
	NewKey          string `json:"new_key,omitempty"`
	// Fields that an update changes.
	Fields []string `json:"fields,omitempty"`
}

const foreseenTable = `CREATE TEMP TABLE backstitch_foreseen (kind text, org_key text, key text, outcome text, fields text[], twin text,
	new_org text, new_key text, desired jsonb, PRIMARY KEY (kind, org_key, key))`

// The outcomes that only a look ahead has.
const (
	outcomeRename   = "rename"
	outcomeRenamed  = "renamed to" // the other end of a rename
	outcomeReleased = "released"
)

// Foresee evaluates another mapping over the whole mirror, under one snapshot, and
// takes everything back. A transform that follows goes on beside it. The error is
// ErrNotFollowing before there is something to compare with.
func Foresee(ctx context.Context, d ForeseeDeps) (*Foreseen, error) {
	conn, err := d.Ledger.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("foresee another mapping: %w", redact.SQLError(err))
	}
	defer conn.Release()
	e := newEvaluator(evaluatorConfig{Pool: d.Ledger, Plan: d.Plan, Partitions: d.Partitions, Log: d.Logger, Metrics: newEvaluationMetrics(nil)})
	f := &Foreseen{}
	f.Quiet, err = settled(ctx, conn, time.Now().Add(quietWithin), func(tx pgx.Tx) error {
		if err := f.look(ctx, tx, e, &d); err != nil {
			return err
		}
		return errUndo
	})
	if err != nil && !errors.Is(err, errUndo) {
		return nil, fmt.Errorf("foresee another mapping: %w", redact.SQLError(err))
	}
	return f, nil
}

func (f *Foreseen) look(ctx context.Context, tx pgx.Tx, e *evaluator, d *ForeseeDeps) error {
	var phase string
	var lsn int64
	err := tx.QueryRow(ctx, "SELECT phase, evaluated_epoch, evaluated_commit_lsn FROM backstitch.transform WHERE prefix = $1", d.Prefix).
		Scan(&phase, &f.Epoch, &lsn)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && phase != phaseFollowing {
		return ErrNotFollowing
	}
	if err != nil {
		return err
	}
	f.CommitLSN = schemas.LSN(lsn)
	if _, err := tx.Exec(ctx, foreseenTable); err != nil {
		return err
	}
	entities := map[consumers.Kind]int64{}
	_, err = e.whole(ctx, tx, func(ctx context.Context, tx pgx.Tx, m *CompiledMapping, n int64) error {
		entities[m.Kind] += n
		_, err := tx.Exec(ctx, foreseenSQL(m.Kind), m.Kind)
		return err
	})
	if err != nil {
		return err
	}
	if err := pairRenames(ctx, tx, d.Plan); err != nil {
		return fmt.Errorf("pair what vanishes with what appears: %w", err)
	}
	return f.gather(ctx, tx, d, entities)
}

// foreseenSQL keeps what differs of a chunk, with the names of the fields that change
// and what tells that two keys mean the same organization or person.
func foreseenSQL(kind consumers.Kind) string {
	twin := func(state string) string {
		if kind == consumers.Organization {
			return `coalesce('slug ' || (` + state + `->>'organization_slug'), 'name ' || (` + state + `->>'organization_name'))`
		}
		return `lower(` + state + `->>'email_address')`
	}
	return `INSERT INTO pg_temp.backstitch_foreseen (kind, org_key, key, outcome, fields, twin, desired)
		SELECT $1, o.org_key, o.key, CASE WHEN s.status = 'released' THEN '` + outcomeReleased + `' ELSE o.outcome END,
			CASE WHEN o.outcome = '` + outcomeChange + `' THEN ARRAY(
				SELECT coalesce(a.key, b.key) FROM jsonb_each(s.desired) a FULL JOIN jsonb_each(o.desired) b ON b.key = a.key
				WHERE a.value IS DISTINCT FROM b.value ORDER BY 1) END,
			` + twin(`CASE WHEN o.outcome = '`+outcomeVanish+`' THEN s.desired ELSE o.desired END`) + `, o.desired
		FROM pg_temp.backstitch_outcomes o
		LEFT JOIN backstitch.entities s ON s.kind = $1 AND s.org_key = o.org_key AND s.key = o.key
		WHERE o.outcome <> '` + outcomeSame + `' AND NOT (o.outcome = '` + outcomeChange + `' AND o.desired IS NULL)
		ON CONFLICT DO NOTHING`
}

// pairRenames finds, within an organization, the one entity that vanishes and the one
// that appears with the same address; of organizations, with the same slug or name.
// Members of a renamed organization are sought in the new one.
func pairRenames(ctx context.Context, tx pgx.Tx, p *Plan) error {
	if _, err := tx.Exec(ctx, "ANALYZE pg_temp.backstitch_foreseen"); err != nil {
		return err
	}
	scope := map[consumers.Kind]string{
		consumers.Organization: "''",
		consumers.Member: `CASE WHEN f.outcome = 'vanish' THEN coalesce((SELECT o.new_org FROM pg_temp.backstitch_foreseen o
			WHERE o.kind = 'organization' AND o.org_key = f.org_key AND o.key = f.org_key), f.org_key) ELSE f.org_key END`,
	}
	for _, m := range p.Mappings {
		_, err := tx.Exec(ctx, `WITH candidates AS (
				SELECT f.org_key, f.key, f.outcome, f.twin, `+scope[m.Kind]+` AS scope FROM pg_temp.backstitch_foreseen f
				WHERE f.kind = $1 AND f.outcome IN ('appear', 'vanish') AND f.twin IS NOT NULL),
			pairs AS (
				SELECT min(org_key) FILTER (WHERE outcome = 'vanish') AS old_org, min(key) FILTER (WHERE outcome = 'vanish') AS old_key,
					min(org_key) FILTER (WHERE outcome = 'appear') AS new_org, min(key) FILTER (WHERE outcome = 'appear') AS new_key
				FROM candidates GROUP BY scope, twin HAVING count(*) = 2 AND count(DISTINCT outcome) = 2)
			UPDATE pg_temp.backstitch_foreseen f SET
				outcome = CASE f.outcome WHEN 'vanish' THEN $2 ELSE $3 END,
				new_org = CASE f.outcome WHEN 'vanish' THEN p.new_org END, new_key = CASE f.outcome WHEN 'vanish' THEN p.new_key END
			FROM pairs p WHERE f.kind = $1 AND ((f.org_key, f.key) = (p.old_org, p.old_key) OR (f.org_key, f.key) = (p.new_org, p.new_key))`,
			m.Kind, outcomeRename, outcomeRenamed)
		if err != nil {
			return err
		}
	}
	return nil
}
