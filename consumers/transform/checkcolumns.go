package transform

import (
	"context"
	"slices"
	"strings"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/schemas"
)

// sqlType is a type with its domains resolved.
type sqlType struct {
	name     string // format_type without modifier
	enum     bool
	element  string // of an array
	elemEnum bool
	plain    bool // its collation, if any, is deterministic
}

func (c *compiler) sqlType(ctx context.Context, oid uint32) (t sqlType, err error) {
	err = c.tx.QueryRow(ctx, `
		WITH RECURSIVE b AS (
			SELECT t.oid, t.typtype, t.typbasetype, t.typcollation FROM pg_type t WHERE t.oid = $1
			UNION ALL
			SELECT t.oid, t.typtype, t.typbasetype, b.typcollation FROM b JOIN pg_type t ON t.oid = b.typbasetype WHERE b.typtype = 'd')
		SELECT format_type(t.oid, NULL), t.typtype = 'e', coalesce(format_type(e.oid, NULL), ''), coalesce(e.typtype = 'e', false),
		       coalesce(l.collisdeterministic, true)
		FROM b JOIN pg_type t ON t.oid = b.oid
		LEFT JOIN pg_type e ON t.typcategory = 'A' AND e.oid = t.typelem
		LEFT JOIN pg_collation l ON l.oid = b.typcollation
		WHERE b.typtype <> 'd'`, oid).Scan(&t.name, &t.enum, &t.element, &t.elemEnum, &t.plain)
	return t, err
}

// comparison groups the types whose text compares like their values: two columns
// of one group are equal when their texts are. "" is not fit for a key.
func (t sqlType) comparison() string {
	switch t.name {
	case "smallint", "integer", "bigint":
		return "int"
	case "uuid":
		return "uuid"
	case "text", "character varying":
		if t.plain {
			return "text"
		}
	}
	return ""
}

const keyTypes = "int, bigint, uuid, text or varchar"

// columns checks a mapping's columns against the fields of its kind.
func (c *compiler) columns(ctx context.Context, where string, m consumers.Mapping, v *view, compiled *CompiledMapping) error {
	found := map[string]viewColumn{}
	for _, col := range v.columns {
		found[col.name] = col
		c.known(where, m.Kind, col.name)
	}
	for _, field := range consumers.Fields(m.Kind) {
		col, ok := found[field.Name]
		if field.Key && !ok {
			c.refuse(where, "Select it", "does not return %s, which is part of the key", field.Name)
		}
		if !ok || field.NotYet {
			continue
		}
		t, err := c.sqlType(ctx, col.oid)
		if err != nil {
			return err
		}
		if field.Key {
			if t.comparison() == "" {
				c.refuse(where, "Select a column of type "+keyTypes,
					"returns %s of type %s, whose values do not compare like their text", field.Name, t.name)
			}
			compiled.Keys = append(compiled.Keys, KeyColumn{field.Name, t.name})
			continue
		}
		if !t.fits(field.Type) {
			c.refuse(where, "Convert it in the select", "returns %s of type %s, but the field is %s", field.Name, t.name, field.Type)
		}
		compiled.Fields = append(compiled.Fields, FieldColumn{field.Name, field.Type})
	}
	required := map[consumers.Kind]string{consumers.Organization: "organization_name", consumers.Member: "email_address"}[m.Kind]
	if _, ok := found[required]; !ok {
		c.refuse(where, "Select it", "does not return %s, without which Stytch creates no %s", required, m.Kind)
	}
	_, hash := found["password_hash"]
	if _, verified := found["email_verified"]; hash && !verified && !m.AssumeEmailsVerified {
		c.refuse(where, "Select email_verified, or write assume_emails_verified: true under members if every address was verified (hazard A9)",
			"returns password_hash without email_verified: migrating a hash makes Stytch mark the address verified")
	}
	return nil
}

func (c *compiler) known(where string, kind consumers.Kind, name string) {
	var names []string
	for _, field := range consumers.Fields(kind) {
		if field.Name == name {
			if field.NotYet {
				c.refuse(where, "Leave it out", "returns %s, which is not yet built", name)
			}
			return
		}
		names = append(names, field.Name)
	}
	fix := "The fields are " + strings.Join(names, ", ")
	if near := nearest(name, names); near != "" {
		fix = "Did you mean " + near + "? " + fix
	}
	c.refuse(where, fix, "returns %s, which is no field of a Stytch %s", sqlIdent(name), kind)
}

func (t sqlType) fits(f consumers.FieldType) bool {
	text := []string{"text", "character varying", "character", "citext", "public.citext", "uuid", "smallint", "integer", "bigint", "name"}
	switch f {
	case consumers.TypeBool:
		return t.name == "boolean"
	case consumers.TypeTexts:
		return t.element != "" && (t.elemEnum || slices.Contains(text, t.element))
	case consumers.TypeObject:
		return t.name == "jsonb" || t.name == "json"
	default:
		return t.enum || slices.Contains(text, t.name)
	}
}

// route checks a route of a kind for a captured table.
func (c *compiler) route(ctx context.Context, kind consumers.Kind, name schemas.Table, r consumers.Route, m *CompiledMapping) error {
	where := string(kind) + "s.routes." + shortName(name)
	t := c.tables[name]
	if t == nil {
		c.refuse(where, "Add "+fullName(name)+" to source.tables, or leave the route out", "is a route of a table that source.tables lacks")
		return nil
	}
	if r.Sweep {
		return nil
	}
	if (len(r.Columns) == 0) == (r.Select == "") {
		c.refuse(where, "Write {key column: column of the row}, or a SELECT over changed", "says neither or both of columns and a select")
		return nil
	}
	if r.Select != "" {
		return c.routeSelect(ctx, where, kind, t, trimSelect(r.Select), m)
	}
	compiled := CompiledRoute{Columns: r.Columns}
	for key := range r.Columns {
		if !slices.Contains(consumers.KeyColumns(kind), key) {
			c.refuse(where, "Use "+strings.Join(consumers.KeyColumns(kind), ", "), "names %s, which is no key column of %ss", sqlIdent(key), kind)
		}
	}
	for i, key := range consumers.KeyColumns(kind) {
		column, ok := r.Columns[key]
		if !ok {
			continue
		}
		compiled.Keys = append(compiled.Keys, key)
		col := t.column(column)
		if col == nil || col.generated {
			names := make([]string, 0, len(t.columns))
			for _, c := range t.columns {
				names = append(names, c.name)
			}
			fix := "Its columns are " + strings.Join(names, ", ")
			if near := nearest(column, names); near != "" {
				fix = "Did you mean " + sqlIdent(near) + "? " + fix
			}
			c.refuse(where, fix, "names %s, which the stream of %s does not carry", sqlIdent(column), shortName(name))
			continue
		}
		t.reads[column] = true
		if err := c.routeKey(ctx, where, key, col.typeOID, i, m); err != nil {
			return err
		}
	}
	m.Routes[name] = compiled
	return nil
}

// routeKey checks that a route's value finds the key of the SELECT.
func (c *compiler) routeKey(ctx context.Context, where, key string, oid uint32, i int, m *CompiledMapping) error {
	t, err := c.sqlType(ctx, oid)
	if err != nil {
		return err
	}
	if len(m.Keys) <= i { // the SELECT has findings of its own
		return nil
	}
	if want := (sqlType{name: m.Keys[i].Type, plain: true}).comparison(); want != "" && t.comparison() != want {
		c.refuse(where, "Yield a value of the key's type, "+m.Keys[i].Type+", by a SELECT over changed",
			"yields %s of type %s, whose text is not that of the key", key, t.name)
	}
	return nil
}

// routeSelect compiles a route that says its way in SQL, over an empty table with
// the columns of the captured one under the name changed.
func (c *compiler) routeSelect(ctx context.Context, where string, kind consumers.Kind, t *table, sql string, m *CompiledMapping) error {
	if _, err := c.tx.Exec(ctx, "CREATE TEMP TABLE changed (LIKE "+t.name.SQL()+")"); err != nil {
		return err
	}
	v, err := c.view(ctx, where, sql)
	if err != nil {
		return err
	}
	if v != nil {
		c.read(where, v, t)
		if !slices.ContainsFunc(v.relations, func(r relationRef) bool { return r.oid == v.changed }) {
			c.refuse(where, "Start FROM changed", "does not read the relation changed, so every change would touch the same entities")
		}
		compiled := CompiledRoute{Select: sql}
		for _, col := range v.columns {
			if !slices.Contains(consumers.KeyColumns(kind), col.name) {
				c.refuse(where, "Return "+strings.Join(consumers.KeyColumns(kind), ", ")+" only", "returns %s, which is no key column of %ss", sqlIdent(col.name), kind)
			}
		}
		for i, key := range consumers.KeyColumns(kind) {
			for _, col := range v.columns {
				if col.name != key {
					continue
				}
				compiled.Keys = append(compiled.Keys, key)
				if err := c.routeKey(ctx, where, key, col.oid, i, m); err != nil {
					return err
				}
			}
		}
		m.Routes[t.name] = compiled
	}
	_, err = c.tx.Exec(ctx, "DROP TABLE pg_temp.changed CASCADE")
	return err
}
