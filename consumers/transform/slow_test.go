package transform

import (
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/stage"
	"github.com/jackc/pgx/v5"
)

// slowWorld has a mapping that takes as long as a user's name says: rows times
// rows.
func slowWorld(t testing.TB) *world {
	t.Helper()
	organizations, members := teamsMappings()
	members.Select = `SELECT m.team_id AS organization_external_id, u.id AS external_id, u.email AS email_address,
			(SELECT max(md5((a * b)::text)) FROM generate_series(1, u.name::int) a, generate_series(1, u.name::int) b) AS name
		FROM team_members m JOIN users u ON u.id = m.user_id`
	w := newWorld(t, teamsDDL, teamsTables, organizations, members)
	w.legacy(`INSERT INTO teams SELECT g, 'Team' FROM generate_series(1, 3) g`,
		`INSERT INTO users SELECT g, g || '@corp.example', '1' FROM generate_series(1, 60) g`,
		`INSERT INTO team_members SELECT g, 1 + g % 3, g FROM generate_series(1, 60) g`)
	w.load()
	w.eval.keyTimeout, w.eval.passTimeout = 2*time.Second, 2*time.Second
	return w
}

// hazard C20: a row that takes for ever is found and parked, and the others go on.
func TestARowThatTakesForEverIsParked(t *testing.T) {
	t.Parallel()
	w := slowWorld(t)
	w.legacy(`UPDATE users SET email = 'x' || email`, `UPDATE users SET name = '1000000' WHERE id = 17`)
	w.evaluate()
	if e := w.member("3", "17"); e.Status != "parked" || e.Reason != string(consumers.ReasonEvaluation) || e.Detail != "SQLSTATE 57014" || e.Desired == "" {
		t.Errorf("the slow member is %+v", e)
	}
	if n := w.number(`SELECT count(*) FROM backstitch.entities WHERE desired->>'email_address' LIKE 'x%'`); n != 59 {
		t.Errorf("%d of the other 59 members were evaluated", n)
	}
	w.legacy(`UPDATE users SET name = '2' WHERE id = 17`)
	w.evaluate()
	if e := w.member("3", "17"); e.Status != "pending" || e.Reason != "" {
		t.Errorf("the mended member is %+v", e)
	}
}

// hazard C20: a mapping that is slow for every key parks nobody: it is held, and
// the hold says what to do.
func TestASlowMappingIsHeld(t *testing.T) {
	t.Parallel()
	w := slowWorld(t)
	w.eval.keyTimeout = time.Second
	w.legacy(`UPDATE users SET name = '1000000'`)
	w.lsn++
	err := w.eval.evaluate(w.ctx, w.at())
	if held, ok := stage.AsHeld(err); !ok || !strings.Contains(held.Fix, "index") {
		t.Fatalf("the evaluation ended with %v, want a hold", err)
	}
	if n := w.number(`SELECT count(*) FROM backstitch.entities WHERE status = 'parked'`); n != 0 {
		t.Errorf("%d members are parked", n)
	}
	if n := w.number(`SELECT count(*) FROM backstitch.touched`); n == 0 {
		t.Error("what was touched is forgotten")
	}
}

// hazard C20: whatever the mapping calls, it cannot write; what came of it can be
// stored in the same transaction.
func TestTheMappingCannotWrite(t *testing.T) {
	t.Parallel()
	w := teamsWorld(t)
	w.exec(`CREATE FUNCTION evil(int) RETURNS int VOLATILE LANGUAGE sql AS 'INSERT INTO teams VALUES ($1) RETURNING id'`)
	w.legacy(`INSERT INTO teams VALUES (1, 'Acme')`, `INSERT INTO users VALUES (7, 'jane@corp.example')`, `INSERT INTO team_members VALUES (1, 1, 7)`)
	w.load()
	w.plan.Mapping(consumers.Member).Select = `SELECT m.team_id AS organization_external_id, u.id AS external_id, u.email AS email_address, u.name,
			ARRAY['member'] AS roles, evil(99)::text AS password_hash, true AS email_verified
		FROM team_members m JOIN users u ON u.id = m.user_id` // Compile refuses it
	w.legacy(`UPDATE users SET name = 'Jane'`)
	w.lsn++
	err := w.eval.evaluate(w.ctx, w.at())
	if held, ok := stage.AsHeld(err); !ok || !strings.Contains(held.Reason, "25006") {
		t.Fatalf("the evaluation ended with %v, want a hold", err)
	}
	if n := w.number(`SELECT count(*) FROM teams`); n != 1 {
		t.Errorf("the mapping wrote: %d teams", n)
	}
	err = w.eval.inTx(w.ctx, func(tx pgx.Tx) error {
		state, err := tryReading(w.ctx, tx, time.Minute, func(tx pgx.Tx) error {
			_, err := tx.Exec(w.ctx, "INSERT INTO pg_temp.backstitch_todo VALUES ('1')")
			return err
		})
		if err != nil || state != "" {
			t.Errorf("a result cannot be kept: %s, %v", state, err)
		}
		_, err = tx.Exec(w.ctx, "INSERT INTO backstitch.sweeps (kind, source_table, routed) SELECT 'member', org_key, true FROM pg_temp.backstitch_todo")
		return err
	})
	if err != nil {
		t.Errorf("nothing can be stored afterwards: %v", err)
	}
}

// hazard C20: a route that takes too long leads to a sweep.
func TestASlowRouteIsSwept(t *testing.T) {
	t.Parallel()
	organizations, members := teamsMappings()
	members.Routes[teamsTables[1]] = consumers.Route{Select: `SELECT c.id AS external_id FROM changed c
		WHERE (SELECT max(md5((a * b)::text)) FROM generate_series(1, c.name::int) a, generate_series(1, c.name::int) b) > ''`}
	w := newWorld(t, teamsDDL, teamsTables, organizations, members)
	w.router.within = 200 * time.Millisecond
	w.legacy(`INSERT INTO users VALUES (7, 'jane@corp.example', '1000000')`)
	if n := w.number(`SELECT count(*) FROM backstitch.sweeps WHERE source_table = 'public.users' AND NOT routed AND changes > swept`); n != 1 {
		t.Error("a table whose route takes too long is not swept")
	}
}
