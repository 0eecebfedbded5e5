package integration_test

import (
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers/verify"
	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/pipeline/cli/demo"
)

// While people use the legacy system and the pipeline runs, what is on its way is never
// called drift; when it is at rest nothing is pending, and only what waits for a person
// keeps the verdict from clean.
func TestVerifyBesideLiveChanges(t *testing.T) {
	o := harness.Boxy()
	w := harness.NewDemo(t, o, demo.Size{Teams: 60, Users: 500, Memberships: 700, Largest: 150, Seed: 21})
	untilCaughtUp(t, w.World, 3)
	slow := w.Variant(t, "slow", func(o *harness.Options) { o.RateLimit = 20 }) // so that something is on its way
	w.Start(t, "run", "-c", slow)
	w.CaughtUp(t, 2*time.Minute)
	stop := w.Use(t, 4, 40)
	for range 3 {
		out, code := w.Command(t, "verify", "--new", "--timeout", "3s")
		if code != 1 {
			t.Errorf("verify beside live changes exits with %d, want 1: nobody can tell of what is on its way or parked:\n%s", code, out)
		}
	}
	t.Logf("%d transactions", stop())
	w.CaughtUp(t, 2*time.Minute)
	r := verified(t, w.World, 1, "--timeout", "60s")
	judged := w.Clean(t) // the judge evaluates the mapping over the legacy database itself
	if r.Classes[verify.Pending] != 0 || r.Classes[verify.Unverifiable] == 0 {
		t.Errorf("at rest: %v %+v", r.Classes, r.Findings)
	}
	if n := r.Classes[verify.Match] + r.Classes[verify.NamedLoss]; n != int64(judged.Match) {
		t.Errorf("%d entities are as they should be, and %d for the judge", n, judged.Match)
	}
}
