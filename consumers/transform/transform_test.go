package transform

import (
	"testing"
)

func teamsFeeder(t testing.TB) *feeder {
	t.Helper()
	organizations, members := teamsMappings()
	return newFeeder(t, teamsDDL, teamsTables, organizations, members)
}

const verified = "2026-01-02 03:04:05+00"

func TestFromTopicsToWakeUps(t *testing.T) {
	t.Parallel()
	f := teamsFeeder(t)
	tr := f.start()
	f.reading().insert("teams", 1, "Acme", "acme", "pro", nil).insert("teams", 2, "Ünï\tcode\\", nil, nil, nil).end()
	f.reading().insert("users", 1, "a@example.com", "A", nil, verified, nil).insert("users", 2, "b@example.com", nil, nil, nil, nil).end()
	f.reading().insert("team_members", 1, 1, 1, "OWNER").insert("team_members", 2, 1, 2, "MEMBER").end()
	f.loaded()
	f.evaluated(tr)
	f.same()
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE lane = 'backfill' AND desired IS NOT NULL"); n != 4 {
		t.Fatalf("%d entities after loading, want 2 organizations and 2 members", n)
	}
	f.begin().update("users", 1, "a2@example.com", "A", nil, verified, verified).remove("team_members", 2).end()
	f.evaluated(tr)
	f.same()
	if n := f.number("SELECT count(*) FROM backstitch.entities WHERE lane = 'live'"); n != 2 {
		t.Fatalf("%d live entities, want the renamed member and the one that left", n)
	}
	f.until("everything is announced", func() bool {
		return f.number("SELECT count(*) FROM backstitch.entities WHERE announced < revision") == 0
	})
}
