package transform

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"pgregory.net/rapid"
)

// A drawn schema has four tables alike: few values, so that rows meet, and NULLs.
const anyDDL = `CREATE TABLE %[1]s (id int PRIMARY KEY, k int, l int, v text); CREATE INDEX ON %[1]s (k);`

var anyTables = public("a", "b", "c", "d")

// drawing is a mapping that grows.
type drawing struct {
	t       *rapid.T
	aliases []string // in scope, with columns id, k, l, v
	tables  *int     // named so far
	plain   bool     // tables and equalities alone: what matters is which side of a join may be absent
}

// enoughTables bounds what a mapping joins, and so how long one takes.
const enoughTables = 5

func (d *drawing) inside() *drawing { return &drawing{t: d.t, tables: d.tables, plain: d.plain} }

func (d *drawing) one(of ...string) string { return rapid.SampledFrom(of).Draw(d.t, "one") }

func (d *drawing) chance(percent int, what string) bool {
	return rapid.IntRange(1, 100).Draw(d.t, what) <= percent
}

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
	switch rapid.IntRange(0, 24).Draw(d.t, "condition") {
	case 0:
		return a + " = " + b + " OR " + d.number(left) + " IS NULL"
	case 1:
		return a + " IS NOT DISTINCT FROM " + b
	case 2:
		return "coalesce(" + a + ", 1) = " + b
	case 3:
		return a + " = " + b + " AND " + d.one(right...) + ".v <> 'p'"
	case 4:
		return a + " < " + b
	case 5:
		return "NOT (" + a + " = " + b + ")"
	case 6:
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
	for range rapid.IntRange(0, 3-depth).Draw(d.t, "joins") {
		if *d.tables >= enoughTables {
			break
		}
		before := len(d.aliases)
		lateral := !d.plain && d.chance(15, "lateral")
		var right string
		if lateral {
			right = d.lateral(depth)
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
		if lateral && join == "RIGHT JOIN" {
			join = "LEFT JOIN"
		}
		on := d.conditions(fresh, left)
		if join == "JOIN" && d.chance(40, "cross join") {
			on = "true" // what else ties the two together may not have to be there
		}
		if !d.plain && d.chance(10, "subquery in ON") {
			on = "(" + on + ") AND " + d.subquery(depth)
		}
		item = item + " " + join + " " + right + " ON " + on
	}
	return item
}

func (d *drawing) table() string { return d.one("a", "b", "c", "d") }

// item is a table, or a subquery that stands for one.
func (d *drawing) item(depth int) string {
	if d.plain || depth >= 2 || *d.tables >= enoughTables || d.chance(80, "table") {
		alias := d.alias()
		d.aliases = append(d.aliases, alias)
		return d.table() + " " + alias
	}
	return d.sub(depth, "", nil)
}

func (d *drawing) lateral(depth int) string { return d.sub(depth, "LATERAL ", d.aliases) }

// sub is a subquery with the columns of a table: plain, grouped, chosen, numbered,
// united, limited.
func (d *drawing) sub(depth int, lateral string, outer []string) string {
	inner := d.inside()
	from := inner.from(depth + 1)
	s := inner.aliases
	where := " WHERE " + inner.condition(s, s)
	if len(outer) > 0 {
		where += " AND (" + inner.condition(s, outer) + ")"
	}
	columns := fmt.Sprintf("%s AS id, %s AS k, %s AS l", inner.number(s), inner.number(s), inner.number(s))
	z := inner.one(s...) + ".v"
	var sql string
	switch rapid.IntRange(0, 7).Draw(d.t, "subquery") {
	case 0:
		sql = "SELECT " + columns + ", string_agg(" + z + ", ',' ORDER BY " + z + ") AS v FROM " + from + where + " GROUP BY 1, 2, 3" + d.one("", " HAVING count(*) > 1")
	case 1:
		sql = "SELECT DISTINCT ON (" + d.one("1", "2", "1, 2", "1, 2, 3") + ") " + columns + ", " + z + " AS v FROM " + from + where
		sql = orderBy(sql)
	case 2:
		p := inner.number(s)
		sql = "SELECT id, k, l, v FROM (SELECT " + columns + ", " + z + " AS v, rank() OVER (PARTITION BY " + p + " ORDER BY " + inner.number(s) + ") AS n FROM " + from + where + ") w WHERE n = 1"
	case 3:
		sql = "SELECT " + columns + ", " + z + " AS v FROM " + from + where + " UNION SELECT id, k, l, v FROM " + d.table()
	case 4:
		sql = "SELECT max(" + inner.number(s) + ") AS id, min(" + inner.number(s) + ") AS k, count(*)::int AS l, max(" + z + ") AS v FROM " + from + where
	case 5:
		sql = "SELECT " + columns + ", " + z + " AS v FROM " + from + where + " ORDER BY 1, 2, 3, 4 LIMIT 2"
	default:
		sql = "SELECT " + d.one("", "DISTINCT ") + columns + ", " + z + " AS v FROM " + from + where
	}
	alias := d.alias()
	d.aliases = append(d.aliases[:len(d.aliases):len(d.aliases)], alias)
	return lateral + "(" + sql + ") " + alias
}

// orderBy makes the choice of DISTINCT ON a certain one.
func orderBy(sql string) string {
	on, _, _ := strings.Cut(strings.TrimPrefix(sql, "SELECT DISTINCT ON ("), ")")
	order := on
	for _, c := range []string{"1", "2", "3", "4"} {
		if !strings.Contains(on, c) {
			order += ", " + c
		}
	}
	return sql + " ORDER BY " + order
}

// subquery is a condition with a subquery.
func (d *drawing) subquery(depth int) string {
	inner := d.inside()
	from := inner.from(2)
	switch rapid.IntRange(0, 3).Draw(d.t, "condition with a subquery") {
	case 0:
		return "NOT EXISTS (SELECT FROM " + from + " WHERE " + inner.conditions(inner.aliases, d.aliases) + ")"
	case 1:
		return d.number(d.aliases) + d.one(" IN", " NOT IN") + " (SELECT " + inner.number(inner.aliases) + " FROM " + from + ")"
	case 2:
		return d.number(d.aliases) + " = (SELECT max(" + inner.number(inner.aliases) + ") FROM " + from + " WHERE " + inner.conditions(inner.aliases, d.aliases) + ")"
	default:
		return "EXISTS (SELECT FROM " + from + " WHERE " + inner.conditions(inner.aliases, d.aliases) + ")"
	}
}

// anyMembers draws a mapping of members whose fields depend on every table it names.
func anyMembers(t *rapid.T) string {
	d := &drawing{t: t, tables: new(int), plain: rapid.Bool().Draw(t, "plain")}
	from := d.from(0)
	where := ""
	if d.chance(40, "where") {
		where = " WHERE (" + d.condition(d.aliases, d.aliases) + ")"
	}
	if d.chance(30, "subquery in WHERE") {
		where += map[bool]string{true: " WHERE ", false: " AND "}[where == ""] + d.subquery(0)
	}
	org, key := d.number(d.aliases), d.number(d.aliases)
	if d.chance(10, "cast") {
		key += "::text"
	}
	if d.chance(10, "an expression") {
		org = "coalesce(" + org + ", " + d.number(d.aliases) + ")"
	}
	var z []string
	for _, a := range d.aliases {
		z = append(z, a+".v", a+".id")
	}
	all := "concat_ws(',', " + strings.Join(z, ", ") + ")"
	if d.chance(15, "subquery as a field") {
		inner := d.inside()
		sub := inner.from(1)
		all += " || coalesce((SELECT string_agg(" + inner.aliases[0] + ".v, ',' ORDER BY " + inner.aliases[0] + ".v) FROM " + sub + " WHERE " + inner.conditions(inner.aliases, d.aliases) + "), '')"
	}
	// one row a key, whatever was joined
	return "SELECT " + org + " AS organization_external_id, " + key + " AS external_id, string_agg(DISTINCT " + all + ", ';' ORDER BY " + all + ") AS email_address FROM " + from + where + " GROUP BY 1, 2"
}

// anyChange draws a statement of the legacy system.
func anyChange(t *rapid.T) string {
	number := func(name string) string {
		return rapid.SampledFrom([]string{"NULL", "1", "1", "2", "2", "3"}).Draw(t, name)
	}
	table, id := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "table"), rapid.IntRange(1, 3).Draw(t, "id")
	if rapid.IntRange(0, 3).Draw(t, "change") == 0 {
		return fmt.Sprintf("DELETE FROM %s WHERE id = %d", table, id)
	}
	return fmt.Sprintf("INSERT INTO %s VALUES (%d, %s, %s, '%s') ON CONFLICT (id) DO UPDATE SET k = excluded.k, l = excluded.l, v = excluded.v",
		table, id, number("k"), number("l"), rapid.SampledFrom([]string{"p", "q", "r"}).Draw(t, "v"))
}

// Whatever a mapping says and whatever changes, no entity changes that a derived
// route had not touched: tables that are swept are left as they are meanwhile.
func TestDerivedRoutesMissNothing(t *testing.T) {
	t.Parallel()
	ddl := ""
	for _, table := range anyTables {
		ddl += fmt.Sprintf(anyDDL, table.Name)
	}
	organizations := consumers.Mapping{Kind: consumers.Organization, Select: `SELECT g AS organization_external_id, 'o' || g AS organization_name FROM generate_series(1, 3) g`}
	w := newWorld(t, ddl, anyTables, organizations)
	enough := time.Now().Add(derivedFor)
	var mappings, routed, swept int
	rapid.Check(t, func(rt *rapid.T) {
		if time.Now().After(enough) {
			return
		}
		sql := anyMembers(rt)
		plan, err := compileOn(w.ctx, w.pool, anyTables, organizations, consumers.Mapping{Kind: consumers.Member, Select: sql})
		if err != nil {
			rt.Fatalf("%s\n%v", sql, err)
		}
		m := plan.Mapping(consumers.Member)
		w.plan, w.router = plan, newRouter(plan, defaultKeyTimeout, w.router.log)
		mappings, routed, swept = mappings+1, routed+len(m.Routes), swept+len(m.Swept)
		if len(m.Routes) == 0 {
			return
		}
		var still []string // DELETEs and INSERTs of swept tables do nothing
		for table := range m.Swept {
			still = append(still, table.Name)
		}
		w.legacyOnly(`DELETE FROM a`, `DELETE FROM b`, `DELETE FROM c`, `DELETE FROM d`)
		w.legacyOnly(rapid.SliceOfN(rapid.Custom(anyChange), 6, 24).Draw(rt, "rows")...)
		w.fill(touchInfo{})
		for range rapid.IntRange(2, 6).Draw(rt, "fills") {
			w.exec(`TRUNCATE backstitch.touched, backstitch.sweeps`)
			before := w.states(fmt.Sprintf(memberTruth, sql))
			var changes []string
			for _, s := range rapid.SliceOfN(rapid.Custom(anyChange), 1, 3).Draw(rt, "changes") {
				if !touches(s, still) {
					changes = append(changes, s)
				}
			}
			if len(changes) == 0 {
				continue
			}
			w.legacyOnly(changes...)
			w.fill(touchInfo{})
			after := w.states(fmt.Sprintf(memberTruth, sql))
			if n := w.number(`SELECT count(*) FROM backstitch.sweeps WHERE NOT routed AND kind = 'member'`); n != 0 {
				continue // a value of the data broke a route: it is swept
			}
			for k := range union(before, after) {
				if before[k] != after[k] && w.number(`SELECT count(*) FROM backstitch.touched WHERE kind = 'member'
					AND (part = 2 OR org_key = $1) AND (part = 1 OR key = $2)`, k.Organization, k.Entity) == 0 {
					rt.Fatalf("%s\nroutes %v\nchanges %s\n%v was %q, is %q, and was not touched", sql, said(m), strings.Join(changes, ";\n"), k, before[k], after[k])
				}
			}
		}
	})
	t.Logf("%d mappings: %d tables routed, %d swept", mappings, routed, swept)
	if routed == 0 || swept == 0 {
		t.Errorf("the mappings prove nothing: %d tables are routed, %d swept", routed, swept)
	}
}

// memberTruth evaluates a mapping of members naively.
const memberTruth = `SELECT 'member', q.organization_external_id::text, q.external_id::text, q.email_address FROM (%s) q
	WHERE q.organization_external_id IS NOT NULL AND q.external_id IS NOT NULL`

func touches(statement string, tables []string) bool {
	for _, t := range tables {
		if strings.Contains(statement, "FROM "+t+" ") || strings.Contains(statement, "INTO "+t+" ") {
			return true
		}
	}
	return false
}

func union(a, b map[consumers.Key]string) map[consumers.Key]bool {
	keys := map[consumers.Key]bool{}
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	return keys
}

const derivedFor = 20 * time.Second
