package transform

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pgregory.net/rapid"
)

// drawnSchema is a legacy schema of four tables alike, with few values, so that rows
// meet, and NULLs.
type drawnSchema struct {
	numbers string   // type of id, k and l
	others  string   // type of k of b and d, which = compares with numbers
	loose   string   // type of c: equal values may have different texts
	values  []string // of c
}

var drawnSchemas = []drawnSchema{
	{"int", "int", "citext", []string{"x", "X", "y"}},
	{"int", "bigint", "numeric", []string{"1", "1.0", "2"}},
	{"text", "varchar", "text COLLATE loose", []string{"x", "X", "y"}},
	{"bigint", "smallint", "bpchar", []string{"x", "x ", "y"}},
	{"varchar", "text", "citext", []string{"1", "2", "x"}},
	{"uuid", "uuid", "interval", []string{"1 mon", "30 days", "1 day"}},
}

// columns declares the columns of a table.
func (s drawnSchema) columns(table int, key string) string {
	k := s.numbers
	if table%2 == 1 {
		k = s.others
	}
	return fmt.Sprintf("id %s%s, k %s, l %s, v text, c %s", s.numbers, key, k, s.numbers, s.loose)
}

func (s drawnSchema) ddl() string {
	var b strings.Builder
	for i, t := range anyTables {
		fmt.Fprintf(&b, "CREATE TABLE %s (%s);", t.Name, s.columns(i, " PRIMARY KEY"))
	}
	return b.String()
}

// number is a number as the schema keeps it.
func (s drawnSchema) number(n int) string {
	if s.numbers == "uuid" {
		return fmt.Sprintf("00000000-0000-0000-0000-00000000000%d", n)
	}
	return strconv.Itoa(n)
}

// drawing is a mapping that grows.
type drawing struct {
	t       *rapid.T
	schema  drawnSchema
	aliases []string // in scope, with columns id, k, l, v, c
	tables  *int     // named so far
	plain   bool     // tables and equalities alone: what matters is which side of a join may be absent
	with    []string // CTEs of the whole SELECT
	loose   bool     // a key is rather a text that others are equal to
}

// enoughTables bounds what a mapping joins, and so how long one takes.
const enoughTables = 5

func (d *drawing) inside() *drawing {
	return &drawing{t: d.t, schema: d.schema, tables: d.tables, plain: d.plain, with: d.with}
}

// evenly draws one of n numbers, each as likely: rapid itself prefers small ones.
func evenly(t *rapid.T, n int, what string) int {
	at := 0
	for _, bit := range rapid.SliceOfN(rapid.Bool(), 10, 10).Draw(t, what) {
		at *= 2
		if bit {
			at++
		}
	}
	return at % n
}

func (d *drawing) one(of ...string) string { return of[evenly(d.t, len(of), "one")] }

func (d *drawing) chance(percent int, what string) bool { return evenly(d.t, 100, what) >= 100-percent }

func (d *drawing) alias() string {
	*d.tables++
	return fmt.Sprintf("t%d", *d.tables)
}

func (d *drawing) number(of []string) string {
	return d.one(of...) + "." + d.one("id", "k", "k", "l", "l")
}

// condition is what a mapping may say of rows: equalities that a route can follow,
// and what looks like them.
func (d *drawing) condition(left, right []string) string {
	a, b := d.number(left), d.number(right)
	if d.plain {
		return a + " = " + b
	}
	switch evenly(d.t, 25, "condition") {
	case 0:
		return a + " = " + b + " OR " + d.number(left) + " IS NULL"
	case 1:
		return a + " IS NOT DISTINCT FROM " + b
	case 2:
		return "coalesce(" + a + ", '" + d.schema.number(1) + "') = " + b
	case 3:
		return a + " = " + b + " AND " + d.one(right...) + ".v <> 'p'"
	case 4:
		return a + " < " + b
	case 5:
		return "NOT (" + a + " = " + b + ")"
	case 6:
		return "true"
	case 7, 8:
		return d.one(left...) + ".c = " + d.one(right...) + ".c"
	case 9:
		return d.one(left...) + ".c::text = " + d.one(right...) + d.one(".c", ".v") + "::text"
	case 10:
		if d.schema.loose == "citext" {
			return d.one(left...) + ".v::citext = " + d.one(right...) + ".c"
		}
		return "true"
	default:
		return a + " = " + b
	}
}

// conditions are one, or two that must hold: what is joined, or asked of a subquery,
// then perhaps stands between two tables that it does not tie together.
func (d *drawing) conditions(left, right []string) string {
	all := "(" + d.condition(left, right) + ")"
	if d.chance(50, "second condition") {
		all += " AND (" + d.condition(left, right) + ")"
	}
	return all
}

// from draws a FROM clause with its joins; what it names is in scope after it.
func (d *drawing) from(depth int) string {
	item := d.item(depth)
	for range evenly(d.t, 4-depth, "joins") {
		if *d.tables >= enoughTables {
			break
		}
		item = d.joined(item, depth)
	}
	return item
}

func (d *drawing) joined(item string, depth int) string {
	before := len(d.aliases)
	lateral := !d.plain && d.chance(15, "lateral")
	var right string
	if lateral {
		right = d.sub(depth, "LATERAL ", d.aliases)
	} else {
		outside := d.aliases
		d.aliases = nil
		if depth < 2 && d.chance(20, "nested join") {
			if right = d.from(depth + 1); len(d.aliases) > 1 {
				right = "(" + right + ")"
			}
		} else {
			right = d.item(depth)
		}
		d.aliases = append(outside[:len(outside):len(outside)], d.aliases...)
	}
	left, fresh := d.aliases[:before], d.aliases[before:]
	join := d.one("JOIN", "JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN")
	if !d.plain && d.chance(3, "a full join") {
		join = "FULL JOIN"
	}
	if lateral && join != "JOIN" {
		join = "LEFT JOIN"
	}
	on := d.conditions(fresh, left)
	if join == "FULL JOIN" { // PostgreSQL can do no other
		return item + " FULL JOIN " + right + " ON " + d.number(fresh) + " = " + d.number(left)
	}
	if join == "JOIN" && d.chance(40, "cross join") {
		on = "true" // what else ties the two together may not have to be there
	}
	if !d.plain && d.chance(10, "subquery in ON") {
		on = "(" + on + ") AND " + d.subquery()
	}
	return item + " " + join + " " + right + " ON " + on
}

func (d *drawing) table() string { return d.one("a", "b", "c", "d") }

// item is a table, or a subquery that stands for one.
func (d *drawing) item(depth int) string {
	switch {
	case !d.plain && len(d.with) > 0 && d.chance(60, "a CTE"):
		alias := d.alias()
		d.aliases = append(d.aliases, alias)
		return d.one(d.with...) + " " + alias
	case d.plain || depth >= 2 || *d.tables >= enoughTables || d.chance(70, "table"):
		alias := d.alias()
		d.aliases = append(d.aliases, alias)
		return d.table() + " " + alias
	}
	return d.sub(depth, "", nil)
}

// sub is a subquery with the columns of a table, among what is around it.
func (d *drawing) sub(depth int, lateral string, outer []string) string {
	sql := d.rows(depth, outer)
	alias := d.alias()
	d.aliases = append(d.aliases[:len(d.aliases):len(d.aliases)], alias)
	return lateral + "(" + sql + ") " + alias
}

// rows is a SELECT with the columns of a table: plain, grouped, chosen, numbered,
// united, limited, repeated.
func (d *drawing) rows(depth int, outer []string) string {
	inner := d.inside()
	from := inner.from(depth + 1)
	s := inner.aliases
	where := " WHERE " + inner.condition(s, s)
	if inner.chance(50, "all rows") {
		where = " WHERE true"
	}
	if len(outer) > 0 {
		where += " AND (" + inner.condition(s, outer) + ")"
	}
	id, k, l, c := inner.number(s), inner.number(s), inner.number(s), inner.one(s...)+".c"
	z := inner.one(s...) + ".v"
	columns := fmt.Sprintf("%s AS id, %s AS k, %s AS l", id, k, l)
	switch evenly(d.t, 10, "subquery") {
	case 0: // by some of its columns, in one text for the others
		by := d.one("1, 2, 3, 5", "1, 2, 3, 5", "5, 1, 2, 3")
		return "SELECT " + columns + ", string_agg(" + z + ", ',' ORDER BY " + z + ") AS v, " + c + " AS c FROM " + from + where + " GROUP BY " + by + d.one("", " HAVING count(*) > 1")
	case 1:
		return orderBy("SELECT DISTINCT ON (" + d.one("1", "2", "1, 2", "1, 2, 3", "5", "5, 1") + ") " + columns + ", " + z + " AS v, " + c + " AS c FROM " + from + where)
	case 2:
		p := inner.one(inner.number(s), inner.number(s), c, c+", "+id)
		first := "SELECT " + columns + ", " + z + " AS v, " + c + " AS c, rank() OVER (PARTITION BY " + p + " ORDER BY " + inner.number(s) + ") AS n FROM " + from + where
		return "SELECT id, k, l, v, c FROM (" + first + ") w WHERE n = 1"
	case 3:
		return "SELECT " + columns + ", " + z + " AS v, " + c + " AS c FROM " + from + where + d.one(" UNION ", " UNION ALL ", " EXCEPT ", " INTERSECT ") + "SELECT id, k, l, v, c FROM " + d.table()
	case 4:
		min := func(x string) string { return "(array_agg(" + x + " ORDER BY " + x + "))[1]" }
		return "SELECT " + min(id) + " AS id, " + min(k) + " AS k, " + min(l) + " AS l, max(" + z + ") AS v, " + min(c) + " AS c FROM " + from + where
	case 5:
		return "SELECT " + columns + ", " + z + " AS v, " + c + " AS c FROM " + from + where + " ORDER BY 1, 2, 3, 4, 5 " + d.one("LIMIT 1", "LIMIT 2", "OFFSET 1")
	case 6:
		return "SELECT " + columns + ", " + z + " || generate_series(1, length(" + z + ")) AS v, " + c + " AS c FROM " + from + where
	case 7:
		return "SELECT " + columns + ", " + z + " AS v, " + c + " AS c FROM " + from + ", generate_series(1, 2) " + d.one("x", "y") + where
	case 8:
		return "SELECT DISTINCT " + columns + ", " + z + " AS v, " + c + " AS c FROM " + from + where
	default:
		return "SELECT " + columns + ", " + z + " AS v, " + c + " AS c FROM " + from + where
	}
}

// orderBy makes the choice of DISTINCT ON a certain one.
func orderBy(sql string) string {
	on, _, _ := strings.Cut(strings.TrimPrefix(sql, "SELECT DISTINCT ON ("), ")")
	order := on
	for _, c := range []string{"1", "2", "3", "4", "5"} {
		if !strings.Contains(on, c) {
			order += ", " + c
		}
	}
	return sql + " ORDER BY " + order
}

// subquery is a condition with a subquery.
func (d *drawing) subquery() string {
	inner := d.inside()
	from := inner.from(2)
	in := "(SELECT " + inner.number(inner.aliases) + " FROM " + from + " WHERE " + inner.one("true", inner.condition(inner.aliases, inner.aliases), inner.condition(inner.aliases, d.aliases)) + ")"
	switch evenly(d.t, 9, "condition with a subquery") {
	case 8:
		return d.number(d.aliases) + " = ALL (SELECT " + inner.number(inner.aliases) + " FROM " + from + ")"
	case 0:
		return "NOT EXISTS (SELECT FROM " + from + " WHERE " + inner.conditions(inner.aliases, d.aliases) + ")"
	case 1:
		return d.number(d.aliases) + " NOT IN " + in
	case 2:
		return d.number(d.aliases) + " = (SELECT (array_agg(t.x ORDER BY t.x))[1] FROM " + in + " t (x))"
	case 3:
		return d.number(d.aliases) + d.one(" = ANY ", " < ALL ", " > ANY ") + in
	case 4:
		return "(" + d.number(d.aliases) + " IN " + in + " OR " + d.condition(d.aliases, d.aliases) + ")"
	case 5:
		return "(" + d.number(d.aliases) + " IN " + in + ") IS NOT TRUE"
	case 6:
		return d.number(d.aliases) + " IN " + in
	default:
		return "EXISTS (SELECT FROM " + from + " WHERE " + inner.conditions(inner.aliases, d.aliases) + ")"
	}
}

// anyMembers draws a mapping of members whose fields depend on every table it names.
func anyMembers(t *rapid.T, schema drawnSchema) string {
	d := &drawing{t: t, schema: schema, tables: new(int), plain: evenly(t, 3, "plain") == 1}
	with := ""
	if !d.plain && d.chance(20, "a CTE") {
		with = "WITH w AS" + d.one(" ", " MATERIALIZED ", " NOT MATERIALIZED ") + "(" + d.rows(0, nil) + ") "
		d.with = []string{"w"}
	}
	sql := d.members()
	limited := 3
	if d.chance(15, "another arm") {
		d.aliases, limited = nil, 30
		sql += d.one(" UNION ALL ", " UNION ", " EXCEPT ", " INTERSECT ") + d.members()
	}
	if sql[0] != '(' && d.chance(limited, "the first of all") {
		sql += " ORDER BY 1, 2, 3 LIMIT 2"
	}
	return with + sql
}

func (d *drawing) equal(left, right []string) string {
	return d.number(left) + " = " + d.number(right)
}

// trap draws a small FROM around one thing that looks like a way to the keys; "" is
// none. Large ones rarely depend on any one thing.
func (d *drawing) trap() (from, where string) {
	named := func() (sql string, alias []string) {
		a := d.alias()
		d.aliases = append(d.aliases, a)
		if len(d.with) > 0 && d.chance(60, "a CTE") {
			return d.with[0] + " " + a, []string{a}
		}
		return d.table() + " " + a, []string{a}
	}
	kind := evenly(d.t, 15, "trap")
	if kind > 11 {
		return "", ""
	}
	one, t1 := named()
	if kind == 0 { // chosen, numbered, grouped, counted
		d.aliases = nil
		return d.sub(1, "", nil), ""
	}
	switch kind {
	case 1: // asked of one table
		return one, " WHERE " + d.subquery()
	case 8: // grouped by a text that others are equal to
		d.loose = true
		return one, ""
	case 9: // a column of another query within a subquery of two tables
		d.aliases = append(d.aliases, "s")
		return one + " CROSS JOIN LATERAL (SELECT x.id, x.k, x.l, y.v, y.c FROM " + d.table() + " x, " + d.table() + " y WHERE " + d.equal([]string{"y"}, t1) + ") s", ""
	}
	two, t2 := named()
	if d.chance(40, "a self-join") {
		two = one[:strings.Index(one, " ")] + " " + t2[0]
	}
	switch kind {
	case 2: // two that nothing ties together but what may be absent
		three, t3 := named()
		return one + " CROSS JOIN " + two + d.one(" LEFT JOIN ", " LEFT JOIN ", " FULL JOIN ") + three + " ON " + d.equal(t3, t1) + " AND " + d.equal(t3, t2), ""
	case 3:
		three, t3 := named()
		return one + " RIGHT JOIN (" + two + " CROSS JOIN " + three + ") ON " + d.equal(t1, t2) + " AND " + d.equal(t1, t3), ""
	case 4, 5: // or a subquery
		three := d.table() + " x"
		ties := d.equal([]string{"x"}, t1) + " AND " + d.equal([]string{"x"}, t2)
		if kind == 4 {
			return one + " CROSS JOIN " + two, " WHERE NOT EXISTS (SELECT FROM " + three + " WHERE " + ties + ")"
		}
		d.aliases = append(d.aliases, "n")
		return one + " CROSS JOIN " + two + " CROSS JOIN LATERAL (SELECT NULL::" + d.schema.numbers + " AS id, NULL::" + d.schema.numbers + " AS k, NULL::" + d.schema.numbers + " AS l, count(*)::text AS v, NULL::" + d.schema.loose + " AS c FROM " + three + " WHERE " + ties + ") n", ""
	case 6:
		d.aliases = t1
		return one + d.one(" JOIN ", " LEFT JOIN ") + d.sub(1, "LATERAL ", t1) + " ON " + d.one("true", d.equal(d.aliases[1:], t1)), ""
	case 10: // equal, in texts that differ
		d.loose = true
		return one + " JOIN " + two + " ON " + t1[0] + ".c = " + t2[0] + ".c", ""
	case 11:
		return one + " JOIN " + two + " ON " + d.near(t1, t2), ""
	default:
		return one + d.one(" JOIN ", " JOIN ", " LEFT JOIN ") + two + " ON " + d.condition(t1, t2), ""
	}
}

// near is what looks like an equality and is none that always holds.
func (d *drawing) near(left, right []string) string {
	a, b := d.number(left), d.number(right)
	return d.one(a+" < "+b, a+" <= "+b, a+" <> "+b, "NOT ("+a+" = "+b+")", a+" IS NOT DISTINCT FROM "+b,
		"coalesce("+a+", '"+d.schema.number(1)+"') = "+b, a+" = "+b+" OR "+d.number(left)+" IS NULL")
}

// members is a SELECT of members: rows, groups or the first of each key.
func (d *drawing) members() string {
	from, where := d.trap()
	if from == "" {
		from = d.from(0)
		if d.chance(40, "where") {
			where = " WHERE (" + d.condition(d.aliases, d.aliases) + ")"
		}
		if d.chance(30, "subquery in WHERE") {
			where += map[bool]string{true: " WHERE ", false: " AND "}[where == ""] + d.subquery()
		}
	}
	org, key := d.number(d.aliases)+"::text", d.number(d.aliases)+"::text"
	if d.chance(map[bool]int{true: 80, false: 10}[d.loose], "a loose key") {
		key = d.one(d.aliases...) + ".c::text"
	}
	if d.chance(10, "an expression") {
		org = d.one("coalesce("+org+", "+d.number(d.aliases)+"::text)", "CASE WHEN "+d.one(d.aliases...)+".v = 'p' THEN "+org+" ELSE "+d.number(d.aliases)+"::text END",
			"(SELECT max(id::text) FROM "+d.table()+" z WHERE z.k::text = "+org+")")
	}
	var z []string
	for _, a := range d.aliases {
		z = append(z, a+".v", a+".id", a+".c")
	}
	all := "concat_ws(',', " + strings.Join(z, ", ") + ")"
	if d.chance(15, "subquery as a field") {
		inner := d.inside()
		sub := inner.from(1)
		all += " || coalesce((SELECT string_agg(" + inner.aliases[0] + ".v, ',' ORDER BY " + inner.aliases[0] + ".v) FROM " + sub + " WHERE " + inner.conditions(inner.aliases, d.aliases) + "), '')"
	}
	keys := org + " AS organization_external_id, " + key + " AS external_id, "
	shape := evenly(d.t, 6, "shape")
	if d.loose && d.chance(50, "grouped by the loose key") {
		shape = 3
	}
	switch shape {
	case 0:
		on := d.one("1, 2", "1", "2", "3")
		order := slices.DeleteFunc([]string{"1", "2", "3"}, func(n string) bool { return strings.Contains(on, n) })
		return "(SELECT DISTINCT ON (" + on + ") " + keys + all + " AS email_address FROM " + from + where + " ORDER BY " + strings.Join(append([]string{on}, order...), ", ") + ")"
	case 1:
		return "SELECT " + keys + all + " || count(*) OVER (PARTITION BY " + d.one(org+", "+key, org, key, strings.TrimSuffix(key, "::text")) + ") AS email_address FROM " + from + where
	case 2:
		return "SELECT " + keys + all + " AS email_address FROM " + from + where
	case 3: // grouped by the column, not by its text
		if strings.ContainsAny(org, " (") {
			break
		}
		return "SELECT " + keys + "string_agg(DISTINCT " + all + ", ';' ORDER BY " + all + ") AS email_address FROM " + from + where +
			" GROUP BY " + strings.TrimSuffix(org, "::text") + ", " + strings.TrimSuffix(key, "::text")
	}
	return "SELECT " + keys + "string_agg(DISTINCT " + all + ", ';' ORDER BY " + all + ") AS email_address FROM " + from + where + " GROUP BY 1, 2"
}
