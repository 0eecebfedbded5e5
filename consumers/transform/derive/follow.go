package derive

import (
	"fmt"
	"slices"
	"strings"

	"github.com/backstitch/backstitch/schemas"
)

// way is how one mention of a table finds keys.
type way struct {
	// row are the key columns that the changed row has itself, by its column.
	row map[string]string
	// keys are the key columns that the joins find, by their expression.
	keys map[string]string
	from string // the FROM and WHERE of the joins, "" when none is needed
}

// origins finds where the key columns come from.
func (r *reading) origins(s *scope, keys []string, numbers map[string]int) map[string]value {
	found := map[string]value{}
	for _, key := range keys {
		t := s.target(numbers[key])
		if t == nil {
			continue
		}
		expression, text := asText(t.node("expr"))
		v, ok := s.resultColumn(expression)
		// What a row description says of a column, PostgreSQL keeps here.
		if described := t.oid("resorigtbl"); !ok || described != 0 && (described != v.of.oid || t.number("resorigcol") != int(v.number)) {
			continue
		}
		if v.text = text || v.text; !r.says(v) {
			continue
		}
		v.text = v.text && r.comparison(v.column) != comparesAsText
		found[key] = v
	}
	return found
}

// asText takes a cast to text off an expression, whichever way PostgreSQL makes it: the
// same cast of the same column is the same text.
func asText(n *node) (of *node, cast bool) {
	switch {
	case n == nil:
	case n.kind == "COERCEVIAIO" && n.text("resulttype") == typeText:
		return n.node("arg"), true
	case n.kind == "FUNCEXPR" && n.text("funcresulttype") == typeText && n.number("funcformat") == formatCast:
		if args := n.nodes("args"); len(args) == 1 {
			return args[0], true
		}
	}
	return n, false
}

// formatCast is a function call that was written as a cast (primnodes.h).
const formatCast = 1

// comparesAsText is the comparison of text and varchar, whose values need no cast.
const comparesAsText = "text"

func (r *reading) comparison(c column) string {
	_, comparison, _ := r.catalogue.Column(c.of.oid, c.number)
	return comparison
}

// follow finds the ways of every table that the reading met.
func (r *reading) follow(s *scope, keys []string, numbers map[string]int, ways map[schemas.Table][]way, why map[schemas.Table]string) {
	from := r.origins(s, keys, numbers)
	for _, o := range r.occurrences {
		table, captured := r.catalogue.Table(o.oid)
		if !captured {
			continue
		}
		w := r.way(o, keys, from)
		switch {
		case len(w.keys) > 0:
			ways[table] = append(ways[table], w)
		case len(from) == 0:
			why[table] = "no key column is a column of a table, for every row of the result"
		default:
			why[table] = "no equality that always holds leads from it to a key column"
		}
	}
}

// there are the regions that a row of the result has which the changed row affects:
// the row's own, and those of the key columns, which are not null in an entity. An
// equality holds of values that are not null: with its own region, the regions of
// its two columns are there.
func (r *reading) there(o *occurrence, from map[string]value) map[*region]bool {
	regions := map[*region]bool{}
	add := func(in *region) (grew bool) {
		for ; in != nil && !regions[in]; in = in.around {
			regions[in], grew = true, true
		}
		return grew
	}
	add(o.region)
	for _, at := range from {
		add(at.of.region)
	}
	for grew := true; grew; {
		grew = false
		for _, e := range r.edges {
			if regions[e.region] {
				grew = add(e.a.of.region) || grew
				grew = add(e.b.of.region) || grew
			}
		}
	}
	return regions
}

// way finds the keys from one mention: a search in breadth over the equalities.
func (r *reading) way(start *occurrence, keys []string, from map[string]value) way {
	regions := r.there(start, from)
	edges := slices.DeleteFunc(slices.Clone(r.edges), func(e edge) bool { return !regions[e.region] })
	before, order := map[*occurrence]*occurrence{start: nil}, []*occurrence{start}
	for i := 0; i < len(order); i++ {
		for _, e := range edges {
			for _, pair := range [][2]value{{e.a, e.b}, {e.b, e.a}} {
				if _, reached := before[pair[1].of]; pair[0].of == order[i] && !reached {
					before[pair[1].of] = order[i]
					order = append(order, pair[1].of)
				}
			}
		}
	}
	w := way{row: map[string]string{}, keys: map[string]string{}}
	found := map[string]value{}
	joined := map[*occurrence]bool{start: true}
	for _, key := range keys {
		at, ok := from[key]
		if !ok {
			continue
		}
		class := r.equals(at.column, edges)
		i := slices.IndexFunc(order, func(o *occurrence) bool {
			return slices.ContainsFunc(class, func(c column) bool { return c.of == o })
		})
		if i < 0 {
			continue
		}
		c := class[slices.IndexFunc(class, func(c column) bool { return c.of == order[i] })]
		found[key] = value{column: c, text: at.text}
		for o := c.of; o != nil; o = before[o] {
			joined[o] = true
		}
		if c.of == start && !at.text {
			w.row[key], _, _ = r.catalogue.Column(c.of.oid, c.number)
		}
	}
	r.write(&w, found, slices.DeleteFunc(order, func(o *occurrence) bool { return !joined[o] }), edges)
	return w
}

// equals are the columns that have the key column's text wherever the equalities
// hold, itself first.
func (r *reading) equals(key column, edges []edge) []column {
	comparison := r.comparison(key)
	class := []column{key}
	for i := 0; comparison != "" && i < len(class); i++ {
		for _, e := range edges {
			for _, pair := range [][2]value{{e.a, e.b}, {e.b, e.a}} {
				if pair[0].column == class[i] && r.comparison(pair[1].column) == comparison && !slices.Contains(class, pair[1].column) {
					class = append(class, pair[1].column)
				}
			}
		}
	}
	return class
}

// write says the joins in SQL. Every equality among what is joined is kept: each of
// them holds, and they make the way narrower.
func (r *reading) write(w *way, found map[string]value, joined []*occurrence, edges []edge) {
	alias, taken := map[*occurrence]string{}, map[string]bool{}
	for _, o := range joined {
		name := o.alias
		for n := 2; taken[name]; n++ {
			name = fmt.Sprintf("%s_%d", o.alias, n)
		}
		alias[o], taken[name] = r.ident(name), true
	}
	say := func(v value) string {
		name, comparison, _ := r.catalogue.Column(v.of.oid, v.number)
		column := alias[v.of] + "." + r.ident(name)
		if v.text && comparison != comparesAsText {
			column += "::text"
		}
		return column
	}
	for key, at := range found {
		w.keys[key] = say(at)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "FROM changed %s", alias[joined[0]])
	said := map[*occurrence]bool{joined[0]: true}
	for _, o := range joined[1:] {
		table, _ := r.catalogue.Table(o.oid)
		var on []string
		said[o] = true
		for _, e := range edges {
			if said[e.a.of] && said[e.b.of] && (e.a.of == o || e.b.of == o) {
				if equal := say(e.a) + " = " + say(e.b); !slices.Contains(on, equal) {
					on = append(on, equal)
				}
			}
		}
		fmt.Fprintf(&b, " JOIN %s %s ON %s", r.qualified(table), alias[o], strings.Join(on, " AND "))
	}
	w.from = b.String()
}

// join makes one route of the ways of a table's mentions: they must lead to the same
// key columns.
func (r *reading) join(ways []way, keys []string) (Route, bool) {
	var reached []string
	for _, key := range keys {
		if !slices.ContainsFunc(ways, func(w way) bool { return w.keys[key] == "" }) {
			reached = append(reached, key)
		}
	}
	if len(reached) == 0 {
		return Route{}, false
	}
	if w := ways[0]; len(ways) == 1 {
		last := keys[len(keys)-1]
		switch {
		case len(w.row) == len(reached):
			return Route{Columns: w.row}, true
		case w.row[last] != "": // the entity's own row: all its organizations
			return Route{Columns: map[string]string{last: w.row[last]}}, true
		}
	}
	var selects []string
	for _, w := range ways {
		columns := make([]string, len(reached))
		for i, key := range reached {
			columns[i] = w.keys[key] + " AS " + r.ident(key)
		}
		if s := "SELECT " + strings.Join(columns, ", ") + " " + w.from; !slices.Contains(selects, s) {
			selects = append(selects, s)
		}
	}
	return Route{Select: strings.Join(selects, "\nUNION ALL ")}, true
}

func (r *reading) qualified(t schemas.Table) string {
	if t.Schema == "public" && t.Name != "changed" {
		return r.ident(t.Name)
	}
	return r.ident(t.Schema) + "." + r.ident(t.Name)
}

// ident is a name as SQL needs it.
func (r *reading) ident(s string) string {
	for i, c := range s {
		if c != '_' && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return schemas.QuoteIdent(s)
		}
	}
	if s == "" || r.catalogue.Reserved[s] {
		return schemas.QuoteIdent(s)
	}
	return s
}
