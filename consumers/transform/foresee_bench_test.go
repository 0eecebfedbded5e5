package transform

import (
	"context"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkForesee looks at what another mapping would do to 1,000,000 members of
// 100,000 teams: one in a hundred is left out, every tenth name changes.
func BenchmarkForesee(b *testing.B) {
	w := teamsWorld(b)
	w.ctx = context.Background() // it takes longer than a test may
	const teams, users = 100_000, 1_000_000
	w.exec(`INSERT INTO teams SELECT g, 'Team ' || g, 't' || g FROM generate_series(1, $1::int) g`, teams)
	w.exec(`INSERT INTO users SELECT g, g || '@corp.example', 'User ' || g, 'hash', '2026-01-01' FROM generate_series(1, $1::int) g`, users)
	w.exec(`INSERT INTO team_members SELECT g, 1 + g % $1::int, g FROM generate_series(1, $2::int) g`, teams, users)
	w.exec(`ANALYZE teams, users, team_members`)
	w.load()
	w.exec(`UPDATE backstitch.transform SET phase = 'following', evaluated_epoch = 1, evaluated_commit_lsn = $1`, int64(w.lsn))
	organizations, members := teamsMappings()
	members.Select = strings.Replace(strings.TrimSuffix(strings.TrimSpace(members.Select), ";"), "u.name,", "CASE WHEN u.id % 10 = 0 THEN upper(u.name) ELSE u.name END AS name,", 1) + " WHERE u.id % 100 <> 1"
	plan, err := compileOn(w.ctx, w.pool, w.tables, organizations, members)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		began := time.Now()
		f, err := Foresee(w.ctx, ForeseeDeps{Ledger: w.pool, Plan: plan, Prefix: "test", Partitions: 4, Logger: slog.New(slog.DiscardHandler), Samples: 5, Changes: 20_000})
		if err != nil {
			b.Fatal(err)
		}
		if m := f.Kinds[1]; m.Entities != users || m.Update.Count != users/10 || m.Delete.Count != users/100 {
			b.Fatalf("foreseen are %+v", m)
		}
		b.ReportMetric(float64(teams+users)/time.Since(began).Seconds(), "entities/s")
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(usage.Maxrss)/1024, "MB-peak")
}
