package integration_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/integration/testenv"
)

// One process runs a small base. A second one is refused, told who is there, and does
// nothing; what that one does is not disturbed.
func TestSmallBaseHasOneProcess(t *testing.T) {
	t.Parallel()
	w := small(t, 40, func(o *harness.Options) { o.RateLimit = 50 })
	first := w.Run(t, "--until-caught-up")
	harness.Eventually(t, 2*time.Minute, "the first one applies", func() bool { return w.Simulator.Seq() > 5 })
	p := w.Run(t, "--until-caught-up")
	if code := p.Wait(t, time.Minute); code != 1 || !strings.Contains(p.Log(), "another process runs this pipeline (backstitch "+w.Prefix+" on ") {
		t.Errorf("a second process exits with %d:\n%s", code, tail(p.Log()))
	}
	if code := first.Wait(t, 2*time.Minute); code != 0 {
		t.Errorf("the first one exits with %d:\n%s", code, tail(first.Log()))
	}
	harness.NothingAside(t, w.Clean(t))
	w.OneHand(t)
}

// Commands that look from outside work from the ledger; those that need the topics say
// that these ended with the run, and what to do in their place.
func TestSmallBaseCommands(t *testing.T) {
	t.Parallel()
	w := small(t, 10)
	if out, code := w.Command(t, "check"); code != 0 || !strings.Contains(out, "in the memory of each run") {
		t.Fatalf("check exits with %d:\n%s", code, out)
	}
	untilCaughtUp(t, w, 0)
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"check", 0, "temporary: each run makes one"},
		{"status", 0, "the embedded broker is within the process"},
		{"lag", 0, "the embedded broker is within the process"},
		{"parked list", 0, ""},
		{"approve list", 0, ""},
		{"plan", 0, ""},
		{"audit", 0, ""},
		{"backfill --all", 2, "every `backstitch run --until-caught-up` reads every table"},
		{"replay apply --to-earliest --yes", 2, "verify --repair"},
		{"replay transform --rebuild --yes", 2, "reads every table"},
		{"run", 2, "add --until-caught-up"},
		{"teardown", 0, "left: the ledger database"},
	} {
		out, code := w.Command(t, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%s exits with %d, want %d with %q:\n%s", c.args, code, c.code, c.says, tail(out))
		}
		if strings.Contains(out, "left in Kafka") {
			t.Errorf("%s speaks of a Kafka that there is not:\n%s", c.args, out)
		}
	}
	untilCaughtUp(t, w, 0) // after the teardown: it makes all that it needs
	harness.NothingAside(t, w.Clean(t))
	w.Config = w.Variant(t, "kafka", func(o *harness.Options) { o.Kafka, o.Brokers = "", testenv.Kafka(t) })
	if out, code := w.Command(t, "run", "--until-caught-up"); code != 4 || !strings.Contains(out, `the Kafka cluster is recorded as "embedded"`) {
		t.Errorf("a Kafka with the same ledger: exit %d:\n%s", code, tail(out)) // hazard C22
	}
}

// The session with the source breaks in the middle of a run, and the temporary slot with
// it: the run reads the tables again, in the same process, and loses nothing.
func TestSmallBaseLosesItsSession(t *testing.T) {
	t.Parallel()
	w := small(t, 40, func(o *harness.Options) { o.RateLimit = 60 })
	p := w.Run(t, "--until-caught-up")
	harness.Eventually(t, 2*time.Minute, "it applies", func() bool { return w.Simulator.Seq() > 20 })
	w.Tx(t,
		"UPDATE users SET name = 'Renamed' WHERE id % 2 = 0",
		"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'backstitch_"+w.Prefix+"'")
	harness.Eventually(t, 2*time.Minute, "the next epoch", func() bool {
		var epoch int
		err := w.LedgerPool.QueryRow(context.Background(), "SELECT evaluated_epoch FROM backstitch.transform").Scan(&epoch)
		return err == nil && epoch == 2
	})
	w.CaughtUp(t, 2*time.Minute)
	if code := p.Wait(t, 2*time.Minute); code != 0 {
		t.Errorf("it exits with %d:\n%s", code, tail(p.Log()))
	}
	harness.NothingAside(t, w.Clean(t))
	madeOnce(t, w)
	noSlot(t, w)
}

// A run that needs more memory than it may have ends and says so; what was applied
// stays, and a run that may have more goes on from there.
func TestSmallBaseTooLarge(t *testing.T) {
	t.Parallel()
	w := small(t, 60, func(o *harness.Options) {
		o.Kafka, o.RateLimit = " {embedded: true, memory: 1kB}", 20
	})
	p := w.Run(t, "--until-caught-up")
	if code := p.Wait(t, 2*time.Minute); code != 1 || !strings.Contains(p.Log(), "more than kafka.memory (1024 bytes)") {
		t.Errorf("it exits with %d:\n%s", code, tail(p.Log()))
	}
	w.Config = w.Variant(t, "larger", func(o *harness.Options) { o.Kafka, o.RateLimit = " embedded", 2000 })
	untilCaughtUp(t, w, 0)
	harness.NothingAside(t, w.Clean(t))
	madeOnce(t, w)
}
