package transform

import (
	"context"
	"fmt"

	"github.com/backstitch/backstitch/internal/redact"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// Catalogue describes the captured tables as the source's catalogue shows them:
// their columns (generated ones are not in the stream, and left out), the types
// that these need, and their indexes. Names in types are schema-qualified.
func Catalogue(ctx context.Context, conn *pgx.Conn, tables []schemas.Table) ([]Captured, error) {
	captured := make([]Captured, 0, len(tables))
	err := pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL search_path = ''"); err != nil { // format_type qualifies what is not found
			return redact.SQLError(err)
		}
		for _, table := range tables {
			c, err := describeTable(ctx, tx, table)
			if err != nil {
				return fmt.Errorf("describe %s: %w", table, redact.SQLError(err))
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

func describeTable(ctx context.Context, tx pgx.Tx, table schemas.Table) (Captured, error) {
	relation := &schemas.Relation{Table: table}
	var identity string
	err := tx.QueryRow(ctx, `SELECT c.oid, c.relreplident::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')`, table.Schema, table.Name).Scan(&relation.OID, &identity)
	if err != nil {
		return Captured{}, fmt.Errorf("find the table in the source: %w", err)
	}
	relation.Full = identity == "f"
	if relation.Columns, err = describeColumns(ctx, tx, relation.OID); err != nil {
		return Captured{}, err
	}
	if relation.Key, err = describeKey(ctx, tx, relation); err != nil {
		return Captured{}, err
	}
	captured := Captured{Relation: relation}
	if captured.Types, err = describeTypes(ctx, tx, relation.OID); err != nil {
		return Captured{}, err
	}
	captured.Indexes, err = describeIndexes(ctx, tx, relation.OID)
	return captured, err
}

func describeColumns(ctx context.Context, tx pgx.Tx, oid uint32) ([]schemas.Column, error) {
	rows, err := tx.Query(ctx, `
		WITH RECURSIVE base (attnum, type, mod) AS (
			SELECT attnum, atttypid, atttypmod FROM pg_attribute
			WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
			UNION ALL
			SELECT b.attnum, t.typbasetype, CASE WHEN b.mod >= 0 THEN b.mod ELSE t.typtypmod END
			FROM base b JOIN pg_type t ON t.oid = b.type AND t.typtype = 'd')
		SELECT a.attname, b.type, b.mod, format_type(b.type, NULL), format_type(a.atttypid, a.atttypmod), a.attnotnull,
		       coalesce((SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = b.type), '{}'),
		       CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END,
		       CASE WHEN t.typcategory = 'A' THEN format_type(t.typelem, NULL) ELSE '' END
		FROM base b JOIN pg_type t ON t.oid = b.type AND t.typtype <> 'd'
		JOIN pg_attribute a ON a.attrelid = $1 AND a.attnum = b.attnum
		ORDER BY a.attnum`, oid)
	if err != nil {
		return nil, fmt.Errorf("read its columns: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (schemas.Column, error) {
		var c schemas.Column
		var elem schemas.TypeID
		err := row.Scan(&c.Name, &c.Type.OID, &c.Type.Mod, &c.Type.Name, &c.Type.Declared, &c.NotNull, &c.Type.Enum, &elem.OID, &elem.Name)
		if elem.OID != 0 {
			elem.Mod, elem.Declared = -1, elem.Name
			c.Type.Elem = &elem
		}
		return c, err
	})
}

func describeKey(ctx context.Context, tx pgx.Tx, relation *schemas.Relation) ([]int, error) {
	rows, err := tx.Query(ctx, `SELECT a.attname FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k (attnum, n), pg_attribute a
		WHERE i.indrelid = $1 AND i.indisprimary AND a.attrelid = $1 AND a.attnum = k.attnum ORDER BY k.n`, relation.OID)
	if err != nil {
		return nil, fmt.Errorf("read its primary key: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read its primary key: %w", err)
	}
	var key []int
	for _, name := range names {
		for i, c := range relation.Columns {
			if c.Name == name {
				key = append(key, i)
			}
		}
	}
	return key, nil
}

// describeTypes lists what must be made before the table, the innermost first.
func describeTypes(ctx context.Context, tx pgx.Tx, oid uint32) ([]SourceType, error) {
	rows, err := tx.Query(ctx, `
		WITH RECURSIVE used (type, depth) AS (
			SELECT atttypid, 0 FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
			UNION
			SELECT x.inner, u.depth + 1 FROM used u JOIN pg_type t ON t.oid = u.type,
			LATERAL (VALUES (t.typbasetype), (CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0::oid END)) x ("inner")
			WHERE x.inner <> 0)
		SELECT n.nspname, t.typname,
		       coalesce((SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid), '{}'),
		       CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) ELSE '' END,
		       coalesce(x.extname, '')
		FROM (SELECT type, max(depth) AS depth FROM used GROUP BY type) u
		JOIN pg_type t ON t.oid = u.type JOIN pg_namespace n ON n.oid = t.typnamespace
		LEFT JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
		LEFT JOIN pg_extension x ON x.oid = d.refobjid
		WHERE x.extname IS NOT NULL OR t.typtype IN ('e', 'd')
		ORDER BY u.depth DESC, 1, 2`, oid)
	if err != nil {
		return nil, fmt.Errorf("read its types: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (t SourceType, err error) {
		return t, row.Scan(&t.Schema, &t.Name, &t.Enum, &t.Base, &t.Extension)
	})
}

func describeIndexes(ctx context.Context, tx pgx.Tx, oid uint32) ([]SourceIndex, error) {
	rows, err := tx.Query(ctx, `
		SELECT c.relname, am.amname,
		       ARRAY(SELECT pg_get_indexdef(i.indexrelid, k, false)
		                    || CASE WHEN am.amname = 'btree' AND i.indoption[k - 1] & 1 = 1 THEN ' DESC' ELSE '' END
		                    || CASE WHEN NOT oc.opcdefault THEN ' ' || quote_ident(ocn.nspname) || '.' || quote_ident(oc.opcname) ELSE '' END
		             FROM generate_series(1, i.indnkeyatts) k
		             JOIN pg_opclass oc ON oc.oid = i.indclass[k - 1] JOIN pg_namespace ocn ON ocn.oid = oc.opcnamespace ORDER BY k),
		       ARRAY(SELECT DISTINCT a.attname::text FROM pg_depend d
		             JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
		             WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refobjid = $1 AND d.refobjsubid > 0),
		       coalesce(pg_get_expr(i.indpred, i.indrelid), '')
		FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am am ON am.oid = c.relam
		WHERE i.indrelid = $1 AND NOT i.indisprimary AND i.indisvalid AND NOT i.indisexclusion
		ORDER BY c.relname`, oid)
	if err != nil {
		return nil, fmt.Errorf("read its indexes: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (x SourceIndex, err error) {
		return x, row.Scan(&x.Name, &x.Method, &x.Keys, &x.Columns, &x.Where)
	})
}
