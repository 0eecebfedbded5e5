package transform

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/schemas"
)

const derivedDDL = teamsDDL + `
	CREATE TABLE grants (id int PRIMARY KEY, member_id int, user_id int, role text, at int);
	CREATE TABLE domains (name text PRIMARY KEY, team_id bigint, verified bool);
	CREATE TABLE "Order" (id int PRIMARY KEY, "user" int, "teamId" text);
	CREATE TABLE parents (id int PRIMARY KEY, parent_id int);
	CREATE TABLE codes (code char(4) PRIMARY KEY, name text);
	CREATE EXTENSION citext;
	CREATE TABLE logins (id int PRIMARY KEY, email citext, loose text);`

var derivedTables = public("teams", "users", "team_members", "grants", "domains", "Order", "parents", "logins", "codes")

// said is a mapping's routes as people write them; sweep with its reason.
func said(m *CompiledMapping) map[string]string {
	list := map[string]string{}
	for t, r := range m.Routes {
		list[t.Name] = r.Select
		for _, k := range slices.Sorted(maps.Keys(r.Columns)) {
			list[t.Name] += k + ": " + r.Columns[k] + " "
		}
		list[t.Name] = strings.ReplaceAll(strings.TrimSpace(list[t.Name]), "organization_external_id", "org")
	}
	for t, why := range m.Swept {
		list[t.Name] = "swept: " + why
	}
	return list
}

// What is derived, and what is not because an equality does not always hold.
func TestDerivedRoutes(t *testing.T) {
	t.Parallel()
	organizations, _ := teamsMappings()
	w := newWorld(t, `CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);`+derivedDDL, derivedTables, organizations)
	for _, c := range []struct {
		name, sql string
		want      map[string]string
	}{
		{
			"the design's example", `SELECT m.team_id AS org, u.id AS external_id, u.email AS email_address FROM team_members m JOIN users u ON u.id = m.user_id`,
			map[string]string{"users": "external_id: id", "team_members": "external_id: user_id org: team_id"},
		},
		{
			"the condition in WHERE, with other conditions beside", `SELECT t.id AS org, u.id AS external_id, u.email AS email_address FROM teams t, team_members m, users u
				WHERE u.id = m.user_id AND (t.id = m.team_id AND t.deleted_at IS NULL) AND (m.role = 'a' OR m.id = u.id)`,
			map[string]string{
				"users": "external_id: id", "team_members": "external_id: user_id org: team_id",
				"teams": "SELECT t.id AS org, m.user_id AS external_id FROM changed t JOIN team_members m ON t.id = m.team_id",
			},
		},
		{
			"roles of a member: an outer join, grouped", `SELECT m.team_id AS org, u.id AS external_id, u.email AS email_address, array_agg(g.role) AS roles
				FROM team_members m JOIN users u ON u.id = m.user_id LEFT JOIN grants g ON g.member_id = m.id GROUP BY m.id, u.id`,
			map[string]string{
				"users": "external_id: id", "team_members": "external_id: user_id org: team_id",
				"grants": "SELECT m.team_id AS org, m.user_id AS external_id FROM changed g JOIN team_members m ON g.member_id = m.id",
			},
		},
		{
			"roles of a member: a subquery", `SELECT m.team_id AS org, m.user_id AS external_id, 'x' AS email_address,
				ARRAY(SELECT g.role FROM grants g WHERE m.id = g.member_id ORDER BY 1 LIMIT 5) AS roles FROM team_members m
				WHERE NOT EXISTS (SELECT FROM users u WHERE u.id = m.user_id AND u.name IS NULL)`,
			map[string]string{
				"users": "external_id: id", "team_members": "external_id: user_id org: team_id",
				"grants": "SELECT m.team_id AS org, m.user_id AS external_id FROM changed g JOIN team_members m ON m.id = g.member_id",
			},
		},
		{
			"roles of a member: a CTE, LATERAL, types that differ", `WITH g AS (SELECT member_id, array_agg(role) AS roles FROM grants GROUP BY 1)
				SELECT m.team_id AS org, m.user_id AS external_id, 'x' AS email_address, g.roles, jsonb_build_object('d', d.names) AS trusted_metadata
				FROM team_members m LEFT JOIN g ON g.member_id = m.id
				LEFT JOIN LATERAL (SELECT array_agg(name) AS names FROM domains WHERE team_id = m.team_id) d ON true`,
			map[string]string{
				"team_members": "external_id: user_id org: team_id",
				"grants":       "SELECT m.team_id AS org, m.user_id AS external_id FROM changed grants JOIN team_members m ON grants.member_id = m.id",
				"domains":      "SELECT domains.team_id AS org, m.user_id AS external_id FROM changed domains JOIN team_members m ON domains.team_id = m.team_id",
			},
		},
		{
			"names that need quotes, keys cast to text", `SELECT "Order"."teamId" AS org, u.id::text AS external_id, u.email AS email_address FROM "Order" JOIN users u ON u.id = "Order"."user"`,
			map[string]string{
				"Order": `SELECT "Order"."teamId" AS org, "Order"."user"::text AS external_id FROM changed "Order"`,
				"users": `SELECT "Order"."teamId" AS org, u.id::text AS external_id FROM changed u JOIN "Order" "Order" ON u.id = "Order"."user"`,
			},
		},
		{
			"names like the tree's own", `SELECT ":relid 1".team_id AS org, "}{VAR \".id AS external_id, 'x' AS email_address
				FROM team_members ":relid 1" JOIN users "}{VAR \" ON "}{VAR \".id = ":relid 1".user_id`,
			map[string]string{"users": "external_id: id", "team_members": "external_id: user_id org: team_id"},
		},
		{
			"a table twice", `SELECT c.parent_id AS org, c.id AS external_id, 'x' AS email_address FROM parents c JOIN parents p ON p.id = c.parent_id`,
			map[string]string{"parents": "SELECT c.parent_id AS org, c.id AS external_id FROM changed c\nUNION ALL SELECT p.id AS org, c.id AS external_id FROM changed p JOIN parents c ON p.id = c.parent_id"},
		},
		{
			"UNION ALL, whose second column has another name", `SELECT m.team_id AS org, m.user_id AS external_id, 'x' AS email_address FROM team_members m
				UNION ALL SELECT g.member_id, g.user_id, g.role FROM grants g`,
			map[string]string{"team_members": "external_id: user_id org: team_id", "grants": "external_id: user_id org: member_id"},
		},
		{
			"the newest row of each", `SELECT DISTINCT ON (m.user_id, m.team_id) m.team_id AS org, m.user_id AS external_id, l.role AS email_address
				FROM team_members m JOIN (SELECT *, row_number() OVER (PARTITION BY g.member_id ORDER BY g.at DESC) AS n FROM grants g) l
				ON l.member_id = m.id AND l.n = 1 ORDER BY m.user_id, m.team_id, m.id`,
			map[string]string{
				"team_members": "external_id: user_id org: team_id",
				"grants":       "SELECT m.team_id AS org, m.user_id AS external_id FROM changed g JOIN team_members m ON g.member_id = m.id",
			},
		},
		{
			"a key that is an expression leaves the other one", `SELECT m.team_id AS org, lower(u.email) AS external_id, 'x' AS email_address FROM team_members m JOIN users u ON u.id = m.user_id`,
			map[string]string{"team_members": "org: team_id", "users": "SELECT m.team_id AS org FROM changed u JOIN team_members m ON u.id = m.user_id"},
		},
		{
			"no equality that always holds", `SELECT t.id AS org, u.id AS external_id, 'x' AS email_address FROM teams t CROSS JOIN users u
				LEFT JOIN team_members m ON m.team_id = t.id AND m.user_id = u.id JOIN grants g ON g.member_id = m.id OR g.user_id = u.id, domains d WHERE d.team_id + 1 = t.id`,
			map[string]string{
				"team_members": "external_id: user_id org: team_id", "teams": "org: id", "users": "external_id: id",
				"grants": "swept: no equality that always holds leads from it to a key column", "domains": "swept: no equality that always holds leads from it to a key column",
			},
		},
		{
			"the result's rows are no rows of the tables", `SELECT m.team_id AS org, m.user_id AS external_id, 'x' AS email_address FROM team_members m ORDER BY 1 LIMIT 5`,
			map[string]string{"team_members": "swept: no key column is a column of a table, for every row of the result"},
		},
		{
			"DISTINCT ON something else than the key", `SELECT DISTINCT ON (u.email) m.team_id AS org, u.id AS external_id, u.email AS email_address
				FROM team_members m JOIN users u ON u.id = m.user_id ORDER BY u.email, m.id`,
			map[string]string{
				"team_members": "swept: no key column is a column of a table, for every row of the result",
				"users":        "swept: no key column is a column of a table, for every row of the result",
			},
		},
		{
			"FULL JOIN", `SELECT m.team_id AS org, u.id AS external_id, 'x' AS email_address FROM team_members m FULL JOIN users u ON u.id = m.user_id`,
			map[string]string{"team_members": "swept: it uses FULL JOIN", "users": "swept: it uses FULL JOIN"},
		},
		{
			"recursion", `WITH RECURSIVE r AS (SELECT id, parent_id FROM parents UNION SELECT r.id, p.parent_id FROM r JOIN parents p ON p.id = r.parent_id)
				SELECT r.id AS org, r.parent_id AS external_id, 'x' AS email_address FROM r`,
			map[string]string{"parents": "swept: it uses WITH RECURSIVE"},
		},
		{
			"IN, alone, under OR, of two columns", `SELECT m.team_id AS org, m.user_id AS external_id, 'x' AS email_address FROM team_members m
				WHERE m.user_id IN (SELECT g.user_id FROM grants g WHERE g.role = 'a') AND (m.role = 'o' OR m.team_id = ANY (SELECT id FROM teams))
				AND (m.team_id::text, m.user_id) IN (SELECT o."teamId", o."user" FROM "Order" o)`,
			map[string]string{
				"team_members": "external_id: user_id org: team_id",
				"grants":       "external_id: user_id",
				"teams":        "SELECT teams.id AS org, m.user_id AS external_id FROM changed teams JOIN team_members m ON m.team_id = teams.id",
				"Order":        "external_id: user",
			},
		},
		{
			"a cast that is a function, and a function that is none", `SELECT c.code::text AS org, length(c.name)::text AS external_id, c.name AS email_address FROM codes c`,
			map[string]string{"codes": "SELECT c.code::text AS org FROM changed c"},
		},
		{
			"USING, whose column is that of the side that is there", `SELECT m.team_id AS org, user_id AS external_id, g.role AS email_address FROM team_members m RIGHT JOIN grants g USING (user_id)`,
			map[string]string{"team_members": "external_id: user_id org: team_id", "grants": "external_id: user_id"},
		},
		{
			"IN that is negated, of the first rows, of a text that stands for others", `SELECT m.team_id AS org, m.user_id AS external_id, 'x' AS email_address FROM team_members m
				WHERE (m.user_id IN (SELECT user_id FROM grants)) IS NOT TRUE AND m.team_id IN (SELECT id FROM teams ORDER BY id LIMIT 3)
				AND m.role IN (SELECT email::text FROM logins GROUP BY email)`,
			map[string]string{
				"team_members": "external_id: user_id org: team_id",
				"grants":       "swept: no equality that always holds leads from it to a key column",
				"teams":        "swept: no equality that always holds leads from it to a key column",
				"logins":       "swept: no equality that always holds leads from it to a key column",
			},
		},
		{
			"IN, whose NULLs reach further", `SELECT m.team_id AS org, m.user_id AS external_id, 'x' AS email_address FROM team_members m WHERE m.user_id NOT IN (SELECT user_id FROM grants)`,
			map[string]string{"team_members": "external_id: user_id org: team_id", "grants": "swept: no equality that always holds leads from it to a key column"},
		},
		{
			"a value that stands for others has not their text", `SELECT m.team_id AS org, l.email::text AS external_id, string_agg(m.role, ',') AS email_address
				FROM logins l JOIN team_members m ON m.user_id = l.id GROUP BY m.team_id, l.email`,
			map[string]string{
				"team_members": "org: team_id",
				"logins":       "SELECT m.team_id AS org FROM changed l JOIN team_members m ON m.user_id = l.id",
			},
		},
		{
			"which is joined by its text", `SELECT m.team_id AS org, m.user_id AS external_id, s.n::text AS email_address
				FROM (SELECT email, count(*) AS n FROM logins GROUP BY email) s JOIN team_members m ON m.role = s.email::text`,
			map[string]string{
				"team_members": "external_id: user_id org: team_id",
				"logins":       "swept: no equality that always holds leads from it to a key column",
			},
		},
		{
			"equal without equal texts", `SELECT m.team_id AS org, l.id AS external_id, 'x' AS email_address FROM logins l JOIN users u ON u.email::citext = l.email
				JOIN team_members m ON m.role = l.loose COLLATE loose`,
			map[string]string{
				"team_members": "org: team_id", "logins": "external_id: id",
				"users": "swept: no equality that always holds leads from it to a key column",
			},
		},
	} {
		mapping := consumers.Mapping{Kind: consumers.Member, Select: strings.ReplaceAll(c.sql, "AS org", "AS organization_external_id")}
		plan, err := compileOn(w.ctx, w.pool, derivedTables, organizations, mapping)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := said(plan.Mapping(consumers.Member)); !maps.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

// A written route is taken, and the word sweep too; what was derived is kept with the
// catalogue, and is no part of what the mapping says.
func TestDerivedRoutesAreKept(t *testing.T) {
	t.Parallel()
	organizations, members := teamsMappings()
	w := newWorld(t, teamsDDL, teamsTables, organizations, members)
	written := w.plan
	compiled := func(edit func()) *Plan {
		edit()
		plan, err := compileOn(w.ctx, w.pool, teamsTables, organizations, members)
		if err != nil {
			t.Fatal(err)
		}
		return plan
	}
	swept := compiled(func() {
		members.Routes = map[schemas.Table]consumers.Route{teamsTables[1]: {Sweep: true}, teamsTables[2]: {Columns: map[string]string{"organization_external_id": "team_id"}}}
	})
	if got, want := said(swept.Mapping(consumers.Member)), map[string]string{"users": "swept: as is written", "team_members": "org: team_id"}; !maps.Equal(got, want) {
		t.Errorf("routes are %q, want %q", got, want)
	}
	derived := compiled(func() { members.Routes = nil })
	if !maps.Equal(said(derived.Mapping(consumers.Member)), said(written.Mapping(consumers.Member))) {
		t.Errorf("derived are %q", said(derived.Mapping(consumers.Member)))
	}
	if derived.Digest() == written.Digest() {
		t.Error("what somebody wrote is no part of the digest")
	}
	for _, plan := range []*Plan{swept, derived} {
		content, err := (&Catalogue{Plan: plan}).encode()
		if err != nil {
			t.Fatal(err)
		}
		var kept Catalogue
		if err := kept.decode(content); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(kept.Plan.Mappings, plan.Mappings) || kept.Plan.Digest() != plan.Digest() {
			t.Errorf("kept is %+v, want %+v", kept.Plan.Mappings, plan.Mappings)
		}
	}
}
