package transform

import (
	"fmt"
	"strings"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/schemas"
)

// desiredSQL builds an entity's desired state from a row q of the mapping: field
// -> value, in the shapes that consumers.FieldType names. A NULL stays, as null:
// it says that the mapping has the field and the row no value for it. The key
// columns are the entity's own and not repeated.
func desiredSQL(m *CompiledMapping) string {
	var parts []string
	verified := false
	for _, f := range m.Fields {
		value := "q." + schemas.QuoteIdent(f.Name)
		switch f.Type {
		case consumers.TypeTexts:
			value = "to_jsonb(" + value + "::text[])"
		case consumers.TypeObject:
			value += "::jsonb"
		case consumers.TypeBool:
		default:
			value += "::text"
		}
		verified = verified || f.Name == "email_verified"
		parts = append(parts, "'"+f.Name+"', "+value)
	}
	if m.AssumeEmailsVerified && !verified {
		parts = append(parts, "'email_verified', true")
	}
	return "jsonb_build_object(" + strings.Join(parts, ", ") + ")"
}

// from is the mapping as a subquery q: a second statement or one that changes
// data is a syntax error there (hazard C20).
func from(m *CompiledMapping) string { return "FROM (\n" + m.Select + "\n) q" }

// filterSQL limits the mapping to keys passed as text arrays $1 and $2. The casts
// are folded into constants, so that PostgreSQL pushes the filter down.
func filterSQL(m *CompiledMapping, part int) string {
	var conditions []string
	argument := 1
	for i, k := range m.Keys {
		column := "q." + schemas.QuoteIdent(k.Name)
		asked := i == 0 && part&partOrganization != 0 || i == 1 && part&partEntity != 0
		if !asked {
			conditions = append(conditions, column+" IS NOT NULL")
			continue
		}
		conditions = append(conditions, fmt.Sprintf("%s = ANY($%d::text[]::%s[])", column, argument, k.Type))
		argument++
	}
	return " WHERE " + strings.Join(conditions, " AND ")
}

// keyArgs are the arguments of filterSQL.
func keyArgs(part int, kind consumers.Kind, orgs, entities []string) []any {
	switch {
	case part == partOrganization, kind == consumers.Organization:
		return []any{orgs}
	case part == partEntity:
		return []any{entities}
	default:
		return []any{orgs, entities}
	}
}

// keyColumns selects the key as text.
func keyColumns(m *CompiledMapping) string {
	org, key := keyExpressions(m.Kind, func(name string) string { return "q." + schemas.QuoteIdent(name) + "::text" })
	return org + ", " + key
}

// fillSQL evaluates the mapping for keys into the workspace.
func fillSQL(m *CompiledMapping, part int) string {
	return "INSERT INTO pg_temp.backstitch_result (org_key, key, desired) SELECT " + keyColumns(m) + ", " + desiredSQL(m) + " " +
		from(m) + filterSQL(m, part)
}

// keysSQL lists the full keys behind keys.
func keysSQL(m *CompiledMapping, part int) string {
	return "SELECT DISTINCT " + keyColumns(m) + " " + from(m) + filterSQL(m, part)
}

// organizationsSQL lists every organization key that the mapping returns.
func organizationsSQL(m *CompiledMapping) string {
	column := "q." + schemas.QuoteIdent(m.Keys[0].Name)
	return "SELECT DISTINCT " + column + "::text AS org_key " + from(m) + " WHERE " + column + " IS NOT NULL"
}

// nullKeysSQL counts the rows without a whole key: nothing can come of them.
func nullKeysSQL(m *CompiledMapping) string {
	var conditions []string
	for _, k := range m.Keys {
		conditions = append(conditions, "q."+schemas.QuoteIdent(k.Name)+" IS NULL")
	}
	return "SELECT count(*) " + from(m) + " WHERE " + strings.Join(conditions, " OR ")
}
