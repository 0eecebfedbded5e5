package transform

import (
	"context"
	"fmt"
	"slices"
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
	for _, table := range sortedTables(tables) {
		for _, t := range tables[table].needs {
			if err := m.ensureType(ctx, t); err != nil {
				return fmt.Errorf("type %s.%s of %s: %w", t.Schema, t.Name, table, err)
			}
		}
	}
	return nil
}

func (m *mirror) ensureType(ctx context.Context, t SourceType) error {
	name := schemas.QuoteIdent(t.Schema) + "." + schemas.QuoteIdent(t.Name)
	var exists bool
	if err := m.conn.QueryRow(ctx, "SELECT to_regtype($1) IS NOT NULL", name).Scan(&exists); err != nil {
		return redact.SQLError(err)
	}
	if exists {
		return m.addLabels(ctx, name, t)
	}
	if err := m.exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+schemas.QuoteIdent(t.Schema)); err != nil {
		return err
	}
	switch {
	case t.Extension != "":
		return m.exec(ctx, fmt.Sprintf("CREATE EXTENSION IF NOT EXISTS %s SCHEMA %s", schemas.QuoteIdent(t.Extension), schemas.QuoteIdent(t.Schema)))
	case t.Base != "":
		return m.exec(ctx, fmt.Sprintf("CREATE DOMAIN %s AS %s", name, t.Base))
	default:
		labels := make([]string, len(t.Enum))
		for i, l := range t.Enum {
			labels[i] = quoteLiteral(l)
		}
		return m.exec(ctx, fmt.Sprintf("CREATE TYPE %s AS ENUM (%s)", name, strings.Join(labels, ", ")))
	}
}

// addLabels adds an enum's missing labels at their places in its order.
func (m *mirror) addLabels(ctx context.Context, name string, t SourceType) error {
	if len(t.Enum) == 0 {
		return nil
	}
	var has []string
	err := m.conn.QueryRow(ctx, "SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = to_regtype($1)", name).Scan(&has)
	if err != nil {
		return redact.SQLError(err)
	}
	for i, label := range t.Enum {
		if slices.Contains(has, label) {
			continue
		}
		sql := fmt.Sprintf("ALTER TYPE %s ADD VALUE IF NOT EXISTS %s", name, quoteLiteral(label))
		if i > 0 {
			sql += " AFTER " + quoteLiteral(t.Enum[i-1])
		} else if len(has) > 0 {
			sql += " BEFORE " + quoteLiteral(has[0])
		}
		if err := m.exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

func (m *mirror) exec(ctx context.Context, sql string) error {
	_, err := m.conn.Exec(ctx, sql)
	return redact.SQLError(err)
}

func quoteLiteral(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
