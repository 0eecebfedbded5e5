package producers_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/internal/pgsession"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/backstitch/backstitch/producers"
	"github.com/backstitch/backstitch/schemas"
)

// open makes a database, runs statements in it and returns a session with the
// pinned settings.
func open(t *testing.T, sql ...string) *pgx.Conn {
	t.Helper()
	return openAt(t, testenv.Postgres(t), sql...)
}

func openAt(t *testing.T, url string, sql ...string) *pgx.Conn {
	t.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range pgsession.Source("test") {
		cfg.RuntimeParams[k] = v
	}
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	run(t, conn, sql...)
	return conn
}

func run(t *testing.T, conn *pgx.Conn, sql ...string) {
	t.Helper()
	for _, q := range sql {
		if _, err := conn.Exec(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

func describe(t *testing.T, conn *pgx.Conn) map[string]producers.CapturedTable {
	t.Helper()
	tables, err := producers.Describe(t.Context(), conn, "p")
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]producers.CapturedTable{}
	for _, c := range tables {
		byName[c.Relation.String()] = c
	}
	return byName
}

var kitchen = []string{
	`CREATE SCHEMA "App"`,
	`CREATE EXTENSION citext SCHEMA "App"`,
	`CREATE TYPE "App"."Role" AS ENUM ('OWNER', 'MEMBER')`,
	`ALTER TYPE "App"."Role" ADD VALUE 'ADMIN' BEFORE 'MEMBER'`,
	`CREATE DOMAIN "App".short AS varchar(10) NOT NULL CHECK (VALUE <> '')`,
	`CREATE DOMAIN "App".shorter AS "App".short`,
	`CREATE TABLE "App"."Team" (
		"teamId" uuid DEFAULT gen_random_uuid(), n int, gone int,
		role "App"."Role" NOT NULL DEFAULT 'MEMBER', roles "App"."Role"[] DEFAULT '{OWNER}',
		email "App".citext, name "App".shorter DEFAULT 'x', names "App".short[], amount numeric(10,2) DEFAULT 0,
		tags varchar(5)[] DEFAULT ARRAY['a', 'b'], on_ boolean NOT NULL DEFAULT true, at timestamptz DEFAULT now(), since date DEFAULT '2024-03-02',
		twice int GENERATED ALWAYS AS (n * 2) STORED, seq serial, void text DEFAULT NULL::text, who text DEFAULT CURRENT_USER, meta jsonb DEFAULT '{"a": 1}',
		PRIMARY KEY (n, "teamId"))`,
	`ALTER TABLE "App"."Team" DROP COLUMN gone`,
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	conn := open(t, append(kitchen, `CREATE PUBLICATION p FOR TABLE "App"."Team"`)...)
	team := describe(t, conn)["App.Team"]
	rel := team.Relation
	if !reflect.DeepEqual(rel.Key, []int{1, 0}) {
		t.Errorf("key %v, want n and then teamId", rel.Key)
	}
	if team.Filter != "" || team.Partitioned || rel.Full {
		t.Errorf("filter %q, partitioned %t, full %t", team.Filter, team.Partitioned, rel.Full)
	}
	got := map[string]schemas.Column{}
	for _, c := range rel.Columns {
		got[c.Name] = c
	}
	if _, ok := got["twice"]; ok {
		t.Error("a generated column is described, but PostgreSQL 15 never publishes one")
	}
	if _, ok := got["gone"]; ok {
		t.Error("a dropped column is described")
	}
	for _, want := range []struct {
		column, name, declared, def string
		mod                         int32
		notNull, hasDefault, volat  bool
	}{
		{"teamId", "uuid", "uuid", "", -1, true, true, true},
		{"role", "Role", `"App"."Role"`, "MEMBER", -1, true, true, false},
		{"roles", "Role[]", `"App"."Role"[]`, "{OWNER}", -1, false, true, false},
		{"email", "citext", `"App".citext`, "", -1, false, false, false},
		{"name", "character varying", `"App".shorter`, "x", 14, false, true, false},
		{"names", "character varying[]", `"App".short[]`, "", -1, false, false, false},
		{"amount", "numeric", "numeric(10,2)", "0.00", 655366, false, true, false},
		{"tags", "character varying[]", "character varying(5)[]", "{a,b}", 9, false, true, false},
		{"on_", "boolean", "boolean", "t", -1, true, true, false},
		{"at", "timestamp with time zone", "timestamp with time zone", "", -1, false, true, true},
		{"since", "date", "date", "2024-03-02", -1, false, true, false},
		{"seq", "integer", "integer", "", -1, true, true, true},
		{"void", "text", "text", "", -1, false, false, false},
		{"who", "text", "text", "", -1, false, true, true},
		{"meta", "jsonb", "jsonb", `{"a": 1}`, -1, false, true, false},
	} {
		c := got[want.column]
		if c.Type.Name != want.name || c.Type.Declared != want.declared || c.Type.Mod != want.mod {
			t.Errorf("%s: type %q declared %q mod %d, want %q %q %d", want.column, c.Type.Name, c.Type.Declared, c.Type.Mod, want.name, want.declared, want.mod)
		}
		if c.NotNull != want.notNull || c.HasDefault != want.hasDefault || c.Volatile != want.volat || c.Default != want.def {
			t.Errorf("%s: not null %t, default %t %q volatile %t, want %t, %t %q %t", want.column, c.NotNull, c.HasDefault, c.Default, c.Volatile,
				want.notNull, want.hasDefault, want.def, want.volat)
		}
	}
	if e := got["role"].Type.Enum; !reflect.DeepEqual(e, []string{"OWNER", "ADMIN", "MEMBER"}) {
		t.Errorf("labels %v, want them in their sort order", e)
	}
	if e := got["roles"].Type.Elem; e == nil || len(e.Enum) != 3 || e.Declared != `"App"."Role"` {
		t.Errorf("element type %+v", e)
	}
	if e := got["names"].Type.Elem; e == nil || e.Name != "character varying" || e.Mod != 14 || e.Declared != `"App".short` {
		t.Errorf("element type %+v, want the domain's base", e)
	}
	if one, err := producers.DescribeOID(t.Context(), conn, rel.OID, "p"); err != nil || !reflect.DeepEqual(*one, team) {
		t.Errorf("by OID: %+v, %v", one, err)
	}
	if _, err := producers.DescribeOID(t.Context(), conn, 1, "p"); !errors.Is(err, producers.ErrNotPublished) {
		t.Errorf("an unknown OID: %v", err)
	}
	if _, err := producers.Describe(t.Context(), conn, "q"); !errors.Is(err, producers.ErrNoPublication) {
		t.Errorf("an unknown publication: %v", err)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	conn := open(t,
		`CREATE TABLE nokey (a int)`,
		`CREATE TABLE "Nothing" (a int PRIMARY KEY)`, `ALTER TABLE "Nothing" REPLICA IDENTITY NOTHING`,
		`CREATE TABLE byindex (a int PRIMARY KEY, b int NOT NULL UNIQUE)`, `ALTER TABLE byindex REPLICA IDENTITY USING INDEX byindex_b_key`,
		`CREATE TABLE late (a int PRIMARY KEY DEFERRABLE)`,
		`CREATE TABLE late_full (a int PRIMARY KEY DEFERRABLE)`, `ALTER TABLE late_full REPLICA IDENTITY FULL`,
		`CREATE TABLE listed (a int PRIMARY KEY, b int)`,
		`CREATE TABLE root (a int PRIMARY KEY) PARTITION BY RANGE (a)`, `CREATE TABLE leaf PARTITION OF root DEFAULT`, `ALTER TABLE leaf REPLICA IDENTITY NOTHING`,
		`CREATE VIEW v AS SELECT 1`,
		`CREATE PUBLICATION p FOR TABLE nokey, "Nothing", byindex, late, late_full, listed (b), root WITH (publish_via_partition_root)`)
	_, err := producers.Describe(t.Context(), conn, "p")
	var refused *producers.Refused
	if !errors.As(err, &refused) {
		t.Fatalf("got %v", err)
	}
	want := map[string]string{
		"nokey":   `ALTER TABLE "public"."nokey" ADD PRIMARY KEY`,
		"Nothing": `ALTER TABLE "public"."Nothing" REPLICA IDENTITY DEFAULT`,
		"byindex": `ALTER TABLE "public"."byindex" REPLICA IDENTITY DEFAULT`,
		"late":    `ALTER TABLE "public"."late" REPLICA IDENTITY FULL`,
		"listed":  `ALTER PUBLICATION`,
		"root":    `ALTER TABLE "public"."leaf" REPLICA IDENTITY DEFAULT`,
	}
	for _, r := range refused.Refusals {
		if !strings.HasPrefix(r.Fix, want[r.Table.Name]) || want[r.Table.Name] == "" {
			t.Errorf("%s: %s. Fix: %s", r.Table, r.Reason, r.Fix)
		}
		delete(want, r.Table.Name)
	}
	if len(want) > 0 {
		t.Errorf("not refused: %v", want)
	}
	if _, ok := stage.AsHeld(err); !ok {
		t.Error("a refused table does not hold the connector")
	}
	_, err = producers.DescribeTables(t.Context(), conn, []schemas.Table{{Schema: "public", Name: "v"}, {Schema: "public", Name: "absent"}})
	if !errors.As(err, &refused) || len(refused.Refusals) != 2 {
		t.Errorf("a view and a table that does not exist: %v", err)
	}
}
