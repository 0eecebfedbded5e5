package ledger

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// RegisteredSchema is a version of a subject, as a Confluent schema registry counts
// them: one text has one id, under however many subjects.
type RegisteredSchema struct {
	Subject string
	Version int // from 1
	ID      int
	Schema  string
}

// Schemas are all registered ones, by subject and version.
func Schemas(ctx context.Context, q Querier) ([]RegisteredSchema, error) {
	rows, err := q.Query(ctx, `SELECT s.subject, s.version, s.schema_id, t.schema
		FROM backstitch.subjects s JOIN backstitch.schemas t ON t.id = s.schema_id ORDER BY 1, 2`)
	if err != nil {
		return nil, fmt.Errorf("read the registered schemas: %w", redact.SQLError(err))
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[RegisteredSchema])
	if err != nil {
		return nil, fmt.Errorf("read the registered schemas: %w", redact.SQLError(err))
	}
	return all, nil
}

// RegisterSchema returns the id of a schema under a subject, and makes it the subject's
// next version where it is not one yet.
func RegisterSchema(ctx context.Context, pool *pgxpool.Pool, subject, schema string) (id int, err error) {
	digest := sha256.Sum256([]byte(schema))
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "LOCK TABLE backstitch.subjects IN SHARE ROW EXCLUSIVE MODE"); err != nil { // one at a time
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO backstitch.schemas (digest, schema) SELECT $1, $2
			WHERE NOT EXISTS (SELECT FROM backstitch.schemas WHERE digest = $1)`, digest[:], schema)
		if err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, "SELECT id FROM backstitch.schemas WHERE digest = $1", digest[:]).Scan(&id); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO backstitch.subjects (subject, version, schema_id)
			SELECT $1, (SELECT coalesce(max(version), 0) + 1 FROM backstitch.subjects WHERE subject = $1), $2
			ON CONFLICT (subject, schema_id) DO NOTHING`, subject, id)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("register a schema of subject %s: %w", subject, redact.SQLError(err))
	}
	return id, nil
}
