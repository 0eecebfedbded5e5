package transform

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/jackc/pgx/v5/pgxpool"
)

// malformedWorld has a mapping that casts text: a legacy system's habit.
func malformedWorld(t testing.TB) *world {
	t.Helper()
	organizations, members := teamsMappings()
	members.Select = `SELECT m.team_id AS organization_external_id, u.id AS external_id, u.email AS email_address, u.name::int::text AS name
		FROM team_members m JOIN users u ON u.id = m.user_id`
	w := newWorld(t, teamsDDL, teamsTables, organizations, members)
	w.legacy(`INSERT INTO teams SELECT g, 'Team' FROM generate_series(1, 3) g`,
		`INSERT INTO users SELECT g, g || '@corp.example', g FROM generate_series(1, 300) g`,
		`INSERT INTO team_members SELECT g, 1 + g % 3, g FROM generate_series(1, 300) g`)
	return w
}

// hazard C5: one malformed value parks its entity, whatever part of the key was
// touched, and neither ledger nor log learns the value.
func TestMalformedRowsAreParked(t *testing.T) {
	t.Parallel()
	w := malformedWorld(t)
	var log bytes.Buffer
	w.eval.log = slog.New(slog.NewJSONHandler(&log, nil))
	const secret = "jane-secret@corp.example"
	w.legacyOnly(`UPDATE users SET name = '` + secret + `' WHERE id IN (17, 200)`)
	w.fill(touchInfo{})
	w.load() // by organization
	check := func(step string, parked ...string) {
		t.Helper()
		for _, key := range parked {
			var got *entity
			for _, org := range []string{"1", "2", "3"} {
				if e := w.member(org, key); e != nil {
					got = e
				}
			}
			if got == nil || got.Status != "parked" || got.Reason != string(consumers.ReasonEvaluation) || got.Detail != "SQLSTATE 22P02" {
				t.Errorf("%s: member %s is %+v", step, key, got)
			}
		}
		if n := w.number(`SELECT count(*) FROM backstitch.entities WHERE status = 'parked'`); n != int64(len(parked)) {
			t.Errorf("%s: %d entities are parked, want %d", step, n, len(parked))
		}
		if n := w.number(`SELECT count(*) FROM backstitch.entities WHERE announced < revision AND status = 'parked'`); n != 0 {
			t.Errorf("%s: %d parked entities are to be announced", step, n)
		}
	}
	check("load", "17", "200")
	if n := len(w.living()); n != 298 {
		t.Errorf("%d members are desired, want the other 298", n)
	}
	w.legacy(`UPDATE users SET email = 'x' || email WHERE id < 100`, `UPDATE users SET name = '`+secret+`' WHERE id = 30`) // by entity
	w.evaluate()
	check("users", "17", "200", "30")
	if e := w.member("1", "30"); !strings.Contains(e.Desired, "30@corp.example") {
		t.Errorf("a parked entity lost its desired state: %+v", e)
	}
	w.legacy(`UPDATE teams SET deleted_at = now() WHERE id = 3`) // by organization
	w.evaluate()
	w.legacy(`UPDATE users SET name = id`) // all mended
	w.evaluate()
	check("mended")
	w.legacy(`UPDATE teams SET deleted_at = NULL`)
	w.evaluate()
	if n := len(w.living()); n != 300 {
		t.Errorf("%d members are desired, want all 300", n)
	}
	if n := w.number(`SELECT count(*) FROM backstitch.entities e WHERE (e.detail, e.reason, e.source_table)::text LIKE '%secret%'`); n != 0 || strings.Contains(log.String(), "secret") {
		t.Errorf("a value stands in %d entities, or in the log: %s", n, log.String()) // invariant 8
	}
}

// hazard C5: a malformed value in the way of the whole listing, and of a route.
func TestMalformedValuesInTheWay(t *testing.T) {
	t.Parallel()
	organizations, members := teamsMappings()
	organizations.Select = `SELECT t.id AS organization_external_id, t.name AS organization_name FROM teams t WHERE t.plan::int > 0`
	members.Routes[teamsTables[1]] = consumers.Route{Select: `SELECT c.id AS external_id FROM changed c WHERE c.name::int > 0`}
	w := newWorld(t, teamsDDL, teamsTables, organizations, members)
	w.legacyOnly(`INSERT INTO teams SELECT g, 'Team', NULL, CASE WHEN g = 3 THEN 'gold' ELSE '1' END FROM generate_series(1, 5) g`,
		`INSERT INTO users SELECT g, g || '@corp.example' FROM generate_series(1, 10) g`, `INSERT INTO team_members SELECT g, 1 + g % 5, g FROM generate_series(1, 10) g`)
	w.fill(touchInfo{})
	w.load()
	if e := w.entity(consumers.Organization, "3", "3"); e == nil || e.Status != "parked" {
		t.Errorf("organization 3 is %+v", e)
	}
	if n := w.number(`SELECT count(*) FROM backstitch.entities WHERE kind = 'organization' AND desired IS NOT NULL`); n != 4 {
		t.Errorf("%d organizations are desired, want 4", n)
	}
	w.legacy(`UPDATE users SET name = 'x' WHERE id = 1`) // its route fails: swept instead
	if n := w.number(`SELECT count(*) FROM backstitch.sweeps WHERE source_table = 'public.users' AND NOT routed AND changes > swept`); n != 1 {
		t.Error("a table whose route failed is not swept")
	}
}

// hazard C6: a key with two rows is parked, both named, and stops nobody; rows
// with a NULL key are counted.
func TestTwoRowsForOneKey(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.legacy(`INSERT INTO teams VALUES (1, 'Acme')`, `INSERT INTO users VALUES (7, 'jane@corp.example'), (8, 'joe@corp.example')`,
		`INSERT INTO team_members VALUES (100, 1, 7, 'OWNER'), (101, 1, 7, 'MEMBER'), (102, 1, 8, NULL), (103, NULL, 8, NULL), (104, NULL, 7, NULL)`)
	w.load()
	e := w.member("1", "7")
	if e.Status != "parked" || e.Reason != string(consumers.ReasonDuplicateKey) || !strings.HasPrefix(e.Detail, "2 rows: ") || strings.Count(e.Detail, ", ") != 1 {
		t.Errorf("the double key is %+v", e)
	}
	w.wantLiving("1/8")
	if n := w.number(`SELECT null_keys FROM backstitch.passes`); n != 2 {
		t.Errorf("%d rows with a NULL key were counted, want 2", n)
	}
	w.legacy(`DELETE FROM team_members WHERE id = 101`)
	w.evaluate()
	w.wantLiving("1/7", "1/8")
	if e := w.member("1", "7"); e.Status != "pending" || e.Reason != "" {
		t.Errorf("the mended key is %+v", e)
	}
}

// hazard C19: evaluation means the same whatever the ledger's settings are.
func TestPinnedSettings(t *testing.T) {
	t.Parallel()
	organizations, members := teamsMappings()
	members.Select = strings.Replace(members.Select, "u.name", "u.email_verified_at::text AS name", 1)
	w := newWorld(t, teamsDDL+`CREATE SCHEMA shadow; CREATE TABLE shadow.users (id int, email text)`, teamsTables, organizations, members)
	w.exec(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET TimeZone = ''Asia/Tokyo''', current_database());
		EXECUTE format('ALTER DATABASE %I SET DateStyle = ''German''', current_database());
		EXECUTE format('ALTER DATABASE %I SET search_path = shadow, public', current_database()); END $$`)
	pool, err := pgxpool.New(w.ctx, w.url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	w.eval.pool = pool
	w.legacy(`INSERT INTO teams VALUES (1, 'Acme')`, `INSERT INTO users VALUES (7, 'jane@corp.example', NULL, NULL, '2026-01-02 03:04:05+00')`,
		`INSERT INTO team_members VALUES (1, 1, 7)`)
	w.evaluate()
	if e := w.member("1", "7"); e == nil || !strings.Contains(e.Desired, `"2026-01-02 03:04:05+00"`) {
		t.Errorf("the member is %+v", e)
	}
}
