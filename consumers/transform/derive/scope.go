package derive

import (
	"math"
	"slices"
)

// The kinds of range table entries, and of joins (parsenodes.h, nodes.h).
const (
	kindRelation = 0
	kindSubquery = 1
	kindJoin     = 2
	kindCTE      = 6
	kindGroup    = 9

	joinInner = 0
	joinLeft  = 1
	joinRight = 3
)

// region is a part of the query that a row of the result need not have: the side of
// an outer join that may be absent, a subquery in an expression or behind a LIMIT.
// Everything of a region is there at once, and with it the region around it.
type region struct{ around *region }

// occurrence is one mention of a captured table.
type occurrence struct {
	oid    uint32
	alias  string
	region *region
}

// column is a column of an occurrence, by its number in the table.
type column struct {
	of     *occurrence
	number int16
}

// value is a column as an expression reads it.
type value struct {
	column
	text bool // under the name text or varchar, whatever its own type
	// folded: it came through GROUP BY, DISTINCT or a partition, where one value stands
	// for all that are equal to it, whatever their texts.
	folded bool
}

// edge is an equality of two columns that holds in every row that has its region.
type edge struct {
	a, b   value
	region *region
}

// scope is a query with what its range table stands for.
type scope struct {
	query  *node
	parent *scope
	region *region
	tables map[int]*occurrence
	subs   map[int]*scope
	// opaque: a row of this query is no row of its FROM, so no column of the result
	// stands for a column of a table.
	opaque bool
	// shared: only these columns (ressortgroupref) have one value in all rows of the
	// result that a row of the FROM affects; nil: all of them.
	shared map[string]bool
	asked  *scope // the subquery of the IN that is read
	// folds: a row of the result stands for several of the FROM.
	folds bool
}

// reading is what was read of a whole SELECT.
type reading struct {
	catalogue   *Catalogue
	occurrences []*occurrence
	edges       []edge
	seen        map[*node]bool
	asked       map[*node]*scope // the subqueries of expressions
	unknown     string           // why nothing can be derived at all
}

// query reads a query whose rows are in a region.
func (r *reading) query(q *node, parent *scope, in *region) *scope {
	s := &scope{query: q, parent: parent, region: in, tables: map[int]*occurrence{}, subs: map[int]*scope{}}
	s.opaque, s.shared = shape(q)
	s.folds = !q.empty("groupClause") || !q.empty("distinctClause") || q.is("hasWindowFuncs")
	if q.text("commandType") != "1" || q.is("hasModifyingCTE") {
		r.unknown = "it is no plain SELECT"
		return s
	}
	for _, cte := range q.nodes("cteList") {
		if cte.is("cterecursive") {
			r.unknown = "it uses WITH RECURSIVE"
			return s
		}
	}
	if !q.empty("setOperations") {
		for _, entry := range q.nodes("rtable") {
			if entry.number("rtekind") == kindSubquery {
				r.query(entry.node("subquery"), s, &region{in})
			}
		}
	} else if from := q.node("jointree"); from != nil {
		r.from(s, from, in)
		r.conditions(s, from.fields["quals"], in)
	}
	for name, values := range q.fields {
		if name != "cteList" && name != "rtable" && name != "jointree" {
			r.expression(s, values, in)
		}
	}
	return s
}

// shape says how the rows of a query's result belong to the rows of its FROM.
func shape(q *node) (opaque bool, shared map[string]bool) {
	grouped := !q.empty("groupClause")
	if !q.empty("setOperations") || !q.empty("limitCount") || !q.empty("limitOffset") || !q.empty("groupingSets") ||
		!grouped && (q.is("hasAggs") || !q.empty("havingQual")) {
		return true, nil
	}
	restrict := func(clause []*node) {
		refs := map[string]bool{}
		for _, item := range clause {
			if ref := item.text("tleSortGroupRef"); shared == nil || shared[ref] {
				refs[ref] = true
			}
		}
		shared = refs
	}
	if q.is("hasDistinctOn") {
		restrict(q.nodes("distinctClause"))
	}
	if q.is("hasWindowFuncs") {
		for _, w := range q.nodes("windowClause") {
			restrict(w.nodes("partitionClause"))
		}
	}
	return false, shared
}

// from reads an item of a FROM clause.
func (r *reading) from(s *scope, item *node, in *region) {
	switch item.kind {
	case "FROMEXPR":
		for _, child := range item.nodes("fromlist") {
			r.from(s, child, in)
		}
	case "RANGETBLREF":
		r.entry(s, item.number("rtindex"), in)
	case "JOINEXPR":
		left, right, on := in, in, in
		switch item.number("jointype") {
		case joinInner:
		case joinLeft:
			right = &region{in}
			on = right
		case joinRight:
			left = &region{in}
			on = left
		default:
			r.unknown = "it uses FULL JOIN"
			return
		}
		r.from(s, item.node("larg"), left)
		r.from(s, item.node("rarg"), right)
		r.conditions(s, item.fields["quals"], on)
	default:
		r.unknown = "its FROM is not understood"
	}
}

// entry reads what a FROM clause names.
func (r *reading) entry(s *scope, index int, in *region) {
	entry := s.rangeTable(index)
	if entry == nil {
		r.unknown = "its FROM is not understood"
		return
	}
	switch entry.number("rtekind") {
	case kindRelation:
		r.seen[entry] = true
		o := &occurrence{oid: entry.oid("relid"), region: in}
		if name := entry.node("eref"); name != nil {
			o.alias = name.text("aliasname")
		}
		s.tables[index] = o
		r.occurrences = append(r.occurrences, o)
		if !entry.empty("tablesample") {
			r.unknown = "it samples rows"
		}
	case kindSubquery:
		s.subs[index] = r.subquery(entry.node("subquery"), s, in)
	case kindCTE:
		at := s
		for range entry.number("ctelevelsup") {
			if at = at.parent; at == nil {
				break
			}
		}
		if q := at.cte(entry.text("ctename")); q != nil {
			s.subs[index] = r.subquery(q, at, in)
		} else {
			r.unknown = "a CTE of it is not understood"
		}
	default: // a function, VALUES: rows that depend on the other tables' only
		r.expression(s, []any{entry}, in)
	}
}

func (r *reading) subquery(q *node, parent *scope, in *region) *scope {
	if q == nil {
		r.unknown = "a subquery of it is not understood"
		return nil
	}
	if opaque, _ := shape(q); opaque {
		in = &region{in}
	}
	return r.query(q, parent, in)
}

func (s *scope) rangeTable(index int) *node {
	if entries := s.query.nodes("rtable"); index >= 1 && index <= len(entries) {
		return entries[index-1]
	}
	return nil
}

func (s *scope) cte(name string) *node {
	if s == nil {
		return nil
	}
	for _, cte := range s.query.nodes("cteList") {
		if cte.text("ctename") == name {
			return cte.node("ctequery")
		}
	}
	return nil
}

// The types whose values are the same under either name (pg_type.dat).
const (
	typeText    = "25"
	typeVarchar = "1043"
)

// resolve finds the table's column that an expression is, whatever subqueries it
// came through. What only calls a type text counts as the column still.
func (s *scope) resolve(n *node) (v value, ok bool) {
	text := false
	for n != nil && n.kind == "RELABELTYPE" {
		if t := n.text("resulttype"); t != typeText && t != typeVarchar {
			return v, false
		}
		text, n = true, n.node("arg")
	}
	if n != nil && n.kind == "PARAM" && s.asked != nil && n.number("paramkind") == paramOfLink {
		if target := s.asked.target(n.number("paramid")); target != nil {
			v, ok = s.asked.resultColumn(target.node("expr"))
			v.text = v.text || text
		}
		return v, ok
	}
	if n == nil || n.kind != "VAR" {
		return v, false
	}
	at := s
	for range n.number("varlevelsup") {
		if at = at.parent; at == nil {
			return v, false
		}
	}
	v, ok = at.variable(n.number("varno"), n.number("varattno"))
	v.text = v.text || text
	return v, ok
}

// resultColumn resolves the expression of a column of the query's result.
func (s *scope) resultColumn(n *node) (v value, ok bool) {
	v, ok = s.resolve(n)
	v.folded = v.folded || s.folds
	return v, ok
}

// variable resolves a column of an entry of the range table.
func (s *scope) variable(index, number int) (v value, ok bool) {
	if number < 1 || number > math.MaxInt16 {
		return v, false // a system column, or the whole row
	}
	if o := s.tables[index]; o != nil {
		return value{column: column{o, int16(number)}}, true
	}
	if sub := s.subs[index]; sub != nil {
		if target := sub.target(number); target != nil {
			return sub.resultColumn(target.node("expr"))
		}
		return v, false
	}
	entry := s.rangeTable(index)
	if entry == nil {
		return v, false
	}
	same := map[int]string{kindJoin: "joinaliasvars", kindGroup: "groupexprs"}[entry.number("rtekind")]
	if expressions := entry.nodes(same); number <= len(expressions) {
		return s.resolve(expressions[number-1])
	}
	return v, false
}

// target finds a column of the result, by its number, when its value is that of the
// rows of the FROM that it came from.
func (s *scope) target(number int) *node {
	targets := s.query.nodes("targetList")
	i := slices.IndexFunc(targets, func(t *node) bool { return t.number("resno") == number })
	if i < 0 || s.opaque || s.shared != nil && !s.shared[targets[i].text("ressortgroupref")] {
		return nil
	}
	return targets[i]
}
