package witness_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/integration/witness"
	"github.com/backstitch/backstitch/schemas"
)

var people = schemas.Table{Schema: "public", Name: "users"}

// Two clients that Backstitch does not use read what it wrote, over a first backfill
// under load, a second one of the same table, and a run that was killed: the source
// topics hold every event once (invariant 2), the apply topics hold no personal data
// and stand where their organization belongs.
func TestWitnesses(t *testing.T) {
	t.Parallel()
	testenv.RealKafka(t)
	o := harness.Example()
	o.Schema += "ALTER TABLE users ADD COLUMN note text;" + harness.ExampleRows(40)
	w := harness.New(t, o)
	for _, table := range []string{"teams", "users", "team_members"} {
		witness.Keep(t, w.Pool, schemas.Table{Schema: "public", Name: table}, "id")
	}
	stop := work(t, w)
	p := w.Run(t)
	w.CaughtUp(t, time.Minute)
	p.Kill()
	p = w.Run(t)
	w.CaughtUp(t, time.Minute)
	w.Output(t, "backfill", "--table", "users")
	harness.Eventually(t, time.Minute, "a second run of the backfill", func() bool {
		for _, b := range w.Status(t).Backfill {
			if b.Table == people.String() && b.Done && b.Rows > 0 {
				return bytes.Contains([]byte(p.Log()), []byte("a backfill was asked for"))
			}
		}
		return false
	})
	stop()
	w.CaughtUp(t, time.Minute)
	p.Stop(t)
	w.Clean(t)

	for _, table := range []string{"teams", "users", "team_members"} {
		events, reads := witness.ExactlyOnce(t, w.Pool, w.Brokers, w.Registry, w.Prefix, schemas.Table{Schema: "public", Name: table})
		t.Logf("%s: %d events, %d rows read", table, events, reads)
		if table == "users" && (events < 100 || reads < 250) {
			t.Errorf("%d events and %d reads of users: the test proves little", events, reads)
		}
	}
	wakes := witness.Wakes(t, w.Brokers, w.Prefix)
	if len(wakes) < 400 {
		t.Errorf("%d wake-ups, want one for each entity at least", len(wakes))
	}
	for _, wake := range wakes { // invariant 8
		for _, secret := range []string{"@", "$2a$", "Person", "Team "} {
			if bytes.Contains(wake.Key, []byte(secret)) || bytes.Contains(wake.Value, []byte(secret)) {
				t.Fatalf("a wake-up of the %s lane holds personal data", wake.Lane)
			}
		}
	}
}

// work changes users from two sessions: new ones, changes with and without the large
// value, other keys, deletes, rollbacks, and rows that go and come in one transaction.
func work(t *testing.T, w *harness.World) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	for session := range 2 {
		go func() { ended <- use(ctx, w, session) }()
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Errorf("workload: %v", err)
			}
		}
	}
	t.Cleanup(stop)
	return stop
}

func use(ctx context.Context, w *harness.World, session int) error {
	random := rand.New(rand.NewPCG(uint64(session), 5))
	pace := time.NewTicker(8 * time.Millisecond)
	defer pace.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		<-pace.C
		id := 1 + 2*random.IntN(150) + session // each session has its rows: no deadlocks
		statements := [][]string{
			{fmt.Sprintf("INSERT INTO users (id, email) VALUES (%d, 'again%d-%d@corp.example') ON CONFLICT DO NOTHING", id, session, n)},
			{fmt.Sprintf("UPDATE users SET name = 'Renamed %d' WHERE id = %d", n, id)},
			{fmt.Sprintf("UPDATE users SET note = (SELECT string_agg(md5(i::text), '') FROM generate_series(%d, %d) i) WHERE id = %d", n, n+200, id)},
			{fmt.Sprintf("DELETE FROM users WHERE id = %d AND id %% 5 = 0", id)},
			{fmt.Sprintf("UPDATE users SET id = id + 10000 WHERE id = %d AND NOT EXISTS (SELECT FROM team_members WHERE user_id = %d) AND NOT EXISTS (SELECT FROM users WHERE id = %d)", id, id, id+10000)},
			{fmt.Sprintf("UPDATE teams SET plan = 'plan %d' WHERE id = %d", n, 1+(id-1)%40)},
			{
				fmt.Sprintf("DELETE FROM team_members WHERE user_id = %d", id),
				fmt.Sprintf("INSERT INTO team_members (team_id, user_id) SELECT %d, id FROM users WHERE id = %d", 1+n%40, id),
			},
		}
		if err := transaction(ctx, w, statements[random.IntN(len(statements))], n%9 == 0); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func transaction(ctx context.Context, w *harness.World, statements []string, rollback bool) error {
	tx, err := w.Pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) // after a commit there is nothing to roll back
	for _, sql := range statements {
		if _, err := tx.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
	}
	if rollback {
		return nil
	}
	return tx.Commit(ctx)
}
