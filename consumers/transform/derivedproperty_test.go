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
	"github.com/backstitch/backstitch/integration/testenv"
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
		if n := rapid.SampledFrom(of).Draw(t, "number"); n != 0 {
			return schema.number(n)
		}
		return ""
	}
	c := anyChange{table: rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "table"), id: number(1, 2, 3)}
	if rapid.IntRange(0, 3).Draw(t, "change") > 0 {
		c.row = &anyRow{
			k: number(0, 1, 1, 2, 2, 3), l: number(0, 1, 1, 2, 2, 3),
			v: rapid.SampledFrom([]string{"p", "q", "X"}).Draw(t, "v"), c: rapid.SampledFrom(schema.values).Draw(t, "c"),
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
	m      *CompiledMapping
}

// entities evaluates the mapping.
func (tr *trial) entities(ctx context.Context, conn *pgx.Conn, s anyState) (map[consumers.Key]string, error) {
	rows, err := conn.Query(ctx, s.over(tr.schema, "", `SELECT q.organization_external_id::text, q.external_id::text,
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
func (tr *trial) touched(ctx context.Context, conn *pgx.Conn, i int, changed map[string]anyRow, s anyState, to map[consumers.Key]bool) error {
	route, ok := tr.m.Routes[anyTables[i]]
	if !ok || len(changed) == 0 {
		return nil
	}
	expressions := make([]string, 2)
	for n, key := range consumers.KeyColumns(consumers.Member) {
		expressions[n] = "'*'"
		if slices.Contains(route.Keys, key) {
			expressions[n] = "coalesce(r." + key + "::text, '')"
		}
	}
	rows, err := conn.Query(ctx, s.over(tr.schema, relation("changed", i, tr.schema, changed),
		"SELECT "+strings.Join(expressions, ", ")+" FROM ("+route.SQL()+") r"), pgx.QueryExecModeSimpleProtocol)
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
func (tr *trial) missed(ctx context.Context, conn *pgx.Conn, before, after anyState) (string, error) {
	was, err := tr.entities(ctx, conn, before)
	if err != nil {
		return "", err
	}
	is, err := tr.entities(ctx, conn, after)
	if err != nil {
		return "", err
	}
	touched := map[consumers.Key]bool{}
	for i, t := range anyTables {
		if err := tr.touched(ctx, conn, i, differing(before[t.Name], after[t.Name]), before, touched); err != nil {
			return "", err
		}
		if err := tr.touched(ctx, conn, i, differing(after[t.Name], before[t.Name]), after, touched); err != nil {
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
func (tr *trial) follow(ctx context.Context, rt *rapid.T, conn *pgx.Conn) {
	state := anyState{}.clone()
	for range rapid.IntRange(4, 14).Draw(rt, "rows") {
		state.change(drawChange(rt, tr.schema))
	}
	for range rapid.IntRange(3, 8).Draw(rt, "fills") {
		before := state.clone()
		var changes []anyChange
		for range rapid.IntRange(1, 3).Draw(rt, "changes") {
			c := drawChange(rt, tr.schema)
			for _, t := range anyTables {
				if _, routed := tr.m.Routes[t]; t.Name == c.table && (routed || !slices.Contains(tr.m.Reads, t)) {
					state.change(c)
					changes = append(changes, c)
				}
			}
		}
		if len(changes) == 0 {
			continue
		}
		missed, err := tr.missed(ctx, conn, before, state)
		if refused := new(pgconn.PgError); errors.As(err, &refused) && refused.Code[:2] == "22" {
			continue // a value of the data breaks the mapping, or a route: it is swept then
		}
		if err != nil {
			rt.Fatalf("%s\nroutes %v\n%v", tr.sql, said(tr.m), err)
		}
		if missed != "" {
			rt.Fatalf("%s\nroutes %v\nbefore %v\nafter %v\n%s", tr.sql, said(tr.m), before, state, missed)
		}
	}
}

// Whatever a mapping says and whatever changes, no entity changes that a derived
// route had not touched.
func TestDerivedRoutesMissNothing(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	made := `CREATE EXTENSION citext; CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); SET jit = off`
	if _, err := conn.Exec(ctx, made); err != nil {
		t.Fatal(err)
	}
	var mappings, routed, swept int
	try := func(rt *rapid.T) {
		tr := &trial{schema: rapid.SampledFrom(drawnSchemas).Draw(rt, "schema")}
		if ddl := tr.schema.ddl(); ddl != made {
			if _, err := conn.Exec(ctx, "DROP TABLE IF EXISTS a, b, c, d; "+ddl); err != nil {
				rt.Fatal(err)
			}
			made = ddl
		}
		tr.sql = anyMembers(rt, tr.schema)
		plan, err := Compile(ctx, conn, anyTables, []consumers.Mapping{{Kind: consumers.Member, Select: tr.sql}})
		if err != nil && strings.Contains(err.Error(), "in a collation where") {
			return // a key that is refused
		}
		if err != nil {
			rt.Fatalf("%s\n%v", tr.sql, err)
		}
		tr.m = plan.Mapping(consumers.Member)
		mappings, routed, swept = mappings+1, routed+len(tr.m.Routes), swept+len(tr.m.Swept)
		if len(tr.m.Routes) > 0 {
			tr.follow(ctx, rt, conn)
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
