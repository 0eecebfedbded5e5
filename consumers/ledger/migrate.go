package ledger

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// versionTable remembers which migrations ran, inside Backstitch's own schema.
const versionTable = "backstitch.schema_version"

// migrateLock is the advisory lock under which migrations run, so that instances
// that start together migrate once.
const migrateLock = 0x6261636b73746368 // "backstch"

// Migrate brings the ledger's schema up to date. It may be called by any number of
// instances at once and does nothing when there is nothing to do.
func Migrate(ctx context.Context, dsn string) (err error) {
	config, err := ConnConfig(dsn, "backstitch-migrate")
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*config)
	defer func() {
		if cerr := db.Close(); cerr != nil && err == nil {
			err = fmt.Errorf("close the ledger: %w", cerr)
		}
	}()
	lock, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("migrate the ledger: %w", redact.SQLError(err))
	}
	defer func() { _ = lock.Close() }() // ends the session, and the lock with it
	if _, err := lock.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(migrateLock)); err != nil {
		return fmt.Errorf("lock the ledger for its migration: %w", redact.SQLError(err))
	}
	defer func() {
		_, _ = lock.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(migrateLock))
	}()
	return up(ctx, db)
}

func up(ctx context.Context, db *sql.DB) error {
	if _, err := db.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS backstitch"); err != nil {
		return fmt.Errorf("create schema backstitch in the ledger: %w", redact.SQLError(err))
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("read the embedded migrations: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName(versionTable), goose.WithVerbose(false))
	if err != nil {
		return fmt.Errorf("prepare the ledger's migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate the ledger: %w", err)
	}
	return nil
}
