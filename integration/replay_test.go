package integration_test

import (
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// Every apply record again costs no call (invariant 5); with --force what somebody
// deleted in Stytch behind our back is made again (invariant 12); and every row of
// the source again, as a new epoch, costs no call either.
func TestReplay(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(30)
	w := harness.New(t, o)
	p := w.Run(t)
	w.CaughtUp(t, time.Minute)
	w.Drained(t, p, time.Minute)
	if out, code := w.Command(t, "replay", "apply", "--to-earliest"); code != 1 || !strings.Contains(out, "stop the pipeline first") {
		t.Errorf("a replay beside a running pipeline exits with %d: %s", code, out)
	}
	p.Stop(t)
	before := w.Simulator.Seq()

	out := w.Output(t, "replay", "apply", "--to-earliest")
	if !strings.HasPrefix(out, "6 partitions set back") {
		t.Errorf("the replay says: %s", out)
	}
	p = w.Run(t)
	w.Drained(t, p, time.Minute)
	w.CaughtUp(t, time.Minute)
	if n := w.Simulator.Seq() - before; n != 0 {
		t.Errorf("a replay of unchanged entities made %d calls", n)
	}
	harness.NothingAside(t, w.Clean(t))
	p.Stop(t)

	vandalise(t, w, 50)
	w.Output(t, "replay", "apply", "--to-earliest", "--force")
	p = w.Run(t)
	w.Drained(t, p, time.Minute)
	w.CaughtUp(t, time.Minute)
	harness.NothingAside(t, w.Clean(t))

	before = w.Simulator.Seq()
	w.Output(t, "backfill", "--all")
	harness.Eventually(t, time.Minute, "a second epoch is read", func() bool {
		s := w.Status(t)
		for _, b := range s.Backfill {
			if !b.Done {
				return false
			}
		}
		return s.Source != nil && s.Source.Epoch == 2 && s.Transform.Phase == "following"
	})
	w.Exec(t, "UPDATE users SET name = 'In the second epoch' WHERE id = 8")
	w.CaughtUp(t, time.Minute)
	harness.NothingAside(t, w.Clean(t))
	changed := map[string]bool{}
	for _, e := range w.Simulator.Journal(simulator.Filter{After: before}) {
		changed[e.MemberID] = true
	}
	if len(changed) == 0 || len(changed) > 2 { // user 8 is in two teams
		t.Errorf("reading the source again called for %d members, want those of user 8", len(changed))
	}
	p.Stop(t)
}

// vandalise deletes members in Stytch behind the pipeline's back.
func vandalise(t *testing.T, w *harness.World, n int) {
	t.Helper()
	for o := range w.Simulator.Dump() {
		for _, m := range o.Members {
			if n == 0 {
				return
			}
			if o.Deleted || m.Member.Status == simulator.StatusDeleted {
				continue
			}
			if err := w.Simulator.Behind().DeleteMember(m.Member.MemberID); err != nil {
				t.Fatal(err)
			}
			n--
		}
	}
	if n > 0 {
		t.Fatalf("%d members too few", n)
	}
}
