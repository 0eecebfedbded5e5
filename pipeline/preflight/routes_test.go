package preflight

import (
	"slices"
	"strings"
	"testing"
)

// Routes that nobody wrote are printed as SQL, with the reason where there is none.
func TestDerivedRoutesAreShown(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	before, _, _ := strings.Cut(b.yaml, "  routes:\n    teams")
	b.yaml = before + `members:
  select: |
    SELECT m.team_id AS organization_external_id, u.id AS external_id, u.email AS email_address, ARRAY[m.role] AS roles
    FROM teams t JOIN members m ON m.team_id = t.id JOIN users u ON u.id = m.user_id
  routes:
    users: sweep
`
	r := b.check()
	want := []Route{
		{Kind: "organization", Table: "public.teams", SQL: "SELECT c.id AS organization_external_id FROM changed c"},
		{Kind: "member", Table: "public.members", SQL: "SELECT c.team_id AS organization_external_id, c.user_id AS external_id FROM changed c"},
		{Kind: "member", Table: "public.teams", SQL: "SELECT t.id AS organization_external_id, m.user_id AS external_id FROM changed t JOIN members m ON m.team_id = t.id"},
		{Kind: "member", Table: "public.users", Swept: "as is written"},
	}
	if !slices.Equal(r.Routes, want) || len(r.found("mapping")) != 0 {
		t.Errorf("routes are %+v\nwant %+v\nfindings %v", r.Routes, want, r.found("mapping"))
	}
	for _, line := range []string{
		"  members.routes.public.teams:\n    SELECT t.id AS organization_external_id, m.user_id AS external_id FROM changed t JOIN members m ON m.team_id = t.id\n",
		"  members.routes.public.users: swept, as is written\n",
	} {
		if !strings.Contains(r.Text(), line) {
			t.Errorf("the report lacks %q:\n%s", line, r.Text())
		}
	}
	b.replace("m.team_id = t.id", "m.team_id <= t.id")
	found := b.check().found("mapping")
	if len(found) != 1 || found[0].Severity != Warning || !strings.Contains(found[0].What, "has no route for teams") {
		t.Errorf("a table without a route gives %+v", found)
	}
}
