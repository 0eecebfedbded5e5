package transform

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/schemas"
)

// The BoxyHQ SaaS starter kit: quoted mixed-case names, enums.
const boxyDDL = `
	CREATE TYPE "Role" AS ENUM ('ADMIN', 'OWNER', 'MEMBER');
	CREATE TABLE "User" (id text PRIMARY KEY, name text, email text UNIQUE, "emailVerified" timestamp, password text, "createdAt" timestamp, "updatedAt" timestamp);
	CREATE TABLE "Team" (id text PRIMARY KEY, name text, slug text UNIQUE, domain text, "defaultRole" "Role", "updatedAt" timestamp);
	CREATE TABLE "TeamMember" (id text PRIMARY KEY, "teamId" text, "userId" text, role "Role", UNIQUE ("teamId", "userId"));
	CREATE INDEX ON "TeamMember" ("userId");`

var boxyTables = public("Team", "User", "TeamMember")

func boxyMappings() []consumers.Mapping {
	columns := func(of ...string) consumers.Route {
		r := consumers.Route{Columns: map[string]string{}}
		for i := 0; i < len(of); i += 2 {
			r.Columns[of[i]] = of[i+1]
		}
		return r
	}
	return []consumers.Mapping{
		{
			Kind: consumers.Member, Select: `
			SELECT m."teamId" AS organization_external_id, u.id AS external_id, u.email AS email_address, u.name,
			       ARRAY[lower(m.role::text)] AS roles, u.password AS password_hash, u."emailVerified" IS NOT NULL AS email_verified
			FROM "TeamMember" m JOIN "User" u ON u.id = m."userId"`,
			Routes: map[schemas.Table]consumers.Route{
				boxyTables[1]: columns("external_id", "id"),
				boxyTables[2]: columns("organization_external_id", "teamId", "external_id", "userId"),
			},
		},
		{
			Kind: consumers.Organization, Select: `
			SELECT t.id AS organization_external_id, t.name AS organization_name, t.slug AS organization_slug FROM "Team" t`,
			Routes: map[schemas.Table]consumers.Route{boxyTables[0]: columns("organization_external_id", "id")},
		},
	}
}

func TestCompileBoxyHQ(t *testing.T) {
	t.Parallel()
	w := newWorld(t, boxyDDL, boxyTables, boxyMappings()...)
	want := map[schemas.Table][]string{
		boxyTables[0]: {"id", "name", "slug"},
		boxyTables[1]: {"id", "name", "email", "emailVerified", "password"}, // hazard C21: nothing that is not read
		boxyTables[2]: {"id", "teamId", "userId", "role"},
	}
	if !reflect.DeepEqual(w.plan.Columns, want) {
		t.Errorf("columns are %v, want %v", w.plan.Columns, want)
	}
	if len(w.plan.Warnings) != 0 || w.plan.Mappings[0].Kind != consumers.Organization {
		t.Errorf("warnings %v, first mapping %s", w.plan.Warnings, w.plan.Mappings[0].Kind)
	}
	other := boxyMappings()
	other[0].AssumeEmailsVerified = true // hazards C22, C23: another mapping, another digest
	plan, err := compileOn(w.ctx, w.pool, boxyTables, other...)
	if err != nil || plan.Digest() == w.plan.Digest() {
		t.Errorf("another mapping has the same digest (%v)", err)
	}
	w.legacy(`INSERT INTO "Team" VALUES ('t1', 'Acme', 'acme')`, `INSERT INTO "User" VALUES ('u1', 'Jane', 'jane@corp.example')`,
		`INSERT INTO "TeamMember" VALUES ('m1', 't1', 'u1', 'OWNER')`)
	w.load()
	w.wantLiving("t1/u1")
}

// hazard C24: what pg_depend does not show.
func TestWholeRowsNeedEveryColumn(t *testing.T) {
	t.Parallel()
	organizations, members := teamsMappings()
	w := newWorld(t, teamsDDL, teamsTables, organizations, members)
	if got := strings.Join(w.plan.Columns[teamsTables[1]], ","); got != "id,email,name,password,email_verified_at" {
		t.Fatalf("columns of users are %s", got)
	}
	for _, expression := range []string{"to_jsonb(u)", "jsonb_build_object('n', (SELECT count(x) FROM users x))", "jsonb_build_object('x', u IS NOT NULL)"} {
		changed := members
		changed.Select = strings.Replace(members.Select, "u.name,", "u.name, "+expression+" AS trusted_metadata,", 1)
		plan, err := compileOn(w.ctx, w.pool, teamsTables, organizations, changed)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(plan.Columns[teamsTables[1]], ","); got != "id,email,name,password,email_verified_at,last_login" {
			t.Errorf("%s: columns of users are %s, want all", expression, got)
		}
	}
	w.exec(`ALTER TABLE team_members ADD COLUMN a int`)
	w.exec(`ALTER TABLE team_members ADD COLUMN b int, DROP COLUMN a`) // numbers of copies differ
	members.Routes[teamsTables[2]] = consumers.Route{Select: `SELECT c.team_id AS organization_external_id, c.user_id AS external_id FROM changed c WHERE c.b IS NULL`}
	plan, err := compileOn(w.ctx, w.pool, teamsTables, organizations, members)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(plan.Columns[teamsTables[2]], ","); got != "id,team_id,user_id,role,b" {
		t.Errorf("columns of team_members are %s", got)
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.exec(`CREATE TABLE role_grants (id int PRIMARY KEY, member_id int, role text); CREATE VIEW v AS SELECT * FROM users;
		CREATE EXTENSION citext; CREATE TABLE odd (id int PRIMARY KEY, c char(4), ci citext, gen text GENERATED ALWAYS AS ('x') STORED);
		CREATE TABLE keyless (a int); CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1'`)
	replace := func(old, new string) func(*consumers.Mapping, *consumers.Mapping) {
		return func(_, m *consumers.Mapping) {
			if !strings.Contains(m.Select, old) {
				panic("the mapping has no " + old)
			}
			m.Select = strings.Replace(m.Select, old, new, 1)
		}
	}
	for _, c := range []struct {
		name  string
		edit  func(o, m *consumers.Mapping)
		want  string
		extra []schemas.Table
	}{
		{"unknown field", replace("u.name,", "u.name AS nane,"), "members.select returns nane, which is no field of a Stytch member. Did you mean name?", nil},
		{"short field", replace("email_address", "email"), "Did you mean email_address?", nil},
		{"not yet a field", replace("u.name,", "u.name, u.name AS totp_secret,"), "returns totp_secret, which is not yet built", nil},
		{"unknown column", replace("u.name,", "u.nane AS name,"), `column u.nane does not exist (SQLSTATE 42703), line 1 column 94`, nil},
		{
			"not captured", replace("'OWNER' THEN ARRAY['admin']", "'OWNER' THEN ARRAY(SELECT g.role FROM role_grants g WHERE g.member_id = m.id)"),
			"members.select reads role_grants, which source.tables lacks: changes to it would never reach Stytch. Add public.role_grants.", nil,
		},
		{"a view", replace("JOIN users u", "JOIN v u"), "reads v, which is not a table", nil},
		{"a catalogue", replace("u.name,", "(SELECT relname::text FROM pg_class LIMIT 1) AS name,"), "reads pg_catalog.pg_class, a system catalogue", nil},
		{"a system column", replace("u.name,", "u.ctid::text AS name,"), "reads a system column of users", nil},
		{"now", replace("u.email_verified_at IS NOT NULL", "u.email_verified_at < now()"), "recheck_at, which is not yet built", nil},
		{"current_date", replace("u.email_verified_at IS NOT NULL", "u.email_verified_at < current_date"), "recheck_at, which is not yet built", nil},
		{"random", replace("u.email_verified_at IS NOT NULL", "random() < 0.5"), "uses random()", nil},
		{"age", replace("u.email_verified_at IS NOT NULL", "age(u.email_verified_at) > interval '3 days'"), "uses age()", nil},
		{"a sample", replace("JOIN users u", "JOIN users u TABLESAMPLE SYSTEM (10)"), "a sample of the rows", nil},
		{"own function", replace("u.id AS external_id", "twice(u.id) AS external_id"), "calls public.twice(), which the ledger database does not have", nil},
		{"second statement", replace("ON u.id = m.user_id;", "ON u.id = m.user_id; DELETE FROM users"), "Write one SELECT that changes nothing", nil}, // hazard C20
		{"changes data", func(_, m *consumers.Mapping) {
			m.Select = "WITH d AS (DELETE FROM users RETURNING *) SELECT 1 AS organization_external_id, id AS external_id, email AS email_address FROM d"
		}, "Write one SELECT that changes nothing", nil},
		{"out of the subquery", func(_, m *consumers.Mapping) { m.Select = "SELECT 1) q; DELETE FROM users; SELECT * FROM (SELECT 1" }, "is not accepted by PostgreSQL", nil},
		{"locks", replace("ON u.id = m.user_id;", "ON u.id = m.user_id FOR UPDATE"), "locks rows", nil},
		{"no key", replace("u.id AS external_id, ", ""), "does not return external_id, which is part of the key", nil},
		{"bpchar key", func(_, m *consumers.Mapping) {
			m.Select = "SELECT c AS organization_external_id, id AS external_id, 'x' AS email_address FROM odd"
			m.Routes = nil
		}, "returns organization_external_id of type character, whose values do not compare like their text", public("odd")},
		{"citext key", func(_, m *consumers.Mapping) {
			m.Select = "SELECT ci AS organization_external_id, id AS external_id, 'x' AS email_address FROM odd"
			m.Routes = nil
		}, "returns organization_external_id of type citext", public("odd")},
		{"generated", func(_, m *consumers.Mapping) {
			m.Select = "SELECT id AS organization_external_id, id AS external_id, gen AS email_address FROM odd"
			m.Routes = nil
		}, "reads odd.gen, a generated column", public("odd")},
		{"roles as text", replace("CASE m.role WHEN 'OWNER' THEN ARRAY['admin'] ELSE ARRAY['member'] END", "m.role"), "returns roles of type text, but the field is text[]", nil},
		{"no email", replace("u.email AS email_address, ", ""), "does not return email_address", nil},
		{"hash alone", replace(", u.email_verified_at IS NOT NULL AS email_verified", ""), "returns password_hash without email_verified", nil},
		{"keyless", func(_, _ *consumers.Mapping) {}, "lists public.keyless, which has no primary key", public("keyless")},
		{"missing", func(_, _ *consumers.Mapping) {}, "lists public.nowhere, which this database does not have", public("nowhere")},
		{"route column", func(_, m *consumers.Mapping) {
			m.Routes[teamsTables[1]] = consumers.Route{Columns: map[string]string{"external_id": "idd"}}
		}, "members.routes.users names idd, which the stream of users does not carry. Did you mean id?", nil},
		{"route key", func(_, m *consumers.Mapping) {
			m.Routes[teamsTables[1]] = consumers.Route{Columns: map[string]string{"email_address": "email"}}
		}, "names email_address, which is no key column", nil},
		{"route type", func(_, m *consumers.Mapping) {
			m.Routes[teamsTables[1]] = consumers.Route{Columns: map[string]string{"external_id": "email"}}
		}, "yields external_id of type text, whose text is not that of the key", nil},
		{"route select", func(_, m *consumers.Mapping) {
			m.Routes[teamsTables[1]] = consumers.Route{Select: "SELECT u.id AS external_id FROM users u"}
		}, "does not read the relation changed", nil},
		{"foreign route", func(_, m *consumers.Mapping) {
			m.Routes[public("role_grants")[0]] = consumers.Route{Columns: map[string]string{"external_id": "id"}}
		}, "is a route of a table that source.tables lacks", nil},
	} {
		organizations, members := teamsMappings()
		c.edit(&organizations, &members)
		_, err := compileOn(w.ctx, w.pool, append(c.extra, teamsTables...), organizations, members)
		var findings Findings
		if !errors.As(err, &findings) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %q", c.name, err, c.want)
		}
	}
	if n := w.number(`SELECT count(*) FROM users`); n != 0 {
		t.Fatal("a mapping changed data")
	}
}

// Everything is found at once, and a table without a route is only a warning.
// The mirror has no collations of columns: a mapping that reads one where different
// texts are equal is told that they are not, in the ledger.
func TestCompileWarnsOfCollations(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.exec(`CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); ALTER TABLE users ALTER email TYPE text COLLATE loose`)
	organizations, members := teamsMappings()
	plan, err := compileOn(w.ctx, w.pool, teamsTables, organizations, members)
	if err != nil || len(plan.Warnings) != 1 || !strings.Contains(plan.Warnings[0].What, "reads users.email, in whose collation loose different texts are equal") {
		t.Errorf("the warnings are %v, %v", plan, err)
	}
}

func TestCompileFindsAll(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	organizations, members := teamsMappings()
	delete(members.Routes, teamsTables[1])
	members.Select = strings.Replace(members.Select, "u.id = m.user_id", "u.id <= m.user_id", 1)
	plan, err := compileOn(w.ctx, w.pool, teamsTables, organizations, members)
	if err != nil || len(plan.Warnings) != 0 || plan.Mappings[1].Routes[teamsTables[1]].Columns["external_id"] != "id" {
		t.Errorf("warnings are %v, %v: the key of users is its own column", plan, err)
	}
	members.Select = strings.Replace(members.Select, "u.id AS external_id", "m.user_id AS external_id", 1)
	plan, err = compileOn(w.ctx, w.pool, teamsTables, organizations, members)
	if err != nil || len(plan.Warnings) != 1 || !strings.Contains(plan.Warnings[0].String(), "has no route for users") {
		t.Errorf("warnings are %v, %v", plan, err)
	}
	organizations.Select = strings.Replace(organizations.Select, "organization_slug", "organisation_slug", 1)
	members.Select = strings.Replace(members.Select, "password_hash", "pasword_hash", 1)
	_, err = compileOn(w.ctx, w.pool, teamsTables[:2], organizations, members)
	var findings Findings
	if !errors.As(err, &findings) {
		t.Fatalf("compile: %v", err)
	}
	for _, want := range []string{"Did you mean organization_slug?", "Did you mean password_hash?", "reads team_members", "members.routes.team_members is a route of a table"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not among the findings:\n%v", want, err)
		}
	}
}
