package integration_test

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/integration/testenv"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// done are the Stytch ids of what the ledger has as applied; none before it is made.
func done(w *harness.World) map[string]bool {
	var all []string
	_ = w.LedgerPool.QueryRow(context.Background(),
		"SELECT array_agg(stytch_id) FROM backstitch.entities WHERE status = 'current' AND stytch_id IS NOT NULL").Scan(&all)
	ids := map[string]bool{}
	for _, id := range all {
		ids[id] = true
	}
	return ids
}

// calls counts the requests after a place of the journal that were about one of ids.
func calls(w *harness.World, after uint64, ids map[string]bool) (n int) {
	for _, e := range w.Simulator.Journal(simulator.Filter{After: after}) {
		id := e.MemberID
		if strings.HasPrefix(string(e.Endpoint), "organizations.") {
			id = e.OrganizationID
		}
		if ids[id] {
			n++
		}
	}
	return n
}

// madeOnce fails the test when two objects were ever made of one entity.
func madeOnce(t *testing.T, w *harness.World) {
	t.Helper()
	made := map[string]int{}
	for o := range w.Simulator.Dump() {
		made[o.Organization.OrganizationExternalID]++
		for _, m := range o.Members {
			made[o.Organization.OrganizationExternalID+"/"+m.Member.ExternalID]++
		}
	}
	for id, n := range made {
		if n > 1 {
			t.Errorf("%s was made %d times", id, n)
		}
	}
}

// noSlot waits until the server has noticed that the process is gone: it drops the slot
// with the session, and keeps no log for it.
func noSlot(t *testing.T, w *harness.World) {
	t.Helper()
	harness.Eventually(t, time.Minute, "the slot ends with its process", func() bool { return !slotExists(t, w) })
}

// The process of a small base is killed before and while it reads, in the middle of what
// it applies, and near the end. No slot stays, the next run makes no second object and no
// call for what was done, and what is in Stytch at the end is right.
func TestSmallBaseKilled(t *testing.T) {
	t.Parallel()
	w := small(t, 60, func(o *harness.Options) {
		o.RateLimit = 150
		o.Simulator.Latency = 5 * time.Millisecond
	})
	filled := func(table string) bool {
		var n int
		_ = w.LedgerPool.QueryRow(context.Background(), "SELECT count(*) FROM "+table).Scan(&n) // not there yet: 0
		return n > 0
	}
	for _, moment := range []struct {
		name string
		here func() bool
	}{
		{"the slot is made", func() bool { return slotExists(t, w) }},
		{"the mirror fills", func() bool { return filled("public.users") }},
		{"entities are evaluated", func() bool { return filled("backstitch.entities") }},
		{"organizations are applied", func() bool { return w.Simulator.Seq() > 20 }},
		{"members are applied", func() bool { return w.Simulator.Seq() > 200 }},
		{"more of them", func() bool { return w.Simulator.Seq() > 400 }},
	} {
		ids, before := done(w), w.Simulator.Seq()
		p := w.Run(t, "--until-caught-up")
		harness.Eventually(t, 2*time.Minute, moment.name, moment.here)
		p.Kill()
		noSlot(t, w)
		t.Logf("killed when %s, after %d calls", moment.name, w.Simulator.Seq())
		if n := calls(w, before, ids); n > 0 {
			t.Errorf("until %s: %d calls for %d entities that were done", moment.name, n, len(ids))
		}
	}
	ids, before := done(w), w.Simulator.Seq()
	if len(ids) < 100 {
		t.Fatalf("only %d entities were done when the last process was killed", len(ids))
	}
	untilCaughtUp(t, w, 0)
	if n := calls(w, before, ids); n > 0 {
		t.Errorf("%d calls for %d entities that were done", n, len(ids))
	}
	harness.NothingAside(t, w.Clean(t))
	w.OneHand(t)
	madeOnce(t, w)
	noSlot(t, w)
}

// Who is deleted while no process runs is found by comparison, however few they are, and
// waits for a person; so does a table that was emptied. Without the consent nothing
// happens in later runs either, and what else changed is applied.
func TestSmallBaseDeletesInBetween(t *testing.T) {
	t.Parallel()
	w := small(t, 40, func(o *harness.Options) { o.RateLimit = 150 })
	p := w.Run(t, "--until-caught-up")
	harness.Eventually(t, 2*time.Minute, "some members are applied", func() bool { return w.Simulator.Seq() > 150 })
	p.Kill()
	w.Exec(t, "DELETE FROM users WHERE id <= 12") // most of them are members already
	w.Exec(t, "UPDATE users SET name = 'Renamed' WHERE id = 10")
	p = w.Run(t, "--until-caught-up")
	if code := p.Wait(t, 2*time.Minute); code != 3 {
		t.Fatalf("a run that finds deletes exits with %d:\n%s", code, tail(p.Log()))
	}
	if !strings.Contains(p.Log(), "awaiting consent") {
		t.Errorf("it does not say that they wait:\n%s", tail(p.Log()))
	}
	untilCaughtUp(t, w, 3)
	if n := deletes(w); n != 0 {
		t.Fatalf("%d deletes before a person consented", n)
	}
	r := w.Clean(t)
	if len(r.Awaiting) == 0 || len(r.Parked)+len(r.Blocked) > 0 {
		t.Errorf("%d await consent, %d are parked, %d blocked", len(r.Awaiting), len(r.Parked), len(r.Blocked))
	}
	id, question := consent(t, w)
	if !strings.Contains(question, "No deletion of a row was read for these") {
		t.Errorf("the question is: %s", question)
	}
	w.Output(t, "approve", id)
	untilCaughtUp(t, w, 0)
	if n := deletes(w); n != len(r.Awaiting) {
		t.Errorf("%d deletes after the consent to %d", n, len(r.Awaiting))
	}
	harness.NothingAside(t, w.Clean(t))
	madeOnce(t, w)
}

// A process that is killed while the server still makes its slot leaves none either. The
// server waits then for a transaction that runs, and does not look after its client.
func TestSmallBaseKilledWhileItsSlotIsMade(t *testing.T) {
	t.Parallel()
	w := small(t, 5, func(o *harness.Options) { o.Legacy = testenv.OwnDatabase(t) })
	tx, err := w.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), "UPDATE users SET name = 'Not yet' WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	p := w.Run(t, "--until-caught-up")
	harness.Eventually(t, time.Minute, "the slot is in the making", func() bool { return slotExists(t, w) })
	p.Kill()
	noSlot(t, w)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	untilCaughtUp(t, w, 0)
	harness.NothingAside(t, w.Clean(t))
}

// A process that is frozen loses its place, its slot and its fences to the next one.
// When it wakes it ends, and writes nothing more.
func TestSmallBaseFrozen(t *testing.T) {
	t.Parallel()
	w := small(t, 40, func(o *harness.Options) { o.RateLimit = 60 })
	frozen := w.Run(t, "--until-caught-up")
	harness.Eventually(t, 2*time.Minute, "it applies", func() bool { return w.Simulator.Seq() > 30 })
	frozen.Signal(syscall.SIGSTOP)
	w.Exec(t, "UPDATE users SET name = 'Renamed' WHERE id % 2 = 0")
	harness.Eventually(t, 2*time.Minute, "the next one has the place", func() bool {
		p := w.Run(t, "--until-caught-up")
		code := p.Wait(t, 2*time.Minute)
		if code != 0 && !strings.Contains(p.Log(), "another process runs this pipeline") {
			t.Fatalf("the next process exits with %d:\n%s", code, tail(p.Log()))
		}
		return code == 0
	})
	harness.NothingAside(t, w.Clean(t))
	before := w.Simulator.Seq()
	frozen.Signal(syscall.SIGCONT)
	if code := frozen.Wait(t, 2*time.Minute); code != 1 || !strings.Contains(frozen.Log(), "another one may run the pipeline now") {
		t.Errorf("the frozen process exits with %d:\n%s", code, tail(frozen.Log()))
	}
	for _, e := range w.Simulator.Journal(simulator.Filter{After: before}) {
		if e.Method != "GET" {
			t.Errorf("it wrote %s after it woke", e.Endpoint)
		}
	}
	harness.NothingAside(t, w.Clean(t))
	w.OneHand(t)
	madeOnce(t, w)
	noSlot(t, w)
}
