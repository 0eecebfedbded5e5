package integration_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/integration/witness"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/pipeline/cli/demo"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// A second instance, started beside the first by mistake or on purpose, stands by,
// takes over when the first is killed, and the other way round: every event is in the
// topics once (invariant 2, hazards S14, S27), no entity is in two hands (invariant
// 4, hazards A1, A2).
func TestSecondInstance(t *testing.T) {
	t.Parallel()
	testenv.RealKafka(t)
	o := harness.Boxy()
	o.RateLimit = 200
	w := harness.New(t, o)
	legacy := w.SeedBoxy(t, demo.Size{Teams: 60, Users: 500, Memberships: 700, Largest: 100, Seed: 9})
	for _, table := range demoTables {
		witness.Keep(t, w.Pool, table, "id")
	}
	stop := w.Use(t, legacy, 9, 40)
	first := w.Run(t)
	harness.Eventually(t, time.Minute, "the first owns the source", func() bool { return source(t, first).State == "RUNNING" })
	second := w.Run(t)
	standsBy(t, second)
	for range 2 {
		live(t, second, time.Second)
		first.Kill()
		harness.Eventually(t, 30*time.Second, "the stand-by takes over", func() bool { return takenOver(second) })
		first, second = second, w.Run(t)
		standsBy(t, second)
	}
	stop()
	w.CaughtUp(t, 2*time.Minute)
	if code := first.Stop(t); code != 0 {
		t.Errorf("the owner ends with %d", code)
	}
	harness.Eventually(t, 30*time.Second, "an owner that was stopped is followed too", func() bool { return takenOver(second) })
	w.Exec(t, `UPDATE "User" SET name = 'After three owners' WHERE id = $1`, legacy.Users[10])
	w.CaughtUp(t, time.Minute)
	second.Stop(t)

	r := w.Clean(t)
	traps(t, w, legacy, r.Parked, r.Blocked)
	if pairs := simulator.Overlapping(w.Simulator.Journal()); len(pairs) > 0 {
		t.Errorf("%d pairs of writes to one entity were in flight at once", len(pairs))
	}
	for _, table := range demoTables {
		witness.ExactlyOnce(t, w.Pool, w.Brokers, w.Registry, w.Prefix, table)
	}
}

func standsBy(t *testing.T, p *harness.Process) {
	t.Helper()
	harness.Eventually(t, time.Minute, "the second stands by", func() bool {
		return strings.Contains(p.Log(), "standing by: another instance owns the source")
	})
	if takenOver(p) {
		t.Error("the second took over from a healthy owner")
	}
}

func takenOver(p *harness.Process) bool { return strings.Contains(p.Log(), `msg="the source runs"`) }

// source is the source connector as a process reports it.
func source(t *testing.T, p *harness.Process) admin.Connector {
	t.Helper()
	var s admin.Status
	if err := json.Unmarshal([]byte(p.Get(t, "/status")), &s); err != nil {
		t.Fatal(err)
	}
	return s.Connectors[0]
}
