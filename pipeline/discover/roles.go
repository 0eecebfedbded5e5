package discover

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/producers"
)

// shape is how a column holds roles.
type shape int

const (
	one       shape = iota // a role a row
	delimited              // several in one text
	array
	number // a level that only the application can name
)

// roles is where a membership's roles come from.
type roles struct {
	column *Column
	shape  shape
	comma  bool // what delimits: commas, else white space
	// via leads to the table that names the roles, where the membership only has an id.
	via *Ref
	// flags are booleans: is_admin.
	flags []*Column
	// Values are the column's distinct values, most frequent first.
	Values []Value
	// Unknown says why there are none.
	Unknown string
}

// Value is a distinct value of a column of roles or states, with its rows.
type Value struct {
	Name string
	Rows int64
}

// flagWords are roles that booleans say.
var flagWords = []string{"admin", "owner", "guest", "manager", "editor", "viewer", "billing", "user", "member"}

// roleColumns are the columns that say what a member may do.
func (t *Table) roleColumns() []*Column {
	var out []*Column
	if c := t.roleColumn(); c != nil {
		out = append(out, c)
	} else if via, _ := t.roleRef(); via != nil {
		out = append(out, via.Column)
	}
	return append(out, t.roleFlags()...)
}

func (t *Table) roleColumn() *Column {
	named := t.first(func(c *Column) bool {
		return c.isText() || len(c.Labels) > 0 || c.Elem == "text" || c.Elem == "character varying"
	},
		"role", "member role", "user role", "membership role", "team role", "org role", "organization role", "access level", "permission level")
	if named != nil {
		return named
	}
	return t.first((*Column).isInt, "level", "role", "access level", "permission level", "role level")
}

func (t *Table) roleFlags() []*Column {
	var out []*Column
	for _, c := range t.Columns {
		if n := len(c.words); c.isBool() && !c.Generated && n <= 2 && slices.Contains(flagWords, last(c.words)) && (n == 1 || c.has("is") || c.has("scheme")) {
			out = append(out, c)
		}
	}
	return out
}

// roleRef is a reference to a table of roles, and the column that names them there.
func (t *Table) roleRef() (*Ref, *Column) {
	for _, r := range t.Refs {
		if last(r.To.words) != "role" || r.To == t || r.To.email() != nil {
			continue
		}
		if label := r.To.first((*Column).isText, "slug", "key", "code", "name", "role", "title"); label != nil {
			return r, label
		}
	}
	return nil, nil
}

func (t *Table) roles() *roles {
	r := &roles{column: t.roleColumn(), flags: t.roleFlags()}
	if r.column == nil {
		r.via, r.column = t.roleRef()
	}
	switch c := r.column; {
	case c == nil && len(r.flags) == 0:
		return nil
	case c == nil || len(c.Labels) > 0 && c.Elem == "":
	case c.Elem != "":
		r.shape = array
	case c.isInt():
		r.shape = number
	case strings.HasSuffix(strings.ToLower(c.Name), "roles"):
		r.shape = delimited
	}
	return r
}

// sql is the column under its alias: m for the membership's, r for the table of roles.
func (r *roles) sql(m string) string {
	if r.via != nil {
		return "r." + r.column.SQLName
	}
	return m + "." + r.column.SQLName
}

// split is an array of the column's values, as they stand there.
func (r *roles) split(m string) string {
	sql := r.sql(m)
	switch r.shape {
	case array:
		return sql + "::text[]"
	case delimited:
		return r.cut("trim(" + sql + ")")
	case one, number:
	}
	return "ARRAY[" + sql + "::text]"
}

// cut splits a text of several roles.
func (r *roles) cut(sql string) string {
	if r.comma {
		return "regexp_split_to_array(" + sql + ", '[[:space:]]*,[[:space:]]*')"
	}
	return "regexp_split_to_array(" + sql + ", '[,[:space:]]+')"
}

// from are the rows that have the roles.
func (r *roles) from(t *Table, m string) string {
	from := t.SQL() + " " + m
	if r.via != nil {
		from += " JOIN " + r.via.To.SQL() + " r ON r." + r.via.Target.SQLName + " = " + m + "." + r.via.Column.SQLName
	}
	return from
}

// look reads which values there are, and how a text separates them.
func (r *roles) look(ctx context.Context, s *session, t *Table, m, where string) (err error) {
	if r.column == nil {
		return nil
	}
	if r.column.isText() {
		var commas int64
		why, err := s.try(ctx, func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, "SELECT count(*) FROM (SELECT FROM "+r.from(t, m)+where+and(where)+r.sql(m)+" LIKE '%,%' LIMIT 1) x").Scan(&commas)
		})
		if err != nil {
			return err
		}
		if why == "" && commas > 0 {
			r.shape, r.comma = delimited, true
		}
	}
	r.Values, r.Unknown, err = s.values(ctx, "SELECT unnest("+r.split(m)+") AS v FROM "+r.from(t, m)+where, r.column.Labels)
	return err
}

func and(where string) string {
	if where == "" {
		return " WHERE "
	}
	return " AND "
}

// plain is what a value may look like to be named: a word of the application's, not of
// a person's (invariant 8).
var plain = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:/ -]{0,39}$`)

// most is how many distinct values a column of roles or states may have; one with more
// is something else.
const most = 20

// values counts the distinct values that a query yields as v. labels, those of an
// enumeration, are named even when no row has them.
func (s *session) values(ctx context.Context, sql string, labels []string) (values []Value, unknown string, err error) {
	unknown, err = s.try(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, fmt.Sprintf("SELECT v, count(*) FROM (%s) x WHERE v <> '' GROUP BY v ORDER BY count(*) DESC, v LIMIT %d", sql, most+1))
		if err != nil {
			return err
		}
		values, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (v Value, err error) { return v, row.Scan(&v.Name, &v.Rows) })
		return err
	})
	if unknown != "" {
		values = nil // but an enumeration's labels stand in the catalogue
	}
	for _, l := range labels {
		if !slices.ContainsFunc(values, func(v Value) bool { return v.Name == l }) {
			values = append(values, Value{Name: l})
		}
	}
	switch {
	case len(values) > most:
		return nil, fmt.Sprintf("more than %d distinct values: not listed", most), err
	case slices.ContainsFunc(values, func(v Value) bool { return !plain.MatchString(v.Name) }):
		return nil, "values that do not look like names of roles or states: not listed", err
	}
	return values, unknown, err
}

var notID = regexp.MustCompile(`[^a-z0-9_.:-]+`)

// roleID is the Stytch role that a legacy value becomes, unless its author says otherwise.
func (r *roles) roleID(value string) string {
	if r.shape == number {
		return "level_" + value
	}
	return notID.ReplaceAllString(strings.ToLower(value), "_")
}

// expression is the SQL of the field roles.
func (r *roles) expression(m string) string {
	var parts []string
	if r.column != nil {
		parts = append(parts, r.columnExpression(m))
	}
	if len(r.flags) > 0 {
		var cases []string
		for _, f := range r.flags {
			cases = append(cases, "CASE WHEN "+m+"."+f.SQLName+" THEN '"+last(f.words)+"' END")
		}
		parts = append(parts, "array_remove(ARRAY["+strings.Join(cases, ", ")+"], NULL)")
	}
	return strings.Join(parts, "\n         || ")
}

func (r *roles) columnExpression(m string) string {
	sql := r.sql(m)
	switch r.shape {
	case delimited:
		return "array_remove(coalesce(" + r.cut("lower(trim("+sql+"))") + ", '{}'), '')"
	case array:
		return "coalesce(" + r.split(m) + ", '{}')"
	case one, number:
	}
	otherwise := "array_remove(ARRAY[lower(nullif(trim(" + sql + "::text), ''))], NULL)"
	if r.shape == number {
		otherwise = "array_remove(ARRAY['level_' || " + sql + "], NULL)"
	}
	if len(r.Values) == 0 {
		return otherwise
	}
	var b strings.Builder
	b.WriteString("CASE " + sql + "::text\n")
	for _, v := range r.Values {
		fmt.Fprintf(&b, "         WHEN %s THEN ARRAY[%s]\n", producers.QuoteLiteral(v.Name), producers.QuoteLiteral(r.roleID(v.Name)))
	}
	b.WriteString("         ELSE " + otherwise + "\n       END")
	return b.String()
}

// ids are the Stytch roles that the expression returns, as far as they are known.
func (r *roles) ids() []string {
	var out []string
	for _, v := range r.Values {
		id := r.roleID(v.Name)
		if r.shape == array {
			id = v.Name
		}
		out = append(out, id)
	}
	for _, f := range r.flags {
		out = append(out, last(f.words))
	}
	slices.Sort(out)
	return slices.Compact(out)
}
