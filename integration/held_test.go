package integration_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/pipeline/admin"
)

// A source whose slot is gone is held: `run --until-caught-up` ends with code 4
// (hazard A19), a plain run says so once, shows it as FAILED and goes on with the
// rest, until somebody asks for the way out that it names (hazard S11).
func TestHeldSourceAndItsWayOut(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(10)
	w := harness.New(t, o)
	untilCaughtUp(t, w, 0)
	w.Exec(t, "SELECT pg_drop_replication_slot($1)", "backstitch_"+w.Prefix)
	w.Exec(t, "UPDATE users SET name = 'Nobody saw it' WHERE id = 3")
	p := untilCaughtUp(t, w, 4)
	if !strings.Contains(p.Log(), "backstitch backfill --all") {
		t.Errorf("the held run does not say what a person can do:\n%s", tail(p.Log()))
	}

	p = w.Run(t)
	source := func() admin.Connector {
		t.Helper()
		var s admin.Status
		if err := json.Unmarshal([]byte(p.Get(t, "/status")), &s); err != nil {
			t.Fatal(err)
		}
		return s.Connectors[0]
	}
	harness.Eventually(t, time.Minute, "the source to be held", func() bool { return source().Held })
	if c := source(); c.State != "FAILED" || !strings.Contains(c.Trace, "is gone") || !strings.Contains(c.Trace, "backfill --all") {
		t.Errorf("the held source shows as %+v", c)
	}
	said := func() int { return strings.Count(p.Log(), "a connector has failed") }
	harness.Eventually(t, time.Minute, "the hold in the log", func() bool { return said() > 0 })
	if code := p.Stop(t); code != 4 {
		t.Errorf("a run that stops while held ends with %d, want 4", code)
	}
	if n := said(); n != 1 {
		t.Errorf("the hold was logged %d times, want once", n)
	}

	p = w.Run(t)
	harness.Eventually(t, time.Minute, "the source to be held again", func() bool { return source().Held })
	w.Output(t, "backfill", "--all")
	harness.Eventually(t, time.Minute, "the source to go on", func() bool { c := source(); return !c.Held && c.State == "RUNNING" })
	w.CaughtUp(t, time.Minute)
	harness.NothingAside(t, w.Clean(t))
	if code := p.Stop(t); code != 0 {
		t.Errorf("SIGTERM ends with %d", code)
	}
}

// A column that changed its type holds the transform until its table is read again
// (hazard C9): a run ends with code 4 as long as nobody asks for that, and waits for
// it when somebody has.
func TestHoldThatResolvesByItself(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(10)
	w := harness.New(t, o)
	untilCaughtUp(t, w, 0)
	w.Exec(t, "ALTER TABLE teams ALTER plan TYPE varchar(40)")
	w.Exec(t, "UPDATE teams SET plan = 'enterprise' WHERE id = 2")
	p := untilCaughtUp(t, w, 4)
	if !strings.Contains(p.Log(), "teams.plan") || !strings.Contains(p.Log(), "backfill --table") {
		t.Errorf("the held run does not say what a person can do:\n%s", tail(p.Log()))
	}
	w.Output(t, "backfill", "--table", "public.teams")
	untilCaughtUp(t, w, 0)
	harness.NothingAside(t, w.Clean(t))
}
