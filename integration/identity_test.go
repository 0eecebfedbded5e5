package integration_test

import (
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/integration/testenv"
)

// A ledger says what is applied where: another Stytch project, another database or
// other topics are refused, both values named (hazard C22).
func TestAnotherIdentityIsRefused(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(5)
	w := harness.New(t, o)
	untilCaughtUp(t, w, 0)
	before := w.Simulator.Seq()

	const project = "project-test-99999999-2222-4333-8444-555555555555"
	another := testenv.Postgres(t)
	elsewhere := harness.New(t, harness.Options{Legacy: another, Schema: o.Schema})
	for name, c := range map[string]struct {
		change func(*harness.Options)
		names  []string
	}{
		"project":  {func(o *harness.Options) { o.ProjectID = project }, []string{project, harness.ProjectID, "Stytch project"}},
		"database": {func(o *harness.Options) { o.Legacy = another }, []string{elsewhere.Database(), w.Database(), "source database"}},
	} {
		path := w.Variant(t, name, c.change)
		out, code := w.Command(t, "run", "-c", path, "--until-caught-up")
		if code != 4 {
			t.Errorf("another %s: exit %d, want 4", name, code)
		}
		for _, want := range c.names {
			if !strings.Contains(out, want) {
				t.Errorf("another %s: the refusal does not name %q:\n%s", name, want, out)
			}
		}
	}
	if w.Simulator.Seq() != before {
		t.Error("a refused run called Stytch")
	}
}

// Another mapping waits for a person, and what it no longer wants is not deleted by
// an edit of a file (hazard C23, invariant 7).
func TestAnotherMappingWaitsForConsent(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(12)
	w := harness.New(t, o)
	untilCaughtUp(t, w, 0)
	seq := w.Simulator.Seq()
	old := w.Config
	w.Config = w.Variant(t, "narrower", func(o *harness.Options) {
		o.Members = strings.Replace(o.Members, "u.email AS email_address, u.name", "u.email AS email_address, upper(u.name) AS name", 1)
		o.Members = strings.Replace(o.Members, "JOIN users u ON u.id = m.user_id", "JOIN users u ON u.id = m.user_id WHERE u.id % 2 = 0", 1)
	})
	p := untilCaughtUp(t, w, 4)
	for _, want := range []string{"the mapping or the policies changed", "--accept-mapping"} {
		if !strings.Contains(p.Log(), want) {
			t.Errorf("the refusal lacks %q:\n%s", want, p.Log())
		}
	}
	if w.Simulator.Seq() != seq {
		t.Error("a refused run called Stytch")
	}
	untilCaughtUp(t, w, 3, "--accept-mapping")
	r := w.Clean(t)
	if n := deletes(w); n != 0 || len(r.Awaiting) == 0 {
		t.Errorf("%d deletes, %d await consent: a mapping edit deletes nothing by itself", n, len(r.Awaiting))
	}
	if out, code := w.Command(t, "run", "-c", old); code != 4 {
		t.Errorf("the old mapping runs again with %d: %s", code, out)
	}
	id, _ := consent(t, w)
	w.Output(t, "approve", id)
	p = w.Run(t)
	harness.Eventually(t, time.Minute, "the deletes are sent", func() bool { return len(w.Compare(t).Awaiting) == 0 })
	w.CaughtUp(t, time.Minute)
	harness.NothingAside(t, w.Clean(t))
	p.Stop(t)
}
