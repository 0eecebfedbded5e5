package transform

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers"
)

func (w *world) seed(teams, users int) {
	w.t.Helper()
	w.legacyOnly(fmt.Sprintf(`INSERT INTO teams SELECT g, 'Team ' || g, 't' || g FROM generate_series(1, %d) g`, teams),
		fmt.Sprintf(`INSERT INTO users SELECT g, g || '@corp.example', 'User ' || g, 'hash', '2026-01-01' FROM generate_series(1, %d) g`, users),
		fmt.Sprintf(`INSERT INTO team_members SELECT g, 1 + g %% %d, g FROM generate_series(1, %d) g`, teams, users))
	w.fill(touchInfo{})
}

func TestLoadGoesOnAfterInterruption(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.seed(500, 2000)
	at := w.at()
	id, _, err := w.eval.openPass(w.ctx, at, causeLoad)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	chunks := 0
	w.eval.changed = func() {
		if chunks++; chunks == 2 { // the organizations, and a chunk of members
			cancel()
		}
	}
	if err := w.eval.load(ctx, at); !errors.Is(err, context.Canceled) {
		t.Fatalf("load: %v", err)
	}
	left := w.number(`SELECT count(*) FROM backstitch.pass_keys`)
	if left == 0 || left == 500 {
		t.Fatalf("%d organizations are left", left)
	}
	w.eval.changed = func() {}
	w.load()
	if n := w.number(`SELECT count(*) FROM backstitch.passes WHERE id = $1 AND ended_at IS NOT NULL AND entities = 2500 AND changed = 2500`, id); n != 1 {
		t.Errorf("the load did not go on where it was interrupted")
	}
	if n := w.number(`SELECT count(*) FROM backstitch.entities WHERE lane = 'backfill' AND revision = $1 AND commit_lsn = $1`, int64(at.CommitLSN)); n != 2500 {
		t.Errorf("%d entities are loaded, want 2500", n)
	}
	loaded, same, err := w.eval.loadedBefore(w.ctx)
	if err != nil || !loaded || !same {
		t.Errorf("loaded %t, same mapping %t, %v", loaded, same, err)
	}
}

// A load that was interrupted where the mirror then moved on begins anew.
func TestLoadBeginsAnewElsewhere(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.seed(50, 200)
	if _, _, err := w.eval.openPass(w.ctx, w.at(), causeLoad); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	w.eval.changed = cancel // after the organizations
	if err := w.eval.load(ctx, w.at()); !errors.Is(err, context.Canceled) {
		t.Fatalf("load: %v", err)
	}
	w.eval.changed = func() {}
	w.legacy(`INSERT INTO teams VALUES (900, 'New')`, `INSERT INTO team_members VALUES (900, 900, 1)`)
	w.load()
	if e := w.member("900", "1"); e == nil || e.Desired == "" {
		t.Error("what changed between two attempts to load is missing")
	}
}

// invariant 7: an accepted mapping that excludes people deletes nobody by itself.
func TestMappingEditDeletesAreUnearned(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.seed(3, 9)
	w.load()
	before := w.plan.Digest()
	organizations, members := teamsMappings()
	organizations.Select += " AND t.id <> 3"
	members.Select = strings.Replace(strings.TrimSuffix(members.Select, ";"), "u.name,", "lower(u.name) AS name,", 1) + " WHERE u.id <> 1"
	w.compile(organizations, members)
	if before == w.plan.Digest() {
		t.Fatal("another mapping has the same digest") // hazard C23
	}
	if loaded, same, err := w.eval.loadedBefore(w.ctx); err != nil || !loaded || same {
		t.Fatalf("loaded %t, same %t, %v", loaded, same, err)
	}
	w.load()
	w.wantLiving("1/3", "1/6", "1/9", "2/4", "2/7")
	for _, gone := range []*entity{w.entity(consumers.Organization, "3", "3"), w.member("3", "2"), w.member("2", "1")} {
		if gone.Desired != "" || gone.Earned || gone.Cause != causeMapping || gone.Lane != "backfill" {
			t.Errorf("an entity that the edit excludes is %+v, want gone and not earned", gone)
		}
	}
	if e := w.member("1", "3"); !strings.Contains(e.Desired, `"user 3"`) || e.Cause != causeMapping {
		t.Errorf("member 1/3 is %+v", e)
	}
	w.legacy(`DELETE FROM users WHERE id = 4`)
	w.evaluate()
	if e := w.member("2", "4"); e.Desired != "" || !e.Earned {
		t.Errorf("a member whose row was deleted is %+v, want earned", e)
	}
	if n := w.number(`SELECT count(*) FROM backstitch.entities WHERE desired IS NULL AND NOT earned`); n != 5 {
		t.Errorf("%d deletes wait for consent, want the 5 that the edit caused", n)
	}
}

// A stored key that the new mapping's type cannot hold is gone, not an error.
func TestMappingEditOfTheKeyType(t *testing.T) {
	t.Parallel()
	w := newWorld(t, boxyDDL, boxyTables, boxyMappings()...)
	w.legacy(`INSERT INTO "Team" VALUES ('t1', 'Acme', '1')`, `INSERT INTO "User" VALUES ('u1', 'Jane', 'jane@corp.example')`,
		`INSERT INTO "TeamMember" VALUES ('m1', 't1', 'u1', 'OWNER')`)
	w.load()
	mappings := boxyMappings()
	mappings[1].Select = `SELECT t.slug::int AS organization_external_id, t.name AS organization_name FROM "Team" t`
	mappings[1].Routes = nil
	w.compile(mappings...)
	w.load()
	if e := w.entity(consumers.Organization, "t1", "t1"); e.Desired != "" || e.Earned || e.Status != "pending" {
		t.Errorf("organization t1 is %+v", e)
	}
	if e := w.entity(consumers.Organization, "1", "1"); e == nil || e.Desired == "" {
		t.Errorf("organization 1 is %+v", e)
	}
}

// A former owner cannot write (invariant 10), and a re-read of everything changes
// nothing (invariant 5).
func TestFenceAndReplay(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.seed(3, 9)
	w.load()
	revisions := w.number(`SELECT sum(revision) FROM backstitch.entities`)
	w.exec(`INSERT INTO backstitch.touched (kind, part, org_key, key, wide, earned) SELECT kind, 3, org_key, key, false, true FROM backstitch.entities`)
	w.evaluate()
	if err := w.eval.pass(w.ctx, w.at(), causeRebuild); err != nil {
		t.Fatal(err)
	}
	if n := w.number(`SELECT sum(revision) FROM backstitch.entities`); n != revisions {
		t.Error("evaluating again what had not changed made new revisions")
	}
	w.exec(`UPDATE backstitch.transform SET term = 2`)
	w.legacyOnly(`UPDATE users SET name = 'x'`)
	w.fill(touchInfo{})
	if err := w.eval.evaluate(w.ctx, w.at()); !errors.Is(err, errFenced) {
		t.Errorf("a former owner evaluated: %v", err)
	}
	if n := w.number(`SELECT sum(revision) FROM backstitch.entities`); n != revisions {
		t.Error("a former owner wrote")
	}
}
