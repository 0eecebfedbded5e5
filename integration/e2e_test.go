package integration_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/pipeline/cli/demo"
)

// untilCaughtUp runs the pipeline until everything is applied.
func untilCaughtUp(t *testing.T, w *harness.World, want int, more ...string) *harness.Process {
	t.Helper()
	p := w.Run(t, append([]string{"--until-caught-up"}, more...)...)
	if code := p.Wait(t, 2*time.Minute); code != want {
		parked, _ := w.Command(t, "parked", "list")
		t.Fatalf("run --until-caught-up exits with %d, want %d:\n%s\n%s", code, want, tail(p.Log()), tail(parked))
	}
	return p
}

func tail(s string) string { return s[max(0, len(s)-4000):] }

// The whole way, with the example of the README: backfill, then every kind of change
// while the pipeline runs, then the same again after a restart.
func TestExample(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(30)
	w := harness.New(t, o)
	untilCaughtUp(t, w, 0) // hazard A19: an idle database
	r := w.Clean(t)
	harness.NothingAside(t, r)
	if r.Losses[consumers.LossHashFormat] == 0 || r.Losses[consumers.LossEmailUnverified] == 0 {
		t.Errorf("named losses %v: want hashes that Stytch cannot take, and passwords of unverified addresses", r.Losses)
	}

	p := w.Run(t)
	for _, tx := range exampleChanges {
		w.Tx(t, tx...)
	}
	w.CaughtUp(t, time.Minute)
	harness.NothingAside(t, w.Clean(t))
	if code := p.Stop(t); code != 0 {
		t.Errorf("SIGTERM ends with %d", code)
	}

	w.Exec(t, "UPDATE users SET name = 'While nobody ran' WHERE id % 3 = 0")
	untilCaughtUp(t, w, 0)
	harness.NothingAside(t, w.Clean(t))
	before := w.Simulator.Seq()
	untilCaughtUp(t, w, 0)
	if n := w.Simulator.Seq() - before; n != 0 {
		t.Errorf("%d calls though nothing changed", n) // invariant 5
	}
}

// exampleChanges are transactions of people who use the example.
var exampleChanges = [][]string{
	{
		"INSERT INTO teams VALUES (1001, 'Newcomers', 'newcomers', 'free', NULL)",
		"INSERT INTO users VALUES (1001, 'new@corp.example', 'Someone New', NULL, now())",
		"INSERT INTO team_members (team_id, user_id, role) VALUES (1001, 1001, 'OWNER')",
	},
	{"UPDATE users SET email = 'moved@corp.example' WHERE id = 1"},
	{
		"UPDATE users SET email = 'nobody@corp.example' WHERE id = 2", // two exchange addresses (hazard A4)
		"UPDATE users SET email = 'user2@corp.example' WHERE id = 3",
		"UPDATE users SET email = 'user3@corp.example' WHERE id = 2",
	},
	{"UPDATE users SET name = NULL WHERE id = 6"},
	{"UPDATE team_members SET role = 'OWNER' WHERE user_id = 9"},
	{"UPDATE users SET password = '$2a$10$CwTycUXWue0Thq9StjUM0uJ8E0dTR8zvJOJWrmk0sUjOmm2G3Zk8e' WHERE id = 11"},
	{"UPDATE users SET email_verified_at = now() WHERE id = 16"}, // its hash may come now
	{"UPDATE teams SET deleted_at = now() WHERE id = 4"},
	{"UPDATE teams SET deleted_at = NULL WHERE id = 11"},
	{"UPDATE teams SET plan = NULL, name = 'Umbenannt' WHERE id = 5"},
	{"DELETE FROM team_members WHERE user_id = 17"},
	{"DELETE FROM users WHERE id = 18"}, // cascades (hazard C1)
	{"DELETE FROM teams WHERE id = 7"},
	{"UPDATE teams SET slug = 'swapped' WHERE id = 8", "UPDATE teams SET slug = 'team-8' WHERE id = 9", "UPDATE teams SET slug = 'team-9' WHERE id = 8"},
}

// The demo's legacy system, with its traps, under the demo's workload: the run is
// asked to catch up while people go on (hazard A19), and says with code 3 that some
// entities wait for a person.
func TestDemoSchemaUnderLoad(t *testing.T) {
	t.Parallel()
	w := harness.New(t, harness.Boxy())
	legacy := w.SeedBoxy(t, demo.Size{Teams: 60, Users: 600, Memberships: 800, Largest: 120, Seed: 3})
	stop := w.Use(t, legacy, 3, 60)
	p := untilCaughtUp(t, w, 3)
	if !strings.Contains(p.Log(), "caught up; ") {
		t.Errorf("the run does not say what waits:\n%s", tail(p.Log()))
	}
	if n := stop(); n == 0 {
		t.Error("nobody used the legacy system")
	}
	untilCaughtUp(t, w, 3)
	r := w.Clean(t)
	w.Traps(t, legacy, r)
	if len(r.Awaiting) > 0 {
		t.Errorf("%d entities await consent", len(r.Awaiting))
	}
}

// seed runs SQL on a database.
func seed(t *testing.T, url, sql string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatal(err)
	}
}
