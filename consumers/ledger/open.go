package ledger

import (
	"context"
	"fmt"
	"maps"

	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Querier is what a pool, a connection and a transaction have in common.
type Querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Open connects a pool to the ledger database. Its sessions are named app in
// pg_stat_activity, have their formats pinned (hazard C19) and commit
// synchronously (hazard C12). The DSN never appears in an error.
func Open(ctx context.Context, dsn string, app string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the ledger's address: %w", err)
	}
	pin(config.ConnConfig, app)
	config.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = idleInTransaction
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("open the ledger: %w", redact.SQLError(err))
	}
	return pool, nil
}

// ConnConfig is the configuration of dedicated ledger sessions, with the same
// settings as the pool's.
func ConnConfig(dsn string, app string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the ledger's address: %w", err)
	}
	pin(config, app)
	return config, nil
}

// idleInTransaction ends a session that is frozen between two statements of a
// transaction, whose locks keep every other instance waiting (invariant 10). Nothing
// waits for anything but the ledger within a transaction of the pool.
const idleInTransaction = "5s"

// reachable are the parameters by which the server notices within seconds that an
// instance is out of reach, also in the middle of a message, where no other time-out
// counts: by default that takes two hours, and its locks stand until then.
var reachable = map[string]string{
	"tcp_keepalives_idle": "2s", "tcp_keepalives_interval": "1s", "tcp_keepalives_count": "3", "tcp_user_timeout": "5s",
}

// pin sets the session parameters that every part of the consumers relies on.
func pin(config *pgx.ConnConfig, app string) {
	for name, value := range pgsession.Ledger(app) {
		config.RuntimeParams[name] = value
	}
	maps.Copy(config.RuntimeParams, reachable)
	config.RuntimeParams["synchronous_commit"] = "on" // hazard C12
}
