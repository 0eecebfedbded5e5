package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// deletes counts the deletions that Stytch was asked for.
func deletes(w *harness.World) (n int) {
	for endpoint, byStatus := range w.Simulator.Counts() {
		if endpoint == simulator.MembersDelete || endpoint == simulator.OrganizationsDelete {
			for _, count := range byStatus {
				n += count
			}
		}
	}
	return n
}

// consent waits for the one open question and returns its id and wording.
func consent(t *testing.T, w *harness.World) (id, question string) {
	t.Helper()
	harness.Eventually(t, time.Minute, "a question to a person", func() bool {
		lines := strings.Split(strings.TrimSpace(w.Output(t, "approve", "list")), "\n")
		if len(lines) < 2 {
			return false
		}
		fields := strings.Fields(lines[len(lines)-1])
		id, question = fields[0], lines[len(lines)-1]
		return strings.Contains(question, " open ")
	})
	return id, question
}

// TRUNCATE deletes nothing by itself: the stream is held at it until a person
// consents, and a run says so and ends with code 4 (invariant 7, hazards S25, A19).
func TestTruncateWaitsForConsent(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(20)
	w := harness.New(t, o)
	p := w.Run(t)
	w.CaughtUp(t, time.Minute)
	w.Exec(t, "TRUNCATE team_members")
	w.Exec(t, "INSERT INTO team_members (team_id, user_id) SELECT 1, id FROM users WHERE id <= 5")
	id, question := consent(t, w)
	if !strings.Contains(question, "team_members was truncated") {
		t.Errorf("the question is: %s", question)
	}
	if status := p.Get(t, "/status"); !strings.Contains(status, "backstitch approve "+id) {
		t.Error("the status page does not say what a person can do")
	}
	p.Stop(t)
	p = untilCaughtUp(t, w, 4)
	if !strings.Contains(p.Log(), "backstitch approve "+id) {
		t.Errorf("the held run does not say what a person can do:\n%s", tail(p.Log()))
	}
	if n := deletes(w); n != 0 {
		t.Fatalf("%d deletes before a person consented", n)
	}

	w.Output(t, "approve", id)
	untilCaughtUp(t, w, 0)
	harness.NothingAside(t, w.Clean(t))
	if deletes(w) == 0 {
		t.Error("nothing was deleted after a person consented")
	}
}

// DELETE FROM team_members at night: the brake latches, nothing over the limit is
// sent until a person consents (invariant 7, hazard A12).
func TestBrakeStopsMassDeletion(t *testing.T) {
	t.Parallel()
	const limit = 15
	o := harness.Example()
	o.Schema += harness.ExampleRows(20)
	o.More = fmt.Sprintf("deletes: {members: apply, organizations: apply, max_per_hour: %d}", limit)
	w := harness.New(t, o)
	p := w.Run(t)
	w.CaughtUp(t, time.Minute)
	w.Exec(t, "DELETE FROM team_members")
	w.CaughtUp(t, time.Minute)
	if n := deletes(w); n > limit {
		t.Fatalf("%d deletes passed a brake of %d", n, limit)
	}
	if r := w.Clean(t); len(r.Awaiting) < 100 {
		t.Errorf("%d deletes await consent", len(r.Awaiting))
	}
	p.Stop(t)
	untilCaughtUp(t, w, 3)

	id, question := consent(t, w)
	if !strings.Contains(question, fmt.Sprintf("More than %d deletes", limit)) {
		t.Errorf("the question is: %s", question)
	}
	w.Output(t, "approve", id)
	p = w.Run(t)
	harness.Eventually(t, time.Minute, "the deletes are sent", func() bool { return len(w.Compare(t).Awaiting) == 0 })
	w.CaughtUp(t, time.Minute)
	harness.NothingAside(t, w.Clean(t))
	p.Stop(t)
}
