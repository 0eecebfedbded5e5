// Package derive finds, in what PostgreSQL keeps of a mapping's SELECT, which
// entities a changed row of a table touches: the route that somebody would write.
//
// A derived route names every entity that the change of a row can touch, and perhaps
// others, whose evaluation then finds nothing. It follows equalities of columns
// that hold in every row of the result, and drops every other condition. What cannot
// be followed that way gets no route, and is swept (decision 0022).
package derive

import (
	"fmt"
	"slices"

	"github.com/backstitch/backstitch/schemas"
)

// Catalogue is what must be known of the database.
type Catalogue struct {
	// Table names a captured table.
	Table func(oid uint32) (schemas.Table, bool)
	// Column names a column and says how it compares: two columns of one comparison
	// are equal where their texts are. "" when texts say nothing.
	Column func(oid uint32, number int16) (name, comparison string, ok bool)
	// Equality: the operator is =, and compares like a btree index does, in a
	// collation where equal texts have equal bytes.
	Equality func(operator, collation uint32) bool
	// Reserved words need quotes as names.
	Reserved map[string]bool
}

// Route is a way from a changed row to keys. One of Columns and Select is set.
type Route struct {
	// Columns maps key columns to columns of the changed row.
	Columns map[string]string
	// Select yields key columns for the row of the relation "changed".
	Select string
}

// Routes derives the routes of a SELECT by the tree of a view over it
// (pg_rewrite.ev_action). keys names its key columns, the organization's first. For
// a table without a route, why says what stands against one. An error means that the
// tree is not what this version knows: then nothing is derived.
func Routes(tree string, keys []string, catalogue *Catalogue) (routes map[schemas.Table]Route, why map[schemas.Table]string, err error) {
	root, err := rootOf(tree)
	if err != nil {
		return nil, nil, err
	}
	r := &reading{catalogue: catalogue, seen: map[*node]bool{}, asked: map[*node]*scope{}}
	ways := map[schemas.Table][]way{}
	why = map[schemas.Table]string{}
	for _, arm := range arms(root) {
		r.occurrences, r.edges = nil, nil
		s := r.query(arm.query, arm.parent, &region{})
		if r.unknown != "" {
			break
		}
		r.follow(s, keys, numbers(root, keys), ways, why)
	}
	if r.unknown == "" && opaqueUnion(root) {
		r.unknown = "a LIMIT chooses among all its rows"
	}
	for _, t := range r.mentioned(root) {
		switch {
		case r.unknown != "":
			why[t.table] = r.unknown
		case !t.seen && why[t.table] == "":
			why[t.table] = "it stands where the derivation does not look"
		}
	}
	routes = map[schemas.Table]Route{}
	for table, list := range ways {
		if why[table] != "" {
			continue
		}
		route, ok := r.join(list, keys)
		if !ok {
			why[table] = "its mentions lead to different key columns"
			continue
		}
		routes[table] = route
	}
	return routes, why, nil
}

func rootOf(tree string) (*node, error) {
	v, err := parse(tree)
	if err != nil {
		return nil, err
	}
	if l, ok := v.(list); ok && len(l) == 1 {
		if q, ok := l[0].(*node); ok && q.kind == "QUERY" {
			return q, nil
		}
	}
	return nil, fmt.Errorf("%w: it is no query", errTree)
}

// numbers finds the key columns in the result: the arms of a UNION may name theirs
// otherwise.
func numbers(root *node, keys []string) map[string]int {
	list := map[string]int{}
	for _, t := range root.nodes("targetList") {
		if name := t.text("resname"); slices.Contains(keys, name) && !t.is("resjunk") {
			list[name] = t.number("resno")
		}
	}
	return list
}

// arm is a query whose rows are rows of the result.
type arm struct {
	query  *node
	parent *scope
}

// arms are the SELECTs of a UNION, or of another set operation: what each says of a
// key depends on nothing that it says of another key.
func arms(q *node) []arm {
	if q.empty("setOperations") {
		return []arm{{query: q}}
	}
	s := &scope{query: q}
	var list []arm
	walk(q.fields["setOperations"], func(n *node) bool {
		if n.kind == "RANGETBLREF" {
			if entry := s.rangeTable(n.number("rtindex")); entry != nil && entry.node("subquery") != nil {
				list = append(list, arm{entry.node("subquery"), s})
			}
		}
		return true
	})
	return list
}

func opaqueUnion(q *node) bool {
	return !q.empty("setOperations") && (!q.empty("limitCount") || !q.empty("limitOffset"))
}

type mention struct {
	table schemas.Table
	seen  bool
}

// mentioned lists the captured tables of the whole tree, and whether the reading saw
// them there.
func (r *reading) mentioned(root *node) []mention {
	var list []mention
	walk(root, func(n *node) bool {
		if n.kind == "RANGETBLENTRY" && n.number("rtekind") == kindRelation {
			if t, ok := r.catalogue.Table(n.oid("relid")); ok {
				list = append(list, mention{t, r.seen[n]})
			}
		}
		return true
	})
	return list
}
