package schemas

import (
	"fmt"
	"strings"
)

// Table names a captured table by its two real (unquoted) identifiers.
type Table struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
}

// String is the unquoted form used in topic names and messages: public.Team.
func (t Table) String() string { return t.Schema + "." + t.Name }

// SQL is the quoted form that any SQL session understands: "public"."Team".
func (t Table) SQL() string { return QuoteIdent(t.Schema) + "." + QuoteIdent(t.Name) }

// QuoteIdent quotes an SQL identifier.
func QuoteIdent(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// ParseTable reads a table name written as in SQL: public.teams, public."Team".
// Unquoted identifiers fold to lower case; a missing schema means public.
func ParseTable(s string) (Table, error) {
	var parts []string
	rest := strings.TrimSpace(s)
	for {
		var part string
		if strings.HasPrefix(rest, `"`) {
			end := 1
			var b strings.Builder
			for {
				i := strings.IndexByte(rest[end:], '"')
				if i < 0 {
					return Table{}, fmt.Errorf("table %s: a quote is not closed", s)
				}
				b.WriteString(rest[end : end+i])
				end += i + 1
				if end < len(rest) && rest[end] == '"' {
					b.WriteByte('"')
					end++
					continue
				}
				break
			}
			part, rest = b.String(), rest[end:]
		} else {
			i := strings.IndexByte(rest, '.')
			if i < 0 {
				i = len(rest)
			}
			part, rest = strings.ToLower(rest[:i]), rest[i:]
			if strings.ContainsAny(part, "\" \t\n'();,") {
				return Table{}, fmt.Errorf("table %s: write it as in SQL, with quotes around names that need them: public.\"Team\"", s)
			}
		}
		if part == "" {
			return Table{}, fmt.Errorf("table %q: a name is empty", s)
		}
		parts = append(parts, part)
		if rest == "" {
			break
		}
		if rest[0] != '.' {
			return Table{}, fmt.Errorf("table %s: unexpected %q after %s", s, rest, part)
		}
		rest = rest[1:]
	}
	switch len(parts) {
	case 1:
		return Table{Schema: "public", Name: parts[0]}, nil
	case 2:
		return Table{Schema: parts[0], Name: parts[1]}, nil
	default:
		return Table{}, fmt.Errorf("table %s: want schema.table", s)
	}
}

// Relation is the shape of a captured table as the stream or the catalogue
// described it at some point: the columns that the publication sends, in its order.
type Relation struct {
	Table
	OID     uint32
	Columns []Column
	// Key holds the indexes into Columns of the primary key, in the key's order.
	Key []int
	// Full is REPLICA IDENTITY FULL: updates and deletes carry the whole old row.
	Full bool
}

// Column is one published column. Base fields describe the type after domains
// are resolved, because that is what a value's text form follows.
type Column struct {
	Name    string
	Type    TypeID
	NotNull bool
	// Default is the column's default as text in the type's output form, valid
	// only if HasDefault; a default that is not a constant has Volatile set.
	Default    string
	HasDefault bool
	Volatile   bool
}

// TypeID identifies a column's type, domains resolved to their base.
type TypeID struct {
	OID uint32 // base type
	Mod int32  // type modifier, -1 when none
	// Name is the base type's SQL name without modifier (format_type(oid, NULL)).
	Name string
	// Declared is the type as the column was declared, domain or enum by its
	// schema-qualified quoted name, with modifier (format_type(atttypid, atttypmod)).
	Declared string
	// Enum holds an enum's labels in their sort order.
	Enum []string
	// Elem is an array's element type.
	Elem *TypeID
}
