package transform

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/transform/derive"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
)

// derive finds routes for the tables that a mapping reads and that somebody wrote no
// route for. What PostgreSQL does not take for a route after all is swept.
func (c *compiler) derive(ctx context.Context, m consumers.Mapping, v *view, compiled *CompiledMapping) error {
	var missing []schemas.Table
	compiled.Swept = map[schemas.Table]string{}
	for _, t := range compiled.Reads {
		switch route, written := m.Routes[t]; {
		case route.Sweep:
			compiled.Swept[t] = "as is written"
		case !written:
			missing = append(missing, t)
		}
	}
	if len(missing) == 0 || c.findings.refused() {
		return nil
	}
	known, err := c.catalogue(ctx, v)
	if err != nil {
		return err
	}
	routes, why, err := derive.Routes(v.tree, consumers.KeyColumns(m.Kind), known)
	if err != nil {
		why, routes = map[schemas.Table]string{}, nil
	}
	for _, t := range missing {
		reason := why[t]
		if route, ok := routes[t]; ok {
			if reason, err = c.derived(ctx, m.Kind, t, route, compiled); err != nil {
				return err
			}
		} else if reason == "" {
			reason = "this version of PostgreSQL keeps it in a form that is not understood"
		}
		if reason != "" {
			compiled.Swept[t] = reason
			c.warn(string(m.Kind)+"s.routes", "Add a route for it where one exists",
				"has no route for %s, which the select reads, and none can be derived (%s): its changes are found by sweeps only, and deletes that they cause wait for consent",
				shortName(t), reason)
		}
	}
	return nil
}

// derived compiles a derived route as a written one is; what would be found against
// it is the reason to sweep instead.
func (c *compiler) derived(ctx context.Context, kind consumers.Kind, t schemas.Table, r derive.Route, m *CompiledMapping) (reason string, err error) {
	before := len(c.findings)
	if err := c.route(ctx, kind, t, consumers.Route{Columns: r.Columns, Select: r.Select}, m); err != nil {
		return "", err
	}
	if found := c.findings[before:]; len(found) > 0 {
		reason = found[0].What
		c.findings = c.findings[:before]
		delete(m.Routes, t)
		return reason, nil
	}
	route := m.Routes[t]
	route.Derived = true
	m.Routes[t] = route
	return "", nil
}

type columnAt struct {
	table  uint32
	number int16
}

type namedColumn struct{ name, comparison string }

// catalogue asks the catalogue what the derivation wants to know of it.
func (c *compiler) catalogue(ctx context.Context, v *view) (*derive.Catalogue, error) {
	columns := map[columnAt]namedColumn{}
	types := map[uint32]sqlType{}
	for _, t := range c.tables {
		for _, col := range t.columns {
			if _, ok := types[col.typeOID]; !ok {
				found, err := c.sqlType(ctx, col.typeOID)
				if err != nil {
					return nil, err
				}
				types[col.typeOID] = found
			}
			columns[columnAt{t.oid, col.number}] = namedColumn{col.name, types[col.typeOID].comparison()}
		}
	}
	equalities, err := c.equalities(ctx, v)
	if err != nil {
		return nil, err
	}
	rows, err := c.tx.Query(ctx, `SELECT word FROM pg_get_keywords() WHERE catcode <> 'U'`)
	if err != nil {
		return nil, err
	}
	words, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	reserved := map[string]bool{}
	for _, w := range words {
		reserved[w] = true
	}
	return &derive.Catalogue{
		Reserved: reserved,
		Equality: func(operator, collation uint32) bool { return equalities[[2]uint32{operator, collation}] },
		Table: func(oid uint32) (name schemas.Table, ok bool) {
			t := c.oids[oid]
			if t == nil {
				return name, false
			}
			return t.name, true
		},
		Column: func(oid uint32, number int16) (name, comparison string, ok bool) {
			col, ok := columns[columnAt{oid, number}]
			return col.name, col.comparison, ok
		},
	}, nil
}

// equalities are the operators of a view, with their collations, that are what =
// says: btree's equality, found by search_path, of a deterministic collation.
func (c *compiler) equalities(ctx context.Context, v *view) (map[[2]uint32]bool, error) {
	found := map[[2]uint32]bool{}
	for _, m := range nodeOperator.FindAllStringSubmatch(v.tree, -1) {
		operator, _ := strconv.ParseUint(m[1], 10, 32)
		collation, _ := strconv.ParseUint(m[2], 10, 32)
		found[[2]uint32{uint32(operator), uint32(collation)}] = false
	}
	pairs := slices.Collect(maps.Keys(found))
	for _, pair := range pairs {
		var equal bool
		err := c.tx.QueryRow(ctx, `SELECT o.oprname = '=' AND pg_operator_is_visible(o.oid) AND coalesce(l.collisdeterministic, true)
			AND EXISTS (SELECT FROM pg_amop a JOIN pg_am m ON m.oid = a.amopmethod
			            WHERE a.amopopr = o.oid AND m.amname = 'btree' AND a.amopstrategy = 3)
			FROM pg_operator o LEFT JOIN pg_collation l ON l.oid = $2 WHERE o.oid = $1`, pair[0], pair[1]).Scan(&equal)
		if err != nil {
			return nil, err
		}
		found[pair] = equal
	}
	return found, nil
}

// SQL is the route as a SELECT over the relation changed, whichever way it is kept.
func (r CompiledRoute) SQL() string {
	if r.Select != "" {
		return r.Select
	}
	columns := make([]string, len(r.Keys))
	for i, key := range r.Keys {
		columns[i] = "c." + sqlIdent(r.Columns[key]) + " AS " + key
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM changed c"
}
