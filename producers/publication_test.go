package producers_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
)

// TestPublication: column lists, row filters and partition roots are the
// publication's, not the table's (hazard S9).
func TestPublication(t *testing.T) {
	t.Parallel()
	conn := open(t,
		`CREATE TABLE "Some" (a int, "B" text, c int, PRIMARY KEY (c))`,
		`CREATE TABLE whole (id int PRIMARY KEY, v text)`, `ALTER TABLE whole REPLICA IDENTITY FULL`,
		`CREATE TABLE root (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id)`,
		`CREATE TABLE leaf (v text, id int NOT NULL)`, `ALTER TABLE root ATTACH PARTITION leaf DEFAULT`,
		`CREATE PUBLICATION p FOR TABLE "Some" (c, "B") WHERE (c > 3 AND c <> 5), whole, root WITH (publish_via_partition_root)`,
		`CREATE PUBLICATION leaves FOR TABLE root`, `CREATE PUBLICATION none`)
	tables := describe(t, conn)
	for name, want := range map[string]string{
		"public.Some":  "[B c] key [1] filter ((c > 3) AND (c <> 5)) partitioned false full false",
		"public.whole": "[id v] key [0] filter  partitioned false full true",
		"public.root":  "[id v] key [0] filter  partitioned true full false",
	} {
		c, ok := tables[name]
		if !ok {
			t.Errorf("%s is missing", name)
			continue
		}
		if got := shape(c); got != want {
			t.Errorf("%s: %s\nwant %s", name, got, want)
		}
	}
	if len(tables) != 3 {
		t.Errorf("%d tables, the leaf is published through its root", len(tables))
	}
	leaves, err := producers.Describe(t.Context(), conn, "leaves")
	if err != nil || len(leaves) != 1 || shape(leaves[0]) != "[v id] key [1] filter  partitioned false full false" {
		t.Errorf("without the root: %v, %v", leaves, err)
	}
	if none, err := producers.Describe(t.Context(), conn, "none"); err != nil || len(none) != 0 {
		t.Errorf("an empty publication: %v, %v", none, err)
	}
	two := []schemas.Table{{Schema: "public", Name: "whole"}, {Schema: "public", Name: "Some"}}
	described, err := producers.DescribeTables(t.Context(), conn, two)
	if err != nil || len(described) != 2 || described[0].Relation.Table != two[0] || shape(described[1]) != "[a B c] key [2] filter  partitioned false full false" {
		t.Errorf("without a publication: %v, %v", described, err)
	}
}

func shape(c producers.CapturedTable) string {
	var names []string
	for _, column := range c.Relation.Columns {
		names = append(names, column.Name)
	}
	return fmt.Sprintf("%v key %v filter %s partitioned %t full %t", names, c.Relation.Key, c.Filter, c.Partitioned, c.Relation.Full)
}

// TestGeneratedColumns: PostgreSQL 18 publishes stored generated columns when it
// is told to; then they are described.
func TestGeneratedColumns(t *testing.T) {
	t.Parallel()
	conn := open(t, `CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED)`)
	var version int
	if err := conn.QueryRow(t.Context(), "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		t.Fatal(err)
	}
	t.Logf("server %d", version)
	run(t, conn, "CREATE PUBLICATION p FOR TABLE t")
	if got := shape(describe(t, conn)["public.t"]); !strings.HasPrefix(got, "[id] ") {
		t.Errorf("by default: %s", got)
	}
	if version < 180000 {
		return // no older server has the option
	}
	run(t, conn, "ALTER PUBLICATION p SET (publish_generated_columns = stored)")
	c := describe(t, conn)["public.t"]
	if got := shape(c); !strings.HasPrefix(got, "[id twice] ") || c.Relation.Columns[1].HasDefault {
		t.Errorf("with stored ones: %s", got)
	}
}

// TestTypesAndIndexesMove: what EnumsAndDomains and Indexes say makes the same
// columns and plain indexes in another database, and may be said twice (hazard C7).
func TestTypesAndIndexesMove(t *testing.T) {
	t.Parallel()
	source := open(t, append(kitchen,
		`CREATE UNIQUE INDEX ON "App"."Team" (email)`, `CREATE INDEX "by name" ON "App"."Team" USING btree (lower(name) varchar_pattern_ops DESC) INCLUDE (n) WHERE on_`,
		`CREATE INDEX ON "App"."Team" USING gin (meta jsonb_path_ops)`)...)
	team := schemas.Table{Schema: "App", Name: "Team"}
	tables, err := producers.DescribeTables(t.Context(), source, []schemas.Table{team})
	if err != nil {
		t.Fatal(err)
	}
	rel := tables[0].Relation
	ddl, err := producers.EnumsAndDomains(t.Context(), source, []*schemas.Relation{rel})
	if err != nil {
		t.Fatal(err)
	}
	target := open(t)
	run(t, target, ddl...)
	run(t, source, `ALTER TYPE "App"."Role" ADD VALUE 'LATE' BEFORE 'OWNER'`, `ALTER TYPE "App"."Role" ADD VALUE 'GUEST' AFTER 'OWNER'`)
	if ddl, err = producers.EnumsAndDomains(t.Context(), source, []*schemas.Relation{rel}); err != nil {
		t.Fatal(err)
	}
	run(t, target, ddl...)
	compareLabels(t, source, target)
	var columns []string
	for _, c := range rel.Columns {
		columns = append(columns, schemas.QuoteIdent(c.Name)+" "+c.Type.Declared)
	}
	run(t, target, "CREATE TABLE "+team.SQL()+" ("+strings.Join(columns, ", ")+")")
	indexes, err := producers.Indexes(t.Context(), source, []schemas.Table{team})
	if err != nil {
		t.Fatal(err)
	}
	if len(indexes[team]) != 3 {
		t.Fatalf("indexes %+v, want 3", indexes)
	}
	for _, i := range indexes[team] {
		run(t, target, i.CreateOn(team))
		if i.Name == "by name" && fmt.Sprint(i.Columns) != "[n name on_]" {
			t.Errorf("columns %v of the partial index on an expression", i.Columns)
		}
	}
	copied, err := producers.Indexes(t.Context(), target, []schemas.Table{team})
	if err != nil || len(copied[team]) != 3 {
		t.Fatalf("copies %+v, %v", copied, err)
	}
	definitions := map[string]bool{}
	for _, i := range copied[team] {
		definitions[i.Definition] = true
	}
	for _, i := range indexes[team] {
		if !definitions[i.Definition] {
			t.Errorf("the copy differs: %s", i.Definition)
		}
	}
}

func compareLabels(t *testing.T, source, target *pgx.Conn) {
	t.Helper()
	var want, got string
	for conn, into := range map[*pgx.Conn]*string{source: &want, target: &got} {
		if err := conn.QueryRow(t.Context(), `SELECT enum_range(NULL::"App"."Role")::text`).Scan(into); err != nil {
			t.Fatal(err)
		}
	}
	if got != want {
		t.Errorf("labels %s, want %s", got, want)
	}
}
