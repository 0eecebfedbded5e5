package transform

import (
	"errors"
	"slices"
	"testing"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/schemas"
)

// hazard C4: the rest of an interrupted first backfill is read at a later point than
// its beginning. Until the stream has brought every row there, nothing is evaluated.
func TestAnInterruptedBackfillMixesNoTimes(t *testing.T) {
	t.Parallel()
	f := teamsFeeder(t)
	tr := f.start()
	f.reading().insert("teams", 1, "Acme", nil, nil, nil).insert("users", 1, "a@example.com", nil, nil, nil, nil).insert("users", 2, "b@example.com", nil, nil, nil, nil).end()
	// interrupted: the stream goes on from the first point, whole transactions each
	f.begin().update("users", 1, "a2@example.com", nil, nil, nil, nil).remove("users", 2).end()
	f.begin().insert("users", 3, "c@example.com", nil, nil, nil, nil).end()
	f.until("all of it is filled", func() bool { return tr.Status().Read >= 6 })
	f.reading().insert("team_members", 1, 1, 1, "OWNER").publish(true)
	f.until("half of the rest is filled", func() bool { return f.number("SELECT count(*) FROM team_members") == 1 })
	if n := f.number("SELECT count(*) FROM backstitch.entities"); n != 0 || tr.Status().Phase != phaseLoading {
		t.Fatalf("%d entities were evaluated over a part of the rows", n)
	}
	f.reading().insert("team_members", 3, 1, 3, "MEMBER").end()
	f.loaded()
	f.evaluated(tr)
	f.same()
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE kind = 'member' AND desired IS NOT NULL AND desired->>'email_address' = ANY ('{a2@example.com,c@example.com}')"); n != 2 {
		t.Errorf("%d of 2 members are as the legacy database has them", n)
	}
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE desired IS NULL"); n != 0 {
		t.Errorf("%d entities came and went", n)
	}
}

// hazard C4, invariant 7: a table that is captured later, and that another mapping
// reads, is read while following goes on. Over a part of it nobody vanishes.
func TestATableAddedLaterIsReadFirst(t *testing.T) {
	t.Parallel()
	mapping := docsMapping()
	f := newFeeder(t, docsDDL+`; CREATE TABLE flags (id int PRIMARY KEY, doc_id int)`, public("docs", "flags"), mapping)
	flags := f.ends[f.tables["flags"].topic]
	delete(f.ends, f.tables["flags"].topic) // not captured yet
	f.reading().insert("docs", 1, "a", nil, nil, nil).insert("docs", 2, "b", nil, nil, nil).end()
	f.done["public.docs"] = schemas.TableProgress{Done: true, Run: 1, Point: f.commit}
	f.loaded()
	tr := f.start()
	f.evaluated(tr)
	f.stop(tr)
	mapping.Select += ` WHERE EXISTS (SELECT FROM flags f WHERE f.doc_id = d.id)`
	mapping.Routes[public("flags")[0]] = consumers.Route{Columns: map[string]string{"organization_external_id": "doc_id"}}
	var err error
	f.plan, err = Compile(f.ctx, f.legacy, f.cfg.Tables, []consumers.Mapping{mapping})
	f.check(err)
	tr = f.start()
	living := func(step string) {
		t.Helper()
		if n := f.number("SELECT count(*) FROM backstitch.entities WHERE desired IS NOT NULL"); n != 2 {
			t.Fatalf("%s: %d of 2 organizations are desired", step, n)
		}
	}
	f.begin().update("docs", 1, "a2", nil, nil, nil).end()
	f.until("the change is filled", func() bool { return f.number("SELECT count(*) FROM docs WHERE name = 'a2'") == 1 })
	f.ends[f.tables["flags"].topic] = flags
	f.done["public.flags"] = schemas.TableProgress{}
	f.reading().insert("flags", 1, 1).end()
	f.until("half of the table is filled", func() bool { return f.number("SELECT count(*) FROM flags") == 1 })
	f.begin().update("docs", 2, "b2", nil, nil, nil).end()
	f.until("the next change is filled", func() bool { return f.number("SELECT count(*) FROM docs WHERE name = 'b2'") == 1 })
	living("half read")
	f.done["public.flags"] = schemas.TableProgress{Done: true, Run: 2, Point: f.commit + 0x100}
	f.run = 2
	f.reading().insert("flags", 2, 2).end()
	f.evaluated(tr)
	f.same()
	living("read")
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE desired->>'organization_name' = ANY ('{a2,b2}')"); n != 2 {
		t.Errorf("%d of 2 changes meanwhile were evaluated", n)
	}
}

// heartbeat writes an empty transaction after the last one was evaluated.
func (f *feeder) heartbeat(tr *Transform) {
	f.t.Helper()
	if tr.Status().Evaluated.CommitLSN >= f.last.Version.Commit {
		f.begin().end()
	}
}

// A person asks for an audit and gets its answer; the status shows it, with what no
// route found and the rows without a key (hazards C6, C16).
func TestAuditOnRequest(t *testing.T) {
	t.Parallel()
	organizations, members := teamsMappings()
	members.Select = `SELECT DISTINCT ON (m.team_id, u.email) m.team_id AS organization_external_id, u.id AS external_id, u.email AS email_address
		FROM team_members m JOIN users u ON u.id = m.user_id ORDER BY m.team_id, u.email, u.id`
	f := newFeeder(t, teamsDDL, teamsTables, organizations, members)
	if _, err := New(f.cfg, Deps{}).Audit(f.ctx); !errors.Is(err, ErrStandby) {
		t.Errorf("an audit of a transform that does not run: %v", err)
	}
	tr := f.start()
	tx := f.reading().insert("teams", 1, "Acme", nil, nil, nil)
	tx.insert("users", 1, "a@example.com", nil, nil, nil, nil).insert("users", 2, "a@example.com", nil, nil, nil, nil)
	tx.insert("team_members", 1, 1, 1, nil).insert("team_members", 2, 1, 2, nil).insert("team_members", 3, nil, 2, nil).end()
	f.loaded()
	f.evaluated(tr)
	f.until("the audit after loading has ended", func() bool {
		f.heartbeat(tr)
		return f.number("SELECT count(*) FROM backstitch.passes WHERE cause = 'audit' AND ended_at IS NOT NULL") == 1
	})
	f.begin().remove("users", 1).end()
	f.evaluated(tr)
	answers := make(chan audited, 1)
	go func() {
		pass, err := tr.Audit(f.ctx)
		answers <- audited{pass, err}
	}()
	var got *audited
	f.until("the audit answers", func() bool {
		f.heartbeat(tr)
		select {
		case a := <-answers:
			got = &a
		default:
		}
		return got != nil
	})
	if p := got.pass; got.err != nil || p.Cause != causeAudit || p.Missed != 1 || p.NullKeys != 1 || p.EndedAt == nil || !slices.Contains(p.Suspects, "public.users") {
		t.Errorf("the audit says %+v, %v", got.pass, got.err)
	}
	passes := tr.Status().Passes
	if i := slices.IndexFunc(passes, func(p PassStatus) bool { return p.Cause == causeAudit }); i < 0 || passes[i].Missed != 1 || passes[i].NullKeys != 1 {
		t.Errorf("the status shows the passes %+v", passes)
	}
	f.evaluated(tr) // no heartbeat is left
	go func() {
		_, err := tr.Audit(f.ctx)
		answers <- audited{err: err}
	}()
	f.until("it is asked", func() bool {
		e := tr.evaluating.Load()
		e.waiters.Lock()
		defer e.waiters.Unlock()
		return len(e.waiters.waiting) == 1
	})
	f.stop(tr)
	if a := <-answers; !errors.Is(a.err, ErrStandby) {
		t.Errorf("an audit that nobody will make: %v", a.err)
	}
}
