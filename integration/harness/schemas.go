package harness

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/pipeline/cli/demo"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// Example is the configuration of the design's fourth section and a schema for it:
// integer keys, soft deletes, roles and hashes of several kinds, no data yet.
func Example() Options {
	return Options{
		Schema: `
CREATE TABLE teams (
    id         bigint PRIMARY KEY,
    name       text NOT NULL,
    slug       text NOT NULL UNIQUE,
    plan       text,
    deleted_at timestamptz
);
CREATE TABLE users (
    id                bigint PRIMARY KEY,
    email             text NOT NULL,
    name              text,
    password          text,
    email_verified_at timestamptz
);
CREATE TABLE team_members (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    team_id bigint NOT NULL REFERENCES teams ON DELETE CASCADE,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    role    text NOT NULL DEFAULT 'MEMBER',
    UNIQUE (team_id, user_id)
);`,
		Tables: "[public.teams, public.users, public.team_members]",
		Organizations: `  select: |
    SELECT t.id AS organization_external_id, t.name AS organization_name, t.slug AS organization_slug,
           jsonb_build_object('plan', t.plan) AS trusted_metadata
    FROM teams t WHERE t.deleted_at IS NULL
  routes:
    teams: {organization_external_id: id}`,
		Members: `  temporary_email_domain: swap.example.com
  select: |
    SELECT m.team_id AS organization_external_id, u.id AS external_id, u.email AS email_address, u.name,
           CASE m.role WHEN 'OWNER' THEN ARRAY['admin'] ELSE ARRAY['member'] END AS roles,
           u.password AS password_hash, u.email_verified_at IS NOT NULL AS email_verified
    FROM team_members m JOIN users u ON u.id = m.user_id
  routes:
    users: {external_id: id}
    team_members: {organization_external_id: team_id, external_id: user_id}`,
		More:      "deletes: {members: apply, organizations: apply, max_per_hour: 500}",
		Simulator: simulator.Options{SearchLimit: -1, JournalSize: 1 << 17},
	}
}

// ExampleRows is SQL that fills a world of Example: teams, of about ten members each,
// with deleted ones, people in several teams, without name, without password, with a
// hash that Stytch cannot take, and with an address that nobody verified.
func ExampleRows(teams int) string {
	return strings.ReplaceAll(exampleRows, "$TEAMS", strconv.Itoa(teams))
}

const exampleRows = `
INSERT INTO teams SELECT i, 'Team ' || i, 'team-' || i, CASE WHEN i % 3 > 0 THEN 'pro' END, CASE WHEN i % 11 = 0 THEN now() END
FROM generate_series(1, $TEAMS) i;
INSERT INTO users SELECT i, 'user' || i || '@corp.example', CASE WHEN i % 7 > 0 THEN 'Person ' || i END,
    CASE WHEN i % 13 = 0 THEN 'rot13:frperg' WHEN i % 5 > 0 THEN '$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy' END,
    CASE WHEN i % 4 > 0 THEN now() END
FROM generate_series(1, 5 * $TEAMS) i;
INSERT INTO team_members (team_id, user_id, role)
SELECT DISTINCT 1 + (i * 7 + j * 3) % $TEAMS, i, CASE WHEN i % 10 = 0 THEN 'OWNER' ELSE 'MEMBER' END
FROM generate_series(1, 5 * $TEAMS) i, generate_series(1, 2) j;`

// Boxy is the demo's legacy system and mapping.
func Boxy() Options {
	return Options{
		Tables: `['public."Team"', 'public."User"', 'public."TeamMember"']`,
		Organizations: `  select: |
    SELECT t.id AS organization_external_id, t.name AS organization_name, t.slug AS organization_slug,
           jsonb_build_object('default_role', lower(t."defaultRole"::text), 'domain', t.domain) AS trusted_metadata
    FROM "Team" t
  routes:
    'public."Team"': {organization_external_id: id}`,
		Members: `  temporary_email_domain: swap.example.com
  select: |
    SELECT m."teamId" AS organization_external_id, u.id AS external_id, u.email AS email_address, u.name,
           ARRAY[lower(m.role::text)] AS roles, u.password AS password_hash, u."emailVerified" IS NOT NULL AS email_verified
    FROM "TeamMember" m JOIN "User" u ON u.id = m."userId"
  routes:
    'public."User"': {external_id: id}
    'public."TeamMember"': {organization_external_id: teamId, external_id: userId}`,
		More:      "deletes: {members: apply, organizations: apply, max_per_hour: 20000}",
		Simulator: simulator.Options{SearchLimit: -1, JournalSize: 1 << 17},
	}
}

// SeedBoxy fills a world of Boxy.
func (w *World) SeedBoxy(tb testing.TB, size demo.Size) *demo.Legacy {
	tb.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, w.Legacy)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(ctx)
	legacy, err := demo.Seed(ctx, conn, size)
	if err != nil {
		tb.Fatal(err)
	}
	return legacy
}

// Use starts people who use a world of Boxy; stop ends them and returns how many
// transactions they made.
func (w *World) Use(tb testing.TB, legacy *demo.Legacy, seed uint64, perSecond int) (stop func() int64) {
	tb.Helper()
	people := demo.NewWorkload(w.Pool, legacy, seed, perSecond)
	end, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- people.Run(context.Background(), end) }()
	var done bool
	stop = func() int64 {
		if !done {
			done = true
			close(end)
			if err := <-ended; err != nil {
				tb.Error(err)
			}
		}
		return people.Done()
	}
	tb.Cleanup(func() { stop() })
	return stop
}
