package transform

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"
)

// truth evaluates both mappings naively, over the mirror.
const truth = `
	WITH o AS (SELECT q.organization_external_id::text AS org_key, to_jsonb(q) - 'organization_external_id' AS desired FROM (%s) q),
	     m AS (SELECT q.organization_external_id::text AS org_key, q.external_id::text AS key,
	                  to_jsonb(q) - '{organization_external_id,external_id}'::text[] AS desired FROM (%s) q)
	SELECT 'organization', org_key, org_key, desired::text FROM o
	UNION ALL SELECT 'member', m.org_key, m.key, m.desired::text FROM m JOIN o USING (org_key) ORDER BY 1, 2, 3`

func (w *world) states(sql string) map[consumers.Key]string {
	rows, err := w.pool.Query(w.ctx, sql)
	if err != nil {
		w.t.Fatal(err)
	}
	states := map[consumers.Key]string{}
	var k consumers.Key
	var desired string
	if _, err := pgx.ForEachRow(rows, []any{&k.Kind, &k.Organization, &k.Entity, &desired}, func() error { states[k] = desired; return nil }); err != nil {
		w.t.Fatal(err)
	}
	return states
}

// Whatever the legacy system does, in transactions of any mixture, following ends
// where evaluating everything anew would (hazards C1, C2, C3, A25), and a
// revision grows exactly when its state changes (invariants 3, 5).
func TestFollowingEqualsEvaluatingAnew(t *testing.T) {
	t.Parallel()
	organizations, members := rolesMappings()
	followingEquals(t, organizations, members)
}

// The same, and nobody wrote a route.
func TestFollowingDerivedRoutes(t *testing.T) {
	t.Parallel()
	organizations, members := rolesMappings()
	organizations.Routes, members.Routes = nil, nil
	followingEquals(t, organizations, members)
}

func rolesMappings() (organizations, members consumers.Mapping) {
	organizations, members = teamsMappings()
	members.Select = `SELECT m.team_id AS organization_external_id, m.user_id AS external_id, u.email AS email_address, u.name,
			array_agg(coalesce(g.role, m.role) ORDER BY g.id) AS roles
		FROM team_members m JOIN users u ON u.id = m.user_id LEFT JOIN grants g ON g.member_id = m.id
		GROUP BY m.id, m.team_id, m.user_id, u.email, u.name`
	members.Routes[public("grants")[0]] = consumers.Route{Select: `SELECT m.team_id AS organization_external_id, m.user_id AS external_id
		FROM changed c JOIN team_members m ON m.id = c.member_id`}
	return organizations, members
}

func followingEquals(t *testing.T, organizations, members consumers.Mapping) {
	t.Helper()
	w := newWorld(t, teamsDDL+`CREATE TABLE grants (id int PRIMARY KEY, member_id int, role text); CREATE INDEX ON grants (member_id);
		CREATE UNIQUE INDEX pair ON team_members (team_id, user_id)`, public("teams", "users", "team_members", "grants"), organizations, members)
	for _, m := range w.plan.Mappings {
		if len(m.Routes) != len(m.Reads) {
			t.Fatalf("the mapping of %ss has the routes %v", m.Kind, said(&m))
		}
	}
	w.load()
	truth := fmt.Sprintf(truth, w.plan.Mapping(consumers.Organization).Select, w.plan.Mapping(consumers.Member).Select)
	enough := time.Now().Add(15 * time.Second) // a run is as long as the machine is slow
	rapid.Check(t, func(rt *rapid.T) {
		if time.Now().After(enough) {
			return
		}
		w.legacy(`DELETE FROM grants`, `DELETE FROM team_members`, `DELETE FROM users`, `DELETE FROM teams`)
		w.exec(`TRUNCATE backstitch.entities, backstitch.touched`)
		for range rapid.IntRange(1, 4).Draw(rt, "evaluations") {
			before := w.states(`SELECT kind, org_key, key, revision || ' ' || coalesce(desired::text, 'gone') FROM backstitch.entities`)
			for range rapid.IntRange(1, 3).Draw(rt, "fills") {
				w.legacyOnly(rapid.SliceOfN(rapid.Custom(statement), 1, 8).Draw(rt, "statements")...)
				w.fill(touchInfo{Bulk: rapid.Bool().Draw(rt, "bulk")})
			}
			w.evaluate()
			want := w.states(truth)
			got := w.states(`SELECT kind, org_key, key, desired::text FROM backstitch.entities WHERE desired IS NOT NULL`)
			for k, desired := range want {
				if got[k] != desired {
					rt.Fatalf("%v is %q, want %q", k, got[k], desired)
				}
			}
			if len(got) != len(want) {
				rt.Fatalf("%d entities are desired, want %d", len(got), len(want))
			}
			unchanged(rt, w, before)
		}
	})
}

// unchanged fails when a revision moved without its state.
func unchanged(rt *rapid.T, w *world, before map[consumers.Key]string) {
	after := w.states(`SELECT kind, org_key, key, revision || ' ' || coalesce(desired::text, 'gone') FROM backstitch.entities`)
	for k, was := range before {
		var oldRevision, newRevision int64
		var oldState, newState string
		split(was, &oldRevision, &oldState)
		split(after[k], &newRevision, &newState)
		if (oldState != newState) != (newRevision > oldRevision) || newRevision < oldRevision {
			rt.Fatalf("%v went from revision %d to %d; its state changed: %t", k, oldRevision, newRevision, oldState != newState)
		}
	}
}

func split(s string, revision *int64, state *string) {
	number, rest, _ := strings.Cut(s, " ")
	*revision, _ = strconv.ParseInt(number, 10, 64) // 0 for an entity that is not there
	*state = rest
}

// statement draws one statement of a legacy system with few rows, so that they meet.
func statement(t *rapid.T) string {
	id := func(name string) int { return rapid.IntRange(1, 5).Draw(t, name) }
	text := func(name string) string {
		return rapid.SampledFrom([]string{"NULL", "'a'", "'b'", "'OWNER'"}).Draw(t, name)
	}
	switch rapid.IntRange(0, 10).Draw(t, "statement") {
	case 0:
		return fmt.Sprintf(`INSERT INTO teams VALUES (%d, %s, %s) ON CONFLICT (id) DO UPDATE SET name = excluded.name, slug = excluded.slug, deleted_at = NULL`, id("team"), text("name"), text("slug"))
	case 1:
		return fmt.Sprintf(`DELETE FROM teams WHERE id = %d`, id("team"))
	case 2:
		return fmt.Sprintf(`UPDATE teams SET deleted_at = CASE WHEN deleted_at IS NULL THEN timestamptz '2026-01-01' END WHERE id = %d`, id("team"))
	case 3:
		return fmt.Sprintf(`INSERT INTO users VALUES (%d, %s, %s) ON CONFLICT (id) DO UPDATE SET email = excluded.email, name = excluded.name`, id("user"), text("email"), text("name"))
	case 4:
		return fmt.Sprintf(`DELETE FROM users WHERE id = %d`, id("user"))
	case 5:
		return fmt.Sprintf(`UPDATE users SET id = %d WHERE id = %d AND NOT EXISTS (SELECT FROM users u WHERE u.id = %[1]d)`, id("other"), id("user"))
	case 6, 7:
		return fmt.Sprintf(`INSERT INTO team_members SELECT coalesce(max(id), 0) + 1, %d, %d, %s FROM team_members ON CONFLICT DO NOTHING`, id("team"), id("user"), text("role"))
	case 8:
		return fmt.Sprintf(`DELETE FROM grants WHERE member_id IN (SELECT id FROM team_members WHERE user_id = %d); DELETE FROM team_members WHERE user_id = %[1]d`, id("user"))
	case 9:
		return fmt.Sprintf(`INSERT INTO grants SELECT coalesce(max(g.id), 0) + 1, min(m.id), %s FROM team_members m LEFT JOIN grants g ON true WHERE m.team_id = %d HAVING min(m.id) IS NOT NULL`, text("role"), id("team"))
	default:
		return fmt.Sprintf(`UPDATE team_members m SET team_id = %d WHERE user_id = %d AND NOT EXISTS (SELECT FROM team_members x WHERE x.team_id = %[1]d AND x.user_id = m.user_id)
			AND m.id = (SELECT min(id) FROM team_members y WHERE y.user_id = m.user_id)`, id("team"), id("user"))
	}
}
