package producers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
)

// rawType is a row of pg_type with what belongs to it.
type rawType struct {
	oid       uint32
	schema    string
	name      string
	kind      string // typtype
	base      uint32 // of a domain
	mod       int32  // of a domain
	elem      uint32 // of a true array
	notNull   bool
	printed   string // format_type(oid, NULL)
	declared  string // the same, schema-qualified
	labels    []string
	extension string // that owns the type, with the schema it lives in
	collation string // of a domain that does not use its base type's
	extSchema string
}

type typeSet map[uint32]*rawType

// loadTypes reads the types with these OIDs and all that they are made of.
func loadTypes(ctx context.Context, conn *pgx.Conn, oids []uint32) (typeSet, error) {
	rows, err := conn.Query(ctx, `
		WITH RECURSIVE need(oid) AS (
			SELECT pg_catalog.unnest($1::oid[])
			UNION
			SELECT part.oid FROM need JOIN pg_catalog.pg_type t ON t.oid = need.oid
			CROSS JOIN LATERAL (VALUES (t.typbasetype), (CASE WHEN `+trueArray("t")+` THEN t.typelem ELSE 0 END)) AS part(oid)
			WHERE part.oid <> 0)
		SELECT t.oid, n.nspname, t.typname, t.typtype::text, t.typbasetype, t.typtypmod,
		       CASE WHEN `+trueArray("t")+` THEN t.typelem ELSE 0 END, t.typnotnull,
		       pg_catalog.format_type(t.oid, NULL), `+qualifiedType("t.oid", "NULL")+`,
		       ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder),
		       coalesce(x.extname, ''), coalesce(xn.nspname, ''),
		       coalesce((SELECT pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(c.collname)
		                 FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace cn ON cn.oid = c.collnamespace
		                 JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype
		                 WHERE c.oid = t.typcollation AND t.typcollation <> b.typcollation), '')
		FROM need JOIN pg_catalog.pg_type t ON t.oid = need.oid
		JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
		LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid
		     AND d.deptype = 'e' AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
		LEFT JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid
		LEFT JOIN pg_catalog.pg_namespace xn ON xn.oid = x.extnamespace`, oids)
	if err != nil {
		return nil, fmt.Errorf("read types from the catalogue: %w", redact.SQLError(err))
	}
	types := typeSet{}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		t := &rawType{}
		err := row.Scan(&t.oid, &t.schema, &t.name, &t.kind, &t.base, &t.mod, &t.elem, &t.notNull,
			&t.printed, &t.declared, &t.labels, &t.extension, &t.extSchema, &t.collation)
		types[t.oid] = t
		return struct{}{}, err
	})
	if err != nil {
		return nil, fmt.Errorf("read types from the catalogue: %w", redact.SQLError(err))
	}
	return types, nil
}

// resolve describes a type, domains replaced by what they stand for.
func (s typeSet) resolve(oid uint32, mod int32) schemas.TypeID {
	t := s[oid]
	declared := t.declared
	for t.kind == "d" {
		mod = t.mod
		t = s[t.base]
	}
	id := schemas.TypeID{OID: t.oid, Mod: mod, Name: t.printed, Declared: declared}
	if t.schema != "pg_catalog" {
		id.Name = t.name // the same whatever the session's search_path
	}
	if len(t.labels) > 0 {
		id.Enum = t.labels
	}
	if t.elem != 0 {
		elem := s.resolve(t.elem, mod)
		id.Elem = &elem
		id.Name = elem.Name + "[]"
	}
	return id
}

// EnumsAndDomains returns the statements that recreate the enums, domains and
// extensions behind the columns of these relations in another database, in an
// order in which they run: schemas, extensions, enums, domains. Each may run again
// and adds labels that appeared since. Domains come without their constraints:
// their values passed them at the source, and the functions that a constraint
// calls need not exist elsewhere. conn is a connection to the source.
func EnumsAndDomains(ctx context.Context, conn *pgx.Conn, relations []*schemas.Relation) ([]string, error) {
	oids, err := columnTypes(ctx, conn, relations)
	if err != nil {
		return nil, err
	}
	types, err := loadTypes(ctx, conn, oids)
	if err != nil {
		return nil, err
	}
	own := make([]*rawType, 0, len(types))
	for _, t := range types {
		if t.schema != "pg_catalog" && t.elem == 0 {
			own = append(own, t)
		}
	}
	slices.SortFunc(own, func(a, b *rawType) int {
		return sortTables(schemas.Table{Schema: a.schema, Name: a.name}, schemas.Table{Schema: b.schema, Name: b.name})
	})
	var schemaDDL, extensionDDL, enumDDL, domainDDL []string
	for _, t := range own {
		schema := t.schema
		if t.extension != "" {
			schema = t.extSchema
		}
		schemaDDL = append(schemaDDL, "CREATE SCHEMA IF NOT EXISTS "+schemas.QuoteIdent(schema))
		switch {
		case t.extension != "":
			extensionDDL = append(extensionDDL, "CREATE EXTENSION IF NOT EXISTS "+schemas.QuoteIdent(t.extension)+" WITH SCHEMA "+schemas.QuoteIdent(schema))
		case t.kind == "e":
			enumDDL = append(enumDDL, createEnum(t)...)
		}
	}
	done := map[uint32]bool{}
	for _, t := range own {
		domainDDL = appendDomain(domainDDL, types, t, done)
	}
	return slices.Concat(slices.Compact(schemaDDL), slices.Compact(extensionDDL), enumDDL, domainDDL), nil
}

// Extensions names the extensions whose types are behind the columns of these
// relations, sorted. conn is a connection to the source.
func Extensions(ctx context.Context, conn *pgx.Conn, relations []*schemas.Relation) ([]string, error) {
	oids, err := columnTypes(ctx, conn, relations)
	if err != nil {
		return nil, err
	}
	types, err := loadTypes(ctx, conn, oids)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, t := range types {
		if t.extension != "" {
			names = append(names, t.extension)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// columnTypes are the declared types' OIDs of the relations' columns.
func columnTypes(ctx context.Context, conn *pgx.Conn, relations []*schemas.Relation) ([]uint32, error) {
	var relids []uint32
	var names []string
	for _, r := range relations {
		for _, c := range r.Columns {
			relids, names = append(relids, r.OID), append(names, c.Name)
		}
	}
	rows, err := conn.Query(ctx, `
		SELECT DISTINCT a.atttypid FROM unnest($1::oid[], $2::text[]) AS want(relid, name)
		JOIN pg_catalog.pg_attribute a ON a.attrelid = want.relid AND a.attname = want.name AND NOT a.attisdropped`, relids, names)
	if err != nil {
		return nil, fmt.Errorf("read the columns' types: %w", redact.SQLError(err))
	}
	oids, err := pgx.CollectRows(rows, pgx.RowTo[uint32])
	if err != nil {
		return nil, fmt.Errorf("read the columns' types: %w", redact.SQLError(err))
	}
	return oids, nil
}

func createEnum(t *rawType) []string {
	name := schemas.QuoteIdent(t.schema) + "." + schemas.QuoteIdent(t.name)
	labels := make([]string, len(t.labels))
	for i, l := range t.labels {
		labels[i] = QuoteLiteral(l)
	}
	ddl := []string{unlessExists("CREATE TYPE " + name + " AS ENUM (" + strings.Join(labels, ", ") + ")")}
	// From the last label backwards, the label that a new one stands before is there.
	place := ""
	for _, label := range slices.Backward(labels) {
		ddl = append(ddl, "ALTER TYPE "+name+" ADD VALUE IF NOT EXISTS "+label+place)
		place = " BEFORE " + label
	}
	return ddl
}

// appendDomain adds a domain after the domains that it stands on.
func appendDomain(ddl []string, types typeSet, t *rawType, done map[uint32]bool) []string {
	if t.elem != 0 {
		return appendDomain(ddl, types, types[t.elem], done)
	}
	if t.kind != "d" || t.extension != "" || done[t.oid] {
		return ddl
	}
	done[t.oid] = true
	ddl = appendDomain(ddl, types, types[t.base], done)
	sql := "CREATE DOMAIN " + schemas.QuoteIdent(t.schema) + "." + schemas.QuoteIdent(t.name) + " AS " + types[t.base].declared
	if t.collation != "" {
		sql += " COLLATE " + t.collation
	}
	return append(ddl, unlessExists(sql))
}

func unlessExists(sql string) string {
	return "DO $backstitch$ BEGIN " + sql + "; EXCEPTION WHEN duplicate_object THEN NULL; END $backstitch$"
}

// QuoteLiteral quotes a text as an SQL literal that means the same under either
// setting of standard_conforming_strings.
func QuoteLiteral(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return " E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}
