package pipeline

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/consumers/transform"
	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
)

// Captured describes the captured tables as the mirror needs them: their columns,
// the statements that make their types, and their indexes, all of one moment. Names
// in them are schema-qualified. conn is a connection to the source.
func Captured(ctx context.Context, conn *pgx.Conn, tables []schemas.Table) (captured []transform.Captured, err error) {
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL search_path = ''"); err != nil { // expressions of indexes are printed qualified
			return redact.SQLError(err)
		}
		described, err := producers.DescribeTables(ctx, conn, tables)
		if err != nil {
			return err
		}
		indexes, err := producers.Indexes(ctx, conn, tables)
		if err != nil {
			return err
		}
		for _, d := range described {
			c := transform.Captured{Relation: d.Relation}
			if c.Types, err = producers.EnumsAndDomains(ctx, conn, []*schemas.Relation{d.Relation}); err != nil {
				return err
			}
			for _, x := range indexes[d.Relation.Table] {
				c.Indexes = append(c.Indexes, transform.SourceIndex{Name: x.Name, Definition: x.Definition, Columns: x.Columns})
			}
			captured = append(captured, c)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the source's catalogue: %w", err)
	}
	return captured, nil
}
