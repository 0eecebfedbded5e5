package integration_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/integration/testenv/jvmkafka"
	"github.com/backstitch/backstitch/integration/witness"
	"github.com/backstitch/backstitch/pipeline/cli/demo"
	"github.com/backstitch/backstitch/schemas"
)

// The broker is stopped, and later killed, in mid-stream: the process goes on by
// itself when it is back, and every event is in the topics once (invariants 1, 2).
func TestBrokerRestarts(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	broker := harness.OwnKafka(t, jvmkafka.Options{})
	o := harness.Boxy()
	o.Brokers = []string{broker.Addr()}
	w := harness.NewDemo(t, o, demo.Size{Teams: 40, Users: 300, Memberships: 400, Largest: 60, Seed: 11})
	stop := w.Use(t, 11, 40)
	p := w.Run(t)
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		w.CaughtUp(t, time.Minute)
		broker.Halt(signal)
		p.Live(t, 2*time.Second)
		if err := broker.Resume(ctx); err != nil {
			t.Fatal(err)
		}
	}
	w.CaughtUp(t, 2*time.Minute)
	stop()
	w.CaughtUp(t, time.Minute)
	if code := p.Stop(t); code != 0 {
		t.Errorf("the process ends with %d", code)
	}
	w.Judge(t)
}

// The source's PostgreSQL crashes in mid-stream and recovers.
func TestSourceRestarts(t *testing.T) {
	t.Parallel()
	testenv.RealKafka(t)
	ctx := context.Background()
	server := testenv.OwnPostgres(t, nil)
	url, err := server.CreateDatabase(ctx, "legacy")
	if err != nil {
		t.Fatal(err)
	}
	o := harness.Example()
	o.Legacy = url
	o.Schema += harness.ExampleRows(30)
	w := harness.New(t, o)
	tables := []schemas.Table{{Schema: "public", Name: "teams"}, {Schema: "public", Name: "users"}, {Schema: "public", Name: "team_members"}}
	for _, table := range tables {
		witness.Keep(t, w.Pool, table, "id")
	}
	p := w.Run(t)
	for round := range 3 {
		w.CaughtUp(t, 2*time.Minute)
		for i := range 40 { // some are in flight when the server dies
			w.Exec(t, "UPDATE users SET name = $1 WHERE id % 40 = $2", fmt.Sprintf("Round %d", round), i)
		}
		if err := server.Halt(syscall.SIGKILL); err != nil {
			t.Logf("the server was killed: %v", err)
		}
		p.Live(t, time.Second)
		if err := server.Resume(ctx); err != nil {
			t.Fatal(err)
		}
		w.Pool.Reset()
	}
	w.Exec(t, "DELETE FROM users WHERE id = 33")
	w.CaughtUp(t, 2*time.Minute)
	if code := p.Stop(t); code != 0 {
		t.Errorf("the process ends with %d", code)
	}
	harness.NothingAside(t, w.Clean(t))
	for _, table := range tables {
		witness.ExactlyOnce(t, w.Pool, w.Brokers, w.Registry, w.Prefix, table)
	}
}

// The ledger's PostgreSQL crashes while the backfill is applied: what is in doubt is
// read back, nothing is lost, no entity is in two hands (invariants 4 and 6).
func TestLedgerRestarts(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server := testenv.OwnPostgres(t, nil)
	url, err := server.CreateDatabase(ctx, "ledger")
	if err != nil {
		t.Fatal(err)
	}
	o := harness.Example()
	o.Ledger, o.RateLimit = url, 100
	o.Schema += harness.ExampleRows(40)
	w := harness.New(t, o)
	p := w.Run(t)
	for round := range 2 {
		calls := w.Simulator.Seq()
		harness.Eventually(t, time.Minute, "calls to Stytch", func() bool { return w.Simulator.Seq() > calls+50 })
		if err := server.Halt(syscall.SIGKILL); err != nil {
			t.Logf("the server was killed: %v", err)
		}
		w.Exec(t, "UPDATE users SET name = $1 WHERE id % 7 = 0", fmt.Sprintf("Round %d", round))
		drains(t, w)
		p.Live(t, time.Second)
		if err := server.Resume(ctx); err != nil {
			t.Fatal(err)
		}
		w.LedgerPool.Reset()
	}
	w.CaughtUp(t, 2*time.Minute)
	if code := p.Stop(t); code != 0 {
		t.Errorf("the process ends with %d", code)
	}
	harness.NothingAside(t, w.Clean(t))
	w.OneHand(t)
}

// drains waits until the source has confirmed everything that is committed now: it
// needs no ledger to go on, and the primary keeps no log for it.
func drains(t *testing.T, w *harness.World) {
	t.Helper()
	var end string
	if err := w.Pool.QueryRow(t.Context(), "SELECT pg_current_wal_lsn()").Scan(&end); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, time.Minute, "the slot follows without a ledger", func() bool {
		var there bool
		err := w.Pool.QueryRow(t.Context(), "SELECT confirmed_flush_lsn >= $1 FROM pg_replication_slots WHERE database = current_database()", end).Scan(&there)
		return err == nil && there
	})
}

// With a secret that Stytch does not know a run ends and says so, and parks nothing.
func TestWrongSecret(t *testing.T) {
	t.Parallel()
	o := harness.Example()
	o.Schema += harness.ExampleRows(5)
	w := harness.New(t, o)
	right := w.Config
	w.Config = w.Variant(t, "wrong", func(o *harness.Options) { o.Secret = "secret-test-of-nobody" })
	p := w.Run(t, "--until-caught-up")
	if code := p.Wait(t, time.Minute); code == 0 || code == 3 {
		t.Errorf("a run with a wrong secret exits with %d:\n%s", code, tail(p.Log()))
	}
	w.Config = right
	untilCaughtUp(t, w, 0)
	harness.NothingAside(t, w.Clean(t))
}
