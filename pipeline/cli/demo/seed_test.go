package demo

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/backstitch/backstitch/integration/testenv"
)

// TestSeedHasItsTraps proves that every trap that the demo promises is there.
func TestSeedHasItsTraps(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	url := testenv.Postgres(t)
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	size := Size{Teams: 200, Users: 2000, Memberships: 2500, Largest: 500, Seed: 7}
	legacy, err := Seed(ctx, conn, size)
	if err != nil {
		t.Fatal(err)
	}
	if len(legacy.Refused) != 1 || len(legacy.CaseTwins) != 1 {
		t.Errorf("%d refused slugs and %d case twins, want one of each", len(legacy.Refused), len(legacy.CaseTwins))
	}
	for _, trap := range []struct {
		name, sql string
		least     int
	}{
		{"memberships", `SELECT count(*) FROM "TeamMember"`, 2400},
		{"users in several teams", `SELECT count(*) FROM (SELECT 1 FROM "TeamMember" GROUP BY "userId" HAVING count(*) > 1) q`, 100},
		{"users in no team", `SELECT count(*) FROM "User" u WHERE NOT EXISTS (SELECT FROM "TeamMember" m WHERE m."userId" = u.id)`, 100},
		{"no password", `SELECT count(*) FROM "User" WHERE password IS NULL`, 100},
		{"unverified", `SELECT count(*) FROM "User" WHERE "emailVerified" IS NULL AND password IS NOT NULL`, 100},
		{"addresses that differ only in case", `SELECT count(*) FROM (SELECT 1 FROM "User" GROUP BY lower(email) HAVING count(*) > 1) q`, 2},
		{"within one team", `SELECT count(*) FROM (SELECT 1 FROM "User" u JOIN "TeamMember" m ON m."userId" = u.id GROUP BY m."teamId", lower(email) HAVING count(*) > 1) q`, 1},
		{"a large team", `SELECT max(n) FROM (SELECT count(*) n FROM "TeamMember" GROUP BY "teamId") q`, 500},
		{"null names", `SELECT count(*) FROM "User" WHERE name IS NULL`, 100},
		{"non-ASCII names", `SELECT count(*) FROM "User" WHERE octet_length(name) > length(name)`, 100},
		{"invitations", `SELECT count(*) FROM "Invitation"`, 100},
	} {
		var n int
		if err := conn.QueryRow(ctx, trap.sql).Scan(&n); err != nil {
			t.Fatalf("%s: %v", trap.name, err)
		}
		if n < trap.least {
			t.Errorf("%s: %d, want at least %d", trap.name, n, trap.least)
		}
	}
}

// TestADemoThatCannotStartSaysSo: what failed is an error, and leaves nothing behind.
func TestADemoThatCannotStartSaysSo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Run(ctx, Options{Size: DefaultSize, Out: io.Discard}); err == nil {
		t.Error("a demo without time has run")
	}
}

// TestWorkloadDoesEverything runs the workload until each kind of transaction has
// committed at least once.
func TestWorkloadDoesEverything(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	pool, err := pgxpool.New(ctx, testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	conn, err := pool.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	legacy, err := Seed(ctx, conn.Conn(), Size{Teams: 50, Users: 1000, Memberships: 1200, Largest: 100, Seed: 7})
	conn.Release()
	if err != nil {
		t.Fatal(err)
	}
	w := NewWorkload(pool, legacy, 7, 2000)
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- w.Run(ctx, stop) }()
	all := func() bool {
		for _, n := range w.Counts() {
			if n == 0 {
				return false
			}
		}
		return true
	}
	for tick := time.NewTicker(10 * time.Millisecond); !all(); {
		select {
		case err := <-ended:
			t.Fatalf("the workload ended early: %v; %v", err, w.Counts())
		case <-ctx.Done():
			t.Fatalf("some kinds never committed: %v", w.Counts())
		case <-tick.C:
		}
	}
	close(stop)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
