package capture_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/producers/capture"
)

// work changes users at random from several sessions until stopped: inserts,
// updates with and without the long value, deletes, key changes, rollbacks, and
// rows deleted and inserted again in one transaction.
func (r *rig) work(sessions int) (stop func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for i := range sessions {
		conn := r.connect()
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 7))
			pace := time.NewTicker(4 * time.Millisecond)
			defer pace.Stop()
			for n := 0; ctx.Err() == nil; n++ {
				<-pace.C
				if err := step(ctx, conn, random, n); err != nil && ctx.Err() == nil {
					r.t.Errorf("workload: %v", err)
					return
				}
			}
		})
	}
	return func() { cancel(); group.Wait() }
}

func step(ctx context.Context, conn *pgx.Conn, random *rand.Rand, n int) error {
	id := random.IntN(600) + 1
	statements := map[int]string{
		0: fmt.Sprintf("INSERT INTO users VALUES (%d, 1, 'w%d@example.com', repeat('y', 2500)) ON CONFLICT DO NOTHING", id, n),
		1: fmt.Sprintf("UPDATE users SET email = 'w%d@example.com' WHERE id = %d", n, id),
		2: fmt.Sprintf("UPDATE users SET note = repeat('z', %d) WHERE id = %d", 2000+n%1000, id),
		3: fmt.Sprintf("DELETE FROM users WHERE id = %d", id),
		4: fmt.Sprintf("UPDATE users SET id = %d WHERE id = %d AND NOT EXISTS (SELECT 1 FROM users WHERE id = %d)", id+2000, id, id+2000),
		5: fmt.Sprintf("BEGIN; UPDATE users SET email = 'never' WHERE id = %d; ROLLBACK", id),
		6: fmt.Sprintf("BEGIN; DELETE FROM users WHERE id = %d; INSERT INTO users VALUES (%d, 2, 'again%d@example.com', NULL); COMMIT", id, id, n),
		7: fmt.Sprintf("UPDATE users SET team = %d WHERE id %% 97 = %d", n%50+1, id%97),
	}
	_, err := conn.Exec(ctx, statements[random.IntN(len(statements))], pgx.QueryExecModeSimpleProtocol)
	if err != nil && ctx.Err() == nil {
		_, _ = conn.Exec(ctx, "ROLLBACK")
		if conn.IsClosed() {
			return err
		}
	}
	return nil
}

// invariants 1, 2 and 3; hazards S3, S4, S5: whatever is killed and whenever, in
// the first backfill, in slices and in the stream, under a running workload, the
// topics hold every event once and fold to the database's state.
func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, people, `public."Team"`, "users")
	stop := r.work(3)
	small := func(c *capture.Config, _ *capture.Deps) {
		c.Backfill.RangeRows = 100
		c.BackfillMaxPause = 50 * time.Millisecond
	}
	for i := range 8 {
		s := r.start(small)
		alive := time.Now().Add(time.Duration(150+i*130) * time.Millisecond)
		r.until("some life", func() bool { return time.Now().After(alive) })
		kill(s)
	}
	s := r.start(small)
	r.until("the first backfill", func() bool { return s.Status().FirstComplete })
	users := r.cfg.Tables[1]
	run := s.Status().Run
	if err := s.Backfill(t.Context(), r.cfg.Tables[1:]); err != nil {
		t.Fatal(err)
	}
	r.until("the second run to be taken up", func() bool { return s.Status().Run > run })
	kill(s)
	s = r.start(small)
	r.until("the second run", func() bool { return s.Status().Backfill[users.String()].Done })
	stop()
	r.caughtUp(s)
	r.verify(r.records())
	if t.Failed() {
		return
	}
	if n := s.Status(); n.Run <= run {
		t.Errorf("run %d, want more than %d", n.Run, run)
	}
}
