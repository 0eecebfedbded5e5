package ledger

import (
	"context"
	"fmt"

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

// pin sets the session parameters that every part of the consumers relies on.
func pin(config *pgx.ConnConfig, app string) {
	for name, value := range pgsession.Ledger(app) {
		config.RuntimeParams[name] = value
	}
	config.RuntimeParams["synchronous_commit"] = "on" // hazard C12
}
