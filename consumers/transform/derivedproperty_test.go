package transform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/transform/derive"
	"github.com/backstitch/backstitch/schemas"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"
)

var anyTables = public("a", "b", "c", "d")

// anyRow is a row of a drawn table; "" is NULL.
type anyRow struct{ k, l, v, c string }

// anyState is what the four tables hold: rows by table and id.
type anyState map[string]map[string]anyRow

func (s anyState) clone() anyState {
	to := anyState{}
	for _, t := range anyTables {
		to[t.Name] = maps.Clone(s[t.Name])
		if to[t.Name] == nil {
			to[t.Name] = map[string]anyRow{}
		}
	}
	return to
}

// anyChange changes a row as the legacy system may.
type anyChange struct {
	table, id string
	row       *anyRow // nil: deleted
}

func drawChange(t *rapid.T, schema drawnSchema) anyChange {
	number := func(of ...int) string {
		if n := of[evenly(t, len(of), "number")]; n != 0 {
			return schema.number(n)
		}
		return ""
	}
	c := anyChange{table: anyTables[evenly(t, len(anyTables), "table")].Name, id: number(1, 2, 3)}
	if evenly(t, 4, "change") > 0 {
		c.row = &anyRow{
			k: number(0, 1, 1, 2, 2, 3), l: number(0, 1, 1, 2, 2, 3),
			v: []string{"p", "q", "X"}[evenly(t, 3, "v")], c: schema.values[evenly(t, len(schema.values), "c")],
		}
	}
	return c
}

func (s anyState) change(c anyChange) {
	if c.row == nil {
		delete(s[c.table], c.id)
		return
	}
	s[c.table][c.id] = *c.row
}

// relation is a WITH item that holds rows.
func relation(name string, i int, schema drawnSchema, rows map[string]anyRow) string {
	list := make([]map[string]any, 0, len(rows))
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		null := func(s string) any {
			if s == "" {
				return nil
			}
			return s
		}
		r := rows[id]
		list = append(list, map[string]any{"id": id, "k": null(r.k), "l": null(r.l), "v": r.v, "c": r.c})
	}
	content, err := json.Marshal(list)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("%s AS (SELECT * FROM jsonb_to_recordset('%s') AS x (%s))", name, content, schema.columns(i, ""))
}

// over evaluates a SELECT over a state instead of tables.
func (s anyState) over(schema drawnSchema, more, sql string) string {
	var with []string
	for i, t := range anyTables {
		with = append(with, relation(t.Name, i, schema, s[t.Name]))
	}
	if more != "" {
		with = append(with, more)
	}
	return "WITH " + strings.Join(with, ", ") + " " + sql
}

// trial is one drawn mapping with its routes.
type trial struct {
	schema drawnSchema
	sql    string
	conn   *pgx.Conn
	routes map[schemas.Table]derive.Route
	why    map[schemas.Table]string
}

// entities evaluates the mapping.
func (tr *trial) entities(ctx context.Context, s anyState) (map[consumers.Key]string, error) {
	rows, err := tr.conn.Query(ctx, s.over(tr.schema, "", `SELECT q.organization_external_id::text, q.external_id::text,
		string_agg(coalesce(q.email_address, '-'), '|' ORDER BY q.email_address COLLATE "C") FROM (`+tr.sql+`) q
		WHERE q.organization_external_id IS NOT NULL AND q.external_id IS NOT NULL GROUP BY 1, 2`), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return nil, err
	}
	found := map[consumers.Key]string{}
	var k consumers.Key
	var email string
	_, err = pgx.ForEachRow(rows, []any{&k.Organization, &k.Entity, &email}, func() error {
		found[k] = email
		return nil
	})
	return found, err
}

// touched follows a table's route over changed rows. The keys that it does not name
// are "*": any.
func (tr *trial) touched(ctx context.Context, i int, changed map[string]anyRow, s anyState, to map[consumers.Key]bool) error {
	route, ok := tr.routes[anyTables[i]]
	if !ok || len(changed) == 0 {
		return nil
	}
	found := (CompiledRoute{Columns: route.Columns, Select: route.Select, Keys: slices.Sorted(maps.Keys(route.Columns))}).SQL()
	expressions := make([]string, 2)
	for n, key := range consumers.KeyColumns(consumers.Member) {
		expressions[n] = "'*'"
		if strings.Contains(found, " AS "+key) {
			expressions[n] = "coalesce(r." + key + "::text, '')"
		}
	}
	rows, err := tr.conn.Query(ctx, s.over(tr.schema, relation("changed", i, tr.schema, changed),
		"SELECT "+strings.Join(expressions, ", ")+" FROM ("+found+") r"), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return err
	}
	var k consumers.Key
	_, err = pgx.ForEachRow(rows, []any{&k.Organization, &k.Entity}, func() error {
		to[k] = true
		return nil
	})
	return err
}

// differing are the rows of a table that one state has and the other has not.
func differing(one, other map[string]anyRow) map[string]anyRow {
	rows := map[string]anyRow{}
	for id, r := range one {
		if o, ok := other[id]; !ok || o != r {
			rows[id] = r
		}
	}
	return rows
}

// missed names an entity that differs between two states though no route touched it:
// routes see the old images in the old state, and the new ones in the new (hazard C1).
func (tr *trial) missed(ctx context.Context, before, after anyState, was, is map[consumers.Key]string) (string, error) {
	touched := map[consumers.Key]bool{}
	for i, t := range anyTables {
		if err := tr.touched(ctx, i, differing(before[t.Name], after[t.Name]), before, touched); err != nil {
			return "", err
		}
		if err := tr.touched(ctx, i, differing(after[t.Name], before[t.Name]), after, touched); err != nil {
			return "", err
		}
	}
	for k := range union(was, is) {
		byOrganization, byEntity := consumers.Key{Organization: k.Organization, Entity: "*"}, consumers.Key{Organization: "*", Entity: k.Entity}
		if was[k] != is[k] && !touched[k] && !touched[byOrganization] && !touched[byEntity] {
			return fmt.Sprintf("%s/%s was %q, is %q, and was not touched", k.Organization, k.Entity, was[k], is[k]), nil
		}
	}
	return "", nil
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

// follow plays changes of the tables that have a route; those that are swept stay as
// they are.
func (tr *trial) follow(ctx context.Context, rt *rapid.T) {
	state := anyState{}.clone()
	for range 4 + evenly(rt, 11, "rows") {
		state.change(drawChange(rt, tr.schema))
	}
	var was map[consumers.Key]string
	for range 6 + evenly(rt, 6, "fills") {
		before := state.clone()
		for range 1 + evenly(rt, 2, "changes") {
			c := drawChange(rt, tr.schema)
			if !slices.ContainsFunc(anyTables, func(t schemas.Table) bool { return t.Name == c.table && tr.why[t] != "" }) {
				state.change(c)
			}
		}
		var missed string
		is, err := tr.entities(ctx, state)
		if err == nil && was != nil {
			missed, err = tr.missed(ctx, before, state, was, is)
		}
		was = is
		if refused := new(pgconn.PgError); errors.As(err, &refused) && (refused.Code[:2] == "22" || refused.Code == "57014") {
			was = nil
			continue // a value breaks the mapping, or a route, which is swept then; or it takes too long to prove something
		}
		if refused := new(pgconn.PgError); errors.As(err, &refused) && refused.Code[:2] == "42" {
			return // Compile refuses such a route, and sweeps
		}
		if err != nil {
			rt.Fatalf("%s\nroutes %v\n%v", tr.sql, tr.routes, err)
		}
		if missed != "" {
			rt.Fatalf("%s\nroutes %v\nbefore %v\nafter %v\n%s", tr.sql, tr.routes, before, state, missed)
		}
	}
}

// Whatever a mapping says and whatever changes, no entity changes that a derived
// route had not touched.
func TestDerivedRoutesMissNothing(t *testing.T) {
	t.Parallel()
	d := newDeriving(t)
	var mappings, routed, swept int
	try := func(rt *rapid.T) {
		tr := &trial{schema: drawnSchemas[evenly(rt, len(drawnSchemas), "schema")], conn: d.conn}
		tr.sql = anyMembers(rt, tr.schema)
		if err := d.derive(tr); errors.Is(err, errLooseKey) {
			return
		} else if err != nil {
			rt.Fatalf("%s\n%v", tr.sql, err)
		}
		mappings, routed, swept = mappings+1, routed+len(tr.routes), swept+len(tr.why)
		if len(tr.routes) > 0 {
			tr.follow(t.Context(), rt)
		}
	}
	for enough := time.Now().Add(derivedFor(t)); time.Now().Before(enough) && !t.Failed(); {
		rapid.Check(t, try)
	}
	t.Logf("%d mappings: %d tables routed, %d swept", mappings, routed, swept)
	if routed == 0 || swept == 0 {
		t.Errorf("the mappings prove nothing: %d tables are routed, %d swept", routed, swept)
	}
}

// derivedFor is how long mappings are drawn: the rounds that catch a broken
// derivation take longer than those that find one sound (BACKSTITCH_DERIVED_FOR).
func derivedFor(t *testing.T) time.Duration {
	said := os.Getenv("BACKSTITCH_DERIVED_FOR")
	if said == "" {
		return 10 * time.Second
	}
	d, err := time.ParseDuration(said)
	if err != nil {
		t.Fatalf("BACKSTITCH_DERIVED_FOR: %v", err)
	}
	return d
}
