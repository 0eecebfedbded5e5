package transform

import (
	"context"
	"fmt"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/jackc/pgx/v5"
)

// differences selects the judged keys whose desired state is not the stored one:
// the key and how it was touched, the stored revision, whether it was gone, and
// the new desired state. $1 is the kind; organizations is a relation of org_key and
// desired, or "" where no mapping describes them.
//
// A member whose organization is not desired is not desired either (hazard A25).
// An entity that evaluation parked is different as soon as its row can be
// evaluated again.
func differences(m *CompiledMapping, organizations string) string {
	desired, join := "r.desired", ""
	if m.Kind == consumers.Member && organizations != "" {
		desired = "CASE WHEN o.desired IS NOT NULL THEN r.desired END"
		join = "LEFT JOIN " + organizations + " o ON o.org_key = k.org_key"
	}
	return `SELECT k.*, s.revision, s.desired IS NULL AS was_gone, ` + desired + ` AS desired
		FROM pg_temp.backstitch_keys k
		LEFT JOIN pg_temp.backstitch_result r ON r.org_key = k.org_key AND r.key = k.key
		LEFT JOIN backstitch.entities s ON s.kind = $1 AND s.org_key = k.org_key AND s.key = k.key
		` + join + `
		WHERE NOT EXISTS (SELECT FROM pg_temp.backstitch_failed f WHERE f.org_key = k.org_key AND f.key = k.key)
		  AND (` + desired + ` IS DISTINCT FROM s.desired
		       OR s.status = 'parked' AND s.reason IN ` + ledger.EvaluationReasons + `)`
}

// storedOrganizations are the organizations as the ledger has them, for differences.
func (e *evaluator) storedOrganizations() string {
	if e.plan.Mapping(consumers.Organization) == nil {
		return ""
	}
	return "(SELECT org_key, desired FROM backstitch.entities WHERE kind = 'organization' AND key = org_key)"
}

// failures selects the judged keys that cannot be evaluated and are not parked for
// that reason yet. A released entity stays released (invariant 12).
const failures = `SELECT k.*, s.revision, f.reason, f.detail
	FROM pg_temp.backstitch_keys k
	JOIN pg_temp.backstitch_failed f ON f.org_key = k.org_key AND f.key = k.key
	LEFT JOIN backstitch.entities s ON s.kind = $1 AND s.org_key = k.org_key AND s.key = k.key
	WHERE s.status IS NULL OR s.status <> 'released'
	  AND (s.status, s.reason, s.detail) IS DISTINCT FROM ('parked', f.reason, f.detail)`

// writeSQL stores new desired states, each under a revision above the stored one
// and not below the position (hazard C12). An entity's source position is that of
// its oldest change that is not applied: while it waits, everything since then does
// (hazard A19). Arguments: kind, commit LSN, organizations and their partitions.
func writeSQL(differences string) string {
	const keep = `CASE WHEN e.status = 'released' THEN `
	const waits = `e.epoch = excluded.epoch AND e.status IN ('pending', 'deferred', 'blocked')`
	return `INSERT INTO backstitch.entities AS e (kind, org_key, key, partition, lane, revision, desired, earned, wake_reason,
			source_table, epoch, commit_lsn, end_lsn, committed_at)
		SELECT $1, d.org_key, d.key, p.partition, CASE WHEN d.wide THEN 'backfill' ELSE 'live' END,
		       greatest(coalesce(d.revision, 0) + 1, $2), d.desired, d.desired IS NOT NULL OR d.earned, d.cause,
		       d.source_table, d.epoch, d.commit_lsn, d.end_lsn, d.committed_at
		FROM (` + differences + `) d JOIN unnest($3::text[], $4::int[]) p (org_key, partition) ON p.org_key = d.org_key
		ON CONFLICT (kind, org_key, key) DO UPDATE SET
			lane = ` + laneSQL + `, revision = greatest(e.revision + 1, excluded.revision),
			desired = excluded.desired, earned = excluded.earned, wake_reason = excluded.wake_reason,
			source_table = excluded.source_table, epoch = excluded.epoch, end_lsn = excluded.end_lsn,
			commit_lsn = CASE WHEN ` + waits + ` THEN least(e.commit_lsn, excluded.commit_lsn) ELSE excluded.commit_lsn END,
			committed_at = CASE WHEN ` + waits + ` THEN least(e.committed_at, excluded.committed_at) ELSE excluded.committed_at END,
			status = ` + keep + `e.status ELSE 'pending' END, reason = ` + keep + `e.reason END,
			detail = ` + keep + `e.detail END, due_at = ` + keep + `e.due_at END,
			attempts = ` + keep + `e.attempts ELSE 0 END, consent_id = ` + keep + `e.consent_id END`
}

// parkSQL parks what cannot be evaluated. Its desired state stays what it was; the
// revision grows, so that what the applier has in hand does not unpark it. There
// is nothing to announce.
const parkSQL = `INSERT INTO backstitch.entities AS e (kind, org_key, key, partition, lane, revision, announced, wake_reason,
		source_table, epoch, commit_lsn, end_lsn, committed_at, status, reason, detail)
	SELECT $1, d.org_key, d.key, p.partition, CASE WHEN d.wide THEN 'backfill' ELSE 'live' END,
	       greatest(coalesce(d.revision, 0) + 1, $2), greatest(coalesce(d.revision, 0) + 1, $2), d.cause,
	       d.source_table, d.epoch, d.commit_lsn, d.end_lsn, d.committed_at, 'parked', d.reason, d.detail
	FROM (` + failures + `) d JOIN unnest($3::text[], $4::int[]) p (org_key, partition) ON p.org_key = d.org_key
	ON CONFLICT (kind, org_key, key) DO UPDATE SET
		revision = excluded.revision, announced = excluded.announced, commit_lsn = excluded.commit_lsn,
		epoch = excluded.epoch, end_lsn = excluded.end_lsn, committed_at = excluded.committed_at,
		source_table = excluded.source_table, wake_reason = excluded.wake_reason,
		status = 'parked', reason = excluded.reason, detail = excluded.detail, due_at = NULL, attempts = 0, consent_id = NULL`

// flipsSQL touches the members of organizations that appear or vanish (hazard
// A25). Whether a row's change or a person's edit made one vanish holds for its
// members too (invariant 7).
func flipsSQL(differences string) string {
	return `INSERT INTO backstitch.touched AS t
		(kind, part, org_key, wide, earned, cause, source_table, epoch, commit_lsn, end_lsn, committed_at)
		SELECT 'member', 1, d.org_key, d.wide, d.earned, d.cause, d.source_table, d.epoch, d.commit_lsn, d.end_lsn, d.committed_at
		FROM (` + differences + `) d WHERE (d.desired IS NULL) <> d.was_gone ` + touchAgain
}

// write stores what compute found and returns how many entities changed. flips:
// members of organizations that appear or vanish are evaluated after.
func (e *evaluator) write(ctx context.Context, tx pgx.Tx, m *CompiledMapping, at Position, flips bool) (changed int64, err error) {
	diff := differences(m, e.storedOrganizations())
	if flips && m.Kind == consumers.Organization && e.plan.Mapping(consumers.Member) != nil {
		if _, err := tx.Exec(ctx, flipsSQL(diff), m.Kind); err != nil {
			return 0, fmt.Errorf("touch the members of changed organizations: %w", err)
		}
	}
	orgs, partitions, err := e.partitionsOf(ctx, tx)
	if err != nil {
		return 0, fmt.Errorf("compute partitions: %w", err)
	}
	tag, err := tx.Exec(ctx, writeSQL(diff), m.Kind, int64(at.CommitLSN), orgs, partitions)
	if err != nil {
		return 0, fmt.Errorf("store desired states: %w", err)
	}
	parked, err := tx.Exec(ctx, parkSQL, m.Kind, int64(at.CommitLSN), orgs, partitions)
	if err != nil {
		return 0, fmt.Errorf("park what cannot be evaluated: %w", err)
	}
	e.metrics.parked.WithLabelValues(string(m.Kind)).Add(float64(parked.RowsAffected()))
	return tag.RowsAffected() + parked.RowsAffected(), nil
}
