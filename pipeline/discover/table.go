package discover

import (
	"slices"
	"strings"

	"github.com/backstitch/backstitch/internal/figures"
	"github.com/backstitch/backstitch/schemas"
)

// Table is a relation of the legacy database as its catalogue describes it.
type Table struct {
	schemas.Table
	// Name as SQL writes it: quoted where it must be, without the schema public.
	SQLName string
	// Partitioned: the root of partitions, which are read through it.
	Partitioned bool
	// Rows is the catalogue's estimate; -1 when the table was never analysed.
	Rows int64
	// Toast is the size in bytes of what the table stores out of line.
	Toast int64
	// RowSecurity hides rows from roles without BYPASSRLS.
	RowSecurity bool
	Columns     []*Column
	// Key names the primary key's columns.
	Key []string
	// Uniques are the column lists of unique indexes without predicate.
	Uniques [][]string
	// Expressions are the definitions of unique indexes over expressions or with a
	// predicate.
	Expressions []string
	// Refs are the references to other tables.
	Refs []*Ref

	oid       uint32
	words     []string
	referrers int // other tables that refer to it
}

// Column is a table's column; its type has domains resolved.
type Column struct {
	Name    string
	SQLName string // quoted where it must be
	Type    string // as format_type prints it, without modifier
	Elem    string // the element's type of an array
	Labels  []string
	NotNull bool
	// Generated columns do not travel in the stream.
	Generated bool
	// Plain: its collation, if any, compares bytes.
	Plain bool

	words []string
}

// Ref is a column that refers to another table's row.
type Ref struct {
	Column *Column
	To     *Table
	Target *Column
	// Declared: by a foreign key; else guessed from the column's name and type.
	Declared bool
}

func (t *Table) column(name string) *Column {
	i := slices.IndexFunc(t.Columns, func(c *Column) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return t.Columns[i]
}

// unique says whether no two rows may have the same values in the columns.
func (t *Table) unique(columns ...string) bool {
	return slices.ContainsFunc(t.Uniques, func(u []string) bool {
		return len(u) == len(columns) && !slices.ContainsFunc(columns, func(c string) bool { return !slices.Contains(u, c) })
	})
}

func (t *Table) ref(c *Column) *Ref {
	i := slices.IndexFunc(t.Refs, func(r *Ref) bool { return r.Column == c })
	if i < 0 {
		return nil
	}
	return t.Refs[i]
}

// identity is the column that names a row to others: the primary key's, or its only
// one that does not itself refer to another table, such as id in (tenant_id, id); else
// one that is called id. nil when there is none.
func (t *Table) identity() *Column {
	var own []*Column
	for _, k := range t.Key {
		if c := t.column(k); c != nil && (len(t.Key) == 1 || t.ref(c) == nil) {
			own = append(own, c)
		}
	}
	if len(own) == 1 {
		return own[0]
	}
	return t.first(func(c *Column) bool { return t.ref(c) == nil }, "id", "uuid")
}

// possibleKey is the column list of a unique index that could be the primary key, or
// "(…)" where there is none: unique columns that may be NULL are no key.
func (t *Table) possibleKey() string {
	for _, u := range t.Uniques {
		columns := make([]*Column, len(u))
		for i, name := range u {
			columns[i] = t.column(name)
		}
		if !slices.ContainsFunc(columns, func(c *Column) bool { return c == nil || !c.NotNull }) {
			return "(" + list(columns) + ")"
		}
	}
	return "(…)"
}

// size is how many rows the table has, in words.
func (t *Table) size() string {
	if t.Rows < 0 {
		return "never analysed, rows not known"
	}
	return "about " + plural(t.Rows, "row")
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return thousands(n) + " " + what + "s"
}

// thousands prints a number with separators.
func thousands(n int64) string { return figures.Number(n) }

// family groups types whose values are compared with each other in references.
func (c *Column) family() string {
	switch c.Type {
	case "smallint", "integer", "bigint":
		return "int"
	case "uuid":
		return "uuid"
	}
	if c.isText() {
		return "text"
	}
	return c.Type
}

func (c *Column) isText() bool {
	switch c.Type {
	case "text", "character varying", "character", "name":
		return true
	}
	return strings.HasSuffix(c.Type, "citext")
}

func (c *Column) isTime() bool { return strings.HasPrefix(c.Type, "timestamp") || c.Type == "date" }

func (c *Column) isBool() bool { return c.Type == "boolean" }

func (c *Column) isInt() bool { return c.family() == "int" }

// fitsKey: the type's equality is that of its text, so that it may be a key column.
func (c *Column) fitsKey() bool {
	switch c.Type {
	case "smallint", "integer", "bigint", "uuid":
		return true
	case "text", "character varying":
		return c.Plain
	}
	return false
}

// is says whether the column's name consists of the words of one of the phrases.
func (c *Column) is(phrases ...string) bool {
	return slices.Contains(phrases, strings.Join(c.words, " "))
}

func (c *Column) has(word string) bool { return slices.Contains(c.words, word) }
