package integration_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/pipeline/admin"
	"github.com/backstitch/backstitch/pipeline/cli/demo"
)

// A second instance, started beside the first by mistake or on purpose, stands by,
// takes over when the first is killed, and the other way round: every event is in the
// topics once (invariant 2, hazards S14, S27), no entity is in two hands (invariant
// 4, hazards A1, A2).
func TestSecondInstance(t *testing.T) {
	t.Parallel()
	o := harness.Boxy()
	o.RateLimit = 200
	w := harness.NewDemo(t, o, demo.Size{Teams: 60, Users: 500, Memberships: 700, Largest: 100, Seed: 9})
	stop := w.Use(t, 9, 40)
	first := w.Run(t)
	harness.Eventually(t, time.Minute, "the first owns the source", func() bool { return source(t, first).State == "RUNNING" })
	second := w.Run(t)
	standsBy(t, second)
	for range 2 {
		second.Live(t, time.Second)
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
	w.Exec(t, `UPDATE "User" SET name = 'After three owners' WHERE id = $1`, w.Legacy.Users[10])
	w.CaughtUp(t, time.Minute)
	second.Stop(t)
	w.Judge(t)
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
