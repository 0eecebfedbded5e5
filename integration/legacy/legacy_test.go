package legacy_test

import (
	"encoding/json"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/harness"
)

// Each schema goes the whole way on the built binary: init, check, backfill, a live
// application, crashes, both replays and verify.
func TestMigrations(t *testing.T) {
	t.Parallel()
	for _, f := range []fixture{calcom, betterAuth, mattermost, supabase, posthog} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			m := newMigration(t, f)
			m.proposed()
			m.checked()
			m.caughtUp(f.before)
			m.judge(f.before)
			if t.Failed() {
				return // the rest would only repeat it
			}
			before := m.seen()
			p := m.changed()
			m.judge(f.after)
			m.sameMembers(before)
			m.replayed(p)
			if code := p.Stop(t); code != 0 {
				t.Errorf("SIGTERM ends with %d", code)
			}
			m.verify(f.after)
		})
	}
}

// ranked finds what init puts first.
var ranked = regexp.MustCompile(`(?m)^(?:Tenants|Users|Memberships)\n  1\. (.*), score `)

// proposed: init, which knows nothing, ranks the right tables first.
func (m *migration) proposed() {
	m.Helper()
	p := m.world.Start(m, "init", "--source", m.world.Legacy, "--setup", filepath.Join(m.dir, "setup.sql"))
	if code := p.Wait(m, 2*time.Minute); code != 0 {
		m.Fatalf("init exits with %d:\n%s", code, p.Log())
	}
	var first []string
	for _, found := range ranked.FindAllStringSubmatch(p.Log(), -1) {
		first = append(first, found[1])
	}
	if got, want := strings.Join(first, " "), strings.Join([]string{m.tenant, m.user, m.membership}, " "); got != want {
		m.Errorf("init ranks %s first, want %s", got, want)
	}
}

// checked: the mapping and the database are as a run needs them, and what will wait for
// a person, or come without its password, is foreseen.
func (m *migration) checked() {
	m.Helper()
	var report struct{ Findings []struct{ Code string } }
	if err := json.Unmarshal([]byte(m.world.Output(m, "check", "-o", "json")), &report); err != nil {
		m.Fatal(err)
	}
	for _, code := range m.foreseen {
		if !slices.ContainsFunc(report.Findings, func(f struct{ Code string }) bool { return f.Code == code }) {
			m.Errorf("check does not foresee %s: %v", code, report.Findings)
		}
	}
}

// changed lives through the application's transactions. The process is killed among
// them and again after the last one, each time with changes on their way.
func (m *migration) changed() *harness.Process {
	m.Helper()
	p := m.world.Run(m)
	p.AdminURL(m)
	crash := func() {
		p.Live(m, time.Duration(rand.IntN(500))*time.Millisecond)
		p.Kill()
		p = m.world.Run(m)
	}
	for i, c := range m.changes {
		m.world.Exec(m, c.sql)
		if c.applied {
			m.world.CaughtUp(m, 2*time.Minute)
		}
		if i == len(m.changes)/2 {
			crash()
		}
	}
	crash()
	m.world.CaughtUp(m, 2*time.Minute)
	m.world.Drained(m, p, time.Minute)
	return p
}

// replayed: every apply record and every source record again cost no call (invariant 5).
func (m *migration) replayed(p *harness.Process) {
	m.Helper()
	for _, connector := range []string{"apply", "transform"} {
		seq := m.world.Simulator.Seq()
		m.world.Output(m, "replay", connector, "--to-earliest", "--yes")
		harness.Eventually(m, 2*time.Minute, "everything touched is evaluated", func() bool {
			var n int
			err := m.world.LedgerPool.QueryRow(m.Context(), "SELECT count(*) FROM backstitch.touched").Scan(&n)
			return err == nil && n == 0
		})
		m.world.CaughtUp(m, 2*time.Minute)
		m.world.Drained(m, p, time.Minute)
		if n := m.world.Simulator.Seq() - seq; n != 0 {
			m.Errorf("replay %s makes %d calls", connector, n)
		}
	}
}
