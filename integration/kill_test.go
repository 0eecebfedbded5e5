package integration_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/pipeline/cli/demo"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// The process is killed while it reads the tables, while it applies the backfill,
// while it follows, and then at random, with people at work all the time. Nothing is
// lost, nothing comes twice (invariants 1 and 2), no two writes to one entity are in
// flight at once (invariant 4), and who leaves a team and joins it again in one
// transaction stays the same member (hazard C3, invariant 11).
func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	o := harness.Boxy()
	o.RateLimit = 150
	o.Simulator.Latency = 5 * time.Millisecond
	w := harness.NewDemo(t, o, demo.Size{Teams: 80, Users: 900, Memberships: 1200, Largest: 200, Seed: 5})
	stopRejoining := rejoin(t, w.World, w.Legacy.Teams[0])
	stop := w.Use(t, seed, 40)

	for _, phase := range []struct {
		name string
		here func() bool
	}{
		{"backfill", func() bool { return w.Phase() != "following" && slotExists(t, w.World) }},
		{"apply", func() bool { return w.Simulator.Seq() > 100 }},
		{"streaming", func() bool { return w.Phase() == "following" && w.Simulator.Seq() > 300 }},
	} {
		p := w.Run(t)
		harness.Eventually(t, time.Minute, "the process is in "+phase.name, phase.here)
		p.Live(t, time.Duration(random.IntN(200))*time.Millisecond)
		p.Kill()
		t.Logf("killed in %s after %d calls", phase.name, w.Simulator.Seq())
	}
	for range 4 {
		p := w.Run(t)
		p.AdminURL(t)
		p.Live(t, time.Duration(200+random.IntN(3000))*time.Millisecond)
		p.Kill()
	}
	p := w.Run(t)
	p.Live(t, 2*time.Second)
	rounds := stopRejoining()
	t.Logf("%d transactions, %d rounds of rejoining", stop(), rounds)
	w.CaughtUp(t, 3*time.Minute)
	p.Stop(t)
	w.Judge(t)
	sameMembers(t, w.World)
}

func slotExists(t *testing.T, w *harness.World) bool {
	t.Helper()
	var exists bool
	err := w.Pool.QueryRow(context.Background(), "SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)", "backstitch_"+w.Prefix).Scan(&exists)
	if err != nil {
		t.Fatal(err)
	}
	return exists
}

const rejoiners = 20

// rejoin adds people to a team who leave it and join it again, always in one
// transaction and under another surrogate key.
func rejoin(t *testing.T, w *harness.World, team string) (stop func() int) {
	t.Helper()
	for i := range rejoiners {
		w.Exec(t, `INSERT INTO "User" (id, email, "emailVerified") VALUES ($1, $1 || '@rejoin.example', now())`, fmt.Sprintf("rejoiner-%d", i))
		w.Exec(t, `INSERT INTO "TeamMember" (id, "teamId", "userId") VALUES ($1 || '-0', $2, $1)`, fmt.Sprintf("rejoiner-%d", i), team)
	}
	end, ended := make(chan struct{}), make(chan int, 1)
	go func() {
		tick := time.NewTicker(30 * time.Millisecond)
		defer tick.Stop()
		for n := 1; ; n++ {
			select {
			case <-end:
				ended <- n
				return
			case <-tick.C:
			}
			user := fmt.Sprintf("rejoiner-%d", n%rejoiners)
			err := pgx.BeginFunc(context.Background(), w.Pool, func(tx pgx.Tx) error {
				if _, err := tx.Exec(context.Background(), `DELETE FROM "TeamMember" WHERE "userId" = $1`, user); err != nil {
					return err
				}
				_, err := tx.Exec(context.Background(), `INSERT INTO "TeamMember" (id, "teamId", "userId") VALUES ($1, $2, $3)`, fmt.Sprintf("%s-%d", user, n), team, user)
				return err
			})
			if err != nil {
				t.Errorf("rejoin: %v", err)
			}
		}
	}()
	return func() int { close(end); return <-ended }
}

// sameMembers: each rejoiner is one member in Stytch, the one that was made first.
func sameMembers(t *testing.T, w *harness.World) {
	t.Helper()
	made := map[string]int{}
	for o := range w.Simulator.Dump() {
		for _, m := range o.Members {
			if len(m.Member.ExternalID) > 8 && m.Member.ExternalID[:8] == "rejoiner" {
				made[m.Member.ExternalID]++
				if m.Member.Status == simulator.StatusDeleted {
					t.Errorf("%s was deleted", m.Member.ExternalID)
				}
			}
		}
	}
	if len(made) != rejoiners {
		t.Errorf("%d of %d rejoiners are in Stytch", len(made), rejoiners)
	}
	for id, n := range made {
		if n != 1 {
			t.Errorf("%s was made %d times", id, n)
		}
	}
}
