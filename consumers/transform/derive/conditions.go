package derive

// A subquery that is asked with IN or ANY, and the parameter that stands for a column
// of its result (primnodes.h).
const (
	linkAny     = 2
	paramOfLink = 2
)

// conditions reads an ON or WHERE: the equalities among what all must hold.
func (r *reading) conditions(s *scope, values []any, in *region) {
	r.expression(s, values, in)
	for _, v := range values {
		r.conjunct(s, v, in, true)
	}
}

// conjunct reads a condition that makes rows there, and never makes them gone: alone,
// under AND, or under OR, where it is not certain that it holds.
func (r *reading) conjunct(s *scope, v any, in *region, certain bool) {
	if l, ok := v.(list); ok {
		for _, item := range l {
			r.conjunct(s, item, in, certain)
		}
		return
	}
	n, _ := v.(*node)
	if n == nil {
		return
	}
	switch op := n.text("boolop"); {
	case n.kind == "BOOLEXPR" && op != "not":
		for _, arg := range n.nodes("args") {
			r.conjunct(s, arg, in, certain && op == "and")
		}
	case n.kind == "SUBLINK" && n.number("subLinkType") == linkAny:
		// IN: a row of the subquery only matters to rows that it equals. A NULL there is
		// as good as no row here, because nothing negates it.
		if asked := r.asked[n.node("subselect")]; asked != nil && asked.parent == s {
			s.asked = asked
			r.conjunct(s, n.node("testexpr"), asked.region, true)
			s.asked = nil
		}
	case n.kind == "OPEXPR" && certain:
		r.equality(s, n, in)
	}
}

func (r *reading) equality(s *scope, n *node, in *region) {
	args := n.nodes("args")
	if len(args) != 2 || !r.catalogue.Equality(n.oid("opno"), n.oid("inputcollid")) {
		return
	}
	a, okA := s.resolve(args[0])
	b, okB := s.resolve(args[1])
	if okA && okB && a.of != b.of && r.says(a) && r.says(b) {
		r.edges = append(r.edges, edge{a, b, in})
	}
}

// says: the column's own value says what the expression is. The text of a value that
// stands for others need not be theirs: 'x' for 'X' in citext, 1.0 for 1.00
// (hazard C42).
func (r *reading) says(v value) bool {
	return !v.text || !v.folded || r.comparison(v.column) != ""
}

// expression reads the subqueries of expressions.
func (r *reading) expression(s *scope, values []any, in *region) {
	walk(values, func(n *node) bool {
		switch n.kind {
		case "QUERY":
			r.asked[n] = r.query(n, s, &region{in})
			return false
		case "COMMONTABLEEXPR":
			return false
		}
		return true
	})
}
