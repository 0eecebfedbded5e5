package backfill

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
)

// tableSQL is how one table is asked for. Bounds are untyped literals: PostgreSQL
// gives them the key column's own type and compares with its own ordering and
// collation, exactly as the primary key's index does.
type tableSQL struct {
	columns    string   // quoted, in the relation's order
	keys       []string // quoted
	keyList    string
	from       string // FROM ONLY "s"."t"
	filter     string
	searchPath string
}

// newTableSQL is how to ask for a captured table.
func newTableSQL(ctx context.Context, conn *pgx.Conn, t *producers.CapturedTable) (tableSQL, error) {
	s := tableSQL{filter: t.Filter, from: "FROM ONLY " + t.Relation.SQL()}
	if t.Partitioned {
		s.from = "FROM " + t.Relation.SQL()
	}
	columns := make([]string, len(t.Relation.Columns))
	for i, c := range t.Relation.Columns {
		columns[i] = schemas.QuoteIdent(c.Name)
	}
	for _, i := range t.Relation.Key {
		s.keys = append(s.keys, columns[i])
	}
	s.columns, s.keyList = strings.Join(columns, ", "), strings.Join(s.keys, ", ")
	var err error
	s.searchPath, err = KeySearchPath(ctx, conn, t.Relation.Table)
	return s, err
}

// KeySearchPath is the search_path in which the operators of a table's primary key
// are found: an extension's type (citext) compared without them would be compared as
// text, in another order than the index, and rows would be missed.
func KeySearchPath(ctx context.Context, conn *pgx.Conn, t schemas.Table) (path string, err error) {
	err = conn.QueryRow(ctx, `
		SELECT coalesce(string_agg(DISTINCT pg_catalog.quote_ident(n.nspname), ', ') FILTER (WHERE n.nspname <> 'pg_catalog'), '')
		FROM pg_catalog.pg_index i CROSS JOIN LATERAL pg_catalog.unnest(i.indclass::oid[]) AS class(oid)
		JOIN pg_catalog.pg_opclass oc ON oc.oid = class.oid
		JOIN pg_catalog.pg_amop ao ON ao.amopfamily = oc.opcfamily
		JOIN pg_catalog.pg_operator o ON o.oid = ao.amopopr
		JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
		JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
		JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
		WHERE cn.nspname = $1 AND c.relname = $2 AND i.indisprimary`, t.Schema, t.Name).Scan(&path)
	if err != nil {
		return "", fmt.Errorf("look up the key's operators: %w", redact.SQLError(err))
	}
	return strings.TrimSuffix("pg_catalog, "+path, ", "), nil
}

// enter prepares a session for statements about this table.
func (s *tableSQL) enter(ctx context.Context, conn *pgx.Conn) error {
	if err := exec(ctx, conn, "SET LOCAL search_path = "+s.searchPath); err != nil {
		return fmt.Errorf("set the search path: %w", err)
	}
	return nil
}

// copyOut reads a range in the order of the key.
func (s *tableSQL) copyOut(r schemas.Range) string {
	conditions := s.within(r)
	if s.filter != "" {
		conditions = append([]string{"(" + s.filter + ")"}, conditions...)
	}
	return "COPY (SELECT " + s.columns + " " + s.from + where(conditions) + " ORDER BY " + s.keyList + ") TO STDOUT"
}

// sample finds keys inside a range, each about as many rows behind the one before.
func (s *tableSQL) sample(r schemas.Range, percent float64, step int) string {
	return fmt.Sprintf("SELECT %[1]s FROM (SELECT %[1]s, row_number() OVER (ORDER BY %[1]s) AS backstitch_n %[2]s TABLESAMPLE SYSTEM (%[3]g) REPEATABLE (1)%[4]s) AS s WHERE backstitch_n %% %[5]d = 0 ORDER BY %[1]s",
		s.keyList, s.from, percent, where(s.within(r)), step)
}

// within are the conditions of a range (From, To].
func (s *tableSQL) within(r schemas.Range) []string {
	var conditions []string
	if r.From != nil {
		conditions = append(conditions, s.compare(">", r.From))
	}
	if r.To != nil {
		conditions = append(conditions, s.compare("<=", r.To))
	}
	return conditions
}

func (s *tableSQL) compare(operator string, bound []string) string {
	if len(s.keys) == 1 {
		return s.keyList + " " + operator + " " + literals(bound)
	}
	return "(" + s.keyList + ") " + operator + " (" + literals(bound) + ")"
}

func where(conditions []string) string {
	if len(conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(conditions, " AND ")
}

func literals(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = producers.QuoteLiteral(v)
	}
	return strings.Join(quoted, ", ")
}
