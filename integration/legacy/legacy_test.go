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

// Each schema goes the whole way on the built binary: init, check, a backfill that is
// killed and goes on, a live application, crashes, both replays, audit and verify.
func TestMigrations(t *testing.T) {
	t.Parallel()
	for _, f := range []fixture{calcom, betterAuth, mattermost, supabase, posthog} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			m := newMigration(t, f)
			m.proposed()
			m.checked()
			m.killedLoading()
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
			m.audited()
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

// killedLoading: the first process dies in the midst of the first backfill, or on its
// edges.
func (m *migration) killedLoading() {
	m.Helper()
	p := m.world.Run(m)
	harness.Eventually(m, time.Minute, "the slot is there, whose snapshot the backfill reads", func() bool {
		var there bool
		err := m.world.Pool.QueryRow(m.Context(), "SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)", "backstitch_"+m.world.Prefix).Scan(&there)
		return err == nil && there
	})
	p.Live(m, time.Duration(rand.IntN(200))*time.Millisecond)
	p.Kill()
}

// audited: the mapping, evaluated whole, says what the ledger has, and the mirror holds
// what the source does, beside the pipeline that runs. A row that somebody changed in
// the mirror is found.
func (m *migration) audited() {
	m.Helper()
	if out, code := m.world.Command(m, "audit", "--share", "1"); code != 0 {
		m.Errorf("audit exits with %d:\n%s", code, out)
	}
	table := strings.ReplaceAll(m.user, `"`, "")
	if !strings.Contains(table, ".") {
		table = "public." + table
	}
	var column string
	err := m.world.LedgerPool.QueryRow(m.Context(), `SELECT format('%I.%I SET %I', schema_name, table_name, column_name) FROM backstitch.mirror_columns
		WHERE schema_name || '.' || table_name = $1 AND type LIKE ANY ('{text,character varying%}') AND column_name NOT LIKE '%id' ORDER BY column_name LIMIT 1`,
		table).Scan(&column)
	if err != nil {
		m.Fatal(err)
	}
	tag, err := m.world.LedgerPool.Exec(m.Context(), "UPDATE "+column+" = 'somebody' WHERE ctid = (SELECT min(ctid) FROM "+column[:strings.Index(column, " ")]+")")
	if err != nil || tag.RowsAffected() != 1 {
		m.Fatal(tag, err)
	}
	out, code := m.world.Command(m, "audit", "--only", "mirror", "--share", "1")
	if code != 3 || !strings.Contains(out, "1 rows that differ") {
		m.Errorf("after %s, audit exits with %d:\n%s", column, code, out)
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
	m.world.Drained(m, time.Minute)
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
		m.world.Drained(m, time.Minute)
		if n := m.world.Simulator.Seq() - seq; n != 0 {
			m.Errorf("replay %s makes %d calls", connector, n)
		}
	}
}
