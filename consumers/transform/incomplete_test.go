package transform

import (
	"strings"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/schemas"
)

// again reads rows once more, as a backfill does.
func (tx *fedTx) again(table string, rows ...[]any) {
	tx.f.t.Helper()
	for _, values := range rows {
		tx.add(table, tx.version(), schemas.Read, nil, row(values))
	}
	tx.end()
}

// parkedFor is the detail of a parked entity, "" while it is not parked for a row
// that is incomplete.
func (f *feeder) parkedFor(org, key string) (detail string) {
	f.t.Helper()
	f.check(f.pool.QueryRow(f.ctx, `SELECT coalesce(max(detail), '') FROM backstitch.entities
		WHERE org_key = $1 AND key = $2 AND status = 'parked' AND reason = $3`, org, key, consumers.ReasonIncomplete).Scan(&detail))
	return detail
}

// hazard C15: what compaction leaves of an insert and an update lacks a value. Only
// the entity that reads the row waits, parked, and it comes back by itself.
func TestAnIncompleteRowParksItsEntityAlone(t *testing.T) {
	t.Parallel()
	f := docsFeeder(t)
	tr := f.start()
	f.reading().insert("docs", 1, "a", "BIG1", "u", "w").end()
	f.loaded()
	f.evaluated(tr)
	f.sql("INSERT INTO docs VALUES (2, 'b', 'BIG2', 'u', 'w')")
	f.begin().update("docs", 1, "a2", toasted{}, "u", "w").update("docs", 2, "b", toasted{}, "u", "w").end()
	f.evaluated(tr)
	if d := f.parkedFor("2", "2"); d != "public.docs: big" {
		t.Fatalf("the entity of the incomplete row is parked for %q", d)
	}
	if tr.Status().Held != nil || f.number("SELECT count(*) FROM backstitch.entities WHERE key = '1' AND desired->>'organization_name' = 'a2'") != 1 {
		t.Fatal("another entity waits with it")
	}
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE key = '2' AND desired IS NOT NULL"); n != 0 {
		t.Fatal("the mapping was believed over a value that was never seen")
	}
	// it moves, and stays incomplete under its new key; then a backfill brings it
	f.begin().move("docs", 2, 22, "b", toasted{}, "u", "w").end()
	f.evaluated(tr)
	if n := f.number("SELECT count(*) FROM backstitch.incomplete_rows"); n != 1 || f.parkedFor("22", "22") == "" || f.parkedFor("2", "2") != "" {
		t.Fatalf("%d rows are incomplete, the moved one is parked for %q, the old one for %q", n, f.parkedFor("22", "22"), f.parkedFor("2", "2"))
	}
	f.reading().again("docs", []any{22, "b", "BIG2", "u", "w"})
	f.evaluated(tr)
	f.same()
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE key = '22' AND status = 'pending' AND desired->>'organization_logo_url' = 'BIG2'"); n != 1 {
		t.Fatal("the entity does not come back after the backfill")
	}
}

// hazard C15: a value that turns out to be NULL completes its row too, though the
// mirror looks the same before and after.
func TestAMissingValueMayTurnOutToBeNull(t *testing.T) {
	t.Parallel()
	f := docsFeeder(t)
	tr := f.start()
	f.loaded()
	f.evaluated(tr)
	f.sql("INSERT INTO docs VALUES (2, 'b', 'BIG2', 'u', 'w')")
	f.begin().update("docs", 2, "b", toasted{}, "u", "w").end()
	f.evaluated(tr)
	if f.parkedFor("2", "2") == "" {
		t.Fatal("the entity of an incomplete row is not parked")
	}
	f.begin().update("docs", 2, "b", nil, "u", "w").end()
	f.evaluated(tr)
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE key = '2' AND status = 'pending' AND desired->>'organization_name' = 'b'"); n != 1 {
		t.Fatal("the entity of a completed row is not back")
	}
}

// invariant 7: what the mapping does not return because of a value that was never
// seen is not deleted, be it reached by a route, touched by another table, or missed
// by a route.
func TestAnIncompleteRowDeletesNobody(t *testing.T) {
	t.Parallel()
	organizations, members := teamsMappings()
	members.Select = strings.Replace(members.Select, "u.id = m.user_id;", "u.id = m.user_id WHERE u.name = 'Jane';", 1)
	w := newWorld(t, teamsDDL, teamsTables, organizations, members)
	w.legacy(`INSERT INTO teams VALUES (1, 'Acme')`, `INSERT INTO users SELECT g, g || '@corp.example', 'Jane' FROM generate_series(7, 9) g`,
		`INSERT INTO team_members SELECT g, 1, g FROM generate_series(7, 9) g`)
	w.load()
	w.wantLiving("1/7", "1/8", "1/9")
	w.exec(`INSERT INTO backstitch.incomplete_rows VALUES ('public', 'users', '["7"]', '{name}')`)
	w.legacy(`UPDATE users SET name = NULL WHERE id = 7`, `UPDATE users SET email = 'x' || email WHERE id = 8`)
	w.evaluate()
	w.legacy(`UPDATE team_members SET role = 'OWNER'`)
	w.evaluate()
	w.wantLiving("1/7", "1/8", "1/9")
	if e := w.member("1", "7"); e.Status != "parked" || e.Reason != string(consumers.ReasonIncomplete) || e.Detail != "public.users: name" {
		t.Errorf("the member of the incomplete row is %+v", e)
	}
	if e := w.member("1", "8"); e.Status != "pending" || !strings.Contains(e.Desired, "x8@corp.example") || !strings.Contains(e.Desired, "admin") {
		t.Errorf("another member is %+v, want it evaluated", e)
	}
	w.legacy(`DELETE FROM users WHERE id = 9`)
	w.evaluate()
	if e := w.member("1", "9"); e.Desired != "" || e.Earned {
		t.Errorf("a member that is gone meanwhile is %+v, want it to wait for consent: the routes may be wrong", e)
	}
	w.exec(`DELETE FROM backstitch.incomplete_rows`) // a row that is complete again is touched
	w.legacy(`UPDATE users SET name = 'Jane', email = 'jane@corp.example' WHERE id = 7`, `DELETE FROM users WHERE id = 8`)
	w.evaluate()
	w.wantLiving("1/7")
	if e := w.member("1", "7"); e.Status != "pending" || e.Reason != "" {
		t.Errorf("the member of the completed row is %+v", e)
	}
	if e := w.member("1", "8"); !e.Earned {
		t.Errorf("a member that is gone afterwards is %+v, want its delete earned", e)
	}
}

// hazard C15: passes park too, through a route that is a SELECT; and an entity that
// no pass has seen before.
func TestPassesParkWhatReadsIncompleteRows(t *testing.T) {
	t.Parallel()
	organizations, members := teamsMappings()
	members.Routes[teamsTables[1]] = consumers.Route{Select: `SELECT m.team_id AS organization_external_id, m.user_id AS external_id
		FROM changed c JOIN team_members m ON m.user_id = c.id`}
	w := newWorld(t, teamsDDL, teamsTables, organizations, members)
	w.legacy(`INSERT INTO teams VALUES (1, 'Acme')`, `INSERT INTO users VALUES (7, 'jane@corp.example'), (8, 'joe@corp.example')`,
		`INSERT INTO team_members VALUES (1, 1, 7), (2, 1, 8)`)
	w.exec(`INSERT INTO backstitch.incomplete_rows VALUES ('public', 'users', '["7"]', '{password,name}')`)
	w.load()
	w.wantLiving("1/8")
	if e := w.member("1", "7"); e == nil || e.Detail != "public.users: password, name" {
		t.Errorf("the member of the incomplete row is %+v", e)
	}
}

// hazard C15: where no route tells who reads a row, the mapping waits as a whole.
func TestUnroutedIncompleteRowsHold(t *testing.T) {
	t.Parallel()
	organizations, members := teamsMappings()
	users := incompleteTable{table: teamsTables[1], columns: []string{"name"}}
	w := newWorld(t, teamsDDL, teamsTables, organizations, members)
	for name, test := range map[string]struct {
		route *CompiledRoute
		want  bool
	}{
		"by another column":        {&CompiledRoute{Columns: map[string]string{"external_id": "id"}}, true},
		"by what the row lacks":    {&CompiledRoute{Columns: map[string]string{"external_id": "name"}}, false},
		"a select":                 {&CompiledRoute{Select: "SELECT c.id AS external_id FROM changed c"}, true},
		"a select of it":           {&CompiledRoute{Select: "SELECT c.id AS external_id FROM changed c WHERE c.NAME = 'x'"}, false},
		"a select of whole rows":   {&CompiledRoute{Select: "SELECT x.id AS external_id FROM (SELECT * FROM changed) x"}, false},
		"none":                     {nil, false},
		"none, and it is not read": {nil, true},
	} {
		m := *w.plan.Mapping(consumers.Member)
		m.Routes = map[schemas.Table]CompiledRoute{}
		if test.route != nil {
			m.Routes[users.table] = *test.route
		} else if test.want {
			m.Reads = nil
		}
		if got := attributable(&m, users); got != test.want {
			t.Errorf("%s: attributable is %t", name, got)
		}
	}
	f := teamsFeederWithout(t, teamsTables[1])
	tr := f.start()
	f.reading().insert("users", 1, "a@example.com", "A", nil, nil, nil).end()
	f.loaded()
	f.evaluated(tr)
	f.sql("INSERT INTO users VALUES (2, 'b@example.com')")
	f.begin().update("users", 2, "b@example.com", toasted{}, nil, nil, nil).end()
	f.until("the mapping waits", func() bool { return tr.Status().Held != nil })
	if held := tr.Status().Held; !strings.Contains(held.Fix, "backfill --table public.users") || !strings.Contains(held.Reason, "name") {
		t.Errorf("held because %s; fix %s", held.Reason, held.Fix)
	}
	f.reading().again("users", []any{2, "b@example.com", nil, nil, nil, nil})
	f.evaluated(tr)
	f.same()
}

func teamsFeederWithout(t testing.TB, route schemas.Table) *feeder {
	t.Helper()
	organizations, members := teamsMappings()
	members.Routes[route] = consumers.Route{Sweep: true}
	return newFeeder(t, teamsDDL, teamsTables, organizations, members)
}
