package transform

import (
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/schemas"
)

// hazard C17: judged by rows read against keys asked, because some plans without a
// sequential scan read everything too.
func TestPushdown(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.exec(`INSERT INTO teams SELECT g, 'Team ' || g FROM generate_series(1, 12000) g;
		INSERT INTO users SELECT g, g || '@corp.example' FROM generate_series(1, 20000) g;
		INSERT INTO team_members SELECT g, 1 + g % 3000, g FROM generate_series(1, 20000) g; ANALYZE`)
	for _, c := range []struct {
		name string
		edit func(o, m *consumers.Mapping)
		want string
	}{
		{"the design's example", func(_, _ *consumers.Mapping) {}, ""},
		{"GROUP BY the keys", func(_, m *consumers.Mapping) {
			m.Select = `SELECT m.team_id AS organization_external_id, m.user_id AS external_id, min(u.email) AS email_address, array_agg(m.role) AS roles
				FROM team_members m JOIN users u ON u.id = m.user_id GROUP BY 1, 2`
		}, ""},
		{"a window over everything", func(_, m *consumers.Mapping) {
			m.Select = `SELECT m.team_id AS organization_external_id, u.id AS external_id, u.email AS email_address, (count(*) OVER ())::text AS name
				FROM team_members m JOIN users u ON u.id = m.user_id`
		}, "members.select reads"},
		{"a key that is an expression", func(_, m *consumers.Mapping) {
			m.Select = `SELECT m.team_id::text AS organization_external_id, u.id::text AS external_id, u.email AS email_address
				FROM team_members m JOIN users u ON u.id = m.user_id`
			for t, r := range map[schemas.Table]string{
				teamsTables[1]: "SELECT id::text AS external_id FROM changed",
				teamsTables[2]: "SELECT team_id::text AS organization_external_id, user_id::text AS external_id FROM changed",
			} {
				m.Routes[t] = consumers.Route{Select: r}
			}
		}, "the filter by external_id alone"},
		{"a CTE used twice", func(o, _ *consumers.Mapping) {
			o.Select = `WITH t AS (SELECT * FROM teams) SELECT a.id AS organization_external_id, b.name AS organization_name FROM t a JOIN t b ON b.id = a.id`
		}, "organizations.select reads"},
		{"a row that cannot be evaluated, told once", func(_, m *consumers.Mapping) {
			m.Select = `SELECT m.team_id AS organization_external_id, u.id AS external_id, (1 / (u.id - u.id))::text AS email_address
				FROM team_members m JOIN users u ON u.id = m.user_id`
		}, "members.select fails on some row with SQLSTATE 22012: such rows are parked"},
		{"a route without an index", func(_, m *consumers.Mapping) {
			m.Routes[teamsTables[0]] = consumers.Route{Select: `SELECT m.user_id AS external_id FROM changed c JOIN team_members m ON m.role = c.slug`}
		}, "members.routes.teams reads"},
	} {
		organizations, members := teamsMappings()
		c.edit(&organizations, &members)
		plan, err := compileOn(w.ctx, w.pool, teamsTables, organizations, members)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		conn, err := w.pool.Acquire(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		findings, err := plan.Pushdown(w.ctx, conn.Conn())
		conn.Release()
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got := Findings(findings).Error()
		if c.want == "" && len(findings) > 0 || !strings.Contains(got, c.want) || strings.Count(got, "SQLSTATE") > 1 {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
