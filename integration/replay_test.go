package integration_test

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// On a running cluster: every apply record again costs no call (invariant 5); with
// --force what somebody deleted in Stytch behind our back is made again (invariant
// 12); and every row of the source again, as a new epoch, costs no call either.
func TestReplay(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(30)
	w := harness.New(t, o)
	p, other := w.Run(t), w.Run(t)
	w.CaughtUp(t, time.Minute)
	w.Drained(t, time.Minute)
	before := w.Simulator.Seq()
	target := func() (state, reason string) {
		// no row yet: nobody has set a target
		_ = w.LedgerPool.QueryRow(t.Context(), "SELECT state, reason FROM backstitch.targets WHERE connector = $1", w.Prefix+"-apply").Scan(&state, &reason)
		return state, reason
	}

	if out, code := w.Command(t, "replay", "apply", "--to-earliest"); code != 2 || !strings.Contains(out, "--yes") {
		t.Errorf("with nobody to ask it exits with %d: %s", code, out)
	}
	out := w.Output(t, "replay", "apply", "--to-earliest", "--dry-run")
	for _, want := range []string{"CURRENT-OFFSET", w.Prefix + ".apply.backfill", "records", "entities", "API calls"} {
		if !strings.Contains(out, want) {
			t.Errorf("--dry-run does not show %s:\n%s", want, out)
		}
	}
	if state, _ := target(); state != "" {
		t.Errorf("to look set the target %s", state)
	}
	var plan struct {
		Records, Entities, Differ int64
		Calls                     int64 `json:"api_calls"`
		Replayed                  bool
	}
	if err := json.Unmarshal([]byte(w.Output(t, "replay", "apply", "--to-earliest", "--yes", "-o", "json")), &plan); err != nil {
		t.Fatal(err)
	}
	if plan.Records == 0 || plan.Entities == 0 || plan.Differ != 0 || plan.Calls != 0 || !plan.Replayed {
		t.Errorf("it says %+v", plan)
	}
	if state, reason := target(); state != "RUNNING" || reason != "" {
		t.Errorf("afterwards the target is %s, %q", state, reason)
	}
	harness.Eventually(t, time.Minute, "every task runs", func() bool { return allRun(connectors(t, other)) })
	w.Drained(t, time.Minute)
	w.CaughtUp(t, time.Minute)
	if n := w.Simulator.Seq() - before; n != 0 {
		t.Errorf("a replay of unchanged entities made %d calls", n)
	}
	harness.NothingAside(t, w.Clean(t))

	vandalise(t, w, 50)
	w.Output(t, "replay", "apply", "--to-earliest", "--force", "--yes")
	w.Drained(t, time.Minute)
	w.CaughtUp(t, time.Minute)
	harness.Eventually(t, time.Minute, "every entity was read", func() bool {
		var n int
		err := w.LedgerPool.QueryRow(t.Context(), "SELECT count(*) FROM backstitch.entities WHERE read_wanted").Scan(&n)
		return err == nil && n == 0
	})
	harness.NothingAside(t, w.Clean(t))
	other.Stop(t)

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

// A replay that is killed leaves the connector stopped and says so; the next one goes
// on and lets the connector run. One that is interrupted lets it run by itself.
func TestReplayThatDies(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(5)
	w := harness.New(t, o)
	p := w.Run(t)
	w.CaughtUp(t, time.Minute)
	w.Drained(t, time.Minute)
	target := func() string {
		var s string
		// no row yet: nobody has set a target
		_ = w.LedgerPool.QueryRow(t.Context(), "SELECT state || ' ' || reason FROM backstitch.targets WHERE connector = $1", w.Prefix+"-apply").Scan(&s)
		return s
	}
	stops := func() bool { return strings.HasPrefix(target(), "STOPPED replay ") }

	p.Signal(syscall.SIGSTOP) // it does not obey, and Kafka remembers it
	r := w.Start(t, "replay", "apply", "--to-earliest", "--yes", "-c", w.Config)
	harness.Eventually(t, time.Minute, "it stops the connector", stops)
	r.Signal(syscall.SIGINT)
	if code := r.Wait(t, time.Minute); code != 1 || target() != "RUNNING " || !strings.Contains(r.Log(), "nothing was changed") {
		t.Errorf("an interrupted replay exits with %d and leaves %q: %s", code, target(), r.Log())
	}
	r = w.Start(t, "replay", "apply", "--to-earliest", "--yes", "-c", w.Config)
	harness.Eventually(t, time.Minute, "it stops the connector", stops)
	r.Kill()
	if got := target(); !strings.Contains(got, "replay apply --to-earliest") || !strings.Contains(got, "was RUNNING") {
		t.Errorf("a killed replay leaves %q", got)
	}
	p.Signal(syscall.SIGCONT)
	harness.Eventually(t, time.Minute, "apply has no tasks", func() bool {
		s := connectors(t, p)[w.Prefix+"-apply"]
		return s.Connector.State == "STOPPED" && len(s.Tasks) == 0
	})
	seq := w.Simulator.Seq()
	w.Output(t, "replay", "apply", "--to-earliest", "--yes")
	if target() != "RUNNING " {
		t.Errorf("the next replay leaves %q", target())
	}
	w.Drained(t, time.Minute)
	w.CaughtUp(t, time.Minute)
	if n := w.Simulator.Seq() - seq; n != 0 {
		t.Errorf("%d calls", n)
	}

	p.Stop(t) // where nothing runs it goes at once
	begun := time.Now()
	w.Output(t, "replay", "apply", "--to-datetime", "2000-01-01T00:00:00.000", "--yes")
	if d := time.Since(begun); d > 20*time.Second || target() != "RUNNING " {
		t.Errorf("with nothing running it took %s and left %q", d, target())
	}
}
