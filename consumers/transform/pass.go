package transform

import (
	"context"
	"errors"
	"fmt"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// The causes of a pass over a whole mapping, and of a touched key.
const (
	causeLoad    = "load"    // the first evaluation of a mirror
	causeMapping = "mapping" // another mapping was accepted
	causeRebuild = "rebuild" // the mirror was filled again
	causeAudit   = "audit"
	causeSweep   = "sweep"
)

// passRows is how many entities a chunk of a pass aims at.
const passRows = 20_000

// pass evaluates the whole mapping at a position and stores what differs:
// organizations first, organization by organization, in chunks whose progress is
// durable. Everything goes to the backfill lane, and a delete that it finds was
// not caused by a row's change (invariant 7). The mirror stands still meanwhile.
func (e *evaluator) pass(ctx context.Context, at Position, cause string) error {
	id, phase, err := e.openPass(ctx, at, cause)
	if err != nil {
		return fmt.Errorf("begin the %s pass: %w", cause, err)
	}
	for i := range e.plan.Mappings {
		m := &e.plan.Mappings[i]
		if phase == string(consumers.Member) && m.Kind == consumers.Organization {
			continue // done before the last interruption
		}
		if phase != string(m.Kind) {
			if err := e.inTx(ctx, func(tx pgx.Tx) error { return e.listPass(ctx, tx, id, m) }); err != nil {
				return fmt.Errorf("list the %ss of the %s pass: %w", m.Kind, cause, err)
			}
		}
		if err := e.passChunks(ctx, id, m, at, cause); err != nil {
			return fmt.Errorf("evaluate all %ss: %w", m.Kind, err)
		}
	}
	err = e.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE backstitch.passes SET ended_at = now() WHERE id = $1", id); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "ANALYZE backstitch.entities")
		return err
	})
	if err != nil {
		return fmt.Errorf("end the %s pass: %w", cause, err)
	}
	return e.show(ctx)
}

// openPass begins a pass, or goes on with one that was interrupted at the same
// position: the mirror has not changed since. One of another position or mapping
// begins anew; what it stored already costs only the comparison.
func (e *evaluator) openPass(ctx context.Context, at Position, cause string) (id int64, phase string, err error) {
	digest := e.plan.Digest()
	err = e.inTx(ctx, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `SELECT id, phase FROM backstitch.passes
			WHERE ended_at IS NULL AND cause = $1 AND digest = $2 AND epoch = $3 AND commit_lsn = $4`,
			cause, digest, at.Epoch, int64(at.CommitLSN)).Scan(&id, &phase)
		if err == nil || !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM backstitch.passes WHERE ended_at IS NULL AND cause IN ('load', 'mapping', 'rebuild')`); err != nil {
			return err
		}
		if cause == causeLoad { // the load sees it all
			if _, err := tx.Exec(ctx, "DELETE FROM backstitch.touched"); err != nil {
				return err
			}
		}
		for _, t := range sortedTables(e.plan.Columns) { // filled in bulk: the planner knows nothing yet
			if _, err := tx.Exec(ctx, "ANALYZE "+t.SQL()); err != nil {
				return err
			}
		}
		phase = ""
		return tx.QueryRow(ctx, `INSERT INTO backstitch.passes (cause, digest, epoch, commit_lsn) VALUES ($1, $2, $3, $4) RETURNING id`,
			cause, digest, at.Epoch, int64(at.CommitLSN)).Scan(&id)
	})
	return id, phase, err
}

// listPass writes the organizations whose entities a pass will look at, and
// counts the rows without a whole key (hazard C6).
func (e *evaluator) listPass(ctx context.Context, tx pgx.Tx, id int64, m *CompiledMapping) error {
	nulls, err := e.listOrganizations(ctx, tx, m)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO backstitch.pass_keys (pass, org_key) SELECT $1::bigint, org_key FROM pg_temp.backstitch_todo ON CONFLICT DO NOTHING", id)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE backstitch.passes SET phase = $2, null_keys = null_keys + $3 WHERE id = $1", id, m.Kind, nulls)
	return err
}

// listOrganizations lists the organizations to look at in backstitch_todo: those
// that the mapping returns and those stored. Members are looked at by organization: one
// whose organization is neither desired nor has stored members is not desired.
func (e *evaluator) listOrganizations(ctx context.Context, tx pgx.Tx, m *CompiledMapping) (nulls int64, err error) {
	insert := func(tx pgx.Tx, list string) error {
		_, err := tx.Exec(ctx, "INSERT INTO pg_temp.backstitch_todo SELECT org_key FROM ("+list+") l ON CONFLICT DO NOTHING")
		return err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM pg_temp.backstitch_todo"); err != nil {
		return 0, err
	}
	err = insert(tx, `SELECT org_key FROM backstitch.entities WHERE kind = 'organization' AND (desired IS NOT NULL OR status = 'parked')
		UNION SELECT org_key FROM backstitch.entities WHERE kind = 'member' AND (desired IS NOT NULL OR status = 'parked')`)
	if err != nil {
		return 0, err
	}
	if m.Kind == consumers.Organization || e.plan.Mapping(consumers.Organization) == nil {
		state, err := tryReading(ctx, tx, e.passTimeout, func(tx pgx.Tx) error { return insert(tx, organizationsSQL(m)) })
		if err != nil {
			return 0, err
		}
		if state != "" { // hazard C5: the routes know which keys there may be
			list := candidatesSQL(m)
			if list == "" {
				return 0, fmt.Errorf("list the organizations that the mapping of %ss returns: SQLSTATE %s, and no route names a column for organization_external_id", m.Kind, state)
			}
			if err := insert(tx, list); err != nil {
				return 0, err
			}
		}
	}
	state, err := tryReading(ctx, tx, e.passTimeout, func(tx pgx.Tx) error { return tx.QueryRow(ctx, nullKeysSQL(m)).Scan(&nulls) })
	if err == nil && state == "" {
		e.metrics.nullKeys.WithLabelValues(string(m.Kind)).Set(float64(nulls))
	}
	return nulls, err
}

// candidatesSQL lists the organization keys that rows of routed tables name: a
// superset that no expression of the mapping stands in the way of.
func candidatesSQL(m *CompiledMapping) string {
	list := ""
	for _, t := range sortedTables(m.Routes) {
		column, ok := m.Routes[t].Columns[m.Keys[0].Name]
		if !ok {
			continue
		}
		if list != "" {
			list += " UNION "
		}
		column = schemas.QuoteIdent(column)
		list += "SELECT " + column + "::text AS org_key FROM " + t.SQL() + " WHERE " + column + " IS NOT NULL"
	}
	return list
}

// passChunks evaluates what is left in pass_keys. Chunks grow and shrink with the
// number of entities that organizations turn out to have.
func (e *evaluator) passChunks(ctx context.Context, id int64, m *CompiledMapping, at Position, cause string) error {
	part, size := partOf(m.Kind, []string{m.Keys[0].Name}), firstChunk(m.Kind)
	for {
		started := e.now()
		var taken, judged, changed int64
		err := e.inTx(ctx, func(tx pgx.Tx) (err error) {
			if taken, err = takePass(ctx, tx, id, size, at, cause); err != nil || taken == 0 {
				return err
			}
			if err = e.compute(ctx, tx, m, part, e.passTimeout); err != nil {
				return err
			}
			if changed, err = e.write(ctx, tx, m, at, false); err != nil {
				return err
			}
			if err := tx.QueryRow(ctx, "SELECT count(*) FROM pg_temp.backstitch_keys").Scan(&judged); err != nil {
				return err
			}
			_, err = tx.Exec(ctx, "UPDATE backstitch.passes SET entities = entities + $2, changed = changed + $3 WHERE id = $1", id, judged, changed)
			return err
		})
		if err != nil {
			return redact.SQLError(err)
		}
		if taken == 0 {
			return nil
		}
		e.metrics.evaluated(m.Kind, judged, changed, e.now().Sub(started))
		if changed > 0 {
			e.changed()
		}
		size = nextChunk(size, judged)
	}
}

func firstChunk(kind consumers.Kind) int {
	if kind == consumers.Organization {
		return passRows
	}
	return 100
}

// nextChunk aims the number of organizations or keys of a chunk at passRows entities.
func nextChunk(size int, judged int64) int {
	return min(max(1, int(int64(size)*passRows/max(judged, 1))), 4*size, passRows)
}

// takePass takes the next organizations up to a key, and not by a join: the planner knows
// nothing of a list that was just written, and nested loops over 20,000 take minutes.
func takePass(ctx context.Context, tx pgx.Tx, id int64, size int, at Position, cause string) (int64, error) {
	tag, err := tx.Exec(ctx, `WITH taken AS (
			DELETE FROM backstitch.pass_keys WHERE pass = $1 AND org_key <= (SELECT max(org_key) FROM (
				SELECT org_key FROM backstitch.pass_keys WHERE pass = $1 ORDER BY org_key LIMIT $2) s)
			RETURNING org_key)
		INSERT INTO pg_temp.backstitch_work
		SELECT org_key, org_key, true, false, $3::text, '', $4::int, $5::bigint, $6::bigint, $7::timestamptz FROM taken`,
		id, size, cause, at.Epoch, int64(at.CommitLSN), int64(at.EndLSN), commitTime(at))
	if err != nil {
		return 0, fmt.Errorf("take the next chunk: %w", err)
	}
	return tag.RowsAffected(), nil
}
