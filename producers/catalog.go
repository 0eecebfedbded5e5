package producers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
)

// CapturedTable is a table as a publication publishes it.
type CapturedTable struct {
	Relation *schemas.Relation
	// Filter is the publication's row filter as SQL over the table's columns, or "".
	Filter string
	// Partitioned: rows live in partitions and are read through this root. A plain
	// table is read with ONLY, because inheritance children are published as themselves.
	Partitioned bool
}

// ErrNotPublished is returned by DescribeOID for a table that the publication
// does not (any longer) publish.
var ErrNotPublished = errors.New("table is not in the publication")

// ErrNoPublication is returned when the publication does not exist.
var ErrNoPublication = errors.New("publication does not exist")

// oldestServer is the first server_version_num with column lists and row filters
// in pg_publication_tables.
const oldestServer = 150000

// Describe reads what a publication publishes, sorted by table: exactly the
// columns and the row filter of pg_publication_tables (hazard S9). Tables whose
// changes cannot be keyed make it fail with *Refused, all of them named. conn has
// the settings of pgsession.Source: defaults are printed as rows are.
func Describe(ctx context.Context, conn *pgx.Conn, publication string) ([]CapturedTable, error) {
	return describePublished(ctx, conn, publication, nil)
}

// DescribeOID describes one table of a publication, for the relation that the
// stream has just announced. Its error is ErrNotPublished when it is gone.
func DescribeOID(ctx context.Context, conn *pgx.Conn, oid uint32, publication string) (*CapturedTable, error) {
	tables, err := describePublished(ctx, conn, publication, &oid)
	if err != nil {
		return nil, err
	}
	if len(tables) == 0 {
		return nil, fmt.Errorf("describe the table with OID %d in publication %s: %w", oid, publication, ErrNotPublished)
	}
	return &tables[0], nil
}

// DescribeTables describes whole tables without a publication, in the order
// given: every column but generated ones, no filter. Tables that do not exist or
// cannot be captured make it fail with *Refused.
func DescribeTables(ctx context.Context, conn *pgx.Conn, tables []schemas.Table) ([]CapturedTable, error) {
	found, err := scanTables(ctx, conn, `
		SELECT n.nspname, c.relname, NULL::text[], ''
		FROM unnest($1::text[], $2::text[]) AS want(s, t)
		JOIN pg_catalog.pg_namespace n ON n.nspname = want.s
		JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = want.t`, tableNames(tables)...)
	if err != nil {
		return nil, err
	}
	refused := &Refused{}
	ordered := make([]CapturedTable, 0, len(tables))
	for _, t := range tables {
		i := slices.IndexFunc(found, func(f rawTable) bool { return f.table == t })
		if i < 0 {
			refused.add(t, "it does not exist, or the role may not see it", "name a table as in SQL: schema.table, with quotes around names that need them")
			continue
		}
		if captured := found[i].capture(refused); captured != nil {
			ordered = append(ordered, *captured)
		}
	}
	return ordered, refused.orNil()
}

func tableNames(tables []schemas.Table) []any {
	s, t := make([]string, len(tables)), make([]string, len(tables))
	for i, table := range tables {
		s[i], t[i] = table.Schema, table.Name
	}
	return []any{s, t}
}

func describePublished(ctx context.Context, conn *pgx.Conn, publication string, oid *uint32) ([]CapturedTable, error) {
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_publication WHERE pubname = $1)", publication).Scan(&exists); err != nil {
		return nil, fmt.Errorf("look up publication %s: %w", publication, redact.SQLError(err))
	}
	if !exists {
		return nil, fmt.Errorf("describe publication %s: %w", publication, ErrNoPublication)
	}
	// No to_regclass here: it fails on names in schemas that the role may not use, and
	// the planner may ask it about every relation of the database.
	found, err := scanTables(ctx, conn, `
		SELECT p.schemaname, p.tablename, p.attnames::text[], coalesce(p.rowfilter, '')
		FROM pg_catalog.pg_publication_tables p
		WHERE p.pubname = $1 AND ($2::oid IS NULL OR (p.schemaname, p.tablename) IN (
			SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $2))`, publication, oid)
	if err != nil {
		return nil, fmt.Errorf("describe publication %s: %w", publication, err)
	}
	refused := &Refused{}
	tables := make([]CapturedTable, 0, len(found))
	for _, f := range found {
		if captured := f.capture(refused); captured != nil {
			tables = append(tables, *captured)
		}
	}
	return tables, refused.orNil()
}

// serverVersion is the server's version as a number, 150018 for 15.18; servers
// that are too old are an error.
func serverVersion(ctx context.Context, conn *pgx.Conn) (int, error) {
	var version int
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		return 0, fmt.Errorf("read the server's version: %w", redact.SQLError(err))
	}
	if version < oldestServer {
		return 0, fmt.Errorf("the source server's version number is %d: column lists and row filters need PostgreSQL 15 or newer", version)
	}
	return version, nil
}
