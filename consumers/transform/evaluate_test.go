package transform

import (
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/jackc/pgx/v5"
)

func TestFollowTheDesignsExample(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.load()
	w.legacy(`INSERT INTO teams VALUES (1, 'Acme', 'acme', 'pro'), (2, 'Initech', NULL, 'free')`,
		`INSERT INTO users VALUES (7, 'jane@corp.example', 'Jane', 'h1', '2026-01-01'), (8, 'joe@corp.example', NULL, NULL, NULL)`,
		`INSERT INTO team_members VALUES (100, 1, 7, 'OWNER'), (101, 1, 8, 'MEMBER'), (102, 2, 7, 'MEMBER')`)
	w.evaluate()
	w.wantLiving("1/7", "1/8", "2/7")
	if got, want := w.entity(consumers.Organization, "2", "2").Desired,
		`{"trusted_metadata": {"plan": "free"}, "organization_name": "Initech", "organization_slug": null}`; got != want {
		t.Errorf("organization 2 is %s, want %s", got, want)
	}
	jane := w.member("1", "7")
	if want := `{"name": "Jane", "roles": ["admin"], "email_address": "jane@corp.example", "password_hash": "h1", "email_verified": true}`; jane.Desired != want {
		t.Errorf("member 1/7 is %s, want %s", jane.Desired, want)
	}
	if jane.Lane != "live" || jane.Status != "pending" || jane.Revision != int64(w.lsn) {
		t.Errorf("member 1/7 is %+v, want live, pending, with the position's revision %d", jane, w.lsn)
	}

	w.legacy(`UPDATE users SET last_login = '2026-02-02' WHERE id = 7`) // read by nothing, but here the mirror has it
	w.evaluate()
	if again := w.member("1", "7"); *again != *jane {
		t.Errorf("an unchanged desired state got %+v, had %+v", again, jane) // invariant 5
	}

	w.legacy(`UPDATE users SET name = 'Janet' WHERE id = 7`)
	w.evaluate()
	if a, b := w.member("1", "7"), w.member("2", "7"); a.Revision <= jane.Revision || b.Revision <= jane.Revision {
		t.Errorf("the partial route of users left %+v and %+v at revision %d", a, b, jane.Revision)
	}
	if n := w.number("SELECT count(*) FROM backstitch.touched"); n != 0 {
		t.Errorf("%d keys are still touched", n)
	}
}

// hazard C1: every cascade deletes the membership that a grant's route joins.
func TestRoutesSeeOldImages(t *testing.T) {
	t.Parallel()
	organizations, members := teamsMappings()
	members.Select = `SELECT m.team_id AS organization_external_id, m.user_id AS external_id, u.email AS email_address,
			ARRAY(SELECT g.role FROM grants g WHERE g.member_id = m.id ORDER BY 1) AS roles
		FROM team_members m JOIN users u ON u.id = m.user_id`
	members.Routes[public("team_members")[0]] = consumers.Route{Sweep: true} // leave the cascade to the grants' route
	members.Routes[public("grants")[0]] = consumers.Route{Select: `SELECT m.team_id AS organization_external_id, m.user_id AS external_id
		FROM changed c JOIN team_members m ON m.id = c.member_id;`}
	w := newWorld(t, teamsDDL+`CREATE TABLE grants (id int PRIMARY KEY, member_id int, role text)`,
		public("teams", "users", "team_members", "grants"), organizations, members)
	w.legacyOnly(`INSERT INTO teams VALUES (1, 'Acme')`, `INSERT INTO users VALUES (7, 'jane@corp.example')`,
		`INSERT INTO team_members VALUES (100, 1, 7)`, `INSERT INTO grants VALUES (1, 100, 'admin'), (2, 100, 'member')`)
	w.fill(touchInfo{})
	w.load()
	w.wantLiving("1/7")
	w.legacy(`DELETE FROM grants WHERE member_id = 100`, `DELETE FROM team_members WHERE id = 100`)
	w.evaluate()
	w.wantLiving()
	if e := w.member("1", "7"); !e.Earned || e.Cause != "change" {
		t.Errorf("the delete is %+v, want earned by the change", e) // invariant 7
	}
}

// hazard C2: the SELECT returns nothing for a deleted user any more.
func TestPartialKeyOfDeletedUser(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.legacy(`INSERT INTO teams VALUES (1, 'Acme'), (2, 'Initech')`, `INSERT INTO users VALUES (7, 'jane@corp.example'), (8, 'joe@corp.example')`,
		`INSERT INTO team_members VALUES (100, 1, 7), (101, 2, 7), (102, 1, 8)`)
	w.load()
	w.legacy(`DELETE FROM users WHERE id = 7`) // no foreign key: orphans stay
	w.evaluate()
	w.wantLiving("1/8")
	for _, org := range []string{"1", "2"} {
		if e := w.member(org, "7"); e.Desired != "" || !e.Earned || e.Lane != "live" {
			t.Errorf("member %s/7 is %+v, want gone, earned, live", org, e)
		}
	}
}

// hazard C3, invariant 11: nothing is evaluated between delete and insert.
func TestSamePairUnderNewKey(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.legacy(`INSERT INTO teams VALUES (1, 'Acme')`, `INSERT INTO users VALUES (7, 'jane@corp.example')`, `INSERT INTO team_members VALUES (100, 1, 7)`)
	w.load()
	before := w.member("1", "7")
	w.legacyOnly(`DELETE FROM team_members WHERE id = 100`)
	w.fill(touchInfo{}) // a fill transaction may end here, an evaluation may not
	w.legacyOnly(`INSERT INTO team_members VALUES (200, 1, 7)`)
	w.fill(touchInfo{})
	w.evaluate()
	if after := w.member("1", "7"); *after != *before {
		t.Errorf("the member is %+v, was %+v: it must not notice", after, before)
	}
}

// hazard C12: a revision is above the stored one and not below the position, even
// when the ledger came back with an older position.
func TestRevisionsGrow(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.legacy(`INSERT INTO teams VALUES (1, 'Acme')`)
	w.evaluate()
	w.exec(`UPDATE backstitch.entities SET revision = 1::bigint << 40`)
	w.legacy(`UPDATE teams SET name = 'Acme 2'`)
	w.evaluate()
	if e := w.entity(consumers.Organization, "1", "1"); e.Revision != 1<<40+1 {
		t.Errorf("revision is %d, want %d", e.Revision, int64(1<<40+1))
	}
	if on := func() (s string) {
		if err := w.eval.inTx(w.ctx, func(tx pgx.Tx) error { return tx.QueryRow(w.ctx, "SHOW synchronous_commit").Scan(&s) }); err != nil {
			t.Fatal(err)
		}
		return s
	}(); on != "on" {
		t.Errorf("evaluation commits with synchronous_commit %s", on)
	}
}

// hazard A25: members follow their organization, both ways, and inherit why.
func TestMembersOfExcludedOrganizations(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.legacy(`INSERT INTO teams VALUES (1, 'Acme', NULL, NULL, '2026-01-01')`, `INSERT INTO users VALUES (7, 'jane@corp.example')`,
		`INSERT INTO team_members VALUES (100, 1, 7)`)
	w.evaluate()
	if e := w.member("1", "7"); e != nil {
		t.Fatalf("a member of an organization that is not desired is stored: %+v", e)
	}
	w.legacy(`UPDATE teams SET deleted_at = NULL`)
	w.evaluate()
	w.wantLiving("1/7")
	w.legacy(`UPDATE teams SET deleted_at = '2026-02-02'`)
	w.evaluate()
	w.wantLiving()
	if e := w.member("1", "7"); !e.Earned {
		t.Errorf("the member is %+v, want gone and earned", e)
	}
	w.legacy(`UPDATE users SET name = 'Jane' WHERE id = 7`) // its SELECT returns it still
	w.evaluate()
	w.wantLiving()
}

// invariant 12: what was cut over stays released, whatever the legacy system does.
func TestReleasedStaysReleased(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.legacy(`INSERT INTO teams VALUES (1, 'Acme')`)
	w.evaluate()
	w.exec(`UPDATE backstitch.entities SET status = 'released'`)
	w.legacy(`UPDATE teams SET name = 'Acme 2'`)
	w.evaluate()
	if e := w.entity(consumers.Organization, "1", "1"); e.Status != "released" {
		t.Errorf("status is %s", e.Status)
	}
	w.exec(`UPDATE backstitch.entities SET status = 'parked', reason = 'invalid_slug', detail = 'x', attempts = 3, due_at = now(), consent_id = 4`)
	w.legacy(`UPDATE teams SET name = 'Acme 3'`)
	w.evaluate()
	if n := w.number(`SELECT count(*) FROM backstitch.entities WHERE status = 'pending' AND reason IS NULL AND detail IS NULL
		AND attempts = 0 AND due_at IS NULL AND consent_id IS NULL`); n != 1 {
		t.Errorf("a new desired state did not clear what became of the old one")
	}
}

// hazard C18: fan-out decides the lane.
func TestLanes(t *testing.T) {
	t.Parallel()
	organizations, members := teamsMappings()
	members.Select = `SELECT m.team_id AS organization_external_id, m.user_id AS external_id, u.email AS email_address, ARRAY[r.name] AS roles
		FROM team_members m JOIN users u ON u.id = m.user_id JOIN roles r ON r.id = m.role`
	members.Routes[public("roles")[0]] = consumers.Route{Select: `SELECT m.team_id AS organization_external_id, m.user_id AS external_id
		FROM changed c JOIN team_members m ON m.role = c.id`}
	w := newWorld(t, teamsDDL+`CREATE TABLE roles (id text PRIMARY KEY, name text)`, public("teams", "users", "team_members", "roles"), organizations, members)
	w.legacy(`INSERT INTO teams SELECT g, 'Team ' || g FROM generate_series(1, 3) g`,
		`INSERT INTO users SELECT g, g || '@corp.example' FROM generate_series(1, 250) g`, `INSERT INTO roles VALUES ('a', 'admin'), ('m', 'member')`,
		`INSERT INTO team_members SELECT g, 1 + g % 2, g, CASE WHEN g <= 20 THEN 'a' ELSE 'm' END FROM generate_series(1, 250) g`)
	w.load()
	lanes := func() (live, backfill int64) {
		live = w.number(`SELECT count(*) FROM backstitch.entities WHERE lane = 'live' AND commit_lsn = $1`, int64(w.lsn-1))
		return live, w.number(`SELECT count(*) FROM backstitch.entities WHERE lane = 'backfill' AND commit_lsn = $1`, int64(w.lsn-1))
	}
	if n := w.number(`SELECT count(*) FROM backstitch.entities WHERE lane = 'backfill'`); n != 253 {
		t.Fatalf("the load put %d entities in the backfill lane, want all 253", n)
	}
	w.exec(`UPDATE backstitch.entities SET status = 'current'`)
	for _, step := range []struct {
		name, sql      string
		bulk           bool
		live, backfill int64
	}{
		{"a role that 230 members share", `UPDATE roles SET name = 'reader' WHERE id = 'm'`, false, 0, 230},
		{"one that 20 share", `UPDATE roles SET name = 'owner' WHERE id = 'a'`, false, 20, 0},
		{"250 users, each a small change", `UPDATE users SET email = 'x' || email`, false, 250, 0},
		{"a bulk transaction", `UPDATE users SET email = 'y' || email`, true, 0, 250},
		{"a role and one of its members", `UPDATE roles SET name = 'writer' WHERE id = 'm'; UPDATE users SET email = 'z' WHERE id = 100`, false, 1, 229},
	} {
		w.legacyOnly(step.sql)
		w.fill(touchInfo{Bulk: step.bulk})
		w.evaluate()
		if live, backfill := lanes(); live != step.live || backfill != step.backfill {
			t.Errorf("%s: %d live and %d backfill, want %d and %d", step.name, live, backfill, step.live, step.backfill)
		}
		w.exec(`UPDATE backstitch.entities SET status = 'current'`)
	}
	w.legacy(`UPDATE users SET email = 'w' WHERE id = 100`) // not applied yet
	w.evaluate()
	w.legacy(`UPDATE roles SET name = 'member' WHERE id = 'm'`)
	w.evaluate()
	if e := w.member("1", "100"); e.Lane != "live" {
		t.Errorf("an outstanding small change moved to lane %s", e.Lane)
	}
}

// hazard A19: an entity that waits counts from its oldest change that is not
// applied, else a run would end before what it was started for.
func TestOldestUnappliedChange(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.legacy(`INSERT INTO teams VALUES (1, 'Acme')`)
	first := w.lsn
	w.legacy(`UPDATE teams SET name = 'Acme 1'`) // before the evaluation
	w.evaluate()
	w.legacy(`UPDATE teams SET name = 'Acme 2'`) // and after it
	w.evaluate()
	position := func() int64 { return w.number(`SELECT commit_lsn FROM backstitch.entities`) }
	if got := position(); got != int64(first) {
		t.Errorf("the entity waits since %d, want %d", got, first)
	}
	w.exec(`UPDATE backstitch.entities SET status = 'current'`)
	w.legacy(`UPDATE teams SET name = 'Acme 3'`)
	last := w.lsn
	w.evaluate()
	if got := position(); got != int64(last) {
		t.Errorf("the entity waits since %d, want %d", got, last)
	}
}

// A backlog is taken in chunks that grow to what one transaction should hold: each
// chunk looks through what is left, and waits for the disk.
func TestBacklogIsTakenInGrowingChunks(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.seed(100, 12_000)
	w.load()
	chunks := 0
	w.eval.changed = func() { chunks++ }
	w.legacy(`UPDATE users SET name = name || ' again'`)
	w.evaluate()
	if n := w.number(`SELECT count(*) FROM backstitch.entities WHERE desired->>'name' LIKE '% again'`); n != 12_000 {
		t.Errorf("%d members follow, want 12000", n)
	}
	if chunks > 4 {
		t.Errorf("12,000 touched users were taken in %d chunks, want 1,000, 4,000 and the rest", chunks)
	}
}
