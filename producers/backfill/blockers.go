package backfill

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
)

// Blockers names the transactions that CREATE_REPLICATION_SLOT would wait for now:
// every one that has a transaction id, in any database of the server, prepared
// ones too (hazard S20). It tells pids, application names and ages, never a query.
func Blockers(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	return Writers(ctx, conn, 0)
}

// Writers names those of the Blockers that began at least age ago. The age of a
// session that the role may not look into (without pg_read_all_stats) is unknown;
// it is named only for age 0.
func Writers(ctx context.Context, conn *pgx.Conn, age time.Duration) ([]string, error) {
	// Locks on transaction ids are visible to every role, pg_stat_activity.backend_xid is not.
	rows, err := conn.Query(ctx, `
		SELECT CASE WHEN x.gid IS NOT NULL
		       THEN format('prepared transaction %L in database %s, prepared %s ago: COMMIT PREPARED or ROLLBACK PREPARED ends it', x.gid, x.database, x.age)
		       ELSE format('pid %s (%s, database %s), open for %s', x.pid, coalesce(nullif(x.application_name, ''), 'no application name'),
		                   coalesce(x.database, 'unknown'), coalesce(x.age, 'an unknown time')) END
		FROM (
			SELECT l.pid, a.application_name, coalesce(a.datname, p.database) AS database, p.gid, coalesce(a.xact_start, p.prepared) AS began,
			       round(extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared)), 1)::text || ' s' AS age
			FROM pg_catalog.pg_locks l
			LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
			LEFT JOIN pg_catalog.pg_prepared_xacts p ON l.pid IS NULL AND p.transaction = l.transactionid
			WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted
			  AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()) x
		WHERE $1 = 0 OR x.began <= clock_timestamp() - make_interval(secs => $1)
		ORDER BY x.began NULLS LAST, x.pid`, age.Seconds())
	if err != nil {
		return nil, fmt.Errorf("look for open writing transactions: %w", redact.SQLError(err))
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for open writing transactions: %w", redact.SQLError(err))
	}
	return names, nil
}
