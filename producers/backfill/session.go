package backfill

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
)

// The application names of this package's sessions.
const (
	keeperName  = "backstitch keeper"
	watcherName = "backstitch keeper watcher"
	workerName  = "backstitch backfill"
)

// silence is how long the server keeps a session that holds locks and a snapshot for a
// client that says and takes nothing more: a reader that was stopped or cut off must
// not keep DDL and vacuum of the source waiting (hazard S37). Longer than a Kafka
// transaction may take, for which the readers wait.
const silence = 15 * time.Second

// connect opens a session on the source whose settings no role or database
// default can change (hazard S9).
func connect(ctx context.Context, cfg *pgx.ConnConfig, application string) (*pgx.Conn, error) {
	cfg = cfg.Copy()
	maps.Copy(cfg.RuntimeParams, pgsession.Source(application))
	ms := strconv.FormatInt(silence.Milliseconds(), 10)
	cfg.RuntimeParams["idle_in_transaction_session_timeout"] = ms
	cfg.RuntimeParams["tcp_user_timeout"] = ms // of a COPY whose rows nobody takes
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to the source as %s: %w", application, redact.SQLError(err))
	}
	// PostgreSQL 17 has one more time-out, which older servers refuse as a start-up parameter.
	err = exec(ctx, conn, "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout'")
	if err != nil {
		return nil, closeAfter(conn, fmt.Errorf("prepare the session of %s: %w", application, err))
	}
	return conn, nil
}

// OpenReader opens a session whose one transaction, read-only, sees an exported
// snapshot and reads by the primary key. The keeper's watcher looks after it. Closing
// the session ends it.
func OpenReader(ctx context.Context, cfg *pgx.ConnConfig, snapshot string) (*pgx.Conn, error) {
	conn, err := connect(ctx, cfg, workerName)
	if err != nil {
		return nil, err
	}
	if err := exec(ctx, conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return nil, closeAfter(conn, fmt.Errorf("begin: %w", err))
	}
	if err := importSnapshot(ctx, conn, snapshot); err != nil {
		return nil, closeAfter(conn, err)
	}
	// The primary key's index bounds what a piece costs and gives its first row soon;
	// a sequential scan, chosen on a bad estimate, would read the table once a piece.
	err = exec(ctx, conn, "SET LOCAL enable_seqscan = off; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off")
	if err != nil {
		return nil, closeAfter(conn, fmt.Errorf("prepare the session: %w", err))
	}
	return conn, nil
}

// exec runs statements by the simple protocol, which takes no snapshot of its own
// before SET TRANSACTION SNAPSHOT.
func exec(ctx context.Context, conn *pgx.Conn, sql string) error {
	_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	return redact.SQLError(err)
}

// lockTables is the statement that locks tables, partitions included, against
// rewrites and TRUNCATE (hazard S7).
func lockTables(tables []schemas.Table) string {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = t.SQL()
	}
	return "LOCK TABLE " + strings.Join(names, ", ") + " IN ACCESS SHARE MODE"
}

// importSnapshot makes the first statement of a transaction see an exported snapshot.
func importSnapshot(ctx context.Context, conn *pgx.Conn, snapshot string) error {
	if err := exec(ctx, conn, "SET TRANSACTION SNAPSHOT "+producers.QuoteLiteral(snapshot)); err != nil {
		return fmt.Errorf("import snapshot %s (it ends with the transaction that exported it): %w", snapshot, err)
	}
	return nil
}

// closeAfter closes a connection after an error, which it returns.
func closeAfter(conn *pgx.Conn, err error) error {
	pgsession.Discard(conn)
	return err
}
