package integration_test

import (
	"strings"
	"testing"

	"github.com/backstitch/backstitch/integration/harness"
)

// small is the README's example with the broker and the registry in the process.
func small(t *testing.T, rows int, change ...func(*harness.Options)) *harness.World {
	t.Helper()
	o := harness.Example()
	o.Schema += harness.ExampleRows(rows)
	o.Kafka = " embedded"
	for _, c := range change {
		c(&o)
	}
	return harness.New(t, o)
}

// A small base needs Postgres, a ledger and Stytch: the whole way without any Kafka,
// what people change between two runs, and nothing at all between two others.
func TestSmallBase(t *testing.T) {
	t.Parallel()
	w := small(t, 30)
	p := untilCaughtUp(t, w, 0)
	if out, _ := p.Streams(); out != "caught up\n" {
		t.Errorf("a run says %q", out)
	}
	harness.NothingAside(t, w.Clean(t))

	w.Exec(t, "UPDATE users SET name = 'While nobody ran' WHERE id % 3 = 0")
	w.Exec(t, "INSERT INTO users VALUES (1001, 'new@corp.example', 'Someone New', NULL, now())")
	w.Exec(t, "INSERT INTO team_members (team_id, user_id, role) VALUES (1, 1001, 'OWNER')")
	untilCaughtUp(t, w, 0)
	harness.NothingAside(t, w.Clean(t))

	before := w.Simulator.Seq()
	untilCaughtUp(t, w, 0)
	if n := w.Simulator.Seq() - before; n != 0 {
		t.Errorf("%d calls though nothing changed", n) // invariant 5
	}
	if slotExists(t, w) {
		t.Error("a slot is left")
	}
	if out, code := w.Command(t, "run"); code != 2 || !strings.Contains(out, "add --until-caught-up") {
		t.Errorf("a run without end exits with %d: %s", code, out)
	}
}
