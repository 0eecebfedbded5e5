package transform

import (
	"context"
	"fmt"
	"strings"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
)

// ensureTypes makes the extensions, enums and domains that the tables' columns need
// (hazard C19), and adds the labels that enums got since. A new label can be used
// only after its transaction, so each statement is one.
func (m *mirror) ensureTypes(ctx context.Context, tables map[schemas.Table]*mirrorTable, extensions []string) error {
	for _, name := range extensions {
		if err := m.exec(ctx, "CREATE EXTENSION IF NOT EXISTS "+schemas.QuoteIdent(name)); err != nil {
			return fmt.Errorf("extension %s: %w", name, err)
		}
	}
	done := map[string]bool{}
	for _, table := range sortedTables(tables) {
		for _, sql := range tables[table].needs {
			if done[sql] {
				continue
			}
			done[sql] = true
			if err := m.exec(ctx, sql); err != nil {
				return fmt.Errorf("make the types of %s in the ledger: %w", table, err)
			}
		}
	}
	return nil
}

func (m *mirror) exec(ctx context.Context, sql string) error {
	_, err := m.conn.Exec(ctx, sql)
	return redact.SQLError(err)
}

func quoteLiteral(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
