package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/pipeline"
	"github.com/backstitch/backstitch/pipeline/config"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

// journalSize holds every call of a benchmark.
const journalSize = 1 << 17

// world is a whole pipeline's surroundings over the legacy system of source.go,
// with so many users, and calls per second.
func (b *bench) world(users, rateLimit int) *harness.World {
	w := harness.New(b, harness.Options{
		Legacy: testenv.Database(b, b.servers.source.URL("postgres")),
		Ledger: testenv.Database(b, b.servers.ledger.URL("postgres")),
		Schema: legacyDDL,
		Tables: "[public.teams, public.users]",
		Organizations: "  select: " + organizationsSelect + "\n" +
			"  routes: {teams: {organization_external_id: id}}",
		Members: "  select: " + strings.ReplaceAll(membersSelect, "::text", "") + "\n" +
			"  routes: {users: {external_id: id}}",
		RateLimit: rateLimit,
		Simulator: simulator.Options{RateLimit: rateLimit + rateLimit/9, JournalSize: journalSize, Roles: []string{"member"}},
	})
	w.Exec(b, fmt.Sprintf("SELECT add_teams(1, %d), add_users(1, %[1]d)", users))
	w.Exec(b, "VACUUM (ANALYZE)")
	return w
}

// running is a pipeline in this process.
type running struct {
	b *bench
	*pipeline.Pipeline
	w *harness.World
}

func (b *bench) start(w *harness.World) *running {
	cfg, err := config.Load(w.Config)
	b.ok(err)
	p, err := pipeline.New(b.ctx, cfg, pipeline.Options{Logger: slog.New(slog.DiscardHandler)})
	b.ok(err)
	b.ok(p.Start(context.WithoutCancel(b.ctx)))
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), 30*time.Second)
		defer cancel()
		if err := p.Stop(ctx); err != nil {
			b.Logf("stop the pipeline: %v", err)
		}
	})
	return &running{b: b, Pipeline: p, w: w}
}

// caughtUp waits until everything that was committed is applied, and demands that
// nothing waits for a person.
func (r *running) caughtUp() {
	ctx, cancel := context.WithTimeout(r.b.ctx, 5*time.Minute)
	defer cancel()
	lsn, err := r.WaitHeartbeat(ctx)
	r.b.ok(err)
	progress, err := r.WaitCaughtUp(ctx, lsn)
	r.b.ok(err)
	if !progress.Clean() {
		r.b.Fatalf("not everything was applied: %+v", progress)
	}
}
