package transform

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// auditing runs the auditor. It takes work from evaluations that find it running: a
// test that evaluates once waits for that first.
func (w *world) auditing() (stop func()) {
	w.t.Helper()
	stop = running(w.t, w.eval.run)
	w.eventually(w.eval.running.Load)
	return stop
}

// audited waits until n audits or sweeps of a cause have ended.
func (w *world) audited(cause string, n int64) {
	w.t.Helper()
	w.eventually(func() bool {
		return w.number(`SELECT count(*) FROM backstitch.passes WHERE cause = $1 AND ended_at IS NOT NULL`, cause) >= n && !w.eval.busy.Load()
	})
}

func (w *world) eventually(condition func() bool) {
	w.t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			w.t.Fatal("waited 30 s in vain")
		case <-tick.C:
		}
	}
}

// distinctWorld keeps one member for each address of a team: deleting the winner
// makes another one the winner, and no route by external_id finds that one.
func distinctWorld(t testing.TB) *world {
	organizations, members := teamsMappings()
	members.Select = `SELECT DISTINCT ON (m.team_id, u.email) m.team_id AS organization_external_id, u.id AS external_id, u.email AS email_address
		FROM team_members m JOIN users u ON u.id = m.user_id ORDER BY m.team_id, u.email, u.id`
	w := newWorld(t, teamsDDL, teamsTables, organizations, members)
	w.legacy(`INSERT INTO teams VALUES (1, 'Acme')`, `INSERT INTO users VALUES (7, 'jane@corp.example'), (8, 'jane@corp.example'), (9, 'joe@corp.example')`,
		`INSERT INTO team_members VALUES (1, 1, 7), (2, 1, 8), (3, 1, 9)`)
	w.load()
	return w
}

// hazard C16: what a wrong route missed is found, counted, repaired, and the table
// named. An audit follows every load without being asked.
func TestAuditFindsWhatARouteMissed(t *testing.T) {
	t.Parallel()
	w := distinctWorld(t)
	stop := w.auditing()
	defer stop()
	w.evaluate()
	w.audited(causeAudit, 1)
	w.legacy(`DELETE FROM users WHERE id = 7`)
	w.evaluate()
	w.wantLiving("1/9") // 1/8 is the winner now, and nobody knows
	w.eval.auditNow()
	w.evaluate()
	w.audited(causeAudit, 2)
	w.evaluate()
	w.wantLiving("1/8", "1/9")
	if e := w.member("1", "8"); e.Cause != causeAudit || e.Lane != "live" {
		t.Errorf("the repaired member is %+v", e)
	}
	passes, err := Passes(w.ctx, w.pool)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(passes, func(p PassStatus) bool { return p.Cause == causeAudit })
	if n := testutil.ToFloat64(w.eval.metrics.missed.WithLabelValues(string(consumers.Member))); n != 1 {
		t.Errorf("the metric counts %v misses, want 1", n)
	}
	if p := passes[i]; p.Missed != 1 || !slices.Equal(p.Suspects, []string{"public.users"}) || p.EndedAt == nil || p.Entities != 3 {
		t.Errorf("the audit says %+v, want one miss, of a route of users", p)
	}

	// invariant 7: nor does an audit delete by itself
	w.legacy(`UPDATE users SET email = 'jane@corp.example' WHERE id = 9`)
	w.legacy(`INSERT INTO users VALUES (1, 'jane@corp.example')`, `INSERT INTO team_members VALUES (9, 1, 1)`)
	w.evaluate()
	w.wantLiving("1/1", "1/8") // 8 lost, missed
	w.eval.auditNow()
	w.evaluate()
	w.audited(causeAudit, 3)
	w.evaluate()
	w.wantLiving("1/1")
	if e := w.member("1", "8"); e.Earned {
		t.Errorf("a delete that an audit found is %+v, want it to wait for consent", e)
	}
}

// hazard C25: an audit holds its own snapshot while following goes on, and what
// was touched meanwhile does not count.
func TestAuditBesideFollowing(t *testing.T) {
	t.Parallel()
	w := distinctWorld(t)
	w.legacy(`DELETE FROM users WHERE id = 7`)
	w.evaluate() // misses 1/8
	audit, err := w.eval.beginAudit(w.ctx, w.at(), causeAudit, []consumers.Kind{consumers.Organization, consumers.Member})
	if err != nil {
		t.Fatal(err)
	}
	w.legacy(`UPDATE users SET name = 'Jane' WHERE id = 8`, `UPDATE users SET email = 'joey@corp.example' WHERE id = 9`)
	w.evaluate() // follows while the audit has its snapshot: both are right now
	w.wantLiving("1/8", "1/9")
	if err := w.eval.work(w.ctx, audit); err != nil {
		t.Fatal(err)
	}
	if n := w.number(`SELECT missed FROM backstitch.passes WHERE cause = 'audit'`); n != 0 {
		t.Errorf("%d entities that were touched meanwhile count as missed", n)
	}
	if n := w.number(`SELECT count(*) FROM backstitch.touched`); n != 0 {
		t.Errorf("%d entities are to be repaired", n)
	}
}

// A table without a route is swept: soon after it changed, at most every Sweep.
func TestSweep(t *testing.T) {
	t.Parallel()
	organizations, members := teamsMappings()
	members.Routes[teamsTables[1]] = consumers.Route{Sweep: true}
	w := newWorld(t, teamsDDL, teamsTables, organizations, members)
	w.seed(2, 4)
	w.load()
	stop := w.auditing()
	defer stop()
	w.evaluate()
	w.audited(causeAudit, 1) // it follows the load, and sees the seed
	if n := w.number(`SELECT count(*) FROM backstitch.touched`) + w.number(`SELECT count(*) FROM backstitch.sweeps WHERE NOT routed AND changes > swept`); n != 0 {
		t.Fatalf("a sweep is due of what was loaded")
	}
	w.legacy(`UPDATE users SET name = 'Jane' WHERE id = 3`, `DELETE FROM users WHERE id = 4`)
	w.evaluate()
	if e := w.member("2", "3"); strings.Contains(e.Desired, "Jane") {
		t.Fatalf("%+v", e)
	}
	w.clock = w.clock.Add(time.Minute)
	w.evaluate()
	w.audited(causeSweep, 1)
	w.evaluate()
	if e := w.member("2", "3"); !strings.Contains(e.Desired, "Jane") || e.Cause != causeSweep {
		t.Errorf("the swept member is %+v", e)
	}
	if e := w.member("1", "4"); e.Desired != "" || e.Earned {
		t.Errorf("a delete that a sweep found is %+v, want it to wait for consent", e)
	}
	w.legacy(`UPDATE users SET name = 'Janet' WHERE id = 3`)
	w.evaluate()
	w.evaluate()
	if n := w.number(`SELECT count(*) FROM backstitch.passes WHERE cause = 'sweep'`); n != 1 {
		t.Errorf("%d sweeps within a minute", n)
	}
	if n := w.number(`SELECT missed FROM backstitch.passes WHERE cause = 'sweep'`); n != 0 {
		t.Errorf("what a sweep found counts as missed by a route")
	}
}

// An audit in many chunks looks at every organization once, also at those whose
// keys sort differently here and there, and leaves no room behind.
func TestAuditInChunks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, boxyDDL, boxyTables, boxyMappings()...)
	w.legacy(`INSERT INTO "Team" SELECT k, 'Acme' FROM unnest('{a,B,c,D,_,-,"",ä,"a b",ab,aB,Ab}'::text[]) k`,
		`INSERT INTO "User" VALUES ('u1', 'Jane', 'jane@corp.example')`, `INSERT INTO "TeamMember" SELECT 'm' || id, id, 'u1', 'OWNER' FROM "Team"`)
	w.load()
	w.exec(`UPDATE backstitch.entities SET desired = '{}'`)
	a, err := w.eval.beginAudit(w.ctx, w.at(), causeAudit, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close(w.ctx)
	m := w.plan.Mapping(consumers.Member)
	if _, err := a.tx.Exec(w.ctx, `INSERT INTO pg_temp.backstitch_todo SELECT id FROM "Team"`); err != nil {
		t.Fatal(err)
	}
	seen := map[keyPair]bool{}
	for after := (*string)(nil); ; {
		c, err := w.eval.compare(w.ctx, a, m, after, 1)
		if err != nil {
			t.Fatal(err)
		}
		if c.taken == 0 {
			break
		}
		for _, d := range c.differ {
			seen[d.keyPair] = true
		}
		after = &c.last
	}
	if len(seen) != 12 {
		t.Errorf("%d of 12 organizations were looked at: %v", len(seen), seen)
	}
	var size int64
	if err := a.tx.QueryRow(w.ctx, "SELECT pg_relation_size('pg_temp.backstitch_result')").Scan(&size); err != nil || size != 0 {
		t.Errorf("the workspace holds %d bytes, %v", size, err)
	}
}
