package producers

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
)

// rawTable is a table as the catalogue stores it, before it is judged.
type rawTable struct {
	table     schemas.Table
	oid       uint32
	kind      string // relkind
	identity  string // relreplident
	published []string
	filter    string
	columns   []rawColumn
	key       []int16 // attribute numbers of the primary key, in its order
	deferred  bool    // the primary key is deferrable, hence no replica identity
	leaves    []leaf  // partitions whose replica identity decides what the stream carries
}

type leaf struct {
	table    schemas.Table
	identity string
}

type rawColumn struct {
	number  int16
	typeOID uint32
	typeMod int32
	def     *string // the default expression
	fixed   bool    // the default consists of immutable parts only
	schemas.Column
}

// scanTables describes the tables that selection returns as (schema, name,
// published columns or NULL, filter), sorted by schema and name.
func scanTables(ctx context.Context, conn *pgx.Conn, selection string, args ...any) ([]rawTable, error) {
	version, err := serverVersion(ctx, conn)
	if err != nil {
		return nil, err
	}
	tables, err := queryTables(ctx, conn, selection, args...)
	if err != nil {
		return nil, fmt.Errorf("read the tables from the catalogue: %w", redact.SQLError(err))
	}
	if err := queryColumns(ctx, conn, tables, version); err != nil {
		return nil, fmt.Errorf("read the columns from the catalogue: %w", redact.SQLError(err))
	}
	var oids []uint32
	for i := range tables {
		for _, c := range tables[i].columns {
			oids = append(oids, c.typeOID)
		}
	}
	types, err := loadTypes(ctx, conn, oids)
	if err != nil {
		return nil, err
	}
	for i := range tables {
		for j := range tables[i].columns {
			c := &tables[i].columns[j]
			declared := c.Type.Declared
			c.Type = types.resolve(c.typeOID, c.typeMod)
			c.Type.Declared = declared
			c.NotNull = c.NotNull || types[c.typeOID].notNull
		}
		if err := evaluateDefaults(ctx, conn, &tables[i]); err != nil {
			return nil, err
		}
	}
	return tables, nil
}

func queryTables(ctx context.Context, conn *pgx.Conn, selection string, args ...any) ([]rawTable, error) {
	rows, err := conn.Query(ctx, `
		SELECT s.nsp, s.rel, s.cols, s.filter, c.oid, c.relkind::text, c.relreplident::text,
		       coalesce(i.indkey::int2[], '{}'), coalesce(NOT i.indimmediate, false),
		       l.schemas, l.names, l.identities
		FROM (`+selection+`) AS s(nsp, rel, cols, filter)
		JOIN pg_catalog.pg_namespace n ON n.nspname = s.nsp
		JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = s.rel
		LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary AND i.indisvalid
		CROSS JOIN LATERAL (
			SELECT coalesce(array_agg(ln.nspname::text ORDER BY lc.oid), '{}') AS schemas,
			       coalesce(array_agg(lc.relname::text ORDER BY lc.oid), '{}') AS names,
			       coalesce(array_agg(lc.relreplident::text ORDER BY lc.oid), '{}') AS identities
			FROM pg_catalog.pg_partition_tree(c.oid) p
			JOIN pg_catalog.pg_class lc ON lc.oid = p.relid
			JOIN pg_catalog.pg_namespace ln ON ln.oid = lc.relnamespace
			WHERE c.relkind = 'p' AND p.isleaf AND lc.relreplident IN ('n', 'i')) l
		ORDER BY s.nsp COLLATE "C", s.rel COLLATE "C"`, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (rawTable, error) {
		var t rawTable
		var leafSchemas, leafNames, leafIdentities []string
		err := row.Scan(&t.table.Schema, &t.table.Name, &t.published, &t.filter, &t.oid, &t.kind, &t.identity,
			&t.key, &t.deferred, &leafSchemas, &leafNames, &leafIdentities)
		for i := range leafNames {
			t.leaves = append(t.leaves, leaf{schemas.Table{Schema: leafSchemas[i], Name: leafNames[i]}, leafIdentities[i]})
		}
		return t, err
	})
}

// immutableNodes are the node types of a default that is the same for every row.
const immutableNodes = `'CONST','RELABELTYPE','FUNCEXPR','OPEXPR','ARRAY','ARRAYEXPR','ARRAYCOERCEEXPR','CASETESTEXPR','COERCETODOMAIN','BOOLEXPR'`

// queryColumns fills in the columns that are published. Before PostgreSQL 18 no
// generated column ever is; from 18 on the publication's list is the truth.
func queryColumns(ctx context.Context, conn *pgx.Conn, tables []rawTable, version int) error {
	oids := make([]uint32, len(tables))
	for i := range tables {
		oids[i] = tables[i].oid
	}
	rows, err := conn.Query(ctx, `
		SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated <> '',
		       `+qualifiedType("a.atttypid", "a.atttypmod")+`,
		       CASE WHEN a.attgenerated = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
		       coalesce((SELECT bool_and(m[1] IN (`+immutableNodes+`)) FROM pg_catalog.regexp_matches(d.adbin::text, '\{([A-Z_]+)', 'g') m), false)
		       AND NOT EXISTS (SELECT 1 FROM pg_catalog.regexp_matches(d.adbin::text, ':(?:funcid|opfuncid) ([0-9]+)', 'g') m
		                       JOIN pg_catalog.pg_proc f ON f.oid = m[1]::oid WHERE f.provolatile <> 'i' OR f.oid >= 16384)
		FROM pg_catalog.pg_attribute a
		JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
		LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		WHERE a.attrelid = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped
		ORDER BY a.attrelid, a.attnum`, oids)
	if err != nil {
		return err
	}
	var (
		relid     uint32
		c         rawColumn
		generated bool
	)
	_, err = pgx.ForEachRow(rows, []any{
		&relid, &c.number, &c.Name, &c.typeOID, &c.typeMod, &c.NotNull, &generated,
		&c.Type.Declared, &c.def, &c.fixed,
	}, func() error {
		t := &tables[slices.IndexFunc(tables, func(t rawTable) bool { return t.oid == relid })]
		switch {
		case generated && (version < 180000 || t.published == nil):
		case t.published != nil && !slices.Contains(t.published, c.Name):
		default:
			t.columns = append(t.columns, c)
		}
		c.def = nil
		return nil
	})
	return err
}

// capture judges a table and turns it into a CapturedTable, or refuses it.
func (t *rawTable) capture(refused *Refused) *CapturedTable {
	sql := t.table.SQL()
	switch {
	case t.kind != "r" && t.kind != "p":
		refused.add(t.table, "it is not a table, so it has no changes to stream", "capture the tables that it is made of")
		return nil
	case len(t.key) == 0:
		refused.add(t.table, "it has no primary key, so its records would have no key",
			"ALTER TABLE "+sql+" ADD PRIMARY KEY (…)")
		return nil
	case t.identity == "n" || t.identity == "i":
		refused.add(t.table, identityReason(t.identity), "ALTER TABLE "+sql+" REPLICA IDENTITY DEFAULT")
		return nil
	case t.deferred && t.identity != "f":
		refused.add(t.table, "its primary key is DEFERRABLE, so PostgreSQL does not take it as the replica identity and refuses updates once the table is published",
			"ALTER TABLE "+sql+" REPLICA IDENTITY FULL")
		return nil
	}
	for _, l := range t.leaves {
		refused.add(t.table, "of its partition "+l.table.String()+": "+identityReason(l.identity),
			"ALTER TABLE "+l.table.SQL()+" REPLICA IDENTITY DEFAULT")
	}
	if len(t.leaves) > 0 {
		return nil
	}
	rel := &schemas.Relation{Table: t.table, OID: t.oid, Full: t.identity == "f"}
	for _, c := range t.columns {
		rel.Columns = append(rel.Columns, c.Column)
	}
	for _, number := range t.key {
		i := slices.IndexFunc(t.columns, func(c rawColumn) bool { return c.number == number })
		if i < 0 {
			refused.add(t.table, "the publication's column list leaves out a primary key column, so its records would have no key",
				"ALTER PUBLICATION … SET TABLE "+sql+" (…), with every primary key column in the list")
			return nil
		}
		rel.Key = append(rel.Key, i)
	}
	return &CapturedTable{Relation: rel, Filter: t.filter, Partitioned: t.kind == "p"}
}

func identityReason(identity string) string {
	if identity == "n" {
		return "it has REPLICA IDENTITY NOTHING, so PostgreSQL refuses updates and deletes once the table is published"
	}
	return "it has REPLICA IDENTITY USING INDEX, so deletes would carry that index's columns instead of the primary key"
}

// qualifiedType is an SQL expression: a type's name as format_type prints it, its
// schema in front unless it is pg_catalog, whatever the session's search_path.
func qualifiedType(oid, mod string) string {
	return `(SELECT CASE WHEN qn.nspname <> 'pg_catalog' AND pg_catalog.pg_type_is_visible(q.oid)
	                 THEN pg_catalog.quote_ident(qn.nspname) || '.' ELSE '' END
	 FROM pg_catalog.pg_type own
	 JOIN pg_catalog.pg_type q ON q.oid = CASE WHEN ` + trueArray("own") + ` THEN own.typelem ELSE own.oid END
	 JOIN pg_catalog.pg_namespace qn ON qn.oid = q.typnamespace
	 WHERE own.oid = ` + oid + `) || pg_catalog.format_type(` + oid + `, ` + mod + `)`
}

func trueArray(alias string) string {
	return "(" + alias + ".typelem <> 0 AND " + alias + ".typsubscript = 'pg_catalog.array_subscript_handler'::pg_catalog.regproc)"
}

// sortTables keeps answers in one order whatever the server's collation.
func sortTables(a, b schemas.Table) int {
	return cmp.Or(cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Name, b.Name))
}
