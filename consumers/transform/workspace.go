package transform

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// attempts bounds how often a ledger transaction is tried that lost a deadlock
// against the applier, which writes the same entities.
const attempts = 10

// begin pins what decides how a mapping is evaluated (hazard C19), makes the
// commit synchronous (hazard C12) and provides the session's workspace.
var begin = pins() + `
CREATE TEMP TABLE IF NOT EXISTS backstitch_todo (org_key text COLLATE "C" PRIMARY KEY) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS backstitch_work (
    org_key text, key text, wide boolean, earned boolean, cause text,
    source_table text, epoch int, commit_lsn bigint, end_lsn bigint, committed_at timestamptz) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS backstitch_keys (LIKE pg_temp.backstitch_work) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS backstitch_result (org_key text, key text, desired jsonb) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS backstitch_failed (
    org_key text, key text, reason text, detail text, PRIMARY KEY (org_key, key)) ON COMMIT DELETE ROWS;`

// emptyWorkspace makes room for another chunk within one transaction.
const emptyWorkspace = "TRUNCATE pg_temp.backstitch_work, pg_temp.backstitch_keys, pg_temp.backstitch_result, pg_temp.backstitch_failed"

func pins() string {
	settings := pgsession.Formats()
	settings["search_path"] = searchPath
	settings["synchronous_commit"] = "on"
	settings["client_min_messages"] = "warning"
	settings["jit"] = "off"
	settings["idle_in_transaction_session_timeout"] = idleInTransaction
	settings["plan_cache_mode"] = "force_custom_plan" // keys must be constants to be pushed down
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		value := strings.ReplaceAll(settings[name], "'", "''")
		fmt.Fprintf(&b, "SET LOCAL %s = '%s';\n", name, value)
	}
	return b.String()
}

// inTx runs do in a transaction of the ledger under the owner's fence (invariant
// 10), again after a deadlock. Errors leave it without values (invariant 8).
func (e *evaluator) inTx(ctx context.Context, do func(tx pgx.Tx) error) error {
	for try := 1; ; try++ {
		err := pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, begin); err != nil {
				return err
			}
			if err := fence(ctx, tx, e.term); err != nil {
				return err
			}
			return do(tx)
		})
		if err == nil || try == attempts || !retryable(err) {
			return redact.SQLError(err)
		}
	}
}

func retryable(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40P01" || pg.Code == "40001")
}

// compute evaluates the mapping for what stands in backstitch_work. After it,
// backstitch_keys holds the full keys to judge, backstitch_result at most one row
// for each, and backstitch_failed those that no row can be trusted for.
func (e *evaluator) compute(ctx context.Context, tx pgx.Tx, m *CompiledMapping, part int, within time.Duration) error {
	rows, err := tx.Query(ctx, "SELECT org_key, key FROM pg_temp.backstitch_work")
	if err != nil {
		return err
	}
	keys, err := collectKeys(rows)
	if err != nil {
		return err
	}
	if err := e.fill(ctx, tx, m, part, keys, &patience{whole: within}, within); err != nil {
		return err
	}
	if err := parkDoubles(ctx, tx); err != nil {
		return err
	}
	if _, err = tx.Exec(ctx, expandSQL[part], expandArgs(part, m)...); err != nil {
		return fmt.Errorf("list the entities behind the touched keys: %w", err)
	}
	return e.parkIncomplete(ctx, tx, m, within)
}

// parkDoubles takes keys with more than one row out of the result: both rows are
// named by their digests (hazard C6).
func parkDoubles(ctx context.Context, tx pgx.Tx) error {
	tag, err := tx.Exec(ctx, `INSERT INTO pg_temp.backstitch_failed (org_key, key, reason, detail)
		SELECT org_key, key, 'duplicate_key', count(*) || ' rows: ' || array_to_string((array_agg(digest ORDER BY digest))[1:2], ', ')
		FROM (SELECT r.org_key, r.key, left(encode(sha256(convert_to(r.desired::text, 'UTF8')), 'hex'), 12) AS digest
		      FROM pg_temp.backstitch_result r
		      JOIN (SELECT org_key, key FROM pg_temp.backstitch_result GROUP BY 1, 2 HAVING count(*) > 1) d
		        ON d.org_key = r.org_key AND d.key = r.key) x
		GROUP BY 1, 2 ON CONFLICT DO NOTHING`)
	if err != nil {
		return fmt.Errorf("find keys with two rows: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return nil
	}
	_, err = tx.Exec(ctx, `DELETE FROM pg_temp.backstitch_result r USING pg_temp.backstitch_failed f
		WHERE f.org_key = r.org_key AND f.key = r.key`)
	return err
}

// expandSQL turns what was touched into full keys. A partial key means the stored
// entities with that value and the rows that the SELECT returns now: a touched
// entity that it does not return any more is gone (hazard C2). A partial key that
// means many entities is a wide change (hazard C18).
var expandSQL = map[int]string{
	partFull:         `INSERT INTO pg_temp.backstitch_keys SELECT * FROM pg_temp.backstitch_work`,
	partOrganization: expandPartial("org_key"),
	partEntity:       expandPartial("key"),
}

func expandPartial(column string) string {
	return fmt.Sprintf(`INSERT INTO pg_temp.backstitch_keys
		SELECT x.org_key, x.key, w.wide OR count(*) OVER (PARTITION BY w.%[1]s) > %[2]d, w.earned, w.cause,
		       w.source_table, w.epoch, w.commit_lsn, w.end_lsn, w.committed_at
		FROM (SELECT org_key, key FROM pg_temp.backstitch_result
		      UNION SELECT org_key, key FROM pg_temp.backstitch_failed
		      UNION SELECT e.org_key, e.key FROM pg_temp.backstitch_work w
		            JOIN backstitch.entities e ON e.kind = $1 AND e.%[1]s = w.%[1]s
		            WHERE e.desired IS NOT NULL OR e.status = 'parked') x
		JOIN pg_temp.backstitch_work w ON w.%[1]s = x.%[1]s`, column, wideFanOut)
}

func expandArgs(part int, m *CompiledMapping) []any {
	if part == partFull {
		return nil
	}
	return []any{m.Kind}
}

// partitionsOf computes the apply partitions of the organizations in
// backstitch_keys, over the recorded count (hazard S22).
func (e *evaluator) partitionsOf(ctx context.Context, tx pgx.Tx) (orgs []string, partitions []int32, err error) {
	rows, err := tx.Query(ctx, "SELECT DISTINCT org_key FROM pg_temp.backstitch_keys")
	if err != nil {
		return nil, nil, err
	}
	if orgs, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return nil, nil, err
	}
	partitions = make([]int32, len(orgs))
	for i, org := range orgs {
		partitions[i] = schemas.Partition([]byte(org), e.partitions)
	}
	return orgs, partitions, nil
}
